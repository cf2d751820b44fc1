//! Giving a results group what runs need: one that another program began, or whose results are
//! compressed.

use std::fs::File;
use std::path::Path;

use hdf5::{Dataset, Group};

use super::super::library::{self, create_filled};
use super::super::rows::Rows;
use super::create::create_markers;
use super::places::{chunk_positions, place};
use super::replace::{experiments, replace};
use super::{Column, STATUS};

/// Bytes that are copied at a time.
const STEP: usize = 1 << 20;

/// Gives a group a status dataset with the given state, markers, and results datasets whose bytes
/// have their place in the file, which lies at `path` and is opened as `raw`.
///
/// # Errors
/// Those of HDF5, and if values that are there can't be read.
pub(crate) fn adopt(
    file: &hdf5::File,
    (path, raw): (&Path, &File),
    group: &str,
    columns: &[Column<'_>],
    status: &[u8],
) -> hdf5::Result<()> {
    let group = file.group(group)?;
    create_markers(&group, status.len() as u64)?;
    let adopter = Adopter { file, path, raw, group: &group };
    // Held until all is made: what HDF5 puts into the space of a dataset that is gone stays in memory
    // until the commit.
    let mut replaced = Vec::new();
    for column in columns {
        replaced.extend(adopter.give_place(&column.layout.name, column.positions_axes)?);
    }
    replaced.extend(adopter.give_place(STATUS, 1)?);
    group.dataset(STATUS)?.write_raw(status)
}

struct Adopter<'a> {
    file: &'a hdf5::File,
    path: &'a Path,
    raw: &'a File,
    group: &'a Group,
}

impl Adopter<'_> {
    /// Replaces a dataset that has no fixed place in the file by one with the same values and
    /// attributes that has: contiguous, or for HyperSpy in chunks as before. Returns the old one.
    fn give_place(&self, name: &str, positions_axes: usize) -> hdf5::Result<Option<Dataset>> {
        let old = self.group.dataset(name)?;
        if place(&old, positions_axes).is_some() {
            return Ok(None);
        }
        let datatype = old.dtype()?;
        let shape = old.shape();
        let for_hyperspy = !experiments(self.file, &old).is_empty();
        let has_whole_steps = chunk_positions(&old, positions_axes).is_some();
        let chunk = old.chunk().filter(|_| for_hyperspy && has_whole_steps);
        let fill = library::fill_value(&old)?;
        let temporary = format!("{name}_being_placed");
        let new =
            create_filled(self.group, &temporary, &datatype, (&shape, chunk.as_deref()), &fill)?;
        self.copy(&old, &new)?;
        replace(self.file, self.group, name, &temporary).map(Some)
    }

    /// Copies all values; the old ones may have filters that HDF5 doesn't know.
    fn copy(&self, old: &Dataset, new: &Dataset) -> hdf5::Result<()> {
        let unreadable = |error: crate::Error| hdf5::Error::Internal(error.to_string());
        let rows = Rows::by_first_axis(self.path, self.raw, old).map_err(unreadable)?;
        let count = rows.view().count();
        let step = (STEP / rows.row_bytes().max(1)) as u64 + 1;
        for first in (0..count).step_by(step as usize) {
            let run = first..count.min(first + step);
            let mut bytes = vec![0; (run.end - run.start) as usize * rows.row_bytes()];
            rows.read_into(std::slice::from_ref(&run), &mut bytes).map_err(unreadable)?;
            library::write_rows(new, first, &bytes)?;
        }
        Ok(())
    }
}

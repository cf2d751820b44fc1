//! Giving a results group what runs need: one that another program began or has changed, or whose
//! results are compressed.

use super::super::container::{Dataset, Group, Storing};
use super::super::marks::windows;
use super::super::open_file::OpenFile;
use super::super::place::Place;
use super::super::refused::Refused;
use super::super::rows::Rows;
use super::markers::create_markers;
use super::places::Wanted;
use super::replace::{SecondNames, referrers, replace};
use super::{Column, FAILED, MESSAGE_BYTES, MESSAGES, STATUS, failed_lines, messages, status};
use pixelmill_core::advice::Advice;

/// Bytes that are copied at a time.
const STEP: usize = 1 << 20;

/// Gives a group a status dataset, markers, and results datasets whose bytes have their place in
/// the file, which is open as `opened` too. What they say stays the same.
///
/// # Errors
/// Those of HDF5, and if values that are there can't be read.
pub(crate) fn adopt(
    (file, second_names): (&Group, SecondNames),
    opened: OpenFile<'_>,
    group: &str,
    columns: &[Column<'_>],
    positions: u64,
) -> Result<(), Refused> {
    let group = file.group(group)?;
    let length = opened.file.metadata().map_err(|error| error.to_string())?.len();
    let adopter = Adopter { file, second_names, opened, group: &group, length };
    adopter.check_references(columns, positions)?;
    // Held until all is made: what HDF5 puts into the space of a dataset that is gone stays in
    // memory until the commit.
    let mut replaced = Vec::new();
    for column in columns {
        replaced.extend(adopter.give_place(column)?);
    }
    for wanted in Wanted::markers(positions) {
        replaced.extend(adopter.give_marker(&wanted, positions)?);
    }
    create_markers(&group, positions)
}

struct Adopter<'a> {
    file: &'a Group,
    second_names: SecondNames,
    opened: OpenFile<'a>,
    group: &'a Group,
    /// Bytes of the file before.
    length: u64,
}

impl Adopter<'_> {
    /// Checks that nobody refers to a dataset that would be replaced, and to nothing then.
    fn check_references(&self, columns: &[Column<'_>], positions: u64) -> Result<(), Refused> {
        let mut wanted: Vec<Wanted<'_>> = columns.iter().map(Wanted::column).collect();
        wanted.extend(Wanted::markers(positions));
        wanted.retain(|wanted| wanted.place(self.group, self.length).is_err());
        let old = wanted.iter().filter_map(|wanted| self.group.dataset(wanted.name).ok());
        let old: Vec<Dataset> = old.collect();
        if old.is_empty() {
            return Ok(());
        }
        for (dataset, referrer) in old.iter().zip(referrers(self.file, &old)) {
            if let Some(referrer) = referrer {
                let refused = Refused::from(format!(
                    "`{}` has no fixed place in the file and would have to be replaced, but \
                     {referrer}",
                    dataset.name()
                ));
                return Err(refused.advising(Advice::DeleteReferrerOrComputeAnew));
            }
        }
        Ok(())
    }

    /// Replaces a dataset that has no fixed place in the file by one with the same values and
    /// attributes that has: contiguous, or if it has a second name in chunks as before. Returns the
    /// old one.
    fn give_place(&self, column: &Column<'_>) -> Result<Option<Dataset>, Refused> {
        let wanted = Wanted::column(column);
        if wanted.place(self.group, self.length).is_ok() {
            return Ok(None);
        }
        let name = wanted.name;
        let old = self.group.dataset(name)?;
        // Who reads it by its second name may want chunks, as HyperSpy does.
        let has_second_name = !(self.second_names)(self.file, &old).is_empty();
        let is_of_steps = |chunk: &Vec<usize>| {
            Place::positions_of(&old.shape(), chunk, column.positions_axes).is_some()
        };
        let chunk = old.chunk().filter(|chunk| has_second_name && is_of_steps(chunk));
        let fill = old.fill_value()?;
        let temporary = format!("{name}_being_placed");
        let storing = Storing::Placed { chunk: chunk.as_deref(), fill: &fill };
        let new =
            self.group.create_dataset(&temporary, &wanted.elements, &wanted.shape, storing)?;
        self.copy(&old, &new)?;
        replace((self.file, self.second_names), self.group, name, &temporary).map(Some)
    }

    /// Gives the group a dataset that tells what is done or has failed, which says what the one
    /// that is there says, whatever its type and shape are. Returns the old one.
    fn give_marker(&self, wanted: &Wanted<'_>, positions: u64) -> Result<Option<Dataset>, Refused> {
        if wanted.place(self.group, self.length).is_ok() {
            return Ok(None);
        }
        let name = wanted.name;
        let new = wanted.create(self.group, &format!("{name}_being_placed"))?;
        match name {
            STATUS | FAILED => self.copy_marks(name, positions, &new)?,
            MESSAGES => self.copy_messages(&new)?,
            // A record of the data that isn't as it was written says nothing.
            _ => {}
        }
        let old = self.group.dataset(name).ok();
        if self.group.link_exists(name) {
            self.group.unlink(name)?;
        }
        self.group.relink(&format!("{name}_being_placed"), name)?;
        Ok(old)
    }

    fn copy_marks(&self, name: &str, positions: u64, new: &Dataset) -> Result<(), Refused> {
        let old = match name {
            STATUS => status(self.opened, self.group, positions).map(Some),
            _ => failed_lines(self.opened, self.group),
        };
        let Some(old) = old? else { return Ok(()) };
        for window in windows(old.count().min(positions)) {
            let mut marks = vec![0; (window.end - window.start) as usize];
            old.read(window.start, &mut marks)?;
            if name == STATUS {
                marks.iter_mut().for_each(|mark| *mark = u8::from(*mark != 0));
            }
            new.write_rows(window.start, &marks)?;
        }
        Ok(())
    }

    fn copy_messages(&self, new: &Dataset) -> Result<(), Refused> {
        for (line, text) in (0..).zip(messages(self.group)) {
            let end = (0..MESSAGE_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            let mut bytes = text.as_bytes()[..end.min(text.len())].to_vec();
            bytes.resize(MESSAGE_BYTES, 0);
            new.write_rows(line, &bytes)?;
        }
        Ok(())
    }

    /// Copies all values; the old ones may have filters that HDF5 doesn't know.
    fn copy(&self, old: &Dataset, new: &Dataset) -> Result<(), Refused> {
        let rows = Rows::by_first_axis(self.opened, old)?;
        let count = rows.view().count();
        let step = (STEP / rows.row_bytes().max(1)) as u64 + 1;
        for first in (0..count).step_by(step as usize) {
            let run = first..count.min(first + step);
            let mut bytes = vec![0; (run.end - run.start) as usize * rows.row_bytes()];
            rows.read_into(std::slice::from_ref(&run), &mut bytes)?;
            new.write_rows(first, &bytes)?;
        }
        Ok(())
    }
}

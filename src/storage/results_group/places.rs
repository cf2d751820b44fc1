//! Where the bytes of a results group lie in the file, so that they can be written past its
//! container.
//!
//! The one place where that is asked, and so the one where it is checked: what is written past it
//! goes where this says, and no library looks after it. A dataset counts only if it is the group's
//! own, of exactly the type and shape that a run writes, and if its bytes lie in this file, apart
//! from those of all others.

use std::fs::File;

use super::super::container::{Dataset, Elements, Group, Link, Storing};
use super::super::in_place::Extent;
use super::super::place::Place;
use super::super::refused::Refused;
use super::{
    CHECKPOINT, Column, DIGEST, DIGEST_BYTES, DIGEST_LINES, FAILED, Folded, MESSAGE_BYTES,
    MESSAGE_LINES, MESSAGES, STATUS,
};
use pixelmill_core::element::ElementType;
use pixelmill_core::error::Result;

/// Where the bytes of a group's datasets lie in the file.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// One per results dataset.
    pub columns: Vec<Place>,
    pub status: Extent,
    pub failed: Extent,
    pub messages: Extent,
    pub digest: Extent,
    /// One per dataset that all positions are folded into, and what folds are resumed from.
    pub folded: Vec<Extent>,
    pub checkpoint: Extent,
}

/// A dataset as a run needs it.
pub(super) struct Wanted<'a> {
    pub name: &'a str,
    pub elements: Elements,
    pub shape: Vec<usize>,
    /// How many axes, the first ones, are positions; chunks may hold whole steps of these.
    positions_axes: Option<usize>,
}

impl<'a> Wanted<'a> {
    /// A results dataset.
    pub fn column(column: &'a Column<'_>) -> Self {
        Self {
            name: &column.layout.name,
            elements: Elements::of(column.layout),
            shape: column.shape.clone(),
            positions_axes: Some(column.positions_axes),
        }
    }

    /// What folds are resumed from, so many bytes.
    pub fn checkpoint(bytes: u64) -> Self {
        let (elements, shape) = (Elements::Number(ElementType::UInt8), vec![bytes as usize]);
        Self { name: CHECKPOINT, elements, shape, positions_axes: None }
    }

    /// The status dataset, failed positions, messages, and what is known of the data.
    pub fn markers(positions: u64) -> [Self; 4] {
        let plain = |name, elements, length| Self {
            name,
            elements,
            shape: vec![length],
            positions_axes: None,
        };
        let (byte, length) = (Elements::Number(ElementType::UInt8), positions as usize);
        [
            plain(STATUS, byte.clone(), length),
            plain(FAILED, byte, length),
            plain(MESSAGES, Elements::Text(MESSAGE_BYTES), MESSAGE_LINES),
            plain(DIGEST, Elements::Text(DIGEST_BYTES), DIGEST_LINES),
        ]
    }

    /// Creates it, of the status or the failures, as `name`: nothing is marked yet.
    pub fn create(&self, group: &Group, name: &str) -> Result<Dataset, Refused> {
        let nothing = vec![0; self.elements.bytes()];
        let storing = Storing::Placed { chunk: None, fill: &nothing };
        group.create_dataset(name, &self.elements, &self.shape, storing)
    }

    /// Where the dataset of this name lies, if it is one that a run can write to; else why not.
    pub fn place(&self, group: &Group, file_length: u64) -> Result<Place, String> {
        let dataset = own_dataset(group, self.name)?;
        let same_type = dataset.holds(&self.elements).unwrap_or(false);
        if !same_type || dataset.shape() != self.shape {
            return Err(format!("its `{}` has another type or shape", self.name));
        }
        let place = dataset
            .place(self.positions_axes)
            .ok_or_else(|| format!("its `{}` has no fixed place in the file", self.name))?;
        let inside = place.extents().iter().all(|extent| extent.end() <= file_length);
        inside.then_some(place).ok_or_else(|| {
            format!("its `{}` lies past the end of the file, which was cut off", self.name)
        })
    }
}

/// A dataset that is the group's own, and no link to one elsewhere.
pub(crate) fn own_dataset(group: &Group, name: &str) -> Result<Dataset, String> {
    match group.link(name).map_err(|refused| refused.to_string())? {
        Some(Link::Own) => {}
        Some(Link::Path) => return Err(format!("its `{name}` is a link to another place")),
        None => return Err(format!("it has no dataset `{name}`")),
    }
    group.dataset(name).map_err(|_| format!("it has no dataset `{name}`"))
}

/// Asks where the datasets of a group lie, in the file that is open as `raw`; the error says what
/// keeps a run from writing to them.
pub(crate) fn places(
    group: &Group,
    raw: &File,
    (columns, folded): (&[Column<'_>], Option<&Folded<'_>>),
    positions: u64,
) -> Result<Places, String> {
    let length = raw.metadata().map_err(|error| error.to_string())?.len();
    let column = |column| Wanted::column(column).place(group, length);
    let columns = columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let in_one_stretch = |wanted: Wanted<'_>| match wanted.place(group, length)? {
        Place::Contiguous(found) => Ok(found),
        Place::Chunks { .. } => Err(format!("its `{}` is chunked", wanted.name)),
    };
    let mut markers = [Extent::default(); 4];
    for (extent, wanted) in markers.iter_mut().zip(Wanted::markers(positions)) {
        *extent = in_one_stretch(wanted)?;
    }
    let (datasets, checkpoint) = folded.map_or((&[][..], None), Folded::parts);
    let whole = |column| in_one_stretch(Wanted { positions_axes: None, ..Wanted::column(column) });
    let folded = datasets.iter().map(whole).collect::<Result<Vec<_>, String>>()?;
    let checkpoint = checkpoint.map(Wanted::checkpoint).map(in_one_stretch).transpose()?;
    let mut all: Vec<Extent> = columns.iter().flat_map(Place::extents).copied().collect();
    all.extend(markers.iter().chain(&folded).chain(&checkpoint));
    all.sort_unstable_by_key(|extent| extent.start());
    if all.windows(2).any(|pair| pair[0].end() > pair[1].start()) {
        return Err("two of its datasets lie at the same place; the file is damaged".to_owned());
    }
    let [status, failed, messages, digest] = markers;
    let checkpoint = checkpoint.unwrap_or_default();
    Ok(Places { columns, status, failed, messages, digest, folded, checkpoint })
}

//! One results dataset, whatever the format it is described in.

use super::super::attributes;
use super::super::container::{Dataset, Elements, Group, Storing};
use super::super::refused::Refused;
use pixelmill_core::column_layout::ColumnLayout;
use pixelmill_core::dimension::Dimension;

/// One results dataset as it is in the file.
#[derive(Clone, Debug)]
pub(crate) struct Column<'a> {
    pub layout: &'a ColumnLayout,
    pub shape: Vec<usize>,
    /// How many axes of `shape`, the first ones, are positions.
    pub positions_axes: usize,
    /// The axes of what one position has, slowest first; none for a single value.
    pub axes: Vec<Dimension>,
}

/// What all positions are folded into.
#[derive(Clone, Debug)]
pub(crate) struct Folded<'a> {
    /// The results datasets that no axis of is positions.
    pub columns: Vec<Column<'a>>,
    /// Bytes of what a run is resumed from, if anything is folded.
    pub checkpoint: Option<u64>,
}

impl Folded<'_> {
    /// The datasets, and the bytes of the checkpoint.
    pub fn parts(&self) -> (&[Column<'_>], Option<u64>) {
        (&self.columns, self.checkpoint)
    }
}

/// Creates the dataset of a column, each value missing, in chunks of the given shape if there is
/// one.
pub(crate) fn create_column(
    group: &Group,
    column: &Column<'_>,
    chunk: Option<&[usize]>,
) -> Result<Dataset, Refused> {
    let layout = column.layout;
    let storing = Storing::Placed { chunk, fill: &layout.missing[..layout.value_bytes()] };
    let elements = Elements::of(layout);
    let created = group.create_dataset(&layout.name, &elements, &column.shape, storing)?;
    attributes::write_string(&created, "quantity", &layout.quantity)?;
    attributes::write_string(&created, "units", &layout.units)?;
    Ok(created)
}

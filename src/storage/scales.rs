//! Dimension scales: the datasets that hold the values of another's axes, and the labels of these.

use super::attributes;
use super::container::Dataset;
use super::refused::Refused;
use pixelmill_core::axis_values::AxisValues;

const LABELS: &str = "DIMENSION_LABELS";
/// What a scale lists those in that it is attached to.
pub(crate) const BACK: &str = "REFERENCE_LIST";

/// The label of each axis; empty for one that has none.
pub(crate) fn labels(dataset: &Dataset) -> Vec<String> {
    let mut found = attributes::strings(dataset, LABELS).unwrap_or_default();
    found.resize(dataset.ndim(), String::new());
    found
}

/// Labels all axes of a dataset.
///
/// # Errors
/// If there is not one label per axis, or they can't be written.
pub(crate) fn write_labels(dataset: &Dataset, labels: &[impl AsRef<str>]) -> Result<(), Refused> {
    if labels.len() != dataset.ndim() {
        return Err("another number of labels than of axes".into());
    }
    attributes::write_strings(dataset, LABELS, labels)
}

/// Writes the values of an axis, not all of them at once: it may be as long as the scan.
///
/// # Errors
/// If they can't be written.
pub(crate) fn write_values(dataset: &Dataset, values: &AxisValues) -> Result<(), Refused> {
    const AT_ONCE: usize = 1 << 16;
    let mut left = values.iter();
    for first in (0..values.len()).step_by(AT_ONCE) {
        let bytes: Vec<u8> = left.by_ref().take(AT_ONCE).flat_map(f64::to_ne_bytes).collect();
        dataset.write_rows(first as u64, &bytes)?;
    }
    Ok(())
}

//! What pyNSID and sidpy ask of results.

use crate::storage::attributes;
use crate::storage::container::Dataset;
use crate::storage::refused::Refused;
use crate::storage::results_group::Column;

/// What sidpy writes for a quantity or for units that nobody has told: it takes no axis without.
pub(super) const NOT_TOLD: &str = "generic";

/// Says of a scale which kind of axis it is of, unless it does.
pub(super) fn describe_scale(scale: &Dataset, is_position: bool) -> Result<(), Refused> {
    if scale.has_attribute("dimension_type") {
        return Ok(());
    }
    let kind = if is_position { "SPATIAL" } else { "SPECTRAL" };
    attributes::write_string(scale, "dimension_type", kind)
}

/// What pyNSID asks of a main dataset besides its scales.
pub(super) fn describe(dataset: &Dataset, column: &Column<'_>) -> Result<(), Refused> {
    // pyNSID reads no records, and stops at a main dataset that it can't read.
    if is_record(column) {
        return Ok(());
    }
    let kind = match (column.positions_axes, column.axes.len()) {
        (2, 0) => "IMAGE",
        (1, 0) => "SPECTRUM",
        (2, 1) => "SPECTRAL_IMAGE",
        (2, 2) => "IMAGE_4D",
        _ => "UNKNOWN",
    };
    attributes::write_string(dataset, "data_type", kind)?;
    attributes::write_string(dataset, "modality", "")?;
    attributes::write_string(dataset, "source", "pixelmill")?;
    attributes::write_string(dataset, "main_data_name", &column.layout.name)?;
    attributes::write_string(dataset, "pyNSID_version", "0.0.7.2")
}

fn is_record(column: &Column<'_>) -> bool {
    column.layout.fields.iter().any(|field| field.name.is_some())
}

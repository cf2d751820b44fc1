//! Results that are what the source's spectra are: the same axes, in single precision where that
//! holds the source's values.

use pixelmill_core::ElementType;
use pixelmill_core::process::{AxisValues, Dimension, SourceInfo};

/// The axes of a row: the source's, unless they are no grid.
pub(crate) fn axes(source: &SourceInfo) -> Vec<Dimension> {
    let axes = &source.spectroscopic_dimensions;
    if axes.iter().map(Dimension::len).product::<usize>() == source.spectral_points {
        return axes.clone();
    }
    vec![Dimension::new("Point", "", AxisValues::counted(source.spectral_points))]
}

/// Whether single precision holds the source's values.
pub(crate) fn is_single(source: &SourceInfo) -> bool {
    source.element.converts_to(ElementType::Float32, false)
}

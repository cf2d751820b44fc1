//! Results that are what the source's spectra are: the same axes, in single precision where that
//! holds the source's values.

use pixelmill_core::ElementType;
use pixelmill_core::process::{AxisValues, Dimension, SourceInfo};
use pixelmill_core::results::Declaration;

/// Values in double, or in single precision; the others are empty.
#[derive(Default)]
pub struct Values {
    double: Vec<f64>,
    single: Vec<f32>,
}

impl Values {
    /// Declares a results dataset of them, with the axes of the source.
    pub(crate) fn declare(results: Declaration<'_, Self>, source: &SourceInfo, is_single: bool) {
        match is_single {
            true => results.spectrum(axes(source), |values: &Self| &values.single),
            false => results.spectrum(axes(source), |values: &Self| &values.double),
        }
    }

    /// Sets them; returns whether all are finite.
    pub(crate) fn set(&mut self, is_single: bool, values: impl Iterator<Item = f64>) -> bool {
        self.double.clear();
        self.single.clear();
        match is_single {
            true => self.single.extend(values.map(|value| value as f32)),
            false => self.double.extend(values),
        }
        self.double.iter().all(|value| value.is_finite())
            && self.single.iter().all(|value| value.is_finite())
    }

    /// All of them in double precision.
    pub(crate) fn to_vec(&self) -> Vec<f64> {
        let single = self.single.iter().map(|value| f64::from(*value));
        self.double.iter().copied().chain(single).collect()
    }
}

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

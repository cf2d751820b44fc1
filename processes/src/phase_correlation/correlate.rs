//! The correlation of two frames, and where it has its maximum.
//!
//! Nothing is allocated once the buffers have their size.

use std::f64::consts::PI;

use num_complex::Complex64;
use pixelmill_core::process::Failure;

use super::zoom::Zoom;
use crate::fourier::{FrameScratch, FrameTransform, InverseTransform, half, looked_at};
use crate::side_by_side::sum_of;

/// The part of the mean product of two frequencies that the rounding of both may make.
const LEAST: f64 = 100.0 * f64::EPSILON;

/// How frames of one shape are correlated.
pub(super) struct Correlation {
    /// Rows and columns.
    pub shape: (usize, usize),
    forward: FrameTransform<f64>,
    inverse: InverseTransform<f64>,
    zoom: Option<Zoom>,
    is_normalised: bool,
    /// The window along both axes.
    window: Option<(Vec<f64>, Vec<f64>)>,
}

/// The transform of a frame: half of its columns, and the sum of all its squares.
#[derive(Default)]
pub(super) struct Transformed {
    columns: Vec<Complex64>,
    energy: f64,
}

/// Memory of a worker.
#[derive(Default)]
pub(super) struct Memory {
    transform: FrameScratch<f64>,
    frame: Vec<f64>,
    product: Vec<Complex64>,
    used_up: Vec<Complex64>,
    zoom: super::zoom::Memory,
}

/// Where the correlation is largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// Down and to the right, in points.
    pub shift: [f64; 2],
    /// How large, as a part of what it can be.
    pub peak: f64,
}

/// Bytes of a worker's memory for frames of so many points.
pub(super) fn bytes(points: usize) -> usize {
    // The frame and half of the columns of: two transforms, the product, and what is used up.
    points * (size_of::<f64>() + 3 * size_of::<Complex64>())
}

impl Correlation {
    pub fn new(
        shape: (usize, usize),
        upsample_factor: u32,
        is_normalised: bool,
        has_window: bool,
    ) -> Self {
        Self {
            shape,
            forward: FrameTransform::new(shape, (0..half(shape.1)).collect()),
            inverse: InverseTransform::new(shape),
            zoom: (upsample_factor > 1).then(|| Zoom::new(shape, upsample_factor)),
            is_normalised,
            window: has_window.then(|| (hann(shape.0), hann(shape.1))),
        }
    }

    /// Transforms a frame.
    ///
    /// # Errors
    /// If there is nothing in it that could be seen to be shifted.
    pub fn transform(
        &self,
        frame: &[f64],
        memory: &mut Memory,
        into: &mut Transformed,
    ) -> Result<(), Failure> {
        let unusable =
            || Failure::new("it has values that are not finite, or too large to be transformed");
        match looked_at(frame) {
            (false, _) => return Err(unusable()),
            (_, true) => return Err(Failure::new("it is constant: nothing in it can be shifted")),
            _ => {}
        }
        let mean = sum_of(frame, |value| value) / frame.len() as f64;
        memory.frame.clear();
        memory.frame.extend(frame.iter().map(|value| value - mean));
        if let Some((down, right)) = &self.window {
            for (row, down) in memory.frame.chunks_exact_mut(self.shape.1).zip(down) {
                row.iter_mut().zip(right).for_each(|(value, right)| *value *= down * right);
            }
        }
        let points = frame.len() as f64;
        into.energy = sum_of(&memory.frame, |value| value * value) * points;
        if !(into.energy * into.energy).is_finite() {
            return Err(unusable());
        }
        if into.energy * into.energy == 0.0 {
            let told = "it is constant, or too small, where the window lets it pass";
            return Err(Failure::new(told));
        }
        self.forward.forward(&memory.frame, &mut memory.transform, &mut into.columns);
        Ok(())
    }

    /// How far one frame is moved against another.
    pub fn shift(&self, frame: &Transformed, other: &Transformed, memory: &mut Memory) -> Found {
        let Memory { transform, frame: correlated, product, used_up, zoom } = memory;
        let points = (self.shape.0 * self.shape.1) as f64;
        let norm = frame.energy.sqrt() * other.energy.sqrt();
        product.clear();
        let pairs = frame.columns.iter().zip(&other.columns);
        product.extend(pairs.map(|(one, other)| one * other.conj()));
        let most =
            if self.is_normalised { self.normalise(product, LEAST * norm / points) } else { norm };
        used_up.clone_from(product);
        self.inverse.inverse(used_up, transform, correlated);
        let (at, height) = largest(correlated);
        let whole = |at: usize, length: usize| {
            if at > length / 2 { at as i64 - length as i64 } else { at as i64 }
        };
        let (row, column) = (at / self.shape.1, at % self.shape.1);
        let place = [whole(row, self.shape.0), whole(column, self.shape.1)];
        let (shift, height) = match &self.zoom {
            Some(around) => around.largest(product, place, zoom),
            None => (place.map(|place| place as f64), height),
        };
        Found { shift, peak: height / most }
    }

    /// Divides a transform by its magnitude, but for what is less than `least`, by that; returns
    /// the sum of what is left of all magnitudes, those of the other half of the columns
    /// included.
    fn normalise(&self, product: &mut [Complex64], least: f64) -> f64 {
        let mut sum = 0.0;
        for (index, column) in product.chunks_exact_mut(self.shape.0).enumerate() {
            let mut magnitudes = 0.0;
            for value in column {
                let magnitude = value.norm_sqr().sqrt();
                let divisor = magnitude.max(least);
                magnitudes += magnitude / divisor;
                *value /= divisor;
            }
            let is_alone = index == 0 || 2 * index == self.shape.1;
            sum += magnitudes * if is_alone { 1.0 } else { 2.0 };
        }
        sum
    }
}

/// The first of the largest values, and where it is.
pub(super) fn largest(values: &[f64]) -> (usize, f64) {
    let most = values.iter().fold(f64::NEG_INFINITY, |most, value| most.max(*value));
    (values.iter().position(|value| *value == most).unwrap_or(0), most)
}

/// The window of Hann, 0 at both ends.
fn hann(length: usize) -> Vec<f64> {
    let at = |index: usize| 2.0 * PI * index as f64 / (length as f64 - 1.0);
    (0..length).map(|index| 0.5 - 0.5 * libm::cos(at(index))).collect()
}

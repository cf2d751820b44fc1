//! Where the sideband lies in the spectrum of a hologram, and what is cut of it.

use std::f64::consts::FRAC_1_SQRT_2;

use num_complex::Complex64;
use pixelmill_core::detector::Detector;
use pixelmill_core::process::{AxisValues, Dimension, Failure, SourceInfo};

use super::Parameters;
use crate::fourier::{FrameScratch, FrameTransform, looked_at};

/// The part of the largest frequency up to which everything belongs to the centre, where a sideband
/// is looked for.
const CENTRE: f64 = 0.05;
/// How many times the smoothness the edge of the aperture is wide, outwards.
const EDGE: f64 = 2.0;
/// Prime factors for which there is a fast transform.
const FACTORS: [usize; 3] = [2, 3, 5];

/// What is cut out of the spectrum of a hologram, and into how many points it is transformed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sideband {
    /// Rows and columns of a hologram.
    pub frame: (usize, usize),
    /// Its row and column, counted from 0 on.
    pub position: (usize, usize),
    /// The radius of the aperture, and the width of its edge, in frequencies: periods per point.
    radius: f64,
    smoothness: f64,
    /// Rows and columns of the wave.
    pub out: (usize, usize),
}

impl Sideband {
    /// That which parameters tell of.
    ///
    /// # Errors
    /// If spectra are no frames, or it doesn't lie in their transform.
    pub fn of(parameters: &Parameters, source: &SourceInfo) -> Result<Self, Failure> {
        let frame = Detector::of(source, (None, None))?.shape;
        let position = match (&parameters.sb_position, source.constants.first()) {
            (Some(told), _) => {
                (place(told[0], frame.0, "row")?, place(told[1], frame.1, "column")?)
            }
            (None, Some(reference)) => brightest(reference.values()?, frame)?,
            (None, None) => {
                return Err(Failure::new(
                    "it can't be known where the sideband is: say `sb_position=[row,column]`, its \
                     place in the transform of a hologram, or give a `reference` to find it in",
                ));
            }
        };
        let apart = apart(frame, position);
        if apart == 0.0 {
            return Err(Failure::new(format!(
                "at [{}, {}] there is no sideband: it is its own counterpart",
                position.0, position.1
            )));
        }
        let point = frequency_of_a_point(frame);
        let most = apart / 2.0 / point;
        let size = parameters.sb_size.unwrap_or(most / 2.0);
        if size > most {
            return Err(Failure::new(format!(
                "an aperture of {size} points around the sideband at [{}, {}] reaches into the \
                 centre or the other sideband: `sb_size` can be {most:.1} at most",
                position.0, position.1
            )));
        }
        let radius = size * point;
        let smoothness = radius * parameters.sb_smoothness;
        let mut sideband = Self { frame, position, radius, smoothness, out: frame };
        sideband.out = sideband.shape(parameters.out_shape.as_deref())?;
        Ok(sideband)
    }

    /// The same with waves of as many points as the hologram has.
    pub fn at_full_size(&self) -> Self {
        Self { out: self.frame, ..self.clone() }
    }

    /// The radius of its aperture in points of the transform.
    pub fn size(&self) -> f64 {
        self.radius / frequency_of_a_point(self.frame)
    }

    /// What the aperture lets pass of a frequency, (0, 0) for its middle.
    pub fn gain(&self, (row, column): (i64, i64)) -> f64 {
        let (rows, columns) = self.frame;
        let distance = (row as f64 / rows as f64).hypot(column as f64 / columns as f64);
        match self.smoothness {
            0.0 => f64::from(u8::from(distance < self.radius)),
            width => 0.5 * (1.0 - libm::tanh((distance - self.radius) / (0.5 * width))),
        }
    }

    /// The axes of the wave: those of a hologram with other steps.
    pub fn axes(&self, source: &SourceInfo) -> Vec<Dimension> {
        let long = source.spectroscopic_dimensions.iter().filter(|axis| axis.len() > 1);
        long.zip([self.out.0, self.out.1]).map(|(axis, length)| resampled(axis, length)).collect()
    }

    /// The rows and columns of the wave, if they are told, or the least that its aperture fits
    /// into.
    fn shape(&self, told: Option<&[usize]>) -> Result<(usize, usize), Failure> {
        let (rows, columns) = self.frame;
        // Rounding must not make a point more of it.
        let least = |length: usize| (2.0 * self.radius * length as f64 * (1.0 - 1e-12)).ceil();
        let Some(told) = told else {
            let edge = 1.0 + EDGE * self.smoothness / self.radius;
            let roomy =
                |length| quickly_transformed((least(length) * edge).ceil() as usize, length);
            return Ok((roomy(rows), roomy(columns)));
        };
        let names = ["rows", "columns"];
        for ((told, length), name) in told.iter().zip([rows, columns]).zip(names) {
            if *told > length {
                return Err(Failure::new(format!(
                    "`out_shape` has {told} {name}, more than the {length} of a hologram"
                )));
            }
            if (*told as f64) < least(length) {
                return Err(Failure::new(format!(
                    "`out_shape` has {told} {name}, less than the {} that the aperture of {:.1} \
                     points around the sideband takes",
                    least(length),
                    self.size()
                )));
            }
        }
        Ok((told[0], told[1]))
    }
}

/// The frequency of number `index` of so many, in the order of a transform.
pub(super) fn signed(index: usize, length: usize) -> i64 {
    if index < length.div_ceil(2) { index as i64 } else { index as i64 - length as i64 }
}

/// How far the frequencies of neighbouring points are apart, in the mean of both axes.
fn frequency_of_a_point((rows, columns): (usize, usize)) -> f64 {
    (1.0 / rows as f64 + 1.0 / columns as f64) / 2.0
}

/// A place on an axis of the transform, which may be counted backwards from 0.
fn place(told: i64, length: usize, name: &str) -> Result<usize, Failure> {
    let (first, last) = (-(length as i64 / 2), length as i64 - 1);
    if !(first..=last).contains(&told) {
        return Err(Failure::new(format!(
            "`sb_position` has the {name} {told}, outside of the spectrum: holograms of {length} \
             {name}s have them from {first} to {last}"
        )));
    }
    Ok(told.rem_euclid(length as i64) as usize)
}

/// How far a sideband and its counterpart are apart, in frequencies: over the centre, or over the
/// end of the spectrum, where its begin follows.
fn apart((rows, columns): (usize, usize), (row, column): (usize, usize)) -> f64 {
    let twice = |place: usize, length: usize| {
        let twice = (2 * place) % length;
        twice.min(length - twice) as f64 / length as f64
    };
    twice(row, rows).hypot(twice(column, columns))
}

/// The brightest place of the transform of a hologram, in the half with the smaller rows, far
/// enough from the centre.
fn brightest(hologram: &[f64], frame: (usize, usize)) -> Result<(usize, usize), Failure> {
    let (rows, columns) = frame;
    let unusable = |told: &str| Err(Failure::new(format!("the reference {told}")));
    match looked_at(hologram) {
        (false, _) => return unusable("has values that are not finite"),
        (_, true) => return unusable("is constant: it has no fringes"),
        _ => {}
    }
    let transform = FrameTransform::new(frame, (0..columns).collect());
    let mut values = Vec::new();
    transform.forward(hologram, &mut FrameScratch::default(), &mut values);
    let frequency = |index, length| signed(index, length) as f64 / length as f64;
    let mut found = (f64::NEG_INFINITY, (0, 0));
    for (at, value) in values.iter().enumerate() {
        let (row, column) = (at % rows, at / rows);
        // Of the first row, the other half says the same.
        let is_half = row <= rows / 2 && (row > 0 || column <= columns / 2);
        let distance = frequency(row, rows).hypot(frequency(column, columns));
        if is_half && distance > CENTRE * FRAC_1_SQRT_2 && value.norm_sqr() > found.0 {
            found = (value.norm_sqr(), (row, column));
        }
    }
    Ok(found.1)
}

/// The least even number from `least` on that is quickly transformed; `most` if there is none up to
/// it.
fn quickly_transformed(least: usize, most: usize) -> usize {
    let is_quick = |number: &usize| {
        let mut left = *number;
        for factor in FACTORS {
            while left.is_multiple_of(factor) {
                left /= factor;
            }
        }
        left == 1 && number.is_multiple_of(2)
    };
    (least.max(1)..=most).find(is_quick).unwrap_or(most)
}

/// An axis with other steps over the same length: between its values where these aren't even.
fn resampled(axis: &Dimension, length: usize) -> Dimension {
    let step = axis.len() as f64 / length as f64;
    let values = match axis.values.as_even() {
        Some((first, apart)) => AxisValues::even(first, apart * step, length),
        None => {
            let at = |place: f64| {
                let (before, part) = (place.floor(), place.fract());
                let value = |index: f64| axis.values.get(index as usize).or(axis.values.last());
                let (one, other) = (value(before), value(before + 1.0));
                one.zip(other).map_or(f64::NAN, |(one, other)| one + (other - one) * part)
            };
            (0..length).map(|index| at(index as f64 * step)).collect()
        }
    };
    Dimension { values, ..axis.clone() }
}

/// The carrier of the fringes at a point of the hologram, e^(−2πi(p·y/N + q·x/M)).
pub(super) fn carrier(sideband: &Sideband, (y, x): (usize, usize)) -> Complex64 {
    let ((rows, columns), (row, column)) = (sideband.frame, sideband.position);
    let turns =
        ((row * y) % rows) as f64 / rows as f64 + ((column * x) % columns) as f64 / columns as f64;
    let (sin, cos) = libm::sincos(-std::f64::consts::TAU * turns);
    Complex64::new(cos, sin)
}

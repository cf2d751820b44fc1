//! The values of a picture, with what is known of those that are missing.

use super::limits::Limits;
use super::states::State;

/// The values of a picture, in the order of its layout.
#[derive(Clone, Debug)]
pub struct Values {
    /// NaN where there is none.
    pub numbers: Vec<f64>,
    /// What is known of each.
    pub states: Vec<State>,
    /// Positions, of those that were looked at, that nobody has computed yet.
    pub pending: u64,
    /// Positions that can't be computed.
    pub failed: u64,
    /// The values at which colours end; none if there is no value.
    pub limits: Option<Limits>,
}

impl Values {
    /// Numbers of which no more is known.
    pub fn of(numbers: Vec<f64>) -> Self {
        let state = |number: &f64| {
            if number.is_finite() { State::Known } else { State::Missing }
        };
        let states = numbers.iter().map(state).collect();
        let limits = Limits::of(&numbers);
        Self { numbers, states, pending: 0, failed: 0, limits }
    }

    /// The same as phases, of which so many are a turn, so that colours go all the way round; if
    /// they lie in one.
    pub fn as_phases(self, turn: f64) -> Self {
        let limits = Limits::turn(&self.numbers, turn).or(self.limits);
        Self { limits, ..self }
    }
}

/// Sums that become means: of what falls into each pixel of a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Means {
    sums: Vec<f64>,
    /// Of complex values the imaginary parts, and the sums of the magnitudes.
    complex: Option<(Vec<f64>, Vec<f64>)>,
    counts: Vec<u32>,
}

impl Means {
    pub fn new(count: usize, is_complex: bool) -> Self {
        let complex = is_complex.then(|| (vec![0.0; count], vec![0.0; count]));
        Self { sums: vec![0.0; count], complex, counts: vec![0; count] }
    }

    /// Adds a value, of a complex one both parts; one that is no number doesn't count.
    pub fn add(&mut self, pixel: usize, value: (f64, f64)) {
        if !(value.0.is_finite() && value.1.is_finite()) {
            return;
        }
        self.sums[pixel] += value.0;
        if let Some((imaginary, magnitudes)) = &mut self.complex {
            imaginary[pixel] += value.1;
            magnitudes[pixel] += value.0.hypot(value.1);
        }
        self.counts[pixel] += 1;
    }

    /// The means, or those of the magnitudes.
    pub fn values(&self) -> Vec<f64> {
        let sums = self.complex.as_ref().map_or(&self.sums, |(_, magnitudes)| magnitudes);
        let mean = |(sum, count): (&f64, &u32)| match count {
            0 => f64::NAN,
            count => sum / f64::from(*count),
        };
        sums.iter().zip(&self.counts).map(mean).collect()
    }

    /// The phases of the means, if values are complex.
    pub fn phases(&self) -> Option<Vec<f64>> {
        let (imaginary, _) = self.complex.as_ref()?;
        let parts = self.sums.iter().zip(imaginary).zip(&self.counts);
        let phase = |((real, imaginary), count): ((&f64, &f64), &u32)| match count {
            0 => f64::NAN,
            _ => libm::atan2(*imaginary, *real),
        };
        Some(parts.map(phase).collect())
    }
}

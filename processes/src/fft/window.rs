//! Window functions: sums of cosines over the length of a spectrum.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choices::one_of;

/// What the values of a spectrum are multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// 1 everywhere.
    #[default]
    None,
    /// A cosine, from 0 to 1 and back.
    Hann,
    /// The same, from 0.08 on.
    Hamming,
    /// Two cosines.
    Blackman,
    /// Four of them: flat at the top as a function of frequency.
    Flattop,
}

one_of!(Window: "none", "hann", "hamming", "blackman", "flattop");

impl Window {
    /// a₀, a₁ … of Σ (−1)ʲ aⱼ cos jφ.
    fn terms(self) -> &'static [f64] {
        match self {
            Self::None => &[1.0],
            Self::Hann => &[0.5, 0.5],
            Self::Hamming => &[0.54, 0.46],
            Self::Blackman => &[0.42, 0.5, 0.08],
            Self::Flattop => {
                &[0.215_578_95, 0.416_631_58, 0.277_263_158, 0.083_578_947, 0.006_947_368]
            }
        }
    }

    /// Its value at each of so many points.
    pub(super) fn values(self, points: usize) -> Vec<f64> {
        let at = |point: usize| {
            let turn = TAU * point as f64 / points as f64;
            let terms = self.terms().iter().enumerate().map(|(number, term)| {
                let sign = if number % 2 == 0 { 1.0 } else { -1.0 };
                sign * term * libm::cos(number as f64 * turn)
            });
            terms.sum()
        };
        (0..points).map(at).collect()
    }
}

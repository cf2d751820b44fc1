//! The components that a model is a sum of: their parameters, formulae and derivatives.
//!
//! Definitions and names of parameters are HyperSpy's (2.5), so that values compare; the
//! pseudo-Voigt is its `SplitVoigt` with equal widths. A, a₀ … aₙ and the offset are linear, all
//! others shape parameters.
//!
//! | component | f(x) |
//! | --- | --- |
//! | `gaussian` | A/(σ√2π)·exp(−(x−centre)²/2σ²) |
//! | `lorentzian` | A/π·γ/((x−centre)² + γ²) |
//! | `pseudo_voigt` | A·[(1−fraction)·G + fraction·L], G and L as above with σ = γ = `sigma` and A = 1 |
//! | `exponential` | A·exp(−x/τ) |
//! | `power_law` | A·(x−origin)^−r, 0 where x ≤ origin; the origin is fixed at 0 unless told otherwise |
//! | `offset` | offset |
//! | `polynomial` | a₀ + a₁x + … + aₙxⁿ |
//! | `erf` | A/2·erf((x−origin)/(σ√2)), a step |
//! | `formula` | whatever is written (`formula`) |
//!
//! Those of a frame, x along its rows and y across, with u = [(x−centre_x)·cos α − (y−centre_y)·sin
//! α]/σₓ and v = [(x−centre_x)·sin α + (y−centre_y)·cos α]/σ_y, α being `rotation_angle` in
//! radians, and r the distance from the centre:
//!
//! | component | f(x, y) |
//! | --- | --- |
//! | `gaussian2d` | A/(2πσₓσ_y)·exp(−(u² + v²)/2): HyperSpy's `Gaussian2D`; with `add_rotation` that of HyperSpy 2.5 is sheared, with a volume of A·cos²α |
//! | `lorentzian2d` | height/(1 + u² + v²), with γ for σ; the volume below it is infinite |
//! | `disk` | height/2·erfc((r−radius)/(edge·√2)): a disk whose edge is smoothed, as by a Gaussian of σ = `edge` |
//! | `plane` | offset + slope_x·x + slope_y·y |
//! | `offset` | offset |
//!
//! As in HyperSpy, values are those of the model at the channels, times the width of the channel if
//! the axis is binned.

use multiversion::multiversion;
use pixelmill_core::process::Dimension;
use serde::{Deserialize, Serialize};

use super::arrays::{exp, set_product};
use super::spots;
use crate::spectral_axis;

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A normal distribution.
    Gaussian,
    /// A Cauchy distribution.
    Lorentzian,
    /// A mixture of the two.
    PseudoVoigt,
    /// An exponential decay.
    Exponential,
    /// A power law.
    PowerLaw,
    /// A constant.
    Offset,
    /// A polynomial.
    Polynomial,
    /// A step.
    Erf,
    /// A formula of the user's.
    Formula,
    /// A normal distribution over a frame.
    Gaussian2d,
    /// A round or elliptic peak with long tails over a frame.
    Lorentzian2d,
    /// A disk in a frame.
    Disk,
    /// A plane over a frame.
    Plane,
}

/// All kinds with their names, in the order in which people see them.
pub const KINDS: [(Kind, &str); 13] = [
    (Kind::Gaussian, "gaussian"),
    (Kind::Lorentzian, "lorentzian"),
    (Kind::PseudoVoigt, "pseudo_voigt"),
    (Kind::Exponential, "exponential"),
    (Kind::PowerLaw, "power_law"),
    (Kind::Offset, "offset"),
    (Kind::Polynomial, "polynomial"),
    (Kind::Erf, "erf"),
    (Kind::Formula, "formula"),
    (Kind::Gaussian2d, "gaussian2d"),
    (Kind::Lorentzian2d, "lorentzian2d"),
    (Kind::Disk, "disk"),
    (Kind::Plane, "plane"),
];

/// The most shape parameters that a component has.
pub const MOST_SHAPE: usize = 16;

impl Kind {
    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Names of its linear parameters; those of a polynomial follow from its order, those of a
    /// formula from what is written.
    pub fn linear(self, order: usize) -> Vec<String> {
        match self {
            Self::Offset => vec!["offset".to_owned()],
            Self::Polynomial => (0..=order).map(|power| format!("a{power}")).collect(),
            Self::Formula => Vec::new(),
            Self::Lorentzian2d | Self::Disk => vec!["height".to_owned()],
            Self::Plane => ["offset", "slope_x", "slope_y"].map(str::to_owned).to_vec(),
            _ => vec!["A".to_owned()],
        }
    }

    /// Names of its shape parameters.
    pub fn shape(self) -> &'static [&'static str] {
        match self {
            Self::Gaussian => &["centre", "sigma"],
            Self::Lorentzian => &["centre", "gamma"],
            Self::PseudoVoigt => &["centre", "sigma", "fraction"],
            Self::Exponential => &["tau"],
            Self::PowerLaw => &["r", "origin"],
            Self::Offset | Self::Polynomial | Self::Formula | Self::Plane => &[],
            Self::Gaussian2d => &["centre_x", "centre_y", "sigma_x", "sigma_y", "rotation_angle"],
            Self::Lorentzian2d => &["centre_x", "centre_y", "gamma_x", "gamma_y", "rotation_angle"],
            Self::Disk => &["centre_x", "centre_y", "radius", "edge"],
            Self::Erf => &["origin", "sigma"],
        }
    }

    /// Whether it is a peak, with a centre and a width.
    pub fn is_peak(self) -> bool {
        matches!(self, Self::Gaussian | Self::Lorentzian | Self::PseudoVoigt)
    }

    /// Whether it is convolved where nobody says otherwise: HyperSpy's `convolved` of each.
    pub fn is_convolved(self) -> bool {
        !matches!(self, Self::Offset | Self::PowerLaw)
    }

    /// Whether it is of frames alone.
    pub fn is_of_frames(self) -> bool {
        self.is_spot() || self == Self::Plane
    }

    /// Whether it is something at a place in a frame.
    pub fn is_spot(self) -> bool {
        matches!(self, Self::Gaussian2d | Self::Lorentzian2d | Self::Disk)
    }

    /// Units of a parameter of a component in a frame, from those of the values and of the axes x
    /// and y.
    pub fn units_in_frame(self, parameter: &str, values: &str, [x, y]: [&str; 2]) -> String {
        let per = |axis: &str| match axis {
            "" => values.to_owned(),
            axis => format!("{values}/{axis}"),
        };
        match parameter {
            "rotation_angle" => "rad".to_owned(),
            "centre_y" | "sigma_y" | "gamma_y" => y.to_owned(),
            "centre_x" | "sigma_x" | "gamma_x" | "radius" | "edge" => x.to_owned(),
            "A" => [values, x, y].join(" ").split_whitespace().collect::<Vec<_>>().join(" "),
            "slope_x" => per(x),
            "slope_y" => per(y),
            _ => values.to_owned(),
        }
    }

    /// Units of a parameter, from those of the values and of the axis. Over a binned axis the model
    /// is what there is per unit of it.
    pub fn units(self, parameter: &str, values: &str, axis: &Dimension) -> String {
        let power_of = |parameter: &str| parameter[1..].parse::<usize>().unwrap_or(0);
        match parameter {
            // Nobody knows what a formula means.
            _ if self == Self::Formula => return String::new(),
            "r" | "fraction" => return String::new(),
            "centre" | "sigma" | "gamma" | "tau" | "origin" => return axis.units.clone(),
            "A" if self == Self::PowerLaw => return String::new(),
            _ => {}
        }
        // The exponent of the axis' units.
        let power = match parameter {
            "A" if self.is_peak() => 1,
            "A" | "offset" => 0,
            coefficient => -(power_of(coefficient) as i64),
        };
        spectral_axis::units(values, &axis.units, power - i64::from(axis.binned))
    }
}

/// The channels that a fit sees: their places on the axis, and the square roots of their weights.
#[derive(Clone, Copy, Debug)]
pub struct Channels<'a> {
    /// Places on the axis, of frames that along the rows.
    pub x: &'a [f64],
    /// Places across the rows of frames.
    pub y: &'a [f64],
    /// Square roots of the weights.
    pub weights: &'a [f64],
}

/// Fills the columns of a component, each as long as the channels: first one per linear parameter,
/// what it is multiplied by, and then the derivatives of the first by the shape parameters.
pub fn fill(kind: Kind, channels: Channels<'_>, shape: &[f64], columns: &mut [f64]) {
    let length = channels.x.len();
    let (function, rest) = columns.split_at_mut(length);
    let places = (channels.x, channels.weights);
    let parameter = |number: usize| shape.get(number).copied().unwrap_or(0.0);
    let (p, q, s) = (parameter(0), parameter(1), parameter(2));
    match kind {
        // It fills its own.
        Kind::Formula => {}
        Kind::Plane => {
            let (slope_x, slope_y) = rest.split_at_mut(length);
            function.copy_from_slice(channels.weights);
            set_product(slope_x, channels.weights, channels.x);
            set_product(slope_y, channels.weights, channels.y);
        }
        Kind::Gaussian2d | Kind::Lorentzian2d | Kind::Disk => {
            spots::fill(kind, channels, shape, columns);
        }
        Kind::Offset => function.copy_from_slice(channels.weights),
        Kind::Polynomial => {
            function.copy_from_slice(channels.weights);
            for power in 1..columns.len() / length {
                let (below, above) = columns.split_at_mut(power * length);
                let last = &below[(power - 1) * length..];
                set_product(&mut above[..length], last, channels.x);
            }
        }
        Kind::Exponential => exponential(places, p, function, rest),
        Kind::PowerLaw => {
            let (by_r, by_origin) = rest.split_at_mut(length);
            power_law(places, (p, q), function, by_r, by_origin);
        }
        Kind::Gaussian => {
            let (by_centre, by_sigma) = rest.split_at_mut(length);
            gaussian(places, (p, q), function, by_centre, by_sigma);
        }
        Kind::Lorentzian => {
            let (by_centre, by_gamma) = rest.split_at_mut(length);
            lorentzian(places, (p, q), function, by_centre, by_gamma);
        }
        Kind::PseudoVoigt => {
            let (by_centre, rest) = rest.split_at_mut(length);
            let (by_sigma, by_fraction) = rest.split_at_mut(length);
            pseudo_voigt(places, (p, q, s), function, [by_centre, by_sigma, by_fraction]);
        }
        Kind::Erf => {
            let (by_origin, by_sigma) = rest.split_at_mut(length);
            step(places, (p, q), function, by_origin, by_sigma);
        }
    }
}

/// 1/√2π.
pub const NORM: f64 = 0.398_942_280_401_432_7;

#[multiversion(targets("x86_64+avx2"))]
fn gaussian(
    (x, weights): (&[f64], &[f64]),
    (centre, sigma): (f64, f64),
    function: &mut [f64],
    by_centre: &mut [f64],
    by_sigma: &mut [f64],
) {
    let narrow = sigma.recip();
    let height = NORM * narrow;
    let places = x.iter().zip(weights);
    let columns = function.iter_mut().zip(by_centre).zip(by_sigma);
    for ((x, weight), ((function, by_centre), by_sigma)) in places.zip(columns) {
        let u = (x - centre) * narrow;
        *function = weight * height * tail(u);
        let slope = *function * narrow;
        *by_centre = slope * u;
        *by_sigma = slope * (u * u - 1.0);
    }
}

/// e^(−u²/2), and 0 where it is so small that products of it would lose digits, for which
/// processors take long.
#[inline(always)]
pub fn tail(u: f64) -> f64 {
    let exponent = -0.5 * u * u;
    if exponent < LEAST_EXPONENT { 0.0 } else { exp(exponent) }
}

/// Of Gaussians: what is below it is 0.
pub const LEAST_EXPONENT: f64 = -200.0;

#[multiversion(targets("x86_64+avx2"))]
fn lorentzian(
    (x, weights): (&[f64], &[f64]),
    (centre, gamma): (f64, f64),
    function: &mut [f64],
    by_centre: &mut [f64],
    by_gamma: &mut [f64],
) {
    let narrow = gamma.recip();
    let height = std::f64::consts::FRAC_1_PI * narrow;
    let places = x.iter().zip(weights);
    let columns = function.iter_mut().zip(by_centre).zip(by_gamma);
    for ((x, weight), ((function, by_centre), by_gamma)) in places.zip(columns) {
        let u = (x - centre) * narrow;
        let fall = (1.0 + u * u).recip();
        *function = weight * height * fall;
        let slope = *function * narrow;
        *by_centre = 2.0 * slope * u * fall;
        *by_gamma = slope * (1.0 - 2.0 * fall);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn pseudo_voigt(
    (x, weights): (&[f64], &[f64]),
    (centre, sigma, fraction): (f64, f64, f64),
    function: &mut [f64],
    [by_centre, by_sigma, by_fraction]: [&mut [f64]; 3],
) {
    let narrow = sigma.recip();
    let places = x.iter().zip(weights);
    let columns = function.iter_mut().zip(by_centre).zip(by_sigma).zip(by_fraction);
    for ((x, weight), (((function, by_centre), by_sigma), by_fraction)) in places.zip(columns) {
        let u = (x - centre) * narrow;
        let fall = (1.0 + u * u).recip();
        let normal = weight * NORM * narrow * tail(u);
        let cauchy = weight * std::f64::consts::FRAC_1_PI * narrow * fall;
        let (first, second) = ((1.0 - fraction) * normal, fraction * cauchy);
        *function = first + second;
        *by_centre = narrow * u * (first + 2.0 * fall * second);
        *by_sigma = narrow * (first * (u * u - 1.0) + second * (1.0 - 2.0 * fall));
        *by_fraction = cauchy - normal;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn exponential((x, weights): (&[f64], &[f64]), tau: f64, function: &mut [f64], by_tau: &mut [f64]) {
    let rate = tau.recip();
    let places = x.iter().zip(weights);
    for ((x, weight), (function, by_tau)) in places.zip(function.iter_mut().zip(by_tau)) {
        *function = weight * exp(-x * rate);
        *by_tau = *function * x * rate * rate;
    }
}

fn power_law(
    (x, weights): (&[f64], &[f64]),
    (r, origin): (f64, f64),
    function: &mut [f64],
    by_r: &mut [f64],
    by_origin: &mut [f64],
) {
    let places = x.iter().zip(weights);
    let columns = function.iter_mut().zip(by_r).zip(by_origin);
    for ((x, weight), ((function, by_r), by_origin)) in places.zip(columns) {
        let from = x - origin;
        let logarithm = if from > 0.0 { libm::log(from) } else { 0.0 };
        *function = if from > 0.0 { weight * exp(-r * logarithm) } else { 0.0 };
        *by_r = -*function * logarithm;
        *by_origin = if from > 0.0 { *function * r / from } else { 0.0 };
    }
}

fn step(
    (x, weights): (&[f64], &[f64]),
    (origin, sigma): (f64, f64),
    function: &mut [f64],
    by_origin: &mut [f64],
    by_sigma: &mut [f64],
) {
    let narrow = sigma.recip();
    let places = x.iter().zip(weights);
    let columns = function.iter_mut().zip(by_origin).zip(by_sigma);
    for ((x, weight), ((function, by_origin), by_sigma)) in places.zip(columns) {
        let u = (x - origin) * narrow;
        *function = 0.5 * weight * libm::erf(u * std::f64::consts::FRAC_1_SQRT_2);
        *by_origin = -weight * NORM * narrow * tail(u);
        *by_sigma = *by_origin * u;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_functions() {
        let x: Vec<f64> = (0..41).map(|at| 0.3 + 0.1 * f64::from(at)).collect();
        let weights: Vec<f64> = (0..41).map(|at| 1.0 + 0.05 * f64::from(at % 7)).collect();
        let channels = Channels { x: &x, y: &[], weights: &weights };
        let columns = |kind: Kind, shape: [f64; 3]| {
            let mut columns = vec![0.0; (1 + kind.shape().len()) * x.len()];
            fill(kind, channels, &shape, &mut columns);
            columns
        };
        for (kind, shape) in [
            (Kind::Gaussian, [2.1, 0.7, 0.0]),
            (Kind::Lorentzian, [2.1, 0.7, 0.0]),
            (Kind::PseudoVoigt, [2.1, 0.7, 0.4]),
            (Kind::Exponential, [1.7, 0.0, 0.0]),
            (Kind::PowerLaw, [2.3, 0.1, 0.0]),
            (Kind::Erf, [2.1, 0.7, 0.0]),
        ] {
            let at = columns(kind, shape);
            for (number, name) in kind.shape().iter().enumerate() {
                let moved = |by: f64| {
                    let mut shape = shape;
                    shape[number] += by;
                    columns(kind, shape)
                };
                let (above, below) = (moved(1e-5), moved(-1e-5));
                for channel in 0..x.len() {
                    let expected = (above[channel] - below[channel]) / 2e-5;
                    let found = at[(1 + number) * x.len() + channel];
                    let error = (found - expected).abs();
                    assert!(error < 1e-7 * (1.0 + expected.abs()), "{kind:?} {name} {channel}");
                }
            }
        }
    }

    #[test]
    fn a_peak_far_away_is_nothing_instead_of_a_constant() {
        let mut columns = [1.0; 9];
        let channels = Channels { x: &[0.0, 1.0, 2.0], y: &[], weights: &[1.0; 3] };
        fill(Kind::Gaussian, channels, &[100.0, 2.0, 0.0], &mut columns);
        assert_eq!(columns, [0.0; 9]);
    }

    #[test]
    fn units_follow_from_those_of_values_and_axis() {
        for (kind, parameter, axis, units, of_binned) in [
            (Kind::Gaussian, "A", "eV", "V eV", "V"),
            (Kind::Gaussian, "A", "", "V", "V"),
            (Kind::Gaussian, "centre", "eV", "eV", "eV"),
            (Kind::Polynomial, "a2", "s", "V/s^2", "V/s^3"),
            (Kind::Polynomial, "a1", "s", "V/s", "V/s^2"),
            (Kind::Polynomial, "a0", "s", "V", "V/s"),
            (Kind::Offset, "offset", "s", "V", "V/s"),
            (Kind::Erf, "A", "s", "V", "V/s"),
            (Kind::PowerLaw, "r", "s", "", ""),
            (Kind::PowerLaw, "A", "s", "", ""),
        ] {
            let axis = Dimension::new("x", axis, vec![0.0]);
            assert_eq!(kind.units(parameter, "V", &axis), units, "{kind:?} {parameter}");
            let binned = Dimension { binned: true, ..axis };
            assert_eq!(kind.units(parameter, "V", &binned), of_binned, "{kind:?} {parameter}");
        }
    }
}

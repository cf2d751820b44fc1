//! A mixture of normal distributions: how likely spectra are, and which component each belongs to.

use multiversion::multiversion;
use pixelmill_core::process::Failure;

use super::covariance::{Covariance, Shape};
use super::triangle::{Factor, LANES};

/// Weights, means and covariances, one behind the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// How much of the scan is of each component: they sum up to 1.
    pub weights: Vec<f64>,
    /// The means.
    pub means: Vec<f64>,
    /// The covariances, as their shape has them.
    pub covariances: Vec<f64>,
}

/// The same, with what densities are made from.
pub struct Mixture {
    /// What it was made of.
    pub numbers: Numbers,
    shape: Shape,
    /// The logarithm of each component's density at its mean, times its weight.
    tops: Vec<f64>,
    scale: Scale,
}

/// What a distance from a mean is measured by.
enum Scale {
    /// Each component's own factor.
    Own(Vec<Factor>),
    /// That of all; a place near the means, and how far each of these is from it, as white as
    /// spectra are made.
    Shared { factor: Factor, origin: Vec<f64>, places: Vec<f64> },
    /// One over the variance of each point.
    Points(Vec<f64>),
    /// One over the variance of all points.
    All(Vec<f64>),
}

/// Memory for some spectra.
#[derive(Default)]
pub struct Lanes {
    apart: Vec<[f64; LANES]>,
    white: Vec<[f64; LANES]>,
}

impl Mixture {
    /// Of these numbers.
    ///
    /// # Errors
    /// If a covariance isn't positive, or no number.
    pub fn new(numbers: Numbers, shape: Shape) -> Result<Self, Failure> {
        let Shape { kind, components, points } = shape;
        let each = shape.of_each();
        let singular = |component: usize| {
            let of = if kind == Covariance::Tied {
                "that all components share".to_owned()
            } else {
                format!("of component {component}")
            };
            let advice = if kind.is_of_pairs() {
                "take fewer components, a larger `regularization`, or `covariance=diag`"
            } else {
                "take fewer components or a larger `regularization`"
            };
            Failure::new(format!("the covariance {of} has no inverse: {advice}"))
        };
        let factor = |matrix: &[f64], component| {
            Factor::new(matrix, points).ok_or_else(|| singular(component))
        };
        let (log_determinants, scale) = match kind {
            Covariance::Full => {
                let matrices = numbers.covariances.chunks_exact(each).enumerate();
                let factors = matrices.map(|(component, matrix)| factor(matrix, component));
                let factors = factors.collect::<Result<Vec<_>, _>>()?;
                let logs = factors.iter().map(|factor| factor.log_determinant).collect();
                (logs, Scale::Own(factors))
            }
            Covariance::Tied => {
                let factor = factor(&numbers.covariances, 0)?;
                let logs = vec![factor.log_determinant; components];
                (logs, shared(factor, &numbers, points))
            }
            Covariance::Diag | Covariance::Spherical => {
                let is_usual = |variance: &f64| *variance > 0.0 && (1.0 / variance).is_finite();
                if let Some(at) = numbers.covariances.iter().position(|one| !is_usual(one)) {
                    return Err(singular(at / each));
                }
                let of_points = if kind == Covariance::Diag { 1.0 } else { points as f64 };
                let logs = numbers.covariances.chunks_exact(each);
                let logs =
                    logs.map(|own| of_points * own.iter().map(|v| libm::log(*v)).sum::<f64>());
                let logs: Vec<f64> = logs.collect();
                let inverse = numbers.covariances.iter().map(|variance| 1.0 / variance).collect();
                let is_diagonal = kind == Covariance::Diag;
                (logs, if is_diagonal { Scale::Points(inverse) } else { Scale::All(inverse) })
            }
        };
        let of_points = points as f64 * libm::log(2.0 * std::f64::consts::PI);
        let tops = numbers.weights.iter().zip(log_determinants);
        let tops = tops.map(|(weight, log)| libm::log(*weight) - 0.5 * (of_points + log)).collect();
        Ok(Self { numbers, shape, tops, scale })
    }

    /// The logarithms of the densities of all components at some spectra, times their weights.
    pub fn densities(&self, rows: &[&[f64]], lanes: &mut Lanes, logs: &mut Vec<f64>) {
        let Shape { components, points, .. } = self.shape;
        logs.clear();
        logs.resize(rows.len() * components, 0.0);
        let means = || self.numbers.means.chunks_exact(points);
        let mut put = |row: usize, component: usize, square: f64| {
            logs[row * components + component] = self.tops[component] - 0.5 * square;
        };
        match &self.scale {
            Scale::Own(factors) => {
                for (component, (mean, factor)) in means().zip(factors).enumerate() {
                    for (number, some) in rows.chunks(LANES).enumerate() {
                        lanes.whiten(some, mean, factor);
                        for (lane, square) in lanes.squares(None).into_iter().enumerate() {
                            if lane < some.len() {
                                put(number * LANES + lane, component, square);
                            }
                        }
                    }
                }
            }
            Scale::Shared { factor, origin, places } => {
                for (number, some) in rows.chunks(LANES).enumerate() {
                    lanes.whiten(some, origin, factor);
                    let each = lanes.white.len();
                    for (component, place) in places.chunks_exact(each).enumerate() {
                        for (lane, square) in lanes.squares(Some(place)).into_iter().enumerate() {
                            if lane < some.len() {
                                put(number * LANES + lane, component, square);
                            }
                        }
                    }
                }
            }
            Scale::Points(inverse) => {
                let inverse = inverse.chunks_exact(points);
                for (component, (mean, inverse)) in means().zip(inverse).enumerate() {
                    for (row, values) in rows.iter().enumerate() {
                        put(row, component, apart_by(values, mean, inverse));
                    }
                }
            }
            Scale::All(inverse) => {
                for (component, (mean, inverse)) in means().zip(inverse).enumerate() {
                    for (row, values) in rows.iter().enumerate() {
                        put(row, component, apart(values, mean) * inverse);
                    }
                }
            }
        }
    }
}

/// A scale that all components share.
fn shared(factor: Factor, numbers: &Numbers, points: usize) -> Scale {
    let mut origin = vec![0.0; points];
    for (mean, weight) in numbers.means.chunks_exact(points).zip(&numbers.weights) {
        crate::products::add_scaled(&mut origin, *weight, mean);
    }
    let means: Vec<&[f64]> = numbers.means.chunks_exact(points).collect();
    let (mut lanes, mut places) = (Lanes::default(), Vec::new());
    for some in means.chunks(LANES) {
        lanes.whiten(some, &origin, &factor);
        for lane in 0..some.len() {
            places.extend(lanes.white.iter().map(|of| of[lane]));
        }
    }
    Scale::Shared { factor, origin, places }
}

impl Lanes {
    /// Makes some spectra white, from a place.
    fn whiten(&mut self, rows: &[&[f64]], origin: &[f64], factor: &Factor) {
        self.apart.clear();
        self.apart.resize(origin.len(), [0.0; LANES]);
        for (lane, row) in rows.iter().enumerate() {
            let values = self.apart.iter_mut().zip(*row).zip(origin);
            values.for_each(|((apart, value), origin)| apart[lane] = value - origin);
        }
        factor.whiten(&self.apart, &mut self.white);
    }

    /// The squares of how far they are from a place.
    fn squares(&self, from: Option<&[f64]>) -> [f64; LANES] {
        let mut squares = [0.0; LANES];
        for (point, white) in self.white.iter().enumerate() {
            let from = from.map_or(0.0, |from| from[point]);
            for (square, value) in squares.iter_mut().zip(white) {
                *square += (value - from) * (value - from);
            }
        }
        squares
    }
}

/// Σ (a − b)²·c.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn apart_by(a: &[f64], b: &[f64], c: &[f64]) -> f64 {
    let mut sums = [0.0; 4 * LANES];
    let (a, of_a) = a.as_chunks::<{ 4 * LANES }>();
    let (b, of_b) = b.as_chunks::<{ 4 * LANES }>();
    let (c, of_c) = c.as_chunks::<{ 4 * LANES }>();
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for (((sum, a), b), c) in sums.iter_mut().zip(a).zip(b).zip(c) {
            let apart = a - b;
            *sum = (apart * apart).mul_add(*c, *sum);
        }
    }
    let rest = of_a.iter().zip(of_b).zip(of_c);
    let rest = rest.fold(0.0, |sum: f64, ((a, b), c)| ((a - b) * (a - b)).mul_add(*c, sum));
    sums.iter().sum::<f64>() + rest
}

/// Σ (a − b)².
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn apart(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4 * LANES];
    let (a, of_a) = a.as_chunks::<{ 4 * LANES }>();
    let (b, of_b) = b.as_chunks::<{ 4 * LANES }>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = (a - b).mul_add(a - b, *sum);
        }
    }
    let rest = of_a.iter().zip(of_b);
    let rest = rest.fold(0.0, |sum: f64, (a, b)| (a - b).mul_add(a - b, sum));
    sums.iter().sum::<f64>() + rest
}

/// Makes of the logarithms of a spectrum's densities the probabilities of the components, and tells
/// the logarithm of the density of all; nothing if it is too far from all.
pub fn respond(logs: &mut [f64]) -> Option<f64> {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return None;
    }
    let mut sum = 0.0;
    for log in &mut *logs {
        let part = libm::exp(*log - largest);
        // What is that small counts nowhere, and would be slow.
        *log = if part >= f64::MIN_POSITIVE { part } else { 0.0 };
        sum += *log;
    }
    logs.iter_mut().for_each(|part| *part /= sum);
    Some(largest + libm::log(sum))
}

/// Puts a spectrum into the component with the largest density alone, the first if there are
/// several; nothing if it is too far from all.
pub fn choose(logs: &mut [f64]) -> Option<f64> {
    let largest = largest(logs);
    let found = logs[largest];
    logs.fill(0.0);
    logs[largest] = 1.0;
    found.is_finite().then_some(found)
}

/// Which of some numbers is the largest, the first if there are several.
pub fn largest(numbers: &[f64]) -> usize {
    let largest = numbers.iter().enumerate();
    largest.fold(0, |most, (at, number)| if *number > numbers[most] { at } else { most })
}

#[cfg(test)]
mod tests {
    use super::super::triangle;
    use super::*;

    const POINTS: usize = 11;

    fn rows() -> Vec<Vec<f64>> {
        let value = |row: usize, point: usize| ((row * 7 + point * 3) % 10) as f64 / 4.0;
        (0..13).map(|row| (0..POINTS).map(|point| value(row, point)).collect()).collect()
    }

    /// Two components, whose covariance in each kind is the same diagonal one.
    fn mixture(kind: Covariance, variances: [f64; 2]) -> Mixture {
        let shape = Shape { kind, components: 2, points: POINTS };
        let covariance = |variance: f64| {
            let mut own = match kind {
                Covariance::Full | Covariance::Tied => vec![0.0; triangle::len(POINTS)],
                Covariance::Diag => return vec![variance; POINTS],
                Covariance::Spherical => return vec![variance],
            };
            triangle::add_to_diagonal(&mut own, POINTS, variance);
            own
        };
        let covariances = match kind {
            Covariance::Tied => covariance(variances[0]),
            _ => variances.map(covariance).concat(),
        };
        let mean = |at: f64| (0..POINTS).map(|point| at + point as f64 / 8.0).collect::<Vec<_>>();
        let means = [mean(0.5), mean(1.5)].concat();
        Mixture::new(Numbers { weights: vec![0.25, 0.75], means, covariances }, shape).unwrap()
    }

    #[test]
    fn densities_are_those_of_the_formula() {
        for kind in Covariance::ALL {
            let variances = if kind == Covariance::Tied { [0.5, 0.5] } else { [0.5, 2.0] };
            let mixture = mixture(kind, variances);
            let rows = rows();
            let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            let (mut lanes, mut logs) = (Lanes::default(), Vec::new());
            mixture.densities(&rows, &mut lanes, &mut logs);
            for (row, logs) in rows.iter().zip(logs.chunks_exact(2)) {
                for (component, log) in logs.iter().enumerate() {
                    let variance = variances[component];
                    let mean = &mixture.numbers.means[component * POINTS..][..POINTS];
                    let square: f64 = row.iter().zip(mean).map(|(x, m)| (x - m) * (x - m)).sum();
                    let norm = POINTS as f64 * (std::f64::consts::TAU * variance).ln();
                    let expected =
                        [0.25_f64, 0.75][component].ln() - 0.5 * (square / variance + norm);
                    assert!((log - expected).abs() < 1e-11, "{kind:?}: {log} {expected}");
                }
            }
        }
    }

    #[test]
    fn probabilities_are_stable_and_sum_up_to_one() {
        let mut logs = [-2000.0, -2000.0 - libm::log(3.0), -4000.0];
        let sum = respond(&mut logs).unwrap();
        assert!((logs[0] - 0.75).abs() < 1e-12 && (logs[1] - 0.25).abs() < 1e-12, "{logs:?}");
        assert_eq!(logs[2], 0.0);
        assert!((sum - (-2000.0 + libm::log(4.0 / 3.0))).abs() < 1e-10, "{sum}");
        // A component without weight has nothing, and where none has any there is no answer.
        let mut logs = [f64::NEG_INFINITY, 5.0];
        assert_eq!((respond(&mut logs), logs), (Some(5.0), [0.0, 1.0]));
        assert_eq!(respond(&mut [f64::NEG_INFINITY; 2]), None);
        assert_eq!(respond(&mut [f64::NAN; 2]), None);
        let mut logs = [1.0, 3.0, 3.0];
        assert_eq!((choose(&mut logs), logs), (Some(3.0), [0.0, 1.0, 0.0]));
        assert_eq!(choose(&mut [f64::NEG_INFINITY; 2]), None);
    }

    #[test]
    fn a_covariance_without_an_inverse_is_named() {
        let of = |kind, covariances: Vec<f64>| {
            let shape = Shape { kind, components: 2, points: 1 };
            let numbers = Numbers { weights: vec![0.5; 2], means: vec![0.0, 1.0], covariances };
            Mixture::new(numbers, shape).err().map(|why| why.to_string())
        };
        assert_eq!(of(Covariance::Diag, vec![1.0, 2.0]), None);
        for kind in [Covariance::Diag, Covariance::Spherical] {
            let told = of(kind, vec![1.0, 0.0]).unwrap();
            assert!(told.contains("the covariance of component 1 has no inverse"), "{told}");
            assert!(!told.contains("`covariance=diag`"), "{told}");
            assert!(of(kind, vec![f64::NAN, 1.0]).unwrap().contains("component 0"));
        }
        let told = of(Covariance::Tied, vec![0.0; 8]).unwrap();
        assert!(told.contains("the covariance that all components share has no inverse"), "{told}");
        assert!(told.ends_with("or `covariance=diag`"), "{told}");
        assert!(
            of(Covariance::Full, [[1.0; 8], [0.0; 8]].concat()).unwrap().contains("component 1")
        );
    }
}

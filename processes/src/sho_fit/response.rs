//! The oscillator's response over the band, and the sums over a spectrum that guess and fit are
//! made of.
//!
//! Frequencies are divided by a reference in the middle of the band, so that all numbers are of the
//! order of one. The model then is N/D with D = x² − iγx − k, k = x₀², γ = x₀/Q, and N =
//! k·A·e^{iφ}: linear in the complex number N, which is never searched for but solved exactly.

use num_complex::Complex64;

use super::lanes::{LANES, Lanes, chunks};

/// The frequencies of a spectrum.
pub(super) struct Band {
    /// In units of the reference; padded with zeros to a multiple of `LANES`.
    points: Vec<f64>,
    /// 1, and 0 for the padding.
    weights: Vec<f64>,
    /// How many there are without the padding.
    pub length: usize,
    /// What frequencies were divided by.
    pub reference: f64,
    /// The lowest and the highest.
    pub lowest: f64,
    pub highest: f64,
}

/// A spectrum divided by its largest part, so that no square over- or underflows.
#[derive(Default)]
pub(super) struct Signal {
    real: Vec<f64>,
    imaginary: Vec<f64>,
    /// What it was divided by.
    pub scale: f64,
    /// Σ|y|².
    pub power: f64,
    /// Σ|y − ȳ|².
    pub spread: f64,
}

/// The denominator of the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Denominator {
    /// k, the square of the resonance.
    pub square: f64,
    /// γ, the resonance over the quality factor.
    pub damping: f64,
}

/// Sums over a spectrum y with h = 1/D; h² and i·x·h² are its derivatives by k and γ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// Σ|h|².
    pub h_h: f64,
    /// Σ h̄·h².
    pub h_hh: Complex64,
    /// Σ x·h̄·h².
    pub h_xhh: Complex64,
    /// Σ|h²|².
    pub hh_hh: f64,
    /// Σ x²·|h²|².
    pub xhh_xhh: f64,
    /// Σ h̄·y.
    pub h_y: Complex64,
    /// Σ conj(h²)·y.
    pub hh_y: Complex64,
    /// Σ x·conj(h²)·y.
    pub xhh_y: Complex64,
}

impl Band {
    /// The band of the given frequencies, which are finite and not all the same.
    pub fn new(frequencies: &[f64]) -> Self {
        let lowest = frequencies.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = frequencies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let reference = 0.5 * (lowest + highest);
        let padded = frequencies.len().next_multiple_of(LANES);
        let mut points: Vec<f64> = frequencies.iter().map(|value| value / reference).collect();
        points.resize(padded, 0.0);
        let mut weights = vec![1.0; frequencies.len()];
        weights.resize(padded, 0.0);
        Self {
            points,
            weights,
            length: frequencies.len(),
            reference,
            lowest: lowest / reference,
            highest: highest / reference,
        }
    }

    /// Frequency number `index`, in units of the reference.
    pub fn point(&self, index: usize) -> f64 {
        self.points[index]
    }

    /// All sums at once.
    pub fn sums(&self, signal: &Signal, denominator: Denominator) -> Sums {
        sums(&self.points, &self.weights, signal, denominator)
    }

    /// Σ|h|² and Σ h̄·y.
    pub fn projection(&self, signal: &Signal, denominator: Denominator) -> (f64, Complex64) {
        projection(&self.points, &self.weights, signal, denominator)
    }

    /// Σ|y − N·h|².
    pub fn residual(&self, signal: &Signal, denominator: Denominator, factor: Complex64) -> f64 {
        residual(&self.points, &self.weights, signal, denominator, factor)
    }

    /// Σ|y − N·h|, not squared.
    pub fn magnitudes(&self, signal: &Signal, denominator: Denominator, factor: Complex64) -> f64 {
        magnitudes(&self.points, &self.weights, signal, denominator, factor)
    }
}

impl Denominator {
    /// That of a resonance with this quality factor's inverse.
    pub fn new(resonance: f64, loss: f64) -> Self {
        Self { square: resonance * resonance, damping: resonance * loss }
    }
}

impl Signal {
    /// Takes over a spectrum; whether all its values are finite.
    pub fn take(&mut self, spectrum: &[Complex64]) -> bool {
        self.scale = spectrum.iter().fold(0.0, |most: f64, y| most.max(y.re.abs()).max(y.im.abs()));
        if !spectrum.iter().all(|y| y.is_finite()) {
            return false;
        }
        let padded = spectrum.len().next_multiple_of(LANES);
        let divisor = if self.scale > 0.0 { self.scale } else { 1.0 };
        for (parts, part) in
            [(&mut self.real, (|y| y.re) as fn(&Complex64) -> f64), (&mut self.imaginary, |y| y.im)]
        {
            parts.clear();
            parts.extend(spectrum.iter().map(|y| part(y) / divisor));
            parts.resize(padded, 0.0);
        }
        let count = spectrum.len() as f64;
        let mean = |parts: &[f64]| parts.iter().sum::<f64>() / count;
        let mean = Complex64::new(mean(&self.real), mean(&self.imaginary));
        self.power = (0..spectrum.len()).map(|at| self.value(at).norm_sqr()).sum();
        self.spread = (0..spectrum.len()).map(|at| (self.value(at) - mean).norm_sqr()).sum();
        true
    }

    /// Value number `index`.
    pub fn value(&self, index: usize) -> Complex64 {
        Complex64::new(self.real[index], self.imaginary[index])
    }

    /// Some values after the other: frequencies, weights, real and imaginary parts.
    #[inline(always)]
    fn lanes<'a>(
        &'a self,
        points: &'a [f64],
        weights: &'a [f64],
    ) -> impl Iterator<Item = [Lanes; 4]> + 'a {
        let parts = chunks(&self.real).zip(chunks(&self.imaginary));
        let axis = chunks(points).zip(chunks(weights));
        axis.zip(parts).map(|((x, weight), (re, im))| [x, weight, re, im])
    }
}

/// |h|² and h.
#[inline(always)]
fn shape(x: Lanes, weight: Lanes, denominator: Denominator) -> (Lanes, Lanes, Lanes) {
    let p = x * x - Lanes::all(denominator.square);
    let q = x * Lanes::all(denominator.damping);
    let norm = weight / (p * p + q * q);
    (norm, p * norm, q * norm)
}

/// h̄·y.
#[inline(always)]
fn against(h_re: Lanes, h_im: Lanes, re: Lanes, im: Lanes) -> (Lanes, Lanes) {
    (h_re * re + h_im * im, h_re * im - h_im * re)
}

/// |y − N·h|².
#[inline(always)]
fn left(h_re: Lanes, h_im: Lanes, re: Lanes, im: Lanes, factor: Complex64) -> Lanes {
    let (factor_re, factor_im) = (Lanes::all(factor.re), Lanes::all(factor.im));
    let left_re = re - (factor_re * h_re - factor_im * h_im);
    let left_im = im - (factor_re * h_im + factor_im * h_re);
    left_re * left_re + left_im * left_im
}

// Each is compiled a second time for processors with AVX2, where a fit takes two thirds of the
// time.

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sums(points: &[f64], weights: &[f64], signal: &Signal, denominator: Denominator) -> Sums {
    let mut total = [Lanes::all(0.0); 13];
    for [x, weight, re, im] in signal.lanes(points, weights) {
        let (norm, h_re, h_im) = shape(x, weight, denominator);
        let (y_re, y_im) = against(h_re, h_im, re, im);
        let (z_re, z_im) = against(h_re, h_im, y_re, y_im);
        let (c_re, c_im, d) = (norm * h_re, norm * h_im, norm * norm);
        total[0] = total[0] + norm;
        total[1] = total[1] + c_re;
        total[2] = total[2] + c_im;
        total[3] = total[3] + x * c_re;
        total[4] = total[4] + x * c_im;
        total[5] = total[5] + d;
        total[6] = total[6] + x * x * d;
        total[7] = total[7] + y_re;
        total[8] = total[8] + y_im;
        total[9] = total[9] + z_re;
        total[10] = total[10] + z_im;
        total[11] = total[11] + x * z_re;
        total[12] = total[12] + x * z_im;
    }
    // Each by its own number, so that none has to lie in memory.
    let real = |at: usize| total[at].added();
    let complex = |at: usize| Complex64::new(real(at), real(at + 1));
    Sums {
        h_h: real(0),
        h_hh: complex(1),
        h_xhh: complex(3),
        hh_hh: real(5),
        xhh_xhh: real(6),
        h_y: complex(7),
        hh_y: complex(9),
        xhh_y: complex(11),
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn projection(
    points: &[f64],
    weights: &[f64],
    signal: &Signal,
    denominator: Denominator,
) -> (f64, Complex64) {
    let mut total = [Lanes::all(0.0); 3];
    for [x, weight, re, im] in signal.lanes(points, weights) {
        let (norm, h_re, h_im) = shape(x, weight, denominator);
        let (y_re, y_im) = against(h_re, h_im, re, im);
        total[0] = total[0] + norm;
        total[1] = total[1] + y_re;
        total[2] = total[2] + y_im;
    }
    let [norm, re, im] = total.map(Lanes::added);
    (norm, Complex64::new(re, im))
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn residual(
    points: &[f64],
    weights: &[f64],
    signal: &Signal,
    denominator: Denominator,
    factor: Complex64,
) -> f64 {
    let mut total = Lanes::all(0.0);
    for [x, weight, re, im] in signal.lanes(points, weights) {
        let (_, h_re, h_im) = shape(x, weight, denominator);
        total = total + left(h_re, h_im, re, im, factor);
    }
    total.added()
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn magnitudes(
    points: &[f64],
    weights: &[f64],
    signal: &Signal,
    denominator: Denominator,
    factor: Complex64,
) -> f64 {
    let mut total = Lanes::all(0.0);
    for [x, weight, re, im] in signal.lanes(points, weights) {
        let (_, h_re, h_im) = shape(x, weight, denominator);
        total = total + left(h_re, h_im, re, im, factor).root();
    }
    total.added()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums as they are defined, for spectra that fill the lanes and others.
    #[test]
    fn sums_are_those_of_their_definition() {
        for length in [3, 8, 13, 119] {
            let frequencies: Vec<f64> = (0..length).map(|at| 300.0 + at as f64 * 0.7).collect();
            let values: Vec<Complex64> = (0..length)
                .map(|at| Complex64::new((at as f64).sin() * 3.0, (at as f64 * 0.3).cos()))
                .collect();
            let band = Band::new(&frequencies);
            let mut signal = Signal::default();
            assert!(signal.take(&values));
            let denominator = Denominator::new(1.004, 0.02);
            let factor = Complex64::new(0.02, -0.01);
            let h = |at: usize| {
                let x = frequencies[at] / band.reference;
                let real = x * x - denominator.square;
                (x, Complex64::new(real, -x * denominator.damping).inv())
            };
            let total = |term: &dyn Fn(f64, Complex64, Complex64) -> Complex64| -> Complex64 {
                let terms = (0..length).map(|at| {
                    let (x, h) = h(at);
                    term(x, h, values[at] / signal.scale)
                });
                terms.sum()
            };
            let sums = band.sums(&signal, denominator);
            let (norm, product) = band.projection(&signal, denominator);
            let residual = band.residual(&signal, denominator, factor);
            let magnitudes = band.magnitudes(&signal, denominator, factor);
            for (found, expected) in [
                (sums.h_h.into(), total(&|_, h, _| h.conj() * h)),
                (sums.h_hh, total(&|_, h, _| h.conj() * h * h)),
                (sums.h_xhh, total(&|x, h, _| x * h.conj() * h * h)),
                (sums.hh_hh.into(), total(&|_, h, _| (h * h).norm_sqr().into())),
                (sums.xhh_xhh.into(), total(&|x, h, _| (x * h * h).norm_sqr().into())),
                (sums.h_y, total(&|_, h, y| h.conj() * y)),
                (sums.hh_y, total(&|_, h, y| (h * h).conj() * y)),
                (sums.xhh_y, total(&|x, h, y| x * (h * h).conj() * y)),
                (norm.into(), total(&|_, h, _| h.norm_sqr().into())),
                (product, total(&|_, h, y| h.conj() * y)),
                (residual.into(), total(&|_, h, y| (y - factor * h).norm_sqr().into())),
                (magnitudes.into(), total(&|_, h, y| (y - factor * h).norm().into())),
                (signal.power.into(), total(&|_, _, y| y.norm_sqr().into())),
            ] {
                let difference = (found - expected).norm();
                assert!(difference <= 1e-12 * expected.norm(), "{length}: {found} {expected}");
            }
        }
    }
}

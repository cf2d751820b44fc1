//! The oscillator's response over the band, and the sums over a spectrum that guess and fit are made of.
//!
//! Frequencies are divided by a reference in the middle of the band, so that all numbers are near 1. The
//! model then is N/D with D = x² − iγx − k, k = x₀², γ = x₀/Q, and N = k·A·e^{iφ}: linear in the complex
//! number N, which is never searched for but solved exactly.

use num_complex::Complex64;

/// Values that are computed side by side. The number is fixed, so that results have the same bits on
/// every machine, also where they are compiled for wider registers.
const LANES: usize = 4;

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

    /// Four values after the other: frequencies, weights, real and imaginary parts.
    fn lanes<'a>(
        &'a self,
        points: &'a [f64],
        weights: &'a [f64],
    ) -> impl Iterator<Item = [&'a [f64; LANES]; 4]> {
        let chunks = |values: &'a [f64]| values.as_chunks::<LANES>().0.iter();
        let parts = chunks(&self.real).zip(chunks(&self.imaginary));
        let axis = chunks(points).zip(chunks(weights));
        axis.zip(parts).map(|((x, weight), (re, im))| [x, weight, re, im])
    }
}

/// |h|² and h at one frequency.
#[inline(always)]
fn shape(x: f64, weight: f64, denominator: Denominator) -> (f64, f64, f64) {
    let (p, q) = (x * x - denominator.square, x * denominator.damping);
    let norm = weight / (p * p + q * q);
    (norm, p * norm, q * norm)
}

/// h̄·y.
#[inline(always)]
fn against(h_re: f64, h_im: f64, re: f64, im: f64) -> (f64, f64) {
    (h_re * re + h_im * im, h_re * im - h_im * re)
}

/// |y − N·h|².
#[inline(always)]
fn left(h_re: f64, h_im: f64, re: f64, im: f64, factor: Complex64) -> f64 {
    let left_re = re - (factor.re * h_re - factor.im * h_im);
    let left_im = im - (factor.re * h_im + factor.im * h_re);
    left_re * left_re + left_im * left_im
}

fn added(lanes: [f64; LANES]) -> f64 {
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

// Each is compiled a second time for processors with AVX2, where it takes half the time.

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sums(points: &[f64], weights: &[f64], signal: &Signal, denominator: Denominator) -> Sums {
    let mut total = [[0.0; LANES]; 13];
    for [x, weight, re, im] in signal.lanes(points, weights) {
        for lane in 0..LANES {
            let x = x[lane];
            let (norm, h_re, h_im) = shape(x, weight[lane], denominator);
            let (y_re, y_im) = against(h_re, h_im, re[lane], im[lane]);
            let (z_re, z_im) = against(h_re, h_im, y_re, y_im);
            let (c_re, c_im, d) = (norm * h_re, norm * h_im, norm * norm);
            total[0][lane] += norm;
            total[1][lane] += c_re;
            total[2][lane] += c_im;
            total[3][lane] += x * c_re;
            total[4][lane] += x * c_im;
            total[5][lane] += d;
            total[6][lane] += x * x * d;
            total[7][lane] += y_re;
            total[8][lane] += y_im;
            total[9][lane] += z_re;
            total[10][lane] += z_im;
            total[11][lane] += x * z_re;
            total[12][lane] += x * z_im;
        }
    }
    let total = total.map(added);
    let complex = |at: usize| Complex64::new(total[at], total[at + 1]);
    Sums {
        h_h: total[0],
        h_hh: complex(1),
        h_xhh: complex(3),
        hh_hh: total[5],
        xhh_xhh: total[6],
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
    let mut total = [[0.0; LANES]; 3];
    for [x, weight, re, im] in signal.lanes(points, weights) {
        for lane in 0..LANES {
            let (norm, h_re, h_im) = shape(x[lane], weight[lane], denominator);
            let (y_re, y_im) = against(h_re, h_im, re[lane], im[lane]);
            total[0][lane] += norm;
            total[1][lane] += y_re;
            total[2][lane] += y_im;
        }
    }
    let [norm, re, im] = total.map(added);
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
    let mut total = [0.0; LANES];
    for [x, weight, re, im] in signal.lanes(points, weights) {
        for lane in 0..LANES {
            let (_, h_re, h_im) = shape(x[lane], weight[lane], denominator);
            total[lane] += left(h_re, h_im, re[lane], im[lane], factor);
        }
    }
    added(total)
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn magnitudes(
    points: &[f64],
    weights: &[f64],
    signal: &Signal,
    denominator: Denominator,
    factor: Complex64,
) -> f64 {
    let mut total = [0.0; LANES];
    for [x, weight, re, im] in signal.lanes(points, weights) {
        for lane in 0..LANES {
            let (_, h_re, h_im) = shape(x[lane], weight[lane], denominator);
            total[lane] += left(h_re, h_im, re[lane], im[lane], factor).sqrt();
        }
    }
    added(total)
}

//! Peaks of a spectrum as ridge lines of its continuous wavelet transform.
//!
//! The spectrum is convolved with Ricker wavelets of increasing width.  Relative maxima are linked
//! from the widest wavelet to the narrowest into ridge lines, and a line that is long enough and
//! stands out from the noise floor marks a peak where it ends.
//!
//! The method is that of Du, Kibbe & Lin (2006), Bioinformatics 22, 2059; every choice it leaves
//! open is made as in SciPy 1.13's `scipy.signal.find_peaks_cwt`.

use super::Parameters;

/// Neighbouring samples, or transform values, computed together.
const LANES: usize = 8;
type Lanes = [f64; LANES];

/// A search prepared for spectra of one length.
#[derive(Clone, Debug)]
pub struct RidgeFinder {
    length: usize,
    rows: usize,
    /// Wavelets shorter than the spectrum.
    short: Vec<Pair>,
    /// Wavelets as long as the spectrum, or those that `mix` combines to them.
    basis: Vec<Pair>,
    mix: Option<Vec<Pair>>,
    max_distances: Vec<f64>,
    gap_threshold: f64,
    min_length: f64,
    min_snr: f64,
    noise_percentile: f64,
    window_size: usize,
}

/// Buffers that one thread reuses from spectrum to spectrum.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    padded: Vec<f64>,
    folded: Vec<Lanes>,
    modes: Vec<Lanes>,
    transform: Vec<f64>,
    maxima: Vec<usize>,
    lines: Vec<Line>,
    ends: Vec<usize>,
    window: Vec<f64>,
    peaks: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    row: usize,
    column: usize,
    length: usize,
    gap: usize,
}

impl RidgeFinder {
    /// Prepares the wavelets of `search` for spectra of `length` points.
    pub fn new(search: &Parameters, length: usize) -> Self {
        let widths = linspace(search.width_min, search.width_max, search.num_steps);
        let is_full = |width: f64| 10.0 * width >= length as f64;
        let first_short = widths.iter().position(|&w| !is_full(w)).unwrap_or(0);
        let first_full = widths.iter().position(|&w| is_full(w)).unwrap_or(0);
        let (full, short): (Vec<f64>, Vec<f64>) = widths.iter().partition(|&&w| is_full(w));

        let short = short.iter().map(|&width| short_taps(width, length)).collect::<Vec<_>>();
        let full = full.iter().map(|&width| folded_taps(width, length)).collect::<Vec<_>>();
        let (basis, mix) = factor(&full);
        let depth = length.div_ceil(2);
        let worthwhile = basis.len() * (depth + full.len()) < full.len() * depth;
        let (basis, mix) = if worthwhile {
            (Pair::from_filters(&basis, 0), Some(Pair::from_filters(&mix, first_full)))
        } else {
            (Pair::from_filters(&full, first_full), None)
        };

        Self {
            length,
            rows: widths.len(),
            short: Pair::from_filters(&short, first_short),
            basis,
            mix,
            max_distances: widths.iter().map(|width| width / 4.0).collect(),
            gap_threshold: search.gap_threshold.unwrap_or(search.width_min.ceil()),
            min_length: search.min_length.unwrap_or((widths.len() as f64 / 4.0).ceil()),
            min_snr: search.min_snr,
            noise_percentile: search.noise_percentile.clamp(0.0, 100.0),
            window_size: search.window_size.unwrap_or(length.div_ceil(20)),
        }
    }

    /// Finds the peaks of one spectrum, in ascending order.
    ///
    /// A spectrum with a sample that is not finite has none.
    ///
    /// # Panics
    ///
    /// If the spectrum does not have the length this was prepared for.
    pub fn peaks<'s>(&self, magnitude: &[f64], scratch: &'s mut Scratch) -> &'s [usize] {
        assert_eq!(magnitude.len(), self.length, "length of the spectrum");
        scratch.peaks.clear();
        if self.rows > 0 && magnitude.iter().all(|sample| sample.is_finite()) {
            self.transform(magnitude, scratch);
            self.link(scratch);
            scratch.peaks.sort_unstable();
        }
        &scratch.peaks
    }

    /// Distance between rows of the transform.
    fn stride(&self) -> usize {
        self.length.next_multiple_of(LANES)
    }

    /// Fills `scratch.transform`, one row for each width.
    fn transform(&self, magnitude: &[f64], scratch: &mut Scratch) {
        let Scratch { padded, folded, modes, transform, .. } = scratch;
        let (length, stride) = (self.length, self.stride());
        padded.clear();
        padded.resize(length / 2, 0.0);
        padded.extend_from_slice(magnitude);
        padded.resize(length + stride, 0.0);
        transform.resize(self.rows * stride, 0.0);

        for column in (0..length).step_by(LANES) {
            let under = &padded[column..column + length + LANES - 1];
            let mut store = |row: usize, values: Lanes| {
                let start = row * stride + column;
                transform[start..start + LANES].copy_from_slice(&values);
            };
            for pair in &self.short {
                pair.apply(under[pair.offset..].array_windows(), &mut store);
            }
            fold(under, folded);
            let Some(mix) = &self.mix else {
                self.basis.iter().for_each(|pair| pair.apply(folded.iter(), &mut store));
                continue;
            };
            modes.clear();
            for pair in &self.basis {
                pair.apply(folded.iter(), &mut |_, values| modes.push(values));
            }
            mix.iter().for_each(|pair| pair.apply(modes.iter(), &mut store));
        }
    }

    /// Links maxima into ridge lines, from the widest wavelet to the narrowest.
    fn link(&self, scratch: &mut Scratch) {
        scratch.lines.clear();
        for row in (0..self.rows).rev() {
            let start = row * self.stride();
            find_maxima(&scratch.transform[start..start + self.length], &mut scratch.maxima);
            self.extend_lines(row, scratch);
            self.close_lines(self.gap_threshold, scratch);
        }
        self.close_lines(-1.0, scratch);
    }

    /// Joins each maximum of a row to the line that ends nearest, or starts a line with it.
    ///
    /// Several maxima may join one line; the last of them is where the line then ends.
    fn extend_lines(&self, row: usize, scratch: &mut Scratch) {
        let Scratch { maxima, lines, ends, .. } = scratch;
        ends.clear();
        ends.extend(lines.iter().map(|line| line.column));
        lines.iter_mut().for_each(|line| line.gap += 1);

        for &column in maxima.iter() {
            let nearest = (0..ends.len()).min_by_key(|&line| ends[line].abs_diff(column));
            match nearest {
                Some(nearest)
                    if ends[nearest].abs_diff(column) as f64 <= self.max_distances[row] =>
                {
                    let length = lines[nearest].length + 1;
                    lines[nearest] = Line { row, column, length, gap: 0 };
                }
                _ => lines.push(Line { row, column, length: 1, gap: 0 }),
            }
        }
    }

    /// Removes the lines with a gap above the threshold, and keeps the ends of the good ones.
    fn close_lines(&self, gap_threshold: f64, scratch: &mut Scratch) {
        let Scratch { transform, lines, window, peaks, .. } = scratch;
        lines.retain(|line| {
            let closed = line.gap as f64 > gap_threshold;
            if closed && self.is_peak(line, transform, window) {
                peaks.push(line.column);
            }
            !closed
        });
    }

    /// Whether a line is long enough and stands out from the noise.
    ///
    /// As in SciPy a ratio that is not a number passes.
    fn is_peak(&self, line: &Line, transform: &[f64], window: &mut Vec<f64>) -> bool {
        if (line.length as f64) < self.min_length {
            return false;
        }
        let half = self.window_size / 2;
        let from = line.column.saturating_sub(half);
        let to = line.column.saturating_add(half + self.window_size % 2).min(self.length);
        window.clear();
        window.extend_from_slice(&transform[from..to]);
        let noise = percentile(window, self.noise_percentile);
        let signal = transform[line.row * self.stride() + line.column];
        let ratio = (signal / noise).abs();
        ratio.is_nan() || ratio >= self.min_snr
    }
}

/// Two filters side by side, so that each vector of samples is loaded once for both.
#[derive(Clone, Debug)]
struct Pair {
    /// Row of the transform that the first filter gives.
    row: usize,
    offset: usize,
    taps: Vec<[f64; 2]>,
    is_single: bool,
}

/// One filter: its taps, and the sample under the first of them.
#[derive(Clone, Debug, PartialEq)]
struct Taps {
    offset: usize,
    values: Vec<f64>,
}

impl Pair {
    fn from_filters(filters: &[Taps], first_row: usize) -> Vec<Self> {
        let rows = (first_row..).step_by(2);
        filters.chunks(2).zip(rows).map(|(filters, row)| Self::new(filters, row)).collect()
    }

    fn new(filters: &[Taps], row: usize) -> Self {
        let offset = filters.iter().map(|filter| filter.offset).min().unwrap_or(0);
        let end = filters.iter().map(|filter| filter.offset + filter.values.len()).max();
        let mut taps = vec![[0.0; 2]; end.unwrap_or(offset) - offset];
        for (side, filter) in filters.iter().enumerate() {
            for (pair, &tap) in taps[filter.offset - offset..].iter_mut().zip(&filter.values) {
                pair[side] = tap;
            }
        }
        Self { row, offset, taps, is_single: filters.len() == 1 }
    }

    #[inline(always)]
    fn apply<'a>(
        &self,
        samples: impl Iterator<Item = &'a Lanes>,
        store: &mut impl FnMut(usize, Lanes),
    ) {
        let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
        for (&[a, b], sample) in self.taps.iter().zip(samples) {
            for lane in 0..LANES {
                first[lane] += a * sample[lane];
                second[lane] += b * sample[lane];
            }
        }
        store(self.row, first);
        if !self.is_single {
            store(self.row + 1, second);
        }
    }
}

/// Adds the samples at equal distance before and after the centre of a symmetric wavelet.
fn fold(samples: &[f64], folded: &mut Vec<Lanes>) {
    let length = samples.len() - LANES + 1;
    folded.resize(length.div_ceil(2), [0.0; LANES]);
    let (before, after) =
        (samples.array_windows::<LANES>(), samples.array_windows::<LANES>().rev());
    for ((sum, before), after) in folded.iter_mut().zip(before).zip(after) {
        for lane in 0..LANES {
            sum[lane] = before[lane] + after[lane];
        }
    }
}

/// Taps of a wavelet that is shorter than the spectrum.
///
/// Its number of points is ten widths, rounded up, but its centre is that of the unrounded number.
fn short_taps(width: f64, length: usize) -> Taps {
    let values = ricker(10.0 * width, width);
    Taps { offset: (length / 2).saturating_sub(values.len() / 2), values }
}

/// Taps of a wavelet as long as the spectrum, for folded samples.
fn folded_taps(width: f64, length: usize) -> Taps {
    let mut values = ricker(length as f64, width);
    values.truncate(length.div_ceil(2));
    if length % 2 == 1 {
        // Folding counts the central sample twice.
        values.last_mut().into_iter().for_each(|centre| *centre /= 2.0);
    }
    Taps { offset: 0, values }
}

/// Ricker wavelet, normalised to unit energy, about the middle of `points`.
fn ricker(points: f64, width: f64) -> Vec<f64> {
    let amplitude = 2.0 / ((3.0 * width).sqrt() * std::f64::consts::PI.powf(0.25));
    let tap = |index: usize| {
        let square = (index as f64 - (points - 1.0) / 2.0).powi(2);
        let variance = width * width;
        amplitude * (1.0 - square / variance) * (-square / (2.0 * variance)).exp()
    };
    (0..points.ceil() as usize).map(tap).collect()
}

/// Writes wavelets as combinations of orthonormal ones: `(basis, combinations)`.
///
/// Wavelets of neighbouring widths are so alike that far fewer represent all of them, to an error
/// below the rounding error of the sum over their taps.
fn factor(wavelets: &[Taps]) -> (Vec<Taps>, Vec<Taps>) {
    let mut residuals = wavelets.iter().map(|wavelet| wavelet.values.clone()).collect::<Vec<_>>();
    let norms = residuals.iter().map(|wavelet| norm(wavelet)).collect::<Vec<_>>();
    let mut combinations = vec![Taps { offset: 0, values: Vec::new() }; wavelets.len()];
    let mut basis = Vec::new();

    while basis.len() < wavelets.len() {
        let remainder = |row: &usize| norm(&residuals[*row]) / norms[*row];
        let rows = (0..wavelets.len()).filter(|row| remainder(row) > 16.0 * f64::EPSILON);
        let Some(pivot) = rows.max_by(|a, b| remainder(a).total_cmp(&remainder(b))) else {
            break;
        };
        let scale = norm(&residuals[pivot]);
        let mode = residuals[pivot].iter().map(|tap| tap / scale).collect::<Vec<_>>();
        for (residual, combination) in residuals.iter_mut().zip(&mut combinations) {
            let share: f64 = residual.iter().zip(&mode).map(|(a, b)| a * b).sum();
            residual.iter_mut().zip(&mode).for_each(|(tap, mode)| *tap -= share * mode);
            combination.values.push(share);
        }
        basis.push(Taps { offset: 0, values: mode });
    }
    (basis, combinations)
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Evenly spaced numbers that include both ends, rounded as NumPy rounds them.
fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let step = (stop - start) / count.saturating_sub(1) as f64;
    (0..count)
        .map(|index| match index {
            0 => start,
            _ if index + 1 == count => stop,
            _ => index as f64 * step + start,
        })
        .collect()
}

/// Positions of the values greater than both neighbours.
fn find_maxima(row: &[f64], maxima: &mut Vec<usize>) {
    const SPAN: usize = LANES + 2;
    maxima.clear();
    let mut first = 1;
    // Few groups have a maximum, and whether one has is quickly seen for all its values at once.
    for group in row.array_windows::<SPAN>().step_by(LANES) {
        let rises: Lanes =
            std::array::from_fn(|lane| group[lane + 1] - greater(group[lane], group[lane + 2]));
        let pairwise: [f64; LANES / 2] =
            std::array::from_fn(|lane| greater(rises[lane], rises[lane + LANES / 2]));
        if pairwise.iter().any(|&rise| rise > 0.0) {
            maxima.extend((0..LANES).filter(|&lane| rises[lane] > 0.0).map(|lane| first + lane));
        }
        first += LANES;
    }
    let rest = row[first - 1..].array_windows().zip(first..);
    maxima.extend(rest.filter(|([a, b, c], _)| *b > greater(*a, *c)).map(|(_, index)| index));
}

/// The greater of two numbers, in the form that processors have an instruction for.
fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// Percentile with linear interpolation, in the arithmetic of `scipy.stats.scoreatpercentile`.
fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else {
        return f64::NAN;
    };
    let rank = percent / 100.0 * last as f64;
    let below = rank.floor();
    let value = values[below as usize];
    if below == rank {
        return value;
    }
    let (low, high) = (below + 1.0 - rank, rank - below);
    (value * low + values[last.min(below as usize + 1)] * high) / (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lorentzian(position: f64, centre: f64, width: f64) -> f64 {
        1.0 / (1.0 + ((position - centre) / width).powi(2))
    }

    fn spectrum(length: usize, value: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..length).map(|index| value(index as f64)).collect()
    }

    /// `x`: 1/(1 + ((t - 47.3)/9)**2) + 0.7/(1 + ((t - 96.2)/6)**2) for t = arange(119.)
    fn two_peaks() -> Vec<f64> {
        spectrum(119, |t| lorentzian(t, 47.3, 9.0) + 0.7 * lorentzian(t, 96.2, 6.0))
    }

    /// `z`: x + 0.05*((t*t*7 + t*3) % 11)/11
    fn rough() -> Vec<f64> {
        let ripple = |t: f64| 0.05 * ((t * t * 7.0 + t * 3.0) % 11.0) / 11.0;
        two_peaks().iter().zip(0..).map(|(x, t)| x + ripple(f64::from(t))).collect()
    }

    fn widths(width_min: f64, width_max: f64, num_steps: usize) -> Parameters {
        Parameters { width_min, width_max, num_steps, ..Parameters::default() }
    }

    fn find(magnitude: &[f64], search: &Parameters) -> Vec<usize> {
        RidgeFinder::new(search, magnitude.len()).peaks(magnitude, &mut Scratch::default()).to_vec()
    }

    // The expected peaks below are what SciPy 1.13.1 returns for
    // find_peaks_cwt(signal, linspace(width_min, width_max, num_steps), ...).

    #[test]
    fn wide_wavelets_give_the_peaks_of_scipy() {
        let one = spectrum(119, |t| lorentzian(t, 47.3, 9.0));
        assert_eq!(find(&one, &Parameters::default()), [47]);
        assert_eq!(find(&two_peaks(), &Parameters::default()), [46, 100]);
    }

    #[test]
    fn short_wavelets_give_the_peaks_of_scipy() {
        assert_eq!(find(&two_peaks(), &widths(2.0, 10.0, 9)), [4, 48, 74, 97]);
        assert_eq!(find(&two_peaks(), &widths(2.3, 9.1, 9)), [4, 48, 97, 116]);
    }

    #[test]
    fn even_and_odd_lengths_give_the_peaks_of_scipy() {
        let expected: [(usize, &[usize], &[usize]); 4] = [
            (16, &[8], &[7]),
            (17, &[8], &[7]),
            (40, &[17], &[1, 16, 37]),
            (118, &[48], &[4, 47, 48, 114]),
        ];
        for (length, wide, narrow) in expected {
            let signal = spectrum(length, |t| lorentzian(t, 0.4 * length as f64, 3.0));
            assert_eq!(find(&signal, &Parameters::default()), wide, "length {length}");
            assert_eq!(find(&signal, &widths(1.0, 5.0, 9)), narrow, "length {length}");
        }
    }

    #[test]
    fn parameters_have_the_effect_they_have_in_scipy() {
        let base = widths(1.0, 6.0, 11);
        let rough = rough();
        assert_eq!(find(&rough, &base), [4, 47, 48, 73, 74, 96, 97, 116]);

        let noise = Parameters { min_snr: 3.0, noise_percentile: 50.0, ..base.clone() };
        assert_eq!(find(&rough, &noise), [4, 8, 13, 19, 47, 73, 74, 96, 116]);
        let gap = Parameters { gap_threshold: Some(0.0), ..base.clone() };
        assert_eq!(find(&rough, &gap), [4, 48, 73, 74, 97, 116]);
        let length = Parameters { min_length: Some(11.0), ..base.clone() };
        assert!(find(&rough, &length).is_empty());
        let window =
            Parameters { window_size: Some(40), min_snr: 2.0, noise_percentile: 90.0, ..base };
        assert_eq!(find(&rough, &window), [4, 47, 73, 74, 96, 97]);
    }

    #[test]
    fn transform_has_the_values_of_scipy() {
        // _cwt(x, _ricker, linspace(2.3, 30, 3))[:, [0, 47, 60, 118]]
        let expected = [
            [5.31558695e-03, 3.12861711e-01, -8.02828679e-02, -2.26514793e-03],
            [-6.18887482e-01, 2.43368840e+00, 5.56182861e-01, -4.81379187e-01],
            [-9.00808776e-01, 2.35267726e+00, 2.06940654e+00, 4.03215962e-01],
        ];
        let finder = RidgeFinder::new(&widths(2.3, 30.0, 3), 119);
        let mut scratch = Scratch::default();
        finder.peaks(&two_peaks(), &mut scratch);
        for (row, expected) in scratch.transform.chunks_exact(finder.stride()).zip(expected) {
            for (column, value) in [0, 47, 60, 118].into_iter().zip(expected) {
                assert!((row[column] - value).abs() < 1e-8, "{} is not {value}", row[column]);
            }
        }
    }

    #[test]
    fn few_orthonormal_wavelets_represent_all() {
        let widths = linspace(20.0, 60.0, 30);
        let wavelets = widths.iter().map(|&w| folded_taps(w, 119)).collect::<Vec<_>>();
        let (basis, combinations) = factor(&wavelets);
        assert!(basis.len() < 15, "{} wavelets", basis.len());
        for (wavelet, combination) in wavelets.iter().zip(&combinations) {
            for (index, tap) in wavelet.values.iter().enumerate() {
                let modes = basis.iter().map(|mode| mode.values[index]);
                let sum: f64 = modes.zip(&combination.values).map(|(mode, c)| mode * c).sum();
                assert!((sum - tap).abs() < 1e-14, "{sum} is not {tap}");
            }
        }
    }

    #[test]
    fn a_shift_of_the_spectrum_shifts_its_peaks() {
        let peak = |centre: f64| spectrum(300, |t| (-((t - centre) / 4.0).powi(2)).exp());
        let search = widths(2.0, 8.0, 7);
        // A wavelet with an even number of taps places a peak half a sample late.
        assert_eq!(find(&peak(140.2), &search), [141]);
        assert_eq!(find(&peak(157.2), &search), [158]);
    }

    #[test]
    fn spectra_without_structure_have_no_peaks() {
        assert!(find(&[], &Parameters::default()).is_empty());
        assert!(find(&[1.0], &Parameters::default()).is_empty());
        assert_eq!(find(&[0.0, 1.0, 0.0], &Parameters::default()), [1]);
        assert!(find(&[0.0; 119], &Parameters::default()).is_empty());
        assert!(find(&rough(), &widths(20.0, 60.0, 0)).is_empty());
    }

    /// `find_peaks_cwt(x, linspace(20, 60, 30))` and `(x, linspace(1, 4, 4))` of SciPy 1.13.1.
    #[test]
    fn spectra_shorter_than_any_wavelet_have_the_peaks_of_scipy() {
        let narrow: [&[usize]; 13] = [
            &[],
            &[],
            &[1],
            &[2],
            &[2],
            &[1, 3, 4],
            &[1, 2, 3],
            &[1, 4],
            &[1, 3, 4, 4],
            &[1, 5, 6, 7],
            &[1, 4, 5, 6, 9],
            &[1, 6, 6, 7, 8, 9],
            &[1, 5, 6, 8, 9],
        ];
        for (length, narrow) in (1..).zip(narrow) {
            let middle = (length / 2) as f64;
            let value = |t: f64| (t * t * 7.0 + t * 3.0) % 11.0 / 11.0 + f64::from(t == middle);
            let wide = if length < 3 { vec![] } else { vec![length / 2] };
            assert_eq!(find(&spectrum(length, value), &Parameters::default()), wide, "{length}");
            assert_eq!(find(&spectrum(length, value), &widths(1.0, 4.0, 4)), narrow, "{length}");
        }
    }

    #[test]
    fn a_constant_spectrum_has_mirrored_peaks_from_its_ends() {
        // SciPy gives 20 and 98, by a difference of one rounding between neighbours that are equal.
        assert_eq!(find(&[1.0; 119], &Parameters::default()), [21, 97]);
    }

    #[test]
    fn a_sample_that_is_not_finite_leaves_no_peaks() {
        for sample in [f64::NAN, f64::INFINITY] {
            let mut signal = two_peaks();
            signal[60] = sample;
            assert!(find(&signal, &Parameters::default()).is_empty());
        }
    }

    #[test]
    fn used_buffers_do_not_change_the_result() {
        let mut scratch = Scratch::default();
        let rough = rough();
        let expected = find(&rough, &Parameters::default());
        RidgeFinder::new(&widths(1.0, 40.0, 37), 300).peaks(&[2.0; 300], &mut scratch);
        let finder = RidgeFinder::new(&Parameters::default(), 119);
        finder.peaks(&two_peaks(), &mut scratch);
        assert_eq!(finder.peaks(&rough, &mut scratch), expected);
    }
}

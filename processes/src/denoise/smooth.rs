//! The mean of spectra around one, weighted by a Gaussian on each axis of the scan.
//!
//! Axis after axis, the slowest first, in the order in which `scipy.ndimage` adds. What comes of
//! the slowest axis is kept from one position to the next: neighbours on the fastest axis need the
//! same but for one line of positions.

use pixelmill_core::process::Neighbours;

use super::number::Number;

/// Standard deviations at which a Gaussian is cut, as in `scipy.ndimage`.
const TRUNCATE: f64 = 4.0;

/// Steps to the furthest position that has a weight.
pub fn radius(sigma: f64) -> usize {
    (TRUNCATE * sigma + 0.5) as usize
}

/// The weights of a Gaussian from the middle on; they and their mirror image add up to 1.
fn weights(sigma: f64) -> Vec<f64> {
    let at = |step: usize| (-0.5 / (sigma * sigma) * (step * step) as f64).exp();
    let half: Vec<f64> =
        (0..=radius(sigma)).map(|step| if step == 0 { 1.0 } else { at(step) }).collect();
    let all: f64 = half.iter().skip(1).rev().chain(&half).sum();
    half.into_iter().map(|weight| weight / all).collect()
}

/// A Gaussian on each axis of the scan.
pub struct Gaussian {
    /// Weights from the middle on, axis by axis.
    axes: Vec<Vec<f64>>,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Smoothing {
    lines: Vec<Line>,
    /// How many of them hold anything.
    used: usize,
    /// By the number of the spectrum in the middle of a line, which of them it is.
    by_middle: Vec<Option<usize>>,
    /// The next one that gives way to another.
    oldest: usize,
    /// Which of them a position needs.
    numbers: Vec<usize>,
    /// The position that is computed.
    now: usize,
    /// Means that still have to be taken along faster axes.
    means: Vec<f64>,
    next: Vec<f64>,
    /// Sums of what is there of each channel, and of its weights.
    sums: Vec<(f64, f64)>,
}

/// The means along the slowest axis around a spectrum, and when they were needed last.
#[derive(Default)]
struct Line {
    middle: u32,
    values: Vec<f64>,
    needed: usize,
}

impl Gaussian {
    /// Of these standard deviations, axis by axis.
    pub fn new(sigmas: &[f64]) -> Self {
        Self { axes: sigmas.iter().map(|sigma| weights(*sigma)).collect() }
    }

    /// Neighbours on one axis.
    fn width(half: &[f64]) -> usize {
        2 * half.len() - 1
    }

    /// The weight of neighbour number `index`.
    fn weight(&self, mut index: usize) -> f64 {
        let mut weight = 1.0;
        for half in self.axes.iter().rev() {
            let (width, middle) = (Self::width(half), half.len() - 1);
            weight *= half[(index % width).abs_diff(middle)];
            index /= width;
        }
        weight
    }
}

impl Smoothing {
    /// Forgets spectra: those that come have other numbers.
    pub fn forget(&mut self) {
        self.by_middle.clear();
        (self.used, self.oldest) = (0, 0);
    }

    /// Puts the weighted mean of the neighbours into `out`. What is no number, or missing, doesn't
    /// count.
    pub fn mean<T: Number, O: Number>(
        &mut self,
        gaussian: &Gaussian,
        neighbours: Neighbours<'_, T>,
        out: &mut [O],
    ) {
        if (0..neighbours.len()).all(|index| neighbours.number(index).is_some()) {
            self.separately(gaussian, neighbours, out);
        } else {
            out.fill(O::NAN);
        }
        if out.iter().any(|mean| mean.is_no_number()) {
            self.of_numbers(gaussian, neighbours, out);
        }
    }

    /// Takes the means that aren't there yet of what there is.
    fn of_numbers<T: Number, O: Number>(
        &mut self,
        gaussian: &Gaussian,
        neighbours: Neighbours<'_, T>,
        out: &mut [O],
    ) {
        self.sums.clear();
        self.sums.resize(out.len(), (0.0, 0.0));
        for index in 0..neighbours.len() {
            let Some(spectrum) = neighbours.get(index) else { continue };
            add_numbers(spectrum, gaussian.weight(index), &mut self.sums);
        }
        for (mean, (sum, weights)) in out.iter_mut().zip(&self.sums) {
            if mean.is_no_number() {
                *mean = O::nearest(sum / weights);
            }
        }
    }

    fn separately<T: Number, O: Number>(
        &mut self,
        gaussian: &Gaussian,
        neighbours: Neighbours<'_, T>,
        out: &mut [O],
    ) {
        let [slowest, faster @ ..] = gaussian.axes.as_slice() else { return };
        let length = out.len();
        let mut count = neighbours.len() / Gaussian::width(slowest);
        self.now += 1;
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.clear();
        for line in 0..count {
            numbers.push(self.line(slowest, neighbours, (line, count), length));
        }
        let lines: Vec<&[f64]> =
            numbers.iter().map(|number| self.lines[*number].values.as_slice()).collect();
        match faster {
            [] => put(lines[0], out),
            [half] => weigh(half, &lines, out),
            [half, others @ ..] => {
                count = along(half, &lines, length, &mut self.means);
                for half in others {
                    let rows: Vec<&[f64]> =
                        self.means.chunks_exact(length.max(1)).take(count).collect();
                    count = along(half, &rows, length, &mut self.next);
                    std::mem::swap(&mut self.means, &mut self.next);
                }
                put(&self.means, out);
            }
        }
        self.numbers = numbers;
    }

    /// Which of the lines has the means along the slowest axis of neighbours `line`, `line + apart`
    /// and so on.
    fn line<T: Number>(
        &mut self,
        half: &[f64],
        neighbours: Neighbours<'_, T>,
        (line, apart): (usize, usize),
        length: usize,
    ) -> usize {
        let width = Gaussian::width(half);
        // All windows are alike, so that the one in the middle tells who is around it.
        let middle = neighbours.number(width / 2 * apart + line).unwrap_or_default();
        let known = self.by_middle.get(middle as usize).copied().flatten();
        let number = known.unwrap_or_else(|| {
            let number = self.free(apart, middle);
            let of_line = (0..width).map(|at| neighbours.get(at * apart + line));
            let rows: Vec<&[T]> = of_line.map(Option::unwrap_or_default).collect();
            let values = &mut self.lines[number].values;
            values.resize(length, 0.0);
            weigh(half, &rows, values);
            number
        });
        self.lines[number].needed = self.now;
        number
    }

    /// A line for the means around the spectrum number `middle`: a new one, or the oldest that
    /// isn't needed now. A position needs `apart` of them.
    fn free(&mut self, apart: usize, middle: u32) -> usize {
        let most = apart + 1;
        let number = if self.used < most {
            self.used += 1;
            if self.lines.len() < self.used {
                self.lines.push(Line::default());
            }
            self.used - 1
        } else {
            while self.lines[self.oldest % most].needed == self.now {
                self.oldest += 1;
            }
            let number = self.oldest % most;
            self.oldest += 1;
            self.by_middle[self.lines[number].middle as usize] = None;
            number
        };
        self.lines[number].middle = middle;
        let at = middle as usize;
        self.by_middle.resize(self.by_middle.len().max(at + 1), None);
        self.by_middle[at] = Some(number);
        number
    }
}

/// Takes the means along the slowest axis that is left of some rows; how many there are then.
fn along(half: &[f64], rows: &[&[f64]], length: usize, means: &mut Vec<f64>) -> usize {
    let count = rows.len() / Gaussian::width(half);
    means.resize(count * length, 0.0);
    for (line, mean) in means.chunks_exact_mut(length.max(1)).enumerate() {
        let of_line: Vec<&[f64]> = rows.iter().skip(line).step_by(count).copied().collect();
        weigh(half, &of_line, mean);
    }
    count
}

/// Channels whose sums are kept in registers.
const FEW: usize = 8;

/// The weighted sum of rows that lie around a middle one: that first, then pairs from the outside
/// to the inside, as `scipy.ndimage` adds them.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn weigh<T: Number, O: Number>(half: &[f64], rows: &[&[T]], out: &mut [O]) {
    let (blocks, rest) = out.as_chunks_mut::<FEW>();
    let whole = blocks.len() * FEW;
    for (block, out) in blocks.iter_mut().enumerate() {
        *out = weighed(half, |row| block_of(rows[row], block * FEW)).map(O::nearest);
    }
    for (at, out) in rest.iter_mut().enumerate() {
        [*out] = weighed(half, |row| [rows[row][whole + at]]).map(O::nearest);
    }
}

/// The first of some means as results.
fn put<O: Number>(means: &[f64], out: &mut [O]) {
    out.iter_mut().zip(means).for_each(|(out, mean)| *out = O::nearest(*mean));
}

/// Some values of a row, from `begin` on.
#[inline(always)]
fn block_of<T: Number, const N: usize>(row: &[T], begin: usize) -> [T; N] {
    row.get(begin..).and_then(|row| row.first_chunk()).copied().unwrap_or([T::ZERO; N])
}

#[inline(always)]
fn weighed<T: Number, const N: usize>(half: &[f64], row: impl Fn(usize) -> [T; N]) -> [f64; N] {
    let middle = half.len() - 1;
    let mut sums = row(middle).map(|value| value.into() * half[0]);
    for away in (1..half.len()).rev() {
        let (before, behind) = (row(middle - away), row(middle + away));
        for (sum, (one, other)) in sums.iter_mut().zip(before.into_iter().zip(behind)) {
            *sum += (one.into() + other.into()) * half[away];
        }
    }
    sums
}

/// Adds the numbers of a spectrum that has this weight.
fn add_numbers<T: Number>(spectrum: &[T], weight: f64, sums: &mut [(f64, f64)]) {
    for ((sum, weights), value) in sums.iter_mut().zip(spectrum) {
        let value: f64 = (*value).into();
        // Twice nothing instead of a branch.
        let (weight, value) = if value.is_nan() { (0.0, 0.0) } else { (weight, value) };
        *sum += weight * value;
        *weights += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::neighbours::ABSENT;

    #[test]
    fn weights_are_those_of_scipy() {
        // scipy.ndimage._filters._gaussian_kernel1d(0.8, 0, 3)[3:]
        let expected = [
            0.498_676_452_006_474_87,
            0.228_310_716_458_465_48,
            0.021_910_314_171_364_808,
            0.000_440_743_366_932_356_74,
        ];
        let found = weights(0.8);
        assert_eq!((found.len(), radius(0.5), radius(0.0)), (4, 2, 0));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 2.0 * f64::EPSILON * expected, "{found}");
        }
        assert_eq!(weights(0.0), [1.0]);
    }

    fn mean(gaussian: &Gaussian, spectra: &[f64], length: usize, places: &[u32]) -> Vec<f64> {
        let mut out = vec![0.0; length];
        let neighbours = Neighbours::new(spectra, length, places);
        Smoothing::default().mean(gaussian, neighbours, &mut out);
        out
    }

    #[test]
    fn a_mean_is_weighted_along_every_axis() {
        let gaussian = Gaussian::new(&[0.3, 0.5]);
        let (a, b) = (weights(0.3), weights(0.5));
        assert_eq!((a.len(), b.len()), (2, 3));
        let spectra: Vec<f64> = (0..15u32).map(|at| f64::from(at * at % 11)).collect();
        let places: Vec<u32> = (0..15).collect();
        let mut expected = 0.0;
        for (at, value) in spectra.iter().enumerate() {
            expected += a[(at / 5).abs_diff(1)] * b[(at % 5).abs_diff(2)] * value;
        }
        let found = mean(&gaussian, &spectra, 1, &places)[0];
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        let mut direct = [f64::NAN];
        let neighbours = Neighbours::new(&spectra, 1, &places);
        Smoothing::default().of_numbers(&gaussian, neighbours, &mut direct);
        assert!((found - direct[0]).abs() < 1e-12);
    }

    #[test]
    fn what_is_missing_or_no_number_does_not_count() {
        let gaussian = Gaussian::new(&[0.3]);
        let half = weights(0.3);
        let spectra = [1.0, 10.0, f64::NAN, 20.0, 3.0, 30.0];
        let found = mean(&gaussian, &spectra, 2, &[0, 1, 2]);
        assert_eq!(found[0], (half[1] * 1.0 + half[1] * 3.0) / (half[1] + half[1]));
        assert!((found[1] - 20.0).abs() < 1e-12);
        let at_edge = mean(&gaussian, &spectra, 2, &[ABSENT, 0, 2]);
        assert_eq!(at_edge[0], (half[0] * 1.0 + half[1] * 3.0) / (half[0] + half[1]));
        let nothing = mean(&gaussian, &[f64::NAN; 3], 1, &[0, 1, 2]);
        assert!(nothing[0].is_nan());
    }

    #[test]
    fn lines_that_are_kept_change_no_bit() {
        let gaussian = Gaussian::new(&[0.3, 0.3]);
        let spectra: Vec<f64> = (0..40).map(|at| f64::from(at).sqrt()).collect();
        // A scan of 4 × 10: windows around the positions of line 1.
        let window = |column: u32| -> Vec<u32> {
            (0..3).flat_map(|y| (column - 1..column + 2).map(move |x| y * 10 + x)).collect()
        };
        let mut kept = Smoothing::default();
        for column in [1, 2, 3, 7, 4, 5, 8] {
            let (places, mut out) = (window(column), [0.0f64]);
            kept.mean(&gaussian, Neighbours::new(&spectra, 1, &places), &mut out);
            assert_eq!(out[0].to_bits(), mean(&gaussian, &spectra, 1, &places)[0].to_bits());
        }
        assert!(kept.lines.len() <= 4);
    }
}

//! Fourier transforms of real frames, of as many columns of their spectrum as are wanted.
//!
//! F(v, u) = Σ f(y, x) e^(−2πi(vy/H + ux/W)) of H × W points, for u from 0 on; what is beyond half
//! of W is conjugate to that. Each frame is transformed by itself, in double precision. The last
//! bits depend on the processor's instructions, since the transforms of `rustfft` do.

use std::sync::Arc;

use num_complex::Complex64;
use pixelmill_core::process::Failure;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

/// Rows whose spectra are put into columns together, as many as fill a line of the cache.
const ROWS: usize = 4;
/// Values between two columns that hold nothing: else columns of some lengths would all lie in the
/// same part of the cache.
const GAP: usize = 4;

/// How frames of one shape are transformed.
pub struct FrameFourier {
    rows: usize,
    columns: usize,
    /// Columns of the spectrum.
    kept: usize,
    along_rows: Arc<dyn RealToComplex<f64>>,
    back_along_rows: Arc<dyn ComplexToReal<f64>>,
    along_columns: Arc<dyn Fft<f64>>,
    back_along_columns: Arc<dyn Fft<f64>>,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Buffers {
    row: Vec<f64>,
    rows: Vec<Complex64>,
    /// The spectrum, column by column.
    spectrum: Vec<Complex64>,
    scratch: Vec<Complex64>,
}

impl FrameFourier {
    /// For frames of so many rows and columns, and so many columns of their spectrum, of which
    /// there are no more than half those of the frame and one.
    pub fn new((rows, columns): (usize, usize), kept: usize) -> Self {
        let (mut real, mut complex) = (RealFftPlanner::new(), FftPlanner::new());
        Self {
            rows,
            columns,
            kept: kept.min(columns / 2 + 1),
            along_rows: real.plan_fft_forward(columns),
            back_along_rows: real.plan_fft_inverse(columns),
            along_columns: complex.plan_fft_forward(rows),
            back_along_columns: complex.plan_fft_inverse(rows),
        }
    }

    /// Bytes that the buffers of a worker take, and the tables once for all.
    pub fn bytes(&self) -> usize {
        let spectrum = self.kept * (self.rows + GAP);
        let complex = spectrum + (ROWS + 4) * (self.columns / 2 + 1) + 4 * self.rows;
        complex * size_of::<Complex64>() + self.columns * size_of::<f64>()
    }

    /// Transforms the frame whose rows `row` puts into what it is handed.
    ///
    /// # Errors
    /// If values aren't finite, or too large.
    pub fn forward(
        &self,
        mut row: impl FnMut(usize, &mut [f64]),
        buffers: &mut Buffers,
    ) -> Result<(), Failure> {
        self.make_room(buffers);
        let Buffers { row: values, rows: spectra, spectrum, scratch } = buffers;
        let (half, stride) = (self.columns / 2 + 1, self.rows + GAP);
        for first in (0..self.rows).step_by(ROWS) {
            let together = ROWS.min(self.rows - first);
            for (at, of_row) in spectra.chunks_exact_mut(half).take(together).enumerate() {
                row(first + at, values);
                self.along_rows.process_with_scratch(values, of_row, scratch).map_err(unfit)?;
            }
            for (u, column) in spectrum.chunks_exact_mut(stride).enumerate() {
                for (at, value) in column[first..first + together].iter_mut().enumerate() {
                    *value = spectra[at * half + u];
                }
            }
        }
        for column in spectrum.chunks_exact_mut(stride) {
            self.along_columns.process_with_scratch(&mut column[..self.rows], scratch);
        }
        // The sum of all values isn't finite if one of them isn't.
        if spectrum[0].is_finite() { Ok(()) } else { Err(unusable()) }
    }

    /// Transforms the spectrum in the buffers back into H·W times a frame; all columns of it have
    /// to be there. The spectrum is gone then.
    ///
    /// # Errors
    /// If it isn't finite.
    pub fn backward(&self, buffers: &mut Buffers, frame: &mut Vec<f64>) -> Result<(), Failure> {
        let Buffers { rows: spectra, spectrum, scratch, .. } = buffers;
        let (half, stride) = (self.columns / 2 + 1, self.rows + GAP);
        for column in spectrum.chunks_exact_mut(stride) {
            self.back_along_columns.process_with_scratch(&mut column[..self.rows], scratch);
        }
        frame.resize(self.rows * self.columns, 0.0);
        for (number, out) in frame.chunks_exact_mut(self.columns).enumerate() {
            let of_row = &mut spectra[..half];
            for (value, column) in of_row.iter_mut().zip(spectrum.chunks_exact(stride)) {
                *value = column[number];
            }
            // These are real but for rounding, which is refused.
            of_row[0].im = 0.0;
            if self.columns.is_multiple_of(2) {
                of_row[half - 1].im = 0.0;
            }
            self.back_along_rows.process_with_scratch(of_row, out, scratch).map_err(unfit)?;
        }
        if frame.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(unusable()) }
    }

    /// The columns of the spectrum, from u = 0 on: their values for all v, from 0 on and, from half
    /// on, the negative ones.
    pub fn columns<'b>(
        &self,
        buffers: &'b mut Buffers,
    ) -> impl Iterator<Item = &'b mut [Complex64]> + use<'b> {
        let rows = self.rows;
        buffers.spectrum.chunks_exact_mut(rows + GAP).map(move |column| &mut column[..rows])
    }

    fn make_room(&self, buffers: &mut Buffers) {
        let scratch = self
            .along_rows
            .get_scratch_len()
            .max(self.back_along_rows.get_scratch_len())
            .max(self.along_columns.get_inplace_scratch_len())
            .max(self.back_along_columns.get_inplace_scratch_len());
        buffers.row.resize(self.columns, 0.0);
        buffers.rows.resize(ROWS * (self.columns / 2 + 1), Complex64::default());
        buffers.spectrum.resize(self.kept * (self.rows + GAP), Complex64::default());
        buffers.scratch.resize(scratch, Complex64::default());
    }
}

fn unfit(error: realfft::FftError) -> Failure {
    Failure::new(error.to_string())
}

/// Why a frame can't be transformed.
pub fn unusable() -> Failure {
    Failure::new("the frame has values that are not finite, or too large to be transformed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn frame(rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns).map(|at| ((at * at + 5 * at) % 19) as f64 - 7.0).collect()
    }

    fn transformed(of: &FrameFourier, frame: &[f64], buffers: &mut Buffers) -> Result<(), Failure> {
        let columns = of.columns;
        of.forward(|row, out| out.copy_from_slice(&frame[row * columns..][..columns]), buffers)
    }

    #[test]
    fn the_spectrum_is_the_sum_of_its_definition_and_back_it_is_the_frame() {
        for (rows, columns) in [(1, 7), (1, 8), (5, 6), (6, 5), (9, 12), (13, 1)] {
            let frame = frame(rows, columns);
            let all = FrameFourier::new((rows, columns), usize::MAX);
            let mut buffers = Buffers::default();
            transformed(&all, &frame, &mut buffers).unwrap();
            assert_eq!(all.columns(&mut buffers).count(), columns / 2 + 1);
            for (u, column) in all.columns(&mut buffers).enumerate() {
                for (v, found) in column.iter().enumerate() {
                    let wave = |at: usize| {
                        let (y, x) = ((at / columns) as f64, (at % columns) as f64);
                        let turns = v as f64 * y / rows as f64 + u as f64 * x / columns as f64;
                        Complex64::from_polar(1.0, -TAU * turns)
                    };
                    let expected: Complex64 =
                        frame.iter().enumerate().map(|(at, value)| wave(at) * value).sum();
                    assert!((found - expected).norm() < 1e-11, "{rows} × {columns} {v} {u}");
                }
            }
            let some = FrameFourier::new((rows, columns), 2);
            let mut of_some = Buffers::default();
            transformed(&some, &frame, &mut of_some).unwrap();
            let pairs = some.columns(&mut of_some).zip(all.columns(&mut buffers));
            assert!(pairs.into_iter().all(|(some, all)| some == all));
            let mut back = Vec::new();
            all.backward(&mut buffers, &mut back).unwrap();
            let scale = (rows * columns) as f64;
            let apart = back.iter().zip(&frame).map(|(back, given)| (back / scale - given).abs());
            assert!(apart.fold(0.0, f64::max) < 1e-13, "{rows} × {columns}");
        }
    }

    #[test]
    fn what_cant_be_transformed_fails_and_leaves_nothing() {
        let of = FrameFourier::new((5, 6), 3);
        let mut buffers = Buffers::default();
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
            let mut given = frame(5, 6);
            given[17] = strange;
            given[18] = strange;
            assert_eq!(transformed(&of, &given, &mut buffers), Err(unusable()));
        }
        let mut fresh = Buffers::default();
        transformed(&of, &frame(5, 6), &mut buffers).unwrap();
        transformed(&of, &frame(5, 6), &mut fresh).unwrap();
        assert!(of.columns(&mut buffers).eq(of.columns(&mut fresh)));
    }
}

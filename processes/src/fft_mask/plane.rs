//! Frames there and back: rows first, of which half of the frequencies are enough since frames are
//! real, then the columns of these that the mask lets pass at all.

use std::sync::Arc;

use num_complex::Complex64;
use pixelmill_core::process::Failure;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

use crate::transforms::unusable;

/// What all frames share.
pub struct Plane {
    rows: usize,
    columns: usize,
    along_rows: Arc<dyn RealToComplex<f64>>,
    back_along_rows: Arc<dyn ComplexToReal<f64>>,
    along_columns: Arc<dyn Fft<f64>>,
    back_along_columns: Arc<dyn Fft<f64>>,
    /// For each frequency along the rows that passes at all, its number and the gains along the
    /// columns, over the number of points.
    passing: Vec<(usize, Vec<f64>)>,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    frame: Vec<f64>,
    /// The frequencies of each row.
    lines: Vec<Complex64>,
    column: Vec<Complex64>,
    transform: Vec<Complex64>,
}

/// Columns that are taken out of the lines together: as many as lie in a line of the processor's
/// cache.
const TOGETHER: usize = 4;

impl Plane {
    /// For frames of so many rows and columns, and the gain at each frequency, 0 in the middle.
    pub(super) fn new((rows, columns): (usize, usize), gains: &[f64]) -> Self {
        let mut real = RealFftPlanner::new();
        let mut complex = FftPlanner::new();
        let scale = 1.0 / (rows * columns) as f64;
        // What is at f and at −f, where the transform counts from 0.
        let gain = |row: usize, column: usize| {
            let at = |row: usize, column: usize| {
                gains[(row + rows / 2) % rows * columns + (column + columns / 2) % columns]
            };
            (at(row, column) + at((rows - row) % rows, (columns - column) % columns)) / 2.0
        };
        let along = |column: usize| -> Vec<f64> {
            (0..rows).map(|row| gain(row, column) * scale).collect()
        };
        let all = (0..columns / 2 + 1).map(|column| (column, along(column)));
        Self {
            rows,
            columns,
            along_rows: real.plan_fft_forward(columns),
            back_along_rows: real.plan_fft_inverse(columns),
            along_columns: complex.plan_fft_forward(rows),
            back_along_columns: complex.plan_fft_inverse(rows),
            passing: all.filter(|(_, gains)| gains.iter().any(|gain| *gain != 0.0)).collect(),
        }
    }

    /// A frame through the mask.
    ///
    /// # Errors
    /// If it has values that can't be transformed.
    pub(super) fn filter<'a>(
        &self,
        frame: &[f64],
        scratch: &'a mut Scratch,
    ) -> Result<&'a [f64], Failure> {
        let Scratch { frame: own, lines, column, transform } = scratch;
        own.clear();
        own.extend_from_slice(frame);
        let bins = self.columns / 2 + 1;
        lines.resize(self.rows * bins, Complex64::default());
        transform.resize(self.scratch_len(), Complex64::default());
        let unfit = |error: realfft::FftError| Failure::new(error.to_string());
        let mut sum = 0.0;
        for (row, line) in own.chunks_exact_mut(self.columns).zip(lines.chunks_exact_mut(bins)) {
            self.along_rows.process_with_scratch(row, line, transform).map_err(unfit)?;
            sum += line[0].re;
        }
        // The sum of all values isn't finite if one of them isn't.
        if !sum.is_finite() {
            return Err(unusable());
        }
        self.columns_through_mask(lines, column, transform);
        for (row, line) in own.chunks_exact_mut(self.columns).zip(lines.chunks_exact_mut(bins)) {
            // What rounding leaves of numbers that are real.
            line[0].im = 0.0;
            if self.columns.is_multiple_of(2) {
                line[bins - 1].im = 0.0;
            }
            self.back_along_rows.process_with_scratch(line, row, transform).map_err(unfit)?;
        }
        Ok(own)
    }

    /// Transforms the columns of the lines, multiplies them by their gains, and transforms them
    /// back; those that don't pass are 0.
    fn columns_through_mask(
        &self,
        lines: &mut [Complex64],
        column: &mut Vec<Complex64>,
        transform: &mut [Complex64],
    ) {
        let bins = self.columns / 2 + 1;
        column.resize(TOGETHER * self.rows, Complex64::default());
        let mut passing = self.passing.iter().peekable();
        for first in (0..bins).step_by(TOGETHER) {
            let count = TOGETHER.min(bins - first);
            let block = &mut column[..count * self.rows];
            for (row, line) in lines.chunks_exact(bins).enumerate() {
                for (at, value) in line[first..first + count].iter().enumerate() {
                    block[at * self.rows + row] = *value;
                }
            }
            for (at, column) in block.chunks_exact_mut(self.rows).enumerate() {
                match passing.next_if(|(number, _)| *number == first + at) {
                    None => column.fill(Complex64::default()),
                    Some((_, gains)) => {
                        self.along_columns.process_with_scratch(column, transform);
                        for (value, gain) in column.iter_mut().zip(gains) {
                            *value *= gain;
                        }
                        self.back_along_columns.process_with_scratch(column, transform);
                    }
                }
            }
            for (row, line) in lines.chunks_exact_mut(bins).enumerate() {
                for (at, value) in line[first..first + count].iter_mut().enumerate() {
                    *value = block[at * self.rows + row];
                }
            }
        }
    }

    fn scratch_len(&self) -> usize {
        let rows = self.along_rows.get_scratch_len().max(self.back_along_rows.get_scratch_len());
        let there = self.along_columns.get_inplace_scratch_len();
        rows.max(there).max(self.back_along_columns.get_inplace_scratch_len())
    }
}

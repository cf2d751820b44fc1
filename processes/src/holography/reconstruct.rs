//! From a hologram to its wave: the columns of its transform that the aperture lets pass, of these
//! the rows, and back.
//!
//! Nothing is allocated once the buffers have their size, and nothing of one hologram is seen by
//! the next.

use std::sync::Arc;

use num_complex::Complex;
use pixelmill_core::process::Failure;
use rustfft::{Fft, FftPlanner};

use super::sideband::{Sideband, signed};
use crate::fourier::{FrameScratch, FrameTransform, Real, in_place, looked_at, turn};

/// How waves are made of holograms.
pub(super) struct Reconstruction<T> {
    forward: FrameTransform<T>,
    /// Rows of a hologram.
    rows: usize,
    /// Rows and columns of the wave.
    out: (usize, usize),
    /// The column of the wave's transform that each of the hologram's becomes, and the rows of
    /// both.
    columns: Vec<usize>,
    cut: Vec<(usize, usize)>,
    /// What the aperture lets pass, divided by the number of points: for each of these columns its
    /// rows.
    gains: Vec<T>,
    along_columns: Arc<dyn Fft<T>>,
    along_rows: Arc<dyn Fft<T>>,
    /// What waves are multiplied by; nothing unless there is a reference.
    inverse: Vec<Complex<T>>,
    /// Whether there are amplitudes and phases.
    has_amplitude: bool,
    has_phase: bool,
}

/// What is made of a hologram.
pub(super) struct Waves<T> {
    pub wave: Vec<Complex<T>>,
    pub amplitude: Vec<T>,
    pub phase: Vec<T>,
}

/// Memory of a worker.
pub(super) struct Memory<T> {
    transform: FrameScratch<T>,
    columns: Vec<Complex<T>>,
    cut: Vec<Complex<T>>,
    inside: Vec<Complex<T>>,
}

impl<T> Default for Waves<T> {
    fn default() -> Self {
        Self { wave: Vec::new(), amplitude: Vec::new(), phase: Vec::new() }
    }
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        let transform = FrameScratch::default();
        Self { transform, columns: Vec::new(), cut: Vec::new(), inside: Vec::new() }
    }
}

/// The frequencies on an axis of the wave at which any gain counts: where they lie in its
/// transform, and in the hologram's, which is shifted by the sideband's place.
fn passing(
    (out, length, place): (usize, usize, usize),
    counts: impl Fn(i64) -> bool,
) -> Vec<(usize, usize)> {
    let passing = (0..out).filter(|index| counts(signed(*index, out)));
    let there = |index| (signed(index, out) - place as i64).rem_euclid(length as i64) as usize;
    passing.map(|index| (there(index), index)).collect()
}

impl<T: Real> Reconstruction<T> {
    /// Of this sideband.
    pub fn new(sideband: &Sideband) -> Self {
        let Sideband { frame, position, out, .. } = sideband;
        // What is less would be lost in the last digit of what passes.
        let counts = |row, column| sideband.gain((row, column)) > T::EPSILON;
        let cut = passing((out.0, frame.0, position.0), |row| counts(row, 0));
        let columns = passing((out.1, frame.1, position.1), |column| counts(0, column));
        let points = (frame.0 * frame.1) as f64;
        let gain = |column: usize, row: usize| {
            let at = (signed(row, out.0), signed(column, out.1));
            T::nearest(sideband.gain(at) / points)
        };
        let gains = columns
            .iter()
            .flat_map(|(_, column)| cut.iter().map(move |(_, row)| gain(*column, *row)))
            .collect();
        let mut planner = FftPlanner::new();
        Self {
            forward: FrameTransform::new(*frame, columns.iter().map(|(there, _)| *there).collect()),
            rows: frame.0,
            out: *out,
            columns: columns.into_iter().map(|(_, own)| own).collect(),
            cut,
            gains,
            along_columns: planner.plan_fft_inverse(out.0),
            along_rows: planner.plan_fft_inverse(out.1),
            inverse: Vec::new(),
            has_amplitude: false,
            has_phase: false,
        }
    }

    /// The same with amplitudes and phases, if these are wanted.
    pub fn with_parts(mut self, has_amplitude: bool, has_phase: bool) -> Self {
        (self.has_amplitude, self.has_phase) = (has_amplitude, has_phase);
        self
    }

    /// The same, divided by the wave of a reference.
    ///
    /// # Errors
    /// If it has none.
    pub fn with_reference(mut self, hologram: &[T]) -> Result<Self, Failure> {
        let mut wave = Vec::new();
        self.apply(hologram, &mut Memory::default(), &mut wave)
            .map_err(|failure| Failure::new(format!("in the reference, {failure}")))?;
        let empty = wave.iter().filter(|value| value.norm_sqr() == T::zero()).count();
        if empty > 0 {
            return Err(Failure::new(format!(
                "the wave of the reference is 0 at {empty} points, by which nothing can be divided"
            )));
        }
        self.inverse = wave.into_iter().map(|value| value.inv()).collect();
        Ok(self)
    }

    /// Bytes that a worker takes.
    pub fn bytes(&self, sideband: &Sideband) -> usize {
        let columns = self.columns.len() * (self.rows + self.out.0);
        let few_rows = 16 * (sideband.frame.0 + sideband.frame.1);
        let frame = sideband.frame.0 * sideband.frame.1 * size_of::<T>();
        frame + (columns + few_rows + 2 * self.out.0 * self.out.1) * size_of::<Complex<T>>()
    }

    /// Fills `wave` with the wave of a hologram.
    ///
    /// # Errors
    /// If it has none.
    pub fn apply(
        &self,
        hologram: &[T],
        memory: &mut Memory<T>,
        wave: &mut Vec<Complex<T>>,
    ) -> Result<(), Failure> {
        let unusable = "it has values that are not finite, or too large to be transformed";
        match looked_at(hologram) {
            (false, _) => return Err(Failure::new(unusable)),
            (_, true) => return Err(Failure::new("it is constant: there are no fringes")),
            _ => {}
        }
        let Memory { transform, columns, cut, inside } = memory;
        self.forward.forward(hologram, transform, columns);
        let (rows, out_columns) = self.out;
        cut.clear();
        cut.resize(self.columns.len() * rows, Complex::default());
        let gains = self.gains.chunks_exact(self.cut.len());
        let each = columns.chunks_exact(self.rows).zip(cut.chunks_exact_mut(rows)).zip(gains);
        for ((column, cut), gains) in each {
            for ((there, here), gain) in self.cut.iter().zip(gains) {
                cut[*here] = column[*there].scale(*gain);
            }
        }
        in_place(&*self.along_columns, cut, inside);
        wave.clear();
        wave.resize(rows * out_columns, Complex::default());
        turn(cut, rows, (&self.columns, out_columns), wave);
        in_place(&*self.along_rows, wave, inside);
        for (value, inverse) in wave.iter_mut().zip(&self.inverse) {
            *value = *value * inverse;
        }
        let is_finite = |value: &Complex<T>| value.re.is_finite() & value.im.is_finite();
        if wave.iter().fold(true, |all, value| all & is_finite(value)) {
            return Ok(());
        }
        Err(Failure::new(unusable))
    }

    /// The same with all that is wanted of it.
    ///
    /// # Errors
    /// If it has no wave.
    pub fn fill(
        &self,
        hologram: &[T],
        memory: &mut Memory<T>,
        waves: &mut Waves<T>,
    ) -> Result<(), Failure> {
        let Waves { wave, amplitude, phase } = waves;
        self.apply(hologram, memory, wave)?;
        // In double precision, where no square overflows, and the same digits on every machine.
        let parts = |value: &Complex<T>| -> (f64, f64) { (value.re.into(), value.im.into()) };
        amplitude.clear();
        if self.has_amplitude {
            let amplitudes = wave.iter().map(parts).map(|(re, im)| libm::hypot(re, im));
            amplitude.extend(amplitudes.map(T::nearest));
        }
        phase.clear();
        if self.has_phase {
            let phases = wave.iter().map(parts).map(|(re, im)| libm::atan2(im, re));
            phase.extend(phases.map(T::nearest));
        }
        Ok(())
    }
}

//! Sums of several values side by side, as fast as the processor's wide registers let them be.

/// Sums side by side, whose number is fixed: the same bits on every machine.
pub const LANES: usize = 8;

/// Lanes in memory that begins where a line of the processor's cache does: across two lines wide
/// registers are filled at half the speed.
#[derive(Default)]
pub struct Aligned {
    memory: Vec<f64>,
    begin: usize,
    end: usize,
}

impl Aligned {
    /// The bytes of a line.
    const LINE: usize = 64;

    /// Makes it so many lanes, in which anything may be.
    pub fn resize(&mut self, lanes: usize) {
        self.memory.resize(lanes * LANES + Self::LINE / size_of::<f64>(), 0.0);
        self.begin = self.memory.as_ptr().align_offset(Self::LINE).min(self.memory.len());
        self.end = self.begin + lanes * LANES;
    }

    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.memory[self.begin..self.end]
    }

    pub fn lanes(&self) -> &[[f64; LANES]] {
        self.memory[self.begin..self.end].as_chunks().0
    }
}

/// The sum of what is made of each value.
#[inline]
pub fn sum_of(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += of(*value);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|value| of(*value)).sum::<f64>()
}

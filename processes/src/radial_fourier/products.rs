//! Products of values with the waves of all orders, and their sums.

use multiversion::multiversion;
use multiversion::target::selected_target;
use num_complex::Complex64;

use super::bin::{Block, Taken};
use crate::side_by_side::{Aligned, LANES};

/// Spectra that are multiplied side by side: as many as there are registers for.
const ROWS: usize = 4;
/// Spectra, and lanes of points, that are multiplied for some orders before others are, so that all
/// stays near: sums and differences take 32 KiB, two orders 8, and all of them 128.
const TOGETHER: usize = 8;
const BLOCK: usize = 32;
const ORDERS: usize = 32;
/// Spectra whose sums are kept at most.
const MOST_SPECTRA: usize = 64;

type Lanes = [f64; LANES];
/// Real and imaginary part of an even order, and of the next one.
type Sums = [Lanes; 4];

/// Memory for what goes on.
#[derive(Default)]
pub struct Work {
    /// Of all points w cos mφ and w sin mφ at the order that comes next.
    next: [Aligned; 2],
    /// Of a block both of an even order and of the next one, for some orders.
    waves: Aligned,
    /// Two orders after the other those of each spectrum.
    sums: Vec<Sums>,
}

impl Work {
    /// Adds the coefficients of all orders of what is taken to those of each spectrum, which begin
    /// at `first` of the `all` that it has.
    pub fn add(
        &mut self,
        taken: &Taken,
        (first, orders): (usize, usize),
        all: usize,
        into: &mut [Complex64],
    ) {
        let rows = taken.rows().chunks(MOST_SPECTRA * taken.width());
        for (into, rows) in into.chunks_mut(MOST_SPECTRA * all).zip(rows) {
            let [cosines, sines] = &mut self.next;
            cosines.resize(taken.weights.lanes().len());
            cosines.lanes_mut().copy_from_slice(taken.weights.lanes());
            sines.resize(taken.weights.lanes().len());
            sines.values_mut().fill(0.0);
            for order in (0..orders).step_by(ORDERS) {
                let some = ORDERS.min(orders - order);
                self.add_some(taken, rows, some.div_ceil(2));
                let spectra = into.len() / all;
                for (spectrum, into) in into.chunks_exact_mut(all).enumerate() {
                    let own = self.sums.iter().skip(spectrum).step_by(spectra);
                    let own = own.flat_map(|sums| sums.as_chunks::<2>().0);
                    let into = into[first + order..].iter_mut().take(some);
                    for (into, [real, imaginary]) in into.zip(own) {
                        *into += Complex64::new(real.iter().sum(), imaginary.iter().sum());
                    }
                }
            }
        }
    }

    /// Sums of some spectra, of so many orders and as many others that follow.
    fn add_some(&mut self, taken: &Taken, rows: &[Lanes], twos: usize) {
        let spectra = rows.len() / taken.width();
        self.sums.clear();
        self.sums.resize(twos * spectra, Sums::default());
        for block in taken.blocks(BLOCK) {
            self.make_waves(taken, &block, twos);
            let lanes = block.lanes.len();
            let own = |spectrum: usize| {
                let row = &rows[spectrum * taken.width()..];
                [&row[block.of_sums..][..lanes], &row[block.of_differences..][..lanes]]
            };
            for from in (0..spectra).step_by(TOGETHER) {
                let sums = self.sums.chunks_exact_mut(spectra);
                for (sums, waves) in sums.zip(self.waves.lanes().chunks_exact(4 * lanes)) {
                    let waves = std::array::from_fn(|part| &waves[part * lanes..][..lanes]);
                    let to = spectra.min(from + TOGETHER);
                    let (fours, rest) = sums[from..to].as_chunks_mut::<ROWS>();
                    let rest_from = to - rest.len();
                    for (at, sums) in fours.iter_mut().enumerate() {
                        let four = std::array::from_fn(|step| own(from + at * ROWS + step));
                        add_products::<ROWS>(four, waves, sums);
                    }
                    for (at, sums) in rest.iter_mut().enumerate() {
                        let sums = std::array::from_mut(sums);
                        add_products::<1>([own(rest_from + at)], waves, sums);
                    }
                }
            }
        }
    }

    /// Makes the waves of a block, of so many even orders and the odd ones that follow.
    fn make_waves(&mut self, taken: &Taken, block: &Block, twos: usize) {
        let lanes = block.lanes.len();
        self.waves.resize(4 * lanes * twos);
        let [across, down] =
            taken.turns.each_ref().map(|turns| &turns.lanes()[block.lanes.clone()]);
        let [cosines, sines] =
            self.next.each_mut().map(|next| &mut next.lanes_mut()[block.lanes.clone()]);
        for waves in self.waves.lanes_mut().chunks_exact_mut(2 * lanes) {
            let (of_cosines, of_sines) = waves.split_at_mut(lanes);
            of_cosines.copy_from_slice(cosines);
            of_sines.copy_from_slice(sines);
            turn([cosines, sines], [across, down]);
        }
    }
}

/// Makes w cos (m + 1)φ and w sin (m + 1)φ of those of order m.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn turn([cosines, sines]: [&mut [Lanes]; 2], [across, down]: [&[Lanes]; 2]) {
    let turns = across.as_flattened().iter().zip(down.as_flattened());
    let waves = cosines.as_flattened_mut().iter_mut().zip(sines.as_flattened_mut());
    for ((cosine, sine), (across, down)) in waves.zip(turns) {
        let turned = cosine.mul_add(*across, -(*sine * down));
        *sine = cosine.mul_add(*down, *sine * across);
        *cosine = turned;
    }
}

/// Adds the products of sums and differences of some spectra with the waves of two orders. Fused
/// everywhere, so that they have the same bits; in as many registers as there are.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_products<const R: usize>(
    rows: [[&[Lanes]; 2]; R],
    waves: [&[Lanes]; 4],
    sums: &mut [Sums; R],
) {
    const WIDE: bool = selected_target!().supports_feature_str("avx512f");
    if WIDE {
        add_lanes::<R, LANES>(rows, waves, 0, sums);
    } else {
        for half in 0..2 {
            let (twos, rest) = rows.as_chunks::<2>();
            let (sums, sums_rest) = sums.as_chunks_mut::<2>();
            for (rows, sums) in twos.iter().zip(sums) {
                add_lanes::<2, { LANES / 2 }>(*rows, waves, half, sums);
            }
            for (rows, sums) in rest.iter().zip(sums_rest) {
                let sums = std::array::from_mut(sums);
                add_lanes::<1, { LANES / 2 }>([*rows], waves, half, sums);
            }
        }
    }
}

/// The same of `W` lanes, the whole, first half or second.
#[inline(always)]
fn add_lanes<const R: usize, const W: usize>(
    rows: [[&[Lanes]; 2]; R],
    waves: [&[Lanes]; 4],
    half: usize,
    sums: &mut [Sums; R],
) {
    let count = waves[0].len();
    let rows = rows.map(|row| row.map(|values| &values[..count]));
    let waves = waves.map(|wave| &wave[..count]);
    let mut own: [[[f64; W]; 4]; R] =
        std::array::from_fn(|row| sums[row].map(|sums| sums.as_chunks().0[half]));
    for at in 0..count {
        let [cosine, sine, next_cosine, next_sine] = waves.map(|wave| wave[at].as_chunks().0[half]);
        for (row, [real, imaginary, next_real, next_imaginary]) in rows.iter().zip(&mut own) {
            let [sum, difference] = row.map(|values| values[at].as_chunks().0[half]);
            add_product(real, &sum, &cosine);
            add_product(imaginary, &difference, &sine);
            add_product(next_real, &difference, &next_cosine);
            add_product(next_imaginary, &sum, &next_sine);
        }
    }
    for (sums, own) in sums.iter_mut().zip(own) {
        for (sums, own) in sums.iter_mut().zip(own) {
            sums.as_chunks_mut().0[half] = own;
        }
    }
}

/// sum += left·right.
#[inline(always)]
fn add_product<const W: usize>(sum: &mut [f64; W], left: &[f64; W], right: &[f64; W]) {
    for lane in 0..W {
        sum[lane] = left[lane].mul_add(right[lane], sum[lane]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_lanes_have_the_bits_of_whole_ones() {
        let lanes = |factor: f64| -> Vec<Lanes> {
            let value = |at: usize| libm::sin(factor * at as f64);
            (0..9).map(|at| std::array::from_fn(|lane| value(at * LANES + lane))).collect()
        };
        let rows = [1.1, 2.3, 3.7, 4.9].map(|factor| [lanes(factor), lanes(factor + 0.5)]);
        let rows = rows.each_ref().map(|row| row.each_ref().map(Vec::as_slice));
        let waves = [0.3, 0.7, 1.3, 1.9].map(lanes);
        let waves = waves.each_ref().map(Vec::as_slice);
        let mut sums = [[[[0.25; LANES]; 4]; ROWS]; 3];
        add_lanes::<ROWS, LANES>(rows, waves, 0, &mut sums[0]);
        for half in 0..2 {
            add_lanes::<ROWS, { LANES / 2 }>(rows, waves, half, &mut sums[1]);
        }
        add_products::<ROWS>(rows, waves, &mut sums[2]);
        assert_ne!(sums[0][0][0], [0.25; LANES]);
        assert!(sums[1] == sums[0] && sums[2] == sums[0]);
    }
}

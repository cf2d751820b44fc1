//! Products of values with the polynomials of arcs, and the coefficients that their sums make.

use multiversion::multiversion;
use multiversion::target::selected_target;
use num_complex::Complex64;
use pixelmill_core::ndarray::{ArrayView2, Axis};

use super::Rings;
use super::arcs::TOGETHER;
use super::found::{Found, Polynomials};
use crate::octets::Octet;
use crate::region::TakeAll;
use crate::side_by_side::LANES;

/// Octets of spectra that are multiplied together: as many as there are registers for.
const OCTETS: usize = 2;
/// So many spectra, or less, don't fill registers: the polynomials of a block do instead.
const FEW: usize = LANES / 2;

/// Of each of some octets the sums of each polynomial of a block.
type Sums<const O: usize> = [[[f64; LANES]; TOGETHER]; O];
/// Of an octet real and imaginary part of a coefficient.
type Coefficient = [[f64; LANES]; 2];

/// Memory for what goes on.
#[derive(Default)]
pub struct Work {
    octets: [Octet; OCTETS],
    /// Of each order those of all octets that have spectra.
    coefficients: Vec<Coefficient>,
}

/// Adds the coefficients of what is found to those of each spectrum.
pub struct Add<'a> {
    pub rings: &'a Rings,
    pub found: &'a Found,
    pub work: &'a mut Work,
    /// Of each spectrum those of all bins.
    pub into: &'a mut [Complex64],
}

impl TakeAll for Add<'_> {
    fn take_all<T: Copy + Into<f64>>(&mut self, spectra: ArrayView2<'_, T>) {
        let of_spectrum = self.rings.bins.len() * self.rings.orders;
        let into = self.into.chunks_mut(OCTETS * LANES * of_spectrum);
        for (spectra, into) in spectra.axis_chunks_iter(Axis(0), OCTETS * LANES).zip(into) {
            let some = spectra.axis_chunks_iter(Axis(0), LANES);
            self.work.octets.iter_mut().zip(some).for_each(|(octet, some)| octet.take(some));
            self.work.add(self.rings, self.found, spectra.nrows(), into);
        }
    }
}

impl Work {
    /// Bytes for each point of a tile.
    pub const OF_POINT: usize = OCTETS * LANES * size_of::<f64>();

    /// Adds the coefficients of spectra in the octets, of which there are so many.
    fn add(&mut self, rings: &Rings, found: &Found, spectra: usize, into: &mut [Complex64]) {
        let all = self.octets.each_ref().map(Octet::values);
        // The others have what an earlier tile had.
        let [first, ..] = all;
        let coefficients = &mut self.coefficients;
        if spectra <= FEW {
            add_sums(rings, found, coefficients, into, |columns, polynomials| {
                [products_of_few(first, columns, polynomials)]
            });
        } else if spectra <= LANES {
            add_sums(rings, found, coefficients, into, |columns, polynomials| {
                products([first], columns, polynomials)
            });
        } else {
            add_sums(rings, found, coefficients, into, |columns, polynomials| {
                products(all, columns, polynomials)
            });
        }
    }
}

/// Adds what the sums of products at some points with the polynomials there make.
fn add_sums<const O: usize>(
    rings: &Rings,
    found: &Found,
    coefficients: &mut Vec<Coefficient>,
    into: &mut [Complex64],
    sums: impl Fn(&[u32], &[Polynomials]) -> Sums<O>,
) {
    for bin in found.bins() {
        coefficients.clear();
        coefficients.resize(O * rings.orders, Coefficient::default());
        let coefficients = coefficients.as_chunks_mut::<O>().0;
        for group in found.groups(bin) {
            let middles = rings.arcs.middles(group.arc);
            for (block, shares) in rings.arcs.shares().enumerate() {
                let sums = sums(found.columns(group), found.polynomials(group, block));
                add_waves(&sums, shares, middles, coefficients);
            }
        }
        let of_spectrum = into.chunks_exact_mut(rings.bins.len() * rings.orders);
        for (spectrum, into) in of_spectrum.enumerate() {
            let (octet, lane) = (spectrum / LANES, spectrum % LANES);
            let into = &mut into[bin.number * rings.orders..][..rings.orders];
            for (into, parts) in into.iter_mut().zip(&*coefficients) {
                let [real, imaginary] = parts[octet].map(|part| part[lane]);
                *into += Complex64::new(real, imaginary);
            }
        }
    }
}

/// The sums of the products of the values at some points with polynomials there. Fused everywhere,
/// so that they have the same bits; in as many registers as there are.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn products<const O: usize>(
    octets: [&[[f64; LANES]]; O],
    columns: &[u32],
    polynomials: &[Polynomials],
) -> Sums<O> {
    const WIDE: bool = selected_target!().supports_feature_str("avx512f");
    let mut sums = [[[0.0; LANES]; TOGETHER]; O];
    if WIDE {
        for (column, polynomials) in columns.iter().zip(polynomials) {
            let values = octets.map(|octet| octet[*column as usize]);
            for (sums, values) in sums.iter_mut().zip(&values) {
                for (sum, polynomial) in sums.iter_mut().zip(polynomials) {
                    add_product(sum, values, *polynomial);
                }
            }
        }
    } else {
        for (octet, sums) in octets.iter().zip(&mut sums) {
            for half in 0..2 {
                add_half(octet, half, columns, polynomials, sums);
            }
        }
    }
    sums
}

/// The same, bit for bit, for the first spectra of an octet; the sums of the others are 0.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn products_of_few(
    octet: &[[f64; LANES]],
    columns: &[u32],
    polynomials: &[Polynomials],
) -> [[f64; LANES]; TOGETHER] {
    let mut own = [[0.0; TOGETHER]; FEW];
    for (column, polynomials) in columns.iter().zip(polynomials) {
        let values = &octet[*column as usize];
        for (sums, value) in own.iter_mut().zip(values) {
            add_product(sums, polynomials, *value);
        }
    }
    let mut sums = [[0.0; LANES]; TOGETHER];
    for (lane, own) in own.iter().enumerate() {
        for (sums, own) in sums.iter_mut().zip(own) {
            sums[lane] = *own;
        }
    }
    sums
}

/// The same for half an octet, the first or the second.
#[inline(always)]
fn add_half(
    octet: &[[f64; LANES]],
    half: usize,
    columns: &[u32],
    polynomials: &[Polynomials],
    sums: &mut [[f64; LANES]; TOGETHER],
) {
    let mut own = [[0.0; LANES / 2]; TOGETHER];
    for (column, polynomials) in columns.iter().zip(polynomials) {
        let values = octet[*column as usize].as_chunks().0[half];
        for (sum, polynomial) in own.iter_mut().zip(polynomials) {
            add_product(sum, &values, *polynomial);
        }
    }
    for (sums, own) in sums.iter_mut().zip(own) {
        sums.as_chunks_mut().0[half] = own;
    }
}

/// sum += value·factor.
#[inline(always)]
fn add_product<const W: usize>(sums: &mut [f64; W], values: &[f64; W], factor: f64) {
    for lane in 0..W {
        sums[lane] = values[lane].mul_add(factor, sums[lane]);
    }
}

/// Adds the waves of all orders in which the polynomials of a block have these shares, and which
/// have these values in the middle of their arc.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_waves<const O: usize>(
    sums: &Sums<O>,
    shares: &[[f64; TOGETHER]],
    middles: &[Complex64],
    coefficients: &mut [[Coefficient; O]],
) {
    // By twos, since of one for a single octet the compiler makes no wide sums.
    let ((shares, last_shares), (middles, last_middle)) =
        (shares.as_chunks::<2>(), middles.as_chunks::<2>());
    let (coefficients, last) = coefficients.as_chunks_mut::<2>();
    for ((shares, middles), own) in shares.iter().zip(middles).zip(coefficients) {
        for order in 0..2 {
            add_wave(sums, &shares[order], middles[order], &mut own[order]);
        }
    }
    for ((shares, middle), own) in last_shares.iter().zip(last_middle).zip(last) {
        add_wave(sums, shares, *middle, own);
    }
}

/// Adds that of one order.
#[inline(always)]
fn add_wave<const O: usize>(
    sums: &Sums<O>,
    shares: &[f64; TOGETHER],
    middle: Complex64,
    coefficients: &mut [Coefficient; O],
) {
    for (sums, [own_real, own_imaginary]) in sums.iter().zip(coefficients) {
        // Polynomials of even degree are real, those of odd degree imaginary.
        let (mut real, mut imaginary) = ([0.0; LANES], [0.0; LANES]);
        for ([even, odd], [share, next]) in sums.as_chunks().0.iter().zip(shares.as_chunks().0) {
            add_product(&mut real, even, *share);
            add_product(&mut imaginary, odd, *next);
        }
        add_product(own_real, &real, middle.re);
        add_product(own_real, &imaginary, -middle.im);
        add_product(own_imaginary, &real, middle.im);
        add_product(own_imaginary, &imaginary, middle.re);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_octets_and_few_spectra_have_the_bits_of_whole_ones() {
        let value = |at: usize| libm::sin(1.7 * at as f64);
        let octet = |from: usize| -> Vec<[f64; LANES]> {
            (0..40).map(|at| std::array::from_fn(|lane| value(from + at * LANES + lane))).collect()
        };
        let (first, second) = (octet(0), octet(1000));
        let columns: Vec<u32> = (0..25).map(|at| at * 11 % 40).collect();
        let polynomials = octet(2000);
        let sums = products([&first, &second], &columns, &polynomials);
        for (values, sums) in [&first, &second].into_iter().zip(&sums) {
            let mut halves = [[0.0; LANES]; TOGETHER];
            (0..2).for_each(|half| add_half(values, half, &columns, &polynomials, &mut halves));
            assert_eq!(&halves, sums);
            let few = products_of_few(values, &columns, &polynomials);
            for (few, sums) in few.iter().zip(sums) {
                assert_eq!(few[..FEW], sums[..FEW]);
            }
        }
        let terms = columns.iter().zip(&polynomials);
        let product = |(column, own): (&u32, &Polynomials)| second[*column as usize][3] * own[7];
        assert!((sums[1][7][3] - terms.map(product).sum::<f64>()).abs() < 1e-13);
    }
}

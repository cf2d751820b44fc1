//! Arcs around the centre, on which few polynomials make the waves of all orders.
//!
//! On an arc of half-width h around φ₀ the wave of order m is, with t = (φ − φ₀)/h from −1 to 1,
//!
//! ```text
//! e^(imφ) = e^(imφ₀) Σ_k i^k (2 − δ_k0) J_k(mh) T_k(t)
//! ```
//!
//! (Jacobi and Anger; NIST Digital Library of Mathematical Functions, 10.12.2). J_k(z) falls faster
//! than z^k/k!, so that where mh is small a dozen of the T_k are all that there is in double
//! precision: values are multiplied by these, instead of by two waves of each order.

use std::f64::consts::PI;

use num_complex::Complex64;

/// Polynomials that are multiplied together: as many sums as there are registers for.
pub const TOGETHER: usize = 8;
/// Arcs at most: with more there is little of a tile on each.
const MOST: usize = 64;

/// The arcs, and the share of each polynomial in the waves of each order.
pub struct Arcs {
    count: usize,
    orders: usize,
    /// How many times [`TOGETHER`] polynomials there are.
    blocks: usize,
    /// Of each block, by order, those of its polynomials, without i but for its sign.
    shares: Vec<[f64; TOGETHER]>,
    /// Of each arc the waves of all orders in its middle.
    middles: Vec<Complex64>,
}

impl Arcs {
    /// As few as there can be for so many orders with the polynomials that [`MOST`] of them need.
    pub fn of(orders: usize) -> Self {
        let blocks = Self::blocks_for(orders);
        let counts: Vec<usize> = (1..MOST).collect();
        let count = 1 + counts.partition_point(|count| blocks_on(*count, orders) > blocks);
        let share = |at: usize, polynomial: usize| {
            let (block, order) = (at / orders, at % orders);
            let degree = i32::try_from(block * TOGETHER + polynomial).unwrap_or(i32::MAX);
            let bessel = libm::jn(degree, order as f64 * half_width(count));
            let sign = if degree % 4 < 2 { 1.0 } else { -1.0 };
            sign * if degree == 0 { bessel } else { 2.0 * bessel }
        };
        // In the middle of an arc φ₀ is so many half-widths.
        let middle = |at: usize| {
            let turns = (2 * (at / orders) + 1) * (at % orders) % (2 * count);
            let (sine, cosine) = libm::sincos(half_width(count) * turns as f64);
            Complex64::new(cosine, sine)
        };
        // What has no direction counts for order 0 alone.
        let of_centre =
            (0..orders).map(|order| Complex64::from(if order == 0 { 1.0 } else { 0.0 }));
        Self {
            count,
            orders,
            blocks,
            shares: (0..blocks * orders)
                .map(|at| std::array::from_fn(|polynomial| share(at, polynomial)))
                .collect(),
            middles: (0..count * orders).map(middle).chain(of_centre).collect(),
        }
    }

    /// How many times [`TOGETHER`] polynomials there are for so many orders.
    pub fn blocks_for(orders: usize) -> usize {
        blocks_on(MOST, orders)
    }

    /// How many times [`TOGETHER`] polynomials there are.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The arc of a place from the centre, and t there. The centre itself has one of its own.
    pub fn place(&self, (down, right): (f64, f64)) -> (u16, f64) {
        if (down, right) == (0.0, 0.0) {
            return (self.count as u16, 0.0);
        }
        let half_width = half_width(self.count);
        let angle = libm::atan2(down, right);
        let arc = (angle / (2.0 * half_width)).floor();
        let t = (angle / half_width - (2.0 * arc + 1.0)).clamp(-1.0, 1.0);
        ((arc as i64).rem_euclid(self.count as i64) as u16, t)
    }

    /// The waves of all orders in the middle of an arc.
    pub fn middles(&self, arc: u16) -> &[Complex64] {
        &self.middles[usize::from(arc) * self.orders..][..self.orders]
    }

    /// Of each block the shares of its polynomials in the wave of each order.
    pub fn shares(&self) -> impl Iterator<Item = &[[f64; TOGETHER]]> {
        self.shares.chunks_exact(self.orders)
    }

    /// How much memory it takes.
    pub fn memory(&self) -> usize {
        size_of_val(self.shares.as_slice()) + size_of_val(self.middles.as_slice())
    }
}

/// Of so many arcs.
fn half_width(count: usize) -> f64 {
    PI / count as f64
}

/// How many times [`TOGETHER`] polynomials so many orders need on so many arcs.
fn blocks_on(count: usize, orders: usize) -> usize {
    polynomials((orders - 1) as f64 * half_width(count)).div_ceil(TOGETHER)
}

/// How many polynomials make e^(izt) for t from −1 to 1, and all slower waves, in double precision.
fn polynomials(z: f64) -> usize {
    let is_left = |degree: &i32| {
        let bessel = 2.0 * libm::jn(*degree, z).abs();
        f64::from(*degree) <= z || bessel > f64::EPSILON
    };
    1 + (1..).take_while(is_left).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_make_the_waves_of_all_orders() {
        for (orders, blocks) in [(1, 1), (2, 1), (25, 2), (61, 3), (1025, 12)] {
            let arcs = Arcs::of(orders);
            assert_eq!(arcs.blocks(), blocks, "{orders} orders");
            let places = (0..500).map(|number| {
                let angle = f64::from(number) * 0.0126 - PI;
                (3.0 * libm::sin(angle), 3.0 * libm::cos(angle))
            });
            // The ends of arcs as well.
            for (down, right) in places.chain([(0.0, -1.0), (-0.0, -1.0), (0.0, 1.0), (1.0, 0.0)]) {
                let (arc, t) = arcs.place((down, right));
                let chebyshev: Vec<f64> = (0..blocks * TOGETHER)
                    .map(|degree| libm::cos(degree as f64 * libm::acos(t)))
                    .collect();
                for (order, middle) in arcs.middles(arc).iter().enumerate() {
                    let shares = arcs.shares().flat_map(|block| block[order]);
                    let mut sum = Complex64::ZERO;
                    for (degree, (share, value)) in shares.zip(&chebyshev).enumerate() {
                        sum += Complex64::I.powu(degree as u32 % 2) * share * *value;
                    }
                    let angle = libm::atan2(down, right) * order as f64;
                    let expected = Complex64::new(libm::cos(angle), libm::sin(angle));
                    let error = (*middle * sum - expected).norm();
                    assert!(error < 2e-15 + 1e-15 * order as f64, "{orders}, {order}: {error}");
                }
            }
        }
    }

    #[test]
    fn order_0_has_exactly_the_values_and_the_centre_no_other() {
        let arcs = Arcs::of(25);
        let of_order_0: Vec<f64> = arcs.shares().flat_map(|block| block[0]).collect();
        assert!(of_order_0[0] == 1.0 && of_order_0[1..].iter().all(|share| *share == 0.0));
        let (arc, t) = arcs.place((0.0, 0.0));
        assert_eq!((usize::from(arc), t), (arcs.count, 0.0));
        let middles = arcs.middles(arc);
        assert!(middles[0] == Complex64::ONE && middles[1..].iter().all(|own| own.norm() == 0.0));
        let mut all = (0..=arcs.count as u16).map(|arc| arcs.middles(arc)[0]);
        assert!(all.all(|first| first == Complex64::ONE));
    }
}

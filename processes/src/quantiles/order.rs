//! Quantiles of values of which the n-th smallest can be had.

/// Memory for the values that quantiles lie between.
#[derive(Default)]
pub struct Order {
    ranks: Vec<u64>,
    found: Vec<f64>,
}

/// Between which values, counted from 0, the smallest, a quantile of so many lies, and how far from
/// the first.
pub(crate) fn place(quantile: f64, count: u64) -> (u64, u64, f64) {
    let place = quantile * (count - 1) as f64;
    let before = (place as u64).min(count - 1);
    (before, (before + 1).min(count - 1), place - before as f64)
}

impl Order {
    /// Puts quantiles of `count` values into `out`: none of none. `value_at` is asked for the
    /// values of some ranks, ascending ones.
    pub fn quantiles(
        &mut self,
        count: u64,
        asked: &[f64],
        out: &mut [f64],
        mut values_at: impl FnMut(&[u64], &mut Vec<f64>),
    ) {
        if count == 0 {
            return out.fill(f64::NAN);
        }
        let Self { ranks, found } = self;
        ranks.clear();
        ranks.extend(asked.iter().flat_map(|quantile| {
            let (before, behind, _) = place(*quantile, count);
            [before, behind]
        }));
        ranks.sort_unstable();
        ranks.dedup();
        found.clear();
        values_at(ranks, found);
        let value = |rank: u64| found[ranks.partition_point(|other| *other < rank)];
        for (out, quantile) in out.iter_mut().zip(asked) {
            let (before, behind, apart) = place(*quantile, count);
            *out = between(value(before), value(behind), apart);
        }
    }

    /// The same of some values, none of which is NaN, and whose order changes.
    pub fn quantiles_of(&mut self, values: &mut [f64], asked: &[f64], out: &mut [f64]) {
        self.quantiles(values.len() as u64, asked, out, |ranks, found| {
            let mut begin = 0;
            for rank in ranks {
                let behind = &mut values[begin..];
                let (_, value, _) =
                    behind.select_nth_unstable_by(*rank as usize - begin, f64::total_cmp);
                found.push(*value + 0.0);
                begin = *rank as usize + 1;
            }
        });
    }
}

/// What lies between two values, as NumPy computes it unless there is no number for how far they
/// are apart.
fn between(before: f64, behind: f64, apart: f64) -> f64 {
    let distance = behind - before;
    match apart {
        // Also if one of them is infinite.
        _ if before == behind || apart == 0.0 => before,
        _ if distance.is_infinite() && before.is_finite() && behind.is_finite() => {
            before * (1.0 - apart) + behind * apart
        }
        near if near < 0.5 => before + distance * near,
        far => behind - distance * (1.0 - far),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let mut order = Order::default();
        let mut of = |values: &[f64], asked: &[f64]| {
            let mut out = vec![0.0; asked.len()];
            order.quantiles(values.len() as u64, asked, &mut out, |ranks, found| {
                assert!(ranks.is_sorted_by(|one, other| one < other));
                found.extend(ranks.iter().map(|rank| values[*rank as usize]));
            });
            out
        };
        assert_eq!(
            of(&[1.0, 2.0, 4.0, 8.0], &[0.5, 0.0, 1.0, 0.25, 0.9]),
            [3.0, 1.0, 8.0, 1.75, 6.800000000000001]
        );
        assert_eq!(of(&[5.0], &[0.0, 0.3, 1.0]), [5.0; 3]);
        assert!(of(&[], &[0.3])[0].is_nan());
        // There is no number for how far these are apart.
        let (far, half) = (2f64.powi(1023), 2f64.powi(1022));
        assert_eq!(of(&[-far, far], &[0.0, 0.25, 0.5, 0.75]), [-far, -half, 0.0, half]);
        let infinite = [f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0, f64::INFINITY];
        assert_eq!(of(&infinite, &[0.1, 2.0 / 3.0, 1.0]), [f64::NEG_INFINITY, 1.0, f64::INFINITY]);
    }
}

//! Edges of bins, and the bins of values.

use crate::quantiles::bins::{Bins, Sizes};
use crate::quantiles::counted::OfPlace;
use crate::quantiles::order::{Order, place};

/// Puts edges at the same distance from the first to the last.
pub(super) fn equidistant((first, last): (f64, f64), edges: &mut [f64]) {
    let bins = edges.len() - 1;
    let distance = (last - first) / bins as f64;
    for (number, edge) in edges.iter_mut().enumerate() {
        let part = number as f64 / bins as f64;
        *edge = match number {
            0 => first,
            number if number == bins => last,
            // Rounding must not take one over the last.
            number if distance.is_finite() => (first + distance * number as f64).min(last),
            // There is no number for the whole distance.
            _ => first * (1.0 - part) + last * part,
        };
    }
}

/// From where to where edges run if they would be one.
pub(super) fn widened((first, last): (f64, f64)) -> (f64, f64) {
    if first != last {
        return (first, last);
    }
    let half = f64::max(0.5, 1e-9 * first.abs());
    (f64::max(first - half, f64::MIN), f64::min(last + half, f64::MAX))
}

/// The bin of a value: it begins at or below it, and ends above it unless it is the last.
#[inline]
pub(super) fn bin(edges: &[f64], value: f64) -> Option<usize> {
    let bins = edges.len() - 1;
    let (first, last) = (edges[0], edges[bins]);
    if !(value >= first && value <= last) {
        return None;
    }
    let near = ((value - first) / (last - first) * bins as f64) as usize;
    let near = near.min(bins - 1);
    // Rounding must not take a value over an edge.
    if edges[near] <= value && (near + 1 == bins || value < edges[near + 1]) {
        return Some(near);
    }
    let begun = edges.partition_point(|edge| *edge <= value);
    Some(begun.saturating_sub(1).min(bins - 1))
}

/// Makes edges between two quantiles of values that are counted in narrow bins, and the histogram
/// between them; none of no values.
pub(super) fn finely_counted(
    (narrow, of_place): (&Bins, &OfPlace),
    asked: &[f64],
    (edges, counts): (&mut [f64], &mut [u64]),
    outside: &mut [u64; 3],
) {
    counts.fill(0);
    if of_place.number == 0 {
        return edges.fill(f64::NAN);
    }
    match narrow {
        Bins::Integers { .. } => {
            let mut ends = [0.0; 2];
            Order::default().quantiles(of_place.number, asked, &mut ends, |ranks, found| {
                of_place.find(narrow, ranks, found);
            });
            equidistant(widened((ends[0], ends[1])), edges);
        }
        Bins::Sizes(sizes) => Snapped::new(sizes, of_place).edges(asked, edges),
    }
    let some = of_place.counts.iter().enumerate().filter(|(_, count)| **count > 0);
    for (number, count) in some {
        // The smallest there can be in it: no edge tells it from the others.
        let value = match (narrow, of_place.extremes) {
            (Bins::Sizes(sizes), Some((least, _))) => f64::max(sizes.ends(number).0, least),
            (bins, _) => bins.number(number),
        };
        match bin(edges, value) {
            Some(bin) => counts[bin] += count,
            None => outside[usize::from(value > edges[0])] += count,
        }
    }
}

/// Edges where narrow bins begin.
struct Snapped<'s> {
    sizes: &'s Sizes,
    of_place: &'s OfPlace,
    least: f64,
    most: f64,
}

impl<'s> Snapped<'s> {
    fn new(sizes: &'s Sizes, of_place: &'s OfPlace) -> Self {
        let (least, most) = of_place.extremes.unwrap_or((f64::MIN, f64::MAX));
        Self { sizes, of_place, least, most }
    }

    /// Where the narrow bin of a number begins, or the number if nothing is below it there.
    fn down(&self, number: f64) -> f64 {
        if number <= self.least { number } else { self.ends(number).0.min(number) }
    }

    /// The largest number in the same narrow bin, or the number if nothing is above it there.
    fn up(&self, number: f64) -> f64 {
        if number >= self.most { number } else { self.ends(number).1.max(number) }
    }

    /// The ends of the narrow bin of a number, which may lie beside it if it can't be a value.
    fn ends(&self, number: f64) -> (f64, f64) {
        self.sizes.ends(self.sizes.of(number))
    }

    /// Puts edges between two quantiles.
    fn edges(&self, asked: &[f64], edges: &mut [f64]) {
        let number = self.of_place.number;
        let (low, high) = (place(asked[0], number), place(asked[1], number));
        let high = if high.2 == 0.0 { high.0 } else { high.1 };
        let ranks = [low.0, high];
        let mut narrow = self.of_place.bins_of(&ranks).map(|bin| self.sizes.ends(bin));
        let (Some((first, _)), Some((_, last))) = (narrow.next(), narrow.next()) else { return };
        let (first, last) = widened((first.max(self.least), last.min(self.most)));
        let (first, last) = (self.down(first), self.up(last));
        equidistant((first, last), edges);
        let bins = edges.len() - 1;
        for edge in &mut edges[1..bins] {
            // Where nothing is on one side of it, it may be anywhere.
            if *edge > self.least && *edge <= self.most {
                *edge = self.nearest(*edge, last).max(self.least);
            }
        }
    }

    /// Where the nearest narrow bin begins that doesn't begin behind `last`, or the edge if it lies
    /// between what can be values.
    fn nearest(&self, edge: f64, last: f64) -> f64 {
        let (begin, end) = self.ends(edge);
        if edge < begin || edge > end {
            return edge;
        }
        let next = end.next_up();
        if next <= last && next - edge < edge - begin { next } else { begin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(bins: &Bins, values: &[f64]) -> OfPlace {
        let Bins::Sizes(sizes) = bins else { panic!("numbers are counted by their sizes") };
        let mut counts = vec![0; bins.len()];
        values.iter().for_each(|value| counts[sizes.of(*value)] += 1);
        let extremes = (values[0], values[values.len() - 1]);
        OfPlace { counts, number: values.len() as u64, extremes: Some(extremes) }
    }

    /// How NumPy counts between any edges, and what it leaves out.
    fn counted_between(edges: &[f64], values: &[f64]) -> (Vec<u64>, [u64; 3]) {
        let (mut counts, mut outside) = (vec![0; edges.len() - 1], [0; 3]);
        for value in values {
            let last = edges[edges.len() - 1];
            match edges.iter().rposition(|edge| edge <= value) {
                None => outside[0] += 1,
                Some(_) if *value > last => outside[1] += 1,
                Some(begun) => counts[begun.min(edges.len() - 2)] += 1,
            }
        }
        (counts, outside)
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            (900.0..1000.0),
            (-5.0..5.0f64),
            any::<f32>().prop_map(f64::from),
            any::<f64>(),
            Just(7.999_999_999_999_999),
            Just(0.0),
            (0..20i32).prop_map(f64::from),
        ];
        let some = prop::collection::vec(value, 1..40);
        (some, 1..30usize).prop_map(|(mut values, apart): (Vec<f64>, usize)| {
            values.retain(|value| value.is_finite());
            values.push(8.0);
            // Often many of the same.
            let copies = values[0];
            values.resize(values.len() + apart, copies);
            values.iter_mut().for_each(|value| *value += 0.0);
            values.sort_unstable_by(f64::total_cmp);
            values
        })
    }

    proptest! {
        #[test]
        fn counts_are_those_between_the_edges_that_are_told(
            values in values(),
            (low, part) in (0.0..1.0f64, 0.001..1.0f64),
            whole: bool,
            bins in 1..50usize,
            error in 0.002..0.5f64,
        ) {
            let asked = if whole { [0.0, 1.0] } else { [low, low + (1.0 - low) * part] };
            let narrow = Bins::new(None, Some(error), (Some(1e-40), Some(1e38))).unwrap();
            let of_place = counted(&narrow, &values);
            let (mut edges, mut counts, mut outside) = (vec![0.0; bins + 1], vec![9; bins], [0; 3]);
            let into = (&mut edges[..], &mut counts[..]);
            finely_counted((&narrow, &of_place), &asked, into, &mut outside);
            prop_assert!(edges.is_sorted() && edges.iter().all(|edge| edge.is_finite()));
            prop_assert_eq!((counts, outside), counted_between(&edges, &values));
            let Bins::Sizes(sizes) = &narrow else { unreachable!() };
            let (low, high) = (place(asked[0], of_place.number), place(asked[1], of_place.number));
            let high = if high.2 == 0.0 { high.0 } else { high.1 };
            let (low, high) = (values[low.0 as usize], values[high as usize]);
            prop_assert!(edges[0] <= low && edges[bins] >= high);
            let (least, most) = of_place.extremes.unwrap();
            let first = sizes.ends(sizes.of(low)).0.max(least);
            let last = sizes.ends(sizes.of(high)).1.min(most);
            if first < last {
                prop_assert_eq!((edges[0], edges[bins]), (first, last));
                let mut ideal = edges.clone();
                equidistant((first, last), &mut ideal);
                let are_near = edges.iter().zip(&ideal).all(|(edge, ideal)| {
                    sizes.of(*edge).abs_diff(sizes.of(*ideal)) <= 1
                        && (ideal.abs() < 1e-39 || (edge - ideal).abs() <= sizes.width() * ideal.abs())
                });
                prop_assert!(are_near || most > 1e38 || least < -1e38, "{edges:?} {ideal:?}");
            }
        }

        #[test]
        fn a_value_is_in_the_bin_that_begins_at_or_below_it(
            first in -1e3..1e3f64, span in 1e-12..1e3f64, bins in 1..2000usize, part in -0.1..1.1f64,
        ) {
            let mut edges = vec![0.0; bins + 1];
            equidistant((first, first + span), &mut edges);
            prop_assume!(first + span > first);
            for value in [first + span * part, edges[(bins as f64 * part.clamp(0.0, 1.0)) as usize]] {
                let (counts, _) = counted_between(&edges, &[value]);
                prop_assert_eq!(bin(&edges, value), counts.iter().position(|count| *count == 1));
            }
        }
    }

    #[test]
    fn no_edge_of_widened_bins_lies_within_a_narrow_one() {
        // From each power of two to the next there are two.
        let narrow = Bins::new(None, Some(0.2), (None, None)).unwrap();
        let below = 8f64.next_down();
        let of_place = counted(&narrow, &[below, below, below, 8.2, 11.0, 12.0]);
        let (mut edges, mut counts, mut outside) = ([0.0; 2], [0], [0; 3]);
        finely_counted((&narrow, &of_place), &[0.0, 0.4], (&mut edges, &mut counts), &mut outside);
        assert_eq!((edges[1], counts, outside), (12f64.next_down(), [5], [0, 1, 0]));
    }

    #[test]
    fn edges_are_no_further_off_where_nothing_but_zero_is_small() {
        use pixelmill_core::ElementType::{BFloat16, Float16, Float32, Int32, UInt64};
        let histogram = |given, values: &[f64], asked: [f64; 2]| {
            let narrow = Bins::new(Some(given), Some(0.01), (Some(2f64.powi(-149)), None)).unwrap();
            let (mut edges, mut counts, mut outside) = ([0.0; 5], [0; 4], [0; 3]);
            let into = (&mut edges[..], &mut counts[..]);
            finely_counted((&narrow, &counted(&narrow, values)), &asked, into, &mut outside);
            (edges, counts, outside)
        };
        for given in [Float16, BFloat16, Float32, Int32] {
            let (edges, counts, outside) = histogram(given, &[-1.0, 0.0, 1.0, 2.0], [0.0, 0.3]);
            assert_eq!((edges[0], edges[4]), (-1.0, 0.0), "{given:?}");
            assert_eq!((counts, outside), ([1, 0, 0, 1], [0, 2, 0]));
        }
        // No integer lies between two others.
        let values = [0.0, 0.0, 1.0, 2.0];
        for given in [Int32, UInt64] {
            let whole = histogram(given, &values, [0.0, 1.0]);
            assert_eq!(whole, ([0.0, 0.5, 1.0, 1.5, 2.0], [2, 0, 1, 1], [0; 3]));
            let zeros = histogram(given, &values, [0.0, 0.3]);
            assert_eq!(zeros, ([-0.5, -0.25, 0.0, 0.25, 0.5], [0, 0, 2, 0], [0, 2, 0]));
        }
    }

    #[test]
    fn what_is_all_the_same_has_bins_around_it() {
        assert_eq!(widened((3.0, 3.0)), (2.5, 3.5));
        assert_eq!(widened((1e12, 1e12)), (1e12 - 1e3, 1e12 + 1e3));
        assert_eq!(widened((f64::MAX, f64::MAX)).1, f64::MAX);
        let narrow = Bins::new(None, Some(0.01), (None, None)).unwrap();
        let of_place = counted(&narrow, &[3.0; 5]);
        let (mut edges, mut counts, mut outside) = ([0.0; 5], [0; 4], [0; 3]);
        finely_counted((&narrow, &of_place), &[0.1, 0.9], (&mut edges, &mut counts), &mut outside);
        assert_eq!((edges, counts), ([2.5, 2.75, 3.0, 3.25, 3.5], [0, 0, 5, 0]));
        let nothing = OfPlace { counts: vec![0; narrow.len()], ..OfPlace::default() };
        finely_counted((&narrow, &nothing), &[0.1, 0.9], (&mut edges, &mut counts), &mut outside);
        assert!(edges.iter().all(|edge| edge.is_nan()) && counts == [0; 4] && outside == [0; 3]);
    }
}

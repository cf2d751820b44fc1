//! The points of a bin.

use std::ops::Range;

use super::arcs::Arcs;
use crate::region::{Piece, Region};

/// Points between two radii.
pub struct Bin {
    pub region: Region,
    /// Of each point, in the order of the region.
    pub weights: Vec<f64>,
    /// Where each is on its arc, from −1 to 1.
    pub on_arc: Vec<f64>,
    /// Ascending.
    runs: Vec<Run>,
}

/// Points that follow each other on the same arc.
#[derive(Clone)]
pub struct Run {
    pub arc: u16,
    /// Their numbers in the bin.
    pub points: Range<usize>,
}

impl Bin {
    /// The bin between two radii, of points at these places from the centre.
    pub fn of(places: &[(f64, f64)], (inner, outer): (f64, f64), arcs: &Arcs) -> Self {
        let weight = |(down, right): (f64, f64)| {
            let radius = down.hypot(right);
            // A bin that begins at the centre has no edge there.
            let inside = if inner == 0.0 { f64::INFINITY } else { radius - inner };
            (inside.min(outer - radius) + 0.5).clamp(0.0, 1.0)
        };
        let region = Region::of(places.iter().map(|place| weight(*place) > 0.0));
        let mut bin = Self {
            weights: region.points().map(|point| weight(places[point])).collect(),
            on_arc: Vec::with_capacity(region.len()),
            runs: Vec::new(),
            region,
        };
        for (number, point) in bin.region.points().enumerate() {
            let (arc, t) = arcs.place(places[point]);
            bin.on_arc.push(t);
            match bin.runs.last_mut() {
                Some(last) if last.arc == arc => last.points.end += 1,
                _ => bin.runs.push(Run { arc, points: number..number + 1 }),
            }
        }
        bin
    }

    /// The runs that a piece of the region has, with the columns of the tile that they are.
    pub fn runs(&self, piece: &Piece) -> impl Iterator<Item = (Run, Range<usize>)> {
        let (start, end) = (piece.before, piece.before + piece.columns.len());
        let column = piece.columns.start;
        let first = self.runs.partition_point(|run| run.points.end <= start);
        let reaching = self.runs[first..].iter().take_while(move |run| run.points.start < end);
        reaching.map(move |run| {
            let points = run.points.start.max(start)..run.points.end.min(end);
            let columns = column + (points.start - start)..column + (points.end - start);
            (Run { arc: run.arc, points }, columns)
        })
    }

    /// How much memory it takes.
    pub fn memory(&self) -> usize {
        2 * size_of_val(self.weights.as_slice()) + size_of_val(self.runs.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radial_fourier::tests::places;

    #[test]
    fn weights_of_all_bins_add_up_to_one() {
        let places = places(40, 30, (15.0, 14.0));
        let arcs = Arcs::of(3);
        let mut sums = vec![0.0; places.len()];
        for number in 0..5 {
            let edges = (f64::from(number) * 2.5, f64::from(number + 1) * 2.5);
            let bin = Bin::of(&places, edges, &arcs);
            let own = bin.region.points().zip(&bin.weights);
            own.for_each(|(point, weight)| sums[point] += weight);
        }
        for ((down, right), sum) in places.iter().zip(&sums) {
            let radius: f64 = down.hypot(*right);
            let expected = (13.0 - radius).clamp(0.0, 1.0);
            assert!((sum - expected).abs() < 1e-12, "{radius}: {sum}");
        }
    }
}

//! Where the fit begins: the geometry of the loop, as BGlib has it (`generate_guess` of
//! `be_loop.py`), and the best places of a table of branches.
//!
//! Geometry: through the centroid of the loop go a horizontal and a vertical line; where these meet
//! the convex hull of its points are the coercive voltages, the base and the height. Widths are 2
//! V.
//!
//! Table: for each branch coercive voltages over the range, and widths below and above; a pair of
//! branches is as good as what it explains of the loop with its best height and straight line. Of
//! what is near to a better pair none is taken.

use multiversion::multiversion;

use super::axis::Axis;
use super::branch::{Shape, level};
use super::search::{Found, Shapes};
use crate::curve_fit::arrays::dot;
use crate::least_squares::Bounds;
use crate::side_by_side::LANES;

/// Widths of the geometrical guess, in volts.
const WIDTH: f64 = 2.0;

/// Coercive voltages of the table.
const PLACES: usize = 12;

/// Widths of the table, in ranges of the voltage.
const WIDTHS: [f64; 3] = [1.0 / 64.0, 1.0 / 16.0, 1.0 / 5.0];

/// Entries of the table for a branch.
const ENTRIES: usize = PLACES * WIDTHS.len() * WIDTHS.len();

/// Bytes of what is known of all pairs.
pub(super) const MEMORY: usize = ENTRIES * ENTRIES * size_of::<f64>();

/// A branch of the table.
#[derive(Clone, Copy)]
struct Entry {
    shape: Shape,
    /// Numbers of coercive voltage and widths.
    place: [usize; 3],
}

/// All entries of a branch.
#[derive(Default)]
struct Entries {
    all: Vec<Entry>,
    /// Their levels, one after the other.
    levels: Vec<f64>,
    /// Σ of the squares of each.
    squares: Vec<f64>,
    /// The shares of each of a straight line: of a constant, and of its slope.
    constants: Vec<f64>,
    slopes: Vec<f64>,
}

/// Voltage and value.
type Point = [f64; 2];

/// Branches to begin from, the falling and the rising ones.
pub(super) struct Table {
    entries: [Entries; 2],
}

/// Memory that a worker keeps.
#[derive(Default)]
pub(super) struct Buffers {
    products: [Vec<f64>; 2],
    /// What pairs explain: for each falling branch that with each rising one.
    explained: Vec<f64>,
    /// For each falling branch no less than the most that may still be taken.
    most: Vec<f64>,
    taken: Vec<[usize; 2]>,
    points: Vec<Point>,
    hull: Vec<Point>,
}

impl Table {
    /// The table of an axis.
    pub fn new(axis: &Axis, bounds: Bounds<'_>) -> Self {
        let (lowest, highest) = axis.extent;
        let range = highest - lowest;
        let entries = [0, 1].map(|number| {
            let first = 3 * number;
            let held = |at: usize, value: f64| {
                value.max(bounds.lower[first + at]).min(bounds.upper[first + at])
            };
            let mut entries = Entries::default();
            for entry in 0..ENTRIES {
                let place = [entry / 9, entry / 3 % 3, entry % 3];
                let coercive = lowest + range * (place[0] as f64 + 0.5) / PLACES as f64;
                let shape = [
                    held(0, coercive),
                    held(1, WIDTHS[place[1]] * range),
                    held(2, WIDTHS[place[2]] * range),
                ];
                let begin = entries.levels.len();
                let voltages = &axis.voltages[axis.branch(number)];
                entries.levels.extend(voltages.iter().map(|v| level(*v, shape)));
                let levels = &entries.levels[begin..];
                let [constant, slope] = axis.straight_shares(number, levels);
                entries.squares.push(dot(levels, levels));
                entries.constants.push(constant);
                entries.slopes.push(slope);
                entries.all.push(Entry { shape, place });
            }
            entries
        });
        Self { entries }
    }

    /// The best starts for what is left of a loop without its straight line, best first.
    pub fn best(
        &self,
        axis: &Axis,
        target: &[f64],
        count: usize,
        work: &mut Buffers,
        starts: &mut Vec<Shapes>,
    ) {
        let Buffers { products, explained, most, taken, .. } = work;
        for (number, (products, entries)) in products.iter_mut().zip(&self.entries).enumerate() {
            let target = &target[axis.branch(number)];
            let rows = entries.levels.chunks_exact(target.len());
            products.clear();
            products.extend(rows.map(|levels| dot(levels, target)));
        }
        let [falling, rising] = &self.entries;
        explained.resize(ENTRIES * ENTRIES, 0.0);
        most.clear();
        most.extend(explained.chunks_exact_mut(ENTRIES).enumerate().map(|(number, explained)| {
            explain((falling, number, products[0][number]), (rising, &products[1]), explained)
        }));
        taken.clear();
        while taken.len() < count {
            let mut best = (f64::NEG_INFINITY, None);
            for (falling, (explained, most)) in
                explained.chunks_exact(ENTRIES).zip(&mut *most).enumerate()
            {
                if *most > best.0 {
                    let own = self.best_with(falling, explained, taken);
                    *most = own.0;
                    best = if own.0 > best.0 { own } else { best };
                }
            }
            let Some(pair) = best.1 else { break };
            taken.push(pair);
            starts.push(self.shapes(pair));
        }
    }

    /// The first pair of a falling branch that explains most of those that aren't near what is
    /// taken, and how much.
    fn best_with(
        &self,
        falling: usize,
        explained: &[f64],
        taken: &[[usize; 2]],
    ) -> (f64, Option<[usize; 2]>) {
        let mut best = (f64::NEG_INFINITY, None);
        for (rising, explained) in explained.iter().enumerate() {
            let pair = [falling, rising];
            if *explained > best.0 && !taken.iter().any(|other| self.is_near(pair, *other)) {
                best = (*explained, Some(pair));
            }
        }
        best
    }

    fn shapes(&self, pair: [usize; 2]) -> Shapes {
        let [a, b, c] = self.entries[0].all[pair[0]].shape;
        let [d, e, f] = self.entries[1].all[pair[1]].shape;
        [a, b, c, d, e, f]
    }

    /// Whether a search from one pair is likely to end where that from the other one does.
    fn is_near(&self, one: [usize; 2], other: [usize; 2]) -> bool {
        let distance = |number: usize, part: usize| {
            let place = |pair: [usize; 2]| self.entries[number].all[pair[number]].place[part];
            place(one).abs_diff(place(other))
        };
        let widths: usize =
            [0, 1].map(|number| distance(number, 1) + distance(number, 2)).iter().sum();
        distance(0, 0) <= 1 && distance(1, 0) <= 1 && widths <= 1
    }
}

/// Tells of a falling branch, whose product with the loop is given, what it explains of that with
/// each rising one, and the most of it.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2"))]
fn explain(
    (falling, number, product): (&Entries, usize, f64),
    (rising, products): (&Entries, &[f64]),
    explained: &mut [f64],
) -> f64 {
    let square = falling.squares[number];
    let (constant, slope) = (falling.constants[number], falling.slopes[number]);
    let straight = rising.constants.iter().zip(&rising.slopes);
    let others = rising.squares.iter().zip(straight).zip(products);
    for (((of_square, of_straight), of_product), explained) in others.zip(&mut *explained) {
        let (constant, slope) = (constant + of_straight.0, slope + of_straight.1);
        let both = square + of_square;
        let bent = both - constant * constant - slope * slope;
        let product = product + of_product;
        // What is straight but for rounding explains nothing.
        *explained = if bent > 1e-9 * both { product * product / bent } else { 0.0 };
    }
    let (blocks, rest) = explained.as_chunks::<LANES>();
    let mut most = [f64::NEG_INFINITY; LANES];
    for block in blocks {
        for lane in 0..LANES {
            most[lane] = if block[lane] > most[lane] { block[lane] } else { most[lane] };
        }
    }
    most.iter().chain(rest).fold(f64::NEG_INFINITY, |most, other| most.max(*other))
}

/// The guess from the geometry of a loop, whose values are as they were measured.
pub(super) fn from_geometry(axis: &Axis, values: &[f64], work: &mut Buffers) -> Found {
    let Buffers { points, hull, .. } = work;
    points.clear();
    points.extend(axis.measured.iter().zip(values).map(|(voltage, value)| [*voltage, *value]));
    let centroid = centroid(points);
    let spread = |at: usize| {
        let values = points.iter().map(|point| point[at]);
        values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), value| (l.min(value), m.max(value)))
    };
    let ((lowest, highest), (least, most)) = (spread(0), spread(1));
    points.sort_by(|one, other| one[0].total_cmp(&other[0]).then(one[1].total_cmp(&other[1])));
    convex_hull(points, hull);
    let crossed = |at: usize| crossings(hull, centroid, at);
    let (base, top) = crossed(0).unwrap_or((least, most));
    let (falling, rising) = crossed(1).unwrap_or((lowest / 2.0, highest / 2.0));
    let shapes = [falling, WIDTH, WIDTH, rising, WIDTH, WIDTH];
    Found { base, height: top - base, slope: 0.0, shapes }
}

/// The centroid of the polygon through some points. As BGlib has it, the side from the last point
/// to the first is left out, so that it is the centroid only if that passes through the origin.
fn centroid(points: &[Point]) -> Point {
    let (mut sums, mut area) = ([0.0; 2], 0.0);
    for pair in points.windows(2) {
        let cross = pair[0][0] * pair[1][1] - pair[1][0] * pair[0][1];
        area += 0.5 * cross;
        for at in 0..2 {
            sums[at] += (pair[0][at] + pair[1][at]) * cross;
        }
    }
    sums.map(|sum| sum / (6.0 * area))
}

/// The corners of the convex hull of points in their order, from the lowest voltage on around
/// (Andrew 1979, Inf. Process. Lett. 9, 216).
fn convex_hull(points: &[Point], hull: &mut Vec<Point>) {
    hull.clear();
    let turns_left = |a: &Point, b: &Point, c: &Point| {
        (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])
    };
    let mut add = |point: &Point, begin: usize| {
        while hull.len() >= begin + 2 {
            let [.., a, b] = hull.as_slice() else { break };
            if turns_left(a, b, point) {
                break;
            }
            hull.pop();
        }
        hull.push(*point);
        hull.len()
    };
    let mut length = 0;
    for point in points {
        length = add(point, 0);
    }
    for point in points.iter().rev().skip(1) {
        add(point, length - 1);
    }
    hull.pop();
}

/// Where the line through a point on which coordinate `at` is constant meets a hull: the least and
/// the greatest of the other coordinate; `None` if it passes by.
fn crossings(hull: &[Point], through: Point, at: usize) -> Option<(f64, f64)> {
    let (constant, other) = (through[at], 1 - at);
    let mut met = (f64::INFINITY, f64::NEG_INFINITY);
    for (corner, point) in hull.iter().enumerate() {
        let next = &hull[(corner + 1) % hull.len()];
        if (point[at] > constant) != (next[at] > constant) {
            let share = (constant - point[at]) / (next[at] - point[at]);
            let place = point[other] + share * (next[other] - point[other]);
            met = (met.0.min(place), met.1.max(place));
        }
    }
    (met.0 < met.1).then_some(met)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hull_has_the_corners_alone() {
        let mut points: Vec<Point> =
            vec![[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.0], [1.0, 1.0], [0.0, 1.0]];
        points.sort_by(|one, other| one[0].total_cmp(&other[0]).then(one[1].total_cmp(&other[1])));
        let mut hull = Vec::new();
        convex_hull(&points, &mut hull);
        assert_eq!(hull, [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        assert_eq!(crossings(&hull, [0.25, 0.5], 0), Some((0.0, 1.0)));
        assert_eq!(crossings(&hull, [2.0, 0.5], 0), None);
        assert_eq!(crossings(&hull, [f64::NAN; 2], 1), None);
    }

    #[test]
    fn the_table_has_the_loop_that_is_one_of_its_own_and_nothing_near_it_twice() {
        let place = |at: i32| f64::from((at + 16) % 64);
        let voltages: Vec<f64> = (0..64)
            .map(place)
            .map(|at| if at < 32.0 { at / 2.0 - 8.0 } else { 24.0 - at / 2.0 })
            .collect();
        let axis = Axis::new(&voltages).unwrap();
        let (lower, upper) = ([-100.0, 1e-3, 1e-3, -100.0, 1e-3, 1e-3], [100.0; 6]);
        let table = Table::new(&axis, Bounds { lower: &lower, upper: &upper });
        let pair = [40, 71];
        let shapes = table.shapes(pair);
        let found = Found { base: 3.0, height: -2.0, slope: 0.3, shapes };
        let mut target = found.values(&axis);
        axis.straighten(&mut target);
        let (mut starts, mut work) = (Vec::new(), Buffers::default());
        table.best(&axis, &target, 20, &mut work, &mut starts);
        assert_eq!((starts.len(), starts[0]), (20, shapes));
        for (at, one) in work.taken.iter().enumerate() {
            let before = &work.taken[..at];
            let is_free = |pair: [usize; 2]| !before.iter().any(|own| table.is_near(pair, *own));
            assert!(is_free(*one));
            let explained = work.explained[one[0] * ENTRIES + one[1]];
            let better = (0..ENTRIES * ENTRIES).filter(|pair| work.explained[*pair] > explained);
            let better = better.map(|pair| [pair / ENTRIES, pair % ENTRIES]);
            assert_eq!(better.filter(|pair| is_free(*pair)).count(), 0, "{at}");
        }
    }
}

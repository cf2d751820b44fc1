//! Which positions become which pixel of a map.
//!
//! A map has no more pixels than a picture has room for: where the scan has more positions, a pixel
//! is the mean of several, or, where reading all of them would take long, one of them.

use std::ops::Range;

use pixelmill_core::dimension::Dimension;

/// Pixels that a map has along an axis at most, and values that a curve has.
pub(super) const MOST_PIXELS: usize = 400;
pub(super) const MOST_POINTS: usize = 4096;
/// Maps that are made at most of a scan with more than two axes.
const MOST_PAGES: usize = 4;

/// An axis of a picture, cut into pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruler {
    /// Its name.
    pub name: String,
    /// Its units.
    pub units: String,
    /// Where each pixel is: the mean of its steps.
    pub values: Vec<f64>,
    /// Where pixels begin and end, one more than there are.
    pub edges: Vec<f64>,
    /// Steps of the axis that a pixel has.
    pub steps: usize,
}

impl Ruler {
    /// An axis, so many of whose steps are a pixel. Of one whose values go to and fro the steps
    /// are counted.
    pub fn new(axis: &Dimension, steps: usize) -> Self {
        let counted;
        let (axis, units) = if is_ordered(axis) {
            (axis, axis.units.clone())
        } else {
            counted = Dimension::new(
                axis.name.clone(),
                "",
                (0..axis.len()).map(|at| at as f64).collect::<Vec<_>>(),
            );
            (&counted, "steps".to_owned())
        };
        let (steps, length) = (steps.max(1), axis.len());
        let value = |at: usize| axis.values.get(at.min(length.saturating_sub(1))).unwrap_or(0.0);
        let pixels = length.div_ceil(steps);
        let mean = |pixel: usize| {
            let own = pixel * steps..length.min((pixel + 1) * steps);
            own.clone().map(value).sum::<f64>() / own.len().max(1) as f64
        };
        let half = |at: usize| match length {
            0 | 1 => 0.5,
            _ if at == 0 => (value(1) - value(0)) / 2.0,
            _ => (value(length - 1) - value(length - 2)) / 2.0,
        };
        let edge = |pixel: usize| match length.min(pixel * steps) {
            0 => value(0) - half(0),
            end if end == length => value(length - 1) + half(length),
            between => f64::midpoint(value(between - 1), value(between)),
        };
        Self {
            name: axis.name.clone(),
            units,
            values: (0..pixels).map(mean).collect(),
            edges: (0..=pixels).map(edge).collect(),
            steps,
        }
    }

    /// How many pixels it has.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Whether the values of an axis go one way only.
fn is_ordered(axis: &Dimension) -> bool {
    if axis.values.as_even().is_some_and(|(_, step)| step != 0.0) || axis.len() < 2 {
        return axis.values.iter().take(1).all(f64::is_finite);
    }
    let values = axis.values.as_slice();
    let goes = |way: fn(&f64, &f64) -> bool| values.windows(2).all(|pair| way(&pair[0], &pair[1]));
    goes(|one, other| one < other) || goes(|one, other| one > other)
}

/// Whether a step of one axis is as long as one of the other, so that a picture can be to scale.
pub(super) fn are_to_scale(rows: &Dimension, columns: &Dimension) -> bool {
    let units = |axis: &Dimension| axis.units.trim().to_lowercase();
    units(rows) == units(columns)
}

/// The positions of a map, and how they become its pixels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    /// Its steps on the slow axes of the scan, as a person would say it; nothing if it is the only
    /// one.
    pub said: String,
    /// Its first position.
    pub first: u64,
    /// Positions on its axes.
    pub shape: [u64; 2],
    /// Positions of a pixel on them.
    pub steps: [u64; 2],
    /// Whether only the first position of each pixel is read.
    pub is_sampled: bool,
}

/// The axes of a scan that are longer than a step, the slowest first.
pub(super) fn long(axes: &[Dimension]) -> Vec<&Dimension> {
    axes.iter().filter(|axis| axis.len() > 1).collect()
}

/// The maps of a full grid, all of its last two axes, and how many there would be.
pub(super) fn pages(axes: &[Dimension]) -> (Vec<Page>, usize) {
    let count = count(axes);
    let shown = count.min(MOST_PAGES);
    let at = |number: usize| if shown < 2 { 0 } else { number * (count - 1) / (shown - 1) };
    ((0..shown).map(|number| page(axes, at(number))).collect(), count)
}

/// The map of a full grid that a position lies on, its number, and how many there are.
pub(super) fn page_with(axes: &[Dimension], position: u64) -> (Page, usize, usize) {
    let [rows, columns] = page(axes, 0).shape;
    let number = (position / (rows * columns).max(1)) as usize;
    (page(axes, number), number, count(axes))
}

/// How many maps a full grid has.
fn count(axes: &[Dimension]) -> usize {
    let long = long(axes);
    let (slow, _) = long.split_at(long.len().saturating_sub(2));
    slow.iter().map(|axis| axis.len()).product()
}

/// One of the maps of a full grid.
fn page(axes: &[Dimension], number: usize) -> Page {
    let long = long(axes);
    let (slow, own) = long.split_at(long.len().saturating_sub(2));
    let length = |at: usize| own.get(at).map_or(1, |axis| axis.len() as u64);
    let shape = if own.len() == 2 { [length(0), length(1)] } else { [1, length(0)] };
    let most = if own.len() == 2 { MOST_PIXELS } else { MOST_POINTS };
    let steps = shape.map(|length| length.div_ceil(most as u64).max(1));
    let first = number as u64 * shape[0] * shape[1];
    Page { said: said(slow, number), first, shape, steps, is_sampled: false }
}

/// `Z step 3, T step 0`.
pub(super) fn said(axes: &[&Dimension], mut number: usize) -> String {
    let mut steps = Vec::new();
    for axis in axes.iter().rev() {
        steps.insert(0, format!("{} step {}", axis.name, number % axis.len()));
        number /= axis.len();
    }
    steps.join(", ")
}

impl Page {
    /// The same with at least so many steps of each axis in a pixel, of which one is read.
    pub fn sampled(&self, steps: u64) -> Self {
        let coarse = |at: usize| match self.shape[at] {
            1 => 1,
            length => self.steps[at].max(steps).min(length),
        };
        Self { steps: [coarse(0), coarse(1)], is_sampled: true, ..self.clone() }
    }

    /// Pixels on its axes.
    pub fn pixels(&self) -> [usize; 2] {
        [0, 1].map(|at| self.shape[at].div_ceil(self.steps[at]) as usize)
    }

    /// All its positions.
    pub fn positions(&self) -> Range<u64> {
        self.first..self.first + self.shape[0] * self.shape[1]
    }

    /// Row and column of the position in the middle of a pixel.
    pub fn middle(&self, pixel: usize) -> [u64; 2] {
        let across = self.pixels()[1];
        let places = [pixel / across, pixel % across];
        [0, 1].map(|at| {
            let begin = places[at] as u64 * self.steps[at];
            begin.midpoint((begin + self.steps[at]).min(self.shape[at]) - 1)
        })
    }

    /// The pixel that a position falls into.
    pub fn pixel(&self, position: u64) -> usize {
        let own = position - self.first;
        let (row, column) = (own / self.shape[1], own % self.shape[1]);
        let across = self.shape[1].div_ceil(self.steps[1]);
        (row / self.steps[0] * across + column / self.steps[1]) as usize
    }

    /// The positions that are read, in their order.
    pub fn runs(&self) -> Box<dyn Iterator<Item = Range<u64>> + '_> {
        let [rows, columns] = self.shape;
        if !self.is_sampled {
            return Box::new(std::iter::once(self.positions()));
        }
        let rows = (0..rows).step_by(self.steps[0] as usize);
        Box::new(rows.flat_map(move |row| {
            let begin = self.first + row * columns;
            (0..columns)
                .step_by(self.steps[1] as usize)
                .map(move |column| begin + column..begin + column + 1)
        }))
    }

    /// What was done to get its pixels, if anything was.
    pub fn told(&self) -> Option<String> {
        let [rows, columns] = self.steps;
        if rows * columns == 1 {
            return None;
        }
        let each = match self.shape[0] {
            1 => columns.to_string(),
            _ => format!("{rows} × {columns}"),
        };
        Some(match self.is_sampled {
            true => format!("one of each {each} positions"),
            false => format!("means of {each} positions"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::axis_values::AxisValues;

    fn counted(name: &str, length: usize) -> Dimension {
        Dimension::new(name, "um", AxisValues::even(10.0, 2.0, length))
    }

    #[test]
    fn a_ruler_has_the_edges_of_its_pixels() {
        let ruler = Ruler::new(&counted("X", 5), 2);
        assert_eq!(ruler.values, [11.0, 15.0, 18.0]);
        assert_eq!(ruler.edges, [9.0, 13.0, 17.0, 19.0]);
        assert_eq!(Ruler::new(&counted("X", 1), 1).edges, [9.5, 10.5]);
        let falling = Dimension::new("X", "um", vec![4.0, 2.0, -2.0]);
        assert_eq!(Ruler::new(&falling, 1).edges, [5.0, 3.0, 0.0, -4.0]);
        let fro = Ruler::new(&Dimension::new("V", "V", vec![0.0, 1.0, 0.0, -1.0]), 1);
        assert_eq!((fro.units.as_str(), fro.values), ("steps", vec![0.0, 1.0, 2.0, 3.0]));
    }

    #[test]
    fn a_large_scan_is_cut_into_as_many_pixels_as_there_is_room_for() {
        let axes = [counted("Y", 1000), counted("X", 500)];
        let (pages, count) = pages(&axes);
        assert_eq!((pages.len(), count), (1, 1));
        assert_eq!((pages[0].steps, pages[0].pixels()), ([3, 2], [334, 250]));
        assert_eq!([0, 2, 500, 1500, 499_999].map(|at| pages[0].pixel(at)), [0, 1, 0, 250, 83_499]);
        assert!(pages[0].runs().eq(std::iter::once(0..500_000)));
        assert_eq!([0, 251, 83_499].map(|at| pages[0].middle(at)), [[1, 0], [4, 2], [999, 498]]);
        assert_eq!(pages[0].told().as_deref(), Some("means of 3 × 2 positions"));
        let sampled = pages[0].sampled(300);
        let runs: Vec<u64> = sampled.runs().map(|run| run.start).collect();
        assert_eq!(runs, [0, 300, 150_000, 150_300, 300_000, 300_300, 450_000, 450_300]);
        assert_eq!(
            runs.iter().map(|at| sampled.pixel(*at)).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn of_many_slow_steps_a_few_are_shown() {
        let axes =
            [counted("T", 2), counted("One", 1), counted("Z", 5), counted("Y", 3), counted("X", 4)];
        let (found, count) = pages(&axes);
        assert_eq!(count, 10);
        let said = [0, 1, 2, 3].map(|at: usize| (found[at].said.as_str(), found[at].first));
        assert_eq!(said.map(|(_, first)| first), [0, 36, 72, 108]);
        assert_eq!(said.map(|(said, _)| said)[3], "T step 1, Z step 4");
        let (page, number, count) = page_with(&axes, 37);
        assert_eq!((page, number, count), (found[1].clone(), 3, 10));
        assert_eq!((page_with(&axes, 60).0.first, page_with(&axes, 0).0.first), (60, 0));
        let (line, _) = pages(&[counted("Y", 1), counted("X", 9)]);
        assert_eq!((line[0].shape, line[0].pixels()), ([1, 9], [1, 9]));
    }
}

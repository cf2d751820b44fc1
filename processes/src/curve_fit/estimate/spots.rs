//! Spots in frames, found one after the other: around the point whose neighbourhood of 3 × 3 stands
//! out most from the frame's border, all that is above half of its height, and of this the moments.

use super::{Estimator, learn};
use crate::curve_fit::arrays::exp;
use crate::curve_fit::components::Kind;
use crate::curve_fit::model::{Extent, Part};
use crate::curve_fit::turned::nearest;

/// Where the points of a frame are.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Rows and columns.
    pub shape: (usize, usize),
    /// Places along the rows, one per column.
    pub x: Vec<f64>,
    /// Places across the rows, one per row.
    pub y: Vec<f64>,
    /// Which points are fitted.
    pub points: Vec<usize>,
    /// Which of these are at the border.
    border: Vec<usize>,
    /// What the axis across the rows says.
    pub extent: Extent,
}

/// Memory that a worker keeps.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    rest: Vec<f64>,
    rows: Vec<f64>,
    smooth: Vec<f64>,
    seen: Vec<bool>,
    open: Vec<usize>,
}

/// Mean, along and across the rows, and mean squares of the distances from it.
#[derive(Clone, Copy, Debug)]
struct Moments {
    centre: (f64, f64),
    squares: [f64; 3],
    /// The area of the points.
    area: f64,
    height: f64,
}

/// Of a peak above half of its height, weighted with what is above: the mean square of u, relative
/// to that of σ or γ. ∫s·(e⁻ˢ − ½)/∫(e⁻ˢ − ½) up to ln 2, and ½∫s·(1/(1 + s) − ½)/∫(1/(1 + s) − ½)
/// up to 1.
const OF_GAUSSIAN: f64 = 0.217_1;
const OF_LORENTZIAN: f64 = 0.147_2;

impl Estimator<'_> {
    /// Start values of all spots.
    pub(super) fn spots(
        &self,
        frame: &Frame,
        values: &[f64],
        scratch: &mut Scratch,
        starts: &mut [f64],
    ) {
        frame.level(values, scratch);
        let spots = || self.model.parts.iter().filter(|part| part.kind.is_spot());
        let count = spots().count();
        // Those whose place is known first, so that no other is found there.
        for is_known in [true, false] {
            for part in spots() {
                let place = (part.shape[0].of(starts), part.shape[1].of(starts));
                if (!place.0.is_nan() && !place.1.is_nan()) != is_known {
                    continue;
                }
                frame.smooth(scratch);
                let seed = match is_known {
                    true => frame.nearest(place),
                    false => self.most_prominent(part, scratch),
                };
                let found = frame.moments(seed, scratch);
                self.learn_spot(part, found, frame, starts);
                if count > 1 {
                    frame.subtract(part.kind, found, scratch);
                }
            }
        }
        // What follows from other parameters, which nothing was told of, is in the middle.
        for (start, free) in starts.iter_mut().zip(&self.model.shape) {
            if start.is_nan() {
                *start = 0.5 * (frame.extent.least + frame.extent.most);
                *start = start.max(free.lower).min(free.upper);
            }
        }
    }

    fn most_prominent(&self, part: &Part, scratch: &Scratch) -> usize {
        let signs = self.signs(part);
        let score = |value: f64| match (signs.up, signs.down) {
            (true, false) => value,
            (false, true) => -value,
            _ => value.abs(),
        };
        let mut best = (f64::NEG_INFINITY, 0);
        for (at, value) in scratch.smooth.iter().enumerate() {
            if score(*value) > best.0 {
                best = (score(*value), at);
            }
        }
        best.1
    }

    fn learn_spot(&self, part: &Part, found: Moments, frame: &Frame, starts: &mut [f64]) {
        learn(&part.shape[0], found.centre.0, starts);
        learn(&part.shape[1], found.centre.1, starts);
        let channel = self.extent.channel.min(frame.extent.channel);
        if part.kind == Kind::Disk {
            learn(&part.shape[2], (found.area / std::f64::consts::PI).sqrt(), starts);
            learn(&part.shape[3], channel, starts);
            return;
        }
        let share = if part.kind == Kind::Lorentzian2d { OF_LORENTZIAN } else { OF_GAUSSIAN };
        let [xx, xy, yy] = found.squares.map(|square| square / share);
        // The means have widened it by 2/3 of a square channel along each axis.
        let narrower = |square: f64, channel: f64| {
            (square - channel * channel / 1.5).max(0.1 * channel * channel)
        };
        let (xx, yy) = (narrower(xx, self.extent.channel), narrower(yy, frame.extent.channel));
        // The direction of the longer axis; or of the shorter, if that is nearer to the rows.
        let longer = 0.5 * libm::atan2(2.0 * xy, xx - yy);
        let quarter = std::f64::consts::FRAC_PI_2;
        let nearer =
            if longer.abs() <= 0.5 * quarter { longer } else { longer - quarter.copysign(longer) };
        // Of the same ellipse that which bounds allow.
        let value = part.shape[4];
        let is_allowed = |angle: f64, _| {
            let free = value.free.map(|at| &self.model.shape[at]);
            let at = (angle - value.shift) / value.factor;
            free.is_some_and(|free| (free.lower..=free.upper).contains(&at))
        };
        let allowed = nearest(-nearer, (0.0, quarter), is_allowed);
        learn(&value, allowed.map_or(-nearer, |(angle, _)| angle), starts);
        let angle = part.shape[4].of(starts);
        let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
        let mixed = 2.0 * sine * cosine * xy;
        let along = cosine * cosine * xx - mixed + sine * sine * yy;
        let across = sine * sine * xx + mixed + cosine * cosine * yy;
        let least = 0.05 * channel * channel;
        let width = |square: f64| square.max(least).sqrt();
        learn(&part.shape[2], width(along), starts);
        learn(&part.shape[3], width(across), starts);
    }
}

impl Frame {
    /// Points of the rows and columns at these places.
    pub fn new(points: Vec<usize>, y: &[f64], x: &[f64], extent: Extent) -> Self {
        let (rows, columns) = (y.len(), x.len());
        let is_border = |point: usize| {
            let (row, column) = (point / columns, point % columns);
            row == 0 || column == 0 || row + 1 == rows || column + 1 == columns
        };
        let border = (0..points.len()).filter(|&at| is_border(points[at])).collect();
        Self { shape: (rows, columns), x: x.to_vec(), y: y.to_vec(), points, border, extent }
    }

    /// Whether all points are fitted.
    pub fn is_whole(&self) -> bool {
        self.points.len() == self.shape.0 * self.shape.1
    }

    /// The values less the mean of the border, 0 where nothing is fitted.
    fn level(&self, values: &[f64], scratch: &mut Scratch) {
        let (rows, columns) = self.shape;
        let sum: f64 = self.border.iter().map(|&at| values[at]).sum();
        let level = if self.border.is_empty() { 0.0 } else { sum / self.border.len() as f64 };
        scratch.rest.clear();
        if self.is_whole() {
            scratch.rest.extend(values.iter().map(|value| value - level));
            return;
        }
        scratch.rest.resize(rows * columns, 0.0);
        for (value, point) in values.iter().zip(&self.points) {
            scratch.rest[*point] = value - level;
        }
    }

    /// Means of 3 × 3 points, less at the border.
    fn smooth(&self, scratch: &mut Scratch) {
        let (rows, columns) = self.shape;
        let Scratch { rest, rows: sums, smooth, .. } = scratch;
        smooth.resize(rows * columns, 0.0);
        for (row, smooth) in smooth.chunks_exact_mut(columns).enumerate() {
            let line = |row: usize| &rest[row * columns..][..columns];
            sums.clear();
            sums.extend_from_slice(line(row));
            for other in [row.checked_sub(1), (row + 1 < rows).then_some(row + 1)] {
                for (sum, value) in sums.iter_mut().zip(other.map_or(&[][..], line)) {
                    *sum += value;
                }
            }
            smooth.copy_from_slice(sums);
            smooth[1..].iter_mut().zip(&*sums).for_each(|(value, before)| *value += before);
            smooth.iter_mut().zip(&sums[1..]).for_each(|(value, after)| *value += after);
            smooth.iter_mut().for_each(|value| *value *= 1.0 / 9.0);
        }
    }

    /// The point that is nearest to a place.
    fn nearest(&self, (x, y): (f64, f64)) -> usize {
        let nearest = |places: &[f64], wanted: f64| {
            let distance = |at: &usize| (places[*at] - wanted).abs();
            (0..places.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
        };
        nearest(&self.y, y) * self.shape.1 + nearest(&self.x, x)
    }

    /// The moments of all that is connected with a point and above half of its height.
    fn moments(&self, seed: usize, scratch: &mut Scratch) -> Moments {
        let (rows, columns) = self.shape;
        let Scratch { smooth, seen, open, .. } = scratch;
        let height = smooth[seed];
        let above = |point: usize| (smooth[point] - 0.5 * height) * height.signum();
        seen.clear();
        seen.resize(rows * columns, false);
        open.clear();
        open.push(seed);
        seen[seed] = true;
        let (mut sums, mut count) = ([0.0; 6], 0_usize);
        let (x0, y0) = (self.x[seed % columns], self.y[seed / columns]);
        while let Some(point) = open.pop() {
            let (row, column) = (point / columns, point % columns);
            let (x, y, weight) = (self.x[column] - x0, self.y[row] - y0, above(point));
            for (sum, term) in sums.iter_mut().zip([1.0, x, y, x * x, x * y, y * y]) {
                *sum += weight * term;
            }
            count += 1;
            for next in [
                (row > 0).then(|| point - columns),
                (row + 1 < rows).then(|| point + columns),
                (column > 0).then(|| point - 1),
                (column + 1 < columns).then(|| point + 1),
            ]
            .into_iter()
            .flatten()
            {
                if !seen[next] && above(next) > 0.0 {
                    seen[next] = true;
                    open.push(next);
                }
            }
        }
        let [all, x, y, xx, xy, yy] = sums;
        let spacing = |places: &[f64]| {
            let last = places.len() - 1;
            (places[last] - places[0]).abs() / last.max(1) as f64
        };
        let area = count as f64 * spacing(&self.x) * spacing(&self.y);
        if all <= 0.0 {
            // A constant frame has no heights.
            return Moments { centre: (x0, y0), squares: [0.0; 3], area, height };
        }
        let (x, y) = (x / all, y / all);
        let squares = [xx / all - x * x, xy / all - x * y, yy / all - y * y];
        Moments { centre: (x0 + x, y0 + y), squares, area, height }
    }

    /// Takes a spot away, so that another one is found next.
    fn subtract(&self, kind: Kind, spot: Moments, scratch: &mut Scratch) {
        let share = if kind == Kind::Lorentzian2d { OF_LORENTZIAN } else { OF_GAUSSIAN };
        let [xx, xy, yy] = spot.squares.map(|square| square / share);
        let size = xx * yy - xy * xy;
        let radius = spot.area / std::f64::consts::PI;
        let lines = scratch.rest.chunks_exact_mut(self.shape.1);
        for (line, y) in lines.zip(&self.y) {
            for (value, x) in line.iter_mut().zip(&self.x) {
                let (right, down) = (x - spot.centre.0, y - spot.centre.1);
                let square = if kind == Kind::Disk || size <= 0.0 {
                    (right * right + down * down) / radius
                } else {
                    (yy * right * right - 2.0 * xy * right * down + xx * down * down) / size
                };
                *value -= spot.height
                    * match kind {
                        Kind::Disk => f64::from(u8::from(square <= 1.0)),
                        Kind::Lorentzian2d => (1.0 + square).recip(),
                        _ => exp(-0.5 * square),
                    };
            }
        }
    }
}

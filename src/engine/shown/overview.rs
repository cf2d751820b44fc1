//! Pictures of a dataset: of what each position has, and of all that was measured at positions.

use std::f64::consts::TAU;
use std::ops::Range;

use super::gather::{MOST_BYTES, Seen, affordable, gather};
use super::limits::Limits;
use super::pages::{MOST_PIXELS, MOST_POINTS, Page, Ruler, are_to_scale, long, pages, said};
use super::states::{State, States};
use super::values::{Means, Values};
use super::{Layout, Part, Picture, Places};
use crate::source::Source;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::coordinates::PositionAxes;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;

/// So many values of a position are shown as a map each; of more, their sum.
const MOST_MAPS: usize = 6;
/// Positions of a scan that is no grid that are shown at most.
const MOST_PLACES: u64 = 20_000;

/// What is shown, and what it is called.
pub(super) struct Subject<'s> {
    pub source: &'s Source,
    pub states: &'s States,
    /// What the pictures are of, in short.
    pub title: String,
    pub quantity: String,
    pub units: String,
}

impl Subject<'_> {
    /// Pictures of all positions: a map of what each has, or of its sum, with the mean over
    /// positions beside it.
    ///
    /// # Errors
    /// If the values can't be read.
    pub fn pictures(&self) -> Result<Vec<Picture>> {
        let points = self.source.info.spectral_points;
        if self.source.info.positions == 1 {
            return self.of_position(0);
        }
        if points <= MOST_MAPS { self.maps() } else { self.overview() }
    }

    /// Pictures of all that one position has.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn of_position(&self, position: u64) -> Result<Vec<Picture>> {
        let mut means = Means::new(self.source.info.spectral_points, self.is_complex());
        let mut state = State::Known;
        let one = std::iter::once(position..position + 1);
        gather(self.source, self.states, one, |seen| {
            state = seen.state;
            seen.values().enumerate().for_each(|(at, value)| means.add(at, value));
        })?;
        let notes = match state {
            State::Pending => vec!["it isn't computed yet".to_owned()],
            State::Failed => vec!["it has failed".to_owned()],
            State::Known | State::Missing => Vec::new(),
        };
        let axes = self.own_axes();
        let mut pictures = vec![self.picture(
            &self.title,
            Part::Value,
            notes.clone(),
            laid(&axes, &means.values()),
        )];
        if let Some(phases) = means.phases() {
            pictures[0].part = Part::Amplitude;
            pictures.push(self.picture(&self.title, Part::Phase, notes, laid(&axes, &phases)));
        }
        Ok(pictures)
    }

    /// The axes of what a position has.
    fn own_axes(&self) -> Vec<Dimension> {
        let info = &self.source.info;
        let axes = &info.spectroscopic_dimensions;
        let is_grid = axes.iter().map(Dimension::len).product::<usize>() == info.spectral_points;
        if is_grid && !axes.is_empty() { axes.clone() } else { vec![info.axis(0)] }
    }

    fn is_complex(&self) -> bool {
        self.source.stored.element.is_complex()
    }

    fn picture(&self, title: &str, part: Part, notes: Vec<String>, laid: Laid) -> Picture {
        let Laid { layout, values, notes: more } = laid;
        let values = match (part, self.turn(&values)) {
            (Part::Phase, _) => values.as_phases(TAU),
            (_, Some(turn)) => values.as_phases(turn),
            _ => values,
        };
        Picture {
            dataset: self.source.info.path.clone(),
            title: title.to_owned(),
            quantity: self.quantity.clone(),
            units: self.units.clone(),
            part,
            notes: [notes, more].concat(),
            layout,
            values,
        }
    }

    /// How much a turn is, if these values are called phases and go round a good part of it; small
    /// ones may be errors of phases.
    fn turn(&self, values: &Values) -> Option<f64> {
        let turn = match self.units.trim().to_lowercase().as_str() {
            "rad" | "radian" | "radians" => TAU,
            "deg" | "degree" | "degrees" | "°" => 360.0,
            _ => return None,
        };
        let goes_round = |limits: &Limits| limits.high - limits.low > turn / 4.0;
        let is_phase = self.quantity.to_lowercase().contains("phase");
        (is_phase && values.limits.as_ref().is_some_and(goes_round)).then_some(turn)
    }

    /// A map of each of the values that a position has.
    fn maps(&self) -> Result<Vec<Picture>> {
        let points = self.source.info.spectral_points;
        let mut pictures = Vec::new();
        for field in self.fields()? {
            let mut means = vec![Means::new(field.pixels(), self.is_complex()); points];
            let mut found = Found::new(field.pixels());
            gather(self.source, self.states, field.runs(), |seen| {
                let pixel = field.pixel(seen.position);
                found.note(pixel, &seen);
                means.iter_mut().zip(seen.values()).for_each(|(of, value)| of.add(pixel, value));
            })?;
            for (point, means) in means.iter().enumerate() {
                let title = self.titled(&[&field.said(), &self.point(point)]);
                let values = found.values(means.values());
                pictures.push(self.picture(&title, Part::Value, field.notes(), field.laid(values)));
                if let Some((phases, of)) = means.phases().zip(pictures.last_mut()) {
                    of.part = Part::Amplitude;
                    let laid = field.laid(found.values(phases));
                    pictures.push(self.picture(&title, Part::Phase, field.notes(), laid));
                }
            }
        }
        Ok(pictures)
    }

    /// A map of the sum over what a position has, and the mean over the positions that were read.
    fn overview(&self) -> Result<Vec<Picture>> {
        let points = self.source.info.spectral_points;
        let mut all = Means::new(points, self.is_complex());
        let mut pictures = Vec::new();
        let mut looked_at = 0u64;
        for field in self.fields()? {
            let mut sums = Means::new(field.pixels(), false);
            let mut found = Found::new(field.pixels());
            gather(self.source, self.states, field.runs(), |seen| {
                let pixel = field.pixel(seen.position);
                found.note(pixel, &seen);
                let magnitude = |(real, imaginary): (f64, f64)| match seen.imaginary {
                    [] => real,
                    _ => real.hypot(imaginary),
                };
                let finite = seen.values().map(magnitude).filter(|value| value.is_finite());
                let sum = finite.reduce(|sum, value| sum + value);
                sums.add(pixel, (sum.unwrap_or(f64::NAN), 0.0));
                looked_at += u64::from(sum.is_some());
                seen.values().enumerate().for_each(|(at, value)| all.add(at, value));
            })?;
            let along = self.along();
            let title = self.titled(&[&field.said(), &format!("sum over {along}")]);
            let mut picture = self.picture(
                &title,
                Part::Value,
                field.notes(),
                field.laid(found.values(sums.values())),
            );
            picture.part = if self.is_complex() { Part::Amplitude } else { Part::Value };
            pictures.push(picture);
        }
        let title = self.titled(&[&format!("mean of {looked_at} positions")]);
        let mut mean =
            self.picture(&title, Part::Value, Vec::new(), laid(&self.own_axes(), &all.values()));
        mean.part = pictures.first().map_or(Part::Value, |picture| picture.part);
        pictures.push(mean);
        Ok(pictures)
    }

    /// What was summed over, in words.
    fn along(&self) -> String {
        let axes = self.own_axes();
        let names: Vec<&str> = long(&axes).into_iter().map(|axis| axis.name.as_str()).collect();
        names.join(" × ")
    }

    fn titled(&self, more: &[&str]) -> String {
        let more: Vec<&str> = more.iter().copied().filter(|text| !text.is_empty()).collect();
        if more.is_empty() {
            self.title.clone()
        } else {
            format!("{}: {}", self.title, more.join(", "))
        }
    }

    /// Which of the values of a position it is; nothing if there is only one.
    fn point(&self, point: usize) -> String {
        said(&long(&self.own_axes()), point)
    }

    /// How positions become pixels: of a full grid as maps, else each at its place.
    fn fields(&self) -> Result<Vec<Field>> {
        let grid = &self.source.grid;
        if !grid.is_full() {
            return Ok(vec![Field::Places(Scatter::of(self.source))]);
        }
        let (pages, count) = pages(&grid.dimensions);
        let shown = pages.len();
        let map = |page: Page| {
            let page = affordable(self.source, page);
            let note = (count > shown).then(|| format!("{shown} of {count} maps are shown"));
            Field::Map { page, axes: grid.dimensions.clone(), note }
        };
        Ok(pages.into_iter().map(map).collect())
    }
}

/// What was found at the positions of each pixel.
struct Found {
    states: Vec<State>,
    pending: u64,
    failed: u64,
}

impl Found {
    fn new(pixels: usize) -> Self {
        Self { states: vec![State::Missing; pixels], pending: 0, failed: 0 }
    }

    /// A pixel has failed if any of its positions has, and is pending if all others are.
    fn note(&mut self, pixel: usize, seen: &Seen<'_>) {
        let state = &mut self.states[pixel];
        match (seen.state, *state) {
            (State::Failed, _) => (self.failed, *state) = (self.failed + 1, State::Failed),
            (State::Pending, State::Missing) => {
                (self.pending, *state) = (self.pending + 1, State::Pending);
            }
            (State::Pending, _) => self.pending += 1,
            (State::Known, State::Failed) | (State::Missing, _) => {}
            (State::Known, _) => *state = State::Known,
        }
    }

    /// Values with the reasons why some are missing. A pixel with a value of other positions has
    /// that.
    fn values(&self, numbers: Vec<f64>) -> Values {
        let mut values = Values::of(numbers);
        let reasons = values.states.iter_mut().zip(&self.states);
        for (state, reason) in reasons.filter(|(state, _)| **state == State::Missing) {
            *state = if *reason == State::Known { State::Missing } else { *reason };
        }
        Values { pending: self.pending, failed: self.failed, ..values }
    }
}

/// How positions become pixels.
enum Field {
    Map { page: Page, axes: Vec<Dimension>, note: Option<String> },
    Places(Scatter),
}

impl Field {
    fn pixels(&self) -> usize {
        match self {
            Self::Map { page, .. } => page.pixels().iter().product(),
            Self::Places(scatter) => scatter.positions.len(),
        }
    }

    fn pixel(&self, position: u64) -> usize {
        match self {
            Self::Map { page, .. } => page.pixel(position),
            Self::Places(scatter) => (position / scatter.every) as usize,
        }
    }

    fn runs(&self) -> Box<dyn Iterator<Item = Range<u64>> + '_> {
        match self {
            Self::Map { page, .. } => page.runs(),
            Self::Places(scatter) => {
                Box::new(scatter.positions.iter().map(|position| *position..position + 1))
            }
        }
    }

    fn said(&self) -> String {
        match self {
            Self::Map { page, .. } => page.said.clone(),
            Self::Places(_) => String::new(),
        }
    }

    fn notes(&self) -> Vec<String> {
        match self {
            Self::Map { page, note, .. } => page.told().into_iter().chain(note.clone()).collect(),
            Self::Places(scatter) if scatter.every > 1 => {
                vec![format!("one of each {} positions", scatter.every)]
            }
            Self::Places(_) => Vec::new(),
        }
    }

    fn laid(&self, values: Values) -> Laid {
        let layout = match self {
            Self::Places(scatter) => scatter.layout.clone(),
            Self::Map { page, axes, .. } => match long(axes).as_slice() {
                [] => Layout::Number,
                [axis] => Layout::Curve(Ruler::new(axis, page.steps[1] as usize)),
                [.., rows, columns] => Layout::Image {
                    to_scale: are_to_scale(rows, columns),
                    rows: Ruler::new(rows, page.steps[0] as usize),
                    columns: Ruler::new(columns, page.steps[1] as usize),
                },
            },
        };
        Laid { layout, values, notes: Vec::new() }
    }
}

/// Positions at places of their own.
struct Scatter {
    positions: Vec<u64>,
    /// One of so many is shown.
    every: u64,
    layout: Layout,
}

impl Scatter {
    fn of(source: &Source) -> Self {
        let count = source.info.positions;
        let most = MOST_BYTES / source.row_bytes().max(1) as u64;
        let every = count.div_ceil(most.clamp(1, MOST_PLACES)).max(1);
        let positions: Vec<u64> = (0..count).step_by(every as usize).collect();
        let places = |number: usize| {
            let axis = &source.grid.dimensions[number];
            let values = positions.iter().map(|position| source.grid.value(*position, number));
            Places { name: axis.name.clone(), units: axis.units.clone(), values: values.collect() }
        };
        let axes = &source.grid.dimensions;
        let long: Vec<usize> = (0..axes.len()).filter(|axis| axes[*axis].len() > 1).collect();
        let layout = match long.as_slice() {
            [] => Layout::Curve(Ruler::new(
                &Dimension::new("Position", "", AxisValues::counted(positions.len())),
                1,
            )),
            [only] => {
                let Places { name, units, values } = places(*only);
                Layout::Curve(Ruler { edges: Vec::new(), name, units, values, steps: 1 })
            }
            [.., slow, fast] => {
                // Without a grid nobody can tell which of them is the slow one.
                let is_x = |axis: usize| axes[axis].name.trim().to_lowercase().starts_with('x');
                let turned = is_x(*slow) && !is_x(*fast);
                let (rows, columns) = if turned { (*fast, *slow) } else { (*slow, *fast) };
                Layout::Points {
                    rows: places(rows),
                    columns: places(columns),
                    to_scale: are_to_scale(&axes[rows], &axes[columns]),
                }
            }
        };
        Self { positions, every, layout }
    }
}

/// Values in the layout that their axes give.
pub(super) struct Laid {
    pub layout: Layout,
    pub values: Values,
    pub notes: Vec<String>,
}

/// The values along some axes, slowest first, as an image of the last two, a curve, or a number.
pub(super) fn laid(axes: &[Dimension], numbers: &[f64]) -> Laid {
    let long = long(axes);
    let (slow, own) = long.split_at(long.len().saturating_sub(2));
    let each: usize = own.iter().map(|axis| axis.len()).product();
    let first = &numbers[..each.min(numbers.len())];
    let notes = slow.iter().map(|axis| format!("at step 0 of {}", axis.name)).collect();
    match own {
        [rows, columns] => {
            let steps = [rows, columns].map(|axis| axis.len().div_ceil(MOST_PIXELS).max(1));
            let layout = Layout::Image {
                to_scale: are_to_scale(rows, columns),
                rows: Ruler::new(rows, steps[0]),
                columns: Ruler::new(columns, steps[1]),
            };
            Laid { layout, values: Values::of(in_bins(first, columns.len(), steps)), notes }
        }
        [axis] => {
            let steps = axis.len().div_ceil(MOST_POINTS).max(1);
            let values = Values::of(in_bins(first, axis.len(), [1, steps]));
            Laid { layout: Layout::Curve(Ruler::new(axis, steps)), values, notes }
        }
        _ => Laid { layout: Layout::Number, values: Values::of(first.to_vec()), notes },
    }
}

/// The means of so many rows and columns of an array.
fn in_bins(numbers: &[f64], columns: usize, [down, right]: [usize; 2]) -> Vec<f64> {
    if (down, right) == (1, 1) {
        return numbers.to_vec();
    }
    let across = columns.div_ceil(right);
    let rows = (numbers.len() / columns.max(1)).div_ceil(down);
    let mut means = Means::new(rows * across, false);
    for (at, number) in numbers.iter().enumerate() {
        let (row, column) = (at / columns, at % columns);
        means.add(row / down * across + column / right, (*number, 0.0));
    }
    means.values()
}

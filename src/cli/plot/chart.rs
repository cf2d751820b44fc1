//! Charts: panels of points, lines and marks on their axes, one above the other.

use std::f64::consts::{PI, TAU};

use super::axis::Axis;
use super::tex::signs;
use crate::engine::shown::{Part, Picture, Ruler, State};
use crate::engine::{Probe, ProbeSpectrum};
use pixelmill_core::process::{Curve, Mark, Model, Values};

/// Room around the data, as a share of their span.
const ROOM: (f64, f64) = (0.02, 0.06);
/// Of more values than that a line is drawn.
const MOST_DOTS: usize = 40;
/// Phases of which more than one step in so many is larger than a quarter of a turn jump about.
const MOST_LARGE_STEPS: usize = 10;

/// A spectrum with what its result says of it, or values along an axis.
pub(crate) struct Chart {
    /// What it is of; nothing if the heading of the figure says it.
    pub title: String,
    pub x: Axis,
    /// From top to bottom.
    pub panels: Vec<Panel>,
    /// All lines over the data, for the legend.
    pub lines: Vec<Line>,
    /// Names of all marks, for the legend.
    pub marks: Vec<String>,
    /// What else there is to be said of it.
    pub notes: Vec<String>,
}

/// What is known of a line in all panels.
pub(crate) struct Line {
    pub name: String,
    pub is_part: bool,
}

/// One view of the spectrum. All places are from 0 to 1, from left to right and from bottom to top.
pub(crate) struct Panel {
    pub y: Axis,
    pub points: Vec<Point>,
    /// For each line of the figure, its unbroken pieces.
    pub lines: Vec<Vec<Vec<Point>>>,
    /// For each mark of the figure, where it is; and how high, if this panel shows that.
    pub marks: Vec<Option<(f64, Option<f64>)>>,
    /// Where there is no value, and why.
    pub gaps: Vec<(f64, State)>,
}

pub(crate) type Point = (f64, f64);

/// A view of complex numbers, or of real ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Real,
    Magnitude,
    Phase,
}

impl Chart {
    /// The chart of one spectrum of `probe`.
    pub fn of_probe(probe: &Probe, spectrum: &ProbeSpectrum) -> Self {
        let nothing = Model::new();
        let model = spectrum.model.as_ref().unwrap_or(&nothing);
        let at = probe.axis.values.as_slice();
        let x = Axis::new(&probe.axis.name, &probe.axis.units, at.iter().copied(), ROOM.0);
        let views = views(&spectrum.data, model);
        let panel = |view: &View| Panel::new(*view, &x, probe, &spectrum.data, model);
        Self {
            panels: views.iter().map(panel).collect(),
            title: String::new(),
            lines: model.curves.iter().map(Line::of).collect(),
            marks: model.marks.iter().map(|mark| mark.name.clone()).collect(),
            notes: Vec::new(),
            x,
        }
    }

    /// The chart of a picture whose values lie along an axis.
    pub fn of_picture(picture: &Picture, ruler: &Ruler) -> Self {
        let numbers = &picture.values.numbers;
        let x = Axis::new(&ruler.name, &ruler.units, ruler.values.iter().copied(), ROOM.0);
        let (quantity, units) = quantity_of(picture);
        let unwrapped = (picture.part == Part::Phase).then(|| unwrapped(numbers)).flatten();
        let numbers = unwrapped.as_ref().unwrap_or(numbers);
        let y = Axis::new(quantity, units, numbers.iter().copied(), ROOM.1);
        // Few values are no line, nor are phases that jump about.
        let goes_on = unwrapped.is_some() || picture.part != Part::Phase;
        let is_line = numbers.len() > MOST_DOTS && goes_on;
        let points = if is_line { Vec::new() } else { places(&x, &y, &ruler.values, numbers) };
        let line = is_line.then(|| pieces(&x, &y, &ruler.values, numbers));
        let states = ruler.values.iter().zip(&picture.values.states);
        let gap = |(at, state): (&f64, &State)| match state {
            State::Known | State::Missing => None,
            state => Some((x.place(*at)?, *state)),
        };
        let panel = Panel {
            points: points.into_iter().flatten().collect(),
            lines: line.into_iter().collect(),
            marks: Vec::new(),
            gaps: states.filter_map(gap).collect(),
            y,
        };
        let name = signs(&picture.title);
        let lines =
            if is_line { vec![Line { name: String::new(), is_part: false }] } else { Vec::new() };
        Self {
            title: name,
            x,
            panels: vec![panel],
            lines,
            marks: Vec::new(),
            notes: notes_of(picture),
        }
    }

    /// Adds the phases of the same values as a panel below.
    pub fn add_below(&mut self, picture: &Picture, ruler: &Ruler) {
        let Self { panels, lines, .. } = Self::of_picture(picture, ruler);
        self.panels.extend(panels);
        if lines.len() > self.lines.len() {
            self.lines = lines;
        }
    }

    /// Whether a state occurs in it.
    pub fn has(&self, state: State) -> bool {
        self.panels.iter().flat_map(|panel| &panel.gaps).any(|(_, other)| *other == state)
    }

    /// Whether any of its data are points.
    pub fn has_points(&self) -> bool {
        self.panels.iter().any(|panel| !panel.points.is_empty())
    }
}

/// What an axis or a bar with the values of a picture is called, and its units.
pub(super) fn quantity_of(picture: &Picture) -> (String, &str) {
    match picture.part {
        Part::Value => (picture.quantity.clone(), picture.units.as_str()),
        Part::Amplitude => (format!("|{}|", picture.quantity), picture.units.as_str()),
        Part::Phase => ("Phase".to_owned(), "rad"),
    }
}

/// What is said below a picture.
pub(super) fn notes_of(picture: &Picture) -> Vec<String> {
    let values = &picture.values;
    let counted = |count: u64, what: &str| match count {
        0 => None,
        1 => Some(format!("1 position {what}")),
        many => Some(format!("{} positions {what}", super::super::show::count(many))),
    };
    let none = values.limits.is_none().then(|| "no values".to_owned());
    let said = [none, counted(values.pending, "pending"), counted(values.failed, "failed")];
    said.into_iter().flatten().chain(picture.notes.iter().cloned()).collect()
}

impl Line {
    fn of(curve: &Curve) -> Self {
        Self { name: curve.name.clone(), is_part: curve.is_part }
    }
}

/// Of complex data, the phase is of interest if the result says something of it, or nothing at all.
fn views(data: &Values, model: &Model) -> &'static [View] {
    let is_complex = |curve: &Curve| matches!(curve.values, Values::Complex(_));
    match data {
        Values::Real(_) => &[View::Real],
        Values::Complex(_) if model.is_empty() || model.curves.iter().any(is_complex) => {
            &[View::Magnitude, View::Phase]
        }
        Values::Complex(_) => &[View::Magnitude],
    }
}

impl View {
    /// The numbers to draw, none if there is nothing to be seen in this view.
    fn of(self, values: &Values) -> Vec<f64> {
        match (self, values) {
            (Self::Real | Self::Magnitude, Values::Real(values)) => values.clone(),
            (Self::Magnitude, Values::Complex(values)) => {
                values.iter().map(|value| value.norm()).collect()
            }
            (Self::Phase, Values::Complex(values)) => {
                values.iter().map(|value| value.arg()).collect()
            }
            (Self::Real, Values::Complex(_)) | (Self::Phase, Values::Real(_)) => Vec::new(),
        }
    }

    fn axis(self, probe: &Probe, values: impl Iterator<Item = f64>) -> Axis {
        let quantity = match probe.quantity.as_str() {
            "" => "Value",
            quantity => quantity,
        };
        match self {
            Self::Real => Axis::new(quantity, &probe.units, values, ROOM.1),
            Self::Magnitude => Axis::new(format!("|{quantity}|"), &probe.units, values, ROOM.1),
            Self::Phase => Axis::new("Phase", "rad", values, ROOM.1),
        }
    }
}

impl Panel {
    fn new(view: View, x: &Axis, probe: &Probe, data: &Values, model: &Model) -> Self {
        let at = probe.axis.values.as_slice();
        let mut data = view.of(data);
        let mut curves: Vec<Vec<f64>> =
            model.curves.iter().map(|curve| view.of(&curve.values)).collect();
        if view == View::Phase {
            unwrap(&mut data, &mut curves);
        }
        let shows_height = view != View::Phase;
        let heights = model.marks.iter().filter(|_| shows_height).map(|mark| mark.height);
        let all = data.iter().chain(curves.iter().flatten()).copied().chain(heights);
        let y = view.axis(probe, all);
        let mark = |mark: &Mark| {
            let height = y.place(mark.height).filter(|_| shows_height);
            Some((x.place(mark.at)?, height))
        };
        Self {
            points: places(x, &y, &at, &data).into_iter().flatten().collect(),
            lines: curves.iter().map(|curve| pieces(x, &y, &at, curve)).collect(),
            marks: model.marks.iter().map(mark).collect(),
            gaps: Vec::new(),
            y,
        }
    }
}

/// Takes whole turns off phases, and adds them, so that they go on where they would jump to the
/// other end: curves by themselves, data so that they are near the first curve. Data that jump
/// about stay within a turn.
fn unwrap(data: &mut Vec<f64>, curves: &mut [Vec<f64>]) {
    for curve in curves.iter_mut() {
        if let Some(smooth) = unwrapped(curve) {
            *curve = smooth;
        }
    }
    let curve = curves.iter().position(|curve| curve.iter().any(|phase| phase.is_finite()));
    let Some(first) = curve else {
        if let Some(smooth) = unwrapped(data) {
            *data = smooth;
        }
        return;
    };
    let (before, rest) = curves.split_at_mut(first + 1);
    let leading = &before[first];
    let turns = |phase: f64, beside: f64| ((beside - phase) / TAU).round() * TAU;
    for (phase, beside) in data.iter_mut().zip(leading).filter(|(_, beside)| beside.is_finite()) {
        *phase += turns(*phase, *beside);
    }
    for curve in rest {
        let apart = curve.iter().zip(leading).find(|(one, other)| (*one - *other).is_finite());
        let shift = apart.map_or(0.0, |(one, other)| turns(*one, *other));
        curve.iter_mut().for_each(|phase| *phase += shift);
    }
}

/// Phases that go on where they would jump to the other end; `None` if they jump about, so that
/// nobody can tell how often they went round.
fn unwrapped(phases: &[f64]) -> Option<Vec<f64>> {
    let (mut turns, mut last) = (0.0, f64::NAN);
    let (mut large, mut steps) = (0, 0);
    let unwrapped = phases.iter().map(|phase| {
        let step = phase - last;
        if step.is_finite() {
            let turn = -(step / TAU).round() * TAU;
            turns += turn;
            steps += 1;
            large += usize::from((step + turn).abs() > PI / 2.0);
        }
        if phase.is_finite() {
            last = *phase;
        }
        phase + turns
    });
    let unwrapped = unwrapped.collect();
    (large * MOST_LARGE_STEPS <= steps).then_some(unwrapped)
}

fn places(x: &Axis, y: &Axis, at: &[f64], values: &[f64]) -> Vec<Option<Point>> {
    let place = |(at, value): (&f64, &f64)| Some((x.place(*at)?, y.place(*value)?));
    at.iter().zip(values).map(place).collect()
}

/// A line, broken where it has no place.
fn pieces(x: &Axis, y: &Axis, at: &[f64], values: &[f64]) -> Vec<Vec<Point>> {
    let mut pieces = vec![Vec::new()];
    for place in places(x, y, at, values) {
        if place.is_none() {
            pieces.push(Vec::new());
        }
        if let (Some(place), Some(piece)) = (place, pieces.last_mut()) {
            piece.push(place);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use num_complex::Complex64;
    use pixelmill_core::axis_values::AxisValues;
    use pixelmill_core::dimension::Dimension;
    use pixelmill_core::failure::Failure;

    /// A probe of one spectrum over a time axis of 0, 1, 2 … milliseconds.
    pub(crate) fn probe(data: impl Into<Values>, model: Result<Model, Failure>) -> Probe {
        let data = data.into();
        let times: AxisValues = (0..data.len()).map(|step| step as f64 * 1e-3).collect();
        Probe {
            position: 7,
            place: Vec::new(),
            values: Vec::new(),
            failure: None,
            axis: Dimension::new("Time", "s", times),
            frame: None,
            quantity: "Current".to_owned(),
            units: "A".to_owned(),
            spectra: vec![ProbeSpectrum { place: Vec::new(), data, model }],
        }
    }

    pub(crate) fn figure(data: impl Into<Values>, model: Model) -> Chart {
        let probe = probe(data, Ok(model));
        Chart::of_probe(&probe, &probe.spectra[0])
    }

    #[test]
    fn complex_data_have_a_phase_where_the_model_has_one() {
        let data = vec![Complex64::new(3.0, 4.0), Complex64::new(0.0, 1.0)];
        let labels = |model: Model| -> Vec<String> {
            figure(data.clone(), model).panels.iter().map(|panel| panel.y.label()).collect()
        };
        assert_eq!(labels(Model::new()), ["|Current| (A)", "Phase (rad)"]);
        assert_eq!(labels(Model::new().curve("fit", data.clone())), labels(Model::new()));
        assert_eq!(labels(Model::new().mark("peak", 0.0, 5.0)), ["|Current| (A)"]);
        assert_eq!(labels(Model::new().curve("fit", [5.0, 1.0])), ["|Current| (A)"]);
    }

    #[test]
    fn lines_break_where_there_is_nothing_but_not_where_phases_wrap() {
        let line = [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY];
        let drawn = figure([0.0; 5], Model::new().curve("fit", line));
        let lengths: Vec<usize> = drawn.panels[0].lines[0].iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        let turning: Vec<Complex64> =
            [3.0, 3.1, -3.1, -3.0].map(|phase| Complex64::from_polar(1.0, phase)).to_vec();
        let drawn = figure(turning.clone(), Model::new().curve("fit", turning));
        let lengths = |panel: &Panel| panel.lines[0].iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(drawn.panels.iter().map(lengths).collect::<Vec<_>>(), [vec![4], vec![4]]);
    }

    #[test]
    fn phases_go_on_where_they_would_jump() {
        let near = |one: &[f64], other: &[f64]| {
            one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-9)
        };
        let turning: Vec<f64> = (0..20).map(|step| f64::from(step) * 0.9 - 1.0).collect();
        let wrapped = |phases: &[f64]| -> Vec<f64> {
            phases.iter().map(|phase| phase - (phase / TAU).round() * TAU).collect()
        };
        assert!(near(&unwrapped(&wrapped(&turning)).unwrap(), &turning));
        let mut gap = wrapped(&turning);
        gap[5] = f64::NAN;
        let over = unwrapped(&gap).unwrap();
        assert!(over[5].is_nan() && near(&over[6..10], &turning[6..10]), "{over:?}");
        assert_eq!(unwrapped(&[0.0, 3.0, -0.1, 2.9, 0.2]), None, "these jump about");
        // Data lie at the curve, and other curves too, however often each went round.
        let mut data = vec![3.1, -3.0, -2.9];
        let mut curves = vec![vec![3.0, -3.1, -3.0], vec![-3.0, -2.9, -2.8]];
        unwrap(&mut data, &mut curves);
        assert!(near(&curves[0], &[3.0, TAU - 3.1, TAU - 3.0]), "{curves:?}");
        assert!(near(&curves[1], &[TAU - 3.0, TAU - 2.9, TAU - 2.8]), "{curves:?}");
        assert!(near(&data, &[3.1, TAU - 3.0, TAU - 2.9]), "{data:?}");
    }

    #[test]
    fn strange_spectra_have_a_figure() {
        let denormal = vec![0.0, f64::MIN_POSITIVE / 8.0];
        let huge = vec![-1e299, 1e299];
        let close = vec![1e15, 1e15 + 0.125];
        let none = [vec![], vec![f64::NAN; 3], vec![f64::MAX, f64::MIN]];
        for data in [vec![5.0], vec![0.0; 4], denormal, huge, close].into_iter().chain(none) {
            let drawn = figure(data.clone(), Model::new());
            assert_eq!(drawn.panels.len(), 1);
            for ticks in [drawn.x.ticks(5), drawn.panels[0].y.ticks(5)] {
                assert!((1..10).contains(&ticks.len()), "{data:?}: {ticks:?}");
            }
        }
    }
}

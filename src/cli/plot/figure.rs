//! What is drawn, wherever that is: panels of points, lines and marks on their axes.

use super::axis::Axis;
use crate::engine::{Probe, ProbeSpectrum};
use pixelmill_core::process::{Curve, Mark, Model, Values};

/// Room around the data, as a share of their span.
const ROOM: (f64, f64) = (0.02, 0.06);

/// A spectrum with what its result says of it.
pub(crate) struct Figure {
    pub x: Axis,
    /// From top to bottom.
    pub panels: Vec<Panel>,
    /// All lines over the data, for the legend.
    pub lines: Vec<Line>,
    /// Names of all marks, for the legend.
    pub marks: Vec<String>,
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
}

pub(crate) type Point = (f64, f64);

/// A view of complex numbers, or of real ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Real,
    Magnitude,
    Phase,
}

impl Figure {
    /// The figure of one spectrum of `probe`.
    pub fn new(probe: &Probe, spectrum: &ProbeSpectrum) -> Self {
        let nothing = Model::new();
        let model = spectrum.model.as_ref().unwrap_or(&nothing);
        let at = probe.axis.values.as_slice();
        let x = Axis::new(&probe.axis.name, &probe.axis.units, at.iter().copied(), ROOM.0);
        let views = views(&spectrum.data, model);
        let panel = |view: &View| Panel::new(*view, &x, probe, &spectrum.data, model);
        Self {
            panels: views.iter().map(panel).collect(),
            lines: model.curves.iter().map(Line::of).collect(),
            marks: model.marks.iter().map(|mark| mark.name.clone()).collect(),
            x,
        }
    }
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
        let data = view.of(data);
        let curves: Vec<Vec<f64>> =
            model.curves.iter().map(|curve| view.of(&curve.values)).collect();
        let shows_height = view != View::Phase;
        let heights = model.marks.iter().filter(|_| shows_height).map(|mark| mark.height);
        let all = data.iter().chain(curves.iter().flatten()).copied().chain(heights);
        let y = view.axis(probe, all);
        let mark = |mark: &Mark| {
            let height = y.place(mark.height).filter(|_| shows_height);
            Some((x.place(mark.at)?, height))
        };
        let wraps = view == View::Phase;
        Self {
            points: places(x, &y, &at, &data).into_iter().flatten().collect(),
            lines: curves.iter().map(|curve| pieces(x, &y, &at, curve, wraps)).collect(),
            marks: model.marks.iter().map(mark).collect(),
            y,
        }
    }
}

fn places(x: &Axis, y: &Axis, at: &[f64], values: &[f64]) -> Vec<Option<Point>> {
    let place = |(at, value): (&f64, &f64)| Some((x.place(*at)?, y.place(*value)?));
    at.iter().zip(values).map(place).collect()
}

/// A line, broken where it has no place, and where a phase goes on at the other end.
fn pieces(x: &Axis, y: &Axis, at: &[f64], values: &[f64], wraps: bool) -> Vec<Vec<Point>> {
    let mut pieces = vec![Vec::new()];
    for (index, place) in places(x, y, at, values).into_iter().enumerate() {
        let jumps =
            wraps && index > 0 && (values[index] - values[index - 1]).abs() > std::f64::consts::PI;
        if place.is_none() || jumps {
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
            quantity: "Current".to_owned(),
            units: "A".to_owned(),
            spectra: vec![ProbeSpectrum { place: Vec::new(), data, model }],
        }
    }

    pub(crate) fn figure(data: impl Into<Values>, model: Model) -> Figure {
        let probe = probe(data, Ok(model));
        Figure::new(&probe, &probe.spectra[0])
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
    fn lines_break_where_there_is_nothing_and_where_phases_wrap() {
        let line = [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY];
        let drawn = figure([0.0; 5], Model::new().curve("fit", line));
        let lengths: Vec<usize> = drawn.panels[0].lines[0].iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        let turning: Vec<Complex64> =
            [3.0, 3.1, -3.1, -3.0].map(|phase| Complex64::from_polar(1.0, phase)).to_vec();
        let drawn = figure(turning.clone(), Model::new().curve("fit", turning));
        let lengths = |panel: &Panel| panel.lines[0].iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(drawn.panels.iter().map(lengths).collect::<Vec<_>>(), [vec![4], vec![2, 2]]);
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

//! Maps: images over two axes, or points at places of their own, in the colours of a bar.

use super::axis::Axis;
use super::chart::{Point, notes_of, quantity_of};
use super::colours::Scale;
use super::tex::signs;
use crate::engine::shown::{Layout, Limits, Picture, Places, Ruler, State, Values};
use crate::engine::{Probe, ProbeSpectrum};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::model::{self, Model};

/// An image, or points, with the bar of their colours.
pub(crate) struct Map {
    pub title: String,
    pub x: Axis,
    /// Downwards: what begins it is at the top.
    pub y: Axis,
    /// Its height, if its width is 1 and both axes are to the same scale.
    pub height: Option<f64>,
    pub content: Content,
    /// None if there are no values.
    pub bar: Option<Bar>,
    pub overlays: Vec<Overlay>,
    pub notes: Vec<String>,
}

/// What is drawn in colours. All places are from 0 to 1, from left to right and from bottom to top.
pub(crate) enum Content {
    /// Row by row from the top, with the places at which columns and rows begin and end.
    Cells {
        columns: Vec<f64>,
        rows: Vec<f64>,
        colours: Vec<Cell>,
    },
    Points(Vec<(Point, Cell)>),
}

/// What a pixel shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    /// A place on the bar, from 0 to 1.
    Value(f64),
    /// There is no value.
    None(State),
}

/// What colours mean.
pub(crate) struct Bar {
    pub axis: Axis,
    pub scale: Scale,
    /// Whether there are values below or above what it shows.
    pub is_open: (bool, bool),
    /// Which values it ends at.
    pub ends: &'static str,
}

/// What is drawn over a map.
pub(crate) struct Overlay {
    pub name: String,
    pub form: Form,
}

/// How it is drawn.
pub(crate) enum Form {
    /// The first of several, the second and so on: each looks other than the one before.
    Cross(Point, usize),
    /// Lines from place to place.
    Lines(Vec<(Point, Point)>),
}

/// What is said of values that don't differ.
pub(super) const SAME: &str = "all values are the same";
/// A map that is higher or wider than that isn't drawn to scale: it would be a line.
const THINNEST: f64 = 12.0;
/// The same without units: steps needn't be alike then.
const THINNEST_OF_STEPS: f64 = 3.0;

impl Map {
    /// The map of a picture that is one.
    pub fn of_picture(picture: &Picture) -> Option<Self> {
        let bar = Bar::of(picture);
        let cells = || cells(&picture.values, bar.as_ref());
        let (x, y, to_scale, content) = match &picture.layout {
            Layout::Image { rows, columns, to_scale } => {
                let (x, y) = (axis(columns), axis(rows).reversed());
                let content = Content::Cells {
                    columns: edges(columns, &x),
                    rows: edges(rows, &y),
                    colours: cells(),
                };
                (x, y, *to_scale, content)
            }
            Layout::Points { rows, columns, to_scale } => {
                let (x, y) = (around(columns), around(rows).reversed());
                let places = columns.values.iter().zip(&rows.values);
                let places =
                    places.map(|(across, down)| Some((x.place(*across)?, y.place(*down)?)));
                let points = places.zip(cells()).filter_map(|(at, cell)| Some((at?, cell)));
                let content = Content::Points(points.collect());
                (x, y, *to_scale, content)
            }
            Layout::Curve(_) | Layout::Number => return None,
        };
        let height = y.span() / x.span();
        let thinnest = if x.has_units() { THINNEST } else { THINNEST_OF_STEPS };
        let is_wide_enough = (1.0 / thinnest..=thinnest).contains(&height);
        let mut notes = notes_of(picture);
        if to_scale && x.has_units() && !is_wide_enough {
            notes.push("not to scale".to_owned());
        }
        Some(Self {
            title: signs(&picture.title),
            x,
            y,
            height: Some(height).filter(|_| to_scale && is_wide_enough),
            content,
            bar,
            overlays: Vec::new(),
            notes,
        })
    }

    /// The maps of a frame that was computed with, and of others that its result says it is; over
    /// the first is drawn what the result says of it.
    pub fn of_frame(
        probe: &Probe,
        spectrum: &ProbeSpectrum,
        axes: &(Dimension, Dimension),
    ) -> Vec<Self> {
        let nothing = Model::new();
        let model = spectrum.model.as_ref().unwrap_or(&nothing);
        let quantity = match probe.quantity.as_str() {
            "" => "Value",
            quantity => quantity,
        };
        let of = |title: &str, values: &model::Values| {
            let pictures = Picture::of_frame(title, (quantity, &probe.units), axes, values);
            pictures
                .into_iter()
                .filter_map(|picture| {
                    let map = Self::of_picture(&picture)?;
                    Some((map, picture))
                })
                .collect::<Vec<_>>()
        };
        let mut frames = of("data", &spectrum.data);
        if let Some((map, Picture { layout: Layout::Image { rows, columns, .. }, .. })) =
            frames.first_mut()
        {
            for outline in &model.outlines {
                map.outline(&outline.name, &picked(&outline.inside, axes, (rows, columns)));
            }
            for place in &model.places {
                let at = |axis: &Dimension, place: f64| value_at(axis, place);
                let (across, down) = (at(&axes.1, place.column), at(&axes.0, place.row));
                map.cross(&place.name, across.zip(down));
            }
        }
        let others = model.curves.iter().flat_map(|curve| of(&curve.name, &curve.values));
        frames.into_iter().chain(others).map(|(map, _)| map).collect()
    }

    /// Draws a cross over it, at a place in the units of its axes: across and down. What lies
    /// outside is said.
    pub(super) fn cross(&mut self, name: &str, place: Option<(f64, f64)>) {
        let place = place.and_then(|(across, down)| self.x.place(across).zip(self.y.place(down)));
        match place {
            Some(at) => {
                let is_cross = |overlay: &&Overlay| matches!(overlay.form, Form::Cross(..));
                let number = self.overlays.iter().filter(is_cross).count();
                self.overlays.push(Overlay { name: signs(name), form: Form::Cross(at, number) });
            }
            None => self.notes.push(format!("{} lies outside", signs(name))),
        }
    }

    /// Draws the outline of those pixels that are inside something.
    fn outline(&mut self, name: &str, inside: &[bool]) {
        let Content::Cells { columns, rows, .. } = &self.content else { return };
        let (across, down) = (columns.len() - 1, rows.len() - 1);
        let is_in = |row: usize, column: usize| {
            row < down && column < across && inside.get(row * across + column) == Some(&true)
        };
        let mut lines = Vec::new();
        for row in 0..=down {
            for column in 0..=across {
                let here = is_in(row, column);
                if column < across && here != (row > 0 && is_in(row - 1, column)) {
                    lines.push(((columns[column], rows[row]), (columns[column + 1], rows[row])));
                }
                if row < down && here != (column > 0 && is_in(row, column - 1)) {
                    lines.push(((columns[column], rows[row]), (columns[column], rows[row + 1])));
                }
            }
        }
        self.overlays.push(Overlay { name: signs(name), form: Form::Lines(lines) });
    }

    /// The states of positions without a value that occur in it.
    pub fn states(&self) -> Vec<State> {
        let occurs = |wanted: State| {
            let is = |cell: &Cell| *cell == Cell::None(wanted);
            match &self.content {
                Content::Cells { colours, .. } => colours.iter().any(is),
                Content::Points(points) => points.iter().any(|(_, cell)| is(cell)),
            }
        };
        let states = [State::Pending, State::Failed, State::Missing];
        states.into_iter().filter(|state| occurs(*state)).collect()
    }
}

impl Bar {
    fn of(picture: &Picture) -> Option<Self> {
        let limits = picture.values.limits?;
        let Limits { low, high, are_below, are_above, .. } = limits;
        let (quantity, units) = quantity_of(picture);
        let ends = match (limits.are_turn, limits.are_percentiles) {
            (true, _) => "",
            (false, true) => "2nd to 98th percentile",
            (false, false) if low == high => SAME,
            (false, false) => "all values",
        };
        Some(Self {
            axis: Axis::new(quantity, units, [low, high].into_iter(), 0.0),
            scale: if limits.are_turn { Scale::Turn } else { Scale::Even },
            is_open: (are_below, are_above),
            ends,
        })
    }

    fn place(&self, value: f64) -> f64 {
        self.axis.place_within(value)
    }
}

/// Of what is said of each point of a frame, what is true in the middle of each pixel.
fn picked(
    inside: &[bool],
    (rows, columns): &(Dimension, Dimension),
    (down, across): (&Ruler, &Ruler),
) -> Vec<bool> {
    let middle = |pixel: usize, ruler: &Ruler, axis: &Dimension| {
        (pixel * ruler.steps + ruler.steps / 2).min(axis.len() - 1)
    };
    let places = (0..down.len()).flat_map(|row| (0..across.len()).map(move |column| (row, column)));
    let is_in = |(row, column)| {
        inside[middle(row, down, rows) * columns.len() + middle(column, across, columns)]
    };
    places.map(is_in).collect()
}

/// The value of an axis at a place that is counted in steps.
fn value_at(axis: &Dimension, place: f64) -> Option<f64> {
    let last = axis.len().checked_sub(1)?;
    let ruler = Ruler::new(axis, 1);
    let before = (place.floor().max(0.0) as usize).min(last.saturating_sub(1));
    let value = ruler.values.get(before)?;
    let step = ruler.values.get(before + 1).map_or(1.0, |next| next - value);
    place.is_finite().then_some(value + (place - before as f64) * step)
}

fn cells(values: &Values, bar: Option<&Bar>) -> Vec<Cell> {
    let pairs = values.numbers.iter().zip(&values.states);
    let cell = |(number, state): (&f64, &State)| match (state, bar) {
        (State::Known, Some(bar)) => Cell::Value(bar.place(*number)),
        (State::Known, None) => Cell::None(State::Missing),
        (state, _) => Cell::None(*state),
    };
    pairs.map(cell).collect()
}

fn axis(ruler: &Ruler) -> Axis {
    let ends = ruler.edges.first().copied().zip(ruler.edges.last().copied());
    Axis::between(&ruler.name, &ruler.units, ends.unwrap_or((0.0, 1.0)))
}

/// The places of the edges; those at the ends are there whatever rounding makes of them.
fn edges(ruler: &Ruler, axis: &Axis) -> Vec<f64> {
    let begin = ruler.edges.first().and_then(|edge| axis.place(*edge)).unwrap_or(0.0).round();
    let place = |(at, edge): (usize, &f64)| match at {
        0 => begin,
        last if last + 1 == ruler.edges.len() => 1.0 - begin,
        _ => axis.place(*edge).unwrap_or(0.5),
    };
    ruler.edges.iter().enumerate().map(place).collect()
}

/// An axis on which all places lie, with some room around them.
fn around(places: &Places) -> Axis {
    Axis::new(&places.name, &places.units, places.values.iter().copied(), 0.05)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::shown::Part;

    pub(crate) fn ruler(name: &str, values: Vec<f64>) -> Ruler {
        Ruler::new(&Dimension::new(name, "um", values), 1)
    }

    /// A picture of two rows and three columns.
    pub(crate) fn image(numbers: [f64; 6]) -> Picture {
        let rows = ruler("Y", vec![0.0, 1.0]);
        let columns = ruler("X", vec![0.0, 1.0, 2.0]);
        Picture {
            dataset: "/d".to_owned(),
            title: "Height".to_owned(),
            quantity: "Height".to_owned(),
            units: "m".to_owned(),
            part: Part::Value,
            notes: Vec::new(),
            layout: Layout::Image { rows, columns, to_scale: true },
            first_position: None,
            values: Values::of(numbers.to_vec()),
        }
    }

    #[test]
    fn the_first_row_is_at_the_top_and_pixels_are_square() {
        let map = Map::of_picture(&image([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])).unwrap();
        let Content::Cells { columns, rows, colours } = &map.content else { panic!() };
        assert_eq!(rows, &[1.0, 0.5, 0.0]);
        assert_eq!((columns[0], columns[3]), (0.0, 1.0));
        assert_eq!(map.height, Some(2.0 / 3.0));
        assert_eq!((colours[0], colours[5]), (Cell::Value(0.0), Cell::Value(1.0)));
        let bar = map.bar.unwrap();
        assert_eq!((bar.is_open, bar.ends), ((true, true), "2nd to 98th percentile"));
    }

    #[test]
    fn positions_without_values_are_told_apart() {
        let mut picture = image([0.0, f64::NAN, f64::NAN, f64::NAN, 4.0, 5.0]);
        picture.values.states[1] = State::Pending;
        picture.values.states[2] = State::Failed;
        let map = Map::of_picture(&picture).unwrap();
        assert_eq!(map.states(), [State::Pending, State::Failed, State::Missing]);
        let none = Map::of_picture(&image([f64::NAN; 6])).unwrap();
        assert!(none.bar.is_none() && none.notes == ["no values"]);
        let same = Map::of_picture(&image([7.0; 6])).unwrap().bar.unwrap();
        assert_eq!((same.ends, same.is_open), (SAME, (false, false)));
    }

    #[test]
    fn an_outline_goes_around_what_is_inside() {
        let mut map = Map::of_picture(&image([0.0; 6])).unwrap();
        map.outline("mask", &[false, true, false, false, true, false]);
        let Form::Lines(lines) = &map.overlays[0].form else { panic!() };
        assert_eq!(lines.len(), 6);
        map.cross("middle", Some((1.0, 0.5)));
        let Form::Cross((across, down), 0) = map.overlays[1].form else { panic!() };
        assert!((across - 0.5).abs() < 1e-12 && (down - 0.5).abs() < 1e-12);
        map.cross("corner", Some((9.0, 0.5)));
        assert_eq!((map.overlays.len(), map.notes), (2, vec!["corner lies outside".to_owned()]));
    }

    #[test]
    fn places_of_a_frame_are_counted_from_its_first_point() {
        let axis = Dimension::new("Q", "1/nm", vec![10.0, 12.0, 14.0]);
        let at = |place: f64| value_at(&axis, place);
        assert_eq!([0.0, 1.5, 2.0, 2.5].map(at), [10.0, 13.0, 14.0, 15.0].map(Some));
        assert_eq!([at(-0.5), at(f64::NAN)], [Some(9.0), None]);
    }
}

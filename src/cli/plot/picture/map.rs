//! Maps in pictures. Where there is no value there is a pattern, which tells without colours why.

use super::super::colours::Rgb;
use super::super::map::{Bar, Cell, Content, Form, Map, SAME};
use super::text::Font;
use super::{
    Align, Area, Entry, Frame, GAP, INK, LEFT, NOTE_ROW, ROW, SIGN, Sheet, TEXT, in_rows, rows_of,
    ticks,
};
use crate::engine::shown::State;

/// On the right of a map: the bar with its numbers.
const BESIDE: f32 = 200.0;
/// From the map to the bar, and its width.
const TO_BAR: f32 = 26.0;
const BAR: f32 = 26.0;
/// Height of a map at most, and of one that isn't to scale, if its width is 1.
const HIGHEST: f32 = 760.0;
const HEIGHT: f64 = 0.7;
/// Below a map.
const BELOW: f32 = 86.0;
/// Room for a number of the axis below.
const ACROSS: f32 = 105.0;
/// Of points: their radius, if they don't touch.
const RADII: (f32, f32) = (3.0, 14.0);

/// The height that a map takes.
pub(super) fn height(map: &Map, width: f32, font: &Font) -> f32 {
    let area = Area { left: 0.0, top: 0.0, width };
    let rows = rows_of(&legend(map, area, font));
    frame(map, area).bottom() + BELOW + rows * ROW + NOTE_ROW * notes(map).len() as f32 + 0.5 * ROW
}

fn frame(map: &Map, area: Area) -> Frame {
    let room = area.width - LEFT - BESIDE;
    let ratio = map.height.unwrap_or(HEIGHT) as f32;
    let height = (room * ratio).min(HIGHEST).round();
    let width = (height / ratio).min(room).round();
    Frame { left: area.left + LEFT, top: area.top + 1.3 * ROW, width, height }
}

#[derive(Clone, Copy)]
enum Sign {
    State(State),
    Cross(usize),
    Outline,
}

fn legend<'m>(map: &'m Map, area: Area, font: &Font) -> Vec<Entry<'m, Sign>> {
    let states = map.states().into_iter().map(|state| {
        let name = match state {
            State::Pending => "pending",
            State::Failed => "failed",
            State::Known | State::Missing => "no value",
        };
        (Sign::State(state), name)
    });
    let overlays = map.overlays.iter().map(|overlay| match overlay.form {
        Form::Cross(_, number) => (Sign::Cross(number), overlay.name.as_str()),
        Form::Lines(_) => (Sign::Outline, overlay.name.as_str()),
    });
    in_rows(states.chain(overlays), (area.left + LEFT, area.left + area.width - GAP), font)
}

/// What is said below: first which values the colours end at.
fn notes(map: &Map) -> Vec<String> {
    let ends = map.bar.as_ref().and_then(ends);
    ends.into_iter().chain(map.notes.iter().cloned()).collect()
}

/// At which values colours end; nothing if they go all the way round.
fn ends(bar: &Bar) -> Option<String> {
    let [low, high] = bar.axis.ends();
    match (bar.ends, bar.is_open) {
        ("", _) => None,
        (SAME, _) => Some(SAME.to_owned()),
        (ends, (false, false)) => Some(format!("colours from {low} to {high}, {ends}")),
        (ends, _) => {
            Some(format!("colours from {low} to {high}, {ends}; what is beyond has the last one"))
        }
    }
}

impl Sheet {
    pub(super) fn map(&mut self, map: &Map, area: Area) {
        let frame = frame(map, area);
        match &map.content {
            Content::Cells { columns, rows, colours } => {
                self.cells(map, (columns, rows, colours), frame);
            }
            Content::Points(points) => self.points(map, points, frame),
        }
        map.overlays.iter().for_each(|overlay| self.over(&overlay.form, frame));
        self.edge(frame);
        let most = ((frame.height / 60.0) as usize).clamp(1, 8);
        let beside = map.y.ticks(most);
        for (y, _) in &beside {
            let (x, y) = frame.at((0.0, *y));
            self.line(&[(x - 6.0, y), (x, y)], INK, 1.5, None);
        }
        let below = ticks(&map.x, frame.width, ACROSS);
        for (x, _) in &below {
            let (x, y) = frame.at((*x, 0.0));
            self.line(&[(x, y), (x, y + 6.0)], INK, 1.5, None);
        }
        let left = self.left_of_numbers(&beside, frame);
        self.numbers_beside(&map.y, &beside, frame, left);
        self.numbers_below(&map.x, &below, frame);
        if let Some(bar) = &map.bar {
            self.bar(bar, frame);
        }
        self.title(&map.title, area);
        let entries = legend(map, area, &self.font);
        let top = frame.bottom() + BELOW;
        entries.iter().for_each(|entry| self.sign(entry, top));
        let rows = rows_of(&entries);
        let room = area.width - LEFT - GAP;
        self.notes(&notes(map), frame.left, top + rows * ROW, room);
    }

    /// Each pixel of the frame in the colour of the cell that it lies in.
    fn cells(
        &mut self,
        map: &Map,
        (columns, rows, colours): (&[f64], &[f64], &[Cell]),
        frame: Frame,
    ) {
        let turned: Vec<f64> = rows.iter().map(|edge| 1.0 - edge).collect();
        let (across, down) = (holding(columns, frame.width), holding(&turned, frame.height));
        let each = columns.len() - 1;
        let (left, top) = (frame.left.round() as usize, frame.top.round() as usize);
        for (y, row) in down.iter().enumerate() {
            for (x, column) in across.iter().enumerate() {
                let cell = colours.get(row * each + column).copied();
                let cell = cell.unwrap_or(Cell::None(State::Missing));
                self.set((left + x, top + y), colour(map, cell, (x, y)));
            }
        }
    }

    fn set(&mut self, (x, y): (usize, usize), [red, green, blue]: Rgb) {
        let width = self.pixmap.width() as usize;
        let pixel = (y * width + x) * 4;
        if x < width
            && let Some(place) = self.pixmap.data_mut().get_mut(pixel..pixel + 4)
        {
            place.copy_from_slice(&[red, green, blue, 255]);
        }
    }

    fn points(&mut self, map: &Map, points: &[((f64, f64), Cell)], frame: Frame) {
        let room = (frame.width * frame.height / points.len().max(1) as f32).sqrt();
        let radius = (0.35 * room).clamp(RADII.0, RADII.1);
        for (at, cell) in points {
            let (x, y) = frame.at(*at);
            match cell {
                Cell::Value(_) => {
                    let [red, green, blue] = colour(map, *cell, (0, 0));
                    self.disk((x, y), radius, [red, green, blue, 255]);
                }
                Cell::None(State::Failed) => self.cross((x, y), 0.7 * radius, super::FAILED, 2.0),
                Cell::None(_) => self.ring((x, y), 0.7 * radius),
            }
        }
    }

    fn disk(&mut self, (x, y): (f32, f32), radius: f32, colour: [u8; 4]) {
        if let Some(circle) = tiny_skia::PathBuilder::from_circle(x, y, radius) {
            self.fill(&circle, colour, tiny_skia::Transform::identity());
        }
    }

    fn ring(&mut self, at: (f32, f32), radius: f32) {
        self.disk(at, radius, [150, 150, 150, 255]);
        self.disk(at, radius - 1.5, [255; 4]);
    }

    /// Over whatever colour there is: dark in white.
    fn over(&mut self, form: &Form, frame: Frame) {
        for (colour, more) in [([255; 4], 2.5), (INK, 0.0)] {
            match form {
                Form::Cross(at, number) if number % 2 == 0 => {
                    let (x, y) = frame.at(*at);
                    self.line(&[(x - 14.0, y), (x + 14.0, y)], colour, 2.5 + more, None);
                    self.line(&[(x, y - 14.0), (x, y + 14.0)], colour, 2.5 + more, None);
                }
                Form::Cross(at, _) => self.cross(frame.at(*at), 10.0, colour, 2.5 + more),
                Form::Lines(lines) => {
                    for (from, to) in lines {
                        self.line(&[frame.at(*from), frame.at(*to)], colour, 2.0 + more, None);
                    }
                }
            }
        }
    }

    fn bar(&mut self, bar: &Bar, map: Frame) {
        let height = map.height.max(160.0);
        let frame = Frame { left: map.right() + TO_BAR, width: BAR, height, ..map };
        let (left, top) = (frame.left.round() as usize, frame.top.round() as usize);
        for y in 0..height as usize {
            let place = 1.0 - (y as f64 + 0.5) / f64::from(height);
            (0..BAR as usize).for_each(|x| self.set((left + x, top + y), bar.scale.colour(place)));
        }
        self.edge(frame);
        let ticks = bar.axis.ticks(((height / 70.0) as usize).clamp(2, 8));
        let mut widest = 0.0f32;
        for (y, number) in &ticks {
            let (x, y) = frame.at((1.0, *y));
            self.line(&[(x, y), (x + 6.0, y)], INK, 1.5, None);
            let at = (x + 12.0, y + 0.36 * TEXT);
            widest = widest.max(self.text(number, TEXT, at, Align::Begin));
        }
        let x = frame.right() + 12.0 + widest + 30.0;
        self.turned(&bar.axis.label(), (x, frame.at((0.0, 0.5)).1), height + 40.0);
    }

    fn sign(&mut self, entry: &Entry<'_, Sign>, top: f32) {
        let Entry { sign, name, row, left } = *entry;
        let base = top + (row + 0.75) * ROW;
        let box_ = Frame { left, top: base - 20.0, width: 24.0, height: 24.0 };
        match sign {
            Sign::State(state) => {
                for y in 0..24 {
                    for x in 0..24 {
                        let at = (left as usize + x, box_.top as usize + y);
                        self.set(at, pattern(state, (x, y)));
                    }
                }
                self.edge(box_);
            }
            Sign::Cross(number) => self.over(&Form::Cross((0.5, 0.5), number), box_),
            Sign::Outline => {
                let lines = [
                    ((0.0, 0.0), (1.0, 0.0)),
                    ((1.0, 0.0), (1.0, 1.0)),
                    ((1.0, 1.0), (0.0, 1.0)),
                    ((0.0, 1.0), (0.0, 0.0)),
                ];
                self.over(&Form::Lines(lines.to_vec()), box_);
            }
        }
        self.text(name, TEXT, (left + SIGN, base), Align::Begin);
    }
}

/// For each pixel the cell that its middle lies in.
fn holding(edges: &[f64], pixels: f32) -> Vec<usize> {
    let cells = edges.len() - 1;
    let cell = |pixel: usize| {
        let place = (pixel as f64 + 0.5) / f64::from(pixels);
        edges.partition_point(|edge| *edge <= place).saturating_sub(1).min(cells - 1)
    };
    (0..pixels as usize).map(cell).collect()
}

fn colour(map: &Map, cell: Cell, at: (usize, usize)) -> Rgb {
    match (cell, &map.bar) {
        (Cell::Value(place), Some(bar)) => bar.scale.colour(place),
        (Cell::Value(_), None) => pattern(State::Missing, at),
        (Cell::None(state), _) => pattern(state, at),
    }
}

/// Pending: grey strokes. Failed: red crosses. No value: grey dots.
fn pattern(state: State, (x, y): (usize, usize)) -> Rgb {
    let (rising, falling) = ((x + y) % 12 < 2, (x + 12_000 - y) % 12 < 2);
    match state {
        State::Pending if rising => [165; 3],
        State::Pending => [236; 3],
        State::Failed if rising || falling => [200, 30, 30],
        State::Failed => [255; 3],
        State::Known | State::Missing if x % 6 < 2 && y % 6 < 2 => [170; 3],
        State::Known | State::Missing => [250; 3],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::figure::{Figure, Part};
    use super::super::super::map::tests::image;
    use super::super::{ABOVE, render};
    use super::*;

    #[test]
    fn pixels_have_the_colours_of_their_values_and_are_square() {
        let mut picture = image([0.0, 1.0, 2.0, 3.0, 4.0, f64::NAN]);
        picture.values.states[5] = State::Failed;
        let mut map = Map::of_picture(&picture).unwrap();
        map.cross("centre", Some((1.0, 0.0)));
        let place = frame(&map, Area { left: 0.0, top: ABOVE, width: 1200.0 });
        assert!((place.width / place.height - 1.5).abs() < 0.01, "{place:?}");
        let bar = map.bar.as_ref().unwrap();
        let expected =
            [0.0, 2.0, 3.0, 4.0].map(|value| bar.scale.colour(bar.axis.place_within(value)));
        let heading = [String::new(), String::new()];
        let picture = render(&Figure { heading, parts: vec![Part::Map(Box::new(map))] });
        let seen = |column: f32, row: f32| {
            let x = place.left + place.width * (column + 0.3) / 3.0;
            let y = place.top + place.height * (row + 0.3) / 2.0;
            let pixel = picture.pixel(x as u32, y as u32).unwrap();
            [pixel.red(), pixel.green(), pixel.blue()]
        };
        let found = [seen(0.0, 0.0), seen(2.0, 0.0), seen(0.0, 1.0), seen(1.0, 1.0)];
        assert_eq!(found, expected);
        // The cross is in the middle of its pixel, the failed one has a pattern in red and white.
        let (x, y) = (place.left + place.width * 0.5, place.top + place.height * 0.25);
        assert_eq!(picture.pixel(x as u32, y as u32).unwrap().red(), INK[0]);
        let failed: Vec<[u8; 3]> = (0..24).map(|at| seen(2.0 + at as f32 * 0.003, 1.0)).collect();
        assert!(failed.contains(&[200, 30, 30]) && failed.contains(&[255; 3]), "{failed:?}");
    }
}

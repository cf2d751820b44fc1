//! Figures as PNG: drawn by this program alone, so that they look the same on every machine.

mod chart;
mod map;
mod text;

use std::io;

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash,
    Transform,
};

use super::axis::Axis;
use super::chart::Point;
use super::figure::{Figure, Part};
use text::Font;

/// Width of a part that is alone, of two and of more.
const WIDTHS: [f32; 3] = [1200.0, 880.0, 800.0];
/// Parts beside each other at most.
const MOST_BESIDE: usize = 3;
/// Height of the heading, and what is on the left and on the right of a part.
const ABOVE: f32 = 96.0;
const LEFT: f32 = 130.0;
const RIGHT: f32 = 40.0;
const TITLE: f32 = 28.0;
const TEXT: f32 = 22.0;
const NOTE: f32 = 18.0;
/// Of the legend: height of a row, width of a sign, and from one entry to the next.
const ROW: f32 = 34.0;
const SIGN: f32 = 36.0;
const GAP: f32 = 32.0;
/// Of a line of notes.
const NOTE_ROW: f32 = 27.0;

const INK: [u8; 4] = [38, 38, 38, 255];
const PALE: [u8; 4] = [110, 110, 110, 255];
const GRID: [u8; 4] = [225, 225, 225, 255];
const FAILED: [u8; 4] = [200, 30, 30, 255];

/// The bytes of a PNG file.
///
/// # Errors
/// If it can't be encoded.
pub(crate) fn draw(figure: &Figure) -> io::Result<Vec<u8>> {
    render(figure).encode_png().map_err(io::Error::other)
}

/// Where something is in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl Frame {
    fn at(self, (x, y): Point) -> (f32, f32) {
        (self.left + x as f32 * self.width, self.top + (1.0 - y as f32) * self.height)
    }

    fn bottom(self) -> f32 {
        self.top + self.height
    }

    fn right(self) -> f32 {
        self.left + self.width
    }
}

/// The room of a part: its height is what it takes.
#[derive(Clone, Copy)]
struct Area {
    left: f32,
    top: f32,
    width: f32,
}

/// An entry of a legend.
#[derive(Clone, Copy)]
struct Entry<'f, S> {
    sign: S,
    name: &'f str,
    row: f32,
    left: f32,
}

/// As many entries in a row as there is room for between two places.
fn in_rows<'f, S>(
    entries: impl Iterator<Item = (S, &'f str)>,
    (begin, end): (f32, f32),
    font: &Font,
) -> Vec<Entry<'f, S>> {
    let (mut left, mut row) = (begin, 0.0);
    let entries = entries.map(|(sign, name)| {
        let width = SIGN + font.outlines(name, TEXT).1;
        if left > begin && left + width > end {
            (left, row) = (begin, row + 1.0);
        }
        let entry = Entry { sign, name, row, left };
        left += width + GAP;
        entry
    });
    entries.collect()
}

/// How many rows the entries of a legend take.
fn rows_of<S>(entries: &[Entry<'_, S>]) -> f32 {
    entries.last().map_or(0.0, |entry| entry.row + 1.0)
}

fn render(figure: &Figure) -> Pixmap {
    let font = Font::new();
    let beside = match figure.parts.len() {
        4 => 2,
        count => count.clamp(1, MOST_BESIDE),
    };
    let width = WIDTHS[beside - 1];
    let height = |part: &Part| match part {
        Part::Chart(chart) => chart::height(chart, width, &font),
        Part::Map(map) => map::height(map, width, &font),
        Part::Numbers(numbers) => ROW * (numbers.len() as f32 + 1.0),
    };
    let rows: Vec<f32> =
        figure.parts.chunks(beside).map(|row| row.iter().map(height).fold(0.0, f32::max)).collect();
    let all = ABOVE + rows.iter().sum::<f32>();
    let size = ((beside as f32 * width) as u32, all as u32);
    let pixmap = Pixmap::new(size.0, size.1).expect("the size isn't 0");
    let mut sheet = Sheet { pixmap, font };
    sheet.pixmap.fill(Color::WHITE);
    let mut top = ABOVE;
    for (parts, height) in figure.parts.chunks(beside).zip(rows) {
        for (number, part) in parts.iter().enumerate() {
            let area = Area { left: number as f32 * width, top, width };
            match part {
                Part::Chart(chart) => sheet.chart(chart, area),
                Part::Map(map) => sheet.map(map, area),
                Part::Numbers(numbers) => sheet.numbers(numbers, area),
            }
        }
        top += height;
    }
    let room = beside as f32 * width - LEFT - RIGHT;
    let [title, subtitle] = &figure.heading;
    sheet.fitted(title, TITLE, (LEFT, 44.0), room);
    sheet.fitted(subtitle, TEXT, (LEFT, 78.0), room);
    sheet.pixmap
}

#[derive(Clone, Copy)]
enum Align {
    Begin,
    Middle,
    End,
}

struct Sheet {
    pixmap: Pixmap,
    font: Font,
}

impl Sheet {
    fn numbers(&mut self, numbers: &[String], area: Area) {
        for (line, number) in numbers.iter().enumerate() {
            let base = area.top + ROW * (line as f32 + 1.0);
            self.fitted(number, TEXT, (area.left + LEFT, base), area.width - LEFT - RIGHT);
        }
    }

    /// The title of a part.
    fn title(&mut self, title: &str, area: Area) {
        let room = area.width - LEFT - RIGHT;
        self.fitted(title, TEXT + 2.0, (area.left + LEFT, area.top + 0.75 * ROW), room);
    }

    /// Notes below a part, one in each line.
    fn notes(&mut self, notes: &[String], left: f32, top: f32, room: f32) {
        for (line, note) in notes.iter().enumerate() {
            let base = top + NOTE_ROW * (line as f32 + 0.75);
            self.fitted_in(note, (NOTE, PALE), (left, base), room);
        }
    }

    fn edge(&mut self, frame: Frame) {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)];
        self.line(&corners.map(|corner| frame.at(corner)), INK, 1.5, None);
    }

    /// The numbers of the axis on the left of a frame, and what it is.
    fn numbers_beside(&mut self, axis: &Axis, ticks: &[(f64, String)], frame: Frame, left: f32) {
        for (y, number) in ticks {
            let (edge, height) = frame.at((0.0, *y));
            self.text(number, TEXT, (edge - 12.0, height + 0.36 * TEXT), Align::End);
        }
        let middle = frame.at((0.0, 0.5)).1;
        self.turned(&axis.label(), (left + 38.0, middle), frame.height + 60.0);
    }

    /// Where the room for the label beside some numbers begins.
    fn left_of_numbers(&self, ticks: &[(f64, String)], frame: Frame) -> f32 {
        let width = |(_, number): &(f64, String)| self.font.outlines(number, TEXT).1;
        frame.left - 12.0 - ticks.iter().map(width).fold(0.0, f32::max) - 56.0
    }

    /// The numbers of the axis below a frame, and what it is.
    fn numbers_below(&mut self, axis: &Axis, ticks: &[(f64, String)], frame: Frame) {
        for (x, number) in ticks {
            let (across, bottom) = frame.at((*x, 0.0));
            self.text(number, TEXT, (across, bottom + 32.0), Align::Middle);
        }
        let (middle, bottom) = frame.at((0.5, 0.0));
        let label = axis.label();
        let size = self.size_for(&label, TEXT, frame.width + LEFT);
        self.text(&label, size, (middle, bottom + 70.0), Align::Middle);
    }

    /// A text upwards, around a place.
    fn turned(&mut self, text: &str, (x, y): (f32, f32), room: f32) {
        let size = self.size_for(text, TEXT, room);
        let turned = Transform::from_rotate(-90.0).post_translate(x, y);
        self.placed(text, (size, INK), turned, Align::Middle);
    }

    /// A text as large as there is room for.
    fn fitted(&mut self, text: &str, size: f32, at: (f32, f32), room: f32) {
        self.fitted_in(text, (size, INK), at, room);
    }

    fn fitted_in(&mut self, text: &str, (size, ink): (f32, [u8; 4]), at: (f32, f32), room: f32) {
        let size = self.size_for(text, size, room);
        self.placed(text, (size, ink), Transform::from_translate(at.0, at.1), Align::Begin);
    }

    fn size_for(&self, text: &str, size: f32, room: f32) -> f32 {
        size * (room / self.font.outlines(text, size).1.max(1.0)).min(1.0)
    }

    fn text(&mut self, text: &str, size: f32, at: (f32, f32), align: Align) -> f32 {
        self.placed(text, (size, INK), Transform::from_translate(at.0, at.1), align)
    }

    /// Draws a text and returns its width.
    fn placed(
        &mut self,
        text: &str,
        (size, ink): (f32, [u8; 4]),
        place: Transform,
        align: Align,
    ) -> f32 {
        let (path, width) = self.font.outlines(text, size);
        let shift = match align {
            Align::Begin => 0.0,
            Align::Middle => -0.5 * width,
            Align::End => -width,
        };
        if let Some(path) = path {
            self.fill(&path, ink, place.pre_translate(shift, 0.0));
        }
        width
    }

    /// A cross of two strokes.
    fn cross(&mut self, (x, y): (f32, f32), size: f32, colour: [u8; 4], width: f32) {
        self.line(&[(x - size, y - size), (x + size, y + size)], colour, width, None);
        self.line(&[(x - size, y + size), (x + size, y - size)], colour, width, None);
    }

    fn fill(&mut self, path: &Path, colour: [u8; 4], place: Transform) {
        self.pixmap.fill_path(path, &paint(colour), FillRule::Winding, place, None);
    }

    fn line(&mut self, places: &[(f32, f32)], colour: [u8; 4], width: f32, dash: Option<[f32; 2]>) {
        let Some(((x, y), rest)) = places.split_first() else { return };
        let mut path = PathBuilder::new();
        path.move_to(*x, *y);
        // One place alone is a dot.
        let rest = if rest.is_empty() { places } else { rest };
        rest.iter().for_each(|(x, y)| path.line_to(*x, *y));
        let Some(path) = path.finish() else { return };
        let stroke = Stroke {
            width,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            dash: dash.and_then(|dash| StrokeDash::new(dash.to_vec(), 0.0)),
            ..Stroke::default()
        };
        self.pixmap.stroke_path(&path, &paint(colour), &stroke, Transform::identity(), None);
    }
}

fn paint([red, green, blue, alpha]: [u8; 4]) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, alpha);
    paint
}

/// As many ticks as there is room for.
fn ticks(axis: &Axis, room: f32, each: f32) -> Vec<(f64, String)> {
    axis.ticks((room / each) as usize)
}

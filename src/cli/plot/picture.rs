//! Figures as PNG: drawn by this program alone, so that they look the same on every machine.

use std::io;

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash,
    Transform,
};

use super::figure::{Figure, Panel, Point};
use super::text::Font;

const WIDTH: u32 = 1200;
/// Of a panel that is alone, of the first and of the other ones.
const HEIGHTS: (f32, f32, f32) = (560.0, 440.0, 300.0);
/// Above the legend, below the last panel, between two, on the left and on the right.
const ABOVE: f32 = 96.0;
const BELOW: f32 = 90.0;
const BETWEEN: f32 = 24.0;
const LEFT: f32 = 130.0;
const RIGHT: f32 = 40.0;
const TITLE: f32 = 28.0;
const TEXT: f32 = 22.0;
const POINT_RADIUS: f32 = 4.5;
/// Of the legend: height of a row, width of a sign, and from one entry to the next.
const ROW: f32 = 34.0;
const SIGN: f32 = 36.0;
const GAP: f32 = 32.0;

const INK: [u8; 4] = [38, 38, 38, 255];
const GRID: [u8; 4] = [225, 225, 225, 255];
const POINTS: [u8; 4] = [110, 145, 185, 255];
/// Of lines, in turn; red comes first and only once.
const LINES: [[u8; 4]; 6] = [
    [200, 30, 30, 255],
    [230, 140, 0, 255],
    [30, 130, 70, 255],
    [130, 80, 170, 255],
    [0, 150, 160, 255],
    [140, 90, 60, 255],
];

/// The bytes of a PNG file.
///
/// # Errors
/// If it can't be encoded.
pub(crate) fn draw(figure: &Figure, heading: [&str; 2]) -> io::Result<Vec<u8>> {
    render(figure, heading).0.encode_png().map_err(io::Error::other)
}

/// Where a panel is in the picture.
#[derive(Clone, Copy)]
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
}

/// Frames of all panels, from `top` downwards.
fn frames(panels: usize, mut top: f32) -> Vec<Frame> {
    let height = |index: usize| match (panels, index) {
        (1, _) => HEIGHTS.0,
        (_, 0) => HEIGHTS.1,
        _ => HEIGHTS.2,
    };
    (0..panels)
        .map(|index| {
            let width = WIDTH as f32 - LEFT - RIGHT;
            let frame = Frame { left: LEFT, top, width, height: height(index) };
            top = frame.bottom() + BETWEEN;
            frame
        })
        .collect()
}

/// The picture, and where its panels are.
fn render(figure: &Figure, [title, subtitle]: [&str; 2]) -> (Pixmap, Vec<Frame>) {
    let font = Font::new();
    let legend = legend(figure, &font);
    let rows = legend.last().map_or(0.0, |entry| entry.row + 1.0);
    let frames = frames(figure.panels.len(), ABOVE + rows * ROW + 0.3 * ROW);
    let height = frames.last().map_or(ABOVE, |frame| frame.bottom()) + BELOW;
    let pixmap = Pixmap::new(WIDTH, height as u32).expect("the size isn't 0");
    let mut sheet = Sheet { pixmap, font };
    sheet.pixmap.fill(Color::WHITE);
    for (panel, frame) in figure.panels.iter().zip(&frames) {
        sheet.grid(figure, panel, *frame);
        sheet.content(figure, panel, *frame);
        sheet.frame(panel, *frame);
    }
    if let Some(frame) = frames.last() {
        sheet.numbers_below(figure, *frame);
    }
    sheet.text(title, TITLE, (LEFT, 44.0), Align::Begin);
    sheet.text(subtitle, TEXT, (LEFT, 78.0), Align::Begin);
    legend.iter().for_each(|entry| sheet.entry(figure, entry));
    (sheet.pixmap, frames)
}

/// An entry of the legend, in which row it is, and from where to where.
struct Entry<'f> {
    sign: Sign,
    name: &'f str,
    row: f32,
    left: f32,
}

#[derive(Clone, Copy)]
enum Sign {
    Point,
    Line(usize),
    Diamond,
}

/// As many entries in a row as there is room for.
fn legend<'f>(figure: &'f Figure, font: &Font) -> Vec<Entry<'f>> {
    let lines = figure.lines.iter().enumerate();
    let lines = lines.map(|(index, line)| (Sign::Line(index), line.name.as_str()));
    let marks = figure.marks.iter().map(|name| (Sign::Diamond, name.as_str()));
    let (mut left, mut row) = (LEFT, 0.0);
    std::iter::once((Sign::Point, "data"))
        .chain(lines)
        .chain(marks)
        .map(|(sign, name)| {
            let width = SIGN + font.outlines(name, TEXT).1;
            if left > LEFT && left + width > WIDTH as f32 - RIGHT {
                (left, row) = (LEFT, row + 1.0);
            }
            let entry = Entry { sign, name, row, left };
            left += width + GAP;
            entry
        })
        .collect()
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
    fn grid(&mut self, figure: &Figure, panel: &Panel, frame: Frame) {
        for (x, _) in figure.x.ticks(8) {
            self.line(&[frame.at((x, 0.0)), frame.at((x, 1.0))], GRID, 1.5, None);
        }
        for (y, _) in panel.y.ticks(6) {
            self.line(&[frame.at((0.0, y)), frame.at((1.0, y))], GRID, 1.5, None);
        }
    }

    fn content(&mut self, figure: &Figure, panel: &Panel, frame: Frame) {
        for (at, _) in panel.marks.iter().flatten() {
            let ends = [frame.at((*at, 0.0)), frame.at((*at, 1.0))];
            self.line(&ends, INK, 2.0, Some([8.0, 6.0]));
        }
        for point in &panel.points {
            self.point(frame.at(*point));
        }
        // Parts first, so that what they are parts of stays visible.
        for of_parts in [true, false] {
            let lines = figure.lines.iter().zip(&panel.lines).zip(LINES.iter().cycle());
            for ((line, pieces), colour) in lines.filter(|((line, _), _)| line.is_part == of_parts)
            {
                let (width, dash) = style(line.is_part);
                for piece in pieces {
                    let places: Vec<_> = piece.iter().map(|place| frame.at(*place)).collect();
                    self.line(&places, *colour, width, dash);
                }
            }
        }
        for (at, height) in panel.marks.iter().flatten() {
            height.iter().for_each(|height| self.diamond(frame.at((*at, *height))));
        }
    }

    fn frame(&mut self, panel: &Panel, frame: Frame) {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)];
        self.line(&corners.map(|corner| frame.at(corner)), INK, 1.5, None);
        for (y, number) in panel.y.ticks(6) {
            let (left, height) = frame.at((0.0, y));
            self.text(&number, TEXT, (left - 12.0, height + 0.36 * TEXT), Align::End);
        }
        let middle = frame.at((0.0, 0.5)).1;
        let turned = Transform::from_rotate(-90.0).post_translate(38.0, middle);
        self.placed(&panel.y.label(), TEXT, turned, Align::Middle);
    }

    fn numbers_below(&mut self, figure: &Figure, frame: Frame) {
        for (x, number) in figure.x.ticks(8) {
            let (across, bottom) = frame.at((x, 0.0));
            self.text(&number, TEXT, (across, bottom + 32.0), Align::Middle);
        }
        let (middle, bottom) = frame.at((0.5, 0.0));
        self.text(&figure.x.label(), TEXT, (middle, bottom + 70.0), Align::Middle);
    }

    fn entry(&mut self, figure: &Figure, entry: &Entry<'_>) {
        let Entry { sign, name, row, left } = *entry;
        let base = ABOVE + (row + 0.75) * ROW;
        let middle = base - 0.36 * TEXT;
        match sign {
            Sign::Point => self.point((left + 0.4 * SIGN, middle)),
            Sign::Diamond => self.diamond((left + 0.4 * SIGN, middle)),
            Sign::Line(index) => {
                let (width, dash) = style(figure.lines[index].is_part);
                let ends = [(left, middle), (left + 0.8 * SIGN, middle)];
                self.line(&ends, LINES[index % LINES.len()], width, dash);
            }
        }
        self.text(name, TEXT, (left + SIGN, base), Align::Begin);
    }

    fn text(&mut self, text: &str, size: f32, at: (f32, f32), align: Align) -> f32 {
        self.placed(text, size, Transform::from_translate(at.0, at.1), align)
    }

    /// Draws a text and returns its width.
    fn placed(&mut self, text: &str, size: f32, place: Transform, align: Align) -> f32 {
        let (path, width) = self.font.outlines(text, size);
        let shift = match align {
            Align::Begin => 0.0,
            Align::Middle => -0.5 * width,
            Align::End => -width,
        };
        if let Some(path) = path {
            self.fill(&path, INK, place.pre_translate(shift, 0.0));
        }
        width
    }

    fn point(&mut self, (x, y): (f32, f32)) {
        if let Some(circle) = PathBuilder::from_circle(x, y, POINT_RADIUS) {
            self.fill(&circle, POINTS, Transform::identity());
        }
    }

    fn diamond(&mut self, (x, y): (f32, f32)) {
        let square = Rect::from_xywh(-7.0, -7.0, 14.0, 14.0).map(PathBuilder::from_rect);
        if let Some(square) = square {
            self.fill(&square, INK, Transform::from_rotate(45.0).post_translate(x, y));
        }
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

/// Width and dashes of a line.
fn style(is_part: bool) -> (f32, Option<[f32; 2]>) {
    if is_part { (2.5, Some([10.0, 7.0])) } else { (3.0, None) }
}

fn paint([red, green, blue, alpha]: [u8; 4]) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, alpha);
    paint
}

#[cfg(test)]
mod tests {
    use super::super::figure::tests::figure;
    use super::*;
    use pixelmill_core::process::Model;

    const HEADING: [&str; 2] = ["Fit at position 7", "X 7 (1 um)"];

    fn colour(pixmap: &Pixmap, (x, y): (f32, f32)) -> [u8; 4] {
        let pixel = pixmap.pixel(x as u32, y as u32).unwrap().demultiply();
        [pixel.red(), pixel.green(), pixel.blue(), pixel.alpha()]
    }

    #[test]
    fn lines_points_and_marks_are_where_their_numbers_say() {
        let data = [1.0, 4.0, 2.0, 8.0];
        let model = Model::new()
            .curve("fit", [2.0, 4.0, 3.0, 6.0])
            .part("offset", [1.5; 4])
            .mark("peak", 2e-3, 7.0);
        let figure = figure(data, model);
        let (drawn, frames) = render(&figure, HEADING);
        let picture = Pixmap::decode_png(&draw(&figure, HEADING).unwrap()).unwrap();
        assert_eq!(picture, drawn);
        assert_eq!((picture.width(), frames.len()), (WIDTH, 1));
        let bottom = frames[0].bottom();
        assert_eq!(picture.height(), (bottom + BELOW) as u32);

        // From corner to corner of the frame, and the row of a number is that of its tick.
        let (top, bottom) = (frames[0].top, frames[0].bottom());
        assert_eq!(frames[0].at((0.0, 0.0)), (LEFT, bottom));
        assert_eq!(frames[0].at((1.0, 1.0)), (WIDTH as f32 - RIGHT, top));
        assert_eq!(colour(&picture, (LEFT, bottom)), INK);
        let is_written = |x: u32, y: u32| picture.pixel(x, y).unwrap().red() < 128;
        for (place, number) in figure.panels[0].y.ticks(6) {
            let row = (top + (1.0 - place as f32) * (bottom - top)) as u32;
            let digits = LEFT as u32 - 40..LEFT as u32 - 10;
            let rows = (row - 20..row + 20).filter(|y| digits.clone().any(|x| is_written(x, *y)));
            let rows: Vec<u32> = rows.collect();
            let middle = (rows[0] + rows[rows.len() - 1]) / 2;
            assert!(middle.abs_diff(row) <= 2, "{number} is at {middle}, its tick at {row}");
        }

        let panel = &figure.panels[0];
        let at = |time: f64, value: f64| {
            let (x, y) = (figure.x.place(time * 1e-3).unwrap(), panel.y.place(value).unwrap());
            colour(&picture, frames[0].at((x, y)))
        };
        assert_eq!([at(0.0, 1.0), at(2.0, 2.0), at(3.0, 8.0)], [POINTS; 3]);
        assert_eq!([at(0.0, 2.0), at(1.0, 4.0), at(2.5, 4.5), at(3.0, 6.0)], [LINES[0]; 4]);
        assert_eq!(at(0.0, 1.5), LINES[1]);
        assert_eq!(at(2.0, 7.0), INK);
        assert_eq!(at(0.8, 6.3), [255; 4]);
    }

    #[test]
    fn a_legend_takes_as_many_rows_as_it_needs() {
        let many = (0..30).fold(Model::new(), |model, number| {
            model.part(format!("component number {number}"), [0.0, 1.0])
        });
        let figure = figure([0.0, 1.0], many);
        let entries = legend(&figure, &Font::new());
        let end = |entry: &Entry<'_>| entry.left + SIGN + Font::new().outlines(entry.name, TEXT).1;
        assert!(entries.iter().all(|entry| end(entry) <= WIDTH as f32 - RIGHT));
        let rows = entries.last().unwrap().row + 1.0;
        assert!(rows > 5.0 && render(&figure, HEADING).1[0].top >= ABOVE + rows * ROW);
    }
}

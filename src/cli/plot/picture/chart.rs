//! Charts in pictures.

use tiny_skia::{PathBuilder, Rect, Transform};

use super::super::chart::{Chart, Panel};
use super::text::Font;
use super::{
    Align, Area, Entry, FAILED, Frame, GRID, INK, LEFT, NOTE_ROW, RIGHT, ROW, SIGN, Sheet, TEXT,
    in_rows, rows_of, ticks,
};
use crate::engine::shown::State;

/// Of a panel that is alone, of the first and of the other ones.
const HEIGHTS: (f32, f32, f32) = (560.0, 440.0, 300.0);
/// Of a chart with a title, which is one of several parts.
const SMALL: f32 = 0.8;
/// Below the last panel, and between two.
const BELOW: f32 = 90.0;
const BETWEEN: f32 = 24.0;
const POINT_RADIUS: f32 = 4.5;
/// Room for a number of the axis below.
const ACROSS: f32 = 115.0;

const POINTS: [u8; 4] = [110, 145, 185, 255];
/// Of a line that is all there is.
const ONLY_LINE: [u8; 4] = [60, 100, 150, 255];
const PENDING: [u8; 4] = [150, 150, 150, 255];
/// Of lines, in turn; red comes first and only once.
const LINES: [[u8; 4]; 6] = [
    [200, 30, 30, 255],
    [230, 140, 0, 255],
    [30, 130, 70, 255],
    [130, 80, 170, 255],
    [0, 150, 160, 255],
    [140, 90, 60, 255],
];

/// The height that a chart takes.
pub(super) fn height(chart: &Chart, width: f32, font: &Font) -> f32 {
    let area = Area { left: 0.0, top: 0.0, width };
    let bottom = frames(chart, area, font).last().map_or(0.0, |frame| frame.bottom());
    bottom + BELOW + NOTE_ROW * chart.notes.len() as f32
}

/// Frames of all panels.
fn frames(chart: &Chart, area: Area, font: &Font) -> Vec<Frame> {
    let panels = chart.panels.len();
    let share = if chart.title.is_empty() { 1.0 } else { SMALL };
    let height = |index: usize| match (panels, index) {
        (1, _) => HEIGHTS.0 * share,
        (_, 0) => HEIGHTS.1 * share,
        _ => HEIGHTS.2 * share,
    };
    let rows = rows_of(&legend(chart, area, font));
    let mut top = area.top + title_height(chart) + rows * ROW + 0.3 * ROW;
    (0..panels)
        .map(|index| {
            let width = area.width - LEFT - RIGHT;
            let frame = Frame { left: area.left + LEFT, top, width, height: height(index) };
            top = frame.bottom() + BETWEEN;
            frame
        })
        .collect()
}

fn title_height(chart: &Chart) -> f32 {
    if chart.title.is_empty() { 0.0 } else { ROW }
}

#[derive(Clone, Copy)]
enum Sign {
    Point,
    Line(usize),
    Diamond,
    Gap(State),
}

/// A line without a name is all there is.
fn legend<'f>(chart: &'f Chart, area: Area, font: &Font) -> Vec<Entry<'f, Sign>> {
    let points = chart.has_points()
        && !(chart.lines.is_empty() && chart.marks.is_empty() && !chart.title.is_empty());
    let points = points.then_some((Sign::Point, "data"));
    let lines = chart.lines.iter().enumerate().filter(|(_, line)| !line.name.is_empty());
    let lines = lines.map(|(index, line)| (Sign::Line(index), line.name.as_str()));
    let marks = chart.marks.iter().map(|name| (Sign::Diamond, name.as_str()));
    let gaps = [(State::Failed, "failed"), (State::Pending, "pending")];
    let gaps = gaps.into_iter().filter(|(state, _)| chart.has(*state));
    let gaps = gaps.map(|(state, name)| (Sign::Gap(state), name));
    let room = (area.left + LEFT, area.left + area.width - RIGHT);
    in_rows(points.into_iter().chain(lines).chain(marks).chain(gaps), room, font)
}

impl Sheet {
    pub(super) fn chart(&mut self, chart: &Chart, area: Area) {
        let frames = frames(chart, area, &self.font);
        for (panel, frame) in chart.panels.iter().zip(&frames) {
            self.grid(chart, panel, *frame);
            self.content(chart, panel, *frame);
            self.edge(*frame);
            self.numbers_beside(&panel.y, &panel.y.ticks(6), *frame, area.left);
        }
        if let Some(frame) = frames.last() {
            self.numbers_below(&chart.x, &ticks(&chart.x, frame.width, ACROSS), *frame);
            let top = frame.bottom() + BELOW - 8.0;
            self.notes(&chart.notes, frame.left, top, frame.width);
        }
        self.title(&chart.title, area);
        let entries = legend(chart, area, &self.font);
        let top = area.top + title_height(chart);
        entries.iter().for_each(|entry| self.entry(chart, entry, top));
    }

    fn grid(&mut self, chart: &Chart, panel: &Panel, frame: Frame) {
        for (x, _) in ticks(&chart.x, frame.width, ACROSS) {
            self.line(&[frame.at((x, 0.0)), frame.at((x, 1.0))], GRID, 1.5, None);
        }
        for (y, _) in panel.y.ticks(6) {
            self.line(&[frame.at((0.0, y)), frame.at((1.0, y))], GRID, 1.5, None);
        }
    }

    fn content(&mut self, chart: &Chart, panel: &Panel, frame: Frame) {
        for (at, _) in panel.marks.iter().flatten() {
            let ends = [frame.at((*at, 0.0)), frame.at((*at, 1.0))];
            self.line(&ends, INK, 2.0, Some([8.0, 6.0]));
        }
        for point in &panel.points {
            self.point(frame.at(*point));
        }
        // Parts first, so that what they are parts of stays visible.
        for of_parts in [true, false] {
            let lines = chart.lines.iter().zip(&panel.lines).zip(LINES.iter().cycle());
            for ((line, pieces), colour) in lines.filter(|((line, _), _)| line.is_part == of_parts)
            {
                let colour = if line.name.is_empty() { &ONLY_LINE } else { colour };
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
        for (at, state) in &panel.gaps {
            let (x, y) = frame.at((*at, 0.0));
            self.gap((x, y - 10.0), *state);
        }
    }

    /// What stands where there is no value.
    fn gap(&mut self, (x, y): (f32, f32), state: State) {
        match state {
            State::Failed => self.cross((x, y), 5.0, FAILED, 2.0),
            _ => self.line(&[(x - 1.5, y), (x + 1.5, y)], PENDING, 4.0, None),
        }
    }

    fn entry(&mut self, chart: &Chart, entry: &Entry<'_, Sign>, top: f32) {
        let Entry { sign, name, row, left } = *entry;
        let base = top + (row + 0.75) * ROW;
        let middle = base - 0.36 * TEXT;
        match sign {
            Sign::Point => self.point((left + 0.4 * SIGN, middle)),
            Sign::Diamond => self.diamond((left + 0.4 * SIGN, middle)),
            Sign::Gap(state) => self.gap((left + 0.4 * SIGN, middle), state),
            Sign::Line(index) => {
                let (width, dash) = style(chart.lines[index].is_part);
                let ends = [(left, middle), (left + 0.8 * SIGN, middle)];
                self.line(&ends, LINES[index % LINES.len()], width, dash);
            }
        }
        self.text(name, TEXT, (left + SIGN, base), Align::Begin);
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
}

/// Width and dashes of a line.
fn style(is_part: bool) -> (f32, Option<[f32; 2]>) {
    if is_part { (2.5, Some([10.0, 7.0])) } else { (3.0, None) }
}

#[cfg(test)]
mod tests {
    use super::super::super::chart::tests::figure;
    use super::super::super::figure::{Figure, Part};
    use super::super::{ABOVE, draw, render};
    use super::*;
    use pixelmill_core::process::Model;
    use tiny_skia::Pixmap;

    const WIDTH: f32 = 1200.0;
    const AREA: Area = Area { left: 0.0, top: ABOVE, width: WIDTH };

    fn whole(chart: Chart) -> Figure {
        Figure {
            heading: ["Fit at position 7".to_owned(), "X 7 (1 um)".to_owned()],
            parts: vec![Part::Chart(chart)],
        }
    }

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
        let frames = frames(&figure(data, model.clone()), AREA, &Font::new());
        let drawn = whole(figure(data, model.clone()));
        let picture = Pixmap::decode_png(&draw(&drawn).unwrap()).unwrap();
        assert_eq!(picture, render(&drawn));
        assert_eq!((picture.width(), frames.len()), (WIDTH as u32, 1));
        let figure = figure(data, model);
        let bottom = frames[0].bottom();
        assert_eq!(picture.height(), (bottom + BELOW) as u32);

        // From corner to corner of the frame, and the row of a number is that of its tick.
        let (top, bottom) = (frames[0].top, frames[0].bottom());
        assert_eq!(frames[0].at((0.0, 0.0)), (LEFT, bottom));
        assert_eq!(frames[0].at((1.0, 1.0)), (WIDTH - RIGHT, top));
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
        let entries = legend(&figure, AREA, &Font::new());
        let end =
            |entry: &Entry<'_, Sign>| entry.left + SIGN + Font::new().outlines(entry.name, TEXT).1;
        assert!(entries.iter().all(|entry| end(entry) <= WIDTH - RIGHT));
        let rows = rows_of(&entries);
        assert!(rows > 5.0 && frames(&figure, AREA, &Font::new())[0].top >= ABOVE + rows * ROW);
    }
}

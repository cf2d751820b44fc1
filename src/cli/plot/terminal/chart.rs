//! Charts in characters: data as rings, lines in the eight dots of a braille character, both with
//! one filled. It is legible without colours, which tell several lines apart.

use super::super::chart::{Chart, Panel, Point};
use super::super::colours::Palette;
use super::{Framed, below, coloured, margin, shortened, ticks_below, wrapped};
use crate::engine::shown::State;

/// Rows of a panel that is alone, of the first and of the other ones.
const ROWS: (usize, usize, usize) = (16, 12, 8);
const DATA: char = '∘';
const DATA_ON_LINE: char = '•';
const MARK: char = 'X';
/// Dots of a cell, by row and column, as Unicode counts them.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
/// Of lines, in turn, and of marks: codes of ANSI.
const LINE_COLOURS: [&str; 4] = ["31", "36", "32", "34"];
const MARK_COLOUR: &str = "35";
/// What stands at the bottom where there is no value.
pub(super) const PENDING: char = '·';
pub(super) const FAILED: char = '×';
pub(super) const FAILED_COLOUR: &str = "31";

/// The chart in lines of at most so many columns.
pub(super) fn draw(chart: &Chart, columns: usize, palette: Palette) -> Vec<String> {
    let colours = palette.has_any();
    let rows = |index: usize| match (chart.panels.len(), index) {
        (1, _) => ROWS.0,
        (_, 0) => ROWS.1,
        _ => ROWS.2,
    };
    let ticks: Vec<_> = chart
        .panels
        .iter()
        .enumerate()
        .map(|(index, panel)| panel.y.ticks(rows(index) / 2))
        .collect();
    let margin = margin(ticks.iter().flatten());
    let width = columns.saturating_sub(margin + 2).max(20);
    let across = ticks_below(&chart.x, width);
    let mut lines = Vec::new();
    if !chart.title.is_empty() {
        lines.push(shortened(&format!("{:margin$}{}", "", chart.title), columns));
    }
    for (index, panel) in chart.panels.iter().enumerate() {
        let mut cells = Cells::new(width, rows(index));
        cells.draw(chart, panel);
        lines.push(shortened(&format!("{:margin$}{}", "", panel.y.label()), columns));
        let row_of = |place: f64| cells.dot((0.0, place)).1 / 4;
        let beside = ticks[index].iter().map(|(place, number)| (row_of(*place), number.clone()));
        let framed = Framed {
            rows: (0..cells.height).map(|row| cells.row(row, colours)).collect(),
            beside: beside.collect(),
            margin,
            below: &across,
            width,
        };
        lines.extend(framed.lines());
    }
    lines.extend(below(&chart.x, &across, margin, width));
    lines.extend(wrapped(&legend(chart, colours), margin, columns));
    lines.extend(
        chart.notes.iter().map(|note| shortened(&format!("{:margin$} {note}", ""), columns)),
    );
    lines
}

/// A cell has lines, points or marks in it.
#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u8,
    colour: Option<&'static str>,
    has_data: bool,
    has_mark: bool,
    gap: Option<State>,
}

struct Cells {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
}

impl Cells {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, cells: vec![Cell::default(); width * height] }
    }

    fn draw(&mut self, chart: &Chart, panel: &Panel) {
        for (at, height) in panel.marks.iter().flatten() {
            self.dash((*at, 0.0), (*at, 1.0), MARK_COLOUR, 3);
            if let Some(height) = height {
                self.cell(self.dot((*at, *height))).has_mark = true;
            }
        }
        // Parts would make it illegible.
        let whole = chart.lines.iter().zip(&panel.lines).filter(|(line, _)| !line.is_part);
        for ((_, pieces), colour) in whole.zip(LINE_COLOURS.iter().cycle()) {
            for piece in pieces {
                piece.iter().take(1).for_each(|only| self.dash(*only, *only, colour, 1));
                piece.windows(2).for_each(|ends| self.dash(ends[0], ends[1], colour, 1));
            }
        }
        for point in &panel.points {
            self.cell(self.dot(*point)).has_data = true;
        }
        for (at, state) in &panel.gaps {
            let gap = &mut self.cell(self.dot((*at, 0.0))).gap;
            *gap = gap.filter(|other| *other == State::Failed).or(Some(*state));
        }
    }

    /// The dot of a place: its column, and its row from the top.
    fn dot(&self, (x, y): Point) -> (usize, usize) {
        let (last_column, last_row) = (2 * self.width - 1, 4 * self.height - 1);
        let column = (x * last_column as f64).round() as usize;
        let row = ((1.0 - y) * last_row as f64).round() as usize;
        (column.min(last_column), row.min(last_row))
    }

    fn cell(&mut self, (column, row): (usize, usize)) -> &mut Cell {
        &mut self.cells[row / 4 * self.width + column / 2]
    }

    /// A line, of which every `every`th dot is set.
    fn dash(&mut self, from: Point, to: Point, colour: &'static str, every: usize) {
        let (from, to) = (self.dot(from), self.dot(to));
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1));
        let between = |from: usize, to: usize, step: usize| {
            let share = step as f64 / steps.max(1) as f64;
            (from as f64 + (to as f64 - from as f64) * share).round() as usize
        };
        for step in (0..=steps).step_by(every) {
            let dot = (between(from.0, to.0, step), between(from.1, to.1, step));
            let cell = self.cell(dot);
            cell.dots |= DOTS[dot.1 % 4][dot.0 % 2];
            cell.colour = Some(colour);
        }
    }

    fn row(&self, row: usize, colours: bool) -> String {
        let cells = &self.cells[row * self.width..][..self.width];
        cells.iter().map(|cell| cell.shown(colours)).collect()
    }
}

impl Cell {
    fn shown(&self, colours: bool) -> String {
        let on_line = self.dots != 0 && self.colour != Some(MARK_COLOUR);
        let (character, colour) = match self {
            Cell { has_mark: true, .. } => (MARK, Some(MARK_COLOUR)),
            Cell { gap: Some(State::Failed), .. } => (FAILED, Some(FAILED_COLOUR)),
            Cell { gap: Some(_), .. } => (PENDING, None),
            Cell { has_data: true, .. } if on_line => (DATA_ON_LINE, self.colour),
            Cell { has_data: true, .. } => (DATA, None),
            Cell { dots: 0, .. } => (' ', None),
            _ => (braille(self.dots), self.colour),
        };
        coloured(character, colour.filter(|_| colours))
    }
}

fn braille(dots: u8) -> char {
    char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ')
}

/// What the characters mean; nothing where there is only one line.
fn legend(chart: &Chart, colours: bool) -> Vec<String> {
    let colour = |code: &'static str| Some(code).filter(|_| colours);
    let has_points = chart.has_points();
    let mut entries = Vec::new();
    if has_points {
        entries.push(format!("{DATA} data"));
    }
    let whole = || chart.lines.iter().filter(|line| !line.is_part && !line.name.is_empty());
    if has_points && whole().next().is_some() {
        entries.push(format!("{DATA_ON_LINE} data on the line"));
    }
    for (line, code) in whole().zip(LINE_COLOURS.iter().cycle()) {
        entries.push(format!("{} {}", coloured("⠤⠒", colour(code)), line.name));
    }
    for name in &chart.marks {
        entries.push(format!("{} {name}", coloured(MARK, colour(MARK_COLOUR))));
    }
    if chart.has(State::Failed) {
        entries.push(format!("{} failed", coloured(FAILED, colour(FAILED_COLOUR))));
    }
    if chart.has(State::Pending) {
        entries.push(format!("{PENDING} pending"));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::super::chart::tests::figure;
    use super::super::super::figure::{Figure, Part};
    use super::*;
    use num_complex::Complex64;
    use pixelmill_core::process::Model;

    fn fitted() -> Chart {
        let data = [0.0, 1.0, 4.0, 9.0, 4.0, 1.0, -2.0];
        let model = Model::new()
            .curve("fit", [0.0, 1.0, 4.0, 7.0, 4.0, 1.0, 0.0])
            .part("offset", [0.0; 7])
            .mark("peak", 3e-3, 9.0);
        figure(data, model)
    }

    fn draw(chart: Chart, columns: usize, palette: Palette) -> String {
        let figure =
            Figure { heading: [String::new(), String::new()], parts: vec![Part::Chart(chart)] };
        super::super::draw(&figure, columns, palette)
    }

    /// Checked by eye against the numbers: all points are on the line but number 3, under the mark
    /// at 9, and number 6, at -2.
    const FITTED: &str = "
    Current (A)
    │                 X
    │                 ⠠
  8 ┤                 ⠐
    │                 ⣨⡀
  6 ┤               ⢀⠔⠡⠘⢄
    │              ⡠⠊ ⠐  ⠱⡀
    │            ⢀⠔⠁  ⢈   ⠈⢢
  4 ┤           ⢠•    ⠠     •⡄
    │          ⡔⠁     ⠐      ⠈⢢
  2 ┤        ⢠⠊       ⢈        ⠑⡄
    │       ⡔⠁        ⠠         ⠈⢢
    │  ⢀⣀⠤⠒•          ⠐           •⠒⠤⣀⡀
  0 ┤•⠊⠁              ⢈               ⠈⠑⠂
    │                 ⠠
    │                 ⠐
 -2 ┤                 ⢈                 ∘
    └─┬──────────┬──────────┬──────────┬─
      0          2          4          6
                   Time (ms)
     ∘ data   • data on the line   ⠤⠒ fit
     X peak
";

    #[test]
    fn a_fit_is_drawn_as_its_numbers_are() {
        let drawn = draw(fitted(), 42, Palette::None);
        assert_eq!(format!("\n{drawn}"), FITTED, "\n{drawn}");
    }

    #[test]
    fn colours_change_nothing_else() {
        let (plain, coloured) =
            (draw(fitted(), 72, Palette::None), draw(fitted(), 72, Palette::Few));
        assert!(coloured.contains("\u{1b}[31m•") && coloured.contains("\u{1b}[35mX"));
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }

    #[test]
    fn no_line_is_longer_than_it_may_be() {
        let spectrum: Vec<Complex64> =
            (0..999).map(|at| Complex64::from_polar(1e-7 * f64::from(at), 0.1)).collect();
        for (columns, longest) in [(72, 72), (40, 40), (5, 40)] {
            let drawn = draw(figure(spectrum.clone(), Model::new()), columns, Palette::None);
            let lengths = drawn.lines().map(|line| line.chars().count());
            assert!(lengths.max() <= Some(longest), "{columns}:\n{drawn}");
        }
    }
}

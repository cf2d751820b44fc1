//! Figures in characters, as many beside each other as there is room for.

mod chart;
mod map;

use std::fmt::Display;

use super::axis::Axis;
use super::colours::Palette;
use super::figure::{Figure, Part};

/// Columns of a part at least where two are beside each other, or more, and between two of them.
const LEAST: (usize, usize) = (46, 34);
const BETWEEN: usize = 3;

/// The figure in lines of at most so many columns.
pub(crate) fn draw(figure: &Figure, columns: usize, palette: Palette) -> String {
    let least = if figure.parts.len() > 2 { LEAST.1 } else { LEAST.0 };
    let beside = (columns + BETWEEN) / (least + BETWEEN);
    let beside = beside.clamp(1, figure.parts.len().max(1));
    let width = (columns + BETWEEN) / beside - BETWEEN;
    let drawn = |part: &Part| match part {
        Part::Chart(chart) => chart::draw(chart, width, palette),
        Part::Map(map) => map::draw(map, width, palette),
        Part::Numbers(numbers) => numbers.iter().map(|number| format!(" {number}")).collect(),
    };
    let mut lines: Vec<String> = Vec::new();
    for row in figure.parts.chunks(beside) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let row: Vec<Vec<String>> = row.iter().map(drawn).collect();
        let height = row.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            let mut whole = String::new();
            for (number, part) in row.iter().enumerate() {
                let begin = number * (width + BETWEEN);
                let gap = begin.saturating_sub(console::measure_text_width(&whole));
                whole.push_str(&" ".repeat(gap));
                whole.push_str(part.get(line).map_or("", String::as_str));
            }
            lines.push(whole);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Rows of characters in a frame, with the numbers of the axes beside and below them.
struct Framed<'r> {
    rows: Vec<String>,
    /// Numbers beside the rows, each with its row.
    beside: Vec<(usize, String)>,
    /// Columns that these take.
    margin: usize,
    /// Numbers below the rows, each with its column.
    below: &'r [(usize, String)],
    width: usize,
}

impl Framed<'_> {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let tick = self.beside.iter().find(|(at, _)| *at == number);
            let (told, edge) = tick.map_or(("", '│'), |(_, told)| (told, '┤'));
            lines.push(format!("{told:>width$} {edge}{row}", width = self.margin - 1));
        }
        let mut edge = vec!['─'; self.width];
        self.below.iter().for_each(|(column, _)| edge[*column] = '┬');
        lines.push(format!(
            "{:margin$}└{}",
            "",
            edge.iter().collect::<String>(),
            margin = self.margin
        ));
        lines
    }
}

/// Columns that the numbers of some axes take, with the edge beside them.
fn margin<'t>(ticks: impl Iterator<Item = &'t (f64, String)>) -> usize {
    ticks.map(|(_, text)| text.chars().count()).max().unwrap_or(0) + 2
}

/// Numbers of the axis below, with the columns that they belong to.
fn ticks_below(axis: &Axis, width: usize) -> Vec<(usize, String)> {
    let column = |place: f64| (place * (width - 1) as f64).round() as usize;
    let ticks = axis.ticks(width / 8).into_iter();
    ticks.map(|(place, number)| (column(place), number)).collect()
}

/// The numbers of the axis below everything, and what it is.
fn below(axis: &Axis, ticks: &[(usize, String)], margin: usize, width: usize) -> [String; 2] {
    let mut numbers = String::new();
    let mut length = 0;
    let mut ticks: Vec<&(usize, String)> = ticks.iter().collect();
    ticks.sort_unstable_by_key(|(column, _)| *column);
    for (column, number) in ticks {
        let digits = number.chars().count();
        let begin = (margin + 1 + column).saturating_sub(digits / 2);
        // Two numbers that touch would be a third one.
        if begin > length {
            numbers.push_str(&" ".repeat(begin - length));
            numbers.push_str(number);
            length = begin + digits;
        }
    }
    let label = axis.label();
    let before = (margin + 1 + width / 2).saturating_sub(label.chars().count() / 2);
    [numbers, format!("{:before$}{label}", "")]
}

fn coloured(text: impl Display, colour: Option<&str>) -> String {
    match colour {
        Some(colour) => format!("\x1b[{colour}m{text}\x1b[0m"),
        None => text.to_string(),
    }
}

/// Texts with three spaces between them, in lines of at most so many columns.
fn wrapped(texts: &[String], margin: usize, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for text in texts {
        let width = console::measure_text_width(text);
        match lines.last_mut() {
            Some(line) if console::measure_text_width(line) + 3 + width <= columns => {
                line.push_str("   ");
                line.push_str(text);
            }
            _ => lines.push(format!("{:margin$} {text}", "")),
        }
    }
    lines
}

/// A text of at most so many columns; of a longer one the end is left out.
fn shortened(text: &str, columns: usize) -> String {
    console::truncate_str(text, columns, "…").into_owned()
}

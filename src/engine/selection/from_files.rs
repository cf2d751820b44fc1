//! Selections that stand in files: masks, and lists of positions.
//!
//! What is in another file than the source's is read at once and kept as a set, so that the file is
//! free again before the run asks for the one that results go to.

use std::ops::Range;
use std::path::Path;

use super::union::Union;
use super::{Lattice, OpenRange, Selected, every_within, steps_within};
use crate::position_grid::PositionGrid;
use crate::region;
use crate::source::normalised;
use crate::storage::container::Dataset;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::file_state::FileId;
use crate::storage::marks::Marks;
use crate::storage::npy::NpyArray;
use crate::storage::open_file::other_than_file;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::InputPath;
use pixelmill_core::positions::{Positions, runs};

/// What isn't as it should be of the mask that is called `mask`.
fn refused(mask: &str, found: &str) -> Error {
    Error::selection(format!("`{mask}` {found}"))
}

/// The mask at a path of the source's file, or, of one that isn't there, what else is called so.
///
/// # Errors
/// If it isn't a mask of this scan.
pub(super) fn dataset(path: &str, grid: &PositionGrid, file: &ReadFile) -> Result<Selected> {
    if let Some(elsewhere) = elsewhere(path, file) {
        return mask(&elsewhere, grid, file);
    }
    marked(path, &normalised(path), grid, file).map(|marks| Selected::Marked(Box::new(marks)))
}

/// What else a path means that the source's file doesn't have, if anything.
pub(super) fn elsewhere(path: &str, file: &ReadFile) -> Option<InputPath> {
    let elsewhere = InputPath::from(path);
    let is_here = matches!(elsewhere, InputPath::Here(_)) || file.link_exists(&normalised(path));
    (!is_here).then_some(elsewhere)
}

/// The mask that is named.
///
/// # Errors
/// If it isn't a mask of this scan.
pub(super) fn mask(named: &InputPath, grid: &PositionGrid, file: &ReadFile) -> Result<Selected> {
    let (other, path) = match named {
        InputPath::Npy(array) => return array_mask(array, grid).map(Selected::Set),
        InputPath::Here(path) => return dataset(path, grid, file),
        InputPath::InFile { file, path } => (file, path),
    };
    if FileId::at(other).is_ok_and(|id| id == file.id()) {
        return dataset(&normalised(path), grid, file);
    }
    let other = open_read(other)?;
    let shown = format!("{}:{path}", other.path.display());
    let marks = marked(&shown, &normalised(path), grid, &other)?;
    set_of(&marks).map(Selected::Set)
}

/// The marks of a dataset.
fn marked(shown: &str, path: &str, grid: &PositionGrid, file: &ReadFile) -> Result<Marks> {
    let missing = |_| match file.broken_link(path) {
        Some(link) => Error::selection(link),
        None => refused(shown, "is no dataset of the file"),
    };
    let dataset: Dataset = file.dataset(path).map_err(missing)?;
    dataset.check_sources()?;
    check_shape(shown, &dataset.shape(), grid)?;
    Marks::of(file.handle(), &dataset)?
        .ok_or_else(|| refused(shown, "holds neither truth values nor integers"))
}

fn array_mask(path: &Path, grid: &PositionGrid) -> Result<Positions> {
    let shown = path.display().to_string();
    let array = NpyArray::open(path).map_err(|error| match error {
        Error::Npy { reason, .. } => Error::selection(format!("`{shown}`: {reason}")),
        other => other,
    })?;
    check_shape(&shown, &array.shape, grid)?;
    let marks = Marks::of_array(&array)?;
    set_of(&marks.ok_or_else(|| refused(&shown, "holds neither truth values nor integers"))?)
}

/// A mask has a value for each position: in the shape of the scan, or all in a row.
fn check_shape(shown: &str, shape: &[usize], grid: &PositionGrid) -> Result<()> {
    let long = |shape: &[usize]| -> Vec<usize> {
        shape.iter().copied().filter(|length| *length != 1).collect()
    };
    let (count, positions) = (shape.iter().product::<usize>(), grid.rows());
    let scan = if grid.is_full() { grid.shape() } else { vec![positions] };
    let in_a_row = long(shape).len() <= 1;
    if count == positions && (in_a_row || long(shape) == long(&scan)) {
        return Ok(());
    }
    let found = format!(
        "has {count} values for {positions} positions: its shape is {}, that of the scan {}",
        written(shape),
        written(&scan)
    );
    Err(refused(shown, &found))
}

/// `64 × 64`.
fn written(shape: &[usize]) -> String {
    match shape {
        [] => "that of a single value".to_owned(),
        _ => shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
    }
}

fn set_of(marks: &Marks) -> Result<Positions> {
    let mut marked = Positions::default();
    marks.each_window(|first, marks| {
        runs::of_marks(first, marks).for_each(|run| marked.insert(run));
        true
    })?;
    Ok(marked)
}

/// The positions that are listed in a text file: in each line a number, a range, or for each axis
/// a step or a range.
///
/// # Errors
/// If it can't be read, or a line is neither.
pub(super) fn listed(path: &Path, grid: &PositionGrid) -> Result<Positions> {
    let refused = |reason: String| Error::selection(format!("{}: {reason}", path.display()));
    if let Some(other) = other_than_file(path) {
        return Err(refused(other.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    // As some editors begin a file.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut list = List::default();
    for (number, line) in (1..).zip(text.lines()) {
        let meant = line.split('#').next().unwrap_or_default().trim();
        if !meant.is_empty() {
            list.add(number, meant, grid)
                .map_err(|reason| refused(format!("line {number}, `{meant}`: {reason}")))?;
        }
    }
    list.look_up(grid).map_err(|number| {
        refused(format!("line {number}: the scan has no position at these steps"))
    })
}

/// What the lines of a file mean.
#[derive(Default)]
struct List {
    meant: Union,
    /// Boxes of a scan that is no full grid, and its single cells with their lines.
    boxes: Vec<Lattice>,
    cells: Vec<(usize, Vec<u64>)>,
}

impl List {
    fn add(&mut self, number: usize, line: &str, grid: &PositionGrid) -> Result<(), String> {
        let items = line.split(|c: char| c == ',' || c.is_whitespace());
        let bounds: Vec<OpenRange> =
            items.filter(|item| !item.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        let axes = grid.shape().len();
        if let [bounds] = bounds[..] {
            let (range, step) = every_within(bounds, grid.rows() as u64)
                .ok_or_else(|| format!("the positions are 0:{}", grid.rows()))?;
            self.meant.add_every(range, step);
            return Ok(());
        }
        if bounds.len() != axes {
            return Err(match axes {
                0 | 1 => "a line has one position or range".to_owned(),
                _ => format!("a line has one position or range, or {axes} steps, one of each axis"),
            });
        }
        let lattice = steps_within(&bounds, grid)
            .map_err(|_| format!("the axes are {}", grid.described()))?;
        let shape = region::lengths(&grid.shape());
        match lattice.single() {
            Some(cell) if grid.is_full() => self.meant.add(region::number(&shape, &cell)),
            Some(cell) => self.cells.push((number, cell)),
            None if grid.is_full() => self.meant.add_box(lattice, &shape),
            None => self.boxes.push(lattice),
        }
        Ok(())
    }

    /// All positions that are meant, or the first line with steps at which there is none.
    fn look_up(mut self, grid: &PositionGrid) -> Result<Positions, usize> {
        if !self.boxes.is_empty() || !self.cells.is_empty() {
            let cells = Cells::of(grid);
            for lattice in &self.boxes {
                cells.within(lattice, |position| self.meant.add(position));
            }
            for (line, cell) in &self.cells {
                let found = cells.at(cell);
                if found.is_empty() {
                    return Err(*line);
                }
                found.iter().for_each(|(_, position)| self.meant.add(*position));
            }
        }
        Ok(self.meant.into_positions(grid.rows() as u64))
    }
}

/// The positions of a scan that is no full grid, in the order of their cells: the number that each
/// would have on the full one.
struct Cells<'g> {
    grid: &'g PositionGrid,
    shape: Vec<u128>,
    sorted: Vec<(u128, u64)>,
}

impl<'g> Cells<'g> {
    fn of(grid: &'g PositionGrid) -> Self {
        let shape = grid.shape().into_iter().map(|length| length as u128).collect();
        let mut cells = Self { grid, shape, sorted: Vec::new() };
        let each = (0..grid.rows() as u64).map(|position| (cells.cell(position), position));
        let mut sorted: Vec<(u128, u64)> = each.collect();
        sorted.sort_unstable();
        cells.sorted = sorted;
        cells
    }

    fn cell(&self, position: u64) -> u128 {
        self.number(self.grid.steps_of(position).into_iter().map(u64::from))
    }

    fn number(&self, steps: impl IntoIterator<Item = u64>) -> u128 {
        let axes = steps.into_iter().zip(&self.shape);
        axes.fold(0, |number, (step, length)| number * length + u128::from(step))
    }

    /// Those in consecutive cells.
    fn among(&self, cells: Range<u128>) -> &[(u128, u64)] {
        let from = self.sorted.partition_point(|(cell, _)| *cell < cells.start);
        let count = self.sorted[from..].partition_point(|(cell, _)| *cell < cells.end);
        &self.sorted[from..from + count]
    }

    /// Those at one place.
    fn at(&self, steps: &[u64]) -> &[(u128, u64)] {
        let cell = self.number(steps.iter().copied());
        self.among(cell..cell + 1)
    }

    /// Gives those in a box to `each`: line by line, unless there are more lines than positions.
    fn within(&self, lattice: &Lattice, mut each: impl FnMut(u64)) {
        let lines = lattice.lines().iter().fold(1, |lines: u64, axis| lines.saturating_mul(*axis));
        if lines > self.sorted.len() as u64 {
            let steps = |position| self.grid.steps_of(position).into_iter().map(u64::from);
            let all = self.sorted.iter().map(|(_, position)| *position);
            return all.filter(|position| lattice.contains(steps(*position))).for_each(each);
        }
        let (length, stride) = lattice.fastest();
        for line in 0..lines {
            let begin = self.number(lattice.line(line));
            let on_line = self.among(begin..begin + u128::from(length)).iter();
            let meant = on_line.filter(|(cell, _)| (cell - begin).is_multiple_of(stride.into()));
            meant.for_each(|(_, position)| each(*position));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position_grid::tests::grid;

    #[test]
    fn boxes_of_a_scan_that_is_no_full_grid_are_those_of_each_position() {
        // Some places of 7 × 5 in an order of their own, one of them twice.
        let place = |row: i64| row * 3 % 35;
        let (y, x): (Vec<i64>, Vec<i64>) =
            (0..24).map(|row| place(row % 23)).map(|at| (at / 5, at % 5)).unzip();
        let scan = grid(&[("X", &x), ("Y", &y)]);
        assert!(!scan.is_full() && scan.shape() == [7, 5]);
        let of = |lines: &[&str]| {
            let mut list = List::default();
            for (number, line) in (1..).zip(lines) {
                list.add(number, line, &scan).unwrap();
            }
            list.look_up(&scan)
        };
        let where_are = |meant: &dyn Fn(i64, i64) -> bool| -> Positions {
            let rows = (0..24).filter(|row| meant(y[*row as usize], x[*row as usize]));
            rows.map(|row| row..row + 1).collect()
        };
        let each = |positions: Positions| positions.ranges().flatten().collect::<Vec<_>>();
        let found = of(&["1:7:2,0:5:3", ":,4"]).unwrap();
        let expected = where_are(&|y, x| y % 2 == 1 && x % 3 == 0 || x == 4);
        assert_eq!(each(found), each(expected));
        let found = of(&["0 3", "2:4,1", "5", "22:24"]).unwrap();
        assert_eq!(place(1), 3, "somebody is at 0, 3");
        let mut expected = where_are(&|y, x| (y, x) == (0, 3) || (2..4).contains(&y) && x == 1);
        [5..6, 22..24].into_iter().for_each(|range| expected.insert(range));
        assert_eq!(each(found), each(expected));
        // Nothing was measured at 35 − 23 places.
        let nowhere = (0..35).find(|at| (0..23).all(|row| place(row) != *at)).unwrap();
        let lost = format!("{},{}", nowhere / 5, nowhere % 5);
        assert_eq!(of(&["0,3", "0:7,0:5", &lost, &lost]).unwrap_err(), 3);
    }
}

//! Selections that stand in files: masks, and lists of positions.
//!
//! What is in another file than the source's is read at once and kept as a set, so that the file is
//! free again before the run asks for the one that results go to.

use std::collections::HashMap;
use std::path::Path;

use super::{Lattice, OpenRange, Selected, every_within, steps_within};
use crate::position_grid::PositionGrid;
use crate::region;
use crate::source::normalised;
use crate::storage::container::Dataset;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::file_state::FileId;
use crate::storage::marks::{Marks, windows};
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
    let elsewhere = InputPath::from(path);
    if !matches!(elsewhere, InputPath::Here(_)) && !file.link_exists(&normalised(path)) {
        return mask(&elsewhere, grid, file);
    }
    marked(path, &normalised(path), grid, file).map(|marks| Selected::Marked(Box::new(marks)))
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
    let mut list = List::default();
    for (number, line) in (1..).zip(text.lines()) {
        let meant = line.split('#').next().unwrap_or_default().trim();
        if !meant.is_empty() {
            list.add(number, meant, grid)
                .map_err(|reason| refused(format!("line {number}, `{meant}`: {reason}")))?;
        }
    }
    list.look_up(grid)?.map_err(|number| {
        refused(format!("line {number}: the scan has no position at these steps"))
    })
}

/// What the lines of a file mean.
#[derive(Default)]
struct List {
    positions: Positions,
    boxes: Vec<Lattice>,
    /// Steps of single positions of a scan that is no full grid, with their lines, and whether
    /// they are found.
    cells: HashMap<Vec<u32>, (usize, bool)>,
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
            range.step_by(step as usize).for_each(|first| self.positions.insert(first..first + 1));
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
        match lattice.single() {
            Some(cell) if grid.is_full() => {
                let position = region::number(&region::lengths(&grid.shape()), &cell);
                self.positions.insert(position..position + 1);
            }
            Some(cell) => {
                let cell = cell.into_iter().map(|step| step as u32).collect();
                self.cells.entry(cell).or_insert((number, false));
            }
            None => self.boxes.push(lattice),
        }
        Ok(())
    }

    /// All positions that are meant, or the first line with steps at which there is none.
    fn look_up(mut self, grid: &PositionGrid) -> Result<Result<Positions, usize>> {
        let boxes: Vec<Selected> =
            std::mem::take(&mut self.boxes).into_iter().map(Selected::Steps).collect();
        for selected in &boxes {
            for window in windows(grid.rows() as u64) {
                let mut marks = vec![1; (window.end - window.start) as usize];
                selected.narrow(grid, window.start, &mut marks)?;
                runs::of_marks(window.start, &marks).for_each(|run| self.positions.insert(run));
            }
        }
        if !self.cells.is_empty() {
            for position in 0..grid.rows() as u64 {
                if let Some((_, is_found)) = self.cells.get_mut(&grid.steps_of(position)) {
                    *is_found = true;
                    self.positions.insert(position..position + 1);
                }
            }
        }
        let lost = self.cells.values().filter(|(_, is_found)| !is_found).map(|(line, _)| *line);
        Ok(lost.min().map_or(Ok(self.positions), Err))
    }
}

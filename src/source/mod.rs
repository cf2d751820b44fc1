//! A dataset in a file, seen as positions × spectrum.
//!
//! `candidates` finds the datasets of a file, `fingerprint` and `digest` tell whether data are the
//! same; here is what all of the engine knows of a source: its description, the grid of its
//! positions, and how its rows are read. What a file says of a dataset is read by its format.
//! Nothing here writes.

mod axis_steps;
mod candidates;
mod crop;
mod digest;
mod excerpt;
mod fields;
mod fingerprint;
mod unit;

use std::path::PathBuf;

pub(crate) use candidates::{RESULTS, main_datasets, others, shown_datasets};
pub use crop::Crop;
pub(crate) use digest::{RowHash, RowsDigest};
pub use excerpt::Along;
pub(crate) use excerpt::{AskedAxes, ExcerptIdentity, Seen};
pub use fields::FieldOverview;
pub(crate) use fields::{fields, values};
pub(crate) use fingerprint::{fingerprint, is_whole, layout};

use candidates::only_main_dataset;

use crate::formats::{self, Format, Role, Tabled};
use crate::position_grid::PositionGrid;
use crate::region;
use crate::storage::container::{Dataset, Kind};
use crate::storage::file::ReadFile;
use crate::storage::refused::Refused;
use crate::storage::results_group::PositionTables;
use crate::storage::rows::Rows;
use crate::view::View;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::{ElementType, StoredType};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::foreign_text::listening;
use pixelmill_core::source_info::SourceInfo;

/// A main dataset that can be computed on.
pub(crate) struct Source {
    pub file: PathBuf,
    pub format: Format,
    pub info: SourceInfo,
    pub grid: PositionGrid,
    /// The field of its records that is taken for its values, if it holds records.
    pub field: Option<String>,
    pub stored: StoredType,
    pub rows: Rows,
    /// The axes of a position's values, as they are computed with.
    pub seen: Seen,
    /// Whether it lies in another file, to which a link in `file` leads.
    pub is_linked: bool,
    /// Where the tables of the positions are, in the format that has them.
    pub tables: Option<PositionTables>,
    /// Whether its positions are bins of those that the file has.
    pub is_binned: bool,
    /// What isn't taken as the file has it, in words for people.
    pub notes: Vec<String>,
}

impl Source {
    /// Takes bins of so many steps of each axis of the scan for its positions from now on. Rows
    /// stay those of the positions that the file has, which have to be a full grid.
    pub fn bin_positions(&mut self, steps: &[u64]) {
        let axes = self.grid.dimensions.iter().zip(steps);
        let axes: Vec<Dimension> =
            axes.map(|(axis, steps)| axis.in_bins(*steps as usize)).collect();
        self.grid = PositionGrid::full(axes.clone());
        self.info.positions = self.grid.rows() as u64;
        self.info.position_dimensions = axes;
        self.is_binned = true;
    }

    /// Checks that the dataset is still where it was when this source was opened, in a new view of
    /// the same file.
    ///
    /// # Errors
    /// If another program has changed it meanwhile.
    pub fn check_in_place(&self, file: &ReadFile) -> Result<()> {
        let path = &self.info.path;
        let same = file.dataset(path).is_ok_and(|dataset| {
            lengths(&dataset) == self.rows.view().shape
                && values(file, path, &dataset, self.field.as_deref())
                    .is_ok_and(|stored| stored == self.stored)
                && self.rows.are_those_of(&dataset)
        });
        let (file, dataset) = (self.file.clone(), path.clone());
        if same { Ok(()) } else { Err(Error::SourceChanged { file, dataset }) }
    }

    /// Looks up whether positions have values of their own on the axes of the scan.
    ///
    /// # Errors
    /// If the table that tells them can't be read.
    pub fn read_own_values(&mut self, file: &ReadFile) -> Result<()> {
        let path = &self.info.path;
        let broken = |refused: Refused| refused.on_object("read", &file.path, path);
        let dataset = file.dataset(path).map_err(broken)?;
        let rules = self.format.rules();
        let Some(table) = self.tables.as_ref().and_then(|_| rules.position_values(&dataset)) else {
            return Ok(());
        };
        let keep = self.grid.keep_own_values(table.rows_at_once(), |rows| {
            let mut part = table.whole();
            part.set_range(0, &(rows.start as u64..rows.end as u64));
            table.numbers(&part)
        });
        keep.map_err(broken)
    }

    /// Path of the group that the dataset lies in, and what results are named after.
    pub fn folder_and_name(&self) -> (&str, &str) {
        self.format.rules().folder_and_name(&self.info.path)
    }

    /// Bytes of one row, as stored.
    pub fn row_bytes(&self) -> usize {
        self.rows.row_bytes()
    }
}

/// What a file says of a dataset, without a look at its values.
pub(crate) struct Description {
    pub format: Format,
    pub info: SourceInfo,
    pub grid: PositionGrid,
    pub tables: Option<PositionTables>,
    pub view: View,
    /// For each axis of a row the value of every point, if points have values of their own.
    pub own_values: Option<Vec<Vec<f64>>>,
    /// What isn't taken as the file has it, in words for people.
    pub notes: Vec<String>,
}

/// Opens the dataset at `path`, or the only main dataset of the file, with the given axes as
/// positions, or those that the file names, for a process, with what is asked of the others; of
/// records, one field.
///
/// # Errors
/// If there is no such dataset, none or several to choose from, or it can't be understood, or what
/// is asked can't be had.
pub(crate) fn open(
    file: &ReadFile,
    (path, field): (Option<&str>, Option<&str>),
    positions_axes: Option<&[usize]>,
    (process, asked): (&str, &AskedAxes<'_>),
) -> Result<Source> {
    let path = match path {
        Some(path) => normalised(path),
        None => only_main_dataset(file)?,
    };
    let dataset = file.dataset(&path).map_err(|refused| match file.member(&path) {
        // It may be newer than we are.
        Some((_, Kind::Dataset)) => refused.on_object("open", &file.path, &path),
        _ => no_such_dataset(file, &path),
    })?;
    let stored = values(file, &path, &dataset, field)?;
    let described = describe(file, &path, &dataset, stored.element, positions_axes)?;
    let (described, seen) = excerpt::applied(described, process, asked)?;
    let Description { format, info, grid, tables, view, notes, own_values: _ } = described;
    let rows = Rows::of_field(file.handle(), &dataset, field, view)?;
    let is_linked = !rows.are_in(&file.raw);
    let (file, field) = (file.path.clone(), field.map(str::to_owned));
    let is_binned = false;
    Ok(Source {
        file,
        format,
        info,
        grid,
        field,
        stored,
        rows,
        seen,
        is_linked,
        tables,
        is_binned,
        notes,
    })
}

/// Opens a dataset of a single value, which can be looked at and not computed on.
///
/// # Errors
/// If it holds no number, or can't be read.
pub(crate) fn open_single(
    file: &ReadFile,
    (path, dataset): (&str, &Dataset),
    field: Option<&str>,
) -> Result<Source> {
    let stored = values(file, path, dataset, field)?;
    let format = formats::recognise(file, path, dataset);
    let described = formats::described(format, file, path, dataset);
    let (quantity, units) =
        described.map(|known| (known.quantity, known.units)).unwrap_or_default();
    let axis = || vec![Dimension::new("Position", "", AxisValues::counted(1))];
    let rows = Rows::of_field(file.handle(), dataset, field, View::new(Vec::new(), Vec::new()))?;
    let info = SourceInfo {
        path: path.to_owned(),
        positions: 1,
        spectral_points: 1,
        element: stored.element,
        is_corrected: false,
        quantity,
        units,
        position_dimensions: axis(),
        spectroscopic_dimensions: axis(),
        auxiliary: Vec::new(),
        constants: Vec::new(),
        selected: None,
    };
    Ok(Source {
        file: file.path.clone(),
        format,
        info,
        grid: PositionGrid::full(axis()),
        field: field.map(str::to_owned),
        stored,
        is_linked: !rows.are_in(&file.raw),
        rows,
        seen: Seen { along: 1, lengths: vec![1], asked: None },
        tables: None,
        is_binned: false,
        notes: Vec::new(),
    })
}

fn no_such_dataset(file: &ReadFile, path: &str) -> Error {
    let (dataset, candidates) = (path.to_owned(), || main_datasets(file));
    match file.broken_link(path) {
        Some(link) => Error::BrokenLink { file: file.path.clone(), dataset, link },
        None => Error::NoSuchDataset { file: file.path.clone(), dataset, candidates: candidates() },
    }
}

/// The format of a dataset.
pub(crate) fn format(file: &ReadFile, path: &str, dataset: &Dataset) -> Format {
    formats::recognise(file, path, dataset)
}

/// What the file says of a dataset, with the given axes as positions, or those that it names.
///
/// # Errors
/// If it can't be understood, or nobody says which axes are positions.
pub(crate) fn describe(
    file: &ReadFile,
    path: &str,
    dataset: &Dataset,
    element: ElementType,
    positions_axes: Option<&[usize]>,
) -> Result<Description> {
    let (described, foreign) =
        listening(|| describe_as_told(file, path, dataset, element, positions_axes));
    let mut described = described?;
    described.info.element = element;
    if !foreign.is_empty() {
        let texts: Vec<String> = foreign.iter().map(|text| format!("`{text}`")).collect();
        let texts = texts.join(", ");
        described.notes.push(format!("texts that aren't UTF-8 are read as Latin-1: {texts}"));
    }
    Ok(described)
}

fn describe_as_told(
    file: &ReadFile,
    path: &str,
    dataset: &Dataset,
    element: ElementType,
    positions_axes: Option<&[usize]>,
) -> Result<Description> {
    let broken = |reason: String| Error::not_main(&file.path, path, reason);
    let format = formats::recognise(file, path, dataset);
    let shape = lengths(dataset);
    if let Some(reason) = without_values(&shape) {
        return Err(broken(reason));
    }
    let mut notes = Vec::new();
    if positions_axes.is_none_or(|axes| axes == [0])
        && let Some(told) =
            formats::tabled(format, &file.path, (path, dataset), positions_axes.is_none())
    {
        match told {
            Ok(Tabled { info, grid, tables, own_values, mut notes }) => {
                let (view, tables) = (View::new(shape, vec![0]), Some(tables));
                let axes = &info.spectroscopic_dimensions;
                let uneven = excerpt::uneven(axes, own_values.as_deref()).into_iter();
                notes.extend(uneven.map(|at| excerpt::one_of_several(&axes[at])));
                return Ok(Description { format, info, grid, tables, view, own_values, notes });
            }
            // Who says what the positions are needn't hear it from the tables.
            Err(reason) if positions_axes.is_some() => {
                notes.push(format!("it is taken as a plain array: {reason}"));
            }
            Err(reason) => return Err(reason),
        }
    }
    let described = formats::described(format, file, path, dataset).map_err(broken)?;
    let axes: Vec<Dimension> = described.axes.iter().map(|axis| axis.dimension.clone()).collect();
    notes.extend(described.notes);
    notes.extend(described.axes.iter().filter_map(|axis| axis.note.clone()));
    let positions = match positions_axes {
        Some(given) => checked(given, &axes, path)?,
        None => positions_told(&described.axes).ok_or_else(|| Error::NoPositionsAxes {
            dataset: path.to_owned(),
            axes: numbered(&axes),
        })?,
    };
    let view = View::new(shape, positions);
    let named = |numbers: &[usize]| numbers.iter().map(|axis| axes[*axis].clone()).collect();
    let mut position_dimensions: Vec<Dimension> = named(&view.positions);
    if position_dimensions.is_empty() {
        // A single measurement, whose results are arrays with one position.
        position_dimensions.push(Dimension::new("Position", "", AxisValues::counted(1)));
    }
    let info = SourceInfo {
        path: path.to_owned(),
        positions: view.count(),
        spectral_points: view.points() as usize,
        element,
        is_corrected: false,
        quantity: described.quantity,
        units: described.units,
        position_dimensions: position_dimensions.clone(),
        spectroscopic_dimensions: named(&view.spectrum),
        auxiliary: Vec::new(),
        constants: Vec::new(),
        selected: None,
    };
    Ok(Description {
        format,
        info,
        grid: PositionGrid::full(position_dimensions),
        tables: None,
        view,
        own_values: None,
        notes,
    })
}

/// Why there is nothing to compute with in an array of this shape.
fn without_values(shape: &[u64]) -> Option<String> {
    if shape.is_empty() {
        return Some("it is a single number, no array".to_owned());
    }
    shape.contains(&0).then(|| format!("it is empty, its shape is {shape:?}"))
}

/// The axes of positions that a file names; none if all are those of a single measurement, and
/// `None` if it leaves it open.
fn positions_told(axes: &[formats::Axis]) -> Option<Vec<usize>> {
    if axes.iter().any(|axis| axis.role == Role::Unknown) {
        return None;
    }
    Some((0..axes.len()).filter(|axis| axes[*axis].role == Role::Position).collect())
}

fn checked(given: &[usize], axes: &[Dimension], path: &str) -> Result<Vec<usize>> {
    let twice = (1..given.len()).any(|at| given[..at].contains(&given[at]));
    if twice || given.iter().any(|axis| *axis >= axes.len()) {
        return Err(Error::PositionsAxes {
            dataset: path.to_owned(),
            given: given.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
            axes: numbered(axes).join(", "),
        });
    }
    Ok(given.to_vec())
}

/// `0: Y (64)`, `1: X (64)`, `2 (1024)`.
fn numbered(axes: &[Dimension]) -> Vec<String> {
    let each = axes.iter().enumerate().map(|(at, axis)| match axis.name.as_str() {
        "" => format!("{at} ({})", axis.len()),
        name if name == format!("axis {at}") => format!("{at} ({})", axis.len()),
        name => format!("{at}: {name} ({})", axis.len()),
    });
    each.collect()
}

fn lengths(dataset: &Dataset) -> Vec<u64> {
    region::lengths(&dataset.shape())
}

/// `Measurement_000/x` and `/Measurement_000/x/` are both `/Measurement_000/x`.
pub(crate) fn normalised(path: &str) -> String {
    format!("/{}", path.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::axis;
    use crate::storage::container::{Elements, Storing};
    use crate::storage::memory::Memory;
    use pixelmill_core::kernel::SpectrumAxes;

    /// Numbers that count, of two times three positions and two points.
    fn counted() -> Memory {
        let memory = Memory::new();
        let floats = Elements::Number(ElementType::Float32);
        let data = memory.root().create_dataset("data", &floats, &[2, 3, 2], Storing::Late);
        let bytes: Vec<u8> = (0u8..12).flat_map(|at| f32::from(at).to_ne_bytes()).collect();
        data.unwrap().write_rows(0, &bytes).unwrap();
        memory
    }

    fn opened(file: &ReadFile, path: Option<&str>, axes: Option<&[usize]>) -> Result<Source> {
        let asked = AskedAxes { crop: None, along: None, usual: SpectrumAxes::Any };
        open(file, (path, None), axes, ("Sum", &asked))
    }

    #[test]
    fn the_rows_of_positions_are_those_of_the_axes_that_are_named() {
        let file = counted().opened();
        let source = opened(&file, None, Some(&[1, 0])).unwrap();
        assert_eq!((source.info.path.as_str(), source.info.positions), ("/data", 6));
        let mut row = vec![0; source.row_bytes()];
        source.rows.read_into(std::slice::from_ref(&(3..4)), &mut row).unwrap();
        let expected: Vec<u8> = [8.0f32, 9.0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!(row, expected, "x = 1, y = 1");
        assert!(source.check_in_place(&file).is_ok());
    }

    #[test]
    fn a_source_that_cannot_be_opened_or_read_is_named() {
        let memory = counted();
        memory.fail("read /data");
        let told = opened(&memory.opened(), Some("data"), Some(&[0])).map(|_| ()).unwrap_err();
        assert!(told.to_string().contains("read /data fails"), "{told}");
        memory.fail("open /data");
        let told = opened(&memory.opened(), Some("data"), Some(&[0])).map(|_| ()).unwrap_err();
        assert!(told.to_string().contains("open /data fails"), "{told}");
        let told = opened(&memory.opened(), Some("other"), None).map(|_| ()).unwrap_err();
        assert!(matches!(told, Error::NoSuchDataset { .. }), "{told}");
    }

    #[test]
    fn another_dataset_at_the_place_of_a_source_is_another_source() {
        let memory = counted();
        let source = opened(&memory.opened(), None, Some(&[0])).unwrap();
        memory.root().unlink("data").unwrap();
        axis(memory.root(), "data", &[0.0; 12], &[]);
        let told = source.check_in_place(&memory.opened()).unwrap_err();
        assert!(matches!(told, Error::SourceChanged { .. }), "{told}");
    }
}

//! A dataset that is read piece by piece: its values in the shape of the scan, its axes, and the
//! positions that have no result.

use std::ops::Range;

use num_complex::{Complex32, Complex64};

use super::ExportRequest;
use crate::engine::inputs::lack_around;
use crate::engine::named::the_one;
use crate::formats;
use crate::position_grid::PositionGrid;
use crate::region;
use crate::source::{self, AskedAxes, Source, normalised};
use crate::storage::attributes;
use crate::storage::container::{Class, Dataset, Group, RecordField};
use crate::storage::file::{ReadFile, open_read};
use crate::storage::marks::{Marks, windows};
use crate::storage::results_group::{self, results_groups};
use crate::storage::rows::Rows;
use crate::view::View;
use pixelmill_core::advice::{Advice, Note};
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::{Element, ElementType, StoredType, elements};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::SpectrumAxes;

/// Bytes of all fields that are read at a time, unless a row has more.
const PIECE: usize = 32 << 20;
/// Bytes of a row at most, where it can be cut.
const ROW: u64 = 1 << 20;

/// A dataset, or a field of its records.
pub(super) struct Array {
    /// Held for its reader's lock.
    _file: ReadFile,
    pub path: String,
    pub fields: Vec<Field>,
    /// Lengths of its axes, those of the scan first.
    pub shape: Vec<usize>,
    pub axes: Vec<Dimension>,
    /// How many of them are those of the scan; none if nobody tells.
    pub scan: usize,
    /// Where its positions lie, if it has some.
    pub grid: Option<PositionGrid>,
    pub quantity: String,
    pub units: String,
    missing: Option<Missing>,
    /// Values of a row, and rows of a chunk.
    row_values: u64,
    chunk_rows: u64,
}

/// A field of its records, or its plain values.
pub(super) struct Field {
    pub name: Option<String>,
    /// The type that its values are written in.
    pub element: ElementType,
    pub is_truth: bool,
    stored: StoredType,
    rows: Rows,
}

/// The positions that have no result.
struct Missing {
    status: Marks,
    failed: Option<Marks>,
    count: u64,
    /// Values of one position.
    values: u64,
}

/// Some values behind each other.
pub(super) struct Piece {
    /// The number of the first.
    pub first: u64,
    /// The bytes of each field's values, in this machine's order.
    pub values: Vec<Vec<u8>>,
    /// Which of them belong to positions that have no result.
    pub missing: Vec<Range<usize>>,
}

impl Array {
    /// Opens what is to be written.
    ///
    /// # Errors
    /// If there is no such dataset, or it holds no numbers.
    pub fn open(request: &ExportRequest) -> Result<Self> {
        let file = open_read(&request.file)?;
        let path = found(&file, &request.dataset)?;
        let refused = |reason: Note| Error::CannotExport { dataset: path.clone(), reason };
        let opened = file.dataset(&path);
        let dataset = opened.map_err(|refused| refused.on_object("open", &file.path, &path))?;
        if dataset.ndim() == 0 || dataset.size() == 0 {
            let shape = dataset.shape();
            return Err(refused(
                format!("it is no array with values, its shape is {shape:?}").into(),
            ));
        }
        if let Some(lack) = lack_around(&file, &path)?.filter(|_| is_folded(&file, &path)) {
            let text = format!("of all positions nothing is known before all are in: {lack}");
            return Err(refused(text.into()));
        }
        let names = names(&dataset, request).map_err(refused)?;
        let layout = Layout::of(&file, (&path, &dataset), names[0].as_deref(), request)?;
        let is_truth = dataset.class() == Class::Boolean;
        let fields = names.into_iter().map(|name| {
            let stored = source::values(&file, &path, &dataset, name.as_deref())?;
            let rows =
                Rows::of_field(file.handle(), &dataset, name.as_deref(), layout.view.clone())?;
            let element = written_as(stored.element);
            Ok(Field { name, element, is_truth, stored, rows })
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let missing = Missing::of(&file, &path, &dataset).map_err(refused)?;
        let text = |name: &str| attributes::string(&dataset, name).unwrap_or_default();
        let chunk = dataset.chunk().and_then(|chunk| chunk.first().copied()).unwrap_or(1);
        Ok(Self {
            row_values: layout.view.points(),
            chunk_rows: if layout.view.positions == [0] { chunk as u64 } else { 1 },
            quantity: text("quantity"),
            units: text("units"),
            path,
            fields,
            shape: layout.shape,
            axes: layout.axes,
            scan: layout.scan,
            grid: layout.grid,
            missing,
            _file: file,
        })
    }

    /// How many are read at a time: whole chunks, if these aren't too large.
    pub fn rows_at_once(&self) -> u64 {
        let bytes: usize = self.fields.iter().map(|field| field.element.size()).sum();
        let row = self.row_values * bytes as u64;
        let most = (PIECE as u64 / row.max(1)).max(1);
        let whole = most / self.chunk_rows * self.chunk_rows;
        if whole > 0 { whole } else { most }
    }

    /// The rows that some values lie in.
    pub fn rows_of(&self, values: Range<u64>) -> Range<u64> {
        values.start / self.row_values..values.end.div_ceil(self.row_values)
    }

    /// Reads some rows; floating-point values of positions without a result are NaN, and integers
    /// `missing`.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn read(&self, rows: Range<u64>, missing: Option<i64>) -> Result<Piece> {
        let count = (rows.end - rows.start) as usize;
        let (first, values) = (rows.start * self.row_values, count as u64 * self.row_values);
        let gaps = match &self.missing {
            Some(gaps) => gaps.among(first..first + values)?,
            None => Vec::new(),
        };
        let mut all = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let mut bytes = vec![0; count * field.rows.row_bytes()];
            field.rows.read_into(std::slice::from_ref(&rows), &mut bytes)?;
            let mut own = converted(&bytes, field.stored, field.element);
            let (size, gap) = (field.element.size(), gap(field.element, missing));
            for range in &gaps {
                let own = &mut own[range.start * size..range.end * size];
                own.chunks_exact_mut(size).for_each(|value| value.copy_from_slice(&gap));
            }
            all.push(own);
        }
        Ok(Piece { first, values: all, missing: gaps })
    }

    /// How many positions have no result.
    pub fn missing_positions(&self) -> u64 {
        self.missing.as_ref().map_or(0, |missing| missing.count)
    }

    /// Checks that positions without a result can be told from others.
    ///
    /// # Errors
    /// If they can't, and nobody says what they are to be.
    pub fn check_missing(&self, missing: Option<i64>) -> Result<()> {
        let refused = |text: String, advice| {
            let reason = Note { text, advice };
            Err(Error::CannotExport { dataset: self.path.clone(), reason })
        };
        let integers = self.fields.iter().filter(|field| field.element.is_integer());
        for field in integers.filter(|_| self.missing.is_some()) {
            let (element, count) = (field.element, self.missing_positions());
            match missing.map(|value| (value, holds(element, value))) {
                None => {
                    let told = without_result(count);
                    let text = format!("{told}, and {element} has no value that says so");
                    return refused(text, Some(Advice::SayWhatIsMissing));
                }
                Some((value, false)) => {
                    return refused(format!("{element} has no value {value}"), None);
                }
                Some((_, true)) => {}
            }
        }
        Ok(())
    }

    /// What isn't in the file as the dataset has it.
    pub fn notes(&self, is_table: bool, missing: Option<i64>) -> Vec<String> {
        let count = self.missing_positions();
        if count == 0 {
            return Vec::new();
        }
        let what = match (is_table, missing) {
            (true, _) => "their cells are empty".to_owned(),
            (false, Some(value)) if self.fields.iter().any(|field| field.element.is_integer()) => {
                format!("their values are NaN, and {value} where these are integers")
            }
            _ => "their values are NaN".to_owned(),
        };
        vec![format!("{}: {what}", without_result(count))]
    }

    /// Name and type of each field.
    pub fn told_fields(&self) -> Vec<(Option<String>, String)> {
        let told = |field: &Field| {
            let element =
                if field.is_truth { "bool".to_owned() } else { field.element.to_string() };
            (field.name.clone(), element)
        };
        self.fields.iter().map(told).collect()
    }
}

fn without_result(positions: u64) -> String {
    match positions {
        1 => "1 position has no result".to_owned(),
        more => format!("{more} positions have no result"),
    }
}

/// The path of the dataset that is meant: its own, or the only one of a results group.
fn found(file: &ReadFile, wanted: &str) -> Result<String> {
    let literal = normalised(wanted);
    if file.dataset(&literal).is_ok() {
        return Ok(literal);
    }
    let groups = results_groups(file);
    let named = |wanted: &str| match the_one(&groups, wanted, &file.path) {
        Ok(group) => Ok(Some((group.path.clone(), datasets(file, &group.path)))),
        Err(error @ Error::SeveralGroups { .. }) => Err(error),
        Err(_) => Ok(None),
    };
    if let Some((group, known)) = named(wanted)? {
        return match known.as_slice() {
            [only] => Ok(format!("{group}/{only}")),
            _ => Err(Error::CannotExport {
                reason: format!("it has several results, name one: {group}/{}", known.join(", "))
                    .into(),
                dataset: group,
            }),
        };
    }
    if let Some((group, dataset)) = wanted.trim_end_matches('/').rsplit_once('/')
        && let Some((group, known)) = named(group)?
    {
        let path = format!("{group}/{dataset}");
        if file.dataset(&path).is_ok() {
            return Ok(path);
        }
        return Err(Error::NoSuchResults { group, dataset: dataset.to_owned(), known });
    }
    let mut candidates = source::shown_datasets(file);
    for group in &groups {
        let all = datasets(file, &group.path).into_iter();
        candidates.extend(all.map(|name| format!("{}/{name}", group.path)));
    }
    match file.broken_link(&literal) {
        Some(link) => Err(Error::BrokenLink { file: file.path.clone(), dataset: literal, link }),
        None => Err(Error::NoSuchDataset { file: file.path.clone(), dataset: literal, candidates }),
    }
}

fn datasets(file: &ReadFile, group: &str) -> Vec<String> {
    file.group(group).map(|group| results_group::datasets(&group)).unwrap_or_default()
}

/// The results group that a dataset is in, and what it is called there.
fn holder(file: &ReadFile, path: &str) -> Option<(Group, String)> {
    let (group, name) = path.rsplit_once('/')?;
    let group = file.group(group).ok().filter(results_group::is_results_group)?;
    Some((group, name.to_owned()))
}

fn is_folded(file: &ReadFile, path: &str) -> bool {
    holder(file, path).is_some_and(|(group, name)| results_group::is_folded(&group, &name))
}

/// The fields of its records that are wanted; one without a name if it has none.
fn names(dataset: &Dataset, request: &ExportRequest) -> Result<Vec<Option<String>>, Note> {
    let fields = dataset.record_fields().map_err(|held| format!("it holds {held}"))?;
    let known = || fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>().join(", ");
    let wanted: Vec<_> = match &request.field {
        Some(name) if !fields.iter().any(|field| field.name == *name) => {
            let has = if fields.is_empty() {
                "it holds no records".to_owned()
            } else {
                format!("it has: {}", known())
            };
            return Err(format!("it has no field `{name}`; {has}").into());
        }
        Some(name) => fields.iter().filter(|field| field.name == *name).collect(),
        None if fields.is_empty() => {
            dataset.stored_type().map_err(|held| format!("it holds {held}"))?;
            return Ok(vec![None]);
        }
        None => fields.iter().collect(),
    };
    let name = |field: &&RecordField| match &field.stored {
        Ok(_) => Ok(Some(field.name.clone())),
        Err(held) => {
            let text = format!("its field `{}` holds {held}; its fields: {}", field.name, known());
            let advice = (fields.len() > 1).then_some(Advice::NameField);
            Err(Note { text, advice })
        }
    };
    wanted.iter().map(name).collect()
}

/// How the values lie, and what their axes are.
struct Layout {
    view: View,
    shape: Vec<usize>,
    axes: Vec<Dimension>,
    scan: usize,
    grid: Option<PositionGrid>,
}

impl Layout {
    fn of(
        file: &ReadFile,
        (path, dataset): (&str, &Dataset),
        field: Option<&str>,
        request: &ExportRequest,
    ) -> Result<Self> {
        let asked = AskedAxes { crop: None, along: None, usual: SpectrumAxes::Any };
        let axes = request.positions_axes.as_deref();
        match source::open(file, (Some(path), field), axes, ("export", &asked)) {
            Ok(source) => Self::of_scan(file, source),
            Err(error) if axes.is_some() => Err(error),
            // Nobody says which axes are positions; of results the group knows how many there are.
            Err(_) => {
                let axes = formats::results_axes(file, path, dataset)?;
                let shape = dataset.shape();
                let scan = scan_axes(file, path, &shape);
                Ok(Self { view: cut(&shape, dataset), shape, axes, scan, grid: None })
            }
        }
    }

    fn of_scan(file: &ReadFile, mut source: Source) -> Result<Self> {
        source.read_own_values(file)?;
        let view = source.rows.view().clone();
        let (mut shape, mut axes) = if view.positions.is_empty() {
            (Vec::new(), Vec::new())
        } else if source.grid.is_full() {
            (source.grid.shape(), source.info.position_dimensions.clone())
        } else {
            let rows = source.grid.rows();
            let counted = AxisValues::counted(rows);
            (vec![rows], vec![Dimension::new("position", "", counted)])
        };
        let scan = shape.len();
        let own = source.info.spectrum_shape(1);
        // A single value per position has its one step on no axis of its own.
        let is_plain = source.tables.is_some() || source.info.spectroscopic_dimensions.is_empty();
        if !(own == [1] && is_plain && scan > 0) {
            let dimensions = &source.info.spectroscopic_dimensions;
            let is_told = dimensions.iter().map(Dimension::len).eq(own.iter().copied());
            let counted = |length: &usize| Dimension::new("", "", AxisValues::counted(*length));
            axes.extend(if is_told {
                dimensions.clone()
            } else {
                own.iter().map(counted).collect()
            });
            shape.extend(own);
        }
        let stored: Vec<usize> = view.shape.iter().map(|length| *length as usize).collect();
        let view = if view.has_positions_first() {
            cut_at(&stored, source.stored.element.size())
        } else {
            view
        };
        let grid = (scan > 0).then_some(source.grid);
        Ok(Self { view, shape, axes, scan, grid })
    }
}

fn cut(shape: &[usize], dataset: &Dataset) -> View {
    cut_at(shape, dataset.element_bytes())
}

/// An array as rows that aren't too long.
fn cut_at(shape: &[usize], element: usize) -> View {
    let lengths = region::lengths(shape);
    let is_short = |axes: &usize| lengths[*axes..].iter().product::<u64>() * element as u64 <= ROW;
    let axes = (1..lengths.len()).find(is_short).unwrap_or(lengths.len());
    View::new(lengths, (0..axes).collect())
}

/// How many axes of a results dataset, the first ones, are positions.
fn scan_axes(file: &ReadFile, path: &str, shape: &[usize]) -> usize {
    let positions = || {
        let (group, name) = holder(file, path)?;
        let status = group.dataset(results_group::STATUS).ok()?;
        results_group::is_per_position(&group, &name).then_some(status.size())
    };
    let Some(positions) = positions() else { return 0 };
    let product = |axes: &usize| shape[..*axes].iter().product::<usize>() == positions;
    (1..=shape.len()).find(product).unwrap_or(0)
}

impl Missing {
    /// Those of a results dataset, if there are any.
    fn of(file: &ReadFile, path: &str, dataset: &Dataset) -> Result<Option<Self>, Note> {
        let Some((group, name)) = holder(file, path) else { return Ok(None) };
        if !results_group::may_be_per_position(&group, &name) {
            return Ok(None);
        }
        let Ok(marks) = group.dataset(results_group::STATUS) else { return Ok(None) };
        let positions = marks.size() as u64;
        let status = results_group::status(file.handle(), &group, positions)?;
        let failed = results_group::failed_lines(file.handle(), &group)?;
        let values = dataset.size() as u64 / positions.max(1);
        let mut missing = Self { status, failed, count: 0, values };
        for window in windows(positions) {
            let gaps = missing.gaps(window)?;
            missing.count += gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>();
        }
        Ok((missing.count > 0).then_some(missing))
    }

    /// Which of some positions have no result.
    fn gaps(&self, positions: Range<u64>) -> Result<Vec<Range<u64>>> {
        let length = (positions.end - positions.start) as usize;
        let (mut marks, mut failed) = (vec![0; length], vec![0; length]);
        self.status.read(positions.start, &mut marks)?;
        if let Some(lines) = &self.failed {
            lines.read(positions.start, &mut failed)?;
        }
        let mut gaps: Vec<Range<u64>> = Vec::new();
        for (position, (mark, failed)) in (positions.start..).zip(marks.iter().zip(&failed)) {
            if *mark != 0 && *failed == 0 {
                continue;
            }
            match gaps.last_mut() {
                Some(last) if last.end == position => last.end += 1,
                _ => gaps.push(position..position + 1),
            }
        }
        Ok(gaps)
    }

    /// Which of some values belong to them, counted from the first of these.
    fn among(&self, values: Range<u64>) -> Result<Vec<Range<usize>>> {
        let positions = values.start / self.values..values.end.div_ceil(self.values);
        let mut found = Vec::new();
        for window in windows(positions.end - positions.start) {
            let window = positions.start + window.start..positions.start + window.end;
            for gap in self.gaps(window)? {
                let start = (gap.start * self.values).max(values.start) - values.start;
                let end = (gap.end * self.values).min(values.end) - values.start;
                found.push(start as usize..end as usize);
            }
        }
        Ok(found)
    }
}

/// The type that values are written in: their own, but of those that are too short for most.
fn written_as(stored: ElementType) -> ElementType {
    match stored {
        ElementType::Float16 | ElementType::BFloat16 => ElementType::Float32,
        other => other,
    }
}

/// The bytes of a value that is missing.
fn gap(element: ElementType, missing: Option<i64>) -> Vec<u8> {
    let value = missing.unwrap_or(0);
    match element {
        ElementType::Float32 | ElementType::Float16 | ElementType::BFloat16 => bytes_of(f32::NAN),
        ElementType::Float64 => bytes_of(f64::NAN),
        ElementType::Complex64 => bytes_of(Complex32::MISSING),
        ElementType::Complex128 => bytes_of(Complex64::MISSING),
        // What doesn't fit has been refused.
        _ => value.to_ne_bytes()
            [if cfg!(target_endian = "big") { 8 - element.size() } else { 0 }..][..element.size()]
            .to_vec(),
    }
}

fn bytes_of<T: Element>(value: T) -> Vec<u8> {
    bytemuck::bytes_of(&value).to_vec()
}

/// Whether an integer type has this value.
fn holds(element: ElementType, value: i64) -> bool {
    match element {
        ElementType::Int8 => i8::try_from(value).is_ok(),
        ElementType::Int16 => i16::try_from(value).is_ok(),
        ElementType::Int32 => i32::try_from(value).is_ok(),
        ElementType::UInt8 => u8::try_from(value).is_ok(),
        ElementType::UInt16 => u16::try_from(value).is_ok(),
        ElementType::UInt32 => u32::try_from(value).is_ok(),
        ElementType::UInt64 => u64::try_from(value).is_ok(),
        _ => true,
    }
}

/// Values in this machine's order, of the type that they are written in.
fn converted(bytes: &[u8], stored: StoredType, element: ElementType) -> Vec<u8> {
    fn copy<T: Element>(bytes: &[u8], stored: StoredType) -> Vec<u8> {
        bytemuck::cast_slice(elements::<T>(bytes, stored, &mut Vec::new())).to_vec()
    }
    if stored.element == element && !stored.swapped {
        return bytes.to_vec();
    }
    match element {
        ElementType::Int8 => copy::<i8>(bytes, stored),
        ElementType::Int16 => copy::<i16>(bytes, stored),
        ElementType::Int32 => copy::<i32>(bytes, stored),
        ElementType::Int64 => copy::<i64>(bytes, stored),
        ElementType::UInt8 => copy::<u8>(bytes, stored),
        ElementType::UInt16 => copy::<u16>(bytes, stored),
        ElementType::UInt32 => copy::<u32>(bytes, stored),
        ElementType::UInt64 => copy::<u64>(bytes, stored),
        ElementType::Float16 | ElementType::BFloat16 | ElementType::Float32 => {
            copy::<f32>(bytes, stored)
        }
        ElementType::Float64 => copy::<f64>(bytes, stored),
        ElementType::Complex64 => copy::<Complex32>(bytes, stored),
        ElementType::Complex128 => copy::<Complex64>(bytes, stored),
    }
}

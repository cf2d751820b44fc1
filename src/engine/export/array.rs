//! A dataset that is read piece by piece: its values in the shape of the scan, its axes, and the
//! positions that have no result.

use std::ops::Range;
use std::path::Path;

use num_complex::{Complex32, Complex64};

use super::ExportRequest;
use super::find::{found, holder};
use super::layout::Layout;
use super::missing::Missing;
use crate::engine::inputs::lack_around;
use crate::position_grid::PositionGrid;
use crate::source;
use crate::storage::attributes;
use crate::storage::container::{Class, Dataset, RecordField};
use crate::storage::file::{ReadFile, open_read};
use crate::storage::file_state::FileId;
use crate::storage::results_group;
use crate::storage::rows::Rows;
use pixelmill_core::advice::{Advice, Note};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::{Element, ElementType, StoredType, elements};
use pixelmill_core::error::{Error, Result};

/// Bytes of all fields that are read at a time, unless a row has more.
const PIECE: usize = 32 << 20;

/// A dataset, or a field of its records.
pub(super) struct Array {
    /// Also held for its reader's lock.
    file: ReadFile,
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
        if missing.is_some() && !layout.view.has_positions_first() {
            let text = "some of its positions have no result, and which these are is only known \
                        with the axes as positions that are it without being told";
            return Err(refused(Note::from(text)));
        }
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
            file,
        })
    }

    /// Checks that nothing is read of the file that is to be written, which would be lost.
    ///
    /// # Errors
    /// If something is.
    pub fn check_output(&self, output: &Path) -> Result<()> {
        let Ok(there) = FileId::at(output) else { return Ok(()) };
        let parts = self.fields.iter().flat_map(|field| field.rows.files());
        let mut parts = parts.filter_map(|part| part.state().ok());
        let is_source = FileId::at(&self.file.path).is_ok_and(|own| own == there)
            || parts.any(|part| part.id == there);
        if !is_source {
            return Ok(());
        }
        let reason = format!("it holds data of `{}`; write to another file", self.path);
        Err(Error::Argument { argument: output.display().to_string(), reason })
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

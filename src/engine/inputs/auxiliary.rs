//! Inputs with values for each position, read in step with the source.

use std::ops::Range;

use super::find::{Array, Found};
use super::place::Refusal;
use crate::identity::AuxiliaryIdentity;
use crate::region;
use crate::source::Source;
use crate::storage::npy::NpyArray;
use crate::storage::rows::Rows;
use crate::view::View;
use pixelmill_core::element::StoredType;
use pixelmill_core::error::Result;
use pixelmill_core::failure::Failure;
use pixelmill_core::inputs::AuxiliaryInput;
use pixelmill_core::kernel::AuxiliaryRows;
use pixelmill_core::positions::runs;
use pixelmill_core::source_info::AuxiliaryInfo;

use crate::engine::inexact::{OF_AUXILIARY, inexact};

/// An input with values for each position.
pub(crate) struct AuxiliaryReader {
    rows: Rows,
    stored: StoredType,
    declared: AuxiliaryInput,
    info: AuxiliaryInfo,
}

/// How an array is stored: its type, the names of its fields and its shape.
struct Held {
    stored: StoredType,
    fields: Vec<String>,
    shape: Vec<usize>,
}

impl AuxiliaryReader {
    /// Opens what was found.
    ///
    /// # Errors
    /// If it has other positions than the source, or other numbers than those that are declared.
    pub(super) fn open(
        declared: &AuxiliaryInput,
        found: Found<'_>,
        source: &Source,
        refused: Refusal<'_>,
    ) -> Result<(Self, AuxiliaryInfo)> {
        let path = found.path();
        let refuse = |reason: String| refused(&path, reason);
        let shape = match &found.array {
            Array::Dataset(_, dataset) => dataset.shape(),
            Array::Npy(array) => array.shape.clone(),
        };
        let axes =
            position_axes(&shape, source).ok_or_else(|| refuse(other_positions(&shape, source)))?;
        let Held { stored, fields, shape } = match &found.array {
            Array::Dataset(_, dataset) => {
                let (stored, fields) =
                    dataset.stored_record().map_err(|held| refuse(format!("it holds {held}")))?;
                Held { stored, fields, shape }
            }
            Array::Npy(array) => Held { stored: array.stored, fields: Vec::new(), shape },
        };
        let element = declared.element_for(stored.element).ok_or_else(|| {
            let wanted = declared.element().unwrap_or(stored.element);
            refuse(format!("it holds {}, which can't become {wanted}", stored.element))
        })?;
        let of_a_record = Some(fields.len()).filter(|fields| *fields > 0);
        let own: Vec<usize> = shape.iter().copied().skip(axes).chain(of_a_record).collect();
        let columns = own.iter().product();
        let own = if own.is_empty() { vec![1] } else { own };
        let rows = match &found.array {
            Array::Dataset(file, dataset) => {
                let view = View::new(region::lengths(&shape), (0..axes).collect());
                Rows::new(file.handle(), dataset, view)?
            }
            Array::Npy(array) => array.rows(
                lying_view(array, axes).ok_or_else(|| refuse(IN_FORTRAN_ORDER.to_owned()))?,
            )?,
        };
        let axis = if declared.has_axis() { found.axis(own.last()) } else { None };
        let info = AuxiliaryInfo { path, element, columns, fields, shape: own, axis };
        Ok((Self { rows, stored, declared: declared.clone(), info: info.clone() }, info))
    }

    /// What results depend on, with the fingerprint of its data.
    pub fn identity(&self, info: &AuxiliaryInfo, fingerprint: String) -> AuxiliaryIdentity {
        AuxiliaryIdentity::of(info, &self.rows, self.stored, fingerprint)
    }

    /// Its rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Bytes that it takes for a position, as it is handed on.
    pub fn position_bytes(&self) -> u64 {
        (self.info.columns * self.info.element.size()) as u64
    }

    /// Bytes that a worker needs to read it, besides its rows.
    pub fn tile_bytes(&self) -> u64 {
        self.rows.memory_alone()
    }

    /// Bytes that the table of its chunks takes.
    pub fn table_bytes(&self) -> u64 {
        self.rows.table_bytes()
    }

    /// Room for its rows.
    pub fn room(&self) -> AuxiliaryRows {
        AuxiliaryRows::new(self.info.element, &self.info.shape)
    }

    /// Reads the rows of some positions, and returns their bytes as they are stored; those with an
    /// integer that the numbers it is handed on as haven't are noted as damaged.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn read(
        &self,
        positions: &[Range<u64>],
        into: &mut AuxiliaryRows,
        damaged: &mut Vec<(u64, Failure)>,
    ) -> Result<Vec<u8>> {
        let mut bytes = vec![0; runs::count(positions) as usize * self.rows.row_bytes()];
        self.rows.read_into(positions, &mut bytes)?;
        let narrowing = self.declared.is_narrowing();
        if self.stored.element.may_exceed(self.info.element, narrowing) {
            let rows = bytes.chunks_exact(self.rows.row_bytes()).enumerate();
            let found = |(index, row)| {
                let failure = inexact((row, self.stored), OF_AUXILIARY, |_| true, |at| at)?;
                Some((index as u64, failure))
            };
            damaged.extend(rows.filter_map(found));
        }
        into.fill(&bytes, self.stored);
        Ok(bytes)
    }
}

/// Why an array of NumPy's can't be read.
const IN_FORTRAN_ORDER: &str =
    "its values lie in Fortran order; save it in C order (numpy.ascontiguousarray)";

/// How many leading axes of an input are positions: one, or as many as the scan has where its
/// positions are all combinations of their steps.
fn position_axes(shape: &[usize], source: &Source) -> Option<usize> {
    if shape.first() == Some(&(source.info.positions as usize)) {
        return Some(1);
    }
    let scan = source.grid.shape();
    (source.grid.is_full() && shape.starts_with(&scan)).then_some(scan.len())
}

/// That the shape of an input isn't that of the positions, with both.
fn other_positions(shape: &[usize], source: &Source) -> String {
    let positions = source.info.positions;
    let scan = source.grid.shape();
    let grid = match scan.len() > 1 && source.grid.is_full() {
        true => format!(", {scan:?}"),
        false => String::new(),
    };
    format!("its shape is {shape:?}, but there are {positions} positions{grid}")
}

/// How the values of an array of NumPy's lie, whose first axes are positions; `None` if those of a
/// position lie in an order of their own.
fn lying_view(array: &NpyArray, axes: usize) -> Option<View> {
    let (shape, count) = (array.lying_shape(), array.shape.len());
    if !array.is_fortran {
        return Some(View::new(shape, (0..axes).collect()));
    }
    let of_a_position = array.shape[axes..].iter().filter(|length| **length > 1).count();
    let view = View::new(shape, (0..axes).map(|axis| count - 1 - axis).collect());
    (of_a_position <= 1).then_some(view)
}

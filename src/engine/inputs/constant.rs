//! Arrays for the whole run, read when it begins.

use std::ops::Range;

use twox_hash::XxHash3_128;

use super::find::{Array, Found};
use super::place::Refusal;
use crate::region::{self, strides};
use crate::source::Source;
use crate::storage::rows::Rows;
use crate::storage::tiles::copy::{Axis, copy, row_of};
use crate::view::View;
use pixelmill_core::element::{StoredType, first_beyond};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::{ConstantArray, ConstantAxes, ConstantInput};

/// An array for the whole run, once it was read.
pub(crate) struct ConstantReader {
    rows: Rows,
    path: String,
    /// Bytes that it takes as it is handed on.
    bytes: u64,
    /// What its bytes were.
    digest: u128,
}

/// All of an array is one row.
const ALL: Range<u64> = 0..1;

/// How spectra are seen, for arrays that have the same axes.
pub(crate) struct SpectrumLayout<'a> {
    pub source: &'a Source,
    /// Lengths of the axes of a spectrum, slowest first.
    pub shape: &'a [usize],
    /// Whether a spectrum is all that is seen of a position.
    pub is_alone: bool,
}

impl SpectrumLayout<'_> {
    /// The shape in which an array is handed on, and whether it has the whole axes of the file: it
    /// is then cut and turned as the spectra are.
    fn handed(
        &self,
        declared: &ConstantInput,
        found: &[usize],
    ) -> Result<(Vec<usize>, bool), String> {
        let is_flat = self.source.tables.is_some();
        let whole = &self.source.seen.lengths;
        let has_spectra = matches!(declared.axes(), ConstantAxes::Spectrum | ConstantAxes::Spectra);
        if self.is_alone
            && has_spectra
            && let Ok(shape) = declared.shape_for(found, whole, is_flat)
        {
            let before = shape.len() - whole.len();
            return Ok(([&shape[..before], self.shape].concat(), true));
        }
        declared.shape_for(found, self.shape, is_flat).map(|shape| (shape, false))
    }

    /// What is seen of arrays that have the whole axes of the file, one behind the other.
    fn cut(&self, whole: &[u8], element: usize) -> Vec<u8> {
        let view = self.source.rows.view();
        let each = whole.chunks_exact(view.stored_points() as usize * element);
        each.flat_map(|whole| row_of(view, element, whole)).collect()
    }
}

impl ConstantReader {
    /// Reads what was found; so many bytes are `left` of the memory of the run.
    ///
    /// # Errors
    /// If it is too large, has other axes or numbers than those that are declared, or can't be
    /// read.
    pub(super) fn open(
        declared: &ConstantInput,
        found: Found<'_>,
        spectrum: &SpectrumLayout<'_>,
        (left, memory): (u64, u64),
        refused: Refusal<'_>,
    ) -> Result<(Self, ConstantArray)> {
        let path = found.path();
        let refuse = |reason: String| refused(&path, reason);
        let (stored, shape) = match &found.array {
            Array::Dataset(_, dataset) => {
                let stored = dataset.stored_type();
                (stored.map_err(|held| refuse(format!("it holds {held}")))?, dataset.shape())
            }
            Array::Npy(array) => (array.stored, array.shape.clone()),
        };
        let element = declared.element_for(stored.element).ok_or_else(|| {
            let wanted = declared.element().unwrap_or(stored.element);
            refuse(format!("it holds {}, which can't become {wanted}", stored.element))
        })?;
        let (handed, is_whole) = spectrum.handed(declared, &shape).map_err(|wanted| {
            refuse(format!("its shape is {shape:?}, but it has to be {wanted}"))
        })?;
        let size = shape.iter().map(|length| *length as u64).product::<u64>();
        let taken = size.saturating_mul(element.size().max(stored.element.size()) as u64);
        if taken > left {
            let needed = (memory - left).saturating_add(taken);
            return Err(Error::TooLittleMemory { memory, needed });
        }
        let rows = match &found.array {
            Array::Dataset(file, dataset) => {
                Rows::new(file.handle(), dataset, View::new(region::lengths(&shape), Vec::new()))?
            }
            Array::Npy(array) => array.rows(View::new(array.lying_shape(), Vec::new()))?,
        };
        let mut values = read(&rows)?;
        let digest = XxHash3_128::oneshot(&values);
        if let Array::Npy(array) = &found.array
            && array.is_fortran
        {
            values = in_c_order(&values, &shape, stored);
        }
        if is_whole {
            values = spectrum.cut(&values, stored.element.size());
        }
        let is_long = stored.element.may_exceed(element, declared.is_narrowing());
        if is_long && let Some((point, value)) = first_beyond(&values, stored) {
            let reason =
                format!("{value} at point {point} is beyond 2^53: {element} can't hold it");
            return Err(refuse(reason));
        }
        let axis = if declared.has_axis() { found.axis(handed.last()) } else { None };
        let array = ConstantArray::new(path.clone(), handed, (&values, stored), element);
        let array = array.along(axis);
        let bytes = array.bytes().len() as u64;
        Ok((Self { rows, path, bytes, digest }, array))
    }

    /// Its rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Bytes that it takes as it is handed on.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Checks that its values are what they were.
    ///
    /// # Errors
    /// If they aren't, or can't be read any more.
    pub fn check(&self) -> Result<()> {
        let file = self.rows.path().to_owned();
        let changed = || Error::SourceChanged { file: file.clone(), dataset: self.path.clone() };
        match read(&self.rows) {
            Ok(now) if XxHash3_128::oneshot(&now) == self.digest => Ok(()),
            Ok(_) | Err(Error::Truncated { .. } | Error::Damaged { .. }) => Err(changed()),
            Err(error) => Err(error),
        }
    }
}

/// All bytes of an array, as they are stored.
fn read(rows: &Rows) -> Result<Vec<u8>> {
    let mut values = vec![0; rows.row_bytes()];
    rows.read_into(std::slice::from_ref(&ALL), &mut values)?;
    Ok(values)
}

/// Values whose first axis is the fastest, with the last as the fastest.
fn in_c_order(values: &[u8], shape: &[usize], stored: StoredType) -> Vec<u8> {
    let element = stored.element.size();
    let lengths = region::lengths(shape);
    let reversed: Vec<u64> = lengths.iter().rev().copied().collect();
    let (from, to) = (strides(&reversed, element), strides(&lengths, element));
    let axes: Vec<Axis> = (shape.iter().zip(from.iter().rev()).zip(&to))
        .map(|((steps, from), to)| Axis { steps: *steps, from: *from, to: *to })
        .collect();
    let mut turned = vec![0; values.len()];
    copy(values, &mut turned, &axes, element);
    turned
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::element::ElementType;

    #[test]
    fn an_array_in_fortran_order_is_turned_round() {
        let stored = StoredType { element: ElementType::UInt16, swapped: false };
        // The place of each value as one would write it: [i, j, k] holds 100 i + 10 j + k.
        let mut lying = Vec::new();
        let mut expected = Vec::new();
        for k in 0u16..4 {
            for j in 0..3 {
                (0..2).for_each(|i| lying.push(100 * i + 10 * j + k));
            }
        }
        for i in 0u16..2 {
            for j in 0..3 {
                (0..4).for_each(|k| expected.push(100 * i + 10 * j + k));
            }
        }
        let bytes =
            |values: &[u16]| values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<_>>();
        assert_eq!(in_c_order(&bytes(&lying), &[2, 3, 4], stored), bytes(&expected));
    }
}

//! Arrays for the whole run, read when it begins.

use twox_hash::XxHash3_128;

use super::Refusal;
use super::auxiliary::IN_FORTRAN_ORDER;
use super::find::{Array, Found};
use crate::region::{self, strides};
use crate::storage::rows::Rows;
use crate::storage::tiles::copy::{Axis, copy};
use crate::view::{Excerpt, View};
use pixelmill_core::element::{StoredType, first_beyond};
use pixelmill_core::error::{Error, Result, bytes};
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

/// How spectra are seen and lie in the file, for arrays that have the same axes.
pub(crate) struct SpectrumLayout<'a> {
    /// Lengths of the axes of a spectrum, slowest first.
    pub shape: &'a [usize],
    /// Whether the file has them as one axis.
    pub is_flat: bool,
    /// How the source is seen, if a spectrum is all that is seen of a position.
    pub view: Option<&'a View>,
}

impl SpectrumLayout<'_> {
    /// How many axes an array has before those of a whole spectrum as the file has it, if only an
    /// excerpt of that is seen: such an array is cut and turned as the spectra are.
    fn axes_before_whole(&self, shape: &[usize]) -> Option<(usize, &Excerpt)> {
        let view = self.view?;
        let whole = view.stored_spectrum();
        let before = shape.len().checked_sub(whole.len())?;
        let is_whole = region::lengths(&shape[before..]) == whole;
        view.excerpt().filter(|_| is_whole).map(|excerpt| (before, excerpt))
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
        let excerpt = match declared.axes() {
            ConstantAxes::Spectrum | ConstantAxes::Spectra => spectrum.axes_before_whole(&shape),
            ConstantAxes::Any | ConstantAxes::Lengths(_) => None,
        };
        let seen = match excerpt {
            Some((before, _)) => [&shape[..before], spectrum.shape].concat(),
            None => shape.clone(),
        };
        let handed = declared.shape_for(&seen, spectrum.shape, spectrum.is_flat);
        let handed = handed.map_err(|wanted| {
            refuse(format!("its shape is {shape:?}, but it has to be {wanted}"))
        })?;
        let size = seen.iter().map(|length| *length as u64).product::<u64>();
        let taken = size.saturating_mul(element.size().max(stored.element.size()) as u64);
        if taken > left {
            let (taken, memory) = (bytes(taken), bytes(memory));
            return Err(refuse(format!(
                "it takes {taken}, but the run has {memory} of memory, for all constants"
            )));
        }
        let of_view = |shape: Vec<u64>| {
            let (before, excerpt) = excerpt.map_or((0, None), |(at, excerpt)| (at, Some(excerpt)));
            View::new(shape, (0..before).collect()).of(excerpt.cloned())
        };
        let rows = match &found.array {
            Array::Dataset(file, dataset) => {
                Rows::new(file.handle(), dataset, of_view(region::lengths(&shape)))?
            }
            Array::Npy(array) if array.is_fortran && excerpt.is_some() => {
                return Err(refuse(IN_FORTRAN_ORDER.to_owned()));
            }
            Array::Npy(array) => array.rows(of_view(array.lying_shape()))?,
        };
        let mut values = read(&rows)?;
        let digest = XxHash3_128::oneshot(&values);
        if let Array::Npy(array) = &found.array
            && array.is_fortran
        {
            values = in_c_order(&values, &shape, stored);
        }
        let is_long = stored.element.may_exceed(element, declared.is_narrowing());
        if is_long && let Some((point, value)) = first_beyond(&values, stored) {
            let reason =
                format!("{value} at point {point} is beyond 2^53: {element} can't hold it");
            return Err(refuse(reason));
        }
        let array = ConstantArray::new(path.clone(), handed, (&values, stored), element);
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
    let all = 0..rows.view().count();
    let mut values = vec![0; all.end as usize * rows.row_bytes()];
    rows.read_into(std::slice::from_ref(&all), &mut values)?;
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

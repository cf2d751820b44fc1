//! What a detector does to all spectra alike, undone while they are converted: (x − dark) · gain,
//! and the mean of good neighbours in place of values of dead pixels.
//!
//! Computed in the numbers of the process, one block of values after the other while they are in
//! the processor's cache, and for each spectrum by itself, so that results don't depend on what
//! else is read.

use std::ops::Range;

use crate::chunk_io::AlignedBytes;
use crate::element::ElementType::Float32;
use crate::element::{Element, ElementType, StoredType, append, correct};
use crate::inputs::{ConstantArray, convert_into, typed};

/// Values that are converted and corrected at a time: with those of dark and gain few enough for
/// the processor's first cache.
pub(crate) const BLOCK: usize = 1024;

/// Corrections of one row of the source, which may hold several spectra.
#[derive(Debug)]
pub struct Corrections {
    /// The numbers that these arrays are kept in: those that are computed with, or single
    /// precision where that holds them, since a cache holds twice as many of it.
    element: ElementType,
    /// What is taken off each value of a row.
    dark: AlignedBytes,
    /// What each value of a row is multiplied with then.
    gain: AlignedBytes,
    /// The dead values of each spectrum of a row.
    dead: Vec<Vec<DeadValue>>,
}

/// A value that says nothing, and those that stand for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DeadValue {
    at: usize,
    neighbours: Vec<usize>,
}

impl Corrections {
    /// Corrections of rows of `spectra` spectra of this shape each, in numbers of type `element`:
    /// arrays of one value for each of a row, and whether each is dead.
    ///
    /// # Errors
    /// Which dead value, by its steps in a spectrum, has no good neighbour.
    pub fn new(
        element: ElementType,
        (spectra, shape): (usize, &[usize]),
        (dark, gain): (Option<&ConstantArray>, Option<&ConstantArray>),
        is_dead: &[bool],
    ) -> Result<Self, Vec<usize>> {
        let length: usize = shape.iter().product();
        let usual = |value: u8| vec![value; spectra * length];
        let is_single = |array: &&ConstantArray| array.element.converts_to(Float32, false);
        let element = match dark.iter().chain(&gain).all(is_single) {
            true => Float32,
            false => element,
        };
        let in_numbers = |array: Option<&ConstantArray>, otherwise: u8| {
            let mut values = AlignedBytes::default();
            match array {
                Some(array) => {
                    let stored = StoredType { element: array.element, swapped: false };
                    convert_into(array.bytes(), stored, element, &mut values);
                }
                None => {
                    let stored = StoredType { element: ElementType::UInt8, swapped: false };
                    convert_into(&usual(otherwise), stored, element, &mut values);
                }
            }
            values
        };
        let dead = is_dead.chunks(length.max(1)).map(|is_dead| dead_values(is_dead, shape));
        Ok(Self {
            element,
            dark: in_numbers(dark, 0),
            gain: in_numbers(gain, 1),
            dead: dead.collect::<Result<_, _>>()?,
        })
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> u64 {
        let dead = self.dead.iter().flatten();
        let lists: usize = dead.map(|dead| size_of_val(dead) + 8 * dead.neighbours.len()).sum();
        (self.dark.len() + self.gain.len() + lists) as u64
    }

    /// Appends spectrum number `spectrum` of a row, whose values lie in `bytes`, converted and
    /// corrected.
    pub(crate) fn append<T: Element>(
        &self,
        (bytes, stored): (&[u8], StoredType),
        spectrum: usize,
        out: &mut Vec<T>,
    ) {
        let begin = out.len();
        let count = bytes.len() / stored.element.size();
        self.append_values((bytes, stored), spectrum * count, out);
        for DeadValue { at, neighbours } in self.dead.get(spectrum).into_iter().flatten() {
            let sum = neighbours.iter().fold(T::default(), |sum, of| sum + out[begin + of]);
            out[begin + at] = sum / T::from_unsigned(neighbours.len() as u64);
        }
    }

    /// Whether each value depends on no other.
    pub fn are_by_value(&self) -> bool {
        self.dead.iter().all(Vec::is_empty)
    }

    /// Appends some values of a row, from number `first` on, with what is dead as it is.
    pub(crate) fn append_values<T: Element>(
        &self,
        (bytes, stored): (&[u8], StoredType),
        first: usize,
        out: &mut Vec<T>,
    ) {
        for (block, bytes) in bytes.chunks(BLOCK * stored.element.size()).enumerate() {
            self.append_block((bytes, stored), first + block * BLOCK, out);
        }
    }

    fn append_block<T: Element>(
        &self,
        (bytes, stored): (&[u8], StoredType),
        first: usize,
        out: &mut Vec<T>,
    ) {
        let begin = out.len();
        append(bytes, stored, out);
        let values = &mut out[begin..];
        let block = first..first + values.len();
        if let Some([dark, gain]) = self.arrays::<f32>(&block) {
            correct(values, (dark, gain), |value| T::from_parts(value.into(), 0.0));
        } else if let Some([dark, gain]) = self.arrays::<T>(&block) {
            correct(values, (dark, gain), |value| value);
        } else {
            // Other numbers than those of the run, for people to look at.
            let size = self.element.size();
            let bytes = block.start * size..block.end * size;
            let own = StoredType { element: self.element, swapped: false };
            let [mut dark, mut gain] = [Vec::new(), Vec::new()];
            append(&self.dark[bytes.clone()], own, &mut dark);
            append(&self.gain[bytes], own, &mut gain);
            correct(values, (&dark, &gain), |value| value);
        }
    }

    /// Some values of dark and gain, if they are kept in these numbers.
    fn arrays<T: Element>(&self, block: &Range<usize>) -> Option<[&[T]; 2]> {
        let (dark, gain) =
            (typed::<T>(&self.dark, self.element)?, typed::<T>(&self.gain, self.element)?);
        Some([&dark[block.clone()], &gain[block.clone()]])
    }
}

/// The dead values of a spectrum, each with the good values next to it along every axis.
fn dead_values(is_dead: &[bool], shape: &[usize]) -> Result<Vec<DeadValue>, Vec<usize>> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let steps_of = |at: usize| -> Vec<usize> {
        strides.iter().zip(shape).map(|(stride, length)| at / stride % length).collect()
    };
    let dead = (0..is_dead.len()).filter(|at| is_dead[*at]);
    dead.map(|at| {
        let steps = steps_of(at);
        let axes = steps.iter().zip(shape).zip(&strides);
        let beside = axes.flat_map(|((step, length), stride)| {
            let before = (*step > 0).then(|| at - stride);
            before.into_iter().chain((step + 1 < *length).then(|| at + stride))
        });
        let neighbours: Vec<usize> = beside.filter(|beside| !is_dead[*beside]).collect();
        if neighbours.is_empty() { Err(steps) } else { Ok(DeadValue { at, neighbours }) }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;

    fn array(values: &[f32]) -> ConstantArray {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let stored = StoredType { element: ElementType::Float32, swapped: false };
        ConstantArray::new("/a", vec![values.len()], (&bytes, stored), ElementType::Float32)
    }

    #[test]
    fn what_is_dark_is_taken_off_before_the_gain() {
        let (dark, gain) = (array(&[1.0, 2.0, 0.5, 0.0]), array(&[2.0, 0.5, 1.0, 4.0]));
        let arrays = (Some(&dark), Some(&gain));
        let corrections =
            Corrections::new(ElementType::Float32, (2, &[2]), arrays, &[false; 4]).unwrap();
        let stored = StoredType { element: ElementType::UInt16, swapped: true };
        let bytes: Vec<u8> =
            [10u16, 20].iter().flat_map(|x| x.swap_bytes().to_ne_bytes()).collect();
        for (spectrum, expected) in [(0, [18.0, 9.0]), (1, [9.5, 80.0])] {
            let mut seen = vec![7.0f32];
            corrections.append((&bytes, stored), spectrum, &mut seen);
            assert_eq!(seen[1..], expected);
            let mut complex: Vec<Complex64> = Vec::new();
            corrections.append((&bytes, stored), spectrum, &mut complex);
            assert_eq!(complex[1].re, f64::from(expected[1]));
        }
    }

    #[test]
    fn long_spectra_are_corrected_block_by_block() {
        let count = 2 * BLOCK + 5;
        let dark: Vec<f32> = (0..count).map(|at| at as f32).collect();
        let arrays = (Some(&array(&dark)), None);
        let corrections =
            Corrections::new(ElementType::Float64, (1, &[count]), arrays, &[]).unwrap();
        let bytes = vec![3u8; count];
        let stored = StoredType { element: ElementType::UInt8, swapped: false };
        let mut seen: Vec<f64> = Vec::new();
        corrections.append((&bytes, stored), 0, &mut seen);
        assert!((0..count).all(|at| seen[at] == 3.0 - at as f64) && seen.len() == count);
    }

    #[test]
    fn arrays_are_kept_in_single_precision_only_if_that_holds_them() {
        let stored = StoredType { element: ElementType::Float64, swapped: false };
        let third = 1.0f64 / 3.0;
        let long =
            ConstantArray::new("/a", vec![1], (&third.to_ne_bytes(), stored), stored.element);
        for (arrays, expected) in [
            ((Some(&long), Some(&array(&[2.0]))), (3.0 - third) * 2.0),
            ((Some(&array(&[2.0])), Some(&long)), third),
            ((None, Some(&long)), 3.0 * third),
        ] {
            let corrections =
                Corrections::new(ElementType::Float64, (1, &[1]), arrays, &[]).unwrap();
            let byte = StoredType { element: ElementType::UInt8, swapped: false };
            let mut seen: Vec<f64> = Vec::new();
            corrections.append((&[3], byte), 0, &mut seen);
            assert_eq!(seen, [expected]);
        }
    }

    #[test]
    fn dead_values_are_the_mean_of_good_ones_beside_them() {
        let is_dead = |dead: &[usize]| (0..9).map(|at| dead.contains(&at)).collect::<Vec<_>>();
        let mended = |dead: &[usize]| {
            let arrays = (None, None);
            let of = (1, [3, 3].as_slice());
            let corrections = Corrections::new(ElementType::Float64, of, arrays, &is_dead(dead))?;
            let stored = StoredType { element: ElementType::UInt8, swapped: false };
            let mut seen: Vec<f64> = Vec::new();
            corrections.append((&[1, 2, 3, 4, 200, 6, 7, 8, 9], stored), 0, &mut seen);
            Ok::<_, Vec<usize>>(seen)
        };
        assert_eq!(mended(&[4]).unwrap()[4], (2.0 + 4.0 + 6.0 + 8.0) / 4.0);
        // Dead ones don't stand for each other.
        assert_eq!(mended(&[4, 5]).unwrap()[4..6], [(2.0 + 4.0 + 8.0) / 3.0, (3.0 + 9.0) / 2.0]);
        assert_eq!(mended(&[0]).unwrap()[0], 3.0);
        assert_eq!(mended(&[0, 1, 3]).unwrap_err(), [0, 0]);
    }
}

//! What a detector does to all spectra alike, undone while they are converted: (x − dark) · gain,
//! and the mean of good neighbours in place of values of dead pixels.
//!
//! Computed in the numbers of the process, one block of values after the other while they are in
//! the processor's cache, and for each spectrum by itself, so that results don't depend on what
//! else is read.

use std::ops::Range;

use crate::chunk_io::AlignedBytes;
use crate::element::ElementType::Float32;
use crate::element::{BLOCK, Element, ElementType, StoredType, append, correct};
use crate::inputs::{ConstantArray, convert_into, typed};

/// Corrections of one row of the source, which may hold several spectra.
#[derive(Debug)]
pub struct Corrections {
    /// The numbers that these arrays are kept in: those that are computed with, or single
    /// precision where that holds them, since a cache holds twice as many of it.
    element: ElementType,
    /// What is taken off each value of a row.
    dark: Option<AlignedBytes>,
    /// What each value of a row is multiplied with then.
    gain: Option<AlignedBytes>,
    /// Values of a spectrum.
    length: usize,
    /// The dead values of each spectrum of a row, ascending.
    dead: Vec<Vec<DeadValue>>,
}

/// A value that says nothing, and those that stand for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DeadValue {
    at: usize,
    neighbours: Vec<usize>,
}

impl Corrections {
    /// Corrections of rows of spectra of this shape each, in numbers of type `element`: arrays of
    /// one value for each of a row, and whether each is dead.
    ///
    /// # Errors
    /// Which dead value, by its steps in a spectrum, has no good neighbour.
    pub fn new(
        element: ElementType,
        shape: &[usize],
        arrays: [Option<ConstantArray>; 2],
        is_dead: &[bool],
    ) -> Result<Self, Vec<usize>> {
        let length = shape.iter().product::<usize>().max(1);
        let is_single = |array: &ConstantArray| array.element.converts_to(Float32, false);
        let element = if arrays.iter().flatten().all(is_single) { Float32 } else { element };
        // Each is gone before the next is there twice.
        let [dark, gain] = arrays.map(|array| {
            let array = array?;
            let stored = StoredType { element: array.element, swapped: false };
            let mut values = AlignedBytes::default();
            convert_into(array.bytes(), stored, element, &mut values);
            Some(values)
        });
        let dead = is_dead.chunks(length).map(|is_dead| dead_values(is_dead, shape));
        Ok(Self { element, dark, gain, length, dead: dead.collect::<Result<_, _>>()? })
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> u64 {
        let dead = self.dead.iter().flatten();
        let lists: usize = dead.map(|dead| size_of_val(dead) + 8 * dead.neighbours.len()).sum();
        let arrays = [&self.dark, &self.gain].into_iter().flatten();
        (arrays.map(|array| array.len()).sum::<usize>() + lists) as u64
    }

    /// Whether value number `at` of a row is dead.
    pub fn is_dead(&self, at: usize) -> bool {
        let (spectrum, at) = (at / self.length, at % self.length);
        self.dead_of(spectrum).binary_search_by_key(&at, |dead| dead.at).is_ok()
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
        out.reserve(count);
        self.append_values((bytes, stored), spectrum * count, out);
        for DeadValue { at, neighbours } in self.dead_of(spectrum) {
            let sum = neighbours.iter().fold(T::default(), |sum, of| sum + out[begin + of]);
            out[begin + at] = sum / T::from_unsigned(neighbours.len() as u64);
        }
    }

    fn dead_of(&self, spectrum: usize) -> &[DeadValue] {
        self.dead.get(spectrum).map_or(&[], Vec::as_slice)
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
        if let Some(arrays) = self.arrays::<f32>(&block) {
            correct(values, arrays, |value| T::from_parts(value.into(), 0.0));
        } else if let Some(arrays) = self.arrays::<T>(&block) {
            correct(values, arrays, |value| value);
        } else {
            // Other numbers than those of the run, for people to look at.
            let size = self.element.size();
            let own = StoredType { element: self.element, swapped: false };
            let converted = [&self.dark, &self.gain].map(|array| {
                let mut values: Vec<T> = Vec::new();
                append(&array.as_ref()?[block.start * size..block.end * size], own, &mut values);
                Some(values)
            });
            correct(values, converted.each_ref().map(Option::as_deref), |value| value);
        }
    }

    /// Some values of dark and gain, as far as there are any, if they are kept in these numbers.
    fn arrays<T: Element>(&self, block: &Range<usize>) -> Option<[Option<&[T]>; 2]> {
        let [dark, gain] = [&self.dark, &self.gain].map(|array| match array {
            Some(array) => typed::<T>(array, self.element).map(|all| Some(&all[block.clone()])),
            None => Some(None),
        });
        Some([dark?, gain?])
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
        let arrays = [Some(dark), Some(gain)];
        let corrections =
            Corrections::new(ElementType::Float32, &[2], arrays, &[false; 4]).unwrap();
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
        let arrays = [Some(array(&dark)), None];
        let corrections = Corrections::new(ElementType::Float64, &[count], arrays, &[]).unwrap();
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
        let two = || Some(array(&[2.0]));
        for (arrays, expected) in [
            ([Some(long.clone()), two()], (3.0 - third) * 2.0),
            ([two(), Some(long.clone())], third),
            ([None, Some(long.clone())], 3.0 * third),
            ([Some(long), None], 3.0 - third),
        ] {
            let corrections = Corrections::new(ElementType::Float64, &[1], arrays, &[]).unwrap();
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
            let is_dead = is_dead(dead);
            let corrections =
                Corrections::new(ElementType::Float64, &[3, 3], [None, None], &is_dead)?;
            assert_eq!((0..9).filter(|at| corrections.is_dead(*at)).collect::<Vec<_>>(), dead);
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

    #[test]
    fn what_is_not_asked_for_takes_no_memory_and_changes_no_bit() {
        let is_dead = [false, false, true, false];
        let corrections =
            Corrections::new(ElementType::Float32, &[4], [None, None], &is_dead).unwrap();
        assert!(corrections.memory() < 100, "{}", corrections.memory());
        let stored = StoredType { element: ElementType::Float32, swapped: false };
        let values = [-0.0f32, f32::INFINITY, 7.0, f32::NAN];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let mut seen: Vec<Complex64> = Vec::new();
        corrections.append((&bytes, stored), 0, &mut seen);
        assert_eq!(seen[0].re.to_bits(), (-0.0f64).to_bits());
        assert_eq!((seen[1].re, seen[1].im), (f64::INFINITY, 0.0));
        for (arrays, expected) in [
            ([Some(array(&[0.0, 1.0, 0.0, 0.0])), None], [-0.0, f32::INFINITY]),
            ([None, Some(array(&[1.0, 2.0, 1.0, 1.0]))], [-0.0, f32::INFINITY]),
        ] {
            let corrections =
                Corrections::new(ElementType::Float32, &[4], arrays, &is_dead).unwrap();
            let mut seen: Vec<f32> = Vec::new();
            corrections.append((&bytes, stored), 0, &mut seen);
            assert_eq!(
                seen[..2].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                expected.map(f32::to_bits)
            );
        }
    }

    #[test]
    fn a_spectrum_of_single_precision_takes_a_dark_of_double_precision() {
        let stored = StoredType { element: ElementType::Float64, swapped: false };
        let tenth =
            ConstantArray::new("/a", vec![1], (&0.1f64.to_ne_bytes(), stored), stored.element);
        let arrays = [Some(tenth), None];
        let corrections = Corrections::new(ElementType::Float32, &[1], arrays, &[]).unwrap();
        let byte = StoredType { element: ElementType::UInt8, swapped: false };
        let (mut seen, mut double): (Vec<f32>, Vec<f64>) = (Vec::new(), Vec::new());
        corrections.append((&[3], byte), 0, &mut seen);
        corrections.append((&[3], byte), 0, &mut double);
        assert_eq!((seen[0], double[0]), (3.0 - 0.1f32, 3.0 - f64::from(0.1f32)));
    }
}

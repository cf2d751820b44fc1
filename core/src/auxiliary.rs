//! The auxiliary inputs of a unit and of one of its positions.

use std::ops::Index;

use ndarray::{ArrayView, Dimension};

use crate::arrays;
use crate::chunk_io::AlignedBytes;
use crate::element::{Element, ElementType, StoredType};
use crate::failure::Failure;
use crate::inputs::{convert_into, typed};

/// Rows of one auxiliary input.
#[derive(Debug)]
pub struct AuxiliaryRows {
    /// All values, position by position.
    values: AlignedBytes,
    element: ElementType,
    /// How many each position has.
    per_position: usize,
    /// Lengths of the axes of one position's values; see
    /// [`AuxiliaryInfo`](crate::source_info::AuxiliaryInfo).
    shape: Vec<usize>,
}

impl AuxiliaryRows {
    /// Room for rows whose values are handed on as `element`s, each with the axes of `shape`.
    pub fn new(element: ElementType, shape: &[usize]) -> Self {
        let per_position = shape.iter().product();
        Self { values: AlignedBytes::default(), element, per_position, shape: shape.to_vec() }
    }

    /// Takes the rows in `bytes` in place of what there was.
    pub fn fill(&mut self, bytes: &[u8], stored: StoredType) {
        convert_into(bytes, stored, self.element, &mut self.values);
    }

    /// The values of position number `within`, if they are of type `T`.
    #[inline]
    fn of<T: Element>(&self, within: usize) -> Option<&[T]> {
        let all: &[T] = typed(&self.values, self.element)?;
        all.get(within * self.per_position..)?.get(..self.per_position)
    }
}

/// The values of all auxiliary inputs at one position, in the order in which they were declared.
/// Those that were declared as another type than `f64` are had by [`Self::values`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Auxiliary<'a> {
    inputs: &'a [AuxiliaryRows],
    within: usize,
}

impl<'a> Auxiliary<'a> {
    /// Those of position number `within` of a unit.
    #[inline]
    pub fn new(inputs: &'a [AuxiliaryRows], within: usize) -> Self {
        Self { inputs, within }
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// The values of input number `input`, if it was declared as `f64`.
    pub fn get(&self, input: usize) -> Option<&'a [f64]> {
        self.inputs.get(input)?.of(self.within)
    }

    /// The values of the first input, if it was declared as `f64`.
    pub fn first(&self) -> Option<&'a [f64]> {
        self.get(0)
    }

    /// The values of input number `input`, which are of type `T`.
    ///
    /// # Errors
    /// If there is no such input, or its values are of another type.
    #[inline]
    pub fn values<T: Element>(&self, input: usize) -> Result<&'a [T], Failure> {
        let found = self.inputs.get(input).ok_or_else(|| missing(input))?;
        found.of(self.within).ok_or_else(|| other_type(input, found.element, T::TYPE))
    }

    /// The values of each input, all of which were declared as `f64`.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f64]> + use<'a> {
        let own = *self;
        (0..self.len()).map(move |input| own.get(input).expect(AS_DOUBLE))
    }

    /// The values of input number `input`, which was declared as `f64`, as an array with its own
    /// axes.
    ///
    /// # Errors
    /// If there is no such input, its values are of another type, or it has another number of axes.
    pub fn array<D: Dimension>(&self, input: usize) -> Result<ArrayView<'a, f64, D>, Failure> {
        self.array_of(input)
    }

    /// The values of input number `input`, which are of type `T`, as an array with its own axes.
    ///
    /// # Errors
    /// If there is no such input, its values are of another type, or it has another number of axes.
    pub fn array_of<T: Element, D: Dimension>(
        &self,
        input: usize,
    ) -> Result<ArrayView<'a, T, D>, Failure> {
        let values = self.values(input)?;
        arrays::view(values, None, &self.inputs[input].shape, "the auxiliary input")
    }
}

/// What has to be so where values are had without asking.
const AS_DOUBLE: &str = "there is an input of that number, and it was declared as f64";

#[cold]
fn missing(input: usize) -> Failure {
    Failure::new(format!("there is no auxiliary input number {input}"))
}

#[cold]
fn other_type(input: usize, found: ElementType, wanted: ElementType) -> Failure {
    Failure::new(format!("auxiliary input number {input} is taken as {found}, not as {wanted}"))
}

/// Of an input that was declared as `f64`.
impl Index<usize> for Auxiliary<'_> {
    type Output = [f64];

    fn index(&self, input: usize) -> &[f64] {
        self.get(input).expect(AS_DOUBLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2};
    use num_complex::Complex32;

    #[test]
    fn each_position_has_its_own_values_with_the_axes_of_the_input() {
        let stored = StoredType { element: ElementType::UInt8, swapped: false };
        let rows = |element: ElementType, shape: &[usize]| {
            let mut rows = AuxiliaryRows::new(element, shape);
            let count = 2 * shape.iter().product::<usize>() as u8;
            rows.fill(&(0..count).collect::<Vec<u8>>(), stored);
            rows
        };
        let double = ElementType::Float64;
        let inputs =
            [rows(double, &[1]), rows(double, &[2, 3]), rows(ElementType::Complex64, &[2])];
        let second = Auxiliary::new(&inputs, 1);
        assert_eq!((second.len(), second.first()), (3, Some([1.0].as_slice())));
        assert_eq!((second[1][0], second.get(2), second.get(3)), (6.0, None, None));
        assert_eq!(second.array::<Ix2>(1).unwrap()[[1, 2]], 11.0);
        assert_eq!(second.values::<Complex32>(2).unwrap()[1], Complex32::new(3.0, 0.0));
        let told = |failure: Option<Failure>| failure.unwrap().to_string();
        assert!(told(second.array::<Ix1>(1).err()).contains("2 axes (2 × 3)"));
        assert!(told(second.array::<Ix1>(3).err()).contains("no auxiliary input number 3"));
        assert!(told(second.values::<f64>(2).err()).contains("complex64, not as float64"));
    }
}

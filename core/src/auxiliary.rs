//! The auxiliary inputs of a unit and of one of its positions.

use std::ops::Index;

use ndarray::{ArrayView, Dimension};

use crate::arrays;
use crate::failure::Failure;

/// Rows of one auxiliary input.
#[derive(Clone, Debug, Default)]
pub struct AuxiliaryRows {
    /// All values, position by position.
    pub values: Vec<f64>,
    /// How many each position has.
    pub per_position: usize,
    /// Lengths of the axes of one position's values; see
    /// [`AuxiliaryInfo`](crate::source_info::AuxiliaryInfo).
    pub shape: Vec<usize>,
}

/// The values of all auxiliary inputs at one position, in the order in which they were declared.
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

    /// The values of input number `input`.
    pub fn get(&self, input: usize) -> Option<&'a [f64]> {
        self.inputs.get(input).map(|rows| self.of(rows))
    }

    /// The values of the first input.
    pub fn first(&self) -> Option<&'a [f64]> {
        self.get(0)
    }

    /// The values of each input.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f64]> + use<'a> {
        let own = *self;
        self.inputs.iter().map(move |rows| own.of(rows))
    }

    /// The values of input number `input` as an array with its own axes.
    ///
    /// # Errors
    /// If there is no such input, or it has another number of axes.
    pub fn array<D: Dimension>(&self, input: usize) -> Result<ArrayView<'a, f64, D>, Failure> {
        let Some(rows) = self.inputs.get(input) else {
            return Err(Failure::new(format!("there is no auxiliary input number {input}")));
        };
        arrays::view(self.of(rows), None, &rows.shape, "the auxiliary input")
    }

    #[inline]
    fn of(&self, rows: &'a AuxiliaryRows) -> &'a [f64] {
        &rows.values[self.within * rows.per_position..][..rows.per_position]
    }
}

impl Index<usize> for Auxiliary<'_> {
    type Output = [f64];

    fn index(&self, input: usize) -> &[f64] {
        self.of(&self.inputs[input])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2};

    #[test]
    fn each_position_has_its_own_values_with_the_axes_of_the_input() {
        let rows = |per_position: usize, shape: Vec<usize>| AuxiliaryRows {
            values: (0..per_position * 2).map(|value| value as f64).collect(),
            per_position,
            shape,
        };
        let inputs = [rows(1, vec![1]), rows(6, vec![2, 3])];
        let second = Auxiliary::new(&inputs, 1);
        assert_eq!((second.len(), second.first()), (2, Some([1.0].as_slice())));
        assert_eq!((second[1][0], second.get(2)), (6.0, None));
        assert_eq!(second.array::<Ix2>(1).unwrap()[[1, 2]], 11.0);
        let told = |failure: Option<Failure>| failure.unwrap().to_string();
        assert!(told(second.array::<Ix1>(1).err()).contains("2 axes (2 × 3)"));
        assert!(told(second.array::<Ix1>(2).err()).contains("no auxiliary input number 2"));
    }
}

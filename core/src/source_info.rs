//! What a process is told about the datasets that it computes with.

use crate::axis_values::AxisValues;
use crate::dimension::Dimension;
use crate::element::ElementType;
use crate::failure::Failure;
use crate::inputs::ConstantArray;
use crate::positions::Positions;

/// What a process is told about the main dataset.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    /// Path of the dataset in its file.
    pub path: String,
    /// Number of positions, the rows.
    pub positions: u64,
    /// Number of values at each position, the columns.
    pub spectral_points: usize,
    /// The element type that the file stores.
    pub element: ElementType,
    /// Whether spectra are corrected before anybody computes with them, so that what is computed
    /// with aren't values of `element` any more.
    pub is_corrected: bool,
    /// What was measured.
    pub quantity: String,
    /// Units of the values.
    pub units: String,
    /// Axes of the scan, slowest first.
    pub position_dimensions: Vec<Dimension>,
    /// Axes of a row, slowest first. Their lengths multiply to `spectral_points`; none if the file
    /// has no regular grid there.
    pub spectroscopic_dimensions: Vec<Dimension>,
    /// What [`Process::auxiliary_inputs`](crate::Process::auxiliary_inputs) asked for, in that
    /// order.
    pub auxiliary: Vec<AuxiliaryInfo>,
    /// What [`Process::constant_inputs`](crate::Process::constant_inputs) asked for, in that
    /// order.
    pub constants: Vec<ConstantArray>,
    /// The positions that are folded, for whoever [wants to know](crate::Reduction::SELECTION).
    pub selected: Option<Positions>,
}

/// What a process is told about an auxiliary input.
#[derive(Clone, Debug, PartialEq)]
pub struct AuxiliaryInfo {
    /// Path of the dataset in its file, or the file's name if it is an array of NumPy's.
    pub path: String,
    /// Of what type its values are handed on.
    pub element: ElementType,
    /// Number of values at each position; each field of a compound record is one.
    pub columns: usize,
    /// Names of the fields if it holds compound records, else none.
    pub fields: Vec<String>,
    /// Lengths of the axes of the values at a position, slowest first: those of the dataset that
    /// aren't positions, then the fields of a record. A single number is an axis of one step.
    pub shape: Vec<usize>,
    /// The fastest of these axes, if [that was asked
    /// for](crate::process::AuxiliaryInput::with_axis) and the file has one.
    pub axis: Option<Dimension>,
}

impl SourceInfo {
    /// The element type that values are had in [as they are
    /// stored](crate::reduction::Tile::stored_as), if they are.
    pub fn given(&self) -> Option<ElementType> {
        (!self.is_corrected).then_some(self.element)
    }

    /// Bytes of all its values, as the file's type has them.
    pub fn bytes(&self) -> u64 {
        self.positions * self.spectral_points as u64 * self.element.size() as u64
    }

    /// Axis number `index` of a row, counted from the fastest: `axis(0)` is the one along which
    /// neighbouring values lie. An unnamed axis that counts points if there is no such axis.
    pub fn axis(&self, index: usize) -> Dimension {
        let axes = &self.spectroscopic_dimensions;
        match axes.len().checked_sub(index + 1) {
            Some(at) => axes[at].clone(),
            None => Dimension::new("Point", "", AxisValues::counted(self.spectral_points)),
        }
    }

    /// Lengths of the axes of one spectrum, slowest first, where a row holds so many of them. Those
    /// are the axes of a row without the slow ones that tell its spectra apart. If spectra are
    /// parts of an axis, it has as many steps less; where they begin and end anywhere, and
    /// where the file has no regular grid, a spectrum is one axis.
    pub fn spectrum_shape(&self, spectra: usize) -> Vec<usize> {
        let spectra = spectra.max(1);
        let length = self.spectral_points / spectra;
        let lengths: Vec<usize> =
            self.spectroscopic_dimensions.iter().map(Dimension::len).collect();
        let is_grid =
            !lengths.is_empty() && lengths.iter().product::<usize>() == self.spectral_points;
        let shape = is_grid.then(|| without_slow(&lengths, spectra)).flatten();
        shape.filter(|shape| !shape.is_empty()).unwrap_or_else(|| vec![length])
    }

    /// What a spectrum along the `along` fastest axes is: the same with no other axes, and how many
    /// such spectra a row holds.
    pub fn along(&self, along: usize) -> (Self, usize) {
        let others = self.spectroscopic_dimensions.len().saturating_sub(along);
        let (other, own) = self.spectroscopic_dimensions.split_at(others);
        let spectra = other.iter().map(Dimension::len).product::<usize>().max(1);
        let narrowed = Self {
            spectral_points: self.spectral_points / spectra,
            spectroscopic_dimensions: own.to_vec(),
            ..self.clone()
        };
        (narrowed, spectra)
    }

    /// How many spectra along `axis(0)` a row holds: one for each step of all its other axes.
    ///
    /// # Errors
    /// If the file has no regular grid there, so that nobody can tell where a spectrum begins.
    pub fn spectra_along_axis(&self) -> Result<usize, Failure> {
        if self.spectroscopic_dimensions.is_empty() && self.spectral_points > 1 {
            return Err(Failure::new(format!(
                "the {} values at each position are no full grid of its axes, so it can't be told \
                 which of them are a spectrum",
                self.spectral_points
            )));
        }
        Ok(self.spectral_points / self.axis(0).len().max(1))
    }

    /// The two fastest axes of a row if that is a frame, as a camera takes it, and no list of
    /// spectra. Those of a frame measure the same: they have the same units, or, without units,
    /// names that only tell places.
    pub fn frame(&self) -> Option<(&Dimension, &Dimension)> {
        let mut axes = self.spectroscopic_dimensions.iter().rev().filter(|axis| axis.len() > 1);
        let (fast, slow) = (axes.next()?, axes.next()?);
        let units = |axis: &Dimension| axis.units.trim().to_lowercase();
        let measure_the_same = units(fast) == units(slow)
            && (!units(fast).is_empty() || tells_a_place(fast) || tells_a_place(slow));
        measure_the_same.then_some((slow, fast))
    }
}

/// What is left of the lengths of some axes, slowest first, of an array that is cut into equal
/// parts; `None` if the parts are no arrays along them.
fn without_slow(lengths: &[usize], parts: usize) -> Option<Vec<usize>> {
    match lengths {
        _ if parts == 1 => Some(lengths.to_vec()),
        [slowest, others @ ..] if parts.is_multiple_of(*slowest) => {
            without_slow(others, parts / slowest)
        }
        [slowest, others @ ..] if slowest.is_multiple_of(parts) => {
            Some([&[slowest / parts], others].concat())
        }
        _ => None,
    }
}

/// Whether the name of an axis says no more than where something is.
fn tells_a_place(axis: &Dimension) -> bool {
    const PLACES: [&str; 18] = [
        "x", "y", "z", "kx", "ky", "qx", "qy", "rx", "ry", "dx", "dy", "width", "height", "row",
        "rows", "column", "columns", "pixel",
    ];
    let name = axis.name.trim().to_lowercase().replace('_', "");
    name.is_empty() || name.starts_with("axis ") || PLACES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(lengths: &[usize], spectral_points: usize) -> SourceInfo {
        let axis = |length: &usize| Dimension::new("", "", AxisValues::counted(*length));
        SourceInfo {
            path: String::new(),
            positions: 1,
            spectral_points,
            element: ElementType::Float32,
            is_corrected: false,
            quantity: String::new(),
            units: String::new(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: lengths.iter().map(axis).collect(),
            auxiliary: Vec::new(),
            constants: Vec::new(),
            selected: None,
        }
    }

    #[test]
    fn a_spectrum_has_the_axes_that_do_not_tell_spectra_apart() {
        let stack = source(&[6, 4, 5], 120);
        for (spectra, shape) in [
            (1, vec![6, 4, 5]),
            (6, vec![4, 5]),
            (24, vec![5]),
            (120, vec![1]),
            // Two steps of an axis each, or a part of the next one.
            (3, vec![2, 4, 5]),
            (12, vec![2, 5]),
            // Each begins in the middle of a step.
            (4, vec![30]),
            (8, vec![15]),
        ] {
            assert_eq!(stack.spectrum_shape(spectra), shape, "{spectra}");
        }
        assert_eq!(source(&[1, 8], 8).spectrum_shape(1), [1, 8]);
        assert_eq!(source(&[1, 2, 8], 16).spectrum_shape(2), [8]);
    }

    #[test]
    fn without_a_regular_grid_a_spectrum_is_one_axis() {
        assert_eq!(source(&[], 7).spectrum_shape(1), [7]);
        assert_eq!(source(&[], 8).spectrum_shape(2), [4]);
        assert_eq!(source(&[], 1).spectrum_shape(1), [1]);
    }
}

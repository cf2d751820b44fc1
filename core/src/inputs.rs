//! What a computation is given besides its source: how a user names it, what a process declares
//! that it wants, and the arrays that it gets.
//!
//! An auxiliary input has values for each position, a constant is one array for the whole run. Both
//! are named alike ([`InputPath`]), keep the element type that the file has or become the one that
//! is declared, and are checked before anything is computed. Where they lie and how they are read
//! is the engine's business.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::{ArrayView, Dimension};

use crate::arrays;
use crate::chunk_io::AlignedBytes;
use crate::dimension;
use crate::element::{BLOCK, Element, ElementType, StoredType, append};
use crate::failure::Failure;

/// Where an input is, as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputPath {
    /// `/Group/dark`, of the source's file or else of the one that results go to; without its slash
    /// also the name of a process, as in `SHO_Fit` or `SHO_Fit/Guess`.
    Here(String),
    /// The same of another file: `calibration.h5:/dark`, `monday.h5:SHO_Fit`.
    InFile {
        /// The file.
        file: PathBuf,
        /// What is named in it.
        path: String,
    },
    /// An array of NumPy's: `dark.npy`.
    Npy(PathBuf),
}

impl From<&str> for InputPath {
    fn from(text: &str) -> Self {
        let of_file = text.split_once(":/").map(|(file, path)| (file, format!("/{path}")));
        let is_npy = text.to_ascii_lowercase().ends_with(".npy");
        let of_file = of_file.or_else(|| match text.rsplit_once(':') {
            Some((file, path)) if !is_npy => Some((file, path.to_owned())),
            _ => None,
        });
        match of_file {
            Some((file, path)) if !file.is_empty() && !path.is_empty() => {
                Self::InFile { file: file.into(), path }
            }
            _ if is_npy => Self::Npy(text.into()),
            _ => Self::Here(text.to_owned()),
        }
    }
}

/// An input as a process declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Declared {
    path: String,
    element: Option<ElementType>,
    narrowing: bool,
    results: Option<String>,
    axis: bool,
    of_same_spectra: bool,
}

impl Declared {
    fn new(path: impl Into<String>, element: Option<ElementType>) -> Self {
        Self {
            path: path.into(),
            element,
            narrowing: false,
            results: None,
            axis: false,
            of_same_spectra: false,
        }
    }

    /// The type that numbers of a stored type are handed on as; `None` if they would lose
    /// information.
    fn element_for(&self, stored: ElementType) -> Option<ElementType> {
        let wanted = self.element.unwrap_or_else(|| handed_on(stored));
        stored.converts_to(wanted, self.narrowing).then_some(wanted)
    }
}

/// What a number is handed on as that keeps its type: short floating-point numbers as `f32`, since
/// there is nothing shorter to compute with.
fn handed_on(stored: ElementType) -> ElementType {
    match stored {
        ElementType::Float16 | ElementType::BFloat16 => ElementType::Float32,
        other => other,
    }
}

/// What both kinds of inputs are declared with.
macro_rules! declared {
    ($input:ident) => {
        impl $input {
            /// The input that `path` names ([`InputPath`]), as numbers of type `T`. A file whose
            /// numbers can't become these without losing information is refused before the run.
            pub fn of<T: Element>(path: impl Into<String>) -> Self {
                Self::declared(Declared::new(path, Some(T::TYPE)))
            }

            /// The same as numbers of the type that the file has, which is told before the run.
            pub fn as_stored(path: impl Into<String>) -> Self {
                Self::declared(Declared::new(path, None))
            }

            /// Rounding to a shorter floating-point type is no loss.
            #[must_use]
            pub fn narrowing(mut self) -> Self {
                self.declared.narrowing = true;
                self
            }

            /// Which results dataset is meant where the path leads to a whole results group.
            #[must_use]
            pub fn results(mut self, dataset: impl Into<String>) -> Self {
                self.declared.results = Some(dataset.into());
                self
            }

            /// The fastest axis of its values is told as well, and becomes a part of what results
            /// are known by.
            #[must_use]
            pub fn with_axis(mut self) -> Self {
                self.declared.axis = true;
                self
            }

            /// It is of results that were computed from the very spectra that are computed on now,
            /// with the same corrections. Those of others are refused before the run, as far as
            /// results tell what they were computed from.
            #[must_use]
            pub fn of_same_spectra(mut self) -> Self {
                self.declared.of_same_spectra = true;
                self
            }

            /// Whether it has to be of the same spectra.
            pub fn is_of_same_spectra(&self) -> bool {
                self.declared.of_same_spectra
            }

            /// Whether its axis is told.
            pub fn has_axis(&self) -> bool {
                self.declared.axis
            }

            /// What was named.
            pub fn path(&self) -> &str {
                &self.declared.path
            }

            /// The results dataset that is meant of a results group.
            pub fn results_dataset(&self) -> Option<&str> {
                self.declared.results.as_deref()
            }

            /// The declared element type; none if that of the file is wanted.
            pub fn element(&self) -> Option<ElementType> {
                self.declared.element
            }

            /// Whether rounding is no loss.
            pub fn is_narrowing(&self) -> bool {
                self.declared.narrowing
            }

            /// The type that numbers of a stored type are handed on as; `None` if they would lose
            /// information.
            pub fn element_for(&self, stored: ElementType) -> Option<ElementType> {
                self.declared.element_for(stored)
            }
        }
    };
}

/// An auxiliary input: a value, spectrum or record for each position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuxiliaryInput {
    declared: Declared,
}

declared!(AuxiliaryInput);

impl AuxiliaryInput {
    fn declared(declared: Declared) -> Self {
        Self { declared }
    }
}

/// A constant: one array for the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstantInput {
    declared: Declared,
    axes: ConstantAxes,
}

declared!(ConstantInput);

/// The axes that a constant has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConstantAxes {
    /// Whatever the file has.
    Any,
    /// Those of a spectrum.
    Spectrum,
    /// Those of a spectrum behind one that numbers them, as a stack of masks has.
    Spectra,
    /// These lengths.
    Lengths(Vec<usize>),
}

impl ConstantInput {
    fn declared(declared: Declared) -> Self {
        Self { declared, axes: ConstantAxes::Any }
    }

    /// It has to have these axes; of those of a single step it may have more or fewer.
    #[must_use]
    pub fn with_axes(mut self, axes: ConstantAxes) -> Self {
        self.axes = axes;
        self
    }

    /// The axes that it has to have.
    pub fn axes(&self) -> &ConstantAxes {
        &self.axes
    }

    /// The shape in which an array of shape `found` is handed on where a spectrum has the shape
    /// `spectrum`. Rows of tables are `flat`: their axes are told elsewhere.
    ///
    /// # Errors
    /// The shape that it has to have, in words, if it hasn't.
    pub fn shape_for(
        &self,
        found: &[usize],
        spectrum: &[usize],
        flat: bool,
    ) -> Result<Vec<usize>, String> {
        let wanted = match &self.axes {
            ConstantAxes::Any => return Ok(found.to_vec()),
            ConstantAxes::Lengths(lengths) => lengths.clone(),
            ConstantAxes::Spectrum => spectrum.to_vec(),
            ConstantAxes::Spectra => {
                // An array that is a spectrum itself is a stack of one.
                let count = if fits(found, spectrum, flat) { 1 } else { count_of(found, spectrum) };
                [&[count], spectrum].concat()
            }
        };
        let told = match &self.axes {
            ConstantAxes::Spectra => format!("{spectrum:?} behind an axis that numbers them"),
            _ => format!("{wanted:?}"),
        };
        fits(found, &wanted, flat).then_some(wanted).ok_or(told)
    }
}

/// How many spectra an array of this shape may hold.
fn count_of(found: &[usize], spectrum: &[usize]) -> usize {
    found.iter().product::<usize>() / spectrum.iter().product::<usize>().max(1)
}

/// Whether the axes of more than one step are the same, or the last of `found` is all those of
/// `wanted` in one.
fn fits(found: &[usize], wanted: &[usize], flat: bool) -> bool {
    let long = |shape: &[usize]| shape.iter().copied().filter(|axis| *axis != 1).collect();
    let (found, wanted): (Vec<usize>, Vec<usize>) = (long(found), long(wanted));
    let in_one = |from: usize| {
        let last: usize = wanted[from..].iter().product();
        found.len() == from + 1 && found[..from] == wanted[..from] && found[from] == last
    };
    found == wanted || flat && (0..wanted.len()).any(in_one)
}

/// An array for the whole run, as a process gets it.
#[derive(Clone)]
pub struct ConstantArray {
    /// Path of the dataset in its file, or the file's name if it is NumPy's.
    pub path: String,
    /// Lengths of its axes, slowest first.
    pub shape: Vec<usize>,
    /// Of what type its values are handed on.
    pub element: ElementType,
    /// The fastest of its axes, if [that was asked for](ConstantInput::with_axis) and the file has
    /// one.
    pub axis: Option<dimension::Dimension>,
    bytes: Arc<AlignedBytes>,
}

impl ConstantArray {
    /// The array that lies in `stored` bytes, as values of type `element`.
    pub fn new(
        path: impl Into<String>,
        shape: Vec<usize>,
        (bytes, stored): (&[u8], StoredType),
        element: ElementType,
    ) -> Self {
        let mut converted = AlignedBytes::default();
        convert_into(bytes, stored, element, &mut converted);
        Self { path: path.into(), shape, element, axis: None, bytes: Arc::new(converted) }
    }

    /// The same with its fastest axis.
    #[must_use]
    pub fn along(self, axis: Option<dimension::Dimension>) -> Self {
        Self { axis, ..self }
    }

    /// Its values in this machine's byte order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its values, the last axis' side by side.
    ///
    /// # Errors
    /// If they are of another type.
    pub fn values<T: Element>(&self) -> Result<&[T], Failure> {
        typed(&self.bytes, self.element).ok_or_else(|| {
            let path = &self.path;
            Failure::new(format!("`{path}` is taken as {}, not as {}", self.element, T::TYPE))
        })
    }

    /// It as an array with its own axes.
    ///
    /// # Errors
    /// If its values are of another type, or it has another number of axes.
    pub fn array<T: Element, D: Dimension>(&self) -> Result<ArrayView<'_, T, D>, Failure> {
        arrays::view(self.values()?, None, &self.shape, "the constant")
    }
}

impl fmt::Debug for ConstantArray {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, shape, element, axis: _, bytes: _ } = self;
        write!(formatter, "`{path}`: {element} {shape:?}")
    }
}

/// Values that lie in memory, if they are of type `T`.
#[inline]
pub(crate) fn typed<T: Element>(bytes: &AlignedBytes, element: ElementType) -> Option<&[T]> {
    if element == T::TYPE { bytemuck::try_cast_slice(bytes).ok() } else { None }
}

/// Puts the values in `bytes` into `out`, as ones of type `element`.
pub(crate) fn convert_into(
    bytes: &[u8],
    stored: StoredType,
    element: ElementType,
    out: &mut AlignedBytes,
) {
    use num_complex::{Complex32, Complex64};
    let convert = match handed_on(element) {
        ElementType::Int8 => convert_to::<i8>,
        ElementType::Int16 => convert_to::<i16>,
        ElementType::Int32 => convert_to::<i32>,
        ElementType::Int64 => convert_to::<i64>,
        ElementType::UInt8 => convert_to::<u8>,
        ElementType::UInt16 => convert_to::<u16>,
        ElementType::UInt32 => convert_to::<u32>,
        ElementType::UInt64 => convert_to::<u64>,
        ElementType::Float16 | ElementType::BFloat16 | ElementType::Float32 => convert_to::<f32>,
        ElementType::Float64 => convert_to::<f64>,
        ElementType::Complex64 => convert_to::<Complex32>,
        ElementType::Complex128 => convert_to::<Complex64>,
    };
    convert(bytes, stored, out);
}

fn convert_to<T: Element>(bytes: &[u8], stored: StoredType, out: &mut AlignedBytes) {
    let count = bytes.len() / stored.element.size();
    out.resize(count * size_of::<T>());
    // Block by block, so that a large array isn't in memory once more.
    let mut values: Vec<T> = Vec::with_capacity(count.min(BLOCK));
    let blocks = out.chunks_mut(BLOCK * size_of::<T>());
    for (block, out) in bytes.chunks(BLOCK * stored.element.size()).zip(blocks) {
        values.clear();
        append(block, stored, &mut values);
        out.copy_from_slice(bytemuck::cast_slice(&values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2};
    use num_complex::Complex32;

    #[test]
    fn an_input_is_named_with_its_file_or_without() {
        let here = |path: &str| InputPath::Here(path.to_owned());
        let in_file =
            |file: &str, path: &str| InputPath::InFile { file: file.into(), path: path.to_owned() };
        for (text, expected) in [
            ("/Group/dark", here("/Group/dark")),
            ("SHO_Fit", here("SHO_Fit")),
            ("SHO_Fit/Guess", here("SHO_Fit/Guess")),
            ("other.h5:/Group/dark", in_file("other.h5", "/Group/dark")),
            ("/data/other.h5:/dark", in_file("/data/other.h5", "/dark")),
            ("../other.h5:SHO_Fit/Fit", in_file("../other.h5", "SHO_Fit/Fit")),
            ("other.h5:/dark.npy", in_file("other.h5", "/dark.npy")),
            ("dark.npy", InputPath::Npy("dark.npy".into())),
            ("/a:b/DARK.NPY", InputPath::Npy("/a:b/DARK.NPY".into())),
            ("12:30.npy", InputPath::Npy("12:30.npy".into())),
            (":/dark", here(":/dark")),
            ("other.h5:", here("other.h5:")),
        ] {
            assert_eq!(InputPath::from(text), expected, "{text}");
        }
    }

    #[test]
    fn a_declared_type_is_had_without_loss_or_not_at_all() {
        use ElementType::{Complex64, Float16, Float32, Float64, Int32, UInt16};
        let single = AuxiliaryInput::of::<f32>("/a");
        assert_eq!(single.element_for(UInt16), Some(Float32));
        assert_eq!(single.element_for(Float64), None);
        assert_eq!(single.clone().narrowing().element_for(Float64), Some(Float32));
        assert_eq!(AuxiliaryInput::of::<f64>("/a").element_for(Complex64), None);
        let stored = ConstantInput::as_stored("/a");
        for (element, handed) in [(Complex64, Complex64), (Int32, Int32), (Float16, Float32)] {
            assert_eq!(stored.element_for(element), Some(handed));
        }
    }

    #[test]
    fn a_constant_has_the_axes_of_the_spectrum_but_for_single_steps() {
        let frame = [4, 6];
        let shape = |axes: ConstantAxes, found: &[usize], flat| {
            ConstantInput::of::<f32>("/a").with_axes(axes).shape_for(found, &frame, flat)
        };
        use ConstantAxes::{Any, Lengths, Spectra, Spectrum};
        assert_eq!(shape(Spectrum, &[4, 6], false), Ok(vec![4, 6]));
        assert_eq!(shape(Spectrum, &[1, 4, 6], false), Ok(vec![4, 6]));
        assert_eq!(shape(Spectrum, &[1, 24], true), Ok(vec![4, 6]));
        assert_eq!(shape(Spectrum, &[24], false), Err("[4, 6]".to_owned()));
        assert_eq!(shape(Spectrum, &[6, 4], true), Err("[4, 6]".to_owned()));
        assert_eq!(shape(Spectra, &[3, 4, 6], false), Ok(vec![3, 4, 6]));
        assert_eq!(shape(Spectra, &[4, 6], false), Ok(vec![1, 4, 6]));
        assert_eq!(shape(Spectra, &[3, 24], true), Ok(vec![3, 4, 6]));
        assert!(shape(Spectra, &[3, 6, 4], true).unwrap_err().contains("[4, 6] behind"));
        assert_eq!(shape(Lengths(vec![2]), &[2, 1], false), Ok(vec![2]));
        assert!(shape(Lengths(vec![2]), &[3], false).is_err());
        assert_eq!(shape(Any, &[5, 1], false), Ok(vec![5, 1]));
    }

    #[test]
    fn a_constant_is_seen_as_what_it_is_and_as_nothing_else() {
        let stored = StoredType { element: ElementType::Int16, swapped: false };
        let bytes: Vec<u8> =
            [1i16, -2, 3, 4].iter().flat_map(|value| value.to_ne_bytes()).collect();
        let constant =
            ConstantArray::new("/a", vec![2, 2], (&bytes, stored), ElementType::Complex64);
        assert_eq!(constant.values::<Complex32>().unwrap()[1], Complex32::new(-2.0, 0.0));
        assert_eq!(constant.array::<Complex32, Ix2>().unwrap()[[1, 0]].re, 3.0);
        assert!(constant.array::<Complex32, Ix1>().is_err());
        let told = constant.values::<f32>().unwrap_err().to_string();
        assert!(told.contains("complex64, not as float32"), "{told}");
    }
}

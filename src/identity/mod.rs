//! What makes two results the same: everything that a computation is given, in canonical JSON, and
//! the hash of it.
//!
//! A process is handed what it computes with by [`Hashed`] alone, which makes the identity from the
//! very same values, taken apart field by field: a new field that isn't hashed doesn't compile.
//! `canonical` is the JSON, `same` the rule for reuse, `same_spectra` that for inputs,
//! `whereabouts` where a source is, `difference` what tells two computations apart.
//!
//! The rule is strict on purpose. pyUSID matches names by substring and numbers by `allclose`, and
//! overlooks extra parameters, changed data and other source files; each of these hands out wrong
//! results in silence.

mod axis_values;
pub(crate) mod difference;
mod promised;
mod same;
mod same_spectra;
mod whereabouts;

use std::convert::Infallible;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) use difference::{Difference, first_difference};
use pixelmill_core::canonical::canonical;
pub(crate) use promised::{is_promised, is_provisional, promised};
pub(crate) use same::{is_same, unlike, whereabouts_of};
pub(crate) use same_spectra::SpectraIdentity;
pub(crate) use whereabouts::{
    OtherFile, SourceLocation, Whereabouts, recorded_files, recorded_ways, relative,
};

use crate::hex::hex;
use crate::source::{ExcerptIdentity, Seen, Source};
use crate::storage::decoding::Decoding;
use crate::storage::marks::windows;
use crate::storage::rows::Rows;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::{ElementType, StoredType};
use pixelmill_core::failure::Failure;
use pixelmill_core::inputs::ConstantArray;
use pixelmill_core::kernel::{Edges, Halo, Kernel, Prepared};
use pixelmill_core::positions::Positions;
use pixelmill_core::source_info::{AuxiliaryInfo, SourceInfo};

/// Everything that a result depends on. The order is that in which differences are told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Identity {
    pub process: String,
    pub process_version: u32,
    /// All parameters, defaults included.
    pub parameters: Value,
    /// The numbers that are computed with, where they aren't settled by the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<InputIdentity>,
    /// That the user lets values be rounded that otherwise weren't.
    #[serde(skip_serializing_if = "Rounding::is_unasked")]
    allow_rounding: Rounding,
    /// The field of the source's records that is computed on, if it holds records.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The values of positions on the axes of the scan, if they are computed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    position_values: Option<String>,
    source: SourceIdentity,
    pub auxiliary_inputs: Vec<AuxiliaryIdentity>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    constant_inputs: Vec<ConstantIdentity>,
    /// The neighbours of each position that it is computed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<HaloIdentity>,
    /// What is done to all spectra alike before the process sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrections: Option<CorrectionsIdentity>,
    /// The positions that are folded into one answer, unless all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionIdentity>,
    pub source_fingerprint: String,
}

/// What a result depends on of the source, but for the data. Where the file is doesn't count.
#[derive(Clone, Debug, Serialize)]
struct SourceIdentity {
    dataset: String,
    /// What the user wants of the file's axes, and which of them a spectrum runs along, where it
    /// isn't what is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<ExcerptIdentity>,
    #[serde(flatten)]
    stored: StoredIdentity,
    positions: u64,
    spectral_points: usize,
    spectra_per_position: usize,
    quantity: String,
    units: String,
    position_dimensions: Vec<AxisIdentity>,
    /// Which step of which axis each position is, if the scan is no full grid.
    position_steps: Option<String>,
    spectroscopic_dimensions: Vec<AxisIdentity>,
}

/// What a result depends on of an auxiliary input.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuxiliaryIdentity {
    dataset: String,
    fields: Vec<String>,
    columns: usize,
    #[serde(flatten)]
    stored: StoredIdentity,
    /// Of what type its values are handed on, if that isn't `float64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    handed_on_as: Option<String>,
    /// Its fastest axis, if that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    axis: Option<AxisIdentity>,
    pub fingerprint: String,
}

/// What a result depends on of what is done to all spectra alike.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CorrectionsIdentity {
    #[serde(skip_serializing_if = "Option::is_none")]
    dark: Option<ConstantIdentity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gain: Option<ConstantIdentity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_mask: Option<ConstantIdentity>,
    /// By their numbers in a row of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_list: Option<Vec<u64>>,
}

impl CorrectionsIdentity {
    /// Of a dark, a gain and a mask of dead pixels, or a list of these.
    pub fn of(arrays: [Option<ConstantIdentity>; 3], dead_list: Option<Vec<u64>>) -> Self {
        let [dark, gain, dead_mask] = arrays;
        Self { dark, gain, dead_mask, dead_list }
    }
}

/// What a result depends on of a constant: all that is handed on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConstantIdentity {
    dataset: String,
    shape: Vec<usize>,
    element_type: String,
    /// Its fastest axis, if that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    axis: Option<AxisIdentity>,
    /// Of all values.
    sha256: String,
}

/// The neighbours that a kernel computes with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HaloIdentity {
    edges: Edges,
    count: usize,
    /// Of all offsets, in their order.
    sha256: String,
    /// Steps of a bin along each axis of the scan, if the positions of a bin are computed as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    bins: Option<Vec<u64>>,
}

impl HaloIdentity {
    pub fn of(halo: &Halo) -> Self {
        let steps = halo.offsets().iter().flatten();
        let bytes: Vec<u8> = steps.flat_map(|step| step.to_le_bytes()).collect();
        let (edges, count) = (halo.edges(), halo.offsets().len());
        let bins = halo.steps_of_bins().map(<[u64]>::to_vec);
        Self { edges, count, sha256: hex(&Sha256::digest(bytes)), bins }
    }
}

/// The positions that are folded into one answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SelectionIdentity {
    pub positions: u64,
    /// Of a byte for each position, 1 if it is selected.
    pub sha256: String,
}

impl SelectionIdentity {
    /// Of the selected ones of so many positions: `narrow` takes those out of marks, of which the
    /// first is that of a position, that aren't selected.
    ///
    /// # Errors
    /// Those of `narrow`.
    pub fn of<E>(
        positions: u64,
        mut narrow: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (mut count, mut hash) = (0, Sha256::new());
        for window in windows(positions) {
            let mut marks = vec![1; (window.end - window.start) as usize];
            narrow(window.start, &mut marks)?;
            count += marks.iter().map(|mark| u64::from(*mark)).sum::<u64>();
            hash.update(&marks);
        }
        Ok(Self { positions: count, sha256: hex(&hash.finalize()) })
    }

    /// Of those of so many positions that a kernel is told.
    pub fn told(positions: u64, selected: &Positions) -> Self {
        let Ok(told) = Self::of::<Infallible>(positions, |first, marks| {
            marks.fill(0);
            selected.mark(first, marks, 1);
            Ok(())
        });
        told
    }
}

/// The numbers that a kernel has chosen to compute with.
#[derive(Clone, Debug, Serialize)]
struct InputIdentity {
    element_type: String,
    narrowing: bool,
}

/// Whether the user lets values be rounded where this makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// Nobody asked for it, or it makes none.
    Unasked,
    Allowed,
}

/// How a dataset is stored, as far as it decides what its bytes mean.
#[derive(Clone, Debug, Serialize)]
struct StoredIdentity {
    shape: Vec<u64>,
    /// Which axes are positions, slowest first.
    position_axes: Vec<usize>,
    element_type: String,
    byte_order: &'static str,
    #[serde(flatten)]
    decoding: Decoding,
}

/// One axis, value by value.
#[derive(Clone, Debug, Serialize)]
struct AxisIdentity {
    name: String,
    units: String,
    length: usize,
    values: Value,
    binned: bool,
}

/// What a kernel is given, and the identity that it makes. There is no other way to give it
/// anything.
pub(crate) struct Hashed<'a> {
    kernel: &'a dyn Kernel,
    /// The source with the axes that a spectrum runs along and no others.
    info: &'a SourceInfo,
}

impl<'a> Hashed<'a> {
    /// Takes the kernel, which has its parameters, and the source, and tells what results depend
    /// on; the fingerprint of the source is still to be added.
    pub fn new(
        kernel: &'a dyn Kernel,
        (source, spectrum): (&Source, &'a SourceInfo),
        spectra_per_position: usize,
        auxiliary_inputs: Vec<AuxiliaryIdentity>,
        rounding: Rounding,
    ) -> (Self, Identity) {
        let identity = Identity {
            process: kernel.name().to_owned(),
            process_version: kernel.version(),
            parameters: kernel.parameters().clone().into(),
            input: InputIdentity::of(kernel),
            allow_rounding: rounding,
            field: source.field.clone(),
            position_values: kernel.wants_coordinates().then(|| {
                let own = source.grid.own_values_digest();
                own.unwrap_or_else(|| "those of the axes".to_owned())
            }),
            source: SourceIdentity::of(source, spectra_per_position),
            auxiliary_inputs,
            constant_inputs: source.info.constants.iter().map(ConstantIdentity::of).collect(),
            neighbours: None,
            corrections: None,
            selection: spectrum
                .selected
                .as_ref()
                .map(|selected| SelectionIdentity::told(spectrum.positions, selected)),
            source_fingerprint: String::new(),
        };
        (Self { kernel, info: spectrum }, identity)
    }

    /// Lets the kernel prepare itself.
    ///
    /// # Errors
    /// If it can't work on this source.
    pub fn prepare(&self) -> Result<Box<dyn Prepared>, Failure> {
        self.kernel.prepare(self.info)
    }
}

impl Identity {
    /// RFC 8785 canonical JSON.
    pub fn canonical_json(&self) -> String {
        canonical(serde_json::to_value(self).unwrap_or_default())
    }

    /// The same, but for the data themselves.
    pub fn without_data(&self) -> Self {
        let mut outline = self.clone();
        outline.source_fingerprint.clear();
        for input in &mut outline.auxiliary_inputs {
            input.fingerprint.clear();
        }
        outline
    }

    /// The same with what stands for the fingerprints of auxiliary inputs, where something does.
    pub fn with_promised(&self, promised: &[Option<String>]) -> Self {
        let mut identity = self.clone();
        for (input, promised) in identity.auxiliary_inputs.iter_mut().zip(promised) {
            if let Some(promised) = promised {
                input.fingerprint.clone_from(promised);
            }
        }
        identity
    }

    /// What of it a group can't record that has no hash, in words: it knows the process, the
    /// parameters and the dataset, with its first axis as the positions. Taken apart field by
    /// field, so that a new one is either known to be a fact of these or told here.
    pub fn beyond_parameters(&self) -> Option<&'static str> {
        let Self {
            process: _,
            process_version: _,
            parameters: _,
            input,
            allow_rounding,
            field,
            position_values,
            source,
            auxiliary_inputs,
            constant_inputs,
            neighbours,
            corrections,
            selection,
            // Whether the data are those that are there now nobody knows; whoever goes on says so.
            source_fingerprint: _,
        } = self;
        let SourceIdentity {
            dataset: _,
            excerpt,
            stored:
                StoredIdentity { shape: _, position_axes, element_type: _, byte_order: _, decoding: _ },
            positions: _,
            spectral_points: _,
            spectra_per_position: _,
            quantity: _,
            units: _,
            position_dimensions: _,
            position_steps: _,
            spectroscopic_dimensions: _,
        } = source;
        let asked = [
            (corrections.is_some(), "corrections"),
            (excerpt.is_some(), "a part of the axes, or an order of them"),
            (field.is_some(), "the field of records"),
            (*allow_rounding != Rounding::Unasked, "whether values may be rounded"),
            (input.is_some(), "the numbers that are computed with"),
            (position_values.is_some(), "the values of the positions"),
            (!auxiliary_inputs.is_empty() || !constant_inputs.is_empty(), "inputs"),
            (neighbours.is_some(), "neighbours"),
            (selection.is_some(), "which positions are folded"),
            (*position_axes != [0], "which axes are positions"),
        ];
        asked.into_iter().find_map(|(is_asked, what)| is_asked.then_some(what))
    }

    /// SHA-256 of the canonical JSON, as hexadecimal digits.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.canonical_json()))
    }
}

impl InputIdentity {
    fn of(kernel: &dyn Kernel) -> Option<Self> {
        let chosen = kernel.wants().input.chosen_for(kernel.name(), kernel.version());
        chosen.map(|(element, narrowing)| Self { element_type: element.to_string(), narrowing })
    }
}

impl Rounding {
    fn is_unasked(&self) -> bool {
        *self == Self::Unasked
    }
}

impl Serialize for Rounding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self == Self::Allowed)
    }
}

impl SourceIdentity {
    fn of(source: &Source, spectra_per_position: usize) -> Self {
        // What the file is called and in which format it says all this makes no difference, nor do
        // the tables that results refer to: the grid has been read from them.
        let Source {
            file: _,
            format: _,
            tables: _,
            is_linked: _,
            notes: _,
            // Its positions are those of the file until this is told; `neighbours` tells of bins.
            is_binned: _,
            // Told beside it.
            field: _,
            info,
            grid,
            stored,
            rows,
            seen: Seen { along: _, lengths: _, asked },
        } = source;
        let SourceInfo {
            path,
            positions,
            spectral_points,
            element,
            quantity,
            units,
            position_dimensions,
            spectroscopic_dimensions,
            // Told by the identities of the inputs, of the corrections and of the selection.
            auxiliary: _,
            constants: _,
            is_corrected: _,
            selected: _,
        } = info;
        debug_assert_eq!(*element, stored.element, "it is told once");
        let axes = |axes: &[Dimension]| axes.iter().map(AxisIdentity::of).collect();
        Self {
            dataset: path.clone(),
            stored: StoredIdentity::of(rows, *stored),
            positions: *positions,
            spectral_points: *spectral_points,
            spectra_per_position,
            quantity: quantity.clone(),
            units: units.clone(),
            position_dimensions: axes(position_dimensions),
            position_steps: grid.digest(),
            spectroscopic_dimensions: axes(spectroscopic_dimensions),
            // How many axes a spectrum runs along follows from it and from the process.
            excerpt: asked.clone(),
        }
    }
}

impl AuxiliaryIdentity {
    /// What results depend on of an input that is read from `rows`, with the fingerprint of its
    /// data.
    pub fn of(info: &AuxiliaryInfo, rows: &Rows, stored: StoredType, fingerprint: String) -> Self {
        // Its axes follow from the shape, from those of them that are positions, and from the
        // fields.
        let AuxiliaryInfo { path, element, columns, fields, shape: _, axis } = info;
        Self {
            dataset: path.clone(),
            stored: StoredIdentity::of(rows, stored),
            columns: *columns,
            fields: fields.clone(),
            handed_on_as: (*element != ElementType::Float64).then(|| element.to_string()),
            axis: axis.as_ref().map(AxisIdentity::of),
            fingerprint,
        }
    }
}

impl ConstantIdentity {
    /// What results depend on of an array.
    pub fn of(array: &ConstantArray) -> Self {
        Self {
            dataset: array.path.clone(),
            shape: array.shape.clone(),
            element_type: array.element.to_string(),
            axis: array.axis.as_ref().map(AxisIdentity::of),
            sha256: hex(&Sha256::digest(array.bytes())),
        }
    }
}

impl StoredIdentity {
    fn of(rows: &Rows, stored: StoredType) -> Self {
        let StoredType { element, swapped } = stored;
        let is_big_endian = swapped != cfg!(target_endian = "big");
        Self {
            shape: rows.view().shape.clone(),
            position_axes: rows.view().positions.clone(),
            element_type: element.to_string(),
            byte_order: if is_big_endian { "big" } else { "little" },
            decoding: rows.decoding().clone(),
        }
    }
}

impl AxisIdentity {
    fn of(axis: &Dimension) -> Self {
        let Dimension { name, units, values, binned } = axis;
        Self {
            name: name.clone(),
            units: units.clone(),
            length: axis.len(),
            values: axis_values::axis_values(values),
            binned: *binned,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::storage::results_group::Provenance;
    use serde_json::json;

    /// An identity made by hand.
    pub(crate) fn identity(parameters: Value) -> Identity {
        let axis = |name: &str, values: &[f64]| {
            AxisIdentity::of(&Dimension::new(name, "um", values.to_vec()))
        };
        Identity {
            process: "Peak_Finding".into(),
            process_version: 1,
            parameters,
            input: None,
            allow_rounding: Rounding::Unasked,
            field: None,
            position_values: None,
            source: SourceIdentity {
                dataset: "/Measurement_000/Channel_000/Raw_Data".into(),
                stored: StoredIdentity {
                    shape: vec![6, 2],
                    position_axes: vec![0],
                    element_type: "float32".into(),
                    byte_order: "little",
                    decoding: Decoding::new("float".into(), None, &[], Some(&[0; 4])),
                },
                positions: 6,
                spectral_points: 2,
                spectra_per_position: 1,
                quantity: "Response".into(),
                units: "V".into(),
                position_dimensions: vec![axis("Y", &[0.0, 1.0]), axis("X", &[0.0, 0.5, 1.0])],
                position_steps: None,
                spectroscopic_dimensions: vec![axis("Frequency", &[0.0, 1.0])],
                excerpt: None,
            },
            auxiliary_inputs: Vec::new(),
            constant_inputs: Vec::new(),
            neighbours: None,
            corrections: None,
            selection: None,
            source_fingerprint: "ab".into(),
        }
    }

    #[test]
    fn the_order_in_which_parameters_were_given_does_not_matter() {
        let one = identity(json!({"b": 1, "a": 20.0, "c": null}));
        let other = identity(json!({"c": null, "a": 20, "b": 1.0}));
        assert_eq!(one.hash(), other.hash());
        assert!(one.canonical_json().contains(r#""parameters":{"a":20,"b":1,"c":null}"#));
    }

    #[test]
    fn everything_a_result_depends_on_changes_the_hash() {
        let base = identity(json!({"a": 1, "b": 0.0}));
        let mut hashes = vec![base.hash()];
        hashes.push(identity(json!({"a": 1.0000000000000002, "b": 0.0})).hash());
        hashes.push(identity(json!({"a": 1, "b": -0.0})).hash());
        let axis = |values: &[f64]| AxisIdentity::of(&Dimension::new("Y", "um", values.to_vec()));
        let input = |element: &str, narrowing| {
            Some(InputIdentity { element_type: element.into(), narrowing })
        };
        let seen = |along| Some(ExcerptIdentity::new(vec![vec![0, 2, 1]], vec![0], along));
        let halo = |steps: [i64; 2], edges| {
            Some(HaloIdentity::of(&Halo::new(vec![steps.to_vec()], edges)))
        };
        let changes: [&dyn Fn(&mut Identity); 32] = [
            &|i| i.neighbours = halo([0, 1], Edges::Reflect),
            &|i| i.neighbours = halo([1, 0], Edges::Reflect),
            &|i| i.neighbours = halo([1, 0], Edges::Missing),
            &|i| i.neighbours = halo([-1, 0], Edges::Missing),
            &|i| i.source.excerpt = seen(0),
            &|i| i.source.excerpt = seen(1),
            &|i| i.input = input("float32", false),
            &|i| i.input = input("float32", true),
            &|i| i.input = input("float64", false),
            &|i| i.allow_rounding = Rounding::Allowed,
            &|i| i.field = Some("R".into()),
            &|i| i.position_values = Some("those of the axes".into()),
            &|i| i.position_values = Some("00".into()),
            &|i| i.field = Some("G".into()),
            &|i| i.process.push('x'),
            &|i| i.process_version += 1,
            &|i| i.source.dataset.push('x'),
            &|i| i.source.stored.shape = vec![3, 4],
            &|i| i.source.stored.position_axes = vec![1],
            &|i| i.source.stored.element_type = "int32".into(),
            &|i| i.source.stored.byte_order = "big",
            &|i| i.source.positions = 12,
            &|i| i.source.spectral_points = 3,
            &|i| i.source.spectra_per_position = 2,
            &|i| i.source.quantity.push('x'),
            &|i| i.source.units.push('m'),
            &|i| i.source.position_dimensions[0] = axis(&[-0.0, 1.0]),
            &|i| i.source.position_dimensions.reverse(),
            &|i| i.source.position_steps = Some("00".into()),
            &|i| i.source.spectroscopic_dimensions[0].units.push('x'),
            &|i| i.source.spectroscopic_dimensions[0].binned = true,
            &|i| i.source_fingerprint = "ac".into(),
        ];
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            hashes.push(changed.hash());
        }
        assert_all_differ(hashes);
    }

    #[test]
    fn every_input_changes_the_hash_by_all_that_it_is() {
        let base = identity(json!({}));
        let mut hashes = vec![base.hash()];
        let input = AuxiliaryIdentity {
            dataset: "/Guess".into(),
            stored: base.source.stored.clone(),
            columns: 2,
            fields: vec!["A".into(), "B".into()],
            handed_on_as: None,
            axis: None,
            fingerprint: "00".into(),
        };
        let energy = Dimension::new("E", "eV", vec![0.0, 1.0]);
        let others: [&dyn Fn(&mut AuxiliaryIdentity); 7] = [
            &|_| (),
            &|i| i.handed_on_as = Some("complex64".into()),
            &|i| i.fields.reverse(),
            &|i| i.columns = 1,
            &|i| i.axis = Some(AxisIdentity::of(&energy)),
            &|i| i.stored.position_axes = vec![0, 1],
            &|i| i.fingerprint = "01".into(),
        ];
        for change in others {
            let mut input = input.clone();
            change(&mut input);
            hashes.push(Identity { auxiliary_inputs: vec![input], ..base.clone() }.hash());
        }
        let stored = StoredType { element: ElementType::UInt8, swapped: false };
        let array = |path: &str, shape: &[usize], bytes: &[u8], element| {
            let array = ConstantArray::new(path, shape.to_vec(), (bytes, stored), element);
            ConstantIdentity::of(&array)
        };
        let along = |axis: &[f64]| {
            let axis = Some(Dimension::new("E", "eV", axis.to_vec()));
            let array =
                ConstantArray::new("/dark", vec![2, 2], (&[1, 2, 3, 4], stored), stored.element);
            ConstantIdentity::of(&array.along(axis))
        };
        let single = ElementType::Float32;
        for constant in [
            array("/dark", &[2, 2], &[1, 2, 3, 4], single),
            array("/dart", &[2, 2], &[1, 2, 3, 4], single),
            array("/dark", &[4], &[1, 2, 3, 4], single),
            array("/dark", &[2, 2], &[1, 2, 3, 5], single),
            array("/dark", &[2, 2], &[1, 2, 3, 4], ElementType::Float64),
            array("/dark", &[2, 2], &[1, 2, 3, 4], stored.element),
            along(&[0.0, 1.0]),
            along(&[0.5, 1.5]),
        ] {
            let constant_inputs = vec![constant];
            hashes.push(Identity { constant_inputs, ..base.clone() }.hash());
        }
        assert_all_differ(hashes);
    }

    #[test]
    fn what_only_a_hash_records_is_in_no_group_without_one() {
        let base = identity(json!({}));
        let group = Provenance { tool: base.process.clone(), ..Provenance::default() };
        assert_eq!(unlike(&group, &base), None);
        let array = |path: &str| {
            let stored = StoredType { element: ElementType::UInt8, swapped: false };
            ConstantArray::new(path, vec![1], (&[1], stored), ElementType::UInt8)
        };
        type Change<'c> = (&'c dyn Fn(&mut Identity), &'c str);
        let changes: [Change<'_>; 9] = [
            (
                &|i| i.corrections = Some(CorrectionsIdentity::of([None, None, None], None)),
                "corrections",
            ),
            (&|i| i.source.excerpt = Some(ExcerptIdentity::new(vec![], vec![0], 1)), "the axes"),
            (&|i| i.field = Some("R".into()), "field"),
            (&|i| i.allow_rounding = Rounding::Allowed, "rounded"),
            (
                &|i| {
                    let element_type = "float32".into();
                    i.input = Some(InputIdentity { element_type, narrowing: true });
                },
                "numbers",
            ),
            (&|i| i.position_values = Some("00".into()), "values of the positions"),
            (&|i| i.constant_inputs = vec![ConstantIdentity::of(&array("/a"))], "inputs"),
            (
                &|i| {
                    let halo = Halo::new(vec![vec![0, 1]], Edges::Reflect);
                    i.neighbours = Some(HaloIdentity::of(&halo));
                },
                "neighbours",
            ),
            (&|i| i.source.stored.position_axes = vec![1], "which axes are positions"),
        ];
        for (change, what) in changes {
            let mut changed = base.clone();
            change(&mut changed);
            let told = unlike(&group, &changed).unwrap();
            assert!(told.contains("records nothing of") && told.contains(what), "{told}");
        }
    }

    fn assert_all_differ(mut hashes: Vec<String>) {
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn integers_beyond_exact_floats_stay_apart() {
        let large = identity(json!({"seed": (1u64 << 53) + 1}));
        let larger = identity(json!({"seed": (1u64 << 53) + 2}));
        assert_ne!(large.hash(), larger.hash());
        assert!(large.canonical_json().contains(r#""seed":"9007199254740993""#));
    }
}

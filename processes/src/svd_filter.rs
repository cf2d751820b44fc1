//! Each spectrum rebuilt from some components of an earlier `svd` or `pca`.
//!
//! Most noise is in components of small values; without these a spectrum is Σⱼ uⱼ·sⱼ·vⱼ over the
//! `components` that are kept, of its row u of `U`, of `S` and of `V`, and of `pca` the mean
//! spectrum more (what pycroscopy's `rebuild_svd` and HyperSpy's `get_decomposition_model` give).
//! With Poisson scaling `U` and `V` are of the data as they are, so that nothing has to be undone.
//! Result: `Rebuilt`, with the axes of the source's spectra, in single precision if the source's
//! values fit that, else in double; all is computed in double.
//!
//! The results have to be of the very spectra. Those with other numbers of positions, points or
//! components than fit together are refused, and those that recorded other data, another part of
//! them or other corrections. What is recorded of data is a digest of all of them up to 64 MiB, and
//! of larger ones of a sample. So each uⱼ·sⱼ has to be what the spectrum has of vⱼ as well, all
//! together within 1e-4 of the spectrum: a position fails whose spectrum isn't the one that was
//! decomposed. Of larger data what differs in nothing that the components have isn't noticed.
//! With Poisson scaling it is the sums of spectra that have to be in u₀, which is so by its
//! construction (s₀ is 1), unless s₁ is as large as a half: then nothing is known. A spectrum that
//! isn't finite, or has no result in `U`, fails as well. That nobody has written into the results
//! since, isn't recorded: of `Mean` it shows as far as the components have it.

use pixelmill_core::Results;
use pixelmill_core::process::{
    AuxiliaryInput, ConstantAxes, ConstantInput, Failure, Model, Process, SourceInfo, Spectrum,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::as_source::{Values, is_single};
use crate::products::{add_scaled, dot};
use crate::whole_spectra::square;

/// Which results, and what is kept of them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Path of the results of `svd` or `pca`, `FILE:PATH` of those in another file, or `SVD` or
    /// `PCA` for the newest.
    pub decomposition: String,
    /// How many components are kept, the first ones; or which, as [0, 2, 3], counted from 0; all
    /// if none.
    #[schemars(range(min = 1))]
    pub components: Option<Kept>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { decomposition: "SVD".to_owned(), components: None }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        of(&self.decomposition).map(|_| ())
    }
}

/// Components that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "it has to be a whole number, or a list of these as [0, 2, 3]")]
pub enum Kept {
    /// So many of the first ones.
    First(usize),
    /// These.
    These(Vec<usize>),
}

impl JsonSchema for Kept {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Kept".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "array"] })
    }
}

impl Kept {
    /// The numbers of those that are kept of all.
    fn of_all(kept: Option<&Self>, all: usize) -> Result<Vec<usize>, Failure> {
        let numbers = match kept {
            None => (0..all).collect(),
            Some(Self::First(count)) if *count <= all => (0..*count).collect(),
            Some(Self::First(count)) => {
                let told = format!("there are {all} components, not {count}");
                return Err(Failure::new(told));
            }
            Some(Self::These(numbers)) => numbers.clone(),
        };
        if let Some(none) = numbers.iter().find(|number| **number >= all) {
            let told =
                format!("there are {all} components, counted from 0, and none number {none}");
            return Err(Failure::new(told));
        }
        let twice = |(at, number): (usize, &usize)| numbers[..at].contains(number);
        if numbers.iter().enumerate().any(twice) || numbers.is_empty() {
            let told = "`components` has to name some of them, each once";
            return Err(Failure::new(told));
        }
        Ok(numbers)
    }
}

/// What was decomposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// The scan, by `svd`.
    Scan,
    /// What differs from its mean, by `pca`.
    Difference,
}

/// What results at a path are of, by the name of their process, which is that of their group.
fn of(path: &str) -> Result<Of, Failure> {
    let name = path.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let plain = name.replace('-', "_").to_lowercase();
    let is = |process: &str| {
        let numbered = plain.rsplit_once('_').filter(|(_, number)| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        plain == process
            || numbered.is_some_and(|(group, _)| group.ends_with(&format!("_{process}")))
    };
    match (is("svd"), is("pca")) {
        (true, _) => Ok(Of::Scan),
        (_, true) => Ok(Of::Difference),
        _ => Err(Failure::new(format!(
            "`decomposition` is `{path}`, but has to be `SVD`, `PCA`, or the path of their \
             results, which are called …-SVD_000 or …-PCA_000"
        ))),
    }
}

/// The process `SVD_Filter`.
pub struct SvdFilter;

/// What all spectra share.
pub struct Task {
    /// The numbers of the components that are kept, and S·V of these, row by row.
    kept: Vec<usize>,
    rows: Vec<f64>,
    /// What is added to all.
    mean: Option<Vec<f64>>,
    /// Components in all.
    all: usize,
    known: Option<Known>,
    is_single: bool,
}

/// What spectra are known by: the sums of their values by the weights of some vectors are so many
/// times what they have of the first components, and those of the mean.
struct Known {
    /// One behind the other.
    vectors: Vec<f64>,
    values: Vec<f64>,
    of_mean: Vec<f64>,
    /// The norm of the mean.
    mean: f64,
}

/// How far what a spectrum has of the components may be from what results say, as a part of
/// the spectrum.
const APART: f64 = 1e-4;
/// How far a vector may be from norm 1 that isn't scaled.
const UNIT: f64 = 1e-3;
/// How large the second value may be for the first component of scaled counts to be their sums.
const SECOND: f64 = 0.5;

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    values: Vec<f64>,
}

impl Process for SvdFilter {
    const NAME: &'static str = "SVD_Filter";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "each spectrum rebuilt from components of an earlier svd or pca";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Values;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        let [values, vectors, mean @ ..] = source.constants.as_slice() else {
            return Err(Failure::new("the results have no `S` and `V`"));
        };
        let u = source.auxiliary.first();
        let u = u.ok_or_else(|| Failure::new("the results have no `U`"))?;
        // The newest results of a process have a name of their own.
        if of(group_of(&values.path))? != of(&parameters.decomposition)?
            || source.constants.iter().any(|array| group_of(&array.path) != group_of(&u.path))
        {
            let told = format!("`{}` and `{}` are of different results", u.path, values.path);
            return Err(Failure::new(told));
        }
        let points = source.spectral_points;
        let (s, v) = (values.values::<f64>()?, vectors.values::<f64>()?);
        if s.len() * points != v.len() || s.len() != u.columns || s.is_empty() {
            return Err(Failure::new(format!(
                "`{}` has {} values, `{}` {} spectra and `{}` {} for each position: these are of \
                 different decompositions",
                values.path,
                s.len(),
                vectors.path,
                v.len() / points,
                u.path,
                u.columns
            )));
        }
        let kept = Kept::of_all(parameters.components.as_ref(), s.len())?;
        let mut rows = Vec::with_capacity(kept.len() * points);
        for number in &kept {
            rows.extend(v[number * points..][..points].iter().map(|value| value * s[*number]));
        }
        let mean = mean.first().map(|mean| mean.values::<f64>().map(<[f64]>::to_vec));
        let (mean, is_single) = (mean.transpose()?, is_single(source));
        let known = Known::of(s, (v, points), mean.as_deref());
        Ok(Task { kept, rows, mean, all: s.len(), known, is_single })
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Values>,
    ) {
        let rebuilt = results.main("Rebuilt", &source.quantity, &source.units);
        Values::declare(rebuilt, source, is_single(source));
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Values, Failure> {
        // A spectrum that can't be squared couldn't be decomposed either: that is why it has none.
        let size = square(&spectrum)?.sqrt();
        let u = &spectrum.auxiliary[0][..task.all];
        if !u.iter().all(|amount| amount.is_finite()) {
            return Err(Failure::new("the decomposition has no result for this position"));
        }
        let values = &mut scratch.values;
        if task.known.as_ref().is_some_and(|known| !known.is_of(&spectrum, size, u)) {
            let told = "the spectrum isn't the one that was decomposed: decompose the data as \
                        they are now, with the same corrections and selections";
            return Err(Failure::new(told));
        }
        values.clear();
        match &task.mean {
            Some(mean) => values.extend_from_slice(mean),
            None => values.resize(spectrum.len(), 0.0),
        }
        let rows = task.rows.chunks_exact(spectrum.len());
        task.kept.iter().zip(rows).for_each(|(number, row)| add_scaled(values, u[*number], row));
        let mut rebuilt = Values::default();
        if rebuilt.set(task.is_single, values.iter().copied()) {
            return Ok(rebuilt);
        }
        Err(Failure::new("the rebuilt spectrum has values that are not finite"))
    }

    fn model(_task: &Task, _spectrum: Spectrum<'_, f64>, output: &Values) -> Model {
        Model::new().curve("rebuilt", output.to_vec())
    }

    fn auxiliary_inputs(parameters: &Parameters) -> Vec<AuxiliaryInput> {
        vec![AuxiliaryInput::of::<f64>(parameters.dataset("U")).of_same_spectra()]
    }

    fn constant_inputs(parameters: &Parameters) -> Vec<ConstantInput> {
        let input =
            |name: &str| ConstantInput::of::<f64>(parameters.dataset(name)).of_same_spectra();
        let mut inputs = vec![input("S"), input("V").with_axes(ConstantAxes::Spectra)];
        if of(&parameters.decomposition) == Ok(Of::Difference) {
            inputs.push(input("Mean").with_axes(ConstantAxes::Spectrum));
        }
        inputs
    }

    fn extra_memory_per_position(_parameters: &Parameters, source: &SourceInfo) -> usize {
        8 * source.spectral_points
    }
}

impl Parameters {
    /// The path of one of the results.
    fn dataset(&self, name: &str) -> String {
        format!("{}/{name}", self.decomposition.trim_end_matches('/'))
    }
}

impl Known {
    /// By the values and the vectors of so many points; nothing if it isn't known.
    fn of(
        values: &[f64],
        (vectors, points): (&[f64], usize),
        mean: Option<&[f64]>,
    ) -> Option<Self> {
        let first = &vectors[..points];
        let norm = dot(first, first).sqrt();
        if (norm - 1.0).abs() <= UNIT {
            let of_mean = |vector| mean.map_or(0.0, |mean| dot(mean, vector));
            return Some(Self {
                vectors: vectors.to_vec(),
                values: values.to_vec(),
                of_mean: vectors.chunks_exact(points).map(of_mean).collect(),
                mean: mean.map_or(0.0, |mean| dot(mean, mean).sqrt()),
            });
        }
        let is_known = (values[0] - 1.0).abs() < APART
            && values.get(1).is_none_or(|second| *second < SECOND)
            && mean.is_none();
        let root = (points as f64).sqrt();
        let value = first.iter().sum::<f64>() / root;
        let vectors = vec![1.0 / root; points];
        let (values, of_mean) = (vec![value], vec![0.0]);
        is_known.then_some(Self { vectors, values, of_mean, mean: 0.0 })
    }

    /// Whether a spectrum of this norm has so much of the components.
    fn is_of(&self, spectrum: &[f64], size: f64, u: &[f64]) -> bool {
        let each = self.vectors.chunks_exact(spectrum.len()).zip(&self.values);
        let squares = each.zip(self.of_mean.iter().zip(u)).map(|((vector, value), (mean, u))| {
            let apart = dot(spectrum, vector) - mean - u * value;
            apart * apart
        });
        squares.sum::<f64>().sqrt() <= APART * (size + self.mean)
    }
}

/// The path of the group that a dataset is in.
fn group_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_was_decomposed() {
        for path in ["SVD", "svd", "out.h5:SVD", "/a/Raw_Data-SVD_003", "out.h5:/data-SVD_000/"] {
            assert_eq!(of(path), Ok(Of::Scan), "{path}");
        }
        for path in ["PCA", "out.h5:pca", "/PCA-PCA_000", "/SVD-PCA_012"] {
            assert_eq!(of(path), Ok(Of::Difference), "{path}");
        }
        for path in ["", "NMF", "/a/mine", "/data-SVD_000/U", "/data-SVD", "PCA_", "/XPCA_000"] {
            assert!(of(path).is_err(), "{path}");
        }
    }

    #[test]
    fn components_are_kept_by_number_or_by_name() {
        let kept = |kept: Option<Kept>| Kept::of_all(kept.as_ref(), 4);
        assert_eq!(kept(None), Ok(vec![0, 1, 2, 3]));
        assert_eq!(kept(Some(Kept::First(2))), Ok(vec![0, 1]));
        assert_eq!(kept(Some(Kept::These(vec![3, 0]))), Ok(vec![3, 0]));
        for (wrong, told) in [
            (Kept::First(5), "there are 4 components, not 5"),
            (Kept::First(0), "some of them, each once"),
            (Kept::These(vec![4]), "none number 4"),
            (Kept::These(vec![1, 1]), "some of them, each once"),
            (Kept::These(vec![]), "some of them, each once"),
        ] {
            let refused = kept(Some(wrong)).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn a_spectrum_of_other_data_is_noticed() {
        let is_of = |known: &Known, spectrum: [f64; 2], u: &[f64]| {
            known.is_of(&spectrum, dot(&spectrum, &spectrum).sqrt(), u)
        };
        let known = Known::of(&[10.0], (&[0.6, 0.8], 2), None).unwrap();
        assert!(is_of(&known, [3.0, 4.0], &[0.5]));
        assert!(!is_of(&known, [3.0, 4.1], &[0.5]));
        let known = Known::of(&[10.0], (&[0.6, 0.8], 2), Some(&[1.0, 1.0])).unwrap();
        assert!(is_of(&known, [4.0, 5.0], &[0.5]));
        assert!(!is_of(&known, [3.0, 4.0], &[0.5]));
        // It has as much as before of the first component, and more of the second.
        let known = Known::of(&[10.0, 2.0], (&[0.6, 0.8, 0.8, -0.6], 2), None).unwrap();
        assert!(is_of(&known, [3.8, 3.4], &[0.5, 0.5]));
        assert!(!is_of(&known, [4.6, 2.8], &[0.5, 0.5]));
        // Of scaled counts whose points have the sums 9 and 16 the first vector is (9, 16)/5.
        let known = Known::of(&[1.0, 0.1], (&[1.8, 3.2, 0.0, 0.0], 2), None).unwrap();
        assert!(is_of(&known, [1.0, 4.0], &[1.0, 0.0]));
        assert!(!is_of(&known, [1.0, 5.0], &[1.0, 0.0]));
        assert!(Known::of(&[1.0, 0.7], (&[1.8, 3.2, 0.0, 0.0], 2), None).is_none());
    }
}

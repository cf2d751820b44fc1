//! Singular value decomposition of a scan, out of core: `svd`, and `pca`, which is the same of what
//! differs from the mean spectrum.
//!
//! A scan A (positions × points), from which `pca` takes the mean of all spectra, is U·diag(S)·V
//! with orthonormal columns of U and rows of V; the largest `components` values of S are found,
//! with the parts of U and V that belong to them. Names and layout are those of pycroscopy's `SVD`:
//! `U` (positions × components) without units, `S` (components) in units of the data, `V`
//! (components × the axes of a spectrum). Of n positions `Explained_Variance` is S²/n, as HyperSpy
//! has it, and `Explained_Variance_Ratio` S²/‖A‖², its part of all. Signs are such that the largest
//! value of each row of V, without its sign, is positive. `Elbow` is how many components come
//! before the point of the logarithm of the ratio that is farthest below the line from its first to
//! its last point (V. Satopää et al., ICDCSW 2011, 166).
//!
//! It is a randomised block Krylov method (N. Halko, P. G. Martinsson and J. A. Tropp, SIAM Rev. 53
//! (2011) 217; see `krylov`): each pass over the data multiplies AᵀA by some more vectors than
//! there are components, the first of them by chance (`seed`), until no explained variance has
//! changed by more than `tolerance` of itself, or after `passes`. One more pass gives U. `Residual`
//! is ‖AᵀAv − S²v‖/S² of each row v of V: some exact S² is that near, relatively. Components that
//! stand out of the noise are found in three or four passes; those within it take many, since there
//! all are alike.
//!
//! With `poisson` the data are counts, and each value is divided by the square roots of the sums of
//! its position and of its point (M. R. Keenan and P. G. Kotula, Surf. Interface Anal. 36 (2004)
//! 203), so that the noise is the same everywhere. U and V are given for the data as they are:
//! U·diag(S)·V is near A, while S, which is of the scaled data, has no units.
//!
//! All is in double precision. A spectrum with a value that is no number fails, and with `poisson`
//! one with a negative value. Where S is 0, as beyond the rank of A, so is U.

mod elbow;
pub(crate) mod krylov;
pub(crate) mod scale;

use std::sync::Arc;

use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{
    Buffer, Buffers, Parts, Pass, Passed, Passes, Reduction, Tile, Whole,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::products::{add, add_outer};
use crate::weights::Weights;
use crate::whole_spectra::{TOGETHER, at_a_time, fold_together};
use krylov::{Krylov, Ritz};
use scale::{COUNTS, Scale, Scaled};

/// How many components, and how exactly.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many components there are.
    #[schemars(range(min = 1, max = 10_000))]
    pub components: usize,
    /// Whether the data are counts, which are scaled so that their noise is the same everywhere.
    pub poisson: bool,
    /// How much an explained variance may still change from one pass to the next, as a part of
    /// itself.
    #[schemars(range(min = 0, max = 1))]
    pub tolerance: f64,
    /// After how many passes it has to be enough.
    #[schemars(range(min = 1, max = 10_000))]
    pub passes: u32,
    /// What chance begins with.
    pub seed: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { components: 10, poisson: false, tolerance: 1e-5, passes: 8, seed: 0 }
    }
}

impl Checked for Parameters {}

/// Vectors more than components.
const MORE: usize = 8;
/// What of the largest S² counts as nothing.
const NOTHING: f64 = 1e-13;

/// The reductions `SVD` and, centred, `PCA`.
pub struct Decomposition<const CENTERED: bool>;

/// The reduction `SVD`.
pub type Svd = Decomposition<false>;
/// The reduction `PCA`.
pub type Pca = Decomposition<true>;

/// What is folded, and what the passes before have found.
pub struct Task {
    folded: Folded,
    parameters: Parameters,
    sizes: Sizes,
    stage: Stage,
    /// What spectra are taken from, or divided by, if they are.
    scale: Scale,
    found: Found,
}

/// Values of a spectrum, vectors of a block, and components.
#[derive(Clone, Copy)]
struct Sizes {
    points: usize,
    block: usize,
    components: usize,
}

/// What a pass does.
enum Stage {
    /// It sums up what spectra are scaled by.
    Sum,
    /// It multiplies by the newest block.
    Multiply { krylov: Arc<Krylov>, weights: Weights },
    /// It projects spectra onto the components.
    Project { values: Vec<f64>, residuals: Vec<f64>, vectors: Arc<Vec<f64>>, weights: Weights },
}

/// What passes have found.
#[derive(Clone, Default)]
struct Found {
    /// How many passes have multiplied.
    passes: u32,
    /// Spectra, and the sum of the squares of all their values.
    spectra: f64,
    energy: f64,
    /// S² of the pass before.
    values: Vec<f64>,
}

/// The buffers.
#[derive(Clone, Copy)]
struct Folded {
    products: Buffer<f64>,
    sums: Buffer<f64>,
    spectra: Buffer<u64>,
    energy: Buffer<f64>,
    u: Buffer<f64>,
    s: Buffer<f64>,
    v: Buffer<f64>,
    variance: Buffer<f64>,
    ratio: Buffer<f64>,
    residual: Buffer<f64>,
    elbow: Buffer<u64>,
    mean: Option<Buffer<f64>>,
}

impl Folded {
    fn new(
        source: &SourceInfo,
        sizes: Sizes,
        (centered, poisson): (bool, bool),
        buffers: &mut Buffers,
    ) -> Self {
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let units = if poisson { "" } else { units };
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let component = || vec![Dimension::counted("Component", sizes.components)];
        let vectors = || vec![Dimension::counted("Vector", sizes.block)];
        let spectra = [component(), source.spectroscopic_dimensions.clone()].concat();
        let mut each = |name: &str, quantity: &str, units: &str| {
            buffers.single(name).along(component()).at_end(quantity, units)
        };
        let s = each("S", quantity, units);
        let variance = each("Explained_Variance", "Variance", &squared);
        let ratio = each("Explained_Variance_Ratio", "Ratio", "");
        let residual = each("Residual", "Ratio", "");
        Self {
            s,
            variance,
            ratio,
            residual,
            v: buffers.single("V").along(spectra).at_end(quantity, ""),
            elbow: buffers.single("Elbow").at_end("Count", ""),
            mean: centered.then(|| buffers.per_point("Mean").at_end(quantity, units)),
            u: buffers.per_position("U").along(component()).published("Abundance", ""),
            products: buffers.per_point("Products").along(vectors()).private(),
            sums: buffers.per_point("Sums").private(),
            spectra: buffers.single("Spectra").private(),
            energy: buffers.single("Energy").private(),
        }
    }
}

impl<const CENTERED: bool> Reduction for Decomposition<CENTERED> {
    const NAME: &'static str = if CENTERED { "PCA" } else { "SVD" };
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = if CENTERED {
        "principal components: singular values of what differs from the mean spectrum"
    } else {
        "singular value decomposition: components, and how much of each a position has"
    };

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Vec<f64>;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let (components, points) = (parameters.components, source.spectral_points);
        check_components(components, source)?;
        if CENTERED && parameters.poisson {
            let told = "what is scaled for Poisson noise isn't centred: take `svd` with `poisson`";
            return Err(Failure::new(told));
        }
        let block = (components + MORE).next_multiple_of(8).min(points);
        let sizes = Sizes { points, block, components };
        let folded = Folded::new(source, sizes, (CENTERED, parameters.poisson), buffers);
        let stage = if CENTERED || parameters.poisson {
            Stage::Sum
        } else {
            Stage::multiply(Krylov::new(points, block, parameters.seed))?
        };
        let (scale, found) = (Scale::Nothing, Found::default());
        Ok(Task { folded, parameters: parameters.clone(), sizes, stage, scale, found })
    }

    fn least_positions(task: &Task) -> u64 {
        task.sizes.components as u64
    }

    fn whole(_: &Parameters, source: &SourceInfo) -> Whole {
        at_a_time(source)
    }

    fn extra_memory(_: &Parameters, source: &SourceInfo) -> usize {
        8 * TOGETHER * source.spectral_points
    }

    fn shared_memory(task: &Task) -> usize {
        let Sizes { points, block, .. } = task.sizes;
        // What a pass has begun with, as it is kept and as it is handed on; and blocks: those of
        // the first pass and of the one that has begun, as vectors and as weights, and what is made
        // of these when it ends.
        8 * (3 * carried(task.sizes) + 14 * points * block)
    }

    fn passes(task: &Task) -> Option<Passes> {
        let sums = u32::from(matches!(task.stage, Stage::Sum));
        Some(Passes {
            most: task.parameters.passes + sums + 1,
            carried: carried(task.sizes),
            mini_batches: None,
        })
    }

    fn process_partition(
        task: &Task,
        unit: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        scaled: &mut Vec<f64>,
    ) -> Result<(), Failure> {
        fold_together(unit, |rows, first, fail| task.fold(rows, first, (parts, scaled), fail));
        Ok(())
    }

    fn process_spectrum(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        parts: &mut Parts<'_>,
        scaled: &mut Vec<f64>,
    ) -> Result<(), Failure> {
        let mut failed = Ok(());
        task.fold(&[spectrum.values], 0, (parts, scaled), |_, why| failed = Err(why));
        failed
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        let Folded { products, sums, spectra, energy, .. } = task.folded;
        match task.stage {
            Stage::Sum => add(into.get(sums), from.get(sums)),
            Stage::Multiply { .. } => add(into.get(products), from.get(products)),
            Stage::Project { .. } => {}
        }
        into.get(spectra)[0] += from.get(spectra)[0];
        into.get(energy)[0] += from.get(energy)[0];
        Ok(())
    }

    fn next_pass(task: &Task, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let Folded { products, sums, spectra, energy, .. } = task.folded;
        let spectra = all.get(spectra)[0] as f64;
        if spectra < task.sizes.components as f64 {
            let components = task.sizes.components;
            let told = format!("{spectra} spectra don't have {components} components");
            return Err(Failure::new(told));
        }
        let Sizes { points, block, components } = task.sizes;
        let Stage::Multiply { krylov, .. } = &task.stage else {
            let scale: Vec<f64> = match CENTERED {
                true => all.get(sums).iter().map(|sum| sum / spectra).collect(),
                false => all.get(sums).iter().map(|sum| sum.sqrt()).collect(),
            };
            let krylov = Krylov::new(points, block, task.parameters.seed);
            let found = Found { spectra, values: vec![0.0; components], ..Found::default() };
            return Ok(carry(task.sizes, &found, &scale, Next::Multiply(&krylov)));
        };
        let found = Found {
            passes: task.found.passes + 1,
            spectra,
            energy: all.get(energy)[0],
            values: Vec::new(),
        };
        let mut krylov = Krylov::clone(krylov);
        let ritz = krylov.ritz(all.get(products));
        let is_near = ritz.is_near(&task.found.values, task.parameters.tolerance);
        let is_last = found.passes >= task.parameters.passes || is_near || !krylov.go_on(&ritz);
        let next = if is_last { Next::Project(&ritz) } else { Next::Multiply(&krylov) };
        let found = Found { values: ritz.values[..components].to_vec(), ..found };
        Ok(carry(task.sizes, &found, task.scale.values(), next))
    }

    fn begin_pass(first: &Task, pass: &Pass) -> Result<Task, Failure> {
        let parameters = first.parameters.clone();
        let (found, scale, rest) = taken(first.sizes, &pass.carried);
        let scale = match (CENTERED, parameters.poisson) {
            (true, _) => Scale::Mean(scale),
            (_, true) => Scale::Counts(scale),
            _ => Scale::Nothing,
        };
        let Sizes { points, block, components, .. } = first.sizes;
        let stage = if pass.is_last {
            let (residuals, rest) = rest.split_at(components);
            let vectors = rest[..components * points].to_vec();
            let weights = weights(&vectors, points)?;
            let (values, residuals) = (found.values.clone(), residuals.to_vec());
            Stage::Project { values, residuals, vectors: Arc::new(vectors), weights }
        } else {
            // Nothing is known yet when a pass has only summed up.
            Stage::multiply(Krylov::taken((points, block), found.passes > 0, rest))?
        };
        Ok(Task { folded: first.folded, parameters, sizes: first.sizes, stage, scale, found })
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let Stage::Project { values, residuals, vectors, .. } = &task.stage else {
            return Ok(());
        };
        let (folded, Found { spectra, energy, .. }) = (task.folded, task.found.clone());
        let each = |of: &dyn Fn(f64) -> f64| values.iter().map(|value| of(*value)).collect();
        let (s, variance): (Vec<f64>, Vec<f64>) =
            (each(&f64::sqrt), each(&|value| value / spectra));
        let ratio: Vec<f64> = each(&|value| if energy > 0.0 { value / energy } else { 0.0 });
        all.get(folded.s).copy_from_slice(&s);
        all.get(folded.variance).copy_from_slice(&variance);
        all.get(folded.elbow)[0] = elbow::elbow(&ratio) as u64;
        all.get(folded.ratio).copy_from_slice(&ratio);
        let relative = residuals
            .iter()
            .zip(values)
            .map(|(left, value)| if *value > 0.0 { left / value } else { 0.0 });
        all.get(folded.residual).iter_mut().zip(relative).for_each(|(it, left)| *it = left);
        let v = all.get(folded.v);
        v.copy_from_slice(vectors);
        v.chunks_exact_mut(task.sizes.points).for_each(|row| task.scale.undo(row));
        if let (Some(mean), Scale::Mean(found)) = (folded.mean, &task.scale) {
            all.get(mean).copy_from_slice(found);
        }
        Ok(())
    }
}

impl Task {
    /// Folds some spectra; `first` is the number of the first of them in its unit.
    fn fold(
        &self,
        rows: &[&[f64]],
        first: usize,
        (parts, scaled): (&mut Parts<'_>, &mut Vec<f64>),
        mut fail: impl FnMut(usize, Failure),
    ) {
        let refused = self.parameters.poisson.then_some(COUNTS);
        let fail = |index, why| fail(first + index, why);
        let Some(Scaled { rows, energy, roots }) = self.scale.applied(rows, refused, scaled, fail)
        else {
            return;
        };
        let (rows, points) = (&*rows, self.sizes.points);
        parts.get(self.folded.spectra)[0] += rows.len() as u64;
        parts.get(self.folded.energy)[0] += energy;
        match &self.stage {
            Stage::Sum => rows.iter().for_each(|row| add(parts.get(self.folded.sums), row)),
            Stage::Multiply { weights, .. } => {
                let mut factors = vec![0.0; rows.len() * weights.len()];
                weights.add_rows(rows, std::iter::once(0..points), &mut factors);
                add_outer(rows, (&factors, weights.len()), parts.get(self.folded.products));
            }
            Stage::Project { values, weights, .. } => {
                let count = values.len();
                let own = &mut parts.get(self.folded.u)[first * count..][..rows.len() * count];
                weights.add_rows(rows, std::iter::once(0..points), own);
                let nothing = NOTHING * values[0];
                for (own, root) in own.chunks_exact_mut(count).zip(roots) {
                    for (part, value) in own.iter_mut().zip(values) {
                        *part = if *value > nothing { *part * root / value.sqrt() } else { 0.0 };
                    }
                }
            }
        }
    }
}

impl Stage {
    fn multiply(krylov: Krylov) -> Result<Self, Failure> {
        let weights = weights(krylov.newest(), krylov.points)?;
        Ok(Self::Multiply { krylov: Arc::new(krylov), weights })
    }
}

impl Ritz {
    /// Whether the first values are near those of the pass before.
    fn is_near(&self, before: &[f64], tolerance: f64) -> bool {
        let nothing = NOTHING * self.values[0];
        let mut pairs = self.values.iter().zip(before);
        !before.is_empty()
            && pairs.all(|(now, before)| *now <= nothing || (now - before).abs() <= tolerance * now)
    }
}

/// Refuses more components than there can be.
pub(crate) fn check_components(components: usize, source: &SourceInfo) -> Result<(), Failure> {
    let (positions, points) = (source.positions, source.spectral_points);
    if components as u64 <= positions.min(points as u64) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{components} components are more than there are of {positions} positions with {points} \
         values each"
    )))
}

/// Vectors of so many points each, one behind the other, as weights.
pub(crate) fn weights(vectors: &[f64], points: usize) -> Result<Weights, Failure> {
    let row = |number: usize| Ok(vectors[number * points..][..points].to_vec());
    Weights::of_some((vectors.len() / points, points), row)
}

/// What the next pass does.
enum Next<'n> {
    Multiply(&'n Krylov),
    Project(&'n Ritz),
}

/// Numbers that are handed from one pass to the next.
fn carried(Sizes { points, block, components }: Sizes) -> usize {
    3 + components + points + Krylov::carried((points, block))
}

fn carry(sizes: Sizes, found: &Found, scale: &[f64], next: Next<'_>) -> Passed {
    let mut all = vec![f64::from(found.passes), found.spectra, found.energy];
    all.extend(&found.values);
    all.extend(scale);
    all.resize(3 + sizes.components + sizes.points, 0.0);
    let is_last = match next {
        Next::Multiply(krylov) => {
            krylov.put(&mut all);
            false
        }
        Next::Project(ritz) => {
            all.extend(&ritz.residuals[..sizes.components]);
            for vector in ritz.vectors.chunks_exact(sizes.points).take(sizes.components) {
                all.extend(vector.iter().map(|value| sign(vector) * value));
            }
            true
        }
    };
    all.resize(carried(sizes), 0.0);
    Passed { carried: all, is_last }
}

/// What was handed on: what was found, what spectra are scaled by, and the rest.
fn taken(sizes: Sizes, all: &[f64]) -> (Found, Arc<Vec<f64>>, &[f64]) {
    let (head, rest) = all.split_at(3);
    let (values, rest) = rest.split_at(sizes.components);
    let (scale, rest) = rest.split_at(sizes.points);
    let passes = head[0] as u32;
    let found = Found { passes, spectra: head[1], energy: head[2], values: values.to_vec() };
    (found, Arc::new(scale.to_vec()), rest)
}

/// The sign of the largest value of a vector, the first of them if there are several.
pub(crate) fn sign(vector: &[f64]) -> f64 {
    let largest = vector
        .iter()
        .fold(0.0_f64, |largest, value| if value.abs() > largest.abs() { *value } else { largest });
    if largest < 0.0 { -1.0 } else { 1.0 }
}

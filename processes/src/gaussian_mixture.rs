//! Mixture of normal distributions: the spectra of a scan as those of a few components, each with a
//! mean and a covariance, and how probable each component is at each position.
//!
//! The density of a spectrum x of d points is Σ wₖ·N(x; μₖ, Σₖ), with N(x; μ, Σ) = (2π)^(−d/2) ·
//! |Σ|^(−1/2) · e^(−½(x − μ)ᵀ·Σ⁻¹·(x − μ)). Weights w, means μ and covariances Σ are found by
//! expectation and maximisation (A. P. Dempster, N. M. Laird and D. B. Rubin, J. R. Stat. Soc. B 39
//! (1977) 1): of the probabilities rₖ = wₖ·Nₖ/Σ w·N of the components at each position become w =
//! Σr/n, μ = Σr·x/Σr and Σ = Σr·(x − μ)·(x − μ)ᵀ/Σr, until the mean of ln Σ w·N over all positions
//! changes by no more than `tolerance`, or `iterations` times. Each is a pass over the data, and
//! one more tells the probabilities.
//!
//! A `covariance` is `full`, a matrix for each component; `tied`, one matrix for all; `diag`, a
//! variance for each point of each component; `spherical`, one variance for each component
//! (scikit-learn's `GaussianMixture`). Each variance is made larger by `regularization` times the
//! mean variance of a point of the scan: what scikit-learn adds doesn't depend on the units of the
//! data, and is 10⁻⁶.
//!
//! It begins with `sample` spectra by chance (`seed`): clusters among them as `kmeans` has them,
//! made mixtures of their own `restarts` times, of which the most likely is taken; or, where they
//! are too few for covariances (`full` has 4 for each component and point), clusters alone, whose
//! means are those of the nearest spectra of the scan until they come to rest, or 20 times. What is
//! found is the best near such a beginning, not of all; another seed may find better.
//! A component that loses all of its spectra keeps its mean and covariance, and has the weight 0.
//!
//! `Labels` is the most probable component of each position, counted from 0, `Probabilities`
//! (positions × components) are r, `Log_Likelihood` is ln Σ w·N of each position, where a density
//! is per unit of each point. `Weights`, `Mean_Response` (components × the axes of a spectrum, as
//! `kmeans` calls it) and `Covariances` are the mixture: of `full` components × points × points, of
//! `tied` points × points, of `diag` components × the axes of a spectrum, of `spherical`
//! components. `Mean_Log_Likelihood` is the mean over positions L, `BIC` −2nL + p·ln n and `AIC`
//! −2nL + 2p of n positions and p parameters of which the mixture consists: the smaller, the better
//! a number of components is. `Iterations` is how often the mixture was made anew, `Change` by how
//! much L changed at last. All is in double precision.
//!
//! A spectrum with a value that is no number fails. Spectra that are all equal are no mixture, and
//! a covariance that has no inverse ends the run: constant points have one thanks to
//! `regularization`. Saturated values are values like others, and narrow components of them are
//! likely.

mod covariance;
mod mixture;
mod start;
mod triangle;

use std::sync::Arc;

use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{
    Buffer, Buffers, Parts, Pass, Passed, Passes, Reduction, Tile, Whole,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drawn::{Drawn, key};
use crate::kmeans;
use crate::products::add;
use crate::whole_spectra::{TOGETHER, at_a_time, energy, rows, square};
pub use covariance::Covariance;
use covariance::Shape;
use mixture::{Lanes, Mixture, Numbers, choose, largest, respond};

/// What components are, and how they are found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many components there are.
    #[schemars(range(min = 1, max = 1000))]
    pub components: usize,
    /// What they vary by: of each pair of points (full; tied if it is the same for all), of each
    /// point (diag), or one variance (spherical).
    pub covariance: Covariance,
    /// How often the mixture is made anew at most.
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations: u32,
    /// By how much the mean logarithm of the likelihood may still change.
    #[schemars(range(min = 0, max = 1000))]
    pub tolerance: f64,
    /// What is added to each variance, as a part of the mean variance of a point.
    #[schemars(range(min = 0, max = 1))]
    pub regularization: f64,
    /// How many spectra the beginning is chosen from; 256, or 32 for each component, or what
    /// covariances take, if none.
    #[schemars(range(min = 1, max = 4096))]
    pub sample: Option<usize>,
    /// How often it is chosen, to take the best.
    #[schemars(range(min = 1, max = 1000))]
    pub restarts: u32,
    /// What chance begins with.
    pub seed: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            components: 4,
            covariance: Covariance::Full,
            iterations: 100,
            tolerance: 1e-5,
            regularization: 1e-6,
            sample: None,
            restarts: 10,
            seed: 0,
        }
    }
}

impl Checked for Parameters {}

/// Spectra of a sample at least, and for each component, if nobody says how many.
const SAMPLE: usize = 256;
const FOR_EACH: usize = 32;
/// Spectra of a sample for the sake of covariances at most, and numbers of all spectra, if sums
/// don't have more.
const MOST_SAMPLE: usize = 2048;
const MOST_NUMBERS: usize = 1 << 20;
/// How often clusters become means at most, before there is a mixture.
const CLUSTERS: u32 = 20;
/// How far their means may still move then, as `kmeans` has it.
const AT_REST: f64 = 1e-4;
/// Numbers of all covariances between points at most: 128 MiB.
const MOST: usize = 1 << 24;
/// What of the mean square of values is no variance, but their rounding.
const NOTHING: f64 = 1e-28;

/// The reduction `Gaussian_Mixture`.
pub struct GaussianMixture;

/// What is folded, and what the passes before have found.
pub struct Task {
    folded: Folded,
    parameters: Parameters,
    shape: Shape,
    stage: Stage,
    found: Found,
}

/// What a pass does.
enum Stage {
    /// It draws a sample.
    Sample,
    /// It puts each spectrum into the nearest of these.
    Clusters(Arc<Mixture>),
    /// It tells how probable these are, as results if it is the last.
    Mixture { mixture: Arc<Mixture>, is_last: bool },
}

/// What passes have found.
#[derive(Clone, Copy, Default)]
struct Found {
    /// How often clusters have become means.
    clusters: u32,
    /// How often the mixture was made anew.
    iterations: u32,
    /// The mean variance of a point, and the mean square of a value.
    variance: f64,
    square: f64,
    /// The mean logarithm of the likelihood, and how much it has changed.
    likelihood: f64,
    change: f64,
}

/// How many numbers these are, with one that says whether there is a mixture.
const FOUND: usize = 7;

/// The buffers.
#[derive(Clone, Copy)]
struct Folded {
    /// Drawn spectra, or the sums that a mixture is estimated from.
    sums: Buffer<f64>,
    /// What each drawn spectrum was drawn by.
    keys: Buffer<u64>,
    spectra: Buffer<u64>,
    energy: Buffer<f64>,
    likelihood: Buffer<f64>,
    labels: Buffer<u32>,
    probabilities: Buffer<f64>,
    of_position: Buffer<f64>,
    weights: Buffer<f64>,
    means: Buffer<f64>,
    covariances: Buffer<f64>,
    mean_likelihood: Buffer<f64>,
    bic: Buffer<f64>,
    aic: Buffer<f64>,
    iterations: Buffer<u64>,
    change: Buffer<f64>,
}

impl Folded {
    fn new(source: &SourceInfo, shape: Shape, sample: usize, buffers: &mut Buffers) -> Self {
        let Shape { kind, components, points } = shape;
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let component = || vec![Dimension::counted("Component", components)];
        let pairs =
            || vec![Dimension::counted("Point", points), Dimension::counted("Other_Point", points)];
        let spectra = || [component(), source.spectroscopic_dimensions.clone()].concat();
        let covariances = match kind {
            Covariance::Full => [component(), pairs()].concat(),
            Covariance::Tied => pairs(),
            Covariance::Diag => spectra(),
            Covariance::Spherical => component(),
        };
        let likely = "Log likelihood";
        let sums = shape.sums().max(sample * points);
        let sums = vec![Dimension::counted("Number", sums)];
        let sampled = vec![Dimension::counted("Row", sample)];
        Self {
            labels: buffers.per_position("Labels").published("Cluster ID", "a.u."),
            probabilities: buffers
                .per_position("Probabilities")
                .along(component())
                .published("Probability", ""),
            of_position: buffers.per_position("Log_Likelihood").published(likely, ""),
            weights: buffers.single("Weights").along(component()).at_end("Weight", ""),
            means: buffers.single("Mean_Response").along(spectra()).at_end(quantity, units),
            covariances: buffers
                .single("Covariances")
                .along(covariances)
                .at_end("Covariance", &squared),
            mean_likelihood: buffers.single("Mean_Log_Likelihood").at_end(likely, ""),
            bic: buffers.single("BIC").at_end("Bayesian information criterion", ""),
            aic: buffers.single("AIC").at_end("Akaike information criterion", ""),
            iterations: buffers.single("Iterations").at_end("Count", ""),
            change: buffers.single("Change").at_end(likely, ""),
            sums: buffers.single("Sums").along(sums).private(),
            keys: buffers.single("Keys").along(sampled).private(),
            spectra: buffers.single("Spectra").private(),
            energy: buffers.single("Energy").private(),
            likelihood: buffers.single("Likelihood").private(),
        }
    }
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    lanes: Lanes,
    responses: Vec<f64>,
    apart: Vec<f64>,
}

impl Reduction for GaussianMixture {
    const NAME: &'static str = "Gaussian_Mixture";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "normal distributions of spectra, and how probable each is at a position";

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let shape = shape(parameters, source)?;
        let components = shape.components;
        let sample = parameters.sample.unwrap_or_else(|| sample(shape));
        if sample < components {
            let told =
                format!("{components} components need a `sample` of as many spectra, not {sample}");
            return Err(Failure::new(told));
        }
        let sample = sample.min(source.positions.try_into().unwrap_or(usize::MAX));
        Ok(Task {
            folded: Folded::new(source, shape, sample, buffers),
            parameters: Parameters { sample: Some(sample), ..parameters.clone() },
            shape,
            stage: Stage::Sample,
            found: Found::default(),
        })
    }

    fn least_positions(task: &Task) -> u64 {
        task.shape.components as u64
    }

    fn whole(_: &Parameters, source: &SourceInfo) -> Whole {
        at_a_time(source)
    }

    fn extra_memory(parameters: &Parameters, source: &SourceInfo) -> usize {
        let (points, components) = (source.spectral_points, parameters.components);
        // Differences, twice if there are expected spectra; vectors side by side; probabilities.
        8 * (2 * TOGETHER * points + 2 * triangle::LANES * (points + 4))
            + 8 * TOGETHER * (components + triangle::LANES)
    }

    fn shared_memory(task: &Task) -> usize {
        let Shape { kind, points, .. } = task.shape;
        let factors = if kind.is_of_pairs() { 3 * points * points } else { 0 };
        let sample = task.parameters.sample.unwrap_or(0);
        // The mixture with what densities are made from, that of the next pass, both as they are
        // handed on; what a factor is made from; and how far drawn spectra are from each other.
        8 * (7 * task.shape.numbers() + factors + sample * sample)
    }

    fn passes(task: &Task) -> Option<Passes> {
        let most = CLUSTERS + task.parameters.iterations + 2;
        let carried = FOUND + task.shape.numbers();
        Some(Passes { most, carried, mini_batches: None })
    }

    fn preprocess(task: &Task, all: &mut Parts<'_>) {
        all.get(task.folded.keys).fill(u64::MAX);
    }

    fn process_partition(
        task: &Task,
        unit: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        let (positions, mut failed) = (unit.positions(), Vec::new());
        let values = unit.values();
        for (number, rows) in rows(&values).chunks(TOGETHER).enumerate() {
            let first = number * TOGETHER;
            let place = (&positions[first..][..rows.len()], first);
            task.fold(rows, place, (parts, scratch), |index, why| failed.push((index, why)));
        }
        failed.into_iter().for_each(|(index, why)| unit.fail(index, why));
        Ok(())
    }

    fn process_spectrum(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        parts: &mut Parts<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        let mut failed = Ok(());
        let place = (std::slice::from_ref(&spectrum.position), 0);
        task.fold(&[spectrum.values], place, (parts, scratch), |_, why| failed = Err(why));
        failed
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        let Folded { sums, keys, spectra, energy, likelihood, .. } = task.folded;
        match &task.stage {
            Stage::Sample => {
                Drawn::of(into.of((keys, sums)), task.shape.points)
                    .offer_all(from.of((keys, sums)));
            }
            Stage::Clusters(_) | Stage::Mixture { is_last: false, .. } => {
                let all = ..task.shape.sums();
                add(&mut into.get(sums)[all], &from.get(sums)[all]);
            }
            Stage::Mixture { is_last: true, .. } => {}
        }
        into.get(spectra)[0] += from.get(spectra)[0];
        into.get(energy)[0] += from.get(energy)[0];
        into.get(likelihood)[0] += from.get(likelihood)[0];
        Ok(())
    }

    fn next_pass(task: &Task, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        match &task.stage {
            Stage::Sample => task.begin(all),
            Stage::Clusters(clusters) => task.end_clusters(clusters, all),
            Stage::Mixture { mixture, .. } => task.improve(mixture, all),
        }
    }

    fn begin_pass(first: &Task, pass: &Pass) -> Result<Task, Failure> {
        let (is_mixture, found, numbers) = taken(first.shape, &pass.carried);
        let stage = if is_mixture {
            let mixture = Arc::new(Mixture::new(numbers, first.shape)?);
            Stage::Mixture { mixture, is_last: pass.is_last }
        } else {
            let shape = Shape { kind: Covariance::Spherical, ..first.shape };
            let covariances = shape.isotropic(1.0);
            Stage::Clusters(Arc::new(Mixture::new(Numbers { covariances, ..numbers }, shape)?))
        };
        let parameters = first.parameters.clone();
        Ok(Task { folded: first.folded, parameters, shape: first.shape, stage, found })
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let Stage::Mixture { mixture, .. } = &task.stage else { return Ok(()) };
        let Folded { spectra, likelihood, .. } = task.folded;
        let (spectra, likelihood) = (all.get(spectra)[0] as f64, all.get(likelihood)[0]);
        let freedom = task.shape.freedom();
        for (buffer, number) in [
            (task.folded.mean_likelihood, likelihood / spectra),
            (task.folded.bic, freedom * libm::log(spectra) - 2.0 * likelihood),
            (task.folded.aic, 2.0 * freedom - 2.0 * likelihood),
            (task.folded.change, task.found.change),
        ] {
            all.get(buffer)[0] = number;
        }
        all.get(task.folded.iterations)[0] = u64::from(task.found.iterations);
        all.get(task.folded.weights).copy_from_slice(&mixture.numbers.weights);
        all.get(task.folded.means).copy_from_slice(&mixture.numbers.means);
        let covariances = all.get(task.folded.covariances);
        let Shape { kind, points, .. } = task.shape;
        if !kind.is_of_pairs() {
            covariances.copy_from_slice(&mixture.numbers.covariances);
            return Ok(());
        }
        let matrices = mixture.numbers.covariances.chunks_exact(task.shape.of_each());
        for (whole, matrix) in covariances.chunks_exact_mut(points * points).zip(matrices) {
            for (row, values) in whole.chunks_exact_mut(points).enumerate() {
                for (column, value) in values.iter_mut().enumerate() {
                    *value = triangle::get(matrix, points, row, column);
                }
            }
        }
        Ok(())
    }
}

/// What the mixture of a source consists of.
///
/// # Errors
/// If there are fewer positions than components, or too many numbers between points.
fn shape(parameters: &Parameters, source: &SourceInfo) -> Result<Shape, Failure> {
    let Parameters { components, covariance: kind, .. } = *parameters;
    let (points, positions) = (source.spectral_points, source.positions);
    if components as u64 > positions {
        let told = format!("{positions} positions can't be of {components} components");
        return Err(Failure::new(told));
    }
    let matrices = if kind == Covariance::Tied { 1 } else { components };
    let numbers = points.saturating_mul(points).saturating_mul(matrices);
    if kind.is_of_pairs() && numbers > MOST {
        let of = match kind {
            Covariance::Tied => "a covariance".to_owned(),
            _ => format!("{components} covariances"),
        };
        return Err(Failure::new(format!(
            "{of} of {points} points with each other have {numbers} numbers, more than {MOST}: \
             take `covariance=diag`, or the components that `pca` finds instead of the spectra"
        )));
    }
    Ok(Shape { kind, components, points })
}

/// How many spectra a mixture begins with, if nobody says that.
fn sample(shape: Shape) -> usize {
    let Shape { components, points, .. } = shape;
    let wanted = start::wanted(shape, MOST_SAMPLE).unwrap_or(0);
    let most = MOST_NUMBERS.max(shape.sums()) / points.max(1);
    let usual = (FOR_EACH * components).clamp(SAMPLE, MOST_SAMPLE);
    wanted.max(usual).min(most).max(components)
}

impl Task {
    /// Folds some spectra; `first` is the number of the first of them in its unit.
    fn fold(
        &self,
        rows: &[&[f64]],
        (positions, first): (&[u64], usize),
        (parts, scratch): (&mut Parts<'_>, &mut Scratch),
        mut fail: impl FnMut(usize, Failure),
    ) {
        let Some(energy) = energy(rows, first, square, &mut fail) else { return };
        let (mut likelihood, mut has_failed) = (0.0, false);
        let folded = self.folded;
        if let Stage::Clusters(mixture) | Stage::Mixture { mixture, .. } = &self.stage {
            let Scratch { lanes, responses, .. } = scratch;
            mixture.densities(rows, lanes, responses);
            let respond = if matches!(self.stage, Stage::Clusters(_)) { choose } else { respond };
            let is_last = matches!(self.stage, Stage::Mixture { is_last: true, .. });
            for (index, own) in responses.chunks_exact_mut(self.shape.components).enumerate() {
                let Some(own) = respond(own) else {
                    has_failed = true;
                    fail(first + index, Failure::new("it is too far from all components"));
                    continue;
                };
                likelihood += own;
                if is_last {
                    parts.get(folded.of_position)[first + index] = own;
                }
            }
            if has_failed {
                return;
            }
        }
        match &self.stage {
            Stage::Sample => {
                let (keys, rows_of) = parts.of((folded.keys, folded.sums));
                let mut drawn = Drawn::of((keys, rows_of), self.shape.points);
                for (row, position) in rows.iter().zip(positions) {
                    drawn.offer(key(self.parameters.seed, *position), row);
                }
            }
            Stage::Mixture { is_last: true, .. } => self.tell(&scratch.responses, first, parts),
            Stage::Clusters(mixture) | Stage::Mixture { mixture, .. } => {
                let Scratch { responses, apart, .. } = scratch;
                let sums = &mut parts.get(folded.sums)[..self.shape.sums()];
                self.shape.add((rows, responses), &mixture.numbers.means, sums, apart);
            }
        }
        parts.get(folded.spectra)[0] += rows.len() as u64;
        parts.get(folded.energy)[0] += energy;
        parts.get(folded.likelihood)[0] += likelihood;
    }

    /// The results of some positions, of which this is the first.
    fn tell(&self, responses: &[f64], first: usize, parts: &mut Parts<'_>) {
        let components = self.shape.components;
        let (labels, probabilities) = parts.of((self.folded.labels, self.folded.probabilities));
        probabilities[first * components..][..responses.len()].copy_from_slice(responses);
        let each = labels[first..].iter_mut().zip(responses.chunks_exact(components));
        each.for_each(|(label, responses)| *label = largest(responses) as u32);
    }

    /// The mixture that drawn spectra are, or clusters round the best of them.
    fn begin(&self, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let Folded { sums, keys, spectra, energy, .. } = self.folded;
        let Shape { components, points, .. } = self.shape;
        let Parameters { restarts, seed, regularization, .. } = self.parameters;
        let count = all.get(spectra)[0] as f64 * points as f64;
        let found = Found { square: all.get(energy)[0] / count, ..Found::default() };
        let (keys, rows) = all.of((keys, sums));
        let rows = &mut rows[..keys.len() * points];
        let drawn = Drawn::of((keys, rows), points);
        let rows = drawn.rows();
        if start::wanted(self.shape, rows.len()).is_some()
            && let Some(numbers) =
                start::mixture(&rows, self.shape, (restarts, seed), regularization)
        {
            return Ok(self.carry(found, numbers, Some(false)));
        }
        let clusters = components;
        let parameters =
            kmeans::Parameters { clusters, restarts, seed, ..kmeans::Parameters::default() };
        let means = kmeans::start::first_centers(&rows, &parameters)?;
        Ok(self.carry(found, self.alike(means), None))
    }

    /// Clusters round the means of these, or the mixture that they are if they are at rest.
    fn end_clusters(&self, clusters: &Mixture, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let sums = &all.get(self.folded.sums)[..self.shape.sums()];
        let means = &clusters.numbers.means;
        let (variance, moved) = self.spread(sums, means)?;
        let more = self.parameters.regularization * variance;
        let before =
            Numbers { covariances: self.shape.isotropic(variance), ..clusters.numbers.clone() };
        let next = self.shape.estimate(sums, &before, more);
        let found = Found { clusters: self.found.clusters + 1, variance, ..self.found };
        if moved <= AT_REST * variance || found.clusters >= CLUSTERS {
            return Ok(self.carry(found, next, Some(false)));
        }
        Ok(self.carry(found, self.alike(next.means), None))
    }

    /// The mean variance of a point, and how far means have moved.
    fn spread(&self, sums: &[f64], means: &[f64]) -> Result<(f64, f64), Failure> {
        let (variance, moved) = self.shape.spread(sums, means);
        if variance <= NOTHING * self.found.square {
            return Err(Failure::new("all spectra are the same, and no mixture"));
        }
        Ok((variance, moved))
    }

    /// The mixture that is more likely than this one.
    fn improve(&self, mixture: &Mixture, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let Folded { sums, spectra, likelihood, .. } = self.folded;
        let likelihood = all.get(likelihood)[0] / all.get(spectra)[0] as f64;
        let sums = &all.get(sums)[..self.shape.sums()];
        // Clusters have told it, if there were any.
        let variance = match self.found.variance {
            0.0 => self.spread(sums, &mixture.numbers.means)?.0,
            known => known,
        };
        let more = self.parameters.regularization * variance;
        let next = self.shape.estimate(sums, &mixture.numbers, more);
        let iterations = self.found.iterations + 1;
        let change = likelihood - self.found.likelihood;
        let found = Found { iterations, likelihood, change, variance, ..self.found };
        // The first has none before it.
        let is_near = iterations > 1 && change.abs() <= self.parameters.tolerance;
        let is_last = is_near || iterations >= self.parameters.iterations;
        Ok(self.carry(found, next, Some(is_last)))
    }

    /// Clusters as components that are alike.
    fn alike(&self, means: Vec<f64>) -> Numbers {
        let components = self.shape.components;
        let weights = vec![1.0 / components as f64; components];
        Numbers { weights, means, covariances: self.shape.isotropic(1.0) }
    }

    /// What the next pass begins with: a mixture if it is said whether that is the last, or
    /// clusters.
    fn carry(&self, found: Found, numbers: Numbers, mixture: Option<bool>) -> Passed {
        let Found { clusters, iterations, variance, square, likelihood, change } = found;
        let (clusters, iterations) = (f64::from(clusters), f64::from(iterations));
        let is_mixture = f64::from(u8::from(mixture.is_some()));
        let head = vec![is_mixture, clusters, iterations, variance, square, likelihood, change];
        let Numbers { weights, means, covariances } = numbers;
        let is_last = mixture.unwrap_or(false);
        Passed { carried: [head, weights, means, covariances].concat(), is_last }
    }
}

/// What was handed on: whether it is a mixture, what was found, and the mixture or the clusters.
fn taken(shape: Shape, all: &[f64]) -> (bool, Found, Numbers) {
    let (head, rest) = all.split_at(FOUND);
    let (weights, rest) = rest.split_at(shape.components);
    let (means, covariances) = rest.split_at(shape.components * shape.points);
    let found = Found {
        clusters: head[1] as u32,
        iterations: head[2] as u32,
        variance: head[3],
        square: head[4],
        likelihood: head[5],
        change: head[6],
    };
    let [weights, means, covariances] = [weights, means, covariances].map(<[f64]>::to_vec);
    (head[0] > 0.0, found, Numbers { weights, means, covariances })
}

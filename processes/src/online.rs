//! Components that are learned while a scan is gone through, of which single values may be grossly
//! wrong: `orpca`, online robust principal components, and `ornmf`, online robust non-negative
//! matrix factorisation.
//!
//! A scan Z (positions × points) is R·L + E with few rows of L, the components, and a sparse E, the
//! outliers. Both minimise ½‖Z − R·L − E‖² + λ₁/2·‖R‖² + λ₂·Σ|E|, `orpca` with λ₁/2·‖L‖² besides,
//! so that λ₁ is that of the nuclear norm of R·L (J. Feng, H. Xu and S. Yan, NIPS 2013, 404), and
//! `ornmf` with R and L that aren't negative, and rows of L of the norm 1 (R. Zhao and V. Y. F.
//! Tan, IEEE Trans. Signal Process. 65 (2017) 555). λ₁ is `shrinkage`, and λ₂ `threshold`, in units
//! of the data: what differs from R·L by more is an outlier, and counts with ±λ₂ only. Where none
//! is given it is three standard deviations of the noise, by the median of how far the last
//! mini-batch is from its components, or a thousandth of the root mean square of the data if that
//! is more. Since what L lacks looks like outliers, λ₂ is larger in the first half of all
//! mini-batches, and falls from the largest difference of a sample on.
//!
//! The scan is gone through in mini-batches (`batch` spectra and more, whole units, from all over
//! the scan), `epochs` times, or as often as makes 64 of them. The first of all is where L begins:
//! by the principal components of some spectra that are drawn from it by chance (`seed`), or, for
//! `ornmf`, those of them that are farthest from what the others span. Of each spectrum z then r
//! and e are found for the L that is known, in turns until both stay, and Σ rrᵀ and Σ r(z − e) of
//! the mini-batch are added to those of the ones before, which count the less the older they are:
//! together as much as an epoch, or a quarter of one for `ornmf`. The L that is best for these sums
//! is what the next mini-batch begins with.
//!
//! At last all positions get `Loadings` (positions × components), in units of the data, for the
//! `Components` (components × the axes of a spectrum), which have the norm 1, or are 0 if
//! `shrinkage` leaves nothing of them; if it leaves none at all, the run ends. Those of `orpca` are
//! orthogonal, with such signs that the largest value of each, without its sign, is positive.
//! They are in the order of the mean square of their loadings, `Explained_Variance`, of which
//! `Explained_Variance_Ratio` is the part of that of all data. `Outliers` counts those of a
//! position, `Residual` is the root mean square of its z − r·L − e, and `Threshold` λ₂.
//!
//! All is in double precision. A spectrum with a value that is no number fails, and so does one
//! with a negative value for `ornmf`.

mod basis;
mod deviations;
mod start;

use std::sync::Arc;

use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{
    Buffer, Buffers, MiniBatches, Parts, Pass, Passed, Passes, Reduction, Tile, Whole,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decomposition::check_components;
use crate::drawn::{Drawn, key};
use crate::mini_batches;
use crate::products::{add, add_outer};
use crate::whole_spectra::{at_a_time, energy, fold_together, square};
use basis::{Basis, Fits, Sums};
use start::{Start, start};

/// How many components, and what counts as an outlier.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many components there are.
    #[schemars(range(min = 1, max = 1_000))]
    pub components: usize,
    /// By how much a value has to differ from the components to be an outlier, in units of the
    /// data; three standard deviations of the noise if nothing is said.
    #[schemars(range(min = 0), extend("unit" = "data"))]
    pub threshold: Option<f64>,
    /// How much singular values are made smaller, in units of the data.
    #[schemars(range(min = 0), extend("unit" = "data"))]
    pub shrinkage: f64,
    /// How many spectra a mini-batch has at least; a 64th of all if nothing is said.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub batch: Option<u64>,
    /// How often all spectra are learned from at least; more often where there are few.
    #[schemars(range(min = 1, max = 1_000))]
    pub epochs: u32,
    /// What chance begins with.
    pub seed: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { components: 10, threshold: None, shrinkage: 0.0, batch: None, epochs: 4, seed: 0 }
    }
}

impl Checked for Parameters {}

/// Mini-batches that a scan is divided into if nothing is said.
const BATCHES: u64 = 64;
/// Mini-batches that are learned from at least, one more often than once if there are few.
const UPDATES: u32 = 64;
/// Spectra that the components begin with: so many for each, and at least.
const FOR_EACH: usize = 4;
const SAMPLE: usize = 40;

/// Standard deviations of the noise that an outlier is away, and the least that it is, as a part of
/// the root mean square of the data.
const AWAY: f64 = 3.0;
const LEAST: f64 = 1e-3;
/// The part of all mini-batches in which the threshold falls.
const FALLING: f64 = 0.5;
/// Epochs whose mini-batches count, and how much farther an outlier is away while components are
/// learned: of `orpca`, and of `ornmf`.
const MEMORY: [f64; 2] = [1.0, 0.25];
const LOOSE: [f64; 2] = [1.0, 2.0];

/// The reductions `ORPCA` and, without negative numbers, `ORNMF`.
pub struct Online<const NONNEGATIVE: bool>;

/// The reduction `ORPCA`.
pub type Orpca = Online<false>;
/// The reduction `ORNMF`.
pub type Ornmf = Online<true>;

/// What is folded, and what is learned by now.
pub struct Task {
    folded: Folded,
    parameters: Parameters,
    sizes: Sizes,
    /// The pass, counted from 0.
    number: u32,
    stage: Stage,
    sample: Sample,
    learned: Learned,
}

/// What the sample has: the largest difference from its components, and its root mean square.
#[derive(Clone, Copy, Default)]
struct Sample {
    largest: f64,
    size: f64,
}

/// How many mini-batches were learned from, and how many of an epoch have spectra, if that is
/// known.
#[derive(Clone, Copy, Default)]
struct Learned {
    batches: f64,
    of_epoch: f64,
}

/// Values of a spectrum, components, and spectra of the sample; mini-batches, and how often they
/// are gone through.
#[derive(Clone, Copy)]
struct Sizes {
    points: usize,
    components: usize,
    sample: usize,
    batches: u32,
    epochs: u32,
}

/// What a pass does.
enum Stage {
    /// It draws spectra that the components begin with.
    Sample,
    /// It learns from a mini-batch.
    Learn { basis: Arc<Basis>, sums: Arc<Sums> },
    /// It finds the loadings of all positions.
    Project { basis: Arc<Basis> },
}

/// The buffers.
#[derive(Clone, Copy)]
struct Folded {
    /// Spectra that were drawn, and what by.
    rows: Buffer<f64>,
    keys: Buffer<u64>,
    /// Σ rrᵀ and Σ r(z − e).
    squares: Buffer<f64>,
    products: Buffer<f64>,
    /// How far values are from what is fitted, in bins.
    deviations: Buffer<u64>,
    spectra: Buffer<u64>,
    energy: Buffer<f64>,
    loadings: Buffer<f64>,
    outliers: Buffer<u32>,
    residual: Buffer<f64>,
    components: Buffer<f64>,
    variance: Buffer<f64>,
    ratio: Buffer<f64>,
    threshold: Buffer<f64>,
}

impl Folded {
    fn new(source: &SourceInfo, sizes: Sizes, buffers: &mut Buffers) -> Self {
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let component = || Dimension::counted("Component", sizes.components);
        let points = || Dimension::counted("Point", sizes.points);
        let row = || Dimension::counted("Row", sizes.sample);
        let other = Dimension::counted("Other_Component", sizes.components);
        let spectra = [vec![component()], source.spectroscopic_dimensions.clone()].concat();
        let each = || vec![component()];
        Self {
            loadings: buffers.per_position("Loadings").along(each()).published(quantity, units),
            outliers: buffers.per_position("Outliers").published("Count", ""),
            residual: buffers.per_position("Residual").published(quantity, units),
            components: buffers.single("Components").along(spectra).at_end(quantity, ""),
            variance: buffers
                .single("Explained_Variance")
                .along(each())
                .at_end("Variance", &squared),
            ratio: buffers.single("Explained_Variance_Ratio").along(each()).at_end("Ratio", ""),
            threshold: buffers.single("Threshold").at_end(quantity, units),
            rows: buffers.single("Rows").along(vec![row(), points()]).private(),
            keys: buffers.single("Keys").along(vec![row()]).private(),
            squares: buffers.single("Squares").along(vec![component(), other]).private(),
            products: buffers.per_point("Products").along(each()).private(),
            deviations: buffers
                .single("Deviations")
                .along(vec![Dimension::counted("Bin", deviations::BINS)])
                .private(),
            spectra: buffers.single("Spectra").private(),
            energy: buffers.single("Energy").private(),
        }
    }
}

impl<const NONNEGATIVE: bool> Reduction for Online<NONNEGATIVE> {
    const NAME: &'static str = if NONNEGATIVE { "ORNMF" } else { "ORPCA" };
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = if NONNEGATIVE {
        "non-negative components, learned online in spite of outliers"
    } else {
        "principal components, learned online in spite of outliers"
    };

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Fits;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let (components, points) = (parameters.components, source.spectral_points);
        check_components(components, source)?;
        let sample = (FOR_EACH * components).max(SAMPLE);
        let batches = mini_batches::count(source, parameters.batch, BATCHES);
        // The first mini-batch is drawn from, and not learned from before it comes again.
        let epochs = parameters.epochs.max(UPDATES) + 1;
        let sample = sample.min(source.positions.try_into().unwrap_or(usize::MAX));
        let sizes = Sizes { points, components, sample, batches, epochs };
        let folded = Folded::new(source, sizes, buffers);
        let (parameters, stage, sample) = (parameters.clone(), Stage::Sample, Sample::default());
        let learned = Learned::default();
        Ok(Task { folded, parameters, sizes, number: 0, stage, sample, learned })
    }

    fn least_positions(task: &Task) -> u64 {
        task.sizes.components as u64
    }

    fn whole(_: &Parameters, source: &SourceInfo) -> Whole {
        at_a_time(source)
    }

    fn extra_memory(parameters: &Parameters, source: &SourceInfo) -> usize {
        Fits::bytes(source.spectral_points, parameters.components)
    }

    fn shared_memory(task: &Task) -> usize {
        let Sizes { points, components, .. } = task.sizes;
        // The components as rows and as weights, sums, those of the next pass, and all as they are
        // handed on.
        8 * 10 * components.next_multiple_of(4) * (points + components)
    }

    fn passes(task: &Task) -> Option<Passes> {
        let Sizes { batches: count, epochs, .. } = task.sizes;
        let mini_batches = Some(MiniBatches { first: 0, count, epochs });
        let most = count.saturating_mul(epochs).saturating_add(1);
        Some(Passes { most, carried: carried(task.sizes), mini_batches })
    }

    fn preprocess(task: &Task, all: &mut Parts<'_>) {
        all.get(task.folded.keys).fill(u64::MAX);
    }

    fn process_partition(
        task: &Task,
        unit: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        fits: &mut Fits,
    ) -> Result<(), Failure> {
        let positions = unit.positions();
        fold_together(unit, |rows, first, fail| {
            let place = (&positions[first..][..rows.len()], first);
            task.fold::<NONNEGATIVE>(rows, place, (parts, fits), fail);
        });
        Ok(())
    }

    fn process_spectrum(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        parts: &mut Parts<'_>,
        fits: &mut Fits,
    ) -> Result<(), Failure> {
        let mut failed = Ok(());
        let place = (std::slice::from_ref(&spectrum.position), 0);
        let fail = |_, why| failed = Err(why);
        task.fold::<NONNEGATIVE>(&[spectrum.values], place, (parts, fits), fail);
        failed
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        let Folded { rows, keys, squares, products, spectra, energy, .. } = task.folded;
        match task.stage {
            Stage::Sample => {
                let mut drawn = Drawn::of(into.of((keys, rows)), task.sizes.points);
                drawn.offer_all(from.of((keys, rows)));
            }
            Stage::Learn { .. } => {
                add(into.get(squares), from.get(squares));
                add(into.get(products), from.get(products));
                let bins = task.folded.deviations;
                let pairs = into.get(bins).iter_mut().zip(from.get(bins));
                pairs.for_each(|(count, more)| *count += *more);
            }
            Stage::Project { .. } => add(into.get(squares), from.get(squares)),
        }
        into.get(spectra)[0] += from.get(spectra)[0];
        into.get(energy)[0] += from.get(energy)[0];
        Ok(())
    }

    fn next_pass(task: &Task, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let Sizes { points, components, batches, epochs, .. } = task.sizes;
        let mut learned = task.learned;
        let (mut basis, mut sums, sample) = match &task.stage {
            Stage::Sample => task.started::<NONNEGATIVE>(all)?,
            Stage::Learn { basis, sums } => {
                let (mut basis, mut sums) = (Basis::clone(basis), Sums::clone(sums));
                if all.get(task.folded.spectra)[0] > 0 {
                    task.learn::<NONNEGATIVE>((&mut basis, &mut sums), all)?;
                    learned.batches += 1.0;
                }
                (basis, sums, task.sample)
            }
            Stage::Project { .. } => return Err(Failure::new("nothing follows the last pass")),
        };
        let ended = task.number + 1;
        if ended == batches {
            // The first was drawn from.
            learned.of_epoch = learned.batches + 1.0;
        }
        let is_enough = learned.batches + 1.0 >= task.batches(learned);
        let is_last = ended.is_multiple_of(batches) && is_enough || ended == batches * epochs;
        let goal = task.goal(basis.noise, sample);
        if is_last {
            basis = basis.in_order::<NONNEGATIVE>(&sums, task.parameters.shrinkage)?;
            sums = Sums::new(components, points);
            basis.threshold = goal;
        } else {
            let goal = LOOSE[usize::from(NONNEGATIVE)] * goal;
            basis.threshold = task.threshold(goal, sample, learned);
        }
        let Basis { vectors, penalty, threshold, noise, .. } = &basis;
        let Learned { batches, of_epoch } = learned;
        let head = [*threshold, *noise, sample.largest, sample.size, batches, of_epoch];
        let carried = [&head, vectors.as_slice(), penalty, &sums.squares, &sums.products].concat();
        Ok(Passed { carried, is_last })
    }

    fn begin_pass(first: &Task, pass: &Pass) -> Result<Task, Failure> {
        let Sizes { points, components, .. } = first.sizes;
        let (head, rest) = pass.carried.split_at(HEAD);
        let (vectors, rest) = rest.split_at(components * points);
        let (penalty, rest) = rest.split_at(components * components);
        let (squares, products) = rest.split_at(components * components);
        let mut basis = Basis::with(vectors.to_vec(), points, penalty.to_vec(), head[0]);
        basis.noise = head[1];
        let sample = Sample { largest: head[2], size: head[3] };
        let learned = Learned { batches: head[4], of_epoch: head[5] };
        let basis = Arc::new(basis.ready::<NONNEGATIVE>(first.parameters.shrinkage)?);
        let stage = if pass.is_last {
            Stage::Project { basis }
        } else {
            let sums = Sums { squares: squares.to_vec(), products: products.to_vec() };
            Stage::Learn { basis, sums: Arc::new(sums) }
        };
        let (folded, parameters, sizes) = (first.folded, first.parameters.clone(), first.sizes);
        Ok(Task { folded, parameters, sizes, number: pass.number, stage, sample, learned })
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let Stage::Project { basis } = &task.stage else { return Ok(()) };
        let folded = task.folded;
        let count = task.sizes.components;
        let spectra = all.get(folded.spectra)[0] as f64;
        let energy = all.get(folded.energy)[0];
        let sums: Vec<f64> = all.get(folded.squares).iter().step_by(count + 1).copied().collect();
        let part = |sum: f64, of: f64| if of > 0.0 { sum / of } else { 0.0 };
        let each = |of: f64| sums.iter().map(move |sum| part(*sum, of));
        all.get(folded.variance).iter_mut().zip(each(spectra)).for_each(|(to, from)| *to = from);
        all.get(folded.ratio).iter_mut().zip(each(energy)).for_each(|(to, from)| *to = from);
        all.get(folded.components).copy_from_slice(&basis.vectors);
        all.get(folded.threshold)[0] = basis.threshold;
        Ok(())
    }
}

impl Task {
    /// What a sample begins with.
    fn started<const NONNEGATIVE: bool>(
        &self,
        all: &mut Parts<'_>,
    ) -> Result<(Basis, Sums, Sample), Failure> {
        let (Sizes { points, components, .. }, parameters) = (self.sizes, &self.parameters);
        let drawn = Drawn::of(all.of((self.folded.keys, self.folded.rows)), points);
        let rows = drawn.rows();
        if rows.is_empty() {
            return Err(Failure::new("no spectrum of the first mini-batch can be learned from"));
        }
        let Start { vectors, largest, size } =
            start::<NONNEGATIVE>(&rows, components, parameters.seed);
        let basis = Basis::new(vectors, points, parameters.shrinkage, largest);
        Ok((basis, Sums::new(components, points), Sample { largest, size }))
    }

    /// Learns from a mini-batch.
    fn learn<const NONNEGATIVE: bool>(
        &self,
        (basis, sums): (&mut Basis, &mut Sums),
        all: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        let Folded { squares, products, deviations, .. } = self.folded;
        let counting = self.of_epoch(self.learned) * MEMORY[usize::from(NONNEGATIVE)];
        let (squares, products) = all.of((squares, products));
        sums.take(squares, products, 1.0 - 1.0 / counting.max(1.0));
        basis.learn::<NONNEGATIVE>(sums, self.parameters.shrinkage)?;
        basis.noise = deviations::deviation(all.get(deviations));
        Ok(())
    }

    /// Mini-batches of an epoch that have spectra; all, as long as nobody knows.
    fn of_epoch(&self, learned: Learned) -> f64 {
        let all = f64::from(self.sizes.batches);
        if learned.of_epoch > 0.0 { learned.of_epoch } else { all }
    }

    /// How many mini-batches are learned from, the sample counted as one.
    fn batches(&self, learned: Learned) -> f64 {
        let asked = f64::from(self.parameters.epochs) * self.of_epoch(learned);
        asked.max(f64::from(UPDATES))
    }

    /// From where on something is an outlier at last, with such noise.
    fn goal(&self, noise: f64, sample: Sample) -> f64 {
        self.parameters.threshold.unwrap_or_else(|| (AWAY * noise).max(LEAST * sample.size))
    }

    /// The same in the next pass, on the way to a goal.
    fn threshold(&self, goal: f64, sample: Sample, learned: Learned) -> f64 {
        let way = (learned.batches / (FALLING * self.batches(learned))).min(1.0);
        let (from, to) = (sample.largest.max(goal), goal);
        let falling = if to > 0.0 { from * libm::pow(to / from, way) } else { from * (1.0 - way) };
        falling.max(goal)
    }

    /// Folds some spectra; `first` is the number of the first of them in its unit.
    fn fold<const NONNEGATIVE: bool>(
        &self,
        rows: &[&[f64]],
        (positions, first): (&[u64], usize),
        (parts, fits): (&mut Parts<'_>, &mut Fits),
        fail: impl FnMut(usize, Failure),
    ) {
        let own =
            |row: &[f64]| square(row).and_then(|own| counted::<NONNEGATIVE>(row).map(|()| own));
        let Some(energy) = energy(rows, first, own, fail) else { return };
        let folded = self.folded;
        parts.get(folded.spectra)[0] += rows.len() as u64;
        parts.get(folded.energy)[0] += energy;
        let (basis, precision) = match &self.stage {
            Stage::Sample => {
                let mut drawn = Drawn::of(parts.of((folded.keys, folded.rows)), self.sizes.points);
                for (row, position) in rows.iter().zip(positions) {
                    drawn.offer(key(self.parameters.seed, *position), row);
                }
                return;
            }
            Stage::Learn { basis, .. } => (basis, basis::COARSE),
            Stage::Project { basis } => (basis, basis::FINE),
        };
        basis.fit(rows, precision, fits);
        let count = self.sizes.components;
        let squares = parts.get(folded.squares);
        for loadings in fits.loadings.chunks_exact(count) {
            for (row, own) in squares.chunks_exact_mut(count).zip(loadings) {
                row.iter_mut().zip(loadings).for_each(|(sum, other)| *sum += own * other);
            }
        }
        if matches!(self.stage, Stage::Learn { .. }) {
            let clean: Vec<&[f64]> = fits.clean.chunks_exact(self.sizes.points).collect();
            add_outer(&clean, (&fits.loadings, count), parts.get(folded.products));
            let bins = parts.get(folded.deviations);
            let fitted = fits.fitted.chunks_exact(self.sizes.points);
            for ((row, fitted), position) in rows.iter().zip(fitted).zip(positions) {
                deviations::count(bins, *position, (row, fitted));
            }
            return;
        }
        let own = first * count..first * count + fits.loadings.len();
        parts.get(folded.loadings)[own].copy_from_slice(&fits.loadings);
        let (outliers, residual) = parts.of((folded.outliers, folded.residual));
        outliers[first..][..rows.len()].copy_from_slice(&fits.outliers);
        let pairs = fits.clean.chunks_exact(self.sizes.points);
        let pairs = pairs.zip(fits.fitted.chunks_exact(self.sizes.points));
        for (to, (clean, fitted)) in residual[first..].iter_mut().zip(pairs) {
            let squares = clean.iter().zip(fitted).map(|(one, other)| (one - other).powi(2));
            *to = (squares.sum::<f64>() / self.sizes.points as f64).sqrt();
        }
    }
}

/// Whether a spectrum can be made of components that aren't negative.
fn counted<const NONNEGATIVE: bool>(row: &[f64]) -> Result<(), Failure> {
    match row.iter().position(|value| *value < 0.0).filter(|_| NONNEGATIVE) {
        Some(at) => Err(Failure::new(format!(
            "value {at} is {}, and no non-negative components add up to that",
            row[at]
        ))),
        None => Ok(()),
    }
}

/// Numbers that are handed on before the components.
const HEAD: usize = 6;

/// Numbers that are handed from one pass to the next.
fn carried(Sizes { points, components, .. }: Sizes) -> usize {
    HEAD + 2 * components * (points + components)
}

//! k-means: the spectra of a scan in clusters, each round its mean.
//!
//! Lloyd's algorithm (S. P. Lloyd, IEEE Trans. Inf. Theory 28 (1982) 129): each spectrum x belongs
//! to the cluster whose centre c is nearest, ‖x − c‖² = Σ(xᵢ − cᵢ)², the first of these if there
//! are several, and each centre becomes the mean of its spectra, until the centres together move by
//! no more than `tolerance` times the mean variance of the points of a spectrum (scikit-learn's
//! rule), or `iterations` times. Every iteration is a pass over the data; two come before these,
//! and one more tells the labels.
//!
//! The first centres come from `sample` spectra by chance, and from the scores of many more on the
//! principal axes of these: k-means++ (D. Arthur and S. Vassilvitskii, SODA 2007, 1027) with the
//! best of 2 + ln k candidates at each step, and Lloyd's algorithm, several times among few of the
//! scores. The best of these goes on among all scores: a centre is exchanged for one that lies far
//! from all, if the sum of squares is smaller after a few iterations (T. Conrads and others, SEA
//! 2024, LIPIcs 301, 7), until that was in vain 2 `restarts` times one after the other; what single
//! spectra can still make better is made (J. A. Hartigan, Clustering Algorithms, 1975). Where there
//! are no more spectra than the sample has, or so many clusters that scores would not help,
//! k-means++ and Lloyd's algorithm find the best of `restarts` within the sample. With the same
//! `seed` they are the same, whatever the number of workers. A cluster that loses all of its
//! spectra keeps its centre.
//!
//! With mini-batches (`batch` spectra and more, whole units, from all over the scan) centres move
//! after each of them, towards the mean of its spectra, by the part that these are of all that the
//! cluster has had (D. Sculley, WWW 2010, 1177), of which older ones count less: together as much
//! as an epoch. When all are gone through they become the means of the spectra that were theirs
//! meanwhile: those of their clusters, but for spectra between two of them that change from one to
//! the other all the time. That is for scans that take long to read: centres are learned in few
//! epochs. The first two mini-batches are all that the first centres come from. So where parts of a
//! scan differ, or few spectra are like nothing else, they have to be large: what those two lack
//! may have no centre of its own. All are gone through `iterations` times at most, or until centres
//! are where they were an epoch before; one pass over all spectra then tells the labels.
//!
//! `Labels` (one number from 0 for each position) and `Mean_Response` (clusters × the axes of a
//! spectrum, the centres) are as pycroscopy's `Cluster` has them. `Distance` is ‖x − c‖ of each
//! position to its own centre, in units of the data; `Count` how many positions a cluster has;
//! `Center_Distances` the distances of the centres from each other; `Inertia` Σ‖x − c‖² over all
//! positions; `Iterations` how often all spectra were gone through for centres to become means. All
//! is in double precision.
//!
//! A complex spectrum of n values is clustered as 2n real ones, its real and its imaginary parts,
//! as pycroscopy stacks them: ‖x − c‖² = Σ|xᵢ − cᵢ|², and the mean variance is that of a part. The
//! mean responses are complex again.
//!
//! A spectrum with a value that is no number has no place: its position fails. Spectra that are all
//! equal have one cluster, and nobody is in the others, whose centres are the same.

mod centers;
mod learned;
mod lloyd;
mod scores;
mod search;
pub(crate) mod start;

use std::sync::Arc;

use num_complex::Complex64;
use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{
    Buffer, Buffers, MiniBatches, Parts, Pass, Passed, Passes, Reduction, Tile, Whole,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chance::mixed;
use crate::drawn::{Drawn, key};
use crate::mini_batches;
use crate::products::{add, apart};
use crate::whole_spectra::{Reals, TOGETHER, at_a_time};
use centers::{Centers, means};
use learned::Learned;
use scores::{Axes, axes_of};
use search::{centers_among, numbers};
use start::first_centers;

/// How many clusters, and how they are found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many clusters there are.
    #[schemars(range(min = 1, max = 10_000))]
    pub clusters: usize,
    /// How often centres become means at most; with mini-batches, how often all of these are gone
    /// through for that.
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations: u32,
    /// How many spectra a mini-batch has at least, besides 128 of them and 1 MiB; centres become
    /// means of all spectra if nothing is said.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub batch: Option<u64>,
    /// How far all centres together may still move, as a part of the mean variance of a point; the
    /// square of that distance.
    #[schemars(range(min = 0, max = 1))]
    pub tolerance: f64,
    /// How many spectra the first centres are chosen from; 128, or eight for each cluster, if
    /// nothing is said.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sample: Option<usize>,
    /// How often they are chosen, to take the best; among scores, how long better ones are looked
    /// for.
    #[schemars(range(min = 1, max = 1000))]
    pub restarts: u32,
    /// What chance begins with.
    pub seed: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            clusters: 8,
            iterations: 300,
            batch: None,
            tolerance: 1e-4,
            sample: None,
            restarts: 10,
            seed: 0,
        }
    }
}

impl Checked for Parameters {}

/// Spectra of a sample at least, and for each cluster, if nobody says how many.
const SAMPLE: usize = 128;
const FOR_EACH: usize = 8;

/// The reduction `K_Means`.
pub struct KMeans;

/// What is folded, and what the passes before have found.
pub struct Task {
    folded: Folded,
    parameters: Parameters,
    reals: Reals,
    sizes: Sizes,
    /// The pass, counted from 0.
    number: u32,
    stage: Stage,
    /// The mean variance of a point, which the first pass finds.
    variance: f64,
    /// How often centres have become means of all spectra.
    iterations: u32,
}

/// How much there is of everything.
#[derive(Clone, Copy)]
struct Sizes {
    clusters: usize,
    /// Real numbers of a spectrum.
    points: usize,
    /// Spectra of the sample.
    sample: usize,
    /// Principal axes of the sample, and spectra that have scores on them at most.
    axes: usize,
    scored: usize,
    /// Mini-batches, if there are any.
    batches: Option<u32>,
}

impl Sizes {
    fn new(parameters: &Parameters, source: &SourceInfo, sample: usize) -> Self {
        let points = Reals::of(source).count(source.spectral_points);
        let clusters = parameters.clusters;
        let (axes, scored) = scores::sizes(clusters, sample, points);
        let scored = scored.min(source.positions.try_into().unwrap_or(usize::MAX));
        let (axes, scored) = if scored < FOR_EACH * clusters { (0, 0) } else { (axes, scored) };
        let batches = parameters.batch.map(|batch| mini_batches::count(source, Some(batch), 1));
        Self { clusters, points, sample, axes, scored, batches }
    }

    /// Values of all centres.
    fn centers(&self) -> usize {
        self.clusters * self.points
    }

    /// Values behind the head that a pass begins with: the centres, with mini-batches what these
    /// have taught; or the centres of the sample, the mean and the axes.
    fn carried(&self) -> usize {
        let behind = self.batches.map_or(0, |_| Learned::values(self.centers(), self.clusters));
        self.centers() + behind.max((1 + self.axes) * self.points)
    }
}

/// What a pass does.
enum Stage {
    /// It draws a sample.
    Sample,
    /// It finds the scores of spectra on these axes: of those whose number by chance is below this.
    /// If there are too few it goes on with the centres of the sample.
    Score { axes: Arc<Axes>, below: u64, centers: Vec<f64> },
    /// It looks for the nearest of these centres.
    Assign { centers: Arc<Centers>, is_last: bool, learned: Learned },
}

/// Numbers that are handed on before all others: the mean variance, how often centres have become
/// means, and the part of the spectra that scores are wanted of.
const HEAD: usize = 3;
/// The part of the scores that there is room for which are expected: chance may want more.
const EXPECTED: f64 = 0.9;

/// The buffers.
#[derive(Clone, Copy)]
struct Folded {
    /// Drawn spectra, and what each was drawn by.
    drawn: Buffer<f64>,
    keys: Buffer<u64>,
    /// Scores, in the order of the positions.
    scores: Buffer<f32>,
    /// The sums of clusters.
    sums: Buffer<f64>,
    /// How many spectra these have; the first also how many spectra or scores there are.
    counts: Buffer<u64>,
    /// The sum of all spectra, and of the squares of how far these are from their mean.
    sum: Buffer<f64>,
    spread: Buffer<f64>,
    inertia: Buffer<f64>,
    labels: Buffer<u32>,
    distance: Buffer<f64>,
    mean_response: Means,
    count: Buffer<u64>,
    center_distances: Buffer<f64>,
    total: Buffer<f64>,
    iterations: Buffer<u64>,
}

/// The buffer of the centres, which are of the kind that spectra are.
#[derive(Clone, Copy)]
enum Means {
    Real(Buffer<f64>),
    Complex(Buffer<Complex64>),
}

impl Means {
    fn put(self, values: &[f64], all: &mut Parts<'_>) {
        match self {
            Self::Real(buffer) => all.get(buffer).copy_from_slice(values),
            Self::Complex(buffer) => all.get(buffer).copy_from_slice(bytemuck::cast_slice(values)),
        }
    }
}

impl Folded {
    fn new(source: &SourceInfo, sizes: Sizes, buffers: &mut Buffers) -> Self {
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let Sizes { clusters, points, sample, axes, scored, .. } = sizes;
        let cluster = || Dimension::counted("Cluster", clusters);
        let reals = Reals::of(source);
        let points = || Dimension::counted("Point", points);
        let row = || Dimension::counted("Row", sample);
        let score = vec![Dimension::counted("Spectrum", scored), Dimension::counted("Axis", axes)];
        // Those of the first pass, of that which may follow, and of all behind the first.
        let (first, second, others) = (0..1, 1..2, 1..u32::MAX);
        let spectra = [vec![cluster()], source.spectroscopic_dimensions.clone()].concat();
        Self {
            labels: buffers.per_position("Labels").published("Cluster ID", "a.u."),
            distance: buffers.per_position("Distance").published(quantity, units),
            mean_response: {
                let means = buffers.single("Mean_Response").along(spectra);
                match reals.are_complex() {
                    false => Means::Real(means.at_end(quantity, units)),
                    true => Means::Complex(means.at_end(quantity, units)),
                }
            },
            count: buffers.single("Count").along(vec![cluster()]).at_end("Count", ""),
            center_distances: buffers
                .single("Center_Distances")
                .along(vec![cluster(), Dimension::counted("Other_Cluster", clusters)])
                .at_end(quantity, units),
            total: buffers.single("Inertia").at_end("Inertia", &squared),
            iterations: buffers.single("Iterations").at_end("Count", ""),
            drawn: buffers
                .single("Rows")
                .along(vec![row(), points()])
                .in_passes(first.clone())
                .private(),
            keys: buffers.single("Keys").along(vec![row()]).in_passes(first.clone()).private(),
            sum: buffers.single("Sum").along(vec![points()]).in_passes(first.clone()).private(),
            spread: buffers.single("Spread").in_passes(first).private(),
            scores: buffers.single("Scores").along(score).in_passes(second).private(),
            sums: buffers
                .single("Sums")
                .along(vec![cluster(), points()])
                .in_passes(others)
                .private(),
            counts: buffers.single("Counts").along(vec![cluster()]).private(),
            inertia: buffers.single("Squares").private(),
        }
    }
}

impl Reduction for KMeans {
    const NAME: &'static str = "K_Means";
    const COMMAND: Option<&'static str> = Some("kmeans");
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "clusters of spectra, each round its mean";

    type Parameters = Parameters;
    type Input = Complex64;
    type Task = Task;
    type Scratch = Vec<f64>;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let clusters = parameters.clusters;
        if clusters as u64 > source.positions {
            let positions = source.positions;
            let told = format!("{positions} positions can't be in {clusters} clusters");
            return Err(Failure::new(told));
        }
        let sample = parameters.sample.unwrap_or((FOR_EACH * clusters).max(SAMPLE));
        if sample < clusters {
            let told =
                format!("{clusters} clusters need a `sample` of as many spectra, not {sample}");
            return Err(Failure::new(told));
        }
        let sample = sample.min(source.positions.try_into().unwrap_or(usize::MAX));
        let sizes = Sizes::new(parameters, source, sample);
        let each = source.positions / u64::from(sizes.batches.unwrap_or(1));
        if each < clusters as u64 {
            let told = format!(
                "mini-batches of {each} spectra can't be in {clusters} clusters; give a larger \
                 `batch`"
            );
            return Err(Failure::new(told));
        }
        Ok(Task {
            folded: Folded::new(source, sizes, buffers),
            parameters: parameters.clone(),
            reals: Reals::of(source),
            sizes,
            number: 0,
            stage: Stage::Sample,
            variance: 0.0,
            iterations: 0,
        })
    }

    fn least_positions(task: &Task) -> u64 {
        task.parameters.clusters as u64
    }

    fn whole(_: &Parameters, source: &SourceInfo) -> Whole {
        at_a_time(source)
    }

    fn extra_memory(_: &Parameters, source: &SourceInfo) -> usize {
        8 * source.spectral_points
    }

    fn shared_memory(task: &Task) -> usize {
        let Sizes { clusters, points, sample, axes, scored, batches } = task.sizes;
        // The centres and axes as rows and as weights, those of the next pass, and all as they are
        // handed on, with mini-batches what these have taught as well; how far drawn spectra are
        // from each other; scores, twice, and what is made of them.
        let vectors = clusters.next_multiple_of(4) + (1 + axes).next_multiple_of(4);
        let times = if batches.is_some() { 16 } else { 8 };
        8 * (times * vectors * points + sample * sample + 2 * scored * axes)
            + 8 * numbers(scored, clusters)
    }

    fn passes(task: &Task) -> Option<Passes> {
        let iterations = task.parameters.iterations;
        // Before anything is learned two mini-batches are drawn from, which may be two epochs.
        let epochs = iterations + 2;
        let mini_batches = task.sizes.batches.map(|count| MiniBatches { first: 0, count, epochs });
        let most = task.sizes.batches.map_or(epochs, |count| epochs * count) + 1;
        Some(Passes { most, carried: HEAD + task.sizes.carried(), mini_batches })
    }

    fn preprocess(task: &Task, all: &mut Parts<'_>) {
        all.get(task.folded.keys).fill(u64::MAX);
    }

    fn process_partition(
        task: &Task,
        unit: &mut Tile<'_, Complex64>,
        parts: &mut Parts<'_>,
        buffer: &mut Vec<f64>,
    ) -> Result<(), Failure> {
        let (positions, mut failed) = (unit.positions(), Vec::new());
        task.reals.of_unit(unit, buffer, |all| {
            for (number, rows) in all.chunks(TOGETHER).enumerate() {
                let first = number * TOGETHER;
                let positions = &positions[first..][..rows.len()];
                task.fold(rows, (positions, first), parts, |index, why| failed.push((index, why)));
            }
        });
        failed.into_iter().for_each(|(index, why)| unit.fail(index, why));
        Ok(())
    }

    fn process_spectrum(
        task: &Task,
        spectrum: Spectrum<'_, Complex64>,
        parts: &mut Parts<'_>,
        buffer: &mut Vec<f64>,
    ) -> Result<(), Failure> {
        let mut failed = Ok(());
        let place = (std::slice::from_ref(&spectrum.position), 0);
        let values = task.reals.of_spectrum(spectrum.values, buffer);
        task.fold(&[values], place, parts, |_, why| failed = Err(why));
        failed
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        let Folded { drawn, keys, scores, sums, counts, inertia, .. } = task.folded;
        match &task.stage {
            Stage::Sample => {
                let mut drawn_by_now = Drawn::of(into.of((keys, drawn)), task.sizes.points);
                drawn_by_now.offer_all(from.of((keys, drawn)));
                let (sum, spread, counts) = task.drawn_from(from);
                let own = (&*sum, spread[0], counts[0]);
                task.pool(into, own);
            }
            Stage::Score { .. } => {
                let axes = task.sizes.axes;
                let count = from.get(counts)[0] as usize;
                task.append(into, &from.get(scores)[..count * axes]);
            }
            Stage::Assign { .. } => {
                add(into.get(sums), from.get(sums));
                let pairs = into.get(counts).iter_mut().zip(from.get(counts));
                pairs.for_each(|(count, other)| *count += *other);
                into.get(inertia)[0] += from.get(inertia)[0];
            }
        }
        Ok(())
    }

    fn next_pass(task: &Task, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let mut passed = match &task.stage {
            Stage::Sample => task.begun(all)?,
            Stage::Score { axes, centers, .. } => {
                let count = all.get(task.folded.counts)[0] as usize;
                let scores = &all.get(task.folded.scores)[..count * task.sizes.axes];
                let centers = if count < task.sizes.clusters {
                    centers.clone()
                } else {
                    axes.spectra(&centers_among(scores, task.sizes.axes, &task.parameters))
                };
                task.passed((task.variance, 0), centers, false)
            }
            Stage::Assign { centers, learned, .. } => task.moved(centers, learned, all),
        };
        passed.carried.resize(HEAD + task.sizes.carried(), 0.0);
        Ok(passed)
    }

    fn begin_pass(first: &Task, pass: &Pass) -> Result<Task, Failure> {
        let sizes = first.sizes;
        let (head, values) = pass.carried.split_at(HEAD);
        let (centers, rest) = values.split_at(sizes.centers());
        let centers = centers.to_vec();
        let stage = if head[2] > 0.0 {
            let axes = rest[..(1 + sizes.axes) * sizes.points].to_vec();
            let axes = Arc::new(Axes::new(axes, sizes.points, head[0])?);
            Stage::Score { axes, below: (head[2] * u64::MAX as f64) as u64, centers }
        } else {
            let centers = Arc::new(Centers::new(centers, sizes.points)?);
            let learned = sizes.batches.map_or_else(Learned::default, |_| Learned::of(rest, sizes));
            Stage::Assign { centers, is_last: pass.is_last, learned }
        };
        Ok(Task {
            folded: first.folded,
            parameters: first.parameters.clone(),
            reals: first.reals,
            sizes,
            number: pass.number,
            stage,
            variance: head[0],
            iterations: head[1] as u32,
        })
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let Stage::Assign { centers, .. } = &task.stage else { return Ok(()) };
        let Folded { counts, inertia, mean_response, count, center_distances, .. } = task.folded;
        let found = all.get(counts)[..centers.count()].to_vec();
        all.get(count).copy_from_slice(&found);
        let found = all.get(inertia)[0];
        all.get(task.folded.total)[0] = found;
        all.get(task.folded.iterations)[0] = u64::from(task.iterations);
        mean_response.put(&centers.values, all);
        let rows = || centers.values.chunks_exact(task.sizes.points);
        let distances = all.get(center_distances).chunks_exact_mut(centers.count());
        for (row, distances) in rows().zip(distances) {
            for (other, distance) in rows().zip(distances) {
                *distance = apart(row, other).sqrt();
            }
        }
        Ok(())
    }
}

impl Task {
    /// Folds some spectra; `first` is the number of the first of them in its unit.
    fn fold(
        &self,
        rows: &[&[f64]],
        (positions, first): (&[u64], usize),
        parts: &mut Parts<'_>,
        mut fail: impl FnMut(usize, Failure),
    ) {
        let mut squares = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            match self.reals.square(row) {
                Ok(square) => squares.push(square),
                Err(why) => fail(first + index, why),
            }
        }
        if squares.len() < rows.len() {
            // The unit is folded once more without those that have failed.
            return;
        }
        match &self.stage {
            Stage::Sample => self.draw(rows, positions, parts),
            Stage::Score { axes, below, .. } => self.score(rows, positions, (axes, *below), parts),
            Stage::Assign { centers, is_last, .. } => {
                self.assign(rows, (centers, &squares), parts, is_last.then_some(first));
            }
        }
    }

    fn draw(&self, rows: &[&[f64]], positions: &[u64], parts: &mut Parts<'_>) {
        let folded = self.folded;
        let mut drawn = Drawn::of(parts.of((folded.keys, folded.drawn)), self.sizes.points);
        for (row, position) in rows.iter().zip(positions) {
            drawn.offer(key(self.parameters.seed, *position), row);
        }
        let mut sum = vec![0.0; self.sizes.points];
        rows.iter().for_each(|row| add(&mut sum, row));
        let mean: Vec<f64> = sum.iter().map(|sum| sum / rows.len() as f64).collect();
        let spread = rows.iter().map(|row| apart(row, &mean)).sum();
        self.pool(parts, (&sum, spread, rows.len() as u64));
    }

    /// Finds the scores of those spectra that are among the ones which have some.
    fn score(
        &self,
        rows: &[&[f64]],
        positions: &[u64],
        (axes, below): (&Axes, u64),
        parts: &mut Parts<'_>,
    ) {
        // Another number than that by which the sample is drawn.
        let is_wanted = |position: u64| mixed(key(self.parameters.seed, position)) <= below;
        let wanted = rows.iter().zip(positions).filter(|(_, position)| is_wanted(**position));
        let wanted: Vec<&[f64]> = wanted.map(|(row, _)| *row).collect();
        self.append(parts, &axes.scores(&wanted));
    }

    /// Puts scores behind those that there are, as far as there is room.
    fn append(&self, parts: &mut Parts<'_>, more: &[f32]) {
        let (scores, counts) = parts.of((self.folded.scores, self.folded.counts));
        let room = scores[counts[0] as usize * self.sizes.axes..].chunks_exact_mut(self.sizes.axes);
        for (to, from) in room.zip(more.chunks_exact(self.sizes.axes)) {
            to.copy_from_slice(from);
            counts[0] += 1;
        }
    }

    fn drawn_from<'p>(
        &self,
        parts: &'p mut Parts<'_>,
    ) -> (&'p mut [f64], &'p mut [f64], &'p mut [u64]) {
        let Folded { sum, spread, counts, .. } = self.folded;
        parts.of((sum, spread, counts))
    }

    /// Adds the sum of some spectra, how far they are from their mean, and how many they are, to
    /// those that there are (T. F. Chan, G. H. Golub and R. J. LeVeque, Am. Stat. 37 (1983) 242).
    fn pool(&self, parts: &mut Parts<'_>, (more, of_more, count): (&[f64], f64, u64)) {
        let (sum, spread, counts) = self.drawn_from(parts);
        if counts[0] > 0 && count > 0 {
            let (own, other) = (counts[0] as f64, count as f64);
            let between = sum.iter().zip(more).map(|(one, two)| (one / own - two / other).powi(2));
            spread[0] += between.sum::<f64>() * own * other / (own + other);
        }
        add(sum, more);
        spread[0] += of_more;
        counts[0] += count;
    }

    /// Puts spectra into the cluster of the nearest centre; the first of them has this number among
    /// those that have results, if they have any.
    fn assign(
        &self,
        rows: &[&[f64]],
        (centers, squares): (&Centers, &[f64]),
        parts: &mut Parts<'_>,
        first: Option<usize>,
    ) {
        let products = centers.products(rows);
        let (folded, points) = (self.folded, self.sizes.points);
        let (sums, counts, inertia) = parts.of((folded.sums, folded.counts, folded.inertia));
        let mut found = Vec::with_capacity(rows.len());
        for (row, (products, square)) in
            rows.iter().zip(products.chunks_exact(centers.count()).zip(squares))
        {
            let label = centers.nearest((row, *square), products);
            counts[label] += 1;
            if first.is_none() {
                add(&mut sums[label * points..][..points], row);
                continue;
            }
            let squared = apart(row, centers.row(label));
            inertia[0] += squared;
            found.push((label as u32, squared.sqrt()));
        }
        let Some(first) = first else { return };
        let (labels, distances) = parts.of((folded.labels, folded.distance));
        let labels = labels[first..].iter_mut().zip(&mut distances[first..]);
        for ((label, distance), found) in labels.zip(found) {
            (*label, *distance) = found;
        }
    }

    /// What follows when a sample is drawn: the scores of many more spectra on its axes, if these
    /// are more than it has, or the centres.
    fn begun(&self, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let (folded, Sizes { points, sample, axes, scored, .. }) = (self.folded, self.sizes);
        let count = all.get(folded.counts)[0];
        let values = count.max(1) as f64 * points.max(1) as f64;
        let variance = all.get(folded.spread)[0] / values;
        let drawn = Drawn::of(all.of((folded.keys, folded.drawn)), points);
        let rows = drawn.rows();
        if self.sizes.batches.is_some() && rows.len() < self.sizes.clusters {
            return Err(Failure::new(format!(
                "the first mini-batch has {} spectra that can be computed with, too few for {} \
                 clusters; give a larger `batch`, or none",
                rows.len(),
                self.sizes.clusters
            )));
        }
        let scores_help = axes > 0 && count > sample as u64;
        let centers = match (scores_help, self.sizes.batches) {
            // There are scores of as many spectra, as good as certainly.
            (true, None) => rows[..self.sizes.clusters].concat(),
            _ => first_centers(&rows, &self.parameters)?,
        };
        if !scores_help {
            return Ok(self.passed((variance, 0), centers, false));
        }
        let part = match count <= scored as u64 {
            true => 1.0,
            false => EXPECTED * scored as f64 / count as f64,
        };
        let head = vec![variance, 0.0, part];
        Ok(Passed { carried: [head, centers, axes_of(&rows, axes)].concat(), is_last: false })
    }

    /// What a pass hands on that is followed by one over these centres, when they have become means
    /// so often.
    fn passed(&self, found: (f64, u32), centers: Vec<f64>, is_last: bool) -> Passed {
        let nothing = self.sizes.batches.map(|_| Learned::new(&centers, self.sizes.clusters));
        Self::passed_on(found, (centers, nothing.unwrap_or_default()), is_last)
    }

    fn passed_on(
        (variance, iterations): (f64, u32),
        (centers, learned): (Vec<f64>, Learned),
        is_last: bool,
    ) -> Passed {
        let head = vec![variance, f64::from(iterations), 0.0];
        Passed { carried: [head, centers, learned.into_values()].concat(), is_last }
    }

    /// Moves centres to the means of their clusters, or with mini-batches towards them; the next
    /// pass is the last if they stay where they are.
    fn moved(&self, centers: &Centers, learned: &Learned, all: &mut Parts<'_>) -> Passed {
        let (sums, counts) = all.of((self.folded.sums, self.folded.counts));
        let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
        let batches = self.sizes.batches.unwrap_or(1);
        let ends_epoch = (self.number + 1).is_multiple_of(batches);
        let iterations = self.iterations + u32::from(ends_epoch);
        let found = (self.variance, iterations);
        if self.sizes.batches.is_none() {
            let means = means((sums, &counts), &centers.values);
            let is_last = self.is_enough(iterations, (&means, &centers.values));
            return self.passed(found, means, is_last);
        }
        let mut learned = learned.clone();
        let moved = learned.learn((sums, &counts), &centers.values, batches);
        if !ends_epoch {
            return Self::passed_on(found, (moved, learned), false);
        }
        let means = learned.end_epoch(&moved);
        let is_last = self.is_enough(iterations, (&means, &learned.before));
        learned.begin_epoch(&means);
        Self::passed_on(found, (means, learned), is_last)
    }

    /// Whether centres have become means often enough, or have moved by no more than is tolerated.
    fn is_enough(&self, iterations: u32, (centers, before): (&[f64], &[f64])) -> bool {
        let tolerated = self.parameters.tolerance * self.variance;
        iterations >= self.parameters.iterations || apart(centers, before) <= tolerated
    }
}

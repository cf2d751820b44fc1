//! k-means: the spectra of a scan in clusters, each round its mean.
//!
//! Lloyd's algorithm (S. P. Lloyd, IEEE Trans. Inf. Theory 28 (1982) 129): each spectrum x belongs
//! to the cluster whose centre c is nearest, ‖x − c‖² = Σ(xᵢ − cᵢ)², the first of these if there
//! are several, and each centre becomes the mean of its spectra, until the centres together move by
//! no more than `tolerance` times the mean variance of the points of a spectrum (scikit-learn's
//! rule), or `iterations` times. Every iteration is a pass over the data; one more tells the
//! labels.
//!
//! The first centres come from `sample` spectra by chance: k-means++ (D. Arthur and S.
//! Vassilvitskii, SODA 2007, 1027) with the best of 2 + ln k candidates at each step, and Lloyd's
//! algorithm within the sample, `restarts` times, of which the one with the smallest sum of squares
//! is taken. With the same `seed` they are the same, whatever the number of workers. A cluster that
//! loses all of its spectra keeps its centre.
//!
//! `Labels` (one number from 0 for each position) and `Mean_Response` (clusters × the axes of a
//! spectrum, the centres) are as pycroscopy's `Cluster` has them. `Distance` is ‖x − c‖ of each
//! position to its own centre, in units of the data; `Count` how many positions a cluster has;
//! `Center_Distances` the distances of the centres from each other; `Inertia` Σ‖x − c‖² over all
//! positions; `Iterations` how often centres became means. All is in double precision.
//!
//! A complex spectrum of n values is clustered as 2n real ones, its real and its imaginary parts,
//! as pycroscopy stacks them: ‖x − c‖² = Σ|xᵢ − cᵢ|², and the mean variance is that of a part. The
//! mean responses are complex again.
//!
//! A spectrum with a value that is no number has no place: its position fails. Spectra that are all
//! equal have one cluster, and nobody is in the others, whose centres are the same.

pub(crate) mod start;

use std::sync::Arc;

use num_complex::Complex64;
use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{
    Buffer, Buffers, Parts, Pass, Passed, Passes, Reduction, Tile, Whole,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drawn::{Drawn, key};
use crate::products::{add, apart, dot};
use crate::weights::Weights;
use crate::whole_spectra::{Reals, TOGETHER, at_a_time};
use start::first_centers;

/// How many clusters, and how they are found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many clusters there are.
    #[schemars(range(min = 1, max = 10_000))]
    pub clusters: usize,
    /// How often centres become means at most.
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations: u32,
    /// How far all centres together may still move, as a part of the mean variance of a point; the
    /// square of that distance.
    #[schemars(range(min = 0, max = 1))]
    pub tolerance: f64,
    /// How many spectra the first centres are chosen from; 64, or eight for each cluster, if none.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sample: Option<usize>,
    /// How often they are chosen, to take the best.
    #[schemars(range(min = 1, max = 1000))]
    pub restarts: u32,
    /// What chance begins with.
    pub seed: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { clusters: 8, iterations: 300, tolerance: 1e-4, sample: None, restarts: 10, seed: 0 }
    }
}

impl Checked for Parameters {}

/// Spectra of a sample at least, and for each cluster, if nobody says how many.
const SAMPLE: usize = 64;
const FOR_EACH: usize = 8;

/// The reduction `K_Means`.
pub struct KMeans;

/// What is folded, and what the passes before have found.
pub struct Task {
    folded: Folded,
    parameters: Parameters,
    reals: Reals,
    /// Real numbers of a spectrum.
    points: usize,
    stage: Stage,
    /// The mean variance of a point, which the first pass finds.
    variance: f64,
    /// How often centres have become means.
    iterations: u32,
}

/// What a pass does.
enum Stage {
    /// It draws a sample.
    Sample,
    /// It looks for the nearest of these centres.
    Assign { centers: Arc<Centers>, is_last: bool },
}

/// How much of the largest sum of squares rounding may be in a difference of two distances, in
/// units of the last digit and per point.
const ROUNDED: f64 = 8.0;

/// The centres of all clusters.
struct Centers {
    /// One behind the other.
    values: Vec<f64>,
    squares: Vec<f64>,
    weights: Weights,
}

/// The buffers.
#[derive(Clone, Copy)]
struct Folded {
    /// Drawn spectra, or the sums of clusters, and how many these are.
    rows: Buffer<f64>,
    counts: Buffer<u64>,
    /// What each drawn spectrum was drawn by.
    keys: Buffer<u64>,
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
    fn new(source: &SourceInfo, (clusters, sample): (usize, usize), buffers: &mut Buffers) -> Self {
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let cluster = || Dimension::counted("Cluster", clusters);
        let reals = Reals::of(source);
        let points = || Dimension::counted("Point", reals.count(source.spectral_points));
        let row = || Dimension::counted("Row", sample.max(clusters));
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
            rows: buffers.single("Rows").along(vec![row(), points()]).private(),
            counts: buffers.single("Counts").along(vec![row()]).private(),
            keys: buffers.single("Keys").along(vec![row()]).private(),
            sum: buffers.single("Sum").along(vec![points()]).private(),
            spread: buffers.single("Spread").private(),
            inertia: buffers.single("Squares").private(),
        }
    }
}

impl Centers {
    fn new(values: Vec<f64>, points: usize) -> Result<Self, Failure> {
        let squares: Vec<f64> = values.chunks_exact(points).map(|row| dot(row, row)).collect();
        let weights = Weights::of_some((squares.len(), points), |cluster| {
            Ok(values[cluster * points..][..points].to_vec())
        })?;
        Ok(Self { values, squares, weights })
    }

    fn count(&self) -> usize {
        self.squares.len()
    }

    fn row(&self, number: usize) -> &[f64] {
        let points = self.values.len() / self.count();
        &self.values[number * points..][..points]
    }

    /// The nearest centre to a spectrum with this sum of squares, by the products of both.
    fn nearest(&self, (row, square): (&[f64], f64), products: &[f64]) -> usize {
        let far = || products.iter().zip(&self.squares).map(|(product, own)| own - 2.0 * product);
        let (nearest, near) = least(far());
        // Where digits are lost in the difference, those that may be nearer are looked at by
        // themselves.
        let largest = self.squares.iter().fold(square, |most, own| most.max(*own));
        let doubt = ROUNDED * row.len() as f64 * f64::EPSILON * largest;
        let doubtful = || far().enumerate().filter(|(_, far)| far - near <= doubt);
        if doubtful().nth(1).is_none() {
            return nearest;
        }
        let each = doubtful().map(|(number, _)| (number, apart(row, self.row(number))));
        let first = (nearest, f64::INFINITY);
        each.fold(first, |least, found| if found.1 < least.1 { found } else { least }).0
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
        let (clusters, reals) = (parameters.clusters, Reals::of(source));
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
        Ok(Task {
            folded: Folded::new(source, (clusters, sample), buffers),
            parameters: Parameters { sample: Some(sample), ..parameters.clone() },
            reals,
            points: reals.count(source.spectral_points),
            stage: Stage::Sample,
            variance: 0.0,
            iterations: 0,
        })
    }

    fn whole(_: &Parameters, source: &SourceInfo) -> Whole {
        at_a_time(source)
    }

    fn extra_memory(_: &Parameters, source: &SourceInfo) -> usize {
        8 * source.spectral_points
    }

    fn shared_memory(task: &Task) -> usize {
        // The centres as rows and as weights, those of the next pass, and all as they are handed
        // on; and how far drawn spectra are from each other.
        let sample = task.parameters.sample.unwrap_or(0);
        8 * (8 * task.parameters.clusters.next_multiple_of(4) * task.points + sample * sample)
    }

    fn passes(task: &Task) -> Option<Passes> {
        let Parameters { clusters, iterations, .. } = task.parameters;
        Some(Passes {
            most: iterations + 2,
            carried: 2 + clusters * task.points,
            mini_batches: None,
        })
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
        let Folded { rows, counts, keys, inertia, .. } = task.folded;
        match &task.stage {
            Stage::Sample => {
                let mut drawn = Drawn::of(into.of((keys, rows)), task.points);
                drawn.offer_all(from.of((keys, rows)));
                let (sum, spread, counts) = task.drawn_from(from);
                let own = (&*sum, spread[0], counts[0]);
                task.pool(into, own);
            }
            Stage::Assign { .. } => {
                let sums = ..task.parameters.clusters * task.points;
                add(&mut into.get(rows)[sums], &from.get(rows)[sums]);
                let pairs = into.get(counts).iter_mut().zip(from.get(counts));
                pairs.for_each(|(count, other)| *count += *other);
                into.get(inertia)[0] += from.get(inertia)[0];
            }
        }
        Ok(())
    }

    fn next_pass(task: &Task, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let parameters = &task.parameters;
        let (variance, centers, is_last) = match &task.stage {
            Stage::Sample => {
                let folded = task.folded;
                let count = all.get(folded.counts)[0].max(1) as f64 * task.points.max(1) as f64;
                let variance = all.get(folded.spread)[0] / count;
                let drawn = Drawn::of(all.of((folded.keys, folded.rows)), task.points);
                (variance, first_centers(&drawn.rows(), parameters)?, false)
            }
            Stage::Assign { centers, .. } => {
                let (means, moved) = task.means(centers, all);
                let has_converged = moved <= parameters.tolerance * task.variance;
                let is_last = has_converged || task.iterations + 1 >= parameters.iterations;
                (task.variance, means, is_last)
            }
        };
        let iterations = match task.stage {
            Stage::Sample => 0,
            Stage::Assign { .. } => task.iterations + 1,
        };
        let carried = [vec![variance, f64::from(iterations)], centers].concat();
        Ok(Passed { carried, is_last })
    }

    fn begin_pass(first: &Task, pass: &Pass) -> Result<Task, Failure> {
        let (head, centers) = pass.carried.split_at(2);
        let centers = Arc::new(Centers::new(centers.to_vec(), first.points)?);
        Ok(Task {
            folded: first.folded,
            parameters: first.parameters.clone(),
            reals: first.reals,
            points: first.points,
            stage: Stage::Assign { centers, is_last: pass.is_last },
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
        let rows = || centers.values.chunks_exact(task.points);
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
            Stage::Assign { centers, is_last } => {
                self.assign(rows, (centers, &squares), parts, is_last.then_some(first));
            }
        }
    }

    fn draw(&self, rows: &[&[f64]], positions: &[u64], parts: &mut Parts<'_>) {
        let folded = self.folded;
        let mut drawn = Drawn::of(parts.of((folded.keys, folded.rows)), self.points);
        for (row, position) in rows.iter().zip(positions) {
            drawn.offer(key(self.parameters.seed, *position), row);
        }
        let mut sum = vec![0.0; self.points];
        rows.iter().for_each(|row| add(&mut sum, row));
        let mean: Vec<f64> = sum.iter().map(|sum| sum / rows.len() as f64).collect();
        let spread = rows.iter().map(|row| apart(row, &mean)).sum();
        self.pool(parts, (&sum, spread, rows.len() as u64));
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
        let mut products = vec![0.0; rows.len() * centers.count()];
        let all = std::iter::once(0..self.points);
        centers.weights.add_rows(rows, all, &mut products);
        let folded = self.folded;
        let (sums, counts, inertia) = parts.of((folded.rows, folded.counts, folded.inertia));
        let mut found = Vec::with_capacity(rows.len());
        for (row, (products, square)) in
            rows.iter().zip(products.chunks_exact(centers.count()).zip(squares))
        {
            let label = centers.nearest((row, *square), products);
            counts[label] += 1;
            if first.is_none() {
                add(&mut sums[label * self.points..][..self.points], row);
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

    /// The means of the clusters, and the square of how far they are from their centres.
    fn means(&self, centers: &Centers, all: &mut Parts<'_>) -> (Vec<f64>, f64) {
        let (sums, counts) = all.of((self.folded.rows, self.folded.counts));
        let (mut means, mut moved) = (centers.values.clone(), 0.0);
        let clusters = means.chunks_exact_mut(self.points).zip(sums.chunks_exact(self.points));
        for ((center, sum), count) in clusters.zip(counts).filter(|(_, count)| **count > 0) {
            for (center, sum) in center.iter_mut().zip(sum) {
                let mean = sum / *count as f64;
                moved += (mean - *center) * (mean - *center);
                *center = mean;
            }
        }
        (means, moved)
    }
}

/// The smallest of some numbers, the first of them if there are several, and which it is.
fn least(numbers: impl Iterator<Item = f64>) -> (usize, f64) {
    let first = (0, f64::INFINITY);
    numbers.enumerate().fold(
        first,
        |least, (at, number)| {
            if number < least.1 { (at, number) } else { least }
        },
    )
}

//! Non-negative matrix factorisation of a scan, out of core.
//!
//! A scan X (positions × points) without negative values is near U·V, neither of which has any (D.
//! D. Lee and H. S. Seung, Nature 401 (1999) 788): each spectrum is a sum of `components` in
//! amounts. Those are looked for with which ‖X − UV‖² is smallest; there may be several such
//! minima, of which one is found.
//!
//! Each pass over the data finds for components V the best amounts of every spectrum exactly (see
//! `factorisation::nonnegative`; alternating non-negative least squares, H. Kim and H. Park, SIAM
//! J. Matrix Anal. Appl. 30 (2008) 713), and sums up UᵀU and UᵀX. All else is done on these between
//! passes: many sweeps for better components (`factorisation::dictionary`), the error, and a run-up
//! that saves passes (`search`). The first components are parts of singular vectors (`start`),
//! found in two passes of `svd`'s method and one for their signs; what is by chance in these
//! (`seed`) counts little. The search ends when the error has become smaller by no more than
//! `tolerance` of itself, or after `passes`; one more pass gives the amounts.
//!
//! `Components` (components × the axes of a spectrum) has 1 as the largest value of each, without
//! units; so `Loadings` (positions × components), in units of the data, are how high each peaks in
//! a spectrum. `Contribution` is ‖uⱼ‖·‖vⱼ‖/‖X‖ of each component; they are in the order of this
//! before the last pass. `Relative_Error` is ‖X − UV‖/‖X‖, known to about 1e-8, and `Passes` how
//! many looked for components.
//!
//! With `poisson` values are scaled as in `svd`. Components and loadings are given for the data as
//! they are; contributions and the error are of what is scaled.
//!
//! All is in double precision. A spectrum with a negative value, or one that is no number, fails:
//! take away less background, or correct the data. Empty spectra have no loadings. Where a scan has
//! fewer components than are asked for, the others are 0, and so are their loadings.

mod search;
mod start;

use std::sync::Arc;

use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{
    Buffer, Buffers, Parts, Pass, Passed, Passes, Reduction, Tile, Whole,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decomposition::krylov::Krylov;
use crate::decomposition::scale::{Scale, Scaled};
use crate::decomposition::{check_components, weights};
use crate::factorisation::nonnegative::{Gram, Memory};
use crate::products::{add, add_outer, dot};
use crate::weights::Weights;
use crate::whole_spectra::{TOGETHER, at_a_time, fold_together};
use search::{Search, Sums};

/// How many components, and how they are found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many components there are.
    #[schemars(range(min = 1, max = 1000))]
    pub components: usize,
    /// Whether the data are counts, which are scaled so that their noise is the same everywhere.
    pub poisson: bool,
    /// How much smaller the error has to become from one pass to the next for the search to go on,
    /// as a part of itself.
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
        Self { components: 4, poisson: false, tolerance: 1e-5, passes: 100, seed: 0 }
    }
}

impl Checked for Parameters {}

/// Vectors more than components, while singular ones are looked for.
const MORE: usize = 8;
/// Passes that look for these: the beginning need not be exact.
const MULTIPLIED: u32 = 2;
/// Why negative values are refused.
const REFUSED: &str = "sums of components that aren't negative never are";

/// The reduction `NMF`.
pub struct Nmf;

/// What is folded, and what the passes before have found.
pub struct Task {
    folded: Folded,
    parameters: Parameters,
    sizes: Sizes,
    scale: Scale,
    /// The sum of the squares of all values, once it is known.
    energy: f64,
    stage: Stage,
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
    /// It multiplies by the newest block; so many passes did before.
    Multiply { krylov: Arc<Krylov>, weights: Weights, before: u32 },
    /// It sums up what spectra have in the sense of vectors, and against it.
    Split { vectors: Vec<f64>, weights: Weights },
    /// It finds the amounts of components.
    Search { search: Search, gram: Gram, weights: Weights },
    /// It tells the amounts of components: each has to be multiplied by its height.
    Tell { search: Search, heights: Vec<f64>, gram: Gram, weights: Weights },
}

/// The buffers.
#[derive(Clone, Copy)]
struct Folded {
    /// The products with a block of vectors, or XᵀU.
    products: Buffer<f64>,
    sums: Buffer<f64>,
    /// UᵀU.
    amounts: Buffer<f64>,
    /// The squares of what spectra have of vectors, along them and against them.
    squares: Buffer<f64>,
    spectra: Buffer<u64>,
    energy: Buffer<f64>,
    /// The squares of what components leave of spectra.
    left: Buffer<f64>,
    loadings: Buffer<f64>,
    found: Buffer<f64>,
    contribution: Buffer<f64>,
    error: Buffer<f64>,
    passes: Buffer<u64>,
}

impl Folded {
    fn new(source: &SourceInfo, sizes: Sizes, buffers: &mut Buffers) -> Self {
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let component = || vec![Dimension::counted("Component", sizes.components)];
        let counted = |name: &str, count: usize| vec![Dimension::counted(name, count)];
        let spectra = [component(), source.spectroscopic_dimensions.clone()].concat();
        let vectors = counted("Vector", sizes.block);
        let pairs = counted("Pair", sizes.components * sizes.components.max(2));
        Self {
            loadings: buffers
                .per_position("Loadings")
                .along(component())
                .published(quantity, units),
            found: buffers.single("Components").along(spectra).at_end(quantity, ""),
            contribution: buffers.single("Contribution").along(component()).at_end("Ratio", ""),
            error: buffers.single("Relative_Error").at_end("Ratio", ""),
            passes: buffers.single("Passes").at_end("Count", ""),
            products: buffers.per_point("Products").along(vectors).private(),
            sums: buffers.per_point("Sums").private(),
            amounts: buffers.single("Amounts").along(pairs.clone()).private(),
            squares: buffers.single("Squares").along(pairs).private(),
            spectra: buffers.single("Spectra").private(),
            energy: buffers.single("Energy").private(),
            left: buffers.single("Left").private(),
        }
    }
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    scaled: Vec<f64>,
    factors: Vec<f64>,
    memory: Memory,
}

impl Reduction for Nmf {
    const NAME: &'static str = "NMF";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "components that are nowhere negative, and how much of each a position has";

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let (components, points) = (parameters.components, source.spectral_points);
        check_components(components, source)?;
        let block = (components + MORE).next_multiple_of(8).min(points);
        let sizes = Sizes { points, block, components };
        let folded = Folded::new(source, sizes, buffers);
        let stage = match parameters.poisson {
            true => Stage::Sum,
            false => Stage::multiply(Krylov::new(points, block, parameters.seed), 0)?,
        };
        let (parameters, scale) = (parameters.clone(), Scale::Nothing);
        Ok(Task { folded, parameters, sizes, scale, energy: 0.0, stage })
    }

    fn least_positions(task: &Task) -> u64 {
        task.sizes.components as u64
    }

    fn whole(_: &Parameters, source: &SourceInfo) -> Whole {
        at_a_time(source)
    }

    fn extra_memory(parameters: &Parameters, source: &SourceInfo) -> usize {
        8 * (TOGETHER * (source.spectral_points + parameters.components + MORE)
            + parameters.components * (parameters.components + 4))
    }

    fn shared_memory(task: &Task) -> usize {
        let Sizes { points, block, .. } = task.sizes;
        // What a pass has begun with, as it is kept and as it is handed on; and blocks: those of
        // the first pass and of the one that has begun, as vectors and as weights, and what is made
        // of these when it ends.
        8 * (3 * carried(task.sizes) + 14 * points * block)
    }

    fn passes(task: &Task) -> Option<Passes> {
        let Parameters { poisson, passes, .. } = task.parameters;
        let start = u32::from(poisson) + MULTIPLIED + 1;
        let (most, carried) = (start + passes + 1, carried(task.sizes));
        Some(Passes { most, carried, mini_batches: None })
    }

    fn process_partition(
        task: &Task,
        unit: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        fold_together(unit, |rows, first, fail| task.fold(rows, first, (parts, scratch), fail));
        Ok(())
    }

    fn process_spectrum(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        parts: &mut Parts<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        let mut failed = Ok(());
        task.fold(&[spectrum.values], 0, (parts, scratch), |_, why| failed = Err(why));
        failed
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        let Folded { products, sums, amounts, squares, spectra, energy, left, .. } = task.folded;
        let all: &[Buffer<f64>] = match task.stage {
            Stage::Sum => &[sums],
            Stage::Multiply { .. } => &[products],
            Stage::Split { .. } => &[squares],
            Stage::Search { .. } => &[products, amounts, left],
            Stage::Tell { .. } => &[amounts, left],
        };
        all.iter().chain(&[energy]).for_each(|buffer| add(into.get(*buffer), from.get(*buffer)));
        into.get(spectra)[0] += from.get(spectra)[0];
        Ok(())
    }

    fn next_pass(task: &Task, all: &mut Parts<'_>) -> Result<Passed, Failure> {
        let Folded { products, sums, amounts, squares, spectra, energy, left, .. } = task.folded;
        let Sizes { points, block, components } = task.sizes;
        let spectra = all.get(spectra)[0];
        if spectra < components as u64 {
            let told = format!("{spectra} spectra don't have {components} components");
            return Err(Failure::new(told));
        }
        let energy = all.get(energy)[0];
        let found = match &task.stage {
            Stage::Sum => {
                let roots: Vec<f64> = all.get(sums).iter().map(|sum| sum.sqrt()).collect();
                let krylov = Krylov::new(points, block, task.parameters.seed);
                return Ok(carry(task.sizes, (0.0, &roots), &Next::Multiply(krylov, 0)));
            }
            Stage::Multiply { krylov, before, .. } => {
                let mut krylov = Krylov::clone(krylov);
                let ritz = krylov.ritz(all.get(products));
                if before + 1 < MULTIPLIED && krylov.go_on(&ritz) {
                    Next::Multiply(krylov, before + 1)
                } else {
                    Next::Split(ritz.vectors[..components * points].to_vec())
                }
            }
            Stage::Split { vectors, .. } => {
                let squares = &all.get(squares)[..2 * components];
                Next::Search(Search::new(start::start(vectors, points, squares)), false)
            }
            Stage::Search { search, .. } => {
                let error = part(all.get(left)[0], energy);
                let (b, a) = all.of((products, amounts));
                let (b, a) = (&b[..points * components], &a[..components * components]);
                let Parameters { tolerance, passes, .. } = task.parameters;
                let sums = Sums { a, b, error };
                let (mut next, is_last) = search.next(points, &sums, (tolerance, passes));
                if is_last {
                    next.sort(points, a);
                }
                Next::Search(next, is_last)
            }
            Stage::Tell { .. } => return Err(Failure::new("there is no pass after the last")),
        };
        Ok(carry(task.sizes, (energy, task.scale.values()), &found))
    }

    fn begin_pass(first: &Task, pass: &Pass) -> Result<Task, Failure> {
        let Sizes { points, block, components } = first.sizes;
        let parameters = first.parameters.clone();
        let (head, rest) = pass.carried.split_at(HEAD);
        let (roots, rest) = rest.split_at(points);
        let scale = match parameters.poisson {
            true => Scale::Counts(Arc::new(roots.to_vec())),
            false => Scale::Nothing,
        };
        let numbers = components * points;
        let stage = match head[0] as u32 {
            MULTIPLY => {
                let before = head[1] as u32;
                Stage::multiply(Krylov::taken((points, block), before > 0, rest), before)?
            }
            SPLIT => {
                let vectors = rest[..numbers].to_vec();
                Stage::Split { weights: weights(&vectors, points)?, vectors }
            }
            _ => {
                let search = Search::taken(numbers, rest);
                let gram = Gram::of(&search.components, points);
                let weights = weights(&search.components, points)?;
                match pass.is_last {
                    true => Stage::tell(search, points, &scale, (gram, weights)),
                    false => Stage::Search { search, gram, weights },
                }
            }
        };
        let (folded, sizes, energy) = (first.folded, first.sizes, head[2]);
        Ok(Task { folded, parameters, sizes, scale, energy, stage })
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let Stage::Tell { search, heights, gram, .. } = &task.stage else { return Ok(()) };
        let Folded { amounts, left, found, contribution, error, passes, .. } = task.folded;
        let count = task.sizes.components;
        let part = |square: f64| part(square, task.energy);
        let diagonal = |matrix: &[f64], at: usize| matrix[at * (count + 1)];
        let a = all.get(amounts);
        let each = (0..count).map(|at| part(diagonal(a, at) * diagonal(gram.values(), at)));
        let each: Vec<f64> = each.collect();
        all.get(contribution).copy_from_slice(&each);
        all.get(error)[0] = part(all.get(left)[0]);
        all.get(passes)[0] = u64::from(search.passes);
        let rows = all.get(found).chunks_exact_mut(task.sizes.points);
        let own = search.components.chunks_exact(task.sizes.points).zip(heights);
        for (row, (own, height)) in rows.zip(own) {
            row.copy_from_slice(own);
            task.scale.undo(row);
            if *height > 0.0 {
                row.iter_mut().for_each(|value| *value /= height);
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
        first: usize,
        (parts, scratch): (&mut Parts<'_>, &mut Scratch),
        mut fail: impl FnMut(usize, Failure),
    ) {
        let Scratch { scaled, factors, memory } = scratch;
        let fail = |index, why| fail(first + index, why);
        let Some(scaled) = self.scale.applied(rows, Some(REFUSED), scaled, fail) else { return };
        let (rows, folded) = (&*scaled.rows, self.folded);
        parts.get(folded.spectra)[0] += rows.len() as u64;
        parts.get(folded.energy)[0] += scaled.energy;
        match &self.stage {
            Stage::Sum => rows.iter().for_each(|row| add(parts.get(folded.sums), row)),
            Stage::Multiply { weights, .. } => {
                self.multiply(rows, weights, factors);
                add_outer(rows, (factors, weights.len()), parts.get(folded.products));
            }
            Stage::Split { weights, .. } => {
                self.multiply(rows, weights, factors);
                for factors in factors.chunks_exact(weights.len()) {
                    let squares = parts.get(folded.squares).chunks_exact_mut(2);
                    for (squares, factor) in squares.zip(factors) {
                        squares[usize::from(*factor < 0.0)] += factor * factor;
                    }
                }
            }
            Stage::Search { gram, weights, .. } => {
                self.multiply(rows, weights, factors);
                let (amounts, left) = parts.of((folded.amounts, folded.left));
                solve(gram, &scaled, (factors, memory), (amounts, &mut left[0]));
                add_outer(rows, (factors, weights.len()), parts.get(folded.products));
            }
            Stage::Tell { gram, weights, heights, .. } => {
                self.multiply(rows, weights, factors);
                let (amounts, left) = parts.of((folded.amounts, folded.left));
                solve(gram, &scaled, (factors, memory), (amounts, &mut left[0]));
                let count = heights.len();
                let own = &mut parts.get(folded.loadings)[first * count..][..rows.len() * count];
                let each = own.chunks_exact_mut(count).zip(factors.chunks_exact(count));
                for ((own, amounts), root) in each.zip(&scaled.roots) {
                    for ((own, amount), height) in own.iter_mut().zip(amounts).zip(heights) {
                        *own = amount * root * height;
                    }
                }
            }
        }
    }

    /// The products of spectra with vectors.
    fn multiply(&self, rows: &[&[f64]], weights: &Weights, factors: &mut Vec<f64>) {
        factors.clear();
        factors.resize(rows.len() * weights.len(), 0.0);
        weights.add_rows(rows, std::iter::once(0..self.sizes.points), factors);
    }
}

/// Puts the amounts of components in place of the products of spectra with them, and adds up UᵀU
/// and the squares of what is left of the spectra.
fn solve(
    gram: &Gram,
    scaled: &Scaled<'_>,
    (factors, memory): (&mut [f64], &mut Memory),
    (sums, left): (&mut [f64], &mut f64),
) {
    let count = gram.count();
    let mut u = vec![0.0; count];
    let mut made = 0.0;
    for factors in factors.chunks_exact_mut(count) {
        gram.solve(factors, &mut u, memory);
        for (sums, (row, amount)) in
            sums.chunks_exact_mut(count).zip(gram.values().chunks_exact(count).zip(&u))
        {
            sums.iter_mut().zip(&u).for_each(|(sum, other)| *sum += amount * other);
            made += amount * dot(row, &u);
        }
        made -= 2.0 * dot(factors, &u);
        factors.copy_from_slice(&u);
    }
    *left += (scaled.energy + made).max(0.0);
}

/// What a sum of squares is as a part of all, before it was squared.
fn part(square: f64, energy: f64) -> f64 {
    if energy > 0.0 { (square / energy).sqrt() } else { 0.0 }
}

impl Stage {
    fn multiply(krylov: Krylov, before: u32) -> Result<Self, Failure> {
        let weights = weights(krylov.newest(), krylov.points)?;
        Ok(Self::Multiply { krylov: Arc::new(krylov), weights, before })
    }

    fn tell(
        search: Search,
        points: usize,
        scale: &Scale,
        (gram, weights): (Gram, Weights),
    ) -> Self {
        let heights = search.components.chunks_exact(points).map(|component| {
            let mut component = component.to_vec();
            scale.undo(&mut component);
            component.into_iter().fold(0.0, f64::max)
        });
        Self::Tell { heights: heights.collect(), search, gram, weights }
    }
}

/// What the next pass does, of which this stands before all else that is handed on.
enum Next {
    Multiply(Krylov, u32),
    Split(Vec<f64>),
    /// And whether only the amounts are wanted.
    Search(Search, bool),
}

const MULTIPLY: u32 = 0;
const SPLIT: u32 = 1;
const SEARCH: u32 = 2;

/// Which of these it is, how many passes have multiplied, and the sum of all squares.
const HEAD: usize = 3;

/// Numbers that are handed from one pass to the next.
fn carried(Sizes { points, block, components }: Sizes) -> usize {
    let most = Krylov::carried((points, block)).max(Search::carried(points, components));
    HEAD + points + most
}

fn carry(sizes: Sizes, (energy, scale): (f64, &[f64]), next: &Next) -> Passed {
    let (stage, before) = match next {
        Next::Multiply(_, before) => (MULTIPLY, *before),
        Next::Split(_) => (SPLIT, 0),
        Next::Search(..) => (SEARCH, 0),
    };
    let mut all = vec![f64::from(stage), f64::from(before), energy];
    all.extend(scale);
    all.resize(HEAD + sizes.points, 0.0);
    match next {
        Next::Multiply(krylov, _) => krylov.put(&mut all),
        Next::Split(vectors) => all.extend(vectors),
        Next::Search(search, _) => search.put(&mut all),
    }
    all.resize(carried(sizes), 0.0);
    Passed { carried: all, is_last: matches!(next, Next::Search(_, true)) }
}

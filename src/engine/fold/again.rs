//! A fold without a trace: of one position that is tried, or of all once more.

use std::time::{Duration, Instant};

use super::geometry::Geometry;
use super::{Compare, Folding, MadeOf, Wants, ends, folded_by, mark_folded, passes, shown};
use crate::engine::job::Job;
use crate::engine::pending::Pending;
use crate::engine::selection::Selected;
use crate::engine::{Request, reread};
use crate::storage::marks::Marks;
use crate::storage::rows::Rows;
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::column_layout::ColumnLayout;
use pixelmill_core::error::Result;
use pixelmill_core::kernel::{Accumulator, BufferLayout};
use pixelmill_core::positions::Positions;

/// What some positions are folded into.
pub(crate) struct Again<'j> {
    /// The datasets that aren't per position, with their bytes.
    pub results: Vec<(&'j ColumnLayout, Vec<u8>)>,
    /// Those per position that are made at the end, by the numbers of their datasets.
    pub ends: Vec<(usize, Vec<u8>)>,
    /// Why something of it is left out, if anything is.
    pub failure: Option<String>,
}

/// Folds some positions, and gives the results of each to somebody who looks at them. What is made
/// of the results of all positions is made of those that `columns` are.
///
/// # Errors
/// If they can't be read, or what is folded can't be finished, and those of the comparison.
pub(crate) fn again<'j>(
    job: &'j Job,
    request: &Request,
    positions: &Pending<'_>,
    compare: &Compare<'_>,
    columns: &[Rows],
) -> Result<Again<'j>> {
    while !folded_by(job).is_last_pass() {
        let geometry = job.geometry_of_pass();
        let folding = once(job, request, (geometry, positions), &|_, _| Ok(()))?;
        let next = folding.next_pass(&folding.lock().tree)?;
        passes::begin(job, Some(&next))?;
    }
    let folding = once(job, request, (job.geometry.clone(), positions), compare)?;
    let state = folding.lock();
    let all = 0..job.source.info.positions;
    let read = |dataset: usize, rows: &mut [u8]| {
        columns[dataset].read_into(std::slice::from_ref(&all), rows)
    };
    let batches = || state.tree.nodes().map(|node| &node.batch).chain([&state.rows]);
    let mark = |is_in: &mut [u8]| {
        mark_folded(batches(), is_in);
        Ok(())
    };
    let nodes = || state.tree.nodes().map(|node| &node.all);
    let finished = match (folding.ends_per_position(), columns) {
        (true, []) => None,
        (true, _) => folding.finished(nodes(), Some(MadeOf { read: &read, mark: &mark }))?,
        (false, _) => folding.finished(nodes(), None)?,
    };
    let made = finished.iter().flat_map(|all| ends(folded_by(job).buffers(), all));
    let made = made.map(|(dataset, _, rows)| (dataset, rows.to_vec())).collect();
    let bytes = finished.iter().flat_map(Accumulator::bytes);
    let results = shown(folded_by(job).buffers().iter().zip(bytes));
    let failures = batches().flat_map(|batch| batch.failures.iter());
    Ok(Again {
        results: results.map(|(layout, bytes)| (&layout.column, bytes.to_vec())).collect(),
        ends: made,
        failure: failures.map(|(why, _)| why.to_owned()).next(),
    })
}

/// Folds some positions in the first of several passes, whose results are those of all positions:
/// there are none, but there may be a reason why a position can't be folded.
///
/// # Errors
/// If they can't be read.
pub(crate) fn first_pass<'j>(
    job: &'j Job,
    request: &Request,
    positions: &Pending<'_>,
) -> Result<Again<'j>> {
    let folding = once(job, request, (job.geometry.clone(), positions), &|_, _| Ok(()))?;
    let state = folding.lock();
    let failures = state.tree.nodes().flat_map(|node| node.batch.failures.iter());
    let failure = failures.map(|(why, _)| why.to_owned()).next();
    Ok(Again { results: Vec::new(), ends: Vec::new(), failure })
}

/// Folds some positions in the pass in which the kernel is, of a scan that is cut so.
fn once<'f>(
    job: &'f Job,
    request: &Request,
    (geometry, positions): (Option<Geometry>, &'f Pending<'f>),
    compare: &'f Compare<'f>,
) -> Result<Folding<'f>> {
    let geometry = geometry.expect("only what folds is folded again");
    let folding = Folding::new(job, geometry, positions);
    let folding = Folding { wants: Wants::Compared(compare), ..folding };
    reread::run(job, request, positions, Some(&folding))?;
    Ok(folding)
}

/// How long folding so many positions would take on so many workers, by the first unit, which is
/// folded without a trace.
///
/// # Errors
/// If that can't be read.
pub(crate) fn estimate(
    job: &Job,
    request: &Request,
    (positions, workers): (u64, usize),
) -> Result<Duration> {
    let Some(geometry) = job.geometry.clone().filter(|_| positions > 0) else {
        return Ok(Duration::ZERO);
    };
    let nothing = Marks::prefix(0, job.source.info.positions);
    let first: Positions = geometry.runs(0).into_iter().collect();
    let count = first.count();
    let unit = Selected::Set(first);
    let begun = Instant::now();
    let pending = Pending::new(&nothing, Some(&unit), &job.source.grid);
    once(job, request, (Some(geometry), &pending), &|_, _| Ok(()))?;
    let times = folded_by(job).passes().map_or(1, |passes| passes.epochs());
    let each = f64::from(times) * begun.elapsed().as_secs_f64() / count.max(1) as f64;
    Ok(Duration::from_secs_f64(each * positions as f64 / workers.max(1) as f64))
}

/// What of two results of the same fold may differ by rounding, relative to the largest value.
const ROUNDING: f64 = 1e-6;

/// The same relative to the largest value that was merged: results may be small differences of it.
const CANCELLING: f64 = 1e-12;

/// Tries on the first three units whether it makes no difference how they are merged, as it has to
/// be: (1 + 2) + 3 and 1 + (2 + 3). Returns the dataset in which it does, if it does in one.
///
/// # Errors
/// If the units can't be read, merged or finished.
pub(crate) fn check_merge(job: &Job) -> Result<Option<String>> {
    let Some(geometry) = job.geometry.clone().filter(|of| of.count() >= 3) else {
        return Ok(None);
    };
    let nothing = Marks::prefix(0, job.source.info.positions);
    let pending = Pending::new(&nothing, None, &job.source.grid);
    let folding = Folding::new(job, geometry, &pending);
    if folding.fold.is_per_position() || folding.ends_per_position() {
        return Ok(None);
    }
    let mut units = Vec::new();
    let (mut worker, mut buffer) = (folding.worker(), AlignedBytes::default());
    for unit in 0..3 {
        let mut all = Accumulator::default();
        all.clear(folding.fold.buffers(), folding.fold.pass());
        units.extend(worker.work(unit, all, &mut buffer)?);
    }
    let layouts = folding.fold.buffers();
    let inexact = |(layout, bytes): (&BufferLayout, &[u8])| {
        let is_inexact = layout.column.fields.iter().all(|field| !field.element.is_integer());
        largest(if is_inexact { numbers(layout, bytes) } else { Vec::new() })
    };
    let merged_values = units.iter().flat_map(|unit| layouts.iter().zip(unit.bytes()));
    let floor = CANCELLING * largest(merged_values.map(inexact));
    let merged = |last_first: bool| -> Result<Accumulator> {
        let [mut one, mut two, mut three] = [0, 1, 2].map(|unit: usize| folding.copy(&units[unit]));
        if last_first {
            folding.merge(&mut two, &mut three)?;
            folding.merge(&mut one, &mut two)?;
        } else {
            folding.merge(&mut one, &mut two)?;
            folding.merge(&mut one, &mut three)?;
        }
        let finished = folding.finished(std::iter::once(&one), None)?;
        Ok(finished.unwrap_or(one))
    };
    let (usual, other) = (merged(false)?, merged(true)?);
    let pairs = usual.bytes().zip(other.bytes());
    let mut results = shown(layouts.iter().zip(pairs));
    let differs = results.find(|(layout, (one, other))| {
        let (one, other) = (numbers(layout, one), numbers(layout, other));
        let rounding = floor.max(ROUNDING * largest(one.iter().copied()));
        let is_same = |(one, other): (&f64, &f64)| {
            one == other || one.is_nan() && other.is_nan() || (one - other).abs() <= rounding
        };
        !one.iter().zip(&other).all(is_same)
    });
    Ok(differs.map(|(layout, _)| layout.column.name.clone()))
}

fn numbers(layout: &BufferLayout, bytes: &[u8]) -> Vec<f64> {
    layout.column.fields.iter().flat_map(|field| field.element.to_numbers(bytes)).collect()
}

/// The largest of the finite ones, without their signs.
fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().filter(|x| x.is_finite()).fold(0.0, |most, x| most.max(x.abs()))
}

//! Computations that go over the same data together, and what that takes.

use std::time::Duration;

use super::estimate;
use super::fold;
use super::fold::geometry::Geometry;
use super::inputs::AuxiliaryReader;
use super::job::Job;
use super::narration;
use super::pending::Pending;
use super::selection::Selected;
use super::supply::Stock;
use super::team::Team;
use crate::neighbourhood::{MostRows, Neighbourhood};
use crate::plan::{self, Needs, Plan, TileNeeds};
use pixelmill_core::advice::{Advice, Note};
use pixelmill_core::corrections::Corrections;
use pixelmill_core::error::{Error, Result, bytes};

/// Computations over the same data, each with the positions of it that are selected, if not all
/// are.
pub(crate) struct Pass<'a> {
    members: Vec<(&'a Job, Option<&'a Selected>)>,
    /// How the scan is cut, if any of them folds it.
    pub geometry: Option<Geometry>,
    /// Bytes that other computations hold meanwhile.
    beside: u64,
}

/// Units that are left are handed out from a multiple of this on, so that pieces are whole nodes of
/// the tree in which they are merged.
const ALIGNED: u64 = 64;

/// A map that takes longer for a unit of folds has a pass of its own.
const LONGEST_UNIT: Duration = Duration::from_millis(250);

/// Bytes that windows of the status, of failed and of pending positions take at most.
const WINDOWS: u64 = 24 << 20;

impl<'a> Pass<'a> {
    /// Of at least one computation.
    pub fn new(members: Vec<(&'a Job, Option<&'a Selected>)>) -> Self {
        let each: Vec<_> = members.iter().map(|(job, _)| job.geometry_of_pass()).collect();
        let each = each.iter().map(Option::as_ref);
        let geometry = Geometry::of_several(&members[0].0.source, each);
        Self { members, geometry, beside: 0 }
    }

    /// The same while all of some computations are open, its own ones among them.
    pub fn among(self, all: &[(&Job, Option<&Selected>)]) -> Self {
        let held = |members: &[(&Job, Option<&Selected>)]| -> u64 {
            members.iter().map(|(job, selected)| held_bytes(job, *selected)).sum()
        };
        let beside = held(all).saturating_sub(held(&self.members));
        Self { beside, ..self }
    }

    /// Of one.
    pub fn alone(job: &'a Job, selected: Option<&'a Selected>) -> Self {
        Self::new(vec![(job, selected)])
    }

    /// The one that reads for all.
    pub fn first(&self) -> &'a Job {
        self.members[0].0
    }

    /// The same with one more computation.
    fn with(&self, job: &'a Job, selected: Option<&'a Selected>) -> Self {
        Self::new(self.members.iter().copied().chain([(job, selected)]).collect())
    }

    /// How long the slowest of those that don't fold would have a worker for a unit of the folds:
    /// so long nothing of it could be marked or stopped.
    fn longest_unit(&self) -> Duration {
        let Some(geometry) = &self.geometry else { return Duration::ZERO };
        let maps = self.members.iter().filter(|(job, _)| job.geometry.is_none());
        let units = maps.map(|(job, _)| estimate::of_positions(job, geometry.most_of_unit()));
        units.max().unwrap_or_default()
    }

    /// Whether a computation can take what the others read. What needs neighbours can't, which lie
    /// beyond that, nor what goes over the data several times.
    pub fn reads_for(&self, job: &Job) -> bool {
        let (one, other) = (&self.first().source, &job.source);
        let is_alone = |job: &Job| {
            let takes_passes = job.prepared.fold().is_some_and(|fold| fold.passes().is_some());
            job.neighbourhood.is_some() || takes_passes
        };
        let alone = [self.first(), job].into_iter().any(is_alone);
        !alone
            && one.rows.file_id() == other.rows.file_id()
            && one.info.path == other.info.path
            && one.rows.view() == other.rows.view()
            && one.rows.field() == other.rows.field()
            && one.stored == other.stored
    }

    /// How the scan is cut, if any of them folds it, with a unit before which nothing is left if so
    /// many are folded already.
    pub fn geometry_from(&self, folded: &[u64]) -> Option<(&Geometry, u64)> {
        let first = if let [folded] = folded { *folded } else { 0 };
        let aligned = first / ALIGNED * ALIGNED;
        self.geometry.as_ref().map(|geometry| (geometry, aligned))
    }

    /// What ranks share of what is `pending` in the computations.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn stock(
        &self,
        pending: &[&Pending<'_>],
        geometry: Option<(&Geometry, u64)>,
        plan: &Plan,
        team: Team<'_>,
    ) -> Result<Stock> {
        match geometry {
            Some((geometry, first)) => {
                let merged = self.members.iter().map(|(job, _)| fold::merged_bytes(job)).sum();
                Ok(Stock::of_units(geometry.count() - first, merged))
            }
            None => Stock::new(self.first(), pending, plan, team.others() + 1),
        }
    }

    /// Plans what one rank does with its workers and its memory; `agreed` are the blocks that all
    /// ranks read by.
    ///
    /// # Errors
    /// If memory is too small.
    pub fn plan(&self, memory: u64, workers: usize, agreed: Option<&[u64]>) -> Result<Plan> {
        let needs = self.needs(memory, workers, agreed);
        narration::needs(&needs);
        let planned = match &self.geometry {
            Some(geometry) => {
                let jobs: Vec<&Job> = self.members.iter().map(|(job, _)| *job).collect();
                fold::plan(&jobs, geometry, (memory, workers), needs.fixed_bytes)
            }
            None => plan::plan(&needs),
        };
        planned.map_err(|needed| Error::TooLittleMemory { memory, needed })
    }

    /// What a position takes, of all computations, and what else memory is needed for.
    fn needs(&self, memory: u64, workers: usize, agreed: Option<&[u64]>) -> Needs {
        let job = self.first();
        let source = &job.source;
        let around = job.neighbourhood.as_ref();
        let row = source.row_bytes() as u64 + source.rows.aside_bytes();
        let neighbour = job.neighbour_bytes();
        let most = around.map_or(MostRows { each: 1, beside: 0 }, Neighbourhood::most_rows);
        let scan = source.rows.view().position_shape();
        let sum = |of: fn(&Job) -> u64| self.members.iter().map(|(job, _)| of(job)).sum::<u64>();
        let selected = self.members.iter().filter_map(|(_, selected)| *selected);
        Needs {
            positions: source.info.positions,
            row_bytes: row * most.each,
            // Whoever changes values in place has the rows once more.
            kernel_bytes: sum(Job::kernel_bytes)
                + if self.members.len() > 1 { row * self.members.len() as u64 } else { 0 }
                + neighbour * most.each
                + around.map_or(0, Neighbourhood::table_bytes),
            auxiliary_bytes: sum(Job::auxiliary_bytes),
            results_bytes: sum(Job::results_bytes),
            fixed_bytes: self.beside
                + source.rows.ahead_bytes()
                + sum(fixed_bytes)
                + selected.map(Selected::memory).sum::<u64>(),
            worker_bytes: sum(Job::auxiliary_tile_bytes)
                + self.members.iter().map(|(job, _)| job.reader_bytes()).max().unwrap_or(0)
                + most.beside * (row + neighbour),
            worthwhile: around.map_or(1, |around| around.worthwhile(row + neighbour)),
            tiles: source.rows.tiles().map(|tiles| TileNeeds {
                cell: tiles.cell(),
                row_bytes: tiles.block_row_bytes(),
                worker_bytes: tiles.worker_bytes(),
                tiles_per_cell: tiles.per_cell(),
                agreed: agreed.map(<[u64]>::to_vec),
                reach: around.map(|around| around.reach_on(scan.len())),
                bins: around.and_then(|around| around.whole_bins_on(scan.len())),
                scan: scan.clone(),
            }),
            workers: workers as u64,
            memory,
        }
    }
}

/// Computations that go over the data together.
pub(crate) struct Shared {
    /// Their numbers.
    pub numbers: Vec<usize>,
    /// Why the first of them doesn't with those before it, if there are any.
    apart: Option<Apart>,
}

/// Why a computation needs a pass of its own.
enum Apart {
    /// It reads something else, or in another way.
    Otherwise,
    /// So much memory would be needed, or needed for all workers.
    Memory(u64),
    /// One of them takes so long for the positions that others take at a time.
    Slow(Duration),
}

impl Shared {
    /// What somebody who asked for `all` may want to know.
    pub fn note(&self, all: &[(&Job, Option<&Selected>)]) -> Option<Note> {
        let name = all[*self.numbers.first()?].0.kernel.name();
        Some(match self.apart.as_ref()? {
            Apart::Otherwise => Note::from(format!(
                "{name} reads the data in another way than what comes before it, in a pass of its \
                 own"
            )),
            Apart::Slow(time) => Note::from(format!(
                "{name} is not computed in the same pass as what comes before it, since {:.1} s \
                 would pass before anything of it can be stopped or marked",
                time.as_secs_f64()
            )),
            Apart::Memory(needed) => Note {
                text: format!(
                    "memory is too small to compute {name} in the same pass as what comes before \
                     it, so the data are read once more; that would take {}",
                    bytes(*needed)
                ),
                advice: Some(Advice::AllowMoreMemory),
            },
        })
    }
}

/// Which of the `wanted` computations go over the data together, by their numbers among `all` that
/// are open: as many as read the same, as far as memory lasts for all workers, and no slow ones
/// with folds, whose units are as large as the data make them.
///
/// # Errors
/// If memory is too small for one of them alone.
pub(crate) fn shared(
    all: &[(&Job, Option<&Selected>)],
    wanted: &[usize],
    memory: u64,
    workers: usize,
) -> Result<Vec<Shared>> {
    let mut passes: Vec<(Pass<'_>, Shared)> = Vec::new();
    for (number, (job, selected)) in wanted.iter().map(|number| (*number, all[*number])) {
        let alone = Pass::alone(job, selected).among(all);
        let planned = alone.plan(memory, workers, None)?;
        let mut apart = (!passes.is_empty()).then_some(Apart::Otherwise);
        let mut has_joined = false;
        // Not before the one in which what it takes is computed.
        let takes = |(pass, _): &(Pass<'_>, Shared)| pass.members.iter().any(|of| job.takes(of.0));
        let first = passes.iter().rposition(takes).unwrap_or(0);
        let later = passes.iter_mut().skip(first);
        for (pass, shared) in later.filter(|(pass, _)| pass.reads_for(job)) {
            let more = pass.with(job, selected).among(all);
            let fewest = planned.workers.min(pass.plan(memory, workers, None)?.workers);
            match more.plan(memory, workers, None) {
                Ok(plan) if plan.workers >= fewest => {
                    let longest = more.longest_unit();
                    if longest > LONGEST_UNIT {
                        apart = Some(Apart::Slow(longest));
                        continue;
                    }
                    *pass = more;
                    shared.numbers.push(number);
                    has_joined = true;
                    break;
                }
                Ok(plan) => {
                    // Of which there is enough for fewer workers than each would have alone.
                    let each = plan.memory / plan.workers.max(1) as u64;
                    apart = Some(Apart::Memory(each.saturating_mul(fewest as u64)));
                }
                Err(Error::TooLittleMemory { needed, .. }) => apart = Some(Apart::Memory(needed)),
                Err(error) => return Err(error),
            }
        }
        if !has_joined {
            passes.push((alone, Shared { numbers: vec![number], apart }));
        }
    }
    Ok(passes.into_iter().map(|(_, shared)| shared).collect())
}

/// Bytes that a computation has as long as it is open, computed or not.
fn held_bytes(job: &Job, selected: Option<&Selected>) -> u64 {
    fixed_bytes(job) + selected.map_or(0, Selected::memory) + fold::held_bytes(job)
}

/// Bytes that a computation takes whatever is in hand.
fn fixed_bytes(job: &Job) -> u64 {
    let info = &job.source.info;
    let axes = info.position_dimensions.iter().chain(&info.spectroscopic_dimensions);
    (info.positions * 2).min(WINDOWS)
        + job.source.grid.bytes()
        + axes.map(|axis| axis.values.bytes()).sum::<u64>()
        + job.source.rows.table_bytes()
        + job.inputs.auxiliary.iter().map(AuxiliaryReader::table_bytes).sum::<u64>()
        + job.inputs.constant_bytes()
        + job.corrections.as_ref().map_or(0, Corrections::memory)
}

//! A unit, for all computations of a pass: each part of the data is read once and handed to all of
//! them while it is in the processor's cache.
//!
//! Each folds what it would fold alone, in the same order: that others read along makes no
//! difference to its bits. Where all need the same of a spectrum at a time, that is read. Otherwise
//! it is as many positions as any of them takes together: where data lie in tiles, all tiles of
//! these, of which each takes what it needs; where they don't, whole spectra, in which each finds
//! its parts. What turns out to be damaged each reads by itself, so that the same of it is lost as
//! if it had been alone.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use super::geometry::Geometry;
use super::read::{Part, Read, WantedGroup, announce, parts, read_part};
use super::unit::{FoldedUnit, UnitWorker};
use super::{Folding, wanted};
use crate::engine::batch::Batch;
use crate::engine::job::{Job, Workspace};
use crate::engine::member::{Computed, Member, Times};
use crate::engine::pending::Pending;
use crate::plan::UNIT_BYTES;
use crate::storage::tiles::Block;
use pixelmill_core::chunk_io::{AlignedBytes, ReadChunk};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::positions::runs;

/// What one thread computes units of a pass with.
pub(crate) struct Together<'f> {
    members: Vec<OnThread<'f>>,
    first: &'f Member<'f>,
    pending: Vec<&'f Pending<'f>>,
    geometry: &'f Geometry,
    /// Bytes of a part as it was read.
    buffer: AlignedBytes,
}

/// A computation on one thread.
struct OnThread<'f> {
    member: &'f Member<'f>,
    /// Whether it takes what others of the pass make of a unit.
    waits: bool,
    how: How<'f>,
}

enum How<'f> {
    Fold(Folds<'f>),
    Map(Maps<'f>),
}

/// One that folds.
struct Folds<'f> {
    folding: &'f Folding<'f>,
    worker: Box<UnitWorker<'f>>,
    /// Whether what it can't do ends the run: there is no other, and no other rank to be told. And
    /// whether it alone would read the scan in the same way.
    is_alone: bool,
    is_alike: bool,
    /// Its unit, if anything of it is pending.
    unit: Option<u64>,
    /// The first of its groups that isn't begun.
    next: usize,
    /// Whether one is begun whose parts come one by one.
    is_open: bool,
}

/// One that doesn't.
struct Maps<'f> {
    workspace: Box<Workspace<'f>>,
    /// What it computes of the group in hand.
    runs: Vec<Range<u64>>,
    computed: Computed,
    times: Times,
}

/// Positions of a group that a map computes at a time.
pub(super) fn at_a_time(job: &Job) -> u64 {
    let most = UNIT_BYTES.div_ceil(job.source.row_bytes().max(1) as u64);
    most.min(job.kernel.wants().most_per_unit.unwrap_or(u64::MAX)).max(1)
}

impl<'f> Together<'f> {
    /// For some computations of which at least one folds, over a scan that is read so.
    pub fn new(members: &'f [Member<'f>], geometry: &'f Geometry) -> Self {
        let on_thread = members
            .iter()
            .map(|member| OnThread::new(member, geometry, members.len() == 1))
            .collect();
        Self {
            members: on_thread,
            first: &members[0],
            pending: members.iter().map(|member| member.pending).collect(),
            geometry,
            buffer: AlignedBytes::default(),
        }
    }

    /// Computes what is pending of a unit and stores what comes of it; tells that of each
    /// computation, and where the time went.
    ///
    /// # Errors
    /// If the source can't be read, or results can't be written.
    pub fn work(&mut self, unit: u64) -> Result<(Vec<Computed>, Times)> {
        let begun = Instant::now();
        let mut all: Vec<Computed> = self.members.iter().map(|_| Computed::default()).collect();
        let mut times = Times::default();
        for waits in [false, true] {
            if self.members.iter().any(|member| member.waits == waits) {
                self.work_on(unit, waits, (&mut all, &mut times))?;
            }
        }
        times.read = begun.elapsed().saturating_sub(times.compute + times.write);
        Ok((all, times))
    }

    /// The same for those that wait for others, or for those that don't.
    fn work_on(
        &mut self,
        unit: u64,
        waits: bool,
        (all, times): (&mut [Computed], &mut Times),
    ) -> Result<()> {
        let Self { members, pending, geometry, buffer, first } = self;
        let are_wanted = members.iter().map(|member| member.waits == waits);
        let pending = pending.iter().zip(are_wanted).filter(|(_, is_wanted)| *is_wanted);
        let pending: Vec<&Pending<'_>> = pending.map(|(pending, _)| *pending).collect();
        let groups = wanted(&geometry.groups(unit), &pending)?;
        let runs = geometry.runs(unit);
        let lost: Vec<&Job> = members.iter().filter_map(OnThread::lost).collect();
        let mut own: Vec<(usize, &mut OnThread<'f>)> = members.iter_mut().enumerate().collect();
        own.retain(|(_, member)| {
            // What can't be folded any more has nothing that others could take.
            member.waits == waits && !lost.iter().any(|other| member.member.job.takes(other))
        });
        for (_, member) in &mut own {
            member.begin(&runs)?;
        }
        let (numbers, mut own): (Vec<usize>, Vec<&mut OnThread<'f>>) = own.into_iter().unzip();
        for group in &groups {
            read_group((first.job, geometry), group, &mut own, buffer)?;
        }
        for (number, member) in numbers.into_iter().zip(own) {
            all[number] = member.end(buffer, times)?;
        }
        Ok(())
    }
}

/// Reads a group for some computations.
fn read_group<'f>(
    (job, geometry): (&Job, &Geometry),
    wanted: &WantedGroup,
    members: &mut [&mut OnThread<'f>],
    buffer: &mut AlignedBytes,
) -> Result<()> {
    announce(job, geometry, wanted);
    for member in &mut *members {
        member.begin_group(wanted)?;
    }
    let is_mixed = members.iter().any(|member| !member.is_alike());
    if let Some(cell) = wanted.group.cell.as_ref().filter(|_| is_mixed)
        && let Some(block) = job.source.rows.block(cell.clone())
    {
        let mut all = members.iter_mut();
        return all.try_for_each(|member| member.take_block(wanted, &block, buffer));
    }
    for member in &mut *members {
        member.open_group(wanted)?;
    }
    for part in parts(job, geometry, &wanted.group) {
        let taken = read_part(job, wanted, &part, buffer, |read| {
            members.iter_mut().try_for_each(|member| member.take(&part, read))
        });
        match taken {
            Err(Error::Damaged { reason, .. }) => {
                let mut all = members.iter_mut();
                all.try_for_each(|member| member.lose(wanted, &reason, buffer))?;
                break;
            }
            other => other??,
        }
    }
    members.iter_mut().for_each(|member| member.end_group());
    Ok(())
}

impl<'f> OnThread<'f> {
    fn new(member: &'f Member<'f>, geometry: &Geometry, is_alone: bool) -> Self {
        let how = match member.folding {
            Some(folding) => How::Fold(Folds {
                folding,
                worker: Box::new(folding.worker()),
                is_alone: is_alone && folding.is_led_here(),
                is_alike: folding.geometry.reads_as(geometry),
                unit: None,
                next: 0,
                is_open: false,
            }),
            None => How::Map(Maps {
                workspace: Box::new(member.job.workspace()),
                runs: Vec::new(),
                computed: Computed::default(),
                times: Times::default(),
            }),
        };
        Self { member, waits: member.job.takes_unfinished(), how }
    }

    /// What it computes, if that can't be folded any more.
    fn lost(&self) -> Option<&'f Job> {
        match &self.how {
            How::Fold(folds) if folds.folding.lost().is_some() => Some(self.member.job),
            _ => None,
        }
    }

    /// Begins a unit, of which these are the positions.
    fn begin(&mut self, runs: &[Range<u64>]) -> Result<()> {
        let How::Fold(folds) = &mut self.how else { return Ok(()) };
        let pending = self.member.pending.among(runs)?;
        (folds.next, folds.is_open) = (0, false);
        let is_lost = folds.folding.lost().is_some();
        let first = pending.front().filter(|_| !is_lost);
        folds.unit = first.map(|run| folds.folding.number(run.start));
        let Some(unit) = folds.unit else { return Ok(()) };
        let begun = folds.worker.begin(unit, folds.folding.accumulator());
        if folds.is_alone || begun.is_ok() {
            return begun;
        }
        folds.unit = None;
        folds.folding.lose(begun)
    }

    /// Looks what it has to do of a group, which is about to be read.
    fn begin_group(&mut self, wanted: &WantedGroup) -> Result<()> {
        match &mut self.how {
            How::Fold(_) => Ok(()),
            How::Map(maps) => {
                maps.runs = self.member.pending.among(&wanted.group.runs)?.into();
                Ok(())
            }
        }
    }

    /// Begins a group whose parts come one by one, if it takes these as they come.
    fn open_group(&mut self, wanted: &WantedGroup) -> Result<()> {
        if let How::Fold(folds) = &mut self.how {
            folds.is_open = folds.is_alike
                && folds.is_in(&wanted.positions)
                && folds.worker.begin_group(folds.next)?;
        }
        Ok(())
    }

    /// Whether it takes parts as they come.
    fn is_alike(&self) -> bool {
        matches!(&self.how, How::Fold(folds) if folds.is_alike)
    }

    /// Takes what it needs of all tiles of the group.
    fn take_block(
        &mut self,
        wanted: &WantedGroup,
        block: &Block,
        buffer: &mut AlignedBytes,
    ) -> Result<()> {
        match &mut self.how {
            How::Fold(folds) => folds.read_groups(wanted, Some(block), buffer),
            How::Map(maps) => maps.compute(self.member, block),
        }
    }

    /// Takes a part of the group that was read.
    fn take(&mut self, part: &Part, read: &Read<'_>) -> Result<()> {
        match &mut self.how {
            How::Fold(folds) if folds.is_alike => {
                if folds.is_open {
                    folds.worker.fold_part(part, read);
                }
                Ok(())
            }
            How::Fold(folds) => {
                while folds.is_in(read.positions) {
                    if folds.worker.begin_group(folds.next)? {
                        folds.worker.fold_parts(folds.next, read);
                        folds.worker.end_group();
                    }
                    folds.next += 1;
                }
                Ok(())
            }
            How::Map(maps) => maps.compute(self.member, &read.whole()),
        }
    }

    /// Nothing of the group can be read for all.
    fn lose(
        &mut self,
        wanted: &WantedGroup,
        reason: &str,
        buffer: &mut AlignedBytes,
    ) -> Result<()> {
        match &mut self.how {
            How::Fold(folds) if folds.is_alike => {
                if folds.is_open {
                    folds.worker.lose_group(reason);
                }
                Ok(())
            }
            How::Fold(folds) => folds.read_groups(wanted, None, buffer),
            How::Map(maps) => maps.compute(self.member, &self.member.job.source.rows),
        }
    }

    fn end_group(&mut self) {
        if let How::Fold(folds) = &mut self.how
            && folds.is_open
        {
            folds.worker.end_group();
            folds.next += 1;
            folds.is_open = false;
        }
    }

    /// Ends a unit; returns what it has become.
    fn end(&mut self, buffer: &mut AlignedBytes, times: &mut Times) -> Result<Computed> {
        match &mut self.how {
            How::Fold(folds) => folds.end(self.member, buffer, times),
            How::Map(maps) => {
                let of_unit = std::mem::take(&mut maps.times);
                times.compute += of_unit.compute;
                times.write += of_unit.write;
                Ok(std::mem::take(&mut maps.computed))
            }
        }
    }
}

impl Folds<'_> {
    /// Folds its groups in this one by itself.
    fn read_groups(
        &mut self,
        wanted: &WantedGroup,
        block: Option<&Block>,
        buffer: &mut AlignedBytes,
    ) -> Result<()> {
        while self.is_in(&wanted.positions) {
            self.worker.read_group(self.next, block, buffer)?;
            self.next += 1;
        }
        Ok(())
    }

    /// Whether its next group begins at one of these positions.
    fn is_in(&self, positions: &[u64]) -> bool {
        let first = self.unit.and_then(|_| self.worker.first_of(self.next));
        first.is_some_and(|first| positions.binary_search(&first).is_ok())
    }

    fn end(
        &mut self,
        member: &Member<'_>,
        buffer: &mut AlignedBytes,
        times: &mut Times,
    ) -> Result<Computed> {
        let Some(unit) = self.unit.take() else { return Ok(Computed::default()) };
        let FoldedUnit { all, failures, digest, compute, runs, .. } = self.worker.end(buffer)?;
        times.compute += compute;
        let begun = Instant::now();
        if let Some(all) = all {
            match &member.sink {
                Some(sink) => {
                    sink.store(&*member.job.prepared, &runs, false, &self.worker.results)?;
                }
                None => self.folding.compare(&runs, &self.worker.results)?,
            }
            let mut batch =
                Batch { positions: runs.into_iter().collect(), digest, ..Batch::default() };
            for (position, why) in &failures {
                batch.failures.insert(*position, why);
            }
            let put = self.folding.put(unit, all, batch);
            if self.is_alone { put } else { self.folding.lose(put) }?;
        }
        times.write += begun.elapsed();
        // What is to be marked the fold knows by itself.
        let batch = Batch { digest, ..Batch::default() };
        Ok(Computed { batch, failed: failures.len() as u64 })
    }
}

impl<'f> Maps<'f> {
    /// Computes what is pending of the group in hand.
    fn compute(&mut self, member: &'f Member<'f>, source: &dyn ReadChunk) -> Result<()> {
        let mut left: VecDeque<Range<u64>> = std::mem::take(&mut self.runs).into();
        let most = at_a_time(member.job);
        while !left.is_empty() {
            let some = runs::take(&mut left, most);
            let Self { workspace, times, .. } = self;
            self.computed.append(member.compute(source, (&some, false), workspace, times)?);
        }
        Ok(())
    }
}

//! The units of a fold: those of the scan in which something is to be folded, numbered without a
//! gap.

use std::ops::Range;
use std::sync::Arc;

use twox_hash::xxhash3_128::Hasher;

use super::cut::{Cut, Group, Needs};
use crate::engine::pending::Pending;
use crate::source::Source;
use crate::storage::results_group::{Column, Folded};
use pixelmill_core::corrections::Corrections;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;
use pixelmill_core::kernel::{BufferLayout, Fold, Kind, MiniBatches, Role, Whole};
use pixelmill_core::positions::Positions;

/// How a scan is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(super) cut: Cut,
    pub(super) needs: Needs,
    /// The units in which something is selected; all if nothing is said.
    numbers: Option<Arc<[u64]>>,
    /// Which of these are in a mini-batch, if it is one: the first, and how many follow each other
    /// of which one is.
    batch: Option<(u64, u64)>,
}

impl Geometry {
    /// Of all positions of a source, or of those that are `selected`.
    ///
    /// # Errors
    /// If a selection can't be read.
    pub fn new(
        fold: &dyn Fold,
        source: &Source,
        corrections: Option<&Corrections>,
        selected: Option<&Pending<'_>>,
    ) -> Result<Self> {
        let rows = &source.rows;
        let is_whole = rows.view().arrangement().is_some()
            || !corrections.is_none_or(Corrections::are_by_value);
        let needs = match fold.whole() {
            Whole::Partition => Needs::Units,
            Whole::Tile if !is_whole => Needs::Parts,
            Whole::Tile | Whole::Spectrum => Needs::Rows,
        };
        let mut geometry = Self::of_all(source, needs);
        if let Some(selected) = selected {
            let mut numbers = Vec::new();
            for number in 0..geometry.cut.count() {
                if !selected.among(&geometry.cut.runs(number))?.is_empty() {
                    numbers.push(number);
                }
            }
            geometry.numbers = Some(numbers.into());
        }
        Ok(geometry)
    }

    /// Of all positions of a source, of which so much is needed at a time.
    fn of_all(source: &Source, needs: Needs) -> Self {
        let rows = &source.rows;
        let row = rows.row_bytes() as u64;
        let cut = match rows.tiles() {
            None => {
                Cut::rows(source.info.positions, (row, source.stored.element.size() as u64), needs)
            }
            Some(tiles) => Cut::cells(&rows.view().position_shape(), &tiles.cell(), row, needs),
        };
        Self { cut, needs, numbers: None, batch: None }
    }

    /// What a pass of a fold goes over, the last one or another.
    pub fn in_pass(&self, fold: &dyn Fold, (pass, is_last): (u32, bool)) -> Self {
        let batch = fold.passes().and_then(|passes| {
            let number = passes.mini_batch(pass, is_last)?;
            Some((number.into(), passes.mini_batches?.count.into()))
        });
        Self { batch, ..self.clone() }
    }

    /// How a source is read for several computations that go over it together, of which each has
    /// its own geometry if it folds; `None` if none of them does. Its units are those of each
    /// fold, and each group of one lies in one of its own.
    pub fn of_several<'g>(
        source: &Source,
        each: impl Iterator<Item = Option<&'g Self>> + Clone,
    ) -> Option<Self> {
        let mut folds = each.clone().flatten();
        let first = folds.next()?;
        let others_are_alike = folds.all(|other| other == first);
        if others_are_alike && each.clone().all(|geometry| geometry.is_some()) {
            return Some(first.clone());
        }
        // What has no geometry computes whole spectra.
        let needs = each.clone().map(|geometry| geometry.map_or(Needs::Rows, |of| of.needs));
        let mut all = Self::of_all(source, needs.max().unwrap_or(Needs::Rows));
        each.flatten().for_each(|geometry| all.cut.widen(&geometry.cut));
        Some(all)
    }

    /// Whether a scan that is read so is read as this fold alone reads it.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        (&self.cut, self.needs) == (&other.cut, other.needs)
    }

    /// How many units there are.
    pub fn count(&self) -> u64 {
        let all = self.count_all();
        self.batch.map_or(all, |(first, step)| all.saturating_sub(first).div_ceil(step))
    }

    /// The same with those that aren't in the mini-batch.
    fn count_all(&self) -> u64 {
        self.numbers.as_ref().map_or_else(|| self.cut.count(), |numbers| numbers.len() as u64)
    }

    /// Most positions of a unit.
    pub fn most_of_unit(&self) -> u64 {
        self.cut.most().0
    }

    fn cut_number(&self, unit: u64) -> u64 {
        let unit = self.batch.map_or(unit, |(first, step)| first + unit * step);
        self.numbers.as_ref().map_or(unit, |numbers| numbers[unit as usize])
    }

    /// The positions of a unit, selected or not.
    pub fn runs(&self, unit: u64) -> Vec<Range<u64>> {
        self.cut.runs(self.cut_number(unit))
    }

    /// The groups of a unit.
    pub(super) fn groups(&self, unit: u64) -> Vec<Group> {
        self.cut.groups(self.cut_number(unit))
    }

    /// The unit that holds a position that is selected and in the mini-batch.
    pub fn holding(&self, position: u64) -> u64 {
        let number = self.cut.holding(position);
        let number = match &self.numbers {
            None => number,
            Some(numbers) => numbers.partition_point(|other| *other < number) as u64,
        };
        self.batch.map_or(number, |(first, step)| number.saturating_sub(first) / step)
    }

    /// The positions of the first units that are to be folded.
    ///
    /// # Errors
    /// If a selection can't be read.
    pub fn positions_before(&self, units: u64, wanted: &Pending<'_>) -> Result<Positions> {
        self.positions_of(0..units.min(self.count()), wanted)
    }

    /// Those that a mini-batch leaves out.
    ///
    /// # Errors
    /// If a selection can't be read.
    pub fn positions_beside(&self, wanted: &Pending<'_>) -> Result<Positions> {
        let Some((first, step)) = self.batch else { return Ok(Positions::default()) };
        let all = Self { batch: None, ..self.clone() };
        all.positions_of((0..all.count()).filter(|unit| unit % step != first), wanted)
    }

    fn positions_of(
        &self,
        units: impl Iterator<Item = u64>,
        wanted: &Pending<'_>,
    ) -> Result<Positions> {
        let mut positions = Positions::default();
        for unit in units {
            for run in wanted.among(&self.runs(unit))? {
                positions.insert(run);
            }
        }
        Ok(positions)
    }

    /// What tells it and the buffers from others.
    pub(super) fn outline(&self, fold: &dyn Fold) -> String {
        let mut hash = Hasher::new();
        hash.write(self.cut.described().as_bytes());
        for number in self.numbers.iter().flat_map(|numbers| numbers.iter()) {
            hash.write(&number.to_le_bytes());
        }
        for layout in fold.buffers() {
            let BufferLayout { kind, role, column, each, count, mask: _, passes } = layout;
            let name = &column.name;
            let fields = &column.fields;
            hash.write(format!("{name} {kind:?} {role:?} {fields:?} {each} {count};").as_bytes());
            hash.write(format!("{passes:?};").as_bytes());
        }
        if let Some(passes) = fold.passes() {
            hash.write(format!("{} carried;", passes.carried).as_bytes());
            if let Some(MiniBatches { first, count, epochs }) = passes.mini_batches {
                hash.write(format!("{first} {count} {epochs};").as_bytes());
            }
        }
        format!("{:032x}", hash.finish_128())
    }

    /// What goes into the file of a fold.
    pub fn folded<'l>(&self, fold: &'l dyn Fold) -> Folded<'l> {
        let (layouts, is_per_position) = (fold.buffers(), fold.is_per_position());
        let columns = shown(layouts.iter().map(|layout| (layout, ()))).map(|(layout, ())| {
            let axes = layout.column.dimensions.clone();
            let mut shape: Vec<usize> = axes.iter().map(Dimension::len).collect();
            if shape.is_empty() {
                shape.push(1);
            }
            Column { layout: &layout.column, shape, positions_axes: 0, axes }
        });
        let checkpoint = (!is_per_position).then(|| super::checkpoint::bytes(fold, self.count()));
        Folded { columns: columns.collect(), checkpoint }
    }
}

/// Of all buffers, with what belongs to them, those that become datasets without positions.
pub(super) fn shown<'l, T>(
    buffers: impl Iterator<Item = (&'l BufferLayout, T)>,
) -> impl Iterator<Item = (&'l BufferLayout, T)> {
    buffers.filter(|(layout, _)| layout.kind != Kind::PerPosition && layout.role != Role::Private)
}

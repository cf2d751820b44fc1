//! Folds that go over all spectra several times.
//!
//! Only the last pass has results and marks: whoever looks at the file before sees that nothing is
//! done. What the others are resumed from is in the slots of the checkpoint alone, which say in
//! which pass they are, and hold what that has begun with. A pass that is through writes a slot of
//! the next, with no unit in it; then that begins as if the run had been resumed. All of them have
//! to read the same data, so each is compared with the one before by the digest of what it has
//! read.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::{folded_by, unsuitable};
use crate::engine::job::Job;
use crate::engine::pending::Pending;
use crate::engine::selection::Selected;
use crate::source::RowsDigest;
use crate::storage::marks::Marks;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Pass;
use pixelmill_core::positions::Positions;

/// In which pass a fold is, and what that has read.
#[derive(Clone, Debug, Default)]
pub(crate) struct InPass {
    /// What it has begun with; nothing in the first.
    pub begun: Option<Pass>,
    /// What was read when all spectra were gone through before.
    before: Option<RowsDigest>,
    /// What this pass has read by now, and the mini-batches before it since then.
    read: RowsDigest,
}

/// The same as a slot tells it, with what it has begun with behind that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PassLine {
    number: u32,
    is_last: bool,
    before: Option<RowsDigest>,
    read: RowsDigest,
}

/// What a pass begins with, as ranks tell each other: numbers as their bits, which JSON keeps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PassMessage {
    number: u32,
    is_last: bool,
    carried: Vec<u64>,
}

impl InPass {
    /// Its number, counted from 0.
    pub fn number(&self) -> u32 {
        self.begun.as_ref().map_or(0, |pass| pass.number)
    }

    /// Puts the kernel of a job into this pass.
    ///
    /// # Errors
    /// If it can't begin.
    pub fn begin(&self, job: &Job) -> Result<()> {
        begin(job, self.begun.as_ref())
    }

    /// The pass that follows this one, which has read all that it goes over.
    pub(super) fn followed_by(&self, next: Pass, job: &Job) -> Self {
        let begun = Some(next);
        if self.ends_epoch(job) {
            Self { begun, before: Some(self.read), read: RowsDigest::default() }
        } else {
            Self { begun, before: self.before, read: self.read }
        }
    }

    fn ends_epoch(&self, job: &Job) -> bool {
        let is_last = self.begun.as_ref().is_some_and(|pass| pass.is_last);
        let passes = folded_by(job).passes();
        passes.is_none_or(|passes| passes.ends_epoch(self.number(), is_last))
    }

    /// Checks that it has read what was read before, if that is all.
    ///
    /// # Errors
    /// If that were other data.
    pub(super) fn check(&self, job: &Job) -> Result<()> {
        if self.before.is_none_or(|before| before == self.read) || !self.ends_epoch(job) {
            return Ok(());
        }
        let (file, dataset) = (job.source.file.clone(), job.source.info.path.clone());
        Err(Error::SourceChanged { file, dataset })
    }

    /// What a slot says of it, of a fold that takes several.
    pub(super) fn line(&self) -> PassLine {
        let (number, is_last) =
            self.begun.as_ref().map_or((0, false), |pass| (pass.number, pass.is_last));
        PassLine { number, is_last, before: self.before, read: self.read }
    }

    /// The bytes behind that.
    pub(super) fn carried(&self) -> &[u8] {
        self.begun.as_ref().map_or(&[], |pass| bytemuck::cast_slice(&pass.carried))
    }

    /// For other ranks.
    pub fn message(&self) -> Option<PassMessage> {
        self.begun.as_ref().map(|Pass { number, is_last, carried }| {
            let carried = carried.iter().map(|number| number.to_bits()).collect();
            PassMessage { number: *number, is_last: *is_last, carried }
        })
    }
}

impl AddAssign<RowsDigest> for InPass {
    fn add_assign(&mut self, read: RowsDigest) {
        self.read += read;
    }
}

impl PassLine {
    /// The number of the pass, counted from 0, and whether it is the last.
    pub fn number(&self) -> (u32, bool) {
        (self.number, self.is_last)
    }

    /// Whether marks tell of what is in its slot.
    pub fn has_marks(&self) -> bool {
        self.is_last
    }

    /// How many numbers it has begun with, of a fold that hands on so many.
    pub fn carried(&self, each: usize) -> usize {
        if self.number == 0 { 0 } else { each }
    }

    /// The pass, which has begun with these numbers.
    pub fn pass(&self, carried: Vec<f64>) -> InPass {
        let Self { number, is_last, before, read } = *self;
        let begun = (number > 0).then_some(Pass { number, is_last, carried });
        InPass { begun, before, read }
    }
}

/// Puts the kernel of a job into the pass that rank 0 tells of, of which so many units are `folded`
/// already: the positions of these, if no marks tell of them.
///
/// # Errors
/// If it can't begin, or a selection can't be read.
pub(crate) fn begin_pass(
    (job, selected): (&Job, Option<&Selected>),
    folded: u64,
    message: Option<&PassMessage>,
) -> Result<Positions> {
    if job.geometry.is_none() {
        return Ok(Positions::default());
    }
    let pass = message.map(|PassMessage { number, is_last, carried }| {
        let carried = carried.iter().map(|bits| f64::from_bits(*bits)).collect();
        Pass { number: *number, is_last: *is_last, carried }
    });
    begin(job, pass.as_ref())?;
    unmarked((job, selected), folded)
}

/// The positions that the pass in which a kernel is isn't to fold though no marks tell of them:
/// those of the first units, which are `folded` already, and those beside a mini-batch.
///
/// # Errors
/// If a selection can't be read.
pub(crate) fn unmarked(
    (job, selected): (&Job, Option<&Selected>),
    folded: u64,
) -> Result<Positions> {
    let Some(geometry) = job.geometry_of_pass().filter(|_| !folded_by(job).is_last_pass()) else {
        return Ok(Positions::default());
    };
    let nothing = Marks::prefix(0, job.source.info.positions);
    let wanted = &Pending::new(&nothing, selected, &job.source.grid);
    let mut positions = geometry.positions_beside(wanted)?;
    for run in geometry.positions_before(folded, wanted)?.ranges() {
        positions.insert(run);
    }
    Ok(positions)
}

pub(super) fn begin(job: &Job, pass: Option<&Pass>) -> Result<()> {
    let begun = folded_by(job).begin_pass(pass);
    begun.map_err(|failure| unsuitable(job, "begin a pass over the data", &failure))
}

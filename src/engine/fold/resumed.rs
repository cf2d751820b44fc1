//! How a fold goes on where a run left it.

use log::{debug, info};

use super::checkpoint::{Checkpoint, Slot};
use super::passes::PassLine;
use super::{InPass, folded_by};
use crate::engine::job::Job;
use crate::engine::ledger::{Covered, Record};
use crate::engine::marker::write_last_pixel;
use crate::engine::pending::Pending;
use crate::engine::prepare::Taken;
use crate::engine::selection::Selected;
use crate::engine::target::RunLock;
use crate::storage::in_place::{Direct, InPlace};
use crate::storage::marks::{Marks, MarksInPlace};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Accumulator;
use pixelmill_core::positions::Positions;

/// What a run is resumed from.
pub(crate) struct Resumed {
    pub(super) checkpoint: Checkpoint,
    /// In which pass it is.
    pub pass: InPass,
    /// How many units are in it.
    pub units: u64,
    pub(super) nodes: Vec<(u32, Accumulator)>,
    /// Whether marks were set otherwise than they were.
    pub is_changed: bool,
}

impl Resumed {
    /// Finds what a group has of a fold of what is selected, and sets the marks by it; `None` if it
    /// is no fold.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn settle(
        job: &Job,
        selected: Option<&Selected>,
        (group, lock): (&mut Taken, &RunLock),
    ) -> Result<Option<Self>> {
        let Some(geometry) = &job.geometry else { return Ok(None) };
        let nothing = Marks::prefix(0, job.source.info.positions);
        let wanted = &Pending::new(&nothing, selected, &job.source.grid);
        let fold = folded_by(job);
        let outline = geometry.outline(fold);
        let (place, units) = (group.places.checkpoint, geometry.count());
        let checkpoint = Checkpoint::new(place, fold, units, outline);
        let mut resumed = Self {
            checkpoint,
            pass: InPass::default(),
            units: 0,
            nodes: Vec::new(),
            is_changed: false,
        };
        if !group.resumed || fold.is_per_position() {
            return Ok(Some(resumed));
        }
        let slots = resumed.checkpoint.slots(lock.file());
        let mut marked = Positions::default();
        for slot in &slots {
            let pass = slot.1.pass.as_ref().map_or((0, true), PassLine::number);
            let of_pass = geometry.in_pass(fold, pass);
            let positions = of_pass.positions_before(slot.1.units, wanted)?;
            if !is_known(&slot.1, &positions, group) {
                continue;
            }
            let loaded = resumed.checkpoint.load(lock.file(), slot);
            let loaded = loaded.map_err(|error| Error::io("read", lock.path(), error))?;
            (resumed.pass, resumed.nodes) = loaded;
            resumed.units = slot.1.units;
            if slot.1.pass.as_ref().is_none_or(PassLine::has_marks) {
                marked = positions;
            }
            break;
        }
        let pass = resumed.pass.number();
        info!("{} goes on with {} of {units} units of pass {pass}", group.path, resumed.units);
        resumed.is_changed = set_marks((group, lock), &Direct::new(lock.handle())?, &marked)?;
        Ok(Some(resumed))
    }

    /// Makes the pass that it is in the one that the kernel of the job computes.
    ///
    /// # Errors
    /// If that can't begin.
    pub fn begin(&self, job: &Job) -> Result<()> {
        self.pass.begin(job)
    }
}

/// Whether what the data were that are in a slot is known as well: from the slot itself, as long as
/// nothing is marked.
fn is_known(slot: &Slot, positions: &Positions, group: &Taken) -> bool {
    let of_slot = Covered::of(positions.ranges());
    match &slot.pass {
        Some(pass) if slot.units == 0 || !pass.has_marks() => true,
        _ => Record::among(&group.digest_lines, of_slot).is_some(),
    }
}

/// Sets the marks of a group to those of some positions, and says whether that changed anything.
fn set_marks(
    (group, lock): (&mut Taken, &RunLock),
    file: &dyn InPlace,
    positions: &Positions,
) -> Result<bool> {
    let status = MarksInPlace::new(file, lock.handle(), group.places.status)?;
    // First: what `last_pixel` says is done has to be, at any time.
    let prefix = positions.prefix() as i64;
    if group.last_pixel.is_none_or(|last| last > prefix) {
        write_last_pixel(lock, &group.path, prefix)?;
        group.last_pixel = Some(prefix);
    }
    let is_changed = status.replace(positions)?;
    if is_changed {
        debug!("the marks of {} are set by its checkpoint", group.path);
        file.sync()?;
    }
    Ok(is_changed)
}

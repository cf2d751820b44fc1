//! How a fold goes on where a run left it.

use log::{debug, info};

use super::checkpoint::Checkpoint;
use super::{Geometry, folded_by};
use crate::engine::job::Job;
use crate::engine::ledger::{Covered, Record};
use crate::engine::marker::write_last_pixel;
use crate::engine::pending::Pending;
use crate::engine::prepare::Taken;
use crate::engine::target::RunLock;
use crate::storage::in_place::InPlace;
use crate::storage::marks::MarksInPlace;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Accumulator;
use pixelmill_core::positions::Positions;

/// What a run is resumed from.
pub(crate) struct Resumed {
    pub(super) checkpoint: Checkpoint,
    /// How many units are in it.
    pub units: u64,
    pub(super) nodes: Vec<(u32, Accumulator)>,
    /// Whether marks were set otherwise than they were.
    pub is_changed: bool,
}

impl Resumed {
    /// Finds what a group has of a fold, and sets the marks by it.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn settle(
        job: &Job,
        geometry: &Geometry,
        (group, lock): (&mut Taken, &RunLock),
        (file, wanted): (&dyn InPlace, &Pending<'_>),
    ) -> Result<Self> {
        let fold = folded_by(job);
        let layouts = fold.buffers();
        let outline = geometry.outline(layouts);
        let (place, units) = (group.places.checkpoint, geometry.count());
        let mut checkpoint = Checkpoint::new(place, layouts, units, outline);
        if !group.resumed || fold.is_per_position() {
            return Ok(Self { checkpoint, units: 0, nodes: Vec::new(), is_changed: false });
        }
        let slots = checkpoint.slots(lock.file());
        let mut known = None;
        for slot in &slots {
            // What the data were that are in it has to be known as well.
            let positions = geometry.positions_before(slot.1.units, wanted)?;
            let of_slot = Covered::of(positions.ranges());
            if Record::among(&group.digest_lines, of_slot).is_some() {
                known = Some((slot, positions));
                break;
            }
        }
        let (units, nodes, positions) = match known {
            Some((slot, positions)) => {
                let nodes = checkpoint
                    .load(lock.file(), slot, layouts)
                    .map_err(|error| Error::io("read", lock.path(), error))?;
                (slot.1.units, nodes, positions)
            }
            None => (0, Vec::new(), Positions::default()),
        };
        info!("{} goes on with {units} of {} units", group.path, geometry.count());
        let is_changed = set_marks((group, lock), file, &positions)?;
        Ok(Self { checkpoint, units, nodes, is_changed })
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

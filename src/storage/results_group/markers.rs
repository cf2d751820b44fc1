//! What a run keeps its state in: the status dataset, the failures, `last_pixel`.

use super::super::attributes;
use super::super::container::Group;
use super::super::refused::Refused;
use super::places::Wanted;
use super::{LAST_PIXEL, LAST_RUN};

/// Creates what a run keeps its state in, as far as the group doesn't have it.
pub(crate) fn create_markers(group: &Group, positions: u64) -> Result<(), Refused> {
    for wanted in Wanted::markers(positions) {
        if !group.link_exists(wanted.name) {
            wanted.create(group, wanted.name)?;
        }
    }
    let last_pixel = attributes::integer(group, LAST_PIXEL).unwrap_or(0);
    attributes::put_integer(group, LAST_PIXEL, last_pixel)?;
    attributes::put_short_text(group, LAST_RUN, "")
}

/// Creates what a fold is resumed from, so many bytes, unless it is there. It has to be created
/// last: what lies at the end of the file can be given back.
pub(crate) fn create_checkpoint(group: &Group, bytes: u64) -> Result<(), Refused> {
    let wanted = Wanted::checkpoint(bytes);
    if !group.link_exists(wanted.name) {
        wanted.create(group, wanted.name)?;
    }
    Ok(())
}

//! What stays in memory of a scan that a fold goes over several times: as far as there is room,
//! later passes neither read nor decode it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::source::RowsDigest;
use pixelmill_core::chunk_io::AlignedBytes;

/// Parts of rows as they were read.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that may still be kept.
    room: u64,
    /// By the first position of a group and the number of the part.
    parts: HashMap<(u64, u64), Arc<KeptPart>>,
}

/// What some positions have of a part.
#[derive(Debug)]
pub(super) struct KeptPart {
    positions: Vec<u64>,
    pub bytes: AlignedBytes,
    /// Of all of it, once somebody has asked.
    pub digest: OnceLock<RowsDigest>,
}

/// Bytes that a part takes besides its values: its positions are kept as well.
const BESIDE: u64 = 128;

impl Kept {
    /// Makes room for so many bytes, if nothing is kept yet.
    pub fn allow(&self, bytes: u64) {
        let mut state = self.lock();
        if state.parts.is_empty() {
            state.room = bytes;
        }
    }

    /// Keeps nothing any more.
    pub fn forget(&self) {
        *self.lock() = State::default();
    }

    /// Whether something is kept of this part of the group that begins with this position.
    pub(super) fn has(&self, first: u64, part: u64) -> bool {
        self.lock().parts.contains_key(&(first, part))
    }

    /// What these positions have of a part, if just that is kept.
    pub(super) fn find(&self, positions: &[u64], part: u64) -> Option<Arc<KeptPart>> {
        let found = self.lock().parts.get(&(*positions.first()?, part)).cloned();
        found.filter(|found| found.positions == positions)
    }

    /// Keeps that, if there is room.
    pub(super) fn keep(&self, positions: &[u64], part: u64, bytes: &[u8]) {
        let Some(first) = positions.first() else { return };
        let taken = BESIDE + (size_of_val(positions) + bytes.len()) as u64;
        {
            let mut state = self.lock();
            if state.room < taken || state.parts.contains_key(&(*first, part)) {
                return;
            }
            state.room -= taken;
        }
        let (positions, digest) = (positions.to_vec(), OnceLock::new());
        let mut copy = AlignedBytes::default();
        copy.resize(bytes.len());
        copy.copy_from_slice(bytes);
        let kept = Arc::new(KeptPart { positions, bytes: copy, digest });
        self.lock().parts.insert((*first, part), kept);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_for_the_same_positions_alone() {
        let kept = Kept::default();
        let found =
            |positions: &[u64], part| kept.find(positions, part).map(|found| found.bytes.to_vec());
        kept.keep(&[3, 4], 1, b"none");
        assert_eq!(found(&[3, 4], 1), None, "there is no room");
        kept.allow(1000);
        kept.keep(&[3, 4], 1, b"some");
        kept.keep(&[3, 4], 2, b"more");
        kept.keep(&[3], 1, b"others");
        assert_eq!(found(&[3, 4], 1).unwrap(), b"some");
        assert_eq!(found(&[3, 4], 2).unwrap(), b"more");
        assert!(found(&[3], 1).is_none() && found(&[3, 5], 1).is_none());
        assert!(found(&[3, 4], 0).is_none() && found(&[], 1).is_none());
        assert!(kept.has(3, 1) && !kept.has(3, 0) && !kept.has(4, 1));
        kept.forget();
        assert_eq!(found(&[3, 4], 1), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let kept = Kept::default();
        kept.allow(1000);
        for first in 0..100 {
            kept.keep(&[first], 0, &[7; 100]);
        }
        let count = (0..100).filter(|first| kept.has(*first, 0)).count();
        assert_eq!(count as u64, 1000 / (100 + 8 + BESIDE));
        // What is kept takes its room already.
        kept.allow(1_000_000);
        kept.keep(&[200], 0, &[7; 100]);
        assert!(!kept.has(200, 0));
    }
}

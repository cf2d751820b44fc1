//! The journal of a commit: the kept writes, laid behind the end of the very file they belong to,
//! where HDF5 never looks.
//!
//! ```text
//! … HDF5 … new end │ body: (address, length, bytes)* │ footer: start, body length, new end, SHA-256, magic
//! ```
//!
//! A journal counts only if its footer is the last thing in the file and its checksum holds; then
//! the transaction has happened, and whoever opens the file next rolls it forward. A torn journal
//! is no journal, nor is one that isn't where it was written (a copy of a file kept in a dataset).
//! Nothing here knows HDF5.

use std::io;

use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::overlay::Overlay;

const MAGIC: &[u8; 16] = b"pixelmill jrnl 1";
const NUMBERS: usize = 3 * 8;
const FOOTER: usize = NUMBERS + 32 + MAGIC.len();

/// A longer body is none of ours: what a file's last bytes say must not take all memory. Changes of
/// metadata are some kilobytes.
pub(super) const BODY_AT_MOST: usize = 256 << 20;

/// What a commit is about to do, or has not finished doing.
#[derive(Debug, PartialEq)]
pub(crate) struct Journal {
    /// Bytes to be written in place.
    pub writes: Overlay,
    /// Length of the file once the transaction is done.
    pub new_end: u64,
}

impl Journal {
    /// The journal's bytes, footer included, to be written at `start`.
    pub fn encode(&self, start: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (address, run) in self.writes.runs() {
            bytes.extend_from_slice(&address.to_le_bytes());
            bytes.extend_from_slice(&(run.len() as u64).to_le_bytes());
            bytes.extend_from_slice(run);
        }
        let body = bytes.len() as u64;
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(&body.to_le_bytes());
        bytes.extend_from_slice(&self.new_end.to_le_bytes());
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes.extend_from_slice(MAGIC);
        bytes
    }

    /// The journal at the very end of `disk`, if there is a whole one.
    ///
    /// # Errors
    /// Those of reading.
    pub fn find(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let length = disk.length()?;
        let mut footer = [0; FOOTER];
        let Some(at) = length.checked_sub(FOOTER as u64) else {
            return Ok(None);
        };
        if disk.read_at(&mut footer, at)? < FOOTER || !footer.ends_with(MAGIC) {
            return Ok(None);
        }
        let [start, body, new_end] = [0, 8, 16].map(|field| number(&footer, field));
        let in_place = start.checked_add(body) == Some(at) && start >= new_end;
        if !in_place || body > BODY_AT_MOST as u64 {
            return Ok(None);
        }
        let body = body as usize;
        let mut bytes = vec![0; body + NUMBERS];
        if disk.read_at(&mut bytes, start)? < bytes.len()
            || Sha256::digest(&bytes).as_slice() != &footer[NUMBERS..NUMBERS + 32]
        {
            return Ok(None);
        }
        Ok(decode(&bytes[..body], start).map(|writes| Self { writes, new_end }))
    }

    /// Writes everything in place and cuts the journal off. Doing it twice is doing it once.
    ///
    /// # Errors
    /// Those of writing; the journal then is still there.
    pub fn apply(&self, disk: &mut dyn Disk) -> io::Result<()> {
        for (address, run) in self.writes.runs() {
            disk.write_at(run, address)?;
        }
        disk.sync()?;
        disk.set_length(self.new_end)?;
        disk.sync()
    }
}

/// The writes in `body`; none if one doesn't end at or before `start`, where the journal is.
fn decode(body: &[u8], start: u64) -> Option<Overlay> {
    let mut writes = Overlay::default();
    let mut rest = body;
    while !rest.is_empty() {
        let (header, tail) = rest.split_at_checked(16)?;
        let (address, length) = (number(header, 0), number(header, 8));
        let (run, tail) = tail.split_at_checked(usize::try_from(length).ok()?)?;
        if address.checked_add(length)? > start {
            return None;
        }
        writes.write(address, run);
        rest = tail;
    }
    Some(writes)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

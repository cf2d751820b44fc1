//! What a killed commit may have left at the end of a file, and the writes that a transaction
//! keeps.

use std::io;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::drawn::Drawn;
use crate::storage::journaled::{Disk, Journal, Overlay};

/// A file in memory that notes where it was written to.
#[derive(Clone, Default)]
struct Memory {
    bytes: Vec<u8>,
    written: Vec<Range<u64>>,
}

impl Memory {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), written: Vec::new() }
    }

    fn journal(&self) -> Option<Journal> {
        Journal::find(self).expect("memory can be read")
    }
}

impl Disk for Memory {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let tail = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..));
        let tail = tail.unwrap_or_default();
        let count = tail.len().min(buffer.len());
        buffer[..count].copy_from_slice(&tail[..count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let range = offset as usize..offset as usize + bytes.len();
        self.bytes.resize(self.bytes.len().max(range.end), 0);
        self.bytes[range].copy_from_slice(bytes);
        self.written.push(offset..offset + bytes.len() as u64);
        Ok(())
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.bytes.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end of a file: any bytes; a journal whose checksum is right, whatever it says; and one that
/// was written and then damaged.
pub(super) fn journal(data: &[u8]) {
    let mut drawn = Drawn(data);
    match drawn.small() % 3 {
        0 => rolls_forward(&Memory::of(drawn.0)),
        1 => rolls_forward(&sealed(&mut drawn)),
        _ => damaged(&mut drawn),
    }
}

/// A journal with a checksum that is right. Most of what its numbers are is where they have to be.
fn sealed(drawn: &mut Drawn<'_>) -> Memory {
    let near = |drawn: &mut Drawn<'_>, right: u64| match drawn.small() {
        255 => drawn.large(),
        off @ 250.. => right.wrapping_add(off as u64).wrapping_sub(252),
        _ => right,
    };
    let end = drawn.medium() as u64 % 4096;
    let (start, new_end) = (near(drawn, end), near(drawn, end.saturating_sub(8)));
    let mut body = Vec::new();
    for _ in 0..drawn.small() % 8 {
        let address = match drawn.medium() as u64 {
            0xffff => drawn.large(),
            address => address % (end + 2),
        };
        let run = drawn.piece();
        let length = near(drawn, run.len() as u64);
        body.extend([address.to_le_bytes(), length.to_le_bytes()].concat());
        body.extend_from_slice(run);
    }
    body.extend_from_slice(drawn.0);
    let length = body.len() as u64;
    body.extend([start.to_le_bytes(), length.to_le_bytes(), new_end.to_le_bytes()].concat());
    let checksum = Sha256::digest(&body);
    let whole = [&vec![0xa5; end as usize][..], &body, &checksum, b"pixelmill jrnl 1"].concat();
    Memory { bytes: whole, written: Vec::new() }
}

/// Whatever is found is applied below where it was, once as well as twice, and cuts itself off.
fn rolls_forward(file: &Memory) {
    let Some(journal) = file.journal() else { return };
    let length = file.bytes.len() as u64;
    assert!(journal.new_end <= length && journal.writes.size() as u64 <= length);
    let mut applied = file.clone();
    journal.apply(&mut applied).expect("memory can be written");
    assert_eq!(applied.bytes.len() as u64, journal.new_end);
    assert!(applied.written.iter().all(|range| range.end <= length - 88));
    let untouched = |at: &usize| !applied.written.iter().any(|range| range.contains(&(*at as u64)));
    let kept = (0..applied.bytes.len()).filter(untouched);
    kept.for_each(|at| assert_eq!(applied.bytes[at], file.bytes[at]));
    let mut again = file.clone();
    // Killed after some of the writes.
    for (address, run) in journal.writes.runs().take(1) {
        again.write_at(run, address).expect("memory can be written");
    }
    let found = again.journal();
    assert_eq!(found.as_ref(), Some(&journal), "a journal is the same until it is cut off");
    journal.apply(&mut again).expect("memory can be written");
    assert!(again.bytes == applied.bytes);
}

/// What is written is found, and never if a single byte of it is another or missing.
fn damaged(drawn: &mut Drawn<'_>) {
    let (end, new_end) = (drawn.medium() % 2048, drawn.medium() as u64);
    let (at, change) = (drawn.medium(), drawn.small() as u8);
    let mut writes = Overlay::default();
    while !drawn.is_empty() && end > 0 {
        let address = drawn.medium() % end;
        let run = drawn.piece();
        writes.write(address as u64, &run[..run.len().min(end - address)]);
    }
    let journal = Journal { writes, new_end: new_end.min(end as u64) };
    let encoded = journal.encode(end as u64);
    let mut file = Memory::of(&[&vec![7; end][..], &encoded].concat());
    assert_eq!(file.journal().as_ref(), Some(&journal));
    rolls_forward(&file);
    let place = end + at % encoded.len();
    file.bytes[place] ^= change;
    assert_eq!(file.journal().is_some(), change == 0);
    file.bytes[place] ^= change;
    file.bytes.truncate(place);
    assert!(file.journal().is_none());
}

/// A file of so many bytes is looked at.
const FILE: usize = 1024;

/// Kept writes over a file are what the file would be with them.
pub(super) fn overlay(data: &[u8]) {
    let mut drawn = Drawn(data);
    let file: Vec<u8> = (0..FILE).map(|at| at as u8).collect();
    let (from, length) = (drawn.medium() % FILE, drawn.medium() % FILE);
    let within = from..FILE.min(from + length);
    let (mut flat, mut kept) = (file.clone(), vec![false; FILE]);
    let mut overlay = Overlay::default();
    while !drawn.is_empty() {
        let (address, run) = (drawn.medium() % FILE, drawn.piece());
        let run = &run[..run.len().min(FILE - address)];
        overlay.write(address as u64, run);
        flat[address..address + run.len()].copy_from_slice(run);
        kept[address..address + run.len()].fill(true);
    }
    let mut seen = file[within.clone()].to_vec();
    overlay.cover(from as u64, &mut seen);
    assert!(seen == flat[within.clone()]);
    assert_eq!(overlay.size(), kept.iter().filter(|kept| **kept).count());
    let gaps = overlay.gaps(&(within.start as u64..within.end as u64));
    assert!(gaps.windows(2).all(|pair| pair[0].end < pair[1].start));
    let gaps: Vec<u64> = gaps.into_iter().flatten().collect();
    let free: Vec<u64> = within.filter(|at| !kept[*at]).map(|at| at as u64).collect();
    assert_eq!(gaps, free);
    changes_are_kept(&overlay, &file, &flat, &kept);
}

fn changes_are_kept(overlay: &Overlay, file: &[u8], flat: &[u8], kept: &[bool]) {
    let changes = overlay.changes(|at, buffer| {
        buffer.copy_from_slice(&file[at as usize..at as usize + buffer.len()]);
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(changes) = changes;
    for (start, run) in changes.runs() {
        assert!(kept[start as usize..start as usize + run.len()].iter().all(|kept| *kept));
    }
    let mut patched = file.to_vec();
    changes.cover(0, &mut patched);
    assert!(patched == flat);
}

//! Every instant at which a transaction can be cut short, over every kind of HDF5 file.
//!
//! A transaction runs once over a disk that records what is done to it. What a kill leaves behind
//! is then the file with the first operations of the record, the last of them perhaps in part;
//! what a power cut leaves, any of the operations since the last sync.

mod disks;
mod failures;
mod files;
mod journals;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use disks::{Fault, Memory, Operation};

use super::journal::Journal;
use super::{Access, Transaction, finish_commit, open_for_reading};

/// One transaction as it happened: bytes before, operations, bytes after.
struct Record {
    name: String,
    old: Vec<u8>,
    /// Where HDF5's part of the old file ends.
    old_end: usize,
    log: Vec<Operation>,
    new: Vec<u8>,
}

impl Record {
    fn of(name: String, old: Vec<u8>, change: fn(&hdf5::File) -> hdf5::Result<()>) -> Self {
        let disk = Memory::new(&old, Fault::None);
        let path = Path::new("file in memory");
        let transaction = Transaction::begin_on(path, Box::new(disk.clone())).unwrap();
        let old_end = transaction.state.lock().keep_below as usize;
        change(transaction.file()).unwrap();
        transaction.commit(&[]).unwrap();
        let log = disk.contents().log.clone();
        let new = disk.bytes();
        assert!(new != old, "{name}");
        Self { name, old, old_end, log, new }
    }

    /// The step after which the journal is complete.
    fn journal(&self) -> usize {
        let is_journal = |operation: &Operation| matches!(operation, Operation::Write { bytes, .. } if bytes.ends_with(b"pixelmill jrnl 1"));
        self.log.iter().position(is_journal).unwrap()
    }

    /// What a kill leaves at each step: (step, whether it is whole, bytes).
    fn kills(&self) -> Vec<(usize, bool, Vec<u8>)> {
        let mut bytes = self.old.clone();
        let mut kills = Vec::new();
        for (step, operation) in self.log.iter().enumerate() {
            let size = operation.size();
            let mut portions = vec![1, size / 2, size.saturating_sub(1)];
            portions.retain(|portion| (1..size).contains(portion));
            portions.dedup();
            for portion in portions {
                let mut partial = bytes.clone();
                operation.apply(&mut partial, portion);
                kills.push((step, false, partial));
            }
            operation.apply(&mut bytes, size);
            kills.push((step, true, bytes.clone()));
        }
        assert!(bytes == self.new);
        kills
    }

    /// What opening makes of `bytes` must be wholly the old or wholly the new file.
    fn check(&self, bytes: &[u8], is_new: bool, instant: &str) {
        let name = &self.name;
        let disk = Memory::new(bytes, Fault::None);
        let journal = Journal::find(&disk).unwrap();
        finish_commit(&mut disk.clone()).unwrap();
        if is_new {
            assert!(disk.bytes() == self.new, "{name}: {instant}: not rolled forward");
            let mut seen = bytes.to_vec();
            journal.iter().for_each(|journal| journal.writes.cover(0, &mut seen));
            assert!(seen[..self.new.len()] == self.new, "{name}: {instant}: seen half done");
        } else {
            assert!(journal.is_none() && disk.bytes() == bytes, "{name}: {instant}: touched");
            let end = self.old_end;
            assert!(bytes[..end] == self.old[..end], "{name}: {instant}: old bytes changed");
        }
    }
}

/// `prepare`, and a `checkpoint` after it, on a file of each kind.
fn records() -> Vec<Record> {
    let mut records = Vec::new();
    for (kind, bytes) in files::kinds() {
        let prepared = Record::of(format!("{kind}~prepare"), bytes.clone(), files::prepare);
        let new = prepared.new.clone();
        records.push(prepared);
        records.push(Record::of(format!("{kind}~checkpoint"), new, files::checkpoint));
    }
    records
}

#[test]
fn a_kill_at_any_step_leaves_the_old_or_the_new_file() {
    for record in records() {
        for (step, whole, bytes) in record.kills() {
            let is_new = step > record.journal() || (step == record.journal() && whole);
            record.check(&bytes, is_new, &format!("step {step}, whole: {whole}"));
        }
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_the_old_or_the_new_file() {
    // A fixed sequence, so that a failure comes again.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for record in records() {
        let mut durable = record.old.clone();
        let mut since_sync: Vec<(usize, &Operation)> = Vec::new();
        for (step, operation) in record.log.iter().enumerate() {
            since_sync.push((step, operation));
            for _ in 0..4 {
                let mut bytes = durable.clone();
                let journal_is_durable = since_sync[0].0 > record.journal();
                let mut is_new = journal_is_durable;
                for (step, operation) in &since_sync {
                    let portion = match (next() % 3, operation.size()) {
                        (0, size) => Some(size),
                        (1, size) if size > 0 => Some(next() as usize % size),
                        _ => None,
                    };
                    let Some(portion) = portion else { continue };
                    operation.apply(&mut bytes, portion);
                    if *step == record.journal() {
                        is_new |= portion == operation.size();
                    }
                }
                record.check(&bytes, is_new, &format!("power cut at step {step}"));
            }
            if matches!(operation, Operation::Sync) {
                for (_, operation) in since_sync.drain(..) {
                    operation.apply(&mut durable, operation.size());
                }
            }
        }
    }
}

#[test]
fn our_own_open_sees_the_old_or_the_new_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.h5");
    for record in records() {
        let (before, after) = match record.name.ends_with("~prepare") {
            true => (None, Some(0)),
            false => (Some(0), Some(17)),
        };
        let journal = record.journal();
        for (index, (step, whole, bytes)) in record.kills().into_iter().enumerate() {
            if step + 1 < journal && index % 29 != 0 {
                continue;
            }
            let is_new = step > journal || (step == journal && whole);
            let expected = if is_new { after } else { before };
            fs::write(&path, &bytes).unwrap();
            let name = format!("{}: step {step}, whole: {whole}", record.name);
            let file = open_for_reading(&path, File::open(&path).unwrap(), Access::Locked).unwrap();
            assert_eq!(files::progress(&file), expected, "{name}");
            file.close().unwrap();
            assert!(fs::read(&path).unwrap() == bytes, "{name}: reading changed the file");
            let disk = Memory::new(&bytes, Fault::None);
            let next = Transaction::begin_on(&path, Box::new(disk.clone())).unwrap();
            assert_eq!(files::progress(next.file()), expected, "{name}");
            drop(next);
            let (left, end) = (disk.bytes(), record.old_end);
            match is_new {
                true => assert!(left == record.new, "{name}"),
                false => {
                    assert!(left.len() == bytes.len() && left[..end] == bytes[..end], "{name}");
                }
            }
        }
    }
}

/// Whoever doesn't know of journals sees the old file until it is complete, then for an instant the
/// in-place writes one by one, then the new file.
#[test]
fn other_programs_see_the_old_file_then_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(format!("{name}.h5")), bytes).unwrap();
    };
    let mut expected = BTreeMap::new();
    for record in records() {
        let name = &record.name;
        save(&format!("{name}~old"), &record.old);
        save(&format!("{name}~new"), &record.new);
        let journal = record.journal();
        let mut previous = Vec::new();
        for (index, (step, whole, bytes)) in record.kills().into_iter().enumerate() {
            if bytes == previous || (step < journal && index % (journal / 2).max(1) != 0) {
                continue;
            }
            let is_new = step > journal && bytes.get(..record.new.len()) == Some(&record.new[..]);
            let state = match (step, whole) {
                _ if is_new => "new",
                (step, whole) if step < journal || (step == journal && !whole) => "old",
                _ if bytes[..record.old_end] == record.old[..record.old_end] => "old",
                (_, true) => "between writes",
                (_, false) => "within a write",
            };
            let snapshot = format!("{name}~{step}~{index}");
            save(&snapshot, &bytes);
            expected.insert(snapshot, (record.name.clone(), state));
            previous = bytes;
        }
    }
    let seen = files::show(folder.path());
    let mut window: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    for (snapshot, (name, state)) in &expected {
        let seen_in = |state: &str| &seen[&format!("{name}~{state}")];
        let (old, new, now) = (seen_in("old"), seen_in("new"), &seen[snapshot]);
        assert!(!new.h5py.starts_with("error"), "{name}: {}", new.h5py);
        let readable_by_1_10 = !name.starts_with("latest");
        if let Some(new) = new.h5dump.as_ref().filter(|_| readable_by_1_10) {
            assert!(!new.starts_with("error"), "{name}: {new}");
        }
        match *state {
            "old" | "new" => {
                let same = if *state == "old" { old } else { new };
                assert_eq!(now.h5py, same.h5py, "{snapshot}");
                if readable_by_1_10 {
                    let refused = name.starts_with("left_open");
                    assert!(refused || now.h5dump == same.h5dump, "{snapshot}");
                }
            }
            _ => {
                let kind = if now.h5py == old.h5py || now.h5py == new.h5py {
                    0
                } else if now.h5py.starts_with("error") {
                    2
                } else {
                    1
                };
                let stage = name.split('~').next_back().unwrap();
                window.entry((stage, *state)).or_default()[kind] += 1;
            }
        }
    }
    for ((stage, state), [whole, mixed, unreadable]) in window {
        println!("{stage}, {state}: {whole} old or new, {mixed} mixed, {unreadable} unreadable");
    }
}

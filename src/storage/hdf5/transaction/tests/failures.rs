//! Transactions that fail or are given up: the file is as it was, and HDF5 lets go of it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::super::{Access, Transaction, open_for_reading};
use super::disks::{Fault, Memory, Operation};
use super::files::{GROUP, checkpoint, kinds, prepare, progress};
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Result};

const NAME: &str = "file in memory";

fn run(disk: &Memory) -> Result<()> {
    let transaction = Transaction::begin_on(Path::new(NAME), Box::new(disk.clone()))?;
    prepare(transaction.file()).map_err(|error| transaction.error("write", &error.into()))?;
    transaction.commit(&[])
}

fn is_system_error(error: &Error, number: i32) -> bool {
    matches!(error, Error::Io { source, .. } if source.raw_os_error() == Some(number))
}

#[test]
fn a_dropped_transaction_changes_nothing() {
    for (kind, bytes) in kinds() {
        let disk = Memory::new(bytes, Fault::None);
        let transaction = Transaction::begin_on(Path::new(NAME), Box::new(disk.clone())).unwrap();
        let end = hdf5_end(kind, bytes);
        prepare(transaction.file()).unwrap();
        drop(transaction);
        let left = disk.bytes();
        assert_eq!(left.len(), bytes.len(), "{kind}");
        assert!(left[..end] == bytes[..end], "{kind}");
        assert!(!disk.is_shared(), "{kind}");
    }
}

#[test]
fn a_transaction_without_changes_writes_nothing() {
    for (kind, bytes) in kinds() {
        let disk = Memory::new(bytes, Fault::None);
        let transaction = Transaction::begin_on(Path::new(NAME), Box::new(disk.clone())).unwrap();
        // HDF5 settles free space and pages anew whenever it closes such a file.
        if kind.starts_with("free_space") || kind.starts_with("paged") {
            continue;
        }
        let must_change =
            transaction.state.lock().keep_below < bytes.len() as u64 || kind == "left_open";
        transaction.commit(&[]).unwrap();
        assert_eq!(disk.bytes() != *bytes, must_change, "{kind}");
        assert_eq!(!disk.contents().log.is_empty(), must_change, "{kind}");
    }
}

#[test]
fn a_failing_disk_leaves_the_old_file_or_one_that_rolls_forward() {
    for kind in ["superblock_0", "free_space", "paged_persistent", "left_open", "trailing_bytes"] {
        let bytes = &kinds()[kind];
        let whole = Memory::new(bytes, Fault::None);
        run(&whole).unwrap();
        let steps = whole.contents().log.len();
        let journal = journal_step(&whole);
        let end = hdf5_end(kind, bytes);
        for fault in (0..steps)
            .filter(|step| step % 6 == 0 || step + 2 > journal)
            .flat_map(|step| [Fault::Once(step), Fault::Full(step)])
        {
            let disk = Memory::new(bytes, fault);
            let result = run(&disk);
            let happened = match fault {
                Fault::Once(step) => step > journal + 1,
                Fault::Full(step) => step > journal,
                _ => unreachable!(),
            };
            match result {
                Err(error) => {
                    assert!(is_system_error(&error, libc::ENOSPC), "{kind} {fault:?}: {error}");
                }
                Ok(()) => assert!(happened && matches!(fault, Fault::Full(_)), "{kind} {fault:?}"),
            }
            assert!(!disk.is_shared(), "{kind} {fault:?}: HDF5 still has the file");
            let left = disk.bytes();
            if !happened {
                assert_eq!(left.len(), bytes.len(), "{kind} {fault:?}");
                assert!(left[..end] == bytes[..end], "{kind} {fault:?}");
            }
            let again = Memory::new(&left, Fault::None);
            let next = Transaction::begin_on(Path::new(NAME), Box::new(again)).unwrap();
            assert_eq!(progress(next.file()), happened.then_some(0), "{kind} {fault:?}");
        }
    }
}

/// The step that completes the journal.
fn journal_step(whole: &Memory) -> usize {
    let is_journal = |operation: &Operation| matches!(operation, Operation::Write { bytes, .. } if bytes.ends_with(b"pixelmill jrnl 1"));
    whole.contents().log.iter().position(is_journal).unwrap()
}

/// Where HDF5's part of a file ends.
fn hdf5_end(kind: &str, bytes: &[u8]) -> usize {
    let disk = Box::new(Memory::new(bytes, Fault::None));
    let transaction = Transaction::begin_on(Path::new(NAME), disk).unwrap();
    let end = transaction.state.lock().keep_below as usize;
    let has_tail = ["trailing_bytes", "stale_journal"].contains(&kind);
    assert_eq!(end < bytes.len(), has_tail, "{kind}");
    end
}

#[test]
fn a_dead_process_leaves_a_file_that_opens() {
    let bytes = &kinds()["superblock_3"];
    let whole = Memory::new(bytes, Fault::None);
    run(&whole).unwrap();
    for step in 0..whole.contents().log.len() {
        let disk = Memory::new(bytes, Fault::Dead(step));
        assert!(run(&disk).is_err());
        let after = Memory::new(&disk.bytes(), Fault::None);
        let next = Transaction::begin_on(Path::new(NAME), Box::new(after)).unwrap();
        let seen = progress(next.file());
        assert!(seen.is_none() || seen == Some(0));
    }
}

#[test]
fn a_failing_read_is_told_and_changes_nothing() {
    for kind in ["superblock_0", "superblock_3", "free_space", "dense_attributes"] {
        let bytes = &kinds()[kind];
        let whole = Memory::new(bytes, Fault::None);
        run(&whole).unwrap();
        let reads = whole.contents().reads;
        for read in 0..reads {
            let disk = Memory::new(bytes, Fault::Read(read));
            if let Err(error) = run(&disk) {
                assert!(is_system_error(&error, libc::EIO), "{kind} read {read}: {error}");
                assert!(disk.bytes() == *bytes, "{kind} read {read}");
            } else {
                panic!("{kind}: read {read} of {reads} failed and nobody was told");
            }
            assert!(!disk.is_shared(), "{kind} read {read}: HDF5 still has the file");
        }
    }
}

/// HDF5 prints its error stack unless it is told not to; a child process shows what is printed.
#[test]
fn failures_print_nothing_and_other_files_still_work() {
    const CHILD: &str = "PIXELMILL_TEST_FAILURES_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let name = "storage::hdf5::transaction::tests::failures::\
                    failures_print_nothing_and_other_files_still_work";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "yes")
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
        assert!(!err.contains("HDF5-DIAG") && !out.contains("HDF5-DIAG"), "{out}{err}");
        return;
    }
    let kinds = kinds();
    let bytes = &kinds["superblock_3"];
    for step in 0..40 {
        for fault in [Fault::Full(step), Fault::Read(step)] {
            let _ = run(&Memory::new(bytes, fault));
        }
    }
    for (kind, bytes) in kinds {
        let disk = Memory::new(bytes, Fault::None);
        run(&disk).unwrap();
        let next = Transaction::begin_on(Path::new(NAME), Box::new(disk)).unwrap();
        assert_eq!(progress(next.file()), Some(0), "{kind}");
    }
}

#[test]
fn what_is_no_hdf5_file_is_refused_and_let_go() {
    for bytes in [&b""[..], b"short", &[0; 5000]] {
        let disk = Memory::new(bytes, Fault::None);
        assert!(matches!(run(&disk), Err(Error::Hdf5 { .. })));
        assert!(disk.bytes() == bytes && !disk.is_shared());
    }
    let truncated = &kinds()["superblock_3"][..30_000];
    let disk = Memory::new(truncated, Fault::None);
    assert!(run(&disk).is_err());
    assert!(disk.bytes() == truncated && !disk.is_shared());
}

/// HDF5 flushes only when the last handle is closed, so committing before would lose the changes.
#[test]
fn commit_with_another_handle_of_the_file_is_refused() {
    let bytes = &kinds()["superblock_0"];
    let disk = Memory::new(bytes, Fault::None);
    let transaction = Transaction::begin_on(Path::new(NAME), Box::new(disk.clone())).unwrap();
    let other = transaction.file().clone();
    prepare(transaction.file()).unwrap();
    assert!(matches!(transaction.commit(&[]), Err(Error::Hdf5 { .. })));
    assert!(disk.bytes() == *bytes);
    drop(other);
    assert!(disk.bytes() == *bytes && !disk.is_shared());
}

/// While a run computes, results are written past HDF5: a checkpoint that wrote back neighbouring
/// bytes would undo them, at once or when it is rolled forward.
#[test]
fn a_checkpoint_writes_no_bytes_that_hdf5_was_not_asked_to_change() {
    for (kind, bytes) in kinds() {
        let disk = Memory::new(bytes, Fault::None);
        run(&disk).unwrap();
        let transaction = Transaction::begin_on(Path::new(NAME), Box::new(disk.clone())).unwrap();
        let results = transaction.file().group(GROUP).unwrap().dataset("Residuals").unwrap();
        let at = results.offset().unwrap() as usize;
        drop(results);
        checkpoint(transaction.file()).unwrap();
        disk.contents().bytes[at..at + 3200].fill(7);
        transaction.commit(&[]).unwrap();
        assert!(disk.bytes()[at..at + 3200].iter().all(|byte| *byte == 7), "{kind}");
    }
}

/// HDF5 gives up its lock on a file that it writes for concurrent readers.
#[test]
fn a_file_with_a_swmr_writer_is_refused() {
    let mut bytes = kinds()["superblock_3"].clone();
    bytes[11] = 5;
    let checksum = lookup3(&bytes[..44]);
    bytes[44..48].copy_from_slice(&checksum.to_le_bytes());
    let disk = Memory::new(&bytes, Fault::None);
    let error = run(&disk).unwrap_err();
    assert!(error.to_string().contains("SWMR"), "{error}");
    assert_eq!(error.advice(), Some(Advice::EndSwmrWriter));
    assert!(disk.bytes() == bytes);
}

/// Bob Jenkins' hash, HDF5's checksum of metadata.
fn lookup3(key: &[u8]) -> u32 {
    let mut state = [0xdead_beef_u32.wrapping_add(key.len() as u32); 3];
    let mut blocks = key.chunks(12).peekable();
    while let Some(block) = blocks.next() {
        let mut padded = [0; 12];
        padded[..block.len()].copy_from_slice(block);
        for (word, part) in state.iter_mut().zip(padded.chunks(4)) {
            *word = word.wrapping_add(u32::from_le_bytes(part.try_into().unwrap()));
        }
        let [mut a, mut b, mut c] = state;
        if blocks.peek().is_some() {
            for (x, y, z, turn) in [
                (0, 2, 1, 4),
                (1, 0, 2, 6),
                (2, 1, 0, 8),
                (0, 2, 1, 16),
                (1, 0, 2, 19),
                (2, 1, 0, 4),
            ] {
                let mut words = [a, b, c];
                words[x] = words[x].wrapping_sub(words[y]) ^ words[y].rotate_left(turn);
                words[y] = words[y].wrapping_add(words[z]);
                [a, b, c] = words;
            }
        } else {
            for (x, y, turn) in
                [(2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24)]
            {
                let mut words = [a, b, c];
                words[x] = (words[x] ^ words[y]).wrapping_sub(words[y].rotate_left(turn));
                [a, b, c] = words;
            }
        }
        state = [a, b, c];
    }
    state[2]
}

#[test]
fn two_threads_change_two_files() {
    let kinds = kinds();
    std::thread::scope(|scope| {
        for kind in ["superblock_0", "free_space"] {
            let bytes = &kinds[kind];
            scope.spawn(move || {
                for _ in 0..20 {
                    let disk = Memory::new(bytes, Fault::None);
                    run(&disk).unwrap();
                    let next = Transaction::begin_on(Path::new(NAME), Box::new(disk)).unwrap();
                    assert_eq!(progress(next.file()), Some(0));
                }
            });
        }
    });
}

/// HDF5 opens the other file with our driver and the first file's state.
#[test]
fn other_files_behind_links_and_virtual_datasets_are_read_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let (outer, inner) = (folder.path().join("outer.h5"), folder.path().join("inner.h5"));
    for (path, value) in [(&outer, 1.0), (&inner, 2.0)] {
        let file = hdf5::File::create(path).unwrap();
        file.new_dataset::<f64>().shape(4).create("data").unwrap().write_raw(&[value; 4]).unwrap();
    }
    let file = hdf5::File::open_rw(&outer).unwrap();
    file.link_external("inner.h5", "/data", "linked").unwrap();
    file.new_dataset::<f64>()
        .shape(4)
        .virtual_map("inner.h5", "data", 4, .., 4, ..)
        .create("virtual")
        .unwrap();
    file.close().unwrap();
    let file = open_for_reading(&outer, File::open(&outer).unwrap(), Access::Locked).unwrap();
    for name in ["linked", "virtual"] {
        assert_eq!(file.dataset(name).unwrap().read_raw::<f64>().unwrap(), [2.0; 4], "{name}");
    }
    drop(file);
    fs::remove_file(&inner).unwrap();
    let file = open_for_reading(&outer, File::open(&outer).unwrap(), Access::Locked).unwrap();
    assert!(file.dataset("linked").is_err());
}

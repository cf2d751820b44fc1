//! Files with bytes that aren't what was written: a damaged chunk fails the positions that it has a
//! part of, and no others; whatever else is damaged, the program ends with a reason and never by a
//! signal.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, assert_refused, filters_program, program, ran, run};

/// Cases of each kind for each file.
const CASES: u64 = 8;
/// Longer than any run on so small a file takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A damaged size must not make the program ask for more memory than this.
const ADDRESS_SPACE: u64 = 8 << 30;

/// Random numbers, the same ones every time (Steele, Lea and Flood's SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Alters one to eight of these bytes, or a stretch of them.
    fn damage(&mut self, bytes: &mut [u8]) {
        let stretch = self.below(4) == 0;
        let first = self.below(bytes.len());
        for at in 0..1 + self.below(if stretch { 64 } else { 8 }) {
            let place = if stretch { (first + at) % bytes.len() } else { self.below(bytes.len()) };
            // Never zero, so that the byte becomes another one; but two may hit the same byte.
            let change = 1 + self.below(if at == 0 { 255 } else { 15 }) as u8;
            bytes[place] ^= change;
        }
    }
}

/// The files as they were written.
struct Files {
    folder: TempDir,
    listed: Vec<Value>,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listed = filters_program("damaged.py", ["write".as_ref(), folder.path()]);
        Self { folder, listed: serde_json::from_value(listed).expect("a list") }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bytes(&self, file: &Value) -> Vec<u8> {
        fs::read(self.path(file["file"].as_str().unwrap())).expect("it was written")
    }

    /// Every file so many times, each with a random source of its own, two at a time. A case tells
    /// whether anything was computed, or what is wrong; all is well if something was, and nothing
    /// is.
    fn try_all(&self, case: impl Fn(&Value, &str, &mut Random) -> Result<bool, String> + Sync) {
        let (next, computed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let wrong = Mutex::new(Vec::new());
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = self.listed.get(number / CASES as usize) else { return };
                let name = format!("{}, case {number}", file["name"].as_str().unwrap());
                match case(file, &name, &mut Random(number as u64)) {
                    Ok(has) => drop(computed.fetch_add(has.into(), Ordering::Relaxed)),
                    Err(told) => wrong.lock().unwrap().push(format!("{name}: {told}")),
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{} failures:\n{}", wrong.len(), wrong.join("\n"));
        assert!(computed.into_inner() > 0, "nothing was computed at all");
    }

    /// Looks at and computes on a file with these bytes, any of which may be damaged; returns
    /// whether it could be computed on.
    fn survive(&self, name: &str, bytes: &[u8]) -> Result<bool, String> {
        let file = self.path("shown, ".to_owned() + name);
        fs::write(&file, bytes).unwrap();
        let shown = limited(&["info".into(), file.clone().into()]);
        let _ = fs::remove_file(file);
        assert_ended(&shown, &[0, 1])?;
        let (ran, _) = self.sums(name, bytes);
        assert_ended(&ran, &[0, 1, 2, 3])?;
        Ok(matches!(ran.code, Some(0 | 3)))
    }

    /// Computes the sums on a file with these bytes.
    fn sums(&self, name: &str, bytes: &[u8]) -> (Ran, PathBuf) {
        let file = self.path(format!("{name}.h5"));
        fs::write(&file, bytes).unwrap();
        let output = self.path(format!("{name}, results.h5"));
        let done = limited(&sum_of(&file, &output));
        let _ = fs::remove_file(file);
        (done, output)
    }
}

fn sum_of(file: &Path, output: &Path) -> Vec<OsString> {
    let options = ["--dataset", "/data", "--positions-axes", "0,1", "--cores", "2"];
    let mut arguments = run("sum", file, &options);
    arguments.extend(["--durability".into(), "process".into()]);
    arguments.extend(["--output".into(), output.into()]);
    arguments
}

/// Runs the program with limits on memory and time.
fn limited(arguments: &[OsString]) -> Ran {
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={ADDRESS_SPACE}")).arg(program()).args(arguments).arg("--json");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("prlimit starts");
    kill_if_late(&mut child);
    ran(child.wait_with_output().expect("it can be waited for"))
}

fn kill_if_late(child: &mut Child) {
    let begun = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().expect("it can be killed");
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a run ended in one of these ways, with a reason in one line if it was refused.
fn assert_ended(ran: &Ran, codes: &[i32]) -> Result<(), String> {
    let told = || format!("{:?}, {}", ran.code, ran.stderr);
    let expected = ran.code.is_some_and(|code| codes.contains(&code));
    let refused = matches!(ran.code, Some(1 | 2));
    let panicked = ran.stderr.contains("panicked") || ran.stderr.contains("HDF5 error stack");
    if !expected || panicked || refused && ran.stderr.lines().count() != 1 {
        return Err(told());
    }
    Ok(())
}

#[test]
fn a_damaged_chunk_fails_its_own_positions_and_no_others() {
    let files = Files::new();
    let runs = Mutex::new(Vec::new());
    files.try_all(|file, name, random| {
        let mut bytes = files.bytes(file);
        let chunks = file["chunks"].as_array().unwrap();
        let mut damaged: Vec<usize> =
            (0..1 + random.below(3)).map(|_| random.below(chunks.len())).collect();
        damaged.sort();
        damaged.dedup();
        for chunk in &damaged {
            let number = |what: &str| chunks[*chunk][what].as_u64().unwrap() as usize;
            let (offset, length) = (number("offset"), number("bytes"));
            let before = bytes[offset..offset + length].to_vec();
            random.damage(&mut bytes[offset..offset + length]);
            assert_ne!(before, bytes[offset..offset + length], "nothing was damaged");
        }
        let (ran, output) = files.sums(name, &bytes);
        assert_ended(&ran, &[0, 3])?;
        let path = format!("{}/Sum", ran.json["group"].as_str().unwrap_or_default());
        runs.lock().unwrap().push(json!({
            "name": file["name"], "case": name, "chunks": damaged, "file": output, "path": path,
            "failed": ran.json["failed"],
        }));
        Ok(true)
    });
    let listing = files.path("runs.json");
    fs::write(&listing, serde_json::to_vec(&*runs.lock().unwrap()).unwrap()).unwrap();
    let wrong = filters_program("damaged.py", ["check".as_ref(), files.folder.path(), &listing]);
    assert_eq!(wrong, json!([]));
}

#[test]
fn damage_anywhere_never_ends_the_program_by_a_signal() {
    let files = Files::new();
    files.try_all(|file, name, random| {
        let mut bytes = files.bytes(file);
        random.damage(&mut bytes);
        files.survive(name, &bytes)
    });
}

/// The bytes that are in no chunk: superblock, object headers and the index of chunks.
fn outside_chunks(file: &Value, length: usize) -> Vec<usize> {
    let mut inside = vec![false; length];
    for chunk in file["chunks"].as_array().unwrap() {
        let number = |what: &str| chunk[what].as_u64().unwrap() as usize;
        inside[number("offset")..][..number("bytes")].fill(true);
    }
    (0..length).filter(|at| !inside[*at]).collect()
}

#[test]
fn a_damaged_index_or_header_never_ends_the_program_by_a_signal() {
    let files = Files::new();
    files.try_all(|file, name, random| {
        let mut bytes = files.bytes(file);
        let places = outside_chunks(file, bytes.len());
        // What is there at all is mostly zeros that are never looked at.
        let used: Vec<usize> = places.into_iter().filter(|at| bytes[*at] != 0).collect();
        for _ in 0..1 + random.below(3) {
            bytes[used[random.below(used.len())]] = random.next() as u8;
        }
        files.survive(name, &bytes)
    });
}

#[test]
fn a_file_cut_off_in_the_middle_of_its_chunks_is_called_truncated() {
    let files = Files::new();
    for file in &files.listed {
        let bytes = files.bytes(file);
        let chunks = file["chunks"].as_array().unwrap();
        let middle = chunks[chunks.len() / 2]["offset"].as_u64().unwrap() as usize + 3;
        let (ran, _) = files.sums("cut", &bytes[..middle]);
        assert_refused(&ran, 1, &["cut.h5 is truncated", "copy it again"]);
    }
}

#[test]
fn files_that_nobody_damaged_are_computed_without_a_failure() {
    let files = Files::new();
    for file in &files.listed {
        let name = file["name"].as_str().unwrap();
        let (ran, _) = files.sums(&format!("whole, {name}"), &files.bytes(file));
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
        assert_eq!(ran.json["failed"], json!([]), "{name}");
    }
}

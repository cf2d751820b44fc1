//! Scans that are folded, written by `tests/python/folds.py`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::random::Random;
use super::watch::Running;
use super::{pixelmill, python_function, run, succeed};

/// A scan in a folder of its own.
pub struct Scan {
    pub folder: TempDir,
    pub file: PathBuf,
}

impl Scan {
    /// Of an element type and a layout.
    pub fn new(kind: &str, layout: &str) -> Self {
        Self::made(|file| python("write", &[file, kind, layout]))
    }

    /// Of so many positions and points.
    pub fn many(positions: &str, points: &str) -> Self {
        Self::made(|file| python("many", &[file, positions, points]))
    }

    /// That something makes.
    pub fn made(make: impl FnOnce(&str) -> Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scan.h5");
        make(file.to_str().unwrap());
        Self { folder, file }
    }

    /// The path of another file there.
    pub fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Of a run of a fold, or of one of so many positions, whose results go there.
    pub fn arguments(&self, fold: &str, output: &str, more: &[&str]) -> Vec<OsString> {
        let axes = if fold.ends_with("many") { "0" } else { "0,1" };
        let fold = fold.trim_end_matches("-many");
        let options = ["--output", output, "--positions-axes", axes];
        run(fold, &self.file, &[options.as_slice(), more].concat())
    }

    /// Kills a few such runs after each other, each within so many seconds; gives how many were
    /// killed, and how many of these while some of all `positions` were done.
    pub fn kill_a_few(
        &self,
        (fold, output): (&str, &str),
        options: &[&str],
        (positions, seconds): (u64, f64),
        random: &mut Random,
    ) -> (usize, usize) {
        let start = |more: &[&str]| self.arguments(fold, output, &[options, more].concat());
        kill_a_few(start, output, (positions, seconds), random)
    }

    /// That, which has to succeed.
    pub fn run(&self, fold: &str, output: &str, more: &[&str]) -> Value {
        succeed(self.arguments(fold, output, more))
    }
}

/// Kills a few runs that go into the same file, each within so many seconds; gives how many were
/// killed, and how many of these while some of all `positions` were done.
pub fn kill_a_few(
    start: impl Fn(&[&str]) -> Vec<OsString>,
    output: &str,
    (positions, seconds): (u64, f64),
    random: &mut Random,
) -> (usize, usize) {
    let (mut killed, mut in_middle) = (0, 0);
    for _ in 0..4 {
        let cores = if random.next() < 0.5 { "1" } else { "2" };
        let running = Running::start(start(&["--checkpoint", "0.01", "--cores", cores]));
        thread::sleep(Duration::from_secs_f64(seconds * random.next()));
        if running.kill().success() {
            break;
        }
        killed += 1;
        let has_group = std::fs::metadata(output).is_ok_and(|file| file.len() > 0);
        let marked = if has_group { marked(output) } else { 0 };
        in_middle += usize::from(marked > 0 && marked < positions);
    }
    (killed, in_middle)
}

/// Calls a function of that program.
pub fn python(function: &str, arguments: &[&str]) -> Value {
    python_function("folds.py", function, arguments.iter().map(AsRef::<OsStr>::as_ref))
}

/// How many positions are marked; none if there is no group yet.
pub fn marked(output: &str) -> u64 {
    let status = pixelmill(["status", output]);
    let first = &status.json["groups"][0];
    first["completed"].as_u64().unwrap_or(0)
}

/// Whether two files have the same results, and are alike in all that is said of these, but for how
/// often the digest of the data was written: that depends on how long a run takes.
pub fn assert_same_results(one: &str, other: &str, about: &str) {
    let found = python("same", &[one, other]);
    assert_eq!(found["differing"], json!([]), "{about}");
    assert!(found["same"].as_u64().unwrap() > 0);
}

/// What came of each computation of a pass or a plan.
pub fn computations(answer: &Value) -> &[Value] {
    answer["computations"].as_array().unwrap()
}

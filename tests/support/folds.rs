//! Scans that are folded, written by `tests/python/folds.py`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

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

    /// That, which has to succeed.
    pub fn run(&self, fold: &str, output: &str, more: &[&str]) -> Value {
        succeed(self.arguments(fold, output, more))
    }
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

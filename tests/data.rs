//! Data that change: before results of them are reused, while they are computed with, and files
//! that are exchanged under their names.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::watch::{Opener, Running};
use crate::support::{
    POSITIONS, RAW_DATA, Ran, Sample, pixelmill, python_function, refuse, run, succeed,
};

/// A file of 72 MiB, of which only a sample is looked at before a run: 1152 positions of 64 KiB.
struct Large {
    folder: TempDir,
    file: PathBuf,
}

/// A position whose data no sample has.
const UNSEEN: &str = "2";

impl Large {
    fn new(chunked: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("large.h5");
        python_function("data.py", "make", [file.as_os_str(), chunked.to_string().as_ref()]);
        Self { folder, file }
    }

    fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Adds to one value of one position.
    fn change(&self, position: &str, by: &str) {
        python_function("data.py", "add", [self.file.as_os_str(), position.as_ref(), by.as_ref()]);
    }

    fn sum(&self, more: &[&str]) -> Value {
        succeed(run("sum", &self.file, &[&["--positions-axes", "0"], more].concat()))
    }
}

fn verify(file: &Path, group: &Value) -> Ran {
    let group = group.as_str().expect("a group has a path");
    pixelmill([
        "verify".as_ref(),
        file.as_os_str(),
        group.as_ref(),
        "--sample".as_ref(),
        "1".as_ref(),
    ])
}

#[test]
fn a_changed_value_that_no_sample_has_is_computed_anew() {
    for chunked in [false, true] {
        let large = Large::new(chunked);
        let first = large.sum(&[]);
        assert_eq!(large.sum(&[])["outcome"], "existing");
        let verified = verify(&large.file, &first["group"]);
        assert_eq!((verified.code, &verified.json["same_data"]), (Some(0), &true.into()));

        large.change(UNSEEN, "1");
        let verified = verify(&large.file, &first["group"]);
        assert_eq!((verified.code, &verified.json["same_data"]), (Some(1), &false.into()));
        let arguments = run("sum", &large.file, &["--positions-axes", "0"]);
        let second = pixelmill(&arguments);
        assert_eq!(second.json["outcome"], "finished", "chunked: {chunked}");
        assert!(second.stderr.contains("are of other data"), "{}", second.stderr);
        assert_ne!(second.json["group"], first["group"]);
        assert_eq!(second.json["parameter_hash"], first["parameter_hash"], "no sample has it");

        large.change(UNSEEN, "-1");
        assert_eq!(large.sum(&[])["group"], first["group"], "the old data are back");
    }
}

#[test]
fn a_changed_value_of_a_neighbour_is_noticed_and_of_nobody_else() {
    let large = Large::new(false);
    let surrounded = || {
        let of_next = ["--positions-axes", "0", "--positions", "[3]", "--check-data"];
        succeed(run("surrounded", &large.file, &of_next))
    };
    let first = surrounded();
    large.change("5", "1");
    let second = surrounded();
    assert_eq!(second["group"], first["group"], "5 is no neighbour of 3");
    large.change(UNSEEN, "1");
    let third = surrounded();
    assert_eq!(third["parameter_hash"], first["parameter_hash"], "no sample has it");
    assert_ne!(third["group"], first["group"]);
}

#[test]
fn a_changed_value_is_noticed_from_another_file_too() {
    let large = Large::new(false);
    let out = large.beside("out.h5");
    let to_out = ["--output", out.as_str()];
    let first = large.sum(&to_out);
    let touched = OpenOptions::new().write(true).open(&large.file).unwrap();
    touched.set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(large.sum(&to_out)["outcome"], "existing", "it was only touched");
    large.change(UNSEEN, "1");
    let second = large.sum(&to_out);
    assert_eq!(second["outcome"], "finished");
    assert_ne!(second["group"], first["group"]);
    assert_eq!(large.sum(&[&to_out[..], &["--check-data"]].concat())["group"], second["group"]);
}

#[test]
fn a_partial_group_is_not_resumed_over_a_change_that_no_sample_has() {
    let large = Large::new(false);
    let first = large.sum(&["--positions", "0:10"]);
    large.change("20", "1");
    let resumed = large.sum(&["--positions", "0:30"]);
    assert_eq!(resumed["group"], first["group"], "what was computed from is unchanged");
    assert_eq!(resumed["report"]["positions"], 20);
    large.change(UNSEEN, "1");
    let name = first["group"].as_str().unwrap();
    let named = ["--positions-axes", "0", "--resume", name];
    refuse(run("sum", &large.file, &named), 1, &[name, "the data have changed"]);
    let anew = large.sum(&[]);
    assert_ne!(anew["group"], first["group"]);
    assert_eq!(anew["report"]["positions"], 1152);
}

/// The digest that a group's newest record has.
fn recorded_digest(file: &Path) -> String {
    let newest = python_function("data.py", "newest_digest", [file.as_os_str()]);
    assert_eq!(newest["positions"], POSITIONS);
    newest["digest"].as_str().unwrap().to_owned()
}

#[test]
fn the_digest_is_the_same_however_often_a_run_was_killed() {
    let whole = Sample::new();
    succeed(run("slow", &whole.file, &["-p", "pause=0", "--cores", "2"]));
    let expected = recorded_digest(&whole.file);

    let killed = Sample::new();
    let given = ["-p", "pause=400", "--checkpoint", "0.01", "--cores", "2"];
    succeed(run("slow", &killed.file, &[&given[..], &["--positions", "100:140"]].concat()));
    let mut opener = awake(&killed.file);
    for marked in [200, 900, 2000] {
        let running = Running::start(run("slow", &killed.file, &given));
        let group = running.computing(&mut opener, &killed.file);
        running.wait_until_marked(&group, &killed.file, marked);
        running.kill();
    }
    let ended = succeed(run("slow", &killed.file, &given));
    assert_eq!(recorded_digest(&killed.file), expected);
    let verified = verify(&killed.file, &ended["group"]);
    assert_eq!((verified.code, &verified.json["same_data"]), (Some(0), &true.into()));
}

#[test]
fn failed_positions_that_are_computed_again_count_once_in_the_digest() {
    let sample = Sample::new();
    let mended = sample.folder.path().join("mended");
    let given = format!("mended_by={}", mended.display());
    let first = pixelmill(run("trouble", &sample.file, &["-p", &given]));
    assert_eq!(first.code, Some(3), "{}", first.stderr);
    let expected = recorded_digest(&sample.file);
    fs::write(&mended, "").unwrap();
    let again = succeed(run("trouble", &sample.file, &["-p", &given, "--retry-failed"]));
    assert_eq!(again["group"], first.json["group"]);
    assert_eq!(recorded_digest(&sample.file), expected);
}

/// A Python that is ready to look into files while a run goes on.
fn awake(file: &Path) -> Opener {
    let mut opener = Opener::new();
    opener.groups(file);
    opener
}

/// The sample with a dataset `/offset` and what `slow` is called with to take a while.
struct Watched {
    sample: Sample,
    out: PathBuf,
}

impl Watched {
    fn new() -> Self {
        let sample = Sample::new();
        python_function("data.py", "add_offset", [sample.file.as_os_str()]);
        let out = sample.folder.path().join("out.h5");
        Self { sample, out }
    }

    fn file(&self) -> &Path {
        &self.sample.file
    }

    fn arguments(&self, in_place: bool) -> Vec<std::ffi::OsString> {
        let slow =
            ["-p", "pause=500", "-p", "offset=/offset", "--checkpoint", "0.05", "--cores", "1"];
        let out = self.out.display().to_string();
        let output = if in_place { vec![] } else { vec!["--output", out.as_str()] };
        run("slow", self.file(), &[&slow[..], &output].concat())
    }

    fn results(&self, in_place: bool) -> &Path {
        if in_place { self.file() } else { &self.out }
    }

    /// Does something to the files while a run has marked some positions; how that ended, and how
    /// many positions are marked.
    fn ended_after(&self, in_place: bool, change: impl FnOnce()) -> (Ran, usize) {
        let mut opener = awake(self.file());
        let results = self.results(in_place);
        let running = Running::start(self.arguments(in_place));
        let group = running.computing(&mut opener, results);
        running.wait_until_marked(&group, results, 100);
        change();
        let ran = running.finish();
        (ran, group.marked(results))
    }
}

/// Where a dataset begins in a file.
fn place(file: &Path, dataset: &str) -> u64 {
    python_function("data.py", "offset", [file.as_os_str(), dataset.as_ref()]).as_u64().unwrap()
}

/// Overwrites the value at a place, past HDF5 and its locks.
fn overwrite(file: &Path, place: u64) {
    let opened = OpenOptions::new().write(true).open(file).unwrap();
    opened.write_all_at(&[0x3f; 8], place).unwrap();
}

#[test]
fn an_auxiliary_input_that_changes_during_a_run_takes_its_marks_back() {
    for in_place in [true, false] {
        let watched = Watched::new();
        let place = place(watched.file(), "/offset");
        let change = || overwrite(watched.file(), place);
        let (ran, marked) = watched.ended_after(in_place, change);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains("`/offset` of"), "{}", ran.stderr);
        assert!(ran.stderr.contains("was changed while it was computed"), "{}", ran.stderr);
        assert_eq!(marked, 0, "in place: {in_place}");
    }
}

#[test]
fn an_input_that_can_not_be_read_any_more_takes_the_marks_back() {
    let watched = Watched::new();
    let cut = || {
        let file = OpenOptions::new().write(true).open(watched.file()).unwrap();
        file.set_len(4096).unwrap();
    };
    let (ran, marked) = watched.ended_after(false, cut);
    assert_eq!((ran.code, marked), (Some(1), 0), "{}", ran.stderr);
}

#[test]
fn a_source_that_is_replaced_by_other_data_takes_the_marks_back() {
    let watched = Watched::new();
    let other = watched.sample.folder.path().join("other.h5");
    fs::copy(watched.file(), &other).unwrap();
    overwrite(&other, place(&other, RAW_DATA));
    let (ran, marked) = watched.ended_after(false, || fs::rename(&other, watched.file()).unwrap());
    assert_eq!((ran.code, marked), (Some(1), 0), "{}", ran.stderr);
    assert!(ran.stderr.contains("was replaced by a file with other data"), "{}", ran.stderr);
}

#[test]
fn a_source_that_is_replaced_by_the_same_data_or_moved_keeps_its_results() {
    let watched = Watched::new();
    let copy = watched.sample.folder.path().join("copy.h5");
    fs::copy(watched.file(), &copy).unwrap();
    let (ran, marked) = watched.ended_after(false, || fs::rename(&copy, watched.file()).unwrap());
    assert_eq!((ran.code, marked), (Some(0), POSITIONS), "{}", ran.stderr);

    let watched = Watched::new();
    let moved = watched.sample.folder.path().join("moved.h5");
    let (ran, marked) = watched.ended_after(false, || fs::rename(watched.file(), moved).unwrap());
    assert_eq!((ran.code, marked), (Some(1), POSITIONS), "{}", ran.stderr);
    assert!(ran.stderr.contains("was moved or deleted"), "{}", ran.stderr);
}

/// Whether all `Sum` groups of a file hold the sums of its own data.
fn assert_own_sums(file: &Path) {
    python_function("data.py", "check_sums", [file.as_os_str()]);
}

#[test]
fn results_never_land_in_a_file_that_took_the_name_of_their_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [scan, one, two] = ["scan.h5", "one.h5", "two.h5"].map(path);
    python_function("data.py", "make_each", [one.as_os_str(), two.as_os_str()]);
    fs::hard_link(&one, &scan).unwrap();
    let done = AtomicBool::new(false);
    let mut exchanged = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let next = path("next");
            while !done.load(Ordering::Relaxed) {
                for file in [&two, &one] {
                    fs::hard_link(file, &next).unwrap();
                    fs::rename(&next, &scan).unwrap();
                }
            }
        });
        for _ in 0..40 {
            let ran = pixelmill(run("sum", &scan, &["--positions-axes", "0", "--override"]));
            exchanged += usize::from(ran.stderr.contains("while it was opened"));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(exchanged > 0, "it was never exchanged in time");
    assert_own_sums(&one);
    assert_own_sums(&two);
}

#[test]
fn another_name_of_the_source_is_no_output() {
    let sample = Sample::new();
    let name = |name: &str| sample.folder.path().join(name);
    let before = sample.bytes();
    fs::hard_link(&sample.file, name("hard.h5")).unwrap();
    symlink(&sample.file, name("soft.h5")).unwrap();
    for link in ["hard.h5", "soft.h5"] {
        let output = name(link).display().to_string();
        let arguments = run("peak-finding", &sample.file, &["--output", &output]);
        refuse(arguments, 2, &[link, "another name of", "scan.h5"]);
    }
    assert!(before == sample.bytes());
    let own = sample.folder.path().join(".").join("scan.h5").display().to_string();
    let ran = succeed(run("peak-finding", &sample.file, &["--output", &own]));
    assert_eq!(ran["group"], format!("{RAW_DATA}-Peak_Finding_000"), "that is the file itself");
}

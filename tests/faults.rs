//! Files and disks that fail: each refusal is one line, leaves the file as it was, and what was
//! computed before stays right.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::watch::{Opener, Running, Snapshot};
use crate::support::{
    POSITIONS, RAW_DATA, Ran, Sample, assert_refused, pixelmill, program, python_function, ran,
    refuse, run, succeed,
};

/// A run that takes a while on one core.
const SLOW: [&str; 6] = ["-p", "pause=200", "--checkpoint", "0.05", "--cores", "1"];

/// A small disk of its own with the sample on it.
struct Disk {
    folder: TempDir,
    file: PathBuf,
}

impl Disk {
    /// `None`, and the reason on standard error, where nothing may be mounted.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().expect("mount starts");
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
            eprintln!("skipped, for no small disk can be mounted here: {why}");
            return None;
        }
        let file = folder.path().join("scan.h5");
        fs::copy(Sample::new().file, &file).expect("there is room for the sample");
        Some(Self { folder, file })
    }

    /// Fills the disk but for so many bytes.
    fn fill(&self, left: usize) {
        let path = self.folder.path().join("filling");
        let mut filling = File::create(path).expect("there is room");
        let block = [1; 4096];
        let mut written = 0;
        while filling.write_all(&block).is_ok() {
            written += block.len() as u64;
        }
        filling.set_len(written.saturating_sub(left as u64)).expect("a file can be cut");
    }

    fn empty(&self) {
        fs::remove_file(self.folder.path().join("filling")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

fn slow(file: &Path) -> Vec<OsString> {
    run("slow", file, &SLOW)
}

/// What `slow` ends with.
fn slow_finished(opener: &mut Opener) -> Snapshot {
    let sample = Sample::new();
    succeed(run("slow", &sample.file, &["-p", "pause=200", "--cores", "5"]));
    opener.snapshot(&sample.file)
}

/// Offset and length of the sample's spectra in the file.
fn raw_data(file: &Path) -> (u64, u64) {
    let place = python_function("faults.py", "place", [file.as_os_str(), RAW_DATA.as_ref()]);
    (place[0].as_u64().unwrap(), place[1].as_u64().unwrap())
}

/// Replaces the last spectra, past HDF5, as a careless copy would.
fn overwrite_the_last_spectra(file: &Path) {
    let (offset, length) = raw_data(file);
    let opened = OpenOptions::new().write(true).open(file).unwrap();
    opened.write_all_at(&[0x3f; 8000], offset + length - 8000).unwrap();
}

#[test]
fn a_disk_that_is_too_full_for_the_results_leaves_the_file_untouched() {
    let Some(disk) = Disk::new() else { return };
    let before = fs::read(&disk.file).unwrap();
    let mut rooms = (0..).step_by(8192);
    let mut refusals = 0;
    loop {
        disk.fill(rooms.next().unwrap());
        let ran = pixelmill(run("peak-finding", &disk.file, &[]));
        disk.empty();
        if ran.code == Some(0) {
            break;
        }
        assert_refused(&ran, 1, &["scan.h5", "the disk is full; make room"]);
        assert!(before == fs::read(&disk.file).unwrap());
        refusals += 1;
    }
    assert!(refusals > 5, "it is refused for as long as there is no room");
    Opener::new().groups(&disk.file);
}

#[test]
fn a_disk_that_fills_up_during_the_run_costs_nothing_that_is_marked() {
    let Some(disk) = Disk::new() else { return };
    let mut opener = Opener::new();
    succeed(run("slow", &disk.file, &["-p", "pause=200", "--positions", "0:10"]));
    // The file now gets holes, as copying it sparsely makes them: it takes room again to fill them.
    let (offset, length) = opener.group(&disk.file).place("Slow_Sum");
    let hole =
        ["--punch-hole", "--offset", &(offset + 4096).to_string(), "--length"].map(String::from);
    let mut punch = Command::new("fallocate");
    punch.args(hole).arg((length - 4096).to_string()).arg(&disk.file);
    assert!(punch.status().expect("fallocate starts").success());

    let running = Running::start(slow(&disk.file));
    let group = running.computing(&mut opener, &disk.file);
    disk.fill(0);
    let ran = running.finish();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("pixelmill: ").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("the disk is full; make room and run the same command again"));
    let finished = slow_finished(&mut opener);
    let found = group.read(&disk.file);
    found.assert_marked_are_right(&finished);
    opener.groups(&disk.file);
    disk.empty();
    let json = succeed(slow(&disk.file));
    assert_eq!(json["report"]["positions"], POSITIONS - found.marked());
    assert!(opener.snapshot(&disk.file) == finished);
}

#[test]
fn a_disk_that_is_too_full_to_compress_leaves_the_results_as_they_were() {
    let Some(disk) = Disk::new() else { return };
    let mut opener = Opener::new();
    let plain = run("peak-finding", &disk.file, &["-p", "num_steps=5"]);
    succeed(&plain);
    let (before, finished) = (fs::read(&disk.file).unwrap(), opener.snapshot(&disk.file));
    let mut compressing = plain.clone();
    compressing.extend(["--compress".into(), "gzip".into()]);
    let mut refusals = 0;
    for room in (0..).step_by(8192) {
        disk.fill(room);
        let ran = pixelmill(&compressing);
        disk.empty();
        if ran.code == Some(0) {
            break;
        }
        let texts = ["are complete, but not compressed yet", "the disk is full; make room"];
        assert_refused(&ran, 1, &texts);
        refusals += 1;
        // What was compressed by then is another matter: each dataset is as it was, or compressed.
        assert_eq!(succeed(&plain)["outcome"], "existing");
        if room == 0 {
            assert!(before == fs::read(&disk.file).unwrap());
            assert!(finished == opener.snapshot(&disk.file));
        }
    }
    assert!(refusals > 1, "it is refused for as long as there is no room");
    assert_eq!(succeed(&compressing)["compressed"], serde_json::Value::Null);
    let group = succeed(&plain)["group"].as_str().unwrap().to_owned();
    let verified = succeed(["verify".as_ref(), disk.file.as_os_str(), group.as_ref()]);
    assert_eq!(verified["different"], serde_json::json!([]));
}

/// Runs the program with a limit on the size of files.
fn limited(bytes: usize, arguments: &[OsString]) -> Ran {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--fsize={bytes}")).arg(program()).args(arguments).arg("--json");
    ran(limited.output().expect("prlimit starts"))
}

#[test]
fn a_file_size_limit_leaves_the_file_untouched() {
    let sample = Sample::new();
    let before = sample.bytes();
    for room in [0, 1000, 20_000, 50_000] {
        let ran = limited(before.len() + room, &run("peak-finding", &sample.file, &[]));
        assert_refused(&ran, 1, &["scan.h5", "larger than the limit", "ulimit -f"]);
        assert!(before == sample.bytes(), "with room for {room} bytes");
    }
    let output = sample.folder.path().join("results.h5");
    let mut arguments = run("peak-finding", &sample.file, &["--output"]);
    arguments.push(output.into());
    assert_refused(&limited(20_000, &arguments), 1, &["results.h5", "larger than the limit"]);
    assert!(before == sample.bytes());
}

#[test]
fn a_file_size_limit_during_the_run_costs_nothing_that_is_marked() {
    let mut opener = Opener::new();
    let finished = slow_finished(&mut opener);
    let sample = Sample::new();
    let running = Running::start(slow(&sample.file));
    let group = running.computing(&mut opener, &sample.file);
    running.wait_until_marked(&group, &sample.file, 100);
    let pid = running.pid().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--fsize=4096"]).status();
    assert!(limited.expect("prlimit starts").success());
    let ran = running.finish();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("pixelmill: ").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("larger than the limit"), "{}", ran.stderr);
    let found = opener.snapshot(&sample.file);
    found.assert_marked_are_right(&finished);
    assert!(found.marked() >= 100);
    let json = succeed(slow(&sample.file));
    assert_eq!(json["report"]["positions"], POSITIONS - found.marked());
    assert!(opener.snapshot(&sample.file) == finished);
}

/// Something that not even the superuser may write to, until it is dropped.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    /// `None`, and the reason on standard error, if this user may write to everything here.
    fn new(path: &'a Path) -> Option<Self> {
        let read_only = Self(path);
        let mut permissions = fs::metadata(path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(path, permissions).unwrap();
        // The superuser doesn't heed permissions.
        let fixed = Command::new("chattr").arg("+i").arg(path).output();
        let probe = if path.is_dir() { path.join("probe") } else { path.to_owned() };
        if OpenOptions::new().append(true).create(path.is_dir()).open(&probe).is_err() {
            return Some(read_only);
        }
        eprintln!("skipped, for nothing can be made read-only here: {fixed:?}");
        None
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(self.0).output();
        let _ = Command::new("chmod").arg("u+w").arg(self.0).status();
    }
}

#[test]
fn a_read_only_file_is_refused_but_its_results_can_go_elsewhere() {
    let sample = Sample::new();
    let before = sample.bytes();
    let Some(_read_only) = ReadOnly::new(&sample.file) else { return };
    refuse(run("peak-finding", &sample.file, &[]), 1, &["cannot write to", "scan.h5", "--output"]);
    let output = sample.folder.path().join("results.h5");
    let mut arguments = run("peak-finding", &sample.file, &["--output"]);
    arguments.push(output.clone().into());
    assert_eq!(succeed(&arguments)["completed"], POSITIONS);
    assert_eq!(succeed(&arguments)["outcome"], "existing");
    assert_eq!(Opener::new().snapshot(&output).prefix(), POSITIONS);
    assert!(before == sample.bytes());
}

#[test]
fn complete_results_in_a_read_only_file_are_returned() {
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &[]));
    let Some(_read_only) = ReadOnly::new(&sample.file) else { return };
    assert_eq!(succeed(run("peak-finding", &sample.file, &[]))["outcome"], "existing");
}

#[test]
fn a_read_only_folder_for_the_results_is_refused() {
    let sample = Sample::new();
    let folder = sample.folder.path().join("archive");
    fs::create_dir(&folder).unwrap();
    let Some(_read_only) = ReadOnly::new(&folder) else { return };
    for (output, code) in [(folder.join("results.h5"), 1), (folder.join("no/results.h5"), 1)] {
        let mut arguments = run("peak-finding", &sample.file, &["--output"]);
        arguments.push(output.into());
        refuse(arguments, code, &["cannot create", "results.h5"]);
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_truncated_file_is_refused() {
    let sample = Sample::new();
    let whole = sample.bytes();
    for length in [whole.len() - 1, whole.len() / 2, 3000, 700, 60] {
        fs::write(&sample.file, &whole[..length]).unwrap();
        let said = refuse(
            run("peak-finding", &sample.file, &[]),
            1,
            &["scan.h5 is truncated", "copy it again"],
        );
        assert!(whole[..length] == sample.bytes(), "{length} bytes: {said}");
    }
}

#[test]
fn what_is_no_hdf5_file_is_refused() {
    let sample = Sample::new();
    let folder = sample.folder.path();
    fs::write(folder.join("notes.txt"), "Nothing was measured today.").unwrap();
    fs::write(folder.join("empty.h5"), "").unwrap();
    fs::create_dir(folder.join("folder.h5")).unwrap();
    for (name, text) in [
        ("notes.txt", "not an HDF5 file: no HDF5 signature"),
        ("empty.h5", "not an HDF5 file: an empty file"),
        ("folder.h5", "not an HDF5 file: it is a folder"),
        ("missing.h5", "there is no such file"),
    ] {
        refuse(run("peak-finding", &folder.join(name), &[]), 1, &[name, text]);
    }
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"Nothing was measured today.");
    assert!(!folder.join("missing.h5").exists());
}

#[test]
fn data_overwritten_during_the_run_leave_nothing_marked() {
    for own_file in [false, true] {
        let mut opener = Opener::new();
        let sample = Sample::new();
        let output = sample.folder.path().join("results.h5");
        let (mut arguments, mut results) = (slow(&sample.file), sample.file.clone());
        if own_file {
            arguments.extend(["--output".into(), output.clone().into()]);
            results = output;
        }
        let running = Running::start(&arguments);
        let group = running.computing(&mut opener, &results);
        running.wait_until_marked(&group, &results, 100);
        overwrite_the_last_spectra(&sample.file);
        let ran = running.finish();
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains("was changed while it was computed"), "{}", ran.stderr);
        let group = opener.group(&results);
        assert_eq!((group.marked(&results), group.last_pixel), (0, 0));
        // The new data are other data.
        let json = succeed(&arguments);
        assert!(json["group"].as_str().unwrap().ends_with("-Slow_001"), "{json}");
        assert_eq!(json["report"]["positions"], POSITIONS);
    }
}

#[test]
fn a_file_that_is_replaced_during_the_run_is_told_and_the_new_one_left_alone() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    let another = Sample::new();
    let running = Running::start(slow(&sample.file));
    let group = running.computing(&mut opener, &sample.file);
    running.wait_until_marked(&group, &sample.file, 100);
    let moved = sample.folder.path().join("moved.h5");
    fs::rename(&sample.file, &moved).unwrap();
    fs::copy(&another.file, &sample.file).unwrap();
    let ran = running.finish();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("was moved, deleted or replaced"), "{}", ran.stderr);
    assert!(sample.bytes() == another.bytes(), "the new file is nobody's results file");
    let group = opener.group(&moved);
    assert_eq!((group.marked(&moved), group.last_pixel), (POSITIONS, POSITIONS as i64));
}

#[test]
fn a_source_truncated_during_the_run_leaves_nothing_marked() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    let output = sample.folder.path().join("results.h5");
    let mut arguments = slow(&sample.file);
    arguments.extend(["--output".into(), output.clone().into()]);
    let running = Running::start(&arguments);
    let group = running.computing(&mut opener, &output);
    running.wait_until_marked(&group, &output, 100);
    let whole = sample.bytes();
    fs::write(&sample.file, &whole[..whole.len() / 2]).unwrap();
    let ran = running.finish();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("is truncated"), "{}", ran.stderr);
    assert_eq!(opener.snapshot(&output).marked(), 0);
    fs::write(&sample.file, whole).unwrap();
    let json = succeed(&arguments);
    assert_eq!(json["report"]["positions"], POSITIONS);
    assert!(opener.snapshot(&output) == slow_finished(&mut opener));
}

#[test]
fn a_file_truncated_during_the_run_stays_truncated() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    let running = Running::start(slow(&sample.file));
    let group = running.computing(&mut opener, &sample.file);
    running.wait_until_marked(&group, &sample.file, 100);
    let whole = sample.bytes().len() as u64;
    OpenOptions::new().write(true).open(&sample.file).unwrap().set_len(whole / 4).unwrap();
    let ran = running.finish();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("is truncated"), "{}", ran.stderr);
    // A write that was under way may have made it longer again, but not whole.
    refuse(slow(&sample.file), 1, &["scan.h5 is truncated"]);
    assert!(opener.try_open(&sample.file).is_err(), "h5py takes it for whole");
}

#[test]
fn data_overwritten_after_the_run_are_computed_anew() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &[]));
    overwrite_the_last_spectra(&sample.file);
    let json = succeed(run("peak-finding", &sample.file, &[]));
    assert_eq!(json["group"], format!("{RAW_DATA}-Peak_Finding_001"));
    assert_eq!(json["report"]["positions"], POSITIONS);
    let [old, new] = [0, 1].map(|at| opener.groups(&sample.file)[at].read(&sample.file));
    assert!(old.rows(0) == new.rows(0) && old.rows(POSITIONS - 1) != new.rows(POSITIONS - 1));
}

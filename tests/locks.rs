//! Who may have the file open while we work on it: readers always but for a moment, writers never, and
//! of two runs only the first.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::watch::{Opener, Running};
use support::{
    RAW_DATA, Sample, pixelmill, program, python, python_program, python_script, ran, refuse, root,
    run, succeed, without_locks,
};

/// Positions of the sample.
const POSITIONS: usize = 4096;
/// A run that takes so long that others come too late.
const LONG: [&str; 6] = ["-p", "pause=5000", "--checkpoint", "0.05", "--cores", "2"];

/// A Python process that has a file open with h5py.
struct Holder {
    child: Child,
    /// As it stands in messages.
    name: String,
}

impl Holder {
    fn new(file: &Path, role: &str) -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/python/hold.py"))
            .arg(file)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("Python writes");
        assert_eq!(line, "ready\n");
        let name = format!("(pid {}, since 20", child.id());
        Self { child, name }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_file_open_in_a_notebook_is_refused_before_anything_is_written() {
    let sample = Sample::new();
    let before = sample.bytes();
    let holder = Holder::new(&sample.file, "reader");
    let texts = ["scan.h5 is open in python", &holder.name, "close it there", "--output"];
    refuse(run("peak-finding", &sample.file, &[]), 1, &texts);
    assert!(before == sample.bytes());
    drop(holder);
    succeed(run("peak-finding", &sample.file, &[]));
}

#[test]
fn results_for_a_file_open_in_a_notebook_can_go_elsewhere() {
    let sample = Sample::new();
    let before = sample.bytes();
    let _holder = Holder::new(&sample.file, "reader");
    let output = sample.folder.path().join("results.h5");
    let mut arguments = run("peak-finding", &sample.file, &["--output"]);
    arguments.push(output.into());
    assert_eq!(succeed(arguments)["completed"], POSITIONS);
    assert!(before == sample.bytes());
}

#[test]
fn complete_results_are_returned_and_partial_ones_resumed_while_a_notebook_reads() {
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &["--positions", "0:1000"]));
    let _holder = Holder::new(&sample.file, "reader");
    let resumed = succeed(run("peak-finding", &sample.file, &[]));
    assert_eq!(resumed["report"]["positions"], POSITIONS - 1000);
    assert_eq!(succeed(run("peak-finding", &sample.file, &[]))["outcome"], "existing");
}

#[test]
fn a_file_open_in_a_writer_is_refused() {
    let sample = Sample::new();
    let holder = Holder::new(&sample.file, "writer");
    let before = sample.bytes();
    let texts = ["scan.h5 is open for writing in python", &holder.name, "close it there"];
    refuse(run("peak-finding", &sample.file, &[]), 1, &texts);
    assert!(before == sample.bytes());
}

#[test]
fn an_output_open_in_a_notebook_or_a_writer_is_refused() {
    let sample = Sample::new();
    let output = sample.folder.path().join("results.h5");
    std::fs::copy(&sample.file, &output).unwrap();
    for role in ["reader", "writer"] {
        let holder = Holder::new(&output, role);
        let before = std::fs::read(&output).unwrap();
        let mut arguments = run("peak-finding", &sample.file, &["--output"]);
        arguments.push(output.clone().into());
        refuse(arguments, 1, &["results.h5 is open", &holder.name, "close it there"]);
        assert!(before == std::fs::read(&output).unwrap());
    }
}

#[test]
fn a_second_run_is_refused_and_told_who_runs() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    let running = Running::start(run("slow", &sample.file, &LONG));
    let group = running.computing(&mut opener, &sample.file);
    running.wait_until_marked(&group, &sample.file, 1);
    // A notebook that looks in is not who runs.
    let _reader = Holder::new(&sample.file, "reader");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let who = format!("a run (host {}, pid {}, since 20", host.trim(), running.pid());
    let texts = ["scan.h5 is being computed on in", &who, "wait until that run has ended"];
    refuse(run("slow", &sample.file, &LONG), 1, &texts);
    refuse(run("peak-finding", &sample.file, &[]), 1, &texts);
    running.signal("INT");
    assert_eq!(running.finish().code, Some(130));
    succeed(run("slow", &sample.file, &["-p", "pause=5000", "--positions", "0:1"]));
}

#[test]
fn a_notebook_reads_partial_results_while_the_run_goes_on() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    let running = Running::start(run("slow", &sample.file, &LONG));
    let group = running.computing(&mut opener, &sample.file);
    running.wait_until_marked(&group, &sample.file, 20);
    let script = r#"
import json, sys, h5py, numpy as np
with h5py.File(sys.argv[1], "r") as file:
    group = file[sys.argv[2]]
    status = group["completed_positions"][()]
    sums = group["Slow_Sum"][:, 0]
    data = file[sys.argv[3]][()]
marked = status == 1
right = np.isclose(sums[marked], data[marked].real.sum(axis=1, dtype=np.float64))
try:
    h5py.File(sys.argv[1], "r+").close()
    writer = "opened"
except OSError as error:
    writer = str(error)
print(json.dumps({"marked": int(marked.sum()), "right": bool(right.all()),
                  "missing": int(np.isnan(sums).sum()), "writer": writer}))
"#;
    let arguments = [sample.file.as_os_str(), group.path.as_ref(), RAW_DATA.as_ref()];
    let seen = python_script(script, arguments);
    assert!(seen["marked"].as_u64().unwrap() >= 20, "{seen}");
    assert_eq!(seen["right"], true);
    let missing = seen["missing"].as_u64().unwrap() as usize;
    assert!(missing > 0 && missing <= POSITIONS - 20, "{seen}");
    assert!(seen["writer"].as_str().unwrap().contains("unable to lock file"), "{seen}");
    running.signal("INT");
    assert_eq!(running.finish().code, Some(130), "the run was still going on");
}

#[test]
fn a_file_left_flagged_by_a_killed_writer_is_computed_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flagged.h5");
    python_program("untidy.py", ["left-flagged".as_ref(), file.as_os_str()]);
    let mut opener = Opener::new();
    assert!(opener.try_open(&file).is_err(), "h5py refuses it before");
    assert_eq!(succeed(run("sum", &file, &[]))["completed"], 20);
    assert_eq!(opener.snapshot(&file).prefix(), 20);
    let again = pixelmill(run("sum", &file, &[]));
    assert_eq!((again.code, &again.json["outcome"]), (Some(0), &"existing".into()));
}

#[test]
fn a_file_system_without_locks_is_noted_and_computed_on() {
    let sample = Sample::new();
    let preload = without_locks(sample.folder.path());
    let output = Command::new("env")
        .args([preload.as_ref(), program().as_os_str()])
        .args(run("peak-finding", &sample.file, &["--json"]))
        .output()
        .unwrap();
    let ran = ran(output);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("file system without locks").count(), 1, "{}", ran.stderr);
    assert_eq!(Opener::new().snapshot(&sample.file).prefix(), POSITIONS);
}

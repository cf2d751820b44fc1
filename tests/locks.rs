//! Who may have the file open while we work on it: readers always but for a moment, writers never,
//! and of two runs only the first.

use std::process::Command;

use crate::support::holder::Holder;
use crate::support::watch::{Opener, Running};
use crate::support::{
    POSITIONS, RAW_DATA, Ran, Sample, assert_refused, pixelmill, preloaded, program, python,
    python_function, python_program, ran, refuse, root, run, start_piped, succeed,
    with_locks_of_nfs, without_locks,
};

/// A run that takes so long that others come too late.
const LONG: [&str; 6] = ["-p", "pause=5000", "--checkpoint", "0.05", "--cores", "2"];

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
    let message = refuse(run("peak-finding", &sample.file, &[]), 1, &texts);
    // Nothing else helps: what is being written can't be read for results elsewhere either.
    assert!(!message.contains("--output"), "{message}");
    let output = sample.folder.path().join("results.h5");
    let elsewhere = ["--output", output.to_str().unwrap()];
    assert_eq!(refuse(run("peak-finding", &sample.file, &elsewhere), 1, &texts), message);
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
    let who = format!("a run (host {}, pid {}, ", host.trim(), running.pid());
    let texts =
        ["scan.h5 is being computed on in", &who, ", since 20", "wait until that run has ended"];
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
    let arguments = [sample.file.as_os_str(), group.path.as_ref(), RAW_DATA.as_ref()];
    let seen = python_function("locks.py", "look_in", arguments);
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

/// A file where the locks of readers and writers are locks on all bytes, as on a client of NFS.
struct Nfs {
    sample: Sample,
    setting: String,
}

impl Nfs {
    fn new() -> Self {
        let sample = Sample::new();
        let setting = with_locks_of_nfs(sample.folder.path());
        Self { sample, setting }
    }

    fn command(&self, process: &str, more: &[&str]) -> Command {
        let mut command = Command::new("env");
        command.arg(&self.setting).arg(program());
        command.args(run(process, &self.sample.file, more)).arg("--json");
        command
    }

    fn run(&self, process: &str, more: &[&str]) -> Ran {
        ran(self.command(process, more).output().unwrap())
    }

    fn start(&self, process: &str, more: &[&str]) -> Running {
        Running::watch(start_piped(&mut self.command(process, more)))
    }
}

#[test]
fn locks_of_one_kind_do_not_keep_a_run_from_itself() {
    let nfs = Nfs::new();
    let output = nfs.sample.folder.path().join("results.h5");
    let elsewhere = ["--output", output.to_str().unwrap()];
    for (options, outcome) in [
        (&["--positions", "0:100"][..], "finished"),
        (&[], "finished"),
        (&[], "existing"),
        (&["--compress", "gzip"], "existing"),
        (&elsewhere, "finished"),
        (&[elsewhere[0], elsewhere[1], "--compress", "gzip"], "existing"),
        (&["--override", "--compress", "gzip"], "finished"),
    ] {
        let ran = nfs.run("peak-finding", options);
        assert_eq!(ran.code, Some(0), "{options:?}: {}", ran.stderr);
        assert_eq!(ran.json["outcome"], outcome, "{options:?}");
        assert!(!ran.stderr.contains("without locks"), "{}", ran.stderr);
    }
}

#[test]
fn locks_of_one_kind_let_readers_in_and_keep_other_runs_and_writers_out() {
    let mut opener = Opener::new();
    let nfs = Nfs::new();
    let running = nfs.start("slow", &LONG);
    let group = running.computing(&mut opener, &nfs.sample.file);
    running.wait_until_marked(&group, &nfs.sample.file, 1);
    let reader = Holder::with(&nfs.setting, &nfs.sample.file, "reader");
    let mut python_under = Command::new("env");
    let program = root().join("tests/python/locks.py");
    python_under.arg(&nfs.setting).arg(python()).arg(program);
    python_under.arg("may_write").arg(&nfs.sample.file);
    assert_eq!(python_under.output().unwrap().stdout, b"false\n", "a writer is kept out");
    for process in ["slow", "peak-finding"] {
        let second = nfs.run(process, &[]);
        let texts = ["scan.h5 is open or being computed on elsewhere", "until that run has ended"];
        assert_refused(&second, 1, &texts);
    }
    // Neither has taken anything from the first: a kill leaves it to be resumed, though not beside
    // a reader.
    running.kill();
    assert_refused(&nfs.run("slow", &["-p", "pause=5000"]), 1, &["is open or being computed on"]);
    drop(reader);
    let marked = group.marked(&nfs.sample.file);
    let first = marked.to_string();
    let more = ["-p", "pause=5000", "--positions", &format!("{first}:{}", marked + 3)];
    let resumed = nfs.run("slow", &more);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    assert_eq!(group.marked(&nfs.sample.file), marked + 3);
}

#[test]
fn who_changes_the_file_between_two_locks_is_noticed() {
    // Whoever waits for the moment in which the reader's lock is given up, and has the file then.
    let meddle = r#"int flock(int file, int how) {
        static int (*usual)(int, int);
        if (!usual) usual = dlsym(RTLD_NEXT, "flock");
        int status = usual(file, how);
        if (how == LOCK_UN && getenv("MEDDLE")) {
            int other = open(getenv("MEDDLE"), O_WRONLY);
            pwrite(other, "\1\2\3\4", 4, 70000);
            close(other);
        }
        return status;
    }"#;
    let sample = Sample::new();
    let setting = preloaded(sample.folder.path(), "meddle", meddle);
    let mut command = Command::new("env");
    command.arg(&setting).arg(format!("MEDDLE={}", sample.file.display())).arg(program());
    let ran = ran(command.args(run("digest", &sample.file, &["--json"])).output().unwrap());
    assert_refused(&ran, 1, &["scan.h5 was changed by another program", "run the same command"]);
    let length = std::fs::metadata(root().join("data/be_line_scan_64x64.h5")).unwrap().len();
    assert_eq!(sample.bytes().len() as u64, length, "nothing was written");
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

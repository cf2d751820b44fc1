//! Processes that are parallel inside: they use the cores that have nothing else to do, never more
//! than there are, and nothing else changes.

use std::path::Path;

use serde_json::Value;

use crate::support::watch::Opener;
use crate::support::{Sample, pixelmill, python_program, run, succeed};

/// Computes some positions of the sample, of which one fails unless as many threads as it has
/// pieces work on it at once.
fn assert_pieces_meet(at: &str, pieces: &str, more: &[&str]) -> Value {
    let sample = Sample::new();
    let (at, pieces) = (format!("meet_at={at}"), format!("pieces={pieces}"));
    succeed(run("pieces", &sample.file, &[&["-p", &at, "-p", &pieces], more].concat()))
}

#[test]
fn threads_without_a_position_help_with_the_last_ones() {
    for (positions, at, cores) in [("0:1", "0", "2"), ("0:3", "2", "2"), ("0:2", "1", "5")] {
        assert_pieces_meet(at, cores, &["--positions", positions, "--cores", cores]);
    }
}

#[test]
fn a_worker_that_has_to_wait_for_a_batch_helps_meanwhile() {
    // Each unit is a batch, and no fourth is begun before the first, which takes two threads, is
    // marked.
    assert_pieces_meet("0", "2", &["--positions", "0:9", "--cores", "2", "--checkpoint", "0.001"]);
}

#[test]
fn threads_that_memory_is_too_little_for_help_those_that_have_some() {
    let more = ["--positions", "0:3", "--cores", "2", "--memory", "40M", "-p", "memory=30000000"];
    let json = assert_pieces_meet("1", "2", &more);
    assert_eq!(json["report"]["workers"], 1);
}

/// The largest value of a results dataset.
fn largest(file: &Path, group: &Value, dataset: &str) -> Value {
    let path = format!("{}/{dataset}", group.as_str().unwrap());
    let statements = "told = int(file[given[0]][()].max())";
    python_program("edit.py", [file.as_os_str(), statements.as_ref(), path.as_ref()])
}

#[test]
fn no_more_pieces_run_at_once_than_there_are_cores_and_all_on_workers() {
    for cores in [1, 3] {
        let sample = Sample::new();
        let options = ["-p", "watched=true", "--positions", "0:150", "--cores", &cores.to_string()];
        let json = succeed(run("pieces", &sample.file, &options));
        assert_eq!(json["report"]["workers"], cores);
        assert!(largest(&sample.file, &json["group"], "Most").as_i64().unwrap() <= cores);
        assert_eq!(largest(&sample.file, &json["group"], "Strangers"), 0);
    }
}

#[test]
fn a_panic_in_a_piece_fails_its_position_alone_and_is_not_printed() {
    let sample = Sample::new();
    let options = ["-p", "panic_at=5", "--positions", "0:40", "--cores", "3"];
    let ran = pixelmill(run("pieces", &sample.file, &options));
    assert_eq!((ran.code, &ran.json["completed"]), (Some(3), &40.into()), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"]), (1, &5.into()));
    let message = failed[0]["message"].as_str().unwrap();
    assert!(message.contains("a piece panics on purpose"), "{message}");
    assert!(!ran.stderr.contains("panicked at"), "{}", ran.stderr);
}

#[test]
fn results_do_not_depend_on_how_pieces_ran() {
    let mut opener = Opener::new();
    let mut first = None;
    for cores in ["1", "2", "5"] {
        let sample = Sample::new();
        let options = ["--cores", cores, "-p", "pause=20", "--checkpoint", "0.02"];
        succeed(run("pieces", &sample.file, &options));
        let found = opener.snapshot(&sample.file);
        assert!(*first.get_or_insert(found.clone()) == found, "on {cores} cores");
    }
}

#[test]
fn what_looks_at_single_positions_computes_them_on_workers() {
    let sample = Sample::new();
    let look = |parameter| {
        let file = sample.file.to_str().unwrap();
        pixelmill(["test", "pieces", file, "--pixel", "7", "-p", parameter])
    };
    let ran = look("watched=true");
    assert_eq!((ran.code, &ran.json["failure"]), (Some(0), &Value::Null), "{}", ran.stderr);
    let strangers = &ran.json["results"][2];
    assert_eq!((&strangers["name"], &strangers["values"][0]), (&"Strangers".into(), &0.0.into()));
    let ran = look("panic_at=7");
    assert!(ran.json["failure"].as_str().unwrap().contains("on purpose"), "{}", ran.json);
    assert!(!ran.stderr.contains("panicked at"), "{}", ran.stderr);
}

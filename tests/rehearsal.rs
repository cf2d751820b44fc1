//! `run --dry-run` tells what the run itself does then, and leaves nothing behind.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{RAW_DATA, Sample, pixelmill, refuse, run, succeed};

fn rehearse(sample: &Sample, options: &[&str]) -> Value {
    let before = sample.bytes();
    let options = [options, &["--dry-run"]].concat();
    let told = succeed(run("peak-finding", &sample.file, &options));
    assert!(sample.bytes() == before, "{options:?}: the file was changed");
    told
}

#[test]
fn what_is_told_is_what_the_run_does() {
    let sample = Sample::new();
    let told = rehearse(&sample, &["--positions", "0:10,0:64"]);
    assert_eq!((&told["begins"], &told["group"]), (&json!("new"), &Value::Null));
    assert_eq!((&told["pending"], &told["positions"]), (&json!(640), &json!(4096)));
    let grown = |options: &[&str]| {
        let before = sample.bytes().len();
        let ran = succeed(run("peak-finding", &sample.file, options));
        (ran, (sample.bytes().len() - before) as u64)
    };
    let (ran, more) = grown(&["--positions", "0:10,0:64"]);
    let results = told["output_bytes"].as_u64().unwrap();
    // Besides the results there are tables, attributes and room for messages.
    assert!(
        results >= 4096 * 10 && (results..results + (1 << 20)).contains(&more),
        "{told} {more}"
    );
    assert_eq!(told["workers"], ran["report"]["workers"]);
    assert!(told["estimated_seconds"].as_f64().unwrap() > 0.0);

    let group = format!("{RAW_DATA}-Peak_Finding_000");
    let told = rehearse(&sample, &[]);
    assert_eq!((&told["begins"], &told["group"]), (&json!("partial"), &json!(group)));
    assert_eq!((&told["pending"], &told["output_bytes"]), (&json!(4096 - 640), &json!(0)));
    let told = rehearse(&sample, &["--positions", "5:7"]);
    assert_eq!((&told["begins"], &told["pending"]), (&json!("complete"), &json!(0)));

    grown(&[]);
    let told = rehearse(&sample, &[]);
    assert_eq!((&told["begins"], &told["group"]), (&json!("complete"), &json!(group)));
    assert_eq!(told["estimated_seconds"], json!(0.0));
    assert_eq!(rehearse(&sample, &["--override"])["begins"], "new");
}

#[test]
fn what_is_not_reused_is_told_with_the_reason() {
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &["-p", "num_steps=12"]));
    let told = rehearse(&sample, &["-p", "num_steps=13"]);
    assert_eq!(told["begins"], "new");
    let reason = told["unused"][0].as_str().unwrap();
    assert!(reason.contains("`num_steps`: 12 there, 13 here"), "{reason}");
    let text = pixelmill(run("peak-finding", &sample.file, &["--dry-run"])).stderr;
    assert!(text.contains("nothing is written") && text.contains("`num_steps`"), "{text}");
}

#[test]
fn what_may_end_before_its_last_pass_takes_so_long_at_most() {
    let sample = Sample::new();
    for (process, told) in [("peak-finding", "time      some "), ("kmeans", "time      at most ")] {
        let text = pixelmill(run(process, &sample.file, &["--dry-run"])).stderr;
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn a_file_for_results_is_not_made_and_what_cant_be_run_is_refused_as_the_run_is() {
    let sample = Sample::new();
    let output = sample.folder.path().join("results.h5");
    let options = ["--output", output.to_str().unwrap()];
    assert_eq!(rehearse(&sample, &options)["file"], output.to_str().unwrap());
    assert!(!output.exists());
    let nowhere = sample.folder.path().join("nowhere/results.h5");
    let within = sample.file.join("results.h5");
    let bad: [&[&str]; 6] = [
        &["--memory", "1K"],
        &["-p", "width=3"],
        &["--positions", "5000"],
        &["--crop", "0:500"],
        &["--output", nowhere.to_str().unwrap()],
        &["--output", within.to_str().unwrap()],
    ];
    for options in bad {
        let dry = [options, &["--dry-run"]].concat();
        let refused = pixelmill(run("peak-finding", &sample.file, options));
        let texts = [refused.stderr.trim_end()];
        refuse(run("peak-finding", &sample.file, &dry), refused.code.unwrap(), &texts);
    }
    let left = fs::read_dir(sample.folder.path()).unwrap().count();
    assert_eq!(left, 1, "{}", Path::new(sample.folder.path()).display());
}

#[test]
fn what_comes_back_when_results_are_resumed_comes_back_in_a_rehearsal() {
    let sample = Sample::new();
    let chosen = ["--crop", "10:100", "--dead-pixels", "20"];
    let part = [&chosen[..], &["--positions", "0:100"]].concat();
    let ran = succeed(run("peak-finding", &sample.file, &part));
    let group = ran["group"].as_str().unwrap();
    let told = rehearse(&sample, &["--resume", group]);
    assert_eq!((&told["begins"], &told["group"]), (&json!("partial"), &json!(group)));
    assert_eq!(told["pending"], 4096 - 100);
}

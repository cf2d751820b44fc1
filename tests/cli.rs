//! The command line on the bundled sample: what a first session sees.

mod support;

use support::{RAW_DATA, Sample, pixelmill, succeed};

#[test]
fn a_second_run_reuses_the_results_and_writes_nothing() {
    let sample = Sample::new();
    let first = succeed(["run".as_ref(), "peak-finding".as_ref(), sample.file.as_os_str()]);
    assert_eq!(first["outcome"], "finished");
    assert_eq!(first["group"], format!("{RAW_DATA}-Peak_Finding_000"));
    assert_eq!((&first["completed"], &first["positions"]), (&4096.into(), &4096.into()));
    let before = sample.bytes();
    let second = succeed(["run".as_ref(), "peak-finding".as_ref(), sample.file.as_os_str()]);
    assert_eq!(second["outcome"], "existing");
    assert_eq!(second["group"], first["group"]);
    assert!(second["report"].is_null());
    assert!(before == sample.bytes(), "a reuse must not write");
}

#[test]
fn failing_and_panicking_positions_are_listed_and_the_rest_is_computed() {
    let sample = Sample::new();
    let ran = pixelmill(["run".as_ref(), "trouble".as_ref(), sample.file.as_os_str()]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(ran.json["completed"], 4096);
    let failed = ran.json["failed"].as_array().unwrap();
    let expected = (0..4096).filter(|at| at % 7 == 0 || at % 11 == 1).count();
    assert_eq!(failed.len(), expected);
    assert_eq!(failed[0]["message"], "no value");
    assert_eq!(failed[1]["message"], "the computation panicked: panic on purpose");
}

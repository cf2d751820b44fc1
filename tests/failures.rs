//! Positions and units that fail: they are listed with their reasons, whatever happens to the run,
//! and are computed again on request only.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use crate::support::watch::{Opener, Running, Snapshot, wait_until};
use crate::support::{POSITIONS, Sample, pixelmill, python_program, run, succeed};

/// Failed positions with their messages.
fn failed(json: &Value) -> Vec<(u64, String)> {
    let listed = json["failed"].as_array().expect("failed positions are listed");
    let text = |failed: &Value| failed["message"].as_str().expect("each has a message").to_owned();
    listed.iter().map(|failed| (failed["position"].as_u64().unwrap(), text(failed))).collect()
}

#[test]
fn failed_positions_are_computed_again_on_request_once_what_failed_is_mended() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    let mend = sample.folder.path().join("mended");
    let mended_by = format!("mended_by={}", mend.display());
    let options = ["-p", &mended_by];
    let first = pixelmill(run("trouble", &sample.file, &options));
    assert_eq!(first.code, Some(3), "{}", first.stderr);
    assert!(first.stderr.contains("--retry-failed computes them again"), "{}", first.stderr);
    let failures = failed(&first.json);
    let retry = [&options[..], &["--retry-failed"]].concat();

    // As long as nothing is mended they fail again, with the same reasons.
    let again = pixelmill(run("trouble", &sample.file, &retry));
    assert_eq!((again.code, failed(&again.json)), (Some(3), failures.clone()));
    assert_eq!(again.json["report"]["positions"], failures.len());

    fs::write(&mend, "").unwrap();
    let before = sample.bytes();
    let reused = pixelmill(run("trouble", &sample.file, &options));
    assert_eq!((reused.code, failed(&reused.json)), (Some(3), failures.clone()));
    assert_eq!(reused.json["outcome"], "existing");
    assert!(before == sample.bytes());

    let json = succeed(run("trouble", &sample.file, &retry));
    assert_eq!(json["report"]["positions"], failures.len());
    assert_eq!(json["group"], first.json["group"]);
    assert!(failed(&json).is_empty());
    let other = Sample::new();
    succeed(run("trouble", &other.file, &["-p", "fail_every=0", "-p", "panic_every=0"]));
    assert!(opener.snapshot(&sample.file) == opener.snapshot(&other.file));
    assert_eq!(opener.group(&sample.file).last_pixel, POSITIONS as i64);
}

#[test]
fn lines_that_no_position_has_are_taken_away_at_the_next_look() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    assert_eq!(pixelmill(run("trouble", &sample.file, &[])).code, Some(3));
    let settled = sample.bytes();
    // As a kill leaves them that comes between the last mark of a retry and its end.
    let (offset, length) = opener.group(&sample.file).place("failure_messages");
    let lines = settled[offset as usize..][..length].chunks_exact(200);
    let used = 1 + lines.skip(1).take_while(|line| line[0] != 0).count();
    let file = fs::File::options().write(true).open(&sample.file).unwrap();
    file.write_all_at(b"~ what nobody has any more", offset + 200 * used as u64).unwrap();
    drop(file);
    let again = pixelmill(run("trouble", &sample.file, &[]));
    assert_eq!((again.code, &again.json["outcome"]), (Some(3), &"existing".into()));
    assert!(sample.bytes() == settled, "it is as it was");
}

#[test]
fn a_retry_that_is_killed_leaves_nothing_half_failed_and_half_computed() {
    let mut opener = Opener::new();
    let folder = tempfile::tempdir().unwrap();
    let mend = folder.path().join("mended");
    let mended_by = format!("mended_by={}", mend.display());
    let options = ["-p", "fail_every=1", "-p", &mended_by];
    let killing = ["--retry-failed", "--checkpoint", "0.001", "--memory", "24K"];
    // It is over soon; nobody says how fast, so that a kill may come too late.
    let caught = (0..50).find_map(|_| {
        let sample = Sample::new();
        let _ = fs::remove_file(&mend);
        assert_eq!(pixelmill(run("trouble", &sample.file, &options)).code, Some(3));
        fs::write(&mend, "").unwrap();
        let group = opener.group(&sample.file);
        let mut running =
            Running::start(run("trouble", &sample.file, &[&options[..], &killing].concat()));
        wait_until("it is in mid-run", || {
            (1..POSITIONS).contains(&group.marked(&sample.file)) || running.has_ended()
        });
        running.kill();
        let marked = group.marked(&sample.file);
        (marked < POSITIONS).then_some((sample, marked))
    });
    let (sample, marked) = caught.expect("what is computed again is not marked until it is done");
    let found = opener.snapshot(&sample.file);
    let group = opener.group(&sample.file);
    assert!(group.last_pixel <= found.prefix() as i64, "{} is too much", group.last_pixel);
    let json = succeed(run("trouble", &sample.file, &options));
    assert_eq!(opener.group(&sample.file).last_pixel, POSITIONS as i64);
    assert_eq!(json["report"]["positions"], POSITIONS - marked);
    assert!(failed(&json).is_empty());
    found.assert_marked_are_right(&opener.snapshot(&sample.file));
}

#[test]
fn more_kinds_of_failures_than_can_be_listed_lose_no_failed_position() {
    let sample = Sample::new();
    let options = ["-p", "fail_every=3", "-p", "panic_every=0", "-p", "own_messages=true"];
    let part = [&options[..], &["--cores", "1", "--positions", "0:1500"]].concat();
    for (more, positions) in [(&part[..], 1500), (&options[..], POSITIONS)] {
        let ran = pixelmill(run("trouble", &sample.file, more));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        let listed = failed(&ran.json);
        let expected: Vec<u64> = (0..positions as u64).filter(|at| at % 3 == 0).collect();
        assert_eq!(listed.iter().map(|(at, _)| *at).collect::<Vec<_>>(), expected);
        let (own, other): (Vec<_>, Vec<_>) =
            listed.iter().partition(|(at, text)| *text == format!("no value at position {at}"));
        assert_eq!(own.len(), 126, "each line but the last is one failure's own");
        assert!(other.iter().all(|(_, text)| text.contains("more kinds of failures than lines")));
    }
}

#[test]
fn messages_of_failures_survive_a_kill() {
    let mut opener = Opener::new();
    let options = ["-p", "own_messages=true", "--checkpoint", "0.001"];
    let undisturbed = Sample::new();
    let expected = failed(&pixelmill(run("trouble", &undisturbed.file, &options)).json);
    let own = |failures: &[(u64, String)]| -> Vec<(u64, String)> {
        let is_own = |text: &str| text.starts_with("no value at") || text.contains("panicked");
        failures.iter().filter(|(_, text)| is_own(text)).cloned().collect()
    };
    let sample = Sample::new();
    let running = Running::start(run("trouble", &sample.file, &options));
    let group = running.computing(&mut opener, &sample.file);
    running.wait_until_marked(&group, &sample.file, 50);
    running.kill();
    let marked = group.status(&sample.file);
    let told = pixelmill(["status".as_ref(), sample.file.as_os_str()]);
    let after_kill: Vec<_> = failed(&told.json["groups"][0])
        .into_iter()
        .filter(|(at, _)| marked[*at as usize] == 1)
        .collect();
    let so_far: Vec<_> =
        expected.iter().filter(|(at, _)| marked[*at as usize] == 1).cloned().collect();
    assert!(!so_far.is_empty());
    let positions = |failures: &[(u64, String)]| failures.iter().map(|f| f.0).collect::<Vec<_>>();
    assert_eq!(positions(&after_kill), positions(&so_far));
    for (at, text) in own(&after_kill) {
        let right = [format!("no value at position {at}"), panicked().to_owned()];
        assert!(right.contains(&text), "position {at}: {text}");
    }
    let ran = pixelmill(run("trouble", &sample.file, &options));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(failed(&ran.json), expected);
    assert!(opener.snapshot(&sample.file) == opener.snapshot(&undisturbed.file));
}

#[test]
fn failures_have_the_same_bytes_whatever_comes_between() {
    let mut opener = Opener::new();
    // Few reasons, all that have a line, and more than there are lines.
    for every in ["fail_every=2000", "fail_every=33", "fail_every=3"] {
        let options = ["-p", every, "-p", "panic_every=13", "-p", "own_messages=true"];
        let arguments = |sample: &Sample, more: &[&str]| {
            run("trouble", &sample.file, &[&options[..], more].concat())
        };
        let undisturbed = Sample::new();
        pixelmill(arguments(&undisturbed, &["--cores", "1"]));
        let expected = opener.snapshot(&undisturbed.file);
        let texts = expected.messages.chunks_exact(200).filter(|line| line[0] != 0).count();
        assert!(texts > 2 && expected.messages[200 * 128..].iter().all(|byte| *byte == 0));
        for more in [&["--cores", "2", "--memory", "40K"][..], &["--checkpoint", "0.001"]] {
            let sample = Sample::new();
            pixelmill(arguments(&sample, more));
            assert!(opener.snapshot(&sample.file) == expected, "{every} {more:?}");
        }
        let parts = Sample::new();
        for part in ["3000:4096", "100:200", "0:3000"] {
            pixelmill(arguments(&parts, &["--positions", part]));
        }
        assert!(opener.snapshot(&parts.file) == expected, "{every} in parts");
        pixelmill(arguments(&parts, &["--retry-failed"]));
        assert!(opener.snapshot(&parts.file) == expected, "{every} once more");
        let killed = Sample::new();
        let slow = arguments(&killed, &["--checkpoint", "0.001", "--memory", "24K"]);
        pixelmill(arguments(&killed, &["--positions", "0:1"]));
        let group = opener.group(&killed.file);
        for at_least in [2, 1000, 2000, 3000] {
            let mut running = Running::start(&slow);
            wait_until("it is on its way", || {
                group.marked(&killed.file) >= at_least || running.has_ended()
            });
            running.kill();
            assert_reasons_are_true(&opener.snapshot(&killed.file), &expected);
        }
        pixelmill(arguments(&killed, &[]));
        assert!(opener.snapshot(&killed.file) == expected, "{every} killed");
    }
}

fn panicked() -> &'static str {
    "the computation panicked: panic on purpose"
}

/// In mid-run a position may still have a reason of its own for which there is no line in the end.
fn assert_reasons_are_true(found: &Snapshot, finished: &Snapshot) {
    for position in (0..POSITIONS).filter(|at| found.status[*at] == 1) {
        let (now, then) = (found.reason(position), finished.reason(position));
        let own = [format!("no value at position {position}"), panicked().to_owned()];
        let is_own = own.contains(&now) && then.contains("more kinds of failures");
        assert!(now == then || is_own, "position {position}: {now} instead of {then}");
    }
}

/// A scan of real numbers.
fn real_scan(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("real.h5");
    let arguments = ["f64".as_ref(), file.as_os_str(), "--rows".as_ref(), "20".as_ref()];
    python_program("untidy.py", arguments);
    file
}

#[test]
fn a_failing_unit_computation_fails_its_positions_only() {
    let mut opener = Opener::new();
    for (kind, message) in [
        ("fail=true", "the whole unit failed"),
        ("panic=true", "the computation panicked: the whole unit panics"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = real_scan(folder.path());
        let ran = pixelmill(run("batched", &file, &["-p", kind]));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        let expected: Vec<_> = (0..100).map(|at| (at, message.to_owned())).collect();
        assert_eq!(failed(&ran.json), expected);
        let found = opener.snapshot(&file);
        assert_eq!(found.prefix(), 100);
        let values = found.results["Sum"].chunks_exact(8);
        assert!(values.map(|v| f64::from_le_bytes(v.try_into().unwrap())).all(f64::is_nan));
        let good = succeed(run("batched", &file, &[]));
        assert_eq!(good["report"]["positions"], 100);
    }
}

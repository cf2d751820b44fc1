//! Folds that go over the scan several times: the same bits whatever happens in between, and
//! nothing that could be taken for a result before the last pass.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::folds::{Scan, assert_same_results, computations, python};
use crate::support::random::Random;
use crate::support::watch::{Running, wait_until};
use crate::support::{Ran, pixelmill, succeed};

/// Clusters that never come to rest, and components that are never exact enough.
const CLUSTERS: [&str; 6] = ["-p", "clusters=5", "-p", "iterations=8", "-p", "tolerance=0"];
const LEARNED_CLUSTERS: [&str; 8] =
    ["-p", "clusters=5", "-p", "batch=500", "-p", "iterations=3", "-p", "tolerance=0"];
const COMPONENTS: [&str; 6] = ["-p", "components=4", "-p", "passes=6", "-p", "tolerance=0"];
const ONLINE: [&str; 4] = ["-p", "components=4", "-p", "epochs=3"];
/// A mixture that is never likely enough, and begins soon.
const MIXTURE: [&str; 12] = [
    "-p",
    "components=3",
    "-p",
    "covariance=diag",
    "-p",
    "iterations=6",
    "-p",
    "tolerance=0",
    "-p",
    "sample=32",
    "-p",
    "restarts=1",
];
/// So many, and so often, that somebody has the time to step in.
const MANY_CLUSTERS: [&str; 6] = ["-p", "clusters=64", "-p", "iterations=150", "-p", "tolerance=0"];

/// The pass that a killed run was in, counted from 0, and how many of its units were in; nothing if
/// none was written down.
fn begun(output: &str) -> Option<(u64, u64)> {
    let has_group = std::fs::metadata(output).is_ok_and(|file| file.len() > 0);
    let found = if has_group { python("begun", &[output]) } else { Value::Null };
    Some((found[0].as_u64()?, found[1].as_u64()?))
}

fn results(output: &str) -> Value {
    python("results", &[output])
}

/// A scan of so many positions and points that a fold takes.
fn scan_for(fold: &str, positions: &str, points: &str) -> Scan {
    let sign = if fold.ends_with("nmf") { "positive" } else { "any" };
    Scan::made(|file| python("many", &[file, positions, points, sign]))
}

/// A budget that is just enough, so that nothing of the scan stays in memory.
fn least_memory(scan: &Scan, fold: &str, options: &[&str]) -> String {
    let output = scan.beside("nothing.h5");
    let refused = pixelmill(scan.arguments(fold, &output, &[options, &["--memory", "1"]].concat()));
    let (_, told) = refused.stderr.split_once("it takes ").expect("it says how much it takes");
    let mut words = told.split(' ');
    let (number, unit) = (words.next().unwrap(), words.next().unwrap());
    assert!(unit.starts_with("MiB"), "{}", refused.stderr);
    // It is rounded.
    format!("{}K", (1024.0 * (number.parse::<f64>().unwrap() + 0.05)).ceil())
}

/// Looks for many clusters, and asks to stop that once it is in this pass.
fn stopped_in(scan: &Scan, output: &str, pass: u64) -> Ran {
    let slow = [&MANY_CLUSTERS[..], &["--cores", "1", "--checkpoint", "0.01"]].concat();
    let mut running = Running::start(scan.arguments("kmeans-many", output, &slow));
    wait_until("a pass has begun", || {
        running.has_ended() || begun(output).is_some_and(|(now, _)| now >= pass)
    });
    running.signal("INT");
    running.finish()
}

/// Kills runs at random instants, goes on, and compares what comes out.
fn kill_at_random_instants(fold: &str, options: &[&str], kills: usize) {
    let scan = scan_for(fold, "8000", "200");
    let fold = format!("{fold}-many");
    let whole = scan.beside("whole.h5");
    let start = Instant::now();
    scan.run(&fold, &whole, options);
    let seconds = start.elapsed().as_secs_f64();
    let expected = results(&whole);
    assert_eq!((&expected["marked"], &expected["has_checkpoint"]), (&json!(8000), &json!(false)));
    let mut random = Random(kills as u64);
    let (mut killed, mut in_passes) = (0, std::collections::BTreeSet::new());
    for round in 0..60 {
        let output = scan.beside(&format!("{round}.h5"));
        for _ in 0..4 {
            let cores = if random.next() < 0.5 { "1" } else { "2" };
            let more = [options, &["--checkpoint", "0.01", "--cores", cores]].concat();
            let running = Running::start(scan.arguments(&fold, &output, &more));
            thread::sleep(Duration::from_secs_f64(seconds * random.next()));
            if running.kill().success() {
                break;
            }
            killed += 1;
            in_passes.extend(begun(&output).map(|(pass, _)| pass));
        }
        scan.run(&fold, &output, options);
        let found = results(&output);
        assert_eq!(found["hash"], expected["hash"], "other bits after kills");
        assert_eq!((&found["groups"], &found["has_checkpoint"]), (&json!(1), &json!(false)));
        assert_same_results(&output, &whole, "after kills");
        std::fs::remove_file(&output).unwrap();
        if killed >= kills && in_passes.len() >= 3 {
            return;
        }
    }
    panic!("{killed} kills came in the passes {in_passes:?}");
}

#[test]
fn killed_clusters_have_the_same_bits_once_they_are_resumed() {
    kill_at_random_instants("kmeans", &CLUSTERS, 12);
}

#[test]
fn killed_mini_batches_have_the_same_bits_once_they_are_resumed() {
    kill_at_random_instants("kmeans", &LEARNED_CLUSTERS, 12);
}

#[test]
fn killed_decompositions_have_the_same_bits_once_they_are_resumed() {
    kill_at_random_instants("svd", &COMPONENTS, 12);
}

#[test]
fn killed_online_learning_has_the_same_bits_once_it_is_resumed() {
    kill_at_random_instants("orpca", &ONLINE, 12);
}

#[test]
fn killed_mixtures_have_the_same_bits_once_they_are_resumed() {
    kill_at_random_instants("gaussian-mixture", &MIXTURE, 12);
}

#[test]
fn killed_factorisations_have_the_same_bits_once_they_are_resumed() {
    kill_at_random_instants("nmf", &COMPONENTS, 12);
}

#[test]
fn nothing_is_done_before_the_last_pass() {
    let scan = Scan::many("20000", "200");
    let (output, whole) = (scan.beside("out.h5"), scan.beside("whole.h5"));
    let bytes = |ran: &Value| ran["report"]["bytes"].as_u64().unwrap();
    let all = bytes(&scan.run("kmeans-many", &whole, &MANY_CLUSTERS));
    let stopped = stopped_in(&scan, &output, 3);
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    let told = (&stopped.json["outcome"], &stopped.json["completed"]);
    assert_eq!(told, (&json!("stopped"), &json!(0)));
    let found = results(&output);
    assert_eq!((&found["marked"], &found["last_pixel"]), (&json!(0), &json!(0)));
    assert_eq!(python("is_missing", &[&output, "Mean_Response"]), true);
    let exported = scan.beside("labels.npy");
    let labels = format!("{}/Labels", stopped.json["group"].as_str().unwrap());
    let refused = pixelmill(["export", &output, &labels, &exported]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(!Path::new(&exported).exists());
    // It goes on in the pass in which it was.
    let (pass, _) = begun(&output).unwrap();
    assert!(pass >= 3, "{pass}");
    let read = bytes(&scan.run("kmeans-many", &output, &MANY_CLUSTERS));
    assert!(read <= all - pass * 20_000 * 200 * 4, "{read} of {all} bytes from pass {pass} on");
    assert_same_results(&output, &whole, "after it was stopped");
}

#[test]
fn what_there_is_memory_for_is_decoded_once() {
    for (fold, options) in [("kmeans", &CLUSTERS[..]), ("orpca", &ONLINE)] {
        let (scan, fold) = (scan_for(fold, "8000", "200"), format!("{fold}-many"));
        let least = least_memory(&scan, &fold, options);
        let (read, kept) = (scan.beside("read.h5"), scan.beside("kept.h5"));
        for (output, memory, times) in [(&read, least.as_str(), 4..100), (&kept, "1G", 1..2)] {
            let ran = scan.run(&fold, output, &[options, &["--memory", memory]].concat());
            let number = |name: &str| ran["report"][name].as_u64().unwrap();
            let (chunks, decoded) = (number("chunks"), number("chunks_decoded"));
            let about = format!("{fold} with {memory}: {decoded} of {chunks} chunks");
            assert!(times.contains(&(decoded / chunks)) && decoded % chunks == 0, "{about}");
        }
        assert_same_results(&kept, &read, &fold);
    }
}

#[test]
fn a_damaged_checkpoint_costs_passes_and_no_bit() {
    let scan = Scan::many("20000", "200");
    let whole = scan.beside("whole.h5");
    scan.run("kmeans-many", &whole, &MANY_CLUSTERS);
    for which in ["first", "second", "both"] {
        let output = scan.beside(&format!("{which}.h5"));
        assert_eq!(stopped_in(&scan, &output, 2).code, Some(130));
        python("spoil_checkpoint", &[&output, which]);
        scan.run("kmeans-many", &output, &MANY_CLUSTERS);
        assert_same_results(&output, &whole, which);
    }
}

/// A scan of so many positions, contiguous or in chunks of so many of them.
fn plain(positions: &str, chunk: &str) -> Scan {
    Scan::made(|file| python("plain", &[file, positions, "200", chunk]))
}

/// Changes data in the third pass of a run with so much memory, which has to notice it.
fn assert_change_is_noticed(scan: &Scan, output: &str, memory: &str) {
    let slow = ["--cores", "1", "--checkpoint", "0.01", "--memory", memory];
    let slow = [&MANY_CLUSTERS[..], &slow].concat();
    let mut running = Running::start(scan.arguments("kmeans-many", output, &slow));
    wait_until("a pass has begun", || {
        running.has_ended() || begun(output).is_some_and(|(pass, _)| pass >= 2)
    });
    let at = python("first_byte", &[scan.file.to_str().unwrap()]).as_u64().unwrap();
    let file = OpenOptions::new().write(true).open(&scan.file).unwrap();
    file.write_all_at(&7.0_f32.to_le_bytes(), at + 4000).unwrap();
    let ran = running.finish();
    assert_eq!(ran.code, Some(1), "{memory}: {}", ran.stderr);
    assert!(ran.stderr.contains("changed"), "{memory}: {}", ran.stderr);
    assert_eq!(results(output)["marked"], 0, "{memory}");
}

#[test]
fn data_that_change_between_passes_are_noticed() {
    let scan = plain("80000", "0");
    let output = scan.beside("out.h5");
    let least = least_memory(&scan, "kmeans-many", &MANY_CLUSTERS);
    assert_change_is_noticed(&scan, &output, &least);
    // Whoever asks again gets results of what is there now, in a group of their own.
    let whole = scan.beside("whole.h5");
    scan.run("kmeans-many", &output, &CLUSTERS);
    scan.run("kmeans-many", &whole, &CLUSTERS);
    assert_eq!(results(&output)["hash"], results(&whole)["hash"]);
}

#[test]
fn data_that_change_while_they_are_kept_are_noticed_at_the_end() {
    let scan = plain("80000", "64");
    assert_change_is_noticed(&scan, &scan.beside("out.h5"), "1G");
}

#[test]
fn it_is_verified_as_a_whole() {
    for (fold, options, name) in [
        ("kmeans", &CLUSTERS[..], "Mean_Response"),
        ("kmeans", &LEARNED_CLUSTERS, "Labels"),
        ("svd", &COMPONENTS, "V"),
        ("pca", &COMPONENTS, "U"),
        ("orpca", &ONLINE, "Loadings"),
        ("ornmf", &ONLINE, "Components"),
        ("gaussian-mixture", &MIXTURE, "Probabilities"),
        ("nmf", &COMPONENTS, "Loadings"),
    ] {
        let scan = scan_for(fold, "3000", "40");
        let output = scan.beside(&format!("{fold}.h5"));
        let ran = scan.run(&format!("{fold}-many"), &output, options);
        let group = ran["group"].as_str().unwrap();
        let verified = succeed(["verify", &output, group]);
        assert_eq!((&verified["checked"], &verified["different"]), (&json!(3000), &json!([])));
        python("spoil_result", &[&output, name]);
        let verified = pixelmill(["verify", &output, group]);
        assert_eq!(verified.code, Some(1), "{}", verified.stderr);
        let different = verified.json["different"].as_array().unwrap();
        assert!(different.iter().any(|found| found.to_string().contains(name)), "{different:?}");
    }
}

#[test]
fn spectra_that_are_no_numbers_fail_once_and_leave_the_others_alone() {
    for (fold, options) in [
        ("kmeans", &CLUSTERS[..]),
        ("svd", &COMPONENTS),
        ("pca", &COMPONENTS),
        ("nmf", &COMPONENTS),
        ("orpca", &ONLINE),
        ("ornmf", &ONLINE),
        ("gaussian-mixture", &MIXTURE),
    ] {
        let scan = scan_for(fold, "3000", "40");
        let spoilt = scan.beside("spoilt.h5");
        std::fs::copy(&scan.file, &spoilt).unwrap();
        python("no_number", &[&spoilt, "1234"]);
        let spoilt = Scan { folder: tempfile::tempdir().unwrap(), file: spoilt.into() };
        let (with, without) = (scan.beside("with.h5"), scan.beside("without.h5"));
        let ran = pixelmill(spoilt.arguments(&format!("{fold}-many"), &with, options));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        let failed = ran.json["failed"].as_array().unwrap();
        assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(1234)), "{failed:?}");
        let some = [options, &["--positions", "[0:1234,1235:3000]"]].concat();
        scan.run(&format!("{fold}-many"), &without, &some);
        assert_eq!(python("but", &[&with, "1234"]), python("but", &[&without, "1234"]), "{fold}");
    }
}

#[test]
fn it_has_passes_of_its_own_beside_others() {
    let scan = Scan::many("3000", "40");
    let (together, alone) = (scan.beside("together.h5"), scan.beside("alone.h5"));
    let options = ["--kmeans.clusters=5", "--svd.components=4", "--gaussian-mixture.components=2"];
    let ran = scan.run("statistics,kmeans,svd,gaussian-mixture,sum-many", &together, &options);
    assert_eq!(computations(&ran).len(), 5);
    for (fold, options) in [
        ("statistics", &[][..]),
        ("kmeans", &["-p", "clusters=5"]),
        ("svd", &["-p", "components=4"]),
        ("gaussian-mixture", &["-p", "components=2"]),
        ("sum", &[]),
    ] {
        scan.run(&format!("{fold}-many"), &alone, options);
    }
    assert_same_results(&together, &alone, "together");
}

//! Both directions with the real pyUSID: what one of the two programs wrote, or left half-way, the
//! other opens, resumes and takes for done.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python, group};
use crate::support::{RAW_DATA, pixelmill, start, succeed};

const PEAKS: [&str; 2] = ["Peak_Response", "Peak_Position"];

/// What pyUSID computes afresh, dataset by dataset, in a group that then is gone again.
fn reference(scan: &Scan, process: &str, names: &[&str]) -> Vec<Vec<Option<f64>>> {
    let made = scan.usid("run", &[process, "--override"]);
    let path = made["group"].as_str().unwrap();
    let values = names.iter().map(|name| scan.values(&format!("{path}/{name}"))).collect();
    scan.script("del file[given[0]]", &[path]);
    values
}

/// Compares all values of a dataset with `expected`, but for the rows that `Scan::spoil` overwrote.
fn assert_values(scan: &Scan, dataset: &str, expected: &[Option<f64>], spoilt: &[Range<usize>]) {
    let mut expected = expected.to_vec();
    for rows in spoilt {
        for (number, row) in rows.clone().enumerate() {
            expected[row] = Some(1000.0 + number as f64);
        }
    }
    let found = scan.values(dataset);
    assert_eq!(found.len(), expected.len(), "{dataset}");
    for (row, pair) in found.iter().zip(&expected).enumerate() {
        let (Some(found), Some(expected)) = pair else { panic!("{dataset} {row}: {pair:?}") };
        // NumPy adds pairwise.
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{dataset} {row}: {pair:?}");
    }
}

#[test]
fn pyusid_opens_all_results_and_takes_them_for_its_own() {
    for (process, kind, names) in [
        ("Sum", "f32", &["Sum"][..]),
        ("Peak_Finding", "c64", &PEAKS),
        ("Peak_Finding", "f32", &PEAKS),
    ] {
        let scan = Scan::new(&["--type", kind]);
        let expected = reference(&scan, process, names);
        let ran = scan.run(process, &[]);
        assert_eq!(
            (&ran["outcome"], &ran["group"]),
            (&"finished".into(), &group(process, 0).into())
        );
        let seen = scan.usid("check", &[&[group(process, 0).as_str()], names].concat());
        assert_eq!([&seen["completed"], &seen["positions"], &seen["last_pixel"]], [20, 20, 20]);
        assert_eq!(seen["status_dtype"], "uint8");
        for (name, expected) in names.iter().zip(&expected) {
            let dataset = &seen["datasets"][name];
            assert_eq!(dataset["pos_dims"], json!(["Y (um)", "X (um)"]));
            assert_eq!(dataset["pos_sizes"], json!([4, 5]));
            assert_eq!(dataset["n_dim_shape"], json!([4, 5, 1]));
            let (quantity, units) =
                if *name == "Peak_Position" { ("Frequency", "Hz") } else { ("Response", "V") };
            assert_eq!(
                (&dataset["quantity"], &dataset["units"]),
                (&quantity.into(), &units.into())
            );
            let positions = "/Measurement_000/Channel_000/Position_Indices";
            assert_eq!(dataset["ancillary"]["Position_Indices"], positions);
            assert_values(&scan, &format!("{}/{name}", group(process, 0)), expected, &[]);
        }
        let before = scan.bytes();
        let looked = scan.usid("run", &[process, "--look"]);
        assert_eq!(looked, json!({"duplicates": [group(process, 0)], "partials": []}));
        let returned = scan.usid("run", &[process]);
        assert_eq!((&returned["group"], &returned["computed"]), (&ran["group"], &0.into()));
        assert_eq!(scan.run(process, &[])["outcome"], "existing");
        assert!(before == scan.bytes(), "{process}: nothing was left to write");
    }
}

#[test]
fn attributes_have_the_types_that_pyusid_gives_them() {
    let scan = Scan::new(&["--type", "c64"]);
    let theirs = scan.usid("run", &["Peak_Finding"]);
    scan.run("peak-finding", &["--override"]);
    let attributes = |group: &str| scan.usid("check", &[group])["attributes"].clone();
    let theirs = attributes(theirs["group"].as_str().unwrap());
    let ours = attributes(&group("Peak_Finding", 1));
    let same = ["tool", "num_source_dsets", "source_000", "width_min", "num_steps"];
    for name in same {
        for part in ["value", "type", "shape"] {
            assert_eq!(ours[name][part], theirs[name][part], "{name}");
        }
    }
    assert_eq!(ours["last_pixel"], theirs["last_pixel"]);
    for name in ["timestamp", "machine_id", "platform", "min_snr", "noise_percentile", "width_max"]
    {
        assert_eq!(ours[name]["type"], theirs[name]["type"], "{name}");
    }
    for name in ["gap_threshold", "window_size", "min_length"] {
        assert!(ours[name].is_null() && theirs[name].is_null(), "{name} is None");
    }
    let timestamp = ours["timestamp"]["value"].as_str().unwrap();
    let shape = timestamp.replace(|c: char| c.is_ascii_digit(), "9");
    assert_eq!(shape, "9999_99_99-99_99_99");
}

#[test]
fn what_pyusid_left_half_way_is_resumed_and_its_positions_keep_their_bytes() {
    // Killed between two batches, and when results are written but not marked.
    for (kill_at, marked) in [("compute", 6), ("write", 12)] {
        let scan = Scan::new(&["--type", "c64"]);
        let expected = reference(&scan, "Peak_Finding", &PEAKS);
        scan.killed(&["Peak_Finding", "--batch", "6", "--kill-after", "2", "--kill-at", kill_at]);
        let path = group("Peak_Finding", 0);
        let marks = scan.usid("check", &[&path])["completed"].as_u64().unwrap();
        assert!((1..20).contains(&marks) && marks <= marked, "{marks}");
        for name in PEAKS {
            scan.spoil(&format!("{path}/{name}"), 0..marks as usize);
        }
        let ran = scan.run("peak-finding", &[]);
        assert_eq!((&ran["group"], &ran["outcome"]), (&path.clone().into(), &"finished".into()));
        assert_eq!(ran["report"]["positions"], 20 - marks);
        for (name, expected) in PEAKS.iter().zip(&expected) {
            let rows = 0..marks as usize;
            assert_values(&scan, &format!("{path}/{name}"), expected, &[rows]);
        }
        assert_eq!(scan.usid("run", &["Peak_Finding", "--look"])["duplicates"], json!([path]));
    }
}

#[test]
fn pyusid_finishes_what_we_left_half_way_and_keeps_our_positions() {
    let scan = Scan::new(&["--type", "c64"]);
    let expected = reference(&scan, "Peak_Finding", &PEAKS);
    let path = group("Peak_Finding", 0);
    // Rows 1 and 2, columns 1 to 3: gaps on both sides.
    let first = scan.run("peak-finding", &["--positions", "1:3,1:4"]);
    assert_eq!((&first["completed"], &first["report"]["positions"]), (&6.into(), &6.into()));
    let seen = scan.usid("check", &[&path]);
    assert_eq!((&seen["completed"], &seen["last_pixel"]), (&6.into(), &0.into()));
    assert_eq!(seen["datasets"]["Peak_Response"]["nan"], 14);
    for name in PEAKS {
        scan.spoil(&format!("{path}/{name}"), 6..9);
        scan.spoil(&format!("{path}/{name}"), 11..14);
    }
    let resumed = scan.usid("run", &["Peak_Finding", "--batch", "4"]);
    assert_eq!(resumed["partials"], json!([path]));
    assert_eq!((&resumed["group"], &resumed["computed"]), (&path.clone().into(), &14.into()));
    for (name, expected) in PEAKS.iter().zip(&expected) {
        assert_values(&scan, &format!("{path}/{name}"), expected, &[6..9, 11..14]);
    }
    let before = scan.bytes();
    let again = scan.run("peak-finding", &[]);
    assert_eq!((&again["outcome"], &again["group"]), (&"existing".into(), &path.into()));
    assert_eq!(again["parameter_hash"], first["parameter_hash"]);
    assert!(before == scan.bytes());
}

#[test]
fn a_run_that_was_killed_is_finished_by_pyusid() {
    let scan = Scan::new(&["--rows", "8", "--cols", "8"]);
    let pause = ["-p", "pause=20000", "--cores", "1", "--checkpoint", "0.1"];
    let mut child = start([&["run", "slow", &scan.file], &pause[..]].concat());
    let path = group("Slow", 0);
    let marked = || {
        let status = pixelmill(["status", &scan.file, &path]);
        status.json["groups"][0]["completed"].as_u64().unwrap_or(0)
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while marked() < 5 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let done = marked();
    assert!((5..64).contains(&done), "{done} of 64 were marked when it was killed");
    scan.spoil(&format!("{path}/Slow_Sum"), 0..5);
    let resumed = scan.usid("run", &["Slow", "--parameters", r#"{"pause": 20000}"#]);
    assert_eq!(
        (&resumed["group"], &resumed["computed"]),
        (&path.clone().into(), &(64 - done).into())
    );
    let values = scan.values(&format!("{path}/Slow_Sum"));
    assert_eq!(values[..5], [1000.0, 1001.0, 1002.0, 1003.0, 1004.0].map(Some));
    assert!(values.iter().all(Option::is_some));
    assert_eq!(scan.run("slow", &pause)["outcome"], "existing");
}

#[test]
fn results_in_a_file_of_their_own_are_opened_finished_and_reused_by_both() {
    let scan = Scan::new(&[]);
    let out = scan.beside("results.h5");
    let expected = reference(&scan, "Sum", &["Sum"]);
    let before = scan.bytes();
    let to_out = ["--output", out.as_str()];
    let in_out = |command: &str, options: &[&str]| {
        ask_python(&[&["usid.py", command, &out], options].concat())
    };
    let theirs = |options: &[&str]| {
        scan.usid("run", &[&["Sum", "--target", out.as_str()], options].concat())
    };
    scan.run("sum", &[&to_out[..], &["--positions", "3:9"]].concat());
    let resumed = theirs(&[]);
    assert_eq!(
        (&resumed["group"], &resumed["computed"]),
        (&"/Raw_Data-Sum_000".into(), &14.into())
    );
    let seen = in_out("check", &["/Raw_Data-Sum_000", "Sum", "--values"]);
    let sum = &seen["datasets"]["Sum"];
    assert_eq!(sum["pos_dims"], json!(["Y (um)", "X (um)"]));
    assert_eq!(sum["ancillary"]["Position_Values"], "/Raw_Data-Sum_000/Position_Values");
    for (found, expected) in sum["values"].as_array().unwrap().iter().zip(&expected[0]) {
        assert!((found.as_f64().unwrap() / expected.unwrap() - 1.0).abs() < 1e-12);
    }
    assert_eq!(seen["attributes"]["source_file_path"]["value"], scan.file);
    assert_eq!(seen["attributes"]["source_dataset_path"]["value"], RAW_DATA);
    assert!(seen["attributes"]["source_000"].is_null(), "a reference can't leave its file");
    assert_eq!(scan.run("sum", &to_out)["outcome"], "existing");

    let made = theirs(&["--override"]);
    assert_eq!(made["group"], "/Raw_Data-Sum_001");
    in_out("mark", &["/Raw_Data-Sum_001", "--status", "12"]);
    let resumed = scan.run("sum", &[&to_out[..], &["--resume", "Raw_Data-Sum_001"]].concat());
    assert_eq!((&resumed["group"], &resumed["report"]["positions"]), (&made["group"], &8.into()));
    assert!(before == scan.bytes(), "the source is only read");
}

#[test]
fn a_group_without_markers_that_pyusid_left_in_another_file_is_left_alone() {
    let scan = Scan::new(&[]);
    let out = scan.beside("results.h5");
    scan.killed(&["Sum", "--target", &out, "--batch", "6", "--kill-after", "2"]);
    let ran = succeed(["run", "sum", &scan.file, "--output", &out]);
    assert_eq!(ran["group"], "/Raw_Data-Sum_001");
    assert_eq!(ran["report"]["positions"], 20);
}

#[test]
fn several_columns_and_compound_results_pass_as_main_datasets() {
    let scan = Scan::new(&[]);
    let ran = scan.run("rich", &["-p", "spectra=1", "-p", "reversed=true"]);
    let path = ran["group"].as_str().unwrap();
    let seen = scan.usid("check", &[path, "Mean", "Maximum", "Reversed"]);
    let reversed = &seen["datasets"]["Reversed"];
    assert_eq!(reversed["n_dim_shape"], json!([4, 5, 119]));
    assert_eq!(reversed["spec_labels"], json!(["Point"]));
    assert_eq!(seen["datasets"]["Maximum"]["shape"], json!([20, 1]));
    assert_eq!(seen["datasets"]["Mean"]["nan"], Value::from(0));
}

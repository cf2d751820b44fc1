//! `export`: what it writes as arrays, tables and images is what h5py reads of the dataset, of any
//! type and shape; what has no result can be told; and a file is there whole or not at all.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::random::Random;
use crate::support::watch::Running;
use crate::support::{RAW_DATA, Sample, filters_program, refuse, run, succeed};

/// `export FILE PATH OUT` with more arguments.
fn export(file: &Path, path: &str, output: &Path, more: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        vec!["export".into(), file.into(), path.into(), output.into()];
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

/// A file with datasets of many kinds, and a folder for what is made of it.
struct Many {
    folder: TempDir,
    file: PathBuf,
    names: Vec<String>,
}

impl Many {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("many.h5");
        let names = filters_program("export.py", ["write".as_ref(), file.as_os_str()]);
        Self { folder, file, names: serde_json::from_value(names).unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn arrays(paths: &[&Path]) -> Vec<Value> {
    let given = std::iter::once("arrays".as_ref()).chain(paths.iter().map(|path| path.as_os_str()));
    serde_json::from_value(filters_program("export.py", given)).unwrap()
}

#[test]
fn datasets_of_every_type_and_shape_are_what_h5py_reads() {
    let many = Many::new();
    let axes = |name: &str| match name {
        "line" => ["--positions-axes", "0"],
        _ => ["--positions-axes", "0,1"],
    };
    for name in &many.names {
        for kind in ["npy", "csv"] {
            let output = many.at(&format!("{name}.{kind}"));
            let ran = succeed(export(&many.file, name, &output, &axes(name)));
            assert_eq!((&ran["missing"], &ran["notes"]), (&0.into(), &json!([])), "{ran}");
            assert_eq!(ran["bytes"], fs::metadata(&output).unwrap().len());
        }
    }
    for name in ["frames", "spectra", "map", "bytes", "waves"] {
        let ran = succeed(export(&many.file, name, &many.at(&format!("{name}.tif")), &axes(name)));
        let is_rounded = ran["notes"].to_string().contains("rounded to single precision");
        assert_eq!(is_rounded, name == "spectra", "{ran}");
    }
    for kind in ["csv", "tif"] {
        let output = many.at(&format!("scan.{kind}"));
        let ran = succeed(export(&many.file, "/Experiments/scan/data", &output, &[]));
        assert_eq!((&ran["shape"], &ran["scan_axes"]), (&json!([6, 5, 24]), &2.into()));
    }
    let given = ["check".as_ref(), many.file.as_os_str(), many.folder.path().as_os_str()];
    let told = filters_program("export.py", given);
    assert_eq!(told["is_imagej"], true);
    assert_eq!(told["resolution"], json!([4.0, 4.0]));
    let imagej = &told["imagej"];
    assert_eq!((&imagej["slices"], &imagej["unit"]), (&24.into(), &"um".into()), "{imagej}");
    assert_eq!((&imagej["spacing"], &imagej["xorigin"]), (&0.25.into(), &(-2).into()), "{imagej}");
    assert_eq!(told["head"][0], "y (µm)");
    assert_eq!(told["head"][3], "data at E=1.25 e\"V, x");
    assert_eq!(told["first"], json!([0.0, 0.75]));
}

#[test]
fn what_has_no_result_is_told_from_what_has() {
    let sample = Sample::new();
    let file = &sample.file;
    let at = |name: &str| sample.folder.path().join(name);
    succeed(run("peak-finding", file, &["--positions", "0:100"]));
    let group = "Raw_Data-Peak_Finding_000";
    let path = format!("{group}/Peak_Response");
    let texts = ["several results", "Peak_Position, Peak_Response"];
    refuse(export(file, group, &at("a.npy"), &[]), 1, &texts);
    let near = format!("{group}/Peak_Responce");
    refuse(
        export(file, &near, &at("a.npy"), &[]),
        1,
        &["no results `Peak_Responce`", "Peak_Response"],
    );
    let ran = succeed(export(file, &path, &at("a.npy"), &[]));
    assert_eq!((&ran["shape"], &ran["missing"]), (&json!([64, 64]), &3996.into()));
    assert_eq!(ran["notes"], json!(["3996 positions have no result: their values are NaN"]));
    let values = arrays(&[&at("a.npy")]).remove(0);
    let is_there: Vec<bool> =
        values["values"].as_array().unwrap().iter().map(|value| !value.is_null()).collect();
    assert_eq!(is_there, (0..4096).map(|at| at < 100).collect::<Vec<_>>());
    succeed(export(file, &path, &at("a.csv"), &[]));
    let table = fs::read_to_string(at("a.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4097, "Y (um),X (um),Deflection (V)"));
    assert!(!lines[100].ends_with(',') && lines[101].ends_with(','), "{}", lines[101]);
    // What HDF5 has in the place of integers that aren't there is a number as any other.
    let marks = format!("{group}/completed_positions");
    succeed(export(file, &marks, &at("marks.npy"), &[]));
}

#[test]
fn integers_that_are_missing_are_what_is_said_or_nothing_is_written() {
    let sample = Sample::new();
    let file = &sample.file;
    let output = sample.folder.path().join("a.npy");
    succeed(run("digest", file, &[]));
    let source = format!("{}/Digest", "/Measurement_000/Channel_000/Raw_Data-Digest_000");
    let options = ["--dataset", &source, "--positions", "0:4095"];
    let ran = succeed(run("rich", file, &options));
    let path = format!("{}/Maximum", ran["group"].as_str().unwrap());
    let texts = ["1 position has no result", "uint16 has no value that says so", "--missing VALUE"];
    refuse(export(file, &path, &output, &[]), 1, &texts);
    refuse(export(file, &path, &output, &["--missing", "-1"]), 1, &["uint16 has no value -1"]);
    assert!(!output.exists());
    let ran = succeed(export(file, &path, &output, &["--missing", "65535"]));
    assert!(ran["notes"].to_string().contains("65535 where these are integers"), "{ran}");
    let last = arrays(&[&output]).remove(0);
    assert!(last["dtype"].as_str().unwrap().contains("u2"), "{}", last["dtype"]);
    assert_eq!(last["values"][4095][1], 65535);
    let csv = sample.folder.path().join("a.csv");
    succeed(export(file, &path, &csv, &[]));
    assert!(fs::read_to_string(csv).unwrap().ends_with("10,10,,\r\n"));
}

#[test]
fn what_can_not_be_written_is_refused_in_words() {
    let many = Many::new();
    let output = many.at("out.npy");
    let axes = ["--positions-axes", "0,1"];
    let refused = |path: &str, name: &str, code, texts: &[&str]| {
        refuse(export(&many.file, path, &many.at(name), &axes), code, texts);
    };
    refused("nothing", "a.npy", 2, &["has no dataset `/nothing`", "/Experiments/scan/data"]);
    refused("text", "a.npy", 1, &["`/text` can't be exported: it holds text"]);
    refused("frames", "a.txt", 2, &["a.txt", ".npy", ".csv", ".tif"]);
    refused("records", "a.tif", 1, &["n, Wert µ, z", "--field"]);
    refused("long", "a.tif", 1, &["int64 is more than images have"]);
    refuse(export(&many.file, "line", &many.at("a.tif"), &[]), 1, &["one axis", ".csv or .npy"]);
    refuse(
        export(&many.file, "records", &output, &["--field", "m"]),
        1,
        &["no field `m`", "n, Wert µ, z"],
    );
    succeed(export(&many.file, "records", &many.at("n.tif"), &["--field", "n", axes[0], axes[1]]));
    fs::write(&output, "mine").unwrap();
    refused("frames", "out.npy", 2, &["out.npy is there already", "--override"]);
    assert_eq!(fs::read(&output).unwrap(), b"mine");
    succeed(export(&many.file, "frames", &output, &["--override"]));
    assert!(fs::metadata(&output).unwrap().len() > 4);
    let missing = many.at("no/such/folder/a.npy");
    refuse(export(&many.file, "frames", &missing, &[]), 1, &["cannot create"]);
}

#[test]
fn what_holds_the_data_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    filters_program("export.py", ["parts".as_ref(), folder.path().as_os_str()]);
    let kept = ["own.npy", "part.tif", "raw.csv", "master.h5"].map(|name| fs::read(at(name)));
    for (file, path, output) in [
        ("own.npy", "data", "own.npy"),
        ("own.npy", "data", "soft.npy"),
        ("own.npy", "data", "hard.npy"),
        ("soft.npy", "data", "own.npy"),
        ("master.h5", "virtual", "part.tif"),
        ("master.h5", "link", "part.tif"),
        ("master.h5", "raw", "raw.csv"),
    ] {
        let texts = [output, "it holds data of", "write to another file"];
        refuse(export(&at(file), path, &at(output), &["--override"]), 2, &texts);
    }
    let now = ["own.npy", "part.tif", "raw.csv", "master.h5"].map(|name| fs::read(at(name)));
    assert!(kept.iter().zip(&now).all(|(one, other)| one.as_ref().ok() == other.as_ref().ok()));
    // What isn't read of a file may have its name.
    succeed(export(&at("master.h5"), "plain", &at("soft.npy"), &["--override"]));
    assert!(kept[0].as_ref().ok() == fs::read(at("own.npy")).as_ref().ok());
}

#[test]
fn positions_that_others_have_not_computed_are_no_results() {
    let folder = tempfile::tempdir().unwrap();
    let (file, output) = (folder.path().join("foreign.h5"), folder.path().join("a.npy"));
    let group = "Raw_Data-Other_000";
    let [result, other] = ["Result", "Other"].map(|name| format!("{group}/{name}"));
    let show = |path: &str| ["show".into(), file.clone().into_os_string(), path.into()];
    let write = |last: &str| {
        filters_program("export.py", ["foreign".as_ref(), file.as_os_str(), last.as_ref()]);
    };
    write("5");
    let expected: Vec<Value> =
        (0..12).map(|at| if at < 5 { json!(f64::from(at + 1)) } else { Value::Null }).collect();
    let ran = succeed(export(&file, &result, &output, &["--override"]));
    assert_eq!(ran["missing"], 7);
    assert_eq!(arrays(&[&output]).remove(0)["values"], json!(expected));
    let shown = succeed(show(&result));
    assert_eq!(shown["pictures"][0]["values"], json!(expected));
    assert_eq!(shown["pictures"][0]["pending"], json!((5..12).collect::<Vec<_>>()));
    // Which of these values are of positions that are done nobody can tell.
    let text = "its shape is [7], and its group tells of 12 positions";
    refuse(export(&file, &other, &output, &["--override"]), 1, &[text]);
    refuse(show(&other), 2, &[text]);
    write("12");
    for path in [&result, &other] {
        assert_eq!(succeed(export(&file, path, &output, &["--override"]))["missing"], 0);
        assert_eq!(succeed(show(path))["pictures"][0]["pending"], json!([]));
    }
}

#[test]
fn positions_without_a_result_are_not_looked_for_along_other_axes() {
    let many = Many::new();
    let output = many.at("a.npy");
    let axes = ["--dataset", "/spectra", "--positions-axes", "0,1", "--output"];
    let results = many.at("results.h5");
    let more = [&axes[..], &[results.to_str().unwrap(), "--positions", "0:13"]].concat();
    let ran = succeed(run("rebin", &many.file, &more));
    let path = format!("{}/Rebinned", ran["group"].as_str().unwrap());
    let show = |more: &[&str]| {
        let first = ["show", results.to_str().unwrap(), &path];
        [&first[..], more].concat().into_iter().map(OsString::from).collect::<Vec<_>>()
    };
    assert_eq!(succeed(export(&results, &path, &output, &[]))["missing"], 17);
    for axes in ["1,0", "1", "2", "0,2", "2,0,1"] {
        let told = ["--positions-axes", axes, "--override"];
        refuse(
            export(&results, &path, &output, &told),
            1,
            &["some of its positions have no result"],
        );
        refuse(show(&told[..2]), 2, &["some of its positions have no result"]);
    }
    succeed(run("rebin", &many.file, &more[..more.len() - 2]));
    for axes in ["1,0", "2"] {
        succeed(export(&results, &path, &output, &["--positions-axes", axes, "--override"]));
        succeed(show(&["--positions-axes", axes]));
    }
}

#[test]
fn a_kill_leaves_no_half_of_a_file() {
    let sample = Sample::new();
    let output = |number: usize| sample.folder.path().join(format!("{number}.csv"));
    let begun = Instant::now();
    succeed(export(&sample.file, RAW_DATA, &output(0), &[]));
    let duration = begun.elapsed().as_secs_f64();
    let whole = fs::read(output(0)).unwrap();
    let (mut random, mut killed, mut there) = (Random(3), 0, 0);
    for number in 1..30 {
        let running = Running::start(export(&sample.file, RAW_DATA, &output(number), &[]));
        std::thread::sleep(Duration::from_secs_f64(duration * 1.1 * random.next()));
        killed += usize::from(running.kill().signal() == Some(9));
        if output(number).exists() {
            there += 1;
            assert!(fs::read(output(number)).unwrap() == whole, "half of {number}");
        }
    }
    assert!(killed > 5, "{killed} were killed, {there} are there");
}

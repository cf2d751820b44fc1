//! h5USID files as they are found in the field: each is read with the right values, or refused in
//! one line that names what is broken. After a run every HDF5 tool still opens the file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python};
use crate::support::{RAW_DATA, pixelmill, root, succeed};

fn untidy(variant: &str) -> (Scan, Value) {
    let scan = Scan::nothing();
    let told = ask_python(&["untidy.py", variant, &scan.file]);
    (scan, told)
}

fn variants(broken: bool) -> Vec<String> {
    let listed = ask_python(&["untidy.py", "--list"]);
    let all: Vec<String> = serde_json::from_value(listed).unwrap();
    let chosen: Vec<_> =
        all.into_iter().filter(|name| name.starts_with("broken-") == broken).collect();
    assert!(chosen.len() >= 4);
    chosen
}

/// Whether `h5dump` of the system reads the whole file; `None` if there is no such program.
fn is_dumped(file: &str) -> Option<bool> {
    let status = Command::new("h5dump")
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    Some(status.success())
}

/// The sums of a dataset and what pyUSID thinks of them; everything that was there before by
/// digest.
const CHECK: &str = r"
import hashlib
from pyUSID.io.hdf_utils import check_if_main
source, sums = file[given[0]], file[given[1]]
data = source[()]
native = np.ascontiguousarray(data.astype(data.dtype.newbyteorder('=')))
wide = data.astype('c16' if data.dtype.kind == 'c' else 'f8')
with open('/dev/null', 'w') as sys.stdout:
    mains = [bool(check_if_main(item)) for item in (source, sums)]
sys.stdout = sys.__stdout__
told = {
    'sha256': hashlib.sha256(native.tobytes()).hexdigest(),
    'exact': bool(np.array_equal(sums[:, 0], wide.real.sum(axis=1))),
    'shape': sums.shape,
    'mains': mains,
}
";

#[test]
fn every_untidy_file_that_can_be_understood_is_computed_and_still_opens() {
    for variant in variants(false) {
        let (scan, written) = untidy(&variant);
        let dumped_before = is_dumped(&scan.file);
        assert_info(&scan, &written, &variant);

        let process =
            if variant == "c64" { ["slow", "-p", "pause=0"] } else { ["sum", "--cores", "1"] };
        let ran = scan.run(process[0], &process[1..]);
        assert_eq!(
            (&ran["completed"], &ran["outcome"]),
            (&20.into(), &"finished".into()),
            "{variant}"
        );
        let name = if variant == "c64" { "Slow_Sum" } else { "Sum" };
        let results = format!("{}/{name}", ran["group"].as_str().unwrap());
        let seen = scan.script(CHECK, &[RAW_DATA, &results]);
        assert_eq!(seen["exact"], true, "{variant}: the sums are wrong");
        assert_eq!(seen["shape"], json!([20, 1]), "{variant}");
        assert_eq!(seen["sha256"], written["sha256"], "{variant}: the source has changed");
        if seen["mains"][0] == true {
            assert_eq!(
                seen["mains"][1], true,
                "{variant}: pyUSID takes the source, not the results"
            );
        }
        assert_eq!(scan.run(process[0], &process[1..])["outcome"], "existing", "{variant}");
        // What a killed writer had left flagged opens again; nothing else may become unreadable.
        if dumped_before == Some(true) || variant == "left-flagged" {
            assert_ne!(
                is_dumped(&scan.file),
                Some(false),
                "{variant}: h5dump can't read it any more"
            );
        }
    }
}

/// Lets the indices of positions count from -2, in signed integers, and their values be times since
/// 1970.
const COUNT_OTHERWISE: &str = r"
raw = file[given[0]]
for name, convert in [
    ('Position_Indices', lambda values: values.astype('i2') - 2),
    ('Position_Values', lambda values: (values * 10).astype('u8') + 1_700_000_000_000_000_000),
]:
    old = file[raw.attrs[name]]
    new = old.parent.create_dataset('Other_' + name, data=convert(old[()]))
    new.attrs.update(dict(old.attrs))
    raw.attrs[name] = new.ref
";

/// The tables of positions that a dataset of a file refers to.
fn tables(file: &str, dataset: &str) -> Value {
    ask_python(&["tables.py", "positions", file, dataset])
}

#[test]
fn tables_of_any_integers_are_copied_as_they_are() {
    let (scan, _) = untidy(&variants(false)[0]);
    scan.script(COUNT_OTHERWISE, &[RAW_DATA]);
    let output = scan.beside("results.h5");
    let group = succeed(["run", "sum", &scan.file, "--output", &output])["group"].clone();
    let found = tables(&output, &format!("{}/Sum", group.as_str().unwrap()));
    assert_eq!(found, tables(&scan.file, RAW_DATA));
    assert_eq!(
        (&found[0][0], &found[1][0][0]),
        (&json!([-2, -2]), &1_700_000_000_000_000_000u64.into())
    );
}

fn assert_info(scan: &Scan, written: &Value, variant: &str) {
    let info = succeed(["info", &scan.file]);
    let dataset = &info["datasets"][0];
    assert_eq!(info["datasets"].as_array().unwrap().len(), 1, "{variant}");
    assert_eq!(dataset["path"], RAW_DATA, "{variant}");
    assert_eq!([&dataset["quantity"], &dataset["units"]], ["Current", "nA"], "{variant}");
    assert_eq!(dataset["full_grid"], true, "{variant}");
    let um = if ["variable-utf8", "fixed-utf8"].contains(&variant) { "µm" } else { "um" };
    let axis = |name: &str, units: &str, length: usize, first: f64, last: f64| json!({"name": name, "units": units, "length": length, "first": first, "last": last, "binned": false});
    let positions = json!([axis("Y", um, 4, 0.0, 1.5), axis("X", um, 5, 0.0, 2.0)]);
    assert_eq!(dataset["position_dimensions"], positions, "{variant}");
    let spectrum = json!([axis("Bias", "mV", 11, 300.0, 400.0)]);
    assert_eq!(dataset["spectroscopic_dimensions"], spectrum, "{variant}");
    let dtype = written["dtype"].as_str().unwrap();
    let element = match &dtype[1..] {
        "f4" => "float32",
        "f8" => "float64",
        "i2" => "int16",
        "u1" => "uint8",
        "c8" => "complex64",
        other => panic!("{variant}: {other}"),
    };
    assert_eq!(dataset["element_type"], element, "{variant}");
    let how = if variant.starts_with("chunked") { "chunks" } else { "raw" };
    assert_eq!(dataset["read"], how, "{variant}");
}

/// Tries all commands that need the main dataset; each has to refuse in one line with `reason`.
fn assert_refused(scan: &Scan, reason: &str) {
    let before = scan.bytes();
    let file = scan.file.as_str();
    for arguments in [
        &["run", "sum", file][..],
        &["run", "sum", file, "--dataset", RAW_DATA],
        &["test", "sum", file, "--pixel", "0"],
        &["run", "sum", file, "--output", &scan.beside("results.h5")],
    ] {
        let ran = pixelmill(arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{reason} is not in: {}", ran.stderr);
        assert!(ran.stderr.contains(RAW_DATA), "{}", ran.stderr);
    }
    let info = succeed(["info", file]);
    let problem = info["datasets"][0]["problem"].as_str().unwrap_or_default();
    assert!(problem.contains(reason), "{info}");
    assert!(before == scan.bytes(), "the file was touched");
    assert!(!Path::new(&scan.beside("results.h5")).exists());
}

#[test]
fn every_broken_file_is_refused_in_one_line_that_names_what_is_broken() {
    let said = |variant: &str| match variant {
        "broken-no-reference" => "its attribute `Spectroscopic_Values` doesn't refer to a dataset",
        "broken-dangling-reference" => "its attribute `Position_Values` doesn't refer to a dataset",
        "broken-short-ancillary" => "Channel_000/Position_Values` has another shape than",
        "broken-no-labels" => {
            "Channel_000/Position_Indices` has no attribute `labels` with 2 names"
        }
        other => panic!("what should be said of {other}?"),
    };
    for variant in variants(true) {
        assert_refused(&untidy(&variant).0, said(&variant));
    }
}

/// Replaces an ancillary dataset of the tidy file by `given[1]`.
const REPLACE: &str = r"
name, values = given
group = file['Measurement_000/Channel_000']
old, attributes = group[name][()], dict(group[name].attrs)
del group[name]
group[name] = eval(values)
group[name].attrs.update(attributes)
group['Raw_Data'].attrs[name] = group[name].ref
";

#[test]
fn ancillary_datasets_of_the_wrong_kind_are_named() {
    for (name, values, reason) in [
        ("Position_Indices", "old[:, :0]", "Position_Indices` is empty"),
        ("Position_Indices", "old[:, 0]", "Position_Indices` has 1 dimensions instead of 2"),
        ("Position_Indices", "old.T", "Position_Indices` has 2 rows instead of 20"),
        (
            "Spectroscopic_Indices",
            "old[:, 1:]",
            "Spectroscopic_Indices` has 10 columns instead of 11",
        ),
        ("Position_Values", "old.astype('S8')", "Position_Values` can't be read as numbers"),
        (
            "Spectroscopic_Values",
            "old.astype('S8')",
            "Spectroscopic_Values` can't be read as numbers",
        ),
    ] {
        let (scan, _) = untidy("tidy");
        scan.script(REPLACE, &[name, values]);
        assert_refused(&scan, reason);
    }
}

#[test]
fn main_datasets_that_hold_no_numbers_are_named() {
    for (values, reason) in [
        ("np.zeros((20, 11), 'S4')", "it holds text"),
        ("np.zeros((20, 11), [('a', 'S3'), ('b', 'S2')])", "it holds compound records (a, b)"),
        ("np.zeros((0, 11), 'f4')", "it is empty, its shape is [0, 11]"),
    ] {
        let (scan, _) = untidy("tidy");
        scan.script(
            "attributes = dict(file[given[0]].attrs)\ndel file[given[0]]\nfile[given[0]] = \
             eval(given[1])\nfile[given[0]].attrs.update(attributes)",
            &[RAW_DATA, values],
        );
        assert_refused(&scan, reason);
    }
}

#[test]
fn units_that_an_instrument_split_into_letters_are_joined() {
    let sample = root().join(".venv/files/Hyper_Sample.ptir");
    assert!(sample.exists(), "run `scripts/setup tests` first: {} is missing", sample.display());
    let scan = copy_of(&sample);
    let info = succeed(["info", &scan.file]);
    let lengths = [451, 1024];
    for (number, length) in lengths.into_iter().enumerate() {
        let dataset = &info["datasets"][number];
        let path = format!("/Measurement_{number:03}/Channel_000/Raw_Data");
        assert_eq!(dataset["path"], path);
        let units = |axes: &Value| {
            let axes = axes.as_array().unwrap().iter();
            axes.map(|axis| format!("{} {} {}", axis["name"], axis["units"], axis["length"]))
                .collect::<Vec<_>>()
        };
        let positions = units(&dataset["position_dimensions"]);
        assert_eq!(positions, [r#""Y" "um" 5"#, r#""X" "um" 7"#]);
        let spectrum = units(&dataset["spectroscopic_dimensions"]);
        assert_eq!(spectrum, [format!(r#""Z" "cm-1" {length}"#)]);
        assert_sums(&scan, &path);
    }
    let ran = scan.try_run("sum", &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 main datasets; name one with --dataset"), "{}", ran.stderr);
}

fn copy_of(file: &Path) -> Scan {
    let scan = Scan::nothing();
    std::fs::write(&scan.file, std::fs::read(file).unwrap()).unwrap();
    scan
}

/// Runs `sum` on a dataset and compares with NumPy.
fn assert_sums(scan: &Scan, dataset: &str) {
    let ran = scan.run("sum", &["--dataset", dataset]);
    assert_eq!(ran["outcome"], "finished");
    let close = scan.script(
        "sums, source = file[given[0]][:, 0], file[given[1]][()]\ntold = bool(np.allclose(sums, \
         source.sum(axis=1, dtype=float), rtol=1e-12, atol=0))",
        &[&format!("{}/Sum", ran["group"].as_str().unwrap()), dataset],
    );
    assert_eq!(close, true, "{dataset}");
}

/// A file of the folder of real measurements beside the project, if it is there.
fn real_file(name: &str) -> Option<PathBuf> {
    let file = root().join("../shared/data").join(name);
    if !file.exists() {
        println!("skipped: there is no {}", file.display());
    }
    file.exists().then_some(file)
}

#[test]
fn each_of_the_four_channels_of_a_measured_image_is_computed() {
    let Some(file) = real_file("SingFreqPFM_0003.h5") else { return };
    let scan = copy_of(&file);
    let ran = scan.try_run("sum", &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for channel in 0..4 {
        let dataset = format!("/Measurement_000/Channel_{channel:03}/Raw_Data");
        assert!(ran.stderr.contains(&dataset), "{}", ran.stderr);
        assert_sums(&scan, &dataset);
    }
    let seen = scan.usid("check", &["/Measurement_000/Channel_003/Raw_Data-Sum_000", "Sum"]);
    assert_eq!(seen["datasets"]["Sum"]["n_dim_shape"], json!([128, 128, 1]));
}

#[test]
fn a_sparse_scan_with_twelve_unfinished_groups_is_shown_and_computed() {
    let Some(file) = real_file("sparse_sampling.h5") else { return };
    let scan = copy_of(&file);
    let before = foreign_groups(&scan);
    let info = succeed(["info", &scan.file]);
    for (number, dataset) in info["datasets"].as_array().unwrap().iter().enumerate() {
        assert_eq!(dataset["path"], format!("/Measurement_000/Channel_{number:03}/Raw_Data"));
        assert_eq!((&dataset["positions"], &dataset["full_grid"]), (&8.into(), &false.into()));
        assert_sums(&scan, dataset["path"].as_str().unwrap());
    }
    let status = succeed(["status", &scan.file]);
    let (mut partial, mut unknown) = (0, 0);
    for group in status["groups"].as_array().unwrap() {
        if group["process"] != "Simple_Process" {
            continue;
        }
        assert_eq!(group["source"], RAW_DATA);
        match group["completed"].as_u64() {
            Some(done) => {
                assert_eq!((done, &group["positions"]), (0, &8.into()));
                partial += 1;
            }
            None => unknown += 1,
        }
    }
    assert_eq!((partial, unknown), (6, 6));
    let status = pixelmill(["status", &scan.file]);
    let told = status.stderr.matches("partial, 0 of 8 positions (0.0 %)").count();
    let not_told = status.stderr.matches("nothing tells how much of it is computed").count();
    assert_eq!((told, not_told), (6, 6), "{}", status.stderr);
    assert_eq!(before, foreign_groups(&scan));
}

fn foreign_groups(scan: &Scan) -> Value {
    scan.script(
        "told = [[name, [[n, d[()].tobytes().hex()] for n, d in group.items()], sorted(map(str, \
         group.attrs.items()))]\n        for name, group in \
         file['Measurement_000/Channel_000'].items() if 'Simple_Process' in name]\nassert \
         len(told) == 12",
        &[],
    )
}

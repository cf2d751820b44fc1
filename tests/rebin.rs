//! The process `rebin`: bins are those of NumPy and HyperSpy, in the type that was asked for, and
//! those of positions are a scan of their own, wherever the data lie.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::folds::{Scan, python};
use crate::support::neighbours::{Datasets, text};
#[cfg(feature = "mpi")]
use crate::support::ranks::succeed_on;
use crate::support::usid;
use crate::support::watch::{Opener, Snapshot, assert_kills_are_survived};
use crate::support::{RAW_DATA, filters_program, pixelmill, refuse, run, succeed};

#[test]
fn bins_are_those_of_numpy() {
    for (kind, layout) in [("u1", "blocks"), ("i2", "contiguous"), ("f4", "ragged")] {
        let scan = Scan::new(kind, layout);
        for (number, (options, by, mean, dtype)) in [
            (vec![], [2, 2], false, "f8"),
            (vec!["-p", "by=[3,4]", "-p", "mean=true"], [3, 4], true, "f8"),
            (vec!["-p", "by=[1,7]", "-p", "dtype=float32"], [1, 7], false, "f4"),
            (vec!["-p", "dtype=grow"], [2, 2], false, "grow"),
        ]
        .into_iter()
        .enumerate()
        {
            let output = scan.beside(&format!("{number}.h5"));
            let ran = scan.run("rebin", &output, &options);
            let group = ran["group"].as_str().unwrap();
            let told = json!({ "by": by, "mean": mean, "dtype": dtype }).to_string();
            let found = python("rebinned", &[&output, group, kind, &told]);
            assert_eq!(found, json!([]), "{kind} {layout} {options:?}");
        }
    }
}

#[test]
fn what_its_type_does_not_hold_fails() {
    let scan = Scan::new("u1", "contiguous");
    let output = scan.beside("out.h5");
    let ran = pixelmill(scan.arguments("rebin", &output, &["-p", "by=6", "-p", "dtype=keep"]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let told = ran.json["failures"]["reasons"][0]["message"].as_str().unwrap();
    assert!(told.contains("integers of 8 bits") && told.contains("grow"), "{told}");
    for (options, texts) in [
        (["-p", "by=[2,2,2]"], ["`by` has 3 numbers", "`axis 3`"]),
        (["-p", "by=20"], ["`axis 2` has 19 points", "a bin of 20"]),
    ] {
        refuse(scan.arguments("rebin", &output, &options), 1, &texts);
    }
    refuse(scan.arguments("rebin", &output, &["-p", "by=0"]), 2, &["`by`", "from 1 on"]);
    let means = ["-p", "mean=true", "-p", "dtype=keep"];
    refuse(scan.arguments("rebin", &output, &means), 2, &["means are no integers"]);
}

/// Bins of each of the datasets, and how its spectra are binned beside.
const BINS: [(&str, &str, &str); 6] = [
    ("line", "[4]", "[5]"),
    ("frames", "[2,3]", "[1,1]"),
    ("floats", "[2,11]", "[3]"),
    ("blocks", "[4,5]", "[2,1]"),
    ("turned", "[3,2]", "[1]"),
    ("volume", "[2,1,4]", "[17]"),
];

/// What HyperSpy is to be asked of some bins.
fn call(given: &[&str], (bins, by): (&str, &str), more: &Value) -> String {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut options = json!({ "positions": parse(bins), "by": parse(by), "mean": false });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut call: Vec<Value> = given.iter().map(|text| json!(text)).collect();
    call.push(options);
    json!(call).to_string()
}

/// Asks HyperSpy of bins, each with what they are called in messages.
fn assert_those_of_hyperspy(calls: &[(String, String)]) {
    let asked = std::iter::once("check").chain(calls.iter().map(|(_, call)| call.as_str()));
    let wrong = filters_program("rebin.py", asked);
    for ((told, _), wrong) in calls.iter().zip(wrong.as_array().unwrap()) {
        assert_eq!(*wrong, json!([]), "{told}");
    }
}

#[test]
fn bins_of_positions_are_those_of_hyperspy() {
    let data = Datasets::new();
    let mut calls = Vec::new();
    for (name, bins, by) in BINS {
        let is_integer = !["line", "floats", "volume"].contains(&name);
        let exact = if is_integer { "i" } else { "f" };
        let mut ways = vec![("mean=true", json!({ "dtype": "f8", "mean": true, "exact": "f" }))];
        ways.push(("dtype=float64", json!({ "dtype": "f8", "exact": exact })));
        if is_integer {
            let grown = if name == "turned" { "i8" } else { "u4" };
            ways.push(("dtype=grow", json!({ "dtype": grown, "exact": exact })));
        }
        for (how, more) in ways {
            let (positions, of_spectra) = (format!("positions={bins}"), format!("by={by}"));
            let given = ["-p", &positions, "-p", &of_spectra, "-p", how];
            let ran = data.run("rebin", name, &given);
            let axes = data.of(name, &[])[3];
            let found = [text(&ran, "file"), text(&ran, "group")];
            let asked = [&["binned", &data.scan.file, name, axes][..], &found].concat();
            calls.push((format!("{name}, {how}"), call(&asked, (bins, by), &more)));
        }
    }
    assert_those_of_hyperspy(&calls);
}

#[test]
fn hyperspy_loads_bins_as_it_makes_them() {
    let scan = usid::Scan::nothing();
    let mut calls = Vec::new();
    for (kind, by) in [("hspy", "[3]"), ("hspy-4d", "[2,2]"), ("hspy-large", "[7]")] {
        let [source, results] =
            ["scan", "bins"].map(|of| scan.beside(&format!("{kind}_{of}.hspy")));
        filters_program("formats.py", ["write", kind, source.as_str()]);
        let by_given = format!("by={by}");
        let bins = ["-p", "positions=[2,2]", "-p", &by_given, "--output", &results];
        succeed(run("rebin", Path::new(&source), &bins));
        let more = json!({ "dtype": "f8", "exact": "f" });
        let asked = ["loaded", source.as_str(), &results];
        calls.push((kind.to_owned(), call(&asked, ("[2,2]", by), &more)));
    }
    assert_those_of_hyperspy(&calls);
}

#[test]
fn pyusid_opens_bins_with_axes_of_their_own() {
    let scan = usid::Scan::new(&["--rows", "6", "--cols", "7", "--bins", "12"]);
    // Rows of two bins, whole lines of the scan or not, are in the same chunk.
    for chunk in [0, 5, 14] {
        scan.script(
            "path, chunk = given[0], int(given[1])
old = file[path]
values, attributes = old[()], dict(old.attrs)
del file[path]
new = file.create_dataset(path, data=values, chunks=(chunk, 12) if chunk else None)
new.attrs.update(attributes)",
            &[RAW_DATA, &chunk.to_string()],
        );
        for output in [None, Some(scan.beside(&format!("{chunk}.h5")))] {
            let mut given = vec!["-p", "positions=[2,3]", "-p", "by=1", "--override"];
            given.extend(output.iter().flat_map(|output| ["--output", output]));
            let ran = scan.run("rebin", &given);
            let (file, group) = (text(&ran, "file"), text(&ran, "group"));
            let check = ["usid.py", "check", file, group, "Rebinned", "--values"];
            let seen = usid::ask_python(&check);
            assert_eq!(seen["completed"], 6, "{seen}");
            let dataset = &seen["datasets"]["Rebinned"];
            assert_eq!(dataset["pos_dims"], json!(["Y (um)", "X (um)"]));
            assert_eq!(dataset["pos_sizes"], json!([3, 2]));
            let apart = scan.script(
                "values = file[given[0]][()].astype(float).reshape(6, 7, 12)[:, :6]
expected = values.reshape(3, 2, 2, 3, 12).sum((1, 3)).reshape(6, 12)
with h5py.File(given[1]) as results:
    found = results[given[2]]
    axes = results[found['Rebinned'].attrs['Position_Values']][()]
    told = [float(abs(found['Rebinned'][()] - expected).max()), axes.tolist()]",
                &[RAW_DATA, file, group],
            );
            assert!(apart[0].as_f64().unwrap() < 1e-12, "{apart}");
            let axes: Vec<[f32; 2]> = serde_json::from_value(apart[1].clone()).unwrap();
            let (y, x) = ([0.1, 0.5, 0.9], [1.0 / 3.0, 4.0 / 3.0]);
            for (found, at) in axes.iter().zip(0..) {
                let expected: [f32; 2] = [y[at / 2], x[at % 2]];
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{axes:?}");
            }
        }
    }
}

#[test]
fn whatever_is_computed_together_bins_of_positions_are_the_same() {
    let data = Datasets::new();
    let mut opener = Opener::new();
    for (name, bins, _) in BINS {
        let bins = format!("bins={bins}");
        let mut found: Vec<Snapshot> = Vec::new();
        let ways: [&[&[&str]]; 4] = [
            &[&["--cores", "1"]],
            &[&["--cores", "2"]],
            &[&["--cores", "2", "--memory", "200K"]],
            &[&["--positions", "random:2:3"], &["--positions", "1:3"], &[]],
        ];
        for (number, parts) in ways.into_iter().enumerate() {
            let results = data.scan.beside(&format!("{name}_{number}.h5"));
            for part in parts {
                let options = [&["--output", &results, "-p", &bins], *part].concat();
                let ran =
                    pixelmill(run("surrounded", data.scan.file.as_ref(), &data.of(name, &options)));
                assert_eq!(ran.code, Some(0), "{name}, {part:?}: {}", ran.stderr);
                let report = &ran.json["report"];
                // Chunks behind the last bins are left out.
                let decoded = report["chunks_decoded"].as_u64().unwrap_or(0);
                let is_once = decoded <= report["chunks"].as_u64().unwrap_or(0);
                assert!(number >= 2 || is_once, "{name}: {report}");
            }
            found.push(opener.snapshot(Path::new(&results)));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
    }
}

#[test]
fn bins_of_positions_are_tested_verified_and_known_again() {
    let data = Datasets::new();
    for (name, bins, by) in BINS {
        let (bins, by) = (format!("positions={bins}"), format!("by={by}"));
        let given = ["-p", bins.as_str(), "-p", &by];
        let ran = data.run("rebin", name, &given);
        let verified = succeed(["verify", &data.scan.file, text(&ran, "group")]);
        assert_eq!(verified["different"], json!([]), "{name}");
        assert_ne!(verified["checked"], json!(0), "{name}");
        let at = if name == "line" {
            "1"
        } else if name == "volume" {
            "1,2,0"
        } else {
            "1,0"
        };
        let test = ["test", "rebin", &data.scan.file, "--at", at];
        let tested = succeed([&test, &data.of(name, &given)[..]].concat());
        assert_eq!(tested["failure"], Value::Null, "{name}");
        assert_eq!(data.run("rebin", name, &given)["outcome"], "existing", "{name}");
        let other = data.run("rebin", name, &["-p", &by]);
        assert_eq!(other["outcome"], "finished", "{name}");
    }
    let beyond = ["-p", "positions=[4,5]", "--at", "3,0"];
    let test = ["test", "rebin", &data.scan.file];
    refuse([&test, &data.of("blocks", &beyond)[..]].concat(), 2, &["0:3", "0:2"]);
}

#[test]
fn a_damaged_chunk_fails_the_bins_that_need_it_and_no_others() {
    let data = Datasets::new();
    // Positions 4 to 7 × 5 to 9: rows 1 and 2 of the bins, columns 1 to 3.
    data.ask("damage", "blocks", &["8"]);
    let given = ["-p", "positions=[3,3]", "--cores", "2"];
    let ran = pixelmill(run("rebin", data.scan.file.as_ref(), &data.of("blocks", &given)));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    let positions: Vec<&Value> = failed.iter().map(|failure| &failure["position"]).collect();
    assert_eq!(json!(positions), json!([5, 6, 7, 9, 10, 11]), "{}", ran.json);
    assert!(failed.iter().all(|failure| text(failure, "message").contains("is damaged")));
}

#[test]
fn an_integer_that_double_precision_has_not_fails_its_bin() {
    let data = Datasets::new();
    let given = ["-p", "positions=[2,3]", "-p", "by=1"];
    let ran = pixelmill(run("rebin", data.scan.file.as_ref(), &data.of("long", &given)));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    // It is at row 2, column 6.
    let failed = ran.json["failed"].as_array().unwrap();
    let positions: Vec<&Value> = failed.iter().map(|failure| &failure["position"]).collect();
    assert_eq!(json!(positions), json!([6]));
    let message = text(&failed[0], "message");
    assert!(message.contains("9007199254740993 at point 1 of a position in the bin"), "{message}");
}

#[test]
fn bins_of_positions_that_cannot_be_are_refused() {
    let data = Datasets::new();
    let refused = |given: &str, (code, texts): (i32, &[&str])| {
        let arguments = run("rebin", data.scan.file.as_ref(), &data.of("frames", &["-p", given]));
        refuse(arguments, code, texts);
    };
    refused("positions=0", (2, &["`positions`", "whole numbers of steps, from 1 on"]));
    refused("positions=[2,0]", (2, &["`positions`", "from 1 on"]));
    refused("positions=2.5", (2, &["`positions`", "a whole number, or one for each axis"]));
    refused("positions=[2,2,2]", (1, &["`positions` has 3 numbers for the axes of a scan"]));
    refused("positions=[2,12]", (1, &["`axis 1` has 11 points, less than a bin of 12"]));
    let scan = usid::Scan::new(&[]);
    scan.script(
        "order = np.random.default_rng(2).permutation(20)
for name in ('Position_Indices', 'Position_Values'):
    table = file['/Measurement_000/Channel_000/' + name]
    table[...] = table[()][order]",
        &[],
    );
    let told = ["makes bins of positions", "no full grid"];
    refuse(run("rebin", scan.file.as_ref(), &["-p", "positions=2"]), 1, &told);
}

#[test]
fn killed_and_resumed_bins_of_positions_are_the_same_bytes() {
    let mut opener = Opener::new();
    let slowly = |data: &Datasets, options: &[&str]| {
        let slowly = ["-p", "pause=4000", "-p", "bins=[2,1]", "--checkpoint", "0.02"];
        run("surrounded", data.scan.file.as_ref(), &data.of("blocks", &[&slowly, options].concat()))
    };
    let data = Datasets::new();
    succeed(slowly(&data, &[]));
    let finished = opener.snapshot(Path::new(&data.scan.file));
    let data = Datasets::new();
    let arguments = slowly(&data, &["--cores", "2"]);
    let file = Path::new(&data.scan.file);
    assert_kills_are_survived(&mut opener, &arguments, file, &finished);
}

#[cfg(feature = "mpi")]
#[test]
fn bins_of_positions_are_the_same_bytes_on_any_number_of_ranks() {
    let data = Datasets::new();
    let mut opener = Opener::new();
    for (name, bins, by) in [BINS[2], BINS[3], BINS[5]] {
        let (bins, by) = (format!("positions={bins}"), format!("by={by}"));
        let mut found: Vec<Snapshot> = Vec::new();
        for ranks in 1..=4 {
            let output = data.scan.beside(&format!("{name}_on_{ranks}.h5"));
            let options = ["--cores", "1", "--output", &output, "-p", &bins, "-p", &by];
            let with = |more: &[&str]| {
                let options = [&options[..], more].concat();
                run("rebin", data.scan.file.as_ref(), &data.of(name, &options))
            };
            if ranks == 3 {
                // What is left isn't all that there is.
                succeed(with(&["--positions", "1:3"]));
            }
            succeed_on(ranks, with(&[]));
            found.push(opener.snapshot(Path::new(&output)));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
    }
}

//! Processes that compute spectra part by part: as many values in as many layouts, failures of
//! parts, and what isn't computed so.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::{Ran, pixelmill, python_function, succeed};

const LAYOUTS: [&str; 4] = ["contiguous", "blocks", "frames", "long"];

fn scan(layout: &str) -> Scan {
    Scan::made(|file| python_function("parts.py", "write", [file, layout]))
}

fn compare(layout: &str, output: &str, ran: &Value, failed: &[u64]) {
    let group = ran["group"].as_str().unwrap();
    let failed = json!(failed).to_string();
    let same = python_function("parts.py", "compare", [layout, output, group, &failed]);
    assert_eq!(same, json!(true), "{layout} {failed}");
}

/// Positions that failed, and why.
fn failures(ran: &Ran) -> Vec<(u64, String)> {
    let listed = ran.json["failed"].as_array().unwrap().iter();
    let each = listed.map(|failed| (&failed["position"], &failed["message"]));
    each.map(|(at, why)| (at.as_u64().unwrap(), why.as_str().unwrap().to_owned())).collect()
}

#[test]
fn parts_are_joined_to_what_the_whole_has() {
    for layout in LAYOUTS {
        let scan = scan(layout);
        for (number, more) in [
            vec!["--cores", "1"],
            vec!["--cores", "4", "--memory", "16M"],
            vec!["--dark", "dark.npy"],
        ]
        .into_iter()
        .enumerate()
        {
            let (output, dark) = (scan.beside(&format!("{number}.h5")), scan.beside("dark.npy"));
            python_function("parts.py", "dark", [layout, &dark]);
            let more: Vec<&str> = more
                .into_iter()
                .map(|text| if text == "dark.npy" { &dark } else { text })
                .collect();
            let ran = scan.run("parted", &output, &more);
            compare(layout, &output, &ran, &[]);
            let group = ran["group"].as_str().unwrap();
            succeed(["verify", &output, group]);
        }
    }
}

#[test]
fn a_part_that_fails_fails_its_position_alone() {
    for layout in LAYOUTS {
        let scan = scan(layout);
        let output = scan.beside("out.h5");
        let options = ["-p", "fails_at=-1", "-p", "panics_at=-2", "-p", "joins_once=-3"];
        let ran = pixelmill(scan.arguments("parted", &output, &options));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        let expected = [
            (10, "a part fails on purpose"),
            (20, "a part panics on purpose"),
            (30, "two parts can't be joined"),
        ];
        let found = failures(&ran);
        assert_eq!(found.len(), 3, "{layout} {found:?}");
        for ((position, why), (at, told)) in found.iter().zip(expected) {
            assert!(*position == at && why.contains(told), "{layout} {found:?}");
        }
        compare(layout, &output, &ran.json, &[10, 20, 30]);
    }
}

#[test]
fn where_a_position_has_several_spectra_each_is_computed_as_a_whole() {
    let scan = scan("blocks");
    let output = scan.beside("out.h5");
    let ran = scan.run("parted", &output, &["--along", "axis 3"]);
    let group = ran["group"].as_str().unwrap();
    let told = python_function("parts.py", "counts", [&output, group]);
    assert_eq!(told, json!([[7, 9, 40], [100]]));
}

#[test]
fn one_position_can_be_tried() {
    let scan = scan("blocks");
    let file = Path::new(&scan.file).to_str().unwrap();
    let at = ["test", "parted", file, "--positions-axes", "0,1", "--pixel", "9"];
    let ran = succeed(at);
    assert_eq!(ran["results"][0]["values"], json!([4000.0]));
}

//! The process `rebin`: bins are those of NumPy, in the type that was asked for.

use serde_json::json;

use crate::support::folds::{Scan, python};
use crate::support::{pixelmill, refuse};

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

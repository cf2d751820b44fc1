//! The process `histogram` between quantiles: NumPy's between the edges that it tells, which are
//! those of NumPy's quantiles where values are at hand or small, else within the error that is
//! said.

use serde_json::json;

use crate::support::folds::{Scan, python};
use crate::support::{pixelmill, refuse, succeed};

/// Runs it and compares; the results have the same bits for any number of workers.
fn checked(scan: &Scan, kind: &str, of: &str, (asked, most): ([f64; 2], f64), more: &[&str]) {
    let asked = json!(asked).to_string();
    let (range, of_option) = (format!("range_quantiles={asked}"), format!("of={of}"));
    let options = [&["-p", &range, "-p", &of_option, "-p", "bins=37"], more].concat();
    let mut seen = Vec::new();
    for cores in ["1", "3"] {
        let output = scan.beside(&format!("{of}_{cores}_{asked}_{}.h5", more.len()));
        let ran = scan.run("histogram", &output, &[&options[..], &["--cores", cores]].concat());
        let group = ran["group"].as_str().unwrap();
        let told = [&output, group, kind, of, &asked, &most.to_string()];
        assert_eq!(python("histogram_between_quantiles", &told), true, "{kind} {of} {asked}");
        seen.push(python("results", &[&output])["hash"].clone());
        let verified = succeed(["verify", &output, group]);
        assert_eq!(verified["different"], json!([]));
    }
    assert_eq!(seen[0], seen[1], "{kind} {of}");
}

#[test]
fn edges_are_numpys_quantiles_where_values_are_at_hand_or_small() {
    for (kind, layout, all, asked) in [
        ("u1", "blocks", &["scan", "point", "position"][..], [0.02, 0.98]),
        ("i2", "contiguous", &["scan"], [0.0, 1.0]),
        ("i4", "frames", &["position"], [0.3, 0.4]),
        ("f4", "ragged", &["position"], [0.0, 1.0]),
    ] {
        let scan = Scan::new(kind, layout);
        for of in all {
            checked(&scan, kind, of, (asked, 0.0), &[]);
        }
    }
}

#[test]
fn counts_of_other_numbers_are_exact_between_edges_within_the_error() {
    for (kind, layout, asked) in [
        ("i4", "frames", [0.02, 0.9]),
        ("u8", "contiguous", [0.0, 1.0]),
        ("f2", "contiguous", [0.5, 1.0]),
        ("f8", "ragged", [0.0, 0.3]),
    ] {
        let scan = Scan::new(kind, layout);
        checked(&scan, kind, "scan", (asked, 1.0 / 512.0), &[]);
    }
    let scan = Scan::new("f4", "blocks");
    checked(&scan, "f4", "scan", ([0.25, 0.75], 1.0 / 4096.0), &["-p", "error=0.0003"]);
    checked(&scan, "f4", "point", ([0.1, 0.98], 0.25), &["-p", "error=0.3"]);
}

#[test]
fn what_is_the_same_infinite_or_nothing_is_told_as_such() {
    let scan = Scan::made(|file| python("strange_numbers", &[file]));
    let file = scan.file.to_str().unwrap();
    for of in ["point", "position"] {
        let output = scan.beside(of);
        let of_option = format!("of={of}");
        let options = ["-p", "range_quantiles=[0,1]", "-p", "bins=4", "-p", &of_option];
        let ran =
            scan.run("histogram-many", &output, &[&options[..], &["-p", "error=0.01"]].concat());
        let told = [file, &output, ran["group"].as_str().unwrap(), of];
        assert_eq!(python("strange_histograms", &told), json!([]), "{of}");
    }
}

#[test]
fn ranges_that_are_none_are_refused() {
    let scan = Scan::new("f4", "contiguous");
    let output = scan.beside("out.h5");
    for (options, texts) in [
        (vec!["range_quantiles=[0.5]"], ["`range_quantiles`", "two numbers from 0 to 1"]),
        (vec!["range_quantiles=[0.9,0.1]"], ["`range_quantiles`", "the smaller first"]),
        (vec!["range_quantiles=[2,98]"], ["`range_quantiles`", "from 0 to 1"]),
        (vec!["range_quantiles=[0,1]", "range_max=3"], ["`range_max`", "`range_quantiles`"]),
        (vec!["range_min=0", "range_max=3", "error=0.1"], ["`error`", "`range_quantiles`"]),
    ] {
        let given: Vec<&str> = options.iter().flat_map(|option| ["-p", option]).collect();
        refuse(scan.arguments("histogram", &output, &given), 2, &texts);
    }
    let ran = pixelmill(scan.arguments("histogram", &output, &[]));
    assert!(ran.stderr.contains("or `range_quantiles`"), "{}", ran.stderr);
    let points = ["-p", "range_quantiles=[0,1]", "-p", "of=point", "--memory", "64M"];
    refuse(scan.arguments("histogram", &output, &points), 2, &["too little", "at least"]);
    assert!(!std::fs::exists(&output).unwrap());
}

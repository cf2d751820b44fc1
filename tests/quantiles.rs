//! The process `quantiles`: NumPy's where they are exact, else within the error that is said, and
//! the same bits whatever the workers.

use serde_json::json;

use crate::support::folds::{Scan, python};
use crate::support::{pixelmill, refuse, succeed};

const ASKED: &str = "[0.0,0.013,0.25,0.5,0.77,0.999,1.0]";

/// Runs it and compares; returns the hash of all results.
fn checked(scan: &Scan, (kind, name): (&str, &str), of: &str, is_exact: bool, more: &[&str]) {
    let (asked, of_option) = (format!("quantiles={ASKED}"), format!("of={of}"));
    let options = [&["-p", &asked, "-p", &of_option], more].concat();
    let mut seen = Vec::new();
    for cores in ["1", "3"] {
        let output = scan.beside(&format!("{name}_{of}_{cores}.h5"));
        let ran = scan.run("quantiles", &output, &[&options[..], &["--cores", cores]].concat());
        let told =
            [&output, ran["group"].as_str().unwrap(), kind, of, ASKED, &is_exact.to_string()];
        assert_eq!(python("quantiles_are_right", &told), true, "{kind} {name} {of}");
        seen.push(python("results", &[&output])["hash"].clone());
    }
    assert_eq!(seen[0], seen[1], "{kind} {name} {of}");
}

#[test]
fn quantiles_are_those_of_numpy_where_values_are_at_hand_or_small() {
    for (kind, layout, all) in [
        ("u1", "blocks", &["scan", "point", "position"][..]),
        ("i1", "contiguous", &["point"]),
        ("u2", "ragged", &["scan", "position"]),
        ("i4", "frames", &["position"]),
        ("f4", "ragged", &["position"]),
        ("i8", "blocks", &["position"]),
    ] {
        let scan = Scan::new(kind, layout);
        for of in all {
            checked(&scan, (kind, "exact"), of, true, &[]);
        }
    }
}

#[test]
fn what_many_units_have_counted_is_added() {
    for kind in ["u1", "i1", "u2", "i2"] {
        let scan = Scan::made(|file| python("many_integers", &[file, kind]));
        let all = if kind == "i1" { &["scan", "point"][..] } else { &["scan"] };
        for of in all {
            let output = scan.beside(&format!("{of}.h5"));
            let ran = scan.run("quantiles-many", &output, &["-p", &format!("of={of}")]);
            let file = scan.file.to_str().unwrap();
            let told = [file, &output, ran["group"].as_str().unwrap()];
            assert_eq!(python("quantiles_of_many", &told), true, "{kind} {of}");
        }
    }
}

#[test]
fn quantiles_of_other_numbers_are_within_the_error() {
    for (kind, layout) in
        [("i4", "frames"), ("u8", "contiguous"), ("f2", "contiguous"), ("f4", "ragged")]
    {
        let scan = Scan::new(kind, layout);
        for (name, options) in [("usual", vec![]), ("fine", vec!["-p", "error=0.0005"])] {
            checked(&scan, (kind, name), "scan", false, &options);
        }
    }
    for (kind, layout) in [("u2", "blocks"), ("f4", "ragged")] {
        let scan = Scan::new(kind, layout);
        let sizes = ["-p", "smallest=1e-6", "-p", "largest=1e12"];
        let sizes = if kind == "f4" { &sizes[..] } else { &[] };
        let coarse = [&["-p", "error=0.05"], sizes].concat();
        checked(&scan, (kind, "coarse"), "point", false, &coarse);
    }
}

#[test]
fn a_quantile_beyond_what_is_told_apart_is_none() {
    let scan = Scan::new("f4", "contiguous");
    let output = scan.beside("out.h5");
    let given = ["-p", "quantiles=[0,0.5,0.999,1]", "-p", "largest=1200"];
    let ran = scan.run("quantiles", &output, &given);
    let told = python("missing", &[&output, ran["group"].as_str().unwrap(), "Quantiles"]);
    assert_eq!(told, json!([false, false, true, false]));
}

#[test]
fn what_has_no_quantiles_is_refused() {
    let scan = Scan::new("f4", "contiguous");
    let output = scan.beside("out.h5");
    for (options, texts) in [
        (vec!["quantiles=[]"], ["`quantiles`", "from 1 to 1000"]),
        (vec!["quantiles=[0.5,50]"], ["`quantiles`", "from 0 to 1"]),
        (vec!["error=0"], ["`error`", "from 0.000001 to 0.5"]),
        (vec!["smallest=-1"], ["`smallest`", "larger than 0"]),
        (vec!["smallest=3", "largest=2"], ["`largest`", "`smallest`"]),
    ] {
        let given: Vec<&str> = options.iter().flat_map(|option| ["-p", option]).collect();
        refuse(scan.arguments("quantiles", &output, &given), 2, &texts);
    }
    let large = ["-p", "smallest=1e300"];
    refuse(scan.arguments("quantiles", &output, &large), 1, &["size", "`smallest`"]);
    let points = ["-p", "of=point", "--memory", "64M"];
    refuse(scan.arguments("quantiles", &output, &points), 2, &["too little", "at least"]);
    assert!(!std::fs::exists(&output).unwrap());
}

#[test]
fn damaged_positions_are_left_out() {
    let scan = Scan::new("u1", "blocks");
    python("damage", &[scan.file.to_str().unwrap()]);
    let output = scan.beside("out.h5");
    let ran = pixelmill(scan.arguments("quantiles", &output, &["-p", "of=point"]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(python("counts", &[&output]), json!([821]));
    let verified = succeed(["verify", &output, ran.json["group"].as_str().unwrap()]);
    assert_eq!(verified["different"], json!([]));
}

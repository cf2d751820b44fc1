//! The process `pick`: the spectra of some positions as they are in the file, none of the others
//! read.

use serde_json::{Value, json};

use crate::support::folds::{Scan, python};
use crate::support::{filters_program, pixelmill, refuse, succeed};

const CHOSEN: &str = "[850,3,7:9,432,3]";

fn chosen() -> Value {
    json!([3, 7, 8, 432, 850])
}

fn wrong(output: &str, group: &Value, kind: &str, options: &Value) -> Value {
    python("picked", &[output, group.as_str().unwrap(), kind, &options.to_string()])
}

#[test]
fn spectra_are_as_they_are_in_the_file() {
    for (kind, layout) in [
        ("u1", "frames"),
        ("i2", "blocks"),
        ("u4", "ragged"),
        ("i8", "contiguous"),
        ("f2", "contiguous"),
        ("f4", "blocks"),
        ("f8", "ragged"),
        ("c8", "blocks"),
        ("c16", "contiguous"),
    ] {
        let scan = Scan::new(kind, layout);
        let mut seen = Vec::new();
        for cores in ["1", "3"] {
            let output = scan.beside(&format!("{cores}.h5"));
            let ran = scan.run("pick", &output, &["--positions", CHOSEN, "--cores", cores]);
            let told = json!({ "positions": chosen() });
            assert_eq!(wrong(&output, &ran["group"], kind, &told), json!([]), "{kind} {layout}");
            seen.push(python("results", &[&output])["hash"].clone());
        }
        assert_eq!(seen[0], seen[1], "{kind} {layout}");
    }
}

#[test]
fn spectra_are_those_of_libertem() {
    let scan = Scan::new("u2", "contiguous");
    let output = scan.beside("out.h5");
    let ran = scan.run("pick", &output, &["--positions", CHOSEN]);
    let (file, group) = (scan.file.to_str().unwrap(), ran["group"].as_str().unwrap());
    let is_same =
        filters_program("libertem_pick.py", [file, &output, group, &chosen().to_string()]);
    assert_eq!(is_same, true);
}

#[test]
fn what_is_corrected_is_computed() {
    for (kind, layout) in [("u2", "blocks"), ("c8", "contiguous")] {
        let scan = Scan::new(kind, layout);
        let (output, dark) = (scan.beside("out.h5"), scan.beside("dark.npy"));
        python("dark", &[&dark]);
        let ran = scan.run("pick", &output, &["--positions", CHOSEN, "--dark", &dark]);
        let told = json!({ "positions": chosen(), "dark": true });
        assert_eq!(wrong(&output, &ran["group"], kind, &told), json!([]), "{kind}");
    }
}

#[test]
fn no_integer_is_too_long() {
    let scan = Scan::made(|file| python("longest_integers", &[file]));
    let output = scan.beside("out.h5");
    let ran = scan.run("pick-many", &output, &["--positions", "1:5:3"]);
    let group = ran["group"].as_str().unwrap();
    assert_eq!(python("longest_are_picked", &[&output, group]), true);
}

#[test]
fn nothing_else_is_read() {
    for (layout, frames) in [("contiguous", 5), ("frames", 5), ("blocks", 5)] {
        let scan = Scan::new("u2", layout);
        let ran = scan.run("pick", &scan.beside("out.h5"), &["--positions", CHOSEN]);
        assert_eq!(ran["report"]["bytes"], frames * 19 * 31 * 2, "{layout}");
        if layout == "frames" {
            assert_eq!(ran["report"]["chunks_decoded"], frames);
        }
    }
}

#[test]
fn a_damaged_position_is_there_without_values() {
    for kind in ["u2", "f4"] {
        let scan = Scan::new(kind, "frames");
        python("damage", &[scan.file.to_str().unwrap()]);
        let output = scan.beside("out.h5");
        // The chunk of step 1, 1.
        let ran = pixelmill(scan.arguments("pick", &output, &["--positions", "[3,24,850]"]));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert_eq!(ran.json["failed"][0]["position"], 24);
        let told = json!({ "positions": [3, 24, 850], "lost": [24] });
        assert_eq!(wrong(&output, &ran.json["group"], kind, &told), json!([]), "{kind}");
    }
}

#[test]
fn other_positions_are_other_results() {
    let scan = Scan::new("i2", "blocks");
    let output = scan.beside("out.h5");
    let first = scan.run("pick", &output, &["--positions", CHOSEN]);
    let same = scan.run("pick", &output, &["--positions", "[3,7,8,432,850]"]);
    assert_eq!((&same["outcome"], &same["group"]), (&json!("existing"), &first["group"]));
    let other = scan.run("pick", &output, &["--positions", "[3,7,8,431,850]"]);
    assert_ne!((&other["group"], &other["parameter_hash"]), (&first["group"], &Value::Null));
    assert_ne!(other["parameter_hash"], first["parameter_hash"]);
    let told = json!({ "positions": [3, 7, 8, 431, 850] });
    assert_eq!(wrong(&output, &other["group"], "i2", &told), json!([]));
    let verified = succeed(["verify", &output, first["group"].as_str().unwrap()]);
    assert_eq!((&verified["checked"], &verified["different"]), (&json!(5), &json!([])));
}

#[test]
fn one_position_is_picked_without_a_trace() {
    let scan = Scan::new("i2", "blocks");
    let file = scan.file.to_str().unwrap();
    let test = ["test", "pick", file, "--positions-axes", "0,1"];
    for which in [["--pixel", "51"], ["--at", "2,5"]] {
        let tested = succeed([&test[..], &which].concat());
        assert_eq!(tested["results"][1]["values"], json!([51.0]));
        assert_eq!(tested["results"][2]["values"], json!([2.0, 5.0]));
        assert_eq!(tested["results"][0]["values"], tested["spectrum"]["data"]);
    }
}

#[test]
fn what_cannot_be_picked_is_refused_before_anything_is_written() {
    let scan = Scan::new("u2", "contiguous");
    let output = scan.beside("out.h5");
    for (options, texts) in [
        (vec![], ["none are named", "--positions"]),
        (vec!["--positions", "[3,851]"], ["`851:852`", "0:851"]),
        (vec!["--positions", "37,0"], ["one range FIRST:END for each axis", "37"]),
        (vec!["--positions", ":", "--memory", "3M"], ["are too little", "at least"]),
    ] {
        refuse(scan.arguments("pick", &output, &options), 2, &texts);
    }
    assert!(!std::fs::exists(&output).unwrap());
}

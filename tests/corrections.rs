//! A dark spectrum, a gain and dead pixels: every process sees what NumPy makes of the spectra with
//! them, wherever they lie, and what was corrected isn't taken for what wasn't.

use std::fs;

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python};
use crate::support::{refuse, run, succeed};

const WHAT: [&str; 4] = ["--dataset", "/d", "--positions-axes", "0,1"];

/// 4 × 5 frames of 16 × 24 counts, a dark, a gain and a mask of dead pixels in the file and beside
/// it.
fn scan() -> Scan {
    let scan = Scan::nothing();
    ask_python(&["corrections.py", "write", &scan.file]);
    scan
}

/// How many digests of a run aren't NumPy's.
fn wrong(scan: &Scan, ran: &Value, how: &str) -> Value {
    let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
    ask_python(&["corrections.py", "wrong", &scan.file, file, group, how])
}

#[test]
fn corrected_spectra_are_those_of_numpy() {
    let scan = scan();
    let npy = |name: &str| scan.beside(name);
    let (dark, gain, mask) = (npy("dark.npy"), npy("gain.npy"), npy("mask.npy"));
    let other = format!("{}:/dark", scan.beside("other.h5"));
    let cases: [(&[&str], &str); 8] = [
        (&["--dark", "/dark"], "dark"),
        (&["--gain", &gain], "gain"),
        (&["--dark", &dark, "--gain", "/gain"], "dark,gain"),
        (&["--dead-pixels", &mask], "dead"),
        (&["--dead-pixels", "3,5;3,6;15,23"], "dead"),
        (&["--dark", &other, "--gain", &gain, "--dead-pixels", &mask], "dark,gain,dead"),
        (&["--dark", &dark, "--gain", &gain, "--crop", "2:15:2,4:20"], "dark,gain,crop"),
        (&["--dark", &dark, "--dead-pixels", &mask, "--along", "1"], "dark,dead,rows"),
    ];
    for (options, how) in cases {
        let all = [&WHAT[..], options].concat();
        let ran = scan.run("digest", &all);
        assert_eq!(ran["outcome"], "finished", "{options:?}");
        assert_eq!(wrong(&scan, &ran, how), json!(0), "{options:?}");
        assert_eq!(scan.run("digest", &all)["outcome"], "existing", "{options:?}");
        let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
        let told = &succeed(["status", file, group])["groups"][0]["corrections"];
        assert!(told.as_object().unwrap().values().any(Value::is_string), "{options:?}");
        let resumed = [&WHAT[..], &["--resume", group]].concat();
        assert_eq!(scan.run("digest", &resumed)["outcome"], "existing", "{options:?}");
        let verified = succeed(["verify", file, group]);
        assert_eq!(verified["different"], json!([]), "{options:?}");
        assert_ne!(verified["checked"], json!(0), "{options:?}");
    }
    assert_eq!(scan.run("digest", &WHAT)["outcome"], "finished", "nothing of it is uncorrected");
}

#[test]
fn another_dark_of_the_same_name_makes_another_computation() {
    let scan = scan();
    let dark = scan.beside("dark.npy");
    let all = [&WHAT[..], &["--dark", &dark]].concat();
    let first = scan.run("digest", &all);
    ask_python(&["corrections.py", "change", &dark]);
    let second = scan.run("digest", &all);
    assert_eq!(second["outcome"], "finished");
    assert_ne!(first["group"], second["group"]);
}

#[test]
fn a_test_of_a_position_sees_corrected_values() {
    let scan = scan();
    let dark = scan.beside("dark.npy");
    let seen = |options: &[&str]| {
        let position = ["test", "digest", &scan.file, "--pixel", "3"];
        succeed([&position, &WHAT[..], options].concat())["results"].clone()
    };
    assert_ne!(seen(&["--dark", &dark]), seen(&[]));
}

#[test]
fn what_cant_correct_is_refused_and_changes_nothing() {
    let scan = scan();
    let before = fs::read(&scan.file).unwrap();
    let (wide, complex) = (scan.beside("wide.npy"), scan.beside("complex.npy"));
    let all_dead = scan.beside("all_dead.npy");
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("digest", &["--dark", &wide], &["its shape is [16, 25]", "[16, 24]"]),
        ("digest", &["--gain", "/nowhere"], &["/nowhere", "there is no"]),
        ("sum", &["--dark", &complex], &["complex64", "can't become float64"]),
        ("digest", &["--dead-pixels", "3,24"], &["[3, 24] is no place", "[16, 24]"]),
        ("digest", &["--dead-pixels", "3"], &["[3] is no place"]),
        ("digest", &["--dead-pixels", "3,,4"], &["`3,,4` is no list of steps"]),
        ("digest", &["--dead-pixels", &all_dead], &["has no good one beside it"]),
        ("digest", &["--dark", "missing.npy"], &["missing.npy"]),
    ];
    for (process, options, texts) in cases {
        let arguments = run(process, scan.file.as_ref(), &[&WHAT[..], options].concat());
        refuse(arguments, 1, texts);
    }
    assert!(fs::read(&scan.file).unwrap() == before);
}

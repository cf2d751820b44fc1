//! The process `nmf`: errors beside scikit-learn's, amounts beside SciPy's non-negative least
//! squares, and scans whose components are known.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::{filters_program, pixelmill, python_function, refuse};

/// By the Python that has scikit-learn.
fn peers(function: &str, arguments: &[&str]) -> Value {
    filters_program("nmf.py", [&[function], arguments].concat())
}

fn python(function: &str, arguments: &[&str]) -> Value {
    python_function("nmf.py", function, arguments.iter().map(AsRef::<OsStr>::as_ref))
}

/// A scan of four components.
fn made(kind: &str, noise: &str, element: &str, layout: &str) -> Scan {
    Scan::made(|file| python("write", &[file, kind, noise, element, layout]))
}

/// One that is special in some way.
fn special(what: &str) -> Scan {
    let scan = made("peaks", "0.01", "f4", "contiguous");
    python("special", &[scan.file.to_str().unwrap(), what]);
    scan
}

fn four<'o>(options: &[&'o str]) -> Vec<&'o str> {
    [&["-p", "components=4"], options].concat()
}

fn number(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap_or_else(|| panic!("no {name} in {found}"))
}

#[test]
fn errors_are_no_larger_than_those_of_scikit_learn() {
    for (kind, noise, element, layout, poisson) in [
        ("random", "0.01", "f4", "contiguous", "false"),
        ("peaks", "0.02", "u2", "gzip", "false"),
        ("alike", "0.01", "f8", "gzip", "false"),
        ("peaks", "0", "f4", "frames", "false"),
        ("separable", "0.1", "f4", "contiguous", "false"),
        ("peaks", "poisson", "i4", "contiguous", "true"),
    ] {
        let scan = made(kind, noise, element, layout);
        let output = scan.beside("out.h5");
        let poisson_option = format!("poisson={poisson}");
        let ran = scan.run("nmf", &output, &four(&["-p", &poisson_option]));
        let (file, group) = (scan.file.to_str().unwrap(), ran["group"].as_str().unwrap());
        let found = peers("compared", &[file, &output, group, poisson]);
        let about = format!("{kind} {noise} {element} {layout}: {found}");
        assert!(number(&found, "ours") <= number(&found, "theirs") * 1.001 + 1e-7, "{about}");
        for (name, most) in [("told", 1e-8), ("amounts", 1e-7), ("contribution", 1e-9)] {
            assert!(number(&found, name) < most, "{name} in {about}");
        }
        for name in ["is_sorted", "is_positive", "heights"] {
            assert_eq!(found[name], true, "{name} in {about}");
        }
        assert!(number(&found, "passes") < 100.0, "{about}");
    }
}

#[test]
fn components_that_are_alone_somewhere_are_found_as_they_are() {
    let scan = made("separable", "0", "f8", "contiguous");
    let output = scan.beside("out.h5");
    let exact = four(&["-p", "tolerance=0", "-p", "passes=300"]);
    let ran = scan.run("nmf", &output, &exact);
    let (file, group) = (scan.file.to_str().unwrap(), ran["group"].as_str().unwrap());
    let found = python("truth", &[file, &output, group, "separable"]);
    assert_eq!(found["order"], json!([0, 1, 2, 3]));
    assert!(number(&found, "spectra") < 1e-3, "{found}");
    assert!(number(&found, "amounts") < 1e-3, "{found}");
}

#[test]
fn what_it_begins_with_by_chance_counts_little() {
    let scan = made("separable", "0.01", "f4", "contiguous");
    let run = |seed: &str| {
        let (output, seed) = (scan.beside(&format!("{seed}.h5")), format!("seed={seed}"));
        let exact = four(&["-p", "tolerance=1e-7", "-p", "passes=300", "-p", &seed]);
        let ran = scan.run("nmf", &output, &exact);
        (output, ran["group"].as_str().unwrap().to_owned())
    };
    let ((one, group), (other, _)) = (run("1"), run("2"));
    let found = python("apart", &[scan.file.to_str().unwrap(), &one, &other, &group]);
    assert!(number(&found, "most") < 0.01, "{found}");
}

#[test]
fn empty_spectra_and_components_that_are_not_there_have_nothing() {
    for what in ["empty", "few", "nothing"] {
        let scan = special(what);
        for options in [&[][..], &["-p", "poisson=true"]] {
            let output = scan.beside(&format!("{}.h5", options.len()));
            let ran = scan.run("nmf", &output, &four(options));
            let (file, group) = (scan.file.to_str().unwrap(), ran["group"].as_str().unwrap());
            let found = python("kept", &[file, &output, group]);
            assert_eq!(found["finite"], true, "{what} {found}");
            match what {
                "empty" => assert_eq!(found["empty"], 0.0, "{found}"),
                "few" => {
                    assert_eq!(found["loadings"].as_array().unwrap()[1..], [0.0, 0.0, 0.0]);
                    assert!(number(&found, "rebuilt") < 1e-6, "{found}");
                    assert!(number(&found, "error") < 1e-6, "{found}");
                }
                _ => {
                    assert_eq!(found["loadings"], json!([0.0, 0.0, 0.0, 0.0]));
                    assert_eq!(
                        (&found["heights"], &found["error"]),
                        (&found["loadings"], &json!(0.0))
                    );
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_factorised_is_refused_or_fails() {
    let scan = special("negative");
    let output = scan.beside("out.h5");
    let told = "61 components are more than there are of 851 positions with 60 values each";
    refuse(scan.arguments("nmf", &output, &["-p", "components=61"]), 1, &[told]);
    let few = four(&["--positions", "0:3"]);
    let told = "it takes at least 4 positions with these parameters, and 3 are selected";
    refuse(scan.arguments("nmf", &output, &few), 1, &[told]);
    assert!(!std::path::Path::new(&output).exists());
    let ran = pixelmill(scan.arguments("nmf", &output, &four(&[])));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(77)));
    let why = failed[0]["message"].as_str().unwrap();
    assert!(why.contains("value 5 is -3, and sums of components that aren't negative"), "{why}");
}

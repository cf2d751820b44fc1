//! The processes `orpca` and `ornmf`: beside the truth of simulated scans with outliers, HyperSpy,
//! and what the loadings of given components have to be.

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::{filters_program, pixelmill, python_function, refuse};

/// By the Python that has HyperSpy.
fn peers(function: &str, arguments: &[&str]) -> Value {
    filters_program("online.py", [&[function], arguments].concat())
}

/// A scan of a kind and a layout.
fn made(kind: &str, layout: &str) -> Scan {
    Scan::made(|file| python_function("online.py", "write", [file, kind, layout]))
}

/// What HyperSpy, and what is known of the scan, say of what a run has found.
fn checked(scan: &Scan, fold: &str, options: &[&str], with_hyperspy: bool) -> Value {
    let output = scan.beside("out.h5");
    let ran = scan.run(fold, &output, options);
    let file = scan.file.to_str().unwrap();
    let found = peers(
        "checked",
        &[file, &output, ran["group"].as_str().unwrap(), &with_hyperspy.to_string()],
    );
    std::fs::remove_file(&output).unwrap();
    found
}

fn number(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap_or_else(|| panic!("no {name} in {found}"))
}

#[test]
fn components_are_found_in_spite_of_outliers() {
    for (fold, kind, layout, with_hyperspy) in [
        ("orpca", "f4", "contiguous", true),
        ("orpca", "f8", "frames", false),
        ("ornmf", "u2", "gzip", true),
        ("ornmf", "f4", "contiguous", false),
    ] {
        let scan = made(kind, layout);
        let found = checked(&scan, fold, &["-p", "components=4"], with_hyperspy);
        let about = format!("{fold} of {kind} {layout}: {found}");
        // Of what the scan was made of, without noise and outliers.
        assert!(number(&found, "ours") < 0.01, "{about}");
        if with_hyperspy {
            assert!(number(&found, "ours") <= number(&found, "theirs"), "{about}");
        }
        assert!(number(&found, "outliers_found") > 0.95, "{about}");
    }
}

#[test]
fn loadings_are_the_best_for_their_components() {
    for (fold, kind, options) in [
        ("orpca", "f4", &["-p", "components=4"][..]),
        ("orpca", "f8", &["-p", "components=3", "-p", "shrinkage=50", "-p", "threshold=4"]),
        ("orpca", "f4", &["-p", "components=4", "-p", "batch=1000", "-p", "epochs=1"]),
        ("ornmf", "u2", &["-p", "components=4"]),
        ("ornmf", "f8", &["-p", "components=5", "-p", "threshold=1e9", "-p", "batch=1"]),
    ] {
        let scan = made(kind, "contiguous");
        let found = checked(&scan, fold, options, false);
        let about = format!("{fold} {options:?} of {kind}: {found}");
        for name in ["norms", "order", "variance", "residual", "outliers"] {
            assert_eq!(found[name], true, "{name} in {about}");
        }
        if !options.contains(&"shrinkage=50") {
            assert!(number(&found, "loadings") < 1e-6, "{about}");
        }
    }
}

#[test]
fn without_outliers_and_noise_nothing_is_lost() {
    let scan = made("clean", "contiguous");
    for fold in ["orpca", "ornmf"] {
        let found = checked(&scan, fold, &["-p", "components=4", "-p", "epochs=20"], false);
        let most = if fold == "orpca" { 1e-6 } else { 0.05 };
        assert!(number(&found, "ours") < most, "{fold}: {found}");
    }
}

#[test]
fn spectra_of_low_rank_have_no_components_beyond() {
    for kind in ["equal", "zero"] {
        let scan = made(kind, "contiguous");
        for fold in ["orpca", "ornmf"] {
            let found = checked(&scan, fold, &["-p", "components=3"], false);
            assert_eq!(found["finite"], true, "{fold} of {kind}: {found}");
            assert!(number(&found, "rebuilt") < 1e-6, "{fold} of {kind}: {found}");
        }
    }
}

#[test]
fn what_cannot_be_learned_from_is_refused_or_fails() {
    let scan = made("f4", "contiguous");
    let output = scan.beside("out.h5");
    let told = "500 components are more than there are of 1000 positions with 60 values each";
    refuse(scan.arguments("orpca", &output, &["-p", "components=500"]), 1, &[told]);
    refuse(scan.arguments("ornmf", &output, &["-p", "epochs=0"]), 2, &["epochs"]);
    for fold in ["orpca", "ornmf"] {
        let told = "it takes at least 4 positions with these parameters, and 3 are selected";
        let few = ["-p", "components=4", "--positions", "0:3"];
        refuse(scan.arguments(fold, &output, &few), 1, &[told]);
    }
    assert!(!std::path::Path::new(&output).exists());
    for shrinkage in ["1e308", "1e150", "1e7"] {
        let given = format!("shrinkage={shrinkage}");
        let ran =
            pixelmill(scan.arguments("orpca", &output, &["-p", "components=3", "-p", &given]));
        assert_eq!(ran.code, Some(1), "{shrinkage}");
        assert!(ran.stderr.contains("leaves nothing of the data"), "{}", ran.stderr);
    }
    let negative = made("negative", "contiguous");
    let output = negative.beside("out.h5");
    let ran = pixelmill(negative.arguments("ornmf", &output, &["-p", "components=2"]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(77)));
    let why = failed[0]["message"].as_str().unwrap();
    assert!(why.contains("value 5 is -3, and no non-negative components"), "{why}");
}

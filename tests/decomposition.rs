//! The processes `svd` and `pca`, and `kmeans`: beside NumPy's decomposition of the whole scan,
//! HyperSpy's scaling, and scikit-learn's clusters.

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::golden::{assert_golden, kept};
use crate::support::{filters_program, pixelmill, refuse, root, run, succeed};

/// By the Python that has HyperSpy and scikit-learn.
fn peers(function: &str, arguments: &[&str]) -> Value {
    filters_program("decomposition.py", [&[function], arguments].concat())
}

/// The scan of a kind and a layout, made of so many spectra and noise.
fn made(kind: &str, layout: &str) -> Scan {
    Scan::made(|file| python_of("write", &[file, kind, layout]))
}

fn python_of(function: &str, arguments: &[&str]) -> Value {
    crate::support::python_function(
        "decomposition.py",
        function,
        arguments.iter().map(AsRef::<std::ffi::OsStr>::as_ref),
    )
}

/// How far what a run has found is from the exact decomposition.
fn apart(scan: &Scan, fold: &str, options: &[&str]) -> Value {
    let output = scan.beside("out.h5");
    let ran = scan.run(fold, &output, options);
    let file = scan.file.to_str().unwrap();
    let found = python_of("apart", &[file, &output, ran["group"].as_str().unwrap()]);
    std::fs::remove_file(&output).unwrap();
    found
}

fn number(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap_or_else(|| panic!("no {name} in {found}"))
}

#[test]
fn components_are_those_of_numpy() {
    for (kind, layout) in [
        ("f4", "contiguous"),
        ("u2", "gzip"),
        ("f8", "gzip"),
        ("i4", "contiguous"),
        ("f4", "frames"),
    ] {
        let scan = made(kind, layout);
        for (fold, options) in [
            ("svd", &["-p", "components=4"][..]),
            ("pca", &["-p", "components=3"]),
            ("svd", &["-p", "components=4", "-p", "poisson=true"]),
        ] {
            let found = apart(&scan, fold, options);
            let about = format!("{fold} {options:?} of {kind} {layout}: {found}");
            for name in ["s", "u", "v", "ratio", "orthonormal", "rebuilt"] {
                assert!(number(&found, name) < 1e-6, "{name} in {about}");
            }
            assert_eq!(found["signs"], true, "{about}");
            // No farther from an exact one than the residual says.
            assert_eq!(found["is_within_residual"], true, "{about}");
            assert_eq!(found["elbow"], found["expected_elbow"], "{about}");
        }
    }
}

#[test]
fn components_of_noise_are_as_near_as_they_say() {
    let scan = made("noise", "contiguous");
    let few = apart(&scan, "svd", &["-p", "components=12", "-p", "passes=2"]);
    let many =
        apart(&scan, "svd", &["-p", "components=12", "-p", "passes=40", "-p", "tolerance=1e-9"]);
    assert_eq!(
        (&few["is_within_residual"], &many["is_within_residual"]),
        (&json!(true), &json!(true))
    );
    assert!(number(&few, "s") > 1e-3, "noise isn't found in two passes: {few}");
    assert!(number(&many, "s") < 1e-6, "{many}");
}

#[test]
fn the_start_is_by_chance_and_the_end_is_not() {
    let scan = made("f4", "contiguous");
    let run = |seed: &str| {
        let output = scan.beside(&format!("{seed}.h5"));
        let seed = format!("seed={seed}");
        scan.run("svd", &output, &["-p", "components=3", "-p", &seed]);
        output
    };
    let (one, other) = (run("1"), run("2"));
    let found = python_of("differ", &[&one, &other]);
    assert!(number(&found, "most") < 1e-9, "{found}");
}

#[test]
fn spectra_of_low_rank_have_no_components_beyond() {
    let scan = made("equal", "contiguous");
    let output = scan.beside("out.h5");
    let ran = scan.run("svd", &output, &["-p", "components=3"]);
    let found = python_of("values", &[&output, ran["group"].as_str().unwrap()]);
    let s: Vec<f64> = found["S"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(s[0] > 1.0 && s[1] < 1e-6 * s[0] && s[2] < 1e-6 * s[0], "{found}");
    assert_eq!(found["beyond"], 0.0, "U of what is nothing: {found}");
    assert_eq!(found["finite"], true, "{found}");
}

#[test]
fn what_cannot_be_decomposed_is_refused_or_fails() {
    let scan = made("f4", "contiguous");
    let output = scan.beside("out.h5");
    for (fold, option, told) in [
        (
            "svd",
            "components=500",
            "500 components are more than there are of 851 positions with 60 values each",
        ),
        ("pca", "poisson=true", "take `svd` with `poisson`"),
        ("kmeans", "clusters=900", "851 positions can't be in 900 clusters"),
        ("kmeans", "sample=3", "8 clusters need a `sample` of as many spectra, not 3"),
    ] {
        refuse(scan.arguments(fold, &output, &["-p", option]), 1, &[told]);
    }
    for (fold, option) in
        [("svd", "components=9"), ("pca", "components=9"), ("kmeans", "clusters=9")]
    {
        for (positions, are) in [("0:5", "5 are selected"), ("7", "1 is selected")] {
            let told = ["it takes at least 9 positions with these parameters", are];
            let few = ["-p", option, "--positions", positions];
            refuse(scan.arguments(fold, &output, &few), 1, &told);
        }
    }
    assert!(!std::path::Path::new(&output).exists());
    let negative = made("negative", "contiguous");
    let ran = pixelmill(negative.arguments(
        "svd",
        &negative.beside("out.h5"),
        &["-p", "components=2", "-p", "poisson=true"],
    ));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(77)));
    let why = failed[0]["message"].as_str().unwrap();
    assert!(why.contains("value 5 is -3, and counts aren't negative"), "{why}");
}

#[test]
fn values_whose_squares_are_no_numbers_are_no_results() {
    for (kind, told) in [("tiny", "too small"), ("huge", "too large")] {
        let scan = made(kind, "contiguous");
        let output = scan.beside("out.h5");
        for fold in ["svd", "pca", "nmf", "orpca", "ornmf", "kmeans", "gaussian-mixture"] {
            let ran = pixelmill(scan.arguments(fold, &output, &[]));
            assert_eq!(ran.code, Some(1), "{fold}: {}", ran.stderr);
            let said = format!("one of them since its values are {told} to be squared");
            assert!(ran.stderr.contains(&said), "{fold}: {}", ran.stderr);
        }
    }
}

#[test]
fn hyperspy_finds_the_same_components() {
    let scan = Scan::made(|file| peers("write_hspy", &[file]));
    let output = scan.beside("out.h5");
    let file = scan.file.to_str().unwrap();
    for (fold, options, centre, poisson) in [
        ("svd", &["-p", "components=3"][..], "none", "false"),
        ("svd", &["-p", "components=3", "-p", "poisson=true"], "none", "true"),
        ("pca", &["-p", "components=3"], "navigation", "false"),
    ] {
        let all = [options, &["--override"]].concat();
        let ran =
            succeed(run(fold, &scan.file, &[&["--output", output.as_str()], &all[..]].concat()));
        let group = ran["group"].as_str().unwrap();
        let told = [file, &output, group, centre, poisson];
        let found = peers("hyperspy", &told);
        for name in ["variance", "loadings", "factors"] {
            assert!(number(&found, name) < 1e-5, "{fold} {options:?}: {found}");
        }
    }
}

#[test]
fn clusters_are_as_good_as_those_of_scikit_learn() {
    for (kind, layout) in [
        ("clusters", "contiguous"),
        ("clusters", "gzip"),
        ("clusters", "frames"),
        ("offset", "contiguous"),
    ] {
        let scan = made(kind, layout);
        let output = scan.beside("clusters.h5");
        let ran = scan.run("kmeans", &output, &["-p", "clusters=6", "-p", "tolerance=0"]);
        let (file, group) = (scan.file.to_str().unwrap(), ran["group"].as_str().unwrap());
        let found = peers("clusters", &[file, &output, group]);
        let about = format!("{kind} {layout}: {found}");
        assert!(number(&found, "iterations") < 300.0, "{about}");
        for name in ["labels", "counts", "centers", "distances", "inertia", "center_distances"] {
            assert_eq!(found[name], true, "{name} in {about}");
        }
        let (ours, theirs) = (number(&found, "ours"), number(&found, "theirs"));
        assert!(ours <= theirs * 1.000_001, "{about}");
    }
}

/// Some of what was computed from the sample.
const GOLDEN: &str = "data/two_peaks_3x4_decompositions.json";

#[test]
fn golden_results_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scan.h5");
    std::fs::copy(root().join("data/two_peaks_3x4.h5"), &file).unwrap();
    let mut found = serde_json::Map::new();
    for (name, fold, options) in [
        ("svd", "svd", &["-p", "components=3"][..]),
        ("svd poisson", "svd", &["-p", "components=3", "-p", "poisson=true"]),
        ("pca", "pca", &["-p", "components=3"]),
        ("nmf", "nmf", &["-p", "components=3"]),
        ("orpca", "orpca", &["-p", "components=2"]),
        ("ornmf", "ornmf", &["-p", "components=2"]),
    ] {
        let ran = succeed(run(fold, &file, options));
        found.insert(name.to_owned(), kept(file.to_str().unwrap(), &ran["group"], "12"));
    }
    assert_golden(GOLDEN, &found, |_| 1e-9);
}

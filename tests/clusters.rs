//! The process `kmeans` over complex spectra and over what another process has found, and
//! `gaussian-mixture`: beside scikit-learn, whose estimators pycroscopy's `Cluster` runs.

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::usid::{self, group};
use crate::support::{filters_program, pixelmill, python_function, refuse, root, succeed};

/// By the Python that has scikit-learn.
fn peers(function: &str, arguments: &[&str]) -> Value {
    filters_program("clusters.py", [&[function], arguments].concat())
}

fn made(function: &str, arguments: &[&str]) -> Scan {
    Scan::made(|file| python_of(function, &[&[file], arguments].concat()))
}

fn python_of(function: &str, arguments: &[&str]) -> Value {
    python_function("clusters.py", function, arguments)
}

fn number(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap_or_else(|| panic!("no {name} in {found}"))
}

/// Holds clusters beside those of scikit-learn.
fn assert_clusters(found: &Value, about: &str) {
    for name in ["labels", "counts", "centers", "distances"] {
        assert_eq!(found[name], true, "{name} in {about}: {found}");
    }
    let (ours, theirs) = (number(found, "inertia"), number(found, "theirs"));
    assert!(ours <= theirs * 1.000_001, "{about}: {found}");
}

#[test]
fn complex_spectra_are_in_clusters_by_both_of_their_parts() {
    for (kind, layout) in [("c8", "contiguous"), ("c16", "gzip"), (">c8", "frames")] {
        let scan = made("write_complex", &[kind, layout]);
        let output = scan.beside("out.h5");
        let ran = scan.run("kmeans", &output, &["-p", "clusters=5", "-p", "tolerance=0"]);
        let told = [scan.file.to_str().unwrap(), "data", &output, ran["group"].as_str().unwrap()];
        let found = peers("clusters", &told);
        assert_clusters(&found, &format!("{kind} {layout}"));
        assert_eq!(found["kind"], "complex128");
        let (shape, axes) = match layout {
            "frames" => (json!([5, 4, 6]), json!(["Cluster", "axis 2", "axis 3"])),
            _ => (json!([5, 24]), json!(["Cluster", "axis 2"])),
        };
        assert_eq!((&found["shape"], &found["axes"]), (&shape, &axes));
    }
}

#[test]
fn a_complex_spectrum_that_is_no_number_in_one_part_fails() {
    let scan = made("write_complex", &["c8", "contiguous"]);
    python_of("spoil_imaginary", &[scan.file.to_str().unwrap()]);
    let ran = pixelmill(scan.arguments("kmeans", &scan.beside("out.h5"), &["-p", "clusters=5"]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(3 * 23 + 4)), "{failed:?}");
    let why = failed[0]["message"].as_str().unwrap();
    assert!(why.contains("value 7 of the spectrum has the imaginary part inf"), "{why}");
}

#[test]
fn clusters_are_learned_from_mini_batches() {
    let scan = made("write_learned", &[]);
    let (file, output) = (scan.file.to_str().unwrap(), scan.beside("out.h5"));
    let found = |more: &[&str]| {
        let given = [&["-p", "clusters=5", "-p", "batch=1000"], more].concat();
        let ran = scan.run("kmeans", &output, &given);
        let found = peers("learned", &[file, &output, ran["group"].as_str().unwrap()]);
        for name in ["labels", "counts", "distances", "inertia"] {
            assert_eq!(found[name], true, "{name} with {more:?}: {found}");
        }
        found
    };
    let at_rest = found(&[]);
    let (ours, of_all) = (number(&at_rest, "ours"), number(&at_rest, "of_all"));
    assert!(ours < 1.000_1 * of_all && ours < 1.000_01 * number(&at_rest, "theirs"), "{at_rest}");
    assert!((2.0..100.0).contains(&number(&at_rest, "epochs")), "{at_rest}");
    let once = found(&["-p", "iterations=1"]);
    assert_eq!(number(&once, "epochs"), 1.0);
    let ours = number(&once, "ours");
    assert!(ours < 1.01 * of_all && ours != number(&at_rest, "ours"), "{once}");
}

#[test]
fn pyusid_reads_clusters_of_complex_spectra() {
    let scan = usid::Scan::new(&["--type", "c64"]);
    scan.run("kmeans", &["-p", "clusters=3"]);
    let seen = scan.usid("check", &[&group("K_Means", 0), "Labels", "Distance"]);
    assert_eq!(seen["datasets"]["Labels"]["n_dim_shape"], json!([4, 5, 1]));
    let found = scan.script(
        "told = [str(file[given[0]].dtype), list(file[given[0]].shape)]",
        &[&format!("{}/Mean_Response", group("K_Means", 0))],
    );
    assert_eq!(found, json!(["complex128", [3, 119]]));
}

#[test]
fn loadings_of_components_are_in_clusters() {
    let scan = made("write_mixture", &["f8", "contiguous"]);
    let file = scan.file.to_str().unwrap();
    for process in ["svd", "pca"] {
        let axes = ["--positions-axes", "0,1"];
        let ran = succeed([&["run", process, file, "-p", "components=3"], &axes[..]].concat());
        let loadings = format!("{}/U", ran["group"].as_str().unwrap());
        let of_loadings = ["--dataset", &loadings, "-p", "clusters=3", "-p", "tolerance=0"];
        let ran = succeed([&["run", "kmeans", file], &of_loadings[..], &axes].concat());
        let clustered = ran["group"].as_str().unwrap();
        let found = peers("clusters", &[file, &loadings, file, clustered]);
        assert_clusters(&found, process);
        assert_eq!(found["axes"], json!(["Cluster", "Component"]));
        let verified = succeed(["verify", file, clustered]);
        assert_eq!(verified["different"], json!([]));
    }
}

#[test]
fn loadings_of_a_pyusid_scan_need_no_axes_to_be_named() {
    let scan = usid::Scan::new(&["--type", "f32"]);
    scan.run("svd", &["-p", "components=2"]);
    let loadings = format!("{}/U", group("SVD", 0));
    let ran = scan.run("kmeans", &["--dataset", &loadings, "-p", "clusters=3"]);
    assert_eq!(ran["group"], format!("{loadings}-K_Means_000"));
    let seen = scan.usid("check", &[ran["group"].as_str().unwrap(), "Labels"]);
    assert_eq!(seen["datasets"]["Labels"]["n_dim_shape"], json!([4, 5, 1]));
}

/// To the end, so that it counts where that is and not how far from it one stops.
const TO_THE_END: [&str; 6] =
    ["-p", "components=3", "-p", "tolerance=1e-9", "-p", "iterations=1000"];

#[test]
fn mixtures_are_as_likely_as_those_of_scikit_learn() {
    for (kind, layout, covariance, more) in [
        ("f8", "contiguous", "full", "seed=0"),
        ("f8", "contiguous", "tied", "seed=0"),
        ("f8", "contiguous", "diag", "seed=0"),
        ("f8", "contiguous", "spherical", "seed=0"),
        ("u2", "gzip", "full", "seed=5"),
        (">f4", "frames", "diag", "seed=5"),
        ("i4", "frames", "tied", "restarts=1"),
        // Too few to be a mixture: clusters come first.
        ("f4", "gzip", "full", "sample=12"),
        ("f4", "contiguous", "tied", "sample=12"),
    ] {
        let scan = made("write_mixture", &[kind, layout, "8"]);
        let output = scan.beside("out.h5");
        let covariance = format!("covariance={covariance}");
        let given = [&TO_THE_END[..], &["-p", &covariance, "-p", more]].concat();
        let ran = scan.run("gaussian-mixture", &output, &given);
        let told = [scan.file.to_str().unwrap(), &output, ran["group"].as_str().unwrap()];
        let found = peers("mixtures", &told);
        let about = format!("{covariance} {more} of {kind} {layout}: {found}");
        for name in ["likelihood", "probabilities", "mean", "bic", "aic"] {
            assert!(number(&found, name) < 1e-8, "{name} in {about}");
        }
        assert_eq!(found["labels"], true, "{about}");
        assert!(number(&found, "rest") < 1e-3, "a step of theirs goes on from there: {about}");
        assert!(number(&found, "change").abs() <= 1e-9, "{about}");
        let (ours, theirs) = (number(&found, "ours"), number(&found, "theirs"));
        assert!(ours >= theirs - 1e-6 * theirs.abs(), "{about}");
    }
}

#[test]
fn the_mixture_that_a_scan_is_made_of_is_found() {
    let made_of = ["5", "20000"];
    let scan = made("write_many", &made_of);
    let output = scan.beside("out.h5");
    let ran = scan.run("gaussian-mixture-many", &output, &["-p", "components=3"]);
    let group = ran["group"].as_str().unwrap();
    let found = python_of("truth", &[&[&output, &output, group], &made_of[..]].concat());
    assert_eq!(found["order"], json!([0, 1, 2]), "{found}");
    assert!(number(&found, "weights") < 0.01, "{found}");
    assert!(number(&found, "means") < 0.05, "{found}");
    assert!(number(&found, "covariances") < 0.1, "{found}");
    assert!(number(&found, "labels") > 0.98, "{found}");
}

#[test]
fn what_has_no_mixture_is_refused_or_fails() {
    let scan = made("write_mixture", &["f4", "contiguous"]);
    let output = scan.beside("out.h5");
    for (option, told) in [
        ("components=900", "851 positions can't be of 900 components"),
        ("sample=3", "4 components need a `sample` of as many spectra, not 3"),
    ] {
        refuse(scan.arguments("gaussian-mixture", &output, &["-p", option]), 1, &[told]);
    }
    let long = Scan::many("64", "5000");
    for (option, told) in [
        ("covariance=full", "4 covariances of 5000 points with each other have 100000000 numbers"),
        ("covariance=tied", "a covariance of 5000 points with each other have 25000000 numbers"),
    ] {
        let told = [told, "`covariance=diag`", "`pca`"];
        refuse(long.arguments("gaussian-mixture-many", &output, &["-p", option]), 1, &told);
    }
    let few = ["-p", "components=3", "--positions", "[7,9]"];
    let told = "it takes at least 3 positions with these parameters, and 2 are selected";
    refuse(scan.arguments("gaussian-mixture", &output, &few), 1, &[told]);
    assert!(!std::path::Path::new(&output).exists());
}

/// What comes of spectra that are alike, with these options.
fn of_alike(kind: &str, options: &[&str]) -> Result<Value, String> {
    let scan = made("write_alike", &[kind]);
    let output = scan.beside("out.h5");
    let ran = pixelmill(scan.arguments("gaussian-mixture", &output, options));
    if ran.code != Some(0) {
        return Err(ran.stderr);
    }
    Ok(python_of("read", &[&output, ran.json["group"].as_str().unwrap()]))
}

#[test]
fn spectra_that_are_alike_have_a_mixture_or_it_is_said_why_not() {
    for covariance in ["full", "tied", "diag", "spherical"] {
        let of = format!("covariance={covariance}");
        let why = of_alike("equal", &["-p", &of]).unwrap_err();
        assert!(why.contains("all spectra are the same, and no mixture"), "{why}");
        for kind in ["constant", "few"] {
            let found = of_alike(kind, &["-p", &of]).unwrap();
            assert_eq!(found["finite"], true, "{covariance} {kind}: {found}");
            let weights: Vec<f64> = serde_json::from_value(found["Weights"].clone()).unwrap();
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{found}");
        }
    }
    let why = of_alike("constant", &["-p", "regularization=0"]).unwrap_err();
    assert!(why.contains("has no inverse") && why.contains("`covariance=diag`"), "{why}");
    let why = of_alike("few", &["-p", "regularization=0", "-p", "covariance=diag"]).unwrap_err();
    assert!(why.contains("has no inverse") && !why.contains("`covariance=diag`"), "{why}");
}

#[test]
fn a_spectrum_that_is_no_number_is_in_no_mixture() {
    let scan = made("write_alike", &["no number"]);
    let ran = pixelmill(scan.arguments("gaussian-mixture", &scan.beside("out.h5"), &[]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(77)), "{failed:?}");
    let why = failed[0]["message"].as_str().unwrap();
    assert!(why.contains("value 3 of the spectrum is NaN"), "{why}");
}

/// The sample, and what was computed from it. `PIXELMILL_UPDATE_GOLDEN=1` writes it anew.
const COUNTS: &str = "data/two_peaks_3x4.h5";
const GOLDEN: &str = "data/two_peaks_3x4_clusters.json";

#[test]
fn golden_results_are_the_same() {
    let scan = usid::Scan::nothing();
    std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    let svd = scan.run("svd", &["-p", "components=2"]);
    let loadings = format!("{}/U", svd["group"].as_str().unwrap());
    let mut found = serde_json::Map::new();
    for (name, process, given) in [
        ("kmeans", "kmeans", &["-p", "clusters=3"][..]),
        ("full", "gaussian-mixture", &["-p", "components=2"]),
        ("tied", "gaussian-mixture", &["-p", "components=2", "-p", "covariance=tied"]),
        ("diag", "gaussian-mixture", &["-p", "components=2", "-p", "covariance=diag"]),
        ("spherical", "gaussian-mixture", &["-p", "components=2", "-p", "covariance=spherical"]),
    ] {
        let ran = scan.run(process, &[&["--dataset", loadings.as_str()], given].concat());
        let kept = python_of("kept", &[&scan.file, ran["group"].as_str().unwrap()]);
        found.insert(name.to_owned(), kept);
    }
    let golden = root().join(GOLDEN);
    if std::env::var_os("PIXELMILL_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    for (name, results) in &found {
        assert_eq!(*results, expected[name], "{name}");
    }
}

#[test]
fn of_a_position_by_itself_it_is_said_that_it_has_no_results() {
    let file = root().join("data/two_peaks_3x4.h5");
    let told = |process| {
        let ran = pixelmill(["test", process, file.to_str().unwrap(), "--pixel", "3"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    let told_of = "  no results: those of K_Means are made of all positions together\n";
    assert!(told("kmeans").contains(told_of), "{}", told("kmeans"));
    assert!(!told("sum").contains("no results"));
}

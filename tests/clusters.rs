//! The process `kmeans` over complex spectra and over what another process has found: beside
//! scikit-learn, whose estimators pycroscopy's `Cluster` runs.

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::usid::{self, group};
use crate::support::{filters_program, pixelmill, python_function, succeed};

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

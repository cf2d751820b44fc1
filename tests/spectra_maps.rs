//! Maps of what single spectra have: the numbers of NumPy, SciPy and HyperSpy, whatever the element
//! type, the axis and the way in which the file stores them. `tests/python/spectra_maps.py` has
//! what they are compared with.

use serde_json::Value;

use crate::support::golden::assert_golden;
use crate::support::usid::{Scan, ask_python};
use crate::support::{filters_program, refuse, root};

/// Kinds of spectra in `spectra_maps.py`: element types, contiguous and in chunks that are read in
/// parts, axes that rise, fall, and have uneven steps.
const KINDS: [&str; 6] = ["f8", "f4", "u2", "i4", "uneven", "falling"];

fn spectra(kind: &str) -> Scan {
    let scan = Scan::nothing();
    ask_python(&["spectra_maps.py", "make", &scan.file, kind]);
    scan
}

/// Runs a process with parameters; returns how far each of its results is from what Python's
/// function of that name has.
fn compared(scan: &Scan, process: &str, function: &str, parameters: &[&str]) -> Value {
    let given: Vec<&str> = parameters.iter().flat_map(|parameter| ["-p", parameter]).collect();
    let ran = scan.run(process, &given);
    let group = ran["group"].as_str().unwrap();
    ask_python(&["spectra_maps.py", function, &scan.file, group])
}

/// That all of these are at most so far off.
fn assert_near(found: &Value, most: f64, about: &str) {
    let found = found.as_object().unwrap();
    assert!(!found.is_empty(), "{about}");
    for (name, off) in found {
        let off = off.as_f64().unwrap_or(f64::NAN);
        assert!(off <= most, "{about}, {name}: {off:e}");
    }
}

#[test]
fn moments_are_those_of_numpy() {
    for kind in KINDS {
        let scan = spectra(kind);
        for parameters in [
            &[][..],
            &["from=105", "to=131.3", "background=minimum"],
            &["from=103", "background=linear", "end_points=5"],
        ] {
            let found = compared(&scan, "moments", "moments", parameters);
            assert_near(&found, 1e-10, &format!("{kind} {parameters:?}"));
        }
    }
}

#[test]
fn extremes_and_the_vertices_of_their_parabolas_are_those_of_numpy() {
    for kind in KINDS {
        let scan = spectra(kind);
        for (parameters, has_ends) in [
            (&[][..], false),
            (&["from=113", "to=126.2"], false),
            (&["from=110", "to=118", "extreme=minimum"], true),
        ] {
            let found = compared(&scan, "maximum", "extreme", parameters);
            let about = format!("{kind} {parameters:?}");
            assert_near(&found["off"], 1e-9, &about);
            let refined = found["refined"].as_u64().unwrap();
            assert!(refined > 0 && (refined < 60 || !has_ends), "{about}: {found}");
        }
    }
}

#[test]
fn integrals_are_those_of_scipy() {
    for kind in KINDS {
        let scan = spectra(kind);
        for parameters in [
            &[][..],
            &["windows=[110,125]"],
            &["windows=[[105,112],[110.1,131]]", "background=constant", "after=[131,134]"],
            &["windows=[110,128]", "background=linear", "before=[100,105]", "after=[130,134]"],
            &["windows=[[107,110],[112,131]]", "background=power_law", "before=[100.5,106]"],
        ] {
            let found = compared(&scan, "integral", "integral", parameters);
            assert_near(&found, 1e-9, &format!("{kind} {parameters:?}"));
        }
    }
}

#[test]
fn a_power_law_below_an_edge_leaves_no_rest_as_that_of_hyperspy_does() {
    let scan = Scan::nothing();
    ask_python(&["spectra_maps.py", "edges", &scan.file]);
    let given = ["windows=[285.5,345]", "background=power_law", "before=[252,284]"];
    let given: Vec<&str> = given.iter().flat_map(|parameter| ["-p", parameter]).collect();
    let ran = scan.run("integral", &given);
    let group = ran["group"].as_str().unwrap();
    let found = filters_program("spectra_maps.py", ["rest", &scan.file, group]);
    assert!(found["pixelmill"].as_f64().unwrap() < 1e-9, "{found}");
    assert!(found["hyperspy"].as_f64().unwrap() > 1e-3, "{found}");
}

#[test]
fn smoothed_spectra_and_derivatives_are_those_of_scipy() {
    for kind in ["f8", "f4", "u2", "i4"] {
        let scan = spectra(kind);
        let most = if matches!(kind, "f8" | "i4") { 1e-10 } else { 2e-7 };
        for (process, more) in [
            ("smooth", &[][..]),
            ("smooth", &["window_length=7", "polyorder=3", "mode=mirror"]),
            ("smooth", &["window_length=139", "mode=nearest"]),
            ("smooth", &["window_length=1", "polyorder=0", "mode=wrap"]),
            ("derivative", &[]),
            ("derivative", &["window_length=15", "polyorder=5", "deriv=3", "mode=wrap"]),
            ("derivative", &["window_length=9", "deriv=2", "mode=constant", "cval=20"]),
            ("derivative", &["window_length=21", "polyorder=4", "deriv=2"]),
        ] {
            let found = compared(&scan, process, "savgol", more);
            assert_near(&found, most, &format!("{kind} {process} {more:?}"));
        }
    }
    let uneven = spectra("uneven");
    for process in ["smooth", "derivative", "fft"] {
        refuse(["run", process, &uneven.file], 1, &["`Energy`", "isn't evenly spaced"]);
    }
}

#[test]
fn transforms_are_those_of_numpy_and_power_that_of_scipy() {
    for kind in ["f8", "f4", "u2", "i4", "c16", "c8"] {
        let scan = spectra(kind);
        let most = if matches!(kind, "f8" | "i4" | "c16") { 1e-10 } else { 3e-7 };
        for parameters in [
            &["output=complex"][..],
            &[],
            &["window=hann", "detrend=constant", "scaling=spectrum"],
            &["output=power", "window=blackman"],
            &["output=power", "window=flattop", "scaling=spectrum"],
            &["output=power", "window=hamming", "detrend=constant", "scaling=density"],
        ] {
            let found = compared(&scan, "fft", "fft", parameters);
            assert_near(&found, most, &format!("{kind} {parameters:?}"));
        }
    }
}

#[test]
fn results_are_those_of_hyperspy() {
    let scan = spectra("f8");
    let mut arguments = vec!["hyperspy".to_owned(), scan.file.clone()];
    for (process, parameters) in [
        ("maximum", &[][..]),
        ("smooth", &["window_length=9", "polyorder=3"]),
        ("derivative", &["window_length=9", "polyorder=3", "deriv=2"]),
        ("fft", &["output=complex"]),
    ] {
        let given: Vec<&str> = parameters.iter().flat_map(|parameter| ["-p", parameter]).collect();
        arguments.push(scan.run(process, &given)["group"].as_str().unwrap().to_owned());
    }
    let found = filters_program("spectra_maps.py", arguments);
    assert_eq!(found.as_object().unwrap().len(), 5);
    assert_near(&found, 1e-10, "HyperSpy");
}

#[test]
fn frames_through_a_mask_are_those_of_numpy() {
    let scan = Scan::nothing();
    ask_python(&["spectra_maps.py", "frames", &scan.file]);
    for (dataset, most) in [("f8", 1e-12), ("f4", 2e-7), ("u2", 2e-7)] {
        for (number, parameters) in [
            &["radius=0.2"][..],
            &["radius=0.3", "radius_inner=0.1", "keep=outside"],
            &["radius=0.05", "center_y=0.14", "center_x=0.06"],
            &["mask=/mask"],
            &["mask=/mask", "keep=outside"],
        ]
        .into_iter()
        .enumerate()
        {
            let output = scan.beside(&format!("{dataset}_{number}.h5"));
            let given = parameters.iter().flat_map(|parameter| ["-p", parameter]);
            let all = ["--dataset", dataset, "--positions-axes", "0,1", "--output", &output];
            let ran = scan.run("fft-mask", &all.into_iter().chain(given).collect::<Vec<_>>());
            let group = ran["group"].as_str().unwrap();
            let found =
                ask_python(&["spectra_maps.py", "fft_mask", &scan.file, dataset, &output, group]);
            assert_near(&found, most, &format!("{dataset} {parameters:?}"));
        }
    }
    let plain = spectra("f8");
    refuse(["run", "fft-mask", &plain.file, "-p", "radius=0.2"], 1, &["it holds no frames"]);
}

/// The sample, and some of what was computed from it. `PIXELMILL_UPDATE_GOLDEN=1` writes it anew.
const COUNTS: &str = "data/two_peaks_3x4.h5";
const GOLDEN: &str = "data/two_peaks_3x4_spectra_maps.json";

#[test]
fn golden_results_are_the_same() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    let mut found = serde_json::Map::new();
    for (process, parameters) in [
        ("moments", &["from=110", "to=132", "background=linear", "end_points=3"][..]),
        ("maximum", &["from=135"]),
        (
            "integral",
            &["windows=[[112,128],[132,152]]", "background=power_law", "before=[100,110]"],
        ),
        ("smooth", &["window_length=9", "polyorder=3"]),
        ("derivative", &["window_length=9", "polyorder=3"]),
        ("fft", &["window=hann", "scaling=spectrum"]),
    ] {
        let given: Vec<&str> = parameters.iter().flat_map(|parameter| ["-p", parameter]).collect();
        let ran = scan.run(process, &given);
        let group = ran["group"].as_str().unwrap();
        found.insert(
            process.to_owned(),
            ask_python(&["spectra_maps.py", "kept", &scan.file, group]),
        );
    }
    // What is written in single precision has as many digits.
    let is_single = |process: &str| matches!(process, "smooth" | "derivative" | "fft");
    assert_golden(GOLDEN, &found, |process| if is_single(process) { 1e-6 } else { 1e-12 });
}

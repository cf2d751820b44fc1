//! Oscillator fits against what was simulated, SciPy, the closed form of the guess, and numbers
//! that are kept beside the sample.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::usid::ask_python;
use crate::support::{RAW_DATA, Sample, pixelmill, python_program, refuse, root, run, succeed};

const GROUP: &str = "/Measurement_000/Channel_000/Raw_Data-SHO_Fit_000";

/// A command of `sho.py`.
fn sho(command: &str, file: &Path, more: &[&str]) -> Value {
    let mut arguments = vec![OsStr::new(command), file.as_os_str()];
    arguments.extend(more.iter().map(OsStr::new));
    python_program("sho.py", arguments)
}

/// A file of simulated spectra, four at each position.
fn simulated() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("simulated.h5");
    sho("simulate", &file, &[]);
    (folder, file)
}

fn largest(numbers: &Value, of: impl Fn(f64) -> f64) -> f64 {
    let numbers = numbers.as_array().unwrap().iter().map(|number| number.as_f64().unwrap());
    numbers.map(of).fold(0.0, f64::max)
}

#[test]
fn simulated_oscillators_are_found_as_well_as_noise_allows() {
    let (_folder, file) = simulated();
    succeed(run("sho-fit", &file, &[]));
    for (setting, told) in sho("bounds", &file, &[GROUP]).as_array().unwrap().iter().enumerate() {
        // Of 2000 spectra the spread is known to 1.6 %, the bias to 2.2 % of the bound.
        let spread = told["spread"][1].as_f64().unwrap();
        assert!((0.9..1.1).contains(&spread), "frequency of setting {setting}: {told}");
        assert!(largest(&told["spread"], |spread| (spread - 1.0).abs()) < 0.1, "{setting}: {told}");
        assert!(told["bias"][1].as_f64().unwrap().abs() < 0.1, "{setting}: {told}");
        // Amplitude and quality factor aren't linear in the data: a bias of second order is theirs.
        assert!(largest(&told["bias"], f64::abs) < 0.15, "{setting}: {told}");
        let stated = largest(&told["standard_errors"], |ratio| (ratio - 1.0).abs());
        assert!(stated < 0.02, "{setting}: {told}");
    }
    let guesses = sho("guesses", &file, &[GROUP]);
    assert!(guesses["compared"].as_u64().unwrap() > 1100, "{guesses}");
    assert!(guesses["worst"].as_f64().unwrap() < 1e-6, "{guesses}");
    assert!(guesses["r2"].as_f64().unwrap() < 1e-6, "{guesses}");
}

#[test]
fn the_minimum_is_that_of_scipy() {
    let (_folder, simulated) = simulated();
    let sample = Sample::new();
    for file in [&simulated, &sample.file] {
        succeed(run("sho-fit", file, &[]));
        let told = sho("scipy", file, &[GROUP, "400"]);
        assert_eq!((&told["worse"], &told["better"]), (&json!([]), &json!([])), "{told}");
        assert_eq!(told["compared"], 400);
        // In standard errors; single precision of the results is most of it.
        assert!(told["distance"].as_f64().unwrap() < 2e-3, "{told}");
        assert!(told["errors"].as_f64().unwrap() < 1e-5, "{told}");
        assert!(told["r2"].as_f64().unwrap() < 1e-6, "{told}");
    }
}

#[test]
fn strange_spectra_give_numbers_or_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("strange.h5");
    let kinds = sho("strange", &file, &[]);
    let ran = pixelmill(run("sho-fit", &file, &[]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed: Vec<(&str, &str)> = ran.json["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| {
            let position = failure["position"].as_u64().unwrap() as usize;
            (kinds[position].as_str().unwrap(), failure["message"].as_str().unwrap())
        })
        .collect();
    let (endless, flat) =
        ("the spectrum has values that are not finite", "all values of the spectrum are the same");
    assert_eq!(
        failed,
        [("nan", endless), ("infinite", endless), ("zero", flat), ("constant", flat)]
    );
    let numbers = ask_python(&["sho_results.py", "finite", file.to_str().unwrap(), GROUP]);
    assert_eq!(numbers, json!({"missing": [4, 4, 4], "within": true}));
}

#[test]
fn several_spectra_of_a_position_give_as_many_records_with_their_axis() {
    let (_folder, file) = simulated();
    let text = file.to_str().unwrap();
    let ran = succeed(run("sho-fit", &file, &[]));
    let seen = ask_python(&["usid.py", "check", text, GROUP, "Guess", "Fit", "Standard_Errors"]);
    for name in ["Guess", "Fit", "Standard_Errors"] {
        assert_eq!(seen["datasets"][name]["shape"], json!([2000, 4]), "{seen}");
        assert_eq!(seen["datasets"][name]["spec_dims"], json!(["Bias (V)"]));
    }
    let given = succeed(run("sho-fit", &file, &["--spectra", "4", "--override"]));
    assert_eq!(
        same(text, ran["group"].as_str().unwrap(), given["group"].as_str().unwrap()),
        json!([])
    );
    refuse(run("sho-fit", &file, &["-p", "spectra=2"]), 1, &["2 spectra", "`Frequency`", "119"]);
    let tested = succeed(["test", "sho-fit", text, "--pixel", "11"]);
    let frequency = &tested["results"][6];
    assert_eq!(
        (&frequency["name"], &frequency["units"]),
        (&"Fit · Frequency".into(), &"Hz".into())
    );
    assert_eq!(frequency["values"].as_array().unwrap().len(), 4);
}

/// Datasets that two groups of a file don't share.
fn same(file: &str, one: &str, other: &str) -> Value {
    ask_python(&["sho_results.py", "differing", file, one, other])
}

#[test]
fn a_fit_begins_from_an_earlier_one() {
    let (_folder, file) = simulated();
    let text = file.to_str().unwrap();
    succeed(run("sho-fit", &file, &[]));
    sho("given", &file, &[GROUP]);
    let good = succeed(run("sho-fit", &file, &["--guess", "/good"]));
    let group = good["group"].as_str().unwrap();
    let told = ask_python(&["sho_results.py", "begun", text, GROUP, group]);
    assert_eq!((&told["begun"], &told["estimated"]), (&json!(true), &json!(true)), "{told}");
    assert_eq!(told["missing"], 667 * 4);
    assert!(told["distance"].as_f64().unwrap() < 0.01, "{told}");
    let other = succeed(run("sho-fit", &file, &["-p", "guess=/good"]));
    assert_eq!((&other["outcome"], &other["group"]), (&"existing".into(), &good["group"]));
    succeed(run("sho-fit", &file, &["--guess", &format!("{GROUP}/Guess")]));
    for (guess, texts) in [
        ("/other", &["`guess`", "/other", "Amplitude [V], Slope"][..]),
        ("/few", &["/few", "1 record", "4 spectra"]),
        ("/mixed", &["/mixed", "compound records (Amplitude [V], Count)", "float32"]),
        ("/nothing", &["/nothing", "no such dataset"]),
        (RAW_DATA, &[RAW_DATA, "complex64"]),
    ] {
        refuse(run("sho-fit", &file, &["--guess", guess]), 1, texts);
    }
}

#[test]
fn a_fit_begins_from_one_in_the_output_file_by_its_process_or_its_path() {
    let (folder, file) = simulated();
    let out = folder.path().join("fits.h5").display().to_string();
    let first = succeed(run("sho-fit", &file, &["--output", &out]));
    let fit = format!("{}/Fit", first["group"].as_str().unwrap());
    for guess in ["SHO_Fit", fit.as_str()] {
        let more = ["--output", &out, "--guess", guess];
        let ran = succeed(run("sho-fit", &file, &more));
        assert_eq!(ran["inputs"], json!([{"named": guess, "file": out, "dataset": fit}]));
        let group = ran["group"].as_str().unwrap();
        let seen = ask_python(&["sho_results.py", "begun_there", &out, &fit, group]);
        assert_eq!(seen["same"], true, "{seen}");
        assert_eq!(succeed(run("sho-fit", &file, &more))["outcome"], "existing");
    }
}

#[test]
fn the_fits_of_the_sample_are_those_that_are_kept() {
    let sample = Sample::new();
    succeed(run("sho-fit", &sample.file, &[]));
    let kept = root().join("data/be_line_scan_64x64.sho_fit.csv");
    let update = std::env::var_os("PIXELMILL_UPDATE_GOLDEN").is_some();
    let told = ask_python(&[
        "sho_results.py",
        "kept",
        sample.file.to_str().unwrap(),
        GROUP,
        kept.to_str().unwrap(),
        if update { "update" } else { "compare" },
    ]);
    assert_eq!(told["rows"], 64);
    let worst = told["worst"].as_f64().unwrap();
    // The last digits are those of the machine's sine, arc tangent and square root.
    assert!(worst < 1e-5, "{told}; PIXELMILL_UPDATE_GOLDEN=1 writes the file anew");
}

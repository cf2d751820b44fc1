//! What every process has to keep, tried on each one of the registry over the bundled sample, a
//! real-valued copy of it, frames made of that, or loops of its size: the same bytes whatever the
//! workers, ranks and stops, finite results, failures instead of panics, and parameters that
//! survive JSON.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use pixelmill::registry::Runner;
use pixelmill_processes::PROCESSES;
use serde_json::Value;

use crate::support::{RAW_DATA, Sample, pixelmill, python_function, succeed};

/// A sample whose element type the process takes: complex if it can, else real; else real frames,
/// else loops over a voltage, else currents.
fn sample_for(runner: &dyn Runner, strange: &str) -> Sample {
    for kind in ["complex64", "float32", "frames", "loops", "currents"] {
        let sample = Sample::new();
        python_function(
            "contract.py",
            "make",
            [sample.file.as_os_str(), kind.as_ref(), strange.as_ref()],
        );
        if runner.name() == "SVD_Filter" {
            let few = ["-p", "components=3", "--dataset", RAW_DATA];
            let given = [&["run", "svd", sample.file.to_str().unwrap()], &few[..]].concat();
            pixelmill(given);
        }
        let tried = pixelmill(arguments("test", runner, &sample.file, &["--pixel", "5"]));
        if tried.code == Some(0) {
            return sample;
        }
    }
    panic!(
        "{} takes neither complex nor real spectra, nor frames, nor loops, nor currents",
        runner.name()
    );
}

fn arguments(command: &str, runner: &dyn Runner, file: &Path, more: &[&str]) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![command.into(), runner.command_name().into(), file.into()];
    // One that is tested is named beside these. A colon alone is a word of mpirun's.
    let positions: &[&str] = match runner.name() {
        "Pick" if command == "run" => &["--positions", "0:"],
        _ => &[],
    };
    let given = choices(runner).iter().chain(positions).chain(more);
    all.extend(given.map(OsString::from));
    all
}

/// What a process has to be told that has nothing to do by default.
fn choices(runner: &dyn Runner) -> &'static [&'static str] {
    match runner.name() {
        "FFT_Filtering" => &["-p", "noise_threshold=1e-3", "-p", "write_condensed=true"],
        "FFT_Mask" => &["-p", "radius=0.2"],
        "Holography" => &["-p", "sb_position=[2,3]"],
        "Histogram" => &["-p", "range_min=0", "-p", "range_max=0.002"],
        "Cross_Correlation" => &["-p", "template=/template"],
        "Bayesian_Inference" => &["-p", "frequency=200", "-p", "num_x_steps=30"],
        _ => &[],
    }
}

fn results(file: &Path, runner: &dyn Runner) -> Value {
    let group = format!("{RAW_DATA}-{}_000", runner.name());
    python_function("contract.py", "results", [file.as_os_str(), group.as_ref()])
}

/// A copy of a sample's file beside it.
fn copy(sample: &Sample, name: &str) -> PathBuf {
    let path = sample.folder.path().join(name);
    std::fs::copy(&sample.file, &path).unwrap();
    path
}

#[test]
fn results_are_finite_and_the_same_for_any_number_of_workers() {
    for runner in PROCESSES {
        let sample = sample_for(runner, "plain");
        let mut seen = Vec::new();
        for cores in ["1", "2", "5"] {
            let file = copy(&sample, cores);
            succeed(arguments("run", runner, &file, &["--cores", cores]));
            seen.push(results(&file, runner));
        }
        assert_eq!(seen[0], seen[1], "{}", runner.name());
        assert_eq!(seen[0], seen[2], "{}", runner.name());
        let datasets = seen[0].as_object().unwrap();
        assert!(!datasets.is_empty());
        assert!(datasets.values().all(|found| found[1] == 0), "{}: {datasets:?}", runner.name());
    }
}

#[cfg(feature = "mpi")]
#[test]
fn results_are_the_same_on_any_number_of_ranks() {
    use crate::support::ranks::succeed_on;

    for runner in PROCESSES {
        let sample = sample_for(runner, "plain");
        let alone = copy(&sample, "alone");
        succeed(arguments("run", runner, &alone, &[]));
        for ranks in 1..=4 {
            let file = copy(&sample, &format!("on_{ranks}"));
            let options = arguments("run", runner, &file, &["--cores", "1"]);
            succeed_on(ranks, options);
            assert_eq!(results(&alone, runner), results(&file, runner), "{}", runner.name());
        }
    }
}

#[test]
fn results_computed_in_pieces_are_the_same() {
    // What all positions are folded into is another answer for every piece.
    for runner in PROCESSES.into_iter().filter(|runner| !runner.folds()) {
        let sample = sample_for(runner, "plain");
        let whole = copy(&sample, "whole");
        succeed(arguments("run", runner, &whole, &[]));
        for piece in ["200:201", "3:90", "0:5", "89:256", ":"] {
            succeed(arguments("run", runner, &sample.file, &["--positions", piece]));
        }
        assert_eq!(results(&whole, runner), results(&sample.file, runner), "{}", runner.name());
    }
}

#[test]
fn strange_spectra_give_a_result_or_a_failure_and_leave_the_others_alone() {
    for runner in PROCESSES {
        let sample = sample_for(runner, "strange");
        let ran = pixelmill(arguments("run", runner, &sample.file, &[]));
        assert!(matches!(ran.code, Some(0 | 3)), "{}: {}", runner.name(), ran.stderr);
        assert_eq!(ran.json["completed"], 256);
        let failed = ran.json["failed"].as_array().unwrap();
        for failure in failed {
            assert!(failure["position"].as_u64().unwrap() < 3, "{}: {failure}", runner.name());
            let message = failure["message"].as_str().unwrap();
            assert!(!message.is_empty() && !message.contains("panicked"), "{message}");
        }
    }
}

#[test]
fn defaults_are_described_and_survive_json() {
    for runner in PROCESSES {
        let sample = sample_for(runner, "plain");
        let described = succeed(["list".to_owned(), runner.command_name()]);
        let mut defaults = serde_json::Map::new();
        for parameter in described["processes"][0]["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            assert!(!parameter["help"].as_str().unwrap().is_empty(), "{} {name}", runner.name());
            defaults.insert(name.to_owned(), parameter["default"].clone());
        }
        let file = sample.folder.path().join("defaults.json");
        std::fs::write(&file, Value::Object(defaults).to_string()).unwrap();
        let first = succeed(arguments("run", runner, &sample.file, &[]));
        let given = ["--params", file.to_str().unwrap()];
        let second = succeed(arguments("run", runner, &sample.file, &given));
        assert_eq!(second["outcome"], "existing", "{}", runner.name());
        assert_eq!(first["parameter_hash"], second["parameter_hash"]);
    }
}

#[test]
fn what_is_drawn_over_the_data_belongs_to_them() {
    for runner in PROCESSES {
        let sample = sample_for(runner, "plain");
        for position in ["0", "5", "255"] {
            let tested = succeed(arguments("test", runner, &sample.file, &["--pixel", position]));
            let spectrum = &tested["spectrum"];
            let model = &spectrum["model"];
            assert!(spectrum["model_missing"].is_null(), "{}: {spectrum}", runner.name());
            let points = spectrum["axis"]["values"].as_array().unwrap().len();
            assert_eq!(numbers(&spectrum["data"]), points * parts(&spectrum["data"]));
            for curve in model["curves"].as_array().unwrap() {
                let values = &curve["values"];
                assert_eq!(numbers(values), points * parts(values), "{}: {curve}", runner.name());
            }
            for mark in model["marks"].as_array().unwrap() {
                assert!(mark["at"].is_f64() && mark["height"].is_f64(), "{mark}");
            }
        }
    }
}

/// How many numbers there are in real or complex values; what isn't finite is none.
fn numbers(values: &Value) -> usize {
    match values {
        Value::Array(values) => values.iter().filter(|value| value.is_number()).count(),
        _ => numbers(&values["real"]) + numbers(&values["imaginary"]),
    }
}

fn parts(values: &Value) -> usize {
    if values.is_array() { 1 } else { 2 }
}

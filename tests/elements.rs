//! Elements that aren't plain numbers, and numbers that the process doesn't have: fields of
//! records, enumerations and truth values, and what the user lets be rounded.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{filters_program, pixelmill, python_function, refuse, run, succeed};

/// A file that a function of `elements.py` makes.
struct Made {
    _folder: TempDir,
    file: PathBuf,
}

impl Made {
    fn by(function: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.h5");
        python_function("elements.py", function, [file.as_os_str()]);
        Self { _folder: folder, file }
    }

    fn name(&self) -> &str {
        self.file.to_str().unwrap()
    }

    /// Runs a process on frames of spectra.
    fn run(&self, process: &str, dataset: &str, more: &[&str]) -> Value {
        succeed(run(process, &self.file, &[&options(dataset), more].concat()))
    }

    /// What a function of `elements.py` says of what is there.
    fn ask(&self, function: &str, arguments: &[&str]) -> Value {
        python_function("elements.py", function, [&[self.name()], arguments].concat())
    }
}

fn options(dataset: &str) -> [&str; 4] {
    ["--dataset", dataset, "--positions-axes", "0,1"]
}

fn group(ran: &Value) -> &str {
    ran["group"].as_str().unwrap()
}

#[test]
fn of_records_a_field_is_computed_on_and_each_field_is_another_computation() {
    let made = Made::by("colours");
    let red = made.run("sum", "/colours", &["--field", "R"]);
    let green = made.run("sum", "/colours", &["--field", "G"]);
    assert_ne!(red["parameter_hash"], green["parameter_hash"]);
    assert_eq!((group(&red), group(&green)), ("/colours-Sum_000", "/colours-Sum_001"));
    for (field, ran) in [("R", &red), ("G", &green)] {
        let asked = ["/colours", field, made.name(), group(ran)];
        assert_eq!(made.ask("sums", &asked), true, "{field}");
        let again = made.run("sum", "/colours", &["--field", field]);
        assert_eq!((&again["outcome"], &again["group"]), (&json!("existing"), &ran["group"]));
        let verified = succeed(["verify", made.name(), group(ran)]);
        assert_eq!((&verified["different"], &verified["checked"]), (&json!([]), &json!(30)));
        let status = succeed(["status", made.name(), group(ran)]);
        assert_eq!(status["groups"][0]["field"], field);
    }
    let named = made.run("sum", "/named", &["--field", "value"]);
    assert_eq!(made.ask("sums", &["/named", "value", made.name(), group(&named)]), true);
    let tested = ["test", "sum", made.name(), "--field", "G", "--at", "3,2"];
    let tested = succeed([&tested[..], &options("/colours")].concat());
    assert!(tested["results"][0]["values"][0].as_f64().unwrap() > 0.0);
    made.ask("change", &["/colours", "R"]);
    let verified = pixelmill(["verify", made.name(), group(&red)]);
    assert_eq!(verified.code, Some(1));
    let changed = made.run("sum", "/colours", &["--field", "R"]);
    assert_eq!(made.ask("sums", &["/colours", "R", made.name(), group(&changed)]), true);
}

#[test]
fn what_was_chosen_comes_back_when_results_are_gone_on_with() {
    for (function, dataset, process, chosen) in [
        ("colours", "/colours", "sum", &["--field", "B"][..]),
        ("longer", "/>f8", "placed", &["--allow-rounding"]),
    ] {
        let (made, whole) = (Made::by(function), Made::by(function));
        let part = made.run(process, dataset, &[chosen, &["--positions", "3:17"]].concat());
        assert_eq!(part["completed"], 14);
        let resumed = made.run(process, dataset, &["--resume", group(&part)]);
        assert_eq!((&resumed["completed"], &resumed["group"]), (&json!(30), &part["group"]));
        whole.run(process, dataset, chosen);
        let bytes = |made: &Made| {
            let array = if process == "sum" { "Sum" } else { "First" };
            python_function(
                "elements.py",
                "bits",
                [made.name(), &format!("{}/{array}", group(&part))],
            )
        };
        assert_eq!(bytes(&made), bytes(&whole));
        // Results in a file of their own.
        let output = made.file.with_file_name("results.h5");
        let apart = ["--output", output.to_str().unwrap()];
        let part = made.run(process, dataset, &[chosen, &apart, &["--positions", "3:17"]].concat());
        let more = [&apart[..], &["--resume", group(&part)]].concat();
        assert_eq!(made.run(process, dataset, &more)["completed"], 30);
        let verified = succeed(["verify", output.to_str().unwrap(), group(&part)]);
        assert_eq!((&verified["different"], &verified["changed"]), (&json!([]), &Value::Null));
    }
}

#[test]
fn records_are_refused_with_what_to_type_and_the_file_untouched() {
    let made = Made::by("colours");
    let before = fs::read(&made.file).unwrap();
    let refused = |dataset: &str, more: &[&str], texts: &[&str]| {
        refuse(run("sum", &made.file, &[&options(dataset), more].concat()), 2, texts);
    };
    refused("/colours", &[], &["holds records", "--field: R (uint8), G (uint8), B (uint8)"]);
    refused("/colours", &["--field", "r"], &["--field r", "no field `r` (did you mean `R`?)"]);
    refused("/plain", &["--field", "R"], &["--field R", "`/plain` has no fields", "float32"]);
    refused("/phases", &["--field", "r"], &["`/phases` has no fields", "complex64"]);
    let named = [&options("/named")[..], &["--field", "label"]].concat();
    refuse(run("sum", &made.file, &named), 1, &["its field `label` holds text"]);
    assert!(before == fs::read(&made.file).unwrap());
}

#[test]
fn a_file_shows_the_fields_of_its_records() {
    let made = Made::by("colours");
    let info = succeed(["info", made.name()]);
    let shown = info["datasets"].as_array().unwrap();
    let colours = shown.iter().find(|dataset| dataset["path"] == "/colours").unwrap();
    let names: Vec<_> = colours["fields"].as_array().unwrap().iter().map(|f| &f["name"]).collect();
    assert_eq!(names, ["R", "G", "B"]);
    let named = shown.iter().find(|dataset| dataset["path"] == "/named").unwrap();
    let label = json!({"name": "label", "holds": "text", "is_number": false});
    assert_eq!((&named["fields"][0], &named["fields"][1]["holds"]), (&label, &json!("float64")));
    let plain = shown.iter().find(|dataset| dataset["path"] == "/plain").unwrap();
    assert_eq!(plain.get("fields"), None);
}

#[test]
fn numbers_that_single_precision_lacks_are_refused_or_rounded_as_numpy_does() {
    let made = Made::by("longer");
    for order in ["<", ">"] {
        for kind in ["f8", "i4", "u4", "i8", "u8"] {
            let dataset = format!("/{order}{kind}");
            let refused = run("placed", &made.file, &options(&dataset));
            refuse(refused, 1, &["computes with float32", "; --allow-rounding lets each value"]);
            let ran = made.run("placed", &dataset, &["--allow-rounding"]);
            assert_eq!(made.ask("first", &[&dataset, group(&ran)]), true, "{dataset}");
            let verified = succeed(["verify", made.name(), group(&ran)]);
            assert_eq!(verified["different"], json!([]));
            let status = succeed(["status", made.name(), group(&ran)]);
            assert_eq!(status["groups"][0]["allow_rounding"], true);
        }
        // Where nothing is rounded it is the same computation.
        let dataset = format!("/{order}f4");
        let ran = made.run("placed", &dataset, &[]);
        let again = made.run("placed", &dataset, &["--allow-rounding"]);
        assert_eq!((&again["outcome"], &again["group"]), (&json!("existing"), &ran["group"]));
    }
    let complex = [&options("/c16")[..], &["--allow-rounding"]].concat();
    let told = refuse(run("placed", &made.file, &complex), 1, &["its imaginary part"]);
    assert!(!told.contains("--allow-rounding"), "{told}");
}

#[test]
fn integers_beyond_double_precision_fail_or_are_rounded_as_numpy_does() {
    let made = Made::by("longer");
    for dataset in ["/<i8", "/>i8", "/<u8", "/>u8"] {
        let failed = pixelmill(run("sum", &made.file, &options(dataset)));
        assert_eq!(failed.code, Some(3), "{}", failed.stderr);
        let told = "  --allow-rounding lets integers beyond 2^53 become the nearest float64\n";
        assert!(failed.stderr.contains(told), "{}", failed.stderr);
        let ran = made.run("sum", dataset, &["--allow-rounding"]);
        assert_ne!(ran["group"], failed.json["group"]);
        assert_eq!(made.ask("doubles", &[dataset, group(&ran)]), true, "{dataset}");
        let verified = succeed(["verify", made.name(), group(&ran)]);
        assert_eq!(verified["different"], json!([]));
    }
}

#[test]
fn colours_of_hyperspy_are_computed_on_by_field() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("colours.hspy");
    filters_program("elements.py", ["signal".as_ref(), file.as_os_str()]);
    let info = succeed(["info".as_ref(), file.as_os_str()]);
    let (dataset, told) = ("/Experiments/__unnamed__/data", &info["datasets"][0]);
    assert_eq!((&told["path"], &told["bytes"]), (&json!(dataset), &json!(6 * 5 * 40 * 3)));
    assert_eq!(told["fields"][2]["name"], "B");
    refuse(run("sum", &file, &[]), 2, &["--field: R (uint8), G (uint8), B (uint8)"]);
    let ran = succeed(run("sum", &file, &["--field", "B"]));
    let asked = [file.to_str().unwrap(), dataset, "B", ran["file"].as_str().unwrap(), group(&ran)];
    let found = python_function("elements.py", "sums", asked);
    assert_eq!(found, true);
}

#[test]
fn enumerations_are_the_integers_that_they_are_made_of() {
    let made = Made::by("named");
    let info = succeed(["info", made.name()]);
    assert_eq!(info["datasets"][0]["path"], "/mask");
    let file = format!("{}.enum", made.name());
    let ran = succeed(run("sum", Path::new(&file), &["--positions-axes", "0,1"]));
    assert_eq!(made.ask("named_sums", &[group(&ran)]), true);
}

//! What a file means: numbers of every type, text of every age, axes that don't fit. Each is
//! computed with the right values, or named in one line; what isn't taken as the file has it is
//! said.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{filters_program, pixelmill, python_function, refuse, run, succeed};

/// Files that a function of `tests/python/meanings.py` has written.
struct Written {
    folder: TempDir,
}

impl Written {
    fn new(what: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        python_function("meanings.py", what, [folder.path()]);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a run says, and the sums that it has written to a file of its own, by the path of the
    /// group.
    fn sums(&self, name: &str, more: &[&str]) -> (Value, String, Vec<f64>) {
        let output = self.path(&format!("{name}-sums.h5"));
        let mut arguments = run("sum", &self.path(name), more);
        arguments.extend(["--output".into(), output.clone().into()]);
        let ran = pixelmill(arguments);
        let group = ran.json["group"].as_str().unwrap_or_else(|| panic!("{name}: {}", ran.stderr));
        (ran.json.clone(), ran.stderr.clone(), values(&output, &format!("{group}/Sum")))
    }

    fn info(&self, name: &str) -> Value {
        succeed(["info".as_ref(), self.path(name).as_os_str()])
    }
}

fn values(file: &Path, dataset: &str) -> Vec<f64> {
    let told = python_function("meanings.py", "values", [file.as_os_str(), dataset.as_ref()]);
    told.as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

const BY_ROWS: [&str; 2] = ["--positions-axes", "0"];

#[test]
fn numbers_of_every_type_have_their_sums() {
    let written = Written::new("numbers");
    let signed = [-10.0, 6.0, 22.0];
    // With the type that it is read as.
    for (name, element) in [
        ("i8", "int64"),
        ("big", "int64"),
        ("u8", "uint64"),
        ("half", "float16"),
        ("half_big", "float16"),
        ("i1", "int8"),
        ("i24", "int32"),
        ("i24_big", "int32"),
        ("i40", "int64"),
        ("bfloat", "bfloat16"),
        ("other_float", "float64"),
    ] {
        let expected = if name == "u8" { [10.0, 6.0, 22.0] } else { signed };
        let file = format!("{name}.h5");
        for dataset in ["d", "chunked"] {
            let more = [&BY_ROWS[..], &["--dataset", dataset]].concat();
            let (told, _, sums) = written.sums(&file, &more);
            assert_eq!(
                (&told["outcome"], &sums[..]),
                (&json!("finished"), &expected[..]),
                "{file}"
            );
        }
        // Nobody says which axes are positions, but what it holds is known.
        let info = written.info(&file)["datasets"].to_string();
        assert!(info.contains("--positions-axes 0"), "{element}: {info}");
    }
}

#[test]
fn integers_that_float64_cannot_hold_fail_their_position_by_name() {
    let written = Written::new("long_integers");
    let (told, _, sums) = written.sums("long.h5", &BY_ROWS);
    assert_eq!(told["failed"].as_array().unwrap().len(), 1, "{told}");
    assert!(told["failed"].to_string().contains("9007199254740993 at point 2"), "{told}");
    assert_eq!((sums[0], sums[2]), (4.0 * 2f64.powi(53), 4.0 * 2f64.powi(53)));
    assert!(sums[1].is_nan());
    let (told, _, _) = written.sums("unsigned.h5", &BY_ROWS);
    assert_eq!(told["failed"].as_array().unwrap().len(), 2, "{told}");
    assert!(told["failed"].to_string().contains("18446744073709551615"), "{told}");
}

#[test]
fn what_holds_no_numbers_of_ours_is_named() {
    let written = Written::new("no_numbers");
    for (name, held) in [
        ("long_double", "long double"),
        ("text", "text"),
        ("scalar", "a single number"),
        ("empty", "empty"),
        ("array", "arrays"),
    ] {
        let file = written.path(&format!("{name}.h5"));
        refuse(run("sum", &file, &BY_ROWS), 1, &["no main dataset", "`/d`", held]);
        let named = [&BY_ROWS[..], &["--dataset", "d"]].concat();
        refuse(run("sum", &file, &named), 1, &["`/d`", held]);
        let others = succeed(["info".as_ref(), file.as_os_str()])["other_datasets"].to_string();
        assert!(others.contains("/d") && others.contains(held), "{others}");
    }
}

#[test]
fn of_records_a_field_is_asked_for() {
    let written = Written::new("no_numbers");
    for (name, fields) in [
        ("record", "rate (float32), intensity (float32)"),
        ("capitals", "R (float64), I (float64)"),
    ] {
        let file = written.path(&format!("{name}.h5"));
        refuse(run("sum", &file, &BY_ROWS), 2, &["`/d`", "records", "--field", fields]);
    }
}

#[test]
fn only_what_libraries_call_the_parts_of_complex_numbers_is_complex() {
    let written = Written::new("complex_numbers");
    for number in 0..6 {
        let file = written.path(&format!("{number}.h5"));
        let arguments = run("slow", &file, &["-p", "pause=0", "--positions-axes", "0"]);
        let told = succeed(arguments);
        let group = told["group"].as_str().unwrap();
        let sums = values(&file, &format!("{group}/Slow_Sum"));
        assert_eq!(sums, [8.0; 3], "file {number}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_read_as_latin_1_and_said() {
    let written = Written::new("old_text");
    for name in ["False.h5", "True.h5"] {
        let info = written.info(name);
        let dataset = &info["datasets"][0];
        assert_eq!((&dataset["quantity"], &dataset["units"]), (&json!("Größe"), &json!("µA")));
        assert_eq!(dataset["position_dimensions"][1]["name"], "Höhe");
        assert_eq!(dataset["spectroscopic_dimensions"][0]["units"], "µm");
        assert!(dataset["notes"][0].as_str().unwrap().contains("Latin-1: `"), "{dataset}");
        let (told, said, sums) = written.sums(name, &[]);
        assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![8.0; 6]));
        assert!(said.contains("Latin-1"), "{said}");
        let output = written.path(&format!("{name}-sums.h5"));
        let sum = format!("{}/Sum", told["group"].as_str().unwrap());
        let arguments = [output.as_os_str(), sum.as_ref()];
        let stored = python_function("meanings.py", "texts", arguments);
        assert_eq!(stored, json!(["µA", ["X", "Höhe"]]), "{name}");
    }
}

#[test]
fn names_that_are_not_utf_8_hurt_nobody() {
    let written = Written::new("old_names");
    let (told, _, sums) = written.sums("names.h5", &["--dataset", "d", "--positions-axes", "0"]);
    assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![4.0; 3]));
    succeed(["info".as_ref(), written.path("names.h5").as_os_str()]);
    let record = [&BY_ROWS[..], &["--dataset", "record"]].concat();
    refuse(run("sum", &written.path("names.h5"), &record), 2, &["µ (float32), ä (float32)"]);
}

#[test]
fn an_attribute_that_claims_gigabytes_is_not_read() {
    let written = Written::new("long_units");
    let (told, _, sums) = written.sums("claims.h5", &BY_ROWS);
    assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![4.0; 3]));
}

#[test]
fn axes_of_another_length_are_cut_or_left_out_and_it_is_said() {
    let written = Written::new("other_lengths");
    for (name, more, note) in [
        ("nexus.h5", &[][..], "30 values for an axis of 23; the first 23 are taken"),
        ("longer.h5", &BY_ROWS, "30 values for an axis of 23; the first 23 are taken"),
        ("shorter.h5", &BY_ROWS, "7 values for an axis of 23; its steps are counted instead"),
        ("usid.h5", &[], "30 rows instead of 23; the first 23 are taken"),
    ] {
        let (told, said, sums) = written.sums(name, more);
        assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![5.0; 23]), "{name}");
        assert!(said.contains(note), "{name}: {said}");
        let output = written.path(&format!("{name}-sums.h5"));
        let arguments = [output.as_os_str(), told["group"].as_str().unwrap().as_ref()];
        assert!(
            python_function("meanings.py", "notes", arguments).to_string().contains(note),
            "{name}"
        );
    }
    for (name, expected) in [("longer.h5", json!([44.0, "um"])), ("shorter.h5", json!([22.0, ""]))]
    {
        let output = written.path(&format!("{name}-sums.h5"));
        assert_eq!(python_function("meanings.py", "axis", [output]), expected, "{name}");
    }
}

#[test]
fn packed_numbers_are_taken_as_they_are_stored_and_have_no_units() {
    let written = Written::new("packed");
    let (_, said, sums) = written.sums("packed.h5", &BY_ROWS);
    assert_eq!(sums, [4.0; 3]);
    assert!(
        said.contains("packed (scale_factor 0.01, add_offset 273.15, _FillValue -999)"),
        "{said}"
    );
    assert_eq!(
        python_function("meanings.py", "units", [written.path("packed.h5-sums.h5")]),
        json!("")
    );
}

#[test]
fn a_single_spectrum_is_one_position() {
    let folder = tempfile::tempdir().unwrap();
    let told = filters_program("formats.py", ["single".as_ref(), folder.path()]);
    let file = Path::new(told["file"].as_str().unwrap());
    let info = succeed(["info".as_ref(), file.as_os_str()]);
    let datasets = info["datasets"].as_array().unwrap();
    // The variance of the noise that is stored with it is no second one.
    assert_eq!(datasets.len(), 1, "{info}");
    assert_eq!(
        (&datasets[0]["positions"], &datasets[0]["spectral_points"]),
        (&json!(1), &json!(200))
    );
    let ran = succeed(run("curve-fit", file, &["-p", "components=gaussian+offset"]));
    assert_eq!(ran["completed"], 1);
    let results = Path::new(ran["file"].as_str().unwrap());
    let loaded = filters_program("formats.py", ["single-results".as_ref(), results]);
    assert!((loaded["centre"].as_f64().unwrap() - 4.0).abs() < 1e-6, "{loaded}");
    assert_eq!(loaded["shape"], json!([1]), "{loaded}");
    assert_eq!(
        succeed(run("curve-fit", file, &["-p", "components=gaussian+offset"]))["outcome"],
        "existing"
    );
    let group = ran["group"].as_str().unwrap();
    let verified = succeed(["verify".as_ref(), results.as_os_str(), group.as_ref()]);
    assert_eq!(verified["different"], json!([]));
    let probe = ["test", "curve-fit", "--pixel", "0"].map(AsRef::as_ref);
    let probe = probe.into_iter().chain([file.as_os_str()]);
    assert_eq!(succeed(probe)["position"], 0);
}

#[test]
fn one_measurement_of_which_nobody_knows_can_be_said_to_be_one() {
    let written = Written::new("one_axis");
    let told = refuse(run("sum", &written.path("one.h5"), &["--dataset", "d"]), 2, &["none"]);
    assert!(!told.contains("as in --positions-axes 0;"), "{told}");
    let more = ["--dataset", "d", "--positions-axes", "none"];
    let (told, _, sums) = written.sums("one.h5", &more);
    assert_eq!((&told["completed"], sums), (&json!(1), vec![10.0]));
    let output = written.path("one.h5-sums.h5");
    let group = told["group"].as_str().unwrap();
    let verified = succeed(["verify".as_ref(), output.as_os_str(), group.as_ref()]);
    assert_eq!(verified["different"], json!([]));
}

#[test]
fn files_of_other_kinds_are_called_by_their_names() {
    let written = Written::new("other_containers");
    for (name, texts) in [
        ("old.hdf", ["HDF4", "h4toh5"]),
        ("part00000.h5", ["only a part of a family of files", "h5repart"]),
        ("split-m.h5", ["only a part of a split file", "h5repack"]),
        ("split-r.h5", ["raw data of a split file", "-m.h5"]),
    ] {
        refuse(run("sum", &written.path(name), &BY_ROWS), 1, &texts);
    }
}

//! Files of every format, written by the format's own library: they are understood, computed on,
//! and what is written goes back into that library.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::usid::ask_python;
use crate::support::{filters_program, pixelmill, program, refuse, root, run, succeed};

/// What `tests/python/formats.py` has told of the files that it wrote, by kind. Importing all the
/// libraries takes longer than all the rest, so it writes once for all tests.
fn written() -> &'static Value {
    static WRITTEN: OnceLock<Value> = OnceLock::new();
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
    WRITTEN.get_or_init(|| filters_program("formats.py", ["write-all".as_ref(), folder.path()]))
}

/// All kinds that hold a scan.
fn scans() -> impl Iterator<Item = (&'static str, &'static Value)> {
    let all = written().as_object().expect("an object").iter();
    all.filter(|(_, told)| told["axes"].is_array()).map(|(kind, told)| (kind.as_str(), told))
}

/// A folder with copies of the written files.
struct Copies {
    folder: TempDir,
}

impl Copies {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A copy of the file of this kind.
    fn of(&self, kind: &str) -> PathBuf {
        let file = Path::new(text(&written()[kind], "file"));
        let copy = self.path(file.file_name().unwrap().to_str().unwrap());
        fs::copy(file, &copy).expect("it was written");
        copy
    }

    /// The answers to many of the checks of `formats.py`, by one process.
    fn check(&self, checks: &[Value]) -> Vec<Value> {
        let listing = self.path("checks.json");
        fs::write(&listing, serde_json::to_vec(checks).unwrap()).unwrap();
        let answers = filters_program("formats.py", ["check".as_ref(), listing.as_path()]);
        let answers: Vec<Value> = serde_json::from_value(answers).expect("a list");
        assert_eq!(answers.len(), checks.len());
        answers
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object[name].as_array().unwrap_or_else(|| panic!("no {name} in {object}"))
}

fn numbers(values: &Value) -> Vec<f64> {
    serde_json::from_value(values.clone()).unwrap_or_else(|_| panic!("no numbers: {values}"))
}

/// The axes of positions, as the file tells them, or else the first ones.
fn position_axes(told: &Value) -> Vec<usize> {
    serde_json::from_value(told["position_axes"].clone()).unwrap_or_else(|_| vec![0, 1])
}

/// What to type besides `run sum FILE`.
fn typed(told: &Value) -> Vec<&'static str> {
    if told["position_axes"].is_null() { vec!["--positions-axes", "0,1"] } else { Vec::new() }
}

/// `arguments`, and more of them.
fn with(mut arguments: Vec<OsString>, more: &[&str]) -> Vec<OsString> {
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

/// The format of a kind, as `info` names it.
fn format_of(kind: &str) -> &'static str {
    match kind.split('-').next().unwrap_or(kind) {
        "nsid" => "NSID",
        "hspy" => "HyperSpy",
        "emd" | "velox" => "EMD",
        "nexus" => "NeXus",
        _ => "plain HDF5",
    }
}

/// Checks axes as the program or a library tells them against those of the file.
fn assert_axes(found: &[Value], told: &Value, numbers: &[usize], about: &str) {
    let names = ["name", "units", "length", "first", "last"];
    let told = list(told, "axes");
    assert_eq!(found.len(), numbers.len(), "{about}");
    for (found, number) in found.iter().zip(numbers) {
        for name in names {
            let (found, told) = (&found[name], &told[*number][name]);
            let same = match (found.as_f64(), told.as_f64()) {
                (Some(found), Some(told)) => (found - told).abs() <= 1e-12 * told.abs(),
                _ => found == told,
            };
            assert!(same, "{about}: {name} of axis {number} is {found}, not {told}");
        }
    }
}

/// The sums over all axes but the first two, where the file leaves open what they are.
fn sums(told: &Value, values: &[f64]) -> Vec<f64> {
    if told["sums"].is_array() {
        return numbers(&told["sums"]);
    }
    let lengths = list(told, "shape")[2..].iter().map(|length| length.as_u64().unwrap());
    let rows = values.chunks_exact(lengths.product::<u64>() as usize);
    rows.map(|row| row.iter().sum()).collect()
}

/// All kinds: shown as they are, and summed exactly.
#[test]
fn every_kind_is_understood_and_summed() {
    let copies = Copies::new();
    let mut checks = Vec::new();
    for (kind, told) in scans() {
        let file = copies.of(kind);
        let (info, datasets) = (succeed(["info".as_ref(), file.as_os_str()]), "datasets");
        let [dataset] = list(&info, datasets) else { panic!("{kind}: {info}") };
        assert_eq!(dataset["path"], told["dataset"], "{kind}");
        assert_eq!(dataset["format"], format_of(kind), "{kind}");
        assert_eq!(dataset["shape"], told["shape"], "{kind}");
        if told["position_axes"].is_null() {
            let problem = text(dataset, "problem");
            assert!(problem.contains("--positions-axes 0,1"), "{kind}: {problem}");
        } else {
            assert_eq!(dataset["position_axes"], told["position_axes"], "{kind}");
            assert_eq!(dataset["quantity"], told["quantity"], "{kind}");
            assert_eq!(dataset["units"], told["units"], "{kind}");
            let spectrum: Vec<usize> =
                serde_json::from_value(told["spectrum_axes"].clone()).unwrap();
            let found = |name| list(dataset, name);
            assert_axes(found("position_dimensions"), told, &position_axes(told), kind);
            assert_axes(found("spectroscopic_dimensions"), told, &spectrum, kind);
        }
        let output = copies.path(&format!("{kind}.results"));
        let arguments = with(run("sum", &file, &typed(told)), &["--output"]);
        let ran = succeed(arguments.into_iter().chain([output.clone().into()]));
        let results = format!("{}/Sum", text(&ran, "group"));
        checks.push(json!(["check-values", output, results]));
        // What the file leaves open, Python hasn't summed.
        let source = if told["sums"].is_null() {
            (&file, &told["dataset"])
        } else {
            (&output, &json!(results))
        };
        checks.push(json!(["check-values", source.0, source.1]));
        checks.push(json!(["check-scales", output, results]));
    }
    let answers = copies.check(&checks);
    for ((kind, told), answers) in scans().zip(answers.chunks_exact(3)) {
        let [results, source, scales] = answers else { unreachable!() };
        let expected = sums(told, &numbers(&source["values"]));
        assert_eq!(numbers(&results["values"]), expected, "{kind}");
        assert_scales(scales, told, kind);
        probe(&copies, kind, told, &expected);
    }
}

/// A single position, found by its steps, has the same sum.
fn probe(copies: &Copies, kind: &str, told: &Value, sums: &[f64]) {
    let lengths: Vec<usize> = position_axes(told)
        .into_iter()
        .map(|axis| list(told, "shape")[axis].as_u64().unwrap() as usize)
        .collect();
    let steps: Vec<usize> = lengths.iter().map(|length| length - 2).collect();
    let position = steps.iter().zip(&lengths).fold(0, |row, (step, length)| row * length + step);
    let at: Vec<String> = steps.iter().map(usize::to_string).collect();
    let arguments: Vec<OsString> = vec!["test".into(), "sum".into(), copies.of(kind).into()];
    let tried = succeed(with(with(arguments, &typed(told)), &["--at", &at.join(",")]));
    assert_eq!(tried["position"], position, "{kind}");
    assert_eq!(numbers(&tried["results"][0]["values"]), [sums[position]], "{kind}");
}

/// Each axis of the results has its label and a scale with the values and units of the source's.
fn assert_scales(found: &Value, told: &Value, kind: &str) {
    let axes: Vec<Value> = list(found, "axes")
        .iter()
        .map(|axis| {
            let [scale] = list(axis, "scales") else { panic!("{kind}: {axis}") };
            assert_eq!(scale["is_scale"], true, "{kind}");
            let values = numbers(&scale["values"]);
            let units = match text(scale, "units") {
                "generic" => "",
                units => units,
            };
            json!({
                "name": axis["label"], "units": units, "length": axis["length"],
                "first": values.first(), "last": values.last(),
            })
        })
        .collect();
    assert_axes(&axes, told, &position_axes(told), kind);
}

#[test]
fn what_a_file_does_not_tell_has_to_be_typed() {
    let copies = Copies::new();
    let undecided: Vec<_> =
        scans().filter(|(_, told)| told["position_axes"].is_null()).map(|(kind, _)| kind).collect();
    assert!(undecided.len() >= 6, "{undecided:?}");
    for kind in undecided {
        let file = copies.of(kind);
        let before = fs::read(&file).unwrap();
        let command = |more: &[&str]| run("sum", &file, more);
        refuse(command(&[]), 2, &["--positions-axes 0,1", "0", "(4)", "(5)", "(16)"]);
        for wrong in ["0,3", "1,1", "7"] {
            refuse(command(&["--positions-axes", wrong]), 2, &[wrong, "(4)", "(5)", "(16)"]);
        }
        let probe = ["test".as_ref(), "sum".as_ref(), file.as_os_str()];
        refuse(
            probe.into_iter().chain(["--pixel", "0"].map(AsRef::as_ref)),
            2,
            &["--positions-axes 0,1"],
        );
        assert!(fs::read(&file).unwrap() == before, "{kind} was written to");
    }
    // What the file tells doesn't make another choice wrong, but the choice has to fit.
    refuse(
        run("sum", &copies.of("nsid"), &["--positions-axes", "0,4"]),
        2,
        &["0,4", "Energy (16)"],
    );
}

#[test]
fn what_is_no_array_of_numbers_is_refused_in_one_line() {
    let copies = Copies::new();
    let ragged = copies.of("hspy-ragged");
    refuse(run("sum", &ragged, &[]), 1, &["/Experiments/scan/data", "variable length"]);
    let notes = copies.of("text");
    refuse(run("sum", &notes, &[]), 1, &["no main dataset"]);
    refuse(run("sum", &notes, &["--dataset", "/notes"]), 1, &["/notes", "text"]);
    let info = succeed(["info".as_ref(), ragged.as_os_str()]);
    assert!(text(&info["datasets"][0], "problem").contains("variable length"));
    assert_eq!(succeed(["info".as_ref(), notes.as_os_str()])["datasets"], json!([]));
    assert_eq!(fs::read_dir(copies.folder.path()).unwrap().count(), 2, "nothing was written");
}

/// The signals of a results file by the names of their datasets, as HyperSpy loads them in this
/// way.
fn signals<'a>(loaded: &'a Value, way: &str) -> Vec<(&'a str, &'a Value)> {
    let each = list(loaded, way).iter();
    each.map(|signal| (text(signal, "title").rsplit(' ').next().unwrap(), signal)).collect()
}

/// HyperSpy's axes as `assert_axes` takes them.
fn axes_of(signal: &Value, which: &str) -> Vec<Value> {
    let each = list(signal, which).iter().map(|axis| {
        let units = axis["units"].as_str().unwrap_or_default();
        json!({
            "name": axis["name"], "units": units, "length": axis["size"],
            "first": axis["first"], "last": axis["last"],
        })
    });
    each.collect()
}

#[test]
fn hyperspy_loads_results() {
    const RICH: [&str; 4] = ["-p", "spectra=1", "-p", "reversed=true"];
    let copies = Copies::new();
    let kinds: Vec<_> = scans().filter(|(kind, _)| kind.starts_with("hspy")).collect();
    assert!(kinds.len() >= 7);
    let mut checks = Vec::new();
    for (kind, _) in &kinds {
        let file = copies.of(kind);
        let before = fs::read(&file).unwrap();
        let sum = succeed(run("sum", &file, &[]));
        assert_eq!(sum["file"], json!(copies.path(&format!("{kind}-Sum.hspy"))));
        let again = succeed(run("sum", &file, &[]));
        assert_eq!((&again["outcome"], &again["group"]), (&json!("existing"), &sum["group"]));
        let part = succeed(run("slow", &file, &["--positions", "0:5"]));
        assert_eq!(part["completed"], 5, "{kind}");
        let rest = succeed(run("slow", &file, &[]));
        assert_eq!((&rest["completed"], &rest["group"]), (&json!(20), &part["group"]), "{kind}");
        succeed(run("rich", &file, &RICH));
        for process in ["Sum", "Slow", "Rich"] {
            let results = copies.path(&format!("{kind}-{process}.hspy"));
            let group = format!("/scan-{process}_000");
            succeed(["verify".as_ref(), results.as_os_str(), group.as_ref()]);
            let info = succeed(["info".as_ref(), results.as_os_str()]);
            assert_eq!(info["datasets"], json!([]), "{kind}");
            assert_eq!(list(&info, "groups").len(), 1, "{kind}");
            checks.push(json!(["check-hspy", results]));
        }
        assert!(fs::read(&file).unwrap() == before, "{kind} was written to");
    }
    for (at, loaded) in copies.check(&checks).iter().enumerate() {
        let (kind, told) = kinds[at / 3];
        let process = ["Sum", "Slow", "Rich"][at % 3];
        let about = format!("{process} of {kind}");
        assert_eq!(loaded["warnings"], json!([]), "{about}");
        for way in ["eager", "lazy"] {
            let names: Vec<&str> = signals(loaded, way).iter().map(|(name, _)| *name).collect();
            let expected: &[&str] = match process {
                "Sum" => &["Sum"],
                "Slow" => &["Slow_Sum"],
                _ => &["Maximum", "Mean", "Reversed"],
            };
            assert_eq!(names, expected, "{about}");
            for (name, signal) in signals(loaded, way) {
                check_signal(signal, name, told, &format!("{about}, {name}, {way}"));
            }
        }
    }
}

/// One signal of results: title, axes and values.
fn check_signal(signal: &Value, name: &str, told: &Value, about: &str) {
    assert!(text(signal, "title").starts_with("scan-"), "{about}");
    assert_axes(&axes_of(signal, "navigation"), told, &position_axes(told), about);
    let sums = numbers(&told["sums"]);
    let points = list(told, "spectrum_axes")
        .iter()
        .map(|axis| told["shape"][axis.as_u64().unwrap() as usize].as_u64().unwrap());
    let points = points.product::<u64>() as f64;
    match name {
        "Maximum" => assert!(text(signal, "dtype").contains("Value [V]"), "{about}"),
        "Mean" => {
            let means: Vec<f64> = sums.iter().map(|sum| sum / points).collect();
            assert_eq!(numbers(&signal["sums"]), means, "{about}");
        }
        "Slow_Sum" => assert_eq!(signal["quantity"], "Sum (V)", "{about}"),
        _ => {}
    }
    if ["Sum", "Slow_Sum", "Reversed"].contains(&name) {
        assert_eq!(numbers(&signal["sums"]), sums, "{about}");
    }
    let axis = json!([{
        "name": "Point", "units": "", "length": points as u64, "first": 0.0, "last": points - 1.0,
    }]);
    let expected = if name == "Reversed" { axis } else { json!([]) };
    assert_eq!(json!(axes_of(signal, "signal")), expected, "{about}");
    if told["dataset"] == "/Experiments/scan/data" && told["axes"][0]["role"] == "position" {
        let first = &signal["navigation"][0];
        let uneven = text(told, "kind") == "hspy-uneven-rows";
        assert_eq!(first["uniform"], !uneven, "{about}");
    }
}

#[test]
fn results_beside_their_source_are_computed_on_once_they_are_named() {
    let copies = Copies::new();
    let made = succeed(run("sum", &copies.of("hspy"), &[]));
    let results = Path::new(text(&made, "file"));
    let data = "/Experiments/scan-Sum_000 Sum/data";
    let info = succeed(["info".as_ref(), results.as_os_str()]);
    let told: Vec<(&str, &str)> = list(&info, "other_datasets")
        .iter()
        .filter(|other| text(other, "holds").starts_with("results, "))
        .map(|other| (text(other, "path"), text(other, "holds")))
        .collect();
    assert_eq!(told, [(data, "results, float64, its shape is [4, 5]")], "{info}");
    let shown = Command::new(program()).arg("info").arg(results).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(
        shown.contains("no datasets to compute on but results, which --dataset names"),
        "{shown}"
    );
    let reasons = ["no main dataset", "results are computed on if --dataset names them"];
    refuse(run("sum", results, &[]), 1, &reasons);
    assert_eq!(succeed(run("sum", results, &["--dataset", data]))["outcome"], "finished");
}

#[test]
fn a_corrected_scale_of_hyperspy_makes_another_computation() {
    let copies = Copies::new();
    for (axis, selection) in [(2, &["--positions", "0:5"][..]), (2, &[]), (0, &[])] {
        let file = copies.of("hspy");
        let first = succeed(run("sum", &file, selection));
        ask_python(&["corrected.py", "double_scale", file.to_str().unwrap(), &axis.to_string()]);
        let again = succeed(run("sum", &file, &[]));
        assert_ne!(again["group"], first["group"], "{axis}");
        assert_eq!(again["report"]["positions"], again["positions"], "{axis}");
        let results = text(&first, "file");
        let verified = pixelmill(["verify", results, text(&first, "group"), "--sample", "0"]);
        assert_eq!(verified.code, Some(1), "{}", verified.stderr);
        assert!(text(&verified.json, "changed").contains("the axis"), "{}", verified.json);
        fs::remove_file(results).unwrap();
    }
}

#[test]
fn hyperspy_results_are_known_again_when_their_folder_is_moved() {
    let copies = Copies::new();
    let (old, new) = (copies.path("scratch"), copies.path("project"));
    fs::create_dir(&old).unwrap();
    fs::rename(copies.of("hspy"), old.join("scan.hspy")).unwrap();
    let sum = succeed(run("sum", &old.join("scan.hspy"), &[]));
    let part = succeed(run("slow", &old.join("scan.hspy"), &["--positions", "0:5"]));
    fs::rename(&old, &new).unwrap();
    let again = succeed(run("sum", &new.join("scan.hspy"), &[]));
    assert_eq!((&again["outcome"], &again["group"]), (&json!("existing"), &sum["group"]));
    let rest = succeed(run("slow", &new.join("scan.hspy"), &[]));
    assert_eq!((&rest["group"], &rest["report"]["positions"]), (&part["group"], &json!(15)));
    for process in ["Sum", "Slow"] {
        let results = new.join(format!("scan-{process}.hspy"));
        let verified = succeed([
            "verify".as_ref(),
            results.as_os_str(),
            format!("/scan-{process}_000").as_ref(),
        ]);
        assert_eq!((&verified["checked"], &verified["changed"]), (&json!(20), &Value::Null));
    }
}

#[test]
fn hyperspy_results_in_the_file_of_their_source_are_no_sources() {
    let copies = Copies::new();
    let file = copies.of("hspy");
    let into_source = ["--output", file.to_str().unwrap()];
    let sum = succeed(run("sum", &file, &into_source));
    assert_eq!(sum["outcome"], "finished");
    assert_eq!(succeed(run("sum", &file, &into_source))["outcome"], "existing");
    assert_eq!(succeed(run("slow", &file, &into_source))["outcome"], "finished");
    let info = succeed(["info".as_ref(), file.as_os_str()]);
    let [dataset] = list(&info, "datasets") else { panic!("{info}") };
    assert_eq!(dataset["path"], "/Experiments/scan/data");
    assert_eq!(list(&info, "groups").len(), 2);
    succeed(["verify".as_ref(), file.as_os_str(), text(&sum, "group").as_ref()]);
    let loaded = copies.check(&[json!(["check-hspy", file])]);
    let titles: Vec<&str> =
        list(&loaded[0], "eager").iter().map(|signal| text(signal, "title")).collect();
    assert_eq!(titles, ["scan", "scan-Slow_000 Slow_Sum", "scan-Sum_000 Sum"]);
}

#[test]
fn pynsid_reads_results_and_still_their_source() {
    let copies = Copies::new();
    let kinds = ["nsid", "nsid-top", "nsid-image", "nsid-spectra-first", "nsid-4d"];
    let mut checks = Vec::new();
    for kind in kinds {
        let file = copies.of(kind);
        let sum = succeed(run("sum", &file, &[]));
        let above = if kind == "nsid-top" { "" } else { "/Measurement_000/Channel_000" };
        assert_eq!(sum["group"], format!("{above}/scan-Sum_000"), "{kind}");
        succeed(run("rich", &file, &["-p", "spectra=1", "-p", "reversed=true"]));
        succeed(run("trouble", &file, &["-p", "fail_every=0", "-p", "panic_every=0"]));
        assert_eq!(succeed(run("sum", &file, &[]))["outcome"], "existing", "{kind}");
        let info = succeed(["info".as_ref(), file.as_os_str()]);
        let [dataset] = list(&info, "datasets") else { panic!("{kind}: {info}") };
        assert_eq!(dataset["path"], written()[kind]["dataset"]);
        assert_eq!(list(&info, "groups").len(), 3, "{kind}");
        checks.push(json!(["check-nsid", file, "--values"]));
    }
    for (kind, found) in kinds.iter().zip(copies.check(&checks)) {
        check_nsid_results(&found, &written()[*kind], kind);
    }
}

/// What pyNSID reads from a file with the results of Sum, Rich and Trouble.
fn check_nsid_results(found: &Value, told: &Value, kind: &str) {
    let all = found.as_object().unwrap();
    let mut names: Vec<&str> = all.keys().map(|path| path.rsplit('/').next().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["Count", "First", "Mean", "Reversed", "Sum", "scan"], "{kind}");
    for (path, main) in all {
        let about = format!("{path} of {kind}");
        assert_eq!(main["main"], true, "{about}");
        let name = path.rsplit('/').next().unwrap();
        let axes = list(main, "axes");
        let positions = position_axes(told);
        let spatial: Vec<Value> =
            axes.iter().filter(|axis| axis["type"] == "SPATIAL").cloned().collect();
        assert_axes(&spatial, told, &positions, &about);
        match name {
            "scan" => assert_eq!(axes.len(), list(told, "axes").len(), "{about}"),
            "Reversed" => {
                assert_eq!(
                    (&axes[2]["name"], &axes[2]["type"]),
                    (&json!("Point"), &json!("SPECTRAL"))
                );
                assert_eq!(main["data_type"], "SPECTRAL_IMAGE", "{about}");
            }
            _ => assert_eq!((axes.len(), &main["data_type"]), (2, &json!("IMAGE")), "{about}"),
        }
        if name == "Sum" {
            assert_eq!(main["values"], told["sums"], "{about}");
            assert_eq!((&main["units"], &main["quantity"]), (&json!("nA"), &json!("Current")));
        }
    }
}

#[test]
fn an_array_for_the_whole_run_has_its_axis_and_is_no_signal() {
    let copies = Copies::new();
    let filter = ["-p", "sample_rate=1", "-p", "low_pass=0.3", "-p", "write_condensed=true"];
    let mut checks = Vec::new();
    for kind in ["hspy", "nsid", "plain-scales"] {
        let file = copies.of(kind);
        let arguments = with(run("signal-filter", &file, &filter), &typed(&written()[kind]));
        let ran = succeed(&arguments);
        let (results, group) = (text(&ran, "file"), text(&ran, "group"));
        assert_eq!(succeed(&arguments)["outcome"], "existing", "{kind}");
        succeed(["verify", results, group]);
        let sources = list(&succeed(["info", results]), "datasets").len();
        assert_eq!(sources, usize::from(kind != "hspy"), "{kind}");
        checks.push(json!(["check-scales", results, format!("{group}/Composite_Filter")]));
        match kind {
            "hspy" => checks.push(json!(["check-hspy", results])),
            "nsid" => checks.push(json!(["check-nsid", results])),
            _ => {}
        }
    }
    let answers = copies.check(&checks);
    for (at, kind) in [(0, "hspy"), (2, "nsid"), (4, "plain-scales")] {
        let [axis] = list(&answers[at], "axes") else { panic!("{kind}: {}", answers[at]) };
        let [scale] = list(axis, "scales") else { panic!("{kind}: {axis}") };
        let points = axis["length"].as_u64().unwrap() as f64;
        let first = numbers(&scale["values"])[0];
        assert_eq!((first, text(scale, "units")), (-(points / 2.0).floor() / points, "Hz"));
    }
    let loaded = signals(&answers[1], "lazy");
    let names: Vec<&str> = loaded.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Condensed_Data", "Filtered_Data"]);
    let mains = answers[3].as_object().unwrap();
    assert_eq!(mains.len(), 3, "the source and two results: {mains:?}");
}

#[test]
fn results_beside_their_source_have_its_axes_as_scales() {
    let copies = Copies::new();
    let kinds = [
        "emd-py4dstem",
        "emd-ncem",
        "velox",
        "nexus",
        "nexus-linked-late",
        "plain-scales",
        "plain",
    ];
    let mut checks = Vec::new();
    for kind in kinds {
        let (file, told) = (copies.of(kind), &written()[kind]);
        let sum = succeed(run("sum", &file, &typed(told)));
        let (folder, _) = text(told, "dataset").rsplit_once('/').unwrap();
        assert!(text(&sum, "group").starts_with(&format!("{folder}/")), "{kind}: {sum}");
        assert_eq!(succeed(run("sum", &file, &typed(told)))["outcome"], "existing", "{kind}");
        succeed(["verify".as_ref(), file.as_os_str(), text(&sum, "group").as_ref()]);
        let info = succeed(["info".as_ref(), file.as_os_str()]);
        let [dataset] = list(&info, "datasets") else { panic!("{kind}: {info}") };
        assert_eq!(dataset["path"], told["dataset"], "{kind}");
        let results = format!("{}/Sum", text(&sum, "group"));
        checks.push(json!(["check-scales", file, results]));
    }
    for (kind, scales) in kinds.iter().zip(copies.check(&checks)) {
        assert_scales(&scales, &written()[*kind], kind);
    }
}

#[test]
fn libertem_opens_sources_and_results() {
    let copies = Copies::new();
    let told = &written()["hspy-4d"];
    let file = copies.of("hspy-4d");
    let rich = succeed(run("rich", &file, &["-p", "spectra=1", "-p", "reversed=true"]));
    let reversed = format!("{}/Reversed", text(&rich, "group"));
    let checks = [
        json!(["check-libertem", file, told["dataset"], "2"]),
        json!(["check-libertem", rich["file"], reversed, "1"]),
    ];
    for opened in copies.check(&checks) {
        assert_eq!(opened["navigation"], json!([4, 5]));
        assert_eq!(opened["sums"], told["sums"]);
    }
}

/// Files that instruments and other programs wrote, as far as they are there.
fn real_files() -> Vec<PathBuf> {
    let folders = [root().join(".venv/files"), root().join("../shared/data")];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file() && file.extension().is_some_and(|end| end != "md"));
    files.sort();
    files
}

#[test]
fn measured_files_are_summed_as_by_numpy() {
    let copies = Copies::new();
    let mut checks = Vec::new();
    for (number, file) in real_files().iter().enumerate() {
        let before = fs::read(file).unwrap();
        let info = succeed(["info".as_ref(), file.as_os_str()]);
        if file.ends_with("sparse_sampling.h5") {
            assert_eq!(list(&info, "groups").len(), 12);
            assert!(list(&info, "datasets").iter().all(|dataset| dataset["full_grid"] == false));
        }
        assert!(!list(&info, "datasets").is_empty(), "{}", file.display());
        for (at, dataset) in list(&info, "datasets").iter().enumerate() {
            let output = copies.path(&format!("{number}-{at}"));
            let path = text(dataset, "path");
            let more = ["--dataset", path, "--output", output.to_str().unwrap()];
            if dataset["problem"].is_string() {
                refuse(run("sum", file, &more), 2, &["--positions-axes", path]);
                continue;
            }
            let ran = succeed(run("sum", file, &more));
            let positions: Vec<u64> =
                serde_json::from_value(dataset["position_axes"].clone()).unwrap();
            let axes = 0..list(dataset, "shape").len() as u64;
            let spectrum: Vec<u64> = axes.filter(|axis| !positions.contains(axis)).collect();
            checks.push(json!(["check-sums", file, path, json!(spectrum).to_string()]));
            checks.push(json!(["check-values", output, format!("{}/Sum", text(&ran, "group"))]));
        }
        assert!(fs::read(file).unwrap() == before, "{} was written to", file.display());
    }
    for pair in copies.check(&checks).chunks_exact(2) {
        let (expected, found) = (numbers(&pair[0]["sums"]), numbers(&pair[1]["values"]));
        let sizes = numbers(&pair[0]["sums_of_sizes"]);
        assert_eq!(expected.len(), found.len());
        for ((expected, found), size) in expected.iter().zip(&found).zip(sizes) {
            assert!((expected - found).abs() <= 1e-12 * size, "{found} isn't {expected}");
        }
    }
}

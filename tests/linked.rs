//! Data that lie in another file than the one that was named: behind links, in the sources of
//! virtual datasets, in raw files. They are those that h5py reads, or what is missing is named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::holder::Holder;
use crate::support::{
    RAW_DATA, Sample, assert_refused, pixelmill, program, python_function, python_program, ran,
    refuse, run, succeed,
};

/// What `tests/python/linked.py` has written, and its cases.
struct Written {
    folder: TempDir,
    cases: Vec<Value>,
}

impl Written {
    fn new(what: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cases = python_program("linked.py", [what.as_ref(), folder.path()]);
        Self { folder, cases: serde_json::from_value(cases).expect("a list") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_default()
}

/// The program under the environment of a case, in a folder where nothing lies.
fn command(case: &Value, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program());
    let settings = case["environment"].as_object().expect("settings").iter();
    command.envs(settings.map(|(name, value)| (name, value.as_str().expect("a text"))));
    command.args(arguments).arg("--json").current_dir("/");
    command
}

/// Arguments that sum the rows of a case into a file of their own.
fn sum_of(case: &Value, output: &Path) -> Vec<OsString> {
    let more = ["--dataset", text(case, "dataset"), "--positions-axes", "0"];
    let mut arguments = run("sum", Path::new(text(case, "file")), &more);
    arguments.extend(["--output".into(), output.into()]);
    arguments
}

/// The only results dataset of the sums in each of these files.
fn sums(files: &[PathBuf]) -> Vec<Vec<f64>> {
    serde_json::from_value(python_function("links.py", "sums", files)).expect("lists of numbers")
}

/// Computes all cases that h5py reads, compares the sums, and how the data are read.
fn check_sums(written: &Written) {
    let readable: Vec<&Value> =
        written.cases.iter().filter(|case| case["sums"].is_array()).collect();
    let mut outputs = Vec::new();
    for (number, case) in readable.iter().enumerate() {
        let output = written.path(&format!("output-{number}.h5"));
        let ran = ran(command(case, &sum_of(case, &output)).output().expect("the program starts"));
        assert_eq!(ran.code, Some(0), "{case}\n{}", ran.stderr);
        outputs.push(output);
    }
    assert!(outputs.len() > 20, "only {} cases", outputs.len());
    for (case, sums) in readable.iter().zip(sums(&outputs)) {
        let expected: Vec<f64> = serde_json::from_value(case["sums"].clone()).unwrap();
        assert_eq!(sums, expected, "{case}");
    }
}

#[test]
fn data_behind_a_link_are_read_from_the_file_that_they_lie_in() {
    let written = Written::new("links");
    check_sums(&written);
    // Each dataset once, whatever links lead there, and how it is read.
    let info = succeed(["info".as_ref(), written.path("between.h5").as_os_str()]);
    let datasets = info["datasets"].as_array().unwrap();
    let of = |name: &str| {
        let mut found = datasets.iter().filter(|dataset| text(dataset, "path").ends_with(name));
        let first = found.next().unwrap_or_else(|| panic!("{name} is missing: {info}"));
        assert!(found.next().is_none(), "{name} is listed twice: {info}");
        first
    };
    for (name, read) in [
        ("contiguous", "raw"),
        ("/chunked", "chunks"),
        ("/gzip", "chunks"),
        ("/virtual", "parts"),
        ("/compact", "library"),
    ] {
        assert_eq!(text(of(name), "read"), read, "{info}");
        assert!(text(of(name), "linked_file").ends_with("raw/data.h5"), "{info}");
    }
    let info = succeed(["info".as_ref(), written.path("master.h5").as_os_str()]);
    let mut met: Vec<&str> = Vec::new();
    for dataset in info["datasets"].as_array().unwrap() {
        met.push(text(dataset, "path").rsplit('/').next().unwrap());
    }
    met.sort_unstable();
    assert_eq!(met, ["chunked", "compact", "contiguous", "gzip", "source of virtual", "virtual"]);
}

#[test]
fn parts_of_virtual_datasets_are_read_as_h5py_does() {
    let written = Written::new("virtual");
    check_sums(&written);
    for case in written.cases.iter().filter(|case| case["read"].is_string()) {
        let arguments = ["info".into(), OsString::from(text(case, "file"))];
        let told = ran(command(case, &arguments).output().expect("the program starts"));
        let datasets =
            told.json["datasets"].as_array().unwrap_or_else(|| panic!("{case} {told:?}"));
        let wanted = format!("/{}", text(case, "dataset"));
        let found = datasets.iter().find(|dataset| text(dataset, "path") == wanted);
        assert_eq!(text(found.expect("it is listed"), "read"), text(case, "read"), "{case}");
    }
}

#[test]
fn what_is_missing_is_named_and_never_a_fill_value() {
    let written = Written::new("broken");
    for case in &written.cases {
        let output = written.path("output.h5");
        let ran = ran(command(case, &sum_of(case, &output)).output().expect("the program starts"));
        let texts: Vec<&str> =
            case["refused"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_refused(&ran, 1, &texts);
        assert!(!output.exists(), "{case}");
    }
    assert!(written.cases.len() >= 12);
    // Links that lead nowhere don't keep anybody from what is there.
    let info = succeed(["info".as_ref(), written.path("master.h5").as_os_str()]);
    assert_eq!(info["datasets"].as_array().unwrap().len(), 1, "{info}");
    succeed(run("sum", &written.path("master.h5"), &["--positions-axes", "0"]));
    let mask = ["--positions-axes", "0", "--override", "--positions", "/no_dataset"];
    refuse(run("sum", &written.path("master.h5"), &mask), 2, &["`/no_dataset` is a link to `/x`"]);
}

#[test]
fn groups_may_be_nested_deeper_than_a_stack() {
    let written = Written::new("deep");
    let file = written.path("deep.h5");
    let info = succeed(["info".as_ref(), file.as_os_str()]);
    let path = text(&info["datasets"][0], "path").to_owned();
    assert_eq!(path.matches("/g").count(), 30_000);
    let output = written.path("output.h5");
    let output_text = output.to_str().unwrap();
    succeed(run("sum", &file, &["--positions-axes", "0", "--output", output_text]));
    let expected: Vec<f64> = serde_json::from_value(written.cases[0]["sums"].clone()).unwrap();
    assert_eq!(sums(&[output]), [expected]);
}

/// A master file with a link to the dataset of another.
fn master(folder: &Path) -> PathBuf {
    python_function("links.py", "external", [folder]);
    folder.join("master.h5")
}

const ENTRY: [&str; 4] = ["--dataset", "/entry/data", "--positions-axes", "0"];

#[test]
fn results_of_linked_data_go_beside_the_master_and_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = master(folder.path());
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let before = (bytes("master.h5"), bytes("data.h5"));
    let first = succeed(run("sum", &file, &ENTRY));
    let beside = folder.path().join("master-Sum.h5");
    assert_eq!(first["file"].as_str(), beside.to_str());
    assert_eq!(sums(std::slice::from_ref(&beside)), [[10.0, 35.0, 60.0, 85.0, 110.0, 135.0]]);
    assert_eq!(succeed(run("sum", &file, &ENTRY))["outcome"], "existing");
    assert!(before == (bytes("master.h5"), bytes("data.h5")));
    let verified = succeed(["verify".as_ref(), beside.as_os_str(), "data-Sum_000".as_ref()]);
    assert_eq!(verified["different"].as_array().unwrap().len(), 0);
    // The master itself takes them if it is named; the file that is read doesn't.
    let output = |name: &str| {
        let mut arguments = run("sum", &file, &ENTRY);
        arguments.extend(["--output".into(), folder.path().join(name).into()]);
        arguments
    };
    succeed(output("master.h5"));
    assert_eq!(sums(std::slice::from_ref(&file)), [[10.0, 35.0, 60.0, 85.0, 110.0, 135.0]]);
    refuse(output("data.h5"), 2, &["data.h5 holds data of `/entry/data`"]);
    assert!(before.1 == bytes("data.h5"));
    // A change of the linked file is a change of the data.
    python_function("links.py", "change", [folder.path().join("data.h5")]);
    assert_eq!(succeed(run("sum", &file, &ENTRY))["outcome"], "finished");
}

#[test]
fn a_mask_behind_a_link_is_the_one_that_the_link_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = master(folder.path());
    let more = [&ENTRY[..], &["--positions", "/entry/half"]].concat();
    let ran = succeed(run("sum", &file, &more));
    assert_eq!((&ran["completed"], &ran["outcome"]), (&3.into(), &"finished".into()));
}

#[test]
fn a_linked_file_that_is_being_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = master(folder.path());
    let writer = Holder::new(&folder.path().join("data.h5"), "writer");
    let refused = pixelmill(run("sum", &file, &ENTRY));
    drop(writer);
    assert_refused(&refused, 1, &["data.h5 is open for writing"]);
    succeed(run("sum", &file, &ENTRY));
}

#[test]
fn results_behind_a_link_belong_to_their_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = master(folder.path());
    let data = folder.path().join("data.h5");
    let part = ["--dataset", "/scan", "--positions-axes", "0", "--positions", "0:2"];
    succeed(run("sum", &data, &part));
    python_function("links.py", "link_beside", [&file]);
    let before = std::fs::read(&data).unwrap();
    let own = ["--dataset", "/own", "--positions-axes", "0"];
    assert_eq!(succeed(run("sum", &file, &own))["group"], "/own-Sum_000");
    let linked = ["--dataset", "/scan", "--positions-axes", "0"];
    let output = folder.path().join("master.h5");
    let named = [&linked[..], &["--output", output.to_str().unwrap()]].concat();
    assert_eq!(succeed(run("sum", &file, &named))["group"], "/scan-Sum_000");
    let resumed = [&named[..], &["--resume", "earlier"]].concat();
    refuse(run("sum", &file, &resumed), 1, &["data.h5", "only a link leads there"]);
    assert!(before == std::fs::read(&data).unwrap());
    let status = succeed(["status".as_ref(), file.as_os_str(), "earlier".as_ref()]);
    assert_eq!(status["groups"][0]["completed"], 2);
}

#[test]
fn tables_of_linked_main_datasets_are_copied_from_their_own_file() {
    let sample = Sample::new();
    let master = sample.folder.path().join("master.h5");
    // Tables with the same paths that say something else.
    python_function("links.py", "other_tables", [master.as_os_str(), RAW_DATA.as_ref()]);
    let ran = succeed(run("digest", &master, &[]));
    let group = ran["group"].as_str().unwrap();
    let results = ran["file"].as_str().unwrap();
    assert!(results.ends_with("master-Digest.h5"), "{results}");
    let scan = sample.file.to_str().unwrap();
    let same = python_function("links.py", "same_tables", [results, group, scan, RAW_DATA]);
    assert_eq!(same, serde_json::json!([true, true]));
}

#[test]
fn axes_are_those_around_the_link_or_else_around_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("master.h5");
    python_function("links.py", "formats", [folder.path()]);
    let info = succeed(["info".as_ref(), file.as_os_str()]);
    let found: Vec<(&str, &str)> = info["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dataset| (text(dataset, "path"), text(dataset, "format")))
        .collect();
    assert_eq!(found, [("/entry/plot/counts", "NeXus"), ("/signal", "HyperSpy")]);
    let ran = succeed(run("sum", &file, &["--dataset", "/signal"]));
    assert_eq!(ran["group"], "/signal-Sum_000");
    let results = folder.path().join("master-Sum.h5");
    assert_eq!(
        python_function("links.py", "axis", [results]),
        serde_json::json!([1.0, 3.0, 5.0, 7.0])
    );
}

#[test]
fn more_sources_than_a_process_may_open_are_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    python_function("links.py", "many", [folder.path()]);
    let shell =
        "ulimit -n 128; exec \"$0\" run sum \"$1\" --positions-axes 0 --output \"$2\" --json";
    let output = folder.path().join("out.h5");
    let ran = ran(Command::new("sh")
        .args(["-c", shell])
        .args([program(), folder.path().join("all.h5"), output.clone()])
        .output()
        .expect("there is a shell"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let expected: Vec<f64> = (0..300).map(|number| f64::from(number) * 4.0).collect();
    assert_eq!(sums(&[output]), [expected]);
}

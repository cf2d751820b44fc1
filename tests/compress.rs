//! `run --compress`: the values stay the same to the bit, for h5py, pyUSID and HyperSpy, and all
//! that refers to them does so afterwards; whatever interrupts it, the results are complete before
//! and after.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use pixelmill::engine::Compression;
use pixelmill::{Quiet, Request, Stop, compute};
use pixelmill_processes::PeakFinding;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::holder::Holder;
use crate::support::random::Random;
use crate::support::usid::ask_python;
use crate::support::watch::{Opener, Running};
use crate::support::{
    RAW_DATA, Ran, Sample, assert_refused, filters_program, pixelmill, python_function,
    python_program, run, succeed,
};

const GZIP: [u64; 2] = [2, 1];
const ZSTD: [u64; 2] = [2, 32015];

/// A file, a run on it, and a copy of what it gave before it was compressed.
struct Trial {
    folder: TempDir,
    results: PathBuf,
    arguments: Vec<OsString>,
}

impl Trial {
    /// Computes without compression.
    fn new(folder: TempDir, results: &str, arguments: Vec<OsString>) -> Self {
        let results = folder.path().join(results);
        let ran = pixelmill(&arguments);
        assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
        assert_eq!(ran.json["compressed"], Value::Null);
        fs::copy(&results, folder.path().join("reference.h5")).expect("there is room");
        Self { folder, results, arguments }
    }

    /// The sample and the peaks of its spectra.
    fn usid() -> Self {
        let Sample { folder, file } = Sample::new();
        let arguments = run("peak-finding", &file, &["-p", "num_steps=5"]);
        Self::new(folder, "scan.h5", arguments)
    }

    /// An array of 48 × 40 positions, each of them with spectra, records and numbers as results.
    fn array(points: usize) -> Self {
        Self::array_in("earliest", points)
    }

    /// The same in another kind of file.
    fn array_in(kind: &str, points: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("scan.h5");
        let [rows, columns, points] = [48, 40, points].map(|length| length.to_string());
        let write = [
            OsString::from("write"),
            file.clone().into(),
            rows.into(),
            columns.into(),
            points.into(),
            kind.into(),
        ];
        python_program("compress.py", write);
        let which = ["--dataset", "/scan", "--positions-axes", "0,1", "-p", "reversed=true"];
        let arguments = run("rich", &file, &which);
        Self::new(folder, "scan.h5", arguments)
    }

    /// A scan by HyperSpy, whose results go to a file of their own.
    fn hspy(process: &str, more: &[&str], results: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("scan.hspy");
        filters_program(
            "formats.py",
            [OsString::from("write"), "hspy".into(), file.clone().into()],
        );
        let arguments = run(process, &file, more);
        Self::new(folder, results, arguments)
    }

    fn with(&self, more: &[&str]) -> Vec<OsString> {
        let more = more.iter().map(OsString::from);
        self.arguments.iter().cloned().chain(more).collect()
    }

    fn compress(&self, how: &str) -> Ran {
        pixelmill(self.with(&["--compress", how]))
    }

    fn reference(&self) -> PathBuf {
        self.folder.path().join("reference.h5")
    }

    /// Whether all is as it was computed, as h5py reads it, and each results dataset has these
    /// filters.
    fn check(&self, filters: &[u64]) {
        let found = self.compared(filters.contains(&32015));
        let results = found.values().filter(|dataset| dataset["result"] == true);
        assert!(results.clone().count() > 0);
        results.for_each(|dataset| assert_eq!(dataset["filters"], json!(filters), "{found:?}"));
    }

    fn compared(&self, with_plugin: bool) -> serde_json::Map<String, Value> {
        let program =
            if with_plugin { filters_program::<OsString> } else { python_program::<OsString> };
        let files = ["compare".into(), self.results.clone().into(), self.reference().into()];
        program("compress.py", files).as_object().expect("an object").clone()
    }

    /// The results group of a run that left some positions failed.
    fn group_of_failures(&self) -> String {
        text(&pixelmill(&self.arguments).json["group"])
    }

    /// Path of the first results dataset of a group.
    fn first_result(&self, group: &str) -> String {
        text(&python_function(
            "compressed.py",
            "main_dataset",
            [self.results.as_os_str(), group.as_ref()],
        ))
    }

    fn group(&self) -> String {
        text(&succeed(&self.arguments)["group"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Compresses with gzip, then with zstd, and looks at everything that should be as before.
fn compress_both_ways(trial: &Trial) {
    for (how, filters, more) in
        [("gzip", GZIP, &["--cores", "1", "--memory", "1M"][..]), ("zstd", ZSTD, &["--cores", "2"])]
    {
        let json = succeed([trial.with(&["--compress", how]), strings(more)].concat());
        assert_eq!(json["outcome"], "existing");
        let (before, after) =
            (&json["compressed"]["bytes_before"], &json["compressed"]["bytes_after"]);
        assert!(before.as_u64() > Some(0) && after.as_u64() > Some(0), "{json}");
        trial.check(&filters);
        let bytes = fs::read(&trial.results).unwrap();
        let again = succeed(trial.with(&["--compress", how]));
        assert_eq!((&again["outcome"], &again["compressed"]), (&json!("existing"), &Value::Null));
        assert_eq!(succeed(&trial.arguments)["outcome"], "existing");
        assert!(bytes == fs::read(&trial.results).unwrap(), "a second time there is nothing to do");
        let verified =
            succeed(["verify".as_ref(), trial.results.as_os_str(), trial.group().as_ref()]);
        assert_eq!(verified["different"], json!([]), "{verified}");
        succeed(["status".as_ref(), trial.results.as_os_str()]);
    }
}

fn strings(texts: &[&str]) -> Vec<OsString> {
    texts.iter().map(OsString::from).collect()
}

#[test]
fn results_of_h5usid_files_stay_main_datasets() {
    let trial = Trial::usid();
    let group = trial.group();
    let see = || {
        let file = trial.results.to_str().expect("a plain name");
        ask_python(&["usid.py", "check", file, &group, "Peak_Response", "Peak_Position"])
    };
    let before = see();
    compress_both_ways(&trial);
    // pyUSID's Python has no plugin for zstd.
    assert_eq!(trial.compress("gzip").code, Some(0));
    trial.check(&GZIP);
    assert_eq!(see()["datasets"], before["datasets"]);
    assert_eq!(trial.compared(false)[RAW_DATA]["filters"], json!([]), "the source is left alone");
}

#[test]
fn a_run_compresses_what_it_has_just_computed() {
    let trial = Trial::usid();
    let plain = Sample::new();
    fs::copy(&plain.file, &trial.results).unwrap();
    let ran = trial.compress("gzip");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json["outcome"], "finished");
    assert!(ran.stderr.contains("  compressed "), "{}", ran.stderr);
    trial.check(&GZIP);
}

#[test]
fn results_with_axes_keep_their_scales() {
    compress_both_ways(&Trial::array(900));
}

#[test]
fn every_kind_of_file_keeps_all_that_is_in_it() {
    for kind in ["latest", "user-block", "pages", "kept-free-space"] {
        let trial = Trial::array_in(kind, 300);
        compress_both_ways(&trial);
        // What another program then puts into the room that is free mustn't be in anybody's way.
        python_function("compressed.py", "fill_free_room", [&trial.results]);
        trial.check(&ZSTD);
    }
}

#[test]
fn the_room_of_the_old_values_is_free_again() {
    let trial = Trial::array(900);
    let before = fs::metadata(&trial.results).unwrap();
    let json = succeed(trial.with(&["--compress", "gzip"]));
    let after = fs::metadata(&trial.results).unwrap();
    let bytes = |name: &str| json["compressed"][name].as_u64().unwrap();
    assert!(bytes("bytes_after") < bytes("bytes_before") * 3 / 4);
    assert!(after.len() > before.len(), "the file keeps its length");
    let hole = trial.folder.path().join("hole");
    fs::write(&hole, [1; 8192]).unwrap();
    let punch = Command::new("fallocate").args(["-p", "-l", "8192"]).arg(&hole).status();
    if punch.is_ok_and(|status| status.success()) {
        let saved = (before.blocks() as i64 - after.blocks() as i64) * 512;
        let expected = bytes("bytes_before") as i64 - bytes("bytes_after") as i64;
        assert!((saved - expected).abs() < 100_000, "{saved} instead of {expected}");
    }
}

#[test]
fn results_that_somebody_refers_to_stay_as_they_are() {
    let trial = Trial::usid();
    let (group, file) = (trial.group(), trial.results.as_os_str().to_owned());
    for kind in [
        "attribute",
        "attribute of the root",
        "attribute of a type",
        "dataset",
        "scalar",
        "region",
        "regions",
        "record",
        "records in an array",
        "list",
    ] {
        fs::copy(trial.reference(), &trial.results).unwrap();
        let dataset = format!("{group}/Peak_Response");
        let ask = |what: &str| {
            let words = [kind.into(), file.clone(), dataset.clone().into(), what.into()];
            python_function("compressed.py", "reference", words)
        };
        let before = ask("add");
        assert_ne!(before[1][0], 0.0, "{kind}: {before}");
        let ran = trial.compress("gzip");
        assert_eq!(ran.code, Some(0), "{kind}: {}", ran.stderr);
        let who = match kind {
            "attribute" | "region" => "the attribute `to` of `/notes`",
            "attribute of the root" => "the attribute `to` of `/`",
            "attribute of a type" => "the attribute `to` of `/type`",
            _ => "`/notes/to`",
        };
        let note = format!("{dataset} stays as it is: {who} refers to it");
        assert_eq!(ran.stderr.matches(&note).count(), 1, "{kind}: {}", ran.stderr);
        assert!(ran.json["compressed"].is_object(), "{kind}: the other one is compressed");
        assert_eq!(ask("see"), before, "{kind}");
    }
}

#[test]
fn compressed_results_that_somebody_refers_to_are_not_replaced_for_another_try() {
    let sample = Sample::new();
    let arguments = run("trouble", &sample.file, &[]);
    let trial = Trial::new(sample.folder, "scan.h5", arguments);
    let group = trial.group_of_failures();
    assert_eq!(trial.compress("gzip").code, Some(3));
    let dataset = trial.first_result(&group);
    let ask = |what: &str| {
        let file = trial.results.as_os_str().to_owned();
        python_function(
            "compressed.py",
            "reference",
            ["region".into(), file, OsString::from(&dataset), what.into()],
        )
    };
    let before = ask("add");
    let refused = pixelmill(trial.with(&["--retry-failed"]));
    let texts = ["the attribute `to` of `/notes` refers to it", "--override", dataset.as_str()];
    assert_refused(&refused, 1, &texts);
    assert_eq!(ask("see"), before);
}

#[test]
fn hyperspy_loads_compressed_results() {
    let trial = Trial::hspy("sum", &[], "scan-Sum.hspy");
    let load = || {
        let file = trial.results.clone().into();
        let check = [OsString::from("check-hspy"), file, "--values".into()];
        let mut loaded = filters_program("formats.py", check);
        for way in ["eager", "lazy"] {
            for signal in loaded[way].as_array_mut().expect("a list of signals") {
                // It has the time of loading.
                signal["metadata"]["General"]["FileIO"].take();
            }
        }
        loaded
    };
    let before = load();
    for (how, filters) in [("gzip", GZIP), ("zstd", ZSTD)] {
        assert_eq!(trial.compress(how).code, Some(0));
        let found = trial.compared(true);
        let data: Vec<_> = found.values().filter(|dataset| dataset["result"] == true).collect();
        assert_eq!(data.len(), 2, "the results and the experiment's data: {found:?}");
        for dataset in data {
            assert_eq!((&dataset["filters"], &dataset["links"]), (&json!(filters), &json!(2)));
        }
        assert_eq!(load(), before);
    }
    compress_both_ways(&trial);
}

/// Failed positions of compressed results, computed again: in place, as if nothing was compressed.
fn retry(mut trial: Trial, mended_by: &Path) {
    for how in ["gzip", "zstd"] {
        let ran = trial.compress(how);
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        trial.compared(true);
    }
    let compressed = fs::read(&trial.results).unwrap();
    let plain = fs::read(trial.reference()).unwrap();
    fs::write(mended_by, "").unwrap();
    // The reference is what the same gives with what was never compressed.
    fs::write(&trial.results, plain).unwrap();
    trial.arguments.push("--retry-failed".into());
    assert_eq!(succeed(&trial.arguments)["failed"], json!([]));
    fs::copy(&trial.results, trial.reference()).unwrap();
    fs::write(&trial.results, &compressed).unwrap();

    let json = succeed(&trial.arguments);
    let computed = json["report"]["positions"].as_u64();
    assert!(computed > Some(0) && json["completed"].as_u64() > computed, "{json}");
    trial.check(&[]);
    assert_eq!(succeed(trial.with(&["--compress", "gzip"]))["outcome"], "existing");
    trial.check(&GZIP);

    // Both at once.
    fs::write(&trial.results, compressed).unwrap();
    assert_eq!(succeed(trial.with(&["--compress", "gzip"]))["outcome"], "finished");
    trial.check(&GZIP);
}

#[test]
fn failed_positions_of_compressed_results_can_be_computed_again() {
    let Sample { folder, file } = Sample::new();
    let mended_by = folder.path().join("mended");
    let parameter = format!("mended_by={}", mended_by.display());
    let arguments = run("trouble", &file, &["-p", &parameter]);
    retry(Trial::new(folder, "scan.h5", arguments), &mended_by);

    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let mended_by = elsewhere.path().join("mended");
    let parameter = format!("mended_by={}", mended_by.display());
    retry(Trial::hspy("trouble", &["-p", &parameter], "scan-Trouble.hspy"), &mended_by);
}

#[test]
fn nothing_is_compressed_while_positions_are_left() {
    let Sample { folder, file } = Sample::new();
    let part = ["--positions", "0:100", "--compress", "gzip"];
    for _ in 0..2 {
        let ran = pixelmill(run("peak-finding", &file, &part));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.json["compressed"], Value::Null);
        assert!(ran.stderr.contains("note: nothing is compressed"), "{}", ran.stderr);
    }
    // h5py tells where the results lie, which it doesn't of compressed ones.
    assert_eq!(Opener::new().snapshot(&file).marked(), 100);
    let json = succeed(run("peak-finding", &file, &["--compress", "gzip"]));
    assert!(json["compressed"]["bytes_before"].as_u64() > Some(0));
    drop(folder);
}

const LATER: [&str; 3] = [
    "are complete, but not compressed yet",
    "the same command does that later",
    "scan.h5 is open in python",
];

#[test]
fn complete_results_are_compressed_when_no_reader_has_the_file() {
    let trial = Trial::usid();
    let before = fs::read(&trial.results).unwrap();
    let reader = Holder::new(&trial.results, "reader");
    assert_refused(&trial.compress("gzip"), 1, &LATER);
    assert_eq!(succeed(&trial.arguments)["outcome"], "existing");
    assert!(before == fs::read(&trial.results).unwrap());
    drop(reader);
    assert_eq!(trial.compress("gzip").code, Some(0));
    trial.check(&GZIP);
}

#[test]
fn a_reader_who_comes_while_it_computes_costs_only_the_compression() {
    let Sample { folder, file } = Sample::new();
    let slow = run("slow", &file, &["-p", "pause=300", "--cores", "1"]);
    let compressing = [slow.clone(), strings(&["--compress", "zstd"])].concat();
    let running = Running::start(&compressing);
    running.wait_for_line(" of memory");
    let reader = Holder::new(&file, "reader");
    let ran = running.finish();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    LATER.iter().for_each(|text| assert!(ran.stderr.contains(text), "{}", ran.stderr));
    drop(reader);
    let trial = Trial::new(folder, "scan.h5", slow);
    let json = succeed(&compressing);
    assert_eq!((&json["outcome"], &json["completed"]), (&json!("existing"), &json!(4096)));
    trial.check(&ZSTD);
}

#[test]
fn results_that_something_else_refers_to_stay_as_they_are() {
    let trial = Trial::usid();
    let dataset = format!("{}/Peak_Response", trial.group());
    let sum = run("sum", &trial.results, &["--dataset", &dataset]);
    succeed(&sum);
    python_function("compressed.py", "link", [trial.results.as_os_str(), trial.group().as_ref()]);
    let before = fs::read(&trial.results).unwrap();
    let ran = trial.compress("gzip");
    assert_eq!((ran.code, &ran.json["compressed"]), (Some(0), &Value::Null));
    for text in
        ["Raw_Data-Peak_Finding_000/Peak_Response-Sum_000 was computed from it", "another link"]
    {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    assert!(before == fs::read(&trial.results).unwrap());
    assert_eq!(succeed(&sum)["outcome"], "existing");
}

#[test]
fn sources_that_get_their_place_back_stay_sources() {
    let Sample { folder, file } = Sample::new();
    let mended_by = folder.path().join("mended");
    let parameter = format!("mended_by={}", mended_by.display());
    let trial = Trial::new(folder, "scan.h5", run("trouble", &file, &["-p", &parameter]));
    let group = text(&trial.compress("gzip").json["group"]);
    let sum = run("sum", &file, &["--dataset", &format!("{group}/First")]);
    let user = text(&succeed(&sum)["group"]);
    fs::write(&mended_by, "").unwrap();
    succeed(trial.with(&["--retry-failed"]));
    let source = python_function("compressed.py", "source", [file.as_os_str(), user.as_ref()]);
    assert_eq!(source, json!(format!("{group}/First")));
}

#[test]
fn the_library_reads_compressed_results() {
    let sample = Sample::new();
    let compute_peaks = |compress| {
        let request = Request { compress, ..Request::new(&sample.file) };
        let parameters =
            pixelmill_processes::peak_finding::Parameters { num_steps: 5, ..Default::default() };
        compute::<PeakFinding>(&parameters, &request, &Quiet, &Stop::new()).unwrap()
    };
    let plain: Vec<f64> = compute_peaks(Compression::None).values("Peak_Response").unwrap();
    for how in [Compression::Gzip, Compression::Zstd] {
        let computed = compute_peaks(how);
        assert!(computed.compressed.is_some_and(|compressed| compressed.before > 0));
        assert!(plain == computed.values::<f64>("Peak_Response").unwrap());
    }
}

/// How often it is killed.
const ROUNDS: usize = 40;

#[test]
fn a_kill_at_any_instant_leaves_complete_results() {
    let trial = Trial::array(2000);
    let plain = fs::read(&trial.results).unwrap();
    let begun = Instant::now();
    assert_eq!(trial.compress("gzip").code, Some(0));
    let duration = begun.elapsed().as_secs_f64();
    let mut random = Random(7);
    let (mut killed, mut states, mut round) = (0, [0; 4], 0);
    // The one that was timed may have been slower than these: until enough were killed on the way.
    while round < ROUNDS
        || round < 3 * ROUNDS && (killed * 2 <= ROUNDS || states[1] + states[2] == 0)
    {
        round += 1;
        fs::write(&trial.results, &plain).unwrap();
        let running = Running::start(trial.with(&["--compress", "gzip"]));
        thread::sleep(Duration::from_secs_f64(duration * random.next()));
        let status = running.kill();
        assert!(status.success() || status.signal() == Some(9), "{status}");
        killed += usize::from(!status.success());
        // It opens, and if the kill came while a change was put in its place, whoever looks first
        // ends that; then h5py reads everything, and it is what it was.
        let opened = python_function("compressed.py", "reads", [&trial.results]);
        assert_eq!(opened, json!(true));
        succeed(["status".into(), trial.results.clone().into_os_string()]);
        let found = trial.compared(false);
        let compressed = found.values().filter(|dataset| dataset["filters"] == json!(GZIP)).count();
        states[compressed] += 1;
        let json = succeed(trial.with(&["--compress", "gzip"]));
        assert_eq!(json["outcome"], "existing", "round {round}");
        // The last of them may have been decided on, but not be in place yet.
        let is_done = json["compressed"].is_null();
        assert!(is_done == (compressed == 3) || (is_done && compressed == 2), "{compressed} of 3");
        trial.check(&GZIP);
    }
    eprintln!("{killed} of {round} killed, datasets compressed by then: {states:?}");
    assert!(killed * 2 > ROUNDS && states[1] + states[2] > 0, "{killed} killed, {states:?}");
}

#[test]
fn a_stop_leaves_complete_results() {
    let trial = Trial::array(4000);
    let running = Running::start(trial.with(&["--compress", "gzip", "--cores", "1"]));
    thread::sleep(Duration::from_millis(150));
    running.signal("INT");
    let ran = running.finish();
    assert!(matches!(ran.code, Some(0 | 130)), "{}", ran.stderr);
    trial.compared(false);
    assert_eq!(trial.compress("gzip").code, Some(0));
    trial.check(&GZIP);
}

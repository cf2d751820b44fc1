//! Datasets of every layout, filter, element type and order of axes: the results are the same to
//! the bit as from what HDF5 itself reads, however many cores and however little memory there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{self, Ran, filters_program, pixelmill, succeed};

/// Filters of which some may be left to the HDF5 library.
const RARE: [&str; 3] = ["szip", "scaleoffset", "nbit"];

/// How each dataset is computed.
#[derive(Clone, Copy)]
struct Way {
    process: &'static str,
    cores: &'static str,
    /// Whether only a part of the values is computed with, along some of the axes.
    is_cut: bool,
    /// The budgets to try until one isn't too small for a single position; none for the default.
    memory: &'static [&'static str],
}

const WAYS: [Way; 11] = [
    Way { process: "Digest", cores: "1", is_cut: false, memory: &[] },
    Way { process: "Digest", cores: "2", is_cut: false, memory: &[] },
    Way { process: "Digest", cores: "2", is_cut: false, memory: &["64K", "256K", "1M", "4M"] },
    Way { process: "Digest", cores: "2", is_cut: true, memory: &[] },
    Way { process: "Sum", cores: "2", is_cut: false, memory: &[] },
    Way { process: "Surrounded", cores: "2", is_cut: false, memory: &[] },
    Way { process: "Surrounded", cores: "2", is_cut: false, memory: &["256K", "1M", "4M", "16M"] },
    Way { process: "Gathered", cores: "2", is_cut: false, memory: &[] },
    Way { process: "Gathered", cores: "2", is_cut: false, memory: &["256K", "1M", "4M", "16M"] },
    Way { process: "Gathered_Spectra", cores: "2", is_cut: false, memory: &[] },
    Way { process: "Gathered_Units", cores: "2", is_cut: false, memory: &[] },
];

/// The written datasets, what has been computed on them, and what went wrong.
struct Trial {
    folder: TempDir,
    datasets: Vec<Value>,
    runs: Mutex<Vec<Value>>,
    wrong: Mutex<Vec<String>>,
}

impl Trial {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listed = filters_program("layouts.py", ["write".as_ref(), folder.path()]);
        let datasets: Vec<Value> = serde_json::from_value(listed).expect("a list");
        assert!(datasets.len() > 150);
        Self { folder, datasets, runs: Mutex::default(), wrong: Mutex::default() }
    }

    fn complain(&self, dataset: &Value, about: &str) {
        self.wrong.lock().unwrap().push(format!("{about}\n    {}", properties(dataset)));
    }

    /// Computes every dataset in every way, two at a time.
    fn compute_all(&self) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(dataset) = self.datasets.get(next.fetch_add(1, Ordering::Relaxed)) {
                for (number, way) in WAYS.into_iter().enumerate() {
                    self.compute(dataset, way, number);
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
    }

    fn compute(&self, dataset: &Value, way: Way, number: usize) {
        // Sum takes no complex numbers, and no integers that double precision may not hold.
        let wide = ["c8", "c16", "i8", "u8", "complex field"].contains(&text(dataset, "type"));
        let is_nothing_left = way.is_cut && dataset["along"].as_array().unwrap().is_empty();
        if way.process == "Sum" && wide || is_nothing_left {
            return;
        }
        let output = self.folder.path().join(format!("results_{}_{number}.h5", dataset["number"]));
        let ran = run(&self.folder.path().join(text(dataset, "file")), dataset, way, &output);
        let one_line = ran.stderr.lines().count() == 1;
        if ran.code == Some(1) && dataset["maybe_refused"] == true && one_line {
            return;
        }
        let part = if way.is_cut { " of a part" } else { "" };
        let name = format!("{}{part} at {} cores, memory {:?}", way.process, way.cores, way.memory);
        if ran.code != Some(0) {
            return self.complain(dataset, &format!("{name}: {:?}, {}", ran.code, ran.stderr));
        }
        if way.memory.is_empty() && !way.is_cut {
            self.check_chunks(dataset, &ran.json["report"], &name);
        }
        let mut results = vec![(way.process, way.process)];
        if way.process.starts_with("Gathered") {
            results = vec![("Gathered", way.process), ("Gathered rows", "Rows")];
        }
        for (process, result) in results {
            self.runs.lock().unwrap().push(json!({
                "number": dataset["number"], "process": process, "file": output,
                "path": format!("{}/{result}", text(&ran.json, "group")), "way": name,
                "is_cut": way.is_cut,
            }));
        }
    }

    /// Every stored chunk is decoded exactly once.
    fn check_chunks(&self, dataset: &Value, report: &Value, name: &str) {
        let (chunks, decoded) = (&report["chunks"], &report["chunks_decoded"]);
        let is_rare = RARE.contains(&text(dataset, "filter"));
        // Of text that lies elsewhere in the file only HDF5 knows how long it is.
        let has_text = text(dataset, "type") == "record with text";
        let by_library = chunks.is_null() && (is_rare || has_text);
        if dataset["chunks"].is_null() || by_library {
            return;
        }
        if chunks != &dataset["chunks"] || decoded != chunks {
            let stored = &dataset["chunks"];
            let told =
                format!("{name}: {stored} chunks are stored, {chunks} found, {decoded} decoded");
            self.complain(dataset, &told);
        }
    }

    /// Compares all results; returns how many.
    fn check(&self) -> usize {
        let runs = self.runs.lock().unwrap();
        let listing: PathBuf = self.folder.path().join("runs.json");
        fs::write(&listing, serde_json::to_vec(&*runs).unwrap()).unwrap();
        let found = filters_program("layouts.py", ["check".as_ref(), self.folder.path(), &listing]);
        for run in found.as_array().expect("a list") {
            let number = run["number"].as_u64().unwrap() as usize;
            let about = format!("{}: {}", text(run, "way"), text(run, "wrong"));
            self.complain(&self.datasets[number], &about);
        }
        runs.len()
    }
}

fn run(file: &Path, dataset: &Value, way: Way, output: &Path) -> Ran {
    let joined = |axes: &Value| {
        let axes: Vec<String> = axes.as_array().unwrap().iter().map(Value::to_string).collect();
        axes.join(",")
    };
    let command = |memory: Option<&str>| {
        let mut arguments = support::run(&way.process.to_lowercase(), file, &[]);
        arguments.extend(["--output".into(), output.into()]);
        let axes = joined(&dataset["positions_axes"]);
        if way.is_cut {
            arguments.extend(["--crop".into(), text(dataset, "crop").into()]);
            arguments.extend(["--along".into(), joined(&dataset["along"]).into()]);
        }
        let field = dataset["field"].as_str();
        arguments.extend(field.into_iter().flat_map(|field| ["--field".into(), field.into()]));
        let options = [
            ["--dataset", text(dataset, "path")],
            ["--positions-axes", &axes],
            ["--cores", way.cores],
            ["--durability", "process"],
        ];
        arguments.extend(options.as_flattened().iter().map(Into::into));
        arguments.extend(memory.iter().flat_map(|memory| ["--memory".into(), memory.into()]));
        pixelmill(arguments)
    };
    let fits = |ran: &Ran| !ran.stderr.contains("of memory are too little");
    match way.memory {
        [] => command(None),
        [small @ .., last] => {
            let tried = small.iter().map(|memory| command(Some(memory))).find(fits);
            tried.unwrap_or_else(|| command(Some(last)))
        }
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

/// The properties of a dataset in one line.
fn properties(dataset: &Value) -> String {
    let names = [
        "file",
        "path",
        "layout",
        "filter",
        "filters",
        "dtype",
        "field",
        "shape",
        "chunk_shape",
        "positions_axes",
    ];
    names.map(|name| format!("{name} {}", dataset[name])).join(", ")
}

#[test]
fn every_layout_filter_and_type_gives_the_same_bits_as_through_hdf5() {
    let trial = Trial::new();
    trial.compute_all();
    let compared = trial.check();
    let mut wrong = trial.wrong.into_inner().unwrap();
    wrong.sort();
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} failures, {compared} compared:\n{}", wrong.join("\n"));
    assert!(compared > 2 * trial.datasets.len());
}

#[test]
fn files_with_datasets_of_every_layout_are_shown() {
    let trial = Trial::new();
    let mut files: Vec<&str> = trial.datasets.iter().map(|dataset| text(dataset, "file")).collect();
    files.sort();
    files.dedup();
    for file in files {
        succeed(["info".as_ref(), trial.folder.path().join(file).as_os_str()]);
    }
}

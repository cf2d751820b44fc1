//! Runs that keep to their memory budget, whatever grows with the file: positions, marks, masks,
//! failures, and chunks of other inputs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::watch::{Opener, Running};
use crate::support::{program, python_function, refuse, run, succeed};

/// What the program takes besides its budget: its code, the HDF5 library, threads.
const BESIDES: u64 = 40 << 20;

/// A file with so many positions of four values each, which take no room on the disk, and a mask of
/// every second one.
fn many(folder: &Path, positions: u64) -> PathBuf {
    let file = folder.join("many.h5");
    python_function("memory.py", "make", [file.as_os_str(), positions.to_string().as_ref()]);
    file
}

/// Runs the program; gives its answer and the most memory that it had at a time, in bytes.
fn measured(arguments: Vec<std::ffi::OsString>) -> (Value, u64) {
    let told = python_function(
        "measured.py",
        "peak",
        std::iter::once(program().into_os_string()).chain(arguments),
    );
    (told[0].clone(), told[1].as_u64().unwrap() << 10)
}

const AXES: [&str; 4] = ["--dataset", "/data", "--positions-axes", "0"];

#[test]
fn many_positions_take_no_memory_each() {
    const POSITIONS: u64 = 30_000_000;
    let folder = tempfile::tempdir().unwrap();
    let file = many(folder.path(), POSITIONS);
    let half = [&AXES[..], &["--memory", "40M", "--positions", "/mask"]].concat();
    let most = (40 << 20) + BESIDES;
    let (ran, peak) = measured(run("sum", &file, &half));
    assert_eq!((&ran["outcome"], &ran["completed"]), (&"finished".into(), &(POSITIONS / 2).into()));
    assert!(peak < most, "{} MiB", peak >> 20);
    let (ran, peak) = measured(run("sum", &file, &half));
    assert_eq!(ran["outcome"], "existing");
    assert!(peak < most, "{} MiB when reused", peak >> 20);
    let (status, peak) = measured(vec!["status".into(), file.clone().into()]);
    assert_eq!(status["groups"][0]["completed"], POSITIONS / 2);
    assert!(peak < most, "{} MiB to look at it", peak >> 20);
    let (_, peak) = measured(vec!["info".into(), file.clone().into()]);
    assert!(peak < most, "{} MiB for its axes", peak >> 20);
    let (ran, peak) = measured(run("sum", &file, &[&AXES[..], &["--memory", "40M"]].concat()));
    assert_eq!(ran["report"]["positions"], POSITIONS / 2);
    assert!(peak < most, "{} MiB for the other half", peak >> 20);
    let found = python_function("memory.py", "sums", [&file]);
    assert_eq!(found, serde_json::json!([[0.0, 0.0, 10.0, 26.0, 42.0], 0.0, 1]));
}

#[test]
fn failed_positions_take_no_memory_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = many(folder.path(), 2_000_000);
    let fail = [&AXES[..], &["--memory", "40M", "-p", "fail=true"]].concat();
    for outcome in ["finished", "existing"] {
        let (ran, peak) = measured(run("batched", &file, &fail));
        assert_eq!(ran["outcome"], outcome);
        assert_eq!(ran["failures"]["positions"], 2_000_000);
        assert_eq!(ran["failures"]["reasons"][0]["positions"], 2_000_000);
        assert_eq!(ran["failed"].as_array().unwrap().len(), 10_000, "the first are listed");
        assert!(peak < (40 << 20) + BESIDES, "{} MiB, {outcome}", peak >> 20);
    }
}

#[test]
fn chunks_of_other_inputs_count_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = many(folder.path(), 100_000);
    python_function("memory.py", "add_offset", [&file]);
    let offset = [&AXES[..], &["-p", "offset=/offset", "--cores", "1"]].concat();
    let small = [&offset[..], &["--memory", "8M"]].concat();
    refuse(run("rich", &file, &small), 2, &["8.0 MiB of memory are too little", "raise --memory"]);
    let (ran, peak) = measured(run("rich", &file, &[&offset[..], &["--memory", "120M"]].concat()));
    assert_eq!(ran["outcome"], "finished");
    assert!(peak < (120 << 20) + BESIDES, "{} MiB", peak >> 20);
}

#[test]
fn bins_of_positions_may_be_more_than_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wide.h5");
    // 32 MiB of chunks that no bins divide; all sums at once would be 64 MiB.
    python_function("memory.py", "wide", [&file]);
    let bins = ["--positions-axes", "0,1", "--memory", "2M", "-p", "positions=2"];
    let given = [&bins[..], &["-p", "by=1", "-p", "dtype=keep", "--cores", "2"]].concat();
    let (ran, peak) = measured(run("rebin", &file, &given));
    assert_eq!(ran["outcome"], "finished");
    assert_eq!(ran["report"]["chunks_decoded"], ran["report"]["chunks"]);
    assert!(peak < (2 << 20) + BESIDES, "{} MiB", peak >> 20);
    let found = python_function("memory.py", "bins", [&file]);
    assert_eq!(found, serde_json::json!([[256, 512, 64], 4, 4]));
}

#[test]
fn corrections_take_what_they_are_planned_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames.h5");
    python_function("memory.py", "frames", [&file]);
    for (memory, what) in [
        (50, &["--dead-pixels", "0,0"][..]),
        (110, &["--dark", "/dark"]),
        (135, &["--dark", "/dark", "--dead-pixels", "/mask"]),
    ] {
        let budget = format!("{memory}M");
        let all = [&AXES[..], &["--memory", &budget, "--cores", "1"], what].concat();
        let (ran, peak) = measured(run("sum", &file, &all));
        assert_eq!(ran["outcome"], "finished", "{what:?}");
        assert!(peak < (memory << 20) + BESIDES, "{} MiB with {what:?}", peak >> 20);
    }
}

#[test]
fn what_a_pass_reads_stays_in_memory_unless_the_system_has_it_as_it_is() {
    const VALUES: u64 = 64 << 20;
    let folder = tempfile::tempdir().unwrap();
    for (chunks, cache, is_kept) in
        [("0", "keep", false), ("0", "drop", true), ("64", "keep", true)]
    {
        let file = folder.path().join(format!("{chunks}-{cache}.h5"));
        python_function(
            "memory.py",
            "spectra",
            [file.as_os_str(), "16384".as_ref(), chunks.as_ref()],
        );
        let few = ["--memory", "1G", "--cores", "1", "-p", "clusters=2", "-p", "iterations=1"];
        let given = [&AXES[..], &few, &["--cache", cache]].concat();
        let (ran, peak) = measured(run("kmeans", &file, &given));
        assert_eq!(ran["outcome"], "finished");
        assert_eq!(peak > VALUES, is_kept, "{} MiB, {chunks}, {cache}", peak >> 20);
    }
}

#[test]
fn centres_that_mini_batches_teach_are_planned_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spectra.h5");
    python_function("memory.py", "spectra", [file.as_os_str(), "1024".as_ref(), "0".as_ref()]);
    let many = ["--cores", "1", "-p", "clusters=500", "-p", "batch=512", "-p", "iterations=1"];
    let with =
        |memory: &str| run("kmeans", &file, &[&AXES[..], &many, &["--memory", memory]].concat());
    let told = refuse(with("1M"), 2, &["it takes "]);
    let (_, told) = told.split_once("it takes ").unwrap();
    let memory = told.split_once(" MiB").unwrap().0.parse::<f64>().unwrap().ceil() as u64;
    let (ran, peak) = measured(with(&format!("{memory}M")));
    assert_eq!(ran["outcome"], "finished");
    assert!(peak < (memory << 20) + BESIDES, "{} of {memory} MiB", peak >> 20);
}

#[test]
fn the_systems_cache_keeps_nothing_of_a_run_if_that_is_asked_for() {
    // Temporary files may lie in memory, where there is no other place for them.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [file, out] = ["scan.h5", "out.h5"].map(|name| folder.path().join(name));
    let pages = |file: &Path| -> (u64, u64) {
        let told = python_function("memory.py", "pages", [file]);
        (told[0].as_u64().unwrap(), told[1].as_u64().unwrap())
    };
    python_function("memory.py", "cached", [&file]);
    let (there, all) = pages(&file);
    assert_eq!(there, all);
    let to_out = ["--output", out.to_str().unwrap()];
    for (dataset, more) in [("/rows", &to_out[..]), ("/chunks", &to_out), ("/chunks", &[])] {
        let of = |process, cache| {
            let asked = ["--dataset", dataset, "--positions-axes", "0", "--cache", cache];
            run(process, &file, &[&asked[..], more].concat())
        };
        let written = if more.is_empty() { &file } else { &out };
        succeed(of("digest", "keep"));
        assert!(pages(&file).0 > all / 4 && pages(written).0 > 0, "{dataset}");
        succeed(of("sum", "drop"));
        assert_eq!((pages(&file).0, pages(written).0), (0, 0), "{dataset}");
    }
    // What is read past the cache is what is there.
    let asked = ["--dataset", "/rows", "--positions-axes", "0", "--cache", "drop", "--override"];
    let again = succeed(run("digest", &file, &[&asked[..], &to_out].concat()));
    let group = again["group"].as_str().unwrap();
    let verified = succeed(["verify".as_ref(), out.as_os_str(), group.as_ref()]);
    assert_eq!(verified["different"], serde_json::json!([]));
}

#[test]
fn what_is_read_ahead_past_the_cache_is_what_the_file_has() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [file, out] = ["scan.h5", "out.h5"].map(|name| folder.path().join(name));
    python_function("memory.py", "long", [&file]);
    // With little memory nothing is read ahead.
    for more in [&["--cores", "1"][..], &["--cores", "7"], &["--memory", "64M"]] {
        for process in ["sum", "statistics"] {
            let asked = ["--dataset", "/rows", "--positions-axes", "0", "--cache", "drop"];
            let asked = [&asked[..], &["--output", out.to_str().unwrap(), "--override"], more];
            let ran = succeed(run(process, &file, &asked.concat()));
            assert_eq!(ran["outcome"], "finished");
        }
        let are_right = python_function("memory.py", "sums_are_right", [&file, &out]);
        assert_eq!(are_right, true, "{more:?}");
        std::fs::remove_file(&out).unwrap();
        python_function("memory.py", "forget", [&file]);
    }
}

#[test]
fn what_is_read_is_forgotten_while_a_run_goes_on() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [file, out] = ["scan.h5", "out.h5"].map(|name| folder.path().join(name));
    python_function("memory.py", "cached", [&file]);
    let slowly = ["--cores", "1", "-p", "pause=2000", "--checkpoint", "0.2", "--cache", "drop"];
    let asked = ["--dataset", "/chunks", "--positions-axes", "0", "--output"];
    let asked = [&asked[..], &[out.to_str().unwrap()], &slowly].concat();
    let running = Running::start(run("slow", &file, &asked));
    let group = running.computing(&mut Opener::new(), &out);
    running.wait_until_marked(&group, &out, 400);
    // Without a chance to tidy up.
    running.kill();
    let told = python_function("memory.py", "pages", [&file]);
    // Rows, which nobody has read, are half of the file, or more.
    let (there, all) = (told[0].as_u64().unwrap(), told[1].as_u64().unwrap());
    assert!(there < all * 7 / 10, "{there} of {all} pages");
}

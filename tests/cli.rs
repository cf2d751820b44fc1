//! The command line on the bundled sample: what a first session sees.

use std::process::{Command, Output};

use crate::support::{RAW_DATA, Sample, pixelmill, program, python_function, refuse, run, succeed};

/// What a line of the shell gives in which `$PIXELMILL` is the program and `$FILE` a file.
fn shell(line: &str, file: &std::path::Path) -> Output {
    let mut shell = Command::new("bash");
    shell.args(["-c", line]).env("PIXELMILL", program()).env("FILE", file);
    shell.output().expect("there is a shell")
}

#[test]
fn a_run_goes_on_when_nobody_can_be_told_of_it() {
    let sample = Sample::new();
    let run = "$PIXELMILL run trouble $FILE --override --cores 2";
    for (number, told) in ["2>/dev/full", "2>&-", "2>&1 | true"].into_iter().enumerate() {
        let ran = shell(&format!("{run} {told}; exit ${{PIPESTATUS[0]}}"), &sample.file);
        assert_eq!(ran.status.code(), Some(3), "{told}: {ran:?}");
        let groups = succeed(["status".as_ref(), sample.file.as_os_str()]);
        let newest = &groups["groups"][number];
        assert_eq!((&newest["completed"], &newest["positions"]), (&4096.into(), &4096.into()));
    }
    // What can't be understood is an error of its own, heard or not.
    for (line, code) in [("run nothing $FILE", 2), ("info $FILE.none", 1), ("run", 2)] {
        let ran = shell(&format!("$PIXELMILL {line} 2>/dev/full"), &sample.file);
        assert_eq!(ran.status.code(), Some(code), "{line}");
    }
}

#[test]
fn an_answer_that_cannot_be_given_is_an_error() {
    let sample = Sample::new();
    let ten = "run peak-finding $FILE --positions 0:10 --json";
    for line in ["info --json $FILE", "list --json", ten, ten, "--help", "--version", "run --help"]
    {
        let ran = shell(&format!("$PIXELMILL {line} >/dev/full"), &sample.file);
        assert_eq!(ran.status.code(), Some(1), "{line}");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let lost = "pixelmill: the answer can't be written to standard output: No space left";
        assert!(said.lines().last().is_some_and(|line| line.starts_with(lost)), "{said}");
    }
    // The results are there all the same; and an error stays the error that it was.
    assert_eq!(
        succeed(run("peak-finding", &sample.file, &["--positions", "0:10"]))["outcome"],
        "existing"
    );
    let refused = shell("$PIXELMILL run nothing $FILE --json >/dev/full 2>&1", &sample.file);
    assert_eq!(refused.status.code(), Some(2));
    // Somebody who has read enough of a help is told nothing.
    let help = shell("$PIXELMILL run --help | true; exit ${PIPESTATUS[0]}", &sample.file);
    assert_eq!((help.status.code(), help.stderr.len()), (Some(0), 0));
}

#[test]
fn rows_with_two_axes_give_a_peak_for_each_of_their_spectra() {
    let folder = tempfile::tempdir().unwrap();
    let write = |kind: &str| {
        let file = folder.path().join(format!("{kind}.h5"));
        python_function("cli.py", "two_spectra", [file.as_os_str(), kind.as_ref()]);
        file
    };
    let which = ["--dataset", "/d", "--positions-axes", "0,1"];
    for (kind, options) in [("usid", &which[..0]), ("axes", &which)] {
        let file = write(kind);
        let json = succeed(run("peak-finding", &file, options));
        assert_eq!(json["completed"], 12);
        let group = json["group"].as_str().unwrap();
        let found = python_function("cli.py", "peaks", [file.as_os_str(), group.as_ref()]);
        assert_eq!(found[0], serde_json::json!(vec![[20.0, 45.0]; 12]), "{kind}");
        assert_eq!(found[1], serde_json::json!(vec![[1.0, 3.0]; 12]), "{kind}");
    }
    for kind in ["frames", "array"] {
        let file = write(kind);
        let texts =
            ["can't be run on `/d`", "its rows are frames of", "--along", "--positions-axes"];
        refuse(run("peak-finding", &file, &which), 1, &texts);
        // Who says which axis it is gets what is asked for.
        let ran = succeed(run("peak-finding", &file, &[&which[..], &["--along", "1"]].concat()));
        assert_eq!(ran["completed"], 12);
    }
    let frames = ["its rows are frames of `DC_Offset` × `Frequency`"];
    refuse(run("peak-finding", &write("usid-frames"), &[]), 1, &frames);
    // Points that are no grid are no spectra either, for nobody who takes one after the other.
    let file = write("usid-irregular");
    let texts = ["240 values at each position", "no full grid of its axes"];
    for process in ["peak-finding", "curve-fit"] {
        refuse(run(process, &file, &[]), 1, &texts);
    }
    assert_eq!(succeed(run("sum", &file, &[]))["completed"], 12);
    let info = pixelmill(["info".as_ref(), file.as_os_str()]);
    assert!(info.stderr.contains("spectrum (not a full grid of its axes)"), "{}", info.stderr);
}

#[test]
fn a_second_run_reuses_the_results_and_writes_nothing() {
    let sample = Sample::new();
    let first = succeed(["run".as_ref(), "peak-finding".as_ref(), sample.file.as_os_str()]);
    assert_eq!(first["outcome"], "finished");
    assert_eq!(first["group"], format!("{RAW_DATA}-Peak_Finding_000"));
    assert_eq!((&first["completed"], &first["positions"]), (&4096.into(), &4096.into()));
    let before = sample.bytes();
    let second = succeed(["run".as_ref(), "peak-finding".as_ref(), sample.file.as_os_str()]);
    assert_eq!(second["outcome"], "existing");
    assert_eq!(second["group"], first["group"]);
    assert!(second["report"].is_null());
    assert!(before == sample.bytes(), "a reuse must not write");
}

#[test]
fn failing_and_panicking_positions_are_listed_and_the_rest_is_computed() {
    let sample = Sample::new();
    let ran = pixelmill(["run".as_ref(), "trouble".as_ref(), sample.file.as_os_str()]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(ran.json["completed"], 4096);
    let failed = ran.json["failed"].as_array().unwrap();
    let expected = (0..4096).filter(|at| at % 7 == 0 || at % 11 == 1).count();
    assert_eq!(failed.len(), expected);
    assert_eq!(failed[0]["message"], "no value");
    assert_eq!(failed[1]["message"], "the computation panicked: panic on purpose");
    // Nor is anything printed of a panic where it is computed once more, or by itself.
    let file = sample.file.to_str().unwrap();
    let group = ran.json["group"].as_str().unwrap();
    let verified = pixelmill(["verify", file, group]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    let tested = pixelmill(["test", "trouble", file, "--pixel", "1"]);
    for told in [&ran.stderr, &verified.stderr, &tested.stderr] {
        assert!(!told.contains("thread"), "{told}");
    }
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_refuses_to_be_one_of_several() {
    use crate::support::{assert_refused, ran};

    let sample = Sample::new();
    let before = sample.bytes();
    let start = |variables: &[(&str, &str)]| {
        let mut command = Command::new(program());
        command.args(["run", "peak-finding"]).arg(&sample.file).arg("--json");
        command.envs(variables.iter().copied());
        ran(command.output().unwrap())
    };
    let launched = [
        [("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_RANK", "0")],
        [("PMI_SIZE", "2"), ("PMI_RANK", "0")],
        [("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", "0")],
        [("PMIX_RANK", "0"), ("PMIX_NAMESPACE", "job")],
    ];
    for mut variables in launched {
        assert_refused(&start(&variables), 2, &["built without MPI", "--features mpi"]);
        variables[1].1 = "1";
        if variables[0].0 != "PMIX_RANK" {
            let second = start(&variables);
            assert_eq!((second.code, second.stderr.as_str()), (Some(0), ""), "one speaks for all");
        }
    }
    assert!(before == sample.bytes());
    // One process, or an allocation without a launcher, is nothing special.
    let alone = start(&[("OMPI_COMM_WORLD_SIZE", "1"), ("SLURM_NTASKS", "64")]);
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
}

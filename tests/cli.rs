//! The command line on the bundled sample: what a first session sees.

mod support;

use support::{RAW_DATA, Sample, pixelmill, succeed};

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
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_refuses_to_be_one_of_several() {
    let sample = Sample::new();
    let before = sample.bytes();
    let start = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(support::program());
        command.args(["run", "peak-finding"]).arg(&sample.file).arg("--json");
        command.envs(variables.iter().copied());
        support::ran(command.output().unwrap())
    };
    let launched = [
        [("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_RANK", "0")],
        [("PMI_SIZE", "2"), ("PMI_RANK", "0")],
        [("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", "0")],
        [("PMIX_RANK", "0"), ("PMIX_NAMESPACE", "job")],
    ];
    for mut variables in launched {
        support::assert_refused(&start(&variables), 2, &["built without MPI", "--features mpi"]);
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

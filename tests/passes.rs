//! Several computations in one pass over the data: each has the values, the identity and the fate
//! that it would have had alone, and what they have in common is read once.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::folds::{Scan, assert_same_results, computations, marked, python};
use crate::support::random::Random;
use crate::support::watch::{Running, wait_until};
use crate::support::{Sample, pixelmill, refuse, run, usid};

/// Folds that need parts, whole spectra and whole units, one that folds nothing, and maps.
const ALL: &str = "sum,gathered,gathered-spectra,gathered-units,spectrum-statistics,digest";

/// Computes each by itself.
fn alone(scan: &Scan, names: &str, output: &str, more: &[&str]) {
    for name in names.split(',') {
        let ran = pixelmill(scan.arguments(name, output, more));
        assert!([Some(0), Some(3)].contains(&ran.code), "{name}: {}", ran.stderr);
    }
}

#[test]
fn what_shares_a_pass_has_the_values_of_each_alone() {
    for (kind, layout) in
        [("u2", "contiguous"), ("f4", "frames"), ("u2", "blocks"), ("f4", "ragged")]
    {
        let scan = Scan::new(kind, layout);
        let names =
            ["statistics,masks,gathered", "spectrum-statistics,statistics", "sum,digest", ALL];
        for (number, names) in names.iter().enumerate() {
            let single = scan.beside(&format!("single-{number}.h5"));
            alone(&scan, names, &single, &[]);
            for cores in ["1", "2"] {
                let together = scan.beside(&format!("together-{number}-{cores}.h5"));
                let ran = scan.run(names, &together, &["--cores", cores]);
                let about = format!("{names} of {kind} {layout} on {cores}");
                assert_eq!(computations(&ran).len(), names.split(',').count(), "{about}");
                assert_same_results(&together, &single, &about);
                // Of all computations together.
                for computed in computations(&ran) {
                    let report = &computed["report"];
                    assert_eq!(report["chunks_decoded"], report["chunks"], "{about}");
                }
            }
        }
    }
}

/// Results of earlier runs are found, and gone on with, each for itself.
#[test]
fn each_is_reused_and_resumed_by_itself() {
    let scan = Scan::new("u2", "blocks");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    scan.run("sum", &output, &["--positions", "100:300"]);
    scan.run("statistics", &output, &[]);
    let ran = scan.run("digest,sum,statistics", &output, &[]);
    let [digest, sum, statistics] = computations(&ran) else { panic!("{ran}") };
    assert_eq!((&digest["outcome"], &digest["process"]), (&json!("finished"), &json!("Digest")));
    assert_eq!((&sum["outcome"], &sum["completed"]), (&json!("finished"), &json!(851)));
    assert!(sum["group"].as_str().unwrap().ends_with("Sum_000"));
    // That of the pass, which has read everything for the other.
    assert_eq!(sum["report"]["positions"], 851);
    assert_eq!((&statistics["outcome"], &statistics["report"]), (&json!("existing"), &Value::Null));
    alone(&scan, "digest,sum,statistics", &single, &[]);
    assert_same_results(&output, &single, "gone on with");
    let before = std::fs::read(&output).unwrap();
    let ran = scan.run("digest,sum,statistics", &output, &[]);
    assert!(computations(&ran).iter().all(|computed| computed["outcome"] == "existing"));
    assert!(std::fs::read(&output).unwrap() == before);
}

#[test]
fn what_fails_in_one_is_there_in_the_others() {
    let scan = Scan::new("f4", "blocks");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let names = "gathered,sum,gathered-units";
    let ran = pixelmill(scan.arguments(
        names,
        &output,
        &["--gathered.fail-at=7", "-p", "gathered_units.panic_at=432"],
    ));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = |number: usize| computations(&ran.json)[number]["failures"]["positions"].as_u64();
    assert!(failed(0) > Some(0) && failed(2) > Some(0), "{}", ran.json);
    assert_eq!(failed(1), Some(0));
    assert_eq!(pixelmill(scan.arguments("gathered", &single, &["-p", "fail_at=7"])).code, Some(3));
    scan.run("sum", &single, &[]);
    let units = ["-p", "panic_at=432"];
    assert_eq!(pixelmill(scan.arguments("gathered-units", &single, &units)).code, Some(3));
    assert_same_results(&output, &single, names);
}

#[test]
fn a_damaged_chunk_costs_each_what_it_would_have_cost_it_alone() {
    for layout in ["blocks", "frames"] {
        let scan = Scan::new("u2", layout);
        python("damage", &[scan.file.to_str().unwrap()]);
        for (number, names) in ["sum,digest", "gathered,statistics", ALL].iter().enumerate() {
            let output = scan.beside(&format!("{number}.h5"));
            let single = scan.beside(&format!("single-{number}.h5"));
            let ran = pixelmill(scan.arguments(names, &output, &[]));
            assert_eq!(ran.code, Some(3), "{}", ran.stderr);
            alone(&scan, names, &single, &[]);
            assert_same_results(&output, &single, &format!("{names} of {layout}"));
        }
    }
}

#[test]
fn what_cannot_share_a_pass_has_one_of_its_own() {
    let scan = Scan::new("u2", "blocks");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let names = "statistics,denoise,sum";
    let ran = pixelmill(scan.arguments(names, &output, &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("note: Denoise reads the data in another way"), "{}", ran.stderr);
    let report = |number: usize| &computations(&ran.json)[number]["report"];
    assert!(report(0) == report(2) && report(0) != report(1));
    alone(&scan, names, &single, &[]);
    assert_same_results(&output, &single, names);
    // Not enough for both, but for each of them.
    let (output, names) = (scan.beside("little.h5"), "gathered-units,gathered-spectra,sum");
    let least = (1..64).find_map(|size| {
        let memory = format!("{}K", 256 * size);
        let ran = pixelmill(scan.arguments(names, &output, &["--memory", &memory]));
        (ran.code == Some(0)).then_some((memory, ran))
    });
    let (memory, ran) = least.unwrap();
    assert!(ran.stderr.contains("note: memory is too small to compute"), "{memory} {}", ran.stderr);
    alone(&scan, names, &single, &[]);
    assert_same_results(&output, &single, &memory);
}

#[test]
fn what_takes_long_is_stopped_and_marked_by_itself() {
    let scan = Scan::new("f4", "contiguous");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let slow = ["-p", "slow.pause=2000"];
    let ran = pixelmill(scan.arguments("gathered,slow", &output, &slow));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("note: Slow is not computed in the same pass"), "{}", ran.stderr);
    let report = |number: usize| &computations(&ran.json)[number]["report"];
    assert!(report(0) != report(1));
    scan.run("gathered", &single, &[]);
    scan.run("slow", &single, &["-p", "pause=2000"]);
    assert_same_results(&output, &single, "slow");
}

#[test]
fn what_cannot_be_folded_to_the_end_keeps_no_other_from_being_done() {
    let scan = Scan::many("40000", "20");
    let fails =
        [("merge_fails", "merge what was folded"), ("finish_fails", "finish what was folded")];
    for (parameter, told) in fails {
        for names in ["gathered,digest,statistics-many", "spectrum-statistics,gathered,slow-many"] {
            let output = scan.beside("out.h5");
            let fails = format!("gathered.{parameter}=true");
            // So slow that it has a pass of its own, behind that of the others.
            let mut options = vec!["-p", &fails, "--checkpoint", "0.01"];
            if names.contains("slow") {
                options.extend(["-p", "slow.pause=30"]);
            }
            let ran = pixelmill(scan.arguments(names, &output, &options));
            let outcome = (ran.code, &ran.json["outcome"]);
            assert_eq!(outcome, (Some(1), &json!("error")), "{}", ran.stderr);
            let last = ran.stderr.lines().last().unwrap();
            assert!(last.contains("Gathered") && last.contains(told), "{last}");
            let status = pixelmill(["status", &output]);
            let groups = status.json["groups"].as_array().unwrap();
            let done = |group: &Value| group["completed"].as_u64().unwrap();
            let is_gathered = |group: &Value| group["process"] == "Gathered";
            assert_eq!(groups.len(), 3);
            for group in groups {
                assert_eq!(done(group) == 40_000, !is_gathered(group), "{parameter} {group}");
            }
            std::fs::remove_file(&output).unwrap();
        }
    }
}

#[test]
fn a_killed_pass_goes_on_with_all_of_its_computations() {
    let scan = Scan::many("20000", "150");
    let names = "gathered,sum,gathered-spectra-many";
    let single = scan.beside("single.h5");
    let begun = Instant::now();
    for name in ["gathered", "sum", "gathered-spectra"] {
        scan.run(&format!("{name}-many"), &single, &[]);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let mut random = Random(11);
    let (mut killed, mut in_middle, mut round) = (0, 0, 0);
    while killed < 12 || in_middle < 3 && killed < 60 {
        let output = scan.beside(&format!("{round}.h5"));
        round += 1;
        let few = scan.kill_a_few((names, &output), &[], (20_000, seconds), &mut random);
        (killed, in_middle) = (killed + few.0, in_middle + few.1);
        let ran = scan.run(names, &output, &[]);
        assert!(computations(&ran).iter().all(|computed| computed["completed"] == 20_000));
        assert_same_results(&output, &single, "after kills");
        std::fs::remove_file(&output).unwrap();
    }
    assert!(in_middle >= 3, "only {in_middle} of {killed} kills came in mid-run");
}

#[test]
fn a_stopped_pass_stops_all_of_its_computations() {
    let scan = Scan::many("20000", "100");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let names = "sum,gathered-many";
    let slow = ["-p", "rounds=300", "--cores", "1", "--checkpoint", "0.05"];
    let mut running = Running::start(scan.arguments(names, &output, &slow));
    wait_until("something is marked", || {
        running.has_ended() || std::fs::metadata(&output).is_ok() && marked(&output) > 0
    });
    running.signal("INT");
    let stopped = running.finish();
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    assert!(computations(&stopped.json).iter().all(|computed| computed["outcome"] == "stopped"));
    let ran = scan.run(names, &output, &["-p", "rounds=300"]);
    assert!(computations(&ran).iter().all(|computed| computed["outcome"] == "finished"));
    assert!(computations(&ran)[0]["report"]["positions"].as_u64().unwrap() < 20_000);
    scan.run("sum-many", &single, &[]);
    scan.run("gathered-many", &single, &["-p", "rounds=300"]);
    assert_same_results(&output, &single, names);
}

#[test]
fn parameters_are_those_of_the_process_that_they_name() {
    let scan = Scan::new("u2", "contiguous");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let file = scan.beside("given.toml");
    std::fs::write(&file, "bins = 7\n[masks]\nshape = \"ring\"\nradius = 3\n").unwrap();
    let names = "masks,center-of-mass,histogram";
    let given = ["--params", &file, "--masks.radius", "5", "--center_of_mass.radius=4"];
    let own = ["--range-min", "0", "-p", "range_max=4000", "-p", "masks.radius_inner=2"];
    scan.run(names, &output, &[given.as_slice(), &own].concat());
    let masks = ["-p", "shape=ring", "-p", "radius=5", "-p", "radius_inner=2"];
    scan.run("masks", &single, &masks);
    scan.run("center-of-mass", &single, &["-p", "radius=4"]);
    let histogram = ["-p", "bins=7", "-p", "range_min=0", "-p", "range_max=4000"];
    scan.run("histogram", &single, &histogram);
    assert_same_results(&output, &single, names);
    for (options, texts) in [
        (["-p", "radius=5"], ["clear whose", "masks.radius or center-of-mass.radius"]),
        (["-p", "radios=5"], ["none of masks, center-of-mass, histogram", "`radios`"]),
        (["-p", "masks.radios=5"], ["Masks has no parameter `radios`", "radius"]),
        (["--resume", "data-Masks_000"], ["--resume", "one process"]),
    ] {
        refuse(scan.arguments(names, &output, &options), 2, &texts);
    }
    refuse(scan.arguments("sum,suum", &output, &[]), 2, &["`suum`", "did you mean `sum`?"]);
    refuse(scan.arguments("sum,Sum", &output, &[]), 2, &["sum", "named twice", "--plan"]);
    let unknown = scan.arguments("masks,suum", &output, &["--masks.radius=5"]);
    refuse(unknown, 2, &["`suum`", "did you mean `sum`?"]);
    refuse(run("statistics,sum", &Sample::new().file, &[]), 1, &["Statistics computes with"]);
}

#[test]
fn what_several_would_do_is_told_before() {
    let scan = Scan::new("u2", "blocks");
    let output = scan.beside("out.h5");
    scan.run("sum", &output, &[]);
    let ran = scan.run("sum,digest,statistics,denoise", &output, &["--dry-run"]);
    let told: Vec<_> = computations(&ran)
        .iter()
        .map(|would| (would["begins"].as_str().unwrap(), would["together_with"].clone()))
        .collect();
    let expected = [
        ("complete", Value::Null),
        ("new", json!(["Statistics"])),
        ("new", json!(["Digest"])),
        ("new", Value::Null),
    ];
    assert_eq!(told, expected);
}

#[test]
fn results_go_into_the_file_of_their_data_as_alone() {
    let (together, single) = (usid::Scan::new(&[]), usid::Scan::new(&[]));
    let ran = together.run("sum,spectrum-statistics", &[]);
    let groups: Vec<_> = computations(&ran).iter().map(|computed| &computed["group"]).collect();
    let names = ["Sum", "Spectrum_Statistics"].map(|name| usid::group(name, 0));
    assert_eq!(groups, [&json!(names[0]), &json!(names[1])]);
    single.run("sum", &[]);
    single.run("spectrum-statistics", &[]);
    for dataset in [format!("{}/Sum", names[0]), format!("{}/Mean", names[1])] {
        assert_eq!(together.values(&dataset), single.values(&dataset), "{dataset}");
    }
    assert!(single.run("sum,spectrum-statistics", &[])["computations"][1]["outcome"] == "existing");
}

#[cfg(feature = "mpi")]
#[test]
fn ranks_share_a_pass() {
    for (kind, layout) in [("f4", "contiguous"), ("u2", "blocks")] {
        let scan = Scan::new(kind, layout);
        for (number, names) in [ALL, "sum,digest", "statistics,denoise,sum"].iter().enumerate() {
            let single = scan.beside(&format!("single-{number}.h5"));
            alone(&scan, names, &single, &[]);
            for ranks in [2, 3] {
                let output = scan.beside(&format!("{number}-{ranks}.h5"));
                crate::support::ranks::succeed_on(ranks, scan.arguments(names, &output, &[]));
                assert_same_results(
                    &output,
                    &single,
                    &format!("{names} of {layout} on {ranks} ranks"),
                );
            }
        }
    }
}

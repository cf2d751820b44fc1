//! Folds: values against NumPy, the same bits whatever the workers, the memory and the kills, and
//! what can't be folded.

use std::thread;
use std::time::{Duration, Instant};

use pixelmill::engine::{self, Observer, Snapshot};
use pixelmill::{Request, Stop, fold_kernel_of};
use pixelmill_processes::{CenterOfMass, Statistics};
use serde_json::{Value, json};

use crate::support::folds::{Scan, marked, python};
use crate::support::random::Random;
use crate::support::watch::Running;
use crate::support::{Ran, filters_program, pixelmill, refuse, run, succeed};

fn results(file: &str) -> Value {
    python("results", &[file])
}

const ALL: &str = "compute=count,sum,mean,variance,std,min,max,arg_min,arg_max";

/// Integers to the bit; double precision up to the rounding of some thousand additions. The values
/// of this scan deviate by a third of their mean, so that of the mean's and the square's precision
/// little is lost.
fn assert_close(found: &Value, about: &str) {
    for (name, apart) in found.as_object().unwrap() {
        let most = match name.as_str() {
            "Count" | "Min" | "Max" | "Arg_Min" | "Arg_Max" => 0.0,
            _ => 1e-14,
        };
        let apart = apart.as_f64().unwrap_or_else(|| panic!("{about} {name}: other shape or NaN"));
        assert!(apart <= most, "{about} {name}: {apart:e}");
    }
}

#[test]
fn statistics_are_those_of_numpy() {
    for (kind, layout) in [
        ("u1", "contiguous"),
        ("i1", "blocks"),
        ("u2", "ragged"),
        ("i2", "frames"),
        ("u4", "blocks"),
        ("i4", "contiguous"),
        ("u8", "contiguous"),
        ("i8", "blocks"),
        ("f2", "contiguous"),
        ("f4", "contiguous"),
        ("f4", "blocks"),
        ("f8", "ragged"),
    ] {
        let scan = Scan::new(kind, layout);
        for skip in [false, true] {
            let output = scan.beside(&format!("{skip}.h5"));
            let skipping = format!("skip_nan={skip}");
            let ran = scan.run("statistics", &output, &["-p", ALL, "-p", &skipping]);
            let group = ran["group"].as_str().unwrap();
            let options = json!({ "skip_nan": skip }).to_string();
            let found = python("compare", &[&output, group, kind, &options]);
            assert_close(&found, &format!("{kind} {layout} skip {skip}"));
        }
    }
}

#[test]
fn only_what_is_selected_cropped_and_corrected_is_folded() {
    for (kind, layout) in [("u2", "contiguous"), ("u2", "blocks"), ("f4", "ragged")] {
        let scan = Scan::new(kind, layout);
        let dark = scan.beside("dark.npy");
        python("dark", &[&dark]);
        for (number, (options, told)) in [
            (vec!["--crop", "2:17,5:30"], json!({ "crop": [[2, 17], [5, 30]] })),
            (vec!["--positions", "100:333"], json!({ "positions": [100, 333] })),
            (vec!["--dark", &dark], json!({ "dark": true })),
            (vec!["--dark", &dark, "--dead-pixels", "7,8"], Value::Null),
        ]
        .into_iter()
        .enumerate()
        {
            let output = scan.beside(&format!("{number}.h5"));
            let ran = scan.run("statistics", &output, &[&["-p", ALL], options.as_slice()].concat());
            if !told.is_null() {
                let group = ran["group"].as_str().unwrap();
                let found = python("compare", &[&output, group, kind, &told.to_string()]);
                assert_close(&found, &format!("{kind} {layout} {options:?}"));
            }
            let again =
                scan.run("statistics", &output, &[&["-p", ALL], options.as_slice()].concat());
            assert_eq!(again["outcome"], "existing");
        }
    }
}

#[test]
fn results_have_the_same_bits_for_any_workers_and_memory() {
    for layout in ["contiguous", "frames", "blocks", "ragged"] {
        let scan = Scan::new("f4", layout);
        for fold in ["gathered", "gathered-spectra", "gathered-units", "statistics"] {
            let mut seen = Vec::new();
            for (cores, memory) in [("1", "1G"), ("2", "1G"), ("4", "256M"), ("3", "32M")] {
                let output = scan.beside(&format!("{layout}_{fold}_{cores}.h5"));
                scan.run(fold, &output, &["--cores", cores, "--memory", memory]);
                seen.push(results(&output)["hash"].clone());
            }
            assert!(seen.iter().all(|hash| *hash == seen[0]), "{fold} {layout}: {seen:?}");
        }
    }
}

/// Kills runs of one fold, goes on, and compares what comes out.
fn kill_at_random_instants(fold: &str, options: &[&str], kills: usize) {
    let scan = Scan::many("40000", "300");
    let fold = format!("{fold}-many");
    let undisturbed = scan.beside("undisturbed.h5");
    let begun = Instant::now();
    scan.run(&fold, &undisturbed, options);
    let seconds = begun.elapsed().as_secs_f64();
    let expected = results(&undisturbed);
    assert_eq!((&expected["marked"], &expected["has_checkpoint"]), (&json!(40000), &json!(false)));
    let mut random = Random(kills as u64);
    let (mut killed, mut in_middle, mut round) = (0, 0, 0);
    while killed < kills || in_middle * 4 <= kills && killed < 4 * kills {
        let output = scan.beside(&format!("{round}.h5"));
        round += 1;
        let within = (40_000, seconds);
        let few = scan.kill_a_few((&fold, &output), options, within, &mut random);
        (killed, in_middle) = (killed + few.0, in_middle + few.1);
        let ran = scan.run(&fold, &output, options);
        assert_eq!(ran["completed"], 40000);
        let found = results(&output);
        assert_eq!(found["hash"], expected["hash"], "other bits after kills");
        assert_eq!(found["groups"], 1);
        assert_eq!(found["has_checkpoint"], false);
        std::fs::remove_file(&output).unwrap();
    }
    assert!(in_middle * 4 > kills, "only {in_middle} of {killed} kills came in mid-run");
}

#[test]
fn killed_folds_have_the_same_bits_once_they_are_resumed() {
    kill_at_random_instants("statistics", &["-p", "compute=sum,std,arg_max"], 12);
}

#[test]
fn killed_folds_in_a_fixed_order_have_the_same_bits() {
    kill_at_random_instants("gathered", &["-p", "rounds=3"], 12);
}

#[test]
fn killed_histograms_between_quantiles_have_the_same_bits() {
    kill_at_random_instants("histogram", &["-p", "range_quantiles=[0.1,0.9]"], 6);
}

#[test]
fn a_stopped_fold_goes_on_where_it_was() {
    let scan = Scan::many("20000", "100");
    let (output, whole) = (scan.beside("out.h5"), scan.beside("whole.h5"));
    let slow = ["-p", "rounds=300", "--cores", "1", "--checkpoint", "0.05"];
    let mut running = Running::start(scan.arguments("gathered-many", &output, &slow));
    crate::support::watch::wait_until("something is marked", || {
        running.has_ended() || std::fs::metadata(&output).is_ok() && marked(&output) > 0
    });
    running.signal("INT");
    let stopped = running.finish();
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    let before = stopped.json["completed"].as_u64().unwrap();
    assert!(before > 0 && before < 20_000, "{before}");
    let ran = scan.run("gathered-many", &output, &["-p", "rounds=300"]);
    assert_eq!(ran["report"]["positions"].as_u64().unwrap(), 20_000 - before);
    scan.run("gathered-many", &whole, &["-p", "rounds=300"]);
    assert_eq!(results(&output)["hash"], results(&whole)["hash"]);
}

#[test]
fn a_damaged_checkpoint_is_left_alone_and_the_other_counts() {
    for (which, is_lost) in [("first", false), ("second", false), ("both", true)] {
        let scan = Scan::many("20000", "100");
        let (output, whole) = (scan.beside("out.h5"), scan.beside("whole.h5"));
        let slow = ["-p", "rounds=300", "--cores", "1", "--checkpoint", "0.05"];
        let mut running = Running::start(scan.arguments("gathered-many", &output, &slow));
        crate::support::watch::wait_until("something is marked", || {
            running.has_ended() || std::fs::metadata(&output).is_ok() && marked(&output) > 6000
        });
        running.kill();
        python("spoil_checkpoint", &[&output, which]);
        let ran = scan.run("gathered-many", &output, &["-p", "rounds=300"]);
        let folded = ran["report"]["positions"].as_u64().unwrap();
        assert_eq!(folded == 20_000, is_lost, "{which}: {folded}");
        scan.run("gathered-many", &whole, &["-p", "rounds=300"]);
        assert_eq!(results(&output)["hash"], results(&whole)["hash"], "{which}");
    }
}

fn failed(ran: &Ran) -> Vec<u64> {
    let listed = ran.json["failed"].as_array().unwrap();
    listed.iter().map(|failure| failure["position"].as_u64().unwrap()).collect()
}

#[test]
fn what_cannot_be_folded_is_left_out_as_a_whole() {
    let scan = Scan::new("f4", "blocks");
    let without = scan.beside("without.h5");
    let mask = "[0:432,433:851]";
    scan.run("gathered-spectra", &without, &["--positions", mask]);
    let all_but = |file: &str| python("all_but", &[file, "432"]);
    for trouble in ["fail_at=432", "panic_at=432"] {
        let output = scan.beside(trouble);
        let ran = pixelmill(scan.arguments("gathered-spectra", &output, &["-p", trouble]));
        assert_eq!((ran.code, failed(&ran)), (Some(3), vec![432]), "{}", ran.stderr);
        assert!(ran.json["failed"][0]["message"].as_str().unwrap().contains("as was asked for"));
        assert_eq!(all_but(&output), all_but(&without), "{trouble}");
    }
    let output = scan.beside("unit.h5");
    let ran = pixelmill(scan.arguments("gathered", &output, &["-p", "fail_at=432"]));
    let lost = failed(&ran);
    assert!(ran.code == Some(3) && lost.len() > 1 && lost.contains(&432), "{}", ran.stderr);
    let output = scan.beside("merge.h5");
    let ran = pixelmill(scan.arguments("gathered", &output, &["-p", "merge_fails=true"]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("it can't merge what was folded: as was asked for"));
}

#[test]
fn a_damaged_chunk_leaves_its_positions_out_of_all_points() {
    let scan = Scan::new("u2", "blocks");
    python("damage", &[scan.file.to_str().unwrap()]);
    let output = scan.beside("out.h5");
    let ran = pixelmill(scan.arguments("statistics", &output, &["-p", ALL]));
    assert_eq!((ran.code, failed(&ran).len()), (Some(3), 30), "{}", ran.stderr);
    assert_eq!(python("counts", &[&output]), json!([821]));
}

#[test]
fn other_parameters_data_and_selections_are_other_folds() {
    let scan = Scan::new("f4", "contiguous");
    let output = scan.beside("out.h5");
    for (number, options) in [
        vec![],
        vec!["-p", "compute=sum"],
        vec!["--positions", "0:100"],
        vec!["--positions", "1:101"],
        vec!["--crop", "0:5,:"],
    ]
    .iter()
    .enumerate()
    {
        for outcome in ["finished", "existing"] {
            let ran = scan.run("statistics", &output, options);
            assert_eq!(ran["outcome"], outcome, "{options:?}");
            let group = ran["group"].as_str().unwrap();
            assert!(group.ends_with(&format!("_{number:03}")), "{group} of {options:?}");
        }
    }
    let before = std::fs::read(&output).unwrap();
    refuse(
        scan.arguments("statistics", &output, &["--retry-failed"]),
        1,
        &["folded into one answer", "--override"],
    );
    refuse(
        scan.arguments("statistics", &output, &["--along", "axis 3"]),
        1,
        &["can't go along some of their axes"],
    );
    refuse(
        scan.arguments("statistics", &output, &["-p", "compute=sum,variances"]),
        2,
        &["`variances`", "did you mean variance?"],
    );
    assert!(std::fs::read(&output).unwrap() == before);
}

#[test]
fn a_fold_is_verified_as_a_whole() {
    let scan = Scan::new("u2", "blocks");
    let output = scan.beside("out.h5");
    let ran = scan.run("gathered", &output, &[]);
    let group = ran["group"].as_str().unwrap();
    let verified = succeed(["verify", &output, group]);
    assert_eq!((&verified["checked"], &verified["different"]), (&json!(851), &json!([])));
    python("spoil_results", &[&output, group]);
    let verified = pixelmill(["verify", &output, group]);
    assert_eq!(verified.code, Some(1));
    let expected = json!([
        { "position": 51, "dataset": "Rows" },
        { "position": null, "dataset": "Gathered" },
    ]);
    assert_eq!(verified.json["different"], expected, "{}", verified.stderr);
}

#[test]
fn one_position_is_folded_without_a_trace() {
    let scan = Scan::new("u2", "contiguous");
    let before = std::fs::read(&scan.file).unwrap();
    let file = scan.file.to_str().unwrap();
    let tested = succeed(["test", "statistics", file, "--positions-axes", "0,1", "--pixel", "5"]);
    let named = |name: &str| {
        let found = tested["results"].as_array().unwrap().iter();
        found.clone().find(|value| value["name"] == name).unwrap()["values"].clone()
    };
    assert_eq!(named("Sum"), named("Mean"));
    assert_eq!(named("Std").as_array().unwrap().len(), 19 * 31);
    assert!(named("Std").as_array().unwrap().iter().all(|std| *std == 0.0));
    assert!(std::fs::read(&scan.file).unwrap() == before);
    refuse(
        ["test", "statistics", file, "--positions-axes", "0,1", "--positions", "0:5"],
        1,
        &["positions have no results of their own"],
    );
}

#[test]
fn detectors_see_what_numpy_sums() {
    for (kind, layout) in
        [("u2", "contiguous"), ("i4", "blocks"), ("f4", "ragged"), ("u1", "frames")]
    {
        let scan = Scan::new(kind, layout);
        let (masks, shifts) = (scan.beside("masks.npy"), scan.beside("shifts.npy"));
        python("detectors", &[&masks, &shifts]);
        let (masks, shifts) = (format!("masks={masks}"), format!("shifts={shifts}"));
        for (number, options) in [
            vec!["shape=disk", "radius=6.5"],
            vec!["shape=disk", "radius=7", "center_y=3", "center_x=25.5"],
            vec!["shape=ring", "radius=8", "radius_inner=3"],
            vec!["shape=rings", "radius=9", "radius_inner=1", "count=7"],
            vec!["shape=sectors", "radius=9", "count=17"],
            vec!["shape=rectangle", "height=4", "width=10"],
            vec![masks.as_str()],
            vec!["shape=rings", "count=3", "radius=6", &shifts],
        ]
        .into_iter()
        .enumerate()
        {
            let output = scan.beside(&format!("{number}.h5"));
            let given: Vec<&str> = options.iter().flat_map(|option| ["-p", option]).collect();
            let ran = scan.run("masks", &output, &given);
            let group = ran["group"].as_str().unwrap();
            let told = [&output, group, kind, &json!(options).to_string()];
            let apart = python("detected", &told).as_f64();
            assert!(
                apart.is_some_and(|apart| apart < 1e-12),
                "{kind} {layout} {options:?} {apart:?}"
            );
        }
    }
}

#[test]
fn detectors_that_see_nothing_or_fit_nothing_are_refused() {
    let scan = Scan::new("u2", "contiguous");
    let output = scan.beside("out.h5");
    let masks = scan.beside("masks.npy");
    python("wrong_masks", &[&masks]);
    let masks = format!("masks={masks}");
    for (options, told) in [
        (vec!["shape=disk", "radius=3", "center_y=-20"], "detector number 0 of 1 has no point"),
        (vec!["shape=rings", "radius=0.1", "count=3"], "has no point of the spectrum in it"),
        (vec!["radius=3", "radius_inner=5"], "has to be larger than `radius_inner`"),
        (vec![masks.as_str()], "[19, 31] behind an axis that numbers them"),
        (vec!["shape=circle"], "`shape` can't be"),
    ] {
        let given: Vec<&str> = options.iter().flat_map(|option| ["-p", option]).collect();
        let ran = pixelmill(scan.arguments("masks", &output, &given));
        assert!(matches!(ran.code, Some(1 | 2)), "{options:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{options:?}: {}", ran.stderr);
    }
    let ran = pixelmill(scan.arguments("center-of-mass", &output, &["--crop", "3,:"]));
    assert!(ran.stderr.contains("it holds no frames"), "{}", ran.stderr);
    assert!(!std::fs::exists(&output).unwrap());
}

/// What is per position alone is marked, selected and resumed position by position.
#[test]
fn detectors_are_computed_in_pieces_and_only_once() {
    let scan = Scan::new("u2", "blocks");
    let (output, whole) = (scan.beside("out.h5"), scan.beside("whole.h5"));
    scan.run("masks", &whole, &[]);
    for positions in ["100:200", "3:90", "[850,0]", ":"] {
        let ran = scan.run("masks", &output, &["--positions", positions]);
        assert!(ran["group"].as_str().unwrap().ends_with("_000"));
    }
    assert_eq!(results(&output)["hash"], results(&whole)["hash"]);
    let ran = scan.run("masks", &output, &["--positions", "5:700"]);
    assert_eq!(ran["outcome"], "existing");
}

#[test]
fn centres_of_mass_are_those_of_libertem() {
    let scan = Scan::new("u2", "contiguous");
    for (number, options) in [
        json!({ "center_y": 9, "center_x": 15 }),
        json!({ "center_y": 8, "center_x": 14, "radius": 8, "radius_inner": 2, "regression": "mean" }),
        json!({ "center_y": 9, "center_x": 15, "radius": 7, "scan_rotation": 30, "flip_y": true,
                "regression": "linear" }),
    ]
    .into_iter()
    .enumerate()
    {
        let output = scan.beside(&format!("{number}.h5"));
        let given: Vec<String> = options
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
            .collect();
        let given: Vec<&str> = given.iter().flat_map(|option| ["-p", option]).collect();
        let ran = scan.run("center-of-mass", &output, &given);
        let group = ran["group"].as_str().unwrap();
        let file = scan.file.to_str().unwrap();
        let found = filters_program(
            "libertem_com.py",
            [file, &output, group, &options.to_string()].map(AsRef::<std::ffi::OsStr>::as_ref),
        );
        for (name, apart) in found.as_object().unwrap() {
            // It computes in single precision.
            assert!(apart.as_f64().is_some_and(|apart| apart < 2e-5), "{name} {options}: {apart}");
        }
        let verified = succeed(["verify", &output, group]);
        assert_eq!((&verified["checked"], &verified["different"]), (&json!(851), &json!([])));
    }
}

#[test]
fn spectra_have_the_statistics_of_numpy() {
    for (kind, layout) in
        [("u2", "contiguous"), ("f4", "blocks"), ("i4", "ragged"), ("f8", "frames")]
    {
        let scan = Scan::new(kind, layout);
        for skip in [false, true] {
            let output = scan.beside(&format!("{skip}.h5"));
            let skipping = format!("skip_nan={skip}");
            let ran = scan.run("spectrum-statistics", &output, &["-p", ALL, "-p", &skipping]);
            let group = ran["group"].as_str().unwrap();
            let options = json!({ "skip_nan": skip, "of": "spectra" }).to_string();
            let found = python("compare", &[&output, group, kind, &options]);
            assert_close(&found, &format!("{kind} {layout} skip {skip}"));
        }
    }
}

#[test]
fn radial_profiles_are_means_at_a_radius() {
    for (kind, layout) in [("u2", "contiguous"), ("i4", "blocks")] {
        let scan = Scan::new(kind, layout);
        let (masks, centers) = (scan.beside("masks.npy"), scan.beside("centers.npy"));
        python("detectors", &[&masks, &centers]);
        let centers = format!("centers={centers}");
        for (number, options) in [
            vec!["radius=9"],
            vec!["radius=12.5", "bins=7", "center_y=3", "center_x=20.25"],
            vec!["radius=8", "bins=5", "ellipticity=1.5", "angle=25"],
            vec!["radius=11", "bins=6", &centers],
        ]
        .into_iter()
        .enumerate()
        {
            let output = scan.beside(&format!("{number}.h5"));
            let given: Vec<&str> = options.iter().flat_map(|option| ["-p", option]).collect();
            let ran = scan.run("radial-profile", &output, &given);
            let group = ran["group"].as_str().unwrap();
            let told = [&output, group, kind, &json!(options).to_string()];
            let apart = python("profiles", &told).as_f64();
            assert!(apart.is_some_and(|apart| apart < 1e-12), "{kind} {options:?}: {apart:?}");
        }
    }
}

#[test]
fn histograms_are_those_of_numpy() {
    for (kind, layout, range) in [
        ("u1", "contiguous", ["0", "255"]),
        ("u2", "blocks", ["100", "5000"]),
        ("f4", "ragged", ["-3.5", "1234.5"]),
    ] {
        let scan = Scan::new(kind, layout);
        for of in ["scan", "point", "position"] {
            let output = scan.beside(&format!("{of}.h5"));
            let mut options = vec![format!("of={of}"), "bins=37".to_owned()];
            if kind != "u1" {
                options
                    .extend([format!("range_min={}", range[0]), format!("range_max={}", range[1])]);
            }
            let given: Vec<&str> = options.iter().flat_map(|option| ["-p", option]).collect();
            let ran = scan.run("histogram", &output, &given);
            let group = ran["group"].as_str().unwrap();
            let told = [&output, group, kind, of, "37", range[0], range[1]];
            assert_eq!(python("histogram_is_right", &told), true, "{kind} {of}");
        }
    }
    let scan = Scan::new("f4", "contiguous");
    let ran = pixelmill(scan.arguments("histogram", &scan.beside("out.h5"), &[]));
    assert!(ran.stderr.contains("`range_min` and `range_max` have to be given"), "{}", ran.stderr);
}

#[test]
fn logarithms_are_summed_as_libertem_does() {
    let scan = Scan::new("i4", "blocks");
    let output = scan.beside("out.h5");
    let ran = scan.run("log-sum", &output, &[]);
    let told = [&output, ran["group"].as_str().unwrap(), "i4"];
    assert!(python("log_sums", &told).as_f64().unwrap() < 1e-13);
}

/// Looks whether what is seen is of just the positions that are said to be in.
#[derive(Default)]
struct Watcher {
    seen: std::sync::Mutex<Vec<u64>>,
}

impl Observer for Watcher {
    fn snapshot(&self, snapshot: &Snapshot<'_>) {
        let mut is_in = vec![0; 20_000];
        snapshot.read_mask(0, &mut is_in).unwrap();
        let positions = is_in.iter().map(|mark| u64::from(*mark)).sum();
        let counts = snapshot.results.iter().find(|(layout, _)| layout.name == "Count").unwrap().1;
        let counts = counts.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
        assert!(counts.into_iter().all(|count| count == positions));
        self.seen.lock().unwrap().push(positions);
    }
}

#[test]
fn whoever_watches_sees_the_fold_of_the_positions_that_are_in() {
    let scan = Scan::many("20000", "100");
    let parameters = serde_json::from_value(json!({ "compute": "count,sum" })).unwrap();
    let kernel = fold_kernel_of::<Statistics>(&parameters).unwrap();
    let request = Request {
        positions_axes: Some(vec![0]),
        output: Some(scan.beside("out.h5").into()),
        checkpoint: Duration::from_micros(1),
        ..Request::new(&scan.file)
    };
    let watcher = Watcher::default();
    let computed = engine::compute(&kernel, &request, &watcher, &Stop::new()).unwrap();
    assert_eq!(computed.completed, 20_000);
    let seen = watcher.seen.into_inner().unwrap();
    assert!(seen.len() > 1 && seen.is_sorted() && seen.last() == Some(&20_000), "{seen:?}");
    let sums: Vec<f64> = computed.values("Sum").unwrap();
    assert_eq!(sums.len(), 100);
}

#[test]
fn a_fold_without_accumulators_is_resumed_as_well() {
    let scan = Scan::made(|file| python("frames", &[file, "8000"]));
    let whole = scan.beside("whole.h5");
    let begun = Instant::now();
    scan.run("center-of-mass-many", &whole, &[]);
    let seconds = begun.elapsed().as_secs_f64();
    let mut random = Random(5);
    let mut killed = (0..200).map(|round| {
        let output = scan.beside(&format!("{round}.h5"));
        let more = ["--cores", "1", "--checkpoint", "0.01"];
        let running = Running::start(scan.arguments("center-of-mass-many", &output, &more));
        thread::sleep(Duration::from_secs_f64(seconds * random.next()));
        running.kill();
        let has_group = std::fs::metadata(&output).is_ok_and(|file| file.len() > 0);
        let before = if has_group { marked(&output) } else { 0 };
        (output, before)
    });
    let in_middle = killed.find(|(_, before)| (1..8000).contains(before));
    let (output, before) = in_middle.expect("a kill in mid-run");
    let ran = scan.run("center-of-mass-many", &output, &[]);
    assert_eq!(ran["report"]["positions"].as_u64().unwrap(), 8000 - before);
    assert_eq!(results(&output)["hash"], results(&whole)["hash"]);
}

#[test]
fn what_is_made_of_neighbours_is_valid_only_where_all_of_them_are_in() {
    let scan = Scan::new("u2", "blocks");
    let output = scan.beside("whole.h5");
    scan.run("center-of-mass", &output, &[]);
    assert_eq!(python("derived", &[&output]), json!({ "wrong": [], "valid": 851, "in": 851 }));
    // In the middle of the scan 5 rows of 6 positions fail: neither they nor those beside them.
    python("damage", &[scan.file.to_str().unwrap()]);
    let output = scan.beside("damaged.h5");
    let ran = pixelmill(scan.arguments("center-of-mass", &output, &[]));
    assert_eq!((ran.code, failed(&ran).len()), (Some(3), 30), "{}", ran.stderr);
    let valid = 851 - 30 - 2 * (5 + 6);
    assert_eq!(python("derived", &[&output]), json!({ "wrong": [], "valid": valid, "in": 821 }));
    let verified = succeed(["verify", &output, ran.json["group"].as_str().unwrap()]);
    assert_eq!((&verified["checked"], &verified["different"]), (&json!(851), &json!([])));
}

#[test]
fn results_of_a_part_tell_for_which_positions_they_are_valid() {
    let scan = Scan::made(|file| python("scan_of_frames", &[file, "60", "90"]));
    let (output, whole) = (scan.beside("out.h5"), scan.beside("whole.h5"));
    let slow = ["--cores", "1", "--checkpoint", "0.001"];
    // On some machines it is over before it hears the signal.
    let mut tried = (0..50).map(|_| {
        let _ = std::fs::remove_file(&output);
        let mut running = Running::start(scan.arguments("center-of-mass", &output, &slow));
        crate::support::watch::wait_until("something is marked", || {
            running.has_ended() || std::fs::metadata(&output).is_ok() && marked(&output) > 1000
        });
        if !running.has_ended() {
            running.signal("INT");
        }
        running.finish()
    });
    let stopped = tried.find(|stopped| stopped.code == Some(130)).unwrap();
    let done = stopped.json["completed"].as_u64().unwrap();
    let found = python("derived", &[&output]);
    assert_eq!((&found["wrong"], &found["in"]), (&json!([]), &json!(done)));
    let valid = found["valid"].as_u64().unwrap();
    assert!(done < 5400 && valid > 0 && valid < done, "{found}");
    scan.run("center-of-mass", &output, &[]);
    scan.run("center-of-mass", &whole, &[]);
    assert_eq!(python("derived", &[&output]), json!({ "wrong": [], "valid": 5400, "in": 5400 }));
    assert_eq!(results(&output)["hash"], results(&whole)["hash"]);
}

/// Stops a run midway that has made no results by then; tells how many positions are done.
fn stopped_midway(scan: &Scan, output: &str) -> u64 {
    // How far it gets until then is up to the machine.
    let mut tried = (1..60).map(|part| {
        let _ = std::fs::remove_file(output);
        let time = format!("{}s", f64::from(part) / 60.0);
        let rare = ["--cores", "1", "--checkpoint", "3600", "--stop-after", &time];
        let ran = pixelmill(scan.arguments("center-of-mass", output, &rare));
        ran.json["completed"].as_u64().unwrap_or(0)
    });
    tried.find(|done| *done > 540).unwrap()
}

#[test]
fn what_is_in_when_a_run_is_stopped_is_in_its_results_though_none_were_due() {
    let scan = Scan::made(|file| python("scan_of_frames", &[file, "120", "180"]));
    let output = scan.beside("out.h5");
    let done = stopped_midway(&scan, &output);
    let found = python("derived", &[&output]);
    assert_eq!((&found["wrong"], &found["in"]), (&json!([]), &json!(done)));
    assert!(done < 21_600 && found["valid"].as_u64().unwrap() > 0, "{found}");
}

#[test]
fn results_that_are_written_though_nothing_is_to_be_marked_are_on_the_disk() {
    let scan = Scan::made(|file| python("scan_of_frames", &[file, "120", "180"]));
    let output = scan.beside("out.h5");
    let done = stopped_midway(&scan, &output);
    for (durability, syncs) in [("node", 1), ("process", 0)] {
        let at_once = ["--cores", "1", "--stop-after", "0s", "-vv", "--durability", durability];
        let ran = pixelmill(scan.arguments("center-of-mass", &output, &at_once));
        assert_eq!(ran.json["completed"], done);
        let told = format!("0 positions marked in 0 batches with {syncs} syncs");
        assert!(ran.stderr.contains("units are written down in"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
}

/// Looks whether what is made of neighbours is there for just those that are in with theirs.
#[derive(Default)]
struct MaskWatcher {
    seen: std::sync::Mutex<Vec<usize>>,
}

impl Observer for MaskWatcher {
    fn snapshot(&self, snapshot: &Snapshot<'_>) {
        const COLUMNS: usize = 90;
        let mut is_in = vec![0; 60 * COLUMNS];
        snapshot.read_mask(0, &mut is_in).unwrap();
        let of = |name: &str| {
            let mut all = snapshot.per_position.iter();
            all.find(|(layout, _)| layout.name == name).unwrap().1
        };
        let is_valid = |at: usize| {
            let (row, column) = (at / COLUMNS, at % COLUMNS);
            let mut needed = vec![at];
            needed.extend((row > 0).then(|| at - COLUMNS));
            needed.extend((row < 59).then(|| at + COLUMNS));
            needed.extend((column > 0).then(|| at - 1));
            needed.extend((column < COLUMNS - 1).then(|| at + 1));
            needed.into_iter().all(|other| is_in[other] == 1)
        };
        let expected: Vec<u8> = (0..is_in.len()).map(|at| u8::from(is_valid(at))).collect();
        assert!(of("Valid") == expected);
        let curls = of("Curl").as_chunks().0.iter().map(|bytes| f64::from_ne_bytes(*bytes));
        assert!(curls.zip(&expected).all(|(curl, valid)| curl.is_nan() == (*valid == 0)));
        self.seen.lock().unwrap().push(expected.iter().filter(|valid| **valid == 1).count());
    }
}

#[test]
fn whoever_watches_sees_what_is_valid_of_the_positions_that_are_in() {
    let scan = Scan::made(|file| python("scan_of_frames", &[file, "60", "90"]));
    let kernel = fold_kernel_of::<CenterOfMass>(&serde_json::from_value(json!({})).unwrap());
    let request = Request {
        positions_axes: Some(vec![0, 1]),
        output: Some(scan.beside("out.h5").into()),
        checkpoint: Duration::from_micros(1),
        ..Request::new(&scan.file)
    };
    let watcher = MaskWatcher::default();
    engine::compute(&kernel.unwrap(), &request, &watcher, &Stop::new()).unwrap();
    let seen = watcher.seen.into_inner().unwrap();
    assert!(seen.len() > 1 && seen.is_sorted() && seen.last() == Some(&5400), "{seen:?}");
}

#[test]
fn what_is_not_folded_of_all_positions_is_no_input_and_no_source() {
    let scan = Scan::many("20000", "100");
    let output = scan.beside("out.h5");
    let slow = ["-p", "compute=mean", "--cores", "1", "--checkpoint", "0.001", "--stop-after"];
    let ran =
        pixelmill(scan.arguments("statistics-many", &output, &[&slow[..], &["0.01s"]].concat()));
    let done = ran.json["completed"].as_u64().unwrap();
    assert!(ran.code != Some(0) && done < 20_000, "{}", ran.stderr);
    let group = ran.json["group"].as_str().unwrap();
    let mean = format!("{group}/Mean");
    let lacks = format!("{group} has {done} of 20000 positions");
    let dark = format!("{output}:{mean}");
    let again = scan.beside("again.h5");
    for refused in [
        run("statistics", output.as_ref(), &["--dataset", &mean, "--positions-axes", "0"]),
        scan.arguments("sum-many", &again, &["--dark", &dark]),
        scan.arguments("masks-many", &again, &["-p", &format!("masks={dark}")]),
    ] {
        let ran = pixelmill(&refused);
        assert!(ran.code == Some(1) && ran.stderr.contains(&lacks), "{refused:?}: {}", ran.stderr);
    }
    scan.run("statistics-many", &output, &["-p", "compute=mean"]);
    scan.run("sum-many", &again, &["--dark", &dark]);
    // Of a selection all is there once the selection is.
    let ran = scan.run("statistics-many", &output, &["-p", "compute=mean", "--positions", "5:900"]);
    let group = ran["group"].as_str().unwrap();
    scan.run("sum-many", &again, &["--dark", &format!("{output}:{group}/Mean")]);
    let verified = succeed(["verify", &output, group]);
    assert_eq!((&verified["checked"], &verified["different"]), (&json!(895), &json!([])));
    assert!(verified["changed"].is_null());
}

#[test]
fn a_shift_that_is_no_number_fails_its_position_alone() {
    let scan = Scan::new("u2", "contiguous");
    let (output, shifts) = (scan.beside("out.h5"), scan.beside("shifts.npy"));
    python("bad_shifts", &[&shifts]);
    let shifts = format!("shifts={shifts}");
    let ran = pixelmill(scan.arguments("masks", &output, &["-p", &shifts, "-p", "radius=3"]));
    assert_eq!((ran.code, failed(&ran)), (Some(3), vec![76, 207]), "{}", ran.stderr);
    assert_eq!(ran.json["failed"][0]["message"], "its shift is no number");
}

#[test]
fn sums_that_nobody_asked_for_cannot_overflow() {
    let scan = Scan::made(|file| python("large_integers", &[file]));
    for (statistics, code) in [("max", 0), ("min,mean,arg_max", 0), ("sum", 1)] {
        let output = scan.beside(&format!("{statistics}.h5"));
        let compute = format!("compute={statistics}");
        let ran = pixelmill(scan.arguments("statistics-many", &output, &["-p", &compute]));
        assert_eq!(ran.code, Some(code), "{statistics}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("is beyond 64 bits"), code == 1, "{}", ran.stderr);
    }
}

#[test]
fn rings_have_every_point_of_the_ring_that_they_divide() {
    let scan = Scan::new("u1", "contiguous");
    let mut sums = Vec::new();
    for shape in ["ring", "rings"] {
        let output = scan.beside(shape);
        let (shape, radii) =
            (format!("shape={shape}"), ["-p", "radius=5", "-p", "radius_inner=1.2"]);
        scan.run("masks", &output, &[&["-p", &shape, "-p", "count=3"], &radii[..]].concat());
        sums.push(python("intensities", &[&output]));
    }
    assert_eq!(sums[0], sums[1]);
}

/// A fit needs no more than what there is.
#[test]
fn planes_are_fitted_to_whatever_lies_in_one_line() {
    let scan = Scan::new("u2", "contiguous");
    for (number, positions) in [":", "5:6,:", ":,7:8", "3:4,9:10"].iter().enumerate() {
        let output = scan.beside(&format!("{number}.h5"));
        let options = ["--positions", positions, "-p", "regression=linear"];
        scan.run("center-of-mass", &output, &options);
        let apart = python("regressed", &[&output]).as_f64().unwrap();
        assert!(apart < 1e-9, "{positions}: {apart:e}");
    }
    scan.run("center-of-mass", &scan.beside("none.h5"), &["-p", "regression=none"]);
}

#[test]
fn a_merge_that_is_not_associative_is_told_when_it_is_tried() {
    let scan = Scan::many("20000", "100");
    let file = scan.file.to_str().unwrap();
    for (halves, fails) in [("false", false), ("true", true)] {
        let halves = format!("merge_halves={halves}");
        let options = ["-p", "shows_order=false", "-p", &halves, "--positions-axes", "0"];
        let tried = pixelmill([&["test", "gathered", file, "--pixel", "5"], &options[..]].concat());
        let told = tried.json["failure"].as_str().unwrap_or_default();
        assert_eq!(told.contains("its merge isn't associative"), fails, "{}", tried.stderr);
    }
}

#[test]
fn what_rounding_leaves_of_a_sum_is_no_fault_of_its_merge() {
    let scan = Scan::made(|file| python("cancelling", &[file]));
    let file = scan.file.to_str().unwrap();
    let options = ["--pixel", "0", "--positions-axes", "0", "-p", "compute=sum,mean,std"];
    let tried = pixelmill([&["test", "statistics", file], &options[..]].concat());
    assert!(tried.code == Some(0) && tried.json["failure"].is_null(), "{}", tried.stderr);
}

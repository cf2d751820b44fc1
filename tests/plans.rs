//! Plans: steps of which some take results of others, together with these where that can be.

use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::folds::{Scan, assert_same_results, computations, kill_a_few, marked, python};
use crate::support::holder::Holder;
use crate::support::random::Random;
use crate::support::watch::{Running, wait_until};
use crate::support::{pixelmill, program, refuse, succeed};

const CHAIN: &str = r#"
[[step]]
process = "center-of-mass"
name = "com"
parameters = { radius = 8 }

[[step]]
process = "masks"
parameters = { shape = "ring", radius = 7, radius_inner = 2, shifts = "@com/Shifts" }

[[step]]
process = "radial-profile"
parameters = { centers = "@com/Centers" }

[[step]]
process = "statistics"
name = "first rows"
crop = "0:5,:"
positions = "0:100"
"#;

/// A plan in a file beside a scan.
fn planned(scan: &Scan, name: &str, text: &str, more: &[&str]) -> Vec<std::ffi::OsString> {
    let plan = scan.beside(name);
    std::fs::write(&plan, text).unwrap();
    let axes = ["--positions-axes", "0,1"];
    ["run", "--plan", &plan].iter().chain(&axes).chain(more).map(Into::into).collect()
}

#[test]
fn a_plan_is_what_its_steps_are_one_after_the_other() {
    let scan = Scan::new("u2", "blocks");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let file = scan.file.to_str().unwrap();
    let named = format!("file = \"{file}\"\n{CHAIN}");
    let to = ["--output", output.as_str()];
    let told = succeed(planned(&scan, "jobs.toml", &named, &[&to[..], &["--dry-run"]].concat()));
    assert_eq!(computations(&told).len(), 2, "the others wait for these");
    let ran = succeed(planned(&scan, "jobs.toml", &named, &to));
    let processes: Vec<_> =
        computations(&ran).iter().map(|computed| computed["process"].as_str().unwrap()).collect();
    assert_eq!(processes, ["Center_of_Mass", "Masks", "Radial_Profile", "Statistics"]);
    let report = |number: usize| &computations(&ran)[number]["report"];
    assert!(report(0) == report(1) && report(1) == report(2) && report(2) != report(3));
    let com = scan.run("center-of-mass", &single, &["-p", "radius=8"]);
    let input = |name: &str| format!("{}/{name}", com["group"].as_str().unwrap());
    let shifts = format!("shifts={}", input("Shifts"));
    let ring = ["-p", "shape=ring", "-p", "radius=7", "-p", "radius_inner=2", "-p", &shifts];
    scan.run("masks", &single, &ring);
    let centers = format!("centers={}", input("Centers"));
    scan.run("radial-profile", &single, &["-p", &centers]);
    scan.run("statistics", &single, &["--crop", "0:5,:", "--positions", "0:100"]);
    assert_same_results(&output, &single, "a plan");
    // What was there is reused; the file may be typed, and parameters of steps.
    let json = json!({ "step": [
        { "process": "Center_of_Mass", "name": "com", "parameters": { "radius": 3 } },
        { "process": "masks", "parameters": { "shifts": "@com/Shifts" } },
    ]});
    let own = ["-p", "com.radius=8", "-p", "masks.shape=ring", "-p", "masks.radius=7"];
    let own = [&[file], &to[..], &own, &["-p", "masks.radius_inner=2"]].concat();
    let again = succeed(planned(&scan, "jobs.json", &json.to_string(), &own));
    let outcome = |number: usize| &computations(&again)[number]["outcome"];
    assert_eq!((outcome(0), outcome(1)), (&json!("existing"), &json!("existing")));
}

/// A map, one that takes what it has made of each position, and one that takes what that has.
const MAPS: &str = r#"
[[step]]
process = "uneven"

[[step]]
process = "slow"
parameters = { pause = 0, offset = "@uneven/Uneven" }

[[step]]
process = "slow"
name = "slower"
parameters = { pause = 1, offset = "@slow/Slow_Sum" }
"#;

#[test]
fn maps_that_take_results_of_maps_read_everything_once() {
    for layout in ["contiguous", "blocks", "frames"] {
        let scan = Scan::new("f4", layout);
        let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
        let file = scan.file.to_str().unwrap();
        let ran = succeed(planned(&scan, "jobs.toml", MAPS, &[file, "--output", &output]));
        let reports: Vec<_> = computations(&ran).iter().map(|one| &one["report"]).collect();
        assert!(reports[0] == reports[1] && reports[1] != reports[2], "{layout}");
        assert_eq!(reports[0]["chunks_decoded"], reports[0]["chunks"], "{layout}");
        let mut input = scan.run("uneven", &single, &[])["group"].clone();
        for (dataset, pause) in [("Uneven", "pause=0"), ("Slow_Sum", "pause=1")] {
            let given = format!("offset={}/{dataset}", input.as_str().unwrap());
            input = scan.run("slow", &single, &["-p", &given, "-p", pause])["group"].clone();
        }
        assert_same_results(&output, &single, layout);
    }
}

#[test]
fn what_goes_along_is_recognised_by_the_very_results_that_it_took() {
    let scan = Scan::new("u2", "ragged");
    let output = scan.beside("out.h5");
    let file = scan.file.to_str().unwrap();
    let ran = succeed(planned(&scan, "jobs.toml", CHAIN, &[file, "--output", &output]));
    let group = computations(&ran)[0]["group"].as_str().unwrap();
    let shifts = format!("shifts={group}/Shifts");
    let ring = ["-p", "shape=ring", "-p", "radius=7", "-p", "radius_inner=2", "-p", &shifts];
    let again = scan.run("masks", &output, &ring);
    assert_eq!(again["outcome"], "existing");
    assert_eq!(again["parameter_hash"], computations(&ran)[1]["parameter_hash"]);
    // Of what is changed it isn't.
    python("change_result", &[&output, &format!("{group}/Shifts")]);
    assert_eq!(scan.run("masks", &output, &ring)["outcome"], "finished");
}

/// A fold or a map, and a map that takes what it makes of each position.
fn pair(process: &str, parameters: &str, dataset: &str) -> String {
    format!(
        "[[step]]\nprocess = \"{process}\"\nname = \"first\"\nparameters = {{ {parameters} \
         }}\n[[step]]\nprocess = \"slow\"\nparameters = {{ pause = 0, offset = \
         \"@first/{dataset}\" }}\n"
    )
}

/// The same, one after the other.
fn one_by_one(scan: &Scan, output: &str, (process, parameter): (&str, &str), dataset: &str) {
    let first = scan.run(&format!("{process}-many"), output, &["-p", parameter]);
    let offset = format!("offset={}/{dataset}", first["group"].as_str().unwrap());
    scan.run("slow-many", output, &["-p", "pause=0", "-p", &offset]);
}

/// Arguments for a plan whose scan has one axis.
fn along_one(scan: &Scan, text: &str, output: &str, more: &[&str]) -> Vec<std::ffi::OsString> {
    let plan = scan.beside("jobs.toml");
    std::fs::write(&plan, text).unwrap();
    let file = scan.file.to_str().unwrap();
    let all = ["run", "--plan", &plan, file, "--positions-axes", "0", "--output", output];
    all.iter().chain(more).map(Into::into).collect()
}

#[test]
fn killed_plans_go_on_with_all_of_their_steps() {
    for (process, parameters, parameter, dataset) in [
        ("gathered", "rounds = 20", "rounds=20", "Rows"),
        ("uneven", "rounds = 40", "rounds=40", "Uneven"),
    ] {
        let scan = Scan::many("20000", "100");
        let single = scan.beside("single.h5");
        let begun = Instant::now();
        one_by_one(&scan, &single, (process, parameter), dataset);
        let seconds = begun.elapsed().as_secs_f64();
        let text = pair(process, parameters, dataset);
        let mut random = Random(7);
        let (mut killed, mut in_middle, mut round) = (0, 0, 0);
        while killed < 10 || in_middle < 4 && killed < 60 {
            let output = scan.beside(&format!("{round}.h5"));
            round += 1;
            let start = |more: &[&str]| along_one(&scan, &text, &output, more);
            let few = kill_a_few(start, &output, (20_000, seconds), &mut random);
            (killed, in_middle) = (killed + few.0, in_middle + few.1);
            let ran = succeed(start(&[]));
            // The last kill may have come when all of the first was there.
            let [first, then] = computations(&ran) else { panic!("{ran}") };
            assert!(first["report"] == then["report"] || first["outcome"] == "existing", "{ran}");
            assert!(computations(&ran).iter().all(|computed| computed["completed"] == 20_000));
            assert_same_results(&output, &single, &format!("{process} after kills"));
            std::fs::remove_file(&output).unwrap();
        }
        assert!(in_middle >= 4, "only {in_middle} of {killed} kills came in mid-run");
    }
}

#[test]
fn what_was_taken_is_compared_before_a_plan_goes_on() {
    let scan = Scan::many("20000", "100");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let text = pair("gathered", "rounds = 20", "Rows");
    let slowly = ["--cores", "1", "--checkpoint", "0.05"];
    let mut running = Running::start(along_one(&scan, &text, &output, &slowly));
    wait_until("something is marked", || {
        running.has_ended() || std::fs::metadata(&output).is_ok() && marked(&output) > 0
    });
    running.signal("INT");
    let stopped = running.finish();
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    let [first, second] = computations(&stopped.json) else { panic!("there are two steps") };
    assert!(second["completed"].as_u64().unwrap() > 0, "{second}");
    let group = |computed: &Value| computed["group"].as_str().unwrap().to_owned();
    python("change_result", &[&output, &format!("{}/Rows", group(first))]);
    let ran = succeed(along_one(&scan, &text, &output, &[]));
    // What was changed stays, as nobody knows; what took it is of something else now.
    assert_eq!(group(&computations(&ran)[0]), group(first));
    assert!(group(&computations(&ran)[1]) != group(second));
    one_by_one(&scan, &single, ("gathered", "rounds=20"), "Rows");
    let offset = format!("offset={}/Rows", group(first));
    let again = scan.run("slow-many", &output, &["-p", "pause=0", "-p", &offset]);
    assert_eq!(again["outcome"], "existing");
    assert_eq!(again["group"], computations(&ran)[1]["group"]);
}

#[test]
fn what_was_handed_on_and_then_computed_otherwise_is_taken_again() {
    let scan = Scan::many("3000", "50");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let mended = scan.beside("mended");
    let given = format!("panic_every = 0, mended_by = \"{mended}\"");
    let text = pair("trouble", &given, "First").replace("pause = 0", "pause = 500");
    let slowly = ["--cores", "1", "--checkpoint", "0.05"];
    let running = Running::start(along_one(&scan, &text, &output, &slowly));
    wait_until("something is marked", || {
        std::fs::metadata(&output).is_ok_and(|file| file.len() > 0) && marked(&output) > 0
    });
    running.kill();
    std::fs::write(&mended, "").unwrap();
    let ran = succeed(along_one(&scan, &text, &output, &["--retry-failed"]));
    let by = format!("mended_by={mended}");
    let first = scan.run("trouble-many", &single, &["-p", "panic_every=0", "-p", &by]);
    let offset = format!("offset={}/First", first["group"].as_str().unwrap());
    let again = scan.run("slow-many", &single, &["-p", "pause=500", "-p", &offset]);
    let [_, second] = computations(&ran) else { panic!("there are two steps") };
    assert_eq!(second["parameter_hash"], again["parameter_hash"]);
    let input =
        |file: &str, ran: &Value| format!("{file}:{}/Slow_Sum", ran["group"].as_str().unwrap());
    let same = python("same_values", &[&input(&output, second), &input(&single, &again)]);
    assert_eq!(same, json!(true));
}

/// Whether the second step of a plan has what it has by itself, from what the first has, and is
/// known again as that.
fn assert_took_what_is_there(
    scan: &Scan,
    output: &str,
    ran: &Value,
    (dataset, pause): (&str, &str),
) {
    let [first, second] = computations(ran) else { panic!("there are two steps") };
    let path = |of: &Value, dataset: &str| format!("{}/{dataset}", of["group"].as_str().unwrap());
    let offset = format!("offset={}", path(first, dataset));
    let more = ["-p", pause, "-p", &offset];
    let again = scan.run("slow-many", output, &more);
    assert_eq!((&again["outcome"], &again["group"]), (&json!("existing"), &second["group"]));
    let anew = scan.run("slow-many", output, &[&more[..], &["--override"]].concat());
    let values = |of: &Value| format!("{output}:{}", path(of, "Slow_Sum"));
    assert_eq!(python("same_values", &[&values(second), &values(&anew)]), json!(true));
    let verified = pixelmill(["verify", output, second["group"].as_str().unwrap()]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

#[test]
fn what_was_taken_of_a_fold_that_was_lost_does_not_count() {
    let scan = Scan::many("20000", "100");
    let output = scan.beside("out.h5");
    let text = pair("gathered", "merge_fails_on = 0", "Rows");
    let failed = Command::new(program())
        .args(along_one(&scan, &text, &output, &["--json"]))
        .env("PMI_RANK", "0")
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", String::from_utf8_lossy(&failed.stderr));
    // Nobody else may take what it has by now.
    let groups = pixelmill(["status", &output]).json["groups"].as_array().unwrap().clone();
    let slow = groups.iter().find(|group| group["process"] == "Slow").unwrap();
    assert_eq!(slow["is_provisional"], true);
    let offset = format!("offset={}/Slow_Sum", slow["group"].as_str().unwrap());
    let taken = scan.arguments("slow-many", &output, &["-p", "pause=1", "-p", &offset]);
    refuse(taken, 1, &["took results of others that weren't all there"]);
    let ran = succeed(along_one(&scan, &text, &output, &[]));
    assert_took_what_is_there(&scan, &output, &ran, ("Rows", "pause=0"));
}

#[test]
fn what_was_edited_after_it_was_taken_is_taken_again() {
    let scan = Scan::many("3000", "50");
    let output = scan.beside("out.h5");
    let text = pair("uneven", "rounds = 10", "Uneven").replace("pause = 0", "pause = 500");
    let slowly = ["--cores", "1", "--checkpoint", "0.05"];
    let running = Running::start(along_one(&scan, &text, &output, &slowly));
    wait_until("something is marked", || {
        std::fs::metadata(&output).is_ok_and(|file| file.len() > 0) && marked(&output) > 0
    });
    python("change_bytes", &[&output, "/data-Uneven_000/Uneven"]);
    let ran = running.finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_took_what_is_there(&scan, &output, &ran.json, ("Uneven", "pause=500"));
}

#[test]
fn a_step_may_be_completed_by_itself_in_between() {
    let scan = Scan::many("3000", "50");
    let output = scan.beside("out.h5");
    let text = pair("uneven", "rounds = 10", "Uneven").replace("pause = 0", "pause = 500");
    let slowly = ["--cores", "1", "--checkpoint", "0.05"];
    let running = Running::start(along_one(&scan, &text, &output, &slowly));
    wait_until("something is marked", || {
        std::fs::metadata(&output).is_ok_and(|file| file.len() > 0) && marked(&output) > 0
    });
    running.kill();
    scan.run("uneven-many", &output, &["-p", "rounds=10"]);
    let ran = succeed(along_one(&scan, &text, &output, &[]));
    // It went on with what it had.
    assert_eq!(computations(&ran)[1]["group"], "/data-Slow_000");
    assert_took_what_is_there(&scan, &output, &ran, ("Uneven", "pause=500"));
}

#[test]
fn what_is_handed_on_is_compressed_when_nobody_reads_it_any_more() {
    let scan = Scan::new("u2", "blocks");
    let (output, plain) = (scan.beside("out.h5"), scan.beside("plain.h5"));
    let file = scan.file.to_str().unwrap();
    // In the same pass, and, with a crop, in one behind it.
    let text = CHAIN
        .replace("shifts = \"@com/Shifts\" }", "shifts = \"@com/Shifts\" }\ncrop = \"0:18,:\"");
    let ran = |output: &str, more: &[&str]| {
        let arguments = [&[file, "--output", output], more].concat();
        succeed(planned(&scan, "jobs.toml", &text, &arguments))
    };
    let (zipped, not) = (ran(&output, &["--compress", "gzip"]), ran(&plain, &[]));
    let all = computations(&zipped).iter().zip(computations(&not)).zip([
        "Shifts",
        "Intensity",
        "Profile",
    ]);
    for ((one, other), dataset) in all {
        let path =
            |file: &str, of: &Value| format!("{file}:{}/{dataset}", of["group"].as_str().unwrap());
        let same = python("same_values", &[&path(&output, one), &path(&plain, other)]);
        assert_eq!(same, json!(true), "{dataset}");
    }
    let again = ran(&output, &[]);
    assert!(computations(&again).iter().all(|computed| computed["outcome"] == "existing"));
}

#[test]
fn what_is_taken_is_what_the_step_has_made_whatever_else_is_called_so() {
    let scan = Scan::new("u2", "contiguous");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let file = scan.file.to_str().unwrap();
    // In the file of the data, at the path that results get in theirs.
    let other =
        succeed(["run", "center-of-mass", file, "--positions-axes", "0,1", "-p", "radius=2"]);
    let both = ["--dataset", "/data", "--output"];
    let ran = |to: &str| {
        let arguments = planned(&scan, "jobs.toml", CHAIN, &[&[file], &both[..], &[to]].concat());
        computations(&succeed(arguments)).to_vec()
    };
    let first = ran(&output);
    assert_eq!(first[0]["group"], other["group"]);
    let lies_in = &first[1]["inputs"][0]["file"];
    assert!(lies_in.as_str().unwrap().ends_with("out.h5"), "{lies_in}");
    let shifts = first[0]["group"].as_str().unwrap();
    let shifts = format!("shifts={output}:{shifts}/Shifts");
    let ring = ["-p", "shape=ring", "-p", "radius=7", "-p", "radius_inner=2", "-p", &shifts];
    let alone = scan.run("masks", &single, &[&["--dataset", "/data"], &ring[..]].concat());
    let path =
        |file: &str, of: &Value| format!("{file}:{}/Intensity", of["group"].as_str().unwrap());
    let same = python("same_values", &[&path(&output, &first[1]), &path(&single, &alone)]);
    assert_eq!(same, json!(true));
    assert!(ran(&output).iter().all(|computed| computed["outcome"] == "existing"));
}

#[test]
fn who_reads_the_file_at_the_end_keeps_nothing_from_being_recognised_later() {
    let scan = Scan::many("6000", "100");
    let (output, single) = (scan.beside("out.h5"), scan.beside("single.h5"));
    let text = pair("uneven", "rounds = 400", "Uneven");
    let slowly = ["--cores", "1", "--checkpoint", "0.05"];
    let running = Running::start(along_one(&scan, &text, &output, &slowly));
    wait_until("something is marked", || {
        std::fs::metadata(&output).is_ok_and(|file| file.len() > 0) && marked(&output) > 0
    });
    let holder = Holder::new(std::path::Path::new(&output), "reader");
    let held = running.finish();
    assert_eq!(held.code, Some(0), "{}", held.stderr);
    drop(holder);
    let again = succeed(along_one(&scan, &text, &output, &[]));
    assert!(computations(&again).iter().all(|computed| computed["outcome"] == "existing"));
    let hash = |ran: &Value| computations(ran)[1]["parameter_hash"].clone();
    assert!(hash(&held.json) != hash(&again));
    one_by_one(&scan, &single, ("uneven", "rounds=400"), "Uneven");
    assert_same_results(&output, &single, "held");
}

#[cfg(feature = "mpi")]
#[test]
fn ranks_take_results_of_each_other() {
    for (kind, layout) in [("u2", "contiguous"), ("u2", "blocks")] {
        let scan = Scan::new(kind, layout);
        let single = scan.beside("single.h5");
        let file = scan.file.to_str().unwrap();
        succeed(planned(&scan, "jobs.toml", CHAIN, &[file, "--output", &single]));
        for count in [2, 3] {
            let output = scan.beside(&format!("{count}.h5"));
            let arguments = planned(&scan, "jobs.toml", CHAIN, &[file, "--output", &output]);
            let ran = crate::support::ranks::succeed_on(count, arguments);
            assert_eq!(computations(&ran).len(), 4);
            assert_same_results(&output, &single, &format!("{layout} {count} ranks"));
        }
    }
}

#[test]
fn a_plan_that_cannot_be_is_refused_before_anything_is_computed() {
    let scan = Scan::new("u2", "contiguous");
    let output = scan.beside("out.h5");
    let file = scan.file.to_str().unwrap().to_owned();
    let with = |text: &str| CHAIN.replacen("@com/Shifts", text, 1);
    for (text, texts) in [
        (
            with("@com/Shift"),
            ["`com` has no results dataset `Shift`", "did you mean `@com/Shifts`?"],
        ),
        (with("@come/Shifts"), ["no step before it is called `come`", "did you mean `com`?"]),
        (CHAIN.replace("\"com\"", "\"masks\""), ["two steps are called `masks`", "--plan"]),
        (CHAIN.replace("crop", "corp"), ["line 18: unknown field `corp`", "crop"]),
        (CHAIN.replace("0:100", "first"), ["step first rows, positions", "first"]),
        (CHAIN.replace("radius_inner = 2", "radius_inner = -2"), ["`radius_inner`", "-2"]),
        (CHAIN.replace("radial-profile", "radial"), ["`radial`", "radial-profile"]),
        ("file = \"scan.h5\"".to_owned(), ["missing field `step`", "--plan"]),
        ("step = []".to_owned(), ["it has no [[step]]", "--plan"]),
    ] {
        let more = [file.as_str(), "--output", &output];
        refuse(planned(&scan, "jobs.toml", &text, &more), 2, &texts);
        assert!(!std::path::Path::new(&output).exists(), "{text}");
    }
    refuse(planned(&scan, "jobs.toml", CHAIN, &[]), 2, &["it names no file"]);
    refuse(planned(&scan, "jobs.toml", CHAIN, &["sum", &file]), 2, &["is said in the plan"]);
    let missing = scan.beside("missing.toml");
    refuse(["run", "--plan", &missing, &file], 1, &["missing.toml", "there is no such file"]);
}

/// Whoever asks to stop between two steps gets no plan that is said to be done.
#[test]
fn a_plan_that_is_stopped_is_not_done() {
    let scan = Scan::new("u2", "blocks");
    let output = scan.beside("out.h5");
    let file = scan.file.to_str().unwrap();
    scan.run("center-of-mass", &output, &["-p", "radius=8"]);
    let stopped = [file, "--output", &output, "--stop-after", "0s"];
    let ran = pixelmill(planned(&scan, "jobs.toml", CHAIN, &stopped));
    // The first step was there, so that those that wait for it were begun.
    let outcomes: Vec<_> = computations(&ran.json)
        .iter()
        .map(|computed| computed["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["existing", "stopped", "stopped", "stopped"]);
    assert_eq!(ran.code, Some(143), "{}", ran.stderr);
    let ran = succeed(planned(&scan, "jobs.toml", CHAIN, &[file, "--output", &output]));
    assert_eq!(computations(&ran).len(), 4);
}

//! The page that `view` and `run --view` serve, as its own scripts ask it: numbers are those of the
//! file, a run is that of the command line, and whoever goes, comes or is killed in between,
//! nothing of it is lost. Who isn't meant to ask is in `intruders`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::page::{Page, View};
use crate::support::watch::{Opener, Running, Snapshot, signal, wait_until};
use crate::support::{
    POSITIONS, RAW_DATA, Sample, pixelmill, python_function, run, start, succeed,
};

/// A run that takes some seconds, as the page asks for it and as it is typed.
const PAUSE: u64 = 1500;
const SLOW: [&str; 4] = ["-p", "pause=1500", "--cores", "2"];

fn slow() -> Value {
    json!({"process": "slow", "parameters": {"pause": PAUSE}, "cores": "2"})
}

/// Results of a run that was typed, and its answer.
fn by_hand(process: &str, more: &[&str]) -> (Snapshot, Value) {
    let sample = Sample::new();
    let ran = succeed(run(process, &sample.file, more));
    (Opener::new().snapshot(&sample.file), ran)
}

/// The results of `slow`, whatever its pause.
fn slow_sums() -> Snapshot {
    by_hand("slow", &["-p", "pause=0"]).0
}

/// What came of the only computation of a run that has ended.
fn outcome(end: &Value) -> &Value {
    let computations = end["outcome"]["computations"].as_array();
    let all = computations.unwrap_or_else(|| panic!("it has failed: {end}"));
    assert_eq!(all.len(), 1);
    &all[0]
}

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().expect("values").iter();
    values.map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

/// The same numbers, but for the order in which they were added up.
fn assert_near(found: &[f64], expected: &[f64], about: &str) {
    assert_eq!(found.len(), expected.len(), "{about}");
    for (found, expected) in found.iter().zip(expected) {
        let near = (found - expected).abs() <= 1e-12 * expected.abs();
        assert!(near || found.is_nan() && expected.is_nan(), "{about}: {found}, not {expected}");
    }
}

#[test]
fn a_run_of_the_page_gives_the_bytes_and_the_hash_of_the_command_line() {
    let cases = [
        (
            json!({"process": "peak-finding", "parameters": {"width_min": 25}}),
            "peak-finding",
            &["-p", "width_min=25"][..],
        ),
        (
            json!({"process": "peak-finding", "crop": "20:110", "dead_pixels": "22,60"}),
            "peak-finding",
            &["--crop", "20:110", "--dead-pixels", "22,60"],
        ),
        (
            json!({"process": "sho-fit", "positions": "0:128", "cores": "1", "memory": "1M"}),
            "sho-fit",
            &["--positions", "0:128"],
        ),
    ];
    for (what, process, typed) in cases {
        let (expected, ran) = by_hand(process, typed);
        let sample = Sample::new();
        let view = View::of(&sample.file);
        let rehearsed = view.page.done("/api/rehearse", &what);
        assert_eq!((&rehearsed["begins"], &rehearsed["group"]), (&json!("new"), &Value::Null));
        assert_eq!(view.page.done("/api/run", &what), json!({"run": 1}));
        let end = view.page.listen().end_of_run();
        let ended = outcome(&end);
        for known in ["outcome", "group", "parameter_hash", "completed", "positions", "failed"] {
            assert_eq!(ended[known], ran[known], "{what}: {known}");
        }
        assert!(Opener::new().snapshot(&sample.file) == expected, "{what}: other results");
        // Each knows what the other has computed.
        assert_eq!(succeed(run(process, &sample.file, typed))["outcome"], "existing");
        assert_eq!(view.page.done("/api/run", &what), json!({"run": 2}));
        assert_eq!(outcome(&view.page.listen().end_of_run())["outcome"], "existing");
    }
}

#[test]
fn one_run_at_a_time_is_stopped_from_any_page_and_goes_on_from_another() {
    let sample = Sample::new();
    let view = View::of(&sample.file);
    let page = &view.page;
    page.done("/api/run", &slow());
    let mut events = page.listen();
    let group = events.computed(200);
    let second = page.post("/api/run", &json!({"process": "peak-finding"}));
    assert_eq!(second.status, 409);
    assert!(second.said().contains("another run of this page goes on"), "{}", second.said());
    let remove = page.post("/api/remove", &json!({"group": group, "dry_run": false}));
    assert!(remove.status >= 400, "{}", remove.text());
    // Somebody else who has the address.
    let other = Page::at(&format!("http://127.0.0.1:{}/?token={}", page.port, page.token));
    assert_eq!(other.done("/api/stop", &json!({})), json!({}));
    let end = events.end_of_run();
    let stopped = outcome(&end);
    assert_eq!(stopped["outcome"], "stopped");
    let finished = slow_sums();
    let mut opener = Opener::new();
    let found = opener.snapshot(&sample.file);
    found.assert_marked_are_right(&finished);
    assert!((200..POSITIONS).contains(&found.marked()), "{} marked", found.marked());
    assert_eq!(stopped["completed"], found.marked());
    assert_eq!(found.written_but_not_marked(&finished), 0, "a stop loses nothing");
    // Nothing goes on that could be stopped.
    assert_eq!(other.done("/api/stop", &json!({})), json!({}));

    let mut what = slow();
    what["resume"] = json!(group);
    let rehearsed = other.done("/api/rehearse", &what);
    assert_eq!((&rehearsed["begins"], &rehearsed["group"]), (&json!("partial"), &json!(group)));
    assert_eq!(rehearsed["pending"], POSITIONS - found.marked());
    assert_eq!(other.done("/api/run", &what), json!({"run": 2}));
    let end =
        events.run("the second has ended", |state| state["run"] == 2 && state["state"] == "ended");
    assert_eq!(outcome(&end)["report"]["positions"], POSITIONS - found.marked());
    assert!(opener.snapshot(&sample.file) == finished);
}

#[test]
fn a_server_that_is_killed_loses_nothing_and_the_next_one_goes_on() {
    let sample = Sample::new();
    let mut opener = Opener::new();
    let finished = slow_sums();
    let mut marked = 0;
    for _ in 0..2 {
        let view = View::of(&sample.file);
        view.page.done("/api/run", &slow());
        view.page.listen().computed(1);
        let group = opener.group(&sample.file);
        wait_until("some are marked", || group.marked(&sample.file) > marked);
        view.kill();
        let found = opener.snapshot(&sample.file);
        found.assert_marked_are_right(&finished);
        assert!(found.marked() > marked && found.marked() < POSITIONS, "{}", found.marked());
        marked = found.marked();
    }
    let view = View::of(&sample.file);
    let info = view.page.told("/api/info");
    assert_eq!(info["groups"][0]["completed"], marked);
    view.page.done("/api/run", &slow());
    let end = view.page.listen().end_of_run();
    assert_eq!(outcome(&end)["report"]["positions"], POSITIONS - marked);
    assert!(opener.snapshot(&sample.file) == finished);
}

#[test]
fn a_signal_ends_the_server_and_its_run_in_order() {
    for name in ["INT", "TERM", "HUP"] {
        let sample = Sample::new();
        let view = View::of(&sample.file);
        view.page.done("/api/run", &slow());
        let mut events = view.page.listen();
        events.computed(100);
        let ran = view.end(name);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("the run was stopped"), "{}", ran.stderr);
        let end = events.end_of_run();
        let stopped = outcome(&end);
        assert_eq!(stopped["outcome"], "stopped");
        let found = Opener::new().snapshot(&sample.file);
        assert_eq!(stopped["completed"], found.marked());
        assert!(events.all(|(name, _)| name != "run"), "and nothing after it");
    }
    let sample = Sample::new();
    let view = View::of(&sample.file);
    let mut events = view.page.listen();
    assert_eq!(events.next().unwrap().0, "run");
    let ran = view.end("INT");
    assert_eq!((ran.code, ran.stderr.contains("stopped")), (Some(0), false), "{}", ran.stderr);
    assert_eq!(events.find(|(name, _)| name == "run"), None);
}

#[test]
fn a_port_is_taken_if_it_is_free() {
    let sample = Sample::new();
    let view = View::of(&sample.file);
    let port = view.page.port.to_string();
    let taken = ["view", sample.file.to_str().unwrap(), "--port", &port];
    let refused = pixelmill(taken);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("--port {port}")), "{}", refused.stderr);
    view.kill();
    let again = View::with(&sample.file, &["--port", &port]);
    assert_eq!(again.page.port.to_string(), port);
    let missing = pixelmill(["view", "nothing.h5"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("there is no such file"), "{}", missing.stderr);
}

/// `run --view`, and its page.
fn run_with_page(process: &str, file: &Path, more: &[&str]) -> (Running, Page) {
    let running = Running::watch(start(run(process, file, &[more, &["--view"]].concat())));
    let page = Page::of_run(&running);
    (running, page)
}

#[test]
fn a_run_with_a_page_answers_as_without_and_tells_its_page_of_the_end() {
    let alone = Sample::new();
    let expected = pixelmill(run("trouble", &alone.file, &["-p", "own_messages=true"]));
    assert_eq!(expected.code, Some(3));
    let (finished, typed) = by_hand("slow", &SLOW);
    let sample = Sample::new();
    let (running, page) = run_with_page("slow", &sample.file, &SLOW);
    let mut events = page.listen();
    let group = events.computed(100);
    assert_eq!(page.told("/api/page")["may_run"], false);
    for (change, what) in [("run", slow()), ("remove", json!({"group": group, "dry_run": false}))] {
        let refused = page.post(&format!("/api/{change}"), &what);
        assert_eq!(refused.status, 403);
        assert!(refused.said().contains("a run that goes on"), "{}", refused.said());
    }
    let seen = page.told(&format!("/api/show?path={group}"));
    assert_eq!(seen["pictures"][0]["values"].as_array().unwrap().len(), POSITIONS);
    let end = events.end_of_run();
    assert_eq!(events.find(|(name, _)| name == "run"), None, "the end comes last");
    let ran = running.finish();
    assert_eq!((ran.code, outcome(&end)), (Some(0), &ran.json), "{}", ran.stderr);
    for known in ["outcome", "process", "group", "parameter_hash", "completed", "failures"] {
        assert_eq!(ran.json[known], typed[known], "{known}");
    }
    assert!(Opener::new().snapshot(&sample.file) == finished);

    let sample = Sample::new();
    let arguments = run("trouble", &sample.file, &["-p", "own_messages=true", "--view"]);
    let ran = pixelmill(arguments);
    assert_eq!((ran.code, &ran.json["failed"]), (Some(3), &expected.json["failed"]));
}

#[test]
fn the_page_of_a_run_shows_results_that_go_to_another_file() {
    let sample = Sample::new();
    let output = sample.folder.path().join("results.h5");
    let more = ["--output", output.to_str().unwrap()];
    let (running, page) = run_with_page("slow", &sample.file, &[&SLOW[..], &more].concat());
    let group = page.listen().computed(100);
    let info = page.told("/api/info");
    assert_eq!(info["file"], sample.file.to_str().unwrap());
    assert_eq!(info["groups"][0]["group"], group);
    assert!(info["datasets"].as_array().unwrap().iter().any(|of| of["path"] == RAW_DATA));
    let shown = page.told(&format!("/api/show?path={group}&of=results"));
    assert_eq!(shown["pictures"][0]["values"].as_array().unwrap().len(), POSITIONS);
    assert_eq!(page.get(&format!("/api/show?path={group}")).status, 400);
    assert_eq!(page.told(&format!("/api/commands?group={group}"))["commands"][0]["group"], group);
    assert_eq!(running.finish().code, Some(0));
}

#[test]
fn the_address_of_a_run_is_in_no_log() {
    let sample = Sample::new();
    let running =
        Running::watch(start(run("slow", &sample.file, &[&SLOW[..], &["--view"]].concat())));
    let line = running.line_with("/pixelmill-view-");
    let path = Path::new(line.trim());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let page = Page::at(fs::read_to_string(path).unwrap().trim());
    page.listen().computed(1);
    running.signal("TERM");
    let ran = running.finish();
    assert!(!ran.stderr.contains(&page.token), "{}", ran.stderr);
    assert!(!path.exists(), "it leads nowhere any more");
}

#[test]
fn a_run_is_stopped_from_its_page_or_at_the_terminal() {
    for by_page in [true, false] {
        let sample = Sample::new();
        let (running, page) = run_with_page("slow", &sample.file, &SLOW);
        let mut events = page.listen();
        events.computed(100);
        match by_page {
            true => assert_eq!(page.done("/api/stop", &json!({})), json!({})),
            false => running.signal("INT"),
        }
        let end = events.end_of_run();
        let ran = running.finish();
        // As with --stop-after, and with SIGINT.
        let code = if by_page { 143 } else { 130 };
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert_eq!((&ran.json["outcome"], outcome(&end)), (&json!("stopped"), &ran.json));
    }
}

#[test]
#[cfg(feature = "mpi")]
fn of_several_ranks_the_first_serves_the_page() {
    use crate::support::ranks::start_on;
    let sample = Sample::new();
    let slow = ["-p", "pause=1500", "--cores", "1", "--view"];
    let running = start_on(2, run("slow", &sample.file, &slow));
    let page = Page::of_run(&running);
    let mut events = page.listen();
    let group = events.computed(50);
    assert_eq!(page.told("/api/info")["groups"][0]["group"], group);
    let end = events.end_of_run();
    let ran = running.finish();
    assert_eq!((ran.code, outcome(&end)), (Some(0), &ran.json), "{}", ran.stderr);
    assert_eq!(ran.json["report"]["ranks"].as_array().unwrap().len(), 2);
    assert_eq!(ran.stderr.matches("pixelmill-view-").count(), 1, "{}", ran.stderr);
    assert!(Opener::new().snapshot(&sample.file) == slow_sums());
}

#[test]
fn what_another_run_writes_is_seen_as_it_comes() {
    let sample = Sample::new();
    let running =
        Running::start(run("slow", &sample.file, &[&SLOW[..], &["--checkpoint", "0.5"]].concat()));
    let mut opener = Opener::new();
    let group = running.computing(&mut opener, &sample.file);
    running.wait_until_marked(&group, &sample.file, 100);
    let view = View::of(&sample.file);
    let page = &view.page;
    let shown = |page: &Page| page.told(&format!("/api/show?path={}", group.path));
    let first = shown(page);
    let pending = |shown: &Value| shown["pictures"][0]["pending_positions"].as_u64().unwrap();
    assert!((1..POSITIONS as u64).contains(&pending(&first)), "{}", pending(&first));
    let values = numbers(&first["pictures"][0]["values"]);
    assert!(values[0].is_finite() && values[POSITIONS - 1].is_nan());
    let mut events = page.listen();
    let changes = events.by_ref().filter(|(name, _)| name == "file").map(|(_, told)| told);
    let counted: Vec<Value> = changes.take(3).map(|told| told["changed"].clone()).collect();
    assert!(counted.windows(2).all(|pair| pair[0].as_u64() < pair[1].as_u64()), "{counted:?}");
    assert!(pending(&shown(page)) < pending(&first), "it was seen to go on");
    // Who computes at the same time is refused, in words.
    let refused = page.post("/api/run", &json!({"process": "peak-finding"}));
    let why = match refused.status {
        200 => events.end_of_run()["outcome"]["message"].as_str().unwrap().to_owned(),
        status => {
            assert_eq!(status, 409);
            refused.said()
        }
    };
    assert!(why.contains(&format!("pid {}", running.pid())), "{why}");
    assert_eq!(running.finish().code, Some(0));
    let last = shown(page);
    assert_eq!((pending(&last), &last["pictures"][0]["pending"]), (0, &json!([])));
}

#[test]
fn results_are_checked_and_removed_by_the_page_as_by_the_command_line() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let group =
        succeed(run("peak-finding", &sample.file, &["--positions", "0:300"]))["group"].clone();
    let view = View::of(&sample.file);
    let page = &view.page;
    let verified = page.done("/api/verify", &json!({"group": group, "sample": 50}));
    assert_eq!(verified, succeed(["verify", file, group.as_str().unwrap(), "--sample", "50"]));
    assert_eq!((&verified["checked"], &verified["different"]), (&json!(50), &json!([])));
    let told = page.told(&format!("/api/commands?group={}", group.as_str().unwrap()));
    assert_eq!(told, succeed(["status", file, group.as_str().unwrap(), "--command"]));
    let before = sample.bytes();
    let what = |dry_run: bool| json!({"group": group, "dry_run": dry_run});
    let planned = page.done("/api/remove", &what(true));
    assert_eq!(
        (&planned["removed"], planned["removes"].as_array().unwrap().len()),
        (&json!(false), 1)
    );
    assert!(sample.bytes() == before, "it was only asked for");
    let removed = page.done("/api/remove", &what(false));
    assert_eq!(removed["removed"], true);
    assert_eq!(page.told("/api/info")["groups"], json!([]));
    assert!(Opener::new().groups(&sample.file).is_empty());
    let again = page.post("/api/remove", &what(false));
    assert!(again.status >= 400 && again.said().contains("no results group"), "{}", again.said());
}

#[test]
fn results_that_others_were_computed_from_are_removed_with_them_or_not_at_all() {
    let sample = Sample::new();
    let first = succeed(run("digest", &sample.file, &[]))["group"].clone();
    let results = format!("{}/Digest", first.as_str().unwrap());
    succeed(run("slow", &sample.file, &["-p", "pause=0", "--dataset", &results]));
    let view = View::of(&sample.file);
    let remove = |with_dependents: bool| {
        let what = json!({"group": first, "with_dependents": with_dependents, "dry_run": false});
        view.page.post("/api/remove", &what)
    };
    let before = sample.bytes();
    let refused = remove(false);
    assert!(refused.status >= 400, "{}", refused.text());
    assert!(sample.bytes() == before, "{}", refused.said());
    // Of these two somebody has seen one, as before the other was computed.
    let what = json!({"group": first, "with_dependents": true, "dry_run": false, "seen": [first]});
    let refused = view.page.post("/api/remove", &what);
    assert!(refused.status == 409 && refused.said().contains("look again"), "{}", refused.text());
    assert!(sample.bytes() == before);
    assert_eq!(remove(true).json()["removes"].as_array().unwrap().len(), 2);
    assert!(Opener::new().groups(&sample.file).is_empty());
}

#[test]
fn who_listens_is_told_what_is_true_and_who_is_slow_nothing_that_is_over() {
    let sample = Sample::new();
    let view = View::of(&sample.file);
    let page = &view.page;
    let first: Vec<(String, Value)> = page.listen().take(2).collect();
    assert!(first.contains(&("run".to_owned(), Value::Null)), "{first:?}");
    assert!(first.contains(&("file".to_owned(), json!({"changed": 0}))), "{first:?}");
    // Of an image that was complete at once, too.
    let survey = page.told(&format!("/api/survey?path={RAW_DATA}&detector=window:3,5"));
    let told = page.listen().find(|(name, _)| name == "survey").unwrap().1;
    assert_eq!(told["survey"], format!("path={RAW_DATA}&detector=window:3,5"));
    assert_eq!((&told["is_complete"], &survey["is_complete"]), (&json!(true), &json!(true)));
    page.done("/api/run", &slow());
    // It reads nothing until the run is over.
    let slow_one = page.listen();
    let mut quick = page.listen();
    quick.computed(1);
    let mut states = 0;
    let end = loop {
        let (name, state) = quick.next().unwrap();
        states += usize::from(name == "run");
        if state["state"] == "ended" {
            break state;
        }
    };
    let seconds = outcome(&end)["report"]["seconds"].as_f64().unwrap();
    // A state each 200 ms, and what was true at the beginning and the end.
    assert!(states as f64 <= 5.0 * seconds + 4.0, "{states} in {seconds} s");
    assert!(states > 3, "{states} in {seconds} s");
    let told: Vec<Value> = slow_one
        .filter(|(name, _)| name == "run")
        .map(|(_, state)| state)
        .take_while(|state| state["state"] != "ended")
        .collect();
    assert!(told.len() as f64 <= 5.0 * seconds + 4.0, "{}", told.len());
    let done: Vec<u64> = told.iter().filter_map(|state| state["done"].as_u64()).collect();
    assert!(done.is_sorted(), "{done:?}");
    // Who comes later hears how it has ended, and what it has found.
    let mut late = page.listen();
    assert_eq!(late.end_of_run(), end);
    assert_eq!(page.told("/api/info")["groups"][0]["completed"], POSITIONS);
}

#[test]
fn numbers_on_the_page_are_those_that_h5py_reads() {
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &["--positions", "0:1000"]));
    let file = sample.file.to_str().unwrap();
    let view = View::of(&sample.file);
    let page = &view.page;
    for pixel in ["0", "77", "4095"] {
        let shown = page.told(&format!("/api/show?path={RAW_DATA}&pixel={pixel}"));
        let expected = python_function("view.py", "at", [file, RAW_DATA, pixel]);
        for part in 0..2 {
            let found = numbers(&shown["pictures"][part]["values"]);
            assert_near(&found, &numbers(&expected[part]), &format!("part {part} of {pixel}"));
        }
    }
    let group = format!("{RAW_DATA}-Peak_Finding_000");
    let shown = page.told(&format!("/api/show?path={group}"));
    for picture in shown["pictures"].as_array().unwrap() {
        let dataset = picture["dataset"].as_str().unwrap();
        let expected = numbers(&python_function("view.py", "column", [file, dataset]));
        let found = numbers(&picture["values"]);
        assert_near(&found[..1000], &expected[..1000], dataset);
        assert!(found[1000..].iter().all(|value| value.is_nan()), "{dataset}");
        assert_eq!(picture["pending_positions"], POSITIONS - 1000);
    }
    let surveyed = |page: &Page, question: &str| {
        wait_until("it is complete", || page.told(question)["is_complete"] == true);
        let survey = page.told(question);
        assert_eq!(survey["seen"], survey["positions"]);
        numbers(&survey["picture"]["values"])
    };
    for (detector, index) in
        [("", ":"), ("&detector=window:3,9", "3:10"), ("&detector=window:118,118", "118")]
    {
        let found = surveyed(page, &format!("/api/survey?path={RAW_DATA}{detector}"));
        let expected = python_function("view.py", "sums", [file, RAW_DATA, index]);
        assert_near(&found, &numbers(&expected), index);
    }
    let tested = page.done("/api/test", &json!({"process": "peak-finding", "pixel": 77}));
    assert_eq!(tested, succeed(["test", "peak-finding", file, "--pixel", "77"]));
}

#[test]
fn frames_and_detectors_on_the_page_are_those_of_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.h5");
    python_function("view.py", "frames", [&path]);
    let file = path.to_str().unwrap();
    let view = View::of(&path);
    let page = &view.page;
    let axes = "path=/scan&positions_axes=0,1";
    for pixel in ["0", "50", "95"] {
        let shown = page.told(&format!("/api/show?{axes}&pixel={pixel}"));
        let expected = python_function("view.py", "at", [file, "/scan", pixel]);
        assert_eq!(numbers(&shown["pictures"][0]["values"]), numbers(&expected), "{pixel}");
        assert!(shown["pictures"][0]["layout"]["image"].is_object());
    }
    let surveyed = |detector: &str| {
        let question = format!("/api/survey?{axes}&detector={detector}");
        wait_until("it is complete", || page.told(&question)["is_complete"] == true);
        numbers(&page.told(&question)["picture"]["values"])
    };
    let sums = |index: &str| numbers(&python_function("view.py", "sums", [file, "/scan", index]));
    assert_eq!(surveyed(""), sums(":, :"));
    assert_eq!(surveyed("rectangle:2,3,5,9"), sums("2:6, 3:10"));
    let disk = |of: [&str; 3]| {
        let arguments = [&[file, "/scan"], &of[..]].concat();
        numbers(&python_function("view.py", "disk", arguments))
    };
    assert_eq!(surveyed("disk:4.5,7,3"), disk(["4.5", "7", "3"]));
    for (detector, words) in [
        ("disk:1,2", "disk:ROW,COLUMN,RADIUS"),
        ("circle:1,2,3", "no detector `circle`"),
        ("disk:1,2,NaN", "no number"),
        ("disk:100,100,1", "no point"),
        ("ring:4,4,3,2", "less than the inner one"),
    ] {
        let answer = page.get(&format!("/api/survey?{axes}&detector={detector}"));
        let said = answer.said();
        assert!(answer.status == 400 && said.contains(words), "{detector}: {said}");
    }
}

#[test]
fn a_page_that_goes_leaves_the_run_and_another_one_joins_it() {
    let sample = Sample::new();
    let view = View::of(&sample.file);
    {
        let mut events = view.page.listen();
        view.page.done("/api/run", &slow());
        events.computed(50);
    }
    let again =
        Page::at(&format!("http://127.0.0.1:{}/?token={}", view.page.port, view.page.token));
    let mut events = again.listen();
    let joined = events.run("it goes on", |state| state["state"] != "preparing");
    assert_eq!((&joined["run"], &joined["process"]), (&json!(1), &json!("Slow")));
    assert_eq!(outcome(&events.end_of_run())["completed"], POSITIONS);
    assert!(signal(view.running().pid(), "0"), "and the server serves on");
}

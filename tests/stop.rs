//! Stops and parts: whatever interrupts a run, on however many cores it goes on and in whatever
//! order its positions are computed, the results are the same bytes.

use std::path::Path;

use crate::support::watch::{Group, Opener, Running, Snapshot};
use crate::support::{
    POSITIONS, RAW_DATA, Sample, pixelmill, python_function, refuse, run, succeed,
};

/// The results of a run that nobody disturbed, on one core.
fn undisturbed(process: &str, more: &[&str], opener: &mut Opener) -> Snapshot {
    let sample = Sample::new();
    succeed(run(process, &sample.file, &[more, &["--cores", "1"]].concat()));
    opener.snapshot(&sample.file)
}

fn is_prefix(snapshot: &Snapshot) -> bool {
    snapshot.marked() == snapshot.prefix()
}

#[test]
fn a_stopped_run_says_how_to_go_on_and_goes_on_to_the_same_bytes() {
    let mut opener = Opener::new();
    let options = ["-p", "pause=200", "--checkpoint", "0.1"];
    let finished = undisturbed("slow", &["-p", "pause=200"], &mut opener);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sample = Sample::new();
        let arguments = run("slow", &sample.file, &[&options[..], &["--cores", "2"]].concat());
        let running = Running::start(&arguments);
        let group = running.computing(&mut opener, &sample.file);
        running.wait_until_marked(&group, &sample.file, 200);
        running.signal(signal);
        let ran = running.finish();
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert_eq!(ran.json["outcome"], "stopped");
        assert!(ran.stderr.contains("finishing what is in hand"), "{}", ran.stderr);
        assert!(ran.stderr.contains("stopped; the same command goes on with it"), "{}", ran.stderr);

        let stopped = opener.group(&sample.file);
        let found = stopped.read(&sample.file);
        assert!(found.marked() >= 200 && found.marked() < POSITIONS, "{} marked", found.marked());
        assert!(is_prefix(&found), "a stop leaves no gaps");
        assert_eq!(stopped.last_pixel, found.prefix() as i64);
        assert_eq!(ran.json["completed"], found.marked());
        found.assert_marked_are_right(&finished);
        assert_eq!(found.written_but_not_marked(&finished), 0, "a stop loses nothing");

        let json = succeed(&arguments);
        assert_eq!(json["report"]["positions"], POSITIONS - found.marked());
        assert!(opener.snapshot(&sample.file) == finished, "after {signal}");
        assert_eq!(opener.group(&sample.file).last_pixel, POSITIONS as i64);
    }
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    // Ten seconds for each spectrum: who waits for the one in hand has something to say then. On a
    // busy machine the first signal may come before anything is in hand.
    const TRIES: usize = 20;
    for _ in 0..TRIES {
        let sample = Sample::new();
        let mut running = Running::start(run("slow", &sample.file, &["-p", "pause=10000000"]));
        running.wait_for_line(" of memory");
        while !running.has_ended() {
            running.signal("INT");
        }
        let ran = running.finish();
        assert_eq!(ran.code, Some(130));
        let found = Opener::new().snapshot(&sample.file);
        assert_eq!(found.marked(), 0);
        if !ran.stderr.contains("was stopped") {
            assert!(ran.json.is_null(), "{}", ran.stderr);
            return;
        }
    }
    panic!("in {TRIES} tries nothing was in hand");
}

#[test]
fn results_are_the_same_bytes_on_any_number_of_cores() {
    let mut opener = Opener::new();
    for (process, more) in
        [("peak-finding", &[][..]), ("rich", &["-p", "spectra=7", "-p", "reversed=true"])]
    {
        let source = Sample::new();
        if process == "rich" {
            magnitudes(&source.file);
        }
        let mut first = None;
        for cores in ["1", "2", "3", "5"] {
            let sample = Sample::new();
            std::fs::copy(&source.file, &sample.file).unwrap();
            let dataset = if process == "rich" { "/Magnitudes/Raw_Data" } else { RAW_DATA };
            let options = ["--cores", cores, "--checkpoint", "0.02", "--dataset", dataset];
            succeed(run(process, &sample.file, &[&options[..], more].concat()));
            let found = opener.snapshot(&sample.file);
            assert_eq!(found.prefix(), POSITIONS);
            assert!(*first.get_or_insert(found.clone()) == found, "{process} on {cores} cores");
        }
    }
}

/// Adds the magnitudes of the sample's spectra as a main dataset of real numbers.
fn magnitudes(file: &Path) {
    python_function("stop.py", "magnitudes", [file.as_os_str(), RAW_DATA.as_ref()]);
}

#[test]
fn a_run_stopped_often_and_resumed_on_other_cores_ends_in_the_same_bytes() {
    let mut opener = Opener::new();
    let finished = undisturbed("slow", &["-p", "pause=1000"], &mut opener);
    let sample = Sample::new();
    let mut cores = ["2", "1", "5", "3"].iter().cycle();
    let mut stops = 0;
    loop {
        let cores = cores.next().unwrap();
        let options = ["-p", "pause=1000", "--checkpoint", "0.02", "--cores", cores];
        let running = Running::start(run("slow", &sample.file, &options));
        let group = running.computing(&mut opener, &sample.file);
        let next = (group.marked(&sample.file) + 250).min(POSITIONS);
        running.wait_until_marked(&group, &sample.file, next);
        running.signal("INT");
        let ran = running.finish();
        let found = opener.snapshot(&sample.file);
        found.assert_marked_are_right(&finished);
        assert!(is_prefix(&found), "a stop leaves no gaps");
        match ran.code {
            Some(130) => stops += 1,
            Some(0) => break,
            _ => panic!("{}", ran.stderr),
        }
    }
    assert!(stops >= 3, "only {stops} stops");
    assert!(opener.snapshot(&sample.file) == finished);
}

#[test]
fn parts_of_a_scan_add_up_to_the_whole() {
    let mut opener = Opener::new();
    let finished = undisturbed("peak-finding", &[], &mut opener);
    let sample = Sample::new();
    python_function("stop.py", "mask", [&sample.file]);
    let mut wanted = vec![0; POSITIONS];
    let parts: [(&str, &dyn Fn(usize) -> bool); 4] = [
        ("1000:1500", &|at| (1000..1500).contains(&at)),
        ("10:20,5:60", &|at| (10..20).contains(&(at / 64)) && (5..60).contains(&(at % 64))),
        (":,63", &|at| at % 64 == 63),
        ("/chosen", &|at| at % 5 == 0),
    ];
    for (part, chosen) in parts {
        let new = (0..POSITIONS).filter(|at| chosen(*at) && wanted[*at] == 0).count();
        (0..POSITIONS).filter(|at| chosen(*at)).for_each(|at| wanted[at] = 1);
        let json = succeed(run("peak-finding", &sample.file, &["--positions", part]));
        assert_eq!(
            (&json["outcome"], &json["report"]["positions"]),
            (&"finished".into(), &new.into())
        );
        let group = opener.group(&sample.file);
        let found = group.read(&sample.file);
        assert_eq!(found.status, wanted, "after {part}");
        assert_eq!(group.last_pixel, found.prefix() as i64);
        found.assert_marked_are_right(&finished);
        assert_eq!(found.written_but_not_marked(&finished), 0, "{part} only");

        let before = sample.bytes();
        let again = succeed(run("peak-finding", &sample.file, &["--positions", part]));
        assert_eq!(again["outcome"], "existing", "{part} is there");
        assert!(before == sample.bytes());
    }
    let json = succeed(run("peak-finding", &sample.file, &[]));
    let left = wanted.iter().filter(|status| **status == 0).count();
    assert_eq!(json["report"]["positions"], left);
    assert!(opener.snapshot(&sample.file) == finished);
}

#[test]
fn positions_outside_of_the_scan_are_refused() {
    let sample = Sample::new();
    let before = sample.bytes();
    for part in ["4000:4097", "0:65,0:1", "0:1,0:1,0:1", "5:5", "/nothing"] {
        refuse(run("peak-finding", &sample.file, &["--positions", part]), 2, &["selected"]);
        assert!(before == sample.bytes(), "{part}");
    }
}

/// The results group whose number is `number`.
fn numbered(groups: Vec<Group>, number: usize) -> Group {
    let end = format!("_{number:03}");
    groups.into_iter().find(|group| group.path.ends_with(&end)).expect("it is there")
}

#[test]
fn the_newest_partial_results_are_resumed_unless_others_are_named() {
    let mut opener = Opener::new();
    let finished = undisturbed("peak-finding", &[], &mut opener);
    let sample = Sample::new();
    let peak_finding = |more: &[&str]| succeed(run("peak-finding", &sample.file, more));
    peak_finding(&["--positions", "0:10"]);
    peak_finding(&["--positions", "20:40", "--override"]);
    peak_finding(&["--positions", "50:60", "--resume", "Raw_Data-Peak_Finding_000"]);
    peak_finding(&["--positions", "70:90"]);
    let groups = opener.groups(&sample.file);
    let marked = |number| {
        let status = numbered(groups.clone(), number).status(&sample.file);
        (0..POSITIONS).filter(|at| status[*at] == 1).collect::<Vec<_>>()
    };
    assert_eq!(marked(0), (0..10).chain(50..60).collect::<Vec<_>>());
    assert_eq!(marked(1), (20..40).chain(70..90).collect::<Vec<_>>());

    let named = format!("{RAW_DATA}-Peak_Finding_000");
    let json = peak_finding(&["--resume", &named]);
    assert_eq!(
        (&json["group"], &json["report"]["positions"]),
        (&named.into(), &(POSITIONS - 20).into())
    );
    assert!(numbered(opener.groups(&sample.file), 0).read(&sample.file) == finished);
    // What is complete beats what is newer.
    assert_eq!(peak_finding(&[])["outcome"], "existing");
}

#[test]
fn results_that_cannot_be_resumed_are_refused_by_name() {
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &["--positions", "0:10"]));
    let before = sample.bytes();
    let refused = [
        (&["--resume", "Raw_Data-Peak_Finding_007"][..], 2, "has no results group"),
        (
            &["--resume", "Raw_Data-Peak_Finding_000", "-p", "width_min=10"],
            1,
            "the parameter `width_min`: 20 there, 10 here",
        ),
    ];
    for (more, code, text) in refused {
        let texts = [text, "Raw_Data-Peak_Finding_000"];
        refuse(run("peak-finding", &sample.file, more), code, &texts);
        assert!(before == sample.bytes());
    }
}

#[test]
fn override_computes_anew_what_is_complete() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &[]));
    let json = succeed(run("peak-finding", &sample.file, &["--override"]));
    assert_eq!(json["group"], format!("{RAW_DATA}-Peak_Finding_001"));
    let groups = opener.groups(&sample.file);
    let [first, second] = [0, 1].map(|number| numbered(groups.clone(), number).read(&sample.file));
    assert!(first == second);
}

#[test]
fn a_run_that_is_stopped_at_once_still_tells_what_has_failed() {
    let sample = Sample::new();
    let part = pixelmill(run("trouble", &sample.file, &["--positions", "0:100"]));
    let failures = &part.json["failures"];
    assert_ne!(failures["positions"], 0, "{}", part.stderr);
    let stopped = pixelmill(run("trouble", &sample.file, &["--stop-after", "0s"]));
    assert_eq!(&stopped.json["failures"], failures);
    assert_eq!(stopped.json["outcome"], "stopped");
}

//! A part of each position's values, and spectra along any of their axes: the values are NumPy's,
//! they are recognised as what they are, and they come out the same however a run goes.

use std::fs;

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python};
use crate::support::{pixelmill, refuse, run, succeed};

/// A file of each format with a Frequency and a Bias at each of 3 × 4 positions.
const KINDS: [&str; 5] = ["usid", "usid-slow-bias", "hspy", "chunked", "transposed"];

/// What a run has to be told of a kind besides.
fn told(kind: &str) -> &'static [&'static str] {
    match kind {
        "chunked" => &["--dataset", "/d", "--positions-axes", "0,1"],
        "transposed" => &["--dataset", "/d", "--positions-axes", "3,1"],
        _ => &[],
    }
}

fn scan(kind: &str) -> Scan {
    let scan = Scan::nothing();
    ask_python(&["axes.py", "write", &scan.file, kind]);
    scan
}

/// What NumPy says of the results that a run gave: the greatest difference from sums over what
/// `crop` and `along` say, and the axes that number the spectra.
fn compared(scan: &Scan, kind: &str, ran: &Value, part: &str) -> Value {
    let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
    ask_python(&["axes.py", "compare", &scan.file, kind, file, group, part])
}

#[test]
fn sums_of_parts_are_those_of_numpy_in_files_of_every_kind() {
    for kind in KINDS {
        let scan = scan(kind);
        for (number, (options, part)) in [
            (vec!["--crop", "Frequency=302kHz:310kHz"], "2:11,:"),
            (vec!["--crop", "Frequency=0:16:3,Bias=1.5V:", "--along", "Bias"], "0:16:3,3:"),
            (vec!["--crop", "Bias=-1", "--along", "Frequency"], ":,-1"),
            (vec!["--along", "Bias,Frequency"], ":,:"),
        ]
        .into_iter()
        .enumerate()
        {
            let all = [told(kind), &options].concat();
            let ran = scan.run("digest", &all);
            assert_eq!(ran["outcome"], "finished", "{kind} {options:?}");
            let along = match options.iter().position(|option| *option == "--along") {
                Some(at) => options[at + 1],
                None => "",
            };
            let found = compared(&scan, kind, &ran, &format!("{part};{along}"));
            assert_eq!(found["different"], json!(0), "{kind} {options:?}: {found}");
            assert_eq!(found["axes"], found["expected_axes"], "{kind} {options:?}");
            // The same is recognised, anything else isn't taken for it, and it can be verified.
            assert_eq!(scan.run("digest", &all)["outcome"], "existing");
            let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
            let numbered = file != scan.file || group.ends_with(&format!("_00{number}"));
            assert!(numbered, "{ran}");
            let status = &succeed(["status", file, group])["groups"][0];
            // In this file that is the order anyway, and nothing is chosen.
            let is_usual = kind == "usid-slow-bias" && number == 3;
            assert!(
                is_usual || status["crop"].is_string() && status["along"].is_array(),
                "{kind}: {status}"
            );
            let resumed = [&all[..told(kind).len()], &["--resume", group]].concat();
            assert_eq!(scan.run("digest", &resumed)["outcome"], "existing", "{kind}");
            let verified = succeed(["verify", file, group]);
            assert_eq!(verified["different"], json!([]), "{kind} {options:?}");
        }
    }
}

#[test]
fn what_is_there_anyway_is_no_other_computation() {
    let scan = scan("usid");
    assert_eq!(scan.run("peak-finding", &[])["outcome"], "finished");
    for options in [vec!["--along", "Bias"], vec!["--crop", ":,:"], vec!["--crop", "0:16,0.0:9.0"]]
    {
        assert_eq!(scan.run("peak-finding", &options)["outcome"], "existing", "{options:?}");
    }
    let other = scan.run("peak-finding", &["--along", "Frequency"]);
    assert_eq!((&other["outcome"], &other["notes"]), (&json!("finished"), &Value::Null));
}

#[test]
fn only_chunks_that_a_crop_touches_are_decoded() {
    let scan = Scan::nothing();
    ask_python(&["axes.py", "frames", &scan.file]);
    let ran =
        scan.run("digest", &["--dataset", "/d", "--positions-axes", "0,1", "--crop", "8:24,8:24"]);
    // Four by four chunks of a frame, of which the crop has two by two.
    let chunks = ran["report"]["chunks"].as_u64().unwrap();
    assert_eq!(ran["report"]["chunks_decoded"], chunks / 4);
    let profile = ["--crop", "16,:", "--dataset", "/d", "--positions-axes", "0,1"];
    let whole = [&profile[2..], &["--along", "0"]].concat();
    scan.run("peak-finding", &whole);
    let ran = pixelmill(run("peak-finding", scan.file.as_ref(), &profile));
    // Another part isn't other data.
    assert!(!ran.stderr.contains("other data"), "{}", ran.stderr);
    let ran = ran.json;
    assert_eq!(ran["completed"], 16);
    assert_eq!(ran["report"]["chunks_decoded"], chunks / 4);
}

#[test]
fn what_cant_be_had_is_refused_and_changes_nothing() {
    let scan = scan("usid");
    let before = fs::read(&scan.file).unwrap();
    for (options, texts) in [
        (["--crop", "0:30,:"], ["30 is outside of `Frequency` (16 steps)", ""]),
        (["--crop", "Frequency=1eV:2eV"], ["`Frequency` is in Hz, not in eV", ""]),
        (["--crop", "Frequncy=1:2"], ["there is no axis `Frequncy`", "did you mean `Frequency`?"]),
        (["--crop", "Frequency=1GHz:2GHz"], ["keeps nothing of `Frequency`", "315000 Hz"]),
        (["--along", "Bia"], ["there is no axis `Bia`", "did you mean `Bias`?"]),
        (["--along", "Bias,Frequency"], ["Peak_Finding works along one axis", "`Bias`"]),
    ] {
        refuse(run("peak-finding", scan.file.as_ref(), &options), 2, &texts);
    }
    assert!(fs::read(&scan.file).unwrap() == before);
    // What was summed over a step isn't a sum over two.
    let binned = self::scan("hspy");
    refuse(
        run("digest", binned.file.as_ref(), &["--crop", "Bias=0:5:2"]),
        2,
        &["`Bias` is binned"],
    );
}

#[test]
fn axes_that_are_called_by_numbers_are_recognised_again() {
    let scan = Scan::nothing();
    ask_python(&["axes.py", "numbered", &scan.file]);
    for (options, along) in
        [(["--along", "1"], "1"), (["--along", "0"], "0"), (["--crop", "1=2:4"], "1,0")]
    {
        let ran = scan.run("digest", &options);
        let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
        let status = &succeed(["status", file, group])["groups"][0];
        let told: Vec<&str> = along.split(',').collect();
        assert_eq!(status["along"], json!(told), "{options:?}");
        let verified = succeed(["verify", file, group]);
        assert_eq!((&verified["different"], &verified["same_data"]), (&json!([]), &json!(true)));
        assert_eq!(scan.run("digest", &["--resume", group])["outcome"], "existing", "{options:?}");
    }
}

#[test]
fn axes_that_a_crop_has_taken_away_are_recognised_again() {
    let scan = scan("usid");
    // Peaks are looked for along one axis, of which none is left.
    let ran = scan.run("peak-finding", &["--crop", "3,2"]);
    let group = ran["group"].as_str().unwrap();
    assert_eq!(succeed(["verify", &scan.file, group])["different"], json!([]));
    assert_eq!(scan.run("peak-finding", &["--resume", group])["outcome"], "existing");
    refuse(
        run("peak-finding", scan.file.as_ref(), &["--crop", "3,2", "--along", "Bias"]),
        2,
        &["the crop leaves a single step of `Bias`"],
    );
}

#[test]
fn values_that_depend_on_another_axis_are_no_bounds() {
    let scan = Scan::nothing();
    ask_python(&["axes.py", "uneven", &scan.file]);
    let before = fs::read(&scan.file).unwrap();
    for crop in ["Bias=0.5:1.0", "Bias=0.5V", "Frequency=2,Bias=:1.0"] {
        let told = "the values of `Bias` aren't the same for all steps of the other axes";
        refuse(run("digest", scan.file.as_ref(), &["--crop", crop]), 2, &[told]);
    }
    assert!(fs::read(&scan.file).unwrap() == before);
    let axis = |crop: &str| {
        let options = ["--crop", crop, "--along", "Bias", "--pixel", "0"];
        let told = succeed([&["test", "digest", &scan.file], &options[..]].concat());
        told["spectrum"]["axis"]["values"].clone()
    };
    // Those of the first frequency that is left.
    assert_eq!(axis("Frequency=:,Bias=1:4"), json!([0.5, 1.0, 1.5]));
    assert_eq!(axis("Frequency=2:,Bias=1:4"), json!([1.5, 3.0, 4.5]));
    assert_eq!(axis("Frequency=301kHz,Bias=::2"), json!([0.0, 2.0, 4.0]));
    let noted = |options: &[&str]| {
        let ran = scan.try_run("digest", options);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    assert!(noted(&[]).contains("values of `Bias` aren't the same"));
    assert!(noted(&["--crop", "Frequency=2:4"]).contains("values of `Bias` aren't the same"));
    assert!(!noted(&["--crop", "Frequency=2"]).contains("values of `Bias`"));
    // What is the same but for rounding is no other value.
    scan.script("file['Spectroscopic_Values'][1] = np.tile([0, .5, 1, 1.5, 2], 16) * 1.0", &[]);
    scan.script("file['Spectroscopic_Values'][1, 7] = 1.000001", &[]);
    assert!(!noted(&["--crop", "Bias=0.5:1.0"]).contains("values of `Bias`"));
}

#[test]
fn values_at_a_bound_are_in_and_single_steps_have_none_apart() {
    let scan = Scan::nothing();
    ask_python(&["axes.py", "zero", &scan.file]);
    let which = ["--dataset", "/d", "--positions-axes", "0"];
    let with = |crop: &'static str| [&which[..], &["--crop", crop]].concat();
    for crop in ["Bias=0.0:0.5", "Bias=0mV:500mV"] {
        let ran = scan.run("sum", &with(crop));
        let sums = scan.values(&format!("{}/Sum", ran["group"].as_str().unwrap()));
        assert_eq!(sums, [Some(75.0), Some(75.0)], "{crop}");
    }
    scan.run("sum", &which);
    assert_eq!(scan.run("sum", &with(":,::2"))["outcome"], "existing");
    assert_eq!(scan.run("sum", &with(":,::18446744073709551615"))["outcome"], "existing");
    for crop in ["0:3:18446744073709551615,:", "::4611686018427387904,::4611686018427387904"] {
        let ran = scan.run("sum", &with(crop));
        let group = ran["group"].as_str().unwrap();
        let verified = succeed(["verify", &scan.file, group]);
        assert_eq!((&verified["different"], &verified["same_data"]), (&json!([]), &json!(true)));
    }
}

#[test]
fn what_was_taken_as_positions_comes_back_when_results_are_resumed() {
    for kind in ["chunked", "transposed"] {
        let scan = scan(kind);
        let some = [told(kind), &["--crop", "2:,:", "--positions", "0:5"]].concat();
        let group = scan.run("digest", &some)["group"].as_str().unwrap().to_owned();
        scan.script("file['another'] = np.zeros((3, 4, 5))", &[]);
        let resumed = scan.run("digest", &["--resume", &group]);
        assert_eq!((&resumed["outcome"], &resumed["completed"]), (&json!("finished"), &json!(12)));
        assert_eq!(resumed["group"], json!(group));
        let all = [told(kind), &["--crop", "2:,:"]].concat();
        assert_eq!(scan.run("digest", &all)["outcome"], "existing");
        assert_eq!(succeed(["verify", &scan.file, &group])["different"], json!([]));
        // What is said counts.
        refuse(
            run("digest", scan.file.as_ref(), &["--resume", &group, "--positions-axes", "9"]),
            2,
            &["--positions-axes 9"],
        );
    }
}

#[test]
fn v_says_how_a_part_is_read() {
    for (kind, options, said, never) in [
        ("usid", ["--crop", "2:4,:"], "of each row only what is wanted", "turned round"),
        ("transposed", ["--crop", "2:4,:"], "turned round", "only what is wanted"),
    ] {
        let scan = scan(kind);
        let ran = scan.try_run("digest", &[told(kind), &options, &["-v"]].concat());
        assert!(ran.stderr.contains(said) && !ran.stderr.contains(never), "{kind}: {}", ran.stderr);
    }
}

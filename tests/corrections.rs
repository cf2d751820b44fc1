//! A dark spectrum, a gain and dead pixels: every process sees what NumPy makes of the spectra with
//! them, wherever they lie, and what was corrected isn't taken for what wasn't.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

#[cfg(feature = "mpi")]
use crate::support::ranks::succeed_on;
use crate::support::usid::{Scan, ask_python};
use crate::support::watch::{Opener, assert_kills_are_survived};
use crate::support::{pixelmill, refuse, run, succeed};

const WHAT: [&str; 4] = ["--dataset", "/d", "--positions-axes", "0,1"];

/// 4 × 5 frames of 16 × 24 counts, a dark, a gain and a mask of dead pixels in the file and beside
/// it.
fn scan() -> Scan {
    let scan = Scan::nothing();
    ask_python(&["corrections.py", "write", &scan.file]);
    scan
}

/// How many digests of a run aren't NumPy's.
fn wrong(scan: &Scan, ran: &Value, how: &str) -> Value {
    let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
    ask_python(&["corrections.py", "wrong", &scan.file, file, group, how])
}

#[test]
fn corrected_spectra_are_those_of_numpy() {
    let scan = scan();
    let npy = |name: &str| scan.beside(name);
    let (dark, gain, mask) = (npy("dark.npy"), npy("gain.npy"), npy("mask.npy"));
    let other = format!("{}:/dark", scan.beside("other.h5"));
    let cases: [(&[&str], &str); 8] = [
        (&["--dark", "/dark"], "dark"),
        (&["--gain", &gain], "gain"),
        (&["--dark", &dark, "--gain", "/gain"], "dark,gain"),
        (&["--dead-pixels", &mask], "dead"),
        (&["--dead-pixels", "3,5;3,6;15,23"], "dead"),
        (&["--dark", &other, "--gain", &gain, "--dead-pixels", &mask], "dark,gain,dead"),
        (&["--dark", &dark, "--gain", &gain, "--crop", "2:15:2,4:20"], "dark,gain,crop"),
        (&["--dark", &dark, "--dead-pixels", &mask, "--along", "1"], "dark,dead,rows"),
    ];
    for (options, how) in cases {
        let all = [&WHAT[..], options].concat();
        let ran = scan.run("digest", &all);
        assert_eq!(ran["outcome"], "finished", "{options:?}");
        assert_eq!(wrong(&scan, &ran, how), json!(0), "{options:?}");
        assert_eq!(scan.run("digest", &all)["outcome"], "existing", "{options:?}");
        let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
        let told = &succeed(["status", file, group])["groups"][0]["corrections"];
        assert!(told.as_object().unwrap().values().any(Value::is_string), "{options:?}");
        let resumed = [&WHAT[..], &["--resume", group]].concat();
        assert_eq!(scan.run("digest", &resumed)["outcome"], "existing", "{options:?}");
        let verified = succeed(["verify", file, group]);
        assert_eq!(verified["different"], json!([]), "{options:?}");
        assert_ne!(verified["checked"], json!(0), "{options:?}");
    }
    assert_eq!(scan.run("digest", &WHAT)["outcome"], "finished", "nothing of it is uncorrected");
}

#[test]
fn a_list_of_dead_pixels_is_the_same_in_any_order_and_however_often_one_is_in_it() {
    let scan = scan();
    let run = |list: &str| scan.run("digest", &[&WHAT[..], &["--dead-pixels", list]].concat());
    let first = run("15,23;3,6;3,5;3,6");
    assert_eq!(wrong(&scan, &first, "dead"), json!(0));
    let again = run("3,5; 3,6; 15,23");
    assert_eq!((&again["outcome"], &again["group"]), (&json!("existing"), &first["group"]));
}

#[test]
fn another_dark_of_the_same_name_makes_another_computation() {
    let scan = scan();
    let dark = scan.beside("dark.npy");
    let all = [&WHAT[..], &["--dark", &dark]].concat();
    let first = scan.run("digest", &all);
    ask_python(&["corrections.py", "change", &dark]);
    let verified = pixelmill(["verify", &scan.file, first["group"].as_str().unwrap()]);
    assert_eq!((verified.code, &verified.json["checked"]), (Some(1), &json!(20)));
    assert_eq!(verified.json["different"].as_array().unwrap().len(), 20);
    let changed = verified.json["changed"].as_str().unwrap();
    assert_eq!(changed, "the values of the dark \"dark.npy\": not the same");
    assert!(!verified.stderr.contains("all data that"), "{}", verified.stderr);
    let second = scan.try_run("digest", &all);
    assert_eq!(second.json["outcome"], "finished");
    assert_ne!(first["group"], second.json["group"]);
    assert!(second.stderr.contains("of other data"), "{}", second.stderr);
}

#[test]
fn what_was_asked_to_be_corrected_differently_is_told_as_that() {
    let scan = scan();
    let (dark, gain) = (scan.beside("dark.npy"), scan.beside("gain.npy"));
    let run = |options: &[&str]| scan.try_run("digest", &[&WHAT[..], options].concat());
    for (first, second, told) in [
        (&["--dead-pixels", "3,5"][..], &["--dead-pixels", "3,5;3,6"][..], "1 of them there, 2 of"),
        (&["--dark", &dark], &["--dark", &dark, "--gain", &gain], "the gain: none there"),
    ] {
        assert_eq!(run(&[first, &["--override"]].concat()).code, Some(0));
        let rehearsed = run(&[second, &["--dry-run"]].concat());
        let unused = rehearsed.json["unused"].as_array().unwrap().last().unwrap().to_string();
        assert!(unused.contains(told), "{unused}");
        let ran = run(&[second, &["--override"]].concat());
        assert!(!ran.stderr.contains("of other data"), "{}", ran.stderr);
        assert!(!rehearsed.stderr.contains("of other data"), "{}", rehearsed.stderr);
    }
}

#[test]
fn a_test_of_a_position_sees_corrected_values() {
    let scan = scan();
    let dark = scan.beside("dark.npy");
    for (options, how) in
        [(&["--dark", &dark][..], "dark"), (&["--dead-pixels", "3,5;3,6;15,23"], "dead")]
    {
        let position = ["test", "digest", &scan.file, "--pixel", "3"];
        let tested = succeed([&position, &WHAT[..], options].concat());
        let expected = ask_python(&["corrections.py", "seen", how, "3"]);
        assert_eq!(tested["results"][0]["values"], json!([expected]), "{how}");
    }
}

#[test]
fn what_a_dark_or_a_gain_would_lose_is_refused_unless_it_may_be_rounded() {
    let scan = scan();
    let npy = |name: &str| scan.beside(&format!("{name}.npy"));
    let (long, longest, odd, huge) = (npy("long"), npy("longest"), npy("odd"), npy("huge"));
    for (process, what, array, texts) in [
        ("sum", "--dark", &long, ["9007199254740993", "float64"]),
        ("sum", "--gain", &longest, ["18446744073709551615", "float64"]),
        ("placed", "--dark", &odd, ["16777217", "float32"]),
        ("placed", "--gain", &huge, ["1e300", "float32"]),
    ] {
        let options = [&WHAT[..], &[what, array]].concat();
        let texts = [&texts[..], &["point 0", "--allow-rounding"]].concat();
        refuse(run(process, scan.file.as_ref(), &options), 1, &texts);
        // A value that is replaced isn't looked at.
        let dead = [&options[..], &["--dead-pixels", "0,0"]].concat();
        let ran = scan.run(process, &dead);
        assert_eq!((&ran["outcome"], &ran["failed"]), (&json!("finished"), &json!([])));
        let status = succeed(["status", &scan.file, ran["group"].as_str().unwrap()]);
        assert_eq!(status["groups"][0]["allow_rounding"], Value::Null);
        let allowed = scan.run(process, &[&options[..], &["--allow-rounding"]].concat());
        let group = allowed["group"].as_str().unwrap();
        let status = succeed(["status", &scan.file, group]);
        assert_eq!(status["groups"][0]["allow_rounding"], true);
        let resumed = scan.run(process, &[&WHAT[..], &["--resume", group]].concat());
        assert_eq!(resumed["outcome"], "existing");
    }
    // Of a fraction only the last digits are lost.
    let ran = scan.run("placed", &[&WHAT[..], &["--dark", &npy("tenth")]].concat());
    let (file, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
    assert_eq!(ask_python(&["corrections.py", "firsts", &scan.file, file, group]), json!(true));
}

#[test]
fn integers_that_are_dead_fail_no_position() {
    let scan = scan();
    ask_python(&["corrections.py", "write_long", &scan.file]);
    let run = |options: &[&str]| {
        let ran = scan.try_run("sum", &[&["--dataset", "/long"], &WHAT[2..], options].concat());
        ran.json["failures"]["positions"].clone()
    };
    assert_eq!(run(&[]), 20);
    assert_eq!(run(&["--dead-pixels", "0,0"]), 1);
    assert_eq!(run(&["--dead-pixels", "3,4;0,0"]), 0);
    assert_eq!(run(&["--crop", "1:,1:", "--dead-pixels", "3,4"]), 0);
}

#[test]
fn what_cant_correct_is_refused_and_changes_nothing() {
    let scan = scan();
    let before = fs::read(&scan.file).unwrap();
    let (wide, complex) = (scan.beside("wide.npy"), scan.beside("complex.npy"));
    let all_dead = scan.beside("all_dead.npy");
    let unknown = scan.beside("unknown.npy");
    let many: Vec<String> = (0..9000).map(|at| format!("{at},{at}")).collect();
    let many = many.join(";");
    let spoilt = format!("{many};x");
    let cases: [(&str, &[&str], &[&str]); 11] = [
        ("digest", &["--dark", &wide], &["its shape is [16, 25]", "[16, 24]"]),
        ("digest", &["--gain", "/nowhere"], &["/nowhere", "there is no"]),
        ("sum", &["--dark", &complex], &["complex64", "can't become float64"]),
        ("digest", &["--dead-pixels", "3,24"], &["[3, 24] is no place", "[16, 24]"]),
        ("digest", &["--dead-pixels", "3"], &["[3] is no place"]),
        ("digest", &["--dead-pixels", "3,,4"], &["`3,,4` is no list of steps"]),
        ("digest", &["--dead-pixels", &all_dead], &["has no good one beside it"]),
        ("digest", &["--dead-pixels", &unknown], &["unknown.npy", "it holds NaN"]),
        ("digest", &["--dead-pixels", &many], &["[16, 16] is no place", "0,0;1,1;2,2"]),
        ("digest", &["--dead-pixels", &spoilt], &["neither a list of steps", "0,0;1,1;2,2"]),
        ("digest", &["--dark", "missing.npy"], &["missing.npy"]),
    ];
    for (process, options, texts) in cases {
        let arguments = run(process, scan.file.as_ref(), &[&WHAT[..], options].concat());
        let told = refuse(arguments, 1, texts);
        assert!(told.len() < 400, "{told}");
    }
    assert!(fs::read(&scan.file).unwrap() == before);
}

/// A part of each frame, in rows, corrected, at some positions.
fn all_at_once(scan: &Scan) -> Vec<String> {
    let [dark, mask] = ["dark.npy", "mask.npy"].map(|name| scan.beside(name));
    let options = ["--crop", "2:15:2,4:20", "--along", "1", "--positions", "random:17:3"];
    let options = [&WHAT[..], &options, &["--dark", &dark, "--dead-pixels", &mask]].concat();
    options.into_iter().map(str::to_owned).collect()
}

fn slowly(scan: &Scan, more: &[&str]) -> Vec<OsString> {
    let all = all_at_once(scan);
    let slow = ["-p", "reach=0", "-p", "pause=2000", "--checkpoint", "0.02"];
    let options = all.iter().map(String::as_str).chain(slow).chain(more.iter().copied());
    run("surrounded", scan.file.as_ref(), &options.collect::<Vec<_>>())
}

#[test]
fn killed_and_resumed_runs_give_the_same_bytes() {
    let (mut opener, first, killed) = (Opener::new(), scan(), scan());
    succeed(slowly(&first, &[]));
    let finished = opener.snapshot(Path::new(&first.file));
    assert_eq!(finished.marked(), 17);
    let file = Path::new(&killed.file);
    let arguments = slowly(&killed, &["--cores", "2"]);
    assert_kills_are_survived(&mut opener, &arguments, file, &finished);
}

#[cfg(feature = "mpi")]
#[test]
fn any_number_of_ranks_gives_the_same_bytes() {
    let (mut opener, mut found) = (Opener::new(), Vec::new());
    for ranks in 1..=4 {
        let scan = scan();
        succeed_on(ranks, slowly(&scan, &["--cores", "1"]));
        found.push(opener.snapshot(Path::new(&scan.file)));
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
}

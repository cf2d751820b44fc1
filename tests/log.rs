//! What the program says of its decisions: `-v`, `-vv`, `-q` and RUST_LOG, on pipes and on a
//! terminal.

use std::ffi::OsString;
use std::process::Command;

use crate::support::holder::Holder;
use crate::support::{
    RAW_DATA, Ran, Sample, program, python_function, python_program, ran, refuse, run,
};

/// Runs the program as people type it, with `RUST_LOG` if it isn't empty.
fn say(arguments: &[OsString], filter: &str) -> Ran {
    let mut command = Command::new(program());
    command.args(arguments).env("RUST_LOG", filter);
    ran(command.output().expect("the program starts"))
}

fn told(arguments: &[OsString]) -> String {
    let ran = say(arguments, "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stderr
}

/// Whether a line is of the log: `14:03:27.081 debug …`.
fn is_logged(line: &str) -> bool {
    let shape: String =
        line.chars().take(13).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let level = line.get(13..19).unwrap_or_default().trim_end();
    shape == "00:00:00.000 " && ["info", "debug", "trace"].contains(&level)
}

#[test]
fn v_names_the_first_thing_that_differs_from_what_is_asked() {
    let sample = Sample::new();
    let ten = |more: &[&str]| {
        run("peak-finding", &sample.file, &[&["--positions", "0:10"], more].concat())
    };
    told(&ten(&[]));
    let edit = |edit: &str| {
        let statements = format!("channel = file['Measurement_000/Channel_000']; {edit}");
        python_program("edit.py", [sample.file.as_os_str(), statements.as_ref()]);
    };
    let first =
        format!("{RAW_DATA}-Peak_Finding_000 isn't used: it was computed from something else; ");
    let expect = |more: &[&str], difference: &str| {
        let said = told(&ten(&[&["-v"], more].concat()));
        let line = said.lines().filter(|line| line.contains(&first)).collect::<Vec<_>>();
        assert_eq!(line.len(), 1, "once, though it is looked at three times: {said}");
        assert!(is_logged(line[0]) && line[0].ends_with(difference), "{said}");
        assert!(said.contains("no earlier results can be used: a new group"), "{said}");
    };
    expect(&["-p", "width_min=25"], "the parameter `width_min`: 20 there, 25 here");
    edit("channel['Raw_Data'][7, 3] += 1");
    expect(&[], &format!("the data of `{RAW_DATA}`: not the same"));
    edit("channel['Raw_Data'][7, 3] -= 1; channel['Raw_Data'].attrs['units'] = 'mV'");
    expect(&[], &format!("the units of `{RAW_DATA}`: \"V\" there, \"mV\" here"));
    edit(
        "channel['Raw_Data'].attrs['units'] = 'V'; channel['Spectroscopic_Values'][0, 3] = \
         300001.5",
    );
    let said = told(&ten(&["-v"]));
    assert!(said.contains("value") && said.contains("of the axis `Frequency`"), "{said}");
}

#[test]
fn v_names_the_parameter_in_which_results_of_another_program_differ() {
    let sample = Sample::new();
    let ten = |more: &[&str]| {
        run("peak-finding", &sample.file, &[&["--positions", "0:10"], more].concat())
    };
    told(&ten(&[]));
    let group = format!("{RAW_DATA}-Peak_Finding_000");
    let statements = "del file[given[0]].attrs['parameter_hash']";
    python_program("edit.py", [sample.file.as_os_str(), statements.as_ref(), group.as_ref()]);
    let said = told(&ten(&["-v", "-p", "num_steps=31"]));
    assert!(said.contains("; the parameter `num_steps`: 30 there, 31 here"), "{said}");
}

#[test]
fn v_tells_what_is_gone_on_with_and_what_is_reused() {
    let sample = Sample::new();
    told(&run("peak-finding", &sample.file, &["--positions", "0:10"]));
    let group = format!("{RAW_DATA}-Peak_Finding_000");
    let resumed = told(&run("peak-finding", &sample.file, &["--positions", "0:20", "-v"]));
    for text in
        ["with 10 of 4096 positions done", "is gone on with", "10 positions are to be computed"]
    {
        assert!(resumed.contains(text), "{text}: {resumed}");
    }
    let reused = told(&run("peak-finding", &sample.file, &["--positions", "0:20", "-v"]));
    assert!(reused.contains(&format!("{group} has all that is asked for")), "{reused}");
    let anew =
        told(&run("peak-finding", &sample.file, &["--positions", "0:1", "--override", "-v"]));
    assert!(anew.contains("a new group, whatever there is, as asked"), "{anew}");
}

#[test]
fn vv_tells_how_it_is_done() {
    let sample = Sample::new();
    let options = ["-vv", "-p", "pause=200", "--checkpoint", "0.1"];
    let said = told(&run("slow", &sample.file, &options));
    for text in [
        "info  plan: ",
        " of memory: a quarter of ",
        "is read straight from the file, row by row",
        "debug engine::narration: plans for ",
        "debug storage::lock: a reader's lock on ",
        "debug storage::lock: the run's lock on ",
        "debug storage::lock: a writer's lock on ",
        "debug storage::hdf5::transaction: a transaction on ",
        " is committed: ",
        "debug engine::marker: checkpoint: ",
        "the fingerprint of ",
    ] {
        let found = said.lines().any(|line| is_logged(line) && line.contains(text));
        assert!(found, "`{text}` is missing: {said}");
    }
    // Batches and units aren't worth a line before anybody asks for more.
    assert!(!said.contains("trace") && said.lines().count() < 200, "{}", said.lines().count());
    let file = sample.folder.path().join("ways.h5");
    python_function("log.py", "ways", [&file]);
    let way = |dataset: &str| {
        told(&run("uneven", &file, &["-vv", "--positions-axes", "0", "--dataset", dataset]))
    };
    let chunked = way("/chunked");
    for text in [
        "is read straight from the file, chunk by chunk",
        "tiles of 2 × 5 × 2",
        "each tile is read once",
    ] {
        assert!(chunked.contains(text), "`{text}` is missing: {chunked}");
    }
    let compact = way("/compact");
    assert!(compact.contains("is read through the HDF5 library"), "{compact}");
    assert!(compact.contains("since nothing else can: compact"), "{compact}");
}

#[test]
fn who_waits_for_a_file_is_told_for_whom() {
    let sample = Sample::new();
    let holder = Holder::new(&sample.file, "reader");
    let said = refuse(run("peak-finding", &sample.file, &[]), 1, &["is open in python"]);
    assert!(!said.contains("waits"), "{said}");
    let ran = say(&run("peak-finding", &sample.file, &["-v"]), "");
    let waits = ran.stderr.lines().find(|line| line.contains("waits for "));
    let waits = waits.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(is_logged(waits) && waits.contains(&holder.name), "{waits}");
}

/// Without the numbers of this very run.
fn masked(text: &str) -> Vec<String> {
    let is_measured =
        |line: &&str| !["  speed ", "  time "].iter().any(|start| line.starts_with(start));
    text.lines().filter(is_measured).map(str::to_owned).collect()
}

#[test]
fn what_is_logged_comes_besides_what_is_said_anyway() {
    let plain = Sample::new();
    let said = told(&run("peak-finding", &plain.file, &["--positions", "0:100"]));
    assert!(!said.lines().any(is_logged), "{said}");
    let logged = Sample::new();
    let more = told(&run("peak-finding", &logged.file, &["--positions", "0:100", "-vvv"]));
    let rest: Vec<&str> = more.lines().filter(|line| !is_logged(line)).collect();
    let (own, other) = (plain.file.to_str().unwrap(), logged.file.to_str().unwrap());
    assert_eq!(masked(&rest.join("\n").replace(other, own)), masked(&said));
    assert!(more.contains("trace engine::"), "{more}");
}

#[test]
fn q_leaves_nothing_to_read_of_what_goes_well() {
    let sample = Sample::new();
    for outcome in ["computed", "reused"] {
        let said = told(&run("peak-finding", &sample.file, &["-q"]));
        assert_eq!(said, "", "{outcome}");
    }
    // Errors, and what didn't go well, are told all the same; and so is what somebody asks for.
    refuse(run("nothing", &sample.file, &["-q"]), 2, &["nothing"]);
    let failed = say(&run("trouble", &sample.file, &["-q"]), "");
    assert_eq!(failed.code, Some(3), "{}", failed.stderr);
    assert!(failed.stderr.starts_with("Trouble is done"), "{}", failed.stderr);
    let info = told(&["info".into(), "-q".into(), sample.file.clone().into()]);
    assert!(info.contains("is read directly"), "{info}");
    refuse(run("peak-finding", &sample.file, &["-q", "-v"]), 2, &["--quiet", "--verbose"]);
}

#[test]
fn rust_log_goes_before_the_options() {
    let sample = Sample::new();
    let one = |options: &[&str], filter: &str| {
        let arguments = [&["--positions", "0:1", "--override"], options].concat();
        let ran = say(&run("peak-finding", &sample.file, &arguments), filter);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr.lines().filter(|line| is_logged(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    let all = one(&[], "pixelmill=debug");
    assert!(all.iter().any(|line| line.contains("debug engine: pixelmill ")), "{all:?}");
    assert!(all.iter().any(|line| line.contains("debug storage::lock: ")), "{all:?}");
    let of_storage = one(&["-v"], "pixelmill::storage=debug");
    assert!(!of_storage.is_empty(), "nothing is said");
    assert!(of_storage.iter().all(|line| line.contains(" debug storage::")), "{of_storage:?}");
    assert_eq!(one(&["-vv"], "off"), Vec::<String>::new());
    assert!(!one(&["-q"], "info").is_empty(), "notes and progress are one thing, the log another");
}

#[test]
fn on_a_terminal_lines_stand_above_the_bar() {
    let sample = Sample::new();
    let typed = ["-vv", "-p", "pause=300", "--checkpoint", "0.05", "--positions", "0:3000"];
    let command =
        std::iter::once(program().into_os_string()).chain(run("slow", &sample.file, &typed));
    let seen = python_program("terminal.py", command);
    let drawn = seen["drawn"].as_str().unwrap();
    assert_eq!(seen["code"], 0, "{drawn}");
    let drawn_bars = drawn.matches(" positions/s, ").count();
    assert!(drawn_bars > 3, "the bar is drawn: {drawn:?}");
    let screen: Vec<&str> =
        seen["screen"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let checkpoints = screen.iter().filter(|line| line.contains("checkpoint: "));
    assert!(checkpoints.clone().count() > 3, "{screen:#?}");
    assert!(checkpoints.clone().all(|line| is_logged(line)), "{screen:#?}");
    // What is left is the log and what is said anyway; no piece of a bar, and nothing in the midst
    // of a line.
    assert!(
        !screen
            .iter()
            .any(|line| line.contains('█') || line.contains(" % ") && line.contains("left")),
        "{screen:#?}"
    );
    let inside = |line: &&&str| line.char_indices().skip(1).any(|(at, _)| is_logged(&line[at..]));
    assert_eq!(screen.iter().find(inside), None, "{screen:#?}");
    assert!(screen.iter().any(|line| line.starts_with("Slow is done")), "{screen:#?}");
}

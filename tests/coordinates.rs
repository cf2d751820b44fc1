//! Where a spectrum was measured, for processes that ask: the steps and the values of a position as
//! the file has them, whatever the scan, and the same bytes whoever computes.

use std::path::Path;

use serde_json::json;

#[cfg(feature = "mpi")]
use crate::support::ranks::succeed_on;
use crate::support::usid::{Scan, group};
use crate::support::watch::{Opener, Snapshot, assert_kills_are_survived};
use crate::support::{python_function, run, succeed};

/// Positions that aren't where their indices say, or are in no order at all.
const CHANGES: [(&str, &str); 3] = [
    ("as it is", ""),
    (
        "drifted",
        "values = file['/Measurement_000/Channel_000/Position_Values']
values[...] = values[()] + np.random.default_rng(1).normal(size=values.shape) * 0.01",
    ),
    (
        "no grid",
        "order = np.random.default_rng(2).permutation(20)
for name in ('Position_Indices', 'Position_Values'):
    table = file['/Measurement_000/Channel_000/' + name]
    table[...] = table[()][order]
table[...] = table[()] + np.random.default_rng(3).normal(size=table.shape) * 0.01",
    ),
];

/// Whether each row of the results has the index and the value that the tables have for it.
const CHECK: &str = r"
tables = {name: file['/Measurement_000/Channel_000/Position_' + name] for name in ('Indices', 'Values')}
labels = [label if isinstance(label, str) else label.decode() for label in tables['Indices'].attrs['labels']]
found = file[given[0]]
told = []
for which in ('Slow', 'Fast'):
    column = labels.index(found[which].attrs['quantity'])
    steps, values = found[which + '_Step'][:, 0], found[which][:, 0]
    told.append(bool(np.array_equal(steps, tables['Indices'][:, column])))
    told.append(bool(np.array_equal(values, tables['Values'][:, column].astype('f8'))))
told.append(sorted(found[which].attrs['quantity'] for which in ('Slow', 'Fast')))
";

fn changed(change: &str, options: &[&str]) -> Scan {
    let scan = Scan::new(options);
    scan.script(change, &[]);
    scan
}

#[test]
fn a_position_has_the_steps_and_the_values_that_the_file_tells() {
    for (what, change) in CHANGES {
        let scan = changed(change, &[]);
        let ran = scan.run("placed", &[]);
        let found = scan.script(CHECK, &[ran["group"].as_str().unwrap()]);
        assert_eq!(found, json!([true, true, true, true, ["X", "Y"]]), "{what}");
        assert_eq!(scan.run("placed", &[])["outcome"], "existing");
        let verified = succeed(["verify", &scan.file, ran["group"].as_str().unwrap()]);
        assert_eq!(verified["different"], json!([]), "{what}");
    }
}

#[test]
fn a_position_of_an_array_lies_on_its_axes_in_the_order_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("array.h5");
    let asked = |function: &str, more: &[&str]| {
        python_function("elements.py", function, [&[file.to_str().unwrap()], more].concat())
    };
    asked("array", &[]);
    for axes in ["0,1", "1,0", "2,0"] {
        let ran = succeed(run("placed", &file, &["--positions-axes", axes]));
        assert_eq!(asked("places", &[axes, ran["group"].as_str().unwrap()]), true, "{axes}");
    }
}

#[test]
fn values_of_its_own_are_part_of_what_a_result_is_known_by() {
    let scan = changed(CHANGES[1].1, &[]);
    let first = scan.run("placed", &[]);
    scan.run("sum", &[]);
    scan.script("file['/Measurement_000/Channel_000/Position_Values'][13, 0] += 0.5", &[]);
    let second = scan.run("placed", &[]);
    assert_eq!(
        (&first["group"], &second["group"]),
        (&json!(group("Placed", 0)), &json!(group("Placed", 1)))
    );
    assert_ne!(first["parameter_hash"], second["parameter_hash"]);
    let found = scan.script(CHECK, &[&group("Placed", 1)]);
    assert_eq!(found, json!([true, true, true, true, ["X", "Y"]]));
    // Who doesn't ask isn't told: the axes are the same.
    assert_eq!(scan.run("sum", &[])["outcome"], "existing");
}

const LARGE: [&str; 6] = ["--rows", "40", "--cols", "50", "--bins", "4"];

/// A large scan of each kind, with the results of a run that nobody disturbed.
fn undisturbed(change: &str, opener: &mut Opener) -> Snapshot {
    let scan = large(change);
    scan.run("placed", &[]);
    opener.snapshot(Path::new(&scan.file))
}

fn large(change: &str) -> Scan {
    changed(&change.replace("permutation(20)", "permutation(2000)"), &LARGE)
}

#[test]
fn killed_and_resumed_runs_give_the_same_bytes() {
    let mut opener = Opener::new();
    for (_, change) in CHANGES {
        let finished = undisturbed(change, &mut opener);
        let scan = large(change);
        let file = Path::new(&scan.file);
        let options = ["-p", "pause=200", "--checkpoint", "0.02", "--cores", "2"];
        assert_kills_are_survived(&mut opener, &run("placed", file, &options), file, &finished);
    }
}

#[cfg(feature = "mpi")]
#[test]
fn any_number_of_ranks_gives_the_same_bytes() {
    let mut opener = Opener::new();
    for (what, change) in CHANGES {
        let finished = undisturbed(change, &mut opener);
        for ranks in 1..=4 {
            let scan = large(change);
            let file = Path::new(&scan.file);
            succeed_on(ranks, run("placed", file, &["--cores", "1"]));
            assert!(opener.snapshot(file) == finished, "{what}, {ranks} ranks");
        }
    }
}

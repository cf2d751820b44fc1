//! Which positions are computed: every way to write them selects what NumPy selects, the same ones
//! everywhere, and what can't be selected leaves the file alone.

#[cfg(feature = "mpi")]
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[cfg(feature = "mpi")]
use crate::support::ranks::succeed_on;
#[cfg(feature = "mpi")]
use crate::support::run;
use crate::support::usid::Scan;
#[cfg(feature = "mpi")]
use crate::support::watch::{Opener, Snapshot};
use crate::support::{program, refuse, succeed};

/// Masks of the scan's 4 × 5 positions: those whose number is a multiple of 3.
const MASKS: &str = "mask = np.arange(20) % 3 == 0\ngrid = mask.reshape(4, 5)\nfile['/mask'] = \
                     mask\nwith h5py.File(given[0] + 'other.h5', 'w') as other:\n    \
                     other['/a/mask'] = grid.astype('u2')\nnp.save(given[0] + 'mask.npy', \
                     grid)\nnp.save(given[0] + 'flat.npy', mask.astype('>i4'))\nnp.save(given[0] \
                     + 'fortran.npy', np.asfortranarray(grid))\nnp.save(given[0] + 'floats.npy', \
                     grid.astype(float))\nnp.save(given[0] + 'turned.npy', \
                     grid.T)\nnp.save(given[0] + 'short.npy', mask[:19])\nnp.save(given[0] + \
                     'none.npy', mask & False)\nopen(given[0] + 'list.txt', 'w').write('# chosen \
                     by eye\\n3\\n\\n6:10:2 # some\\n1,2\\n2 0:2\\n')\nopen(given[0] + 'bad.txt', \
                     'w').write('3\\n4.5\\n')\nopen(given[0] + 'far.txt', \
                     'w').write('3\\n4,0\\n')\nopen(given[0] + 'long.txt', 'w').write('1 2 3\\n')";

fn with_masks() -> Scan {
    let scan = Scan::new(&[]);
    scan.script(MASKS, &[&scan.beside("")]);
    scan
}

/// The positions that a run marks.
fn selected(scan: &Scan, selection: &str) -> Vec<u64> {
    let ran = scan.run("sum", &["--override", "--positions", selection]);
    let path = format!("{}/completed_positions", ran["group"].as_str().unwrap());
    let marked = scan.script("told = np.flatnonzero(file[given[0]][()]).tolist()", &[&path]);
    marked.as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect()
}

#[test]
fn every_way_to_write_them_selects_what_numpy_selects() {
    let scan = with_masks();
    for (selection, expected) in [
        ("0:20:7", vec![0, 7, 14]),
        ("0:4:3,1:5:2", vec![1, 3, 16, 18]),
        (":,4", vec![4, 9, 14, 19]),
        // As many numbers as axes are a row and a column, as they always were.
        ("1,3", vec![8]),
        ("1,5,9", vec![1, 5, 9]),
        ("[9,1]", vec![1, 9]),
        ("[0:2,10:16:5,19]", vec![0, 1, 10, 15, 19]),
    ] {
        assert_eq!(selected(&scan, selection), expected, "{selection}");
    }
    let list = format!("@{}", scan.beside("list.txt"));
    assert_eq!(selected(&scan, &list), [3, 6, 7, 8, 10, 11]);
    // As some editors begin a file.
    scan.script(
        "text = open(given[0]).read()\nopen(given[0], 'w', encoding='utf-8-sig').write('4\\n' + \
         text)",
        &[&scan.beside("list.txt")],
    );
    assert_eq!(selected(&scan, &list), [3, 4, 6, 7, 8, 10, 11]);
}

#[test]
fn what_was_asked_for_is_noted_with_the_seed() {
    let scan = Scan::new(&[]);
    let noted = |more: &[&str]| {
        let group = scan.run("sum", more)["group"].clone();
        let path = [group.as_str().unwrap()];
        scan.script("told = file[given[0]].attrs['last_run'].decode()", &path)
    };
    let asked = |note: &Value| -> Option<String> {
        let parts: Vec<&str> = note.as_str().unwrap().split(", ").collect();
        assert!(parts[0].starts_with("host ") && parts.last().unwrap().starts_with("since "));
        let asked = parts.iter().find_map(|part| part.strip_prefix("positions "));
        asked.map(str::to_owned)
    };
    assert_eq!(asked(&noted(&["--positions", "random:7"])).unwrap(), "random:7:0");
    assert_eq!(asked(&noted(&["--positions", "random:9:3"])).unwrap(), "random:9:3");
    let long = format!("[{}]", (0..19).map(|at| at.to_string()).collect::<Vec<_>>().join(","));
    let long = asked(&noted(&["--positions", &long])).unwrap();
    assert!(long.starts_with("[0:1,1:2,") && long.ends_with('…'), "{long}");
    assert_eq!(asked(&noted(&["--override"])), None);
}

#[cfg(feature = "mpi")]
#[test]
fn any_number_of_ranks_computes_the_same_positions() {
    let scan = with_masks();
    let mut opener = Opener::new();
    for (number, selection) in ["random:9:4", "/mask", "0:4:3,1:5:2"].into_iter().enumerate() {
        let mut found: Vec<Snapshot> = Vec::new();
        for ranks in 1..=4 {
            let output = scan.beside(&format!("{number}_on_{ranks}.h5"));
            let options = ["--cores", "1", "--output", &output, "--positions", selection];
            succeed_on(ranks, run("sum", scan.file.as_ref(), &options));
            found.push(opener.snapshot(Path::new(&output)));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{selection}");
    }
}

#[test]
fn masks_are_taken_from_anywhere() {
    let scan = with_masks();
    let expected: Vec<u64> = (0..20).step_by(3).collect();
    let beside = |name: &str| scan.beside(name);
    let masks = ["other.h5:/a/mask", "other.h5:a/mask", "mask.npy", "flat.npy", "fortran.npy"];
    for mask in masks.map(beside) {
        assert_eq!(selected(&scan, &mask), expected, "{mask}");
    }
    assert_eq!(selected(&scan, "/mask"), expected);
    scan.script(
        "kind = h5py.enum_dtype({'good': 0, 'bad': 3}, \
         basetype='i2')\nfile.create_dataset('/kinds', data=3 * file['/mask'][()].astype('i2'), \
         dtype=kind)",
        &[],
    );
    assert_eq!(selected(&scan, "/kinds"), expected);
    assert_eq!(selected(&scan, &format!("{}:/mask", scan.file)), expected);
    // Also from the file that results go to, which a run needs for itself.
    let other = beside("other.h5");
    let both = ["--output", &other, "--positions", &format!("{other}:/a/mask")];
    assert_eq!(scan.run("sum", &both)["completed"], 7);
}

#[test]
fn random_positions_are_the_same_everywhere_and_their_seed_is_told() {
    let scan = Scan::new(&[]);
    let five = selected(&scan, "random:5");
    assert_eq!(five, RANDOM_FIVE);
    let ten = selected(&scan, "random:10");
    assert!(ten.len() == 10 && five.iter().all(|position| ten.contains(position)));
    assert_ne!(selected(&scan, "random:5:1"), five);
    let scan = Scan::new(&[]);
    let ran = scan.run("sum", &["--positions", "random:5"]);
    assert_eq!(ran["selection"], "random:5:0");
    // More of the same seed are computed beside them.
    let more = scan.run("sum", &["--positions", "random:10:0"]);
    assert_eq!((&more["group"], &more["report"]["positions"]), (&ran["group"], &5.into()));
    let hash = |ran: &Value| ran["parameter_hash"].clone();
    let all = scan.run("sum", &[]);
    assert_eq!((hash(&all), &all["completed"]), (hash(&ran), &20.into()));
    assert_eq!(all.get("selection"), None);
}

/// Of 20 positions, with seed 0.
const RANDOM_FIVE: [u64; 5] = [2, 4, 10, 12, 17];

#[test]
fn what_can_not_be_selected_is_refused_and_the_file_stays_as_it_is() {
    let scan = with_masks();
    let before = std::fs::read(&scan.file).unwrap();
    let beside = |name: &str| scan.beside(name);
    for (selection, told) in [
        ("1,5,20".to_owned(), &["20:21", "0:20"][..]),
        ("[3,20]".to_owned(), &["20:21", "0:20"]),
        ("4,0".to_owned(), &["Y 0:4", "X 0:5"]),
        ("0:3,1:2,0:1".to_owned(), &["one range", "Y 0:4"]),
        ("random:21".to_owned(), &["21", "more than the 20"]),
        (beside("turned.npy"), &["5 × 4", "4 × 5"]),
        (beside("short.npy"), &["19 values", "20 positions"]),
        (beside("floats.npy"), &["neither truth values nor integers"]),
        (beside("none.npy"), &["selects none"]),
        (beside("other.h5:/b"), &["no dataset"]),
        (format!("@{}", beside("bad.txt")), &["line 2", "`4.5`"]),
        (format!("@{}", beside("far.txt")), &["line 2", "Y 0:4"]),
        (format!("@{}", beside("long.txt")), &["line 1", "2 steps"]),
    ] {
        let told = [&["can't be selected"], told].concat();
        refuse(["run", "sum", &scan.file, "--positions", &selection], 2, &told);
        assert!(std::fs::read(&scan.file).unwrap() == before, "{selection}");
    }
    refuse(["run", "sum", &scan.file, "--positions", "-1"], 2, &["`-1` is no whole number"]);
    for (selection, told) in [("missing.npy", "no such file"), ("@missing.txt", "no such file")] {
        refuse(["run", "sum", &scan.file, "--positions", selection], 1, &[told]);
    }
}

#[test]
fn a_test_without_a_position_names_all_ways_to_say_one() {
    let scan = Scan::new(&[]);
    let texts = ["--pixel <N>", "--at <ROW,COL>", "--positions <SELECTION>"];
    refuse(["test", "sum", &scan.file], 2, &texts);
}

#[test]
fn several_positions_are_tested_as_a_table_with_an_estimate_for_all() {
    let scan = with_masks();
    let before = std::fs::read(&scan.file).unwrap();
    let several = ["test", "slow", &scan.file, "-p", "pause=20000", "--positions"];
    let with = |more: &[&str]| succeed(several.iter().chain(more));
    let told = with(&["1,5,9", "--cores", "2"]);
    for (row, position) in told["sampled"].as_array().unwrap().iter().zip([1u64, 5, 9]) {
        assert_eq!((&row["position"], &row["at"][1]), (&position.into(), &(position % 5).into()));
        let number = position.to_string();
        let one = succeed(["test", "slow", &scan.file, "-p", "pause=20000", "--pixel", &number]);
        assert_eq!((&row["results"], &row["failure"]), (&one["results"], &Value::Null));
        assert!(row["seconds"].as_f64().unwrap() >= 0.02);
    }
    assert_eq!(told["sampled"].as_array().unwrap().len(), 3);
    assert_eq!((&told["positions"], &told["workers"]), (&20.into(), &2.into()));
    // 20 positions of 20 ms at least, on two cores and on one.
    let seconds = |told: &Value| told["estimated_seconds"].as_f64().unwrap();
    assert!(seconds(&told) >= 0.2, "{told}");
    assert!(seconds(&with(&["random:3", "--cores", "1"])) >= 0.4);
    refuse([&several[..], &["[20]"]].concat(), 2, &["can't be selected", "0:20"]);
    refuse([&several[..], &["[2]", "--memory", "1"]].concat(), 2, &["too little"]);
    let shown = Command::new(program()).args(several).arg("[3,17]").output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stderr).into_owned();
    for text in ["Slow at 2 positions", "  position  steps  time", "0,3", "3,2", "all 20 positions"]
    {
        assert!(shown.contains(text), "`{text}` is missing: {shown}");
    }
    assert!(std::fs::read(&scan.file).unwrap() == before);
}

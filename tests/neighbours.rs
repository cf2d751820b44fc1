//! Computations with the neighbours of each position: the numbers of SciPy and NumPy wherever the
//! data lie, the same bytes whatever is computed together, each chunk decoded once, and a damaged
//! neighbour fails whoever needs it.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::neighbours::{Datasets, text};
#[cfg(feature = "mpi")]
use crate::support::ranks::succeed_on;
use crate::support::usid::Scan;
use crate::support::watch::{Opener, Snapshot, assert_kills_are_survived};
use crate::support::{pixelmill, refuse, run, succeed};

/// How far the results of a run of `denoise` are off SciPy's.
fn off(data: &Datasets, name: &str, ran: &Value, how: [&str; 3]) -> f64 {
    let where_ = [text(ran, "file"), text(ran, "group")];
    let found = data.ask("denoised", name, &[&where_[..], &how].concat());
    found.as_f64().unwrap_or_else(|| panic!("{found}"))
}

#[test]
fn medians_are_those_of_scipy_to_the_bit() {
    let data = Datasets::new();
    for name in data.names() {
        for (size, edges) in
            [("3", "reflect"), ("4", "nearest"), ("5", "missing"), ("2", "reflect")]
        {
            let (given_size, given_edges) = (format!("size={size}"), format!("edges={edges}"));
            let ran = data.run("denoise", name, &["-p", &given_size, "-p", &given_edges]);
            let steps = off(&data, name, &ran, ["median", size, edges]);
            assert_eq!(steps, 0.0, "{name}, {size}, {edges}");
        }
    }
    let ran = data.run("denoise", "blocks", &["-p", "size=[1,9]"]);
    assert_eq!(off(&data, "blocks", &ran, ["median", "[1,9]", "reflect"]), 0.0);
}

#[test]
fn gaussian_means_are_those_of_scipy() {
    let data = Datasets::new();
    for name in data.names() {
        for (sigma, edges) in [("0.8", "reflect"), ("1.3", "nearest"), ("0.5", "missing")] {
            let (given, given_edges) = (format!("sigma={sigma}"), format!("edges={edges}"));
            let options = ["-p", "method=gaussian", "-p", &given, "-p", &given_edges];
            let ran = data.run("denoise", name, &options);
            let steps = off(&data, name, &ran, ["gaussian", sigma, edges]);
            // Where some are missing SciPy has no such mean, and NumPy's is put together otherwise.
            let most = if edges == "missing" { 8.0 } else { 4.0 };
            assert!(steps <= most, "{name}, {sigma}, {edges}: {steps}");
        }
    }
    let options = ["-p", "method=gaussian", "-p", "sigma=[0,2]"];
    let ran = data.run("denoise", "frames", &options);
    assert!(off(&data, "frames", &ran, ["gaussian", "[0,2]", "reflect"]) <= 4.0);
}

#[test]
fn correlations_are_those_of_numpy() {
    let data = Datasets::new();
    for (name, size, diagonal) in [
        ("floats", "3", "true"),
        ("blocks", "5", "false"),
        ("line", "3", "true"),
        ("volume", "3", "false"),
    ] {
        let (given, across) = (format!("size={size}"), format!("diagonal={diagonal}"));
        let ran = data.run("local-correlation", name, &["-p", &given, "-p", &across]);
        let found = data.ask(
            "correlated",
            name,
            &[text(&ran, "file"), text(&ran, "group"), size, diagonal],
        );
        assert!(found[0].as_f64().unwrap() < 1e-12, "{name}: {found}");
        assert_eq!(found[1], 0, "{name}");
    }
}

#[test]
fn whatever_is_computed_together_the_results_are_the_same() {
    let data = Datasets::new();
    let mut opener = Opener::new();
    for name in data.names() {
        let mut found: Vec<Snapshot> = Vec::new();
        let output = |number: usize| data.scan.beside(&format!("{name}_{number}.h5"));
        let ways: [&[&[&str]]; 4] = [
            &[&["--cores", "1"]],
            &[&["--cores", "2"]],
            &[&["--cores", "2", "--memory", "900K"]],
            &[&["--positions", "random:7:3"], &["--positions", "3:20:4"], &[]],
        ];
        for (number, parts) in ways.into_iter().enumerate() {
            let results = output(number);
            for part in parts {
                let options = [&["--output", &results], *part].concat();
                let ran =
                    pixelmill(run("surrounded", data.scan.file.as_ref(), &data.of(name, &options)));
                assert_eq!(ran.code, Some(0), "{name}, {part:?}: {}", ran.stderr);
            }
            found.push(opener.snapshot(Path::new(&results)));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
    }
}

#[test]
fn each_chunk_is_decoded_once() {
    let data = Datasets::new();
    for name in ["floats", "blocks", "turned", "volume"] {
        for cores in ["1", "2"] {
            let output = data.scan.beside(&format!("{name}_{cores}.h5"));
            let options = ["--cores", cores, "--output", &output];
            let report = data.run("denoise", name, &options)["report"].clone();
            assert_eq!(report["chunks_decoded"], report["chunks"], "{name}: {report}");
        }
    }
}

#[test]
fn chunks_are_decoded_again_for_want_of_memory_alone_and_it_is_told() {
    let data = Datasets::new();
    let with = |memory: &str, more: &[&str]| {
        let output = data.scan.beside(&format!("{memory}.h5"));
        let options = ["--cores", "2", "--output", &output, "--memory", memory, "-p", "size=5"];
        let options = [&options[..], more].concat();
        pixelmill(run("denoise", data.scan.file.as_ref(), &data.of("many", &options)))
    };
    let tight = with("300K", &["--dry-run"]);
    assert_eq!(tight.json["some_decoded_again"], true, "{}", tight.json);
    let tight = with("300K", &[]);
    let workers = tight.json["report"]["workers"].as_u64().unwrap();
    assert!(tight.stderr.contains(&format!("{workers} worker")), "{}", tight.stderr);
    assert!(
        tight.json["report"]["chunks_decoded"].as_u64() > tight.json["report"]["chunks"].as_u64()
    );
    let told = "some are read more than once; --memory ";
    let (_, enough) = tight.stderr.split_once(told).unwrap_or_else(|| panic!("{}", tight.stderr));
    let enough = enough.split(' ').next().unwrap();
    let enough = with(enough, &[]);
    let report = &enough.json["report"];
    assert_eq!(report["chunks_decoded"], report["chunks"], "{}", enough.stderr);
    assert!(!enough.stderr.contains(told), "{}", enough.stderr);
}

#[test]
fn a_position_is_tested_and_verified_with_its_neighbours() {
    let data = Datasets::new();
    for name in data.names() {
        let ran = data.run("denoise", name, &[]);
        let verified = succeed(["verify", &data.scan.file, text(&ran, "group")]);
        assert_eq!(verified["different"], json!([]), "{name}");
        assert_ne!(verified["checked"], json!(0), "{name}");
        let test = ["test", "denoise", &data.scan.file, "--pixel", "4"];
        let tested = succeed([&test, &data.of(name, &[])[..]].concat());
        assert_eq!(tested["failure"], Value::Null, "{name}");
        assert_eq!(data.run("denoise", name, &[])["outcome"], "existing", "{name}");
    }
}

#[test]
fn a_damaged_neighbour_fails_the_positions_that_need_it_and_no_others() {
    let data = Datasets::new();
    let intact = std::fs::read(&data.scan.file).unwrap();
    let needed = data.ask("damage", "blocks", &["4"]);
    let output = data.scan.beside("results.h5");
    let options = ["--output", &output, "--cores", "2"];
    let arguments = run("denoise", data.scan.file.as_ref(), &data.of("blocks", &options));
    let ran = pixelmill(&arguments);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    let positions: Vec<&Value> = failed.iter().map(|failure| &failure["position"]).collect();
    assert_eq!(json!(positions), needed);
    assert!(failed.iter().all(|failure| text(failure, "message").contains("is damaged")));
    // The data are others then, so nothing is taken for what was computed of the damaged ones.
    std::fs::write(&data.scan.file, intact).unwrap();
    let again = succeed(&arguments);
    assert_eq!(again["failed"], json!([]));
    assert_eq!(off(&data, "blocks", &again, ["median", "3", "reflect"]), 0.0);
}

/// A process on spectra that the engine corrects, cuts or divides, and on the same ones written so.
#[test]
fn neighbours_are_seen_as_positions_are() {
    let data = Datasets::new();
    let file = |name: &str| data.scan.beside(name);
    let (dark, gain, dead) = (file("dark.npy"), file("gain.npy"), file("dead.npy"));
    let ways: [(&str, &[&str]); 7] = [
        ("line", &["--dark", &dark, "--gain", &gain]),
        ("fast", &["--gain", &gain, "--dead-pixels", &dead]),
        ("blocks", &["--dark", &dark, "--gain", &gain]),
        ("blocks", &["--dark", &dark, "--dead-pixels", &dead]),
        ("blocks", &["--gain", &gain, "--crop", "2:8:2,:"]),
        ("blocks", &["--along", "0"]),
        ("blocks", &["--dark", &dark, "--dead-pixels", &dead, "--along", "1"]),
    ];
    for (name, options) in ways {
        for (process, bins) in [
            ("surrounded", &[][..]),
            ("denoise", &[]),
            ("local-correlation", &[]),
            ("rebin", &["-p", "positions=2"]),
        ] {
            let how = options.join(" ");
            let seen = data.ask("seen", name, &[&how, &dark, &gain, &dead]);
            let ran = data.run(process, name, &[options, bins].concat());
            let (axes, along) = (text(&seen, "axes"), text(&seen, "along"));
            let mut arguments = vec!["run", process, text(&seen, "file"), "--positions-axes", axes];
            if !along.is_empty() {
                arguments.extend(["--along", along]);
            }
            arguments.extend(bins);
            let expected = succeed(arguments);
            let compared = data.ask(
                "same",
                name,
                &[
                    text(&ran, "file"),
                    text(&ran, "group"),
                    text(&expected, "file"),
                    text(&expected, "group"),
                ],
            );
            assert_eq!(compared, json!([]), "{process} of {name}, {how}");
        }
    }
}

#[test]
fn integers_that_double_precision_has_not_fail_whoever_has_such_a_neighbour() {
    let data = Datasets::new();
    let output = data.scan.beside("results.h5");
    let options = ["--output", &output, "--cores", "2", "--memory", "4M"];
    let arguments = run("denoise", data.scan.file.as_ref(), &data.of("long", &options));
    let ran = pixelmill(&arguments);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    // 9007199254740993 is at position 30 of rows of 12.
    let failed = ran.json["failed"].as_array().unwrap();
    let positions: Vec<&Value> = failed.iter().map(|failure| &failure["position"]).collect();
    assert_eq!(json!(positions), json!([17, 18, 19, 29, 30, 31, 41, 42, 43]));
    for failure in failed {
        let message = text(failure, "message");
        assert!(message.contains("9007199254740993"), "{message}");
        assert_eq!(message.contains("of a neighbour"), failure["position"] != 30, "{message}");
    }
    // Positions far apart, whose neighbours memory is too little for at once.
    let output = data.scan.beside("scattered.h5");
    let far = ["--positions", "0:5,1:12:4", "--memory", "4K", "--cores", "1"];
    let scattered = data.of("long", &[&["--output", &output], &far[..]].concat());
    let ran = pixelmill(run("denoise", data.scan.file.as_ref(), &scattered));
    let failed = ran.json["failed"].as_array().unwrap();
    let positions: Vec<&Value> = failed.iter().map(|failure| &failure["position"]).collect();
    assert_eq!(json!(positions), json!([17, 29, 41]), "{}", ran.stderr);
}

#[test]
fn positions_that_are_no_grid_have_no_neighbours() {
    let scan = Scan::new(&[]);
    scan.script(
        "order = np.random.default_rng(2).permutation(20)
for name in ('Position_Indices', 'Position_Values'):
    table = file['/Measurement_000/Channel_000/' + name]
    table[...] = table[()][order]",
        &[],
    );
    let before = std::fs::read(&scan.file).unwrap();
    let told = ["computes with neighbours", "no full grid"];
    refuse(run("local-correlation", scan.file.as_ref(), &[]), 1, &told);
    assert!(std::fs::read(&scan.file).unwrap() == before);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let data = Datasets::new();
    let refused = |process: &str, name: &str, given: &str, (code, texts): (i32, &[&str])| {
        let arguments = run(process, data.scan.file.as_ref(), &data.of(name, &["-p", given]));
        refuse(arguments, code, texts);
    };
    refused("denoise", "frames", "size=[3,3,3]", (1, &["`size` has 3 numbers", "2 axes"]));
    refused("denoise", "frames", "size=0", (2, &["`size`", "at least 1"]));
    refused("denoise", "frames", "size=[3,2.5]", (2, &["`size`", "whole numbers"]));
    refused("denoise", "frames", "size=many", (2, &["a number, or one for each axis"]));
    refused("denoise", "frames", "size=500", (1, &["more than 10000 positions"]));
    refused("denoise", "frames", "sigma=-1", (2, &["`sigma`", "at least 0"]));
    refused("denoise", "frames", "sigma=[1,-1]", (2, &["`sigma`", "from 0 on"]));
    refused("denoise", "frames", "edges=wrap", (2, &["`edges`", "wrap"]));
    refused("local-correlation", "frames", "size=4", (2, &["`size`", "odd"]));
}

#[test]
fn killed_and_resumed_runs_give_the_same_bytes() {
    let mut opener = Opener::new();
    let slowly = |data: &Datasets, options: &[&str]| {
        let slowly = ["-p", "pause=1000", "--checkpoint", "0.02"];
        run("surrounded", data.scan.file.as_ref(), &data.of("blocks", &[&slowly, options].concat()))
    };
    let data = Datasets::new();
    succeed(slowly(&data, &[]));
    let finished = opener.snapshot(Path::new(&data.scan.file));
    let data = Datasets::new();
    let arguments = slowly(&data, &["--cores", "2"]);
    let file = Path::new(&data.scan.file);
    assert_kills_are_survived(&mut opener, &arguments, file, &finished);
}

#[cfg(feature = "mpi")]
#[test]
fn any_number_of_ranks_gives_the_same_bytes() {
    let data = Datasets::new();
    let mut opener = Opener::new();
    for name in ["floats", "blocks", "volume"] {
        let mut found: Vec<Snapshot> = Vec::new();
        for ranks in 1..=4 {
            let output = data.scan.beside(&format!("{name}_on_{ranks}.h5"));
            let options = ["--cores", "1", "--output", &output];
            let arguments = run("surrounded", data.scan.file.as_ref(), &data.of(name, &options));
            succeed_on(ranks, arguments);
            found.push(opener.snapshot(Path::new(&output)));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
    }
}

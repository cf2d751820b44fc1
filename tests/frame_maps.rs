//! What is computed of frames one by one: against LiberTEM and scikit-image, which stand beside,
//! and against NumPy in double precision; what is refused before a run; and golden results.

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::golden::{assert_golden, kept};
use crate::support::{filters_program, pixelmill, root};

/// A function of the program beside, in the environment of the peers.
fn peers(function: &str, arguments: &[&str]) -> Value {
    let all = std::iter::once(&function).chain(arguments);
    filters_program("frame_maps.py", all.map(AsRef::<std::ffi::OsStr>::as_ref))
}

fn scan(kind: &str, layout: &str, parity: &str) -> Scan {
    Scan::made(|file| peers("write", &[file, kind, layout, parity]))
}

/// What `-p` is given for each option.
fn given(options: &Value) -> Vec<String> {
    let named = options.as_object().unwrap().iter();
    named.flat_map(|(name, value)| ["-p".to_owned(), format!("{name}={value}")]).collect()
}

const SCANS: [(&str, &str, &str); 5] = [
    ("u2", "contiguous", "even"),
    ("f4", "frames", "odd"),
    ("i4", "blocks", "even"),
    ("f8", "contiguous", "odd"),
    ("u1", "blocks", "odd"),
];

/// Runs a process with each of these options over all scans, and compares.
fn compared(process: &str, all: &[Value], check: impl Fn(&Value, &Value, &str)) {
    for (kind, layout, parity) in SCANS {
        let scan = scan(kind, layout, parity);
        for (number, options) in all.iter().enumerate() {
            let output = scan.beside(&format!("{number}.h5"));
            let given = given(options);
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            let ran = scan.run(process, &output, &given);
            let (file, group) = (scan.file.to_str().unwrap(), ran["group"].as_str().unwrap());
            let options_told = options.to_string();
            let told = [file, &output, group, kind, parity, &options_told];
            let found = peers(&process.replace('-', "_"), &told);
            check(options, &found, parity);
        }
    }
}

fn assert_near(found: &Value, to: &str, most: f64, about: &Value) {
    let apart = found[to].as_f64();
    assert!(apart.is_some_and(|apart| apart < most), "{to} {about}: {found}");
}

#[test]
fn fluctuations_are_those_of_libertem_and_numpy() {
    let options = [
        json!({ "radius": 13, "radius_inner": 8 }),
        json!({ "radius": 9.5, "radius_inner": 3.25, "center_y": 14, "center_x": 20.25 }),
    ];
    compared("fluctuation", &options, |options, found, _| {
        assert_near(found, "numpy", 1e-11, options);
        assert_near(found, "libertem", 1e-5, options);
    });
}

#[test]
fn coefficients_around_the_centre_are_those_of_libertem_and_numpy() {
    let options = [
        json!({ "radius": 15, "radius_inner": 0, "bins": 1, "max_order": 24 }),
        json!({ "radius": 14, "radius_inner": 2, "bins": 5, "max_order": 8, "center_y": 15, "center_x": 20.25 }),
        json!({ "radius": 12, "radius_inner": 0, "bins": 12, "max_order": 6, "center_y": 15, "center_x": 21 }),
    ];
    compared("radial-fourier", &options, |options, found, _| {
        assert_near(found, "numpy", 1e-13, options);
        assert_eq!(found["wrong"], 0, "{options}");
        assert_near(found, "libertem", 1e-5, options);
    });
}

#[test]
fn crystallinities_are_numpys_and_libertems_where_its_ring_is_one() {
    let options = [
        json!({ "radius": 12, "radius_inner": 3, "half": false }),
        json!({ "radius": 12, "radius_inner": 3, "half": true }),
        json!({ "radius": 16.5, "radius_inner": 0, "half": true, "mask_radius": 6.5,
            "center_y": 16, "center_x": 22.5 }),
    ];
    compared("crystallinity", &options, |options, found, parity| {
        assert_near(found, "numpy", 1e-12, options);
        // Its numbers are of one half, and beside 0 where a length is odd.
        if options["half"] == true && parity == "even" {
            assert_near(found, "libertem", 1e-5, options);
        } else {
            assert!(found["libertem"].as_f64().unwrap() > 1e-2, "{options}: {found}");
        }
    });
}

#[test]
fn templates_are_found_where_scikit_image_finds_them() {
    for (kind, layout, parity) in SCANS {
        let scan = scan(kind, layout, parity);
        for (of, along) in [("frame", "axis 2,axis 3"), ("spectrum", "axis 3")] {
            let template = scan.beside(&format!("{of}.npy"));
            peers("template", &[&template, of]);
            let output = scan.beside(&format!("{of}.h5"));
            let option = format!("template={template}");
            let ran = scan.run("cross-correlation", &output, &["--along", along, "-p", &option]);
            let told = [&output, ran["group"].as_str().unwrap(), kind, parity, of];
            let found = peers("cross_correlation", &told);
            assert_near(&found, "correlation", 1e-6, &json!([kind, of]));
            assert_near(&found, "places", 1e-4, &json!([kind, of]));
        }
    }
}

#[test]
fn what_cant_be_computed_is_refused_before_the_run() {
    let scan = scan("u2", "contiguous", "odd");
    let (line, frame) = (scan.beside("line.npy"), scan.beside("frame.npy"));
    peers("template", &[&line, "spectrum"]);
    peers("template", &[&frame, "frame"]);
    let (line, frame) = (format!("template={line}"), format!("template={frame}"));
    for (process, options, told) in [
        (
            "fluctuation",
            vec!["-p", "radius=3", "-p", "radius_inner=3"],
            "`radius` has to be larger",
        ),
        (
            "fluctuation",
            vec!["-p", "radius=9", "-p", "center_y=-99"],
            "no point of the frames lies",
        ),
        ("radial-fourier", vec!["-p", "radius=9", "-p", "bins=10"], "narrower than a point"),
        ("radial-fourier", vec!["-p", "radius=9", "-p", "center_y=-99"], "no point of the frames"),
        ("crystallinity", vec!["-p", "radius=0.5"], "no frequency of the frames lies in the ring"),
        ("crystallinity", vec!["-p", "mask_radius=99"], "lies within `mask_radius`"),
        ("cross-correlation", vec![], "`template` has to be given"),
        ("cross-correlation", vec!["-p", &line], "has one axis"),
        ("cross-correlation", vec!["--crop", ":,14:34", "-p", &frame], ""),
        ("cross-correlation", vec!["--crop", "0:13,:", "-p", &frame], "is larger than what it is"),
    ] {
        let output = scan.beside("out.h5");
        let ran = pixelmill(scan.arguments(process, &output, &options));
        let is_refused = ran.code != Some(0) && !std::fs::exists(&output).unwrap();
        assert_eq!(is_refused, !told.is_empty(), "{process} {options:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{process} {options:?}: {}", ran.stderr);
        let _ = std::fs::remove_file(&output);
    }
}

/// The sample, and some of what was computed from it. `PIXELMILL_UPDATE_GOLDEN=1` writes it anew.
const SAMPLE: &str = "data/frames_2x3.h5";
const GOLDEN: &str = "data/frames_2x3_maps.json";
const PLAIN: &[&str] = &["reference=/reference", "normalization=none", "window=hann"];

#[test]
fn golden_results_are_the_same() {
    let scan = Scan::made(|file| std::fs::copy(root().join(SAMPLE), file).unwrap().into());
    let output = scan.beside("out.h5");
    let mut found = serde_json::Map::new();
    for (name, dataset, options) in [
        ("fft-mask", "holograms", &["radius=0.1", "center_y=0.2", "center_x=0.24"][..]),
        ("fft-mask outside", "patterns", &["radius=0.3", "radius_inner=0.1", "keep=outside"]),
        ("fluctuation", "patterns", &["radius=12", "radius_inner=7"]),
        ("radial-fourier", "patterns", &["radius=12", "bins=3", "max_order=6"]),
        ("crystallinity", "patterns", &["radius=9", "radius_inner=2", "mask_radius=6"]),
        ("cross-correlation", "patterns", &["template=/template"]),
        ("holography", "holograms", &["sb_position=[5,8]", "sb_size=4", "out_shape=[11,13]"]),
        ("holography double", "holograms", &["sb_position=[5,8]", "precision=double"]),
        ("phase-correlation", "patterns", &[]),
        ("phase-correlation plain", "patterns", PLAIN),
    ] {
        let process = name.split(' ').next().unwrap();
        let given = options.iter().flat_map(|option| ["-p", option]);
        let given: Vec<&str> = ["--dataset", dataset].into_iter().chain(given).collect();
        let ran = scan.run(process, &output, &given);
        found.insert(name.to_owned(), kept(&output, &ran["group"], "12"));
    }
    assert_golden(GOLDEN, &found, |name| match name {
        // What is written in single precision has as many digits.
        "fft-mask" | "fft-mask outside" | "holography" => 1e-6,
        // Of a frame beside itself the error is the root of what rounding leaves.
        "phase-correlation" => 1e-6,
        _ => 1e-12,
    });
}

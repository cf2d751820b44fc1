//! The process `svd-filter`: spectra rebuilt from components, beside NumPy's decomposition of the
//! whole scan and HyperSpy's model, and results that aren't of these spectra.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::support::folds::Scan;
use crate::support::{filters_program, pixelmill, python_function, refuse, run, succeed};

fn python(function: &str, arguments: &[&str]) -> Value {
    python_function("decomposition.py", function, arguments.iter().map(AsRef::<OsStr>::as_ref))
}

fn made(kind: &str, layout: &str) -> Scan {
    Scan::made(|file| python("write", &[file, kind, layout]))
}

/// The path of the group that a run has made.
fn group(ran: &Value) -> String {
    ran["group"].as_str().unwrap().to_owned()
}

#[test]
fn spectra_are_rebuilt_as_by_numpy() {
    let kept = [(None, "[0,1,2,3,4,5]"), (Some("3"), "[0,1,2]"), (Some("[3,0]"), "[3,0]")];
    let exact = ["-p", "components=6", "-p", "tolerance=1e-12", "-p", "passes=60"];
    for (at, (kind, layout, most)) in [
        ("f4", "contiguous", 1e-6),
        ("u2", "gzip", 1e-6),
        ("f8", "gzip", 1e-9),
        ("f8", "frames", 1e-9),
    ]
    .into_iter()
    .enumerate()
    {
        let scan = made(kind, layout);
        let (file, output) = (scan.file.to_str().unwrap(), scan.beside("out.h5"));
        for (number, (fold, poisson)) in
            [("svd", false), ("pca", false), ("svd", true)].into_iter().enumerate()
        {
            let poisson = format!("poisson={poisson}");
            let ran = scan.run(fold, &output, &[&exact[..], &["-p", &poisson]].concat());
            let by = format!("decomposition={output}:{}", group(&ran));
            let (kept, numbers) = kept[(at + number) % kept.len()];
            let kept = kept.map(|kept| format!("components={kept}"));
            let kept = kept.iter().flat_map(|kept| ["-p", kept.as_str()]);
            let options: Vec<&str> = ["-p", by.as_str()].into_iter().chain(kept).collect();
            let rebuilt = group(&scan.run("svd-filter", &output, &options));
            let found = python("rebuilt", &[file, &output, &group(&ran), &rebuilt, numbers]);
            let about = format!("{kind} {layout} {fold} {poisson} {numbers}: {found}");
            assert_eq!((&found["shape"], &found["type"]), (&json!(true), &json!(true)), "{about}");
            for name in ["of_results", "of_numpy"] {
                assert!(found[name].as_f64().unwrap() < most, "{name} in {about}");
            }
        }
    }
}

#[test]
fn the_newest_results_of_the_scan_are_taken_by_name() {
    let scan = made("f8", "contiguous");
    let output = scan.beside("out.h5");
    scan.run("svd", &output, &["-p", "components=2"]);
    let newest = group(&scan.run("svd", &output, &["-p", "components=4"]));
    let ran = scan.run("svd-filter", &output, &["-p", "components=4"]);
    let file = scan.file.to_str().unwrap();
    let found = python("rebuilt", &[file, &output, &newest, &group(&ran), "[0,1,2,3]"]);
    assert!(found["of_results"].as_f64().unwrap() < 1e-12, "{found}");
    let inputs: Vec<&str> = ran["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|input| input["dataset"].as_str())
        .collect();
    assert_eq!(inputs, ["U", "S", "V"].map(|name| format!("{newest}/{name}")));
    // And verified, from what they were computed from, though there are newer ones by then.
    scan.run("svd", &output, &["-p", "components=3"]);
    let verified = succeed(["verify", &output, &group(&ran)]);
    assert_eq!((&verified["checked"], &verified["different"]), (&json!(100), &json!([])));
}

#[test]
fn results_of_other_data_are_refused() {
    let scan = made("f8", "contiguous");
    let output = scan.beside("out.h5");
    let told = "no other complete results of a process `SVD`";
    refuse(scan.arguments("svd-filter", &output, &[]), 1, &[told]);
    scan.run("svd", &output, &["-p", "components=4"]);
    scan.run("pca", &output, &["-p", "components=4"]);
    scan.run("svd", &output, &["-p", "components=3", "-p", "poisson=true"]);
    for (axis, told) in
        [("1", "but there are 814 positions"), ("2", "it has to be [59] behind an axis")]
    {
        let shorter = scan.beside("shorter.h5");
        python("shorten", &[scan.file.to_str().unwrap(), &shorter, axis]);
        let (by, to) = (format!("decomposition={output}:/data-SVD_000"), scan.beside("to.h5"));
        let given = ["--output", &to, "--positions-axes", "0,1", "-p", &by];
        refuse(run("svd-filter", shorter.as_ref(), &given), 1, &[told]);
    }
    for (options, code, told) in [
        (&["-p", "components=9"][..], 1, "there are 3 components, not 9"),
        (&["-p", "components=[0,0]"], 1, "each once"),
        (&["-p", "decomposition=NMF"], 2, "has to be `SVD`, `PCA`"),
        (&["-p", "decomposition=/nothing-SVD_000"], 1, "there is no such dataset"),
    ] {
        refuse(scan.arguments("svd-filter", &output, options), code, &[told]);
    }
    // One that differs in nothing that the components have.
    let file = scan.file.to_str().unwrap();
    python("hide", &[file, &output, "/data-SVD_000"]);
    for of in ["/data-SVD_000", "/data-PCA_000", "/data-SVD_001"] {
        let by = format!("decomposition={output}:{of}");
        let told = ["was computed from other spectra", "the data of `/data`: not the same"];
        refuse(scan.arguments("svd-filter", &output, &["-p", &by]), 1, &told);
    }
    let told = ["/data-SVD_001 is of other spectra", "the data of `/data`: not the same"];
    refuse(scan.arguments("svd-filter", &output, &[]), 1, &told);
    // A spectrum that was another one when it was decomposed, and nothing that recorded it.
    python("forget", &[&output]);
    python("change", &[file]);
    for of in ["/data-SVD_000", "/data-PCA_000", "/data-SVD_001"] {
        let by = format!("decomposition={output}:{of}");
        let ran = pixelmill(scan.arguments("svd-filter", &output, &["-p", &by]));
        assert_eq!(ran.code, Some(3), "{of}: {}", ran.stderr);
        let failed = ran.json["failed"].as_array().unwrap();
        assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(77)), "{of}");
        let why = failed[0]["message"].as_str().unwrap();
        assert!(why.contains("isn't the one that was decomposed"), "{why}");
    }
}

#[test]
fn results_of_spectra_with_the_same_corrections_are_taken() {
    let scan = made("f8", "contiguous");
    let output = scan.beside("out.h5");
    python("darken", &[scan.file.to_str().unwrap()]);
    let four = ["-p", "components=4"];
    let dark = |name| [&four[..], &["--dark", name]].concat();
    let plain = group(&scan.run("svd", &output, &four));
    let corrected = group(&scan.run("svd", &output, &dark("/dark")));
    let of = |ran: &Value| ran["inputs"][0]["dataset"].as_str().unwrap().to_owned();
    assert_eq!(of(&scan.run("svd-filter", &output, &[])), format!("{plain}/U"));
    assert_eq!(
        of(&scan.run("svd-filter", &output, &["--dark", "/dark"])),
        format!("{corrected}/U")
    );
    let told = format!("{corrected} is of other spectra (it has other corrections)");
    refuse(scan.arguments("svd-filter", &output, &["--dark", "/dark_again"]), 1, &[&told]);
    // The path says which, and the values of a dark whether it is the same.
    let by = format!("decomposition={output}:{corrected}");
    let by = |dark| [&["-p", by.as_str()][..], dark].concat();
    scan.run("svd-filter", &output, &by(&["--dark", "/dark_again"]));
    let told = "the corrections: dark \"/dark\" there, none here";
    refuse(scan.arguments("svd-filter", &output, &by(&[])), 1, &[told]);
    let told = "the values of the dark \"/darker\": not the same";
    refuse(scan.arguments("svd-filter", &output, &by(&["--dark", "/darker"])), 1, &[told]);
}

#[test]
fn a_spectrum_that_cannot_be_decomposed_fails_for_the_same_reason() {
    for (value, told) in [("1e-320", "too small to be squared"), ("nan", "value 0 of the spectrum")]
    {
        let scan = made("f8", "contiguous");
        let output = scan.beside("out.h5");
        python("put", &[scan.file.to_str().unwrap(), value]);
        for (process, options) in [("svd", &["-p", "components=4"][..]), ("svd-filter", &[])] {
            let ran = pixelmill(scan.arguments(process, &output, options));
            assert_eq!(ran.code, Some(3), "{process}: {}", ran.stderr);
            let failed = ran.json["failed"].as_array().unwrap();
            assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(77)), "{process}");
            let why = failed[0]["message"].as_str().unwrap();
            assert!(why.contains(told), "{process}: {why}");
        }
    }
}

#[test]
fn verified_are_also_results_whose_decomposition_is_of_other_spectra_by_now() {
    let scan = made("f8", "contiguous");
    let output = scan.beside("out.h5");
    scan.run("svd", &output, &["-p", "components=4"]);
    let ran = scan.run("svd-filter", &output, &[]);
    python("change", &[scan.file.to_str().unwrap()]);
    let verified = pixelmill(["verify", &output, &group(&ran)]);
    assert_eq!(
        verified.json["changed"],
        json!("the data of `/data`: not the same"),
        "{}",
        verified.stderr
    );
}

#[test]
fn spectra_are_rebuilt_as_by_hyperspy() {
    let peers = |function: &str, arguments: &[&str]| {
        filters_program("decomposition.py", [&[function], arguments].concat())
    };
    let scan = Scan::made(|file| peers("write_hspy", &[file]));
    let output = scan.beside("out.h5");
    for (fold, options, centre, poisson) in [
        ("svd", &["-p", "components=3"][..], "none", "false"),
        ("svd", &["-p", "components=3", "-p", "poisson=true"], "none", "true"),
        ("pca", &["-p", "components=3"], "navigation", "false"),
    ] {
        let beside = ["--output", output.as_str(), "--override"];
        let of = group(&succeed(run(fold, &scan.file, &[options, &beside].concat())));
        let by = format!("decomposition={output}:{of}");
        let filter = ["-p", by.as_str(), "-p", "components=2"];
        let rebuilt =
            group(&succeed(run("svd-filter", &scan.file, &[&filter[..], &beside].concat())));
        let file = scan.file.to_str().unwrap();
        let found = peers("hyperspy_model", &[file, &output, &rebuilt, centre, poisson]);
        assert!(found["apart"].as_f64().unwrap() < 1e-5, "{fold} {options:?}: {found}");
    }
}

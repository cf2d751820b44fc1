//! The README's process and fold of one's own, built and run exactly as they stand there.

use std::process::Command;

use crate::support::{RAW_DATA, Ran, Sample, python_function, ran, root};

/// The first code block of `language` in the README after `heading`.
fn block(readme: &str, heading: &str, language: &str) -> String {
    let section = readme.split_once(heading).expect("the README has this heading").1;
    let fence = format!("```{language}\n");
    let code = section.split_once(&fence).expect("the section has such a block").1;
    code.split_once("```").expect("the block ends").0.to_owned()
}

/// Builds the program of the README under a heading, and runs it on a sample.
fn run(heading: &str, arguments: &[&str]) -> (Ran, Sample) {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let manifest = block(&readme, "## Write a process", "toml");
    let manifest = manifest.replace("../pixelmill", root().to_str().unwrap());
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.path().join("src/main.rs"), block(&readme, heading, "rust")).unwrap();
    // The same versions and the same target folder as the tests', so that HDF5 isn't built again.
    std::fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).expect("tests lie in target/PROFILE/deps");

    let sample = Sample::new();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--target-dir"])
        .arg(target)
        .arg("--config")
        .arg(root().join("scripts/test.d/unoptimised.toml"))
        .arg("--manifest-path")
        .arg(folder.path().join("Cargo.toml"))
        .args(["--", "run", arguments[0]])
        .arg(&sample.file)
        .args(&arguments[1..])
        .arg("--json")
        .output()
        .unwrap();
    let ran = ran(output);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json["outcome"], "finished");
    assert_eq!(ran.json["completed"], 4096);
    (ran, sample)
}

#[test]
fn the_process_and_the_fold_of_the_readme_can_be_built_and_run() {
    run("## Write a process", &["maximum", "-p", "first=30"]);
    let (ran, sample) = run("### Write a fold", &["brightest"]);
    let group = ran.json["group"].as_str().unwrap();
    let largest = python_function(
        "folds.py",
        "largest_is_right",
        [sample.file.as_os_str(), RAW_DATA.as_ref(), group.as_ref()],
    );
    assert_eq!(largest, true);
}

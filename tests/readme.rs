//! The README's process of one's own, built and run exactly as it stands there.

use std::process::Command;

use crate::support::{Sample, ran, root};

/// The first code block of `language` in the README after `heading`.
fn block(readme: &str, heading: &str, language: &str) -> String {
    let section = readme.split_once(heading).expect("the README has this heading").1;
    let fence = format!("```{language}\n");
    let code = section.split_once(&fence).expect("the section has such a block").1;
    code.split_once("```").expect("the block ends").0.to_owned()
}

#[test]
fn the_process_of_the_readme_can_be_built_and_run() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let heading = "## Write a process";
    let folder = tempfile::tempdir().unwrap();
    let manifest =
        block(&readme, heading, "toml").replace("../pixelmill", root().to_str().unwrap());
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
        .args(["--", "run", "maximum"])
        .arg(&sample.file)
        .args(["-p", "first=30", "--json"])
        .output()
        .unwrap();
    let ran = ran(output);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json["outcome"], "finished");
    assert_eq!(ran.json["completed"], 4096);
}

//! `status --command`: what it prints makes the very same results again, pasted into a shell, or
//! says in a comment why nothing does.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::usid::{Scan, group};
use crate::support::{RAW_DATA, Sample, pixelmill, program, python_program, run, succeed};

/// A folder with a file that has an array with three axes, one of records, and what corrects them;
/// its name is one that a shell would take apart.
struct Odd {
    _sample: Sample,
    folder: PathBuf,
    file: PathBuf,
}

impl Odd {
    fn new() -> Self {
        let sample = Sample::new();
        let statements = "for name in list(file): del file[name]\nrandom = \
                          np.random.default_rng(3)\nfile['/a b/data'] = random.normal(size=(6, 5, \
                          4, 24)).astype('f4') + 9\nfile['/dark'] = np.ones((4, 24), \
                          'f4')\nfile['/mask'] = (np.arange(30).reshape(6, 5) % \
                          3).astype('u1')\nfile['/offset'] = np.arange(30.0).reshape(6, \
                          5)\nfile['/rgb'] = np.zeros((6, 5, 24), [('r', 'i8'), ('g', \
                          'f4')])\nnp.save(given[0] + '/gain.npy', np.full((4, 24), 2, \
                          'f4'))\nnp.save(given[0] + '/dead.npy', np.eye(4, 24, dtype='u1'))";
        let folder = sample.folder.path().join("it's $odd");
        std::fs::create_dir(&folder).unwrap();
        let arguments = [sample.file.as_os_str(), statements.as_ref(), folder.as_os_str()];
        python_program("edit.py", arguments);
        let file = folder.join("a scan.h5");
        std::fs::rename(&sample.file, &file).unwrap();
        Self { _sample: sample, folder, file }
    }

    fn at(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }
}

/// What is printed on standard output for a group.
fn printed(file: &Path, group: &str) -> (Option<i32>, String) {
    let arguments: [OsString; 4] = ["status".into(), file.into(), group.into(), "--command".into()];
    let output = Command::new(program()).args(arguments).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Hash of every results group of a file by its path.
fn hashes(file: &Path) -> Vec<(String, String)> {
    let status = succeed(["status".as_ref(), file.as_os_str()]);
    let text = |group: &Value, key: &str| group[key].as_str().unwrap().to_owned();
    let groups = status["groups"].as_array().unwrap().iter();
    groups.map(|group| (text(group, "group"), text(group, "parameter_hash"))).collect()
}

/// Pastes a script into a shell that runs in another folder than we do.
fn paste(script: &str, folder: &Path) {
    let shell = Command::new("sh").args(["-e", "-c", script]).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&shell.stderr);
    assert!(shell.status.success(), "{script}\n{stderr}");
}

/// Removes a group and what depends on it, and makes it again by the command that was printed for
/// it: it is what it was.
#[track_caller]
fn is_made_again(file: &Path, group: &str, folder: &Path) -> String {
    let before = hashes(file);
    let (code, script) = printed(file, group);
    assert_eq!(code, Some(0), "{script}");
    // What it is, and nothing that would have to be known besides.
    let notes = script.lines().filter(|line| line.starts_with('#')).count();
    assert_eq!(2 * notes, script.lines().count(), "{script}");
    let first = before.iter().find(|(path, _)| script.contains(path.as_str())).unwrap();
    let arguments = ["remove".as_ref(), file.as_os_str(), first.0.as_ref()];
    succeed(arguments.into_iter().chain(["--yes".as_ref(), "--with-dependents".as_ref()]));
    let left = hashes(file);
    assert!(left.len() < before.len());
    paste(&script, folder);
    let only_hashes = |groups: Vec<(String, String)>| {
        let mut hashes: Vec<String> = groups.into_iter().map(|(_, hash)| hash).collect();
        hashes.sort();
        hashes
    };
    // A new group has the number after the highest that there is.
    assert_eq!(only_hashes(hashes(file)), only_hashes(before), "{script}");
    script
}

#[test]
fn groups_of_many_options_are_made_again() {
    let odd = Odd::new();
    let (file, elsewhere) = (&odd.file, tempfile::tempdir().unwrap());
    let axes = ["--dataset", "/a b/data", "--positions-axes", "0,1"];
    let (gain, dead) = (odd.at("gain.npy"), odd.at("dead.npy"));
    let offset = format!("offset={}:/offset", odd.at("a scan.h5"));
    let cases: [(&str, &[&str]); 14] = [
        ("sum", &[]),
        ("sum", &["--crop", "1:3,-20:"]),
        ("sum", &["--along", "axis 2,axis 3"]),
        ("sum", &["--crop", "0,:", "--along", "axis 3"]),
        ("sum", &["--dark", "/dark", "--gain", &gain, "--dead-pixels", "0,3;1,4"]),
        ("sum", &["--dead-pixels", &dead]),
        ("rebin", &["-p", "by=4", "-p", "dtype=float32", "-p", "mean=true"]),
        ("denoise", &[]),
        ("rich", &["-p", "offset=/offset", "-p", "reversed=true"]),
        ("rich", &["-p", &offset]),
        ("statistics", &["--positions", "random:7:3"]),
        ("statistics", &["--positions", "/mask"]),
        ("statistics", &["--positions", "[0:3,5:6,8:9,11:12,14:15,17:18,20:21,23:24]"]),
        ("histogram", &["-p", "bins=8", "-p", "range_min=5", "-p", "range_max=12"]),
    ];
    for (process, options) in cases {
        let ran = pixelmill(run(process, file, &[axes.as_slice(), options].concat()));
        assert_eq!(ran.code, Some(0), "{process} {options:?}: {}", ran.stderr);
        let group = ran.json["group"].as_str().unwrap().to_owned();
        is_made_again(file, &group, elsewhere.path());
    }
    let field = ["--dataset", "/rgb", "--positions-axes", "1,0", "--field", "r"];
    let ran = succeed(run("sum", file, &[field.as_slice(), &["--allow-rounding"]].concat()));
    is_made_again(file, ran["group"].as_str().unwrap(), elsewhere.path());
}

#[test]
fn defaults_and_what_the_file_tells_are_left_out() {
    let sample = Sample::new();
    let ran = succeed(run("digest", &sample.file, &[]));
    let script = is_made_again(&sample.file, ran["group"].as_str().unwrap(), sample.folder.path());
    let line = script.lines().last().unwrap();
    let (program, file) = (program(), sample.file.display());
    assert_eq!(line, format!("{} run digest {file} --dataset {RAW_DATA}", program.display()));
    // A default of 0.0, which is recorded as 0.
    let odd = Odd::new();
    let axes = ["--dataset", "/a b/data", "--positions-axes", "0,1"];
    let ran = succeed(run("masks", &odd.file, &axes));
    let script = is_made_again(&odd.file, ran["group"].as_str().unwrap(), &odd.folder);
    assert!(!script.contains(" -p "), "{script}");
}

#[test]
fn of_results_of_results_the_whole_chain_is_made_in_order() {
    let odd = Odd::new();
    let output = odd.at("results.h5");
    let to = ["--output", output.as_str()];
    let axes = ["--dataset", "/a b/data", "--positions-axes", "0,1"];
    let group = |ran: Value| ran["group"].as_str().unwrap().to_owned();
    let first = group(succeed(run("rebin", &odd.file, &[axes.as_slice(), &to].concat())));
    let rebinned = format!("{first}/Rebinned");
    let second = group(succeed(run(
        "sum",
        Path::new(&output),
        &["--dataset", &rebinned, "--positions-axes", "0,1"],
    )));
    let summed = format!("{output}:{second}/Sum");
    let offset = format!("offset={summed}");
    let third =
        group(succeed(run("rich", &odd.file, &[axes.as_slice(), &to, &["-p", &offset]].concat())));
    let script = is_made_again(Path::new(&output), &third, odd.folder.as_path());
    let lines: Vec<&str> = script.lines().filter(|line| !line.starts_with('#')).collect();
    let processes: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(processes, ["rebin", "sum", "rich"]);
}

#[test]
fn what_no_command_makes_again_says_so_in_a_comment() {
    let scan = Scan::new(&[]);
    scan.usid("run", &["Sum"]);
    let (code, script) = printed(Path::new(&scan.file), &group("Sum", 0));
    assert_eq!(code, Some(1));
    assert!(script.lines().all(|line| line.starts_with("# ")), "{script}");
    assert!(script.contains("another program"), "{script}");
    let odd = Odd::new();
    let made = ["--dataset", "/a b/data", "--positions-axes", "0,1", "--positions", "0:4"];
    succeed(run("sum", &odd.file, &made));
    let changed = "file['/a b/data'].attrs['units'] = 'nA'\nfile['/a b/data'][0] = 3";
    python_program("edit.py", [odd.file.as_os_str(), changed.as_ref()]);
    let (code, script) = printed(&odd.file, "data-Sum_000");
    assert_eq!(code, Some(0));
    assert!(script.contains("# it makes other results now: "), "{script}");
    // A name that isn't text would be printed as another.
    let named = odd.folder.join(OsStr::from_bytes(b"r\xff.h5"));
    let to = [run("sum", &odd.file, &made), vec!["--output".into(), named.clone().into()]].concat();
    let ran = succeed(to);
    let (code, script) = printed(&named, ran["group"].as_str().unwrap());
    assert_eq!(code, Some(1));
    assert!(script.lines().all(|line| line.starts_with("# ")), "{script}");
    assert!(script.contains("isn't UTF-8"), "{script}");
    let unknown =
        ["status".as_ref(), odd.file.as_os_str(), "nothing".as_ref(), "--command".as_ref()];
    let ran = pixelmill(unknown);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

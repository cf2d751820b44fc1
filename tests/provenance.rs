//! What a results group says of its origin: it is found where files were moved or copied to,
//! compared before anything is verified, and given to the groups of other programs.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::usid::{Scan, ask_python, group};
use crate::support::{RAW_DATA, Sample, assert_refused, pixelmill, refuse, succeed};

/// A folder with `scratch/scan.h5`, computed into `scratch/out.h5`: half of it by `slow`, all of it
/// by `sum`.
struct Folder {
    folder: TempDir,
}

const TO_OUT: [&str; 2] = ["-p", "pause=0"];

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("scratch")).unwrap();
        let scan = Scan::new(&[]);
        std::fs::copy(&scan.file, folder.path().join("scratch/scan.h5")).unwrap();
        let folder = Self { folder };
        assert_eq!(folder.run("sum", "scratch/scan.h5", "scratch/out.h5", &[])["group"], SUM);
        let some = [&TO_OUT[..], &["--positions", "0:10"]].concat();
        assert_eq!(folder.run("slow", "scratch/scan.h5", "scratch/out.h5", &some)["group"], SLOW);
        folder
    }

    fn at(&self, path: &str) -> String {
        self.folder.path().join(path).to_str().unwrap().to_owned()
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.at(from), self.at(to)).unwrap();
    }

    fn run(&self, process: &str, source: &str, out: &str, more: &[&str]) -> Value {
        let (source, out) = (self.at(source), self.at(out));
        succeed([&["run", process, &source, "--output", &out], more].concat())
    }

    /// Both groups are taken for what they are: one reused, one resumed.
    fn assert_known(&self, source: &str, out: &str) {
        let sum = self.run("sum", source, out, &[]);
        assert_eq!((&sum["outcome"], &sum["group"]), (&"existing".into(), &SUM.into()));
        let slow = self.run("slow", source, out, &[&TO_OUT[..], &["--resume", SLOW]].concat());
        assert_eq!((&slow["group"], &slow["report"]["positions"]), (&SLOW.into(), &10.into()));
        assert_eq!(self.run("slow", source, out, &TO_OUT)["outcome"], "existing");
    }

    fn verify(&self, out: &str, group: &str) {
        let verified = succeed(["verify", &self.at(out), group]);
        assert_eq!((&verified["checked"], &verified["different"]), (&json!(20), &json!([])));
        assert_eq!(verified["changed"], Value::Null);
    }

    fn status(&self, out: &str, group: &str) -> Value {
        succeed(["status", &self.at(out), group])["groups"][0].clone()
    }
}

const SUM: &str = "/Raw_Data-Sum_000";
const SLOW: &str = "/Raw_Data-Slow_000";

#[test]
fn results_are_known_again_when_their_folder_is_moved() {
    let folder = Folder::new();
    folder.rename("scratch", "project");
    let moved = std::fs::canonicalize(folder.at("project/scan.h5")).unwrap();
    assert_eq!(folder.status("project/out.h5", SUM)["source_file"], json!(moved));
    folder.verify("project/out.h5", SUM);
    folder.assert_known("project/scan.h5", "project/out.h5");
    folder.verify("project/out.h5", SLOW);
}

#[test]
fn results_are_known_again_when_only_they_are_moved() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("results")).unwrap();
    folder.rename("scratch/out.h5", "results/out.h5");
    folder.verify("results/out.h5", SUM);
    folder.assert_known("scratch/scan.h5", "results/out.h5");
    folder.verify("results/out.h5", SLOW);
}

#[test]
fn results_are_known_by_their_hash_when_only_the_source_is_moved() {
    let folder = Folder::new();
    folder.rename("scratch/scan.h5", "elsewhere.h5");
    let (out, there) = (folder.at("scratch/out.h5"), folder.at("elsewhere.h5"));
    assert_eq!(folder.status("scratch/out.h5", SUM)["source_file"], Value::Null);
    refuse(["verify", &out, SUM], 1, &["scratch/scan.h5", "--source FILE"]);
    let verified = succeed(["verify", &out, SUM, "--source", &there]);
    assert_eq!((&verified["checked"], &verified["changed"]), (&json!(20), &Value::Null));
    folder.assert_known("elsewhere.h5", "scratch/out.h5");
    // Whoever resumed it also noted where the source is now.
    folder.verify("scratch/out.h5", SLOW);
    let found = folder.status("scratch/out.h5", SLOW);
    assert_eq!(found["source_file"], json!(std::fs::canonicalize(&there).unwrap()));
}

#[test]
fn a_copied_folder_stands_on_its_own() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("copy")).unwrap();
    for name in ["scan.h5", "out.h5"] {
        let (from, to) = (format!("scratch/{name}"), format!("copy/{name}"));
        std::fs::copy(folder.at(&from), folder.at(&to)).unwrap();
    }
    change(&folder.at("copy/scan.h5"));
    // The copy has other data now: its results are of the original's.
    let ran = folder.run("sum", "copy/scan.h5", "copy/out.h5", &[]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&json!("finished"), &json!("/Raw_Data-Sum_001")));
    let verified = pixelmill(["verify", &folder.at("copy/out.h5"), SUM, "--sample", "0"]);
    assert_eq!(verified.code, Some(1));
    assert!(verified.stderr.contains("the data of"), "{}", verified.stderr);
    folder.assert_known("scratch/scan.h5", "scratch/out.h5");
    folder.assert_known("scratch/scan.h5", "copy/out.h5");
}

/// Doubles one row of the data.
fn change(file: &str) {
    ask_python(&["provenance.py", "double", file, RAW_DATA]);
}

#[test]
fn a_source_with_other_data_is_another_one_wherever_it_is() {
    let folder = Folder::new();
    folder.rename("scratch/scan.h5", "elsewhere.h5");
    change(&folder.at("elsewhere.h5"));
    let out = folder.at("scratch/out.h5");
    let more = ["--resume", SUM];
    let arguments = ["run", "sum", &folder.at("elsewhere.h5"), "--output", &out];
    refuse([&arguments[..], &more].concat(), 1, &[SUM, "the data of", "not the same"]);
    let ran = folder.run("sum", "elsewhere.h5", "scratch/out.h5", &[]);
    assert_eq!(ran["group"], "/Raw_Data-Sum_001");
    // A new scan with the name of the old one.
    let folder = Folder::new();
    folder.rename("scratch/scan.h5", "elsewhere.h5");
    let other = Scan::new(&["--seed", "7"]);
    std::fs::copy(&other.file, folder.at("scratch/scan.h5")).unwrap();
    let ran = folder.run("sum", "scratch/scan.h5", "scratch/out.h5", &[]);
    assert_eq!(ran["group"], "/Raw_Data-Sum_001");
    // While that is there, nobody takes the moved one for it.
    let slow = folder.run("slow", "elsewhere.h5", "scratch/out.h5", &TO_OUT);
    assert_eq!(
        (&slow["group"], &slow["report"]["positions"]),
        (&json!("/Raw_Data-Slow_001"), &20.into())
    );
}

#[test]
fn a_large_source_that_is_elsewhere_is_compared_as_a_whole() {
    // Sparse, and larger than what is read again where the source is the one that the results name.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (source, moved, out) = (at("scan.h5"), at("moved.h5"), at("out.h5"));
    ask_python(&["provenance.py", "sparse", &source]);
    let given = ["--positions-axes", "0", "--durability", "process"];
    let run = |file: &str, more: &[&str]| {
        succeed([&["run", "sum", file, "--output", &out], &given[..], more].concat())
    };
    let first = run(&source, &[]);
    std::fs::rename(&source, &moved).unwrap();
    ask_python(&["provenance.py", "change", &moved]);
    let ran = run(&moved, &["--positions", "1001:1002"]);
    assert_eq!(ran["parameter_hash"], first["parameter_hash"], "the sample misses the change");
    assert_ne!(ran["group"], first["group"]);
    assert_eq!(ran["report"]["positions"], 1);
}

#[test]
fn verify_names_the_other_place_where_the_source_may_be() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("results")).unwrap();
    folder.rename("scratch/out.h5", "results/out.h5");
    let other = Scan::new(&["--seed", "7"]);
    std::fs::copy(&other.file, folder.at("results/scan.h5")).unwrap();
    let out = folder.at("results/out.h5");
    let verified = pixelmill(["verify", &out, SUM, "--sample", "0"]);
    assert_eq!(verified.code, Some(1));
    let changed = verified.json["changed"].as_str().unwrap();
    assert!(changed.contains("the data of"), "{changed}");
    let at = |path: &str| std::fs::canonicalize(folder.at(path)).unwrap();
    assert_eq!(verified.json["source_file"], json!(at("results/scan.h5")));
    let source = at("scratch/scan.h5");
    let source = source.to_str().unwrap();
    assert!(verified.stderr.contains(&format!("{source}: --source")), "{}", verified.stderr);
    let verified = succeed(["verify", &out, SUM, "--source", source]);
    assert_eq!((&verified["changed"], &verified["checked"]), (&Value::Null, &json!(20)));
    folder.assert_known("scratch/scan.h5", "results/out.h5");
}

#[test]
fn results_with_only_a_whole_path_are_known_where_that_leads() {
    // As pyUSID writes them.
    let scan = Scan::new(&[]);
    let out = scan.beside("results.h5");
    scan.usid("run", &["Sum", "--target", &out]);
    assert_eq!(scan.run("sum", &["--output", &out])["outcome"], "existing");
    let moved = scan.beside("moved.h5");
    std::fs::rename(&scan.file, &moved).unwrap();
    let ran = succeed(["run", "sum", &moved, "--output", &out]);
    assert_eq!(ran["group"], "/Raw_Data-Sum_001", "without a hash nobody knows");
}

#[test]
fn verify_tells_a_change_that_its_sample_misses() {
    let scan = Scan::new(&[]);
    scan.run("sum", &[]);
    let verify = || pixelmill(["verify", &scan.file, &group("Sum", 0), "--sample", "0"]);
    let verified = verify();
    assert_eq!((verified.code, &verified.json["changed"]), (Some(0), &Value::Null));
    scan.script("file[given[0]][3] *= 2", &[RAW_DATA]);
    let verified = verify();
    assert_eq!(verified.code, Some(1));
    assert_eq!(verified.json["different"], json!([]));
    let changed = verified.json["changed"].as_str().unwrap();
    assert_eq!(changed, format!("the data of `{RAW_DATA}`: not the same"));
    assert!(verified.stderr.contains(changed), "{}", verified.stderr);
    scan.script("file[given[0]][3] /= 2", &[RAW_DATA]);
    assert_eq!(verify().code, Some(0));
}

#[test]
fn verify_tells_a_change_that_leaves_nothing_to_compare() {
    let scan = Scan::new(&[]);
    scan.run("sum", &[]);
    scan.script(
        "for name in ('Position_Indices', 'Position_Values', given[1]):\n    path = \
         given[0].rsplit('/', 1)[0] + '/' + name\n    attributes, values = \
         dict(file[path].attrs), file[path][:10]\n    del file[path]\n    file[path] = values\n    \
         for key, value in attributes.items():\n        file[path].attrs[key] = value\nmain = \
         file[given[0]]\nfor name in ('Position_Indices', 'Position_Values'):\n    \
         main.attrs[name] = main.parent[name].ref\nfile[given[2]].attrs['source_000'] = main.ref",
        &[RAW_DATA, "Raw_Data", &group("Sum", 0)],
    );
    let verified = pixelmill(["verify", &scan.file, &group("Sum", 0)]);
    assert_eq!(verified.code, Some(1), "{}", verified.stderr);
    let changed = verified.json["changed"].as_str().unwrap();
    assert!(changed.starts_with("value 0 of the shape") || changed.contains("shape"), "{changed}");
    assert_eq!(verified.json["checked"], 0);
}

#[test]
fn a_name_that_two_channels_have_is_asked_about() {
    let scan = Scan::new(&[]);
    let other = "/Measurement_000/Channel_001/Raw_Data";
    scan.script(
        "source = file[given[0]]\nmore = file.create_dataset(given[1], data=source[()])\nfor \
         name, value in source.attrs.items():\n    more.attrs[name] = value",
        &[RAW_DATA, other],
    );
    for dataset in [RAW_DATA, other] {
        scan.run("sum", &["--dataset", dataset, "--positions", "0:5"]);
    }
    let (first, second) = (format!("{RAW_DATA}-Sum_000"), format!("{other}-Sum_000"));
    let both = [first.as_str(), second.as_str()];
    refuse(["verify", &scan.file, "Raw_Data-Sum_000"], 2, &both);
    let resumed = scan.try_run("sum", &["--dataset", other, "--resume", "Raw_Data-Sum_000"]);
    assert_refused(&resumed, 2, &both);
    let status = succeed(["status", &scan.file, "Raw_Data-Sum_000"]);
    let paths: Vec<&str> =
        status["groups"].as_array().unwrap().iter().map(|g| g["group"].as_str().unwrap()).collect();
    assert_eq!(paths, both);
    for name in [second.as_str(), "Channel_001/Raw_Data-Sum_000"] {
        let verified = succeed(["verify", &scan.file, name]);
        assert_eq!((&verified["group"], &verified["checked"]), (&json!(second), &json!(5)));
    }
    let ran = scan.run("sum", &["--dataset", other, "--resume", &second]);
    assert_eq!((&ran["group"], &ran["report"]["positions"]), (&json!(second), &json!(15)));
}

/// Attributes of a group: those that identify what was computed.
fn identification(scan: &Scan, path: &str) -> Value {
    scan.script(
        "import hashlib\nattrs = file[given[0]].attrs\ntext = attrs['parameters']\n\
         told = {'hash': attrs['parameter_hash'], 'version': int(attrs['process_version']),\n        \
         'same': hashlib.sha256(text.encode()).hexdigest() == attrs['parameter_hash'],\n        \
         'fingerprint': json.loads(text)['source_fingerprint'] == attrs['source_fingerprint'],\n        \
         'pixelmill': attrs['pixelmill_version']}",
        &[path],
    )
}

#[test]
fn a_group_of_pyusid_that_we_go_on_with_is_known_by_its_hash_from_then_on() {
    let scan = Scan::new(&[]);
    scan.killed(&["Sum", "--batch", "6", "--kill-after", "2"]);
    let path = group("Sum", 0);
    // Even to one who wants to see nothing.
    let ran = scan.try_run("sum", &["--positions", "0:15", "-q"]);
    assert_eq!((ran.code, &ran.json["group"]), (Some(0), &json!(path)), "{}", ran.stderr);
    assert!(ran.stderr.contains("another program"), "{}", ran.stderr);
    let found = identification(&scan, &path);
    assert_eq!((&found["same"], &found["fingerprint"]), (&json!(true), &json!(true)));
    assert_eq!((&found["hash"], &found["version"]), (&ran.json["parameter_hash"], &json!(2)));
    // pyUSID still takes it for its own and goes on with it.
    let resumed = scan.usid("run", &["Sum", "--batch", "4"]);
    assert_eq!((&resumed["group"], &resumed["computed"]), (&json!(path), &json!(5)));
    assert_eq!(scan.usid("run", &["Sum", "--look"])["duplicates"], json!([path]));
    let again = scan.run("sum", &[]);
    assert_eq!((&again["outcome"], &again["group"]), (&json!("existing"), &json!(path)));
    assert_eq!(again["source_recorded"], true);
    // Now a change is noticed.
    scan.script("file[given[0]][3] *= 2", &[RAW_DATA]);
    let verified = pixelmill(["verify", &scan.file, &path, "--sample", "0"]);
    assert_eq!(verified.code, Some(1), "{}", verified.stderr);
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&json!("finished"), &json!(group("Sum", 1))));
}

#[test]
fn a_group_with_remains_of_another_hash_gets_ours_when_we_go_on_with_it() {
    let scan = Scan::new(&[]);
    scan.run("sum", &["--positions", "0:10"]);
    let path = group("Sum", 0);
    scan.script(
        "attrs = file[given[0]].attrs\ndel attrs['parameter_hash']\nattrs['parameters'] = \
         '{}'\nattrs['source_fingerprint'] = np.bytes_('00')\nattrs['process_version'] = \
         np.uint8(9)",
        &[&path],
    );
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["group"], &ran["report"]["positions"]), (&json!(path), &json!(10)));
    let found = identification(&scan, &path);
    assert_eq!((&found["same"], &found["fingerprint"]), (&json!(true), &json!(true)));
    assert_eq!((&found["hash"], &found["version"]), (&ran["parameter_hash"], &json!(2)));
}

#[test]
fn who_reuses_a_whole_group_of_pyusid_is_told_what_nobody_knows() {
    let scan = Scan::new(&[]);
    scan.usid("run", &["Sum"]);
    let before = scan.bytes();
    for options in [&[][..], &["-q"]] {
        let ran = scan.try_run("sum", options);
        assert_eq!((ran.code, &ran.json["outcome"]), (Some(0), &json!("existing")));
        assert_eq!(ran.json["source_recorded"], false);
        let doubt = "doesn't record whether the data have changed";
        assert!(ran.stderr.contains(doubt), "{options:?}: {}", ran.stderr);
    }
    let verified = pixelmill(["verify", &scan.file, &group("Sum", 0)]);
    assert_eq!(verified.json["source_recorded"], false, "{}", verified.stderr);
    assert!(verified.stderr.contains("doesn't record"), "{}", verified.stderr);
    assert!(before == scan.bytes(), "nothing is written");
}

#[test]
fn the_recorded_identity_is_no_longer_than_a_screen() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let ran = succeed(["run", "peak-finding", file, "--positions", "0:1"]);
    let text = ask_python(&["provenance.py", "parameters", file, ran["group"].as_str().unwrap()]);
    let text = text.as_str().unwrap();
    assert!(text.len() < 3000, "{} bytes: {text}", text.len());
    assert!(!text.contains(Path::new(file).file_name().unwrap().to_str().unwrap()), "{text}");
}

#[test]
fn what_pyusid_computed_is_not_taken_for_what_it_cannot_record() {
    for is_partial in [false, true] {
        let scan = Scan::new(&[]);
        if is_partial {
            scan.killed(&["Sum", "--batch", "6", "--kill-after", "2"]);
        } else {
            scan.usid("run", &["Sum"]);
        }
        for options in [["--dead-pixels", "1"], ["--crop", "1:"]] {
            let refused =
                scan.try_run("sum", &[&["--resume", &group("Sum", 0)], &options[..]].concat());
            assert_eq!(refused.code, Some(1), "{options:?}: {}", refused.stderr);
            assert!(refused.stderr.contains("records nothing of"), "{}", refused.stderr);
            let rehearsed = scan.run("sum", &[&options[..], &["--dry-run"]].concat());
            let unused = rehearsed["unused"].to_string();
            assert!(unused.contains("records nothing of"), "{unused}");
            let ran = scan.run("sum", &options);
            assert_eq!(ran["report"]["positions"], 20, "{options:?}: {ran}");
            assert_ne!(ran["group"], json!(group("Sum", 0)));
        }
        let plain = scan.run("sum", &[]);
        assert_eq!(plain["group"], json!(group("Sum", 0)), "it is what nothing is asked of");
    }
}

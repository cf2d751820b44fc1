//! Commands and files that can't be right: each is refused in one line that names the object, what
//! was found and what to do, with the exit code of the design, and the file keeps every byte. And
//! what the commands say when all is well.

use std::ffi::OsString;
use std::process::Command;

use pixelmill::wire::Answer;

use crate::support::{
    RAW_DATA, Sample, pixelmill, program, python_function, python_program, refuse, run, succeed,
};

/// Refused with this exit code and these texts in its one line; the file is as it was.
fn refused(sample: &Sample, arguments: Vec<OsString>, code: i32, texts: &[&str]) {
    let before = sample.bytes();
    refuse(arguments, code, texts);
    assert!(before == sample.bytes(), "{texts:?}: the file was changed");
}

fn refused_run(process: &str, more: &[&str], code: i32, texts: &[&str]) {
    let sample = Sample::new();
    refused(&sample, run(process, &sample.file, more), code, texts);
}

fn command(words: &[&str], sample: &Sample, more: &[&str]) -> Vec<OsString> {
    let words = words.iter().map(OsString::from);
    let more = more.iter().map(OsString::from);
    words.chain([sample.file.clone().into()]).chain(more).collect()
}

/// A sample that a Python script has changed; it finds the open file in `file`.
fn changed(script: &str) -> Sample {
    let sample = Sample::new();
    python_program("edit.py", [sample.file.as_os_str(), script.as_ref()]);
    sample
}

#[test]
fn paths_that_lead_to_no_hdf5_file() {
    let sample = Sample::new();
    let folder = sample.folder.path();
    let text = folder.join("notes.txt");
    std::fs::write(&text, "not HDF5").unwrap();
    for (path, texts) in [
        (folder.join("missing.h5"), ["missing.h5", "there is no such file"]),
        (text, ["notes.txt is not an HDF5 file", "no HDF5 signature"]),
        (folder.to_owned(), ["is not an HDF5 file", "it is a folder"]),
    ] {
        refuse(run("peak-finding", &path, &[]), 1, &texts);
        for looking in ["info", "status"] {
            refuse([looking.as_ref(), path.as_os_str()], 1, &texts);
        }
    }
}

#[test]
fn files_without_a_main_dataset_or_with_several() {
    let none = changed(&format!("del file['{RAW_DATA}']"));
    let texts = ["scan.h5", "no main dataset", "h5USID, NSID, HyperSpy, EMD or NeXus"];
    refused(&none, run("peak-finding", &none.file, &[]), 1, &texts);
    let several = changed(&format!("file.copy('{RAW_DATA}', 'Measurement_000/Channel_000/Other')"));
    let texts = ["2 main datasets", "--dataset", RAW_DATA, "Channel_000/Other"];
    refused(&several, run("peak-finding", &several.file, &[]), 2, &texts);
    succeed(run("peak-finding", &several.file, &["--dataset", RAW_DATA, "--positions", "0:9"]));
    let wrong = run("peak-finding", &several.file, &["--dataset", "/Nothing"]);
    refused(&several, wrong, 2, &["scan.h5 has no dataset `/Nothing`", RAW_DATA]);
}

#[test]
fn a_broken_ancillary_dataset_is_named() {
    let shorter = changed(&format!(
        "raw = file['{RAW_DATA}']; raw.attrs['Position_Indices'] = \
         raw.parent.create_dataset('Short', data=raw.parent['Position_Indices'][:7]).ref"
    ));
    let texts = [RAW_DATA, "`/Measurement_000/Channel_000/Short`", "7 rows", "4096"];
    refused(&shorter, run("peak-finding", &shorter.file, &[]), 1, &texts);
    let dangling =
        changed(&format!("file['{RAW_DATA}'].attrs['Spectroscopic_Values'] = h5py.Reference()"));
    let texts = ["`Spectroscopic_Values`", "doesn't refer to a dataset"];
    refused(&dangling, run("peak-finding", &dangling.file, &[]), 1, &texts);
}

#[test]
fn processes_and_parameters_that_do_not_exist() {
    refused_run("peak-findin", &[], 2, &["`peak-findin`", "did you mean `peak-finding`?", "sum"]);
    refused_run("qqqqqqqqqqqqqqqq", &[], 2, &["there is no process", "there are: peak-finding"]);
    let unknown = ["Peak_Finding", "`widht_min`", "did you mean `width_min`?", "min_length"];
    refused_run("peak-finding", &["-p", "widht_min=3"], 2, &unknown);
    refused_run("peak-finding", &["-p", "width_min"], 2, &["-p width_min", "KEY=VALUE"]);
    refused_run("peak-finding", &["-p", "=3"], 2, &["-p =3", "KEY=VALUE"]);
    refuse(["list", "peak"], 2, &["there is no process `peak`"]);
}

#[test]
fn values_that_a_parameter_cannot_have() {
    let range = ["`width_min` is -3", "from 0.1 to 1000000"];
    refused_run("peak-finding", &["-p", "width_min=-3"], 2, &range);
    let order = ["`width_min` is 80", "`width_max`, which is 60"];
    refused_run("peak-finding", &["-p", "width_min=80"], 2, &order);
    refused_run("peak-finding", &["-p", "width_min=wide"], 2, &["`width_min`", "\"wide\""]);
    refused_run("peak-finding", &["-p", "num_steps=2.5"], 2, &["`num_steps`", "2.5"]);
}

#[test]
fn files_of_parameters_that_cannot_be_read() {
    let sample = Sample::new();
    for (name, content, code, found) in [
        ("bad.json", r#"{"width_min": }"#, 2, "line 1 column 15"),
        ("list.json", "[1]", 2, "expected a map"),
        ("bad.toml", "width_min = = 3", 2, "extra `=`"),
        ("unknown.toml", "widht_min = 3", 2, "did you mean `width_min`?"),
    ] {
        let file = sample.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        let given = run("peak-finding", &sample.file, &["--params", file.to_str().unwrap()]);
        refused(&sample, given, code, &[found]);
    }
    let missing = run("peak-finding", &sample.file, &["--params", "/missing.toml"]);
    refused(&sample, missing, 1, &["/missing.toml", "there is no such file"]);
    let binary = run("peak-finding", &sample.file, &["--params", sample.file.to_str().unwrap()]);
    refused(&sample, binary, 1, &["scan.h5", "it isn't text"]);
}

#[test]
fn what_cannot_be_computed_as_it_was_asked() {
    let complex = ["Sum", RAW_DATA, "complex64", "float64", "imaginary part"];
    refused_run("sum", &[], 1, &complex);
    let memory = ["1.0 KiB of memory", "it takes", "raise --memory"];
    refused_run("peak-finding", &["--memory", "1K"], 2, &memory);
}

#[test]
fn targets_that_cannot_be_written() {
    let sample = Sample::new();
    let folder = sample.folder.path();
    let text = folder.join("notes.txt");
    std::fs::write(&text, "not HDF5").unwrap();
    for (output, found) in [
        (folder.join("missing/results.h5"), "its folder doesn't exist"),
        (folder.to_owned(), "it is a folder"),
        (text.clone(), "no HDF5 signature"),
        ("/proc/self/results.h5".into(), "/proc/self/results.h5"),
    ] {
        let output = output.to_str().unwrap();
        let asked = run("peak-finding", &sample.file, &["--output", output]);
        refused(&sample, asked, 1, &[output, found]);
    }
    assert_eq!(std::fs::read(&text).unwrap(), b"not HDF5");
}

#[test]
fn positions_that_are_not_in_the_scan() {
    let cells = "/Measurement_000/Channel_000/Raw_Data";
    for (positions, found) in [
        ("5:3", "0:4096"),
        ("0:99999", "0:4096"),
        ("0:10,0:999", "Y 0:64, X 0:64"),
        ("0:1,0:1,0:1", "Y 0:64, X 0:64"),
        ("a:b", "`a` is no whole number"),
        ("/Missing", "`/Missing` is no dataset"),
        (cells, "487424 values for 4096 positions"),
    ] {
        refused_run("peak-finding", &["--positions", positions], 2, &[found]);
    }
    let sample = Sample::new();
    for place in [["--pixel", "4096"], ["--at", "3"], ["--at", "3,64"]] {
        let asked = command(&["test", "peak-finding"], &sample, &place);
        refused(&sample, asked, 2, &["0:4096", "Y 0:64, X 0:64"]);
    }
    let neither = command(&["test", "peak-finding"], &sample, &[]);
    refused(&sample, neither, 2, &["--pixel"]);
}

#[test]
fn results_groups_that_are_not_there() {
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &["--positions", "0:9"]));
    let texts = ["scan.h5 has no results group `Sum_000`", "Raw_Data-Peak_Finding_000"];
    refused(&sample, command(&["status"], &sample, &["Sum_000"]), 2, &texts);
    refused(&sample, command(&["verify"], &sample, &["Sum_000"]), 2, &texts);
    let resumed = run("peak-finding", &sample.file, &["--resume", "Sum_000"]);
    refused(&sample, resumed, 2, &texts);
}

#[test]
fn a_command_line_that_is_not_understood_is_one_line_too() {
    let sample = Sample::new();
    for (more, found) in [
        (["--memory", "1X"], "'1X'"),
        (["--cores", "0"], "from 1 on"),
        (["--bogus", "1"], "--bogus"),
        (["--checkpoint", "0"], "from 0.001"),
    ] {
        refused(&sample, run("peak-finding", &sample.file, &more), 2, &["pixelmill: ", found]);
    }
    refuse(["frobnicate"], 2, &["frobnicate"]);
    refuse(["run", "peak-finding"], 2, &["<FILE>"]);
}

/// What a person reads of a command that succeeds; standard output has to stay empty.
fn told(arguments: Vec<OsString>) -> String {
    let output = Command::new(program()).args(arguments).output().unwrap();
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    told
}

fn all_in(told: &str, texts: &[&str]) {
    for text in texts {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
}

#[test]
fn people_are_told_what_they_need() {
    let sample = Sample::new();
    let group = format!("{RAW_DATA}-Peak_Finding_000");
    let list = told(vec!["list".into()]);
    all_in(&list, &["peak-finding", "width_min = 20", "points", "from 0.1 to 1000000", "sum"]);
    all_in(&list, &["window_size = none  (integer or none, in points, at least 1)"]);
    let info = told(command(&["info"], &sample, &[]));
    all_in(&info, &[RAW_DATA, "complex64", "4,096 positions × 119 values", "Frequency", "Hz", "V"]);
    let test = told(command(&["test", "peak-finding"], &sample, &["--at", "10,20"]));
    all_in(&test, &["position 660", "Y 10", "X 20", "Peak_Response", "Peak_Position", "Hz"]);
    let ran = told(run("peak-finding", &sample.file, &[]));
    all_in(&ran, &["Peak_Finding is done", &group, "4,096 of 4,096 positions", "positions/s"]);
    let again = told(run("peak-finding", &sample.file, &[]));
    all_in(&again, &["computed before", "reused", &group]);
    let status = told(command(&["status"], &sample, &[]));
    all_in(&status, &[&group, "complete", "100.0 %", "width_min=20", "hash", "last_pixel"]);
    let verified = told(command(&["verify"], &sample, &[&group, "--sample", "5"]));
    all_in(&verified, &["5 of 4,096 completed positions", "all the same bit by bit"]);
}

#[test]
fn programs_get_one_json_object() {
    let sample = Sample::new();
    let group = format!("{RAW_DATA}-Peak_Finding_000");
    type IsExpected = fn(&Answer) -> bool;
    let cases: [(Vec<OsString>, i32, IsExpected); 7] = [
        (run("peak-finding", &sample.file, &["--positions", "0:64"]), 0, |answer| {
            matches!(answer, Answer::Run(_))
        }),
        (vec!["list".into()], 0, |answer| matches!(answer, Answer::List(_))),
        (command(&["info"], &sample, &[]), 0, |answer| matches!(answer, Answer::Info(_))),
        (command(&["test", "peak-finding"], &sample, &["--pixel", "7"]), 0, |answer| {
            matches!(answer, Answer::Test(_))
        }),
        (command(&["status"], &sample, &[]), 0, |answer| matches!(answer, Answer::Status(_))),
        (command(&["verify"], &sample, &[&group]), 0, |answer| matches!(answer, Answer::Verify(_))),
        (run("nothing", &sample.file, &[]), 2, |answer| matches!(answer, Answer::Refusal(_))),
    ];
    for (arguments, code, is_expected) in cases {
        let ran = pixelmill(&arguments);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        let answer = serde_json::from_value(ran.json).unwrap();
        assert!(is_expected(&answer), "{arguments:?}: {answer:?}");
    }
}

#[test]
fn sources_that_nothing_can_read_are_named_with_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.h5");
    python_function("bad_input.py", "unreadable", [file.as_os_str()]);
    let bytes = std::fs::read(&file).unwrap();
    for (dataset, texts) in [
        ("/zfp", ["filter 32013", "ZFP", "HDF5_PLUGIN_PATH"]),
        ("/virtual", ["is virtual", "gone.h5", "isn't there"]),
        ("/text", ["can't be used", "it holds text", "/text"]),
        ("/cut", ["can't be used", "it is empty", "[4, 0]"]),
    ] {
        let wanted = ["--dataset", dataset, "--positions-axes", "0"];
        refuse(run("sum", &file, &wanted), 1, &texts);
    }
    let axes =
        ["doesn't say which axes of `/zfp` are positions", "--positions-axes 0", "0 (4), 1 (8)"];
    refuse(run("sum", &file, &["--dataset", "/zfp"]), 2, &axes);
    for wrong in ["2", "0,0", "0,1,2"] {
        let wanted = ["--dataset", "/zfp", "--positions-axes", wrong];
        refuse(run("sum", &file, &wanted), 2, &[wrong, "`/zfp` has the axes 0 (4), 1 (8)"]);
    }
    assert!(bytes == std::fs::read(&file).unwrap());
}

#[test]
fn pipes_and_devices_are_refused_and_nobody_waits_for_them() {
    let sample = Sample::new();
    let folder = sample.folder.path();
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let drawing = folder.join("pipe.png");
    assert!(Command::new("mkfifo").arg(&drawing).status().unwrap().success());
    for (there, found) in
        [(pipe, "it is a pipe"), ("/dev/zero", "it is a device"), ("/", "a folder")]
    {
        for words in [&["info"][..], &["status"], &["run", "sum"], &["test", "sum", "--pixel", "0"]]
        {
            let arguments = words.iter().copied().chain([there]).collect::<Vec<_>>();
            refuse(arguments, 1, &[there, "is not an HDF5 file", found]);
        }
        refused(&sample, run("digest", &sample.file, &["--output", there]), 1, &[there, found]);
        refused(&sample, run("digest", &sample.file, &["--params", there]), 2, &[there, found]);
    }
    let drawn = ["--pixel", "0", "--plot", drawing.to_str().unwrap()];
    refused(&sample, command(&["test", "digest"], &sample, &drawn), 2, &["pipe.png", "a pipe"]);
    // A pipe without a name is as good as a file.
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(r#""$PIXELMILL" run slow "$FILE" --params <(echo '{"pause": 0}') --json"#);
    let ran = shell.env("PIXELMILL", program()).env("FILE", &sample.file).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
}

#[test]
fn file_names_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt;

    let sample = Sample::new();
    let name = |name: &[u8]| sample.folder.path().join(OsString::from_vec(name.to_vec()));
    let (file, output) = (name(b"m\xe9ssung.h5"), name(b"r\xe9sults.h5"));
    std::fs::rename(&sample.file, &file).unwrap();
    let group = succeed(run("digest", &file, &[]))["group"].as_str().unwrap().to_owned();
    let mut elsewhere = run("digest", &file, &["--output"]);
    elsewhere.push(output.clone().into());
    assert_eq!(succeed(&elsewhere)["outcome"], "finished");
    assert_eq!(succeed(&elsewhere)["outcome"], "existing");
    for looked_at in [&file, &output] {
        for command in ["info", "status"] {
            let told = succeed([OsString::from(command), looked_at.clone().into()]);
            let shown = looked_at.to_string_lossy().into_owned();
            assert_eq!(told["file"], shown, "{told}");
        }
    }
    let probed =
        ["test".into(), "digest".into(), file.clone().into(), "--pixel".into(), "3".into()];
    succeed::<OsString>(probed);
    let verified = succeed(["verify".into(), OsString::from(&file), group.into()]);
    assert_eq!(verified["different"], serde_json::json!([]));
    let gone = name(b"m\xe9.h5");
    refuse([OsString::from("info"), gone.into()], 1, &["m\u{fffd}.h5", "no such file"]);
}

#[test]
fn an_output_that_a_killed_run_was_creating_is_used() {
    let sample = Sample::new();
    let output = sample.folder.path().join("results.h5");
    std::fs::write(&output, "").unwrap();
    let elsewhere = ["--output", output.to_str().unwrap()];
    assert_eq!(succeed(run("digest", &sample.file, &elsewhere))["outcome"], "finished");
    let again = ["--output", output.to_str().unwrap()];
    assert_eq!(succeed(run("digest", &sample.file, &again))["outcome"], "existing");
    // Whatever comes of a run, there are no other files.
    let nowhere = sample.folder.path().join("none.h5");
    let options = ["--output", nowhere.to_str().unwrap(), "--memory", "1"];
    refused(&sample, run("digest", &sample.file, &options), 2, &["too little"]);
    let mut files: Vec<_> = std::fs::read_dir(sample.folder.path()).unwrap().collect();
    files.retain(|file| file.as_ref().is_ok_and(|file| file.path() != sample.file));
    assert_eq!(files.len(), 1, "{files:?}");
}

#[test]
fn earlier_results_in_the_output_can_be_given_to_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let (file, output) = (folder.path().join("scan.h5"), folder.path().join("results.h5"));
    python_function("bad_input.py", "array", [&file]);
    let before = std::fs::read(&file).unwrap();
    let axes = ["--positions-axes", "0,1"];
    let elsewhere = [&axes[..], &["--output", output.to_str().unwrap()]].concat();
    let first = succeed(run("digest", &file, &elsewhere));
    let offset = format!("offset={}/Digest", first["group"].as_str().unwrap());
    let given = ["-p", "spectra=1", "-p", &offset];
    let both = [&elsewhere[..], &given].concat();
    let second = succeed(run("rich", &file, &both));
    assert_eq!((&second["outcome"], &second["completed"]), (&"finished".into(), &30.into()));
    assert_eq!(succeed(run("rich", &file, &both))["outcome"], "existing");
    let probed = [&["--pixel", "17"][..], &both].concat();
    let mut test: Vec<OsString> = ["test", "rich"].map(OsString::from).to_vec();
    test.push(file.clone().into());
    test.extend(probed.into_iter().map(OsString::from));
    let probe = succeed(test);
    let [first, second] = [first, second].map(|ran| ran["group"].as_str().unwrap().to_owned());
    let names = [file.as_os_str(), output.as_os_str(), first.as_ref(), second.as_ref()];
    let told = python_function("bad_input.py", "offset_means", names);
    assert_eq!(told[0], true);
    assert_eq!(probe["results"][0]["values"][0], told[1], "{probe}");
    let verified = succeed(["verify".into(), OsString::from(&output), second.into()]);
    assert_eq!(verified["different"], serde_json::json!([]));
    // Without that file there is no such dataset.
    let missing = [&axes[..], &given].concat();
    refuse(run("rich", &file, &missing), 1, &["Digest` can't be used", "no such dataset"]);
    assert!(before == std::fs::read(&file).unwrap());
}

//! Results groups that are removed: alone or with all that depend on them, never anything else, and
//! all of it or nothing wherever it is killed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::holder::Holder;
use crate::support::random::Random;
use crate::support::usid::{Scan, group};
use crate::support::watch::{Opener, Running};
use crate::support::{
    RAW_DATA, Sample, pixelmill, preloaded, program, python_program, refuse, run, start_piped,
    succeed,
};

/// A digest of every object of a file by its path.
type Content = BTreeMap<String, String>;

fn contents<'f>(files: impl IntoIterator<Item = &'f PathBuf>) -> Vec<Content> {
    serde_json::from_value(python_program("remove.py", files)).expect("a digest of each object")
}

fn content(file: &Path) -> Content {
    contents([&file.to_owned()]).remove(0)
}

/// What is left of it without what is within these paths.
fn without(content: &Content, paths: &[&str]) -> Content {
    let is_within = |path: &str, other: &str| {
        path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut left = content.clone();
    left.retain(|path, _| !paths.iter().any(|other| is_within(path, other)));
    left
}

/// `remove FILE GROUP` with more arguments.
fn remove(file: &Path, group: &str, more: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["remove".into(), file.into(), group.into()];
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

/// Runs a process on the sample; the group that has its results.
fn computed(file: &Path, process: &str, more: &[&str]) -> String {
    let ran = succeed(run(process, file, more));
    ran["group"].as_str().expect("a path").to_owned()
}

fn edit(file: &Path, statements: &str) -> Value {
    let file = file.as_os_str();
    python_program("edit.py", [file, statements.as_ref()])
}

fn removed(ran: &Value) -> Vec<&str> {
    let groups = ran["removes"].as_array().expect("groups");
    groups.iter().map(|group| group["state"]["group"].as_str().expect("a path")).collect()
}

/// The sample with two groups, of which the second was computed from the first, and others.
struct Chain {
    sample: Sample,
    first: String,
    second: String,
    other: String,
}

impl Chain {
    fn new() -> Self {
        let sample = Sample::new();
        let first = computed(&sample.file, "digest", &[]);
        let dataset = format!("{first}/Digest");
        let second = computed(&sample.file, "sum", &["--dataset", &dataset]);
        let other = computed(&sample.file, "peak-finding", &["--positions", "0:100"]);
        Self { sample, first, second, other }
    }

    fn file(&self) -> &Path {
        &self.sample.file
    }
}

#[test]
fn a_group_goes_and_all_else_stays_as_it_is() {
    let chain = Chain::new();
    let before = content(chain.file());
    let bytes = fs::metadata(chain.file()).unwrap().len();
    let ran = succeed(remove(chain.file(), &chain.other, &["--yes"]));
    assert_eq!((&ran["removed"], removed(&ran)), (&true.into(), vec![chain.other.as_str()]));
    assert_eq!(ran["removes"][0]["state"]["completed"], 100);
    assert!(content(chain.file()) == without(&before, &[&chain.other]));
    assert!(fs::metadata(chain.file()).unwrap().len() <= bytes);
    let known = format!("its results groups: {}", chain.first);
    refuse(remove(chain.file(), &chain.other, &["--yes"]), 2, &["has no results group", &known]);
    // Its name is there for the next one.
    assert_eq!(computed(chain.file(), "peak-finding", &[]), chain.other);
}

#[test]
fn what_depends_on_a_group_is_named_and_goes_only_if_that_is_said() {
    let chain = Chain::new();
    let before = content(chain.file());
    let texts = [
        chain.first.as_str(),
        &format!("{} lies in {}", chain.second, chain.first),
        "--with-dependents",
    ];
    refuse(remove(chain.file(), &chain.first, &["--yes"]), 1, &texts);
    let told = succeed(remove(chain.file(), &chain.first, &["--dry-run"]));
    assert_eq!(
        (&told["removed"], removed(&told)),
        (&false.into(), vec![&*chain.first, &chain.second])
    );
    assert!(content(chain.file()) == before);
    let ran = succeed(remove(chain.file(), &chain.first, &["--yes", "--with-dependents"]));
    assert_eq!(removed(&ran), [&chain.first, &chain.second]);
    assert!(content(chain.file()) == without(&before, &[&chain.first]));
}

#[test]
fn whoever_was_computed_from_or_with_results_depends_on_them_however_far_that_goes() {
    let sample = Sample::new();
    let file = &sample.file;
    // Moved out of the group that it was computed from, so that only its reference tells.
    let first = computed(file, "digest", &[]);
    let second = computed(file, "sum", &["--dataset", &format!("{first}/Digest")]);
    edit(file, &format!("file.move('{second}', '/Other-Sum_000')"));
    let input = format!("{first}/Digest");
    let measured = "file['/m/data'] = np.ones((4096, 5), 'f4')";
    edit(file, measured);
    let given = ["--dataset", "/m/data", "--positions-axes", "0", "-p", &format!("offset={input}")];
    let with = computed(file, "rich", &given);
    let apart = computed(file, "sum", &["--dataset", "/Other-Sum_000/Sum"]);
    let told = succeed(remove(file, &first, &["--dry-run"]));
    let mut found = removed(&told);
    found.sort_unstable();
    let mut expected = vec![first.as_str(), "/Other-Sum_000", &with, &apart];
    expected.sort_unstable();
    assert_eq!(found, expected, "{told:#}");
    let because = |group: &str| {
        let all = told["removes"].as_array().unwrap();
        let group = all.iter().find(|of| of["state"]["group"] == group).unwrap();
        group["depends"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(because("/Other-Sum_000"), format!("was computed from {input}"));
    assert_eq!(because(&with), format!("was computed with {input}"));
    let before = content(file);
    succeed(remove(file, &first, &["--yes", "--with-dependents"]));
    assert!(content(file) == without(&before, &expected));
}

#[test]
fn whatever_else_refers_to_results_keeps_them_there() {
    let chain = Chain::new();
    let path = &chain.other;
    for (made, text) in [
        ("file['note'] = file[GROUP + '/Peak_Response'].regionref[0:10]", "`/note` refers to it"),
        ("file.attrs['best'] = file[GROUP].ref", "the attribute `best` of `/` refers to it"),
        (
            "file['list'] = np.array([(1, file[GROUP + '/Peak_Response'].ref)], [('n', 'i4'), \
             ('to', h5py.ref_dtype)])",
            "`/list` refers to it",
        ),
        (
            "layout = h5py.VirtualLayout((4096,), 'f4'); layout[:] = \
             h5py.VirtualSource(file[GROUP + '/completed_positions']); \
             file.create_virtual_dataset('together', layout)",
            "`/together` is put together from it",
        ),
        (
            "layout = h5py.VirtualLayout((4096,), 'f4'); layout[:] = \
             h5py.VirtualSource('./copy.h5', GROUP + '/completed_positions', (4096,)); \
             file.create_virtual_dataset('otherwise', layout)",
            "`/otherwise` is put together from it",
        ),
        ("file['again'] = file[GROUP]", "`/again` is another link to it"),
    ] {
        let copy = chain.file().with_file_name("copy.h5");
        fs::copy(chain.file(), &copy).unwrap();
        edit(&copy, &made.replace("GROUP", &format!("'{path}'")));
        let before = fs::read(&copy).unwrap();
        let arguments = remove(&copy, path, &["--yes", "--with-dependents"]);
        refuse(arguments, 1, &[&format!("`{path}` can't be removed"), text]);
        assert!(before == fs::read(&copy).unwrap());
    }
}

#[test]
fn a_link_by_a_path_goes_with_what_it_leads_to_if_that_is_said() {
    let chain = Chain::new();
    edit(chain.file(), &format!("file['best'] = h5py.SoftLink('{}/Peak_Response')", chain.other));
    let before = content(chain.file());
    refuse(remove(chain.file(), &chain.other, &["--yes"]), 1, &["/best is a link into it"]);
    let ran = succeed(remove(chain.file(), &chain.other, &["--yes", "--with-dependents"]));
    assert_eq!(ran["links"], serde_json::json!(["/best"]));
    assert!(content(chain.file()) == without(&before, &["/best", &chain.other]));
}

#[test]
fn a_group_is_found_behind_a_link_that_comes_before_it() {
    let chain = Chain::new();
    edit(chain.file(), &format!("file['Alias'] = h5py.SoftLink('{}')", chain.other));
    let before = content(chain.file());
    let arguments = remove(chain.file(), &chain.other, &["--yes", "--with-dependents"]);
    assert_eq!(removed(&succeed(arguments)), [&chain.other]);
    assert!(content(chain.file()) == without(&before, &["/Alias", &chain.other]));
}

#[test]
fn what_results_share_with_others_stays_with_them() {
    let chain = Chain::new();
    let dataset = format!("{}/Peak_Response", chain.other);
    edit(
        chain.file(),
        &format!(
            "file['kept'] = file['{dataset}']\nfile['{}/raw'] = file['{RAW_DATA}']\nfor name in \
             list(file['kept'].attrs):\n    if 'Indices' in name or 'Values' in name: del \
             file['kept'].attrs[name]",
            chain.other
        ),
    );
    let before = content(chain.file());
    succeed(remove(chain.file(), &chain.other, &["--yes"]));
    let after = content(chain.file());
    assert!(after == without(&before, &[&chain.other]));
    assert!(after.contains_key("/kept") && after.contains_key(RAW_DATA));
}

#[test]
fn nothing_but_results_groups_is_removed() {
    let chain = Chain::new();
    let before = chain.sample.bytes();
    for (path, code, text) in [
        (RAW_DATA, 1, "it is a dataset, and no group of results"),
        ("/Measurement_000", 1, "it is no group of results"),
        ("/", 1, "it is no group of results"),
        (&format!("{}/Peak_Response", chain.other), 1, "it is a dataset"),
        ("nothing", 2, "has no results group `nothing`; its results groups: "),
    ] {
        refuse(remove(chain.file(), path, &["--yes", "--with-dependents"]), code, &[text]);
    }
    refuse(remove(chain.file(), &chain.other, &[]), 2, &["--yes", "--dry-run"]);
    assert!(before == chain.sample.bytes());
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let chain = Chain::new();
    let before = chain.sample.bytes();
    let ask = |answer: &str| {
        let answered = format!("answer={answer}");
        let mut command: Vec<OsString> = vec![answered.into(), program().into()];
        command.extend(remove(chain.file(), &chain.other, &[]));
        python_program("terminal.py", command)
    };
    for answer in ["n", "", "no"] {
        let seen = ask(answer);
        let drawn = seen["drawn"].as_str().unwrap();
        assert!(drawn.contains("100 of 4,096 positions") && drawn.contains("[y/N]"), "{drawn}");
        assert!(drawn.contains("nothing is removed"), "{drawn}");
        assert_eq!(seen["code"], 1, "{drawn}");
        assert!(before == chain.sample.bytes());
    }
    let seen = ask("y");
    assert_eq!(seen["code"], 0, "{seen}");
    assert!(!content(chain.file()).contains_key(&chain.other));
}

#[test]
fn nobody_removes_what_is_being_computed_or_read() {
    let sample = Sample::new();
    let arguments = run("slow", &sample.file, &["-p", "pause=5000", "--checkpoint", "0.05"]);
    let (running, mut opener) = (Running::start(&arguments), Opener::new());
    let group = running.computing(&mut opener, &sample.file);
    let pid = format!("pid {}", running.pid());
    let texts = ["is being computed on", pid.as_str(), "wait until that run has ended"];
    refuse(remove(&sample.file, &group.path, &["--yes"]), 1, &texts);
    running.signal("INT");
    assert_eq!(running.finish().code, Some(130));
    let holder = Holder::new(&sample.file, "reader");
    let texts = ["is open in python", holder.name.as_str(), "close it there"];
    let message = refuse(remove(&sample.file, &group.path, &["--yes"]), 1, &texts);
    assert!(!message.contains("--output"), "{message}");
    drop(holder);
    succeed(remove(&sample.file, &group.path, &["--yes"]));
    assert!(opener.groups(&sample.file).is_empty());
}

#[test]
fn groups_of_pyusid_are_removed_as_well() {
    let scan = Scan::new(&[]);
    scan.usid("run", &["Sum"]);
    let path = group("Sum", 0);
    let before = content(Path::new(&scan.file));
    let ran = succeed(remove(Path::new(&scan.file), &path, &["--yes"]));
    assert_eq!(removed(&ran), [&path]);
    assert!(content(Path::new(&scan.file)) == without(&before, &[&path]));
}

#[test]
fn what_hyperspy_loads_of_results_goes_with_them() {
    let sample = Sample::new();
    edit(
        &sample.file,
        "for name in list(file): del file[name]\nfile.attrs.update(file_format='HyperSpy', \
         file_format_version='3.3')\none = file.create_group('Experiments/scan')\none['data'] = \
         np.arange(1440, dtype='f4').reshape(8, 9, 20)\nfor number, length in enumerate((8, 9, \
         20)):\n    axis = one.create_group(f'axis-{number}')\n    \
         axis.attrs.update(name='yxE'[number], units='nm', size=length, navigate=number < 2, \
         offset=0.0, scale=1.0, _type='UniformDataAxis', is_binned=False)\nfor name in \
         ('original_metadata', 'metadata/General', 'metadata/Signal'): one.create_group(name)",
    );
    let scan = sample.file.with_file_name("scan.hspy");
    fs::rename(&sample.file, &scan).unwrap();
    let file = sample.file.with_file_name("scan-Sum.hspy");
    let first = computed(&scan, "sum", &[]);
    let alone = content(&file);
    let second = computed(&scan, "sum", &["--override"]);
    let both = content(&file);
    assert!(both.keys().filter(|path| path.ends_with("/data")).count() == 2, "{both:#?}");
    succeed(remove(&file, &second, &["--yes"]));
    assert!(content(&file) == alone);
    succeed(remove(&file, &first, &["--yes"]));
    assert_eq!(content(&file).keys().collect::<Vec<_>>(), ["/", "/Experiments"]);
}

#[test]
fn results_apart_from_their_data_partial_folds_and_compressed_ones_are_removed() {
    let sample = Sample::new();
    let output = sample.folder.path().join("results.h5");
    let to = ["--output", output.to_str().unwrap()];
    let more = |options: &[&'static str]| [&to, options].concat();
    let before = sample.bytes();
    let apart = computed(&sample.file, "digest", &more(&["--compress", "gzip"]));
    let fold = computed(&sample.file, "gathered", &more(&["--positions", "0:4096"]));
    let partial = computed(&sample.file, "peak-finding", &more(&["--positions", "0:100"]));
    let mut left = content(&output);
    for path in [&apart, &fold, &partial] {
        succeed(remove(&output, path, &["--yes"]));
        left = without(&left, &[path]);
        assert!(content(&output) == left, "{path}");
    }
    assert!(before == sample.bytes());
    let anew = computed(&sample.file, "digest", &more(&["--compress", "gzip"]));
    assert_eq!(anew, apart);
}

#[test]
fn a_fold_that_was_stopped_goes_with_what_it_would_be_resumed_from() {
    let sample = Sample::new();
    let arguments = run("gathered", &sample.file, &["--stop-after", "0s"]);
    let ran = pixelmill(arguments);
    let groups = succeed(["status".as_ref(), sample.file.as_os_str()]);
    let path = groups["groups"][0]["group"].as_str().unwrap_or_else(|| panic!("{ran:?}"));
    let before = content(&sample.file);
    assert!(before.contains_key(&format!("{path}/fold_checkpoint")), "{before:#?}");
    succeed(remove(&sample.file, path, &["--yes"]));
    assert!(content(&sample.file) == without(&before, &[path]));
}

/// Copies of a file, with the group that is removed from each while it is killed.
struct Killed {
    folder: TempDir,
    chain: Chain,
    before: Content,
    after: Content,
    copies: Vec<PathBuf>,
}

impl Killed {
    fn new() -> Self {
        let chain = Chain::new();
        let before = content(chain.file());
        let after = without(&before, &[&chain.first]);
        let folder = tempfile::tempdir().unwrap();
        Self { folder, chain, before, after, copies: Vec::new() }
    }

    /// A new copy, and the arguments that remove a group and what depends on it.
    fn copy(&mut self) -> Vec<OsString> {
        let copy = self.folder.path().join(format!("{}.h5", self.copies.len()));
        fs::copy(self.chain.file(), &copy).unwrap();
        let arguments = remove(&copy, &self.chain.first, &["--yes", "--with-dependents"]);
        self.copies.push(copy);
        arguments
    }

    /// How many still have the group and how many don't: in all of them all else is as it was. The
    /// next reader finishes what has been begun.
    fn looked_at(&self) -> (usize, usize) {
        for copy in &self.copies {
            succeed(["status".as_ref(), copy.as_os_str()]);
        }
        let (mut there, mut gone) = (0, 0);
        for (copy, content) in self.copies.iter().zip(contents(&self.copies)) {
            if content == self.before {
                there += 1;
            } else {
                assert!(content == self.after, "{} is something else", copy.display());
                gone += 1;
            }
        }
        (there, gone)
    }
}

#[test]
fn a_kill_at_any_instant_leaves_all_of_a_group_or_nothing() {
    const KILLS: usize = 40;
    let mut killed = Killed::new();
    let begun = Instant::now();
    succeed(killed.copy());
    let duration = begun.elapsed().as_secs_f64();
    let mut random = Random(7);
    let mut hits = 0;
    while hits < KILLS {
        assert!(killed.copies.len() < 8 * KILLS, "it ends before it is killed");
        let running = Running::start(killed.copy());
        thread::sleep(Duration::from_secs_f64(duration * 1.2 * random.next()));
        hits += usize::from(running.kill().signal() == Some(9));
    }
    // Before anybody of us finishes what was begun.
    contents(&killed.copies);
    let (there, gone) = killed.looked_at();
    assert!(there > KILLS / 10 && gone > 0, "{there} are as before, {gone} without the group");
    println!("{hits} kills: {there} are as before, {gone} without the group");
}

#[test]
fn a_kill_before_any_call_that_writes_leaves_all_of_a_group_or_nothing() {
    let mut killed = Killed::new();
    let folder = tempfile::tempdir().unwrap();
    let wrap = |result: &str, name: &str, parameters: &str, given: &str| {
        format!(
            "{result} {name}({parameters}) {{ count(); return (({result} (*)({parameters})) \
             dlsym(RTLD_NEXT, \"{name}\"))({given}); }}\n"
        )
    };
    let mut source = "#include <signal.h>\n#include <sys/types.h>\nstatic int left = -1;\nstatic \
                      void count(void) { if (left < 0) left = atoi(getenv(\"KILL_AT\")); if \
                      (left-- == 0) kill(getpid(), SIGKILL); }\n"
        .to_owned();
    for name in ["pwrite64", "pwrite"] {
        let parameters = "int file, const void *bytes, size_t length, off_t at";
        source.push_str(&wrap("ssize_t", name, parameters, "file, bytes, length, at"));
    }
    for name in ["ftruncate64", "ftruncate"] {
        source.push_str(&wrap("int", name, "int file, off_t length", "file, length"));
    }
    for name in ["fdatasync", "fsync"] {
        source.push_str(&wrap("int", name, "int file", "file"));
    }
    for name in ["fallocate64", "fallocate"] {
        let parameters = "int file, int mode, off_t at, off_t length";
        source.push_str(&wrap("int", name, parameters, "file, mode, at, length"));
    }
    let setting = preloaded(folder.path(), "killer", &source);
    let mut ended = false;
    for call in 0..200 {
        let arguments = killed.copy();
        let mut command = Command::new("env");
        command.args([&setting, &format!("KILL_AT={call}")]).arg(program()).args(arguments);
        let status = start_piped(&mut command).wait().unwrap();
        ended = status.success();
        if ended {
            break;
        }
        assert_eq!(status.signal(), Some(9), "{status}");
    }
    assert!(ended, "it never ends");
    let calls = killed.copies.len() - 1;
    // Between the writes in place HDF5 may see parts of both; the next of us finishes them.
    let (there, gone) = killed.looked_at();
    assert!(there >= 2 && gone >= 3 && there + gone == calls + 1, "{there} {gone} {calls}");
    println!("{calls} calls: {there} are as before, {gone} without the group");
}

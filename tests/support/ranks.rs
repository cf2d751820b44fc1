//! The program on several ranks, started by a real `mpirun`: Open MPI's or MPICH's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::watch::Running;
use super::{Ran, program, start_piped};

/// The launcher; the environment may name another.
fn launcher() -> String {
    std::env::var("PIXELMILL_MPIRUN").unwrap_or_else(|_| "mpirun".to_owned())
}

/// A launcher that may start more ranks than there are cores, and binds none of them to a core.
pub fn mpirun() -> Command {
    let launcher = launcher();
    let version = Command::new(&launcher).arg("--version").output();
    let version = version.unwrap_or_else(|error| panic!("{launcher}: {error}; install Open MPI"));
    let mut command = Command::new(&launcher);
    if String::from_utf8_lossy(&version.stdout).contains("Open MPI") {
        command.args(["--oversubscribe", "--bind-to", "none"]);
        // It refuses root otherwise, which tests in a container are.
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    } else {
        command.args(["-bind-to", "none"]);
    }
    command
}

/// The program with `--json` on so many ranks.
pub fn on_ranks<S: AsRef<OsStr>>(ranks: usize, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = mpirun();
    command.args(["-n", &ranks.to_string()]).arg(program()).args(arguments).arg("--json");
    command
}

/// Starts the program on so many ranks.
pub fn start_on<S: AsRef<OsStr>>(ranks: usize, arguments: impl IntoIterator<Item = S>) -> Running {
    Running::watch(start_piped(&mut on_ranks(ranks, arguments)))
}

/// Runs the program on so many ranks; anything else than exit code 0 fails the test.
pub fn succeed_on<S: AsRef<OsStr>>(ranks: usize, arguments: impl IntoIterator<Item = S>) -> Value {
    let ran = start_on(ranks, arguments).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.json
}

/// The process of each rank whose command line names `file`, by its rank.
pub fn processes(file: &Path) -> BTreeMap<usize, u32> {
    let program = program();
    let mut found = BTreeMap::new();
    let entries = std::fs::read_dir("/proc").expect("a Linux system");
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let of = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let has_file = || texts(&of("cmdline")).any(|argument| argument == file.as_os_str());
        if exe != program || !has_file() {
            continue;
        }
        let environment = of("environ");
        let rank = texts(&environment).find_map(|variable| {
            let variable = variable.to_str()?;
            let (name, value) = variable.split_once('=')?;
            ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].contains(&name).then(|| value.parse().ok())?
        });
        found.extend(rank.map(|rank: usize| (rank, pid)));
    }
    found
}

/// The process that has started another.
pub fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|pid| pid.trim().parse().ok()).expect("it has a parent")
}

fn texts(bytes: &[u8]) -> impl Iterator<Item = OsString> {
    use std::os::unix::ffi::OsStrExt;
    bytes.split(|byte| *byte == 0).map(|text| OsStr::from_bytes(text).to_owned())
}

/// Whether all ranks were refused: with this exit code and a single line from one of them that has
/// all of `texts` in it. What a launcher says besides isn't ours.
pub fn assert_all_refused(ran: &Ran, code: i32, texts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    let own: Vec<&str> =
        ran.stderr.lines().filter(|line| line.starts_with("pixelmill: ")).collect();
    assert_eq!(own.len(), 1, "{}", ran.stderr);
    for text in texts {
        assert!(own[0].contains(text), "`{text}` is missing: {}", own[0]);
    }
    assert_eq!(ran.json["outcome"], "error", "{:?}", ran.json);
}

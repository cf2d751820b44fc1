//! What the tests share: the program under test, Python, and files to work on.

pub mod folds;
pub mod golden;
pub mod holder;
pub mod neighbours;
pub mod page;
pub mod random;
#[cfg(feature = "mpi")]
pub mod ranks;
pub mod usid;
pub mod watch;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use pixelmill::wire::Answer;
use serde_json::Value;
use tempfile::TempDir;

/// The folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program under test: pixelmill's command line over the built-in and the trial processes.
/// Cargo builds it, an example, before it runs the tests.
pub fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_pixelmill")).with_file_name("examples/trial");
    // `cargo test` builds it; `cargo test --test program` alone doesn't.
    assert!(program.exists(), "run `cargo build --release --examples` first");
    program
}

/// A Python with pyUSID, h5py and SciPy, as `scripts/setup tests` installs it.
pub fn python() -> PathBuf {
    let python = root().join(".venv/tests/bin/python");
    assert!(python.exists(), "run `scripts/setup tests` first: {} is missing", python.display());
    python
}

/// The virtual environment whose Python has h5py with the filters of hdf5plugin.
const PEERS: &str = ".venv/peers";

/// The main dataset of the sample.
pub const RAW_DATA: &str = "/Measurement_000/Channel_000/Raw_Data";

/// Positions of the sample.
pub const POSITIONS: usize = 4096;

/// A folder of its own with a copy of the sample in it.
pub struct Sample {
    pub folder: TempDir,
    pub file: PathBuf,
}

impl Sample {
    /// A copy of the bundled sample: 64 × 64 positions of 119 complex values.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("scan.h5");
        let bundled = root().join("data/be_line_scan_64x64.h5");
        std::fs::copy(bundled, &file).expect("the sample is part of the project");
        Self { folder, file }
    }

    /// Rewrites the spectra in compressed chunks of so many rows and columns.
    pub fn rechunk(&self, [rows, columns]: [&str; 2]) {
        let file = self.file.as_os_str();
        python_function("sample.py", "rechunk", [file, rows.as_ref(), columns.as_ref()]);
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.file).expect("the file can be read")
    }
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub json: Value,
    pub stderr: String,
}

/// Runs the program with `--json`.
pub fn pixelmill<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ran {
    let mut command = Command::new(program());
    let output = at_home(&mut command).args(arguments).arg("--json").output();
    ran(output.expect("the program starts"))
}

/// What a program leaves for its user it leaves among the files of the tests.
fn at_home(command: &mut Command) -> &mut Command {
    command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"))
}

/// As `pixelmill`, but anything else than exit code 0 fails the test.
pub fn succeed<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Value {
    let ran = pixelmill(arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.json
}

/// Runs the program, which has to refuse: with this exit code and a single line that has all of
/// `texts` in it.
pub fn refuse<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    code: i32,
    texts: &[&str],
) -> String {
    let ran = pixelmill(arguments);
    assert_refused(&ran, code, texts);
    ran.stderr
}

/// Whether a run was refused: with this exit code and a single line that has all of `texts` in it.
pub fn assert_refused(ran: &Ran, code: i32, texts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for text in texts {
        assert!(ran.stderr.contains(text), "`{text}` is missing: {}", ran.stderr);
    }
    assert_eq!(ran.json["outcome"], "error");
}

/// `run PROCESS FILE` with more arguments.
pub fn run(process: &str, file: &Path, more: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["run".into(), process.into(), file.into()];
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

/// Starts the program with `--json` and everything piped.
pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Child {
    start_piped(Command::new(program()).args(arguments).arg("--json"))
}

/// Starts a command with everything piped.
pub fn start_piped(command: &mut Command) -> Child {
    at_home(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// What a finished program gave.
pub fn ran(output: Output) -> Ran {
    let json = answer(&String::from_utf8_lossy(&output.stdout));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { code: output.status.code(), json, stderr }
}

/// What was answered; null if it isn't JSON. Of every answer to any test the model has to know
/// every key, in its place, and every number as it is printed.
pub fn answer(stdout: &str) -> Value {
    let Ok(json) = serde_json::from_str::<Value>(stdout) else {
        return Value::Null;
    };
    let read = serde_json::from_str::<Answer>(stdout);
    let known = read.unwrap_or_else(|error| panic!("{error} of `pixelmill::wire`: {stdout}"));
    assert_eq!(serde_json::to_string(&known).expect("it is JSON"), stdout.trim_end());
    json
}

/// A setting of the environment under which the system answers as a file system without locks does;
/// none can be mounted everywhere.
pub fn without_locks(folder: &Path) -> String {
    let flock = "int flock(int file, int how) { errno = ENOLCK; return -1; }";
    preloaded(folder, "no_locks", flock)
}

/// The same for a client of NFS: the lock of a whole file is one of all its bytes.
pub fn with_locks_of_nfs(folder: &Path) -> String {
    let flock = "int flock(int file, int how) {
        struct flock lock = {.l_type = how & LOCK_EX ? F_WRLCK : how & LOCK_SH ? F_RDLCK : \
                 F_UNLCK};
        int status = fcntl(file, how & LOCK_NB ? F_OFD_SETLK : F_OFD_SETLKW, &lock);
        if (status < 0 && errno == EACCES) errno = EAGAIN;
        return status;
    }";
    preloaded(folder, "nfs", flock)
}

/// A setting of the environment that puts this C in the place of what the system has.
pub fn preloaded(folder: &Path, name: &str, source: &str) -> String {
    let (code, library) = (folder.join(name).with_extension("c"), folder.join(name));
    let headers = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include \
                   <fcntl.h>\n#include <stdlib.h>\n#include <sys/file.h>\n#include <unistd.h>\n";
    std::fs::write(&code, format!("{headers}{source}\n")).expect("the folder is ours");
    let mut compiler = Command::new("cc");
    let compiled = compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &code]).status();
    assert!(compiled.expect("there is a C compiler").success());
    format!("LD_PRELOAD={}", library.display())
}

/// Calls a function of one of the programs in `tests/python`; returns what that returns.
pub fn python_function<S: AsRef<OsStr>>(
    program: &str,
    function: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Value {
    let program = root().join("tests/python").join(program);
    json_of(Command::new(python()).arg(program).arg(function).args(arguments))
}

/// Runs one of the programs in `tests/python`; returns the JSON that it prints.
pub fn python_program<S: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Value {
    json_of(Command::new(python()).arg(root().join("tests/python").join(name)).args(arguments))
}

/// As `python_program`, by the Python that knows all filters.
pub fn filters_program<S: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Value {
    let python = root().join(PEERS).join("bin/python");
    let setup = "run `scripts/setup tests peers` first";
    assert!(python.exists(), "{setup}: {} is missing", python.display());
    json_of(Command::new(python).arg(root().join("tests/python").join(name)).args(arguments))
}

fn json_of(command: &mut Command) -> Value {
    let output = command.output().expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}\n{errors}"))
}

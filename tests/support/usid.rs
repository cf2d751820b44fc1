//! Scans that the real pyUSID writes, computes and reads, for the tests of interoperability.
//!
//! One Python, `tests/python/serve.py`, has pyUSID imported and answers all calls.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{RAW_DATA, Ran, pixelmill, python, root, succeed};

/// Longer than the server lets anything take, and than it needs to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

struct Server {
    stdin: ChildStdin,
    lines: Receiver<String>,
    _child: Child,
}

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

impl Server {
    fn start() -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/python/serve.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { stdin: child.stdin.take().expect("it is piped"), lines, _child: child }
    }

    fn ask(&mut self, arguments: &[&str]) -> Option<Value> {
        writeln!(self.stdin, "{}", json!(arguments)).ok()?;
        serde_json::from_str(&self.lines.recv_timeout(PATIENCE).ok()?).ok()
    }
}

/// What a program of `tests/python` did: its exit code, or minus the signal that ended it.
fn ask(arguments: &[&str]) -> (i64, String, String) {
    let answer = {
        let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = server.get_or_insert_with(Server::start).ask(arguments);
        if answer.is_none() {
            // What it says later would be taken for the answer to the next question.
            *server = None;
        }
        answer
    };
    let answer = answer.unwrap_or_else(|| panic!("Python doesn't answer {arguments:?}"));
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    (answer["code"].as_i64().unwrap_or(i64::MAX), text("out"), text("err"))
}

/// Runs a program of `tests/python`; returns the JSON that it prints.
pub fn ask_python(arguments: &[&str]) -> Value {
    let (code, out, err) = ask(arguments);
    assert_eq!(code, 0, "{arguments:?}:\n{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {out:?}"))
}

/// A file in a folder of its own.
pub struct Scan {
    folder: TempDir,
    pub file: String,
}

impl Scan {
    /// A file that isn't there yet.
    pub fn nothing() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = text(folder.path().join("scan.h5"));
        Self { folder, file }
    }

    /// A scan written by pyUSID, 4 × 5 positions of 119 values if `options` don't say otherwise.
    pub fn new(options: &[&str]) -> Self {
        let scan = Self::nothing();
        scan.write(options);
        scan
    }

    /// Writes the file anew.
    pub fn write(&self, options: &[&str]) {
        self.usid("write", options);
    }

    /// Another path in the same folder.
    pub fn beside(&self, name: &str) -> String {
        text(self.folder.path().join(name))
    }

    /// A command of `usid.py` on this file.
    pub fn usid(&self, command: &str, options: &[&str]) -> Value {
        ask_python(&[&["usid.py", command, &self.file], options].concat())
    }

    /// A pyUSID process that kills itself half-way.
    pub fn killed(&self, options: &[&str]) {
        let (code, _, err) = ask(&[&["usid.py", "run", &self.file], options].concat());
        assert_eq!(code, -9, "{err}");
    }

    /// `pixelmill run PROCESS` on this file; anything but exit code 0 fails the test.
    pub fn run(&self, process: &str, options: &[&str]) -> Value {
        succeed([&["run", process, &self.file], options].concat())
    }

    /// As `run`, whatever comes of it.
    pub fn try_run(&self, process: &str, options: &[&str]) -> Ran {
        pixelmill([&["run", process, &self.file], options].concat())
    }

    /// Runs statements on the file as `edit.py` says: what it has open is `file`, what comes of it
    /// is `told`.
    pub fn script(&self, text: &str, given: &[&str]) -> Value {
        ask_python(&[&["edit.py", &self.file, text], given].concat())
    }

    /// All values of a dataset of real numbers; NaN as null.
    pub fn values(&self, dataset: &str) -> Vec<Option<f64>> {
        let values = self.script(
            "told = [None if x != x else x for x in file[given[0]][()].ravel().tolist()]",
            &[dataset],
        );
        serde_json::from_value(values).expect("a list of numbers")
    }

    /// Overwrites rows of a dataset with 1000, 1001 …
    pub fn spoil(&self, dataset: &str, rows: std::ops::Range<usize>) {
        let (first, end) = (rows.start.to_string(), rows.end.to_string());
        self.script(
            "a, b = map(int, given[1:])\nfile[given[0]][a:b, 0] = np.arange(b - a) + 1000",
            &[dataset, &first, &end],
        );
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.file).expect("the file can be read")
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("temporary folders have plain names")
}

/// Path of a results group of the main dataset.
pub fn group(process: &str, number: u32) -> String {
    format!("{RAW_DATA}-{process}_{number:03}")
}

//! A run watched from outside: the lines it writes, the positions it marks, and what h5py makes of
//! the file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Ran, answer, program, python, root, start, succeed};

/// Longer than anything takes, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// Longer than any run takes that somebody waits for.
const END: Duration = Duration::from_secs(300);

/// Waits until something can be seen.
pub fn wait_until(what: &str, mut seen: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !seen() {
        assert!(begun.elapsed() < DEADLINE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal, such as `INT`; tells whether there was somebody to send it to.
pub fn signal(pid: u32, name: &str) -> bool {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).output();
    sent.expect("kill starts").status.success()
}

/// A Python process that opens files with h5py, one after the other.
pub struct Opener {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Opener {
    pub fn new() -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/python/open_file.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let questions = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, questions, answers }
    }

    /// The results groups of a file in the order of their paths, after all of it has been read;
    /// the error is h5py's.
    pub fn try_open(&mut self, file: &Path) -> Result<Vec<Group>, String> {
        writeln!(self.questions, "{}", file.display()).expect("Python listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("Python answers");
        let answer: Value = serde_json::from_str(&line).expect("Python answers in JSON");
        match answer["groups"].as_object() {
            Some(groups) => {
                Ok(groups.iter().map(|(path, found)| Group::new(path, found)).collect())
            }
            None => Err(answer["error"].to_string()),
        }
    }

    /// As `try_open`, of a file that has to open.
    pub fn groups(&mut self, file: &Path) -> Vec<Group> {
        let opened = self.try_open(file);
        opened.unwrap_or_else(|error| panic!("h5py can't open {}: {error}", file.display()))
    }

    /// The only results group of a file.
    pub fn group(&mut self, file: &Path) -> Group {
        let mut groups = self.groups(file);
        assert_eq!(groups.len(), 1, "{groups:?}");
        groups.remove(0)
    }

    /// The only results group of a file, as it is.
    pub fn snapshot(&mut self, file: &Path) -> Snapshot {
        self.group(file).read(file)
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a results group's bytes are in the file.
#[derive(Clone, Debug)]
pub struct Group {
    pub path: String,
    pub last_pixel: i64,
    places: BTreeMap<String, (u64, usize)>,
    results: Vec<String>,
}

impl Group {
    fn new(path: &str, found: &Value) -> Self {
        let datasets = found["datasets"].as_object().expect("every group has its datasets");
        let number = |value: &Value| value.as_u64().expect("every dataset has its place");
        let place = |found: &Value| (number(&found["offset"]), number(&found["bytes"]) as usize);
        Self {
            path: path.to_owned(),
            last_pixel: found["last_pixel"].as_i64().expect("it is a number"),
            places: datasets.iter().map(|(name, found)| (name.clone(), place(found))).collect(),
            results: datasets
                .iter()
                .filter(|(_, found)| found["result"] == true)
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// Offset and length of a dataset.
    pub fn place(&self, dataset: &str) -> (u64, usize) {
        self.places[dataset]
    }

    fn bytes(&self, file: &Path, dataset: &str) -> Vec<u8> {
        let (offset, length) = self.place(dataset);
        let mut bytes = vec![0; length];
        let opened = File::open(file).expect("the file is there");
        opened.read_exact_at(&mut bytes, offset).expect("the file has all its bytes");
        bytes
    }

    /// The status byte of every position.
    pub fn status(&self, file: &Path) -> Vec<u8> {
        self.bytes(file, "completed_positions")
    }

    /// How many positions are marked.
    pub fn marked(&self, file: &Path) -> usize {
        self.status(file).iter().filter(|status| **status == 1).count()
    }

    /// Everything that a run writes, as it is.
    pub fn read(&self, file: &Path) -> Snapshot {
        let results =
            self.results.iter().map(|name| (name.clone(), self.bytes(file, name))).collect();
        Snapshot {
            status: self.status(file),
            failed: self.bytes(file, "failed_positions"),
            messages: self.bytes(file, "failure_messages"),
            results,
        }
    }
}

/// What a results group holds at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub status: Vec<u8>,
    pub failed: Vec<u8>,
    pub messages: Vec<u8>,
    /// The bytes of each results dataset.
    pub results: BTreeMap<String, Vec<u8>>,
}

impl Snapshot {
    /// How many positions are marked.
    pub fn marked(&self) -> usize {
        self.status.iter().filter(|status| **status == 1).count()
    }

    /// Length of the contiguous marked prefix.
    pub fn prefix(&self) -> usize {
        self.status.iter().take_while(|status| **status == 1).count()
    }

    /// All results of one position.
    pub fn rows(&self, position: usize) -> Vec<&[u8]> {
        let row = |bytes: &'_ Vec<u8>| bytes.len() / self.status.len();
        self.results.values().map(|all| &all[position * row(all)..][..row(all)]).collect()
    }

    /// Why a position failed; empty if it didn't.
    pub fn reason(&self, position: usize) -> String {
        let line = self.messages.chunks_exact(200).nth(self.failed[position].into());
        let text = line.expect("every line is there");
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        String::from_utf8(text[..end].to_vec()).expect("messages are UTF-8")
    }

    /// What must hold at any moment of a run that would end as `finished`: what is marked is right.
    pub fn assert_marked_are_right(&self, finished: &Snapshot) {
        for position in 0..self.status.len() {
            match self.status[position] {
                0 => {}
                1 => assert_eq!(
                    (self.rows(position), self.reason(position)),
                    (finished.rows(position), finished.reason(position)),
                    "position {position} is marked but wrong"
                ),
                other => panic!("the status of position {position} is {other}"),
            }
        }
    }

    /// How many positions have the results of a finished run without being marked.
    pub fn written_but_not_marked(&self, finished: &Snapshot) -> usize {
        let lost = |at: &usize| self.status[*at] == 0 && self.rows(*at) == finished.rows(*at);
        (0..self.status.len()).filter(lost).count()
    }
}

/// The program while it runs.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: JoinHandle<String>,
    /// What it has written on standard error so far.
    said: Arc<Mutex<String>>,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    /// Starts the program.
    pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        Self::watch(start(arguments))
    }

    /// Watches what was started with standard error piped, and perhaps standard output.
    pub fn watch(mut child: Child) -> Self {
        let stdout = child.stdout.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut all = Vec::new();
                pipe.read_to_end(&mut all).expect("a pipe can be read");
                String::from_utf8_lossy(&all).into_owned()
            })
        });
        let pipe = BufReader::new(child.stderr.take().expect("it is piped"));
        let (sender, lines) = std::sync::mpsc::channel();
        let said = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&said);
        let stderr = thread::spawn(move || {
            for line in pipe.lines().map_while(Result::ok) {
                let mut all = all.lock().expect("nobody panics with it");
                all.push_str(&line);
                all.push('\n');
                // Nobody may be waiting for it.
                let _ = sender.send(line);
            }
            let all = all.lock().expect("nobody panics with it");
            all.clone()
        });
        Self { child, stdout, stderr, said, lines }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that contains `text`.
    pub fn wait_for_line(&self, text: &str) {
        self.line_with(text);
    }

    /// The next line on standard error that contains `text`.
    pub fn line_with(&self, text: &str) -> String {
        let mut said = Vec::new();
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("no line says `{text}`: {said:#?}"));
            if line.contains(text) {
                return line;
            }
            said.push(line);
        }
    }

    /// Waits until it computes; gives the results group that it computes into.
    pub fn computing(&self, opener: &mut Opener, file: &Path) -> Group {
        self.wait_for_line(" of memory");
        opener.groups(file).pop().expect("there is a results group")
    }

    /// Waits until so many positions are marked.
    pub fn wait_until_marked(&self, group: &Group, file: &Path, positions: usize) {
        wait_until(&format!("{positions} are marked"), || group.marked(file) >= positions);
    }

    /// Sends a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        assert!(signal(self.pid(), name), "no signal {name} could be sent");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// SIGKILL; how it ended, which may have been before.
    pub fn kill(mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().expect("it is our child")
    }

    /// Waits for the end, and until nobody has its pipes any more.
    pub fn finish(mut self) -> Ran {
        let begun = Instant::now();
        let has_pipes = |running: &Self| {
            let stdout = running.stdout.as_ref();
            !running.stderr.is_finished() || stdout.is_some_and(|stdout| !stdout.is_finished())
        };
        let mut launched = Launched::new(self.pid());
        while has_pipes(&self) {
            if launched.is_all_that_is_left(&self.said) {
                let _ = self.child.kill();
            }
            if begun.elapsed() > END {
                let ended = self.child.try_wait().expect("it is our child");
                let said = self.said.lock().expect("nobody panics with it");
                panic!("hangs; the program itself: {ended:?}; {}\n{said}", descendants(self.pid()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        let status = self.child.wait().expect("it is our child");
        let stdout = self.stdout.map(|stdout| stdout.join().expect("the reader doesn't panic"));
        let stderr = self.stderr.join().expect("the reader doesn't panic");
        let json = answer(&stdout.unwrap_or_default());
        Ran { code: status.code(), json, stderr }
    }
}

/// Kills a run twice in its midst, looks at what it has marked by then, and lets it end: the
/// results, in a file without others, have to be as `finished`.
pub fn assert_kills_are_survived<S: AsRef<OsStr>>(
    opener: &mut Opener,
    arguments: &[S],
    results: &Path,
    finished: &Snapshot,
) {
    for part in [0.2, 0.6] {
        let running = Running::start(arguments);
        let group = running.computing(opener, results);
        let wanted = (part * finished.marked() as f64) as usize;
        running.wait_until_marked(&group, results, wanted);
        running.kill();
        opener.snapshot(results).assert_marked_are_right(finished);
    }
    succeed(arguments);
    assert!(opener.snapshot(results) == *finished, "other results than undisturbed");
}

/// A launcher of Open MPI, if that is what was started. Its mpirun (4.1.4 with PMIx 4.2.2) hangs
/// now and then in its own end, once it has killed all ranks: it waits for a lock in memory that it
/// has given back.
struct Launched {
    pid: u32,
    looked: Instant,
    /// Ranks may come and go between two looks, but not without a word.
    has_had_ranks: bool,
    alone_since: Option<Instant>,
}

impl Launched {
    const PATIENCE: Duration = Duration::from_secs(10);

    fn new(pid: u32) -> Self {
        Self { pid, looked: Instant::now(), has_had_ranks: false, alone_since: None }
    }

    /// Whether the ranks that it had ended long ago.
    fn is_all_that_is_left(&mut self, said: &Mutex<String>) -> bool {
        if self.looked.elapsed() < Duration::from_millis(100) {
            return false;
        }
        self.looked = Instant::now();
        let exe = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let is_launcher = exe(&self.pid.to_string())
            .is_some_and(|exe| exe.ends_with("orterun") || exe.ends_with("prterun"));
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid));
        let children = children.unwrap_or_default();
        let has_ranks = children.split_whitespace().any(|pid| exe(pid) == Some(program()));
        self.has_had_ranks |= has_ranks || !said.lock().expect("nobody panics with it").is_empty();
        let is_alone = is_launcher && self.has_had_ranks && !has_ranks;
        self.alone_since = self.alone_since.filter(|_| is_alone).or(is_alone.then(Instant::now));
        self.alone_since.is_some_and(|since| since.elapsed() > Self::PATIENCE)
    }
}

/// What hangs, as `ps` and the system tell it.
fn descendants(pid: u32) -> String {
    let told = Command::new("ps").args(["-eLo", "pid,ppid,lwp,stat,wchan:32,etimes,args"]).output();
    let told = told.map(|told| String::from_utf8_lossy(&told.stdout).into_owned());
    format!("process {pid} of\n{}", told.unwrap_or_default())
}

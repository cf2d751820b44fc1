//! The page of a program that serves one, and a client of it that writes what it likes: names of
//! other machines, heads that don't end, two requests at once. What browsers do is what it does
//! unless it is told otherwise.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

use pixelmill::wire::{Answer as Answered, Message};
use serde_json::{Value, json};

use super::watch::{Running, wait_until};
use super::{Ran, Sample, answer, start};

/// Longer than any answer takes, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Within which a server takes more of what is sent, if it does.
const PATIENCE: Duration = Duration::from_millis(300);

/// `pixelmill view`, while it runs.
pub struct View {
    /// None once it has ended.
    running: Option<Running>,
    stdout: BufReader<ChildStdout>,
    pub page: Page,
}

impl View {
    /// Of a file.
    pub fn of(file: &Path) -> Self {
        Self::with(file, &[])
    }

    /// With more arguments.
    pub fn with(file: &Path, more: &[&str]) -> Self {
        let mut arguments = vec!["view".as_ref(), file.as_os_str(), "--no-browser".as_ref()];
        arguments.extend(more.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        Self::told_by(start(arguments))
    }

    /// Once it has told where it serves.
    fn told_by(mut child: Child) -> Self {
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let running = Running::watch(child);
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a pipe can be read");
        let told = answer(&line);
        let Some(address) = told["address"].as_str() else {
            panic!("no address: {line}{}", running.finish().stderr)
        };
        Self { running: Some(running), stdout, page: Page::at(address) }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it hasn't ended")
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let running = self.running.take().expect("it hasn't ended");
        running.kill();
    }

    /// Sends a signal and waits for the end; what it has said, and nothing more on standard output.
    pub fn end(mut self, signal: &str) -> Ran {
        let running = self.running.take().expect("it hasn't ended");
        running.signal(signal);
        let ran = running.finish();
        let mut more = String::new();
        self.stdout.read_to_string(&mut more).expect("a pipe can be read");
        assert_eq!(more, "");
        ran
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}

/// A sample whose page is served.
pub struct Served {
    pub sample: Sample,
    pub view: View,
    pub before: Vec<u8>,
}

impl Served {
    pub fn new() -> Self {
        let sample = Sample::new();
        let view = View::of(&sample.file);
        let before = sample.bytes();
        Self { sample, view, before }
    }

    pub fn page(&self) -> &Page {
        &self.view.page
    }

    /// Refused with this status and these words, and nothing has happened.
    pub fn assert_refused(&self, ask: &Ask<'_>, status: u16, words: &str) {
        let answer = ask.send();
        let said = answer.said();
        assert!(answer.status == status && said.contains(words), "{ask:?}: {said}");
        assert_eq!(answer.header("set-cookie"), None);
        assert!(self.sample.bytes() == self.before, "{ask:?} has changed the file");
    }

    /// A run that would begin at once.
    pub fn run(&self) -> Ask<'_> {
        self.page().ask("POST", "/api/run").body(json!({"process": "peak-finding"}).to_string())
    }
}

/// A page, and what lets one in.
#[derive(Debug)]
pub struct Page {
    pub port: u16,
    pub token: String,
    pub cookie: String,
}

impl Page {
    /// Comes in by the first address, which a run has left for whoever has started it.
    pub fn of_run(running: &Running) -> Self {
        let line = running.line_with("/pixelmill-view-");
        let address = fs::read_to_string(line.trim()).expect("a file has the address");
        Self::at(address.trim())
    }

    /// Comes in by the first address.
    pub fn at(address: &str) -> Self {
        let rest = address.strip_prefix("http://127.0.0.1:").expect("it is on this machine");
        let (port, token) = rest.split_once("/?token=").expect("it has a token");
        let port = port.parse().expect("it has a port");
        let mut page = Self { port, token: token.to_owned(), cookie: String::new() };
        let first = page.ask("GET", &format!("/?token={token}")).without("Cookie").send();
        let cookie = first.header("set-cookie").expect("it gives a cookie").split(';').next();
        page.cookie = cookie.expect("there is a first part").to_owned();
        page
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A request as the page would send it.
    pub fn ask(&self, method: &str, target: &str) -> Ask<'_> {
        let line = format!("{method} {target} HTTP/1.1");
        let ask = Ask { page: self, line, headers: Vec::new(), body: Vec::new() };
        let ask = ask.with("Host", &self.host()).with("Cookie", &self.cookie);
        match method {
            "GET" | "HEAD" => ask,
            _ => ask
                .with("Origin", &format!("http://{}", self.host()))
                .with("Content-Type", "application/json"),
        }
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target).send()
    }

    pub fn post(&self, target: &str, what: &Value) -> Answer {
        self.ask("POST", target).body(what.to_string()).send()
    }

    /// The answer to a question that has one.
    pub fn told(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.said());
        answer.json()
    }

    /// What comes of what can be done.
    pub fn done(&self, target: &str, what: &Value) -> Value {
        let answer = self.post(target, what);
        assert_eq!(answer.status, 200, "{target} {what}: {}", answer.said());
        answer.json()
    }

    /// What came of what was asked for in these bytes; none if the connection was closed.
    pub fn exchange(&self, bytes: &[u8]) -> Option<Answer> {
        let mut connection = self.connect();
        connection.write(bytes);
        match bytes.starts_with(b"HEAD ") {
            true => connection.head(),
            false => connection.answer(),
        }
    }

    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("it is a time");
        stream.set_write_timeout(Some(DEADLINE)).expect("it is a time");
        Connection { stream: BufReader::new(stream) }
    }

    /// What is told from now on.
    pub fn listen(&self) -> Events {
        let mut connection = self.connect();
        connection.write(&self.ask("GET", "/api/events").bytes());
        let head = connection.head().expect("it answers");
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Events { connection, text: String::new() }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask<'p> {
    page: &'p Page,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask<'_> {
    /// With this as its only header of that name.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).also(name, value)
    }

    /// With one more header.
    pub fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let head = format!("{}\r\n{}\r\n", self.line, headers.collect::<String>());
        [head.as_bytes(), &self.body].concat()
    }

    pub fn send(&self) -> Answer {
        let answer = self.page.exchange(&self.bytes());
        answer.unwrap_or_else(|| panic!("no answer to {}", self.line))
    }
}

/// A connection to a page.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Writes, unless it is closed by then.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Writes as much of it as is taken.
    pub fn pour(&mut self, bytes: &[u8]) {
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(PATIENCE)).expect("it is a time");
        // Some of it is taken, or it is closed.
        let _ = stream.write_all(bytes);
    }

    /// An answer; none if the connection is closed.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        match answer.header("content-length").map(|length| length.parse().expect("a number")) {
            Some(length) => {
                answer.body = vec![0; length];
                self.stream.read_exact(&mut answer.body).expect("all of it comes");
            }
            None => while self.chunk(&mut answer.body) {},
        }
        Some(answer)
    }

    /// The head of an answer.
    pub fn head(&mut self) -> Option<Answer> {
        let line = self.line()?;
        let status = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let mut answer = Answer { status: status.expect(&line), headers: vec![], body: vec![] };
        loop {
            let line = self.line().expect("the head ends");
            let Some((name, value)) = line.split_once(": ") else { break };
            answer.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Some(answer)
    }

    /// Appends a chunk; whether it wasn't the last.
    fn chunk(&mut self, body: &mut Vec<u8>) -> bool {
        let Some(length) = self.line() else { return false };
        let length = usize::from_str_radix(&length, 16).expect("the length of a chunk");
        let begin = body.len();
        body.resize(begin + length, 0);
        self.stream.read_exact(&mut body[begin..]).expect("all of it comes");
        assert_eq!(self.line().as_deref(), Some(""));
        length > 0
    }

    /// A line without its end; none if the connection was closed.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            read => read.expect("it answers in time"),
        };
        let line = String::from_utf8(line).expect("a head is text");
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    /// Whether it is closed by the other side; waits for that.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// What a page answers.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// As JSON, of which the model has to know every key, in its place.
    pub fn json(&self) -> Value {
        let text = std::str::from_utf8(&self.body).expect("JSON is text");
        known(text)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Why something was refused.
    pub fn said(&self) -> String {
        match self.header("content-type") {
            Some("application/json") => {
                let json = self.json();
                json["message"].as_str().map_or_else(|| json.to_string(), str::to_owned)
            }
            _ => self.text(),
        }
    }
}

/// JSON that the model knows.
fn known(text: &str) -> Value {
    let json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let message = serde_json::from_str::<Message>(text);
    if message.is_ok_and(|known| serde_json::to_string(&known).expect("it is JSON") == text) {
        return json;
    }
    let command = serde_json::from_str::<Answered>(text);
    let known = command.unwrap_or_else(|error| panic!("{error} of `pixelmill::wire`: {text}"));
    assert_eq!(serde_json::to_string(&known).expect("it is JSON"), text);
    json
}

/// What a page is told as it happens.
pub struct Events {
    connection: Connection,
    /// What has come and wasn't looked at.
    text: String,
}

impl Iterator for Events {
    type Item = (String, Value);

    /// What is told next; none if nothing will be.
    fn next(&mut self) -> Option<(String, Value)> {
        let begun = Instant::now();
        loop {
            // That it is still there is told even if nothing happens.
            assert!(begun.elapsed() < DEADLINE, "nothing is told any more");
            let Some((event, rest)) = self.text.split_once("\n\n") else {
                let mut chunk = Vec::new();
                if !self.connection.chunk(&mut chunk) {
                    assert_eq!(self.text, "", "what is told is told whole");
                    return None;
                }
                self.text.push_str(std::str::from_utf8(&chunk).expect("events are text"));
                continue;
            };
            let (event, rest) = (event.to_owned(), rest.to_owned());
            self.text = rest;
            if event.starts_with(':') {
                continue;
            }
            let told = event.split_once("\ndata: ").expect("an event has data");
            let name = told.0.strip_prefix("event: ").expect("an event has a name");
            assert!(!told.1.contains('\n'), "data are one line");
            return Some((name.to_owned(), known(told.1)));
        }
    }
}

impl Events {
    /// The next state of a run that is so.
    pub fn run(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let runs = self.filter(|(name, _)| name == "run").map(|(_, state)| state);
        let mut seen = Value::Null;
        for state in runs {
            if is_so(&state) {
                return state;
            }
            seen = state;
        }
        panic!("nobody told that {what}; the last was {seen}")
    }

    /// How the run has ended.
    pub fn end_of_run(&mut self) -> Value {
        self.run("the run has ended", |state| state["state"] == "ended")
    }

    /// The results group of the run, once so many positions are computed.
    pub fn computed(&mut self, positions: u64) -> String {
        let state = self.run("it computes", |state| {
            let done = state["done"].as_u64();
            done.is_some_and(|done| done >= positions) && state["group"].is_string()
        });
        state["group"].as_str().expect("it is a path").to_owned()
    }
}

/// Waits until a page has nobody that it waits for, so that there is room for others.
pub fn wait_until_it_answers(page: &Page) {
    wait_until("it answers", || page.exchange(&page.ask("GET", "/api/page").bytes()).is_some());
}

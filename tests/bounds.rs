//! The page of a program, asked by who sends no HTTP, too much of it, too slowly, or nothing at
//! all: it is refused or bounded, holds up nobody and breaks nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::page::{Connection, Served, View, wait_until_it_answers};
use crate::support::random::Random;
use crate::support::watch::{Opener, wait_until};
use crate::support::{RAW_DATA, Sample, python_function, python_program, root, run, succeed};

/// A value that nobody expects.
fn odd(random: &mut Random) -> Value {
    let values = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(-1e-308),
        json!(""),
        json!("/"),
        json!("../.."),
        json!("a\u{0}b"),
        json!("0:0"),
        json!("::-1"),
        json!("Frequency=1:2"),
        json!("18446744073709551615:18446744073709551616"),
        json!("random:18446744073709551615"),
        json!(RAW_DATA),
        json!("/Measurement_000"),
        json!("ä".repeat(1000)),
        json!([]),
        json!([0, 0]),
        json!([18_446_744_073_709_551_615_u64]),
        json!({}),
        json!({"a": {"b": []}}),
    ];
    values[(random.next() * values.len() as f64) as usize].clone()
}

#[test]
fn whatever_is_sent_is_answered_and_nothing_breaks() {
    let served = Served::new();
    let page = served.page();
    let processes = page.told("/api/processes");
    let processes = processes["processes"].as_array().unwrap();
    let names = [
        "dataset",
        "field",
        "positions_axes",
        "crop",
        "along",
        "dark",
        "gain",
        "dead_pixels",
        "allow_rounding",
        "positions",
        "pixel",
        "spectrum",
    ];
    // Most don't take this scan, whatever they are asked for.
    let fitting = processes.iter().find(|process| process["command"] == "peak-finding").unwrap();
    let mut random = Random(15);
    let mut seen = BTreeSet::new();
    for round in 0..250 {
        let pick = |random: &mut Random, count: usize| (random.next() * count as f64) as usize;
        let any = &processes[pick(&mut random, processes.len())];
        let process = if round % 4 == 0 { fitting } else { any };
        let mut what = json!({"process": process["command"], "parameters": {}, "pixel": 3});
        for _ in 0..=pick(&mut random, 2) {
            let parameters = process["parameters"].as_array().unwrap();
            let odd = odd(&mut random);
            match parameters.get(pick(&mut random, 2 * parameters.len() + 1)) {
                Some(parameter) => {
                    let name = parameter["name"].as_str().unwrap();
                    what["parameters"][name] = odd;
                }
                None => what[names[pick(&mut random, names.len())]] = odd,
            }
        }
        let answer = page.post("/api/test", &what);
        let said = answer.said();
        assert!([200, 400, 422].contains(&answer.status), "{what}: {} {said}", answer.status);
        assert!(!said.contains("itself has failed"), "{what}: {said}");
        seen.insert(answer.status);
    }
    assert!(seen.contains(&200) && seen.contains(&400), "{seen:?}");
    for _ in 0..100 {
        let text = odd(&mut random).as_str().unwrap_or("7").to_owned();
        let given: String = text.bytes().take(60).map(|byte| format!("%{byte:02x}")).collect();
        let questions = ["path", "field", "positions_axes", "pixel", "detector", "group"];
        let name = questions[(random.next() * 6.0) as usize];
        for question in ["show", "survey", "commands"] {
            let answer = page.get(&format!("/api/{question}?path={RAW_DATA}&{name}={given}"));
            let said = answer.said();
            assert!(!said.contains("itself has failed"), "{question} {name}={text}: {said}");
        }
    }
    assert!(served.sample.bytes() == served.before);
    assert_eq!(page.told("/api/page")["may_run"], true);
}

#[test]
fn heads_and_bodies_are_bounded() {
    let served = Served::new();
    let page = served.page();
    let large = "x".repeat(40 << 10);
    let asks = [
        page.ask("GET", "/api/page").with("X", &large),
        page.ask("GET", &format!("/api/show?path={large}")),
    ];
    for ask in asks {
        let status = page.exchange(&ask.bytes()).map(|answer| answer.status);
        assert!(status.is_none_or(|status| [414, 431].contains(&status)), "{status:?}");
    }
    let many =
        (0..2000).fold(page.ask("GET", "/api/page"), |ask, at| ask.also("X", &at.to_string()));
    let answer = page.exchange(&many.bytes());
    assert!(answer.is_none_or(|answer| answer.status == 431), "many headers");
    // What is allowed just so, and what isn't.
    for (length, status) in [((256 << 10) - 2, 400), (256 << 10, 413)] {
        let body = format!("{{}}{}", " ".repeat(length));
        let ask = page.ask("POST", "/api/test").body(body);
        assert_eq!(ask.send().status, status, "{length}");
    }
    // One that is only announced, and one that never ends.
    let announced = page.ask("POST", "/api/run").with("Content-Length", "99999999999");
    let mut connection = page.connect();
    connection.write(&announced.bytes());
    assert_eq!(connection.answer().unwrap().status, 413);
    let mut connection = page.connect();
    let endless = page.ask("POST", "/api/run").with("Transfer-Encoding", "chunked");
    connection.write(&endless.bytes());
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    // More than all buffers on the way.
    let taken = (0..10_000).take_while(|_| connection.write(chunk.as_bytes())).count();
    assert!(taken < 10_000, "all was taken");
    let fresh = page.ask("POST", "/api/run").with("Transfer-Encoding", "chunked");
    let body = chunk.repeat(65) + "0\r\n\r\n";
    let sent = [fresh.bytes(), body.into_bytes()].concat();
    assert_eq!(page.exchange(&sent).unwrap().status, 413);
    assert!(served.sample.bytes() == served.before);
    assert_eq!(page.told("/api/page")["may_run"], true);
}

#[test]
fn what_is_no_http_is_refused_and_what_is_old_or_in_a_row_is_answered() {
    let served = Served::new();
    let page = served.page();
    let host = page.host();
    for text in [
        "\r\n\r\n\r\n\r\nnothing\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET / HTTP/2.0\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nno header\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost : {host}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n Host: {host}\r\n\r\n"),
        format!("GET /\0 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("POST /api/run HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n"),
        format!("POST /api/run HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1, 2\r\n\r\n"),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned() + &"\0".repeat(600),
        "{\"process\": \"sum\"}\n".repeat(20),
    ] {
        let answer = page.exchange(text.as_bytes());
        assert!(answer.is_none_or(|answer| (400..=505).contains(&answer.status)), "{text:?}");
    }
    // One that could be read as two.
    let smuggled = "GET /api/page HTTP/1.1\r\n\r\n";
    let ask = page.ask("POST", "/api/stop").body(smuggled).also("Transfer-Encoding", "chunked");
    let mut connection = page.connect();
    connection.write(&ask.bytes());
    assert!(connection.answer().is_none_or(|answer| (400..500).contains(&answer.status)));
    assert!(connection.is_closed(), "and nothing is answered after it");

    let question = page.ask("GET", "/api/page").bytes();
    let mut connection = page.connect();
    connection.write(&[question.as_slice(); 20].concat());
    for _ in 0..20 {
        assert_eq!(connection.answer().unwrap().json()["may_run"], true);
    }
    let old = String::from_utf8(question).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    let mut connection = page.connect();
    connection.write(old.as_bytes());
    assert_eq!(connection.head().unwrap().status, 200);
    assert!(connection.is_closed(), "as is usual there");
    let nameless = old.replace(&format!("Host: {host}\r\n"), "");
    assert_eq!(page.exchange(nameless.as_bytes()).unwrap().status, 403);

    let mut connection = page.connect();
    for target in ["/", "/api/info", "/api/nothing", "/nothing"] {
        connection.write(&page.ask("HEAD", target).bytes());
        let (head, whole) = (connection.head().unwrap(), page.get(target));
        assert_eq!((head.status, head.header("content-length")), {
            (whole.status, whole.header("content-length"))
        });
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "POST", "BREW"] {
        served.assert_refused(&page.ask(method, "/").body("{}"), 405, "can't be done");
        if method != "POST" {
            let ask = page.ask(method, "/api/remove").body("{}");
            served.assert_refused(&ask, 405, "can't be done");
        }
    }
    for change in ["run", "remove", "stop", "test"] {
        served.assert_refused(&page.ask("GET", &format!("/api/{change}")), 404, "nothing");
    }
}

#[test]
fn only_this_machine_reaches_it() {
    let served = Served::new();
    let port = served.page().port;
    let listening = |table: &str| {
        let text = fs::read_to_string(table).unwrap_or_default();
        let lines = text.lines().skip(1).map(str::to_owned);
        let is_ours = |line: &String| {
            let mut parts = line.split_whitespace().skip(1);
            let (local, state) = (parts.next().unwrap(), parts.nth(1).unwrap());
            state == "0A" && local.ends_with(&format!(":{port:04X}"))
        };
        lines.filter(is_ours).collect::<Vec<_>>()
    };
    let found = listening("/proc/net/tcp");
    assert!(found.len() == 1 && found[0].contains(&format!(" 0100007F:{port:04X} ")), "{found:?}");
    assert_eq!(listening("/proc/net/tcp6"), [""; 0]);
    // Which is this machine, too.
    assert!(TcpStream::connect(("127.0.0.2", port)).is_err());
}

/// How many sockets a process has.
fn sockets(pid: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let leads = files.filter_map(|file| fs::read_link(file.path()).ok());
    leads.filter(|to| to.as_os_str().to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn a_hundred_connections_at_once_leave_room_for_others_when_they_end() {
    let served = Served::new();
    let page = served.page();
    let pid = served.view.running().pid();
    let before = sockets(pid);
    let mut first = page.connect();
    let still = |first: &mut Connection| {
        first.write(&page.ask("GET", "/api/page").bytes());
        assert_eq!(first.answer().expect("it is as it was").status, 200);
    };
    still(&mut first);
    let mut many: Vec<_> = (0..100).map(|_| page.connect()).collect();
    // By then all are taken or sent away, and none has been quiet for so long that it is closed.
    assert!(many[99].head().is_none(), "there is no room for the last one");
    still(&mut first);
    assert!(page.exchange(&page.ask("GET", "/api/page").bytes()).is_none(), "one too many");
    drop(many);
    wait_until("they are gone", || sockets(pid) <= before + 1);
    wait_until_it_answers(page);
    // Listeners are fewer.
    let listening: Vec<_> = (0..40).map(|_| page.connect()).collect();
    let mut statuses = Vec::new();
    for mut connection in listening {
        connection.write(&page.ask("GET", "/api/events").bytes());
        statuses.push((connection.head().unwrap().status, connection));
    }
    let told = statuses.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!((told, statuses.last().unwrap().0), (24, 503));
    drop(statuses);
    wait_until("there is room for listeners", || {
        let mut connection = page.connect();
        connection.write(&page.ask("GET", "/api/events").bytes());
        connection.head().is_some_and(|head| head.status == 200)
    });
}

#[test]
fn who_sends_nothing_or_reads_nothing_is_not_waited_for() {
    let served = Served::new();
    let page = served.page();
    let pid = served.view.running().pid();
    let before = sockets(pid);
    let mut idle = page.connect();
    let mut half = page.connect();
    half.write(b"GET / HTTP/1.1\r\nHost: ");
    let mut kept = page.connect();
    kept.write(&page.ask("GET", "/api/page").bytes());
    assert_eq!(kept.answer().unwrap().status, 200);
    let mut unsent = page.connect();
    let announced = page.ask("POST", "/api/run").with("Content-Length", "100");
    unsent.write(&announced.bytes());
    let mut slow = page.connect();
    slow.write(&announced.bytes());
    let mut unread = page.connect();
    let question = page.ask("GET", &format!("/api/show?path={RAW_DATA}")).bytes();
    unread.pour(&question.repeat(300));
    let mut deaf = page.connect();
    deaf.pour(&page.ask("GET", "/api/page").bytes().repeat(30_000));
    let mut trickling = 0;
    wait_until("what is sent too slowly is refused", || {
        trickling += 1;
        if trickling % 200 == 0 {
            slow.write(b" ");
            assert_eq!(page.ask("GET", "/api/page").send().status, 200);
        }
        // All but the one that listens.
        sockets(pid) <= before + 2
    });
    assert_eq!(unsent.answer().unwrap().status, 408);
    assert_eq!(slow.answer().unwrap().status, 408);
    for (name, connection) in [("idle", &mut idle), ("half", &mut half), ("kept", &mut kept)] {
        assert!(connection.answer().is_none_or(|answer| answer.status == 408), "{name}");
        assert!(connection.is_closed(), "{name}");
    }
    wait_until("who reads nothing is left", || sockets(pid) <= before);
    drop((unread, deaf));
    assert!(served.sample.bytes() == served.before);
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.h5");
    python_function("view.py", "records", [&path]);
    let view = View::of(&path);
    let page = &view.page;
    let question = page.ask("GET", "/api/show?path=/records&positions_axes=0,1");
    let bytes = question.send().body.len() as u64;
    assert!(bytes > 10 << 20, "{bytes}");
    let mut unread: Vec<_> = (0..3).map(|_| page.connect()).collect();
    for connection in &mut unread {
        connection.write(&question.bytes());
    }
    // There is room for two of these, until who reads nothing is left.
    let refused = question.send();
    assert_eq!(refused.status, 503);
    assert!(refused.said().contains("don't read what they have asked for"), "{}", refused.said());
    assert_eq!(page.get("/api/page").status, 200);
    drop(unread);
    wait_until("there is room again", || question.send().status == 200);
}

#[test]
fn a_run_is_not_held_up_by_those_who_wait_or_read_slowly() {
    let alone = Sample::new();
    let by_hand = succeed(run("slow", &alone.file, &["-p", "pause=300"]));
    let served = Served::new();
    let page = served.page();
    let mut busy = Vec::new();
    for _ in 0..10 {
        busy.push(page.connect());
    }
    for target in ["/api/events", "/api/processes", &format!("/api/show?path={RAW_DATA}")] {
        let mut connection = page.connect();
        connection.pour(&page.ask("GET", target).bytes().repeat(200));
        busy.push(connection);
    }
    let mut half = page.connect();
    half.write(&page.ask("POST", "/api/run").with("Content-Length", "100").bytes());
    let what = json!({"process": "slow", "parameters": {"pause": 300}});
    assert_eq!(page.done("/api/run", &what), json!({"run": 1}));
    let mut events = page.listen();
    events.computed(10);
    let mut answered = 0;
    let end = loop {
        let (name, state) = events.next().unwrap();
        if name == "run" && state["state"] == "ended" {
            break state;
        }
        assert_eq!(page.told("/api/page")["may_run"], true);
        answered += 1;
    };
    assert!(answered > 0, "it was over before anybody could ask");
    let ended = &end["outcome"]["computations"][0];
    assert_eq!(ended["outcome"], "finished");
    assert_eq!(ended["parameter_hash"], by_hand["parameter_hash"]);
    let mut opener = Opener::new();
    assert!(opener.snapshot(&served.sample.file) == opener.snapshot(&alone.file));
    drop(busy);
}

#[test]
fn what_fails_in_the_middle_leaves_a_server_that_answers() {
    let served = Served::new();
    let page = served.page();
    // Of the sample's positions this one panics, and that one fails.
    for (pixel, words) in [(1, "panic on purpose"), (7, "no value")] {
        let answer = page.post("/api/test", &json!({"process": "trouble", "pixel": pixel}));
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    let damage = |statements: &str| {
        python_program("edit.py", [served.sample.file.as_os_str(), statements.as_ref()]);
    };
    damage("del file['Measurement_000/Channel_000/Position_Values']");
    for target in ["/api/info", "/api/processes", "/api/page", "/api/show"] {
        let answer = page.get(target);
        assert!([200, 400, 422].contains(&answer.status), "{target}: {}", answer.status);
        answer.json();
    }
    fs::write(&served.sample.file, "no longer HDF5").unwrap();
    let answer = page.get("/api/info");
    assert_eq!(answer.status, 422);
    assert!(answer.said().contains("is not an HDF5 file"), "{}", answer.said());
    fs::remove_file(&served.sample.file).unwrap();
    assert!(page.get("/api/info").said().contains("there is no such file"));
    let refused = page.post("/api/run", &json!({"process": "peak-finding"}));
    assert_eq!(refused.status, 404);
    assert!(refused.said().contains("no such file"), "{}", refused.said());
    fs::copy(root().join("data/be_line_scan_64x64.h5"), &served.sample.file).unwrap();
    assert_eq!(page.told("/api/info")["file"], served.sample.file.to_str().unwrap());
    assert_eq!(served.view.end("INT").code, Some(0));
}

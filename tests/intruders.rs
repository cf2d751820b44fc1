//! The page of a program, asked by those who aren't meant to, strangers and other pages in the same
//! browser, by names that only lead here, and for what isn't its: they get nothing and change
//! nothing. What is sent too much, too slowly or not as HTTP is in `bounds`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::page::{Page, Served, View};
use crate::support::{RAW_DATA, pixelmill, root};

const STRANGER: &str = "opens by the address";
const HOST: &str = "only served as 127.0.0.1";
const ORIGIN: &str = "only the page itself";

#[test]
fn only_who_has_the_token_comes_in_and_then_by_a_cookie() {
    let served = Served::new();
    let page = served.page();
    let stranger = |method, target: &str| page.ask(method, target).without("Cookie");
    let token = &page.token;
    let (short, long) = (&token[1..], format!("{token}0"));
    let other = format!("{}{}", &token[1..], &token[..1]);
    for target in ["/", "/main.js", "/api/info", "/api/events", "/api/page", "/nothing"] {
        served.assert_refused(&stranger("GET", target), 403, STRANGER);
        for given in ["", short, &long, &other, &token.to_uppercase()] {
            let target = format!("{target}?token={given}");
            served.assert_refused(&stranger("GET", &target), 403, STRANGER);
        }
    }
    for target in ["/api/info", "/main.js", "/index.html", "//"] {
        let target = format!("{target}?token={token}");
        served.assert_refused(&stranger("GET", &target), 403, STRANGER);
    }
    served.assert_refused(&served.run().without("Cookie"), 403, STRANGER);
    let with_token = stranger("POST", &format!("/api/run?token={token}")).body("{}");
    served.assert_refused(&with_token, 403, STRANGER);
    // A browser sends the cookies of all ports of this machine.
    let beside = View::of(&served.sample.file);
    let (name, secret) = page.cookie.split_once('=').unwrap();
    let others = &beside.page.cookie;
    let renamed = format!("{name}={}", others.split_once('=').unwrap().1);
    let cookies = [others, &renamed, secret, &format!("{name}={}", page.token)];
    for cookie in cookies.into_iter().chain([&format!("x{name}={secret}")].map(String::as_str)) {
        let ask = page.ask("GET", "/api/info").with("Cookie", cookie);
        served.assert_refused(&ask, 403, STRANGER);
    }
    let both = format!("{others}; {}", page.cookie);
    assert_eq!(page.ask("GET", "/api/page").with("Cookie", &both).send().status, 200);
}

#[test]
fn the_first_address_answers_with_the_page_itself_and_a_cookie_for_it_alone() {
    let served = Served::new();
    let page = served.page();
    let first = page.ask("GET", &format!("/?path=%2Fx&token={}", page.token)).without("Cookie");
    let answer = first.send();
    assert_eq!((answer.status, answer.header("location")), (200, None));
    let cookie = answer.header("set-cookie").unwrap();
    let parts: Vec<&str> = cookie.split("; ").collect();
    assert_eq!(parts, [&page.cookie, "HttpOnly", "SameSite=Strict"]);
    let (name, secret) = page.cookie.split_once('=').unwrap();
    assert_eq!(name, format!("pixelmill-{}", page.port));
    for secret in [secret, &page.token] {
        assert_eq!((secret.len(), answer.text().contains(secret)), (64, false));
    }
    assert!(answer.text().starts_with("<!DOCTYPE html>"), "{}", answer.text());
    assert_eq!(page.get("/").header("set-cookie"), None);
    // Each program has its own.
    let again = View::of(&served.sample.file);
    assert!(again.page.token != page.token && !again.page.cookie.ends_with(secret));
}

#[test]
fn names_that_only_lead_here_are_refused() {
    let served = Served::new();
    let page = served.page();
    let port = page.port;
    let ask = |host: &str| page.ask("GET", "/api/info").with("Host", host);
    for own in ["localhost", "[::1]", "LocalHost", "127.0.0.1"] {
        let own = format!("{own}:{port}");
        assert_eq!(ask(&own).send().status, 200, "{own}");
    }
    // Of a tunnel.
    assert_eq!(ask("localhost:9").send().status, 200);
    let foreign = [
        "pixelmill.example",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "evil.example#127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "0x7f.1",
        "[::]",
        "[::ffff:127.0.0.1]",
        "localhost.",
        "localhost:localhost",
        "127.0.0.1, evil.example",
    ];
    for host in foreign {
        served.assert_refused(&ask(&format!("{host}:{port}")), 403, HOST);
        served.assert_refused(&ask(host), 403, HOST);
        let first = page.ask("GET", &format!("/?token={}", page.token)).with("Host", host);
        served.assert_refused(&first, 403, HOST);
        let origin = format!("http://{host}");
        let run = served.run().with("Host", host).with("Origin", &origin);
        served.assert_refused(&run, 403, HOST);
    }
    served.assert_refused(&ask(""), 403, HOST);
    served.assert_refused(&page.ask("GET", "/api/info").without("Host"), 403, HOST);
    for other in ["evil.example", &page.host()] {
        served.assert_refused(&ask(&page.host()).also("Host", other), 403, HOST);
    }
    let whole = page.ask("GET", &format!("http://evil.example:{port}/api/info"));
    served.assert_refused(&whole, 403, HOST);
    served.assert_refused(&whole.with("Host", &format!("evil.example:{port}")), 403, HOST);
    assert_eq!(page.get(&format!("http://{}/api/page", page.host())).status, 200);
}

#[test]
fn only_the_page_itself_changes_anything() {
    let served = Served::new();
    let page = served.page();
    let port = page.port;
    let changes = ["run", "remove", "test", "rehearse", "stop", "verify", "nothing"];
    let origins = [
        format!("http://127.0.0.1:{}", port ^ 1),
        "http://127.0.0.1".to_owned(),
        format!("http://localhost:{port}"),
        format!("ftp://127.0.0.1:{port}"),
        format!("127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}@evil.example"),
        format!("http://127.0.0.1:{port}.evil.example"),
        "https://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
    ];
    for change in changes {
        let ask = page.ask("POST", &format!("/api/{change}")).body(r#"{"process":"peak-finding"}"#);
        served.assert_refused(&ask.clone().without("Origin"), 403, ORIGIN);
        for origin in &origins {
            served.assert_refused(&ask.clone().with("Origin", origin), 403, ORIGIN);
        }
        let own = format!("http://{}", page.host());
        let both = ask.clone().also("Origin", "https://evil.example");
        served.assert_refused(&both, 403, ORIGIN);
        served.assert_refused(&ask.clone().also("Origin", &own), 403, ORIGIN);
        for site in ["cross-site", "same-site", "SAME-ORIGIN", ""] {
            served.assert_refused(&ask.clone().with("Sec-Fetch-Site", site), 403, ORIGIN);
        }
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GETT"] {
        let ask = page.ask(method, "/api/run").without("Origin");
        served.assert_refused(&ask, 403, ORIGIN);
    }
    let own = page.ask("POST", "/api/stop").with("Sec-Fetch-Site", "same-origin");
    assert_eq!(own.body("{}").send().status, 200);
}

#[test]
fn what_other_pages_and_forms_can_send_is_refused() {
    let served = Served::new();
    let page = served.page();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json-patch+json",
        "",
    ] {
        let ask = served.run().with("Content-Type", kind);
        served.assert_refused(&ask, 415, "has to be JSON");
    }
    served.assert_refused(&served.run().without("Content-Type"), 415, "has to be JSON");
    // Images, scripts and frames of other pages.
    for target in ["/api/info", "/main.js", "/api/events", "/style.css"] {
        for site in ["cross-site", "same-site"] {
            let ask = page.ask("GET", target).with("Sec-Fetch-Site", site);
            served.assert_refused(&ask, 403, ORIGIN);
        }
    }
    // A link in a letter leads to the page.
    let link = page.ask("GET", "/").with("Sec-Fetch-Site", "cross-site").send();
    assert_eq!(link.status, 200);
    let preflight = page
        .ask("OPTIONS", "/api/run")
        .with("Origin", "https://evil.example")
        .with("Access-Control-Request-Method", "POST")
        .send();
    assert_eq!(preflight.status, 403);
    let allowed = preflight.headers.iter().find(|(name, _)| name.starts_with("access-control"));
    assert_eq!(allowed, None);
}

#[test]
fn every_answer_forbids_what_the_page_need_not_do() {
    let served = Served::new();
    let page = served.page();
    let mut asks = vec![
        (200, page.ask("GET", "/")),
        (200, page.ask("GET", "/main.js")),
        (200, page.ask("GET", "/style.css")),
        (200, page.ask("HEAD", "/")),
        (200, page.ask("GET", "/api/page")),
        (200, page.ask("POST", "/api/stop").body("{}")),
        (403, page.ask("GET", "/").without("Cookie")),
        (403, page.ask("GET", "/").with("Host", "evil.example")),
        (404, page.ask("GET", "/nothing")),
        (404, page.ask("GET", "/api/nothing")),
        (404, page.ask("POST", "/api/nothing").body("{}")),
        (405, page.ask("POST", "/").body("{}")),
        (400, page.ask("POST", "/api/run").body("{")),
        (400, page.ask("POST", "/api/run").body("{}")),
        (413, page.ask("POST", "/api/run").body(vec![b' '; 300 << 10])),
        (415, page.ask("POST", "/api/run").without("Content-Type")),
    ];
    asks.push((400, page.ask("GET", "/api/show?path=%2Fnothing")));
    for (status, ask) in asks {
        let answer = ask.send();
        assert_eq!(answer.status, status, "{ask:?}");
        assert_forbids(&|name| answer.header(name), &format!("{ask:?}"));
    }
    let mut connection = page.connect();
    connection.write(&page.ask("GET", "/api/events").bytes());
    let head = connection.head().unwrap();
    assert_forbids(&|name| head.header(name), "events");
}

fn assert_forbids<'a>(header: &dyn Fn(&str) -> Option<&'a str>, about: &str) {
    let policy = header("content-security-policy").unwrap();
    let rules: Vec<&str> = policy.split("; ").collect();
    let expected = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ];
    assert_eq!(rules, expected, "{about}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(header(name), Some(value), "{about}");
    }
}

#[test]
fn no_file_of_the_page_names_another_host_or_has_scripts_in_its_midst() {
    let served = Served::new();
    let page = served.page();
    let mut files = BTreeSet::new();
    for entry in root().join("src/web/page").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let answer = page.get(&format!("/{name}"));
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body == fs::read(&path).unwrap(), "{name}");
        let kind = match name.rsplit_once('.').unwrap().1 {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "text/javascript; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(kind), "{name}");
        // The name of a way to write pictures, which nobody asks for.
        let text = answer.text().replace("http://www.w3.org/2000/svg", "");
        for other in ["http://", "https://", "ws://", "wss://", "eval(", "new Function", "@import"]
        {
            assert!(!text.contains(other), "{name} has {other}");
        }
        files.insert(name);
    }
    assert!(page.get("/").body == page.get("/index.html").body);
    let text = page.get("/").text();
    assert_eq!(text.matches("<script").count(), text.matches("></script>").count(), "{text}");
    for tag in text.split('<').filter_map(|rest| rest.split('>').next()) {
        let attributes = tag.split_whitespace().skip(1);
        let mut names = attributes.filter_map(|part| part.split('=').next());
        let inline = names.find(|name| *name == "style" || name.starts_with("on"));
        assert_eq!(inline, None, "<{tag}>");
        let leads = ["src=", "href="].iter().find_map(|name| tag.split_once(name));
        let Some((_, to)) = leads else { continue };
        let to = to.trim_start_matches('"').split(['"', ' ', '>']).next().unwrap();
        let to = to.trim_start_matches("./");
        let is_own = to.starts_with("data:") || to.starts_with('#') || files.contains(to);
        assert!(is_own, "<{tag}> leads to {to}");
    }
}

#[test]
fn no_address_leads_to_a_file_of_this_machine() {
    let served = Served::new();
    let page = served.page();
    let name = served.sample.file.to_str().unwrap();
    let targets = [
        "/../../../../../../etc/passwd",
        "/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/%252e%252e/etc/passwd",
        "/..%5c..%5cetc%5cpasswd",
        "/....//....//etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "/scan.h5",
        "/page/index.html",
        "/src/web/page/index.html",
        "/./index.html",
        "/main.js/",
        "/main.js%00.css",
        "/MAIN.JS",
        "/index.html/..",
        "/api/../main.js",
        "/api",
        "/api/",
        "/api//info",
        "/api/info/",
        "/api/show/etc/passwd",
        "/api/%69nfo",
        name,
    ];
    for target in targets {
        served.assert_refused(&page.ask("GET", target), 404, "nothing at this address");
        if target.starts_with("/api/") {
            let ask = page.ask("POST", target).body("{}");
            served.assert_refused(&ask, 404, "nothing at this address");
        }
    }
    for path in [name, "/etc/passwd", "../scan.h5", "other.h5:/x", "file:///etc/passwd", "@x"] {
        let path: String = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for question in [
            "show?path=",
            "show?of=results&path=",
            "survey?path=",
            "commands?group=",
            "show?path=x&of=",
        ] {
            let answer = page.get(&format!("/api/{question}{path}"));
            assert_eq!(answer.status, 400, "{question}{path}: {}", answer.said());
        }
    }
}

/// Why something can't be done, which no run that has begun has to find out.
fn why_refused(page: &Page, change: &str, what: &Value) -> String {
    let answer = page.post(&format!("/api/{change}"), what);
    assert!((400..500).contains(&answer.status), "{change} {what}: {}", answer.text());
    answer.said()
}

#[test]
fn inputs_in_other_files_are_refused_in_words() {
    let served = Served::new();
    let page = served.page();
    let folder = served.sample.folder.path();
    for name in ["other.h5", "list.txt", "mask.npy"] {
        fs::copy(&served.sample.file, folder.join(name)).unwrap();
    }
    let within = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let elsewhere = [
        "other.h5:/masks".to_owned(),
        format!("{}:{RAW_DATA}", within("other.h5")),
        format!("{}:{RAW_DATA}", within("scan.h5")),
        "mask.npy".to_owned(),
        within("mask.npy"),
        "../../etc/passwd.npy".to_owned(),
        "/etc/passwd:/x".to_owned(),
    ];
    let in_its_file = "it names another file";
    let refused = |what: &Value, words: &str| {
        for change in ["test", "rehearse", "run"] {
            let mut asked = what.clone();
            if change == "test" {
                // Which has no use for these.
                if ["positions", "resume"].iter().any(|of| asked.get(of).is_some()) {
                    continue;
                }
                asked["pixel"] = json!(0);
            }
            let said = why_refused(page, change, &asked);
            assert!(said.contains(words), "{change} {what}: {said}");
            assert!(served.sample.bytes() == served.before, "{what} has changed the file");
        }
    };
    for named in &elsewhere {
        for (process, parameter) in [("given", "masks"), ("slow", "offset")] {
            refused(&json!({"process": process, "parameters": {parameter: named}}), in_its_file);
        }
        for correction in ["dark", "gain", "dead_pixels"] {
            refused(&json!({"process": "peak-finding", correction: named}), in_its_file);
        }
        refused(&json!({"process": "peak-finding", "positions": named}), in_its_file);
        refused(&json!({"process": "peak-finding", "dataset": named}), "");
    }
    for list in ["@list.txt", "@/etc/passwd", "@../../etc/passwd", "@"] {
        refused(&json!({"process": "peak-finding", "positions": list}), "");
    }
    refused(&json!({"process": "peak-finding", "output": "other.h5"}), "unknown field `output`");
    refused(&json!({"process": "peak-finding", "source": "other.h5"}), "unknown field `source`");
    for group in ["other.h5:/x", "/etc/passwd", &within("other.h5")] {
        refused(&json!({"process": "peak-finding", "resume": group}), "");
        let others = [
            ("remove", json!({"group": group, "dry_run": false})),
            ("verify", json!({"group": group, "sample": 5})),
        ];
        for (change, what) in others {
            why_refused(page, change, &what);
            assert!(served.sample.bytes() == served.before, "{what} has changed the file");
        }
    }
}

#[test]
fn parameters_are_refused_in_the_words_of_the_command_line() {
    let served = Served::new();
    let page = served.page();
    let cases = [
        ("peak-finding", json!({"widht_min": 3}), &["widht_min=3"][..]),
        ("peak-finding", json!({"width_min": -1}), &["width_min=-1"]),
        ("peak-finding", json!({"width_min": 1e30}), &["width_min=1e30"]),
        ("peak-finding", json!({"width_min": null}), &["width_min=null"]),
        ("peak-finding", json!({"width_min": "many"}), &["width_min=\"many\""]),
        ("peak-finding", json!({"width_min": [1]}), &["width_min=[1]"]),
        ("slow", json!({"pause": 10_000_001}), &["pause=10000001"]),
        ("sho-fit", json!({"nothing": {"a": 1}}), &["nothing={\"a\":1}"]),
        ("peak-findng", json!({}), &[]),
    ];
    let file = served.sample.file.to_str().unwrap();
    for (process, parameters, typed) in cases {
        let mut arguments = vec!["test", process, file, "--pixel", "0"];
        arguments.extend(typed.iter().flat_map(|given| ["-p", given]));
        let ran = pixelmill(arguments);
        let said = ran.json["message"].as_str().unwrap_or_else(|| panic!("{parameters}: {ran:?}"));
        for change in ["test", "rehearse", "run"] {
            let mut what = json!({"process": process, "parameters": parameters});
            if change == "test" {
                what["pixel"] = json!(0);
            }
            let ask = page.ask("POST", &format!("/api/{change}")).body(what.to_string());
            served.assert_refused(&ask, 400, said);
            assert_eq!(ask.send().said(), said);
        }
    }
    for (what, words) in [
        (json!({"pixel": 4096}), "no such position"),
        (json!({"pixel": -1}), "invalid value"),
        (json!({"pixel": 0.5}), "invalid type"),
        (json!({"pixel": "0"}), "invalid type"),
        (json!({}), "missing field `pixel`"),
        (json!({"pixel": 0, "spectrum": 9}), "spectr"),
        (json!({"pixel": 0, "crop": "0:1:2:3"}), "crop"),
        (json!({"pixel": 0, "dataset": "/nothing"}), "/nothing"),
        (json!({"pixel": 0, "field": "x"}), "field"),
        (json!({"pixel": 0, "positions_axes": [7]}), "positions axes"),
        (json!({"pixel": 0, "nothing": 1}), "unknown field `nothing`"),
        (json!({"pixel": 0, "file": "/etc/passwd"}), "unknown field `file`"),
        (json!({"pixel": 0, "process": ["sum"]}), "invalid type"),
        (json!({"pixel": 0, "parameters": [1]}), "invalid type"),
    ] {
        let mut what = what;
        let named = what.as_object_mut().unwrap();
        named.entry("process").or_insert_with(|| json!("peak-finding"));
        let ask = page.ask("POST", "/api/test").body(what.to_string());
        served.assert_refused(&ask, 400, words);
    }
    for (what, words) in [
        (json!({"cores": "-1"}), "cores"),
        (json!({"cores": 2}), "invalid type"),
        (json!({"memory": "lots"}), "memory"),
        (json!({"positions": "4096:5000"}), "selected"),
        (json!({"resume": "nothing"}), "nothing"),
        (json!({"override": "yes"}), "invalid type"),
    ] {
        let mut what = what;
        what["process"] = json!("peak-finding");
        for change in ["rehearse", "run"] {
            let said = why_refused(page, change, &what);
            assert!(said.contains(words), "{change} {what}: {said}");
        }
    }
    assert!(served.sample.bytes() == served.before);
}

#[test]
fn what_is_no_json_object_is_refused_however_deep_it_is() {
    let served = Served::new();
    let page = served.page();
    let deep = "[".repeat(100_000);
    let deep_inside = format!(r#"{{"process":"sum","parameters":{{"a":{deep}"#);
    let closed = format!(r#"{{"process":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let texts = [
        "",
        "null",
        "[]",
        "\"\"",
        "7",
        "{",
        "{}{}",
        "{\"process\":\"peak-finding\"",
        "{'process':'sum'}",
        "{\"process\":NaN}",
        "{\"process\":\"peak-finding\",\"pixel\":1e999}",
        "{\"process\":\"peak-finding\",\"pixel\":Infinity}",
        "{\"process\":\"\u{0}\"}",
        "process=sum",
        &deep,
        &deep_inside,
        &closed,
    ];
    for text in texts {
        for change in ["test", "rehearse", "run", "stop", "verify", "remove"] {
            let ask = page.ask("POST", &format!("/api/{change}")).body(text);
            let (status, said) = (ask.send().status, ask.send().said());
            let text = &text[..text.len().min(40)];
            assert!(status == 400 && said.contains("no JSON object"), "{text}: {status} {said}");
        }
    }
    let no_text = page.ask("POST", "/api/run").body(b"{\"process\":\"\xff\xfe\"}".as_slice());
    served.assert_refused(&no_text, 400, "no JSON object");
}

//! What a results group says of itself, as a killed run, another version or another program may
//! have left it.

use std::collections::BTreeMap;
use std::path::Path;

use pixelmill_core::canonical::canonical;
use pixelmill_core::failure::Failure;
use pixelmill_core::foreign_text::of_fixed_length;
use serde_json::{Map, Value};
use twox_hash::XxHash3_128;

use super::drawn::Drawn;
use super::scratch_file;
use crate::engine::failure_lines::{FailureLines, are_settled};
use crate::engine::failures::{FailedPositions, Failures, line_text, reason};
use crate::engine::inspect::{parameters_of, positions_axes};
use crate::engine::ledger::{Covered, Record};
use crate::engine::named::named;
use crate::engine::sealed::{seal, unseal};
use crate::identity::difference::between;
use crate::source::RowsDigest;
use crate::storage::in_place::{Direct, Extent};
use crate::storage::marks::{Marks, MarksInPlace};
use crate::storage::open_file::OpenFile;
use crate::storage::results_group::{DIGEST_BYTES, MESSAGE_BYTES, MESSAGE_LINES, Provenance};

/// Lines of the ledger: any, and such as begin with the hash of what they say.
pub(super) fn ledger_lines(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').take(4);
    let lines: Vec<String> = lines.map(of_fixed_length).collect();
    let sealed = |line: &String| {
        let hash = XxHash3_128::oneshot(line.as_bytes());
        format!("{hash:032x} {line}")
    };
    let all: Vec<String> = lines.iter().cloned().chain(lines.iter().map(sealed)).collect();
    for record in all.iter().filter_map(|line| unseal::<Record>(line)) {
        let line = seal(&record);
        assert_eq!(unseal(&line).as_ref(), Some(&record));
        let mut padded = line.clone().into_bytes();
        padded.resize(DIGEST_BYTES, 0);
        if line.len() < DIGEST_BYTES {
            assert_eq!(of_fixed_length(&padded), line);
        }
        let cut = line.char_indices().map(|(at, _)| at).nth(line.len() / 2).unwrap_or(0);
        assert_eq!(unseal::<Record>(&line[..cut]), None, "half a line");
    }
    let marked = Covered::of([0..3, 5..9]);
    if let Some(found) = Record::among(&all, marked) {
        assert_eq!(found.positions(), 7);
    }
    assert_eq!(Record::new(&all, marked, RowsDigest::default()).positions(), 7);
    for digest in lines.iter().filter_map(|line| line.parse::<RowsDigest>().ok()) {
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }
}

/// Positions that have failed before and those that fail now have the reasons that were given, in
/// lines whose order doesn't depend on how it came about.
pub(super) fn failure_lines(data: &[u8]) {
    let mut drawn = Drawn(data);
    let count = 1 + drawn.small();
    // No position has line 0, and it is empty.
    let lines = (0..drawn.small() % 12).map(|_| text(&mut drawn));
    let texts: Vec<String> = std::iter::once(String::new()).chain(lines).collect();
    let mut before = drawn.bytes(count).to_vec();
    before.resize(count, 0);
    // A position's lowest bit tells whether it is done, the others its line.
    let mut status: Vec<u8> = before.iter().map(|byte| byte & 1).collect();
    let lines: Vec<u8> = before.iter().map(|byte| byte >> 1).collect();
    let mut expected: BTreeMap<u64, String> = (0..count)
        .filter(|at| status[*at] == 1 && lines[*at] != 0)
        .map(|at| (at as u64, reason(&texts, lines[at])))
        .collect();
    let mut failures = Failures::default();
    while !drawn.is_empty() {
        let (at, text) = (drawn.small() % count, text(&mut drawn));
        if status[at] == 0 {
            status[at] = 1;
            failures.insert(at as u64, &Failure::new(&text));
            expected.insert(at as u64, line_text(&Failure::new(&text)));
        }
    }
    let group = Group::new(&lines, &before.iter().map(|byte| byte & 1).collect::<Vec<_>>(), &texts);
    group.fails(&failures, texts);
    group.set_status(&status);
    let (found, texts) = group.read();
    assert!(
        found
            .listed
            .iter()
            .map(|(at, text)| (*at, text))
            .eq(expected.iter().map(|(at, text)| (*at, text)))
    );
    assert!(are_settled(&texts, &found));
}

/// A reason as lines have them.
fn text(drawn: &mut Drawn<'_>) -> String {
    match drawn.piece() {
        [] => String::new(),
        bytes => line_text(&Failure::new(of_fixed_length(bytes))),
    }
}

/// A file with lines of positions, their status, and the lines' texts.
struct Group {
    file: std::fs::File,
    count: u64,
}

impl Group {
    fn new(lines: &[u8], status: &[u8], texts: &[String]) -> Self {
        let mut bytes = [lines, status].concat();
        for line in 0..MESSAGE_LINES {
            let text = texts.get(line).map_or(&b""[..], |text| text.as_bytes());
            bytes.extend_from_slice(text);
            bytes.resize(bytes.len() + MESSAGE_BYTES - text.len(), 0);
        }
        Self { file: scratch_file(&bytes), count: lines.len() as u64 }
    }

    fn open(&self) -> OpenFile<'_> {
        OpenFile::new(Path::new("a file"), &self.file)
    }

    fn extent(&self, start: u64, length: u64) -> Extent {
        Extent::new(start, length).expect("it is a small file")
    }

    fn marks(&self, number: u64) -> Marks {
        let extent = self.extent(number * self.count, self.count);
        Marks::within(self.open(), extent).expect("the file is open")
    }

    fn messages(&self) -> Extent {
        self.extent(2 * self.count, (MESSAGE_LINES * MESSAGE_BYTES) as u64)
    }

    fn fails(&self, failures: &Failures, texts: Vec<String>) {
        let file = Direct::new(self.open()).expect("the file is open");
        let extent = self.extent(0, self.count);
        let failed = MarksInPlace::new(&file, self.open(), extent).expect("the file is open");
        let mut lines = FailureLines::new(&file, failed, (self.messages(), texts), false);
        let written = lines
            .take_stock(&self.marks(1))
            .and_then(|()| lines.list(failures))
            .and_then(|()| lines.settle());
        written.expect("the file can be written");
    }

    fn set_status(&self, status: &[u8]) {
        let written = std::os::unix::fs::FileExt::write_all_at(&self.file, status, self.count);
        written.expect("the file can be written");
    }

    fn read(&self) -> (FailedPositions, Vec<String>) {
        let mut bytes = vec![0; MESSAGE_LINES * MESSAGE_BYTES];
        self.messages().read(&self.file, 0, &mut bytes).expect("the file is open");
        let texts: Vec<String> = bytes.chunks(MESSAGE_BYTES).map(of_fixed_length).collect();
        let found = FailedPositions::read(&self.marks(1), &self.marks(0), &texts);
        (found.expect("the file is open"), texts)
    }
}

/// What was recorded of a computation: it is read or not, and what differs from another is told.
pub(super) fn provenance(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0).map(of_fixed_length);
    let mut next = || parts.next().unwrap_or_default();
    let (name, stored, ours) = (next(), next(), next());
    let name = name.trim_matches('/');
    let group = Provenance {
        path: format!("/{name}"),
        identity: Some(stored.clone()),
        source_file_path: Some(name.to_owned()),
        source_file_relative: Some(stored.clone()),
        ..Provenance::default()
    };
    let parameters = parameters_of(&group);
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (stored, ours) = (value(&stored), value(&ours));
    let recorded = stored.get("parameters").and_then(Value::as_object);
    assert_eq!(&parameters, recorded.unwrap_or(&Map::new()));
    if let Some(axes) = positions_axes(&group) {
        assert!(axes.len() <= canonical(stored.clone()).len());
    }
    if !name.is_empty() {
        let groups = [group];
        assert!(named(&groups, &groups[0].path, Path::new("a file")).is_ok());
    }
    let told = between(&stored, &ours, &ours);
    let is_ours = stored.get("source").is_some_and(Value::is_object);
    assert_eq!(told.is_none(), is_ours && stored == ours);
}

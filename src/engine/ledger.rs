//! The digest of the data that a results group was computed from, kept in the group while it grows.
//!
//! A record says which positions it covers, as their number and the sum of their numbers, and the
//! digest of what was read for them. Records are two lines of a small dataset, written in turns, in
//! place, before the marks of the batch that they add: whenever a run is killed, one of the two is
//! whole. The one that covers just the positions that are marked holds; between two marks of one
//! batch none does, and then what was done is read again. What a power cut mixes up doesn't fit the
//! marks either.
//!
//! At the end of a run the record also gets evidence of the files' state (`evidence`), which tells
//! without reading that nothing was written to them since.

use std::ops::{AddAssign, Range, SubAssign};

use serde::{Deserialize, Serialize};

use super::pending::Pending;
use super::sealed::{seal, unseal};
use crate::source::RowsDigest;
use crate::storage::in_place::{Extent, InPlace};
use crate::storage::marks::{Summary, windows};
use crate::storage::results_group::{DIGEST_BYTES, DIGEST_LINES};
use pixelmill_core::error::Result;

/// Some positions, as a record knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Covered {
    /// How many they are.
    positions: u64,
    /// The sum of their numbers, modulo 2⁶⁴: together with how many they are it tells one batch
    /// from another.
    sum_of_positions: u64,
}

impl Covered {
    /// The positions of different ranges.
    pub fn of(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut covered = Self::default();
        for range in ranges {
            let count = range.end - range.start;
            let ends = (u128::from(range.start) + u128::from(range.end)).saturating_sub(1);
            // Either their number or the sum of the first and the last is even.
            let twice = u128::from(count) * ends;
            covered += Self { positions: count, sum_of_positions: (twice / 2) as u64 };
        }
        covered
    }

    /// The positions that have a mark.
    pub fn of_marks(marks: Summary) -> Self {
        Self { positions: marks.count, sum_of_positions: marks.sum }
    }

    /// Those of some positions to be computed or read.
    ///
    /// # Errors
    /// If what tells which they are can't be read.
    pub fn of_pending(pending: &Pending<'_>) -> Result<Self> {
        let mut covered = Self::default();
        for window in windows(pending.positions()) {
            covered += Self::of(pending.runs(&window)?);
        }
        Ok(covered)
    }

    /// How many they are.
    pub fn positions(&self) -> u64 {
        self.positions
    }
}

impl AddAssign for Covered {
    fn add_assign(&mut self, other: Self) {
        self.positions = self.positions.wrapping_add(other.positions);
        self.sum_of_positions = self.sum_of_positions.wrapping_add(other.sum_of_positions);
    }
}

impl SubAssign for Covered {
    fn sub_assign(&mut self, other: Self) {
        self.positions = self.positions.wrapping_sub(other.positions);
        self.sum_of_positions = self.sum_of_positions.wrapping_sub(other.sum_of_positions);
    }
}

/// What the data of the marked positions were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Counts records, so that the newer of two is known.
    number: u64,
    #[serde(flatten)]
    covered: Covered,
    /// XXH3-128 of their data; see `source::digest`.
    pub digest: RowsDigest,
    /// What the files' state was when all of them had been read.
    pub evidence: Option<String>,
}

impl Record {
    /// The newest of the records in `lines` that covers just the positions that are marked.
    pub fn among(lines: &[String], marked: Covered) -> Option<Self> {
        let records = lines.iter().filter_map(|line| unseal::<Self>(line));
        records.filter(|record| record.covered == marked).max_by_key(|record| record.number)
    }

    /// What is known of positions that no record of `lines` covers.
    pub fn new(lines: &[String], marked: Covered, digest: RowsDigest) -> Self {
        let records = lines.iter().filter_map(|line| unseal::<Self>(line));
        let number = records.map(|record| record.number).max().unwrap_or(0);
        Self { number, covered: marked, digest, evidence: None }
    }

    /// The same without some of its positions.
    pub fn without(&self, others: Covered, digest: RowsDigest) -> Self {
        let mut left = Self { evidence: None, ..self.clone() };
        left.covered -= others;
        left.digest -= digest;
        left
    }

    /// How many positions it covers.
    pub fn positions(&self) -> u64 {
        self.covered.positions
    }
}

/// The record of a group while it is computed.
#[derive(Clone)]
pub(crate) struct Ledger {
    /// Where the lines lie in the file.
    place: Extent,
    /// As it was when the run began, and as it is.
    begin: Record,
    now: Record,
}

impl Ledger {
    /// Begins with what is known of the positions that are marked.
    pub fn new(place: Extent, record: Record) -> Self {
        Self { place, begin: record.clone(), now: record }
    }

    /// What this run has read.
    pub fn of_run(&self) -> RowsDigest {
        let mut digest = self.now.digest;
        digest -= self.begin.digest;
        digest
    }

    /// What was read for all positions that are marked.
    pub fn of_all(&self) -> RowsDigest {
        self.now.digest
    }

    /// Adds positions that are about to be marked.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn add(
        &mut self,
        file: &dyn InPlace,
        positions: Covered,
        digest: RowsDigest,
    ) -> Result<()> {
        self.now.covered += positions;
        self.now.digest += digest;
        self.now.evidence = None;
        self.write(file)
    }

    /// Notes what the state of the files is, all of whose data were read.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn conclude(&mut self, file: &dyn InPlace, evidence: Option<String>) -> Result<()> {
        self.now.evidence = evidence;
        self.write(file)
    }

    /// Makes both lines say nothing, before marks are taken back.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn forget(&self, file: &dyn InPlace) -> Result<()> {
        file.write(self.place.part(0, &[0; DIGEST_LINES * DIGEST_BYTES])?)
    }

    /// Says again what was known when the run began, after its marks were taken back.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn begin_again(&mut self, file: &dyn InPlace) -> Result<()> {
        self.begin.number = self.now.number;
        self.now = self.begin.clone();
        self.write(file)
    }

    /// Writes the line that is not the last one. Of no positions nothing is known: before the last
    /// of several passes a fold has none, and each pass counts on from what the file had.
    fn write(&mut self, file: &dyn InPlace) -> Result<()> {
        if self.now.covered.positions == 0 {
            return Ok(());
        }
        self.now.number += 1;
        let mut line = seal(&self.now).into_bytes();
        line.resize(DIGEST_BYTES, 0);
        let at = self.now.number % DIGEST_LINES as u64 * DIGEST_BYTES as u64;
        file.write(self.place.part(at, &line)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::storage::in_place::Part;
    use pixelmill_core::foreign_text::of_fixed_length;

    /// Two lines in memory, of which writes may be lost from some number on.
    #[derive(Default)]
    struct Lines(Mutex<Vec<u8>>);

    impl Lines {
        fn texts(&self) -> Vec<String> {
            let bytes = self.0.lock().unwrap();
            bytes.chunks_exact(DIGEST_BYTES).map(of_fixed_length).collect()
        }
    }

    impl InPlace for Lines {
        fn write(&self, part: Part<'_>) -> Result<()> {
            let mut all = self.0.lock().unwrap();
            all.resize(DIGEST_LINES * DIGEST_BYTES, 0);
            all[part.offset() as usize..part.end() as usize].copy_from_slice(part.bytes());
            Ok(())
        }

        fn read(&self, _: Extent, _: u64, _: &mut [u8]) -> Result<()> {
            Ok(())
        }

        fn sync(&self) -> Result<()> {
            Ok(())
        }
    }

    fn place() -> Extent {
        Extent::new(0, (DIGEST_LINES * DIGEST_BYTES) as u64).unwrap()
    }

    fn covered(ranges: &[Range<u64>]) -> Covered {
        Covered::of(ranges.iter().cloned())
    }

    fn digest(text: &str) -> RowsDigest {
        let mut digest = RowsDigest::default();
        digest.add_rows(0, [0], [text.as_bytes()]);
        digest
    }

    #[test]
    fn a_record_holds_before_and_after_a_batch_is_marked_but_not_in_between() {
        let lines = Lines::default();
        let mut ledger = Ledger::new(place(), Record::default());
        ledger.add(&lines, covered(&[0..10, 20..30]), digest("one")).unwrap();
        ledger.add(&lines, covered(&[10..11, 11..20]), digest("two")).unwrap();
        let mut both = digest("one");
        both += digest("two");
        let found = |marked: &[Range<u64>]| Record::among(&lines.texts(), covered(marked));
        assert_eq!(found(&[0..10, 20..30]).unwrap().digest, digest("one"));
        assert_eq!(found(&[0..1, 1..30]).unwrap().digest, both);
        assert!(found(&[0..15, 20..30]).is_none(), "killed between two marks");
        assert!(found(&[0..1, 1..20]).is_none(), "as many as after the first batch, but others");
        assert!(found(&[]).is_none(), "the first record is written over");
    }

    #[test]
    fn half_a_line_is_no_record() {
        let lines = Lines::default();
        let mut ledger = Ledger::new(place(), Record::default());
        ledger.add(&lines, covered(&[0..1, 1..10]), digest("one")).unwrap();
        ledger.add(&lines, covered(&[10..11, 11..20]), digest("two")).unwrap();
        lines.0.lock().unwrap()[90] ^= 1;
        assert!(Record::among(&lines.texts(), covered(&[0..1, 1..20])).is_none());
        assert_eq!(
            Record::among(&lines.texts(), covered(&[0..1, 1..10])).unwrap().digest,
            digest("one")
        );
    }

    #[test]
    fn what_is_taken_back_is_as_it_was() {
        let lines = Lines::default();
        let begin = Record::new(&[], covered(&[0..1, 1..5]), digest("before"));
        let mut ledger = Ledger::new(place(), begin);
        ledger.add(&lines, covered(&[5..6, 6..9]), digest("one")).unwrap();
        assert_eq!(ledger.of_run(), digest("one"));
        ledger.forget(&lines).unwrap();
        assert!(Record::among(&lines.texts(), covered(&[0..1, 1..9])).is_none());
        ledger.begin_again(&lines).unwrap();
        assert_eq!(
            Record::among(&lines.texts(), covered(&[0..1, 1..5])).unwrap().digest,
            digest("before")
        );
        let mut both = digest("before");
        both += digest("one");
        let left = Record::new(&[], covered(&[0..1, 1..9]), both)
            .without(covered(&[5..6, 6..9]), digest("one"));
        assert_eq!(left, Record::new(&[], covered(&[0..1, 1..5]), digest("before")));
    }

    #[test]
    fn of_no_positions_nothing_is_written() {
        let lines = Lines::default();
        let mut ledger = Ledger::new(place(), Record::default());
        ledger.add(&lines, covered(&[]), RowsDigest::default()).unwrap();
        ledger.conclude(&lines, Some("untouched".into())).unwrap();
        assert!(lines.texts().iter().all(String::is_empty));
        ledger.add(&lines, covered(&[0..1, 1..5]), digest("one")).unwrap();
        let [first, second] = [covered(&[0..1, 1..5]), covered(&[])]
            .map(|marked| Record::among(&lines.texts(), marked));
        assert_eq!((first.unwrap().number, second), (1, None));
    }

    #[test]
    fn evidence_goes_with_the_last_record_only() {
        let lines = Lines::default();
        let mut ledger = Ledger::new(place(), Record::default());
        ledger.add(&lines, covered(&[0..1, 1..5]), digest("one")).unwrap();
        ledger.conclude(&lines, Some("untouched".into())).unwrap();
        let evidence = || Record::among(&lines.texts(), covered(&[0..1, 1..5])).unwrap().evidence;
        assert_eq!(evidence().as_deref(), Some("untouched"));
        ledger.add(&lines, covered(&[5..6, 6..6]), digest("two")).unwrap();
        assert_eq!(Record::among(&lines.texts(), covered(&[0..1, 1..6])).unwrap().evidence, None);
    }

    #[test]
    fn lines_have_room_for_the_largest_numbers() {
        let mut record =
            Record { number: u64::MAX, evidence: Some("f".repeat(32)), ..Record::default() };
        record.covered = covered(&[u64::MAX / 2..u64::MAX / 2 + 1, u64::MAX / 2 + 1..u64::MAX]);
        assert!(seal(&record).len() < DIGEST_BYTES);
    }
}

//! Where a results group keeps why positions failed: lines of text, and for each position the
//! number of its line.
//!
//! While a run computes, a new reason gets a line of the second half, in the order in which they
//! come. At the end the reasons get lines of the first half, in the order of their texts, so that
//! the same results have the same bytes however they came about: `settle`. At every instant
//! between, the line that a position names says why it failed, also after a kill: a line is
//! written, and is where it survives, before any position names it, and is used for something else
//! only when none does any more.

use std::collections::BTreeMap;

use super::failures::{FailedPositions, Failures, OTHER_FAILURES, Reasons, reason};
use crate::storage::in_place::{Extent, InPlace};
use crate::storage::marks::{Marks, MarksInPlace, WINDOW, windows};
use crate::storage::results_group::{MESSAGE_BYTES, MESSAGE_LINES};
use pixelmill_core::error::Result;
use pixelmill_core::positions::Positions;

/// The first line of the second half; the first half has those from 1 on.
const SECOND_HALF: usize = MESSAGE_LINES / 2;
/// The line of all other reasons while a run computes.
const OTHERS: usize = MESSAGE_LINES - 1;

/// What lines positions have after a change, by the lines that they had before.
type Renumbering = [u8; MESSAGE_LINES];

/// The failed positions of a results group while it is computed.
pub(crate) struct FailureLines<'a> {
    file: &'a dyn InPlace,
    failed: MarksInPlace<'a>,
    messages: Extent,
    /// Whether what is written has to survive a power cut.
    durable: bool,
    texts: Vec<String>,
    /// How many positions have each line.
    uses: Vec<u64>,
    /// With the line of each, 0 before it has one.
    reasons: Reasons<usize>,
    /// For each window of positions, whether one of them may have a line.
    touched: Vec<bool>,
}

impl<'a> FailureLines<'a> {
    /// Those of a group in which nothing has failed yet, with the `texts` of its lines.
    pub fn new(
        file: &'a dyn InPlace,
        failed: MarksInPlace<'a>,
        (messages, mut texts): (Extent, Vec<String>),
        durable: bool,
    ) -> Self {
        texts.resize(MESSAGE_LINES, String::new());
        let touched = vec![false; failed.count().div_ceil(WINDOW) as usize];
        let (uses, reasons) = (vec![0; MESSAGE_LINES], Reasons::default());
        Self { file, failed, messages, durable, texts, uses, reasons, touched }
    }

    /// Takes over what has failed before. Lines of positions that aren't done by `status` mean
    /// nothing and are taken away, so that only what fails in the run gets one.
    ///
    /// # Errors
    /// If they can't be read or written.
    pub fn take_stock(&mut self, status: &Marks) -> Result<()> {
        self.touched.fill(true);
        self.each_touched(|first, lines| {
            if lines.iter().any(|line| *line != 0) {
                let mut done = vec![0; lines.len()];
                status.read(first, &mut done)?;
                lines.iter_mut().zip(done).filter(|(_, done)| *done == 0).for_each(|it| *it.0 = 0);
            }
            Ok(())
        })?;
        for line in 1..MESSAGE_LINES {
            let text = reason(&self.texts, line as u8);
            if self.uses[line] > 0
                && text != OTHER_FAILURES
                && let (Some(known @ 0), _) = self.reasons.admit(&text)
            {
                *known = line;
            }
        }
        Ok(())
    }

    /// Lists failed positions, which have no line yet.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn list(&mut self, failures: &Failures) -> Result<()> {
        for (text, positions) in failures.iter() {
            let is_kept = text != OTHER_FAILURES && self.reasons.admit(text).0.is_some();
            let line = self.line_of(if is_kept { text } else { OTHER_FAILURES })?;
            self.set(positions, line as u8)?;
        }
        Ok(())
    }

    /// The line of a reason that is kept, or of all others; a new one is written first.
    fn line_of(&mut self, text: &str) -> Result<usize> {
        if text == OTHER_FAILURES {
            if self.texts[OTHERS] != text {
                self.write_line(OTHERS, text)?;
            }
            return Ok(OTHERS);
        }
        let known = self.reasons.get(text).filter(|line| **line != 0);
        let line = match known {
            Some(line) => return Ok(*line),
            None => self.free_line()?,
        };
        self.write_line(line, text)?;
        self.reasons.put(text, line);
        Ok(line)
    }

    /// A line of the second half that nobody needs.
    fn free_line(&mut self) -> Result<usize> {
        if let Some(line) = self.find_free() {
            return Ok(line);
        }
        self.merge()?;
        // Reasons are fewer than lines, and each has only one now.
        Ok(self.find_free().expect("there are more lines than reasons that are kept"))
    }

    fn find_free(&self) -> Option<usize> {
        let is_taken = |line: usize| self.reasons.iter().any(|(_, taken)| *taken == line);
        (SECOND_HALF..OTHERS).find(|line| self.uses[*line] == 0 && !is_taken(*line))
    }

    /// Gives positions whose reason has lost its place the line of all others, and those of a
    /// reason the same line.
    fn merge(&mut self) -> Result<()> {
        let mut renumbering = same();
        for (line, new) in renumbering.iter_mut().enumerate().skip(1) {
            if self.uses[line] > 0 {
                *new = match self.reasons.get(&self.texts[line]) {
                    Some(0) => line as u8,
                    Some(line) => *line as u8,
                    None => self.line_of(OTHER_FAILURES)? as u8,
                };
            }
        }
        self.sync()?;
        self.renumber(&renumbering)
    }

    fn write_line(&mut self, line: usize, text: &str) -> Result<()> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(MESSAGE_BYTES, 0);
        self.file.write(self.messages.part((line * MESSAGE_BYTES) as u64, &bytes)?)?;
        self.texts[line] = text.to_owned();
        Ok(())
    }

    /// Gives positions the same line.
    fn set(&mut self, positions: &Positions, line: u8) -> Result<()> {
        for range in positions.ranges() {
            self.touched[(range.start / WINDOW) as usize] = true;
            self.uses[usize::from(line)] += range.end - range.start;
        }
        self.failed.set(positions, line)
    }

    /// The number of the line of each position, 0 of those that haven't failed.
    pub fn marks(&self) -> &Marks {
        &self.failed
    }

    /// The failed positions of all that are done by `status`.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn failed(&self, status: &Marks) -> Result<FailedPositions> {
        if self.uses.iter().all(|count| *count == 0) {
            return Ok(FailedPositions::default());
        }
        FailedPositions::read(status, &self.failed, &self.texts)
    }

    fn sync(&self) -> Result<()> {
        if self.durable { self.file.sync() } else { Ok(()) }
    }

    /// Shows `change` the lines of all positions in windows that have some, writes what it has
    /// changed, and counts them anew.
    fn each_touched(&mut self, mut change: impl FnMut(u64, &mut [u8]) -> Result<()>) -> Result<()> {
        self.uses.fill(0);
        for (number, window) in windows(self.failed.count()).enumerate() {
            if !self.touched[number] {
                continue;
            }
            let mut lines = vec![0; (window.end - window.start) as usize];
            self.failed.read(window.start, &mut lines)?;
            let before = lines.clone();
            change(window.start, &mut lines)?;
            if lines != before {
                self.failed.write(window.start, &lines)?;
            }
            self.touched[number] = lines.iter().any(|line| *line != 0);
            lines.iter().for_each(|line| self.uses[usize::from(*line)] += 1);
        }
        self.uses[0] = 0;
        Ok(())
    }

    fn renumber(&mut self, renumbering: &Renumbering) -> Result<()> {
        self.each_touched(|_, lines| {
            lines.iter_mut().for_each(|line| *line = renumbering[usize::from(*line)]);
            Ok(())
        })?;
        self.sync()
    }

    /// Gives every reason the line that it has in the end, whatever came before.
    ///
    /// # Errors
    /// If the file can't be read or written; the lines then say what they said before.
    pub fn settle(&mut self) -> Result<()> {
        let text_of = |line: usize| {
            let text = reason(&self.texts, line as u8);
            if self.reasons.get(&text).is_some() { text } else { OTHER_FAILURES.to_owned() }
        };
        let used: BTreeMap<usize, String> = (1..MESSAGE_LINES)
            .filter(|line| self.uses[*line] > 0)
            .map(|line| (line, text_of(line)))
            .collect();
        let mut texts: Vec<String> = used.values().cloned().collect();
        // The others come last, whatever they are called.
        texts.sort_by_cached_key(|text| (text == OTHER_FAILURES, text.clone()));
        texts.dedup();
        let line = |text: &String| 1 + texts.iter().position(|other| other == text).unwrap_or(0);
        let is_settled =
            used.iter().all(|(at, text)| *at == line(text) && self.texts[*at] == *text);
        if !is_settled {
            self.move_to_second_half()?;
            self.write_first_half(&texts)?;
            let mut renumbering = same();
            for (at, new) in renumbering.iter_mut().enumerate().skip(SECOND_HALF) {
                if self.uses[at] > 0 {
                    *new = line(&self.texts[at]) as u8;
                }
            }
            self.renumber(&renumbering)?;
        }
        let is_clean = self.texts.iter().skip(1 + texts.len()).all(String::is_empty);
        if is_clean { Ok(()) } else { self.wipe(1 + texts.len()) }
    }

    /// Lets no position have a line of the first half, nor one whose reason isn't kept.
    fn move_to_second_half(&mut self) -> Result<()> {
        let first_half = self.reasons.iter().filter(|(_, line)| **line < SECOND_HALF);
        let texts: Vec<String> = first_half.map(|(text, _)| text.to_owned()).collect();
        for text in texts {
            let line = self.free_line()?;
            self.write_line(line, &text)?;
            self.reasons.put(&text, line);
        }
        self.merge()
    }

    /// Writes the lines of the first half, which no position has.
    fn write_first_half(&mut self, texts: &[String]) -> Result<()> {
        for line in 1..SECOND_HALF {
            let text = texts.get(line - 1).map_or("", String::as_str);
            if self.texts[line] != text {
                self.write_line(line, text)?;
            }
        }
        self.sync()
    }

    /// Empties the lines from `first` on, which no position has.
    fn wipe(&mut self, first: usize) -> Result<()> {
        for line in first..MESSAGE_LINES {
            if !self.texts[line].is_empty() {
                self.write_line(line, "")?;
            }
        }
        Ok(())
    }
}

/// Whether lines are as `settle` leaves them: those that the `failed` positions have, and no
/// others.
pub(crate) fn are_settled(texts: &[String], failed: &FailedPositions) -> bool {
    let Some((first, lines)) = texts.split_first() else { return true };
    let used = lines.iter().position(String::is_empty).unwrap_or(lines.len());
    let in_order = |pair: &[String]| {
        let key = |text: &String| (text == OTHER_FAILURES, text.clone());
        key(&pair[0]) < key(&pair[1])
    };
    first.is_empty()
        && used < SECOND_HALF
        && lines[used..].iter().all(String::is_empty)
        && lines[..used].windows(2).all(in_order)
        && used == failed.reasons.len()
        && failed.reasons.iter().all(|(reason, _)| lines[..used].contains(reason))
}

fn same() -> Renumbering {
    std::array::from_fn(|line| line as u8)
}

//! Bytes that were written but aren't in the file yet, as disjoint runs by address.
//!
//! Pure: it knows neither files nor HDF5.

use std::collections::BTreeMap;
use std::ops::Range;

/// The kernel copies at least this much of a write before it looks whether the process is killed.
const PAGE: usize = 4096;

/// Runs of kept bytes; they never overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overlay {
    runs: BTreeMap<u64, Vec<u8>>,
    size: usize,
}

impl Overlay {
    /// Keeps `bytes` at `address`, over whatever was kept there.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = address + bytes.len() as u64;
        let touched: Vec<u64> = self
            .runs
            .range(..=end)
            .rev()
            .take_while(|(start, run)| *start + run.len() as u64 >= address)
            .map(|(start, _)| *start)
            .collect();
        let first = touched.last().map_or(address, |start| address.min(*start));
        let mut merged = self.take(first);
        for start in touched {
            let run = self.take(start);
            place(&mut merged, start - first, &run);
        }
        place(&mut merged, address - first, bytes);
        self.size += merged.len();
        self.runs.insert(first, merged);
    }

    fn take(&mut self, start: u64) -> Vec<u8> {
        let run = self.runs.remove(&start).unwrap_or_default();
        self.size -= run.len();
        run
    }

    /// Lays the kept bytes over `buffer`, which holds what the file has at `address`.
    pub fn cover(&self, address: u64, buffer: &mut [u8]) {
        let end = address + buffer.len() as u64;
        let reaches = |(start, run): &(&u64, &Vec<u8>)| **start + run.len() as u64 > address;
        for (start, run) in self.runs.range(..end).rev().take_while(reaches) {
            let run_end = start + run.len() as u64;
            let (from, to) = (address.max(*start), end.min(run_end));
            buffer[(from - address) as usize..(to - address) as usize]
                .copy_from_slice(&run[(from - start) as usize..(to - start) as usize]);
        }
    }

    /// The kept runs, by ascending address.
    pub fn runs(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.runs.iter().map(|(start, run)| (*start, run.as_slice()))
    }

    /// The parts of `bytes` of which nothing is kept.
    pub fn gaps(&self, bytes: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut from = bytes.start;
        for (start, run) in self.runs() {
            if start > from {
                gaps.push(from..start.min(bytes.end));
            }
            from = from.max(start + run.len() as u64);
        }
        gaps.push(from..bytes.end);
        gaps.retain(|gap| gap.start < gap.end);
        gaps
    }

    /// How many bytes are kept.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Only the stretches that differ from what `read(address, buffer)` finds, from their first
    /// changed byte to their last, so that a commit touches as little of the file as it can.
    /// Changes less than a page apart in one run stay together: a kill falls between writes rather
    /// than into one, and a checksum should change with what it covers. Nothing is ever added
    /// that was not kept: what lies between runs may be written by somebody else in the
    /// meantime.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn changes<E>(
        &self,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut changes = Self::default();
        for (start, run) in self.runs() {
            let mut present = vec![0; run.len()];
            read(start, &mut present)?;
            let differing = |from: usize| (from..run.len()).find(|at| run[*at] != present[*at]);
            let mut next = differing(0);
            while let Some(from) = next {
                let mut to = from + 1;
                next = differing(to);
                while let Some(at) = next.filter(|at| at - to < PAGE) {
                    to = at + 1;
                    next = differing(to);
                }
                changes.write(start + from as u64, &run[from..to]);
            }
        }
        Ok(changes)
    }
}

/// Copies `bytes` into `target` at `offset`, growing it as needed.
fn place(target: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if target.len() < to {
        target.resize(to, 0);
    }
    target[from..to].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_back_what_a_flat_array_would(
            writes in prop::collection::vec((0u64..200, prop::collection::vec(any::<u8>(), 0..40)), 0..30),
            (from, length) in (0u64..220, 0usize..60),
        ) {
            let file: Vec<u8> = (0..300).map(|index| index as u8).collect();
            let mut flat = file.clone();
            let mut overlay = Overlay::default();
            for (address, bytes) in &writes {
                overlay.write(*address, bytes);
                flat[*address as usize..*address as usize + bytes.len()].copy_from_slice(bytes);
            }
            let range = from as usize..from as usize + length;
            let mut seen = file[range.clone()].to_vec();
            overlay.cover(from, &mut seen);
            prop_assert_eq!(&seen, &flat[range]);

            let covered: Vec<bool> = (0..300u64)
                .map(|at| overlay.runs().any(|(start, run)| (start..start + run.len() as u64).contains(&at)))
                .collect();
            let within = from..from + length as u64;
            let gaps: Vec<u64> = overlay.gaps(&within).into_iter().flatten().collect();
            let free: Vec<u64> = within.filter(|at| !covered[*at as usize]).collect();
            prop_assert_eq!(gaps, free);

            let changes = overlay
                .changes(|at, buffer| {
                    buffer.copy_from_slice(&file[at as usize..at as usize + buffer.len()]);
                    Ok::<_, ()>(())
                })
                .unwrap();
            let mut patched = file.clone();
            changes.cover(0, &mut patched);
            prop_assert_eq!(&patched, &flat);
            for (start, run) in changes.runs() {
                let differs = |offset: usize| run[offset] != file[start as usize + offset];
                prop_assert!(differs(0) && differs(run.len() - 1));
                for offset in 0..run.len() {
                    let at = start + offset as u64;
                    let was_kept = |(address, bytes): &(u64, Vec<u8>)| {
                        (*address..*address + bytes.len() as u64).contains(&at)
                    };
                    prop_assert!(writes.iter().any(was_kept));
                }
            }
        }
    }
}

//! One small number for each position, read window by window: what is computed, why a position
//! failed, a mask.
//!
//! A scan may have so many positions that even a byte for each doesn't fit into memory. So nothing
//! here holds them all: who wants to know asks for a window, and a contiguous dataset is read past
//! HDF5.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::container::{Class, Dataset};
use super::in_place::{Extent, InPlace};
use super::npy::NpyArray;
use super::open_file::OpenFile;
use super::rows::Rows;
use super::tiles::Block;
use crate::region;
use crate::view::{Blocks, View};
use pixelmill_core::element::StoredType;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::positions::{Positions, runs};

/// Positions that are looked at together: so few that several windows stay in the processor's
/// cache, so many that a call of the system doesn't count.
pub(crate) const WINDOW: u64 = 1 << 16;

/// Elements of a row at most, where rows are read to get at single elements.
const ROW: u64 = 1 << 20;

/// A number of 0 to 255 for each position.
pub(crate) struct Marks {
    count: u64,
    kept: Kept,
}

enum Kept {
    /// 1 for the first so many, 0 for the others.
    Prefix(u64),
    /// Byte by byte.
    Extent {
        path: PathBuf,
        file: File,
        extent: Extent,
    },
    Stored(Box<Stored>),
}

/// Bytes for each position that are read and changed where they are.
pub(crate) struct MarksInPlace<'a> {
    file: &'a dyn InPlace,
    extent: Extent,
    marks: Marks,
}

/// What all marks together tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many positions are marked.
    pub count: u64,
    /// The sum of their numbers, modulo 2⁶⁴.
    pub sum: u64,
    /// How many positions are marked before the first that isn't.
    pub prefix: u64,
}

impl Summary {
    /// Of the marks from position `first` on, eight at a time: byte by byte it would take longer
    /// than reading them.
    pub fn of(first: u64, marks: &[u8]) -> Self {
        const ONES: u64 = u64::from_le_bytes([1; 8]);
        const STEPS: u64 = u64::from_le_bytes([7, 6, 5, 4, 3, 2, 1, 0]);
        let (words, rest) = marks.as_chunks::<8>();
        let (mut count, mut sum) = (0, 0u64);
        for (number, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            // The highest bit of each byte that isn't 0, as the lowest.
            let low = ONES * 0x7f;
            let ones = ((((word & low) + low) | word) >> 7) & ONES;
            // The highest byte of these products is a sum over all bytes.
            let marked = ones.wrapping_mul(ONES) >> 56;
            let steps = ones.wrapping_mul(STEPS) >> 56;
            let begin = first.wrapping_add(number as u64 * 8);
            sum = sum.wrapping_add(begin.wrapping_mul(marked)).wrapping_add(steps);
            count += marked;
        }
        let begin = first.wrapping_add(words.len() as u64 * 8);
        for (step, _) in (0..).zip(rest).filter(|(_, mark)| **mark != 0) {
            sum = sum.wrapping_add(begin).wrapping_add(step);
            count += 1;
        }
        let prefix = if count == marks.len() as u64 {
            count
        } else {
            marks.iter().position(|mark| *mark == 0).unwrap_or(marks.len()) as u64
        };
        Self { count, sum, prefix }
    }
}

/// Integers or truth values, however they are stored.
struct Stored {
    rows: Rows,
    shape: Vec<u64>,
    stored: StoredType,
    /// Elements of a row.
    per_row: u64,
    /// What was read last, of what is read by tiles.
    last: Mutex<Option<(u64, Arc<Block>)>>,
}

/// The windows of so many positions.
pub(crate) fn windows(count: u64) -> impl Iterator<Item = Range<u64>> + Clone {
    (0..count.div_ceil(WINDOW)).map(move |number| {
        let first = number * WINDOW;
        first..count.min(first + WINDOW)
    })
}

impl Marks {
    /// 1 for the first `done` of `count` positions.
    pub fn prefix(done: u64, count: u64) -> Self {
        Self { count, kept: Kept::Prefix(done) }
    }

    /// The bytes of `extent` in a file.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn within(file: OpenFile<'_>, extent: Extent) -> Result<Self> {
        let path = file.path.to_owned();
        let kept = Kept::Extent { path, file: file.duplicate("read")?, extent };
        Ok(Self { count: extent.len(), kept })
    }

    /// The elements of a dataset of a file, its last axis fastest: numbers
    /// above 255 and negative ones count as 255, enumerations as the integers that they are made
    /// of. `Ok(None)` if it holds neither integers nor truth values.
    ///
    /// # Errors
    /// If it can't be read at all.
    pub fn of(file: OpenFile<'_>, dataset: &Dataset) -> Result<Option<Self>> {
        let may_be = match dataset.class() {
            Class::Integer { .. } | Class::Enumeration => {
                [1, 2, 4, 8].contains(&dataset.element_bytes())
            }
            class => class == Class::Boolean,
        };
        let Some(stored) = dataset.stored_type().ok().filter(|_| may_be) else {
            return Ok(None);
        };
        let mut shape = region::lengths(&dataset.shape());
        let count = shape.iter().product();
        let mut axes = shape.len().min(1);
        while axes < shape.len() && shape[axes..].iter().product::<u64>() > ROW {
            axes += 1;
        }
        let per_row = shape[axes..].iter().product();
        let rows = Rows::new(file, dataset, View::new(shape.clone(), (0..axes).collect()))?;
        shape.truncate(axes);
        let last = Mutex::default();
        Ok(Some(Self {
            count,
            kept: Kept::Stored(Box::new(Stored { rows, shape, stored, per_row, last })),
        }))
    }

    /// The elements of an array of NumPy's, as [`Self::of`] takes those of a dataset.
    ///
    /// # Errors
    /// If it can't be read at all.
    pub fn of_array(array: &NpyArray) -> Result<Option<Self>> {
        let stored = array.stored;
        if !stored.element.is_integer() {
            return Ok(None);
        }
        let shape = region::lengths(&array.shape);
        let count = shape.iter().product();
        let (view, shape) = if array.is_fortran {
            (View::new(array.lying_shape(), (0..shape.len()).rev().collect()), shape)
        } else {
            (View::new(vec![count], vec![0]), vec![count])
        };
        let (rows, last) = (array.rows(view)?, Mutex::default());
        let stored = Stored { rows, shape, stored, per_row: 1, last };
        Ok(Some(Self { count, kept: Kept::Stored(Box::new(stored)) }))
    }

    /// How many positions there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Fills `marks` with those from position `first` on; where there are none, with 0.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn read(&self, first: u64, marks: &mut [u8]) -> Result<()> {
        let there = self.count.saturating_sub(first).min(marks.len() as u64) as usize;
        let (marks, beyond) = marks.split_at_mut(there);
        beyond.fill(0);
        match &self.kept {
            Kept::Prefix(done) => {
                let ones = done.saturating_sub(first).min(marks.len() as u64) as usize;
                marks[..ones].fill(1);
                marks[ones..].fill(0);
                Ok(())
            }
            Kept::Extent { path, file, extent } => {
                extent.read(file, first, marks).map_err(|error| Error::io("read", path, error))
            }
            Kept::Stored(stored) => stored.read(first, marks),
        }
    }

    /// What all of them together tell.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn summary(&self) -> Result<Summary> {
        let mut all = Summary::default();
        self.each_window(|first, marks| {
            let part = Summary::of(first, marks);
            if all.prefix == first {
                all.prefix += part.prefix;
            }
            all.count += part.count;
            all.sum = all.sum.wrapping_add(part.sum);
            true
        })?;
        Ok(all)
    }

    /// How many positions from `first` on are marked before the first that isn't.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn run_from(&self, first: u64) -> Result<u64> {
        let mut length = 0;
        let mut marks = vec![0; WINDOW as usize];
        while first + length < self.count {
            let at = first + length;
            let part = &mut marks[..(self.count - at).min(WINDOW) as usize];
            self.read(at, part)?;
            match part.iter().position(|mark| *mark == 0) {
                Some(gap) => return Ok(length + gap as u64),
                None => length += part.len() as u64,
            }
        }
        Ok(length)
    }

    /// Shows `each` window, with its first position, as long as it returns true.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn each_window(&self, mut each: impl FnMut(u64, &[u8]) -> bool) -> Result<()> {
        let mut marks = vec![0; self.count.min(WINDOW) as usize];
        for window in windows(self.count) {
            let part = &mut marks[..(window.end - window.start) as usize];
            self.read(window.start, part)?;
            if !each(window.start, part) {
                break;
            }
        }
        Ok(())
    }

    /// Bytes of memory that reading takes at most, besides the windows.
    pub fn memory(&self) -> u64 {
        let Kept::Stored(stored) = &self.kept else { return 0 };
        let read = WINDOW.min(self.count) * stored.stored.element.size() as u64
            + 2 * stored.rows.row_bytes() as u64;
        read + stored.rows.memory_alone() * 2
    }
}

impl<'a> MarksInPlace<'a> {
    /// The bytes of `extent` in a file, which is open for reading as `raw`.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new(file: &'a dyn InPlace, raw: OpenFile<'_>, extent: Extent) -> Result<Self> {
        Ok(Self { file, extent, marks: Marks::within(raw, extent)? })
    }

    /// Writes the marks from position `first` on.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, first: u64, marks: &[u8]) -> Result<()> {
        self.file.write(self.extent.part(first, marks)?)
    }

    /// Gives some positions the same mark. Where there are many near each other, those between are
    /// written as they were: nobody else may change them meanwhile.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn set(&self, positions: &Positions, mark: u8) -> Result<()> {
        let mut ranges = positions.ranges().peekable();
        while let Some(first) = ranges.next() {
            let window = first.start / WINDOW;
            let mut together = vec![first.clone()];
            while let Some(next) = ranges.next_if(|next| next.start / WINDOW == window) {
                together.push(next);
            }
            let end = together.last().map_or(first.end, |last| last.end);
            let mut marks = vec![mark; (end - first.start) as usize];
            if together.len() > 1 {
                self.marks.read(first.start, &mut marks)?;
                runs::mark(together, first.start, &mut marks, mark);
            }
            self.write(first.start, &marks)?;
        }
        Ok(())
    }

    /// Gives just these positions a mark, and says whether that changed anything.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn replace(&self, positions: &Positions) -> Result<bool> {
        let mut is_changed = false;
        for window in windows(self.marks.count()) {
            let mut marks = vec![0; (window.end - window.start) as usize];
            positions.mark(window.start, &mut marks, 1);
            let mut found = vec![0; marks.len()];
            self.marks.read(window.start, &mut found)?;
            if found != marks {
                self.write(window.start, &marks)?;
                is_changed = true;
            }
        }
        Ok(is_changed)
    }

    /// The file.
    pub fn file(&self) -> &'a dyn InPlace {
        self.file
    }

    /// Brings what was written to where it survives a power cut.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}

impl Deref for MarksInPlace<'_> {
    type Target = Marks;

    fn deref(&self) -> &Marks {
        &self.marks
    }
}

impl Stored {
    fn read(&self, first: u64, marks: &mut [u8]) -> Result<()> {
        if marks.is_empty() {
            return Ok(());
        }
        let size = self.stored.element.size();
        let end = first + marks.len() as u64;
        let rows = first / self.per_row..end.div_ceil(self.per_row);
        if size == 1 && self.per_row == 1 {
            return self.read_rows(&rows, marks);
        }
        let mut bytes = vec![0; (rows.end - rows.start) as usize * self.rows.row_bytes()];
        self.read_rows(&rows, &mut bytes)?;
        let begin = (first - rows.start * self.per_row) as usize * size;
        let elements = bytes[begin..].chunks_exact(size);
        for (mark, element) in marks.iter_mut().zip(elements) {
            *mark = small(element, self.stored.swapped);
        }
        Ok(())
    }

    fn read_rows(&self, run: &Range<u64>, mut bytes: &mut [u8]) -> Result<()> {
        let Some(tiles) = self.rows.tiles() else {
            return self.rows.read_into(std::slice::from_ref(run), bytes);
        };
        let cells = Blocks::new(&self.shape, &tiles.cell(), &tiles.cell());
        let mut row = run.start;
        while row < run.end {
            let (cell, end) = cells.holding_until(row);
            let end = run.end.min(end);
            let (part, rest) = bytes.split_at_mut((end - row) as usize * self.rows.row_bytes());
            self.block(&cells, cell)?.read_into(std::slice::from_ref(&(row..end)), part)?;
            (bytes, row) = (rest, end);
        }
        Ok(())
    }

    /// The block of a cell, read once for all windows that follow each other.
    fn block(&self, cells: &Blocks, cell: u64) -> Result<Arc<Block>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = last.as_ref().filter(|(known, _)| *known == cell) {
            return Ok(Arc::clone(block));
        }
        // First: two of them may be more than there is memory for.
        *last = None;
        let block = self.rows.block(cells.region(cell));
        let block = block.expect("only what is read by tiles is read by blocks");
        *last = Some((cell, Arc::clone(&block)));
        Ok(block)
    }
}

/// An integer as a number of 0 to 255.
fn small(element: &[u8], swapped: bool) -> u8 {
    let (low, high) = match (swapped == cfg!(target_endian = "big"), element) {
        (true, [low, high @ ..]) | (false, [high @ .., low]) => (*low, high),
        _ => (0, element),
    };
    if high.iter().all(|byte| *byte == 0) { low } else { u8::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::container::{Elements, Storing};
    use crate::storage::memory::Memory;
    use pixelmill_core::element::ElementType;
    use proptest::prelude::*;

    fn all(marks: &Marks) -> Vec<u8> {
        let mut found = vec![7; marks.count() as usize];
        marks.read(0, &mut found).unwrap();
        for (first, end) in [(0, 1), (3, 5), (5, found.len())] {
            let mut part = vec![7; end - first];
            marks.read(first as u64, &mut part).unwrap();
            assert_eq!(part, found[first..end]);
        }
        found
    }

    #[test]
    fn numbers_of_a_dataset_are_marks_in_the_order_of_its_last_axis() {
        let memory = Memory::new();
        let numbers = [0i64, 1, 255, 256, -1, 3, 0, 65536];
        let integers = Elements::Number(ElementType::Int64);
        let dataset = memory.root().create_dataset("marks", &integers, &[2, 4], Storing::Late);
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        dataset.as_ref().unwrap().write_rows(0, &bytes).unwrap();
        let file = memory.opened();
        let marks = Marks::of(file.handle(), &dataset.unwrap()).unwrap().unwrap();
        assert_eq!(all(&marks), [0, 1, 255, 255, 255, 3, 0, 255]);
        let floats = Elements::Number(ElementType::Float32);
        let other = memory.root().create_dataset("other", &floats, &[6], Storing::Late).unwrap();
        assert!(Marks::of(file.handle(), &other).unwrap().is_none());
        memory.fail("read /marks");
        let dataset = memory.root().dataset("marks").unwrap();
        let refused = Marks::of(file.handle(), &dataset).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("read /marks fails"), "{refused}");
    }

    proptest! {
        #[test]
        fn marks_are_summed_up_as_one_by_one(
            marks in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..100),
            first in 0u64..1 << 62,
        ) {
            let marked = || (0..marks.len()).filter(|at| marks[*at] != 0);
            let expected = Summary {
                count: marked().count() as u64,
                sum: marked().fold(0, |sum, at| sum.wrapping_add(first.wrapping_add(at as u64))),
                prefix: marks.iter().take_while(|mark| **mark != 0).count() as u64,
            };
            prop_assert_eq!(Summary::of(first, &marks), expected);
        }
    }

    #[test]
    fn what_is_marked_is_counted_window_by_window() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("bytes");
        let mut bytes = vec![1u8; 2 * WINDOW as usize + 10];
        bytes[WINDOW as usize + 3] = 0;
        std::fs::write(&path, [&[9; 5][..], &bytes].concat()).unwrap();
        let extent = Extent::new(5, bytes.len() as u64).unwrap();
        let file = File::open(&path).unwrap();
        let marks = Marks::within(OpenFile::new(&path, &file), extent).unwrap();
        let all_but_one = (0..bytes.len() as u64).sum::<u64>() - (WINDOW + 3);
        let expected =
            Summary { count: bytes.len() as u64 - 1, sum: all_but_one, prefix: WINDOW + 3 };
        assert_eq!(marks.summary().unwrap(), expected);
        assert_eq!(marks.run_from(0).unwrap(), WINDOW + 3);
        assert_eq!(marks.run_from(WINDOW + 3).unwrap(), 0);
        assert_eq!(marks.run_from(WINDOW + 4).unwrap(), WINDOW + 6);
        let prefix = Marks::prefix(3, 5);
        assert_eq!(all(&prefix), [1, 1, 1, 0, 0]);
        assert_eq!(prefix.summary().unwrap(), Summary { count: 3, sum: 3, prefix: 3 });
        assert_eq!(prefix.run_from(1).unwrap(), 2);
    }
}

//! Results per position that are made at the end: of the results of all positions that are in, and
//! for those of them for which they are valid.
//!
//! What isn't in has no results that others could be made of, whatever the file has there: workers
//! write results of units that aren't merged yet. So `finish` sees it as missing, and what it makes
//! for such positions, or for those that a mask leaves out, becomes missing as well.

use crate::engine::batch::Batch;
use crate::storage::marks::Marks;
use pixelmill_core::error::Result;
use pixelmill_core::kernel::{Accumulator, BufferLayout, Role};

/// What they are made of.
pub(super) struct MadeOf<'r> {
    /// Reads what all positions have in a results dataset.
    pub read: &'r dyn Fn(usize, &mut [u8]) -> Result<()>,
    /// Puts 1 for each position that is in, where 0 is.
    pub mark: &'r dyn Fn(&mut [u8]) -> Result<()>,
}

/// What of the positions before is marked in a results group, and what of that has failed.
#[derive(Clone, Copy)]
pub(crate) struct Marked<'m> {
    pub status: &'m Marks,
    pub failed: &'m Marks,
}

impl Marked<'_> {
    /// Puts 1 for each position that is in, of these and those of some batches.
    pub fn mark<'b>(
        self,
        batches: impl Iterator<Item = &'b Batch>,
        is_in: &mut [u8],
    ) -> Result<()> {
        self.status.read(0, is_in)?;
        self.failed.each_window(|first, lines| {
            let window = &mut is_in[first as usize..][..lines.len()];
            let failed = window.iter_mut().zip(lines).filter(|(_, line)| **line != 0);
            failed.for_each(|(mark, _)| *mark = 0);
            true
        })?;
        mark_folded(batches, is_in);
        Ok(())
    }
}

/// Puts 1 for each position of some batches that hasn't failed.
pub(super) fn mark_folded<'b>(batches: impl Iterator<Item = &'b Batch>, is_in: &mut [u8]) {
    for batch in batches {
        batch.positions.mark(0, is_in, 1);
        batch.failures.iter().for_each(|(_, positions)| positions.mark(0, is_in, 0));
    }
}

/// Those of an accumulator: the numbers of their datasets, and all rows.
pub(super) fn ends<'l>(
    layouts: &'l [BufferLayout],
    all: &'l Accumulator,
) -> impl Iterator<Item = (usize, &'l BufferLayout, &'l [u8])> {
    let columns = layouts.iter().zip(all.bytes()).filter(|(layout, _)| layout.is_column());
    let made = |(_, (layout, _)): &(usize, (&BufferLayout, &[u8]))| layout.is_at_end();
    columns.enumerate().filter(made).map(|(dataset, (layout, rows))| (dataset, layout, rows))
}

/// Puts what they are made of into an accumulator that has room for so many positions; gives 1 for
/// each of these that is in.
pub(super) fn gather(
    layouts: &[BufferLayout],
    (all, positions): (&mut Accumulator, usize),
    made_of: &MadeOf<'_>,
) -> Result<Vec<u8>> {
    let mut is_in = vec![0; positions];
    (made_of.mark)(&mut is_in)?;
    let columns = layouts.iter().zip(all.bytes_mut()).filter(|(layout, _)| layout.is_column());
    for (dataset, (layout, rows)) in columns.enumerate() {
        match layout.role {
            Role::Published => {
                (made_of.read)(dataset, rows)?;
                leave_out(layout, rows, &is_in);
            }
            Role::Mask => {
                let each = rows.chunks_exact_mut(layout.each).zip(&is_in);
                each.for_each(|(valid, is_in)| valid.fill(*is_in));
            }
            Role::Private | Role::AtEnd => {}
        }
    }
    Ok(is_in)
}

/// Leaves in an accumulator only what is valid: masks say nothing of positions that aren't in.
pub(super) fn narrow(layouts: &[BufferLayout], all: &mut Accumulator, is_in: &[u8]) {
    let mut buffers: Vec<&mut [u8]> = all.bytes_mut().collect();
    let is_mask = |(layout, _): &(&BufferLayout, _)| layout.role == Role::Mask;
    for (layout, mask) in layouts.iter().zip(&mut buffers).filter(is_mask) {
        for (valid, is_in) in mask.chunks_exact_mut(layout.each).zip(is_in) {
            valid.iter_mut().for_each(|valid| *valid = u8::from(*valid != 0 && *is_in != 0));
        }
    }
    for (number, layout) in layouts.iter().enumerate() {
        if !layout.is_column() || layout.role != Role::AtEnd {
            continue;
        }
        match layout.mask.map(|mask| buffers.get_disjoint_mut([number, mask])) {
            Some(both) => {
                let [rows, mask] = both.expect("a mask is declared before what is valid in it");
                leave_out(layout, rows, mask);
            }
            None => leave_out(layout, buffers[number], is_in),
        }
    }
}

/// Makes the rows missing where a mask has 0: one for each of them.
fn leave_out(layout: &BufferLayout, rows: &mut [u8], mask: &[u8]) {
    let each = rows.len() / mask.len().max(1);
    let rows = rows.chunks_exact_mut(each.max(1)).zip(mask);
    rows.filter(|(_, valid)| **valid == 0).for_each(|(row, _)| layout.column.fill_missing(row));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RowsDigest;
    use crate::storage::in_place::Extent;
    use crate::storage::open_file::OpenFile;
    use pixelmill_core::ElementType;
    use pixelmill_core::failure::Failure;
    use pixelmill_core::fold_kernel_of;
    use pixelmill_core::kernel::{Parts, Prepared};
    use pixelmill_core::process::{NoParameters, SourceInfo};
    use pixelmill_core::reduction::{Buffer, Buffers, Reduction};

    /// What two neighbours have more than each other, and what is made of one alone.
    struct Steps;

    struct Task {
        given: Buffer<f32>,
        steps: Buffer<i32>,
        halves: Buffer<f64>,
        valid: Buffer<u8>,
    }

    impl Reduction for Steps {
        const NAME: &'static str = "Steps";
        const VERSION: u32 = 1;
        type Parameters = NoParameters;
        type Input = f64;
        type Task = Task;
        type Scratch = ();

        fn prepare(
            _: &NoParameters,
            _: &SourceInfo,
            buffers: &mut Buffers,
        ) -> Result<Task, Failure> {
            let valid = buffers.mask("Valid");
            Ok(Task {
                given: buffers.per_position("Given").published("", ""),
                steps: buffers.per_position("Steps").valid_in(valid).at_end("", ""),
                halves: buffers.per_position("Halves").at_end("", ""),
                valid,
            })
        }

        fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
            Ok(())
        }

        fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
            let (given, steps, halves, valid) =
                all.of((task.given, task.steps, task.halves, task.valid));
            let is_in = valid.to_vec();
            for (at, valid) in valid.iter_mut().enumerate() {
                halves[at] = f64::from(given[at]) / 2.0;
                steps[at] = 7;
                // More than it may say where nothing is in.
                *valid = 2;
                match given.get(at + 1).filter(|_| is_in.get(at + 1) == Some(&1)) {
                    Some(next) => steps[at] = (next - given[at]) as i32,
                    None => *valid = 0,
                }
            }
            Ok(())
        }
    }

    fn source() -> SourceInfo {
        let (positions, spectral_points) = (6, 1);
        SourceInfo {
            path: "/data".to_owned(),
            positions,
            spectral_points,
            element: ElementType::Float64,
            is_corrected: false,
            quantity: String::new(),
            units: String::new(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: Vec::new(),
            auxiliary: Vec::new(),
            constants: Vec::new(),
            selected: None,
        }
    }

    fn made(kernel: &dyn Prepared, rows: &[f32], is_in: &[u8]) -> (Vec<f64>, Vec<i32>, Vec<u8>) {
        let fold = kernel.fold().unwrap();
        let (layouts, mut all) = (fold.buffers(), Accumulator::default());
        all.clear(layouts, 0);
        all.with_ends(layouts, rows.len());
        let read = |dataset: usize, bytes: &mut [u8]| {
            assert_eq!(layouts[dataset].column.name, "Given");
            bytes.copy_from_slice(bytemuck::cast_slice(rows));
            Ok(())
        };
        let mark = |mask: &mut [u8]| {
            mask.copy_from_slice(is_in);
            Ok(())
        };
        let made_of = MadeOf { read: &read, mark: &mark };
        let found = gather(layouts, (&mut all, rows.len()), &made_of).unwrap();
        fold.finish(&mut all.parts()).unwrap();
        narrow(layouts, &mut all, &found);
        let of = |name: &str| {
            ends(layouts, &all)
                .find(|(_, layout, _)| layout.column.name == name)
                .unwrap()
                .2
                .to_vec()
        };
        (
            of("Halves").as_chunks().0.iter().map(|bytes| f64::from_ne_bytes(*bytes)).collect(),
            of("Steps").as_chunks().0.iter().map(|bytes| i32::from_ne_bytes(*bytes)).collect(),
            of("Valid"),
        )
    }

    #[test]
    fn what_has_failed_is_not_in_whether_it_is_marked_or_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("failed");
        std::fs::write(&path, [0, 3, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let opened = OpenFile::new(&path, &file);
        let failed = Marks::within(opened, Extent::new(0, 9).unwrap()).unwrap();
        let marked = Marked { status: &Marks::prefix(3, 9), failed: &failed };
        let why = Failure::new("no spectrum");
        let batches = [
            Batch::of(&[3..4, 4..5], &[(1, why)], RowsDigest::default()),
            Batch::of(&[6..7, 8..9], &[], RowsDigest::default()),
        ];
        let mut is_in = [0; 9];
        marked.mark(batches.iter(), &mut is_in).unwrap();
        assert_eq!(is_in, [1, 0, 1, 1, 0, 0, 1, 0, 1]);
    }

    #[test]
    fn what_is_made_of_positions_that_are_not_in_is_missing() {
        let kernel = fold_kernel_of::<Steps>(&NoParameters {}).unwrap().prepare(&source()).unwrap();
        // What isn't in may have anything in the file.
        let rows = [1.0, 3.0, 6.0, 99.0, 15.0, 21.0];
        let (halves, steps, valid) = made(&*kernel, &rows, &[1, 1, 1, 0, 1, 1]);
        assert!(halves[3].is_nan());
        assert_eq!((&halves[..3], &halves[4..]), (&[0.5, 1.5, 3.0][..], &[7.5, 10.5][..]));
        assert_eq!(valid, [1, 1, 0, 0, 1, 0]);
        assert_eq!(steps, [2, 3, 0, 0, 6, 0]);
        let (halves, steps, valid) = made(&*kernel, &rows, &[0; 6]);
        assert!(halves.iter().all(|half| half.is_nan()));
        assert_eq!((steps, valid), (vec![0; 6], vec![0; 6]));
    }
}

//! The spectra of some positions, taken out of a scan: LiberTEM's `PickUDF`.
//!
//! `Spectra` has the spectra of the selected positions in the order of the scan, each once, as they
//! are: in the file's element type and units, on the axes of a spectrum behind one of the numbers
//! of the positions. Only the units that hold them are read. Values of 16 bits in floating point
//! come in single precision, which holds them all; what is corrected is computed, and comes in
//! double precision. `Positions` are the numbers once more, to the last digit, and `Coordinates`
//! where the spectra were measured, on the axes of the scan. A position that failed is there
//! without values: NaN, or 0 for integers. Shapes: n positions of spectra of shape (…) give (n, …),
//! (n), and (n, axes of the scan).
//!
//! All of them are held in memory several times until they are written, so it is for some spectra;
//! a part of the axes is taken by a crop.

use std::ops::Range;

use num_complex::{Complex32, Complex64};
use pixelmill_core::buffers::Declaration;
use pixelmill_core::positions::Positions;
use pixelmill_core::process::{AxisValues, Dimension, Failure, NoParameters, SourceInfo};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use pixelmill_core::{Element, ElementType};

use crate::as_source;

/// Positions that are picked at most.
const MOST: u64 = 1 << 20;

/// The reduction `Pick`.
pub struct Pick;

/// Which positions are picked, and where what they have goes.
pub struct Task {
    /// Their numbers, ascending.
    positions: Vec<u64>,
    points: usize,
    spectra: Box<dyn Spectra>,
    /// Whether each is in.
    is_in: Buffer<u8>,
    numbers: Buffer<u64>,
    coordinates: Option<(Buffer<f64>, usize)>,
}

impl Task {
    /// Which of those that are picked each of a tile is. Who only tries something out may fold
    /// others.
    fn rows<'a>(&'a self, positions: &'a [u64]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let found = positions.iter().map(|position| self.positions.binary_search(position));
        found.enumerate().filter_map(|(index, row)| Some((index, row.ok()?)))
    }
}

/// Spectra in one element type or another, one behind the other.
trait Spectra: Send + Sync {
    /// Takes what a tile has of some.
    fn take(&self, task: &Task, tile: &mut Tile<'_, Complex64>, parts: &mut Parts<'_>);
    /// Takes one of another unit.
    fn take_over(&self, of: Range<usize>, into: &mut Parts<'_>, from: &mut Parts<'_>);
    /// Leaves one without values.
    fn leave_out(&self, of: Range<usize>, all: &mut Parts<'_>);
}

impl<S: Element> Spectra for (Buffer<S>, bool) {
    fn take(&self, task: &Task, tile: &mut Tile<'_, Complex64>, parts: &mut Parts<'_>) {
        let (buffer, is_stored) = *self;
        let (positions, points) = (tile.positions(), tile.points());
        let stretches: Vec<Range<usize>> = tile.stretches().collect();
        let all = parts.get(buffer);
        let mut put = |row: usize, mut values: &[S]| {
            let own = &mut all[row * task.points..][..task.points];
            for stretch in &stretches {
                let (here, rest) = values.split_at(stretch.len());
                own[stretch.clone()].copy_from_slice(here);
                values = rest;
            }
        };
        if is_stored && let Some(values) = tile.stored_as::<S>() {
            for (index, row) in task.rows(positions) {
                let values = values.row(index);
                put(row, values.to_slice().expect("the values of a row lie side by side"));
            }
            return;
        }
        let mut values = Vec::new();
        tile.convert_to::<S>(&mut values);
        task.rows(positions).for_each(|(index, row)| put(row, &values[index * points..][..points]));
    }

    fn take_over(&self, of: Range<usize>, into: &mut Parts<'_>, from: &mut Parts<'_>) {
        into.get(self.0)[of.clone()].copy_from_slice(&from.get(self.0)[of]);
    }

    fn leave_out(&self, of: Range<usize>, all: &mut Parts<'_>) {
        all.get(self.0)[of].fill(S::MISSING);
    }
}

/// Declares them in the type that has all values: the file's, if it stores what is computed with.
fn declared(declaration: Declaration<'_>, source: &SourceInfo) -> Box<dyn Spectra> {
    let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
    macro_rules! in_type {
        ($($name:ident $type:ty),+) => {
            match source.given() {
                $(Some(ElementType::$name) => {
                    Box::new((declaration.published::<$type>(quantity, units), true))
                })+
                Some(ElementType::Float16 | ElementType::BFloat16) => {
                    Box::new((declaration.published::<f32>(quantity, units), false))
                }
                None if source.element.is_complex() => {
                    Box::new((declaration.published::<Complex64>(quantity, units), false))
                }
                None => Box::new((declaration.published::<f64>(quantity, units), false)),
            }
        };
    }
    in_type!(
        UInt8 u8, UInt16 u16, UInt32 u32, UInt64 u64, Int8 i8, Int16 i16, Int32 i32, Int64 i64,
        Float32 f32, Float64 f64, Complex64 Complex32, Complex128 Complex64
    )
}

/// Declares where spectra were measured, on all axes of the scan, if it has any.
fn declared_coordinates(
    buffers: &mut Buffers,
    rows: Dimension,
    source: &SourceInfo,
) -> Option<(Buffer<f64>, usize)> {
    let axes = &source.position_dimensions;
    let first = axes.first()?;
    let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
    // Units of several axes are theirs only if they are the same.
    let units = if axes.iter().all(|axis| axis.units == first.units) { &*first.units } else { "" };
    let of_scan = Dimension::new("Axis", "", AxisValues::counted(axes.len()));
    let declaration = buffers.single("Coordinates").along(vec![rows, of_scan]);
    Some((declaration.published(&names.join(", "), units), axes.len()))
}

impl Reduction for Pick {
    const NAME: &'static str = "Pick";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "the spectra of some positions, as they are";
    const COORDINATES: bool = true;
    const SELECTION: bool = true;
    const STORED: bool = true;

    type Parameters = NoParameters;
    type Input = Complex64;
    type Task = Task;
    type Scratch = ();

    fn prepare(
        _: &NoParameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let selected = source.selected.as_ref();
        let count = selected.map_or(0, Positions::count);
        if count > MOST {
            return Err(Failure::new(format!(
                "{count} positions are more than the {MOST} that can be picked at a time"
            )));
        }
        let positions: Vec<u64> =
            selected.into_iter().flat_map(Positions::ranges).flatten().collect();
        let numbers: Vec<f64> = positions.iter().map(|position| *position as f64).collect();
        let rows = Dimension::new("Position", "", numbers);
        let axes = [vec![rows.clone()], as_source::axes(source)].concat();
        let spectra = declared(buffers.single("Spectra").along(axes), source);
        let is_in = buffers.single("In").along(vec![rows.clone()]).private();
        let numbers = buffers.single("Positions").along(vec![rows.clone()]).at_end("Position", "");
        let coordinates = declared_coordinates(buffers, rows, source);
        let points = source.spectral_points;
        Ok(Task { positions, points, spectra, is_in, numbers, coordinates })
    }

    fn shared_memory(task: &Task) -> usize {
        // The numbers, and the same as values of an axis.
        2 * size_of_val(task.positions.as_slice())
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, Complex64>,
        parts: &mut Parts<'_>,
        (): &mut (),
    ) -> Result<(), Failure> {
        task.spectra.take(task, tile, parts);
        for (index, row) in task.rows(tile.positions()) {
            parts.get(task.is_in)[row] = 1;
            if let Some((coordinates, axes)) = task.coordinates {
                let own = &mut parts.get(coordinates)[row * axes..][..axes];
                own.iter_mut()
                    .zip(tile.coordinates(index).values())
                    .for_each(|(own, at)| *own = at);
            }
        }
        Ok(())
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        for row in 0..task.positions.len() {
            if from.get(task.is_in)[row] == 0 {
                continue;
            }
            into.get(task.is_in)[row] = 1;
            task.spectra.take_over(row * task.points..(row + 1) * task.points, into, from);
            if let Some((coordinates, axes)) = task.coordinates {
                let of = row * axes..(row + 1) * axes;
                into.get(coordinates)[of.clone()].copy_from_slice(&from.get(coordinates)[of]);
            }
        }
        Ok(())
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        all.get(task.numbers).copy_from_slice(&task.positions);
        for row in 0..task.positions.len() {
            if all.get(task.is_in)[row] != 0 {
                continue;
            }
            task.spectra.leave_out(row * task.points..(row + 1) * task.points, all);
            if let Some((coordinates, axes)) = task.coordinates {
                all.get(coordinates)[row * axes..(row + 1) * axes].fill(f64::NAN);
            }
        }
        Ok(())
    }
}

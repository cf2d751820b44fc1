//! Looking before: one position computed without a trace.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Request;
use super::data::Data;
use super::fold::{Again, again, check_merge, first_pass};
use super::job::Job;
use super::pending::Pending;
use super::selection::{OpenRange, Selected, Selection};
use crate::region;
use crate::storage::file::open_read;
use crate::storage::marks::Marks;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::column_layout::ColumnLayout;
use pixelmill_core::contribution::UnitResults;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::Failure;
use pixelmill_core::kernel::{Kernel, SeenSpectrum};
use pixelmill_core::model::{Model, Values};
use pixelmill_core::source_info::SourceInfo;

/// The results of one position.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The position.
    pub position: u64,
    /// Its steps and the axes of the scan, slowest first.
    pub place: Vec<(Dimension, u32)>,
    /// All values of all results datasets.
    pub values: Vec<ProbeValue>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The axis of a spectrum; it counts points where the fastest axis of a row has another
    /// length.
    pub axis: Dimension,
    /// The axes of a spectrum that is a frame: that of its rows, and that of its columns.
    pub frame: Option<(Dimension, Dimension)>,
    /// What was measured.
    pub quantity: String,
    /// Its units.
    pub units: String,
    /// What was measured there, spectrum by spectrum; nothing if it can't be read.
    pub spectra: Vec<ProbeSpectrum>,
}

/// One spectrum of a probe.
#[derive(Clone, Debug)]
pub struct ProbeSpectrum {
    /// Its steps on the axes that tell the spectra of a position apart, slowest first.
    pub place: Vec<(Dimension, u32)>,
    /// The values that were computed with.
    pub data: Values,
    /// What the result says that they are, or why it says nothing.
    pub model: Result<Model, Failure>,
}

/// One results dataset of a probe.
#[derive(Clone, Debug)]
pub struct ProbeValue {
    /// Name of the dataset, with that of the field for records.
    pub name: String,
    /// What it holds.
    pub quantity: String,
    /// Its units.
    pub units: String,
    /// The numbers, real parts before imaginary ones.
    pub numbers: Vec<f64>,
    /// The same as they are, since large integers are none of these numbers.
    pub bytes: Vec<u8>,
    /// Their element type.
    pub element: ElementType,
}

/// Which position to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixel {
    /// Its number.
    Number(u64),
    /// Its step on every axis of the scan, slowest first.
    Steps(Vec<u32>),
}

impl Pixel {
    /// It alone.
    fn selection(&self) -> Selection {
        match self {
            Self::Number(position) => Selection::Several(vec![OpenRange::single(*position)]),
            Self::Steps(steps) => {
                let steps = steps.iter().map(|step| OpenRange::single(u64::from(*step)));
                Selection::Steps(steps.collect())
            }
        }
    }
}

/// Computes one position and writes nothing.
///
/// # Errors
/// If there is no such position, or the source doesn't fit the process.
pub fn test(kernel: &Arc<dyn Kernel>, request: &Request, pixel: &Pixel) -> Result<Probe> {
    let file = open_read(&request.file)?;
    let own = kernel.wants_selection().then(|| pixel.selection());
    let request = &Request { positions: own.or(request.positions.clone()), ..request.clone() };
    let job = Job::open(kernel, &file, request, &Data::default())?;
    let grid = &job.source.grid;
    let position = match pixel {
        Pixel::Number(position) => Some(*position).filter(|p| *p < job.source.info.positions),
        Pixel::Steps(steps) => grid.row_at(steps),
    };
    let position = position.ok_or_else(|| Error::NoSuchPosition {
        positions: job.source.info.positions,
        axes: grid.described(),
    })?;
    if job.geometry.is_some() {
        return folded(&job, request, position);
    }
    // Where a run would compute it, so that what is parallel inside keeps to the same cores.
    let (results, seen) = job.workers.install(|| -> Result<_> {
        let mut workspace = job.workspace();
        let run = position..position + 1;
        let rows = job.read(&job.source.rows, std::slice::from_ref(&run), &mut workspace)?;
        let seen = job.look(rows, &mut workspace);
        Ok((workspace.results, seen))
    })?;
    let spectra = placed(&job, seen);
    Ok(probed(&job, position, &results, spectra))
}

/// What a position by itself is folded into.
fn folded(job: &Job, request: &Request, position: u64) -> Result<Probe> {
    let (nothing, run) = (Marks::prefix(0, job.source.info.positions), position..position + 1);
    let one = Selected::Range(run.clone());
    let pending = Pending::new(&nothing, Some(&one), &job.source.grid);
    let own = Mutex::new(UnitResults::default());
    let keep = |_: &[Range<u64>], results: &UnitResults| {
        own.lock().unwrap_or_else(PoisonError::into_inner).rows.clone_from(&results.rows);
        Ok(())
    };
    let takes_passes = job.prepared.fold().is_some_and(|fold| fold.passes().is_some());
    let Again { results, failure, .. } = if takes_passes {
        first_pass(job, request, &pending)?
    } else {
        again(job, request, &pending, &keep, &[])?
    };
    let told = |dataset| {
        format!(
            "its merge isn't associative: of the first three units `{dataset}` is another if the \
             last two are merged first"
        )
    };
    let failure = if takes_passes { failure } else { failure.or(check_merge(job)?.map(told)) };
    let own = own.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut workspace = job.workspace();
    let rows = job.read(&job.source.rows, std::slice::from_ref(&run), &mut workspace)?;
    let seen = job.look(rows, &mut workspace);
    let mut probe = probed(job, position, &own, placed(job, seen));
    probe.values.extend(results.iter().flat_map(|(layout, bytes)| numbers(layout, bytes)));
    Ok(Probe { failure, ..probe })
}

/// What was computed of a position, with what was seen of it.
pub(super) fn probed(
    job: &Job,
    position: u64,
    results: &UnitResults,
    spectra: Vec<ProbeSpectrum>,
) -> Probe {
    let (grid, info) = (&job.source.grid, &job.source.info);
    // What is made at the end of a fold isn't there.
    let values = job.columns().into_iter().zip(&results.rows).filter(|(_, row)| !row.is_empty());
    Probe {
        position,
        place: grid.dimensions.iter().cloned().zip(grid.steps_of(position)).collect(),
        values: values.flat_map(|(column, row)| numbers(column.layout, row)).collect(),
        failure: results.failures.first().map(|(_, reason)| reason.to_string()),
        axis: spectrum_axis(info, info.spectral_points / job.spectra),
        frame: frame(info, info.spectral_points / job.spectra),
        quantity: info.quantity.clone(),
        units: info.units.clone(),
        spectra,
    }
}

fn placed(job: &Job, seen: Vec<SeenSpectrum>) -> Vec<ProbeSpectrum> {
    let repeats = job.repeats();
    let seen = seen.into_iter().enumerate();
    seen.map(|(number, SeenSpectrum { data, model })| {
        let place = steps(&repeats, number);
        ProbeSpectrum { place, data, model }
    })
    .collect()
}

/// Step number `number` of a grid on each of its axes.
fn steps(axes: &[Dimension], number: usize) -> Vec<(Dimension, u32)> {
    let lengths: Vec<u64> = axes.iter().map(|axis| axis.len().max(1) as u64).collect();
    let steps = region::steps(&lengths, number as u64);
    axes.iter().cloned().zip(steps.into_iter().map(|step| step as u32)).collect()
}

fn spectrum_axis(info: &SourceInfo, length: usize) -> Dimension {
    let axis = info.axis(0);
    if axis.len() == length {
        return axis;
    }
    Dimension::new("Point", "", AxisValues::counted(length))
}

/// The axes of a spectrum of so many values that is a frame.
fn frame(info: &SourceInfo, length: usize) -> Option<(Dimension, Dimension)> {
    let (rows, columns) = info.frame()?;
    (rows.len() * columns.len() == length).then(|| (rows.clone(), columns.clone()))
}

fn numbers(layout: &ColumnLayout, row: &[u8]) -> Vec<ProbeValue> {
    let mut offset = 0;
    layout
        .fields
        .iter()
        .map(|field| {
            let (at, size) = (offset, field.element.size());
            offset += size;
            let values = row.chunks_exact(layout.value_bytes()).map(|value| &value[at..at + size]);
            let (name, units) = match &field.name {
                Some(field) => {
                    let (name, units) = split_units(field);
                    (format!("{} · {name}", layout.name), units.to_owned())
                }
                None => (layout.name.clone(), layout.units.clone()),
            };
            ProbeValue {
                name,
                quantity: layout.quantity.clone(),
                units,
                numbers: values.clone().flat_map(|value| field.element.to_numbers(value)).collect(),
                bytes: values.flatten().copied().collect(),
                element: field.element,
            }
        })
        .collect()
}

/// `Frequency [Hz]` as a name and its units: a record has no units as a whole.
pub(super) fn split_units(field: &str) -> (&str, &str) {
    let split = field.strip_suffix(']').and_then(|field| field.split_once(" ["));
    split.unwrap_or((field, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_name_their_units() {
        assert_eq!(split_units("Frequency [Hz]"), ("Frequency", "Hz"));
        assert_eq!(split_units("Quality Factor"), ("Quality Factor", ""));
        assert_eq!(split_units("R2 [x"), ("R2 [x", ""));
    }

    #[test]
    fn spectra_are_placed_on_slow_axes() {
        let axis = |name: &str, length: usize| Dimension::new(name, "", vec![0.0; length]);
        let place: Vec<u32> =
            steps(&[axis("Cycle", 2), axis("Bias", 3)], 4).into_iter().map(|at| at.1).collect();
        assert_eq!(place, [1, 1]);
        assert_eq!(steps(&[], 0), []);
    }
}

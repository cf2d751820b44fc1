//! A process as a kernel: the one place where the engine's untyped units meet the types of an
//! author.

mod joined;

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::auxiliary::Auxiliary;
use crate::buffers::BufferLayout;
use crate::chunk_io::{ReadChunk, ReadRows, WriteChunk};
use crate::column_layout::{ColumnLayout, Constant};
use crate::contribution::Contribution;
use crate::coordinates::Coordinates;
use crate::element::Element;
use crate::error::Result;
use crate::failure::{Failure, guarded};
use crate::inputs::{AuxiliaryInput, ConstantInput};
use crate::kernel::{Fold, Input, Kernel, Means, Prepared, RawUnit, SeenSpectrum, Wants, Worker};
use crate::model::{Model, Values};
use crate::neighbours::{Channels, Halo, Neighbours};
use crate::parameters::settle;
use crate::process::{Process, Spectrum, Unit};
use crate::results::{ColumnEncoder, Outputs, Results, Watch};
use crate::source_info::SourceInfo;

/// A process with its parameters, as the engine runs it.
///
/// # Errors
/// If a parameter is out of its range, not finite, or refused by the process.
pub fn kernel_of<P: Process>(parameters: &P::Parameters) -> Result<Arc<dyn Kernel>> {
    let (parameters, values) = settle(P::NAME, parameters)?;
    Ok(Arc::new(MapKernel::<P> { parameters, values }))
}

struct MapKernel<P: Process> {
    parameters: P::Parameters,
    /// The same by name.
    values: Map<String, Value>,
}

impl<P: Process> Kernel for MapKernel<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION
    }

    fn parameters(&self) -> &Map<String, Value> {
        &self.values
    }

    fn wants(&self) -> Wants {
        let input = Input::settled(P::Input::TYPE, P::NARROWING, (P::NAME, P::VERSION));
        let axes = P::spectrum_axes(&self.parameters);
        Wants { input, axes, most_per_unit: None }
    }

    fn auxiliary_inputs(&self) -> Vec<AuxiliaryInput> {
        P::auxiliary_inputs(&self.parameters)
    }

    fn constant_inputs(&self) -> Vec<ConstantInput> {
        P::constant_inputs(&self.parameters)
    }

    fn wants_coordinates(&self) -> bool {
        P::COORDINATES
    }

    fn halo(&self, source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        P::halo(&self.parameters, source)
    }

    fn spectra_per_position(&self, source: &SourceInfo) -> usize {
        P::spectra_per_position(&self.parameters, source)
    }

    fn prepare(&self, source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure> {
        let task = P::prepare(&self.parameters, source)?;
        let several = P::spectra_per_position(&self.parameters, source);
        let mut results = Results::default();
        P::create_results_datasets(&self.parameters, source, &mut results);
        let converted = source.spectral_points.saturating_mul(size_of::<P::Input>()) as u64;
        let extra = P::extra_memory_per_position(&self.parameters, source) as u64;
        let has_halo = P::halo(&self.parameters, source)?.is_some();
        let in_parts = P::IN_PARTS && !has_halo && several == 1;
        let buffers = if in_parts { joined::buffers(&results.columns) } else { Vec::new() };
        let neighbour = P::memory_per_neighbour(&self.parameters, source) as u64;
        Ok(Box::new(PreparedMap::<P> {
            task,
            columns: results.columns,
            encoders: results.encoders,
            constants: results.constants,
            memory_per_position: extra.saturating_add(if has_halo { 0 } else { converted }),
            memory_per_neighbour: if has_halo { neighbour } else { 0 },
            converted,
            buffers,
            extra,
        }))
    }
}

struct PreparedMap<P: Process> {
    task: P::Task,
    columns: Vec<ColumnLayout>,
    encoders: Vec<ColumnEncoder<P::Output>>,
    constants: Vec<Constant>,
    memory_per_position: u64,
    memory_per_neighbour: u64,
    /// Bytes of a spectrum that is converted as a whole.
    converted: u64,
    /// What a position has if its spectrum is computed part by part; none if it isn't.
    buffers: Vec<BufferLayout>,
    /// Bytes that a position takes besides its spectrum and results.
    extra: u64,
}

impl<P: Process> Prepared for PreparedMap<P> {
    fn columns(&self) -> &[ColumnLayout] {
        &self.columns
    }

    fn constants(&self) -> &[Constant] {
        &self.constants
    }

    fn fold(&self) -> Option<&dyn Fold> {
        if self.buffers.is_empty() { None } else { Some(self) }
    }

    fn memory_per_position(&self) -> u64 {
        self.memory_per_position
    }

    fn memory_per_neighbour(&self, is_whole: bool) -> u64 {
        let whole = if is_whole { self.converted } else { 0 };
        self.memory_per_neighbour.max(whole)
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(MapWorker::<P> {
            prepared: self,
            scratch: P::Scratch::default(),
            converted: Vec::new(),
            around: Vec::new(),
        })
    }

    fn worker_with(&self, means: &Means) -> Box<dyn Worker + '_> {
        Box::new(MapWorker::<P> {
            prepared: self,
            scratch: P::scratch(&self.task, means),
            converted: Vec::new(),
            around: Vec::new(),
        })
    }

    fn read<'a>(
        &self,
        source: &'a dyn ReadChunk,
        positions: &[Range<u64>],
        rows: &mut ReadRows<'a>,
    ) -> Result<()> {
        P::read_data_chunk(source, positions, rows)
    }

    fn write(
        &self,
        results: &dyn WriteChunk,
        dataset: usize,
        first: u64,
        rows: &[u8],
    ) -> Result<()> {
        P::write_results_chunk(results, dataset, first, rows)
    }
}

struct MapWorker<'p, P: Process> {
    prepared: &'p PreparedMap<P>,
    scratch: P::Scratch,
    converted: Vec<P::Input>,
    /// The spectra of a unit with those of its neighbours.
    around: Vec<P::Input>,
}

impl<P: Process> MapWorker<'_, P> {
    fn compute_watched(
        &mut self,
        raw: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
        watch: Option<Watch<'_, P::Output>>,
    ) -> Result<(), Failure> {
        let Self { prepared, scratch, converted, around } = self;
        let mut unit = Unit::new(*raw, converted).among(around);
        let encoders = prepared.encoders.as_slice();
        let contribution = contribution.reborrow();
        let watch = watch.map(|watch| watch as Watch<'_, P::Output>);
        let mut outputs = Outputs { encoders, contribution, watch };
        P::unit_computation(&prepared.task, &mut unit, scratch, &mut outputs)
    }
}

impl<P: Process> Worker for MapWorker<'_, P> {
    fn compute(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
    ) -> Result<(), Failure> {
        self.compute_watched(unit, contribution, None)
    }

    fn look(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
        seen: &mut Vec<SeenSpectrum>,
    ) -> Result<(), Failure> {
        let mut spectra = Vec::new();
        let mut around = Vec::new();
        let around = unit.channels(0..unit.spectrum_length, (&mut around, &mut (0..0)));
        let mut typed = Unit::new(*unit, &mut self.converted).among(&mut self.around);
        for index in 0..typed.len() {
            let spectrum = OwnSpectrum::of(typed.spectrum(index), unit, (index, around));
            let data = Values::of(&spectrum.as_spectrum());
            seen.push(SeenSpectrum { data, model: Err(Failure::new("there is no result")) });
            spectra.push(spectrum);
        }
        let task = &self.prepared.task;
        // A panic must not become the failure of a result that is there.
        let model = |spectrum: &OwnSpectrum<'_, P::Input>, data: &Values, output: &P::Output| {
            guarded(|| P::model(task, spectrum.as_spectrum(), output))
                .and_then(|model| model.check(data).map(|()| model))
        };
        let mut watch = |index: usize, output: &P::Output| {
            if let Some((spectrum, seen)) = spectra.get(index).zip(seen.get_mut(index)) {
                seen.model = model(spectrum, &seen.data, output);
            }
        };
        self.compute_watched(unit, contribution, Some(&mut watch))?;
        // What was put into arrays is no output that could say anything. The map function, if there
        // is a real one, gives one.
        let all = spectra.iter().zip(seen).enumerate();
        for (_, (spectrum, seen)) in all.filter(|(at, _)| contribution.is_filled(*at)) {
            let scratch = &mut P::Scratch::default();
            let output = guarded(|| P::map_function(task, spectrum.as_spectrum(), scratch));
            seen.model = match output {
                Ok(Ok(output)) => model(spectrum, &seen.data, &output),
                _ => Ok(Model::new()),
            };
        }
        Ok(())
    }
}

/// A spectrum that outlives the buffer it was converted into.
struct OwnSpectrum<'a, T> {
    values: Vec<T>,
    position: u64,
    repeat: usize,
    /// What it has of the unit.
    unit: &'a RawUnit<'a>,
    auxiliary: Auxiliary<'a>,
    coordinates: Coordinates<'a>,
    neighbours: Neighbours<'a, T>,
}

impl<'a, T: Element> OwnSpectrum<'a, T> {
    fn of(
        spectrum: Spectrum<'_, T>,
        unit: &'a RawUnit<'a>,
        (index, around): (usize, Channels<'a, T>),
    ) -> Self {
        let Spectrum { values, position, repeat, .. } = spectrum;
        Self {
            values: values.to_vec(),
            position,
            repeat,
            unit,
            auxiliary: unit.auxiliary(index),
            coordinates: unit.coordinates(index),
            neighbours: around.neighbours(index),
        }
    }

    /// The spectrum as a process sees it.
    fn as_spectrum(&self) -> Spectrum<'_, T> {
        let Self { values, position, repeat, unit, auxiliary, coordinates, neighbours } = self;
        Spectrum {
            values,
            shape: unit.spectrum_shape,
            position: *position,
            repeat: *repeat,
            auxiliary: *auxiliary,
            coordinates: *coordinates,
            neighbours: *neighbours,
        }
    }
}

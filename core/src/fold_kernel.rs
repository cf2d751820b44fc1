//! A reduction as a kernel: the one place where the engine's untyped tiles meet the types of an
//! author.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use crate::buffers::{BufferLayout, Buffers, Kind, Parts, Role};
use crate::chunk_io::AlignedBytes;
use crate::column_layout::ColumnLayout;
use crate::contribution::Contribution;
use crate::coordinates::Coordinates;
use crate::element::Element;
use crate::error::Result;
use crate::failure::{Failure, guarded};
use crate::inputs::{AuxiliaryInput, ConstantInput};
use crate::kernel::{
    Fold, FoldWorker, Input, Kernel, Pass, Passes, PointRun, Prepared, RawTile, RawUnit,
    SeenSpectrum, SpectrumAxes, Wants, Whole, Worker,
};
use crate::model::Model;
use crate::neighbours::Neighbours;
use crate::parameters::settle;
use crate::process::Spectrum;
use crate::reduction::{Passed, Reduction, Tile};
use crate::source_info::SourceInfo;

/// A reduction with its parameters, as the engine runs it.
///
/// # Errors
/// If a parameter is out of its range, not finite, or refused by the reduction.
pub fn fold_kernel_of<R: Reduction>(parameters: &R::Parameters) -> Result<Arc<dyn Kernel>> {
    const { assert!(!(R::SELECTION && R::PER_POSITION), "nothing is folded of a selection") };
    let (parameters, values) = settle(R::NAME, parameters)?;
    Ok(Arc::new(FoldKernel::<R> { parameters, values }))
}

struct FoldKernel<R: Reduction> {
    parameters: R::Parameters,
    /// The same by name.
    values: Map<String, Value>,
}

impl<R: Reduction> Kernel for FoldKernel<R> {
    fn name(&self) -> &str {
        R::NAME
    }

    fn version(&self) -> u32 {
        R::VERSION
    }

    fn parameters(&self) -> &Map<String, Value> {
        &self.values
    }

    fn wants(&self) -> Wants {
        let input = Input::settled(R::Input::TYPE, R::NARROWING, (R::NAME, R::VERSION));
        Wants { input, axes: SpectrumAxes::Any, most_per_unit: None }
    }

    fn auxiliary_inputs(&self) -> Vec<AuxiliaryInput> {
        R::auxiliary_inputs(&self.parameters)
    }

    fn constant_inputs(&self) -> Vec<ConstantInput> {
        R::constant_inputs(&self.parameters)
    }

    fn wants_coordinates(&self) -> bool {
        R::COORDINATES
    }

    fn wants_selection(&self) -> bool {
        R::SELECTION
    }

    fn prepare(&self, source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure> {
        let mut buffers = Buffers::new(source);
        let task = R::prepare(&self.parameters, source, &mut buffers)?;
        let layouts = buffers.into_layouts();
        let is_mapped =
            |layout: &BufferLayout| layout.kind == Kind::PerPosition && !layout.is_at_end();
        if R::PER_POSITION != layouts.iter().all(is_mapped) {
            let told = "whether all of its buffers are per position isn't what its type says";
            return Err(Failure::new(told));
        }
        let may_have_mask =
            |layout: &BufferLayout| layout.kind == Kind::PerPosition && layout.role == Role::AtEnd;
        if let Some(other) =
            layouts.iter().find(|layout| layout.mask.is_some() && !may_have_mask(layout))
        {
            let name = &other.column.name;
            let told = format!("`{name}` has a mask, but isn't made at the end for each position");
            return Err(Failure::new(told));
        }
        let shown = layouts.iter().filter(|layout| layout.is_column());
        let columns = shown.map(|layout| layout.column.clone()).collect();
        if let Some(other) = layouts.iter().find(|layout| !layout.is_sound()) {
            let name = &other.column.name;
            let told = format!("`{name}` is of some passes, but isn't single and private");
            return Err(Failure::new(told));
        }
        let extra = R::extra_memory(&self.parameters, source) as u64;
        let whole = R::whole(&self.parameters, source);
        let passes = R::passes(&task);
        if R::PER_POSITION && passes.is_some() {
            return Err(Failure::new("what folds nothing has one pass"));
        }
        if !passes.as_ref().is_none_or(Passes::are_sound) {
            return Err(Failure::new("no pass over all spectra follows those over mini-batches"));
        }
        let first = Arc::new(task);
        let now = RwLock::new(Now::first(&first, passes));
        Ok(Box::new(PreparedFold::<R> { first, now, layouts, columns, whole, extra, passes }))
    }
}

struct PreparedFold<R: Reduction> {
    /// What was prepared, which is the task of the first pass.
    first: Arc<R::Task>,
    now: RwLock<Now<R>>,
    layouts: Vec<BufferLayout>,
    /// The results per position.
    columns: Vec<ColumnLayout>,
    whole: Whole,
    extra: u64,
    passes: Option<Passes>,
}

/// The pass over all spectra that has begun.
struct Now<R: Reduction> {
    task: Arc<R::Task>,
    number: u32,
    is_last: bool,
}

impl<R: Reduction> Now<R> {
    fn first(task: &Arc<R::Task>, passes: Option<Passes>) -> Self {
        Self { task: Arc::clone(task), number: 0, is_last: passes.is_none() }
    }
}

impl<R: Reduction> Prepared for PreparedFold<R> {
    fn columns(&self) -> &[ColumnLayout] {
        &self.columns
    }

    fn fold(&self) -> Option<&dyn Fold> {
        Some(self)
    }

    fn memory_per_position(&self) -> u64 {
        0
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(Looker { prepared: self })
    }
}

/// Folds have no results of single positions that anybody could ask for; what one is folded into by
/// itself may say something of its spectrum.
struct Looker<'p, R: Reduction> {
    prepared: &'p PreparedFold<R>,
}

impl<R: Reduction> Worker for Looker<'_, R> {
    fn compute(&mut self, _: &RawUnit<'_>, _: &mut Contribution<'_>) -> Result<(), Failure> {
        Err(Failure::new("spectra are folded, and none has a result of its own"))
    }

    fn look(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
        seen: &mut Vec<SeenSpectrum>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let SeenSpectrum { data, model } = unit.seen(index);
            // A tile begins with a position's first spectrum.
            let model = match unit.spectra_per_position {
                1 => guarded(|| self.model(unit, index)).and_then(|model| model),
                _ => model,
            };
            let model = model.and_then(|model| model.check(&data).map(|()| model));
            seen.push(SeenSpectrum { data, model });
        }
        self.compute(unit, contribution)
    }
}

impl<R: Reduction> Looker<'_, R> {
    /// What a spectrum is folded into by itself says of it.
    fn model(&self, unit: &RawUnit<'_>, index: usize) -> Result<Model, Failure> {
        let (task, layouts) = (self.prepared.task(), &self.prepared.layouts);
        let bytes = |layout: &BufferLayout| match layout.kind {
            Kind::PerPosition => layout.each,
            Kind::PerPoint | Kind::Single => layout.bytes(),
        };
        let mut buffers: Vec<AlignedBytes> =
            layouts.iter().map(|_| AlignedBytes::default()).collect();
        buffers.iter_mut().zip(layouts).for_each(|(buffer, layout)| buffer.resize(bytes(layout)));
        let mut parts = Parts::new(buffers.iter_mut().map(|buffer| &mut **buffer).collect());
        let runs = [PointRun { first: 0, len: unit.spectrum_length }];
        let raw = unit.tile(index, &runs);
        let mut worker = self.prepared.worker_of_tiles();
        worker.begin(&mut parts);
        let mut failed = Vec::new();
        worker.fold(raw, &mut parts, &mut failed)?;
        if let Some((_, failure)) = failed.into_iter().next() {
            return Err(failure);
        }
        worker.end(raw.positions, &mut parts)?;
        let mut values = Vec::new();
        let spectrum = Spectrum {
            values: unit.spectrum(index, &mut values),
            shape: unit.spectrum_shape,
            position: raw.positions[0],
            repeat: 0,
            auxiliary: raw.auxiliary(0),
            coordinates: Coordinates::new(raw.axes, raw.positions[0]),
            neighbours: Neighbours::default(),
        };
        Ok(R::model(&task, spectrum, &mut parts))
    }
}

impl<R: Reduction> PreparedFold<R> {
    fn task(&self) -> Arc<R::Task> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).task)
    }

    fn worker_of_tiles(&self) -> TileWorker<'_, R> {
        TileWorker {
            prepared: self,
            task: self.task(),
            scratch: R::Scratch::default(),
            converted: Vec::new(),
            copied: AlignedBytes::default(),
        }
    }
}

impl<R: Reduction> Fold for PreparedFold<R> {
    fn buffers(&self) -> &[BufferLayout] {
        &self.layouts
    }

    fn is_per_position(&self) -> bool {
        R::PER_POSITION
    }

    fn least_positions(&self) -> u64 {
        R::least_positions(&self.first)
    }

    fn whole(&self) -> Whole {
        self.whole
    }

    fn takes_stored(&self) -> bool {
        R::STORED
    }

    fn extra_memory(&self, _positions: u64) -> u64 {
        self.extra
    }

    fn shared_memory(&self) -> u64 {
        R::shared_memory(&self.first) as u64
    }

    fn value_bytes(&self) -> usize {
        size_of::<R::Input>()
    }

    fn passes(&self) -> Option<Passes> {
        self.passes
    }

    fn pass(&self) -> u32 {
        self.now.read().unwrap_or_else(PoisonError::into_inner).number
    }

    fn is_last_pass(&self) -> bool {
        self.now.read().unwrap_or_else(PoisonError::into_inner).is_last
    }

    fn next_pass(&self, all: &mut Parts<'_>) -> Result<Pass, Failure> {
        let Some(passes) = self.passes else {
            return Err(Failure::new("all spectra are folded once"));
        };
        let Passes { most, carried: wanted, .. } = passes;
        let Passed { carried, is_last } = R::next_pass(&self.task(), all)?;
        if carried.len() != wanted {
            let found = carried.len();
            return Err(Failure::new(format!("a pass hands on {found} numbers, not {wanted}")));
        }
        let number = self.pass() + 1;
        if number + 1 > most || number + 1 == most && !is_last {
            return Err(Failure::new(format!("it takes more passes than {most}")));
        }
        if is_last && !passes.ends_epoch(number - 1, false) {
            return Err(Failure::new("its last pass follows a part of the mini-batches"));
        }
        Ok(Pass { number, is_last, carried })
    }

    fn begin_pass(&self, pass: Option<&Pass>) -> Result<(), Failure> {
        let now = match pass {
            None => Now::first(&self.first, self.passes),
            Some(pass) => Now {
                task: Arc::new(R::begin_pass(&self.first, pass)?),
                number: pass.number,
                is_last: pass.is_last,
            },
        };
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    fn worker(&self) -> Box<dyn FoldWorker + '_> {
        Box::new(self.worker_of_tiles())
    }

    fn merge(&self, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        R::merge(&self.task(), into, from)
    }

    fn finish(&self, all: &mut Parts<'_>) -> Result<(), Failure> {
        R::finish(&self.task(), all)
    }
}

struct TileWorker<'p, R: Reduction> {
    prepared: &'p PreparedFold<R>,
    /// That of the pass in which it was made.
    task: Arc<R::Task>,
    scratch: R::Scratch,
    converted: Vec<R::Input>,
    copied: AlignedBytes,
}

impl<R: Reduction> FoldWorker for TileWorker<'_, R> {
    fn begin(&mut self, all: &mut Parts<'_>) {
        R::preprocess(&self.task, all);
    }

    fn fold(
        &mut self,
        raw: RawTile<'_>,
        parts: &mut Parts<'_>,
        failed: &mut Vec<(usize, Failure)>,
    ) -> Result<(), Failure> {
        let Self { prepared, task, scratch, converted, copied } = self;
        let layouts = &prepared.layouts;
        let mut of_tile = Vec::new();
        let mut tile = Tile::new(raw, converted, copied, &mut of_tile);
        let folded = match prepared.whole {
            Whole::Tile => R::process_tile(task, &mut tile, parts, scratch),
            Whole::Partition => R::process_partition(task, &mut tile, parts, scratch),
            Whole::Spectrum => {
                let values = tile.values();
                for (index, values) in values.rows().into_iter().enumerate() {
                    let position = raw.positions[index];
                    let spectrum = Spectrum {
                        values: values.to_slice().expect("the values of a row lie side by side"),
                        shape: raw.spectrum_shape,
                        position,
                        repeat: 0,
                        auxiliary: raw.auxiliary(index),
                        coordinates: Coordinates::new(raw.axes, position),
                        neighbours: Neighbours::default(),
                    };
                    let own = &mut parts.at_position(index, layouts);
                    // A panic is this spectrum's failure; what it left in the scratch is thrown
                    // away.
                    let folded = guarded(|| R::process_spectrum(task, spectrum, own, scratch));
                    let folded = folded.unwrap_or_else(|panicked| {
                        *scratch = R::Scratch::default();
                        Err(panicked)
                    });
                    failed.extend(folded.err().map(|failure| (index, failure)));
                }
                Ok(())
            }
        };
        failed.extend(of_tile);
        folded
    }

    fn end(&mut self, positions: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        R::postprocess(&self.task, positions, all)
    }
}

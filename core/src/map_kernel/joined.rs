//! A process that computes spectra part by part, as the engine folds it: what came of the parts of
//! a position is joined as they are read, and becomes its results at the end of the unit.

use super::PreparedMap;
use crate::buffers::{ALL_PASSES, BufferLayout, Kind, Parts, Role};
use crate::chunk_io::AlignedBytes;
use crate::column_layout::ColumnLayout;
use crate::coordinates::Coordinates;
use crate::failure::{Failure, guarded};
use crate::kernel::{Fold, FoldWorker, RawTile, Whole};
use crate::neighbours::Neighbours;
use crate::process::{Process, Spectrum};
use crate::reduction::Tile;

/// Values that are converted at a time, so that they stay in the processor's first cache.
const CONVERTED_VALUES: usize = 2048;

/// Buffers for the results of a position.
pub(super) fn buffers(columns: &[ColumnLayout]) -> Vec<BufferLayout> {
    let of_column = |column: &ColumnLayout| BufferLayout {
        kind: Kind::PerPosition,
        role: Role::Published,
        mask: None,
        passes: ALL_PASSES,
        column: column.clone(),
        each: column.spectrum_bytes(),
        count: 0,
    };
    columns.iter().map(of_column).collect()
}

impl<P: Process> Fold for PreparedMap<P> {
    fn buffers(&self) -> &[BufferLayout] {
        &self.buffers
    }

    fn is_per_position(&self) -> bool {
        true
    }

    fn is_map(&self) -> bool {
        true
    }

    fn whole(&self) -> Whole {
        Whole::Tile
    }

    fn extra_memory(&self, positions: u64) -> u64 {
        // An output, and what it may hold elsewhere.
        let results: usize = self.buffers.iter().map(|layout| layout.each).sum();
        let output = size_of::<Option<P::Output>>() + results;
        positions.saturating_mul(output as u64).saturating_add(self.extra)
    }

    fn shared_memory(&self) -> u64 {
        0
    }

    fn value_bytes(&self) -> usize {
        size_of::<P::Input>()
    }

    fn worker(&self) -> Box<dyn FoldWorker + '_> {
        Box::new(JoinedWorker::<P> {
            prepared: self,
            scratch: P::Scratch::default(),
            converted: Vec::new(),
            copied: AlignedBytes::default(),
            outputs: Vec::new(),
        })
    }

    fn merge(&self, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(&self, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

struct JoinedWorker<'p, P: Process> {
    prepared: &'p PreparedMap<P>,
    scratch: P::Scratch,
    converted: Vec<P::Input>,
    copied: AlignedBytes,
    /// What came of the parts so far of each position of the unit.
    outputs: Vec<Option<P::Output>>,
}

impl<P: Process> JoinedWorker<'_, P> {
    /// Joins what comes of a part of the spectrum of a position, the unit's number `index`.
    fn add(&mut self, index: usize, part: Spectrum<'_, P::Input>) -> Result<(), Failure> {
        let Self { prepared, scratch, outputs, .. } = self;
        let task = &prepared.task;
        let earlier = outputs[index].take();
        let joined = guarded(|| {
            let own = P::map_function(task, part, scratch)?;
            match earlier {
                Some(earlier) => P::join(task, earlier, own),
                None => Ok(own),
            }
        });
        // A panic is this spectrum's failure; what it left in the scratch is thrown away.
        let joined = joined.unwrap_or_else(|panicked| {
            *scratch = P::Scratch::default();
            Err(panicked)
        });
        outputs[index] = Some(joined?);
        Ok(())
    }
}

impl<P: Process> FoldWorker for JoinedWorker<'_, P> {
    fn begin(&mut self, _: &mut Parts<'_>) {
        self.outputs.clear();
    }

    fn fold(
        &mut self,
        raw: RawTile<'_>,
        _: &mut Parts<'_>,
        failed: &mut Vec<(usize, Failure)>,
    ) -> Result<(), Failure> {
        let spectra = raw.positions.len();
        if self.outputs.len() < raw.first + spectra {
            self.outputs.resize_with(raw.first + spectra, || None);
        }
        let mut converted = std::mem::take(&mut self.converted);
        let mut copied = std::mem::take(&mut self.copied);
        let step = (CONVERTED_VALUES / raw.points.max(1)).max(1);
        for begin in (0..spectra).step_by(step) {
            let some = raw.spectra(begin..spectra.min(begin + step));
            let mut none = Vec::new();
            let mut tile = Tile::new(some, &mut converted, &mut copied, &mut none);
            for (index, values) in tile.values().rows().into_iter().enumerate() {
                let position = some.positions[index];
                let part = Spectrum {
                    values: values.to_slice().expect("the values of a row lie side by side"),
                    shape: &[raw.points],
                    position,
                    repeat: 0,
                    auxiliary: some.auxiliary(index),
                    coordinates: Coordinates::new(raw.axes, position),
                    neighbours: Neighbours::default(),
                };
                let added = self.add(some.first + index, part);
                failed.extend(added.err().map(|failure| (begin + index, failure)));
            }
        }
        (self.converted, self.copied) = (converted, copied);
        Ok(())
    }

    fn end(&mut self, positions: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        debug_assert_eq!(self.outputs.len(), positions.len());
        let encoders = &self.prepared.encoders;
        for (buffer, (encoder, layout)) in encoders.iter().zip(&self.prepared.buffers).enumerate() {
            let rows = all.bytes(buffer).chunks_exact_mut(layout.each);
            for (output, row) in self.outputs.iter().zip(rows) {
                let none = || Failure::new("nothing of it was read");
                encoder.encode(output.as_ref().ok_or_else(none)?, row)?;
            }
        }
        Ok(())
    }
}

//! What a fold is resumed from: two slots in its results group, written in turns, in place.
//!
//! A slot holds the partial results of the first units, as the few nodes of the tree that they are
//! merged into, and says itself which units these are, so that none can be counted twice. A line in
//! front of it is sealed, and holds a hash of all bytes behind it: a slot that a kill or a power
//! cut has left half written isn't one, and the other is.

use std::fs::File;

use serde::{Deserialize, Serialize};
use twox_hash::xxhash3_128::Hasher;

use super::passes::{InPass, PassLine};
use super::tree::most_nodes;
use crate::engine::sealed::{seal, unseal};
use crate::storage::in_place::{Extent, InPlace};
use pixelmill_core::error::Result;
use pixelmill_core::foreign_text::of_fixed_length;
use pixelmill_core::kernel::{Accumulator, BufferLayout, Fold};

/// Bytes of the line in front of a slot.
const LINE_BYTES: u64 = 1024;

/// What a slot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    /// Counts what was written, so that the newer of two is known.
    generation: u64,
    /// How the scan is cut and what the buffers are: in another one nothing means the same.
    outline: String,
    /// How many units are in.
    pub units: u64,
    /// In which pass, of a fold that takes several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassLine>,
    /// The levels of the nodes that follow, behind what the pass has begun with.
    levels: Vec<u32>,
    /// XXH3-128 of both.
    hash: String,
}

/// Where the slots are, and what of them is to be written next.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    place: Extent,
    /// How many numbers a pass begins with, of a fold that takes several.
    carried: Option<usize>,
    /// The buffers of a node, and how many of these there may be.
    layouts: Vec<BufferLayout>,
    most: u64,
    outline: String,
    generation: u64,
    /// The slot that holds what a run would be resumed from.
    kept: Option<u64>,
}

impl Slot {
    fn pass_number(&self) -> u32 {
        self.pass.as_ref().map_or(0, |pass| pass.number().0)
    }
}

/// Bytes that folded buffers take, in the pass in which that is most.
pub(super) fn node_bytes(layouts: &[BufferLayout]) -> u64 {
    // It becomes more only where one begins.
    let begins = layouts.iter().map(|layout| layout.passes.start);
    begins.map(|pass| node_bytes_in(layouts, pass)).max().unwrap_or(0)
}

/// The same in a pass.
fn node_bytes_in(layouts: &[BufferLayout], pass: u32) -> u64 {
    layouts.iter().map(|layout| layout.bytes_in(pass) as u64).sum()
}

/// Bytes that the checkpoint of a fold of so many units takes.
pub(super) fn bytes(fold: &dyn Fold, units: u64) -> u64 {
    let carried = fold.passes().map_or(0, |passes| passes.carried) * size_of::<f64>();
    2 * (LINE_BYTES + carried as u64 + most_nodes(units) * node_bytes(fold.buffers()))
}

impl Checkpoint {
    /// Of so many units, at this place; `outline` tells what is folded and how it is cut.
    pub fn new(place: Extent, fold: &dyn Fold, units: u64, outline: String) -> Self {
        let (layouts, most) = (fold.buffers().to_vec(), most_nodes(units));
        let carried = fold.passes().map(|passes| passes.carried);
        Self { place, carried, layouts, most, outline, generation: 0, kept: None }
    }

    fn slot_bytes(&self) -> u64 {
        self.place.len() / 2
    }

    /// The slots that are whole and of this fold, newest first, each with its number.
    pub fn slots(&mut self, file: &File) -> Vec<(u64, Slot)> {
        let mut found: Vec<(u64, Slot)> =
            (0..2).filter_map(|number| Some((number, self.slot(file, number)?))).collect();
        found.sort_by_key(|(_, slot)| std::cmp::Reverse(slot.generation));
        self.generation = found.first().map_or(0, |(_, slot)| slot.generation);
        found
    }

    fn slot(&self, file: &File, number: u64) -> Option<Slot> {
        let begin = number * self.slot_bytes();
        let mut line = vec![0; LINE_BYTES as usize];
        self.place.read(file, begin, &mut line).ok()?;
        let slot: Slot = unseal(&of_fixed_length(&line))?;
        let is_of_passes = slot.pass.is_some() == self.carried.is_some();
        if slot.outline != self.outline || !is_of_passes || slot.levels.len() as u64 > self.most {
            return None;
        }
        let mut hasher = Hasher::new();
        let carried = self.carried(file, number, &slot).ok()?;
        hasher.write(bytemuck::cast_slice(&carried));
        let each = node_bytes_in(&self.layouts, slot.pass_number());
        let (nodes, mut node) = (self.nodes_of(number, &slot), vec![0; each as usize]);
        for at in 0..slot.levels.len() as u64 {
            self.place.read(file, nodes + at * each, &mut node).ok()?;
            hasher.write(&node);
        }
        (format!("{:032x}", hasher.finish_128()) == slot.hash).then_some(slot)
    }

    /// What the pass of slot number `number` has begun with.
    fn carried(&self, file: &File, number: u64, slot: &Slot) -> std::io::Result<Vec<f64>> {
        let mut carried = vec![0.0; self.carried_by(slot)];
        let begin = number * self.slot_bytes() + LINE_BYTES;
        self.place.read(file, begin, bytemuck::cast_slice_mut(&mut carried))?;
        Ok(carried)
    }

    fn carried_by(&self, slot: &Slot) -> usize {
        slot.pass.as_ref().map_or(0, |pass| pass.carried(self.carried.unwrap_or(0)))
    }

    /// Where the nodes of slot number `number` begin.
    fn nodes_of(&self, number: u64, slot: &Slot) -> u64 {
        let carried = (self.carried_by(slot) * size_of::<f64>()) as u64;
        number * self.slot_bytes() + LINE_BYTES + carried
    }

    /// The nodes of slot number `number`, which is kept from now on, and the pass that they are of.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn load(
        &mut self,
        file: &File,
        (number, slot): &(u64, Slot),
    ) -> std::io::Result<(InPass, Vec<(u32, Accumulator)>)> {
        self.kept = Some(*number);
        let pass = match &slot.pass {
            Some(pass) => pass.pass(self.carried(file, *number, slot)?),
            None => InPass::default(),
        };
        let mut at = self.nodes_of(*number, slot);
        let mut nodes = Vec::new();
        for level in &slot.levels {
            let mut node = Accumulator::default();
            node.clear(&self.layouts, slot.pass_number());
            for bytes in node.bytes_mut() {
                self.place.read(file, at, bytes)?;
                at += bytes.len() as u64;
            }
            nodes.push((*level, node));
        }
        Ok((pass, nodes))
    }

    /// Makes both slots hold nothing.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn forget(&self, file: &dyn InPlace) -> Result<()> {
        let nothing = [0; LINE_BYTES as usize];
        file.write(self.place.part(0, &nothing)?)?;
        file.write(self.place.part(self.slot_bytes(), &nothing)?)
    }

    /// Writes the nodes of the first `units` of a pass into the slot that isn't kept, which is from
    /// now on.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write<'n>(
        &mut self,
        file: &dyn InPlace,
        (pass, units): (&InPass, u64),
        nodes: impl Iterator<Item = (u32, &'n Accumulator)>,
    ) -> Result<()> {
        let number = self.kept.map_or(0, |kept| 1 - kept);
        let begin = number * self.slot_bytes();
        let (mut hasher, mut levels, mut at) = (Hasher::new(), Vec::new(), begin + LINE_BYTES);
        let carried = pass.carried();
        if !carried.is_empty() {
            hasher.write(carried);
            file.write(self.place.part(at, carried)?)?;
            at += carried.len() as u64;
        }
        for (level, node) in nodes {
            levels.push(level);
            for bytes in node.bytes() {
                hasher.write(bytes);
                file.write(self.place.part(at, bytes)?)?;
                at += bytes.len() as u64;
            }
        }
        self.generation += 1;
        let hash = format!("{:032x}", hasher.finish_128());
        let (generation, outline) = (self.generation, self.outline.clone());
        let pass = self.carried.map(|_| pass.line());
        let slot = Slot { generation, outline, units, pass, levels, hash };
        let mut line = seal(&slot).into_bytes();
        line.resize(LINE_BYTES as usize, 0);
        file.write(self.place.part(begin, &line)?)?;
        self.kept = Some(number);
        Ok(())
    }
}

//! The neighbours of a position: which of them a computation wants, and their spectra.
//!
//! They lie on the axes of the scan, which has to be a full grid. What stands for neighbours beyond
//! its edges is the computation's to say, as one of [`Edges`]; where the user may choose, it is a
//! parameter, so that results are known by it. Reading them is the engine's: a computation gets
//! them beside the spectrum, whatever positions are computed with it.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::chunk_io::ReadRows;

/// What stands for a neighbour that lies beyond the edge of the scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edges {
    /// The scan as in a mirror that stands on its edge: c b a | a b c d | d c b, as `reflect` of
    /// `scipy.ndimage`.
    #[default]
    Reflect,
    /// The position at the edge: a a a | a b c d | d d d, as `nearest` of `scipy.ndimage`.
    Nearest,
    /// Nothing.
    Missing,
}

impl JsonSchema for Edges {
    fn schema_name() -> Cow<'static, str> {
        "Edges".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["reflect", "nearest", "missing"] })
    }
}

impl Edges {
    /// The step of an axis of this length that stands for `step`; `None` if nothing does.
    #[inline]
    pub fn step(self, step: i64, length: u64) -> Option<u64> {
        let length = length as i64;
        if (0..length).contains(&step) {
            return Some(step as u64);
        }
        match self {
            _ if length == 0 => None,
            Self::Missing => None,
            Self::Nearest => Some(step.clamp(0, length - 1) as u64),
            Self::Reflect => {
                let there = step.rem_euclid(2 * length);
                Some(if there < length { there } else { 2 * length - 1 - there } as u64)
            }
        }
    }
}

/// Which neighbours of each position a computation wants, or which positions are one to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halo {
    offsets: Vec<Vec<i64>>,
    edges: Edges,
    bins: Option<Vec<u64>>,
}

impl Halo {
    /// Those at these offsets, each a step for every axis of the scan, slowest first. A
    /// computation gets them in this order.
    pub fn new(offsets: Vec<Vec<i64>>, edges: Edges) -> Self {
        Self { offsets, edges, bins: None }
    }

    /// Bins of so many steps along every axis of the scan, slowest first, that are one position:
    /// results are of a smaller scan, whose axes have at each bin the mean of its steps. Bin k of
    /// an axis with b has the steps b·k … b·k + b − 1; steps behind the last whole bin are in none.
    /// A computation gets all positions of a bin as its neighbours, the fastest axis fastest, and
    /// the first of them as the position itself.
    pub fn bins(steps: &[u64]) -> Self {
        let ranges: Vec<_> = steps.iter().map(|steps| 0..=*steps as i64 - 1).collect();
        Self { bins: Some(steps.to_vec()), ..Self::window(&ranges, Edges::Missing) }
    }

    /// All in a box, the position itself among them: a range of offsets for every axis of the scan,
    /// slowest first. The fastest axis runs fastest.
    pub fn window(ranges: &[RangeInclusive<i64>], edges: Edges) -> Self {
        let mut offsets = vec![Vec::new()];
        for range in ranges {
            let longer = |offset: &Vec<i64>| -> Vec<Vec<i64>> {
                range.clone().map(|step| [offset.as_slice(), &[step]].concat()).collect()
            };
            offsets = offsets.iter().flat_map(longer).collect();
        }
        Self { offsets, edges, bins: None }
    }

    /// The same without the position itself.
    #[must_use]
    pub fn without_itself(mut self) -> Self {
        self.offsets.retain(|offset| offset.iter().any(|step| *step != 0));
        self
    }

    /// The offsets.
    pub fn offsets(&self) -> &[Vec<i64>] {
        &self.offsets
    }

    /// What stands for neighbours beyond the edges.
    pub fn edges(&self) -> Edges {
        self.edges
    }

    /// Steps of a bin along every axis of the scan, if it is one of [bins](Self::bins).
    pub fn steps_of_bins(&self) -> Option<&[u64]> {
        self.bins.as_deref()
    }
}

/// That there is no such neighbour.
pub const ABSENT: u32 = u32::MAX;

/// Rows of the positions of a unit and of their neighbours, as they were read.
#[derive(Clone, Copy)]
pub struct RawNeighbours<'a> {
    /// The rows, each once.
    pub rows: &'a ReadRows<'a>,
    /// Which of them each position of the unit has.
    pub own: &'a [u32],
    /// Which of them the neighbours of each position have, position by position in the order of
    /// the offsets; [`ABSENT`] where there is none.
    pub places: &'a [u32],
}

/// Some channels of the spectra of all positions of a unit and of their neighbours.
#[derive(Clone, Copy)]
pub struct Channels<'a, T> {
    /// One spectrum behind the other, of so many values each, and which of these are wanted.
    spectra: &'a [T],
    stride: usize,
    begin: usize,
    length: usize,
    /// How many spectra a position has.
    several: usize,
    own: &'a [u32],
    places: &'a [u32],
}

impl<T> Default for Channels<'_, T> {
    fn default() -> Self {
        let (stride, begin, length) = (0, 0, 0);
        Self { spectra: &[], stride, begin, length, several: 1, own: &[], places: &[] }
    }
}

impl<'a, T> Channels<'a, T> {
    /// Those of spectra of which the channels `held` are there.
    pub(crate) fn new(
        (spectra, held): (&'a [T], Range<usize>),
        channels: Range<usize>,
        several: usize,
        neighbours: RawNeighbours<'a>,
    ) -> Self {
        let RawNeighbours { own, places, .. } = neighbours;
        let (begin, length) = (channels.start - held.start, channels.len());
        Self { spectra, stride: held.len(), begin, length, several, own, places }
    }

    /// The neighbours of spectrum number `index` of the unit.
    #[inline]
    pub fn neighbours(&self, index: usize) -> Neighbours<'a, T> {
        let (within, repeat) = (index / self.several, index % self.several);
        let each = self.places.len() / self.own.len().max(1);
        let places = self.places.get(within * each..(within + 1) * each).unwrap_or_default();
        let Self { spectra, stride, begin, length, several, .. } = *self;
        Neighbours { spectra, stride, begin, length, several, repeat, places }
    }

    /// Spectrum number `index` of the unit itself, if there are any.
    #[inline]
    pub(crate) fn own(&self, index: usize) -> Option<&'a [T]> {
        let place = self.own.get(index / self.several)?;
        let number = *place as usize * self.several + index % self.several;
        Some(&self.spectra[number * self.stride + self.begin..][..self.length])
    }
}

/// The spectra of the neighbours of a position, in the order of the [offsets](Halo::offsets). There
/// are none unless the process [asks for them](crate::Process::halo).
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a, T> {
    /// Spectra of a unit one behind the other, of so many values each, and which of these are
    /// wanted.
    spectra: &'a [T],
    stride: usize,
    begin: usize,
    length: usize,
    /// How many spectra a position has, and which of them this is.
    several: usize,
    repeat: usize,
    places: &'a [u32],
}

impl<T> Default for Neighbours<'_, T> {
    fn default() -> Self {
        Self::new(&[], 0, &[])
    }
}

impl<'a, T> Neighbours<'a, T> {
    /// Neighbours whose spectra, of `length` values each, lie one behind the other in `spectra`:
    /// which of them each has, [`ABSENT`] if it is missing. What tests hand to a map function.
    pub fn new(spectra: &'a [T], length: usize, places: &'a [u32]) -> Self {
        Self { spectra, stride: length, begin: 0, length, several: 1, repeat: 0, places }
    }

    /// How many values each spectrum has.
    pub fn channel_count(&self) -> usize {
        self.length
    }

    /// How many offsets there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The spectrum at offset number `index`; `None` if it is missing.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [T]> {
        let spectrum = self.number(index)? as usize;
        Some(&self.spectra[spectrum * self.stride + self.begin..][..self.length])
    }

    /// Which spectrum of its unit the one at offset number `index` is: the same spectrum has the
    /// same number for all positions of the unit, so that what was made of it can be used again.
    #[inline]
    pub fn number(&self, index: usize) -> Option<u32> {
        let place = self.places.get(index).filter(|place| **place != ABSENT)?;
        Some(*place * self.several as u32 + self.repeat as u32)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [T]>> + use<'a, '_, T> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Some channels of each.
    #[must_use]
    pub fn channels(self, channels: Range<usize>) -> Self {
        debug_assert!(channels.end <= self.length);
        Self { begin: self.begin + channels.start, length: channels.len(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk_io::AlignedBytes;

    #[test]
    fn edges_stand_where_scipy_has_them() {
        let steps = |edges: Edges, length: u64| -> Vec<Option<u64>> {
            (-5..8).map(|step| edges.step(step, length)).collect()
        };
        let some = |steps: [u64; 13]| steps.map(Some).to_vec();
        assert_eq!(steps(Edges::Reflect, 3), some([1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]));
        assert_eq!(steps(Edges::Nearest, 3), some([0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2]));
        assert_eq!(steps(Edges::Reflect, 1), some([0; 13]));
        let missing = steps(Edges::Missing, 3);
        assert_eq!(missing[5..8], [Some(0), Some(1), Some(2)]);
        assert!(missing[..5].iter().chain(&missing[8..]).all(Option::is_none));
    }

    #[test]
    fn a_window_is_a_box_of_offsets_the_fastest_axis_fastest() {
        let window = Halo::window(&[-1..=0, -1..=1], Edges::Nearest);
        let expected = [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 0], [0, 1]];
        assert_eq!(window.offsets(), expected);
        assert_eq!(window.without_itself().offsets().len(), 5);
    }

    #[test]
    fn a_bin_is_a_box_of_positions_from_its_first_on() {
        let bins = Halo::bins(&[2, 3]);
        assert_eq!(bins.offsets(), [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        assert_eq!(bins.steps_of_bins(), Some([2, 3].as_slice()));
        assert_eq!(Halo::window(&[0..=1], Edges::Missing).steps_of_bins(), None);
    }

    #[test]
    fn neighbours_of_several_spectra_are_those_of_the_same_repeat() {
        let spectra: Vec<u32> = (0..12).collect();
        let rows = ReadRows::new(AlignedBytes::default(), 0, 0);
        let raw = RawNeighbours { rows: &rows, own: &[1], places: &[2, ABSENT, 0] };
        let channels = Channels::new((&spectra, 0..2), 0..2, 2, raw);
        assert_eq!(channels.own(1), Some([6, 7].as_slice()));
        let neighbours = channels.neighbours(1);
        let second: Vec<_> = neighbours.channels(1..2).iter().flatten().collect();
        assert_eq!(second, [[11], [3]]);
        let found: Vec<_> = neighbours.iter().collect();
        assert_eq!(found, [Some([10, 11].as_slice()), None, Some(&[2, 3])]);
        assert_eq!((neighbours.number(0), neighbours.number(1)), (Some(5), None));
    }
}

//! Where the rows of a dataset lie in the file, for good: so that they are written without its
//! container.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::in_place::Extent;
use pixelmill_core::error::{Error, Result};

/// Where the rows of a results dataset lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// One behind the other.
    Contiguous(Extent),
    /// So many positions in each of these chunks.
    Chunks { positions: u64, chunks: Vec<Extent> },
}

impl Place {
    /// How many positions a chunk has, if it is of whole steps of the first axis.
    pub fn positions_of(shape: &[usize], chunk: &[usize], positions_axes: usize) -> Option<u64> {
        let is_whole = shape.iter().zip(chunk).skip(1).all(|(all, chunk)| all == chunk);
        let positions = chunk.iter().take(positions_axes).map(|length| *length as u64);
        is_whole.then(|| positions.product())
    }

    /// The parts of the rows of `run`: each as an extent, the place in that, and its bytes among
    /// the rows.
    ///
    /// # Errors
    /// If there aren't so many positions.
    pub fn parts(
        &self,
        run: &Range<u64>,
        position_bytes: usize,
    ) -> Result<Vec<(Extent, u64, Range<usize>)>> {
        let bytes = |position: u64| (position - run.start) as usize * position_bytes;
        let at = |position: u64| position * position_bytes as u64;
        let (positions, chunks) = match self {
            Self::Contiguous(extent) => {
                return Ok(vec![(*extent, at(run.start), 0..bytes(run.end))]);
            }
            Self::Chunks { positions, chunks } => (positions, chunks),
        };
        let mut parts = Vec::new();
        let mut first = run.start;
        while first < run.end {
            let (chunk, within) = (first / positions, first % positions);
            let end = run.end.min((chunk + 1) * positions);
            let extent = chunks.get(chunk as usize).ok_or(Error::OutOfPlace {
                at: at(first),
                bytes: at(end - first),
                length: at(chunks.len() as u64 * positions),
            })?;
            parts.push((*extent, at(within), bytes(first)..bytes(end)));
            first = end;
        }
        Ok(parts)
    }

    /// The bytes that it takes.
    pub fn extents(&self) -> &[Extent] {
        match self {
            Self::Contiguous(extent) => std::slice::from_ref(extent),
            Self::Chunks { chunks, .. } => chunks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(offset: u64, length: u64) -> Extent {
        Extent::new(offset, length).unwrap()
    }

    #[test]
    fn rows_are_cut_where_chunks_end() {
        let chunks: Vec<Extent> = [1000, 5000, 2000].map(|offset| extent(offset, 40)).into();
        let place = Place::Chunks { positions: 4, chunks: chunks.clone() };
        assert_eq!(
            place.parts(&(2..10), 10).unwrap(),
            [(chunks[0], 20, 0..20), (chunks[1], 0, 20..60), (chunks[2], 0, 60..80)]
        );
        assert!(place.parts(&(10..13), 10).is_err(), "there are 12");
        let contiguous = extent(1000, 100);
        let parts = Place::Contiguous(contiguous).parts(&(2..10), 10).unwrap();
        assert_eq!(parts, [(contiguous, 20, 0..80)]);
    }
}

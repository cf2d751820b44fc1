//! A Blosc2 frame with one chunk, as HDF5's filter writes it.
//!
//! Follows README_CFRAME_FORMAT and README_B2ND_METALAYER of C-Blosc2. Chunks of one dimension are
//! plain; others have a layer "b2nd" that tells their shape and that of their blocks, in whose
//! order the elements then are, with padding where blocks stick out.

use super::super::{Codecs, beginning, length_is, room, take, take_array};
use super::chunk::{Chunk, Special};
use super::damaged;

/// Where the header has its fields, which all are big-endian.
const MAGIC: (usize, &[u8]) = (2, b"b2frame\0");
const HEADER_BYTES: usize = 11;
const PLAIN_BYTES: usize = 30;
const STORED_BYTES: usize = 39;
const ELEMENT_BYTES: usize = 48;
const LAYER_COUNT: usize = 92;
const LAYERS: usize = 94;

/// Most dimensions that C-Blosc2 has.
const MOST_DIMENSIONS: usize = 8;

/// Decodes the frame into the beginning of `out`, and returns how many bytes it had.
pub(super) fn decode(stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String> {
    let frame = Frame::new(stored).ok_or_else(damaged)?;
    let mut place = [0; 8];
    let index = Chunk::new(frame.index)?;
    if index.bytes != place.len() {
        return Err("it is a Blosc2 frame of several chunks".to_owned());
    }
    index.decode(&mut place, codecs)?;
    let place = u64::from_le_bytes(place);
    if place >> 63 == 1 {
        let special = Special::numbered((place >> 56) as u8 & 7)?.ok_or_else(damaged)?;
        let length = frame.plain_length(out.len())?;
        special.fill(&[], frame.element, beginning(out, length as u64)?)?;
        return Ok(length);
    }
    let place = usize::try_from(place).map_err(|_| damaged())?;
    let chunk = Chunk::new(frame.chunks.get(place..).ok_or_else(damaged)?)?;
    match frame.layout {
        None => {
            chunk.decode(beginning(out, chunk.bytes as u64)?, codecs)?;
            Ok(chunk.bytes)
        }
        Some(ref layout) => layout.decode(&chunk, frame.element, out, codecs),
    }
}

struct Frame<'a> {
    chunks: &'a [u8],
    /// The chunk that tells where the others begin.
    index: &'a [u8],
    /// Bytes of an element.
    element: usize,
    plain: u64,
    layout: Option<Layout>,
}

impl<'a> Frame<'a> {
    fn new(data: &'a [u8]) -> Option<Self> {
        let (at, magic) = MAGIC;
        if data.get(at..at + magic.len())? != magic {
            return None;
        }
        let header = u32::from_be_bytes(array(data, HEADER_BYTES)?) as usize;
        let stored = usize::try_from(u64::from_be_bytes(array(data, STORED_BYTES)?)).ok()?;
        let (header, chunks) = data.split_at_checked(header)?;
        let element = u32::from_be_bytes(array(header, ELEMENT_BYTES)?) as usize;
        Some(Self {
            chunks,
            index: chunks.get(stored..)?,
            element: Some(element).filter(|element| *element > 0)?,
            plain: u64::from_be_bytes(array(header, PLAIN_BYTES)?),
            layout: match layer(header, &[b"b2nd", b"caterva"]) {
                Some(content) => Some(Layout::new(content)?),
                None => None,
            },
        })
    }

    /// Bytes of the chunk without padding.
    fn plain_length(&self, limit: usize) -> Result<usize, String> {
        match &self.layout {
            Some(layout) => layout.length(self.element).ok_or_else(damaged),
            None => usize::try_from(self.plain).map_err(|_| super::super::too_long(limit)),
        }
    }
}

/// The content of the first of the header's layers that has one of these names.
fn layer<'a>(header: &'a [u8], names: &[&[u8]]) -> Option<&'a [u8]> {
    let count = u16::from_be_bytes(array(header, LAYER_COUNT)?);
    let mut rest = header.get(LAYERS..)?;
    for _ in 0..count {
        // msgpack: a short string, then a number of 32 bits.
        let [kind] = take_array(&mut rest)?;
        let name = take(&mut rest, usize::from(kind & 31))?;
        let [_, place @ ..] = take_array::<5>(&mut rest)?;
        if names.contains(&name) {
            // msgpack: bytes, whose count is a number of 32 bits.
            let mut content = header.get(u32::from_be_bytes(place) as usize..)?;
            let [_, length @ ..] = take_array::<5>(&mut content)?;
            return take(&mut content, u32::from_be_bytes(length) as usize);
        }
    }
    None
}

/// Shapes of a multidimensional chunk and of its blocks.
struct Layout {
    shape: Vec<usize>,
    block: Vec<usize>,
}

impl Layout {
    fn new(mut content: &[u8]) -> Option<Self> {
        let [_, _version, dimensions] = take_array(&mut content)?;
        let dimensions = usize::from(dimensions);
        if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
            return None;
        }
        let shape = numbers::<9>(&mut content, dimensions)?;
        let chunk = numbers::<5>(&mut content, dimensions)?;
        let block = numbers::<5>(&mut content, dimensions)?;
        let fits = shape == chunk && block.iter().zip(&chunk).all(|(b, c)| *b > 0 && b <= c);
        fits.then_some(Self { shape, block })
    }

    /// Bytes of the chunk without padding.
    fn length(&self, element: usize) -> Option<usize> {
        self.shape.iter().try_fold(element, |bytes, count| bytes.checked_mul(*count))
    }

    /// Decodes block after block and spreads it over `out`.
    fn decode(
        &self,
        chunk: &Chunk<'_>,
        element: usize,
        out: &mut [u8],
        codecs: &mut Codecs,
    ) -> Result<usize, String> {
        let length = self.length(element).ok_or_else(damaged)?;
        let out = beginning(out, length as u64)?;
        // None is longer than the chunk, as the block fits into it in each dimension.
        let block_bytes = self.block.iter().product::<usize>() * element;
        let counts: Vec<_> =
            self.shape.iter().zip(&self.block).map(|(all, one)| all.div_ceil(*one)).collect();
        let blocks: usize = counts.iter().product();
        length_is(chunk.block, block_bytes)?;
        length_is(chunk.bytes, blocks.checked_mul(block_bytes).ok_or_else(damaged)?)?;
        let mut tile = std::mem::take(&mut codecs.tile);
        let block = room(&mut tile, block_bytes);
        let mut position = vec![0; counts.len()];
        let result = (0..blocks).try_for_each(|index| {
            chunk.decode_block(index, block, codecs)?;
            self.spread(&position, element, block, out);
            advance(&mut position, &counts);
            Ok(())
        });
        codecs.tile = tile;
        result.map(|()| length)
    }

    /// Copies the rows of the block at `position`, without padding.
    fn spread(&self, position: &[usize], element: usize, block: &[u8], out: &mut [u8]) {
        let last = self.shape.len() - 1;
        let first: Vec<_> = position.iter().zip(&self.block).map(|(at, one)| at * one).collect();
        let width = self.block[last].min(self.shape[last] - first[last]) * element;
        let mut within = vec![0; last];
        for bytes in block.chunks_exact(self.block[last] * element) {
            let mut target = 0;
            let mut is_padding = false;
            for (dimension, at) in within.iter().enumerate() {
                let at = first[dimension] + at;
                is_padding |= at >= self.shape[dimension];
                target = target * self.shape[dimension] + at;
            }
            if !is_padding {
                let start = (target * self.shape[last] + first[last]) * element;
                out[start..start + width].copy_from_slice(&bytes[..width]);
            }
            advance(&mut within, &self.block[..last]);
        }
    }
}

/// Goes on to the next position among `counts`, the last dimension running fastest.
fn advance(position: &mut [usize], counts: &[usize]) {
    for (at, count) in position.iter_mut().zip(counts).rev() {
        *at += 1;
        if *at < *count {
            return;
        }
        *at = 0;
    }
}

/// A msgpack array of numbers that have one byte of kind each, `N` bytes in all.
fn numbers<const N: usize>(content: &mut &[u8], count: usize) -> Option<Vec<usize>> {
    take(content, 1)?;
    (0..count)
        .map(|_| {
            let number = take_array::<N>(content)?;
            let digits = number[1..].iter();
            usize::try_from(digits.fold(0u64, |value, byte| value << 8 | u64::from(*byte))).ok()
        })
        .collect()
}

fn array<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

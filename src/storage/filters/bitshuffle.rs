//! Filter 32008, bitshuffle: in blocks, all first bits of the elements, then all second ones, and
//! so on; a block may be compressed with LZ4 or zstd.
//!
//! Compressed chunks begin with the bytes of the whole (8) and of a block (4), and each block with
//! its stored bytes (4), all big-endian. The last block has a multiple of eight elements; the up
//! to seven elements behind it are stored as they are. Blosc's bitshuffle comes here too.

use super::{Codecs, Filter, FilterInfo, Length, beginning, lz4, room, shuffle, take, take_array};

struct Bitshuffle {
    /// Bytes of an element.
    size: usize,
    /// Elements of a block, for chunks that don't tell.
    block: usize,
    codec: Codec,
}

#[derive(Clone, Copy, PartialEq)]
enum Codec {
    None,
    Lz4,
    Zstd,
}

/// Columns of a tile of rows of bits.
const TILE: usize = 64;

pub(super) fn new(info: &FilterInfo, element_size: usize) -> Option<Box<dyn Filter>> {
    let size = info.value(2).map_or(element_size, |size| size as usize);
    let block = match info.value(3).unwrap_or(0) as usize {
        0 => default_block(size),
        block => block,
    };
    let codec = match info.value(4).unwrap_or(0) {
        0 => Codec::None,
        2 => Codec::Lz4,
        3 => Codec::Zstd,
        _ => return None,
    };
    if size == 0 || block % 8 != 0 {
        return None;
    }
    Some(Box::new(Bitshuffle { size, block, codec }))
}

/// What writers take when they are told no block size; part of the format, see bitshuffle_core.c.
fn default_block(size: usize) -> usize {
    (8192 / size.max(1) / 8 * 8).max(128)
}

impl Filter for Bitshuffle {
    fn name(&self) -> String {
        match self.codec {
            Codec::None => "bitshuffle",
            Codec::Lz4 => "bitshuffle lz4",
            Codec::Zstd => "bitshuffle zstd",
        }
        .to_owned()
    }

    fn encoded_length(&self, plain: Length) -> Length {
        match self.codec {
            Codec::None => plain,
            _ => Length::AtMost(plain.bound().saturating_mul(2).saturating_add(4096)),
        }
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String> {
        let mut stored = stored;
        let (out, block) = match self.codec {
            Codec::None => (beginning(out, stored.len() as u64)?, self.block),
            _ => {
                let (length, block) = header(&mut stored).ok_or_else(damaged)?;
                (beginning(out, length)?, block / self.size)
            }
        };
        if block == 0 || block % 8 != 0 || out.len() % self.size != 0 {
            return Err(damaged());
        }
        let whole = out.len() / self.size / 8 * 8 * self.size;
        let length = out.len();
        let (blocks, rest) = out.split_at_mut(whole);
        for out in blocks.chunks_mut(block.saturating_mul(self.size)) {
            self.block(&mut stored, out, codecs)?;
        }
        rest.copy_from_slice(take(&mut stored, rest.len()).ok_or_else(damaged)?);
        Ok(length)
    }

    fn scratch_bytes(&self, plain: usize) -> usize {
        // Chunks may tell another block size than expected; none is longer than the chunk.
        2 * plain + super::zstd::STATE_BYTES
    }
}

impl Bitshuffle {
    /// Decodes the block that `stored` begins with.
    fn block(&self, stored: &mut &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<(), String> {
        if self.codec == Codec::None {
            let plain = take(stored, out.len()).ok_or_else(damaged)?;
            unshuffle_bits(plain, self.size, out, &mut codecs.bits);
            return Ok(());
        }
        let bytes = take_array(stored).map(u32::from_be_bytes).ok_or_else(damaged)?;
        let data = take(stored, bytes as usize).ok_or_else(damaged)?;
        let plain = room(&mut codecs.block, out.len());
        if self.codec == Codec::Lz4 {
            lz4::decompress(data, plain)?;
        } else {
            let length = super::zstd::decompress(data, plain, &mut codecs.unzstd)?;
            super::length_is(length, plain.len())?;
        }
        unshuffle_bits(plain, self.size, out, &mut codecs.bits);
        Ok(())
    }
}

fn header(stored: &mut &[u8]) -> Option<(u64, usize)> {
    let length = u64::from_be_bytes(take_array(stored)?);
    Some((length, u32::from_be_bytes(take_array(stored)?) as usize))
}

fn damaged() -> String {
    "its bitshuffle data are damaged".to_owned()
}

/// Brings the bits of elements of this size together. Both slices have the same length, which is
/// that of a multiple of eight elements.
pub(super) fn unshuffle_bits(stored: &[u8], size: usize, out: &mut [u8], bits: &mut Vec<u8>) {
    if stored.is_empty() {
        return;
    }
    // Turning each square of eight rows by eight bits leaves eight rows for each byte of an
    // element: its rows 0 to 7 have the byte of the elements 0, 8, 16 ..., of the elements 1,
    // 9, 17 ..., and so on. In that order they are a shuffle of elements that are eight times
    // as long.
    let bits = room(bits, stored.len());
    turn(stored, size, bits);
    shuffle::unshuffle(bits, 8 * size, out);
}

/// Turns all squares of bits, and sorts the rows by element, then byte. With AVX2, decoding takes a
/// tenth less time.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn turn(stored: &[u8], size: usize, out: &mut [u8]) {
    let columns = stored.len() / (8 * size);
    for (byte, rows) in stored.chunks_exact(8 * columns).enumerate() {
        for first in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - first);
            let mut tile = [[0; TILE]; 8];
            for (tile, row) in tile.iter_mut().zip(rows.chunks_exact(columns)) {
                if let Some(row) = row[first..].first_chunk() {
                    *tile = *row;
                } else {
                    tile[..width].copy_from_slice(&row[first..]);
                }
            }
            turn_tile(&mut tile);
            for (element, tile) in tile.iter().enumerate() {
                let out = &mut out[(element * size + byte) * columns + first..];
                if let Some(out) = out.first_chunk_mut::<TILE>().filter(|_| width == TILE) {
                    *out = *tile;
                } else {
                    out[..width].copy_from_slice(&tile[..width]);
                }
            }
        }
    }
}

/// Swaps bit `b` of row `r` with bit `r` of row `b`, in every column.
#[inline(always)]
fn turn_tile(rows: &mut [[u8; TILE]; 8]) {
    for (distance, mask) in [(4, 0x0f), (2, 0x33), (1, 0x55)] {
        for low in (0..8).filter(|row| row & distance == 0) {
            let (upper, lower) = rows.split_at_mut(low + distance);
            for (a, b) in upper[low].iter_mut().zip(&mut lower[0]) {
                let swapped = ((*a >> distance) ^ *b) & mask;
                *a ^= swapped << distance;
                *b ^= swapped;
            }
        }
    }
}

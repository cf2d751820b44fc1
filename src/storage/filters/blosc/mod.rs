//! Filters 32001 and 32026, Blosc and Blosc2: a chunk in one buffer, and a chunk in a frame.
//!
//! A chunk (`chunk`) is blocks that are shuffled and compressed each by itself; a frame (`frame`)
//! has one of them, which may hold its elements block by block of a multidimensional array.
//! Written anew from the published formats rather than linked: C-Blosc2 brings its own zstd and
//! zlib, whose symbols collide with those that are linked already. What HDF5's filters never write
//! (dictionaries, plugins, several chunks) is an error that says so.

mod blosclz;
mod chunk;
mod frame;

use chunk::Chunk;

use super::{Codecs, Filter, FilterInfo, beginning, gzip, zstd};

/// Bytes of the codecs' states.
const STATE_BYTES: usize = gzip::STATE_BYTES + zstd::STATE_BYTES;

/// Codecs by number; Snappy, the third, can't be decoded.
const CODECS: [&str; 6] = ["blosclz", "lz4", "lz4hc", "", "zlib", "zstd"];

struct Blosc {
    codec: &'static str,
}

struct Blosc2 {
    codec: &'static str,
}

pub(super) fn new(info: &FilterInfo) -> Option<Box<dyn Filter>> {
    Some(Box::new(Blosc { codec: codec(info)? }))
}

pub(super) fn new_frame(info: &FilterInfo) -> Option<Box<dyn Filter>> {
    Some(Box::new(Blosc2 { codec: codec(info)? }))
}

/// The codec's name, or nothing if it is one that can't be decoded, as Snappy.
fn codec(info: &FilterInfo) -> Option<&'static str> {
    let name = CODECS.get(info.value(6).unwrap_or(0) as usize)?;
    Some(*name).filter(|name| !name.is_empty())
}

impl Filter for Blosc {
    fn name(&self) -> String {
        format!("blosc {}", self.codec)
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String> {
        let chunk = Chunk::new(stored)?;
        chunk.decode(beginning(out, chunk.bytes as u64)?, codecs)?;
        Ok(chunk.bytes)
    }

    fn scratch_bytes(&self, plain: usize) -> usize {
        // How long blocks are, the chunk tells; at most they are the chunk.
        3 * plain + STATE_BYTES
    }
}

impl Filter for Blosc2 {
    fn name(&self) -> String {
        format!("blosc2 {}", self.codec)
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String> {
        frame::decode(stored, out, codecs)
    }

    fn scratch_bytes(&self, plain: usize) -> usize {
        4 * plain + STATE_BYTES
    }
}

fn damaged() -> String {
    "its Blosc data are damaged".to_owned()
}

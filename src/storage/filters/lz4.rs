//! Filter 32004, LZ4: blocks that are compressed each by itself.
//!
//! All numbers are big-endian: the bytes of the whole (8) and of a block (4), then for each block
//! its stored bytes (4) and the block, which is stored as it is if it couldn't be made shorter.

use super::{Codecs, Filter, beginning, take, take_array};

struct Lz4;

pub(super) fn new() -> Option<Box<dyn Filter>> {
    Some(Box::new(Lz4))
}

impl Filter for Lz4 {
    fn name(&self) -> String {
        "lz4".to_owned()
    }

    fn decode(&self, mut stored: &[u8], out: &mut [u8], _: &mut Codecs) -> Result<usize, String> {
        let (length, block) = header(&mut stored).ok_or_else(damaged)?;
        let out = beginning(out, length)?;
        if block == 0 && !out.is_empty() {
            return Err(damaged());
        }
        for block in out.chunks_mut(block.max(1)) {
            let bytes = take_array(&mut stored).map(u32::from_be_bytes).ok_or_else(damaged)?;
            let data = take(&mut stored, bytes as usize).ok_or_else(damaged)?;
            if data.len() == block.len() {
                block.copy_from_slice(data);
            } else {
                decompress(data, block)?;
            }
        }
        Ok(out.len())
    }
}

fn header(stored: &mut &[u8]) -> Option<(u64, usize)> {
    let length = u64::from_be_bytes(take_array(stored)?);
    Some((length, u32::from_be_bytes(take_array(stored)?) as usize))
}

/// Decodes an LZ4 block that has to fill `out`.
pub(super) fn decompress(stored: &[u8], out: &mut [u8]) -> Result<(), String> {
    match lz4_flex::block::decompress_into(stored, out) {
        Ok(length) if length == out.len() => Ok(()),
        _ => Err(damaged()),
    }
}

fn damaged() -> String {
    "its LZ4 data are damaged".to_owned()
}

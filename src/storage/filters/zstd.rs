//! Filter 32015, Zstandard: one frame.
//!
//! Decoded in one call into the chunk itself, so that a frame's window size, which isn't to be
//! trusted, allocates nothing. Blosc's and bitshuffle's zstd frames come here too.

use zstd::bulk;

use super::{Codecs, Filter, FilterInfo};

struct Zstd {
    level: Option<i32>,
}

/// A compressor and its level.
pub(super) type Compressor = (i32, bulk::Compressor<'static>);

pub(super) fn new(info: &FilterInfo) -> Option<Box<dyn Filter>> {
    // Negative levels are stored as what they wrap to.
    Some(Box::new(Zstd { level: info.value(0).map(|level| level as i32) }))
}

/// Bytes of zstd's tables and literals.
pub(super) const STATE_BYTES: usize = 192 << 10;

impl Filter for Zstd {
    fn name(&self) -> String {
        self.level.map_or("zstd".to_owned(), |level| format!("zstd {level}"))
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String> {
        decompress(stored, out, &mut codecs.unzstd)
    }

    fn scratch_bytes(&self, _: usize) -> usize {
        STATE_BYTES
    }

    fn encode(&self, plain: &[u8], out: &mut Vec<u8>, codecs: &mut Codecs) -> Result<(), String> {
        let level = self.level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
        if codecs.zstd.as_ref().is_none_or(|(prepared, _)| *prepared != level) {
            let codec = bulk::Compressor::new(level).map_err(|error| error.to_string())?;
            codecs.zstd = Some((level, codec));
        }
        let (_, codec) = codecs.zstd.as_mut().expect("prepared above");
        out.clear();
        out.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        codec.compress_to_buffer(plain, out).map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// Decodes a zstd frame, and returns how many bytes it had.
pub(super) fn decompress(
    stored: &[u8],
    out: &mut [u8],
    unzstd: &mut Option<bulk::Decompressor<'static>>,
) -> Result<usize, String> {
    let unzstd = unzstd.get_or_insert_with(bulk::Decompressor::default);
    unzstd
        .decompress_to_buffer(stored, out)
        .map_err(|error| format!("its zstd frame can't be decoded ({error})"))
}

//! Filter 1, deflate: one zlib stream, whatever its name.
//!
//! The whole chunk is there at once, so it is decoded in one call, which also checks the stream's
//! own checksum. Blosc's zlib streams come here too.

use libdeflater::{CompressionLvl, DecompressionError, Decompressor};

use super::{Codecs, Filter, FilterInfo, too_long};

struct Gzip {
    level: Option<u32>,
}

/// A compressor and its level.
pub(super) type Deflater = (i32, libdeflater::Compressor);

pub(super) fn new(info: &FilterInfo) -> Option<Box<dyn Filter>> {
    Some(Box::new(Gzip { level: info.value(0) }))
}

/// Bytes of libdeflate's tables.
pub(super) const STATE_BYTES: usize = 16 << 10;

impl Filter for Gzip {
    fn name(&self) -> String {
        self.level.map_or("gzip".to_owned(), |level| format!("gzip {level}"))
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String> {
        inflate(stored, out, &mut codecs.inflater)
    }

    fn scratch_bytes(&self, _: usize) -> usize {
        STATE_BYTES
    }

    fn encode(&self, plain: &[u8], out: &mut Vec<u8>, codecs: &mut Codecs) -> Result<(), String> {
        // HDF5's own default, and the levels that it allows.
        let level = self.level.unwrap_or(6).min(9) as i32;
        if codecs.deflater.as_ref().is_none_or(|(prepared, _)| *prepared != level) {
            let level_of_codec = CompressionLvl::new(level).unwrap_or_default();
            codecs.deflater = Some((level, libdeflater::Compressor::new(level_of_codec)));
        }
        let (_, deflater) = codecs.deflater.as_mut().expect("prepared above");
        out.resize(deflater.zlib_compress_bound(plain.len()), 0);
        let length = deflater.zlib_compress(plain, out).map_err(|error| error.to_string())?;
        out.truncate(length);
        Ok(())
    }
}

/// Decodes a zlib stream, and returns how many bytes it had.
pub(super) fn inflate(
    stored: &[u8],
    out: &mut [u8],
    inflater: &mut Option<Decompressor>,
) -> Result<usize, String> {
    let inflater = inflater.get_or_insert_with(Decompressor::new);
    inflater.zlib_decompress(stored, out).map_err(|error| match error {
        DecompressionError::BadData => "its gzip stream is damaged".to_owned(),
        DecompressionError::InsufficientSpace => too_long(out.len()),
    })
}

//! Filter 307, bzip2: one stream. It is rare and slow, so its state isn't kept between chunks.

use bzip2::{Decompress, Status};

use super::{Codecs, Filter, FilterInfo, too_long};

struct Bzip2 {
    level: Option<u32>,
}

pub(super) fn new(info: &FilterInfo) -> Option<Box<dyn Filter>> {
    Some(Box::new(Bzip2 { level: info.value(0) }))
}

/// Bytes of the state for the longest blocks.
const STATE_BYTES: usize = 4 << 20;

impl Filter for Bzip2 {
    fn name(&self) -> String {
        self.level.map_or("bzip2".to_owned(), |level| format!("bzip2 {level}"))
    }

    fn scratch_bytes(&self, _: usize) -> usize {
        STATE_BYTES
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], _: &mut Codecs) -> Result<usize, String> {
        let damaged = || "its bzip2 stream is damaged".to_owned();
        let mut codec = Decompress::new(false);
        loop {
            let (read, written) = (codec.total_in() as usize, codec.total_out() as usize);
            let rest = out.get_mut(written..).ok_or_else(damaged)?;
            let room = rest.len();
            let status = codec
                .decompress(stored.get(read..).ok_or_else(damaged)?, rest)
                .map_err(|_| damaged())?;
            let moved = codec.total_in() as usize > read || codec.total_out() as usize > written;
            match status {
                Status::StreamEnd => return Ok(codec.total_out() as usize),
                _ if moved => {}
                _ if room == 0 => return Err(too_long(out.len())),
                _ => return Err(damaged()),
            }
        }
    }
}

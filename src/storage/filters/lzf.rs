//! Filter 32000, h5py's LZF: literals and copies of what came before, at most 8 KiB back.
//!
//! The filter's own values (its version and the chunk's bytes) aren't needed. Chunks that LZF would
//! have made longer are stored with the filter masked out.

use super::{Codecs, Filter, take, window};

struct Lzf;

pub(super) fn new() -> Option<Box<dyn Filter>> {
    Some(Box::new(Lzf))
}

impl Filter for Lzf {
    fn name(&self) -> String {
        "lzf".to_owned()
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], _: &mut Codecs) -> Result<usize, String> {
        decompress(stored, out).ok_or_else(|| "its LZF data are damaged".to_owned())
    }
}

fn decompress(mut stored: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut at = 0;
    while let Some([control]) = super::take_array(&mut stored) {
        let control = usize::from(control);
        if control < 32 {
            window::append(out, &mut at, take(&mut stored, control + 1)?)?;
            continue;
        }
        let mut length = control >> 5;
        if length == 7 {
            length += next(&mut stored)?;
        }
        let distance = ((control & 31) << 8 | next(&mut stored)?) + 1;
        window::repeat(out, &mut at, distance, length + 2)?;
    }
    Some(at)
}

fn next(stored: &mut &[u8]) -> Option<usize> {
    super::take_array(stored).map(|[byte]| byte.into())
}

//! Filter 4, szip: the lossless Rice coding of CCSDS 121.0-B, as HDF5 and libaec write it.
//!
//! A chunk is its length (4 bytes, little-endian) and a stream of bits. Samples come in blocks, for
//! each of which the writer chose a code, and blocks in scanlines, which begin anew; both are as
//! long as the filter's values say, and the last block of a scanline is padded. Numbers of 32 and
//! 64 bits are shuffled first and coded as single bytes.

use super::{Codecs, Filter, FilterInfo, beginning, room, shuffle, take_array};

struct Szip {
    /// Bits of a sample.
    bits: u32,
    /// Bytes of a sample.
    bytes: usize,
    /// Bytes of a number whose bytes are coded as samples, else 1.
    shuffled: usize,
    /// Samples of a block.
    block: usize,
    /// Samples of a scanline, without padding.
    scanline: usize,
    /// Whether all but a scanline's first sample are mapped differences to the one before.
    differences: bool,
    big_endian: bool,
}

// From szlib.h.
const NEAREST_NEIGHBOUR: u32 = 32;
const MSB: u32 = 16;
const MOST_SAMPLES_OF_BLOCK: u32 = 32;
const MOST_SAMPLES_OF_SCANLINE: u32 = 4096;

/// The zero blocks that stand for "to the end of the segment".
const REST_OF_SEGMENT: usize = 5;
const BLOCKS_OF_SEGMENT: usize = 64;
/// Greatest symbol of the second extension code.
const MOST_OF_PAIR: u32 = 90;

pub(super) fn new(info: &FilterInfo) -> Option<Box<dyn Filter>> {
    let [options, block, pixel_bits, scanline, ..] = info.values[..] else { return None };
    let block_is_known = block > 0 && block <= MOST_SAMPLES_OF_BLOCK && block % 2 == 0;
    if !block_is_known || scanline == 0 || scanline > MOST_SAMPLES_OF_SCANLINE {
        return None;
    }
    let (bits, shuffled) = match pixel_bits {
        32 => (8, 4),
        64 => (8, 8),
        1..=24 => (pixel_bits, 1),
        _ => return None,
    };
    let bytes = match bits {
        0..=8 => 1,
        9..=16 => 2,
        _ => 4,
    };
    Some(Box::new(Szip {
        bits,
        bytes,
        shuffled,
        block: block as usize,
        scanline: scanline as usize,
        differences: options & NEAREST_NEIGHBOUR != 0,
        big_endian: options & MSB != 0,
    }))
}

impl Filter for Szip {
    fn name(&self) -> String {
        format!("szip {} {}", if self.differences { "nn" } else { "ec" }, self.block)
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<usize, String> {
        let mut stored = stored;
        let length = take_array(&mut stored).map(u32::from_le_bytes).ok_or_else(damaged)?;
        let out = beginning(out, length.into())?;
        if out.len() % self.bytes != 0 {
            return Err(damaged());
        }
        if self.shuffled == 1 {
            self.scanlines(stored, out, &mut codecs.samples).ok_or_else(damaged)?;
        } else {
            let shuffled = room(&mut codecs.block, out.len());
            self.scanlines(stored, shuffled, &mut codecs.samples).ok_or_else(damaged)?;
            shuffle::unshuffle(shuffled, self.shuffled, out);
        }
        Ok(out.len())
    }

    fn scratch_bytes(&self, plain: usize) -> usize {
        let samples = self.scanline.next_multiple_of(self.block) * size_of::<u32>();
        samples + if self.shuffled == 1 { 0 } else { plain }
    }
}

fn damaged() -> String {
    "its szip stream is damaged".to_owned()
}

impl Szip {
    fn scanlines(&self, stored: &[u8], out: &mut [u8], samples: &mut Vec<u32>) -> Option<()> {
        let mut bits = Bits { rest: stored, held: 0, count: 0 };
        for out in out.chunks_mut(self.scanline * self.bytes) {
            samples.clear();
            self.scanline(&mut bits, out.len() / self.bytes, samples)?;
            if self.differences {
                self.undo_differences(samples);
            }
            self.write(samples, out);
        }
        Some(())
    }

    /// Decodes blocks until there are as many samples as are needed.
    fn scanline(&self, bits: &mut Bits<'_>, needed: usize, samples: &mut Vec<u32>) -> Option<()> {
        let full = self.scanline.next_multiple_of(self.block);
        let id_bits = match self.bits {
            0..=8 => 3,
            9..=16 => 4,
            _ => 5,
        };
        while samples.len() < needed {
            let end = samples.len() + self.block;
            let first = samples.is_empty() && self.differences;
            match bits.take(id_bits)? {
                0 => self.low_entropy(bits, first, full, samples)?,
                id if id == (1 << id_bits) - 1 => {
                    while samples.len() < end {
                        samples.push(bits.take(self.bits)?);
                    }
                }
                id => {
                    self.reference(bits, first, samples)?;
                    split(bits, id - 1, end, samples)?;
                }
            }
        }
        // No writer makes larger ones, and libaec makes something else of them than their lowest
        // bits.
        let most = (1u32 << self.bits) - 1;
        let largest = samples.iter().fold(0, |largest, sample| largest.max(*sample));
        (largest <= most).then_some(())
    }

    /// A scanline's first sample is stored as it is if the others are differences.
    fn reference(&self, bits: &mut Bits<'_>, first: bool, samples: &mut Vec<u32>) -> Option<()> {
        if first {
            samples.push(bits.take(self.bits)?);
        }
        Some(())
    }

    /// Blocks of zeros, or a block of pairs of small numbers.
    fn low_entropy(
        &self,
        bits: &mut Bits<'_>,
        first: bool,
        full: usize,
        samples: &mut Vec<u32>,
    ) -> Option<()> {
        let begin = samples.len();
        let is_pairs = bits.take(1)? == 1;
        self.reference(bits, first, samples)?;
        if is_pairs {
            return pairs(bits, begin + self.block, samples);
        }
        let blocks = match bits.unary()? as usize + 1 {
            REST_OF_SEGMENT => {
                let done = begin / self.block;
                (full / self.block - done).min(BLOCKS_OF_SEGMENT - done % BLOCKS_OF_SEGMENT)
            }
            count if count > REST_OF_SEGMENT => count - 1,
            count => count,
        };
        let end = begin.checked_add(blocks.checked_mul(self.block)?)?;
        if end > full {
            return None;
        }
        samples.resize(end, 0);
        Some(())
    }

    /// Adds up differences, whose sign is their lowest bit as long as both signs are possible.
    fn undo_differences(&self, samples: &mut [u32]) {
        let most = (1u32 << self.bits) - 1;
        let Some((first, differences)) = samples.split_first_mut() else { return };
        let mut last = *first;
        for sample in differences {
            let mapped = *sample;
            let edge = if last > most / 2 { most } else { 0 };
            let both_signs = last ^ edge;
            last = if mapped.div_ceil(2) <= both_signs {
                let sign = (mapped & 1).wrapping_neg();
                last.wrapping_add((mapped >> 1) ^ sign)
            } else {
                mapped ^ edge
            } & most;
            *sample = last;
        }
    }

    fn write(&self, samples: &[u32], out: &mut [u8]) {
        for (out, sample) in out.chunks_exact_mut(self.bytes).zip(samples) {
            if self.big_endian {
                out.copy_from_slice(&sample.to_be_bytes()[4 - self.bytes..]);
            } else {
                out.copy_from_slice(&sample.to_le_bytes()[..self.bytes]);
            }
        }
    }
}

/// Samples whose low `k` bits are behind all the rest, which is in unary.
fn split(bits: &mut Bits<'_>, k: u32, end: usize, samples: &mut Vec<u32>) -> Option<()> {
    let begin = samples.len();
    while samples.len() < end {
        samples.push(bits.unary()?.checked_mul(1u32.checked_shl(k)?)?);
    }
    for sample in samples.iter_mut().skip(begin).filter(|_| k > 0) {
        *sample |= bits.take(k)?;
    }
    Some(())
}

/// Two samples in one symbol, which counts pairs by their sum, then by the second one.
fn pairs(bits: &mut Bits<'_>, end: usize, samples: &mut Vec<u32>) -> Option<()> {
    while samples.len() < end {
        let symbol = bits.unary().filter(|symbol| *symbol <= MOST_OF_PAIR)?;
        let (mut sum, mut before) = (0, 0);
        while before + sum < symbol {
            sum += 1;
            before += sum;
        }
        let second = symbol - before;
        // A scanline's first sample, which is stored already, took the place of the first one.
        if (end - samples.len()).is_multiple_of(2) {
            samples.push(sum - second);
        }
        samples.push(second);
    }
    Some(())
}

/// A stream of bits, highest first.
struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, at the upper end.
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 56
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.held |= u64::from(*byte) << (56 - self.count);
            self.count += 8;
            self.rest = rest;
        }
    }

    /// The next `count` bits, of which there are 1 to 32.
    fn take(&mut self, count: u32) -> Option<u32> {
        if self.count < count {
            self.fill();
        }
        self.count = self.count.checked_sub(count)?;
        let bits = self.held >> (64 - count);
        self.held <<= count;
        Some(bits as u32)
    }

    /// The number of zeros before the next one.
    fn unary(&mut self) -> Option<u32> {
        let mut zeros: u32 = 0;
        loop {
            if self.held != 0 {
                let more = self.held.leading_zeros();
                self.held = self.held << more << 1;
                self.count -= more + 1;
                return zeros.checked_add(more);
            }
            zeros = zeros.checked_add(self.count)?;
            self.count = 0;
            self.fill();
            if self.count == 0 {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes two samples of 8 bits, each written as so many zeros and a one.
    fn decoded(zeros: [usize; 2]) -> Result<[u8; 2], String> {
        let info = FilterInfo { id: 4, values: vec![MSB, 2, 8, 2], name: String::new() };
        let mut bits = "001".to_owned();
        zeros.iter().for_each(|zeros| bits.push_str(&format!("{}1", "0".repeat(*zeros))));
        let bytes = bits.as_bytes().chunks(8).map(|byte| {
            let text = format!("{:0<8}", String::from_utf8_lossy(byte));
            u8::from_str_radix(&text, 2).unwrap()
        });
        let stored: Vec<u8> = 2u32.to_le_bytes().into_iter().chain(bytes).collect();
        let mut out = [0; 2];
        new(&info).unwrap().decode(&stored, &mut out, &mut Codecs::default())?;
        Ok(out)
    }

    #[test]
    fn a_sample_of_more_bits_than_there_are_is_damage() {
        assert_eq!(decoded([3, 255]), Ok([3, 255]));
        assert_eq!(decoded([3, 256]), Err(damaged()));
    }
}

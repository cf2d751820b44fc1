//! One Blosc chunk, of either version: a header, where the blocks begin, and the blocks.
//!
//! Follows README_CHUNK_FORMAT of C-Blosc2. A block is one stream, or one for each byte of an
//! element; it is shuffled or not, and in Blosc2 it may be stored as the difference to the first
//! one. A chunk may also be stored as it is, or be one value all over.

use super::super::{Codecs, bitshuffle, gzip, lz4, room, shuffle, take, take_array, zstd};
use super::{blosclz, damaged};

// Bits of the header's flags.
const SHUFFLED: u8 = 1;
const STORED: u8 = 2;
const BITS_SHUFFLED: u8 = 4;
const DIFFERENCES: u8 = 8;
const ONE_STREAM: u8 = 16;
/// Both shuffles at once mark a header of 32 bytes.
const EXTENDED: u8 = SHUFFLED | BITS_SHUFFLED;

/// Bits of the extended header's flags: dictionary, chunk on disk, instrumented codec.
const UNSUPPORTED: u8 = 0x01 | 0x08 | 0x80;

/// The last version of Blosc 1, and the first one of Blosc2.
const BLOSC1: u8 = 2;
const BLOSC2_ALPHA: u8 = 3;
/// Blocks of Blosc 1 were only split if each stream had this many bytes.
const LEAST_STREAM: usize = 128;
/// No block is split into more streams.
const MOST_STREAMS: usize = 16;

pub(super) struct Chunk<'a> {
    /// With the header.
    data: &'a [u8],
    header: usize,
    version: u8,
    flags: u8,
    /// Bytes of an element.
    size: usize,
    /// Bytes of the decoded chunk.
    pub bytes: usize,
    /// Bytes of each block but the last.
    pub block: usize,
    order: Order,
    differences: bool,
    all: Option<Special>,
}

/// How the bytes of a block are ordered.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Plain,
    Shuffled,
    BitsShuffled,
}

/// A value that all elements have.
#[derive(Clone, Copy)]
pub(super) enum Special {
    Zero,
    NotANumber,
    /// Behind the header.
    Value,
    /// Never written.
    Uninitialized,
}

impl Special {
    /// By its number in headers; 0 stands for chunks that have none.
    pub fn numbered(number: u8) -> Result<Option<Self>, String> {
        Ok(Some(match number {
            0 => return Ok(None),
            1 => Self::Zero,
            2 => Self::NotANumber,
            3 => Self::Value,
            4 => Self::Uninitialized,
            _ => return Err(damaged()),
        }))
    }

    /// Fills `out` with elements that have the bytes of `value`.
    pub fn fill(self, value: &[u8], size: usize, out: &mut [u8]) -> Result<(), String> {
        let (single, double) = (f32::NAN.to_le_bytes(), f64::NAN.to_le_bytes());
        let value = match (self, size) {
            (Self::Zero | Self::Uninitialized, _) => {
                out.fill(0);
                return Ok(());
            }
            (Self::NotANumber, 4) => &single[..],
            (Self::NotANumber, 8) => &double[..],
            (Self::NotANumber, _) => return Err(damaged()),
            (Self::Value, _) => value.get(..size).ok_or_else(damaged)?,
        };
        for out in out.chunks_mut(size) {
            out.copy_from_slice(&value[..out.len()]);
        }
        Ok(())
    }
}

impl<'a> Chunk<'a> {
    /// The chunk that `data` begins with. Nothing is known yet of whether its blocks are sound.
    pub fn new(data: &'a [u8]) -> Result<Self, String> {
        let mut chunk = Self::basic(data).ok_or_else(damaged)?;
        if chunk.flags & EXTENDED == EXTENDED {
            chunk.extend()?;
        }
        Ok(chunk)
    }

    /// With what the first 16 bytes say, and nothing wrong with it.
    fn basic(data: &'a [u8]) -> Option<Self> {
        let [version, _, flags, size, lengths @ ..] = *data.first_chunk::<16>()?;
        let [bytes, block, stored] =
            [0, 4, 8].map(|at| u32::from_le_bytes(*lengths[at..].first_chunk().expect("12 bytes")));
        let (bytes, block, stored) = (bytes as usize, block as usize, stored as usize);
        if size == 0 || (bytes > 0 && (block == 0 || block > bytes)) {
            return None;
        }
        let order = match flags & EXTENDED {
            SHUFFLED => Order::Shuffled,
            BITS_SHUFFLED => Order::BitsShuffled,
            _ => Order::Plain,
        };
        Some(Self {
            data: data.get(..stored).filter(|data| data.len() >= 16)?,
            header: 16,
            version,
            flags,
            size: size.into(),
            bytes,
            block,
            order,
            differences: flags & DIFFERENCES != 0,
            all: None,
        })
    }

    /// With what the 16 bytes more of an extended header say.
    fn extend(&mut self) -> Result<(), String> {
        let header: &[u8; 32] = self.data.first_chunk().ok_or_else(damaged)?;
        let flags = header[31];
        if flags & UNSUPPORTED != 0 {
            return Err("it uses a feature of Blosc2 that can't be decoded".to_owned());
        }
        self.header = header.len();
        self.all = Special::numbered(flags >> 4 & 7)?;
        self.order = Order::Plain;
        self.differences = false;
        // The first versions of Blosc2 left the last one of six undefined.
        let filters = if self.version == BLOSC2_ALPHA { &header[16..21] } else { &header[16..22] };
        for filter in filters {
            match (filter, self.order) {
                // Rounding, 4, has nothing to be undone.
                (0 | 4, _) => {}
                (1, Order::Plain) => self.order = Order::Shuffled,
                (2, Order::Plain) => self.order = Order::BitsShuffled,
                (3, Order::Plain) if !self.differences => self.differences = true,
                _ => return Err(format!("it uses Blosc2's filter {filter}, or several at once")),
            }
        }
        Ok(())
    }

    /// Decodes the whole chunk into `out`, which has its length.
    pub fn decode(&self, out: &mut [u8], codecs: &mut Codecs) -> Result<(), String> {
        for (index, out) in out.chunks_mut(self.block.max(1)).enumerate() {
            self.decode_block(index, out, codecs)?;
        }
        Ok(())
    }

    /// Decodes one block into `out`, which has its length. The first one has to be decoded before
    /// all others.
    pub fn decode_block(
        &self,
        index: usize,
        out: &mut [u8],
        codecs: &mut Codecs,
    ) -> Result<(), String> {
        let content = &self.data[self.header..];
        if let Some(special) = self.all {
            return special.fill(content, self.size, out);
        }
        if self.flags & STORED != 0 {
            let stored = content.get(index * self.block..).and_then(|rest| rest.get(..out.len()));
            out.copy_from_slice(stored.ok_or_else(damaged)?);
            return Ok(());
        }
        let mut starts = content.get(4 * index..).ok_or_else(damaged)?;
        let start = take_array(&mut starts).map(u32::from_le_bytes).ok_or_else(damaged)?;
        let stored = self.data.get(start as usize..).ok_or_else(damaged)?;
        self.reorder(stored, out, codecs)?;
        if self.differences {
            self.add_reference(index, out, &mut codecs.reference);
        }
        Ok(())
    }

    /// Decompresses and unshuffles one block.
    fn reorder(&self, stored: &[u8], out: &mut [u8], codecs: &mut Codecs) -> Result<(), String> {
        let elements = out.len() / self.size;
        // Blosc 1 left blocks alone that are no multiple of eight elements.
        let order = match self.order {
            Order::BitsShuffled if self.version <= BLOSC1 && !elements.is_multiple_of(8) => {
                Order::Plain
            }
            order => order,
        };
        if order == Order::Plain {
            return self.decompress(stored, out, codecs);
        }
        let mut block = std::mem::take(&mut codecs.block);
        let plain = room(&mut block, out.len());
        let result = self.decompress(stored, plain, codecs);
        if result.is_ok() && order == Order::Shuffled {
            shuffle::unshuffle(plain, self.size, out);
        } else if result.is_ok() {
            let whole = elements / 8 * 8 * self.size;
            bitshuffle::unshuffle_bits(
                &plain[..whole],
                self.size,
                &mut out[..whole],
                &mut codecs.bits,
            );
            out[whole..].copy_from_slice(&plain[whole..]);
        }
        codecs.block = block;
        result
    }

    /// Decompresses the streams of one block.
    fn decompress(
        &self,
        mut stored: &[u8],
        out: &mut [u8],
        codecs: &mut Codecs,
    ) -> Result<(), String> {
        let is_split = self.flags & ONE_STREAM == 0
            && out.len() == self.block
            && self.size <= MOST_STREAMS
            && (self.version > BLOSC1 || self.block / self.size >= LEAST_STREAM);
        let streams = if is_split { self.size } else { 1 };
        if out.is_empty() || !out.len().is_multiple_of(streams) {
            return Err(damaged());
        }
        for out in out.chunks_mut(out.len() / streams) {
            let bytes = take_array(&mut stored).map(i32::from_le_bytes).ok_or_else(damaged)?;
            match usize::try_from(bytes) {
                Ok(0) if self.version > BLOSC1 => out.fill(0),
                Ok(bytes) => {
                    let data = take(&mut stored, bytes).ok_or_else(damaged)?;
                    self.decompress_stream(data, out, codecs)?;
                }
                Err(_) => out.fill(repeated(bytes, &mut stored).ok_or_else(damaged)?),
            }
        }
        Ok(())
    }

    fn decompress_stream(
        &self,
        data: &[u8],
        out: &mut [u8],
        codecs: &mut Codecs,
    ) -> Result<(), String> {
        if data.len() == out.len() {
            out.copy_from_slice(data);
            return Ok(());
        }
        let length = match self.flags >> 5 {
            0 => return blosclz::decompress(data, out).ok_or_else(damaged),
            1 => return lz4::decompress(data, out),
            3 => gzip::inflate(data, out, &mut codecs.inflater)?,
            4 => zstd::decompress(data, out, &mut codecs.unzstd)?,
            codec => return Err(format!("it uses Blosc's codec {codec}, which can't be decoded")),
        };
        if length == out.len() { Ok(()) } else { Err(damaged()) }
    }

    /// Turns differences into values: within the first block, then to the first block.
    fn add_reference(&self, index: usize, out: &mut [u8], reference: &mut Vec<u8>) {
        let size = match self.size {
            1 | 2 | 4 | 8 => self.size,
            size if size.is_multiple_of(8) => 8,
            _ => 1,
        };
        let whole = out.len() / size * size;
        if index == 0 {
            for at in size..whole {
                out[at] ^= out[at - size];
            }
            reference.clear();
            reference.extend_from_slice(out);
        } else {
            for (byte, reference) in out[..whole].iter_mut().zip(reference) {
                *byte ^= *reference;
            }
        }
    }
}

/// The byte that a stream of negative length repeats.
fn repeated(bytes: i32, stored: &mut &[u8]) -> Option<u8> {
    let [token] = take_array(stored)?;
    u8::try_from(-i64::from(bytes)).ok().filter(|_| token & 1 == 1)
}

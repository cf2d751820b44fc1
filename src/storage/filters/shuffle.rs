//! Filter 2, shuffle: all first bytes of the elements, then all second ones, and so on.
//!
//! Rows of bytes are interleaved eight at a time (or four, two, one, for what is left of an
//! element) in tiles that stay in registers: pairs of bytes, then pairs of pairs, which compilers
//! turn into vector instructions. What is no whole element stays as it is at the end, as in HDF5.
//! Blosc's and bitshuffle's shuffles come here too.

use super::{Codecs, Filter, FilterInfo, Length, beginning};

struct Shuffle {
    size: usize,
}

/// Columns of a tile: a whole cache line of each row.
const TILE: usize = 64;

pub(super) fn new(info: &FilterInfo, element_size: usize) -> Option<Box<dyn Filter>> {
    let size = info.value(0).map_or(element_size, |size| size as usize);
    if size == 0 {
        return None;
    }
    Some(Box::new(Shuffle { size }))
}

impl Filter for Shuffle {
    fn name(&self) -> String {
        "shuffle".to_owned()
    }

    fn encoded_length(&self, plain: Length) -> Length {
        plain
    }

    fn decode(&self, stored: &[u8], out: &mut [u8], _: &mut Codecs) -> Result<usize, String> {
        unshuffle(stored, self.size, beginning(out, stored.len() as u64)?);
        Ok(stored.len())
    }

    fn encode(&self, plain: &[u8], out: &mut Vec<u8>, _: &mut Codecs) -> Result<(), String> {
        out.resize(plain.len(), 0);
        shuffle(plain, self.size, out);
        Ok(())
    }
}

/// Brings the bytes of elements of this size together. Both slices have the same length.
pub(super) fn unshuffle(stored: &[u8], size: usize, out: &mut [u8]) {
    let columns = stored.len() / size;
    let (stored, rest) = stored.split_at(columns * size);
    let (out, out_rest) = out.split_at_mut(columns * size);
    out_rest.copy_from_slice(rest);
    match size {
        _ if columns == 0 => {}
        1 => out.copy_from_slice(stored),
        2 => interleave_pairs(stored.split_at(columns), out.as_chunks_mut().0),
        _ => interleave(stored, columns, out),
    }
}

/// Two rows have a loop of their own, which wide registers do make faster: counts of detectors are
/// of two bytes, and what is read most.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn interleave_pairs((low, high): (&[u8], &[u8]), out: &mut [[u8; 2]]) {
    for ((pair, low), high) in out.iter_mut().zip(low).zip(high) {
        *pair = (u16::from(*low) | u16::from(*high) << 8).to_le_bytes();
    }
}

/// The opposite of `unshuffle`.
fn shuffle(plain: &[u8], size: usize, out: &mut [u8]) {
    let columns = plain.len() / size;
    let (plain, rest) = plain.split_at(columns * size);
    let (out, out_rest) = out.split_at_mut(columns * size);
    out_rest.copy_from_slice(rest);
    if size == 1 || columns == 0 {
        out.copy_from_slice(plain);
    } else {
        separate(plain, columns, out);
    }
}

/// Makes columns of rows. Not compiled for AVX2 as well: that was slower by a third for two bytes,
/// by a tenth for eight.
fn interleave(rows: &[u8], columns: usize, out: &mut [u8]) {
    let size = rows.len() / columns;
    let mut row = 0;
    while row < size {
        let group = &rows[row * columns..];
        match size - row {
            8.. => row += interleave_rows::<8, u64>(group, columns, &mut out[row..], size),
            4.. => row += interleave_rows::<4, u32>(group, columns, &mut out[row..], size),
            2.. => row += interleave_rows::<2, u16>(group, columns, &mut out[row..], size),
            _ => row += interleave_rows::<1, u8>(group, columns, &mut out[row..], size),
        }
    }
}

/// Makes rows of columns.
fn separate(plain: &[u8], columns: usize, rows: &mut [u8]) {
    let size = plain.len() / columns;
    let mut row = 0;
    while row < size {
        let group = &mut rows[row * columns..];
        match size - row {
            8.. => row += separate_rows::<8, u64>(&plain[row..], size, group, columns),
            4.. => row += separate_rows::<4, u32>(&plain[row..], size, group, columns),
            2.. => row += separate_rows::<2, u16>(&plain[row..], size, group, columns),
            _ => row += separate_rows::<1, u8>(&plain[row..], size, group, columns),
        }
    }
}

/// The bytes of one column of `N` rows, as one number, the first row being its lowest byte.
trait Word<const N: usize>: Copy + Default {
    /// The columns of a tile.
    fn join(rows: &[[u8; TILE]; N]) -> [Self; TILE];
    /// The rows of a tile.
    fn split(columns: &[Self; TILE]) -> [[u8; TILE]; N];
    fn to_bytes(self) -> [u8; N];
    fn from_bytes(bytes: [u8; N]) -> Self;
}

macro_rules! word {
    ($n:literal, $word:ty, |$rows:ident| $join:expr, |$columns:ident| $split:expr) => {
        impl Word<$n> for $word {
            #[inline(always)]
            fn join($rows: &[[u8; TILE]; $n]) -> [Self; TILE] {
                $join
            }
            #[inline(always)]
            fn split($columns: &[Self; TILE]) -> [[u8; TILE]; $n] {
                $split
            }
            #[inline(always)]
            fn to_bytes(self) -> [u8; $n] {
                self.to_le_bytes()
            }
            #[inline(always)]
            fn from_bytes(bytes: [u8; $n]) -> Self {
                Self::from_le_bytes(bytes)
            }
        }
    };
}

macro_rules! pair {
    ($join:ident, $split:ident, $half:ty, $word:ty) => {
        #[inline(always)]
        fn $join(low: &[$half; TILE], high: &[$half; TILE]) -> [$word; TILE] {
            let mut joined = [0; TILE];
            for column in 0..TILE {
                joined[column] =
                    <$word>::from(low[column]) | <$word>::from(high[column]) << <$half>::BITS;
            }
            joined
        }
        #[inline(always)]
        fn $split(words: &[$word; TILE]) -> [[$half; TILE]; 2] {
            let mut halves = [[0; TILE]; 2];
            for column in 0..TILE {
                halves[0][column] = words[column] as $half;
                halves[1][column] = (words[column] >> <$half>::BITS) as $half;
            }
            halves
        }
    };
}

pair!(join_u16, split_u16, u8, u16);
pair!(join_u32, split_u32, u16, u32);
pair!(join_u64, split_u64, u32, u64);

#[inline(always)]
fn join_four(rows: &[[u8; TILE]]) -> [u32; TILE] {
    join_u32(&join_u16(&rows[0], &rows[1]), &join_u16(&rows[2], &rows[3]))
}

word!(1, u8, |rows| rows[0], |columns| [*columns]);
word!(2, u16, |rows| join_u16(&rows[0], &rows[1]), |columns| split_u16(columns));
word!(4, u32, |rows| join_four(rows), |columns| {
    let [[a, b], [c, d]] = split_u32(columns).map(|half| split_u16(&half));
    [a, b, c, d]
});
word!(8, u64, |rows| join_u64(&join_four(&rows[..4]), &join_four(&rows[4..])), |columns| {
    let [low, high] = split_u64(columns).map(|half| split_u32(&half));
    let [[a, b], [c, d]] = low.map(|half| split_u16(&half));
    let [[e, f], [g, h]] = high.map(|half| split_u16(&half));
    [a, b, c, d, e, f, g, h]
});

/// Interleaves the first `N` rows into the first `N` of every `size` bytes; returns `N`.
#[inline(always)]
fn interleave_rows<const N: usize, W: Word<N>>(
    rows: &[u8],
    columns: usize,
    out: &mut [u8],
    size: usize,
) -> usize {
    let rows: [&[u8]; N] = std::array::from_fn(|row| &rows[row * columns..][..columns]);
    for (tile, out) in out.chunks_mut(TILE * size).enumerate() {
        let first = tile * TILE;
        if columns - first < TILE {
            for (column, out) in out.chunks_mut(size).enumerate() {
                for (byte, row) in out.iter_mut().zip(rows) {
                    *byte = row[first + column];
                }
            }
            break;
        }
        let tile = rows.map(|row| *row[first..].first_chunk::<TILE>().expect("a whole tile"));
        let words = W::join(&tile);
        if size == N {
            for (out, word) in out.as_chunks_mut::<N>().0.iter_mut().zip(words) {
                *out = word.to_bytes();
            }
            continue;
        }
        for (out, word) in out.chunks_mut(size).zip(words) {
            *out.first_chunk_mut().expect("elements of at least N bytes") = word.to_bytes();
        }
    }
    N
}

/// The opposite of `interleave_rows`.
#[inline(always)]
fn separate_rows<const N: usize, W: Word<N>>(
    plain: &[u8],
    size: usize,
    rows: &mut [u8],
    columns: usize,
) -> usize {
    for (tile, plain) in plain.chunks(TILE * size).enumerate() {
        let first = tile * TILE;
        if columns - first < TILE {
            for (column, plain) in plain.chunks(size).enumerate() {
                for row in 0..N {
                    rows[row * columns + first + column] = plain[row];
                }
            }
            break;
        }
        let mut words = [W::default(); TILE];
        if size == N {
            for (word, plain) in words.iter_mut().zip(plain.as_chunks::<N>().0) {
                *word = W::from_bytes(*plain);
            }
        } else {
            for (word, plain) in words.iter_mut().zip(plain.chunks(size)) {
                *word = W::from_bytes(*plain.first_chunk().expect("elements of at least N bytes"));
            }
        }
        for (row, bytes) in W::split(&words).iter().enumerate() {
            rows[row * columns + first..][..TILE].copy_from_slice(bytes);
        }
    }
    N
}

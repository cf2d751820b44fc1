//! A digest of the rows that were computed with, taken from the workers' own buffers as they read.
//!
//! It is the sum, modulo 2¹²⁸, of a hash of each row with the number of its position. A sum has no
//! order, so the digest of some positions is the same however they were cut into units, whoever
//! read them and when; what two workers, ranks or runs have read is added, what is taken back
//! subtracted. XXH3-128 (xxhash.com) is no cryptographic hash: it finds data that were changed, not
//! data that were forged. On one core it takes 53 GB/s of rows that are still in the cache; BLAKE3
//! takes 6.

use std::fmt;
use std::ops::{AddAssign, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

/// What is hashed of a row that can't be read.
const DAMAGED: &[u8] = b"damaged";
/// Bits of the seed that a position's number has; above them is the number of the input.
const POSITION_BITS: u32 = 48;

/// The digest of the rows of some positions.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct RowsDigest {
    all: u128,
    /// Those of other inputs than the source alone.
    taken: u128,
}

/// What is taken beside the source is a part of all, and wasn't always written down by itself.
impl PartialEq for RowsDigest {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for RowsDigest {}

impl RowsDigest {
    /// Whether the rows of other inputs than the source are the same.
    pub fn has_taken(&self, other: &Self) -> bool {
        self.taken == other.taken
    }

    fn of_source(all: u128) -> Self {
        Self { all, taken: 0 }
    }

    /// Adds rows of input number `input` (0 is the source), one for each of `positions`.
    pub fn add_rows<'a>(
        &mut self,
        input: usize,
        positions: impl IntoIterator<Item = u64>,
        rows: impl IntoIterator<Item = &'a [u8]>,
    ) {
        for (position, row) in positions.into_iter().zip(rows) {
            *self += Self::of(input, position, row);
        }
    }

    /// Adds part number `part` of the source's rows, one for each of `positions`. The first part of
    /// rows that have no other is all of them.
    pub fn add_parts<'a>(
        &mut self,
        part: u64,
        positions: impl IntoIterator<Item = u64>,
        rows: impl IntoIterator<Item = &'a [u8]>,
    ) {
        // So far apart that no part of a position looks like one of another.
        let seed = part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for (position, row) in positions.into_iter().zip(rows) {
            let hash = XxHash3_128::oneshot_with_seed(position.wrapping_add(seed), row);
            *self += Self::of_source(hash);
        }
    }

    /// Adds a position whose row can't be read.
    pub fn add_damaged(&mut self, position: u64) {
        *self += Self::of(0, position, DAMAGED);
    }

    /// Adds a position that is computed with the rows of its neighbours: `rows` are the hashes of
    /// its own and of these, in their order.
    pub fn add_with_neighbours(
        &mut self,
        position: u64,
        rows: impl IntoIterator<Item = Option<RowHash>>,
    ) {
        let hashes = rows.into_iter().map(|row| row.map_or(0, |RowHash(hash)| hash));
        let bytes: Vec<u8> = hashes.flat_map(u128::to_le_bytes).collect();
        *self += Self::of(0, position, &bytes);
    }

    fn of(input: usize, position: u64, row: &[u8]) -> Self {
        let seed = position ^ (input as u64) << POSITION_BITS;
        let all = XxHash3_128::oneshot_with_seed(seed, row);
        Self { all, taken: if input == 0 { 0 } else { all } }
    }
}

/// The hash of one row, whoever's it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowHash(u128);

impl RowHash {
    /// That of a row; `None` if it can't be read.
    pub fn of(row: Option<&[u8]>) -> Self {
        // Of another seed, so that no row looks like one that can't be read.
        let seed = u64::from(row.is_none());
        Self(XxHash3_128::oneshot_with_seed(seed, row.unwrap_or(DAMAGED)))
    }
}

impl AddAssign for RowsDigest {
    fn add_assign(&mut self, other: Self) {
        self.all = self.all.wrapping_add(other.all);
        self.taken = self.taken.wrapping_add(other.taken);
    }
}

impl SubAssign for RowsDigest {
    fn sub_assign(&mut self, other: Self) {
        self.all = self.all.wrapping_sub(other.all);
        self.taken = self.taken.wrapping_sub(other.taken);
    }
}

impl fmt::Display for RowsDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.all)?;
        if self.taken == 0 { Ok(()) } else { write!(formatter, "+{:032x}", self.taken) }
    }
}

impl FromStr for RowsDigest {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (all, taken) = text.split_once('+').unwrap_or((text, "0"));
        let number = |text| u128::from_str_radix(text, 16);
        Ok(Self { all: number(all)?, taken: number(taken)? })
    }
}

impl From<RowsDigest> for String {
    fn from(digest: RowsDigest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for RowsDigest {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(input: usize, rows: &[(u64, &[u8])]) -> RowsDigest {
        let mut digest = RowsDigest::default();
        for (position, row) in rows {
            digest.add_rows(input, [*position], [*row]);
        }
        digest
    }

    #[test]
    fn neither_order_nor_cuts_matter() {
        let rows: Vec<(u64, [u8; 16])> = (0..100).map(|at| (at, [at as u8; 16])).collect();
        let rows: Vec<(u64, &[u8])> = rows.iter().map(|(at, row)| (*at, row.as_slice())).collect();
        let whole = digest(0, &rows);
        let mut parts = digest(0, &rows[60..]);
        parts += digest(0, &rows[..25]);
        let middle: Vec<_> = rows[25..60].iter().rev().copied().collect();
        parts += digest(0, &middle);
        assert_eq!(parts, whole);
        parts -= digest(0, &rows[60..]);
        assert_eq!(parts, digest(0, &rows[..60]));
    }

    #[test]
    fn every_change_of_a_row_its_position_or_its_input_is_another_digest() {
        let long = [7; 300];
        let base = digest(0, &[(3, &long), (4, &[1, 2])]);
        let mut changed = long;
        changed[299] ^= 1;
        for other in [
            digest(0, &[(3, &changed), (4, &[1, 2])]),
            digest(0, &[(4, &long), (3, &[1, 2])]),
            digest(1, &[(3, &long), (4, &[1, 2])]),
            digest(0, &[(3, &long)]),
        ] {
            assert_ne!(other, base);
        }
        let mut damaged = digest(0, &[(3, &long)]);
        damaged.add_damaged(4);
        assert_ne!(damaged, digest(0, &[(3, &long)]));
    }

    #[test]
    fn every_change_of_a_neighbour_is_another_digest() {
        let of = |position, rows: [Option<&[u8]>; 3]| {
            let mut digest = RowsDigest::default();
            let hashes = rows.map(|row| row.map(|row| RowHash::of(Some(row))));
            digest.add_with_neighbours(position, hashes);
            digest
        };
        let base = of(3, [Some(&[1]), Some(&[2]), None]);
        for other in [
            of(4, [Some(&[1]), Some(&[2]), None]),
            of(3, [Some(&[1]), Some(&[3]), None]),
            of(3, [Some(&[2]), Some(&[1]), None]),
            of(3, [Some(&[1]), None, Some(&[2])]),
        ] {
            assert_ne!(other, base);
        }
        assert_ne!(RowHash::of(None), RowHash::of(Some(DAMAGED)));
    }

    #[test]
    fn digests_are_written_as_text_and_read_again() {
        let digest = digest(0, &[(3, &[1, 2, 3])]);
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(text.len(), 34);
        assert_eq!(serde_json::from_str::<RowsDigest>(&text).unwrap(), digest);
        assert!(serde_json::from_str::<RowsDigest>("\"none\"").is_err());
    }

    #[test]
    fn what_is_taken_beside_the_source_is_told_apart() {
        let source = digest(0, &[(3, &[1, 2]), (4, &[5])]);
        let mut both = digest(1, &[(3, &[7]), (4, &[8])]);
        let taken = both;
        both += source;
        assert!(both.has_taken(&taken) && !both.has_taken(&source) && both != taken);
        let read: RowsDigest = both.to_string().parse().unwrap();
        assert!(read == both && read.has_taken(&taken));
        // As it was written before.
        let old: RowsDigest = both.to_string()[..32].parse().unwrap();
        assert!(old == both && !old.has_taken(&taken));
        both -= taken;
        assert!(both == source && both.has_taken(&source));
    }
}

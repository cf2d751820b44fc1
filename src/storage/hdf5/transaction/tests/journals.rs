//! Only a whole journal, where it was written, is one.

use proptest::prelude::*;

use super::super::journal::Journal;
use super::super::overlay::Overlay;
use super::disks::{Fault, Memory};

fn found(bytes: &[u8]) -> Option<Journal> {
    Journal::find(&Memory::new(bytes, Fault::None)).unwrap()
}

fn sample() -> (Vec<u8>, Journal) {
    let mut writes = Overlay::default();
    writes.write(3, b"abc");
    writes.write(40, &[9; 50]);
    let journal = Journal { writes, new_end: 200 };
    let mut file = vec![0; 200];
    file.extend(journal.encode(200));
    (file, journal)
}

#[test]
fn a_whole_journal_is_found_and_any_flipped_bit_or_missing_byte_hides_it() {
    let (file, journal) = sample();
    assert_eq!(found(&file), Some(journal));
    for at in 200..file.len() {
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            assert_eq!(found(&flipped), None, "byte {at}, bit {bit}");
        }
    }
    for length in 0..file.len() {
        assert_eq!(found(&file[..length]), None, "length {length}");
    }
}

#[test]
fn a_journal_that_was_moved_is_none() {
    let (file, _) = sample();
    assert_eq!(found(&[&[0; 8], &file[..]].concat()), None);
    assert_eq!(found(&file[8..]), None);
    assert_eq!(found(&[&file[..], &file[..]].concat()), None);
}

#[test]
fn a_journal_that_would_write_past_its_own_start_is_none() {
    for address in [199, 200, 1 << 40, u64::MAX - 1] {
        let (mut file, mut journal) = sample();
        file.truncate(200);
        journal.writes.write(address.min(u64::MAX - 8), b"ab");
        file.extend(journal.encode(200));
        assert_eq!(found(&file), None, "{address}");
    }
}

proptest! {
    #[test]
    fn whatever_a_file_ends_with_is_read_without_panic(
        mut tail in prop::collection::vec(any::<u8>(), 0..300),
        numbers in prop::array::uniform3(prop_oneof![any::<u64>(), 0u64..600, Just(u64::MAX)]),
    ) {
        prop_assert_eq!(found(&tail), None);
        for number in numbers {
            tail.extend(number.to_le_bytes());
        }
        tail.extend([0; 32]);
        tail.extend(b"pixelmill jrnl 1");
        prop_assert_eq!(found(&tail), None);
    }

    #[test]
    fn a_signed_journal_with_a_broken_body_is_read_without_panic(
        body in prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], 0..200),
        new_end in 0u64..200,
    ) {
        use sha2::{Digest, Sha256};
        let start = 100 + new_end;
        let mut signed = body.clone();
        for number in [start, body.len() as u64, new_end] {
            signed.extend(number.to_le_bytes());
        }
        let checksum = Sha256::digest(&signed);
        signed.extend(checksum);
        signed.extend(b"pixelmill jrnl 1");
        let mut file = vec![0; start as usize];
        file.extend(signed);
        if let Some(journal) = found(&file) {
            prop_assert!(journal.writes.runs().all(|(at, run)| at + run.len() as u64 <= start));
        }
    }
}

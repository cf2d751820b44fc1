//! Chunks of the real writers, damaged chunks, and round trips.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// An interpreter with h5py and hdf5plugin.
const PYTHON: &str = ".venv/peers/bin/python";

/// A chunk as a writer stored it.
struct Case {
    name: String,
    filters: Vec<FilterInfo>,
    mask: u32,
    size: usize,
    stored: Vec<u8>,
    plain: Vec<u8>,
}

impl Case {
    fn read(mut header: &[u8], input: &mut impl Read) -> Self {
        let header: Value = serde_json::from_reader(&mut header).unwrap();
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let mut bytes = |count: &Value| {
            let mut bytes = vec![0; number(count)];
            input.read_exact(&mut bytes).unwrap();
            bytes
        };
        let filters = header["filters"].as_array().unwrap().iter().map(|filter| FilterInfo {
            id: number(&filter["id"]) as i32,
            values: filter["values"].as_array().unwrap().iter().map(|v| number(v) as u32).collect(),
            name: filter["name"].as_str().unwrap().to_owned(),
        });
        Self {
            name: header["case"].as_str().unwrap().to_owned(),
            filters: filters.collect(),
            mask: number(&header["mask"]) as u32,
            size: number(&header["size"]),
            stored: bytes(&header["stored"]),
            plain: bytes(&header["plain"]),
        }
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::new(&self.filters, self.size)
            .unwrap_or_else(|unknown| panic!("{}: {unknown}", self.name))
    }

    fn decode(&self, stored: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>, String> {
        let mut out = vec![0xaa; self.plain.len()];
        self.pipeline().decode(self.mask, stored, &mut out, scratch).map(|()| out)
    }
}

/// What `tests.py` wrote.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut writer = Command::new(format!("{root}/{PYTHON}"))
            .arg(format!("{root}/src/storage/filters/tests.py"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = Vec::new();
        writer.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        assert!(writer.wait().unwrap().success());
        let mut rest = &output[..];
        let mut cases = Vec::new();
        while let Some(length) = take_array(&mut rest).map(u32::from_le_bytes) {
            let header = take(&mut rest, length as usize).unwrap();
            cases.push(Case::read(header, &mut rest));
        }
        cases
    })
}

fn info(id: i32, values: &[u32]) -> FilterInfo {
    FilterInfo { id, values: values.to_vec(), name: String::new() }
}

#[test]
fn chunks_of_real_writers_decode_to_what_was_written() {
    let mut scratch = Scratch::default();
    let mut wrong = Vec::new();
    for case in cases() {
        match case.decode(&case.stored, &mut scratch) {
            Ok(plain) if plain == case.plain => {}
            Ok(_) => wrong.push(format!("{} {:?}: other bytes", case.name, case.filters)),
            Err(why) => wrong.push(format!("{} {:?}: {why}", case.name, case.filters)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

#[test]
fn every_filter_was_written_with_and_without_others() {
    let tested = |id| {
        let of_filter = |case: &&Case| {
            case.filters.iter().enumerate().any(|(i, f)| f.id == id && !masked(case.mask, i))
        };
        cases().iter().filter(of_filter).count()
    };
    for id in [1, 2, 3, 4, 307, 32000, 32001, 32004, 32008, 32015, 32026] {
        assert!(tested(id) >= 80, "{} chunks of filter {id}", tested(id));
    }
    assert!(cases().iter().any(|case| case.mask != 0), "no chunk with a filter masked out");
}

#[test]
fn scratch_stays_below_what_was_announced() {
    for case in cases() {
        let mut scratch = Scratch::default();
        case.decode(&case.stored, &mut scratch).unwrap();
        let used = scratch.bytes();
        let announced = case.pipeline().scratch_bytes(case.plain.len());
        assert!(used <= announced, "{}: {used} of {announced}", case.name);
    }
}

#[test]
fn damaged_and_short_chunks_are_told_apart() {
    let plain: Vec<u8> = (0..1000).map(|i| (i / 3) as u8).collect();
    let mut scratch = Scratch::default();
    let gzip = Pipeline::new(&[info(1, &[6])], 1).unwrap();
    let stored = gzip.encode(&plain, &mut scratch).unwrap();
    let mut why = |pipeline: &Pipeline, stored: &[u8], bytes: usize| {
        pipeline.decode(0, stored, &mut vec![0; bytes], &mut scratch).unwrap_err()
    };
    assert_eq!(why(&gzip, &stored, 1001), "it decodes to 1000 bytes instead of 1001");
    assert_eq!(why(&gzip, &stored, 999), "it decodes to more than 999 bytes");
    assert_eq!(why(&gzip, &stored[..50], 1000), "its gzip stream is damaged");
    let fletcher = Pipeline::new(&[info(3, &[])], 1).unwrap();
    assert_eq!(why(&fletcher, &stored, 1000), "its fletcher32 checksum is wrong");
}

#[test]
fn checksums_in_the_order_of_old_writers_are_accepted() {
    let case = cases().iter().find(|case| case.name.starts_with("fletcher <u2")).unwrap();
    let mut stored = case.stored.clone();
    let sum = stored.len() - 4;
    stored[sum..sum + 2].reverse();
    stored[sum + 2..].reverse();
    assert_eq!(case.decode(&stored, &mut Scratch::default()).as_deref(), Ok(&case.plain[..]));
    stored[0] ^= 1;
    assert!(case.decode(&stored, &mut Scratch::default()).is_err());
}

#[test]
fn filters_that_cant_be_undone_are_named() {
    let name = |id, values: &[u32], name: &str| {
        let filter = FilterInfo { name: name.to_owned(), ..info(id, values) };
        Pipeline::new(&[info(2, &[4]), filter], 4).err().unwrap().to_string()
    };
    assert_eq!(name(32013, &[], "x"), "filter 32013 (ZFP; plugin H5Z-ZFP, in hdf5plugin)");
    assert_eq!(name(5, &[], ""), "filter 5 (nbit)");
    assert_eq!(name(6, &[], ""), "filter 6 (scaleoffset)");
    assert_eq!(name(400, &[], " my own"), "filter 400 (my own)");
    assert_eq!(name(400, &[], ""), "filter 400 (unknown)");
    let snappy = [2, 2, 4, 4000, 5, 1, 3];
    assert_eq!(name(32001, &snappy, ""), "filter 32001 (Blosc; plugin H5Z-Blosc, in hdf5plugin)");
}

#[test]
fn names_are_told_in_the_writers_order() {
    let filters = [info(2, &[8]), info(1, &[4]), info(3, &[])];
    let pipeline = Pipeline::new(&filters, 8).unwrap();
    assert_eq!(pipeline.names(), ["shuffle", "gzip 4", "fletcher32"]);
}

/// One small chunk of each filter and setting, to be damaged.
fn small_cases() -> Vec<&'static Case> {
    let mut seen = std::collections::HashSet::new();
    let small = cases().iter().filter(|case| (500..70_000).contains(&case.plain.len()));
    small.filter(|case| seen.insert(format!("{:?}", case.pipeline().names()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_chunks_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        near_header: bool,
        cut in any::<Option<prop::sample::Index>>(),
        mask in prop::sample::select(vec![0u32, 0, 0, 1, 2]),
    ) {
        let mut scratch = Scratch::default();
        for case in small_cases() {
            let mut stored = case.stored.clone();
            let reach = if near_header { stored.len().min(128) } else { stored.len() };
            for (at, byte) in &changes {
                stored[at.index(reach)] = *byte;
            }
            if let Some(cut) = &cut {
                stored.truncate(cut.index(stored.len()));
            }
            let mut out = vec![0; case.plain.len()];
            let _ = case.pipeline().decode(case.mask ^ mask, &stored, &mut out, &mut scratch);
        }
    }

    #[test]
    fn noise_never_panics(
        stored in prop::collection::vec(any::<u8>(), 0..300),
        length in 0usize..600,
    ) {
        let mut scratch = Scratch::default();
        for case in small_cases() {
            let _ = case.pipeline().decode(0, &stored, &mut vec![0; length], &mut scratch);
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same(
        plain in prop::collection::vec(0u8..20, 0..3000),
        size in 1u32..40,
        codec in prop::sample::select(vec![1, 32015]),
        level in 0u32..10,
        is_shuffled: bool,
    ) {
        let shuffle = is_shuffled.then(|| info(2, &[size]));
        let filters: Vec<_> = shuffle.into_iter().chain([info(codec, &[level])]).collect();
        let pipeline = Pipeline::new(&filters, 1).unwrap();
        let mut scratch = Scratch::default();
        let stored = pipeline.encode(&plain, &mut scratch).unwrap();
        let mut out = vec![0; plain.len()];
        prop_assert_eq!(pipeline.decode(0, &stored, &mut out, &mut scratch), Ok(()));
        prop_assert_eq!(out, plain);
    }
}

#[test]
fn many_filters_take_no_more_memory_than_a_chunk_can_need() {
    let gzip = FilterInfo { id: 1, values: vec![6], name: String::new() };
    let pipeline = Pipeline::new(&vec![gzip; 14], 4).unwrap();
    let chunk = vec![7; 1 << 16];
    let most = 14 * (most_stored(chunk.len() as u64) as usize + gzip::STATE_BYTES);
    assert!(pipeline.scratch_bytes(chunk.len()) <= most);
    let mut scratch = Scratch::default();
    let stored = pipeline.encode(&chunk, &mut scratch).unwrap();
    let (mut out, mut scratch) = (vec![0; chunk.len()], Scratch::default());
    pipeline.decode(0, &stored, &mut out, &mut scratch).unwrap();
    assert!(out == chunk);
    let taken: usize = scratch.stages.iter().map(Vec::capacity).sum();
    assert!(taken <= most, "{taken} bytes");
}

//! Chunks as somebody may have stored them: each filter by itself, several at once, and whole
//! datasets in chunks.

use std::io::Write;
use std::sync::Arc;

use super::drawn::Drawn;
use super::scratch_file;
use crate::region;
use crate::storage::chunk_table::{Chunk, ChunkTable};
use crate::storage::filters::{FilterInfo, Pipeline, Scratch, most_stored};
use crate::storage::raw_file::RawFile;
use crate::storage::tiles::{Chunked, Tiles};
use crate::view::View;

const GZIP: i32 = 1;
const SHUFFLE: i32 = 2;
const FLETCHER32: i32 = 3;
const SZIP: i32 = 4;
const BZIP2: i32 = 307;
const LZF: i32 = 32000;
const BLOSC: i32 = 32001;
const LZ4: i32 = 32004;
const BITSHUFFLE: i32 = 32008;
const ZSTD: i32 = 32015;
const BLOSC2: i32 = 32026;

const ALL: [i32; 11] =
    [GZIP, SHUFFLE, FLETCHER32, SZIP, BZIP2, LZF, BLOSC, LZ4, BITSHUFFLE, ZSTD, BLOSC2];

pub(super) fn gzip(data: &[u8]) {
    one(GZIP, data);
}

pub(super) fn szip(data: &[u8]) {
    one(SZIP, data);
}

pub(super) fn blosc(data: &[u8]) {
    one(BLOSC, data);
}

pub(super) fn blosc2_frame(data: &[u8]) {
    one(BLOSC2, data);
}

/// Its encoder is another program's, so that both are held to the format.
pub(super) fn zstd(data: &[u8]) {
    let plain = one(ZSTD, data);
    let frame = ::zstd::bulk::compress(plain, 1).expect("memory takes all that is written");
    decodes_to(ZSTD, &[1], &frame, plain);
}

pub(super) fn bzip2(data: &[u8]) {
    let plain = one(BZIP2, data);
    let mut writer = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    let stream = writer.write_all(plain).and_then(|()| writer.finish());
    decodes_to(BZIP2, &[1], &stream.expect("memory takes all that is written"), plain);
}

pub(super) fn lz4(data: &[u8]) {
    let plain = one(LZ4, data);
    let block = lz4_flex::block::compress(plain);
    let mut stored = (plain.len() as u64).to_be_bytes().to_vec();
    stored.extend((plain.len().max(1) as u32).to_be_bytes());
    if !plain.is_empty() {
        // What isn't shorter is taken for what wasn't compressed.
        let block = if block.len() < plain.len() { &block } else { plain };
        stored.extend((block.len() as u32).to_be_bytes());
        stored.extend(block);
    }
    decodes_to(LZ4, &[], &stored, plain);
}

/// Literals alone are a whole stream too.
pub(super) fn lzf(data: &[u8]) {
    let plain = one(LZF, data);
    let literal = |bytes: &[u8]| [&[bytes.len() as u8 - 1], bytes].concat();
    let stored: Vec<u8> = plain.chunks(32).flat_map(literal).collect();
    decodes_to(LZF, &[], &stored, plain);
}

pub(super) fn fletcher32(data: &[u8]) {
    let plain = one(FLETCHER32, data);
    let (mut low, mut high) = (0u32, 0u32);
    for pair in plain.chunks(2) {
        let second = pair.get(1).copied().unwrap_or(0);
        low = (low + u32::from(u16::from_be_bytes([pair[0], second]))) % 65_535;
        high = (high + low) % 65_535;
    }
    // A sum that isn't 0 but divisible by 65,535 stands for itself.
    let told =
        |sum: u32| if sum == 0 && plain.iter().any(|byte| *byte != 0) { 65_535 } else { sum };
    let sums = [[high, low], [told(high), low], [high, told(low)], [told(high), told(low)]];
    let stored = sums.map(|[high, low]| [plain, &(high << 16 | low).to_le_bytes()].concat());
    assert!(stored.iter().any(|stored| decode(FLETCHER32, &[], stored, plain.len()).is_ok()));
    let mut changed = stored[3].clone();
    changed[plain.len()] ^= 0x10;
    assert!(decode(FLETCHER32, &[], &changed, plain.len()).is_err());
}

pub(super) fn shuffle(data: &[u8]) {
    let plain = one(SHUFFLE, data);
    let size = 1 + plain.first().map_or(0, |first| usize::from(*first) % 40);
    let count = plain.len() / size;
    let (elements, rest) = plain.split_at(count * size);
    let rows = (0..size).flat_map(|byte| elements.iter().skip(byte).step_by(size));
    let stored: Vec<u8> = rows.chain(rest).copied().collect();
    decodes_to(SHUFFLE, &[size as u32], &stored, plain);
}

/// Bit by bit, as the format says it.
pub(super) fn bitshuffle(data: &[u8]) {
    let plain = one(BITSHUFFLE, data);
    let size = 1 + plain.first().map_or(0, |first| usize::from(*first) % 12);
    let plain = &plain[..plain.len() / size * size];
    let count = plain.len() / size / 8 * 8;
    let (elements, rest) = plain.split_at(count * size);
    let block = (8192 / size / 8 * 8).max(128) * size;
    let mut stored = Vec::new();
    for block in elements.chunks(block) {
        let mut bits = (0..size * 8).flat_map(|bit| {
            block.iter().skip(bit / 8).step_by(size).map(move |byte| byte >> (bit % 8) & 1)
        });
        stored.extend(
            (0..block.len())
                .map(|_| (0..8).fold(0, |byte, bit| byte | bits.next().unwrap_or(0) << bit)),
        );
    }
    stored.extend(rest);
    decodes_to(BITSHUFFLE, &[0, 0, size as u32, 0, 0], &stored, plain);
}

/// Several filters at once.
pub(super) fn pipeline(data: &[u8]) {
    let mut drawn = Drawn(data);
    let filters: Vec<FilterInfo> = (0..drawn.small() % 6)
        .map(|_| {
            let id = ALL[drawn.small() % ALL.len()];
            let values = values(&mut drawn);
            info(id, &values)
        })
        .collect();
    check(&filters, drawn);
}

/// What the engine itself compresses is what it was.
pub(super) fn encode(data: &[u8]) {
    let mut drawn = Drawn(data);
    let (kind, size, level) = (drawn.small(), drawn.small() as u32, drawn.small() as u32 % 10);
    let codec = if kind & 1 == 0 { GZIP } else { ZSTD };
    let shuffle = (kind & 2 != 0).then(|| info(SHUFFLE, &[size.max(1)]));
    let filters: Vec<_> = shuffle.into_iter().chain([info(codec, &[level])]).collect();
    let pipeline = Pipeline::new(&filters, 1).expect("these filters are known");
    let plain = drawn.0;
    let mut scratch = Scratch::default();
    let stored = pipeline.encode(plain, &mut scratch).expect("these filters can be applied");
    assert!(stored.len() as u64 <= most_stored(plain.len() as u64));
    let mut out = vec![0xaa; plain.len()];
    assert_eq!(pipeline.decode(0, &stored, &mut out, &mut scratch), Ok(()));
    assert!(out == plain);
}

fn info(id: i32, values: &[u32]) -> FilterInfo {
    FilterInfo { id, values: values.to_vec(), name: String::new() }
}

fn values(drawn: &mut Drawn<'_>) -> Vec<u32> {
    (0..drawn.small() % 9).map(|_| drawn.medium() as u32).collect()
}

/// Undoes one filter with drawn settings, and gives the bytes of the chunk.
fn one(id: i32, data: &[u8]) -> &[u8] {
    let mut drawn = Drawn(data);
    let values = values(&mut drawn);
    check(&[info(id, &values)], drawn)
}

/// Decodes what is drawn, twice: neither what was in the buffers before nor what was decoded before
/// may be seen in the result, and no buffer may be longer than was announced.
fn check<'a>(filters: &[FilterInfo], mut drawn: Drawn<'a>) -> &'a [u8] {
    let (element, length, mask) = (drawn.small(), drawn.medium(), drawn.small() as u32);
    let stored = drawn.0;
    let Ok(pipeline) = Pipeline::new(filters, element) else { return stored };
    let mut scratch = Scratch::default();
    let mut decode = |before: u8| {
        let mut out = vec![before; length];
        pipeline.decode(mask, stored, &mut out, &mut scratch).map(|()| out)
    };
    let (first, second) = (decode(0), decode(0xff));
    assert!(first == second, "what was in a buffer shows in the result");
    let (used, announced) = (scratch.bytes(), pipeline.scratch_bytes(length));
    assert!(used <= announced, "{used} bytes of {announced}");
    stored
}

fn decode(id: i32, values: &[u32], stored: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let pipeline = Pipeline::new(&[info(id, values)], 1).expect("these settings are known");
    let mut out = vec![0xaa; length];
    pipeline.decode(0, stored, &mut out, &mut Scratch::default()).map(|()| out)
}

/// A chunk that is right becomes what it was, and nothing if it is to be shorter or longer.
fn decodes_to(id: i32, values: &[u32], stored: &[u8], plain: &[u8]) {
    assert!(decode(id, values, stored, plain.len()).as_deref() == Ok(plain));
    assert!(decode(id, values, stored, plain.len() + 1).is_err());
    if let Some(shorter) = plain.len().checked_sub(1) {
        assert!(decode(id, values, stored, shorter).is_err());
    }
}

/// A dataset in chunks, wherever the file says that they lie: all positions at once are what they
/// are one by one.
pub(super) fn chunk_table(data: &[u8]) {
    let mut drawn = Drawn(data);
    let axes = 1 + drawn.small() % 3;
    let mut lengths = || (0..axes).map(|_| 1 + drawn.small() as u64 % 12).collect::<Vec<_>>();
    let (shape, chunk) = (lengths(), lengths());
    let element = [1, 2, 3, 4, 8][drawn.small() % 5];
    let position = drawn.small() % axes;
    let filters: Vec<_> =
        (0..drawn.small() % 3).map(|_| info(ALL[drawn.small() % ALL.len()], &[])).collect();
    let edges_unfiltered = drawn.small() & 1 == 1;
    let count = drawn.small() % 20;
    let table = ChunkTable::of(&shape, chunk, edges_unfiltered, |each| {
        for _ in 0..count {
            let offset: Vec<u64> = (0..axes)
                .map(|_| match drawn.small() as u64 {
                    255 => drawn.large(),
                    step => step,
                })
                .collect();
            let (address, size) = (drawn.medium() as u64, drawn.medium() as u64);
            let far = if address == 0xffff { drawn.large() } else { 0 };
            let mask = drawn.small() as u32;
            each(&offset, Chunk { number: 0, address: far | address, size, mask });
        }
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(table) = table;
    assert!(table.chunks.iter().is_sorted_by(|one, other| one.number < other.number));
    let places: u64 = region::grid(&shape, &table.chunk).iter().product();
    assert!(table.chunks.iter().all(|chunk| chunk.number < places));
    let Ok(pipeline) = Pipeline::new(&filters, element) else { return };
    let way = Chunked { table: Arc::new(table), pipeline, fill: vec![0x5a; element] };
    let file = scratch_file(drawn.0);
    let Ok(file) = RawFile::new("a file".into(), file) else { return };
    let view = View::new(shape, vec![position]);
    let (positions, row) = (view.count(), view.points() as usize * element);
    let tiles = Arc::new(Tiles::new(
        &[Arc::new(file)],
        "data".to_owned(),
        view,
        Box::new(way),
        (element, 0..element),
    ));
    let read = |from: u64, to: u64| {
        let mut rows = vec![0xaa; (to - from) as usize * row];
        tiles.read_alone(std::slice::from_ref(&(from..to)), &mut rows).map(|()| rows)
    };
    let alone: Result<Vec<_>, _> = (0..positions).map(|at| read(at, at + 1)).collect();
    assert_eq!(read(0, positions).ok(), alone.ok().map(|rows| rows.concat()));
}

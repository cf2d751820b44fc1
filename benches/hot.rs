//! The hot parts, each by itself, on data of a size that the processor's cache holds or just
//! doesn't.
//!
//! ```text
//! cargo bench --features internals --bench hot                 all, half a minute
//! cargo bench --features internals --bench hot -- decode       those with this in their names
//! ```
//!
//! Columns are times and, below them, bytes or items in a second; `median` is the one to compare,
//! of runs in turns on a machine that does nothing else. What a whole run takes, `scripts/bench`
//! measures.

use std::hint::black_box;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, Divan};
use pixelmill::internals::timed::{StoredChunk, count_marks, hand_out, turn};
use pixelmill::kernel_of;
use pixelmill_core::chunk_io::{AlignedBytes, ReadRows};
use pixelmill_core::contribution::UnitResults;
use pixelmill_core::element::{Element, ElementType, StoredType, append};
use pixelmill_core::kernel::RawUnit;
use pixelmill_core::positions::{Positions, runs};
use pixelmill_core::source_info::SourceInfo;
use pixelmill_processes::Sum;
use serde_json::json;
use sha2::{Digest, Sha256};

fn main() {
    Divan::from_args().sample_count(2000).main();
}

/// Counts of a detector: small, with a little noise, of two bytes each.
fn counts(bytes: usize) -> Vec<u8> {
    let noise = |at: usize| (at as u32).wrapping_mul(2_654_435_761) >> 29;
    (0..bytes / 2).flat_map(|at| (noise(at) as u16 + (at / 64 % 50) as u16).to_le_bytes()).collect()
}

const CHUNK: usize = 256 << 10;

fn convert<T: Element>(bencher: Bencher<'_, '_>, element: ElementType, swapped: bool) {
    let (bytes, stored) = (counts(CHUNK), StoredType { element, swapped });
    let mut out: Vec<T> = Vec::with_capacity(CHUNK);
    bencher.counter(BytesCount::new(CHUNK)).bench_local(|| {
        out.clear();
        append(black_box(&bytes), stored, &mut out);
        out.len()
    });
}

#[divan::bench]
fn convert_native_f32(bencher: Bencher<'_, '_>) {
    convert::<f32>(bencher, ElementType::Float32, false);
}

#[divan::bench]
fn convert_swapped_f32(bencher: Bencher<'_, '_>) {
    convert::<f32>(bencher, ElementType::Float32, true);
}

#[divan::bench]
fn convert_i16_to_f32(bencher: Bencher<'_, '_>) {
    convert::<f32>(bencher, ElementType::Int16, false);
}

#[divan::bench]
fn convert_f16_to_f32(bencher: Bencher<'_, '_>) {
    convert::<f32>(bencher, ElementType::Float16, false);
}

fn decode(bencher: Bencher<'_, '_>, mut chunk: StoredChunk) {
    bencher.counter(BytesCount::new(CHUNK)).bench_local(|| chunk.decode()[0]);
}

#[divan::bench]
fn decode_shuffle(bencher: Bencher<'_, '_>) {
    decode(bencher, StoredChunk::new(&[(2, &[2])], counts(CHUNK), counts(CHUNK)));
}

#[divan::bench]
fn decode_bitshuffle(bencher: Bencher<'_, '_>) {
    let filter: (i32, &[u32]) = (32008, &[0, 0, 2, 0, 0]);
    decode(bencher, StoredChunk::new(&[filter], counts(CHUNK), counts(CHUNK)));
}

/// All zeros, the sum of which is known.
#[divan::bench]
fn decode_fletcher32(bencher: Bencher<'_, '_>) {
    decode(bencher, StoredChunk::new(&[(3, &[])], vec![0; CHUNK + 4], vec![0; CHUNK]));
}

#[divan::bench]
fn decode_gzip(bencher: Bencher<'_, '_>) {
    decode(bencher, StoredChunk::encoded(&[(2, &[2]), (1, &[4])], counts(CHUNK)));
}

#[divan::bench]
fn decode_zstd(bencher: Bencher<'_, '_>) {
    decode(bencher, StoredChunk::encoded(&[(2, &[2]), (32015, &[3])], counts(CHUNK)));
}

/// A chunk that Blosc has shuffled and not compressed: one stream for each byte of an element.
#[divan::bench]
fn decode_blosc(bencher: Bencher<'_, '_>) {
    let block = CHUNK / 2;
    let mut stored = vec![2, 1, 1, 2];
    for number in [CHUNK, block, 16 + 8 + 2 * (block + 8), 24, 24 + block + 8] {
        stored.extend((number as u32).to_le_bytes());
    }
    for block in counts(CHUNK).chunks(block) {
        for stream in block.chunks(block.len() / 2) {
            stored.extend((stream.len() as u32).to_le_bytes());
            stored.extend(stream);
        }
    }
    decode(bencher, StoredChunk::new(&[(32001, &[])], stored, vec![0; CHUNK]));
}

#[divan::bench(args = [1, 2, 4, 8])]
fn tile_turned_round(bencher: Bencher<'_, '_>, element: usize) {
    let shape = (512, 500);
    let from = counts(512 * 500 * element);
    let mut to = vec![0; from.len()];
    bencher
        .counter(BytesCount::new(from.len()))
        .bench_local(|| turn(black_box(&from), &mut to, shape, element));
}

/// Every third position, and long ranges between.
fn scattered(count: u64) -> Positions {
    let some = (0..count / 2).step_by(3).map(|at| at..at + 1);
    some.chain((count / 2..count).step_by(1000).map(|at| at..at + 700)).collect()
}

const POSITIONS: u64 = 1 << 20;

#[divan::bench]
fn marks_are_set(bencher: Bencher<'_, '_>) {
    let (positions, mut marks) = (scattered(POSITIONS), vec![0; POSITIONS as usize + 1000]);
    bencher
        .counter(ItemsCount::new(POSITIONS))
        .bench_local(|| positions.mark(0, black_box(&mut marks), 1));
}

#[divan::bench]
fn marks_are_counted(bencher: Bencher<'_, '_>) {
    let marks: Vec<u8> = (0..POSITIONS).map(|at| u8::from(at % 7 != 0)).collect();
    bencher.counter(ItemsCount::new(POSITIONS)).bench_local(|| count_marks(black_box(&marks)));
}

#[divan::bench]
fn marks_become_positions(bencher: Bencher<'_, '_>) {
    let mut marks = vec![0; POSITIONS as usize + 1000];
    scattered(POSITIONS).mark(0, &mut marks, 1);
    bencher
        .counter(ItemsCount::new(POSITIONS))
        .bench_local(|| runs::of_marks(0, black_box(&marks)).collect::<Positions>());
}

#[divan::bench]
fn positions_are_joined(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(POSITIONS))
        .with_inputs(|| {
            (scattered(POSITIONS), (0..POSITIONS).step_by(5).map(|at| at..at + 2).collect())
        })
        .bench_local_values(|(mut one, other): (Positions, Positions)| {
            one.append(other);
            one.count()
        });
}

/// Of one worker: what it costs with several is lost in waiting for each other.
#[divan::bench]
fn units_are_handed_out(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(1000u32)).bench_local(|| hand_out(black_box(16_000), 16));
}

#[divan::bench]
fn identity_is_hashed(bencher: Bencher<'_, '_>) {
    let values: Vec<f64> = (0..10_000).map(|at| f64::from(at) * 0.1).collect();
    let value =
        json!({"source": {"values": values, "units": "V"}, "process": "Fit", "seed": u64::MAX});
    bencher
        .with_inputs(|| value.clone())
        .bench_local_values(|value| Sha256::digest(pixelmill_core::canonical::canonical(value)));
}

/// A thousand spectra of 256 values of two bytes, through the kernel that a map function is made
/// into.
#[divan::bench]
fn unit_is_computed(bencher: Bencher<'_, '_>) {
    let (spectra, length) = (1000, 256);
    let element = ElementType::Int16;
    let info = SourceInfo {
        path: "/data".to_owned(),
        positions: spectra as u64,
        spectral_points: length,
        element,
        is_corrected: false,
        quantity: "Counts".to_owned(),
        units: String::new(),
        position_dimensions: Vec::new(),
        spectroscopic_dimensions: Vec::new(),
        auxiliary: Vec::new(),
        constants: Vec::new(),
        selected: None,
    };
    let kernel = kernel_of::<Sum>(&Default::default()).expect("the default parameters are right");
    let prepared = kernel.prepare(&info).expect("it sums whatever there is");
    let mut worker = prepared.worker();
    let mut rows = ReadRows::new(AlignedBytes::default(), spectra, 2 * length);
    rows.bytes_mut().copy_from_slice(&counts(2 * length * spectra));
    let positions: Vec<u64> = (0..spectra as u64).collect();
    let unit = RawUnit {
        positions: &positions,
        rows: &rows,
        stored: StoredType { element, swapped: false },
        spectra_per_position: 1,
        spectrum_length: length,
        spectrum_shape: &[length],
        auxiliary: &[],
        corrections: None,
        axes: None,
        neighbours: None,
    };
    let mut results = UnitResults::default();
    bencher.counter(BytesCount::new(2 * length * spectra)).bench_local(|| {
        let mut contribution = results.begin(prepared.columns(), spectra, 1);
        worker.compute(black_box(&unit), &mut contribution).expect("numbers have a sum");
    });
}

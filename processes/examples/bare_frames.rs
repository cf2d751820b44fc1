//! The yardstick for frames in gzip's chunks: how fast can this machine inflate, unshuffle and add
//! them up?
//!
//!     bare_frames FILE CHUNKS THREADS
//!
//! CHUNKS is a text. Its first line has the shape of the dataset, its second the shape of a chunk,
//! four numbers each; each further line has a chunk's first index, four numbers, its offset in the
//! file and its stored bytes. The values are little-endian `u16`, shuffled, then compressed; the
//! first two axes are the positions; chunks fit into the shape. Each thread takes the next chunk,
//! reads it by `pread`, inflates it by libdeflate, unshuffles it and adds up its part of each frame
//! as the process `Sum` does. Nothing else: no order of positions, no results. Prints the seconds
//! and the sum of all.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use libdeflater::Decompressor;

/// A chunk as it is stored.
struct Chunk {
    first: [usize; 4],
    offset: u64,
    bytes: usize,
}

/// All that a thread has to know.
struct Frames {
    file: File,
    shape: [usize; 4],
    chunk_shape: [usize; 4],
    chunks: Vec<Chunk>,
    next: AtomicUsize,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, chunks, threads] = arguments.as_slice() else {
        eprintln!("usage: bare_frames FILE CHUNKS THREADS");
        std::process::exit(2);
    };
    let threads: usize = threads.parse().map_err(|_| wrong("THREADS is no number"))?;
    let frames = Frames::new(File::open(path)?, &fs::read_to_string(chunks)?)?;
    let begun = Instant::now();
    let sums = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| frames.work())).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().expect("a worker doesn't panic"));
        joined.collect::<Result<Vec<_>>>()
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let sum: f64 = sums.iter().flatten().sum();
    println!(r#"{{"seconds": {seconds}, "sum": {sum:e}}}"#);
    Ok(())
}

impl Frames {
    fn new(file: File, text: &str) -> Result<Self> {
        let numbers: Option<Vec<Vec<u64>>> = text
            .lines()
            .map(|line| line.split_whitespace().map(|number| number.parse().ok()).collect())
            .collect();
        let numbers = numbers.ok_or_else(|| wrong("CHUNKS has something that is no number"))?;
        let [shape, chunk_shape, chunks @ ..] = numbers.as_slice() else {
            return Err(wrong("CHUNKS is too short"));
        };
        let chunk = |line: &Vec<u64>| match line.as_slice() {
            [first @ .., offset, bytes] => {
                Ok(Chunk { first: four(first)?, offset: *offset, bytes: *bytes as usize })
            }
            _ => Err(wrong("a line of CHUNKS is too short")),
        };
        Ok(Self {
            file,
            shape: four(shape)?,
            chunk_shape: four(chunk_shape)?,
            chunks: chunks.iter().map(chunk).collect::<Result<_>>()?,
            next: AtomicUsize::new(0),
        })
    }

    /// The sums of all frames, as far as they are in the chunks that one thread gets.
    fn work(&self) -> Result<Vec<f64>> {
        let [rows, columns, height, width] = self.chunk_shape;
        let part = height * width;
        let mut inflater = Decompressor::new();
        let mut sums = vec![0.0; self.shape[0] * self.shape[1]];
        let (mut stored, mut inflated) = (Vec::new(), vec![0; rows * columns * part * 2]);
        let mut values = vec![0; rows * columns * part];
        while let Some(chunk) = self.chunks.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            stored.resize(chunk.bytes, 0);
            self.file.read_exact_at(&mut stored, chunk.offset)?;
            inflater.zlib_decompress(&stored, &mut inflated).map_err(Error::other)?;
            unshuffle(&inflated, &mut values);
            for (at, part) in values.chunks_exact(part).enumerate() {
                let (row, column) = (chunk.first[0] + at / columns, chunk.first[1] + at % columns);
                sums[row * self.shape[1] + column] += sum(part);
            }
        }
        Ok(sums)
    }
}

fn four(numbers: &[u64]) -> Result<[usize; 4]> {
    let numbers: Vec<usize> = numbers.iter().map(|number| *number as usize).collect();
    numbers.try_into().map_err(|_| wrong("CHUNKS isn't of four axes"))
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, what)
}

/// All the low bytes come first, then all the high ones.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn unshuffle(bytes: &[u8], values: &mut [u16]) {
    let (low, high) = bytes.split_at(values.len());
    for ((value, low), high) in values.iter_mut().zip(low).zip(high) {
        *value = u16::from_le_bytes([*low, *high]);
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sum(values: &[u16]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*value);
        }
    }
    sums.into_iter().chain(rest.iter().map(|value| f64::from(*value))).sum()
}

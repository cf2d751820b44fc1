//! The yardstick of `signal-filter`: how fast can this machine read spectra, transform them,
//! transform them back and write them?
//!
//!     bare_filter FILE OFFSET SPECTRA POINTS TARGET THREADS BLOCK [double] [sync]
//!
//! Each thread takes the next BLOCK spectra, of POINTS little-endian `f32` values each, reads them
//! by `pread`, transforms each by `realfft` and back, in single precision or in double, and writes
//! them as `f32` into TARGET by `pwrite`, which is made if it isn't there. With `sync`, TARGET is
//! synced to the disk in the end. Nothing else: no filter, no positions, no marks. Prints the
//! seconds and the largest difference of a spectrum's first value from the one that was read.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use realfft::{FftNum, RealFftPlanner};

/// What all threads share.
struct Loop {
    source: File,
    target: File,
    offset: u64,
    spectra: u64,
    points: usize,
    block: u64,
    next: AtomicU64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [source, offset, spectra, points, target, threads, block, options @ ..] =
        arguments.as_slice()
    else {
        eprintln!(
            "usage: bare_filter FILE OFFSET SPECTRA POINTS TARGET THREADS BLOCK [double] [sync]"
        );
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<u64>().map_err(Error::other);
    let bare = Loop {
        source: File::open(source)?,
        target: OpenOptions::new().write(true).create(true).truncate(false).open(target)?,
        offset: number(offset)?,
        spectra: number(spectra)?,
        points: number(points)? as usize,
        block: number(block)?,
        next: AtomicU64::new(0),
    };
    let has = |name: &str| options.iter().any(|option| option == name);
    let is_double = has("double");
    let begun = Instant::now();
    let work =
        || if is_double { bare.work(f64::from, |x| x as f32) } else { bare.work(|x| x, |x| x) };
    let difference = thread::scope(|scope| {
        let workers: Vec<_> = (0..number(threads)?).map(|_| scope.spawn(work)).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().expect("a worker doesn't panic"));
        joined.collect::<Result<Vec<f32>>>()
    })?;
    if has("sync") {
        bare.target.sync_data()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let difference = difference.into_iter().fold(0.0, f32::max);
    println!(r#"{{"seconds": {seconds}, "difference": {difference:e}}}"#);
    Ok(())
}

impl Loop {
    /// The largest difference among the blocks that one thread gets.
    fn work<T: FftNum>(&self, widen: impl Fn(f32) -> T, narrow: impl Fn(T) -> f32) -> Result<f32> {
        let mut planner = RealFftPlanner::<T>::new();
        let (there, back) =
            (planner.plan_fft_forward(self.points), planner.plan_fft_inverse(self.points));
        let (mut signal, mut spectrum) = (there.make_input_vec(), there.make_output_vec());
        let mut scratch = [there.make_scratch_vec(), back.make_scratch_vec()];
        let row_bytes = self.points * size_of::<f32>();
        let (mut bytes, mut largest) = (vec![0; self.block as usize * row_bytes], 0f32);
        loop {
            let first = self.next.fetch_add(self.block, Ordering::Relaxed);
            if first >= self.spectra {
                return Ok(largest);
            }
            let rows = self.block.min(self.spectra - first) as usize;
            let (part, place) = (&mut bytes[..rows * row_bytes], first * row_bytes as u64);
            self.source.read_exact_at(part, self.offset + place)?;
            for row in part.chunks_exact_mut(row_bytes) {
                let (values, _) = row.as_chunks_mut::<4>();
                for (signal, value) in signal.iter_mut().zip(values.iter()) {
                    *signal = widen(f32::from_le_bytes(*value));
                }
                let first = f32::from_le_bytes(values[0]);
                there
                    .process_with_scratch(&mut signal, &mut spectrum, &mut scratch[0])
                    .and_then(|()| {
                        back.process_with_scratch(&mut spectrum, &mut signal, &mut scratch[1])
                    })
                    .map_err(Error::other)?;
                let scale = 1.0 / self.points as f32;
                for (value, signal) in values.iter_mut().zip(&signal) {
                    *value = (narrow(*signal) * scale).to_le_bytes();
                }
                largest = largest.max((f32::from_le_bytes(values[0]) - first).abs());
            }
            self.target.write_all_at(part, place)?;
        }
    }
}

//! The yardstick of the engine's own speed: how fast can this machine add up these bytes?
//!
//!     bare_sum FILE OFFSET BYTES THREADS BLOCK
//!
//! Each thread takes the next BLOCK of the file, reads it by `pread`, and adds its little-endian
//! `f32` values as the process `Sum` does: in double precision, eight sums side by side. Nothing
//! else: no positions, no results. Prints the seconds and the sum. `scripts/bench` runs it.

use std::env;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let numbers: Option<Vec<u64>> =
        arguments.iter().skip(1).map(|text| text.parse().ok()).collect();
    let (Some(path), Some([offset, bytes, threads, block])) =
        (arguments.first(), numbers.as_deref())
    else {
        eprintln!("usage: bare_sum FILE OFFSET BYTES THREADS BLOCK");
        std::process::exit(2);
    };
    let file = File::open(path)?;
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    let sum: f64 = thread::scope(|scope| {
        let worker = || blocks(&file, *offset, *bytes, *block, &next);
        let workers: Vec<_> = (0..*threads).map(|_| scope.spawn(worker)).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().expect("a worker doesn't panic"));
        joined.sum::<std::io::Result<f64>>()
    })?;
    println!(r#"{{"seconds": {}, "sum": {sum:e}}}"#, begun.elapsed().as_secs_f64());
    Ok(())
}

/// The sum of the blocks that one thread gets.
fn blocks(
    file: &File,
    offset: u64,
    bytes: u64,
    block: u64,
    next: &AtomicU64,
) -> std::io::Result<f64> {
    let mut buffer = vec![0; block as usize];
    let mut total = 0.0;
    loop {
        let start = next.fetch_add(block, Ordering::Relaxed);
        if start >= bytes {
            return Ok(total);
        }
        let part = &mut buffer[..block.min(bytes - start) as usize];
        file.read_exact_at(part, offset + start)?;
        total += sum(part);
    }
}

fn sum(bytes: &[u8]) -> f64 {
    let mut sums = [0.0; 8];
    for eight in bytes.as_chunks::<32>().0 {
        for (sum, value) in sums.iter_mut().zip(eight.as_chunks::<4>().0) {
            *sum += f64::from(f32::from_le_bytes(*value));
        }
    }
    sums.iter().sum()
}

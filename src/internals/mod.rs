//! What `fuzz/` and `benches/` reach of the engine's private parts: one function for each target or
//! part, and nothing of the types behind them. Behind the feature `internals`, and no promise is
//! made about it.
//!
//! A target takes any bytes, as a file, a chunk or a person might give them, and panics if a
//! property of the code doesn't hold; that nothing else panics, takes very long or much memory is
//! what all have in common.

mod drawn;
mod fuzz_filters;
mod fuzz_records;
mod fuzz_text;
mod fuzz_transactions;
pub mod timed;

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Runs the code on some bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("bitshuffle", fuzz_filters::bitshuffle),
    ("blosc", fuzz_filters::blosc),
    ("blosc2_frame", fuzz_filters::blosc2_frame),
    ("bzip2", fuzz_filters::bzip2),
    ("fletcher32", fuzz_filters::fletcher32),
    ("gzip", fuzz_filters::gzip),
    ("lz4", fuzz_filters::lz4),
    ("lzf", fuzz_filters::lzf),
    ("shuffle", fuzz_filters::shuffle),
    ("szip", fuzz_filters::szip),
    ("zstd", fuzz_filters::zstd),
    ("pipeline", fuzz_filters::pipeline),
    ("encode", fuzz_filters::encode),
    ("chunk_table", fuzz_filters::chunk_table),
    ("journal", fuzz_transactions::journal),
    ("overlay", fuzz_transactions::overlay),
    ("canonical_json", fuzz_text::canonical_json),
    ("command_line", fuzz_text::command_line),
    ("expression", fuzz_text::expression),
    ("foreign_text", fuzz_text::foreign_text),
    ("parameters", fuzz_text::parameters),
    ("selection", fuzz_text::selection),
    ("failure_lines", fuzz_records::failure_lines),
    ("ledger_lines", fuzz_records::ledger_lines),
    ("provenance", fuzz_records::provenance),
];

thread_local! {
    /// A file without a name, for what reads from files. The same each time: making one takes longer than most
    /// targets do.
    static FILE: File = tempfile();
}

/// A file with these bytes, until the next call.
fn scratch_file(bytes: &[u8]) -> File {
    FILE.with(|file| {
        let written = file.set_len(0).and_then(|()| file.write_all_at(bytes, 0));
        written.and_then(|()| file.try_clone()).expect("the folder for temporary files has room")
    })
}

fn tempfile() -> File {
    let path = std::env::temp_dir().join(format!("pixelmill-fuzz-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    let file = file.expect("the folder for temporary files can be written to");
    std::fs::remove_file(&path).expect("it was made just now");
    file
}

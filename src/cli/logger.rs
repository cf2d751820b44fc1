//! What the program logs, as lines on standard error: `-v`, `-vv`, or whatever RUST_LOG says.
//!
//! A line has its rank, if there are several, the time of day, the level and the text; from `debug`
//! on also where it comes from, which is what RUST_LOG selects by. Of what all ranks decide alike
//! `-v` shows what rank 0 says. Errors and notes are no log: they are told by `progress` and the
//! commands, whatever is logged.

use std::io::{self, Write};

use env_logger::fmt::Formatter;
use env_logger::{Builder, Target, WriteStyle};
use indicatif::ProgressBar;
use log::{Level, LevelFilter, Record};

use crate::engine::Ranks;

/// The variable that goes before the options.
const FILTER: &str = "RUST_LOG";
/// What the targets of our own lines begin with.
const OWN: &str = "pixelmill::";

/// Prints from now on what is logged, above `bar`. A logger that the program has already stays.
pub(crate) fn listen(verbose: u8, ranks: &Ranks, bar: &ProgressBar) {
    let mut builder = Builder::new();
    match std::env::var(FILTER) {
        Ok(filters) if !filters.trim().is_empty() => builder.parse_filters(&filters),
        _ => match level(verbose, ranks.is_first()) {
            LevelFilter::Off => return,
            level => builder.filter_level(level),
        },
    };
    let rank = ranks.number();
    builder.format(move |line, record| write_line(line, record, rank));
    builder.write_style(WriteStyle::Never).target(Target::Pipe(Box::new(AboveBar(bar.clone()))));
    // Somebody with processes of their own may have made a logger before.
    let _ = builder.try_init();
}

fn level(verbose: u8, is_first: bool) -> LevelFilter {
    match verbose {
        1 if is_first => LevelFilter::Info,
        0 | 1 => LevelFilter::Off,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

/// `[rank 1] 14:03:27.081 debug storage::lock: a reader's lock on scan.h5 is taken`.
fn write_line(line: &mut Formatter, record: &Record<'_>, rank: Option<usize>) -> io::Result<()> {
    if let Some(rank) = rank {
        write!(line, "[rank {rank}] ")?;
    }
    let time = jiff::Zoned::now();
    let level = record.level().as_str().to_lowercase();
    write!(line, "{} {level:<5} ", time.strftime("%H:%M:%S%.3f"))?;
    match record.target().strip_prefix(OWN) {
        Some(_) if record.level() <= Level::Info => {}
        Some(own) => write!(line, "{own}: ")?,
        None => write!(line, "{}: ", record.target())?,
    }
    writeln!(line, "{}", record.args())
}

/// Standard error, with the bar out of the way while something is written.
struct AboveBar(ProgressBar);

impl Write for AboveBar {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // As with all that is only said: nobody may be there to hear it.
        let _ = self.0.suspend(|| io::stderr().write_all(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_told_by_the_first_rank_and_how_they_are_done_by_all() {
        for (verbose, of_first, of_others) in [
            (0, LevelFilter::Off, LevelFilter::Off),
            (1, LevelFilter::Info, LevelFilter::Off),
            (2, LevelFilter::Debug, LevelFilter::Debug),
            (3, LevelFilter::Trace, LevelFilter::Trace),
        ] {
            assert_eq!((level(verbose, true), level(verbose, false)), (of_first, of_others));
        }
    }
}

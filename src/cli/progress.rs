//! How far a run is: one bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Face, hints, say, show};
use crate::engine::{Note, Observer, Progress, RunInfo};
use crate::plan::Reads;
use pixelmill_core::error::Error;

/// Seconds between two plain lines.
const LINE_SECONDS: u64 = 5;

/// Shows a run to a person.
pub(crate) struct Display {
    bar: ProgressBar,
    terminal: bool,
    /// Whether nothing but errors is said.
    quiet: bool,
    /// Seconds into the run at which the last plain line was written.
    last_line: AtomicU64,
    /// The processes that are computed.
    names: Mutex<Vec<String>>,
    /// Which pass over the data that is, and how many there are at most, if it takes several.
    pass: Mutex<Option<(u32, u32)>>,
    /// Whether the user knows that the run is stopping.
    told: AtomicBool,
}

impl Display {
    /// A display on standard error. Its bar isn't shown before the run begins to compute.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let template = "{bar:32} {percent:>3} %  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            terminal,
            quiet,
            last_line: AtomicU64::new(0),
            names: Mutex::default(),
            pass: Mutex::default(),
            told: AtomicBool::new(false),
        }
    }

    /// The bar that others have to write above.
    pub fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Whether nothing but errors is said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How much of a file is written.
    pub fn written(&self, (done, total): (u64, u64), elapsed: Duration) {
        let seconds = elapsed.as_secs();
        let percent = done * 100 / total.max(1);
        if self.terminal && !self.quiet && self.bar.is_hidden() && seconds > 0 {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        let last = self.last_line.load(Ordering::Relaxed);
        if !self.terminal && seconds >= last + LINE_SECONDS {
            self.last_line.store(seconds, Ordering::Relaxed);
            self.say(&format!("written: {percent} %"));
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Notes which pass over the data begins, of what takes several; whether that follows another
    /// of this run.
    fn goes_on(&self, info: &RunInfo) -> bool {
        if let Ok(mut pass) = self.pass.lock() {
            *pass = info.pass;
        }
        self.last_line.store(0, Ordering::Relaxed);
        info.pass.is_some() && self.names.lock().is_ok_and(|names| names.contains(&info.process))
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| say(text));
        }
    }
}

impl Observer for Display {
    fn begin(&self, info: &RunInfo) {
        if self.terminal && !self.quiet {
            // It may have ended with what was computed before.
            self.bar.reset();
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if self.goes_on(info) {
            return;
        }
        let begins = if info.resumed { "Resuming" } else { "Computing" };
        self.say(&format!(
            "{begins} {} of {}\n  into {}:{}\n  {} of {} positions, {}{}, {} of memory{}",
            info.process,
            info.dataset,
            info.file.display(),
            info.group,
            show::count(info.pending),
            show::count(info.positions),
            show::workers(info.workers),
            show::ranks(info.ranks, info.nodes),
            pixelmill_core::error::bytes(info.memory),
            if info.ranks > 1 { " each" } else { "" },
        ));
        // Of what is computed in the same pass it is said once.
        let is_first = self.names.lock().is_ok_and(|names| names.is_empty());
        if let Some(note) = read_again(info).filter(|_| is_first) {
            self.say(&note);
        }
        if let Ok(mut names) = self.names.lock() {
            names.push(info.process.clone());
        }
    }

    fn estimate(&self, estimate: Duration) {
        self.say(&format!("  it will take some {}, writing aside", show::duration(estimate)));
    }

    fn progress(&self, progress: &Progress) {
        if progress.stopping && !self.told.swap(true, Ordering::Relaxed) {
            self.note(
                &"finishing what is in hand; stop once more to end at once".to_owned().into(),
            );
        }
        let pass = self.pass.lock().ok().and_then(|pass| *pass);
        let pass = pass.map(|(pass, most)| format!("pass {pass} of {most} at most, "));
        let message = format!("{}{}", pass.unwrap_or_default(), rates(progress));
        self.bar.set_message(message.clone());
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        let seconds = progress.elapsed.as_secs();
        let last = self.last_line.load(Ordering::Relaxed);
        if !self.terminal && seconds >= last + LINE_SECONDS {
            self.last_line.store(seconds, Ordering::Relaxed);
            let percent = progress.done * 100 / progress.total.max(1);
            let names = self.names.lock().map(|names| names.join(", ")).unwrap_or_default();
            self.say(&format!("{names}: {percent} %, {message}"));
        }
    }

    fn note(&self, note: &Note) {
        // What a user should know is said to one who wants to see nothing, too.
        self.bar.suspend(|| say(&format!("note: {}", hints::of_note(note, Face::CommandLine))));
    }

    fn end(&self) {
        if let Ok(mut names) = self.names.lock() {
            names.clear();
        }
        self.last_line.store(0, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }

    fn abandoned(&self, error: &Error) {
        say(&format!("pixelmill: {}", hints::said(error, Face::CommandLine)));
    }
}

fn rates(progress: &Progress) -> String {
    let seconds = progress.elapsed.as_secs_f64().max(1e-9);
    let rate = progress.done as f64 / seconds;
    let left = if progress.done == 0 {
        "time left unknown".to_owned()
    } else {
        let left = (progress.total - progress.done) as f64 / rate;
        format!("{} left", show::duration(Duration::from_secs_f64(left.min(1e9))))
    };
    let failed = match progress.failed {
        0 => String::new(),
        failed => format!(", {} failed", show::count(failed)),
    };
    let bytes = show::bytes_per_second(progress.bytes as f64 / seconds);
    format!("{} positions/s, {bytes}, {left}{failed}", show::rate(rate))
}

/// That chunks are read more than once, and what it takes not to.
fn read_again(info: &RunInfo) -> Option<String> {
    let memory = show::memory_option(info.memory_for_once);
    match info.reads {
        Reads::Times(0 | 1) => None,
        Reads::Times(times) => Some(format!(
            "note: memory is too small for all positions of a chunk, so each chunk is read \
             {times} times; --memory {memory} reads each once"
        )),
        Reads::SomeAgain => Some(format!(
            "note: memory is too small for all chunks that neighbours lie in, so some are read \
             more than once; --memory {memory} reads each once"
        )),
    }
}

//! Stop signals: the first asks the run to finish what it has in hand, a second ends it at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::engine::{Ranks, Stop};

/// Signals that come this soon after the first are the same one: a launcher passes on what the
/// batch system has sent to each process as well.
const SAME: Duration = Duration::from_millis(500);

/// Listens from now on. What can't be listened to keeps its usual effect, which for these
/// signals is the end of the process; the file survives that.
pub(crate) fn listen(stop: &Stop, ranks: &Ranks) {
    // With a handler, a write beyond the file-size limit is an error instead of the end.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]) else { return };
    let (stop, is_passed_on) = (stop.clone(), ranks.count() > 1);
    let listener = thread::Builder::new().name("pixelmill-signals".to_owned());
    let _ = listener.spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in &mut signals {
            match first {
                None => first = Some(Instant::now()),
                Some(first) if is_passed_on && first.elapsed() < SAME => {}
                Some(_) if signal == SIGUSR1 => {}
                Some(_) => signal_hook::low_level::exit(exit_code(signal)),
            }
            stop.request_by(signal);
        }
    });
}

/// What the process ends with after a signal. Batch systems send SIGUSR1 ahead of SIGTERM.
pub(crate) fn exit_code(signal: i32) -> i32 {
    128 + if signal == SIGUSR1 { SIGTERM } else { signal }
}

//! Stop signals: the first asks the run to finish what it has in hand, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::engine::Stop;

/// Which signal has asked to stop; 0 for none.
#[derive(Clone, Default)]
pub(crate) struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Listens from now on. What can't be listened to keeps its usual effect, which for these
    /// signals is the end of the process; the file survives that.
    pub fn listen(stop: &Stop) -> Self {
        let signals = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: a second signal finds the flag set by the first.
            let _ = flag::register_conditional_shutdown(signal, 128 + signal, stop.flag());
            let _ = flag::register_usize(signal, Arc::clone(&signals.0), signal as usize);
            let _ = flag::register(signal, stop.flag());
        }
        // With a handler, a write beyond the file-size limit is an error instead of the end.
        let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
        signals
    }

    /// The signal that has asked to stop.
    pub fn received(&self) -> Option<i32> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}

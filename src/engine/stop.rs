//! Asking a run to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The signal that batch systems send, which stands for other reasons as well.
const SIGTERM: usize = 15;

/// A request to stop, shared between a run and whoever may stop it. The run finishes the units
/// in hand, marks them, brings `last_pixel` up to date and returns.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// The signal that asks for it; 0 while nobody does.
    signal: Arc<AtomicUsize>,
    /// When the run is to stop by itself.
    deadline: Option<Instant>,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request that comes by itself after some time, counted from now.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(time), ..self }
    }

    /// Asks to stop.
    pub fn request(&self) {
        self.request_by(SIGTERM as i32);
    }

    /// Asks to stop because of a signal; the first one counts.
    pub fn request_by(&self, signal: i32) {
        let _ =
            self.signal.compare_exchange(0, signal as usize, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether somebody has asked, or the time is over.
    pub fn is_requested(&self) -> bool {
        self.signal().is_some()
    }

    /// The signal that asked, or SIGTERM for whoever asked otherwise.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => self.deadline.filter(|end| Instant::now() >= *end).map(|_| SIGTERM as i32),
            signal => Some(signal as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_who_asks_counts() {
        let stop = Stop::new();
        assert!(!stop.is_requested() && stop.signal().is_none());
        stop.clone().request_by(2);
        stop.request_by(15);
        assert_eq!(stop.signal(), Some(2));
    }

    #[test]
    fn a_deadline_asks_by_itself() {
        assert!(!Stop::new().after(Duration::from_secs(3600)).is_requested());
        assert_eq!(Stop::new().after(Duration::ZERO).signal(), Some(15));
    }
}

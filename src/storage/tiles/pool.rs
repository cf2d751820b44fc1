//! Memory that is used again and again, by the same worker if possible: it is in its cache then.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// Things that are not in use, and who used them last.
pub(super) struct Pool<T>(Mutex<Vec<(ThreadId, T)>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Pool<T> {
    /// What this thread gave back last, or else any.
    pub fn take(&self) -> Option<T> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = thread::current().id();
        match idle.iter().rposition(|(owner, _)| *owner == own) {
            Some(at) => Some(idle.swap_remove(at).1),
            None => idle.pop().map(|(_, thing)| thing),
        }
    }

    /// Gives something back.
    pub fn give(&self, thing: T) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((thread::current().id(), thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_back_what_it_gave() {
        let pool = Pool::default();
        pool.give(1);
        std::thread::scope(|scope| {
            scope.spawn(|| pool.give(2));
        });
        assert_eq!([pool.take(), pool.take(), pool.take()], [Some(1), Some(2), None]);
    }
}

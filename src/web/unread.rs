//! Answers that nobody has read yet: how much memory they may take, and for how long.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// Bytes of all that wait to be read, of those answers that count.
const MOST_BYTES: usize = 32 << 20;
/// Of fewer bytes an answer doesn't count: all connections together may have as many.
const SMALL: usize = 64 << 10;
/// Bytes that are counted as one.
const UNIT: usize = 1 << 10;
/// How many answers wait for room at a time, and how long.
const MOST_WAITING: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to read one that counts.
const LONGEST: Duration = Duration::from_secs(120);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The room that there is for answers.
pub(super) struct Room {
    units: Arc<Semaphore>,
    waiting: Semaphore,
    patience: Duration,
}

impl Default for Room {
    fn default() -> Self {
        let units = Arc::new(Semaphore::new(MOST_BYTES / UNIT));
        Self { units, waiting: Semaphore::new(MOST_WAITING), patience: PATIENCE }
    }
}

/// Since when the reader of a connection has an answer that counts.
#[derive(Clone, Default)]
pub(super) struct Reader(Arc<Mutex<Option<Instant>>>);

impl Reader {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Waits until one wasn't read in time.
    pub async fn is_late(&self) {
        loop {
            sleep(LOOK).await;
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if since.is_some_and(|since| since.elapsed() > LONGEST) {
                return;
            }
        }
    }
}

/// An answer that takes room for as long as any of it has to be sent.
struct Held {
    answer: Vec<u8>,
    reader: Reader,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.reader.set(None);
    }
}

impl Room {
    /// An answer for a reader, once there is room for it; none if others don't make any.
    pub async fn take(&self, answer: Vec<u8>, reader: &Reader) -> Option<Bytes> {
        if answer.len() <= SMALL {
            return Some(answer.into());
        }
        let units = answer.len().div_ceil(UNIT).min(MOST_BYTES / UNIT) as u32;
        let room = match Arc::clone(&self.units).try_acquire_many_owned(units) {
            Ok(room) => room,
            Err(_) => {
                let _waiting = self.waiting.try_acquire().ok()?;
                let room = Arc::clone(&self.units).acquire_many_owned(units);
                timeout(self.patience, room).await.ok()?.ok()?
            }
        };
        reader.set(Some(Instant::now()));
        Some(Bytes::from_owner(Held { answer, reader: reader.clone(), _room: room }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_wait_for_room_and_give_it_back_when_the_last_of_them_is_sent() {
        let room = Room { patience: Duration::ZERO, ..Room::default() };
        let reader = Reader::default();
        let large = || vec![7; MOST_BYTES * 3 / 4];
        let mut first = room.take(large(), &reader).await.unwrap();
        assert!(room.take(large(), &reader).await.is_none(), "there is no room");
        assert!(room.take(vec![1; SMALL], &reader).await.is_some(), "small ones take none");
        let last = first.split_off(5);
        drop(first);
        assert!(room.take(large(), &reader).await.is_none(), "some of it is to be sent");
        assert!(reader.0.lock().unwrap().is_some());
        drop(last);
        assert!(reader.0.lock().unwrap().is_none());
        let whole = room.take(vec![0; 2 * MOST_BYTES], &reader).await;
        assert_eq!(whole.unwrap().len(), 2 * MOST_BYTES);
    }
}

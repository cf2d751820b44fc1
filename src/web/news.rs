//! What all pages are told as it happens. What each topic was told last is kept: a page that comes
//! later hears that, and one that is slow hears what is true when it listens again, and nothing of
//! what was in between. So nobody who is told holds up anybody who tells.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

/// What has been told.
#[derive(Default)]
pub(super) struct News {
    told: Mutex<Told>,
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Told {
    /// How often something was told.
    count: u64,
    /// By topic: when it was told last, the kind of event, and what.
    topics: BTreeMap<String, (u64, &'static str, String)>,
}

impl News {
    /// Tells what is true of a topic from now on.
    pub fn tell(&self, topic: &str, event: &'static str, what: &impl Serialize) {
        // Nothing in `wire` can't be written.
        let Ok(line) = serde_json::to_string(what) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.count += 1;
        let count = told.count;
        told.topics.insert(topic.to_owned(), (count, event, line));
        drop(told);
        self.last.send_replace(count);
    }

    /// Nothing is true of a topic any more.
    pub fn forget(&self, topic: &str) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).topics.remove(topic);
    }

    /// What was told after the first `seen` times, as events, and how often something was told.
    pub fn since(&self, seen: u64) -> (String, u64) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut later: Vec<_> = told.topics.values().filter(|(count, ..)| *count > seen).collect();
        later.sort_by_key(|(count, ..)| *count);
        let events =
            later.into_iter().map(|(_, event, line)| format!("event: {event}\ndata: {line}\n\n"));
        (events.collect(), told.count)
    }

    /// To wait for what is told next.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_late_hears_what_is_true_by_then() {
        let news = News::default();
        news.tell("run", "run", &1);
        news.tell("a", "survey", &2);
        news.tell("run", "run", &3);
        let (all, seen) = news.since(0);
        assert_eq!(all, "event: survey\ndata: 2\n\nevent: run\ndata: 3\n\n");
        assert_eq!(news.since(seen), (String::new(), 3));
        news.tell("b", "survey", &4);
        news.forget("a");
        assert_eq!(news.since(seen).0, "event: survey\ndata: 4\n\n");
        assert!(!news.since(0).0.contains("data: 2"));
    }

    #[test]
    fn who_waits_is_woken() {
        let news = News::default();
        let waiting = news.subscribe();
        assert!(!waiting.has_changed().unwrap());
        news.tell("run", "run", &1);
        assert!(waiting.has_changed().unwrap());
    }
}

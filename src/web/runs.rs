//! Runs that are begun from the page, and whoever watches one: one at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::news::News;
use crate::cli::{Face, of_note, said};
use crate::engine::{self, Asked, Computed, Note, Observer, Progress, RunInfo, Stop};
use crate::wire::{self, RunEnd, RunPhase, RunState};
use pixelmill_core::error::{Error, Result};

/// The topic that pages hear of a run by.
const TOPIC: &str = "run";
/// What is remembered of what a run has to say.
const MOST_NOTES: usize = 20;

/// The run that goes on, if one does.
pub(super) struct Runs {
    news: Arc<News>,
    count: AtomicU64,
    current: Mutex<Option<Current>>,
    /// Whether no more are begun.
    is_over: AtomicBool,
}

struct Current {
    stop: Stop,
    watch: Arc<Watch>,
    /// None of a run that somebody else has begun.
    thread: Option<JoinHandle<()>>,
}

impl Runs {
    pub fn new(news: &Arc<News>) -> Self {
        news.tell(TOPIC, TOPIC, &None::<RunState>);
        Self {
            news: Arc::clone(news),
            count: AtomicU64::new(0),
            current: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Begins a run, and gives its number; none if another one goes on.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn begin(&self, asked: Asked) -> Result<Option<u64>> {
        let mut current = self.current();
        let goes_on = current.as_ref().is_some_and(|current| !current.watch.has_ended());
        if goes_on || self.is_over.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let stop = Stop::new();
        let watch = self.new_watch(asked.kernel.name(), &stop);
        let number = watch.state().run;
        let run = {
            let (watch, stop) = (Arc::clone(&watch), stop.clone());
            move || {
                let Asked { kernel, request, .. } = asked;
                let run = || engine::compute(&kernel, &request, &*watch, &stop);
                let computed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                let failed = |_| Err(Error::Panicked { message: "a run has panicked".to_owned() });
                watch.ended(computed.unwrap_or_else(failed).as_ref().map(std::iter::once));
            }
        };
        let thread = thread::Builder::new().name("pixelmill-run".to_owned()).spawn(run);
        let thread = thread.map_err(|source| Error::Worker { source }).inspect_err(|error| {
            watch.ended(Err::<std::iter::Empty<_>, _>(error));
        })?;
        *current = Some(Current { stop, watch, thread: Some(thread) });
        Ok(Some(number))
    }

    /// Who watches a run that somebody else begins.
    pub fn watch(&self, stop: &Stop) -> Arc<Watch> {
        let watch = self.new_watch("", stop);
        let current = Current { stop: stop.clone(), watch: Arc::clone(&watch), thread: None };
        *self.current() = Some(current);
        watch
    }

    /// Whether a run goes on.
    pub fn is_running(&self) -> bool {
        self.current().as_ref().is_some_and(|current| !current.watch.has_ended())
    }

    /// Asks the run that goes on to stop.
    pub fn stop(&self) {
        if let Some(current) = &*self.current() {
            current.watch.stopping();
            current.stop.request();
        }
    }

    /// Asks the run that goes on to stop and waits until it has; whether there was one. None is
    /// begun from then on.
    pub fn end(&self) -> bool {
        let last = {
            let mut current = self.current();
            self.is_over.store(true, Ordering::Relaxed);
            current.take()
        };
        let Some(current) = last else { return false };
        let was_running = !current.watch.has_ended();
        let Some(thread) = current.thread else { return false };
        current.stop.request();
        // What it had to say it has told.
        let _ = thread.join();
        was_running
    }

    fn new_watch(&self, process: &str, stop: &Stop) -> Arc<Watch> {
        let run = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let watch = Watch {
            news: Arc::clone(&self.news),
            stop: stop.clone(),
            state: Mutex::new(begun(run, process)),
        };
        watch.tell(|_| ());
        Arc::new(watch)
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begun(run: u64, process: &str) -> RunState {
    RunState {
        run,
        process: process.to_owned(),
        dataset: None,
        file: None,
        group: None,
        state: RunPhase::Preparing,
        positions: 0,
        pending: 0,
        done: 0,
        failed: 0,
        bytes: 0,
        seconds: 0.0,
        rate: None,
        seconds_left: None,
        estimated_seconds: None,
        workers: 0,
        memory: 0,
        notes: Vec::new(),
        outcome: None,
    }
}

/// Tells all pages how far a run is.
pub(crate) struct Watch {
    news: Arc<News>,
    stop: Stop,
    state: Mutex<RunState>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut RunState)) {
        let mut state = self.state();
        change(&mut state);
        self.news.tell(TOPIC, TOPIC, &*state);
    }

    fn has_ended(&self) -> bool {
        self.state().state == RunPhase::Ended
    }

    fn stopping(&self) {
        self.tell(|state| {
            if state.state != RunPhase::Ended {
                state.state = RunPhase::Stopping;
            }
        });
    }

    /// The run has ended with this.
    pub fn ended<'c>(&self, computed: Result<impl Iterator<Item = &'c Computed>, &Error>) {
        let outcome = match computed {
            Ok(computed) => {
                RunEnd::Runs(wire::Runs { computations: computed.map(wire::Run::from).collect() })
            }
            Err(error) => RunEnd::Refusal(wire::Refusal::new(said(error, Face::Page))),
        };
        self.tell(|state| {
            state.state = RunPhase::Ended;
            if let RunEnd::Runs(wire::Runs { computations }) = &outcome
                && let Some(first) = computations.first()
            {
                state.group = Some(first.group.clone());
                state.file = Some(first.file.clone());
            }
            state.outcome = Some(outcome);
        });
    }
}

impl Observer for Watch {
    fn begin(&self, info: &RunInfo) {
        self.tell(|state| {
            // Of several that are computed together the first stands for all.
            if state.state != RunPhase::Preparing {
                return;
            }
            state.process.clone_from(&info.process);
            state.dataset = Some(info.dataset.clone());
            state.file = Some(info.file.to_string_lossy().into_owned());
            state.group = Some(info.group.clone());
            state.state = RunPhase::Computing;
            state.positions = info.positions;
            state.pending = info.pending;
            state.workers = info.workers;
            state.memory = info.memory;
        });
    }

    fn estimate(&self, estimate: Duration) {
        self.tell(|state| state.estimated_seconds = Some(estimate.as_secs_f64()));
    }

    fn progress(&self, progress: &Progress) {
        self.tell(|state| {
            let seconds = progress.elapsed.as_secs_f64();
            let rate = Some(progress.done as f64 / seconds).filter(|rate| rate.is_normal());
            if progress.stopping || self.stop.is_requested() {
                state.state = RunPhase::Stopping;
            }
            state.pending = progress.total;
            state.done = progress.done;
            state.failed = progress.failed;
            state.bytes = progress.bytes;
            state.seconds = seconds;
            state.rate = rate;
            state.seconds_left = rate.map(|rate| (progress.total - progress.done) as f64 / rate);
        });
    }

    fn note(&self, note: &Note) {
        let text = of_note(note, Face::Page);
        self.tell(|state| {
            if state.notes.len() < MOST_NOTES && !state.notes.contains(&text) {
                state.notes.push(text);
            }
        });
    }

    fn abandoned(&self, error: &Error) {
        self.ended(Err::<std::iter::Empty<_>, _>(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_begun_after_the_last() {
        let runs = Runs::new(&Arc::default());
        assert!(!runs.end());
        let registry = pixelmill_processes::PROCESSES;
        let kernel = registry[0].kernel(&serde_json::Map::new()).unwrap();
        let asked = Asked::new(kernel, engine::Request::new("there/is/no.h5"));
        assert!(runs.begin(asked).unwrap().is_none());
    }
}

//! A run on a thread of its own, while the thread that asked for it listens to Python.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pixelmill::cli::{self, Face};
use pixelmill::engine::{self, Note, Observer, Outcome, Progress, Request, RunInfo, Stop};
use pixelmill::kernel::Kernel;
use pixelmill::{Error, Result};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use serde::Serialize;

use crate::errors::{exception, panicked, unpanicked};
use crate::function::Raised;
use crate::results::Computed;

/// How often Python is asked whether somebody has pressed Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// The signal of Ctrl-C.
const SIGINT: i32 = 2;

/// What is said after the first Ctrl-C where a second one has an effect.
const ONCE_MORE: &str = "finishing what is in hand; Ctrl-C once more ends it at once";

/// What happens in a run.
#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "event")]
enum News {
    Begin { process: String, group: String, resumed: bool, pending: u64, workers: usize },
    Progress { done: u64, total: u64, bytes: u64, failed: u64, seconds: f64 },
    Note { text: String },
    End,
}

/// What has happened in a run and isn't told yet.
#[derive(Default)]
struct Ticker {
    news: Mutex<Vec<News>>,
    over: Mutex<bool>,
    changed: Condvar,
}

impl Ticker {
    fn tell(&self, news: News) {
        let mut all = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the last of several counts.
        if matches!((&news, all.last()), (News::Progress { .. }, Some(News::Progress { .. }))) {
            all.pop();
        }
        all.push(news);
    }

    fn take(&self) -> Vec<News> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that there will be nothing more.
    fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for the end, but not long; says whether it has come.
    fn wait(&self) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(over, LOOK, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Observer for Ticker {
    fn begin(&self, info: &RunInfo) {
        let (process, group) = (info.process.clone(), info.group.clone());
        let (resumed, pending, workers) = (info.resumed, info.pending, info.workers);
        self.tell(News::Begin { process, group, resumed, pending, workers });
    }

    fn progress(&self, progress: &Progress) {
        let Progress { done, total, bytes, failed, elapsed, .. } = *progress;
        self.tell(News::Progress { done, total, bytes, failed, seconds: elapsed.as_secs_f64() });
    }

    fn note(&self, note: &Note) {
        self.tell(News::Note { text: cli::of_note(note, Face::Python) });
    }

    fn end(&self) {
        self.tell(News::End);
    }
}

/// Computes what a kernel computes. `watch` is told what happens; what it raises, and what a
/// signal's handler raises, stops the run in order, and is raised once that has ended. If it
/// happens once more, `abandon` is called, which may end what Python computes.
///
/// # Errors
/// Those of the engine, and what was raised where Python computes; after Ctrl-C
/// `KeyboardInterrupt`.
pub(crate) fn compute(
    py: Python<'_>,
    kernel: &Arc<dyn Kernel>,
    request: &Request,
    (watch, abandon, in_python): (Option<&Py<PyAny>>, Option<&Py<PyAny>>, &Raised),
) -> PyResult<Computed> {
    // Only the first rank speaks.
    let watch = watch.filter(|_| request.ranks.is_first());
    let (ticker, stop) = (Ticker::default(), Stop::new());
    let mut raised = None;
    let computed = thread::scope(|scope| {
        let run =
            thread::Builder::new().name("pixelmill-run".to_owned()).spawn_scoped(scope, || {
                let computed = unpanicked(|| engine::compute(kernel, request, &ticker, &stop));
                ticker.end();
                computed
            });
        let run = run.map_err(|source| Error::Worker { source })?;
        loop {
            let is_over = py.detach(|| ticker.wait());
            if let Err(error) = py.check_signals().and_then(|()| told(py, &ticker, watch)) {
                stop.request_by(SIGINT);
                match (&raised, abandon) {
                    (None, Some(_)) => ticker.tell(News::Note { text: ONCE_MORE.to_owned() }),
                    // What it raises would be about what has ended anyway.
                    (Some(_), Some(abandon)) => drop(abandon.call0(py)),
                    (_, None) => {}
                }
                raised.get_or_insert(error);
            }
            if is_over {
                break;
            }
        }
        py.detach(|| run.join()).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    });
    let ended_all = !matches!(computed, Err(Error::RankLeft { .. }));
    let computed =
        computed.map_err(|error| in_python.take().unwrap_or_else(|| exception(py, &error)));
    let ended = match (computed, raised) {
        (Err(error), _) => Err(error),
        (Ok(computed), Some(error)) if error.is_instance_of::<PyKeyboardInterrupt>(py) => {
            Err(PyKeyboardInterrupt::new_err(interrupted(&computed)))
        }
        (Ok(_), Some(error)) => Err(error),
        // Another rank was asked to stop.
        (Ok(computed), None) if computed.outcome == Outcome::Stopped => {
            Err(PyKeyboardInterrupt::new_err(interrupted(&computed)))
        }
        (Ok(computed), None) => Ok(Computed(computed)),
    };
    ended.inspect_err(|error| {
        // Other ranks have ended with it, or with something that tells of it. What takes no
        // attribute is shown by each.
        drop(error.value(py).setattr("_ended_all_ranks", ended_all));
    })
}

/// Does something of the engine's on a thread of its own, while this one listens to Python. What a
/// signal's handler raises calls `abandon`, which has it end, and is raised then.
///
/// # Errors
/// That, what was raised where Python computes, or those of the engine.
pub(crate) fn listening<T: Send>(
    py: Python<'_>,
    (abandon, in_python): (&Py<PyAny>, &Raised),
    action: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    let ticker = Ticker::default();
    let mut raised = None;
    let done = thread::scope(|scope| {
        let doing = thread::Builder::new().spawn_scoped(scope, || {
            let done = unpanicked(action);
            ticker.end();
            done
        });
        let doing = doing.map_err(|source| Error::Worker { source })?;
        while !py.detach(|| ticker.wait()) {
            if let Err(error) = py.check_signals() {
                raised.get_or_insert(error);
                // What it raises would be about what has ended anyway.
                drop(abandon.call0(py));
            }
        }
        py.detach(|| doing.join()).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    });
    let in_python = raised.or_else(|| in_python.take());
    in_python.map_or(done.map_err(|error| exception(py, &error)), Err)
}

/// Tells what has happened.
fn told(py: Python<'_>, ticker: &Ticker, watch: Option<&Py<PyAny>>) -> PyResult<()> {
    let news = ticker.take();
    let Some(watch) = watch else { return Ok(()) };
    for news in news {
        let json = serde_json::to_string(&news).unwrap_or_default();
        watch.call1(py, (json,))?;
    }
    Ok(())
}

/// What is said after Ctrl-C.
fn interrupted(computed: &engine::Computed) -> String {
    let (process, file, group) = (&computed.process, computed.file.display(), &computed.group);
    match computed.outcome {
        Outcome::Stopped => format!(
            "{process} was stopped after {} of {} positions; the same call goes on with it, in \
             {file}:{group}",
            computed.completed, computed.positions
        ),
        _ => format!("{process} was done by then; its results are in {file}:{group}"),
    }
}

//! Images of the scan that get finer while somebody looks, read on behind by one thread.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::news::News;
use super::runs::Runs;
use crate::engine::inspect::KnownTables;
use crate::engine::shown::{Detector, Survey, Wanted};
use crate::wire;
use pixelmill_core::error::Result;

/// Images that are kept.
const MOST: usize = 6;
/// How long is read for the first answer, and then before there is another one.
const FIRST: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(400);
/// How long is read on for somebody who doesn't ask any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// The images, and who reads on.
pub(super) struct Surveys {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    news: Arc<News>,
    runs: Arc<Runs>,
    known: Arc<KnownTables>,
    /// Who reads while a run goes on, which leaves no more cores to others.
    alone: ThreadPool,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// The one that was asked for last is the last.
    kept: Vec<Kept>,
    has_ended: bool,
}

struct Kept {
    /// What was asked for: the query of its address.
    asked: String,
    /// None while it is read on.
    survey: Option<Survey>,
    answer: Arc<wire::Survey>,
    when: Instant,
    /// Whether it can't be read on, as of a file that has changed: it is begun anew for whoever
    /// asks next.
    has_failed: bool,
}

impl Kept {
    fn wants_more(&self) -> bool {
        !self.answer.is_complete && self.when.elapsed() < PATIENCE && self.survey.is_some()
    }
}

impl State {
    /// Has only the one that is read on keep what that takes memory for.
    fn release(&mut self) {
        let next = self.kept.iter().rposition(Kept::wants_more);
        for (_, kept) in self.kept.iter_mut().enumerate().filter(|(at, _)| Some(*at) != next) {
            if let Some(survey) = &mut kept.survey {
                survey.release();
            }
        }
    }
}

impl Surveys {
    /// Nothing is looked at yet.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn begin(news: &Arc<News>, runs: &Arc<Runs>, known: &Arc<KnownTables>) -> io::Result<Self> {
        let alone = ThreadPoolBuilder::new().num_threads(1).build().map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            news: Arc::clone(news),
            runs: Arc::clone(runs),
            known: Arc::clone(known),
            alone,
            state: Mutex::default(),
            wake: Condvar::new(),
        });
        let reader = Arc::clone(&shared);
        let thread = thread::Builder::new().name("pixelmill-survey".to_owned());
        let thread = thread.spawn(move || reader.read_on())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// The image that was asked for, as far as it is.
    ///
    /// # Errors
    /// If there is no such image, or the file can't be read.
    pub fn answer(
        &self,
        asked: &str,
        wanted: &Wanted,
        detector: &Detector,
    ) -> Result<Arc<wire::Survey>> {
        if let Some(answer) = self.shared.known(asked)? {
            return Ok(answer);
        }
        let mut survey = Survey::begin_knowing(&self.shared.known, wanted, detector)?;
        self.shared.go_on(&mut survey, FIRST)?;
        let answer = Arc::new(wire::Survey::from(&survey));
        let kept = Kept {
            asked: asked.to_owned(),
            survey: Some(survey),
            answer: Arc::clone(&answer),
            when: Instant::now(),
            has_failed: false,
        };
        let mut state = self.shared.state();
        state.kept.retain(|other| other.asked != asked);
        state.kept.push(kept);
        let gone = state.kept.len().saturating_sub(MOST);
        let gone: Vec<Kept> = state.kept.drain(..gone).collect();
        state.release();
        drop(state);
        gone.iter().for_each(|gone| self.shared.news.forget(&topic(&gone.asked)));
        if answer.is_complete {
            // Of others whoever reads them on tells.
            let told = wire::SurveyState::of(asked, &answer);
            self.shared.news.tell(&topic(asked), "survey", &told);
        }
        self.shared.wake.notify_all();
        Ok(answer)
    }

    /// Reads nothing any more.
    pub fn end(&self) {
        self.shared.state().has_ended = true;
        self.shared.wake.notify_all();
        let thread = mem::take(&mut *self.thread.lock().unwrap_or_else(PoisonError::into_inner));
        // It has nothing to tell.
        thread.map(JoinHandle::join);
    }
}

/// What pages hear of an image by.
fn topic(asked: &str) -> String {
    format!("survey {asked}")
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on for some time.
    fn go_on(&self, survey: &mut Survey, time: Duration) -> Result<bool> {
        match self.runs.is_running() {
            true => self.alone.install(|| survey.go_on(time)),
            false => survey.go_on(time),
        }
    }

    /// An image that is kept, which is from now on the one that was asked for last; none that isn't
    /// one of the file as it is now.
    ///
    /// # Errors
    /// If the file can't be read.
    fn known(&self, asked: &str) -> Result<Option<Arc<wire::Survey>>> {
        let mut state = self.state();
        let Some(at) = state.kept.iter().position(|kept| kept.asked == asked) else {
            return Ok(None);
        };
        let mut kept = state.kept.remove(at);
        if kept.has_failed {
            drop(state);
            self.news.forget(&topic(asked));
            return Ok(None);
        }
        kept.when = Instant::now();
        let answer = Arc::clone(&kept.answer);
        // Whoever reads one on sees for himself.
        let complete = kept.survey.take_if(|survey| survey.is_complete());
        state.kept.push(kept);
        drop(state);
        self.wake.notify_all();
        let is_outdated = complete.map(|survey| self.is_outdated(asked, survey)).transpose()?;
        Ok((is_outdated != Some(true)).then_some(answer))
    }

    /// Whether an image that had been read to its end isn't one of the file any more, and was given
    /// up.
    ///
    /// # Errors
    /// If the file can't be read.
    fn is_outdated(&self, asked: &str, mut survey: Survey) -> Result<bool> {
        let is_outdated = survey.is_outdated();
        let mut state = self.state();
        if let Some(kept) = state.kept.iter_mut().find(|kept| kept.asked == asked) {
            kept.survey.get_or_insert(survey);
        }
        if matches!(is_outdated, Ok(true)) {
            state.kept.retain(|kept| kept.asked != asked);
            self.news.forget(&topic(asked));
        }
        is_outdated
    }

    /// The life of the thread that reads.
    fn read_on(&self) {
        let mut state = self.state();
        while !state.has_ended {
            let next = state.kept.iter_mut().rev().find(|kept| kept.wants_more());
            let taken = next.and_then(|kept| Some((kept.asked.clone(), kept.survey.take()?)));
            let Some((asked, survey)) = taken else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            self.read_one(&asked, survey);
            state = self.state();
        }
    }

    fn read_one(&self, asked: &str, mut survey: Survey) {
        let answer = self.go_on(&mut survey, STEP).map(|_| Arc::new(wire::Survey::from(&survey)));
        let mut state = self.state();
        let kept = state.kept.iter_mut().find(|kept| kept.asked == asked);
        let Some(kept) = kept else { return };
        match answer {
            Ok(answer) => (kept.survey, kept.answer) = (Some(survey), answer),
            Err(_) => kept.has_failed = true,
        }
        let told = wire::SurveyState::of(asked, &kept.answer);
        state.release();
        // Before somebody else forgets it.
        self.news.tell(&topic(asked), "survey", &told);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{read, write};
    use std::path::Path;

    use super::*;
    use crate::engine::Pixel;
    use crate::engine::shown::show;

    #[test]
    fn an_image_that_was_read_to_its_end_is_read_anew_once_the_data_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let (file, next) = (folder.path().join("scan.h5"), folder.path().join("next.h5"));
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/two_peaks_3x4.h5");
        let bytes = read(data).unwrap();
        write(&file, &bytes).unwrap();
        let wanted = Wanted {
            file: file.clone(),
            path: None,
            field: None,
            positions_axes: None,
            pixel: None,
        };
        let news = Arc::default();
        let surveys = Surveys::begin(&news, &Arc::new(Runs::new(&news)), &Arc::default()).unwrap();
        let look = || surveys.answer("", &wanted, &Detector::All);
        let first = look().unwrap();
        assert!(first.is_complete && Arc::ptr_eq(&first, &look().unwrap()), "it is kept");
        write(&next, &bytes).unwrap();
        std::fs::rename(&next, &file).unwrap();
        let same = look().unwrap();
        assert!(Arc::ptr_eq(&first, &same), "another file has the same data");
        let mut bytes = bytes;
        let values = first_values(&wanted);
        let at = bytes.windows(values.len()).position(|bytes| bytes == values).unwrap();
        bytes[at..at + 2].copy_from_slice(&u16::MAX.to_le_bytes());
        write(&next, &bytes).unwrap();
        std::fs::rename(&next, &file).unwrap();
        let other = look().unwrap();
        let sums = [&first, &other].map(|answer| answer.picture.values[0].unwrap());
        assert!(other.is_complete && sums[1] > sums[0] + 6e4, "{sums:?}");
        std::fs::remove_file(&file).unwrap();
        assert!(look().unwrap_err().to_string().contains("no such file"));
        surveys.end();
    }

    /// What the first position has, as it is stored.
    fn first_values(wanted: &Wanted) -> Vec<u8> {
        let wanted = Wanted { pixel: Some(Pixel::Number(0)), ..wanted.clone() };
        let shown = show(&wanted).unwrap();
        let numbers = shown.pictures[0].values.numbers.iter();
        numbers.flat_map(|number| (*number as u16).to_le_bytes()).collect()
    }
}

//! `pixelmill view`: the page in the browser; and that of a run, by `run --view`.

use std::fs::{OpenOptions, remove_file};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, thread};

use super::address_file::AddressFile;
use super::arguments::{RunArguments, ViewArguments};
use super::{Answer, Ending, print, say, signals};
use crate::engine::{Computed, Note, Observer, Progress, Ranks, RunInfo, Snapshot, Stop};
use crate::storage::file::open_read;
use crate::web::{Page, Watch};
use crate::wire;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::registry::Runner;

/// How often somebody is asked whether to end.
const LOOK: Duration = Duration::from_millis(100);

/// Serves the page of a file until somebody ends it.
pub(crate) fn view(
    registry: &[&'static dyn Runner],
    typed: &ViewArguments,
    ranks: &Ranks,
    as_json: bool,
) -> Result<Answer> {
    // What can't be opened is told before there is a page of it.
    drop(open_read(&typed.file)?);
    let stop = Stop::new();
    signals::listen(&stop, ranks);
    let page = Page::serve(registry, (&typed.file, &typed.file), typed.port, true)?;
    let address = page.address();
    if as_json {
        let file = typed.file.to_string_lossy().into_owned();
        let view = wire::Answer::View(wire::View { file, address: address.clone() });
        print(&view).map_err(|error| Error::io("write", Path::new("standard output"), error))?;
    }
    let told = (!as_json).then(|| Told::of(&typed.file, &page)).transpose()?;
    if told.is_some() {
        say("  Ctrl-C ends it; a run that goes on then finishes what it has in hand");
    }
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    let opened = (has_desktop && !typed.no_browser && !as_json).then(|| Opened::at(&address));
    while !stop.is_requested() {
        thread::sleep(LOOK);
    }
    drop((opened, told));
    let text = match page.end() {
        true => "the run was stopped; the same one goes on with it\n".to_owned(),
        false => String::new(),
    };
    Ok(Answer { ending: Ending::Done, text, json: None })
}

/// Says where the page is, and how to get there from another machine. At a terminal that is its
/// address; what is said elsewhere may be read by others, so that names a file that has it.
struct Told {
    _file: Option<AddressFile>,
}

impl Told {
    fn of(file: &Path, page: &Page) -> Result<Self> {
        let address = page.address();
        let is_seen_by_user_alone = io::stderr().is_terminal();
        let kept = (!is_seen_by_user_alone).then(|| AddressFile::of(&address)).transpose();
        let kept = kept.map_err(|error| Error::Argument {
            argument: "the address of the page".to_owned(),
            reason: format!("it can't be kept in a file that only you can read: {error}"),
        })?;
        let shown = file.display();
        match &kept {
            None => say(&format!("{shown} is shown at\n  {address}")),
            Some(kept) => say(&format!(
                "{shown} is shown at the address in this file, which only you can read:\n  {}",
                kept.path().display()
            )),
        }
        let (port, host) = (page.local().port(), crate::ranks::host());
        say(&format!("  from another machine after: ssh -N -L {port}:127.0.0.1:{port} {host}"));
        Ok(Self { _file: kept })
    }
}

/// A page that is opened in the browser of the desktop by way of a file that only its owner can
/// read: what a program is started with everybody on the machine can see.
struct Opened(Option<PathBuf>);

impl Opened {
    fn at(address: &str) -> Self {
        let opened = || -> io::Result<Self> {
            let file = env::temp_dir().join(format!("pixelmill-view-{}.html", std::process::id()));
            let mut options = OpenOptions::new();
            let mut way = options.write(true).create_new(true).mode(0o600).open(&file)?;
            // It doesn't stay, whatever comes.
            let opened = Self(Some(file.clone()));
            write!(
                way,
                "<!DOCTYPE html><meta http-equiv=\"refresh\" content=\"0; url={address}\">"
            )?;
            open::that_detached(&file)?;
            Ok(opened)
        };
        // The address is printed anyway.
        opened().unwrap_or(Self(None))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // It leads nowhere any more.
            let _ = remove_file(file);
        }
    }
}

/// The page of a run.
pub(crate) struct PageOfRun {
    page: Page,
    watch: Arc<Watch>,
    _told: Told,
}

impl PageOfRun {
    /// Serves it, if that is asked for.
    ///
    /// # Errors
    /// If the port can't be had.
    pub fn asked(
        registry: &[&'static dyn Runner],
        (file, typed): (&Path, &RunArguments),
        ranks: &Ranks,
        stop: &Stop,
    ) -> Result<Option<Self>> {
        if !typed.view || !ranks.is_first() {
            return Ok(None);
        }
        let results = typed.output.as_deref().unwrap_or(file);
        let port = typed.port.unwrap_or_default();
        let page = Page::serve(registry, (file, results), port, false)?;
        let told = Told::of(file, &page)?;
        let watch = page.watch(stop);
        Ok(Some(Self { page, watch, _told: told }))
    }

    /// Ends it once pages have been told what came of the run.
    pub fn end<'c>(self, computed: Result<impl Iterator<Item = &'c Computed>, &Error>) {
        self.watch.ended(computed);
        self.page.end();
    }
}

/// Whoever watches a run at the terminal, and on its page if there is one.
pub(crate) struct Watchers<'a> {
    pub display: &'a dyn Observer,
    pub page: Option<&'a PageOfRun>,
}

impl Watchers<'_> {
    fn each(&self, tell: impl Fn(&dyn Observer)) {
        tell(self.display);
        if let Some(page) = self.page {
            tell(&*page.watch);
        }
    }
}

impl Observer for Watchers<'_> {
    fn begin(&self, info: &RunInfo) {
        self.each(|watcher| watcher.begin(info));
    }

    fn estimate(&self, estimate: Duration) {
        self.each(|watcher| watcher.estimate(estimate));
    }

    fn progress(&self, progress: &Progress) {
        self.each(|watcher| watcher.progress(progress));
    }

    fn snapshot(&self, snapshot: &Snapshot<'_>) {
        self.each(|watcher| watcher.snapshot(snapshot));
    }

    fn note(&self, note: &Note) {
        self.each(|watcher| watcher.note(note));
    }

    fn end(&self) {
        self.each(|watcher| watcher.end());
    }

    fn abandoned(&self, error: &Error) {
        self.each(|watcher| watcher.abandoned(error));
    }
}

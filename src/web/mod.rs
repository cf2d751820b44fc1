//! The page in the browser: a scan looked at, tried and computed by whoever has its address.
//!
//! `server` waits for connections and bounds them, `guard` decides who may come in, `routes` which
//! address is what; `answers` asks the engine and answers with what `wire` has for all faces,
//! `changes` does what is asked of a file, `runs` computes, `surveys` reads on behind the image of
//! a scan. `unread` bounds answers that nobody reads. `news` is what all pages are told of as it
//! happens. The files of the page itself are in `page/`, written by hand and compiled in.
//!
//! The engine is asked on threads of its own, a few at a time; the one thread that serves never
//! waits for it, nor for a client.

mod answers;
mod changes;
mod files;
mod guard;
mod news;
mod query;
mod routes;
mod runs;
mod server;
mod surveys;
mod unread;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use guard::Guard;
use news::News;
use runs::Runs;
pub(crate) use runs::Watch;
use server::Server;
use surveys::Surveys;

use crate::engine::inspect::KnownTables;
use crate::engine::shown::Viewer;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::registry::Runner;

/// A page that is served.
pub(crate) struct Page {
    desk: Arc<Desk>,
    guard: Arc<Guard>,
    server: Server,
}

/// What the page is about, and what goes on there.
struct Desk {
    registry: Vec<&'static dyn Runner>,
    file: PathBuf,
    /// Where results are: the same file, unless a run of somebody else's writes elsewhere.
    results: PathBuf,
    /// Whether whoever has the page may begin runs and remove results.
    may_run: bool,
    news: Arc<News>,
    runs: Arc<Runs>,
    surveys: Surveys,
    viewer: Mutex<Viewer>,
    /// Tables of chunks, which all that is looked at shares.
    known: Arc<KnownTables>,
}

impl Desk {
    /// Who looks at positions.
    fn viewer(&self) -> MutexGuard<'_, Viewer> {
        self.viewer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that the page shows, as they are.
    fn states(&self) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
        let files = [self.file.clone(), self.results.clone()].into_iter();
        let state = |file: PathBuf| {
            let found = fs::metadata(&file).ok();
            let state = found.and_then(|found| Some((found.modified().ok()?, found.len())));
            (file, state)
        };
        files.map(state).collect()
    }
}

impl Page {
    /// Serves the page of a file, and of the one that has its results, on this machine's loopback
    /// address; 0 is any free port.
    ///
    /// # Errors
    /// If the port can't be had.
    pub fn serve(
        registry: &[&'static dyn Runner],
        (file, results): (&Path, &Path),
        port: u16,
        may_run: bool,
    ) -> Result<Self> {
        let refused = |source: io::Error| Error::Argument {
            argument: format!("--port {port}"),
            reason: format!("no page can be served there: {source}"),
        };
        let news = Arc::new(News::default());
        let runs = Arc::new(Runs::new(&news));
        let known = Arc::default();
        let desk = Arc::new(Desk {
            registry: registry.to_vec(),
            file: file.to_owned(),
            results: results.to_owned(),
            may_run,
            surveys: Surveys::begin(&news, &runs, &known).map_err(refused)?,
            runs,
            viewer: Mutex::new(Viewer::knowing(&known)),
            known,
            news,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let guard = Arc::new(Guard::new(port).map_err(refused)?);
        let server = Server::begin(listener, &desk, &guard).map_err(refused)?;
        Ok(Self { desk, guard, server })
    }

    /// The first address, with what lets one in.
    pub fn address(&self) -> String {
        format!("http://{}/?token={}", self.local(), self.guard.token())
    }

    /// Where it listens.
    pub fn local(&self) -> SocketAddr {
        self.server.address
    }

    /// Somebody who watches a run and tells all pages of it. It is asked to stop by `stop`.
    pub fn watch(&self, stop: &crate::Stop) -> Arc<Watch> {
        self.desk.runs.watch(stop)
    }

    /// Ends in order: the run that goes on finishes what it has in hand. Tells whether there was
    /// one.
    pub fn end(self) -> bool {
        let was_running = self.desk.runs.end();
        self.server.end();
        self.desk.surveys.end();
        was_running
    }
}

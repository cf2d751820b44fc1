//! Connections: taken by one thread, so many at a time, each for so long.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use log::debug;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use super::Desk;
use super::guard::Guard;
use super::routes::{Door, answer};
use super::unread::Reader;
use crate::wire::FileState;

/// Connections at a time; whoever comes then is sent away at once.
const MOST_CONNECTIONS: usize = 64;
/// How long a head may take to come, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(15);
/// How long a reader may read nothing of what is sent.
const SLOW: Duration = Duration::from_secs(30);
/// Bytes of a head, of which less than twice as many may have come before they are counted.
const HEAD_BYTES: usize = 16 << 10;
/// Threads that ask the engine.
const ASKING: usize = 6;
/// How long answers may take when the server ends.
const ENDING: Duration = Duration::from_millis(300);
/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(700);

/// A server that runs until it is ended.
pub(super) struct Server {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Begins to serve.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn begin(listener: TcpListener, desk: &Arc<Desk>, guard: &Arc<Guard>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(ASKING)
            .thread_name("pixelmill-asks")
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let door = Arc::new(Door::new(desk, guard, stopped.clone()));
        let serving = move || {
            let served = runtime.block_on(serve(listener, door, stopped));
            if let Err(error) = served {
                log::error!("the page isn't served any more: {error}");
            }
            runtime.shutdown_timeout(ENDING);
        };
        let thread = thread::Builder::new().name("pixelmill-view".to_owned()).spawn(serving)?;
        Ok(Self { address, stop, thread })
    }

    /// Takes no more connections and ends those that there are.
    pub fn end(self) {
        self.stop.send_replace(true);
        // It has nothing to tell that it hasn't told.
        let _ = self.thread.join();
    }
}

async fn serve(
    listener: TcpListener,
    door: Arc<Door>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    tokio::spawn(watch_files(Arc::clone(door.desk())));
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // As when there are no more descriptors: others will be closed.
            Err(error) => {
                debug!("a connection was lost: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            debug!("there are {MOST_CONNECTIONS} connections already");
            continue;
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            if let Err(error) = connection(stream, door).await {
                debug!("a connection ended: {error}");
            }
            drop(place);
        });
    }
    // Those that wait for an answer get it, and all hear how it has ended.
    tokio::time::sleep(ENDING).await;
    Ok(())
}

/// Tells all pages when something in the files that they show has changed.
async fn watch_files(desk: Arc<Desk>) {
    let (mut known, mut changed) = (desk.states(), 0);
    loop {
        desk.news.tell("file", "file", &FileState { changed });
        let mut now = known.clone();
        while now == known {
            tokio::time::sleep(LOOK).await;
            let desk = Arc::clone(&desk);
            let states = tokio::task::spawn_blocking(move || desk.states()).await;
            now = states.unwrap_or(now);
        }
        (known, changed) = (now, changed + 1);
    }
}

async fn connection(stream: TcpStream, door: Arc<Door>) -> hyper::Result<()> {
    // What is answered is small, and waited for.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(SLOW));
    let stream: Pin<Box<TimeoutStream<TcpStream>>> = Box::pin(stream);
    let reader = Reader::default();
    let reads = reader.clone();
    let service = service_fn(move |asked| {
        let (door, reader) = (Arc::clone(&door), reader.clone());
        async move { Ok::<_, hyper::http::Error>(answer(&door, &reader, asked).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = served => served,
        () = reads.is_late() => Ok(()),
    }
}

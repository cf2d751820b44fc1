//! The ranks of an MPI job.
//!
//! No call waits inside of MPI: a library that waits turns a whole core, which the workers need. What
//! takes time is begun, then asked about in between short sleeps. Results are written through MPI-IO, each
//! rank with a file handle of its own, so that what a file system needs is the MPI library's business.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use std::{io, ptr};

use mpi::environment::Universe;
use mpi::ffi;
use mpi::traits::{AsRaw, Communicator as _};

use super::Communicator;
use crate::error::{Error, Result};
use crate::storage::file::check_length;
use crate::storage::in_place::InPlace;

/// Tags of messages: those that `gather` collects, and those that are sent one by one.
const GATHERED: c_int = 1;
const SENT: c_int = 2;
/// Sleeps between two looks at something that takes time, from the first to the longest.
const FIRST_SLEEP: Duration = Duration::from_micros(20);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);
/// Most bytes of one write: MPI counts in `int`.
const MOST_PER_WRITE: usize = 1 << 30;

/// All ranks that were started together.
pub(super) struct World {
    raw: ffi::MPI_Comm,
    rank: usize,
    size: usize,
    node: Vec<usize>,
    counter: ffi::MPI_Win,
    /// Ends MPI when it is dropped, after everything above.
    _universe: Universe,
}

// SAFETY: MPI was initialised with `MPI_THREAD_MULTIPLE`, so that every call may come from any thread; the
// handles are never changed after `join`.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    /// Initialises MPI and finds out who is there.
    ///
    /// # Errors
    /// If the library can't be used from several threads.
    pub fn join() -> Result<Self> {
        let begun = mpi::initialize_with_threading(mpi::Threading::Multiple);
        let (universe, threading) = begun.ok_or(Error::Mpi {
            action: "begin",
            reason: "it has been initialised by somebody else".to_owned(),
        })?;
        if threading != mpi::Threading::Multiple {
            return Err(Error::Mpi {
                action: "begin",
                reason:
                    "the MPI library can't be called from several threads (MPI_THREAD_MULTIPLE)"
                        .to_owned(),
            });
        }
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let raw = world.as_raw();
        // SAFETY: both handles are valid from initialisation to the end.
        let status = unsafe { ffi::MPI_Comm_set_errhandler(raw, ffi::RSMPI_ERRORS_RETURN) };
        check("set up", status)?;
        let node = ranks_of_node(raw, rank)?;
        let counter = counter(raw, rank)?;
        Ok(Self { raw, rank, size, node, counter, _universe: universe })
    }

    fn send_with(&self, tag: c_int, to: usize, message: &[u8]) -> Result<()> {
        let count = int(message.len())?;
        wait("send a message", |request| {
            // SAFETY: `message` outlives the request, which `wait` completes before it returns.
            unsafe {
                ffi::MPI_Isend(
                    message.as_ptr().cast(),
                    count,
                    ffi::RSMPI_UINT8_T,
                    to as c_int,
                    tag,
                    self.raw,
                    request,
                )
            }
        })
    }

    /// A message that has arrived, and who sent it.
    fn receive_with(&self, tag: c_int) -> Result<Option<(usize, Vec<u8>)>> {
        let mut found = 0;
        // SAFETY: a message handle and a status are plain data that MPI fills.
        let (mut message, mut status) = unsafe { std::mem::zeroed() };
        // SAFETY: all four live on the stack during the call.
        let code = unsafe {
            ffi::MPI_Improbe(
                ffi::RSMPI_ANY_SOURCE,
                tag,
                self.raw,
                &raw mut found,
                &raw mut message,
                &raw mut status,
            )
        };
        check("look for messages", code)?;
        if found == 0 {
            return Ok(None);
        }
        let mut count = 0;
        // SAFETY: `status` was filled by the probe.
        let code =
            unsafe { ffi::MPI_Get_count(&raw const status, ffi::RSMPI_UINT8_T, &raw mut count) };
        check("measure a message", code)?;
        let mut bytes = vec![0u8; count as usize];
        wait("receive a message", |request| {
            // SAFETY: `bytes` has room for `count` bytes and outlives the request.
            unsafe {
                ffi::MPI_Imrecv(
                    bytes.as_mut_ptr().cast(),
                    count,
                    ffi::RSMPI_UINT8_T,
                    &raw mut message,
                    request,
                )
            }
        })?;
        Ok(Some((status.MPI_SOURCE as usize, bytes)))
    }

    /// Broadcasts as many bytes as `bytes` has on every rank.
    fn broadcast_bytes(&self, bytes: &mut [u8]) -> Result<()> {
        let count = int(bytes.len())?;
        wait("broadcast", |request| {
            // SAFETY: `bytes` outlives the request.
            unsafe {
                ffi::MPI_Ibcast(
                    bytes.as_mut_ptr().cast(),
                    count,
                    ffi::RSMPI_UINT8_T,
                    0,
                    self.raw,
                    request,
                )
            }
        })
    }
}

impl Communicator for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn node(&self) -> &[usize] {
        &self.node
    }

    fn fetch_and_add(&self, amount: u64) -> Result<u64> {
        let mut before = 0u64;
        // SAFETY: both numbers live until the flush, which completes the operation.
        let code = unsafe {
            match ffi::MPI_Fetch_and_op(
                (&raw const amount).cast(),
                (&raw mut before).cast(),
                ffi::RSMPI_UINT64_T,
                0,
                0,
                ffi::RSMPI_SUM,
                self.counter,
            ) {
                0 => ffi::MPI_Win_flush(0, self.counter),
                code => code,
            }
        };
        check("take work from the shared counter", code)?;
        Ok(before)
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        if self.rank != 0 {
            self.send_with(GATHERED, 0, &own)?;
            return Ok(Vec::new());
        }
        // Whoever is fast may have sent for the next `gather` already: the first of each counts.
        let mut all: Vec<Option<Vec<u8>>> = vec![None; self.size];
        all[0] = Some(own);
        let mut left = self.size - 1;
        let mut pause = FIRST_SLEEP;
        while left > 0 {
            match self.receive_with(GATHERED)? {
                Some((from, bytes)) => {
                    debug_assert!(all[from].is_none(), "a broadcast separates two gathers");
                    all[from] = Some(bytes);
                    left -= 1;
                }
                None => pause = sleep(pause),
            }
        }
        Ok(all.into_iter().flatten().collect())
    }

    fn broadcast(&self, own: Vec<u8>) -> Result<Vec<u8>> {
        let mut length = (own.len() as u64).to_ne_bytes();
        self.broadcast_bytes(&mut length)?;
        let mut bytes = own;
        bytes.resize(u64::from_ne_bytes(length) as usize, 0);
        for part in bytes.chunks_mut(MOST_PER_WRITE) {
            self.broadcast_bytes(part)?;
        }
        Ok(bytes)
    }

    fn send(&self, to: usize, message: &[u8]) -> Result<()> {
        self.send_with(SENT, to, message)
    }

    fn receive(&self) -> Result<Option<(usize, Vec<u8>)>> {
        self.receive_with(SENT)
    }

    fn open(&self, path: &Path, file: &File) -> Result<Box<dyn InPlace>> {
        Ok(Box::new(Shared::open(path, file)?))
    }

    fn abort(&self, code: i32) -> ! {
        // SAFETY: ends this process and all others.
        unsafe { ffi::MPI_Abort(self.raw, code) };
        std::process::exit(code)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: nothing uses the counter any more; all ranks come here.
        unsafe {
            ffi::MPI_Win_unlock_all(self.counter);
            ffi::MPI_Win_free(&raw mut self.counter);
        }
    }
}

/// A file that this rank writes to through MPI-IO.
struct Shared {
    handle: ffi::MPI_File,
    path: PathBuf,
    /// The same file, for its length.
    file: File,
}

// SAFETY: MPI was initialised with `MPI_THREAD_MULTIPLE`; the handle isn't changed until it is dropped.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn open(path: &Path, file: &File) -> Result<Self> {
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|error| Error::io("write to", path, error.into()))?;
        // SAFETY: the null handle is a value of this type; `name` outlives the call.
        let (code, handle) = unsafe {
            let mut handle = ffi::RSMPI_FILE_NULL;
            let code = ffi::MPI_File_open(
                ffi::RSMPI_COMM_SELF,
                name.as_ptr(),
                ffi::MPI_MODE_WRONLY as c_int,
                ffi::RSMPI_INFO_NULL,
                &raw mut handle,
            );
            (code, handle)
        };
        file_error("write to", path, code)?;
        let file = file.try_clone().map_err(|error| Error::io("write to", path, error))?;
        Ok(Self { handle, path: path.to_owned(), file })
    }
}

impl InPlace for Shared {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        check_length("write", &self.path, &self.file, offset + bytes.len() as u64)?;
        let mut offset = offset;
        for part in bytes.chunks(MOST_PER_WRITE) {
            // SAFETY: `part` has as many bytes as are named and outlives the call; so does the status.
            let (code, written) = unsafe {
                let mut status = std::mem::zeroed();
                let code = ffi::MPI_File_write_at(
                    self.handle,
                    offset as ffi::MPI_Offset,
                    part.as_ptr().cast::<c_void>(),
                    part.len() as c_int,
                    ffi::RSMPI_UINT8_T,
                    &raw mut status,
                );
                let mut written = 0;
                ffi::MPI_Get_count(&raw const status, ffi::RSMPI_UINT8_T, &raw mut written);
                (code, written as usize)
            };
            if code != 0 || written != part.len() {
                return Err(self.refusal(code, part, offset));
            }
            offset += part.len() as u64;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        // SAFETY: the handle is open. Collective over its communicator, which is this rank alone.
        file_error("write", &self.path, unsafe { ffi::MPI_File_sync(self.handle) })
    }
}

impl Shared {
    /// What the system says about writing there is clearer than what MPI says.
    fn refusal(&self, code: c_int, bytes: &[u8], offset: u64) -> Error {
        let asked = File::options()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.write_all_at(bytes, offset));
        match (asked, file_error("write", &self.path, code)) {
            (Err(error), _) => Error::io("write", &self.path, error),
            (Ok(()), Err(error)) => error,
            (Ok(()), Ok(())) => Error::io("write", &self.path, io::ErrorKind::WriteZero.into()),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used after this.
        unsafe { ffi::MPI_File_close(&raw mut self.handle) };
    }
}

/// The ranks that share memory with this one.
fn ranks_of_node(world: ffi::MPI_Comm, rank: usize) -> Result<Vec<usize>> {
    let own = rank as c_int;
    // SAFETY: every pointer is to something on the stack, or to as many numbers as there are ranks.
    unsafe {
        let mut node = ffi::RSMPI_COMM_NULL;
        let code = ffi::MPI_Comm_split_type(
            world,
            ffi::RSMPI_COMM_TYPE_SHARED,
            own,
            ffi::RSMPI_INFO_NULL,
            &raw mut node,
        );
        check("find the ranks of this node", code)?;
        let mut size = 0;
        check("count the ranks of this node", ffi::MPI_Comm_size(node, &raw mut size))?;
        let mut ranks = vec![0 as c_int; size as usize];
        let code = ffi::MPI_Allgather(
            (&raw const own).cast(),
            1,
            ffi::RSMPI_INT32_T,
            ranks.as_mut_ptr().cast(),
            1,
            ffi::RSMPI_INT32_T,
            node,
        );
        check("list the ranks of this node", code)?;
        check("let go of the ranks of this node", ffi::MPI_Comm_free(&raw mut node))?;
        Ok(ranks.into_iter().map(|rank| rank as usize).collect())
    }
}

/// A number in rank 0's memory that all ranks can add to.
fn counter(world: ffi::MPI_Comm, rank: usize) -> Result<ffi::MPI_Win> {
    let bytes = if rank == 0 { size_of::<u64>() } else { 0 };
    // SAFETY: the window's memory is MPI's, and is written here before anybody else can reach it: the
    // barrier comes after. The window stays locked for all until the end.
    unsafe {
        let mut window = ffi::RSMPI_WIN_NULL;
        let mut memory: *mut u64 = ptr::null_mut();
        let code = ffi::MPI_Win_allocate(
            bytes as ffi::MPI_Aint,
            size_of::<u64>() as c_int,
            ffi::RSMPI_INFO_NULL,
            world,
            (&raw mut memory).cast(),
            &raw mut window,
        );
        check("make the shared counter", code)?;
        check("lock the shared counter", ffi::MPI_Win_lock_all(0, window))?;
        if rank == 0 {
            *memory = 0;
            check("set the shared counter", ffi::MPI_Win_sync(window))?;
        }
        check("agree on the shared counter", ffi::MPI_Barrier(world))?;
        Ok(window)
    }
}

/// Begins something and asks until it is done.
fn wait(action: &'static str, begin: impl FnOnce(&mut ffi::MPI_Request) -> c_int) -> Result<()> {
    // SAFETY: the null request is a constant of the library.
    let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
    check(action, begin(&mut request))?;
    let mut pause = FIRST_SLEEP;
    loop {
        let mut done = 0;
        // SAFETY: the request is the one that was begun; both outlive the call.
        let code =
            unsafe { ffi::MPI_Test(&raw mut request, &raw mut done, ffi::RSMPI_STATUS_IGNORE) };
        check(action, code)?;
        if done != 0 {
            return Ok(());
        }
        pause = sleep(pause);
    }
}

/// Sleeps, and tells how long to sleep next.
fn sleep(pause: Duration) -> Duration {
    thread::sleep(pause);
    (pause * 2).min(LONGEST_SLEEP)
}

fn int(length: usize) -> Result<c_int> {
    c_int::try_from(length).map_err(|_| Error::Mpi {
        action: "send a message",
        reason: format!("it has {length} bytes, more than MPI can count"),
    })
}

fn check(action: &'static str, code: c_int) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(Error::Mpi { action, reason: reason(code) }) }
}

fn file_error(action: &'static str, path: &Path, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    Err(Error::io(action, path, io::Error::other(format!("MPI says: {}", reason(code)))))
}

/// What the library says about an error.
fn reason(code: c_int) -> String {
    let mut text = [0u8; ffi::MPI_MAX_ERROR_STRING as usize];
    let mut length = 0;
    // SAFETY: the text has the room that the library asks for.
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast::<c_char>(), &raw mut length) };
    String::from_utf8_lossy(&text[..(length as usize).min(text.len())]).trim().to_owned()
}

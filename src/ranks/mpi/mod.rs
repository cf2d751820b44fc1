//! The ranks of an MPI job; `counter` is what they share work by.
//!
//! `call` is how all of MPI is called here: never so that it waits. `file` writes results through
//! MPI-IO. `leaving` has the ranks tell each other when they end, so that nobody waits for one that
//! has.

#![expect(unsafe_code, reason = "calls of MPI")]

mod call;
mod counter;
mod file;
mod leaving;
mod sending;

use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};

use mpi::environment::Universe;
use mpi::ffi;
use mpi::traits::{AsRaw, Communicator as _};

use super::{Communicator, Sending};
use crate::storage::in_place::InPlace;
use crate::storage::open_file::OpenFile;
use call::{FIRST_SLEEP, check, int, sleep, wait, wait_while};
use counter::Counter;
use file::Shared;
use leaving::Leaving;
use pixelmill_core::error::{Error, Result};
use sending::Begun;

/// Most bytes of one call: MPI counts in `int`.
const MOST_AT_ONCE: usize = 1 << 30;
/// Tags of messages: those that `gather` collects, those that are sent one by one, what is asked of
/// rank 0 where the counter can't be shared, with the answer, and who has left.
const GATHERED: c_int = 1;
const SENT: c_int = 2;
const ASKED: c_int = 3;
const ANSWERED: c_int = 4;
const LEFT: c_int = 5;
/// How often to look for a message before there is none: Open MPI looks at its sockets at every
/// eighth call only. A rank that asked rank 0, which looks every millisecond, had its answer after
/// 3.5 ms on average with one look and after 0.6 ms with eight.
const LOOKS: usize = 8;

/// All ranks that were started together.
pub(super) struct World {
    raw: ffi::MPI_Comm,
    rank: usize,
    size: usize,
    node: Vec<usize>,
    counter: Counter,
    leaving: Leaving,
    /// Ends MPI when it is dropped, after everything above.
    _universe: Universe,
}

// SAFETY: MPI was initialised with `MPI_THREAD_MULTIPLE`, so that every call may come from any
// thread; the handles are never changed after `join`.
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
                reason: "the MPI library can't be called from several threads \
                         (MPI_THREAD_MULTIPLE)"
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
        let counter = Counter::new(raw, rank)?;
        let leaving = Leaving::default();
        Ok(Self { raw, rank, size, node, counter, leaving, _universe: universe })
    }

    fn send_with(&self, tag: c_int, to: usize, message: &[u8]) -> Result<()> {
        let count = int(message.len())?;
        wait("send a message", |request| {
            // SAFETY: `message` outlives the request, which `wait` completes before it returns.
            unsafe { self.begin_sending(tag, to, (message.as_ptr(), count), request) }
        })
    }

    /// Begins to send a message.
    ///
    /// # Safety
    /// So many bytes stay where they are until the request is done.
    unsafe fn begin_sending(
        &self,
        tag: c_int,
        to: usize,
        (message, count): (*const u8, c_int),
        request: &mut ffi::MPI_Request,
    ) -> c_int {
        // SAFETY: the caller sees to that.
        unsafe {
            ffi::MPI_Isend(
                message.cast(),
                count,
                ffi::RSMPI_UINT8_T,
                to as c_int,
                tag,
                self.raw,
                request,
            )
        }
    }

    /// A message that has arrived and isn't received yet.
    fn probe(&self, tag: c_int) -> Result<Option<(ffi::MPI_Message, ffi::MPI_Status)>> {
        let mut found = 0;
        // SAFETY: a message handle and a status are plain data that MPI fills.
        let (mut message, mut status) = unsafe { std::mem::zeroed() };
        // SAFETY: all three live on the stack during the call.
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
        Ok((found != 0).then_some((message, status)))
    }

    /// A message that has arrived, and who sent it.
    fn receive_with(&self, tag: c_int) -> Result<Option<(usize, Vec<u8>)>> {
        let mut looks = (0..LOOKS).map(|_| self.probe(tag));
        let Some((mut message, status)) = looks.find_map(Result::transpose).transpose()? else {
            return Ok(None);
        };
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

    /// The next message, and who sent it, once it has arrived.
    fn wait_for(&self, tag: c_int) -> Result<(usize, Vec<u8>)> {
        let mut pause = FIRST_SLEEP;
        loop {
            if let Some(received) = self.receive_with(tag)? {
                return Ok(received);
            }
            self.check_all_take_part()?;
            pause = sleep(pause);
        }
    }

    /// Answers the ranks that ask for the counter.
    fn answer(&self, counter: &AtomicU64) -> Result<()> {
        while let Some((rank, amount)) = self.receive_with(ASKED)? {
            let before = counter.fetch_add(number(&amount)?, Ordering::Relaxed);
            self.send_with(ANSWERED, rank, &before.to_ne_bytes())?;
        }
        Ok(())
    }

    /// Broadcasts as many bytes as `bytes` has on every rank.
    fn broadcast_bytes(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        // If it is given up, they stay.
        let mut bytes = ManuallyDrop::new(bytes);
        for part in bytes.chunks_mut(MOST_AT_ONCE) {
            let count = int(part.len())?;
            let begin = |request: &mut ffi::MPI_Request| {
                // SAFETY: the bytes outlive the request.
                unsafe {
                    ffi::MPI_Ibcast(
                        part.as_mut_ptr().cast(),
                        count,
                        ffi::RSMPI_UINT8_T,
                        0,
                        self.raw,
                        request,
                    )
                }
            };
            wait_while("broadcast", begin, || self.check_all_take_part())?;
        }
        Ok(ManuallyDrop::into_inner(bytes))
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
        match &self.counter {
            Counter::Shared(window) => window.fetch_and_add(amount),
            Counter::Kept { number, .. } if self.rank == 0 => {
                Ok(number.fetch_add(amount, Ordering::Relaxed))
            }
            Counter::Kept { asking, .. } => {
                let _one_at_a_time = asking.lock();
                self.send_with(ASKED, 0, &amount.to_ne_bytes())?;
                number(&self.wait_for(ANSWERED)?.1)
            }
        }
    }

    fn handed_out_by(&self) -> &'static str {
        match self.counter {
            Counter::Shared(_) => "a counter in rank 0's memory that all reach",
            Counter::Kept { .. } => "rank 0, which is asked",
        }
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.check_all_take_part()?;
        if self.rank != 0 {
            // If it is given up, it stays.
            let own = ManuallyDrop::new(own);
            let message = (own.as_ptr(), int(own.len())?);
            let begin = |request: &mut ffi::MPI_Request| {
                // SAFETY: the message outlives the request.
                unsafe { self.begin_sending(GATHERED, 0, message, request) }
            };
            wait_while("send a message", begin, || self.check_all_take_part())?;
            drop(ManuallyDrop::into_inner(own));
            self.leaving.has_taken_step();
            return Ok(Vec::new());
        }
        let mut all: Vec<Option<Vec<u8>>> = vec![None; self.size];
        all[0] = Some(own);
        let mut left = self.size - 1;
        while left > 0 {
            let (from, bytes) = self.wait_for(GATHERED)?;
            debug_assert!(all[from].is_none(), "a broadcast separates two gathers");
            all[from] = Some(bytes);
            left -= 1;
        }
        self.leaving.has_taken_step();
        Ok(all.into_iter().flatten().collect())
    }

    fn broadcast(&self, own: Vec<u8>) -> Result<Vec<u8>> {
        self.check_all_take_part()?;
        let length = (own.len() as u64).to_ne_bytes().to_vec();
        let length = number(&self.broadcast_bytes(length)?)?;
        let mut bytes = own;
        bytes.resize(length as usize, 0);
        let bytes = self.broadcast_bytes(bytes)?;
        self.leaving.has_taken_step();
        Ok(bytes)
    }

    fn send(&self, to: usize, message: &[u8]) -> Result<()> {
        self.send_with(SENT, to, message)
    }

    fn begin_send(&self, to: usize, message: Vec<u8>) -> Result<Box<dyn Sending>> {
        Ok(Box::new(Begun::new(self.raw, to, message)?))
    }

    fn receive(&self) -> Result<Option<(usize, Vec<u8>)>> {
        if let Counter::Kept { number, .. } = &self.counter
            && self.rank == 0
        {
            self.answer(number)?;
        }
        self.receive_with(SENT)
    }

    fn open(&self, file: OpenFile<'_>) -> Result<Box<dyn InPlace>> {
        Ok(Box::new(Shared::open(file)?))
    }

    fn say_why(&self, why: &str) {
        self.leaving.say_why(why);
    }

    fn abort(&self, code: i32) -> ! {
        // SAFETY: ends this process and all others.
        unsafe { ffi::MPI_Abort(self.raw, code) };
        std::process::exit(code)
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

/// The number in a message of eight bytes.
fn number(message: &[u8]) -> Result<u64> {
    let bytes = message.try_into().map_err(|_| Error::Mpi {
        action: "understand a message",
        reason: format!("it has {} bytes instead of 8", message.len()),
    })?;
    Ok(u64::from_ne_bytes(bytes))
}

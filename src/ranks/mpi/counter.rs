//! The counter by which the ranks share work.
//!
//! It is a number in rank 0's memory that all add to by one-sided operations. Not every MPI library
//! has these on every network for programs with threads: Open MPI 4 has none over TCP. There the
//! ranks ask rank 0, which answers whenever it looks for messages.

use std::ffi::c_int;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use mpi::ffi;

use super::call::check;
use pixelmill_core::error::Result;

/// Where the number is.
pub(super) enum Counter {
    /// Where all reach it.
    Shared(Window),
    /// With rank 0, which is asked; a rank asks one thing at a time, else it would mix up the
    /// answers.
    Kept { number: AtomicU64, asking: Mutex<()> },
}

impl Counter {
    /// A counter at 0; all ranks make it together.
    ///
    /// # Errors
    /// If the ranks can't be reached.
    pub fn new(world: ffi::MPI_Comm, rank: usize) -> Result<Self> {
        let allocated = allocate(world, rank);
        if !all_have(world, allocated.is_ok())? {
            // A window that only some ranks have can't be freed: that takes all.
            return Ok(Self::Kept { number: AtomicU64::new(0), asking: Mutex::new(()) });
        }
        let (window, number) = allocated?;
        // SAFETY: the number is in this rank's part of the window, and nobody else reaches it
        // before the barrier. The window stays locked for all until the end.
        unsafe {
            check("lock the shared counter", ffi::MPI_Win_lock_all(0, window))?;
            if rank == 0 {
                *number = 0;
                check("set the shared counter", ffi::MPI_Win_sync(window))?;
            }
            check("agree on the shared counter", ffi::MPI_Barrier(world))?;
        }
        Ok(Self::Shared(Window(window)))
    }
}

/// A number in rank 0's memory that all ranks can add to.
pub(super) struct Window(ffi::MPI_Win);

impl Window {
    /// Adds to the number, and tells what it was before.
    ///
    /// # Errors
    /// If it can't be reached.
    pub fn fetch_and_add(&self, amount: u64) -> Result<u64> {
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
                self.0,
            ) {
                0 => ffi::MPI_Win_flush(0, self.0),
                code => code,
            }
        };
        check("take work from the shared counter", code)?;
        Ok(before)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: nothing uses the counter any more; all ranks come here.
        unsafe {
            ffi::MPI_Win_unlock_all(self.0);
            ffi::MPI_Win_free(&raw mut self.0);
        }
    }
}

/// A window with room for the number at rank 0, and where that is.
fn allocate(world: ffi::MPI_Comm, rank: usize) -> Result<(ffi::MPI_Win, *mut u64)> {
    let bytes = if rank == 0 { size_of::<u64>() } else { 0 };
    let mut memory: *mut u64 = ptr::null_mut();
    // SAFETY: both handles are valid, and what is written to lives on the stack.
    unsafe {
        let mut window = ffi::RSMPI_WIN_NULL;
        let code = ffi::MPI_Win_allocate(
            bytes as ffi::MPI_Aint,
            size_of::<u64>() as c_int,
            ffi::RSMPI_INFO_NULL,
            world,
            (&raw mut memory).cast(),
            &raw mut window,
        );
        check("make the shared counter", code)?;
        Ok((window, memory))
    }
}

/// Whether every rank has something.
fn all_have(world: ffi::MPI_Comm, own: bool) -> Result<bool> {
    let (own, mut least) = (c_int::from(own), 0 as c_int);
    // SAFETY: both numbers live on the stack during the call.
    let code = unsafe {
        ffi::MPI_Allreduce(
            (&raw const own).cast(),
            (&raw mut least).cast(),
            1,
            ffi::RSMPI_INT32_T,
            ffi::RSMPI_MIN,
            world,
        )
    };
    check("agree on the shared counter", code)?;
    Ok(least != 0)
}

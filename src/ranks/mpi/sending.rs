//! Messages that are sent while something else goes on.

use std::ffi::c_int;

use mpi::ffi;

use super::SENT;
use super::call::{check, int};
use crate::ranks::Sending;
use pixelmill_core::error::Result;

/// A message that is sent synchronously: it has left once its receiver has found it.
pub(super) struct Begun {
    /// Null once it has left.
    request: ffi::MPI_Request,
    message: Vec<u8>,
}

impl Begun {
    /// Begins to send a message.
    ///
    /// # Errors
    /// If the rank can't be reached.
    pub fn new(world: ffi::MPI_Comm, to: usize, message: Vec<u8>) -> Result<Self> {
        let count = int(message.len())?;
        // SAFETY: the null request is a constant of the library. The bytes of the message stay
        // where they are until the request is done, also if this is dropped before.
        let (code, request) = unsafe {
            let mut request = ffi::RSMPI_REQUEST_NULL;
            let code = ffi::MPI_Issend(
                message.as_ptr().cast(),
                count,
                ffi::RSMPI_UINT8_T,
                to as c_int,
                SENT,
                world,
                &raw mut request,
            );
            (code, request)
        };
        check("send a message", code)?;
        Ok(Self { request, message })
    }

    fn test(&mut self) -> Result<bool> {
        let mut done = 0;
        // SAFETY: the request is the one that was begun, or null, which is done.
        let code = unsafe {
            ffi::MPI_Test(&raw mut self.request, &raw mut done, ffi::RSMPI_STATUS_IGNORE)
        };
        check("send a message", code)?;
        Ok(done != 0)
    }
}

impl Sending for Begun {
    fn has_arrived(&mut self) -> Result<bool> {
        self.test()
    }
}

impl Drop for Begun {
    /// What MPI may still read is never given back: that is so only where a run has failed.
    fn drop(&mut self) {
        if !self.test().unwrap_or(false) {
            std::mem::take(&mut self.message).leak();
        }
    }
}

//! Calling MPI without waiting inside of it: a library that waits turns a whole core, which the
//! workers need. What takes time is begun, then asked about in between short sleeps.

use std::ffi::{c_char, c_int};
use std::thread;
use std::time::Duration;

use mpi::ffi;

use pixelmill_core::error::{Error, Result};

/// The first sleep between two looks at something that takes time.
pub(super) const FIRST_SLEEP: Duration = Duration::from_micros(20);
/// The longest.
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// Begins something and asks until it is done.
pub(super) fn wait(
    action: &'static str,
    begin: impl FnOnce(&mut ffi::MPI_Request) -> c_int,
) -> Result<()> {
    wait_while(action, begin, || Ok(()))
}

/// The same as long as there is sense in it. If `makes_sense` says that there isn't, what was begun
/// goes on: MPI may read and write then what it was given until this process ends.
pub(super) fn wait_while(
    action: &'static str,
    begin: impl FnOnce(&mut ffi::MPI_Request) -> c_int,
    makes_sense: impl Fn() -> Result<()>,
) -> Result<()> {
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
        makes_sense()?;
        pause = sleep(pause);
    }
}

/// Sleeps, and tells how long to sleep next.
pub(super) fn sleep(pause: Duration) -> Duration {
    thread::sleep(pause);
    (pause * 2).min(LONGEST_SLEEP)
}

pub(super) fn int(length: usize) -> Result<c_int> {
    c_int::try_from(length).map_err(|_| Error::Mpi {
        action: "send a message",
        reason: format!("it has {length} bytes, more than MPI can count"),
    })
}

pub(super) fn check(action: &'static str, code: c_int) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(Error::Mpi { action, reason: reason(code) }) }
}

/// What the library says about an error.
pub(super) fn reason(code: c_int) -> String {
    let mut text = [0u8; ffi::MPI_MAX_ERROR_STRING as usize];
    let mut length = 0;
    // SAFETY: the text has the room that the library asks for.
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast::<c_char>(), &raw mut length) };
    String::from_utf8_lossy(&text[..(length as usize).min(text.len())]).trim().to_owned()
}

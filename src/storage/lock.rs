//! Who may do what with a file at the same time.
//!
//! Two locks. The `flock` that HDF5 itself takes: shared while we read or compute, so that readers
//! come in and writers don't; exclusive while metadata is created. And an open file description
//! lock on a byte that no file has, held by a run from beginning to end, which keeps a second run
//! out even while the first changes from one `flock` to the other, and readers or not. File systems
//! without locks are used without.
//!
//! Clients of NFS make of each `flock` a lock on all bytes of the file, of the same kind as the
//! second lock, so that there a run and its own reader would keep each other out. This is seen
//! before the second lock is taken, and then only the first kind is: to begin, a run has to have
//! the file alone for a moment, and while it computes it holds the reader's lock, which lets
//! readers in but keeps a second run from being alone. What is lost is that a run can't be resumed
//! while somebody reads.

use std::fs::{File, TryLockError};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use log::{debug, info};
use pixelmill_core::error::{Error, Held, Result};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// The byte that a run locks: the last one that an offset can name.
const RUN_BYTE: libc::off_t = libc::off_t::MAX - 1;
/// A byte that is locked only where all are.
const PROBED_BYTE: libc::off_t = RUN_BYTE - 1;
/// How long to wait for somebody who only looks into the file.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the file system knows locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    /// The lock is held.
    Held,
    /// There are no locks here; nothing is held.
    Unsupported,
}

/// Takes the lock that readers take.
///
/// # Errors
/// If somebody has the file open for writing.
pub(crate) fn share(file: &File, path: &Path) -> Result<Locking> {
    patiently(file, path, Held::ByWriter, File::try_lock_shared)
}

/// Takes the lock that writers take.
///
/// # Errors
/// If somebody has the file open at all.
pub(crate) fn exclude(file: &File, path: &Path) -> Result<Locking> {
    patiently(file, path, Held::ByReader, File::try_lock)
}

/// Gives back the lock that readers or writers take.
///
/// # Errors
/// If the system refuses.
pub(crate) fn release(file: &File, path: &Path) -> Result<()> {
    match file.unlock() {
        Err(error) if !is_unsupported(&error) => Err(Error::io("unlock", path, error)),
        _ => {
            debug!("the lock on {} is given back", path.display());
            Ok(())
        }
    }
}

/// Whether the locks of readers and writers are here locks on all bytes of a file.
pub(crate) fn readers_lock_bytes(file: &File, path: &Path) -> bool {
    // Locks of one open file never conflict; if this one can't be had, somebody else's is there to
    // be seen.
    let Ok(other) = File::open(path) else { return false };
    let _ = other.try_lock_shared();
    let mut lock = byte_lock(PROBED_BYTE);
    // SAFETY: `lock` outlives the call, which writes into it what it has found.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    status == 0 && lock.l_type != libc::F_UNLCK as libc::c_short
}

/// Takes, for a moment, the lock that writers take, where that is the only kind there is: whoever
/// has it then is the only run. The reader's lock that follows keeps others from getting it; the
/// change from one to the other leaves no gap.
///
/// # Errors
/// If another run, or a reader, has the file.
pub(crate) fn claim_whole(file: &File, path: &Path) -> Result<Locking> {
    patiently(file, path, Held::ByRunOrReader, File::try_lock)
}

/// Takes the lock that a run holds from beginning to end.
///
/// # Errors
/// If another run holds it.
pub(crate) fn claim_run(file: &File, path: &Path) -> Result<Locking> {
    let lock = byte_lock(RUN_BYTE);
    // SAFETY: `lock` outlives the call, which only reads it.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if status == 0 {
        debug!("the run's lock on {} is taken", path.display());
        return Ok(Locking::Held);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Err(busy(file, path, Held::ByRun)),
        _ if is_unsupported(&error) => Ok(unsupported(path)),
        _ => Err(Error::io("lock", path, error)),
    }
}

/// A lock for writing on one byte.
fn byte_lock(byte: libc::off_t) -> libc::flock {
    // SAFETY: an all-zero `flock` is a valid one; the fields that matter are set below.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = byte;
    lock.l_len = 1;
    lock
}

/// Whether the file system knows no locks.
fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [libc::ENOLCK, libc::ENOSYS, libc::EINVAL, libc::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|number| unsupported.contains(&number))
}

fn patiently(
    file: &File,
    path: &Path,
    held: Held,
    lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<Locking> {
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        match lock(file) {
            Ok(()) => {
                debug!("{} on {} is taken", wanted(held), path.display());
                return Ok(Locking::Held);
            }
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                if !std::mem::replace(&mut is_told, true) {
                    let holders = holders(file).join(", ");
                    info!("waits for {}, which {held}: {holders}", path.display());
                }
                thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => return Err(busy(file, path, held)),
            Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                return Ok(unsupported(path));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, error)),
        }
    }
}

/// The lock that is wanted where others hold a file so.
fn wanted(held: Held) -> &'static str {
    match held {
        Held::ByWriter => "a reader's lock",
        Held::ByReader => "a writer's lock",
        Held::ByRun | Held::ByRunOrReader => "the run's lock",
    }
}

fn unsupported(path: &Path) -> Locking {
    debug!("{} is on a file system without locks", path.display());
    Locking::Unsupported
}

fn busy(file: &File, path: &Path, held: Held) -> Error {
    Error::Busy { path: path.to_owned(), held, holders: holders(file) }
}

/// Other processes of this machine that hold a lock on the file, as far as the system tells.
fn holders(file: &File) -> Vec<String> {
    let (Ok(metadata), Ok(locks)) = (file.metadata(), fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    let object = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let own = std::process::id();
    let mut pids: Vec<u32> =
        locks.lines().filter_map(|line| holder(line, &object)).filter(|pid| *pid != own).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().map(describe_process).collect()
}

/// Who holds a lock on `object`, by a line such as `4: FLOCK ADVISORY READ 1234 08:01:5678 0 EOF`.
/// Of locks of open file descriptions, and of processes that can't be seen from here, there is no
/// number but -1 or 0.
fn holder(line: &str, object: &str) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [_, _, _, _, pid, held, ..] if *held == object => pid.parse().ok().filter(|pid| *pid > 0),
        _ => None,
    }
}

/// `python3 (pid 1234, since 2024-05-01 10:00:00)`.
fn describe_process(pid: u32) -> String {
    let (name, begin) = name_and_begin(pid).unwrap_or_default();
    let since = jiff::Timestamp::from_second(begin)
        .ok()
        .filter(|_| begin > 0)
        .map(|time| time.to_zoned(jiff::tz::TimeZone::system()))
        .map(|time| time.strftime(", since %Y-%m-%d %H:%M:%S").to_string());
    format!("{} (pid {pid}{})", name.trim(), since.unwrap_or_default())
}

/// What a process is called, and when it began, in seconds since 1970.
fn name_and_begin(pid: u32) -> Option<(String, i64)> {
    let mut system = System::new().ok()?;
    let pid = Pid::from_u32(pid);
    let only = ProcessesToUpdate::Some(&[pid]);
    system.refresh_processes_specifics(only, true, ProcessRefreshKind::nothing().without_tasks());
    let process = system.process(pid)?;
    let begin = i64::try_from(process.start_time()).ok()?;
    Some((process.name().to_string_lossy().into_owned(), begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_that_can_be_named_are_holders() {
        let object = "00:2f:77";
        for (line, expected) in [
            ("1: FLOCK  ADVISORY  READ  1234 00:2f:77 0 EOF", Some(1234)),
            ("1: FLOCK  ADVISORY  READ  1234 00:2f:78 0 EOF", None),
            ("2: OFDLCK ADVISORY  READ  -1 00:2f:77 0 EOF", None),
            ("3: POSIX  ADVISORY  WRITE 0 00:2f:77 0 EOF", None),
            ("3: -> FLOCK ADVISORY  WRITE 4321 00:2f:77 0 EOF", None),
        ] {
            assert_eq!(holder(line, object), expected, "{line}");
        }
    }
}

//! Rust's side of the virtual file driver, and the state that one open file has in it.
//!
//! `driver.c` translates between HDF5's driver struct and the callbacks here. HDF5 never sees a
//! failed write: it can't close a file that it can't flush, and would keep it open for the life of
//! the process. After the first failure nothing is written any more, small writes are kept so that
//! HDF5 reads back its own metadata, and the error is told by whoever holds the state.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdf5::Location;
use hdf5::plist::FileAccess;
use hdf5_sys::{h5f, h5i::hid_t, h5p};

use super::super::super::file_state::FileId;
use super::super::super::lock;
use super::super::super::open_file::open_regular;
use super::super::super::refused::Refused;
use super::disk::Disk;
use super::journal::{self, Journal};
use super::overlay::Overlay;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Held, Result, copy};

/// After a failure writes up to this size are kept: larger ones are no metadata.
const METADATA_AT_MOST: usize = 64 << 10;

/// One file as HDF5 sees it: what is on disk, under what was kept.
pub(super) struct State {
    pub path: PathBuf,
    pub disk: Box<dyn Disk>,
    /// Writes below this address are kept, the others go straight through.
    pub keep_below: u64,
    /// First byte past everything on disk or written.
    pub end_of_file: u64,
    /// First byte past everything that HDF5 has allocated.
    pub end_of_allocation: u64,
    /// The highest that `end_of_allocation` ever was.
    pub highest_allocation: u64,
    pub kept: Overlay,
    pub failure: Option<Failed>,
    /// Whether the owner is done, so that nothing HDF5 still writes may reach the disk.
    pub sealed: bool,
    /// Whether HDF5 has opened the file: then it opens others that this one refers to.
    is_open: bool,
    access: Access,
    /// Who had the file open for writing when it was opened.
    writers: Option<Vec<String>>,
    /// Why a file couldn't be opened that is referred to, here or from another file of the same
    /// owner. HDF5 takes it for one that isn't there.
    troubles: Arc<Mutex<Option<io::Error>>>,
    /// Which file it is, among those that HDF5 has opened for the same owner.
    identity: (u64, Option<FileId>),
}

/// What the files that a file refers to are opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The lock that readers take.
    Locked,
    /// Nothing: somebody else holds the locks.
    Unlocked,
}

/// Why something couldn't be read or written.
pub(super) enum Failed {
    /// The system said so.
    Io(io::Error),
    /// More would be kept than a journal holds.
    TooMuchKept,
}

impl Failed {
    /// The error of whoever wanted to do that.
    pub fn when(&self, action: &'static str, path: &Path) -> Error {
        match self {
            Self::Io(error) => Error::io(action, path, copy(error)),
            Self::TooMuchKept => Error::FreeSpace { action, path: path.to_owned() },
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A state shared between HDF5 and its owner.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub fn new(path: &Path, disk: Box<dyn Disk>, kept: Overlay) -> io::Result<Self> {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        let length = disk.length()?;
        let key = disk.file().and_then(|file| FileId::of(file).ok());
        let identity = (OWNERS.fetch_add(1, Ordering::Relaxed), key);
        Ok(Self(Arc::new(Mutex::new(State {
            path: path.to_owned(),
            disk,
            keep_below: length,
            end_of_file: length,
            end_of_allocation: 0,
            highest_allocation: 0,
            kept,
            failure: None,
            sealed: false,
            is_open: false,
            access: Access::Unlocked,
            writers: None,
            troubles: Arc::default(),
            identity,
        }))))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A state of `file`, in which a commit that was cut short is seen as finished.
    pub fn of_file_as_committed(path: &Path, file: File, access: Access) -> io::Result<Self> {
        let kept = Journal::find(&file)?.map_or_else(Overlay::default, |journal| journal.writes);
        let state = Self::new(path, Box::new(file), kept)?;
        state.lock().access = access;
        Ok(state)
    }

    /// The state of a file that the one of `referring` refers to by the name `path`.
    fn of_other(path: &Path, referring: &Mutex<State>) -> io::Result<Self> {
        let (owner, access, troubles) = {
            let referring = referring.lock().unwrap_or_else(PoisonError::into_inner);
            (referring.identity.0, referring.access, Arc::clone(&referring.troubles))
        };
        let file = open_regular(path).inspect_err(|error| {
            if !is_absence(error) {
                let mut first = troubles.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| copy(error));
            }
        })?;
        let writers = match access {
            Access::Locked => writers(&file, path)?,
            Access::Unlocked => None,
        };
        let other = Self::of_file_as_committed(path, file, access)?;
        let mut state = other.lock();
        state.identity.0 = owner;
        state.writers = writers;
        state.troubles = troubles;
        drop(state);
        Ok(other)
    }

    /// Whether HDF5 has the file open.
    pub fn is_held_by_hdf5(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Opens HDF5 over this state.
    pub fn open_hdf5(&self, writable: bool) -> Result<hdf5::File, Refused> {
        let name = CString::new(self.lock().path.as_os_str().as_encoded_bytes())
            .map_err(|_| "the path contains a NUL byte")?;
        if self.lock().is_open_for_swmr()? {
            let found = Refused::from("the file is marked as open for SWMR writing");
            return Err(found.advising(Advice::EndSwmrWriter));
        }
        let access = FileAccess::build()
            .fclose_degree(hdf5::file::FileCloseDegree::Strong)
            .libver_earliest()
            .finish()?;
        let flags = if writable { h5f::H5F_ACC_RDWR } else { h5f::H5F_ACC_RDONLY };
        let state: *const c_void = Arc::as_ptr(&self.0).cast();
        hdf5::sync::sync(|| {
            // SAFETY: the driver copies the pointer `state` (its `fapl_size` is a pointer's), and
            // the file takes its own count of it in `open`; the lists and names outlive
            // the calls.
            unsafe {
                let driver = pixelmill_register_driver(&CALLBACKS);
                hdf5::h5check(h5p::H5Pset_driver(access.id(), driver, (&raw const state).cast()))?;
                clear_status_flags(access.id())?;
                let id = hdf5::h5check(h5f::H5Fopen(name.as_ptr(), flags, access.id()))?;
                Ok(hdf5::from_id(id)?)
            }
        })
    }
}

/// Makes HDF5 clear the mark that a killed writer left in a version 3 superblock, as `h5clear`
/// would (or overlook it, when it reads). The caller holds our lock, so nobody is writing.
///
/// # Safety
/// `access` must be an open file access property list.
unsafe fn clear_status_flags(access: hid_t) -> hdf5::Result<()> {
    let yes = true;
    // SAFETY: HDF5 copies one `bool`, which is this property's size.
    hdf5::h5check(unsafe {
        h5p::H5Pset(access, c"clear_status_flags".as_ptr(), (&raw const yes).cast_mut().cast())
    })?;
    Ok(())
}

/// Takes a reader's lock; if somebody writes to the file, they are told. HDF5 must not pass such a
/// file over: it would look for another of the same name.
fn writers(file: &File, path: &Path) -> io::Result<Option<Vec<String>>> {
    match lock::share(file, path) {
        Ok(_) => Ok(None),
        Err(Error::Busy { holders, .. }) => Ok(Some(holders)),
        Err(Error::Io { source, .. }) => Err(source),
        Err(other) => Err(io::Error::other(other.to_string())),
    }
}

impl State {
    /// The name by which the file was opened, and another handle of it.
    fn reopened(&self) -> Result<Option<(PathBuf, File, Access)>> {
        if let Some(holders) = &self.writers {
            let (path, holders) = (self.path.clone(), holders.clone());
            return Err(Error::Busy { path, held: Held::ByWriter, holders });
        }
        let Some(file) = self.disk.file() else { return Ok(None) };
        let file = file.try_clone().map_err(|error| Error::io("read", &self.path, error))?;
        Ok(Some((self.path.clone(), file, self.access)))
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        let filled = self.disk.read_at(buffer, address)?;
        buffer[filled..].fill(0);
        self.kept.cover(address, buffer);
        Ok(())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        if self.sealed {
            return;
        }
        if self.failure.is_none() {
            self.failure = self.try_write(address, bytes).err();
        }
        if self.failure.is_some() && bytes.len() <= METADATA_AT_MOST {
            self.kept.write(address, bytes);
        }
        self.end_of_file = self.end_of_file.max(address + bytes.len() as u64);
    }

    fn try_write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Failed> {
        let below = self.keep_below.saturating_sub(address).min(bytes.len() as u64) as usize;
        let (kept, through) = bytes.split_at(below);
        if self.kept.size() + kept.len() > journal::BODY_AT_MOST / 2 {
            return Err(Failed::TooMuchKept);
        }
        self.kept.write(address, kept);
        if !through.is_empty() {
            self.disk.write_at(through, address + below as u64)?;
        }
        Ok(())
    }

    /// Whether the superblock, version 3, says that a writer for concurrent readers (SWMR) has the
    /// file open. HDF5 gives up its lock then, so that nobody can tell a live one from a killed
    /// one.
    fn is_open_for_swmr(&mut self) -> Result<bool, Refused> {
        const SWMR_WRITE: u8 = 4;
        let places = std::iter::once(0).chain((9..62).map(|power| 1 << power));
        for place in places.take_while(|place| *place < self.end_of_file) {
            let mut start = [0; 12];
            if let Err(error) = self.read(place, &mut start) {
                self.failure.get_or_insert(error.into());
                return Err("the superblock can't be read".into());
            }
            if start.starts_with(b"\x89HDF\r\n\x1a\n") {
                return Ok(start[8] >= 3 && start[11] & SWMR_WRITE != 0);
            }
        }
        Ok(false)
    }
}

#[repr(C)]
struct Callbacks {
    open: extern "C" fn(*const c_void, *const c_char, bool) -> *const c_void,
    close: extern "C" fn(*const c_void),
    read: extern "C" fn(*const c_void, u64, usize, *mut c_void) -> c_int,
    write: extern "C" fn(*const c_void, u64, usize, *const c_void),
    set_end_of_allocation: extern "C" fn(*const c_void, u64),
    end_of_file: extern "C" fn(*const c_void) -> u64,
    compare: extern "C" fn(*const c_void, *const c_void) -> c_int,
    descriptor: extern "C" fn(*const c_void) -> c_int,
}

static CALLBACKS: Callbacks =
    Callbacks { open, close, read, write, set_end_of_allocation, end_of_file, compare, descriptor };

/// What HDF5 hands out as the handle of a file that our driver has opened.
#[repr(C)]
struct Handle {
    descriptor: c_int,
    state: *const c_void,
}

unsafe extern "C" {
    fn pixelmill_register_driver(callbacks: &Callbacks) -> hid_t;
}

/// The file that holds an object, as HDF5 has opened it by our driver: by which name, and a handle
/// of the very same opened file, with its lock. `None` if another driver has it open.
///
/// # Errors
/// If it was open for writing elsewhere when HDF5 opened it, or there are no more file descriptors.
pub(super) fn holder(object: &Location) -> Result<Option<(PathBuf, File, Access)>> {
    with_state_of(object, |state| state.reopened()).unwrap_or(Ok(None))
}

/// Which file holds an object, if our driver has opened it.
pub(super) fn key(object: &Location) -> Option<FileId> {
    with_state_of(object, |state| state.identity.1)?
}

/// What has kept HDF5 from opening another file that the one of this object refers to, or deeper
/// ones do.
pub(super) fn trouble(object: &Location) -> Option<io::Error> {
    let troubles = with_state_of(object, |state| Arc::clone(&state.troubles))?;
    troubles.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(copy)
}

/// Runs `action` on the state of the file that holds an object, if our driver has opened it.
fn with_state_of<T>(object: &Location, action: impl FnOnce(&mut State) -> T) -> Option<T> {
    let file = object.file().ok()?;
    let access = file.access_plist().ok()?;
    hdf5::sync::sync(|| {
        let mut handle: *mut c_void = ptr::null_mut();
        // SAFETY: the ids are live. Only our driver's handles are `Handle`s; theirs live as long as
        // the file is open, which `file` sees to.
        unsafe {
            if h5p::H5Pget_driver(access.id()) != pixelmill_register_driver(&CALLBACKS)
                || h5f::H5Fget_vfd_handle(file.id(), h5p::H5P_DEFAULT, &raw mut handle) < 0
            {
                return None;
            }
            Some(with((*handle.cast::<Handle>()).state, action))
        }
    })
}

/// Runs `action` on the state behind the driver's pointer.
fn with<T>(state: *const c_void, action: impl FnOnce(&mut State) -> T) -> T {
    // SAFETY: the pointer is the one that `open` counted; it lives until `close`.
    let state = unsafe { &*state.cast::<Mutex<State>>() };
    action(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
}

/// `state`, counted once more; if that is open already, a new state of the file `name`. HDF5 opens
/// the files behind external links and virtual datasets with the state of the file that refers to
/// them: those are for reading only.
extern "C" fn open(state: *const c_void, name: *const c_char, writable: bool) -> *const c_void {
    if state.is_null() {
        return ptr::null();
    }
    if !with(state, |state| std::mem::replace(&mut state.is_open, true)) {
        // SAFETY: the pointer comes from `open_hdf5`, which holds the Arc while it opens.
        unsafe { Arc::increment_strong_count(state.cast::<Mutex<State>>()) };
        return state;
    }
    if writable {
        return ptr::null();
    }
    // SAFETY: HDF5 hands a C string that stays until we return.
    let name = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    // SAFETY: HDF5 keeps the file that refers to another open while it opens that.
    let referring = unsafe { &*state.cast::<Mutex<State>>() };
    Shared::of_other(name, referring).map_or(ptr::null(), |other| {
        other.lock().is_open = true;
        Arc::into_raw(other.0).cast()
    })
}

/// Whether HDF5 may look elsewhere for a file that can't be opened: no such one, or none for us.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound, PermissionDenied};
    [InvalidInput, NotADirectory, NotFound, PermissionDenied].contains(&error.kind())
}

extern "C" fn close(state: *const c_void) {
    // SAFETY: gives back the count that `open` took.
    unsafe { Arc::decrement_strong_count(state.cast::<Mutex<State>>()) };
}

extern "C" fn read(state: *const c_void, address: u64, size: usize, buffer: *mut c_void) -> c_int {
    // SAFETY: HDF5 hands a buffer of `size` bytes that is ours until we return.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };
    with(state, |state| match state.read(address, buffer) {
        Ok(()) => 0,
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            state.failure.get_or_insert(error.into());
            number
        }
    })
}

extern "C" fn write(state: *const c_void, address: u64, size: usize, buffer: *const c_void) {
    // SAFETY: HDF5 hands `size` readable bytes that stay until we return.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size) };
    with(state, |state| state.write(address, bytes));
}

extern "C" fn set_end_of_allocation(state: *const c_void, address: u64) {
    with(state, |state| {
        state.end_of_allocation = address;
        state.highest_allocation = state.highest_allocation.max(address);
    });
}

extern "C" fn end_of_file(state: *const c_void) -> u64 {
    with(state, |state| state.end_of_file)
}

/// Files are the same if they are so on disk and were opened for the same owner: a transaction has
/// its own view of a file that is open for reading as well.
extern "C" fn compare(left: *const c_void, right: *const c_void) -> c_int {
    let identity = |state| with(state, |state: &mut State| state.identity);
    match identity(left).cmp(&identity(right)) {
        std::cmp::Ordering::Less => -1,
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Greater => 1,
    }
}

extern "C" fn descriptor(state: *const c_void) -> c_int {
    with(state, |state| state.disk.file().map_or(-1, AsRawFd::as_raw_fd))
}

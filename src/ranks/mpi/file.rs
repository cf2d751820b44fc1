//! A file that results are written to through MPI-IO, so that what a file system needs (NFS,
//! Lustre, GPFS) is the MPI library's business. Each rank has a handle of its own: no write waits
//! for another rank.

use std::ffi::{CString, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mpi::ffi;

use super::MOST_AT_ONCE;
use super::call::reason;
use crate::storage::in_place::{Extent, InPlace, Part};
use crate::storage::open_file::OpenFile;
use pixelmill_core::error::{Error, Result};

/// A file that this rank writes to through MPI-IO.
pub(super) struct Shared {
    handle: ffi::MPI_File,
    path: PathBuf,
    /// The same file, for its length.
    file: File,
}

// SAFETY: MPI was initialised with `MPI_THREAD_MULTIPLE`; the handle isn't changed until it is
// dropped.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The file, for writing.
    ///
    /// # Errors
    /// If it can't be opened for that.
    pub fn open(opened: OpenFile<'_>) -> Result<Self> {
        let path = opened.path;
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
        let file = opened.duplicate("write to")?;
        Ok(Self { handle, path: path.to_owned(), file })
    }
}

impl InPlace for Shared {
    fn write(&self, whole: Part<'_>) -> Result<()> {
        OpenFile::new(&self.path, &self.file).check_length("write", whole.end())?;
        let mut offset = whole.offset();
        for part in whole.bytes().chunks(MOST_AT_ONCE) {
            // SAFETY: `part` has as many bytes as are named and outlives the call; so does the
            // status.
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

    fn read(&self, extent: Extent, at: u64, bytes: &mut [u8]) -> Result<()> {
        let read = extent.read(&self.file, at, bytes);
        read.map_err(|error| Error::io("read", &self.path, error))
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

fn file_error(action: &'static str, path: &Path, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    Err(Error::io(action, path, io::Error::other(format!("MPI says: {}", reason(code)))))
}

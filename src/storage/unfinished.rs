//! The file that is written, which has its name only once it is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use pixelmill_core::error::{Error, Result};

/// A file beside the one that is to be; it goes if that doesn't come to be.
pub(crate) struct Unfinished {
    file: File,
    path: PathBuf,
    output: PathBuf,
    is_finished: bool,
}

impl Unfinished {
    /// Creates it beside `output`, which may be there already only if it is to be replaced.
    ///
    /// # Errors
    /// If it is, or nothing can be written there.
    pub fn create(output: &Path, replace: bool) -> Result<Self> {
        match fs::symlink_metadata(output) {
            Ok(found) if found.is_dir() => {
                return Err(Error::io("write", output, io::ErrorKind::IsADirectory.into()));
            }
            Ok(_) if !replace => return Err(there(output)),
            _ => {}
        }
        let (file, path) =
            create_beside(output).map_err(|error| Error::io("create", output, error))?;
        Ok(Self { file, path, output: output.to_owned(), is_finished: false })
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, once its bytes are on stable storage; how many they are.
    ///
    /// # Errors
    /// If something has that name by now and isn't to be replaced, or the disk fails.
    pub fn finish(mut self, replace: bool) -> Result<u64> {
        let refused = |error| Error::io("write", &self.output, error);
        self.file.sync_all().map_err(refused)?;
        let bytes = self.file.metadata().map_err(refused)?.len();
        if replace {
            fs::rename(&self.path, &self.output).map_err(refused)?;
            self.is_finished = true;
            return Ok(bytes);
        }
        // Another name for it is refused where there is a file by now, which renaming isn't.
        match fs::hard_link(&self.path, &self.output) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(there(&self.output));
            }
            Err(_) if !self.output.exists() => {
                fs::rename(&self.path, &self.output).map_err(refused)?;
                self.is_finished = true;
            }
            linked => linked.map_err(refused)?,
        }
        Ok(bytes)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // It stays then, under a name that nobody takes for the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file that nobody else writes to. What has the name of our number is what a killed process has
/// left, or of one that counts processes otherwise: on another machine, in a container.
fn create_beside(output: &Path) -> io::Result<(File, PathBuf)> {
    let mut number = 0u32;
    loop {
        let mut name = OsString::from(".");
        name.push(output.file_name().unwrap_or_default());
        let more = if number == 0 { String::new() } else { format!("-{number}") };
        name.push(format!(".{}{more}.unfinished", std::process::id()));
        let path = output.with_file_name(name);
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            created => return created.map(|file| (file, path)),
        }
    }
}

fn there(output: &Path) -> Error {
    Error::AlreadyThere { path: output.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_others_write_or_have_left_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (output, other) = (folder.path().join("out.npy"), folder.path().join("data.h5"));
        fs::write(&other, "mine").unwrap();
        let left = format!(".out.npy.{}.unfinished", std::process::id());
        std::os::unix::fs::symlink(&other, folder.path().join(left)).unwrap();
        let [one, two] = [0, 1].map(|_| Unfinished::create(&output, true).unwrap());
        one.file().write_all(b"one").unwrap();
        two.file().write_all(b"another").unwrap();
        assert_eq!((one.finish(true).unwrap(), fs::read(&output).unwrap()), (3, b"one".to_vec()));
        assert_eq!(two.finish(true).unwrap(), 7);
        assert_eq!(fs::read(&output).unwrap(), b"another");
        assert_eq!(fs::read(&other).unwrap(), b"mine");
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all_and_replaces_only_what_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.csv");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let begun = Unfinished::create(&output, false).unwrap();
        begun.file().write_all(b"half").unwrap();
        assert!(!output.exists());
        drop(begun);
        assert_eq!(names(), 0);
        let begun = Unfinished::create(&output, false).unwrap();
        let late = Unfinished::create(&output, false).unwrap();
        begun.file().write_all(b"whole").unwrap();
        assert_eq!(begun.finish(false).unwrap(), 5);
        assert!(late.finish(false).is_err() && Unfinished::create(&output, false).is_err());
        assert_eq!((fs::read(&output).unwrap(), names()), (b"whole".to_vec(), 1));
        let other = Unfinished::create(&output, true).unwrap();
        other.file().write_all(b"other").unwrap();
        other.finish(true).unwrap();
        assert_eq!((fs::read(&output).unwrap(), names()), (b"other".to_vec(), 1));
    }
}

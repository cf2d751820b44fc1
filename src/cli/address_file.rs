//! The address of a page, with what lets one in, in a file that only its owner can read: where what
//! a program says goes to a log, others may read that.

use std::fs::{DirBuilder, DirEntry, OpenOptions, read_dir, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, process};

/// The file, which goes when this does.
pub(super) struct AddressFile(PathBuf);

impl AddressFile {
    /// Writes it where programs keep what is of no use to anybody else, which other nodes of a
    /// cluster see as well; where that can't be, with the temporary files of this machine.
    ///
    /// # Errors
    /// If it can't be written anywhere.
    pub fn of(address: &str) -> io::Result<Self> {
        let kept = folder().ok_or_else(|| io::ErrorKind::NotFound.into());
        let kept = kept.and_then(|folder| Self::within(&folder, address));
        kept.or_else(|_| Self::within(&env::temp_dir(), address))
    }

    fn within(folder: &Path, address: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let begin = format!("pixelmill-view-{}-", crate::ranks::host());
        remove_those_of_killed(folder, &begin);
        let file = folder.join(format!("{begin}{}", process::id()));
        // One of a program that was killed, and had the same number.
        let _ = remove_file(&file);
        let mut options = OpenOptions::new();
        let mut opened = options.write(true).create_new(true).mode(0o600).open(&file)?;
        // It doesn't stay, whatever comes.
        let written = Self(file);
        writeln!(opened, "{address}")?;
        Ok(written)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // It leads nowhere any more.
        let _ = remove_file(&self.0);
    }
}

/// Removes what programs have left on this machine that were killed.
fn remove_those_of_killed(folder: &Path, begin: &str) {
    let entries = read_dir(folder).into_iter().flatten().flatten();
    let is_killed = |entry: &DirEntry| {
        let process = entry.file_name().to_str()?.strip_prefix(begin)?.parse::<u32>().ok()?;
        Some(!Path::new("/proc").join(process.to_string()).exists())
    };
    let killed = entries.filter(|entry| is_killed(entry) == Some(true));
    // Of others nobody but their owner may remove them.
    killed.for_each(|entry| drop(remove_file(entry.path())));
}

/// The user's folder for what a program leaves for itself.
fn folder() -> Option<PathBuf> {
    let given = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = given("XDG_STATE_HOME").or_else(|| Some(given("HOME")?.join(".local/state")));
    Some(state?.join("pixelmill"))
}

#[cfg(test)]
mod tests {
    use std::fs::{metadata, read_to_string, symlink_metadata, write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_its_owner_can_read_it_and_it_goes_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("state/pixelmill");
        let file = AddressFile::within(&within, "http://127.0.0.1:7/?token=x").unwrap();
        let path = file.path().to_owned();
        assert_eq!(read_to_string(&path).unwrap(), "http://127.0.0.1:7/?token=x\n");
        assert_eq!(metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata(&within).unwrap().permissions().mode() & 0o777, 0o700);
        drop(file);
        assert!(symlink_metadata(&path).is_err());
        // What was there before, and a link that leads elsewhere.
        let begin = format!("pixelmill-view-{}-", crate::ranks::host());
        let killed = within.join(format!("{begin}{}", u32::MAX));
        let other_host = within.join("pixelmill-view-another-host-4294967295");
        for left in [&killed, &other_host] {
            write(left, "http://127.0.0.1:9/?token=z").unwrap();
        }
        let other = folder.path().join("other");
        write(&other, "untouched").unwrap();
        symlink(&other, &path).unwrap();
        let file = AddressFile::within(&within, "http://127.0.0.1:8/?token=y").unwrap();
        assert!(symlink_metadata(file.path()).unwrap().is_file());
        assert_eq!(read_to_string(&other).unwrap(), "untouched");
        assert!(!killed.exists() && other_host.exists());
    }
}

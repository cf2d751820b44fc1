//! Where HDF5 looks for a file that another one refers to by name.
//!
//! HDF5 takes what it can't find of a virtual dataset for fill values, and what it can't find of a
//! raw file for zeros, without a word. So what it would find is looked for here first, in its own
//! order: that of `H5F_prefix_open_file` for the sources of virtual datasets, of `H5D__efl_read`
//! for raw files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::super::open_file::open_regular;

/// The beginning of a prefix that stands for the folder of the referring file.
const ORIGIN: &[u8] = b"${ORIGIN}";

/// Finds the file that virtual datasets in the file at `referring` call `name`.
///
/// # Errors
/// If it isn't there, or can't be read.
pub(in crate::storage) fn find_source(
    referring: &Path,
    name: &OsStr,
) -> io::Result<(PathBuf, File)> {
    let mut refusal = io::Error::from(io::ErrorKind::NotFound);
    for candidate in candidates(referring, name, std::env::var_os("HDF5_VDS_PREFIX").as_deref()) {
        match open_regular(&candidate) {
            Ok(file) => return Ok((candidate, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Opens a raw file of external storage that a dataset in the file at `referring` calls `name`.
///
/// # Errors
/// If it isn't there, or can't be read.
pub(in crate::storage) fn find_raw(referring: &Path, name: &OsStr) -> io::Result<(PathBuf, File)> {
    let prefix = std::env::var_os("HDF5_EXTFILE_PREFIX");
    let prefix = prefix.and_then(|prefix| expanded(&prefix, &folder(referring)));
    let path = match prefix {
        Some(prefix) if !Path::new(name).is_absolute() => joined(&prefix, name),
        _ => PathBuf::from(name),
    };
    open_regular(&path).map(|file| (path, file))
}

/// The names that are tried one after another.
fn candidates(referring: &Path, name: &OsStr, prefix: Option<&OsStr>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut last = name;
    if Path::new(name).is_absolute() {
        found.push(PathBuf::from(name));
        last = name.as_bytes().rsplit(|byte| *byte == b'/').next().map_or(name, OsStr::from_bytes);
    }
    if let Some(prefixes) = prefix {
        let each = prefixes.as_bytes().split(|byte| *byte == b':');
        let named = each.filter(|prefix| !prefix.is_empty());
        found.extend(named.map(|prefix| joined(OsStr::from_bytes(prefix), last)));
        found.extend(expanded(prefixes, &folder(referring)).map(|prefix| joined(&prefix, last)));
    }
    found.push(joined(folder(referring).as_os_str(), last));
    found.push(PathBuf::from(last));
    // Of a symbolic link also the folder that it leads to.
    let is_link = referring.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    if let Some(real) = referring.canonicalize().ok().filter(|_| is_link) {
        found.push(joined(folder(&real).as_os_str(), last));
    }
    found
}

/// The folder of a file, from the root on.
fn folder(file: &Path) -> PathBuf {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    whole.parent().map(Path::to_owned).unwrap_or_default()
}

/// A prefix as HDF5 keeps it with a dataset; `None` if it stands for nothing.
fn expanded(prefix: &OsStr, folder: &Path) -> Option<OsString> {
    let bytes = prefix.as_bytes();
    if bytes.is_empty() || bytes == b"." {
        return None;
    }
    let Some(rest) = bytes.strip_prefix(ORIGIN) else { return Some(prefix.to_owned()) };
    // HDF5's own has a slash at its end.
    let whole = [folder.as_os_str().as_bytes(), b"/", rest].concat();
    Some(OsString::from_vec(whole))
}

/// HDF5 puts names together as texts: an absolute one loses nothing of what stands before it.
fn joined(prefix: &OsStr, name: &OsStr) -> PathBuf {
    let slash: &[u8] = if prefix.as_bytes().ends_with(b"/") { b"" } else { b"/" };
    OsString::from_vec([prefix.as_bytes(), slash, name.as_bytes()].concat()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(name: &str, prefix: Option<&str>) -> Vec<String> {
        let found = candidates(Path::new("/data/set.h5"), name.as_ref(), prefix.map(OsStr::new));
        found.into_iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_source_is_looked_for_beside_the_file_then_here() {
        assert_eq!(tried("raw/a.h5", None), ["/data/raw/a.h5", "raw/a.h5"]);
    }

    #[test]
    fn of_an_absolute_path_that_is_gone_the_last_name_counts() {
        assert_eq!(tried("/pc/a.h5", None), ["/pc/a.h5", "/data/a.h5", "a.h5"]);
    }

    #[test]
    fn prefixes_come_first_and_may_stand_for_the_folder_of_the_file() {
        assert_eq!(
            tried("a.h5", Some("/one::/two/")),
            ["/one/a.h5", "/two/a.h5", "/one::/two/a.h5", "/data/a.h5", "a.h5"]
        );
        let found = tried("a.h5", Some("${ORIGIN}/raw"));
        assert_eq!(found[..2], ["${ORIGIN}/raw/a.h5", "/data//raw/a.h5"]);
    }

    #[test]
    fn beside_what_a_symbolic_link_leads_to_is_looked_last() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::fs::write(root.join("real/set.h5"), "").unwrap();
        std::os::unix::fs::symlink("real/set.h5", root.join("link.h5")).unwrap();
        let found = candidates(&root.join("link.h5"), "a.h5".as_ref(), None);
        let expected = [root.join("a.h5"), "a.h5".into(), root.join("real/a.h5")];
        assert_eq!(found, expected);
    }
}

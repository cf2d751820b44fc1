//! Where the source of results is that lie in a file of their own.
//!
//! They record the way from their own file to the source's, and the whole path. Folders are moved
//! and copied, and another file may come to lie where a source was, so a path counts only if it
//! leads to the very file; if neither path leads to any, the hash alone decides.

use std::path::{Component, Path, PathBuf};

use crate::storage::file_state::FileId;
use crate::storage::results_group::Provenance;

/// Where a source is, for comparing it with what a results group says of its own.
#[derive(Clone, Debug)]
pub(crate) struct SourceLocation {
    pub dataset: String,
    /// If results go to another file than the source's.
    pub other_file: Option<OtherFile>,
}

/// A source and the other file that its results are in.
#[derive(Clone, Debug)]
pub(crate) struct OtherFile {
    pub source: PathBuf,
    pub results: PathBuf,
}

/// How a results group and a source belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// The group says that it was computed from this source.
    Known,
    /// Nothing is where the group says that its source is: it may be this one.
    Gone,
    /// It was computed from another source, which is there.
    Other,
}

/// What the paths in a group lead to.
pub(super) fn paths_lead_to(group: &Provenance, files: &OtherFile) -> Whereabouts {
    let recorded = recorded_files(group, &files.results);
    if recorded.iter().any(|path| is_same_file(path, &files.source)) {
        Whereabouts::Known
    } else if recorded.iter().any(|path| path.exists()) {
        Whereabouts::Other
    } else {
        Whereabouts::Gone
    }
}

/// Where a group in the file `results` says that its source is, the likeliest first: on the way
/// from that file, then by its whole path.
pub(crate) fn recorded_files(group: &Provenance, results: &Path) -> Vec<PathBuf> {
    recorded_ways(group.source_file_relative.as_deref(), group.source_file_path.as_deref(), results)
}

/// Where a file is to which a way from the file `results` and a whole path were recorded, the
/// likeliest first.
pub(crate) fn recorded_ways(
    relative: Option<&str>,
    whole: Option<&str>,
    results: &Path,
) -> Vec<PathBuf> {
    let on_the_way = relative.map(|way| folder(results).join(way));
    let whole = whole.map(PathBuf::from).filter(|path| path.is_absolute());
    on_the_way.into_iter().chain(whole).collect()
}

/// The way from the file `results`, which may not be there yet, to the file `source`.
pub(crate) fn relative(source: &Path, results: &Path) -> PathBuf {
    let from = folder(results);
    let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let shared = from.components().zip(source.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(source.components().skip(shared)).collect()
}

/// The folder that a file is in, without links on the way.
fn folder(file: &Path) -> PathBuf {
    let file = match (file.canonicalize(), file.parent()) {
        (Ok(file), _) => file,
        (Err(_), Some(parent)) if parent.as_os_str().is_empty() => Path::new(".").join(file),
        (Err(_), _) => file.to_owned(),
    };
    let parent = file.parent().unwrap_or(Path::new("/"));
    parent.canonicalize().unwrap_or_else(|_| parent.to_owned())
}

/// Whether both paths lead to one file, whatever links there are.
fn is_same_file(one: &Path, other: &Path) -> bool {
    FileId::at(one).ok().zip(FileId::at(other).ok()).is_some_and(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{copy, create_dir_all, hard_link, remove_file, rename, write};

    fn group(relative: &str, whole: &Path) -> Provenance {
        Provenance {
            source_file_relative: Some(relative.to_owned()),
            source_file_path: Some(whole.to_string_lossy().into_owned()),
            ..Provenance::default()
        }
    }

    #[test]
    fn a_way_leads_up_and_down_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        create_dir_all(at("data/day")).unwrap();
        create_dir_all(at("results")).unwrap();
        for (source, results, way) in [
            ("data/scan.h5", "data/out.h5", "scan.h5"),
            ("data/scan.h5", "results/out.h5", "../data/scan.h5"),
            ("data/scan.h5", "data/day/out.h5", "../scan.h5"),
            ("data/day/scan.h5", "out.h5", "data/day/scan.h5"),
        ] {
            write(at(source), "data").unwrap();
            let found = relative(&at(source), &at(results));
            assert_eq!(found, Path::new(way));
            assert!(is_same_file(&super::folder(&at(results)).join(found), &at(source)));
        }
    }

    #[test]
    fn a_source_is_found_wherever_the_folder_is_moved_and_never_taken_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let files =
            |source: &str, results: &str| OtherFile { source: at(source), results: at(results) };
        create_dir_all(at("scratch")).unwrap();
        write(at("scratch/scan.h5"), "data").unwrap();
        let group = group("scan.h5", &at("scratch/scan.h5"));
        let look = |source: &str, results: &str| paths_lead_to(&group, &files(source, results));
        assert_eq!(look("scratch/scan.h5", "scratch/out.h5"), Whereabouts::Known);
        // The results were moved by themselves.
        assert_eq!(look("scratch/scan.h5", "out.h5"), Whereabouts::Known);
        // Both have moved.
        rename(at("scratch"), at("project")).unwrap();
        assert_eq!(look("project/scan.h5", "project/out.h5"), Whereabouts::Known);
        // The source was moved by itself; then another file comes to lie there.
        rename(at("project/scan.h5"), at("moved.h5")).unwrap();
        assert_eq!(look("moved.h5", "project/out.h5"), Whereabouts::Gone);
        write(at("project/scan.h5"), "other").unwrap();
        assert_eq!(look("moved.h5", "project/out.h5"), Whereabouts::Other);
        // A copy isn't the source while that is there, but another name for it is.
        copy(at("project/scan.h5"), at("copy.h5")).unwrap();
        assert_eq!(look("copy.h5", "project/out.h5"), Whereabouts::Other);
        hard_link(at("project/scan.h5"), at("project/same.h5")).unwrap();
        assert_eq!(look("project/same.h5", "project/out.h5"), Whereabouts::Known);
        remove_file(at("project/scan.h5")).unwrap();
        assert_eq!(look("copy.h5", "project/out.h5"), Whereabouts::Gone);
    }
}

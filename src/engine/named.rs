//! The results groups that a user means by a name: a whole path, or only the last part of one.
//!
//! Two channels often have groups of the same name. Which of them is meant is asked, never guessed.

use std::path::Path;

use crate::storage::results_group::Provenance;
use pixelmill_core::error::{Error, Result};

/// The groups that `wanted` names.
///
/// # Errors
/// If there are none.
pub(crate) fn named<'g>(
    groups: &'g [Provenance],
    wanted: &str,
    file: &Path,
) -> Result<Vec<&'g Provenance>> {
    let found: Vec<_> = groups.iter().filter(|group| is_named(&group.path, wanted)).collect();
    if found.is_empty() {
        let known = groups.iter().map(|group| group.path.clone()).collect();
        return Err(Error::NoSuchGroup { file: file.to_owned(), group: wanted.to_owned(), known });
    }
    Ok(found)
}

/// The one group that `wanted` names.
///
/// # Errors
/// If there is none, or several.
pub(crate) fn the_one<'g>(
    groups: &'g [Provenance],
    wanted: &str,
    file: &Path,
) -> Result<&'g Provenance> {
    match named(groups, wanted, file)?.as_slice() {
        [group] => Ok(group),
        several => Err(Error::SeveralGroups {
            file: file.to_owned(),
            group: wanted.to_owned(),
            candidates: several.iter().map(|group| group.path.clone()).collect(),
        }),
    }
}

/// What begins with a slash is a whole path; anything else is that without its slash, or its end.
fn is_named(path: &str, wanted: &str) -> bool {
    let name = wanted.trim_matches('/');
    let path = path.trim_start_matches('/');
    path == name || !wanted.starts_with('/') && path.ends_with(&format!("/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_whole_path_or_the_end_of_one() {
        for (path, wanted, selected) in [
            ("/A/Channel_000/Raw-Sum_000", "/A/Channel_000/Raw-Sum_000", true),
            ("/A/Channel_000/Raw-Sum_000", "A/Channel_000/Raw-Sum_000/", true),
            ("/A/Channel_000/Raw-Sum_000", "Channel_000/Raw-Sum_000", true),
            ("/A/Channel_000/Raw-Sum_000", "Raw-Sum_000", true),
            ("/A/Channel_000/Raw-Sum_000", "/Raw-Sum_000", false),
            ("/A/Channel_000/Raw-Sum_000", "Sum_000", false),
            ("/Raw-Sum_000", "/Raw-Sum_000", true),
            ("/Raw-Sum_000", "Raw-Sum_000", true),
            ("/Raw-Sum_001", "Raw-Sum_000", false),
        ] {
            assert_eq!(is_named(path, wanted), selected, "{path} {wanted}");
        }
    }

    #[test]
    fn a_name_of_two_groups_is_asked_about() {
        let group = |path: &str| Provenance { path: path.to_owned(), ..Provenance::default() };
        let groups = ["/Raw-Sum_000", "/A/Raw-Sum_000", "/B/Raw-Sum_000"].map(group);
        let file = Path::new("file.h5");
        let error = the_one(&groups, "Raw-Sum_000", file).unwrap_err();
        assert!(error.is_usage());
        for group in &groups {
            assert!(error.to_string().contains(&group.path), "{error}");
            assert_eq!(the_one(&groups, &group.path, file).unwrap().path, group.path);
        }
        assert_eq!(the_one(&groups, "B/Raw-Sum_000", file).unwrap().path, "/B/Raw-Sum_000");
        assert!(matches!(the_one(&groups, "Sum_000", file), Err(Error::NoSuchGroup { .. })));
    }
}

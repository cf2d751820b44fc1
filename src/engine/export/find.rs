//! Which dataset is meant: by its path, or as a result by its group's name.

use crate::engine::named::the_one;
use crate::source::{self, normalised};
use crate::storage::container::Group;
use crate::storage::file::ReadFile;
use crate::storage::results_group::{self, results_groups};
use pixelmill_core::error::{Error, Result};

/// The path of the dataset that is meant: its own, or the only one of a results group.
pub(super) fn found(file: &ReadFile, wanted: &str) -> Result<String> {
    let literal = normalised(wanted);
    if file.dataset(&literal).is_ok() {
        return Ok(literal);
    }
    let groups = results_groups(file);
    let named = |wanted: &str| match the_one(&groups, wanted, &file.path) {
        Ok(group) => Ok(Some((group.path.clone(), datasets(file, &group.path)))),
        Err(error @ Error::SeveralGroups { .. }) => Err(error),
        Err(_) => Ok(None),
    };
    if let Some((group, known)) = named(wanted)? {
        return match known.as_slice() {
            [only] => Ok(format!("{group}/{only}")),
            _ => Err(Error::CannotExport {
                reason: format!("it has several results, name one: {group}/{}", known.join(", "))
                    .into(),
                dataset: group,
            }),
        };
    }
    if let Some((group, dataset)) = wanted.trim_end_matches('/').rsplit_once('/')
        && let Some((group, known)) = named(group)?
    {
        let path = format!("{group}/{dataset}");
        if file.dataset(&path).is_ok() {
            return Ok(path);
        }
        return Err(Error::NoSuchResults { group, dataset: dataset.to_owned(), known });
    }
    let mut candidates = source::shown_datasets(file);
    for group in &groups {
        let all = datasets(file, &group.path).into_iter();
        candidates.extend(all.map(|name| format!("{}/{name}", group.path)));
    }
    match file.broken_link(&literal) {
        Some(link) => Err(Error::BrokenLink { file: file.path.clone(), dataset: literal, link }),
        None => Err(Error::NoSuchDataset { file: file.path.clone(), dataset: literal, candidates }),
    }
}

fn datasets(file: &ReadFile, group: &str) -> Vec<String> {
    file.group(group).map(|group| results_group::datasets(&group)).unwrap_or_default()
}

/// The results group that a dataset is in, and what it is called there.
pub(super) fn holder(file: &ReadFile, path: &str) -> Option<(Group, String)> {
    let (group, name) = path.rsplit_once('/')?;
    let group = file.group(group).ok().filter(results_group::is_results_group)?;
    Some((group, name.to_owned()))
}

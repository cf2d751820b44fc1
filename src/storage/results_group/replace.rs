//! Putting another dataset in the place of a results dataset: what refers to the one then refers to
//! the other.

use hdf5::{Dataset, Group};

use super::super::attributes::referenced_dataset;
use super::super::{library, scales};
use super::results_groups;

/// Puts `new`, which has been created as `temporary`, in the place of a results dataset: with its
/// attributes, its name, its dimension scales and HyperSpy's second name. The old dataset is returned.
/// Its space is given back when that is dropped: once nothing new is created any more, else HDF5 puts
/// what is new there.
pub(super) fn replace(
    file: &hdf5::File,
    group: &Group,
    name: &str,
    temporary: &str,
) -> hdf5::Result<Dataset> {
    let (old, new) = (group.dataset(name)?, group.dataset(temporary)?);
    library::copy_attributes(&old, &new)?;
    scales::reattach(&old, &new)?;
    let experiments = experiments(file, &old);
    group.unlink(name)?;
    group.relink(temporary, name)?;
    let path = format!("{}/{name}", group.name());
    for experiment in experiments {
        experiment.unlink("data")?;
        experiment.link_hard(&path, "data")?;
    }
    Ok(old)
}

/// HyperSpy's experiments whose data are this dataset.
pub(super) fn experiments(file: &hdf5::File, dataset: &Dataset) -> Vec<Group> {
    let all = file.group("Experiments").and_then(|group| group.groups()).unwrap_or_default();
    let is_of_dataset = |experiment: &Group| {
        experiment.dataset("data").is_ok_and(|data| library::is_same(&data, dataset))
    };
    all.into_iter().filter(is_of_dataset).collect()
}

/// What keeps a results dataset from being replaced: something that would go on meaning the old one.
pub(super) fn obstacle(file: &hdf5::File, dataset: &Dataset) -> hdf5::Result<Option<String>> {
    let ours = 1 + experiments(file, dataset).len();
    if dataset.loc_info()?.num_links != ours {
        return Ok(Some("the file has another link to it".to_owned()));
    }
    let user = results_groups(file).into_iter().find(|found| {
        file.group(&found.path)
            .ok()
            .and_then(|group| referenced_dataset(&group, "source_000"))
            .is_some_and(|source| library::is_same(&source, dataset))
    });
    Ok(user.map(|user| format!("{} was computed from it as it is stored", user.path)))
}

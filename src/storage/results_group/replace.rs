//! Putting another dataset in the place of a results dataset: what refers to the one then refers to
//! the other.

use hdf5::{Dataset, Group};

use super::super::attributes::{referenced_dataset, write_reference};
use super::super::{library, scales, text};
use super::results_groups;

/// What a results group refers to its source by.
const SOURCE: &str = "source_000";

/// Puts `new`, which has been created as `temporary`, in the place of a results dataset: with its
/// attributes, its name, its dimension scales, HyperSpy's second name, and as the source of other
/// results. The old dataset is returned.
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
    let (experiments, users) = (experiments(file, &old), users(file, &old));
    group.unlink(name)?;
    group.relink(temporary, name)?;
    let path = format!("{}/{name}", text::name(group));
    for experiment in experiments {
        experiment.unlink("data")?;
        experiment.link_hard(&path, "data")?;
    }
    for user in users {
        user.delete_attr(SOURCE)?;
        write_reference(&user, SOURCE, &path)?;
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

/// Results groups that were computed from this dataset.
fn users(file: &hdf5::File, dataset: &Dataset) -> Vec<Group> {
    let groups = results_groups(file).into_iter().filter_map(|found| file.group(&found.path).ok());
    let is_user = |group: &Group| {
        referenced_dataset(group, SOURCE).is_some_and(|source| library::is_same(&source, dataset))
    };
    groups.filter(is_user).collect()
}

/// What speaks against storing a results dataset in another way, if anything does.
pub(crate) fn obstacle(file: &hdf5::File, dataset: &Dataset) -> Option<String> {
    let ours = 1 + experiments(file, dataset).len();
    if dataset.loc_info().is_ok_and(|info| info.num_links != ours) {
        return Some("the file has another link to it".to_owned());
    }
    let user = users(file, dataset).into_iter().next()?;
    Some(format!("{} was computed from it as it is stored", text::name(&user)))
}

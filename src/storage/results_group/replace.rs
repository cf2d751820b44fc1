//! Putting another dataset in the place of a results dataset: what refers to the one then refers to
//! the other.

use hdf5::{Dataset, Group};

use super::super::attributes::{referenced_dataset, write_reference};
use super::super::{library, references, scales, text};
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

/// What speaks against storing each of some results datasets in another way, if anything does.
pub(crate) fn obstacles(file: &hdf5::File, datasets: &[Dataset]) -> Vec<Option<String>> {
    let linked = |dataset: &Dataset| {
        let ours = 1 + experiments(file, dataset).len();
        dataset.loc_info().is_ok_and(|info| info.num_links != ours)
    };
    let obstacle = |(dataset, referrer): (&Dataset, Option<String>)| {
        if linked(dataset) {
            return Some("the file has another link to it".to_owned());
        }
        let user = users(file, dataset).into_iter().next();
        let user =
            user.map(|user| format!("{} was computed from it as it is stored", text::name(&user)));
        user.or(referrer)
    };
    datasets.iter().zip(referrers(file, datasets)).map(obstacle).collect()
}

/// Who refers to each of some results datasets, but for those that `replace` lets refer to the new one.
pub(super) fn referrers(file: &hdf5::File, datasets: &[Dataset]) -> Vec<Option<String>> {
    let scales: Vec<Vec<Dataset>> = datasets
        .iter()
        .map(|dataset| scales::scales(dataset).into_iter().flatten().collect())
        .collect();
    let groups = results_groups(file).into_iter().filter_map(|found| file.group(&found.path).ok());
    let groups: Vec<Group> = groups.collect();
    references::referrers(file, datasets, &|object, attribute, number| match attribute {
        SOURCE => groups.iter().any(|group| library::is_same(group, object)),
        scales::BACK => scales[number].iter().any(|scale| library::is_same(scale, object)),
        _ => false,
    })
}

//! Putting another dataset in the place of a results dataset: what refers to the one then refers to
//! the other.

use super::super::attributes::{referenced_dataset, write_reference};
use super::super::container::{AsObject, Dataset, Group, Object, Referrer, is_same};
use super::super::refused::Refused;
use super::super::scales;
use super::results_groups;

/// What a results group refers to its source by.
const SOURCE: &str = "source_000";

/// The groups of a file that have a results dataset by a second name, and that name, as its format
/// makes them.
pub(crate) type SecondNames = fn(&Group, &Dataset) -> Vec<(Group, String)>;

/// Puts `new`, which has been created as `temporary`, in the place of a results dataset: with its
/// attributes, its name, its dimension scales, its second names, and as the source of other
/// results. The old dataset is returned.
/// Its space is given back when that is dropped: once nothing new is created any more, else what is
/// new may be put there.
pub(super) fn replace(
    (file, second_names): (&Group, SecondNames),
    group: &Group,
    name: &str,
    temporary: &str,
) -> Result<Dataset, Refused> {
    let (old, new) = (group.dataset(name)?, group.dataset(temporary)?);
    old.hand_over_attributes(&new)?;
    let (others, users) = (second_names(file, &old), users(file, &old));
    group.unlink(name)?;
    group.relink(temporary, name)?;
    let path = format!("{}/{name}", group.name());
    for (holder, second) in others {
        holder.unlink(&second)?;
        holder.link_hard(&path, &second)?;
    }
    for user in users {
        user.remove_attribute(SOURCE)?;
        write_reference(&user, SOURCE, &path)?;
    }
    Ok(old)
}

/// Results groups that were computed from this dataset.
fn users(file: &Group, dataset: &Dataset) -> Vec<Group> {
    let groups = results_groups(file).into_iter().filter_map(|found| file.group(&found.path).ok());
    let is_user = |group: &Group| {
        referenced_dataset(group, SOURCE).is_some_and(|source| is_same(&source, dataset))
    };
    groups.filter(is_user).collect()
}

/// What speaks against storing each of some results datasets in another way, if anything does.
pub(crate) fn obstacles(
    (file, second_names): (&Group, SecondNames),
    datasets: &[Dataset],
) -> Vec<Option<String>> {
    let linked = |dataset: &Dataset| {
        let ours = 1 + second_names(file, dataset).len();
        dataset.links().is_some_and(|links| links != ours)
    };
    let obstacle = |(dataset, referrer): (&Dataset, Option<String>)| {
        if linked(dataset) {
            return Some("the file has another link to it".to_owned());
        }
        let user = users(file, dataset).into_iter().next();
        let user = user.map(|user| format!("{} was computed from it as it is stored", user.name()));
        user.or(referrer)
    };
    datasets.iter().zip(referrers(file, datasets)).map(obstacle).collect()
}

/// Who refers to each of some results datasets, but for those that `replace` lets refer to the new
/// one.
pub(super) fn referrers(file: &Group, datasets: &[Dataset]) -> Vec<Option<String>> {
    let scales: Vec<Vec<Dataset>> =
        datasets.iter().map(|dataset| dataset.scales().into_iter().flatten().collect()).collect();
    let groups = results_groups(file).into_iter().filter_map(|found| file.group(&found.path).ok());
    let groups: Vec<Group> = groups.collect();
    let objects: Vec<&dyn Object> = datasets.iter().map(AsObject::as_object).collect();
    file.referrers(&objects, &|Referrer { object, attribute, to, .. }| match *attribute {
        Some(SOURCE) => groups.iter().any(|group| is_same(group.as_object(), *object)),
        Some(scales::BACK) => scales[*to].iter().any(|scale| is_same(scale.as_object(), *object)),
        _ => false,
    })
}

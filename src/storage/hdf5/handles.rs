//! HDF5's own handles behind those of the door.

use std::any::Any;

use hdf5::Location;

use super::super::container::{Dataset, Object};
use super::super::refused::Refused;

/// A group, or the root of a file.
pub(super) struct OwnGroup(pub hdf5::Group);
/// A dataset.
pub(super) struct OwnDataset(pub hdf5::Dataset);
/// Anything else.
pub(super) struct OwnOther(pub Location);

/// HDF5's own handle of a dataset.
pub(super) fn own_dataset(dataset: &Dataset) -> Result<&hdf5::Dataset, Refused> {
    let any: &dyn Any = &**dataset;
    any.downcast_ref::<OwnDataset>()
        .map(|own| &own.0)
        .ok_or_else(|| "it is in a container of another kind".into())
}

/// HDF5's own handle of an object.
pub(super) fn own_location(object: &dyn Object) -> Option<&Location> {
    let any: &dyn Any = object;
    let group = any.downcast_ref::<OwnGroup>().map(|own| &*own.0);
    let dataset = || any.downcast_ref::<OwnDataset>().map(|own| &**own.0);
    let other = || any.downcast_ref::<OwnOther>().map(|own| &own.0);
    group.or_else(dataset).or_else(other)
}

/// HDF5's own handle of a dataset, if the object is one.
pub(super) fn as_own_dataset(object: &dyn Object) -> Option<&hdf5::Dataset> {
    let any: &dyn Any = object;
    any.downcast_ref::<OwnDataset>().map(|own| &own.0)
}

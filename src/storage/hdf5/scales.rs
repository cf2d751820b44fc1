//! HDF5's dimension scales: the datasets that hold the values of another's axes.
//!
//! Written by hand after HDF5's specification of dimension scales, since the library that is built
//! with us lacks its high-level part. h5py, netCDF and pyNSID read what is written here.

use hdf5::types::VarLenArray;
use hdf5::{Dataset, Location, ObjectReference1, ReferencedObject};

use super::super::scales::BACK;
use super::library;

const LIST: &str = "DIMENSION_LIST";

/// An entry of a scale's list of the datasets that it is attached to.
#[derive(hdf5::H5Type, Clone, Copy)]
#[repr(C)]
struct Attachment {
    dataset: ObjectReference1,
    dimension: u32,
}

/// The scales of each axis, in the file's order; those that can't be opened are passed over.
pub(super) fn scales(dataset: &Dataset) -> Vec<Vec<Dataset>> {
    let mut found: Vec<Vec<Dataset>> = lists(dataset)
        .iter()
        .map(|list| list.iter().filter_map(|reference| follow(dataset, reference)).collect())
        .collect();
    found.resize_with(dataset.ndim(), Vec::new);
    found
}

fn lists(dataset: &Dataset) -> Vec<VarLenArray<ObjectReference1>> {
    dataset.attr(LIST).and_then(|attribute| attribute.read_raw()).unwrap_or_default()
}

fn follow(location: &Location, reference: &ObjectReference1) -> Option<Dataset> {
    match location.dereference(reference).ok()? {
        ReferencedObject::Dataset(dataset) => Some(dataset),
        _ => None,
    }
}

/// Makes a dataset a dimension scale.
///
/// # Errors
/// Those of HDF5, or if it is one already.
pub(super) fn make_scale(dataset: &Dataset, name: &str) -> hdf5::Result<()> {
    library::write_c_string(dataset, "CLASS", "DIMENSION_SCALE")?;
    library::write_c_string(dataset, "NAME", name)
}

/// Adds a scale to those of a dataset's axis.
///
/// # Errors
/// Those of HDF5, or if there is no such axis.
pub(super) fn attach(dataset: &Dataset, axis: usize, scale: &Dataset) -> hdf5::Result<()> {
    if axis >= dataset.ndim() {
        return Err(hdf5::Error::from("a scale for an axis that isn't there"));
    }
    let mut lists: Vec<Vec<ObjectReference1>> =
        lists(dataset).iter().map(|list| list.to_vec()).collect();
    lists.resize_with(dataset.ndim(), Vec::new);
    lists[axis].push(scale.reference(".")?);
    let lists: Vec<_> = lists.iter().map(|list| VarLenArray::from_slice(list)).collect();
    match dataset.attr(LIST) {
        Ok(attribute) => attribute.write_raw(&lists)?,
        Err(_) => dataset
            .new_attr::<VarLenArray<ObjectReference1>>()
            .shape(lists.len())
            .create(LIST)?
            .write_raw(&lists)?,
    }
    refer_back(scale, dataset, axis)
}

/// Adds a dataset to the list of those that a scale is attached to.
fn refer_back(scale: &Dataset, dataset: &Dataset, axis: usize) -> hdf5::Result<()> {
    let mut entries = match scale.attr(BACK) {
        Ok(attribute) => attribute.read_raw::<Attachment>()?,
        Err(_) => Vec::new(),
    };
    entries.push(Attachment { dataset: dataset.reference(".")?, dimension: axis as u32 });
    if entries.len() > 1 {
        scale.delete_attr(BACK)?;
    }
    scale.new_attr::<Attachment>().shape(entries.len()).create(BACK)?.write_raw(&entries)
}

/// Lets the scales of `old` be attached to `new` instead, which has all attributes of `old`
/// already.
///
/// # Errors
/// Those of HDF5.
pub(super) fn reattach(old: &Dataset, new: &Dataset) -> hdf5::Result<()> {
    let to_new: ObjectReference1 = new.reference(".")?;
    for scale in scales(old).into_iter().flatten() {
        let Ok(attribute) = scale.attr(BACK) else { continue };
        let mut entries = attribute.read_raw::<Attachment>()?;
        for entry in &mut entries {
            if follow(&scale, &entry.dataset).is_some_and(|found| library::is_same(&found, old)) {
                entry.dataset = to_new;
            }
        }
        attribute.write_raw(&entries)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hdf5::File;

    use super::*;

    #[test]
    fn what_is_attached_is_found_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("scales.h5");
        {
            let file = File::create(&path).unwrap();
            let data = file.new_dataset::<f32>().shape([2, 3]).create("data").unwrap();
            let other = file.new_dataset::<f32>().shape([3]).create("other").unwrap();
            assert_eq!(scales(&data).len(), 2);
            for (name, length) in [("x", 3), ("x2", 3), ("y", 2)] {
                let scale = file.new_dataset::<f64>().shape([length]).create(name).unwrap();
                make_scale(&scale, name).unwrap();
                attach(&data, if length == 3 { 1 } else { 0 }, &scale).unwrap();
            }
            attach(&other, 0, &file.dataset("x").unwrap()).unwrap();
            assert!(attach(&data, 2, &file.dataset("x").unwrap()).is_err());
        }
        let file = File::open(&path).unwrap();
        let data = file.dataset("data").unwrap();
        let names: Vec<Vec<String>> = scales(&data)
            .iter()
            .map(|scales| scales.iter().map(|scale| scale.name()).collect())
            .collect();
        assert_eq!(names, [vec!["/y"], vec!["/x", "/x2"]]);
        let x = file.dataset("x").unwrap();
        let back = x.attr(BACK).unwrap().read_raw::<Attachment>().unwrap();
        let back: Vec<_> = back
            .iter()
            .map(|entry| (follow(&x, &entry.dataset).unwrap().name(), entry.dimension))
            .collect();
        assert_eq!(back, [("/data".to_owned(), 1), ("/other".to_owned(), 0)]);
        let class = x.attr("CLASS").unwrap();
        assert_eq!(library::raw_attribute(&class, 16).unwrap(), b"DIMENSION_SCALE\0");
    }

    #[test]
    fn scales_refer_to_what_took_the_place() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = File::create(folder.path().join("scales.h5")).unwrap();
        let create = |name: &str| file.new_dataset::<f32>().shape([3, 3]).create(name).unwrap();
        let (old, other, new) = (create("old"), create("other"), create("new"));
        let scale = file.new_dataset::<f64>().shape([3]).create("x").unwrap();
        make_scale(&scale, "x").unwrap();
        for (dataset, axis) in [(&old, 0), (&other, 1), (&old, 1)] {
            attach(dataset, axis, &scale).unwrap();
        }
        library::copy_attributes(&old, &new).unwrap();
        reattach(&old, &new).unwrap();
        let back = scale.attr(BACK).unwrap().read_raw::<Attachment>().unwrap();
        let back: Vec<_> = back
            .iter()
            .map(|entry| (follow(&scale, &entry.dataset).unwrap().name(), entry.dimension))
            .collect();
        assert_eq!(
            back,
            [("/new".to_owned(), 0), ("/other".to_owned(), 1), ("/new".to_owned(), 1)]
        );
        let names: Vec<_> = scales(&new).iter().map(|scales| scales[0].name()).collect();
        assert_eq!(names, ["/x", "/x"]);
    }
}

//! Groups and datasets of HDF5 as the door to containers asks for them.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use hdf5::types::H5Type;
use hdf5::{IndexType, IterationOrder, LinkType, Location, LocationInfo, LocationType};

use super::super::chunk_table::Chunking;
use super::super::container::{
    Attribute, Class, Content, Dataset, DatasetObject, Elements, Fixed, Group, GroupObject, Kind,
    Link, Object, Opening, RecordField, Referrer, Storing, ValuesNow,
};
use super::super::filters::FilterInfo;
use super::super::object_id::{Home, ObjectId};
use super::super::open_file::OpenFile;
use super::super::place::Place;
use super::super::refused::Refused;
use super::handles::{OwnDataset, OwnGroup, OwnOther, own_dataset, own_location};
use super::{
    attributes, chunk_index, datatype, library, links, opening, place, references, scales,
    stored_way, text, transaction, virtual_dataset,
};
use crate::region::Region;
use pixelmill_core::element::StoredType;
use pixelmill_core::error::Result;
use pixelmill_core::foreign_text::of_fixed_length;

/// A handle of a group, or of a file's root.
pub(super) fn group(group: &hdf5::Group) -> Group {
    Group::new(OwnGroup(group.clone()))
}

fn dataset(dataset: hdf5::Dataset) -> Dataset {
    Dataset::new(OwnDataset(dataset))
}

/// Which object it is of which HDF5 says this, and which `open` opens.
fn id_of(info: &LocationInfo, open: impl FnOnce() -> Option<Location>) -> ObjectId {
    // HDF5 gives no number twice.
    static KNOWN: LazyLock<Mutex<HashMap<u64, Home>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known().get(&info.fileno).copied();
    let home = found.unwrap_or_else(|| {
        let key = open().and_then(|object| transaction::key(&object));
        let home = key.map_or(Home::Numbered(info.fileno), Home::Known);
        known().insert(info.fileno, home);
        home
    });
    // The token itself can't be hashed; its digits can.
    ObjectId::new(home, format!("{:?}", info.token))
}

fn kind_of(kind: LocationType) -> Kind {
    match kind {
        LocationType::Group => Kind::Group,
        LocationType::Dataset => Kind::Dataset,
        _ => Kind::Other,
    }
}

/// What is a location to HDF5.
trait Located: Any + Send + Sync {
    fn location(&self) -> &Location;
}

impl Located for OwnGroup {
    fn location(&self) -> &Location {
        &self.0
    }
}

impl Located for OwnDataset {
    fn location(&self) -> &Location {
        &self.0
    }
}

impl Located for OwnOther {
    fn location(&self) -> &Location {
        &self.0
    }
}

impl<T: Located> Object for T {
    fn name(&self) -> String {
        text::name(self.location())
    }

    fn file_name(&self) -> PathBuf {
        self.location().filename().into()
    }

    fn id(&self) -> Option<ObjectId> {
        let location = self.location();
        let info = location.loc_info().ok()?;
        Some(id_of(&info, || library::open(location, ".").ok()))
    }

    fn root(&self) -> Result<Group, Refused> {
        let file = self.location().file()?;
        Ok(group(&file))
    }

    fn links(&self) -> Option<usize> {
        self.location().loc_info().ok().map(|info| info.num_links)
    }

    fn attribute_names(&self) -> Vec<String> {
        self.location().attr_names().unwrap_or_default()
    }

    fn has_attribute(&self, name: &str) -> bool {
        self.location().attr(name).is_ok()
    }

    fn attribute(&self, name: &str) -> Option<Attribute> {
        Some(match attributes::read(self.location(), name)? {
            attributes::Held::Values { is_scalar, content } => Attribute { is_scalar, content },
            attributes::Held::Reference(to) => Attribute::one(Content::Reference(dataset(to))),
        })
    }

    fn create_attribute(&self, name: &str, value: &Attribute) -> Result<(), Refused> {
        let location = self.location();
        match &value.content {
            Content::Reference(to) => attributes::refer(location, name, own_dataset(to)?)?,
            content => attributes::create(location, name, value.is_scalar, content)?,
        }
        Ok(())
    }

    fn remove_attribute(&self, name: &str) -> Result<(), Refused> {
        Ok(self.location().delete_attr(name)?)
    }

    fn can_overwrite(&self, name: &str, value: Fixed<'_>) -> bool {
        attributes::can_overwrite(self.location(), name, value)
    }

    fn overwrite(&self, name: &str, value: Fixed<'_>) -> Result<(), Refused> {
        Ok(attributes::overwrite(self.location(), name, value)?)
    }
}

impl GroupObject for OwnGroup {
    fn member_names(&self) -> Result<Vec<String>, Refused> {
        Ok(self.0.member_names()?)
    }

    fn member(&self, name: &str) -> Option<(ObjectId, Kind)> {
        let info = self.0.loc_info_by_name(name).ok()?;
        let id = id_of(&info, || library::open(&self.0, name).ok());
        Some((id, kind_of(info.loc_type)))
    }

    fn link(&self, name: &str) -> Result<Option<Link>, Refused> {
        let link =
            |found: &str, info: hdf5::LinkInfo| Ok((found == name).then_some(info.link_type));
        let found = self.0.find_link(IndexType::Name, IterationOrder::Native, link)?;
        Ok(found.map(|kind| if kind == LinkType::Hard { Link::Own } else { Link::Path }))
    }

    fn link_exists(&self, name: &str) -> bool {
        self.0.link_exists(name)
    }

    fn group(&self, name: &str) -> Result<Group, Refused> {
        Ok(group(&self.0.group(name)?))
    }

    fn dataset(&self, name: &str) -> Result<Dataset, Refused> {
        Ok(dataset(self.0.dataset(name)?))
    }

    fn object(&self, name: &str) -> Result<Arc<dyn Object>, Refused> {
        Ok(Arc::new(OwnOther(library::open(&self.0, name)?)))
    }

    fn broken_link(&self, path: &str) -> Option<String> {
        links::broken_link(&self.0, path)
    }

    fn create_group(&self, name: &str) -> Result<Group, Refused> {
        Ok(group(&self.0.create_group(name)?))
    }

    fn create_dataset(
        &self,
        name: &str,
        elements: &Elements,
        shape: &[usize],
        storing: Storing<'_>,
    ) -> Result<Dataset, Refused> {
        let datatype = datatype::type_of(elements)?;
        Ok(dataset(match storing {
            Storing::Late => {
                let descriptor = datatype.to_descriptor()?;
                self.0.new_dataset_builder().empty_as(&descriptor).shape(shape).create(name)?
            }
            Storing::Placed { chunk, fill } => {
                library::create_filled(&self.0, name, &datatype, (shape, chunk), fill)?
            }
        }))
    }

    fn create_filtered(
        &self,
        name: &str,
        like: &Dataset,
        chunk: &[usize],
        fill: &[u8],
        filters: &[(i32, &[u32])],
    ) -> Result<Dataset, Refused> {
        let like = own_dataset(like)?;
        let (datatype, shape) = (like.dtype()?, like.shape());
        let shape = (shape.as_slice(), chunk);
        Ok(dataset(library::create_filtered(&self.0, name, &datatype, shape, fill, filters)?))
    }

    fn unlink(&self, name: &str) -> Result<(), Refused> {
        Ok(self.0.unlink(name)?)
    }

    fn relink(&self, name: &str, new: &str) -> Result<(), Refused> {
        Ok(self.0.relink(name, new)?)
    }

    fn link_hard(&self, target: &str, name: &str) -> Result<(), Refused> {
        Ok(self.0.link_hard(target, name)?)
    }

    fn referrers(
        &self,
        objects: &[&dyn Object],
        ours: &dyn Fn(&Referrer<'_>) -> bool,
    ) -> Vec<Option<String>> {
        let own: Option<Vec<Location>> =
            objects.iter().map(|object| own_location(*object).cloned()).collect();
        let own = own.expect("objects of a file are in containers of the file's kind");
        references::referrers(&group(&self.0), &own, ours)
    }

    fn has_user_block(&self) -> bool {
        self.0.file().map_or(true, |file| file.userblock() > 0)
    }
}

/// A part of a dataset's values; HDF5 converts them.
fn values<T: H5Type + Clone>(dataset: &hdf5::Dataset, part: &Region) -> hdf5::Result<Vec<T>> {
    let shape = dataset.shape();
    if *part == Region::whole(&crate::region::lengths(&shape)) {
        return dataset.read_raw();
    }
    let range = |axis| {
        let range = part.range(axis);
        range.start as usize..range.end as usize
    };
    // What was read is one piece, in its own order.
    match part.shape.len() {
        1 => Ok(dataset.read_slice_1d::<T, _>(range(0))?.into_raw_vec_and_offset().0),
        2 => {
            let read = dataset.read_slice_2d::<T, _>((range(0), range(1)))?;
            Ok(read.into_raw_vec_and_offset().0)
        }
        _ => Err("a part of an array of more axes".into()),
    }
}

impl DatasetObject for OwnDataset {
    fn shape(&self) -> Vec<usize> {
        self.0.shape()
    }

    fn class(&self) -> Class {
        let unknown = Class::Other("elements of an unknown class");
        self.0.dtype().map_or(unknown, |datatype| datatype::class(&datatype))
    }

    fn element_bytes(&self) -> usize {
        self.0.dtype().map_or(0, |datatype| datatype.size())
    }

    fn stored_type(&self) -> Result<StoredType, String> {
        datatype::stored_type(&self.0)
    }

    fn stored_record(&self) -> Result<(StoredType, Vec<String>), String> {
        datatype::stored_record(&self.0)
    }

    fn record_fields(&self) -> Result<Vec<RecordField>, String> {
        datatype::record_fields(&self.0)
    }

    fn holds(&self, elements: &Elements) -> Result<bool, Refused> {
        Ok(datatype::type_of(elements)? == self.0.dtype()?)
    }

    fn chunk(&self) -> Option<Vec<usize>> {
        self.0.chunk()
    }

    fn chunking(&self) -> Option<Chunking> {
        stored_way::chunking(&self.0)
    }

    fn filters(&self) -> Result<Vec<FilterInfo>, Refused> {
        Ok(chunk_index::filters(&self.0)?)
    }

    fn storage_size(&self) -> u64 {
        self.0.storage_size()
    }

    fn fill_value(&self) -> Result<Vec<u8>, Refused> {
        Ok(library::fill_value(&self.0)?)
    }

    fn open_values(&self, file: OpenFile<'_>, field: Option<&str>) -> Result<Opening> {
        opening::open(&self.0, field, file)
    }

    fn values_now(&self, field: Option<&str>) -> Result<Option<ValuesNow>> {
        opening::now(&self.0, field)
    }

    fn parts_here(&self) -> Vec<String> {
        virtual_dataset::parts_here(&self.0)
    }

    fn check_sources(&self) -> Result<()> {
        virtual_dataset::check(&self.0)
    }

    fn place(&self, positions_axes: Option<usize>) -> Option<Place> {
        place::place(&self.0, positions_axes)
    }

    fn integers(&self, part: &Region) -> Result<Vec<i64>, Refused> {
        Ok(values(&self.0, part)?)
    }

    fn unsigned(&self, part: &Region) -> Result<Vec<u64>, Refused> {
        Ok(values(&self.0, part)?)
    }

    fn numbers(&self, part: &Region) -> Result<Vec<f64>, Refused> {
        Ok(values(&self.0, part)?)
    }

    fn texts(&self, most: usize, longest: usize) -> Vec<String> {
        let Ok(datatype) = self.0.dtype() else { return Vec::new() };
        let (lines, size) = (self.0.size().min(most), datatype.size());
        let mut found = match datatype::class(&datatype) {
            Class::FixedText if size <= longest && self.0.ndim() == 1 && lines > 0 => {
                let mut bytes = vec![0; lines * size];
                match library::read_rows(&self.0, 0, &mut bytes) {
                    Ok(()) => bytes.chunks_exact(size).map(of_fixed_length).collect(),
                    Err(_) => Vec::new(),
                }
            }
            Class::VariableText if self.0.size() <= longest => {
                text::of_dataset(&self.0, &datatype).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        found.truncate(most);
        found
    }

    fn write_rows(&self, first: u64, rows: &[u8]) -> Result<(), Refused> {
        Ok(library::write_rows(&self.0, first, rows)?)
    }

    fn write_chunk(&self, start: &[u64], mask: u32, encoded: &[u8]) -> Result<(), Refused> {
        Ok(library::write_chunk(&self.0, start, mask, encoded)?)
    }

    fn hand_over_attributes(&self, to: &Dataset) -> Result<(), Refused> {
        let to = own_dataset(to)?;
        library::copy_attributes(&self.0, to)?;
        Ok(scales::reattach(&self.0, to)?)
    }

    fn scales(&self) -> Vec<Vec<Dataset>> {
        let wrapped = |scales: Vec<hdf5::Dataset>| scales.into_iter().map(dataset).collect();
        scales::scales(&self.0).into_iter().map(wrapped).collect()
    }

    fn make_scale(&self, name: &str) -> Result<(), Refused> {
        Ok(scales::make_scale(&self.0, name)?)
    }

    fn attach(&self, axis: usize, scale: &Dataset) -> Result<(), Refused> {
        Ok(scales::attach(&self.0, axis, own_dataset(scale)?)?)
    }
}

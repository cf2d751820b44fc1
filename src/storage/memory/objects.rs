//! Groups and datasets in memory as the door to containers asks for them.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::chunk_table::Chunking;
use super::super::container::{
    AsObject, Attribute, Class, Content, Dataset, DatasetObject, Elements, Fixed, Group,
    GroupObject, Kind, Link, Object, Opening, RecordField, Referrer, Storing, ValuesNow,
};
use super::super::decoding::Decoding;
use super::super::filters::FilterInfo;
use super::super::in_place::Extent;
use super::super::object_id::ObjectId;
use super::super::open_file::OpenFile;
use super::super::place::Place;
use super::super::raw_file::RawFile;
use super::super::refused::Refused;
use super::super::tiles::Contiguous;
use super::tree::{Array, Leads, Node, Tree, What, joined};
use crate::region::{self, Region};
use pixelmill_core::column_layout::Field;
use pixelmill_core::element::{ElementType, StoredType, elements};
use pixelmill_core::error::{Error, Result};

/// What such a file is called.
pub(super) const PATH: &str = "file in memory";

/// A handle of an object: its node, and the path that it was opened by.
pub(super) struct Handle<const IS_GROUP: bool> {
    pub tree: Arc<Tree>,
    pub node: usize,
    pub path: String,
}

pub(super) type OwnGroup = Handle<true>;
type OwnDataset = Handle<false>;

fn node_of(object: &dyn Object) -> Option<usize> {
    let any: &dyn Any = object;
    let group = any.downcast_ref::<OwnGroup>().map(|own| own.node);
    group.or_else(|| any.downcast_ref::<OwnDataset>().map(|own| own.node))
}

impl<const IS_GROUP: bool> Handle<IS_GROUP> {
    fn dataset_at(&self, node: usize, path: String) -> Dataset {
        Dataset::new(OwnDataset { tree: Arc::clone(&self.tree), node, path })
    }

    fn group_at(&self, node: usize, path: String) -> Group {
        Group::new(OwnGroup { tree: Arc::clone(&self.tree), node, path })
    }
}

impl<const IS_GROUP: bool> Object for Handle<IS_GROUP> {
    fn name(&self) -> String {
        self.path.clone()
    }

    fn file_name(&self) -> PathBuf {
        PATH.into()
    }

    fn id(&self) -> Option<ObjectId> {
        Some(self.tree.id(self.node))
    }

    fn root(&self) -> Result<Group, Refused> {
        Ok(self.group_at(0, "/".to_owned()))
    }

    fn links(&self) -> Option<usize> {
        let nodes = self.tree.lock();
        let count = |node: &Node| match &node.what {
            What::Group(links) => links
                .values()
                .filter(|link| matches!(link, Leads::To(node) if *node == self.node))
                .count(),
            What::Dataset(_) => 0,
        };
        Some(nodes.iter().map(count).sum())
    }

    fn attribute_names(&self) -> Vec<String> {
        self.tree.lock()[self.node].attributes.iter().map(|(name, _)| name.clone()).collect()
    }

    fn has_attribute(&self, name: &str) -> bool {
        self.tree.lock()[self.node].attributes.iter().any(|(known, _)| known == name)
    }

    fn attribute(&self, name: &str) -> Option<Attribute> {
        self.tree.check(&format!("attribute {name} of"), &self.path).ok()?;
        let nodes = self.tree.lock();
        nodes[self.node].attributes.iter().find(|(known, _)| known == name)?.1.clone()
    }

    fn create_attribute(&self, name: &str, value: &Attribute) -> Result<(), Refused> {
        self.tree.check("write", &self.path)?;
        if self.has_attribute(name) {
            return Err(format!("the attribute {name} is there already").into());
        }
        self.tree.lock()[self.node].attributes.push((name.to_owned(), Some(value.clone())));
        Ok(())
    }

    fn remove_attribute(&self, name: &str) -> Result<(), Refused> {
        self.tree.check("write", &self.path)?;
        if !self.has_attribute(name) {
            return Err(format!("there is no attribute {name}").into());
        }
        self.tree.lock()[self.node].attributes.retain(|(known, _)| known != name);
        Ok(())
    }

    fn can_overwrite(&self, name: &str, value: Fixed<'_>) -> bool {
        let found = self.attribute(name).filter(|found| found.is_scalar);
        found.is_some_and(|found| match value {
            Fixed::Integer(_) => matches!(found.content, Content::Integers(_)),
            Fixed::ShortText(_) => matches!(found.content, Content::Texts(_)),
        })
    }

    fn overwrite(&self, name: &str, value: Fixed<'_>) -> Result<(), Refused> {
        if self.has_attribute(name) {
            self.remove_attribute(name)?;
        }
        let content = match value {
            Fixed::Integer(value) => Content::Integers(vec![value]),
            Fixed::ShortText(text) => Content::Texts(vec![text.to_owned()]),
        };
        self.create_attribute(name, &Attribute::one(content))
    }
}

impl OwnGroup {
    fn found(&self, name: &str) -> Result<(usize, String, Kind), Refused> {
        let path = joined(&self.path, name);
        let (node, path) =
            self.tree.find(&self.path, name).ok_or_else(|| format!("there is no {path}"))?;
        self.tree.check("open", &path)?;
        let kind = self.tree.lock()[node].kind();
        Ok((node, path, kind))
    }

    fn insert(&self, name: &str, node: Node) -> Result<(usize, String), Refused> {
        let path = joined(self.path.trim_end_matches('/'), name);
        self.tree.check("create", &path)?;
        if self.link_exists(name) {
            return Err(format!("{path} is there already").into());
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if !parent.is_empty() && self.tree.find("/", parent).is_none() {
            self.create_group(parent)?;
        }
        let (parent, _) = self.tree.find("/", parent).ok_or("there is no such group")?;
        let mut nodes = self.tree.lock();
        let number = nodes.len();
        nodes.push(node);
        let links = nodes[parent].links().ok_or("it is no group")?;
        links.insert(name.to_owned(), Leads::To(number));
        drop(nodes);
        Ok((number, path))
    }

    /// Changes the links of this group.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Leads>) -> Option<T>,
    ) -> Result<T, Refused> {
        self.tree.check("write", &self.path)?;
        let mut nodes = self.tree.lock();
        let links = nodes[self.node].links().ok_or("it is no group")?;
        change(links).ok_or_else(|| "there is no such link".into())
    }
}

impl GroupObject for OwnGroup {
    fn member_names(&self) -> Result<Vec<String>, Refused> {
        self.tree.check("members", &self.path)?;
        let mut nodes = self.tree.lock();
        Ok(nodes[self.node].links().into_iter().flat_map(|links| links.keys().cloned()).collect())
    }

    fn member(&self, name: &str) -> Option<(ObjectId, Kind)> {
        let (node, _) = self.tree.find(&self.path, name)?;
        Some((self.tree.id(node), self.tree.lock()[node].kind()))
    }

    fn link(&self, name: &str) -> Result<Option<Link>, Refused> {
        self.tree.check("members", &self.path)?;
        let mut nodes = self.tree.lock();
        let links = nodes[self.node].links().ok_or("it is no group")?;
        Ok(links.get(name).map(|link| match link {
            Leads::To(_) => Link::Own,
            Leads::Path(_) => Link::Path,
        }))
    }

    fn link_exists(&self, name: &str) -> bool {
        let path = joined(&self.path, name);
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let Some((parent, _)) = self.tree.find("/", parent) else { return false };
        self.tree.lock()[parent].links().is_some_and(|links| links.contains_key(name))
    }

    fn group(&self, name: &str) -> Result<Group, Refused> {
        match self.found(name)? {
            (node, path, Kind::Group) => Ok(self.group_at(node, path)),
            (_, path, _) => Err(format!("{path} is no group").into()),
        }
    }

    fn dataset(&self, name: &str) -> Result<Dataset, Refused> {
        match self.found(name)? {
            (node, path, Kind::Dataset) => Ok(self.dataset_at(node, path)),
            (_, path, _) => Err(format!("{path} is no dataset").into()),
        }
    }

    fn object(&self, name: &str) -> Result<Arc<dyn Object>, Refused> {
        let (node, path, _) = self.found(name)?;
        Ok(Arc::new(OwnGroup { tree: Arc::clone(&self.tree), node, path }))
    }

    fn broken_link(&self, path: &str) -> Option<String> {
        let mut way = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let (parent, _) = self.tree.find("/", &way)?;
            way = format!("{way}/{name}");
            if self.tree.find("/", &way).is_none() {
                let link = self.tree.lock()[parent].links()?.get(name)?.clone();
                let Leads::Path(target) = link else { return None };
                return Some(format!("`{way}` is a link to `{target}`, which isn't there"));
            }
        }
        None
    }

    fn create_group(&self, name: &str) -> Result<Group, Refused> {
        let (node, path) = self.insert(name, Node::group())?;
        Ok(self.group_at(node, path))
    }

    fn create_dataset(
        &self,
        name: &str,
        elements: &Elements,
        shape: &[usize],
        storing: Storing<'_>,
    ) -> Result<Dataset, Refused> {
        let (chunk, fill) = match storing {
            Storing::Late => (None, vec![0; elements.bytes()]),
            Storing::Placed { chunk, fill } => (chunk.map(<[usize]>::to_vec), fill.to_vec()),
        };
        let (elements, shape) = (elements.clone(), shape.to_vec());
        let offset = self.tree.file.metadata().unwrap().len();
        let scales = vec![Vec::new(); shape.len()];
        let array = Array { elements, shape, chunk, fill, offset, scales };
        let count: usize = array.shape.iter().product();
        self.tree.file.write_all_at(&array.fill.repeat(count), offset).unwrap();
        let node = Node { attributes: Vec::new(), what: What::Dataset(array) };
        let (node, path) = self.insert(name, node)?;
        Ok(self.dataset_at(node, path))
    }

    fn create_filtered(
        &self,
        _name: &str,
        _like: &Dataset,
        _chunk: &[usize],
        _fill: &[u8],
        _filters: &[(i32, &[u32])],
    ) -> Result<Dataset, Refused> {
        Err("nothing is filtered in memory".into())
    }

    fn unlink(&self, name: &str) -> Result<(), Refused> {
        self.change(|links| links.remove(name).map(|_| ()))
    }

    fn relink(&self, name: &str, new: &str) -> Result<(), Refused> {
        self.change(|links| {
            let link = links.remove(name)?;
            links.insert(new.to_owned(), link);
            Some(())
        })
    }

    fn link_hard(&self, target: &str, name: &str) -> Result<(), Refused> {
        let (node, _, _) = self.found(target)?;
        self.change(|links| {
            links.insert(name.to_owned(), Leads::To(node));
            Some(())
        })
    }

    fn referrers(
        &self,
        objects: &[&dyn Object],
        ours: &dyn Fn(&Referrer<'_>) -> bool,
    ) -> Vec<Option<String>> {
        let nodes = self.tree.lock().clone();
        let referrer = |number: usize| {
            nodes.iter().enumerate().find_map(|(node, found)| {
                let path = self.tree.path_of(node);
                let object = self.group_at(node, path.clone());
                found.attributes.iter().find_map(|(name, value)| {
                    let Some(Content::Reference(to)) = value.as_ref().map(|value| &value.content)
                    else {
                        return None;
                    };
                    let (object, attribute) = (object.as_object(), Some(name.as_str()));
                    let referrer = Referrer { object, attribute, to: number, is_read: true };
                    let refers = to.id() == objects[number].id() && !ours(&referrer);
                    refers.then(|| referrer.told(&path))
                })
            })
        };
        (0..objects.len()).map(referrer).collect()
    }

    fn has_user_block(&self) -> bool {
        false
    }
}

impl OwnDataset {
    fn array(&self) -> Array {
        match &self.tree.lock()[self.node].what {
            What::Dataset(array) => array.clone(),
            What::Group(_) => unreachable!("a dataset stays one"),
        }
    }

    /// Changes what is known of the dataset.
    fn change(&self, change: impl FnOnce(&mut Array)) {
        if let What::Dataset(array) = &mut self.tree.lock()[self.node].what {
            change(array);
        }
    }

    /// The bytes of a part of it.
    fn part(&self, part: &Region) -> Result<Vec<u8>, Refused> {
        self.tree.check("read", &self.path)?;
        let array = self.array();
        let (shape, size) = (region::lengths(&array.shape), array.elements.bytes());
        let mut all = vec![0; array.bytes() as usize];
        self.tree.file.read_exact_at(&mut all, array.offset).map_err(|e| e.to_string())?;
        let chosen = all.chunks_exact(size).zip(0..).filter(|(_, number)| {
            let steps = region::steps(&shape, *number);
            part.contains(steps)
        });
        Ok(chosen.flat_map(|(element, _)| element.to_vec()).collect())
    }

    fn read<T: pixelmill_core::Element>(&self, part: &Region) -> Result<Vec<T>, Refused> {
        let stored = self.stored_type()?;
        let bytes = self.part(part)?;
        Ok(elements(&bytes, stored, &mut Vec::new()).to_vec())
    }

    fn opened(&self) -> Result<ValuesNow> {
        let file = self.tree.file.try_clone().map_err(|e| Error::io("read", Path::new(PATH), e))?;
        let way = Contiguous { offset: self.array().offset };
        let files = vec![Arc::new(RawFile::new(PATH.into(), file)?)];
        Ok(ValuesNow { files, way: Box::new(way) })
    }
}

impl DatasetObject for OwnDataset {
    fn shape(&self) -> Vec<usize> {
        self.array().shape
    }

    fn class(&self) -> Class {
        use ElementType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
        match self.array().elements {
            Elements::Number(Int8 | Int16 | Int32 | Int64) => Class::Integer { signed: true },
            Elements::Number(UInt8 | UInt16 | UInt32 | UInt64) => Class::Integer { signed: false },
            Elements::Number(element) if element.is_complex() => Class::Record,
            Elements::Number(_) => Class::Float,
            Elements::Record(_) => Class::Record,
            Elements::Text(_) => Class::FixedText,
        }
    }

    fn element_bytes(&self) -> usize {
        self.array().elements.bytes()
    }

    fn stored_type(&self) -> Result<StoredType, String> {
        match self.array().elements {
            Elements::Number(element) => Ok(StoredType { element, swapped: false }),
            Elements::Record(_) => Err("compound records".to_owned()),
            Elements::Text(_) => Err("text".to_owned()),
        }
    }

    fn stored_record(&self) -> Result<(StoredType, Vec<String>), String> {
        self.stored_type().map(|stored| (stored, Vec::new()))
    }

    fn record_fields(&self) -> Result<Vec<RecordField>, String> {
        let Elements::Record(fields) = &self.array().elements else { return Ok(Vec::new()) };
        let field = |Field { name, element }: &Field| RecordField {
            name: name.clone().unwrap_or_default(),
            stored: Ok(StoredType { element: *element, swapped: false }),
        };
        Ok(fields.iter().map(field).collect())
    }

    fn holds(&self, elements: &Elements) -> Result<bool, Refused> {
        Ok(match (&self.array().elements, elements) {
            (Elements::Number(one), Elements::Number(other)) => one == other,
            (Elements::Text(one), Elements::Text(other)) => one == other,
            (Elements::Record(one), Elements::Record(other)) => {
                let fields = |fields: &[Field]| -> Vec<_> {
                    fields.iter().map(|field| (field.name.clone(), field.element)).collect()
                };
                fields(one) == fields(other)
            }
            _ => false,
        })
    }

    fn chunk(&self) -> Option<Vec<usize>> {
        self.array().chunk
    }

    fn chunking(&self) -> Option<Chunking> {
        None
    }

    fn filters(&self) -> Result<Vec<FilterInfo>, Refused> {
        Ok(Vec::new())
    }

    fn storage_size(&self) -> u64 {
        self.array().bytes()
    }

    fn fill_value(&self) -> Result<Vec<u8>, Refused> {
        Ok(self.array().fill)
    }

    fn open_values(&self, file: OpenFile<'_>, field: Option<&str>) -> Result<Opening> {
        let array = self.array();
        if array.bytes() == 0 {
            return Err(Error::not_main(file.path, &self.path, "it is empty".to_owned()));
        }
        self.tree
            .check("read", &self.path)
            .map_err(|refused| refused.on_object("read", file.path, &self.path))?;
        let ValuesNow { files, way } = self.opened()?;
        let stored_type = format!("{:?}", array.elements);
        let decoding = Decoding::new(stored_type, array.chunk.clone(), &[], None);
        let (element, value) = (array.elements.bytes(), array.value(field));
        Ok(Opening { files, may_grow: false, way, element, value, decoding })
    }

    fn values_now(&self, _field: Option<&str>) -> Result<Option<ValuesNow>> {
        self.opened().map(Some)
    }

    fn parts_here(&self) -> Vec<String> {
        Vec::new()
    }

    fn check_sources(&self) -> Result<()> {
        Ok(())
    }

    fn place(&self, _positions_axes: Option<usize>) -> Option<Place> {
        let array = self.array();
        Extent::new(array.offset, array.bytes()).map(Place::Contiguous)
    }

    fn integers(&self, part: &Region) -> Result<Vec<i64>, Refused> {
        Ok(self.read::<f64>(part)?.into_iter().map(|value| value as i64).collect())
    }

    fn unsigned(&self, part: &Region) -> Result<Vec<u64>, Refused> {
        Ok(self.read::<f64>(part)?.into_iter().map(|value| value as u64).collect())
    }

    fn numbers(&self, part: &Region) -> Result<Vec<f64>, Refused> {
        self.read(part)
    }

    fn texts(&self, most: usize, _longest: usize) -> Vec<String> {
        let size = self.element_bytes();
        let whole = Region::whole(&region::lengths(&self.shape()));
        let bytes = self.part(&whole).unwrap_or_default();
        let text = |line: &[u8]| match CStr::from_bytes_until_nul(line) {
            Ok(text) => text.to_string_lossy().into_owned(),
            Err(_) => String::from_utf8_lossy(line).into_owned(),
        };
        bytes.chunks_exact(size).take(most).map(text).collect()
    }

    fn write_rows(&self, first: u64, rows: &[u8]) -> Result<(), Refused> {
        self.tree.check("write", &self.path)?;
        let array = self.array();
        let row = array.shape.iter().skip(1).product::<usize>() * array.elements.bytes();
        let at = first * row as u64;
        if at + rows.len() as u64 > array.bytes() {
            return Err("a part outside of the dataset".into());
        }
        Ok(self.tree.file.write_all_at(rows, array.offset + at).map_err(|e| e.to_string())?)
    }

    fn write_chunk(&self, _start: &[u64], _mask: u32, _encoded: &[u8]) -> Result<(), Refused> {
        Err("nothing is filtered in memory".into())
    }

    fn hand_over_attributes(&self, to: &Dataset) -> Result<(), Refused> {
        let to = node_of(to.as_object()).ok_or("it is in another container")?;
        let mut nodes = self.tree.lock();
        let (attributes, scales) = (nodes[self.node].attributes.clone(), self.scales_of(&nodes));
        nodes[to].attributes.extend(attributes);
        if let What::Dataset(array) = &mut nodes[to].what {
            array.scales = scales;
        }
        Ok(())
    }

    fn scales(&self) -> Vec<Vec<Dataset>> {
        let scales = self.array().scales.into_iter();
        let opened = |node: usize| self.dataset_at(node, self.tree.path_of(node));
        scales.map(|scales| scales.into_iter().map(opened).collect()).collect()
    }

    fn make_scale(&self, name: &str) -> Result<(), Refused> {
        for (attribute, text) in [("CLASS", "DIMENSION_SCALE"), ("NAME", name)] {
            let text = Attribute::one(Content::Texts(vec![text.to_owned()]));
            self.create_attribute(attribute, &text)?;
        }
        Ok(())
    }

    fn attach(&self, axis: usize, scale: &Dataset) -> Result<(), Refused> {
        self.tree.check("write", &self.path)?;
        let scale = node_of(scale.as_object()).ok_or("it is in another container")?;
        if axis >= self.shape().len() {
            return Err("a scale for an axis that isn't there".into());
        }
        self.change(|array| array.scales[axis].push(scale));
        if !self.has_attribute("DIMENSION_LIST") {
            self.tree.lock()[self.node].attributes.push(("DIMENSION_LIST".to_owned(), None));
        }
        Ok(())
    }
}

impl OwnDataset {
    fn scales_of(&self, nodes: &[Node]) -> Vec<Vec<usize>> {
        match &nodes[self.node].what {
            What::Dataset(array) => array.scales.clone(),
            What::Group(_) => Vec::new(),
        }
    }
}

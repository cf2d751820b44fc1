//! The door to containers: what everything above asks of a file, whatever its container is.
//!
//! A container is a tree of groups and datasets that have attributes. `Group` and `Dataset` are
//! handles of what implements the traits here: HDF5 in the folder of that name, and for tests a
//! container in memory. How bytes are had, and where they lie, is told once, when a dataset is
//! opened (`Opening`, `Place`): no row comes through here.

use std::any::Any;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::Arc;

use super::chunk_table::Chunking;
use super::decoding::Decoding;
use super::file_state::FileState;
use super::filters::FilterInfo;
use super::object_id::ObjectId;
use super::open_file::OpenFile;
use super::place::Place;
use super::raw_file::RawFile;
use super::refused::Refused;
use super::tiles::Way;
use crate::region::{self, Region};
use pixelmill_core::column_layout::{ColumnLayout, Field};
use pixelmill_core::element::{ElementType, StoredType};
use pixelmill_core::error::{Error, Result};

/// What kind of thing an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Integer {
        signed: bool,
    },
    Float,
    /// FALSE or TRUE in one byte.
    Boolean,
    /// Integers that have names.
    Enumeration,
    /// HDF5's own, of version 2.0.
    #[cfg_attr(not(hdf5_2_0), expect(dead_code, reason = "older versions have none"))]
    Complex,
    Record,
    FixedText,
    VariableText,
    /// Anything else, in words.
    Other(&'static str),
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Group,
    Dataset,
    /// A datatype with a name, which may have attributes.
    Other,
}

/// How a group leads to one of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is the group's own.
    Own,
    /// By a path, here or in another file.
    Path,
}

/// What the elements of a dataset are to be.
#[derive(Clone, Debug)]
pub(crate) enum Elements {
    Number(ElementType),
    Record(Vec<Field>),
    /// Text of so many bytes.
    Text(usize),
}

impl Elements {
    /// Those of a results dataset.
    pub fn of(layout: &ColumnLayout) -> Self {
        match layout.fields.as_slice() {
            [Field { name: None, element }] => Self::Number(*element),
            fields => Self::Record(fields.to_vec()),
        }
    }

    /// Bytes of one.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Number(element) => element.size(),
            Self::Record(fields) => fields.iter().map(|field| field.element.size()).sum(),
            Self::Text(bytes) => *bytes,
        }
    }
}

/// A field of the records that a dataset holds.
pub(crate) struct RecordField {
    pub name: String,
    /// How it is stored; the error says what it is instead of a number.
    pub stored: Result<StoredType, String>,
}

/// How the bytes of a new dataset are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Storing<'a> {
    /// In one stretch, which has its place once something is written.
    Late,
    /// All have their place at once, each element holding `fill`: in one stretch, or in chunks. A
    /// full disk shows here.
    Placed { chunk: Option<&'a [usize]>, fill: &'a [u8] },
}

/// The value of an attribute: one of something, or a list.
#[derive(Clone)]
pub(crate) struct Attribute {
    pub is_scalar: bool,
    pub content: Content,
}

/// What an attribute holds.
#[derive(Clone)]
pub(crate) enum Content {
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Unsigned(Vec<u64>),
    Numbers(Vec<f64>),
    Truths(Vec<bool>),
    /// The dataset that a reference leads to.
    Reference(Dataset),
}

impl Attribute {
    /// A single value.
    pub fn one(content: Content) -> Self {
        Self { is_scalar: true, content }
    }

    /// A list of values.
    pub fn list(content: Content) -> Self {
        Self { is_scalar: false, content }
    }
}

/// A file whose container is open for reading.
pub(crate) struct Opened {
    pub root: Group,
    /// The same file for raw reads; it also holds the lock.
    pub raw: File,
    /// As the file was before anything of its container was read.
    pub state: FileState,
}

/// How the values of a dataset are had past its container.
pub(crate) struct Opening {
    /// The files; the first is that of the dataset itself.
    pub files: Vec<Arc<RawFile>>,
    /// Whether files may join that aren't there yet.
    pub may_grow: bool,
    pub way: Box<dyn Way>,
    /// Bytes of an element as it is read.
    pub element: usize,
    /// Those of them that are the value: all, but of records of which one field is wanted.
    pub value: Range<usize>,
    pub decoding: Decoding,
}

/// Where the values of a dataset lie, and how they are had.
pub(crate) struct ValuesNow {
    /// The files; the first is that of the dataset itself.
    pub files: Vec<Arc<RawFile>>,
    pub way: Box<dyn Way>,
}

/// Whatever is in a container.
pub(crate) trait Object: Any + Send + Sync {
    /// The path by which it was opened; empty if it has none.
    fn name(&self) -> String;
    /// The path of the file that it lies in.
    fn file_name(&self) -> PathBuf;
    /// Which object it is, if that can be told.
    fn id(&self) -> Option<ObjectId>;
    /// The root of the file that it lies in.
    ///
    /// # Errors
    /// If it can't be opened.
    fn root(&self) -> Result<Group, Refused>;
    /// How many links lead to it as a group's own.
    fn links(&self) -> Option<usize>;
    /// The names of its attributes.
    fn attribute_names(&self) -> Vec<String>;
    /// Whether it has an attribute of this name.
    fn has_attribute(&self, name: &str) -> bool;
    /// The value of an attribute, if it is one that anybody asks for here.
    fn attribute(&self, name: &str) -> Option<Attribute>;
    /// Gives it an attribute that it doesn't have yet.
    ///
    /// # Errors
    /// If it has, or can't be written.
    fn create_attribute(&self, name: &str, value: &Attribute) -> Result<(), Refused>;
    /// Takes an attribute away.
    ///
    /// # Errors
    /// If there is none, or it can't be written.
    fn remove_attribute(&self, name: &str) -> Result<(), Refused>;
    /// Whether a value of this kind can be written over that of an attribute, in place.
    fn can_overwrite(&self, name: &str, value: Fixed<'_>) -> bool;
    /// Writes a value over that of an attribute, in place if it can be, else in its stead.
    ///
    /// # Errors
    /// If it can't be written.
    fn overwrite(&self, name: &str, value: Fixed<'_>) -> Result<(), Refused>;
}

/// A value that always takes the same room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fixed<'a> {
    Integer(i64),
    /// At most 159 bytes of it.
    ShortText(&'a str),
}

/// Who refers to an object of the same file.
pub(crate) struct Referrer<'a> {
    /// What has the reference.
    pub object: &'a dyn Object,
    /// The attribute that it is in; none if it is among the values of a dataset.
    pub attribute: Option<&'a str>,
    /// The number of the object that it refers to.
    pub to: usize,
    /// Whether that could be read; if not, it may refer to anything.
    pub is_read: bool,
}

impl Referrer<'_> {
    /// In words; it was met at this path.
    pub fn told(&self, path: &str) -> String {
        let who = match self.attribute {
            Some(name) => format!("the attribute `{name}` of `{path}`"),
            None => format!("`{path}`"),
        };
        match self.is_read {
            true => format!("{who} refers to it"),
            false => format!("{who} has references that can't be read"),
        }
    }
}

/// A group of a container. Names may be paths, from here or from the root on.
pub(crate) trait GroupObject: Object {
    /// The names of its members.
    ///
    /// # Errors
    /// If they can't be read.
    fn member_names(&self) -> Result<Vec<String>, Refused>;
    /// Which object has this name, and what it is; `None` if no link of that name leads to one.
    fn member(&self, name: &str) -> Option<(ObjectId, Kind)>;
    /// How it leads to this member, if it has it.
    ///
    /// # Errors
    /// If that can't be read.
    fn link(&self, name: &str) -> Result<Option<Link>, Refused>;
    /// Whether it has a link of this name, wherever that leads.
    fn link_exists(&self, name: &str) -> bool;
    /// Opens a group.
    ///
    /// # Errors
    /// If there is none.
    fn group(&self, name: &str) -> Result<Group, Refused>;
    /// Opens a dataset.
    ///
    /// # Errors
    /// If there is none, or it is newer than we are.
    fn dataset(&self, name: &str) -> Result<Dataset, Refused>;
    /// Opens whatever object has this name.
    ///
    /// # Errors
    /// If there is none.
    fn object(&self, name: &str) -> Result<Arc<dyn Object>, Refused>;
    /// What is wrong with the way to `path`, if a link on it leads nowhere: `` `/a` is a link to …
    /// ``
    fn broken_link(&self, path: &str) -> Option<String>;
    /// Creates a group, and those on the way to it.
    ///
    /// # Errors
    /// If there is something of that name, or it can't be written.
    fn create_group(&self, name: &str) -> Result<Group, Refused>;
    /// Creates a dataset.
    ///
    /// # Errors
    /// If there is something of that name, or it can't be written.
    fn create_dataset(
        &self,
        name: &str,
        elements: &Elements,
        shape: &[usize],
        storing: Storing<'_>,
    ) -> Result<Dataset, Refused>;
    /// Creates a dataset with the elements and the shape of `like`, in chunks that are filtered,
    /// each filter a number and its settings. No chunk is stored yet; each element that isn't
    /// is `fill`.
    ///
    /// # Errors
    /// As [`Self::create_dataset`].
    fn create_filtered(
        &self,
        name: &str,
        like: &Dataset,
        chunk: &[usize],
        fill: &[u8],
        filters: &[(i32, &[u32])],
    ) -> Result<Dataset, Refused>;
    /// Takes a link away, and what it led to unless another does.
    ///
    /// # Errors
    /// If there is none, or it can't be written.
    fn unlink(&self, name: &str) -> Result<(), Refused>;
    /// Gives a link another name.
    ///
    /// # Errors
    /// If there is none, or it can't be written.
    fn relink(&self, name: &str, new: &str) -> Result<(), Refused>;
    /// Gives the object at `target` this name too.
    ///
    /// # Errors
    /// If there is none, or it can't be written.
    fn link_hard(&self, target: &str, name: &str) -> Result<(), Refused>;
    /// For each of some objects of the file whose root this is, who refers to it, in words; but for
    /// the references that are `ours`.
    fn referrers(
        &self,
        objects: &[&dyn Object],
        ours: &dyn Fn(&Referrer<'_>) -> bool,
    ) -> Vec<Option<String>>;
    /// Whether bytes of the file before the container's own move where its chunks lie.
    fn has_user_block(&self) -> bool;
}

/// A dataset of a container.
pub(crate) trait DatasetObject: Object {
    /// Its length along each axis; none of a single value.
    fn shape(&self) -> Vec<usize>;
    /// What its elements are.
    fn class(&self) -> Class;
    /// Bytes of an element as it is stored.
    fn element_bytes(&self) -> usize;
    /// How it stores its numbers; the error says what it holds instead.
    fn stored_type(&self) -> Result<StoredType, String>;
    /// How it stores its numbers, with the names of the fields if it holds records of numbers of
    /// one type; the error says what it holds instead.
    fn stored_record(&self) -> Result<(StoredType, Vec<String>), String>;
    /// The fields of its records; none if it holds anything else.
    ///
    /// # Errors
    /// Why they can't be read.
    fn record_fields(&self) -> Result<Vec<RecordField>, String>;
    /// Whether its elements are stored as these would be.
    ///
    /// # Errors
    /// If that can't be told.
    fn holds(&self, elements: &Elements) -> Result<bool, Refused>;
    /// Length of a chunk on each axis, if it has chunks.
    fn chunk(&self) -> Option<Vec<usize>>;
    /// Its chunks, if it has any, for people.
    fn chunking(&self) -> Option<Chunking>;
    /// Its filters, in the order in which a writer applies them.
    ///
    /// # Errors
    /// If they can't be told.
    fn filters(&self) -> Result<Vec<FilterInfo>, Refused>;
    /// Bytes that its values take in the file.
    fn storage_size(&self) -> u64;
    /// The value of an element that was never written, as it is stored.
    ///
    /// # Errors
    /// If it can't be told.
    fn fill_value(&self) -> Result<Vec<u8>, Refused>;
    /// How its values are had, or those of one `field` of its records. It lies in `file`, or in
    /// another that a link of this one leads to.
    ///
    /// # Errors
    /// If something is missing or cut off, or nothing can undo one of its filters.
    fn open_values(&self, file: OpenFile<'_>, field: Option<&str>) -> Result<Opening>;
    /// Where its values, or those of a field, lie now and how they are had; `None` if that can't be
    /// told.
    ///
    /// # Errors
    /// As [`Self::open_values`].
    fn values_now(&self, field: Option<&str>) -> Result<Option<ValuesNow>>;
    /// Paths of the datasets of its own file that it is put together from, if it is virtual.
    fn parts_here(&self) -> Vec<String>;
    /// Checks that everything can be had that it takes its data from, before its container reads
    /// it.
    ///
    /// # Errors
    /// If something is missing or can't be read, by its name.
    fn check_sources(&self) -> Result<()>;
    /// Where its bytes lie, if that never changes: in one stretch, or in unfiltered chunks of whole
    /// steps of its first axis, all of them stored. `positions_axes` of its axes, the first
    /// ones, are positions.
    fn place(&self, positions_axes: Option<usize>) -> Option<Place>;
    /// A part of its numbers as integers; of one or two axes, or all of it.
    ///
    /// # Errors
    /// If they can't be read as such.
    fn integers(&self, part: &Region) -> Result<Vec<i64>, Refused>;
    /// A part of its numbers as integers without a sign.
    ///
    /// # Errors
    /// As [`Self::integers`].
    fn unsigned(&self, part: &Region) -> Result<Vec<u64>, Refused>;
    /// A part of its numbers.
    ///
    /// # Errors
    /// As [`Self::integers`].
    fn numbers(&self, part: &Region) -> Result<Vec<f64>, Refused>;
    /// The first `most` texts, whatever kind of text it holds; none if one may be longer than
    /// `longest`, or they can't be read.
    fn texts(&self, most: usize, longest: usize) -> Vec<String>;
    /// Writes rows, steps of its first axis from `first` on, as it stores their elements.
    ///
    /// # Errors
    /// If they can't be written.
    fn write_rows(&self, first: u64, rows: &[u8]) -> Result<(), Refused>;
    /// Writes a chunk that is encoded already, without the filters whose bit is set in `mask`.
    ///
    /// # Errors
    /// If it can't be written.
    fn write_chunk(&self, start: &[u64], mask: u32, encoded: &[u8]) -> Result<(), Refused>;
    /// Gives another dataset of the same file all its attributes, and takes the other's place with
    /// the scales that are attached to it.
    ///
    /// # Errors
    /// If they can't be read or written.
    fn hand_over_attributes(&self, to: &Dataset) -> Result<(), Refused>;
    /// The scales of each axis, in the file's order; those that can't be opened are passed over.
    fn scales(&self) -> Vec<Vec<Dataset>>;
    /// Makes it a dimension scale.
    ///
    /// # Errors
    /// If it is one already, or can't be written.
    fn make_scale(&self, name: &str) -> Result<(), Refused>;
    /// Adds a scale to those of an axis.
    ///
    /// # Errors
    /// If there is no such axis, or it can't be written.
    fn attach(&self, axis: usize, scale: &Dataset) -> Result<(), Refused>;
}

/// A file while its metadata are changed: all of it happens, or nothing.
pub(crate) trait Change {
    /// The root of the file, with the changes so far.
    fn root(&self) -> &Group;
    /// Makes the changes happen. When this returns they are on stable storage, and the room of
    /// `old`, which nothing refers to any more, is given back.
    ///
    /// # Errors
    /// If they can't be written; the file then is as it was, or goes forward when it is opened
    /// next.
    fn commit(self: Box<Self>, old: &[Range<u64>]) -> Result<()>;
    /// Whether everything could be written so far; the container isn't told.
    ///
    /// # Errors
    /// The first failure.
    fn check(&self) -> Result<()>;
    /// What went wrong when something was refused: the disk's own error if there was one.
    fn error(&self, action: &'static str, refused: &Refused) -> Error;
}

/// A transaction: nothing is changed until it is committed.
pub(crate) struct Transaction(Box<dyn Change>);

impl Transaction {
    /// The changes that it makes.
    pub fn of(change: impl Change + 'static) -> Self {
        Self(Box::new(change))
    }

    /// The root of the file, with the changes so far.
    pub fn file(&self) -> &Group {
        self.0.root()
    }

    /// As [`Change::commit`], giving nothing back.
    ///
    /// # Errors
    /// As [`Change::commit`].
    pub fn commit(self) -> Result<()> {
        self.0.commit(&[])
    }

    /// As [`Change::commit`].
    ///
    /// # Errors
    /// As [`Change::commit`].
    pub fn commit_and_free(self, old: &[Range<u64>]) -> Result<()> {
        self.0.commit(old)
    }

    /// As [`Change::check`].
    ///
    /// # Errors
    /// As [`Change::check`].
    pub fn check(&self) -> Result<()> {
        self.0.check()
    }

    /// As [`Change::error`].
    pub fn error(&self, action: &'static str, refused: &Refused) -> Error {
        self.0.error(action, refused)
    }
}

/// A handle of a group.
#[derive(Clone)]
pub(crate) struct Group(Arc<dyn GroupObject>);

/// A handle of a dataset.
#[derive(Clone)]
pub(crate) struct Dataset(Arc<dyn DatasetObject>);

impl Group {
    pub(super) fn new(group: impl GroupObject) -> Self {
        Self(Arc::new(group))
    }
}

impl Dataset {
    pub(super) fn new(dataset: impl DatasetObject) -> Self {
        Self(Arc::new(dataset))
    }

    /// How many axes it has.
    pub fn ndim(&self) -> usize {
        self.shape().len()
    }

    /// How many elements it has.
    pub fn size(&self) -> usize {
        self.shape().iter().product()
    }

    /// All of it.
    pub fn whole(&self) -> Region {
        Region::whole(&region::lengths(&self.shape()))
    }

    /// How many rows are read at a time of a table that is read from one end to the other: few, so
    /// that their memory stays where it is, but whole chunks, since for any row its chunk is
    /// decoded, unless these are so long that they are decoded several times.
    pub fn rows_at_once(&self) -> usize {
        let chunk = self.chunk().and_then(|chunk| chunk.first().copied()).unwrap_or(1);
        FEW_ROWS.checked_next_multiple_of(chunk).map_or(MOST_ROWS, |rows| rows.min(MOST_ROWS))
    }
}

const FEW_ROWS: usize = 1 << 12;
const MOST_ROWS: usize = 1 << 20;

impl Deref for Group {
    type Target = dyn GroupObject;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Deref for Dataset {
    type Target = dyn DatasetObject;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Whatever is an object, or a handle of one.
pub(crate) trait AsObject {
    /// The object.
    fn as_object(&self) -> &dyn Object;
}

impl AsObject for Group {
    fn as_object(&self) -> &dyn Object {
        &*self.0
    }
}

impl AsObject for Dataset {
    fn as_object(&self) -> &dyn Object {
        &*self.0
    }
}

impl AsObject for dyn Object {
    fn as_object(&self) -> &dyn Object {
        self
    }
}

/// Whether both are the same object of the same file.
pub(crate) fn is_same(one: &(impl AsObject + ?Sized), other: &(impl AsObject + ?Sized)) -> bool {
    let id = one.as_object().id();
    id.is_some() && id == other.as_object().id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::Memory;

    #[test]
    fn tables_are_read_by_whole_chunks() {
        let memory = Memory::new();
        let at_once = |chunk: Option<&[usize]>| {
            let element = Elements::Number(ElementType::UInt8);
            let storing = Storing::Placed { chunk, fill: &[0] };
            let name = format!("{chunk:?}");
            let table = memory.root().create_dataset(&name, &element, &[3, 2], storing).unwrap();
            table.rows_at_once()
        };
        assert_eq!((at_once(None), at_once(Some(&[1, 2]))), (FEW_ROWS, FEW_ROWS));
        assert_eq!((at_once(Some(&[3000, 2])), at_once(Some(&[10_000, 1]))), (6000, 10_000));
        assert_eq!(
            (at_once(Some(&[1 << 30, 2])), at_once(Some(&[usize::MAX, 2]))),
            (MOST_ROWS, MOST_ROWS)
        );
    }
}

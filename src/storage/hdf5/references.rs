//! Who refers to an object: references may be anywhere in a file, and HDF5 keeps no list of them.
//!
//! All attributes and datasets whose type has references in it are read, through records, arrays
//! and lists of variable length. Not seen are references in other files, which HDF5 can't find
//! either.

use std::ffi::c_void;

use hdf5::{Attribute, Dataset, Dataspace, Datatype, Location, ObjectReference1};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::{h5a, h5d, h5p, h5r, h5s, h5t};

use super::super::container::{AsObject, Group, Object, Referrer};
use super::super::walk::{Visited, walk};
use super::handles::{as_own_dataset, own_location};
use super::library;
use super::variable_length;
use crate::region;

/// Bytes of a dataset of references that are read at a time.
const STEP: usize = 1 << 20;

/// For each of some objects, who refers to it, in words; but for the references that are `ours`.
pub(super) fn referrers(
    root: &Group,
    objects: &[Location],
    ours: &dyn Fn(&Referrer<'_>) -> bool,
) -> Vec<Option<String>> {
    let own = objects.iter().map(|object| object.reference::<ObjectReference1>(".").ok());
    // A plain reference is the address of its object, so that most need not be followed.
    let own = own.map(|reference| reference.as_ref().map(address)).collect();
    let mut search = Search { objects, own, ours, found: vec![None; objects.len()] };
    let home = root.id();
    search.look_at("/", root.as_object());
    walk(root, &mut |path, visited| {
        let object: &dyn Object = match &visited {
            Visited::Group(group) => group.as_object(),
            Visited::Dataset(dataset) => dataset.as_object(),
            Visited::Other(object) => &**object,
        };
        let is_here = object.id().zip(home.as_ref());
        if is_here.is_none_or(|(identity, home)| !identity.is_beside(home)) {
            return;
        }
        search.look_at(path, object);
        if let Some(dataset) = as_own_dataset(object) {
            search.look_into(path, object, dataset);
        }
    });
    search.found
}

fn address(reference: &ObjectReference1) -> [u8; 8] {
    // SAFETY: the type is HDF5's `hobj_ref_t` and nothing else, an integer of eight bytes.
    unsafe { std::mem::transmute_copy(reference) }
}

struct Search<'a> {
    objects: &'a [Location],
    own: Vec<Option<[u8; 8]>>,
    ours: &'a dyn Fn(&Referrer<'_>) -> bool,
    found: Vec<Option<String>>,
}

impl Search<'_> {
    /// Looks at the attributes of an object.
    fn look_at(&mut self, path: &str, whole: &dyn Object) {
        let Some(object) = own_location(whole) else { return };
        for name in object.attr_names().unwrap_or_default() {
            let Ok(attribute) = object.attr(&name) else { continue };
            let Some(datatype) = with_references(attribute.dtype()) else { continue };
            let mut met = vec![false; self.objects.len()];
            let read = read_attribute(&attribute, &datatype, |bytes| {
                self.meet(object, (&datatype, bytes), &mut met);
            });
            self.note(path, (whole, Some(&name)), (&met, read.is_ok()));
        }
    }

    /// Looks at the values of a dataset.
    fn look_into(&mut self, path: &str, whole: &dyn Object, dataset: &Dataset) {
        let Some(datatype) = with_references(dataset.dtype()) else { return };
        let mut met = vec![false; self.objects.len()];
        let read = read_dataset(dataset, &datatype, |bytes| {
            self.meet(dataset, (&datatype, bytes), &mut met);
        });
        self.note(path, (whole, None), (&met, read.is_ok()));
    }

    /// Notes who refers to those objects that were met, or to any if that couldn't be read.
    fn note(
        &mut self,
        path: &str,
        (object, attribute): (&dyn Object, Option<&str>),
        (met, is_read): (&[bool], bool),
    ) {
        for to in (0..met.len()).filter(|to| met[*to] || !is_read) {
            let referrer = Referrer { object, attribute, to, is_read };
            if !(self.ours)(&referrer) {
                self.found[to].get_or_insert_with(|| referrer.told(path));
            }
        }
    }

    /// Notes which objects are referred to by elements of a type that has references.
    fn meet(&self, object: &Location, (datatype, bytes): (&Datatype, &[u8]), met: &mut [bool]) {
        let size = datatype.size().max(1);
        // SAFETY: the id is a live type's.
        match hdf5::sync::sync(|| unsafe { h5t::H5Tget_class(datatype.id()) }) {
            h5t::H5T_class_t::H5T_REFERENCE => {
                bytes.chunks_exact(size).for_each(|bytes| self.meet_one(object, bytes, met));
            }
            h5t::H5T_class_t::H5T_COMPOUND => {
                for (offset, member) in members(datatype) {
                    for record in bytes.chunks_exact(size) {
                        let field = &record[offset..offset + member.size()];
                        self.meet(object, (&member, field), met);
                    }
                }
            }
            h5t::H5T_class_t::H5T_ARRAY => {
                if let Some(element) = element(datatype) {
                    self.meet(object, (&element, bytes), met);
                }
            }
            h5t::H5T_class_t::H5T_VLEN => {
                let Some(element) = element(datatype) else { return };
                for list in bytes.chunks_exact(size) {
                    self.meet(object, (&element, listed(list, element.size())), met);
                }
            }
            _ => {}
        }
    }

    fn meet_one(&self, object: &Location, reference: &[u8], met: &mut [bool]) {
        if reference.iter().all(|byte| *byte == 0) {
            return;
        }
        if let Ok(address) = <[u8; 8]>::try_from(reference) {
            for (own, met) in self.own.iter().zip(met) {
                *met |= *own == Some(address);
            }
            return;
        }
        let Some(found) = follow(object, reference) else { return };
        for (object, met) in self.objects.iter().zip(met) {
            *met |= library::is_same(&found, object);
        }
    }
}

/// The type, if there are references anywhere in it.
fn with_references(datatype: hdf5::Result<Datatype>) -> Option<Datatype> {
    let datatype = datatype.ok()?;
    // SAFETY: the id is a live type's.
    let has = hdf5::sync::sync(|| unsafe {
        h5t::H5Tdetect_class(datatype.id(), h5t::H5T_class_t::H5T_REFERENCE)
    });
    (has > 0).then_some(datatype)
}

/// The fields of a record that have references in them, and where they are.
fn members(datatype: &Datatype) -> Vec<(usize, Datatype)> {
    hdf5::sync::sync(|| {
        // SAFETY: the id is a live record type's, and has as many members as it says; each new id
        // goes to its only owner.
        unsafe {
            let count = h5t::H5Tget_nmembers(datatype.id()).max(0) as u32;
            let member = |number| {
                let member = owned(h5t::H5Tget_member_type(datatype.id(), number))?;
                Some((h5t::H5Tget_member_offset(datatype.id(), number), member))
            };
            (0..count).filter_map(member).collect::<Vec<_>>()
        }
    })
    .into_iter()
    .filter(|(_, member)| with_references(Ok(member.clone())).is_some())
    .collect()
}

/// The type that an array or a list is of.
fn element(datatype: &Datatype) -> Option<Datatype> {
    // SAFETY: the id is a live type's; the new one goes to its only owner.
    hdf5::sync::sync(|| unsafe { owned(h5t::H5Tget_super(datatype.id())) })
}

/// # Safety
/// The id, if it is one, is a type's that nobody else gives back.
unsafe fn owned(id: hid_t) -> Option<Datatype> {
    // SAFETY: as the caller says.
    unsafe { hdf5::from_id(hdf5::h5check(id).ok()?).ok() }
}

/// The elements of a list of variable length, as HDF5 has laid it into memory.
fn listed(list: &[u8], element: usize) -> &[u8] {
    let (length, place) = list.split_at(size_of::<usize>());
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, usize::from_ne_bytes);
    let (length, place) = (number(length), number(place));
    if length == 0 || place == 0 {
        return &[];
    }
    // SAFETY: HDF5 has written this `hvl_t`: as many elements as it says lie there until they are
    // reclaimed, which is after the whole buffer has been looked at.
    unsafe { std::slice::from_raw_parts(place as *const u8, length * element) }
}

/// What a reference to a region, or one of HDF5 1.12 and later, leads to.
fn follow(object: &Location, reference: &[u8]) -> Option<Location> {
    #[cfg(hdf5_1_12)]
    const REGION: h5r::H5R_type_t = h5r::H5R_type_t::H5R_DATASET_REGION1;
    #[cfg(not(hdf5_1_12))]
    const REGION: h5r::H5R_type_t = h5r::H5R_type_t::H5R_DATASET_REGION;
    let place: *const c_void = reference.as_ptr().cast();
    hdf5::sync::sync(|| {
        // SAFETY: the bytes are a reference of the kind that their number tells, and the new id
        // goes to its only owner.
        unsafe {
            let id = match reference.len() {
                #[cfg(hdf5_1_12)]
                h5r::H5R_REF_BUF_SIZE => {
                    // The bytes may lie anywhere, but a reference is to be aligned.
                    let aligned = std::ptr::read_unaligned(place.cast::<h5r::H5R_ref_t>());
                    h5r::H5Ropen_object(&raw const aligned, h5p::H5P_DEFAULT, h5p::H5P_DEFAULT)
                }
                _ => h5r::H5Rdereference2(object.id(), h5p::H5P_DEFAULT, REGION, place),
            };
            hdf5::from_id(hdf5::h5check(id).ok()?).ok()
        }
    })
}

fn read_attribute(
    attribute: &Attribute,
    datatype: &Datatype,
    look: impl FnOnce(&[u8]),
) -> hdf5::Result<()> {
    let space = attribute.space()?;
    let mut bytes = vec![0u8; space.size() * datatype.size()];
    let place = bytes.as_mut_ptr().cast();
    // SAFETY: the buffer holds every element in the attribute's own type.
    hdf5::sync::sync(|| unsafe {
        hdf5::h5check(h5a::H5Aread(attribute.id(), datatype.id(), place))
    })?;
    look(&bytes);
    // SAFETY: the place holds what was read of this type and space.
    hdf5::sync::sync(|| unsafe { variable_length::reclaim(datatype.id(), space.id(), place) });
    Ok(())
}

/// Reads a dataset box by box.
fn read_dataset(
    dataset: &Dataset,
    datatype: &Datatype,
    mut look: impl FnMut(&[u8]),
) -> hdf5::Result<()> {
    let shape = region::lengths(&dataset.shape());
    if shape.contains(&0) {
        return Ok(());
    }
    let extent = extent(&shape, (STEP / datatype.size().max(1)) as u64);
    let mut start = vec![0; shape.len()];
    loop {
        let ends = shape.iter().zip(&start).zip(&extent);
        let count: Vec<u64> = ends.map(|((all, at), step)| (*step).min(all - at)).collect();
        read_box(dataset, datatype, (&start, &count), &mut look)?;
        // The next box: the last axis goes on, or begins anew and the one before goes on.
        let Some(axis) =
            (0..shape.len()).rev().find(|axis| start[*axis] + extent[*axis] < shape[*axis])
        else {
            return Ok(());
        };
        start[axis] += extent[axis];
        start[axis + 1..].fill(0);
    }
}

/// How long the boxes are in which an array is read, of so many elements at most.
fn extent(shape: &[u64], most: u64) -> Vec<u64> {
    let mut left = most.max(1);
    let mut extent: Vec<u64> = shape
        .iter()
        .rev()
        .map(|length| {
            let step = left.min(*length).max(1);
            left = if step == *length { left / step } else { 1 };
            step
        })
        .collect();
    extent.reverse();
    extent
}

fn read_box(
    dataset: &Dataset,
    datatype: &Datatype,
    (start, count): (&[u64], &[u64]),
    look: &mut impl FnMut(&[u8]),
) -> hdf5::Result<()> {
    let elements = count.iter().product::<u64>() as usize;
    let (memory, file) = (Dataspace::try_new(elements)?, dataset.space()?);
    let mut bytes = vec![0u8; elements * datatype.size()];
    let place: *mut c_void = bytes.as_mut_ptr().cast();
    hdf5::sync::sync(|| {
        // SAFETY: start and count have one entry per axis and lie within the dataset, and the
        // buffer holds what they select, in the dataset's own type.
        unsafe {
            if !start.is_empty() {
                hdf5::h5check(h5s::H5Sselect_hyperslab(
                    file.id(),
                    h5s::H5S_seloper_t::H5S_SELECT_SET,
                    start.as_ptr(),
                    std::ptr::null(),
                    count.as_ptr(),
                    std::ptr::null(),
                ))?;
            }
            hdf5::h5check(h5d::H5Dread(
                dataset.id(),
                datatype.id(),
                memory.id(),
                file.id(),
                h5p::H5P_DEFAULT,
                place,
            ))
        }
    })?;
    look(&bytes);
    // SAFETY: the place holds what was read of this type and space.
    hdf5::sync::sync(|| unsafe { variable_length::reclaim(datatype.id(), memory.id(), place) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_hold_no_more_than_they_may() {
        for (shape, most, expected) in [
            (&[][..], 5, &[][..]),
            (&[10], 4, &[4]),
            (&[10], 40, &[10]),
            (&[3, 4, 5], 1, &[1, 1, 1]),
            (&[3, 4, 5], 7, &[1, 1, 5]),
            (&[3, 4, 5], 10, &[1, 2, 5]),
            (&[3, 4, 5], 40, &[2, 4, 5]),
            (&[3, 4, 5], 59, &[2, 4, 5]),
            (&[3, 4, 5], 60, &[3, 4, 5]),
        ] {
            assert_eq!(extent(shape, most), expected, "{shape:?} {most}");
        }
    }
}

//! HDF5 files through the door.

use super::super::file::open_read;
use super::super::marks::Marks;

/// The marks of `dataset` of a new file that `fill` has filled.
fn marks(fill: impl FnOnce(&hdf5::File)) -> (tempfile::TempDir, Option<Marks>) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("marks.h5");
    fill(&hdf5::File::create(&path).unwrap());
    let file = open_read(&path).unwrap();
    let marks = Marks::of(file.handle(), &file.dataset("marks").unwrap()).unwrap();
    (folder, marks)
}

fn all(marks: &Marks) -> Vec<u8> {
    let mut found = vec![7; marks.count() as usize];
    marks.read(0, &mut found).unwrap();
    for (first, end) in [(0, 1), (3, 5), (5, found.len())] {
        let mut part = vec![7; end - first];
        marks.read(first as u64, &mut part).unwrap();
        assert_eq!(part, found[first..end]);
    }
    found
}

#[test]
fn integers_and_truth_values_of_all_kinds_are_marks() {
    let numbers = [0i64, 1, 255, 256, -1, 3, 0, 65536];
    let expected = [0, 1, 255, 255, 255, 3, 0, 255];
    let (_folder, found) = marks(|file| {
        file.new_dataset_builder().with_data(&numbers).create("marks").unwrap();
    });
    assert_eq!(all(&found.unwrap()), expected);
    let (_folder, found) = marks(|file| {
        let builder = file.new_dataset_builder().with_data(&numbers).chunk([3]);
        builder.deflate(1).create("marks").unwrap();
    });
    assert_eq!(all(&found.unwrap()), expected);
    let truths = [true, false, false, true, true, false];
    let (_folder, found) = marks(|file| {
        file.new_dataset_builder().with_data(&truths).create("marks").unwrap();
    });
    assert_eq!(all(&found.unwrap()), truths.map(u8::from));
    let (_folder, found) = marks(|file| {
        file.new_dataset_builder().with_data(&[0.5f32; 6]).create("marks").unwrap();
    });
    assert!(found.is_none());
}

#[test]
fn an_array_is_read_as_it_lies_whatever_its_chunks() {
    let numbers: Vec<u16> = (0..210).collect();
    for chunk in [None, Some([2, 3, 4]), Some([5, 1, 7]), Some([1, 6, 2])] {
        let (_folder, found) = marks(|file| {
            let builder = file.new_dataset::<u16>().shape([5, 6, 7]);
            let created = match chunk {
                Some(chunk) => builder.chunk(chunk).create("marks"),
                None => builder.create("marks"),
            };
            created.unwrap().write_raw(&numbers).unwrap();
        });
        assert_eq!(all(&found.unwrap()), (0..210).collect::<Vec<u8>>(), "{chunk:?}");
    }
}

#[cfg(hdf5_1_12)]
#[test]
fn references_of_the_new_kind_are_followed() {
    use hdf5::{File, ObjectReference2};

    use super::{objects, references::referrers};

    let folder = tempfile::TempDir::new().unwrap();
    let file = File::create(folder.path().join("new.h5")).unwrap();
    let create = |name: &str| file.new_dataset::<f32>().shape([3]).create(name).unwrap();
    let datasets = [create("a"), create("b"), create("c")].map(|dataset| (**dataset).clone());
    let notes = file.create_group("notes").unwrap();
    let to_b: ObjectReference2 = file.reference("b").unwrap();
    notes.new_attr::<ObjectReference2>().create("to").unwrap().write_scalar(&to_b).unwrap();
    let listed: [ObjectReference2; 2] = ["notes", "c"].map(|name| file.reference(name).unwrap());
    let list = file.new_dataset::<ObjectReference2>().shape([2]).create("list").unwrap();
    list.write_raw(&listed).unwrap();
    let root = objects::group(&file);
    let all = referrers(&root, &datasets, &|_| false);
    let who = ["the attribute `to` of `/notes` refers to it", "`/list` refers to it"];
    assert_eq!(all, [None, Some(who[0].to_owned()), Some(who[1].to_owned())]);
    let others = referrers(&root, &datasets, &|referrer| {
        (referrer.attribute, referrer.to) == (Some("to"), 1)
    });
    assert_eq!(others, [None, None, Some(who[1].to_owned())]);
}

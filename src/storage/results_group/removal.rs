//! Deleting results groups: what goes with them, what would be left that refers to it, and doing
//! it, in the caller's transaction.
//!
//! An object goes with the last of the links that have it as their own, which is how HDF5 counts:
//! what a group shares with others stays where these have it, and its bytes are never given back.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::super::container::{Group, Kind, Link, Object, Referrer};
use super::super::object_id::ObjectId;
use super::super::open_file::OpenFile;
use super::super::refused::Refused;
use super::super::rows::Rows;
use super::super::walk::{Visited, walk};
use super::compress::room;
use super::datasets;

/// Paths of what a format has made of a results dataset elsewhere in its file.
pub(crate) type Belongings = fn(&Group, &Group, &str) -> Vec<String>;

/// Fewer bytes aren't worth a hole.
const WORTH_A_HOLE: u64 = 4096;

/// What goes when some results groups do.
pub(crate) struct Going {
    /// The links that are taken away.
    links: Vec<String>,
    /// What goes, with a path to it.
    pub objects: Vec<(String, Arc<dyn Object>)>,
    ids: HashSet<ObjectId>,
}

/// Who refers to something that goes, and stays.
pub(crate) struct Staying {
    /// The path of who refers to it.
    pub path: String,
    /// The path of what it refers to.
    pub to: String,
    /// In words.
    pub told: String,
}

impl Going {
    /// What goes when the groups at these paths do, each of which is its parent's own.
    ///
    /// # Errors
    /// If the container can't be read.
    pub fn of(file: &Group, belongings: Belongings, groups: &[String]) -> Result<Self, Refused> {
        let within = |path: &String| {
            groups
                .iter()
                .any(|other| path.starts_with(other) && path[other.len()..].starts_with('/'))
        };
        let mut links: Vec<String> = groups.iter().filter(|path| !within(path)).cloned().collect();
        for path in groups {
            let group = file.group(path)?;
            for dataset in datasets(&group) {
                links.extend(belongings(file, &group, &dataset));
            }
        }
        let mut going = Self { links, objects: Vec::new(), ids: HashSet::new() };
        going.count(file)?;
        Ok(going)
    }

    /// Goes through all links that are taken away, and those of the groups that go with them.
    fn count(&mut self, file: &Group) -> Result<(), Refused> {
        let mut counts: HashMap<ObjectId, usize> = HashMap::new();
        let mut left = self.links.clone();
        while let Some(path) = left.pop() {
            let Some((id, kind)) = file.member(&path) else { continue };
            let object = file.object(&path)?;
            let count = counts.entry(id.clone()).or_default();
            *count += 1;
            if object.links() != Some(*count) {
                continue;
            }
            if kind == Kind::Group {
                let group = file.group(&path)?;
                for name in group.member_names()? {
                    if group.link(&name)? == Some(Link::Own) {
                        left.push(format!("{path}/{name}"));
                    }
                }
            }
            self.ids.insert(id);
            self.objects.push((path, object));
        }
        Ok(())
    }

    /// Whether what is at a path goes.
    pub fn has(&self, file: &Group, path: &str) -> bool {
        file.member(path).is_some_and(|(id, _)| self.ids.contains(&id))
    }

    fn has_object(&self, object: &dyn Object) -> bool {
        object.id().is_some_and(|id| self.ids.contains(&id))
    }

    /// Who refers to something that goes, and stays.
    pub fn referred_to(&self, file: &Group) -> Vec<Staying> {
        let objects: Vec<&dyn Object> = self.objects.iter().map(|(_, object)| &**object).collect();
        let found = std::cell::RefCell::new(Vec::new());
        file.referrers(&objects, &|referrer: &Referrer<'_>| {
            if !self.has_object(referrer.object) {
                let (path, to) = (referrer.object.name(), self.objects[referrer.to].0.clone());
                let told = referrer.told(&path);
                found.borrow_mut().push(Staying { path, to, told });
            }
            true
        });
        found.into_inner()
    }

    /// Virtual datasets that are put together from something that goes, and stay.
    pub fn taken_by(&self, file: &Group) -> Vec<Staying> {
        let mut found = Vec::new();
        walk(file, &mut |path, visited| {
            let Visited::Dataset(dataset) = visited else { return };
            if self.has(file, path) {
                return;
            }
            let parts = dataset.parts_here().into_iter().filter(|part| self.has(file, part));
            found.extend(parts.map(|to| {
                let told = format!("`{path}` is put together from it");
                Staying { path: path.to_owned(), to, told }
            }));
        });
        found
    }

    /// Links by a path that lead to something that goes, and stay.
    pub fn led_to(&self, file: &Group) -> Vec<String> {
        let mut found = Vec::new();
        each_link(file, &mut |path, link, id| {
            if link == Link::Path && self.ids.contains(id) {
                found.push(path.to_owned());
            }
        });
        found.retain(|path| {
            let holder = path.rsplit_once('/').map_or("", |(holder, _)| holder);
            holder.is_empty() || !self.has(file, holder)
        });
        found
    }

    /// Lets these links go too.
    pub fn and_links(&mut self, links: Vec<String>) {
        self.links.extend(links);
    }

    /// Where the values of what goes lie.
    pub fn room(&self, file: &Group, opened: OpenFile<'_>) -> Vec<Range<u64>> {
        let values = self.objects.iter().flat_map(|(path, _)| {
            let dataset = file.dataset(path).ok().filter(|dataset| dataset.ndim() > 0);
            let rows = dataset.and_then(|dataset| Rows::by_first_axis(opened, &dataset).ok());
            rows.map(|rows| room(file, &rows)).unwrap_or_default()
        });
        values.filter(|room| room.end - room.start >= WORTH_A_HOLE).collect()
    }

    /// Takes the links away, in a transaction whose root this is.
    ///
    /// # Errors
    /// If they can't be.
    pub fn unlink(&self, file: &Group) -> Result<(), Refused> {
        for path in &self.links {
            match path.rsplit_once('/') {
                Some((holder, name)) if !holder.is_empty() => file.group(holder)?.unlink(name)?,
                _ => file.unlink(path.trim_start_matches('/'))?,
            }
        }
        Ok(())
    }
}

/// The paths to each object of a file by which it is a group's own.
pub(crate) fn own_paths(file: &Group) -> HashMap<ObjectId, Vec<String>> {
    let mut found: HashMap<ObjectId, Vec<String>> = HashMap::new();
    each_link(file, &mut |path, link, to| {
        if link == Link::Own {
            found.entry(to.clone()).or_default().push(path.to_owned());
        }
    });
    found
}

/// Calls `visit` with every link of the groups of a file that are one's own: its path, its kind,
/// and what it leads to.
fn each_link(file: &Group, visit: &mut impl FnMut(&str, Link, &ObjectId)) {
    let mut seen: HashSet<ObjectId> = file.id().into_iter().collect();
    let mut left = vec![(String::new(), file.clone())];
    while let Some((path, group)) = left.pop() {
        for name in group.member_names().unwrap_or_default() {
            let Ok(Some(link)) = group.link(&name) else { continue };
            let Some((id, kind)) = group.member(&name) else { continue };
            let path = format!("{path}/{name}");
            visit(&path, link, &id);
            if link == Link::Own
                && kind == Kind::Group
                && seen.insert(id)
                && let Ok(child) = group.group(&name)
            {
                left.push((path, child));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::container::{Elements, Storing};
    use crate::storage::memory::Memory;
    use pixelmill_core::element::ElementType;

    fn nothing(_: &Group, _: &Group, _: &str) -> Vec<String> {
        Vec::new()
    }

    /// A container with data, and two groups that have some.
    fn grouped() -> Memory {
        let memory = Memory::new();
        let floats = Elements::Number(ElementType::Float32);
        for path in ["data", "a/sum", "a/b/sum", "c/sum"] {
            memory.root().create_dataset(path, &floats, &[2], Storing::Late).unwrap();
        }
        memory
    }

    fn going(memory: &Memory, groups: &[&str]) -> Result<Vec<String>, Refused> {
        let groups: Vec<String> = groups.iter().map(|path| (*path).to_owned()).collect();
        let going = Going::of(memory.root(), nothing, &groups)?;
        let mut paths: Vec<String> = going.objects.into_iter().map(|(path, _)| path).collect();
        paths.sort();
        Ok(paths)
    }

    #[test]
    fn what_has_another_link_stays() {
        let memory = grouped();
        let all = ["/a", "/a/b", "/a/b/sum", "/a/sum"];
        assert_eq!(going(&memory, &["/a"]).unwrap(), all);
        assert_eq!(going(&memory, &["/a", "/a/b"]).unwrap(), all);
        memory.root().group("a").unwrap().link_hard("/data", "data").unwrap();
        memory.root().group("c").unwrap().link_hard("/a/sum", "other").unwrap();
        assert_eq!(going(&memory, &["/a"]).unwrap(), ["/a", "/a/b", "/a/b/sum"]);
        memory.root().link_hard("/a/b", "d").unwrap();
        assert_eq!(going(&memory, &["/a"]).unwrap(), ["/a"]);
        memory.root().link_hard("/a", "e").unwrap();
        assert!(going(&memory, &["/a"]).unwrap().is_empty());
    }

    #[test]
    fn links_by_a_path_are_told_and_can_go_too() {
        let memory = grouped();
        memory.link_soft("/a/sum", "/c/soft");
        memory.link_soft("/a/sum", "/a/soft");
        memory.link_soft("/data", "/c/other");
        let root = memory.root();
        let mut going = Going::of(root, nothing, &["/a".to_owned()]).unwrap();
        let led = going.led_to(root);
        assert_eq!(led, ["/c/soft"]);
        going.and_links(led);
        going.unlink(root).unwrap();
        assert_eq!(root.member_names().unwrap(), ["c", "data"]);
        assert_eq!(root.group("c").unwrap().member_names().unwrap(), ["other", "sum"]);
    }
}

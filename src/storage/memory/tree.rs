//! What is in a container in memory, as plain values, and what fails.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use super::super::container::{Attribute, Elements, Kind};
use super::super::object_id::{Home, ObjectId};
use super::super::refused::Refused;
use pixelmill_core::column_layout::Field;

/// Links that lead to links are followed so often at most.
const DEEPEST: usize = 16;

pub(super) struct Tree {
    pub number: u64,
    pub file: File,
    pub nodes: Mutex<Vec<Node>>,
    pub faults: Mutex<Vec<String>>,
}

#[derive(Clone)]
pub(super) struct Node {
    /// In their order; of what nobody asks for only the name.
    pub attributes: Vec<(String, Option<Attribute>)>,
    pub what: What,
}

#[derive(Clone)]
pub(super) enum What {
    Group(BTreeMap<String, Leads>),
    Dataset(Array),
}

#[derive(Clone)]
pub(super) enum Leads {
    To(usize),
    Path(String),
}

#[derive(Clone)]
pub(super) struct Array {
    pub elements: Elements,
    pub shape: Vec<usize>,
    pub chunk: Option<Vec<usize>>,
    pub fill: Vec<u8>,
    pub offset: u64,
    /// The nodes of the scales of each axis.
    pub scales: Vec<Vec<usize>>,
}

impl Array {
    pub fn bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() * self.elements.bytes()) as u64
    }

    /// The bytes of an element that are its value, or that of a field of a record.
    pub fn value(&self, field: Option<&str>) -> Range<usize> {
        let mut offset = 0;
        if let (Elements::Record(fields), Some(_)) = (&self.elements, field) {
            for Field { name, element } in fields {
                if name.as_deref() == field {
                    return offset..offset + element.size();
                }
                offset += element.size();
            }
        }
        0..self.elements.bytes()
    }
}

impl Node {
    pub fn group() -> Self {
        Self { attributes: Vec::new(), what: What::Group(BTreeMap::new()) }
    }

    pub fn links(&mut self) -> Option<&mut BTreeMap<String, Leads>> {
        match &mut self.what {
            What::Group(links) => Some(links),
            What::Dataset(_) => None,
        }
    }

    pub fn kind(&self) -> Kind {
        match self.what {
            What::Group(_) => Kind::Group,
            What::Dataset(_) => Kind::Dataset,
        }
    }
}

impl Tree {
    pub fn lock(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap()
    }

    /// Whether this may be done.
    pub fn check(&self, action: &str, path: &str) -> Result<(), Refused> {
        let name = format!("{action} {path}").trim_end().to_owned();
        let fails = self.faults.lock().unwrap().contains(&name);
        if fails { Err(format!("{name} fails").into()) } else { Ok(()) }
    }

    /// The node at a path from another on, and its own path.
    pub fn find(&self, from: &str, path: &str) -> Option<(usize, String)> {
        self.find_within(from, path, DEEPEST)
    }

    pub fn find_within(&self, from: &str, path: &str, depth: usize) -> Option<(usize, String)> {
        let whole = joined(from, path);
        let (mut node, mut way) = (0, String::new());
        for name in whole.split('/').filter(|name| !name.is_empty() && *name != ".") {
            let link = match &self.lock()[node].what {
                What::Group(links) => links.get(name)?.clone(),
                What::Dataset(_) => return None,
            };
            node = match link {
                Leads::To(node) => node,
                Leads::Path(target) => self.find_within(&way, &target, depth.checked_sub(1)?)?.0,
            };
            way = format!("{way}/{name}");
        }
        Some((node, if way.is_empty() { "/".to_owned() } else { way }))
    }

    /// A path that leads to a node.
    pub fn path_of(&self, node: usize) -> String {
        let nodes = self.lock();
        let mut ways = vec![(0, String::new())];
        while let Some((at, way)) = ways.pop() {
            if at == node {
                return way;
            }
            if let What::Group(links) = &nodes[at].what {
                ways.extend(links.iter().filter_map(|(name, link)| match link {
                    Leads::To(next) => Some((*next, format!("{way}/{name}"))),
                    Leads::Path(_) => None,
                }));
            }
        }
        String::new()
    }

    pub fn id(&self, node: usize) -> ObjectId {
        ObjectId::new(Home::Numbered(self.number), node.to_string())
    }
}

pub(super) fn joined(from: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{from}/{path}") }
}

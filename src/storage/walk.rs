//! Walking through the groups of a file, each object once, whatever links there are.
//!
//! Links to other files are followed.

use std::collections::HashSet;
use std::sync::Arc;

use super::container::{Dataset, Group, Kind, Object};
use super::object_id::ObjectId;

/// An object met on a walk.
pub(crate) enum Visited {
    Group(Group),
    Dataset(Dataset),
    /// A datatype with a name, which may have attributes.
    Other(Arc<dyn Object>),
}

/// A group on the way to where a walk is.
struct Level {
    group: Group,
    /// Length of its path.
    path: usize,
    /// Its members that are still to be visited.
    names: std::vec::IntoIter<String>,
}

impl Level {
    fn new(group: Group, path: usize) -> Self {
        let mut names = group.member_names().unwrap_or_default();
        names.sort();
        Self { group, path, names: names.into_iter() }
    }
}

/// Calls `visit` with the path of every object below `group`, parents first, in the
/// order of names. Objects that can't be opened (broken links) are passed over.
pub(crate) fn walk(group: &Group, visit: &mut impl FnMut(&str, Visited)) {
    let mut seen: HashSet<ObjectId> = group.id().into_iter().collect();
    let mut path = group.name();
    if path == "/" {
        path.clear();
    }
    // Groups may be nested deeper than a thread's stack can follow.
    let mut levels = vec![Level::new(group.clone(), path.len())];
    while let Some(level) = levels.last_mut() {
        path.truncate(level.path);
        let Some(name) = level.names.next() else {
            levels.pop();
            continue;
        };
        let group = level.group.clone();
        if level.names.len() == 0 {
            // A container may keep the whole path of each open group: of a long chain only the end
            // stays open.
            levels.pop();
        }
        let Some((id, kind)) = group.member(&name) else { continue };
        if !seen.insert(id) {
            continue;
        }
        path.push('/');
        path.push_str(&name);
        match kind {
            Kind::Group => {
                let Ok(child) = group.group(&name) else { continue };
                visit(&path, Visited::Group(child.clone()));
                levels.push(Level::new(child, path.len()));
            }
            Kind::Dataset => {
                if let Ok(dataset) = group.dataset(&name) {
                    visit(&path, Visited::Dataset(dataset));
                }
            }
            Kind::Other => {
                if let Ok(object) = group.object(&name) {
                    visit(&path, Visited::Other(object));
                }
            }
        }
    }
}

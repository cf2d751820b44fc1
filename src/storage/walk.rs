//! Walking through the groups of a file, each object once, whatever links there are.
//!
//! Links to other files are followed. An object is told from others by the file that it lies in, as the
//! system knows that, and its place in it: HDF5 numbers a file anew each time that it opens it.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use hdf5::{Dataset, Group, Location, LocationInfo, LocationType};

use super::file_state::FileId;
use super::{library, text, transaction};

/// Which file an object lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Home {
    Known(FileId),
    /// Opened otherwise than by us: HDF5's number for it.
    Numbered(u64),
}

impl Home {
    /// That of an object of which HDF5 says this; `open` opens it.
    fn of(info: &LocationInfo, open: impl FnOnce() -> Option<Location>) -> Self {
        // HDF5 gives no number twice.
        static KNOWN: LazyLock<Mutex<HashMap<u64, Home>>> = LazyLock::new(Mutex::default);
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = known().get(&info.fileno) {
            return *home;
        }
        let key = open().and_then(|object| transaction::key(&object));
        let home = key.map_or(Self::Numbered(info.fileno), Self::Known);
        known().insert(info.fileno, home);
        home
    }
}

/// Which object it is, the same by whatever path it is met.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ObjectId(Home, String);

impl ObjectId {
    /// That of the object with this name, relative to `location`, or of the location itself: `.`.
    pub fn of(location: &Location, name: &str) -> Option<Self> {
        let info = location.loc_info_by_name(name).ok()?;
        Some(Self::told(&info, location, name))
    }

    /// That of the object with this name, of which HDF5 says this.
    fn told(info: &LocationInfo, location: &Location, name: &str) -> Self {
        let home = Home::of(info, || library::open(location, name).ok());
        // The token itself can't be hashed; its digits can.
        Self(home, format!("{:?}", info.token))
    }

    /// Whether both objects lie in the same file.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// An object met on a walk.
pub(crate) enum Visited {
    Group(Group),
    Dataset(Dataset),
    /// A datatype with a name, which may have attributes.
    Other(Location),
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
    let mut seen: HashSet<ObjectId> = ObjectId::of(group, ".").into_iter().collect();
    let mut path = text::name(group);
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
            // HDF5 keeps the whole path of each open group: of a long chain only the end stays open.
            levels.pop();
        }
        let Ok(info) = group.loc_info_by_name(&name) else { continue };
        if !seen.insert(ObjectId::told(&info, &group, &name)) {
            continue;
        }
        path.push('/');
        path.push_str(&name);
        match info.loc_type {
            LocationType::Group => {
                let Ok(child) = group.group(&name) else { continue };
                visit(&path, Visited::Group(child.clone()));
                levels.push(Level::new(child, path.len()));
            }
            LocationType::Dataset => {
                if let Ok(dataset) = group.dataset(&name) {
                    visit(&path, Visited::Dataset(dataset));
                }
            }
            _ => {
                if let Ok(object) = library::open(&group, &name) {
                    visit(&path, Visited::Other(object));
                }
            }
        }
    }
}

/// What is wrong with the way to `path`, if a link on it leads nowhere: `` `/a` is a link to … ``
pub(crate) fn broken_link(root: &Group, path: &str) -> Option<String> {
    let mut group = root.clone();
    let mut way = String::new();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        way = format!("{way}/{name}");
        match library::open(&group, name) {
            Ok(object) => group = object.as_group().ok()?,
            Err(error) => {
                let target = library::link_target(&group, name)?;
                return Some(format!("`{way}` is a link to {}", lost(&target, &error)));
            }
        }
    }
    None
}

fn lost((file, path): &(Option<String>, String), error: &hdf5::Error) -> String {
    let Some(file) = file else { return format!("`{path}`, which isn't there") };
    if library::says(error, "unable to open external file") {
        return format!("`{path}` of {file}, which isn't there, or can't be read");
    }
    format!("`{path}` of {file}, which isn't there, though the file is")
}

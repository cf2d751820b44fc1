//! Walking through the groups of a file, each object once, whatever links there are.

use std::collections::HashSet;

use hdf5::{Dataset, Group, Location, LocationInfo, LocationType};

/// Which object it is, the same by whatever path it is met.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity(String);

impl Identity {
    /// That of the object with this name, relative to `location`, or of the location itself: `.`.
    pub fn of(location: &Location, name: &str) -> Option<Self> {
        location.loc_info_by_name(name).ok().map(|info| Self::from(&info))
    }
}

impl From<&LocationInfo> for Identity {
    fn from(info: &LocationInfo) -> Self {
        // The token itself can't be hashed; its digits can.
        Self(format!("{:?}", (info.fileno, info.token)))
    }
}

/// An object met on a walk.
pub(crate) enum Visited {
    Group(Group),
    Dataset(Dataset),
}

/// Calls `visit` with the path of every group and dataset below `group`, parents first, in the
/// order of names. Objects that can't be opened (broken links) are passed over.
pub(crate) fn walk(group: &Group, visit: &mut impl FnMut(&str, Visited)) {
    let mut seen = HashSet::new();
    let path = if group.name() == "/" { String::new() } else { group.name() };
    descend(group, &path, &mut seen, visit);
}

fn descend(
    group: &Group,
    path: &str,
    seen: &mut HashSet<Identity>,
    visit: &mut impl FnMut(&str, Visited),
) {
    let mut names = group.member_names().unwrap_or_default();
    names.sort();
    for name in names {
        let Ok(info) = group.loc_info_by_name(&name) else { continue };
        if !seen.insert(Identity::from(&info)) {
            continue;
        }
        let below = format!("{path}/{name}");
        match info.loc_type {
            LocationType::Group => {
                let Ok(child) = group.group(&name) else { continue };
                visit(&below, Visited::Group(child.clone()));
                descend(&child, &below, seen, visit);
            }
            LocationType::Dataset => {
                if let Ok(dataset) = group.dataset(&name) {
                    visit(&below, Visited::Dataset(dataset));
                }
            }
            _ => {}
        }
    }
}

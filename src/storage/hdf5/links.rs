//! Links that lead nowhere.

use hdf5::Group;

use super::library;

/// What is wrong with the way to `path`, if a link on it leads nowhere: `` `/a` is a link to … ``
pub(super) fn broken_link(root: &Group, path: &str) -> Option<String> {
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

//! The answer of `remove`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::Group;
use crate::engine::{GoingGroup, Removal};

/// Results groups that were removed, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The file, as it was named.
    pub file: String,
    /// Whether they are removed; if not, it was only asked what would be, or somebody has said no.
    pub removed: bool,
    /// The group that was named, and those that depend on it.
    pub removes: Vec<Removed>,
    /// Links by a path that lead into them, and are removed with them.
    pub links: Vec<String>,
    /// Who else refers to them, in words: while there is anybody, nothing is removed.
    pub obstacles: Vec<String>,
    /// Bytes that their values take in the file.
    pub bytes: u64,
}

/// A results group that goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// In what it depends on those before it, in words; null for the one that was named.
    pub depends: Option<String>,
    /// Bytes that its values take in the file.
    pub bytes: u64,
    /// What it is.
    pub state: Group,
}

impl Remove {
    /// What goes, and whether it has gone.
    pub fn of(removal: &Removal, removed: bool) -> Self {
        Self {
            file: removal.file.to_string_lossy().into_owned(),
            removed,
            removes: removal.groups.iter().map(Removed::from).collect(),
            links: removal.links.clone(),
            obstacles: removal.obstacles.clone(),
            bytes: removal.bytes,
        }
    }
}

impl From<&GoingGroup> for Removed {
    fn from(group: &GoingGroup) -> Self {
        Self { depends: group.because.clone(), bytes: group.bytes, state: (&group.overview).into() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::group;
    use super::super::tests::printed;
    use super::*;

    #[test]
    fn what_goes_says_what_it_depends_on() {
        let going = |because: Option<&str>| GoingGroup {
            overview: group(),
            bytes: 8,
            because: because.map(str::to_owned),
        };
        let removal = Removal {
            file: "a.h5".into(),
            groups: vec![going(None), going(Some("lies in /d-Sum_000"))],
            links: vec!["/best".to_owned()],
            obstacles: Vec::new(),
            bytes: 16,
        };
        let line = printed(&Remove::of(&removal, true));
        let begin =
            r#"{"file":"a.h5","removed":true,"removes":[{"depends":null,"bytes":8,"state":{"#;
        assert!(line.starts_with(begin), "{line}");
        assert!(line.contains(r#"{"depends":"lies in /d-Sum_000","bytes":8,"#), "{line}");
        assert!(line.ends_with(r#""links":["/best"],"obstacles":[],"bytes":16}"#), "{line}");
    }
}

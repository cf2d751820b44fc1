//! The answer of `status --command`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How results groups are made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// One for each group, in the order in which they have to be made.
    pub commands: Vec<Command>,
}

/// How a results group is made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Its path.
    pub group: String,
    /// The file that it is in.
    pub file: String,
    /// What it is, and what has to be known besides.
    pub notes: Vec<String>,
    /// The command line, as a shell reads it; null if there is none that makes it.
    pub command: Option<String>,
    /// The same word by word, without the program; null if there is none.
    pub arguments: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;

    #[test]
    fn what_no_command_makes_is_null() {
        let command = |command: Option<&str>| Command {
            group: "/d-Sum_000".to_owned(),
            file: "a.h5".to_owned(),
            notes: vec!["/d-Sum_000 of a.h5".to_owned()],
            command: command.map(str::to_owned),
            arguments: command.map(|line| line.split(' ').skip(1).map(str::to_owned).collect()),
        };
        let commands = Commands { commands: vec![command(Some("pixelmill run")), command(None)] };
        assert_eq!(
            printed(&commands),
            r#"{"commands":[{"group":"/d-Sum_000","file":"a.h5","notes":["/d-Sum_000 of a.h5"],"command":"pixelmill run","arguments":["run"]},{"group":"/d-Sum_000","file":"a.h5","notes":["/d-Sum_000 of a.h5"],"command":null,"arguments":null}]}"#
        );
    }
}

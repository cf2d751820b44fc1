//! Parameters as they were given: `-p key=value` and `--params FILE`.

use std::path::Path;

use serde_json::{Map, Value};

use super::arguments::WhatArguments;
use crate::storage::open_file::other_than_file;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::parameters::ParameterInfo;
use pixelmill_core::registry::Runner;

/// The parameters of a process; what `-p` says goes before what the file says.
///
/// # Errors
/// If the file can't be read, or a parameter has no value.
pub(crate) fn parameters(runner: &dyn Runner, typed: &WhatArguments) -> Result<Map<String, Value>> {
    let name = runner.command_name();
    let mut of_each = parameters_of_each(&[(&name, runner)], typed)?;
    Ok(of_each.remove(0))
}

/// The same of several processes that are called so: `masks.radius` is a parameter of `masks`, and
/// `radius` one of the only one that has it. A file may have a table for each.
///
/// # Errors
/// As above, or if it isn't clear whose parameter one is.
pub(crate) fn parameters_of_each(
    named: &[(&str, &dyn Runner)],
    typed: &WhatArguments,
) -> Result<Vec<Map<String, Value>>> {
    let mut of_each = vec![Map::new(); named.len()];
    if let Some(file) = &typed.params {
        let argument = format!("--params {}", file.display());
        for (name, value) in from_file(file)? {
            match (value, owner_of(named, &name)) {
                (Value::Object(table), Some(owner)) => of_each[owner].extend(table),
                (value, _) => {
                    let (owner, name) = belongs(named, &name, &argument)?;
                    of_each[owner].insert(name, value);
                }
            }
        }
    }
    for pair in &typed.parameters {
        let name_and_text = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        let (name, text) = name_and_text.ok_or_else(|| Error::Argument {
            argument: format!("-p {pair}"),
            reason: "it has to be KEY=VALUE".to_owned(),
        })?;
        let (owner, name) = belongs(named, name.trim(), &format!("-p {pair}"))?;
        let known = named[owner].1.parameters();
        let info = known.iter().find(|info| info.name == name);
        let value = value(text.trim(), info);
        of_each[owner].insert(name, value);
    }
    Ok(of_each)
}

/// Which of them is called so, by its own name or by that of its process.
fn owner_of(named: &[(&str, &dyn Runner)], name: &str) -> Option<usize> {
    let plain = name.replace('_', "-");
    let by_name = named.iter().position(|(own, _)| *own == name || own.replace('_', "-") == plain);
    by_name.or_else(|| {
        let is_of = |(_, runner): &(&str, &dyn Runner)| {
            runner.name() == name || runner.command_name() == plain
        };
        named.iter().position(is_of).filter(|first| !named[first + 1..].iter().any(is_of))
    })
}

/// Whose parameter one is, and what it is called there.
fn belongs(named: &[(&str, &dyn Runner)], name: &str, argument: &str) -> Result<(usize, String)> {
    let own = name.split_once('.').and_then(|(of, name)| Some((owner_of(named, of)?, name)));
    if let Some((owner, name)) = own {
        return Ok((owner, name.replace('-', "_")));
    }
    let has_it = |(_, runner): &(&str, &dyn Runner)| {
        runner.parameters().iter().any(|info| info.name == name)
    };
    let owners: Vec<&str> = named.iter().filter(|of| has_it(of)).map(|(name, _)| *name).collect();
    let refused = |reason| Err(Error::Argument { argument: argument.to_owned(), reason });
    match (owners.as_slice(), named.len()) {
        (_, 1) => Ok((0, name.to_owned())),
        ([_], _) => Ok((named.iter().position(has_it).unwrap_or(0), name.to_owned())),
        ([], _) => {
            let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
            refused(format!("none of {} has a parameter `{name}`", names.join(", ")))
        }
        (owners, _) => {
            let names: Vec<String> = owners.iter().map(|owner| format!("{owner}.{name}")).collect();
            refused(format!("it has to be clear whose: {}", names.join(" or ")))
        }
    }
}

fn from_file(file: &Path) -> Result<Map<String, Value>> {
    let (text, is_toml) = text_of(file, "--params")?;
    parsed(&text, is_toml).map_err(|reason| Error::Argument {
        argument: format!("--params {}", file.display()),
        reason: format!("it can't be read as parameters: {reason}"),
    })
}

/// What a file that an option names says, and whether it is TOML.
///
/// # Errors
/// If it can't be read.
pub(crate) fn text_of(file: &Path, option: &str) -> Result<(String, bool)> {
    // A pipe without a name, of `<(…)`, has somebody at its other end.
    let found = other_than_file(file).filter(|_| file.canonicalize().is_ok());
    if let Some(found) = found {
        let (argument, reason) =
            (format!("{option} {}", file.display()), format!("{found}, not a file"));
        return Err(Error::Argument { argument, reason });
    }
    let text = std::fs::read_to_string(file).map_err(|error| Error::io("read", file, error))?;
    Ok((text, file.extension().is_some_and(|extension| extension == "toml")))
}

/// What a file with parameters says.
///
/// # Errors
/// What can't be understood.
pub(crate) fn parsed(text: &str, is_toml: bool) -> Result<Map<String, Value>, String> {
    if is_toml {
        return toml::from_str(text).map_err(|error| error.message().to_owned());
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// What a typed text means: JSON where it is JSON, text otherwise, and always text for a parameter
/// that is one.
pub(crate) fn value(text: &str, info: Option<&ParameterInfo>) -> Value {
    if info.is_some_and(|info| info.kind == "text") {
        return Value::from(text);
    }
    // A choice may be called none.
    if info.is_some_and(|info| info.kind.split(" | ").any(|choice| choice == text)) {
        return Value::from(text);
    }
    match text {
        "none" | "None" => Value::Null,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        _ => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_as_people_type_them() {
        for (text, expected) in [
            ("20", json!(20)),
            ("2.5e3", json!(2500.0)),
            ("none", Value::Null),
            ("true", json!(true)),
            ("[1, 2]", json!([1, 2])),
            ("linear", json!("linear")),
        ] {
            assert_eq!(value(text, None), expected, "{text}");
        }
    }
}

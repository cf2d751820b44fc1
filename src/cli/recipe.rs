//! `pixelmill status --command`: the command lines that make results again, as a shell reads them.
//!
//! Each is read again as if it had been typed, and compared with what the group has recorded, so
//! that what is printed makes the very same results, or says why it doesn't.

use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;

use super::arguments::Command;
use super::run::request;
use super::steps::Steps;
use super::{Answer, Ending, Face, given, said, spelled};
use crate::engine::{self, Recipe};
use crate::wire;
use pixelmill_core::error::Result;
use pixelmill_core::parameters::ParameterInfo;
use pixelmill_core::registry::{self, Runner};

/// The commands that make the results groups of a file, or one of them.
pub(crate) fn commands(
    registry: &[&dyn Runner],
    file: &Path,
    group: Option<&str>,
) -> Result<Answer> {
    let recipes = engine::recipes(file, group)?;
    let commands: Vec<wire::Command> =
        recipes.iter().map(|recipe| command(registry, recipe)).collect();
    // Those that others are computed from stand before what was asked for.
    let can_be_made = commands.iter().all(|command| command.command.is_some());
    let ending = if can_be_made { Ending::Done } else { Ending::Failed };
    let json = Some(wire::Answer::Commands(wire::Commands { commands }));
    Ok(Answer { ending, text: String::new(), json })
}

/// The commands as a script.
pub(crate) fn script(commands: &wire::Commands) -> String {
    let mut text = String::new();
    for command in &commands.commands {
        for note in &command.notes {
            text.push_str(&format!(
                "# {}\n",
                note.split_whitespace().collect::<Vec<_>>().join(" ")
            ));
        }
        command.command.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    text
}

fn command(registry: &[&dyn Runner], recipe: &Recipe) -> wire::Command {
    let overview = &recipe.overview;
    let of = |arguments: Option<Vec<String>>, more: Option<String>| {
        let head = format!("{} of {}", overview.path, recipe.file.display());
        let told = recipe.notes.iter().cloned().chain(more);
        let program = std::env::args_os().next().unwrap_or_else(|| "pixelmill".into());
        let program = program.to_string_lossy().into_owned();
        let line = arguments.as_ref().map(|arguments| {
            let words = std::iter::once(&program).chain(arguments);
            words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
        });
        wire::Command {
            group: overview.path.clone(),
            file: recipe.file.to_string_lossy().into_owned(),
            notes: std::iter::once(head).chain(told).collect(),
            command: line,
            arguments,
        }
    };
    let runner = match runner(registry, recipe) {
        Ok(runner) => runner,
        Err(reason) => return of(None, Some(reason)),
    };
    let arguments = match arguments(runner, recipe) {
        Ok(arguments) => arguments,
        Err(reason) => return of(None, Some(reason)),
    };
    let mut other = other(registry, recipe, &arguments);
    if other.is_none()
        && overview.completed < Some(overview.positions)
        && recipe.positions.is_none()
    {
        let done = overview.completed.unwrap_or(0);
        other = Some(format!("so far {done} of its {} positions are computed", overview.positions));
    }
    of(Some(arguments), other)
}

/// Who computed a group, or why no command does it again.
fn runner<'r>(registry: &[&'r dyn Runner], recipe: &Recipe) -> Result<&'r dyn Runner, String> {
    let process = &recipe.overview.process;
    if recipe.is_python {
        return Err(format!(
            "made by `{process}` in Python: no command makes it again, but the same call there \
             does"
        ));
    }
    if recipe.overview.parameter_hash.is_empty() {
        return Err(format!(
            "made by `{process}` of another program, which doesn't record all that it depends on: \
             no command makes it again"
        ));
    }
    let found = registry::find(registry, process);
    let runner = found.map_err(|error| {
        format!("no command makes it again: {}", said(&error, Face::CommandLine))
    })?;
    let (made, now) = (recipe.version.unwrap_or_default(), u64::from(runner.version()));
    if made != now {
        return Err(format!(
            "made by version {made} of {process}, while this program has version {now}, whose \
             results are others"
        ));
    }
    Ok(runner)
}

/// What has to be typed, without the program's name.
fn arguments(runner: &dyn Runner, recipe: &Recipe) -> Result<Vec<String>, String> {
    let missing = "its source isn't where it was; give the command for it once it is there again";
    let file = typed_name(recipe.source_file.as_ref().ok_or(missing)?)?;
    let mut words = vec!["run".to_owned(), runner.command_name(), not_an_option(file)];
    let mut option = |name: &str, value: Option<String>| {
        let Some(value) = value else { return };
        if value.starts_with('-') {
            words.push(format!("--{name}={value}"));
        } else {
            words.extend([format!("--{name}"), value]);
        }
    };
    option("dataset", recipe.dataset.clone());
    option("field", recipe.field.clone());
    let axes = recipe.positions_axes.as_ref().map(|axes| match axes.as_slice() {
        [] => "none".to_owned(),
        axes => axes.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
    });
    option("positions-axes", axes);
    option("crop", recipe.crop.clone());
    option("along", recipe.along.clone());
    option("dark", recipe.corrections.dark.clone());
    option("gain", recipe.corrections.gain.clone());
    option("dead-pixels", recipe.corrections.dead_pixels.clone());
    option("positions", recipe.positions.clone());
    option("output", recipe.is_apart.then(|| typed_name(&recipe.file)).transpose()?);
    if recipe.allow_rounding {
        words.push("--allow-rounding".to_owned());
    }
    for info in runner.parameters() {
        let recorded = recipe.overview.parameters.get(&info.name).unwrap_or(&info.default);
        if !is_same(recorded, &info.default) {
            let text = typed(recorded, &info)
                .ok_or_else(|| format!("its parameter `{}` can't be typed", info.name))?;
            words.extend(["-p".to_owned(), format!("{}={text}", info.name)]);
        }
    }
    Ok(words)
}

/// Whether two values are the same, though one number may be written as 0 and the other as 0.0.
fn is_same(recorded: &Value, default: &Value) -> bool {
    let bits = |value: &Value| value.as_f64().map(f64::to_bits);
    recorded == default || default.is_f64() && bits(recorded) == bits(default)
}

/// The text that is read as this value of a parameter.
fn typed(value: &Value, info: &ParameterInfo) -> Option<String> {
    let plain = value.as_str().map(str::to_owned);
    let written = Some(value.to_string());
    let nothing = value.is_null().then(|| "none".to_owned());
    let candidates = [plain, nothing, written].into_iter().flatten();
    let mut fit = candidates.filter(|text| given::value(text.trim(), Some(info)) == *value);
    fit.next()
}

/// In what the group that this makes isn't the one that is there, if it is another.
fn other(registry: &[&dyn Runner], recipe: &Recipe, arguments: &[String]) -> Option<String> {
    let words = std::iter::once("pixelmill").chain(arguments.iter().map(String::as_str));
    let typed = match spelled::parsed(registry, words.map(OsString::from).collect()) {
        Ok(parsed) => parsed.command,
        Err(refused) => return Some(format!("this can't be typed: {refused}")),
    };
    let Command::Run(typed) = typed else { return None };
    let asked = Steps::of(registry, &typed).and_then(|steps| {
        let request = request(&steps.file, &typed);
        steps.asked(&[0], &request, &[])
    });
    let difference = asked.and_then(|asked| {
        engine::recorded_difference(&asked[0], &recipe.file, &recipe.overview.path)
    });
    match difference {
        Ok(difference) => difference.map(|text| format!("it makes other results now: {text}")),
        Err(error) => {
            Some(format!("it can't be computed now: {}", said(&error, Face::CommandLine)))
        }
    }
}

/// A name of a file as text, which a command line is printed as.
fn typed_name(file: &Path) -> Result<String, String> {
    let name = file.to_str().map(str::to_owned);
    name.ok_or_else(|| format!("the name of {} isn't UTF-8, and can't be printed", file.display()))
}

/// A name of a file that isn't taken for an option.
fn not_an_option(file: String) -> String {
    if file.starts_with('-') { format!("./{file}") } else { file }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_something_else() {
        for (word, expected) in [
            ("/a/b-c_0.h5", "/a/b-c_0.h5"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("[0:4,9:10]", "'[0:4,9:10]'"),
            ("3,5;12,40", "'3,5;12,40'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn values_are_typed_so_that_they_are_read_as_they_are() {
        let info = |kind: &str| ParameterInfo {
            name: "key".to_owned(),
            kind: kind.to_owned(),
            unit: None,
            default: Value::Null,
            range: (None, None),
            help: String::new(),
        };
        for (kind, value, expected) in [
            ("number", json!(20.5), Some("20.5")),
            ("number or none", Value::Null, Some("none")),
            ("text", json!("5"), Some("5")),
            ("text or none", json!("/a"), Some("/a")),
            ("text or none", json!("5"), Some("\"5\"")),
            ("text or none", json!("none"), Some("\"none\"")),
            ("text", json!(" a"), None),
            ("none | linear", json!("none"), Some("none")),
            ("list or none", json!([1, 2.5]), Some("[1,2.5]")),
            ("true/false", json!(true), Some("true")),
        ] {
            assert_eq!(typed(&value, &info(kind)).as_deref(), expected, "{kind} {value}");
        }
    }
}

//! `--key value` for a parameter of the process, as if `-p key=value` had been typed; of several
//! processes also `--process.key value`.
//!
//! What the options of a command are is known when this is compiled, the parameters only with the
//! process; so this comes before the arguments are parsed. An option of the command goes before a
//! parameter of the same name.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::arguments::Arguments;
use pixelmill_core::registry::{Runner, find};

/// What was typed, as arguments. An option whose value may be left out takes the next word for it,
/// though that be the process or the file: if they are missing then, it is meant without one.
pub(crate) fn parsed(
    registry: &[&dyn Runner],
    typed: Vec<OsString>,
) -> Result<Arguments, clap::Error> {
    let mut typed = spelled_out(registry, typed);
    Arguments::try_parse_from(&typed).or_else(|refused| {
        let is_picture = |word: &OsString| word.to_string_lossy().to_lowercase().ends_with(".png");
        let plot = typed.windows(2).position(|pair| pair[0] == "--plot" && !is_picture(&pair[1]));
        let Some(at) = plot.filter(|_| refused.kind() == ErrorKind::MissingRequiredArgument) else {
            return Err(refused);
        };
        let plot = typed.remove(at);
        typed.push(plot);
        Arguments::try_parse_from(typed).map_err(|_| refused)
    })
}

/// The arguments with `-p key=value` for every `--key value` and `--key=value` that names a
/// parameter.
fn spelled_out(registry: &[&dyn Runner], typed: Vec<OsString>) -> Vec<OsString> {
    let names = parameter_names(registry, &typed);
    let mut spelled = Vec::with_capacity(typed.len());
    let mut rest = typed.into_iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_str().and_then(|text| text.strip_prefix("--")).unwrap_or_default();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.into())),
            None => (text, None),
        };
        let name = name.replace('-', "_");
        if !names.contains(&name) {
            spelled.push(argument);
        } else if let Some(value) = value.or_else(|| rest.next()) {
            let mut pair = OsString::from(name);
            pair.push("=");
            pair.push(value);
            spelled.extend(["-p".into(), pair]);
        } else {
            spelled.push(argument);
        }
    }
    spelled
}

/// The parameters of the processes that are named, without those that are options of the command;
/// none for a command that takes no parameters.
fn parameter_names(registry: &[&dyn Runner], typed: &[OsString]) -> Vec<String> {
    let words = || typed.iter().skip(1).filter_map(|argument| argument.to_str());
    let mut root = Arguments::command();
    root.build();
    let command = words().find_map(|word| root.find_subcommand(word));
    let known = |word: &str| -> Vec<&dyn Runner> {
        word.split(',').filter_map(|name| find(registry, name).ok()).collect()
    };
    let processes = words().map(known).find(|found| !found.is_empty());
    let (Some(command), Some(processes)) = (command, processes) else { return Vec::new() };
    let options: Vec<&str> =
        command.get_arguments().filter_map(|option| option.get_long()).collect();
    if !options.contains(&"parameter") {
        return Vec::new();
    }
    let mut names = Vec::new();
    for process in processes {
        let command_name = process.command_name().replace('-', "_");
        for name in process.parameters().into_iter().map(|info| info.name) {
            names.push(format!("{command_name}.{name}"));
            names.push(format!("{}.{name}", process.name()));
            if !options.contains(&name.replace('_', "-").as_str()) {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Command;
    use super::*;
    use pixelmill_core::failure::Failure;
    use pixelmill_core::process::{Parameters, Process, Results, Spectrum};
    use pixelmill_core::registry::runner;
    use pixelmill_core::source_info::SourceInfo;

    /// Parameters of which one has the name of an option.
    #[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Given {
        first_guess: Option<String>,
        memory: u32,
    }

    impl Parameters for Given {}

    struct Fit;

    impl Process for Fit {
        const NAME: &'static str = "Fit";
        const VERSION: u32 = 1;
        type Parameters = Given;
        type Input = f32;
        type Output = f32;
        type Task = ();
        type Scratch = ();

        fn prepare(_: &Given, _: &SourceInfo) -> Result<(), Failure> {
            Ok(())
        }

        fn create_results_datasets(_: &Given, _: &SourceInfo, _: &mut Results<f32>) {}

        fn map_function(_: &(), _: Spectrum<'_, f32>, _: &mut ()) -> Result<f32, Failure> {
            Ok(0.0)
        }
    }

    #[test]
    fn options_that_name_parameters_are_spelled_out() {
        for (typed, expected) in [
            ("run fit f.h5 --first-guess /a --cores 2", "run fit f.h5 -p first_guess=/a --cores 2"),
            ("run fit f.h5 --first_guess=/a=b", "run fit f.h5 -p first_guess=/a=b"),
            ("--json test fit --first-guess -1 f.h5", "--json test fit -p first_guess=-1 f.h5"),
            ("run fit f.h5 --memory 2G --first-guess", "run fit f.h5 --memory 2G --first-guess"),
            ("run other f.h5 --first-guess /a", "run other f.h5 --first-guess /a"),
            ("run fit,fit f.h5 --fit.memory 3", "run fit,fit f.h5 -p fit.memory=3"),
            ("run fit,fit f.h5 --fit.first-guess=3", "run fit,fit f.h5 -p fit.first_guess=3"),
            ("list fit --first-guess /a", "list fit --first-guess /a"),
        ] {
            let words = |text: &str| -> Vec<OsString> {
                std::iter::once("pixelmill").chain(text.split(' ')).map(OsString::from).collect()
            };
            assert_eq!(spelled_out(&[runner::<Fit>()], words(typed)), words(expected));
        }
    }

    #[test]
    fn a_picture_without_a_name_takes_no_other_name_for_its_own() {
        let plotted = |text: &str| {
            let words = std::iter::once("pixelmill").chain(text.split(' ')).map(OsString::from);
            match parsed(&[runner::<Fit>()], words.collect()).map(|arguments| arguments.command) {
                Ok(Command::Test(test)) => {
                    assert_eq!((&*test.process, test.file.to_str()), ("fit", Some("f.h5")));
                    test.plot
                }
                other => panic!("{other:?}"),
            }
        };
        for text in [
            "test --plot fit f.h5 --pixel 3",
            "test fit --plot f.h5 --pixel 3",
            "test --pixel 3 fit f.h5 --plot",
        ] {
            assert_eq!(plotted(text), Some(None), "{text}");
        }
        assert_eq!(plotted("test --plot a.png fit f.h5 --pixel 3"), Some(Some("a.png".into())));
        assert_eq!(plotted("test fit f.h5 --plot a.jpg --pixel 3"), Some(Some("a.jpg".into())));
    }
}

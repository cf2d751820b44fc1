//! The whole command line, as a library function over a registry of processes.
//!
//! Whoever has processes of their own writes a `main` that calls [`main`] with them and gets every
//! command. `arguments` is what was typed; each command resolves it, calls the engine, and shows
//! what came back: for people on standard error, as JSON on standard output.

#[cfg(feature = "view")]
mod address_file;
mod arguments;
mod export;
pub(crate) mod given;
mod hints;
mod logger;
pub(crate) mod look;
pub(crate) mod planned;
pub(crate) mod plot;
mod progress;
pub(crate) mod recipe;
mod remove;
mod run;
mod show;
mod shown;
pub(crate) mod signals;
pub(crate) mod spelled;
mod steps;
pub(crate) mod test;
#[cfg(feature = "view")]
mod view;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use arguments::{Arguments, Command};
use clap::error::ErrorKind;
pub use hints::{Face, of_note, of_problem, said};
use progress::Display;

use crate::engine::{Ranks, WORKER_NAME};
use crate::wire;
use pixelmill_core::error::Error;
use pixelmill_core::failure::is_computing;
use pixelmill_core::registry::Runner;

/// How a command ended, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Failed,
    Usage,
    DoneWithFailedPositions,
    Stopped { signal: i32 },
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Done => 0,
            Ending::Failed => 1,
            Ending::Usage => 2,
            Ending::DoneWithFailedPositions => 3,
            Ending::Stopped { signal } => signals::exit_code(signal) as u8,
        })
    }
}

/// What a command has to say.
pub(crate) struct Answer {
    pub ending: Ending,
    /// For people.
    pub text: String,
    /// For `--json`; none if somebody else has said everything.
    pub json: Option<wire::Answer>,
}

/// Runs the command line of this process over `registry`, whose processes live as long as the
/// program, since a page is served beside all else. Under an MPI launcher all ranks call it alike,
/// and rank 0 speaks for all.
pub fn main(registry: &[&'static dyn Runner]) -> ExitCode {
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    let ranks = match Ranks::join() {
        Ok(ranks) => ranks,
        // A launcher ends all ranks once one ends with an error, maybe before the first has spoken.
        Err(_) if !Ranks::is_first_by_environment() => return Ending::Done.into(),
        Err(error) => {
            return tell(&refusal(&error), as_json).into();
        }
    };
    keep_map_functions_quiet();
    let answer = match spelled::parsed(registry, std::env::args_os().collect()) {
        Ok(arguments) => answer(registry, &arguments, &ranks),
        Err(refused) => not_understood(&refused, &ranks),
    };
    let ending = if ranks.is_first() { tell(&answer, as_json) } else { answer.ending };
    ending.into()
}

fn answer(registry: &[&'static dyn Runner], arguments: &Arguments, ranks: &Ranks) -> Answer {
    let display = Display::new(arguments.quiet);
    logger::listen(arguments.verbose, ranks, display.bar());
    let result = match &arguments.command {
        Command::Run(typed) if !typed.dry_run => run::run(registry, typed, ranks, &display),
        // Nothing that several could do together.
        _ if !ranks.is_first() => return silent(Ending::Done),
        Command::Run(typed) => run::rehearse(registry, typed, &display),
        Command::List { process } => look::list(registry, process.as_deref()),
        Command::Info { file } => look::info((file, file), &Arc::default(), Face::CommandLine),
        Command::Test(typed) => test::test(registry, typed),
        Command::Show(typed) => shown::show(typed),
        #[cfg(feature = "view")]
        Command::View(typed) => view::view(registry, typed, ranks, arguments.json),
        Command::Status { file, group, command } => match command {
            true => recipe::commands(registry, file, group.as_deref()),
            false => look::status(file, group.as_deref()),
        },
        Command::Verify { file, group, sample, source } => {
            look::verify(registry, (file, group), source.as_deref(), *sample)
        }
        Command::Export(typed) => export::export(typed, ranks, &display),
        Command::Remove { file, group, yes, with_dependents, dry_run } => {
            let (yes, with_dependents, dry_run) = (*yes, *with_dependents, *dry_run);
            remove::remove(&remove::Asked { file, group, yes, with_dependents, dry_run }, &display)
        }
    };
    result.unwrap_or_else(|error| {
        ranks.say_why(&hints::said(&error, Face::CommandLine));
        refusal(&error)
    })
}

/// Help and version as clap prints them; what it can't understand in one line, as all errors.
fn not_understood(refused: &clap::Error, ranks: &Ranks) -> Answer {
    let asks_for_help = !refused.use_stderr();
    if asks_for_help || refused.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let shown = if ranks.is_first() { shown(refused) } else { Ok(()) };
        return match shown {
            Err(error) => not_given(&error),
            Ok(()) => silent(if asks_for_help { Ending::Done } else { Ending::Usage }),
        };
    }
    let rendered = refused.to_string();
    let told = rendered.trim_start_matches("error: ").split("For more information").next();
    let parts: Vec<String> = told
        .unwrap_or_default()
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|part| !part.is_empty())
        .collect();
    failed(Ending::Usage, &parts.join("; "))
}

/// Somebody else has said everything.
fn silent(ending: Ending) -> Answer {
    Answer { ending, text: String::new(), json: None }
}

fn refusal(error: &Error) -> Answer {
    let ending = if error.is_usage() { Ending::Usage } else { Ending::Failed };
    failed(ending, &hints::said(error, Face::CommandLine))
}

fn failed(ending: Ending, message: &str) -> Answer {
    Answer {
        ending,
        text: format!("pixelmill: {message}\n"),
        json: Some(wire::Answer::Refusal(wire::Refusal::new(message))),
    }
}

/// Says to people what there is to say, and gives the answer that was asked for. An answer that
/// couldn't be given is an error, whatever it would have said; only what is one anyway ends as it
/// would have.
fn tell(answer: &Answer, as_json: bool) -> Ending {
    say(answer.text.trim_end_matches('\n'));
    let printed = match &answer.json {
        Some(json) if as_json => print(json),
        // What is to be typed is for programs too.
        Some(wire::Answer::Commands(commands)) => put(&recipe::script(commands)),
        _ => return answer.ending,
    };
    match printed {
        Ok(()) => answer.ending,
        Err(error) => {
            let lost = not_given(&error);
            say(lost.text.trim_end_matches('\n'));
            match answer.ending {
                Ending::Done | Ending::DoneWithFailedPositions => lost.ending,
                ending => ending,
            }
        }
    }
}

fn print(json: &wire::Answer) -> std::io::Result<()> {
    put(&(serde_json::to_string(json)? + "\n"))
}

fn put(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

/// Prints help or the version. A reader that has seen enough is no error.
fn shown(asked: &clap::Error) -> std::io::Result<()> {
    let printed = asked.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(error) if asked.use_stderr() || error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(())
        }
        printed => printed,
    }
}

fn not_given(error: &std::io::Error) -> Answer {
    failed(Ending::Failed, &format!("the answer can't be written to standard output: {error}"))
}

/// Says something to people. Standard error may be full or closed: what is only said ends nothing.
fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// A panicking map function is a failed position with its message; nothing is printed for each.
pub fn keep_map_functions_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let is_worker = thread.name().is_some_and(|name| name.starts_with(WORKER_NAME));
        if !is_worker && !is_computing() {
            usual(panic);
        }
    }));
}

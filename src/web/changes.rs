//! What is asked to be done: on a position, on the file, or to a run.

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Desk;
use super::answers::{Answered, json, of_command, refused};
use crate::cli::planned::Planned;
use crate::cli::{look, test};
use crate::engine::{self, Asked, Pixel, Quiet, Removal, Request, memory_size};
use crate::plan::Cores;
use crate::wire;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::registry;

/// Positions that are computed again at most.
const MOST_VERIFIED: u64 = 10_000;
/// Threads that somebody may ask for; it takes the system minutes to give many more.
const MOST_CORES: usize = 1024;

/// Whether something is done in a moment, and while somebody waits for it.
pub(super) fn is_short(change: &str) -> bool {
    matches!(change, "test" | "run" | "stop")
}

/// Does what is asked for.
pub(super) fn changed(desk: &Desk, change: &str, asked: Map<String, Value>) -> Answered {
    match change {
        "test" => tested(desk, asked),
        "rehearse" => rehearsed(desk, asked),
        "run" if desk.may_run => begun(desk, asked),
        "remove" if desk.may_run => removed(desk, asked),
        "stop" => {
            read::<wire::Nothing>(asked)?;
            desk.runs.stop();
            json(&wire::Nothing {})
        }
        "verify" => {
            let Verify { group, sample } = read(asked)?;
            let sample = sample.min(MOST_VERIFIED);
            of_command(look::verify(&desk.registry, (&desk.results, &group), None, sample))
        }
        "run" | "remove" => {
            let why = "this page belongs to a run that goes on; open the file by `pixelmill view`";
            Err((StatusCode::FORBIDDEN, why.to_owned()))
        }
        _ => Err((StatusCode::NOT_FOUND, "there is nothing at this address".to_owned())),
    }
}

/// What is asked of a results group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verify {
    group: String,
    sample: u64,
}

/// What is asked to be removed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    group: String,
    #[serde(default)]
    with_dependents: bool,
    dry_run: bool,
    /// What somebody has seen that would go, groups and links; nothing else goes.
    seen: Option<BTreeSet<String>>,
}

/// What is said of a run besides what is computed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default, rename = "override")]
    override_existing: bool,
    resume: Option<String>,
    #[serde(default)]
    retry_failed: bool,
    cores: Option<String>,
    memory: Option<String>,
}

/// Where something is tried.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    pixel: u64,
    #[serde(default)]
    spectrum: usize,
}

fn tested(desk: &Desk, mut asked: Map<String, Value>) -> Answered {
    let place: Place = read(taken(&mut asked, &["pixel", "spectrum"]))?;
    let Asked { kernel, request, .. } = computation(desk, asked, &Options::default())?;
    let probe = engine::test(&kernel, &request, &Pixel::Number(place.pixel)).map_err(refused)?;
    test::chosen(&probe, place.spectrum, "spectrum").map_err(refused)?;
    json(&wire::Test::of(&probe, place.spectrum))
}

fn rehearsed(desk: &Desk, mut asked: Map<String, Value>) -> Answered {
    let options: Options = read(taken(&mut asked, OPTIONS))?;
    let Asked { kernel, request, .. } = computation(desk, asked, &options)?;
    let rehearsal = engine::rehearse(&kernel, &request, &Quiet).map_err(refused)?;
    json(&wire::Rehearsal::from(&rehearsal))
}

fn begun(desk: &Desk, mut asked: Map<String, Value>) -> Answered {
    let options: Options = read(taken(&mut asked, OPTIONS))?;
    let asked = computation(desk, asked, &options)?;
    let why = "another run of this page goes on; wait until it has ended, or stop it";
    let goes_on = || (StatusCode::CONFLICT, why.to_owned());
    if desk.runs.is_running() {
        return Err(goes_on());
    }
    engine::check(&asked).map_err(refused)?;
    let run = desk.runs.begin(asked).map_err(refused)?.ok_or_else(goes_on)?;
    json(&wire::Begun { run })
}

fn removed(desk: &Desk, asked: Map<String, Value>) -> Answered {
    let Remove { group, with_dependents, dry_run, seen } = read(asked)?;
    let removal = Removal::of(&desk.file, &group).map_err(refused)?;
    let groups = removal.groups.iter().map(|group| &group.overview.path);
    let goes: BTreeSet<&String> = groups.chain(&removal.links).collect();
    if seen.is_some_and(|seen| !seen.iter().eq(goes)) {
        let why =
            "something else would go by now than was shown, so nothing is removed; look again";
        return Err((StatusCode::CONFLICT, why.to_owned()));
    }
    if !dry_run {
        removal.check(with_dependents).map_err(refused)?;
        removal.carry_out(&Quiet).map_err(refused)?;
    }
    json(&wire::Remove::of(&removal, !dry_run))
}

/// What `Options` has.
const OPTIONS: &[&str] = &["override", "resume", "retry_failed", "cores", "memory"];

/// Takes some of what was sent, for what is left to be a step.
fn taken(asked: &mut Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let taken = names.iter().filter_map(|name| asked.remove_entry(*name));
    taken.filter(|(_, value)| !value.is_null()).collect()
}

fn read<T: DeserializeOwned>(asked: Map<String, Value>) -> Result<T, (StatusCode, String)> {
    let read = serde_json::from_value(Value::Object(asked));
    read.map_err(|error| (StatusCode::BAD_REQUEST, format!("it can't be understood: {error}")))
}

fn cores(text: &str) -> Result<Cores, String> {
    match text.parse()? {
        Cores::Exactly(cores) if cores > MOST_CORES => {
            Err(format!("it can't be more than {MOST_CORES} here; `all` is as many as there are"))
        }
        cores => Ok(cores),
    }
}

/// A step with its options, as the engine is asked for it.
fn computation(
    desk: &Desk,
    asked: Map<String, Value>,
    options: &Options,
) -> Result<Asked, (StatusCode, String)> {
    let step: Planned = read(asked)?;
    let option = |name: &str, text: &str, reason: String| Error::Argument {
        argument: format!("{name} {text}"),
        reason,
    };
    let asked = || -> Result<Asked> {
        let runner = registry::find(&desk.registry, &step.process)?;
        let kernel = runner.kernel(&step.parameters)?;
        let mut request = step.request(&Request::new(&desk.file), str::to_owned)?;
        if let Some(text) = &options.cores {
            request.cores = cores(text).map_err(|reason| option("cores", text, reason))?;
        }
        if let Some(text) = &options.memory {
            let memory = memory_size(text).map_err(|reason| option("memory", text, reason))?;
            request.memory = Some(memory);
        }
        request.override_existing = options.override_existing;
        request.resume.clone_from(&options.resume);
        request.retry_failed = options.retry_failed;
        request.only_its_files = true;
        Ok(Asked::new(kernel, request))
    };
    asked().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_for_threads_that_the_system_would_be_busy_with() {
        assert_eq!(cores("1024"), Ok(Cores::Exactly(1024)));
        assert_eq!(cores("all"), Ok(Cores::All));
        for text in ["1025", "18446744073709551615", "0", "many"] {
            assert!(cores(text).is_err(), "{text}");
        }
    }
}

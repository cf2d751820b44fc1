//! What is asked of the engine without changing anything, answered as the command line answers.

use std::io;
use std::path::Path;

use hyper::StatusCode;
use serde::Serialize;

use super::Desk;
use super::query::Query;
use crate::cli::plot::colour_map;
use crate::cli::{Face, look, recipe, said};
use crate::engine::Pixel;
use crate::engine::shown::{self, Detector, Wanted};
use crate::wire;
use pixelmill_core::error::{Error, Result};

/// JSON, or why there is none.
pub(super) type Answered = std::result::Result<Vec<u8>, (StatusCode, String)>;

/// Answers a question.
pub(super) fn answered(desk: &Desk, question: &str, query: Option<&str>) -> Answered {
    let file = desk.file.as_path();
    let asked = Query::of(query);
    match question {
        "page" => json(&wire::Page {
            file: file.to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            may_run: desk.may_run,
        }),
        "colours" => json(&wire::Colours { even: colour_map(false), cyclic: colour_map(true) }),
        "info" => of_command(look::info((file, &desk.results), &desk.known, Face::Page)),
        "processes" => of_command(look::list(&desk.registry, None)),
        "commands" => {
            of_command(recipe::commands(&desk.registry, &desk.results, asked.get("group")))
        }
        "show" => {
            let file = match asked.get("of") {
                Some("results") => desk.results.as_path(),
                _ => file,
            };
            let shown = || {
                let wanted = wanted(file, &asked)?;
                match wanted.pixel {
                    // One position is followed by another one beside it.
                    Some(_) => desk.viewer().show(&wanted),
                    None => shown::show(&wanted),
                }
            };
            json(&wire::Show::of(file, &shown().map_err(refused)?))
        }
        "survey" => {
            let answer = || {
                let detector = asked.get("detector").map(str::parse).transpose()?;
                let detector = detector.unwrap_or(Detector::All);
                desk.surveys.answer(query.unwrap_or_default(), &wanted(file, &asked)?, &detector)
            };
            json(&*answer().map_err(refused)?)
        }
        _ => Err((StatusCode::NOT_FOUND, "there is nothing at this address".to_owned())),
    }
}

/// An answer as it is sent.
pub(super) fn json(answer: &impl Serialize) -> Answered {
    serde_json::to_vec(answer)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// The same of a command's.
pub(super) fn of_command(answer: Result<crate::cli::Answer>) -> Answered {
    json(&answer.map_err(refused)?.json)
}

/// An error as it is sent.
pub(super) fn refused(error: Error) -> (StatusCode, String) {
    (status(&error), said(&error, Face::Page))
}

/// Whose fault an error is.
fn status(error: &Error) -> StatusCode {
    match error {
        error if error.is_usage() => StatusCode::BAD_REQUEST,
        // It may be otherwise in a moment.
        Error::Busy { .. }
        | Error::JustChanged { .. }
        | Error::ChangedMeanwhile { .. }
        | Error::SourceChanged { .. }
        | Error::Replaced { .. }
        | Error::ReplacedWhileOpened { .. }
        | Error::SourceReplaced { .. }
        | Error::SourceMoved { .. } => StatusCode::CONFLICT,
        Error::Io { source, .. } => of_system(source.kind()),
        Error::Worker { .. }
        | Error::OutOfPlace { .. }
        | Error::FreeSpace { .. }
        | Error::Panicked { .. }
        | Error::Mpi { .. }
        | Error::RankLeft { .. }
        | Error::Rank { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        // The file doesn't have what it takes.
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// What the system has refused.
fn of_system(kind: io::ErrorKind) -> StatusCode {
    match kind {
        io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StatusCode::FORBIDDEN
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What of the file is asked for.
fn wanted(file: &Path, asked: &Query<'_>) -> Result<Wanted> {
    let number = |text: &str| text.parse().map_err(|_| "it has to be a number".to_owned());
    Ok(Wanted {
        file: file.to_owned(),
        path: asked.get("path").map(str::to_owned),
        field: asked.get("field").map(str::to_owned),
        positions_axes: asked.parsed("positions_axes", axes)?,
        pixel: asked.parsed("pixel", number)?.map(Pixel::Number),
    })
}

fn axes(text: &str) -> std::result::Result<Vec<usize>, String> {
    let numbers = text.split(',').map(|number| number.trim().parse());
    let numbers: std::result::Result<_, _> = numbers.collect();
    numbers.map_err(|_| "they have to be numbers from 0 on".to_owned())
}

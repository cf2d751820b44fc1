//! What is asked of the engine without changing anything, answered as the command line answers.

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
        "info" => of_command(look::info(file, &desk.known, Face::Page)),
        "processes" => of_command(look::list(&desk.registry, None)),
        "commands" => of_command(recipe::commands(&desk.registry, file, asked.get("group"))),
        "show" => {
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
    let status = match error.is_usage() {
        true => StatusCode::BAD_REQUEST,
        false => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, said(&error, Face::Page))
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

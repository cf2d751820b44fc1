//! What Python asks for, as the engine's request.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pixelmill::engine::{
    Along, Cache, Compression, CorrectionPaths, Durability, Request, memory_size,
};
use pixelmill::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::function::Declared;
use crate::reduction::DeclaredReduction;

/// The options, called as on the command line; what is left out has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    file: PathBuf,
    dataset: Option<String>,
    field: Option<String>,
    positions_axes: Option<Vec<usize>>,
    crop: Option<String>,
    along: Option<Vec<String>>,
    dark: Option<String>,
    gain: Option<String>,
    dead_pixels: Option<String>,
    allow_rounding: bool,
    output: Option<PathBuf>,
    cores: Option<String>,
    memory: Option<String>,
    #[serde(rename = "override")]
    override_existing: bool,
    resume: Option<String>,
    positions: Option<String>,
    retry_failed: bool,
    checkpoint: Option<f64>,
    durability: Option<Durability>,
    cache: Option<Cache>,
    check_data: bool,
    compress: Option<Compression>,
}

/// The request that some options make.
///
/// # Errors
/// What can't be understood.
pub(crate) fn request(options: &str) -> Result<Request> {
    let options: Options = from_json("the options", options)?;
    let request = Request::new(options.file);
    let (dark, gain, dead_pixels) = (options.dark, options.gain, options.dead_pixels);
    Ok(Request {
        dataset: options.dataset,
        field: options.field,
        positions_axes: options.positions_axes,
        crop: parsed("crop", options.crop)?,
        along: options.along.map(Along::Named),
        corrections: CorrectionPaths { dark, gain, dead_pixels },
        allow_rounding: options.allow_rounding,
        output: options.output,
        cores: parsed("cores", options.cores)?.unwrap_or_default(),
        memory: options.memory.map(|text| size("memory", &text)).transpose()?,
        override_existing: options.override_existing,
        resume: options.resume,
        positions: parsed("positions", options.positions)?,
        retry_failed: options.retry_failed,
        checkpoint: options.checkpoint.map_or(Ok(request.checkpoint), seconds)?,
        durability: options.durability.unwrap_or_default(),
        check_data: options.check_data,
        compress: options.compress.unwrap_or_default(),
        cache: options.cache.unwrap_or_default(),
        ..request
    })
}

/// Parameters by their names.
///
/// # Errors
/// If they aren't told as JSON can tell them.
pub(crate) fn parameters(given: &str) -> Result<Map<String, Value>> {
    from_json("the parameters", given)
}

/// What is said of a function.
///
/// # Errors
/// What can't be understood.
pub(crate) fn declaration(declared: &str) -> Result<Declared> {
    from_json("the function", declared)
}

/// What is said of a reduction.
///
/// # Errors
/// What can't be understood.
pub(crate) fn reduction_declaration(declared: &str) -> Result<DeclaredReduction> {
    from_json("the reduction", declared)
}

fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::Argument { argument: what.to_owned(), reason: error.to_string() })
}

/// A size in bytes that an option gives.
///
/// # Errors
/// What can't be understood of it.
pub(crate) fn size(option: &str, text: &str) -> Result<u64> {
    memory_size(text).map_err(|reason| refused(option, text, reason))
}

fn parsed<T: FromStr<Err = String>>(option: &str, text: Option<String>) -> Result<Option<T>> {
    let read = |text: String| text.parse().map_err(|reason| refused(option, &text, reason));
    text.map(read).transpose()
}

fn seconds(seconds: f64) -> Result<Duration> {
    if (0.001..=1e6).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(refused(
        "checkpoint",
        &seconds.to_string(),
        "it has to be from 0.001 to 1000000".to_owned(),
    ))
}

fn refused(option: &str, text: &str, reason: String) -> Error {
    Error::Argument { argument: format!("{option}={text}"), reason }
}

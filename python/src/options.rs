//! What Python asks for, as the engine's request.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pixelmill::engine::{
    Along, Cache, Compression, CorrectionPaths, Durability, Request, memory_size,
};
use pixelmill::{Error, Result};
use pixelmill_core::parameters::nearest;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::function::Declared;
use crate::reduction::DeclaredReduction;

/// Options by their names, which are taken one by one.
struct Options(Map<String, Value>);

impl Options {
    /// What is given to an option, if anything is.
    fn given(&mut self, option: &str) -> Option<Value> {
        self.0.remove(option).filter(|value| !value.is_null())
    }

    /// The same as what it has to be, which `kind` says in words.
    fn taken<T: DeserializeOwned>(&mut self, option: &str, kind: &str) -> Result<Option<T>> {
        let Some(given) = self.given(option) else { return Ok(None) };
        let told = in_python(&given);
        serde_json::from_value(given)
            .map(Some)
            .map_err(|_| refused(option, &told, format!("it has to be {kind}")))
    }

    fn text(&mut self, option: &str) -> Result<Option<String>> {
        self.taken(option, "a text")
    }

    fn flag(&mut self, option: &str) -> Result<bool> {
        Ok(self.taken(option, "True or False")?.unwrap_or_default())
    }

    /// One of some words.
    fn choice<T: Copy>(&mut self, option: &str, known: &[(&str, T)]) -> Result<Option<T>> {
        let Some(given) = self.given(option) else { return Ok(None) };
        let text = given.as_str().unwrap_or_default();
        if let Some((_, found)) = known.iter().find(|(name, _)| *name == text) {
            return Ok(Some(*found));
        }
        let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (last, others) = names.split_last().expect("there is something to choose from");
        let near = nearest(text, known.iter().map(|(name, _)| *name));
        let meant = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
        let reason = format!("it has to be {} or {last}{meant}", others.join(", "));
        Err(refused(option, &in_python(&given), reason))
    }

    /// What a text means.
    fn parsed<T: FromStr<Err = String>>(&mut self, option: &str) -> Result<Option<T>> {
        let read = |text: String| text.parse().map_err(|reason| refused(option, &text, reason));
        self.text(option)?.map(read).transpose()
    }

    fn seconds(&mut self, option: &str) -> Result<Option<Duration>> {
        let range = "it has to be from 0.001 to 1000000";
        match self.taken::<f64>(option, "a number of seconds")? {
            Some(seconds) if !(0.001..=1e6).contains(&seconds) => {
                Err(refused(option, &seconds.to_string(), range.to_owned()))
            }
            seconds => Ok(seconds.map(Duration::from_secs_f64)),
        }
    }

    /// Says that nothing is left.
    fn end(self) -> Result<()> {
        match self.0.into_iter().next() {
            Some((name, value)) => {
                let reason = "there is no such option".to_owned();
                Err(refused(&name, &in_python(&value), reason))
            }
            None => Ok(()),
        }
    }
}

/// The request that some options make; what is left out has its default.
///
/// # Errors
/// What can't be understood.
pub(crate) fn request(options: &str) -> Result<Request> {
    let mut options = Options(from_json("the options", options)?);
    let file: Option<PathBuf> = options.taken("file", "a path")?;
    let request = Request::new(file.unwrap_or_default());
    let corrections = CorrectionPaths {
        dark: options.text("dark")?,
        gain: options.text("gain")?,
        dead_pixels: options.text("dead_pixels")?,
    };
    let durability = [("node", Durability::Node), ("process", Durability::Process)];
    let cache = [("keep", Cache::Keep), ("drop", Cache::Drop)];
    let compress =
        [("gzip", Compression::Gzip), ("zstd", Compression::Zstd), ("none", Compression::None)];
    let memory = options.text("memory")?.map(|text| size("memory", &text)).transpose()?;
    let request = Request {
        dataset: options.text("dataset")?,
        field: options.text("field")?,
        positions_axes: options.taken("positions_axes", "a list of numbers of axes, from 0 on")?,
        crop: options.parsed("crop")?,
        along: options.taken("along", "the name of an axis, or a list of some")?.map(Along::Named),
        corrections,
        allow_rounding: options.flag("allow_rounding")?,
        output: options.taken("output", "a path")?,
        cores: options.parsed("cores")?.unwrap_or_default(),
        memory,
        override_existing: options.flag("override")?,
        resume: options.text("resume")?,
        positions: options.parsed("positions")?,
        retry_failed: options.flag("retry_failed")?,
        checkpoint: options.seconds("checkpoint")?.unwrap_or(request.checkpoint),
        durability: options.choice("durability", &durability)?.unwrap_or_default(),
        check_data: options.flag("check_data")?,
        compress: options.choice("compress", &compress)?.unwrap_or_default(),
        cache: options.choice("cache", &cache)?.unwrap_or_default(),
        ..request
    };
    options.end().map(|()| request)
}

/// A value as it is written in Python.
fn in_python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
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

fn refused(option: &str, text: &str, reason: String) -> Error {
    Error::Argument { argument: format!("{option}={text}"), reason }
}

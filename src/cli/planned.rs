//! A step as a plan has it, and as the page asks for it.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::engine::{Along, Request};
use pixelmill_core::error::{Error, Result};

/// A step as it is written: what it is, and what it says of itself that the command line says of
/// all.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planned {
    pub process: String,
    pub name: Option<String>,
    #[serde(default)]
    pub parameters: Map<String, Value>,
    dataset: Option<String>,
    field: Option<String>,
    positions_axes: Option<Vec<usize>>,
    crop: Option<String>,
    along: Option<Vec<String>>,
    dark: Option<String>,
    gain: Option<String>,
    dead_pixels: Option<String>,
    allow_rounding: Option<bool>,
    positions: Option<String>,
}

impl Planned {
    /// What all have in common, and what is said of this one; `called` is what an option is to the
    /// user.
    ///
    /// # Errors
    /// If an option can't be understood.
    pub fn request(&self, common: &Request, called: impl Fn(&str) -> String) -> Result<Request> {
        let own = self.clone();
        let mut request = common.clone();
        let refused = |option, reason: &dyn std::fmt::Display| Error::Argument {
            argument: called(option),
            reason: reason.to_string(),
        };
        set(&mut request.dataset, own.dataset);
        set(&mut request.field, own.field);
        set(&mut request.positions_axes, own.positions_axes);
        set(&mut request.along, own.along.map(Along::Named));
        set(&mut request.crop, parsed(own.crop).map_err(|error| refused("crop", &error))?);
        let positions = parsed(own.positions).map_err(|error| refused("positions", &error))?;
        set(&mut request.positions, positions);
        set(&mut request.corrections.dark, own.dark);
        set(&mut request.corrections.gain, own.gain);
        set(&mut request.corrections.dead_pixels, own.dead_pixels);
        request.allow_rounding = own.allow_rounding.unwrap_or(request.allow_rounding);
        Ok(request)
    }
}

/// What is said goes before what there is.
fn set<T>(there: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *there = said;
    }
}

fn parsed<T: FromStr>(text: Option<String>) -> Result<Option<T>, T::Err> {
    text.map(|text| text.parse()).transpose()
}

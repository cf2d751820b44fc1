//! What can be chosen: a method, and numbers for the axes of the scan.

use std::borrow::Cow;

use pixelmill_core::process::{Failure, SourceInfo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What is taken of the values of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The one in the middle.
    #[default]
    Median,
    /// A weighted mean.
    Gaussian,
}

impl JsonSchema for Method {
    fn schema_name() -> Cow<'static, str> {
        "Method".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["median", "gaussian"] })
    }
}

/// A number for each axis of the scan, slowest first, or one for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "it has to be a number, or one for each axis of the scan as [3, 5]")]
pub enum PerAxis {
    /// The same on all axes.
    All(f64),
    /// Of one axis each.
    Each(Vec<f64>),
}

impl JsonSchema for PerAxis {
    fn schema_name() -> Cow<'static, str> {
        "PerAxis".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "array"] })
    }
}

impl PerAxis {
    /// Whether all are as they should be, and there are any.
    pub fn all(&self, is_right: impl Fn(f64) -> bool) -> bool {
        match self {
            Self::All(one) => is_right(*one),
            Self::Each(each) => !each.is_empty() && each.iter().all(|one| is_right(*one)),
        }
    }

    /// That of each axis of the scan, for the parameter of this name.
    ///
    /// # Errors
    /// If there are more or less of them than axes.
    pub fn on(&self, source: &SourceInfo, name: &str) -> Result<Vec<f64>, Failure> {
        let axes = source.position_dimensions.len();
        match self {
            Self::All(one) => Ok(vec![*one; axes]),
            Self::Each(each) if each.len() == axes => Ok(each.clone()),
            Self::Each(each) => Err(Failure::new(format!(
                "`{name}` has {} numbers, but the scan {axes} axes: give one number for each, or \
                 one for all",
                each.len()
            ))),
        }
    }
}

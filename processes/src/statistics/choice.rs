//! Which statistics are wanted: a list of names, in one order whatever the order they are given in.

use std::borrow::Cow;

use pixelmill_core::parameters::nearest;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// How many values are numbers.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their variance.
    Variance,
    /// Their standard deviation.
    Std,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The position of the smallest.
    ArgMin,
    /// The position of the largest.
    ArgMax,
}

const NAMES: [(&str, Statistic); 9] = [
    ("count", Statistic::Count),
    ("sum", Statistic::Sum),
    ("mean", Statistic::Mean),
    ("variance", Statistic::Variance),
    ("std", Statistic::Std),
    ("min", Statistic::Min),
    ("max", Statistic::Max),
    ("arg_min", Statistic::ArgMin),
    ("arg_max", Statistic::ArgMax),
];

/// Some of them, each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics(Vec<Statistic>);

impl Default for Statistics {
    fn default() -> Self {
        use Statistic::{Max, Mean, Min, Std, Sum};
        Self(vec![Sum, Mean, Std, Min, Max])
    }
}

impl Statistics {
    /// Whether this one is among them.
    pub fn has(&self, statistic: Statistic) -> bool {
        self.0.contains(&statistic)
    }
}

/// As it is typed, or as a list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it has to be names, as sum,std")]
enum Given {
    Text(String),
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for Statistics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = match Given::deserialize(deserializer)? {
            Given::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            Given::List(names) => names,
        };
        let mut found = Vec::new();
        for name in &names {
            let known = NAMES.iter().find(|(known, _)| *known == name.replace('-', "_"));
            let (_, statistic) = known.ok_or_else(|| {
                let near = nearest(name, NAMES.iter().map(|(known, _)| *known));
                let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                let known = known.join(", ");
                D::Error::custom(format!("there is no `{name}` among {known}{near}"))
            })?;
            found.push(*statistic);
        }
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(D::Error::custom("no statistic is named"));
        }
        Ok(Self(found))
    }
}

impl JsonSchema for Statistics {
    fn schema_name() -> Cow<'static, str> {
        "Statistics".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"] })
    }
}

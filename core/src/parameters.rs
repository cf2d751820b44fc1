//! Parameters as data: described, parsed and checked by way of their JSON schema.
//!
//! The struct that an author writes is the single source; everything here is read from it.

use schemars::Schema;
use serde_json::{Map, Value};

use crate::canonical::numbers_again;
use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::process::Parameters;

/// One parameter, for people.
#[derive(Clone, Debug)]
pub struct ParameterInfo {
    /// Its name, as in `-p name=value`.
    pub name: String,
    /// `number`, `integer`, `text`, `true/false`, a list of choices …
    pub kind: String,
    /// Units of its values, if any.
    pub unit: Option<String>,
    /// The value that it has if it isn't given.
    pub default: Value,
    /// Smallest and largest value allowed.
    pub range: (Option<f64>, Option<f64>),
    /// What it means.
    pub help: String,
}

/// All parameters of a process, in the order in which its author wrote them.
pub fn describe<T: Parameters>() -> Vec<ParameterInfo> {
    let schema = schemars::schema_for!(T);
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    properties(&schema)
        .map(|(name, property)| ParameterInfo {
            name: name.clone(),
            kind: kind(property),
            unit: property.get("unit").and_then(Value::as_str).map(str::to_owned),
            default: defaults.get(name).cloned().unwrap_or_default(),
            range: range(property),
            help: help(property),
        })
        .collect()
}

fn properties(schema: &Schema) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn kind(property: &Value) -> String {
    if let Some(choices) = property.get("enum").and_then(Value::as_array) {
        let choices: Vec<_> = choices.iter().filter_map(Value::as_str).collect();
        return choices.join(" | ");
    }
    let word = |name: &str| match name {
        "boolean" => "true/false".to_owned(),
        "string" => "text".to_owned(),
        "array" => "list".to_owned(),
        "null" => "none".to_owned(),
        other => other.to_owned(),
    };
    match property.get("type") {
        Some(Value::String(name)) => word(name),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or ")
        }
        _ => "value".to_owned(),
    }
}

fn range(property: &Value) -> (Option<f64>, Option<f64>) {
    let bound = |name: &str| property.get(name).and_then(Value::as_f64);
    (bound("minimum"), bound("maximum"))
}

fn help(property: &Value) -> String {
    let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The parameters as they will be used and as they are hashed: both from the same JSON, so that
/// what is computed is what is recorded.
///
/// # Errors
/// If a value is out of its range, not finite, or refused by the process.
pub fn settle<T: Parameters>(process: &str, parameters: &T) -> Result<(T, Map<String, Value>)> {
    let refused = |reason: String| Error::Parameter { process: process.to_owned(), reason };
    let value = serde_json::to_value(parameters).map_err(|error| refused(error.to_string()))?;
    let Value::Object(values) = value else {
        return Err(refused("the parameters are not a struct with named fields".to_owned()));
    };
    for info in describe::<T>() {
        check_range(&info, values.get(&info.name)).map_err(refused)?;
    }
    // A float that isn't finite has become `null` and doesn't come back.
    let settled: T = serde_json::from_value(Value::Object(values.clone()))
        .map_err(|error| refused(format!("{error} (are all numbers finite?)")))?;
    settled.check().map_err(|failure: Failure| refused(failure.to_string()))?;
    Ok((settled, values))
}

fn check_range(info: &ParameterInfo, value: Option<&Value>) -> Result<(), String> {
    let Some(value) = value.and_then(Value::as_f64) else {
        return Ok(());
    };
    let (least, most) = info.range;
    if least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most) {
        return Ok(());
    }
    Err(format!("`{}` is {value}, but has to be {}", info.name, in_words(info.range)))
}

/// A range as one would say it.
pub fn in_words(range: (Option<f64>, Option<f64>)) -> String {
    match range {
        (Some(least), Some(most)) => format!("from {least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "any number".to_owned(),
    }
}

/// Parameters from a set of named values; those left out have their default.
///
/// # Errors
/// If a name is unknown, or a value of the wrong kind.
pub fn from_values<T: Parameters>(process: &str, given: &Map<String, Value>) -> Result<T> {
    let known: Vec<String> = describe::<T>().into_iter().map(|info| info.name).collect();
    let mut values = serde_json::to_value(T::default()).unwrap_or_default();
    for (name, value) in given {
        if !known.contains(name) {
            return Err(Error::UnknownParameter {
                process: process.to_owned(),
                name: name.clone(),
                nearest: nearest(name, known.iter().map(String::as_str)),
                known: known.clone(),
            });
        }
        values[name] = value.clone();
        serde_json::from_value::<T>(values.clone()).map_err(|error| Error::Parameter {
            process: process.to_owned(),
            reason: format!("`{name}` can't be {value}: {error}"),
        })?;
    }
    serde_json::from_value(values).map_err(|error| Error::Parameter {
        process: process.to_owned(),
        reason: error.to_string(),
    })
}

/// Parameters as a results group records them, where what JSON numbers can't hold is text.
///
/// # Errors
/// As [`from_values`].
pub fn from_recorded<T: Parameters>(process: &str, recorded: &Map<String, Value>) -> Result<T> {
    let mut values = recorded.clone();
    for (name, value) in &mut values {
        let one = Map::from_iter([(name.clone(), value.clone())]);
        // What a text parameter is may look like a number, but not the other way round.
        if from_values::<T>(process, &one).is_err() {
            *value = numbers_again(value);
        }
    }
    from_values(process, &values)
}

/// The known name that is most like a wrong one, if any is at all.
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    known
        .map(|name| (strsim::damerau_levenshtein(&plain(wrong), &plain(name)), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(wrong.len()) / 2)
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::canonical;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    /// A filter.
    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Filter {
        /// Corner
        /// frequency.
        #[schemars(range(min = 1.0, max = 1e6), extend("unit" = "Hz"))]
        corner: f64,
        /// How often.
        steps: Option<u32>,
    }

    impl Default for Filter {
        fn default() -> Self {
            Self { corner: 1e3, steps: None }
        }
    }

    impl Parameters for Filter {
        fn check(&self) -> Result<(), Failure> {
            match self.steps {
                Some(13) => Err(Failure::new("`steps` must not be 13")),
                _ => Ok(()),
            }
        }
    }

    fn given(value: Value) -> Result<(Filter, Map<String, Value>)> {
        let parameters = from_values::<Filter>("Filter", value.as_object().unwrap())?;
        settle("Filter", &parameters)
    }

    #[test]
    fn the_struct_is_the_only_source() {
        let infos = describe::<Filter>();
        assert_eq!(infos[0].name, "corner");
        assert_eq!(infos[0].unit.as_deref(), Some("Hz"));
        assert_eq!(infos[0].help, "Corner frequency.");
        assert_eq!(infos[0].range, (Some(1.0), Some(1e6)));
        assert_eq!(infos[0].default, json!(1e3));
        assert_eq!(infos[1].kind, "integer or none");
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message = |value| given(value).unwrap_err().to_string();
        assert!(message(json!({"cornre": 2})).contains("corner"));
        assert!(message(json!({"corner": 0.5})).contains("`corner` is 0.5"));
        assert!(message(json!({"corner": "high"})).contains("`corner` can't be \"high\""));
        assert!(message(json!({"steps": -1})).contains("steps"));
        assert!(message(json!({"steps": 13})).contains("must not be 13"));
        let (filter, values) = given(json!({"steps": 4})).unwrap();
        assert_eq!((filter.corner, filter.steps), (1e3, Some(4)));
        assert_eq!(Value::Object(values), json!({"corner": 1e3, "steps": 4}));
    }

    #[test]
    fn recorded_parameters_are_those_that_were_used() {
        #[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        struct Given {
            seed: u64,
            shift: f64,
            weights: Vec<f64>,
            text: String,
        }
        impl Parameters for Given {}
        let given = Given {
            seed: (1 << 53) + 1,
            shift: -0.0,
            weights: vec![-0.0, 0.1 + 0.2, 2.005_390_441_823_847_6e-10],
            text: "-0".to_owned(),
        };
        let (_, values) = settle("Given", &given).unwrap();
        let text = canonical(Value::Object(values));
        assert!(text.contains("\"-0\",0.30000000000000004"), "{text}");
        let recorded: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let again: Given = from_recorded("Given", &recorded).unwrap();
        assert_eq!(again, given);
        assert!(again.shift.is_sign_negative() && again.weights[0].is_sign_negative());
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let filter = Filter { corner: f64::NAN, steps: None };
        assert!(settle("Filter", &filter).unwrap_err().to_string().contains("finite"));
    }
}

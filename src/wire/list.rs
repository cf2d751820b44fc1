//! The answer of `list`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use pixelmill_core::parameters::ParameterInfo;
use pixelmill_core::registry::Runner;

/// The processes that can be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// All of them, or the one that was asked for.
    pub processes: Vec<Process>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name, as results groups have it.
    pub process: String,
    /// Its name, as it is typed.
    pub command: String,
    /// Its version.
    pub version: u32,
    /// What it does.
    pub summary: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What its values are: `number`, `integer`, `text`, `true/false`, a list of choices …
    pub kind: String,
    /// Units of its values; null if they have none.
    pub unit: Option<String>,
    /// The value that it has if it isn't given.
    pub default: Value,
    /// The smallest value allowed; null if there is none.
    pub minimum: Option<f64>,
    /// The largest value allowed; null if there is none.
    pub maximum: Option<f64>,
    /// What it means.
    pub help: String,
}

impl List {
    /// These processes.
    pub fn of(runners: &[&dyn Runner]) -> Self {
        Self { processes: runners.iter().map(|runner| Process::from(*runner)).collect() }
    }
}

impl From<&dyn Runner> for Process {
    fn from(runner: &dyn Runner) -> Self {
        Self {
            process: runner.name().to_owned(),
            command: runner.command_name(),
            version: runner.version(),
            summary: runner.summary().to_owned(),
            parameters: runner.parameters().into_iter().map(Parameter::from).collect(),
        }
    }
}

impl From<ParameterInfo> for Parameter {
    fn from(info: ParameterInfo) -> Self {
        let (minimum, maximum) = info.range;
        Self {
            name: info.name,
            kind: info.kind,
            unit: info.unit,
            default: info.default,
            minimum,
            maximum,
            help: info.help,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::printed;
    use super::*;

    #[test]
    fn a_parameter_has_its_default_as_it_is_typed() {
        let parameter = |default: Value, minimum| Parameter {
            name: "width".to_owned(),
            kind: "number".to_owned(),
            unit: None,
            default,
            minimum,
            maximum: None,
            help: "How wide".to_owned(),
        };
        let parameters = vec![parameter(json!(20.0), Some(1.0)), parameter(Value::Null, None)];
        let process = Process {
            process: "Peak_Finding".to_owned(),
            command: "peak-finding".to_owned(),
            version: 1,
            summary: "finds".to_owned(),
            parameters,
        };
        assert_eq!(
            printed(&List { processes: vec![process] }),
            r#"{"processes":[{"process":"Peak_Finding","command":"peak-finding","version":1,"summary":"finds","parameters":[{"name":"width","kind":"number","unit":null,"default":20.0,"minimum":1.0,"maximum":null,"help":"How wide"},{"name":"width","kind":"number","unit":null,"default":null,"minimum":null,"maximum":null,"help":"How wide"}]}]}"#
        );
    }
}

//! What is told to programs: one model of the JSON that every command answers with, for all faces.
//!
//! Each answer is made of what the engine gives, `Run` of [`Computed`](crate::Computed), `Test` of
//! a [`Probe`](crate::engine::Probe) and so on, and is read back by whoever asked; [`schema`]
//! describes all of them, and a test keeps it in `docs/json.schema.json`. Keys stand in the order
//! in which they are printed, and none is left out where it has nothing to say: it is null then.
//! JSON has no NaN either: a number that is missing, or infinite, is null.
//!
//! Nothing here knows a face. Where words of one belong into an answer, as in [`Refusal`] or of a
//! dataset that can't be used, the face hands them in.

mod commands;
mod export;
mod failed;
mod info;
mod list;
mod page;
mod rehearsal;
mod remove;
mod run;
mod sample;
mod show;
mod status;
mod survey;
mod test;
mod verify;

pub use commands::{Command, Commands};
pub use export::{Export, ExportedField};
pub use failed::{FailedPosition, Failures, Reason};
pub use info::{Axis, Chunks, Content, Dataset, Described, Info, OtherDataset, ReadBy};
pub use list::{List, Parameter, Process};
pub use page::{
    Begun, Colours, FileState, Message, Nothing, Page, RunEnd, RunPhase, RunState, SurveyState,
    View, page_schema,
};
pub use rehearsal::{Begins, Rehearsal, Rehearsals};
pub use remove::{Remove, Removed};
pub use run::{Compressed, Outcome, Rank, Report, Run, Runs};
pub use sample::{Sample, Sampled};
pub use show::{
    Image, Layout, LeftOut, Limits, Part, Picture, PictureAxis, PicturePlaces, Scatter, Show,
};
pub use status::{Corrections, Group, Status};
pub use survey::Survey;
pub use test::{
    Curve, Mark, Model, Outline, Place, ResultValues, Spectrum, SpectrumAxis, Test, Values,
};
pub use verify::{Difference, Verify};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

/// What a command prints on standard output with `--json`: one of these objects, in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Answer {
    /// Of `run`.
    Run(Box<Run>),
    /// Of `run` with several computations.
    Runs(Runs),
    /// Of `run --dry-run`.
    Rehearsal(Rehearsal),
    /// Of `run --dry-run` with several computations.
    Rehearsals(Rehearsals),
    /// Of `test`.
    Test(Box<Test>),
    /// Of `test` over several positions.
    Sample(Sample),
    /// Of `info`.
    Info(Info),
    /// Of `show`.
    Show(Show),
    /// Of `view`, as soon as there is a page.
    View(View),
    /// Of `status`.
    Status(Status),
    /// Of `status --command`.
    Commands(Commands),
    /// Of `export`.
    Export(Export),
    /// Of `list`.
    List(List),
    /// Of `verify`.
    Verify(Verify),
    /// Of `remove`.
    Remove(Remove),
    /// Of any command that can't do what it was asked to.
    Refusal(Refusal),
}

/// Why a command couldn't do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Always `error`.
    pub outcome: Refused,
    /// What is wrong, and what to do about it, in one line.
    pub message: String,
}

/// The outcome of what was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Refused {
    /// It has no other.
    Error,
}

impl Refusal {
    /// A refusal, in the words of the face that refuses.
    pub fn new(message: impl Into<String>) -> Self {
        Self { outcome: Refused::Error, message: message.into() }
    }
}

/// The schema of all answers, as they are printed.
pub fn schema() -> Schema {
    schema_of::<Answer>()
}

fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// A number, unless it is missing or infinite.
fn finite(number: f64) -> Option<f64> {
    Some(number).filter(|number| number.is_finite())
}

fn all_finite(numbers: impl IntoIterator<Item = f64>) -> Vec<Option<f64>> {
    numbers.into_iter().map(finite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;

    /// An answer as it is printed. What is read of that has to print the same, and a key that the
    /// model doesn't know must not be overlooked.
    pub(super) fn printed<T: Serialize + DeserializeOwned>(answer: &T) -> String {
        let line = serde_json::to_string(answer).unwrap();
        let again: T = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), line);
        let more = line.replacen('{', r#"{"unheard_of":1,"#, 1);
        assert!(serde_json::from_str::<T>(&more).is_err(), "{more}");
        let Some(own) = line.get(1..).filter(|rest| rest.contains('{')) else {
            return line;
        };
        let deeper = format!("{{{}", own.replacen('{', r#"{"unheard_of":1,"#, 1));
        assert!(serde_json::from_str::<T>(&deeper).is_err(), "{deeper}");
        line
    }

    #[test]
    fn a_refusal_says_why() {
        let refusal = Answer::Refusal(Refusal::new("there is no \"such\" file"));
        let line = r#"{"outcome":"error","message":"there is no \"such\" file"}"#;
        assert_eq!(printed(&refusal), line);
        assert_eq!(serde_json::from_str::<Answer>(line).unwrap(), refusal);
    }

    #[test]
    fn numbers_that_are_none_are_null() {
        let numbers = all_finite([0.1, -0.0, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        let line = serde_json::to_string(&numbers).unwrap();
        assert_eq!(line, "[0.1,-0.0,1e+300,null,null,null]");
    }

    /// `PIXELMILL_UPDATE_GOLDEN=1` writes the files anew.
    #[test]
    fn the_schemas_are_in_the_docs() {
        for (name, schema) in [("json", schema()), ("page", page_schema())] {
            let file = format!("{}/docs/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            if std::env::var_os("PIXELMILL_UPDATE_GOLDEN").is_some() {
                std::fs::write(&file, &schema).unwrap();
            }
            let written = std::fs::read_to_string(&file).unwrap_or_default();
            let told = "is not the model's schema; PIXELMILL_UPDATE_GOLDEN=1 writes it anew";
            assert!(written == schema, "{file} {told}");
        }
    }
}

//! What a page in the browser is told besides the answers of commands.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{Refusal, Runs, Survey};

/// The answer of `view`: where the page is. It is served until the program is ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The file, as it was named.
    pub file: String,
    /// The address, with what lets one in.
    pub address: String,
}

/// What a page is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The file, as it was named.
    pub file: String,
    /// The version of the program.
    pub version: String,
    /// Whether runs can be begun from the page, and results removed; of the page of a run that is
    /// going on elsewhere only that run can be stopped.
    pub may_run: bool,
}

/// The colours that numbers are drawn in, from low to high.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Colours {
    /// Red, green and blue; of numbers.
    pub even: Vec<[u8; 3]>,
    /// The same of directions, all the way round.
    pub cyclic: Vec<[u8; 3]>,
}

/// A run was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// Its number.
    pub run: u64,
}

/// Nothing but that it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Its number.
    pub run: u64,
    /// The process; of several that are computed together the first.
    pub process: String,
    /// Path of the main dataset; null before it is known.
    pub dataset: Option<String>,
    /// The file that results go to; null before it is known.
    pub file: Option<String>,
    /// Path of the results group; null before it is known.
    pub group: Option<String>,
    /// What it is at.
    pub state: RunPhase,
    /// All positions of the scan.
    pub positions: u64,
    /// Positions that this run computes.
    pub pending: u64,
    /// Positions that it has computed.
    pub done: u64,
    /// Those of them that have failed.
    pub failed: u64,
    /// Bytes of the source that it has read.
    pub bytes: u64,
    /// Seconds since it began to compute.
    pub seconds: f64,
    /// Positions in a second; null before there are any.
    pub rate: Option<f64>,
    /// Seconds that it will take from now on; null before that is known.
    pub seconds_left: Option<f64>,
    /// Seconds that it would take by some positions that were tried, writing aside; null if none
    /// were.
    pub estimated_seconds: Option<f64>,
    /// Threads that compute, on all ranks.
    pub workers: usize,
    /// Bytes of memory that are planned for, on each rank.
    pub memory: u64,
    /// What a user should know.
    pub notes: Vec<String>,
    /// What came of it; null before its end.
    pub outcome: Option<RunEnd>,
}

/// What a run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunPhase {
    /// It looks for earlier results, and makes a results group.
    Preparing,
    /// It computes.
    Computing,
    /// Somebody has asked it to stop; it finishes what is in hand.
    Stopping,
    /// It is over.
    Ended,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RunEnd {
    /// Results of what was computed.
    Runs(Runs),
    /// Nothing, and why.
    Refusal(Refusal),
}

/// Something in the file has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileState {
    /// How often that was seen.
    pub changed: u64,
}

/// How far the image of a scan is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurveyState {
    /// What was asked for: the query of its address.
    pub survey: String,
    /// Positions that were read.
    pub seen: u64,
    /// All positions.
    pub positions: u64,
    /// Whether nothing more will come.
    pub is_complete: bool,
}

impl SurveyState {
    /// How far an answer is to what was asked for.
    pub fn of(asked: &str, answer: &Survey) -> Self {
        Self {
            survey: asked.to_owned(),
            seen: answer.seen,
            positions: answer.positions,
            is_complete: answer.is_complete,
        }
    }
}

/// What the server of a page sends besides the answers of commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Message {
    /// What the page is about.
    Page(Page),
    /// The colours of numbers.
    Colours(Colours),
    /// The image of the scan, as far as it is.
    Survey(Box<Survey>),
    /// A run was begun.
    Begun(Begun),
    /// The event `run`; null while there was none.
    Run(Option<Box<RunState>>),
    /// The event `survey`.
    SurveyState(SurveyState),
    /// The event `file`.
    File(FileState),
    /// Something was done of which there is nothing to say.
    Nothing(Nothing),
}

/// The schema of all of these.
pub fn page_schema() -> Schema {
    super::schema_of::<Message>()
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;

    #[test]
    fn what_a_run_has_not_told_yet_is_null() {
        let state = RunState {
            run: 2,
            process: "Sum".to_owned(),
            dataset: Some("/d".to_owned()),
            file: None,
            group: None,
            state: RunPhase::Preparing,
            positions: 4,
            pending: 3,
            done: 0,
            failed: 0,
            bytes: 0,
            seconds: 0.5,
            rate: None,
            seconds_left: None,
            estimated_seconds: Some(2.0),
            workers: 1,
            memory: 1024,
            notes: vec!["it is slow".to_owned()],
            outcome: None,
        };
        assert_eq!(
            printed(&state),
            r#"{"run":2,"process":"Sum","dataset":"/d","file":null,"group":null,"state":"preparing","positions":4,"pending":3,"done":0,"failed":0,"bytes":0,"seconds":0.5,"rate":null,"seconds_left":null,"estimated_seconds":2.0,"workers":1,"memory":1024,"notes":["it is slow"],"outcome":null}"#
        );
        let outcome = Some(RunEnd::Refusal(Refusal::new("no")));
        let line = printed(&RunState { state: RunPhase::Ended, outcome, ..state });
        let end = r#""outcome":{"outcome":"error","message":"no"}}"#;
        assert!(line.contains(r#""state":"ended""#) && line.ends_with(end), "{line}");
    }

    #[test]
    fn small_messages_are_what_a_page_reads() {
        let file = "a.h5".to_owned();
        let page = Page { file: file.clone(), version: "1".to_owned(), may_run: true };
        assert_eq!(printed(&page), r#"{"file":"a.h5","version":"1","may_run":true}"#);
        let view = View { file, address: "http://127.0.0.1:1/".to_owned() };
        assert_eq!(printed(&view), r#"{"file":"a.h5","address":"http://127.0.0.1:1/"}"#);
        let colours = Colours { even: vec![[1, 2, 3]], cyclic: Vec::new() };
        assert_eq!(printed(&colours), r#"{"even":[[1,2,3]],"cyclic":[]}"#);
        assert_eq!(printed(&Begun { run: 1 }), r#"{"run":1}"#);
        assert_eq!(printed(&FileState { changed: 7 }), r#"{"changed":7}"#);
        let survey = "path=%2Fd".to_owned();
        let state = SurveyState { survey, seen: 1, positions: 2, is_complete: false };
        let line = r#"{"survey":"path=%2Fd","seen":1,"positions":2,"is_complete":false}"#;
        assert_eq!(printed(&state), line);
        let none = Message::Run(None);
        assert_eq!(serde_json::to_string(&none).unwrap(), "null");
    }
}

//! The answer of `info`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finite;
use super::status::Group;
use crate::engine::inspect::{
    Chunking, DatasetOverview, FieldOverview, GroupOverview, Problem, Reading,
};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::source_info::SourceInfo;

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// The file, as it was named.
    pub file: String,
    /// Its main datasets.
    pub datasets: Vec<Dataset>,
    /// What there is instead, in a file without a main dataset.
    pub other_datasets: Vec<OtherDataset>,
    /// Its results groups.
    pub groups: Vec<Group>,
}

/// A main dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false))]
pub struct Dataset {
    /// Its path.
    pub path: String,
    /// The file that it lies in, if a link leads there; null if it lies in this one.
    pub linked_file: Option<String>,
    /// The format that it is in, such as `h5USID`.
    pub format: String,
    /// Its shape, in the file's order.
    pub shape: Vec<u64>,
    /// How it is read.
    pub read: ReadBy,
    /// Why it is read by the library, or not at all; null otherwise.
    pub read_because: Option<String>,
    /// How it is chunked; null if it isn't.
    pub chunks: Option<Chunks>,
    /// The fields, if its elements are records, of which one is computed on; left out otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// What it holds, or why it can't be used.
    #[serde(flatten)]
    pub content: Content,
}

/// How a dataset is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadBy {
    /// Straight from the file, row by row.
    Raw,
    /// Straight from the file, and turned round.
    Transposed,
    /// Chunk by chunk, on all workers.
    Chunks,
    /// Straight from the parts that a virtual dataset is put together from.
    Parts,
    /// By the HDF5 library.
    Library,
    /// It can't be read.
    #[serde(rename = "not at all")]
    NotAtAll,
}

impl From<&Reading> for ReadBy {
    fn from(reading: &Reading) -> Self {
        match reading {
            Reading::Direct => Self::Raw,
            Reading::Transposed => Self::Transposed,
            Reading::Chunks => Self::Chunks,
            Reading::Parts(_) => Self::Parts,
            Reading::Library(_) => Self::Library,
        }
    }
}

/// How a dataset is chunked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chunks {
    /// Length of a chunk on each axis.
    pub shape: Vec<u64>,
    /// Chunks that are stored.
    pub count: u64,
    /// Bytes of all of them.
    pub stored_bytes: u64,
    /// The filters, in the order in which they were applied.
    pub filters: Vec<String>,
}

/// What a dataset holds, or why it can't be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Content {
    /// It can be computed on.
    Usable(Described),
    /// It can't.
    Unusable {
        /// Why it can't be used, in one line.
        problem: String,
    },
}

/// What a dataset holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// Its keys are among others of the dataset, which together are all that there are.
#[schemars(!deny_unknown_fields)]
pub struct Described {
    /// What was measured; empty if the file doesn't tell.
    pub quantity: String,
    /// Units of the values; empty if the file doesn't tell.
    pub units: String,
    /// Element type of the values; of records that of their first field of numbers.
    pub element_type: String,
    /// Positions of the scan.
    pub positions: u64,
    /// Values at each position.
    pub spectral_points: usize,
    /// Bytes of all values.
    pub bytes: u64,
    /// Whether the positions are all combinations of the steps of their axes.
    pub full_grid: bool,
    /// What isn't taken as the file has it.
    pub notes: Vec<String>,
    /// Which axes of the array are positions, the slowest first.
    pub position_axes: Vec<usize>,
    /// The axes of the scan, the slowest first.
    pub position_dimensions: Vec<Axis>,
    /// The axes of what was measured at each position, the slowest first.
    pub spectroscopic_dimensions: Vec<Axis>,
}

/// A field of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its element type, or what it holds instead of numbers.
    pub holds: String,
    /// Whether it can be computed on.
    pub is_number: bool,
}

/// An axis, by its ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Its label.
    pub name: String,
    /// Units of its values.
    pub units: String,
    /// How many steps it has.
    pub length: usize,
    /// Its first value.
    pub first: Option<f64>,
    /// Its last value.
    pub last: Option<f64>,
    /// Whether values are sums over the width of a step.
    pub binned: bool,
}

/// A dataset that can't be computed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherDataset {
    /// Its path.
    pub path: String,
    /// What it holds.
    pub holds: String,
}

impl Info {
    /// What was found in a file; `words` says in one line why a dataset can't be used.
    pub fn of(
        file: &Path,
        (datasets, others): (&[DatasetOverview], &[(String, String)]),
        groups: &[GroupOverview],
        words: impl Fn(&Problem) -> String,
    ) -> Self {
        let others = others.iter().cloned();
        Self {
            file: file.to_string_lossy().into_owned(),
            datasets: datasets.iter().map(|dataset| Dataset::of(dataset, &words)).collect(),
            other_datasets: others.map(|(path, holds)| OtherDataset { path, holds }).collect(),
            groups: groups.iter().map(Group::from).collect(),
        }
    }
}

impl Dataset {
    fn of(dataset: &DatasetOverview, words: impl Fn(&Problem) -> String) -> Self {
        let (read, read_because) = match &dataset.reading {
            Ok(reading @ Reading::Library(why)) => (reading.into(), Some(why.clone())),
            Ok(reading) => (reading.into(), None),
            Err(problem) => (ReadBy::NotAtAll, Some(words(problem))),
        };
        let linked_file = dataset.linked_file.as_ref();
        Self {
            path: dataset.path.clone(),
            linked_file: linked_file.map(|file| file.to_string_lossy().into_owned()),
            format: dataset.format.name().to_owned(),
            shape: dataset.shape.clone(),
            read,
            read_because,
            chunks: dataset.chunking.as_ref().map(Chunks::from),
            fields: dataset.fields.iter().map(Field::from).collect(),
            content: match &dataset.content {
                Ok(info) => Content::Usable(Described::of(dataset, info)),
                Err(problem) => Content::Unusable { problem: words(problem) },
            },
        }
    }
}

impl From<&FieldOverview> for Field {
    fn from(field: &FieldOverview) -> Self {
        let FieldOverview { name, holds, is_number } = field.clone();
        Self { name, holds, is_number }
    }
}

impl From<&Chunking> for Chunks {
    fn from(chunking: &Chunking) -> Self {
        let Chunking { shape, count, stored_bytes, filters } = chunking.clone();
        Self { shape, count, stored_bytes, filters }
    }
}

impl Described {
    fn of(dataset: &DatasetOverview, info: &SourceInfo) -> Self {
        let axes = |axes: &[Dimension]| axes.iter().map(Axis::from).collect();
        Self {
            quantity: info.quantity.clone(),
            units: info.units.clone(),
            element_type: info.element.to_string(),
            positions: info.positions,
            spectral_points: info.spectral_points,
            bytes: dataset.bytes(info),
            full_grid: dataset.full_grid,
            notes: dataset.notes.clone(),
            position_axes: dataset.position_axes.clone(),
            position_dimensions: axes(&info.position_dimensions),
            spectroscopic_dimensions: axes(&info.spectroscopic_dimensions),
        }
    }
}

impl From<&Dimension> for Axis {
    fn from(axis: &Dimension) -> Self {
        Self {
            name: axis.name.clone(),
            units: axis.units.clone(),
            length: axis.len(),
            first: axis.values.first().and_then(finite),
            last: axis.values.last().and_then(finite),
            binned: axis.binned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;
    use crate::formats::PLAIN;
    use pixelmill_core::element::ElementType;

    fn overview(
        content: Result<SourceInfo, Problem>,
        reading: Result<Reading, Problem>,
    ) -> DatasetOverview {
        DatasetOverview {
            path: "/d".to_owned(),
            linked_file: None,
            content,
            full_grid: true,
            format: PLAIN,
            reading,
            shape: vec![4, 10],
            position_axes: vec![0],
            chunking: None,
            notes: Vec::new(),
            fields: Vec::new(),
            record_bytes: None,
        }
    }

    fn info(datasets: &[DatasetOverview]) -> Info {
        let others = [("/t".to_owned(), "text".to_owned())];
        Info::of(Path::new("a.h5"), (datasets, &others), &[], |problem| match problem {
            Problem::Text(text) => format!("{text}; do something"),
            Problem::Error(error) => error.to_string(),
        })
    }

    #[test]
    fn a_dataset_says_what_it_holds_or_what_its_problem_is() {
        let source = SourceInfo {
            path: "/d".to_owned(),
            positions: 4,
            spectral_points: 10,
            element: ElementType::Float32,
            is_corrected: false,
            quantity: "I".to_owned(),
            units: String::new(),
            position_dimensions: vec![Dimension::new("Y", "um", vec![0.0, f64::NAN])],
            spectroscopic_dimensions: Vec::new(),
            auxiliary: Vec::new(),
            constants: Vec::new(),
            selected: None,
        };
        let chunking = Chunking {
            shape: vec![1, 10],
            count: 4,
            stored_bytes: 160,
            filters: vec!["gzip".to_owned()],
        };
        let usable = DatasetOverview {
            chunking: Some(chunking),
            linked_file: Some("b.h5".into()),
            ..overview(Ok(source), Ok(Reading::Library("it is compact".to_owned())))
        };
        let problem = || Problem::Text("it is odd".to_owned());
        let line = printed(&info(&[usable, overview(Err(problem()), Err(problem()))]));
        assert_eq!(
            line,
            r#"{"file":"a.h5","datasets":[{"path":"/d","linked_file":"b.h5","format":"plain HDF5","shape":[4,10],"read":"library","read_because":"it is compact","chunks":{"shape":[1,10],"count":4,"stored_bytes":160,"filters":["gzip"]},"quantity":"I","units":"","element_type":"float32","positions":4,"spectral_points":10,"bytes":160,"full_grid":true,"notes":[],"position_axes":[0],"position_dimensions":[{"name":"Y","units":"um","length":2,"first":0.0,"last":null,"binned":false}],"spectroscopic_dimensions":[]},{"path":"/d","linked_file":null,"format":"plain HDF5","shape":[4,10],"read":"not at all","read_because":"it is odd; do something","chunks":null,"problem":"it is odd; do something"}],"other_datasets":[{"path":"/t","holds":"text"}],"groups":[]}"#
        );
    }

    #[test]
    fn ways_of_reading_have_words_of_their_own() {
        for (reading, word) in [
            (Reading::Direct, "raw"),
            (Reading::Transposed, "transposed"),
            (Reading::Chunks, "chunks"),
            (Reading::Parts(3), "parts"),
        ] {
            let dataset = overview(Err(Problem::Text(String::new())), Ok(reading));
            let line = printed(&info(&[dataset]));
            assert!(line.contains(&format!(r#""read":"{word}","read_because":null"#)), "{line}");
        }
    }
}

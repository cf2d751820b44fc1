//! Making results groups: all datasets with their bytes in place, in the form of their source's
//! format.

use serde_json::{Map, Value};

use super::format::Format;
use super::plain::PLAIN;
use super::{arrays, h5usid};
use crate::storage::attributes;
use crate::storage::container::{Dataset, Group};
use crate::storage::refused::Refused;
use crate::storage::results_group::{
    Column, FOLDED, Folded, PositionTables, RESULTS, create_checkpoint, create_markers, listed,
};
use pixelmill_core::column_layout::Constant;
use pixelmill_core::dimension::Dimension;

/// Everything that a new results group is made from.
pub(crate) struct Blueprint<'a> {
    /// Path of the group that it goes into.
    pub parent: &'a str,
    /// `<Dataset>-<Process>`, without its number.
    pub stem: String,
    pub positions: u64,
    pub columns: Vec<Column<'a>>,
    /// What is the same for all positions.
    pub constants: &'a [Constant],
    /// What all positions are folded into.
    pub folded: Option<Folded<'a>>,
    /// Texts about the run that every group has.
    pub texts: Vec<(&'static str, String)>,
    pub provenance: Identification,
    pub parameters: &'a Map<String, Value>,
    /// Path of the source dataset, if it is in the same file.
    pub source: Option<&'a str>,
    pub form: Form<'a>,
}

/// What tells the results of a group from all others.
pub(crate) struct Identification {
    /// Where the source is, if it is in another file, and inputs that have to be looked for.
    pub source: Vec<(&'static str, String)>,
    /// What was computed, from which data, and the hash of that.
    pub hash: Vec<(&'static str, String)>,
    pub process_version: u32,
}

impl Identification {
    /// Writes it into a group, in place of what says otherwise. A group with a hash keeps it:
    /// whoever uses it has compared that.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn renew(&self, group: &Group) -> Result<(), Refused> {
        let is_hashed = group.has_attribute("parameter_hash");
        let hash = if is_hashed { &[] } else { self.hash.as_slice() };
        for (name, text) in self.source.iter().chain(hash) {
            attributes::replace_string(group, name, text)?;
        }
        if is_hashed {
            return Ok(());
        }
        attributes::remove(group, "process_version")?;
        attributes::write_integer(group, "process_version", self.process_version.into())
    }

    /// Writes it into a group, in place of everything that says otherwise.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn replace(&self, group: &Group) -> Result<(), Refused> {
        attributes::remove(group, "parameter_hash")?;
        self.renew(group)
    }
}

/// How results are laid out and described.
pub(crate) enum Form<'a> {
    /// Main datasets of h5USID.
    Usid(UsidPositions<'a>),
    /// Arrays with the axes of the scan and dimension scales.
    Axes { positions: &'a [Dimension], format: Format },
}

/// Which tables of the positions main datasets of h5USID refer to.
pub(crate) enum UsidPositions<'a> {
    /// Those of the source.
    Shared(&'a PositionTables),
    /// Copies of those of a source in another file.
    CopiedFrom(&'a Dataset),
    /// Their own, of the full grid of these axes, slowest first.
    Own(&'a [Dimension]),
}

/// Creates a results group, all its datasets with their bytes in place; returns its path.
///
/// # Errors
/// If they can't be written.
pub(crate) fn create(file: &Group, blueprint: &Blueprint<'_>) -> Result<String, Refused> {
    let parent = file.group(blueprint.parent)?;
    let name = format!("{}_{:03}", blueprint.stem, next_number(&parent, &blueprint.stem)?);
    let group = parent.create_group(&name)?;
    write_provenance(&group, blueprint)?;
    match &blueprint.form {
        Form::Usid(positions) => {
            h5usid::create_columns(&group, &blueprint.columns, positions)?;
        }
        Form::Axes { positions, format } => {
            arrays::create_columns(file, &group, &blueprint.columns, positions, *format)?;
        }
    }
    for constant in blueprint.constants {
        arrays::create_constant(&group, constant)?;
    }
    create_markers(&group, blueprint.positions)?;
    if let Some(folded) = &blueprint.folded {
        let format = match &blueprint.form {
            Form::Usid(_) => PLAIN,
            Form::Axes { format, .. } => *format,
        };
        arrays::create_folded(file, &group, &folded.columns, format)?;
        folded.checkpoint.map_or(Ok(()), |bytes| create_checkpoint(&group, bytes))?;
    }
    Ok(group.name())
}

/// One more than the highest number that groups of this name have.
fn next_number(parent: &Group, stem: &str) -> Result<u32, Refused> {
    let numbers = parent
        .member_names()?
        .into_iter()
        .filter_map(|name| name.strip_prefix(stem)?.strip_prefix('_')?.parse::<u32>().ok());
    Ok(numbers.max().map_or(0, |highest| highest + 1))
}

fn write_provenance(group: &Group, blueprint: &Blueprint<'_>) -> Result<(), Refused> {
    for (name, text) in &blueprint.texts {
        attributes::write_string(group, name, text)?;
    }
    blueprint.provenance.renew(group)?;
    attributes::write_string(group, RESULTS, &listed(&blueprint.columns))?;
    if let Some(folded) = &blueprint.folded {
        attributes::write_string(group, FOLDED, &listed(&folded.columns))?;
    }
    attributes::write_integer(group, "num_source_dsets", 1)?;
    if let Some(dataset) = blueprint.source {
        attributes::write_reference(group, "source_000", dataset)?;
        if matches!(blueprint.form, Form::Axes { .. }) {
            attributes::write_string(group, "source_dataset_path", dataset)?;
        }
    }
    for (name, value) in blueprint.parameters {
        attributes::write_json(group, name, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples::zeros;
    use super::*;
    use crate::storage::memory::Memory;
    use crate::storage::results_group::{self, results_groups};
    use pixelmill_core::axis_values::AxisValues;
    use pixelmill_core::column_layout::ColumnLayout;

    /// A container with data of two times three positions.
    fn data() -> Memory {
        let memory = Memory::new();
        zeros(memory.root(), "data", &[2, 3, 4]);
        memory
    }

    /// Creates a results group for the sum of each spectrum, in a transaction that is committed if
    /// nothing fails.
    fn create_sums(memory: &Memory) -> pixelmill_core::error::Result<String> {
        let layout = ColumnLayout::new("Sum", "Current", "nA", Vec::new()).with::<f32>(None);
        let axis = |name: &str, length| Dimension::new(name, "nm", AxisValues::counted(length));
        let positions = [axis("y", 2), axis("x", 3)];
        let (shape, axes) = (vec![2, 3], Vec::new());
        let parameters = Map::from_iter([("order".to_owned(), Value::from(3))]);
        let blueprint = Blueprint {
            parent: "/",
            stem: "data-Sum".to_owned(),
            positions: 6,
            columns: vec![Column { layout: &layout, shape, positions_axes: 2, axes }],
            constants: &[],
            folded: None,
            texts: vec![("tool", "Sum".to_owned())],
            provenance: Identification {
                source: Vec::new(),
                hash: vec![("parameter_hash", "ab".to_owned())],
                process_version: 1,
            },
            parameters: &parameters,
            source: Some("/data"),
            form: Form::Axes { positions: &positions, format: PLAIN },
        };
        let transaction = memory.begin();
        let path = create(transaction.file(), &blueprint)
            .map_err(|refused| transaction.error("create a results group in", &refused))?;
        transaction.commit()?;
        let group = memory.root().group(&path).unwrap();
        let file = memory.opened();
        let places = results_group::places(&group, &file.raw, (&blueprint.columns, None), 6);
        assert_eq!(places.unwrap().columns.len(), 1);
        Ok(path)
    }

    #[test]
    fn a_results_group_says_what_it_is_and_has_its_bytes_in_place() {
        let memory = data();
        assert_eq!(create_sums(&memory).unwrap(), "/data-Sum_000");
        assert_eq!(create_sums(&memory).unwrap(), "/data-Sum_001");
        let groups = results_groups(memory.root());
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[1].tool.as_str(), groups[1].number), ("Sum", 1));
        assert_eq!(groups[0].source_dataset.as_deref(), Some("/data"));
        assert_eq!(groups[0].parameters["order"], 3);
        let sums = memory.root().dataset("/data-Sum_000/Sum").unwrap();
        assert!(sums.numbers(&sums.whole()).unwrap().iter().all(|sum| sum.is_nan()));
        let scales = sums.scales();
        assert_eq!((scales[0][0].name(), scales[1][0].size()), ("/data-Sum_000/y".to_owned(), 3));
    }

    #[test]
    fn whatever_fails_while_a_results_group_is_created_nothing_of_it_is_there() {
        for fault in [
            "create /data-Sum_000",
            "write /data-Sum_000",
            "create /data-Sum_000/Sum",
            "create /data-Sum_000/x",
            "write /data-Sum_000/Sum",
            "create /data-Sum_000/failed_positions",
            "commit",
        ] {
            let memory = data();
            memory.fail(fault);
            let told = create_sums(&memory).unwrap_err().to_string();
            assert!(told.contains(&format!("{fault} fails")), "{told}");
            assert_eq!(memory.root().member_names().unwrap(), ["data"], "{fault}");
            assert!(results_groups(memory.root()).is_empty(), "{fault}");
        }
    }
}

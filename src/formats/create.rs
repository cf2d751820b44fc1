//! Making results groups: all datasets with their bytes in place, in the form of their source's format.

use serde_json::{Map, Value};

use super::{Format, arrays, h5usid};
use crate::storage::attributes;
use crate::storage::container::{Dataset, Group};
use crate::storage::refused::Refused;
use crate::storage::results_group::{Column, PositionTables, RESULTS, create_markers, listed};
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
    /// Where the source is, if it is in another file.
    pub source: Vec<(&'static str, String)>,
    /// What was computed, from which data, and the hash of that.
    pub hash: Vec<(&'static str, String)>,
    pub process_version: u32,
}

impl Identification {
    /// Writes it into a group, in place of what says otherwise. A group with a hash keeps it: whoever uses
    /// it has compared that.
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
}

/// How results are laid out and described.
pub(crate) enum Form<'a> {
    /// Main datasets of h5USID. The tables of the positions are referred to, or copied from those of a
    /// source in another file.
    Usid { tables: &'a PositionTables, copied_from: Option<&'a Dataset> },
    /// Arrays with the axes of the scan and dimension scales.
    Axes { positions: &'a [Dimension], format: Format },
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
        Form::Usid { tables, copied_from } => {
            h5usid::write::create_columns(&group, &blueprint.columns, tables, *copied_from)?;
        }
        Form::Axes { positions, format } => {
            arrays::create_columns(file, &group, &blueprint.columns, positions, *format)?;
        }
    }
    for constant in blueprint.constants {
        arrays::create_constant(&group, constant)?;
    }
    create_markers(&group, blueprint.positions)?;
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

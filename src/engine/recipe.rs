//! How results were made, told so that they can be made again: of those that were computed from
//! others these first.
//!
//! It is told as far as a group has recorded it; what can't be is said in words.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::inputs::{InputPlace, LiesIn, recorded};
use super::inspect::{
    GroupOverview, allows_rounding, excerpt, field, identity_of, overview, positions_axes,
};
use super::named::named;
use super::selection::Selection;
use super::taken::{Taken, file_of, inputs, source};
use super::verification::changed;
use super::{Along, Asked, CorrectionPaths};
use crate::engine::data::Data;
use crate::engine::job::Job;
use crate::identity::SelectionIdentity;
use crate::position_grid::PositionGrid;
use crate::source;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::file_state::FileId;
use crate::storage::results_group::{self, Provenance, results_groups};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::InputPath;
use pixelmill_core::positions::runs;

/// How a results group was made.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The file that it is in.
    pub file: PathBuf,
    /// What it is.
    pub overview: GroupOverview,
    /// The version of the process, if it is told.
    pub version: Option<u64>,
    /// Whether it was made by a function or a class in Python.
    pub is_python: bool,
    /// The file of its source, if that is there.
    pub source_file: Option<PathBuf>,
    /// Path of its source there, if it is told.
    pub dataset: Option<String>,
    /// Whether its results are in another file than the source.
    pub is_apart: bool,
    /// The axes of the source that were taken as positions, where the source doesn't say the same.
    pub positions_axes: Option<Vec<usize>>,
    /// The field of records that was computed on.
    pub field: Option<String>,
    /// The steps of each axis of a position's values, if any were chosen.
    pub crop: Option<String>,
    /// The axes that spectra run along, if they were chosen.
    pub along: Option<String>,
    /// What was done to all spectra alike, by names that lead there from here.
    pub corrections: CorrectionPaths,
    /// Whether values may be rounded.
    pub allow_rounding: bool,
    /// The positions that were folded, if not all were.
    pub positions: Option<String>,
    /// What it doesn't tell, or that has to be known besides, in words.
    pub notes: Vec<String>,
}

/// How the results groups of a file were made, or those that `wanted` names: those that others were
/// computed from before these, wherever they are.
///
/// # Errors
/// If the file can't be read, or has no such group.
pub fn recipes(path: &Path, wanted: Option<&str>) -> Result<Vec<Recipe>> {
    let file = open_read(path)?;
    let all = results_groups(&file);
    let meant: Vec<Provenance> = match wanted {
        Some(wanted) => named(&all, wanted, path)?.into_iter().cloned().collect(),
        None => all,
    };
    let mut chain = Chain::default();
    for group in &meant {
        chain.add(&file, group, Vec::new())?;
    }
    Ok(chain.recipes)
}

/// Groups with those that they were computed from before them.
#[derive(Default)]
struct Chain {
    seen: Vec<(FileId, String)>,
    recipes: Vec<Recipe>,
}

impl Chain {
    fn add(&mut self, file: &ReadFile, group: &Provenance, mut notes: Vec<String>) -> Result<()> {
        let key = (file.id(), group.path.clone());
        if self.seen.contains(&key) {
            return Ok(());
        }
        self.seen.push(key);
        for taken in source(group, &file.path).into_iter().chain(inputs(group, file)) {
            self.add_holder(&taken, &mut notes)?;
        }
        let recipe = recipe(file, group, notes)?;
        self.recipes.push(recipe);
        Ok(())
    }

    /// Adds the results group that a dataset is of, if it is of one.
    fn add_holder(&mut self, taken: &Taken, notes: &mut Vec<String>) -> Result<()> {
        // An array of NumPy's is in no container.
        let Ok(file) = open_read(&taken.file) else { return Ok(()) };
        if taken.path != "/" && file.member(&taken.path).is_none() {
            notes.push(format!("{} isn't in {} any more", taken.path, taken.file.display()));
        }
        let holds = |group: &Provenance| {
            let rest = taken.path.strip_prefix(&group.path);
            group.linked_file.is_none()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let all = results_groups(&file);
        let holder = all.iter().filter(|group| holds(group)).max_by_key(|group| group.path.len());
        let Some(holder) = holder else { return Ok(()) };
        self.add(&file, holder, numbered_before_others(holder, &all).into_iter().collect())
    }
}

/// What has to be known of a group that others take by its name, if one that is made anew would get
/// another.
fn numbered_before_others(group: &Provenance, all: &[Provenance]) -> Option<String> {
    fn stem(path: &str) -> &str {
        path.rsplit_once('_').map_or(path, |(stem, _)| stem)
    }
    let like = all.iter().filter(|other| stem(&other.path) == stem(&group.path));
    let highest = like.map(|other| other.number).max().filter(|highest| *highest > group.number)?;
    let next = highest + 1;
    Some(format!(
        "what follows takes it by its name; if it is gone, a new one is called {}_{next:03}",
        stem(&group.path)
    ))
}

fn recipe(file: &ReadFile, group: &Provenance, mut notes: Vec<String>) -> Result<Recipe> {
    let overview = overview(file, group)?;
    let home = group.linked_file.clone().unwrap_or_else(|| file.path.clone());
    let identity = identity_of(group);
    let parameters = &overview.parameters;
    let is_python = parameters.keys().any(|name| name.starts_with("python_"));
    let source = source(group, &home);
    let (crop, along) = excerpt(group);
    let along = along.map(|along| told_along(&along, identity.as_ref()));
    let mut recipe = Recipe {
        version: identity.as_ref().and_then(|told| told.get("process_version")?.as_u64()),
        is_python,
        dataset: source.as_ref().map(|source| source.path.clone()),
        is_apart: group.source_file_path.is_some(),
        positions_axes: positions_axes(group),
        field: field(group),
        crop: crop.map(|crop| crop.to_string()),
        along,
        corrections: overview.corrections.clone(),
        allow_rounding: allows_rounding(group),
        positions: None,
        notes: Vec::new(),
        source_file: source.map(|source| source.file),
        overview,
        file: home,
    };
    recipe.spare_axes();
    if let Ok(opened) = file.group(&group.path) {
        let places = recorded(&opened);
        notes.extend(inputs_elsewhere(&recipe.overview.parameters, &places, &recipe.file));
        let corrections = &mut recipe.corrections;
        for named in [&mut corrections.dark, &mut corrections.gain, &mut corrections.dead_pixels] {
            *named = named.take().map(|named| from_here(named, &places, &recipe.file));
        }
    }
    match selection(file, group, &recipe) {
        Ok(positions) => recipe.positions = positions,
        Err(reason) => notes.push(format!("which positions it is of can't be told: {reason}")),
    }
    recipe.notes = notes;
    Ok(recipe)
}

impl Recipe {
    /// Leaves the axes of positions out where the source says the same.
    fn spare_axes(&mut self) {
        let told = || {
            let file = open_read(self.source_file.as_ref()?).ok()?;
            let path = self.dataset.as_ref()?;
            let dataset = file.dataset(path).ok()?;
            let stored = source::values(&file, path, &dataset, self.field.as_deref()).ok()?;
            source::describe(&file, path, &dataset, stored.element, None).ok()
        };
        if told().map(|told| told.view.positions) == self.positions_axes {
            self.positions_axes = None;
        }
    }
}

/// Axes by their names, where each has one of its own that can be typed, else by their numbers.
fn told_along(along: &Along, identity: Option<&Value>) -> String {
    let Along::Numbered(numbers) = along else { return along.to_string() };
    let axes = || {
        let axes = identity?.get("source")?.get("spectroscopic_dimensions")?.as_array()?.clone();
        let name = |axis: &Value| axis.get("name")?.as_str().map(str::to_owned);
        axes.iter().map(name).collect::<Option<Vec<String>>>()
    };
    let names = axes().unwrap_or_default();
    let of_spectrum = &names[names.len().saturating_sub(numbers.len())..];
    let is_plain = |name: &String| {
        let is_one = names.iter().filter(|other| *other == name).count() == 1;
        is_one && name.trim() == name && !name.contains(',') && name.parse::<usize>().is_err()
    };
    let are_plain = of_spectrum.iter().all(is_plain) && !of_spectrum.contains(&String::new());
    if are_plain && of_spectrum.len() == numbers.len() {
        of_spectrum.join(",")
    } else {
        along.to_string()
    }
}

/// What has to be known of inputs that parameters name.
fn inputs_elsewhere(
    parameters: &Map<String, Value>,
    places: &[InputPlace],
    results: &Path,
) -> Vec<String> {
    let named = |place: &&InputPlace| {
        parameters.values().any(|value| value.as_str() == Some(place.named.as_str()))
    };
    let told = |place: &InputPlace| match &place.lies_in {
        LiesIn::File { path, .. } => {
            let meant = file_of(place, results).unwrap_or_else(|| path.into());
            let is_there = leads_to(&place.named, &meant);
            let text =
                format!("`{}` was {}: start it where it leads there", place.named, meant.display());
            (!is_there).then_some(text)
        }
        LiesIn::Source | LiesIn::Results => {
            let named = match InputPath::from(place.named.as_str()) {
                InputPath::InFile { path, .. } => path,
                _ => place.named.clone(),
            };
            let is_plain = named.trim_matches('/') == place.dataset.trim_matches('/');
            (!is_plain).then(|| format!("`{}` stood for {}", place.named, place.dataset))
        }
    };
    places.iter().filter(named).filter_map(told).collect()
}

/// Whether the file that an input is named by is this one.
fn leads_to(named: &str, meant: &Path) -> bool {
    match InputPath::from(named) {
        InputPath::Npy(file) | InputPath::InFile { file, .. } => FileId::at(&file)
            .ok()
            .zip(FileId::at(meant).ok())
            .is_some_and(|(one, other)| one == other),
        InputPath::Here(_) => true,
    }
}

/// What a correction is called from here: by its file's whole path where the name that it had leads
/// elsewhere.
fn from_here(named: String, places: &[InputPlace], results: &Path) -> String {
    let place = places.iter().find(|place| place.named == named);
    let file = place.and_then(|place| file_of(place, results));
    let Some(file) = file.filter(|file| !leads_to(&named, file)) else { return named };
    match InputPath::from(named.as_str()) {
        InputPath::InFile { path, .. } => format!("{}:{path}", file.display()),
        _ => file.display().to_string(),
    }
}

/// The positions that were folded, if not all were: as they were asked for, if that is still
/// known and still means the same, else as they are marked.
fn selection(
    file: &ReadFile,
    group: &Provenance,
    recipe: &Recipe,
) -> Result<Option<String>, String> {
    let identity = identity_of(group);
    let told = identity.as_ref().and_then(|identity| identity.get("selection"));
    let Some(told) = told else { return Ok(None) };
    let wanted = told.get("sha256").and_then(Value::as_str).unwrap_or_default().to_owned();
    let positions = recipe.overview.positions;
    if let Some(text) = asked_for(&group.last_run)
        && let Some(found) = selected(&text, recipe)
        && found.sha256 == wanted
    {
        return Ok(Some(text));
    }
    let opened = file.group(&group.path).map_err(|refused| refused.to_string())?;
    let status = results_group::status(file.handle(), &opened, positions);
    let status = status.map_err(|reason| reason.to_string())?;
    let mut ranges: Vec<String> = Vec::new();
    let each = status.each_window(|first, marks| {
        ranges.extend(runs::of_marks(first, marks).map(|run| format!("{}:{}", run.start, run.end)));
        true
    });
    each.map_err(|error| error.to_string())?;
    let marked = SelectionIdentity::of(positions, |first, marks| {
        let mut own = vec![0; marks.len()];
        status.read(first, &mut own)?;
        marks.copy_from_slice(&own);
        Ok::<(), Error>(())
    });
    let marked = marked.map_err(|error| error.to_string())?;
    if marked.sha256 != wanted {
        return Err(format!("only {} of them are in", marked.positions));
    }
    Ok(Some(format!("[{}]", ranges.join(","))))
}

/// The positions that a run has noted that it was asked for, unless they were too long for a note.
fn asked_for(last_run: &str) -> Option<String> {
    let (_, rest) = last_run.split_once(", positions ")?;
    let (text, _) = rest.rsplit_once(", since ")?;
    (!text.ends_with('…')).then(|| text.to_owned())
}

/// What a selection is of the source's positions.
fn selected(text: &str, recipe: &Recipe) -> Option<SelectionIdentity> {
    let selection: Selection = text.parse().ok()?;
    let file = open_read(recipe.source_file.as_ref()?).ok()?;
    let path = recipe.dataset.as_ref()?;
    let dataset = file.dataset(path).ok()?;
    let stored = source::values(&file, path, &dataset, recipe.field.as_deref()).ok()?;
    let axes = recipe.positions_axes.as_deref();
    let told = source::describe(&file, path, &dataset, stored.element, axes).ok()?;
    let grid: PositionGrid = told.grid;
    selection.selected(&grid, &file).ok()?.identity(&grid).ok()
}

/// In what a computation, as it would be begun now, isn't the one that a results group holds.
///
/// # Errors
/// If it can't be begun.
pub fn recorded_difference(asked: &Asked, results: &Path, group: &str) -> Result<Option<String>> {
    let source = open_read(&asked.request.file)?;
    let job = Job::open(&asked.kernel, &source, &asked.request, &Data::default())?;
    let file = open_read(results)?;
    let opened = file.group(group).map_err(|refused| refused.on_object("read", results, group))?;
    Ok(changed(&results_group::provenance(&opened, group), &job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_known_from_the_note_of_a_run_if_it_has_them_whole() {
        for (note, expected) in [
            ("host a, pid 1, positions 0:10, 5:7, since 2026-01-02 03:04:05", Some("0:10, 5:7")),
            ("host a, pid 1, positions 0:10,2…, since 2026-01-02 03:04:05", None),
            ("host a, pid 1, since 2026-01-02 03:04:05", None),
            ("", None),
        ] {
            assert_eq!(asked_for(note).as_deref(), expected, "{note}");
        }
    }

    #[test]
    fn axes_are_told_by_names_that_can_be_typed() {
        let identity = |names: &[&str]| {
            let axes: Vec<_> =
                names.iter().map(|name| serde_json::json!({ "name": name })).collect();
            serde_json::json!({ "source": { "spectroscopic_dimensions": axes } })
        };
        let told =
            |names: &[&str]| told_along(&Along::Numbered(vec![2, 1]), Some(&identity(names)));
        assert_eq!(told(&["Cycle", "Bias", "Time"]), "Bias,Time");
        for names in
            [&["Cycle", "Bias", ""][..], &["Bias", "Time", "Bias"], &["C", "1", "B"], &["B"]]
        {
            assert_eq!(told(names), "2,1", "{names:?}");
        }
        assert_eq!(told(&["a,b", "Bias", "Time"]), "Bias,Time");
        assert_eq!(told_along(&Along::Numbered(vec![0]), None), "0");
    }
}

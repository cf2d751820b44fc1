//! What is meant by a name: a dataset, a results group, or what the file is about.

use super::heading::Heading;
use super::overview::Subject;
use super::states::States;
use super::{Picture, Pixel, Shown, Wanted};
use crate::engine::inputs::lack_around;
use crate::engine::inspect::positions_axes;
use crate::engine::probe::split_units;
use crate::source::{self, AskedAxes, Source, main_datasets, normalised};
use crate::storage::container::{Dataset, Kind};
use crate::storage::file::ReadFile;
use crate::storage::results_group::{self, Provenance, results_groups};
use crate::storage::walk::{Visited, walk};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::SpectrumAxes;
use pixelmill_core::parameters::nearest;

/// Pictures that are drawn at most.
const MOST_PICTURES: usize = 24;

/// What there is to see of what is wanted, and the datasets that it is taken from, or fields of
/// them.
///
/// # Errors
/// If there is no such thing, or nothing to see of it.
pub(super) fn shown(file: &ReadFile, wanted: &Wanted) -> Result<(Shown, Vec<Subject>)> {
    let mut subjects = Vec::new();
    let groups = results_groups(file);
    let shown = match meant(file, wanted.path.as_deref(), &groups)? {
        Meant::Dataset(path) => {
            let pictures = of_dataset(file, &path, wanted, &mut subjects)?;
            Shown { path, pictures, left_out: Vec::new(), others: Vec::new() }
        }
        Meant::Group(path) => of_group(file, path, wanted, &mut subjects)?,
    };
    let paths = main_datasets(file).into_iter().chain(groups.into_iter().map(|group| group.path));
    // A group is no other of what is in it.
    let is_other = |path: &String| !format!("{}/", shown.path).starts_with(&format!("{path}/"));
    let others = paths.filter(is_other).collect();
    Ok((Shown { others, ..shown }, subjects))
}

enum Meant {
    Dataset(String),
    Group(String),
}

fn meant(file: &ReadFile, wanted: Option<&str>, groups: &[Provenance]) -> Result<Meant> {
    let Some(wanted) = wanted else { return most_likely(file, groups) };
    let path = normalised(wanted);
    match file.member(&path) {
        Some((_, Kind::Dataset)) => return Ok(Meant::Dataset(path)),
        Some(_) if groups.iter().any(|group| group.path == path) => return Ok(Meant::Group(path)),
        _ => {}
    }
    let known = known(file, groups);
    // Of a results group also without the name of what it was computed from.
    let ends = ["/", "-"].map(|before| format!("{before}{}", wanted.trim_matches('/')));
    let ends = |(path, _): &&(String, bool)| {
        !wanted.starts_with('/') && ends.iter().any(|end| path.ends_with(end))
    };
    let named: Vec<&(String, bool)> = known.iter().filter(ends).collect();
    let refused = |reason| Err(Error::Argument { argument: wanted.to_owned(), reason });
    match named.as_slice() {
        [(path, true)] => Ok(Meant::Group(path.clone())),
        [(path, false)] => Ok(Meant::Dataset(path.clone())),
        [] => {
            if let Some(link) = file.broken_link(&path) {
                return refused(link);
            }
            let names = || known.iter().map(|(path, _)| path.as_str());
            let ends = names().flat_map(|path| {
                let name = path.rsplit('/').next().unwrap_or(path);
                [name, name.rsplit('-').next().unwrap_or(name)]
            });
            let near = nearest(wanted, ends).or_else(|| nearest(&path, names()));
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            let datasets = main_datasets(file);
            let all = datasets.iter().chain(groups.iter().map(|group| &group.path));
            refused(format!(
                "{} has no dataset or results group of that name{}",
                file.path.display(),
                near.unwrap_or_else(|| listed(all.map(String::as_str)))
            ))
        }
        several => {
            let paths: Vec<&str> = several.iter().map(|(path, _)| path.as_str()).collect();
            refused(format!("it has to be clear which: {}", paths.join(", ")))
        }
    }
}

/// `; it has /a, /b …`.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let names: Vec<&str> = names.collect();
    let more = if names.len() > MOST { " …" } else { "" };
    let first: Vec<&str> = names.into_iter().take(MOST).collect();
    if first.is_empty() { String::new() } else { format!("; it has {}{more}", first.join(", ")) }
}

/// What a file is about that somebody names alone: its main dataset, or the results in it.
fn most_likely(file: &ReadFile, groups: &[Provenance]) -> Result<Meant> {
    let mut datasets = main_datasets(file);
    match (datasets.len(), groups) {
        (1, _) => Ok(Meant::Dataset(datasets.remove(0))),
        (0, [only]) => Ok(Meant::Group(only.path.clone())),
        (0, []) => {
            let others = source::others(file).into_iter();
            let others = others.map(|(path, why)| format!("{path} ({why})"));
            let others: Vec<String> = others.collect();
            Err(Error::Argument {
                argument: file.path.display().to_string(),
                reason: format!(
                    "no data are found to be shown{}",
                    listed(others.iter().map(String::as_str))
                ),
            })
        }
        _ => {
            let groups = groups.iter().map(|group| group.path.as_str());
            let all = listed(datasets.iter().map(String::as_str).chain(groups));
            Err(Error::Argument {
                argument: file.path.display().to_string(),
                reason: format!("say behind it what to show{all}"),
            })
        }
    }
}

/// All datasets and results groups of a file; of these it is true.
fn known(file: &ReadFile, groups: &[Provenance]) -> Vec<(String, bool)> {
    let mut known: Vec<(String, bool)> =
        groups.iter().map(|group| (group.path.clone(), true)).collect();
    walk(file, &mut |path, visited| {
        if let Visited::Dataset(_) = visited {
            known.push((path.to_owned(), false));
        }
    });
    known
}

/// The path of the dataset that is meant.
///
/// # Errors
/// If there is no such dataset, or a whole results group is meant.
pub(super) fn dataset(file: &ReadFile, wanted: Option<&str>) -> Result<String> {
    match meant(file, wanted, &results_groups(file))? {
        Meant::Dataset(path) => Ok(path),
        Meant::Group(path) => {
            let group = file.group(&path).map(|group| results_group::datasets(&group));
            let names = group.unwrap_or_default();
            let names = listed(names.iter().map(String::as_str));
            let reason = format!("say which of the datasets of this results group{names}");
            Err(Error::Argument { argument: path, reason })
        }
    }
}

fn of_group(
    file: &ReadFile,
    path: String,
    wanted: &Wanted,
    subjects: &mut Vec<Subject>,
) -> Result<Shown> {
    let names = file.group(&path).map(|group| results_group::datasets(&group)).unwrap_or_default();
    let mut pictures: Vec<Picture> = Vec::new();
    let mut left_out = Vec::new();
    for name in names {
        let dataset = format!("{path}/{name}");
        if pictures.len() >= MOST_PICTURES {
            let reason = format!("{} pictures are shown already", pictures.len());
            left_out.push((dataset, reason));
            continue;
        }
        let before = subjects.len();
        match of_dataset(file, &dataset, wanted, subjects) {
            Ok(more) => pictures.extend(more),
            Err(error @ (Error::NoSuchPosition { .. } | Error::NoFieldOfRecords { .. })) => {
                return Err(error);
            }
            Err(error) => {
                subjects.truncate(before);
                left_out.push((dataset, error.to_string()));
            }
        }
    }
    if pictures.is_empty() {
        let reasons = left_out.iter().map(|(path, reason)| format!("`{path}`: {reason}"));
        let reasons: Vec<String> = reasons.collect();
        let reason = match reasons.is_empty() {
            true => "there are no results in it".to_owned(),
            false => format!("nothing of it can be drawn: {}", reasons.join("; ")),
        };
        return Err(Error::Argument { argument: path, reason });
    }
    Ok(Shown { path, pictures, left_out, others: Vec::new() })
}

/// Pictures of a dataset; of records, of each field.
fn of_dataset(
    file: &ReadFile,
    path: &str,
    wanted: &Wanted,
    subjects: &mut Vec<Subject>,
) -> Result<Vec<Picture>> {
    let undrawable = |reason: String| Error::Argument { argument: path.to_owned(), reason };
    let dataset =
        file.dataset(path).map_err(|refused| refused.on_object("open", &file.path, path))?;
    let fields: Vec<Option<String>> = match (&wanted.field, source::fields(&dataset)) {
        (Some(field), _) => vec![Some(field.clone())],
        (None, fields) if fields.is_empty() => vec![None],
        (None, fields) => {
            let numbers = fields.into_iter().filter(|field| field.is_number);
            numbers.map(|field| Some(field.name)).collect()
        }
    };
    if fields.is_empty() {
        return Err(undrawable("there is nothing to draw: its records hold no numbers".to_owned()));
    }
    let mut pictures = Vec::new();
    for field in fields {
        let axes = wanted.positions_axes.as_deref();
        let found = subject(file, (path, &dataset), field.as_deref(), axes);
        let subject = found.map_err(|error| match error {
            Error::NotMain { reason, .. } => {
                undrawable(format!("there is nothing to draw: {reason}"))
            }
            other => other,
        })?;
        pictures.extend(of_subject(&subject, wanted.pixel.as_ref())?);
        subjects.push(subject);
    }
    Ok(pictures)
}

/// Pictures of all of it, or of one position.
///
/// # Errors
/// If there is no such position, or the values can't be read.
pub(super) fn of_subject(subject: &Subject, pixel: Option<&Pixel>) -> Result<Vec<Picture>> {
    let mut pictures = match pixel {
        Some(pixel) => {
            let position = place(&subject.source, pixel)?;
            subject.of_position(position, &titled(subject, position))?
        }
        None => subject.pictures()?,
    };
    for picture in &mut pictures {
        picture.first_position.take_if(|_| !subject.has_positions);
        picture.notes.extend(subject.notes.iter().cloned());
    }
    Ok(pictures)
}

/// A dataset, or a field of its records, as it is shown.
///
/// # Errors
/// If it can't be understood, or read.
pub(super) fn subject(
    file: &ReadFile,
    (path, dataset): (&str, &Dataset),
    field: Option<&str>,
    axes: Option<&[usize]>,
) -> Result<Subject> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let group = file.group(parent).ok().filter(results_group::is_results_group);
    let folded = group.as_ref().is_some_and(|group| results_group::is_folded(group, name));
    let told = match (axes, &group) {
        (Some(axes), _) => Some(axes.to_vec()),
        // As many values as there are are read piece by piece.
        (None, Some(_)) if folded => Some((0..dataset.ndim()).collect()),
        (None, Some(group)) if dataset.ndim() > 0 => {
            let of = positions_axes(&results_group::provenance(group, parent));
            of.map(|axes| (0..axes.len().min(dataset.ndim())).collect())
        }
        _ => None,
    };
    let mut notes = Vec::new();
    let (mut source, is_told) = opened(file, (path, dataset), field, told.as_deref(), &mut notes)?;
    source.read_own_values(file)?;
    let states = match group.as_ref().filter(|_| !folded) {
        Some(group) => States::of(file, (parent, group), (name, dataset), &source),
        None => Ok(States::default()),
    };
    let states = states.map_err(|reason| Error::Argument {
        argument: path.to_owned(),
        reason: format!("it can't be told which of its values are results: {}", reason.text),
    })?;
    if let Some(lack) = lack_around(file, path)?.filter(|_| folded) {
        notes.push(format!("not of all positions yet: {lack}"));
    }
    let own = source.folder_and_name().1.to_owned();
    let (title, quantity, units) = match field {
        Some(field) => {
            let (quantity, units) = split_units(field);
            (format!("{own} · {quantity}"), quantity.to_owned(), units.to_owned())
        }
        None => (own.clone(), source.info.quantity.clone(), source.info.units.clone()),
    };
    let quantity = if quantity.is_empty() { own } else { quantity };
    let dataset = source.info.path.clone();
    let heading = Heading { dataset, title, quantity, units };
    Ok(Subject { source, states, heading, notes, has_positions: is_told && !folded })
}

/// `Raw_Data: Y 3, X 4`.
fn titled(Subject { source, heading, .. }: &Subject, position: u64) -> String {
    let axes = source.grid.dimensions.iter().zip(source.grid.steps_of(position));
    let steps: Vec<String> = axes.map(|(axis, step)| format!("{} {step}", axis.name)).collect();
    format!("{}: {}", heading.title, steps.join(", "))
}

/// The position that is meant.
///
/// # Errors
/// If there is none.
pub(super) fn place(source: &Source, pixel: &Pixel) -> Result<u64> {
    let found = match pixel {
        Pixel::Number(position) => Some(*position).filter(|at| *at < source.info.positions),
        Pixel::Steps(steps) => source.grid.row_at(steps),
    };
    found.ok_or_else(|| Error::NoSuchPosition {
        positions: source.info.positions,
        axes: source.grid.described(),
    })
}

/// The dataset as positions × spectrum, and whether anybody says so. Where nobody says which axes
/// are positions, an array of
/// more than two axes has two of them first, and of others all are taken for that.
fn opened(
    file: &ReadFile,
    (path, dataset): (&str, &Dataset),
    field: Option<&str>,
    axes: Option<&[usize]>,
    notes: &mut Vec<String>,
) -> Result<(Source, bool)> {
    if dataset.ndim() == 0 {
        return source::open_single(file, (path, dataset), field).map(|source| (source, false));
    }
    let asked = AskedAxes { crop: None, along: None, usual: SpectrumAxes::Any };
    let open = |axes| source::open(file, (Some(path), field), axes, ("Show", &asked));
    let opened = match open(axes) {
        Err(Error::NoPositionsAxes { .. }) if dataset.ndim() > 2 => {
            notes.push(
                "the file doesn't say which axes are positions; the first two are taken".to_owned(),
            );
            open(Some(&[0, 1]))
        }
        Err(Error::NoPositionsAxes { .. }) => {
            open(Some(&(0..dataset.ndim()).collect::<Vec<usize>>()))
        }
        opened => return opened.map(|source| (source, true)),
    };
    opened.map(|source| (source, false))
}

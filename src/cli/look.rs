//! The commands that only look: `list`, `info`, `status`, `verify`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Answer, Ending, Face, hints, show};
use crate::engine::inspect::{
    self, Chunking, DatasetOverview, FieldOverview, GroupOverview, KnownTables, Reading,
};
use crate::engine::{self, Request, Verification};
use crate::storage::file::is_absent;
use crate::wire;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;
use pixelmill_core::parameters::{ParameterInfo, in_words};
use pixelmill_core::registry::{self, Runner};
use pixelmill_core::source_info::SourceInfo;

fn done(text: String, json: wire::Answer) -> Answer {
    Answer { ending: Ending::Done, text, json: Some(json) }
}

/// The processes and their parameters.
pub(crate) fn list(registry: &[&dyn Runner], process: Option<&str>) -> Result<Answer> {
    let chosen = match process {
        Some(name) => vec![registry::find(registry, name)?],
        None => registry.to_vec(),
    };
    let mut text = String::new();
    for runner in &chosen {
        let _ = writeln!(text, "{}  {}", runner.command_name(), runner.summary());
        let parameters = runner.parameters();
        if parameters.is_empty() {
            text.push_str("    no parameters\n");
        }
        for info in &parameters {
            let _ = writeln!(text, "    {}\n        {}", parameter_line(info), info.help);
        }
        text.push('\n');
    }
    Ok(done(text, wire::Answer::List(wire::List::of(&chosen))))
}

fn parameter_line(info: &ParameterInfo) -> String {
    let unit = info.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let (default, kind) = match &info.default {
        Value::Null if unit.is_empty() => ("none".to_owned(), info.kind.clone()),
        Value::Null => ("none".to_owned(), format!("{}, in{unit}", info.kind)),
        value => (format!("{value}{unit}"), info.kind.clone()),
    };
    let range = match info.range {
        (None, None) => String::new(),
        range => format!(", {}", in_words(range)),
    };
    format!("{} = {default}  ({kind}{range})", info.name)
}

/// The content of a file, and of the one that has its results, which may not be there yet.
pub(crate) fn info(
    (file, results): (&Path, &Path),
    known: &Arc<KnownTables>,
    face: Face,
) -> Result<Answer> {
    let datasets = inspect::datasets_knowing(file, known)?;
    let are_there = file == results || !is_absent(results);
    let groups = if are_there { inspect::groups(results, None)? } else { Vec::new() };
    let mut text = format!("{}\n", file.display());
    let others = if datasets.is_empty() { inspect::others(file)? } else { Vec::new() };
    if datasets.is_empty() {
        let has_results = others.iter().any(|(_, what)| what.starts_with(inspect::RESULTS));
        let but = if has_results { " but results, which --dataset names" } else { "" };
        let _ = writeln!(text, "  no datasets to compute on{but}");
    }
    for (path, why) in &others {
        let _ = writeln!(text, "    {path}: {why}");
    }
    for dataset in &datasets {
        text.push_str(&dataset_text(dataset));
    }
    for group in &groups {
        text.push_str(&group_line(group));
        text.push_str(&other_file(group));
    }
    let found = (datasets.as_slice(), others.as_slice());
    let json = wire::Info::of(file, found, &groups, |problem| hints::of_problem(problem, face));
    Ok(done(text, wire::Answer::Info(json)))
}

fn dataset_text(dataset: &DatasetOverview) -> String {
    let mut text = format!("\n  {}\n", dataset.path);
    if let Some(file) = &dataset.linked_file {
        let _ = writeln!(text, "    lies in {}", file.display());
    }
    match &dataset.content {
        Ok(info) => text.push_str(&content_text(dataset, info)),
        Err(problem) => {
            let _ = writeln!(text, "    {}", hints::of_problem(problem, Face::CommandLine));
        }
    }
    if !dataset.fields.is_empty() {
        let fields: Vec<String> = dataset.fields.iter().map(FieldOverview::told).collect();
        let fields = fields.join(", ");
        let _ =
            writeln!(text, "    fields, of which --field names the one to compute on: {fields}");
    }
    if let Some(chunking) = &dataset.chunking {
        text.push_str(&chunking_text(dataset, chunking));
    }
    let _ = match (&dataset.reading, &dataset.content) {
        (Ok(reading), _) => writeln!(text, "    is read {}", how(reading)),
        (Err(problem), Ok(_)) => {
            writeln!(text, "    {}", hints::of_problem(problem, Face::CommandLine))
        }
        (Err(_), Err(_)) => Ok(()),
    };
    text
}

fn content_text(dataset: &DatasetOverview, info: &SourceInfo) -> String {
    let quantity = if info.quantity.is_empty() { "values" } else { &info.quantity };
    let units = match info.units.as_str() {
        "" => String::new(),
        units => format!(" [{units}]"),
    };
    let mut text = format!(
        "    {}: {quantity}{units}, {}, {} positions × {} values, {}\n",
        dataset.format.name(),
        if dataset.fields.is_empty() { info.element.to_string() } else { "records".to_owned() },
        show::count(info.positions),
        show::count(info.spectral_points as u64),
        pixelmill_core::error::bytes(dataset.bytes(info)),
    );
    let grid = if dataset.full_grid { "" } else { " (not a full grid)" };
    let _ = writeln!(text, "    positions{grid}{}", array_axes(dataset));
    info.position_dimensions.iter().for_each(|axis| text.push_str(&axis_line(axis)));
    match info.spectra_along_axis() {
        Err(_) => text.push_str("    spectrum (not a full grid of its axes)\n"),
        Ok(_) if !info.spectroscopic_dimensions.is_empty() => text.push_str("    spectrum\n"),
        Ok(_) => {}
    }
    info.spectroscopic_dimensions.iter().for_each(|axis| text.push_str(&axis_line(axis)));
    for note in &dataset.notes {
        let _ = writeln!(text, "    note: {note}");
    }
    text
}

/// Where the axes of positions are in the array, unless they are its first ones.
fn array_axes(dataset: &DatasetOverview) -> String {
    let axes = &dataset.position_axes;
    if axes.iter().copied().eq(0..axes.len()) {
        return String::new();
    }
    let axes: Vec<String> = axes.iter().map(usize::to_string).collect();
    format!(" (axes {} of the array)", axes.join(", "))
}

fn chunking_text(dataset: &DatasetOverview, chunking: &Chunking) -> String {
    let lengths: Vec<String> = chunking.shape.iter().map(u64::to_string).collect();
    let filters = match chunking.filters.as_slice() {
        [] => "no filters".to_owned(),
        filters => filters.join(", "),
    };
    let ratio = match &dataset.content {
        Ok(info) if chunking.stored_bytes > 0 && !chunking.filters.is_empty() => {
            let stored = pixelmill_core::error::bytes(chunking.stored_bytes);
            let ratio = dataset.bytes(info) as f64 / chunking.stored_bytes as f64;
            format!(", {stored} stored ({ratio:.1} : 1)")
        }
        _ => String::new(),
    };
    let count = show::count(chunking.count);
    format!("    {count} chunks of {}, {filters}{ratio}\n", lengths.join(" × "))
}

fn how(reading: &Reading) -> String {
    match reading {
        Reading::Direct => "directly".to_owned(),
        Reading::Transposed => "directly, and turned round".to_owned(),
        Reading::Chunks => "directly, chunk by chunk on all workers".to_owned(),
        Reading::Parts(1) => "directly, from the dataset that it stands for".to_owned(),
        Reading::Parts(count) => {
            format!(
                "directly, from the {} parts that it is put together from",
                show::count(*count as u64)
            )
        }
        Reading::Library(why) => format!("through the HDF5 library ({why})"),
    }
}

fn axis_line(axis: &Dimension) -> String {
    let range = match (axis.values.first(), axis.values.last()) {
        (Some(first), Some(last)) if axis.len() > 1 => {
            format!("{} … {}", show::axis_value(first), show::axis_value(last))
        }
        (Some(only), _) => show::axis_value(only),
        _ => String::new(),
    };
    format!(
        "      {:<16} {:>8}   {range} {}{}\n",
        axis.name,
        show::count(axis.len() as u64),
        axis.units,
        if axis.binned { " (binned: values are sums over the width of a step)" } else { "" }
    )
}

/// The results groups of a file.
pub(crate) fn status(file: &Path, group: Option<&str>) -> Result<Answer> {
    let groups = inspect::groups(file, group)?;
    let mut text = String::new();
    if groups.is_empty() {
        let _ = writeln!(text, "{} has no results groups", file.display());
    }
    for group in &groups {
        text.push_str(&group_line(group));
        text.push_str(&group_details(group));
    }
    Ok(done(text, wire::Answer::Status(wire::Status::of(file, &groups))))
}

pub(super) fn group_line(group: &GroupOverview) -> String {
    let state = match group.completed {
        Some(done) if group.positions > 0 => {
            let percent = 100.0 * done as f64 / group.positions as f64;
            let word = match &group.missing {
                Some(missing) => format!("broken ({missing})"),
                None if done == group.positions => "complete".to_owned(),
                None => "partial".to_owned(),
            };
            let (done, all) = (show::count(done), show::count(group.positions));
            format!("{word}, {done} of {all} positions ({percent:.1} %)")
        }
        _ => "nothing tells how much of it is computed".to_owned(),
    };
    let failed = match group.failed.count {
        0 => String::new(),
        failed => format!(", {} failed", show::count(failed)),
    };
    format!("\n  {}\n    {}: {state}{failed}\n", group.path, group.process)
}

pub(super) fn group_details(group: &GroupOverview) -> String {
    let mut text = String::new();
    let parameters: Vec<String> =
        group.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "    {name:<12} {value}");
        }
    };
    if group.is_provisional {
        let told = "it took results that weren't all there; the same command looks if they changed";
        line("provisional", told);
    }
    line("source", &group.source);
    line("now at", &moved_to(group));
    line("field", group.field.as_deref().unwrap_or_default());
    if let Some(part) = &group.part {
        line("part", &format!("{} along {}", part.crop, part.along.join(", ")));
    }
    line("dark", group.corrections.dark.as_deref().unwrap_or_default());
    line("gain", group.corrections.gain.as_deref().unwrap_or_default());
    line("dead pixels", &group.corrections.dead_pixels_shortened());
    line("parameters", &parameters.join(" "));
    line("rounding", if group.allow_rounding { "values may be rounded, as asked" } else { "" });
    line("hash", &group.parameter_hash);
    line("created", &group.created);
    line("last run", &group.last_run);
    line("last_pixel", &last_pixel(group));
    if !group.failed.is_empty() {
        text.push_str(&show::failed(&group.failed));
    }
    text
}

/// The file and dataset that results were computed from, if these are in another file.
fn other_file(group: &GroupOverview) -> String {
    match (&group.recorded_source_file, moved_to(group).as_str()) {
        (None, _) => String::new(),
        (Some(_), "") => format!("    computed from {}\n", group.source),
        (Some(_), now) => format!("    computed from {}, now {now}\n", group.source),
    }
}

/// Where the source's file is, if that isn't where the group says.
fn moved_to(group: &GroupOverview) -> String {
    match (&group.recorded_source_file, &group.source_file) {
        (None, _) => String::new(),
        (Some(recorded), Some(file)) if file == recorded => String::new(),
        (_, Some(file)) => file.display().to_string(),
        (_, None) => {
            "not there any more; `verify --source FILE` takes it from elsewhere".to_owned()
        }
    }
}

/// What the attribute says, and what it should say.
fn last_pixel(group: &GroupOverview) -> String {
    match (group.last_pixel, group.prefix) {
        (Some(written), Some(prefix)) if written != prefix as i64 => {
            format!("{written} (out of date: the first {prefix} positions are done)")
        }
        (written, _) => written.map(|at| at.to_string()).unwrap_or_default(),
    }
}

/// Completed positions, computed again.
pub(crate) fn verify(
    registry: &[&dyn Runner],
    (file, group): (&Path, &str),
    source: Option<&Path>,
    sample: u64,
) -> Result<Answer> {
    let computation = inspect::computation(file, group, source)?;
    let runner = registry::find(registry, &computation.process)?;
    let kernel = runner.recorded_kernel(&computation.parameters)?;
    let source = Request {
        dataset: Some(computation.source_dataset),
        field: computation.field,
        positions_axes: computation.positions_axes,
        crop: computation.crop,
        along: computation.along,
        allow_rounding: computation.allow_rounding,
        output: Some(file.to_owned()),
        ..Request::new(computation.source_file)
    };
    let verified = engine::verify(&kernel, &source, file, &computation.path, sample)?;
    let json = wire::Answer::Verify(wire::Verify::of(&verified, &source.file));
    let same_data = verified.same_data != Some(false) && verified.changed.is_none();
    let is_right = verified.different.is_empty() && same_data;
    let ending = if is_right { Ending::Done } else { Ending::Failed };
    let text = verified_text(&verified, computation.or_else.as_deref());
    Ok(Answer { ending, text, json: Some(json) })
}

fn verified_text(verified: &Verification, or_else: Option<&Path>) -> String {
    let mut text = String::new();
    if let Some(changed) = &verified.changed {
        let _ = writeln!(
            text,
            "{}: what it was computed from is not what is there now; {changed}",
            verified.group
        );
        if let Some(file) = or_else {
            let _ = writeln!(text, "  it may be {}: --source compares with that", file.display());
        }
    }
    match verified.same_data {
        Some(true) => {
            let what = match verified.changed {
                Some(_) => "the data of its positions are the same, not all the rest",
                None => "all data that it was computed from are the same",
            };
            let _ = writeln!(text, "{}: {what}", verified.group);
        }
        Some(false) => {
            let _ =
                writeln!(text, "{}: the data have changed since it was computed", verified.group);
        }
        None => {}
    }
    let (checked, completed) = (show::count(verified.checked), show::count(verified.completed));
    let _ = write!(
        text,
        "{}: {checked} of {completed} completed positions computed again, ",
        verified.group
    );
    match verified.different.len() as u64 {
        _ if verified.checked == 0 => text.push_str("none to compare\n"),
        0 => text.push_str("all the same bit by bit\n"),
        different => {
            let _ = writeln!(text, "{} different:", show::count(different));
        }
    }
    for (position, dataset) in verified.different.iter().take(10) {
        let _ = match position {
            Some(position) => writeln!(text, "  {position}: {dataset}"),
            None => writeln!(text, "  {dataset}, into which all are folded"),
        };
    }
    if !verified.is_recorded {
        text.push_str(
            "  another program's group; it doesn't record whether the data have changed since\n",
        );
    }
    text
}

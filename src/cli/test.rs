//! `pixelmill test`: one position, computed without a trace, in numbers and as a drawing; or
//! several, as a table.

use std::fmt::Write;

use super::arguments::TestArguments;
use super::plot::{Canvas, Figure};
use super::{Answer, Ending, given, show};
use crate::engine::{self, Pixel, Probe, ProbeSpectrum, ProbeValue, Request, Sample};
use crate::wire;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result, bytes};
use pixelmill_core::registry::{self, Runner};

/// Computes one position.
pub(crate) fn test(registry: &[&dyn Runner], typed: &TestArguments) -> Result<Answer> {
    let runner = registry::find(registry, &typed.process)?;
    let parameters = given::parameters(runner, &typed.what)?;
    let canvas = Canvas::chosen(&typed.plot)?;
    let pixel = match (&typed.at, typed.pixel) {
        (Some(steps), _) => Pixel::Steps(steps.clone()),
        (None, pixel) => Pixel::Number(pixel.unwrap_or_default()),
    };
    let request = Request {
        dataset: typed.what.dataset.clone(),
        field: typed.what.field.clone(),
        positions_axes: typed.what.positions_axes.clone().map(|axes| axes.0),
        crop: typed.what.crop.clone(),
        along: typed.what.along(),
        corrections: typed.what.corrections(),
        allow_rounding: typed.what.allow_rounding,
        output: typed.output.clone(),
        cores: typed.cores.unwrap_or_default(),
        memory: typed.memory,
        positions: typed.positions.clone(),
        ..Request::new(&typed.file)
    };
    let kernel = runner.kernel(&parameters)?;
    if typed.positions.is_some() {
        return Ok(several(runner, &engine::sample(&kernel, &request)?));
    }
    let probe = engine::test(&kernel, &request, &pixel)?;
    let spectrum = chosen(&probe, typed.spectrum, "--spectrum")?;
    let ending = match probe.failure {
        Some(_) => Ending::DoneWithFailedPositions,
        None => Ending::Done,
    };
    let mut text = numbers(runner, &probe);
    if let Some(canvas) = canvas {
        text.push_str(&drawing(runner, &probe, spectrum, &canvas)?);
    }
    let json = wire::Answer::Test(Box::new(wire::Test::of(&probe, typed.spectrum)));
    Ok(Answer { ending, text, json: Some(json) })
}

/// Several positions, as a table.
fn several(runner: &dyn Runner, sample: &Sample) -> Answer {
    let has_failed = sample.probes.iter().any(|(probe, _)| probe.failure.is_some());
    let ending = if has_failed { Ending::DoneWithFailedPositions } else { Ending::Done };
    let json = wire::Answer::Sample(sample.into());
    Answer { ending, text: table(runner, sample), json: Some(json) }
}

fn table(runner: &dyn Runner, sample: &Sample) -> String {
    let names = |probe: &Probe| {
        let name = |value: &ProbeValue| format!("{} {}", value.name, value.units).trim().to_owned();
        probe.values.iter().map(name).collect::<Vec<_>>()
    };
    let head = ["position", "steps", "time"].map(str::to_owned).into_iter();
    let mut rows: Vec<Vec<String>> = Vec::new();
    rows.extend(sample.probes.first().map(|(probe, _)| head.chain(names(probe)).collect()));
    for (probe, took) in &sample.probes {
        let steps: Vec<String> = probe.place.iter().map(|(_, step)| step.to_string()).collect();
        let time = format!("{:.3} ms", took.as_secs_f64() * 1e3);
        let mut row = vec![probe.position.to_string(), steps.join(","), time];
        match &probe.failure {
            Some(reason) => row.push(format!("failed: {reason}")),
            None => row.extend(probe.values.iter().map(cell)),
        }
        rows.push(row);
    }
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells =
            rows.iter().filter(|row| row.len() == columns).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = format!("{} at {} positions\n", runner.name(), sample.probes.len());
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("  {cell:<width$}"));
        let _ = writeln!(text, "{}", cells.collect::<String>().trim_end());
    }
    let _ = writeln!(
        text,
        "all {} positions would take some {} on {}, within {} of memory",
        show::count(sample.positions),
        show::duration(sample.estimate),
        show::workers(sample.workers),
        bytes(sample.memory),
    );
    text
}

/// The value of a results dataset, or the first of several.
fn cell(value: &ProbeValue) -> String {
    let first = value.numbers.first().map(|number| shown(value, *number)).unwrap_or_default();
    if value.numbers.len() > 1 { format!("{first} …") } else { first }
}

/// A number in as many digits as its type has.
fn shown(value: &ProbeValue, number: f64) -> String {
    match value.element {
        ElementType::Float32 | ElementType::Complex64 => show::single(number),
        _ => show::number(number),
    }
}

/// The spectrum that is drawn; none if the data can't be read. It was named by an option, `called`
/// so.
///
/// # Errors
/// If there is no such spectrum.
pub(crate) fn chosen<'p>(
    probe: &'p Probe,
    number: usize,
    called: &str,
) -> Result<Option<&'p ProbeSpectrum>> {
    let found = probe.spectra.get(number);
    if found.is_some() || probe.spectra.is_empty() {
        return Ok(found);
    }
    let reason = match probe.spectra.len() {
        1 => "there is only one spectrum at each position, number 0".to_owned(),
        several => format!("there are {several} spectra at each position, numbers 0:{several}"),
    };
    Err(Error::Argument { argument: format!("{called} {number}"), reason })
}

fn title(runner: &dyn Runner, probe: &Probe) -> String {
    format!("{} at position {}", runner.name(), probe.position)
}

/// `Y 10 (1.5 um), X 20 (3 um)`.
fn coordinates(place: &[(Dimension, u32)]) -> String {
    let coordinate = |(axis, step): &(Dimension, u32)| {
        let value = axis.values.get(*step as usize).map(show::axis_value);
        let value = format!("{} {}", value.unwrap_or_default(), axis.units);
        format!("{} {step} ({})", axis.name, value.trim())
    };
    place.iter().map(coordinate).collect::<Vec<_>>().join(", ")
}

/// Of a spectrum as a result nobody wants to read more.
const MOST_NUMBERS: usize = 8;

fn numbers(runner: &dyn Runner, probe: &Probe) -> String {
    let mut text = format!("{}: {}\n", title(runner, probe), coordinates(&probe.place));
    if let Some(reason) = &probe.failure {
        let _ = writeln!(text, "  failed: {reason}");
    }
    let width = probe.values.iter().map(|value| value.name.chars().count()).max();
    let width = width.unwrap_or_default().max(24);
    for value in &probe.values {
        let first = value.numbers.iter().take(MOST_NUMBERS);
        let mut numbers: Vec<String> = first.map(|number| shown(value, *number)).collect();
        if value.numbers.len() > MOST_NUMBERS {
            numbers.push(format!("… ({} numbers; --json has all)", value.numbers.len()));
        }
        let line = format!("  {:<width$} {} {}", value.name, numbers.join(" "), value.units);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if probe.values.is_empty() && probe.failure.is_none() {
        let name = runner.name();
        let _ = writeln!(text, "  no results: those of {name} are made of all positions together");
    }
    text
}

/// The drawing, or where it is, and why it shows less than it could.
fn drawing(
    runner: &dyn Runner,
    probe: &Probe,
    spectrum: Option<&ProbeSpectrum>,
    canvas: &Canvas,
) -> Result<String> {
    let Some(spectrum) = spectrum else {
        return Ok("  nothing is drawn: the data can't be read\n".to_owned());
    };
    let place = [probe.place.as_slice(), &spectrum.place].concat();
    let heading = [title(runner, probe), coordinates(&place)];
    let figure = Figure::of_probe(heading, probe, spectrum);
    let mut text = match &spectrum.model {
        Ok(model) if model.is_empty() => {
            format!("  {} draws nothing but the data\n", runner.name())
        }
        Ok(_) => String::new(),
        Err(reason) => format!("  only the data are drawn: {reason}\n"),
    };
    text.push_str(&canvas.draw(&figure)?);
    Ok(text)
}

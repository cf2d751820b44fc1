//! `pixelmill test`: one position, computed without a trace, in numbers and as a drawing.

use std::fmt::Write;

use super::arguments::TestArguments;
use super::plot::{Canvas, Figure};
use super::{Answer, Ending, given, show};
use crate::engine::{self, Pixel, Probe, ProbeSpectrum, Request};
use crate::wire;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::registry::{self, Runner};

/// Computes one position.
pub(crate) fn test(registry: &[&dyn Runner], typed: &TestArguments) -> Result<Answer> {
    let runner = registry::find(registry, &typed.what.process)?;
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
        along: typed.what.along.clone(),
        corrections: typed.what.corrections(),
        allow_rounding: typed.what.allow_rounding,
        output: typed.output.clone(),
        ..Request::new(&typed.what.file)
    };
    let kernel = runner.kernel(&parameters)?;
    let probe = engine::test(&kernel, &request, &pixel)?;
    let spectrum = chosen(&probe, typed.spectrum)?;
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

/// The spectrum that is drawn; none if the data can't be read.
fn chosen(probe: &Probe, number: usize) -> Result<Option<&ProbeSpectrum>> {
    let found = probe.spectra.get(number);
    if found.is_some() || probe.spectra.is_empty() {
        return Ok(found);
    }
    let reason = match probe.spectra.len() {
        1 => "there is only one spectrum at each position, number 0".to_owned(),
        several => format!("there are {several} spectra at each position, numbers 0:{several}"),
    };
    Err(Error::Argument { argument: format!("--spectrum {number}"), reason })
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
        let shown = match value.element {
            ElementType::Float32 | ElementType::Complex64 => show::single,
            _ => show::number,
        };
        let mut numbers: Vec<String> =
            value.numbers.iter().take(MOST_NUMBERS).map(|number| shown(*number)).collect();
        if value.numbers.len() > MOST_NUMBERS {
            numbers.push(format!("… ({} numbers; --json has all)", value.numbers.len()));
        }
        let line = format!("  {:<width$} {} {}", value.name, numbers.join(" "), value.units);
        let _ = writeln!(text, "{}", line.trim_end());
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
    let figure = Figure::new(probe, spectrum);
    let heading = [title(runner, probe), coordinates(&place)];
    let mut text = match &spectrum.model {
        Ok(model) if model.is_empty() => {
            format!("  {} draws nothing but the data\n", runner.name())
        }
        Ok(_) => String::new(),
        Err(reason) => format!("  only the data are drawn: {reason}\n"),
    };
    text.push_str(&canvas.draw(&figure, heading.each_ref().map(String::as_str))?);
    Ok(text)
}

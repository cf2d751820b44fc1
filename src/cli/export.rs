//! `pixelmill export`.

use std::time::Instant;

use super::arguments::ExportArguments;
use super::progress::Display;
use super::{Answer, Ending, signals};
use crate::engine::{self, ExportRequest, Exported, Ranks, Stop};
use crate::wire;
use pixelmill_core::error::{Result, bytes};

/// A dataset, written to a file of another kind.
pub(crate) fn export(typed: &ExportArguments, ranks: &Ranks, display: &Display) -> Result<Answer> {
    let request = ExportRequest {
        file: typed.file.clone(),
        dataset: typed.dataset.clone(),
        field: typed.field.clone(),
        positions_axes: typed.positions_axes.clone().map(|axes| axes.0),
        output: typed.output.clone(),
        replace: typed.override_existing,
        missing: typed.missing,
    };
    let stop = Stop::new();
    signals::listen(&stop, ranks);
    let begun = Instant::now();
    let progressed = |done, total| display.written((done, total), begun.elapsed());
    let exported = engine::export(&request, &progressed, &stop);
    display.clear();
    let Some(exported) = exported? else {
        let ending = stop.signal().map_or(Ending::Failed, |signal| Ending::Stopped { signal });
        let text = format!("stopped; {} isn't written\n", request.output.display());
        let json = wire::Answer::Refusal(wire::Refusal::new(text.trim_end()));
        return Ok(Answer { ending, text, json: Some(json) });
    };
    let text = if display.is_quiet() { String::new() } else { told(&request, &exported) };
    let json = wire::Answer::Export(wire::Export::of(&exported, &request.output));
    Ok(Answer { ending: Ending::Done, text, json: Some(json) })
}

fn told(request: &ExportRequest, exported: &Exported) -> String {
    let lengths: Vec<String> = exported.shape.iter().map(usize::to_string).collect();
    let fields: Vec<String> = exported
        .fields
        .iter()
        .map(|(name, element)| match name {
            Some(name) => format!("{name} {element}"),
            None => element.clone(),
        })
        .collect();
    let mut text = format!(
        "{} is written to {}: {} of {}, {}\n",
        exported.dataset,
        request.output.display(),
        lengths.join(" × "),
        fields.join(", "),
        bytes(exported.bytes)
    );
    exported.notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
    text
}

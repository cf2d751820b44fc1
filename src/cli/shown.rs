//! `pixelmill show`: a dataset, or the results of a group, drawn as what they are.

use std::fmt::Write;

use super::arguments::ShowArguments;
use super::plot::{Canvas, Figure};
use super::{Answer, Ending};
use crate::engine::Pixel;
use crate::engine::shown::{self, Shown, Wanted};
use crate::wire;
use pixelmill_core::error::Result;

/// Other things to show that are named at most.
const MOST_NAMED: usize = 8;

/// Draws what is wanted.
pub(crate) fn show(typed: &ShowArguments) -> Result<Answer> {
    let canvas = Canvas::chosen(&typed.plot)?.unwrap_or(Canvas::Text);
    let pixel = match (&typed.at, typed.pixel) {
        (Some(steps), _) => Some(Pixel::Steps(steps.clone())),
        (None, pixel) => pixel.map(Pixel::Number),
    };
    let wanted = Wanted {
        file: typed.file.clone(),
        path: typed.path.clone(),
        field: typed.field.clone(),
        positions_axes: typed.positions_axes.clone().map(|axes| axes.0),
        pixel,
    };
    let shown = shown::show(&wanted)?;
    let file = typed.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let heading = [shown.path.clone(), file];
    let figure = Figure::of_pictures(heading, &shown.pictures);
    let mut text = format!("{}:{}\n", typed.file.display(), shown.path);
    text.push_str(&canvas.draw(&figure)?);
    text.push_str(&besides(&shown));
    let json = wire::Answer::Show(wire::Show::of(&typed.file, &shown));
    Ok(Answer { ending: Ending::Done, text, json: Some(json) })
}

/// What isn't drawn, and what else there is.
fn besides(shown: &Shown) -> String {
    let mut text = String::new();
    for (path, reason) in &shown.left_out {
        let _ = writeln!(text, "  {path} isn't drawn: {reason}");
    }
    if let Some(first) = shown.others.first() {
        let _ = writeln!(text, "  there is also {first}");
        let others = &shown.others[1..];
        for other in others.iter().take(MOST_NAMED) {
            let _ = writeln!(text, "                {other}");
        }
        if others.len() > MOST_NAMED {
            let _ = writeln!(text, "                and {} more", others.len() - MOST_NAMED);
        }
    }
    text
}

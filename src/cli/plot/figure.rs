//! What is drawn, wherever that is: charts, maps and numbers, side by side.

use super::chart::{Chart, notes_of, quantity_of};
use super::map::Map;
use super::tex::signs;
use crate::cli::show::single;
use crate::engine::shown::{self, Layout, Picture, State};
use crate::engine::{Probe, ProbeSpectrum};

/// Everything that is drawn together.
pub(crate) struct Figure {
    /// What it is of, and a line below that; a picture has them above everything.
    #[cfg_attr(not(feature = "plot"), expect(dead_code, reason = "only pictures have a heading"))]
    pub heading: [String; 2],
    pub parts: Vec<Part>,
}

/// One of the things that a figure has.
pub(crate) enum Part {
    Chart(Chart),
    Map(Box<Map>),
    /// Single numbers, a line for each.
    Numbers(Vec<String>),
}

impl Figure {
    /// The figure of one spectrum of `probe`, or of a frame.
    pub fn of_probe(heading: [String; 2], probe: &Probe, spectrum: &ProbeSpectrum) -> Self {
        let parts = match &probe.frame {
            Some(axes) => maps(Map::of_frame(probe, spectrum, axes)),
            None => vec![Part::Chart(Chart::of_probe(probe, spectrum))],
        };
        Self { heading, parts }
    }

    /// The figure of some pictures, single numbers behind the others.
    pub fn of_pictures(heading: [String; 2], pictures: &[Picture]) -> Self {
        let mut parts = Vec::new();
        let mut numbers = Vec::new();
        for picture in pictures {
            match (&picture.layout, Map::of_picture(picture)) {
                (_, Some(map)) => parts.push(Part::Map(Box::new(map))),
                (Layout::Curve(ruler), _) => match parts.last_mut() {
                    Some(Part::Chart(chart)) if picture.part == shown::Part::Phase => {
                        chart.add_below(picture, ruler);
                    }
                    _ => parts.push(Part::Chart(Chart::of_picture(picture, ruler))),
                },
                _ => numbers.push(number(picture)),
            }
        }
        if !numbers.is_empty() {
            parts.push(Part::Numbers(numbers));
        }
        Self { heading, parts }
    }
}

fn maps(maps: Vec<Map>) -> Vec<Part> {
    maps.into_iter().map(|map| Part::Map(Box::new(map))).collect()
}

/// `Mean: 3.25 nA`.
fn number(picture: &Picture) -> String {
    let (_, units) = quantity_of(picture);
    let value = match (picture.values.numbers.first(), picture.values.states.first()) {
        (Some(value), Some(State::Known)) => single(*value),
        (_, Some(State::Pending)) => "pending".to_owned(),
        (_, Some(State::Failed)) => "failed".to_owned(),
        _ => "no value".to_owned(),
    };
    let notes = notes_of(picture).into_iter().filter(|note| note != "no values");
    let notes: Vec<String> = notes.collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    let (title, units) = (signs(&picture.title), signs(units));
    format!("{title}: {}{notes}", format!("{value} {units}").trim_end())
}

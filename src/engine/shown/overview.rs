//! Pictures of a dataset: of what each position has, and of all that was measured at positions.

use super::field::{Field, Found, Scatter};
use super::gather::{MOST_BYTES, affordable, gather};
use super::heading::Heading;
use super::laid::laid;
use super::pages::{Page, long, pages, said};
use super::states::{State, States};
use super::values::Means;
use super::{Part, Picture};
use crate::source::Source;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;

/// So many values of a position are shown as a map each; of more, their sum.
const MOST_MAPS: usize = 6;

/// What is shown.
pub(super) struct Subject {
    pub source: Source,
    pub states: States,
    pub heading: Heading,
    /// What isn't taken as the file has it, in words for people.
    pub notes: Vec<String>,
    /// Whether its positions are those of a scan, not what is taken for such to read it by.
    pub has_positions: bool,
}

impl Subject {
    /// Pictures of all positions: a map of what each has, or of its sum, with the mean over
    /// positions beside it.
    ///
    /// # Errors
    /// If the values can't be read.
    pub fn pictures(&self) -> Result<Vec<Picture>> {
        let points = self.source.info.spectral_points;
        if self.source.info.positions == 1 {
            return self.of_position(0, &self.heading.title);
        }
        if points <= MOST_MAPS { self.maps() } else { self.overview() }
    }

    /// Pictures of all that one position has, under a title.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn of_position(&self, position: u64, title: &str) -> Result<Vec<Picture>> {
        let mut means = Means::new(self.source.info.spectral_points, self.is_complex());
        let mut state = State::Known;
        let one = std::iter::once(position..position + 1);
        gather(&self.source, &self.states, one, |seen| {
            state = seen.state;
            seen.values().enumerate().for_each(|(at, value)| means.add(at, value));
        })?;
        let notes = match state {
            State::Pending => vec!["it isn't computed yet".to_owned()],
            State::Failed => vec!["it has failed".to_owned()],
            State::Known | State::Missing => Vec::new(),
        };
        let axes = self.own_axes();
        let mut pictures = vec![self.heading.picture(
            title,
            Part::Value,
            notes.clone(),
            laid(&axes, &means.values()),
        )];
        if let Some(phases) = means.phases() {
            pictures[0].part = Part::Amplitude;
            pictures.push(self.heading.picture(title, Part::Phase, notes, laid(&axes, &phases)));
        }
        Ok(pictures)
    }

    /// The axes of what a position has.
    pub fn own_axes(&self) -> Vec<Dimension> {
        let info = &self.source.info;
        let axes = &info.spectroscopic_dimensions;
        let is_grid = axes.iter().map(Dimension::len).product::<usize>() == info.spectral_points;
        if is_grid && !axes.is_empty() { axes.clone() } else { vec![info.axis(0)] }
    }

    pub fn is_complex(&self) -> bool {
        self.source.stored.element.is_complex()
    }

    /// A map of each of the values that a position has.
    fn maps(&self) -> Result<Vec<Picture>> {
        let points = self.source.info.spectral_points;
        let mut pictures = Vec::new();
        for field in self.fields()? {
            let mut means = vec![Means::new(field.pixels(), self.is_complex()); points];
            let mut found = Found::new(field.pixels());
            gather(&self.source, &self.states, field.runs(), |seen| {
                let pixel = field.pixel(seen.position);
                found.note(pixel, seen.state);
                means.iter_mut().zip(seen.values()).for_each(|(of, value)| of.add(pixel, value));
            })?;
            for (point, means) in means.iter().enumerate() {
                let title = self.heading.titled(&[&field.said(), &self.point(point)]);
                let values = found.values(means.values());
                pictures.push(self.heading.picture(
                    &title,
                    Part::Value,
                    field.notes(),
                    field.laid(values),
                ));
                if let Some((phases, of)) = means.phases().zip(pictures.last_mut()) {
                    of.part = Part::Amplitude;
                    let laid = field.laid(found.values(phases));
                    pictures.push(self.heading.picture(&title, Part::Phase, field.notes(), laid));
                }
            }
        }
        Ok(pictures)
    }

    /// A map of the sum over what a position has, and the mean over the positions that were read.
    fn overview(&self) -> Result<Vec<Picture>> {
        let points = self.source.info.spectral_points;
        let mut all = Means::new(points, self.is_complex());
        let mut pictures = Vec::new();
        let mut looked_at = 0u64;
        for field in self.fields()? {
            let mut sums = Means::new(field.pixels(), false);
            let mut found = Found::new(field.pixels());
            gather(&self.source, &self.states, field.runs(), |seen| {
                let pixel = field.pixel(seen.position);
                found.note(pixel, seen.state);
                let magnitude = |(real, imaginary): (f64, f64)| match seen.imaginary {
                    [] => real,
                    _ => real.hypot(imaginary),
                };
                let finite = seen.values().map(magnitude).filter(|value| value.is_finite());
                let sum = finite.reduce(|sum, value| sum + value);
                sums.add(pixel, (sum.unwrap_or(f64::NAN), 0.0));
                looked_at += u64::from(sum.is_some());
                seen.values().enumerate().for_each(|(at, value)| all.add(at, value));
            })?;
            let along = self.along();
            let title = self.heading.titled(&[&field.said(), &format!("sum over {along}")]);
            let mut picture = self.heading.picture(
                &title,
                Part::Value,
                field.notes(),
                field.laid(found.values(sums.values())),
            );
            picture.part = if self.is_complex() { Part::Amplitude } else { Part::Value };
            pictures.push(picture);
        }
        let title = self.heading.titled(&[&format!("mean of {looked_at} positions")]);
        let mut mean = self.heading.picture(
            &title,
            Part::Value,
            Vec::new(),
            laid(&self.own_axes(), &all.values()),
        );
        mean.part = pictures.first().map_or(Part::Value, |picture| picture.part);
        pictures.push(mean);
        Ok(pictures)
    }

    /// What was summed over, in words.
    pub fn along(&self) -> String {
        let axes = self.own_axes();
        let names: Vec<&str> = long(&axes).into_iter().map(|axis| axis.name.as_str()).collect();
        names.join(" × ")
    }

    /// Which of the values of a position it is; nothing if there is only one.
    fn point(&self, point: usize) -> String {
        said(&long(&self.own_axes()), point)
    }

    /// How positions become pixels: of a full grid as maps, else each at its place.
    fn fields(&self) -> Result<Vec<Field>> {
        let grid = &self.source.grid;
        if !grid.is_full() {
            let most = MOST_BYTES / self.source.row_bytes().max(1) as u64;
            return Ok(vec![Field::Places(Scatter::of(&self.source, most))]);
        }
        let (pages, count) = pages(&grid.dimensions);
        let shown = pages.len();
        let map = |page: Page| {
            let page = affordable(&self.source, page);
            let note = (count > shown).then(|| format!("{shown} of {count} maps are shown"));
            Field::Map { page, axes: grid.dimensions.clone(), note }
        };
        Ok(pages.into_iter().map(map).collect())
    }
}

//! A detector: where the points of a frame lie, and which of them are inside of something.

use std::f64::consts::TAU;

use crate::dimension::Dimension;
use crate::failure::Failure;
use crate::source_info::SourceInfo;

/// The frame that a spectrum is, and its centre.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    /// Rows and columns.
    pub shape: (usize, usize),
    /// The centre, in points from the first row and column.
    pub centre: (f64, f64),
}

impl Detector {
    /// The detector of a source whose spectra are frames; its middle is the centre unless another
    /// one is given.
    ///
    /// # Errors
    /// If spectra are no frames.
    pub fn of(source: &SourceInfo, centre: (Option<f64>, Option<f64>)) -> Result<Self, Failure> {
        let lengths = source.spectroscopic_dimensions.iter().map(Dimension::len);
        let long: Vec<usize> = lengths.filter(|length| *length > 1).collect();
        let [rows, columns] = long.as_slice() else {
            return Err(Failure::new(format!(
                "it holds no frames: its spectra have {} axes of more than one step",
                long.len()
            )));
        };
        let middle = |length: usize| (length as f64 - 1.0) / 2.0;
        let centre = (centre.0.unwrap_or(middle(*rows)), centre.1.unwrap_or(middle(*columns)));
        Ok(Self { shape: (*rows, *columns), centre })
    }

    /// The place of each point, in points from the centre: down and to the right.
    pub fn places(self) -> impl Iterator<Item = (f64, f64)> {
        let (rows, columns) = self.shape;
        (0..rows).flat_map(move |row| {
            (0..columns)
                .map(move |column| (row as f64 - self.centre.0, column as f64 - self.centre.1))
        })
    }

    /// The distance of each point from the centre.
    pub fn radii(self) -> impl Iterator<Item = f64> {
        self.places().map(|(down, right)| down.hypot(right))
    }

    /// The largest radius of a disk around the centre that lies in the frame.
    pub fn largest_radius(&self) -> f64 {
        let (down, right) = self.centre;
        let (rows, columns) = (self.shape.0 as f64 - 1.0, self.shape.1 as f64 - 1.0);
        [down, right, rows - down, columns - right].into_iter().fold(f64::INFINITY, f64::min)
    }

    /// The direction of each point from the centre, in turns from 0 to 1: from the right downwards.
    pub fn turns(self) -> impl Iterator<Item = f64> {
        self.places().map(|(down, right)| libm::atan2(down, right).rem_euclid(TAU) / TAU)
    }
}

/// Whether a point lies between two radii: not on the inner one, unless that is 0.
pub fn is_between(radius: f64, (inner, outer): (f64, f64)) -> bool {
    radius <= outer && (radius > inner || inner == 0.0)
}

/// Whether the place of a point, from the centre, lies in a rectangle around that: so high, and so
/// wide, ends included.
pub fn is_in_rectangle((down, right): (f64, f64), (height, width): (f64, f64)) -> bool {
    down.abs() <= height / 2.0 && right.abs() <= width / 2.0
}

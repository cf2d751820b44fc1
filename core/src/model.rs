//! What a result says that its spectrum is: curves over the data, and marks on them; over a frame
//! places and outlines.
//!
//! Authors make a [`Model`] in [`crate::Process::model`]; `test` draws it and prints it. Nothing
//! here knows how that looks.

use num_complex::Complex64;

use crate::element::Element;
use crate::failure::Failure;

/// Curves and marks to be drawn over one spectrum, or places and outlines over one frame.
///
/// ```
/// use pixelmill_core::process::Model;
///
/// let (peak, offset) = ([0.5, 2.0, 0.5], [1.0; 3]);
/// let sum: Vec<f64> = peak.iter().zip(&offset).map(|(peak, offset)| peak + offset).collect();
/// let model = Model::new().curve("fit", sum).part("peak", peak).part("offset", offset);
/// assert_eq!(model.curves.len(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// In the order in which they were added.
    pub curves: Vec<Curve>,
    /// In the order in which they were added.
    pub marks: Vec<Mark>,
    /// In the order in which they were added.
    pub places: Vec<Place>,
    /// In the order in which they were added.
    pub outlines: Vec<Outline>,
}

/// A line over the data. Of a frame it is another frame, beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is, for the legend.
    pub name: String,
    /// As many as the spectrum has; where there is nothing to say, NaN.
    pub values: Values,
    /// Whether it is a part of another curve, or of less weight than it.
    pub is_part: bool,
}

/// A place on the axis of the spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// What it is, for the legend.
    pub name: String,
    /// Where it is, in the units of the axis.
    pub at: f64,
    /// How high, in the units of the data; of complex data, that of the magnitude.
    pub height: f64,
}

/// A place in a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What it is, for the legend.
    pub name: String,
    /// In points, counted from the middle of the first row.
    pub row: f64,
    /// In points, counted from the middle of the first column.
    pub column: f64,
}

/// A part of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What it is, for the legend.
    pub name: String,
    /// For each point of the frame, row by row, whether it is inside.
    pub inside: Vec<bool>,
}

/// Real or complex numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Over complex data, these are magnitudes.
    Real(Vec<f64>),
    /// Only over complex data.
    Complex(Vec<Complex64>),
}

impl Model {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the whole spectrum should be, such as a fit.
    #[must_use]
    pub fn curve(self, name: impl Into<String>, values: impl Into<Values>) -> Self {
        self.with(name.into(), values.into(), false)
    }

    /// Adds something of less weight: a component of a sum, or where a fit began.
    #[must_use]
    pub fn part(self, name: impl Into<String>, values: impl Into<Values>) -> Self {
        self.with(name.into(), values.into(), true)
    }

    /// Marks a point, such as a peak.
    #[must_use]
    pub fn mark(mut self, name: impl Into<String>, at: f64, height: f64) -> Self {
        self.marks.push(Mark { name: name.into(), at, height });
        self
    }

    /// Marks a place in a frame, such as a centre: its row and its column in points.
    #[must_use]
    pub fn place(mut self, name: impl Into<String>, (row, column): (f64, f64)) -> Self {
        self.places.push(Place { name: name.into(), row, column });
        self
    }

    /// Adds the outline of a part of a frame, such as a detector: for each point, row by row,
    /// whether it is inside.
    #[must_use]
    pub fn outline(mut self, name: impl Into<String>, inside: Vec<bool>) -> Self {
        self.outlines.push(Outline { name: name.into(), inside });
        self
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        let Self { curves, marks, places, outlines } = self;
        curves.is_empty() && marks.is_empty() && places.is_empty() && outlines.is_empty()
    }

    fn with(mut self, name: String, values: Values, is_part: bool) -> Self {
        self.curves.push(Curve { name, values, is_part });
        self
    }

    /// Whether it can belong to `data`.
    ///
    /// # Errors
    /// Which curve or outline doesn't, and why.
    pub fn check(&self, data: &Values) -> Result<(), Failure> {
        for Curve { name, values, .. } in &self.curves {
            if values.len() != data.len() {
                return Err(Failure::new(format!(
                    "the curve `{name}` has {} values, but the spectrum {}",
                    values.len(),
                    data.len()
                )));
            }
            if let (Values::Complex(_), Values::Real(_)) = (values, data) {
                let reason = format!("the curve `{name}` is complex, but the spectrum is real");
                return Err(Failure::new(reason));
            }
        }
        for Outline { name, inside } in &self.outlines {
            if inside.len() != data.len() {
                return Err(Failure::new(format!(
                    "the outline `{name}` has {} points, but the spectrum {}",
                    inside.len(),
                    data.len()
                )));
            }
        }
        Ok(())
    }
}

impl Values {
    /// Values of any element type.
    pub fn of<T: Element>(values: &[T]) -> Self {
        let numbers = T::TYPE.to_numbers(bytemuck::cast_slice(values));
        if !T::TYPE.is_complex() {
            return Self::Real(numbers);
        }
        let parts = numbers.chunks_exact(2);
        Self::Complex(parts.map(|parts| Complex64::new(parts[0], parts[1])).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Real(values) => values.len(),
            Self::Complex(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Self::Real(values)
    }
}

impl<const N: usize> From<[f64; N]> for Values {
    fn from(values: [f64; N]) -> Self {
        Self::Real(values.to_vec())
    }
}

impl From<Vec<Complex64>> for Values {
    fn from(values: Vec<Complex64>) -> Self {
        Self::Complex(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex32;

    #[test]
    fn values_keep_their_kind() {
        assert_eq!(Values::of(&[3u16, 7]), Values::Real(vec![3.0, 7.0]));
        let complex = Values::of(&[Complex32::new(0.5, -2.0)]);
        assert_eq!(complex, Values::Complex(vec![Complex64::new(0.5, -2.0)]));
    }

    #[test]
    fn curves_that_are_none_of_the_spectrum_are_refused() {
        let (real, complex) = (Values::Real(vec![1.0; 3]), Values::of(&[Complex64::ONE; 3]));
        let fit = |values: &Values| Model::new().curve("fit", values.clone());
        for (model, data, reason) in [
            (fit(&real), &real, None),
            (fit(&real), &complex, None),
            (fit(&complex), &complex, None),
            (fit(&complex), &real, Some("the curve `fit` is complex, but the spectrum is real")),
            (
                fit(&Values::Real(vec![1.0])),
                &real,
                Some("the curve `fit` has 1 values, but the spectrum 3"),
            ),
            (Model::new().outline("mask", vec![true; 3]), &real, None),
            (
                Model::new().outline("mask", vec![true; 2]),
                &real,
                Some("the outline `mask` has 2 points, but the spectrum 3"),
            ),
        ] {
            let refused = model.check(data).err().map(|failure| failure.to_string());
            assert_eq!(refused.as_deref(), reason);
        }
    }
}

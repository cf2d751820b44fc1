//! One axis, as processes and files know it: a name, units and a value for each step.

use crate::axis_values::AxisValues;

/// One axis of a scan or of a spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Its label, as the file has it.
    pub name: String,
    /// Units of its values; empty if the file has none.
    pub units: String,
    /// Its values, one per step.
    pub values: AxisValues,
    /// Whether what was measured at a step was summed over the step's width, as counts in the
    /// channels of a spectrum: HyperSpy's binned axes.
    pub binned: bool,
}

impl Dimension {
    /// An axis with the given values.
    pub fn new(
        name: impl Into<String>,
        units: impl Into<String>,
        values: impl Into<AxisValues>,
    ) -> Self {
        Self { name: name.into(), units: units.into(), values: values.into(), binned: false }
    }

    /// An axis that numbers so many steps, from 0.
    pub fn counted(name: impl Into<String>, steps: usize) -> Self {
        Self::new(name, "", AxisValues::counted(steps))
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The axis of bins of so many steps, each at the mean of its steps; those behind the last
    /// whole bin are in none.
    #[must_use]
    pub fn in_bins(&self, steps: usize) -> Self {
        Self { values: self.values.means(steps), ..self.clone() }
    }

    /// Whether it has no steps.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

//! What the datasets were like that Python has opened: what computes gets arrays of that form, and
//! would take others for these.

use pixelmill::ElementType;
use pixelmill::kernel::AuxiliaryInput;
use pixelmill::process::{Dimension, Failure, SourceInfo};
use serde::Deserialize;

/// What Python has opened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opened {
    /// How many positions the scan has, and the lengths of its axes.
    positions: u64,
    scan: Vec<usize>,
    /// Lengths of the axes of a spectrum.
    spectrum: Vec<usize>,
    /// Datasets whose values at a position are given beside the spectrum.
    inputs: Vec<OpenedInput>,
    /// Bytes of the arrays that are given beside it, of a position.
    array_bytes: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenedInput {
    path: String,
    element: ElementType,
    /// How many values it has at a position.
    values: usize,
}

impl Opened {
    /// The inputs, for the engine.
    pub fn inputs(&self) -> Vec<AuxiliaryInput> {
        self.inputs.iter().map(|input| AuxiliaryInput::as_stored(&input.path)).collect()
    }

    /// Bytes of all that is given beside the spectrum of a position.
    pub fn bytes_beside(&self, source: &SourceInfo) -> usize {
        let of_inputs = source.auxiliary.iter().map(|info| info.columns * info.element.size());
        self.array_bytes + of_inputs.sum::<usize>()
    }

    /// Looks whether all is as it was.
    ///
    /// # Errors
    /// Which dataset isn't.
    pub fn check(&self, source: &SourceInfo) -> Result<(), Failure> {
        let scan = source.position_dimensions.iter().map(Dimension::len);
        let is_scan = source.positions == self.positions && scan.eq(self.scan.iter().copied());
        if !is_scan || source.spectrum_shape(1) != self.spectrum {
            return Err(changed(&source.path));
        }
        for (input, found) in self.inputs.iter().zip(&source.auxiliary) {
            if (found.element, found.columns) != (input.element, input.values) {
                return Err(changed(&found.path));
            }
        }
        Ok(())
    }
}

fn changed(dataset: &str) -> Failure {
    Failure::new(format!(
        "`{dataset}` has another shape or type than when it was opened; open it anew"
    ))
}

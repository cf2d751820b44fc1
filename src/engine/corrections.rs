//! What the user asks to be done to all spectra alike before a process sees them: a dark spectrum,
//! a gain, dead pixels. The arrays are found and read as other inputs; the arithmetic is
//! `core/src/corrections.rs`.

use super::Request;
use super::inputs::{InputOpener, SpectrumLayout};
use crate::identity::CorrectionsIdentity;
use crate::region;
use crate::source::Source;
use crate::storage::tiles::copy::row_of;
use pixelmill_core::corrections::Corrections;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::{ConstantArray, ConstantAxes, ConstantInput};
use pixelmill_core::kernel::Kernel;

/// Corrections for a kernel, with their identity; none if none are asked for.
///
/// # Errors
/// If an array isn't there, or doesn't fit, or the kernel's numbers know no fractions.
pub(super) fn open(
    inputs: &mut InputOpener<'_>,
    (kernel, request): (&dyn Kernel, &Request),
    source: &Source,
    (spectra, shape): (usize, &[usize]),
) -> Result<Option<(Corrections, CorrectionsIdentity)>> {
    let paths = &request.corrections;
    if paths.is_empty() {
        return Ok(None);
    }
    let element = kernel.wants().input.element();
    if element.is_integer() {
        return Err(Error::Unsuitable {
            process: kernel.name().to_owned(),
            dataset: source.info.path.clone(),
            reason: format!("it computes with {element}, which has no room for corrections"),
        });
    }
    let memory = request.memory_budget(1);
    let mut read = |path: &Option<String>| -> Result<Option<Told>> {
        let told = path.as_ref().map(|path| Told::read(inputs, path, source, memory));
        Ok(told.transpose()?.flatten())
    };
    let (dark, gain) = (read(&paths.dark)?, read(&paths.gain)?);
    let (mask, list) = match paths.dead_pixels.as_deref() {
        Some(text) if is_list(text) => (None, Some(listed(text, &source.seen.lengths)?)),
        _ => (read(&paths.dead_pixels)?, None),
    };
    for told in [&dark, &gain].into_iter().flatten() {
        if !told.array.element.converts_to(element, true) {
            let reason = format!("it holds {}, which can't become {element}", told.array.element);
            return Err(Error::Constant { dataset: told.array.path.clone(), reason });
        }
    }
    let identity = CorrectionsIdentity::of(
        [&dark, &gain, &mask].map(|told| told.as_ref().map(|told| &told.array)),
        list.clone(),
    );
    let is_dead = match (&mask, list) {
        (Some(mask), _) => mask.seen(source).is_not_zero(),
        (None, Some(dead)) => seen_of_list(&dead, source),
        (None, None) => Vec::new(),
    };
    let [dark, gain] = [dark, gain].map(|told| told.map(|told| told.seen(source)));
    let arrays = (dark.as_ref().map(|dark| &dark.array), gain.as_ref().map(|gain| &gain.array));
    let corrections = Corrections::new(element, (spectra, shape), arrays, &is_dead);
    let corrections = corrections.map_err(|steps| Error::Constant {
        dataset: paths.dead_pixels.clone().unwrap_or_default(),
        reason: format!("the dead value at {steps:?} of a spectrum has no good one beside it"),
    })?;
    Ok(Some((corrections, identity)))
}

/// An array of one value for each of a position.
struct Told {
    array: ConstantArray,
}

impl Told {
    fn read(
        inputs: &mut InputOpener<'_>,
        path: &str,
        source: &Source,
        memory: u64,
    ) -> Result<Option<Self>> {
        let lengths = source.seen.lengths.clone();
        let wanted = ConstantInput::as_stored(path).with_axes(ConstantAxes::Lengths(lengths));
        // Of all values that the file has: what is seen of them is cut out below.
        let layout = SpectrumLayout { source, shape: &[], is_alone: false };
        let read = inputs.constants(&[wanted], &layout, memory)?;
        Ok(read.into_iter().next().map(|array| Self { array }))
    }

    /// The part of it that is seen of each position, in that order.
    fn seen(&self, source: &Source) -> Self {
        let ConstantArray { path, element, .. } = &self.array;
        let row = row_of(source.rows.view(), element.size(), self.array.bytes());
        let stored = pixelmill_core::element::StoredType { element: *element, swapped: false };
        let shape = vec![row.len() / element.size()];
        Self { array: ConstantArray::new(path.clone(), shape, (&row, stored), *element) }
    }

    fn is_not_zero(&self) -> Vec<bool> {
        let values = self.array.bytes().chunks_exact(self.array.element.size());
        let numbers = values.map(|value| self.array.element.to_numbers(value));
        numbers.map(|parts| parts.iter().any(|part| *part != 0.0)).collect()
    }
}

fn is_list(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_digit() || ",; ".contains(letter))
}

/// The dead values of a list, by their numbers in a row of the file, ascending.
fn listed(text: &str, lengths: &[usize]) -> Result<Vec<u64>> {
    let refused = |reason: String| Error::Constant { dataset: text.to_owned(), reason };
    let lengths = region::lengths(lengths);
    let mut dead = Vec::new();
    for place in text.split(';') {
        let steps: Option<Vec<u64>> =
            place.split(',').map(|step| step.trim().parse().ok()).collect();
        let steps = steps.ok_or_else(|| refused(format!("`{place}` is no list of steps")))?;
        let places: Vec<Vec<u64>> = match lengths.len() {
            1 => steps.into_iter().map(|step| vec![step]).collect(),
            _ => vec![steps],
        };
        for steps in places {
            let fits = steps.len() == lengths.len()
                && steps.iter().zip(&lengths).all(|(step, length)| step < length);
            if !fits {
                let reason = format!("{steps:?} is no place in a spectrum of {lengths:?} values");
                return Err(refused(reason));
            }
            dead.push(region::number(&lengths, &steps));
        }
    }
    dead.sort_unstable();
    dead.dedup();
    Ok(dead)
}

fn seen_of_list(dead: &[u64], source: &Source) -> Vec<bool> {
    let mut mask = vec![0_u8; source.rows.view().stored_points() as usize];
    dead.iter().for_each(|at| mask[*at as usize] = 1);
    let row = row_of(source.rows.view(), ElementType::UInt8.size(), &mask);
    row.into_iter().map(|dead| dead != 0).collect()
}

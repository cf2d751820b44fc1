//! What the user asks to be done to all spectra alike before a process sees them: a dark spectrum,
//! a gain, dead pixels. The arrays are found and read as other inputs; the arithmetic is
//! `core/src/corrections.rs`.

use super::Request;
use super::correction_paths::shortened;
use super::inputs::{InputOpener, SpectrumLayout};
use crate::identity::{ConstantIdentity, CorrectionsIdentity};
use crate::region;
use crate::source::Source;
use crate::storage::tiles::copy::row_of;
use pixelmill_core::corrections::Corrections;
use pixelmill_core::element::{ElementType, StoredType, first_lost};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::{ConstantArray, ConstantAxes, ConstantInput};
use pixelmill_core::kernel::Kernel;

/// Corrections for a kernel.
pub(super) struct Opened {
    pub corrections: Corrections,
    pub identity: CorrectionsIdentity,
    /// Whether the user lets values of theirs be rounded that otherwise weren't.
    pub are_rounded: bool,
}

/// Corrections for a kernel; none if none are asked for.
///
/// # Errors
/// If an array isn't there, or doesn't fit, or the kernel's numbers know no fractions.
pub(super) fn open(
    inputs: &mut InputOpener<'_>,
    (kernel, request): (&dyn Kernel, &Request),
    source: &Source,
    shape: &[usize],
) -> Result<Option<Opened>> {
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
    let mut read = |path: &Option<String>| {
        let told = path.as_ref().map(|path| Told::read(inputs, path, source, memory));
        Ok::<_, Error>(told.transpose()?.flatten())
    };
    let list = match paths.dead_pixels.as_deref() {
        Some(text) if is_list(text) => Some(listed(text, &source.seen.lengths)?),
        Some(text) if text.len() > LONGEST_PATH => {
            let reason = "it is neither a list of steps nor the path of a mask".to_owned();
            return Err(Error::Constant { dataset: shortened(text), reason });
        }
        _ => None,
    };
    // A mask is gone, but for its truth values, before another array is read.
    let (mask, is_dead) = match &list {
        Some(dead) => (None, seen_of_list(dead, source)),
        None => match read(&paths.dead_pixels)? {
            Some(Told { identity, seen }) => (Some(identity), is_not_zero(&seen)?),
            None => (None, Vec::new()),
        },
    };
    let (dark, gain) = (read(&paths.dark)?, read(&paths.gain)?);
    let mut are_rounded = false;
    for told in [&dark, &gain].into_iter().flatten() {
        are_rounded |= told.is_rounded((kernel, request), &is_dead)?;
    }
    let (dark, gain) = (split(dark), split(gain));
    let identity = CorrectionsIdentity::of([dark.0, gain.0, mask], list);
    let corrections = Corrections::new(element, shape, [dark.1, gain.1], &is_dead);
    let corrections = corrections.map_err(|steps| Error::Constant {
        dataset: paths.dead_pixels_shortened(),
        reason: format!("the dead value at {steps:?} of a spectrum has no good one beside it"),
    })?;
    Ok(Some(Opened { corrections, identity, are_rounded }))
}

/// An array of one value for each of a position.
struct Told {
    /// Of all values that the file has.
    identity: ConstantIdentity,
    /// Those that are seen of each position, in that order.
    seen: ConstantArray,
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
        Ok(read.into_iter().next().map(|array| Self::of(array, source)))
    }

    fn of(array: ConstantArray, source: &Source) -> Self {
        let identity = ConstantIdentity::of(&array);
        let (path, element) = (array.path.clone(), array.element);
        let row = row_of(source.rows.view(), element.size(), array.bytes());
        // There are never more than two of it at a time.
        drop(array);
        let stored = StoredType { element, swapped: false };
        let shape = vec![row.len() / element.size()];
        Self { identity, seen: ConstantArray::new(path, shape, (&row, stored), element) }
    }

    /// Whether values that aren't dead become others than they are, as the user lets them.
    fn is_rounded(
        &self,
        (kernel, request): (&dyn Kernel, &Request),
        is_dead: &[bool],
    ) -> Result<bool> {
        let (input, found) = (kernel.wants().input, self.seen.element);
        let (wanted, dataset) = (input.element(), self.seen.path.clone());
        if !found.converts_to(wanted, true) {
            let reason = format!("it holds {found}, which can't become {wanted}");
            return Err(Error::Constant { dataset, reason });
        }
        let stored = StoredType { element: found, swapped: false };
        let counts = |at: usize| !is_dead.get(at).copied().unwrap_or_default();
        let lost = first_lost(self.seen.bytes(), stored, (wanted, input.is_narrowing()), counts);
        match lost {
            Some((point, value)) if !request.allow_rounding => {
                let process = kernel.name().to_owned();
                Err(Error::Rounded { process, dataset, point, value, wanted })
            }
            lost => Ok(lost.is_some()),
        }
    }
}

/// Whether each value is another than 0.
fn is_not_zero(array: &ConstantArray) -> Result<Vec<bool>> {
    let element = array.element;
    let parts = if element.is_complex() { 2 } else { 1 };
    let mut are = Vec::with_capacity(array.bytes().len() / element.size());
    for block in array.bytes().chunks(1024 * element.size()) {
        let numbers = element.to_numbers(block);
        if numbers.iter().any(|number| number.is_nan()) {
            let reason = "it holds NaN, which doesn't tell whether a pixel is dead".to_owned();
            return Err(Error::Constant { dataset: array.path.clone(), reason });
        }
        are.extend(numbers.chunks(parts).map(|parts| parts.iter().any(|part| *part != 0.0)));
    }
    Ok(are)
}

/// The identity of what is there, and the array.
fn split(told: Option<Told>) -> (Option<ConstantIdentity>, Option<ConstantArray>) {
    told.map(|Told { identity, seen }| (identity, seen)).unzip()
}

/// Letters that the path of a mask has at most: what is longer is a list with something wrong in
/// it.
const LONGEST_PATH: usize = 4096;

fn is_list(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_digit() || ",; ".contains(letter))
}

/// The dead values of a list, by their numbers in a row of the file, ascending.
fn listed(text: &str, lengths: &[usize]) -> Result<Vec<u64>> {
    let refused = |reason: String| Error::Constant { dataset: shortened(text), reason };
    let lengths = region::lengths(lengths);
    let mut dead = Vec::new();
    for place in text.split(';') {
        let steps: Option<Vec<u64>> =
            place.split(',').map(|step| step.trim().parse().ok()).collect();
        let steps =
            steps.ok_or_else(|| refused(format!("`{}` is no list of steps", shortened(place))))?;
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

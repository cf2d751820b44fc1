//! What of each position's values a computation sees, and along which axes a spectrum runs: the
//! crop and the order that a user asks for, on the axes that the file has.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Description;
use super::axis_steps::{are_those_of, listed};
use super::crop::{Crop, Kept, place};
use crate::region;
use crate::view::{Excerpt, Pick, View};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::SpectrumAxes;
use pixelmill_core::source_info::SourceInfo;

/// The axes of a position's values that a spectrum runs along, slowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Along {
    /// As a user calls them: by their names or, where none has such a name, by their numbers.
    Named(Vec<String>),
    /// By their numbers in the file, whatever they are called: as results record them.
    Numbered(Vec<usize>),
}

/// What is asked of the axes of a position's values.
pub(crate) struct AskedAxes<'a> {
    /// The part of them.
    pub crop: Option<&'a Crop>,
    /// Those that a spectrum runs along.
    pub along: Option<&'a Along>,
    /// What the process works along if nothing is said.
    pub usual: SpectrumAxes,
}

/// The axes of a position's values as a computation sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How many of them, the fastest, a spectrum runs along; the others number the spectra.
    pub along: usize,
    /// Lengths of the axes that the file has, slowest first; of values that are no full grid of
    /// axes, how many there are.
    pub lengths: Vec<usize>,
    /// What was asked for, unless it is what there is anyway.
    pub asked: Option<ExcerptIdentity>,
}

/// What a result depends on of an excerpt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExcerptIdentity {
    /// What is kept of each axis of the file: a single step, or start, end and step.
    crop: Vec<Vec<u64>>,
    /// The axes of the file that are seen, slowest first.
    order: Vec<usize>,
    /// How many of them, the fastest, a spectrum runs along.
    along: usize,
}

impl ExcerptIdentity {
    /// What is kept of each axis of the file, the axes that are seen, and how many of them a
    /// spectrum runs along.
    pub fn new(crop: Vec<Vec<u64>>, order: Vec<usize>, along: usize) -> Self {
        Self { crop, order, along }
    }

    /// The crop that gives it.
    pub fn crop(&self) -> Option<Crop> {
        Crop::of_steps(&self.crop)
    }

    /// The axes that a spectrum runs along.
    pub fn along(&self) -> Along {
        let others = self.order.len().saturating_sub(self.along);
        Along::Numbered(self.order[others..].to_vec())
    }
}

impl Along {
    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Named(names) => names.len(),
            Self::Numbered(numbers) => numbers.len(),
        }
    }

    /// Which of these axes they are.
    fn places(&self, axes: &[Dimension]) -> Result<Vec<usize>, String> {
        let numbered = |number: &usize| {
            let none = || format!("there is no axis number {number}; the axes: {}", listed(axes));
            Some(*number).filter(|number| *number < axes.len()).ok_or_else(none)
        };
        match self {
            Self::Named(names) => names.iter().map(|name| place(name, axes)).collect(),
            Self::Numbered(numbers) => numbers.iter().map(numbered).collect(),
        }
    }
}

impl fmt::Display for Along {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>();
        match self {
            Self::Named(names) => formatter.write_str(&names.join(",")),
            Self::Numbered(all) => formatter.write_str(&numbers(all).join(",")),
        }
    }
}

/// Makes of a description what is asked of its axes.
///
/// # Errors
/// If that can't be had.
pub(crate) fn applied(
    description: Description,
    process: &str,
    asked: &AskedAxes<'_>,
) -> Result<(Description, Seen)> {
    let Description { mut info, view, own_values, mut notes, .. } = description;
    let axes = info.spectroscopic_dimensions.clone();
    let points = axes.iter().map(|axis| axis.len() as u64).product::<u64>();
    let is_grid = !axes.is_empty() && points == view.points();
    let lengths = match is_grid {
        true => axes.iter().map(Dimension::len).collect(),
        false => vec![view.points() as usize],
    };
    let usual = asked.usual.of(axes.len());
    if asked.along.is_none() && asked.crop.is_none() {
        refuse_frames(&info, process, asked.usual)?;
        let description = Description { info, view, own_values, notes, ..description };
        return Ok((description, Seen { along: usual, lengths, asked: None }));
    }
    if !is_grid {
        let reason =
            format!("the values of a position in `{}` are no full grid of axes", info.path);
        return Err(refused(asked, reason));
    }
    let uneven = uneven(&axes, own_values.as_deref());
    let kept = match asked.crop {
        Some(crop) => crop.kept(&axes, &uneven)?,
        None => axes.iter().map(|axis| Kept::all(axis.len())).collect(),
    };
    // What was summed over the width of a step would be taken for a sum over the wider ones.
    if let Some(at) = (0..axes.len()).find(|at| axes[*at].binned && kept[*at].step > 1) {
        let reason = format!("`{}` is binned: its steps can't be left out", axes[at].name);
        return Err(refused(asked, reason));
    }
    let seen: Vec<usize> = (0..axes.len()).filter(|at| !kept[*at].is_single).collect();
    let usual = asked.usual.of(seen.len());
    let (order, along) = match asked.along {
        Some(along) => in_order(along, &axes, &kept, asked, process)?,
        None => (seen.clone(), usual),
    };
    let own =
        |at: &usize| own_values.as_ref().filter(|_| uneven.contains(at)).map(|own| &*own[*at]);
    // Where of all other axes one step is left, nothing is open.
    let is_open = |at: &usize| (0..axes.len()).any(|other| other != *at && kept[other].count > 1);
    for at in uneven.iter().filter(|at| !is_open(at)) {
        let settled = one_of_several(&axes[*at]);
        notes.retain(|note| *note != settled);
    }
    info.spectroscopic_dimensions =
        order.iter().map(|at| cropped(&axes, &kept, *at, own(at))).collect();
    if asked.along.is_none() {
        refuse_frames(&info, process, asked.usual)?;
    }
    let excerpt = excerpt(&view, &axes, &kept, &order);
    let is_other = excerpt.is_some() || order != (0..axes.len()).collect::<Vec<_>>();
    let crop = kept.iter().map(Kept::told).collect();
    let asked = (is_other || along != usual).then(|| ExcerptIdentity::new(crop, order, along));
    let view = view.of(excerpt);
    info.spectral_points = view.points() as usize;
    let description = Description { info, view, own_values, notes, ..description };
    Ok((description, Seen { along, lengths, asked }))
}

/// Nobody means to take a camera's frames apart who doesn't say so.
fn refuse_frames(info: &SourceInfo, process: &str, usual: SpectrumAxes) -> Result<()> {
    match info.frame() {
        Some((slow, fast)) if usual == SpectrumAxes::One => Err(Error::Frames {
            process: process.to_owned(),
            dataset: info.path.clone(),
            slow: slow.name.clone(),
            fast: fast.name.clone(),
        }),
        _ => Ok(()),
    }
}

fn refused(asked: &AskedAxes<'_>, reason: String) -> Error {
    let what = match (asked.crop, asked.along) {
        (Some(crop), _) => format!("the crop `{crop}`"),
        (None, along) => along.map(said).unwrap_or_default(),
    };
    Error::Axes { asked: what, reason }
}

fn said(along: &Along) -> String {
    format!("along `{along}`")
}

/// The axes in the order in which they are seen, those that number the spectra before those that
/// they run along, and how many the latter are.
fn in_order(
    asked_along: &Along,
    axes: &[Dimension],
    kept: &[Kept],
    asked: &AskedAxes<'_>,
    process: &str,
) -> Result<(Vec<usize>, usize)> {
    let refused = |reason| Error::Axes { asked: said(asked_along), reason };
    let along = asked_along.places(axes).map_err(refused)?;
    for (number, at) in along.iter().enumerate() {
        if along[..number].contains(at) {
            return Err(refused(format!("`{}` is named twice", axes[*at].name)));
        }
        if kept[*at].is_single {
            return Err(refused(format!("the crop leaves a single step of `{}`", axes[*at].name)));
        }
    }
    let most = asked.usual.of(usize::MAX);
    // Where a crop leaves fewer axes, a process works along these.
    let left = kept.iter().filter(|kept| !kept.is_single).count();
    if most != usize::MAX && along.len() != most.min(left) {
        let many = if most == 1 { "one axis" } else { "two axes" };
        return Err(refused(format!("{process} works along {many}; there are: {}", listed(axes))));
    }
    let others = (0..axes.len()).filter(|at| !kept[*at].is_single && !along.contains(at));
    let order = others.chain(along.iter().copied()).collect();
    Ok((order, along.len()))
}

/// The axes whose values, of which the points of a row have their own, aren't the same for all
/// steps of the others.
pub(super) fn uneven(axes: &[Dimension], own: Option<&[Vec<f64>]>) -> Vec<usize> {
    let strides = region::strides(&lengths(axes), 1);
    let is_uneven = |(at, values): (usize, &Vec<f64>)| {
        let step = |point: usize| point / strides[at] % axes[at].len();
        let points = values.iter().enumerate().map(|(point, value)| (step(point), *value));
        (!are_those_of(&axes[at], points)).then_some(at)
    };
    own.unwrap_or_default().iter().enumerate().filter_map(is_uneven).collect()
}

/// What is to be said of an axis whose values depend on where on the others they are.
pub(super) fn one_of_several(axis: &Dimension) -> String {
    format!(
        "the values of `{}` aren't the same for all steps of the other axes; those at the first \
         of these are taken",
        axis.name
    )
}

/// What is kept of an axis. Of values that aren't the same for all steps of the other axes, its
/// `own` at all points of a row, it has those at the first steps that are kept of these; the axis
/// itself has those at the first that there are.
fn cropped(axes: &[Dimension], kept: &[Kept], at: usize, own: Option<&[f64]>) -> Dimension {
    let axis = &axes[at];
    let Kept { start, step, count, .. } = kept[at];
    let (start, step, count) = (start as usize, step as usize, count as usize);
    let is_moved = (0..axes.len()).any(|other| other != at && kept[other].start > 0);
    let values = match own.filter(|_| is_moved) {
        Some(own) => {
            let strides = region::strides(&lengths(axes), 1);
            let starts = kept.iter().map(|kept| kept.start as usize).zip(&strides);
            let first: usize = starts.map(|(start, stride)| start * stride).sum();
            (0..count).map(|number| own[first + number * step * strides[at]]).collect()
        }
        None => axis.values.picked(start, step, count),
    };
    Dimension { values, ..axis.clone() }
}

fn lengths(axes: &[Dimension]) -> Vec<u64> {
    axes.iter().map(|axis| axis.len() as u64).collect()
}

/// What is read of the array, and how a row is put together out of that; `None` if that is all of
/// it as it lies.
fn excerpt(view: &View, axes: &[Dimension], kept: &[Kept], order: &[usize]) -> Option<Excerpt> {
    let lengths = lengths(axes);
    let is_one_to_one =
        view.spectrum.iter().map(|axis| view.shape[*axis]).eq(lengths.iter().copied());
    // Axes of the file that are one axis of its array lie in it as those of an array do.
    let (ranges, strides) = if is_one_to_one {
        let ranges: Vec<_> = kept.iter().map(|kept| kept.start..kept.end()).collect();
        let read: Vec<u64> = ranges.iter().map(|range| range.end - range.start).collect();
        (ranges, region::strides(&read, 1))
    } else {
        let strides = region::strides(&lengths, 1);
        let at = |step: &dyn Fn(&Kept) -> u64| -> u64 {
            kept.iter().zip(&strides).map(|(kept, stride)| step(kept) * *stride as u64).sum()
        };
        let (first, last) = (at(&|kept| kept.start), at(&|kept| kept.end() - 1));
        (std::iter::once(first..last + 1).collect(), strides)
    };
    let picks: Vec<Pick> = order
        .iter()
        .map(|at| Pick { steps: kept[*at].count, apart: kept[*at].step * strides[*at] as u64 })
        .collect();
    let shape: Vec<u64> = picks.iter().map(|pick| pick.steps).collect();
    let lies_so = picks
        .iter()
        .zip(region::strides(&shape, 1))
        .all(|(pick, apart)| pick.steps == 1 || pick.apart == apart as u64);
    let read: u64 = ranges.iter().map(|range| range.end - range.start).product();
    let is_as_read = lies_so && read == shape.iter().product::<u64>();
    let whole: Vec<_> = view.spectrum.iter().map(|axis| 0..view.shape[*axis]).collect();
    let arrangement = (!is_as_read).then_some(picks);
    (ranges != whole || arrangement.is_some()).then_some(Excerpt { ranges, arrangement })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::axis_values::AxisValues;

    #[test]
    fn an_axis_with_values_of_its_own_at_each_point_has_those_of_the_first_step_that_is_kept() {
        let axes = [
            Dimension::new("A", "Hz", AxisValues::counted(3)),
            Dimension::new("B", "V", AxisValues::counted(4)),
        ];
        let (slow, fast): (Vec<f64>, Vec<f64>) = (0..12)
            .map(|point| (f64::from(point / 4), f64::from((point % 4) * (1 + point / 4))))
            .unzip();
        let own = [slow, fast];
        assert_eq!(uneven(&axes, Some(&own)), [1]);
        assert!(uneven(&axes, None).is_empty());
        let kept = |text: &str| text.parse::<Crop>().unwrap().kept(&axes, &[1]).unwrap();
        let b = |text: &str| cropped(&axes, &kept(text), 1, Some(&own[1])).values;
        assert_eq!(b("1:,1:"), [2.0, 4.0, 6.0]);
        assert_eq!(b("2,::2"), [0.0, 6.0]);
        assert_eq!(b("0,1:").as_even(), Some((1.0, 1.0)), "what it is without this");
        let told = "A=1,B=1.0:".parse::<Crop>().unwrap().kept(&axes, &[1]).unwrap_err().to_string();
        assert!(told.contains("`B` aren't the same for all steps"), "{told}");
    }

    #[test]
    fn axes_are_found_again_by_their_numbers_whatever_they_are_called() {
        let axes = ["1", "0", "1"].map(|name| Dimension::new(name, "", AxisValues::counted(2)));
        let named = |names: &[&str]| Along::Named(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(named(&["0"]).places(&axes), Ok(vec![1]));
        assert_eq!(named(&["2"]).places(&axes), Ok(vec![2]));
        let recorded = |order: &[usize], along| {
            ExcerptIdentity::new(Vec::new(), order.to_vec(), along).along()
        };
        assert_eq!(recorded(&[1, 2, 0], 2).places(&axes), Ok(vec![2, 0]));
        assert_eq!(recorded(&[1], 0).places(&axes), Ok(vec![]));
        let told = Along::Numbered(vec![3]).places(&axes).unwrap_err();
        assert!(told.contains("no axis number 3"), "{told}");
    }
}

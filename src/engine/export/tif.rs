//! Images and stacks of them, as ImageJ reads them: 32-bit floating-point numbers or integers, with
//! the scale and the units of the axes.
//!
//! What lies behind each other in the dataset is a page: a frame, or of spectra the map of each
//! point, which is put together in as many readings of the data as memory asks for. A file larger
//! than 4 GiB is a BigTIFF.

use std::borrow::Cow;
use std::io::{Seek, Write};
use std::ops::Range;
use std::path::Path;

use tiff::TiffError;
use tiff::encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKind};
use tiff::tags::{CompressionMethod, PhotometricInterpretation, ResolutionUnit, SampleFormat, Tag};

use super::Steps;
use super::array::{Array, Piece};
use pixelmill_core::advice::{Advice, Note};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result};

/// Bytes of the pages that are put together in one reading.
const AT_ONCE: u64 = 128 << 20;
/// From so many bytes on a file is a BigTIFF.
const BIG: u64 = 3 << 30;
/// Bytes that say of a page what it is, at most.
const DIRECTORY: u64 = 256;

/// What is on which page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Lengths of the axes before those of an image: a page for each step, the last one fastest.
    pages: Vec<u64>,
    height: u64,
    width: u64,
    /// How many values of an image point lie behind each other, each on a page of its own.
    points: u64,
    /// The axes that an image runs along.
    image: [usize; 2],
    /// Two if each page has the real and another the imaginary part.
    parts: u64,
    element: ElementType,
}

impl Plan {
    /// How an array is written as images.
    ///
    /// # Errors
    /// If it can't be.
    pub fn of(array: &Array) -> Result<Self> {
        let refused = |text: String, advice| {
            let reason = Note { text, advice };
            Error::CannotExport { dataset: array.path.clone(), reason }
        };
        let [field] = array.fields.as_slice() else {
            let names: Vec<_> =
                array.fields.iter().filter_map(|field| field.name.clone()).collect();
            let names = names.join(", ");
            let text = format!("an image has one field of records: {names}");
            return Err(refused(text, Some(Advice::NameField)));
        };
        let element = field.element;
        if matches!(element, ElementType::Int64 | ElementType::UInt64) {
            let text = format!(
                "{element} is more than images have; as .npy or .csv nothing of it is lost"
            );
            return Err(refused(text, None));
        }
        let plan = Self::with(&array.shape, array.scan, element);
        let plan = plan.map_err(|text| refused(text, None))?;
        if plan.height.max(plan.width) > u64::from(u32::MAX) {
            return Err(refused("an image would be too large".to_owned(), None));
        }
        Ok(plan)
    }

    fn with(shape: &[usize], scan: usize, element: ElementType) -> Result<Self, String> {
        let length = |axis: usize| shape[axis] as u64;
        let last = shape.len();
        if last < 2 {
            return Err(
                "it has one axis, of which no image is made; export it as .csv or .npy".to_owned()
            );
        }
        let parts = if element.is_complex() { 2 } else { 1 };
        // Spectra of a map: an image for each point.
        let is_map = scan >= 2 && last == scan + 1;
        let (image, points) = match is_map {
            true => ([scan - 2, scan - 1], length(scan)),
            false => ([last - 2, last - 1], 1),
        };
        let pages = (0..image[0]).map(length).collect();
        Ok(Self {
            pages,
            height: length(image[0]),
            width: length(image[1]),
            points,
            image,
            parts,
            element,
        })
    }

    /// What of the values isn't in the file.
    pub fn note(&self) -> Option<String> {
        let is_long = matches!(self.element, ElementType::Float64 | ElementType::Complex128);
        is_long
            .then(|| format!("{} is rounded to single precision, as images have it", self.element))
    }

    fn frame(&self) -> u64 {
        self.height * self.width
    }

    /// Steps before the images; each has a page for every point and part.
    fn outer(&self) -> u64 {
        self.pages.iter().product()
    }

    fn bytes(&self) -> u64 {
        let element = self.element.size().min(4) as u64;
        self.outer() * self.points * self.parts * self.frame() * element
    }

    /// Whether places in the file may need more than 32 bits.
    fn is_big(&self) -> bool {
        self.bytes() + self.outer() * self.points * self.parts * DIRECTORY >= BIG
    }

    /// What ImageJ reads of a file: how many images there are, and along which axes.
    fn description(&self, array: &Array) -> String {
        let mut stacked: Vec<u64> = self.pages.clone();
        if self.points > 1 {
            stacked.push(self.points);
        }
        let slices = stacked.pop().unwrap_or(1);
        let frames: u64 = stacked.iter().product();
        let images = slices * frames * self.parts;
        let mut text = format!("ImageJ=1.54f\nimages={images}\n");
        for (name, count) in [("channels", self.parts), ("slices", slices), ("frames", frames)] {
            if count > 1 {
                text.push_str(&format!("{name}={count}\n"));
            }
        }
        if [self.parts, slices, frames].iter().filter(|count| **count > 1).count() > 1 {
            text.push_str("hyperstack=true\n");
        }
        let axes = self.image.map(|axis| &array.axes[axis]);
        for (name, axis) in [("yunit", axes[0]), ("unit", axes[1])] {
            if !axis.units.is_empty() && (name == "unit" || axes[0].units != axes[1].units) {
                text.push_str(&format!("{name}={}\n", plain(&axis.units)));
            }
        }
        for (name, axis) in [("xorigin", axes[1]), ("yorigin", axes[0])] {
            if let Some((first, step)) = even(axis) {
                text.push_str(&format!("{name}={}\n", -first / step));
            }
        }
        let last = if self.points > 1 {
            array.axes.last()
        } else {
            self.image[0].checked_sub(1).map(|axis| &array.axes[axis])
        };
        if let Some((_, step)) = last.and_then(even).filter(|_| slices > 1) {
            text.push_str(&format!("spacing={step}\n"));
        }
        text.push_str("loop=false\n");
        text
    }
}

/// First value and step of an axis with even steps.
fn even(axis: &Dimension) -> Option<(f64, f64)> {
    let values = &axis.values;
    let (first, last) = (values.first()?, values.last()?);
    let step = (last - first) / (values.len().checked_sub(1).filter(|steps| *steps > 0)?) as f64;
    let is_near =
        |(at, value): (usize, f64)| (value - (first + step * at as f64)).abs() <= 1e-4 * step.abs();
    (step != 0.0 && values.iter().enumerate().all(is_near)).then_some((first, step))
}

/// Units as ImageJ's text can have them, which isn't all of Unicode.
fn plain(units: &str) -> String {
    let letter = |letter: char| match letter {
        'µ' | 'μ' => 'u',
        letter if letter.is_ascii_graphic() || letter == ' ' => letter,
        _ => '?',
    };
    units.chars().map(letter).collect()
}

/// Points per unit, as nearly as two integers tell it.
fn per_unit(step: f64) -> Option<Rational> {
    let resolution = (1.0 / step).abs();
    let range = 1e-9..4e9;
    if !range.contains(&resolution) {
        return None;
    }
    let d = if resolution >= 1.0 { (4e9 / resolution).min(1e6) } else { 4e9 };
    let (n, d) = ((resolution * d.floor()).round() as u32, d.floor() as u32);
    (n > 0 && d > 0).then_some(Rational { n, d })
}

/// Writes an array; whether it is whole.
///
/// # Errors
/// If it can't be read or written.
pub(super) fn write(
    steps: &Steps<'_>,
    plan: &Plan,
    writer: &mut (impl Write + Seek),
    output: &Path,
) -> Result<bool> {
    let refused = |error| refused(error, output);
    if plan.is_big() {
        written(TiffEncoder::new_big(writer).map_err(refused)?, (steps, plan), output)
    } else {
        written(TiffEncoder::new(writer).map_err(refused)?, (steps, plan), output)
    }
}

fn refused(error: TiffError, output: &Path) -> Error {
    match error {
        TiffError::IoError(error) => Error::io("write", output, error),
        other => Error::io("write", output, std::io::Error::other(other.to_string())),
    }
}

/// Writes all pages, one behind the other as ImageJ takes them for granted, then what they are.
fn written<W: Write + Seek, K: TiffKind>(
    mut encoder: TiffEncoder<W, K>,
    (steps, plan): (&Steps<'_>, &Plan),
    output: &Path,
) -> Result<bool> {
    let refused = |error| refused(error, output);
    let mut directory = encoder.image_directory().map_err(refused)?;
    let mut pages = Pages { steps, plan, output, offsets: Vec::new(), directory: &mut directory };
    if !pages.write()? {
        return Ok(false);
    }
    let offsets = pages.offsets;
    let description = plan.description(steps.array);
    directory.write_tag(Tag::ImageDescription, &*description).map_err(refused)?;
    plan.describe(&mut directory, steps.array, offsets[0]).map_err(refused)?;
    directory.finish().map_err(refused)?;
    for offset in &offsets[1..] {
        let mut directory = encoder.image_directory().map_err(refused)?;
        plan.describe(&mut directory, steps.array, *offset).map_err(refused)?;
        directory.finish().map_err(refused)?;
    }
    Ok(true)
}

impl Plan {
    /// Says of a page what it is and where it lies.
    fn describe<W: Write + Seek, K: TiffKind>(
        &self,
        page: &mut DirectoryEncoder<'_, W, K>,
        array: &Array,
        offset: u64,
    ) -> Result<(), TiffError> {
        let (bytes, format) = match self.element {
            ElementType::UInt8 | ElementType::UInt16 | ElementType::UInt32 => {
                (self.element.size(), SampleFormat::Uint)
            }
            ElementType::Int8 | ElementType::Int16 | ElementType::Int32 => {
                (self.element.size(), SampleFormat::Int)
            }
            _ => (4, SampleFormat::IEEEFP),
        };
        let length = self.frame() * bytes as u64;
        page.write_tag(Tag::ImageWidth, self.width as u32)?;
        page.write_tag(Tag::ImageLength, self.height as u32)?;
        page.write_tag(Tag::BitsPerSample, 8 * bytes as u16)?;
        page.write_tag(Tag::Compression, CompressionMethod::None)?;
        page.write_tag(Tag::PhotometricInterpretation, PhotometricInterpretation::BlackIsZero)?;
        page.write_tag(Tag::SamplesPerPixel, 1u16)?;
        page.write_tag(Tag::RowsPerStrip, self.height as u32)?;
        page.write_tag(Tag::SampleFormat, format.to_u16())?;
        if self.bytes() >= BIG {
            page.write_tag(Tag::StripOffsets, offset)?;
            page.write_tag(Tag::StripByteCounts, length)?;
        } else {
            page.write_tag(Tag::StripOffsets, offset as u32)?;
            page.write_tag(Tag::StripByteCounts, length as u32)?;
        }
        let [y, x] =
            self.image.map(|axis| even(&array.axes[axis]).and_then(|(_, step)| per_unit(step)));
        if let (Some(x), Some(y)) = (x, y) {
            page.write_tag(Tag::XResolution, x)?;
            page.write_tag(Tag::YResolution, y)?;
            page.write_tag(Tag::ResolutionUnit, ResolutionUnit::None)?;
        }
        Ok(())
    }
}

/// The values of the pages while they are written.
struct Pages<'a, 'w, W: Write + Seek, K: TiffKind> {
    steps: &'a Steps<'a>,
    plan: &'a Plan,
    output: &'a Path,
    /// Where each begins.
    offsets: Vec<u64>,
    directory: &'a mut DirectoryEncoder<'w, W, K>,
}

impl<W: Write + Seek, K: TiffKind> Pages<'_, '_, W, K> {
    fn write(&mut self) -> Result<bool> {
        let (plan, steps) = (self.plan, self.steps);
        if plan.points == 1 && plan.parts == 1 {
            return self.write_as_they_lie();
        }
        let page = plan.frame() * plan.element.size() as u64;
        let at_once = (AT_ONCE / page.max(1)).clamp(1, plan.points);
        if at_once == plan.points {
            return self.write_in_turn();
        }
        // Only some points of each image at a time, which takes a reading of its data for each.
        let groups = plan.outer() * plan.points.div_ceil(at_once);
        let (mut done, whole) = (0, plan.frame() * plan.points);
        for outer in 0..plan.outer() {
            for first in (0..plan.points).step_by(at_once as usize) {
                let points = first..plan.points.min(first + at_once);
                let mut images = Images::new(plan, points);
                let own = outer * whole..(outer + 1) * whole;
                let is_whole = steps.each_of(own, (done, groups), |piece| {
                    images.take(&piece, outer);
                    Ok(())
                })?;
                if !is_whole {
                    return Ok(false);
                }
                done += 1;
                self.put_all(&images)?;
            }
        }
        Ok(true)
    }

    /// Writes frames that lie behind each other in the dataset as they do in the file: no page has
    /// to be whole in memory.
    fn write_as_they_lie(&mut self) -> Result<bool> {
        let (plan, steps) = (self.plan, self.steps);
        let mut begin = None;
        let is_whole = steps.each(|piece| {
            let values = shown(&piece.values[0], plan.element, 0);
            let offset = self.directory.write_data(&*values);
            begin.get_or_insert(offset.map_err(|error| refused(error, self.output))?);
            Ok(())
        })?;
        let page = plan.bytes() / plan.outer();
        let begin = begin.unwrap_or_default();
        self.offsets.extend((0..plan.outer()).map(|number| begin + number * page));
        Ok(is_whole)
    }

    /// Writes images as they are read, each with all of its points and parts.
    fn write_in_turn(&mut self) -> Result<bool> {
        let (plan, steps) = (self.plan, self.steps);
        let whole = plan.frame() * plan.points;
        let mut images = Images::new(plan, 0..plan.points);
        let mut outer = 0;
        steps.each(|piece| {
            let end = piece.first + (piece.values[0].len() / plan.element.size()) as u64;
            loop {
                images.take(&piece, outer);
                if end < (outer + 1) * whole {
                    return Ok(());
                }
                self.put_all(&images)?;
                outer += 1;
                if end == outer * whole {
                    return Ok(());
                }
            }
        })
    }

    fn put_all(&mut self, images: &Images<'_>) -> Result<()> {
        for image in &images.bytes {
            for part in 0..self.plan.parts as usize {
                let page = shown(image, self.plan.element, part);
                let offset = self.directory.write_data(&*page);
                self.offsets.push(offset.map_err(|error| refused(error, self.output))?);
            }
        }
        Ok(())
    }
}

/// The values of an image as a page has them, or one part of them.
fn shown(image: &[u8], element: ElementType, part: usize) -> Cow<'_, [u8]> {
    fn singles<T: bytemuck::AnyBitPattern>(image: &[u8], of: impl Fn(T) -> f32) -> Vec<u8> {
        let values = image.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned::<T>);
        values.flat_map(|value| of(value).to_ne_bytes()).collect()
    }
    Cow::Owned(match element {
        ElementType::Float64 => singles::<f64>(image, |value| value as f32),
        ElementType::Complex64 => singles::<[f32; 2]>(image, |value| value[part]),
        ElementType::Complex128 => singles::<[f64; 2]>(image, |value| value[part] as f32),
        _ => return Cow::Borrowed(image),
    })
}

/// The images of some points, of one step before them.
struct Images<'a> {
    plan: &'a Plan,
    points: Range<u64>,
    bytes: Vec<Vec<u8>>,
}

impl<'a> Images<'a> {
    fn new(plan: &'a Plan, points: Range<u64>) -> Self {
        let page = plan.frame() as usize * plan.element.size();
        let bytes = points.clone().map(|_| vec![0; page]).collect();
        Self { plan, points, bytes }
    }

    /// Takes what a piece has of them.
    fn take(&mut self, piece: &Piece, outer: u64) {
        let (size, points) = (self.plan.element.size(), self.plan.points);
        let values = &piece.values[0];
        let whole = self.plan.frame() * points;
        let own = outer * whole..(outer + 1) * whole;
        let there = piece.first..piece.first + (values.len() / size) as u64;
        let (start, end) = (own.start.max(there.start), own.end.min(there.end));
        if start >= end {
            return;
        }
        let bytes = |at: u64| (at - piece.first) as usize * size;
        if points == 1 {
            let place = (start - own.start) as usize * size;
            let part = &values[bytes(start)..bytes(end)];
            self.bytes[0][place..place + part.len()].copy_from_slice(part);
            return;
        }
        for at in start..end {
            let (pixel, point) = ((at - own.start) / points, (at - own.start) % points);
            if !self.points.contains(&point) {
                continue;
            }
            let place = pixel as usize * size;
            let image = &mut self.bytes[(point - self.points.start) as usize];
            image[place..place + size].copy_from_slice(&values[bytes(at)..bytes(at) + size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_pages_and_spectra_maps_of_each_point() {
        let plan = |shape: &[usize], scan| {
            let plan = Plan::with(shape, scan, ElementType::Float32)?;
            Ok::<_, String>((plan.pages.clone(), plan.height, plan.width, plan.points))
        };
        assert_eq!(plan(&[4, 5], 2), Ok((vec![], 4, 5, 1)));
        assert_eq!(plan(&[4, 5, 7], 2), Ok((vec![], 4, 5, 7)));
        assert_eq!(plan(&[3, 4, 5, 7], 3), Ok((vec![3], 4, 5, 7)));
        assert_eq!(plan(&[4, 5, 7, 8], 2), Ok((vec![4, 5], 7, 8, 1)));
        assert_eq!(plan(&[9, 7], 1), Ok((vec![], 9, 7, 1)));
        assert_eq!(plan(&[9, 7, 8], 1), Ok((vec![9], 7, 8, 1)));
        assert_eq!(plan(&[2, 7, 8], 0), Ok((vec![2], 7, 8, 1)));
        assert!(plan(&[7], 0).is_err());
    }

    #[test]
    fn many_small_pages_make_a_large_file_too() {
        let is_big = |pages| Plan::with(&[pages, 4, 4], 1, ElementType::UInt8).unwrap().is_big();
        assert!(!is_big(1 << 20) && is_big(20 << 20));
    }

    #[test]
    fn steps_are_told_as_points_per_unit() {
        for step in [0.1, 0.333, 1.0, 5e-9, 2.5e3, -0.25] {
            let Some(Rational { n, d }) = per_unit(step) else { panic!("{step}") };
            let told = f64::from(d) / f64::from(n);
            assert!((told / step.abs() - 1.0).abs() < 1e-5, "{step} {told}");
        }
        assert!(per_unit(0.0).is_none() && per_unit(f64::NAN).is_none());
    }
}

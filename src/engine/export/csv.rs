//! Tables as RFC 4180 has them: a line for each position, with its coordinates and then its values.
//!
//! Numbers are as short as they can be and still be read back with all their bits; what has no
//! result is an empty cell.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use num_complex::{Complex32, Complex64};

use super::Steps;
use super::array::{Array, Field};
use crate::region;
use pixelmill_core::coordinates::PositionAxes;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result};

/// Writes a table; whether it is whole.
///
/// # Errors
/// If it can't be read or written.
pub(super) fn write(steps: &Steps<'_>, writer: &mut impl Write, output: &Path) -> Result<bool> {
    let refused = |error| Error::io("write", output, error);
    let table = Table::of(steps.array);
    table.header(writer).map_err(refused)?;
    let mut text = String::new();
    steps.each(|piece| {
        let size = steps.array.fields[0].element.size();
        let mut gaps = piece.missing.iter().peekable();
        for at in 0..piece.values[0].len() / size {
            let number = piece.first + at as u64;
            while gaps.next_if(|gap| gap.end <= at).is_some() {}
            let is_missing = gaps.peek().is_some_and(|gap| gap.start <= at);
            table.cell(&mut text, number, |text| {
                for (field, values) in steps.array.fields.iter().zip(&piece.values) {
                    let size = field.element.size();
                    let value = &values[at * size..(at + 1) * size];
                    put(text, (!is_missing).then_some(value), field);
                }
            });
            if text.len() >= 1 << 16 {
                writer.write_all(text.as_bytes()).map_err(refused)?;
                text.clear();
            }
        }
        writer.write_all(text.as_bytes()).map_err(refused)?;
        text.clear();
        Ok(())
    })
}

/// What stands in which column.
struct Table<'a> {
    array: &'a Array,
    /// How many axes, the first ones, have a line for each step; those after them have columns.
    axes: usize,
    /// Values in a line, of each field.
    per_line: u64,
}

impl<'a> Table<'a> {
    fn of(array: &'a Array) -> Self {
        let axes = match array.scan {
            0 => (array.shape.len() - 1).max(1),
            scan => scan,
        };
        let per_line = array.shape[axes..].iter().map(|length| *length as u64).product();
        Self { array, axes, per_line }
    }

    /// The axes that lines have coordinates on.
    fn coordinates(&self) -> &[Dimension] {
        self.array.grid.as_ref().map_or(&self.array.axes[..self.axes], |grid| &grid.dimensions)
    }

    /// Writes the names of the columns; there may be as many as a frame has points.
    fn header(&self, writer: &mut impl Write) -> io::Result<()> {
        let coordinates = self.coordinates().iter().enumerate().map(|(number, axis)| {
            let name =
                if axis.name.is_empty() { format!("axis {number}") } else { axis.name.clone() };
            with_units(&name, &axis.units)
        });
        for (number, name) in coordinates.enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(writer, "{comma}{}", quoted(&name))?;
        }
        let lengths = region::lengths(&self.array.shape[self.axes..]);
        for point in 0..self.per_line {
            let steps = region::steps(&lengths, point);
            let place = steps.iter().zip(&self.array.axes[self.axes..]).map(|(step, axis)| {
                let value = axis.values.get(*step as usize).map(number).unwrap_or_default();
                let units =
                    if axis.units.is_empty() { String::new() } else { format!(" {}", axis.units) };
                if axis.name.is_empty() {
                    format!("{value}{units}")
                } else {
                    format!("{}={value}{units}", axis.name)
                }
            });
            let place = place.collect::<Vec<_>>().join(", ");
            for field in &self.array.fields {
                let label = self.label(field);
                let label = if place.is_empty() { label } else { format!("{label} at {place}") };
                match field.element.is_complex() {
                    true => {
                        for part in ["real", "imaginary"] {
                            write!(writer, ",{}", quoted(&format!("{label}, {part}")))?;
                        }
                    }
                    false => write!(writer, ",{}", quoted(&label))?,
                }
            }
        }
        writer.write_all(b"\r\n")
    }

    /// What a field is called: as it has units of its own, or as the dataset is.
    fn label(&self, field: &Field) -> String {
        let array = self.array;
        match (&field.name, array.quantity.as_str()) {
            (Some(name), _) => name.clone(),
            (None, "") => {
                let name = array.path.rsplit('/').next().unwrap_or_default();
                with_units(name, &array.units)
            }
            (None, quantity) => with_units(quantity, &array.units),
        }
    }

    /// Writes the values of this number, with what a line begins with before its first and what it
    /// ends with behind its last.
    fn cell(&self, text: &mut String, number: u64, values: impl FnOnce(&mut String)) {
        let (line, at) = (number / self.per_line, number % self.per_line);
        if at == 0 {
            self.begin(text, line);
        }
        values(text);
        if at + 1 == self.per_line {
            text.push_str("\r\n");
        }
    }

    fn begin(&self, text: &mut String, line: u64) {
        let axes = self.coordinates();
        let steps = match &self.array.grid {
            Some(_) => Vec::new(),
            None => region::steps(&region::lengths(&self.array.shape[..self.axes]), line),
        };
        for (number_of_axis, axis) in axes.iter().enumerate() {
            let value = match &self.array.grid {
                Some(grid) => Some(grid.value(line, number_of_axis)),
                None => axis.values.get(steps[number_of_axis] as usize),
            };
            if number_of_axis > 0 {
                text.push(',');
            }
            text.push_str(&value.map(number).unwrap_or_default());
        }
    }
}

fn with_units(name: &str, units: &str) -> String {
    if units.is_empty() { name.to_owned() } else { format!("{name} ({units})") }
}

/// A value of an axis: files keep most in single precision, and mean what that is written as.
fn number(value: f64) -> String {
    let single = value as f32;
    let text =
        if f64::from(single) == value { format!("{single:?}") } else { format!("{value:?}") };
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A cell as it is quoted where it has to be.
fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\r', '\n']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

/// Writes a value behind a comma, or two of a complex one.
fn put(text: &mut String, value: Option<&[u8]>, field: &Field) {
    let Some(bytes) = value else {
        text.push_str(if field.element.is_complex() { ",," } else { "," });
        return;
    };
    let read = |text: &mut String| match field.element {
        ElementType::Int8 => write!(text, ",{}", of::<i8>(bytes)),
        ElementType::Int16 => write!(text, ",{}", of::<i16>(bytes)),
        ElementType::Int32 => write!(text, ",{}", of::<i32>(bytes)),
        ElementType::Int64 => write!(text, ",{}", of::<i64>(bytes)),
        ElementType::UInt8 => write!(text, ",{}", of::<u8>(bytes)),
        ElementType::UInt16 => write!(text, ",{}", of::<u16>(bytes)),
        ElementType::UInt32 => write!(text, ",{}", of::<u32>(bytes)),
        ElementType::UInt64 => write!(text, ",{}", of::<u64>(bytes)),
        ElementType::Float16 | ElementType::BFloat16 | ElementType::Float32 => {
            write!(text, ",{:?}", of::<f32>(bytes))
        }
        ElementType::Float64 => write!(text, ",{:?}", of::<f64>(bytes)),
        ElementType::Complex64 => {
            let value = of::<Complex32>(bytes);
            write!(text, ",{:?},{:?}", value.re, value.im)
        }
        ElementType::Complex128 => {
            let value = of::<Complex64>(bytes);
            write!(text, ",{:?},{:?}", value.re, value.im)
        }
    };
    read(text).expect("a text in memory takes more");
}

fn of<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> T {
    bytemuck::pod_read_unaligned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        assert_eq!(quoted("Amplitude (V)"), "Amplitude (V)");
        assert_eq!(quoted("A at x=1, y=2"), "\"A at x=1, y=2\"");
        assert_eq!(quoted("the \"good\" one"), "\"the \"\"good\"\" one\"");
        assert_eq!([number(0.1), number(f64::from(0.1f32)), number(3.0)], ["0.1", "0.1", "3"]);
    }
}

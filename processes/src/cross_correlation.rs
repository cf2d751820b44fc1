//! Where a template is found in each frame or spectrum, and how alike it is to what is there.
//!
//! The zero-normalised cross-correlation of a template t of N points with the values f that it lies
//! over, its first point on u: γ(u) = Σ (f(x + u) − f̄_u)(t(x) − t̄) / √(Σ (f(x + u) − f̄_u)² ·
//! Σ (t(x) − t̄)²), f̄_u being the mean of f there: from −1 to 1, whatever offset and scale the
//! values have (J. P. Lewis, *Fast Normalized Cross-Correlation*, Vision Interface 1995;
//! scikit-image's `match_template`). The template lies inside wholly: there is nothing beyond the
//! edges.
//!
//! - `Correlation` is the largest γ, at whole points; of equal ones any, but always the same.
//! - Of a frame, `Row` and `Column` are where the middle of the template is then, in points counted
//!   from the first; of a spectrum, `Place` is that on its axis, in its units, and `Point` in
//!   points. They are those of the top of a parabola through the largest γ and its neighbours, on
//!   each axis by itself, not more than half a point from it. At the edge, where there is no
//!   neighbour, the place is a whole point's.
//!
//! A frame has two axes of more than one step, a spectrum one, and the template as many. Numerators
//! come from a Fourier transform, that of the largest γ is summed up once more, all in double
//! precision. What hardly varies under the template (its Σ (f − f̄_u)² less than 10⁻¹⁰ of that of
//! the whole frame) is like nothing and doesn't count; constant, empty and saturated frames have no
//! place at all, all results are NaN. A value that is no number or infinite fails its position.

use num_complex::Complex64;
use pixelmill_core::Results;
use pixelmill_core::inputs::{ConstantArray, ConstantInput};
use pixelmill_core::process::{Dimension, Failure, Model, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frame_fourier::{Buffers, FrameFourier};
use crate::side_by_side::sum_of;

/// What varies less than this part of all that varies is taken for constant: it is rounding.
const FLAT: f64 = 1e-10;

/// Which template.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The dataset or the array of NumPy's that has the template, a frame or a spectrum no larger
    /// than those of the scan: /template, templates.h5:/disk, template.npy.
    pub template: Option<String>,
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        match self.template {
            Some(_) => Ok(()),
            None => Err(Failure::new("`template` has to be given, as `template=disk.npy`")),
        }
    }
}

/// The result of one frame or spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Output {
    correlation: f64,
    /// Row and column of the middle of the template.
    place: (f64, f64),
    /// The same on the axis of a spectrum.
    at: f64,
}

/// The template, and how it is found.
pub struct Task {
    fourier: FrameFourier,
    /// Rows and columns of the frames; a spectrum is one of a single row.
    shape: (usize, usize),
    axis: Option<Dimension>,
    template: Template,
    /// Its spectrum, conjugate, column by column.
    spectrum: Vec<Complex64>,
}

/// A template less its mean.
struct Template {
    shape: (usize, usize),
    values: Vec<f64>,
    /// The sum of the squares of these.
    squares: f64,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    /// The values less their mean.
    frame: Vec<f64>,
    products: Vec<f64>,
    /// Sums of the values, and of their squares, over all rows and columns before.
    sums: Vec<(f64, f64)>,
    fourier: Buffers,
}

/// The process `Cross_Correlation`.
pub struct CrossCorrelation;

impl Process for CrossCorrelation {
    const NAME: &'static str = "Cross_Correlation";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "where a template is found in each real frame or spectrum, and how alike it is";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn constant_inputs(parameters: &Parameters) -> Vec<ConstantInput> {
        parameters.template.iter().map(ConstantInput::of::<f64>).collect()
    }

    fn prepare(_: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        let (shape, axis) = shape(source)?;
        let template = match source.constants.first() {
            Some(constant) => Template::of(constant, shape, axis.is_some())?,
            None => return Err(Failure::new("`template` has to be given")),
        };
        let fourier = FrameFourier::new(shape, usize::MAX);
        let mut buffers = Buffers::default();
        let row = |row: usize, out: &mut [f64]| {
            let (rows, columns) = template.shape;
            out.fill(0.0);
            if row < rows {
                out[..columns].copy_from_slice(&template.values[row * columns..][..columns]);
            }
        };
        fourier.forward(row, &mut buffers)?;
        let columns = fourier.columns(&mut buffers);
        let spectrum = columns.flat_map(|column| column.iter().map(Complex64::conj)).collect();
        Ok(Task { fourier, shape, axis, template, spectrum })
    }

    fn create_results_datasets(_: &Parameters, source: &SourceInfo, results: &mut Results<Output>) {
        results.main("Correlation", "Correlation", "").scalar(|output: &Output| output.correlation);
        // `prepare` has refused what this refuses.
        let Ok((_, axis)) = shape(source) else { return };
        if let Some(axis) = axis {
            results.main("Place", &axis.name, &axis.units).scalar(|output: &Output| output.at);
            results.main("Point", "Point", "points").scalar(|output: &Output| output.place.1);
        } else {
            results.main("Row", "Row", "points").scalar(|output: &Output| output.place.0);
            results.main("Column", "Column", "points").scalar(|output: &Output| output.place.1);
        }
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        let all = scratch.centre(&spectrum);
        scratch.correlate(task)?;
        let nothing = Output { correlation: f64::NAN, place: (f64::NAN, f64::NAN), at: f64::NAN };
        let gamma = |at: (usize, usize)| scratch.gamma(task, at, all);
        let Some((row, column)) = largest(task.reach(), gamma) else { return Ok(nothing) };
        let (rows, columns) = task.reach();
        let own = scratch.exact(task, (row, column), all);
        let beside = |row: usize, column: usize| scratch.exact(task, (row, column), all);
        let off_row = off(row, rows, own, |row| beside(row, column));
        let off_column = off(column, columns, own, |column| beside(row, column));
        let middle = |length: usize| (length as f64 - 1.0) / 2.0;
        let (high, wide) = task.template.shape;
        let place =
            (row as f64 + off_row + middle(high), column as f64 + off_column + middle(wide));
        let at = task.axis.as_ref().map_or(f64::NAN, |axis| on_axis(axis, place.1));
        Ok(Output { correlation: own.clamp(-1.0, 1.0), place, at })
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let model = Model::new();
        let (row, column) = output.place;
        if output.correlation.is_nan() {
            return model;
        }
        match &task.axis {
            Some(_) => {
                let nearest = (column.round() as usize).min(spectrum.len() - 1);
                model.mark("template", output.at, spectrum[nearest])
            }
            None => {
                let (high, wide) = task.template.shape;
                let is_under = |point: usize| {
                    let at = ((point / task.shape.1) as f64, (point % task.shape.1) as f64);
                    (at.0 - row).abs() <= high as f64 / 2.0
                        && (at.1 - column).abs() <= wide as f64 / 2.0
                };
                let under = (0..spectrum.len()).map(is_under).collect();
                model.place("template", (row, column)).outline("under the template", under)
            }
        }
    }

    fn extra_memory_per_position(_: &Parameters, source: &SourceInfo) -> usize {
        let Ok((shape, _)) = shape(source) else { return 0 };
        let sums = (shape.0 + 1) * (shape.1 + 1) * size_of::<(f64, f64)>();
        let frames = 2 * source.spectral_points * size_of::<f64>();
        frames + sums + 2 * FrameFourier::new(shape, usize::MAX).bytes()
    }
}

/// Rows and columns of the frames; or one row, and the axis, of spectra.
fn shape(source: &SourceInfo) -> Result<((usize, usize), Option<Dimension>), Failure> {
    let axes = &source.spectroscopic_dimensions;
    let long: Vec<&Dimension> = axes.iter().filter(|axis| axis.len() > 1).collect();
    match long.as_slice() {
        [rows, columns] => Ok(((rows.len(), columns.len()), None)),
        [axis] => Ok(((1, axis.len()), Some((*axis).clone()))),
        [] if source.spectral_points > 1 => Ok(((1, source.spectral_points), Some(source.axis(0)))),
        _ => Err(Failure::new(format!(
            "a template is found in spectra or frames, along one or two axes of more than one \
             step, not along {}",
            long.len()
        ))),
    }
}

impl Template {
    fn of(
        constant: &ConstantArray,
        frame: (usize, usize),
        is_spectrum: bool,
    ) -> Result<Self, Failure> {
        let path = &constant.path;
        let long: Vec<usize> = constant.shape.iter().copied().filter(|axis| *axis != 1).collect();
        let shape = match long.as_slice() {
            [rows, columns] => (*rows, *columns),
            [length] if is_spectrum => (1, *length),
            // A line in a frame, along the axis that it has.
            [length] => match constant.shape.as_slice() {
                [rows, columns] if rows.max(columns) == length => (*rows, *columns),
                _ => {
                    let told = format!("`{path}` has one axis, and the frames have two");
                    return Err(Failure::new(told));
                }
            },
            axes => {
                let told =
                    format!("the template `{path}` has {} axes of more than one step", axes.len());
                return Err(Failure::new(told));
            }
        };
        if shape.0 > frame.0 || shape.1 > frame.1 {
            let (of_template, of_frame) = match is_spectrum && shape.0 == 1 {
                true => (shape.1.to_string(), frame.1.to_string()),
                false => {
                    (format!("{} × {}", shape.0, shape.1), format!("{} × {}", frame.0, frame.1))
                }
            };
            return Err(Failure::new(format!(
                "the template `{path}` of {of_template} points is larger than what it is to be \
                 found in, of {of_frame}"
            )));
        }
        let given = constant.values::<f64>()?;
        if given.iter().any(|value| !value.is_finite()) {
            let told = format!("the template `{path}` has values that are not finite");
            return Err(Failure::new(told));
        }
        let (values, squares) = centred(given);
        if squares == 0.0 || !squares.is_finite() {
            let told =
                format!("the template `{path}` is constant, or too large: nothing is like it");
            return Err(Failure::new(told));
        }
        Ok(Self { shape, values, squares })
    }
}

impl Task {
    /// How many places the template can be at, down and to the right.
    fn reach(&self) -> (usize, usize) {
        (self.shape.0 + 1 - self.template.shape.0, self.shape.1 + 1 - self.template.shape.1)
    }
}

impl Scratch {
    /// Takes the values less their mean; tells the sum of their squares.
    fn centre(&mut self, values: &[f64]) -> f64 {
        let mean = mean(values);
        self.frame.clear();
        self.frame.extend(values.iter().map(|value| value - values[0] - mean));
        sum_of(&self.frame, |value| value * value)
    }

    /// Makes the numerators of γ, H·W times, and the sums for its denominators.
    fn correlate(&mut self, task: &Task) -> Result<(), Failure> {
        let Self { frame, products, sums, fourier } = self;
        let (rows, columns) = task.shape;
        let row =
            |row: usize, out: &mut [f64]| out.copy_from_slice(&frame[row * columns..][..columns]);
        task.fourier.forward(row, fourier)?;
        let template = task.spectrum.chunks_exact(rows);
        for (column, template) in task.fourier.columns(fourier).zip(template) {
            column.iter_mut().zip(template).for_each(|(value, other)| *value *= other);
        }
        task.fourier.backward(fourier, products)?;
        let wide = columns + 1;
        sums.clear();
        sums.resize((rows + 1) * wide, (0.0, 0.0));
        for (row, values) in frame.chunks_exact(columns).enumerate() {
            let (before, own) = sums[row * wide..][..2 * wide].split_at_mut(wide);
            let mut of_row = (0.0, 0.0);
            for ((own, before), value) in own[1..].iter_mut().zip(&before[1..]).zip(values) {
                of_row = (of_row.0 + value, of_row.1 + value * value);
                *own = (before.0 + of_row.0, before.1 + of_row.1);
            }
        }
        Ok(())
    }

    /// γ with the first point of the template there; none where nothing varies.
    fn gamma(&self, task: &Task, (row, column): (usize, usize), all: f64) -> Option<f64> {
        let (high, wide) = task.template.shape;
        let corner = |row: usize, column: usize| self.sums[row * (task.shape.1 + 1) + column];
        let (below, right) = (row + high, column + wide);
        let corners =
            [corner(below, right), corner(row, column), corner(row, right), corner(below, column)];
        let of = |part: fn((f64, f64)) -> f64| {
            let [end, start, above, left] = corners.map(part);
            end + start - above - left
        };
        let (sum, squares) = (of(|sums| sums.0), of(|sums| sums.1));
        let varies = squares - sum * sum / (high * wide) as f64;
        let numerator = self.products[row * task.shape.1 + column] / self.frame.len() as f64;
        (varies > FLAT * all).then(|| numerator / (varies * task.template.squares).sqrt())
    }

    /// The same summed up; 0 where nothing varies.
    fn exact(&self, task: &Task, (row, column): (usize, usize), all: f64) -> f64 {
        let (high, wide) = task.template.shape;
        let rows =
            || (0..high).map(|down| &self.frame[(row + down) * task.shape.1 + column..][..wide]);
        let mean = rows().map(|own| sum_of(own, |value| value)).sum::<f64>() / (high * wide) as f64;
        let squares: f64 =
            rows().map(|own| sum_of(own, |value| (value - mean) * (value - mean))).sum();
        let templates = task.template.values.chunks_exact(wide);
        let products = rows().zip(templates).map(|(own, template)| {
            own.iter().zip(template).map(|(value, other)| (value - mean) * other).sum::<f64>()
        });
        let numerator: f64 = products.sum();
        if squares > FLAT * all {
            numerator / (squares * task.template.squares).sqrt()
        } else {
            0.0
        }
    }
}

/// What is the mean more than the first of some values.
fn mean(values: &[f64]) -> f64 {
    sum_of(values, |value| value - values[0]) / values.len() as f64
}

/// Values less their mean, and the sum of the squares of these: exactly 0 if all are equal.
fn centred(values: &[f64]) -> (Vec<f64>, f64) {
    let mean = mean(values);
    let centred: Vec<f64> = values.iter().map(|value| value - values[0] - mean).collect();
    let squares = sum_of(&centred, |value| value * value);
    (centred, squares)
}

/// The first place of the largest value, if there is any.
fn largest(
    (rows, columns): (usize, usize),
    of: impl Fn((usize, usize)) -> Option<f64>,
) -> Option<(usize, usize)> {
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let mut best = None;
    for place in places {
        if let Some(found) = of(place)
            && best.is_none_or(|(most, _)| found > most)
        {
            best = Some((found, place));
        }
    }
    best.map(|(_, place)| place)
}

/// How far the top of a parabola through a largest value and its neighbours is from its place.
fn off(at: usize, length: usize, own: f64, value: impl Fn(usize) -> f64) -> f64 {
    if at == 0 || at + 1 >= length {
        return 0.0;
    }
    let (before, behind) = (value(at - 1), value(at + 1));
    let bend = before - 2.0 * own + behind;
    if bend < 0.0 { (0.5 * (before - behind) / bend).clamp(-0.5, 0.5) } else { 0.0 }
}

/// The place on an axis between two of its steps.
fn on_axis(axis: &Dimension, at: f64) -> f64 {
    let last = axis.len() - 1;
    let before = (at.max(0.0) as usize).min(last);
    let behind = (before + 1).min(last);
    let value = |step: usize| axis.values.get(step).unwrap_or(f64::NAN);
    value(before) + (value(behind) - value(before)) * (at - before as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::ElementType;
    use pixelmill_core::element::StoredType;

    fn task(frame: &[usize], template: &[usize], values: &[f64]) -> Result<Task, Failure> {
        let axis = |length: &usize| {
            let values: Vec<f64> = (0..*length).map(|step| 10.0 + 0.5 * step as f64).collect();
            Dimension::new("Energy", "eV", values)
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let stored = StoredType { element: ElementType::Float64, swapped: false };
        let element = ElementType::Float64;
        let constant = ConstantArray::new("/t", template.to_vec(), (&bytes, stored), element);
        let source = SourceInfo {
            path: String::new(),
            positions: 1,
            spectral_points: frame.iter().product(),
            element,
            is_corrected: false,
            quantity: String::new(),
            units: String::new(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: frame.iter().map(axis).collect(),
            auxiliary: Vec::new(),
            constants: vec![constant],
            selected: None,
        };
        CrossCorrelation::prepare(&Parameters::default(), &source)
    }

    fn found(task: &Task, values: &[f64], shape: &[usize]) -> Result<Output, Failure> {
        let spectrum = Spectrum::new(values, shape);
        CrossCorrelation::map_function(task, spectrum, &mut Scratch::default())
    }

    /// A peak that is no longer than the window of a template.
    fn bump(at: f64) -> f64 {
        if at.abs() < 4.0 {
            libm::pow(libm::cos(at * std::f64::consts::PI / 8.0), 4.0)
        } else {
            0.0
        }
    }

    #[test]
    fn a_template_is_found_where_it_is_whatever_offset_and_scale() {
        let template: Vec<f64> = (0..63).map(|at| ((at * at) % 23) as f64).collect();
        let task = task(&[20, 30], &[7, 9], &template).unwrap();
        for (row, column) in [(0, 0), (13, 21), (5, 8), (13, 3)] {
            let mut frame: Vec<f64> = (0..600).map(|at| f64::from(at * 7 % 11)).collect();
            for (at, value) in template.iter().enumerate() {
                frame[(row + at / 9) * 30 + column + at % 9] = 1e5 - 40.0 * (100.0 - value);
            }
            let output = found(&task, &frame, &[20, 30]).unwrap();
            assert!((output.correlation - 1.0).abs() < 1e-12, "{output:?}");
            let middle = (row as f64 + 3.0, column as f64 + 4.0);
            assert!((output.place.0 - middle.0).abs() <= 0.5, "{output:?}");
            assert!((output.place.1 - middle.1).abs() <= 0.5, "{output:?}");
        }
    }

    #[test]
    fn a_peak_between_two_points_is_found_between_them() {
        let template: Vec<f64> = (-4..=4).map(|at| bump(f64::from(at))).collect();
        let task = task(&[64], &[9], &template).unwrap();
        for middle in [20.0, 20.3, 30.5, 41.8] {
            let spectrum: Vec<f64> = (0..64).map(|at| 3.0 + bump(f64::from(at) - middle)).collect();
            let output = found(&task, &spectrum, &[64]).unwrap();
            assert!((output.place.1 - middle).abs() < 0.02, "{middle}: {output:?}");
            assert!((output.at - (10.0 + 0.5 * output.place.1)).abs() < 1e-12);
            assert!(output.correlation > 0.9);
        }
    }

    #[test]
    fn a_template_as_large_as_the_frame_has_one_place() {
        let template = [1.0, 2.0, 4.0, 3.0, 5.0, 9.0];
        let task = task(&[2, 3], &[2, 3], &template).unwrap();
        // numpy.corrcoef([1, 2, 4, 3, 5, 9], [2, 1, 0, 5, 4, 4])
        let output = found(&task, &[2.0, 1.0, 0.0, 5.0, 4.0, 4.0], &[2, 3]).unwrap();
        assert!((output.correlation - 0.395_557_223_725_441_94).abs() < 1e-14, "{output:?}");
        assert_eq!(output.place, (0.5, 1.0));
    }

    #[test]
    fn what_cant_be_a_template_is_refused_and_says_why() {
        let refused = |frame: &[usize], template: &[usize], value: f64| {
            let mut values = vec![1.0; template.iter().product()];
            values[0] = value;
            task(frame, template, &values).err().unwrap().to_string()
        };
        assert!(refused(&[20, 30], &[21, 4], 2.0).contains("of 21 × 4 points is larger than"));
        assert!(refused(&[20], &[21], 2.0).contains("of 21 points is larger"));
        assert!(refused(&[20, 30], &[5], 2.0).contains("has one axis"));
        assert!(refused(&[20], &[5, 5], 2.0).contains("larger"));
        assert!(refused(&[20, 30], &[5, 5], 1.0).contains("constant"));
        assert!(refused(&[20, 30], &[5, 5], f64::NAN).contains("not finite"));
        assert!(refused(&[4, 20, 30], &[5, 5], 2.0).contains("not along 3"));
        assert!(task(&[20, 30], &[1, 5], &[1.0, 2.0, 3.0, 2.0, 1.0]).is_ok());
    }

    #[test]
    fn constant_frames_have_no_place_and_flat_parts_do_not_count() {
        let template = [0.0, 1.0, 0.0, 1.0, 5.0, 1.0, 0.0, 1.0, 0.0];
        let task = task(&[8, 8], &[3, 3], &template).unwrap();
        for constant in [0.0, 0.1, 65535.0] {
            let output = found(&task, &[constant; 64], &[8, 8]).unwrap();
            assert!(output.correlation.is_nan() && output.place.0.is_nan(), "{output:?}");
        }
        let mut frame = [0.1; 64];
        (frame[6 * 8 + 6], frame[6 * 8 + 5]) = (9.0, 2.0);
        let output = found(&task, &frame, &[8, 8]).unwrap();
        assert_eq!((output.place.0.round(), output.place.1.round()), (6.0, 6.0));
        for strange in [f64::NAN, f64::INFINITY] {
            frame[3] = strange;
            assert!(found(&task, &frame, &[8, 8]).is_err());
        }
    }
}

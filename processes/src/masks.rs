//! Virtual detectors: the intensity of each frame in disks, rings, sectors, a rectangle, or by any
//! weights from a file.
//!
//! `Intensity` of a position and a detector is Σ w·v over the points of the frame, in double
//! precision, w being 1 in the detector and 0 elsewhere, or the weights of the file, which may be
//! complex. A point belongs to a disk if its middle is not further than `radius` from the centre,
//! to a ring if it is also further than `radius_inner`; `rings` divide what is between these radii
//! into `count` rings of the same width, `sectors` into as many of the same angle, the first of
//! which begins at the right and goes downwards. Radii and places are in points of the detector.
//!
//! Shapes: a frame (Y, X) gives one value for each detector, (P, N), in the units of the source.

use num_complex::Complex64;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::detector::{Detector, is_between, is_in_rectangle};
use pixelmill_core::inputs::{AuxiliaryInput, ConstantArray, ConstantAxes, ConstantInput};
use pixelmill_core::process::{
    Dimension, Failure, Model, Parameters as Checked, SourceInfo, Spectrum,
};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choices::one_of;
use crate::weights::Weights;

/// Detectors whose outlines are told at most.
const MOST_OUTLINES: usize = 8;

/// Which detectors.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// What the detectors are, unless `masks` names a file.
    pub shape: Shape,
    /// The outer radius; as large as the frame lets it if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius: Option<f64>,
    /// The inner radius of rings and sectors.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius_inner: f64,
    /// How many rings or sectors.
    #[schemars(range(min = 1, max = 4096))]
    pub count: usize,
    /// The row of the centre, counted from 0; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_y: Option<f64>,
    /// The column of the centre; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_x: Option<f64>,
    /// Height of the rectangle; twice the radius if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub height: Option<f64>,
    /// Width of the rectangle; twice the radius if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub width: Option<f64>,
    /// A dataset or an array of NumPy's with the weights of each detector, a stack of frames:
    /// /masks, masks.h5:/masks, masks.npy.
    pub masks: Option<String>,
    /// A dataset with how far the frame of each position is shifted, down and to the right: the
    /// detectors move with it, by whole points.
    pub shifts: Option<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            shape: Shape::Disk,
            radius: None,
            radius_inner: 0.0,
            count: 12,
            center_y: None,
            center_x: None,
            height: None,
            width: None,
            masks: None,
            shifts: None,
        }
    }
}

/// What a detector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// All points around the centre.
    Disk,
    /// Those that aren't too near either.
    Ring,
    /// Several rings, one around the other.
    Rings,
    /// Several sectors, one beside the other.
    Sectors,
    /// A rectangle around the centre.
    Rectangle,
}

one_of!(Shape: "disk", "ring", "rings", "sectors", "rectangle");

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        let places = [self.radius, self.center_y, self.center_x, self.height, self.width];
        if self.masks.is_some() && places.iter().any(Option::is_some) {
            return Err(Failure::new("`masks` says all of the detectors; give no places or radii"));
        }
        match self.radius {
            Some(radius) if radius <= self.radius_inner && self.radius_inner > 0.0 => {
                Err(Failure::new("`radius` has to be larger than `radius_inner`"))
            }
            _ => Ok(()),
        }
    }
}

/// The reduction `Masks`.
pub struct Masks;

/// The weights, and where sums go.
pub struct Task {
    weights: Weights,
    intensity: Intensity,
    /// Rows and columns of the frame, if the detectors move.
    moving: Option<(usize, usize)>,
}

/// The results; of complex weights the real and the imaginary parts are summed one by one.
enum Intensity {
    Real(Buffer<f64>),
    Complex { parts: Buffer<f64>, shown: Buffer<Complex64> },
}

impl Reduction for Masks {
    const NAME: &'static str = "Masks";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "virtual detectors: disks, rings, sectors, any masks of a file";

    const PER_POSITION: bool = true;

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = ();

    fn constant_inputs(parameters: &Parameters) -> Vec<ConstantInput> {
        let masks = parameters.masks.iter().map(ConstantInput::as_stored);
        masks.map(|masks| masks.with_axes(ConstantAxes::Spectra)).collect()
    }

    fn auxiliary_inputs(parameters: &Parameters) -> Vec<AuxiliaryInput> {
        parameters.shifts.iter().map(AuxiliaryInput::of::<f64>).collect()
    }

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let moving = match source.auxiliary.first() {
            Some(shifts) if shifts.columns != 2 => {
                let (path, columns) = (&shifts.path, shifts.columns);
                let told = format!("`{path}` has {columns} values for each position, and no two");
                return Err(Failure::new(told));
            }
            Some(_) => Some(Detector::of(source, (None, None))?.shape),
            None => None,
        };
        let Detectors { count, axis, is_complex, row } = detectors(parameters, source)?;
        let own = if count == 1 { Vec::new() } else { vec![axis] };
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let shown = buffers.per_position("Intensity").along(own.clone());
        let intensity = if is_complex {
            let shown = shown.published(quantity, units);
            let axis = Dimension::new("Part", "", AxisValues::counted(2 * count));
            let parts = buffers.per_position("Parts").along(vec![axis]).private();
            Intensity::Complex { parts, shown }
        } else {
            Intensity::Real(shown.published(quantity, units))
        };
        let sums = if is_complex { 2 * count } else { count };
        let weights = Weights::new((sums, source.spectral_points), row)?;
        Ok(Task { weights, intensity, moving })
    }

    fn shared_memory(task: &Task) -> usize {
        task.weights.bytes()
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        _: &mut (),
    ) -> Result<(), Failure> {
        let sums = match task.intensity {
            Intensity::Real(sums) | Intensity::Complex { parts: sums, .. } => parts.get(sums),
        };
        match task.moving {
            None => {
                let stretches: Vec<_> = tile.stretches().collect();
                task.weights.add(tile.values(), stretches.into_iter(), sums);
            }
            Some(shape) => task.add_moved(shape, tile, sums),
        }
        Ok(())
    }

    fn postprocess(task: &Task, _: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        if let Intensity::Complex { parts, shown } = task.intensity {
            let (parts, shown) = all.of((parts, shown));
            let pairs = shown.iter_mut().zip(parts.chunks_exact(2));
            pairs.for_each(|(shown, part)| *shown = Complex64::new(part[0], part[1]));
        }
        Ok(())
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, _: &mut Parts<'_>) -> Model {
        let complex = matches!(task.intensity, Intensity::Complex { .. });
        let each = if complex { 2 } else { 1 };
        let count = task.weights.len() / each;
        (0..count.min(MOST_OUTLINES)).fold(Model::new(), |model, number| {
            let mut inside = task.weights.counting(number * each);
            if complex {
                let imaginary = task.weights.counting(number * each + 1);
                inside.iter_mut().zip(imaginary).for_each(|(inside, other)| *inside |= other);
            }
            let name =
                if count == 1 { "detector".to_owned() } else { format!("detector {number}") };
            model.outline(name, task.moved(inside, &spectrum))
        })
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Task {
    /// The points of a detector where they are in this frame.
    fn moved(&self, inside: Vec<bool>, spectrum: &Spectrum<'_, f64>) -> Vec<bool> {
        let shift = spectrum.auxiliary.first();
        let Some(((rows, columns), [down, right])) = self.moving.zip(shift) else { return inside };
        let (down, right) = (down.round() as i64, right.round() as i64);
        let (rows, columns) = (rows as i64, columns as i64);
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let is_in = |(row, column): (i64, i64)| {
            let (row, column) = (row - down, column - right);
            let lies = (0..rows).contains(&row) && (0..columns).contains(&column);
            lies && inside[(row * columns + column) as usize]
        };
        places.map(is_in).collect()
    }

    /// Adds each row with the detectors where it says that they are.
    fn add_moved(
        &self,
        (rows, columns): (usize, usize),
        tile: &mut Tile<'_, f64>,
        sums: &mut [f64],
    ) {
        let mut shifts = Vec::new();
        for index in 0..tile.len() {
            shifts.push(match tile.auxiliary(index).first() {
                Some([down, right]) if down.is_finite() && right.is_finite() => {
                    (down.round() as i64, right.round() as i64)
                }
                _ => {
                    tile.fail(index, Failure::new("its shift is no number"));
                    (0, 0)
                }
            });
        }
        let stretches: Vec<_> = tile.stretches().collect();
        let values = tile.values();
        let each = values.rows().into_iter().zip(shifts).zip(sums.chunks_mut(self.weights.len()));
        for ((values, (down, right)), sums) in each {
            let values = values.to_slice().unwrap_or_default();
            let mut column = 0;
            for stretch in &stretches {
                let mut point = stretch.start;
                while point < stretch.end {
                    let line = point / columns;
                    let end = stretch.end.min((line + 1) * columns);
                    // The point of the unmoved detector that lies here now, if there is one.
                    let from = line as i64 - down;
                    let (first, last) = (point % columns, point % columns + (end - point));
                    let begin = (first as i64).max(right);
                    let stop = (last as i64).min(columns as i64 + right);
                    if (0..rows as i64).contains(&from) && begin < stop {
                        let here = column + (begin as usize - first);
                        let some = &values[here..here + (stop - begin) as usize];
                        let at = from as usize * columns + (begin - right) as usize;
                        self.weights.add_line(some, at, sums);
                    }
                    column += end - point;
                    point = end;
                }
            }
        }
    }
}

/// What the detectors are.
struct Detectors<'s> {
    count: usize,
    /// The axis that tells them apart.
    axis: Dimension,
    /// Whether their weights are complex: real and imaginary parts are rows of their own then, in
    /// turns.
    is_complex: bool,
    /// The weights of all points in a row.
    row: Box<dyn Fn(usize) -> Result<Vec<f64>, Failure> + 's>,
}

fn detectors<'s>(
    parameters: &'s Parameters,
    source: &'s SourceInfo,
) -> Result<Detectors<'s>, Failure> {
    if let Some(masks) = source.constants.first() {
        return Ok(masks_of(masks, source.spectral_points.max(1)));
    }
    let detector = Detector::of(source, (parameters.center_y, parameters.center_x))?;
    let radius = parameters.radius.unwrap_or_else(|| detector.largest_radius());
    let (inner, count) = (parameters.radius_inner, parameters.count);
    let radii: Vec<f64> = detector.radii().collect();
    let weights = |is_in: &dyn Fn(usize) -> bool| -> Vec<f64> {
        (0..detector.shape.0 * detector.shape.1).map(|at| f64::from(u8::from(is_in(at)))).collect()
    };
    let counted = |count: usize| Dimension::new("Detector", "", AxisValues::counted(count));
    // The last is the radius itself, whatever rounding makes of the others.
    let edge = move |ring: usize| match ring {
        last if last == count => radius,
        ring => inner + (radius - inner) * ring as f64 / count as f64,
    };
    let one = |row: Vec<f64>| Detectors {
        count: 1,
        axis: counted(1),
        is_complex: false,
        row: Box::new(move |_| Ok(row.clone())),
    };
    Ok(match parameters.shape {
        Shape::Disk => one(weights(&|at| is_between(radii[at], (0.0, radius)))),
        Shape::Ring => one(weights(&|at| is_between(radii[at], (inner, radius)))),
        Shape::Rectangle => {
            let places: Vec<(f64, f64)> = detector.places().collect();
            let height = parameters.height.unwrap_or(2.0 * radius);
            let width = parameters.width.unwrap_or(2.0 * radius);
            one(weights(&|at| is_in_rectangle(places[at], (height, width))))
        }
        Shape::Rings => {
            let middles = (0..count).map(|ring| f64::midpoint(edge(ring), edge(ring + 1)));
            let axis = Dimension::new("Radius", "points", middles.collect::<Vec<f64>>());
            let row = move |ring: usize| {
                let of_ring = (edge(ring), edge(ring + 1));
                Ok(radii.iter().map(|at| f64::from(u8::from(is_between(*at, of_ring)))).collect())
            };
            Detectors { count, axis, is_complex: false, row: Box::new(row) }
        }
        Shape::Sectors => {
            let turns: Vec<f64> = detector.turns().collect();
            let middle = |number: usize| 360.0 * (number as f64 + 0.5) / count as f64;
            let middles = (0..count).map(middle).collect::<Vec<f64>>();
            let axis = Dimension::new("Angle", "deg", middles);
            let row = move |number: usize| {
                let sector = |turn: f64| ((turn * count as f64) as usize).min(count - 1);
                let is_in = |(radius_here, turn): (&f64, &f64)| {
                    sector(*turn) == number && is_between(*radius_here, (inner, radius))
                };
                Ok(radii.iter().zip(&turns).map(|at| f64::from(u8::from(is_in(at)))).collect())
            };
            Detectors { count, axis, is_complex: false, row: Box::new(row) }
        }
    })
}

/// The detectors that a file has.
fn masks_of(masks: &ConstantArray, points: usize) -> Detectors<'_> {
    let element = masks.element;
    let bytes_of_mask = points * element.size();
    let count = masks.bytes().len() / bytes_of_mask.max(1);
    let is_complex = element.is_complex();
    let parts = if is_complex { 2 } else { 1 };
    let row = move |number: usize| {
        let bytes = &masks.bytes()[number / parts * bytes_of_mask..][..bytes_of_mask];
        let values = bytes.chunks_exact(element.size());
        Ok(values.map(|bytes| element.to_numbers(bytes)[number % parts]).collect())
    };
    let axis = Dimension::new("Detector", "", AxisValues::counted(count));
    Detectors { count, axis, is_complex, row: Box::new(row) }
}

//! The centre of mass of each frame: how far the beam was deflected (first moments, differential
//! phase contrast), and what the field is that deflects it.
//!
//! Over the points (y, x) of a frame that aren't further than `radius` from the centre (c_y, c_x)
//! and further than `radius_inner`, and whose value v is above the `threshold`:
//!
//! - `Intensity` Σv, `Shift_Y` Σvy/Σv − c_y, `Shift_X` Σvx/Σv − c_x, in points of the detector; 0
//!   where there is no intensity, NaN where it isn't finite. `Shifts` has both, downwards and to
//!   the right, as `masks` takes them for detectors that move with the beam, and `Centers` row and
//!   column of the centre of mass, as `radial-profile` does.
//! - `Field_Y`, `Field_X`: the shifts, their sign turned in y if the detector is seen from behind
//!   (`flip_y`), turned by the scan's rotation φ: (y cos φ + x sin φ, −y sin φ + x cos φ); less
//!   their mean, or a plane (the least squares' a + b·row + c·column, of each in a column of
//!   `Regression`).
//! - `Magnitude` √(F_y² + F_x²), `Divergence` ∂F_y/∂y + ∂F_x/∂x, `Curl` ∂F_y/∂x − ∂F_x/∂y, by
//!   central differences of neighbouring positions, one-sided at the edges, per position. `Valid`
//!   has 1 where both are made of shifts that are there, of the position and of these neighbours:
//!   elsewhere, as beside a position that has failed, they are NaN.
//! - `Guess`: the rotation in degrees, and 1 if y has to be turned round, for which the curl is
//!   least over all whole degrees, as it is of a field that comes of charges, where divergence and
//!   curl are valid; of the two rotations that are half a turn apart the one whose divergence has
//!   more of the lowest fifth of its range than of the highest, as it is at atoms that attract
//!   electrons.
//!
//! All as LiberTEM's `CoMUDF` and `guess_corrections` (Clausen et al., J. Open Source Softw. 5
//! (2020) 2006), in double precision; the method is that of Müller et al., Nat. Commun. 5 (2014)
//! 5653.

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::detector::{Detector, is_between};
use pixelmill_core::ndarray::ArrayView2;
use pixelmill_core::process::{
    Dimension, Failure, Model, Parameters as Checked, SourceInfo, Spectrum,
};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choices::one_of;
use crate::weights::Weights;

/// What of the frames counts, and what is made of the shifts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Points further than this from the centre don't count; all do if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius: Option<f64>,
    /// Points nearer than this don't count either.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius_inner: f64,
    /// The row of the centre, counted from 0; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_y: Option<f64>,
    /// The column of the centre; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_x: Option<f64>,
    /// Values up to this one count as 0; all count if none.
    pub threshold: Option<f64>,
    /// By how much the scan is rotated against the detector.
    #[schemars(extend("unit" = "deg"))]
    pub scan_rotation: f64,
    /// Whether the rows of the detector run against those of the scan.
    pub flip_y: bool,
    /// What is taken off the field: nothing, its mean, or a plane.
    pub regression: Regression,
}

/// What is taken off the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Regression {
    /// Nothing.
    #[default]
    None,
    /// Its mean.
    Mean,
    /// A plane.
    Linear,
}

one_of!(Regression: "none", "mean", "linear");

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        match self.radius {
            Some(radius) if radius <= self.radius_inner => {
                Err(Failure::new("`radius` has to be larger than `radius_inner`"))
            }
            _ => Ok(()),
        }
    }
}

/// The reduction `Center_of_Mass`.
pub struct CenterOfMass;

/// The weights, and where everything goes.
pub struct Task {
    weights: Weights,
    threshold: Option<f64>,
    turn: Turn,
    regression: Regression,
    /// Rows and columns of the scan, if it has both, and how many positions follow each other.
    scan: Option<(usize, usize)>,
    columns: usize,
    sums: Buffer<f64>,
    intensity: Buffer<f64>,
    shift: (Buffer<f64>, Buffer<f64>),
    /// The centre of the detector, and both again as other processes take them.
    centre: (f64, f64),
    shifts: Buffer<f64>,
    centers: Buffer<f64>,
    field: (Buffer<f64>, Buffer<f64>),
    magnitude: Buffer<f64>,
    /// Divergence and curl, of a scan with rows and columns, and where both are valid.
    derived: Option<(Buffer<f64>, Buffer<f64>, Buffer<u8>)>,
    plane: Buffer<f64>,
    guess: Option<Buffer<f64>>,
}

/// How the axes of the detector lie to those of the scan.
#[derive(Clone, Copy)]
struct Turn {
    cos: f64,
    sin: f64,
    flip_y: bool,
}

impl Turn {
    fn of(degrees: f64, flip_y: bool) -> Self {
        let radians = degrees.to_radians();
        Self { cos: libm::cos(radians), sin: libm::sin(radians), flip_y }
    }

    fn apply(self, (y, x): (f64, f64)) -> (f64, f64) {
        let y = if self.flip_y { -y } else { y };
        (y * self.cos + x * self.sin, -y * self.sin + x * self.cos)
    }
}

impl Reduction for CenterOfMass {
    const NAME: &'static str = "Center_of_Mass";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "how far each frame is deflected, and the field that deflects it";

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Vec<f64>;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let detector = Detector::of(source, (parameters.center_y, parameters.center_x))?;
        let (inner, outer) = (parameters.radius_inner, parameters.radius.unwrap_or(f64::INFINITY));
        let counts: Vec<bool> =
            detector.radii().map(|radius| is_between(radius, (inner, outer))).collect();
        let weights = |of: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            let places = detector.places().zip(&counts);
            places
                .map(|((down, right), counts)| if *counts { of(down, right) } else { 0.0 })
                .collect()
        };
        if counts.iter().all(|counts| !counts) {
            return Err(Failure::new("no point of the frames lies between these radii"));
        }
        let weights = Weights::of_some((3, counts.len()), |sum| {
            Ok(match sum {
                0 => weights(&|_, _| 1.0),
                1 => weights(&|down, _| down),
                _ => weights(&|_, right| right),
            })
        })?;
        let scan = scan(source);
        let points = "points";
        let mut own = |name: &str, units: &str| buffers.per_position(name).at_end(name, units);
        let field = (own("Field_Y", points), own("Field_X", points));
        let magnitude = own("Magnitude", points);
        let derived = scan.map(|_| {
            let valid = buffers.mask("Valid");
            let mut own =
                |name: &str| buffers.per_position(name).valid_in(valid).at_end(name, points);
            (own("Divergence"), own("Curl"), valid)
        });
        let counted = |name: &str, count| Dimension::new(name, "", AxisValues::counted(count));
        let plane = vec![counted("Term", 3), counted("Component", 2)];
        let shown =
            |buffers: &mut Buffers, name: &str| buffers.per_position(name).published(name, points);
        let down_and_right = vec![counted("Down and right", 2)];
        let pairs = |buffers: &mut Buffers, name: &str| {
            let pairs = buffers.per_position(name).along(down_and_right.clone());
            pairs.published(name, points)
        };
        Ok(Task {
            weights,
            threshold: parameters.threshold,
            turn: Turn::of(parameters.scan_rotation, parameters.flip_y),
            regression: parameters.regression,
            scan,
            columns: columns(source, parameters.regression)?.max(1),
            intensity: buffers.per_position("Intensity").published(&source.quantity, &source.units),
            shift: (shown(buffers, "Shift_Y"), shown(buffers, "Shift_X")),
            centre: detector.centre,
            shifts: pairs(buffers, "Shifts"),
            centers: pairs(buffers, "Centers"),
            field,
            magnitude,
            derived,
            plane: buffers.single("Regression").along(plane).at_end("Field", points),
            guess: scan.map(|_| {
                let parts = vec![counted("Rotation and flip", 2)];
                buffers.single("Guess").along(parts).at_end("Scan rotation", "deg")
            }),
            sums: buffers.per_position("Sums").along(vec![counted("Moment", 3)]).private(),
        })
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        scratch: &mut Vec<f64>,
    ) -> Result<(), Failure> {
        let stretches: Vec<_> = tile.stretches().collect();
        let (rows, columns) = (tile.len(), tile.points());
        let sums = parts.get(task.sums);
        let Some(threshold) = task.threshold else {
            task.weights.add(tile.values(), stretches.into_iter(), sums);
            return Ok(());
        };
        scratch.clear();
        for row in tile.values().rows() {
            let above =
                |value: &f64| if *value > threshold || value.is_nan() { *value } else { 0.0 };
            scratch.extend(row.iter().map(above));
        }
        let values = ArrayView2::from_shape((rows, columns), scratch.as_slice());
        let values = values.map_err(|error| Failure::new(error.to_string()))?;
        task.weights.add(values, stretches.into_iter(), sums);
        Ok(())
    }

    fn postprocess(task: &Task, _: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        let (sums, intensity, y, x) =
            all.of((task.sums, task.intensity, task.shift.0, task.shift.1));
        let results = intensity.iter_mut().zip(y.iter_mut().zip(x));
        for (sums, (intensity, (y, x))) in sums.chunks_exact(3).zip(results) {
            (*intensity, *y, *x) = (sums[0], shift(sums[1], sums[0]), shift(sums[2], sums[0]));
        }
        let (y, x, shifts, centers) =
            all.of((task.shift.0, task.shift.1, task.shifts, task.centers));
        let pairs = shifts.chunks_exact_mut(2).zip(centers.chunks_exact_mut(2));
        for ((y, x), (shift, center)) in y.iter().zip(x).zip(pairs) {
            shift.copy_from_slice(&[*y, *x]);
            center.copy_from_slice(&[task.centre.0 + *y, task.centre.1 + *x]);
        }
        Ok(())
    }

    fn model(task: &Task, _: Spectrum<'_, f64>, own: &mut Parts<'_>) -> Model {
        let center = own.get(task.centers);
        Model::new()
            .place("centre of mass", (center[0], center[1]))
            .place("centre of the detector", task.centre)
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let (y, x) = all.of(task.shift);
        let shifts: Vec<(f64, f64)> = y.iter().zip(x).map(|(y, x)| (*y, *x)).collect();
        let mut field: Vec<(f64, f64)> =
            shifts.iter().map(|shift| task.turn.apply(*shift)).collect();
        let columns = task.columns;
        let place = |at: usize| [1.0, (at / columns) as f64, (at % columns) as f64];
        let plane = plane(&field, place, task.regression);
        if task.regression != Regression::None {
            for (at, (y, x)) in field.iter_mut().enumerate() {
                let of = |component: usize| -> f64 {
                    place(at).iter().zip(&plane).map(|(term, row)| term * row[component]).sum()
                };
                (*y, *x) = (*y - of(0), *x - of(1));
            }
        }
        all.get(task.plane).copy_from_slice(plane.as_flattened());
        let (y, x, magnitude) = all.of((task.field.0, task.field.1, task.magnitude));
        for ((field, magnitude), (y, x)) in field.iter().zip(magnitude).zip(y.iter_mut().zip(x)) {
            (*y, *x, *magnitude) = (field.0, field.1, field.0.hypot(field.1));
        }
        let Some((scan, derived)) = task.scan.zip(task.derived) else { return Ok(()) };
        let (divergence, curl, valid) = all.of(derived);
        let results = divergence.iter_mut().zip(curl).zip(valid).enumerate();
        for (at, ((divergence, curl), valid)) in results {
            match Slope::at(at, &field, scan) {
                Some(slope) => (*divergence, *curl) = (slope.divergence(), slope.curl()),
                None => *valid = 0,
            }
        }
        if let Some(guess) = task.guess {
            let (rotation, flip_y) = guessed(&shifts, scan);
            all.get(guess).copy_from_slice(&[rotation, f64::from(u8::from(flip_y))]);
        }
        Ok(())
    }
}

/// How many positions follow each other along the scan's fastest axis.
fn columns(source: &SourceInfo, regression: Regression) -> Result<usize, Failure> {
    let lengths: Vec<usize> = source.position_dimensions.iter().map(Dimension::len).collect();
    let is_grid = lengths.iter().product::<usize>() as u64 == source.positions;
    match lengths.as_slice() {
        [_, columns] if is_grid => Ok(*columns),
        [_] | [] if is_grid => Ok(source.positions as usize),
        _ if regression == Regression::Linear => {
            Err(Failure::new("a plane takes a scan with rows and columns, or a line"))
        }
        _ => Ok(source.positions as usize),
    }
}

/// Rows and columns of the scan, if all its positions are those of a grid with two axes.
fn scan(source: &SourceInfo) -> Option<(usize, usize)> {
    let lengths: Vec<usize> = source.position_dimensions.iter().map(Dimension::len).collect();
    match lengths.as_slice() {
        [rows, columns] if *rows > 1 && *columns > 1 => {
            ((rows * columns) as u64 == source.positions).then_some((*rows, *columns))
        }
        _ => None,
    }
}

/// The plane a + b·row + c·column that is nearest to each component of the field: a row for each of
/// a, b, c. Where positions lie in one row, or in one column, there is no slope across.
fn plane(
    field: &[(f64, f64)],
    place: impl Fn(usize) -> [f64; 3],
    regression: Regression,
) -> [[f64; 2]; 3] {
    let mut found = [[0.0; 2]; 3];
    if regression == Regression::None {
        return found;
    }
    let valid = || field.iter().enumerate().filter(|(_, (y, x))| y.is_finite() && x.is_finite());
    let count = valid().count();
    if count == 0 {
        return found;
    }
    // About the middle of what is there, so that little is lost.
    let mean =
        |of: &dyn Fn(usize) -> f64| valid().map(|(at, _)| of(at)).sum::<f64>() / count as f64;
    let (row, column) = (mean(&|at| place(at)[1]), mean(&|at| place(at)[2]));
    let (y, x) = (mean(&|at| field[at].0), mean(&|at| field[at].1));
    found[0] = [y, x];
    if regression == Regression::Mean {
        return found;
    }
    let (mut rows, mut columns, mut both) = (0.0, 0.0, 0.0);
    let (mut with_rows, mut with_columns) = ([0.0; 2], [0.0; 2]);
    for (at, field) in valid() {
        let [_, down, right] = place(at);
        let (down, right) = (down - row, right - column);
        (rows, columns, both) = (rows + down * down, columns + right * right, both + down * right);
        for (component, value) in [field.0 - y, field.1 - x].into_iter().enumerate() {
            with_rows[component] += down * value;
            with_columns[component] += right * value;
        }
    }
    // Steps are whole numbers: what is spread by less is not spread, but rounded.
    let (has_rows, has_columns) = (rows > 1e-6, columns > 1e-6);
    let determinant = rows * columns - both * both;
    for component in 0..2 {
        let (down, right) = (with_rows[component], with_columns[component]);
        let (b, c) = if determinant > 1e-10 * rows * columns && has_rows && has_columns {
            (
                (down * columns - right * both) / determinant,
                (right * rows - down * both) / determinant,
            )
        } else if rows >= columns && has_rows {
            // In one line: the slope along it, as far as it goes down.
            (down / rows, 0.0)
        } else if has_columns {
            (0.0, right / columns)
        } else {
            (0.0, 0.0)
        };
        found[1][component] = b;
        found[2][component] = c;
        found[0][component] -= b * row + c * column;
    }
    found
}

/// How the components of a field change from row to row and from column to column.
#[derive(Clone, Copy)]
struct Slope {
    y_down: f64,
    y_right: f64,
    x_down: f64,
    x_right: f64,
}

impl Slope {
    /// At a position, by central differences, one-sided at the edges; `None` where there is no
    /// field, or none beside it.
    fn at(at: usize, field: &[(f64, f64)], (rows, columns): (usize, usize)) -> Option<Self> {
        let along = |step: usize, index: usize, length: usize| {
            let (before, behind) = (index.min(1), (length - 1 - index).min(1));
            let ((y0, x0), (y1, x1)) = (field[at - before * step], field[at + behind * step]);
            let steps = (before + behind) as f64;
            ((y1 - y0) / steps, (x1 - x0) / steps)
        };
        let (y_down, x_down) = along(columns, at / columns, rows);
        let (y_right, x_right) = along(1, at % columns, columns);
        let (y, x) = field[at];
        let all = [y, x, y_down, y_right, x_down, x_right];
        let is_there = all.into_iter().all(f64::is_finite);
        is_there.then_some(Self { y_down, y_right, x_down, x_right })
    }

    fn divergence(self) -> f64 {
        self.y_down + self.x_right
    }

    fn curl(self) -> f64 {
        self.y_right - self.x_down
    }

    /// Those of the same field, turned.
    fn turned(self, turn: Turn) -> Self {
        let (y_down, x_down) = turn.apply((self.y_down, self.x_down));
        let (y_right, x_right) = turn.apply((self.y_right, self.x_right));
        Self { y_down, y_right, x_down, x_right }
    }
}

/// The rotation of the scan in degrees, and whether y has to be turned round.
fn guessed(shifts: &[(f64, f64)], scan: (usize, usize)) -> (f64, bool) {
    // The last row and column have artefacts.
    let inside = |at: &usize| at / scan.1 + 1 < scan.0 && at % scan.1 + 1 < scan.1;
    let slopes = || (0..shifts.len()).filter(inside).filter_map(|at| Slope::at(at, shifts, scan));
    // The curl after a turn by φ is (±y_right − x_down) cos φ + (x_right ± y_down) sin φ.
    let least = |flip_y: bool| {
        let sign = if flip_y { -1.0 } else { 1.0 };
        let (mut cos_cos, mut sin_sin, mut both) = (0.0, 0.0, 0.0);
        for slope in slopes() {
            let cos = sign * slope.y_right - slope.x_down;
            let sin = slope.x_right + sign * slope.y_down;
            (cos_cos, sin_sin, both) = (cos_cos + cos * cos, sin_sin + sin * sin, both + cos * sin);
        }
        let curl = |degrees: u32| {
            let Turn { cos, sin, .. } = Turn::of(f64::from(degrees), flip_y);
            cos * cos * cos_cos + sin * sin * sin_sin + 2.0 * sin * cos * both
        };
        let all = (0..180).map(|degrees| (curl(degrees), degrees));
        all.fold((f64::INFINITY, 0), |best, next| if next.0 < best.0 { next } else { best })
    };
    let (straight, flipped) = (least(false), least(true));
    let flip_y = flipped.0 < straight.0;
    let degrees = if flip_y { flipped.1 } else { straight.1 };
    let turn = Turn::of(f64::from(degrees), flip_y);
    let divergences = || slopes().map(|slope| slope.turned(turn).divergence());
    let most = divergences().fold(0.0f64, |most, divergence| most.max(divergence.abs()));
    // The outer fifths of −most … most.
    let low = divergences().filter(|divergence| *divergence < -0.6 * most).count();
    let high = divergences().filter(|divergence| *divergence >= 0.6 * most).count();
    let degrees = f64::from(degrees) + if low < high { 180.0 } else { 0.0 };
    (if degrees > 180.0 { degrees - 360.0 } else { degrees }, flip_y)
}

/// Where the mass is, from the centre on, of which a moment and the sum are given: nowhere if it
/// isn't finite, since the moment lacks what lies on the row or column of the centre.
fn shift(moment: f64, sum: f64) -> f64 {
    match sum {
        0.0 => 0.0,
        sum if sum.is_finite() => moment / sum,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_nowhere() {
        assert_eq!([shift(3.0, 2.0), shift(0.0, 0.0), shift(-1.0, -4.0)], [1.5, 0.0, 0.25]);
        for sum in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(
                [0.0, 5.0, f64::INFINITY, f64::NAN].iter().all(|own| shift(*own, sum).is_nan())
            );
        }
    }
}

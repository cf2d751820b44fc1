//! The centre of mass of each frame: how far the beam was deflected (first moments, differential
//! phase contrast), and what the field is that deflects it.
//!
//! Over the points (y, x) of a frame that aren't further than `radius` from the centre (c_y, c_x)
//! and further than `radius_inner`, and whose value v is above the `threshold`:
//!
//! - `Intensity` Σv, `Shift_Y` Σvy/Σv − c_y, `Shift_X` Σvx/Σv − c_x, in points of the detector; 0
//!   where there is no intensity.
//! - `Field_Y`, `Field_X`: the shifts, their sign turned in y if the detector is seen from behind
//!   (`flip_y`), turned by the scan's rotation φ: (y cos φ + x sin φ, −y sin φ + x cos φ); less
//!   their mean, or a plane (the least squares' a + b·row + c·column, of each in a column of
//!   `Regression`).
//! - `Magnitude` √(F_y² + F_x²), `Divergence` ∂F_y/∂y + ∂F_x/∂x, `Curl` ∂F_y/∂x − ∂F_x/∂y, by
//!   central differences of neighbouring positions, one-sided at the edges, per position.
//! - `Guess`: the rotation in degrees, and 1 if y has to be turned round, for which the curl is
//!   least over all whole degrees, as it is of a field that comes of charges; of the two rotations
//!   that are half a turn apart the one whose divergence has more of the lowest fifth of its range
//!   than of the highest, as it is at atoms that attract electrons.
//!
//! All as LiberTEM's `CoMUDF` and `guess_corrections` (Clausen et al., J. Open Source Softw. 5
//! (2020) 2006), in double precision; the method is that of Müller et al., Nat. Commun. 5 (2014)
//! 5653.

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::ndarray::ArrayView2;
use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{Detector, is_between};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Regression {
    /// Nothing.
    #[default]
    None,
    /// Its mean.
    Mean,
    /// A plane.
    Linear,
}

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
    /// Rows and columns of the scan, if it has both.
    scan: Option<(usize, usize)>,
    sums: Buffer<f64>,
    intensity: Buffer<f64>,
    shift: (Buffer<f64>, Buffer<f64>),
    field: (Buffer<f64>, Buffer<f64>),
    magnitude: Buffer<f64>,
    /// Divergence and curl, of a scan with rows and columns.
    derived: Option<(Buffer<f64>, Buffer<f64>)>,
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
    const VERSION: u32 = 1;
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
        let rows = [weights(&|_, _| 1.0), weights(&|down, _| down), weights(&|_, right| right)];
        if counts.iter().all(|counts| !counts) {
            return Err(Failure::new("no point of the frames lies between these radii"));
        }
        let scan = scan(source);
        let points = "points";
        let mut own = |name: &str, units: &str| buffers.per_position(name).at_end(name, units);
        let field = (own("Field_Y", points), own("Field_X", points));
        let magnitude = own("Magnitude", points);
        let derived = scan.map(|_| (own("Divergence", points), own("Curl", points)));
        let counted = |name: &str, count| Dimension::new(name, "", AxisValues::counted(count));
        let plane = vec![counted("Term", 3), counted("Component", 2)];
        let shown =
            |buffers: &mut Buffers, name: &str| buffers.per_position(name).published(name, points);
        Ok(Task {
            weights: Weights::of_some(&rows),
            threshold: parameters.threshold,
            turn: Turn::of(parameters.scan_rotation, parameters.flip_y),
            regression: parameters.regression,
            scan,
            intensity: buffers.per_position("Intensity").published(&source.quantity, &source.units),
            shift: (shown(buffers, "Shift_Y"), shown(buffers, "Shift_X")),
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
            // Relative to the centre already.
            let shift = |moment: f64| if sums[0] == 0.0 { 0.0 } else { moment / sums[0] };
            (*intensity, *y, *x) = (sums[0], shift(sums[1]), shift(sums[2]));
        }
        Ok(())
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let (y, x) = all.of(task.shift);
        let shifts: Vec<(f64, f64)> = y.iter().zip(x).map(|(y, x)| (*y, *x)).collect();
        let mut field: Vec<(f64, f64)> =
            shifts.iter().map(|shift| task.turn.apply(*shift)).collect();
        let columns = task.scan.map_or(field.len(), |scan| scan.1).max(1);
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
        let Some((scan, (divergence, curl))) = task.scan.zip(task.derived) else { return Ok(()) };
        let slopes = Slopes::of(&field, scan);
        let (divergence, curl) = all.of((divergence, curl));
        divergence.iter_mut().zip(&slopes.0).for_each(|(it, slope)| *it = slope.divergence());
        curl.iter_mut().zip(&slopes.0).for_each(|(it, slope)| *it = slope.curl());
        if let Some(guess) = task.guess {
            let (rotation, flip_y) = guessed(&shifts, scan);
            all.get(guess).copy_from_slice(&[rotation, f64::from(u8::from(flip_y))]);
        }
        Ok(())
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
/// a, b, c.
fn plane(
    field: &[(f64, f64)],
    place: impl Fn(usize) -> [f64; 3],
    regression: Regression,
) -> [[f64; 2]; 3] {
    let terms = match regression {
        Regression::None => return [[0.0; 2]; 3],
        Regression::Mean => 1,
        Regression::Linear => 3,
    };
    let valid = || field.iter().enumerate().filter(|(_, (y, x))| y.is_finite() && x.is_finite());
    // The normal equations, about the middle of the scan so that little is lost.
    let count = valid().count().max(1) as f64;
    let mut middle = [0.0; 3];
    for (at, _) in valid() {
        place(at).iter().zip(&mut middle).skip(1).for_each(|(term, sum)| *sum += term / count);
    }
    let centred = |at: usize| {
        let place = place(at);
        [1.0, place[1] - middle[1], place[2] - middle[2]]
    };
    let (mut matrix, mut right) = ([[0.0; 3]; 3], [[0.0; 2]; 3]);
    for (at, (y, x)) in valid() {
        let own = centred(at);
        for row in 0..3 {
            (0..3).for_each(|column| matrix[row][column] += own[row] * own[column]);
            right[row][0] += own[row] * y;
            right[row][1] += own[row] * x;
        }
    }
    let mut found = [[0.0; 2]; 3];
    for component in 0..2 {
        let b = [right[0][component], right[1][component], right[2][component]];
        found[0][component] = b[0] / matrix[0][0].max(1.0);
        if terms == 3 {
            let determinant = matrix[1][1] * matrix[2][2] - matrix[1][2] * matrix[2][1];
            if determinant != 0.0 {
                found[1][component] = (b[1] * matrix[2][2] - b[2] * matrix[1][2]) / determinant;
                found[2][component] = (b[2] * matrix[1][1] - b[1] * matrix[2][1]) / determinant;
                found[0][component] -=
                    found[1][component] * middle[1] + found[2][component] * middle[2];
            }
        }
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

struct Slopes(Vec<Slope>);

impl Slopes {
    /// By central differences, one-sided at the edges.
    fn of(field: &[(f64, f64)], (rows, columns): (usize, usize)) -> Self {
        let along = |at: usize, step: usize, index: usize, length: usize| {
            let (before, behind) = (index.min(1), (length - 1 - index).min(1));
            let ((y0, x0), (y1, x1)) = (field[at - before * step], field[at + behind * step]);
            let steps = (before + behind) as f64;
            ((y1 - y0) / steps, (x1 - x0) / steps)
        };
        let slope = |at: usize| {
            let (y_down, x_down) = along(at, columns, at / columns, rows);
            let (y_right, x_right) = along(at, 1, at % columns, columns);
            Slope { y_down, y_right, x_down, x_right }
        };
        Self((0..field.len()).map(slope).collect())
    }
}

/// The rotation of the scan in degrees, and whether y has to be turned round.
fn guessed(shifts: &[(f64, f64)], scan: (usize, usize)) -> (f64, bool) {
    let slopes = Slopes::of(shifts, scan);
    // The last row and column have artefacts.
    let inside = |at: &usize| at / scan.1 + 1 < scan.0 && at % scan.1 + 1 < scan.1;
    let slopes: Vec<Slope> = (0..shifts.len()).filter(inside).map(|at| slopes.0[at]).collect();
    let of = |flip_y: bool, degrees: u32| Turn::of(f64::from(degrees), flip_y);
    let curl = |turn: Turn| -> f64 {
        let squares = slopes.iter().map(|slope| slope.turned(turn).curl()).map(|curl| curl * curl);
        squares.filter(|square| square.is_finite()).sum()
    };
    let best = |flip_y: bool| {
        let all = (0..180).map(|degrees| (curl(of(flip_y, degrees)), degrees));
        all.fold((f64::INFINITY, 0), |best, next| if next.0 < best.0 { next } else { best })
    };
    let (straight, flipped) = (best(false), best(true));
    let flip_y = flipped.0 < straight.0;
    let degrees = if flip_y { flipped.1 } else { straight.1 };
    let divergences = slopes.iter().map(|slope| slope.turned(of(flip_y, degrees)).divergence());
    let divergences: Vec<f64> = divergences.filter(|divergence| divergence.is_finite()).collect();
    let most = divergences.iter().fold(0.0f64, |most, divergence| most.max(divergence.abs()));
    // The outer fifths of −most … most.
    let low = divergences.iter().filter(|divergence| **divergence < -0.6 * most).count();
    let high = divergences.iter().filter(|divergence| **divergence >= 0.6 * most).count();
    let degrees = f64::from(degrees) + if low < high { 180.0 } else { 0.0 };
    (if degrees > 180.0 { degrees - 360.0 } else { degrees }, flip_y)
}

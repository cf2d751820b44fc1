//! The mean intensity of each frame at each distance from a centre.
//!
//! `Profile` of a position and a bin is the mean of the values of all points whose distance ρ from
//! the centre lies in the bin: k·w ≤ ρ < (k + 1)·w, with w = `radius`/`bins`. With y and x from the
//! centre and the long axis of the ellipse at the angle φ, from the right downwards,
//! ρ² = (x cos φ + y sin φ)² + (ε (−x sin φ + y cos φ))², so that for `ellipticity` ε = 1 it is the
//! distance, and else that along the long axis. A bin without points has no number. Radii and
//! places are in points of the detector; sums are in double precision.

use pixelmill_core::detector::Detector;
use pixelmill_core::inputs::AuxiliaryInput;
use pixelmill_core::process::{
    Dimension, Failure, Model, Parameters as Checked, SourceInfo, Spectrum,
};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the centre is, and how far the profile goes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The radius at which the profile ends; as large as the frame lets it if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius: Option<f64>,
    /// How many bins it has; one for each point if none.
    #[schemars(range(min = 1, max = 100_000))]
    pub bins: Option<usize>,
    /// The row of the centre, counted from 0; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_y: Option<f64>,
    /// The column of the centre; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_x: Option<f64>,
    /// How much longer than wide the rings are.
    #[schemars(range(min = 0.01, max = 100))]
    pub ellipticity: f64,
    /// The direction of their long axis, from the right downwards.
    #[schemars(extend("unit" = "deg"))]
    pub angle: f64,
    /// A dataset with row and column of the centre at each position.
    pub centers: Option<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            radius: None,
            bins: None,
            center_y: None,
            center_x: None,
            ellipticity: 1.0,
            angle: 0.0,
            centers: None,
        }
    }
}

impl Checked for Parameters {}

/// The reduction `Radial_Profile`.
pub struct RadialProfile;

/// What is summed where.
pub struct Task {
    columns: usize,
    /// Unless each position has one of its own.
    centre: (f64, f64),
    rings: Rings,
    /// The bin of each point, none beyond the last; unless each position has a centre of its own.
    fixed: Option<Vec<u32>>,
    sums: Buffer<f64>,
    counts: Buffer<u64>,
    profile: Buffer<f64>,
}

/// Which bin a point belongs to.
#[derive(Clone, Copy)]
struct Rings {
    bins: usize,
    width: f64,
    ellipticity: f64,
    cos: f64,
    sin: f64,
}

impl Rings {
    fn bin(self, (down, right): (f64, f64)) -> u32 {
        let along = right * self.cos + down * self.sin;
        let across = (down * self.cos - right * self.sin) * self.ellipticity;
        let bin = (along * along + across * across).sqrt() / self.width;
        if bin < self.bins as f64 { bin as u32 } else { u32::MAX }
    }
}

impl Reduction for RadialProfile {
    const NAME: &'static str = "Radial_Profile";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "the mean intensity of each frame at each radius";
    const PER_POSITION: bool = true;

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Vec<u32>;

    fn auxiliary_inputs(parameters: &Parameters) -> Vec<AuxiliaryInput> {
        parameters.centers.iter().map(AuxiliaryInput::of::<f64>).collect()
    }

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let detector = Detector::of(source, (parameters.center_y, parameters.center_x))?;
        if let Some(centers) = source.auxiliary.first().filter(|centers| centers.columns != 2) {
            let (path, columns) = (&centers.path, centers.columns);
            let told = format!("`{path}` has {columns} values for each position, and no two");
            return Err(Failure::new(told));
        }
        let radius = parameters.radius.unwrap_or_else(|| detector.largest_radius());
        if radius.is_nan() || radius <= 0.0 {
            return Err(Failure::new("there is no point within a radius of 0; say `radius`"));
        }
        let bins = parameters.bins.unwrap_or(radius.ceil() as usize).max(1);
        let angle = parameters.angle.to_radians();
        let rings = Rings {
            bins,
            width: radius / bins as f64,
            ellipticity: parameters.ellipticity,
            cos: libm::cos(angle),
            sin: libm::sin(angle),
        };
        let is_fixed = source.auxiliary.is_empty();
        let middles: Vec<f64> = (0..bins).map(|bin| (bin as f64 + 0.5) * rings.width).collect();
        let axis = || vec![Dimension::new("Radius", "points", middles.clone())];
        let profile = buffers.per_position("Profile").along(axis());
        Ok(Task {
            columns: detector.shape.1,
            centre: detector.centre,
            rings,
            fixed: is_fixed.then(|| detector.places().map(|place| rings.bin(place)).collect()),
            profile: profile.published(&source.quantity, &source.units),
            sums: buffers.per_position("Sums").along(axis()).private(),
            counts: buffers.per_position("Points").along(axis()).private(),
        })
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        bins: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        let points: Vec<usize> = tile.stretches().flatten().collect();
        bins.clear();
        if let Some(fixed) = &task.fixed {
            bins.extend(points.iter().map(|point| fixed[*point]));
        }
        let mut centres = Vec::new();
        for index in (0..tile.len()).filter(|_| task.fixed.is_none()) {
            centres.push(match tile.auxiliary(index).first() {
                Some([y, x]) if y.is_finite() && x.is_finite() => (*y, *x),
                _ => {
                    tile.fail(index, Failure::new("its centre is no number"));
                    (0.0, 0.0)
                }
            });
        }
        let (sums, counts) = parts.of((task.sums, task.counts));
        let each = sums.chunks_mut(task.rings.bins).zip(counts.chunks_mut(task.rings.bins));
        for (index, (row, (sums, counts))) in tile.values().rows().into_iter().zip(each).enumerate()
        {
            if task.fixed.is_none() {
                bins.clear();
                bins.extend(points.iter().map(|point| task.bin(*point, centres[index])));
            }
            for (value, bin) in row.iter().zip(&*bins) {
                if let Some(sum) = sums.get_mut(*bin as usize) {
                    *sum += value;
                    counts[*bin as usize] += 1;
                }
            }
        }
        Ok(())
    }

    fn postprocess(task: &Task, _: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        let (sums, counts, profile) = all.of((task.sums, task.counts, task.profile));
        for (mean, (sum, count)) in profile.iter_mut().zip(sums.iter().zip(counts)) {
            *mean = if *count == 0 { f64::NAN } else { sum / *count as f64 };
        }
        Ok(())
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, _: &mut Parts<'_>) -> Model {
        let centre = match spectrum.auxiliary.first() {
            Some([y, x]) => (*y, *x),
            _ => task.centre,
        };
        let counts = |point| (task.bin(point, centre) as usize) < task.rings.bins;
        let inside = (0..spectrum.len()).map(counts).collect();
        Model::new().place("centre", centre).outline("end of the profile", inside)
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Task {
    /// The bin of a point, counted from the first of a frame with this centre.
    fn bin(&self, point: usize, (y, x): (f64, f64)) -> u32 {
        let (row, column) = (point / self.columns, point % self.columns);
        self.rings.bin((row as f64 - y, column as f64 - x))
    }
}

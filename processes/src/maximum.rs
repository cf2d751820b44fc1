//! The largest value of each spectrum, its place on the axis, and both refined by a parabola.
//!
//! Of the channels of a window, `Maximum` is the largest value y₀, the first of equal ones, as
//! `numpy.argmax` has it, and `Place` its place x₀ on the axis, as HyperSpy's `valuemax`. Through
//! it and its neighbours (x₋, y₋) and (x₊, y₊) goes one parabola: with the slopes s± = (y± −
//! y₀)/(x± − x₀) its curvature is a = (s₊ − s₋)/(x₊ − x₋) and its slope at x₀ is b = s₋ − a·(x₋ −
//! x₀), so that its vertex is at `Refined_Place` x₀ − b/2a, `Refined_Maximum` y₀ − b²/4a high. On
//! an even axis that is the usual interpolation of a peak (J. O. Smith & X. Serra 1987, ICMC Proc.
//! 290), within half a step of x₀; steps may be uneven. `extreme=minimum` finds the smallest value
//! likewise, `Minimum` and `Refined_Minimum`.
//!
//! There is no parabola where the largest value is at an end of the window, since what lies beyond
//! may be larger, and where it and both neighbours are equal; then the refined numbers are those of
//! the channel, and `Refined` is 0, else 1.
//!
//! Shapes: a row of N·S values along several axes is N spectra along the fastest, of S; each gives
//! a number per dataset, in the units of the source and of the axis. A spectrum with a value in the
//! window that isn't finite fails. Constant and empty spectra have their extreme at the first
//! channel, and saturated ones, which are flat at the top, at the first saturated channel, or half
//! a step behind it.

use pixelmill_core::Results;
use pixelmill_core::process::{Failure, Model, Process, SourceInfo, Spectrum, SpectrumAxes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choices::one_of;
use crate::spectral_axis::{channels, check_range};

/// What is looked for, and where.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// The largest value, or the smallest.
    pub extreme: Extreme,
    /// Where the window begins, in the units of the axis; with the first channel if none.
    pub from: Option<f64>,
    /// Where the window ends, in the units of the axis; with the last channel if none.
    pub to: Option<f64>,
}

/// Which value of a spectrum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extreme {
    /// The largest.
    #[default]
    Maximum,
    /// The smallest.
    Minimum,
}

one_of!(Extreme: "maximum", "minimum");

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        check_range((self.from, self.to), ("from", "to"))
    }
}

/// The extreme of one spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Output {
    value: f64,
    place: f64,
    refined_value: f64,
    refined_place: f64,
    is_refined: bool,
}

/// The process `Maximum`.
pub struct Maximum;

/// What all spectra share.
pub struct Task {
    first: usize,
    /// The places of the channels of the window.
    places: Vec<f64>,
    /// What values are multiplied by, so that the largest counts.
    sign: f64,
}

impl Process for Maximum {
    const NAME: &'static str = "Maximum";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "the largest value of each real spectrum and its place, refined by a parabola";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = ();

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        let window = channels(&axis, (parameters.from, parameters.to), 1)?;
        let sign = if parameters.extreme == Extreme::Maximum { 1.0 } else { -1.0 };
        Ok(Task { first: window.start, places: axis.values.as_slice()[window].to_vec(), sign })
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = source.axis(0);
        let (quantity, units) = (&source.quantity, &source.units);
        let name = match parameters.extreme {
            Extreme::Maximum => "Maximum",
            Extreme::Minimum => "Minimum",
        };
        results.main(name, quantity, units).scalar(|output: &Output| output.value);
        results.main("Place", &axis.name, &axis.units).scalar(|output: &Output| output.place);
        results
            .main(format!("Refined_{name}"), quantity, units)
            .scalar(|output: &Output| output.refined_value);
        results
            .main("Refined_Place", &axis.name, &axis.units)
            .scalar(|output: &Output| output.refined_place);
        results
            .main("Refined", "Refined", "")
            .scalar(|output: &Output| u8::from(output.is_refined));
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        _scratch: &mut (),
    ) -> Result<Output, Failure> {
        let values = &spectrum[task.first..task.first + task.places.len()];
        let value = largest(values, task.sign);
        let at = value.and_then(|value| values.iter().position(|other| *other == value));
        let (Some(value), Some(at)) = (value, at) else {
            return Err(Failure::new("the spectrum has values that are not finite"));
        };
        let place = task.places[at];
        let vertex = vertex(values, &task.places, at);
        let (refined_place, refined_value) = vertex.unwrap_or((place, value));
        Ok(Output { value, place, refined_value, refined_place, is_refined: vertex.is_some() })
    }

    fn model(task: &Task, _spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let name = if task.sign > 0.0 { "maximum" } else { "minimum" };
        Model::new().mark(name, output.refined_place, output.refined_value)
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }
}

/// Values that are looked at side by side.
const LANES: usize = 8;

/// The largest value, or with a negative sign the smallest; none if one of them isn't finite.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn largest(values: &[f64], sign: f64) -> Option<f64> {
    let (eights, rest) = values.as_chunks::<LANES>();
    let (mut most, mut zeros) = ([f64::NEG_INFINITY; LANES], [0.0; LANES]);
    let mut look_at = |values: &[f64]| {
        for ((value, most), zero) in values.iter().zip(&mut most).zip(&mut zeros) {
            let signed = sign * value;
            *most = if signed > *most { signed } else { *most };
            // No number comes of what isn't finite.
            *zero += value * 0.0;
        }
    };
    eights.iter().for_each(|eight| look_at(eight));
    look_at(rest);
    let most = most.into_iter().fold(f64::NEG_INFINITY, f64::max);
    (zeros.iter().sum::<f64>() == 0.0).then_some(sign * most)
}

/// Place and height of the vertex of the parabola through a channel and its neighbours, if the
/// channel lies between these and is an extreme.
fn vertex(values: &[f64], places: &[f64], at: usize) -> Option<(f64, f64)> {
    let before = at.checked_sub(1)?;
    let (y0, y2) = (values[before] - values[at], values.get(at + 1)? - values[at]);
    let (x0, x2) = (places[before] - places[at], places[at + 1] - places[at]);
    if x0 * x2 >= 0.0 {
        return None;
    }
    let curvature = (y2 / x2 - y0 / x0) / (x2 - x0);
    let slope = y0 / x0 - curvature * x0;
    let (apart, higher) = (-slope / (2.0 * curvature), -slope * slope / (4.0 * curvature));
    let (place, height) = (places[at] + apart, values[at] + higher);
    (curvature != 0.0 && place.is_finite() && height.is_finite()).then_some((place, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral_axis::tests::{axis, source};
    use pixelmill_core::process::Parameters as _;
    use proptest::prelude::*;

    fn found(parameters: &Parameters, places: &[f64], values: &[f64]) -> Result<Output, String> {
        let told = |failure: Failure| failure.to_string();
        let axis = axis(places.iter().copied());
        let task = Maximum::prepare(parameters, &source(axis)).map_err(told)?;
        let shape = [values.len()];
        Maximum::map_function(&task, Spectrum::new(values, &shape), &mut ()).map_err(told)
    }

    const PLACES: [f64; 5] = [10.0, 11.0, 13.0, 14.0, 16.0];

    #[test]
    fn a_parabola_is_found_on_an_uneven_axis() {
        for (vertex, extreme, curvature) in [
            (12.4, Extreme::Maximum, -1.5),
            (13.3, Extreme::Maximum, -0.1),
            (13.0, Extreme::Minimum, 2.0),
        ] {
            let value = |x: &f64| 7.0 + curvature * (x - vertex) * (x - vertex);
            let values: Vec<f64> = PLACES.iter().map(value).collect();
            let all = Parameters { extreme, ..Parameters::default() };
            let found = found(&all, &PLACES, &values).unwrap();
            assert_eq!((found.value, found.place), (values[2], 13.0));
            assert!(found.is_refined && (found.refined_place - vertex).abs() < 1e-12, "{found:?}");
            assert!((found.refined_value - 7.0).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn numbers_by_hand() {
        // −1 and −3 beside it: curvature −2, slope −1.
        let places = [0.0, 1.0, 2.0];
        let found = found(&Parameters::default(), &places, &[9.0, 10.0, 7.0]).unwrap();
        assert_eq!((found.value, found.place), (10.0, 1.0));
        assert_eq!((found.refined_value, found.refined_place), (10.125, 0.75));
    }

    #[test]
    fn at_an_end_of_the_window_there_is_no_parabola() {
        let values = [1.0, 5.0, 4.0, 9.0, 2.0];
        let of = |from, to, values: &[f64]| {
            let window = Parameters { from, to, ..Parameters::default() };
            let found = found(&window, &PLACES, values).unwrap();
            assert_eq!(found.is_refined, found.place != found.refined_place, "{found:?}");
            (found.place, found.is_refined)
        };
        assert_eq!(of(None, None, &values), (14.0, true));
        assert_eq!(of(None, Some(14.0), &values), (14.0, false));
        assert_eq!(of(None, Some(13.5), &values), (11.0, true));
        assert_eq!(of(Some(11.0), Some(13.0), &values), (11.0, false));
        assert_eq!(of(Some(13.0), Some(13.0), &values), (13.0, false));
        // Where an axis turns round there is nothing between its neighbours.
        let turns = found(&Parameters::default(), &[0.0, 1.0, 0.0], &[1.0, 2.0, 0.0]).unwrap();
        assert!(!turns.is_refined, "{turns:?}");
    }

    #[test]
    fn strange_spectra_have_an_extreme_or_fail() {
        let all = Parameters::default();
        for value in [0.0, -3.0, 65535.0] {
            let constant = found(&all, &PLACES, &[value; 5]).unwrap();
            assert_eq!((constant.value, constant.place), (value, 10.0));
            assert!(!constant.is_refined);
        }
        let saturated = found(&all, &PLACES, &[1.0, 2.0, 9.0, 9.0, 9.0]).unwrap();
        assert_eq!((saturated.place, saturated.refined_place), (13.0, 13.5));
        let flat = found(&all, &PLACES, &[1.0, 9.0, 9.0, 9.0, 1.0]).unwrap();
        assert_eq!((flat.place, flat.refined_place), (11.0, 12.0));
        let huge = found(&all, &PLACES, &[-1e308, 0.0, 1.7e308, -1e308, 0.0]).unwrap();
        assert_eq!((huge.value, huge.is_refined), (1.7e308, false));
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for at in 0..5 {
                let mut values = [1.0, 2.0, 3.0, 2.0, 1.0];
                values[at] = strange;
                assert!(found(&all, &PLACES, &values).unwrap_err().contains("not finite"));
            }
        }
        let window = Parameters { from: Some(11.0), to: Some(14.0), ..all };
        let found = found(&window, &PLACES, &[f64::NAN, 1.0, 2.0, 1.0, f64::NAN]).unwrap();
        assert_eq!(found.place, 13.0, "what lies outside doesn't count");
    }

    #[test]
    fn a_window_without_channels_is_refused() {
        let window = |from, to| Parameters { from, to, ..Parameters::default() };
        let told = found(&window(Some(11.2), Some(12.8)), &PLACES, &[0.0; 5]).unwrap_err();
        assert!(told.contains("0 channels") && told.contains("from 10 to 16"), "{told}");
        assert!(window(Some(3.0), Some(3.0)).check().is_err());
    }

    proptest! {
        #[test]
        fn the_vertex_is_not_lower_and_nearer_than_the_neighbours(
            values in prop::collection::vec(-1e3f64..1e3, 1..40),
        ) {
            let places: Vec<f64> = (0..values.len()).map(|at| (at * at) as f64).collect();
            let found = found(&Parameters::default(), &places, &values).unwrap();
            prop_assert!(values.iter().all(|value| *value <= found.value));
            prop_assert!(found.refined_value >= found.value);
            let at = places.iter().position(|place| *place == found.place).unwrap();
            prop_assert_eq!(values[at], found.value);
            if found.is_refined {
                prop_assert!(places[at - 1] + found.place <= 2.0 * found.refined_place + 1e-9);
                prop_assert!(places[at + 1] + found.place >= 2.0 * found.refined_place - 1e-9);
            }
        }
    }
}

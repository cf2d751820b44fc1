//! The angle of an ellipse in a frame. It has the same shape after half a turn, and after a quarter
//! if its widths change places: of all these angles a fit tells the one nearest to its start.

use std::f64::consts::{FRAC_PI_2, PI};

use super::components::Kind;
use super::model::{Model, Value};
use crate::least_squares::Bounds;

/// An ellipse whose angle is free: numbers of free shape parameters.
pub struct Turned {
    angle: usize,
    start: f64,
    /// Its widths, if these may change places.
    widths: Option<[usize; 2]>,
}

/// All of a model.
pub fn turned(model: &Model) -> Vec<Turned> {
    let all = || model.parts.iter().flat_map(|part| &part.shape);
    let times = |free: usize| all().filter(|value| value.free == Some(free)).count();
    // What follows from another parameter, or is followed by one, stays as it is.
    let own = |value: &Value| {
        let is_itself = value.factor == 1.0 && value.shift == 0.0;
        value.free.filter(|free| is_itself && times(*free) == 1)
    };
    let ellipses = model
        .parts
        .iter()
        .filter(|part| matches!(part.kind, Kind::Gaussian2d | Kind::Lorentzian2d));
    let of = |shape: &[Value]| {
        let [.., wide, high, angle] = shape else { return None };
        let (angle, widths) = (own(angle)?, own(wide).zip(own(high)));
        let start = model.shape[angle].start.unwrap_or(0.0);
        Some(Turned { angle, start, widths: widths.map(<[usize; 2]>::from) })
    };
    ellipses.filter_map(|part| of(&part.shape)).collect()
}

impl Turned {
    /// Tells it by the nearest angle that bounds allow; whether that is another.
    pub fn turn(&self, shape: &mut [f64], bounds: Bounds<'_>) -> bool {
        let is_allowed =
            |at: usize, value: f64| (bounds.lower[at]..=bounds.upper[at]).contains(&value);
        let from_start = shape[self.angle] - self.start;
        let nearest = |turn: f64| (from_start / turn).round();
        if let Some([wide, high]) = self.widths {
            let quarters = nearest(FRAC_PI_2);
            let angle = self.start + (from_start - quarters * FRAC_PI_2);
            let swaps = quarters % 2.0 != 0.0;
            let fit = !swaps || is_allowed(wide, shape[high]) && is_allowed(high, shape[wide]);
            if fit && is_allowed(self.angle, angle) {
                shape[self.angle] = angle;
                if swaps {
                    shape.swap(wide, high);
                }
                return quarters != 0.0;
            }
        }
        let halves = nearest(PI);
        let angle = self.start + (from_start - halves * PI);
        let is_another = halves != 0.0 && is_allowed(self.angle, angle);
        if is_another {
            shape[self.angle] = angle;
        }
        is_another
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve_fit::description::Components;
    use crate::curve_fit::model::Extent;
    use serde_json::{Value as Json, json};

    /// What becomes of these widths and this angle.
    fn turn(given: Json, shape: [f64; 3]) -> [f64; 3] {
        let components: Components = serde_json::from_value(json!([given, "offset"])).unwrap();
        let extent = Extent { least: 0.0, most: 20.0, channel: 1.0 };
        let model = Model::over(&components, [extent; 2]).unwrap();
        let lower: Vec<f64> = model.shape.iter().map(|free| free.lower).collect();
        let upper: Vec<f64> = model.shape.iter().map(|free| free.upper).collect();
        let bounds = Bounds { lower: &lower, upper: &upper };
        let mut all = [&[3.0, 4.0], shape.as_slice()].concat();
        for ellipse in turned(&model) {
            ellipse.turn(&mut all, bounds);
        }
        all[2..].try_into().unwrap()
    }

    #[test]
    fn of_all_angles_the_nearest_is_told() {
        let free = |angle: Json| json!({"type": "gaussian2d", "rotation_angle": angle});
        for (given, shape, [wide, high, angle]) in [
            (json!("gaussian2d"), [2.0, 3.0, 0.4 + 10.0 * PI], [2.0, 3.0, 0.4]),
            (json!("lorentzian2d"), [2.0, 3.0, 0.4 - 177.0 * FRAC_PI_2], [3.0, 2.0, 0.4]),
            (free(json!(4.0)), [2.0, 3.0, 0.4], [2.0, 3.0, 0.4 + PI]),
            // Not beyond bounds.
            (free(json!({"min": 1.0, "max": 2.0, "start": 1.1})), [2.0, 3.0, 1.9], [2.0, 3.0, 1.9]),
            // A narrow one can't be the other width.
            (
                json!({"type": "gaussian2d", "sigma_y": {"min": 2.5}}),
                [2.0, 3.0, FRAC_PI_2 + 0.1],
                [2.0, 3.0, FRAC_PI_2 + 0.1 - PI],
            ),
            (
                json!({"type": "gaussian2d", "sigma_x": {"start": 1, "max": 9}}),
                [2.0, 3.0, FRAC_PI_2 + 0.1],
                [3.0, 2.0, 0.1],
            ),
        ] {
            let found = turn(given.clone(), shape);
            assert_eq!(found[..2], [wide, high], "{given}");
            assert!((found[2] - angle).abs() < 1e-12, "{given}: {found:?}");
        }
    }

    #[test]
    fn what_is_fixed_or_tied_stays() {
        let fixed = json!({"type": "gaussian2d", "rotation_angle": {"fixed": 3.0}});
        let components: Components = serde_json::from_value(json!([fixed])).unwrap();
        let extent = Extent { least: 0.0, most: 20.0, channel: 1.0 };
        assert!(turned(&Model::over(&components, [extent; 2]).unwrap()).is_empty());
        let round = json!({"type": "gaussian2d", "name": "g", "sigma_y": {"tied": "g.sigma_x"}});
        assert!((turn(round, [2.0, PI + 0.3, 0.0])[1] - 0.3).abs() < 1e-12);
    }
}

//! The angle of an ellipse in a frame. It has the same shape after half a turn, and after a quarter
//! if its widths change places: of all these angles a fit tells the one nearest to its start.

use std::f64::consts::FRAC_PI_2;

use super::components::Kind;
use super::model::{Model, Part, Value};
use crate::least_squares::Bounds;

/// Turns that are looked at, to each side of the nearest.
const TURNS: i32 = 4;

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
    let is_ellipse = |part: &&Part| matches!(part.kind, Kind::Gaussian2d | Kind::Lorentzian2d);
    let angles = || model.parts.iter().filter(is_ellipse).map(|part| &part.shape[4]);
    let is_itself = |value: &Value| value.factor == 1.0 && value.shift == 0.0;
    // Half a turn is one for all angles that follow from it, but other widths are another shape.
    let times = |free: usize| all().filter(|value| value.free == Some(free)).count();
    let turns = |free: usize| {
        let same = angles().filter(|value| value.free == Some(free) && value.factor.abs() == 1.0);
        same.count() == times(free)
    };
    let own = |value: &Value| value.free.filter(|free| is_itself(value) && times(*free) == 1);
    let of = |part: &Part| {
        let [.., wide, high, angle] = part.shape.as_slice() else { return None };
        let free = angle.free.filter(|free| is_itself(angle) && turns(*free))?;
        let widths = own(angle).and(own(wide).zip(own(high)));
        let start = model.shape[free].start.unwrap_or(0.0);
        Some(Turned { angle: free, start, widths: widths.map(<[usize; 2]>::from) })
    };
    model.parts.iter().filter(is_ellipse).filter_map(of).collect()
}

/// Of an angle and all that differ from it by whole turns of this size the one nearest to another
/// that is allowed, and how many turns that are.
pub fn nearest(
    angle: f64,
    (to, turn): (f64, f64),
    is_allowed: impl Fn(f64, i32) -> bool,
) -> Option<(f64, i32)> {
    let first = ((to - angle) / turn).round() as i32;
    let turns = (-TURNS..=TURNS).map(|more| first.saturating_add(more));
    let all = turns.map(|turns| (turn.mul_add(f64::from(turns), angle), turns));
    let allowed = all.filter(|(angle, turns)| is_allowed(*angle, *turns));
    allowed.min_by(|(one, _), (other, _)| (one - to).abs().total_cmp(&(other - to).abs()))
}

impl Turned {
    /// Tells it by the nearest angle that bounds allow; whether that is another.
    pub fn turn(&self, shape: &mut [f64], bounds: Bounds<'_>) -> bool {
        let limits = |at: usize| (bounds.lower[at], bounds.upper[at]);
        let allows = |at: usize, value: f64| (bounds.lower[at]..=bounds.upper[at]).contains(&value);
        let is_held = |at: usize| shape[at] == bounds.lower[at] || shape[at] == bounds.upper[at];
        // What a bound holds would be free in the other's place.
        let may_swap = self.widths.is_some_and(|[wide, high]| {
            let is_free = !is_held(wide) && !is_held(high);
            limits(wide) == limits(high)
                || is_free && allows(wide, shape[high]) && allows(high, shape[wide])
        });
        let is_allowed = |angle: f64, quarters: i32| {
            (quarters % 2 == 0 || may_swap) && allows(self.angle, angle)
        };
        let found = nearest(shape[self.angle], (self.start, FRAC_PI_2), is_allowed);
        let Some((angle, quarters)) = found.filter(|(_, quarters)| *quarters != 0) else {
            return false;
        };
        shape[self.angle] = angle;
        if let Some([wide, high]) = self.widths.filter(|_| quarters % 2 != 0) {
            shape.swap(wide, high);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve_fit::description::Components;
    use crate::curve_fit::model::Extent;
    use serde_json::{Value as Json, json};
    use std::f64::consts::PI;

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
            // The next one that they allow.
            (free(json!({"min": 0.0, "max": 3.0})), [2.0, 3.0, 2.5], [3.0, 2.0, 2.5 - FRAC_PI_2]),
            // What is held isn't free in the other's place.
            (
                json!({"type": "gaussian2d", "sigma_y": {"min": 3.0}}),
                [4.0, 3.0, FRAC_PI_2 + 0.1],
                [4.0, 3.0, FRAC_PI_2 + 0.1 - PI],
            ),
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
        let follows = json!([
            {"type": "gaussian2d", "name": "a"},
            {"type": "gaussian2d", "rotation_angle": {"tied": "a.rotation_angle", "shift": 0.3}},
        ]);
        let components: Components = serde_json::from_value(follows).unwrap();
        let model = Model::over(&components, [extent; 2]).unwrap();
        let [both] = &*turned(&model) else { panic!("one angle is free") };
        assert!(both.widths.is_none());
    }
}

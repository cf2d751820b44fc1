//! Axes: which numbers they span, and how these are written.

use super::tex::signs;

/// Values beyond it, and those that aren't finite, have no place on an axis.
const LARGEST: f64 = 1e300;
/// What is nearer to 0 is 0: steps between smaller values would be none.
const SMALLEST: f64 = 1e-290;
/// Units that take a prefix. Others may have one already.
const PLAIN_UNITS: [&str; 12] = ["Hz", "V", "A", "s", "m", "N", "W", "J", "F", "T", "eV", "Ohm"];
/// From 10⁻¹⁵ on, by thousands.
const PREFIXES: [&str; 10] = ["f", "p", "n", "µ", "m", "", "k", "M", "G", "T"];

/// What an axis is of, and from where to where it goes.
pub(crate) struct Axis {
    name: String,
    units: String,
    low: f64,
    high: f64,
    /// Whether the highest number is at its beginning.
    is_reversed: bool,
}

impl Axis {
    /// An axis on which all `values` have their place, and at each end some room: a share of their
    /// span.
    pub fn new(
        name: impl Into<String>,
        units: impl Into<String>,
        values: impl Iterator<Item = f64>,
        room: f64,
    ) -> Self {
        let drawable = values.filter(|value| value.abs() < LARGEST);
        let (low, high) = drawable
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let largest = low.abs().max(high.abs());
        let (low, high) = match high - low {
            _ if low > high || largest < SMALLEST => (-1.0, 1.0),
            span if span > 1e-12 * largest => (low - room * span, high + room * span),
            // One value, as far as digits go.
            _ => (low - 0.1 * largest, high + 0.1 * largest),
        };
        let (name, units) = (signs(&name.into()), signs(&units.into()));
        Self { name, units, low, high, is_reversed: false }
    }

    /// The axis of something that ends where these numbers end, which go up or down.
    pub fn between(
        name: impl Into<String>,
        units: impl Into<String>,
        (first, last): (f64, f64),
    ) -> Self {
        let axis = Self::new(name, units, [first, last].into_iter(), 0.0);
        Self { is_reversed: first > last, ..axis }
    }

    /// The same from its end to its beginning.
    pub fn reversed(self) -> Self {
        Self { is_reversed: !self.is_reversed, ..self }
    }

    /// Whether its numbers have units.
    pub fn has_units(&self) -> bool {
        !self.units.is_empty()
    }

    /// How far it goes.
    pub fn span(&self) -> f64 {
        self.high - self.low
    }

    /// Where a value is: 0 at the axis's beginning, 1 at its end; nowhere if that is outside.
    pub fn place(&self, value: f64) -> Option<f64> {
        let up = (value - self.low) / (self.high - self.low);
        let place = if self.is_reversed { 1.0 - up } else { up };
        (0.0..=1.0).contains(&place).then_some(place)
    }

    /// The same, at the nearer end if it is outside.
    pub fn place_within(&self, value: f64) -> f64 {
        self.place(value.clamp(self.low, self.high)).unwrap_or(0.0)
    }

    /// Its name, with the units that the numbers beside it have.
    pub fn label(&self) -> String {
        let units = match (self.exponent(), self.units.as_str()) {
            (0, "") => return self.name.clone(),
            (0, units) => units.to_owned(),
            (exponent @ -15..=12, units) if PLAIN_UNITS.contains(&units) => {
                format!("{}{units}", PREFIXES[(exponent + 15) as usize / 3])
            }
            (exponent, units) => format!("10{} {units}", superscript(exponent)).trim().to_owned(),
        };
        format!("{} ({units})", self.name)
    }

    /// Round numbers on the axis, at most so many steps from one end to the other, with the place
    /// of each.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let step = step((self.high - self.low) / most.max(1) as f64);
        let exponent = self.exponent();
        let decimals = (exponent - step.log10().floor() as i32).max(0) as usize;
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        let number = |tick: i64| tick as f64 * step;
        (first..=last)
            .filter_map(|tick| Some((self.place(number(tick))?, number(tick) / ten(exponent))))
            .map(|(place, number)| (place, format!("{number:.decimals$}")))
            .collect()
    }

    /// The numbers at its lower and upper end, in the units of its label.
    pub fn ends(&self) -> [String; 2] {
        let exponent = self.exponent();
        let decimals = (exponent + 2 - self.span().log10().floor() as i32).clamp(0, 12) as usize;
        [self.low, self.high].map(|end| format!("{:.decimals$}", end / ten(exponent)))
    }

    /// The power of ten, by thousands, that is said once for all numbers.
    fn exponent(&self) -> i32 {
        let largest = self.low.abs().max(self.high.abs());
        let exponent = (largest.log10() / 3.0 + 1e-9).floor() as i32 * 3;
        let is_short = (0.1..1e4).contains(&largest);
        if is_short && !PLAIN_UNITS.contains(&self.units.as_str()) { 0 } else { exponent }
    }
}

/// The least of 1, 2, 5, 10, 20 … that isn't below `least`, but for its last digits.
fn step(least: f64) -> f64 {
    let least = least * (1.0 - 1e-9);
    let power = ten(least.log10().floor() as i32);
    let factors = [1.0, 2.0, 5.0];
    power * factors.into_iter().find(|factor| factor * power >= least).unwrap_or(10.0)
}

fn ten(exponent: i32) -> f64 {
    10f64.powi(exponent)
}

fn superscript(exponent: i32) -> String {
    let raised = |digit: char| match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(digit as u32 - '0' as u32 + '⁰' as u32).unwrap_or(digit),
    };
    exponent.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis, most: usize) -> Vec<String> {
        axis.ticks(most).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn numbers_are_round_and_units_say_their_power_of_ten() {
        for (units, values, label, numbers) in [
            ("Hz", [3e5, 3.7e5], "x (kHz)", ["300", "320", "340", "360"].as_slice()),
            ("V", [0.0, 1.4e-3], "x (mV)", &["0.0", "0.5", "1.0"]),
            ("um", [0.0, 12.0], "x (um)", &["0", "5", "10"]),
            ("counts", [0.0, 2.5e4], "x (10³ counts)", &["0", "10", "20"]),
            ("", [-2e-15, 0.0], "x (10⁻¹⁵)", &["-2.0", "-1.5", "-1.0", "-0.5", "0.0"]),
            ("rad", [-3.0, 3.0], "x (rad)", &["-2", "0", "2"]),
            ("", [1000.25, 1000.75], "x", &["1000.4", "1000.6"]),
            ("", [4.0, 4.0], "x", &["3.6", "3.8", "4.0", "4.2", "4.4"]),
            ("", [f64::NAN, f64::INFINITY], "x", &["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
            ("eV", [0.0, 2e12], "x (TeV)", &["0.0", "0.5", "1.0", "1.5", "2.0"]),
            ("eV", [-1e-20, 1e-20], "x (10⁻²¹ eV)", &["-10", "-5", "0", "5", "10"]),
        ] {
            let axis = Axis::new("x", units, values.into_iter(), 0.0);
            assert_eq!(axis.label(), label, "{values:?}");
            assert_eq!(ticks(&axis, 4), numbers, "{values:?}");
        }
    }

    #[test]
    fn an_axis_may_go_down() {
        let axis = Axis::between("y", "", (10.0, 20.0)).reversed();
        assert_eq!([10.0, 15.0, 20.0].map(|value| axis.place(value)), [1.0, 0.5, 0.0].map(Some));
        let falling = Axis::between("y", "", (20.0, 10.0));
        assert_eq!([10.0, 20.0].map(|value| falling.place(value)), [1.0, 0.0].map(Some));
    }

    #[test]
    fn places_go_from_0_to_1() {
        let axis = Axis::new("x", "", [10.0, f64::NAN, 20.0].into_iter(), 0.5);
        assert_eq!([5.0, 15.0, 25.0].map(|value| axis.place(value)), [0.0, 0.5, 1.0].map(Some));
        assert_eq!([4.9, 25.1, f64::NAN].map(|value| axis.place(value)), [None; 3]);
        let placed: Vec<f64> = axis.ticks(2).into_iter().map(|(place, _)| place).collect();
        assert_eq!(placed, [0.25, 0.75]);
    }
}

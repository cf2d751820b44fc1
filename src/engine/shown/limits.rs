//! Which values colours should tell apart.

/// The percentiles at which the colours of a map end: a few bright or dark positions don't decide
/// them.
pub const PERCENTILES: (f64, f64) = (2.0, 98.0);

/// The values at which colours end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// What has the first colour, with all that is lower.
    pub low: f64,
    /// What has the last colour, with all that is higher.
    pub high: f64,
    /// Whether they are the [`PERCENTILES`]; else they are the least and the largest value.
    pub are_percentiles: bool,
    /// Whether there are lower values.
    pub are_below: bool,
    /// Whether there are higher values.
    pub are_above: bool,
    /// Whether they are the ends of a turn, which mean the same.
    pub are_turn: bool,
}

impl Limits {
    /// Those of all finite `values`; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut finite: Vec<f64> =
            values.iter().copied().filter(|value| value.is_finite()).collect();
        finite.sort_unstable_by(f64::total_cmp);
        let (least, largest) = (*finite.first()?, *finite.last()?);
        let (low, high) = (percentile(&finite, PERCENTILES.0), percentile(&finite, PERCENTILES.1));
        let limits = Self {
            low,
            high,
            are_percentiles: true,
            are_below: least < low,
            are_above: largest > high,
            are_turn: false,
        };
        // Where nearly all values are the same, what is of interest are the others.
        Some(if low < high { limits } else { Self::whole(least, largest) })
    }

    /// All values from the least to the largest.
    pub fn whole(low: f64, high: f64) -> Self {
        Self {
            low,
            high,
            are_percentiles: false,
            are_below: false,
            are_above: false,
            are_turn: false,
        }
    }

    /// A turn, of so many units, in which all of these values lie; `None` if they lie in none.
    pub fn turn(values: &[f64], turn: f64) -> Option<Self> {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (least, largest) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
        let slack = 1e-6 * turn;
        let lies = |low: f64| least >= low - slack && largest <= low + turn + slack;
        let low = [-turn / 2.0, 0.0].into_iter().find(|low| lies(*low))?;
        Some(Self { are_turn: true, ..Self::whole(low, low + turn) })
    }
}

/// A percentile of ascending values: NumPy's, between two values where it falls there.
fn percentile(ascending: &[f64], percent: f64) -> f64 {
    let place = percent / 100.0 * (ascending.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let low = ascending[below];
    let high = ascending[(below + 1).min(ascending.len() - 1)];
    low * (1.0 - share) + high * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_outliers_decide_nothing() {
        let mut values: Vec<f64> = (0..=100).map(f64::from).collect();
        let limits = Limits::of(&values).unwrap();
        assert_eq!((limits.low, limits.high), (2.0, 98.0));
        assert!(limits.are_percentiles && limits.are_below && limits.are_above);
        (values[0], values[100]) = (-1e9, 1e9);
        let limits = Limits::of(&values).unwrap();
        assert_eq!((limits.low, limits.high), (2.0, 98.0));
        assert_eq!(Limits::of(&[1.0, 2.0]).map(|limits| limits.low), Some(1.02), "as NumPy's");
    }

    #[test]
    fn limits_are_those_of_all_values_where_nearly_all_are_the_same() {
        let mut values = vec![0.0; 1000];
        values[3] = 5.0;
        assert_eq!(Limits::of(&values), Some(Limits::whole(0.0, 5.0)));
        assert_eq!(Limits::of(&[7.0; 4]), Some(Limits::whole(7.0, 7.0)));
        assert_eq!(Limits::of(&[3.0, f64::NAN]), Some(Limits::whole(3.0, 3.0)));
        assert_eq!(Limits::of(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(Limits::of(&[]), None);
    }

    #[test]
    fn a_turn_begins_where_the_values_lie_in_it() {
        let low = |values: &[f64]| Limits::turn(values, 360.0).map(|limits| limits.low);
        assert_eq!(low(&[-170.0, f64::NAN, 30.0]), Some(-180.0));
        assert_eq!(low(&[10.0, 350.0]), Some(0.0));
        assert_eq!([low(&[-10.0, 350.0]), low(&[f64::NAN])], [None; 2]);
    }
}

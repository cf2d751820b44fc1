//! The voltages of a loop, told apart into the branch on which they fall and that on which they
//! rise.

use std::ops::Range;

use pixelmill_core::process::Failure;

use crate::curve_fit::arrays::{add_scaled, dot};

/// Parameters of a fit: more values than these have to be there.
const PARAMETERS: usize = 9;

/// The fewest points of a branch, which has three parameters of its own.
const FEWEST: usize = 4;

/// The voltages of a loop. Everything that is fitted is in their order: the falling branch first.
pub(super) struct Axis {
    /// The voltages in the order in which they were set.
    pub measured: Vec<f64>,
    /// The voltages in the order of the branches.
    pub voltages: Vec<f64>,
    /// Which value of a loop each of them belongs to.
    places: Vec<usize>,
    /// How many of them are on the falling branch.
    falling: usize,
    /// The lowest and the highest voltage.
    pub extent: (f64, f64),
    /// Their mean.
    mean: f64,
    /// The voltages without their mean, divided by `length`, so that their squares add up to 1.
    slope: Vec<f64>,
    length: f64,
}

impl Axis {
    /// The axis of voltages in the order in which they were set.
    ///
    /// A point is on the branch on which its voltage is left: a voltage that is set twice is on
    /// that of the point before, and after the last point comes the first.
    ///
    /// # Errors
    /// If they are no loop.
    pub fn new(voltages: &[f64]) -> Result<Self, Failure> {
        let count = voltages.len();
        if !voltages.iter().all(|voltage| voltage.is_finite()) {
            return Err(Failure::new("the axis of the loops has voltages that are not finite"));
        }
        if count <= PARAMETERS {
            return Err(Failure::new(format!(
                "a loop has {count} values, too few for its {PARAMETERS} parameters"
            )));
        }
        let falls = directions(voltages);
        let (mut places, rising): (Vec<usize>, Vec<usize>) = (0..count).partition(|&at| falls[at]);
        let falling = places.len();
        if falling < FEWEST || rising.len() < FEWEST {
            return Err(Failure::new(format!(
                "the voltage has to go up and down again, but it rises at {} of its {count} \
                 values and falls at {falling}, where each branch needs {FEWEST}",
                rising.len()
            )));
        }
        places.extend(rising);
        let measured = voltages.to_vec();
        let voltages: Vec<f64> = places.iter().map(|&at| measured[at]).collect();
        let extent =
            voltages.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
                (least.min(*v), most.max(*v))
            });
        let mean = voltages.iter().sum::<f64>() / count as f64;
        let mut slope: Vec<f64> = voltages.iter().map(|voltage| voltage - mean).collect();
        let length = dot(&slope, &slope).sqrt();
        slope.iter_mut().for_each(|voltage| *voltage /= length);
        Ok(Self { measured, voltages, places, falling, extent, mean, slope, length })
    }

    /// The points of a branch: 0 is the falling one, 1 the rising one.
    pub fn branch(&self, number: usize) -> Range<usize> {
        if number == 0 { 0..self.falling } else { self.falling..self.voltages.len() }
    }

    /// The values of a loop in the order of the branches.
    pub fn order(&self, values: &[f64], ordered: &mut Vec<f64>) {
        ordered.clear();
        ordered.extend(self.places.iter().map(|&at| values[at]));
    }

    /// The values in the order of the branches as they were measured.
    pub fn reorder(&self, ordered: &[f64]) -> Vec<f64> {
        let mut values = vec![0.0; ordered.len()];
        self.places.iter().zip(ordered).for_each(|(&at, value)| values[at] = *value);
        values
    }

    /// Takes the straight line out of some values, and tells it: its value at 0 V and its slope.
    pub fn straighten(&self, values: &mut [f64]) -> (f64, f64) {
        let [line] = self.straighten_each([values]);
        line
    }

    /// The same of several at once, each of which has the bits that it has alone: of one each
    /// addition waits for the one before.
    pub fn straighten_each<const N: usize>(&self, mut each: [&mut [f64]; N]) -> [(f64, f64); N] {
        let mut sums = [0.0; N];
        for at in 0..self.voltages.len() {
            for (sum, values) in sums.iter_mut().zip(&each) {
                *sum += values[at];
            }
        }
        let count = self.voltages.len() as f64;
        std::array::from_fn(|number| {
            let (values, mean) = (&mut *each[number], sums[number] / count);
            values.iter_mut().for_each(|value| *value -= mean);
            let share = dot(&self.slope, values);
            add_scaled(values, -share, &self.slope);
            let slope = share / self.length;
            (mean - slope * self.mean, slope)
        })
    }

    /// The share of a straight line in the values of one branch, the others being zero: along a
    /// constant and along the voltage, both of length 1.
    pub fn straight_shares(&self, number: usize, values: &[f64]) -> [f64; 2] {
        let constant = values.iter().sum::<f64>() / (self.voltages.len() as f64).sqrt();
        [constant, dot(&self.slope[self.branch(number)], values)]
    }
}

/// Whether each voltage is left towards a lower one.
fn directions(voltages: &[f64]) -> Vec<bool> {
    let count = voltages.len();
    let change = |at: usize| voltages[(at + 1) % count] - voltages[at];
    // Twice around, so that what comes before the first point is known.
    let mut falls = vec![false; count];
    let mut last = false;
    for at in (0..2 * count).map(|at| at % count) {
        last = if change(at) == 0.0 { last } else { change(at) < 0.0 };
        falls[at] = last;
    }
    falls
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 0 V up to 4, down to −4, and back.
    const USUAL: [f64; 16] =
        [0.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0, -4.0, -3.0, -2.0, -1.0];

    fn refused(voltages: &[f64]) -> String {
        Axis::new(voltages).err().map(|failure| failure.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_loop_has_the_branches_that_bglib_makes_of_it() {
        // BGlib moves it by a quarter and takes halves: from 4 to −3, and from −4 to 3.
        let axis = Axis::new(&USUAL).unwrap();
        let falling = [4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0];
        assert_eq!(axis.voltages[axis.branch(0)], falling);
        let mut rising = axis.voltages[axis.branch(1)].to_vec();
        rising.sort_by(f64::total_cmp);
        assert_eq!(rising, [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn where_a_loop_begins_does_not_matter() {
        let axis = Axis::new(&USUAL).unwrap();
        for begin in 0..USUAL.len() {
            let mut turned = USUAL;
            turned.rotate_left(begin);
            let other = Axis::new(&turned).unwrap();
            for branch in [0, 1] {
                let sorted = |axis: &Axis| {
                    let mut voltages = axis.voltages[axis.branch(branch)].to_vec();
                    voltages.sort_by(f64::total_cmp);
                    voltages
                };
                assert_eq!(sorted(&axis), sorted(&other), "{begin}");
            }
            let mut ordered = Vec::new();
            other.order(&turned, &mut ordered);
            assert_eq!(ordered, other.voltages);
            assert_eq!(other.reorder(&ordered), turned);
        }
    }

    #[test]
    fn a_voltage_set_twice_is_once_on_each_branch_at_the_turns() {
        let mut twice = USUAL.to_vec();
        twice.insert(4, 4.0);
        twice.insert(13, -4.0);
        let axis = Axis::new(&twice).unwrap();
        let count = |branch: usize, voltage: f64| {
            axis.voltages[axis.branch(branch)].iter().filter(|v| **v == voltage).count()
        };
        assert_eq!([count(0, 4.0), count(1, 4.0), count(0, -4.0), count(1, -4.0)], [1; 4]);
    }

    #[test]
    fn what_is_no_loop_is_refused_with_the_reason() {
        let up: Vec<f64> = (0..20).map(f64::from).collect();
        assert!(refused(&up).contains("rises at 19 of its 20 values and falls at 1"));
        assert!(refused(&[2.0; 20]).contains("go up and down"));
        assert!(refused(&USUAL[..9]).contains("9 values, too few"));
        let mut endless = USUAL;
        endless[3] = f64::NAN;
        assert!(refused(&endless).contains("not finite"));
        assert_eq!(refused(&USUAL), "");
    }

    #[test]
    fn a_straight_line_is_taken_out_as_a_whole() {
        let axis = Axis::new(&USUAL).unwrap();
        let mut values: Vec<f64> = axis.voltages.iter().map(|v| 3.0 - 0.5 * v).collect();
        let (at_zero, slope) = axis.straighten(&mut values);
        assert!((at_zero - 3.0).abs() < 1e-14 && (slope + 0.5).abs() < 1e-14);
        assert!(values.iter().all(|value| value.abs() < 1e-14));
    }
}

//! Where on the axes of the scan a spectrum was measured.
//!
//! Which axes these are, with their names and units, is in
//! [`SourceInfo::position_dimensions`](crate::source_info::SourceInfo::position_dimensions). Of a
//! scan that the file lists position by position, a position's values are its own, as they were
//! measured there; of others those of the axes.

use std::fmt;

/// The positions of a scan on its axes, which are counted from the slowest.
pub trait PositionAxes: Send + Sync {
    /// How many axes there are.
    fn axes(&self) -> usize;
    /// The step of a position on an axis.
    fn step(&self, position: u64, axis: usize) -> u32;
    /// The value of a position on an axis.
    fn value(&self, position: u64, axis: usize) -> f64;
}

/// Where a position lies. It knows nothing unless the process
/// [asks for it](crate::Process::COORDINATES).
#[derive(Clone, Copy, Default)]
pub struct Coordinates<'a> {
    of: Option<&'a dyn PositionAxes>,
    position: u64,
}

impl<'a> Coordinates<'a> {
    /// Those of a position of this scan.
    #[inline]
    pub fn new(of: Option<&'a dyn PositionAxes>, position: u64) -> Self {
        Self { of, position }
    }

    /// How many axes are known.
    pub fn axes(&self) -> usize {
        self.of.map_or(0, PositionAxes::axes)
    }

    /// The step on an axis, counted from the slowest; `None` if there is no such axis.
    pub fn step(&self, axis: usize) -> Option<u32> {
        self.of.filter(|of| axis < of.axes()).map(|of| of.step(self.position, axis))
    }

    /// The value on an axis, counted from the slowest; `None` if there is no such axis.
    pub fn value(&self, axis: usize) -> Option<f64> {
        self.of.filter(|of| axis < of.axes()).map(|of| of.value(self.position, axis))
    }

    /// The step on each axis, the slowest first.
    pub fn steps(&self) -> impl Iterator<Item = u32> + use<'a> {
        let own = *self;
        (0..self.axes()).filter_map(move |axis| own.step(axis))
    }

    /// The value on each axis, the slowest first.
    pub fn values(&self) -> impl Iterator<Item = f64> + use<'a> {
        let own = *self;
        (0..self.axes()).filter_map(move |axis| own.value(axis))
    }
}

impl fmt::Debug for Coordinates<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.steps().zip(self.values())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Grid;

    impl PositionAxes for Grid {
        fn axes(&self) -> usize {
            2
        }

        fn step(&self, position: u64, axis: usize) -> u32 {
            [position / 10, position % 10][axis] as u32
        }

        fn value(&self, position: u64, axis: usize) -> f64 {
            f64::from(self.step(position, axis)) / 4.0
        }
    }

    #[test]
    fn a_position_lies_on_the_axes_that_there_are() {
        let known = Coordinates::new(Some(&Grid), 37);
        assert_eq!((known.steps().collect::<Vec<_>>(), known.axes()), (vec![3, 7], 2));
        assert_eq!(known.values().collect::<Vec<_>>(), [0.75, 1.75]);
        assert_eq!((known.step(1), known.value(1)), (Some(7), Some(1.75)));
        assert_eq!((known.step(2), known.value(2)), (None, None));
        let unknown = Coordinates::default();
        assert_eq!((unknown.axes(), unknown.step(0), unknown.values().count()), (0, None, 0));
        assert_eq!(format!("{known:?} {unknown:?}"), "[(3, 0.75), (7, 1.75)] []");
    }
}

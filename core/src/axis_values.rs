//! The values of an axis: listed one by one, or evenly spaced.
//!
//! An axis may be as long as a scan has positions. Even steps, as most files keep them, therefore
//! take no memory, however many there are, and a list is shared by all who hold it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The values of an axis, one per step; cheap to clone.
#[derive(Clone, Debug)]
pub struct AxisValues(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Listed(Arc<[f64]>),
    /// Number `n` is `first + step · n`.
    Even {
        first: f64,
        step: f64,
        length: usize,
    },
}

impl AxisValues {
    /// Evenly spaced values: number `n` is `first + step · n`.
    pub fn even(first: f64, step: f64, length: usize) -> Self {
        Self(Kept::Even { first, step, length })
    }

    /// 0, 1, 2 …: an axis that counts its steps.
    pub fn counted(length: usize) -> Self {
        Self::even(0.0, 1.0, length)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::Listed(values) => values.len(),
            Kept::Even { length, .. } => *length,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value number `index`.
    pub fn get(&self, index: usize) -> Option<f64> {
        match &self.0 {
            Kept::Listed(values) => values.get(index).copied(),
            Kept::Even { first, step, length } => {
                (index < *length).then(|| first + step * index as f64)
            }
        }
    }

    /// The first value.
    pub fn first(&self) -> Option<f64> {
        self.get(0)
    }

    /// The last value.
    pub fn last(&self) -> Option<f64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The first `length` of them; even steps go on as far as that. `None` if a list has fewer.
    pub fn of_length(&self, length: usize) -> Option<Self> {
        Some(Self(match &self.0 {
            Kept::Listed(values) => Kept::Listed(values.get(..length)?.into()),
            Kept::Even { first, step, .. } => Kept::Even { first: *first, step: *step, length },
        }))
    }

    /// `length` of them, every `step`-th from number `start` on. Evenly spaced ones stay so: they
    /// are counted from the first that is kept.
    pub fn picked(&self, start: usize, step: usize, length: usize) -> Self {
        match &self.0 {
            Kept::Listed(values) => {
                let kept = values.iter().skip(start).step_by(step.max(1)).take(length);
                Self(Kept::Listed(kept.copied().collect()))
            }
            Kept::Even { first, step: apart, .. } => {
                Self::even(first + apart * start as f64, apart * step as f64, length)
            }
        }
    }

    /// The means of each `count` that follow each other, without those behind the last whole
    /// `count`. Those of evenly spaced ones are evenly spaced.
    #[must_use]
    pub fn means(&self, count: usize) -> Self {
        let (count, length) = (count.max(1), self.len() / count.max(1));
        let of = count as f64;
        match &self.0 {
            Kept::Listed(values) => {
                let whole = values.chunks_exact(count);
                whole.map(|values| values.iter().sum::<f64>() / of).collect()
            }
            Kept::Even { first, step, .. } => {
                Self::even(first + step * (of - 1.0) / 2.0, step * of, length)
            }
        }
    }

    /// All of them, one after the other.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.get(index).expect("the index is below the length"))
    }

    /// All of them as a slice, for what can't do without. That of evenly spaced values is made
    /// anew.
    pub fn as_slice(&self) -> Cow<'_, [f64]> {
        match &self.0 {
            Kept::Listed(values) => Cow::Borrowed(values),
            Kept::Even { .. } => Cow::Owned(self.to_vec()),
        }
    }

    /// A list of all of them.
    pub fn to_vec(&self) -> Vec<f64> {
        self.iter().collect()
    }

    /// The first value and the step, if they are kept as evenly spaced ones.
    pub fn as_even(&self) -> Option<(f64, f64)> {
        match self.0 {
            Kept::Listed(_) => None,
            Kept::Even { first, step, .. } => Some((first, step)),
        }
    }

    /// Bytes of memory that they take.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Kept::Listed(values) => size_of_val::<[f64]>(values) as u64,
            Kept::Even { .. } => 0,
        }
    }
}

/// Values that come one after the other: a first one and a step, until one of them isn't where
/// these lead to.
#[derive(Clone, Debug, Default)]
pub struct GrowingAxis {
    first: f64,
    step: f64,
    length: usize,
    /// All of them, once they are uneven.
    listed: Option<Vec<f64>>,
}

impl GrowingAxis {
    /// How many there are so far.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends a value.
    pub fn push(&mut self, value: f64) {
        if self.listed.is_none() {
            let mut grown = Self { length: self.length + 1, listed: None, ..*self };
            match self.length {
                0 => grown.first = value,
                1 => grown.step = value - self.first,
                _ => {}
            }
            // The first and the last: with a step that isn't finite, or a first zero that is
            // negative, neither is what it was.
            let is_there = |at: usize, value: f64| {
                grown.even().get(at).map(f64::to_bits) == Some(value.to_bits())
            };
            if is_there(0, grown.first) && is_there(self.length, value) {
                *self = grown;
                return;
            }
            self.listed = Some(match self.length {
                0 => Vec::new(),
                1 => vec![self.first],
                _ => self.even().iter().collect(),
            });
        }
        self.listed.get_or_insert_default().push(value);
        self.length += 1;
    }

    fn even(&self) -> AxisValues {
        AxisValues::even(self.first, self.step, self.length)
    }

    /// All of them.
    pub fn finish(self) -> AxisValues {
        let even = self.even();
        self.listed.map_or(even, AxisValues::from)
    }
}

impl From<Vec<f64>> for AxisValues {
    fn from(values: Vec<f64>) -> Self {
        Self(Kept::Listed(values.into()))
    }
}

impl FromIterator<f64> for AxisValues {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(Kept::Listed(values.into_iter().collect()))
    }
}

/// As numbers, however they are kept.
impl PartialEq for AxisValues {
    fn eq(&self, other: &Self) -> bool {
        match (self.as_even(), other.as_even()) {
            // Long axes are compared at once; a NaN among them differs from itself.
            (Some(one), Some(two)) if one == two => self.len() == other.len(),
            _ => self.len() == other.len() && self.iter().eq(other.iter()),
        }
    }
}

impl<const N: usize> PartialEq<[f64; N]> for AxisValues {
    fn eq(&self, other: &[f64; N]) -> bool {
        self.iter().eq(other.iter().copied())
    }
}

impl Serialize for AxisValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_values_are_those_that_a_list_has() {
        let listed: AxisValues = (0..1000).map(|at| 0.1 + 0.3 * f64::from(at)).collect();
        let even = AxisValues::even(0.1, 0.3, 1000);
        assert_eq!(even, listed);
        assert!(even.iter().zip(listed.iter()).all(|(one, two)| one.to_bits() == two.to_bits()));
        assert_eq!(even.as_slice(), listed.as_slice());
        assert_eq!((even.first(), even.last()), (Some(0.1), listed.last()));
        assert_eq!((even.get(1000), listed.get(1000)), (None, None));
        assert_ne!(even, AxisValues::even(0.1, 0.3, 999));
        assert_ne!(even, AxisValues::even(0.1, 0.300_000_000_1, 1000));
        assert_eq!((even.bytes(), listed.bytes()), (0, 8000));
        assert_eq!(serde_json::to_string(&AxisValues::counted(3)).unwrap(), "[0.0,1.0,2.0]");
    }

    #[test]
    fn means_of_even_values_are_even() {
        let listed: AxisValues = vec![1.0, 2.0, 4.0, 8.0, 9.0].into();
        assert_eq!(listed.means(2), [1.5, 6.0]);
        let even = AxisValues::even(1.0, 0.5, 7);
        assert_eq!(even.means(3).as_even(), Some((1.5, 1.5)));
        assert_eq!(even.means(3), AxisValues::from(even.to_vec()).means(3));
        assert_eq!((even.means(1), even.means(8).len()), (even.clone(), 0));
    }

    #[test]
    fn values_are_even_until_one_is_not() {
        let grown = |values: &[f64]| {
            let mut axis = GrowingAxis::default();
            values.iter().for_each(|value| axis.push(*value));
            assert_eq!(axis.len(), values.len());
            let grown = axis.finish();
            let same = |(one, two): (f64, &f64)| one.to_bits() == two.to_bits();
            assert!(grown.iter().zip(values).all(same), "{values:?}");
            assert_eq!(grown.len(), values.len());
            grown.as_even()
        };
        assert_eq!(grown(&[2.0, 2.5, 3.0, 3.5]), Some((2.0, 0.5)));
        assert_eq!(grown(&[2.0, 2.5, 3.0, 3.6, 4.0]), None);
        assert_eq!(grown(&[0.0, -0.0]), None, "the step loses the sign");
        assert_eq!(grown(&[-0.0, 1.0, 2.0]), None);
        for odd in [f64::INFINITY, f64::NAN, -f64::NAN, f64::MAX, -f64::MAX, -0.0, 5e-324] {
            grown(&[odd]);
            grown(&[odd, 1.0, 2.0]);
            grown(&[1.0, odd, 3.0, 4.0]);
            grown(&[1.0, 2.0, odd]);
            grown(&[odd, -odd, 0.0, 1.0]);
            grown(&[odd, odd, odd]);
        }
        assert_eq!((grown(&[]), grown(&[7.0])), (Some((0.0, 0.0)), Some((7.0, 0.0))));
    }

    #[test]
    fn an_axis_of_any_length_takes_no_memory() {
        let long = AxisValues::counted(usize::MAX);
        assert_eq!((long.clone(), long.len()), (long.clone(), usize::MAX));
        assert_eq!((long.bytes(), long.last()), (0, Some(usize::MAX as f64 - 1.0)));
        assert_eq!(AxisValues::counted(0).last(), None);
    }
}

//! Spectra as they are decomposed: as they are, without their mean, or scaled as counts.

use std::borrow::Cow;
use std::sync::Arc;

use pixelmill_core::process::Failure;

use crate::products::add_scaled;
use crate::whole_spectra::square;

/// How spectra are changed before anything else.
#[derive(Clone)]
pub enum Scale {
    Nothing,
    /// This mean is taken from them.
    Mean(Arc<Vec<f64>>),
    /// They are counts: the square root of the sum of each point.
    Counts(Arc<Vec<f64>>),
}

/// Some spectra as they are decomposed.
pub struct Scaled<'r> {
    pub rows: Cow<'r, [&'r [f64]]>,
    /// The sum of the squares of all their values.
    pub energy: f64,
    /// What results of each have to be multiplied by.
    pub roots: Vec<f64>,
}

impl Scale {
    pub fn values(&self) -> &[f64] {
        match self {
            Self::Nothing => &[],
            Self::Mean(values) | Self::Counts(values) => values,
        }
    }

    /// What a part of the spectra, as they are decomposed, is of the spectra as they are.
    pub fn undo(&self, part: &mut [f64]) {
        if let Self::Counts(roots) = self {
            part.iter_mut().zip(roots.iter()).for_each(|(value, root)| *value *= root);
        }
    }

    /// Changes some spectra, with memory for those that aren't as they are; nothing if any of them
    /// fails: its unit is folded once more without it. Negative values are refused for a reason,
    /// if there is one.
    pub fn applied<'r>(
        &self,
        rows: &'r [&'r [f64]],
        reason: Option<&str>,
        scaled: &'r mut Vec<f64>,
        mut fail: impl FnMut(usize, Failure),
    ) -> Option<Scaled<'r>> {
        let (mut energy, mut roots, mut has_failed) = (0.0, Vec::with_capacity(rows.len()), false);
        scaled.clear();
        for (index, row) in rows.iter().enumerate() {
            match self.append(row, reason, scaled) {
                Ok((square, root)) => {
                    energy += square;
                    roots.push(root);
                }
                Err(why) => {
                    has_failed = true;
                    fail(index, why);
                }
            }
        }
        if has_failed {
            return None;
        }
        let rows = match self {
            Self::Nothing => Cow::Borrowed(rows),
            _ => scaled.chunks_exact(scaled.len() / rows.len()).collect(),
        };
        Some(Scaled { rows, energy, roots })
    }

    /// Appends a spectrum as it is decomposed, if that isn't as it is: the sum of its squares, and
    /// what its results have to be multiplied by.
    fn append(
        &self,
        row: &[f64],
        reason: Option<&str>,
        scaled: &mut Vec<f64>,
    ) -> Result<(f64, f64), Failure> {
        if let Some(reason) = reason
            && let Some(at) = row.iter().position(|value| *value < 0.0)
        {
            return Err(Failure::new(format!("value {at} is {}, and {reason}", row[at])));
        }
        let begin = scaled.len();
        match self {
            Self::Nothing => Ok((square(row)?, 1.0)),
            Self::Mean(mean) => {
                scaled.extend_from_slice(row);
                add_scaled(&mut scaled[begin..], -1.0, mean);
                Ok((square(&scaled[begin..])?, 1.0))
            }
            Self::Counts(roots) => {
                square(row)?;
                let root = row.iter().sum::<f64>().sqrt();
                let each = row.iter().zip(roots.iter()).map(|(value, of_point)| {
                    let by = root * of_point;
                    if by > 0.0 { value / by } else { 0.0 }
                });
                scaled.extend(each);
                Ok((square(&scaled[begin..])?, root))
            }
        }
    }
}

/// Why counts below nothing are refused.
pub const COUNTS: &str = "counts aren't negative";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_divided_by_the_roots_of_their_sums_and_back() {
        let rows = [[1.0, 3.0, 0.0], [8.0, 1.0, 0.0]];
        let rows: Vec<&[f64]> = rows.iter().map(<[f64; 3]>::as_slice).collect();
        let scale = Scale::Counts(Arc::new(vec![3.0, 2.0, 0.0]));
        let mut memory = Vec::new();
        let scaled = scale.applied(&rows, Some(COUNTS), &mut memory, |_, _| {}).unwrap();
        assert_eq!(scaled.roots, [2.0, 3.0]);
        assert_eq!(scaled.rows[0], [1.0 / 6.0, 0.75, 0.0]);
        assert_eq!(scaled.rows[1], [8.0 / 9.0, 1.0 / 6.0, 0.0]);
        let mut back = scaled.rows[1].to_vec();
        scale.undo(&mut back);
        assert!(back.iter().zip(rows[1]).all(|(back, own)| (3.0 * back - own).abs() < 1e-15));
    }

    #[test]
    fn negative_values_are_refused_for_a_reason() {
        let (rows, mut memory) = ([[1.0, -2.0].as_slice(), &[1.0, 2.0]], Vec::new());
        let mut told = Vec::new();
        let mut fail = |index, why: Failure| told.push((index, why.to_string()));
        assert!(Scale::Nothing.applied(&rows, Some(COUNTS), &mut memory, &mut fail).is_none());
        assert_eq!(told, [(0, "value 1 is -2, and counts aren't negative".to_owned())]);
        let scaled = Scale::Nothing.applied(&rows, None, &mut memory, |_, _| {}).unwrap();
        assert_eq!((scaled.energy, scaled.rows.len()), (10.0, 2));
    }
}

//! Sums of the points of a spectrum by weights, many at a time: what virtual detectors and centres
//! of mass are made of.
//!
//! Each sum is Σ w·v in double precision, point after point of a tile. A point without weight
//! doesn't count, whatever its value is, also if that is no number.

use std::ops::Range;

use multiversion::multiversion;
use multiversion::target::selected_target;
use pixelmill_core::ndarray::ArrayView2;
use pixelmill_core::process::Failure;

use crate::whole_spectra;

/// Sums that are computed together at most.
const MOST: usize = 12;
/// Weights of all sums at most: 4 GiB.
const MOST_WEIGHTS: usize = 1 << 29;
/// Points that are left out together if none of them has a weight.
const BLOCK: usize = 32;

/// Weights of all points for several sums.
pub struct Weights {
    sums: usize,
    groups: Vec<Group>,
    /// Whether any point of a block has a weight.
    used: Vec<bool>,
}

/// Weights for some of the sums.
struct Group {
    /// The first of them, and for how many there is room: 4, 8 or 12.
    first: usize,
    lanes: usize,
    /// For each point one weight for each of them.
    values: Vec<f64>,
}

impl Weights {
    /// So many sums over so many points; `row` gives the weights of all points for a sum. No more
    /// than some of them are in memory besides.
    ///
    /// # Errors
    /// If a sum has no weight at all, if there are too many for any memory, and those of `row`.
    pub fn new(
        (sums, points): (usize, usize),
        mut row: impl FnMut(usize) -> Result<Vec<f64>, Failure>,
    ) -> Result<Self, Failure> {
        Self::of_some((sums, points), |number| {
            let row = row(number)?;
            if row.iter().any(|weight| *weight != 0.0) {
                return Ok(row);
            }
            Err(Failure::new(format!(
                "detector number {number} of {sums} has no point of the spectrum in it; give \
                 another radius, centre or number of detectors"
            )))
        })
    }

    /// The same, also if a sum has no weight.
    ///
    /// # Errors
    /// If there are too many, and those of `row`.
    pub fn of_some(
        (sums, points): (usize, usize),
        mut row: impl FnMut(usize) -> Result<Vec<f64>, Failure>,
    ) -> Result<Self, Failure> {
        if sums.saturating_mul(points) > MOST_WEIGHTS {
            let told = format!("{sums} detectors of {points} points each are too many");
            return Err(Failure::new(told));
        }
        let mut used = vec![false; points.div_ceil(BLOCK)];
        let mut groups = Vec::new();
        let mut first = 0;
        while first < sums {
            let lanes = (sums - first).next_multiple_of(4).min(MOST);
            let mut values = vec![0.0; points * lanes];
            for number in first..sums.min(first + lanes) {
                let row = row(number)?;
                for (point, weight) in row.iter().enumerate().filter(|(_, weight)| **weight != 0.0)
                {
                    values[point * lanes + number - first] = *weight;
                    used[point / BLOCK] = true;
                }
            }
            groups.push(Group { first, lanes, values });
            first += lanes;
        }
        Ok(Self { sums, groups, used })
    }

    /// Bytes of memory that they take.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(|group| size_of_val(&*group.values)).sum()
    }

    /// How many sums there are.
    pub fn len(&self) -> usize {
        self.sums
    }

    /// For each point whether it has a weight for sum number `number`.
    pub fn counting(&self, number: usize) -> Vec<bool> {
        let holds = |group: &&Group| (group.first..group.first + group.lanes).contains(&number);
        let group = self.groups.iter().find(holds);
        let weights = |group: &Group| {
            let own = group.values.iter().skip(number - group.first).step_by(group.lanes);
            own.map(|weight| *weight != 0.0).collect()
        };
        group.map_or(Vec::new(), weights)
    }

    /// Adds the values of some points to the sums of each row: `stretches` says which points the
    /// columns are.
    pub fn add(
        &self,
        rows: ArrayView2<'_, f64>,
        stretches: impl Iterator<Item = Range<usize>>,
        sums: &mut [f64],
    ) {
        self.add_rows(&whole_spectra::rows(&rows), stretches, sums);
    }

    /// The same of rows that lie anywhere.
    pub fn add_rows(
        &self,
        rows: &[&[f64]],
        stretches: impl Iterator<Item = Range<usize>>,
        sums: &mut [f64],
    ) {
        let pieces = self.pieces(stretches);
        self.groups.iter().for_each(|group| group.add(rows, &pieces, sums, self.sums));
    }

    /// Adds to the sums of one spectrum some values, each with the weights of the point `behind`
    /// steps before it on a line of the spectrum.
    pub fn add_line(&self, values: &[f64], point: usize, sums: &mut [f64]) {
        let piece = [(0..values.len(), point)];
        self.groups.iter().for_each(|group| group.add(&[values], &piece, sums, self.sums));
    }

    /// Columns with weights, and the first of the points that they are.
    fn pieces(&self, stretches: impl Iterator<Item = Range<usize>>) -> Vec<(Range<usize>, usize)> {
        let mut pieces: Vec<(Range<usize>, usize)> = Vec::new();
        let mut column = 0;
        for stretch in stretches {
            let mut point = stretch.start;
            while point < stretch.end {
                let end = stretch.end.min((point / BLOCK + 1) * BLOCK);
                let columns = column..column + (end - point);
                if self.used[point / BLOCK] {
                    match pieces.last_mut() {
                        Some((last, first))
                            if last.end == columns.start && *first + last.len() == point =>
                        {
                            last.end = columns.end;
                        }
                        _ => pieces.push((columns.clone(), point)),
                    }
                }
                (column, point) = (columns.end, end);
            }
        }
        pieces
    }
}

impl Group {
    /// Adds the pieces of some rows to the sums of these, of which each has `all`.
    fn add(&self, rows: &[&[f64]], pieces: &[(Range<usize>, usize)], sums: &mut [f64], all: usize) {
        match self.lanes {
            4 => self.add_lanes::<4>(rows, pieces, sums, all),
            8 => self.add_lanes::<8>(rows, pieces, sums, all),
            _ => self.add_lanes::<MOST>(rows, pieces, sums, all),
        }
    }

    /// The same of so many lanes: eight rows together, four of the rest, and what is left.
    fn add_lanes<const LANES: usize>(
        &self,
        rows: &[&[f64]],
        pieces: &[(Range<usize>, usize)],
        sums: &mut [f64],
        all: usize,
    ) {
        let (of_eights, rest) = rows.as_chunks::<8>();
        let (of_fours, of_ones) = rest.as_chunks::<4>();
        let (eights, rest) = sums.split_at_mut(8 * all * of_eights.len());
        let (fours, ones) = rest.split_at_mut(4 * all * of_fours.len());
        for (rows, sums) in of_eights.iter().zip(eights.chunks_exact_mut(8 * all)) {
            self.add_some::<LANES, 8>(rows, pieces, sums, all);
        }
        for (rows, sums) in of_fours.iter().zip(fours.chunks_exact_mut(4 * all)) {
            self.add_some::<LANES, 4>(rows, pieces, sums, all);
        }
        for (row, sums) in of_ones.iter().zip(ones.chunks_exact_mut(all)) {
            self.add_some::<LANES, 1>(&[*row], pieces, sums, all);
        }
    }

    fn add_some<const LANES: usize, const ROWS: usize>(
        &self,
        rows: &[&[f64]; ROWS],
        pieces: &[(Range<usize>, usize)],
        sums: &mut [f64],
        all: usize,
    ) {
        let mut found = [[0.0; LANES]; ROWS];
        for (columns, point) in pieces {
            let weights = &self.values[point * LANES..][..columns.len() * LANES];
            let rows = rows.map(|row| &row[columns.clone()]);
            add_rows(rows, weights.as_chunks().0, &mut found);
        }
        self.put(rows, &found, pieces, (sums, all));
    }

    /// Adds what was summed of some rows to their sums. What isn't finite makes no number of every
    /// sum of its row, also where it has no weight: such a row is summed once more without it.
    fn put<const LANES: usize>(
        &self,
        rows: &[&[f64]],
        found: &[[f64; LANES]],
        pieces: &[(Range<usize>, usize)],
        (sums, all): (&mut [f64], usize),
    ) {
        for ((row, found), sums) in rows.iter().zip(found).zip(sums.chunks_mut(all)) {
            let own = if found.iter().all(|sum| sum.is_finite()) {
                *found
            } else {
                self.with_weight::<LANES>(row, pieces)
            };
            sums[self.first..].iter_mut().zip(&own).for_each(|(sum, more)| *sum += more);
        }
    }

    /// The sums of a row, of the points alone that have a weight in each.
    fn with_weight<const LANES: usize>(
        &self,
        row: &[f64],
        pieces: &[(Range<usize>, usize)],
    ) -> [f64; LANES] {
        let mut sums = [0.0; LANES];
        for (columns, point) in pieces {
            let weights = &self.values[point * LANES..][..columns.len() * LANES];
            for (value, weights) in row[columns.clone()].iter().zip(weights.chunks(LANES)) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = if *weight == 0.0 { *sum } else { value.mul_add(*weight, *sum) };
                }
            }
        }
        sums
    }
}

/// Adds to the sums of rows their values, each with the weights of its point. Fused, so that it is
/// twice as fast; and everywhere, so that sums have the same bits.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_rows<const LANES: usize, const ROWS: usize>(
    rows: [&[f64]; ROWS],
    weights: &[[f64; LANES]],
    sums: &mut [[f64; LANES]; ROWS],
) {
    const REGISTERS: usize =
        if selected_target!().supports_feature_str("avx512f") { 32 } else { 16 };
    // As many rows together as there are registers for their sums, which have 4 lanes at least.
    if ROWS * LANES / 4 < REGISTERS {
        return add_products(rows, weights, sums);
    }
    let (rows, sums) = (rows.as_chunks::<4>().0, sums.as_chunks_mut::<4>().0);
    for (rows, sums) in rows.iter().zip(sums) {
        add_products(*rows, weights, sums);
    }
}

#[inline(always)]
fn add_products<const LANES: usize, const ROWS: usize>(
    rows: [&[f64]; ROWS],
    weights: &[[f64; LANES]],
    sums: &mut [[f64; LANES]; ROWS],
) {
    let mut found = *sums;
    let rows = rows.map(|row| &row[..weights.len()]);
    for (point, weights) in weights.iter().enumerate() {
        for (row, found) in rows.iter().zip(&mut found) {
            let value = row[point];
            for (sum, weight) in found.iter_mut().zip(weights) {
                *sum = value.mul_add(*weight, *sum);
            }
        }
    }
    *sums = found;
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::ndarray::Array2;

    #[test]
    fn sums_are_those_of_each_weight_by_itself() {
        for (count, points, rows) in [(1, 1, 1), (3, 100, 5), (12, 70, 9), (29, 333, 8)] {
            let weight = |sum: usize, point: usize| {
                if (point / 7 + sum).is_multiple_of(5) {
                    0.0
                } else {
                    ((sum * 31 + point) % 11) as f64 - 4.5
                }
            };
            let row = |sum| Ok((0..points).map(|point| weight(sum, point)).collect());
            let Ok(weights) = Weights::new((count, points), row) else { continue };
            let mut values =
                Array2::from_shape_fn((rows, points), |(row, point)| (row * 13 + point) as f64);
            for is_none in [false, true] {
                if is_none {
                    values[[rows - 1, points / 2]] = f64::NAN;
                }
                let stretches = [0..points / 3, points / 3..points];
                let mut sums = vec![0.0; rows * count];
                weights.add(values.view(), stretches.into_iter(), &mut sums);
                for row in 0..rows {
                    for sum in 0..count {
                        let expected: f64 = (0..points)
                            .filter(|point| weight(sum, *point) != 0.0)
                            .map(|point| values[[row, point]] * weight(sum, point))
                            .sum();
                        let found = sums[row * count + sum];
                        assert!(found == expected || found.is_nan() && expected.is_nan());
                    }
                }
            }
        }
        assert!(Weights::new((2, 2), |sum| Ok(vec![1.0 - sum as f64, 0.0])).is_err());
    }
}

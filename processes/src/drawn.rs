//! Spectra that are drawn by chance from all of a scan: the same ones however it is cut.

use crate::chance::mixed;

/// What the spectrum of a position is drawn by: those with the smallest are. No two positions have
/// the same.
pub fn key(seed: u64, position: u64) -> u64 {
    // No key is that of nothing.
    mixed(mixed(position) ^ mixed(seed)).min(u64::MAX - 1)
}

/// Spectra that were drawn, each with its key; where nothing is yet the largest number.
pub struct Drawn<'p> {
    keys: &'p mut [u64],
    rows: &'p mut [f64],
    points: usize,
}

impl<'p> Drawn<'p> {
    /// What there is of them, of so many points each.
    pub fn of((keys, rows): (&'p mut [u64], &'p mut [f64]), points: usize) -> Self {
        Self { keys, rows, points }
    }

    /// Takes a spectrum if its key is among the smallest.
    pub fn offer(&mut self, key: u64, row: &[f64]) {
        let largest = self.keys.iter().enumerate().max_by_key(|(_, key)| **key);
        if let Some((at, _)) = largest.filter(|(_, largest)| key < **largest) {
            self.keys[at] = key;
            self.rows[at * self.points..][..self.points].copy_from_slice(row);
        }
    }

    /// The same of all that others have drawn.
    pub fn offer_all(&mut self, (keys, rows): (&mut [u64], &mut [f64])) {
        for (key, row) in keys.iter().zip(rows.chunks_exact(self.points)) {
            self.offer(*key, row);
        }
    }

    /// Those that there are, in the order of their keys.
    pub fn rows(&self) -> Vec<&[f64]> {
        let rows = self.keys.iter().zip(self.rows.chunks_exact(self.points));
        let mut drawn: Vec<(&u64, &[f64])> = rows.filter(|(key, _)| **key < u64::MAX).collect();
        drawn.sort_by_key(|(key, _)| **key);
        drawn.into_iter().map(|(_, row)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_are_drawn_in_any_order() {
        let row = |at: u64| [at as f64];
        let drawn = |order: &[u64]| {
            let (mut keys, mut values) = (vec![u64::MAX; 5], vec![0.0; 5]);
            let mut drawn = Drawn::of((&mut keys, &mut values), 1);
            order.iter().for_each(|at| drawn.offer(key(1, *at), &row(*at)));
            let mut found: Vec<(u64, u64)> =
                keys.into_iter().zip(values).map(|(key, value)| (key, value as u64)).collect();
            found.sort_unstable();
            found
        };
        let forth: Vec<u64> = (0..100).collect();
        let back: Vec<u64> = (0..100).rev().collect();
        assert_eq!(drawn(&forth), drawn(&back));
        assert!(drawn(&forth).iter().any(|(_, at)| *at > 10), "not just the first ones");
    }
}

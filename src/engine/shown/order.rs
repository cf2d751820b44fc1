//! In which order the positions of a map are read that is to be seen soon: first some that lie
//! evenly over it, in steps that become ever shorter, then all others as they are stored.

/// Bytes that are read, or decoded, for the first ones at most: about half a second.
const MOST_BYTES: u64 = 256 << 20;
/// How many lie evenly over the map at most, and how many at least to begin with, where there are
/// so many.
const MOST: u64 = 4096;
const LEAST: u64 = 64;

/// In which order cells are read.
pub(super) struct Order {
    /// Positions on the axes of the map.
    shape: [u64; 2],
    /// The first one.
    first: u64,
    /// Steps between those that lie evenly over it, the longest first.
    steps: Vec<u64>,
    /// How many of these are behind us, and which of the positions with the one after them is
    /// next.
    behind: usize,
    next: u64,
    /// The cell that is next of all others, and how many cells there are.
    rest: u64,
    cells: u64,
    /// A bit for each cell: whether it was read.
    read: Vec<u64>,
}

impl Order {
    /// That of so many cells, each of so many bytes, of the map that begins with a position and has
    /// this shape.
    pub fn new((cells, bytes): (u64, u64), first: u64, shape: [u64; 2]) -> Self {
        let evenly =
            |steps: u64| shape.map(|length| length.div_ceil(steps)).iter().product::<u64>();
        let is_cheap = |steps: u64| {
            let read = evenly(steps).min(cells);
            evenly(steps) <= MOST && read.saturating_mul(bytes) <= MOST_BYTES
        };
        let all = || std::iter::successors(Some(1u64), |steps| steps.checked_mul(2));
        let end = shape[0].max(shape[1]).next_power_of_two();
        let finest = all().find(|steps| is_cheap(*steps) || *steps >= end).unwrap_or(end);
        let coarsest = all().find(|steps| evenly(*steps) <= LEAST).unwrap_or(end).max(finest);
        let steps = all().skip_while(|steps| *steps < finest);
        let mut steps: Vec<u64> = steps.take_while(|steps| *steps <= coarsest).collect();
        steps.reverse();
        let read = vec![0; cells.div_ceil(64) as usize];
        Self { shape, first, steps, behind: 0, next: 0, rest: 0, cells, read }
    }

    /// The cells that are to be read next, so many at most; none if all are read. `holding` tells
    /// which one holds a position.
    pub fn take(&mut self, most: usize, holding: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(cell) = self.next(&holding)
        {
            self.read[(cell / 64) as usize] |= 1 << (cell % 64);
            taken.push(cell);
        }
        taken
    }

    /// Takes cells back that couldn't be read.
    pub fn give_back(&mut self, cells: &[u64]) {
        for cell in cells {
            self.read[(cell / 64) as usize] &= !(1 << (cell % 64));
            self.rest = self.rest.min(*cell);
        }
    }

    fn next(&mut self, holding: impl Fn(u64) -> u64) -> Option<u64> {
        while let Some(steps) = self.steps.get(self.behind) {
            let [rows, columns] = self.shape.map(|length| length.div_ceil(*steps));
            while self.next < rows * columns {
                let (row, column) = (self.next / columns * steps, self.next % columns * steps);
                self.next += 1;
                let cell = holding(self.first + row * self.shape[1] + column);
                if !self.is_read(cell) {
                    return Some(cell);
                }
            }
            (self.behind, self.next) = (self.behind + 1, 0);
        }
        while self.rest < self.cells && self.is_read(self.rest) {
            self.rest += 1;
        }
        Some(self.rest).filter(|cell| *cell < self.cells)
    }

    fn is_read(&self, cell: u64) -> bool {
        self.read[(cell / 64) as usize] >> (cell % 64) & 1 == 1
    }

    /// Those that lie evenly over the map and are the nearest to a position of it, the nearest
    /// first; they may not have been read yet.
    pub fn near(&self, [row, column]: [u64; 2]) -> impl Iterator<Item = u64> {
        let behind = self.steps.iter().take(self.behind + 1).rev();
        behind.map(move |steps| {
            let near = |at: u64, length: u64| {
                let next = (at + steps / 2) / steps * steps;
                if next < length { next } else { at / steps * steps }
            };
            let [row, column] = [near(row, self.shape[0]), near(column, self.shape[1])];
            self.first + row * self.shape[1] + column
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All cells in their order, `per_cell` positions each.
    fn all(shape: [u64; 2], per_cell: u64, bytes: u64) -> Vec<u64> {
        let cells = (shape[0] * shape[1]).div_ceil(per_cell);
        let mut order = Order::new((cells, bytes), 100, shape);
        let holding = |position: u64| (position - 100) / per_cell;
        let mut all = Vec::new();
        while let [first, others @ ..] = order.take(3, holding).as_slice() {
            all.push(*first);
            order.give_back(others);
            if all.len() % 2 == 0 {
                all.extend(order.take(1, holding));
            }
        }
        all
    }

    #[test]
    fn every_cell_is_read_once_and_the_first_ones_lie_evenly() {
        for (shape, per_cell, bytes) in [
            ([40, 30], 1, 4096),
            ([40, 30], 7, 4096),
            ([1, 1000], 3, 1 << 20),
            ([1000, 3], 100, 1 << 25),
            ([300, 200], 1, 1 << 40),
            ([1, 1], 1, 1),
        ] {
            let mut found = all(shape, per_cell, bytes);
            let count = found.len() as u64;
            found.sort_unstable();
            assert!(found.into_iter().eq(0..count), "{shape:?} {per_cell}");
            assert_eq!(count, (shape[0] * shape[1]).div_ceil(per_cell));
        }
        let mut order = Order::new((1200, 4096), 100, [40, 30]);
        let first = [0, 8, 16, 24, 240, 248, 256, 264, 480, 488];
        assert_eq!(order.take(10, |position| position - 100), first);
        // One cell is dear enough: then the others as they are stored.
        let mut order = Order::new((1200, 1 << 30), 100, [40, 30]);
        assert_eq!(order.take(4, |position| position - 100), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_nearest_comes_first() {
        let mut order = Order::new((1200, 4096), 100, [40, 30]);
        let holding = |position| position - 100;
        let near = |order: &Order| order.near([21, 28]).collect::<Vec<_>>();
        assert_eq!(near(&order), [100 + 24 * 30 + 24]);
        order.take(30, holding);
        assert_eq!(near(&order), [100 + 20 * 30 + 28, 100 + 24 * 30 + 24]);
    }
}

//! The median of the values that some spectra have in each channel.
//!
//! Few spectra go through a sorting network: the same exchanges for all channels, so that many are
//! done at once. It is Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2,
//! algorithm M) without what the median doesn't depend on; for nine spectra that of Smith (Xilinx
//! XCELL 23, 1996), which has fewer exchanges. Of many spectra each
//! channel's values are partitioned.

use pixelmill_core::process::Neighbours;

use super::number::Number;

/// Channels that are sorted at once.
const LANES: usize = 64;
/// More spectra than this are partitioned channel by channel.
const MOST_SORTED: usize = 49;

type Lanes<T> = [T; LANES];

/// Exchanges that bring the median of so many values to its place.
#[derive(Clone, Debug, Default)]
struct Network {
    exchanges: Vec<Exchange>,
}

/// Of two places, which keep what is needed: the lesser value at the first, the greater one at the
/// second.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    lesser: usize,
    greater: usize,
    keeps: Keeps,
}

#[derive(Clone, Copy, Debug)]
enum Keeps {
    Both,
    Lesser,
    Greater,
}

/// The place of the median among so many sorted values, as `scipy.ndimage` has it.
fn middle(count: usize) -> usize {
    count / 2
}

impl Network {
    fn new(count: usize) -> Self {
        let mut needed = vec![false; count];
        needed[middle(count)] = true;
        let mut exchanges = Vec::new();
        for (lesser, greater) in merge_exchange(count).into_iter().rev() {
            let keeps = match (needed[lesser], needed[greater]) {
                (true, true) => Keeps::Both,
                (true, false) => Keeps::Lesser,
                (false, true) => Keeps::Greater,
                (false, false) => continue,
            };
            (needed[lesser], needed[greater]) = (true, true);
            exchanges.push(Exchange { lesser, greater, keeps });
        }
        exchanges.reverse();
        Self { exchanges }
    }
}

/// The exchanges that sort so many values.
fn merge_exchange(count: usize) -> Vec<(usize, usize)> {
    let mut exchanges = Vec::new();
    let top = count.next_power_of_two() / 2;
    let mut stride = top;
    while stride > 0 {
        let (mut left, mut remainder, mut apart) = (top, 0, stride);
        loop {
            let starts = (0..count.saturating_sub(apart)).filter(|at| at & stride == remainder);
            exchanges.extend(starts.map(|at| (at, at + apart)));
            if left == stride {
                break;
            }
            (apart, remainder) = (left - stride, stride);
            left /= 2;
        }
        stride /= 2;
    }
    exchanges
}

/// Memory of a worker.
pub struct Medians<T> {
    /// By the number of values.
    networks: Vec<Option<Network>>,
    lanes: Vec<Lanes<T>>,
    values: Vec<T>,
}

impl<T> Default for Medians<T> {
    fn default() -> Self {
        Self { networks: Vec::new(), lanes: Vec::new(), values: Vec::new() }
    }
}

impl<T: Number> Medians<T> {
    /// Puts the median of each channel's values in the neighbours into `out`. What is no number
    /// doesn't count; where there is no number, the median is none either.
    pub fn find(&mut self, neighbours: Neighbours<'_, T>, out: &mut [T]) {
        let count = neighbours.iter().flatten().count();
        if count == 0 {
            return out.fill(T::NAN);
        }
        if count > MOST_SORTED {
            return self.partition(neighbours, 0, out);
        }
        if let Some(rows) = nine_rows(neighbours) {
            for (block, out) in out.chunks_mut(LANES).enumerate() {
                let begin = block * LANES;
                if !median_of_nine(rows.map(|row| &row[begin..begin + out.len()]), out) {
                    self.of_block(neighbours, (count, begin), out);
                }
            }
            return;
        }
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            self.of_block(neighbours, (count, block * LANES), out);
        }
    }

    fn of_block(
        &mut self,
        neighbours: Neighbours<'_, T>,
        (count, begin): (usize, usize),
        out: &mut [T],
    ) {
        self.lanes.resize(self.lanes.len().max(count), [T::NAN; LANES]);
        self.networks.resize(self.networks.len().max(count + 1), None);
        let mut are_numbers = true;
        for (lanes, spectrum) in self.lanes.iter_mut().zip(neighbours.iter().flatten()) {
            let values = &spectrum[begin..begin + out.len()];
            lanes[..values.len()].copy_from_slice(values);
            are_numbers &= !values.iter().any(|value| value.is_no_number());
        }
        if are_numbers {
            let network = self.networks[count].get_or_insert_with(|| Network::new(count));
            sort(network, &mut self.lanes[..count]);
            out.copy_from_slice(&self.lanes[middle(count)][..out.len()]);
        } else {
            self.partition(neighbours, begin, out);
        }
    }

    /// The same channel by channel, from channel `begin` on.
    fn partition(&mut self, neighbours: Neighbours<'_, T>, begin: usize, out: &mut [T]) {
        for (channel, out) in out.iter_mut().enumerate() {
            let values = neighbours.iter().flatten().map(|spectrum| spectrum[begin + channel]);
            self.values.clear();
            self.values.extend(values.filter(|value| !value.is_no_number()));
            *out = match self.values.len() {
                0 => T::NAN,
                count => *self.values.select_nth_unstable_by(middle(count), T::order).1,
            };
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sort<T: Number>(network: &Network, lanes: &mut [Lanes<T>]) {
    for Exchange { lesser, greater, keeps } in &network.exchanges {
        let (before, after) = lanes.split_at_mut(*greater);
        let (one, other) = (&mut before[*lesser], &mut after[0]);
        match keeps {
            Keeps::Both => exchange(one, other),
            Keeps::Lesser => {
                for (one, other) in one.iter_mut().zip(other) {
                    *one = if *one < *other { *one } else { *other };
                }
            }
            Keeps::Greater => {
                for (one, other) in one.iter_mut().zip(other) {
                    *other = if *one < *other { *other } else { *one };
                }
            }
        }
    }
}

/// The lesser of each pair to `one`, the greater to `other`. Both sides of a comparison, so that of
/// equal values none is lost.
#[inline(always)]
fn exchange<T: Number, const N: usize>(one: &mut [T; N], other: &mut [T; N]) {
    for (one, other) in one.iter_mut().zip(other) {
        let (a, b) = (*one, *other);
        *one = if a < b { a } else { b };
        *other = if a < b { b } else { a };
    }
}

/// The spectra, if there are nine.
fn nine_rows<T: Number>(neighbours: Neighbours<'_, T>) -> Option<[&[T]; 9]> {
    let mut rows = [[].as_slice(); 9];
    for (index, row) in rows.iter_mut().enumerate() {
        *row = neighbours.get(index)?;
    }
    (neighbours.len() == 9).then_some(rows)
}

/// The lesser and the greater of two values.
#[inline(always)]
fn sorted<T: Number>(a: T, b: T) -> (T, T) {
    (if a < b { a } else { b }, if a < b { b } else { a })
}

/// The median of nine values.
#[inline(always)]
fn middle_of_nine<T: Number>([a, b, c, d, e, f, g, h, i]: [T; 9]) -> T {
    // One by one and without a list of their places: only so are many channels done at once.
    let (b, c) = sorted(b, c);
    let (e, f) = sorted(e, f);
    let (h, i) = sorted(h, i);
    let (a, b) = sorted(a, b);
    let (d, e) = sorted(d, e);
    let (g, h) = sorted(g, h);
    let (b, c) = sorted(b, c);
    let (e, f) = sorted(e, f);
    let (h, i) = sorted(h, i);
    let (_, d) = sorted(a, d);
    let (f, _) = sorted(f, i);
    let (e, h) = sorted(e, h);
    let (_, g) = sorted(d, g);
    let (_, e) = sorted(b, e);
    let (c, _) = sorted(c, f);
    let (e, _) = sorted(e, h);
    let (e, c) = sorted(e, c);
    let (_, e) = sorted(g, e);
    sorted(e, c).0
}

/// The median of nine spectra, channel by channel; whether all their values are numbers.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn median_of_nine<T: Number>(rows: [&[T]; 9], out: &mut [T]) -> bool {
    let length = out.len();
    let [a, b, c, d, e, f, g, h, i] = rows;
    let (a, b, c) = (&a[..length], &b[..length], &c[..length]);
    let (d, e, f) = (&d[..length], &e[..length], &f[..length]);
    let (g, h, i) = (&g[..length], &h[..length], &i[..length]);
    let mut is_any_none = false;
    for at in 0..length {
        let values = [a[at], b[at], c[at], d[at], e[at], f[at], g[at], h[at], i[at]];
        out[at] = middle_of_nine(values);
        is_any_none |= values.iter().fold(false, |any, value| any | value.is_no_number());
    }
    !is_any_none
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medians<T: Number>(spectra: &[Vec<T>]) -> Vec<T> {
        let mut out = vec![T::ZERO; spectra[0].len()];
        let places: Vec<u32> = (0..spectra.len() as u32).collect();
        let joined = spectra.concat();
        Medians::default().find(Neighbours::new(&joined, out.len(), &places), &mut out);
        out
    }

    /// The exchanges work for all values if they do for zeros and ones.
    #[test]
    fn a_network_finds_the_median_of_any_values() {
        for count in 1..=12 {
            let mut spectra = vec![Vec::new(); count];
            for bits in 0..1usize << count {
                for (at, spectrum) in spectra.iter_mut().enumerate() {
                    spectrum.push((bits >> at & 1) as f64);
                }
            }
            for (bits, median) in medians(&spectra).into_iter().enumerate() {
                let is_one = bits.count_ones() as usize >= count - middle(count);
                assert_eq!(median, f64::from(u8::from(is_one)), "{count} {bits:b}");
            }
        }
        assert!(Network::new(9).exchanges.len() <= 24);
    }

    #[test]
    fn many_values_have_the_median_that_few_have() {
        let value = |at: usize| ((at * 7919) % 1009) as f32;
        for count in [9, MOST_SORTED, MOST_SORTED + 1, 121] {
            let spectra: Vec<Vec<f32>> =
                (0..count).map(|at| (0..70).map(|of| value(at * 70 + of)).collect()).collect();
            for (channel, median) in medians(&spectra).into_iter().enumerate() {
                let mut values: Vec<f32> = spectra.iter().map(|values| values[channel]).collect();
                values.sort_by(f32::total_cmp);
                assert_eq!(median, values[middle(count)]);
            }
        }
    }

    #[test]
    fn what_is_no_number_does_not_count() {
        let nan = f64::NAN;
        let spectra = [vec![1.0, nan, nan], vec![nan, nan, 5.0], vec![3.0, nan, 4.0]];
        let found = medians(&spectra);
        assert!(found[1].is_nan());
        assert_eq!([found[0], found[2]], [3.0, 5.0]);
        let mut nine: Vec<Vec<f64>> = (0..9).map(|at| vec![f64::from(at); 100]).collect();
        nine[8][70] = nan;
        let found = medians(&nine);
        assert!(found.iter().all(|median| *median == 4.0), "{found:?}");
        nine[0][70] = nan;
        nine[1][70] = nan;
        assert_eq!(medians(&nine)[69..72], [4.0, 5.0, 4.0]);
    }
}

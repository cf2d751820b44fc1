//! Values that are counted in bins, together or point by point.

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::ndarray::ArrayView2;
use pixelmill_core::process::{Dimension, Failure, SourceInfo};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Tile};
use pixelmill_core::{Element, ElementType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bins::{Bins, Sizes};
use crate::choices::one_of;

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// All values.
    Scan,
    /// Those of each point of a spectrum.
    Point,
    /// Those of each position.
    Position,
}

one_of!(Of: "scan", "point", "position");

/// Values counted in bins.
pub(crate) struct Counted {
    pub bins: Bins,
    counts: Counts,
    /// The smallest and the largest value, which bins don't tell unless each has but one.
    extremes: Option<(Buffer<f64>, Buffer<f64>)>,
    /// Whether infinite ones are counted.
    takes_infinite: bool,
    /// The type of the values in the file.
    stored: ElementType,
}

/// How many values are in each bin.
#[derive(Clone, Copy)]
enum Counts {
    OfScan(Buffer<u64>),
    /// No point has more values than there are positions.
    OfPoints(Buffer<u32>),
}

/// What is counted of them.
#[derive(Default)]
pub(crate) struct OfPlace {
    /// How many values are in each bin, and in all.
    pub counts: Vec<u64>,
    pub number: u64,
    /// The smallest and the largest value, where bins don't tell.
    pub extremes: Option<(f64, f64)>,
}

impl OfPlace {
    /// The bins of the values of some ranks, which ascend.
    pub fn bins_of<'r>(&'r self, ranks: &'r [u64]) -> impl Iterator<Item = usize> + 'r {
        let mut bins = self.counts.iter().enumerate();
        let (mut bin, mut before) = (0, 0);
        ranks.iter().map(move |rank| {
            while before <= *rank
                && let Some((next, count)) = bins.next()
            {
                (bin, before) = (next, before + count);
            }
            bin
        })
    }

    /// Finds the values of some ranks, which ascend.
    pub fn find(&self, bins: &Bins, ranks: &[u64], found: &mut Vec<f64>) {
        for (rank, bin) in ranks.iter().zip(self.bins_of(ranks)) {
            let value = bins.number(bin);
            found.push(match self.extremes {
                None => value,
                Some((least, _)) if *rank == 0 => least,
                Some((_, most)) if rank + 1 == self.number => most,
                Some((least, most)) => value.clamp(least, most),
            });
        }
    }
}

impl Counted {
    /// In which bins, and whether infinite values are counted too; of the scan or of each point.
    ///
    /// # Errors
    /// If there are too many positions.
    pub fn new(
        of: Of,
        (bins, takes_infinite): (Bins, bool),
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Self, Failure> {
        let axis = vec![Dimension::new("Bin", "", AxisValues::counted(bins.len()))];
        let counts = match of {
            Of::Scan => Counts::OfScan(buffers.single("Counted").along(axis).private()),
            _ if u32::try_from(source.positions).is_err() => {
                let told = "it can't count more than 2^32 positions for each point";
                return Err(Failure::new(told));
            }
            _ => Counts::OfPoints(buffers.per_point("Counted").along(axis).private()),
        };
        let mut extreme = |name: &str| match of {
            Of::Scan => buffers.single(name).private(),
            _ => buffers.per_point(name).private(),
        };
        let extremes = match bins {
            Bins::Integers { .. } => None,
            Bins::Sizes(_) => Some((extreme("Least"), extreme("Most"))),
        };
        Ok(Self { bins, counts, extremes, takes_infinite, stored: source.element })
    }

    /// Bytes of what is counted together.
    pub fn memory_of_place(&self) -> usize {
        8 * self.bins.len()
    }

    /// Begins with nothing counted.
    pub fn preprocess(&self, all: &mut Parts<'_>) {
        if let Some((least, most)) = self.extremes {
            all.get(least).fill(f64::INFINITY);
            all.get(most).fill(f64::NEG_INFINITY);
        }
    }

    /// Counts the values of a tile, and returns how many are left out: what is −∞, ∞, and no
    /// number.
    pub fn add(&self, tile: &mut Tile<'_, f64>, parts: &mut Parts<'_>) -> [u64; 3] {
        match self.counts {
            Counts::OfScan(counts) => self.add_to(counts, tile, parts),
            Counts::OfPoints(counts) => self.add_to(counts, tile, parts),
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&self, into: &mut Parts<'_>, from: &mut Parts<'_>) {
        match self.counts {
            Counts::OfScan(counts) => merge_counts(counts, into, from),
            Counts::OfPoints(counts) => merge_counts(counts, into, from),
        }
        if let Some((least, most)) = self.extremes {
            let pairs = into.get(least).iter_mut().zip(from.get(least));
            pairs.for_each(|(least, other)| *least = least.min(*other));
            let pairs = into.get(most).iter_mut().zip(from.get(most));
            pairs.for_each(|(most, other)| *most = most.max(*other));
        }
    }

    /// Takes what is counted of point number `place`, or of the scan.
    pub fn read(&self, place: usize, all: &mut Parts<'_>, of_place: &mut OfPlace) {
        let OfPlace { counts, number, extremes } = of_place;
        let bins = place * self.bins.len()..(place + 1) * self.bins.len();
        counts.clear();
        match self.counts {
            Counts::OfScan(buffer) => counts.extend_from_slice(&all.get(buffer)[bins]),
            Counts::OfPoints(buffer) => {
                counts.extend(all.get(buffer)[bins].iter().copied().map(u64::from));
            }
        }
        *number = counts.iter().sum();
        *extremes =
            self.extremes.map(|(least, most)| (all.get(least)[place], all.get(most)[place]));
    }

    /// How far it is from the bins of a point to those of the next: nowhere if all are counted
    /// together.
    fn step(&self) -> usize {
        match self.counts {
            Counts::OfScan(_) => 0,
            Counts::OfPoints(_) => 1,
        }
    }

    fn add_to<C: Element>(
        &self,
        counts: Buffer<C>,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
    ) -> [u64; 3] {
        macro_rules! integers {
            ($least:expr; $($name:ident $type:ty),+) => {
                match self.stored {
                    $(ElementType::$name => if let Some(values) = tile.stored_as::<$type>() {
                        self.add_integers($least, parts.get(counts), values);
                    },)+
                    _ => unreachable!("only integers of up to 16 bits have a bin each"),
                }
            };
        }
        match &self.bins {
            Bins::Integers { least, .. } => {
                integers!(*least; UInt8 u8, Int8 i8, UInt16 u16, Int16 i16);
                [0; 3]
            }
            Bins::Sizes(sizes) => self.add_numbers(sizes, counts, tile.values(), parts),
        }
    }

    fn add_integers<C: Element, S: Copy + Into<i32>>(
        &self,
        least: i32,
        counts: &mut [C],
        values: ArrayView2<'_, S>,
    ) {
        let (one, step) = (C::from_unsigned(1), self.step() * self.bins.len());
        for row in values.rows() {
            for (point, value) in row.iter().enumerate() {
                let bin = ((*value).into() - least) as usize;
                let count = &mut counts[point * step + bin];
                *count = *count + one;
            }
        }
    }

    fn add_numbers<C: Element>(
        &self,
        sizes: &Sizes,
        counts: Buffer<C>,
        values: ArrayView2<'_, f64>,
        parts: &mut Parts<'_>,
    ) -> [u64; 3] {
        let Some((least, most)) = self.extremes else { return [0; 3] };
        let (counts, least, most) = parts.of((counts, least, most));
        let (one, bins, step) = (C::from_unsigned(1), self.bins.len(), self.step());
        let mut left_out = [0; 3];
        for row in values.rows() {
            for (point, value) in row.iter().enumerate() {
                if !value.is_finite() && (value.is_nan() || !self.takes_infinite) {
                    left_out[which(*value)] += 1;
                    continue;
                }
                // Zeros are the same whatever their sign.
                let value = value + 0.0;
                let place = point * step;
                let count = &mut counts[place * bins + sizes.of(value)];
                *count = *count + one;
                least[place] = least[place].min(value);
                most[place] = most[place].max(value);
            }
        }
        left_out
    }
}

/// Whether a number is below all others, above them, or none.
pub(crate) fn which(number: f64) -> usize {
    if number.is_nan() { 2 } else { usize::from(number > 0.0) }
}

fn merge_counts<C: Element>(counts: Buffer<C>, into: &mut Parts<'_>, from: &mut Parts<'_>) {
    let pairs = into.get(counts).iter_mut().zip(from.get(counts));
    pairs.for_each(|(count, other)| *count = *count + *other);
}

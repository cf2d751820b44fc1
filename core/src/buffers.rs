//! The buffers of a reduction: declared once, then had by typed handles wherever it computes.
//!
//! Pure: bytes in memory, no files. What isn't per position lies in an accumulator, one of which
//! each unit has; what is per position is a result as a process has it.

use std::marker::PhantomData;
use std::ops::Range;

use crate::chunk_io::AlignedBytes;
use crate::column_layout::ColumnLayout;
use crate::dimension::Dimension;
use crate::element::Element;
use crate::source_info::SourceInfo;

/// What a buffer has a value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each position: results as a process has them, written when a unit is done.
    PerPosition,
    /// Each point of a spectrum.
    PerPoint,
    /// The whole scan.
    Single,
}

/// Who sees a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nobody: what is computed on the way.
    Private,
    /// It becomes a results dataset.
    Published,
    /// It is made of what is in, and becomes a results dataset; no unit has it.
    AtEnd,
    /// The same, which says for which positions others that are made at the end are valid.
    Mask,
}

/// What a buffer is.
#[derive(Clone, Debug)]
pub struct BufferLayout {
    /// What it has a value for.
    pub kind: Kind,
    /// Who sees it.
    pub role: Role,
    /// Its name, axes and element type. The axes are those of the dataset: of a buffer per point
    /// first those of a spectrum.
    pub column: ColumnLayout,
    /// Bytes that it has for each position, for each point, or once.
    pub each: usize,
    /// How many of these an accumulator holds: none if it is per position.
    pub count: usize,
    /// The number of the mask that says for which positions it is valid, if it has one.
    pub mask: Option<usize>,
    /// The passes in which units have it: all, unless it is [of some](Declaration::in_passes).
    pub passes: Range<u32>,
}

/// All passes that there may be.
pub(crate) const ALL_PASSES: Range<u32> = 0..u32::MAX;

impl BufferLayout {
    /// Whether units have it in their accumulators.
    pub fn is_folded(&self) -> bool {
        self.kind != Kind::PerPosition && !self.is_at_end()
    }

    /// Whether it is made of what is folded, so that no unit has it.
    pub fn is_at_end(&self) -> bool {
        matches!(self.role, Role::AtEnd | Role::Mask)
    }

    /// Whether it is a results dataset with something for each position.
    pub fn is_column(&self) -> bool {
        self.kind == Kind::PerPosition && self.role != Role::Private
    }

    /// Bytes that it takes in an accumulator that has it.
    pub fn bytes(&self) -> usize {
        self.each * self.count
    }

    /// Bytes that it takes in what a unit of a pass is folded into.
    pub fn bytes_in(&self, pass: u32) -> usize {
        if self.is_folded() && self.passes.contains(&pass) { self.bytes() } else { 0 }
    }

    /// Whether units have it wherever they should: only what is private and single may be of some
    /// passes.
    pub(crate) fn is_sound(&self) -> bool {
        let may_be_of_some = (self.kind, self.role) == (Kind::Single, Role::Private);
        self.passes == ALL_PASSES || may_be_of_some
    }
}

/// The handle of a buffer.
pub struct Buffer<T> {
    index: usize,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Buffer<T> {}

/// The buffers of a reduction, as its author declares them.
#[derive(Debug)]
pub struct Buffers {
    /// The axes of a spectrum.
    axes: Vec<Dimension>,
    points: usize,
    layouts: Vec<BufferLayout>,
}

impl Buffers {
    /// None yet, for this source.
    pub fn new(source: &SourceInfo) -> Self {
        let axes = match source.spectroscopic_dimensions.as_slice() {
            [] => vec![source.axis(0)],
            axes => axes.to_vec(),
        };
        Self { axes, points: source.spectral_points, layouts: Vec::new() }
    }

    /// One value, or one array, for each position.
    pub fn per_position(&mut self, name: impl Into<String>) -> Declaration<'_> {
        self.declare(Kind::PerPosition, name.into())
    }

    /// One value, or one array, for each point of a spectrum.
    pub fn per_point(&mut self, name: impl Into<String>) -> Declaration<'_> {
        self.declare(Kind::PerPoint, name.into())
    }

    /// One value, or one array, for the whole scan.
    pub fn single(&mut self, name: impl Into<String>) -> Declaration<'_> {
        self.declare(Kind::Single, name.into())
    }

    /// A mask of the positions for which results are valid that are made at the end, which becomes
    /// a results dataset. When [`finish`](crate::Reduction::finish) gets it, it has 1 for each
    /// position that is in, folded without failing, and 0 for all others. `finish` may put 0 where
    /// there is no valid result; where there was 0 it stays.
    pub fn mask(&mut self, name: impl Into<String>) -> Buffer<u8> {
        self.declare(Kind::PerPosition, name.into()).finish(Role::Mask, "Valid", "")
    }

    /// What was declared, in that order.
    pub fn into_layouts(self) -> Vec<BufferLayout> {
        self.layouts
    }

    fn declare(&mut self, kind: Kind, name: String) -> Declaration<'_> {
        Declaration { buffers: self, kind, name, axes: Vec::new(), mask: None, passes: ALL_PASSES }
    }
}

/// A buffer that still has to be told what it holds and who sees it.
#[must_use = "a buffer needs `private`, `published` or `at_end`"]
pub struct Declaration<'b> {
    buffers: &'b mut Buffers,
    kind: Kind,
    name: String,
    axes: Vec<Dimension>,
    mask: Option<usize>,
    passes: Range<u32>,
}

impl Declaration<'_> {
    /// Axes of its own, slowest first, behind those of a spectrum if it has a value for each point.
    pub fn along(self, axes: Vec<Dimension>) -> Self {
        Self { axes, ..self }
    }

    /// It has results only where a [mask](Buffers::mask) has 1 once `finish` is through with both:
    /// elsewhere it becomes NaN, or 0 if it holds integers. Without one, it has them for all
    /// positions that are in. For what is made at the end for each position.
    pub fn valid_in(self, mask: Buffer<u8>) -> Self {
        Self { mask: Some(mask.index), ..self }
    }

    /// Only units of these passes have it, counted from 0; in others it is empty, and takes neither
    /// memory nor time. For what is single and private.
    pub fn in_passes(self, passes: Range<u32>) -> Self {
        Self { passes, ..self }
    }

    /// It is seen by nobody.
    pub fn private<T: Element>(self) -> Buffer<T> {
        self.finish(Role::Private, "", "")
    }

    /// It becomes a results dataset, which holds this quantity in these units.
    pub fn published<T: Element>(self, quantity: &str, units: &str) -> Buffer<T> {
        self.finish(Role::Published, quantity, units)
    }

    /// It becomes a results dataset, and is made by `finish` alone.
    pub fn at_end<T: Element>(self, quantity: &str, units: &str) -> Buffer<T> {
        self.finish(Role::AtEnd, quantity, units)
    }

    fn finish<T: Element>(self, role: Role, quantity: &str, units: &str) -> Buffer<T> {
        let Self { buffers, kind, name, axes, mask, passes } = self;
        let values: usize = axes.iter().map(Dimension::len).product();
        let (axes, count) = match kind {
            Kind::PerPoint => ([buffers.axes.as_slice(), &axes].concat(), buffers.points),
            Kind::Single => (axes, 1),
            Kind::PerPosition => (axes, 0),
        };
        let mut column = ColumnLayout::new(name, quantity, units, Vec::new()).with::<T>(None);
        column.dimensions = axes;
        // What is folded is never missing as a whole, and may be large.
        if kind == Kind::PerPosition || role == Role::AtEnd {
            column.missing = column.missing.repeat(column.values_per_spectrum());
        }
        let each = values * size_of::<T>();
        let index = buffers.layouts.len();
        buffers.layouts.push(BufferLayout { kind, role, column, each, count, mask, passes });
        Buffer { index, element: PhantomData }
    }
}

/// What one unit, or several that were merged, have in the buffers that aren't per position.
#[derive(Debug, Default)]
pub struct Accumulator {
    /// One for each buffer; empty where it isn't folded.
    buffers: Vec<AlignedBytes>,
}

impl Accumulator {
    /// With zeros in what units of a pass have, counted from 0.
    pub fn clear(&mut self, layouts: &[BufferLayout], pass: u32) {
        self.buffers.resize_with(layouts.len(), AlignedBytes::default);
        for (bytes, layout) in self.buffers.iter_mut().zip(layouts) {
            bytes.resize(layout.bytes_in(pass));
            bytes.fill(0);
        }
    }

    /// Becomes a copy of the other.
    pub fn copy_from(&mut self, other: &Self) {
        self.buffers.resize_with(other.buffers.len(), AlignedBytes::default);
        for (bytes, other) in self.buffers.iter_mut().zip(&other.buffers) {
            bytes.resize(other.len());
            bytes.copy_from_slice(other);
        }
    }

    /// Gets room for the buffers that are made at the end, with nothing in them; for those per
    /// position, and the results per position that they are made from, if there are so many.
    pub fn with_ends(&mut self, layouts: &[BufferLayout], positions: usize) {
        for (bytes, layout) in self.buffers.iter_mut().zip(layouts) {
            let length = match (layout.kind, layout.role) {
                (Kind::PerPosition, Role::Published | Role::AtEnd | Role::Mask) => {
                    positions * layout.each
                }
                (Kind::PerPoint | Kind::Single, Role::AtEnd) => layout.column.missing.len(),
                _ => continue,
            };
            bytes.resize(length);
            layout.column.fill_missing(bytes);
        }
    }

    /// The bytes of all buffers, in the order of their declaration.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.buffers.iter().map(|bytes| &**bytes)
    }

    /// The same, to be written to.
    pub fn bytes_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.buffers.iter_mut().map(|bytes| &mut **bytes)
    }

    /// Everything that is in it.
    pub fn parts(&mut self) -> Parts<'_> {
        Parts::new(self.bytes_mut().collect())
    }
}

/// What of the buffers belongs to what is computed: to a tile, to a unit, or all of it.
pub struct Parts<'a> {
    slices: Vec<&'a mut [u8]>,
}

impl<'a> Parts<'a> {
    /// One slice for each buffer, in the order of their declaration.
    pub fn new(slices: Vec<&'a mut [u8]>) -> Self {
        Self { slices }
    }

    /// What there is of one buffer: value by value, those of its own axes side by side.
    ///
    /// # Panics
    /// If the handle is another reduction's.
    pub fn get<T: Element>(&mut self, buffer: Buffer<T>) -> &mut [T] {
        bytemuck::cast_slice_mut(self.slices[buffer.index])
    }

    /// What there is of several buffers at the same time: `let (sum, count) = parts.of((task.sum,
    /// task.count));`.
    ///
    /// # Panics
    /// If two handles are the same, or one is another reduction's.
    pub fn of<H: Handles>(&mut self, handles: H) -> H::Slices<'_> {
        handles.of(&mut self.slices)
    }

    /// The bytes of buffer number `index`, in the order of their declaration.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn bytes(&mut self, index: usize) -> &mut [u8] {
        self.slices[index]
    }

    /// The same with of each buffer per position only what position number `index` has.
    pub(crate) fn at_position(&mut self, index: usize, layouts: &[BufferLayout]) -> Parts<'_> {
        let slices = self.slices.iter_mut().zip(layouts).map(|(slice, layout)| {
            if layout.kind == Kind::PerPosition && !slice.is_empty() {
                &mut slice[index * layout.each..][..layout.each]
            } else {
                &mut **slice
            }
        });
        Parts { slices: slices.collect() }
    }
}

/// Handles of several buffers: a tuple of up to six.
pub trait Handles {
    /// What there is of each.
    type Slices<'p>;
    /// Takes them.
    fn of<'p>(self, slices: &'p mut [&mut [u8]]) -> Self::Slices<'p>;
}

macro_rules! handles {
    ($($name:ident $at:tt),+) => {
        impl<$($name: Element),+> Handles for ($(Buffer<$name>,)+) {
            type Slices<'p> = ($(&'p mut [$name],)+);

            fn of<'p>(self, slices: &'p mut [&mut [u8]]) -> Self::Slices<'p> {
                let found = slices.get_disjoint_mut([$(self.$at.index),+]);
                let found = found.expect("handles are different ones of the same reduction");
                let mut found = found.into_iter();
                ($({
                    let bytes: &'p mut &mut [u8] = found.next().expect("one for each handle");
                    bytemuck::cast_slice_mut::<u8, $name>(bytes)
                },)+)
            }
        }
    };
}

handles!(A 0);
handles!(A 0, B 1);
handles!(A 0, B 1, C 2);
handles!(A 0, B 1, C 2, D 3);
handles!(A 0, B 1, C 2, D 3, E 4);
handles!(A 0, B 1, C 2, D 3, E 4, F 5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::ElementType;

    fn buffers() -> Buffers {
        Buffers::new(&SourceInfo {
            path: String::new(),
            positions: 6,
            spectral_points: 5,
            element: ElementType::Float64,
            is_corrected: false,
            quantity: String::new(),
            units: String::new(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: Vec::new(),
            auxiliary: Vec::new(),
            constants: Vec::new(),
            selected: None,
        })
    }

    #[test]
    fn a_unit_has_the_buffers_of_its_pass_alone() {
        let mut buffers = buffers();
        let always = buffers.per_point("Always").private::<f64>();
        let first = buffers.single("First").in_passes(0..1).private::<u32>();
        let others = buffers.single("Others").in_passes(1..u32::MAX).private::<f64>();
        let layouts = buffers.into_layouts();
        assert!(layouts.iter().all(BufferLayout::is_sound));
        let mut all = Accumulator::default();
        for (pass, lengths) in [(0, [5, 1, 0]), (1, [5, 0, 1]), (0, [5, 1, 0]), (7, [5, 0, 1])] {
            all.clear(&layouts, pass);
            let mut parts = all.parts();
            let found = [always, others].map(|buffer| parts.get(buffer).len());
            assert_eq!([found[0], parts.get(first).len(), found[1]], lengths, "{pass}");
            // What is left of a pass before is gone.
            assert!(parts.get(always).iter().all(|value| *value == 0.0));
            parts.get(always).fill(3.0);
            parts.get(first).fill(4);
        }
    }

    #[test]
    fn only_what_is_single_and_private_is_of_some_passes() {
        let mut of_points = buffers();
        of_points.per_point("Sum").in_passes(1..2).private::<f64>();
        let mut of_results = buffers();
        of_results.single("Sum").in_passes(1..2).published::<f64>("", "");
        for buffers in [of_points, of_results] {
            assert!(!buffers.into_layouts()[0].is_sound());
        }
    }
}

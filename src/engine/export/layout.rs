//! How the values of a dataset lie, and what their axes are: those of the scan first.

use super::ExportRequest;
use super::find::holder;
use crate::formats;
use crate::position_grid::PositionGrid;
use crate::region;
use crate::source::{self, AskedAxes, Source};
use crate::storage::container::Dataset;
use crate::storage::file::ReadFile;
use crate::storage::results_group;
use crate::view::View;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;
use pixelmill_core::kernel::SpectrumAxes;

/// Bytes of a row at most, where it can be cut.
const ROW: u64 = 1 << 20;

/// How the values lie, and what their axes are.
pub(super) struct Layout {
    pub view: View,
    pub shape: Vec<usize>,
    pub axes: Vec<Dimension>,
    pub scan: usize,
    pub grid: Option<PositionGrid>,
}

impl Layout {
    pub fn of(
        file: &ReadFile,
        (path, dataset): (&str, &Dataset),
        field: Option<&str>,
        request: &ExportRequest,
    ) -> Result<Self> {
        let asked = AskedAxes { crop: None, along: None, usual: SpectrumAxes::Any };
        let axes = request.positions_axes.as_deref();
        match source::open(file, (Some(path), field), axes, ("export", &asked)) {
            Ok(source) => Self::of_scan(file, source),
            Err(error) if axes.is_some() => Err(error),
            // Nobody says which axes are positions; of results the group knows how many there are.
            Err(_) => {
                let axes = formats::results_axes(file, path, dataset)?;
                let shape = dataset.shape();
                let scan = scan_axes(file, path, &shape);
                Ok(Self { view: cut(&shape, dataset), shape, axes, scan, grid: None })
            }
        }
    }

    fn of_scan(file: &ReadFile, mut source: Source) -> Result<Self> {
        source.read_own_values(file)?;
        let view = source.rows.view().clone();
        let (mut shape, mut axes) = if view.positions.is_empty() {
            (Vec::new(), Vec::new())
        } else if source.grid.is_full() {
            (source.grid.shape(), source.info.position_dimensions.clone())
        } else {
            let rows = source.grid.rows();
            let counted = AxisValues::counted(rows);
            (vec![rows], vec![Dimension::new("position", "", counted)])
        };
        let scan = shape.len();
        let own = source.info.spectrum_shape(1);
        // A single value per position has its one step on no axis of its own.
        let is_plain = source.tables.is_some() || source.info.spectroscopic_dimensions.is_empty();
        if !(own == [1] && is_plain && scan > 0) {
            let dimensions = &source.info.spectroscopic_dimensions;
            let is_told = dimensions.iter().map(Dimension::len).eq(own.iter().copied());
            let counted = |length: &usize| Dimension::new("", "", AxisValues::counted(*length));
            axes.extend(if is_told {
                dimensions.clone()
            } else {
                own.iter().map(counted).collect()
            });
            shape.extend(own);
        }
        let stored: Vec<usize> = view.shape.iter().map(|length| *length as usize).collect();
        let view = if view.has_positions_first() {
            cut_at(&stored, source.stored.element.size())
        } else {
            view
        };
        let grid = (scan > 0).then_some(source.grid);
        Ok(Self { view, shape, axes, scan, grid })
    }
}

fn cut(shape: &[usize], dataset: &Dataset) -> View {
    cut_at(shape, dataset.element_bytes())
}

/// An array as rows that aren't too long.
fn cut_at(shape: &[usize], element: usize) -> View {
    let lengths = region::lengths(shape);
    let is_short = |axes: &usize| lengths[*axes..].iter().product::<u64>() * element as u64 <= ROW;
    let axes = (1..lengths.len()).find(is_short).unwrap_or(lengths.len());
    View::new(lengths, (0..axes).collect())
}

/// How many axes of a results dataset, the first ones, are positions.
fn scan_axes(file: &ReadFile, path: &str, shape: &[usize]) -> usize {
    let positions = || {
        let (group, name) = holder(file, path)?;
        let status = group.dataset(results_group::STATUS).ok()?;
        results_group::is_per_position(&group, &name).then_some(status.size())
    };
    let Some(positions) = positions() else { return 0 };
    let product = |axes: &usize| shape[..*axes].iter().product::<usize>() == positions;
    (1..=shape.len()).find(product).unwrap_or(0)
}

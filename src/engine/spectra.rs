//! A source that is open to be looked at: its spectra as a process would get them.

use std::ops::Range;

use num_complex::{Complex32, Complex64};
use serde_json::{Map, Value};

use super::Request;
use super::corrections;
use super::data::Data;
use super::inputs::InputOpener;
use super::job::open_source;
use super::target::results_file;
use crate::source::Source;
use crate::storage::file::{ReadFile, open_read};
use pixelmill_core::chunk_io::{AlignedBytes, ReadRows};
use pixelmill_core::corrections::Corrections;
use pixelmill_core::element::{Element, ElementType};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::Failure;
use pixelmill_core::kernel::{Input, Kernel, Prepared, RawUnit, SpectrumAxes, Wants};
use pixelmill_core::source_info::SourceInfo;

/// Bytes that are read at a time where they have to be converted.
const PIECE: usize = 64 << 20;

/// The spectra of a source, cropped and corrected as a request says. Its file is open for reading
/// as long as this is there, which keeps those out that change it.
pub struct Spectra {
    source: Source,
    corrections: Option<Corrections>,
    /// Lengths of the axes of one of the spectra, of which a position has `others`.
    spectrum_shape: Vec<usize>,
    others: usize,
    element: ElementType,
    _file: ReadFile,
}

impl Spectra {
    /// Opens the source that `request` names.
    ///
    /// # Errors
    /// If there is none, or it can't be seen as is asked for.
    pub fn open(request: &Request) -> Result<Self> {
        let file = open_read(&request.file)?;
        let source = open_source(&Look(ElementType::Float64), &file, request)?;
        let is_corrected = request.corrections != super::CorrectionPaths::default();
        let look = Look(shown_as(source.stored.element, is_corrected));
        let results = results_file(request, &source, look.name());
        // Nothing is identified by it.
        let data = Data::unseen();
        let mut inputs = InputOpener::new(&file, &results, (&look, request), &source, &data)?;
        let (spectrum, others) = source.info.along(source.seen.along);
        let spectrum_shape = spectrum.spectrum_shape(1);
        let opened = corrections::open(&mut inputs, (&look, request), &source, &spectrum_shape)?;
        inputs.finish()?;
        let corrections = opened.map(|opened| opened.corrections);
        Ok(Self { source, corrections, spectrum_shape, others, element: look.0, _file: file })
    }

    /// What it is.
    pub fn info(&self) -> &SourceInfo {
        &self.source.info
    }

    /// Lengths of the axes of the scan, slowest first; of a scan that is no full grid, the number
    /// of its positions.
    pub fn scan_shape(&self) -> Vec<usize> {
        let grid = &self.source.grid;
        if grid.is_full() { grid.shape() } else { vec![grid.rows()] }
    }

    /// Lengths of the axes of a position's values, slowest first.
    pub fn shape(&self) -> Vec<usize> {
        self.source.info.spectrum_shape(1)
    }

    /// The type of the values that are read: that of the file, unless nobody computes with it, or
    /// it has no room for corrections.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Bytes of the values of some positions.
    ///
    /// # Errors
    /// If there are no such positions.
    pub fn bytes(&self, positions: &[Range<u64>]) -> Result<usize> {
        let all = self.source.info.positions;
        if positions.iter().any(|run| run.start > run.end || run.end > all) {
            let axes = self.source.grid.described();
            return Err(Error::NoSuchPosition { positions: all, axes });
        }
        let count: u64 = positions.iter().map(|run| run.end - run.start).sum();
        Ok(count as usize * self.position_bytes())
    }

    fn position_bytes(&self) -> usize {
        self.source.info.spectral_points * self.element.size()
    }

    /// Reads some positions into `values`, which has as many bytes as they take.
    ///
    /// # Errors
    /// If there are no such positions, or they can't be read.
    pub fn read(&self, positions: &[Range<u64>], values: &mut [u8]) -> Result<()> {
        self.bytes(positions)?;
        let stored = self.source.stored;
        if self.corrections.is_none() && stored.element == self.element && !stored.swapped {
            return self.source.rows.read_into(positions, values);
        }
        let at_once = (PIECE / self.source.row_bytes()).max(1) as u64;
        let pieces = positions.iter().flat_map(|run| {
            let starts = (run.start..run.end).step_by(at_once as usize);
            starts.map(|start| start..run.end.min(start + at_once))
        });
        let mut rest = values;
        for piece in pieces {
            let bytes = (piece.end - piece.start) as usize * self.position_bytes();
            let (own, others) = rest.split_at_mut(bytes);
            self.read_piece(&piece, own)?;
            rest = others;
        }
        Ok(())
    }

    fn read_piece(&self, run: &Range<u64>, values: &mut [u8]) -> Result<()> {
        let count = (run.end - run.start) as usize;
        let mut rows = ReadRows::new(AlignedBytes::default(), count, self.source.row_bytes());
        self.source.rows.read_into(std::slice::from_ref(run), rows.bytes_mut())?;
        let positions: Vec<u64> = run.clone().collect();
        let unit = RawUnit {
            positions: &positions,
            rows: &rows,
            stored: self.source.stored,
            spectra_per_position: self.others,
            spectrum_length: self.source.info.spectral_points / self.others,
            spectrum_shape: &self.spectrum_shape,
            auxiliary: &[],
            corrections: self.corrections.as_ref(),
            axes: None,
            neighbours: None,
        };
        match self.element {
            ElementType::Int8 => copy::<i8>(&unit, values),
            ElementType::Int16 => copy::<i16>(&unit, values),
            ElementType::Int32 => copy::<i32>(&unit, values),
            ElementType::Int64 => copy::<i64>(&unit, values),
            ElementType::UInt8 => copy::<u8>(&unit, values),
            ElementType::UInt16 => copy::<u16>(&unit, values),
            ElementType::UInt32 => copy::<u32>(&unit, values),
            ElementType::UInt64 => copy::<u64>(&unit, values),
            ElementType::Float16 | ElementType::BFloat16 | ElementType::Float32 => {
                copy::<f32>(&unit, values);
            }
            ElementType::Float64 => copy::<f64>(&unit, values),
            ElementType::Complex64 => copy::<Complex32>(&unit, values),
            ElementType::Complex128 => copy::<Complex64>(&unit, values),
        }
        Ok(())
    }
}

fn copy<T: Element>(unit: &RawUnit<'_>, values: &mut [u8]) {
    let mut converted: Vec<T> = Vec::new();
    unit.copy(0..unit.len(), &mut converted);
    values.copy_from_slice(bytemuck::cast_slice(&converted));
}

/// The type that values are shown as which are stored as `stored`.
fn shown_as(stored: ElementType, is_corrected: bool) -> ElementType {
    match stored {
        ElementType::Float16 | ElementType::BFloat16 => ElementType::Float32,
        integer if is_corrected && integer.is_integer() => {
            let is_short = integer.converts_to(ElementType::Float32, false);
            if is_short { ElementType::Float32 } else { ElementType::Float64 }
        }
        other => other,
    }
}

/// Who looks, as the engine knows those that compute.
struct Look(ElementType);

impl Kernel for Look {
    fn name(&self) -> &str {
        "Look"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parameters(&self) -> &Map<String, Value> {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        &NONE
    }

    fn wants(&self) -> Wants {
        let input = Input::new(self.0);
        Wants { input, axes: SpectrumAxes::Any, most_per_unit: None }
    }

    fn prepare(&self, _source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure> {
        Err(Failure::new("it is only looked at"))
    }
}

//! Draws one value per position as a map in the terminal.
//!
//!     cargo run --release -p pixelmill-processes --example map -- FILE DATASET
//!
//! DATASET is a results dataset with one real value per position, such as `…/Peak_Response`. Two
//! rows of the scan become one line of half blocks, in 24-bit colour or else in the greys of 256
//! colours; with `NO_COLOR`, or where there is no terminal, the mean of two rows becomes a
//! character. Also a short example of reading results in Rust.

use std::env;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File, ObjectReference1, ReferencedObject};

/// Widest map in characters; a larger scan is thinned out.
const WIDTH: usize = 72;
/// Characters from the lowest to the highest value.
const CHARACTERS: &[u8] = b" .:-=+*#%@";
/// Matplotlib's colour map "viridis" at nine even steps.
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, dataset] = arguments.as_slice() else {
        eprintln!("usage: map FILE DATASET");
        return ExitCode::from(2);
    };
    match Map::read(file, dataset) {
        Ok(map) => {
            let drawn = map.thinned().drawn(Ink::of_terminal());
            match std::io::stdout().write_all(drawn.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("map: {dataset} of {file} can't be drawn: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Values on a rectangle; NaN where there is none.
struct Map {
    title: String,
    units: String,
    width: usize,
    values: Vec<f64>,
}

impl Map {
    fn read(file: &str, path: &str) -> hdf5::Result<Self> {
        let file = File::open(file)?;
        let dataset = file.dataset(path)?;
        let values: Vec<f64> = dataset.read_raw()?;
        let table = referenced(&dataset, "Position_Indices")?;
        let indices: Vec<usize> = table.read_raw()?;
        if table.shape() != [values.len(), 2] {
            return Err("it doesn't hold one value per position of a scan with two axes".into());
        }
        // The fast axis, which runs along a line of the map, is the one that changes first.
        let fast = usize::from(indices.len() < 4 || indices[1] != indices[3]);
        let step = |position: usize, axis: usize| indices[2 * position + axis];
        let length = |axis| (0..values.len()).map(|at| step(at, axis)).max().unwrap_or(0) + 1;
        let (width, height) = (length(fast), length(1 - fast));
        let mut map = vec![f64::NAN; width * height];
        for (position, value) in values.iter().enumerate() {
            map[step(position, 1 - fast) * width + step(position, fast)] = *value;
        }
        let title = format!(
            "{} ({})",
            path.rsplit('/').next().unwrap_or(path),
            text(&dataset, "quantity")?
        );
        Ok(Self { title, units: text(&dataset, "units")?, width, values: map })
    }

    /// Every n-th column and row, so that it fits the terminal.
    fn thinned(self) -> Self {
        let step = self.width.div_ceil(WIDTH);
        let rows = self.values.chunks(self.width).step_by(step);
        let values = rows.flat_map(|row| row.iter().step_by(step).copied()).collect();
        Self { width: self.width.div_ceil(step), values, ..self }
    }

    fn drawn(&self, ink: Ink) -> String {
        let computed = || self.values.iter().copied().filter(|value| !value.is_nan());
        let (lowest, highest) = (
            computed().fold(f64::INFINITY, f64::min),
            computed().fold(f64::NEG_INFINITY, f64::max),
        );
        let share = |value: f64| ((value - lowest) / (highest - lowest)).clamp(0.0, 1.0);
        let mut drawn = format!("{}\n", self.title);
        let rows: Vec<&[f64]> = self.values.chunks(self.width).collect();
        for pair in rows.chunks(2) {
            for column in 0..self.width {
                let lower = pair.get(1).map_or(f64::NAN, |row| row[column]);
                drawn.push_str(&ink.cell(share(pair[0][column]), share(lower)));
            }
            drawn.push_str(ink.line_end());
        }
        drawn.push_str(&format!("{} ", number(lowest)));
        (0..=24)
            .for_each(|at| drawn.push_str(&ink.cell(f64::from(at) / 24.0, f64::from(at) / 24.0)));
        drawn.push_str(ink.line_end().trim_end());
        drawn.push_str(&format!(" {} {}\n", number(highest), self.units));
        drawn
    }
}

fn number(value: f64) -> String {
    if (0.01..1e6).contains(&value.abs()) { format!("{value:.2}") } else { format!("{value:.3e}") }
}

fn referenced(dataset: &Dataset, attribute: &str) -> hdf5::Result<Dataset> {
    let reference: ObjectReference1 = dataset.attr(attribute)?.read_scalar()?;
    match dataset.dereference(&reference)? {
        ReferencedObject::Dataset(found) => Ok(found),
        _ => Err(format!("its attribute {attribute} refers to no dataset").into()),
    }
}

fn text(dataset: &Dataset, attribute: &str) -> hdf5::Result<String> {
    Ok(dataset.attr(attribute)?.read_scalar::<VarLenUnicode>()?.to_string())
}

/// What a map can be drawn with.
#[derive(Clone, Copy)]
enum Ink {
    TrueColour,
    Colours256,
    Characters,
}

impl Ink {
    fn of_terminal() -> Self {
        let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found.contains(value));
        let colourless = env::var("NO_COLOR").is_ok_and(|found| !found.is_empty());
        if colourless || !std::io::stdout().is_terminal() || is("TERM", "dumb") {
            Self::Characters
        } else if is("COLORTERM", "truecolor") || is("COLORTERM", "24bit") {
            Self::TrueColour
        } else {
            Self::Colours256
        }
    }

    /// One character for two values from 0 to 1, one above the other; NaN stays empty.
    fn cell(self, upper: f64, lower: f64) -> String {
        if let Self::Characters = self {
            let mean = if lower.is_nan() { upper } else { upper.midpoint(lower) };
            let at = (mean * CHARACTERS.len() as f64) as usize;
            return char::from(CHARACTERS[at.min(CHARACTERS.len() - 1)]).to_string();
        }
        let (foreground, background) = (self.colour(upper, 38, 39), self.colour(lower, 48, 49));
        let shape = if upper.is_nan() { ' ' } else { '▀' };
        format!("\x1b[{foreground};{background}m{shape}")
    }

    /// The code that sets a colour, or the terminal's own for NaN.
    fn colour(self, share: f64, set: u8, reset: u8) -> String {
        if share.is_nan() {
            return reset.to_string();
        }
        let place = share * (VIRIDIS.len() - 1) as f64;
        let below = (place as usize).min(VIRIDIS.len() - 2);
        let mix = |at: usize| {
            let (from, to) = (f64::from(VIRIDIS[below][at]), f64::from(VIRIDIS[below + 1][at]));
            from + (to - from) * (place - below as f64)
        };
        let [red, green, blue] = [mix(0), mix(1), mix(2)];
        match self {
            Self::TrueColour => format!("{set};2;{red:.0};{green:.0};{blue:.0}"),
            _ => format!("{set};5;{:.0}", 232.0 + 23.0 * share),
        }
    }

    fn line_end(self) -> &'static str {
        match self {
            Self::Characters => "\n",
            _ => "\x1b[0m\n",
        }
    }
}

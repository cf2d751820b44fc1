//! Maps in half blocks, where the terminal has colours; else in shades of one character. Positions
//! without a value are signs either way.

use super::super::colours::{Palette, Rgb, Scale};
use super::super::map::{Bar, Cell, Content, Form, Map};
use super::chart::{FAILED, FAILED_COLOUR, PENDING};
use super::{Framed, below, coloured, margin, shortened, ticks_below, wrapped};
use crate::engine::shown::State;

/// Rows of a map at most, and at least.
const ROWS: (usize, usize) = (24, 4);
/// Height of a map that isn't to scale, if its width is 1.
const HEIGHT: f64 = 0.7;
/// From low to high.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// Where the second of them begins.
const LIGHTEST: f64 = 0.2;
const MISSING: char = '?';
/// Of crosses, in turn.
const CROSSES: [char; 3] = ['+', 'X', '*'];
const OUTLINE: char = 'o';
/// Columns of the bar.
const BAR: usize = 16;

/// The map in lines of at most so many columns.
pub(super) fn draw(map: &Map, columns: usize, palette: Palette) -> Vec<String> {
    let ticks = map.y.ticks(6);
    let margin = margin(ticks.iter());
    let most = columns.saturating_sub(margin + 2).max(16);
    let (width, height) = size(map, most);
    let mut raster = Raster::new(width, height);
    raster.draw(&map.content);
    map.overlays.iter().for_each(|overlay| raster.draw_over(&overlay.form));
    let across = ticks_below(&map.x, width);
    let row_of = |place: f64| (((1.0 - place) * height as f64) as usize).min(height - 1);
    let framed = Framed {
        rows: (0..height).map(|row| raster.row(row, map, palette)).collect(),
        beside: ticks.iter().map(|(place, number)| (row_of(*place), number.clone())).collect(),
        margin,
        below: &across,
        width,
    };
    let mut lines = vec![
        shortened(&format!("{:margin$}{}", "", map.title), columns),
        shortened(&format!("{:margin$}{}", "", map.y.label()), columns),
    ];
    lines.extend(framed.lines());
    lines.extend(below(&map.x, &across, margin, width));
    lines.extend(map.bar.iter().flat_map(|bar| bar_lines(bar, (margin, columns), palette)));
    lines.extend(wrapped(&legend(map, palette), margin, columns));
    lines
        .extend(map.notes.iter().map(|note| shortened(&format!("{:margin$} {note}", ""), columns)));
    lines
}

/// Columns and rows of the map: as wide as there is room, unless it would be too high; pixels of
/// the same size where that fits. A character is twice as high as wide.
fn size(map: &Map, most: usize) -> (usize, usize) {
    let ratio = map.height.unwrap_or(HEIGHT) / 2.0;
    let width = (most as f64).min(ROWS.0 as f64 / ratio);
    let whole = |length: f64, pixels: usize, least: usize| {
        let length = length.round().max(least as f64) as usize;
        match length / pixels.max(1) {
            0 => length,
            times => times * pixels,
        }
    };
    let (across, down) = match &map.content {
        Content::Cells { columns, rows, .. } => (columns.len() - 1, rows.len() - 1),
        Content::Points(_) => (1, 1),
    };
    let columns = whole(width, across, 8).min(most);
    // Two pixels of the raster are above each other in a row.
    let pixels = whole(2.0 * columns as f64 * ratio, down, 2 * ROWS.1);
    (columns, pixels.div_ceil(2))
}

/// Pixels, two in each character.
struct Raster {
    width: usize,
    /// Of characters.
    height: usize,
    pixels: Vec<Option<Cell>>,
    /// Signs over the characters.
    signs: Vec<Option<char>>,
}

impl Raster {
    fn new(width: usize, height: usize) -> Self {
        let pixels = vec![None; 2 * width * height];
        Self { width, height, pixels, signs: vec![None; width * height] }
    }

    fn draw(&mut self, content: &Content) {
        match content {
            Content::Cells { columns, rows, colours } => self.draw_cells(columns, rows, colours),
            Content::Points(points) => {
                for (at, cell) in points {
                    let (column, row) = self.pixel(*at);
                    // A half of a character would hardly be seen.
                    for row in [row / 2 * 2, row / 2 * 2 + 1] {
                        self.pixels[row * self.width + column] = Some(*cell);
                    }
                }
            }
        }
    }

    fn pixel(&self, (x, y): (f64, f64)) -> (usize, usize) {
        let at = |place: f64, count: usize| ((place * count as f64) as usize).min(count - 1);
        (at(x, self.width), at(1.0 - y, 2 * self.height))
    }

    fn draw_cells(&mut self, columns: &[f64], rows: &[f64], colours: &[Cell]) {
        let across = covered(columns, self.width);
        let turned: Vec<f64> = rows.iter().map(|edge| 1.0 - edge).collect();
        let down = covered(&turned, 2 * self.height);
        let each = columns.len() - 1;
        for (row, own_rows) in down.iter().enumerate() {
            for (column, own_columns) in across.iter().enumerate() {
                let own = own_rows
                    .clone()
                    .flat_map(|row| own_columns.clone().map(move |column| row * each + column));
                let mean = mean(own.filter_map(|at| colours.get(at).copied()));
                self.pixels[row * self.width + column] = mean;
            }
        }
    }

    fn draw_over(&mut self, form: &Form) {
        let mut put = |place: (f64, f64), sign: char| {
            let (column, row) = self.pixel(place);
            self.signs[row / 2 * self.width + column] = Some(sign);
        };
        match form {
            Form::Cross(at, number) => put(*at, CROSSES[number % CROSSES.len()]),
            Form::Lines(lines) => {
                for (from, to) in lines {
                    put((f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1)), OUTLINE);
                }
            }
        }
    }

    fn row(&self, row: usize, map: &Map, palette: Palette) -> String {
        let scale = map.bar.as_ref().map_or(Scale::Even, |bar| bar.scale);
        let shown = |column: usize| {
            let pixel = |below: usize| self.pixels[(2 * row + below) * self.width + column];
            let (above, below) = (pixel(0), pixel(1));
            if let Some(sign) = self.signs[row * self.width + column] {
                return signed(sign, above.or(below), scale, palette);
            }
            if palette.has_many() {
                in_colours(above, below, scale, palette)
            } else {
                let is_point = matches!(map.content, Content::Points(_));
                in_shades(above, below, is_point, palette)
            }
        };
        (0..self.width).map(shown).collect()
    }
}

/// For each of so many pixels the cells that it covers, at least the one at its middle.
fn covered(edges: &[f64], pixels: usize) -> Vec<std::ops::Range<usize>> {
    let cells = edges.len() - 1;
    let at = |place: f64| {
        let found = edges.partition_point(|edge| *edge <= place);
        found.saturating_sub(1).min(cells - 1)
    };
    let pixel = |number: usize| {
        let place = |shift: f64| (number as f64 + shift) / pixels as f64;
        // Larger cells than pixels are each where their middle is.
        if cells <= pixels {
            let middle = at(place(0.5));
            return middle..middle + 1;
        }
        let (first, last) = (at(place(1e-9)), at(place(1.0 - 1e-9)));
        first..last + 1
    };
    (0..pixels).map(pixel).collect()
}

/// What a pixel shows of several cells: the mean of those that have a value, unless as many have
/// failed or are pending.
fn mean(cells: impl Iterator<Item = Cell>) -> Option<Cell> {
    let (mut sum, mut count) = (0.0, 0usize);
    let mut others: [(State, usize); 3] =
        [State::Failed, State::Pending, State::Missing].map(|state| (state, 0));
    for cell in cells {
        match cell {
            Cell::Value(place) => (sum, count) = (sum + place, count + 1),
            Cell::None(state) => {
                others.iter_mut().filter(|other| other.0 == state).for_each(|other| other.1 += 1);
            }
        }
    }
    let (state, most) =
        others.into_iter().reduce(|one, other| if other.1 > one.1 { other } else { one })?;
    match (count, most) {
        (0, 0) => None,
        (count, most) if count > most => Some(Cell::Value(sum / count as f64)),
        _ => Some(Cell::None(state)),
    }
}

fn in_colours(above: Option<Cell>, below: Option<Cell>, scale: Scale, palette: Palette) -> String {
    let colour = |cell: Option<Cell>| match cell {
        Some(Cell::Value(place)) => Some(scale.colour(place)),
        _ => None,
    };
    if let Some(state) = state_of(above).or(state_of(below)) {
        return signed(
            sign_of(state),
            above.filter(|_| state_of(above).is_none()).or(below),
            scale,
            palette,
        );
    }
    match (colour(above), colour(below)) {
        (Some(above), Some(below)) if above == below => {
            coloured(' ', Some(&format!("48;{}", palette.code(above))))
        }
        (Some(above), Some(below)) => {
            let codes = format!("38;{};48;{}", palette.code(above), palette.code(below));
            coloured('▀', Some(&codes))
        }
        (Some(only), None) => coloured('▀', Some(&format!("38;{}", palette.code(only)))),
        (None, Some(only)) => coloured('▄', Some(&format!("38;{}", palette.code(only)))),
        (None, None) => " ".to_owned(),
    }
}

fn in_shades(above: Option<Cell>, below: Option<Cell>, is_point: bool, palette: Palette) -> String {
    let mean = mean([above, below].into_iter().flatten());
    match mean {
        // The lightest shade is nothing.
        Some(Cell::Value(place)) if is_point => shade(place.max(LIGHTEST)).to_string(),
        Some(Cell::Value(place)) => shade(place).to_string(),
        Some(Cell::None(state)) => {
            let colour =
                Some(FAILED_COLOUR).filter(|_| state == State::Failed && palette.has_any());
            coloured(sign_of(state), colour)
        }
        None => " ".to_owned(),
    }
}

fn shade(place: f64) -> char {
    let last = SHADES.len() - 1;
    SHADES[((place * SHADES.len() as f64) as usize).min(last)]
}

fn state_of(cell: Option<Cell>) -> Option<State> {
    match cell {
        Some(Cell::None(state)) => Some(state),
        _ => None,
    }
}

fn sign_of(state: State) -> char {
    match state {
        State::Pending => PENDING,
        State::Failed => FAILED,
        State::Known | State::Missing => MISSING,
    }
}

/// A sign, behind which is the colour of a cell.
fn signed(sign: char, cell: Option<Cell>, scale: Scale, palette: Palette) -> String {
    let behind = match cell {
        Some(Cell::Value(place)) if palette.has_many() => Some(scale.colour(place)),
        _ => None,
    };
    let colour = match (behind, sign) {
        (Some(behind), sign) => {
            let ink: Rgb = match (sign, is_bright(behind)) {
                (FAILED, true) => [160, 0, 0],
                (FAILED, false) => [255, 120, 120],
                (_, true) => [0; 3],
                (_, false) => [255; 3],
            };
            Some(format!("38;{};48;{}", palette.code(ink), palette.code(behind)))
        }
        (None, FAILED) if palette.has_any() => Some(FAILED_COLOUR.to_owned()),
        (None, _) => None,
    };
    coloured(sign, colour.as_deref())
}

fn is_bright([red, green, blue]: Rgb) -> bool {
    299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) > 128_000
}

/// The colours with the numbers at which they end.
fn bar_lines(bar: &Bar, (margin, columns): (usize, usize), palette: Palette) -> Vec<String> {
    let place = |at: usize| (at as f64 + 0.5) / BAR as f64;
    let part = |at: usize| match palette.has_many() {
        true => coloured(' ', Some(&format!("48;{}", palette.code(bar.scale.colour(place(at)))))),
        false => shade(place(at)).to_string(),
    };
    let colours: String = (0..BAR).map(part).collect();
    let [low, high] = bar.axis.ends();
    let open = |is_open: bool, sign: &'static str| if is_open { sign } else { "" };
    let numbers = format!(
        "{}{low} [{colours}] {}{high}",
        open(bar.is_open.0, "≤ "),
        open(bar.is_open.1, "≥ ")
    );
    let label = shortened(&bar.axis.label(), columns.saturating_sub(margin + 1));
    let ends = Some(bar.ends.to_owned()).filter(|ends| !ends.is_empty());
    let told: Vec<String> = [numbers, label].into_iter().chain(ends).collect();
    wrapped(&told, margin, columns)
}

/// What the signs mean.
fn legend(map: &Map, palette: Palette) -> Vec<String> {
    let states = map.states().into_iter().map(|state| {
        let colour = Some(FAILED_COLOUR).filter(|_| state == State::Failed && palette.has_any());
        let told = match state {
            State::Pending => "pending",
            State::Failed => "failed",
            State::Known | State::Missing => "no value",
        };
        format!("{} {told}", coloured(sign_of(state), colour))
    });
    let overlays = map.overlays.iter().map(|overlay| {
        let sign = match overlay.form {
            Form::Cross(_, number) => CROSSES[number % CROSSES.len()],
            Form::Lines(_) => OUTLINE,
        };
        format!("{sign} {}", overlay.name)
    });
    states.chain(overlays).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::map::tests::image;
    use super::*;

    fn drawn(palette: Palette) -> String {
        let mut picture = image([0.0, 1.0, 2.0, 3.0, 4.0, f64::NAN]);
        picture.values.states[5] = State::Failed;
        let mut map = Map::of_picture(&picture).unwrap();
        map.cross("centre", Some((0.0, 1.0)));
        super::draw(&map, 40, palette).join("\n")
    }

    #[test]
    fn a_map_is_drawn_in_shades_where_there_are_no_colours() {
        let plain = drawn(Palette::None);
        let expected = "
      Height
      Y (um)
 -0.5 ┤          ░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒
      │          ░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒
  0.0 ┤          ░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒
      │          ░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒
      │          ░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒
  0.5 ┤▓▓▓▓▓▓▓▓▓▓██████████××××××××××
      │▓▓▓▓▓▓▓▓▓▓██████████××××××××××
  1.0 ┤▓▓▓▓▓+▓▓▓▓██████████××××××××××
      │▓▓▓▓▓▓▓▓▓▓██████████××××××××××
  1.5 ┤▓▓▓▓▓▓▓▓▓▓██████████××××××××××
      └─────┬─────────┬────────┬─────
            0         1        2
                   X (um)
       ≤ 0.08 [   ░░░▒▒▒▒▓▓▓███] ≥ 3.92
       Height (m)
       2nd to 98th percentile
       × failed   + centre
";
        assert_eq!(format!("\n{plain}\n"), expected, "\n{plain}");
    }

    #[test]
    fn colours_are_those_of_the_values() {
        let coloured = drawn(Palette::True);
        // The least and the largest value, and a failed one.
        for part in ["\x1b[48;2;68;1;84m ", "\x1b[48;2;253;231;37m ", "\x1b[31m×"] {
            assert!(coloured.contains(part), "{coloured}");
        }
        assert!(drawn(Palette::Fixed256).contains("\x1b[48;5;53m "));
        let width = |text: &str| console::measure_text_width(text);
        assert!(coloured.lines().all(|line| width(line) <= 40), "{coloured}");
    }
}

//! Drawings: `figure` says what is drawn, `chart` and `map` what there is of each kind, `terminal`
//! and `picture` draw it.
//!
//! The engine gives the numbers and knows nothing of this.

mod axis;
mod chart;
mod colours;
mod figure;
mod map;
#[cfg(feature = "plot")]
mod picture;
mod terminal;
mod tex;

use std::io::IsTerminal;
#[cfg(feature = "plot")]
use std::io::Write;
use std::path::{Path, PathBuf};

use colours::Palette;
pub(crate) use figure::Figure;

use crate::storage::file::open;
use crate::storage::open_file::other_than_file;
#[cfg(feature = "plot")]
use crate::storage::unfinished::Unfinished;
use pixelmill_core::error::{Error, Result};

/// Columns of a drawing where nobody says how many there are, and the fewest and most otherwise.
const COLUMNS: usize = 72;
const LEAST_COLUMNS: usize = 40;
const MOST_COLUMNS: usize = 120;

/// So many colours of a map, from its first to its last.
#[cfg(feature = "view")]
const COLOURS: u16 = 256;

/// The colours of numbers, or of directions.
#[cfg(feature = "view")]
pub(crate) fn colour_map(of_directions: bool) -> Vec<[u8; 3]> {
    let scale = if of_directions { colours::Scale::Turn } else { colours::Scale::Even };
    (0..COLOURS).map(|at| scale.colour(f64::from(at) / f64::from(COLOURS - 1))).collect()
}

/// Where a figure goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Canvas {
    /// Characters for people.
    Text,
    /// A PNG file.
    Picture(PathBuf),
}

impl Canvas {
    /// What `--plot` means; without it, there is a drawing only for a person at a terminal.
    ///
    /// # Errors
    /// If the file would be of a kind that can't be written.
    pub fn chosen(typed: &Option<Option<PathBuf>>) -> Result<Option<Self>> {
        match typed {
            None => Ok(std::io::stderr().is_terminal().then_some(Self::Text)),
            Some(None) => Ok(Some(Self::Text)),
            Some(Some(file)) => {
                let extension = file.extension().unwrap_or_default();
                if let Some(found) = other_than_file(file) {
                    let argument = format!("--plot {}", file.display());
                    return Err(Error::Argument {
                        argument,
                        reason: format!("{found}, not a file"),
                    });
                }
                // By whatever name: a link to the data leads there.
                if open(file, false).is_ok() {
                    return Err(Error::Argument {
                        argument: format!("--plot {}", file.display()),
                        reason: "it is an HDF5 file, which a picture would take the place of"
                            .to_owned(),
                    });
                }
                if extension.eq_ignore_ascii_case("png") {
                    return Ok(Some(Self::Picture(file.clone())));
                }
                Err(Error::Argument {
                    argument: format!("--plot {}", file.display()),
                    reason: "pictures are written as PNG, so the name has to end in .png; without \
                             a name, the drawing is shown here"
                        .to_owned(),
                })
            }
        }
    }

    /// Draws; what there is to be told then is the drawing itself, or where it is.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn draw(&self, figure: &Figure) -> Result<String> {
        match self {
            Self::Text => {
                let (_, seen) = console::Term::stderr().size_checked().unzip();
                let columns = seen
                    .map_or(COLUMNS, |seen| usize::from(seen).clamp(LEAST_COLUMNS, MOST_COLUMNS));
                Ok(format!("\n{}", terminal::draw(figure, columns, palette())))
            }
            Self::Picture(file) => {
                draw_picture(figure, file)?;
                Ok(format!("  drawn in {}\n", file.display()))
            }
        }
    }
}

#[cfg(feature = "plot")]
fn draw_picture(figure: &Figure, file: &Path) -> Result<()> {
    let refused = |error| Error::io("draw", file, error);
    let picture = picture::draw(figure).map_err(refused)?;
    // A link that is there is written through.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let unfinished = Unfinished::create(&file, true)?;
    unfinished.file().write_all(&picture).map_err(refused)?;
    unfinished.finish(true).map(drop)
}

#[cfg(not(feature = "plot"))]
fn draw_picture(_figure: &Figure, file: &Path) -> Result<()> {
    Err(Error::Argument {
        argument: format!("--plot {}", file.display()),
        reason: "this program was built without pictures; without a name, the drawing is shown \
                 here"
            .to_owned(),
    })
}

/// The colours that the terminal has, unless nobody looks at one or wants any (`NO_COLOR`), or
/// somebody wants them wherever it goes (`CLICOLOR_FORCE`).
fn palette() -> Palette {
    if !console::colors_enabled_stderr() {
        return Palette::None;
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    Palette::of(&variable("COLORTERM"), &variable("TERM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canvas_is_what_its_name_says() {
        let chosen = |typed: Option<&str>| Canvas::chosen(&Some(typed.map(PathBuf::from)));
        assert_eq!(chosen(None).unwrap(), Some(Canvas::Text));
        for name in ["fit.png", "a.b/fit.PNG"] {
            assert_eq!(chosen(Some(name)).unwrap(), Some(Canvas::Picture(name.into())));
        }
        for name in ["fit.jpg", "png", ".png", ""] {
            let message = chosen(Some(name)).err().unwrap().to_string();
            assert!(message.starts_with(&format!("--plot {name}: ")), "{message}");
            assert!(message.contains(".png"), "{message}");
        }
    }
}

//! One look after the other, at a position here and a position there.

use std::sync::Arc;

use super::closed::Closed;
use super::{Shown, Wanted, find};
use crate::storage::KnownTables;
use crate::storage::file::open_read_knowing;
use pixelmill_core::error::Result;

/// Shows one thing after the other, as [`show`](super::show) does each: what is the same, but for
/// the position, as what was shown last isn't looked for and opened anew, unless somebody has
/// written to the file since. That saves much where data are in a million chunks.
///
/// Between two looks the file is neither open nor locked, and no values are kept.
#[derive(Default)]
pub struct Viewer {
    known: Arc<KnownTables>,
    last: Option<Last>,
}

/// What was shown last.
struct Last {
    wanted: Wanted,
    /// Without its pictures.
    shown: Shown,
    closed: Closed,
}

impl Viewer {
    /// One who knows tables of the file, or wants to know them later.
    pub fn knowing(known: &Arc<KnownTables>) -> Self {
        Self { known: Arc::clone(known), last: None }
    }

    /// What there is to see of what is wanted.
    ///
    /// # Errors
    /// As those of [`show`](super::show).
    pub fn show(&mut self, wanted: &Wanted) -> Result<Shown> {
        if let Some(last) = self.last.as_mut().filter(|last| last.is_about(wanted))
            && let Some(shown) = last.show(wanted)?
        {
            return Ok(shown);
        }
        self.last = None;
        let file = open_read_knowing(&wanted.file, &self.known)?;
        let (shown, subjects) = find::shown(&file, wanted)?;
        self.last = Closed::of(&file, subjects).map(|closed| {
            let shown = Shown { pictures: Vec::new(), ..shown.clone() };
            Last { wanted: wanted.clone(), shown, closed }
        });
        Ok(shown)
    }
}

impl Last {
    /// Whether that is the same, but for the position.
    fn is_about(&self, wanted: &Wanted) -> bool {
        self.wanted == Wanted { pixel: self.wanted.pixel.clone(), ..wanted.clone() }
            && self.wanted.pixel.is_some() == wanted.pixel.is_some()
    }

    /// The same of a position; `None` if somebody has written to the file, or something is wrong.
    fn show(&mut self, wanted: &Wanted) -> Result<Option<Shown>> {
        let Some(open) = self.closed.open()? else { return Ok(None) };
        let mut shown = self.shown.clone();
        for subject in open.subjects() {
            let Ok(pictures) = find::of_subject(subject, wanted.pixel.as_ref()) else {
                return Ok(None);
            };
            shown.pictures.extend(pictures);
        }
        Ok(Some(shown).filter(|_| open.is_untouched()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::engine::Pixel;
    use crate::engine::shown::show;
    use crate::wire;

    fn at(file: &Path, pixel: Option<u64>) -> Wanted {
        let pixel = pixel.map(Pixel::Number);
        Wanted { file: file.to_owned(), path: None, field: None, positions_axes: None, pixel }
    }

    /// Looks with a viewer and without one; whether the viewer has what it needs for another look.
    fn look(viewer: &mut Viewer, wanted: &Wanted) -> bool {
        let shown = viewer.show(wanted).unwrap();
        let expected = wire::Show::of(&wanted.file, &show(wanted).unwrap());
        assert!(wire::Show::of(&wanted.file, &shown) == expected, "{wanted:?}");
        viewer.last.as_mut().is_some_and(|last| last.closed.open().unwrap().is_some())
    }

    #[test]
    fn a_viewer_shows_what_show_does() {
        let data = |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
        let (spectra, others) = (data("be_line_scan_64x64.h5"), data("two_peaks_3x4.h5"));
        let mut viewer = Viewer::default();
        for (file, pixel) in [
            (&spectra, Some(77)),
            (&spectra, Some(4095)),
            (&others, Some(3)),
            (&spectra, None),
            (&spectra, None),
            (&spectra, Some(0)),
        ] {
            assert!(look(&mut viewer, &at(file, pixel)), "it is older than some seconds");
        }
        let beyond = viewer.show(&at(&spectra, Some(4096))).unwrap_err().to_string();
        assert!(beyond.contains("4096"), "{beyond}");
        look(&mut viewer, &at(&spectra, Some(1)));
        viewer.last = viewer.last.take().map(|last| {
            let closed = last.closed.outdated();
            Last { closed, ..last }
        });
        assert!(look(&mut viewer, &at(&spectra, Some(2))), "it was opened anew");
    }

    #[test]
    fn what_was_just_written_is_opened_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scan.h5");
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/two_peaks_3x4.h5");
        std::fs::write(&file, std::fs::read(data).unwrap()).unwrap();
        let mut viewer = Viewer::default();
        assert!(!look(&mut viewer, &at(&file, Some(3))));
        assert!(!look(&mut viewer, &at(&file, Some(4))));
    }
}

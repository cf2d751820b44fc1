//! Text as outlines, in the font that is part of the program.

use tiny_skia::{Path, PathBuilder, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// DejaVu Sans: it has the signs of units, powers and Greek letters.
pub(crate) struct Font {
    face: Face<'static>,
}

impl Font {
    pub fn new() -> Self {
        let face = Face::parse(dejavu::sans::regular(), 0);
        Self { face: face.expect("the font that is built in is one") }
    }

    /// The outlines of a text that begins at the origin, and its width; `size` is that of an em.
    pub fn outlines(&self, text: &str, size: f32) -> (Option<Path>, f32) {
        let scale = size / f32::from(self.face.units_per_em());
        let mut outline = Outline { path: PathBuilder::new(), pen: 0.0 };
        for character in text.chars() {
            let glyph = self.face.glyph_index(character).unwrap_or(GlyphId(0));
            self.face.outline_glyph(glyph, &mut outline);
            outline.pen += f32::from(self.face.glyph_hor_advance(glyph).unwrap_or_default());
        }
        let width = outline.pen * scale;
        // Fonts have their y axis upwards.
        let turned = Transform::from_scale(scale, -scale);
        (outline.path.finish().and_then(|path| path.transform(turned)), width)
    }
}

struct Outline {
    path: PathBuilder,
    /// Where the glyph begins.
    pen: f32,
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.pen + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.pen + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.path.quad_to(self.pen + x1, y1, self.pen + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.path.cubic_to(self.pen + x1, y1, self.pen + x2, y2, self.pen + x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_the_signs_of_science() {
        let font = Font::new();
        for sign in "Azµ°ÅΩφω²⁻¹⁰|·–×√ℏ₀ₐₓ⟨≤".chars() {
            assert!(font.face.glyph_index(sign).is_some(), "{sign}");
        }
        let (path, width) = font.outlines("Frequency", 20.0);
        let bounds = path.unwrap().bounds();
        assert!(bounds.width() > 80.0 && bounds.width() <= width && width < 120.0, "{bounds:?}");
        assert!(bounds.top() < -14.0 && bounds.bottom() > 2.0, "{bounds:?}");
        assert!(font.outlines(" ", 20.0).0.is_none());
    }
}

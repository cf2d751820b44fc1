//! Colour maps whose steps look even, and how many colours a terminal has.

/// Red, green and blue.
pub(crate) type Rgb = [u8; 3];

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// A number from low to high: viridis, whose lightness goes up evenly.
    Even,
    /// A direction, whose colours go all the way round: twilight.
    Turn,
}

/// Matplotlib's twilight at each 32nd of a turn.
const TWILIGHT: [Rgb; 32] = [
    [226, 217, 226],
    [215, 215, 221],
    [196, 206, 212],
    [172, 194, 204],
    [149, 181, 199],
    [129, 166, 195],
    [114, 151, 193],
    [104, 135, 190],
    [98, 118, 186],
    [95, 100, 181],
    [94, 81, 173],
    [93, 61, 161],
    [89, 42, 143],
    [81, 27, 119],
    [69, 19, 92],
    [56, 17, 69],
    [47, 20, 54],
    [58, 17, 58],
    [74, 19, 66],
    [95, 23, 74],
    [116, 30, 79],
    [135, 39, 80],
    [152, 53, 80],
    [166, 69, 80],
    [178, 86, 82],
    [187, 105, 88],
    [194, 124, 99],
    [200, 144, 115],
    [204, 163, 137],
    [209, 182, 163],
    [216, 199, 190],
    [223, 212, 214],
];

impl Scale {
    /// The colour of a place from 0 to 1.
    pub fn colour(self, place: f64) -> Rgb {
        let place = place.clamp(0.0, 1.0);
        match self {
            Self::Even => {
                let colorous::Color { r, g, b } = colorous::VIRIDIS.eval_continuous(place);
                [r, g, b]
            }
            Self::Turn => turned(place),
        }
    }
}

/// The colour of a part of a turn, between two of the table.
fn turned(place: f64) -> Rgb {
    let at = place * TWILIGHT.len() as f64;
    let (before, share) = (at.floor() as usize % TWILIGHT.len(), at.fract());
    let (one, other) = (TWILIGHT[before], TWILIGHT[(before + 1) % TWILIGHT.len()]);
    let mean = |part: usize| {
        let (one, other) = (f64::from(one[part]), f64::from(other[part]));
        (one + (other - one) * share).round() as u8
    };
    [mean(0), mean(1), mean(2)]
}

/// What colours a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Palette {
    /// Any.
    True,
    /// Those of the cube of 6 × 6 × 6, and 24 greys.
    Fixed256,
    /// So few that no image can be drawn in them.
    Few,
    /// None.
    None,
}

impl Palette {
    /// What a terminal says that has colours, by its variables `COLORTERM` and `TERM`.
    pub fn of(colorterm: &str, term: &str) -> Self {
        match () {
            () if ["truecolor", "24bit"].contains(&colorterm) => Self::True,
            () if term.contains("256color") || term.contains("kitty") => Self::Fixed256,
            () if term.contains("direct") => Self::True,
            () => Self::Few,
        }
    }

    /// Whether lines may be coloured.
    pub fn has_any(self) -> bool {
        self != Self::None
    }

    /// Whether images may be.
    pub fn has_many(self) -> bool {
        matches!(self, Self::True | Self::Fixed256)
    }

    /// What ANSI calls a colour, behind 38 for signs and behind 48 for what is behind them.
    pub fn code(self, [red, green, blue]: Rgb) -> String {
        if self == Self::True {
            return format!("2;{red};{green};{blue}");
        }
        format!("5;{}", nearest([red, green, blue]))
    }
}

/// The nearest of the 240 colours that are the same everywhere.
fn nearest(wanted: Rgb) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let cube = |at: u8| [at / 36, at / 6 % 6, at % 6].map(|step| STEPS[usize::from(step)]);
    let grey = |at: u8| [8 + 10 * at; 3];
    let distance = |other: Rgb| -> i32 {
        let parts = wanted.iter().zip(other);
        parts.map(|(one, other)| (i32::from(*one) - i32::from(other)).pow(2)).sum()
    };
    let all = (0..216).map(|at| (16 + at, cube(at))).chain((0..24).map(|at| (232 + at, grey(at))));
    all.min_by_key(|(_, colour)| distance(*colour)).map_or(16, |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness([red, green, blue]: Rgb) -> f64 {
        let linear = |part: u8| (f64::from(part) / 255.0).powf(2.2);
        let light = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
        116.0 * light.cbrt() - 16.0
    }

    #[test]
    fn colours_are_those_that_people_know() {
        assert_eq!(Scale::Even.colour(0.0), [68, 1, 84]);
        assert_eq!(Scale::Even.colour(1.0), [253, 231, 37]);
        assert_eq!(Scale::Turn.colour(0.0), Scale::Turn.colour(1.0));
        assert_eq!(Scale::Turn.colour(0.5), [0x2f, 0x14, 0x36]);
        let light: Vec<f64> =
            (0..=20).map(|at| lightness(Scale::Even.colour(f64::from(at) / 20.0))).collect();
        let steps: Vec<f64> = light.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| (1.0..6.5).contains(step)), "{steps:?}");
    }

    #[test]
    fn terminals_get_the_colours_that_they_have() {
        for (colorterm, term, palette) in [
            ("truecolor", "xterm", Palette::True),
            ("", "xterm-256color", Palette::Fixed256),
            ("", "xterm-direct", Palette::True),
            ("", "linux", Palette::Few),
        ] {
            assert_eq!(Palette::of(colorterm, term), palette, "{colorterm} {term}");
        }
        assert_eq!(Palette::True.code([1, 2, 3]), "2;1;2;3");
        assert_eq!(Palette::Fixed256.code([255, 0, 0]), "5;196");
        assert_eq!(Palette::Fixed256.code([128, 128, 128]), "5;244");
    }
}

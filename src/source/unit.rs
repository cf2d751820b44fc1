//! The units that an axis has and that a user gives a value of it in: a unit with a prefix of SI
//! and a power, `nm`, `um^-1`, `1/nm` or `m²`.
//!
//! Only a unit that is known to take prefixes loses one, so that minutes are no milli-inches.
//! Nothing else is converted, and what can't be told is none.

/// Units that take prefixes. No prefix before one of them is another.
const UNITS: [&str; 36] = [
    "m", "s", "g", "A", "K", "mol", "cd", "rad", "sr", "Hz", "N", "Pa", "J", "W", "C", "V", "F",
    "ohm", "S", "Wb", "T", "H", "lm", "lx", "Bq", "Gy", "Sv", "kat", "l", "L", "eV", "bar", "Torr",
    "Oe", "G", "Da",
];

/// Prefixes with their powers of ten.
const PREFIXES: [(&str, i32); 14] = [
    ("a", -18),
    ("f", -15),
    ("p", -12),
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("c", -2),
    ("d", -1),
    ("h", 2),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
];

/// No unit of an axis has a higher power, and powers of ten to it are numbers.
const MOST: i32 = 4;

/// A unit of [`UNITS`] to a power.
struct Unit {
    name: &'static str,
    /// The prefix, as a power of ten.
    prefix: i32,
    power: i32,
}

/// A number in some units in others; `None` if these aren't known to be the same but for prefixes.
pub(super) fn converted(number: f64, units: &str, own: &str) -> Option<f64> {
    let (units, own) = (plain(units), plain(own));
    if units == own {
        return Some(number);
    }
    let (units, own) = (Unit::of(&units)?, Unit::of(&own)?);
    if units.name != own.name || units.power != own.power {
        return None;
    }
    let power = (units.prefix - own.prefix) * own.power;
    // A power of ten that is a whole number has no rounding of its own.
    let scale = 10_f64.powi(power.abs());
    Some(if power < 0 { number / scale } else { number * scale })
}

/// A unit with one way to write micro, ohm and what powers are made of.
fn plain(units: &str) -> String {
    let one_way = |letter: char| match letter {
        'µ' | 'μ' => 'u'.to_string(),
        'Ω' | '\u{2126}' => "ohm".to_owned(),
        '\u{2212}' | '⁻' => '-'.to_string(),
        _ => match "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == letter) {
            Some(digit) => digit.to_string(),
            None => letter.to_string(),
        },
    };
    units.trim().chars().map(one_way).collect::<String>().replace("Ohm", "ohm")
}

impl Unit {
    fn of(text: &str) -> Option<Self> {
        let (sign, text) = match text.split_once('/') {
            Some((one, below)) if matches!(one.trim(), "" | "1") => (-1, below.trim()),
            _ => (1, text),
        };
        let end = text.find(|letter: char| "^*-+0123456789".contains(letter));
        let (symbol, power) = text.split_at(end.unwrap_or(text.len()));
        let power = sign * exponent(power)?;
        let known = |text: &str| UNITS.into_iter().find(|unit| *unit == text);
        if let Some(name) = known(symbol) {
            return Some(Self { name, prefix: 0, power });
        }
        let with = |(prefix, ten): (&str, i32)| Some((known(symbol.strip_prefix(prefix)?)?, ten));
        let (name, prefix) = PREFIXES.into_iter().find_map(with)?;
        Some(Self { name, prefix, power })
    }
}

/// The power that stands behind a unit: nothing, `2`, `-1`, `^-1`, `**-1` or `^{-1}`.
fn exponent(text: &str) -> Option<i32> {
    if text.is_empty() {
        return Some(1);
    }
    let text = text.strip_prefix("**").or(text.strip_prefix('^')).unwrap_or(text);
    let within = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    let text = within('{', '}').or(within('(', ')')).unwrap_or(text);
    text.parse().ok().filter(|power: &i32| *power != 0 && power.abs() <= MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_its_power_of_ten() {
        for (prefix, scale) in [
            ("a", 1e-18),
            ("f", 1e-15),
            ("p", 1e-12),
            ("n", 1e-9),
            ("u", 1e-6),
            ("µ", 1e-6),
            ("m", 1e-3),
            ("c", 1e-2),
            ("d", 1e-1),
            ("h", 1e2),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("P", 1e15),
        ] {
            let found = converted(3.0, &format!("{prefix}V"), "V");
            assert!(
                found.is_some_and(|found| (found / (3.0 * scale) - 1.0).abs() < 1e-15),
                "{prefix}"
            );
            assert_eq!(
                converted(3.0 * scale, "V", &format!("{prefix}V")).map(f64::round),
                Some(3.0)
            );
        }
    }

    #[test]
    fn a_prefix_is_scaled_with_the_power_of_its_unit() {
        for (number, units, own, expected) in [
            (3000.0, "um^-1", "nm^-1", Some(3.0)),
            (3000.0, "µm⁻¹", "1/nm", Some(3.0)),
            (3000.0, "/um", "nm-1", Some(3.0)),
            (3.0, "1/nm", "um**-1", Some(3000.0)),
            (3.0, "nm^{-1}", "um^(-1)", Some(3000.0)),
            (5.0, "mm^2", "m^2", Some(5e-6)),
            (5.0, "mm²", "m2", Some(5e-6)),
            (5.0, "km^2", "m^2", Some(5e6)),
            (2.0, "kΩ", "ohm", Some(2000.0)),
            (2.0, "kOhm", "Ω", Some(2000.0)),
            (2.0, "nm", "nm^-1", None),
            (2.0, "um", "nm^2", None),
            (2.0, "m^99", "mm^99", None),
            (2.0, "m^0", "mm^0", None),
            (2.0, "m^0.5", "mm^0.5", None),
        ] {
            assert_eq!(converted(number, units, own), expected, "{units} in {own}");
        }
    }

    #[test]
    fn nothing_is_taken_for_a_prefix_that_need_not_be_one() {
        for (units, own) in [
            ("min", "in"),
            ("s", "min"),
            ("cd", "d"),
            ("mh", "h"),
            ("k", ""),
            ("mA/m", "A/m"),
            ("mV*s", "V*s"),
            ("mm s", "m s"),
            ("m°", "°"),
            ("px", "x"),
            ("mv", "V"),
            ("Pa", "a"),
            ("kkV", "V"),
            ("Hz", "s^-1"),
        ] {
            assert_eq!(converted(5.0, units, own), None, "{units} in {own}");
            assert_eq!(converted(5.0, own, units), None, "{own} in {units}");
        }
        assert_eq!(converted(5.0, "arb. units", "arb. units"), Some(5.0));
    }

    #[test]
    fn no_prefix_makes_another_unit_of_one() {
        let with = |(prefix, _)| UNITS.into_iter().map(move |unit| format!("{prefix}{unit}"));
        let all: Vec<String> = PREFIXES.into_iter().flat_map(with).collect();
        for (at, one) in all.iter().enumerate() {
            assert!(!UNITS.contains(&&**one) && !all[..at].contains(one), "{one}");
        }
    }
}

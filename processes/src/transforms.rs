//! What Fourier transforms take, what they can't do, and the units of frequencies.

use pixelmill_core::process::Failure;

/// Bytes of the tables and the scratch of a complex transform there and one back, per point: where
/// all prime factors are short, and where not. Runs over single rows of 0.4 to 4 million points
/// took 108 to 154, and 310 to 345.
const BYTES: [usize; 2] = [160, 350];
/// The prime factors that `rustfft` has a short transform for.
const SHORT_FACTORS: [usize; 5] = [2, 3, 5, 7, 11];

/// Bytes of the tables and the scratch of complex transforms of so many points.
pub(crate) fn bytes(points: usize) -> usize {
    let [short, long] = BYTES;
    points * if has_short_factors(points) { short } else { long }
}

fn has_short_factors(mut number: usize) -> bool {
    for factor in SHORT_FACTORS {
        while number > 1 && number.is_multiple_of(factor) {
            number /= factor;
        }
    }
    number <= 1
}

/// The failure of what has no finite transform.
pub(crate) fn unusable() -> Failure {
    Failure::new("the spectrum has values that are not finite, or too large to be transformed")
}

/// The units of frequencies along an axis with these.
pub(crate) fn reciprocal(units: &str) -> String {
    match units.trim() {
        "" => String::new(),
        "s" | "sec" | "second" | "seconds" => "Hz".to_owned(),
        "ms" => "kHz".to_owned(),
        "us" | "µs" | "μs" => "MHz".to_owned(),
        "ns" => "GHz".to_owned(),
        simple if simple.chars().all(char::is_alphanumeric) => format!("1/{simple}"),
        composed => format!("1/({composed})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_factors_are_told_from_others() {
        for (number, short) in [(1, true), (2 * 3 * 5 * 7 * 11, true), (13, false), (26, false)] {
            assert_eq!(has_short_factors(number), short, "{number}");
        }
    }
}

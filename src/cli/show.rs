//! Numbers as people read them.

use std::time::Duration;

use crate::engine::FailedPositions;

/// `1 234 567` with thin separators that can be copied: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number per second: whole from 10 on.
pub(crate) fn rate(rate: f64) -> String {
    if rate >= 10.0 { count(rate as u64) } else { format!("{rate:.2}") }
}

/// A memory budget of at least so many bytes, as one would type it.
pub(crate) fn memory_option(bytes: u64) -> String {
    match bytes.div_ceil(1 << 20) {
        mebibytes @ 0..10240 => format!("{mebibytes}M"),
        mebibytes => format!("{}G", mebibytes.div_ceil(1024)),
    }
}

/// `1.23 GB/s`, in powers of 1000 as transfer rates are given.
pub(crate) fn bytes_per_second(rate: f64) -> String {
    for (unit, size) in [("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)] {
        if rate >= size {
            return format!("{:.2} {unit}", rate / size);
        }
    }
    format!("{rate:.0} B/s")
}

/// `2 h 05 min`, `3 min 20 s`, `12.3 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A number with as many digits as it has, short where it can be.
pub(crate) fn number(value: f64) -> String {
    let plain = value.to_string();
    let exponential = format!("{value:e}");
    if plain.len() <= 12 || plain.len() <= exponential.len() { plain } else { exponential }
}

/// A number of which single precision is known: as short as that can be told apart.
pub(crate) fn single(value: f64) -> String {
    number((value as f32).to_string().parse().unwrap_or(value))
}

/// A value of an axis: files keep these in single precision.
pub(crate) fn axis_value(value: f64) -> String {
    if f64::from(value as f32) == value { single(value) } else { number(value) }
}

/// `1 worker`, `2 workers`.
pub(crate) fn workers(count: usize) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}

/// ` on 4 ranks`, ` on 4 ranks of 2 nodes`; nothing for one rank.
pub(crate) fn ranks(ranks: usize, nodes: usize) -> String {
    match (ranks, nodes) {
        (0 | 1, _) => String::new(),
        (ranks, 0 | 1) => format!(" on {ranks} ranks"),
        (ranks, nodes) => format!(" on {ranks} ranks of {nodes} nodes"),
    }
}

/// A share in percent.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", 100.0 * part / whole) } else { "–".to_owned() }
}

/// `1 failed position` or `3 failed positions`, the first few with their reasons.
pub(crate) fn failed(failed: &FailedPositions) -> String {
    const SHOWN: usize = 5;
    let mut text = match failed.count {
        1 => "1 failed position:\n".to_owned(),
        many => format!("{} failed positions:\n", count(many)),
    };
    for (position, reason) in failed.listed.iter().take(SHOWN) {
        text.push_str(&format!("  {position}: {reason}\n"));
    }
    if failed.count > FailedPositions::MOST_LISTED as u64 {
        let most = count(FailedPositions::MOST_LISTED as u64);
        text.push_str(&format!(
            "  … `pixelmill status --json` lists {most}; all are in the dataset \
             `failed_positions`\n"
        ));
    } else if failed.count > SHOWN as u64 {
        text.push_str("  … `pixelmill status --json` lists them all\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(2.71), "2.71");
        assert_eq!(bytes_per_second(2.5e9), "2.50 GB/s");
        assert_eq!(duration(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(duration(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 05 min");
        assert_eq!(number(300_000.0), "300000");
        assert_eq!(number(1.5e-30), "1.5e-30");
        assert_eq!(number(0.1 + 0.2), "0.30000000000000004");
        assert_eq!(single(f64::from(0.1f32)), "0.1");
        assert_eq!(axis_value(f64::from(5e-6_f32)), "0.000005");
        assert_eq!(axis_value(0.1), "0.1");
        assert_eq!(percent(1.0, 0.0), "–");
        assert_eq!(
            [ranks(1, 1), ranks(4, 1), ranks(4, 2)],
            ["", " on 4 ranks", " on 4 ranks of 2 nodes"]
        );
        assert_eq!([memory_option(1), memory_option((11 << 30) + 1)], ["1M", "12G"]);
    }
}

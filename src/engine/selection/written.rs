//! Selections as people write them, read and written down again.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{OpenRange, Selection};
use pixelmill_core::inputs::InputPath;

impl FromStr for OpenRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bound = |part: Option<&str>| match part.map(str::trim) {
            None | Some("") => Ok(None),
            Some(digits) => number(digits).map(Some),
        };
        let mut parts = text.split(':');
        let start = bound(parts.next())?;
        let Some(end) = parts.next() else {
            let only = start.ok_or("a range is written FIRST:END or FIRST:END:STEP")?;
            return Ok(Self::single(only));
        };
        let (end, step) = (bound(Some(end))?, bound(parts.next())?);
        if step == Some(0) {
            return Err("a step is 1 or more".to_owned());
        }
        if parts.next().is_some() {
            return Err(format!("`{text}` is no range FIRST:END:STEP"));
        }
        Ok(Self { start, end, step })
    }
}

fn number(digits: &str) -> Result<u64, String> {
    digits.parse().map_err(|_| format!("`{digits}` is no whole number"))
}

impl fmt::Display for OpenRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |bound: Option<u64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
        write!(formatter, "{}:{}", number(self.start), number(self.end))?;
        self.step.map_or(Ok(()), |step| write!(formatter, ":{step}"))
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(file) = text.strip_prefix('@') {
            return match file {
                "" => Err("@ stands before the name of a file".to_owned()),
                _ => Ok(Self::Listed(file.into())),
            };
        }
        if let Some(random) = text.strip_prefix("random:") {
            return at_random(random);
        }
        if text.starts_with('/') {
            return Ok(Self::Dataset(text.to_owned()));
        }
        if let Some(several) = text.strip_prefix('[') {
            let several = several.strip_suffix(']').ok_or("`]` is missing at the end")?;
            return Ok(Self::Several(ranges(several)?));
        }
        match InputPath::from(text) {
            InputPath::InFile { file, path } if !path.starts_with('/') && !is_named(&file) => {}
            InputPath::Here(_) => {}
            mask => return Ok(Self::Mask(mask)),
        }
        let several: Vec<&str> = text.split(',').map(str::trim).collect();
        if several.len() > 1 && several.iter().all(|item| item.parse::<u64>().is_ok()) {
            return several.into_iter().map(number).collect::<Result<_, _>>().map(Self::Numbers);
        }
        let mut bounds = ranges(text)?;
        match bounds.len() {
            1 => Ok(Self::Positions(bounds.remove(0))),
            _ => Ok(Self::Steps(bounds)),
        }
    }
}

/// Whether that is a file's name before a colon, and no bound.
fn is_named(file: &Path) -> bool {
    file.to_string_lossy().contains(['.', '/'])
}

fn ranges(text: &str) -> Result<Vec<OpenRange>, String> {
    text.split(',').map(str::parse).collect()
}

/// What follows `random:`.
fn at_random(text: &str) -> Result<Selection, String> {
    let (count, seed) = match text.split_once(':') {
        Some((count, seed)) => (number(count)?, number(seed)?),
        None => (number(text)?, 0),
    };
    match count {
        0 => Err("no position is none to compute".to_owned()),
        _ => Ok(Selection::Random { count, seed }),
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Positions(bounds) => write!(formatter, "{bounds}"),
            Self::Steps(bounds) => formatter.write_str(&joined(bounds)),
            Self::Numbers(numbers) => formatter.write_str(&joined(numbers)),
            Self::Several(bounds) => write!(formatter, "[{}]", joined(bounds)),
            Self::Random { count, seed } => write!(formatter, "random:{count}:{seed}"),
            Self::Dataset(path) => formatter.write_str(path),
            Self::Mask(InputPath::Here(path)) => formatter.write_str(path),
            Self::Mask(InputPath::Npy(file)) => write!(formatter, "{}", file.display()),
            Self::Mask(InputPath::InFile { file, path }) => {
                write!(formatter, "{}:{path}", file.display())
            }
            Self::Listed(file) => write!(formatter, "@{}", file.display()),
        }
    }
}

fn joined(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: Option<u64>, end: Option<u64>) -> OpenRange {
        OpenRange { start, end, step: None }
    }

    #[test]
    fn selections_are_read_as_written() {
        let some = |start, end| range(Some(start), Some(end));
        let every = |start, end, step| OpenRange { step: Some(step), ..some(start, end) };
        let mask = |path: &str| Selection::Mask(InputPath::from(path));
        for (text, selection) in [
            ("100:200", Selection::Positions(some(100, 200))),
            ("7", Selection::Positions(some(7, 8))),
            ("0:30:3", Selection::Positions(every(0, 30, 3))),
            ("0:10, :20", Selection::Steps(vec![some(0, 10), range(None, Some(20))])),
            ("0:30:3,0:40:2", Selection::Steps(vec![every(0, 30, 3), every(0, 40, 2)])),
            ("1, 5,9", Selection::Numbers(vec![1, 5, 9])),
            ("[5,9:11]", Selection::Several(vec![some(5, 6), some(9, 11)])),
            ("random:100", Selection::Random { count: 100, seed: 0 }),
            ("random:100:7", Selection::Random { count: 100, seed: 7 }),
            ("/mask", Selection::Dataset("/mask".into())),
            ("a/mask.npy", mask("a/mask.npy")),
            ("other.h5:/mask", mask("other.h5:/mask")),
            ("@some.txt", Selection::Listed("some.txt".into())),
        ] {
            assert_eq!(text.parse(), Ok(selection.clone()), "{text}");
            assert_eq!(selection.to_string().parse(), Ok(selection), "{text}");
        }
        let last = u64::MAX.to_string();
        assert_eq!(last.parse(), Ok(Selection::Positions(some(u64::MAX, u64::MAX))));
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for text in [
            "", "a:b", "0:9:0", "0:9:1:1", "1,,2", "[1,2", "[]", "random:0", "random:x", "@", "-1",
            "mask",
        ] {
            assert!(text.parse::<Selection>().is_err(), "{text}");
        }
    }
}

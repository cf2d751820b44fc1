//! Text that people type or that stands in files: JSON, TOML, formulae, selections, command lines.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::canonical::{canonical, numbers_again};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::foreign_text::{decoded, listening, of_fixed_length};
use pixelmill_core::parameters;
use pixelmill_core::process::Parameters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::drawn::Drawn;
use crate::cli::{given, spelled as words};
use crate::engine::Selection;
use crate::engine::selection::{OpenRange, Selected, range_within, steps_within};
use crate::formats::expression::Formula;
use crate::position_grid::PositionGrid;

/// Two values of which the texts are the same just if they are.
pub(super) fn canonical_json(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let mut next = || serde_json::from_slice::<Value>(parts.next()?).ok();
    let Some(value) = next() else { return };
    let text = canonical(value.clone());
    let again: Value = serde_json::from_str(&text).expect("canonical JSON is JSON");
    let (written, read) = (numbers_again(&value), numbers_again(&again));
    // A float beyond 2⁵³ has no point in canonical JSON, so that it is read as an integer.
    assert!(is_same(&floats(&written), &floats(&read)));
    if is_exact(&value) {
        assert_eq!(canonical(again), text);
        let theirs = serde_json_canonicalizer::to_string(&value);
        assert_eq!(theirs.ok().as_ref(), Some(&text));
    }
    if let Some(other) = next() {
        let is_same = is_same(&numbers_again(&value), &numbers_again(&other));
        assert_eq!(canonical(other) == text, is_same);
    }
}

/// Whether all numbers are such as JSON can hold.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => match whole(number) {
            Some(whole) => whole.unsigned_abs() <= 1 << 53,
            None => number.as_f64().is_some_and(|value| {
                let is_beyond = value.fract() == 0.0 && value.abs() > (1u64 << 53) as f64;
                value.to_bits() != (-0.0f64).to_bits() && !is_beyond
            }),
        },
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

/// The same with all numbers as floats.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.iter().map(floats).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), floats(value))).collect()
        }
        other => other.clone(),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from))
}

/// Whether two values are the same, however their numbers are written.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => is_same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let has = |(name, value)| other.get(name).is_some_and(|other| is_same(value, other));
            one.len() == other.len() && one.iter().all(has)
        }
        _ => one == other,
    }
}

fn is_same_number(one: &Number, other: &Number) -> bool {
    let bits = |number: &Number| number.as_f64().map(f64::to_bits);
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => bits(one) == bits(other),
        // As floats, integers beyond 2⁵³ may be several.
        (Some(whole), None) | (None, Some(whole)) => {
            whole.unsigned_abs() <= 1 << 53 && bits(one) == bits(other)
        }
    }
}

/// A formula has one value, in brackets too.
pub(super) fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let names = [("x", 3.25), ("a", -0.5), ("b", 1e9)];
    let names: BTreeMap<_, _> = names.map(|(name, value)| (name.to_owned(), value)).into();
    let bits = |text: &str| Formula::new(text)?.value(&names).map(f64::to_bits);
    let found = bits(text);
    assert_eq!(bits(text), found);
    let nested = |error: &String| error.contains("too deeply");
    if !text.contains(';') && found.is_ok() {
        let inside = bits(&format!(" ({text} )"));
        assert!(inside == found || inside.as_ref().is_err_and(nested));
    }
}

/// Any bytes are a text, which is read again as itself.
pub(super) fn foreign_text(data: &[u8]) {
    let (text, foreign) = listening(|| decoded(data));
    match std::str::from_utf8(data) {
        Ok(same) => assert!(text == same && foreign.is_empty()),
        Err(_) if foreign.is_empty() => assert!(data.starts_with(text.as_bytes())),
        Err(_) => {
            assert_eq!((text.chars().count(), &foreign[..]), (data.len(), &[text.clone()][..]));
        }
    }
    assert_eq!(decoded(text.as_bytes()), text);
    let line = of_fixed_length(data);
    assert!(!line.contains('\0') && line.len() <= 2 * data.len());
    assert_eq!(of_fixed_length(line.as_bytes()), line);
}

/// Parameters of all kinds.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
struct Tried {
    width: f64,
    #[schemars(range(min = 1, max = 9))]
    steps: i64,
    seed: u64,
    gap: Option<f64>,
    guess: String,
    ends: Vec<f64>,
    is_fast: bool,
    window: Window,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Window {
    #[default]
    Hann,
    Flat,
}

impl Parameters for Tried {}

/// A file with parameters, or what is typed of them: what is computed with is what is recorded, and
/// what is recorded is what is computed with again.
pub(super) fn parameters(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let given = match kind % 3 {
        0 => given::parsed(text, false),
        1 => given::parsed(text, true),
        _ => Ok(typed(text)),
    };
    let Ok(tried) = given.map(|given| parameters::from_values::<Tried>("Tried", &given)) else {
        return;
    };
    let Ok((_, values)) = tried.and_then(|tried| parameters::settle("Tried", &tried)) else {
        return;
    };
    let text = canonical(values.into());
    let recorded: Map<String, Value> = serde_json::from_str(&text).expect("canonical JSON is JSON");
    let again = parameters::from_recorded::<Tried>("Tried", &recorded);
    let again = again.and_then(|again| parameters::settle("Tried", &again));
    assert_eq!(again.map(|(_, values)| canonical(values.into())).ok(), Some(text));
}

/// `key=value` in each line.
fn typed(text: &str) -> Map<String, Value> {
    let known = parameters::describe::<Tried>();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, text)| {
            let info = known.iter().find(|info| info.name == name);
            (name.to_owned(), given::value(text, info))
        })
        .collect()
}

/// A selection is what it is when it is written down again, and selects what its numbers say.
pub(super) fn selection(data: &[u8]) {
    let mut drawn = Drawn(data);
    let lengths = [0; 2].map(|_| 1 + drawn.small() % 20);
    let (first, count) = (drawn.small(), drawn.small());
    let Ok(text) = std::str::from_utf8(drawn.0) else { return };
    let Ok(selection) = text.parse::<Selection>() else { return };
    assert_eq!(selection.to_string().parse(), Ok(selection.clone()));
    let grid = grid_of(&lengths);
    let (selected, expected): (_, Box<dyn Fn(u64) -> bool>) = match &selection {
        Selection::Positions(bounds) => {
            let bounds = *bounds;
            (range_within(bounds, &grid), Box::new(move |position| holds(bounds, position)))
        }
        Selection::Steps(bounds) => {
            let grid = grid.clone();
            let holds = move |position| {
                let steps = grid.steps_of(position);
                steps.iter().zip(bounds).all(|(step, bounds)| holds(*bounds, (*step).into()))
            };
            (steps_within(bounds, &grid_of(&lengths)).map(Selected::Steps), Box::new(holds))
        }
        _ => return,
    };
    let Ok(selected) = selected else { return };
    let first = first.min(grid.rows());
    let mut pending = vec![1; count.min(grid.rows() - first)];
    selected.narrow(&grid, first as u64, &mut pending).expect("no file is read");
    for (position, pending) in (first as u64..).zip(pending) {
        assert_eq!(pending == 1, expected(position), "{position}");
    }
}

fn grid_of(lengths: &[usize]) -> PositionGrid {
    let axis = |length: &usize| Dimension::new("", "", AxisValues::counted(*length));
    PositionGrid::full(lengths.iter().map(axis).collect())
}

fn holds(bounds: OpenRange, step: u64) -> bool {
    let within = step.checked_sub(bounds.start.unwrap_or(0));
    within.is_some_and(|within| within % bounds.step.unwrap_or(1) == 0)
        && bounds.end.is_none_or(|end| step < end)
}

/// Words typed on a command line, with a NUL between each and the next, are understood or refused.
pub(super) fn command_line(data: &[u8]) {
    let words = data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let typed: Vec<OsString> = std::iter::once("pixelmill".into()).chain(words).collect();
    if let Err(refused) = words::parsed(&[], typed) {
        assert!(!refused.to_string().is_empty());
    }
}

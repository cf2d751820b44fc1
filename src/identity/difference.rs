//! What tells two computations apart, in words: the first thing that differs between the canonical
//! JSON of a results group and that of the computation at hand.

use serde_json::Value;

use super::Identity;

/// The first thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What it is, with both values where these can be read.
    pub text: String,
    /// Whether it lies in the source or in an input, not in what the user asks for.
    pub is_in_data: bool,
}

/// What differs first between the computation that a group recorded as `stored` and `ours`; none if
/// nothing does.
pub(crate) fn first_difference(stored: &str, ours: &Identity) -> Option<Difference> {
    // Both as they were written, since the same number may be kept in different ways.
    let ordered = serde_json::to_value(ours).unwrap_or_default();
    let stored = serde_json::from_str::<Value>(stored).unwrap_or_default();
    let ours = serde_json::from_str::<Value>(&ours.canonical_json()).unwrap_or_default();
    between(&stored, &ours, &ordered)
}

/// What the user asks for.
const ASKED: [&str; 8] = [
    "process",
    "process_version",
    "parameters",
    "input",
    "allow_rounding",
    "field",
    "corrections",
    "selection",
];

/// The same of what both say, in the order of `ordered`.
pub(crate) fn between(stored: &Value, ours: &Value, ordered: &Value) -> Option<Difference> {
    if !stored.get("source").is_some_and(Value::is_object) {
        let text = "another version of pixelmill recorded it in another form".to_owned();
        return Some(Difference { text, is_in_data: false });
    }
    let mut steps = Vec::new();
    let (was, is) = differing(&mut steps, stored, ours, ordered)?;
    let way: Vec<&str> = steps.iter().map(String::as_str).collect();
    // A crop shows in the axes as well.
    let excerpt = |of: &Value| of.get("source").and_then(|source| source.get("excerpt")).cloned();
    let is_asked = match way.as_slice() {
        ["source", ..] if excerpt(stored) != excerpt(ours) => true,
        // Other values under the same name.
        ["corrections", _, what, ..] if ARRAY.contains(what) => false,
        [section, ..] => ASKED.contains(section),
        [] => false,
    };
    let text = match way.as_slice() {
        ["corrections", rest @ ..] => corrected(rest, ours, &was, &is),
        ["selection", ..] => selected(stored, ours),
        _ => told(&subject(&steps, ours), &was, &is),
    };
    Some(Difference { is_in_data: !is_asked, text })
}

/// How many positions are folded, there and here.
fn selected(stored: &Value, ours: &Value) -> String {
    let count = |of: &Value| {
        let positions = of.get("selection").and_then(|selection| selection.get("positions"));
        positions.map_or("all".to_owned(), |count| format!("{count} of them"))
    };
    format!("the positions: {} there, {} here", count(stored), count(ours))
}

/// What an array is, but for what it is called.
const ARRAY: [&str; 3] = ["shape", "element_type", "sha256"];

/// What can be corrected, as one would call it.
const CORRECTIONS: [(&str, &str); 4] = [
    ("dark", "dark"),
    ("gain", "gain"),
    ("dead_mask", "mask of dead pixels"),
    ("dead_list", "list of dead pixels"),
];

/// The way to a difference between corrections, and what is there.
fn corrected(steps: &[&str], ours: &Value, was: &Value, is: &Value) -> String {
    let called = |what: &str| {
        let known = CORRECTIONS.iter().find(|(name, _)| *name == what);
        known.map_or(what, |(_, called)| called).to_owned()
    };
    let one = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::Array(dead) => format!("{} of them", dead.len()),
        Value::Object(array) => array.get("dataset").map(Value::to_string).unwrap_or_default(),
        other => other.to_string(),
    };
    let all = |value: &Value| {
        let some = CORRECTIONS.iter().filter_map(|(name, called)| {
            let value = value.get(name)?;
            Some(format!("{called} {}", one(value)))
        });
        let some: Vec<String> = some.collect();
        if some.is_empty() { "none".to_owned() } else { some.join(", ") }
    };
    match steps {
        [] => format!("the corrections: {} there, {} here", all(was), all(is)),
        [what] => format!("the {}: {} there, {} here", called(what), one(was), one(is)),
        ["dead_list", ..] => format!("the {}: not the same", called("dead_list")),
        [what, "dataset", ..] => told(&format!("the {}", called(what)), was, is),
        [what, of, ..] => {
            let array = ours.get("corrections").and_then(|all| all.get(what));
            let of = if *of == "sha256" { "values".to_owned() } else { of.replace('_', " ") };
            let name = array.map(one).unwrap_or_default();
            told(&format!("the {of} of the {} {name}", called(what)), was, is)
        }
    }
}

/// Goes down to the first difference, in the order of `ordered`, and keeps the way there in
/// `steps`.
fn differing(
    steps: &mut Vec<String>,
    was: &Value,
    is: &Value,
    ordered: &Value,
) -> Option<(Value, Value)> {
    if was == is {
        return None;
    }
    let below: Vec<String> = match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let names = ordered.as_object().map(|members| members.keys().cloned());
            let others = was.keys().chain(is.keys()).cloned();
            names.into_iter().flatten().chain(others).collect()
        }
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            (0..is.len()).map(|at| at.to_string()).collect()
        }
        _ => Vec::new(),
    };
    for step in below {
        let of = |value: &Value| member(value, &step).cloned().unwrap_or_default();
        steps.push(step.clone());
        if let Some(found) = differing(steps, &of(was), &of(is), &of(ordered)) {
            return Some(found);
        }
        steps.pop();
    }
    Some((was.clone(), is.clone()))
}

fn member<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match value {
        Value::Array(values) => values.get(step.parse::<usize>().ok()?),
        value => value.get(step),
    }
}

/// What the way leads to, as one would call it.
fn subject(steps: &[String], ours: &Value) -> String {
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let named = |way: &[&str], name: &str| {
        let found = way.iter().try_fold(ours, |value, step| member(value, step));
        found.and_then(|found| found.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    let spoken = |name: &str| name.replace('_', " ");
    match steps.as_slice() {
        ["parameters", name, ..] => match name.strip_prefix("python_") {
            Some(what) => format!("the Python {}", spoken(what)),
            None => format!("the parameter `{name}`"),
        },
        ["process_version"] => "the version of the process".to_owned(),
        ["allow_rounding"] => "whether values may be rounded".to_owned(),
        ["position_values"] => "the values of the positions".to_owned(),
        ["field"] => "the field that is computed on".to_owned(),
        ["input", what, ..] => format!("the {} that is computed with", spoken(what)),
        ["source_fingerprint"] => format!("the data of `{}`", named(&["source"], "dataset")),
        [
            "source",
            axes @ ("position_dimensions" | "spectroscopic_dimensions"),
            number,
            rest @ ..,
        ] => {
            let axis = format!("the axis `{}`", named(&["source", axes, number], "name"));
            match rest {
                ["values", at] if at.parse::<usize>().is_ok() => format!("value {at} of {axis}"),
                ["values", what @ ("first" | "last")] => format!("the {what} value of {axis}"),
                ["values", "step"] => format!("the step of {axis}"),
                [what, ..] => format!("the {what} of {axis}"),
                [] => axis,
            }
        }
        ["source", "excerpt", ..] => {
            format!("the part of the axes of `{}`", named(&["source"], "dataset"))
        }
        ["source", what, ..] => {
            format!("the {} of `{}`", spoken(what), named(&["source"], "dataset"))
        }
        ["auxiliary_inputs", number, what, ..] => {
            let input = named(&["auxiliary_inputs", number], "dataset");
            let what = if *what == "fingerprint" { "data".to_owned() } else { spoken(what) };
            format!("the {what} of `{input}`")
        }
        ["constant_inputs", number, what, ..] => {
            let input = named(&["constant_inputs", number], "dataset");
            let what = if *what == "sha256" { "values".to_owned() } else { spoken(what) };
            format!("the {what} of the constant `{input}`")
        }
        [what, ..] => format!("the {}", spoken(what)),
        [] => "everything".to_owned(),
    }
}

/// `the units of … were "V" and are "mV"`, as far as there are values to be read.
pub(super) fn told(subject: &str, was: &Value, is: &Value) -> String {
    let readable = |value: &Value| match value {
        Value::String(text) if is_digest(text) => None,
        Value::Null => Some("none".to_owned()),
        Value::Array(_) | Value::Object(_) | Value::String(_) if value.to_string().len() > 60 => {
            None
        }
        value => Some(value.to_string()),
    };
    match (readable(was), readable(is)) {
        (Some(was), Some(is)) => format!("{subject}: {was} there, {is} here"),
        _ => format!("{subject}: not the same"),
    }
}

fn is_digest(text: &str) -> bool {
    [32, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::super::tests::identity;
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_told_in_words() {
        let ours = identity(json!({"width_min": 20.0, "seed": (1u64 << 53) + 1, "shift": 0.0}));
        let told = |stored: &str| first_difference(stored, &ours).map(|found| found.text);
        let stored = ours.canonical_json();
        assert_eq!(told(&stored), None);
        let edited = |from: &str, to: &str| {
            assert!(stored.contains(from), "{from} is not in {stored}");
            told(&stored.replacen(from, to, 1)).unwrap()
        };
        for (from, to, text) in [
            (
                "\"width_min\":20",
                "\"width_min\":30",
                "the parameter `width_min`: 30 there, 20 here",
            ),
            ("\"shift\":0", "\"shift\":\"-0\"", "the parameter `shift`: \"-0\" there, 0 here"),
            ("\"shift\":0,", "", "the parameter `shift`: none there, 0 here"),
            (
                "\"values\":[0,0.5,1]",
                "\"values\":[0,0.25,1]",
                "value 1 of the axis `X`: 0.25 there, 0.5 here",
            ),
            (
                "\"values\":[0,0.5,1]",
                "\"values\":{\"first\":0,\"last\":1,\"sha256\":\"0\"}",
                "the values of the axis `X`",
            ),
            (
                "\"units\":\"V\"",
                "\"units\":\"mV\"",
                "the units of `/Measurement_000/Channel_000/Raw_Data`: \"mV\" there, \"V\" here",
            ),
            (
                "\"byte_order\":\"little\"",
                "\"byte_order\":\"big\"",
                "the byte order of `/Measurement_000/Channel_000/Raw_Data`: \"big\" there",
            ),
            (
                "\"process_version\":1",
                "\"process_version\":2",
                "the version of the process: 2 there, 1 here",
            ),
        ] {
            let found = edited(from, to);
            assert!(found.starts_with(text), "{found}");
        }
        assert!(told("{}").unwrap().contains("another version"));
        assert!(told("no JSON").unwrap().contains("another version"));
    }

    #[test]
    fn it_is_told_which_correction_differs() {
        use crate::identity::{ConstantIdentity, CorrectionsIdentity};
        use pixelmill_core::element::{ElementType, StoredType};
        use pixelmill_core::inputs::ConstantArray;

        let array = |path: &str, value: u8| {
            let stored = StoredType { element: ElementType::UInt8, swapped: false };
            let array = ConstantArray::new(path, vec![1], (&[value], stored), stored.element);
            Some(ConstantIdentity::of(&array))
        };
        let with = |arrays, dead| {
            let corrections = Some(CorrectionsIdentity::of(arrays, dead));
            super::super::Identity { corrections, ..identity(json!({})) }
        };
        let dark = || with([array("d.npy", 1), None, None], None);
        let dead = |dead: &[u64]| with([None, None, None], Some(dead.to_vec()));
        for (there, here, text, is_in_data) in [
            (
                identity(json!({})),
                dark(),
                "the corrections: none there, dark \"d.npy\" here",
                false,
            ),
            (
                dead(&[1, 2]),
                identity(json!({})),
                "the corrections: list of dead pixels 2 of them there, none here",
                false,
            ),
            (
                dark(),
                with([array("d.npy", 2), None, None], None),
                "the values of the dark \"d.npy\": not the same",
                true,
            ),
            (
                dark(),
                with([array("e.npy", 1), None, None], None),
                "the dark: \"d.npy\" there, \"e.npy\" here",
                false,
            ),
            (
                dark(),
                with([array("d.npy", 1), array("g.npy", 1), None], None),
                "the gain: none there, \"g.npy\" here",
                false,
            ),
            (dead(&[1]), dead(&[2]), "the list of dead pixels: not the same", false),
            (
                dead(&[1]),
                dead(&[2, 3, 4]),
                "the list of dead pixels: 1 of them there, 3 of them here",
                false,
            ),
        ] {
            let found = first_difference(&there.canonical_json(), &here).unwrap();
            assert_eq!(found, Difference { text: text.to_owned(), is_in_data });
        }
    }

    #[test]
    fn what_the_user_asks_for_is_told_before_what_the_data_are() {
        let ours = identity(json!({"a": 1}));
        let mut other = identity(json!({"a": 2}));
        other.source_fingerprint = "0".repeat(32);
        let first = first_difference(&other.canonical_json(), &ours).unwrap();
        assert!(!first.is_in_data && first.text.contains("parameter"), "{first:?}");
        other.parameters = json!({"a": 1});
        let first = first_difference(&other.canonical_json(), &ours).unwrap();
        assert!(first.is_in_data && first.text.contains("the data of"), "{first:?}");
    }
}

//! Whether a results group holds the results of exactly this computation.

use serde_json::Value;

use super::Identity;
use super::difference::told;
use super::whereabouts::{SourceLocation, Whereabouts, paths_lead_to};
use crate::storage::results_group::Provenance;
use pixelmill_core::canonical::is_same_number;

/// Whether a results group holds the results of exactly this computation: by its hash, or, for
/// groups that have none, by the dataset and all parameters, if nothing else takes part.
pub(crate) fn is_same(group: &Provenance, identity: &Identity, source: &SourceLocation) -> bool {
    if group.tool != identity.process {
        return false;
    }
    match (&group.parameter_hash, whereabouts_of(group, source)) {
        (_, Whereabouts::Other) => false,
        (Some(hash), _) => *hash == identity.hash(),
        (None, Whereabouts::Known) => {
            identity.parameters.is_object() && unlike(group, identity).is_none()
        }
        (None, Whereabouts::Gone) => false,
    }
}

/// Whether a results group was computed from this dataset of this file.
pub(crate) fn whereabouts_of(group: &Provenance, source: &SourceLocation) -> Whereabouts {
    let is_dataset = |path: &Option<String>| path.as_ref() == Some(&source.dataset);
    match &source.other_file {
        None if is_dataset(&group.source_dataset) => Whereabouts::Known,
        Some(files) if is_dataset(&group.source_dataset_path) => paths_lead_to(group, files),
        _ => Whereabouts::Other,
    }
}

/// Why a group without our hash isn't of this computation, in words.
pub(crate) fn unlike(group: &Provenance, identity: &Identity) -> Option<String> {
    let beyond = || {
        let what = identity.beyond_parameters()?;
        Some(format!("another program computed it, which records nothing of {what}"))
    };
    other_parameter(group, &identity.parameters).or_else(beyond)
}

/// The first parameter in which a group without our hash isn't of this computation, in words:
/// all are compared, value by value. A parameter that is `null` isn't written.
fn other_parameter(group: &Provenance, parameters: &Value) -> Option<String> {
    let expected = parameters.as_object()?;
    let names = expected.keys().chain(group.parameters.keys());
    names.into_iter().find_map(|name| {
        let found = group.parameters.get(name).unwrap_or(&Value::Null);
        let wanted = expected.get(name);
        // One that the process doesn't know may have meant anything, whatever its value.
        let is_same = wanted.is_some_and(|wanted| same_value(found, wanted));
        let is = wanted.unwrap_or(&Value::Null);
        (!is_same).then(|| told(&format!("the parameter `{name}`"), found, is))
    })
}

fn same_value(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => is_same_number(found, expected),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| same_value(found, expected))
        }
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_of_a_foreign_group_are_compared_value_by_value() {
        let wanted = json!({
            "width_min": 20.0, "num_steps": 30, "gap_threshold": null, "shift": 0.0,
            "seed": (1u64 << 53) + 1,
        });
        let group = |parameters: Value| Provenance {
            parameters: parameters.as_object().cloned().unwrap_or_default(),
            ..Provenance::default()
        };
        let same = |changed: Value| {
            let mut parameters = json!({
                "width_min": 20, "num_steps": 30, "shift": 0, "seed": (1u64 << 53) + 1,
            });
            for (name, value) in changed.as_object().unwrap() {
                parameters[name] = value.clone();
            }
            other_parameter(&group(parameters), &wanted).is_none()
        };
        assert!(same(json!({})));
        let of_two = group(json!({"width_min": 30, "num_steps": 31, "seed": 9, "more": 1}));
        let first = other_parameter(&of_two, &wanted).unwrap();
        assert_eq!(first, "the parameter `width_min`: 30 there, 20.0 here");
        let unknown = group(json!({"width_min": 20.0, "more": 1}));
        let first = other_parameter(&unknown, &json!({"width_min": 20.0})).unwrap();
        assert_eq!(first, "the parameter `more`: 1 there, none here");
        assert!(!same(json!({"width_min": 20.000001})));
        assert!(!same(json!({"algorithm": "other"})));
        assert!(!same(json!({"width_min": null})));
        assert!(!same(json!({"gap_threshold": 2})));
        assert!(!same(json!({"shift": -0.0})));
        assert!(!same(json!({"shift": "0"})));
        assert!(!same(json!({"seed": 1u64 << 53})));
        assert!(!same(json!({"seed": (1u64 << 53) as f64})));
        assert!(!same(json!({"seed": "9007199254740993"})));
    }
}

//! What makes two results the same: canonical parameters, their hash, and the search among the
//! results groups of a file.
//!
//! The rule is strict on purpose. pyUSID matches names by substring and numbers by `allclose`, and
//! overlooks extra parameters, changed data and other source files; each of these hands out wrong
//! results in silence.

use serde::Serialize;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

use crate::source::hex;
use crate::storage::results_group::Provenance;

/// Integers beyond this can't be told from their neighbours as JSON numbers (RFC 8785, IEEE 754).
const EXACT: u64 = 1 << 53;

/// Everything that a result depends on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Identity {
    pub process: String,
    pub process_version: u32,
    /// All parameters, defaults included.
    pub parameters: Value,
    pub source_dataset: String,
    /// Shape of the source dataset, and which of its axes are positions, slowest first.
    pub shape: Vec<u64>,
    pub position_axes: Vec<usize>,
    pub element_type: String,
    pub auxiliary_inputs: Vec<AuxiliaryIdentity>,
    pub source_fingerprint: String,
}

/// What a result depends on of an auxiliary input.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuxiliaryIdentity {
    pub dataset: String,
    pub columns: usize,
    pub fingerprint: String,
}

impl Identity {
    /// RFC 8785 canonical JSON.
    pub fn canonical_json(&self) -> String {
        canonical(&exact(serde_json::to_value(self).unwrap_or_default()))
    }

    /// The same, but for the data themselves.
    pub fn without_data(&self) -> Self {
        let mut outline = self.clone();
        outline.source_fingerprint.clear();
        for input in &mut outline.auxiliary_inputs {
            input.fingerprint.clear();
        }
        outline
    }

    /// SHA-256 of the canonical JSON, as hexadecimal digits.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.canonical_json()))
    }
}

fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// Replaces integers that JSON numbers can't hold exactly by strings.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) if !is_exact(&number) => Value::String(number.to_string()),
        Value::Array(values) => values.into_iter().map(exact).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, exact(value))).collect()
        }
        other => other,
    }
}

fn is_exact(number: &Number) -> bool {
    match (number.as_u64(), number.as_i64()) {
        (Some(value), _) => value <= EXACT,
        (None, Some(value)) => value.unsigned_abs() <= EXACT,
        (None, None) => true,
    }
}

/// Where a source is, for comparing it with what a results group says of its own.
#[derive(Clone, Debug)]
pub(crate) struct SourceLocation {
    pub dataset: String,
    /// The source's file, if results go to another one.
    pub other_file: Option<String>,
}

/// Whether a results group holds the results of exactly this computation.
pub(crate) fn is_same(group: &Provenance, identity: &Identity, source: &SourceLocation) -> bool {
    if group.tool != identity.process || !same_source(group, source) {
        return false;
    }
    match &group.parameter_hash {
        Some(hash) => *hash == identity.hash(),
        None => same_parameters(group, &identity.parameters),
    }
}

/// Whether a results group was computed from this dataset of this file.
pub(crate) fn same_source(group: &Provenance, source: &SourceLocation) -> bool {
    match &source.other_file {
        None => group.source_dataset.as_ref() == Some(&source.dataset),
        Some(file) => {
            group.source_file_path.as_ref() == Some(file)
                && group.source_dataset_path.as_ref() == Some(&source.dataset)
        }
    }
}

/// For groups without our hash: the same set of parameters, value by value. A parameter that is
/// `null` isn't written.
fn same_parameters(group: &Provenance, parameters: &Value) -> bool {
    let Some(expected) = parameters.as_object() else {
        return false;
    };
    let known = expected.keys().all(|name| {
        same_value(group.parameters.get(name).unwrap_or(&Value::Null), &expected[name])
    });
    known && group.parameters.keys().all(|name| expected.contains_key(name))
}

fn same_value(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            match (found.as_i64(), expected.as_i64()) {
                (Some(found), Some(expected)) => found == expected,
                _ => found.as_f64() == expected.as_f64(),
            }
        }
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

    fn identity(parameters: Value) -> Identity {
        Identity {
            process: "Peak_Finding".into(),
            process_version: 1,
            parameters,
            source_dataset: "/Measurement_000/Channel_000/Raw_Data".into(),
            shape: vec![4096, 119],
            position_axes: vec![0],
            element_type: "complex64".into(),
            auxiliary_inputs: Vec::new(),
            source_fingerprint: "ab".into(),
        }
    }

    #[test]
    fn the_order_in_which_parameters_were_given_does_not_matter() {
        let one = identity(json!({"b": 1, "a": 20.0, "c": null}));
        let other = identity(json!({"c": null, "a": 20, "b": 1.0}));
        assert_eq!(one.hash(), other.hash());
        assert!(one.canonical_json().contains(r#""parameters":{"a":20,"b":1,"c":null}"#));
    }

    #[test]
    fn everything_a_result_depends_on_changes_the_hash() {
        let base = identity(json!({"a": 1}));
        let mut others = vec![identity(json!({"a": 1.0000000000000002}))];
        for change in [
            |i: &mut Identity| i.process.push('x'),
            |i: &mut Identity| i.process_version += 1,
            |i: &mut Identity| i.source_dataset.push('x'),
            |i: &mut Identity| i.shape = vec![119, 4096],
            |i: &mut Identity| i.position_axes = vec![1],
            |i: &mut Identity| i.element_type = "complex128".into(),
            |i: &mut Identity| i.source_fingerprint = "ac".into(),
            |i: &mut Identity| {
                i.auxiliary_inputs.push(AuxiliaryIdentity {
                    dataset: "/Guess".into(),
                    columns: 1,
                    fingerprint: "00".into(),
                });
            },
        ] {
            let mut changed = base.clone();
            change(&mut changed);
            others.push(changed);
        }
        for other in others {
            assert_ne!(base.hash(), other.hash(), "{other:?}");
        }
    }

    #[test]
    fn integers_beyond_exact_floats_stay_apart() {
        let large = identity(json!({"seed": (1u64 << 53) + 1}));
        let larger = identity(json!({"seed": (1u64 << 53) + 2}));
        assert_ne!(large.hash(), larger.hash());
        assert!(large.canonical_json().contains(r#""seed":"9007199254740993""#));
    }

    #[test]
    fn parameters_of_a_foreign_group_are_compared_value_by_value() {
        let wanted = json!({"width_min": 20.0, "num_steps": 30, "gap_threshold": null});
        let group = |parameters: Value| Provenance {
            parameters: parameters.as_object().cloned().unwrap_or_default(),
            ..Provenance::default()
        };
        let same = |parameters| same_parameters(&group(parameters), &wanted);
        assert!(same(json!({"width_min": 20, "num_steps": 30})));
        assert!(!same(json!({"width_min": 20.000001, "num_steps": 30})));
        assert!(!same(json!({"width_min": 20, "num_steps": 30, "algorithm": "other"})));
        assert!(!same(json!({"width_min": 20})));
        assert!(!same(json!({"width_min": 20, "num_steps": 30, "gap_threshold": 2})));
    }
}

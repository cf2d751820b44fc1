//! JSON in which equal texts are equal values, and different ones different: RFC 8785 with what JSON's
//! numbers can't hold as strings.
//!
//! Those are integers beyond 2⁵³, the zero with a sign, and what isn't finite. A long list of numbers is
//! its digest, so that a person can still read the whole.

use serde_json::{Map, Number, Value, json};
use sha2::{Digest, Sha256};

use crate::axis_values::AxisValues;
use crate::hex::hex;

/// Integers beyond this can't be told from their neighbours as JSON numbers (RFC 8785, IEEE 754).
const EXACT: u64 = 1 << 53;

/// Longer lists of numbers are digests.
const READABLE: usize = 32;

/// RFC 8785 canonical JSON of a value, each number exact.
pub(crate) fn canonical(value: Value) -> String {
    let value = exact(value);
    serde_json_canonicalizer::to_string(&value).unwrap_or_else(|_| value.to_string())
}

/// Replaces what JSON numbers can't hold exactly by strings.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) => match inexact(&number) {
            Some(text) => Value::String(text),
            None => Value::Number(number),
        },
        Value::Array(values) => values.into_iter().map(exact).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, exact(value))).collect()
        }
        other => other,
    }
}

/// The text for a number that canonical JSON would take for another one.
fn inexact(number: &Number) -> Option<String> {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match magnitude {
        Some(magnitude) => (magnitude > EXACT).then(|| number.to_string()),
        None => number.as_f64().filter(|value| is_signed_zero(*value)).map(|_| "-0".to_owned()),
    }
}

fn is_signed_zero(value: f64) -> bool {
    value == 0.0 && value.is_sign_negative()
}

/// Undoes `exact` for a value that is to be a number, or has numbers in it; other texts stay.
pub(crate) fn numbers_again(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.parse::<Number>() {
            Ok(number) if inexact(&number).as_ref() == Some(text) => Value::Number(number),
            _ => value.clone(),
        },
        Value::Array(values) => values.iter().map(numbers_again).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), numbers_again(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Whether two numbers are the same, however they are written: 20 is 20.0, but 0 isn't -0.0.
pub(crate) fn is_same_number(one: &Number, other: &Number) -> bool {
    let text = |number: &Number| canonical(Value::Number(number.clone()));
    text(one) == text(other)
}

/// A number with all its bits.
fn number(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => exact(Value::Number(number)),
        None if value.is_nan() => json!(format!("NaN {:016x}", value.to_bits())),
        None => json!(value.to_string()),
    }
}

/// The values of an axis: what they are computed from if they are evenly spaced, themselves if they are few,
/// else a digest of all their bits.
pub(crate) fn axis_values(values: &AxisValues) -> Value {
    if let Some((first, step)) = values.as_even() {
        return json!({"first": number(first), "step": number(step)});
    }
    if values.len() <= READABLE {
        return values.iter().map(number).collect();
    }
    let mut hash = Sha256::new();
    let mut block = Vec::with_capacity(BLOCK);
    for value in values.iter() {
        block.extend_from_slice(&value.to_le_bytes());
        if block.len() == BLOCK {
            hash.update(&block);
            block.clear();
        }
    }
    hash.update(&block);
    json!({
        "first": values.first().map(number),
        "last": values.last().map(number),
        "sha256": hex(&hash.finalize()),
    })
}

/// Bytes that are hashed at a time: whole values.
const BLOCK: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_numbers_cannot_hold_is_text() {
        let value = json!({"b": [(1u64 << 53) + 1, -0.0, 0.0, 0, 20.0], "a": i64::MIN});
        let text = canonical(value);
        assert_eq!(text, r#"{"a":"-9223372036854775808","b":["9007199254740993","-0",0,0,20]}"#);
    }

    #[test]
    fn texts_that_stand_for_numbers_become_numbers_again_and_others_stay() {
        let text = json!(["-0", "9007199254740993", "-9007199254740993", "5", "0", "-1", "x", ""]);
        let again = numbers_again(&text);
        assert_eq!(
            again,
            json!([
                -0.0,
                9_007_199_254_740_993_u64,
                -9_007_199_254_740_993_i64,
                "5",
                "0",
                "-1",
                "x",
                ""
            ])
        );
        assert!(again[0].as_f64().is_some_and(is_signed_zero));
    }

    #[test]
    fn values_that_differ_in_one_bit_differ() {
        let digest = |values: &[f64]| canonical(axis_values(&values.to_vec().into()));
        for length in [1, READABLE, READABLE + 1, 5000] {
            let base = vec![0.0; length];
            let mut others = vec![base.clone(); 3];
            others[0][length - 1] = -0.0;
            others[1][length / 2] = f64::NAN;
            others[2][length / 2] = f64::from_bits(f64::NAN.to_bits() + 1);
            others.push(vec![0.0; length + 1]);
            others.push(base);
            let mut told: Vec<String> = others.iter().map(|values| digest(values)).collect();
            told.sort();
            told.dedup();
            assert_eq!(told.len(), 5, "{length}: {told:?}");
            assert!(told.iter().all(|text| text.len() < 600), "{told:?}");
        }
        let even =
            |first: f64, step: f64| canonical(axis_values(&AxisValues::even(first, step, 9)));
        assert_eq!(even(0.0, 0.5), r#"{"first":0,"step":0.5}"#);
        assert_ne!(even(0.0, 0.5), even(-0.0, 0.5));
        assert_ne!(even(0.0, 0.5), even(0.0, 0.5f64.next_up()));
    }

    proptest! {
        #[test]
        fn numbers_come_back_from_canonical_json_bit_by_bit(bits: u64, integer: i64) {
            let value = f64::from_bits(bits);
            if let Some(float) = Number::from_f64(value) {
                let text = canonical(json!({"value": float, "integer": integer}));
                let again = numbers_again(&serde_json::from_str(&text).unwrap());
                prop_assert_eq!(again["value"].as_f64().map(f64::to_bits), Some(bits));
                prop_assert_eq!(again["integer"].as_i64(), Some(integer));
            }
        }

        #[test]
        fn numbers_are_the_same_only_if_they_are(one: f64, other: f64) {
            let number = |value| Number::from_f64(value).unwrap();
            if one.is_finite() && other.is_finite() {
                let same = is_same_number(&number(one), &number(other));
                prop_assert_eq!(same, one.to_bits() == other.to_bits());
                prop_assert!(is_same_number(&number(one), &number(one)));
            }
        }
    }
}

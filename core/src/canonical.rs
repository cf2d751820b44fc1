//! JSON in which equal texts are equal values, and different ones different: RFC 8785 with what
//! JSON's numbers can't hold as strings.
//!
//! Those are integers beyond 2⁵³, the zero with a sign, and what isn't finite.

use serde_json::{Map, Number, Value, json};

/// Integers beyond this can't be told from their neighbours as JSON numbers (RFC 8785, IEEE 754).
const EXACT: u64 = 1 << 53;

/// RFC 8785 canonical JSON of a value, each number exact.
pub fn canonical(value: Value) -> String {
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
pub fn numbers_again(value: &Value) -> Value {
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
pub fn is_same_number(one: &Number, other: &Number) -> bool {
    let text = |number: &Number| canonical(Value::Number(number.clone()));
    text(one) == text(other)
}

/// A number with all its bits.
pub fn number(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => exact(Value::Number(number)),
        None if value.is_nan() => json!(format!("NaN {:016x}", value.to_bits())),
        None => json!(value.to_string()),
    }
}

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

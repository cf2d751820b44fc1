//! The values of an axis in an identity.

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::canonical::number;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// Longer lists of numbers are digests, so that a person can still read the whole.
const READABLE: usize = 32;

/// The values of an axis: what they are computed from if they are evenly spaced, themselves if they
/// are few, else a digest of all their bits.
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
    use pixelmill_core::canonical::canonical;

    use super::*;

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
}

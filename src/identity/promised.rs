//! Results that others take before all of them are there: what stands for their fingerprint
//! meanwhile, and how results that took some of them are told from others.

use serde_json::Value;

/// What stands for the fingerprint of results that aren't all there yet: what these are recognised
/// by. Whoever takes some of them is known by it until all are there.
pub(crate) fn promised(hash: &str) -> String {
    format!("{PROMISED}{hash}")
}

/// Whether a fingerprint is one of results that weren't all there.
pub(crate) fn is_promised(fingerprint: &str) -> bool {
    fingerprint.starts_with(PROMISED)
}

/// Whether an identity, as results have it written, is of some that took others which weren't all
/// there: nobody has compared yet whether what they took is what is there now.
pub(crate) fn is_provisional(identity: &str) -> bool {
    let Ok(identity) = serde_json::from_str::<Value>(identity) else { return false };
    let inputs = identity.get("auxiliary_inputs").and_then(Value::as_array);
    let fingerprint = |input: &Value| input["fingerprint"].as_str().is_some_and(is_promised);
    inputs.is_some_and(|inputs| inputs.iter().any(fingerprint))
}

const PROMISED: &str = "results of ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_provisional_by_the_fingerprint_of_an_input_alone() {
        let of = |fingerprint: &str| {
            let dataset = promised("a dataset");
            let input = serde_json::json!({ "dataset": dataset, "fingerprint": fingerprint });
            is_provisional(&serde_json::json!({ "auxiliary_inputs": [input] }).to_string())
        };
        assert!(of(&promised("5a")) && !of("5a"));
        assert!(!is_provisional("{}") && !is_provisional("results of "));
    }
}

//! Results that are kept beside a sample, in `data/`, and guard against changes that nobody wants.

use serde_json::{Map, Value};

use super::{python_function, root};

/// About so many numbers of each result of a group.
pub fn kept(file: &str, group: &Value, count: &str) -> Value {
    python_function("kept.py", "kept", [file, group.as_str().unwrap(), count])
}

/// Compares numbers of some results by process and name with those that are kept, each with how far
/// it may be off, as a part of the largest; `PIXELMILL_UPDATE_GOLDEN=1` writes them anew.
pub fn assert_golden(golden: &str, found: &Map<String, Value>, most: impl Fn(&str) -> f64) {
    let golden = root().join(golden);
    if std::env::var_os("PIXELMILL_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, serde_json::to_string_pretty(found).unwrap()).unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    for (process, results) in found {
        for (name, values) in results.as_object().unwrap() {
            let numbers = |values: &Value| -> Vec<f64> {
                let all = values.as_array().unwrap().iter();
                all.map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
            };
            let (found, expected) = (numbers(values), numbers(&expected[process][name]));
            let largest = expected.iter().fold(0.0f64, |most, number| most.max(number.abs()));
            assert_eq!(found.len(), expected.len(), "{process} {name}");
            for (found, expected) in found.iter().zip(&expected) {
                let is_same = found.is_nan() && expected.is_nan();
                let is_near = is_same || (found - expected).abs() <= most(process) * largest;
                assert!(is_near, "{process} {name}: {found} {expected}");
            }
        }
    }
}

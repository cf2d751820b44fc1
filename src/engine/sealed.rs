//! Lines that tell whether they are whole: JSON behind a hash of it, for what may be written over
//! when a run is killed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use twox_hash::XxHash3_128;

/// Something as such a line.
pub(crate) fn seal(content: &impl Serialize) -> String {
    let json = serde_json::to_string(content).unwrap_or_default();
    format!("{:032x} {json}", XxHash3_128::oneshot(json.as_bytes()))
}

/// What a line says, if it is whole.
pub(crate) fn unseal<T: DeserializeOwned>(line: &str) -> Option<T> {
    let (hash, json) = line.split_once(' ')?;
    let found = u128::from_str_radix(hash, 16).ok()?;
    let whole = found == XxHash3_128::oneshot(json.as_bytes());
    serde_json::from_str(json).ok().filter(|_| whole)
}

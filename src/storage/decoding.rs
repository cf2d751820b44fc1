//! What turns the stored bytes of a dataset into numbers: the stored type to the last bit, the
//! shape of chunks, their filters, and what stands where nothing was written.
//!
//! The same bytes under other rules are other data, so these rules are part of what a result is
//! known by. They are told in words that don't depend on the version of a container's library.

use serde::Serialize;

use super::filters::FilterInfo;

/// How the bytes of one dataset become numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Decoding {
    /// The stored type, with the names and places of its fields if it is a record.
    stored_type: String,
    /// Length of a chunk on each axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_shape: Option<Vec<usize>>,
    /// Number and settings of each filter, in the order in which a writer applies them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filters: Vec<String>,
    /// The bytes that stand where nothing was written, unless all of it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    fill_value: Option<String>,
}

impl Decoding {
    /// The rules of a dataset with these elements, chunks and filters; of one of which every value
    /// was written no fill value counts.
    pub fn new(
        stored_type: String,
        chunk_shape: Option<Vec<usize>>,
        filters: &[FilterInfo],
        fill_value: Option<&[u8]>,
    ) -> Self {
        let settings = |filter: &FilterInfo| {
            let numbers = filter.values.iter().map(u32::to_string);
            std::iter::once(filter.id.to_string()).chain(numbers).collect::<Vec<_>>().join(" ")
        };
        let hex = |value: &[u8]| value.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            stored_type,
            chunk_shape,
            filters: filters.iter().map(settings).collect(),
            fill_value: fill_value.map(hex),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_fill_values_count_where_they_decide() {
        let rules = Decoding::new("float".to_owned(), None, &[], None);
        assert_eq!(serde_json::json!(rules), serde_json::json!({"stored_type": "float"}));
        let shuffle = FilterInfo { id: 2, values: vec![4], name: "shuffle".to_owned() };
        let fill = 1.5f32.to_le_bytes();
        let rules = Decoding::new("float".to_owned(), Some(vec![2]), &[shuffle], Some(&fill));
        let expected = serde_json::json!({
            "stored_type": "float", "chunk_shape": [2], "filters": ["2 4"], "fill_value": "0000c03f",
        });
        assert_eq!(serde_json::json!(rules), expected);
    }
}

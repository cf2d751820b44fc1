//! Text that comes out of files: bytes that should be UTF-8.
//!
//! Programs of all ages wrote into files what their machines took for text. What is UTF-8 is taken
//! as it is; anything else as Latin-1, in which every byte is a letter, and who asks is told of it.

use std::cell::RefCell;

thread_local! {
    /// Texts that weren't UTF-8, while somebody listens.
    static FOREIGN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Bytes as text: UTF-8, else Latin-1.
pub fn decoded(bytes: &[u8]) -> String {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return text.to_owned(),
        Err(error) => error,
    };
    let (whole, _) = bytes.split_at(error.valid_up_to());
    // A field of fixed length may end within a letter; after others like it that is what happened.
    if error.error_len().is_none()
        && let Ok(text) = std::str::from_utf8(whole)
        && !text.is_ascii()
    {
        return text.to_owned();
    }
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    FOREIGN.with_borrow_mut(|foreign| {
        if let Some(foreign) = foreign.as_mut().filter(|foreign| !foreign.contains(&text)) {
            foreign.push(text.clone());
        }
    });
    text
}

/// What `read` gives, and the texts that weren't UTF-8 among those that it read: the many places
/// that read texts needn't pass this on.
pub fn listening<T>(read: impl FnOnce() -> T) -> (T, Vec<String>) {
    let outer = FOREIGN.replace(Some(Vec::new()));
    let value = read();
    let heard = FOREIGN.replace(outer).unwrap_or_default();
    (value, heard)
}

/// Bytes up to the first NUL, without spaces at the end.
pub fn of_fixed_length(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    decoded(&bytes[..end]).trim_end().to_owned()
}

/// What is left of a text that came from the wrapper, which takes all bytes for UTF-8.
pub fn mended(text: &str) -> String {
    decoded(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_text() {
        for (bytes, text) in [
            (&b"nA"[..], "nA"),
            ("µA".as_bytes(), "µA"),
            (b"\xb5A", "µA"),
            (b"Gr\xf6\xdfe", "Größe"),
            (b"\xc5", "Å"),
            // Cut within the last letter.
            (&"°µ".as_bytes()[..3], "°"),
            (b"", ""),
        ] {
            assert_eq!(decoded(bytes), text);
        }
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&every).chars().count(), 256);
    }

    #[test]
    fn who_listens_hears_of_each_foreign_text_once() {
        let (text, heard) = listening(|| {
            decoded("Ω".as_bytes());
            decoded(b"\xb5m");
            decoded(b"\xb5m")
        });
        assert_eq!((text.as_str(), heard), ("µm", vec!["µm".to_owned()]));
        decoded(b"\xb5");
        assert!(listening(|| decoded(b"m")).1.is_empty());
    }
}

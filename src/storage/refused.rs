//! What a container refuses, with its reason, before anybody says of what file and object.

use std::fmt;
use std::path::Path;

use pixelmill_core::advice::{Advice, Note};
use pixelmill_core::error::Error;

/// Why something can't be done with a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What was found.
    reason: String,
    /// The same as seen by who was asked.
    said: String,
    /// The bytes that the file has and needs, if it was cut off.
    cut_off: Option<(u64, u64)>,
    /// What can be done about it, where an error or a note that was met says so.
    advice: Option<Advice>,
}

impl Refused {
    /// What was found, and what the one who was asked makes of it.
    pub fn new(reason: String, said: String, cut_off: Option<(u64, u64)>) -> Self {
        Self { reason, said, cut_off, advice: None }
    }

    /// The same, with what can be done about it.
    pub fn advising(self, advice: Advice) -> Self {
        Self { advice: Some(advice), ..self }
    }

    /// It was refused on a file.
    pub fn on_file(&self, action: &'static str, path: &Path) -> Error {
        let (path, reason) = (path.to_owned(), self.reason.clone());
        match self.cut_off {
            Some((length, needed)) => Error::Truncated { path, length, needed },
            None => Error::Hdf5 { action, path, reason, advice: self.advice },
        }
    }

    /// It was refused on an object of a file.
    pub fn on_object(&self, action: &'static str, path: &Path, object: &str) -> Error {
        let (path, object, reason) = (path.to_owned(), object.to_owned(), self.reason.clone());
        Error::Hdf5Object { action, path, object, reason, advice: self.advice }
    }
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self { said: reason.clone(), reason, cut_off: None, advice: None }
    }
}

impl From<&str> for Refused {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

impl From<Note> for Refused {
    fn from(note: Note) -> Self {
        Self { advice: note.advice, ..note.text.into() }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Note::from(error).into()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_about_an_error_that_was_met_is_not_lost() {
        let met = Error::Worker { source: std::io::Error::other("none left") };
        let (advice, said) = (met.advice(), met.to_string());
        let refused = Refused::from(met);
        let again = refused.on_object("complete", Path::new("a.h5"), "/group");
        assert_eq!((refused.to_string(), again.advice()), (said, advice));
        assert!(advice.is_some());
        assert_eq!(Refused::from("no").on_file("open", Path::new("a.h5")).advice(), None);
    }
}

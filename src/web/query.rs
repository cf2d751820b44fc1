//! What stands behind the `?` of an address.

use std::borrow::Cow;

use pixelmill_core::error::{Error, Result};

/// Names with their values.
pub(super) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// What an address has.
    pub fn of(query: Option<&'a str>) -> Self {
        Self { pairs: form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect() }
    }

    /// The value of a name; one that is empty counts as left out.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_ref()).filter(|value| !value.is_empty())
    }

    /// A value as what it means.
    ///
    /// # Errors
    /// If it can't be understood.
    pub fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let refused =
            |text: &str, reason| Error::Argument { argument: format!("{name} {text}"), reason };
        self.get(name).map(|text| parse(text).map_err(|reason| refused(text, reason))).transpose()
    }
}

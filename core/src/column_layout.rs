//! What a results dataset is: its name, what it holds, and how that lies in memory and in the file.

use crate::dimension::Dimension;
use crate::element::{Element, ElementType};

/// What a results dataset is.
#[derive(Clone, Debug)]
pub struct ColumnLayout {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub quantity: String,
    /// Units of its values.
    pub units: String,
    /// Its own axes for one spectrum, slowest first; none for a single value.
    pub dimensions: Vec<Dimension>,
    /// One unnamed field for plain numbers, several named ones for compound records.
    pub fields: Vec<Field>,
    /// What the values of one spectrum are while there is no result; of what all spectra are
    /// folded into what one value is.
    pub missing: Vec<u8>,
}

/// A dataset of the results group that doesn't depend on the position.
pub struct Constant {
    /// What it is.
    pub layout: ColumnLayout,
    /// Its bytes.
    pub values: Vec<u8>,
}

/// One number of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name, if it is one of a record.
    pub name: Option<String>,
    /// Its element type.
    pub element: ElementType,
}

impl Constant {
    /// An array on the axes of `layout`.
    ///
    /// # Panics
    /// If it has no axes, or not as many values as they multiply to.
    pub fn new<T: Element>(layout: ColumnLayout, values: &[T]) -> Self {
        assert!(!layout.dimensions.is_empty(), "`{}` has no axes", layout.name);
        assert_eq!(values.len(), layout.values_per_spectrum(), "of `{}`", layout.name);
        let values_bytes = bytemuck::cast_slice(values).to_vec();
        Self { layout: layout.with::<T>(None), values: values_bytes }
    }
}

impl ColumnLayout {
    /// A dataset with nothing in it yet: [`Self::with`] says what.
    pub fn new(
        name: impl Into<String>,
        quantity: impl Into<String>,
        units: impl Into<String>,
        dimensions: Vec<Dimension>,
    ) -> Self {
        Self {
            name: name.into(),
            quantity: quantity.into(),
            units: units.into(),
            dimensions,
            fields: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Adds a number: the only one of a plain dataset, or a named field of a record.
    #[must_use]
    pub fn with<T: Element>(mut self, name: Option<String>) -> Self {
        self.push::<T>(name);
        self
    }

    /// Adds a number.
    pub fn push<T: Element>(&mut self, name: Option<String>) {
        self.fields.push(Field { name, element: T::TYPE });
        let missing = T::MISSING;
        let value = bytemuck::bytes_of(&missing);
        if self.fields.len() == 1 {
            self.missing = value.repeat(self.values_per_spectrum());
        } else {
            self.missing.extend_from_slice(value);
        }
    }

    /// Puts what there is while there is no result in place of the values of some spectra.
    pub fn fill_missing(&self, values: &mut [u8]) {
        let each = values.chunks_exact_mut(self.missing.len().max(1));
        each.for_each(|one| one.copy_from_slice(&self.missing));
    }

    /// Bytes of one value.
    pub fn value_bytes(&self) -> usize {
        self.fields.iter().map(|field| field.element.size()).sum()
    }

    /// Values per spectrum.
    pub fn values_per_spectrum(&self) -> usize {
        self.dimensions.iter().map(Dimension::len).product()
    }

    /// Bytes of the values of one spectrum.
    pub fn spectrum_bytes(&self) -> usize {
        self.values_per_spectrum() * self.value_bytes()
    }
}

//! What a computation is given besides its source: auxiliary inputs and constants, wherever they
//! lie.
//!
//! `find` looks for what was named, in the source's file, in the one that results go to, or in
//! another; `auxiliary` reads what has values for each position, `constant` arrays for the whole
//! run; `place` is what is told and recorded of where they were. Whether they are what they were is
//! the business of `evidence`, and their part of an identity is made from what they are, in
//! `identity`.

mod auxiliary;
mod constant;
mod find;
mod place;

pub(crate) use auxiliary::AuxiliaryReader;
pub(crate) use constant::{ConstantReader, SpectrumLayout};
pub(crate) use find::lack_around;
pub use place::{InputPlace, LiesIn};
pub(crate) use place::{are_where_recorded, recorded, told};

use std::path::Path;

use find::{Finder, Found, Sought};

use super::Request;
use super::data::Data;
use crate::identity::{AuxiliaryIdentity, SpectraIdentity};
use crate::source::Source;
use crate::storage::file::ReadFile;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::{ConstantArray, ConstantInput};
use pixelmill_core::kernel::Kernel;

/// Everything that a computation is given besides its source.
#[derive(Default)]
pub(crate) struct Inputs {
    pub auxiliary: Vec<AuxiliaryReader>,
    pub constants: Vec<ConstantReader>,
    /// Where each of them lies, in the order in which they were declared.
    pub places: Vec<InputPlace>,
    /// What stands for the fingerprint of an auxiliary input while it is computed, if it is of
    /// results that have a hash.
    pub promised: Vec<Option<String>>,
    /// Results that have to be of the source's own spectra: their group, and what they have
    /// recorded of what they were computed from.
    pub of_same_spectra: Vec<(String, String)>,
    /// Files of their own, held for their readers' locks.
    _files: Vec<ReadFile>,
}

/// What is looked for of an input of either kind.
macro_rules! sought {
    ($input:expr) => {
        Sought {
            named: $input.path(),
            results: $input.results_dataset(),
            is_of_same_spectra: $input.is_of_same_spectra(),
        }
    };
}

/// Looks for inputs, and opens what it finds.
pub(crate) struct InputOpener<'a> {
    finder: Finder<'a>,
    inputs: Inputs,
    data: &'a Data,
}

impl<'a> InputOpener<'a> {
    /// Looks in the source's file, which `source` is of, in the file `results`, and in any other
    /// that is named.
    ///
    /// # Errors
    /// If the source can't be read, and an input has to be of its spectra.
    pub fn new(
        file: &'a ReadFile,
        results: &'a Path,
        (kernel, request): (&'a dyn Kernel, &'a Request),
        source: &Source,
        data: &'a Data,
    ) -> Result<Self> {
        let finder = Finder::new(file, results, (kernel, request), source, data)?;
        Ok(Self { finder, inputs: Inputs::default(), data })
    }

    /// Opens what has values for each position, and notes in the source's description what it is.
    ///
    /// # Errors
    /// If something isn't there, or doesn't fit.
    pub fn auxiliary(
        &mut self,
        kernel: &dyn Kernel,
        source: &mut Source,
    ) -> Result<Vec<AuxiliaryIdentity>> {
        let data = self.data;
        let mut identities = Vec::new();
        for input in kernel.auxiliary_inputs() {
            let refused = |dataset: &str, reason: String| Error::Auxiliary {
                dataset: dataset.to_owned(),
                reason,
            };
            let sought = sought!(input);
            let found = self.finder.find(sought, &refused)?;
            self.inputs.note(sought, &found);
            let results = found.results();
            let (reader, info) = AuxiliaryReader::open(&input, found, source, &refused)?;
            let fingerprint = match &results {
                Some(of) if data.is_unfinished(of.file, &of.group) => of.promised.clone(),
                _ => data.fingerprint(reader.rows())?,
            };
            self.inputs.promised.push(results.map(|of| of.promised));
            identities.push(reader.identity(&info, fingerprint));
            self.inputs.auxiliary.push(reader);
            source.info.auxiliary.push(info);
        }
        Ok(identities)
    }

    /// Reads arrays for the whole run, for spectra that are seen so. All that are read together may
    /// take `memory` bytes.
    ///
    /// # Errors
    /// If something isn't there, doesn't fit, or is too large.
    pub fn constants(
        &mut self,
        declared: &[ConstantInput],
        spectrum: &SpectrumLayout<'_>,
        memory: u64,
    ) -> Result<Vec<ConstantArray>> {
        let mut arrays = Vec::new();
        for input in declared {
            let left = memory.saturating_sub(self.inputs.constant_bytes());
            let refused = |dataset: &str, reason: String| Error::Constant {
                dataset: dataset.to_owned(),
                reason,
            };
            let sought = sought!(input);
            let found = self.finder.find(sought, &refused)?;
            self.inputs.note(sought, &found);
            let (reader, array) =
                ConstantReader::open(input, found, spectrum, (left, memory), &refused)?;
            self.inputs.constants.push(reader);
            arrays.push(array);
        }
        Ok(arrays)
    }

    /// All that was opened.
    ///
    /// # Errors
    /// If the system can't give up a lock.
    pub fn finish(self) -> Result<Inputs> {
        Ok(Inputs { _files: self.finder.finish()?, ..self.inputs })
    }
}

impl Inputs {
    /// Notes where something was found, and what of it has to be of the source's spectra.
    fn note(&mut self, sought: Sought<'_>, found: &Found<'_>) {
        self.places.push(found.place.clone());
        let recorded = found.recorded().filter(|_| sought.is_of_same_spectra);
        self.of_same_spectra.extend(recorded);
        self.of_same_spectra.dedup();
    }

    /// In what the spectra of results that have to be of the source's own are others, in words.
    pub fn other_spectra(&self, spectra: &SpectraIdentity) -> Option<String> {
        self.of_same_spectra.iter().find_map(|(group, recorded)| {
            let other = spectra.unlike(recorded)?;
            Some(format!("{group} was computed from other spectra: {other}; compute it anew"))
        })
    }

    /// Bytes that all constants take.
    pub fn constant_bytes(&self) -> u64 {
        self.constants.iter().map(ConstantReader::bytes).sum()
    }
}

//! Processes of different types behind one face, so that a program can choose among them by name.
//!
//! A registry is a plain slice of `&dyn Runner`, in the order in which people are to see it:
//!
//! ```
//! use pixelmill::registry::{Runner, find, runner};
//! use pixelmill_processes::{PeakFinding, Sum};
//!
//! static PROCESSES: [&dyn Runner; 2] = [runner::<PeakFinding>(), runner::<Sum>()];
//! assert_eq!(find(&PROCESSES, "peak-finding").unwrap().name(), "Peak_Finding");
//! ```

use std::marker::PhantomData;
use std::path::Path;

use serde_json::{Map, Value};

use crate::engine::{self, Computed, Observer, Pixel, Probe, Request, Stop, Verification};
use crate::error::{Error, Result};
use crate::parameters::{self, ParameterInfo, from_recorded, from_values, nearest};
use crate::process::Process;

/// A process without its types. Only [`runner`] makes them.
pub trait Runner: sealed::Sealed + Sync {
    /// `Process::NAME`.
    fn name(&self) -> &'static str;
    /// `Process::VERSION`.
    fn version(&self) -> u32;
    /// `Process::SUMMARY`.
    fn summary(&self) -> &'static str;
    /// Its name on the command line: `Process::COMMAND`, or else `Peak_Finding` is `peak-finding`.
    fn command_name(&self) -> String;
    /// Its parameters, in the author's order.
    fn parameters(&self) -> Vec<ParameterInfo>;
    /// [`engine::compute`] with parameters by name; those left out have their default.
    ///
    /// # Errors
    /// See [`Error`].
    fn compute(
        &self,
        parameters: &Map<String, Value>,
        request: &Request,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<Computed>;
    /// Computes one position and writes nothing.
    ///
    /// # Errors
    /// See [`Error`].
    fn test(
        &self,
        parameters: &Map<String, Value>,
        request: &Request,
        pixel: &Pixel,
    ) -> Result<Probe>;
    /// Computes completed positions of a results group again and compares, with the parameters as the group
    /// records them.
    ///
    /// # Errors
    /// See [`Error`].
    fn verify(
        &self,
        parameters: &Map<String, Value>,
        request: &Request,
        results: &Path,
        group: &str,
        sample: u64,
    ) -> Result<Verification>;
}

mod sealed {
    pub trait Sealed {}
}

struct Typed<P>(PhantomData<fn() -> P>);

/// The runner of a process, for a registry.
pub const fn runner<P: Process>() -> &'static dyn Runner {
    &Typed::<P>(PhantomData)
}

impl<P: Process> sealed::Sealed for Typed<P> {}

impl<P: Process> Runner for Typed<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION
    }

    fn command_name(&self) -> String {
        P::COMMAND.map_or_else(|| P::NAME.to_lowercase().replace('_', "-"), str::to_owned)
    }

    fn summary(&self) -> &'static str {
        P::SUMMARY
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        parameters::describe::<P::Parameters>()
    }

    fn compute(
        &self,
        parameters: &Map<String, Value>,
        request: &Request,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<Computed> {
        let parameters = from_values::<P::Parameters>(P::NAME, parameters)?;
        engine::compute::<P>(&parameters, request, observer, stop)
    }

    fn test(
        &self,
        parameters: &Map<String, Value>,
        request: &Request,
        pixel: &Pixel,
    ) -> Result<Probe> {
        let parameters = from_values::<P::Parameters>(P::NAME, parameters)?;
        engine::test::<P>(&parameters, request, pixel)
    }

    fn verify(
        &self,
        parameters: &Map<String, Value>,
        request: &Request,
        results: &Path,
        group: &str,
        sample: u64,
    ) -> Result<Verification> {
        let parameters = from_recorded::<P::Parameters>(P::NAME, parameters)?;
        engine::verify::<P>(&parameters, request, results, group, sample)
    }
}

/// The process that a user names, by its name or its command name.
///
/// # Errors
/// If there is none, with the nearest name.
pub fn find<'r>(registry: &[&'r dyn Runner], name: &str) -> Result<&'r dyn Runner> {
    let names = || registry.iter().map(|runner| runner.command_name());
    let found = registry
        .iter()
        .find(|runner| runner.name() == name || runner.command_name() == name.replace('_', "-"));
    found.copied().ok_or_else(|| {
        let known: Vec<String> = names().collect();
        Error::UnknownProcess {
            name: name.to_owned(),
            nearest: nearest(name, known.iter().map(String::as_str)),
            known,
        }
    })
}

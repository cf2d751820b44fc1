//! Processes of different types, and whatever else makes kernels, behind one face, so that a
//! program can choose among them by name.
//!
//! A registry is a plain slice of `&dyn Runner`, in the order in which people are to see it.

use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::fold_kernel::fold_kernel_of;
use crate::kernel::Kernel;
use crate::map_kernel::kernel_of;
use crate::parameters::{self, ParameterInfo, from_recorded, from_values, nearest};
use crate::process::Process;
use crate::reduction::Reduction;

/// What can be run by its name. [`runner`] makes one of a process, [`reducer`] of a reduction;
/// whatever makes kernels may be another.
pub trait Runner: Sync {
    /// The name of its kernels.
    fn name(&self) -> &str;
    /// Their version.
    fn version(&self) -> u32;
    /// What it does, in one line.
    fn summary(&self) -> &str;
    /// Its parameters, in the author's order.
    fn parameters(&self) -> Vec<ParameterInfo>;
    /// Whether its kernels fold all positions into one answer.
    fn folds(&self) -> bool {
        false
    }
    /// Its name on the command line: `Peak_Finding` is `peak-finding`.
    fn command_name(&self) -> String {
        as_command(self.name())
    }
    /// A kernel with parameters by name; those left out have their default.
    ///
    /// # Errors
    /// If a parameter is unknown, or can't have its value.
    fn kernel(&self, parameters: &Map<String, Value>) -> Result<Arc<dyn Kernel>>;
    /// A kernel with the parameters that a results group records, where what JSON numbers can't
    /// hold is text.
    ///
    /// # Errors
    /// As above.
    fn recorded_kernel(&self, parameters: &Map<String, Value>) -> Result<Arc<dyn Kernel>> {
        self.kernel(parameters)
    }
}

fn as_command(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

struct Typed<P>(PhantomData<fn() -> P>);

/// The runner of a process, for a registry.
pub const fn runner<P: Process>() -> &'static dyn Runner {
    &Typed::<P>(PhantomData)
}

impl<P: Process> Runner for Typed<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION
    }

    fn command_name(&self) -> String {
        P::COMMAND.map_or_else(|| as_command(P::NAME), str::to_owned)
    }

    fn summary(&self) -> &str {
        P::SUMMARY
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        parameters::describe::<P::Parameters>()
    }

    fn kernel(&self, parameters: &Map<String, Value>) -> Result<Arc<dyn Kernel>> {
        kernel_of::<P>(&from_values(P::NAME, parameters)?)
    }

    fn recorded_kernel(&self, parameters: &Map<String, Value>) -> Result<Arc<dyn Kernel>> {
        kernel_of::<P>(&from_recorded(P::NAME, parameters)?)
    }
}

struct Folding<R>(PhantomData<fn() -> R>);

/// The runner of a reduction, for a registry.
pub const fn reducer<R: Reduction>() -> &'static dyn Runner {
    &Folding::<R>(PhantomData)
}

impl<R: Reduction> Runner for Folding<R> {
    fn name(&self) -> &str {
        R::NAME
    }

    fn version(&self) -> u32 {
        R::VERSION
    }

    fn folds(&self) -> bool {
        !R::PER_POSITION
    }

    fn command_name(&self) -> String {
        R::COMMAND.map_or_else(|| as_command(R::NAME), str::to_owned)
    }

    fn summary(&self) -> &str {
        R::SUMMARY
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        parameters::describe::<R::Parameters>()
    }

    fn kernel(&self, parameters: &Map<String, Value>) -> Result<Arc<dyn Kernel>> {
        fold_kernel_of::<R>(&from_values(R::NAME, parameters)?)
    }

    fn recorded_kernel(&self, parameters: &Map<String, Value>) -> Result<Arc<dyn Kernel>> {
        fold_kernel_of::<R>(&from_recorded(R::NAME, parameters)?)
    }
}

/// The processes that a user names, with commas between them.
///
/// # Errors
/// If there is none of a name, with the nearest name.
pub fn find_all<'r>(registry: &[&'r dyn Runner], names: &str) -> Result<Vec<&'r dyn Runner>> {
    names.split(',').map(|name| find(registry, name.trim())).collect()
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

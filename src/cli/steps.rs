//! What is to be computed, step by step: the processes that were typed, or those of a plan.
//!
//! A plan is a TOML or JSON file:
//!
//! ```toml
//! file = "scan.hspy"
//!
//! [[step]]
//! process = "center-of-mass"
//! name = "com"
//! parameters = { radius = 30 }
//!
//! [[step]]
//! process = "masks"
//! parameters = { shape = "ring", radius = 40, shifts = "@com/Shifts" }
//! ```
//!
//! What can be computed together is, in one pass over the data: a step that takes what each
//! position has in the results of another goes along with that one. What takes other results waits
//! for these.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::arguments::RunArguments;
use super::given;
use super::planned::Planned;
use crate::engine::{self, Asked, InputPlace, LiesIn, Request, ResultsDataset};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::parameters::nearest;
use pixelmill_core::registry::{self, Runner};

/// What a parameter that takes results of another step begins with.
const REFERENCE: char = '@';

/// Several computations of one file.
pub(crate) struct Steps<'r> {
    pub file: PathBuf,
    pub all: Vec<Step<'r>>,
}

/// One of them.
pub(crate) struct Step<'r> {
    /// What others call it.
    pub name: String,
    pub runner: &'r dyn Runner,
    said: Planned,
    /// The steps whose results it takes.
    pub after: Vec<usize>,
    /// Whether it can take these while they are computed, position by position.
    goes_along: bool,
}

/// Results that a step has.
pub(crate) struct StepResults {
    pub file: PathBuf,
    pub group: String,
}

/// A plan as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    file: Option<PathBuf>,
    #[serde(rename = "step")]
    steps: Vec<Planned>,
}

impl<'r> Steps<'r> {
    /// What was typed, or what the plan that was typed says.
    ///
    /// # Errors
    /// If that can't be understood.
    pub fn of(registry: &[&'r dyn Runner], typed: &RunArguments) -> Result<Self> {
        let (file, mut all) = match &typed.plan {
            Some(plan) => planned(registry, typed, plan)?,
            None => {
                let names = typed.process.as_deref().unwrap_or_default();
                let runners = registry::find_all(registry, names)?;
                let all: Vec<Step<'r>> = runners.into_iter().map(Step::of).collect();
                for (number, step) in all.iter().enumerate() {
                    if all[..number].iter().any(|other| other.name == step.name) {
                        let reason = "it is named twice; the steps of a --plan may be of the same \
                                      process, each with its own name and parameters";
                        return Err(refused(step.name.clone(), reason));
                    }
                }
                (typed.file.clone().unwrap_or_default(), all)
            }
        };
        if typed.resume.is_some() && all.len() > 1 {
            let reason = "it names the group of one process; several go on with their newest ones";
            return Err(refused("--resume".to_owned(), reason));
        }
        let named: Vec<_> = all.iter().map(|step| (step.name.as_str(), step.runner)).collect();
        let given = given::parameters_of_each(&named, &typed.what)?;
        for (step, given) in all.iter_mut().zip(given) {
            step.said.parameters.extend(given);
        }
        let mut steps = Self { file, all };
        steps.refer()?;
        Ok(steps)
    }

    /// Which steps can be computed now, of those that are `left`: their results are there of which
    /// they take any.
    pub fn ready(&self, left: &[usize], found: &[Option<StepResults>]) -> Vec<usize> {
        let is_there = |number: &usize| found.get(*number).is_some_and(Option::is_some);
        let is_ready = |number: &&usize| self.all[**number].after.iter().all(is_there);
        left.iter().filter(is_ready).copied().collect()
    }

    /// Which of those that are `left` can be computed together with some that are `ready`, since
    /// what they take of these is there position by position.
    pub fn along(
        &self,
        (ready, left): (&[usize], &[usize]),
        found: &[Option<StepResults>],
    ) -> Vec<usize> {
        let is_there = |number: &usize| {
            ready.contains(number) || found.get(*number).is_some_and(Option::is_some)
        };
        let goes_along = |number: &&usize| {
            let step = &self.all[**number];
            step.goes_along && step.after.iter().all(is_there)
        };
        left.iter().filter(goes_along).copied().collect()
    }

    /// The same, once all is checked that can be before any is computed: that they are what they
    /// may be, and that what they take of others will be there.
    ///
    /// # Errors
    /// If a step can't be as it is asked for, or there is no such dataset.
    pub fn checked(mut self, request: &Request) -> Result<Self> {
        let all: Vec<usize> = (0..self.all.len()).collect();
        let asked = self.asked(&all, request, &[])?;
        let are_all = |number: usize| asked[number].request.positions.is_none();
        for number in all {
            let mut goes_along = true;
            let step = &self.all[number];
            for (reference, of) in step.references().zip(&step.after) {
                // What waits for others itself can't be opened yet.
                let is_open = self.all[*of].after.is_empty();
                goes_along &= is_open && are_all(*of) && are_all(number);
                if is_open {
                    goes_along &= step.dataset(reference, &asked[*of])?.goes_along;
                }
            }
            self.all[number].goes_along = goes_along;
        }
        Ok(self)
    }

    /// Finds out which steps wait for which.
    fn refer(&mut self) -> Result<()> {
        for number in 0..self.all.len() {
            let mut after = Vec::new();
            for (of, _) in self.all[number].references() {
                let names = || self.all[..number].iter().map(|step| step.name.as_str());
                let found = names().position(|name| name == of);
                after.push(found.ok_or_else(|| {
                    let nearest = nearest(of, names());
                    let hint = nearest.map(|name| format!(" (did you mean `{name}`?)"));
                    let reason =
                        format!("no step before it is called `{of}`{}", hint.unwrap_or_default());
                    refused(format!("step {}", self.all[number].name), reason)
                })?);
            }
            self.all[number].after = after;
        }
        Ok(())
    }

    /// What is to be computed in some steps; `found` are the results that there are, step by step.
    ///
    /// # Errors
    /// If a step can't be as it is asked for.
    pub fn asked(
        &self,
        numbers: &[usize],
        request: &Request,
        found: &[Option<StepResults>],
    ) -> Result<Vec<Asked>> {
        let asked = numbers.iter().map(|number| {
            let step = &self.all[*number];
            let (parameters, inputs) = self.resolved(step, request, found);
            let kernel = step.runner.kernel(&parameters)?;
            let said = |option: &str| format!("step {}, {option}", step.name);
            Ok(Asked::new(kernel, Request { inputs, ..step.said.request(request, said)? }))
        });
        asked.collect()
    }

    /// The parameters of a step, with what the results are called that it takes of others, and
    /// where these lie: what is called so may be in the file of the data as well, and results
    /// that have files of their own are called the same from wherever they are named.
    fn resolved(
        &self,
        step: &Step<'_>,
        request: &Request,
        found: &[Option<StepResults>],
    ) -> (Map<String, Value>, Vec<InputPlace>) {
        let (mut parameters, mut places) = (step.said.parameters.clone(), Vec::new());
        for (_, value) in &mut parameters {
            let Some((name, dataset)) = referred(value) else { continue };
            let number = self.all.iter().position(|other| other.name == name);
            let results = number.and_then(|number| found.get(number)?.as_ref());
            if let Some(StepResults { file, group }) = results {
                let dataset = format!("{group}/{dataset}");
                let (named, lies_in) = if request.output.as_ref() == Some(file) {
                    (dataset.clone(), LiesIn::Results)
                } else if *file == request.file {
                    (dataset.clone(), LiesIn::Source)
                } else {
                    // Beside those that are computed from them, as all that are beside the data.
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let whole = canonicalize(file).unwrap_or_else(|_| file.clone());
                    let path = whole.to_string_lossy().into_owned();
                    let named = format!("{name}:{dataset}");
                    (named, LiesIn::File { path, relative: name })
                };
                *value = Value::from(named.as_str());
                places.push(InputPlace { named, lies_in, dataset });
            }
        }
        (parameters, places)
    }
}

impl<'r> Step<'r> {
    fn of(runner: &'r dyn Runner) -> Self {
        let (said, after) = (Planned::default(), Vec::new());
        Self { name: runner.command_name(), runner, said, after, goes_along: false }
    }

    /// The results dataset that one of its parameters names, of the step that has it.
    fn dataset(&self, (name, dataset): (&str, &str), of: &Asked) -> Result<ResultsDataset> {
        let known = engine::results_datasets(of)?;
        if let Some(found) = known.iter().find(|known| known.name == dataset) {
            return Ok(found.clone());
        }
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        let near = nearest(dataset, names.iter().copied());
        let hint = near.map(|near| format!("; did you mean `@{name}/{near}`?"));
        let reason = format!(
            "`{name}` has no results dataset `{dataset}`, but {}{}",
            names.join(", "),
            hint.unwrap_or_default()
        );
        Err(refused(format!("step {}", self.name), reason))
    }

    /// The steps and the datasets that its parameters name.
    fn references(&self) -> impl Iterator<Item = (&str, &str)> {
        self.said.parameters.values().filter_map(referred)
    }
}

/// The step and the dataset that a parameter refers to.
fn referred(value: &Value) -> Option<(&str, &str)> {
    value.as_str()?.strip_prefix(REFERENCE)?.split_once('/')
}

fn refused(argument: String, reason: impl Into<String>) -> Error {
    Error::Argument { argument, reason: reason.into() }
}

/// The file of a plan, and its steps.
fn planned<'r>(
    registry: &[&'r dyn Runner],
    typed: &RunArguments,
    path: &Path,
) -> Result<(PathBuf, Vec<Step<'r>>)> {
    let argument = || format!("--plan {}", path.display());
    if typed.file.is_some() {
        let reason = "what is computed is said in the plan; only the file may be named beside it";
        return Err(refused(argument(), reason));
    }
    let (text, is_toml) = given::text_of(path, "--plan")?;
    let read: Result<Plan, String> = if is_toml {
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            format!("{line}{}", error.message())
        })
    } else {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    let plan = read.map_err(|reason| refused(argument(), format!("it is no plan: {reason}")))?;
    // Of two words the first would be the process, of one it is the file.
    let file = typed.process.as_ref().map(PathBuf::from).or(plan.file);
    let file = file.ok_or_else(|| refused(argument(), "it names no file, and none was typed"))?;
    let mut all: Vec<Step<'r>> = Vec::new();
    for said in plan.steps {
        let mut step = Step::of(registry::find(registry, &said.process)?);
        step.name = said.name.clone().unwrap_or(step.name);
        if all.iter().any(|other| other.name == step.name) {
            let reason = format!("two steps are called `{}`: give one a name", step.name);
            return Err(refused(argument(), reason));
        }
        step.said = said;
        all.push(step);
    }
    if all.is_empty() {
        return Err(refused(argument(), "it has no [[step]]"));
    }
    Ok((file, all))
}

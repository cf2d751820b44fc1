//! What the command line says of errors: what was found, and what to type or to do about it. The only place that
//! tells people of options because of an error.

use std::borrow::Cow;

use crate::engine::Note;
use crate::engine::inspect::Problem;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, bytes};

/// An error in one line.
pub(crate) fn said(error: &Error) -> String {
    match error {
        Error::NoPositionsAxes { dataset, axes } => format!(
            "the file doesn't say which axes of `{dataset}` are positions; name them, slowest first, as in {}; \
             its axes: {}",
            example(axes.len()),
            axes.join(", ")
        ),
        Error::PositionsAxes { dataset, given, axes } => format!(
            "--positions-axes {given}: `{dataset}` has the axes {axes}; name some of them once, slowest first"
        ),
        Error::SeveralMainDatasets { file, candidates } => format!(
            "{} has {} main datasets; name one with --dataset: {}",
            file.display(),
            candidates.len(),
            candidates.join(", ")
        ),
        Error::OutputNamesSource { output, source_file } => format!(
            "--output: {} is another name of {}; leave --output out to write the results into that file, or \
             name another one",
            output.display(),
            source_file.display()
        ),
        _ => match error.advice() {
            Some(advice) => format!("{error}; {}", words(advice)),
            None => error.to_string(),
        },
    }
}

/// Why a dataset can't be computed on, in one line.
pub(crate) fn of_problem(problem: &Problem) -> String {
    match problem {
        Problem::Error(error) => said(error),
        Problem::Text(text) => text.clone(),
    }
}

/// A note in one line.
pub(crate) fn of_note(note: &Note) -> String {
    match note.advice {
        Some(advice) => format!("{}; {}", note.text, words(advice)),
        None => note.text.clone(),
    }
}

fn words(advice: Advice) -> Cow<'static, str> {
    Cow::Borrowed(match advice {
        Advice::CompareAllData(size) => {
            return format!("--check-data compares all {}", bytes(size)).into();
        }
        Advice::Unbind => "`--bind-to none` (Slurm: more --cpus-per-task) lets them use all",
        Advice::UseFewerCores => "try `--cores 1`",
        Advice::AllowMoreMemory => "raise --memory",
        Advice::RunAgain => "run the same command again",
        Advice::MakeRoom => "make room and run the same command again",
        Advice::MakeFolder => "make it first",
        Advice::CopyAgain => "copy it again from where it was measured",
        Advice::WaitForRun => "wait until that run has ended, or stop it",
        Advice::WaitOrClose => {
            "wait until that run has ended, or close it there (a notebook's file too)"
        }
        Advice::CloseFirst => "close it there first (a notebook's file too)",
        Advice::CloseOrWriteElsewhere => {
            "close it there (a notebook's file too) or write the results elsewhere with --output"
        }
        Advice::WriteElsewhere => "results can go to another file with --output",
        Advice::TellSource => "tell with --source FILE where it is",
    })
}

/// What one would type for an array with so many axes.
fn example(axes: usize) -> &'static str {
    match axes {
        // Of a single spectrum each channel would be a position.
        1 => "--positions-axes none if it is one measurement, or --positions-axes 0",
        2 => "--positions-axes 0",
        _ => "--positions-axes 0,1",
    }
}

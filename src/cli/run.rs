//! `pixelmill run`.

use std::time::Duration;

use super::arguments::RunArguments;
use super::progress::Display;
use super::{Answer, Ending, given, hints, show, signals};
use crate::engine::{
    self, Beginning, Compressed, Computed, Outcome, Ranks, Rehearsal, Report, Request, Stop,
};
use crate::plan::Reads;
use crate::wire;
use pixelmill_core::error::{Result, bytes};
use pixelmill_core::registry::{self, Runner};

/// Computes every position that was asked for.
pub(crate) fn run(
    registry: &[&dyn Runner],
    typed: &RunArguments,
    ranks: &Ranks,
    display: &Display,
) -> Result<Answer> {
    let runner = registry::find(registry, &typed.what.process)?;
    let kernel = runner.kernel(&given::parameters(runner, &typed.what)?)?;
    let stop = typed.stop_after.map_or_else(Stop::new, |time| Stop::new().after(time));
    signals::listen(&stop, ranks);
    let request = Request { ranks: ranks.clone(), ..request(typed) };
    let computed = engine::compute(&kernel, &request, display, &stop)?;
    let ending = match (computed.outcome, stop.signal()) {
        (Outcome::Stopped, Some(signal)) => Ending::Stopped { signal },
        (Outcome::Stopped, None) => Ending::Failed,
        _ if !computed.failed.is_empty() => Ending::DoneWithFailedPositions,
        _ => Ending::Done,
    };
    let is_told = !display.is_quiet() || ending != Ending::Done || is_unproved(&computed);
    let text = if is_told { text(runner, &computed) } else { String::new() };
    let json = wire::Answer::Run(Box::new(wire::Run::from(&computed)));
    Ok(Answer { ending, text, json: Some(json) })
}

/// Tells what a run would do.
pub(crate) fn rehearse(
    registry: &[&dyn Runner],
    typed: &RunArguments,
    display: &Display,
) -> Result<Answer> {
    let runner = registry::find(registry, &typed.what.process)?;
    let kernel = runner.kernel(&given::parameters(runner, &typed.what)?)?;
    let rehearsal = engine::rehearse(&kernel, &request(typed), display)?;
    let json = wire::Answer::Rehearsal((&rehearsal).into());
    Ok(Answer { ending: Ending::Done, text: rehearsed(&rehearsal), json: Some(json) })
}

fn rehearsed(rehearsal: &Rehearsal) -> String {
    let file = rehearsal.file.display();
    let begins = match &rehearsal.beginning {
        Beginning::Complete(group) => format!("{file}:{group} has all that is asked for"),
        Beginning::Partial(group) => format!("{file}:{group} would be gone on with"),
        Beginning::New => format!("a new group in {file}"),
    };
    let mut text = format!("{} of {}: nothing is written\n", rehearsal.process, rehearsal.dataset);
    text.push_str(&format!("  results   {begins}\n"));
    rehearsal.unused.iter().for_each(|reason| text.push_str(&format!("            {reason}\n")));
    text.push_str(&format!(
        "  positions {} of {} would be computed on {}, up to {} at a time\n",
        show::count(rehearsal.pending),
        show::count(rehearsal.positions),
        show::workers(rehearsal.workers),
        show::count(rehearsal.unit),
    ));
    let again = match rehearsal.decodes {
        Reads::Times(0 | 1) => String::new(),
        Reads::Times(times) => format!("; each chunk would be decoded {times} times"),
        Reads::SomeAgain => "; some chunks would be decoded more than once".to_owned(),
    };
    text.push_str(&format!("  memory    {}{again}\n", bytes(rehearsal.memory)));
    text.push_str(&format!("  output    {}\n", bytes(rehearsal.output_bytes)));
    text.push_str(&format!(
        "  time      some {}, writing aside\n",
        show::duration(rehearsal.estimate)
    ));
    text
}

/// Whether nobody knows if these are the results of the data as they are now.
fn is_unproved(computed: &Computed) -> bool {
    computed.outcome == Outcome::Existing && computed.parameter_hash.is_empty()
}

fn request(typed: &RunArguments) -> Request {
    Request {
        dataset: typed.what.dataset.clone(),
        field: typed.what.field.clone(),
        positions_axes: typed.what.positions_axes.clone().map(|axes| axes.0),
        crop: typed.what.crop.clone(),
        along: typed.what.along(),
        corrections: typed.what.corrections(),
        allow_rounding: typed.what.allow_rounding,
        output: typed.output.clone(),
        cores: typed.cores.unwrap_or_default(),
        memory: typed.memory,
        override_existing: typed.override_existing,
        resume: typed.resume.clone(),
        positions: typed.positions.clone(),
        retry_failed: typed.retry_failed,
        checkpoint: Duration::from_secs_f64(typed.checkpoint),
        durability: typed.durability.into(),
        check_data: typed.check_data,
        compress: typed.compress.into(),
        cache: typed.cache.into(),
        ..Request::new(&typed.what.file)
    }
}

fn text(runner: &dyn Runner, computed: &Computed) -> String {
    let mut text = match computed.outcome {
        Outcome::Existing if is_unproved(computed) => format!(
            "{} was computed before by another program with the same parameters; the results are \
             reused, but that program doesn't record whether the data have changed since\n",
            runner.name()
        ),
        Outcome::Existing => format!(
            "{} was computed before with the same parameters on the same data; the results are \
             reused\n",
            runner.name()
        ),
        Outcome::Finished => format!("{} is done\n", runner.name()),
        Outcome::Stopped => {
            format!("{} was stopped; the same command goes on with it\n", runner.name())
        }
    };
    text.push_str(&format!("  results   {}:{}\n", computed.file.display(), computed.group));
    let (done, all) = (computed.completed, computed.positions);
    text.push_str(&format!(
        "  completed {} of {} positions\n",
        show::count(done),
        show::count(all)
    ));
    if let Some(random) = computed.selection.as_ref().filter(|it| it.starts_with("random:")) {
        text.push_str(&format!("  chosen    {random}\n"));
    }
    if let Some(report) = &computed.report {
        text.push_str(&report_text(report));
        if report.ranks.len() > 1 {
            text.push_str(&ranks_text(report));
        }
    }
    if let Some(Compressed { before, after }) = computed.compressed {
        text.push_str(&format!("  compressed {} to {}\n", bytes(before), bytes(after)));
    }
    if !computed.failed.is_empty() {
        text.push_str(&show::failed(&computed.failed));
        text.push_str(match runner.folds() {
            true => "  what all are folded into is without them\n",
            false => "  --retry-failed computes them again\n",
        });
        text.push_str(hints::of_failures(&computed.failed));
    }
    text
}

/// Where the time went: workers' time in percent of all the workers had.
fn report_text(report: &Report) -> String {
    let seconds = report.elapsed.as_secs_f64().max(1e-9);
    let all = seconds * report.workers as f64;
    let share = |time: Duration| show::percent(time.as_secs_f64(), all);
    format!(
        "  speed     {} positions/s, {}, {} on {}\n  time      {} computing, {} reading, {} \
         writing, {} waiting\n",
        show::rate(report.positions as f64 / seconds),
        show::bytes_per_second(report.bytes as f64 / seconds),
        show::duration(report.elapsed),
        show::workers(report.workers),
        share(report.compute),
        share(report.read),
        share(report.write),
        share(report.wait),
    )
}

/// How the ranks shared the work.
fn ranks_text(report: &Report) -> String {
    let positions = || report.ranks.iter().map(|rank| rank.positions);
    let (least, most) = (positions().min().unwrap_or(0), positions().max().unwrap_or(0));
    let all = report.elapsed.as_secs_f64() * report.workers as f64;
    format!(
        "  ranks     {}, {} to {} positions each; the first was done {} before the last, {} idle\n",
        report.ranks.len(),
        show::count(least),
        show::count(most),
        show::percent(report.imbalance(), 1.0),
        show::percent(report.idle().as_secs_f64(), all),
    )
}

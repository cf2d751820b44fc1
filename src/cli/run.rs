//! `pixelmill run`.

use std::path::Path;
use std::time::Duration;

use super::arguments::RunArguments;
use super::progress::Display;
use super::steps::{Step, StepResults, Steps};
#[cfg(feature = "view")]
use super::view::{PageOfRun, Watchers};
use super::{Answer, Ending, hints, show, signals};
use crate::engine::{
    self, Asked, Beginning, Compressed, Computed, Observer, Outcome, Quiet, Ranks, Rehearsal,
    Report, Request, Stop,
};
use crate::plan::Reads;
use crate::wire;
use pixelmill_core::error::{Result, bytes};
use pixelmill_core::registry::Runner;

/// Computes every position that was asked for.
pub(crate) fn run(
    registry: &[&'static dyn Runner],
    typed: &RunArguments,
    ranks: &Ranks,
    display: &Display,
) -> Result<Answer> {
    let steps = Steps::of(registry, typed)?;
    let request = Request { ranks: ranks.clone(), ..request(&steps.file, typed) };
    let steps = steps.checked(&request)?;
    let stop = typed.stop_after.map_or_else(Stop::new, |time| Stop::new().after(time));
    signals::listen(&stop, ranks);
    #[cfg(not(feature = "view"))]
    let computed = compute(&steps, (&request, &stop), display)?;
    #[cfg(feature = "view")]
    let computed = {
        let page = PageOfRun::asked(registry, (&steps.file, typed), ranks, &stop)?;
        let watchers = Watchers { display, page: page.as_ref() };
        let computed = compute(&steps, (&request, &stop), &watchers);
        if let Some(page) = page {
            page.end(computed.as_ref().map(|computed| computed.iter().flatten()));
        }
        computed?
    };
    Ok(answer(&steps, &computed, &stop, display))
}

/// Computes the steps, as far as they get; none of one that wasn't begun.
fn compute(
    steps: &Steps<'_>,
    (request, stop): (&Request, &Stop),
    observer: &dyn Observer,
) -> Result<Vec<Option<Computed>>> {
    let mut computed: Vec<Option<Computed>> = steps.all.iter().map(|_| None).collect();
    let mut left: Vec<usize> = (0..steps.all.len()).collect();
    loop {
        let found: Vec<_> = computed.iter().map(|of| of.as_ref().and_then(results)).collect();
        let ready = steps.ready(&left, &found);
        // Not whether somebody has asked to stop: ranks hear of that at different times, and have
        // to go on alike. What is begun then ends as stopped.
        if ready.is_empty() {
            break;
        }
        let (numbers, asked) = together(steps, (ready, &left), found, (request, stop))?;
        left.retain(|number| !numbers.contains(number));
        let went_along: Vec<bool> = asked.iter().map(|asked| !asked.after.is_empty()).collect();
        let of_pass = engine::compute_all(asked, observer, stop)?;
        for ((number, went_along), of) in numbers.into_iter().zip(went_along).zip(of_pass) {
            let are_there = steps.all[number]
                .after
                .iter()
                .all(|of| computed[*of].as_ref().is_some_and(|of| of.outcome != Outcome::Stopped));
            if went_along && are_there && of.outcome == Outcome::Stopped {
                // It took something else than what there is now, or somebody asked to stop.
                left.push(number);
            }
            computed[number] = Some(of);
        }
    }
    Ok(computed)
}

/// What came of the steps.
fn answer(
    steps: &Steps<'_>,
    computed: &[Option<Computed>],
    stop: &Stop,
    display: &Display,
) -> Answer {
    let ended: Vec<_> = steps.all.iter().zip(computed).filter_map(ended).collect();
    let mut text = String::new();
    for (number, (step, of)) in ended.iter().enumerate() {
        if !display.is_quiet() || ending(of, stop) != Ending::Done || is_unproved(of) {
            // Of a pass it is told once where the time went.
            let later = || ended[number + 1..].iter().map(|(_, later)| later.report.as_ref());
            let report =
                of.report.as_ref().filter(|report| later().all(|later| later != Some(*report)));
            text.push_str(&told(step.runner, of, report));
        }
    }
    for (step, _) in steps.all.iter().zip(computed).filter(|(_, of)| of.is_none()) {
        text.push_str(&format!("{} was not begun\n", step.name));
    }
    let endings = ended.iter().map(|(_, of)| ending(of, stop));
    let ending = endings.max_by_key(|ending| weight(*ending)).unwrap_or(Ending::Done);
    let mut runs: Vec<wire::Run> = ended.iter().map(|(_, of)| wire::Run::from(*of)).collect();
    let json = match steps.all.len() {
        1 if runs.len() == 1 => wire::Answer::Run(Box::new(runs.remove(0))),
        _ => wire::Answer::Runs(wire::Runs { computations: runs }),
    };
    Answer { ending, text, json: Some(json) }
}

/// What is computed together: the steps that are `ready`, and those that go along with them.
fn together(
    steps: &Steps<'_>,
    (ready, left): (Vec<usize>, &[usize]),
    mut found: Vec<Option<StepResults>>,
    (request, stop): (&Request, &Stop),
) -> Result<(Vec<usize>, Vec<Asked>)> {
    let left: Vec<usize> = left.iter().filter(|of| !ready.contains(of)).copied().collect();
    let along = steps.along((&ready, &left), &found);
    if along.is_empty() {
        let asked = steps.asked(&ready, request, &found)?;
        return Ok((ready, asked));
    }
    let is_taken = |number: &&usize| along.iter().any(|of| steps.all[*of].after.contains(*number));
    let taken: Vec<usize> = ready.iter().filter(is_taken).copied().collect();
    let asked = steps.asked(&taken, request, &found)?;
    let begun = engine::begin_all(asked, &Quiet, stop)?;
    for (number, begun) in taken.iter().zip(&begun) {
        let (file, group) = (begun.file.clone(), begun.group.clone());
        found[*number] = Some(StepResults { file, group });
    }
    let mut numbers = [ready, along].concat();
    numbers.sort_unstable();
    let mut asked = steps.asked(&numbers, request, &found)?;
    for (number, asked) in numbers.iter().zip(&mut asked) {
        // Not yet another new one, where that is asked for.
        if let Some(at) = taken.iter().position(|of| of == number)
            && request.override_existing
        {
            asked.request.override_existing = false;
            asked.request.resume = Some(begun[at].group.clone());
        }
        let after = steps.all[*number].after.iter();
        let after = after.filter_map(|of| begun.get(taken.iter().position(|other| other == of)?));
        let unfinished = after.filter(|begun| begun.outcome == Outcome::Stopped);
        asked.after = unfinished.cloned().collect();
    }
    Ok((numbers, asked))
}

/// What came of a step, if it was begun.
fn ended<'s>(
    (step, computed): (&'s Step<'s>, &'s Option<Computed>),
) -> Option<(&'s Step<'s>, &'s Computed)> {
    computed.as_ref().map(|computed| (step, computed))
}

/// Where its results are, if they all are.
fn results(computed: &Computed) -> Option<StepResults> {
    let (file, group) = (computed.file.clone(), computed.group.clone());
    (computed.outcome != Outcome::Stopped).then_some(StepResults { file, group })
}

/// Tells what a run would do.
pub(crate) fn rehearse(
    registry: &[&dyn Runner],
    typed: &RunArguments,
    display: &Display,
) -> Result<Answer> {
    let steps = Steps::of(registry, typed)?;
    let request = request(&steps.file, typed);
    let steps = steps.checked(&request)?;
    let mut found: Vec<Option<StepResults>> = steps.all.iter().map(|_| None).collect();
    let (mut left, mut rehearsals) = ((0..steps.all.len()).collect::<Vec<_>>(), Vec::new());
    loop {
        let ready = steps.ready(&left, &found);
        if ready.is_empty() {
            break;
        }
        left.retain(|number| !ready.contains(number));
        let asked = steps.asked(&ready, &request, &found)?;
        for (number, rehearsal) in ready.into_iter().zip(engine::rehearse_all(&asked, display)?) {
            if let Beginning::Complete(group) = &rehearsal.beginning {
                let (file, group) = (rehearsal.file.clone(), group.clone());
                found[number] = Some(StepResults { file, group });
            }
            rehearsals.push(rehearsal);
        }
    }
    let mut text: String = rehearsals.iter().map(rehearsed).collect();
    for number in left {
        let step = &steps.all[number];
        let after: Vec<&str> =
            step.after.iter().map(|number| steps.all[*number].name.as_str()).collect();
        text.push_str(&format!("{} waits for the results of {}\n", step.name, after.join(", ")));
    }
    let mut told: Vec<wire::Rehearsal> = rehearsals.iter().map(wire::Rehearsal::from).collect();
    let json = match steps.all.len() {
        1 => wire::Answer::Rehearsal(told.remove(0)),
        _ => wire::Answer::Rehearsals(wire::Rehearsals { computations: told }),
    };
    Ok(Answer { ending: Ending::Done, text, json: Some(json) })
}

/// How one of the computations ended.
fn ending(computed: &Computed, stop: &Stop) -> Ending {
    match (computed.outcome, stop.signal()) {
        (Outcome::Stopped, Some(signal)) => Ending::Stopped { signal },
        (Outcome::Stopped, None) => Ending::Failed,
        _ if !computed.failed.is_empty() => Ending::DoneWithFailedPositions,
        _ => Ending::Done,
    }
}

/// Of several endings the heaviest is that of the command.
fn weight(ending: Ending) -> u8 {
    match ending {
        Ending::Done => 0,
        Ending::DoneWithFailedPositions => 1,
        Ending::Failed | Ending::Usage => 2,
        Ending::Stopped { .. } => 3,
    }
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
    let alone = if rehearsal.together_with.is_empty() { "" } else { " alone" };
    let about = if rehearsal.may_end_earlier { "at most" } else { "some" };
    text.push_str(&format!(
        "  time      {about} {}{alone}, writing aside\n",
        show::duration(rehearsal.estimate)
    ));
    if !rehearsal.together_with.is_empty() {
        let others = rehearsal.together_with.join(", ");
        text.push_str(&format!("  pass      together with {others}\n"));
    }
    text
}

/// Whether nobody knows if these are the results of the data as they are now.
fn is_unproved(computed: &Computed) -> bool {
    computed.outcome == Outcome::Existing && computed.parameter_hash.is_empty()
}

pub(super) fn request(file: &Path, typed: &RunArguments) -> Request {
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
        ..Request::new(file)
    }
}

fn told(runner: &dyn Runner, computed: &Computed, report: Option<&Report>) -> String {
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
    if let Some(report) = report {
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

//! `pixelmill remove`: says what would go, asks, and removes it.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use super::look::{group_details, group_line};
use super::progress::Display;
use super::{Answer, Ending, Face, hints, say, show};
use crate::engine::Removal;
use crate::wire;
use pixelmill_core::error::{Error, Result, bytes};

/// What is to be removed, and how.
pub(crate) struct Asked<'a> {
    pub file: &'a Path,
    pub group: &'a str,
    /// Whether nobody is to be asked.
    pub yes: bool,
    pub with_dependents: bool,
    /// Whether only to tell what would go.
    pub dry_run: bool,
}

/// A results group, and those that depend on it.
pub(crate) fn remove(asked: &Asked<'_>, display: &Display) -> Result<Answer> {
    let removal = Removal::of(asked.file, asked.group)?;
    let answer = |ending, removed, text| {
        let json = Some(wire::Answer::Remove(wire::Remove::of(&removal, removed)));
        Answer { ending, text, json }
    };
    if asked.dry_run {
        let verdict = removal
            .check(asked.with_dependents)
            .err()
            .map(|error| hints::said(&error, Face::CommandLine));
        let verdict = verdict.map(|verdict| format!("{verdict}\n")).unwrap_or_default();
        return Ok(answer(Ending::Done, false, told(&removal) + &verdict));
    }
    removal.check(asked.with_dependents)?;
    if !asked.yes {
        let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if !can_ask {
            let reason = "nothing is removed unless somebody says so, and there is no terminal to \
                          ask at; give --yes, after a look with --dry-run";
            let argument = format!("remove {}", removal.path());
            return Err(Error::Argument { argument, reason: reason.to_owned() });
        }
        say(told(&removal).trim_end_matches('\n'));
        if !agrees(&removal) {
            return Ok(answer(Ending::Failed, false, "nothing is removed\n".to_owned()));
        }
    }
    removal.carry_out(display)?;
    let mut text = String::new();
    if !display.is_quiet() {
        for group in &removal.groups {
            text.push_str(&format!(
                "{} is removed from {} ({})\n",
                group.overview.path,
                removal.file.display(),
                bytes(group.bytes)
            ));
        }
    }
    Ok(answer(Ending::Done, true, text))
}

/// What would go, and why.
fn told(removal: &Removal) -> String {
    let mut text = String::new();
    for group in &removal.groups {
        text.push_str(&group_line(&group.overview));
        if let Some(because) = &group.because {
            text.push_str(&format!("    depends on it: it {because}\n"));
        }
        text.push_str(&group_details(&group.overview));
        text.push_str(&format!("    {:<12} {}\n", "takes", bytes(group.bytes)));
    }
    for link in &removal.links {
        text.push_str(&format!("\n  {link}\n    a link into it\n"));
    }
    for obstacle in &removal.obstacles {
        text.push_str(&format!("\n  {obstacle}\n"));
    }
    text
}

/// Asks whoever sits there.
fn agrees(removal: &Removal) -> bool {
    let what = match removal.groups.len() {
        1 => removal.path().to_owned(),
        more => {
            format!("{} and {} that depend on it", removal.path(), show::count(more as u64 - 1))
        }
    };
    let file = removal.file.display();
    let question = format!("remove {what} from {file} ({})? [y/N] ", bytes(removal.bytes));
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok() && matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

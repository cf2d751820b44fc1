//! Results groups that are removed: what they hold, who depends on them, and doing it.
//!
//! Whoever was computed from what goes can be read on, but neither verified nor resumed any more,
//! and its references would lead to whatever comes to lie there next. So it goes along, or nothing
//! does: nothing is left behind half.
//!
//! Only results groups are removed, in one transaction: a kill at any instant leaves all of it or
//! none. Results in other files aren't looked for.

use std::path::{Path, PathBuf};

use super::inspect::{GroupOverview, overview};
use super::named::the_one;
use super::taken::{Taken, inputs, source};
use super::target::RunLock;
use super::{Note, Observer};
use crate::formats;
use crate::source::normalised;
use crate::storage::container::Kind;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::refused::Refused;
use crate::storage::results_group::{Going, Provenance, own_paths, results_groups};
use log::info;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Held, Result};

/// Results groups that are to be removed.
#[derive(Clone, Debug)]
pub struct Removal {
    /// The file that they are in.
    pub file: PathBuf,
    /// The one that was named, and those that depend on it.
    pub groups: Vec<GoingGroup>,
    /// Links by a path that lead to something in them.
    pub links: Vec<String>,
    /// Whoever isn't a results group, or was made otherwise, and refers to them, in words.
    pub obstacles: Vec<String>,
    /// Bytes that their values take in the file.
    pub bytes: u64,
}

/// A results group that is to be removed.
#[derive(Clone, Debug)]
pub struct GoingGroup {
    /// What it is.
    pub overview: GroupOverview,
    /// Bytes that its values take in the file.
    pub bytes: u64,
    /// What it depends on, in words; none for the one that was named.
    pub because: Option<String>,
}

impl Removal {
    /// What would go with the results group that `wanted` names.
    ///
    /// # Errors
    /// If there is no such group, or it can't be removed whatever else is.
    pub fn of(file: &Path, wanted: &str) -> Result<Self> {
        planned(&open_read(file)?, wanted)
    }

    /// The group that was named.
    pub fn path(&self) -> &str {
        &self.groups[0].overview.path
    }

    /// Checks that it can be done, with those that depend on it if that is allowed.
    ///
    /// # Errors
    /// If it can't.
    pub fn check(&self, with_dependents: bool) -> Result<()> {
        let refused = |text: String, advice: Advice| {
            let reason = Note { text, advice: Some(advice) };
            Err(Error::CannotRemove { group: self.path().to_owned(), reason })
        };
        if !self.obstacles.is_empty() {
            return refused(few(&self.obstacles), Advice::DeleteReferrer);
        }
        let because = |group: &GoingGroup| {
            Some(format!("{} {}", group.overview.path, group.because.as_ref()?))
        };
        let mut dependents: Vec<String> = self.groups.iter().filter_map(because).collect();
        dependents.extend(self.links.iter().map(|link| format!("{link} is a link into it")));
        if dependents.is_empty() || with_dependents {
            return Ok(());
        }
        refused(few(&dependents), Advice::RemoveDependentsToo)
    }

    /// Removes them.
    ///
    /// # Errors
    /// If somebody has the file open or computes on it, what is there isn't what this says any
    /// more, or the file can't be written. Nothing is removed then.
    pub fn carry_out(&self, observer: &dyn Observer) -> Result<()> {
        let lock = RunLock::claim_file(&self.file, observer)?;
        let view = lock.view()?;
        let done = lock.alone(&view, || {
            let file = lock.view()?;
            let now = planned(&file, self.path())?;
            if !now.is_as(self) {
                let text = "what is there isn't what was asked about any more".to_owned();
                let reason = Note { text, advice: Some(Advice::RunAgain) };
                return Err(Error::CannotRemove { group: self.path().to_owned(), reason });
            }
            let refused = |refused: Refused| refused.on_object("read", &self.file, self.path());
            let mut going = going(&file, &now.paths()).map_err(refused)?;
            going.and_links(now.links.clone());
            // Without locks somebody may be reading the values, which then have to stay.
            let has_locks = lock.keeps_others_out();
            let room = if has_locks { going.room(&file, lock.handle()) } else { Vec::new() };
            drop(file);
            let transaction = lock.begin()?;
            going
                .unlink(transaction.file())
                .map_err(|error| transaction.error("remove results from", &error))?;
            drop(going);
            transaction.commit_and_free(&room)
        });
        done.map_err(|error| self.in_use(error))?;
        info!("{} is removed from {}", self.paths().join(", "), self.file.display());
        lock.check_in_place()
    }

    /// Of who only reads it can't be said that results could go elsewhere.
    fn in_use(&self, error: Error) -> Error {
        if !matches!(error, Error::Busy { held: Held::ByReader, .. }) {
            return error;
        }
        let reason = Note { text: error.to_string(), advice: Some(Advice::CloseFirst) };
        Error::CannotRemove { group: self.path().to_owned(), reason }
    }

    fn paths(&self) -> Vec<String> {
        self.groups.iter().map(|group| group.overview.path.clone()).collect()
    }

    /// Whether the same would go, computed as far.
    fn is_as(&self, other: &Self) -> bool {
        let told = |removal: &Self| -> Vec<_> {
            let groups = removal.groups.iter().map(|group| {
                let overview = &group.overview;
                let made = (overview.created.clone(), overview.last_run.clone());
                (overview.path.clone(), overview.completed, made)
            });
            groups.collect()
        };
        told(self) == told(other)
            && (&self.links, &self.obstacles) == (&other.links, &other.obstacles)
    }
}

/// The first few of some reasons.
fn few(reasons: &[String]) -> String {
    const MOST: usize = 5;
    let mut text = reasons[..reasons.len().min(MOST)].join("; ");
    if reasons.len() > MOST {
        text.push_str(&format!("; and {} more", reasons.len() - MOST));
    }
    text
}

fn going(file: &ReadFile, groups: &[String]) -> Result<Going, Refused> {
    Going::of(file, formats::belongings, groups)
}

fn planned(file: &ReadFile, wanted: &str) -> Result<Removal> {
    let mut all = results_groups(file);
    // One may have been met on the way over a link.
    let own = own_paths(file);
    let names = |path: &str| file.member(path).and_then(|(id, _)| own.get(&id));
    for group in &mut all {
        let found = names(&group.path).filter(|names| !names.contains(&group.path));
        found.and_then(|names| names.first()).into_iter().for_each(|path| {
            group.path.clone_from(path);
        });
    }
    let named = one_of(file, &all, wanted)?;
    all.retain(|group| group.linked_file.is_none());
    let path = named.path.clone();
    let refused = |reason: Refused| Error::CannotRemove {
        group: path.clone(),
        reason: reason.to_string().into(),
    };
    let named_twice = |path: &String| {
        let other = names(path)?.iter().find(|other| *other != path)?;
        Some(format!("`{other}` is another link to it"))
    };
    let mut search = Search { file, all: &all, found: vec![(named, None)] };
    let mut obstacles;
    let mut gone;
    loop {
        gone = going(file, &search.paths()).map_err(refused)?;
        let (others, depend) = search.dependents(&gone);
        obstacles = others;
        if depend.is_empty() {
            break;
        }
        search.found.extend(depend);
    }
    obstacles.extend(search.paths().iter().filter_map(named_twice));
    let groups = search.found.iter().map(|(group, because)| {
        let overview = overview(file, group)?;
        Ok(part(file, &gone, &search.paths(), overview, because.clone()))
    });
    let groups = groups.collect::<Result<Vec<_>>>()?;
    let bytes = groups.iter().map(|group| group.bytes).sum();
    Ok(Removal { file: file.path.clone(), groups, links: gone.led_to(file), obstacles, bytes })
}

/// The results group that is meant.
fn one_of(file: &ReadFile, all: &[Provenance], wanted: &str) -> Result<Provenance> {
    let path = normalised(wanted);
    let refused = |group: &str, reason: String| {
        Err(Error::CannotRemove { group: group.to_owned(), reason: reason.into() })
    };
    let id = file.member(&path);
    let group = match (the_one(all, wanted, &file.path), &id) {
        (Ok(group), _) => group,
        (Err(Error::NoSuchGroup { .. }), Some((id, kind))) => {
            let is_it = |group: &&Provenance| {
                file.member(&group.path).is_some_and(|(other, _)| other == *id)
            };
            match all.iter().find(is_it) {
                Some(group) => group,
                None => return refused(&path, format!("{}; only these are removed", what(*kind))),
            }
        }
        (Err(error), _) => return Err(error),
    };
    if let Some(other) = &group.linked_file {
        let reason = format!("it lies in {}, and only a link leads there", other.display());
        return refused(&group.path, reason);
    }
    Ok(group.clone())
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Dataset => "it is a dataset, and no group of results",
        Kind::Group | Kind::Other => "it is no group of results",
    }
}

/// What of all that goes is of one of the groups.
fn part(
    file: &ReadFile,
    gone: &Going,
    paths: &[String],
    overview: GroupOverview,
    because: Option<String>,
) -> GoingGroup {
    let is_within = |path: &str, group: &str| {
        path.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'))
    };
    let is_own = |path: &str| {
        let deepest = paths.iter().filter(|group| is_within(path, group)).max_by_key(|it| it.len());
        deepest == Some(&overview.path)
    };
    let own = gone.objects.iter().filter(|(path, _)| is_own(path));
    let own: Vec<_> = own.filter_map(|(path, _)| file.dataset(path).ok()).collect();
    let bytes = own.iter().map(|dataset| dataset.storage_size()).sum();
    GoingGroup { overview, bytes, because }
}

/// The search for all that depend on a results group.
struct Search<'a> {
    file: &'a ReadFile,
    all: &'a [Provenance],
    /// Those that are to go, with what they depend on.
    found: Vec<(Provenance, Option<String>)>,
}

impl Search<'_> {
    fn paths(&self) -> Vec<String> {
        self.found.iter().map(|(group, _)| group.path.clone()).collect()
    }

    /// Who refers to what goes otherwise than a results group, and the results groups that depend
    /// on it and aren't found yet.
    fn dependents(&self, going: &Going) -> (Vec<String>, Vec<(Provenance, Option<String>)>) {
        let mut depend: Vec<(Provenance, Option<String>)> = Vec::new();
        let mut add = |group: &Provenance, because: String| {
            if !depend.iter().any(|(other, _)| other.path == group.path) {
                depend.push((group.clone(), Some(because)));
            }
        };
        for group in self.all.iter().filter(|group| !self.is_found(&group.path)) {
            if let Some(because) = self.dependence(group, going) {
                add(group, because);
            }
        }
        let mut others = Vec::new();
        let staying = going.referred_to(self.file).into_iter().chain(going.taken_by(self.file));
        for who in staying {
            match self.holder(&who.path) {
                Some(group) if self.is_found(&group.path) => others.push(who.told),
                Some(group) => add(group, format!("refers to {}", who.to)),
                None => others.push(who.told),
            }
        }
        (others, depend)
    }

    fn is_found(&self, path: &str) -> bool {
        self.found.iter().any(|(group, _)| group.path == path)
    }

    /// The results group that an object is in.
    fn holder(&self, path: &str) -> Option<&Provenance> {
        let holds = |group: &&Provenance| {
            path.strip_prefix(&group.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.all.iter().filter(holds).max_by_key(|group| group.path.len())
    }

    /// In what a results group depends on what goes, if it does.
    fn dependence(&self, group: &Provenance, going: &Going) -> Option<String> {
        if going.has(self.file, &group.path) {
            let outer = group.path.rsplit_once('/').map_or("/", |(outer, _)| outer);
            return Some(format!("lies in {outer}"));
        }
        let goes = |taken: &Taken| taken.is_in(self.file) && going.has(self.file, &taken.path);
        if let Some(Taken { path, .. }) = source(group, &self.file.path).filter(goes) {
            return Some(format!("was computed from {path}"));
        }
        let taken = inputs(group, self.file).into_iter().find(goes);
        taken.map(|Taken { path, .. }| format!("was computed with {path}"))
    }
}

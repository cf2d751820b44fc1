//! The search for what was named: a dataset, the results of a process, or an array of NumPy's.
//!
//! What is called as something in the source's file is that; then the file counts that results go
//! to. Only what is in neither is taken for the name of a process or of another file. So an input
//! never changes because a file of some name comes to lie in the folder where one works.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

use log::info;

use super::place::{InputPlace, LiesIn, Refusal, place_of};
use crate::engine::Request;
use crate::engine::correction_paths::CorrectionPaths;
use crate::engine::data::Data;
use crate::engine::inspect::{parameters_of, positions, positions_axes};
use crate::engine::request::ELSEWHERE;
use crate::formats::fastest_axis;
use crate::identity::{
    OtherFile, SourceLocation, SpectraIdentity, Whereabouts, is_provisional, promised, relative,
    whereabouts_of,
};
use crate::source::{Source, normalised};
use crate::storage::attributes;
use crate::storage::container::Dataset;
use crate::storage::file::{ReadFile, is_absent, open_read};
use crate::storage::file_state::FileId;
use crate::storage::lock;
use crate::storage::npy::NpyArray;
use crate::storage::results_group::{self, Provenance, results_groups};
use pixelmill_core::canonical::canonical;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::{ConstantInput, InputPath};
use pixelmill_core::kernel::Kernel;

/// Something that was found, and where.
pub(super) struct Found<'f> {
    pub array: Array<'f>,
    pub place: InputPlace,
}

/// An array of numbers or records.
pub(super) enum Array<'f> {
    Dataset(&'f ReadFile, Dataset),
    Npy(NpyArray),
}

/// Results that something is a part of.
pub(super) struct OfResults {
    pub file: FileId,
    pub group: String,
    /// What stands for its fingerprint while they are computed.
    pub promised: String,
}

impl Found<'_> {
    /// The group of the results that it is a part of, and what these have recorded of what they
    /// were computed from, if anything.
    pub fn recorded(&self) -> Option<(String, String)> {
        let Array::Dataset(file, _) = &self.array else { return None };
        let (path, _) = self.place.dataset.rsplit_once('/')?;
        let recorded = results_group::provenance(&file.group(path).ok()?, path).identity?;
        Some((path.to_owned(), recorded))
    }

    /// The results that it is a part of, if they have a hash.
    pub fn results(&self) -> Option<OfResults> {
        let Array::Dataset(file, _) = &self.array else { return None };
        let (path, _) = self.place.dataset.rsplit_once('/')?;
        let hash = attributes::string(&file.group(path).ok()?, "parameter_hash")?;
        Some(OfResults { file: file.id(), group: path.to_owned(), promised: promised(&hash) })
    }

    /// The fastest axis that its file tells, if that is `length` long. Where none has values of its
    /// own there is none: a count of steps would be taken for what was measured along.
    pub fn axis(&self, length: Option<&usize>) -> Option<Dimension> {
        let Array::Dataset(file, dataset) = &self.array else { return None };
        let axis = fastest_axis(file, &self.place.dataset, dataset)?;
        Some(axis).filter(|axis| Some(&axis.len()) == length)
    }

    /// What it is called where it lies.
    pub fn path(&self) -> String {
        match &self.array {
            Array::Dataset(..) => self.place.dataset.clone(),
            Array::Npy(array) => {
                let name = array.path().file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        }
    }
}

/// Looks for inputs, and has the files open that they are in.
pub(super) struct Finder<'a> {
    data: &'a Data,
    source: &'a ReadFile,
    results_path: &'a Path,
    kernel: &'a dyn Kernel,
    request: &'a Request,
    /// What the source's spectra are known by, if an input has to be of the same.
    spectra: Option<SpectraIdentity>,
    /// The source's dataset, how many positions it has, and which of its axes these are.
    dataset: String,
    positions: u64,
    position_axes: Vec<usize>,
    /// The file that results go to, if it is another one and was looked into.
    results: Option<ReadFile>,
    others: Vec<ReadFile>,
    /// What was asked for by now.
    asked: Vec<String>,
}

/// One of the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Source,
    Results,
    Other(usize),
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Sought<'n> {
    /// What it is called.
    pub named: &'n str,
    /// The dataset that is meant of a whole results group.
    pub results: Option<&'n str>,
    /// Whether it has to be of the source's own spectra.
    pub is_of_same_spectra: bool,
}

/// What may be wrong with results that a process is asked for.
type Lacking = Vec<String>;

impl<'a> Finder<'a> {
    pub fn new(
        file: &'a ReadFile,
        results_path: &'a Path,
        (kernel, request): (&'a dyn Kernel, &'a Request),
        source: &Source,
        data: &'a Data,
    ) -> Result<Self> {
        let mut auxiliary = kernel.auxiliary_inputs().into_iter();
        let is_of_same = auxiliary.any(|input| input.is_of_same_spectra())
            || kernel.constant_inputs().iter().any(ConstantInput::is_of_same_spectra);
        let spectra = |fingerprint| SpectraIdentity::uncorrected(source, fingerprint);
        Ok(Self {
            data,
            spectra: match is_of_same {
                true => Some(spectra(data.fingerprint(&source.rows)?)),
                false => None,
            },
            source: file,
            results_path,
            kernel,
            request,
            dataset: source.info.path.clone(),
            positions: source.info.positions,
            position_axes: source.rows.view().positions.clone(),
            results: None,
            others: Vec::new(),
            asked: Vec::new(),
        })
    }

    /// Finds what is looked for.
    pub fn find(&mut self, sought: Sought<'_>, refused: Refusal<'_>) -> Result<Found<'_>> {
        let Sought { named, results, .. } = sought;
        self.open_results()?;
        let before = self.asked.iter().filter(|asked| *asked == named).count();
        self.asked.push(named.to_owned());
        if let Some(place) = place_of(&self.request.inputs, named, before)
            && let Some(found) = self.recorded(place, refused)?
        {
            return self.opened(found, named, results, refused);
        }
        let literal = normalised(named);
        let has = |file: &ReadFile| file.dataset(&literal).is_ok() || file.group(&literal).is_ok();
        if self.source.link_exists(&literal) {
            return self.at((Which::Source, literal), named, results, refused);
        }
        if self.results.as_ref().is_some_and(has) {
            return self.at((Which::Results, literal), named, results, refused);
        }
        let found = match InputPath::from(named) {
            InputPath::Npy(_) | InputPath::InFile { .. } if self.request.only_its_files => {
                return Err(refused(named, ELSEWHERE.to_owned()));
            }
            InputPath::Npy(file) => return self.npy(file, named, refused),
            InputPath::InFile { file, path } => {
                let which = self.open(&file)?;
                self.within(&[which], sought, &path, refused)?
            }
            InputPath::Here(path) => {
                let both = [Which::Results, Which::Source];
                let there = if self.results.is_some() { &both[..] } else { &both[1..] };
                self.within(there, sought, &path, refused)?
            }
        };
        self.opened(found, named, results, refused)
    }

    /// The file of an index, once it is open.
    fn file(&self, which: Which) -> &ReadFile {
        match (which, &self.results) {
            (Which::Results, Some(results)) => results,
            (Which::Other(number), _) => &self.others[number],
            _ => self.source,
        }
    }

    fn open_results(&mut self) -> Result<()> {
        let is_source = FileId::at(self.results_path).is_ok_and(|id| id == self.source.id());
        if self.results.is_none() && !is_source && !is_absent(self.results_path) {
            self.results = Some(open_read(self.results_path)?);
        }
        Ok(())
    }

    /// Opens another file, unless it is open by whatever name.
    fn open(&mut self, path: &Path) -> Result<Which> {
        if let Ok(id) = FileId::at(path) {
            let others = (0..self.others.len()).map(Which::Other);
            let known = [Which::Source, Which::Results].into_iter().chain(others);
            if let Some(open) = known.into_iter().find(|which| self.file(*which).id() == id) {
                return Ok(open);
            }
        }
        self.others.push(open_read(path)?);
        Ok(Which::Other(self.others.len() - 1))
    }

    /// Where results have recorded that an input is; `None` if nothing is there any more.
    fn recorded(&mut self, place: &InputPlace, refused: Refusal<'_>) -> Result<Option<Spot>> {
        let which = match &place.lies_in {
            LiesIn::Source => Which::Source,
            LiesIn::Results => Which::Results,
            LiesIn::File { .. } => {
                let mut files = place.files(self.results_path).into_iter();
                let Some(file) = files.find(|file| file.exists()) else { return Ok(None) };
                if place.dataset.is_empty() {
                    return Ok(Some(Spot::Npy(
                        NpyArray::open(&file).map_err(|error| npy_error(error, &file, refused))?,
                    )));
                }
                self.open(&file)?
            }
        };
        let there = self.file(which).dataset(&place.dataset).is_ok();
        Ok(there.then(|| Spot::Dataset(which, place.dataset.clone())))
    }

    /// What is called `path` in some files: a path of the last of them, or the name of a process.
    fn within(
        &self,
        files: &[Which],
        sought: Sought<'_>,
        path: &str,
        refused: Refusal<'_>,
    ) -> Result<Spot> {
        let Sought { named, results, .. } = sought;
        let last = files[files.len() - 1];
        let literal = normalised(path);
        let missing = || {
            let there = self.file(last).broken_link(&literal);
            there.unwrap_or_else(|| "there is no such dataset".to_owned())
        };
        if self.file(last).link_exists(&literal) {
            return Ok(Spot::Dataset(last, literal));
        }
        if path.starts_with('/') {
            return Err(refused(&shown(named, &literal), missing()));
        }
        let (process, dataset) = match path.split_once('/') {
            Some((process, dataset)) => (process, Some(dataset)),
            None => (path, None),
        };
        let mut lacking = Lacking::new();
        for which in files {
            if let Some(group) = self.newest(*which, process, sought, &mut lacking)? {
                let dataset = dataset.or(results);
                let found = self.of_group(*which, &group, dataset, named, refused)?;
                let Spot::Dataset(_, path) = &found else { return Ok(found) };
                let file = self.file(*which).path.display();
                info!("`{named}` is taken from {file}:{path}, the newest complete results");
                return Ok(found);
            }
        }
        let names: Vec<String> =
            files.iter().map(|which| self.file(*which).path.display().to_string()).collect();
        let (dataset, files) = (&self.dataset, names.join(" or "));
        let mut reason = format!(
            "{}, and no other complete results of a process `{process}` for `{dataset}` are in \
             {files}",
            missing()
        );
        lacking.iter().for_each(|lack| reason.push_str(&format!("; {lack}")));
        Err(refused(named, reason))
    }

    /// The newest complete results group of a process for the source's dataset.
    fn newest(
        &self,
        which: Which,
        process: &str,
        sought: Sought<'_>,
        lacking: &mut Lacking,
    ) -> Result<Option<String>> {
        let file = self.file(which);
        let mut groups = results_groups(file);
        groups.retain(|group| group.linked_file.is_none() && is_process(&group.tool, process));
        groups.retain(|group| self.is_of_source(which, group));
        groups.sort_by(|one, other| (one.number, &one.path).cmp(&(other.number, &other.path)));
        for group in groups.iter().rev() {
            if self.is_own(group) {
                lacking.push(format!("{} is of the parameters that are asked for", group.path));
                continue;
            }
            if sought.is_of_same_spectra
                && let Some(other) = self.other_spectra(file, group)
            {
                lacking.push(format!("{} is of other spectra ({other})", group.path));
                continue;
            }
            match self.lack(file, group)? {
                None => return Ok(Some(group.path.clone())),
                Some(lack) => lacking.push(lack),
            }
        }
        Ok(None)
    }

    /// Whether a group was computed from the source's dataset, with the same axes as positions; in
    /// another file it may be that file's own dataset of this path.
    fn is_of_source(&self, which: Which, group: &Provenance) -> bool {
        let across =
            OtherFile { source: self.request.file.clone(), results: self.file(which).path.clone() };
        let own = (which != Which::Results).then_some(None);
        let is_known = own.into_iter().chain([Some(across)]).any(|other_file| {
            let location = SourceLocation { dataset: self.dataset.clone(), other_file };
            whereabouts_of(group, &location) == Whereabouts::Known
        });
        is_known && positions_axes(group).is_none_or(|axes| axes == self.position_axes)
    }

    /// Whether a group has results of the very computation that is being looked for: it never
    /// begins from itself.
    fn is_own(&self, group: &Provenance) -> bool {
        group.tool == self.kernel.name()
            && canonical(parameters_of(group).into())
                == canonical(self.kernel.parameters().clone().into())
    }

    /// In what a group's spectra aren't the source's, if they aren't, as far as that is known
    /// before corrections are read: those are to be called the same.
    fn other_spectra(&self, file: &ReadFile, group: &Provenance) -> Option<String> {
        let stored = group.identity.as_deref()?;
        let opened = file.group(&group.path).ok()?;
        if CorrectionPaths::recorded(&opened) != self.request.corrections {
            return Some("it has other corrections".to_owned());
        }
        self.spectra.as_ref()?.unlike(stored)
    }

    /// What a group lacks of all results; nothing if it is complete.
    fn lack(&self, file: &ReadFile, found: &Provenance) -> Result<Option<String>> {
        let Ok(group) = file.group(&found.path) else {
            return Ok(Some(format!("{} can't be opened", found.path)));
        };
        if let Some(missing) = results_group::missing(&group) {
            return Ok(Some(format!("{}: {missing}", found.path)));
        }
        match results_group::status(file.handle(), &group, self.positions) {
            Ok(status) => Ok(partial(&found.path, status.summary()?.count, self.positions)),
            Err(reason) => Ok(Some(format!("{}: {reason}", found.path))),
        }
    }

    /// A dataset of a results group: the one that is wanted, or the only one.
    fn of_group(
        &self,
        which: Which,
        path: &str,
        wanted: Option<&str>,
        named: &str,
        refused: Refusal<'_>,
    ) -> Result<Spot> {
        let Ok(group) = self.file(which).group(path) else {
            return Err(refused(&shown(named, path), "there is no such dataset".to_owned()));
        };
        let known = results_group::datasets(&group);
        let chosen = match (wanted, known.as_slice()) {
            (Some(wanted), _) if group.dataset(wanted).is_ok() => Some(wanted),
            (None, [only]) => Some(only.as_str()),
            _ => None,
        };
        match chosen {
            Some(dataset) => Ok(Spot::Dataset(which, format!("{path}/{dataset}"))),
            None if known.is_empty() => {
                Err(refused(&shown(named, path), "it is a group, and no results group".to_owned()))
            }
            None => {
                let results = known.join(", ");
                let reason = match wanted {
                    Some(wanted) => format!("{path} has no results `{wanted}`; it has: {results}"),
                    None => format!("it has several results, name one: {results}"),
                };
                Err(refused(&shown(named, path), reason))
            }
        }
    }

    fn at(
        &self,
        (which, path): (Which, String),
        named: &str,
        results: Option<&str>,
        refused: Refusal<'_>,
    ) -> Result<Found<'_>> {
        self.opened(Spot::Dataset(which, path), named, results, refused)
    }

    fn npy(&self, file: PathBuf, named: &str, refused: Refusal<'_>) -> Result<Found<'_>> {
        let array = NpyArray::open(&file).map_err(|error| npy_error(error, &file, refused))?;
        self.opened(Spot::Npy(array), named, None, refused)
    }

    /// Opens what was found.
    fn opened(
        &self,
        spot: Spot,
        named: &str,
        results: Option<&str>,
        refused: Refusal<'_>,
    ) -> Result<Found<'_>> {
        let named = named.to_owned();
        let (which, path) = match spot {
            Spot::Dataset(which, path) => (which, path),
            Spot::Npy(array) => {
                let lies_in = self.lies_in_file(array.path());
                let place = InputPlace { named, lies_in, dataset: String::new() };
                return Ok(Found { array: Array::Npy(array), place });
            }
        };
        let file = self.file(which);
        let (path, dataset) = match file.dataset(&path) {
            Ok(dataset) => (path, dataset),
            Err(_) if file.group(&path).is_ok() => {
                let spot = self.of_group(which, &path, results, &named, refused)?;
                return self.opened(spot, &named, None, refused);
            }
            Err(_) => {
                let link = file.broken_link(&path);
                let reason = link.unwrap_or_else(|| "there is no such dataset".to_owned());
                return Err(refused(&shown(&named, &path), reason));
            }
        };
        let is_computed_now = path
            .rsplit_once('/')
            .is_some_and(|(group, _)| self.data.is_unfinished(file.id(), group));
        if !is_computed_now && let Some(lack) = lack_around(file, &path)? {
            return Err(refused(&shown(&named, &path), lack));
        }
        let lies_in = match which {
            Which::Source => LiesIn::Source,
            Which::Results => LiesIn::Results,
            Which::Other(_) => self.lies_in_file(&file.path),
        };
        let place = InputPlace { named, lies_in, dataset: path };
        Ok(Found { array: Array::Dataset(file, dataset), place })
    }

    fn lies_in_file(&self, path: &Path) -> LiesIn {
        let whole = canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let way = relative(&whole, self.results_path);
        LiesIn::File {
            path: whole.to_string_lossy().into_owned(),
            relative: way.to_string_lossy().into_owned(),
        }
    }

    /// The files that are read besides the source's and the one that results go to. A run takes
    /// locks of its own on that, which a reader's would keep out.
    ///
    /// # Errors
    /// If the system can't give up a lock.
    pub fn finish(self) -> Result<Vec<ReadFile>> {
        if let Some(results) = &self.results {
            lock::release(&results.raw, &results.path)?;
        }
        Ok(self.others)
    }
}

/// What the results group lacks that the dataset at `path` is results of, if it is any: what
/// nobody has computed is nothing to compute from, whoever names it.
pub(crate) fn lack_around(file: &ReadFile, path: &str) -> Result<Option<String>> {
    let Some((parent, name)) = path.rsplit_once('/') else { return Ok(None) };
    let Some(group) = file.group(parent).ok().filter(results_group::is_results_group) else {
        return Ok(None);
    };
    let is_folded = results_group::is_folded(&group, name);
    if !is_folded && !results_group::may_be_per_position(&group, name) {
        return Ok(None);
    }
    let provenance = results_group::provenance(&group, parent);
    if provenance.identity.as_deref().is_some_and(is_provisional) {
        let told = "took results of others that weren't all there; ask for it again";
        return Ok(Some(format!("{parent} {told}")));
    }
    let all = positions(&group, &provenance);
    // What some positions were to be folded into is whole once they are.
    let selected = provenance.identity.as_deref().and_then(results_group::selected_positions);
    let wanted = selected.filter(|_| is_folded).unwrap_or(all);
    // A group of which nothing tells how far it is may be whole, also one that keeps marks of its
    // own for each of its steps.
    let is_mark = |name: &String| name.starts_with("completed_");
    let members = group.member_names().unwrap_or_default();
    if !group.link_exists(results_group::STATUS) && members.iter().any(is_mark) {
        return Ok(None);
    }
    let Ok(status) = results_group::status(file.handle(), &group, all) else { return Ok(None) };
    Ok(partial(parent, status.summary()?.count, wanted))
}

/// That a group isn't complete, if it isn't.
fn partial(path: &str, done: u64, all: u64) -> Option<String> {
    (done < all).then(|| format!("{path} has {done} of {all} positions"))
}

/// Where something is.
enum Spot {
    Dataset(Which, String),
    Npy(NpyArray),
}

/// What an input is called in a message: its path, or how it was named if that is something else.
fn shown(named: &str, path: &str) -> String {
    let is_plain = named.trim_matches('/') == path.trim_matches('/');
    if is_plain { path.to_owned() } else { named.to_owned() }
}

/// Whether a tool is the process of this name, as people and command lines write it.
fn is_process(tool: &str, name: &str) -> bool {
    let plain = |name: &str| name.replace('-', "_").to_lowercase();
    plain(tool) == plain(name)
}

fn npy_error(error: Error, file: &Path, refused: Refusal<'_>) -> Error {
    match error {
        Error::Io { .. } => error,
        other => refused(&file.display().to_string(), other.to_string()),
    }
}

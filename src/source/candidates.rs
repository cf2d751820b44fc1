//! Which datasets of a file hold data to compute on, and which only results.
//!
//! One object may have several paths: a NeXus file links its signal from the group that plots it, a
//! results dataset is also an experiment of HyperSpy. So objects are told apart by what they are,
//! not by the path that they are met by.

use std::collections::HashSet;

use crate::formats::{self, Likely, PLAIN};
use crate::storage::ObjectId;
use crate::storage::container::{Dataset, Group};
use crate::storage::file::ReadFile;
use crate::storage::results_group::{datasets, is_results_group};
use crate::storage::walk::{Visited, walk};
use pixelmill_core::error::{Error, Result};

/// Paths of the main datasets that hold data, not results. If no format knows any, of those that
/// all but are some, or else of everything that could be one.
pub(crate) fn main_datasets(file: &Group) -> Vec<String> {
    let kinds = candidates(file).paths();
    kinds.into_iter().find(|paths| !paths.is_empty()).unwrap_or_default()
}

/// The same, and with arrays that no format knows also those that may be data at most.
pub(crate) fn shown_datasets(file: &Group) -> Vec<String> {
    let [main, almost, plain, unlikely] = candidates(file).paths();
    let others = [plain, unlikely].concat();
    [main, almost, others].into_iter().find(|paths| !paths.is_empty()).unwrap_or_default()
}

fn candidates(file: &Group) -> Candidates<'_> {
    let mut found = Candidates::new(file);
    found.add_signals("", file);
    walk(file, &mut |path, visited| match visited {
        Visited::Group(group) => found.visit_group(path, &group),
        Visited::Dataset(dataset) => found.visit_dataset(path, &dataset),
        Visited::Other(_) => {}
    });
    found
}

/// The path of the one main dataset that a file has.
///
/// # Errors
/// If it has none or several.
pub(super) fn only_main_dataset(file: &ReadFile) -> Result<String> {
    let mut candidates = main_datasets(file);
    match candidates.len() {
        1 => Ok(candidates.remove(0)),
        0 => {
            let others = others(file).into_iter().take(MOST_TOLD);
            let others = others.map(|(path, why)| format!("`{path}` ({why})")).collect();
            let formats = formats::names();
            Err(Error::NoMainDataset { file: file.path.clone(), formats, others })
        }
        _ => Err(Error::SeveralMainDatasets { file: file.path.clone(), candidates }),
    }
}

/// Of what can't be computed on, a file may have any number.
const MOST_TOLD: usize = 10;

/// Datasets that aren't taken for data where a file has no main dataset, with what they are
/// instead. Results can be computed on, once they are named.
pub(crate) fn others(file: &Group) -> Vec<(String, String)> {
    let (mut found, mut results) = (Vec::new(), HashSet::new());
    walk(file, &mut |path, visited| match visited {
        Visited::Group(group) if is_results_group(&group) => {
            let datasets = datasets(&group).into_iter();
            results.extend(datasets.filter_map(|name| group.dataset(&name).ok()?.id()));
        }
        Visited::Dataset(dataset) => {
            found.push((path.to_owned(), dataset.id(), instead(&dataset)));
        }
        _ => {}
    });
    // One may have been met by another path before its group was.
    let told = |(path, id, what): (String, Option<ObjectId>, String)| {
        let is_result = id.is_some_and(|id| results.contains(&id));
        (path, if is_result { format!("{RESULTS}{what}") } else { what })
    };
    found.into_iter().map(told).collect()
}

/// What is said first of results.
pub(crate) const RESULTS: &str = "results, ";

/// What a dataset is that nobody would compute on without being told.
fn instead(dataset: &Dataset) -> String {
    match (dataset.stored_type(), dataset.shape().as_slice()) {
        (Err(held), _) => held,
        (Ok(_), []) => "a single number".to_owned(),
        (Ok(_), shape) if shape.contains(&0) => format!("empty, its shape is {shape:?}"),
        (Ok(stored), [length]) => format!("{length} values of {} along one axis", stored.element),
        (Ok(stored), shape) => format!("{}, its shape is {shape:?}", stored.element),
    }
}

/// Datasets with the paths that they were met by.
type Met = Vec<(String, Option<ObjectId>)>;

/// What has been met on a walk.
struct Candidates<'a> {
    file: &'a Group,
    results_groups: Vec<String>,
    /// What is in the results groups.
    results: HashSet<ObjectId>,
    /// Those in `main`.
    known: HashSet<ObjectId>,
    main: Met,
    almost: Met,
    plain: Met,
    /// What is taken where there is nothing else.
    unlikely: Met,
}

impl<'a> Candidates<'a> {
    fn new(file: &'a Group) -> Self {
        Self {
            file,
            results_groups: Vec::new(),
            results: HashSet::new(),
            known: HashSet::new(),
            main: Vec::new(),
            almost: Vec::new(),
            plain: Vec::new(),
            unlikely: Vec::new(),
        }
    }

    fn visit_group(&mut self, path: &str, group: &Group) {
        if is_results_group(group) {
            self.results_groups.push(format!("{path}/"));
            let names = group.member_names().unwrap_or_default();
            self.results.extend(names.iter().filter_map(|name| Some(group.member(name)?.0)));
        }
        self.add_signals(path, group);
    }

    /// The signals that a group names, wherever they lie: elsewhere nothing tells their axes.
    fn add_signals(&mut self, path: &str, group: &Group) {
        for (format, name) in formats::signals(group) {
            let path = format!("{path}/{name}");
            if let Ok(dataset) = group.dataset(&name)
                && !self.is_in_results(&path)
                && formats::recognise(self.file, &path, &dataset) == format
            {
                self.add_main(&path, &dataset);
            }
        }
    }

    fn visit_dataset(&mut self, path: &str, dataset: &Dataset) {
        if self.is_in_results(path) {
            return;
        }
        let met = || (path.to_owned(), dataset.id());
        let format = formats::recognise(self.file, path, dataset);
        if format != PLAIN {
            if !format.rules().is_part(path) {
                self.add_main(path, dataset);
            }
        } else if formats::is_meant(dataset) {
            self.almost.push(met());
        } else {
            match formats::likely(path, dataset) {
                Likely::Data => self.plain.push(met()),
                Likely::DataAtMost => self.unlikely.push(met()),
                Likely::Nothing => {}
            }
        }
    }

    fn add_main(&mut self, path: &str, dataset: &Dataset) {
        let identity = dataset.id();
        let new = identity.clone().is_none_or(|identity| self.known.insert(identity));
        if new {
            self.main.push((path.to_owned(), identity));
        }
    }

    fn is_in_results(&self, path: &str) -> bool {
        self.results_groups.iter().any(|group| path.starts_with(group.as_str()))
    }

    /// Those of each kind, the likeliest first. A results group may have been met later than
    /// another path of its datasets.
    fn paths(self) -> [Vec<String>; 4] {
        let Self { results, main, almost, plain, unlikely, .. } = self;
        let data = |met: Met| -> Vec<String> {
            let is_result = |identity: &Option<ObjectId>| {
                identity.as_ref().is_some_and(|i| results.contains(i))
            };
            met.into_iter().filter(|(_, i)| !is_result(i)).map(|(path, _)| path).collect()
        };
        [main, almost, plain, unlikely].map(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{write_texts, zeros};
    use crate::storage::attributes;
    use crate::storage::memory::Memory;

    /// The main datasets of a container that `make` has filled.
    fn found(make: impl FnOnce(&Group, &Memory)) -> Vec<String> {
        let memory = Memory::new();
        make(memory.root(), &memory);
        main_datasets(memory.root())
    }

    fn plot(file: &Group, path: &str, target: &str) {
        let group = file.create_group(path).unwrap();
        write_texts(&group, &[("NX_class", "NXdata"), ("signal", "counts")]);
        group.link_hard(target, "counts").unwrap();
    }

    #[test]
    fn a_signal_is_found_by_the_group_that_names_it() {
        let detector = "/entry/instrument/detector/counts";
        let paths = found(|file, _| {
            let group = file.create_group("entry/instrument/detector").unwrap();
            zeros(&group, "counts", &[2, 3]);
            plot(file, "entry/plot", detector);
            plot(file, "entry/second_plot", detector);
        });
        assert_eq!(paths, ["/entry/plot/counts"]);
    }

    #[test]
    fn the_root_may_be_the_group_that_names_a_signal() {
        let paths = found(|file, memory| {
            let group = file.create_group("detector").unwrap();
            zeros(&group, "counts", &[2, 3]);
            write_texts(file, &[("NX_class", "NXdata")]);
            attributes::write_strings(file, "signal", &["signal"]).unwrap();
            memory.link_soft("/detector/counts", "/signal");
        });
        assert_eq!(paths, ["/signal"]);
    }

    #[test]
    fn results_are_no_data_by_whatever_path() {
        let paths = found(|file, _| {
            zeros(file, "data", &[2, 3]);
            let group = file.create_group("data-Sum_000").unwrap();
            write_texts(&group, &[("tool", "Sum"), ("source_dataset_path", "/data")]);
            zeros(&group, "Sum", &[2, 3]);
            zeros(&group.create_group("more").unwrap(), "Map", &[2, 3]);
            for name in ["Also", "data-linked"] {
                file.link_hard("/data-Sum_000/Sum", name).unwrap();
            }
        });
        assert_eq!(paths, ["/data"]);
    }
}

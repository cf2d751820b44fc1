//! What comes back by itself when a results group is gone on with: what its user chose of the
//! source and of how its numbers are taken, as the group has recorded it.

use std::path::{Path, PathBuf};

use super::Request;
use super::correction_paths::CorrectionPaths;
use super::inspect::{allows_rounding, excerpt, field, positions_axes, source_dataset};
use super::named::the_one;
use super::target::beside;
use crate::storage::file::open_read;
use crate::storage::results_group::{Provenance, results_groups};

/// The request, with what the group that it resumes has recorded where it says nothing itself. A
/// group that can't be found is missed by whoever looks for it next.
pub(crate) fn with_recorded(request: &Request, process: &str) -> Request {
    let Some((group, corrections)) = resumed(request, process) else { return request.clone() };
    let (crop, along) = excerpt(&group);
    let is_said = request.corrections != CorrectionPaths::default();
    Request {
        dataset: request.dataset.clone().or_else(|| source_dataset(&group)),
        crop: request.crop.clone().or(crop),
        along: request.along.clone().or(along),
        corrections: if is_said { request.corrections.clone() } else { corrections },
        positions_axes: request.positions_axes.clone().or_else(|| positions_axes(&group)),
        field: request.field.clone().or_else(|| field(&group)),
        allow_rounding: request.allow_rounding || allows_rounding(&group),
        ..request.clone()
    }
}

fn resumed(request: &Request, process: &str) -> Option<(Provenance, CorrectionPaths)> {
    let wanted = request.resume.as_ref()?;
    let files: Vec<PathBuf> = match &request.output {
        Some(output) => vec![output.clone()],
        None => vec![request.file.clone(), beside(&request.file, process)],
    };
    let found = |path: &PathBuf| group_of(path, wanted);
    files.iter().find_map(found)
}

fn group_of(path: &Path, wanted: &str) -> Option<(Provenance, CorrectionPaths)> {
    let file = open_read(path).ok()?;
    let groups = results_groups(&file);
    let group = the_one(&groups, wanted, path).ok()?.clone();
    let corrections = CorrectionPaths::recorded(&file.group(&group.path).ok()?);
    Some((group, corrections))
}

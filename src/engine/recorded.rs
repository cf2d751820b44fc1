//! What comes back by itself when a results group is gone on with: what its user chose of the
//! source and of how its numbers are taken, as the group has recorded it.

use std::path::{Path, PathBuf};

use super::Request;
use super::correction_paths::CorrectionPaths;
use super::inputs::{InputPlace, recorded};
use super::inspect::{allows_rounding, excerpt, field, positions_axes, source_dataset};
use super::named::the_one;
use super::target::beside;
use crate::storage::file::open_read;
use crate::storage::results_group::{Provenance, results_groups};
use pixelmill_core::inputs::InputPath;

/// The request, with what the group that it resumes has recorded where it says nothing itself. A
/// group that can't be found is missed by whoever looks for it next.
pub(crate) fn with_recorded(request: &Request, process: &str) -> Request {
    let Some(Resumed { group, corrections, inputs }) = resumed(request, process) else {
        return request.clone();
    };
    let (crop, along) = excerpt(&group);
    let is_said = request.corrections != CorrectionPaths::default();
    // What is typed here and is there from here is meant, wherever the group had it from.
    let is_typed = |named: &str| is_said || !corrections.names(named);
    let was_there = |place: &InputPlace| !(is_typed(&place.named) && is_file(&place.named));
    let inputs = inputs.into_iter().filter(was_there).collect();
    Request {
        dataset: request.dataset.clone().or_else(|| source_dataset(&group)),
        crop: request.crop.clone().or(crop),
        along: request.along.clone().or(along),
        corrections: if is_said { request.corrections.clone() } else { corrections },
        positions_axes: request.positions_axes.clone().or_else(|| positions_axes(&group)),
        field: request.field.clone().or_else(|| field(&group)),
        allow_rounding: request.allow_rounding || allows_rounding(&group),
        inputs,
        ..request.clone()
    }
}

/// Whether an input is named by a file, and that is there.
fn is_file(named: &str) -> bool {
    match InputPath::from(named) {
        InputPath::Npy(file) | InputPath::InFile { file, .. } => file.exists(),
        InputPath::Here(_) => false,
    }
}

/// What a group has recorded.
struct Resumed {
    group: Provenance,
    corrections: CorrectionPaths,
    inputs: Vec<InputPlace>,
}

fn resumed(request: &Request, process: &str) -> Option<Resumed> {
    let wanted = request.resume.as_ref()?;
    let files: Vec<PathBuf> = match &request.output {
        Some(output) => vec![output.clone()],
        None => vec![request.file.clone(), beside(&request.file, process)],
    };
    let found = |path: &PathBuf| group_of(path, wanted);
    files.iter().find_map(found)
}

fn group_of(path: &Path, wanted: &str) -> Option<Resumed> {
    let file = open_read(path).ok()?;
    let groups = results_groups(&file);
    let group = the_one(&groups, wanted, path).ok()?.clone();
    let opened = file.group(&group.path).ok()?;
    let (corrections, inputs) = (CorrectionPaths::recorded(&opened), recorded(&opened));
    Some(Resumed { group, corrections, inputs })
}

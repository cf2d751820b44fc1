//! Runs that keep to their memory budget, whatever grows with the file: positions, marks, masks, failures, and
//! chunks of other inputs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{program, python_script, refuse, run};

/// What the program takes besides its budget: its code, the HDF5 library, threads.
const BESIDES: u64 = 40 << 20;

/// A file with so many positions of four values each, which take no room on the disk, and a mask of every
/// second one.
fn many(folder: &Path, positions: u64) -> PathBuf {
    let file = folder.join("many.h5");
    let script = r#"
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], "w") as file:
    count = int(sys.argv[2])
    list = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    list.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    list.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple((count, 4))
    h5py.h5d.create(file.id, b"data", h5py.h5t.IEEE_F32LE, space, list)
    file["data"][-3:] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    file["mask"] = np.arange(count) % 2 == 0
print("{}")
"#;
    python_script(script, [file.as_os_str(), positions.to_string().as_ref()]);
    file
}

/// Runs the program; gives its answer and the most memory that it had at a time, in bytes.
fn measured(arguments: Vec<std::ffi::OsString>) -> (Value, u64) {
    let script = "import sys, json, resource, subprocess\n\
        ran = subprocess.run(sys.argv[1:] + ['--json'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n\
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n\
        print(json.dumps([json.loads(ran.stdout), peak]))";
    let told = python_script(script, std::iter::once(program().into_os_string()).chain(arguments));
    (told[0].clone(), told[1].as_u64().unwrap() << 10)
}

const AXES: [&str; 4] = ["--dataset", "/data", "--positions-axes", "0"];

#[test]
fn many_positions_take_no_memory_each() {
    const POSITIONS: u64 = 30_000_000;
    let folder = tempfile::tempdir().unwrap();
    let file = many(folder.path(), POSITIONS);
    let half = [&AXES[..], &["--memory", "40M", "--positions", "/mask"]].concat();
    let most = (40 << 20) + BESIDES;
    let (ran, peak) = measured(run("sum", &file, &half));
    assert_eq!((&ran["outcome"], &ran["completed"]), (&"finished".into(), &(POSITIONS / 2).into()));
    assert!(peak < most, "{} MiB", peak >> 20);
    let (ran, peak) = measured(run("sum", &file, &half));
    assert_eq!(ran["outcome"], "existing");
    assert!(peak < most, "{} MiB when reused", peak >> 20);
    let (status, peak) = measured(vec!["status".into(), file.clone().into()]);
    assert_eq!(status["groups"][0]["completed"], POSITIONS / 2);
    assert!(peak < most, "{} MiB to look at it", peak >> 20);
    let (_, peak) = measured(vec!["info".into(), file.clone().into()]);
    assert!(peak < most, "{} MiB for its axes", peak >> 20);
    let (ran, peak) = measured(run("sum", &file, &[&AXES[..], &["--memory", "40M"]].concat()));
    assert_eq!(ran["report"]["positions"], POSITIONS / 2);
    assert!(peak < most, "{} MiB for the other half", peak >> 20);
    let script = "import sys, json, h5py\n\
        with h5py.File(sys.argv[1]) as file:\n    group = file['data-Sum_000']\n    \
        print(json.dumps([group['Sum'][-5:].ravel().tolist(), float(group['Sum'][:-3].max()), int(group['completed_positions'][()].min())]))";
    let found = python_script(script, [&file]);
    assert_eq!(found, serde_json::json!([[0.0, 0.0, 10.0, 26.0, 42.0], 0.0, 1]));
}

#[test]
fn failed_positions_take_no_memory_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = many(folder.path(), 2_000_000);
    let fail = [&AXES[..], &["--memory", "40M", "-p", "fail=true"]].concat();
    for outcome in ["finished", "existing"] {
        let (ran, peak) = measured(run("batched", &file, &fail));
        assert_eq!(ran["outcome"], outcome);
        assert_eq!(ran["failures"]["positions"], 2_000_000);
        assert_eq!(ran["failures"]["reasons"][0]["positions"], 2_000_000);
        assert_eq!(ran["failed"].as_array().unwrap().len(), 10_000, "the first are listed");
        assert!(peak < (40 << 20) + BESIDES, "{} MiB, {outcome}", peak >> 20);
    }
}

#[test]
fn chunks_of_other_inputs_count_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = many(folder.path(), 100_000);
    let script = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'r+') as file:\n    \
        file.create_dataset('offset', data=np.zeros((100000, 40)), chunks=(100000, 40), compression='gzip')\n\
        print('{}')";
    python_script(script, [&file]);
    let offset = [&AXES[..], &["-p", "offset=/offset", "--cores", "1"]].concat();
    let small = [&offset[..], &["--memory", "8M"]].concat();
    refuse(run("rich", &file, &small), 2, &["8.0 MiB of memory are too little", "raise --memory"]);
    let (ran, peak) = measured(run("rich", &file, &[&offset[..], &["--memory", "120M"]].concat()));
    assert_eq!(ran["outcome"], "finished");
    assert!(peak < (120 << 20) + BESIDES, "{} MiB", peak >> 20);
}

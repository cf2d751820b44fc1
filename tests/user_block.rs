//! Files that begin with a block of somebody else's bytes: HDF5's addresses count from behind it, and not
//! every version of the library says so.

use serde_json::{Value, json};

use crate::support::{python_script, run, succeed};

const WRITE: &str = r#"
import sys, json, h5py, numpy as np
data = np.arange(4 * 5 * 30).reshape(4, 5, 30).astype("u2")
with h5py.File(sys.argv[1], "w", userblock_size=1024, libver="earliest") as file:
    file.create_dataset("contiguous", data=data)
    file.create_dataset("plain", data=data, chunks=(2, 3, 10))
    file.create_dataset("gzip", data=data, chunks=(2, 3, 10), compression="gzip")
print(json.dumps(data.sum(axis=2).ravel().tolist()))
"#;

const READ: &str = r#"
import sys, json, h5py
with h5py.File(sys.argv[1]) as file:
    print(json.dumps(file[sys.argv[2] + "/Sum"][()].ravel().tolist()))
"#;

#[test]
fn data_behind_a_user_block_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scan.h5");
    let sums: Vec<f64> = serde_json::from_value(python_script(WRITE, [file.as_os_str()])).unwrap();
    for dataset in ["/contiguous", "/plain", "/gzip"] {
        let wanted = ["--dataset", dataset, "--positions-axes", "0,1"];
        let ran = succeed(run("sum", &file, &wanted));
        let group = ran["group"].as_str().unwrap();
        let found: Value = python_script(READ, [file.as_os_str(), group.as_ref()]);
        assert_eq!(found, json!(sums), "{dataset}");
    }
}

//! Files that begin with a block of somebody else's bytes: HDF5's addresses count from behind it,
//! and not every version of the library says so.

use serde_json::{Value, json};

use crate::support::{python_function, run, succeed};

#[test]
fn data_behind_a_user_block_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scan.h5");
    let sums: Vec<f64> =
        serde_json::from_value(python_function("user_block.py", "make", [file.as_os_str()]))
            .unwrap();
    for dataset in ["/contiguous", "/plain", "/gzip"] {
        let wanted = ["--dataset", dataset, "--positions-axes", "0,1"];
        let ran = succeed(run("sum", &file, &wanted));
        let group = ran["group"].as_str().unwrap();
        let found: Value =
            python_function("user_block.py", "sums", [file.as_os_str(), group.as_ref()]);
        assert_eq!(found, json!(sums), "{dataset}");
    }
}

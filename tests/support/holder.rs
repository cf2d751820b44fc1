//! Somebody else who has a file open, with HDF5's lock on it, while the program wants it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{python, root};

/// A Python process that has a file open with h5py.
pub struct Holder {
    child: Child,
    /// As it stands in messages.
    pub name: String,
}

impl Holder {
    /// As a "reader" or a "writer".
    pub fn new(file: &Path, role: &str) -> Self {
        Self::with("A=1", file, role)
    }

    /// With a setting of its environment.
    pub fn with(setting: &str, file: &Path, role: &str) -> Self {
        let mut child = Command::new("env")
            .arg(setting)
            .arg(python())
            .arg(root().join("tests/python/hold.py"))
            .arg(file)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("Python writes");
        assert_eq!(line, "ready\n");
        let name = format!("(pid {}, since 20", child.id());
        Self { child, name }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

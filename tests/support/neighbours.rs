//! Scans whose positions are computed with others, written by `tests/python/neighbours.py`.

use serde_json::Value;

use super::usid::{Scan, ask_python};

/// The datasets, each with the axes that are its positions.
pub struct Datasets {
    pub scan: Scan,
    axes: Value,
}

impl Datasets {
    /// All of them, in a file of their own.
    pub fn new() -> Self {
        let scan = Scan::nothing();
        let axes = ask_python(&["neighbours.py", "write", &scan.file]);
        Self { scan, axes }
    }

    /// Those that are there for no single test.
    pub fn names(&self) -> Vec<&str> {
        let names = self.axes.as_object().unwrap().keys().map(String::as_str);
        names.filter(|name| !["many", "long"].contains(name)).collect()
    }

    /// The arguments after those of the command.
    pub fn of<'a>(&'a self, name: &'a str, options: &[&'a str]) -> Vec<&'a str> {
        let axes = self.axes[name].as_str().unwrap();
        [&["--dataset", name, "--positions-axes", axes], options].concat()
    }

    /// `pixelmill run PROCESS` on one of them.
    pub fn run(&self, process: &str, name: &str, options: &[&str]) -> Value {
        self.scan.run(process, &self.of(name, options))
    }

    /// A function of `neighbours.py` on one of them.
    pub fn ask(&self, function: &str, name: &str, more: &[&str]) -> Value {
        ask_python(&[&["neighbours.py", function, &self.scan.file, name], more].concat())
    }
}

/// A text of an answer.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

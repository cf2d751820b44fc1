//! A container in memory, for tests of everything above: with faults that are switched on by name.
//!
//! Groups, links and attributes are plain values; the bytes of datasets lie in a file that only
//! memory has, so that rows are read and places written to as in any other container. `fail("read
//! /a/b")` lets that fail from then on; what can fail is named by `open`, `members`, `attribute
//! NAME of`, `read`, `create` and `write`, with the path behind it, and `commit`.

mod objects;
mod tree;

use std::fs::File;
use std::ops::Range;
use std::os::fd::FromRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::container::{Change, Group, Opened, Transaction};
use super::file::ReadFile;
use super::file_state::FileState;
use super::refused::Refused;
use objects::{OwnGroup, PATH};
use pixelmill_core::error::{Error, Result};
use tree::{Leads, Node, Tree};

/// A container in memory.
pub(crate) struct Memory {
    tree: Arc<Tree>,
    root: Group,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1 << 32);
        // SAFETY: the name is a text that ends in NUL, and the new descriptor goes to its only
        // owner.
        let file = unsafe {
            let descriptor = libc::memfd_create(c"container".as_ptr(), libc::MFD_CLOEXEC);
            assert!(descriptor >= 0, "there are no more file descriptors");
            File::from_raw_fd(descriptor)
        };
        let nodes = Mutex::new(vec![Node::group()]);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let tree = Arc::new(Tree { number, file, nodes, faults: Mutex::default() });
        let root = Group::new(OwnGroup { tree: Arc::clone(&tree), node: 0, path: "/".to_owned() });
        Self { tree, root }
    }

    /// Its root.
    pub fn root(&self) -> &Group {
        &self.root
    }

    /// Lets the action of this name fail from now on.
    pub fn fail(&self, action: &str) {
        self.tree.faults.lock().unwrap().push(action.to_owned());
    }

    /// As a file that is open for reading.
    pub fn opened(&self) -> ReadFile {
        let raw = self.tree.file.try_clone().unwrap();
        let state = FileState::of(&raw).unwrap();
        ReadFile::new(Path::new(PATH), Opened { root: self.root.clone(), raw, state })
    }

    /// Begins a transaction: what isn't committed didn't happen.
    pub fn begin(&self) -> Transaction {
        let before = Some(self.tree.lock().clone());
        Transaction::of(Changed { tree: Arc::clone(&self.tree), root: self.root.clone(), before })
    }

    /// Lets a group lead to what is at `target`, by that path.
    pub fn link_soft(&self, target: &str, path: &str) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (parent, _) = self.tree.find("/", parent).unwrap();
        let link = Leads::Path(target.to_owned());
        self.tree.lock()[parent].links().unwrap().insert(name.to_owned(), link);
    }
}

/// A container while it is changed, and what it was before.
struct Changed {
    tree: Arc<Tree>,
    root: Group,
    before: Option<Vec<Node>>,
}

impl Change for Changed {
    fn root(&self) -> &Group {
        &self.root
    }

    fn commit(mut self: Box<Self>, _old: &[Range<u64>]) -> Result<()> {
        self.tree
            .check("commit", "")
            .map_err(|refused| refused.on_file("close", Path::new(PATH)))?;
        self.before = None;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn error(&self, action: &'static str, refused: &Refused) -> Error {
        refused.on_file(action, Path::new(PATH))
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            *self.tree.lock() = before;
        }
    }
}

//! A transaction on an HDF5 file as the door to containers asks for it.

use std::ops::Range;

use super::super::container::{Change, Group};
use super::super::refused::Refused;
use super::objects;
use super::transaction::Transaction;
use pixelmill_core::error::{Error, Result};

/// A file in a transaction.
pub(super) struct OwnChange {
    /// Given back before the file is closed.
    root: Group,
    transaction: Transaction,
}

impl OwnChange {
    pub fn of(transaction: Transaction) -> Self {
        Self { root: objects::group(transaction.file()), transaction }
    }
}

impl Change for OwnChange {
    fn root(&self) -> &Group {
        &self.root
    }

    fn commit(self: Box<Self>, old: &[Range<u64>]) -> Result<()> {
        let Self { root, transaction } = *self;
        drop(root);
        transaction.commit(old)
    }

    fn check(&self) -> Result<()> {
        self.transaction.check()
    }

    fn error(&self, action: &'static str, refused: &Refused) -> Error {
        self.transaction.error(action, refused)
    }
}

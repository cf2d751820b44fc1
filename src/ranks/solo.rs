//! One process that computes alone.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Communicator, Sending};
use crate::storage::in_place::{Direct, InPlace};
use crate::storage::open_file::OpenFile;
use pixelmill_core::error::Result;

/// The only rank: it has nobody to talk to.
#[derive(Default)]
pub(super) struct Solo {
    counter: AtomicU64,
}

impl Communicator for Solo {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn node(&self) -> &[usize] {
        &[0]
    }

    fn fetch_and_add(&self, amount: u64) -> Result<u64> {
        Ok(self.counter.fetch_add(amount, Ordering::Relaxed))
    }

    fn handed_out_by(&self) -> &'static str {
        "the only rank"
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(vec![own])
    }

    fn broadcast(&self, own: Vec<u8>) -> Result<Vec<u8>> {
        Ok(own)
    }

    fn send(&self, to: usize, _message: &[u8]) -> Result<()> {
        unreachable!("rank {to} of one rank")
    }

    fn begin_send(&self, to: usize, _message: Vec<u8>) -> Result<Box<dyn Sending>> {
        unreachable!("rank {to} of one rank")
    }

    fn receive(&self) -> Result<Option<(usize, Vec<u8>)>> {
        Ok(None)
    }

    fn open(&self, file: OpenFile<'_>) -> Result<Box<dyn InPlace>> {
        Ok(Box::new(Direct::new(file)?))
    }

    /// Nobody waits for it.
    fn say_why(&self, _why: &str) {}

    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}

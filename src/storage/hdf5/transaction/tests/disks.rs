//! A disk in memory that records what was done to it, and fails when it is told to.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::disk::Disk;

/// One change of a disk.
#[derive(Clone, Debug)]
pub enum Operation {
    Write { offset: u64, bytes: Vec<u8> },
    SetLength(u64),
    Sync,
}

impl Operation {
    /// Does the first `portion` bytes of a write, or the whole of anything else.
    pub fn apply(&self, bytes: &mut Vec<u8>, portion: usize) {
        match self {
            Self::Write { offset, bytes: new } => {
                let (from, to) = (*offset as usize, *offset as usize + portion);
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(&new[..portion]);
            }
            Self::SetLength(length) => bytes.resize(*length as usize, 0),
            Self::Sync => {}
        }
    }

    /// How many bytes it writes.
    pub fn size(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// What fails, from which step on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The step fails once.
    Once(usize),
    /// No byte can be added from the step on, but the file can still be cut.
    Full(usize),
    /// The process is dead from the step on: the step is half done, nothing else happens.
    Dead(usize),
    /// The read with this number, counted from 0, fails.
    Read(usize),
}

#[derive(Default)]
pub struct Contents {
    pub bytes: Vec<u8>,
    pub log: Vec<Operation>,
    pub reads: usize,
}

/// Clones share their contents, so that a test can look while a transaction owns the disk.
#[derive(Clone)]
pub struct Memory {
    contents: Arc<Mutex<Contents>>,
    fault: Fault,
}

impl Memory {
    pub fn new(bytes: &[u8], fault: Fault) -> Self {
        let contents = Contents { bytes: bytes.to_vec(), ..Contents::default() };
        Self { contents: Arc::new(Mutex::new(contents)), fault }
    }

    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.contents().bytes.clone()
    }

    /// Whether somebody else still has this disk: HDF5, if it could not close the file.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.contents) > 1
    }

    fn change(&mut self, operation: Operation) -> io::Result<()> {
        let mut contents = self.contents();
        let step = contents.log.len();
        let grows = match &operation {
            Operation::SetLength(length) => *length > contents.bytes.len() as u64,
            _ => operation.size() > 0,
        };
        let mut portion = operation.size();
        let failed = match self.fault {
            Fault::Once(at) => step == at,
            Fault::Full(at) => step >= at && grows,
            Fault::Dead(at) => step >= at,
            Fault::None | Fault::Read(_) => false,
        };
        if failed {
            portion = if self.fault == Fault::Dead(step) { portion / 2 } else { 0 };
        }
        if !failed || portion > 0 {
            operation.apply(&mut contents.bytes, portion);
        }
        contents.log.push(operation);
        if failed { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
    }

    fn is_dead(&self) -> bool {
        matches!(self.fault, Fault::Dead(at) if self.contents().log.len() > at)
    }
}

impl Disk for Memory {
    fn length(&self) -> io::Result<u64> {
        if self.is_dead() {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(self.contents().bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut contents = self.contents();
        contents.reads += 1;
        if self.fault == Fault::Read(contents.reads - 1) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let tail = contents.bytes.get(offset as usize..).unwrap_or_default();
        let count = tail.len().min(buffer.len());
        buffer[..count].copy_from_slice(&tail[..count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(Operation::Write { offset, bytes: bytes.to_vec() })
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.change(Operation::SetLength(length))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.change(Operation::Sync)
    }
}

//! What the ranks of a job tell each other: rank 0 leads, the others follow.
//!
//! Before anything is changed each rank tells what it sees of the source, and if that isn't the
//! same, in what it differs. Then rank 0 prepares the
//! file and gives orders; the others tell whether they are ready. While they compute, they send
//! batches and tallies, and rank 0 may tell them to stop. What they fold they send each other as
//! well. At the end all learn how it ended. One rank alone is a team as well: what is told then
//! comes straight back.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::fold::{FoldedNode, Outgoing, PassMessage};
use super::sight::Wanted;
use super::{Computed, Request, Tally, machine};
use crate::hand_out::Berth;
use crate::ranks::{Communicator, Sending, host};
use crate::storage::in_place::Extent;
use crate::storage::results_group::Place;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Fault, Result};

/// The ranks of a job, with what they say to each other.
#[derive(Clone, Copy)]
pub(crate) struct Team<'a> {
    ranks: &'a dyn Communicator,
}

/// An error that another rank met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RankError {
    host: String,
    message: String,
    fault: Fault,
    advice: Option<Advice>,
}

/// What rank 0 has decided.
#[derive(Serialize, Deserialize)]
pub(crate) enum Orders {
    /// Say in what you were asked for something else than this.
    Compare(Vec<Wanted>),
    /// Get ready for this.
    Prepare(Box<Assignment>),
    /// Everybody is ready.
    Begin,
    /// There is nothing more to do: this is how each computation ended, and the signal that asked
    /// to stop, if one did.
    End(Box<Result<Vec<Computed>, RankError>>, Option<i32>),
}

/// What is to be computed in a pass.
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub tasks: Vec<Task>,
    /// Workers of each rank.
    pub workers: Vec<usize>,
    /// Memory budget of each rank.
    pub memory: u64,
    /// How blocks of positions are cut, if the source is read by blocks.
    pub segments: Option<Vec<u64>>,
}

/// One of the computations, and where its results go.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    /// Which of those that were asked for it is.
    pub number: usize,
    /// The file that results go to, and the results group in it.
    #[serde(with = "any_path")]
    pub file: PathBuf,
    pub group: String,
    /// What that group says of the run: no other file says the same.
    pub last_run: String,
    /// Where the results datasets lie.
    pub columns: Vec<Place>,
    /// Where the status dataset lies.
    pub status: Extent,
    /// How many units of a fold are folded already.
    pub folded: u64,
    /// In which pass it is, of a fold that takes several, but for the first.
    pub pass: Option<PassMessage>,
}

/// What a rank tells rank 0 while it computes.
#[derive(Serialize, Deserialize)]
pub(crate) enum News {
    /// Results that are written and, if they have to be, on the disk, of each computation.
    Batch(Vec<Batch>),
    /// The same of one of them that folds, where nothing is to be merged.
    Rows(usize, Batch),
    /// What was folded in one of them; results of single positions are where they have to be.
    Folded(usize, FoldedNode),
    /// Nothing more follows what was wanted of one of them; whether something was on its way then.
    Answered { number: usize, is_busy: bool },
    /// Why nothing more of one of them can be folded.
    Lost(usize, String),
    /// How far it is.
    Tally(Tally),
    /// It was asked to stop by a signal.
    Stop(i32),
    /// It computes nothing more, and all that it has folded is where it is merged; or what it has
    /// met. It still merges what others fold.
    Worked(Option<RankError>),
    /// It has nothing more to do.
    Ended(Result<Tally, RankError>),
}

/// What a rank is told while it computes: by rank 0, but for what was folded.
#[derive(Serialize, Deserialize)]
pub(crate) enum Call {
    /// A signal has asked some rank to stop.
    Stop(i32),
    /// Another rank has met an error.
    WindUp,
    /// What was folded in one of the computations, to be merged here.
    Folded(usize, FoldedNode),
    /// Rank 0 wants what was folded in one of them from this unit on.
    Wanted(usize, u64),
    /// Why nothing more of one of them can be folded.
    Lost(usize, String),
    /// Whatever is still folded isn't wanted.
    Halt,
    /// Nobody has anything on its way to this rank.
    Release,
}

impl RankError {
    pub fn of(error: &Error) -> Self {
        Self::met_on(&host(), error)
    }

    pub fn met_on(host: &str, error: &Error) -> Self {
        Self {
            host: host.to_owned(),
            message: error.to_string(),
            fault: error.fault(),
            advice: error.advice(),
        }
    }

    pub fn at(self, rank: usize) -> Error {
        let Self { host, message, fault, advice } = self;
        Error::Rank { rank, host, message, fault, advice }
    }
}

impl<'a> Team<'a> {
    pub fn new(request: &'a Request) -> Self {
        Self { ranks: request.ranks.communicator() }
    }

    pub fn ranks(self) -> &'a dyn Communicator {
        self.ranks
    }

    pub fn rank(self) -> usize {
        self.ranks.rank()
    }

    pub fn others(self) -> usize {
        self.ranks.size() - 1
    }

    /// Whether this rank looks at the data for all of its node.
    pub fn looks_for_node(self) -> bool {
        self.ranks.node().first() == Some(&self.ranks.rank())
    }

    /// This rank's place on its node, with so many `cores` for it.
    pub fn berth(self, cores: usize) -> Berth {
        Berth {
            node: self.ranks.node().first().copied().unwrap_or(0),
            processors: machine::processors(),
            present: machine::present_processors(),
            cores,
        }
    }

    /// The memory budget of this rank, in bytes.
    pub fn memory_budget(self, request: &Request) -> u64 {
        request.memory_budget(self.ranks.node().len() as u64)
    }

    /// Tells rank 0 something, or what went wrong; rank 0 learns what all have told.
    ///
    /// # Errors
    /// At rank 0: its own, or else that of the first rank that has one.
    pub fn tell<T: Serialize + DeserializeOwned>(self, own: Result<&T, &Error>) -> Result<Vec<T>> {
        let own = encoded(&own.map_err(RankError::of))?;
        let mut all = Vec::new();
        let mut trouble = None;
        for (rank, told) in self.ranks.gather(own)?.iter().enumerate() {
            match decoded::<Result<T, RankError>>(told)? {
                Ok(told) => all.push(told),
                Err(met) => trouble = trouble.or(Some(met.at(rank))),
            }
        }
        trouble.map_or(Ok(all), Err)
    }

    /// Gives orders, if there is anybody to give them to; only rank 0 does.
    ///
    /// # Errors
    /// If a rank can't be reached.
    pub fn order(self, orders: impl FnOnce() -> Orders) -> Result<()> {
        if self.others() == 0 {
            return Ok(());
        }
        self.ranks.broadcast(encoded(&orders())?).map(|_| ())
    }

    /// Waits for orders; everybody but rank 0 does.
    ///
    /// # Errors
    /// If rank 0 can't be reached.
    pub fn orders(self) -> Result<Orders> {
        decoded(&self.ranks.broadcast(Vec::new())?)
    }

    /// Tells rank 0 something while computing.
    ///
    /// # Errors
    /// If it can't be reached.
    pub fn send(self, news: &News) -> Result<()> {
        self.ranks.send(0, &encoded(news)?)
    }

    /// Begins to send something of one of the computations that fold.
    ///
    /// # Errors
    /// If the rank can't be reached.
    pub fn hand_over(self, number: usize, outgoing: Outgoing) -> Result<Box<dyn Sending>> {
        let (to, mut node) = match outgoing {
            Outgoing::Node(to, node) => (to, node),
            Outgoing::Answer { is_busy } => {
                let answer = encoded(&News::Answered { number, is_busy })?;
                return self.ranks.begin_send(0, answer);
            }
        };
        let bytes = std::mem::take(&mut node.bytes);
        let mut message = match to {
            0 => encoded(&News::Folded(number, node))?,
            _ => encoded(&Call::Folded(number, node))?,
        };
        // As bytes: many more than the rest. No byte of JSON is 0.
        message.push(0);
        message.extend_from_slice(&bytes);
        self.ranks.begin_send(to, message)
    }

    /// What some rank has sent.
    ///
    /// # Errors
    /// If the ranks can't be reached.
    pub fn news(self) -> Result<Option<(usize, News)>> {
        let Some((rank, message)) = self.ranks.receive()? else { return Ok(None) };
        let (mut news, bytes) = taken_apart(message)?;
        if let News::Folded(_, folded) = &mut news {
            folded.bytes = bytes;
        }
        Ok(Some((rank, news)))
    }

    /// Calls to all others.
    ///
    /// # Errors
    /// If one can't be reached.
    pub fn call(self, call: &Call) -> Result<()> {
        let message = encoded(call)?;
        (1..self.ranks.size()).try_for_each(|rank| self.ranks.send(rank, &message))
    }

    /// Calls to one of the others.
    ///
    /// # Errors
    /// If it can't be reached.
    pub fn call_to(self, rank: usize, call: &Call) -> Result<()> {
        self.ranks.send(rank, &encoded(call)?)
    }

    /// What this rank is told.
    ///
    /// # Errors
    /// If the ranks can't be reached.
    pub fn called(self) -> Result<Option<Call>> {
        let Some((_, message)) = self.ranks.receive()? else { return Ok(None) };
        let (mut call, bytes) = taken_apart(message)?;
        if let Call::Folded(_, folded) = &mut call {
            folded.bytes = bytes;
        }
        Ok(Some(call))
    }

    /// Begins to count shared work from 0; rank 0 does so before the others can take any.
    ///
    /// # Errors
    /// If the counter can't be reached.
    pub fn reset_counter(self) -> Result<()> {
        let count = self.ranks.fetch_and_add(0)?;
        self.ranks.fetch_and_add(count.wrapping_neg()).map(|_| ())
    }
}

/// Paths in messages, which are JSON: text, or the bytes of a path that isn't text.
pub(crate) mod any_path {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match path.to_str() {
            Some(text) => Written::Text(text.to_owned()),
            None => Written::Bytes(path.as_os_str().as_bytes().to_vec()),
        };
        written.serialize(serializer)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

fn encoded<T: Serialize>(message: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(message).map_err(|error| unreadable(&error))
}

fn decoded<T: DeserializeOwned>(message: &[u8]) -> Result<T> {
    serde_json::from_slice(message).map_err(|error| unreadable(&error))
}

/// A message, and the bytes that follow it.
fn taken_apart<T: DeserializeOwned>(mut message: Vec<u8>) -> Result<(T, Vec<u8>)> {
    let end = message.iter().position(|byte| *byte == 0);
    let bytes = end.map_or_else(Vec::new, |end| message.split_off(end + 1));
    Ok((decoded(&message[..end.unwrap_or(message.len())])?, bytes))
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::Mpi { action: "pass on a message", reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn paths_that_are_no_text_are_passed_on() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Message(#[serde(with = "any_path")] PathBuf);

        let latin = std::ffi::OsString::from_vec(b"/m\xe9ssung/scan.h5".to_vec());
        for path in [PathBuf::from("/a b/scan.h5"), "µ.h5".into(), latin.into()] {
            let message = Message(path);
            assert_eq!(decoded::<Message>(&encoded(&message).unwrap()).unwrap(), message);
        }
    }
}

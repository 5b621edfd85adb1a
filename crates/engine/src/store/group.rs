//! Several commits that share locks and syncs.

use super::commit::{CommitRequest, Outcome};
use super::values::Values;
use super::writer::{Commit, Writer};
use h5part_base::dataspace::{Rows, Runs, Table};
use h5part_base::error::{ErrorKind, Result};
use std::collections::BTreeMap;

/// A group that holds this many bytes of values is closed.
const MOST_BYTES: u64 = 64 << 20;
/// A group that holds this many commits is closed.
const MOST_COMMITS: usize = 1 << 16;

/// Commits that are made together. They share locks and syncs, so that a thousand small ones cost little more than one.
/// Each is atomic row by row and has its own outcome. None is acknowledged before [`Group::finish`]; the commits of a
/// group that is dropped without it are not made.
///
/// Values wait in memory, and no lock is held meanwhile. A group is closed, which makes its commits, before it would
/// hold one row twice or more than 64 MiB of values. Later commits begin a new one. [`Group::finish`] reports all
/// outcomes.
///
/// **Concurrency**, **atomic**, **survives**: as [`Writer::commit`].
#[derive(Debug)]
pub struct Group<'w> {
    writer: &'w mut Writer,
    waiting: Vec<Waiting>,
    /// The rows of the waiting commits: first row to end.
    rows: BTreeMap<u64, u64>,
    bytes: u64,
    done: Vec<Result<Commit>>,
}

#[derive(Debug)]
struct Waiting {
    runs: Runs,
    values: Vec<(String, Values<'static>)>,
    commit: Commit,
}

impl Writer {
    /// Begins a group of commits that share locks and syncs: see [`Group`].
    pub fn group(&mut self) -> Group<'_> {
        Group { writer: self, waiting: Vec::new(), rows: BTreeMap::new(), bytes: 0, done: Vec::new() }
    }
}

impl Group<'_> {
    /// Adds a commit. It is not acknowledged yet.
    ///
    /// # Errors
    /// Those of [`Writer::commit`] that are found before anything is locked. The commit is not added then.
    pub fn commit(&mut self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<()> {
        self.try_commit(rows, values).map_err(|kind| self.writer.at(kind))
    }

    fn try_commit(&mut self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<(), ErrorKind> {
        let bytes = self.writer.check(rows, values)?;
        let runs = rows.runs()?;
        let full = self.bytes + bytes > MOST_BYTES || self.waiting.len() >= MOST_COMMITS;
        if full || runs.as_slice().iter().any(|run| self.meets(run.row, run.end())) {
            self.close();
        }
        self.rows.extend(runs.as_slice().iter().map(|run| (run.row, run.end())));
        self.bytes += bytes;
        let values = values.iter().map(|(name, values)| ((*name).to_owned(), values.clone().into_owned())).collect();
        self.waiting.push(Waiting { runs, values, commit: Commit { rows: rows.len(), bytes } });
        Ok(())
    }

    fn meets(&self, start: u64, end: u64) -> bool {
        self.rows.range(..end).next_back().is_some_and(|(_, &before)| before > start)
    }

    /// The table as it lies in the file.
    #[must_use]
    pub fn table(&self) -> &Table {
        self.writer.table()
    }

    /// Number of commits that were added and are not made yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no commit waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Makes the commits. Returns one outcome per commit, in the order in which they were added. Those that are `Ok`
    /// are acknowledged.
    #[must_use = "it says which commits are acknowledged"]
    pub fn finish(mut self) -> Vec<Result<Commit>> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let requests: Vec<CommitRequest<'_>> =
            self.waiting.iter().filter(|waiting| !waiting.runs.is_empty()).map(Waiting::request).collect();
        let outcome =
            if requests.is_empty() { Ok(Vec::new()) } else { self.writer.make(&requests, Outcome::Committed) };
        match outcome {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for waiting in &self.waiting {
                    // A commit without rows was not passed on.
                    let answer = if waiting.runs.is_empty() { Ok(()) } else { answers.next().unwrap_or(Ok(())) };
                    self.done.push(answer.map(|()| waiting.commit).map_err(|kind| self.writer.at(kind)));
                }
            }
            Err(first) => {
                // All of them failed for the same reason, which only the first one reports in full.
                let rest = (1..self.waiting.len()).map(|_| ErrorKind::GroupFailed(first.to_string()));
                let rest: Vec<ErrorKind> = rest.collect();
                self.done.extend(std::iter::once(first).chain(rest).map(|kind| Err(self.writer.at(kind))));
            }
        }
        self.waiting.clear();
        self.rows.clear();
        self.bytes = 0;
    }
}

impl Waiting {
    fn request(&self) -> CommitRequest<'_> {
        let values = self.values.iter().map(|(name, values)| (name.as_str(), values.bytes()));
        CommitRequest { runs: self.runs.clone(), values: values.collect(), expected: Vec::new() }
    }
}

//! Several commits that share locks and syncs.

use crate::{Commit, Result, Rows, Values};
use h5part_engine::store as engine;

/// Commits that are made together. They share locks and syncs, so that a thousand small ones cost little more than one.
/// Each is atomic row by row, and has its own outcome. None is acknowledged before [`Group::finish`]. If a group is
/// dropped without it, its waiting commits are not made.
///
/// Values wait in memory, and no lock is held meanwhile. Before a group would hold one row twice, or more than 64 MiB
/// of values, the commits that wait are made, and a new group begins. [`Group::finish`] reports their outcomes, too.
///
/// **Concurrency**, what is **atomic** and what **survives**: as [`Writer`](crate::Writer).
#[derive(Debug)]
pub struct Group<'w>(engine::Group<'w>);

impl<'w> Group<'w> {
    pub(crate) fn new(engine: engine::Group<'w>) -> Self {
        Self(engine)
    }

    /// Begins a commit to `rows`: [`GroupCommit::set`] its columns, then [`GroupCommit::add`] it to the group.
    pub fn commit<'g, 'v>(&'g mut self, rows: impl Into<Rows>) -> GroupCommit<'g, 'w, 'v> {
        GroupCommit { group: &mut self.0, rows: rows.into(), values: Vec::new() }
    }

    /// Number of commits that were added and are not made yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no commit waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the commits. Returns one outcome per commit, in the order in which they were added. Those that are `Ok`
    /// are acknowledged.
    #[must_use = "it says which commits are acknowledged"]
    pub fn finish(self) -> Vec<Result<Commit>> {
        self.0.finish()
    }
}

/// A commit that is being built, for a group. [`Group::commit`] begins it, [`GroupCommit::add`] adds it.
#[derive(Debug)]
#[must_use = "it is not part of the group until it is added"]
pub struct GroupCommit<'g, 'w, 'v> {
    group: &'g mut engine::Group<'w>,
    rows: Rows,
    values: Vec<(&'v str, Values<'v>)>,
}

impl<'v> GroupCommit<'_, '_, 'v> {
    /// Sets the values of a column. Their shape is (rows, cell...); value `i` goes to row `i` of the selection. For a
    /// single row the first axis may be left out.
    pub fn set(mut self, column: &'v str, values: impl Into<Values<'v>>) -> Self {
        self.values.push((column, values.into()));
        self
    }

    /// Adds the commit to the group. It is not acknowledged yet.
    ///
    /// # Errors
    /// Those of [`CommitBuilder::run`](crate::CommitBuilder::run) that are found before anything is locked. The commit
    /// is not added then.
    pub fn add(self) -> Result<()> {
        self.group.commit(&self.rows, &self.values)
    }
}

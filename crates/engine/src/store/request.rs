//! A commit that was checked, on its way to be made in one of the three ways.

use super::commit::{Job, Set};
use super::view::View;
use h5part_base::dataspace::{Run, Runs};
use h5part_base::error::ErrorKind;

/// Rows, and the values of each column.
pub(super) struct Request<'v> {
    pub(super) runs: Runs,
    pub(super) values: Vec<(&'v str, &'v [u8])>,
    /// What these columns must still hold, byte for byte, when the commit is made.
    pub(super) expected: Vec<(&'v str, &'v [u8])>,
}

impl Request<'_> {
    /// First row after all of its rows.
    pub(super) fn end(&self) -> u64 {
        self.runs.as_slice().last().map_or(0, Run::end)
    }

    /// With where its columns lie, all of which are direct.
    pub(super) fn job<'a>(&'a self, view: &'a View) -> Result<Job<'a>, ErrorKind> {
        let finder = view.table.finder(self.values.len());
        let set = |&(name, bytes)| Ok(Set { target: view.direct(finder.column(name)?)?, bytes });
        let sets = |of: &'a [(&str, &[u8])]| of.iter().map(set).collect::<Result<Vec<_>, ErrorKind>>();
        Ok(Job { runs: &self.runs, sets: sets(&self.values)?, expected: sets(&self.expected)? })
    }
}

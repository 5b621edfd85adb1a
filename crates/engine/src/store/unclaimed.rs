//! A fence for callers that add what is missing and must not overwrite what others add meanwhile.

use super::cells::read_stamps;
use super::handle::{Store, trim_slashes};
use super::table_view::{FileChange, TableView};
use h5part_base::dataspace::{Rows, StampRows};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::Fence;
use h5part_base::record::stamp::{Stamp, StampState};
use h5part_base::sync;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lets a commit pass only while none of the expected cells has a committed value.
#[derive(Debug)]
pub(crate) struct Unclaimed {
    store: Store,
    table: String,
    view: Mutex<TableView>,
    /// Rows, and names of columns.
    expected: Mutex<Vec<(Vec<u64>, Vec<String>)>>,
    met: AtomicBool,
}

impl Store {
    /// A fence over cells without a value. `None`: the table has no stamps.
    pub(crate) fn unclaimed(&self, table: &str) -> Result<Option<Unclaimed>> {
        let view = self.view_of(trim_slashes(table)).at("open for writing", self.path())?;
        if view.table.stamps.is_none() {
            return Ok(None);
        }
        let (store, table, view) = (self.clone(), trim_slashes(table).to_owned(), Mutex::new(view));
        Ok(Some(Unclaimed { store, table, view, expected: Mutex::default(), met: AtomicBool::new(false) }))
    }
}

impl Unclaimed {
    /// Sets the cells of the next commits. They must have no value.
    pub(crate) fn expect(&self, cells: Vec<(Vec<u64>, Vec<String>)>) {
        *sync::lock(&self.expected) = cells;
        self.met.store(false, Ordering::Release);
    }

    /// Whether a commit was refused because one of these cells had a value.
    pub(crate) fn was_met(&self) -> bool {
        self.met.load(Ordering::Acquire)
    }

    fn is_met(&self, view: &TableView) -> Result<bool, ErrorKind> {
        let stamps = view.table.expect_stamps()?;
        let mut words = StampRows::default();
        for (rows, columns) in sync::lock(&self.expected).iter() {
            let places = columns.iter().map(|name| Ok(view.stamped(view.table.column(name)?)?.place));
            let places = places.collect::<Result<Vec<_>, ErrorKind>>()?;
            read_stamps(view.file.as_ref(), stamps, &Rows::list(rows).runs()?, &mut words)?;
            let committed = |row: &[u64]| places.iter().any(|&p| Stamp(row[p]).state() == StampState::Committed);
            if words.rows().any(committed) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Fence for Unclaimed {
    fn check(&self) -> Result<(), ErrorKind> {
        let mut view = sync::lock(&self.view);
        // The caller is inside the gate.
        if view.change_since(&self.store)? != FileChange::Unchanged {
            *view = TableView::load(&self.store, &self.table)?;
        }
        if self.is_met(&view)? {
            self.met.store(true, Ordering::Release);
            let how = "another process has committed to the same cells".to_owned();
            return Err(ErrorKind::Fenced { task: self.table.clone(), how });
        }
        Ok(())
    }
}

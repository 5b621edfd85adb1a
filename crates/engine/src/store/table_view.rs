//! A view of a table: its layout in the file, and checks that it is still valid.

use super::cells::{is_fill, read_stamps};
use super::handle::Store;
use super::values::CellState;
use crate::h5::{H5File, MetadataFingerprint, check_superblock};
use h5part_base::dataspace::{Column, ColumnLayout, Guard, Rows, StampRows, Table};
use h5part_base::error::{ErrorKind, Gone, Item};
use h5part_base::lock::RowLocks;
use h5part_base::record::stamp::{Seed, Stamp, StampState};
use h5part_base::storage::{Identity, Mode, StorageFile};
use std::sync::Arc;
use uuid::Uuid;

/// One open file with the layout of one of its tables. Load it under the gate.
#[derive(Debug)]
pub(crate) struct TableView {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(super) identity: Identity,
    pub(crate) uuid: Option<Uuid>,
    /// Whether the file is a published one, which is never changed.
    pub(super) published: bool,
    pub(super) generation: u64,
    pub(crate) table: Table,
    fingerprint: MetadataFingerprint,
}

/// How a view's file has changed since the view was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileChange {
    /// The layout is still valid.
    Unchanged,
    /// Metadata on the path to the columns changed: load the view again.
    Metadata,
    /// The name refers to another file.
    OtherFile,
}

impl TableView {
    /// Loads a table to read it. The caller holds the gate.
    pub(super) fn load(store: &Store, table: &str) -> Result<Self, ErrorKind> {
        let file: Arc<dyn StorageFile> = Arc::from(store.storage.open(&store.paths.file, Mode::Read)?);
        Self::of(store, table, file)
    }

    /// Loads a table to change it. `file` is that of the gate, which the caller holds.
    pub(super) fn load_inside(store: &Store, table: &str, file: &Arc<dyn StorageFile>) -> Result<Self, ErrorKind> {
        check_superblock(file.as_ref())?.refuse_marks()?;
        Self::of(store, table, Arc::clone(file))
    }

    fn of(store: &Store, table: &str, file: Arc<dyn StorageFile>) -> Result<Self, ErrorKind> {
        let identity = file.identity()?;
        let h5 = H5File::open(&file, &store.paths.file)?;
        let (uuid, generation, published) = (h5.uuid()?, h5.generation()?, h5.is_published()?);
        let (table, fingerprint) = h5.table(table, file.as_ref())?;
        Ok(Self { file, identity, uuid, published, generation, table, fingerprint })
    }

    /// A view with this layout, for a file whose structure cannot change: the caller is inside the gate, or nobody else
    /// sees the file yet.
    pub(super) fn as_located(file: &Arc<dyn StorageFile>, uuid: Option<Uuid>, table: Table) -> Result<Self, ErrorKind> {
        let (identity, fingerprint) = (file.identity()?, MetadataFingerprint::default());
        Ok(Self { file: Arc::clone(file), identity, uuid, published: false, generation: 0, table, fingerprint })
    }

    /// Checks name, length and metadata of the file. This is cheap: two system calls and a read of the metadata.
    pub(super) fn change_since(&self, store: &Store) -> Result<FileChange, ErrorKind> {
        let now = store.storage.identity(&store.paths.file)?;
        if !now.same_file(&self.identity) {
            return Ok(FileChange::OtherFile);
        }
        let expected = self.table.end();
        if now.len < expected {
            return Err(ErrorKind::Cut { expected, found: now.len });
        }
        let unchanged = self.fingerprint.is_unchanged(self.file.as_ref())?;
        Ok(if unchanged { FileChange::Unchanged } else { FileChange::Metadata })
    }

    /// Replaces this view by a newer one of the same file, unless another program moved one of the columns. The table
    /// may have grown.
    pub(super) fn follow(&mut self, newer: Self) -> Result<(), ErrorKind> {
        if !self.is_of_store(&newer) {
            return Err(ErrorKind::Replaced(Gone::File));
        }
        for column in self.table.columns.iter().filter(|c| c.stamp.is_some()) {
            // Lost columns are reported when they are used.
            let now = column.stamp.and_then(|place| newer.table.find_at(place));
            if now.is_some_and(|now| now.name != column.name || !column.is_still(now)) {
                return Err(ErrorKind::Replaced(Gone::Column(column.name.clone())));
            }
        }
        let stamps_stay = match (&self.table.stamps, &newer.table.stamps) {
            (Some(before), Some(now)) => {
                let is_there = |place| newer.table.columns.iter().any(|column| column.stamp == Some(place));
                let stays = |guard: &Guard| !is_there(guard.place) || now.guards.iter().any(|now| guard.is_still(now));
                let same = before.table == now.table && before.guards.iter().all(stays);
                // If columns were added, the stamps may be wider and lie elsewhere.
                same && before.width <= now.width
                    && (before.width < now.width || before.layout.is_start_of(&now.layout))
            }
            // The table was adopted meanwhile, so it has stamps now.
            (None, _) => true,
            (Some(_), None) => false,
        };
        if !stamps_stay {
            return Err(ErrorKind::Replaced(Gone::Column("stamps".to_owned())));
        }
        *self = newer;
        Ok(())
    }

    /// Whether a newer view is of the same store. A file of another program has no uuid until its first table is adopted,
    /// or h5part makes one in it: it is the same file then.
    pub(super) fn is_of_store(&self, newer: &Self) -> bool {
        self.uuid == newer.uuid || (self.uuid.is_none() && self.identity.same_file(&newer.identity))
    }

    /// Whether another file has the same table in a new place, so that commits checked against this view fit it.
    pub(super) fn is_succeeded_by(&self, newer: &Self) -> bool {
        let shape = |table: &Table| {
            let columns = table.columns.iter().filter(|c| c.stamp.is_some());
            let columns: Vec<_> =
                columns.map(|c| (c.name.clone(), c.dtype.clone(), c.shape.clone(), c.stamp)).collect();
            (table.stamps.as_ref().map(|s| (s.table, s.width)), columns)
        };
        let rows = self.table.rows <= newer.table.rows;
        self.uuid == newer.uuid && rows && shape(&self.table) == shape(&newer.table)
    }

    /// A column with its place among the stamps.
    pub(crate) fn stamped<'a>(&'a self, column: &'a Column) -> Result<Stamped<'a>, ErrorKind> {
        let stamps = self.table.expect_stamps()?;
        let place = column.stamp.ok_or_else(|| ErrorKind::Unstamped(self.table.item(&column.name)))?;
        let uuid = self.uuid.ok_or_else(|| ErrorKind::Unstamped(Item::Table(self.table.path.clone())))?;
        let undefined = stamps.guard_at(place).map(|guard| guard.undefined.as_slice());
        Ok(Stamped { column, place, seed: Seed::new(&uuid, stamps.table, place), undefined })
    }

    /// A direct column with its place among the stamps and its layout.
    pub(super) fn direct<'a>(&'a self, column: &'a Column) -> Result<Direct<'a>, ErrorKind> {
        Ok(Direct { stamped: self.stamped(column)?, layout: column.direct()? })
    }

    /// A guard column as the target of a write in place.
    pub(super) fn guard_target(&self, guard: &Guard) -> Result<Direct<'_>, ErrorKind> {
        self.direct(self.table.column_at(guard.place)?)
    }

    /// The stamps of a row that said WRITING. `None`: a commit to it is under way. `seen` are all stamps of the row as
    /// they were read before.
    ///
    /// If the stamps are the same before and after the row's lock was found free, the writer died. If they differ, the
    /// next commit may have begun, so it looks again until they are the same or none of them says WRITING.
    pub(super) fn row_without_writer(
        &self,
        row: u64,
        seen: &[u64],
        locks: Option<&RowLocks>,
    ) -> Result<Option<StampRows>, ErrorKind> {
        let stamps = self.table.expect_stamps()?;
        let (mut before, mut now) = (seen.to_vec(), StampRows::default());
        loop {
            if locks.map_or(Ok(false), |locks| locks.is_locked(stamps.table, row))? {
                return Ok(None);
            }
            read_stamps(self.file.as_ref(), stamps, &Rows::one(row).runs()?, &mut now)?;
            if now.words() == before || now.words().iter().all(|&word| Stamp(word).state() != StampState::Writing) {
                return Ok(Some(now));
            }
            before.copy_from_slice(now.words());
        }
    }
}

/// A column with its place among the stamps and the seed of its checksums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamped<'a> {
    pub(crate) column: &'a Column,
    pub(crate) place: usize,
    pub(super) seed: Seed,
    /// For a guard column, what it holds in rows that are not complete.
    undefined: Option<&'a [u8]>,
}

/// A stamped column whose cells are read and written in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direct<'a> {
    stamped: Stamped<'a>,
    pub(super) layout: &'a ColumnLayout,
}

/// What a cell holds, from the view of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// No value.
    Nothing,
    /// A value that was committed.
    Ours,
    /// A value that another program put there.
    Foreign,
}

impl<'a> std::ops::Deref for Direct<'a> {
    type Target = Stamped<'a>;

    fn deref(&self) -> &Stamped<'a> {
        &self.stamped
    }
}

impl Stamped<'_> {
    /// Whether an unstamped cell with these bytes has no value.
    pub(super) fn is_empty(&self, bytes: &[u8]) -> bool {
        // A guard is empty if it says "undefined", which may differ from its fill.
        self.undefined.map_or_else(|| is_fill(bytes, &self.column.fill), |undefined| undefined == bytes)
    }

    /// The error for a cell of this column that another program has changed.
    pub(super) fn foreign_change(&self, row: u64) -> ErrorKind {
        ErrorKind::ForeignChange { column: self.column.name.clone(), row }
    }

    /// What a writer finds in a cell.
    pub(super) fn held(&self, stamp: Stamp, row: u64, bytes: &[u8]) -> Held {
        match self.state(stamp, row, bytes) {
            CellState::Committed => Held::Ours,
            CellState::Missing | CellState::Writing => Held::Nothing,
            CellState::Plain | CellState::Changed => Held::Foreign,
        }
    }

    /// Classifies a WRITING cell whose writer is gone but whose guard is set.
    pub(super) fn unfinished_state(&self, stamp: Stamp, row: u64, bytes: &[u8]) -> CellState {
        if self.seed.matches(stamp, row, bytes) {
            CellState::Committed
        } else if self.is_empty(bytes) {
            CellState::Missing
        } else {
            CellState::Plain
        }
    }

    /// What a reader finds in a cell whose stamp does not change.
    pub(crate) fn state(&self, stamp: Stamp, row: u64, bytes: &[u8]) -> CellState {
        let matches = || self.seed.matches(stamp, row, bytes);
        match stamp.state() {
            StampState::Unstamped if self.is_empty(bytes) => CellState::Missing,
            StampState::Vacant if matches() => CellState::Missing,
            // A vacant cell that does not match was given a value since.
            StampState::Unstamped | StampState::Vacant => CellState::Plain,
            StampState::Committed if matches() => CellState::Committed,
            StampState::Writing => CellState::Writing,
            StampState::Committed | StampState::Unknown(_) => CellState::Changed,
        }
    }
}

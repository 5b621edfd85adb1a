//! A table as it lies in the file now, and whether it still does.

use super::cells::is_fill;
use super::values::CellState;
use crate::h5::{H5File, Origin, check_superblock};
use h5part_base::dataspace::{Column, ColumnLayout, Guard, Table};
use h5part_base::error::ErrorKind;
use h5part_base::lock::Paths;
use h5part_base::record::stamp::{Seed, Stamp, State};
use h5part_base::storage::{Identity, Mode, Storage, StorageFile};
use std::sync::Arc;
use uuid::Uuid;

/// One open file with the layout of one of its tables. Load it under the gate.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(super) identity: Identity,
    pub(crate) uuid: Option<Uuid>,
    /// Whether the file is a published one, which nobody changes.
    pub(super) published: bool,
    pub(super) generation: u64,
    pub(crate) table: Table,
    origin: Origin,
}

/// What became of a view's file since it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// The layout holds.
    Same,
    /// Metadata on the way to the columns changed: load it again.
    MetadataChanged,
    /// The name stands for another file.
    OtherFile,
}

impl View {
    pub(super) fn load(storage: &dyn Storage, paths: &Paths, table: &str, mode: Mode) -> Result<Self, ErrorKind> {
        let file: Arc<dyn StorageFile> = Arc::from(storage.open(&paths.file, mode)?);
        let identity = file.identity()?;
        if mode != Mode::Read {
            check_superblock(file.as_ref())?.refuse_marks()?;
        }
        let h5 = H5File::open(&file, &paths.file)?;
        let (uuid, generation, published) = (h5.uuid()?, h5.generation()?, h5.is_published()?);
        let (table, origin) = h5.table(table, file.as_ref())?;
        Ok(Self { file, identity, uuid, published, generation, table, origin })
    }

    /// A table that lies like this, in a file whose structure stands still: somebody is inside the gate, or nobody else
    /// sees the file yet.
    pub(super) fn as_located(file: &Arc<dyn StorageFile>, uuid: Option<Uuid>, table: Table) -> Result<Self, ErrorKind> {
        let (identity, origin) = (file.identity()?, Origin::default());
        Ok(Self { file: Arc::clone(file), identity, uuid, published: false, generation: 0, table, origin })
    }

    /// Looks at name, length and metadata. Cheap: two system calls and a read of the metadata.
    pub(super) fn since(&self, storage: &dyn Storage, paths: &Paths) -> Result<Since, ErrorKind> {
        let now = storage.identity(&paths.file)?;
        if !now.same_file(&self.identity) {
            return Ok(Since::OtherFile);
        }
        let expected = self.table.end();
        if now.len < expected {
            return Err(ErrorKind::Cut { expected, found: now.len });
        }
        Ok(if self.origin.unchanged(self.file.as_ref())? { Since::Same } else { Since::MetadataChanged })
    }

    /// Takes over a newer view of the same file, unless another program moved one of the columns. The
    /// table may have grown.
    pub(super) fn follow(&mut self, newer: Self) -> Result<(), ErrorKind> {
        if self.uuid.is_some() && newer.uuid != self.uuid {
            return Err(ErrorKind::Replaced);
        }
        for column in self.table.columns.iter().filter(|c| c.stamp.is_some()) {
            // One that is lost is told to those who need it.
            let now = column.stamp.and_then(|place| newer.table.find_at(place));
            if now.is_some_and(|now| now.name != column.name || !column.is_still(now)) {
                return Err(ErrorKind::ColumnMoved(column.name.clone()));
            }
        }
        let stamps_stay = match (&self.table.stamps, &newer.table.stamps) {
            (Some(before), Some(now)) => {
                let is_there = |place| newer.table.columns.iter().any(|column| column.stamp == Some(place));
                let stays = |guard: &Guard| !is_there(guard.place) || now.guards.iter().any(|now| guard.is_still(now));
                let same = before.table == now.table && before.guards.iter().all(stays);
                // Where columns were added they may lie elsewhere, and be wider.
                same && before.width <= now.width
                    && (before.width < now.width || before.layout.is_start_of(&now.layout))
            }
            // Adopted meanwhile: from now on there are stamps.
            (None, _) => true,
            (Some(_), None) => false,
        };
        if !stamps_stay {
            return Err(ErrorKind::ColumnMoved("stamps".to_owned()));
        }
        *self = newer;
        Ok(())
    }

    /// Whether another file is the same table in a new place: commits that were checked against this
    /// one fit it.
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
        let unstamped = || ErrorKind::Unstamped(self.table.path.clone());
        let stamps = self.table.stamps.as_ref().ok_or_else(unstamped)?;
        let place = column.stamp.ok_or_else(|| ErrorKind::UnstampedColumn(column.name.clone()))?;
        let uuid = self.uuid.ok_or_else(unstamped)?;
        let undefined = stamps.guard_at(place).map(|guard| guard.undefined.as_slice());
        Ok(Stamped { column, place, seed: Seed::new(&uuid, stamps.table, place), undefined })
    }

    /// The same for a direct column, with its layout.
    pub(super) fn direct<'a>(&'a self, column: &'a Column) -> Result<Direct<'a>, ErrorKind> {
        Ok(Direct { stamped: self.stamped(column)?, layout: column.direct()? })
    }

    /// A guard column as the target of a write in place.
    pub(super) fn guard_target(&self, guard: &Guard) -> Result<Direct<'_>, ErrorKind> {
        self.direct(self.table.column_at(guard.place)?)
    }
}

/// A column with its place among the stamps and the seed of its checksums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamped<'a> {
    pub(crate) column: &'a Column,
    pub(crate) place: usize,
    pub(super) seed: Seed,
    /// What a guard column holds where nothing is complete.
    undefined: Option<&'a [u8]>,
}

/// A stamped column whose cells are read and written in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direct<'a> {
    stamped: Stamped<'a>,
    pub(super) layout: &'a ColumnLayout,
}

/// What a cell holds, as far as a commit is concerned.
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
        // Of a guard the one value says so; its fill may be another one.
        self.undefined.map_or_else(|| is_fill(bytes, &self.column.fill), |undefined| undefined == bytes)
    }

    /// What a writer finds.
    pub(super) fn held(&self, stamp: Stamp, row: u64, bytes: &[u8]) -> Held {
        match self.state(stamp, row, bytes) {
            CellState::Committed => Held::Ours,
            CellState::Missing | CellState::Writing => Held::Nothing,
            CellState::Plain | CellState::Changed => Held::Foreign,
        }
    }

    /// What a cell holds that says WRITING, where its guard speaks and nobody is at it.
    pub(super) fn state_left(&self, stamp: Stamp, row: u64, bytes: &[u8]) -> CellState {
        if self.seed.matches(stamp, row, bytes) {
            CellState::Committed
        } else if self.is_empty(bytes) {
            CellState::Missing
        } else {
            CellState::Plain
        }
    }

    /// What a reader finds, where the stamp stands still.
    pub(crate) fn state(&self, stamp: Stamp, row: u64, bytes: &[u8]) -> CellState {
        let matches = || self.seed.matches(stamp, row, bytes);
        match stamp.state() {
            State::Unstamped if self.is_empty(bytes) => CellState::Missing,
            State::Vacant if matches() => CellState::Missing,
            // Of a vacant cell that does not match: somebody has given it a value since.
            State::Unstamped | State::Vacant => CellState::Plain,
            State::Committed if matches() => CellState::Committed,
            State::Writing => CellState::Writing,
            State::Committed | State::Unknown(_) => CellState::Changed,
        }
    }
}

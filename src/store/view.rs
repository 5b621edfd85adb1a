//! A table as it lies in the file now, and whether it still does.

use super::stamp::Seed;
use crate::dataspace::{Column, ColumnLayout, Table};
use crate::error::ErrorKind;
use crate::h5::{H5File, Origin};
use crate::lock::Paths;
use crate::storage::{Identity, Mode, Storage, StorageFile};
use std::sync::Arc;
use uuid::Uuid;

/// One open file with the layout of one of its tables. Load it under the gate.
#[derive(Debug)]
pub(super) struct View {
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) identity: Identity,
    pub(super) uuid: Option<Uuid>,
    pub(super) generation: u64,
    pub(super) table: Table,
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
        let h5 = H5File::open(&file, &paths.file)?;
        let (uuid, generation) = (h5.uuid()?, h5.generation()?);
        let (table, origin) = h5.table(table, file.as_ref())?;
        Ok(Self { file, identity, uuid, generation, table, origin })
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

    /// Takes over a newer view of the same file, unless another program moved one of the columns.
    pub(super) fn follow(&mut self, newer: Self) -> Result<(), ErrorKind> {
        if newer.uuid != self.uuid {
            return Err(ErrorKind::Replaced);
        }
        for column in self.table.columns.iter().filter(|c| c.stamp.is_some()) {
            if newer.table.column(&column.name).ok() != Some(column) {
                return Err(ErrorKind::ColumnMoved(column.name.clone()));
            }
        }
        if newer.table.stamps != self.table.stamps {
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
            (table.rows, table.stamps.as_ref().map(|s| (s.table, s.width)), columns)
        };
        self.uuid == newer.uuid && shape(&self.table) == shape(&newer.table)
    }

    /// A column with its stamps, for reading or writing cell by cell.
    pub(super) fn stamped<'a>(&'a self, column: &'a Column) -> Result<Stamped<'a>, ErrorKind> {
        let unstamped = || ErrorKind::Unstamped(self.table.path.clone());
        let stamps = self.table.stamps.as_ref().ok_or_else(unstamped)?;
        let place = column.stamp.ok_or_else(unstamped)?;
        let uuid = self.uuid.ok_or_else(unstamped)?;
        Ok(Stamped { column, layout: column.direct()?, place, seed: Seed::new(&uuid, stamps.table, place) })
    }
}

/// A direct column with its place among the stamps and the seed of its checksums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamped<'a> {
    pub(super) column: &'a Column,
    pub(super) layout: &'a ColumnLayout,
    pub(super) place: usize,
    pub(super) seed: Seed,
}

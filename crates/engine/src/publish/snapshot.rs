//! Maps published files into memory, for views without a copy.
#![expect(unsafe_code, reason = "a mapped file can be changed by others, which no type can exclude")]

use super::error::ErrorKind::NotPublished;
use crate::store::{Element, Store};
use bytemuck::checked;
use h5part_base::dataspace::{Place, Table};
use h5part_base::error::{At, ErrorKind, Gone, Item, Result};
use h5part_base::num::to_usize;
use memmap2::Mmap;
use ndarray::{ArrayViewD, IxDyn};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A published file, mapped into memory. It does not change, whatever is published under its name later.
///
/// **Concurrency.** Any number of processes may hold it, and they share the memory. h5part never changes a published
/// file, but replaces it. If another program truncates the file, the processes that have it mapped are killed by
/// SIGBUS.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    map: Mmap,
    tables: Vec<Table>,
}

impl Snapshot {
    /// Maps a published file.
    ///
    /// # Errors
    /// [`publish::ErrorKind::NotPublished`](super::error::ErrorKind::NotPublished), those of [`Store::reader`].
    pub fn open(store: &Store) -> Result<Self> {
        Self::map(store).at("open", store.path())
    }

    fn map(store: &Store) -> Result<Self, ErrorKind> {
        let path = store.path().to_owned();
        let (tables, map) = store.with_h5(|h5, file| {
            if !h5.is_published()? {
                return Err(NotPublished.into());
            }
            let opened = File::open(&path)?;
            // SAFETY: a published file, which its mark identifies, is never changed, only replaced.
            let map = unsafe { Mmap::map(&opened)? };
            // By now the name may refer to the next file.
            let (there, here) = (opened.metadata()?, file.identity()?);
            if (there.dev(), there.ino(), there.len()) != (here.device, here.inode, here.len) {
                return Err(ErrorKind::Replaced(Gone::File));
            }
            Ok((h5.tables()?.into_iter().map(|listing| listing.table).collect(), map))
        })?;
        Ok(Self { path, map, tables })
    }

    /// All tables of the file.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The values of a column, shape (rows, cell...). Rows that were not committed hold fill.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::DtypeMismatch`] if `T` is not the column's type;
    /// [`ErrorKind::LibraryColumn`] if the column does not lie in one block: publish with [`super::Packing::Plain`], or
    /// read it with a [`crate::store::Reader`].
    pub fn view<T: Element>(&self, table: &str, column: &str) -> Result<ArrayViewD<'_, T>> {
        self.try_view(table.trim_matches('/'), column).at("view", &self.path)
    }

    fn try_view<T: Element>(&self, table: &str, name: &str) -> Result<ArrayViewD<'_, T>, ErrorKind> {
        let known = || self.tables.iter().map(|t| t.path.clone()).collect();
        let found = self.tables.iter().find(|t| t.path == table);
        let found = found.ok_or_else(|| ErrorKind::NotFound { what: Item::Table(table.to_owned()), known: known() })?;
        let column = found.column(name)?;
        let dtype = column.dtype()?;
        if dtype != T::DTYPE {
            let (expected, found) = (dtype.to_string(), T::DTYPE.to_string());
            return Err(ErrorKind::DtypeMismatch { column: name.to_owned(), expected, found });
        }
        let scattered =
            || ErrorKind::LibraryColumn { column: name.to_owned(), reason: "it is not one block".to_owned() };
        let layout = column.direct()?;
        let Place::Contiguous { address } = layout.place else { return Err(scattered()) };
        let start = usize::try_from(address).map_err(|_| scattered())?;
        let end = usize::try_from(layout.end()).map_err(|_| scattered())?;
        let bytes = self.map.get(start..end.max(start)).ok_or_else(scattered)?;
        let values: &[T] = checked::try_cast_slice(bytes)
            .map_err(|_| ErrorKind::bad_values(format!("values of column '{name}' that are not valid for its type")))?;
        let size = |n: u64| to_usize(n);
        let shape: Vec<usize> = [layout.rows].into_iter().chain(column.shape.iter().copied()).map(size).collect();
        ArrayViewD::from_shape(IxDyn(&shape), values).map_err(|_| scattered())
    }
}

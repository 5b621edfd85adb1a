//! Marks in the superblock by which HDF5 says that a program writes to the file.
//!
//! Since a SWMR writer holds no lock, and one that died leaves its mark, nothing else tells of them. h5part sets
//! none: its file driver has no locks, for which the library leaves the marks alone.

use super::handle::Store;
use crate::h5::H5Change;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{StockReaders, writers_elsewhere};
use h5part_base::storage::{Mode, StorageFile};
use std::sync::Arc;

impl Store {
    /// Takes away the marks by which a program that died says that it writes to the file, as `h5clear -s -i` does: all
    /// bytes of the file count as its own from then on. What that program had not handed to the system is lost, and the
    /// file may be damaged by that: [`Store::verify`] tells.
    /// Returns whether there were any.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see [`Store::change`]. A SWMR
    /// writer that lives on another host, or belongs to another user, is not seen: its file would be destroyed.
    ///
    /// # Errors
    /// [`ErrorKind::OpenElsewhere`] where a process of this host has the file open for writing; those of
    /// [`Store::change`].
    pub fn clear_marks(&self) -> Result<bool> {
        self.try_clear_marks().at("clear the marks of", &self.paths.file)
    }

    fn try_clear_marks(&self) -> Result<bool, ErrorKind> {
        self.check_sharing()?;
        let locks = self.open_locks()?;
        let gate = self.enter_gate_with_marks(&locks, StockReaders::MustLeave)?;
        self.resolve_or_refuse()?;
        if !self.superblock()?.is_some_and(|found| found.is_marked()) {
            return Ok(false);
        }
        if let Some(writers) = writers_elsewhere(&self.paths)? {
            return Err(ErrorKind::OpenElsewhere(writers));
        }
        let base: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Write)?);
        // The library leaves marks out of what it writes when it closes a file.
        self.lay_over(&gate, &base, None, |file| Ok(H5Change::open_whole(file, &self.paths.file)?), |_| Ok(()))?;
        Ok(true)
    }
}

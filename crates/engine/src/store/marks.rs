//! Marks in the superblock by which HDF5 records that a program is writing to the file.
//!
//! A SWMR writer holds no lock, and one that dies leaves its mark behind, so nothing else tells of them. h5part sets no
//! marks: its file driver has no locks, and without locks the library does not set them.

use super::handle::Store;
use crate::h5::{H5Change, Superblock};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{StockReaders, writers_elsewhere};

impl Store {
    /// Removes the marks of a dead program that was writing to the file, as `h5clear -s -i` does. From then on all
    /// bytes of the file count as part of it. Data that the program had not passed to the system is lost, which may
    /// have damaged the file: [`Store::verify`] tells. Returns whether there were any marks.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see [`Store::change`]. A live
    /// SWMR writer on another host, or of another user, is not noticed: its file would be destroyed.
    ///
    /// # Errors
    /// [`ErrorKind::OpenForWriting`] if a process of this host has the file open for writing; those of
    /// [`Store::change`].
    pub fn clear_marks(&self) -> Result<bool> {
        self.try_clear_marks().at("clear the marks of", &self.paths.file)
    }

    fn try_clear_marks(&self) -> Result<bool, ErrorKind> {
        self.check_sharing()?;
        let locks = self.open_locks()?;
        let gate = self.enter_gate_with_marks(&locks, StockReaders::MustLeave)?;
        self.resolve_or_refuse(gate.file())?;
        if !Superblock::find(gate.file().as_ref())?.is_some_and(|found| found.is_marked()) {
            return Ok(false);
        }
        if let Some(writers) = writers_elsewhere(&self.paths)? {
            return Err(ErrorKind::OpenForWriting { by: Some(writers), swmr: false });
        }
        // When the library closes a file, it writes the superblock without marks.
        self.lay_over(&gate, None, |file| Ok(H5Change::open_whole(file, &self.paths.file)?), |_| Ok(()))?;
        Ok(true)
    }
}

//! Making tables: in a new file, or in one that exists.

use super::handle::{Store, normal};
use crate::error::{At, ErrorKind, Result};
use crate::h5::{self, H5File, NewTable};
use crate::lock::{CreationLock, Gate, RowLocks};
use crate::storage::{Mode, StorageFile, copy, replace};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Ends the names of files under construction.
const SUFFIX: &str = ".h5part-new";
/// Between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);
/// Room for metadata, in bytes.
const MARGIN: u64 = 1 << 20;

/// Called now and then while a file is made: bytes there, bytes planned.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

impl Store {
    /// Makes a table: in a new file, built beside and renamed, or in the existing file.
    ///
    /// **Concurrency.** Any number of processes may create at the same time; one makes the file,
    /// the others add their tables. An existing file is copied, changed and renamed under the
    /// exclusive gate: commits wait meanwhile and go on in the new file; stock readers keep what
    /// they have open. **Survives** a kill at any instant: the name stands for the old file or for
    /// the new one.
    ///
    /// # Errors
    /// [`ErrorKind::TableExists`], [`ErrorKind::NotATable`], [`ErrorKind::DiskFull`] before
    /// anything is written, [`ErrorKind::BadColumn`], [`ErrorKind::LockTimeout`], I/O errors.
    pub fn create(&self, table: &NewTable, progress: Progress<'_>) -> Result<()> {
        let table = NewTable { path: normal(&table.path).to_owned(), ..table.clone() };
        self.try_create(&table, progress).at("create a table in", &self.paths.file)
    }

    fn try_create(&self, table: &NewTable, progress: Progress<'_>) -> Result<(), ErrorKind> {
        table.check()?;
        if !self.paths.file.exists() {
            let lock = CreationLock::take(&self.paths, &self.patience)?;
            if !self.paths.file.exists() {
                self.clear_unfinished();
                self.build(table, None, progress)?;
                return Ok(lock.hand_over(&self.paths)?);
            }
            drop(lock);
        }
        self.check_sharing()?;
        let locks = Arc::new(RowLocks::open(&self.paths)?);
        let gate = Gate::open(&self.paths, Arc::clone(&locks))?;
        let gate = gate.enter_exclusive(&self.patience)?;
        // Records are bound to the file that is replaced.
        self.recover_inside(&locks)?;
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Write)?);
        let len = file.identity()?.len;
        H5File::open(&file, &self.paths.file)?.may_add(&table.path)?;
        self.clear_unfinished();
        self.build(table, Some((file.as_ref(), len)), progress)?;
        Ok(gate.hand_over(&self.paths.file)?)
    }

    /// Builds the file beside and gives it its name. `existing`: the file to start from, and its
    /// length.
    fn build(
        &self,
        table: &NewTable,
        existing: Option<(&dyn StorageFile, u64)>,
        progress: Progress<'_>,
    ) -> Result<(), ErrorKind> {
        let folder = self.paths.file.parent().unwrap_or(Path::new("/"));
        let needed = h5::planned_bytes(table).saturating_add(existing.map_or(0, |(_, len)| len)).saturating_add(MARGIN);
        let available = fs2::available_space(folder)?;
        if needed > available {
            return Err(ErrorKind::DiskFull { needed, available });
        }
        let prefix = self.unfinished_prefix();
        let mut builder = tempfile::Builder::new();
        // As open(2) would: the user's umask decides.
        builder.prefix(&prefix).suffix(SUFFIX).permissions(Permissions::from_mode(0o666));
        let new = builder.tempfile_in(folder)?;
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(new.path(), Mode::Write)?);
        watched(new.path(), needed - MARGIN, progress, || {
            if let Some((old, len)) = existing {
                copy(old, file.as_ref(), len)?;
            }
            h5::build(&file, new.path(), existing.is_none(), table)
        })?;
        self.name_it(new)
    }

    fn name_it(&self, new: NamedTempFile) -> Result<(), ErrorKind> {
        let temporary = new.into_temp_path();
        replace(self.storage.as_ref(), &temporary, &self.paths.file)?;
        // The name is gone; there is nothing left to remove.
        let _ = temporary.keep();
        Ok(())
    }

    fn unfinished_prefix(&self) -> String {
        let name = self.paths.file.file_name().unwrap_or_default().to_string_lossy();
        format!(".{name}.")
    }

    /// What a killed `create` left behind. Nobody else is at it: the gate is ours alone.
    fn clear_unfinished(&self) {
        let prefix = self.unfinished_prefix();
        let entries = self.paths.file.parent().and_then(|folder| std::fs::read_dir(folder).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && name.ends_with(SUFFIX) {
                // Litter that stays harms nobody.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Runs `body` while another thread reports how long the file has grown.
fn watched<T>(file: &Path, total: u64, progress: Progress<'_>, body: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                std::thread::park_timeout(REPORT);
                let len = std::fs::metadata(file).map_or(0, |m| m.len());
                progress(len.min(total), total);
            }
        });
        let out = body();
        done.store(true, Ordering::Release);
        watch.thread().unpark();
        out
    })
}

//! Creates tables, in a new file or in an existing one.

use super::building::Building;
use super::handle::{Store, trim_slashes};
use crate::h5::{self, H5Change, H5File, NewTable, Superblock};
use h5part_base::error::{At, ErrorKind, Result, Shortage, size_limit};
use h5part_base::lock::{self, CreationLock, Shared};
use h5part_base::storage::{Mode, StorageFile, beside, replace};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Suffix of the names of files under construction.
pub(crate) const UNFINISHED: &str = ".h5part-new";
/// Interval between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);
/// Room for metadata, in bytes.
const MARGIN: u64 = 1 << 20;

/// Called from time to time while a file is created, with the bytes written and the bytes planned.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

impl Store {
    /// Creates a table in a new file, which is built beside its name and renamed, or in the existing file.
    ///
    /// **Concurrency.** Any number of processes may create at the same time. One creates the file; the others add their
    /// tables, each by a structural change: see [`Store::change`]. **Survives** a kill at any instant: the table exists
    /// as a whole, or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::WrongObject`], [`ErrorKind::NoSpace`] before
    /// anything is written, [`ErrorKind::BadColumn`], [`ErrorKind::LockTimeout`], I/O errors.
    pub fn create(&self, table: &NewTable, progress: Progress<'_>) -> Result<()> {
        let table = NewTable { path: trim_slashes(&table.path).to_owned(), ..table.clone() };
        self.try_create(&table, progress).at("create a table in", &self.paths.file)
    }

    fn try_create(&self, table: &NewTable, progress: Progress<'_>) -> Result<(), ErrorKind> {
        table.check()?;
        table.check_dimensions()?;
        if self.make_if_missing(|| self.build(table, progress))? {
            return Ok(());
        }
        self.change_beside_readers(|exclusive| {
            let before = self.storage.open(&self.paths.file, Mode::Read)?;
            let before: Arc<dyn StorageFile> = Arc::from(before);
            H5File::open(&before, &self.paths.file)?.may_add(&table.path)?;
            let planned = h5::planned_bytes(table);
            self.check_room(planned, table.rows)?;
            let total = before.identity()?.len.saturating_add(planned);
            watched(&self.paths.file, total, progress, || {
                self.change_exclusively(exclusive, |site| Ok(site.h5.add_table(table)?))
            })
        })
    }

    /// Creates the file unless it exists: `build` builds it beside its name, under the gate. `false`: it exists.
    pub(super) fn make_if_missing(
        &self,
        build: impl FnOnce() -> Result<NamedTempFile, ErrorKind>,
    ) -> Result<bool, ErrorKind> {
        if self.exists() {
            return Ok(false);
        }
        if self.shared == Shared::Nfs {
            self.check_mount()?;
        }
        let lock = CreationLock::take(&self.paths, &self.patience)?;
        if self.exists() {
            return Ok(false);
        }
        self.clear_unfinished();
        let new = build()?;
        lock::clear_store_uuid(&self.paths)?;
        self.rename_into_place(new)?;
        lock.hand_over(&self.paths)?;
        self.shared.mark(&self.paths)?;
        Ok(true)
    }

    /// Whether the file exists.
    fn exists(&self) -> bool {
        self.storage.refresh(self.folder());
        self.paths.file.exists()
    }

    fn build(&self, table: &NewTable, progress: Progress<'_>) -> Result<NamedTempFile, ErrorKind> {
        let planned = h5::planned_bytes(table);
        self.check_space(planned)?;
        let new = self.temporary()?;
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(new.path(), Mode::Write)?);
        watched(new.path(), planned, progress, || {
            H5Change::open(&file, new.path(), true)?.run(|h5| h5.add_table(table))
        })?;
        Ok(new)
    }

    /// Creates the file unless it exists: it is built beside its name, and renamed once complete. Its root tracks the
    /// order of its members if that of `like` does. `false`: it exists.
    pub(crate) fn build_like(
        &self,
        like: &Self,
        planned: u64,
        work: &mut dyn FnMut(&Building<'_>) -> Result<(), ErrorKind>,
    ) -> Result<bool> {
        let build = || {
            self.check_space(planned)?;
            let new = self.temporary()?;
            let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(new.path(), Mode::Write)?);
            let h5 = like.with_h5(|from, _| Ok(H5Change::create_like(&file, new.path(), from)?))?;
            h5.run(|h5| work(&Building::new(self, h5, &file)))?;
            Ok(new)
        };
        self.make_if_missing(build).at("create", &self.paths.file)
    }

    /// Syncs what was written so far.
    ///
    /// # Errors
    /// As open(2) and fdatasync(2).
    pub fn sync(&self) -> Result<()> {
        self.storage.open(&self.paths.file, Mode::Write).and_then(|file| file.sync()).at("sync", &self.paths.file)
    }

    /// Builds a file beside this one and replaces whatever has the name. `build` gets the path and the open file.
    pub(crate) fn replace_with<T>(
        &self,
        build: impl FnOnce(&Path, &Arc<dyn StorageFile>) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        self.clear_unfinished();
        let new = self.temporary()?;
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(new.path(), Mode::Write)?);
        let done = build(new.path(), &file)?;
        self.rename_into_place(new)?;
        Ok(done)
    }

    /// Checks that this many bytes, and an axis of this length, can be added to the file.
    pub(super) fn check_room(&self, bytes: u64, longest: u64) -> Result<(), ErrorKind> {
        let file = self.storage.open(&self.paths.file, Mode::Read)?;
        let len = file.identity()?.len.saturating_add(bytes);
        Superblock::find(file.as_ref())?.map_or(Ok(()), |found| found.can_address(len, longest))?;
        match size_limit() {
            Some(limit) if len > limit => Err(ErrorKind::NoSpace(Shortage::FileSize { limit })),
            _ => self.check_space(bytes),
        }
    }

    /// Checks that this many bytes can be written, beside the file or at its end.
    pub(crate) fn check_space(&self, bytes: u64) -> Result<(), ErrorKind> {
        let needed = bytes.saturating_add(MARGIN);
        if let Some(limit) = size_limit().filter(|&limit| bytes > limit) {
            return Err(ErrorKind::NoSpace(Shortage::FileSize { limit }));
        }
        let available = fs2::available_space(self.folder())?;
        if needed > available { Err(ErrorKind::NoSpace(Shortage::Disk { needed, available })) } else { Ok(()) }
    }

    pub(super) fn folder(&self) -> &Path {
        self.paths.file.parent().unwrap_or(Path::new("/"))
    }

    /// A temporary file beside the store, to be renamed later.
    pub(super) fn temporary(&self) -> Result<NamedTempFile, ErrorKind> {
        let prefix = self.unfinished_prefix();
        let new = beside(&self.paths.file, &prefix, UNFINISHED)?;
        // While it is locked, nobody takes it for the leftover of a dead process.
        new.as_file().lock()?;
        Ok(new)
    }

    pub(super) fn rename_into_place(&self, new: NamedTempFile) -> Result<(), ErrorKind> {
        let (_locked, temporary) = new.into_parts();
        replace(self.storage.as_ref(), &temporary, &self.paths.file)?;
        // After the rename there is nothing to remove.
        let _ = temporary.keep();
        Ok(())
    }

    fn unfinished_prefix(&self) -> String {
        let name = self.paths.file.file_name().unwrap_or_default().to_string_lossy();
        format!(".{name}.")
    }

    /// Removes what killed calls of `create` or `publish` left behind.
    pub(super) fn clear_unfinished(&self) {
        let prefix = self.unfinished_prefix();
        for entry in std::fs::read_dir(self.folder()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let dead = || lock::open_to_lock(&entry.path()).is_ok_and(|file| file.try_lock().is_ok());
            if name.starts_with(&prefix) && name.ends_with(UNFINISHED) && dead() {
                // A leftover that cannot be removed does no harm.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Runs `body` while another thread reports the growing length of the file.
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

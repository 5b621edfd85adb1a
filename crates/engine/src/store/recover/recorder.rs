//! A writer's record of the values that its current commit overwrites.

use crate::store::handle::Store;
use crate::store::table_view::TableView;
use h5part_base::error::{ErrorKind, Item};
use h5part_base::lock::Owner;
use h5part_base::record::row::{self, Entry, RecordId, START};
use h5part_base::storage::{Mode, Storage, StorageFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A writer's own record of the values that its current commit overwrites.
#[derive(Debug)]
pub(in crate::store) struct Recorder {
    /// Holds the writer's lock. `None` once the writer has failed: then others recover from its record.
    owner: Option<Owner>,
    file: Box<dyn StorageFile>,
    storage: Arc<dyn Storage>,
    /// Folders on the path to the record whose entries may not be durable yet.
    unsynced: Vec<PathBuf>,
    /// Commits that were recorded, since they overwrite something.
    commits: u64,
    /// All commits, and when others were told last how many there are.
    made: u64,
    told: Instant,
}

/// Others are told at most this often.
const TELL: Duration = Duration::from_millis(100);

impl Recorder {
    pub(in crate::store) fn open(store: &Store) -> Result<Self, ErrorKind> {
        let Store { storage, paths, .. } = store;
        let owner = Owner::register(paths)?;
        let file = storage.open(owner.path(), Mode::Write)?;
        let mut unsynced = vec![paths.records.clone(), paths.sidecar.clone()];
        unsynced.extend(paths.file.parent().map(Path::to_owned));
        Ok(Self {
            owner: Some(owner),
            file,
            storage: Arc::clone(storage),
            unsynced,
            commits: 0,
            made: 0,
            told: Instant::now(),
        })
    }

    /// Writes what the next commit overwrites, and syncs it if the commit must survive loss of power.
    pub(in crate::store) fn write(
        &mut self,
        view: &TableView,
        entries: &[&Entry],
        durable: bool,
    ) -> Result<(), ErrorKind> {
        let unstamped = || ErrorKind::Unstamped(Item::Table(view.table.path.clone()));
        if entries.iter().any(|e| u32::try_from(e.old.len()).is_err()) {
            return Err(ErrorKind::BadRequest("cells of 4 GiB or more cannot be overwritten".to_owned()));
        }
        self.commits += 1;
        let id = RecordId {
            uuid: view.uuid.ok_or_else(unstamped)?,
            device: view.identity.device,
            inode: view.identity.inode,
            generation: view.generation,
            table: view.table.expect_stamps()?.table,
            commit: self.commits,
        };
        self.file.write_at(&row::encode(&id, entries), START)?;
        if durable {
            self.file.sync()?;
            // A record that is not durable by name would not be found.
            for folder in &self.unsynced {
                self.storage.sync_folder(folder)?;
            }
            self.unsynced.clear();
        }
        Ok(())
    }

    /// Marks the record as spent: the commit is done. This is not synced. A record that reappears after a loss of power
    /// finds newer stamps, and does nothing.
    pub(in crate::store) fn spend(&self) -> Result<(), ErrorKind> {
        Ok(self.file.write_at(&row::spent(), START)?)
    }

    /// Counts commits that were made until `now`.
    pub(in crate::store) fn count(&mut self, commits: u64, now: Instant) {
        self.made += commits;
        if now.saturating_duration_since(self.told) >= TELL
            && let Some(owner) = &self.owner
        {
            owner.tell(self.made);
            self.told = now;
        }
    }

    /// Gives the record up after a failed commit, so that others recover from it.
    pub(in crate::store) fn abandon(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.abandon();
        }
    }
}

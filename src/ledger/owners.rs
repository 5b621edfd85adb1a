//! The owner table: registration, beats, leaving.

use super::Ledger;
use super::owner::{ENTRY, Entry, Owner};
use super::task::OwnerId;
use crate::error::{At, ErrorKind, Result};

impl Ledger {
    /// Enters an owner, or finds it where it is entered already.
    ///
    /// **Concurrency.** Beside anything.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn register(&self, owner: &Owner) -> Result<OwnerId> {
        self.try_register(owner).at("enter a worker in", &self.path)
    }

    fn try_register(&self, owner: &Owner) -> Result<OwnerId, ErrorKind> {
        let _held = self.lock.hold(&self.patience)?;
        let entries = self.entries()?;
        let own = |entry: &Entry| entry.owner.as_ref().is_some_and(|o| o.is(owner));
        if let Some((place, Some(entry))) = entries.iter().enumerate().find(|(_, e)| e.as_ref().is_some_and(own)) {
            return Ok(OwnerId { place: number(place)?, generation: entry.generation });
        }
        // Damaged entries are left alone: nobody knows which generation they had.
        let free = entries.iter().enumerate().find_map(|(place, entry)| match entry {
            Some(Entry { owner: None, generation, .. }) => Some((place, generation.wrapping_add(1))),
            _ => None,
        });
        let (place, generation) = free.unwrap_or((entries.len(), 1));
        let id = OwnerId { place: number(place)?, generation };
        self.write_entry(id, &Entry { generation, beat: 0, owner: Some(owner.clone()) })?;
        Ok(id)
    }

    /// Shows that the owner lives, to those who cannot see its process.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`]: others gave it up. I/O errors.
    pub fn beat(&self, id: OwnerId) -> Result<()> {
        let beat = || {
            let _held = self.lock.hold(&self.patience)?;
            let entry = self.entry(id)?.ok_or_else(|| ErrorKind::Fenced {
                task: "all tasks of this worker".to_owned(),
                how: "others gave it up".to_owned(),
            })?;
            self.write_entry(id, &Entry { beat: entry.beat.wrapping_add(1), ..entry })
        };
        beat().at("beat in", &self.path)
    }

    /// The owner ends, and holds no task any more. What it still holds waits again, as if it had died.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn leave(&self, id: OwnerId) -> Result<()> {
        self.free(id).at("leave", &self.path)
    }

    pub(super) fn free(&self, id: OwnerId) -> Result<(), ErrorKind> {
        let _held = self.lock.hold(&self.patience)?;
        match self.entry(id)? {
            Some(entry) => self.write_entry(id, &Entry { owner: None, ..entry }),
            None => Ok(()),
        }
    }

    /// The owner of some task, if it is entered still.
    ///
    /// # Errors
    /// I/O errors.
    pub fn owner(&self, id: OwnerId) -> Result<Option<Owner>> {
        Ok(self.entry(id).at("read", &self.path)?.and_then(|entry| entry.owner))
    }

    /// The entry, if it is that owner's.
    fn entry(&self, id: OwnerId) -> Result<Option<Entry>, ErrorKind> {
        let at = self.shape.owners + u64::from(id.place) * ENTRY as u64;
        if at + ENTRY as u64 > self.file.identity()?.len {
            return Ok(None);
        }
        let mut bytes = [0; ENTRY];
        self.file.read_at(&mut bytes, at)?;
        Ok(Entry::decode(&bytes).filter(|entry| entry.is_of(id)))
    }

    fn write_entry(&self, id: OwnerId, entry: &Entry) -> Result<(), ErrorKind> {
        Ok(self.file.write_at(&entry.encode(), self.shape.owners + u64::from(id.place) * ENTRY as u64)?)
    }

    /// All entries; `None`: damaged, or just being written.
    pub(super) fn entries(&self) -> Result<Vec<Option<Entry>>, ErrorKind> {
        // A death while the table grew may leave a part of an entry.
        let len = self.file.identity()?.len.saturating_sub(self.shape.owners);
        let count = usize::try_from(len).unwrap_or(usize::MAX) / ENTRY;
        let mut entries = vec![[0; ENTRY]; count];
        self.file.read_at(entries.as_flattened_mut(), self.shape.owners)?;
        Ok(entries.iter().map(Entry::decode).collect())
    }
}

fn number(place: usize) -> Result<u32, ErrorKind> {
    u32::try_from(place).map_err(|_| ErrorKind::BadRequest("there are too many workers".to_owned()))
}

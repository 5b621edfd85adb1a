//! The owner table: registration, heartbeats, leaving.

use super::Ledger;
use super::owner::{ENTRY, Entry, Owner};
use super::task::OwnerId;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::num::to_usize;
use uuid::Uuid;

impl Ledger {
    /// Registers an owner, or returns its existing registration.
    ///
    /// **Concurrency.** Beside anything.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`]: another ledger has the name now. [`ErrorKind::LockTimeout`], I/O errors.
    pub fn register(&self, owner: &Owner) -> Result<OwnerId> {
        self.try_register(owner).at("register a worker in", &self.path)
    }

    fn try_register(&self, owner: &Owner) -> Result<OwnerId, ErrorKind> {
        let _held = self.hold()?;
        // Nobody would look for its tasks in a ledger without a name.
        self.still_named()?;
        let entries = self.entries()?;
        let own = |entry: &Entry| !entry.given_up && entry.owner.as_ref().is_some_and(|o| o.is(owner));
        if let Some((place, Some(entry))) = entries.iter().enumerate().find(|(_, e)| e.as_ref().is_some_and(own)) {
            return Ok(OwnerId { place: number(place)?, generation: entry.generation });
        }
        // Damaged entries are kept, since their owners may live.
        let free = entries.iter().position(|entry| matches!(entry, Some(Entry { owner: None, .. })));
        let place = free.unwrap_or(entries.len());
        let before = entries.get(place).and_then(Option::as_ref).map_or(0, |entry| entry.generation);
        let id = OwnerId { place: number(place)?, generation: drawn(before) };
        let entry = Entry { generation: id.generation, beat: 0, given_up: false, owner: Some(owner.clone()) };
        self.write_entry(id, &entry)?;
        Ok(id)
    }

    /// Sends a heartbeat, for those who cannot see the owner's process.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`]: others gave it up. I/O errors.
    pub fn beat(&self, id: OwnerId) -> Result<()> {
        let beat = || {
            let _held = self.hold()?;
            let entry = self.working(id)?;
            self.write_entry(id, &Entry { beat: entry.beat.wrapping_add(1), ..entry })
        };
        beat().at("beat in", &self.path)
    }

    /// Ends a registration. The owner must not hold tasks.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn leave(&self, id: OwnerId) -> Result<()> {
        self.free(id).at("leave", &self.path)
    }

    /// Ends a registration whose owner may hold tasks. The next search for dead workers takes them back.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn give_up(&self, id: OwnerId) -> Result<()> {
        self.mark_given_up(id, None).map(|_| ()).at("leave", &self.path)
    }

    /// Marks the owner as given up, so that it can claim nothing more. `false`: it has sent a heartbeat since `beat`.
    pub(super) fn mark_given_up(&self, id: OwnerId, beat: Option<u64>) -> Result<bool, ErrorKind> {
        let _held = self.hold()?;
        match self.entry(id)? {
            Some(entry) if beat.is_none_or(|beat| beat == entry.beat) => {
                self.write_entry(id, &Entry { given_up: true, ..entry })?;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Ok(true),
        }
    }

    pub(super) fn free(&self, id: OwnerId) -> Result<(), ErrorKind> {
        let _held = self.hold()?;
        match self.entry(id)? {
            Some(entry) => self.write_entry(id, &Entry { owner: None, given_up: false, ..entry }),
            None => Ok(()),
        }
    }

    /// The owner with this id, if it is still registered.
    ///
    /// # Errors
    /// I/O errors.
    pub fn owner(&self, id: OwnerId) -> Result<Option<Owner>> {
        let look = || {
            let seen = self.entry(id)?;
            if seen.is_some() || self.lock.is_none() {
                return Ok(seen);
            }
            // It may be in the middle of a write.
            let _held = self.hold()?;
            self.entry(id)
        };
        Ok(look().at("read", &self.path)?.and_then(|entry| entry.owner))
    }

    /// All registered owners with their current entries, read without the lock.
    ///
    /// # Errors
    /// I/O errors.
    pub fn owners(&self) -> Result<Vec<(OwnerId, Entry)>> {
        let numbered = |(place, entry): (usize, Option<Entry>)| {
            let (place, entry) = (u32::try_from(place).ok()?, entry?);
            entry.owner.as_ref()?;
            Some((OwnerId { place, generation: entry.generation }, entry))
        };
        let entries = self.entries().at("read", &self.path)?;
        Ok(entries.into_iter().enumerate().filter_map(numbered).collect())
    }

    /// The entry of an owner that nobody has given up. The caller holds the lock.
    pub(super) fn working(&self, id: OwnerId) -> Result<Entry, ErrorKind> {
        let entry = self.entry(id)?.filter(|entry| !entry.given_up);
        entry.ok_or_else(|| ErrorKind::Fenced {
            task: "all tasks of this worker".to_owned(),
            how: "others gave it up".to_owned(),
        })
    }

    /// The entry, if it belongs to that owner.
    pub(super) fn entry(&self, id: OwnerId) -> Result<Option<Entry>, ErrorKind> {
        let mut bytes = [0; ENTRY];
        match self.file.read_at(&mut bytes, self.shape.owners + u64::from(id.place) * ENTRY as u64) {
            Ok(()) => Ok(Entry::decode(&bytes).filter(|entry| entry.is_of(id))),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn write_entry(&self, id: OwnerId, entry: &Entry) -> Result<(), ErrorKind> {
        Ok(self.file.write_at(&entry.encode(), self.shape.owners + u64::from(id.place) * ENTRY as u64)?)
    }

    /// All entries. `None`: damaged, or being written.
    pub(super) fn entries(&self) -> Result<Vec<Option<Entry>>, ErrorKind> {
        // If a process died while the table grew, part of an entry may be left.
        let len = self.file.identity()?.len.saturating_sub(self.shape.owners);
        let count = to_usize(len) / ENTRY;
        let mut entries = vec![[0; ENTRY]; count];
        self.file.read_at(entries.as_flattened_mut(), self.shape.owners)?;
        Ok(entries.iter().map(Entry::decode).collect())
    }
}

/// A number that no owner of this entry had before. A counter could repeat: a loss of power may take entries, but leave
/// slots that refer to them.
fn drawn(before: u32) -> u32 {
    match Uuid::new_v4().as_fields().0 {
        same if same == before => same.wrapping_add(1),
        other => other,
    }
}

fn number(place: usize) -> Result<u32, ErrorKind> {
    u32::try_from(place).map_err(|_| ErrorKind::BadRequest("there are too many workers".to_owned()))
}

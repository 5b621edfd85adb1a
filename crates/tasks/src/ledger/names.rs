//! Names of tasks, and finding a task by its name.

use super::scan::spec;
use super::task::Task;
use super::{Ledger, TaskState};
use crc_fast::{CrcAlgorithm, checksum};
use h5part_base::checksum::crc32c;
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use std::ops::Range;

/// Longest name in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// Where the search for a name begins in an index of this many entries.
pub(super) fn first_probe(name: &[u8], entries: u64) -> u64 {
    checksum(CrcAlgorithm::Crc64Nvme, name) % entries.max(1)
}

impl Ledger {
    /// Name of a task.
    ///
    /// # Errors
    /// [`crate::ErrorKind::DamagedTask`], I/O errors.
    pub fn name_of(&self, place: u64, task: &Task) -> Result<String, ErrorKind> {
        if self.header.names_len == 0 {
            return Ok(self.header.rows_of(task.index).map_or_else(|| task.index.to_string(), |rows| spec(&rows)));
        }
        let (at, len) = (task.name.at, u64::from(task.name.len));
        let names = self.shape.names..self.shape.names + self.header.names_len;
        let damaged = || ErrorKind::from(crate::ErrorKind::DamagedTask { task: place });
        if at < names.start || at.checked_add(len).is_none_or(|end| end > names.end) {
            return Err(damaged());
        }
        let mut bytes = vec![0; to_usize(len)];
        self.file.read_at(&mut bytes, at)?;
        if crc32c(&bytes) != task.name.sum {
            return Err(damaged());
        }
        String::from_utf8(bytes).map_err(|_| damaged())
    }

    pub(super) fn try_find(&self, name: &str) -> Result<Option<u64>, ErrorKind> {
        if self.header.names_len == 0 {
            return Ok(self.find_rows(name));
        }
        let sum = crc32c(name.as_bytes());
        match self.find_in_index(name, sum)? {
            Some(place) => Ok(Some(place)),
            // The index has no checksum. Like the bits, it is a hint.
            None => self.find_in_slots(name, sum),
        }
    }

    fn find_in_index(&self, name: &str, sum: u32) -> Result<Option<u64>, ErrorKind> {
        let entries = self.shape.index_len;
        let mut probe = first_probe(name.as_bytes(), entries);
        for _ in 0..entries {
            let mut entry = [0; 4];
            self.file.read_at(&mut entry, self.shape.index + probe * 4)?;
            // 0 ends the search.
            let Some(place) = u64::from(u32::from_le_bytes(entry)).checked_sub(1) else { return Ok(None) };
            if place < self.header.tasks && self.look_at(place).is_ok_and(|task| self.is_named(place, &task, name, sum))
            {
                return Ok(Some(place));
            }
            probe = (probe + 1) % entries;
        }
        Ok(None)
    }

    fn find_in_slots(&self, name: &str, sum: u32) -> Result<Option<u64>, ErrorKind> {
        let (mut found, mut damaged) = (None, None);
        let look = |place, task: Option<&Task>| {
            match task.map(|task| (self.is_named(place, task, name, sum), may_have(task, name, sum))) {
                Some((true, _)) => found = found.or(Some(place)),
                Some((false, false)) => {}
                _ => damaged = damaged.or(Some(place)),
            }
            Ok(())
        };
        self.each(look).map_err(h5part_base::error::Error::into_kind)?;
        match (found, damaged) {
            // The damaged task may be the one.
            (None, Some(task)) => Err(crate::ErrorKind::DamagedTask { task }.into()),
            (found, _) => Ok(found),
        }
    }

    fn is_named(&self, place: u64, task: &Task, name: &str, sum: u32) -> bool {
        may_have(task, name, sum) && self.name_of(place, task).is_ok_and(|its| its == name)
    }

    /// Finds a task whose name is its rows: its number, which is its position, follows from them.
    fn find_rows(&self, name: &str) -> Option<u64> {
        let index = match name.split_once(':') {
            _ if self.header.rows == 0 => name.parse().ok()?,
            Some((start, end)) => self.block(start.parse().ok()?..end.parse().ok()?)?,
            None => name.parse::<u64>().ok().and_then(|row| self.block(row..row.checked_add(1)?))?,
        };
        let rows = self.header.rows_of(u32::try_from(index).ok()?);
        // '+3' and '03' are not names.
        let is_its_name = rows.map_or_else(|| index.to_string(), |rows| spec(&rows)) == name;
        (index < self.header.tasks && is_its_name).then_some(index)
    }

    fn block(&self, rows: Range<u64>) -> Option<u64> {
        let index = u32::try_from(rows.start / self.header.rows_per_task.max(1)).ok()?;
        (self.header.rows_of(index)? == rows).then_some(u64::from(index))
    }

    /// The fence of the claim that holds a task. `None`: it is not running.
    pub(super) fn held_by(&self, place: u64) -> Result<Option<u64>, ErrorKind> {
        let task = self.look_at(place)?;
        Ok((task.state == TaskState::Running).then_some(task.fence))
    }
}

/// Whether length and checksum of a task's name match these.
fn may_have(task: &Task, name: &str, sum: u32) -> bool {
    task.name.sum == sum && u64::from(task.name.len) == name.len() as u64
}

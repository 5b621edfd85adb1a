//! A change whose log is sealed. It is applied, again if necessary, unless another program has changed the file.

use super::log::{self, LogHeader, Range, each_block};
use crate::checksum::crc32c;
use crate::num::to_usize;
use crate::storage::StorageFile;
use std::io;

/// A sealed log, decoded.
#[derive(Clone, Debug)]
pub struct Sealed {
    pub(super) header: LogHeader,
    pub(super) ranges: Vec<Range>,
}

/// Whether a sealed log fits the file beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Every sector is old or new.
    Fits,
    /// Another program has changed the file since.
    Foreign,
    /// The log's own bytes have changed since it was sealed.
    Damaged,
}

impl Sealed {
    /// Reads the table that belongs to `header`. `None`: it is damaged.
    ///
    /// # Errors
    /// As pread(2).
    pub fn read(header: LogHeader, file: &dyn StorageFile) -> io::Result<Option<Self>> {
        let end = header.table_at.checked_add(header.table_len);
        if end.is_none_or(|end| end > i64::MAX as u64) || end > Some(file.identity()?.len) {
            return Ok(None);
        }
        let mut table = vec![0; to_usize(header.table_len)];
        file.read_at(&mut table, header.table_at)?;
        Ok(log::decode_table(&header, &table).map(|ranges| Self { header, ranges }))
    }

    /// Number of ranges of the file that change.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// Checks whether the file is in the old state, in the new one, or between them.
    ///
    /// # Errors
    /// As pread(2).
    pub fn fit(&self, base: &dyn StorageFile, file: &dyn StorageFile) -> io::Result<Fit> {
        let LogHeader { old_end, new_end, tail_sum, .. } = self.header;
        let len = base.identity()?.len;
        if len != old_end.max(new_end) && len != new_end {
            return Ok(Fit::Foreign);
        }
        let (start, tail_len) = self.header.tail();
        let mut tail = vec![0; tail_len];
        base.read_at(&mut tail, start)?;
        if crc32c(&tail) != tail_sum {
            return Ok(Fit::Foreign);
        }
        for range in &self.ranges {
            let fit = fit_of(range, base, file)?;
            if fit != Fit::Fits {
                return Ok(fit);
            }
        }
        Ok(Fit::Fits)
    }

    /// Applies the change, durably.
    ///
    /// # Errors
    /// As pread(2), pwrite(2), ftruncate(2), fdatasync(2). It can be applied again.
    pub fn apply(&self, base: &dyn StorageFile, file: &dyn StorageFile) -> io::Result<()> {
        self.write(base, file)?;
        base.sync()
    }

    /// Applies the change: superblock first, so that the file's new end is known before anything else points there. It
    /// survives loss of power once `base` is synced.
    ///
    /// # Errors
    /// As pread(2), pwrite(2), ftruncate(2). It can be applied again.
    pub fn write(&self, base: &dyn StorageFile, file: &dyn StorageFile) -> io::Result<()> {
        for range in &self.ranges {
            each_block(range, |address, done, buf| {
                match range.position {
                    Some(position) => file.read_at(buf, position + done)?,
                    None => buf.fill(0),
                }
                base.write_at(buf, address)
            })?;
        }
        if base.identity()?.len != self.header.new_end {
            base.set_len(self.header.new_end)?;
        }
        Ok(())
    }

    /// Marks the log as spent, durably. A log that reappeared after a loss of power could undo later commits.
    ///
    /// # Errors
    /// As pwrite(2), fdatasync(2).
    pub fn spend(&self, file: &dyn StorageFile) -> io::Result<()> {
        let spent = LogHeader { progress: log::Progress::Spent, ..self.header };
        file.write_at(&spent.encode(), 0)?;
        file.sync()?;
        // Others recognize an empty log by its length alone.
        file.set_len(0)
    }
}

fn fit_of(range: &Range, base: &dyn StorageFile, file: &dyn StorageFile) -> io::Result<Fit> {
    let mut at = 0;
    let mut fit = Fit::Fits;
    let log_len = file.identity()?.len;
    if range.position.is_some_and(|p| p.checked_add(range.len).is_none_or(|end| end > log_len)) {
        return Ok(Fit::Damaged);
    }
    each_block(range, |address, done, buf| {
        base.read_at(buf, address)?;
        let now = log::sums(buf, address);
        let end = at + now.len();
        let (Some(old), Some(new)) = (range.old_pieces.get(at..end), range.new_pieces.get(at..end)) else {
            fit = Fit::Damaged;
            return Ok(());
        };
        if now.iter().zip(old).zip(new).any(|((now, old), new)| now != old && now != new) {
            fit = Fit::Foreign;
        }
        match range.position {
            Some(position) => file.read_at(buf, position + done)?,
            None => buf.fill(0),
        }
        if log::sums(buf, address) != new {
            fit = Fit::Damaged;
        }
        at = end;
        Ok(())
    })?;
    Ok(fit)
}

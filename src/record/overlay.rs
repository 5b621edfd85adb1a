//! A file with a change laid over it, for the library to work on.

use super::extents::{Extents, Source};
use super::log::{self, Header, Progress, Range};
use super::row::crc;
use super::sealed::Sealed;
use crate::storage::{Identity, StorageFile};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// The file as it will be. Below its old end, what is written goes to the log and is laid over what is
/// read; beyond it, straight to the file, where nobody looks yet. Until [`Overlay::seal`] the file is
/// as it was, up to its old end.
///
/// After a write that failed, and after [`Overlay::discard`], writes vanish: the library still has to
/// close what it opened, and nothing of it will count.
#[derive(Debug)]
pub struct Overlay {
    base: Arc<dyn StorageFile>,
    log: Arc<dyn StorageFile>,
    /// The header as it is written with the first change of any kind.
    header: Header,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    extents: Extents,
    /// End of the heap in the log.
    heap_end: u64,
    /// Length of the file as it will be.
    len: u64,
    begun: bool,
    /// Bytes beyond the old end were written.
    grown: bool,
    vanishing: bool,
}

impl Overlay {
    /// Lays nothing over `base` yet. `log` is empty. Nothing is written before the first change.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn new(base: Arc<dyn StorageFile>, log: Arc<dyn StorageFile>, uuid: Option<Uuid>) -> io::Result<Self> {
        let Identity { device, inode, len, .. } = base.identity()?;
        let header = Header {
            progress: Progress::Begun,
            uuid: uuid.unwrap_or_default(),
            device,
            inode,
            old_end: len,
            new_end: len,
            table_at: 0,
            table_len: 0,
            table_sum: 0,
            tail_sum: 0,
        };
        let state = State {
            extents: Extents::default(),
            heap_end: log::HEADER as u64,
            len,
            begun: false,
            grown: false,
            vanishing: false,
        };
        Ok(Self { base, log, header, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change; if it fails, nothing after it counts.
    fn change(&self, body: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        if state.vanishing {
            return Ok(());
        }
        let begin = |state: &mut State| {
            if !state.begun {
                self.log.write_at(&self.header.encode(), 0)?;
                state.begun = true;
            }
            Ok(())
        };
        let outcome = begin(&mut state).and_then(|()| body(&mut state));
        state.vanishing = outcome.is_err();
        outcome
    }

    fn write_below(&self, state: &mut State, buf: &[u8], address: u64) -> io::Result<()> {
        for piece in state.extents.pieces(address, address + buf.len() as u64) {
            let bytes = &buf[index(piece.start - address)..index(piece.end - address)];
            if let Some(Source::Log(position)) = piece.source {
                self.log.write_at(bytes, position)?;
            } else {
                self.log.write_at(bytes, state.heap_end)?;
                state.extents.put(piece.start, piece.end, Source::Log(state.heap_end));
                state.heap_end += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Gives the change up: the file is cut to what it was.
    ///
    /// # Errors
    /// As ftruncate(2). The next one to meet the log finishes the job.
    pub fn discard(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.vanishing = true;
        if state.begun {
            // It may have been sealed already: a sealed log beside a file that was cut fits nothing.
            self.log.write_at(&self.header.encode(), 0)?;
            if self.base.identity()?.len > self.header.old_end {
                self.base.set_len(self.header.old_end)?;
            }
            self.log.set_len(0)?;
            state.begun = false;
        }
        Ok(())
    }

    /// Completes the log. From here on the change will be made, whoever finishes it: the caller goes on
    /// with [`Sealed::apply`]. `None`: nothing was changed.
    ///
    /// # Errors
    /// The failed write of before; as pread(2), pwrite(2), fdatasync(2).
    pub fn seal(&self) -> io::Result<Option<Sealed>> {
        let mut state = self.lock();
        if state.vanishing {
            return Err(io::Error::other("an earlier write of this change failed"));
        }
        if !state.begun {
            return Ok(None);
        }
        if state.grown {
            self.base.sync()?;
        }
        let ranges = self.ranges(&state)?;
        let table = log::encode_table(&ranges);
        let mut header = Header {
            progress: Progress::Sealed,
            new_end: state.len,
            table_at: state.heap_end,
            table_len: table.len() as u64,
            table_sum: crc(&table),
            ..self.header
        };
        let (start, len) = header.tail();
        let mut tail = vec![0; len];
        self.base.read_at(&mut tail, start)?;
        header.tail_sum = crc(&tail);
        self.log.write_at(&table, header.table_at)?;
        // A seal that was durable before what it seals would pass for a damaged log.
        self.log.sync()?;
        self.log.write_at(&header.encode(), 0)?;
        state.vanishing = true;
        self.log.sync()?;
        Ok(Some(Sealed { header, ranges }))
    }

    fn ranges(&self, state: &State) -> io::Result<Vec<Range>> {
        let kept = state.extents.iter().filter(|e| e.start < state.len);
        kept.map(|extent| {
            let end = extent.end.min(state.len);
            let position = match extent.source {
                Some(Source::Log(position)) => Some(position),
                _ => None,
            };
            let mut range = Range {
                address: extent.start,
                len: end - extent.start,
                position,
                new_pieces: vec![],
                old_pieces: vec![],
            };
            log::each_block(&range.clone(), |address, done, buf| {
                self.base.read_at(buf, address)?;
                range.old_pieces.extend(log::sums(buf, address));
                match position {
                    Some(position) => self.log.read_at(buf, position + done)?,
                    None => buf.fill(0),
                }
                range.new_pieces.extend(log::sums(buf, address));
                Ok(())
            })?;
            Ok(range)
        })
        .collect()
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl StorageFile for Overlay {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        let state = self.lock();
        for piece in state.extents.pieces(address, address + buf.len() as u64) {
            let bytes = &mut buf[index(piece.start - address)..index(piece.end - address)];
            match piece.source {
                None => self.base.read_at(bytes, piece.start)?,
                Some(Source::Log(position)) => self.log.read_at(bytes, position)?,
                Some(Source::Zeros) => bytes.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        // As pwrite(2): the file becomes no longer.
        if buf.is_empty() {
            return Ok(());
        }
        self.change(|state| {
            let below = index(self.header.old_end.saturating_sub(address)).min(buf.len());
            let (below, beyond) = buf.split_at(below);
            self.write_below(state, below, address)?;
            if !beyond.is_empty() {
                state.grown = true;
                self.base.write_at(beyond, address + below.len() as u64)?;
            }
            state.len = state.len.max(address + buf.len() as u64);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|state| {
            let old_end = self.header.old_end;
            if len < old_end {
                state.extents.put(len, old_end, Source::Zeros);
            }
            // The file itself is not cut below its old end before the change is sealed.
            let real = len.max(old_end);
            if self.base.identity()?.len != real {
                state.grown = true;
                self.base.set_len(real)?;
            }
            state.len = len;
            Ok(())
        })
    }

    /// Nothing counts before the seal.
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { len: self.lock().len, ..self.base.identity()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Disk, Mode, Storage};

    #[test]
    fn a_write_of_nothing_changes_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        let open = |name: &str| -> Arc<dyn StorageFile> {
            Arc::from(Disk.open(&dir.path().join(name), Mode::CreateNew).expect("opens"))
        };
        let (base, log) = (open("base"), open("log"));
        let overlay = Overlay::new(Arc::clone(&base), Arc::clone(&log), None).expect("opens");
        overlay.write_at(&[], 10).expect("writes nothing");
        assert_eq!(overlay.identity().expect("identity").len, 0);
        assert!(overlay.seal().expect("seals").is_none(), "there is nothing to seal");
        assert_eq!(log.identity().expect("identity").len, 0);
    }
}

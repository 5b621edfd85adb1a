//! A file with a change laid over it, for the library to work on.

use super::extents::{ExtentSource, Extents};
use super::log::{self, LogHeader, Progress, Range};
use super::sealed::Sealed;
use crate::checksum::crc32c;
use crate::num::to_usize;
use crate::storage::{Identity, StorageFile};
use crate::sync;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

/// The file as it will be. Writes below its old end go to the log, and reads return them. Writes beyond it go straight
/// to the file, where nobody looks yet. Until [`Overlay::seal`] the file is unchanged up to its old end.
///
/// After a failed write, and after [`Overlay::discard`], writes are ignored: the library still has to close what it
/// opened, and nothing of it will count.
#[derive(Debug)]
pub struct Overlay {
    base: Arc<dyn StorageFile>,
    log: Arc<dyn StorageFile>,
    /// The header, which the first change of any kind writes.
    header: LogHeader,
    state: Mutex<Layer>,
}

#[derive(Debug)]
struct Layer {
    extents: Extents,
    /// End of the heap in the log.
    heap_end: u64,
    /// Length that the file will have.
    len: u64,
    begun: bool,
    /// Whether bytes beyond the old end were written.
    grown: bool,
    vanishing: bool,
}

impl Overlay {
    /// An overlay over `base` without changes. `log` must be empty. Nothing is written before the first change.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn new(base: Arc<dyn StorageFile>, log: Arc<dyn StorageFile>, uuid: Option<Uuid>) -> io::Result<Self> {
        let Identity { device, inode, len, .. } = base.identity()?;
        let header = LogHeader {
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
        let state = Layer {
            extents: Extents::default(),
            heap_end: log::HEADER as u64,
            len,
            begun: false,
            grown: false,
            vanishing: false,
        };
        Ok(Self { base, log, header, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, Layer> {
        sync::lock(&self.state)
    }

    /// Runs a change. If it fails, later ones are ignored.
    fn change(&self, body: impl FnOnce(&mut Layer) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        if state.vanishing {
            return Ok(());
        }
        let begin = |state: &mut Layer| {
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

    fn write_below(&self, state: &mut Layer, buf: &[u8], address: u64) -> io::Result<()> {
        for piece in state.extents.pieces(address, address + buf.len() as u64) {
            let bytes = &buf[index(piece.start - address)..index(piece.end - address)];
            if let Some(ExtentSource::Log(position)) = piece.source {
                self.log.write_at(bytes, position)?;
            } else {
                self.log.write_at(bytes, state.heap_end)?;
                state.extents.put(piece.start, piece.end, ExtentSource::Log(state.heap_end));
                state.heap_end += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Discards the change, and cuts the file to its old length.
    ///
    /// # Errors
    /// As ftruncate(2). The next process that finds the log then finishes this.
    pub fn discard(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.vanishing = true;
        if state.begun {
            // The log may be sealed already, and a sealed log beside a file that was cut fits nothing.
            self.log.write_at(&self.header.encode(), 0)?;
            if self.base.identity()?.len > self.header.old_end {
                self.base.set_len(self.header.old_end)?;
            }
            self.log.set_len(0)?;
            state.begun = false;
        }
        Ok(())
    }

    /// Takes back the seal, durably: the change will not be made. What was written beyond the old end stays.
    ///
    /// # Errors
    /// As pwrite(2), fdatasync(2). The change may then still be made.
    pub fn unseal(&self) -> io::Result<()> {
        self.log.write_at(&self.header.encode(), 0)?;
        self.log.sync()
    }

    /// Completes the log. From here on the change will be made, whoever finishes it; the caller continues with
    /// [`Sealed::apply`]. `None`: nothing was changed.
    ///
    /// # Errors
    /// An earlier failed write; as pread(2), pwrite(2), fdatasync(2).
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
        let mut header = LogHeader {
            progress: Progress::Sealed,
            new_end: state.len,
            table_at: state.heap_end,
            table_len: table.len() as u64,
            table_sum: crc32c(&table),
            ..self.header
        };
        let (start, len) = header.tail();
        let mut tail = vec![0; len];
        self.base.read_at(&mut tail, start)?;
        header.tail_sum = crc32c(&tail);
        self.log.write_at(&table, header.table_at)?;
        // If the seal became durable before the bytes that it covers, the log would count as damaged.
        self.log.sync()?;
        self.log.write_at(&header.encode(), 0)?;
        state.vanishing = true;
        self.log.sync()?;
        Ok(Some(Sealed { header, ranges }))
    }

    fn ranges(&self, state: &Layer) -> io::Result<Vec<Range>> {
        let kept = state.extents.iter().filter(|e| e.start < state.len);
        kept.map(|extent| {
            let end = extent.end.min(state.len);
            let position = match extent.source {
                Some(ExtentSource::Log(position)) => Some(position),
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
    to_usize(n)
}

impl StorageFile for Overlay {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        let state = self.lock();
        for piece in state.extents.pieces(address, address + buf.len() as u64) {
            let bytes = &mut buf[index(piece.start - address)..index(piece.end - address)];
            match piece.source {
                None => self.base.read_at(bytes, piece.start)?,
                Some(ExtentSource::Log(position)) => self.log.read_at(bytes, position)?,
                Some(ExtentSource::Zeros) => bytes.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        // As with pwrite(2), an empty write does not extend the file.
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
                state.extents.put(len, old_end, ExtentSource::Zeros);
            }
            // Before the seal, the file itself is not cut below its old end.
            let real = len.max(old_end);
            if self.base.identity()?.len != real {
                state.grown = true;
                self.base.set_len(real)?;
            }
            state.len = len;
            Ok(())
        })
    }

    /// Does nothing, since nothing counts before the seal.
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { len: self.lock().len, ..self.base.identity()? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::Found;
    use super::super::sealed::Fit;
    use super::*;
    use proptest::prelude::*;

    /// A file in memory.
    #[derive(Clone, Debug, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        fn of(bytes: &[u8]) -> Self {
            Self(Arc::new(Mutex::new(bytes.to_vec())))
        }

        fn bytes(&self) -> Vec<u8> {
            self.0.lock().expect("lock").clone()
        }
    }

    impl StorageFile for Memory {
        fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
            // As with pread(2), an empty read succeeds anywhere.
            if buf.is_empty() {
                return Ok(());
            }
            let bytes = self.0.lock().expect("lock");
            let there = bytes.get(index(address)..index(address) + buf.len());
            buf.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
            let mut bytes = self.0.lock().expect("lock");
            let end = index(address) + buf.len();
            let len = bytes.len().max(end);
            bytes.resize(len, 0);
            bytes[index(address)..end].copy_from_slice(buf);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.lock().expect("lock").resize(index(len), 0);
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn identity(&self) -> io::Result<Identity> {
            Ok(Identity { device: 1, inode: 2, len: self.bytes().len() as u64, links: 1 })
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Len(u64),
    }

    /// Steps around the old end of 3000 bytes, across sectors.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = prop::collection::vec(any::<u8>(), 1..1200);
        let write = (0u64..4000, bytes).prop_map(|(at, bytes)| Step::Write(at, bytes));
        prop::collection::vec(prop_oneof![4 => write, 1 => (0u64..5000).prop_map(Step::Len)], 0..8)
    }

    fn old() -> Vec<u8> {
        (0..3000u32).map(|i| (i % 251) as u8).collect()
    }

    /// Applies the steps to an overlay and to plain bytes.
    fn play(steps: &[Step]) -> (Memory, Memory, Overlay, Vec<u8>) {
        let (base, log) = (Memory::of(&old()), Memory::default());
        let overlay = Overlay::new(Arc::new(base.clone()), Arc::new(log.clone()), Some(Uuid::from_u128(9)));
        let (overlay, mut model) = (overlay.expect("overlay"), old());
        for step in steps {
            match step {
                Step::Write(at, bytes) => {
                    overlay.write_at(bytes, *at).expect("write");
                    let end = index(*at) + bytes.len();
                    let len = model.len().max(end);
                    model.resize(len, 0);
                    model[index(*at)..end].copy_from_slice(bytes);
                }
                Step::Len(len) => {
                    overlay.set_len(*len).expect("set_len");
                    model.resize(index(*len), 0);
                }
            }
        }
        (base, log, overlay, model)
    }

    /// The log as the next process reads it.
    fn found(log: &Memory) -> Sealed {
        let bytes = log.bytes();
        let Ok(Found::Change(header)) = LogHeader::decode(&bytes[..log::HEADER]) else { panic!("a header") };
        assert_eq!(header.progress, Progress::Sealed);
        Sealed::read(header, log).expect("reads").expect("sound")
    }

    proptest! {
        /// Against plain bytes.
        #[test]
        fn a_change_is_seen_at_once_and_made_when_it_is_sealed(steps in steps()) {
            let (base, log, overlay, model) = play(&steps);
            prop_assert_eq!(overlay.identity().expect("stat").len, model.len() as u64);
            let mut seen = vec![0; model.len()];
            overlay.read_at(&mut seen, 0).expect("read");
            prop_assert!(seen == model);
            prop_assert!(base.bytes()[..3000] == old()[..], "below the old end nothing has changed");
            let Some(sealed) = overlay.seal().expect("seal") else {
                prop_assert!(steps.is_empty());
                return Ok(());
            };
            let again = found(&log);
            prop_assert_eq!((again.header, &again.ranges), (sealed.header, &sealed.ranges));
            prop_assert_eq!(again.ranges(), sealed.ranges.len());
            prop_assert!(base.bytes()[..3000] == old()[..], "nor by the seal");
            for sealed in [sealed, again] {
                prop_assert_eq!(sealed.fit(&base, &log).expect("looks"), Fit::Fits);
                sealed.apply(&base, &log).expect("apply");
                prop_assert!(base.bytes() == model, "applied, and applied again");
                prop_assert_eq!(sealed.fit(&base, &log).expect("looks"), Fit::Fits);
            }
            found(&log).spend(&log).expect("spend");
            prop_assert!(log.bytes().is_empty());
        }

        #[test]
        fn a_change_that_is_given_up_leaves_the_file_as_it_was(steps in steps(), sealed: bool) {
            let (base, log, overlay, _) = play(&steps);
            if sealed {
                overlay.seal().expect("seal");
            }
            overlay.discard().expect("discard");
            prop_assert!(base.bytes() == old() && log.bytes().is_empty());
            overlay.write_at(b"what the library still writes vanishes", 7).expect("write");
            prop_assert!(base.bytes() == old() && log.bytes().is_empty());
        }

        /// Foreign bytes: one in a range that is neither old nor new, one in the tail, or another length.
        #[test]
        fn a_foreign_byte_is_noticed(steps in steps(), pick: prop::sample::Index, longer: bool) {
            let (base, log, overlay, _) = play(&steps);
            let Some(sealed) = overlay.seal().expect("seal") else { return Ok(()) };
            let ranges: Vec<u64> = sealed.ranges.iter().flat_map(|r| r.address..r.address + r.len).collect();
            if longer {
                base.set_len(20_000).expect("set_len");
                prop_assert_eq!(sealed.fit(&base, &log).expect("looks"), Fit::Foreign);
            } else if !ranges.is_empty() {
                let at = index(*pick.get(&ranges));
                let (was, mut now) = (base.bytes(), base.bytes());
                sealed.apply(&base, &log).expect("apply");
                let new = base.bytes().get(at).copied();
                now[at] = (0..=255).find(|&b| b != was[at] && Some(b) != new).expect("there is another");
                let foreign = Memory::of(&now);
                prop_assert_eq!(sealed.fit(&foreign, &log).expect("looks"), Fit::Foreign);
            }
        }
    }

    #[test]
    fn a_write_of_nothing_changes_nothing() {
        let (base, log) = (Memory::default(), Memory::default());
        let overlay = Overlay::new(Arc::new(base.clone()), Arc::new(log.clone()), None).expect("opens");
        overlay.write_at(&[], 10).expect("writes nothing");
        assert_eq!(overlay.identity().expect("identity").len, 0);
        assert!(overlay.seal().expect("seals").is_none(), "there is nothing to seal");
        assert!(base.bytes().is_empty() && log.bytes().is_empty());
    }
}

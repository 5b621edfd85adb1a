//! A store's file in memory: whoever reads or writes its cells lets others run before each sector.

use h5part_base::storage::{Disk, Identity, Mode, Storage, StorageFile};
use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: u64 = 512;

std::thread_local! {
    /// Whether coroutines of this thread may be switched.
    static EXPLORED: Cell<bool> = const { Cell::new(false) };
}

/// Lets the schedule choose who goes on.
pub fn point() {
    if EXPLORED.get() {
        // Unlike `yield_now`, it does not say that others should rather run.
        shuttle::thread::sleep(std::time::Duration::ZERO);
    }
}

/// What is done in `body` is explored.
pub fn explored<T>(body: impl FnOnce() -> T) -> T {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            EXPLORED.set(false);
        }
    }
    EXPLORED.set(true);
    let _off = Off;
    body()
}

/// Looks at the whole file after each write; says what is wrong.
pub type Watch = Box<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;

/// The bytes of the HDF5 file.
pub struct Memory {
    bytes: Mutex<Vec<u8>>,
    /// Where cells and stamps are. All else is read and written by the library.
    cells: Vec<Range<u64>>,
    watch: Option<Watch>,
    found: Mutex<Option<String>>,
}

/// Says which writes are lost: a broken h5part. It is told where the stamps are.
pub type Lost = fn(address: u64, bytes: &[u8], stamps: &Range<u64>) -> bool;

/// The storage of one process.
#[derive(Clone)]
pub struct Process {
    memory: Arc<Memory>,
    file: PathBuf,
    /// Writes until it dies.
    left: Arc<AtomicU64>,
    lost: Option<(Lost, Range<u64>)>,
}

struct File {
    process: Process,
    /// `None`: the HDF5 file.
    disk: Option<Box<dyn StorageFile>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub fn new(bytes: Vec<u8>, cells: Vec<Range<u64>>, watch: Option<Watch>) -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::new(bytes), cells, watch, found: Mutex::new(None) })
    }

    pub fn set(&self, bytes: &[u8]) {
        lock(&self.bytes).copy_from_slice(bytes);
        *lock(&self.found) = None;
    }

    /// What the watch saw first.
    pub fn found(&self) -> Option<String> {
        lock(&self.found).clone()
    }

    pub fn read(&self, buf: &mut [u8], address: u64) {
        buf.copy_from_slice(&lock(&self.bytes)[range(address, buf.len())]);
    }

    pub fn write(&self, buf: &[u8], address: u64) {
        let mut bytes = lock(&self.bytes);
        bytes[range(address, buf.len())].copy_from_slice(buf);
        if let Some(Err(wrong)) = self.watch.as_ref().map(|watch| watch(&bytes)) {
            lock(&self.found).get_or_insert(wrong);
        }
    }

    fn has_cells(&self, address: u64, len: usize) -> bool {
        self.cells.iter().any(|cells| cells.start <= address && address + len as u64 <= cells.end)
    }
}

fn range(address: u64, len: usize) -> Range<usize> {
    let start = usize::try_from(address).expect("small");
    start..start + len
}

/// Pieces of `address..address + len` that end where sectors end.
fn sectors(address: u64, len: usize) -> impl Iterator<Item = Range<u64>> {
    let end = address + len as u64;
    let mut at = address;
    std::iter::from_fn(move || {
        let piece = at..(at - at % SECTOR + SECTOR).min(end);
        at = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

impl Process {
    pub fn new(memory: &Arc<Memory>, file: &Path) -> Self {
        let left = Arc::new(AtomicU64::new(u64::MAX));
        Self { memory: Arc::clone(memory), file: file.to_owned(), left, lost: None }
    }

    /// Dies in place of its `writes`-th write of a sector from now on.
    pub fn dies_after(&self, writes: u64) {
        self.left.store(writes, Ordering::Relaxed);
    }

    /// Writes of which `lost` says so never arrive.
    pub fn losing(mut self, lost: Lost, stamps: Range<u64>) -> Self {
        self.lost = Some((lost, stamps));
        self
    }

    fn lives(&self) -> io::Result<()> {
        if self.left.load(Ordering::Relaxed) == 0 { Err(io::Error::other("died")) } else { Ok(()) }
    }

    fn before_write(&self) -> io::Result<()> {
        point();
        self.lives()?;
        self.left.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}

impl Storage for Process {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let disk = if path == self.file { None } else { Some(Disk.open(path, mode)?) };
        Ok(Box::new(File { process: self.clone(), disk }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Disk.identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for File {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        let Process { memory, .. } = &self.process;
        match &self.disk {
            Some(disk) => disk.read_at(buf, address),
            None if memory.has_cells(address, buf.len()) => {
                for piece in sectors(address, buf.len()) {
                    point();
                    self.process.lives()?;
                    let len = usize::try_from(piece.end - piece.start).expect("small");
                    memory.read(&mut buf[range(piece.start - address, len)], piece.start);
                }
                Ok(())
            }
            None => {
                memory.read(buf, address);
                Ok(())
            }
        }
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        let Process { memory, lost, .. } = &self.process;
        if lost.as_ref().is_some_and(|(lost, stamps)| lost(address, buf, stamps)) {
            return Ok(());
        }
        let Some(disk) = &self.disk else {
            for piece in sectors(address, buf.len()) {
                self.process.before_write()?;
                let len = usize::try_from(piece.end - piece.start).expect("small");
                memory.write(&buf[range(piece.start - address, len)], piece.start);
            }
            return Ok(());
        };
        self.process.before_write()?;
        disk.write_at(buf, address)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.set_len(len))
    }

    /// Nothing is lost here but by deaths.
    fn sync(&self) -> io::Result<()> {
        self.process.lives()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.disk.as_ref().map_or_else(|| Disk.identity(&self.process.file), |disk| disk.identity())
    }
}

//! Creates a ledger. It is built beside its name, and renamed once it is complete.

use super::header::{Header, SECTOR_LEN, Shape, StoreRef};
use super::names::{LONGEST, first_probe};
use super::scan::spec;
use super::task::{NameAt, Task, TaskState};
use h5part_base::checksum::crc32c;
use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_base::num::to_usize;
use h5part_base::storage::{Mode, PIECE, Storage, StorageFile, replace, take_name, uncached};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Default number of failures after which a task stays failed.
pub const MAX_ATTEMPTS: u16 = 3;

/// Names of tasks, in order.
#[derive(Clone, Debug, Default)]
pub struct NameList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl NameList {
    /// Parses one name per line. With `null`, each name ends with a NUL, as `find -print0` writes them.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: not UTF-8, an empty name, or a name that is too long. The message gives its number.
    pub fn parse(text: Vec<u8>, null: bool) -> Result<Self, ErrorKind> {
        let text = String::from_utf8(text).map_err(|e| {
            let line = e.as_bytes()[..e.utf8_error().valid_up_to()].split(|&b| b == b'\n').count();
            ErrorKind::BadRequest(format!("line {line} is not UTF-8"))
        })?;
        let mut list = Self::default();
        let separator = if null { '\0' } else { '\n' };
        let mut names = text.split(separator).peekable();
        while let Some(name) = names.next() {
            // The last separator may be missing.
            if name.is_empty() && names.peek().is_none() {
                break;
            }
            list.push(if null { name } else { name.strip_suffix('\r').unwrap_or(name) })?;
        }
        Ok(list)
    }

    /// Adds a name.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: the name is empty or too long.
    pub fn push(&mut self, name: &str) -> Result<(), ErrorKind> {
        let number = self.ends.len() + 1;
        if name.is_empty() {
            return Err(ErrorKind::BadRequest(format!("task {number} has no name: its line is empty")));
        }
        if name.len() > LONGEST {
            let len = name.len();
            return Err(ErrorKind::BadRequest(format!(
                "the name of task {number} has {len} bytes, more than {LONGEST}"
            )));
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn get(&self, k: usize) -> (usize, &[u8]) {
        let start = if k == 0 { 0 } else { self.ends[k - 1] };
        (start, &self.bytes[start..self.ends[k]])
    }
}

impl<S: AsRef<str>> TryFrom<&[S]> for NameList {
    type Error = ErrorKind;

    fn try_from(names: &[S]) -> Result<Self, ErrorKind> {
        let mut list = Self::default();
        names.iter().try_for_each(|name| list.push(name.as_ref()))?;
        Ok(list)
    }
}

/// Specification of a ledger.
#[derive(Clone, Debug)]
pub struct NewLedger {
    /// Names of the tasks. `None`: tasks are blocks of rows, and their rows are their names.
    pub names: Option<NameList>,
    /// Rows of the table that the tasks share; 0: tasks have no rows.
    pub rows: u64,
    /// Rows per task.
    pub rows_per_task: u64,
    /// Weight of each task. Heavy tasks come first.
    pub weights: Option<Vec<f64>>,
    /// Initial state of each task. `None`: all wait.
    pub states: Option<Vec<TaskState>>,
    /// Number of failures after which a task stays failed.
    pub max_attempts: u16,
    /// Rows per chunk of the table. Blocks of claims end where chunks do.
    pub chunk_rows: u64,
    /// The store with the rows.
    pub store: Option<StoreRef>,
    /// Where the list of tasks came from.
    pub origin: String,
}

impl NewLedger {
    /// Tasks with names, all waiting.
    #[must_use]
    pub fn of_names(names: NameList) -> Self {
        Self {
            names: Some(names),
            rows: 0,
            rows_per_task: 0,
            weights: None,
            states: None,
            max_attempts: MAX_ATTEMPTS,
            chunk_rows: 1,
            store: None,
            origin: String::new(),
        }
    }

    /// Tasks that are blocks of rows.
    #[must_use]
    pub fn of_rows(rows: u64, rows_per_task: u64) -> Self {
        Self { names: None, rows, rows_per_task, ..Self::of_names(NameList::default()) }
    }

    /// Creates the ledger.
    ///
    /// **Concurrency.** The file is built beside its name, and renamed once it is complete and durable. A kill leaves
    /// no ledger.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`crate::ErrorKind::DuplicateTask`], [`ErrorKind::BadRequest`], I/O errors.
    pub fn create(&self, path: impl AsRef<Path>) -> Result<()> {
        self.create_in(&path, uncached(path.as_ref()).as_ref())
    }

    /// Creates the ledger in this storage.
    ///
    /// # Errors
    /// As [`NewLedger::create`].
    pub fn create_in(&self, path: impl AsRef<Path>, storage: &dyn Storage) -> Result<()> {
        let path = path.as_ref();
        self.try_create(path, storage).at("make ledger", path)
    }

    fn try_create(&self, path: &Path, storage: &dyn Storage) -> Result<(), ErrorKind> {
        let plan = Plan::of(self)?;
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let path = folder.canonicalize()?.join(name);
        if storage.identity(&path).is_ok() {
            return Err(ErrorKind::AlreadyExists(Item::File));
        }
        plan.build(&path, storage, take_name).map_err(|e| match e.kind() {
            // Another one was created meanwhile: ten million tasks take a while.
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists(Item::File),
            _ => e.into(),
        })
    }

    /// Replaces a ledger. The caller holds the lock of the old one.
    pub(super) fn take_place(&self, path: &Path, storage: &dyn Storage) -> Result<(), ErrorKind> {
        Ok(Plan::of(self)?.build(path, storage, replace)?)
    }
}

/// How to rename a file into place.
type Take = fn(&dyn Storage, &Path, &Path) -> io::Result<()>;

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.h5part-new", Uuid::new_v4().simple()));
    PathBuf::from(name)
}

/// The contents of the file.
struct Plan<'a> {
    /// The header's bytes.
    header: Vec<u8>,
    shape: Shape,
    new: &'a NewLedger,
    names: NameList,
    /// Numbers of tasks in the order of claims.
    order: Vec<u32>,
    index: Vec<u32>,
}

impl<'a> Plan<'a> {
    fn of(new: &'a NewLedger) -> Result<Self, ErrorKind> {
        let bad = |text: String| Err(ErrorKind::BadRequest(text));
        if new.names.is_none() && (new.rows_per_task == 0 || new.rows == 0) {
            return bad("there are no rows to divide into tasks".to_owned());
        }
        let tasks = match &new.names {
            Some(names) => names.len() as u64,
            None => new.rows.div_ceil(new.rows_per_task),
        };
        if tasks == 0 {
            return bad("there are no tasks".to_owned());
        }
        if new.names.is_some() && new.rows > 0 && tasks != new.rows.div_ceil(new.rows_per_task.max(1)) {
            return bad(format!(
                "{tasks} tasks of {} rows do not add up to the {} rows of the table",
                new.rows_per_task, new.rows
            ));
        }
        let lens = [new.weights.as_ref().map(Vec::len), new.states.as_ref().map(Vec::len)];
        if let Some(len) = lens.into_iter().flatten().find(|&len| len as u64 != tasks) {
            return bad(format!("there are {tasks} tasks but {len} weights"));
        }
        if let Some(k) = new.weights.as_ref().and_then(|w| w.iter().position(|w| !w.is_finite())) {
            return bad(format!("weight {} is not a finite number", k + 1));
        }
        // This tells whether there are too many tasks before anything is laid out.
        let shape = |names_len| Shape::of(tasks, names_len);
        let too_many = || ErrorKind::BadRequest(format!("{tasks} tasks are more than a ledger can hold"));
        shape(1).ok_or_else(too_many)?;
        let order = order(tasks, new.weights.as_deref());
        let names = new.all_names(tasks)?;
        let header = Header {
            uuid: Uuid::new_v4(),
            tasks,
            names_len: names.bytes.len() as u64,
            max_attempts: new.max_attempts.max(1),
            align: if new.weights.is_some() { 1 } else { align(new) },
            rows: new.rows,
            rows_per_task: new.rows_per_task,
            store: new.store.clone(),
            origin: new.origin.clone(),
        };
        let shape = shape(header.names_len).ok_or_else(too_many)?;
        let index = index(&names, &order, shape.index_len)?;
        let header = header.encode()?;
        Ok(Self { header, shape, new, names, order, index })
    }

    /// Writes the file beside its name, and renames it.
    fn build(&self, path: &Path, storage: &dyn Storage, take: Take) -> io::Result<()> {
        let beside = beside(path);
        let built = storage.open(&beside, Mode::CreateNew).and_then(|file| self.write(file.as_ref()));
        let made = built.and_then(|()| take(storage, &beside, path));
        if made.is_err() {
            // A leftover file matters less than the error.
            let _ = storage.remove(&beside);
        }
        made
    }

    fn write(&self, file: &dyn StorageFile) -> io::Result<()> {
        let mut out = Pieces { file, at: 0, buf: Vec::with_capacity(PIECE) };
        out.push(&self.header)?;
        let waits = |place: usize| self.state(place) == TaskState::Waiting;
        let tasks = self.order.len();
        let leaves: Vec<u64> = bits(tasks, waits);
        let sector = SECTOR_LEN / 8;
        let top = bits(leaves.len().div_ceil(sector), |leaf| {
            leaves[leaf * sector..].iter().take(sector).any(|&word| word != 0)
        });
        for (words, end) in [(top, self.shape.leaves), (leaves, self.shape.slots)] {
            out.push(bytemuck::cast_slice(&words))?;
            out.fill_to(end)?;
        }
        for place in 0..tasks {
            out.push(&self.task(place).encode())?;
        }
        out.fill_to(self.shape.index)?;
        out.push(bytemuck::cast_slice(&self.index))?;
        out.fill_to(self.shape.names)?;
        out.push(&self.names.bytes)?;
        out.fill_to(self.shape.owners)?;
        out.flush()
    }

    fn state(&self, place: usize) -> TaskState {
        let number = self.order[place] as usize;
        self.new.states.as_ref().map_or(TaskState::Waiting, |states| states[number])
    }

    fn task(&self, place: usize) -> Task {
        let number = self.order[place];
        let name = if self.names.is_empty() {
            NameAt::default()
        } else {
            let (start, bytes) = self.names.get(number as usize);
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            NameAt { at: self.shape.names + start as u64, len, sum: crc32c(bytes) }
        };
        let weight = self.new.weights.as_ref().map_or(0.0, |weights| weights[number as usize]);
        let state = self.state(place);
        // Tasks that are done now were done before. Later changes have a later time.
        let since_ms = if state == TaskState::Done { super::now_ms() } else { 0 };
        Task { state, since_ms, ..Task::new(number, name, weight) }
    }
}

impl NewLedger {
    /// The names that must be stored. Rows need no stored names as long as tasks are in their order.
    fn all_names(&self, tasks: u64) -> Result<NameList, ErrorKind> {
        match (&self.names, &self.weights) {
            (Some(names), _) => Ok(names.clone()),
            (None, None) => Ok(NameList::default()),
            (None, Some(_)) => {
                let mut names = NameList::default();
                for task in 0..tasks {
                    let start = task * self.rows_per_task;
                    names.push(&spec(&(start..(start + self.rows_per_task).min(self.rows))))?;
                }
                Ok(names)
            }
        }
    }
}

/// Tasks between two chunk boundaries.
fn align(new: &NewLedger) -> u32 {
    let (chunk, task) = (new.chunk_rows.max(1), new.rows_per_task.max(1));
    if chunk.is_multiple_of(task) { u32::try_from(chunk / task).unwrap_or(1) } else { 1 }
}

fn order(tasks: u64, weights: Option<&[f64]>) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(tasks).unwrap_or(u32::MAX)).collect();
    if let Some(weights) = weights {
        // The sort is stable: tasks of equal weight keep their order.
        order.sort_by(|&a, &b| weights[b as usize].total_cmp(&weights[a as usize]));
    }
    order
}

/// An index from names to positions by open addressing. An entry is the position plus 1; 0 means empty.
fn index(names: &NameList, order: &[u32], entries: u64) -> Result<Vec<u32>, ErrorKind> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut index = vec![0u32; to_usize(entries)];
    for (place, &number) in order.iter().enumerate() {
        let name = names.get(number as usize).1;
        let mut probe = usize::try_from(first_probe(name, entries)).unwrap_or(0);
        while let Some(other) = index[probe].checked_sub(1) {
            if names.get(order[other as usize] as usize).1 == name {
                return Err(crate::ErrorKind::DuplicateTask(String::from_utf8_lossy(name).into_owned()).into());
            }
            probe = (probe + 1) % index.len();
        }
        index[probe] = u32::try_from(place + 1).unwrap_or(u32::MAX);
    }
    Ok(index)
}

fn bits(count: usize, is_set: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut words = vec![0u64; count.div_ceil(64)];
    for k in (0..count).filter(|&k| is_set(k)) {
        words[k / 64] |= 1 << (k % 64);
    }
    words
}

/// Writes a file from its start in pieces of [`PIECE`], which explains why.
struct Pieces<'a> {
    file: &'a dyn StorageFile,
    at: u64,
    buf: Vec<u8>,
}

impl Pieces<'_> {
    fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let here = bytes.len().min(PIECE - self.buf.len());
            self.buf.extend_from_slice(&bytes[..here]);
            bytes = &bytes[here..];
            if self.buf.len() == PIECE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn fill_to(&mut self, end: u64) -> io::Result<()> {
        let zeros = [0; SECTOR_LEN];
        loop {
            let left = end.saturating_sub(self.at + self.buf.len() as u64);
            if left == 0 {
                return Ok(());
            }
            self.push(&zeros[..usize::try_from(left).unwrap_or(zeros.len()).min(zeros.len())])?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buf, self.at)?;
        self.at += self.buf.len() as u64;
        self.buf.clear();
        Ok(())
    }
}

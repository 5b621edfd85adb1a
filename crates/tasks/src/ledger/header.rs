//! The ledger's first 4096 bytes, and the layout of everything after them. This module does no I/O.

use super::task::SLOT;
use h5part_base::checksum::crc32c;
use h5part_base::error::ErrorKind;
use std::ops::Range;
use uuid::Uuid;

/// Length of the header in bytes.
pub const HEADER: usize = 4096;
/// Everything is laid out in sectors of this many bytes.
pub const SECTOR: u64 = SECTOR_LEN as u64;
/// The same in memory.
pub const SECTOR_LEN: usize = 512;
/// The first bytes of every ledger.
pub(super) const MAGIC: [u8; 7] = *b"h5partT";
/// First bytes of the log of a structural change, and of the ledgers of development versions.
const OLD_MAGIC: [u8; 7] = *b"h5partL";
/// The version that every program reads.
const VERSION: u8 = b'1';
/// With columns of the store. A program that ignored them would decide by other columns whether tasks are done.
const VERSION_COLUMNS: u8 = b'2';
/// Offset of the length of the text of columns, and of its checksum.
const COLUMNS: usize = 96;
/// Length of the numbers. Texts follow them.
const NUMBERS: usize = 512;
const USED: usize = 124;
/// Tasks have 32-bit numbers. One number stands for "none".
const MOST_TASKS: u64 = u32::MAX as u64 - 1;

/// The store whose rows the tasks fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRef {
    /// Its file.
    pub path: String,
    /// Its uuid.
    pub uuid: Uuid,
    /// Path of the table in it.
    pub table: String,
    /// The columns that make a task done. Empty: all columns in use.
    pub columns: Vec<String>,
}

/// The properties of a ledger, which never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Identity of the ledger.
    pub uuid: Uuid,
    /// Number of tasks.
    pub tasks: u64,
    /// Bytes of all names; 0: the names of tasks are their rows.
    pub names_len: u64,
    /// Number of failures after which a task stays failed.
    pub max_attempts: u16,
    /// Blocks of claims end at a multiple of this many tasks, if possible.
    pub align: u32,
    /// Rows of the table that the tasks share; 0: tasks have no rows.
    pub rows: u64,
    /// Rows per task, in order. The last task may have fewer.
    pub rows_per_task: u64,
    /// The store with the rows.
    pub store: Option<StoreRef>,
    /// Where the list of tasks came from, for programs that write it back.
    pub origin: String,
}

/// Offsets of the parts of a ledger, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// One bit per sector of [`Shape::leaves`].
    pub top: u64,
    /// One bit per task: whether it may be waiting.
    pub leaves: u64,
    /// The slots.
    pub slots: u64,
    /// An index from names to slots, by open addressing.
    pub index: u64,
    /// Entries of the index, 4 bytes each.
    pub index_len: u64,
    /// The names.
    pub names: u64,
    /// The owners, to the end of the file.
    pub owners: u64,
}

fn sectors(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR) * SECTOR
}

impl Shape {
    /// The shape for this many tasks with names of this many bytes. `None`: too many.
    #[must_use]
    pub fn of(tasks: u64, names_len: u64) -> Option<Self> {
        if tasks > MOST_TASKS || names_len > 1 << 56 {
            return None;
        }
        let bits = SECTOR * 8;
        let leaf_sectors = tasks.div_ceil(bits);
        let top = HEADER as u64;
        let leaves = top + leaf_sectors.div_ceil(bits) * SECTOR;
        let slots = leaves + leaf_sectors * SECTOR;
        let index = slots + sectors(tasks * SLOT as u64);
        let index_len = if names_len == 0 { 0 } else { tasks + tasks / 2 + 1 };
        let names = index + sectors(index_len * 4);
        Some(Self { top, leaves, slots, index, index_len, names, owners: names + sectors(names_len) })
    }
}

impl Header {
    /// The offsets of all parts.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: too many tasks.
    pub fn shape(&self) -> Result<Shape, ErrorKind> {
        Shape::of(self.tasks, self.names_len)
            .ok_or_else(|| ErrorKind::BadRequest(format!("{} tasks are more than a ledger can hold", self.tasks)))
    }

    /// The rows of a task.
    #[must_use]
    pub fn rows_of(&self, index: u32) -> Option<Range<u64>> {
        if self.rows == 0 {
            return None;
        }
        let start = u64::from(index).saturating_mul(self.rows_per_task).min(self.rows);
        Some(start..start.saturating_add(self.rows_per_task).min(self.rows))
    }

    /// Encodes the header.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: the texts are too long.
    pub fn encode(&self) -> Result<Vec<u8>, ErrorKind> {
        let (path, table) = self.store.as_ref().map_or(("", ""), |s| (&s.path, &s.table));
        let texts = [path, table, &self.origin];
        let joined = texts.concat().into_bytes();
        // Names of HDF5 objects contain no NUL.
        let columns = self.store.as_ref().map_or_else(String::new, |s| s.columns.join("\0"));
        if joined.len() + columns.len() > HEADER - NUMBERS {
            let most = HEADER - NUMBERS;
            let text = format!("the names of store, table and columns are longer than {most} bytes");
            return Err(ErrorKind::BadRequest(text));
        }
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(&MAGIC);
        out.push(if columns.is_empty() { VERSION } else { VERSION_COLUMNS });
        out.extend_from_slice(self.uuid.as_bytes());
        for number in [self.tasks, self.names_len, self.rows, self.rows_per_task] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&u32::from(self.max_attempts).to_le_bytes());
        out.extend_from_slice(&self.align.to_le_bytes());
        out.extend_from_slice(self.store.as_ref().map_or(Uuid::nil(), |s| s.uuid).as_bytes());
        for text in texts {
            out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend_from_slice(&crc32c(&joined).to_le_bytes());
        if !columns.is_empty() {
            out.extend_from_slice(&u32::try_from(columns.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&crc32c(columns.as_bytes()).to_le_bytes());
        }
        out.resize(USED, 0);
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out.resize(NUMBERS, 0);
        out.extend_from_slice(&joined);
        out.extend_from_slice(columns.as_bytes());
        out.resize(HEADER, 0);
        Ok(out)
    }

    /// Decodes the header of a file of `len` bytes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotALedger`], [`ErrorKind::NewerFormat`], [`ErrorKind::Cut`].
    pub fn decode(bytes: &[u8; HEADER], len: u64) -> Result<Self, ErrorKind> {
        let bad = |why: &str| ErrorKind::from(crate::ErrorKind::NotALedger(why.to_owned()));
        if bytes[..7] == OLD_MAGIC {
            return Err(bad("it is the log of a structural change, or was made by a development version of h5part"));
        }
        if bytes[..7] != MAGIC {
            return Err(bad("it does not begin like one"));
        }
        if bytes[7] > VERSION_COLUMNS {
            let digit = |byte: u8| u64::from(byte.saturating_sub(b'0'));
            return Err(ErrorKind::NewerFormat { found: digit(bytes[7]), known: digit(VERSION_COLUMNS) });
        }
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if bytes[7] < VERSION || u32_at(USED) != crc32c(&bytes[..USED]) {
            return Err(bad("its header is damaged"));
        }
        let lens = [80, 84, 88].map(|at| u32_at(at) as usize);
        let joined = bytes[NUMBERS..].get(..lens.iter().sum()).filter(|text| u32_at(92) == crc32c(text));
        let joined = joined.ok_or_else(|| bad("its header is damaged"))?;
        let after = NUMBERS + joined.len();
        let columns = if bytes[7] == VERSION_COLUMNS {
            let text =
                bytes.get(after..after + u32_at(COLUMNS) as usize).filter(|text| u32_at(COLUMNS + 4) == crc32c(text));
            let text = text.and_then(|text| std::str::from_utf8(text).ok());
            text.ok_or_else(|| bad("its header is damaged"))?.split('\0').map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        let joined = std::str::from_utf8(joined).map_err(|_| bad("its header has a text that is not UTF-8"))?;
        let cut = |start: usize, len: usize| joined.get(start..start + len).unwrap_or_default().to_owned();
        let (path, table) = (cut(0, lens[0]), cut(lens[0], lens[1]));
        let uuid = |at: usize| Uuid::from_slice(&bytes[at..at + 16]).unwrap_or_default();
        let header = Self {
            uuid: uuid(8),
            tasks: u64_at(24),
            names_len: u64_at(32),
            rows: u64_at(40),
            rows_per_task: u64_at(48),
            max_attempts: u16::try_from(u32_at(56)).unwrap_or(u16::MAX),
            align: u32_at(60),
            store: Some(uuid(64)).filter(|id| !id.is_nil()).map(|uuid| StoreRef { path, uuid, table, columns }),
            origin: cut(lens[0] + lens[1], lens[2]),
        };
        let shape = header.shape().map_err(|_| bad("its header has more tasks than a ledger can hold"))?;
        if len < shape.owners {
            return Err(ErrorKind::Cut { expected: shape.owners, found: len });
        }
        Ok(header)
    }
}

//! The findings of a verification: one line each for people, one document for scripts.

use super::Remedy;
use crate::store::Recovery;
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use uuid::Uuid;

/// Most ranges of rows that a finding lists. It counts all of them.
const MOST_RANGES: usize = 1000;
/// Most ranges of rows that a line shows.
const TOLD_RANGES: usize = 5;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is wrong, and the file is not sound.
    Fault,
    /// Worth knowing; the file is sound.
    Note,
}

/// What kind of thing was found. The names in JSON are those of the variants in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Values do not match their stamps: damaged, or changed by another program.
    Changed,
    /// A stored chunk is not what its filters produce, so none of its values can be read.
    DamagedChunk,
    /// A bundle does not match its checksum: damaged, or changed by another program.
    Bundle,
    /// A writer that died left rows half-written.
    HalfWritten,
    /// Stamps that no version of h5part known here writes.
    UnknownStamp,
    /// The guard column says "complete" although a value is missing.
    Guard,
    /// Another program wrote values where nothing was committed.
    Unstamped,
    /// Rows are being written now.
    UnderWay,
    /// The values of a column were not checked.
    NotRead,
    /// Columns or stamps of a table with stamps are missing, or are not as the stamps say.
    Table,
    /// Another program has deleted, renamed, shortened or retyped a stamped column.
    Lost,
    /// Stamps belong to a table that does not exist any more.
    StampsLeft,
    /// The file is shorter than its own metadata says.
    Cut,
    /// A program has marked it as open for writing: stock programs refuse to open it.
    MarkedOpen,
    /// The bytes are not those of an HDF5 file.
    NotHdf5,
    /// The HDF5 library crashes on the file, or does not finish reading it in time.
    Crash,
    /// The file's format is newer than this program.
    Newer,
    /// A name leads to nothing that HDF5 can open, or part of an object is broken.
    Unopenable,
    /// An object has more names than its link count says.
    SharedName,
    /// Data lies beyond the end of the file.
    BeyondEnd,
    /// A dataset without rows names a chunk that HDF5 has freed.
    FreedChunk,
    /// A link leads into another file, or values lie in one. They were not checked.
    Outside,
    /// The sidecar belongs to another file than the one with this name.
    OtherFile,
    /// The record of a writer that died during a commit.
    Record,
    /// The log of a structural change that was interrupted.
    Log,
    /// A log or a record that does not belong to this file, and was set aside.
    Aside,
    /// The owner note of a writer that died.
    StaleNote,
    /// A stopped process holds a lock.
    StoppedHolder,
    /// A file under construction whose maker may have died.
    Unfinished,
}

/// One finding: severity, where, what, what to do.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Whether it makes the file unsound.
    pub severity: Severity,
    /// What kind.
    pub kind: Kind,
    /// The table, if it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The column, if it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Path of the object in the file, or of the file beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Rows, ascending, as `[first, end)`; in JSON the first thousand ranges.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "first_ranges")]
    pub rows: Vec<(u64, u64)>,
    /// How many rows; 0 if it does not concern rows.
    pub count: u64,
    /// What is wrong, or worth knowing.
    pub what: String,
    /// What to do about it.
    pub remedy: Remedy,
}

/// Counts of one table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableReport {
    /// Path of the table in the file.
    pub table: String,
    /// Number of rows.
    pub rows: u64,
    /// Cells with stamps.
    pub cells: u64,
    /// Cells that are committed and match their stamps.
    pub committed: u64,
    /// Cells that are not there.
    pub missing: u64,
    /// Bytes of values and stamps that were read.
    pub bytes: u64,
}

/// What a repair did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Repaired {
    /// What recovery found and did.
    pub recovery: Recovery,
    /// Half-written values that are "not there" now.
    pub reset: u64,
    /// Values of other programs that have stamps now.
    pub stamped: u64,
    /// Lost columns whose stamps were dropped.
    pub dropped: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Whether nothing is wrong. Notes do not count.
    pub sound: bool,
    /// Number of findings that make it unsound.
    pub faults: usize,
    /// Number of other findings.
    pub notes: usize,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its uuid, if h5part has given it one.
    pub uuid: Option<Uuid>,
    /// Groups, datasets and types that were opened.
    pub objects: u64,
    /// Bundles that were checked against their checksums.
    pub bundles: u64,
    /// Bytes of values and stamps that were read, of tables and of bundles.
    pub bytes_read: u64,
    /// Tables with stamps.
    pub tables: Vec<TableReport>,
    /// All findings, faults first.
    pub findings: Vec<Finding>,
    /// What was repaired before the check, if a repair was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Repaired>,
}

fn first_ranges<S: Serializer>(rows: &[(u64, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    rows[..rows.len().min(MOST_RANGES)].serialize(serializer)
}

impl Finding {
    /// A fault of the whole file.
    #[must_use]
    pub fn fault(kind: Kind, what: impl Into<String>, remedy: Remedy) -> Self {
        let (table, column, path) = (None, None, None);
        let severity = Severity::Fault;
        Self { severity, kind, table, column, path, rows: Vec::new(), count: 0, what: what.into(), remedy }
    }

    /// A note on the whole file.
    #[must_use]
    pub fn note(kind: Kind, what: impl Into<String>, remedy: Remedy) -> Self {
        Self { severity: Severity::Note, ..Self::fault(kind, what, remedy) }
    }

    pub(super) fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    pub(super) fn of_table(self, table: &str) -> Self {
        Self { table: Some(table.to_owned()), ..self }
    }

    pub(super) fn of_rows(self, column: Option<&str>, rows: &[Range<u64>]) -> Self {
        Self {
            column: column.map(str::to_owned),
            rows: rows.iter().map(|r| (r.start, r.end)).collect(),
            count: rows.iter().map(|r| r.end - r.start).sum(),
            ..self
        }
    }

    /// The shortest text that says where it is.
    fn place(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.path.clone());
        parts
            .extend(self.table.as_ref().map(|table| format!("table '{}'", if table.is_empty() { "/" } else { table })));
        parts.extend(self.column.as_ref().map(|column| format!("column '{column}'")));
        if let Some((first, end)) = self.rows.first() {
            let one = |&(first, end): &(u64, u64)| {
                if end == first + 1 { first.to_string() } else { format!("{first}:{end}") }
            };
            let told: Vec<String> = self.rows.iter().take(TOLD_RANGES).map(one).collect();
            let more =
                if self.rows.len() > TOLD_RANGES { format!(", ... ({} in all)", self.count) } else { String::new() };
            let word = if self.rows.len() == 1 && *end == first + 1 { "row" } else { "rows" };
            parts.push(format!("{word} {}{more}", told.join(", ")));
        }
        parts.join(", ")
    }
}

/// Without the remedy.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fault => "fault",
            Severity::Note => "note",
        };
        let place = self.place();
        let colon = if place.is_empty() { "" } else { ": " };
        write!(f, "{severity}: {place}{colon}{}", self.what)
    }
}

impl Report {
    /// A report without findings.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self {
            file,
            sound: true,
            faults: 0,
            notes: 0,
            bytes: 0,
            uuid: None,
            objects: 0,
            bundles: 0,
            bytes_read: 0,
            tables: Vec::new(),
            findings: Vec::new(),
            repaired: None,
        }
    }

    /// Adds a finding.
    pub fn add(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Fault => self.faults += 1,
            Severity::Note => self.notes += 1,
        }
        self.sound &= finding.severity == Severity::Note;
        self.findings.push(finding);
    }

    pub(super) fn finish(mut self) -> Self {
        self.findings.sort_by_key(|finding| finding.severity);
        self
    }
}

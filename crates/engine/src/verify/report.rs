//! What a verification found: one finding a line for people, one document for scripts.

use crate::store::Recovery;
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use uuid::Uuid;

/// Ranges of rows that a finding lists; it counts all.
const MOST_RANGES: usize = 1000;
/// Ranges of rows that are told in a line.
const TOLD_RANGES: usize = 5;

/// Whether a finding makes the file unsound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is wrong.
    Fault,
    /// Worth knowing; the file is sound.
    Note,
}

/// What kind of thing was found. The names in JSON are those of the variants in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Values that do not match their stamps: damaged, or changed by another program.
    Changed,
    /// Rows whose stored chunk is not what its filters make: none of its values can be read.
    DamagedChunk,
    /// A bundle that does not match its checksum: damaged, or changed by another program.
    Bundle,
    /// Rows that a writer that died left half-written.
    HalfWritten,
    /// Stamps that no version of h5part known here has written.
    UnknownStamp,
    /// The guard column says "complete" where a value is missing.
    Guard,
    /// Values that another program put where nothing was committed.
    Unstamped,
    /// Rows that are being written now.
    UnderWay,
    /// A column whose values were not looked at.
    NotRead,
    /// A table with stamps whose columns or stamps are not there, or not as the stamps say.
    Table,
    /// A stamped column that another program has deleted, renamed, shortened or retyped.
    Lost,
    /// Stamps of a table that is gone.
    StampsLeft,
    /// The file is shorter than its own metadata says.
    Cut,
    /// A program has marked it as open for writing: stock programs refuse to open it.
    MarkedOpen,
    /// The bytes are not those of an HDF5 file.
    NotHdf5,
    /// The HDF5 library crashes over the file, or does not come to an end.
    Crash,
    /// A format that is newer than this program.
    Newer,
    /// A name that leads to nothing that can be opened, or an object with a broken part.
    Unopenable,
    /// An object with more names than its link count says.
    SharedName,
    /// Data that lies beyond the end of the file.
    BeyondEnd,
    /// A link, or values, in another file: not looked at.
    Outside,
    /// The sidecar belongs to another file than the one that has the name.
    OtherFile,
    /// The record of a writer that died in the middle of a commit.
    Record,
    /// The log of a structural change that was interrupted.
    Log,
    /// A log or a record that does not belong to this file, kept aside.
    Aside,
    /// The note of a writer that has died.
    StaleNote,
    /// A process that holds a lock, and is stopped.
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
    /// Table, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Column, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Path of the object in the file, or of the file beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Rows, ascending, as `[first, end)`; in JSON the first thousand ranges.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "first_ranges")]
    pub rows: Vec<(u64, u64)>,
    /// How many rows; 0 where it is not about rows.
    pub count: u64,
    /// What is wrong, or worth knowing.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
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
    /// Cells that are committed, and whose bytes match.
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
    /// Whether nothing is wrong; notes are allowed.
    pub sound: bool,
    /// Number of findings that make it unsound.
    pub faults: usize,
    /// Number of the others.
    pub notes: usize,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its uuid, where h5part has given it one.
    pub uuid: Option<Uuid>,
    /// Groups, datasets and types that were opened.
    pub objects: u64,
    /// Bundles that were compared with their checksums.
    pub bundles: u64,
    /// Bytes of values and stamps that were read, of tables and of bundles.
    pub bytes_read: u64,
    /// Tables with stamps.
    pub tables: Vec<TableReport>,
    /// All findings, faults first.
    pub findings: Vec<Finding>,
    /// What was repaired before, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Repaired>,
}

fn first_ranges<S: Serializer>(rows: &[(u64, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    rows[..rows.len().min(MOST_RANGES)].serialize(serializer)
}

impl Finding {
    /// A fault of the file as a whole.
    #[must_use]
    pub fn fault(kind: Kind, what: impl Into<String>, remedy: &'static str) -> Self {
        let (table, column, path) = (None, None, None);
        let severity = Severity::Fault;
        Self { severity, kind, table, column, path, rows: Vec::new(), count: 0, what: what.into(), remedy }
    }

    /// A note on the file as a whole.
    #[must_use]
    pub fn note(kind: Kind, what: impl Into<String>, remedy: &'static str) -> Self {
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

    /// Where: the shortest text that says it.
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fault => "fault",
            Severity::Note => "note",
        };
        let place = self.place();
        let colon = if place.is_empty() { "" } else { ": " };
        write!(f, "{severity}: {place}{colon}{}", self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

impl Report {
    /// Of a file of which nothing is known yet.
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

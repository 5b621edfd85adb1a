//! Rows after a crash: the state is put on a disk in memory, recovered, and compared.

use super::image::{FOLDER, Image, Op, Recording};
use super::memory::Memory;
use super::scenes::UNDEFINED;
use super::states::State;
use crate::common::support::Scratch;
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Block, CellState, Reader, Recovery, Store, Writer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Cells of a row, one per column: the bytes, if it has a value.
pub type Row = Vec<Option<Vec<u8>>>;

/// What each row may hold: versions in order, each with the bit of its acknowledgement.
#[derive(Clone, Debug, Default)]
pub struct Expected(pub Vec<Vec<(u64, Row)>>, pub Others);

/// What another program has written; a reader reports it as missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    #[default]
    Nothing,
    /// Anything, in this row.
    Row(usize),
    /// Values where nobody has committed any.
    Values,
}

/// Whether a guard cell that is being hidden may be reported as changed. A loss of power can lose its stamp and keep
/// its bytes. Such a cell counts as missing in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    Allowed,
    Wrong,
}

/// All rows as a reader finds them.
pub fn rows_of(reader: &mut Reader, hidden: Hidden, others: Others) -> Result<Vec<Row>, String> {
    let guard = guard_of(reader).filter(|_| hidden == Hidden::Allowed);
    let count = reader.table().rows;
    let names: Vec<String> = reader.table().columns.iter().map(|c| c.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let blocks = reader.read_columns(&names, &Rows::range(0..count)).map_err(|e| e.to_string())?;
    let count = usize::try_from(count).expect("small");
    let cell = |(column, block): (usize, &Block), row: usize| {
        let size = block.bytes().len() / count;
        match block.states()[row] {
            _ if others == Others::Row(row) => Ok(None),
            CellState::Committed => Ok(Some(block.bytes()[row * size..(row + 1) * size].to_vec())),
            CellState::Missing | CellState::Writing => Ok(None),
            CellState::Plain if others == Others::Values => Ok(None),
            CellState::Changed if guard == Some(column) => Ok(None),
            // Only h5part has written here.
            other => Err(format!("row {row} is {other:?}")),
        }
    };
    (0..count).map(|row| blocks.iter().enumerate().map(|block| cell(block, row)).collect()).collect()
}

/// Which column is the guard.
fn guard_of(reader: &Reader) -> Option<usize> {
    let place = reader.table().stamps.as_ref()?.guards.first()?.place;
    reader.table().columns.iter().position(|column| column.stamp == Some(place))
}

impl Expected {
    /// Adds the next version of all rows that differ from the last one; this bit acknowledges it.
    pub fn add(&mut self, bit: u64, rows: Vec<Row>) {
        self.0.resize(rows.len(), Vec::new());
        for (versions, row) in self.0.iter_mut().zip(rows) {
            if versions.last().is_none_or(|(_, last)| *last != row) {
                versions.push((bit, row));
            }
        }
    }

    /// Versions that the row may have: the last acknowledged one and later ones.
    fn allowed(&self, row: usize, acknowledged: u64) -> &[(u64, Row)] {
        let versions = &self.0[row];
        let last = versions.iter().rposition(|(bit, _)| bit & acknowledged == *bit).unwrap_or(0);
        &versions[last..]
    }

    fn check(&self, rows: &[Row], acknowledged: u64, fits: impl Fn(&[(u64, Row)], &Row) -> bool) -> Result<(), String> {
        for (number, row) in rows.iter().enumerate() {
            let allowed = self.allowed(number, acknowledged);
            if !fits(allowed, row) {
                let head = |row: &Row| row.iter().map(|c| c.as_ref().map(|c| c[..8].to_vec())).collect::<Vec<_>>();
                let allowed: Vec<_> = allowed.iter().map(|(_, row)| head(row)).collect();
                return Err(format!("row {number} is {:?}, and may be {allowed:?}", head(row)));
            }
        }
        Ok(())
    }
}

/// Whether the row equals one of the versions.
fn is_whole(versions: &[(u64, Row)], row: &Row) -> bool {
    versions.iter().any(|(_, version)| version == row)
}

/// Whether the row equals one of the versions, with the guard hidden or not, or is missing in every column in which
/// they differ.
fn is_whole_or_not_there(versions: &[(u64, Row)], row: &Row, guard: Option<usize>) -> bool {
    let is = |(_, version): &(u64, Row)| {
        let fits = |column: usize| row[column] == version[column] || (guard == Some(column) && row[column].is_none());
        (0..row.len()).all(fits)
    };
    let differs = |column: usize| versions.iter().any(|(_, version)| version[column] != versions[0].1[column]);
    let fits = |(column, cell): (usize, &Option<Vec<u8>>)| match cell {
        Some(_) => !differs(column) && versions[0].1[column] == *cell,
        None => true,
    };
    versions.iter().any(is) || row.iter().enumerate().all(fits)
}

/// A disk in memory with a writer and a reader that stay open while the bytes below them change.
pub struct Bench {
    _scratch: Scratch,
    pub memory: Memory,
    writer: Writer,
    pub reader: Reader,
    pub data: u64,
    /// Records by number.
    records: BTreeMap<u64, PathBuf>,
    bytes: Vec<u8>,
}

impl Bench {
    pub fn new(recording: &Recording) -> Self {
        let scratch = Scratch::new();
        let (path, data) = (scratch.path("a.h5"), recording.number("a.h5"));
        std::fs::write(&path, b"a placeholder").expect("write");
        let memory = Memory::new(path.parent().expect("folder"));
        let folders = ["a.h5.part", "a.h5.part/records"].map(|name| (PathBuf::from(name), FOLDER));
        let mut image = Image { names: folders.into(), files: BTreeMap::new() };
        image.names.insert(PathBuf::from("a.h5"), data);
        image.files.insert(data, recording.start.files[&data].clone());
        memory.put(&image);
        let store = Store::open(&path).expect("opens").with_storage(Arc::new(memory.clone()));
        let mut records = BTreeMap::new();
        for (name, file) in recording.dead_writers() {
            // A folder opens and locks as a file does. It counts as a dead writer's, and cannot be removed: so a record
            // whose removal was not durable is found again.
            std::fs::create_dir_all(path.with_file_name(&name)).expect("folder");
            image.names.insert(name.clone(), file);
            image.files.insert(file, Vec::new());
            records.insert(file, name);
        }
        memory.put(&image);
        let (writer, reader) = (store.writer("t").expect("writer"), store.reader("t").expect("reader"));
        Self { _scratch: scratch, memory, writer, reader, data, records, bytes: Vec::new() }
    }

    /// Puts a state on the disk, as if the power came back.
    pub fn put(&mut self, state: &State<'_>) {
        self.memory.edit(self.data, |bytes| state.bytes_of(self.data, bytes));
        for (file, name) in &self.records {
            let there = state.has(name);
            self.memory.edit(*file, |bytes| if there { state.bytes_of(*file, bytes) } else { bytes.clear() });
        }
    }

    pub fn recover(&mut self) -> Result<Recovery, String> {
        self.writer.recover().map_err(|e| e.to_string())
    }

    /// Runs recovery on the current disk and records it.
    pub fn recorded_recovery(&mut self) -> Result<Recording, String> {
        self.memory.record();
        let outcome = self.recover();
        let mut recording = self.memory.recorded();
        // At its end recovery removes the records, which the storage does not see.
        recording.log.extend(self.records.values().map(|name| Op::Names(vec![(name.clone(), None)])));
        outcome.map(|_| recording)
    }

    /// Before anyone recovers, readers and stock programs see no mixture.
    pub fn check_before(&mut self, expected: &Expected, acknowledged: u64) -> Result<(), String> {
        let why = |e| format!("before recovery: {e}");
        let guard = guard_of(&self.reader);
        let rows = rows_of(&mut self.reader, Hidden::Allowed, expected.1).map_err(why)?;
        let fits = |versions: &[(u64, Row)], row: &Row| is_whole_or_not_there(versions, row, guard);
        expected.check(&rows, acknowledged, fits).map_err(why)?;
        guard.map_or(Ok(()), |guard| self.guard_is_honest(expected, guard))
    }

    fn guard_is_honest(&self, expected: &Expected, guard: usize) -> Result<(), String> {
        let columns = &self.reader.table().columns;
        self.memory.edit(self.data, |bytes| {
            for (row, versions) in expected.0.iter().enumerate() {
                let cell = |column: usize| {
                    let layout = columns[column].layout.as_ref().expect("direct");
                    let start = usize::try_from(layout.find(row as u64).0).expect("small");
                    &bytes[start..start + usize::try_from(layout.cell_bytes).expect("small")]
                };
                let is = |(_, version): &(u64, Row)| {
                    version.iter().enumerate().all(|(column, value)| value.as_deref() == Some(cell(column)))
                };
                if cell(guard) != UNDEFINED.to_le_bytes() && !versions.iter().any(is) {
                    return Err(format!("the guard speaks of row {row}, which is not whole"));
                }
            }
            Ok(())
        })
    }

    /// Checks the state after recovery, and after another one that finds the records again.
    pub fn check_after(&mut self, expected: &Expected, acknowledged: u64) -> Result<(), String> {
        let rows = rows_of(&mut self.reader, Hidden::Wrong, expected.1)?;
        expected.check(&rows, acknowledged, is_whole)?;
        let mut first = std::mem::take(&mut self.bytes);
        self.memory.edit(self.data, |bytes| first.clone_from(bytes));
        self.recover()?;
        let same = self.memory.edit(self.data, |bytes| *bytes == first);
        self.bytes = first;
        if same { Ok(()) } else { Err("recovering twice is not recovering once".to_owned()) }
    }

    /// Another program writes into a cell between the loss of power and the recovery. That cell is left alone, and
    /// other rows are restored.
    pub fn check_foreign(
        &mut self,
        state: &State<'_>,
        expected: &Expected,
        cell: (usize, usize),
    ) -> Result<(), String> {
        const FOREIGN: [u8; 8] = *b"\0\0foreig";
        let (row, column) = cell;
        self.put(state);
        let layout = self.reader.table().columns[column].layout.as_ref().expect("direct");
        // In the middle of the cell.
        let start = usize::try_from(layout.find(row as u64).0 + layout.cell_bytes / 16 * 8).expect("small");
        self.memory.edit(self.data, |bytes| bytes[start..start + 8].copy_from_slice(&FOREIGN));
        self.recover()?;
        if !self.memory.edit(self.data, |bytes| bytes[start..start + 8] == FOREIGN) {
            return Err("what another program wrote is gone".to_owned());
        }
        let rows = rows_of(&mut self.reader, Hidden::Wrong, Others::Row(row))?;
        let mut others = expected.clone();
        others.0[row] = vec![(0, vec![None; rows[row].len()])];
        others.check(&rows, state.acknowledged(), is_whole)
    }

    /// Checks everything that must hold for a state.
    pub fn check(&mut self, state: &State<'_>, expected: &Expected) -> Result<(), String> {
        self.put(state);
        self.check_before(expected, state.acknowledged())?;
        self.recover()?;
        self.check_after(expected, state.acknowledged())
    }
}

//! A store in memory, with writers and readers that are opened once and used in every schedule.

use crate::explore::{Outcome, pick};
use crate::history::{Act, End, History, State};
use crate::memory::{Memory, Process, Watch, explored};
use h5part::ErrorKind;
use h5part_base::dataspace::{ColumnLayout, ColumnSpec, Dtype, Rows, Table};
use h5part_base::lock::{Dead, Paths, Patience};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{CellState, Durability, Reader, Store, Values, Writer};
use ndarray::{Array1, Array2};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const ROWS: u64 = 4;
/// Rows that have a value, [`FIRST`], at the beginning of each schedule; the others have none.
pub const OLD: Range<u64> = 0..2;
pub const FIRST: u64 = 5;
/// Elements of a cell of F, so that it ends in the middle of a sector and its writes tear.
pub const CELL: usize = 80;
pub const UNDEFINED: u64 = 1;
pub const COLUMNS: [&str; 3] = ["E", "F", "status"];

pub struct World {
    _scratch: tempfile::TempDir,
    pub memory: Arc<Memory>,
    pub paths: Paths,
    pub table: Table,
    pub guard: bool,
    first: Vec<u8>,
    writers: Mutex<Vec<Writer>>,
    readers: Mutex<Vec<Reader>>,
}

/// Coroutines let others run while they wait.
pub fn patience() -> Patience {
    Patience { timeout: Duration::from_secs(100), tell: None, interrupt: None, sleep: |_| shuttle::thread::yield_now() }
}

pub fn address(layout: &ColumnLayout, row: u64) -> usize {
    usize::try_from(layout.find(row).0).expect("small")
}

/// A folder in memory, where there is one: it lists its files in the order in which they were made, which a
/// schedule that is run again relies on.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("tempdir")
}

impl World {
    pub fn new(guard: bool) -> Arc<Self> {
        Self::watched(guard, |_| None)
    }

    pub fn watched(guard: bool, watch: impl FnOnce(&Table) -> Option<Watch>) -> Arc<Self> {
        let scratch = scratch();
        let path = scratch.path().join("a.h5");
        let fill = UNDEFINED.to_le_bytes().to_vec();
        let status = ColumnSpec { fill, ..ColumnSpec::new("status", Dtype::I64, &[]) };
        let columns =
            vec![ColumnSpec::new("E", Dtype::F64, &[]), ColumnSpec::new("F", Dtype::F64, &[CELL as u64]), status];
        let table = NewTable { guard: guard.then(|| "status".to_owned()), ..NewTable::new("t", ROWS, columns) };
        let store = Store::new(&path).expect("path");
        store.create(&table, &|_, _| ()).expect("create");
        let mut writer = store.writer("t").expect("writer");
        put(&mut writer, &Act { value: FIRST, rows: OLD, sets: [true; 3], hides: [true; 3] }).expect("commit");
        let table = writer.table().clone();
        drop(writer);
        let first = std::fs::read(&path).expect("read");
        let layouts = table.columns.iter().map(|c| c.direct().expect("direct")).chain([&table
            .stamps
            .as_ref()
            .expect("stamps")
            .layout]);
        let cells = layouts.map(|l| l.find(0).0..l.find(ROWS - 1).0 + l.cell_bytes).collect();
        let memory = Memory::new(first.clone(), cells, watch(&table));
        let paths = Paths::of(&path).expect("paths");
        let (writers, readers) = (Mutex::default(), Mutex::default());
        Arc::new(Self { _scratch: scratch, memory, paths, table, guard, first, writers, readers })
    }

    /// The file as it was; what dead writers of another schedule left is gone.
    pub fn begin(&self) {
        self.memory.set(&self.first);
        Dead::all(&self.paths).expect("records").into_iter().for_each(Dead::clear);
    }

    /// From now on commits look at the bytes of cells that have no stamp.
    pub fn forget_witness(&self) {
        std::fs::File::options().write(true).open(&self.paths.rows).and_then(|f| f.set_len(0)).expect("cut");
    }

    pub fn process(&self) -> Process {
        Process::new(&self.memory, &self.paths.file)
    }

    /// The store as a process sees it.
    pub fn store(&self, process: Process) -> Store {
        Store::open(&self.paths.file).expect("opens").with_storage(Arc::new(process)).with_patience(patience())
    }

    /// A writer that nobody uses.
    pub fn writer(&self) -> Writer {
        let idle = self.writers.lock().expect("lock").pop();
        let mut writer = idle.unwrap_or_else(|| self.store(self.process()).writer("t").expect("writer"));
        writer.set_durability([Durability::Process, Durability::Power][pick(2)]);
        writer
    }

    pub fn give_back(&self, writer: Writer) {
        if !writer.is_poisoned() {
            self.writers.lock().expect("lock").push(writer);
        }
    }

    pub fn reader(&self) -> Reader {
        let idle = self.readers.lock().expect("lock").pop();
        idle.unwrap_or_else(|| self.store(self.process()).reader("t").expect("reader"))
    }

    pub fn give_back_reader(&self, reader: Reader) {
        self.readers.lock().expect("lock").push(reader);
    }

    /// Any rows, any columns; of a table with a guard always a whole row.
    pub fn any_act(&self, value: u64) -> Act {
        let start = pick(3) as u64;
        let rows = start..start + 1 + pick(2) as u64;
        let sets = if self.guard {
            [true, true, pick(2) == 0]
        } else {
            [[true, true, true], [true, true, false], [true, false, false], [false, true, false]][pick(4)]
        };
        Act { value, rows, sets, hides: [sets[0], sets[1], sets[2] || self.guard] }
    }

    /// Commits, and notes what came of it.
    pub fn commit(&self, history: &History, writer: &mut Writer, act: &Act) -> Outcome {
        self.try_commit(history, writer, act).map_err(|e| format!("{act:?}: {e}"))
    }

    /// The same, which may be refused since another program's value is in its way.
    pub fn commit_around(&self, history: &History, writer: &mut Writer, act: &Act) -> Outcome {
        match self.try_commit(history, writer, act) {
            Err(e) if !is_foreign(&e) => Err(format!("{act:?}: {e}")),
            _ => Ok(()),
        }
    }

    fn try_commit(&self, history: &History, writer: &mut Writer, act: &Act) -> h5part::Result<()> {
        let number = history.begin(act);
        let outcome = put(writer, act);
        writer.pause();
        history.end(number, if outcome.is_ok() { End::Acknowledged } else { End::Refused });
        outcome
    }

    /// Reads all rows together, and asks whether they may look so.
    pub fn look(&self, history: &History, reader: &mut Reader, settled: bool) -> Outcome {
        let start = history.now();
        let seen = read(reader, history.foreign)?;
        let span = history.since(start);
        for (row, &state) in (0..).zip(&seen) {
            if !history.explains(row, state, span, settled) {
                return Err(format!("row {row} is {state:?} in {span:?}, settled {settled}: {history:?}"));
            }
        }
        Ok(())
    }

    /// A history of the file as it is at the beginning.
    pub fn history() -> History {
        let first = |row| if OLD.contains(&row) { [Some(FIRST); 3] } else { [None; 3] };
        History::new((0..ROWS).map(first).collect())
    }

    /// The same where another program has changed E of a row with a value.
    pub fn history_with_foreign(row: u64) -> History {
        let mut history = Self::history();
        history.foreign = Some(row);
        history.first_of(row)[0] = None;
        history
    }

    /// Runs the threads of a schedule to their end.
    pub fn run(bodies: Vec<Box<dyn FnOnce() -> Outcome + Send>>) -> Outcome {
        explored(|| {
            let threads: Vec<_> = bodies.into_iter().map(shuttle::thread::spawn).collect();
            // All of them, also when one has found something: they bring their writers back.
            let outcomes: Vec<Outcome> = threads.into_iter().map(|t| t.join().expect("no panic")).collect();
            outcomes.into_iter().collect()
        })
    }
}

pub fn put(writer: &mut Writer, act: &Act) -> h5part::Result<()> {
    let values = Cells::of(act);
    writer.commit(&Rows::range(act.rows.clone()), &values.sets(act)).map(|_| ())
}

/// The values of an act.
pub struct Cells(Array1<f64>, Array2<f64>, Array1<i64>);

impl Cells {
    pub fn of(act: &Act) -> Self {
        let n = usize::try_from(act.rows.end - act.rows.start).expect("small");
        let value = f64::from(u32::try_from(act.value).expect("small"));
        let status = i64::try_from(act.value).expect("small");
        Self(Array1::from_elem(n, value), Array2::from_elem((n, CELL), value), Array1::from_elem(n, status))
    }

    pub fn sets(&self, act: &Act) -> Vec<(&'static str, Values<'_>)> {
        let all = [Values::from(&self.0), Values::from(&self.1), Values::from(&self.2)];
        let sets = COLUMNS.into_iter().zip(all).zip(act.sets);
        sets.filter(|(_, set)| *set).map(|(values, _)| values).collect()
    }
}

/// What a reader sees of each row; an error where a cell is a mixture. `foreign`: a row in which another
/// program changed E.
fn read(reader: &mut Reader, foreign: Option<u64>) -> Result<Vec<State>, String> {
    let blocks = reader.read_columns(&COLUMNS, &Rows::range(0..ROWS)).map_err(|e| e.to_string())?;
    let mut rows = vec![[None; 3]; usize::try_from(ROWS).expect("small")];
    for (column, block) in blocks.iter().enumerate() {
        let cell = block.bytes().len() / rows.len();
        for (k, (bytes, state)) in block.bytes().chunks_exact(cell).zip(block.states()).enumerate() {
            match state {
                CellState::Committed => rows[k][column] = Some(number(column, bytes).ok_or("a mixture")?),
                CellState::Missing | CellState::Writing => {}
                CellState::Changed if column == 0 && foreign == Some(k as u64) => {}
                other => return Err(format!("row {k}, {} is {other:?}", COLUMNS[column])),
            }
        }
    }
    Ok(rows)
}

/// The number of the commit that all elements of a cell are of.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers")]
pub fn number(column: usize, bytes: &[u8]) -> Option<u64> {
    let element = |bytes: &[u8]| {
        let word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        if column == 2 { word } else { f64::from_bits(word) as u64 }
    };
    let first = element(bytes.get(..8)?);
    bytes.chunks_exact(8).all(|bytes| element(bytes) == first).then_some(first)
}

/// Whether a commit was refused since another program's value is in its way.
pub fn is_foreign(error: &h5part::Error) -> bool {
    matches!(error.kind(), ErrorKind::ForeignChange { .. })
}

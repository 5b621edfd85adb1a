//! A small store against a plain model: commits, structural changes, foreign writes and recoveries of two
//! writers, each of which may die at any call. What was acknowledged is there; each row is old or new, or
//! not there until it is recovered; the file opens.
#![no_main]

mod kinds;

use arbitrary::Arbitrary;
use h5part_base::error::ErrorKind;
use h5part_base::dataspace::Rows;
use h5part_engine::h5::{Attribute, NewTable};
use h5part_base::lock::Patience;
use h5part_engine::store::{CellState, Durability, Reader, Recovery, Store, Values, Writer};
use h5part_fuzz::{Stopping, crc32c, folder, pattern};
use kinds::{KINDS, Kind};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Arbitrary)]
struct Input {
    kind: u8,
    /// Whether the witness says that nobody else has written to the file.
    trusting: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
struct Step {
    actor: bool,
    /// The call at which its process dies, and whether that one is torn.
    stop: Option<(u8, bool)>,
    /// Whether a reader looks afterwards.
    look: bool,
    what: What,
}

#[derive(Debug, Arbitrary)]
enum What {
    Commit { set: Set, durable: bool, accept: bool },
    Group { sets: Vec<Set>, durable: bool },
    Reset { set: Set, accept: bool },
    Extend(u8),
    Attribute { name: u8, value: i64, text: Option<u8> },
    Add,
    Foreign { row: u8, column: u8, seed: u8 },
    Recover,
    RecoverTable,
    Reopen,
}

/// Some rows of some columns, and what they get.
#[derive(Debug, Arbitrary)]
struct Set {
    first: u8,
    rows: u8,
    columns: u8,
    seed: u8,
}

/// What a reader finds in a cell.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Missing,
    Value(Vec<u8>),
    /// Another program's, without a stamp.
    Plain(Vec<u8>),
    /// Changed by another program.
    Changed,
}

/// What a row may hold.
#[derive(Clone, Debug)]
struct Row {
    /// One of these, cell by cell.
    either: Vec<Vec<Content>>,
    /// Columns that may be "not there" until somebody recovers them.
    hazy: Vec<bool>,
}

struct Actor {
    storage: Stopping,
    writer: Option<Writer>,
}

struct Play<'k> {
    kind: &'k Kind,
    file: PathBuf,
    actors: [Actor; 2],
    rows: Vec<Row>,
    attributes: BTreeMap<String, Attribute>,
    more: u64,
    trusting: bool,
}

impl Actor {
    fn new() -> Self {
        Self { storage: Stopping::default(), writer: None }
    }

    fn store(&self, file: &Path) -> Store {
        store(file).with_storage(Arc::new(self.storage.clone()))
    }
}

fn store(file: &Path) -> Store {
    // Nobody keeps a lock between two steps: a wait is a finding.
    let patience = Patience { timeout: Duration::from_secs(5), ..Patience::default() };
    Store::open(file).expect("the file is there").with_patience(patience)
}

impl What {
    fn attribute(&self) -> Option<(String, Attribute)> {
        let Self::Attribute { name, value, text } = self else { return None };
        let text = text.map(|n| Attribute::Text("x".repeat(usize::from(n) * 20)));
        Some((format!("a{}", name % 3), text.unwrap_or(Attribute::Int(*value))))
    }
}

impl Row {
    fn missing(columns: usize) -> Self {
        Self { either: vec![vec![Content::Missing; columns]], hazy: vec![false; columns] }
    }

    /// Where `new` is `Some`, the cell becomes it.
    fn acknowledge(&mut self, new: &[Option<Content>], accept: bool) {
        if !accept {
            self.either.retain(|row| !is_foreign(row, new));
            assert!(!self.either.is_empty(), "a foreign value was overwritten");
        }
        for row in &mut self.either {
            *row = replaced(row, new);
        }
        for (hazy, new) in self.hazy.iter_mut().zip(new) {
            *hazy &= new.is_none();
        }
    }

    fn may_become(&mut self, new: &[Option<Content>], accept: bool) {
        let begun = self.either.iter().filter(|row| accept || !is_foreign(row, new));
        let more: Vec<_> = begun.map(|row| replaced(row, new)).collect();
        self.either.extend(more);
    }
}

fn is_foreign(row: &[Content], new: &[Option<Content>]) -> bool {
    row.iter().zip(new).any(|(old, new)| new.is_some() && matches!(old, Content::Plain(_) | Content::Changed))
}

fn replaced(row: &[Content], new: &[Option<Content>]) -> Vec<Content> {
    row.iter().zip(new).map(|(old, new)| new.as_ref().unwrap_or(old).clone()).collect()
}

impl<'k> Play<'k> {
    fn new(kind: &'k Kind, trusting: bool) -> Self {
        let file = folder().join("a.h5");
        let sidecar = folder().join("a.h5.part");
        // Nothing is there the first time.
        let _ = (fs::remove_dir_all(&sidecar), fs::remove_file(folder().join("a.h5.lock")), fs::remove_file(&file));
        fs::write(&file, &kind.bytes).expect("write");
        if trusting {
            fs::create_dir(&sidecar).expect("mkdir");
            fs::write(sidecar.join("rows.lock"), witness(&file)).expect("write");
        }
        let rows = vec![Row::missing(kind.columns.len()); kind.rows];
        let actors = [Actor::new(), Actor::new()];
        Self { kind, file, actors, rows, attributes: BTreeMap::new(), more: 0, trusting }
    }

    fn step(&mut self, step: &Step) {
        let (k, other) = (usize::from(step.actor), usize::from(!step.actor));
        self.actors[other].writer.iter_mut().for_each(Writer::pause);
        let arm = |play: &Self| play.actors[k].storage.arm(step.stop.map(|(call, torn)| (call.into(), torn)));
        if let What::Foreign { row, column, seed } = step.what {
            self.foreign(row.into(), column.into(), seed);
        } else if let What::Commit { .. } | What::Group { .. } | What::Reset { .. } | What::RecoverTable = step.what {
            self.open(k);
            arm(self);
            self.in_table(k, &step.what);
        } else {
            self.actors[k].writer.iter_mut().for_each(Writer::pause);
            arm(self);
            self.in_store(k, &step.what);
        }
        if self.actors[k].storage.has_stopped() {
            self.die(k);
        }
        self.actors[k].storage.arm(None);
        if step.look {
            self.check();
        }
    }

    fn open(&mut self, k: usize) {
        if self.actors[k].writer.is_none() {
            self.actors[k].writer = Some(self.actors[k].store(&self.file).writer("t").expect("opens for writing"));
            self.recovered();
        }
    }

    /// The process is gone: its writer's file stays, unlocked.
    fn die(&mut self, k: usize) {
        let folder = self.file.with_extension("h5.part").join("records");
        let files = || fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("entry").path());
        let before: Vec<_> = files().map(|path| (fs::read(&path).expect("read"), path)).collect();
        self.actors[k] = Actor::new();
        for (bytes, path) in before.into_iter().filter(|(_, path)| !path.exists()) {
            fs::write(path, bytes).expect("write");
        }
    }

    fn recovered(&mut self) {
        self.rows.iter_mut().for_each(|row| row.hazy.fill(false));
    }

    fn in_table(&mut self, k: usize, what: &What) {
        let actor = &mut self.actors[k];
        let stopped = |play: &Self| play.actors[k].storage.has_stopped();
        let writer = actor.writer.as_mut().expect("open");
        let (sets, durable, accept) = match what {
            What::Commit { set, durable, accept } => (std::slice::from_ref(set), *durable, *accept),
            What::Group { sets, durable } => (&sets[..sets.len().min(4)], *durable, false),
            What::Reset { set, accept } => (std::slice::from_ref(set), true, *accept),
            _ => {
                let outcome = writer.recover();
                assert!(outcome.is_ok() || stopped(self), "{outcome:?}");
                if outcome.is_ok() {
                    self.recovered();
                }
                return;
            }
        };
        writer.set_durability(if durable { Durability::Power } else { Durability::Process });
        writer.set_accept_foreign(accept);
        let reset = matches!(what, What::Reset { .. });
        let all = self.rows.len();
        let jobs: Vec<_> = sets.iter().map(|set| Job::new(self.kind, set, all, reset)).collect();
        let outcomes: Vec<h5part_base::error::Result<()>> = if reset {
            vec![writer.reset(&Rows::list(&jobs[0].rows)).map(|_| ())]
        } else if let What::Commit { .. } = what {
            vec![writer.commit(&Rows::list(&jobs[0].rows), &jobs[0].values(self.kind)).map(|_| ())]
        } else {
            let mut group = writer.group();
            for job in &jobs {
                // A group that had to close, and died in it, takes no more.
                if let Err(e) = group.commit(&Rows::list(&job.rows), &job.values(self.kind)) {
                    assert!(matches!(e.kind(), ErrorKind::Poisoned), "{e}");
                    break;
                }
            }
            group.finish().into_iter().map(|outcome| outcome.map(|_| ())).collect()
        };
        for (job, outcome) in jobs.iter().zip(outcomes) {
            match outcome {
                Ok(()) => job.each(&mut self.rows, |row, new| row.acknowledge(new, accept)),
                Err(_) if stopped(self) => {
                    let through_library = self.kind.needs_library(&job.columns);
                    job.each(&mut self.rows, |row, new| {
                        row.may_become(new, accept);
                        for (column, hazy) in row.hazy.iter_mut().enumerate().filter(|_| !through_library) {
                            *hazy |= new[column].is_some() || self.kind.guard == Some(column);
                        }
                    });
                }
                Err(e) if matches!(e.kind(), ErrorKind::ForeignChange { .. }) && !accept => {
                    let mut any = false;
                    job.each(&mut self.rows, |row, new| any |= row.either.iter().any(|row| is_foreign(row, new)));
                    assert!(any, "nothing foreign was there: {e}");
                }
                Err(e) => panic!("{what:?}: {e}"),
            }
        }
    }

    /// Structural changes, and what concerns all tables.
    fn in_store(&mut self, k: usize, what: &What) {
        let store = self.actors[k].store(&self.file);
        let columns = self.kind.columns.len();
        let outcome = match what {
            What::Extend(by) => {
                let rows = (self.rows.len() + usize::from(by % 8)).min(30);
                let outcome = store.extend("t", rows as u64).map(|_| ());
                if outcome.is_ok() {
                    self.rows.resize(rows, Row::missing(columns));
                }
                match outcome {
                    Err(e) if matches!(e.kind(), ErrorKind::CannotGrow { .. }) && !self.kind.grows => Ok(()),
                    other => other,
                }
            }
            What::Attribute { .. } => {
                let (name, value) = what.attribute().expect("it is one");
                let outcome = store.set_attributes("t", &[(name.clone(), value.clone())]);
                if outcome.is_ok() {
                    self.attributes.insert(name, value);
                }
                outcome
            }
            What::Add => {
                let outcome =
                    store.create(&NewTable::new(&format!("more/m{}", self.more), 3, kinds::few()), &|_, _| ());
                self.more += u64::from(outcome.is_ok());
                outcome
            }
            What::Recover => store.recover().map(|_| ()),
            _ => {
                // A clean end; the next step opens it anew.
                self.actors[k].writer = None;
                return;
            }
        };
        if outcome.is_ok() {
            self.recovered();
            return;
        }
        assert!(self.actors[k].storage.has_stopped(), "{what:?}: {outcome:?}");
        self.look_at_structure(what);
    }

    /// A change whose maker died was made, or not.
    fn look_at_structure(&mut self, what: &What) {
        let store = store(&self.file);
        let reader = store.reader("t").expect("opens");
        let rows = usize::try_from(reader.table().rows).expect("small");
        assert!(rows >= self.rows.len(), "rows are gone");
        self.rows.resize(rows, Row::missing(self.kind.columns.len()));
        self.more = store.tables().expect("tables").len() as u64 - 1;
        for name in ["a0", "a1", "a2"] {
            let now = store.attribute("t", name).expect("reads");
            let made = what.attribute().filter(|(set, value)| set == name && now.as_ref() == Some(value));
            assert!(made.is_some() || now.as_ref() == self.attributes.get(name), "attribute {name} is {now:?}");
            self.attributes.extend(made);
        }
    }

    /// Another program changes the bytes of a cell.
    fn foreign(&mut self, row: usize, column: usize, seed: u8) {
        self.actors.iter_mut().flat_map(|actor| &mut actor.writer).for_each(Writer::pause);
        let (row, column) = (row % self.rows.len(), column % self.kind.columns.len());
        let known = &mut self.rows[row];
        if known.either.len() > 1 || known.hazy.contains(&true) || self.kind.guard == Some(column) {
            return; // what is to be found then, no model says
        }
        let mut reader = store(&self.file).reader("t").expect("opens");
        let spec = &self.kind.columns[column];
        let state = reader.read(&spec.name, &Rows::one(row as u64)).expect("reads").states()[0];
        let Ok(layout) = &reader.table().column(&spec.name).expect("there").layout else { return };
        let bytes = pattern(seed, self.kind.cell_bytes(column));
        let old = &mut known.either[0][column];
        let new = match (state, &*old) {
            (CellState::Committed, Content::Value(value)) if *value != bytes => Content::Changed,
            // Where change times are too coarse, nobody could tell.
            (CellState::Missing | CellState::Plain, _) if !self.trusting && bytes != self.kind.fill(column) => {
                Content::Plain(bytes.clone())
            }
            _ => return,
        };
        *old = new;
        let file = fs::OpenOptions::new().write(true).open(&self.file).expect("opens");
        file.write_all_at(&bytes, layout.find(row as u64).0).expect("writes");
    }

    fn check(&mut self) {
        self.actors.iter_mut().flat_map(|actor| &mut actor.writer).for_each(Writer::pause);
        let mut reader = store(&self.file).reader("t").expect("opens");
        for (at, (row, found)) in self.rows.iter_mut().zip(contents(self.kind, &mut reader)).enumerate() {
            let is = |known: &Vec<Content>| {
                let cells = found.iter().zip(known).zip(&row.hazy);
                cells.into_iter().all(|((found, known), hazy)| found == known || *hazy && *found == Content::Missing)
            };
            assert!(row.either.iter().any(is), "row {at} holds {found:?}, not {row:?}");
            if !row.hazy.contains(&true) {
                row.either = vec![found];
            }
        }
    }

    /// Nobody is left; what is left is put right.
    fn end(mut self) {
        self.actors = [Actor::new(), Actor::new()];
        let store = store(&self.file);
        let found = store.recover().expect("recovers");
        let aside = (found.logs_aside, found.other_file, found.foreign, found.without_record);
        assert_eq!(aside, (0, 0, 0, 0), "{found:?}");
        if found != Recovery::default() {
            assert_eq!(store.recover().expect("recovers"), Recovery::default(), "not all was done at once");
        }
        self.recovered();
        self.check();
        for (name, value) in &self.attributes {
            assert_eq!(store.attribute("t", name).expect("reads").as_ref(), Some(value), "{name}");
        }
        if self.more > 0 {
            assert_eq!(store.tables().expect("tables").len() as u64, self.more + 1);
        }
        for (column, bytes) in self.kind.stock(&self.file).iter().enumerate() {
            let size = self.kind.cell_bytes(column);
            assert_eq!(bytes.len(), self.rows.len() * size);
            for (row, cell) in self.rows.iter().zip(bytes.chunks_exact(size)) {
                if let Content::Value(value) | Content::Plain(value) = &row.either[0][column] {
                    assert!(value == cell, "a stock program reads something else");
                }
            }
        }
    }
}

fn contents(kind: &Kind, reader: &mut Reader) -> Vec<Vec<Content>> {
    let names: Vec<&str> = kind.columns.iter().map(|column| column.name.as_str()).collect();
    let rows = reader.table().rows;
    let blocks = reader.read_columns(&names, &Rows::range(0..rows)).expect("reads");
    let row = |row: usize| {
        let cells = blocks.iter().enumerate().map(|(column, block)| {
            let size = kind.cell_bytes(column);
            let bytes = block.bytes()[row * size..][..size].to_vec();
            let state = block.states()[row];
            assert!(state.is_present() || bytes == kind.fill(column), "{state:?}, but not fill");
            match state {
                CellState::Committed => Content::Value(bytes),
                CellState::Plain => Content::Plain(bytes),
                CellState::Changed => Content::Changed,
                CellState::Missing | CellState::Writing => Content::Missing,
            }
        });
        cells.collect()
    };
    (0..usize::try_from(rows).expect("small")).map(row).collect()
}

/// A commit or a reset, on its way.
struct Job {
    rows: Vec<u64>,
    columns: Vec<usize>,
    /// By column of `columns`, row by row.
    bytes: Vec<Vec<u8>>,
    reset: bool,
}

impl Job {
    fn new(kind: &Kind, set: &Set, all: usize, reset: bool) -> Self {
        let row = |bit: usize| ((usize::from(set.first) + bit) % all) as u64;
        let mut rows: Vec<u64> = (0..all.min(8)).filter(|bit| set.rows >> bit & 1 == 1).map(row).collect();
        if rows.is_empty() {
            rows.push(row(0));
        }
        let count = kind.columns.len();
        let chosen =
            |k: &usize| reset || set.columns >> k & 1 == 1 || set.columns.trailing_zeros() >= count as u32 && *k == 0;
        let columns: Vec<usize> = (0..count).filter(chosen).collect();
        let bytes_of = |&column: &usize| {
            let seed = set.seed.wrapping_add(u8::try_from(column).expect("small"));
            pattern(seed, rows.len() * kind.cell_bytes(column))
        };
        let bytes = columns.iter().map(bytes_of).collect();
        Self { rows, columns, bytes, reset }
    }

    fn values<'a>(&'a self, kind: &'a Kind) -> Vec<(&'a str, Values<'a>)> {
        let column = |(&column, bytes): (&usize, &'a Vec<u8>)| {
            let spec = &kind.columns[column];
            let shape: Vec<u64> = [self.rows.len() as u64].into_iter().chain(spec.shape.iter().copied()).collect();
            (spec.name.as_str(), Values::new(spec.dtype, &shape, bytes.as_slice()).expect("as many"))
        };
        self.columns.iter().zip(&self.bytes).map(column).collect()
    }

    /// Calls `body` with each row, and what its cells are to become.
    fn each(&self, rows: &mut [Row], mut body: impl FnMut(&mut Row, &[Option<Content>])) {
        for (at, &row) in self.rows.iter().enumerate() {
            let row = &mut rows[usize::try_from(row).expect("small")];
            let mut new = vec![None; row.hazy.len()];
            for (&column, bytes) in self.columns.iter().zip(&self.bytes) {
                let size = bytes.len() / self.rows.len();
                let value = || Content::Value(bytes[at * size..][..size].to_vec());
                new[column] = Some(if self.reset { Content::Missing } else { value() });
            }
            body(row, &new);
        }
    }
}

/// The witness's note of a file to which nobody but h5part has written.
fn witness(file: &Path) -> Vec<u8> {
    let m = fs::metadata(file).expect("there");
    let mut note = b"h5partW1".to_vec();
    note.extend([m.dev(), m.ino()].map(u64::to_le_bytes).as_flattened());
    note.extend(m.ctime().to_le_bytes());
    note.extend(u32::try_from(m.ctime_nsec()).expect("below a second").to_le_bytes());
    note.extend([0; 4]);
    let sum = crc32c(&note);
    note.extend(sum.to_le_bytes());
    note
}

fuzz_target!(|input: Input| {
    let kind = &KINDS[usize::from(input.kind) % KINDS.len()];
    let mut play = Play::new(kind, input.trusting);
    for step in input.steps.iter().take(12) {
        play.step(step);
    }
    play.end();
});

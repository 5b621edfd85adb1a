//! Loss of power beside a ledger and the store that its tasks fill. Once both are reconciled, no task is done without
//! its data.

use super::counted;
use super::memory::Memory;
use super::states::{Sampling, State};
use super::visit::visit;
use crate::common::support::{Scratch, small_store};
use crate::tasks::ledger::{claim, dead_owner};
use h5part::ledger::{Claim, Ledger, NewLedger, StoreTasks, TaskFence, TaskState, Watch};
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Durability, Store, Values, Writer};
use ndarray::{Array1, Array3};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const ROWS: u64 = 8;
const BLOCK: u64 = 2;
/// Few, because each state costs visits of the library.
const SAMPLED: u64 = 40;

fn put(writer: &mut Writer, claim: &Claim) {
    let rows = claim.rows.clone().expect("has rows");
    let n = usize::try_from(rows.end - rows.start).expect("small");
    let (e, f, s) = (Array1::from_elem(n, 1.5), Array3::from_elem((n, 4, 3), 1.5), Array1::from_elem(n, 0i64));
    let sets = [("E", Values::from(&e)), ("F", Values::from(&f)), ("status", Values::from(&s))];
    writer.commit(&Rows::range(rows), &sets).expect("commits");
}

struct Site {
    scratch: Scratch,
    memory: Memory,
}

impl Site {
    fn file(&self) -> PathBuf {
        self.scratch.path("a.h5")
    }

    fn store(&self) -> Store {
        Store::open(self.file()).expect("opens").with_storage(Arc::new(self.memory.clone()))
    }

    fn ledger(&self) -> h5part::Result<Ledger> {
        Ledger::open_in(self.scratch.path("a.ledger"), Arc::new(self.memory.clone()))
    }
}

/// A worker does two tasks, commits a third, begins a fourth, and dies.
fn recorded(durability: Durability) -> super::image::Recording {
    let scratch = Scratch::in_memory();
    let store = small_store(&scratch.path("a.h5"), ROWS);
    let named = Some(h5part::ledger::store_ref(&store, "t").expect("has an identity"));
    NewLedger { store: named, ..NewLedger::of_rows(ROWS, BLOCK) }.create(scratch.path("a.ledger")).expect("makes");
    let memory = Memory::taken_from(scratch.path("a.h5").parent().expect("folder"));
    let site = Site { scratch, memory };
    let ledger = Arc::new(site.ledger().expect("opens"));
    let store = site.store();
    let rows = StoreTasks::open_as(&ledger, &store, "t").expect("fits");
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(durability);
    let owner = ledger.register(&dead_owner()).expect("registers");
    site.memory.record();
    for turn in 0..4 {
        let claims = claim(&ledger, owner, 1);
        rows.begin(&claims[0]).expect("notes");
        writer.set_fence(Some(Arc::new(TaskFence::new(Arc::clone(&ledger), claims[0].clone()))));
        if turn < 3 {
            put(&mut writer, &claims[0]);
            // What the store acknowledged is there.
            let bit = if durability == Durability::Power { 1 << turn } else { 0 };
            site.memory.acknowledge(bit);
        }
        if turn < 2 {
            rows.done(&claims[0]).expect("is there");
        }
    }
    drop(writer);
    let mut recording = site.memory.recorded();
    recording.bury();
    recording
}

fn bench() -> Site {
    let scratch = Scratch::in_memory();
    std::fs::write(scratch.path("a.h5"), b"a placeholder").expect("writes");
    std::fs::write(scratch.path("a.ledger"), b"a placeholder").expect("writes");
    let memory = Memory::new(scratch.path("a.h5").parent().expect("folder"));
    Site { scratch, memory }
}

fn check(site: &mut Site, state: &State<'_>) -> Result<(), String> {
    let told = |e: h5part::Error| e.to_string();
    site.memory.put(&state.image());
    let store = site.store();
    store.recover().map_err(told)?;
    let ledger = site.ledger().map_err(told)?;
    let rows = StoreTasks::open_as(&ledger, &store, "t").map_err(told)?;
    rows.reconcile(&mut Watch::new(Duration::MAX, |_| None)).map_err(told)?;
    let mut reader = store.reader("t").map_err(told)?;
    for place in 0..ROWS / BLOCK {
        let task = ledger.task(place).map_err(told)?;
        let presence = reader.presence(place * BLOCK..(place + 1) * BLOCK).map_err(told)?;
        let whole = presence.committed == presence.rows;
        match task.state {
            TaskState::Done if !whole => return Err(format!("task {place} is done without its data: {presence:?}")),
            TaskState::Running => return Err(format!("task {place} runs, and nobody is there")),
            TaskState::Failed => return Err(format!("task {place} failed: {task:?}")),
            _ => {}
        }
        if state.acknowledged() & 1 << place != 0 && !whole {
            return Err(format!("the rows of task {place} were acknowledged: {presence:?}"));
        }
        // As after a kill: durable rows are not computed again if the ledger noted that they were empty before.
        if task.state == TaskState::Waiting && task.rows_were_empty && presence.durable == presence.rows {
            return Err(format!("task {place} is to be done again: {task:?}, {presence:?}"));
        }
    }
    let again = rows.reconcile(&mut Watch::new(Duration::MAX, |_| None)).map_err(told)?;
    if (again.done, again.requeued, again.lapsed) == (0, 0, 0) { Ok(()) } else { Err(format!("{again:?}")) }
}

#[test]
fn no_task_is_done_without_its_data() {
    let mut states = 0;
    for durability in [Durability::Power, Durability::Process] {
        let recording = recorded(durability);
        states += visit(&recording, Sampling::of_slow(SAMPLED), bench, check).holds();
    }
    counted("ledger and store", states);
}

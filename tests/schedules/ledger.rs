//! Claims, expiry, late words, late writes and reconciliation: no task is lost, none is told to be done twice, and
//! no late write lands over its successor's rows.

use crate::explore::{Outcome, holds, is_found, pick};
use crate::history::Act;
use crate::memory::point;
use crate::tasks::{Body, Site, claim, is_fenced, operating, reaping, schedule, text};
use crate::world::{COLUMNS, FIRST, ROWS, World, number, put};
use h5part::ledger::{Claim, End, NewLedger, StoreTasks, TaskFence, TaskState, Watch};
use h5part_base::dataspace::Rows;
use h5part_base::lock::Fence;
use h5part_engine::store::{Durability, Writer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn three_tasks() -> NewLedger {
    NewLedger { chunk_rows: 2, ..NewLedger::of_rows(3, 1) }
}

#[test]
fn three_workers() {
    let site = Site::new(&three_tasks(), 3, false);
    holds("ledger", move || schedule(&site, 3, Vec::new()));
}

#[test]
fn two_workers_who_are_taken_for_dead() {
    let site = Site::new(&three_tasks(), 4, false);
    holds("ledger, expiry", move || schedule(&site, 2, vec![reaping(&site, 2, 2), reaping(&site, 3, 1)]));
}

#[test]
fn two_workers_an_expiry_and_a_person() {
    let site = Site::new(&three_tasks(), 4, false);
    holds("ledger, a person", move || schedule(&site, 2, vec![reaping(&site, 2, 1), operating(&site, 3)]));
}

/// Without a lock that all of them meet, tasks are given twice.
#[test]
fn ledgers_whose_locks_do_not_meet() {
    let site = Site::new(&three_tasks(), 3, true);
    is_found(500, move || schedule(&site, 3, Vec::new()));
}

/// Commits that came too late.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// Claims whose commits were acknowledged.
type Made = Arc<Mutex<Vec<(u64, u64)>>>;

/// When the fence is asked.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    UnderRowLocks,
    /// As a broken h5part would.
    BeforeThem,
}

/// The rows of a task say which claim wrote them.
fn value(claim: &Claim) -> u64 {
    10 + claim.fence
}

/// A process that is stopped for a while, or not: else few others get as far as to take its task over.
fn stall() {
    (0..pick(3) * 80).for_each(|_| point());
}

fn commit(writer: &mut Writer, fence: TaskFence, asked: Asked) -> h5part::Result<()> {
    let claim = fence.claim();
    let rows = claim.rows.clone().expect("has rows");
    let act = Act { value: value(claim), rows, sets: [true; 3], hides: [true; 3] };
    match asked {
        Asked::BeforeThem => {
            use h5part_base::error::At;
            fence.check().at("ask", "the fence")?;
            writer.set_fence(None);
            stall();
        }
        Asked::UnderRowLocks => writer.set_fence(Some(Arc::new(fence))),
    }
    put(writer, &act)
}

/// A worker that may have lost its task when it writes.
fn writing(world: &Arc<World>, site: &Arc<Site>, handle: usize, made: &Made, asked: Asked) -> Body {
    let (world, made, mut writer) = (Arc::clone(world), Arc::clone(made), world.writer());
    let (ledger, as_) = (site.ledger(handle), site.silent_owner());
    Box::new(move || {
        let mut owner = ledger.register(&as_).map_err(text)?;
        for _ in 0..2 {
            let Some(claim) = claim(&ledger, &mut owner, &as_, 1)?.pop() else { continue };
            let (place, fence) = (claim.place, claim.fence);
            stall();
            let outcome = commit(&mut writer, TaskFence::new(Arc::clone(&ledger), claim.clone()), asked);
            writer.pause();
            match outcome {
                Ok(()) => made.lock().expect("lock").push((place, fence)),
                Err(e) if is_fenced(&e) => _ = REFUSED.fetch_add(1, Ordering::Relaxed),
                Err(e) => return Err(text(e)),
            }
            if pick(2) == 0 {
                let _ = ledger.finish(&claim, End::Done);
            }
        }
        writer.set_fence(None);
        world.give_back(writer);
        Ok(())
    })
}

/// Takes the task from whoever has it.
fn taking(site: &Arc<Site>, handle: usize) -> Body {
    let ledger = site.ledger(handle);
    Box::new(move || (0..2).try_for_each(|_| ledger.requeue(&[0], |_| true).map(|_| ()).map_err(text)))
}

/// Each row has what the latest claim wrote whose commit was acknowledged; others have what they had.
fn rows_are_of_the_last(world: &World, made: &Made, block: u64) -> Outcome {
    let mut reader = world.reader();
    let blocks = reader.read_columns(&COLUMNS, &Rows::range(0..ROWS)).map_err(text)?;
    world.give_back_reader(reader);
    let made = made.lock().expect("lock");
    for row in 0..ROWS {
        let last = made.iter().filter(|(place, _)| *place == row / block).map(|(_, fence)| 10 + fence).max();
        let expected = last.or((row < 2).then_some(FIRST));
        for (column, block) in blocks.iter().enumerate() {
            let at = usize::try_from(row).expect("small");
            let cell = block.bytes().len() / usize::try_from(ROWS).expect("small");
            let there = block.states()[at].is_present();
            let seen = there.then(|| number(column, &block.bytes()[at * cell..(at + 1) * cell])).flatten();
            if seen != expected {
                return Err(format!("row {row}, {}: {seen:?}, not {expected:?}; {made:?}", COLUMNS[column]));
            }
        }
    }
    Ok(())
}

fn late_writes(world: &Arc<World>, site: &Arc<Site>, asked: Asked) -> Outcome {
    world.begin();
    site.begin();
    let made = Made::default();
    let mut bodies: Vec<Body> = (0..2).map(|k| writing(world, site, k, &made, asked)).collect();
    bodies.push(taking(site, 2));
    World::run(bodies)?;
    rows_are_of_the_last(world, &made, 2)
}

#[test]
fn no_late_write_lands_over_the_successors_rows() {
    let (world, site) = (World::new(false), Site::new(&NewLedger::of_rows(2, 2), 3, false));
    holds("late writes", move || late_writes(&world, &site, Asked::UnderRowLocks));
    let refused = REFUSED.load(Ordering::Relaxed);
    println!("{refused} late writes were refused");
    assert!(refused > 0 || std::env::var_os("H5PART_SCHEDULE").is_some());
}

#[test]
fn a_fence_that_is_asked_before_the_row_locks() {
    let (world, site) = (World::new(false), Site::new(&NewLedger::of_rows(2, 2), 3, false));
    is_found(1_500, move || late_writes(&world, &site, Asked::BeforeThem));
}

/// A worker with the rows of its tasks in view, which stops anywhere; it is taken for dead at any time.
fn doing(world: &Arc<World>, site: &Arc<Site>, handle: usize, made: &Made) -> Body {
    let (world, made, mut writer) = (Arc::clone(world), Arc::clone(made), world.writer());
    let (store, ledger, as_) = (world.store(world.process()), site.ledger(handle), site.owner());
    writer.set_durability(Durability::Power);
    Box::new(move || {
        let rows = StoreTasks::open_as(&ledger, &store, "t").map_err(text)?;
        let mut owner = ledger.register(&as_).map_err(text)?;
        let mut work = |claim: &Claim| {
            rows.begin(claim)?;
            stall();
            commit(&mut writer, TaskFence::new(Arc::clone(&ledger), claim.clone()), Asked::UnderRowLocks)?;
            made.lock().expect("lock").push((claim.place, claim.fence));
            if pick(2) == 0 { Ok(()) } else { rows.done(claim).map(|_| ()) }
        };
        for _ in 0..2 {
            let Some(claim) = claim(&ledger, &mut owner, &as_, 1)?.pop() else { continue };
            match work(&claim) {
                Err(e) if !is_fenced(&e) => return Err(text(e)),
                _ => {}
            }
        }
        writer.pause();
        writer.set_fence(None);
        world.give_back(writer);
        Ok(())
    })
}

fn never() -> Watch {
    Watch::new(Duration::MAX, |_| None)
}

fn reconciling(world: &Arc<World>, site: &Arc<Site>, handle: usize) -> Body {
    let (store, ledger) = (world.store(world.process()), site.ledger(handle));
    Box::new(move || {
        let rows = StoreTasks::open_as(&ledger, &store, "t").map_err(text)?;
        rows.reconcile(&mut never()).map(|_| ()).map_err(text)
    })
}

/// No task is done without its data, and what was done by one who died need not be done again.
fn both_say_the_same(world: &World, site: &Site) -> Outcome {
    let (store, ledger) = (world.store(world.process()), site.ledger(0));
    let rows = StoreTasks::open_as(&ledger, &store, "t").map_err(text)?;
    rows.reconcile(&mut never()).map_err(text)?;
    let mut reader = world.reader();
    for place in 0..ledger.len() {
        let task = ledger.task(place).map_err(text)?;
        let presence = reader.presence(place * 2..place * 2 + 2).map_err(text)?;
        let whole = presence.durable == presence.rows;
        match task.state {
            TaskState::Done if !whole => return Err(format!("task {place} is done without its data: {task:?}")),
            TaskState::Running => return Err(format!("task {place} runs, and nobody works on it")),
            TaskState::Waiting if whole && task.rows_were_empty => return Err(format!("task {place}: {task:?}")),
            _ => {}
        }
    }
    world.give_back_reader(reader);
    let again = rows.reconcile(&mut never()).map_err(text)?;
    if (again.done, again.requeued, again.lapsed) == (0, 0, 0) { Ok(()) } else { Err(format!("{again:?}")) }
}

#[test]
fn reconciliation_beside_workers() {
    let (world, site) = (World::new(false), Site::new(&NewLedger::of_rows(ROWS, 2), 3, false));
    holds("reconciliation", move || {
        world.begin();
        site.begin();
        let made = Made::default();
        let bodies =
            vec![doing(&world, &site, 0, &made), doing(&world, &site, 1, &made), reconciling(&world, &site, 2)];
        World::run(bodies)?;
        rows_are_of_the_last(&world, &made, 2)?;
        both_say_the_same(&world, &site)
    });
}

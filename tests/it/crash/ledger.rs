//! Loss of power beside a ledger. The ledger exists as a whole or not at all. Each task is in a state that it had since
//! the last sync. None is lost: a task that nobody holds any more can be claimed.

use super::counted;
use super::image::{Barrier, Recording};
use super::memory::Memory;
use super::states::{Sampling, State};
use super::visit::{Visited, visit};
use crate::common::support::Scratch;
use crate::tasks::ledger::{claim, dead_owner, end, latest, tasks};
use h5part::ledger::{End, Ledger, Owner, Reason, Task, TaskState, Watch};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Slots in three sectors.
const TASKS: u64 = 20;
const SAMPLED: u64 = 400;
/// The bit of a version that no sync makes durable.
const NEVER: u64 = 1 << 63;

/// The states that each task had, in order, each with the bit of the sync that followed.
type Versions = Vec<Vec<(u64, Task)>>;

struct Scene {
    recording: Recording,
    versions: Versions,
}

/// A real file with the ledger's name, for its lock.
fn placeholder(scratch: &Scratch) -> PathBuf {
    let path = scratch.path("a.ledger");
    std::fs::write(&path, b"a placeholder").expect("writes");
    path
}

/// What is done, and whether a sync follows.
type Step<'a> = (Box<dyn Fn(&Ledger) + 'a>, bool);

fn step<'a>(step: impl Fn(&Ledger) + 'a) -> Step<'a> {
    (Box::new(step), false)
}

fn synced<'a>(step: impl Fn(&Ledger) + 'a) -> Step<'a> {
    (Box::new(step), true)
}

impl Scene {
    /// Runs steps on a new ledger; each sync is acknowledged.
    fn of(steps: &[Step<'_>]) -> Self {
        let scratch = Scratch::in_memory();
        let path = scratch.path("a.ledger");
        tasks(TASKS).create(&path).expect("makes");
        let memory = Memory::taken_from(path.parent().expect("folder"));
        let ledger = Ledger::open_in(&path, Arc::new(memory.clone())).expect("opens");
        memory.record();
        let mut versions: Versions = (0..TASKS).map(|place| vec![(0, ledger.task(place).expect("reads"))]).collect();
        for (k, (step, synced)) in steps.iter().enumerate() {
            // Each call adds a version.
            step(&ledger);
            for (place, versions) in (0..).zip(&mut versions) {
                let task = ledger.task(place).expect("reads");
                versions.push((NEVER, task));
            }
            if *synced {
                ledger.sync().expect("syncs");
                memory.acknowledge(1 << k);
                for versions in &mut versions {
                    versions.last_mut().expect("has one").0 = 1 << k;
                }
            }
        }
        Self { recording: memory.recorded(), versions }
    }

    fn crashed(&self) -> Visited {
        visit(&self.recording, Sampling::of(SAMPLED), Bench::new, |bench, state| bench.check(state, &self.versions))
    }
}

struct Bench {
    _scratch: Scratch,
    path: PathBuf,
    memory: Memory,
}

impl Bench {
    fn new() -> Self {
        let scratch = Scratch::in_memory();
        let path = placeholder(&scratch);
        let memory = Memory::new(path.parent().expect("folder"));
        Self { _scratch: scratch, path, memory }
    }

    fn check(&mut self, state: &State<'_>, versions: &Versions) -> Result<(), String> {
        self.memory.put(&state.image());
        let ledger = Ledger::open_in(&self.path, Arc::new(self.memory.clone())).map_err(|e| e.to_string())?;
        for (place, versions) in (0..).zip(versions) {
            let task = ledger.task(place).map_err(|e| e.to_string())?;
            let last = versions.iter().rposition(|(bit, _)| bit & state.acknowledged() == *bit).unwrap_or(0);
            if !versions[last..].iter().any(|(_, version)| *version == task) {
                return Err(format!("task {place} is {task:?}, and was {:?}", &versions[last..]));
            }
        }
        Self::nothing_is_lost(&ledger)
    }

    /// A worker that comes after the loss gets every task that is not done, once.
    fn nothing_is_lost(ledger: &Ledger) -> Result<(), String> {
        // It registers first, in a place that was another owner's.
        let owner = ledger.register(&Owner::this_process()).map_err(|e| e.to_string())?;
        let mut watch = Watch::new(Duration::MAX, |_| None);
        ledger.reap(&mut watch).map_err(|e| e.to_string())?;
        let mut open = BTreeSet::new();
        for place in 0..TASKS {
            match ledger.task(place).map_err(|e| e.to_string())?.state {
                TaskState::Running => return Err(format!("nobody works on task {place}, and it does not come back")),
                TaskState::Waiting => _ = open.insert(place),
                TaskState::Done | TaskState::Failed => {}
            }
        }
        let mut got = BTreeSet::new();
        loop {
            let claims = claim(ledger, owner, 4);
            if claims.is_empty() {
                break;
            }
            for claim in claims {
                if !got.insert(claim.place) {
                    return Err(format!("task {} was claimed twice", claim.place));
                }
            }
        }
        if got == open { Ok(()) } else { Err(format!("{open:?} wait, {got:?} could be claimed")) }
    }
}

/// What workers do, and what people do to them.
fn work() -> Vec<Scene> {
    let (a, b) = (dead_owner(), dead_owner());
    let [first, second] = [&a, &b].map(|owner| move |ledger: &Ledger| ledger.register(owner).expect("registers"));
    let beginning: Vec<Step<'_>> = vec![
        step(|ledger| _ = first(ledger)),
        step(|ledger| _ = claim(ledger, first(ledger), 5)),
        step(|ledger| end(ledger, &latest(ledger, 0..2).expect("are there"), End::Done)),
        synced(|ledger| end(ledger, &latest(ledger, 2..3).expect("are there"), End::Failed(Reason::Exit(1)))),
        step(|ledger| _ = claim(ledger, second(ledger), 3)),
        step(|ledger| ledger.note_empty(&latest(ledger, 2..3).expect("are there")[0]).expect("holds")),
    ];
    let people: Vec<Step<'_>> = vec![
        step(|ledger| _ = claim(ledger, first(ledger), 10)),
        synced(|ledger| end(ledger, &latest(ledger, 0..8).expect("are there"), End::Done)),
        step(|ledger| _ = ledger.requeue(&[1, 4], |_| true).expect("requeues")),
        step(|ledger| _ = ledger.cancel(&[9, 15]).expect("cancels")),
        step(|ledger| _ = claim(ledger, second(ledger), 2)),
        synced(|ledger| end(ledger, &latest(ledger, 1..2).expect("are there"), End::Released)),
    ];
    let deaths: Vec<Step<'_>> = vec![
        step(|ledger| _ = claim(ledger, first(ledger), 4)),
        synced(|ledger| _ = claim(ledger, second(ledger), 9)),
        step(|ledger| ledger.beat(first(ledger)).expect("beats")),
        step(|ledger| _ = ledger.reap(&mut Watch::new(Duration::MAX, |_| None)).expect("reaps")),
        step(|ledger| _ = claim(ledger, first(ledger), 2)),
        step(|ledger| end(ledger, &latest(ledger, 0..2).expect("are there"), End::Done)),
        step(|ledger| ledger.leave(first(ledger)).expect("leaves")),
    ];
    [beginning, people, deaths].map(|steps| Scene::of(&steps)).into()
}

#[test]
fn no_task_is_lost() {
    counted("ledger", work().iter().map(|scene| scene.crashed().holds()).sum());
}

#[test]
fn the_ledger_before_a_sync_is_acknowledged() {
    let scene = &work()[0];
    let without =
        Scene { recording: scene.recording.without(Barrier::Sync("a.ledger", 0)), versions: scene.versions.clone() };
    without.crashed().must_be_wrong("the ledger's sync");
}

/// A ledger is made in an empty folder.
fn made() -> Recording {
    let scratch = Scratch::in_memory();
    let path = scratch.path("a.ledger");
    let memory = Memory::taken_from(path.parent().expect("folder"));
    memory.record();
    tasks(TASKS).create_in(&path, &memory).expect("makes");
    memory.acknowledge(1);
    memory.recorded()
}

fn creations(recording: &Recording) -> Visited {
    let versions: Versions = {
        let scratch = Scratch::in_memory();
        tasks(TASKS).create(scratch.path("a.ledger")).expect("makes");
        let ledger = Ledger::open(scratch.path("a.ledger")).expect("opens");
        (0..TASKS).map(|place| vec![(0, ledger.task(place).expect("reads"))]).collect()
    };
    let check = |bench: &mut Bench, state: &State<'_>| {
        if state.has(Path::new("a.ledger")) {
            return bench.check(state, &versions);
        }
        if state.acknowledged() > 0 { Err("an acknowledged ledger is not there".to_owned()) } else { Ok(()) }
    };
    visit(recording, Sampling::of(SAMPLED), Bench::new, check)
}

#[test]
fn a_new_ledger_is_there_as_a_whole_or_not_at_all() {
    counted("new ledger", creations(&made()).holds());
}

#[test]
fn the_new_ledger_before_it_takes_its_name() {
    creations(&made().without(Barrier::Sync("a.ledger", 0))).must_be_wrong("the sync of the new ledger");
}

#[test]
fn the_name_of_the_new_ledger_before_the_acknowledgement() {
    creations(&made().without(Barrier::Folder("", 0))).must_be_wrong("the sync of its folder");
}

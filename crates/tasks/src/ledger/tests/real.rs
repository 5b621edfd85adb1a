//! Tests a real ledger through two handles, against the model.

use super::model::{Model, Slot};
use crate::ledger::{
    Claim, ClaimOptions, Claimed, End, Ledger, NameList, NewLedger, Owner, OwnerId, Reason, TaskState, Watch,
};
use h5part_base::error::ErrorKind;
use proptest::prelude::*;
use std::cell::Cell;
use std::time::Duration;
use tempfile::TempDir;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

fn now() -> u64 {
    NOW.get()
}

fn pass(ms: u64) {
    NOW.set(now() + ms);
}

#[derive(Clone, Debug)]
enum Act {
    Register {
        elsewhere: bool,
    },
    Claim {
        owner: usize,
        count: u64,
        delay: u64,
    },
    /// One of the claims made so far, however long ago.
    End {
        claim: usize,
        end: End,
    },
    EndAll {
        end: End,
        from: usize,
    },
    Empty {
        claim: usize,
    },
    Beat {
        owner: usize,
    },
    GiveUp {
        owner: usize,
    },
    Leave {
        owner: usize,
    },
    /// Owners of other hosts send no heartbeat for too long.
    Reap {
        silent: bool,
    },
    Requeue {
        places: Vec<usize>,
        failed: bool,
    },
    Cancel {
        place: usize,
    },
    Pass {
        ms: u64,
    },
}

fn acts() -> impl Strategy<Value = Act> {
    let end = || {
        prop_oneof![
            3 => Just(End::Done),
            2 => any::<u8>().prop_map(|code| End::Failed(Reason::Exit(code))),
            1 => Just(End::Released)
        ]
    };
    prop_oneof![
        1 => any::<bool>().prop_map(|elsewhere| Act::Register { elsewhere }),
        6 => (0usize..64, 1u64..9, 0u64..12).prop_map(|(owner, count, delay)| Act::Claim { owner, count, delay }),
        8 => (0usize..512, end()).prop_map(|(claim, end)| Act::End { claim, end }),
        2 => (end(), 0usize..12).prop_map(|(end, from)| Act::EndAll { end, from }),
        2 => (0usize..512).prop_map(|claim| Act::Empty { claim }),
        1 => (0usize..64).prop_map(|owner| Act::Beat { owner }),
        1 => (0usize..64).prop_map(|owner| Act::GiveUp { owner }),
        1 => (0usize..64).prop_map(|owner| Act::Leave { owner }),
        2 => any::<bool>().prop_map(|silent| Act::Reap { silent }),
        1 => (prop::collection::vec(0usize..64, 1..4), any::<bool>())
            .prop_map(|(places, failed)| Act::Requeue { places, failed }),
        1 => (0usize..64).prop_map(|place| Act::Cancel { place }),
        2 => (0u64..20).prop_map(|ms| Act::Pass { ms }),
    ]
}

/// Tasks with names or rows, with or without weights.
#[derive(Clone, Debug)]
struct Kind {
    tasks: usize,
    named: bool,
    weights: Option<Vec<u8>>,
    chunk: u64,
    block: u64,
    max_attempts: u16,
}

fn kinds() -> impl Strategy<Value = Kind> {
    let few =
        (1usize..64, any::<bool>(), prop::option::of(prop::collection::vec(0u8..4, 64)), 1u64..5, 1u64..9, 1u16..4);
    few.prop_map(|(tasks, named, weights, block, chunk, max_attempts)| Kind {
        tasks,
        named,
        weights: weights.map(|mut weights| {
            weights.truncate(tasks);
            weights
        }),
        chunk: block * chunk,
        block,
        max_attempts,
    })
}

struct Rig {
    _folder: TempDir,
    handles: [Ledger; 2],
    model: Model,
    owners: Vec<(OwnerId, bool, bool)>,
    claims: Vec<Claim>,
    watch: Watch,
}

fn elsewhere(mut owner: Owner) -> Owner {
    owner.process.host = "another-host".to_owned();
    owner
}

impl Rig {
    fn new(kind: &Kind) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.ledger");
        let name = |k: usize| format!("task {k}\u{e9}\n{}", "x".repeat(k % 7));
        let rows = kind.tasks as u64 * kind.block - (kind.block - 1);
        let spec = |k: usize| {
            let start = k as u64 * kind.block;
            let end = (start + kind.block).min(rows);
            if end == start + 1 { start.to_string() } else { format!("{start}:{end}") }
        };
        let weights: Option<Vec<f64>> = kind.weights.as_ref().map(|w| w.iter().map(|&w| f64::from(w)).collect());
        let mut new = if kind.named {
            let names: Vec<String> = (0..kind.tasks).map(name).collect();
            NewLedger::of_names(NameList::try_from(names.as_slice()).expect("names"))
        } else {
            NewLedger { chunk_rows: kind.chunk, ..NewLedger::of_rows(rows, kind.block) }
        };
        (new.weights, new.max_attempts) = (weights.clone(), kind.max_attempts);
        new.create(&path).expect("makes");
        let aligned = !kind.named && weights.is_none();
        let names = (0..kind.tasks).map(|k| if kind.named { name(k) } else { spec(k) }).collect();
        let align = if aligned { kind.chunk / kind.block } else { 1 };
        let handle = || Ledger::open(&path).expect("opens").with_clock(now);
        Self {
            handles: [handle(), handle()],
            _folder: folder,
            model: Model::new(names, weights.as_deref(), align, kind.max_attempts),
            owners: Vec::new(),
            claims: Vec::new(),
            watch: Watch::new(Duration::MAX, |_| None),
        }
    }

    fn register(&mut self, ledger: usize, away: bool) {
        let owner = Owner::this_process();
        let id = self.handles[ledger].register(&if away { elsewhere(owner) } else { owner }).expect("registers");
        assert!(!self.owners.iter().any(|(other, ..)| *other == id), "given twice: {id:?}");
        self.owners.push((id, away, false));
        self.model.owners.push(true);
    }

    fn act(&mut self, ledger: usize, act: &Act) {
        let now = now();
        match act {
            Act::Register { elsewhere } => self.register(ledger, *elsewhere),
            Act::Claim { owner, count, delay } => self.claim(ledger, owner % self.owners.len(), *count, *delay),
            Act::End { claim, end } if !self.claims.is_empty() => {
                let claim = self.claims[claim % self.claims.len()].clone();
                let told = self.handles[ledger].finish(&claim, *end);
                let expected = self.ended(&claim, *end);
                assert_eq!(told.map_err(|e| assert!(is_fenced(&e))).ok(), expected);
            }
            Act::EndAll { end, from } => {
                let claims: Vec<Claim> = self.claims.iter().rev().skip(*from).take(5).rev().cloned().collect();
                let told = self.handles[ledger].finish_all(&claims, *end).expect("tells");
                for (claim, told) in claims.iter().zip(told) {
                    assert_eq!(told.map_err(|e| assert!(is_fenced(&e))).ok(), self.ended(claim, *end));
                }
            }
            Act::Empty { claim } if !self.claims.is_empty() => {
                let claim = self.claims[claim % self.claims.len()].clone();
                let noted = self.handles[ledger].note_empty(&claim);
                let held = self.model.held(claim.place as usize, claim.fence);
                assert_eq!(noted.is_ok(), held.is_some());
                if let Some(slot) = held {
                    slot.empty = true;
                }
            }
            Act::End { .. } | Act::Empty { .. } => {}
            Act::Beat { owner } => {
                let owner = owner % self.owners.len();
                let beaten = self.handles[ledger].beat(self.owners[owner].0);
                assert_eq!(beaten.map_err(|e| assert!(is_fenced(&e))).is_ok(), self.model.owners[owner]);
            }
            Act::GiveUp { owner } => {
                let owner = owner % self.owners.len();
                self.handles[ledger].give_up(self.owners[owner].0).expect("gives up");
                self.owners[owner].2 |= self.model.owners[owner];
                self.model.owners[owner] = false;
            }
            Act::Leave { owner } => self.leave(ledger, owner % self.owners.len()),
            Act::Reap { silent } => self.reap(ledger, *silent),
            Act::Requeue { places, failed } => self.requeue(ledger, places, *failed),
            Act::Cancel { place } => {
                let place = place % self.model.slots.len();
                let changed = self.handles[ledger].cancel(&[place as u64]).expect("cancels").changed;
                let slot = &mut self.model.slots[place];
                let open = [TaskState::Waiting, TaskState::Running].contains(&slot.state);
                assert_eq!(changed == 1, open);
                if open {
                    (slot.state, slot.reason) = (TaskState::Failed, Reason::Cancelled);
                    (slot.empty, slot.since) = (false, now);
                }
            }
            Act::Pass { ms } => pass(*ms),
        }
    }

    fn claim(&mut self, ledger: usize, owner: usize, count: u64, delay: u64) {
        let terms = ClaimOptions { count, delay: Duration::from_millis(delay) };
        let claimed = self.handles[ledger].claim(self.owners[owner].0, &terms);
        if !self.model.owners[owner] {
            assert!(is_fenced(&claimed.expect_err("was given up")));
            return;
        }
        let taken = self.model.claim(owner, count, delay, now());
        match claimed.expect("claims") {
            Claimed::Tasks(claims) => {
                let seen: Vec<_> =
                    claims.iter().map(|c| (c.place as usize, c.name.clone(), c.index, c.fence)).collect();
                let of = |place: &usize| {
                    let Slot { name, index, fence, .. } = self.model.slots[*place].clone();
                    (*place, name, index, fence)
                };
                assert_eq!(seen, taken.iter().map(of).collect::<Vec<_>>());
                self.claims.extend(claims);
            }
            Claimed::Nothing { resting, running } => {
                assert!(taken.is_empty());
                assert_eq!(
                    (resting, running),
                    (self.model.count(TaskState::Waiting), self.model.count(TaskState::Running))
                );
            }
        }
    }

    fn ended(&mut self, claim: &Claim, end: End) -> Option<TaskState> {
        let (place, now) = (claim.place as usize, now());
        let slot = self.model.held(place, claim.fence)?;
        match end {
            End::Done => (slot.state, slot.reason, slot.since) = (TaskState::Done, Reason::None, now),
            End::Released => (slot.state, slot.since, slot.empty) = (TaskState::Waiting, now, false),
            End::Failed(reason) => self.model.fail(place, reason, now),
        }
        Some(self.model.slots[place].state)
    }

    /// Only an owner without tasks may leave.
    fn leave(&mut self, ledger: usize, owner: usize) {
        let holds = |slot: &Slot| slot.state == TaskState::Running && slot.owner == Some(owner);
        if !self.model.slots.iter().any(holds) {
            self.handles[ledger].leave(self.owners[owner].0).expect("leaves");
            self.model.owners[owner] = false;
            self.owners[owner].2 = false;
        }
    }

    fn reap(&mut self, ledger: usize, silent: bool) {
        let owners = self.owners.clone();
        let mut at_once = Watch::new(Duration::ZERO, |_| None);
        let watch = if silent { &mut at_once } else { &mut self.watch };
        let lapsed = self.handles[ledger].reap(watch).expect("reaps");
        let working = self.model.owners.clone();
        let dead = |owner: usize| match owners[owner] {
            (.., true) => Some(Reason::OwnerDied),
            (_, true, false) if silent && working[owner] => Some(Reason::OwnerSilent),
            _ => None,
        };
        let expected = self.model.lapse(dead, now());
        assert_eq!(lapsed.iter().map(|l| l.claim.place as usize).collect::<Vec<_>>(), expected);
        for lapsed in lapsed {
            let slot = &self.model.slots[lapsed.claim.place as usize];
            assert_eq!((lapsed.reason, lapsed.state), (slot.reason, slot.state));
        }
        self.owners.iter_mut().for_each(|owner| owner.2 = false);
    }

    fn requeue(&mut self, ledger: usize, places: &[usize], failed: bool) {
        let places: Vec<u64> = places.iter().map(|place| (place % self.model.slots.len()) as u64).collect();
        let which = |state: TaskState| !failed || state == TaskState::Failed;
        let changed = self.handles[ledger].requeue(&places, |task| which(task.state)).expect("requeues").changed;
        let mut expected = 0;
        for place in places {
            let slot = &mut self.model.slots[place as usize];
            if which(slot.state) && slot.state != TaskState::Waiting {
                (slot.state, slot.attempts, slot.reason) = (TaskState::Waiting, 0, Reason::None);
                (slot.empty, slot.since) = (false, now());
                expected += 1;
            }
        }
        assert_eq!(changed, expected);
    }

    /// Compares every slot, and all counts, as the other handle sees them.
    fn check(&self, ledger: usize) {
        let ledger = &self.handles[ledger];
        ledger
            .each(|place, task| {
                let (task, slot) = (task.expect("whole"), &self.model.slots[place as usize]);
                let seen = (task.state, task.attempts, task.fence, task.reason, task.rows_were_empty, task.since_ms);
                let expected = (slot.state, slot.attempts, slot.fence, slot.reason, slot.empty, slot.since);
                assert_eq!(seen, expected, "place {place}");
                assert_eq!(task.owner, slot.owner.map_or(OwnerId::default(), |owner| self.owners[owner].0));
                Ok(())
            })
            .expect("reads");
        let tally = ledger.tally().expect("counts");
        let count = |state| self.model.count(state);
        let expected =
            [count(TaskState::Waiting), count(TaskState::Running), count(TaskState::Done), count(TaskState::Failed)];
        assert_eq!([tally.waiting, tally.running, tally.done, tally.failed], expected);
        assert_eq!((tally.total, tally.damaged), (self.model.slots.len() as u64, 0));
    }

    fn check_names(&self) {
        for (place, slot) in self.model.slots.iter().enumerate() {
            assert_eq!(self.handles[0].find(&slot.name).expect("finds"), place as u64);
        }
        for other in ["", "x", "task 1", "0:0", "7:3", "1:99999999999999999999", "-1", "18446744073709551615"] {
            let found = self.handles[0].find(other).ok();
            assert_eq!(found, self.model.find(other), "{other}");
        }
    }
}

pub(super) fn is_fenced(error: &h5part_base::error::Error) -> bool {
    matches!(error.kind(), ErrorKind::Fenced { .. })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 200 }, ..ProptestConfig::default() })]

    #[test]
    #[cfg_attr(miri, ignore = "locks files")]
    fn a_ledger_does_what_the_model_does(kind in kinds(), acts in prop::collection::vec((0usize..2, acts()), 1..120)) {
        NOW.set(1_000_000);
        let mut rig = Rig::new(&kind);
        rig.register(0, false);
        rig.register(1, true);
        for (ledger, act) in &acts {
            rig.act(*ledger, act);
            rig.check(1 - ledger);
        }
        rig.check_names();
    }
}

/// More tasks than a sector of hints has bits, and than the upper level's sector covers.
#[test]
#[cfg_attr(miri, ignore = "locks files")]
fn claims_go_on_over_sectors_of_hints() {
    const BITS: u64 = 4096;
    for tasks in [BITS - 1, BITS, BITS + 1, 3 * BITS + 17] {
        let kind = Kind { tasks: tasks as usize, named: false, weights: None, chunk: 64, block: 1, max_attempts: 3 };
        NOW.set(1_000_000);
        let mut rig = Rig::new(&kind);
        rig.register(0, false);
        for turn in 0u64.. {
            let before = rig.claims.len();
            rig.claim((turn % 2) as usize, 0, 500, 0);
            let made = rig.claims.split_off(before);
            if made.is_empty() {
                break;
            }
            // Some are requeued.
            let end = if turn % 5 == 0 { End::Released } else { End::Done };
            for (claim, told) in made.iter().zip(rig.handles[0].finish_all(&made, end).expect("tells")) {
                assert_eq!(told.ok(), rig.ended(claim, end));
            }
            assert!(turn < 1000);
            // Otherwise they would come first again, for ever.
            if end == End::Released {
                rig.claim(1, 0, 500, 0);
                let made = std::mem::take(&mut rig.claims);
                for (claim, told) in made.iter().zip(rig.handles[1].finish_all(&made, End::Done).expect("tells")) {
                    assert_eq!(told.ok(), rig.ended(claim, End::Done));
                }
            }
        }
        rig.check(0);
        assert_eq!(rig.model.count(TaskState::Done), tasks);
    }
}

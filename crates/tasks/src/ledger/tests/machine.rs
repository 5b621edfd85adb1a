//! Checks one task's transitions against its history: each time, the state is derived again from everything that was
//! done.

use crate::ledger::{NameAt, OwnerId, Reason, Refusal, Task, TaskState};
use proptest::prelude::*;

const MAX_ATTEMPTS: u16 = 3;
const DELAY_MS: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Claim {
        owner: u32,
        delay: bool,
    },
    /// With the fence of this claim, counted from 1: any claim ever made, or none.
    Done(u64),
    Fail(u64, Reason),
    Release(u64),
    FoundEmpty(u64),
    Requeue,
    Settle,
    Cancel,
}

/// Every act that was not refused, with its time.
#[derive(Debug, Default)]
struct History(Vec<(Act, u64)>);

impl History {
    fn claims(&self) -> u64 {
        self.0.iter().filter(|(act, _)| matches!(act, Act::Claim { .. })).count() as u64
    }

    fn last(&self, is: impl Fn(&Act) -> bool) -> Option<(Act, u64)> {
        self.0.iter().rev().find(|(act, _)| is(act)).copied()
    }

    /// The last act that changed the state.
    fn turn(&self) -> Option<(Act, u64)> {
        self.last(|act| !matches!(act, Act::FoundEmpty(_)))
    }

    fn attempts(&self) -> u16 {
        let since = self.0.iter().rposition(|(act, _)| matches!(act, Act::Requeue)).unwrap_or(0);
        self.0[since..].iter().filter(|(act, _)| matches!(act, Act::Fail(..))).count() as u16
    }

    fn state(&self) -> TaskState {
        match self.turn().map(|(act, _)| act) {
            Some(Act::Claim { .. }) => TaskState::Running,
            Some(Act::Done(_) | Act::Settle) => TaskState::Done,
            Some(Act::Cancel) => TaskState::Failed,
            Some(Act::Fail(..)) if self.attempts() >= MAX_ATTEMPTS => TaskState::Failed,
            _ => TaskState::Waiting,
        }
    }

    fn reason(&self) -> Reason {
        let telling = |act: &Act| !matches!(act, Act::FoundEmpty(_) | Act::Claim { .. } | Act::Release(_));
        match self.last(telling) {
            Some((Act::Fail(_, reason), _)) => reason,
            Some((Act::Cancel, _)) => Reason::Cancelled,
            _ => Reason::None,
        }
    }

    /// Whether its rows were empty when it was claimed, and its owner has reported nothing since.
    fn rows_were_empty(&self) -> bool {
        let spoken = |act: &Act| match act {
            Act::Done(_) | Act::Settle => false,
            Act::Fail(_, reason) => !matches!(reason, Reason::OwnerDied | Reason::OwnerSilent),
            _ => true,
        };
        matches!(self.last(spoken), Some((Act::FoundEmpty(_), _)))
    }

    /// Whether an act is allowed.
    fn allows(&self, act: Act, now: u64) -> Result<(), Refusal> {
        let held = |fence| self.state() == TaskState::Running && fence == self.claims();
        let yours = |fence| if held(fence) { Ok(()) } else { Err(Refusal::NotYours) };
        match act {
            Act::Claim { .. } if self.state() != TaskState::Waiting => Err(Refusal::NotWaiting),
            Act::Claim { delay: true, .. } => {
                let since = self.turn().map_or(0, |(_, at)| at);
                let rests = self.attempts() > 0 && (since..since + DELAY_MS).contains(&now);
                if rests { Err(Refusal::TooEarly) } else { Ok(()) }
            }
            Act::Claim { .. } | Act::Requeue | Act::Settle => Ok(()),
            Act::Done(fence) | Act::Fail(fence, _) | Act::Release(fence) | Act::FoundEmpty(fence) => yours(fence),
            Act::Cancel if matches!(self.state(), TaskState::Waiting | TaskState::Running) => Ok(()),
            Act::Cancel => Err(Refusal::NotYours),
        }
    }
}

fn act(task: &Task, act: Act, now: u64) -> Result<Task, Refusal> {
    let owner = |place| OwnerId { place, generation: place * 7 };
    match act {
        Act::Claim { owner: place, delay } => task.claim(owner(place), if delay { DELAY_MS } else { 0 }, now),
        Act::Done(fence) => task.done(fence, now),
        Act::Fail(fence, reason) => task.fail(fence, reason, MAX_ATTEMPTS, now),
        Act::Release(fence) => task.release(fence, now),
        Act::FoundEmpty(fence) => task.found_empty(fence),
        Act::Requeue => Ok(task.requeue(now)),
        Act::Settle => Ok(task.settle(now)),
        Act::Cancel => task.cancel(now).ok_or(Refusal::NotYours),
    }
}

fn acts() -> impl Strategy<Value = (Act, u8)> {
    let reason = prop_oneof![
        Just(Reason::OwnerDied),
        Just(Reason::OwnerSilent),
        any::<u8>().prop_map(Reason::Exit),
        Just(Reason::None)
    ];
    // How many claims before the latest one.
    let late = prop_oneof![4 => Just(0u64), 1 => 1u64..3];
    let act = prop_oneof![
        5 => (0u32..4, any::<bool>()).prop_map(|(owner, delay)| Act::Claim { owner, delay }),
        2 => late.clone().prop_map(Act::Done),
        4 => (late.clone(), reason).prop_map(|(late, reason)| Act::Fail(late, reason)),
        1 => late.clone().prop_map(Act::Release),
        3 => late.prop_map(Act::FoundEmpty),
        1 => Just(Act::Requeue),
        1 => Just(Act::Settle),
        1 => Just(Act::Cancel),
    ];
    (act, 0u8..20)
}

proptest! {
    #[test]
    fn what_is_so_follows_from_what_was_done(acts in prop::collection::vec(acts(), 1..if cfg!(miri) { 6 } else { 60 })) {
        let mut history = History::default();
        let mut task = Task::new(7, NameAt { at: 1, len: 2, sum: 3 }, 1.5);
        let mut now = 1_000;
        for (wish, pass) in acts {
            now += u64::from(pass);
            let fence = |late: u64| history.claims().saturating_sub(late);
            let wish = match wish {
                Act::Done(late) => Act::Done(fence(late)),
                Act::Fail(late, reason) => Act::Fail(fence(late), reason),
                Act::Release(late) => Act::Release(fence(late)),
                Act::FoundEmpty(late) => Act::FoundEmpty(fence(late)),
                other => other,
            };
            let outcome = act(&task, wish, now);
            prop_assert_eq!(outcome.map(|_| ()), history.allows(wish, now), "{:?} after {:?}", wish, history);
            let Ok(next) = outcome else { continue };
            // Only tasks that nobody holds may be settled. The pure function leaves that check to its caller.
            if wish == Act::Settle && task.state == TaskState::Running {
                continue;
            }
            history.0.push((wish, now));
            task = next;
            prop_assert_eq!(Task::decode(&task.encode()), Some(task));
            let seen = (task.state, task.attempts, task.fence, task.reason, task.rows_were_empty);
            let expected = (history.state(), history.attempts(), history.claims(), history.reason(), history.rows_were_empty());
            prop_assert_eq!(seen, expected, "{:?}", history);
            prop_assert_eq!(task.since_ms, history.turn().map_or(0, |(_, at)| at));
            prop_assert_eq!((task.index, task.name, task.weight), (7, NameAt { at: 1, len: 2, sum: 3 }, 1.5));
        }
    }
}

#[test]
fn a_clock_that_was_set_back_makes_no_rest_longer() {
    let task = Task::new(0, NameAt::default(), 0.0).claim(OwnerId::default(), 0, 5_000).expect("waits");
    let failed = task.fail(1, Reason::Exit(1), 3, 5_000).expect("holds");
    assert_eq!(failed.claim(OwnerId::default(), 100, 5_099), Err(Refusal::TooEarly));
    assert!(failed.claim(OwnerId::default(), 100, 5_100).is_ok());
    assert!(failed.claim(OwnerId::default(), 100, 0).is_ok());
    assert!(failed.claim(OwnerId::default(), u64::MAX, u64::MAX).is_err());
}

#[test]
fn after_the_last_fence_there_is_none() {
    let task = Task { fence: u64::MAX, ..Task::new(0, NameAt::default(), 0.0) };
    assert_eq!(task.claim(OwnerId::default(), 0, 1), Err(Refusal::NotWaiting));
}

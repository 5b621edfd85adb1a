//! Tests runs in pools of this process, through the public interface.

use super::{
    Context, Death, Event, EventKind, Job, Options, Payload, Pool, PoolConfig, PoolSummary, Registry, RunId, Serial,
    Starmap, TaskError, Threads, What, Work, open_with, resolve, task_seed,
};
use crate::budget::{Cpu, Machine};
use crate::pool::Mode;
use h5part_base::error::{ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Yields as many numbers as its input says. The first one is its seed.
struct Count;

impl Work for Count {
    const NAME: &'static str = "count";
    type Input = u64;
    type Output = u64;

    fn run(&self, parts: u64, context: &mut Context<'_, u64>) -> Result<(), TaskError> {
        let seed = context.seed();
        (0..parts).try_for_each(|part| context.yield_partial(&seed.wrapping_add(part)))
    }
}

/// Fails in the way that its input says.
struct Fail;

impl Work for Fail {
    const NAME: &'static str = "fail";
    type Input = (String, u32);
    type Output = u32;

    fn run(&self, (how, until): (String, u32), context: &mut Context<'_, u32>) -> Result<(), TaskError> {
        context.yield_partial(&7)?;
        if context.attempt() < until {
            match how.as_str() {
                "panic" => panic!("on purpose"),
                "transient" => return Err(TaskError::Transient("busy".to_owned())),
                _ => Err(std::io::Error::other("broken"))?,
            }
        }
        context.yield_partial(&8)
    }
}

/// Waits until it is told to stop.
struct Wait(Arc<AtomicU64>);

impl Work for Wait {
    const NAME: &'static str = "wait";
    type Input = ();
    type Output = ();

    fn run(&self, (): (), context: &mut Context<'_, ()>) -> Result<(), TaskError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        while !context.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(TaskError::Cancelled)
    }
}

/// Sums the results of tasks in its inner pool.
struct Nest;

impl Work for Nest {
    const NAME: &'static str = "nest";
    type Input = u64;
    type Output = u64;

    fn run(&self, tasks: u64, context: &mut Context<'_, u64>) -> Result<(), TaskError> {
        let pool = context.inner_pool()?;
        let mut run = Starmap::<Count>::new(&pool, Options::seeded(context.seed()))?;
        run.submit_many((0..tasks).map(|_| 3))?;
        let sum = run.by_ref().filter_map(super::Outcome::value).fold(0, u64::wrapping_add);
        assert!(run.shut_down().is_complete());
        context.yield_partial(&sum)
    }
}

fn registry() -> Registry {
    Registry::new().with(Count).with(Fail).with(Nest).with(Wait(Arc::default()))
}

fn one() -> PoolConfig {
    PoolConfig::new(Mode::Serial, 1)
}

fn threads(registry: &Registry, workers: usize, parts: usize) -> Arc<dyn Pool> {
    Arc::new(Threads::new(registry, workers, parts, vec![], one(), super::open::open_resolved).expect("threads"))
}

fn pools() -> Vec<Arc<dyn Pool>> {
    let registry = registry();
    let serial: Arc<dyn Pool> = Arc::new(Serial::new(&registry, one(), super::open::open_resolved));
    vec![serial, threads(&registry, 1, 1), threads(&registry, 3, 2), threads(&registry, 8, 64)]
}

/// Values by task and part, and how the run went.
type Found = (BTreeMap<(u64, u64), u64>, PoolSummary);

fn run_of<W: Work<Output = u64>>(pool: &Arc<dyn Pool>, inputs: Vec<W::Input>) -> Found {
    let mut run = Starmap::<W>::new(pool, Options::seeded(5)).expect("run");
    run.submit_many(inputs).expect("submits");
    let mut found = BTreeMap::new();
    for outcome in run.by_ref() {
        assert_eq!(outcome.seed, task_seed(5, outcome.index));
        if let What::Part { part, value } = outcome.what {
            assert_eq!(found.insert((outcome.index, part), value), None, "given twice");
        }
    }
    (found, run.shut_down())
}

#[test]
#[cfg_attr(miri, ignore = "many threads")]
fn every_pool_gives_the_same_values() {
    let inputs = || (0..200).map(|n| n % 5).collect::<Vec<u64>>();
    let expected: BTreeMap<(u64, u64), u64> = inputs()
        .into_iter()
        .zip(0..)
        .flat_map(|(parts, index)| (0..parts).map(move |part| ((index, part), task_seed(5, index).wrapping_add(part))))
        .collect();
    let mut nested = Vec::new();
    for pool in pools() {
        let (found, summary) = run_of::<Count>(&pool, inputs());
        assert_eq!(found, expected, "{pool:?}");
        assert!(summary.is_complete() && summary.done == 200, "{summary}");
        // The same pool again, with nested tasks.
        nested.push(run_of::<Nest>(&pool, vec![4; 10]).0);
    }
    assert!(nested.iter().all(|found| *found == nested[0] && found.len() == 10));
}

#[test]
#[cfg_attr(miri, ignore = "many threads")]
fn a_task_that_fails_ends_once_and_is_tried_again_where_that_may_help() {
    for pool in pools() {
        let mut run = Starmap::<Fail>::new(&pool, Options { seed: 1, max_attempts: 3 }).expect("run");
        let told = [("panic", 1), ("transient", 2), ("transient", 3), ("error", 1), ("none", 0), ("panic", 9)];
        run.submit_many(told.map(|(how, until)| (how.to_owned(), until))).expect("submits");
        let (mut ends, mut values) = (BTreeMap::new(), BTreeMap::<u64, Vec<u32>>::new());
        for outcome in run.by_ref() {
            match outcome.what {
                What::Part { value, .. } => values.entry(outcome.index).or_default().push(value),
                What::Done { .. } => assert_eq!(ends.insert(outcome.index, (outcome.attempt, String::new())), None),
                What::Failed(why) => assert_eq!(ends.insert(outcome.index, (outcome.attempt, why.to_string())), None),
                What::Lost(death) => panic!("{death}"),
            }
        }
        let expected = [(1, ""), (2, ""), (2, "busy"), (0, "broken"), (0, ""), (2, "panicked: on purpose")];
        assert_eq!(ends.into_values().collect::<Vec<_>>(), expected.map(|(n, why)| (n, why.to_owned())), "{pool:?}");
        // The first part was delivered once, whatever the number of attempts.
        let all = [vec![7, 8], vec![7, 8], vec![7], vec![7], vec![7, 8], vec![7]];
        assert_eq!(values.into_values().collect::<Vec<_>>(), all, "{pool:?}");
        let summary = run.shut_down();
        assert_eq!((summary.submitted, summary.done, summary.failed.len(), summary.retried), (6, 3, 3, 7));
        assert!(!summary.is_complete() && summary.to_string().contains("task 5 failed after 3 attempts"));
    }
}

#[test]
#[cfg_attr(miri, ignore = "many threads")]
fn results_wait_for_room_and_two_runs_of_one_thread_do_not_wait_for_each_other() {
    /// Counts what was yielded.
    struct Yield(Arc<AtomicU64>);
    impl Work for Yield {
        const NAME: &'static str = "yield";
        type Input = ();
        type Output = ();
        fn run(&self, (): (), context: &mut Context<'_, ()>) -> Result<(), TaskError> {
            (0..100).try_for_each(|_| {
                context.yield_partial(&())?;
                self.0.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        }
    }
    let yielded = Arc::new(AtomicU64::new(0));
    let pool = threads(&registry().with(Yield(Arc::clone(&yielded))), 2, 5);
    let mut first = Starmap::<Yield>::new(&pool, Options::seeded(1)).expect("run");
    first.submit_many([(); 4]).expect("submits");
    let mut taken = 0;
    while taken < 100 {
        taken += u64::from(first.next().is_some_and(|outcome| !outcome.is_end()));
        let most = taken + 5 + 2;
        assert!(yielded.load(Ordering::SeqCst) <= most, "{yielded:?} yielded, {taken} taken");
    }
    // Both workers wait until someone takes results of the first run. The second run ends nevertheless.
    let (found, summary) = run_of::<Count>(&pool, vec![50; 20]);
    assert!(found.len() == 1000 && summary.is_complete());
    assert_eq!(first.by_ref().filter(|outcome| !outcome.is_end()).count(), 300);
    assert_eq!(first.shut_down().done, 4);
}

#[test]
#[cfg_attr(miri, ignore = "many threads")]
fn cancelling_a_run_ends_its_tasks_and_no_others() {
    let started = Arc::new(AtomicU64::new(0));
    let pool = threads(&registry().with(Wait(Arc::clone(&started))), 2, 4);
    let mut endless = Starmap::<Wait>::new(&pool, Options::seeded(1)).expect("run");
    endless.submit_many([(); 50]).expect("submits");
    let mut other = Starmap::<Count>::new(&pool, Options::seeded(2)).expect("run");
    other.submit_many(vec![2; 30]).expect("submits");
    while started.load(Ordering::Relaxed) < 2 {
        std::thread::yield_now();
    }
    endless.cancel();
    assert!(endless.next().is_none() && endless.submit(&()).is_err());
    assert_eq!(other.by_ref().filter(super::Outcome::is_end).count(), 30);
    let summary = endless.shut_down();
    assert_eq!((summary.submitted, summary.done, summary.cancelled), (50, 0, 50));
    assert!(started.load(Ordering::Relaxed) <= 3, "waiting tasks of the run began after all");
    // A run that is dropped while it works leaves the pool to others.
    let mut dropped = Starmap::<Wait>::new(&pool, Options::seeded(1)).expect("run");
    dropped.submit_many([(); 5]).expect("submits");
    drop(dropped);
    assert!(run_of::<Count>(&pool, vec![1; 10]).1.is_complete());
}

#[test]
#[cfg_attr(miri, ignore = "many threads")]
fn a_pool_that_is_shut_down_tells_what_was_lost() {
    let started = Arc::new(AtomicU64::new(0));
    let pool = threads(&registry().with(Wait(Arc::clone(&started))), 2, 4);
    let mut run = Starmap::<Wait>::new(&pool, Options::seeded(1)).expect("run");
    run.submit_many([(); 6]).expect("submits");
    while started.load(Ordering::Relaxed) < 2 {
        std::thread::yield_now();
    }
    pool.shut_down();
    assert_eq!(run.by_ref().count(), 6);
    let error = run.submit(&()).expect_err("closed");
    assert!(matches!(error.kind_of(), Some(crate::ErrorKind::PoolClosed)), "{error}");
    let summary = run.shut_down();
    assert_eq!((summary.failed.len(), summary.lost.len()), (2, 4), "{summary}");
}

/// Another implementation of a pool. It loses every second job, and forgets every tenth.
#[derive(Debug, Default)]
struct Careless(Mutex<Vec<Job>>);

impl Pool for Careless {
    fn workers(&self) -> usize {
        1
    }

    fn knows(&self, work: &str) -> bool {
        work == Count::NAME
    }

    fn submit(&self, job: Job) -> Result<()> {
        if job.index % 10 != 9 {
            self.0.lock().expect("lock").push(job);
        }
        Ok(())
    }

    fn next(&self, run: RunId) -> Option<Event> {
        let job = self.0.lock().expect("lock").pop()?;
        let kind = match job.index % 2 {
            0 => EventKind::Done { parts: 0 },
            _ => EventKind::Lost(Death::Exit(3)),
        };
        Some(Event { run, index: job.index, attempt: job.attempt, kind })
    }

    fn cancel(&self, _: RunId) {}

    fn shut_down(&self) {}
}

#[test]
fn whatever_a_pool_does_every_task_ends_once() {
    let pool: Arc<dyn Pool> = Arc::new(Careless::default());
    let (_, summary) = run_of::<Count>(&pool, vec![0; 100]);
    assert_eq!((summary.done, summary.lost.len(), summary.retried), (50, 50, 80));
    assert_eq!(summary.lost.iter().filter(|task| task.why == "the pool lost it").count(), 10);
    assert!(summary.lost.iter().all(|task| task.attempts == 3 || task.why == "the pool lost it"));
    let refused = Starmap::<Fail>::new(&pool, Options::seeded(0)).err().expect("refused");
    assert!(matches!(refused.kind_of(), Some(crate::ErrorKind::NoSuchWork(_))), "{refused}");
}

#[test]
fn two_levels_are_settled_together() {
    let cpus = (0..2).map(|number| Cpu { number, core: number, allowed: true }).collect();
    let machine = Machine { cpus, memory_available: 1 << 32, ..Machine::default() };
    let numbers = |config: &PoolConfig| {
        let (config, warnings) = resolve(config, &machine).expect("settled");
        (config.kwargs.max_workers, config.inner().kwargs.max_workers, warnings.len())
    };
    let automatic = PoolConfig::automatic(Mode::Processes);
    assert_eq!(numbers(&automatic), (Some(2), Some(1), 0));
    assert_eq!(numbers(&automatic.clone().with_inner(PoolConfig::new(Mode::Threads, 2))), (Some(1), Some(2), 0));
    let two = PoolConfig::new(Mode::Processes, 2);
    assert_eq!(numbers(&two.clone().with_inner(PoolConfig::automatic(Mode::Threads))), (Some(2), Some(1), 0));
    let mut nested = two.with_inner(PoolConfig::new(Mode::Processes, 2));
    let refused = resolve(&nested, &machine).expect_err("refused");
    assert!(matches!(refused.of(), Some(crate::ErrorKind::Oversubscribed { workers: 2, threads: 2, cores: 2 })));
    nested.kwargs.oversubscribe = true;
    assert_eq!(numbers(&nested), (Some(2), Some(2), 1));
    let deep = PoolConfig::automatic(Mode::Threads).with_inner(nested);
    assert!(matches!(resolve(&deep, &machine), Err(ErrorKind::BadRequest(_))));
}

#[test]
#[cfg_attr(miri, ignore = "looks at the system")]
fn pools_that_cannot_be_opened_say_why() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let warn: super::Warn = Arc::new(move |text: &str| heard.lock().expect("lock").push(text.to_owned()));
    // The program of this test does not call `serve`.
    let error = open_with(&PoolConfig::new(Mode::Processes, 1), &registry(), &warn).expect_err("refused");
    assert!(error.to_string().contains("at the start of main"), "{error}");
    assert!(said.lock().expect("lock").is_empty());
    let many = Machine::probe().cores().0 + 1;
    let pool = open_with(&PoolConfig::new(Mode::Threads, many), &registry(), &warn);
    drop(pool.expect("obeyed"));
    assert!(said.lock().expect("lock")[0].starts_with(&format!("{many} workers of 1 thread each")));
    // An invalid input, or a work that does not exist, fails only its own task.
    let pool = threads(&registry(), 1, 1);
    for (work, why) in [("count", "cannot be read"), ("other", "no work 'other'")] {
        let run = RunId::next();
        let input = Payload::from(rmp_serde::to_vec_named("no number").expect("encodes"));
        pool.submit(Job { run, index: 0, attempt: 0, seed: 0, work: work.into(), input }).expect("submits");
        let event = pool.next(run).expect("an event");
        assert!(matches!(event.kind, EventKind::Failed(error) if error.to_string().contains(why)));
        assert!(pool.next(run).is_none());
    }
}

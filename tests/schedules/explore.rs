//! Running a schedule after another.

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler, UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, Runner};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A schedule that takes more steps hangs.
const STEPS: usize = 200_000;
/// For commits, recoveries and the library.
const STACK: usize = 1 << 20;
/// Changes of priority in a schedule of the PCT scheduler.
const DEPTHS: [usize; 3] = [2, 3, 6];

/// How many schedules each test explores, half of them at random, half with few changes of priority.
const PLAN: [(&str, usize); 23] = [
    ("two writers", 12_000),
    ("three writers", 12_000),
    ("three writers twice", 8_000),
    ("neighbours", 8_000),
    ("a death beside writers", 12_000),
    ("a death beside recoveries", 12_000),
    ("two deaths and a recovery", 8_000),
    ("two deaths, a writer and a recovery", 8_000),
    ("a death beside recoveries of all tables", 4_000),
    ("guards beside commits", 12_000),
    ("guards beside a death", 12_000),
    ("guards beside two deaths", 8_000),
    ("a foreign change beside commits", 10_000),
    ("a foreign change beside a death", 8_000),
    ("groups", 10_000),
    ("groups and a foreign value", 8_000),
    ("the gate", 12_000),
    ("row locks", 10_000),
    ("ledger", 5_000),
    ("ledger, expiry", 5_000),
    ("ledger, a person", 5_000),
    ("late writes", 3_000),
    ("reconciliation", 1_500),
];

/// What a schedule found, if anything.
pub type Outcome = Result<(), String>;

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.max_steps = shuttle::MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true;
    config
}

fn run(scheduler: impl Scheduler + 'static, body: impl Fn() + Send + Sync + 'static) -> usize {
    Runner::new(scheduler, config()).run(body)
}

/// Nothing is found in the schedules that are planned under this name.
pub fn holds(name: &str, body: impl Fn() -> Outcome + Send + Sync + 'static) {
    let body = Arc::new(body);
    let once = || {
        let body = Arc::clone(&body);
        move || body().unwrap_or_else(|found| panic!("{found}"))
    };
    if let Ok(schedule) = std::env::var("H5PART_SCHEDULE") {
        run(ReplayScheduler::new_from_encoded(&schedule), once());
        return;
    }
    let times = std::env::var("H5PART_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let planned = PLAN.iter().find(|(planned, _)| *planned == name).expect("a plan").1;
    let schedules = planned * times;
    let start = Instant::now();
    let each = schedules / (2 * DEPTHS.len());
    let pct: usize = DEPTHS.iter().map(|&depth| run(PctScheduler::new(depth, each), once())).sum();
    let random = run(RandomScheduler::new(schedules - pct), once());
    assert_eq!(pct + random, schedules);
    println!("{name}: {schedules} schedules in {:.1} s", start.elapsed().as_secs_f64());
}

/// What is broken on purpose is found, so that the exploration is known to be able to fail.
pub fn is_found(schedules: usize, body: impl Fn() -> Outcome + Send + Sync + 'static) {
    let found = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&found);
    let body = move || {
        count.fetch_add(usize::from(body().is_err()), Ordering::Relaxed);
    };
    run(RandomScheduler::new(schedules), body);
    let found = found.load(Ordering::Relaxed);
    println!("found in {found} of {schedules} schedules");
    assert!(found > 0, "{schedules} schedules, and nothing was found");
}

/// Each schedule, run twice, comes to the same choices.
pub fn repeats(schedules: usize, body: impl Fn() -> Outcome + Send + Sync + 'static) {
    let twice = UncontrolledNondeterminismCheckScheduler::new(RandomScheduler::new(schedules));
    assert_eq!(run(twice, move || body().unwrap_or_else(|found| panic!("{found}"))), 2 * schedules);
}

/// One of `0..n`, chosen by the schedule.
pub fn pick(n: usize) -> usize {
    use shuttle::rand::Rng;
    shuttle::rand::thread_rng().gen_range(0..n)
}

#[test]
fn a_hundred_thousand_schedules_are_planned() {
    let mut names = PLAN.map(|(name, _)| name);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    let all: usize = PLAN.iter().map(|(_, schedules)| schedules).sum();
    println!("{all} schedules in {} tests", PLAN.len());
    assert!(all >= 100_000);
}

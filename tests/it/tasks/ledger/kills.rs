//! Workers that claim, commit and end tasks, killed at random, and a stopped worker that writes too late. The books
//! show that each task is done once, and none without its data.

use crate::common::support::{Scratch, ok, small_store};
use h5part::ErrorKind;
use h5part::ledger::{Claim, ClaimOptions, Claimed, Ledger, NewLedger, Owner, StoreTasks, TaskFence, TaskState, Watch};
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Durability, Store, Values, Writer};
use ndarray::{Array1, Array3};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Kills in total, over as many ledgers as they need.
const KILLS: u64 = 300;
const WORKERS: usize = 3;
const TASKS: u64 = 150;
const BLOCK: u64 = 2;
const NEVER: Duration = Duration::MAX;
/// Tells a process of this test that it is a worker, and names its folder.
const FOLDER_VAR: &str = "H5PART_TEST_LEDGER";
/// Makes the worker wait for a line before it commits.
const LATE_VAR: &str = "H5PART_TEST_LATE";

struct Site {
    folder: PathBuf,
    ledger: Arc<Ledger>,
    store: Store,
}

impl Site {
    fn made(scratch: &Scratch, tasks: u64) -> Self {
        let store = small_store(&scratch.path("a.h5"), tasks * BLOCK);
        let named = Some(h5part::ledger::store_ref(&store, "t").expect("has an identity"));
        let new = NewLedger { store: named, max_attempts: u16::MAX, ..NewLedger::of_rows(tasks * BLOCK, BLOCK) };
        new.create(scratch.path("a.ledger")).expect("makes");
        Self::at(&scratch.path(""))
    }

    fn at(folder: &Path) -> Self {
        let ledger = Arc::new(Ledger::open(folder.join("a.ledger")).expect("opens"));
        Self { folder: folder.to_owned(), ledger, store: Store::open(folder.join("a.h5")).expect("opens") }
    }

    fn rows(&self) -> StoreTasks<'_> {
        StoreTasks::open_as(&self.ledger, &self.store, "t").expect("fits")
    }

    fn writer(&self) -> Writer {
        let mut writer = self.store.writer("t").expect("writer");
        writer.set_durability(Durability::Power);
        writer
    }

    /// Commits the rows of a task. The values tell which claim wrote them.
    fn commit(&self, writer: &mut Writer, claim: &Claim) -> h5part::Result<()> {
        writer.set_fence(Some(Arc::new(TaskFence::new(Arc::clone(&self.ledger), claim.clone()))));
        let value = value(claim.index, claim.fence);
        let n = usize::try_from(BLOCK).expect("small");
        let (e, f, s) = (Array1::from_elem(n, value), Array3::from_elem((n, 4, 3), value), Array1::from_elem(n, 0i64));
        let sets = [("E", Values::from(&e)), ("F", Values::from(&f)), ("status", Values::from(&s))];
        writer.commit(&Rows::range(claim.rows.clone().expect("has rows")), &sets).map(|_| ())
    }

    /// Checks that every row holds what the last claim of its task in the ledger wrote.
    fn check(&self) {
        let mut reader = self.store.reader("t").expect("reader");
        let tasks = self.ledger.len();
        let block = reader.read("E", &Rows::range(0..tasks * BLOCK)).expect("reads");
        let values = block.array::<f64>().expect("f64");
        for place in 0..tasks {
            let task = self.ledger.task(place).expect("reads");
            assert_eq!(task.state, TaskState::Done, "{place}: {task:?}");
            for row in place * BLOCK..(place + 1) * BLOCK {
                let row = usize::try_from(row).expect("small");
                assert!(block.mask()[row], "task {place} is done without its data");
                assert_eq!(values[row], value(task.index, task.fence), "row {row}: a late write");
            }
        }
    }
}

fn value(index: u32, fence: u64) -> f64 {
    f64::from(index) + fence as f64 / 1024.0
}

/// Sleeps for a random time.
fn pause(random: &mut u64, most_us: u64) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    std::thread::sleep(Duration::from_micros(*random % most_us));
}

#[test]
#[ignore = "the body of a worker process, which the other tests start"]
fn worker() {
    let Some(folder) = std::env::var_os(FOLDER_VAR) else { return };
    let site = Site::at(Path::new(&folder));
    let (rows, mut writer) = (site.rows(), site.writer());
    let mut told = OpenOptions::new().create(true).append(true).open(site.folder.join("told")).expect("opens");
    let owner = site.ledger.register(&Owner::this_process()).expect("registers");
    let mut watch = Watch::new(NEVER, |_| None);
    let mut random = (u64::from(std::process::id()) * 0x9E37_79B9) | 1;
    loop {
        let terms = ClaimOptions { count: 1 + random % 3, delay: Duration::ZERO };
        let claims = match site.ledger.claim(owner, &terms).expect("claims") {
            Claimed::Tasks(claims) => claims,
            Claimed::Nothing { resting: 0, running: 0 } => return,
            Claimed::Nothing { .. } => {
                for lapsed in site.ledger.reap(&mut watch).expect("reaps") {
                    rows.settle(lapsed.claim.place).expect("settles");
                }
                pause(&mut random, 2000);
                continue;
            }
        };
        for claim in &claims {
            rows.begin(claim).expect("begins");
            if std::env::var_os(LATE_VAR).is_some() {
                println!("claimed");
                std::io::stdin().lock().read_line(&mut String::new()).expect("reads");
                let late = [site.commit(&mut writer, claim).map(|()| TaskState::Done), rows.done(claim)];
                let fenced = late
                    .iter()
                    .all(|told| matches!(told.as_ref().map_err(h5part::Error::kind), Err(ErrorKind::Fenced { .. })));
                println!("{}", if fenced { "fenced".to_owned() } else { format!("{late:?}") });
                return;
            }
            pause(&mut random, 2000);
            site.commit(&mut writer, claim).expect("commits");
            pause(&mut random, 1000);
            assert_eq!(rows.done(claim).expect("its rows are there"), TaskState::Done);
            told.write_all(format!("{}\n", claim.place).as_bytes()).expect("writes");
        }
    }
}

/// Starts this test's program as a worker.
fn start(folder: &Path, late: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("is known"));
    command.args(["--exact", "tasks::ledger::kills::worker", "--ignored", "--nocapture"]).env(FOLDER_VAR, folder);
    if late {
        command.env(LATE_VAR, "1");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts")
}

/// Workers that are killed when the test ends, in any case.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

/// Runs one ledger to its end. Returns how often workers were killed.
fn round(seed: &mut u64, most: u64) -> u64 {
    let scratch = Scratch::in_memory();
    let site = Site::made(&scratch, TASKS);
    let mut workers = Workers((0..WORKERS).map(|_| start(&site.folder, false)).collect());
    let mut kills = 0;
    loop {
        pause(seed, 40_000);
        let number = usize::try_from(*seed % WORKERS as u64).expect("small");
        let worker = &mut workers.0[number];
        match worker.try_wait().expect("waits") {
            Some(status) => assert!(status.success(), "a worker failed: {status}"),
            None if kills < most => {
                worker.kill().expect("kills");
                worker.wait().expect("ends");
                kills += 1;
            }
            None => continue,
        }
        let tally = site.ledger.tally().expect("counts");
        assert_eq!((tally.damaged, tally.failed), (0, 0));
        if tally.has_ended() {
            break;
        }
        workers.0[number] = start(&site.folder, false);
    }
    for worker in &mut workers.0 {
        assert!(worker.wait().expect("ends").success() || kills > 0);
    }
    site.check();
    // Each task was reported as done at most once. A worker may die between the ledger's entry and its report.
    let told = std::fs::read_to_string(site.folder.join("told")).expect("reads");
    let mut times = BTreeMap::<u64, u64>::new();
    told.lines().for_each(|place| *times.entry(place.parse().expect("a number")).or_default() += 1);
    assert!(times.values().all(|&times| times == 1), "{times:?}");
    assert!(times.len() as u64 + kills >= TASKS, "{} of {TASKS}, {kills} kills", times.len());
    let report = site.rows().reconcile(&mut Watch::new(NEVER, |_| None)).expect("reconciles");
    assert_eq!((report.done, report.requeued, report.running), (0, 0, 0), "{report:?}");
    kills
}

#[test]
fn killed_workers_lose_no_task_and_do_none_twice() {
    let mut seed = (u64::from(std::process::id()) << 17) | 1;
    println!("seed {seed}");
    let (mut kills, mut rounds, start) = (0, 0, Instant::now());
    while kills < KILLS {
        kills += round(&mut seed, KILLS - kills);
        rounds += 1;
    }
    println!("{kills} kills in {rounds} ledgers, {:.1} s", start.elapsed().as_secs_f64());
}

/// The operator takes the task of a stopped worker. When the worker continues, both store and ledger refuse it.
#[test]
fn the_late_write_of_a_stopped_worker_is_refused() {
    let scratch = Scratch::in_memory();
    let site = Site::made(&scratch, 1);
    let ledger = scratch.text("a.ledger");
    let mut workers = Workers(vec![start(&site.folder, true)]);
    let late = &mut workers.0[0];
    let mut lines = BufReader::new(late.stdout.take().expect("piped")).lines();
    let mut says = |word: &str| {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.contains(word) || line.contains("Err"));
        assert!(found.as_ref().is_some_and(|line| line.contains(word)), "{word}: {found:?}");
    };
    says("claimed");
    let pid = Pid::from_raw(i32::try_from(late.id()).expect("pid"));
    kill(pid, Signal::SIGSTOP).expect("stops");
    // Stopped is not dead.
    assert!(ok(&["ledger", "requeue", &ledger, "--stale"]).starts_with("0 tasks"));
    assert!(ok(&["ledger", "requeue", &ledger, "0:2"]).starts_with("1 task"));
    let mut successor = Workers(vec![start(&site.folder, false)]);
    assert!(successor.0[0].wait().expect("ends").success());
    site.check();
    kill(pid, Signal::SIGCONT).expect("goes on");
    writeln!(late.stdin.as_mut().expect("piped")).expect("writes");
    says("fenced");
    site.check();
    assert_eq!(site.ledger.task(0).expect("reads").fence, 2);
}

//! What it costs to share tasks out: claims beside checkpoint texts, runs beside bare processes and bare rayon.
//!
//! `cargo bench --profile release --bench ledger`; the peer that rewrites a text is `benches/peers/checkpoint.py`.

#![expect(clippy::cast_precision_loss, reason = "rates for people")]

use criterion::Criterion;
use h5part::ledger::{Claim, ClaimOptions, Claimed, End, Ledger, NewLedger, Owner, OwnerId};
use h5part_tasks::run::{self, RunContext, Stop};
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The first argument of a process that claims for a while.
const WORKER: &str = "--claims";

fn made(folder: &Path, tasks: u64) -> Ledger {
    let path = folder.join(format!("{tasks}.ledger"));
    NewLedger::of_rows(tasks, 1).create(&path).expect("creates");
    Ledger::open(&path).expect("opens")
}

fn claimed(ledger: &Ledger, owner: OwnerId, count: u64) -> Option<Vec<Claim>> {
    match ledger.claim(owner, &ClaimOptions { count, ..ClaimOptions::default() }).expect("claims") {
        Claimed::Tasks(claims) => Some(claims),
        Claimed::Nothing { .. } => None,
    }
}

/// Time that `count` tasks take, claimed `block` at a time; when all are done, they wait again, untimed.
fn claim_and_complete(ledger: &Ledger, owner: OwnerId, block: u64, count: u64) -> Duration {
    let (mut spent, mut left) = (Duration::ZERO, count);
    while left > 0 {
        let start = Instant::now();
        while left > 0 {
            let Some(claims) = claimed(ledger, owner, block) else { break };
            for answer in ledger.finish_all(&claims, End::Done).expect("finishes") {
                answer.expect("ours");
            }
            left = left.saturating_sub(claims.len() as u64);
        }
        spent += start.elapsed();
        if left > 0 {
            let all: Vec<u64> = (0..ledger.len()).collect();
            ledger.requeue(&all, |_| true).expect("requeues");
        }
    }
    spent
}

fn sizes(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("claim and complete a task");
    for tasks in [1_000, 10_000, 1_000_000, 10_000_000] {
        let ledger = made(dir.path(), tasks);
        let owner = ledger.register(&Owner::this_process()).expect("registers");
        group.bench_function(format!("of {tasks}"), |b| {
            b.iter_custom(|count| claim_and_complete(&ledger, owner, 1, count));
        });
        if tasks == 10_000 {
            group.bench_function(format!("of {tasks}, 100 at a time"), |b| {
                b.iter_custom(|count| claim_and_complete(&ledger, owner, 100, count));
            });
        }
        let bytes = std::fs::metadata(ledger.path()).expect("metadata").len();
        eprintln!("{tasks} tasks: {:.1} bytes a task", bytes as f64 / tasks as f64);
        std::fs::remove_file(ledger.path()).expect("removes");
    }
    group.finish();
}

/// A checkpoint text of 10,000 tasks, read, changed in one line and written again; it is not even locked.
fn texts(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join(".checkpoint");
    let line = |k| format!("/scratch/sweep/semi_a{k:05} -1\n");
    std::fs::write(&path, (0..10_000).map(line).collect::<String>()).expect("writes");
    c.bench_function("rewrite a checkpoint text of 10,000, in Rust", |b| {
        let mut k = 0;
        b.iter(|| {
            let text = std::fs::read_to_string(&path).expect("reads");
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines[k] = lines[k].replace(" -1", " 1");
            k = (k + 1) % lines.len();
            std::fs::write(&path, lines.join("\n")).expect("writes");
        });
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/checkpoint.py");
    match Command::new("python3").args([script, "10000", "300"]).output() {
        Ok(said) if said.status.success() => {
            eprintln!("rewrite a checkpoint text of 10,000, in Python: {}", String::from_utf8_lossy(&said.stdout));
        }
        other => eprintln!("no Python to rewrite a checkpoint text: {other:?}"),
    }
}

/// What a process of [`processes`] does: claims for a while after it was told to begin; says how many.
fn work(ledger: &str, seconds: f64) {
    let ledger = Ledger::open(ledger).expect("opens");
    let owner = ledger.register(&Owner::this_process()).expect("registers");
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("told to begin");
    let (start, mut count) = (Instant::now(), 0u64);
    while start.elapsed().as_secs_f64() < seconds {
        let claims = claimed(&ledger, owner, 1).expect("enough tasks");
        ledger.finish(&claims[0], End::Done).expect("finishes");
        count += 1;
    }
    println!("{}", count as f64 / start.elapsed().as_secs_f64());
}

fn processes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let ledger = made(dir.path(), 10_000_000);
    for count in [1, 2, 4] {
        let start = |_| {
            let mut worker = Command::new(std::env::current_exe().expect("own path"));
            worker.arg(WORKER).arg(ledger.path()).arg("3").stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut worker = worker.spawn().expect("starts");
            let mut said = BufReader::new(worker.stdout.take().expect("piped")).lines();
            assert_eq!(said.next().expect("speaks").expect("text"), "ready");
            (worker, said)
        };
        let mut workers: Vec<_> = (0..count).map(start).collect();
        for (worker, _) in &mut workers {
            worker.stdin.take().expect("piped").write_all(b"begin\n").expect("told");
        }
        let rates = workers.iter_mut().map(|(_, said)| said.next().expect("speaks").expect("text"));
        let together: f64 = rates.map(|rate| rate.parse::<f64>().expect("number")).sum();
        for (mut worker, _) in workers {
            worker.wait().expect("ends");
        }
        eprintln!("{count} processes claim and complete {together:.0} tasks a second together");
    }
}

/// The median of five.
fn median(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<Duration> = (0..5).map(|_| measure()).collect();
    all.sort();
    all[2]
}

/// `h5part run -j 1` beside a loop that starts the same program and waits for it.
fn programs() {
    const TASKS: u32 = 500;
    let dir = tempfile::tempdir().expect("tempdir");
    let bare = median(|| {
        let start = Instant::now();
        for _ in 0..TASKS {
            assert!(Command::new("true").status().expect("starts").success());
        }
        start.elapsed()
    });
    let program = Path::new(env!("CARGO_BIN_EXE_h5part"));
    for (what, options) in [("run", &[][..]), ("run, 50 at a time", &["-n", "50"])] {
        let ours = median(|| {
            let ledger = made(dir.path(), u64::from(TASKS));
            let start = Instant::now();
            let mut run = Command::new(program);
            run.arg("run").arg(ledger.path()).args(["-q", "-j", "1", "--mode", "serial"]).args(options);
            assert!(run.args(["--", "true"]).stdout(Stdio::null()).status().expect("starts").success());
            let took = start.elapsed();
            std::fs::remove_file(ledger.path()).expect("removes");
            std::fs::remove_dir_all(ledger.sidecar()).expect("removes");
            took
        });
        eprintln!(
            "{what}: {:.0} us a program, {:.0} us bare: {:.0} us more",
            ours.as_secs_f64() * 1e6 / f64::from(TASKS),
            bare.as_secs_f64() * 1e6 / f64::from(TASKS),
            (ours.as_secs_f64() - bare.as_secs_f64()) * 1e6 / f64::from(TASKS)
        );
    }
}

/// A run in two threads, claiming 1,000 at a time, beside rayon over the same numbers.
fn threads() {
    const TASKS: u32 = 200_000;
    let dir = tempfile::tempdir().expect("tempdir");
    let done = AtomicU64::new(0);
    let task = |index: u32| {
        done.fetch_add(u64::from(black_box(index)), Ordering::Relaxed);
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    let bare = median(|| {
        let start = Instant::now();
        pool.install(|| (0..TASKS).into_par_iter().with_max_len(1).for_each(task));
        start.elapsed()
    });
    let ours = median(|| {
        let ledger = made(dir.path(), u64::from(TASKS));
        let start = Instant::now();
        let site = RunContext { ledger: &ledger, rows: None, observer: &(), stop: &Stop::new() };
        let terms = run::RunOptions { workers: 2, block: 1_000, ..run::RunOptions::default() };
        let tasks = |claim: &Claim| {
            task(claim.index);
            End::Done
        };
        assert_eq!(run::run(&site, &terms, &tasks).expect("runs").done, u64::from(TASKS));
        let took = start.elapsed();
        std::fs::remove_file(ledger.path()).expect("removes");
        took
    });
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(TASKS);
    eprintln!("a task in threads: {:.2} us, in rayon alone {:.3} us", each(ours), each(bare));
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, worker, ledger, seconds] = &args[..]
        && worker == WORKER
    {
        return work(ledger, seconds.parse().expect("seconds"));
    }
    let mut criterion = Criterion::default().configure_from_args();
    sizes(&mut criterion);
    texts(&mut criterion);
    criterion.final_summary();
    if !args.iter().any(|arg| arg == "--test") {
        processes();
        programs();
        threads();
    }
}

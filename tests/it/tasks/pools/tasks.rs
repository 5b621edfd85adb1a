//! Tasks that behave and misbehave, for the tests of pools (`tests/it/tasks/pools.rs`). The program starts itself again
//! as a worker.
//!
//! `pool_tasks CONFIG SCENE [TASKS]` prints one line per result, and the summary at the end. It exits with 1 if
//! anything is missing.

use h5part_tasks::pool::{
    Context, Options, Pool, PoolConfig, Registry, Starmap, TaskError, What, Work, open, serve, task_seed,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Yields three numbers, the last of them NaN, after a while. Dies on the way if it is told to.
struct Numbers;

#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    how: String,
    /// In attempts before this one.
    until: u32,
    sleep_ms: u64,
}

impl Work for Numbers {
    const NAME: &'static str = "numbers";
    type Input = Told;
    type Output = f64;

    fn run(&self, told: Told, context: &mut Context<'_, f64>) -> Result<(), TaskError> {
        // What a task prints does not mix with the pool's messages.
        println!("a task's own words");
        let mut seed = context.seed();
        for part in 0..2 {
            seed = task_seed(seed, part);
            context.yield_partial(&f64::from_bits(seed))?;
        }
        std::thread::sleep(Duration::from_millis(told.sleep_ms));
        if context.attempt() < told.until {
            misbehave(&told.how)?;
        }
        context.yield_partial(&f64::NAN)
    }
}

fn misbehave(how: &str) -> Result<(), TaskError> {
    match how {
        "panic" => panic!("on purpose"),
        "exit" => std::process::exit(7),
        "abort" => std::process::abort(),
        "kill" => kill(Pid::this(), Signal::SIGKILL)?,
        // More than any limit, and all of it is touched.
        "memory" => drop(std::hint::black_box(vec![1u8; 1 << 32])),
        "daemon" => {
            leave_a_daemon()?;
            kill(Pid::this(), Signal::SIGKILL)?;
        }
        "stdin" => return Err(TaskError::Failed(format!("read {} bytes", std::io::stdin().lines().count()))),
        _ => return Err(TaskError::Failed(how.to_owned())),
    }
    Ok(())
}

/// Starts programs that keep the worker's pipes open, as a forking program does.
fn leave_a_daemon() -> std::io::Result<()> {
    let mut daemon = Command::new("sleep");
    daemon.arg("100").stdout(Stdio::null());
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_pipe = std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("pipe:"));
        let is_standard = entry.file_name().to_str().is_some_and(|number| ["0", "1", "2"].contains(&number));
        if is_pipe && !is_standard {
            // The last one is the pipe to the pool.
            daemon.stdout(OpenOptions::new().write(true).open(entry.path())?);
        }
    }
    eprintln!("daemon {}", daemon.stderr(Stdio::null()).spawn()?.id());
    Ok(())
}

/// Sums over the tasks of an inner pool.
struct Sum;

impl Work for Sum {
    const NAME: &'static str = "sum";
    type Input = u64;
    type Output = f64;

    fn run(&self, tasks: u64, context: &mut Context<'_, f64>) -> Result<(), TaskError> {
        let mut run = Starmap::<Numbers>::new(&context.inner_pool()?, Options::seeded(context.seed()))?;
        run.submit_many((0..tasks).map(|_| well()))?;
        // Integers are summed, so that their order does not matter.
        let sum = run.by_ref().filter_map(|outcome| Some(outcome.value()?.to_bits())).fold(0, u64::wrapping_add);
        context.yield_partial(&f64::from_bits(sum))
    }
}

fn well() -> Told {
    Told { how: String::new(), until: 0, sleep_ms: 0 }
}

fn told(scene: &str, index: u64) -> Told {
    let sleep_ms = task_seed(9, index) % 4;
    match scene {
        "well" => well(),
        // Slow, so that a killer from outside finds the workers busy.
        "slow" => Told { sleep_ms: 10 + sleep_ms, ..well() },
        "long" => Told { sleep_ms: 60_000, ..well() },
        "mixed" => {
            let how = ["", "exit", "abort", "kill", "panic", "", ""][usize::try_from(index % 7).unwrap_or(0)];
            Told { how: how.to_owned(), until: u32::from(!how.is_empty()), sleep_ms }
        }
        "hopeless" => Told {
            how: ["kill", "exit", "panic", "plain"][usize::try_from(index % 4).unwrap_or(0)].to_owned(),
            until: 9,
            sleep_ms,
        },
        "tardy" => Told { how: "panic".to_owned(), until: if index == 1 { 9 } else { 0 }, sleep_ms: 0 },
        // Every third task misbehaves, in each attempt.
        _ => Told { how: scene.to_owned(), until: if index % 3 == 1 { 9 } else { 0 }, sleep_ms },
    }
}

/// Prints the results. Returns whether all are there. `pause` is the time between two results that are taken.
fn tell<W: Work<Output = f64>>(mut run: Starmap<W>, pause: Duration) -> bool {
    for outcome in run.by_ref() {
        std::thread::sleep(pause);
        let index = outcome.index;
        match outcome.what {
            What::Part { part, value } => println!("part {index} {part} {:016x}", value.to_bits()),
            What::Done { parts } => println!("end {index} done {parts}"),
            What::Failed(why) => println!("end {index} failed {why}"),
            What::Lost(how) => println!("end {index} lost {how}"),
        }
    }
    let summary = run.shut_down();
    println!("{summary}");
    summary.is_complete()
}

fn run<W: Work>(pool: &Arc<dyn Pool>, inputs: Vec<W::Input>) -> h5part::Result<Starmap<W>> {
    let mut run = Starmap::<W>::new(pool, Options::seeded(42))?;
    run.submit_many(inputs)?;
    Ok(run)
}

/// Runs two jobs in one pool, cancels one while its tasks keep the workers busy, and then runs a third.
fn cancel_one(pool: &Arc<dyn Pool>, tasks: usize) -> h5part::Result<bool> {
    let mut endless = run::<Numbers>(pool, (0..8).map(|index| told("long", index)).collect())?;
    let other = run::<Numbers>(pool, (0..tasks).map(|_| well()).collect())?;
    // It is running now.
    assert!(endless.next().is_some_and(|outcome| !outcome.is_end()));
    endless.cancel();
    assert!(endless.next().is_none());
    let complete = tell(other, Duration::ZERO);
    println!("the other: {}", endless.shut_down());
    let mut third = run::<Numbers>(pool, (0..tasks).map(|_| well()).collect())?;
    assert_eq!(third.by_ref().filter(|outcome| !outcome.is_end()).count(), 3 * tasks);
    Ok(complete && third.shut_down().is_complete())
}

/// Yields results and adds a byte to the file for each.
struct Stream;

impl Work for Stream {
    const NAME: &'static str = "stream";
    type Input = PathBuf;
    type Output = u64;

    fn run(&self, path: PathBuf, context: &mut Context<'_, u64>) -> Result<(), TaskError> {
        let mut given = OpenOptions::new().append(true).open(path)?;
        (0..PARTS).try_for_each(|part| {
            context.yield_partial(&part)?;
            Ok(given.write_all(b".")?)
        })
    }
}

const PARTS: u64 = 50;

/// However slow the caller is, the tasks are ahead of it by at most the bound and two results per worker: one that was
/// sent, and one that waits to be sent.
fn take_slowly(pool: &Arc<dyn Pool>, bound: usize, tasks: usize) -> h5part::Result<bool> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut run = run::<Stream>(pool, vec![file.path().to_owned(); tasks])?;
    let mut taken = 0;
    for outcome in run.by_ref() {
        taken += u64::from(!outcome.is_end());
        std::thread::sleep(Duration::from_millis(2));
        let given = file.as_file().metadata().expect("metadata").len();
        assert!(given <= taken + (bound + 2 * pool.workers()) as u64, "{given} given, {taken} taken");
    }
    assert_eq!(taken, PARTS * tasks as u64);
    Ok(run.shut_down().is_complete())
}

fn play(scene: &str, config: &PoolConfig, registry: &Registry, tasks: usize) -> h5part::Result<bool> {
    let pool = open(config, registry)?;
    println!("workers {}", pool.workers());
    let numbers = || (0..tasks as u64).map(|index| told(scene, index)).collect();
    Ok(match scene {
        "sum" => tell(run::<Sum>(&pool, vec![5; tasks])?, Duration::ZERO),
        "cancel" => cancel_one(&pool, tasks)?,
        "stream" => take_slowly(&pool, config.kwargs.parts_in_flight.expect("a bound"), tasks)?,
        "tardy" => tell(run::<Numbers>(&pool, numbers())?, Duration::from_millis(50)),
        _ => tell(run::<Numbers>(&pool, numbers())?, Duration::ZERO),
    })
}

fn main() -> ExitCode {
    let registry = Registry::new().with(Numbers).with(Sum).with(Stream);
    serve(&registry);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (config, scene) = (serde_json::from_str(&arguments[0]).expect("a configuration"), arguments[1].as_str());
    let tasks = arguments.get(2).map_or(20, |text| text.parse().expect("a number"));
    let complete = play(scene, &config, &registry, tasks);
    match complete {
        Ok(complete) => ExitCode::from(u8::from(!complete)),
        Err(e) => {
            eprintln!("pool_tasks: {e}");
            ExitCode::from(2)
        }
    }
}

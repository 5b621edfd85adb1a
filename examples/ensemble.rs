//! Sampling of four models at once: states of different dimension, with walkers inside each.
//!
//! Which polynomial do the data support: a constant, a line, a parabola or a cubic? Each of these *states*
//! has another number of parameters. An ensemble of walkers samples each state; samples and log probabilities
//! grow in one table a state, all in one HDF5 file that the workers write at the same time, in place.
//!
//! Two levels: states are tasks of the outer pool, walkers are tasks of the inner pool, whose configuration
//! goes along to the worker process and is rebuilt there. The same seed gives the same bits with any pools,
//! also when a worker is killed on the way. Started again, it goes on where the file ends.
//!
//! ```sh
//! cargo run --release --example ensemble -- ensemble.h5 --kill
//! cargo run --release --example ensemble -- ensemble.h5 --blocks 20 --pool '{"type": "serial"}'
//! ```
//!
//! What to read first:
//! - [`Chain`]: what a task does for a state: what is missing? walk, commit, yield;
//! - [`sample`]: makes the tables, opens the pools, starts the tasks, watches.
//!
//! In `ensemble/`: `model.rs` (data, probabilities, a walker's steps) and `table.rs` (what is in the file).

#[path = "ensemble/model.rs"]
mod model;
#[path = "ensemble/table.rs"]
mod table;

use clap::Parser;
use h5part::Store;
use h5part::pool::{
    Context, Options, Outcome, Pool, PoolConfig, Registry, Starmap, TaskError, What, Work, open, serve, task_seed,
};
use model::{STATES, Steps};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use table::{BLOCK, Chains, WALKERS};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// A state whose worker dies is tried so often.
const ATTEMPTS: u32 = 5;
/// The state, and the block, after which `--kill` kills a worker.
const VICTIM: (usize, u64) = (3, 1);

/// Samples four models of different dimension, in two-level pools, into one HDF5 file.
#[derive(Parser)]
struct Args {
    /// The HDF5 file: a new one, or one to go on with.
    file: PathBuf,
    /// Blocks of 50 steps for each state.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    blocks: u64,
    /// Where all random numbers start.
    #[arg(long, default_value_t = 42)]
    seed: u32,
    /// Configuration of the pools, as JSON.
    #[arg(long, value_name = "JSON", value_parser = |text: &str| serde_json::from_str::<PoolConfig>(text),
          default_value = r#"{"type": "processes", "kwargs": {"inner": {"type": "threads"}}}"#)]
    pool: PoolConfig,
    /// Kill a worker process on the way.
    #[arg(long)]
    kill: bool,
}

/// The task of the outer pool: all blocks of a state.
struct Chain;

#[derive(Serialize, Deserialize)]
struct State {
    file: PathBuf,
    state: usize,
    blocks: u64,
}

/// A block is committed.
#[derive(Serialize, Deserialize)]
struct Committed {
    state: usize,
    block: u64,
    /// The largest log probability in it.
    best: f64,
    /// Who has done it.
    worker: u32,
}

impl Work for Chain {
    const NAME: &'static str = "chain";
    type Input = State;
    type Output = Committed;

    fn run(&self, input: State, context: &mut Context<'_, Committed>) -> Result<(), TaskError> {
        let State { file, state, blocks } = input;
        let mut chains = Chains::open(&Store::open(&file)?, state).map_err(failed)?;
        let pool = context.inner_pool()?;
        let mut last = None;
        for block in 0..blocks {
            // A worker before this one, or a run before this one, may have committed it.
            let steps = if let Some(steps) = chains.read(block).map_err(failed)? {
                steps
            } else {
                let steps = walk(&pool, state, last.as_deref(), task_seed(context.seed(), block))?;
                chains.commit(block, &steps).map_err(failed)?;
                steps
            };
            let best = steps.iter().flat_map(|walker| &walker.log_probabilities).copied().fold(f64::MIN, f64::max);
            context.yield_partial(&Committed { state, block, best, worker: std::process::id() })?;
            last = Some(steps);
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn failed(error: Error) -> TaskError {
    TaskError::Failed(error.to_string())
}

/// Moves all walkers by a block, in the inner pool; returns their steps, by walker.
fn walk(pool: &Arc<dyn Pool>, state: usize, last: Option<&[Steps]>, seed: u64) -> Result<Vec<Steps>, TaskError> {
    let mut run = Starmap::<Walker>::new(pool, Options { seed, max_attempts: ATTEMPTS })?;
    let from = |walker: usize| last.map(|steps| steps[walker].last_position().to_vec());
    run.submit_many((0..WALKERS).map(|walker| From { state, position: from(walker) }))?;
    let mut steps: Vec<(u64, Steps)> = Vec::new();
    for outcome in run.by_ref() {
        match outcome {
            Outcome { index, what: What::Part { value, .. }, .. } => steps.push((index, value)),
            Outcome { what: What::Failed(error), .. } => return Err(error),
            Outcome { what: What::Lost(how), .. } => return Err(TaskError::Transient(how.to_string())),
            Outcome { what: What::Done { .. }, .. } => {}
        }
    }
    // They come in any order.
    steps.sort_by_key(|(walker, _)| *walker);
    Ok(steps.into_iter().map(|(_, steps)| steps).collect())
}

/// The task of the inner pool: a block of steps of a walker.
struct Walker;

#[derive(Serialize, Deserialize)]
struct From {
    state: usize,
    /// `None`: anywhere.
    position: Option<Vec<f64>>,
}

impl Work for Walker {
    const NAME: &'static str = "walker";
    type Input = From;
    type Output = Steps;

    fn run(&self, from: From, context: &mut Context<'_, Steps>) -> Result<(), TaskError> {
        let steps = Steps::walk(from.state, from.position, BLOCK, context.seed());
        context.yield_partial(&steps)
    }
}

fn main() -> ExitCode {
    let registry = Registry::new().with(Chain).with(Walker);
    // A worker process is this program, started again; it stays in here.
    serve(&registry);
    let args = Args::parse();
    match sample(&args, &registry).and_then(|()| tell(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ensemble: {e}");
            ExitCode::FAILURE
        }
    }
}

fn sample(args: &Args, registry: &Registry) -> Result<()> {
    table::make(&args.file, args.seed)?;
    let pool = open(&args.pool, registry)?;
    let mut run = Starmap::<Chain>::new(&pool, Options { seed: args.seed.into(), max_attempts: ATTEMPTS })?;
    let state = |state| State { file: args.file.clone(), state, blocks: args.blocks };
    run.submit_many((0..STATES).map(state))?;
    for outcome in run.by_ref() {
        let name = model::NAMES.into_iter().nth(usize::try_from(outcome.index)?).unwrap_or_default();
        match outcome.what {
            What::Part { value, .. } => watch(&value, args),
            What::Done { .. } => eprintln!("{name}: done"),
            What::Failed(error) => eprintln!("{name}: {error}"),
            What::Lost(how) => eprintln!("{name}: {how}"),
        }
    }
    let summary = run.shut_down();
    eprintln!("{summary}");
    if summary.is_complete() { Ok(()) } else { Err("some states are not complete: start it again".into()) }
}

fn watch(news: &Committed, args: &Args) {
    let Committed { state, block, best, worker } = news;
    eprintln!("{}: block {block} is committed, log probability up to {best:.2}", model::NAMES[*state]);
    if args.kill && (*state, *block) == VICTIM && *worker != std::process::id() {
        // One that has ended by itself is none to be killed.
        let killed = kill(Pid::from_raw(worker.cast_signed()), Signal::SIGKILL).is_ok();
        eprintln!("worker {worker} {}", if killed { "was killed" } else { "has ended before" });
    }
}

/// What is in the file.
fn tell(args: &Args) -> Result<()> {
    let store = Store::open(&args.file)?;
    println!("state      parameters  samples  log probability    BIC  digest");
    let mut least = (f64::MAX, "");
    for (state, name) in model::NAMES.into_iter().enumerate() {
        let found = Chains::open(&store, state)?.look(args.blocks)?;
        let bic = model::bic(state, found.best);
        if bic < least.0 {
            least = (bic, name);
        }
        let (parameters, samples) = (model::parameters(state), found.samples);
        println!("{name:<10} {parameters:>10} {samples:>8} {:>16.3} {bic:>6.1}  {:016x}", found.best, found.digest);
    }
    println!("the data support the {}", least.1);
    Ok(())
}

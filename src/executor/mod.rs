//! Where tasks run: in this thread, in threads, in processes, in a SLURM job array.
//!
//! A [`Work`] is what a task does; a [`Registry`] names the works of a program; a [`Pool`] runs tasks
//! of any of them; a [`Starmap`] is one run: it submits inputs and iterates over what comes back. How
//! many workers there should be is a matter of the [`budget`].
//!
//! ```
//! use h5part::executor::{Context, Mode, Options, PoolConfig, Registry, Starmap, TaskError, What, Work, open};
//!
//! struct Square;
//!
//! impl Work for Square {
//!     const NAME: &'static str = "square";
//!     type Input = f64;
//!     type Output = f64;
//!
//!     fn run(&self, input: f64, context: &mut Context<'_, f64>) -> Result<(), TaskError> {
//!         context.yield_partial(&(input * input))
//!     }
//! }
//!
//! let registry = Registry::new().with(Square);
//! h5part::executor::serve(&registry); // first in `main`: a worker process stays in here
//! let pool = open(&PoolConfig::new(Mode::Threads, 2), &registry)?;
//! let mut run = Starmap::<Square>::new(&pool, Options::seeded(42))?;
//! run.submit_many([1.0, 2.0, f64::INFINITY])?;
//! let sum: f64 = run.by_ref().filter_map(|outcome| outcome.value()).sum();
//! assert_eq!(sum, f64::INFINITY);
//! assert!(run.shut_down().is_complete());
//! # Ok::<(), h5part::Error>(())
//! ```

pub mod budget;
pub mod ledgered;
pub mod program;
pub mod slurm;

mod mode;
mod pool;

pub use {
    mode::{Chosen, MODE_VARIABLE, Mode, choose},
    pool::{
        Context, Death, Event, EventKind, Job, Kwargs, Options, Outcome, Payload, Pool, PoolConfig, Processes,
        Registry, RunId, Serial, Starmap, Summary, TaskError, Threads, Unfinished, Warn, What, Work, open, open_with,
        resolve, serve, task_seed,
    },
};

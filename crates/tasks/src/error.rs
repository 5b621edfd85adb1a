//! Why work on ledgers, runs, pools, SLURM and measurements fails.

/// Why work on ledgers, runs, pools, SLURM and measurements fails. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The file is not a ledger, or its header is damaged.
    #[error("not a usable ledger: {0}")]
    NotALedger(String),
    /// A slot or a name in the ledger does not match its checksum.
    #[error("the ledger is damaged at task {task}")]
    DamagedTask {
        /// Its position in the order of claims.
        task: u64,
    },
    /// The ledger has no such task.
    #[error("no such task '{0}'")]
    NoSuchTask(String),
    /// Two tasks have this name.
    #[error("two tasks are named '{0}'")]
    DuplicateTask(String),
    /// A task's rows are not in the store.
    #[error("{}", not_committed(.rows, .missing, .present))]
    NotCommitted {
        /// The task's name.
        task: String,
        /// The task's rows.
        rows: std::ops::Range<u64>,
        /// The columns that some of its rows lack.
        missing: Vec<String>,
        /// The columns that all of its rows have.
        present: Vec<String>,
    },
    /// The ledger was created without a store.
    #[error("the ledger names no store")]
    NoStore,
    /// The ledger was created for another store.
    #[error("the ledger belongs to another store: {0}")]
    OtherStore(String),
    /// The file contains no measurements.
    #[error("not a file of measurements: {0}")]
    NotMeasurements(&'static str),
    /// The folder contains no files of measurements.
    #[error("the folder holds no measurements (*.jsonl)")]
    NothingMeasured,
    /// A required program does not exist.
    #[error("no such program '{0}' on the PATH")]
    NoProgram(String),
    /// SLURM's programs are not installed here.
    #[error("SLURM's '{0}' is not on the PATH")]
    NoSlurm(String),
    /// A program of SLURM reported an error.
    #[error("'{program}' refused: {message}")]
    Slurm {
        /// Its name.
        program: String,
        /// Its message.
        message: String,
    },
    /// What SLURM says of this process contradicts itself.
    #[error("cannot tell the shard: {0}")]
    NoShard(String),
    /// A worker process ended unexpectedly.
    #[error("worker {worker} {how}")]
    Worker {
        /// Number of the worker.
        worker: usize,
        /// How it ended.
        how: String,
    },
    /// Workers and threads exceed the cores.
    #[error("{workers} workers with {threads} threads each would share {cores} cores, without 'oversubscribe'")]
    Oversubscribed {
        /// Number of workers that was asked for.
        workers: usize,
        /// Threads per worker.
        threads: usize,
        /// Cores that may be used.
        cores: usize,
    },
    /// The pool accepts no more tasks, or none of this run.
    #[error("the pool was shut down, or the run was cancelled")]
    PoolClosed,
    /// The program has no work of this name.
    #[error("no work '{0}' is registered")]
    NoSuchWork(String),
    /// Worker processes would run the whole program again.
    #[error("this program has not called 'h5part::pool::serve' at the start of main")]
    NotServing,
}

impl h5part_base::error::Kind for ErrorKind {}

impl ErrorKind {
    /// The text that is common to all tasks that lack these columns: "column 'F' not committed".
    #[must_use]
    pub fn columns_missing(missing: &[String]) -> String {
        let s = if missing.len() == 1 { "" } else { "s" };
        format!("column{s} {} not committed", some_of(missing))
    }
}

/// Names the first of many columns.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn not_committed(rows: &std::ops::Range<u64>, missing: &[String], present: &[String]) -> String {
    let (s, are) = if missing.len() == 1 { ("", "is") } else { ("s", "are") };
    let (start, end) = (rows.start, rows.end);
    let text = format!("column{s} {} of rows {start}:{end} {are} not committed", some_of(missing));
    match present {
        [] => text,
        [one] => format!("{text} ('{one}' is)"),
        several => format!("{text} ({} are)", some_of(several)),
    }
}

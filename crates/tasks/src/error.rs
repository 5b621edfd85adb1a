//! Why work on ledgers, runs, pools, SLURM and measurements fails.

/// Why work on ledgers, runs, pools, SLURM and measurements fails. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The file is no ledger, or its header is damaged.
    #[error("not a usable ledger: {0}")]
    NotALedger(String),
    /// A slot, or a name, of a ledger does not fit its checksum.
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
        /// Its name.
        task: String,
        /// Its rows.
        rows: std::ops::Range<u64>,
        /// The columns that some of its rows lack.
        missing: Vec<String>,
        /// The columns that all of its rows have.
        present: Vec<String>,
    },
    /// The ledger was made without a store.
    #[error("the ledger names no store")]
    NoStore,
    /// The ledger was made for another store.
    #[error("the ledger belongs to another store: {0}")]
    OtherStore(String),
    /// The file holds no measurements.
    #[error("not a file of measurements: {0}")]
    NotMeasurements(&'static str),
    /// The folder holds no files of measurements.
    #[error("the folder holds no measurements (*.jsonl)")]
    NothingMeasured,
    /// A program that is needed is not there.
    #[error("no such program '{0}' on the PATH")]
    NoProgram(String),
    /// SLURM's programs are not here.
    #[error("SLURM's '{0}' is not on the PATH")]
    NoSlurm(String),
    /// A program of SLURM refused.
    #[error("'{program}' refused: {message}")]
    Slurm {
        /// Its name.
        program: String,
        /// Its own words.
        message: String,
    },
    /// What SLURM says of this process contradicts itself.
    #[error("cannot tell the shard: {0}")]
    NoShard(String),
    /// A worker process ended in a way it should not.
    #[error("worker {worker} {how}")]
    Worker {
        /// Number of the worker.
        worker: usize,
        /// How it ended.
        how: String,
    },
    /// More workers, with their own, than there are cores.
    #[error("{workers} workers with {threads} threads each would share {cores} cores, without 'oversubscribe'")]
    Oversubscribed {
        /// Workers that were asked for.
        workers: usize,
        /// Threads in each.
        threads: usize,
        /// Cores that may be used.
        cores: usize,
    },
    /// The pool takes no more tasks, or none of this run.
    #[error("the pool was shut down, or the run was cancelled")]
    PoolClosed,
    /// The works of the program do not include this one.
    #[error("no work '{0}' is registered")]
    NoSuchWork(String),
    /// Worker processes would run the whole program again.
    #[error("this program has not called 'h5part::pool::serve' at the start of main")]
    NotServing,
}

impl h5part_base::error::Kind for ErrorKind {}

impl ErrorKind {
    /// What all tasks that leave these columns out have in common: "column 'F' not committed".
    #[must_use]
    pub fn columns_missing(missing: &[String]) -> String {
        let s = if missing.len() == 1 { "" } else { "s" };
        format!("column{s} {} not committed", some_of(missing))
    }
}

/// The first columns of many.
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

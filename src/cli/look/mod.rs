//! Observes a file or a ledger repeatedly: its contents, how fast they grow, and who works on it.

mod rates;
pub mod tail;
mod tasks;
pub mod text;
mod writers;

pub use tasks::{FailedTask, Tasks, WorkerLook};
pub use writers::WriterLook;

use h5part::Result;
use h5part::ledger::Ledger;
use h5part_engine::store::{Status, Store};
use nix::time::{ClockId, clock_gettime};
use rates::Rates;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Counting takes at most one part in this many of one processor's time.
const SHARE: u32 = 100;

/// The state at one look.
#[derive(Debug, Default)]
pub struct Look {
    /// Coverage of each table.
    pub tables: Vec<Status>,
    /// Processes that have a writer of the file open.
    pub writers: Vec<WriterLook>,
    /// Tasks, if it is a ledger.
    pub tasks: Option<Tasks>,
    pub rates: Rates,
}

/// What to observe.
#[derive(Debug)]
pub struct Looker {
    path: PathBuf,
    table: Option<String>,
    /// Number of parts of a coverage strip.
    parts: usize,
    is_ledger: bool,
    look: Look,
    /// Tables by the number that row locks know them by.
    numbers: HashMap<u64, String>,
    /// When coverage and tasks may be counted again.
    due: Option<Instant>,
}

/// Whether a path is that of a ledger, judged by its first bytes.
pub fn is_ledger(path: &Path) -> bool {
    let mut head = [0; 6];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && &head == b"h5part"
}

impl Looker {
    /// Observes one table of a file, or all of them; or a ledger, and the table that its tasks fill.
    pub fn new(path: &Path, table: Option<&str>, parts: usize) -> Self {
        let (path, table, is_ledger) = (path.to_owned(), table.map(str::to_owned), is_ledger(path));
        Self { path, table, parts, is_ledger, look: Look::default(), numbers: HashMap::new(), due: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last look.
    pub fn last(&self) -> &Look {
        &self.look
    }

    /// Looks again. Locks are looked up each time. Expensive counts are repeated only as often as a small share of a
    /// processor allows. It takes no lock that a writer of rows waits for.
    ///
    /// # Errors
    /// The file does not exist any more, or cannot be read.
    pub fn look(&mut self) -> Result<&Look> {
        let now = Instant::now();
        if self.due.is_none_or(|due| now >= due) {
            let before = cpu();
            if self.is_ledger {
                self.count_tasks(now)?;
            } else {
                self.count_rows(now)?;
            }
            self.due = Some(now + cpu().saturating_sub(before) * SHARE);
        } else if !self.is_ledger {
            // The writers may have changed since.
            self.look_at_writers(&Store::open(&self.path)?, now)?;
        }
        Ok(&self.look)
    }

    fn count_rows(&mut self, now: Instant) -> Result<()> {
        let store = Store::open(&self.path)?;
        self.count_tables(&store, self.table.clone().as_deref(), now)
    }

    /// One table, or all that have stamps.
    fn count_tables(&mut self, store: &Store, only: Option<&str>, now: Instant) -> Result<()> {
        let tables = store.tables()?.into_iter().map(|listing| listing.table);
        let numbered = tables.filter_map(|table| Some((table.stamps?.table, table.path)));
        let numbered: Vec<(u64, String)> = numbered.collect();
        let names: Vec<&str> = match only {
            Some(table) => vec![table],
            None => numbered.iter().map(|(_, path)| path.as_str()).collect(),
        };
        self.look.tables = names.iter().map(|name| store.status(name, self.parts)).collect::<Result<_>>()?;
        self.numbers = numbered.into_iter().collect();
        self.look_at_writers(store, now)?;
        for table in &self.look.tables {
            for column in &table.columns {
                self.look.rates.see(&key(&table.table, &column.name), column.committed, now);
            }
        }
        Ok(())
    }

    fn look_at_writers(&mut self, store: &Store, now: Instant) -> Result<()> {
        let before = std::mem::take(&mut self.look.writers);
        self.look.writers = writers::look(store, &self.numbers, &before, &mut self.look.rates, now)?;
        Ok(())
    }

    fn count_tasks(&mut self, now: Instant) -> Result<()> {
        let ledger = Ledger::open_to_read(&self.path)?;
        let before = self.look.tasks.take();
        let tasks = Tasks::look(&ledger, before.as_ref(), now)?;
        self.look.rates.see(TASKS, tasks.tally.done + tasks.tally.failed, now);
        for worker in &tasks.workers {
            self.look.rates.see(&worker.key(), worker.done, now);
        }
        self.look.tasks = Some(tasks);
        // The store may have moved. The user asked for the ledger, so this is not an error.
        if let Some(named) = &ledger.header().store
            && let Ok(store) = Store::open(&named.path)
        {
            let _ = self.count_tables(&store, Some(&named.table), now);
        }
        Ok(())
    }
}

/// Name of the rate of all tasks.
pub const TASKS: &str = "tasks";

/// Name of the rate of a column.
pub fn key(table: &str, column: &str) -> String {
    format!("{table}\0{column}")
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

impl Look {
    /// Whether nothing is left to do.
    pub fn has_ended(&self) -> bool {
        if let Some(tasks) = &self.tasks {
            return tasks.tally.has_ended();
        }
        let mut columns = self.tables.iter().flat_map(|table| &table.columns).peekable();
        columns.peek().is_some() && columns.all(|column| column.missing + column.writing == 0)
    }
}

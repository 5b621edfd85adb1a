//! The data of a page, gathered once.

use super::super::look::is_ledger;
use super::super::look::tail::tail;
use super::super::run::journal::{self, Start};
use h5part::Result;
use h5part::ledger::{ErrorKind, Ledger, StoreTasks, Tally, Task, TaskState};
use h5part::monitor::{MonitorSummary, Timeline};
use h5part_base::error::At;
use h5part_engine::h5::library_version;
use h5part_engine::store::{Status, Store};
use h5part_tasks::program::{BesideLedger, Homes};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Parts of the coverage map: most per column, fewest per column, and most of all columns together.
const PARTS: usize = 2000;
const FEWEST_PARTS: usize = 200;
const ALL_PARTS: usize = 20_000;
/// Most causes of failure that are shown with a log.
const CAUSES: usize = 20;
/// Most lines of a log.
const TAIL: usize = 20;
/// For at most this many failed tasks the store is asked what is missing.
const ASKED: u64 = 1000;

/// All data.
pub struct Data {
    pub path: PathBuf,
    pub version: &'static str,
    pub hdf5: String,
    pub tally: Option<Tally>,
    pub starts: Vec<Start>,
    pub failures: Vec<Failure>,
    /// Tasks that are done after failed attempts.
    pub retried: u64,
    pub tables: Vec<Status>,
    pub missing: Vec<(String, String)>,
    pub summary: Option<MonitorSummary>,
    pub timeline: Timeline,
}

/// Tasks that failed for the same reason.
pub struct Failure {
    pub cause: String,
    pub tasks: u64,
    pub first: String,
    pub log: PathBuf,
    pub tail: Vec<String>,
}

impl Data {
    /// Reads ledger, measurements and stamps, while workers may go on.
    pub fn gather(path: &Path) -> Result<Self> {
        let mut data = Self {
            path: path.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            hdf5: library_version(),
            tally: None,
            starts: Vec::new(),
            failures: Vec::new(),
            retried: 0,
            tables: Vec::new(),
            missing: Vec::new(),
            summary: None,
            timeline: Timeline::default(),
        };
        if is_ledger(path) {
            data.of_ledger()?;
        } else {
            data.of_store(&Store::open(path)?, None)?;
        }
        Ok(data)
    }

    pub fn has_ended(&self) -> bool {
        let all_there = || self.tables.iter().flat_map(|table| &table.columns).all(|c| c.missing + c.writing == 0);
        self.tally.map_or_else(all_there, |tally| tally.has_ended())
    }

    fn of_store(&mut self, store: &Store, table: Option<&str>) -> Result<()> {
        const MOST_SPEC: usize = 400;
        let tables = store.tables()?.into_iter().map(|listing| listing.table);
        let tables: Vec<_> = tables
            .filter(|one| one.stamps.is_some() && table.is_none_or(|table| table == one.path))
            .map(|one| (one.path, one.columns.len()))
            .collect();
        let columns: usize = tables.iter().map(|(_, columns)| columns).sum();
        let parts = (ALL_PARTS / columns.max(1)).clamp(FEWEST_PARTS, PARTS);
        for (name, _) in tables {
            let mut missing = store.missing(&name)?.to_string();
            if let Some((end, _)) = missing.char_indices().nth(MOST_SPEC) {
                missing.truncate(end);
                missing.push('…');
            }
            self.tables.push(store.status(&name, parts)?);
            self.missing.push((name, missing));
        }
        Ok(())
    }

    fn of_ledger(&mut self) -> Result<()> {
        let ledger = Ledger::open_to_read(&self.path)?;
        self.starts = journal::read(&ledger);
        if let Some(named) = &ledger.header().store
            && let Ok(store) = Store::open(&named.path)
        {
            self.of_store(&store, Some(&named.table))?;
        }
        self.look_at_tasks(&ledger)?;
        let monitor = ledger.sidecar().join("monitor");
        if monitor.is_dir() && std::fs::read_dir(&monitor).at("read", &monitor)?.next().is_some() {
            self.summary = Some(MonitorSummary::read(&self.path)?);
            self.timeline = Timeline::read(&self.path)?;
        }
        Ok(())
    }

    fn look_at_tasks(&mut self, ledger: &Ledger) -> Result<()> {
        let rows = ledger.header().store.as_ref().and_then(|_| StoreTasks::open(ledger, None).ok());
        let (mut causes, mut asked) = (BTreeMap::<String, (u64, u64, Task)>::new(), 0);
        ledger.each(|place, task| {
            let Some(task) = task else { return Ok(()) };
            self.retried += u64::from(task.state == TaskState::Done && task.attempts > 0);
            if task.state == TaskState::Failed {
                let mut cause = task.reason.to_string();
                if let Some(rows) =
                    rows.as_ref().filter(|_| task.reason == h5part::ledger::Reason::NoData && asked < ASKED)
                {
                    asked += 1;
                    let missing = rows.missing_columns(task.index)?;
                    if !missing.is_empty() {
                        cause = ErrorKind::columns_missing(&missing);
                    }
                }
                causes.entry(cause).or_insert((0, place, *task)).0 += 1;
            }
            Ok(())
        })?;
        self.tally = Some(ledger.tally()?);
        let mut causes: Vec<_> = causes.into_iter().collect();
        causes.sort_by_key(|(_, (tasks, ..))| std::cmp::Reverse(*tasks));
        causes.truncate(CAUSES);
        for (cause, (tasks, place, task)) in causes {
            let first = ledger.listed(place, &task)?.name;
            let log = BesideLedger.of(ledger, task.index, &first).log;
            let tail = tail(&log, TAIL);
            self.failures.push(Failure { cause, tasks, first, log, tail });
        }
        Ok(())
    }
}

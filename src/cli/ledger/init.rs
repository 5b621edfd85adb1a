//! `h5part ledger init`

use super::super::common::{LockArgs, request};
use super::super::exit::Exit;
use super::super::output::{json, line};
use h5part::ledger::store_ref;
use h5part::ledger::{Ledger, NameList, NewLedger, StoreRef};
use h5part::{ErrorKind, Item, Result};
use h5part_base::error::At;
use h5part_engine::store::Store;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

const INIT: &str = "make ledger";

/// Make a ledger of tasks: names from a file, or blocks of rows.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ledger; it must not exist.
    ledger: PathBuf,
    /// Names of the tasks, one per line; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    tasks: Option<PathBuf>,
    /// Names end with a NUL instead of a newline, as written by `find -print0`.
    #[arg(long, requires = "tasks")]
    null: bool,
    /// Number of rows to share [default: the rows of the table, with --store].
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Rows per task [default: those of a chunk; for named tasks, the rows divided among them].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    block: Option<u64>,
    /// Weight of each task, one number per line; heavy tasks are claimed first.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Give up on a task after K failed attempts.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    max_attempts: u16,
    /// The store that the tasks fill. A task is then done only when its rows are there.
    #[arg(long, value_name = "FILE", requires = "table")]
    store: Option<PathBuf>,
    /// Path of the table in the store.
    #[arg(long, value_name = "TABLE", requires = "store")]
    table: Option<String>,
    /// Columns that make a task done, separated by commas [default: all that anybody commits to].
    #[arg(long, value_name = "NAMES", requires = "store", value_delimiter = ',')]
    columns: Vec<String>,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(Debug, Serialize)]
struct Made {
    tasks: u64,
    rows: u64,
    rows_per_task: u64,
    max_attempts: u16,
}

/// The store, and facts about its table.
struct Target {
    store: StoreRef,
    rows: u64,
    chunk_rows: u64,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let target = self.target()?;
        let mut new = match &self.tasks {
            Some(path) => self.named(path, target.as_ref())?,
            None => self.blocks(target.as_ref())?,
        };
        new.max_attempts = self.max_attempts;
        new.chunk_rows = target.as_ref().map_or(1, |t| t.chunk_rows);
        new.weights = self.weights.as_deref().map(|path| weights(path, &self.ledger)).transpose()?;
        new.store = target.map(|t| t.store);
        new.create(&self.ledger)?;
        let ledger = Ledger::open(&self.ledger)?;
        let header = ledger.header();
        let made = Made {
            tasks: header.tasks,
            rows: header.rows,
            rows_per_task: header.rows_per_task,
            max_attempts: header.max_attempts,
        };
        if self.json {
            json(&made)?;
        } else {
            let rows = if made.rows == 0 { String::new() } else { format!(" of {} rows", made.rows_per_task) };
            let done = match self.columns.as_slice() {
                [] => String::new(),
                [one] => format!("; a task is done when its rows of column '{one}' are committed"),
                several => {
                    format!("; a task is done when its rows of columns '{}' are committed", several.join("', '"))
                }
            };
            line(format!(
                "{}: {} tasks{rows}, each tried {} times at most{done}",
                self.ledger.display(),
                made.tasks,
                made.max_attempts
            ))?;
        }
        Ok(Exit::Success)
    }

    fn target(&self) -> Result<Option<Target>> {
        let (Some(path), Some(table)) = (&self.store, &self.table) else { return Ok(None) };
        let store: Store = self.lock.open(path)?;
        let reader = store.reader(table)?;
        if reader.table().stamps.is_none() {
            return Err(ErrorKind::Unstamped(Item::Table(table.clone())).at(INIT, &self.ledger));
        }
        for column in &self.columns {
            let column = reader.table().column(column).at(INIT, &self.ledger)?;
            if column.stamp.is_none() {
                let (table, column) = (table.clone(), column.name.clone());
                return Err(ErrorKind::Unstamped(Item::Column { table, column }).at(INIT, &self.ledger));
            }
        }
        let chunks = reader.table().columns.iter().filter_map(|column| column.layout.as_ref().ok()?.chunk_rows());
        let chunk_rows = chunks.max().unwrap_or(1);
        Ok(Some(Target {
            store: StoreRef { columns: self.columns.clone(), ..store_ref(&store, table)? },
            rows: reader.table().rows,
            chunk_rows,
        }))
    }

    fn named(&self, path: &Path, target: Option<&Target>) -> Result<NewLedger> {
        let names = NameList::parse(bytes_of(path)?, self.null).at("read tasks from", path)?;
        let count = names.len() as u64;
        let mut new = NewLedger::of_names(names);
        match target {
            None if self.block.is_some() => {
                return Err(request(INIT, &self.ledger, "--block needs --store and --table, or --rows"));
            }
            None => {}
            Some(target) => {
                new.rows = target.rows;
                new.rows_per_task = self.block.unwrap_or_else(|| target.rows.div_ceil(count.max(1)).max(1));
            }
        }
        Ok(new)
    }

    fn blocks(&self, target: Option<&Target>) -> Result<NewLedger> {
        let rows = self.rows.or(target.map(|t| t.rows));
        let rows =
            rows.ok_or_else(|| request(INIT, &self.ledger, "say which tasks there are: --tasks, --rows or --store"))?;
        if let Some(target) = target.filter(|t| rows > t.rows) {
            return Err(request(INIT, &self.ledger, format!("the table has {} rows, fewer than {rows}", target.rows)));
        }
        let block = self.block.or(target.map(|t| t.chunk_rows));
        let block = block.ok_or_else(|| request(INIT, &self.ledger, "say how many rows a task has: --block"))?;
        Ok(NewLedger::of_rows(rows, block))
    }
}

/// The contents of a file, or of standard input.
pub fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes),
        _ => std::fs::read(path),
    };
    read.at("read", path)
}

fn weights(path: &Path, ledger: &Path) -> Result<Vec<f64>> {
    let text = String::from_utf8(bytes_of(path)?).map_err(|_| request(INIT, ledger, "the weights are not UTF-8"))?;
    let parse = |(k, line): (usize, &str)| {
        let number = line.trim().parse::<f64>().ok().filter(|w| w.is_finite());
        number.ok_or_else(|| request("read weights from", path, format!("line {} is not a number: '{line}'", k + 1)))
    };
    text.lines().enumerate().map(parse).collect()
}

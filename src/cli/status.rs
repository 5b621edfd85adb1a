//! `h5part status`

mod watch;

use super::common::{LockArgs, ParentArgs, request, seconds};
use super::exit::Exit;
use super::look::is_ledger;
use super::output::{WIDEST, json, line, strip, table_name};
use h5part::Result;
use h5part_engine::store::{Status, Store};
use std::path::PathBuf;

/// Parts of the coverage strip.
const PARTS: usize = 50;

/// Count committed, missing and unfinished rows, column by column.
///
/// With --watch, also of a ledger: tasks, rates, time left, and who works on what.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file; with --watch, or a ledger.
    pub file: PathBuf,
    /// Path of a table in the file [default: all that h5part made].
    table: Option<String>,
    /// Print only the rows that are not committed in all columns, as a SPEC for --rows; prints an
    /// empty line if there are none.
    #[arg(long, requires = "table", conflicts_with = "json")]
    missing: bool,
    /// Show it again and again, with rates and time left, until all is there [default: every 2 seconds]. Without a
    /// terminal: one line each time.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = false,
        default_missing_value = "2",
        value_parser = seconds,
        conflicts_with_all = ["missing", "json", "parent"]
    )]
    watch: Option<f64>,
    /// With --watch: use only ASCII characters.
    #[arg(long, requires = "watch")]
    ascii: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub parent: ParentArgs,
    #[command(flatten)]
    lock: LockArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        if let Some(seconds) = self.watch {
            return watch::run(&self.file, self.table.as_deref(), seconds, self.ascii);
        }
        if is_ledger(&self.file) {
            let text = "it is a ledger: 'h5part ledger status' counts its tasks, and --watch shows its workers";
            return Err(request("read the status of", &self.file, text));
        }
        let tables: Vec<(Store, String)> = if let Some(table) = &self.table {
            vec![(self.parent.find(&self.lock, &self.file, table, None)?, table.clone())]
        } else {
            let tables = self.parent.tables(&self.lock, &self.lock.open(&self.file)?)?.into_iter();
            let stamped = tables.filter(|(_, listing)| listing.table.stamps.is_some());
            stamped.map(|(store, listing)| (store, listing.table.path)).collect()
        };
        if let (true, [(store, table)]) = (self.missing, tables.as_slice()) {
            line(store.missing(table)?.to_string())?;
            return Ok(Exit::Success);
        }
        let statuses = tables.iter().map(|(store, table)| store.status(table, PARTS)).collect::<Result<Vec<_>>>()?;
        if self.json {
            match (&self.table, statuses.as_slice()) {
                (Some(_), [one]) => json(one)?,
                _ => json(&statuses)?,
            }
        } else {
            statuses.iter().try_for_each(print)?;
            if statuses.is_empty() {
                line("no tables that h5part made")?;
            }
        }
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = [&self.file].into_iter().chain(&self.parent.parent);
        files.filter(|file| !is_ledger(file)).cloned().collect()
    }
}

fn print(status: &Status) -> Result<()> {
    line(format!("table '{}': {} rows", table_name(&status.table), status.rows))?;
    let width = status.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).min(WIDEST);
    for c in &status.columns {
        let interrupted = if c.interrupted > 0 { format!(", {} interrupted", c.interrupted) } else { String::new() };
        line(format!(
            "  {:width$} |{}| {} committed, {} missing, {} being written{interrupted}",
            c.name,
            strip(&c.coverage),
            c.committed,
            c.missing,
            c.writing
        ))?;
    }
    for lost in &status.lost {
        let (first, end) = lost.rows;
        line(format!("  {:width$} LOST: rows {first}:{end}: another program changed it: it {}", lost.name, lost.what))?;
    }
    for (alias, column) in &status.aliases {
        line(format!("  {alias:width$} alias of {column}"))?;
    }
    Ok(())
}

//! `h5part adopt`

use super::common::{LockArgs, split_first, split_last};
use super::exit::Exit;
use super::output::{LateBar, bytes, json, line};
use h5part::Result;
use h5part::h5::Attribute;
use h5part::store::{Adopt, Adoption};
use std::path::PathBuf;
use std::time::Instant;

/// Give stamps to a table that another program made, so that its rows are updated like any other's.
///
/// The datasets stay as they are, with their chunks, filters and types; all values are read once. From
/// then on rows are atomic, and what other programs change is noticed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table (an HDF5 group) in the file.
    table: String,
    /// A column that gets stamps, in a table in which others have some already, too; may be given several times.
    /// Default: all, of a table without stamps.
    #[arg(long = "column", value_name = "NAME")]
    columns: Vec<String>,
    /// Which cells count as committed: all; nonfill, those that hold anything but fill; or
    /// COLUMN=VALUE, those of rows in which this column holds this value.
    #[arg(long, value_name = "all|nonfill|COLUMN=VALUE", default_value = "nonfill", value_parser = rule)]
    committed: Adopt,
    /// A column that tells other programs whether a row is complete: undefined while
    /// anything of its row is being written.
    #[arg(long, value_name = "NAME=UNDEFINED_VALUE", value_parser = split_last)]
    guard: Option<(String, String)>,
    /// The guard's value in complete rows [default: VALUE, where --committed is about the guard]: 'verify' looks for data behind it.
    #[arg(long, value_name = "VALUE", requires = "guard")]
    complete: Option<String>,
    /// Attribute of the table; numbers, true and false are taken as such.
    #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = split_first)]
    attributes: Vec<(String, String)>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

fn rule(text: &str) -> Result<Adopt, String> {
    match text {
        "all" => Ok(Adopt::All),
        "nonfill" => Ok(Adopt::NonFill),
        other => match split_last(other) {
            Ok((column, value)) => Ok(Adopt::Where { column, value }),
            Err(_) => Err("all, nonfill or COLUMN=VALUE is needed".to_owned()),
        },
    }
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let start = Instant::now();
        let how = Adoption {
            columns: Some(self.columns.clone()).filter(|columns| !columns.is_empty()),
            committed: self.committed.clone(),
            guard: self.guard.clone(),
            guard_complete: self.complete.clone(),
            attributes: Attribute::list(&self.attributes),
        };
        let bar = LateBar::new("adopting");
        let done = self.lock.open(&self.file)?.adopt(&self.table, &how, &|done, total| bar.set(done, total))?;
        drop(bar);
        if self.json {
            json(&done)?;
            return Ok(Exit::Success);
        }
        line(format!(
            "adopted table '{}' in {}: {} rows, {} of {} cells committed, {} read in {:.3} s",
            self.table.trim_matches('/'),
            self.file.display(),
            done.rows,
            done.committed,
            done.rows * done.columns.len() as u64,
            bytes(done.bytes),
            start.elapsed().as_secs_f64()
        ))?;
        if !done.without_stamps.is_empty() {
            line(format!("without stamps, carried along untouched: {}", done.without_stamps.join(", ")))?;
        }
        Ok(Exit::Success)
    }
}

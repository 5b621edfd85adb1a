//! `h5part adopt`

use super::common::{LockArgs, split_first, split_last};
use super::exit::Exit;
use super::output::{LateBar, bytes, json, line};
use h5part::Result;
use h5part_engine::h5::Attribute;
use h5part_engine::store::{Adopt, Adopted, Adoption, Decision};
use std::path::PathBuf;
use std::time::Instant;

/// Give stamps to a table that another program made.
///
/// From then on its rows are atomic, and changes by other programs are noticed. Reads all values once.
/// Leaves the datasets as they are, with their chunks, filters and types.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table (an HDF5 group) in the file.
    table: String,
    /// Give stamps to this column only; may be repeated, also for a table whose other columns have stamps
    /// [default: every column that can get stamps, in a table without any].
    #[arg(long = "column", value_name = "NAME")]
    columns: Vec<String>,
    /// Which cells count as committed: all; nonfill (cells that hold anything but fill); or COLUMN=VALUE
    /// (cells of rows in which this column holds this value) [default: cells that were written, as shown by
    /// allocated space, fill values and attributes].
    #[arg(long, value_name = "all|nonfill|COLUMN=VALUE", value_parser = rule)]
    committed: Option<Adopt>,
    /// Replace the stamps of the table, or of the columns named by --column, and report which cells change.
    #[arg(long)]
    again: bool,
    /// Print what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Use this column to tell other programs whether a row is complete. It holds the undefined value while
    /// the row is being written.
    #[arg(long, value_name = "NAME=UNDEFINED_VALUE", value_parser = split_last)]
    guard: Option<(String, String)>,
    /// Value of the guard in complete rows; 'verify' checks that such rows have data [default: the VALUE of
    /// --committed, if that names the guard].
    #[arg(long, value_name = "VALUE", requires = "guard")]
    complete: Option<String>,
    /// Set an attribute of the table. Numbers, true and false are stored as such, all else as text.
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

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let start = Instant::now();
        let how = Adoption {
            columns: Some(self.columns.clone()).filter(|columns| !columns.is_empty()),
            committed: self.committed.clone().unwrap_or_default(),
            guard: self.guard.clone(),
            guard_complete: self.complete.clone(),
            attributes: Attribute::list(&self.attributes),
            again: self.again,
            dry_run: self.dry_run,
        };
        let bar = LateBar::new("adopting");
        let done = self.lock.open(&self.file)?.adopt(&self.table, &how, &|done, total| bar.set(done, total))?;
        drop(bar);
        if self.json {
            json(&done)?;
            return Ok(Exit::Success);
        }
        line(format!(
            "{} table '{}' in {}: {} rows, {} of {} cells committed, {} read in {:.3} s",
            if done.dry_run { "would adopt" } else { "adopted" },
            self.table.trim_matches('/'),
            self.file.display(),
            done.rows,
            done.committed,
            done.rows * done.columns.len() as u64,
            bytes(done.bytes),
            start.elapsed().as_secs_f64()
        ))?;
        tell(&done)?;
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }
}

/// Names that are listed. If there are more, only their number is shown.
const MOST_NAMES: usize = 8;

/// Prints what was decided for each column. Columns with the same decision share a line.
fn tell(done: &Adopted) -> Result<()> {
    let alike = |d: &Decision| (d.committed, d.not_there, d.because.clone(), d.before);
    let mut groups: Vec<(&Decision, Vec<&str>)> = Vec::new();
    for decision in &done.decisions {
        match groups.iter_mut().find(|(first, _)| alike(first) == alike(decision)) {
            Some((_, names)) => names.push(&decision.column),
            None => groups.push((decision, vec![&decision.column])),
        }
    }
    for (Decision { committed, not_there, because, before, .. }, names) in groups {
        let names = listed(&names);
        line(format!("  {names}: {committed} committed, {not_there} not there: {because}"))?;
        if let Some(before) = before {
            line(format!(
                "    before: {} committed, of which {} no longer are, and {} were changed by another program; {} are new",
                before.committed, before.no_longer, before.changed, before.newly
            ))?;
        }
    }
    let mut left_out: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, reason) in done.without_stamps.iter().zip(&done.reasons) {
        match left_out.iter_mut().find(|(other, _)| other == reason) {
            Some((_, names)) => names.push(name),
            None => left_out.push((reason, vec![name])),
        }
    }
    if !left_out.is_empty() {
        line("without stamps, carried along untouched:")?;
    }
    left_out.iter().try_for_each(|(reason, names)| line(format!("  {}: {reason}", listed(names))))
}

fn listed(names: &[&str]) -> String {
    match names.len().checked_sub(MOST_NAMES) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST_NAMES].join(", ")),
    }
}

//! `h5part adopt`

use super::common::{LockArgs, split_first, split_last};
use super::exit::Exit;
use super::output::{LateBar, bytes, json, line};
use h5part::Result;
use h5part_engine::h5::Attribute;
use h5part_engine::store::{Adopt, Adopted, Adoption, Decision};
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
    /// Default: all that can get some, of a table without stamps.
    #[arg(long = "column", value_name = "NAME")]
    columns: Vec<String>,
    /// Which cells count as committed: all; nonfill, those that hold anything but fill; or
    /// COLUMN=VALUE, those of rows in which this column holds this value [default: those that were written, as far as
    /// space in the file, fill values and attributes tell].
    #[arg(long, value_name = "all|nonfill|COLUMN=VALUE", value_parser = rule)]
    committed: Option<Adopt>,
    /// Replace stamps: those of the whole table, or of the columns named by --column. Says which cells change.
    #[arg(long)]
    again: bool,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
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

/// Names that are listed at once; of more only how many there are.
const MOST_NAMES: usize = 8;

/// What was decided of each column: those that came out alike share a line.
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

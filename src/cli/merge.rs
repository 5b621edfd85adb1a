//! `h5part merge`

use super::common::{DurabilityArg, LockArgs};
use super::exit::Exit;
use super::output::{LateBar, json, line, say};
use h5part::Result;
use h5part_engine::merge::{Attributes, MergeOptions, Merged, merge};
use h5part_engine::store::Store;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most objects that are named. Others are only counted.
const NAMED: usize = 5;

/// Merge the committed rows of several files into one.
///
/// Use it where each worker wrote its own file, because the locks of the file system cannot be trusted or the workers ran
/// on different machines. A new OUT is built beside its name and gets everything in the files IN; an existing OUT gets
/// what it lacks. Rows that two files hold must be the same, byte for byte; otherwise the error names both files. Missing
/// rows stay missing. If a merge is killed, run the same command again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to merge into; created if it does not exist.
    #[arg(value_name = "OUT")]
    pub file: PathBuf,
    /// The files to merge; they are only read.
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Append the rows of each IN to those of the files before it. OUT must not exist.
    #[arg(long)]
    concat: bool,
    /// Merge only these tables, and copy nothing else. May be repeated.
    #[arg(long, value_name = "TABLE,...", value_delimiter = ',')]
    tables: Vec<String>,
    /// What to do if attributes of tables or columns differ between the files.
    #[arg(long, value_enum, default_value_t)]
    attrs: AttrsArg,
    /// What a block of rows survives once it is merged. With 'process', only the end of the merge is synced.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityArg,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum AttrsArg {
    /// Fail, and name both files.
    #[default]
    Same,
    /// Keep those of the first file that has them.
    First,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a Path,
    inputs: &'a [PathBuf],
    #[serde(flatten)]
    merged: &'a Merged,
    complete: bool,
    wall_s: f64,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let start = Instant::now();
        let inputs = self.inputs.iter().map(|path| self.lock.open(path)).collect::<Result<Vec<Store>>>()?;
        let out = self.lock.new_store(&self.file)?;
        let bar = LateBar::new("merging");
        let merged = merge(&out, &inputs, &self.options(), &|done, total| bar.set(done, total))?;
        drop(bar);
        let wall_s = start.elapsed().as_secs_f64();
        self.tell(&merged);
        if self.json {
            let (file, inputs, complete) = (self.file.as_path(), self.inputs.as_slice(), merged.is_complete());
            json(&Report { file, inputs, merged: &merged, complete, wall_s })?;
        } else {
            print(&merged, wall_s)?;
        }
        Ok(if merged.is_complete() { Exit::Success } else { Exit::Found })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.inputs.iter().chain([&self.file]).cloned().collect()
    }
}

impl Args {
    fn options(&self) -> MergeOptions {
        let tables = self.tables.iter().map(|table| table.trim_matches('/').to_owned()).collect();
        MergeOptions {
            durability: self.durability.into(),
            concat: self.concat,
            tables: (!self.tables.is_empty()).then_some(tables),
            attributes: match self.attrs {
                AttrsArg::Same => Attributes::Same,
                AttrsArg::First => Attributes::First,
            },
        }
    }

    /// Warnings that are shown whatever the form of the report.
    fn tell(&self, merged: &Merged) {
        for (file, path, why) in &merged.left_out {
            say(format_args!("{path} of {} was not copied: {why}", file.display()));
        }
        for lost in &merged.lost {
            let (file, table, column, what) = (lost.file.display(), &lost.table, &lost.column, &lost.what);
            say(format_args!("column '{column}' of table '{table}' of {file} {what}: the rest of it was merged"));
        }
        for other in merged.attributes.iter().take(NAMED) {
            let (file, kept_of) = (other.file.display(), other.other.display());
            say(format_args!(
                "attribute '{}' of {} is {} in {file}: {}, of {kept_of}, was kept",
                other.attribute, other.object, other.value, other.kept
            ));
        }
        if merged.attributes.len() > NAMED {
            say(format_args!("and {} more attributes; all of them with --json", merged.attributes.len() - NAMED));
        }
        let there = &merged.already_there;
        for (file, path) in there.iter().take(NAMED) {
            let out = self.file.display();
            say(format_args!("{path} of {} already exists in {out}: it was kept, and not compared", file.display()));
        }
        if there.len() > NAMED {
            say(format_args!("and {} more; all of them with --json", there.len() - NAMED));
        }
        for table in merged.tables.iter().filter(|table| table.being_written > 0) {
            let (cells, name) = (table.being_written, &table.table);
            say(format_args!("{cells} cells of table '{name}' are being written: merge again when that is done"));
        }
    }
}

fn print(merged: &Merged, wall_s: f64) -> Result<()> {
    for table in &merged.tables {
        let taken: u64 = table.taken.iter().sum();
        let (name, rows, agreed) = (&table.table, table.rows, table.agreed);
        line(format!("table '{name}': {rows} rows, {taken} cells merged, {agreed} were there already"))?;
    }
    if merged.tables.is_empty() {
        line("no tables to merge")?;
    }
    let made = if merged.created { "made" } else { "added to" };
    line(format!("{made} in {wall_s:.3} s, {} objects copied", merged.objects))
}

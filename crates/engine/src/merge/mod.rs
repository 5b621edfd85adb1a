//! Merges files with the same tables into one. This is for file systems whose locks cannot be trusted, where each
//! worker writes a file of its own, and for results of several machines. See `docs/design/merge.md`.

mod build;
mod cells;
pub mod error;
mod plan;
mod rows;
mod structure;

use crate::store::{Durability, Store};
use h5part_base::error::{At, Error, ErrorKind, Item, Kind as _, Result};
use plan::{Joined, Plan};
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Called from time to time with the bytes read so far, and those to read in all.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

/// How to merge files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeOptions {
    /// What each block of rows survives once it is merged into an existing file.
    pub durability: Durability,
    /// Append the rows of each input to those of the inputs before it, instead of laying them over each other.
    pub concat: bool,
    /// Merge only these tables, and copy nothing else. `None`: everything.
    pub tables: Option<Vec<String>>,
    /// What to do about attributes of tables and columns that differ between the files.
    pub attributes: Attributes,
}

/// What to do about attributes that differ between the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attributes {
    /// Attributes of tables and columns must be equal.
    #[default]
    Same,
    /// Keep those of the first file that has them, and report the others.
    First,
}

/// What a merge did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Merged {
    /// Whether the file was created.
    pub created: bool,
    /// One entry per table that was merged by rows.
    pub tables: Vec<MergedTable>,
    /// Groups and datasets that the file lacked, including new tables and their columns.
    pub objects: u64,
    /// Objects and attributes of an input that could not be copied: file, path and reason.
    pub left_out: Vec<(PathBuf, String, String)>,
    /// Objects of an input outside of tables that existed already: file and path. They were kept without a comparison.
    pub already_there: Vec<(PathBuf, String)>,
    /// Attributes of an input that another file has with another value. That value was kept.
    pub attributes: Vec<OtherAttribute>,
    /// Columns of the inputs that other programs have deleted, renamed, shortened or retyped. The rest was merged.
    pub lost: Vec<Lost>,
    #[serde(skip)]
    keeps_first: bool,
}

/// An attribute that was not copied, since another file has it with another value.
#[derive(Clone, Debug, Serialize)]
pub struct OtherAttribute {
    /// The input.
    pub file: PathBuf,
    /// Path of the object.
    pub object: String,
    /// Name of the attribute.
    pub attribute: String,
    /// Its value in the input.
    pub value: String,
    /// The file whose value was kept.
    pub other: PathBuf,
    /// The value that was kept.
    pub kept: String,
}

/// A column of an input that is not as its stamps say.
#[derive(Clone, Debug, Serialize)]
pub struct Lost {
    /// The input.
    pub file: PathBuf,
    /// Path of the table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What happened to it.
    pub what: String,
}

/// What a merge did to one table.
#[derive(Clone, Debug, Serialize)]
pub struct MergedTable {
    /// Its path in the file.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Number of cells taken from each input.
    pub taken: Vec<u64>,
    /// Cells of an input that existed already with the same bytes.
    pub agreed: u64,
    /// Cells of the inputs that a writer was writing. They were left out.
    pub being_written: u64,
}

impl Merged {
    /// Whether the file now has everything that the inputs hold. With [`Attributes::First`], attributes that differ do
    /// not count.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let attributes = self.keeps_first || self.attributes.is_empty();
        let rows = self.lost.is_empty() && self.tables.iter().all(|table| table.being_written == 0);
        rows && attributes && self.left_out.is_empty()
    }
}

/// Merges the committed rows of `inputs` into `out`.
///
/// If `out` does not exist, it is built beside its name, synced and renamed into place. It gets everything that the
/// inputs hold, and a uuid of its own. If `out` exists, one structural change adds what it lacks. Then the tables are
/// merged by rows, in blocks. Cells that an input holds and `out` lacks are committed: all new cells of a row in one
/// commit. Cells that both hold must have the same bytes. Missing rows stay missing.
///
/// **Concurrency.** Other processes may write to an existing `out` meanwhile, and merge into it: a cell that appears
/// there is compared, not overwritten. Processes that want to create `out` wait until it exists. Inputs are read as
/// readers do, and never written. Rows that are written meanwhile may be in `out` or not, each as a whole. **Survives**
/// a kill at any instant: `out` does not exist or is sound, and the same call does the rest. With
/// [`Durability::Process`] one sync ends the merge.
///
/// # Errors
/// [`error::ErrorKind::Disagreement`] with both files: a new file is not created; in an existing one, nothing of that
/// block of rows was written, but the blocks before it were. [`error::ErrorKind::OtherColumns`],
/// [`error::ErrorKind::LeftByDead`] and [`error::ErrorKind::Damaged`] for inputs that do not fit, or are not sound;
/// [`ErrorKind::BadRequest`] if `out` is one of
/// the inputs; those of [`Store::change`], [`crate::store::Writer::commit`] and [`crate::store::Reader::read`].
pub fn merge(out: &Store, inputs: &[Store], options: &MergeOptions, progress: Progress<'_>) -> Result<Merged> {
    check_inputs(out, inputs)?;
    if options.concat && out.path().exists() {
        return Err(ErrorKind::AlreadyExists(Item::File).at("merge into", out.path()));
    }
    let found = plan::look(out, inputs)?;
    let mut tables = plan::plan(&found, options)?;
    let total = tables.iter().map(Joined::bytes).sum();
    let mut done = 0;
    let mut add = |bytes| {
        done += bytes;
        progress(done, total);
    };
    let is_there = out.path().exists();
    if is_there {
        check_dead_writers(&tables, inputs)?;
    }
    let mut merged = structure::complete(Plan { out, inputs, found: &found, tables: &tables, options }, &mut add)?;
    merged.keeps_first = options.attributes == Attributes::First;
    if merged.created {
        return Ok(merged);
    }
    if tables.iter().any(|joined| !joined.is_there) {
        // Another merge may have added tables meanwhile, from other inputs.
        tables = plan::plan(&plan::look(out, inputs)?, options)?;
    }
    if options.concat {
        // Another process created it meanwhile.
        return Err(ErrorKind::AlreadyExists(Item::File).at("merge into", out.path()));
    }
    if !is_there {
        check_dead_writers(&tables, inputs)?;
    }
    for joined in &tables {
        merged.tables.push(rows::merge(out, inputs, joined, options.durability, &mut add)?);
    }
    if options.durability == Durability::Process {
        out.sync()?;
    }
    Ok(merged)
}

/// Refuses to merge a file into itself.
fn check_inputs(out: &Store, inputs: &[Store]) -> Result<()> {
    let inode = |store: &Store| std::fs::metadata(store.path()).map(|m| (m.dev(), m.ino())).ok();
    match inputs.iter().find(|input| input.path() == out.path() || inode(input).is_some_and(|i| inode(out) == Some(i)))
    {
        None => Ok(()),
        Some(same) => {
            let text = format!("{} would be merged into itself: it is one of the inputs", same.path().display());
            Err(ErrorKind::BadRequest(text).at("merge into", out.path()))
        }
    }
}

fn check_dead_writers(tables: &[Joined], inputs: &[Store]) -> Result<()> {
    tables.iter().try_for_each(|joined| {
        let mut stamped = joined.sources.iter().filter(|source| source.stamped);
        stamped.try_for_each(|source| check_dead_writer(joined, &inputs[source.input]))
    })
}

/// Refuses values that a dead writer was overwriting. Recovery would put the old ones back, but it writes to the input.
fn check_dead_writer(joined: &Joined, input: &Store) -> Result<()> {
    let cells = input.left_by_dead(&joined.path)?;
    if cells > 0 {
        return Err(error::ErrorKind::LeftByDead { table: joined.path.clone(), cells }.at("merge", input.path()));
    }
    Ok(())
}

/// Attributes an error to an input.
fn of_input<T>(outcome: Result<T, ErrorKind>, input: &Store) -> Result<T, Error> {
    outcome.at("merge", input.path())
}

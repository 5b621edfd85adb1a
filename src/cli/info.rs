//! `h5part info`

mod tree;

use super::common::{LockArgs, ParentArgs};
use super::exit::Exit;
use super::output::{WIDEST, bytes, json, line, table_name};
use h5part::Result;
use h5part_base::dataspace::{Column, Dtype, Stamps, Table, shape_text};
use h5part_base::lock::{Holder, LockReport};
use h5part_engine::h5::{Listing, library_version};
use h5part_engine::store::Store;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show tables, columns, layout, stamps, and who holds which lock.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Show every group, table and dataset of the file, with shape, type, filters and attributes.
    #[arg(long, conflicts_with = "parent")]
    tree: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub parent: ParentArgs,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(Debug, Serialize)]
struct Info {
    file: PathBuf,
    bytes: u64,
    uuid: Option<String>,
    hdf5_version: String,
    tables: Vec<TableInfo>,
    locks: LockReport,
}

#[derive(Debug, Serialize)]
struct TableInfo {
    path: String,
    /// The parent file, if the table is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<PathBuf>,
    rows: u64,
    attributes: u64,
    stamped: bool,
    columns: Vec<ColumnInfo>,
    /// Other names of its columns, each with the name of its column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    /// Datasets that HDF5 cannot open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unopenable: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ColumnInfo {
    name: String,
    dtype: String,
    /// Shape of one row's cell.
    shape: Vec<u64>,
    fill: Option<String>,
    chunk: Option<Vec<u64>>,
    /// `direct` or `library`.
    access: &'static str,
    /// The reason, for library columns.
    reason: Option<String>,
    /// Why it is never written although it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<String>,
    stamped: bool,
    /// Whether it has no stamps although other columns of its table have.
    #[serde(skip)]
    left_out: bool,
    /// The value that says "undefined", if it is the guard of its table.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard_undefined: Option<String>,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let store = self.lock.open(&self.file)?;
        if self.tree {
            return tree::show(&store, self.json);
        }
        let locks = store.locks()?;
        // Others may block the rest, so the holders of locks are shown first.
        let busy = !(locks.gate.is_empty() && locks.file.is_empty());
        if busy && !self.json {
            print_locks(&locks)?;
        }
        let (uuid, len) = store.identity()?;
        let info = Info {
            file: store.path().to_path_buf(),
            bytes: len,
            uuid: uuid.map(|u| u.to_string()),
            hdf5_version: library_version(),
            tables: self.tables(&store)?,
            locks,
        };
        if self.json {
            json(&info)?;
        } else {
            info.print()?;
            if !busy {
                line("")?;
                print_locks(&info.locks)?;
            }
        }
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        [&self.file].into_iter().chain(&self.parent.parent).cloned().collect()
    }
}

impl Args {
    fn tables(&self, store: &Store) -> Result<Vec<TableInfo>> {
        let tables = self.parent.tables(&self.lock, store)?;
        let info = |(from, listing): &(Store, Listing)| TableInfo {
            parent: (from.path() != store.path()).then(|| from.path().to_owned()),
            ..TableInfo::new(listing)
        };
        Ok(tables.iter().map(info).collect())
    }
}

impl Info {
    fn print(&self) -> Result<()> {
        let uuid = self.uuid.as_deref().unwrap_or("none: h5part has not written to it");
        line(format!("{}: {}, uuid {uuid}", self.file.display(), bytes(self.bytes)))?;
        line(format!("HDF5 {}", self.hdf5_version))?;
        for table in &self.tables {
            let stamps = if table.stamped { "stamped" } else { "not stamped" };
            let parent = table.parent.as_ref().map_or_else(String::new, |file| format!(", in {}", file.display()));
            let TableInfo { path, rows, attributes, .. } = table;
            let path = table_name(path);
            line(format!("\ntable '{path}': {rows} rows, {stamps}, {attributes} attributes{parent}"))?;
            let width = table.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).min(WIDEST);
            for column in &table.columns {
                line(column.text(width))?;
            }
            for (name, column) in &table.aliases {
                line(format!("  {name:width$}  another name of '{column}'"))?;
            }
            for name in &table.unopenable {
                line(format!("  {name:width$} HDF5 cannot open it: see 'h5part verify'"))?;
            }
        }
        if self.tables.is_empty() {
            line("\nno tables")?;
        }
        Ok(())
    }
}

/// Shortens the description of a type with many members or fields.
fn shortened(dtype: &str) -> String {
    if dtype.chars().count() <= WIDEST {
        return dtype.to_owned();
    }
    dtype.chars().take(WIDEST - 1).chain(['…']).collect()
}

fn print_locks(locks: &LockReport) -> Result<()> {
    for (what, holders) in [("gate", &locks.gate), ("file", &locks.file), ("writers", &locks.writers)] {
        line(format!("{what}: {}", holders_text(holders)))?;
    }
    if locks.stale_notes > 0 {
        line(format!("notes of dead writers: {}", locks.stale_notes))?;
    }
    Ok(())
}

fn holders_text(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "nobody".to_owned();
    }
    let text = |h: &Holder| {
        let stopped = if h.stopped { ", stopped" } else { "" };
        format!("pid {} on {} ({}{stopped})", h.pid, h.host, h.command)
    };
    holders.iter().map(text).collect::<Vec<_>>().join("; ")
}

impl TableInfo {
    fn new(listing: &Listing) -> Self {
        let Table { path, rows, columns, stamps, aliases, unopenable, .. } = &listing.table;
        Self {
            path: path.clone(),
            parent: None,
            rows: *rows,
            attributes: listing.attributes,
            stamped: stamps.is_some(),
            columns: columns.iter().map(|column| ColumnInfo::new(column, stamps.as_ref())).collect(),
            aliases: aliases.iter().cloned().collect(),
            unopenable: unopenable.clone(),
        }
    }
}

impl ColumnInfo {
    fn new(column: &Column, stamps: Option<&Stamps>) -> Self {
        let dtype = column.dtype.clone();
        let guard = stamps.zip(column.stamp).and_then(|(stamps, place)| stamps.guard_at(place));
        Self {
            name: column.name.clone(),
            dtype: dtype.as_ref().map_or_else(Clone::clone, Dtype::to_string),
            shape: column.shape.clone(),
            fill: dtype.ok().map(|d| d.format_element(&column.fill)),
            chunk: column.chunk.clone(),
            access: match (&column.layout, &column.filters) {
                (Ok(_), _) => "direct",
                (Err(_), Some(_)) => "chunks",
                (Err(_), None) => "library",
            },
            reason: column.layout.as_ref().err().cloned(),
            read_only: column.frozen.clone(),
            stamped: column.stamp.is_some(),
            left_out: stamps.is_some() && column.stamp.is_none(),
            guard_undefined: guard.and_then(|guard| Some(column.dtype.clone().ok()?.format_element(&guard.undefined))),
        }
    }

    fn text(&self, width: usize) -> String {
        let chunk =
            self.chunk.as_ref().map_or_else(|| "contiguous".to_owned(), |c| format!("chunks {}", shape_text(c)));
        let fill = self.fill.as_deref().unwrap_or("-");
        let access = match &self.reason {
            Some(reason) => format!("{}: {reason}", self.access),
            None => self.access.to_owned(),
        };
        let guard =
            self.guard_undefined.as_ref().map_or_else(String::new, |text| format!(", guard (undefined {text})"));
        let left_out = if self.left_out { ", no stamp" } else { "" };
        let read_only = self.read_only.as_ref().map_or_else(String::new, |why| format!(", read only: {why}"));
        let (name, dtype, shape) = (&self.name, shortened(&self.dtype), shape_text(&self.shape));
        format!("  {name:width$}  {dtype:5} {shape:8} fill {fill}, {chunk}, {access}{guard}{left_out}{read_only}")
    }
}

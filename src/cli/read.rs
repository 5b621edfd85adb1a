//! `h5part read`

mod csv;

use super::common::{LockArgs, ParentArgs, rows};
use super::exit::Exit;
use super::output::say;
use super::outputs::{ForceArgs, Kind, check_apart};
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::{Dtype, Inner, Rows};
use h5part_base::error::At;
use h5part_base::num::to_usize;
use h5part_engine::store::{Block, CellState, Reader};
use h5part_input::npy::NpyWriter;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Rows are read in portions of about this many bytes.
const PORTION_BYTES: u64 = 64 << 20;

/// Read some rows of a column, also while others write.
///
/// Without -o, prints the values as text, one row per line. Gives the fill value for rows that are
/// not there, and reports their number on standard error.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table in the file.
    table: String,
    /// Name of the column.
    name: String,
    /// With --csv: further columns. Each row is as one commit left it.
    #[arg(value_name = "NAME", requires = "csv")]
    more: Vec<String>,
    /// Rows: 7, -1, 0:100, 0:100:2, comma-separated lists, @indices.npy or @mask.npy.
    #[arg(long, allow_hyphen_values = true, value_name = "SPEC")]
    rows: String,
    /// Read only part of each row: one slice per axis, as in --inner 0:3 or --inner :,2.
    #[arg(long, value_name = "SLICES")]
    inner: Option<String>,
    /// Print as CSV, with a header and the row numbers. Cells that are not there are empty.
    #[arg(long, conflicts_with_all = ["inner", "output", "mask"])]
    csv: bool,
    /// Write the values to a .npy file.
    #[arg(short, long, value_name = "OUT.npy")]
    output: Option<PathBuf>,
    /// Write a .npy file of bool that says which rows are there.
    #[arg(long, value_name = "MASK.npy")]
    mask: Option<PathBuf>,
    #[command(flatten)]
    force: ForceArgs,
    #[command(flatten)]
    pub parent: ParentArgs,
    #[command(flatten)]
    lock: LockArgs,
}

/// What to read.
struct What<'a> {
    name: &'a str,
    dtype: Dtype,
    /// Shape of a whole cell.
    cell: Vec<u64>,
    rows: Rows,
    inner: Inner,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let store = self.parent.find(&self.lock, &self.file, &self.table, Some(&self.name))?;
        let mut reader = store.reader(&self.table)?;
        if self.csv {
            let names: Vec<&str> = [&self.name].into_iter().chain(&self.more).map(String::as_str).collect();
            return csv::print(&mut reader, &names, &self.rows, &self.file);
        }
        if reader.table().rows == 0 && self.rows.trim() == ":" {
            return self.no_rows(&reader);
        }
        let rows = rows(&self.rows, reader.table().rows, &self.file)?;
        let stores: Vec<&Path> =
            [self.file.as_path(), store.path()].into_iter().chain(self.parent.parent.as_deref()).collect();
        let outputs: Vec<&Path> = [&self.output, &self.mask].into_iter().flatten().map(PathBuf::as_path).collect();
        check_apart(&stores, &outputs)?;
        outputs.iter().try_for_each(|output| self.force.allow(output, Kind::Npy))?;
        // This also reports an unknown column before any output is begun.
        reader.read(&self.name, &rows.slice(0, 1))?;
        let column = reader.table().readable(&self.name).at("read", &self.file)?.clone();
        let inner =
            self.inner.as_deref().map_or_else(|| Ok(Inner::all(&column.shape)), |t| Inner::parse(t, &column.shape));
        let what = What {
            name: &self.name,
            dtype: column.dtype().at("read", &self.file)?,
            cell: column.shape,
            rows,
            inner: inner.at("read", &self.file)?,
        };
        let (mut absent, mut changed) = (0u64, 0u64);
        let mut count = |block: &Block| {
            absent += block.states().iter().filter(|s| !s.is_present()).count() as u64;
            changed += block.states().iter().filter(|s| **s == CellState::Changed).count() as u64;
        };
        match &self.output {
            Some(path) => self.to_npy(path, &mut reader, &what, &mut count)?,
            None => self.to_text(&mut reader, &what, &mut count)?,
        }
        if absent > 0 {
            say(format_args!("{absent} of {} rows are not there: they hold fill", what.rows.len()));
        }
        if changed > 0 {
            say(format_args!("{changed} of them do not match their stamps: changed by another program, or damaged"));
            return Ok(Exit::Found);
        }
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        [&self.file].into_iter().chain(&self.parent.parent).cloned().collect()
    }
}

impl Args {
    /// Writes all rows of a table without rows: arrays of the right shape, without elements.
    fn no_rows(&self, reader: &Reader) -> Result<Exit> {
        let column = reader.table().readable(&self.name).at("read", &self.file)?;
        let empty = |path: &PathBuf, dtype, cell: &[u64]| {
            let shape: Vec<u64> = [0].into_iter().chain(cell.iter().copied()).collect();
            NpyWriter::create(path, dtype, &shape).and_then(NpyWriter::finish).at("write", path)
        };
        if let Some(path) = &self.output {
            empty(path, column.dtype().at("read", &self.file)?, &column.shape)?;
        }
        if let Some(path) = &self.mask {
            empty(path, Dtype::Bool, &[])?;
        }
        Ok(Exit::Success)
    }

    fn to_npy(
        &self,
        path: &PathBuf,
        reader: &mut Reader,
        what: &What<'_>,
        count: &mut impl FnMut(&Block),
    ) -> Result<()> {
        let shape: Vec<u64> = [what.rows.len()].into_iter().chain(what.inner.shape()).collect();
        let mut out = NpyWriter::create(path, what.dtype, &shape).at("write", path)?;
        self.each_portion(reader, what, |block| {
            count(block);
            out.push(block.bytes()).at("write", path)
        })?;
        out.finish().at("write", path)?;
        Ok(())
    }

    fn to_text(&self, reader: &mut Reader, what: &What<'_>, count: &mut impl FnMut(&Block)) -> Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let size = usize::try_from(what.dtype.size()).unwrap_or(8);
        let row = to_usize(what.inner.shape().iter().product::<u64>()) * size;
        let written = |outcome: std::io::Result<()>| outcome.map_err(ErrorKind::Io).at("write to", "standard output");
        self.each_portion(reader, what, |block| {
            count(block);
            for k in 0..block.states().len() {
                let values = block.bytes()[k * row..(k + 1) * row].chunks_exact(size);
                let texts: Vec<String> = values.map(|e| what.dtype.format_element(e)).collect();
                written(writeln!(out, "{}", texts.join(" ")))?;
            }
            Ok(())
        })?;
        written(out.flush())
    }

    fn each_portion(
        &self,
        reader: &mut Reader,
        what: &What<'_>,
        mut take: impl FnMut(&Block) -> Result<()>,
    ) -> Result<()> {
        let cell = what.cell.iter().product::<u64>() * what.dtype.size();
        let portion = (PORTION_BYTES / cell.max(1)).max(1);
        let mut mask = Vec::new();
        for from in (0..what.rows.len()).step_by(to_usize(portion)) {
            let rows = what.rows.slice(from, portion);
            let block = if what.inner.is_all() {
                reader.read(what.name, &rows)?
            } else {
                reader.read_inner(what.name, &rows, &what.inner)?
            };
            if self.mask.is_some() {
                mask.extend(block.states().iter().map(|s| u8::from(s.is_present())));
            }
            take(&block)?;
        }
        if let Some(path) = &self.mask {
            let mut out = NpyWriter::create(path, Dtype::Bool, &[what.rows.len()]).at("write", path)?;
            out.push(&mask).at("write", path)?;
            out.finish().at("write", path)?;
        }
        Ok(())
    }
}

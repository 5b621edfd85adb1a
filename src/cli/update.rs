//! `h5part update`

use super::common::{DurabilityArg, FenceArgs, LockArgs, portions, request, rows, split_last};
use super::exit::Exit;
use super::output::{LateBar, bytes, json, line, say};
use super::stream;
use h5part::Result;
use h5part_base::dataspace::{Column, Rows};
use h5part_base::error::At;
use h5part_engine::store::{Values, Writer, check_fit};
use h5part_input::npy::RowSource;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

const UPDATE: &str = "update";
/// What is not guaranteed for a table of another program.
const WITHOUT_STAMPS: &str = "rows are written under their locks, and synced, but readers may see a row \
half-written, a killed update leaves it so, and what other programs change is not noticed; 'h5part adopt' gives it \
stamps";

/// Write some rows in place, at the same time as any number of other processes.
///
/// Writes value i to row i of the selection. Streams large updates and commits them in portions of
/// about 8 MB. Each row is atomic over all columns.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table in the file.
    table: String,
    /// Rows: 7, -1, 0:100, 0:100:2, comma-separated lists, @indices.npy or @mask.npy.
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "SPEC",
        required_unless_present = "stream",
        conflicts_with = "stream"
    )]
    rows: Option<String>,
    /// Values of a column: a .npy file, or - for raw little-endian bytes from standard input.
    #[arg(long = "set", value_name = "NAME=VALUES.npy", value_parser = split_last,
          required_unless_present = "stream", conflicts_with = "stream")]
    sets: Vec<(String, String)>,
    /// Read commits as JSON lines from standard input: {"rows": "0:10", "set": {"E": "e.npy"}}, or with
    /// the values themselves: {"rows": [3, 4], "set": {"E": [1.5, 2.5]}}. A string is the value of a column
    /// of texts; {"npy": "e.npy"} names a file for any column. Answers each with one line:
    /// {"ok": true, "rows": 2} or {"ok": false, "error": ..., "code": ...}. {"end": true} ends the stream.
    #[arg(long)]
    stream: bool,
    /// Commit up to N requests that arrive together as one group, which shares locks and syncs.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "stream",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65536))]
    group: usize,
    /// Convert values of another type; fails if one of them does not fit.
    #[arg(long)]
    cast: bool,
    /// Overwrite values that another program wrote.
    #[arg(long)]
    accept_foreign: bool,
    /// What an acknowledged commit survives.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityArg,
    #[command(flatten)]
    fence: FenceArgs,
    /// Print the acknowledgement as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(Debug, Serialize)]
struct Acknowledged {
    rows: u64,
    bytes: u64,
    commits: u64,
    /// Whether rows are atomic and checked; see `h5part adopt`.
    stamped: bool,
    wall_s: f64,
}

/// One `--set`, with its source of rows.
struct Input {
    column: String,
    source: RowSource,
    /// Elements per cell.
    elements: u64,
    /// Shape of a cell.
    shape: Vec<u64>,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let mut writer = self.lock.open(&self.file)?.writer(&self.table)?;
        writer.set_durability(self.durability.into());
        writer.set_accept_foreign(self.accept_foreign);
        writer.set_fence(self.fence.fence()?);
        if writer.table().stamps.is_none() {
            say(format_args!("table '{}' has no stamps: {WITHOUT_STAMPS}", self.table));
        }
        if self.stream {
            return stream::run(&mut writer, &self.file, self.cast, self.group);
        }
        let start = Instant::now();
        let spec = self.rows.as_deref().unwrap_or_default();
        let rows = rows(spec, writer.table().rows, &self.file)?;
        rows.runs().at(UPDATE, &self.file)?;
        let (commits, bytes_written) = if rows.is_empty() {
            say("the selection is empty: nothing to do");
            (0, 0)
        } else {
            let mut inputs = self.inputs(&writer, &rows)?;
            self.commit_all(&mut writer, &rows, &mut inputs)?
        };
        let done = Acknowledged {
            rows: rows.len(),
            bytes: bytes_written,
            commits,
            stamped: writer.table().stamps.is_some(),
            wall_s: start.elapsed().as_secs_f64(),
        };
        if self.json {
            json(&done)?;
        } else {
            line(format!("committed {} rows, {}, in {:.3} s", done.rows, bytes(done.bytes), done.wall_s))?;
        }
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    /// Whether commits come from standard input.
    fn is_stream(&self) -> bool {
        self.stream
    }
}

impl Args {
    fn inputs(&self, writer: &Writer, rows: &Rows) -> Result<Vec<Input>> {
        if self.sets.iter().filter(|(_, path)| path == "-").count() > 1 {
            return Err(request(UPDATE, &self.file, "only one column can come from standard input"));
        }
        self.sets
            .iter()
            .map(|(name, path)| {
                let column = writer.table().column(name).at(UPDATE, &self.file)?;
                let source =
                    if path == "-" { self.raw(column, rows)? } else { self.npy(column, Path::new(path), rows)? };
                let elements = column.shape.iter().product();
                Ok(Input { column: name.clone(), source, elements, shape: column.shape.clone() })
            })
            .collect()
    }

    fn raw(&self, column: &Column, rows: &Rows) -> Result<RowSource> {
        let dtype = column.dtype().at(UPDATE, &self.file)?;
        let shape: Vec<u64> = [rows.len()].into_iter().chain(column.shape.iter().copied()).collect();
        Ok(RowSource::raw(Box::new(std::io::stdin()), dtype, &shape))
    }

    fn npy(&self, column: &Column, path: &Path, rows: &Rows) -> Result<RowSource> {
        let open = || RowSource::open(path).at("read", path);
        let mut source = open()?;
        let wanted = column.dtype().at(UPDATE, &self.file)?;
        let convert = |source: &mut RowSource| if self.cast { source.cast_to(wanted) } else { source.fit(wanted) };
        let is_other = source.dtype_out() != wanted;
        convert(&mut source);
        if is_other && source.dtype_out() == wanted {
            check_fit(column, wanted, source.shape(), rows.len()).at("read", path)?;
            // A value that does not fit must be found before anything is written.
            let mut trial = open()?;
            convert(&mut trial);
            let elements: u64 = column.shape.iter().product();
            for (_, portion) in portions(rows, elements * wanted.size()) {
                trial.next_rows(portion.len(), elements).at("read", path)?;
            }
        }
        check_fit(column, source.dtype_out(), source.shape(), rows.len()).at("read", path)?;
        Ok(source)
    }

    fn commit_all(&self, writer: &mut Writer, rows: &Rows, inputs: &mut [Input]) -> Result<(u64, u64)> {
        let row_bytes: u64 = inputs.iter().map(|i| i.elements * i.source.dtype_out().size()).sum();
        let bar = LateBar::new("updating");
        let (mut commits, mut written) = (0, 0);
        // Stamps of a wide table may take far more bytes than the values.
        let stamps = writer.table().stamps.as_ref().filter(|stamps| stamps.is_wide());
        let stamp_bytes = stamps.map_or(0, |stamps| stamps.width as u64 * 8);
        for (from, portion) in portions(rows, row_bytes + stamp_bytes) {
            let is_last = from + portion.len() == rows.len();
            let commit = commit_portion(writer, &portion, inputs, &self.file, is_last).inspect_err(|_| {
                if from > 0 {
                    say(format_args!("the first {from} of {} rows of the selection were committed before", rows.len()));
                }
            })?;
            commits += 1;
            written += commit;
            bar.set(written, rows.len() * row_bytes);
        }
        Ok((commits, written))
    }
}

fn commit_portion(
    writer: &mut Writer,
    portion: &Rows,
    inputs: &mut [Input],
    file: &Path,
    is_last: bool,
) -> Result<u64> {
    let mut values = Vec::with_capacity(inputs.len());
    for input in inputs.iter_mut() {
        let bytes = input.source.next_rows(portion.len(), input.elements).at("read values for", file)?;
        if is_last {
            input.source.expect_end().at("read values for", file)?;
        }
        let shape: Vec<u64> = [portion.len()].into_iter().chain(input.shape.iter().copied()).collect();
        values.push(Values::new(input.source.dtype_out(), &shape, bytes).at(UPDATE, file)?);
    }
    let sets: Vec<(&str, Values<'_>)> = inputs.iter().map(|i| i.column.as_str()).zip(values).collect();
    Ok(writer.commit(portion, &sets)?.bytes)
}

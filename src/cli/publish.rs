//! `h5part publish`

use super::common::LockArgs;
use super::exit::Exit;
use super::output::{LateBar, json, line, say};
use h5part::Result;
use h5part_engine::publish::{Packing, Published, Publishing};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Copy the committed rows to a compressed file for many readers.
///
/// The copy holds the committed rows with their stamps, and everything else in the file. It is built beside OUT, synced
/// and renamed: readers keep the file that they opened, and a kill at any instant leaves the old one. Publishing again
/// compresses only chunks that changed. The default is --gzip 4 --shuffle.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The working file; others may write to it meanwhile.
    #[arg(value_name = "WORK")]
    pub file: PathBuf,
    /// The published file; replaced if it was published from WORK.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Compress with gzip at this level, 0 to 9.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=9), group = "packing")]
    gzip: Option<u8>,
    /// Apply the shuffle filter before gzip.
    #[arg(long, requires = "gzip")]
    shuffle: bool,
    /// Compress with Zstandard at this level, 1 to 22. Smaller and faster, but readers need its HDF5 plugin.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=22), group = "packing")]
    zstd: Option<u8>,
    /// Do not compress, and store each column as one block, for views without a copy.
    #[arg(long, group = "packing")]
    plain: bool,
    /// Leave out rows that are not complete.
    #[arg(long)]
    only_complete: bool,
    /// Copy values that another program has changed instead of failing.
    #[arg(long)]
    accept_foreign: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a Path,
    output: &'a Path,
    #[serde(flatten)]
    published: &'a Published,
    wall_s: f64,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let start = Instant::now();
        let (work, out) = (self.lock.open(&self.file)?, self.lock.new_store(&self.output)?);
        let bar = LateBar::new("publishing");
        let published = work.publish(&out, self.how(), &|done, total| bar.set(done, total))?;
        drop(bar);
        let wall_s = start.elapsed().as_secs_f64();
        for (path, why) in &published.left_out {
            say(format_args!("{path} was not copied: {why}"));
        }
        if self.json {
            json(&Report { file: &self.file, output: &self.output, published: &published, wall_s })?;
        } else {
            print(&published, wall_s)?;
        }
        Ok(if published.left_out.is_empty() { Exit::Success } else { Exit::Found })
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }
}

impl Args {
    fn how(&self) -> Publishing {
        let gzip = |level| Packing::Gzip { level, shuffle: self.shuffle };
        let packing = match (self.gzip, self.zstd, self.plain) {
            (Some(level), _, _) => gzip(level),
            (_, Some(level), _) => Packing::Zstd { level },
            (_, _, true) => Packing::Plain,
            _ => Publishing::default().packing,
        };
        Publishing { packing, only_complete: self.only_complete, accept_foreign: self.accept_foreign }
    }
}

fn print(published: &Published, wall_s: f64) -> Result<()> {
    let Published { tables, rows, cells, missing, chunks, reused, bytes, file_bytes, left_out_rows, .. } = published;
    line(format!("{tables} tables, {rows} rows: {cells} cells published, {missing} are missing"))?;
    if *left_out_rows > 0 {
        line(format!("{left_out_rows} rows left out: they are not complete"))?;
    }
    if *chunks > 0 {
        line(format!("{chunks} chunks, {reused} of them as they were"))?;
    }
    let mib = |bytes: u64| {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let bytes = bytes as f64;
        bytes / f64::from(1 << 20)
    };
    line(format!("{:.1} MiB of values in {:.1} MiB, {wall_s:.3} s", mib(*bytes), mib(*file_bytes)))
}

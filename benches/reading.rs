//! Reads timed in one process, and what they are held against. `benches/peers` puts them beside h5py's, as JSON:
//!
//! - `reading read FILE TABLE COLUMN ROWS TIMES SECONDS`: `ROWS` a SPEC or `@rows.npy`; at least so many times, and
//!   at least so long. Wall time of each read, the processors' time of one, in seconds, and the CRC-32 of the values.
//! - `reading pread FILE CELL_BYTES ROWS TIMES SECONDS`: parallel bare `pread` of as many bytes as these rows have, as if
//!   they were all that is in the file, into huge pages as the reader does it.
//! - `reading write FILE TABLE COMMITS_PER_S`: commits of one row each, all columns, at that pace and over all rows,
//!   until standard input ends. Says `"ready"` after the first; at the end how many they were, and in which time.

use crc_fast::{CrcAlgorithm, checksum};
use h5part_base::dataspace::{Column, Rows};
use h5part_engine::store::{Block, Store, Values};
use h5part_input::npy::indices;
use memmap2::{Advice, MmapMut};
use nix::time::{ClockId, clock_gettime};
use rayon::prelude::*;
use serde::Serialize;
use std::error::Error;
use std::fs::File;
use std::io::{Read, stdin};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a thread reads with one call.
const PART_BYTES: usize = 512 << 10;
/// Less is not worth huge pages; the reader draws the line there, too.
const LARGE_BYTES: usize = 4 << 20;
/// Far from each other, one after the other, all of them in the end: a prime.
const STRIDE: u64 = 7919;

#[derive(Serialize)]
struct Reads {
    walls_s: Vec<f64>,
    cpu_s: f64,
    crc32: Option<u64>,
}

#[derive(Serialize)]
struct Writes {
    commits: u64,
    wall_s: f64,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let said = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["read", file, table, column, rows, times, seconds] => {
            let long = Long { times: times.parse()?, seconds: seconds.parse()? };
            serde_json::to_string(&read(file, table, column, rows, long)?)?
        }
        ["pread", file, cell, rows, times, seconds] => {
            let long = Long { times: times.parse()?, seconds: seconds.parse()? };
            serde_json::to_string(&pread(file, cell.parse()?, rows, long)?)?
        }
        ["write", file, table, pace] => serde_json::to_string(&write(file, table, pace.parse()?)?)?,
        // What `cargo bench` gives to every benchmark.
        _ => return Ok(()),
    };
    println!("{said}");
    Ok(())
}

fn rows_of(spec: &str, all: u64) -> Result<Rows> {
    Ok(match spec.strip_prefix('@') {
        Some(path) => Rows::list(&indices(Path::new(path), all)?),
        None => Rows::parse(spec, all)?,
    })
}

fn read(file: &str, table: &str, column: &str, rows: &str, long: Long) -> Result<Reads> {
    let mut reader = Store::open(file)?.reader(table)?;
    let rows = rows_of(rows, reader.table().rows)?;
    let crc32 = checksum(CrcAlgorithm::Crc32IsoHdlc, reader.read(column, &rows)?.bytes());
    let reads = timed(long, || Ok(reader.read(column, &rows)?))?;
    Ok(Reads { crc32: Some(crc32), ..reads })
}

fn pread(file: &str, cell_bytes: usize, rows: &str, long: Long) -> Result<Reads> {
    let file = File::open(file)?;
    let cell = cell_bytes as u64;
    let runs = rows_of(rows, file.metadata()?.len() / cell)?.runs()?;
    let parts = runs.parts((PART_BYTES / cell_bytes).max(1) as u64, None);
    let bytes = usize::try_from(runs.len() * cell)?;
    let fill = |mut rest: &mut [u8]| -> Result<()> {
        let mut places = Vec::with_capacity(parts.len());
        for part in &parts {
            let (here, more) = rest.split_at_mut(usize::try_from(part.len() * cell)?);
            places.push((part, here));
            rest = more;
        }
        places.into_par_iter().try_for_each(|(part, here)| {
            let cells = part.as_slice().iter().scan(here, |rest, run| {
                let len = usize::try_from(run.count * cell).unwrap_or(usize::MAX);
                let (here, more) = std::mem::take(rest).split_at_mut(len);
                *rest = more;
                Some((run.row * cell, here))
            });
            cells.into_iter().try_for_each(|(address, here)| file.read_exact_at(here, address))
        })?;
        Ok(())
    };
    timed(long, || {
        if bytes < LARGE_BYTES {
            let mut buf = vec![0; bytes];
            fill(&mut buf)?;
            return Ok(std::hint::black_box(buf).len());
        }
        let mut buf = MmapMut::map_anon(bytes)?;
        buf.advise(Advice::HugePage)?;
        fill(&mut buf)?;
        Ok(std::hint::black_box(buf).len())
    })
}

/// How long something is repeated: both must be reached.
#[derive(Clone, Copy)]
struct Long {
    times: usize,
    seconds: f64,
}

/// Does it once more than asked for: the first time, files and threads are cold. To give back what was read is part
/// of a read, as memory that is fresh each time is.
fn timed<T>(long: Long, mut work: impl FnMut() -> Result<T>) -> Result<Reads> {
    drop(work()?);
    let (begin, before) = (Instant::now(), cpu_s()?);
    let mut walls_s = Vec::new();
    while walls_s.len() < long.times || begin.elapsed().as_secs_f64() < long.seconds {
        let start = Instant::now();
        drop(std::hint::black_box(work()?));
        walls_s.push(start.elapsed().as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of reads")]
    let cpu_s = (cpu_s()? - before) / walls_s.len() as f64;
    Ok(Reads { walls_s, cpu_s, crc32: None })
}

/// The time that the processors gave to all threads of this process.
fn cpu_s() -> Result<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?).as_secs_f64())
}

fn write(file: &str, table: &str, commits_per_s: f64) -> Result<Writes> {
    let store = Store::open(file)?;
    let mut reader = store.reader(table)?;
    let stamped = |column: &&Column| column.stamp.is_some();
    let names: Vec<String> = reader.table().columns.iter().filter(stamped).map(|column| column.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let blocks = reader.read_columns(&names, &Rows::one(0))?;
    let values = |block: &Block| Values::new(block.dtype(), block.shape(), block.bytes().to_vec());
    let values = blocks.iter().map(values).collect::<std::result::Result<Vec<_>, _>>()?;
    let values: Vec<(&str, Values<'_>)> = names.into_iter().zip(values).collect();
    let rows = reader.table().rows;

    let mut writer = store.writer(table)?;
    let ended = AtomicBool::new(false);
    let mut commits = 0;
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = stdin().read_to_end(&mut Vec::new());
            ended.store(true, Ordering::Relaxed);
        });
        while !ended.load(Ordering::Relaxed) {
            writer.commit(&Rows::one((commits * STRIDE) % rows), &values)?;
            commits += 1;
            if commits == 1 {
                println!("\"ready\"");
            }
            #[expect(clippy::cast_precision_loss, reason = "a number of commits")]
            let due = Duration::from_secs_f64(commits as f64 / commits_per_s);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    Ok(Writes { commits, wall_s: start.elapsed().as_secs_f64() })
}

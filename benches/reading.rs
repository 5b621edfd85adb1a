//! Times of reads in one process, as JSON: what `benches/peers/reading.py` puts beside h5py's.
//!
//! `reading read FILE TABLE COLUMN ROWS TIMES` (`ROWS` a SPEC or `@rows.npy`), `reading pread FILE BYTES TIMES`
//! (parallel bare `pread` of the first bytes of the file), each the median of so many times, in seconds, and the
//! processor's time a call.

#![expect(clippy::cast_precision_loss, reason = "times for people")]

use h5part::dataspace::Rows;
use h5part::npy::indices;
use h5part::store::Store;
use memmap2::{Advice, MmapMut};
use nix::time::{ClockId, clock_gettime};
use rayon::prelude::*;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

const PART: usize = 512 << 10;

fn cpu() -> f64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0.0, |t| t.tv_sec() as f64 + t.tv_nsec() as f64 * 1e-9)
}

fn times(times: usize, mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    work()?;
    let mut walls = Vec::new();
    let before = cpu();
    for _ in 0..times {
        let start = Instant::now();
        work()?;
        walls.push(start.elapsed().as_secs_f64());
    }
    let cpu_s = (cpu() - before) / times as f64;
    walls.sort_by(f64::total_cmp);
    println!(r#"{{"median_s": {}, "min_s": {}, "cpu_s": {cpu_s}}}"#, walls[times / 2], walls[0]);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["read", file, table, column, rows, count] => {
            let mut reader = Store::open(file)?.reader(table)?;
            let rows = match rows.strip_prefix('@') {
                Some(path) => Rows::list(&indices(path.as_ref())?),
                None => Rows::parse(rows, reader.table().rows)?,
            };
            times(count.parse()?, || {
                let block = reader.read(column, &rows)?;
                std::hint::black_box(&block);
                Ok(())
            })
        }
        ["pread", file, bytes, count] => {
            let (file, bytes) = (File::open(file)?, bytes.parse::<usize>()?);
            times(count.parse()?, || {
                let mut buf = MmapMut::map_anon(bytes)?;
                buf.advise(Advice::HugePage)?;
                let parts = buf.par_chunks_mut(PART).enumerate();
                parts.try_for_each(|(k, part)| file.read_exact_at(part, (k * PART) as u64))?;
                std::hint::black_box(&buf);
                Ok(())
            })
        }
        // What `cargo bench` gives to every benchmark.
        _ => Ok(()),
    }
}

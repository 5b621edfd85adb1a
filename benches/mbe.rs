//! A process that saves ground truth batch after batch through the crate, as one that computes would do.
//! `benches/peers` puts several of them beside h5py:
//!
//! `mbe save FILE KEY METHOD ATOMS FIRST END BATCH DURABILITY`: says `"ready"`, waits for a line with the instant at
//! which to begin (seconds of the monotonic clock), saves frames `FIRST..END` a batch at a time, and says how many
//! batches that were, when the last one was acknowledged, and what they took of the processors' time.

use h5part_base::dataspace::Rows;
use h5part_engine::store::{Durability, Store, Values};
use h5part_mbe::{FrameStatus, Method, Results, Structure};
use ndarray::{Array1, Array3};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::error::Error;
use std::io::stdin;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Serialize)]
struct Done {
    saves: u64,
    end: f64,
    /// The processors' time of all of them.
    cpu_s: f64,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ["save", file, key, method, atoms, first, end, batch, durability] = args[..] else {
        // What `cargo bench` gives to every benchmark.
        return Ok(());
    };
    let durability = if durability == "power" { Durability::Power } else { Durability::Process };
    let frames = first.parse()?..end.parse()?;
    let done = save(file, key, method, atoms.parse()?, frames, batch.parse()?, durability)?;
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

fn save(
    file: &str,
    key: &str,
    method: &str,
    atoms: usize,
    frames: std::ops::Range<u64>,
    batch: usize,
    durability: Durability,
) -> Result<Done> {
    let structure = Structure::open(&Store::open(file)?, key)?;
    let mut saver = structure.ground_truth(&Method::new(method)?).saver()?;
    saver.set_durability(durability);
    let batches: Vec<_> = frames.step_by(batch).map(|first| values(first, batch, atoms)).collect();
    println!("\"ready\"");
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    wait_until(line.trim().parse()?)?;
    let before = now(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    for (first, energies, forces) in &batches {
        let results = Results {
            statuses: vec![FrameStatus::Completed],
            energies: Some(Values::from(energies)),
            forces: Some(Values::from(forces)),
        };
        saver.save(&Rows::range(*first..first + batch as u64), &results)?;
    }
    let cpu_s = now(ClockId::CLOCK_PROCESS_CPUTIME_ID)? - before;
    Ok(Done { saves: batches.len() as u64, end: now(ClockId::CLOCK_MONOTONIC)?, cpu_s })
}

/// Those of `CommitWork.values` in benches/peers/work.py.
#[expect(clippy::cast_precision_loss, reason = "numbers of frames and atoms")]
fn values(first: u64, batch: usize, atoms: usize) -> (u64, Array1<f64>, Array3<f64>) {
    let number = |k: usize| (first + k as u64) as f64;
    let energies = Array1::from_shape_fn(batch, |k| -76.0 - number(k) / 1024.0);
    let within = |i: usize, j: usize| (i * 3 + j + 1) as f64 / (atoms * 3 + 1) as f64;
    (first, energies, Array3::from_shape_fn((batch, atoms, 3), |(k, i, j)| number(k) + within(i, j)))
}

fn now(clock: ClockId) -> Result<f64> {
    Ok(Duration::from(clock_gettime(clock)?).as_secs_f64())
}

/// Sleeps, and spins at the end.
fn wait_until(start: f64) -> Result<()> {
    std::thread::sleep(Duration::from_secs_f64((start - 0.0002 - now(ClockId::CLOCK_MONOTONIC)?).max(0.0)));
    while now(ClockId::CLOCK_MONOTONIC)? < start {}
    Ok(())
}

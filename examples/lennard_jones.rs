//! The main job of h5part, from beginning to end; `make demo` runs it.
//!
//! Four worker processes compute energies and forces of 4,000 arrangements of argon atoms and
//! write them into one ordinary HDF5 file, in place, at the same time. One of them is killed with
//! SIGKILL on the way. Started again, it asks the file which of its frames are missing, and goes
//! on with those. At the end every value in the file is compared, bit for bit, with one that is
//! computed anew.
//!
//! What to read first:
//! - [`make_file`]: the file with its table, made before there are any workers;
//! - [`work`]: all that a worker does: which rows are missing? compute, commit;
//! - [`run_workers`]: starts them, watches the file, kills one and starts it again;
//! - [`check`]: reads everything back, through h5part and through the HDF5 library.
//!
//! In `lennard_jones/`: `table.rs` (columns and their values), `physics.rs` (what is computed),
//! `display.rs` (bars and strips) and `folder.rs` (where the file is made).

#[path = "lennard_jones/display.rs"]
mod display;
#[path = "lennard_jones/folder.rs"]
mod folder;
#[path = "lennard_jones/physics.rs"]
mod physics;
#[path = "lennard_jones/table.rs"]
mod table;

use clap::Parser;
use display::Display;
use folder::Folder;
use h5part::{Reader, Store};
use nix::sys::{prctl, signal::Signal};
use physics::Frame;
use rayon::prelude::*;
use std::io::Read;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use table::{ENERGY, FORCES, Frames, TABLE};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const WORKERS: u64 = 4;
/// The worker that is killed when a third of its frames is there.
const VICTIM: u64 = 2;
/// Frames a commit: few, so that there are many commits at once.
const BATCH: usize = 10;
/// Frames that are checked at once.
const PORTION: usize = 100;
/// Between two looks at the workers and at the file.
const TICK: Duration = Duration::from_millis(100);

/// Four processes write one HDF5 file at the same time; one of them is killed and started again;
/// in the end every row is checked.
#[derive(Parser)]
struct Args {
    /// The folder to work in: new, empty, or made by this demo before.
    #[arg(default_value = "demo")]
    dir: PathBuf,
    /// Number of frames.
    #[arg(long, value_name = "N", default_value_t = 4000,
          value_parser = clap::value_parser!(u64).range(WORKERS..=1_000_000))]
    frames: u64,
    /// Print the result of the check only.
    #[arg(long)]
    quiet: bool,
    /// Be the worker of this number, from 1.
    #[arg(long, hide = true)]
    worker: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.worker {
        Some(number) => work(&args, number),
        None => demo(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("lennard_jones: {e}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &Args) -> Result<()> {
    let display = Display::new(args.quiet);
    let folder = Folder::prepare(&args.dir)?;
    let store = make_file(&folder, args.frames)?;
    display.say(&format!(
        "{}: {} frames of {} argon atoms, by {WORKERS} processes, {BATCH} frames a commit",
        folder.file().display(),
        args.frames,
        physics::ATOMS
    ));
    run_workers(args, &store, &display)?;
    check(args.frames, &store, &display)?;
    display.say(&last_word(&folder));
    Ok(())
}

/// Makes the file with space for all frames: commits only fill it in.
fn make_file(folder: &Folder, frames: u64) -> Result<Store> {
    Ok(Store::create(folder.file(), table::description(frames))?)
}

/// What a worker process does. It need not know of the others.
fn work(args: &Args, number: u64) -> Result<()> {
    // End with the demo, however it ends.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let store = Store::open(folder::file_in(&args.dir))?;
    let missing = missing_frames(&mut store.reader(TABLE)?, share(number, args.frames))?;
    // Each commit is synced, and survives a loss of power. See `Writer::set_durability`.
    let mut writer = store.writer(TABLE)?;
    for numbers in missing.chunks(BATCH) {
        let frames: Vec<Frame> = numbers.iter().copied().map(Frame::compute).collect();
        Frames::new(&frames).commit(&mut writer, numbers)?;
    }
    Ok(())
}

/// The frames of a worker.
fn share(number: u64, frames: u64) -> Range<u64> {
    (number - 1) * frames / WORKERS..number * frames / WORKERS
}

/// The file itself says what is left to do. Every commit sets all columns, and a row is committed
/// whole or not at all: one column speaks for all.
fn missing_frames(reader: &mut Reader, frames: Range<u64>) -> Result<Vec<u64>> {
    let there = reader.read(ENERGY, frames.clone())?.mask();
    Ok(frames.zip(there).filter(|(_, there)| !there).map(|(frame, _)| frame).collect())
}

/// Starts the workers, and returns when all of them are done.
fn run_workers(args: &Args, store: &Store, display: &Display) -> Result<()> {
    let start = Instant::now();
    let mut workers = (1..=WORKERS).map(|number| Worker::start(args, number)).collect::<Result<Vec<_>>>()?;
    let mut meter = display.meter("committed", args.frames);
    let mut killed = false;
    loop {
        std::thread::sleep(TICK);
        let mut running = 0;
        for worker in &mut workers {
            running += u32::from(worker.is_running()?);
            if worker.number == VICTIM && !killed {
                killed = kill_and_restart(worker, args, store, display)?;
            }
        }
        let status = store.coverage(TABLE, display::PARTS)?;
        meter.show_coverage(&status);
        if running == 0 {
            drop(meter);
            display.say(&format!("all workers are done after {:.1} s\n", start.elapsed().as_secs_f64()));
            display.say(&display::strips(&status));
            break;
        }
    }
    if !killed {
        display.say(&format!("worker {VICTIM} was done before it could be killed: try more frames"));
    }
    Ok(())
}

/// Kills the worker if a third of its frames is there and it still has something to do.
fn kill_and_restart(worker: &mut Worker, args: &Args, store: &Store, display: &Display) -> Result<bool> {
    let frames = share(worker.number, args.frames);
    let all = frames.end - frames.start;
    let there = || -> Result<u64> { Ok(all - missing_frames(&mut store.reader(TABLE)?, frames.clone())?.len() as u64) };
    if there()? * 3 < all || !worker.kill()? {
        return Ok(false);
    }
    display.say(&format!("worker {} was killed (SIGKILL): {} of its {all} frames are there", worker.number, there()?));
    *worker = Worker::start(args, worker.number)?;
    display.say(&format!("worker {} was started again, and goes on with those that are missing", worker.number));
    Ok(true)
}

/// A worker process. It is killed when it goes out of scope.
struct Worker {
    number: u64,
    process: Child,
}

impl Worker {
    fn start(args: &Args, number: u64) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(format!("--frames={}", args.frames)).arg(format!("--worker={number}")).arg("--").arg(&args.dir);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        Ok(Self { number, process })
    }

    /// An end that is not a success is an error, with what the worker said.
    fn is_running(&mut self) -> Result<bool> {
        let Some(status) = self.process.try_wait()? else { return Ok(true) };
        if status.success() {
            return Ok(false);
        }
        let mut said = "\n".to_owned();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        Err(format!("worker {} failed ({status}){}", self.number, said.trim_end()).into())
    }

    /// Returns whether it was killed: it may have been done before.
    fn kill(&mut self) -> Result<bool> {
        self.process.kill()?;
        Ok(self.process.wait()?.signal() == Some(Signal::SIGKILL as i32))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already, unless something failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Computes every frame anew and compares it with what is in the file, read in two ways.
fn check(frames: u64, store: &Store, display: &Display) -> Result<()> {
    let mut reader = store.reader(TABLE)?;
    let library = hdf5::File::open(store.path())?;
    let mut meter = display.meter("checked", frames);
    let mut wrong = 0;
    for first in (0..frames).step_by(PORTION) {
        let rows = first..frames.min(first + PORTION as u64);
        let anew: Vec<Frame> = rows.clone().into_par_iter().map(Frame::compute).collect();
        let anew = Frames::new(&anew);
        let copies = [Frames::read(&mut reader, rows.clone())?, Frames::read_by_library(&library, rows.clone())?];
        wrong += (0..anew.len()).filter(|&k| copies.iter().any(|copy| !copy.is_same(&anew, k))).count();
        meter.show(rows.end);
    }
    drop(meter);
    if wrong > 0 {
        return Err(format!("{wrong} of {frames} frames differ from what is computed anew").into());
    }
    let (major, minor, release) = hdf5::library_version();
    display.say("");
    println!("every row checked: {frames} of {frames} frames are, bit for bit, what is computed anew");
    println!("(read through h5part, and through the HDF5 library {major}.{minor}.{release})");
    Ok(())
}

/// Where the file is, and what to do with it.
fn last_word(folder: &Folder) -> String {
    let (file, h5part) = (folder.file(), folder::program());
    let (file, h5part) = (file.display(), h5part.display());
    format!(
        r#"
It is an ordinary HDF5 file. In Python, with h5py:

    import h5py
    table = h5py.File("{file}")["{TABLE}"]
    print(table["{ENERGY}"][:5], table["{FORCES}"][0, :3], sep="\n")

What h5part knows of it:

    {h5part} info {file}
    {h5part} status {file}"#
    )
}

//! `h5part mbe`: ground truth of `mbe_automation`, saved by many processes.

mod create;
mod init;
mod read;
mod save;
mod select;
mod status;
mod stream;
mod values;

use super::common::{LockArgs, rows};
use super::exit::Exit;
use clap::Subcommand;
use h5part::Result;
use h5part_base::dataspace::Rows;
use h5part_base::error::At;
use h5part_mbe::{GroundTruth, Method, Quantity, Structure, check_frames, of_frames};
use std::path::{Path, PathBuf};

/// Save energies and forces of `mbe_automation`'s structures from many processes at once.
///
/// Python reads and writes the same file, under the lock that both sides share: see docs/mbe.md.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Save(save::Args),
    Select(select::Args),
    Read(read::Args),
    Status(status::Args),
    Create(create::Args),
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        match &self.command {
            Command::Init(args) => args.run(),
            Command::Save(args) => args.run(),
            Command::Select(args) => args.run(),
            Command::Read(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::Create(args) => args.run(),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let file = match &self.command {
            Command::Init(args) => &args.place.file,
            Command::Save(args) => &args.place.file,
            Command::Select(args) => &args.place.file,
            Command::Read(args) => &args.place.file,
            Command::Status(args) => &args.file,
            Command::Create(args) => &args.file,
        };
        vec![file.clone()]
    }

    /// Whether batches come from standard input.
    fn is_stream(&self) -> bool {
        matches!(&self.command, Command::Save(args) if args.is_stream())
    }
}

/// Parses `--frames`: a SPEC, or `@FILE.npy` with frame numbers. Each frame may be named once.
fn frames(spec: &str, count: u64, file: &Path) -> Result<Rows> {
    let selected = rows(spec, count, file).map_err(|e| e.map_kind(of_frames))?;
    check_frames(&selected, count).at("select frames of", file)?;
    Ok(selected)
}

/// A ground truth.
#[derive(Debug, clap::Args)]
struct Place {
    /// The HDF5 file.
    file: PathBuf,
    /// Key of the structure: a `Structure`, `Trajectory` or `FiniteSubsystem`.
    key: String,
    /// Level of theory, e.g. r2scan-d4/def2-tzvp.
    #[arg(long, value_name = "NAME")]
    method: String,
    #[command(flatten)]
    lock: LockArgs,
}

impl Place {
    fn truth(&self) -> Result<GroundTruth> {
        let method = Method::new(&self.method).at("work on", &self.file)?;
        Ok(Structure::open(&self.lock.open(&self.file)?, &self.key)?.ground_truth(&method))
    }
}

/// The quantities that two switches select.
fn quantities(energies: bool, forces: bool) -> Vec<Quantity> {
    let asked = [energies, forces].into_iter().zip(Quantity::ALL);
    asked.filter(|(asked, _)| *asked).map(|(_, quantity)| quantity).collect()
}

//! `h5part mbe select`

use super::{Place, frames, quantities};
use crate::cli::exit::Exit;
use crate::cli::output::{line, raw};
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::Rows;
use h5part_mbe::Chunk;
use std::fmt::Write;

/// Print the frames that are not COMPLETED, one number per line, counted from 0.
///
/// Prints nothing when nothing is left. --chunk divides all frames, or those of --frames, before it leaves out
/// COMPLETED ones. So the chunks of several processes with the same --frames never overlap.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub place: Place,
    /// Select from these frames only: 7, -1, 0:100, 0:100:2, comma-separated lists, @indices.npy or @mask.npy.
    #[arg(long, allow_hyphen_values = true, value_name = "SPEC")]
    frames: Option<String>,
    /// Select from part i of n, counted from 1, or from the part of this SLURM array task.
    #[arg(long, value_name = "i/n|slurm", value_parser = chunk)]
    chunk: Option<Chunk>,
    /// Include COMPLETED frames.
    #[arg(long)]
    overwrite: bool,
    /// Include COMPLETED frames without energies (NaN).
    #[arg(long)]
    energies: bool,
    /// Include COMPLETED frames without forces (NaN).
    #[arg(long)]
    forces: bool,
    /// Print one SPEC, for --frames and --rows.
    #[arg(long)]
    spec: bool,
}

fn chunk(text: &str) -> Result<Chunk, ErrorKind> {
    if text == "slurm" { Chunk::of_slurm(|name| std::env::var(name).ok()) } else { text.parse() }
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let truth = self.place.truth()?;
        let selection = self.frames.as_deref().map(|spec| frames(spec, truth.structure().frames(), &self.place.file));
        let selection = selection.transpose()?;
        let lacking = quantities(self.energies, self.forces);
        let left = truth.reader()?.to_compute(selection.as_ref(), self.chunk, self.overwrite, &lacking)?;
        if self.spec && !left.is_empty() {
            line(Rows::list(&left).to_string())?;
        } else if !self.spec {
            let mut lines = String::new();
            for frame in left {
                let _ = writeln!(lines, "{frame}");
            }
            raw(lines.as_bytes())?;
        }
        Ok(Exit::Success)
    }
}

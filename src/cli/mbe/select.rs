//! `h5part mbe select`

use super::{Place, frames, quantities};
use crate::cli::exit::Exit;
use crate::cli::output::{line, raw};
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::Rows;
use h5part_mbe::Chunk;
use std::fmt::Write;

/// Print the frames that are to be computed: those whose status is not COMPLETED, one number a line, from 0.
///
/// Nothing is printed when nothing is left. Chunks part all frames, or those of --frames, before those
/// that are COMPLETED are left out, so that those of several processes with the same --frames never overlap.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub place: Place,
    /// Of these frames only: 7, -1, 0:100, 0:100:2, lists with commas, @indices.npy or @mask.npy.
    #[arg(long, allow_hyphen_values = true, value_name = "SPEC")]
    frames: Option<String>,
    /// Part i of n of the frames (of all, or of --frames), counted from 1, or the part of this task of a SLURM job array.
    #[arg(long, value_name = "i/n|slurm", value_parser = chunk)]
    chunk: Option<Chunk>,
    /// COMPLETED frames, too.
    #[arg(long)]
    overwrite: bool,
    /// COMPLETED frames, too, where their energies are not there (NaN).
    #[arg(long)]
    energies: bool,
    /// COMPLETED frames, too, where their forces are not there (NaN).
    #[arg(long)]
    forces: bool,
    /// Print one SPEC, as --frames and --rows take it.
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

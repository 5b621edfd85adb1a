//! `h5part mbe init`

use super::{Place, quantities};
use crate::cli::exit::Exit;
use crate::cli::output::line;
use h5part::Result;
use h5part_mbe::{Prepared, Quantity};

/// Prepare a structure for energies and forces at a level of theory.
///
/// Creates the missing datasets, with every frame UNDEFINED and its values NaN. Leaves existing datasets as they are;
/// COMPLETED frames that Python saved count as saved. May be repeated, also by several processes at once.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub place: Place,
    /// Prepare energies [default: energies and forces].
    #[arg(long)]
    energies: bool,
    /// Prepare forces [default: energies and forces].
    #[arg(long)]
    forces: bool,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let truth = self.place.truth()?;
        let mut wanted = quantities(self.energies, self.forces);
        if wanted.is_empty() {
            wanted = Quantity::ALL.to_vec();
        }
        let prepared = truth.prepare(&wanted)?;
        let words: Vec<&str> = wanted.iter().map(|quantity| quantity.word()).collect();
        let (structure, words) = (truth.structure(), words.join(" and "));
        let how = match prepared {
            Prepared::Made => "prepared",
            Prepared::Adopted => "took over, as Python had made them,",
            Prepared::AlreadyThere => "had prepared already",
        };
        let (method, frames, path) = (truth.method().name(), structure.frames(), structure.path());
        line(format!("{how} {words} of '{method}' for {frames} frames of {path}"))?;
        Ok(Exit::Success)
    }
}

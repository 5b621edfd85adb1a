//! `h5part mbe save`

use super::values::{NpyValues, statuses};
use super::{Place, frames, stream};
use crate::cli::common::{DurabilityArg, FenceArgs, portions};
use crate::cli::exit::Exit;
use crate::cli::output::{LateBar, json, line, say};
use h5part::Result;
use h5part_base::dataspace::Rows;
use h5part_base::error::At;
use h5part_base::num::to_usize;
use h5part_mbe::{FrameStatus, Quantity, Results, Saved, Saver, check_statuses};
use std::path::PathBuf;

/// Save energies and forces of some frames, at the same time as any number of other processes.
///
/// Saves value i to frame i of the selection. Leaves frames that are already COMPLETED as they are. Writes
/// energies and forces only for frames whose new status is COMPLETED; for others only the status.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub place: Place,
    /// Frames: 7, -1, 0:100, 0:100:2, comma-separated lists, @indices.npy or @mask.npy.
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "SPEC",
        required_unless_present = "stream",
        conflicts_with = "stream"
    )]
    frames: Option<String>,
    /// Energies in eV per atom: f64 (frames).
    #[arg(long, value_name = "E.npy", conflicts_with = "stream")]
    energies: Option<PathBuf>,
    /// Forces in eV/Å: f64 (frames, atoms, 3).
    #[arg(long, value_name = "F.npy", conflicts_with = "stream")]
    forces: Option<PathBuf>,
    /// Status of all frames: COMPLETED, `SCF_NOT_CONVERGED`, FAILED, UNDEFINED or its number; or a .npy
    /// file with one whole number per frame.
    #[arg(long, value_name = "VALUE|S.npy", default_value = "COMPLETED", conflicts_with = "stream")]
    status: String,
    /// Overwrite COMPLETED frames as well.
    #[arg(long)]
    overwrite: bool,
    /// Read batches as JSON lines from standard input:
    /// {"frames": "0:10", "set": {"energies": "e.npy", "forces": "f.npy", "status": "COMPLETED"}}.
    /// Values may also be lists of numbers. Answers each line with one line:
    /// {"ok": true, "completed": 10, "marked": 0, "left": 0} or {"ok": false, "error": ..., "code": ...}.
    #[arg(long)]
    stream: bool,
    /// Convert values of another type; fails if one of them does not fit.
    #[arg(long)]
    cast: bool,
    /// What saved frames survive.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityArg,
    #[command(flatten)]
    fence: FenceArgs,
    /// Print what was saved as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Whether batches come from standard input.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    pub fn run(&self) -> Result<Exit> {
        let truth = self.place.truth()?;
        let mut saver = truth.saver()?;
        saver.set_durability(self.durability.into());
        saver.set_overwrite(self.overwrite);
        saver.writer().set_fence(self.fence.fence()?);
        if self.stream {
            return stream::run(&mut saver, &truth, &self.place.file, self.cast);
        }
        let spec = self.frames.as_deref().unwrap_or_default();
        let frames = frames(spec, truth.structure().frames(), &self.place.file)?;
        let statuses = statuses(&self.status, frames.len())?;
        // Frames are saved in portions, so all statuses are checked before the first.
        check_statuses(&frames, &statuses).at("save to", &self.place.file)?;
        self.warn(&saver, &statuses);
        let saved = self.save(&mut saver, &frames, &statuses)?;
        if self.json {
            json(&saved)?;
        } else {
            let Saved { completed, marked, left } = saved;
            let marked = if marked > 0 { format!(", {marked} with their status alone") } else { String::new() };
            let left = if left > 0 { format!(", {left} kept as they were") } else { String::new() };
            line(format!("saved {completed} frames{marked}{left}"))?;
        }
        Ok(Exit::Success)
    }

    /// Warns that prepared quantities that are not given will be missing in frames that count as complete.
    fn warn(&self, saver: &Saver, statuses: &[FrameStatus]) {
        let given = super::quantities(self.energies.is_some(), self.forces.is_some());
        let absent = saver.quantities().iter().filter(|quantity| !given.contains(quantity));
        for quantity in absent.filter(|_| !given.is_empty() && statuses.iter().any(|status| status.is_completed())) {
            say(format_args!(
                "{} were prepared and are not given: frames that lack them are COMPLETED nevertheless, and listed by \
                 'h5part mbe status'",
                quantity.word()
            ));
        }
    }

    fn save(&self, saver: &mut Saver, frames: &Rows, statuses: &[FrameStatus]) -> Result<Saved> {
        let mut sources = Vec::new();
        for (quantity, path) in Quantity::ALL.into_iter().zip([&self.energies, &self.forces]) {
            if let Some(path) = path {
                sources.push((quantity, NpyValues::open(saver, quantity, path, frames.len(), self.cast)?));
            }
        }
        let row_bytes: u64 = sources.iter().map(|(_, source)| source.elements * 8).sum();
        let bar = LateBar::new("saving");
        let mut saved = Saved::default();
        for (from, portion) in portions(frames, row_bytes.max(8)) {
            let mut results = Results { statuses: part(statuses, from, portion.len()), energies: None, forces: None };
            for (quantity, source) in &mut sources {
                let values = Some(source.next(portion.len())?);
                match quantity {
                    Quantity::Energies => results.energies = values,
                    Quantity::Forces => results.forces = values,
                }
            }
            let more = saver.save(&portion, &results).inspect_err(|_| {
                if from > 0 {
                    say(format_args!("the first {from} of {} frames of the selection were saved before", frames.len()));
                }
            })?;
            saved = saved.and(more);
            bar.set((from + portion.len()) * row_bytes, frames.len() * row_bytes);
        }
        Ok(saved)
    }
}

fn part(statuses: &[FrameStatus], from: u64, count: u64) -> Vec<FrameStatus> {
    if let [one] = statuses {
        return vec![*one];
    }
    statuses.iter().copied().skip(to_usize(from)).take(to_usize(count)).collect()
}

//! `h5part mbe read`

use super::{Place, frames};
use crate::cli::exit::Exit;
use crate::cli::output::{line, say};
use crate::cli::outputs::{ForceArgs, Kind, check_apart};
use h5part::Result;
use h5part_base::dataspace::{Dtype, Rows};
use h5part_base::error::At;
use h5part_base::num::to_usize;
use h5part_input::npy::NpyWriter;
use h5part_mbe::{Frames, Quantity, TruthReader};
use std::path::{Path, PathBuf};

/// Frames are read in portions of about this many bytes.
const PORTION_BYTES: u64 = 64 << 20;

/// Read energies, forces and statuses of some frames.
///
/// Gives NaN for frames that are not COMPLETED. Without an output file, prints number, status and energy, one
/// frame per line.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub place: Place,
    /// Frames: 7, -1, 0:100, 0:100:2, comma-separated lists, @indices.npy or @mask.npy.
    #[arg(long, allow_hyphen_values = true, value_name = "SPEC", default_value = ":")]
    frames: String,
    /// Write the energies to this .npy file: f64 (frames), eV per atom.
    #[arg(long, value_name = "OUT.npy")]
    energies: Option<PathBuf>,
    /// Write the forces to this .npy file: f64 (frames, atoms, 3), eV/Å.
    #[arg(long, value_name = "OUT.npy")]
    forces: Option<PathBuf>,
    /// Write the statuses to this .npy file: i64 (frames).
    #[arg(long, value_name = "OUT.npy")]
    status: Option<PathBuf>,
    #[command(flatten)]
    force: ForceArgs,
}

/// A .npy file under construction.
struct Output<'a> {
    path: &'a Path,
    npy: NpyWriter,
}

impl<'a> Output<'a> {
    fn of(path: Option<&'a Path>, dtype: Dtype, shape: &[u64]) -> Result<Option<Self>> {
        let Some(path) = path else { return Ok(None) };
        Ok(Some(Self { path, npy: NpyWriter::create(path, dtype, shape).at("write", path)? }))
    }

    fn push<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> Result<()> {
        self.npy.push(bytemuck::cast_slice(values)).at("write", self.path)
    }

    fn finish(self) -> Result<()> {
        self.npy.finish().at("write", self.path)
    }
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let truth = self.place.truth()?;
        let mut reader = truth.reader()?;
        let frames = frames(&self.frames, reader.frames(), &self.place.file)?;
        let (n, atoms) = (frames.len(), truth.structure().atoms());
        let outputs = [&self.energies, &self.forces, &self.status];
        let outputs: Vec<&Path> = outputs.into_iter().flatten().map(PathBuf::as_path).collect();
        check_apart(&[&self.place.file, truth.structure().store().path()], &outputs)?;
        outputs.iter().try_for_each(|output| self.force.allow(output, Kind::Npy))?;
        if outputs.is_empty() {
            return print(&mut reader, &frames);
        }
        let wanted = super::quantities(self.energies.is_some(), self.forces.is_some());
        // Missing quantities are reported before any output is begun.
        reader.read(&frames.slice(0, 1), &wanted)?;
        let mut energies = Output::of(self.energies.as_deref(), Dtype::F64, &[n])?;
        let mut forces = Output::of(self.forces.as_deref(), Dtype::F64, &[n, atoms, 3])?;
        let mut status = Output::of(self.status.as_deref(), Dtype::I64, &[n])?;
        let mut not_completed = 0;
        each_portion(&mut reader, &frames, &wanted, atoms, |_, read| {
            not_completed += read.statuses.iter().filter(|status| !status.is_completed()).count();
            if let (Some(out), Some(values)) = (&mut energies, &read.energies) {
                out.push(values)?;
            }
            if let (Some(out), Some(values)) = (&mut forces, &read.forces) {
                out.push(values)?;
            }
            let numbers: Vec<i64> = read.statuses.iter().map(|status| status.number()).collect();
            status.as_mut().map_or(Ok(()), |out| out.push(&numbers))
        })?;
        for out in [energies, forces, status].into_iter().flatten() {
            out.finish()?;
        }
        if not_completed > 0 {
            say(format_args!("{not_completed} of {n} frames are not COMPLETED: their values are NaN"));
        }
        Ok(Exit::Success)
    }
}

fn print(reader: &mut TruthReader, frames: &Rows) -> Result<Exit> {
    let energies = reader.present().quantities.contains(&Quantity::Energies);
    let wanted = if energies { vec![Quantity::Energies] } else { Vec::new() };
    each_portion(reader, frames, &wanted, 0, |rows, read| {
        for (k, (frame, status)) in rows.iter().zip(&read.statuses).enumerate() {
            match read.energies.as_ref().and_then(|energies| energies.get(k)) {
                Some(energy) => line(format!("{frame} {status} {energy:?}"))?,
                None => line(format!("{frame} {status}"))?,
            }
        }
        Ok(())
    })?;
    Ok(Exit::Success)
}

fn each_portion(
    reader: &mut TruthReader,
    frames: &Rows,
    wanted: &[Quantity],
    atoms: u64,
    mut take: impl FnMut(&Rows, &Frames) -> Result<()>,
) -> Result<()> {
    let portion = (PORTION_BYTES / (atoms.saturating_mul(24) + 16)).max(1);
    for from in (0..frames.len()).step_by(to_usize(portion)) {
        let rows = frames.slice(from, portion);
        take(&rows, &reader.read(&rows, wanted)?)?;
    }
    Ok(())
}

//! `h5part mbe create`

use crate::cli::common::{LockArgs, elements, request};
use crate::cli::exit::Exit;
use crate::cli::output::{line, say};
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::Dtype;
use h5part_base::error::At;
use h5part_input::npy::RowSource;
use h5part_mbe::{Array, NewStructure, Xyz, XyzKeys};
use std::fs::File;
use std::io::{BufReader, stdin};
use std::path::{Path, PathBuf};

const MAKE: &str = "make a structure in";

/// Make a structure from extended XYZ or from .npy files, in a new or existing file.
///
/// Uses the layout that Python uses. Never touches an existing key.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Key of the structure, e.g. training/urea.
    key: String,
    /// Extended XYZ file, or - for standard input. Lattice, energy (eV, of all atoms) and forces (eV/Å)
    /// are imported as well; either all frames have them, or none.
    #[arg(long, value_name = "IN.xyz", required_unless_present = "positions", conflicts_with = "positions")]
    xyz: Option<PathBuf>,
    /// Key of the energy in the XYZ file.
    #[arg(long, value_name = "KEY", default_value = "energy", requires = "xyz")]
    energy_key: String,
    /// Column of the forces in the XYZ file.
    #[arg(long, value_name = "NAME", default_value = "forces", requires = "xyz")]
    forces_key: String,
    /// Positions in Å: (frames, atoms, 3), or (atoms, 3) for one frame.
    #[arg(long, value_name = "IN.npy", requires = "atomic_numbers")]
    positions: Option<PathBuf>,
    /// Atomic numbers: (atoms) or (frames, atoms).
    #[arg(long, value_name = "IN.npy", requires = "positions")]
    atomic_numbers: Option<PathBuf>,
    /// Masses in u, in the shape of the atomic numbers [default: standard atomic weights].
    #[arg(long, value_name = "IN.npy", requires = "positions")]
    masses: Option<PathBuf>,
    /// Cell vectors in Å: (3, 3) or (frames, 3, 3).
    #[arg(long, value_name = "IN.npy", requires = "positions")]
    cell_vectors: Option<PathBuf>,
    /// Level of theory at which the frames were generated.
    #[arg(long, value_name = "NAME")]
    level_of_theory: Option<String>,
    #[command(flatten)]
    lock: LockArgs,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let store = self.lock.new_store(&self.file)?;
        let made = match (&self.xyz, &self.positions, &self.atomic_numbers) {
            (Some(xyz), ..) => self.of_xyz(xyz)?.create(&store, &self.key)?,
            (None, Some(positions), Some(numbers)) => {
                // All values are checked first, so that an error at the end leaves nothing behind.
                self.of_npy(positions, numbers)?.check(&self.key).at(MAKE, &self.file)?;
                self.of_npy(positions, numbers)?.create(&store, &self.key)?
            }
            _ => return Err(request(MAKE, &self.file, "--xyz, or --positions and --atomic-numbers, are needed")),
        };
        let periodic = if made.is_periodic() { ", periodic" } else { "" };
        let (path, frames, atoms) = (made.path(), made.frames(), made.atoms());
        line(format!("made {path} in {}: {frames} frames of {atoms} atoms{periodic}", self.file.display()))?;
        Ok(Exit::Success)
    }

    fn of_xyz(&self, path: &Path) -> Result<NewStructure<'static>> {
        let keys = XyzKeys { energy: self.energy_key.clone(), forces: self.forces_key.clone() };
        let xyz = if path == Path::new("-") {
            Xyz::read(&mut stdin().lock(), &keys)
        } else {
            File::open(path).map_err(ErrorKind::from).and_then(|file| Xyz::read(&mut BufReader::new(file), &keys))
        };
        let xyz = xyz.at("read", path)?;
        if !xyz.not_taken.is_empty() {
            let keys: Vec<&str> = xyz.not_taken.iter().map(String::as_str).collect();
            let options = "--energy-key and --forces-key choose what is";
            say(format_args!("not taken from {}: {}; {options}", path.display(), keys.join(", ")));
        }
        NewStructure::from_xyz(xyz, self.level_of_theory.clone()).at("read", path)
    }

    fn of_npy(&self, positions: &Path, numbers: &Path) -> Result<NewStructure<'static>> {
        let (atomic_numbers_shape, bytes) = whole(numbers, Dtype::I64)?;
        let masses = self.masses.as_deref().map(|path| whole(path, Dtype::F64)).transpose()?;
        Ok(NewStructure {
            positions: array(positions)?,
            atomic_numbers: elements(&bytes),
            atomic_numbers_shape,
            masses: masses.map(|(_, bytes)| elements(&bytes)),
            cell_vectors: self.cell_vectors.as_deref().map(array).transpose()?,
            energies: None,
            forces: None,
            level_of_theory: self.level_of_theory.clone(),
        })
    }
}

/// An f64 array that is read as it is written.
fn array(path: &Path) -> Result<Array<'static>> {
    let mut source = RowSource::open(path).at("read", path)?;
    source.cast_to(Dtype::F64);
    let shape = source.shape().to_vec();
    let cell = shape.iter().skip(1).product();
    Ok(Array { shape, values: Box::new(move |rows| source.next_rows(rows, cell)) })
}

fn whole(path: &Path, dtype: Dtype) -> Result<(Vec<u64>, Vec<u8>)> {
    let mut source = RowSource::open(path).at("read", path)?;
    source.cast_to(dtype);
    let shape = source.shape().to_vec();
    let cell = shape.iter().skip(1).product();
    let bytes = source.next_rows(shape.first().copied().unwrap_or(1), cell).at("read", path)?;
    Ok((shape, bytes))
}

//! The table: its columns, and their values for some frames.

use crate::Result;
use crate::physics::{ATOMS, BOX_A, CUTOFF_A, EPSILON_EV, Frame, SIGMA_A};
use h5part::{Reader, Table, Writer};
use ndarray::{Array1, Array3, ArrayView2, Axis, s};
use std::ops::Range;

/// Path of the table in the file.
pub const TABLE: &str = "lj/ground_truth";
// Names may hold any character but '/': the slash of a unit is U+2215. The Å is U+00C5, the one
// on keyboards; mbe_automation writes U+212B, which looks the same and is another name.
/// f64, (frames, atoms, 3), in Å.
pub const POSITIONS: &str = "positions (Å)";
/// f64, (frames), in eV.
pub const ENERGY: &str = "E (eV)";
/// f64, (frames, atoms, 3), in eV/Å.
pub const FORCES: &str = "forces (eV∕Å)";
/// i64, (frames).
pub const STATUS: &str = "status";

const COMPLETED: i64 = 0;
const UNDEFINED: i64 = 1;

/// The table to be made. Floats that are not there are NaN; a status that is not there is
/// [`UNDEFINED`].
pub fn description(frames: u64) -> Table {
    let vectors = [ATOMS as u64, 3];
    Table::new(TABLE, frames)
        .column::<f64>(POSITIONS, vectors)
        .column::<f64>(ENERGY, [])
        .column::<f64>(FORCES, vectors)
        .column_with_fill(STATUS, [], UNDEFINED)
        .attribute("epsilon (eV)", EPSILON_EV)
        .attribute("sigma (Å)", SIGMA_A)
        .attribute("cutoff (Å)", CUTOFF_A)
        .attribute("edge of the box (Å)", BOX_A)
}

/// Values of some frames, column by column: the first axis counts the frames.
pub struct Frames {
    positions: Array3<f64>,
    energies: Array1<f64>,
    forces: Array3<f64>,
    statuses: Array1<i64>,
}

impl Frames {
    /// What was computed.
    pub fn new(frames: &[Frame]) -> Self {
        let stacked = |of: fn(&Frame) -> ArrayView2<'_, f64>| {
            let mut all = Array3::zeros((frames.len(), ATOMS, 3));
            for (frame, mut slot) in frames.iter().zip(all.outer_iter_mut()) {
                slot.assign(&of(frame));
            }
            all
        };
        Self {
            positions: stacked(|frame| frame.positions.view()),
            energies: frames.iter().map(|frame| frame.energy).collect(),
            forces: stacked(|frame| frame.forces.view()),
            statuses: Array1::from_elem(frames.len(), COMPLETED),
        }
    }

    /// Commits them to these rows: all columns of a row, or none. No value is copied.
    pub fn commit(&self, writer: &mut Writer, rows: &[u64]) -> Result<()> {
        writer
            .commit(rows)
            .set(POSITIONS, &self.positions)
            .set(ENERGY, &self.energies)
            .set(FORCES, &self.forces)
            .set(STATUS, &self.statuses)
            .run()?;
        Ok(())
    }

    /// Reads rows through h5part. Rows that are not there are fill.
    pub fn read(reader: &mut Reader, rows: Range<u64>) -> Result<Self> {
        Ok(Self {
            positions: reader.read(POSITIONS, rows.clone())?.array()?.into_dimensionality()?,
            energies: reader.read(ENERGY, rows.clone())?.array()?.into_dimensionality()?,
            forces: reader.read(FORCES, rows.clone())?.array()?.into_dimensionality()?,
            statuses: reader.read(STATUS, rows)?.array()?.into_dimensionality()?,
        })
    }

    /// Reads rows through the HDF5 library, as any other program would.
    pub fn read_by_library(file: &hdf5::File, rows: Range<u64>) -> Result<Self> {
        let group = file.group(TABLE)?;
        let rows = usize::try_from(rows.start)?..usize::try_from(rows.end)?;
        Ok(Self {
            positions: group.dataset(POSITIONS)?.read_slice(s![rows.clone(), .., ..])?,
            energies: group.dataset(ENERGY)?.read_slice(s![rows.clone()])?,
            forces: group.dataset(FORCES)?.read_slice(s![rows.clone(), .., ..])?,
            statuses: group.dataset(STATUS)?.read_slice(s![rows])?,
        })
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.energies.len()
    }

    /// Whether frame `k` is the same, to the last bit, in all columns.
    pub fn is_same(&self, other: &Self, k: usize) -> bool {
        let same = |a: &Array3<f64>, b: &Array3<f64>| {
            let bits = |array: &Array3<f64>| array.index_axis(Axis(0), k).mapv(f64::to_bits);
            bits(a) == bits(b)
        };
        same(&self.positions, &other.positions)
            && self.energies[k].to_bits() == other.energies[k].to_bits()
            && same(&self.forces, &other.forces)
            && self.statuses[k] == other.statuses[k]
    }
}

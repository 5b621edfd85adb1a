//! The front end of `mbe_automation`, alone and beside Python that writes the same file.

mod commands;
mod create;
mod kills;
mod methods;
mod odd;
mod refused;
mod rules;
mod together;

use crate::common::support::{Scratch, py, python};
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Store, Values};
use h5part_mbe::{Array, FrameStatus, GroundTruth, Method, NewStructure, Quantity, Results, Saver, Structure};
use ndarray::{Array1, Array3};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};

pub const KEY: &str = "training/urea";
pub const METHOD: &str = "r2scan-d4/def2-tzvp";
const SIDE: &str = include_str!("side.py");

/// What the other side reads.
#[derive(Debug, Deserialize)]
pub struct Dump {
    pub levels: Vec<String>,
    pub methods: BTreeMap<String, Seen>,
}

/// The status of each frame, and the first number of its energies and forces.
#[derive(Debug, Deserialize)]
pub struct Seen {
    #[serde(rename = "E")]
    pub energies: Option<Vec<Option<f64>>>,
    pub forces: Option<Vec<Option<f64>>>,
    pub status: Option<Vec<i64>>,
}

/// Runs the other side to its end; `None` without h5py.
pub fn side(args: &[&str]) -> Option<String> {
    py(SIDE, args)
}

/// Starts the other side.
pub fn start_side(args: &[&str]) -> Option<Child> {
    let mut command = python(SIDE, args)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command.spawn().expect("starts"))
}

/// Reads the file with the other side.
pub fn dump(file: &str) -> Option<Dump> {
    let text = side(&["dump", file, KEY])?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// A file with a structure, made by us.
pub fn structure(path: &Path, frames: u64, atoms: u64) -> Structure {
    let store = Store::new(path).expect("path");
    let new = NewStructure {
        positions: Array::of(vec![frames, atoms, 3], vec![0.5f64; (frames * atoms * 3) as usize]),
        atomic_numbers: vec![6; atoms as usize],
        atomic_numbers_shape: vec![atoms],
        masses: None,
        cell_vectors: None,
        energies: None,
        forces: None,
        level_of_theory: None,
    };
    new.create(&store, KEY).expect("create")
}

/// The same, prepared for energies and forces.
pub fn prepared(path: &Path, frames: u64, atoms: u64) -> GroundTruth {
    let truth = structure(path, frames, atoms).ground_truth(&Method::new(METHOD).expect("name"));
    truth.prepare(&Quantity::ALL).expect("prepare");
    truth
}

/// Values as the other side computes them: `shift` + frame; the forces add 0.001 per element.
pub fn values(frames: &[u64], atoms: usize, shift: f64) -> (Array1<f64>, Array3<f64>) {
    let energies = Array1::from_iter(frames.iter().map(|&frame| shift + frame as f64));
    let of = |(k, i, j): (usize, usize, usize)| energies[k] + 0.001 * (i * 3 + j) as f64;
    let forces = Array3::from_shape_fn((frames.len(), atoms, 3), of);
    (energies, forces)
}

/// Saves frames with such values.
pub fn save(
    saver: &mut Saver,
    frames: &[u64],
    atoms: usize,
    shift: f64,
    status: FrameStatus,
) -> h5part::Result<h5part_mbe::Saved> {
    let (energies, forces) = values(frames, atoms, shift);
    let results = Results {
        statuses: vec![status],
        energies: Some(Values::from(&energies)),
        forces: Some(Values::from(&forces)),
    };
    saver.save(&Rows::list(frames), &results)
}

/// A scratch folder and the path of a file in it.
pub fn place() -> (Scratch, String) {
    let scratch = Scratch::new();
    let file = scratch.text("a.hdf5");
    (scratch, file)
}

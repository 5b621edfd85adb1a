//! `h5part mbe status`

use crate::cli::common::{LockArgs, request};
use crate::cli::exit::Exit;
use crate::cli::output::{LateBar, json, line};
use h5part::Result;
use h5part_base::dataspace::Rows;
use h5part_base::error::At;
use h5part_mbe::{GroundTruth, Method, Quantity, Structure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Count the frames of each structure by status, for each level of theory.
///
/// Lists COMPLETED frames that lack energies or forces (NaN), and reports what cannot be read; the exit
/// code is then 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Key of a structure [default: all].
    key: Option<String>,
    /// Show only this level of theory.
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

/// An entry, or the reason why it cannot be shown.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Entry<T> {
    Seen(T),
    Structure { path: String, error: String },
    Method { method: String, error: String },
}

impl<T> Entry<T> {
    fn seen(&self) -> Option<&T> {
        if let Self::Seen(seen) = self { Some(seen) } else { None }
    }
}

#[derive(Debug, Serialize)]
struct StructureStatus {
    path: String,
    class: String,
    frames: u64,
    atoms: u64,
    periodic: bool,
    methods: Vec<Entry<MethodStatus>>,
}

#[derive(Debug, Serialize)]
struct MethodStatus {
    method: String,
    /// The quantities that have a dataset.
    quantities: Vec<&'static str>,
    /// Whether it has statuses. Otherwise all frames count as COMPLETED.
    has_status: bool,
    /// Whether it is prepared for saving with h5part.
    prepared: bool,
    counts: BTreeMap<String, u64>,
    /// COMPLETED frames that lack a quantity, as one SPEC.
    lacking: BTreeMap<&'static str, String>,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let store = self.lock.open(&self.file)?;
        let structures = match &self.key {
            Some(key) => vec![(key.clone(), Ok(Structure::open(&store, key)?))],
            None => Structure::all(&store)?,
        };
        let look = |(path, structure): (String, Result<Structure>)| match structure.and_then(|s| self.look(&s)) {
            Ok(status) => Entry::Seen(status),
            Err(e) => Entry::Structure { path, error: e.to_string() },
        };
        let found: Vec<_> = structures.into_iter().map(look).collect();
        let has_none = |entry: &Entry<StructureStatus>| entry.seen().is_some_and(|s| s.methods.is_empty());
        if let Some(method) = self.method.as_ref().filter(|_| found.iter().all(has_none)) {
            return Err(request("look up", &self.file, format!("there is no ground truth of '{method}'")));
        }
        let is_fine = |method: &Entry<MethodStatus>| method.seen().is_some_and(|method| method.lacking.is_empty());
        let all_fine = found.iter().all(|entry| entry.seen().is_some_and(|s| s.methods.iter().all(is_fine)));
        if self.json {
            json(&found)?;
        } else {
            found.iter().try_for_each(print)?;
        }
        Ok(if all_fine { Exit::Success } else { Exit::Found })
    }

    fn look(&self, structure: &Structure) -> Result<StructureStatus> {
        let mut methods = Vec::new();
        for name in structure.methods()? {
            if self.method.as_ref().is_none_or(|wanted| *wanted == name) {
                let method = Method::new(&name).at("look up", &self.file);
                let status = method.and_then(|method| method_status(&structure.ground_truth(&method)));
                methods.push(match status {
                    Ok(status) => Entry::Seen(status),
                    Err(e) => Entry::Method { method: name, error: e.to_string() },
                });
            }
        }
        Ok(StructureStatus {
            path: structure.path().to_owned(),
            class: structure.class().to_owned(),
            frames: structure.frames(),
            atoms: structure.atoms(),
            periodic: structure.is_periodic(),
            methods,
        })
    }
}

fn method_status(truth: &GroundTruth) -> Result<MethodStatus> {
    let mut reader = truth.reader()?;
    let present = reader.present().clone();
    let row_bytes = truth.structure().atoms().saturating_mul(24);
    let bar = LateBar::new("reading");
    let summary =
        reader.summary(&present.quantities, &|done, all| bar.set(done * row_bytes, all.saturating_mul(row_bytes)))?;
    drop(bar);
    let spec = |(quantity, frames): (Quantity, Vec<u64>)| (quantity.word(), Rows::list(&frames).to_string());
    Ok(MethodStatus {
        method: truth.method().name().to_owned(),
        quantities: present.quantities.iter().map(|quantity| quantity.word()).collect(),
        has_status: present.status,
        prepared: present.guarded,
        counts: summary.counts,
        lacking: summary.lacking.into_iter().filter(|(_, frames)| !frames.is_empty()).map(spec).collect(),
    })
}

fn print(entry: &Entry<StructureStatus>) -> Result<()> {
    let structure = match entry {
        Entry::Seen(structure) => structure,
        Entry::Structure { path: name, error } | Entry::Method { method: name, error } => {
            return line(format!("{name}: {error}"));
        }
    };
    let StructureStatus { path, class, frames, atoms, .. } = structure;
    let periodic = if structure.periodic { ", periodic" } else { "" };
    line(format!("{path}: {class}, {frames} frames of {atoms} atoms{periodic}"))?;
    if structure.methods.is_empty() {
        line("  no ground truth")?;
    }
    structure.methods.iter().try_for_each(print_method)
}

fn print_method(entry: &Entry<MethodStatus>) -> Result<()> {
    let method = match entry {
        Entry::Seen(method) => method,
        Entry::Structure { path: name, error } | Entry::Method { method: name, error } => {
            return line(format!("  {name}: {error}"));
        }
    };
    let counts = method.counts.iter().filter(|(_, n)| **n > 0).map(|(status, n)| format!("{n} {status}"));
    let statuses = if method.has_status { "" } else { "; no statuses: all count as COMPLETED" };
    let prepared = if method.prepared { "" } else { "; not prepared for h5part, see 'h5part mbe init'" };
    let (name, of) = (&method.method, method.quantities.join(" and "));
    line(format!("  {name}: {of}, {}{statuses}{prepared}", counts.collect::<Vec<_>>().join(", ")))?;
    for (quantity, spec) in &method.lacking {
        line(format!("    COMPLETED without {quantity} (NaN): {spec}"))?;
    }
    Ok(())
}

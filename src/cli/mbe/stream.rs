//! `h5part mbe save --stream`: batches as JSON lines, with one line of acknowledgement for each.

use super::frames;
use super::values::{NpyValues, statuses};
use crate::cli::common::request;
use crate::cli::exit::{self, Exit};
use crate::cli::hints;
use crate::cli::output::json;
use crate::cli::stream::Lines;
use h5part::Result;
use h5part_base::error::At;
use h5part_engine::store::Values;
use h5part_input::stream::{Elements, Request, Selection, ValueSource, elements};
use h5part_mbe::{FrameStatus, GroundTruth, Quantity, Results, Saved, Saver};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(flatten)]
    saved: Option<Saved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

/// Answers every batch until standard input ends. One that fails is answered and leaves the next ones alone; the
/// exit code is then 1.
pub fn run(saver: &mut Saver, truth: &GroundTruth, file: &Path, cast: bool) -> Result<Exit> {
    let lines = Lines::read();
    let mut exit = Exit::Success;
    loop {
        let Some(line) = lines.batch(1)?.pop() else { return Ok(exit) };
        let (id, outcome) = match Request::parse(&line) {
            Ok(request) => (request.id.clone(), save(saver, truth, file, cast, &request)),
            Err(e) => (None, Err(e.at("read a batch for", file))),
        };
        let ok = outcome.is_ok();
        if !ok {
            exit = Exit::Found;
        }
        let code = outcome.as_ref().err().map(|e| exit::of(e) as u8);
        let error = outcome.as_ref().err().map(ToString::to_string);
        let hint = outcome.as_ref().err().and_then(hints::of);
        json(&Answer { ok, id, saved: outcome.ok(), error, hint, code })?;
    }
}

fn save(saver: &mut Saver, truth: &GroundTruth, file: &Path, cast: bool, batch: &Request) -> Result<Saved> {
    let frames = match batch.rows().at("select frames of", file)? {
        Selection::Rows(frames) => frames,
        Selection::Spec(spec) => frames(spec, truth.structure().frames(), file)?,
    };
    let mut results = Results { statuses: vec![FrameStatus::Completed], energies: None, forces: None };
    for (name, source) in batch.set() {
        let quantity = match name {
            "energies" => Quantity::Energies,
            "forces" => Quantity::Forces,
            "status" => {
                results.statuses = match source {
                    ValueSource::Npy(text) => statuses(text, frames.len())?,
                    ValueSource::Text(text) => statuses(text.as_str().unwrap_or_default(), frames.len())?,
                    ValueSource::Inline(value) => numbers(value).ok_or_else(|| {
                        request("read a batch for", file, "a status is a name, a number, or a list of numbers")
                    })?,
                };
                continue;
            }
            other => {
                let text = format!("'{other}' is not one of energies, forces, status");
                return Err(request("read a batch for", file, text));
            }
        };
        let column = saver.column(quantity)?;
        let values = Some(match source.of(column) {
            ValueSource::Npy(path) => {
                NpyValues::open(saver, quantity, Path::new(path), frames.len(), cast)?.next(frames.len())?
            }
            ValueSource::Inline(value) | ValueSource::Text(value) => {
                let Elements { dtype, shape, bytes } = elements(value, column, frames.len()).at("save to", file)?;
                Values::new(dtype, &shape, bytes).at("save to", file)?
            }
        });
        match quantity {
            Quantity::Energies => results.energies = values,
            Quantity::Forces => results.forces = values,
        }
    }
    saver.save(&frames, &results)
}

fn numbers(value: &Value) -> Option<Vec<FrameStatus>> {
    let one = |value: &Value| value.as_i64().map(FrameStatus::from);
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        number => one(number).map(|status| vec![status]),
    }
}

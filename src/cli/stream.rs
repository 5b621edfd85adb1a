//! `h5part update --stream`: commits as JSON lines, one line of acknowledgement each.

use super::common::rows;
use super::exit::Exit;
use super::output::json;
use h5part::dataspace::{Column, Rows};
use h5part::error::At;
use h5part::npy::RowSource;
use h5part::store::{Group, Values, Writer};
use h5part::stream::{Elements, Request, Selection, Source, elements};
use h5part::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;
use std::io::BufRead;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// A group waits no longer for its next line.
const IDLE: Duration = Duration::from_millis(2);
/// Lines read ahead.
const QUEUE: usize = 64;

#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

impl Answer {
    fn new(id: Option<Value>, outcome: Result<u64>) -> Self {
        match outcome {
            Ok(rows) => Self { ok: true, id, rows: Some(rows), error: None, code: None },
            Err(e) => Self { ok: false, id, rows: None, error: Some(e.to_string()), code: Some(Exit::of(&e) as u8) },
        }
    }
}

/// Answers every request until standard input ends, or says `{"end": true}`; up to `group` of them are committed together. A
/// request that fails is answered and leaves the next ones alone; the exit code is then 1.
pub fn run(writer: &mut Writer, file: &Path, cast: bool, group: usize) -> Result<Exit> {
    let lines = Lines::read();
    let mut exit = Exit::Success;
    loop {
        let batch = lines.batch(group)?;
        if batch.is_empty() {
            return Ok(exit);
        }
        for reply in answer(writer, file, cast, &batch) {
            if !reply.ok {
                exit = Exit::Found;
            }
            json(&reply)?;
        }
    }
}

/// Lines of standard input, read by a thread of their own: whoever sends some and waits for the answers
/// gets them, however many more would fit into the group.
pub(super) struct Lines(Receiver<std::io::Result<Vec<u8>>>);

impl Lines {
    pub(super) fn read() -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().split(b'\n') {
                // Other processes may hold the pipe open after the one who writes to it has gone on.
                if line.as_ref().is_ok_and(|line| Request::is_end(line)) {
                    break;
                }
                // The receiver is gone when the program ends.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    /// The next line, and those that follow at once, up to `most`. None at the end.
    pub(super) fn batch(&self, most: usize) -> Result<Vec<Vec<u8>>> {
        let mut batch = Vec::new();
        while batch.len() < most {
            let line = if batch.is_empty() { self.0.recv().ok() } else { self.0.recv_timeout(IDLE).ok() };
            let Some(line) = line else { break };
            let line = line.map_err(ErrorKind::Io).at("read", "standard input")?;
            if !line.trim_ascii().is_empty() {
                batch.push(line);
            }
        }
        Ok(batch)
    }
}

fn answer(writer: &mut Writer, file: &Path, cast: bool, batch: &[Vec<u8>]) -> Vec<Answer> {
    let mut group = writer.group();
    let mut added = Vec::with_capacity(batch.len());
    for line in batch {
        added.push(match Request::parse(line) {
            Ok(request) => (request.id.clone(), add(&mut group, file, cast, &request)),
            Err(e) => (None, Err(e.at("read a request for", file))),
        });
    }
    let mut made = group.finish().into_iter();
    let mut outcome = |added: Result<()>| {
        added?;
        Ok(made.next().transpose()?.map_or(0, |commit| commit.rows))
    };
    added.into_iter().map(|(id, added)| Answer::new(id, outcome(added))).collect()
}

fn add(group: &mut Group<'_>, file: &Path, cast: bool, request: &Request) -> Result<()> {
    let rows = match request.rows().at("select rows of", file)? {
        Selection::Rows(rows) => rows,
        Selection::Spec(spec) => rows(spec, group.table().rows, file)?,
    };
    let mut values = Vec::new();
    for (name, source) in request.set() {
        let column = group.table().column(name).at("update", file)?;
        let values_of = match source {
            Source::Npy(path) if !Path::new(path).exists() => return Err(no_values(name, path).at("update", file)),
            Source::Npy(path) => from_npy(column, Path::new(path), &rows, cast)?,
            Source::Inline(inline) => {
                let Elements { dtype, shape, bytes } = elements(inline, column, rows.len()).at("update", file)?;
                Values::new(dtype, &shape, bytes).at("update", file)?
            }
        };
        values.push((name, values_of));
    }
    group.commit(&rows, &values)
}

/// A text that is no path.
fn no_values(column: &str, text: &str) -> ErrorKind {
    ErrorKind::BadValues(format!(
        "column '{column}': there is no file '{text}'; values are a number, a list of numbers, null for NaN, or the \
         path of a .npy file"
    ))
}

fn from_npy(column: &Column, path: &Path, rows: &Rows, cast: bool) -> Result<Values<'static>, Error> {
    let mut source = RowSource::open(path).at("read", path)?;
    if cast {
        source.cast_to(column.dtype().at("read", path)?);
    }
    let shape = source.shape().to_vec();
    h5part::store::check_fit(column, source.dtype_out(), &shape, rows.len()).at("read", path)?;
    let bytes = source.next_rows(rows.len(), column.shape.iter().product()).at("read", path)?;
    Values::new(source.dtype_out(), &shape, bytes).at("read", path)
}

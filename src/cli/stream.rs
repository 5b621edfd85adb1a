//! `h5part update --stream`: commits as JSON lines, with one line of acknowledgement for each.

use super::common::rows;
use super::exit::{self, Exit};
use super::hints;
use super::output::json;
use h5part::{Error, ErrorKind, Result};
use h5part_base::dataspace::{Column, Rows};
use h5part_base::error::At;
use h5part_engine::store::{Group, Values, Writer};
use h5part_input::npy::RowSource;
use h5part_input::stream::{Elements, Request, Selection, ValueSource, elements};
use nix::sys::signal::{SigSet, Signal};
use serde::Serialize;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long a group waits for its next line.
const IDLE: Duration = Duration::from_millis(2);
/// A second Ctrl-C within this time ends the stream.
const TWICE: Duration = Duration::from_secs(2);
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
    hint: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

impl Answer {
    fn new(id: Option<Value>, outcome: Result<u64>) -> Self {
        match outcome {
            Ok(rows) => Self { ok: true, id, rows: Some(rows), error: None, hint: None, code: None },
            Err(e) => {
                let (error, hint, code) = (Some(e.to_string()), hints::of(&e), Some(exit::of(&e) as u8));
                Self { ok: false, id, rows: None, error, hint, code }
            }
        }
    }
}

/// Answers every request until standard input ends or says `{"end": true}`. Up to `group` of them are committed
/// together. A request that fails is answered without affecting the next ones; the exit code is then 1.
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

/// Lines of standard input, read by a thread of their own. So a sender that waits for answers gets them, however many
/// more lines would fit into the group.
pub(super) struct Lines {
    /// `None` is sent when the input has ended.
    queue: Receiver<Option<std::io::Result<Vec<u8>>>>,
    has_ended: Arc<AtomicBool>,
}

impl Lines {
    pub(super) fn read() -> Self {
        let (sender, queue) = sync_channel(QUEUE);
        let has_ended = Arc::new(AtomicBool::new(false));
        if !std::io::stdin().is_terminal() {
            end_on_signals(sender.clone(), Arc::clone(&has_ended));
        }
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().split(b'\n') {
                // Other processes may hold the pipe open after the sender has finished.
                if line.as_ref().is_ok_and(|line| Request::is_end(line)) {
                    break;
                }
                // The receiver is dropped when the program ends.
                if sender.send(Some(line)).is_err() {
                    return;
                }
            }
            let _ = sender.send(None);
        });
        Self { queue, has_ended }
    }

    /// The next line, and those that follow immediately, at most `most`. Empty at the end.
    pub(super) fn batch(&self, most: usize) -> Result<Vec<Vec<u8>>> {
        let mut batch = Vec::new();
        while batch.len() < most && !self.has_ended.load(Ordering::Relaxed) {
            let wait = if batch.is_empty() { Duration::MAX } else { IDLE };
            let line = match self.queue.recv_timeout(wait) {
                Ok(Some(line)) => line.map_err(ErrorKind::Io).at("read", "standard input")?,
                Err(RecvTimeoutError::Timeout) => break,
                Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                    self.has_ended.store(true, Ordering::Relaxed);
                    break;
                }
            };
            if !line.trim_ascii().is_empty() {
                batch.push(line);
            }
        }
        Ok(batch)
    }
}

/// A second Ctrl-C soon after the first, or SIGTERM, ends the stream after the current commit. The next one ends the
/// process at once. `main` has blocked Ctrl-C in all threads; this thread receives it.
fn end_on_signals(queue: SyncSender<Option<std::io::Result<Vec<u8>>>>, has_ended: Arc<AtomicBool>) {
    // If signals cannot be watched, the stream ends with its input.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        let _ = SigSet::from(Signal::SIGINT).thread_unblock();
        let mut last: Option<Instant> = None;
        for signal in signals.forever() {
            let is_repeated = last.replace(Instant::now()).is_some_and(|last| last.elapsed() < TWICE);
            if signal == SIGTERM || is_repeated {
                if has_ended.swap(true, Ordering::Relaxed) {
                    std::process::exit(128 + signal);
                }
                // Wakes up a thread that waits for a line. If the queue is full, no thread waits.
                let _ = queue.try_send(Some(Ok(Vec::new())));
            }
        }
    });
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
        let values_of = match source.of(column) {
            ValueSource::Npy(path) if !Path::new(path).exists() => return Err(no_values(name, path).at("update", file)),
            ValueSource::Npy(path) => from_npy(column, Path::new(path), &rows, cast)?,
            ValueSource::Inline(inline) | ValueSource::Text(inline) => {
                let Elements { dtype, shape, bytes } = elements(inline, column, rows.len()).at("update", file)?;
                Values::new(dtype, &shape, bytes).at("update", file)?
            }
        };
        values.push((name, values_of));
    }
    group.commit(&rows, &values)
}

/// The error for a text that is not a path.
fn no_values(column: &str, text: &str) -> ErrorKind {
    ErrorKind::bad_values(format!(
        "column '{column}': there is no file '{text}'; values are a number, a list of numbers, null for NaN, or the \
         path of a .npy file"
    ))
}

fn from_npy(column: &Column, path: &Path, rows: &Rows, cast: bool) -> Result<Values<'static>, Error> {
    let mut source = RowSource::open(path).at("read", path)?;
    let wanted = column.dtype().at("read", path)?;
    if cast {
        source.cast_to(wanted);
    } else {
        source.fit(wanted);
    }
    let shape = source.shape().to_vec();
    h5part_engine::store::check_fit(column, source.dtype_out(), &shape, rows.len()).at("read", path)?;
    let bytes = source.next_rows(rows.len(), column.shape.iter().product()).at("read", path)?;
    Values::new(source.dtype_out(), &shape, bytes).at("read", path)
}

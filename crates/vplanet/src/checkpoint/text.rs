//! The text, which is written from the ledger as a whole each time.

use super::{mark, sidecar};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::num::to_usize;
use h5part_base::storage::{Disk, Storage, replace};
use h5part_base::sync;
use h5part_tasks::ledger::{Checkpoint, Ledger, Mark, TaskState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};
use tempfile::Builder;

/// Interval between two writes, by any process.
const EVERY: Duration = Duration::from_secs(1);
/// Writing takes at most one part in this many of the time.
const SHARE: u32 = 50;
/// If another process has written an older text meanwhile, a process that ends writes it again, at most this many
/// times.
const TRIES: usize = 5;

/// The text of a ledger.
#[derive(Debug)]
pub struct TextFile {
    path: PathBuf,
    /// A copy of the last text, from which the next run sees what others have changed since.
    copy: PathBuf,
    origin: String,
    /// The text for each name of the ledger.
    lines: Vec<String>,
    state: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    due: Option<Instant>,
    marks: Vec<Mark>,
}

/// Path of the copy of a ledger's text.
pub(super) fn copy_of(ledger: &Path) -> PathBuf {
    sidecar(ledger).join("text")
}

impl TextFile {
    /// `folder` is that of the trials, whose names follow in the order of the list.
    pub(super) fn new(path: PathBuf, copy: PathBuf, origin: String, folder: &Path, names: &[String]) -> Self {
        let lines = names.iter().map(|name| line(folder, name)).collect();
        Self { path, copy, origin, lines, state: Mutex::default() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn follow(&self, ledger: &Ledger) -> Result<()> {
        let start = Instant::now();
        // Whoever holds the lock is writing the text now.
        let Ok(mut written) = self.state.try_lock() else { return Ok(()) };
        if written.due.is_some_and(|due| start < due) {
            return Ok(());
        }
        if !self.is_fresh() {
            let marks = marks(ledger)?;
            if marks != written.marks {
                self.write(&marks, Lasts::Process)?;
                written.marks = marks;
            }
        }
        written.due = Some(Instant::now() + EVERY.max(start.elapsed() * SHARE));
        Ok(())
    }

    /// Writes the text when a process ends, and corrects what another process has written meanwhile.
    pub(super) fn settle(&self, ledger: &Ledger) -> Result<()> {
        for _ in 0..TRIES {
            self.write(&marks(ledger)?, Lasts::Power)?;
            if self.is_in_step(ledger)? {
                break;
            }
        }
        Ok(())
    }

    /// Writes the text at the beginning, whatever it says then.
    pub(super) fn catch_up(&self, ledger: &Ledger) -> Result<()> {
        if self.is_in_step(ledger)? { Ok(()) } else { self.write(&marks(ledger)?, Lasts::Process) }
    }

    fn is_in_step(&self, ledger: &Ledger) -> Result<bool> {
        let there = std::fs::read(&self.path).unwrap_or_default();
        Ok(there == self.format(&marks(ledger)?).into_bytes())
    }

    /// Writes the text before a ledger with these states exists.
    pub(super) fn begin(&self, states: &[TaskState]) -> Result<()> {
        let marks: Vec<Mark> = states.iter().copied().map(mark).collect();
        self.write(&marks, Lasts::Process)?;
        sync::lock(&self.state).marks = marks;
        Ok(())
    }

    /// Whether another process has just written it.
    fn is_fresh(&self) -> bool {
        let written = std::fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < EVERY))
    }

    fn format(&self, marks: &[Mark]) -> String {
        let tasks = self.lines.iter().cloned().zip(marks.iter().copied()).collect();
        Checkpoint { origin: self.origin.clone(), tasks, announced: None }.format()
    }

    fn write(&self, marks: &[Mark], lasts: Lasts) -> Result<()> {
        let text = self.format(marks);
        // The copy comes second. After a kill in between, the text differs from the copy in the same way as the ledger.
        put(&self.path, text.as_bytes(), lasts).at("write", &self.path)?;
        put(&self.copy, text.as_bytes(), Lasts::Process).at("write", &self.copy)
    }
}

/// What a text survives. After a loss of power it is written again from the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    Process,
    Power,
}

/// The text for a trial.
fn line(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

fn marks(ledger: &Ledger) -> Result<Vec<Mark>> {
    let mut marks = vec![Mark::Waiting; to_usize(ledger.len())];
    ledger.each(|_, task| {
        // A damaged task is reported to whoever claims it. It counts as not done.
        if let Some((task, mark_at)) = task.and_then(|task| Some((task, marks.get_mut(task.index as usize)?))) {
            *mark_at = mark(task.state);
        }
        Ok(())
    })?;
    Ok(marks)
}

/// Replaces a small file as a whole.
fn put(path: &Path, bytes: &[u8], lasts: Lasts) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut beside = Builder::new().prefix(".").suffix(".h5part-new").tempfile_in(folder)?;
    beside.write_all(bytes)?;
    // The new file keeps the permissions of the old one.
    let permissions = std::fs::metadata(path).map(|metadata| metadata.permissions());
    let permissions = permissions.unwrap_or_else(|_| std::os::unix::fs::PermissionsExt::from_mode(0o644));
    beside.as_file().set_permissions(permissions)?;
    let (_, beside) = beside.keep().map_err(|e| e.error)?;
    let renamed = match lasts {
        Lasts::Process => Disk.rename(&beside, path),
        Lasts::Power => replace(&Disk, &beside, path),
    };
    renamed.inspect_err(|_| _ = std::fs::remove_file(&beside))
}

/// The states of trials in a text, by name of their folders. `None`: there is no text.
///
/// # Errors
/// [`ErrorKind::BadRequest`]: it is not such a text. As reading it.
pub(super) fn read(path: &Path) -> Result<Option<Checkpoint>> {
    const READ: &str = "read";
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(ErrorKind::from(e).at(READ, path)),
    };
    if Checkpoint::is_cut_in_head(&bytes) {
        return Ok(Some(Checkpoint::default()));
    }
    let text = String::from_utf8(bytes).map_err(|_| ErrorKind::BadRequest("it is not UTF-8".to_owned()));
    let mut checkpoint = text.and_then(|text| Checkpoint::parse(&text)).at(READ, path)?;
    for (name, _) in &mut checkpoint.tasks {
        let last = Path::new(name.as_str()).file_name().map(|last| last.to_string_lossy().into_owned());
        *name = last.unwrap_or_default();
    }
    Ok(Some(checkpoint))
}

//! Files of measurements. Each worker appends to its own.

use super::record::{self, Record, WorkerHeader};
use h5part_base::error::{At, ErrorKind, Kind, Result};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SUFFIX: &str = "jsonl";
/// A longer line is not a record, in bytes.
const MOST_LINE: u64 = 1 << 20;
/// Clocks of a host and its file server differ by less than this, in seconds.
const CLOCKS_APART_S: f64 = 600.0;

/// A worker's own file, open for appending.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
    /// Whether the last write ended within a line.
    torn: AtomicBool,
    /// Number of records that could not be written, and that no later record counts.
    lost: AtomicU64,
}

impl Log {
    /// Creates the folder if it is missing, and a new file in it.
    pub(super) fn create(folder: &Path, header: &WorkerHeader) -> Result<Self, ErrorKind> {
        std::fs::create_dir_all(folder)?;
        let word = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
        let host: String = header.host.chars().map(word).take(100).collect();
        let (path, file) = loop {
            let random = uuid::Uuid::new_v4().simple().to_string();
            let path = folder.join(format!("{host}-{}-{}.{SUFFIX}", header.pid, &random[..8]));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e.into()),
            }
        };
        let log = Self { file, path, torn: AtomicBool::new(false), lost: AtomicU64::new(0) };
        let mut line = Vec::new();
        record::add_line(&mut line, header)?;
        log.write(&line)?;
        Ok(log)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of records lost since the last one that was written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Appends a record by one write(2). If the disk is full, only a part may be written.
    pub(super) fn append(&self, mut record: Record) -> Result<(), ErrorKind> {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        record.lost = self.lost.swap(0, Ordering::Relaxed);
        let written = LINE.with_borrow_mut(|line| {
            line.clear();
            if self.torn.load(Ordering::Relaxed) {
                line.push(b'\n');
            }
            record::add_line(line, &record)?;
            Ok(self.write(line)?)
        });
        if written.is_err() {
            self.lost.fetch_add(record.lost + 1, Ordering::Relaxed);
        }
        written
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let written = loop {
            match (&self.file).write(line) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        // A write that failed as a whole has changed nothing.
        self.torn.store(written < line.len(), Ordering::Relaxed);
        if written < line.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// The files that a path stands for: a folder of files, one file, or a ledger with its folder beside it.
pub(super) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let is_folder = std::fs::metadata(path).at("read measurements of", path)?.is_dir();
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part/monitor");
    if is_folder {
        in_folder(path)
    } else if Path::new(&beside).is_dir() {
        in_folder(Path::new(&beside))
    } else {
        Ok(vec![path.to_owned()])
    }
}

/// Those files that were written to since then, in seconds since 1970.
pub(super) fn list_since(path: &Path, since_s: f64) -> Result<Vec<PathBuf>> {
    let is_recent = |file: &PathBuf| {
        let changed = std::fs::metadata(file).and_then(|metadata| metadata.modified());
        let changed_s = changed.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        changed_s.is_none_or(|changed| changed.as_secs_f64() + CLOCKS_APART_S >= since_s)
    };
    Ok(list(path)?.into_iter().filter(is_recent).collect())
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let found = || -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == SUFFIX) && path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    };
    let files = found().at("read measurements in", folder)?;
    if files.is_empty() { Err(crate::ErrorKind::NothingMeasured.at("read measurements in", folder)) } else { Ok(files) }
}

/// The properties of a file, apart from its records.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) path: PathBuf,
    /// `None`: the worker was killed before it wrote the header.
    pub(super) header: Option<WorkerHeader>,
    /// Number of cut or damaged lines.
    pub(super) cut: u64,
}

impl Origin {
    /// Name of the worker, or of the file if the worker was killed before it wrote its name.
    pub(super) fn worker(&self) -> String {
        let stem = || self.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        self.header.as_ref().map_or_else(stem, |header| header.worker.clone())
    }
}

/// Calls `each` for the records of a file in the order in which they ended. A line without an end is being written, or
/// was cut by the death of its worker.
pub(super) fn read(path: &Path, each: &mut dyn FnMut(Record)) -> Result<Origin> {
    open(path).and_then(|lines| read_lines(path, lines, each)).at("read measurements of", path)
}

fn open(path: &Path) -> Result<BufReader<File>, ErrorKind> {
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(crate::ErrorKind::NotMeasurements("it is neither a file nor a folder").into());
    }
    Ok(BufReader::with_capacity(1 << 16, File::open(path)?))
}

fn read_lines(path: &Path, mut lines: impl BufRead, each: &mut dyn FnMut(Record)) -> Result<Origin, ErrorKind> {
    let mut origin = Origin { path: path.to_owned(), header: None, cut: 0 };
    let mut line = Vec::new();
    while next_line(&mut lines, &mut line)? {
        let whole = line.pop_if(|end| *end == b'\n').is_some();
        match (&origin.header, whole) {
            (None, true) => origin.header = Some(WorkerHeader::parse(&line)?),
            (None, false) if !b"{\"h5part_monitor\":".iter().zip(&line).all(|(a, b)| a == b) => {
                return Err(crate::ErrorKind::NotMeasurements("its first line does not say what it is").into());
            }
            (Some(_), true) if line.is_empty() => {}
            (Some(_), true) => match Record::parse(&line) {
                Some(record) => each(record),
                None => origin.cut += 1,
            },
            (_, false) => origin.cut += 1,
        }
    }
    Ok(origin)
}

/// Reads the next line, with its end if it has one. Of a line that is too long, only the beginning is returned, without
/// an end; the rest is skipped.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    lines.by_ref().take(MOST_LINE).read_until(b'\n', line)?;
    if line.len() as u64 == MOST_LINE && line.last() != Some(&b'\n') {
        lines.skip_until(b'\n')?;
    }
    Ok(!line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "{\"h5part_monitor\":1,\"worker\":\"w\",\"host\":\"h\",\"pid\":1}\n";

    fn records(text: &str) -> Result<(Vec<String>, u64), ErrorKind> {
        let mut found = Vec::new();
        let origin = read_lines(Path::new("x"), text.as_bytes(), &mut |r| found.push(r.operation))?;
        Ok((found, origin.cut))
    }

    fn line(name: &str) -> String {
        format!("{{\"operation\":\"{name}\",\"start_s\":1,\"wall_s\":2}}\n")
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_its_whole_lines() {
        let text = format!("{HEADER}{}{}", line("a"), line("b"));
        for cut in 0..=text.len() {
            let (found, cuts) = records(&text[..cut]).expect("reads");
            let ends: usize = text[..cut].matches('\n').count();
            assert_eq!(found.len(), ends.saturating_sub(1), "{cut}");
            assert_eq!(cuts, u64::from(cut > 0 && !text[..cut].ends_with('\n')), "{cut}");
        }
    }

    #[test]
    fn a_torn_line_in_the_middle_costs_itself_alone() {
        let torn = &line("a")[..20];
        assert_eq!(records(&format!("{HEADER}{torn}\n{}", line("b"))).expect("reads"), (vec!["b".to_owned()], 1));
        let long = "x".repeat(3 << 20);
        let text = format!("{HEADER}{}{long}\n\n{}", line("a"), line("b"));
        assert_eq!(records(&text).expect("reads"), (vec!["a".to_owned(), "b".to_owned()], 1));
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(records("").expect("reads"), (vec![], 0));
        for text in ["\u{89}HDF", "hello\n", "{}\n", "{\"operation\":1}"] {
            assert!(
                matches!(records(text), Err(e) if matches!(e.of(), Some(crate::ErrorKind::NotMeasurements(_)))),
                "{text}"
            );
        }
        let newer = HEADER.replace(":1,\"w", ":9,\"w");
        assert!(matches!(records(&newer), Err(ErrorKind::NewerFormat { found: 9, .. })));
    }
}

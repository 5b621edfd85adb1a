//! A journal beside the ledger of who ran what: one JSON line per start.

use h5part::ledger::Ledger;
use h5part_base::lock::host;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// One start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// When it began, in seconds since 1970.
    pub began_s: f64,
    pub host: String,
    pub pid: u32,
    /// Version of h5part.
    pub version: String,
    pub folder: PathBuf,
    /// The command line, word by word.
    pub command: Vec<String>,
}

fn path(ledger: &Ledger) -> PathBuf {
    ledger.sidecar().join("starts.jsonl")
}

/// Records that this process begins to work on a ledger. A failure to record does not stop the work.
pub fn note(ledger: &Ledger) {
    let start = Start {
        began_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64()),
        host: host(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        folder: std::env::current_dir().unwrap_or_default(),
        command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
    };
    let add = || -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&start)?;
        line.push(b'\n');
        std::fs::create_dir_all(ledger.sidecar())?;
        // It is a single write, so lines of several processes do not mix.
        OpenOptions::new().create(true).append(true).open(path(ledger))?.write_all(&line)
    };
    let _ = add();
}

/// All recorded starts, oldest first. Cut lines are skipped.
pub fn read(ledger: &Ledger) -> Vec<Start> {
    read_file(&path(ledger))
}

fn read_file(path: &Path) -> Vec<Start> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_cut_costs_itself_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("starts.jsonl");
        let start = Start {
            began_s: 1.5,
            host: "h".to_owned(),
            pid: 7,
            version: "1".to_owned(),
            folder: "/".into(),
            command: vec!["a b".to_owned()],
        };
        let line = serde_json::to_string(&start).expect("JSON");
        std::fs::write(&path, format!("{line}\n{}\n{line}\n{}", &line[..9], &line[..20])).expect("writes");
        assert_eq!(read_file(&path), [start.clone(), start]);
    }
}

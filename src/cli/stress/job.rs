//! The parameters that all processes of a stress run share. They are written to the folder as JSON.

use crate::cli::common::DurabilityArg;
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use h5part_base::num::to_usize;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rows of the table with compressed columns.
const LIBRARY_ROWS: u64 = 200;

/// One stress run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StressRun {
    pub dir: PathBuf,
    /// Path of the table in the file.
    pub table: String,
    /// Writers on all hosts.
    pub writers: u64,
    pub writers_per_host: u64,
    /// Other hosts with writers.
    pub peers: Vec<String>,
    /// The words of the command that runs a program on another host.
    pub launch: Vec<String>,
    pub rows: u64,
    pub row_shape: Vec<u64>,
    pub batch: u64,
    pub work: Work,
    pub overlap: bool,
    pub bare: bool,
    #[serde(with = "durability")]
    pub durability: DurabilityArg,
    pub seed: u64,
    /// Processes that change the structure of the file during the run.
    pub changers: u64,
    /// Processes that read during the run, and check every row.
    pub readers: u64,
}

/// When a run is over.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Work {
    EachRowOnce,
    /// After this many commits in all.
    Commits(u64),
    Seconds(f64),
    /// When the parent says so.
    UntilStopped,
}

/// The role of a process in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    Writer,
    Changer,
    Reader,
}

impl StressRun {
    pub fn file(&self) -> PathBuf {
        self.dir.join("stress.h5")
    }

    /// The board of the host with this number. Hosts cannot share memory.
    pub fn board(&self, host: u64) -> PathBuf {
        self.dir.join(format!("acknowledged-{}-{host}", self.table))
    }

    /// The number of the host on which a writer runs. 0: the one of the parent.
    pub fn host_of(&self, writer: u64) -> u64 {
        writer / self.writers_per_host
    }

    /// A command on the host with this number.
    pub fn command(&self, host: u64, program: &Path) -> Command {
        let peer = host.checked_sub(1).and_then(|k| self.peers.get(to_usize(k)));
        let words: Vec<String> = match peer {
            Some(peer) => self.launch.iter().map(|word| word.replace("{host}", peer)).collect(),
            None => Vec::new(),
        };
        match words.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        }
    }

    fn path(dir: &Path) -> PathBuf {
        dir.join("job.json")
    }

    pub fn save(&self) -> Result<()> {
        let path = Self::path(&self.dir);
        let text = serde_json::to_string(self).map_err(std::io::Error::from).at("write", &path)?;
        std::fs::write(&path, text).at("write", &path)
    }

    pub fn load(dir: &Path) -> Result<Self> {
        let path = Self::path(dir);
        let text = std::fs::read_to_string(&path).at("read", &path)?;
        serde_json::from_str(&text).map_err(|e| ErrorKind::BadRequest(e.to_string())).at("read", &path)
    }

    /// The rows that changers commit to, in a table of compressed columns.
    pub fn library(&self) -> Self {
        Self {
            table: "library".to_owned(),
            writers: self.changers.max(1),
            writers_per_host: self.changers.max(1),
            peers: Vec::new(),
            rows: self.rows.min(LIBRARY_ROWS).max(self.changers),
            work: Work::UntilStopped,
            overlap: false,
            durability: DurabilityArg::Power,
            ..self.clone()
        }
    }

    /// Elements per cell of F.
    pub fn elements(&self) -> usize {
        to_usize(self.row_shape.iter().product::<u64>())
    }

    /// Bytes of values per row: E, F, status.
    pub fn row_bytes(&self) -> u64 {
        8 + 8 * self.elements() as u64 + 8
    }

    /// The rows that a writer commits to.
    pub fn rows_of(&self, writer: u64) -> Range<u64> {
        if self.overlap {
            return 0..self.rows;
        }
        let share =
            |w: u64| u64::try_from(u128::from(w) * u128::from(self.rows) / u128::from(self.writers)).unwrap_or(0);
        share(writer)..share(writer + 1)
    }

    /// A writer's share of a number of commits.
    pub fn share(&self, commits: u64, writer: u64) -> u64 {
        commits / self.writers + u64::from(writer < commits % self.writers)
    }
}

mod durability {
    use super::DurabilityArg;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(arg: &DurabilityArg, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bool(*arg == DurabilityArg::Power)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<DurabilityArg, D::Error> {
        Ok(if bool::deserialize(d)? { DurabilityArg::Power } else { DurabilityArg::Process })
    }
}

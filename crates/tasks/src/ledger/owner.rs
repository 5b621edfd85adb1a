//! Owners: who claims tasks, and whether they still live. An entry is one sector of the ledger.

use super::header::SECTOR_LEN;
use super::task::OwnerId;
use h5part_base::checksum::crc32c;
use h5part_base::lock::{Fate, ProcessId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Length of an entry in bytes.
pub const ENTRY: usize = SECTOR_LEN;
/// Numbers before the text.
const NUMBERS: usize = 24;

/// A job of SLURM, told apart from its own earlier starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    /// `JOB` or `ARRAYJOB_TASK`, as squeue(1) takes it.
    pub id: String,
    /// How often it was requeued.
    pub restarts: u32,
    /// Name of its cluster, where it is known: others number their jobs, too.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Number of its user, where it is known: a queue may show nobody else's jobs.
    #[serde(default)]
    pub user: Option<u32>,
}

/// Who claims tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process; a worker's own, or the one that `h5part ledger claim` was told.
    pub process: ProcessId,
    /// The SLURM job it belongs to.
    pub job: Option<Job>,
    /// The job is the owner: the process may end before it.
    pub by_job: bool,
    /// Tells apart several owners within a process; 0: the process as a whole.
    pub ticket: u64,
    /// Its command line.
    pub command: String,
    /// Since when, in seconds since 1970.
    pub since_s: u64,
}

impl Job {
    /// The job that this process runs in.
    #[must_use]
    pub fn this() -> Option<Self> {
        let var = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let id = match (var("SLURM_ARRAY_JOB_ID"), var("SLURM_ARRAY_TASK_ID")) {
            (Some(job), Some(task)) => format!("{job}_{task}"),
            _ => var("SLURM_JOB_ID")?,
        };
        let restarts = var("SLURM_RESTART_COUNT").and_then(|text| text.parse().ok()).unwrap_or(0);
        let user = var("SLURM_JOB_UID").and_then(|text| text.parse().ok());
        Some(Self { id, restarts, cluster: var("SLURM_CLUSTER_NAME"), user })
    }
}

impl Owner {
    /// One of the owners within this process, for as long as that lives; each call makes another one.
    #[must_use]
    pub fn this_process() -> Self {
        Self { ticket: Uuid::new_v4().as_u64_pair().0.max(1), ..Self::of(ProcessId::this()) }
    }

    /// A process, for as long as it lives.
    #[must_use]
    pub fn of(process: ProcessId) -> Self {
        let command = process.command();
        let since_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
        Self { process, job: Job::this(), by_job: false, ticket: 0, command, since_s }
    }

    /// A SLURM job, for as long as it lives; the process is one of it.
    #[must_use]
    pub fn of_job(job: Job, process: ProcessId) -> Self {
        Self { job: Some(job), by_job: true, ..Self::of(process) }
    }

    /// Whether both are one and the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        if self.by_job || other.by_job {
            return self.by_job == other.by_job && self.job == other.job;
        }
        self.process == other.process && self.ticket == other.ticket
    }

    /// What can be known of it from here without asking others.
    #[must_use]
    pub fn fate(&self) -> Fate {
        if self.by_job { Fate::Elsewhere } else { self.process.fate() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.job {
            Some(job) if self.by_job => write!(f, "SLURM job {}", job.id),
            Some(job) => write!(f, "pid {} on {}, SLURM job {}", self.process.pid, self.process.host, job.id),
            None => write!(f, "pid {} on {}", self.process.pid, self.process.host),
        }
    }
}

/// An entry of the owner table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which of those that had it in turn: a number drawn for each.
    pub generation: u32,
    /// Moves while the owner lives.
    pub beat: u64,
    /// Its tasks go back, and it claims no more: somebody took it for dead, or it said so itself.
    pub given_up: bool,
    /// `None`: free.
    pub owner: Option<Owner>,
}

impl Entry {
    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[4] = u8::from(self.owner.is_some());
        out[5] = u8::from(self.given_up);
        out[8..12].copy_from_slice(&self.generation.to_le_bytes());
        out[16..24].copy_from_slice(&self.beat.to_le_bytes());
        if let Some(owner) = &self.owner {
            let text = text_of(owner);
            let len = text.len().min(ENTRY - NUMBERS);
            out[6..8].copy_from_slice(&u16::try_from(len).unwrap_or(0).to_le_bytes());
            out[NUMBERS..NUMBERS + len].copy_from_slice(&text[..len]);
        }
        let sum = crc32c(&out[4..]);
        out[..4].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// `None`: it is damaged, or was read while it was written.
    #[must_use]
    pub fn decode(bytes: &[u8; ENTRY]) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if u32_at(0) != crc32c(&bytes[4..]) {
            return None;
        }
        let len = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
        let owner = match bytes[4] {
            0 => None,
            _ => Some(serde_json::from_slice(bytes.get(NUMBERS..NUMBERS + len)?).ok()?),
        };
        let beat = u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32;
        Some(Self { generation: u32_at(8), beat, given_up: bytes[5] != 0, owner })
    }

    /// Whether it is that owner's, as of that registration.
    #[must_use]
    pub fn is_of(&self, id: OwnerId) -> bool {
        self.owner.is_some() && self.generation == id.generation
    }
}

/// As JSON, with a command line as long as there is room for it.
fn text_of(owner: &Owner) -> Vec<u8> {
    let mut shorter = owner.clone();
    loop {
        let text = serde_json::to_vec(&shorter).unwrap_or_default();
        if text.len() <= ENTRY - NUMBERS || shorter.command.is_empty() {
            return text;
        }
        let keep = shorter.command.chars().count() / 2;
        shorter.command = shorter.command.chars().take(keep).collect();
    }
}

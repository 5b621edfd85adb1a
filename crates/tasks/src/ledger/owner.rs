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
/// Length of the numbers before the text.
const NUMBERS: usize = 24;

/// A SLURM job, distinguished from its earlier starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlurmJob {
    /// `JOB` or `ARRAYJOB_TASK`, as squeue(1) accepts it.
    pub id: String,
    /// How many times it was requeued.
    pub restarts: u32,
    /// Name of its cluster, if known. Other clusters number their own jobs.
    #[serde(default)]
    pub cluster: Option<String>,
    /// User id of its owner, if known. A queue may hide other users' jobs.
    #[serde(default)]
    pub user: Option<u32>,
}

/// An owner of tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process: the worker's own, or the one given to `h5part ledger claim`.
    pub process: ProcessId,
    /// The SLURM job it belongs to.
    pub job: Option<SlurmJob>,
    /// Whether the job is the owner. The process may then end before it.
    pub by_job: bool,
    /// Distinguishes several owners within a process; 0: the process as a whole.
    pub ticket: u64,
    /// Its command line.
    pub command: String,
    /// When it was registered, in seconds since 1970.
    pub since_s: u64,
}

impl SlurmJob {
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
    /// A new owner within this process, which lives as long as the process. Each call makes another one.
    #[must_use]
    pub fn this_process() -> Self {
        Self { ticket: Uuid::new_v4().as_u64_pair().0.max(1), ..Self::of(ProcessId::this()) }
    }

    /// A process as owner, which lives as long as the process.
    #[must_use]
    pub fn of(process: ProcessId) -> Self {
        let command = process.command();
        let since_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
        Self { process, job: SlurmJob::this(), by_job: false, ticket: 0, command, since_s }
    }

    /// A SLURM job as owner, which lives as long as the job. `process` is one of its processes.
    #[must_use]
    pub fn of_job(job: SlurmJob, process: ProcessId) -> Self {
        Self { job: Some(job), by_job: true, ..Self::of(process) }
    }

    /// Whether both are the same owner.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        if self.by_job || other.by_job {
            return self.by_job == other.by_job && self.job == other.job;
        }
        self.process == other.process && self.ticket == other.ticket
    }

    /// The fate of the owner, as far as it can be known here without asking others.
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
    /// Distinguishes successive owners of the entry: a number drawn for each.
    pub generation: u32,
    /// Counts heartbeats.
    pub beat: u64,
    /// Whether the owner claims no more, and its tasks will be requeued: someone took it for dead, or it said so
    /// itself.
    pub given_up: bool,
    /// `None`: the entry is free.
    pub owner: Option<Owner>,
}

impl Entry {
    /// Encodes the entry.
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

    /// Decodes an entry. `None`: it is damaged, or was read while it was being written.
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

    /// Whether it belongs to that registration of an owner.
    #[must_use]
    pub fn is_of(&self, id: OwnerId) -> bool {
        self.owner.is_some() && self.generation == id.generation
    }
}

/// The owner as JSON, with as much of the command line as fits.
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

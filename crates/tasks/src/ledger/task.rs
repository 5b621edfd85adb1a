//! A task's slot: 64 bytes with a checksum, and its transitions. This module does no I/O.
//!
//! Every transition is a function from a slot to the next one, or a refusal. `docs/design/formats.md`, "Ledger",
//! describes the bytes.

use h5part_base::checksum::crc32c;
use std::fmt;

/// Length of a slot in bytes; eight fill a sector.
pub const SLOT: usize = 64;
/// Flag: the task's rows had no values when it was claimed.
const ROWS_WERE_EMPTY: u8 = 1;

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TaskState {
    /// Can be claimed.
    Waiting = 0,
    /// Claimed by an owner.
    Running = 1,
    /// Its work is complete.
    Done = 2,
    /// It failed too often, or was cancelled.
    Failed = 3,
}

impl TaskState {
    /// The name of the state.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// Why an attempt did not succeed. Numbers from 0 to 255 are exit codes of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// No reason was given, or none applies.
    #[default]
    None,
    /// The program exited with this code.
    Exit(u8),
    /// This signal ended the program.
    Signal(u8),
    /// The owner died.
    OwnerDied,
    /// The owner sent no heartbeat for too long.
    OwnerSilent,
    /// It ran longer than its time limit.
    TimedOut,
    /// It exited with success, but its rows are not committed.
    NoData,
    /// A person cancelled it.
    Cancelled,
    /// Its code panicked.
    Panicked,
    /// The program could not be started.
    NotStarted,
    /// It exited with success, but its results could not be kept.
    NotKept,
}

/// Numbers of the reasons that are not exit codes.
const SPECIAL: [(i32, Reason); 9] = [
    (-1, Reason::None),
    (-2, Reason::OwnerDied),
    (-3, Reason::OwnerSilent),
    (-4, Reason::TimedOut),
    (-5, Reason::NoData),
    (-6, Reason::Cancelled),
    (-7, Reason::Panicked),
    (-8, Reason::NotStarted),
    (-9, Reason::NotKept),
];
const SIGNAL: i32 = 256;

impl Reason {
    fn code(self) -> i32 {
        match self {
            Self::Exit(code) => i32::from(code),
            Self::Signal(signal) => SIGNAL + i32::from(signal),
            other => SPECIAL.iter().find(|(_, reason)| *reason == other).map_or(-1, |(code, _)| *code),
        }
    }

    fn of_code(code: i32) -> Self {
        if let Ok(exit) = u8::try_from(code) {
            return Self::Exit(exit);
        }
        if let Some(signal) = code.checked_sub(SIGNAL).and_then(|code| u8::try_from(code).ok()) {
            return Self::Signal(signal);
        }
        SPECIAL.iter().find(|(special, _)| *special == code).map_or(Self::None, |(_, reason)| *reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no reason given"),
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::OwnerDied => f.write_str("its worker died"),
            Self::OwnerSilent => f.write_str("its worker stopped sending heartbeats"),
            Self::TimedOut => f.write_str("it took longer than its time limit"),
            Self::NoData => f.write_str("exited with 0, but its rows are not committed"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Panicked => f.write_str("its code panicked"),
            Self::NotKept => f.write_str("exited with 0, but its results could not be kept"),
            Self::NotStarted => f.write_str("its program could not be started"),
        }
    }
}

/// A registration in the owner table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId {
    /// Position in the table.
    pub place: u32,
    /// Distinguishes successive owners of the entry.
    pub generation: u32,
}

/// Position of a name among the names, and its checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameAt {
    /// Byte offset in the ledger.
    pub at: u64,
    /// Length in bytes.
    pub len: u32,
    /// CRC-32C.
    pub sum: u32,
}

/// A decoded slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// Its state.
    pub state: TaskState,
    /// How many times it has failed.
    pub attempts: u16,
    /// Whether its rows had no value when it was claimed.
    pub rows_were_empty: bool,
    /// How many times it was claimed, which is the number of its latest claim.
    pub fence: u64,
    /// Its latest owner.
    pub owner: OwnerId,
    /// Its number in the list of tasks.
    pub index: u32,
    /// Why it last failed.
    pub reason: Reason,
    /// When it entered this state, in milliseconds since 1970.
    pub since_ms: u64,
    /// Its name.
    pub name: NameAt,
    /// Its weight. Heavy tasks come first.
    pub weight: f64,
}

/// Why a transition is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not waiting.
    NotWaiting,
    /// It has failed too recently.
    TooEarly,
    /// Another claim holds it, or none does.
    NotYours,
}

impl Task {
    /// A waiting task.
    #[must_use]
    pub fn new(index: u32, name: NameAt, weight: f64) -> Self {
        Self {
            state: TaskState::Waiting,
            attempts: 0,
            rows_were_empty: false,
            fence: 0,
            owner: OwnerId::default(),
            index,
            reason: Reason::None,
            since_ms: 0,
            name,
            weight,
        }
    }

    /// Encodes the slot.
    #[must_use]
    pub fn encode(&self) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        out[4] = self.state as u8;
        out[5] = if self.rows_were_empty { ROWS_WERE_EMPTY } else { 0 };
        out[6..8].copy_from_slice(&self.attempts.to_le_bytes());
        out[8..16].copy_from_slice(&self.fence.to_le_bytes());
        out[16..20].copy_from_slice(&self.owner.place.to_le_bytes());
        out[20..24].copy_from_slice(&self.owner.generation.to_le_bytes());
        out[24..28].copy_from_slice(&self.index.to_le_bytes());
        out[28..32].copy_from_slice(&self.reason.code().to_le_bytes());
        out[32..40].copy_from_slice(&self.since_ms.to_le_bytes());
        out[40..48].copy_from_slice(&self.name.at.to_le_bytes());
        out[48..52].copy_from_slice(&self.name.len.to_le_bytes());
        out[52..56].copy_from_slice(&self.name.sum.to_le_bytes());
        out[56..64].copy_from_slice(&self.weight.to_le_bytes());
        let sum = crc32c(&out[4..]);
        out[..4].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Decodes a slot. `None`: it is damaged, or was read while it was being written.
    #[must_use]
    pub fn decode(slot: &[u8; SLOT]) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes([slot[at], slot[at + 1], slot[at + 2], slot[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(0) != crc32c(&slot[4..]) || slot[5] > ROWS_WERE_EMPTY {
            return None;
        }
        let state = [TaskState::Waiting, TaskState::Running, TaskState::Done, TaskState::Failed];
        Some(Self {
            state: *state.get(usize::from(slot[4]))?,
            attempts: u16::from_le_bytes([slot[6], slot[7]]),
            rows_were_empty: slot[5] == ROWS_WERE_EMPTY,
            fence: u64_at(8),
            owner: OwnerId { place: u32_at(16), generation: u32_at(20) },
            index: u32_at(24),
            reason: Reason::of_code(u32_at(28).cast_signed()),
            since_ms: u64_at(32),
            name: NameAt { at: u64_at(40), len: u32_at(48), sum: u32_at(52) },
            weight: f64::from_bits(u64_at(56)),
        })
    }

    /// An owner claims it. A failed task rests for `delay_ms`; setting back the clock does not extend this.
    ///
    /// # Errors
    /// [`Refusal::NotWaiting`], [`Refusal::TooEarly`].
    pub fn claim(&self, owner: OwnerId, delay_ms: u64, now_ms: u64) -> Result<Self, Refusal> {
        if self.state != TaskState::Waiting {
            return Err(Refusal::NotWaiting);
        }
        let rests = self.since_ms <= now_ms && now_ms - self.since_ms < delay_ms;
        if self.attempts > 0 && rests {
            return Err(Refusal::TooEarly);
        }
        let fence = self.fence.checked_add(1).ok_or(Refusal::NotWaiting)?;
        Ok(Self { state: TaskState::Running, fence, owner, rows_were_empty: false, since_ms: now_ms, ..*self })
    }

    /// Whether the claim with this fence still holds.
    #[must_use]
    pub fn is_held(&self, fence: u64) -> bool {
        self.state == TaskState::Running && self.fence == fence
    }

    fn held(&self, fence: u64) -> Result<&Self, Refusal> {
        if self.is_held(fence) { Ok(self) } else { Err(Refusal::NotYours) }
    }

    /// The owner found its rows without values.
    ///
    /// # Errors
    /// [`Refusal::NotYours`].
    pub fn found_empty(&self, fence: u64) -> Result<Self, Refusal> {
        self.held(fence).map(|task| Self { rows_were_empty: true, ..*task })
    }

    /// The owner has completed it.
    ///
    /// # Errors
    /// [`Refusal::NotYours`].
    pub fn done(&self, fence: u64, now_ms: u64) -> Result<Self, Refusal> {
        self.held(fence).map(|task| Self { state: TaskState::Done, reason: Reason::None, since_ms: now_ms, ..*task })
    }

    /// The attempt failed. The task waits again, or stays failed after `max_attempts`. Rows that were written count as
    /// its work only if the owner died, not if the owner reports a failure.
    ///
    /// # Errors
    /// [`Refusal::NotYours`].
    pub fn fail(&self, fence: u64, reason: Reason, max_attempts: u16, now_ms: u64) -> Result<Self, Refusal> {
        self.held(fence)?;
        let attempts = self.attempts.saturating_add(1);
        let state = if attempts >= max_attempts { TaskState::Failed } else { TaskState::Waiting };
        let died = matches!(reason, Reason::OwnerDied | Reason::OwnerSilent);
        let rows_were_empty = self.rows_were_empty && died;
        Ok(Self { state, attempts, reason, rows_were_empty, since_ms: now_ms, ..*self })
    }

    /// The owner releases it, which does not count as a failure.
    ///
    /// # Errors
    /// [`Refusal::NotYours`].
    pub fn release(&self, fence: u64, now_ms: u64) -> Result<Self, Refusal> {
        self.held(fence).map(|task| Self { rows_were_empty: false, ..task.waiting(now_ms) })
    }

    /// A person requeues it, whatever its state.
    #[must_use]
    pub fn requeue(&self, now_ms: u64) -> Self {
        Self { attempts: 0, reason: Reason::None, rows_were_empty: false, ..self.waiting(now_ms) }
    }

    fn waiting(&self, now_ms: u64) -> Self {
        Self { state: TaskState::Waiting, since_ms: now_ms, ..*self }
    }

    /// Marks it as done, although nobody holds it, since its work is complete.
    #[must_use]
    pub fn settle(&self, now_ms: u64) -> Self {
        Self { state: TaskState::Done, reason: Reason::None, since_ms: now_ms, ..*self }
    }

    /// A person cancels it. `None`: it has already ended.
    #[must_use]
    pub fn cancel(&self, now_ms: u64) -> Option<Self> {
        let open = matches!(self.state, TaskState::Waiting | TaskState::Running);
        let cancelled = Self { state: TaskState::Failed, reason: Reason::Cancelled, since_ms: now_ms, ..*self };
        open.then_some(Self { rows_were_empty: false, ..cancelled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot with a valid checksum may still hold any number.
    #[test]
    fn any_number_is_a_reason() {
        for code in [i32::MIN, i32::MIN + 255, -10, 512, i32::MAX] {
            assert_eq!(Reason::of_code(code), Reason::None, "{code}");
        }
        for reason in [
            Reason::Exit(0),
            Reason::Exit(255),
            Reason::Signal(9),
            Reason::Signal(255),
            Reason::NoData,
            Reason::NotKept,
        ] {
            assert_eq!(Reason::of_code(reason.code()), reason);
        }
    }
}

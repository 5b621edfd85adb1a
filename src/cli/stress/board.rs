//! Records what was acknowledged, in a file that all writers map. A store to it survives `kill -9` of the writer and
//! costs nanoseconds, so that the record does not slow down what is measured.
#![expect(unsafe_code, reason = "a mapped file; each block says why it holds")]

use super::job::StressRun;
use h5part::Result;
use h5part_base::error::At;
use h5part_base::num::to_usize;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::OpenOptions;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words per entry: token, start and end of its commit in nanoseconds.
const WORDS: usize = 3;

/// Words at the end of a board, shared by all processes.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// Not zero if the run is over.
    Stop,
    /// Number of acknowledged structural changes.
    Changes,
    /// Number of rows that readers checked.
    RowsRead,
    /// Number of rows that a reader saw as a mixture.
    TornRead,
    /// Number of rows in which a reader missed what was acknowledged before.
    LostRead,
}

/// What was acknowledged to a changer, one word each.
#[derive(Clone, Copy, Debug)]
pub enum Score {
    /// Number of tables created.
    Tables,
    /// The last value of its attribute.
    Attribute,
    /// Rows of its growing table.
    Rows,
}

const GLOBAL_WORDS: u64 = 8;
const SCORE_WORDS: u64 = 4;

/// An acknowledged commit of a row by a writer.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    pub token: u64,
    pub start_ns: u64,
    pub end_ns: u64,
}

/// The last acknowledged commit of every row by every writer.
#[derive(Debug)]
pub struct Board {
    map: MmapRaw,
    /// Entries per writer; 0 if each row has only one writer.
    stride: u64,
    /// Number of all entries. The writers' counters follow them.
    entries: u64,
    writers: u64,
}

impl Board {
    /// Creates the file of a host, all zero, and maps it.
    pub fn create(job: &StressRun, host: u64) -> Result<Self> {
        let path = job.board(host);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).at("make", &path)?;
        let words = entries(job) * WORDS as u64 + job.writers * (2 + SCORE_WORDS) + GLOBAL_WORDS;
        file.set_len(words * 8).at("make", &path)?;
        Self::open(job, host)
    }

    /// Maps the file of a host.
    pub fn open(job: &StressRun, host: u64) -> Result<Self> {
        let path = job.board(host);
        let file = OpenOptions::new().read(true).write(true).open(&path).at("open", &path)?;
        let map = MmapOptions::new().map_raw(&file).at("map", &path)?;
        Ok(Self { map, stride: if job.overlap { job.rows } else { 0 }, entries: entries(job), writers: job.writers })
    }

    /// Writes the file, so that other hosts can read it.
    ///
    /// # Errors
    /// As msync(2).
    pub fn write_out(&self) -> std::io::Result<()> {
        self.map.flush()
    }

    /// Touches the pages of a writer's rows, so that no page fault falls into the measurement.
    pub fn touch(&self, job: &StressRun, writer: u64) {
        for row in job.rows_of(writer).step_by(100) {
            self.word(writer, row, 0).fetch_or(0, Ordering::Relaxed);
        }
    }

    pub fn set(&self, writer: u64, row: u64, done: Acknowledged) {
        self.word(writer, row, 1).store(done.start_ns, Ordering::Relaxed);
        self.word(writer, row, 2).store(done.end_ns, Ordering::Relaxed);
        self.word(writer, row, 0).store(done.token, Ordering::Release);
    }

    pub fn get(&self, writer: u64, row: u64) -> Option<Acknowledged> {
        let token = self.word(writer, row, 0).load(Ordering::Acquire);
        let word = |k| self.word(writer, row, k).load(Ordering::Relaxed);
        (token != 0).then(|| Acknowledged { token, start_ns: word(1), end_ns: word(2) })
    }

    /// Counts an acknowledged commit of this many rows.
    pub fn count(&self, writer: u64, rows: u64) {
        let (commits, all_rows) = self.counters(writer);
        commits.fetch_add(1, Ordering::Relaxed);
        all_rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Commits acknowledged to a writer over all its lives, and their rows.
    pub fn counted(&self, writer: u64) -> (u64, u64) {
        let (commits, rows) = self.counters(writer);
        (commits.load(Ordering::Relaxed), rows.load(Ordering::Relaxed))
    }

    fn counters(&self, writer: u64) -> (&AtomicU64, &AtomicU64) {
        let first = self.entries * WORDS as u64 + writer * 2;
        (self.at(first), self.at(first + 1))
    }

    pub fn word_of_all(&self, word: Word) -> &AtomicU64 {
        self.at(self.entries * WORDS as u64 + self.writers * (2 + SCORE_WORDS) + word as u64)
    }

    pub fn score(&self, changer: u64, score: Score) -> &AtomicU64 {
        self.at(self.entries * WORDS as u64 + self.writers * 2 + changer * SCORE_WORDS + score as u64)
    }

    pub fn is_stopped(&self) -> bool {
        self.word_of_all(Word::Stop).load(Ordering::Acquire) != 0
    }

    fn word(&self, writer: u64, row: u64, k: usize) -> &AtomicU64 {
        self.at((writer * self.stride + row) * WORDS as u64 + k as u64)
    }

    fn at(&self, word: u64) -> &AtomicU64 {
        let word = usize::try_from(word).unwrap_or(usize::MAX / 16);
        assert!((word + 1) * 8 <= self.map.len());
        // SAFETY: the word is within the map (asserted), aligned since maps start at a page, and alive as long as
        // `self`. Other processes also access the words as atomics, and nobody truncates the file.
        #[expect(clippy::cast_ptr_alignment, reason = "maps start at a page")]
        unsafe {
            AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(word))
        }
    }
}

/// The boards of all hosts, after the run.
#[derive(Debug)]
pub struct Boards(Vec<Board>);

impl Boards {
    /// Maps the files of all hosts.
    pub fn open(job: &StressRun) -> Result<Self> {
        (0..=job.peers.len() as u64).map(|host| Board::open(job, host)).collect::<Result<_>>().map(Self)
    }

    /// The board of a writer.
    pub fn of(&self, job: &StressRun, writer: u64) -> &Board {
        &self.0[to_usize(job.host_of(writer))]
    }
}

fn entries(job: &StressRun) -> u64 {
    if job.overlap { job.rows * job.writers } else { job.rows }
}

//! Starts the writers together, kills and restarts them if asked, and keeps time.

use super::STRESS;
use super::board::Board;
use super::job::Job;
use super::worker::{Done, now_ns};
use h5part::error::At;
use h5part::{ErrorKind, Result};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// From the last "ready" to the common start, in nanoseconds.
const LEAD_NS: u64 = 30_000_000;
/// Sequence numbers of a worker's later lives start this much higher.
const LIFE: u64 = 1 << 24;

/// What the writers did.
#[derive(Debug)]
pub struct Ran {
    pub wall_s: f64,
    pub commits: u64,
    pub rows: u64,
    pub kills: u64,
}

struct Worker {
    number: u64,
    lives: u64,
    child: Child,
    out: BufReader<ChildStdout>,
}

/// Runs all writers to their end.
pub fn run(job: &Job, kill_every_ms: Option<u64>) -> Result<Ran> {
    job.save()?;
    let board = Board::create(job)?;
    let mut workers = (0..job.writers).map(|w| Worker::spawn(job, w, 0)).collect::<Result<Vec<_>>>()?;
    for worker in &mut workers {
        worker.ready()?;
    }
    let start_ns = now_ns() + LEAD_NS;
    for worker in &mut workers {
        worker.go(start_ns)?;
    }
    let mut killer = Killer::new(job, kill_every_ms);
    let mut done: Vec<Done> = Vec::new();
    match killer.interval {
        Some(interval) => killer.until_all_done(job, &mut workers, &mut done, interval, start_ns)?,
        None => done.extend(workers.into_iter().map(Worker::finish).collect::<Result<Vec<_>>>()?),
    }
    let end_ns = done.iter().map(|d| d.end_ns).max().unwrap_or(start_ns);
    let wall_s = Duration::from_nanos(end_ns.saturating_sub(start_ns)).as_secs_f64();
    let counted = (0..job.writers).map(|w| board.counted(w));
    let (commits, rows) = counted.fold((0, 0), |(c, r), (commits, rows)| (c + commits, r + rows));
    Ok(Ran { wall_s, commits, rows, kills: killer.kills })
}

struct Killer {
    interval: Option<Duration>,
    random: u64,
    kills: u64,
}

impl Killer {
    fn new(job: &Job, every_ms: Option<u64>) -> Self {
        Self { interval: every_ms.map(Duration::from_millis), random: job.seed | 1, kills: 0 }
    }

    fn next(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % below.max(1) as u64).unwrap_or(0)
    }

    /// Kills one writer after the other, starting each again, until all have done their rows.
    fn until_all_done(
        &mut self,
        job: &Job,
        workers: &mut Vec<Worker>,
        done: &mut Vec<Done>,
        interval: Duration,
        start_ns: u64,
    ) -> Result<()> {
        let mut due = Instant::now() + interval;
        while !workers.is_empty() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(2)));
            let mut k = 0;
            while k < workers.len() {
                if workers[k].child.try_wait().at(STRESS, &job.dir)?.is_some() {
                    done.push(workers.remove(k).finish()?);
                } else {
                    k += 1;
                }
            }
            if Instant::now() >= due && !workers.is_empty() {
                due = Instant::now() + interval;
                let victim = self.next(workers.len());
                self.kill(job, &mut workers[victim], start_ns)?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, job: &Job, worker: &mut Worker, start_ns: u64) -> Result<()> {
        worker.child.kill().at(STRESS, &job.dir)?;
        let status = worker.child.wait().at(STRESS, &job.dir)?;
        if status.code().is_some() {
            // It had ended by itself just before: its last word is in the pipe.
            return Ok(());
        }
        self.kills += 1;
        *worker = Worker::spawn(job, worker.number, worker.lives + 1)?;
        worker.ready()?;
        worker.go(start_ns)
    }
}

impl Worker {
    fn spawn(job: &Job, number: u64, lives: u64) -> Result<Self> {
        let program = std::env::current_exe().at("find", "h5part itself")?;
        let first_sequence = lives * LIFE + 1;
        let mut child = Command::new(&program)
            .arg("stress-worker")
            .arg(&job.dir)
            .args([number.to_string(), first_sequence.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .at("start", &program)?;
        let out = child.stdout.take().map(BufReader::new);
        let out = out.ok_or_else(|| ErrorKind::BadRequest("no pipe to a worker".to_owned())).at("start", &program)?;
        Ok(Self { number, lives, child, out })
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.out.read_line(&mut line).map_err(ErrorKind::Io).at("listen to", "a worker")?;
        Ok(line)
    }

    fn ready(&mut self) -> Result<()> {
        if self.read_line()?.trim() == "ready" { Ok(()) } else { Err(self.failed("did not start")) }
    }

    fn go(&mut self, start_ns: u64) -> Result<()> {
        let said = self.child.stdin.take().map(|mut pipe| writeln!(pipe, "{start_ns}"));
        said.unwrap_or(Ok(())).map_err(ErrorKind::Io).at("start", "a worker")
    }

    fn finish(mut self) -> Result<Done> {
        let line = self.read_line()?;
        let status = self.child.wait().at("wait for", "a worker")?;
        match serde_json::from_str(&line) {
            Ok(done) if status.success() => Ok(done),
            _ => Err(self.failed(&format!("ended with {status}"))),
        }
    }

    fn failed(&self, how: &str) -> h5part::Error {
        let worker = usize::try_from(self.number).unwrap_or(usize::MAX);
        ErrorKind::Worker { worker, how: how.to_owned() }.at(STRESS, "a writer process")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Ended already, unless another worker failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

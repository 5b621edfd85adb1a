//! Starts the writers together, kills and restarts them if asked to, and measures the time.

use super::STRESS;
use super::board::{Board, Boards, Word};
use super::job::{Role, StressRun};
use super::turns::now_ns;
use super::worker::Done;
use clap::ValueEnum;
use h5part::{ErrorKind, Result};
use h5part_base::error::{At, Kind};
use h5part_base::num::to_usize;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Time from the last "ready" to the common start, in nanoseconds.
const LEAD_NS: u64 = 30_000_000;
/// Each later life of a worker starts with sequence numbers that are higher by this.
const LIFE: u64 = 1 << 24;

/// What the writers did.
#[derive(Debug)]
pub struct Ran {
    pub wall_s: f64,
    pub commits: u64,
    pub rows: u64,
    pub kills: u64,
    /// Structural changes.
    pub changes: u64,
    pub rows_read: u64,
    pub torn_read: u64,
    pub lost_read: u64,
}

struct Worker {
    role: Role,
    number: u64,
    lives: u64,
    child: Child,
    /// Writers on other hosts stop when it is closed.
    input: Option<ChildStdin>,
    /// Its process on its own host.
    pid: u32,
    out: BufReader<ChildStdout>,
}

/// Runs all writers to their end.
pub fn run(job: &StressRun, kills: Kills) -> Result<Ran> {
    job.save()?;
    let board = Board::create(job, 0)?;
    Board::create(&job.library(), 0)?;
    for host in 1..=job.peers.len() as u64 {
        Board::create(job, host)?;
    }
    let spawn = |role, count| (0..count).map(move |k| Worker::spawn(job, role, k, 0));
    let mut workers = spawn(Role::Writer, job.writers).collect::<Result<Vec<_>>>()?;
    let mut changers = spawn(Role::Changer, job.changers).collect::<Result<Vec<_>>>()?;
    let mut readers = spawn(Role::Reader, job.readers).collect::<Result<Vec<_>>>()?;
    for worker in workers.iter_mut().chain(&mut changers).chain(&mut readers) {
        worker.ready()?;
    }
    let start_ns = now_ns() + LEAD_NS;
    for worker in workers.iter_mut().chain(&mut changers).chain(&mut readers) {
        worker.go(start_ns)?;
    }
    let mut killer = Killer { kills_wanted: kills, random: job.seed | 1, kills: 0, start_ns };
    let mut done: Vec<Done> = Vec::new();
    match kills.every {
        Some(interval) => killer.until_all_done(job, &board, &mut workers, &mut changers, &mut done, interval)?,
        None => done.extend(workers.into_iter().map(Worker::finish).collect::<Result<Vec<_>>>()?),
    }
    board.word_of_all(Word::Stop).store(1, Ordering::Release);
    for companion in changers.into_iter().chain(readers) {
        companion.finish()?;
    }
    let end_ns = done.iter().map(|d| d.end_ns).max().unwrap_or(start_ns);
    let wall_s = Duration::from_nanos(end_ns.saturating_sub(start_ns)).as_secs_f64();
    let boards = Boards::open(job)?;
    let counted = (0..job.writers).map(|w| boards.of(job, w).counted(w));
    let (commits, rows) = counted.fold((0, 0), |(c, r), (commits, rows)| (c + commits, r + rows));
    let word = |word| board.word_of_all(word).load(Ordering::Acquire);
    Ok(Ran {
        wall_s,
        commits,
        rows,
        kills: killer.kills,
        changes: word(Word::Changes),
        rows_read: word(Word::RowsRead),
        torn_read: word(Word::TornRead),
        lost_read: word(Word::LostRead),
    })
}

/// Which processes to kill, and when.
#[derive(Clone, Copy, Debug)]
pub struct Kills {
    /// Time between two kills.
    pub every: Option<Duration>,
    /// End the run after this many kills. `None`: when the writers are done.
    pub rounds: Option<u64>,
}

struct Killer {
    kills_wanted: Kills,
    random: u64,
    kills: u64,
    start_ns: u64,
}

impl Killer {
    fn next(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % below.max(1) as u64).unwrap_or(0)
    }

    /// Returns half to one and a half of the interval, so that kills do not keep step with the commits.
    fn pause(&mut self, interval: Duration) -> Duration {
        interval / 2 + interval.mul_f64(f64::from(u16::try_from(self.next(1000)).unwrap_or(500)) / 1000.0)
    }

    /// Kills one process after another and restarts each, until all writers have written their rows.
    fn until_all_done(
        &mut self,
        job: &StressRun,
        board: &Board,
        workers: &mut Vec<Worker>,
        changers: &mut [Worker],
        done: &mut Vec<Done>,
        interval: Duration,
    ) -> Result<()> {
        let mut due = Instant::now() + self.pause(interval);
        while !workers.is_empty() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(2)));
            let mut k = 0;
            while k < workers.len() {
                if workers[k].has_ended(job)? {
                    done.push(workers.remove(k).finish()?);
                } else {
                    k += 1;
                }
            }
            if self.kills_wanted.rounds.is_some_and(|rounds| self.kills >= rounds) {
                board.word_of_all(Word::Stop).store(1, Ordering::Release);
                for worker in &mut *workers {
                    worker.input = None;
                }
            } else if Instant::now() >= due && !workers.is_empty() {
                // Changers have more that can break, so they are killed as often as all writers together.
                let among_changers = !changers.is_empty() && self.next(2) == 0;
                let victims = if among_changers { &mut *changers } else { workers.as_mut_slice() };
                let victim = self.next(victims.len());
                self.kill(job, &mut victims[victim])?;
                due = Instant::now() + self.pause(interval);
            }
        }
        Ok(())
    }

    fn kill(&mut self, job: &StressRun, worker: &mut Worker) -> Result<()> {
        let status = worker.kill(job).at(STRESS, &job.dir)?;
        if status.success() || (worker.host(job) == 0 && status.code().is_some()) {
            // It had just ended on its own. Its last message is in the pipe.
            return Ok(());
        }
        self.kills += 1;
        *worker = Worker::spawn(job, worker.role, worker.number, worker.lives + 1)?;
        worker.ready()?;
        worker.go(self.start_ns)
    }
}

impl Worker {
    fn spawn(job: &StressRun, role: Role, number: u64, lives: u64) -> Result<Self> {
        let program = std::env::current_exe().at("find", "h5part itself")?;
        let first_sequence = lives * LIFE + 1;
        let host = if role == Role::Writer { job.host_of(number) } else { 0 };
        let mut child = job
            .command(host, &program)
            .arg("stress-worker")
            .arg(&job.dir)
            .arg(role.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned()))
            .args([number.to_string(), first_sequence.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .at("start", &program)?;
        let out = child.stdout.take().map(BufReader::new);
        let out = out.ok_or_else(|| ErrorKind::BadRequest("no pipe to a worker".to_owned())).at("start", &program)?;
        let input = child.stdin.take();
        Ok(Self { role, number, lives, child, input, pid: 0, out })
    }

    fn host(&self, job: &StressRun) -> u64 {
        if self.role == Role::Writer { job.host_of(self.number) } else { 0 }
    }

    /// Kills the process, on whatever host it runs.
    fn kill(&mut self, job: &StressRun) -> io::Result<ExitStatus> {
        match self.host(job) {
            0 => self.child.kill()?,
            host => {
                job.command(host, Path::new("kill")).args(["-KILL", &self.pid.to_string()]).status()?;
            }
        }
        self.child.wait()
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.out.read_line(&mut line).map_err(ErrorKind::Io).at("listen to", "a worker")?;
        Ok(line)
    }

    fn ready(&mut self) -> Result<()> {
        let said = self.read_line()?;
        match said.trim().strip_prefix("ready ").and_then(|pid| pid.parse().ok()) {
            Some(pid) => {
                self.pid = pid;
                Ok(())
            }
            None => Err(self.failed("did not start")),
        }
    }

    fn go(&mut self, start_ns: u64) -> Result<()> {
        let said = self.input.as_mut().map(|pipe| writeln!(pipe, "{start_ns}"));
        said.unwrap_or(Ok(())).map_err(ErrorKind::Io).at("start", "a worker")
    }

    fn has_ended(&mut self, job: &StressRun) -> Result<bool> {
        Ok(self.child.try_wait().at(STRESS, &job.dir)?.is_some())
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
        let worker = to_usize(self.number);
        h5part_tasks::ErrorKind::Worker { worker, how: how.to_owned() }.at(STRESS, "a process of the run")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already, unless another worker failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

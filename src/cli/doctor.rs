//! `h5part doctor`

use super::common::{SharedArg, seconds};
use super::exit::Exit;
use super::hints;
use super::output::{bytes, json, line, say};
use h5part::{ErrorKind, Result, Shared};
use h5part_base::error::At;
use h5part_doctor::{self, Check, Hosts, Level, Limits, Meeting, Report, Waits};
use h5part_engine::h5::library_version;
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The hidden subcommand that acts as one side of a test.
const SIDE: &str = "doctor-side";

/// Test whether a file system is safe for shared writing.
///
/// Reads the mount options and tests locks between processes. With --listen on one host and --peer on another
/// host that sees the same folder, also tests them between hosts. Removes its test files. Exit code 0: safe, as
/// far as is known; 10: not safe; `update` and other commands that write refuse it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder, a file, or a file that does not exist yet.
    path: PathBuf,
    /// Wait for --peer on another host.
    #[arg(long, conflicts_with = "peer")]
    listen: bool,
    /// Connect to --listen on another host.
    #[arg(long)]
    peer: bool,
    /// Test for stores that several hosts share in this way.
    #[arg(long, value_name = "KIND", env = "H5PART_SHARED", hide_env_values = true)]
    shared: Option<SharedArg>,
    /// Give up when the other host has been silent for this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    timeout: f64,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// One side of a test, started by `doctor` itself.
#[derive(Debug, clap::Args)]
pub struct SideArgs {
    folder: PathBuf,
    #[arg(long)]
    shared: Option<SharedArg>,
}

impl super::Subcommand for SideArgs {
    fn run(&self) -> Result<Exit> {
        h5part_doctor::serve(&self.folder, SharedArg::kind(self.shared))
            .map_err(ErrorKind::Io)
            .at("test", &self.folder)?;
        Ok(Exit::Success)
    }
}

/// The report, with what only the program knows.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a Report,
    remedy: Option<&'static str>,
    hdf5_version: String,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let signal = Interrupted::watch().at("watch signals for", &self.path)?;
        let timeout = Duration::from_secs_f64(self.timeout);
        let waits = Waits { timeout, stop: &signal.asked, whom: self.whom() };
        let meeting = match (self.listen, self.peer) {
            (true, _) => Meeting::Listen(waits),
            (_, true) => Meeting::Join(waits),
            _ => Meeting::None,
        };
        self.announce();
        let shared = SharedArg::kind(self.shared);
        let outcome = h5part_doctor::examine(&self.path, shared, &|folder: &Path| start(folder, shared), meeting);
        // All files are removed by now, so the signal may take effect.
        signal.pass_on().at("end", &self.path)?;
        let report = outcome?;
        let remedy = report.verdict.remedy.map(hints::of_doctor_remedy);
        let told = Told { report: &report, remedy, hdf5_version: library_version() };
        if self.json {
            json(&told)?;
        } else {
            told.lines().iter().try_for_each(line)?;
        }
        Ok(if report.verdict.is_refused() { Exit::Unsupported } else { Exit::Success })
    }
}

impl Args {
    /// The other side, as errors name it.
    fn whom(&self) -> &'static str {
        if self.listen {
            "'h5part doctor --peer' on another host, in the same folder"
        } else {
            "'h5part doctor --listen' on another host, in the same folder"
        }
    }

    fn announce(&self) {
        let folder = self.path.display();
        if self.listen {
            say(format_args!(
                "waiting up to {} s; now run on another host: h5part doctor {folder} --peer",
                self.timeout
            ));
        } else if self.peer {
            say(format_args!(
                "looking for 'h5part doctor {folder} --listen' of another host, up to {} s",
                self.timeout
            ));
        }
    }
}

fn start(folder: &Path, shared: Shared) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SIDE).arg(folder);
    if shared == Shared::Nfs {
        command.args(["--shared", "nfs"]);
    }
    Ok(command)
}

/// A signal that asks the program to end.
struct Interrupted {
    asked: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Interrupted {
    fn watch() -> io::Result<Self> {
        let watched = Self { asked: Arc::default(), which: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal).unwrap_or(0);
            signal_hook::flag::register_usize(signal, Arc::clone(&watched.which), number)?;
            signal_hook::flag::register(signal, Arc::clone(&watched.asked))?;
        }
        Ok(watched)
    }

    /// Ends by the received signal, if there was one.
    fn pass_on(&self) -> io::Result<()> {
        match i32::try_from(self.which.load(Ordering::Relaxed)) {
            Ok(0) | Err(_) => Ok(()),
            Ok(signal) => signal_hook::low_level::emulate_default_handler(signal),
        }
    }
}

impl Told<'_> {
    fn lines(&self) -> Vec<String> {
        let report = self.report;
        let word = match report.verdict.verdict {
            Level::Safe => "SAFE",
            Level::Unknown => "UNKNOWN",
            Level::OneHost => "SAFE ON ONE HOST ONLY",
            Level::Unsafe => "UNSAFE",
        };
        let mut lines = vec![format!("{word}: {}", report.verdict.why)];
        lines.extend(self.remedy.iter().map(|remedy| format!("do: {remedy}")));
        lines.push(self.file_system());
        lines.push(tested("processes", &report.processes));
        lines.extend(failures(&report.processes));
        lines.push(tested("threads", &report.threads));
        lines.extend(failures(&report.threads));
        lines.extend(hosts(report.hosts.as_ref()));
        lines.extend(self.measured());
        lines.push(format!("HDF5: {}", self.hdf5_version));
        lines.push(format!("h5part: {} on Linux {}", report.version, report.kernel));
        lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
        lines
    }

    fn file_system(&self) -> String {
        let system = &self.report.file_system;
        let mut text = format!("file system: {}", system.kind);
        if let (Some(point), Some(source), Some(device)) = (&system.mount_point, &system.source, &system.device) {
            let _ = write!(text, " at {} ({source}, device {device}): {}", point.display(), system.options.join(","));
        }
        text
    }

    fn measured(&self) -> Vec<String> {
        let Report { latency, change_times: times, free, limits, .. } = self.report;
        let calls = latency.as_ref().map_or_else(
            || "not measured".to_owned(),
            |l| {
                format!(
                    "flock {:.1} us, byte-range lock {:.1} us, fdatasync {:.0} us",
                    l.flock_us, l.range_us, l.sync_us
                )
            },
        );
        let step = times.step_us.map_or_else(String::new, |us| format!(", by {us} us or more"));
        let files = free.files.map_or_else(|| "any number of files".to_owned(), |n| format!("{n} files"));
        vec![
            format!("calls: {calls}"),
            format!("change times: {} of {} writes told apart{step}", times.told_apart, times.writes),
            format!("free: {}, {files}", bytes(free.bytes)),
            format!("limits: {}", limits_told(limits)),
        ]
    }
}

fn limits_told(limits: &Limits) -> String {
    let size = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), bytes);
    let open = limits.open_files.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    format!(
        "length of a file {}, open files {open}, address space {}, data {}",
        size(limits.file_bytes),
        size(limits.address_space_bytes),
        size(limits.data_bytes)
    )
}

fn tested(between: &str, checks: &[Check]) -> String {
    let passed = checks.iter().filter(|check| check.passed).count();
    match checks.len() {
        0 => format!("locks between {between}: not tested"),
        all => format!("locks between {between}: {passed} of {all} tests passed"),
    }
}

fn failures(checks: &[Check]) -> impl Iterator<Item = String> {
    let failed = checks.iter().filter(|check| !check.passed);
    failed.map(|check| format!("failed: {} ({})", check.what, check.seen.as_deref().unwrap_or("it does not hold")))
}

fn hosts(hosts: Option<&Hosts>) -> Vec<String> {
    let Some(hosts) = hosts else { return vec![tested("hosts", &[])] };
    let which = format!("{} and {}", hosts.host, hosts.peer);
    let between = if hosts.same_host { "two processes that met (one host)" } else { &format!("hosts {which}") };
    let mut lines = vec![tested(between, &hosts.checks)];
    lines.extend(failures(&hosts.checks));
    lines.push(format!("on {}: {}", hosts.peer, hosts.peer_file_system));
    lines
}

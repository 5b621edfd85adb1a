//! The command line: one file per subcommand. This one only dispatches.

mod adopt;
mod attr;
mod bigplanet;
mod bpstatus;
mod common;
mod create;
mod csv;
mod dimensions;
mod doctor;
mod exit;
mod extend;
mod generate;
mod hints;
mod info;
mod ledger;
mod limited;
mod look;
mod mbe;
mod merge;
mod monitor;
mod mpstatus;
mod multiplanet;
mod output;
mod outputs;
mod publish;
mod read;
mod recommend;
mod recover;
mod report;
mod reset;
mod run;
mod single_dash;
mod status;
mod stream;
mod stress;
mod task_bar;
mod top;
mod update;
mod verify;
mod vspace;

use clap::Parser;
use exit::Exit;
use h5part::{ErrorKind, Result};
use nix::sys::signal::{SigSet, Signal};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Many processes write one ordinary HDF5 file in place, at the same time, without MPI.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Create(create::Args),
    Update(update::Args),
    Read(read::Args),
    Info(info::Args),
    Status(status::Args),
    Adopt(adopt::Args),
    Extend(extend::Args),
    Reset(reset::Args),
    Attr(attr::Args),
    Recover(recover::Args),
    Verify(verify::Args),
    Doctor(doctor::Args),
    #[command(hide = true)]
    DoctorSide(doctor::SideArgs),
    Publish(publish::Args),
    Merge(merge::Args),
    Ledger(ledger::Args),
    Mbe(mbe::Args),
    Run(run::Args),
    Work(run::WorkArgs),
    Vspace(vspace::Args),
    Multiplanet(multiplanet::Args),
    Mpstatus(mpstatus::Args),
    Bigplanet(bigplanet::Args),
    Bpstatus(bpstatus::Args),
    #[command(hide = true)]
    Keeper(run::KeeperArgs),
    Monitor(monitor::Args),
    Top(top::Args),
    Report(report::Args),
    Recommend(recommend::Args),
    Stress(stress::Args),
    #[command(hide = true)]
    StressWorker(stress::WorkerArgs),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    // A write beyond the file-size limit is then an error (EFBIG) that can be reported. If the signal cannot be
    // blocked, nothing is lost.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    let cli = match Cli::try_parse_from(single_dash::with_two(std::env::args_os())) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to standard output, errors to standard error. Either may be closed.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Exit::Usage as u8 } else { 0 });
        }
    };
    if cli.command.subcommand().is_stream() && !std::io::stdin().is_terminal() {
        // Ctrl-C in a terminal reaches this process, too. Whoever feeds it decides what is still committed. So it ends
        // with its input, or at a second Ctrl-C, which `stream` handles. Threads and children inherit this.
        let _ = SigSet::from(Signal::SIGINT).thread_block();
    }
    let command = cli.command.subcommand();
    let outcome = match limited(command) {
        Ok(Some(code)) => return ExitCode::from(code),
        Ok(None) => command.run(),
        Err(e) => Err(e),
    };
    match outcome {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(e) if exit::is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            output::say_error(&e);
            ExitCode::from(exit::of(&e) as u8)
        }
    }
}

/// Behaviour of a subcommand.
trait Subcommand {
    /// Runs the subcommand.
    fn run(&self) -> Result<Exit>;

    /// The files that it works on, which may be of unknown origin.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether it reads its work from standard input.
    fn is_stream(&self) -> bool {
        false
    }

    /// Reports that HDF5 crashed on a file.
    fn tell_crash(&self, file: &Path, how: &str) -> Result<Exit> {
        Err(ErrorKind::NotHdf5(format!("the HDF5 library {how}")).at("work on", file))
    }
}

impl Command {
    fn subcommand(&self) -> &dyn Subcommand {
        match self {
            Self::Create(args) => args,
            Self::Update(args) => args,
            Self::Read(args) => args,
            Self::Info(args) => args,
            Self::Status(args) => args,
            Self::Adopt(args) => args,
            Self::Extend(args) => args,
            Self::Reset(args) => args,
            Self::Attr(args) => args,
            Self::Recover(args) => args,
            Self::Verify(args) => args,
            Self::Doctor(args) => args,
            Self::DoctorSide(args) => args,
            Self::Publish(args) => args,
            Self::Merge(args) => args,
            Self::Ledger(args) => args,
            Self::Mbe(args) => args,
            Self::Run(args) => args,
            Self::Work(args) => args,
            Self::Vspace(args) => args,
            Self::Multiplanet(args) => args,
            Self::Mpstatus(args) => args,
            Self::Bigplanet(args) => args,
            Self::Bpstatus(args) => args,
            Self::Keeper(args) => args,
            Self::Monitor(args) => args,
            Self::Top(args) => args,
            Self::Report(args) => args,
            Self::Recommend(args) => args,
            Self::Stress(args) => args,
            Self::StressWorker(args) => args,
            Self::Completions(args) => args,
            Self::Man(args) => args,
        }
    }
}

/// Runs the command in a child with limits if one of its files requires it. `None`: run it here.
fn limited(command: &dyn Subcommand) -> Result<Option<u8>> {
    let files = command.files();
    limited::begin(&files)?;
    let Some(file) = files.into_iter().find(|file| limited::is_needed(file)) else { return Ok(None) };
    match limited::run(&file)? {
        limited::Outcome::Done(code) => Ok(Some(code)),
        limited::Outcome::Crashed(how) => Ok(Some(command.tell_crash(&file, &how)? as u8)),
    }
}

//! The command line: one file a subcommand; this one only dispatches.

mod adopt;
mod attr;
mod bigplanet;
mod bpstatus;
mod common;
mod create;
mod doctor;
mod exit;
mod extend;
mod generate;
mod hints;
mod info;
mod ledger;
mod limited;
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
mod reset;
mod run;
mod single_dash;
mod status;
mod stream;
mod stress;
mod update;
mod verify;
mod vspace;

use clap::{CommandFactory, Parser, Subcommand};
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

#[derive(Debug, Subcommand)]
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
    Keeper,
    Monitor(monitor::Args),
    Recommend(recommend::Args),
    Stress(stress::Args),
    #[command(hide = true)]
    StressWorker(stress::WorkerArgs),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    // A write beyond the file-size limit is then an error (EFBIG) that can be told. Nothing is lost
    // where it cannot be blocked.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    let cli = match Cli::try_parse_from(single_dash::with_two(std::env::args_os())) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to standard output, errors to standard error; both may be closed.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Exit::Usage as u8 } else { 0 });
        }
    };
    if cli.command.is_stream() && !std::io::stdin().is_terminal() {
        // Ctrl-C in a terminal reaches us, too. Who feeds us decides what is still to be committed: we end
        // when our input does, or at a second Ctrl-C, for which `stream` watches. Threads and children inherit this.
        let _ = SigSet::from(Signal::SIGINT).thread_block();
    }
    let outcome = match cli.command.limited() {
        Ok(Some(code)) => return ExitCode::from(code),
        Ok(None) => cli.command.run(),
        Err(e) => Err(e),
    };
    match outcome {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(e) if exit::is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            output::say_error(&e);
            ExitCode::from(Exit::of(&e) as u8)
        }
    }
}

fn with_parent(file: &Path, parent: &common::ParentArgs) -> Vec<PathBuf> {
    [file].into_iter().chain(parent.parent.as_deref()).map(Path::to_owned).collect()
}

impl Command {
    /// The existing files that it works on, which may be of unknown origin.
    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Merge(args) => args.inputs.iter().chain([&args.file]).cloned().collect(),
            Self::Bigplanet(args) => args.archive_there().into_iter().collect(),
            Self::Read(args) => with_parent(&args.file, &args.parent),
            Self::Info(args) => with_parent(&args.file, &args.parent),
            Self::Status(args) => with_parent(&args.file, &args.parent),
            other => other.file().map(Path::to_owned).into_iter().collect(),
        }
    }

    /// The same, of those that work on one.
    fn file(&self) -> Option<&Path> {
        match self {
            Self::Create(args) => Some(&args.file),
            Self::Update(args) => Some(&args.file),
            Self::Read(args) => Some(&args.file),
            Self::Info(args) => Some(&args.file),
            Self::Status(args) => Some(&args.file),
            Self::Adopt(args) => Some(&args.file),
            Self::Extend(args) => Some(&args.file),
            Self::Reset(args) => Some(&args.file),
            Self::Attr(args) => Some(&args.file),
            Self::Recover(args) => Some(&args.file),
            Self::Verify(args) => Some(&args.file),
            Self::Publish(args) => Some(&args.file),
            Self::Merge(args) => Some(&args.file),
            Self::Mbe(args) => Some(args.file()),
            Self::Ledger(_)
            | Self::Doctor(_)
            | Self::DoctorSide(_)
            | Self::Run(_)
            | Self::Work(_)
            | Self::Vspace(_)
            | Self::Multiplanet(_)
            | Self::Mpstatus(_)
            | Self::Keeper
            | Self::Stress(_)
            | Self::StressWorker(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Monitor(_)
            | Self::Bigplanet(_)
            | Self::Bpstatus(_)
            | Self::Recommend(_) => None,
        }
    }

    /// Whether it takes its work from standard input.
    fn is_stream(&self) -> bool {
        match self {
            Self::Update(args) => args.is_stream(),
            Self::Mbe(args) => args.is_stream(),
            _ => false,
        }
    }

    /// Has a child with limits do it, where the file calls for that. `None`: it is to be done here.
    fn limited(&self) -> Result<Option<u8>> {
        limited::begin(&self.files())?;
        let Some(file) = self.files().into_iter().find(|file| limited::is_needed(file)) else { return Ok(None) };
        match (limited::run(&file)?, self) {
            (limited::Outcome::Done(code), _) => Ok(Some(code)),
            (limited::Outcome::Crashed(how), Self::Verify(args)) => Ok(Some(args.tell_crash(&how)? as u8)),
            (limited::Outcome::Crashed(how), _) => {
                Err(ErrorKind::NotHdf5(format!("the HDF5 library {how}")).at("work on", file))
            }
        }
    }

    fn run(self) -> Result<Exit> {
        match self {
            Self::Create(args) => args.run(),
            Self::Update(args) => args.run(),
            Self::Read(args) => args.run(),
            Self::Info(args) => args.run(),
            Self::Status(args) => args.run(),
            Self::Adopt(args) => args.run(),
            Self::Extend(args) => args.run(),
            Self::Reset(args) => args.run(),
            Self::Attr(args) => args.run(),
            Self::Recover(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::Doctor(args) => args.run(),
            Self::DoctorSide(args) => args.run(),
            Self::Publish(args) => args.run(),
            Self::Merge(args) => args.run(),
            Self::Ledger(args) => args.run(),
            Self::Mbe(args) => args.run(),
            Self::Run(args) => args.run(),
            Self::Work(args) => args.run(),
            Self::Vspace(args) => args.run(),
            Self::Multiplanet(args) => args.run(),
            Self::Mpstatus(args) => args.run(),
            Self::Keeper => Ok(run::keep()),
            Self::Monitor(args) => args.run(),
            Self::Bigplanet(args) => args.run(),
            Self::Bpstatus(args) => args.run(),
            Self::Recommend(args) => args.run(),
            Self::Stress(args) => args.run(),
            Self::StressWorker(args) => args.run(),
            Self::Completions(args) => args.run(Cli::command()),
            Self::Man(args) => args.run(&Cli::command()),
        }
    }
}

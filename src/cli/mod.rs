//! The command line: one file a subcommand; this one only dispatches.

mod adopt;
mod attr;
mod common;
mod create;
mod exit;
mod extend;
mod generate;
mod info;
mod output;
mod read;
mod recover;
mod reset;
mod status;
mod stream;
mod stress;
mod update;

use clap::{CommandFactory, Parser, Subcommand};
use exit::Exit;
use nix::sys::signal::{SigSet, Signal};
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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to standard output, errors to standard error; both may be closed.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Exit::Usage as u8 } else { 0 });
        }
    };
    let outcome = match cli.command {
        Command::Create(args) => args.run(),
        Command::Update(args) => args.run(),
        Command::Read(args) => args.run(),
        Command::Info(args) => args.run(),
        Command::Status(args) => args.run(),
        Command::Adopt(args) => args.run(),
        Command::Extend(args) => args.run(),
        Command::Reset(args) => args.run(),
        Command::Attr(args) => args.run(),
        Command::Recover(args) => args.run(),
        Command::Stress(args) => args.run(),
        Command::StressWorker(args) => args.run(),
        Command::Completions(args) => args.run(Cli::command()),
        Command::Man(args) => args.run(&Cli::command()),
    };
    match outcome {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(e) if exit::is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("h5part: {e}");
            ExitCode::from(Exit::of(&e) as u8)
        }
    }
}

//! `h5part report`

mod advice;
mod charts;
mod data;
mod page;

use super::common::{request, seconds};
use super::exit::Exit;
use super::look::is_ledger;
use super::output::line;
use super::outputs::{ForceArgs, Kind, check_apart, write_text};
use data::Data;
use h5part::Result;
use std::path::PathBuf;
use std::time::Duration;

/// Write a page about a run or a file: what is there, who did what and when, what failed and why, what it cost.
///
/// One HTML file that needs no network. May be used while the workers run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's ledger, or an HDF5 file.
    path: PathBuf,
    /// The page to write; an older page is replaced.
    #[arg(short, long, value_name = "OUT.html")]
    output: PathBuf,
    /// Write it anew this often, until the run has ended.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    every: Option<f64>,
    #[command(flatten)]
    force: ForceArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        check_apart(&[&self.path], &[&self.output])?;
        self.force.allow(&self.output, Kind::Html)?;
        if self.every.is_some_and(|every| every < 1.0) {
            return Err(request("write", &self.output, "--every takes one second or more"));
        }
        loop {
            let data = Data::gather(&self.path)?;
            write_text(&self.output, page::of(&data).as_bytes())?;
            match self.every {
                Some(every) if !data.has_ended() => std::thread::sleep(Duration::from_secs_f64(every)),
                _ => break,
            }
        }
        line(self.output.display().to_string())?;
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        Some(&self.path).filter(|path| !is_ledger(path)).cloned().into_iter().collect()
    }
}

//! `h5part vspace`

use super::common::request;
use super::exit::Exit;
use super::ledger::watch;
use super::output::{json, raw};
use super::outputs::refuse_stores_in_use;
use super::task_bar::{Counts, TaskBar};
use h5part::Result;
use h5part_base::error::At;
use h5part_vplanet::checkpoint::Files;
use h5part_vplanet::vspace::Ensemble;
use serde::Serialize;
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

/// Suffixes of the checkpoints of multiplanet and of `BigPlanet`.
const CHECKPOINTS: [&str; 2] = ["", "_BPL"];

/// Make the trials of a vspace.in on a grid, as vspace does.
///
/// Random mode is not supported: use vspace itself.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The vspace input file.
    #[arg(value_name = "VSPACE.IN")]
    input: PathBuf,
    /// Replace existing trials and their checkpoints without asking. An archive of them stays.
    #[arg(short, long)]
    force: bool,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    folder: &'a std::path::Path,
    trials: u64,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let ensemble = Ensemble::read(&self.input)?;
        let folder = ensemble.destination();
        let is_there = folder.symlink_metadata().is_ok();
        if is_there && !self.force && !may_replace(folder, self.json)? {
            return Ok(Exit::Success);
        }
        let checkpoints = CHECKPOINTS.map(|ending| Files::of_folder(folder, ending));
        for files in &checkpoints {
            if let Some(owner) = files.in_use(&mut watch(Duration::MAX))? {
                return Err(request("replace", folder, format!("{owner} works on its trials")));
            }
        }
        if is_there {
            refuse_stores_in_use(folder)?;
        }
        let bar = RefCell::new(TaskBar::new(ensemble.trials(), self.json));
        let built = ensemble.build(&|made| bar.borrow_mut().set(Counts { done: made, ..Counts::default() }))?;
        bar.into_inner().clear();
        // This comes first: the checkpoint of old trials would say that new ones are done.
        checkpoints.iter().try_for_each(Files::forget)?;
        built.take_name(is_there)?;
        if self.json {
            json(&Made { folder, trials: ensemble.trials() })?;
        }
        Ok(Exit::Success)
    }
}

/// Asks until it gets an answer, and fails at the end of standard input. `apart`: standard output is used for something
/// else.
fn may_replace(folder: &std::path::Path, apart: bool) -> Result<bool> {
    let name = folder.display();
    let question = format!(
        "Destination folder {name} exists already. Replace it?\n\
         WARNING: this deletes {name} and its checkpoints.\n(y/n): "
    );
    loop {
        if apart {
            eprint!("{question}");
        } else {
            raw(question.as_bytes())?;
        }
        let mut reply = String::new();
        if std::io::stdin().read_line(&mut reply).at("read", "standard input")? == 0 {
            return Err(request("replace", folder, "it exists already: -f replaces it without a question"));
        }
        match reply.trim_start().chars().next() {
            Some('y' | 'Y') => return Ok(true),
            Some('n' | 'N') => return Ok(false),
            _ => {}
        }
    }
}

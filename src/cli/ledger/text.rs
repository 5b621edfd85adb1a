//! `h5part ledger import`, `export`: multiplanet's checkpoint text.

use super::super::common::request;
use super::super::exit::Exit;
use super::super::output::{json, line, raw, say};
use super::super::outputs::{ForceArgs, Kind, check_apart, write_text};
use super::Which;
use super::init::bytes_of;
use h5part::Result;
use h5part::ledger::{Checkpoint, Mark, NameList, NewLedger, TaskState};
use h5part_base::error::At;
use serde::Serialize;
use std::path::PathBuf;

/// Make a ledger from a checkpoint of multiplanet. Simulations in progress are requeued.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The ledger; it must not exist.
    ledger: PathBuf,
    /// The checkpoint, e.g. `.MP_Serial`; - for standard input.
    checkpoint: PathBuf,
    /// Give up on a task after K failed attempts.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    max_attempts: u16,
    /// Print what was imported as JSON.
    #[arg(long)]
    json: bool,
}

/// Write a ledger as a checkpoint of multiplanet. Failed tasks are to be run again there.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// The file to write; an older checkpoint is replaced [default: standard output].
    checkpoint: Option<PathBuf>,
    /// The vspace.in of the trials, if the ledger was not imported.
    #[arg(long, value_name = "FILE")]
    vspace: Option<String>,
    #[command(flatten)]
    force: ForceArgs,
}

#[derive(Debug, Serialize)]
struct Imported {
    tasks: u64,
    done: u64,
    /// Number of tasks that the text announces but does not contain.
    lost: u64,
}

impl ImportArgs {
    pub fn run(&self) -> Result<Exit> {
        const IMPORT: &str = "import";
        let text = String::from_utf8(bytes_of(&self.checkpoint)?);
        let text = text.map_err(|_| request(IMPORT, &self.checkpoint, "it is not UTF-8"))?;
        let Checkpoint { origin, tasks, announced } = Checkpoint::parse(&text).at(IMPORT, &self.checkpoint)?;
        let states =
            tasks.iter().map(|(_, mark)| if *mark == Mark::Done { TaskState::Done } else { TaskState::Waiting });
        let states: Vec<TaskState> = states.collect();
        let names: Vec<&str> = tasks.iter().map(|(name, _)| name.as_str()).collect();
        let count = tasks.len() as u64;
        let done = states.iter().filter(|state| **state == TaskState::Done).count() as u64;
        let names = NameList::try_from(names.as_slice()).at(IMPORT, &self.checkpoint)?;
        let (states, max_attempts) = (Some(states), self.max_attempts);
        NewLedger { states, origin, max_attempts, ..NewLedger::of_names(names) }.create(&self.ledger)?;
        let lost = announced.map_or(0, |all| all.saturating_sub(count));
        if lost > 0 {
            say(format_args!("the checkpoint was cut: {lost} of its simulations are not in it"));
        }
        if self.json {
            json(&Imported { tasks: count, done, lost })?;
        } else {
            line(format!("{}: {count} tasks, {done} of them done", self.ledger.display()))?;
        }
        Ok(Exit::Success)
    }
}

impl ExportArgs {
    pub fn run(&self) -> Result<Exit> {
        if let Some(path) = &self.checkpoint {
            check_apart(&[&self.which.ledger], &[path])?;
            self.force.allow(path, Kind::Checkpoint)?;
        }
        let ledger = self.which.open_to_read()?;
        let mut tasks = Vec::new();
        ledger.each(|place, task| {
            let task = match task {
                Some(task) => *task,
                None => ledger.task(place)?,
            };
            let mark = match task.state {
                TaskState::Waiting | TaskState::Failed => Mark::Waiting,
                TaskState::Running => Mark::Running,
                TaskState::Done => Mark::Done,
            };
            tasks.push((task.index, ledger.listed(place, &task)?.name, mark));
            Ok(())
        })?;
        // The text has the order of the list.
        tasks.sort_by_key(|(index, ..)| *index);
        let tasks = tasks.into_iter().map(|(_, name, mark)| (name, mark)).collect::<Vec<_>>();
        if let Some((name, _)) = tasks.iter().find(|(name, _)| name.contains('\n')) {
            return Err(request("export", &self.which.ledger, format!("a name has several lines: {name:?}")));
        }
        let origin = self.vspace.clone().unwrap_or_else(|| ledger.header().origin.clone());
        let text = Checkpoint { origin, tasks, announced: None }.format();
        let Some(path) = &self.checkpoint else {
            raw(text.as_bytes())?;
            return Ok(Exit::Success);
        };
        write_text(path, text.as_bytes())?;
        Ok(Exit::Success)
    }
}

//! `h5part ledger status`, `list`

use super::super::exit::Exit;
use super::super::output::{WIDEST, json, line, say};
use super::Which;
use h5part::Result;
use h5part::ledger::{Listed, TaskState};
use std::fmt::Write;

/// Count the tasks that are waiting, running, done and failed.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    which: Which,
    /// Print the numbers as JSON: total, waiting, running, done, failed, cancelled (among the failed),
    /// retried (among the waiting), damaged.
    #[arg(long)]
    json: bool,
}

/// List the tasks in the order in which they are claimed.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// List only tasks in these states, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    state: Vec<StateArg>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    /// Print only the names, each followed by a NUL.
    #[arg(long, conflicts_with = "json")]
    null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StateArg {
    Waiting,
    Running,
    Done,
    Failed,
}

impl From<StateArg> for TaskState {
    fn from(arg: StateArg) -> Self {
        match arg {
            StateArg::Waiting => Self::Waiting,
            StateArg::Running => Self::Running,
            StateArg::Done => Self::Done,
            StateArg::Failed => Self::Failed,
        }
    }
}

impl StatusArgs {
    pub fn run(&self) -> Result<Exit> {
        let tally = self.which.open_to_read()?.tally()?;
        if self.json {
            json(&tally)?;
            return Ok(Exit::Success);
        }
        let part = |n: u64, what: &str| if n == 0 { String::new() } else { format!(" ({n} {what})") };
        line(format!("{} tasks", tally.total))?;
        line(format!("  waiting {:>10}{}", tally.waiting, part(tally.retried, "of them failed before")))?;
        line(format!("  running {:>10}", tally.running))?;
        line(format!("  done    {:>10}", tally.done))?;
        line(format!("  failed  {:>10}{}", tally.failed, part(tally.cancelled, "of them cancelled")))?;
        if tally.damaged > 0 {
            line(format!("  damaged {:>10}", tally.damaged))?;
        }
        Ok(Exit::Success)
    }
}

impl ListArgs {
    pub fn run(&self) -> Result<Exit> {
        let ledger = self.which.open_to_read()?;
        ledger.each(|place, task| {
            let Some(task) = task else {
                say(format_args!("the ledger is damaged at task {place}"));
                return Ok(());
            };
            if self.state.is_empty() || self.state.iter().any(|&state| TaskState::from(state) == task.state) {
                self.print(&ledger.listed(place, task)?)?;
            }
            Ok(())
        })?;
        Ok(Exit::Success)
    }

    fn print(&self, task: &Listed) -> Result<()> {
        if self.json {
            return json(task);
        }
        if self.null {
            return super::super::output::raw(format!("{}\0", task.name).as_bytes());
        }
        let name = task.name.escape_debug().to_string();
        let width = WIDEST.min(40);
        let mut text = format!("{:<8} {name:<width$}", task.state);
        if let Some(rows) = task.rows.as_ref().filter(|rows| **rows != task.name) {
            let _ = write!(text, "  rows {rows}");
        }
        if let Some(owner) = &task.owner {
            let _ = write!(text, "  by {owner}");
        }
        if task.attempts > 0 {
            let _ = write!(text, "  failed {} times", task.attempts);
        }
        if let Some(reason) = &task.reason {
            let _ = write!(text, "  ({reason})");
        }
        line(text.trim_end())
    }
}

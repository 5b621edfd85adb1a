//! `h5part recommend`

pub mod advice;
mod probe;

use super::exit::Exit;
use super::output::{json, line};
use advice::{Advice, Wish};
use h5part::Result;
use h5part_tasks::budget::{Budget, Machine, Need};
use h5part_tasks::pool::{MODE_VARIABLE, Mode, choose};
use h5part_tasks::program::{Memory, Template};
use probe::Probe;

const RECOMMEND: &str = "recommend for";

/// Recommend how many workers to use on this machine, and explain why.
///
/// Counts the physical cores that affinity, control group and SLURM allow, and 80 % of the available memory. With
/// --probe, runs COMMAND serially and in parallel; parallel pays if it is more than 1.2 times as fast.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Memory per worker, e.g. 2G [default: as measured by --probe; else not limited].
    #[arg(long, value_name = "M")]
    memory_per_worker: Option<Memory>,
    /// Number of tasks; more workers than tasks are never recommended.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tasks: Option<u64>,
    /// Run COMMAND several times and measure it. It must succeed, also when several run at a time. Rows that it
    /// commits stay committed. Discards its standard output.
    #[arg(long, requires = "command")]
    probe: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    /// The program and its arguments; {name} and {index} stand for the number of the run.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let machine = Machine::probe();
        let asked = asked()?;
        let limit = self.memory_per_worker.map(|memory| memory.0);
        let probe = if self.probe { Some(self.measure(&machine, limit)?) } else { None };
        let slurm = Template::new(vec!["sbatch".to_owned()]).program().is_some();
        let wish = Wish { asked, tasks: self.tasks, memory_per_worker: limit, command: &self.command, slurm };
        let advice = Advice::of(&machine, &wish, probe).map_err(|kind| kind.at(RECOMMEND, "this machine"))?;
        let told = if self.json { json(&advice) } else { tell(&advice) };
        told.map(|()| Exit::Success)
    }
}

impl Args {
    /// Runs as many at once as would be recommended without a probe.
    fn measure(&self, machine: &Machine, memory_per_worker: Option<u64>) -> Result<Probe> {
        let need = Need { tasks: self.tasks, memory_per_worker, threads: Some(1), ..Need::default() };
        let budget = Budget::plan(machine, &need).map_err(|kind| kind.at(RECOMMEND, "this machine"))?;
        // More than one even on a single core: programs that wait for a disk or a network may gain.
        probe::run(&self.command, budget.workers.max(2))
    }
}

/// The mode that the environment sets.
fn asked() -> Result<Option<Mode>> {
    let says = std::env::var(MODE_VARIABLE).is_ok_and(|text| !text.trim().is_empty());
    if says { choose(None, None).map(|chosen| Some(chosen.mode)) } else { Ok(None) }
}

fn tell(advice: &Advice) -> Result<()> {
    line(&advice.headline)?;
    line("\nWhy:")?;
    for reason in &advice.reasons {
        line(format!("- {reason}"))?;
    }
    for warning in &advice.warnings {
        line(format!("- Beware: {warning}."))?;
    }
    line(format!("\nAs programs:\n\n    {}", advice.command_line))?;
    line(format!("\nAs a pool of a Rust program:\n\n    {}", advice.pool_json()))
}

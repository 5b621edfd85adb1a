//! Advice on what to change, based on the measurements.

use super::super::output::{bytes, duration};
use super::super::recommend::advice::{Advice, Wish};
use super::data::Data;
use h5part::monitor::Costs;
use h5part_tasks::budget::Machine;

/// With fewer measurements there is no advice.
const ENOUGH: u64 = 3;

/// A piece of advice, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub what: String,
    pub why: String,
}

/// What the measurements suggest, and what `recommend` says about this machine for such tasks.
pub fn of(data: &Data) -> Vec<Piece> {
    let mut pieces = Vec::new();
    if let Some(failure) = data.failures.first() {
        let what = "Look at why tasks fail first.".to_owned();
        pieces.push(Piece { what, why: format!("{} tasks failed: {}.", failure.tasks, failure.cause) });
    }
    let program = data.summary.as_ref().and_then(|summary| summary.operations.first()).map(|one| &one.costs);
    let Some(costs) = program.filter(|costs| costs.records >= ENOUGH) else { return pieces };
    pieces.extend(of_costs(costs));
    let tasks = data.tally.map(|tally| tally.total.max(1));
    let memory_per_worker = Some(costs.memory_bytes).filter(|peak| *peak > 0);
    let wish = Wish { asked: None, tasks, memory_per_worker, command: &[], slurm: false };
    if let Ok(advice) = Advice::of(&Machine::probe(), &wish, None) {
        let why = advice.reasons.into_iter().chain(advice.warnings).collect::<Vec<_>>().join(" ");
        pieces.push(Piece { what: format!("On this machine: {}", advice.headline), why });
    }
    pieces
}

fn of_costs(costs: &Costs) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut say = |what: &str, why: String| pieces.push(Piece { what: what.to_owned(), why });
    match costs.cpu_share {
        Some(share) if share < 0.5 => say(
            "Try more programs at a time (-j), or processors fewer for each.",
            format!("Programs used {:.0} % of the processors asked for: they wait for something else.", share * 100.0),
        ),
        Some(share) if share > 1.3 => say(
            "Say how many processors a program has (OMP_NUM_THREADS, --pin), or run fewer at a time.",
            format!(
                "Programs used {:.0} % of the processors asked for: they have threads of their own.",
                share * 100.0
            ),
        ),
        _ => {}
    }
    let peak = bytes(costs.memory_bytes);
    match costs.memory_share.zip(costs.memory_limit_bytes) {
        Some((share, limit)) if share > 0.9 => {
            say("Raise --memory.", format!("A program came to {peak} of its limit of {}.", bytes(limit)));
        }
        Some((share, limit)) if share < 0.5 => say(
            "Lower --memory, so that more programs fit at a time.",
            format!("No program needed more than {peak} of its limit of {}.", bytes(limit)),
        ),
        _ => {}
    }
    let ranks = costs.wall_percentiles_s;
    if ranks.p50 < 0.1 {
        say(
            "Give each task more rows (ledger init --block), or claim several at a time (-n).",
            format!("Half of the programs ended within {}: starting them costs as much.", duration(ranks.p50)),
        );
    }
    if ranks.p50 > 0.0 && costs.wall_s.max > 10.0 * ranks.p50 && costs.wall_s.max > 10.0 {
        say(
            "Begin with the long tasks (ledger init --weights).",
            format!("The slowest took {}, half of them {} or less.", duration(costs.wall_s.max), duration(ranks.p50)),
        );
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use h5part::monitor::{Percentiles, Spread};

    #[test]
    fn each_advice_has_its_reason() {
        let spread = Spread { total: 100.0, mean: 1.0, min: 0.1, max: 50.0 };
        let costs = Costs {
            records: 100,
            failed: 0,
            wall_s: spread,
            wall_percentiles_s: Percentiles { p50: 0.05, p90: 1.0, p99: 40.0 },
            cpu_s: spread,
            core_s: 100.0,
            cpu_share: Some(0.2),
            memory_bytes: 99 << 20,
            memory_at_most: false,
            memory_limit_bytes: Some(100 << 20),
            memory_share: Some(0.99),
        };
        let said: Vec<String> = of_costs(&costs).into_iter().map(|piece| piece.what).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said[0].contains("-j") && said[1].contains("--memory") && said[2].contains("--block"), "{said:?}");
        let fine = Costs {
            wall_percentiles_s: Percentiles { p50: 20.0, p90: 30.0, p99: 40.0 },
            cpu_share: Some(0.9),
            memory_share: Some(0.7),
            ..costs
        };
        assert!(of_costs(&fine).is_empty());
    }
}

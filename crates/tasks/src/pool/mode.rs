//! The kinds of pools.

use crate::budget::Machine;
use h5part_base::error::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Environment variable with the mode, if no argument gives one.
pub const MODE_VARIABLE: &str = "H5PART_DISTRIBUTE";

/// Where tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the caller's thread, one after another. For debugging.
    Serial,
    /// In threads of this process.
    Threads,
    /// In worker processes of this host. A worker that dies loses only its own task.
    Processes,
    /// In a SLURM job array of workers.
    Slurm,
}

const NAMES: [(Mode, &str); 4] =
    [(Mode::Serial, "serial"), (Mode::Threads, "threads"), (Mode::Processes, "processes"), (Mode::Slurm, "slurm")];

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(mode, _)| mode == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Mode {
    type Err = ErrorKind;

    fn from_str(text: &str) -> Result<Self, ErrorKind> {
        let found = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text.trim()));
        let unknown = || ErrorKind::BadRequest(format!("no mode '{text}': serial, threads, processes or slurm"));
        found.map(|(mode, _)| *mode).ok_or_else(unknown)
    }
}

/// A mode, and why it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The mode.
    pub mode: Mode,
    /// The reason.
    pub why: &'static str,
}

/// Chooses the mode: that of the argument, else of the variable [`MODE_VARIABLE`], else of the configuration, else one
/// that fits this machine. It never chooses `slurm` on its own, since no one wants to be queued unasked.
///
/// # Errors
/// The variable has an invalid mode ([`ErrorKind::BadRequest`]).
pub fn choose(argument: Option<Mode>, config: Option<Mode>) -> Result<Chosen> {
    let variable = std::env::var(MODE_VARIABLE).ok();
    from(argument, variable.as_deref(), config, || Machine::probe().cores().0)
        .map_err(|kind| kind.at("choose a mode by", MODE_VARIABLE))
}

fn from(
    argument: Option<Mode>,
    variable: Option<&str>,
    config: Option<Mode>,
    cores: impl FnOnce() -> usize,
) -> Result<Chosen, ErrorKind> {
    if let Some(mode) = argument {
        return Ok(Chosen { mode, why: "as asked for" });
    }
    if let Some(text) = variable.filter(|text| !text.trim().is_empty()) {
        return Ok(Chosen { mode: text.parse()?, why: "as H5PART_DISTRIBUTE says" });
    }
    if let Some(mode) = config {
        return Ok(Chosen { mode, why: "as the configuration says" });
    }
    Ok(match cores() {
        0 | 1 => Chosen { mode: Mode::Serial, why: "one core may be used" },
        _ => Chosen { mode: Mode::Threads, why: "threads share memory and start at once" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_variable_configuration_machine_in_this_order() {
        let (a, v, c) = (Some(Mode::Serial), Some("Processes"), Some(Mode::Slurm));
        let mode = |a, v, c, cores| from(a, v, c, || cores).map(|chosen| chosen.mode).ok();
        assert_eq!(mode(a, v, c, 8), Some(Mode::Serial));
        assert_eq!(mode(None, v, c, 8), Some(Mode::Processes));
        assert_eq!(mode(None, Some(""), c, 8), Some(Mode::Slurm));
        assert_eq!(mode(None, None, None, 8), Some(Mode::Threads));
        assert_eq!(mode(None, None, None, 1), Some(Mode::Serial));
        assert_eq!(mode(None, Some("no"), c, 8), None);
        for (mode, name) in NAMES {
            assert_eq!(name.parse::<Mode>().ok(), Some(mode));
            assert_eq!(serde_json::to_string(&mode).expect("json"), format!("\"{mode}\""));
        }
    }
}

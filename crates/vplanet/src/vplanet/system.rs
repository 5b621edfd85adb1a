//! What all trials of an ensemble share: names of files, bodies and the system.

use super::input::InputFile;
use h5part_base::error::{At, ErrorKind, Result};
use std::path::Path;

/// A system. Its trials differ only in values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// The system's name, with which logs and outputs begin.
    pub name: String,
    /// Input files in order; the primary file is the last.
    pub inputs: Vec<String>,
    /// Names of bodies as in their files, in the order of the files.
    pub bodies: Vec<String>,
}

impl System {
    /// Reads the names from the input files of one trial, usually the first.
    ///
    /// # Errors
    /// I/O errors; [`crate::ErrorKind::BadText`]: the primary file has no `sSystemName`.
    pub fn of(trial: &Path, bodies: &[String], primary: &str) -> Result<Self> {
        let path = trial.join(primary);
        let name = InputFile::read(&path)?.value("sSystemName").map(str::to_owned);
        let missing = || crate::ErrorKind::BadText { line: 0, what: "it has no sSystemName".to_owned() };
        let name = name.ok_or_else(missing).at("read the system's name from", &path)?;
        let mut names = Vec::new();
        for file in bodies {
            names.extend(InputFile::read(&trial.join(file))?.value("sName").map(str::to_owned));
        }
        let inputs = bodies.iter().cloned().chain([primary.to_owned()]).collect();
        Ok(Self { name, inputs, bodies: names })
    }

    /// Reads the names from the first of these trials that can be read.
    ///
    /// # Errors
    /// If none can be read, the error of the first trial.
    pub fn of_first(folder: &Path, trials: &[String], bodies: &[String], primary: &str) -> Result<Self> {
        let none = || ErrorKind::BadRequest("there are no trials".to_owned()).at("look for trials in", folder);
        let mut first = None;
        for name in trials {
            match Self::of(&folder.join(name), bodies, primary) {
                Ok(system) => return Ok(system),
                Err(e) => _ = first.get_or_insert(e),
            }
        }
        Err(first.unwrap_or_else(none))
    }

    /// The primary input file.
    #[must_use]
    pub fn primary(&self) -> &str {
        self.inputs.last().map_or("vpl.in", String::as_str)
    }

    /// The log that vplanet writes.
    #[must_use]
    pub fn log(&self) -> String {
        format!("{}.log", self.name)
    }
}

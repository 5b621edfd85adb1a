//! Why work on files of vspace, multiplanet and BigPlanet fails.

use std::path::PathBuf;

/// Why work on files of vspace, multiplanet and BigPlanet fails. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// Names in an archive that lead astray: a program was killed while it wrote it.
    #[error("the archive is damaged: {0}")]
    DamagedArchive(String),
    /// An archive has trials whose raw data are gone.
    #[error("these of its trials are not in {}: {}", .folder.display(), .trials.join(", "))]
    NoRawData {
        /// Where the others are.
        folder: PathBuf,
        /// Their names.
        trials: Vec<String>,
    },
    /// A text file of another program that cannot be read.
    #[error("{}{what}", of_line(*.line))]
    BadText {
        /// Number of the line, from 1; 0: it is about the whole.
        line: u64,
        /// What is wrong there.
        what: String,
    },
}

impl h5part_base::error::Kind for ErrorKind {}

fn of_line(line: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

//! Why work on files of vspace, multiplanet and BigPlanet fails.

use std::path::PathBuf;

/// Why work on files of vspace, multiplanet and BigPlanet fails. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// Invalid names in an archive: a program was killed while it wrote the archive.
    #[error("the archive is damaged: {0}")]
    DamagedArchive(String),
    /// The raw data of some trials in an archive are gone.
    #[error("these of its trials are not in {}: {}", .folder.display(), .trials.join(", "))]
    NoRawData {
        /// The folder with the other trials.
        folder: PathBuf,
        /// Names of the trials that are missing there.
        trials: Vec<String>,
    },
    /// A text file of another program that cannot be parsed.
    #[error("{}{what}", of_line(*.line))]
    BadText {
        /// Number of the line, from 1; 0 if it concerns the whole file.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

impl h5part_base::error::Kind for ErrorKind {}

fn of_line(line: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

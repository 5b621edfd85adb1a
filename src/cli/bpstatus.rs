//! `h5part bpstatus`

use super::exit::Exit;
use super::output::{json, line};
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use h5part_vplanet::bigplanet::checkpoint_of;
use h5part_vplanet::checkpoint::Files;
use h5part_vplanet::vplanet::InputFile;
use std::path::{Path, PathBuf};

/// Show archiving progress, as bpstatus does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The input file that names the folder of trials: vspace.in or bpl.in.
    #[arg(value_name = "VSPACE.IN")]
    input: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let file = InputFile::read(&self.input)?;
        let folder = ["sDestFolder", "destfolder"].into_iter().find_map(|key| file.value(key));
        let Some(folder) = folder.filter(|folder| !folder.is_empty()) else {
            let text = "it has no sDestFolder, which names the folder of the trials";
            return Err(ErrorKind::BadRequest(text.to_owned())).at("read", &self.input);
        };
        tell("BigPlanet", &Files::of_text(&checkpoint_of(Path::new(folder))), self.json)
    }
}

/// Prints the progress of a run in the words of the Python tools.
pub fn tell(what: &str, files: &Files, as_json: bool) -> Result<Exit> {
    let progress = files.progress()?;
    if as_json {
        json(&progress)?;
    } else {
        line(format!(
            "--{what} Status--\nNumber of Simulations completed: {}\nNumber of Simulations in progress: {}\n\
             Number of Simulations remaining: {}",
            progress.completed, progress.in_progress, progress.remaining
        ))?;
    }
    Ok(Exit::Success)
}

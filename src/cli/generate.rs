//! `h5part completions` and `h5part man`: from the same definitions as the command line itself.

use super::exit::Exit;
use h5part::Result;
use h5part::error::At;
use std::path::PathBuf;

/// Print a completion script, e.g. for bash: source <(h5part completions bash)
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Write the manual pages into a folder.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder; it is made.
    dir: PathBuf,
}

impl CompletionsArgs {
    pub fn run(&self, mut command: clap::Command) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "h5part", &mut script);
        super::output::line(String::from_utf8_lossy(&script).trim_end())?;
        Ok(Exit::Success)
    }
}

impl ManArgs {
    pub fn run(&self, command: &clap::Command) -> Result<Exit> {
        std::fs::create_dir_all(&self.dir).at("make", &self.dir)?;
        clap_mangen::generate_to(command.clone(), &self.dir).at("write manual pages to", &self.dir)?;
        Ok(Exit::Success)
    }
}

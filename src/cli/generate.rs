//! `h5part completions` and `h5part man`, generated from the definitions of the command line.

use super::Cli;
use super::exit::Exit;
use super::outputs::{ForceArgs, Kind, write_text};
use clap::CommandFactory;
use h5part::Result;
use h5part_base::error::At;
use std::path::{Path, PathBuf};

/// Print a completion script for a shell, as in: source <(h5part completions bash)
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Write the manual pages to a folder.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder; created if it does not exist.
    dir: PathBuf,
    #[command(flatten)]
    force: ForceArgs,
}

impl super::Subcommand for CompletionsArgs {
    fn run(&self) -> Result<Exit> {
        let mut command = Cli::command();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "h5part", &mut script);
        super::output::line(String::from_utf8_lossy(&script).trim_end())?;
        Ok(Exit::Success)
    }
}

impl super::Subcommand for ManArgs {
    fn run(&self) -> Result<Exit> {
        std::fs::create_dir_all(&self.dir).at("make", &self.dir)?;
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        render(command, &self.dir, &mut pages)?;
        pages.iter().try_for_each(|(path, _)| self.force.allow(path, Kind::Man))?;
        pages.iter().try_for_each(|(path, text)| write_text(path, text))?;
        Ok(Exit::Success)
    }
}

/// Renders the pages of a command and of all its subcommands.
fn render(command: clap::Command, dir: &Path, pages: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        render(below.clone(), dir, pages)?;
    }
    let page = clap_mangen::Man::new(command);
    let path = dir.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text).at("write", &path)?;
    pages.push((path, text));
    Ok(())
}

//! `h5part mpstatus`

use super::bpstatus::tell;
use super::exit::Exit;
use h5part::Result;
use h5part_vplanet::checkpoint::Files;
use h5part_vplanet::multiplanet::folder_of;
use std::path::PathBuf;

/// Show the progress of the trials of a vspace.in, as mpstatus does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The vspace input file.
    #[arg(value_name = "VSPACE.IN")]
    input: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        tell("Multi-Planet", &Files::of_folder(&folder_of(&self.input)?, ""), self.json)
    }
}

//! `-deleterawdata`: deletes the raw data of archived trials.

use super::super::exit::Exit;
use super::super::output::{json, line, raw, say};
use super::Args;
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use h5part_engine::store::Store;
use h5part_vplanet::bigplanet::{Bpl, Project};
use serde::Serialize;

const DELETE: &str = "delete raw data of";

#[derive(Debug, Serialize)]
struct Deleted {
    deleted: Vec<String>,
    kept: Vec<String>,
}

/// Deletes the trials that are in the archive, after asking. Exit code 1: other trials remain.
pub fn run(args: &Args, project: &Project) -> Result<Exit> {
    let store: Store = args.lock.open(&project.bpl.archive)?;
    let compared = project.compare(&store)?;
    for (name, error) in &compared.others {
        match error {
            Some(e) => say(format_args!("'{name}' is kept: {e}")),
            None => say(format_args!("'{name}' is kept: the archive does not have it as its files say")),
        }
    }
    let count = compared.archived.len();
    if count > 0 && !args.yes && !asked(&project.bpl, count)? {
        line("Files NOT deleted. Exiting.")?;
        return Ok(Exit::Success);
    }
    project.delete(&compared)?;
    let exit = if compared.others.is_empty() { Exit::Success } else { Exit::Found };
    if args.json {
        let kept = compared.others.into_iter().map(|(name, _)| name).collect();
        json(&Deleted { deleted: compared.archived, kept })?;
    } else if args.tells() {
        line(format!("Files deleted: {count} trials."))?;
    }
    Ok(exit)
}

fn asked(bpl: &Bpl, trials: usize) -> Result<bool> {
    let (folder, archive) = (bpl.folder.display(), bpl.archive.display());
    raw(
        format!("WARNING: this deletes {trials} trials in {folder}, which are in {archive}. Go on? (y/n): ").as_bytes()
    )?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).at("read the answer from", "standard input")?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        other => {
            Err(ErrorKind::BadRequest(format!("'{other}' is neither y nor n: nothing was deleted"))
                .at(DELETE, &bpl.folder))
        }
    }
}

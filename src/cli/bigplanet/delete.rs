//! `-deleterawdata`: deletes the raw data of archived trials.

use super::super::exit::Exit;
use super::super::output::{json, line, raw, say};
use super::Args;
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use h5part_vplanet::bigplanet::{Archiver, Bpl, archive, trials};
use h5part_vplanet::checkpoint::Files;
use rayon::prelude::*;
use serde::Serialize;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

const DELETE: &str = "delete raw data of";

#[derive(Debug, Serialize)]
struct Deleted {
    deleted: Vec<String>,
    kept: Vec<String>,
}

/// Deletes the trials that are in the archive, after asking. Exit code 1: other trials remain.
pub fn run(args: &Args, bpl: &Bpl) -> Result<Exit> {
    let store = args.lock.open(&bpl.archive)?;
    archive::sound_names(&store, &bpl.primary)?;
    let names = trials(&bpl.folder)?;
    let archiver = Archiver::new(&store, args.gatherer(bpl, &names)?);
    let folder = |name: &String| bpl.folder.join(name);
    let looked = args
        .on_cores(names.len(), || Ok(names.par_iter().map(|name| archiver.holds(&folder(name))).collect::<Vec<_>>()))?;
    let (mut held, mut kept) = (Vec::new(), Vec::new());
    for (name, holds) in names.into_iter().zip(looked) {
        match holds {
            Ok(true) => held.push(name),
            Ok(false) => {
                say(format_args!("'{name}' is kept: the archive does not have it as its files say"));
                kept.push(name);
            }
            Err(e) => {
                say(format_args!("'{name}' is kept: {e}"));
                kept.push(name);
            }
        }
    }
    if !held.is_empty() && !args.yes && !asked(bpl, held.len())? {
        line("Files NOT deleted. Exiting.")?;
        return Ok(Exit::Success);
    }
    for name in &held {
        let path = folder(name);
        std::fs::remove_dir_all(&path).at(DELETE, &path)?;
    }
    if kept.is_empty() {
        forget(&bpl.folder)?;
    }
    let exit = if kept.is_empty() { Exit::Success } else { Exit::Found };
    if args.json {
        json(&Deleted { deleted: held, kept })?;
    } else if args.tells() {
        line(format!("Files deleted: {} trials.", held.len()))?;
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

/// Removes multiplanet's checkpoint with the trials, and their folder if it holds nothing else.
fn forget(folder: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let Files { text, ledger } = Files::of_text(&PathBuf::from(format!(".{name}")));
    let sidecar = PathBuf::from(format!("{}.part", ledger.display()));
    for gone in [
        (std::fs::remove_file(&text), &text),
        (std::fs::remove_file(&ledger), &ledger),
        (std::fs::remove_dir_all(&sidecar), &sidecar),
    ] {
        match gone {
            (Err(e), path) if e.kind() != NotFound => return Err(e).at(DELETE, path),
            _ => {}
        }
    }
    // Some files, such as vspace's list of trials, are not in the archive, so the folder may not be empty.
    let _ = std::fs::remove_dir(folder);
    Ok(())
}

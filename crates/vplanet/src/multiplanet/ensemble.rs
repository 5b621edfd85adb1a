//! Finds the trials of an ensemble.

use crate::checkpoint::{Files, Trials};
use crate::vspace::Input;
use h5part_base::error::{At, ErrorKind, Kind, Result};
use std::path::{Path, PathBuf};

/// The trials of a vspace.in, according to its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// The vspace.in; absolute.
    pub vspace: PathBuf,
    /// The folder of the trials; absolute.
    pub folder: PathBuf,
    /// Names of the trials' folders, sorted.
    pub names: Vec<String>,
    /// Names of their input files except the primary one, in order.
    pub bodies: Vec<String>,
    /// The primary input file: the name that contains `vpl.in`, else the one that vspace.in gives.
    pub primary: Option<String>,
}

/// Absolute path of the folder that a vspace.in gives for its trials, whether it exists or not.
///
/// # Errors
/// As reading it; [`crate::ErrorKind::BadText`]: it gives no folder.
pub fn folder_of(vspace: &Path) -> Result<PathBuf> {
    folder_in(&Input::read(vspace)?, vspace)
}

fn folder_in(input: &Input, vspace: &Path) -> Result<PathBuf> {
    const READ: &str = "read";
    let folder = input.destination().and_then(|folder| Ok(std::path::absolute(folder)?)).at(READ, vspace)?;
    // Removes a slash at the end.
    let folder: PathBuf = folder.components().collect();
    if folder.file_name().is_none() {
        let text = format!("its sDestFolder, {}, is not a name of a folder", folder.display());
        return Err(crate::ErrorKind::BadText { line: 0, what: text }.at(READ, vspace));
    }
    Ok(folder)
}

impl Ensemble {
    /// Finds the trials: all folders in that of the vspace.in, except hidden ones.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: there are none, or the checkpoint cannot hold one of the names. As reading.
    pub fn read(vspace: &Path) -> Result<Self> {
        const LOOK: &str = "look for trials in";
        let input = Input::read(vspace)?;
        let folder = folder_in(&input, vspace)?;
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).at(LOOK, &folder)? {
            let path = entry.at(LOOK, &folder)?.path();
            // This follows links to folders.
            if path.is_dir() {
                names.extend(name_of(&path).at(LOOK, &path)?);
            }
        }
        if names.is_empty() {
            let text = "there are no trials; vspace makes them".to_owned();
            return Err(ErrorKind::BadRequest(text).at(LOOK, &folder));
        }
        names.sort();
        let mut bodies: Vec<String> =
            input.files.iter().map(|section| section.path().to_string_lossy().into_owned()).collect();
        let primary = bodies.iter().position(|name| name.contains("vpl.in"));
        let primary = primary.or_else(|| input.files.iter().position(|section| section.primary));
        let primary = primary.map(|at| bodies.remove(at));
        Ok(Self { vspace: std::path::absolute(vspace).at(LOOK, vspace)?, folder, names, bodies, primary })
    }

    /// The checkpoint of its runs.
    #[must_use]
    pub fn checkpoint(&self) -> Files {
        Files::of_folder(&self.folder, "")
    }

    /// The trials in the form of a checkpoint.
    #[must_use]
    pub fn trials(&self) -> Trials {
        let origin = self.vspace.to_string_lossy().into_owned();
        Trials { origin, folder: self.folder.clone(), names: self.names.clone() }
    }

    /// The archive of its trials.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        let mut name = self.folder.clone().into_os_string();
        name.push(".bpa");
        name.into()
    }
}

/// `None`: it is hidden.
fn name_of(folder: &Path) -> Result<Option<String>, ErrorKind> {
    let name = folder.file_name().unwrap_or_default().to_str();
    let bad = |what: &str| ErrorKind::BadRequest(format!("its name {what}, which a checkpoint cannot hold: rename it"));
    match name {
        None => Err(bad("is not UTF-8")),
        Some(name) if name.starts_with('.') => Ok(None),
        Some(name) if name.contains(['\n', '\r']) => Err(bad("has several lines")),
        Some(name) => Ok(Some(name.to_owned())),
    }
}

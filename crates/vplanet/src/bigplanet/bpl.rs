//! `bpl.in`: what to archive, and what to filter.

use crate::vplanet::InputFile;
use h5part_base::error::{At, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// The file that Ulysses reads.
const ULYSSES: &str = "User.csv";
const READ: &str = "read";

/// An input file of `BigPlanet`. As with the original, its paths are relative to the working folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bpl {
    /// The folder of the trials.
    pub folder: PathBuf,
    /// The archive.
    pub archive: PathBuf,
    /// Where to write filtered data.
    pub output: PathBuf,
    /// Input files of the bodies.
    pub bodies: Vec<String>,
    /// The primary input file of vplanet.
    pub primary: String,
    /// Keys of the datasets to filter.
    pub include: Vec<String>,
    /// Whether the output is a table for VR Ulysses.
    pub ulysses: bool,
    /// The only trial to filter, if one is given.
    pub trial: Option<String>,
}

impl Bpl {
    /// Reads the file.
    ///
    /// # Errors
    /// I/O errors; [`ErrorKind::BadRequest`]: settings conflict or are missing.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(&InputFile::read(path)?).at(READ, path)
    }

    fn of(file: &InputFile) -> Result<Self, ErrorKind> {
        let bad = |text: &str| Err(ErrorKind::BadRequest(text.to_owned()));
        let value = |key| file.value(key).filter(|value| !value.is_empty());
        let all = |key| {
            let options = file.options.iter().filter(|option| option.key == key);
            options.flat_map(|option| option.values.clone()).collect::<Vec<_>>()
        };
        if file.options.iter().any(|option| option.key == "saKeyExclude") {
            return bad("saKeyExclude is not supported by BigPlanet either: name what you want with saKeyInclude");
        }
        let Some(folder) = value("sDestFolder").map(|folder| PathBuf::from(folder.trim_end_matches('/'))) else {
            return bad("it has no sDestFolder, which names the folder of the trials");
        };
        let Some(primary) = value("sPrimaryFile") else {
            return bad("it has no sPrimaryFile, which names vplanet's primary input file");
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ulysses = file.options.iter().any(|option| option.key == "bUlysses");
        let output = value("sOutputFile").map_or_else(|| format!("{name}_filtered.bpf"), str::to_owned);
        let bpl = Self {
            archive: value("sArchiveFile").map_or_else(|| format!("{name}.bpa"), str::to_owned).into(),
            output: if ulysses { ULYSSES.into() } else { output.into() },
            bodies: all("saBodyFiles"),
            primary: primary.to_owned(),
            include: all("saKeyInclude"),
            ulysses,
            trial: value("sSimName").map(str::to_owned),
            folder,
        };
        let forward = |key: &String| key.contains("forward");
        match &bpl.trial {
            Some(_) if ulysses && !bpl.include.iter().all(forward) => {
                bad("with bUlysses and sSimName all of saKeyInclude must belong to forward files")
            }
            None if ulysses && bpl.include.iter().any(forward) => {
                bad("with bUlysses, keys of forward files need sSimName, which names one trial")
            }
            _ => Ok(bpl),
        }
    }

    /// The checkpoint text of archiving: `.MP_BPL` for trials in `MP`.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        checkpoint_of(&self.folder)
    }
}

/// The checkpoint text of archiving the trials of a folder.
#[must_use]
pub fn checkpoint_of(folder: &Path) -> PathBuf {
    PathBuf::from(format!(".{}_BPL", folder.file_name().unwrap_or_default().to_string_lossy()))
}

/// Names of the folders of trials, sorted. Hidden folders are skipped.
///
/// # Errors
/// As reading the folder; [`ErrorKind::BadRequest`]: there are no trials.
pub fn trials(folder: &Path) -> Result<Vec<String>> {
    const LIST: &str = "list the trials in";
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).at(LIST, folder)? {
        let entry = entry.at(LIST, folder)?;
        // Hidden folders belong to editors and version control. Runs skip them, too.
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.path().is_dir() && !is_hidden {
            let name = entry.file_name().into_string();
            let not_utf8 =
                |name: std::ffi::OsString| ErrorKind::BadRequest(format!("the name {} is not UTF-8", name.display()));
            names.push(name.map_err(not_utf8).at(LIST, folder)?);
        }
    }
    names.sort_unstable();
    if names.is_empty() {
        return Err(ErrorKind::BadRequest("it contains no folder".to_owned())).at(LIST, folder);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Bpl, String> {
        Bpl::of(&InputFile::parse(text)).map_err(|e| e.to_string())
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn hidden_folders_are_not_trials() {
        let folder = tempfile::tempdir().expect("tempdir");
        for name in [".ipynb_checkpoints", "b1", ".git", "a0"] {
            std::fs::create_dir(folder.path().join(name)).expect("makes");
        }
        assert_eq!(trials(folder.path()).expect("lists"), ["a0", "b1"]);
    }

    #[test]
    fn names_and_their_defaults() {
        let bpl = read("# what\nsDestFolder out/MP/ # x\nsaBodyFiles earth.in $\n  sun.in\nsPrimaryFile vpl.in\n")
            .expect("reads");
        assert_eq!((bpl.folder.to_str(), bpl.archive.to_str()), (Some("out/MP"), Some("MP.bpa")));
        assert_eq!((bpl.output.to_str(), bpl.bodies.join(" ").as_str()), (Some("MP_filtered.bpf"), "earth.in sun.in"));
        assert_eq!(bpl.checkpoint().to_str(), Some(".MP_BPL"));
        let text = "sDestFolder MP\nsPrimaryFile v.in\nbUlysses 1\nsSimName a\nsOutputFile x\nsaKeyInclude e:T:forward $\n e:M:forward";
        let bpl = read(text).expect("reads");
        assert_eq!((bpl.output.to_str(), bpl.include.len(), bpl.trial.as_deref()), (Some("User.csv"), 2, Some("a")));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let start = "sDestFolder MP\nsPrimaryFile v.in\n";
        for (text, what) in [
            ("sPrimaryFile v.in\n".to_owned(), "sDestFolder"),
            ("sDestFolder MP\n".to_owned(), "sPrimaryFile"),
            (format!("{start}saKeyExclude a:b:option\n"), "saKeyExclude"),
            (format!("{start}bUlysses 1\nsaKeyInclude e:T:forward\n"), "sSimName"),
            (format!("{start}bUlysses 1\nsSimName a\nsaKeyInclude e:T:final\n"), "forward"),
        ] {
            let said = read(&text).expect_err(what);
            assert!(said.contains(what), "{said}");
        }
    }
}

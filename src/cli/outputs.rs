//! Decides what an output may replace, for every command that writes a file of its own.

use super::common::request;
use h5part::Result;
use h5part_base::error::{self as base, At};
use h5part_base::storage::{Disk, Identity, Mode, Storage, beside, replace};
use h5part_engine::h5::check_superblock;
use h5part_engine::store::Store;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The first bytes of a file, which identify its kind.
const HEAD: u64 = 512;

/// The kind of an output. A file of the same kind is replaced; any other one only with `--force`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Npy,
    Svg,
    /// A page of `report`.
    Html,
    /// multiplanet's checkpoint text.
    Checkpoint,
    /// A table of `bigplanet` for ULYSSES.
    Ulysses,
    /// A page of the manual.
    Man,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Npy => "a .npy file",
            Self::Svg => "an SVG drawing",
            Self::Html => "an HTML page",
            Self::Checkpoint => "a checkpoint of multiplanet",
            Self::Ulysses => "a table for ULYSSES",
            Self::Man => "a page of the manual",
        }
    }

    fn is_of(self, head: &[u8]) -> bool {
        match self {
            Self::Npy => head.starts_with(b"\x93NUMPY"),
            Self::Svg => head.windows(4).any(|word| word == b"<svg"),
            Self::Html => head.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!doctype")),
            Self::Checkpoint => head.starts_with(b"Vspace File:"),
            // Its first column has no name.
            Self::Ulysses => head.starts_with(b","),
            Self::Man => head.windows(3).any(|word| word == b".TH"),
        }
    }
}

/// Why an output may not replace an existing file.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The file exists, and the command replaces it only on request.
    #[error("the output already exists")]
    Exists,
    /// The existing file is never replaced.
    #[error("it already exists and is {0}, which is never overwritten")]
    NotReplaced(&'static str),
    /// The existing file is of another kind than the output.
    #[error("it already exists and is not {0}")]
    OtherKind(&'static str),
}

impl base::Kind for ErrorKind {}

/// `--force`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ForceArgs {
    /// Overwrite an output file of another kind as well; never an HDF5 file or a ledger.
    #[arg(long)]
    pub force: bool,
}

impl ForceArgs {
    /// Checks that this output may have this name.
    ///
    /// # Errors
    /// [`ErrorKind::NotReplaced`], [`ErrorKind::OtherKind`]; I/O errors.
    pub fn allow(self, path: &Path, kind: Kind) -> Result<()> {
        let decide = || -> Result<(), base::ErrorKind> {
            let mut head = Vec::new();
            match path.metadata() {
                // Nothing exists there, or a pipe or a device, which accepts anything.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(e.into()),
                Ok(found) if found.is_dir() => return Err(ErrorKind::NotReplaced("a folder").into()),
                Ok(found) if !found.is_file() || found.len() == 0 => return Ok(()),
                Ok(_) => File::open(path)?.take(HEAD).read_to_end(&mut head)?,
            };
            if head.starts_with(b"h5part") {
                return Err(ErrorKind::NotReplaced("a ledger, or another file that h5part keeps").into());
            }
            if !matches!(check_superblock(Disk.open(path, Mode::Read)?.as_ref()), Err(base::ErrorKind::NotHdf5(_))) {
                return Err(ErrorKind::NotReplaced("an HDF5 file").into());
            }
            if self.force || kind.is_of(&head) { Ok(()) } else { Err(ErrorKind::OtherKind(kind.name()).into()) }
        };
        decide().at("write", path)
    }
}

/// Checks that nobody uses a store in a folder that is to be replaced.
pub fn refuse_stores_in_use(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.at("look into", folder)?,
    };
    for entry in entries {
        let sidecar = entry.at("look into", folder)?.path();
        if sidecar.extension().is_none_or(|ending| ending != "part") || !sidecar.with_extension("").is_file() {
            continue;
        }
        let store = Store::open(sidecar.with_extension(""))?;
        let locks = store.locks()?;
        if let Some(holder) = locks.writers.iter().chain(&locks.gate).chain(&locks.file).next() {
            let text = format!("pid {} on {} uses {}", holder.pid, holder.host, store.path().display());
            return Err(request("replace", folder, text));
        }
    }
    Ok(())
}

/// Writes a text beside its name, syncs it, and renames it.
pub fn write_text(path: &Path, text: &[u8]) -> Result<()> {
    let write = || {
        // A link is kept, and its target is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return Ok::<_, base::ErrorKind>(std::fs::write(&path, text)?);
        }
        let mut new = beside(&path, ".tmp", "")?;
        new.write_all(text)?;
        let mut new = new.into_temp_path();
        replace(&Disk, &new, &path)?;
        new.disable_cleanup(true);
        Ok(())
    };
    write().at("write", path)
}

/// Checks that no output replaces one of these inputs, a file that belongs to one, or another output, by whatever path
/// or link.
pub fn check_apart(inputs: &[&Path], outputs: &[&Path]) -> Result<()> {
    let beside = |store: &Path, suffix: &str| {
        let mut name = store.as_os_str().to_owned();
        name.push(suffix);
        identity(Path::new(&name))
    };
    let kept: Vec<Identity> =
        inputs.iter().flat_map(|store| ["", ".lock", ".part"].map(|suffix| beside(store, suffix))).flatten().collect();
    for (k, output) in outputs.iter().enumerate() {
        let output = output.canonicalize().unwrap_or_else(|_| in_its_folder(output));
        if output.ancestors().filter_map(identity).any(|found| kept.iter().any(|kept| kept.same_file(&found))) {
            return Err(request("write", output, "this is the store itself, or belongs to it"));
        }
        let is_same = |other: &&Path| {
            let other = other.canonicalize().unwrap_or_else(|_| in_its_folder(other));
            // Pipes and devices may be named twice.
            let same = other == output || identity(&output).zip(identity(&other)).is_some_and(|(a, b)| a.same_file(&b));
            same && (!output.exists() || output.is_file())
        };
        if outputs[..k].iter().any(is_same) {
            return Err(request("write", output, "each output needs a file of its own"));
        }
    }
    Ok(())
}

/// Identifies the target of a path.
fn identity(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(Identity::from)
}

/// A path that need not exist yet, with the real path of its folder.
fn in_its_folder(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize();
    folder.ok().zip(path.file_name()).map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name))
}

//! The folder that the demo works in. It is made anew each time, but nothing in it is removed
//! that the demo did not make.

use crate::Result;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file that says that the folder is the demo's. It is locked while the demo works in it.
const MARK: &str = ".h5part-demo";

/// A folder with no HDF5 file in it yet, for this demo alone.
pub struct Folder {
    dir: PathBuf,
    _mark: File,
}

impl Folder {
    /// Makes the folder, or clears it of what an earlier demo left.
    pub fn prepare(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| cannot("make the folder", dir, &e))?;
        let path = dir.join(MARK);
        let is_empty = fs::read_dir(dir).map_err(|e| cannot("read the folder", dir, &e))?.next().is_none();
        if !is_empty && !path.exists() {
            return Err(
                format!("{} is not empty, and not made by this demo: name another folder", dir.display()).into()
            );
        }
        let mark = File::create(&path).map_err(|e| cannot("make", &path, &e))?;
        match mark.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(format!("a demo is running in {}", dir.display()).into()),
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        let file = file_in(dir);
        gone(fs::remove_file(&file)).map_err(|e| cannot("remove", &file, &e))?;
        gone(fs::remove_file(file.with_extension("h5.lock")))
            .map_err(|e| cannot("remove the lock file of", &file, &e))?;
        gone(fs::remove_dir_all(file.with_extension("h5.part")))
            .map_err(|e| cannot("remove the sidecar of", &file, &e))?;
        Ok(Self { dir: dir.to_path_buf(), _mark: mark })
    }

    /// The HDF5 file.
    pub fn file(&self) -> PathBuf {
        file_in(&self.dir)
    }
}

/// The HDF5 file in a folder.
pub fn file_in(dir: &Path) -> PathBuf {
    dir.join("lj.h5")
}

/// The program `h5part`, where cargo puts it: beside the folder of this example.
pub fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("h5part")));
    let from_here = |path: PathBuf| {
        let here = std::env::current_dir().ok()?;
        Some(path.strip_prefix(here).map_or(path.clone(), Path::to_path_buf))
    };
    beside.filter(|path| path.exists()).and_then(from_here).unwrap_or_else(|| PathBuf::from("h5part"))
}

fn cannot(operation: &str, path: &Path, why: &io::Error) -> String {
    format!("cannot {operation} {}: {why}", path.display())
}

/// Nothing to remove is fine.
fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

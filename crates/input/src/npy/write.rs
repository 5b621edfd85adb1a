//! Writing a `.npy` file row by row.

use super::Header;
use h5part_base::dataspace::Dtype;
use h5part_base::storage::beside;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A `.npy` file under construction beside its name; it takes the name when it is whole. What is
/// no regular file (a pipe, a device) is written as it stands.
#[derive(Debug)]
pub struct NpyWriter {
    out: BufWriter<Target>,
    left: u64,
}

#[derive(Debug)]
enum Target {
    Beside { file: NamedTempFile, path: PathBuf },
    InPlace(File),
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        // A link stays a link: its target is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            return Ok(Self::InPlace(OpenOptions::new().write(true).open(&path)?));
        }
        let file = beside(&path, ".tmp", "")?;
        Ok(Self::Beside { file, path })
    }
}

impl Write for Target {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Beside { file, .. } => file.write(buf),
            Self::InPlace(file) => file.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NpyWriter {
    /// For elements of `dtype` in this shape.
    ///
    /// # Errors
    /// As open(2) and write(2).
    pub fn create(path: &Path, dtype: Dtype, shape: &[u64]) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, Target::open(path)?);
        out.write_all(&Header::to_bytes(dtype, shape))?;
        let left = shape.iter().product::<u64>() * dtype.size();
        Ok(Self { out, left })
    }

    /// Appends little-endian elements.
    ///
    /// # Errors
    /// As write(2).
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        self.out.write_all(bytes)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// As write(2) and rename(2); `InvalidInput` when elements are missing.
    pub fn finish(self) -> io::Result<()> {
        if self.left != 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match self.out.into_inner().map_err(io::IntoInnerError::into_error)? {
            Target::Beside { file, path } => file.persist(&path).map(|_| ()).map_err(|e| e.error),
            Target::InPlace(_) => Ok(()),
        }
    }
}

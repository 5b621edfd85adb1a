//! Writing a `.npy` file row by row.

use super::Header;
use crate::dataspace::Dtype;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A `.npy` file under construction beside its name; it takes the name when it is whole.
#[derive(Debug)]
pub struct NpyWriter {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
    left: u64,
}

impl NpyWriter {
    /// For elements of `dtype` in this shape.
    ///
    /// # Errors
    /// As open(2) and write(2).
    pub fn create(path: &Path, dtype: Dtype, shape: &[u64]) -> io::Result<Self> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&Header::to_bytes(dtype, shape))?;
        let left = shape.iter().product::<u64>() * dtype.size();
        Ok(Self { out, path: path.to_owned(), left })
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
    pub fn finish(self) -> io::Result<File> {
        if self.left != 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(&self.path).map_err(|e| e.error)
    }
}

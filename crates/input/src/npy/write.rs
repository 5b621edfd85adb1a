//! Writes a `.npy` file row by row.

use super::NpyHeader;
use h5part_base::dataspace::Dtype;
use h5part_base::num::to_usize;
use h5part_base::storage::beside;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A `.npy` file under construction beside its name. It is renamed once it is complete. A target that is not a regular
/// file (a pipe, a device) is written directly.
#[derive(Debug)]
pub struct NpyWriter {
    out: BufWriter<Target>,
    left: u64,
    /// Bytes of a UTF-8 text, which is written with four bytes per code point.
    text: Option<usize>,
}

#[derive(Debug)]
enum Target {
    Beside { file: NamedTempFile, path: PathBuf },
    InPlace(File),
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        // A link is kept, and its target is replaced.
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
    /// Begins a file with elements of `dtype` in this shape.
    ///
    /// # Errors
    /// As open(2) and write(2).
    pub fn create(path: &Path, dtype: Dtype, shape: &[u64]) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, Target::open(path)?);
        out.write_all(&NpyHeader::to_bytes(dtype, shape))?;
        let left = shape.iter().product::<u64>() * dtype.size();
        let text = matches!(dtype, Dtype::Text(_)).then(|| to_usize(dtype.size()));
        Ok(Self { out, left, text })
    }

    /// Appends little-endian elements.
    ///
    /// # Errors
    /// As write(2).
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        let Some(size) = self.text else { return self.out.write_all(bytes) };
        for element in bytes.chunks_exact(size.max(1)) {
            let mut codes: Vec<u8> = code_points(element).flat_map(u32::to_le_bytes).collect();
            codes.resize(size * 4, 0);
            self.out.write_all(&codes)?;
        }
        Ok(())
    }

    /// Renames the file into place.
    ///
    /// # Errors
    /// As write(2) and rename(2); `InvalidInput` if elements are missing.
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

/// The characters of a text. Bytes that are not UTF-8 are encoded as Python's `surrogateescape` does, which decodes
/// them to the same bytes.
fn code_points(text: &[u8]) -> impl Iterator<Item = u32> {
    text.utf8_chunks().flat_map(|chunk| {
        let escaped = chunk.invalid().iter().map(|&byte| 0xDC00 + u32::from(byte));
        chunk.valid().chars().map(u32::from).chain(escaped)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_text_can_be_turned_back() {
        let codes: Vec<u32> = code_points("é€".as_bytes()).chain(code_points(b"a\xff\xc3b\0")).collect();
        assert_eq!(codes, [0xE9, 0x20AC, 0x61, 0xDCFF, 0xDCC3, 0x62, 0]);
    }
}

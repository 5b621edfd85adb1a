//! Reads rows of values from a `.npy` file, or from raw little-endian bytes.

use super::{NpyHeader, cast};
use h5part_base::dataspace::Dtype;
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Largest list of row indices taken from a file.
const MOST_INDICES: u64 = 1 << 32;

/// Returns rows of values in order, a bounded number at a time.
pub struct RowSource {
    input: Input,
    dtype: Dtype,
    shape: Vec<u64>,
    wanted: Dtype,
    /// Whether the values are raw bytes of unknown length.
    headless: bool,
}

enum Input {
    /// C order, which is read sequentially.
    Stream { reader: Box<dyn Read>, big_endian: bool, code_points: bool },
    /// Fortran order: the elements of a row are one stride apart.
    Fortran { file: File, header: NpyHeader, next_row: u64 },
}

impl RowSource {
    /// Opens a `.npy` file, and checks its length against its header.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadNpy`], I/O errors.
    pub fn open(path: &Path) -> Result<Self, ErrorKind> {
        let mut file = File::open(path)?;
        let header = NpyHeader::read(&mut file)?;
        let len = file.metadata()?.len();
        let needed = header.data_start.saturating_add(header.data_bytes().unwrap_or(u64::MAX));
        if len < needed {
            return Err(
                crate::ErrorKind::BadNpy(format!("it is truncated: expected {needed} bytes, found {len}")).into()
            );
        }
        let (dtype, shape) = (header.dtype, header.shape.clone());
        let input = if header.fortran_order && shape.len() > 1 {
            Input::Fortran { file, header, next_row: 0 }
        } else {
            file.seek(SeekFrom::Start(header.data_start))?;
            let reader: Box<dyn Read> = Box::new(io::BufReader::with_capacity(1 << 20, file));
            Input::Stream { reader, big_endian: header.big_endian, code_points: header.code_points }
        };
        Ok(Self { input, dtype, shape, wanted: dtype, headless: false })
    }

    /// Reads raw little-endian elements from a stream without a header.
    #[must_use]
    pub fn raw(reader: Box<dyn Read>, dtype: Dtype, shape: &[u64]) -> Self {
        Self {
            input: Input::Stream { reader, big_endian: false, code_points: false },
            dtype,
            shape: shape.to_vec(),
            wanted: dtype,
            headless: true,
        }
    }

    /// Converts texts to another length, and whole numbers to members of an enum over them, as [`Dtype::relabel`] does.
    /// Other types are not converted.
    pub fn fit(&mut self, dtype: Dtype) {
        if self.dtype.relabels(dtype) {
            self.wanted = dtype;
        }
    }

    /// Casts the values to another type as they are read.
    pub fn cast_to(&mut self, dtype: Dtype) {
        self.wanted = dtype;
    }

    /// Type of the values returned.
    #[must_use]
    pub fn dtype_out(&self) -> Dtype {
        self.wanted
    }

    /// Shape in the header.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Little-endian bytes of the next `rows` rows of `cell` elements each.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadNpy`] if there are too few values, or if a value does not fit the cast.
    pub fn next_rows(&mut self, rows: u64, cell: u64) -> Result<Vec<u8>, ErrorKind> {
        let size = self.dtype.size();
        let bytes = rows.checked_mul(cell).and_then(|n| n.checked_mul(size)).and_then(|n| usize::try_from(n).ok());
        let bytes = bytes.ok_or_else(|| crate::ErrorKind::BadNpy("too many values".to_owned()))?;
        let mut out = vec![0; bytes];
        let (big_endian, code_points) = match &mut self.input {
            Input::Stream { reader, big_endian, code_points } => {
                read_exact(reader, &mut out)?;
                (*big_endian, *code_points)
            }
            Input::Fortran { file, header, next_row } => {
                // A single cell has no axis of rows. Its first axis belongs to the cell.
                if *next_row == 0 && header.elements() == Some(cell) {
                    header.shape.insert(0, 1);
                }
                read_fortran(file, header, *next_row, rows, &mut out)?;
                *next_row += rows;
                (header.big_endian, header.code_points)
            }
        };
        if big_endian {
            turn_around(&mut out, if code_points { 4 } else { self.dtype.word_bytes() });
        }
        if code_points {
            to_utf8(&mut out, size)?;
        }
        if self.wanted == self.dtype {
            return Ok(out);
        }
        let misfit =
            || ErrorKind::bad_values(format!("a value does not fit the cast from {} to {}", self.dtype, self.wanted));
        cast(self.dtype, self.wanted, &out).ok_or_else(misfit)
    }
}

impl RowSource {
    /// Checks that no values are left.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`] if there are more values, I/O errors.
    pub fn expect_end(&mut self) -> Result<(), ErrorKind> {
        match &mut self.input {
            Input::Stream { reader, .. } if self.headless => match reader.read(&mut [0])? {
                0 => Ok(()),
                _ => Err(ErrorKind::bad_values("there are too many: expected one per element of the selected rows")),
            },
            // The length of a file with a header was checked at the beginning.
            _ => Ok(()),
        }
    }
}

/// Row numbers for a table of `rows` rows, from a `.npy` file with one axis. It holds whole numbers, of which negative
/// ones count from the end as in numpy, or a bool mask with one value per row.
///
/// # Errors
/// [`crate::ErrorKind::BadNpy`], [`ErrorKind::BadValues`] for anything else, I/O errors.
pub fn indices(path: &Path, rows: u64) -> Result<Vec<u64>, ErrorKind> {
    let mut source = RowSource::open(path)?;
    let bad = |reason: &str| ErrorKind::bad_values(reason);
    let &[count] = source.shape() else { return Err(bad("row numbers, or a mask, must have one axis")) };
    if count > MOST_INDICES {
        return Err(bad("there are more row numbers than a selection can hold"));
    }
    if source.dtype == Dtype::Bool {
        if count != rows {
            return Err(ErrorKind::bad_values(format!(
                "a mask must have one value per row: expected {rows}, found {count}"
            )));
        }
        let mask = source.next_rows(count, 1)?;
        return Ok((0..).zip(mask).filter(|(_, there)| *there != 0).map(|(row, _)| row).collect());
    }
    // NumPy turns an empty list into an array of floats.
    if !source.dtype.is_whole() && count > 0 {
        return Err(bad("row numbers must be whole numbers, or a mask of bool"));
    }
    source.cast_to(Dtype::I64);
    let bytes = source.next_rows(count, 1)?;
    let numbers = bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default()));
    let from_end = |n: i64| if n < 0 { rows.checked_sub(n.unsigned_abs()) } else { u64::try_from(n).ok() };
    let outside = |n: i64| ErrorKind::bad_values(format!("row number {n} is before the first row of {rows}"));
    numbers.map(|n| from_end(n).ok_or_else(|| outside(n))).collect()
}

/// Reads Fortran order, shape (n, c...). Element (row, k) has number `row + n * k'`, where `k'` is the Fortran number
/// of k within the cell. It takes one read per element of a cell.
fn read_fortran(file: &File, header: &NpyHeader, first: u64, rows: u64, out: &mut [u8]) -> Result<(), ErrorKind> {
    let size = usize::try_from(header.dtype.size()).unwrap_or(8);
    let (total, axes) = header.shape.split_first().map_or((0, &[][..]), |(&n, axes)| (n, axes));
    let cell: u64 = axes.iter().product();
    let cell_bytes = to_usize(cell) * size;
    let mut strip = vec![0; to_usize(rows) * size];
    for k in 0..cell {
        let number = fortran_number(k, axes);
        let position = header.data_start + (first + total * number) * header.dtype.size();
        file.read_exact_at(&mut strip, position)?;
        let at = to_usize(k) * size;
        for (row, element) in strip.chunks_exact(size).enumerate() {
            out[row * cell_bytes + at..row * cell_bytes + at + size].copy_from_slice(element);
        }
    }
    Ok(())
}

/// The number in Fortran order of the element with number `k` in C order.
fn fortran_number(mut k: u64, axes: &[u64]) -> u64 {
    let mut stride: u64 = axes.iter().product();
    let mut number = 0;
    for &axis in axes.iter().rev() {
        stride /= axis.max(1);
        number += (k % axis.max(1)) * stride;
        k /= axis.max(1);
    }
    number
}

/// Converts texts of four bytes per code point to UTF-8, which is never longer, padded with zeros.
fn to_utf8(bytes: &mut [u8], size: u64) -> Result<(), ErrorKind> {
    let bad = || ErrorKind::bad_values("a text contains something that is not a character");
    for element in bytes.chunks_exact_mut(to_usize(size).max(4)) {
        let mut text = String::with_capacity(element.len());
        for code in element.chunks_exact(4) {
            let code = u32::from_le_bytes(code.try_into().unwrap_or_default());
            text.push(char::from_u32(code).ok_or_else(bad)?);
        }
        let text = text.trim_end_matches('\0').as_bytes();
        element.fill(0);
        element[..text.len()].copy_from_slice(text);
    }
    Ok(())
}

fn turn_around(bytes: &mut [u8], size: u64) {
    for element in bytes.chunks_exact_mut(usize::try_from(size).unwrap_or(1)) {
        element.reverse();
    }
}

fn read_exact(reader: &mut dyn Read, buf: &mut [u8]) -> Result<(), ErrorKind> {
    reader.read_exact(buf).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => {
            ErrorKind::bad_values("there are too few: expected one per element of the selected rows")
        }
        _ => ErrorKind::Io(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fortran_numbers() {
        // Shape (2, 3): C order 00 01 02 10 11 12 has numbers 0 2 4 1 3 5 in Fortran order.
        let numbers: Vec<u64> = (0..6).map(|k| fortran_number(k, &[2, 3])).collect();
        assert_eq!(numbers, [0, 2, 4, 1, 3, 5]);
    }

    /// numpy writes a cell of shape (2, 3) as it is, so its first axis does not count rows.
    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn a_lone_cell_in_fortran_order_is_one_row() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a.npy");
        for shape in ["(2, 3)", "(1, 2, 3)"] {
            let text = format!("{{'descr': '|u1', 'fortran_order': True, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend(u16::try_from(text.len()).expect("short").to_le_bytes());
            bytes.extend(text.bytes());
            bytes.extend([1, 4, 2, 5, 3, 6]);
            std::fs::write(&path, bytes).expect("write");
            let got = RowSource::open(&path).expect("opens").next_rows(1, 6).expect("one row");
            assert_eq!(got, [1, 2, 3, 4, 5, 6], "{shape}");
        }
    }

    #[test]
    fn fortran_big_endian_rows_come_out_in_order() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a.npy");
        let text = "{'descr': '>i2', 'fortran_order': True, 'shape': (3, 2, 2), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(text.len()).expect("short").to_le_bytes());
        bytes.extend(text.bytes());
        let value = |i: i16, j: i16, k: i16| i * 100 + j * 10 + k;
        for k in 0..2 {
            for j in 0..2 {
                for i in 0..3 {
                    bytes.extend(value(i, j, k).to_be_bytes());
                }
            }
        }
        std::fs::write(&path, bytes).expect("write");
        let mut source = RowSource::open(&path).expect("opens");
        let mut got = source.next_rows(2, 4).expect("two rows");
        got.extend(source.next_rows(1, 4).expect("one more"));
        let want: Vec<u8> = (0..3)
            .flat_map(|i| [value(i, 0, 0), value(i, 0, 1), value(i, 1, 0), value(i, 1, 1)])
            .flat_map(i16::to_le_bytes)
            .collect();
        assert_eq!(got, want);
    }
}

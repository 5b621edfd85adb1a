//! Typed values in both directions: `ndarray` views over plain little-endian bytes.

use crate::h5::Coordinates;
use bytemuck::{CheckedBitPattern, NoUninit};
use h5part_base::dataspace::{Column, Dtype, Rows, shape_text};
use h5part_base::error::{ErrorKind, Misfit};
use h5part_base::num::to_usize;
use half::f16;
use ndarray::{Array1, ArrayBase, ArrayD, Data, Dimension, IxDyn};
use num_complex::Complex;
use std::borrow::Cow;

/// A Rust type that can be the element type of a column.
pub trait Element: NoUninit + CheckedBitPattern {
    /// Its name in a table.
    const DTYPE: Dtype;
}

macro_rules! element {
    ($($type:ty => $dtype:ident),*) => { $(impl Element for $type { const DTYPE: Dtype = Dtype::$dtype; })* };
}
element!(f32 => F32, f64 => F64, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
         u8 => U8, u16 => U16, u32 => U32, u64 => U64, bool => Bool,
         f16 => F16, Complex<f32> => C64, Complex<f64> => C128);

impl Coordinates {
    /// Values along a dimension, such as times or radii. For texts: [`Coordinates::texts`].
    #[must_use]
    pub fn new<T: Element>(dimension: &str, values: &[T]) -> Self {
        let values = bytemuck::cast_slice(values).to_vec();
        Self { dimension: dimension.to_owned(), dtype: T::DTYPE, values }
    }
}

/// Values for some rows of one column: the first axis counts the rows, the rest is the cell.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    dtype: Dtype,
    shape: Vec<u64>,
    bytes: Cow<'a, [u8]>,
    /// Whether they come from a file. Unusual bytes that other programs stored are then accepted.
    as_stored: bool,
}

impl<'a, T: Element, S: Data<Elem = T>, D: Dimension> From<&'a ArrayBase<S, D>> for Values<'a> {
    /// Borrows an array in standard (row-major) layout, and copies any other.
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        let bytes = match array.as_slice() {
            Some(slice) => Cow::Borrowed(bytemuck::cast_slice(slice)),
            None => Cow::Owned(array.iter().flat_map(|v| bytemuck::bytes_of(v).iter().copied()).collect()),
        };
        Self { dtype: T::DTYPE, shape: array.shape().iter().map(|&n| n as u64).collect(), bytes, as_stored: false }
    }
}

impl<'a, T: Element> From<&'a [T]> for Values<'a> {
    /// One element per row.
    fn from(values: &'a [T]) -> Self {
        let bytes = Cow::Borrowed(bytemuck::cast_slice(values));
        Self { dtype: T::DTYPE, shape: vec![values.len() as u64], bytes, as_stored: false }
    }
}

impl<'a, T: Element> From<&'a Vec<T>> for Values<'a> {
    /// One element per row.
    fn from(values: &'a Vec<T>) -> Self {
        values.as_slice().into()
    }
}

impl<'a, T: Element, const N: usize> From<&'a [T; N]> for Values<'a> {
    /// One element per row.
    fn from(values: &'a [T; N]) -> Self {
        values.as_slice().into()
    }
}

impl<T: Element> From<T> for Values<'static> {
    /// The element of one row.
    fn from(value: T) -> Self {
        let bytes = Cow::Owned(bytemuck::bytes_of(&value).to_vec());
        Self { dtype: T::DTYPE, shape: Vec::new(), bytes, as_stored: false }
    }
}

impl<'a> From<&'a Block> for Values<'a> {
    /// The values of a block as they were read.
    fn from(block: &'a Block) -> Self {
        let bytes = Cow::Borrowed(block.bytes.as_slice());
        Self { dtype: block.dtype, shape: block.shape.clone(), bytes, as_stored: true }
    }
}

impl<'a> Values<'a> {
    /// Little-endian bytes of elements of any type that a column may have. Texts are padded with zeros; compounds have
    /// the layout of the file.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`] if the number of bytes does not fit `shape`.
    pub fn new(dtype: Dtype, shape: &[u64], bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, ErrorKind> {
        let bytes = bytes.into();
        let expected = shape.iter().try_fold(dtype.size(), |n, &k| n.checked_mul(k));
        if expected != Some(bytes.len() as u64) {
            return Err(ErrorKind::BadValues(Misfit::Shape {
                column: String::new(),
                expected: format!("{} x {dtype}", shape_text(shape)),
                found: format!("{} bytes", bytes.len()),
            }));
        }
        Ok(Self { dtype, shape: shape.to_vec(), bytes, as_stored: false })
    }

    /// Texts for a column of texts, or names of members for a column of an enum: one per row.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`] for a text that is too long, since texts are never cut, or for a name that is not a
    /// member.
    pub fn texts<T: AsRef<str>>(dtype: Dtype, texts: &[T]) -> Result<Self, ErrorKind> {
        let element = |text: &T| {
            let text = text.as_ref();
            dtype
                .element_of(text)
                .ok_or_else(|| ErrorKind::bad_values(format!("'{text}' is not one of {}", dtype.short_name())))
        };
        let bytes = texts.iter().map(element).collect::<Result<Vec<_>, _>>()?.concat();
        Self::new(dtype, &[texts.len() as u64], bytes)
    }

    /// Converts the values to another type if that loses nothing: texts of another length, or whole numbers for an enum
    /// over them. Values of the same type stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::DtypeMismatch`]; [`ErrorKind::BadValues`] for a text that is too long, since texts are never cut,
    /// or for a number that is not a member.
    pub fn relabel(self, dtype: Dtype) -> Result<Self, ErrorKind> {
        if self.dtype == dtype {
            return Ok(self);
        }
        let (expected, found) = (dtype.short_name(), self.dtype.short_name());
        if !self.dtype.relabels(dtype) {
            return Err(ErrorKind::DtypeMismatch { column: String::new(), expected, found });
        }
        let bytes = self.dtype.relabel(dtype, &self.bytes);
        let bytes = bytes
            .ok_or_else(|| ErrorKind::bad_values(format!("a value of type {found} is not valid for {expected}")))?;
        Self::new(dtype, &self.shape, bytes)
    }

    /// As [`Values::new`], for bytes of a file, which may hold booleans other than 0 and 1.
    pub(crate) fn as_stored(dtype: Dtype, shape: &[u64], bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, ErrorKind> {
        Ok(Self { as_stored: true, ..Self::new(dtype, shape, bytes)? })
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Shape, rows first.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Little-endian bytes, row-major.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// An owned copy of the values.
    #[must_use]
    pub fn into_owned(self) -> Values<'static> {
        Values { bytes: Cow::Owned(self.bytes.into_owned()), shape: self.shape, ..self }
    }

    /// Checks that they fit `rows` of `column`. For a single row the first axis may be left out.
    pub(super) fn check(&self, column: &Column, rows: &Rows) -> Result<(), ErrorKind> {
        check_fit(column, self.dtype, &self.shape, rows.len())?;
        match self.dtype.flaw_of(&self.bytes).filter(|_| !self.as_stored) {
            Some(flaw) => Err(ErrorKind::bad_values(format!("{flaw} for column '{}'", column.name))),
            None => Ok(()),
        }
    }
}

/// Checks that values of this type and shape fit `rows` rows of `column`, without any cast.
///
/// # Errors
/// [`ErrorKind::DtypeMismatch`]; [`ErrorKind::BadValues`] for another shape; [`ErrorKind::UnsupportedColumn`].
pub fn check_fit(column: &Column, dtype: Dtype, shape: &[u64], rows: u64) -> Result<(), ErrorKind> {
    let expected = column.dtype()?;
    if dtype != expected {
        return Err(ErrorKind::DtypeMismatch {
            column: column.name.clone(),
            expected: expected.to_string(),
            found: dtype.to_string(),
        });
    }
    let one = rows == 1 && shape == column.shape;
    if !one && (shape.first() != Some(&rows) || shape.get(1..) != Some(&column.shape)) {
        let needed: Vec<u64> = [rows].into_iter().chain(column.shape.iter().copied()).collect();
        return Err(ErrorKind::BadValues(Misfit::Shape {
            column: column.name.clone(),
            expected: shape_text(&needed),
            found: shape_text(shape),
        }));
    }
    Ok(())
}

/// State of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellState {
    /// Its stamp says COMMITTED and matches its bytes.
    Committed,
    /// It has a value, but no stamp: another program wrote it.
    Plain,
    /// No value yet.
    Missing,
    /// A commit is under way, or its writer died in it: no value.
    Writing,
    /// Its stamp says COMMITTED, but its bytes do not match: something else changed or damaged them.
    Changed,
}

impl CellState {
    /// Whether the cell has a value that may be used.
    #[must_use]
    pub fn is_present(self) -> bool {
        matches!(self, Self::Committed | Self::Plain)
    }
}

/// Rows of a column that were read: values in the order of the selection, and the state of each row. Rows that are not
/// present hold the column's fill.
#[derive(Clone, Debug)]
pub struct Block {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
    pub(super) bytes: Vec<u8>,
    pub(super) states: Vec<CellState>,
}

impl Block {
    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Shape, rows first.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Little-endian bytes, row-major.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes of one row.
    pub(crate) fn cell(&self, place: usize) -> &[u8] {
        let cell = self.bytes.len() / self.states.len().max(1);
        &self.bytes[place * cell..(place + 1) * cell]
    }

    /// The cells at these positions, in this order.
    pub(super) fn repeat(&self, positions: &[usize]) -> Self {
        let shape = std::iter::once(positions.len() as u64).chain(self.shape.iter().skip(1).copied()).collect();
        let bytes = positions.iter().flat_map(|&place| self.cell(place)).copied().collect();
        Self { dtype: self.dtype, shape, bytes, states: positions.iter().map(|&place| self.states[place]).collect() }
    }

    /// Copies the cells of `other` to these places.
    pub(crate) fn put(&mut self, other: &Self, places: &[usize]) {
        for (k, &place) in places.iter().enumerate() {
            self.set_cell(place, other.cell(k));
            self.states[place] = other.states[k];
        }
    }

    /// Fills a cell that is not there with this element.
    pub(crate) fn fill_cell(&mut self, place: usize, element: &[u8]) {
        let elements = self.cell(place).len() / element.len().max(1);
        self.set_cell(place, &element.repeat(elements));
        self.states[place] = CellState::Missing;
    }

    /// Stores a value without a stamp.
    pub(crate) fn accept(&mut self, place: usize, bytes: &[u8]) {
        self.set_cell(place, bytes);
        self.states[place] = CellState::Plain;
    }

    fn set_cell(&mut self, place: usize, bytes: &[u8]) {
        let at = place * bytes.len();
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// State of each row, in the order of the selection.
    #[must_use]
    pub fn states(&self) -> &[CellState] {
        &self.states
    }

    /// Whether each row is present, shape (rows).
    #[must_use]
    pub fn mask(&self) -> Array1<bool> {
        self.states.iter().map(|s| s.is_present()).collect()
    }

    /// The values, shape (rows, cell...).
    ///
    /// # Errors
    /// [`ErrorKind::DtypeMismatch`] if `T` is not the column's type.
    pub fn array<T: Element>(&self) -> Result<ArrayD<T>, ErrorKind> {
        let mismatch = || ErrorKind::DtypeMismatch {
            column: "read".to_owned(),
            expected: self.dtype.to_string(),
            found: T::DTYPE.to_string(),
        };
        if T::DTYPE != self.dtype {
            return Err(mismatch());
        }
        let values: Vec<T> = self
            .bytes
            .chunks_exact(size_of::<T>())
            .map(|b| bytemuck::checked::try_pod_read_unaligned(b).map_err(|_| mismatch()))
            .collect::<Result<_, _>>()?;
        let shape: Vec<usize> = self.shape.iter().map(|&n| to_usize(n)).collect();
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| mismatch())
    }
}

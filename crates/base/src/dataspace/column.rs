//! A column as the user describes it: `NAME:DTYPE[:SHAPE][=FILL]`.

use super::Dtype;
use crate::error::ErrorKind;
use std::str::FromStr;

/// Name, element type, shape of one cell and fill of a column to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Name of the dataset.
    pub name: String,
    /// Type of an element.
    pub dtype: Dtype,
    /// Shape of one row's cell; empty for a scalar.
    pub shape: Vec<u64>,
    /// Little-endian bytes of the element that fills rows that are not there.
    pub fill: Vec<u8>,
}

impl ColumnSpec {
    /// A column with the default fill: NaN for floats, 0, false.
    #[must_use]
    pub fn new(name: &str, dtype: Dtype, shape: &[u64]) -> Self {
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), fill: dtype.default_fill() }
    }

    /// Bytes of one cell, unless they overflow.
    #[must_use]
    pub fn cell_bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size(), |bytes, &n| bytes.checked_mul(n))
    }

    /// `NAME:DTYPE[:SHAPE]`, read from the right since names may hold colons.
    fn parse_typed(text: &str) -> Option<Self> {
        let (rest, last) = text.rsplit_once(':')?;
        if let Ok(dtype) = last.parse() {
            return Some(Self::new(rest, dtype, &[]));
        }
        let shape: Option<Vec<u64>> = last.split('x').map(|n| n.parse().ok().filter(|&n| n > 0)).collect();
        let (name, dtype) = rest.rsplit_once(':')?;
        Some(Self::new(name, dtype.parse().ok()?, &shape?))
    }
}

impl FromStr for ColumnSpec {
    type Err = ErrorKind;

    /// Parsed from the right: the name may hold colons, equal signs, spaces and any other
    /// character but `/`.
    fn from_str(text: &str) -> Result<Self, ErrorKind> {
        let bad = |reason: &str| ErrorKind::BadColumn { text: text.to_owned(), reason: reason.to_owned() };
        let with_fill = text.rsplit_once('=').and_then(|(left, fill)| Some((Self::parse_typed(left)?, fill)));
        let spec = match with_fill {
            Some((mut spec, fill)) => {
                let dtype = spec.dtype;
                let parsed = dtype.parse_element(fill);
                spec.fill = parsed.ok_or_else(|| bad(&format!("the fill '{fill}' is not a {dtype}")))?;
                spec
            }
            None => Self::parse_typed(text).ok_or_else(|| bad("dtype or shape not understood"))?,
        };
        if spec.name.is_empty() || spec.name == "." || spec.name.contains(['/', '\0']) {
            return Err(bad("the name is empty or holds a '/'"));
        }
        if spec.cell_bytes().is_none_or(|bytes| bytes > i64::MAX as u64) {
            return Err(bad("a cell of this shape is too large"));
        }
        Ok(spec)
    }
}

/// A shape as the command line writes it: `10x100x3`; `scalar` for none.
#[must_use]
pub fn shape_text(shape: &[u64]) -> String {
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ColumnSpec, ErrorKind> {
        text.parse()
    }

    #[test]
    fn reads_from_the_right() {
        let spec = parse("forces_MP2:x (eV∕Å):f64:100x3=-1.5").expect("reads");
        assert_eq!((spec.name.as_str(), spec.dtype), ("forces_MP2:x (eV∕Å)", Dtype::F64));
        assert_eq!((spec.shape, spec.fill), (vec![100, 3], (-1.5f64).to_le_bytes().to_vec()));
        assert_eq!(parse("a=b:i8").expect("reads").name, "a=b");
        assert_eq!(parse("a:f64:bool=true").expect("reads").name, "a:f64");
        assert!(parse("E:f64").is_ok_and(|s| f64::from_le_bytes(s.fill.try_into().expect("8")).is_nan()));
        assert_eq!(parse("s:i64=1").expect("reads").fill, 1i64.to_le_bytes());
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in [
            "",
            "E",
            "E:",
            ":f64",
            "E:f63",
            "E:f64:0",
            "E:f64:3x",
            "E:i8=300",
            "a/b:f64",
            "E:f64:9999999999x9999999999",
            "E:bool=2",
        ] {
            assert!(parse(text).is_err(), "{text:?} was read");
        }
    }
}

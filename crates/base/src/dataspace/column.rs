//! A column as the user describes it: `NAME:DTYPE[:SHAPE][=FILL]`.

use super::Dtype;
use super::dtype::{NotADtype, parse, parse_shaped};
use crate::error::ErrorKind;
use std::str::FromStr;

/// Name, element type, cell shape and fill of a column to create.
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
    /// A column with the default fill: NaN, 0, false, empty.
    #[must_use]
    pub fn new(name: &str, dtype: Dtype, shape: &[u64]) -> Self {
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), fill: dtype.default_fill() }
    }

    /// Bytes of one cell. `None`: they overflow.
    #[must_use]
    pub fn cell_bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size(), |bytes, &n| bytes.checked_mul(n))
    }

    /// Parses `NAME:DTYPE[:SHAPE]` from the right, since names may contain colons.
    fn parse_typed(text: &str) -> Option<Self> {
        let colons = text.rmatch_indices(':').map(|(at, _)| at);
        let mut splits = colons.map(|at| (&text[..at], &text[at + 1..]));
        splits.find_map(|(name, kind)| {
            let (dtype, shape) = parse_shaped(kind).ok()?;
            Some(Self::new(name, dtype, &shape))
        })
    }

    /// Explains why no type was found.
    fn not_typed(text: &str) -> ErrorKind {
        let bad = |reason: String| ErrorKind::BadColumn { text: text.to_owned(), reason };
        let Some((rest, last)) = text.rsplit_once(':') else { return bad("dtype or shape not understood".to_owned()) };
        let is_shape = last.split('x').all(|n| n.parse::<u64>().is_ok());
        let (name, kind) = rest.rsplit_once(':').filter(|_| is_shape).unwrap_or((rest, last));
        match parse(kind) {
            Ok(_) => bad(format!("'{last}' is not a shape such as 100x3")),
            Err(NotADtype { variable: Some(dtype), .. }) => {
                ErrorKind::UnsupportedColumn { column: name.to_owned(), dtype: Some(dtype.to_owned()) }
            }
            Err(NotADtype { reason, .. }) => bad(format!("'{kind}' is not a type: {reason}")),
        }
    }
}

impl FromStr for ColumnSpec {
    type Err = ErrorKind;

    /// Parses from the right: the name may contain colons, equal signs, spaces and any other character except `/`.
    fn from_str(text: &str) -> Result<Self, ErrorKind> {
        let bad = |reason: &str| ErrorKind::BadColumn { text: text.to_owned(), reason: reason.to_owned() };
        // A fill may contain equal signs, and so may the members of an enum.
        let mut signs = text.rmatch_indices('=').map(|(at, _)| (&text[..at], &text[at + 1..]));
        let with_fill = signs.find_map(|(left, fill)| Some((Self::parse_typed(left)?, fill)));
        let spec = match with_fill {
            Some((mut spec, fill)) => {
                let dtype = spec.dtype;
                let parsed = dtype.parse_element(fill);
                spec.fill = parsed.ok_or_else(|| bad(&format!("the fill '{fill}' is not a {dtype}")))?;
                spec
            }
            None => Self::parse_typed(text).ok_or_else(|| Self::not_typed(text))?,
        };
        if spec.name.is_empty() || spec.name == "." || spec.name.contains(['/', '\0']) {
            return Err(bad("the name must not be empty or contain '/'"));
        }
        if spec.cell_bytes().is_none_or(|bytes| bytes > i64::MAX as u64) {
            return Err(bad("a cell of this shape is too large"));
        }
        Ok(spec)
    }
}

/// A shape as the command line writes it: `10x100x3`, or `scalar`.
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
        let spec = parse("state:enum(u8){idle=0,busy=1}:3=busy").expect("reads");
        assert_eq!((spec.name.as_str(), spec.shape, spec.fill), ("state", vec![3], vec![1]));
        let spec = parse("p:{x:f8,y:f8:3}:2").expect("reads");
        assert_eq!((spec.name.as_str(), spec.dtype.size(), spec.shape), ("p", 32, vec![2]));
        let spec = parse("a:b:<U2=x=y").expect("reads");
        assert_eq!((spec.name.as_str(), spec.dtype, spec.fill), ("a:b", Dtype::Text(8), b"x=y\0\0\0\0\0".to_vec()));
        assert_eq!(parse("z:complex64=1-2j").expect("reads").fill, [1f32, -2.0].map(f32::to_le_bytes).concat());
        assert!(
            matches!(parse("s:str:3"), Err(ErrorKind::UnsupportedColumn { column, dtype: Some(_) }) if column == "s")
        );
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

//! The element types that tables may hold.

use std::fmt;
use std::str::FromStr;

/// Type of one element. Little-endian in files that h5part makes; [`Dtype::Bool`] is stored as
/// h5py stores it, an enum over one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is named after the Rust type that it is")]
pub enum Dtype {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

use Dtype::{Bool, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 11] = [F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool];

    /// Bytes an element.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            I8 | U8 | Bool => 1,
            I16 | U16 => 2,
            F32 | I32 | U32 => 4,
            F64 | I64 | U64 => 8,
        }
    }

    /// Whether its elements are whole numbers; bool are none.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        !matches!(self, F32 | F64 | Bool)
    }

    /// Name as the command line takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            F32 => "f32",
            F64 => "f64",
            I8 => "i8",
            I16 => "i16",
            I32 => "i32",
            I64 => "i64",
            U8 => "u8",
            U16 => "u16",
            U32 => "u32",
            U64 => "u64",
            Bool => "bool",
        }
    }

    /// The value of a row that is not there, unless the user names another: NaN, 0 or false.
    #[must_use]
    pub fn default_fill(self) -> Vec<u8> {
        match self {
            F32 => f32::NAN.to_le_bytes().to_vec(),
            F64 => f64::NAN.to_le_bytes().to_vec(),
            other => vec![0; usize::try_from(other.size()).unwrap_or(8)],
        }
    }

    /// Whether an element is no number.
    #[must_use]
    pub fn is_nan(self, bytes: &[u8]) -> bool {
        matches!(self, F32 | F64) && self.format_element(bytes) == "NaN"
    }

    /// Little-endian bytes of one element from its text.
    #[must_use]
    pub fn parse_element(self, text: &str) -> Option<Vec<u8>> {
        fn bytes<T: FromStr, const N: usize>(text: &str, to: fn(T) -> [u8; N]) -> Option<Vec<u8>> {
            text.parse().ok().map(|v| to(v).to_vec())
        }
        let text = text.trim();
        match self {
            // A finite number that the type cannot hold is no infinity.
            F32 if text.parse::<f32>().is_ok_and(f32::is_infinite) && text.contains(|c: char| c.is_ascii_digit()) => {
                None
            }
            F64 if text.parse::<f64>().is_ok_and(f64::is_infinite) && text.contains(|c: char| c.is_ascii_digit()) => {
                None
            }
            F32 => bytes(text, f32::to_le_bytes),
            F64 => bytes(text, f64::to_le_bytes),
            I8 => bytes(text, i8::to_le_bytes),
            I16 => bytes(text, i16::to_le_bytes),
            I32 => bytes(text, i32::to_le_bytes),
            I64 => bytes(text, i64::to_le_bytes),
            U8 => bytes(text, u8::to_le_bytes),
            U16 => bytes(text, u16::to_le_bytes),
            U32 => bytes(text, u32::to_le_bytes),
            U64 => bytes(text, u64::to_le_bytes),
            Bool => match text {
                "true" | "True" | "1" => Some(vec![1]),
                "false" | "False" | "0" => Some(vec![0]),
                _ => None,
            },
        }
    }

    /// Text of one element from its little-endian bytes (`size()` of them).
    #[must_use]
    pub fn format_element(self, bytes: &[u8]) -> String {
        fn le<const N: usize>(bytes: &[u8]) -> [u8; N] {
            let mut array = [0; N];
            let n = N.min(bytes.len());
            array[..n].copy_from_slice(&bytes[..n]);
            array
        }
        match self {
            F32 => format!("{:?}", f32::from_le_bytes(le(bytes))),
            F64 => format!("{:?}", f64::from_le_bytes(le(bytes))),
            I8 => i8::from_le_bytes(le(bytes)).to_string(),
            I16 => i16::from_le_bytes(le(bytes)).to_string(),
            I32 => i32::from_le_bytes(le(bytes)).to_string(),
            I64 => i64::from_le_bytes(le(bytes)).to_string(),
            U8 => u8::from_le_bytes(le(bytes)).to_string(),
            U16 => u16::from_le_bytes(le(bytes)).to_string(),
            U32 => u32::from_le_bytes(le(bytes)).to_string(),
            U64 => u64::from_le_bytes(le(bytes)).to_string(),
            Bool => (le::<1>(bytes) != [0]).to_string(),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dtype {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|d| d.name() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_their_texts() {
        for (dtype, text, bytes) in [
            (F32, "1.5", &1.5f32.to_le_bytes()[..]),
            (F64, "-2e300", &(-2e300f64).to_le_bytes()),
            (F32, "inf", &f32::INFINITY.to_le_bytes()),
            (F64, "-inf", &f64::NEG_INFINITY.to_le_bytes()),
            (I8, "-7", &[249]),
            (I16, "-2", &[254, 255]),
            (I32, "70000", &70_000i32.to_le_bytes()),
            (I64, "-9", &(-9i64).to_le_bytes()),
            (U8, "255", &[255]),
            (U16, "256", &[0, 1]),
            (U32, "4000000000", &4_000_000_000u32.to_le_bytes()),
            (U64, "18446744073709551615", &u64::MAX.to_le_bytes()),
            (Bool, "true", &[1]),
            (Bool, "false", &[0]),
        ] {
            assert_eq!(dtype.parse_element(text).as_deref(), Some(bytes), "{dtype} {text}");
            let again = dtype.parse_element(&dtype.format_element(bytes));
            assert_eq!(again.as_deref(), Some(bytes), "{dtype} {text}");
            assert_eq!((bytes.len() as u64, dtype.name().parse()), (dtype.size(), Ok(dtype)));
            assert_eq!(dtype.to_string(), dtype.name());
        }
        assert_eq!(["True", "1", "False", "0"].map(|t| Bool.parse_element(t)), [1, 1, 0, 0].map(|b| Some(vec![b])));
        for (dtype, text) in
            [(F32, "1e39"), (F64, "1e309"), (F64, "x"), (I8, "128"), (U8, "-1"), (I64, "1.5"), (Bool, "2")]
        {
            assert_eq!(dtype.parse_element(text), None, "{dtype} {text}");
        }
    }

    #[test]
    fn what_is_no_number() {
        assert!(F64.is_nan(&f64::NAN.to_le_bytes()) && F32.is_nan(&f32::NAN.to_le_bytes()));
        assert!(!F64.is_nan(&1f64.to_le_bytes()) && !I64.is_nan(&f64::NAN.to_le_bytes()));
        for dtype in Dtype::ALL {
            assert_eq!(dtype.is_nan(&dtype.default_fill()), matches!(dtype, F32 | F64), "{dtype}");
        }
    }
}

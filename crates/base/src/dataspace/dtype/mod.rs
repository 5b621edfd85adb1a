//! The element types that tables may hold.

mod described;
mod names;
mod numpy;
mod text;
mod valid;

pub use described::{CompoundType, EnumType, Field};
pub(super) use names::{NotADtype, parse, parse_shaped};

use std::fmt;

/// Type of one element. Numbers are little-endian in files that h5part creates. All elements have a fixed size, since
/// those of variable length have no fixed place to write to.
///
/// | here | in a file | numpy |
/// |---|---|---|
/// | numbers | IEEE floats, whole numbers | `float16` to `float64`, `int8` to `uint64` |
/// | [`Dtype::Bool`] | an enum over one byte, as h5py stores it | `bool` |
/// | [`Dtype::C64`], [`Dtype::C128`] | a compound of `r` and `i`, as h5py stores it | `complex64`, `complex128` |
/// | [`Dtype::Bytes`] | text of fixed length, ASCII | `S20` |
/// | [`Dtype::Text`] | text of fixed length, UTF-8 | `S20` that h5py decodes as UTF-8 |
/// | [`Dtype::Enum`] | an enum | the whole number below it |
/// | [`Dtype::Compound`] | a compound, as it lies | a structured type |
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Half precision.
    F16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Whole numbers of 8 bits.
    I8,
    /// Whole numbers of 16 bits.
    I16,
    /// Whole numbers of 32 bits.
    I32,
    /// Whole numbers of 64 bits.
    I64,
    /// Whole numbers of 8 bits, not negative.
    U8,
    /// Whole numbers of 16 bits, not negative.
    U16,
    /// Whole numbers of 32 bits, not negative.
    U32,
    /// Unsigned whole numbers of 8 bits.
    U64,
    /// False or true.
    Bool,
    /// Two of [`Dtype::F32`]: the real and the imaginary part.
    C64,
    /// Two of [`Dtype::F64`]: the real and the imaginary part.
    C128,
    /// Text, or any bytes: this many, padded with zeros.
    Bytes(u32),
    /// Text in UTF-8: this many bytes, padded with zeros.
    Text(u32),
    /// Named whole numbers.
    Enum(&'static EnumType),
    /// Fields of several types.
    Compound(&'static CompoundType),
}

use Dtype::{Bool, Bytes, C64, C128, Compound, Enum, F16, F32, F64, I8, I16, I32, I64, Text, U8, U16, U32, U64};

impl Dtype {
    /// All types without length, members or fields.
    pub const ALL: [Self; 14] = [F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool, F16, C64, C128];

    /// Bytes per element.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            I8 | U8 | Bool => 1,
            F16 | I16 | U16 => 2,
            F32 | I32 | U32 => 4,
            F64 | I64 | U64 | C64 => 8,
            C128 => 16,
            Bytes(n) | Text(n) => n as u64,
            Enum(kind) => kind.base.size(),
            Compound(kind) => kind.size,
        }
    }

    /// Bytes of the numbers that an element consists of, if those have a byte order.
    #[must_use]
    pub const fn word_bytes(self) -> u64 {
        match self {
            Bytes(_) | Text(_) | Compound(_) => 1,
            C64 | C128 => self.size() / 2,
            _ => self.size(),
        }
    }

    /// Whether its elements are whole numbers. Bool and enums do not count.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
    }

    /// Whether its elements are floats.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, F16 | F32 | F64)
    }

    /// Whether its elements are texts of fixed length.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Bytes(_) | Text(_))
    }

    /// The value of a row that is not there, unless the user gives another: NaN, 0, false, empty; zeros for a compound.
    #[must_use]
    pub fn default_fill(self) -> Vec<u8> {
        match self {
            F16 => half::f16::NAN.to_le_bytes().to_vec(),
            F32 => f32::NAN.to_le_bytes().to_vec(),
            F64 => f64::NAN.to_le_bytes().to_vec(),
            C64 => F32.default_fill().repeat(2),
            C128 => F64.default_fill().repeat(2),
            other => vec![0; usize::try_from(other.size()).unwrap_or(8)],
        }
    }

    /// Whether an element is NaN. A complex number is NaN if both parts are.
    #[must_use]
    pub fn is_nan(self, bytes: &[u8]) -> bool {
        match self {
            F16 | F32 | F64 => text::float(self, bytes).is_some_and(f64::is_nan),
            C64 | C128 => text::parts(self, bytes).iter().all(|part| part.is_nan()),
            _ => false,
        }
    }
}

impl fmt::Debug for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dtype({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_their_texts() {
        for (dtype, text, bytes) in [
            (F16, "1.5", &half::f16::from_f32(1.5).to_le_bytes()[..]),
            (F32, "1.5", &1.5f32.to_le_bytes()),
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
            (C64, "1.5-2j", &[1.5f32, -2.0].map(f32::to_le_bytes).concat()),
            (C128, "-1e-3+2.5e+5j", &[-1e-3f64, 2.5e5].map(f64::to_le_bytes).concat()),
            (C128, "inf-infj", &[f64::INFINITY, f64::NEG_INFINITY].map(f64::to_le_bytes).concat()),
            (C128, "2", &[2.0, 0.0f64].map(f64::to_le_bytes).concat()),
            (C128, "2j", &[0.0, 2.0f64].map(f64::to_le_bytes).concat()),
            (Bytes(4), "abc", b"abc\0"),
            (Bytes(4), " a\"b", b" a\"b"),
            (Text(4), "é ", "é \0".as_bytes()),
        ] {
            assert_eq!(dtype.parse_element(text).as_deref(), Some(bytes), "{dtype} {text}");
            let again = dtype.parse_element(&dtype.format_element(bytes));
            assert_eq!(again.as_deref(), Some(bytes), "{dtype} {text}: {}", dtype.format_element(bytes));
            assert_eq!((bytes.len() as u64, dtype.to_string().parse().ok()), (dtype.size(), Some(dtype)));
        }
        assert_eq!(["True", "1", "False", "0"].map(|t| Bool.parse_element(t)), [1, 1, 0, 0].map(|b| Some(vec![b])));
        for (dtype, text) in [
            (F32, "1e39"),
            (F64, "1e309"),
            (F64, "x"),
            (I8, "128"),
            (U8, "-1"),
            (I64, "1.5"),
            (Bool, "2"),
            (F16, "65536"),
            (C64, "1e39j"),
            (C128, "1+2"),
            (C128, "j1"),
            (Bytes(2), "abc"),
            (Text(3), "éé"),
        ] {
            assert_eq!(dtype.parse_element(text), None, "{dtype} {text}");
        }
    }

    #[test]
    fn what_is_not_a_number() {
        assert!(F64.is_nan(&f64::NAN.to_le_bytes()) && F32.is_nan(&f32::NAN.to_le_bytes()));
        assert!(!F64.is_nan(&1f64.to_le_bytes()) && !I64.is_nan(&f64::NAN.to_le_bytes()));
        for dtype in Dtype::ALL {
            let has_nan = matches!(dtype, F16 | F32 | F64 | C64 | C128);
            assert_eq!(dtype.is_nan(&dtype.default_fill()), has_nan, "{dtype}");
        }
    }
}

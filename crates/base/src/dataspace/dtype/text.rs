//! Elements as text, for the command line, for guards, and for the output of `read`.
//!
//! Numbers are written as Rust does. Texts are JSON strings, complex numbers lists of two, members of enums their
//! names, and compounds JSON objects. So a line with several elements can be parsed again.

use super::{Bool, Bytes, C64, C128, Compound, Dtype, Enum, F16, F32, F64, I8, I16, I32, I64, Text, U8, U16, U32, U64};
use super::{CompoundType, EnumType};
use half::f16;
use std::str::FromStr;

/// Key of the object that stands for bytes that are not text.
const HEX: &str = "hex";

impl Dtype {
    /// Parses one element to little-endian bytes. Compounds cannot be parsed.
    #[must_use]
    pub fn parse_element(self, text: &str) -> Option<Vec<u8>> {
        fn bytes<T: FromStr, const N: usize>(text: &str, to: fn(T) -> [u8; N]) -> Option<Vec<u8>> {
            text.parse().ok().map(|v| to(v).to_vec())
        }
        if self.is_text() {
            return parse_text(self, text);
        }
        let text = text.trim();
        match self {
            F16 | F32 | F64 => float_bytes(self, parse_float(self, text)?),
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
            C64 | C128 => complex_bytes(self, text),
            Enum(kind) => kind.parse(text),
            Bytes(_) | Text(_) | Compound(_) => None,
        }
    }

    /// A text padded with zeros, or for an enum the member with this name. `None`: the text is too long, since texts
    /// are never cut; or it is not a member; or the type is neither.
    #[must_use]
    pub fn element_of(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Bytes(_) | Text(_) => padded(self, text.as_bytes().to_vec()),
            Enum(kind) => kind.base.parse_element(&kind.value_of(text)?.to_string()),
            _ => None,
        }
    }

    /// Formats one element from its `size()` little-endian bytes.
    #[must_use]
    pub fn format_element(self, bytes: &[u8]) -> String {
        match self {
            F16 => format!("{:?}", f16::from_le_bytes(le(bytes))),
            F32 => format!("{:?}", f32::from_le_bytes(le(bytes))),
            F64 => format!("{:?}", f64::from_le_bytes(le(bytes))),
            other => other.to_json(bytes),
        }
    }

    /// The element as JSON, except for NaN, Infinity and -Infinity, which are written as Python's `json` does.
    #[must_use]
    pub fn to_json(self, bytes: &[u8]) -> String {
        match self {
            F16 => json_float(f16::from_le_bytes(le(bytes)), f16::to_f64),
            F32 => json_float(f32::from_le_bytes(le(bytes)), f64::from),
            F64 => json_float(f64::from_le_bytes(le(bytes)), |x| x),
            C64 | C128 => {
                let part = if self == C64 { F32 } else { F64 };
                let (re, im) = bytes.split_at(bytes.len() / 2);
                format!("[{},{}]", part.to_json(re), part.to_json(im))
            }
            Bool => (le::<1>(bytes) != [0]).to_string(),
            Bytes(_) | Text(_) => json_text(bytes),
            Enum(kind) => {
                let value = whole(kind.base, bytes).unwrap_or(0);
                kind.name_of(value).map_or_else(|| value.to_string(), quoted)
            }
            Compound(kind) => kind.to_json(bytes),
            _ => whole(self, bytes).unwrap_or(0).to_string(),
        }
    }
}

impl EnumType {
    /// Parses a name, quoted or not, or the number of a member.
    fn parse(&self, text: &str) -> Option<Vec<u8>> {
        let quoted: Option<String> = serde_json::from_str(text).ok();
        let name = quoted.as_deref().unwrap_or(text);
        let value = self.value_of(name).or_else(|| text.parse().ok().filter(|&value| self.name_of(value).is_some()))?;
        self.base.parse_element(&value.to_string())
    }
}

impl CompoundType {
    fn to_json(&self, bytes: &[u8]) -> String {
        let fields = self.fields.iter().map(|field| {
            let at = usize::try_from(field.offset).unwrap_or(usize::MAX);
            let len = field.bytes().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            let bytes = at.checked_add(len).and_then(|end| bytes.get(at..end)).unwrap_or_default();
            format!("{}:{}", quoted(&field.name), nested(field.dtype, &field.shape, bytes))
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

/// Nested lists of elements of this shape.
fn nested(dtype: Dtype, shape: &[u64], bytes: &[u8]) -> String {
    let Some((&n, inner)) = shape.split_first() else { return dtype.to_json(bytes) };
    let each = bytes.len() / usize::try_from(n).unwrap_or(1).max(1);
    let parts = bytes.chunks_exact(each.max(1)).map(|part| nested(dtype, inner, part));
    format!("[{}]", parts.collect::<Vec<_>>().join(","))
}

fn le<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let n = N.min(bytes.len());
    array[..n].copy_from_slice(&bytes[..n]);
    array
}

/// The value of a float.
pub(super) fn float(dtype: Dtype, bytes: &[u8]) -> Option<f64> {
    Some(match dtype {
        F16 => f16::from_le_bytes(le(bytes)).to_f64(),
        F32 => f64::from(f32::from_le_bytes(le(bytes))),
        F64 => f64::from_le_bytes(le(bytes)),
        _ => return None,
    })
}

/// Both parts of a complex number.
pub(super) fn parts(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let part = if dtype == C64 { F32 } else { F64 };
    let size = usize::try_from(part.size()).unwrap_or(8);
    bytes.chunks_exact(size).filter_map(|bytes| float(part, bytes)).collect()
}

/// The value of a whole number, or of a bool.
pub(super) fn whole(dtype: Dtype, bytes: &[u8]) -> Option<i128> {
    Some(match dtype {
        I8 => i8::from_le_bytes(le(bytes)).into(),
        I16 => i16::from_le_bytes(le(bytes)).into(),
        I32 => i32::from_le_bytes(le(bytes)).into(),
        I64 => i64::from_le_bytes(le(bytes)).into(),
        U8 | Bool => u8::from_le_bytes(le(bytes)).into(),
        U16 => u16::from_le_bytes(le(bytes)).into(),
        U32 => u32::from_le_bytes(le(bytes)).into(),
        U64 => u64::from_le_bytes(le(bytes)).into(),
        _ => return None,
    })
}

fn json_float<T: std::fmt::Debug + Copy>(value: T, to: fn(T) -> f64) -> String {
    match to(value) {
        x if x.is_nan() => "NaN".to_owned(),
        x if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        _ => format!("{value:?}"),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Drops trailing zeros. Bytes that are not UTF-8 become an object.
fn json_text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let bytes = bytes.get(..end).unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(bytes) {
        return quoted(text);
    }
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{\"{HEX}\":\"{}\"}}", hex.concat())
}

/// Parses a JSON string, an object for bytes, or plain text.
fn parse_text(dtype: Dtype, text: &str) -> Option<Vec<u8>> {
    let quoted = || text.starts_with('"').then(|| serde_json::from_str::<String>(text).ok()).flatten();
    let hex = || {
        let object: std::collections::BTreeMap<String, String> = serde_json::from_str(text).ok()?;
        let digits = object.get(HEX).filter(|digits| object.len() == 1 && digits.len().is_multiple_of(2))?;
        let byte = |k: usize| digits.get(k..k + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        (0..digits.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()
    };
    let hex = text.starts_with("{\"hex\"").then(hex).flatten().filter(|_| matches!(dtype, Bytes(_)));
    padded(dtype, hex.unwrap_or_else(|| quoted().map_or_else(|| text.into(), String::into_bytes)))
}

fn padded(dtype: Dtype, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let size = usize::try_from(dtype.size()).ok()?;
    if bytes.len() > size {
        return None;
    }
    bytes.resize(size, 0);
    Some(bytes)
}

fn parse_float(dtype: Dtype, text: &str) -> Option<f64> {
    // Parse directly to the final type: rounding twice may give another result.
    let value = match dtype {
        F32 => text.parse::<f32>().ok().map(f64::from)?,
        _ => text.parse::<f64>().ok()?,
    };
    // A finite number that the type cannot hold must not become infinity.
    let written = text.contains(|c: char| c.is_ascii_digit());
    (!(written && value.is_infinite())).then_some(value)
}

#[expect(clippy::cast_possible_truncation, reason = "what would be lost is looked at")]
fn float_bytes(dtype: Dtype, value: f64) -> Option<Vec<u8>> {
    let holds = |infinite: bool| value.is_infinite() || !infinite;
    match dtype {
        F16 => Some(f16::from_f64(value)).filter(|x| holds(x.is_infinite())).map(|x| x.to_le_bytes().to_vec()),
        F32 => Some(value as f32).filter(|x| holds(x.is_infinite())).map(|x| x.to_le_bytes().to_vec()),
        _ => Some(value.to_le_bytes().to_vec()),
    }
}

/// `1+2j`, `(1+2j)`, `2j`, `1`, `[1,2]`.
fn complex_bytes(dtype: Dtype, text: &str) -> Option<Vec<u8>> {
    let part = if dtype == C64 { F32 } else { F64 };
    let bytes = |re: &str, im: &str| {
        let (re, im) = (part.parse_element(re)?, part.parse_element(im)?);
        Some([re, im].concat())
    };
    if let Some(list) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let (re, im) = list.split_once(',')?;
        return bytes(re, im);
    }
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let Some(text) = text.strip_suffix(['j', 'i']) else { return bytes(text, "0") };
    // The sign between the parts is neither the first one nor part of an exponent.
    let signs = text.char_indices().skip(1).filter(|&(_, c)| c == '+' || c == '-');
    let between = signs.map(|(at, _)| at).filter(|&at| !text[..at].ends_with(['e', 'E'])).last();
    between.map_or_else(|| bytes("0", text), |at| bytes(&text[..at], &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_read_prints_is_json() {
        let state: Dtype = "enum(i16){idle=0,\"busy\"=-2}".parse().expect("reads");
        assert_eq!(state.format_element(&[254, 255]), r#""\"busy\"""#);
        assert_eq!(state.format_element(&[7, 0]), "7");
        for text in ["idle", "\"idle\"", "0"] {
            assert_eq!(state.parse_element(text), Some(vec![0, 0]), "{text}");
        }
        assert!(state.parse_element("7").is_none() && state.parse_element("bored").is_none());
        let bytes = [b"ab\xff\0\0".as_slice(), &1f32.to_le_bytes(), &f32::NAN.to_le_bytes(), &[1]].concat();
        let record: Dtype = "{s:S5,z:f32:2,on:bool}".parse().expect("reads");
        assert_eq!(record.format_element(&bytes), r#"{"s":{"hex":"6162ff"},"z":[1.0,NaN],"on":true}"#);
        assert_eq!(Bytes(5).parse_element(r#"{"hex":"6162ff"}"#), Some(b"ab\xff\0\0".to_vec()));
        assert_eq!(Bytes(3).format_element(b"a\0b"), r#""a\u0000b""#);
        assert_eq!(C64.format_element(&[1f32, f32::INFINITY].map(f32::to_le_bytes).concat()), "[1.0,Infinity]");
        assert_eq!(C64.parse_element("[1.0,Infinity]"), C64.parse_element("1+infj"));
        assert!(record.parse_element("{}").is_none());
    }
}

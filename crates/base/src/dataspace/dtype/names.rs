//! Names of types: h5part's own, which count bits, and those of numpy.

use super::{Bool, Bytes, C64, C128, Compound, Dtype, Enum, F16, F32, F64, I8, I16, I32, I64, Text, U8, U16, U32, U64};
use crate::dataspace::shape_text;
use crate::error::ErrorKind;
use std::fmt::{self, Write};
use std::str::FromStr;

/// Longest text of a new column, in bytes. The fill value must fit into the object header of the dataset.
const LONGEST: u32 = 32 << 10;
/// How many members or fields a short name lists.
const NAMED: usize = 4;

/// Why a text does not name a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataspace) struct NotADtype {
    pub(in crate::dataspace) reason: String,
    /// The kind of type, if numpy knows it as one of variable length.
    pub(in crate::dataspace) variable: Option<&'static str>,
}

impl NotADtype {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), variable: None }
    }
}

impl From<ErrorKind> for NotADtype {
    fn from(kind: ErrorKind) -> Self {
        Self::because(kind.to_string())
    }
}

impl FromStr for Dtype {
    type Err = ErrorKind;

    /// Parses h5part's names and numpy's: `f64`, `float64`, `<f8`, `S20`, `<U20`, `enum(u8){idle=0,busy=1}`,
    /// `{x:f64,y:f32:3}`. Without a byte order `i8` and `u8` have 8 bits; with one, as in `<i8`, they are numpy's and
    /// have 8 bytes.
    fn from_str(text: &str) -> Result<Self, ErrorKind> {
        parse(text).map_err(|e| ErrorKind::BadRequest(format!("no such type: '{text}' ({})", e.reason)))
    }
}

/// Parses a name.
pub(in crate::dataspace) fn parse(text: &str) -> Result<Dtype, NotADtype> {
    let text = text.trim();
    if let Some(dtype) = plain(text).or_else(|| code(text)) {
        return Ok(dtype);
    }
    if let Some(fields) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return parse_fields(fields);
    }
    if let Some((base, members)) = text.strip_prefix("enum(").and_then(|rest| rest.split_once(')')) {
        return parse_members(base, members);
    }
    let (order, kind) = text.split_at(text.chars().next().filter(|c| "<>=|".contains(*c)).map_or(0, char::len_utf8));
    if let Some(found) = sized(kind) {
        return found.map_err(NotADtype::because);
    }
    if !order.is_empty()
        && let Some(dtype) = code(kind).or(match kind {
            "i8" => Some(I64),
            "u8" => Some(U64),
            _ => None,
        })
    {
        if order == ">" && dtype.size() > 1 {
            return Err(NotADtype::because(format!("new columns are little-endian: '<{kind}'")));
        }
        return Ok(dtype);
    }
    Err(NotADtype { reason: unknown(kind).to_owned(), variable: variable(kind) })
}

/// Names of plain types.
fn plain(text: &str) -> Option<Dtype> {
    Some(match text {
        "f16" | "float16" | "half" => F16,
        "f32" | "float32" | "single" => F32,
        "f64" | "float64" | "double" | "float" => F64,
        "i8" | "int8" => I8,
        "i16" | "int16" => I16,
        "i32" | "int32" => I32,
        "i64" | "int64" | "int" => I64,
        "u8" | "uint8" => U8,
        "u16" | "uint16" => U16,
        "u32" | "uint32" => U32,
        "u64" | "uint64" | "uint" => U64,
        "bool" | "bool_" => Bool,
        "c64" | "complex64" => C64,
        "c128" | "complex128" | "complex" => C128,
        _ => return None,
    })
}

/// numpy's codes, which count bytes, except those that are also h5part's names.
fn code(text: &str) -> Option<Dtype> {
    Some(match text {
        "f2" => F16,
        "f4" => F32,
        "f8" => F64,
        "i1" => I8,
        "i2" => I16,
        "i4" => I32,
        "u1" => U8,
        "u2" => U16,
        "u4" => U32,
        "b1" | "?" => Bool,
        "c8" => C64,
        "c16" => C128,
        _ => return None,
    })
}

/// Texts of fixed length: `S20` and `a20` of bytes, `T20` of bytes in UTF-8, `U20` of code points.
fn sized(text: &str) -> Option<Result<Dtype, String>> {
    let (kind, length) = text.split_at_checked(1)?;
    if !matches!(kind, "S" | "a" | "T" | "U") || length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let bytes = length.parse::<u32>().ok().and_then(|n| n.checked_mul(if kind == "U" { 4 } else { 1 }));
    Some(match bytes {
        Some(n @ 1..=LONGEST) if matches!(kind, "S" | "a") => Ok(Bytes(n)),
        Some(n @ 1..=LONGEST) => Ok(Text(n)),
        _ => Err(format!("a text must have 1 to {LONGEST} bytes, four per code point of 'U'")),
    })
}

fn variable(text: &str) -> Option<&'static str> {
    match text {
        "S" | "bytes" | "bytes_" | "a" => Some("bytes of variable length"),
        "U" | "T" | "str" | "str_" | "string" | "StringDType" => Some("text of variable length"),
        "O" | "object" | "object_" => Some("object"),
        "vlen" => Some("list of variable length"),
        _ => None,
    }
}

fn unknown(text: &str) -> &'static str {
    if variable(text).is_some() {
        return "its elements have a variable length";
    }
    if text.starts_with(['M', 'm']) || text.starts_with("datetime64") || text.starts_with("timedelta64") {
        return "times are stored as int64, with their unit in an attribute";
    }
    if matches!(text, "longdouble" | "float128" | "g" | "clongdouble" | "complex256" | "G" | "c32") {
        return "floats have at most 64 bits";
    }
    "types are f16 to f64, i8 to i64, u8 to u64, bool, c64, c128, S20, T20, <U20, enum(u8){a=0,b=1}, {x:f64,y:f64:3}, \
     and numpy's names of them"
}

fn parse_members(base: &str, members: &str) -> Result<Dtype, NotADtype> {
    let inner = members.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or_else(|| NotADtype::because("an enum is written enum(u8){idle=0,busy=1}"))?;
    let member = |text: &str| {
        let (name, value) = text.rsplit_once('=')?;
        Some((name.trim().to_owned(), value.trim().parse().ok()?))
    };
    let members: Option<Vec<(String, i128)>> = inner.split(',').map(member).collect();
    let members = members.ok_or_else(|| NotADtype::because("members of an enum are written name=number"))?;
    Ok(Dtype::enumeration(parse(base)?, members)?)
}

fn parse_fields(text: &str) -> Result<Dtype, NotADtype> {
    let fields = split_outside(text).into_iter().map(|field| {
        let (name, kind) =
            field.split_once(':').ok_or_else(|| NotADtype::because("fields of a compound are written name:type"))?;
        let (dtype, shape) = parse_shaped(kind)?;
        Ok((name.trim().to_owned(), dtype, shape))
    });
    Ok(Dtype::packed(fields.collect::<Result<_, NotADtype>>()?)?)
}

/// Parses `DTYPE[:SHAPE]`.
pub(in crate::dataspace) fn parse_shaped(text: &str) -> Result<(Dtype, Vec<u64>), NotADtype> {
    let whole = parse(text);
    if whole.is_ok() {
        return whole.map(|dtype| (dtype, Vec::new()));
    }
    let Some((kind, shape)) = text.rsplit_once(':') else { return whole.map(|dtype| (dtype, Vec::new())) };
    let axes: Option<Vec<u64>> = shape.trim().split('x').map(|n| n.parse().ok().filter(|&n| n > 0)).collect();
    let axes = axes.ok_or_else(|| NotADtype::because(format!("'{shape}' is not a shape such as 100x3")))?;
    Ok((parse(kind)?, axes))
}

/// Splits at commas outside of braces.
fn split_outside(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

impl Dtype {
    /// Its name for people. Long lists of members or fields are shortened.
    #[must_use]
    pub fn short_name(self) -> String {
        self.name(NAMED)
    }

    fn name(self, most: usize) -> String {
        match self {
            F16 => "f16".to_owned(),
            F32 => "f32".to_owned(),
            F64 => "f64".to_owned(),
            I8 => "i8".to_owned(),
            I16 => "i16".to_owned(),
            I32 => "i32".to_owned(),
            I64 => "i64".to_owned(),
            U8 => "u8".to_owned(),
            U16 => "u16".to_owned(),
            U32 => "u32".to_owned(),
            U64 => "u64".to_owned(),
            Bool => "bool".to_owned(),
            C64 => "c64".to_owned(),
            C128 => "c128".to_owned(),
            Bytes(n) => format!("S{n}"),
            Text(n) => format!("T{n}"),
            Enum(kind) => {
                let members = kind.members().iter().map(|(name, value)| format!("{name}={value}"));
                format!("enum({}){{{}}}", kind.base(), listed(members, most))
            }
            Compound(kind) => {
                let mut next = 0;
                let fields = kind.fields().iter().map(|field| {
                    // The offset of a field is shown only if it does not follow the field before.
                    let gap = if field.offset == next { String::new() } else { format!("@{}", field.offset) };
                    next = field.offset + field.bytes().unwrap_or(0);
                    let mut text = format!("{}{gap}:{}", field.name, field.dtype.name(most));
                    if !field.shape.is_empty() {
                        let _ = write!(text, ":{}", shape_text(&field.shape));
                    }
                    text
                });
                let fields = listed(fields, most);
                let padding = if next == kind.size() { String::new() } else { format!(" in {} bytes", kind.size()) };
                format!("{{{fields}}}{padding}")
            }
        }
    }
}

fn listed(texts: impl ExactSizeIterator<Item = String>, most: usize) -> String {
    let more = texts.len().saturating_sub(most);
    let mut listed: Vec<String> = texts.take(most).collect();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed.join(",")
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_kinds() {
        for (text, dtype) in [
            ("float64", F64),
            ("<f8", F64),
            ("=f8", F64),
            ("f8", F64),
            ("float", F64),
            ("double", F64),
            ("half", F16),
            ("f2", F16),
            ("f16", F16),
            ("i8", I8),
            ("<i8", I64),
            ("=i8", I64),
            ("|i1", I8),
            ("i4", I32),
            ("int", I64),
            ("u8", U8),
            ("<u8", U64),
            ("uint", U64),
            ("bool", Bool),
            ("bool_", Bool),
            ("?", Bool),
            ("|b1", Bool),
            ("complex", C128),
            ("complex64", C64),
            ("c8", C64),
            ("<c16", C128),
            ("c128", C128),
            ("S20", Bytes(20)),
            ("|S20", Bytes(20)),
            (">S20", Bytes(20)),
            ("a20", Bytes(20)),
            ("T20", Text(20)),
            ("<U20", Text(80)),
            ("U1", Text(4)),
            // It is stored as UTF-8, which has no byte order.
            (">U1", Text(4)),
            (">i1", I8),
        ] {
            assert_eq!(parse(text), Ok(dtype), "{text}");
        }
        for dtype in Dtype::ALL {
            assert_eq!(parse(&dtype.to_string()), Ok(dtype));
        }
    }

    #[test]
    fn what_is_not_a_type_and_why() {
        for (text, reason) in [
            ("", "types are"),
            ("f63", "types are"),
            ("<f64", "types are"),
            (">f8", "'<f8'"),
            ("S0", "32768"),
            ("U8193", "32768"),
            ("S99999999999", "32768"),
            ("str", "variable length"),
            ("O", "variable length"),
            ("<M8[ns]", "int64"),
            ("float128", "64 bits"),
            ("enum(u8)", "is written"),
            ("enum(u8){a}", "name=number"),
            ("enum(u8){a=256}", "cannot hold"),
            ("{x}", "name:type"),
            ("{x:f64:0}", "shape"),
            ("{x:f64,x:f64}", "twice"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.reason.contains(reason), "{text}: {}", error.reason);
        }
        assert_eq!(parse("object").expect_err("variable").variable, Some("object"));
    }

    #[test]
    fn descriptions_are_read_and_written() {
        for text in ["enum(u8){idle=0,busy=1}", "enum(i16){a b=-3,é=7}", "{x:f64,y:f32:3,z:{re:i8,s:S4:2x2}}"] {
            assert_eq!(parse(text).expect("reads").to_string(), text);
        }
        assert_eq!(
            parse("{x:float64, e:enum(i1){a=0,b=1}}").expect("reads").to_string(),
            "{x:f64,e:enum(i8){a=0,b=1}}"
        );
        let many = parse("enum(u8){a=0,b=1,c=2,d=3,e=4,f=5}").expect("reads");
        assert_eq!(many.short_name(), "enum(u8){a=0,b=1,c=2,d=3,and 2 more}");
        let field =
            |name: &str, offset, dtype| super::super::Field { name: name.to_owned(), offset, dtype, shape: vec![] };
        let padded = Dtype::compound(24, vec![field("a", 0, U8), field("b", 8, F64)]).expect("fits");
        assert_eq!(padded.to_string(), "{a:u8,b@8:f64} in 24 bytes");
    }
}

//! Requests of `h5part update --stream`: commits as JSON lines. This module opens no files.

use crate::npy::cast;
use h5part_base::dataspace::{Column, CompoundType, Dtype, Rows, shape_text};
use h5part_base::error::{ErrorKind, Misfit, RowsFault};
use h5part_base::num::to_usize;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

/// Below 2^53 each whole number has a float of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One line, parsed as far as possible without a table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A number, a list of numbers, or a SPEC. Front ends have other words for rows.
    #[serde(alias = "frames")]
    rows: Value,
    #[serde(deserialize_with = "each_once")]
    set: BTreeMap<String, Value>,
    /// Returned with the answer.
    #[serde(default)]
    pub id: Option<Value>,
}

/// The rows of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection<'r> {
    /// By their numbers.
    Rows(Rows),
    /// A text that can be parsed only with the table.
    Spec(&'r str),
}

/// The source of a column's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueSource<'r> {
    /// In the `.npy` file at this path.
    Npy(&'r str),
    /// A text: see [`ValueSource::of`].
    Text(&'r Value),
    /// In the request itself; see [`elements`].
    Inline(&'r Value),
}

impl ValueSource<'_> {
    /// Interprets a text for this column: it is a value of a column of texts or of an enum, else the path of a `.npy`
    /// file.
    #[must_use]
    pub fn of(self, column: &Column) -> Self {
        match (self, &column.dtype) {
            (Self::Text(value), Ok(Dtype::Bytes(_) | Dtype::Text(_) | Dtype::Enum(_))) => Self::Inline(value),
            (Self::Text(value), _) => value.as_str().map_or(Self::Inline(value), Self::Npy),
            (other, _) => other,
        }
    }
}

/// Little-endian bytes of values with a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements {
    /// Type of an element.
    pub dtype: Dtype,
    /// Shape, rows first. A single row may omit its axis.
    pub shape: Vec<u64>,
    /// As many bytes as type and shape say.
    pub bytes: Vec<u8>,
}

impl Request {
    /// Parses a line. `NaN`, `Infinity` and `-Infinity`, which Python's `json.dumps` writes, count as numbers.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`].
    pub fn parse(line: &[u8]) -> Result<Self, ErrorKind> {
        let plain = serde_json::from_slice(line);
        let python = || with_python_floats(line).and_then(|line| serde_json::from_slice(&line).ok());
        plain.or_else(|e| python().ok_or(e)).map_err(|e| {
            let allowed = "a number, a list of numbers, null or NaN, Infinity, or the path of a .npy file";
            ErrorKind::BadRequest(format!("{e}; values of a column are {allowed}"))
        })
    }

    /// Whether a line announces the end: `{"end": true}`.
    #[must_use]
    pub fn is_end(line: &[u8]) -> bool {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct End {
            end: bool,
        }
        // Requests are longer, so they are not parsed twice.
        line.len() < 64 && serde_json::from_slice(line).is_ok_and(|end: End| end.end)
    }

    /// The rows. Whether they exist and are named once is not checked here.
    ///
    /// # Errors
    /// [`ErrorKind::BadRows`].
    pub fn rows(&self) -> Result<Selection<'_>, ErrorKind> {
        Ok(match &self.rows {
            Value::String(spec) => Selection::Spec(spec),
            Value::Array(list) => {
                Selection::Rows(Rows::list(&list.iter().map(row_number).collect::<Result<Vec<_>, _>>()?))
            }
            row => Selection::Rows(Rows::one(row_number(row)?)),
        })
    }

    /// Each column with its values.
    pub fn set(&self) -> impl Iterator<Item = (&str, ValueSource<'_>)> {
        self.set.iter().map(|(name, value)| {
            let source = match value {
                Value::String(_) => ValueSource::Text(value),
                inline => npy_path(inline).map_or(ValueSource::Inline(inline), ValueSource::Npy),
            };
            (name.as_str(), source)
        })
    }
}

/// `{"npy": PATH}`: a file, even for a column of texts.
fn npy_path(value: &Value) -> Option<&str> {
    value.as_object().filter(|object| object.len() == 1)?.get("npy")?.as_str()
}

/// Floats that JSON cannot express, as Python's `json` writes them, in search order.
const PYTHON_FLOATS: [(&[u8], f64); 3] =
    [(b"NaN", f64::NAN), (b"-Infinity", f64::NEG_INFINITY), (b"Infinity", f64::INFINITY)];
/// Key of the object that stands for such a float.
const FLOAT: &str = "\0float";

/// Replaces such floats outside of texts by objects. `None`: there are none.
fn with_python_floats(line: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut at, mut in_text, mut found) = (Vec::with_capacity(line.len()), 0, false, false);
    while let Some(&byte) = line.get(at) {
        let float = PYTHON_FLOATS.iter().position(|(word, _)| !in_text && line[at..].starts_with(word));
        if let Some(float) = float {
            out.extend(format!(r#"{{"\u0000float":{float}}}"#).into_bytes());
            (at, found) = (at + PYTHON_FLOATS[float].0.len(), true);
            continue;
        }
        out.push(byte);
        at += 1;
        if in_text && byte == b'\\' {
            out.extend(line.get(at));
            at += 1;
        } else if byte == b'"' {
            in_text = !in_text;
        }
    }
    found.then_some(out)
}

/// The float that an object stands for, if it does.
fn python_float(value: &Value) -> Option<f64> {
    let index = value.as_object().filter(|object| object.len() == 1)?.get(FLOAT)?.as_u64()?;
    PYTHON_FLOATS.get(usize::try_from(index).ok()?).map(|(_, float)| *float)
}

/// Parses a map and refuses duplicate names, since neither of two values for one column would be the right one.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
    struct EachOnce;
    impl<'de> Visitor<'de> for EachOnce {
        type Value = BTreeMap<String, Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("columns with their values")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = access.next_entry::<String, Value>()? {
                match map.entry(name) {
                    Entry::Vacant(place) => place.insert(value),
                    Entry::Occupied(other) => {
                        return Err(A::Error::custom(format_args!("column '{}' is set twice", other.key())));
                    }
                };
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(EachOnce)
}

fn row_number(value: &Value) -> Result<u64, ErrorKind> {
    let reason = "rows must be a number of at least 0, a list of them, or a text such as 0:10";
    value.as_u64().ok_or_else(|| ErrorKind::BadRows(RowsFault::Unreadable { text: value.to_string(), reason }))
}

/// Values of `column` for this many rows: elements, or nested lists of them. Numbers are JSON numbers, and null stands
/// for NaN. Texts, and members of an enum, are strings. Complex numbers are lists of two. Compounds are objects with
/// all of their fields.
///
/// # Errors
/// [`ErrorKind::UnsupportedColumn`], [`ErrorKind::BadValues`].
pub fn elements(value: &Value, column: &Column, rows: u64) -> Result<Elements, ErrorKind> {
    let dtype = column.dtype()?;
    let mut shape: Vec<u64> = [rows].into_iter().chain(column.shape.iter().copied()).collect();
    // A single row may omit its axis.
    let below = usize::from(is_complex(dtype) && ends_in_pairs(value, shape.len()));
    if rows == 1 && depth(value) == column.shape.len() + below {
        shape.remove(0);
    }
    let mut bytes = Vec::new();
    let misfit = |found| {
        ErrorKind::BadValues(Misfit::Shape {
            column: column.name.clone(),
            expected: format!("{} of {}", shape_text(&shape), dtype.short_name()),
            found,
        })
    };
    flatten(value, &shape, dtype, &mut bytes).map_err(misfit)?;
    Ok(Elements { dtype, shape, bytes })
}

fn is_complex(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::C64 | Dtype::C128)
}

/// Whether the innermost lists are complex numbers: there are at least as many axes above them as a single row without
/// its own axis has.
fn ends_in_pairs(value: &Value, axes: usize) -> bool {
    depth(value) >= axes && innermost(value).is_some_and(|list| list.len() == 2)
}

fn innermost(value: &Value) -> Option<&Vec<Value>> {
    let items = value.as_array()?;
    items.first().and_then(innermost).or(Some(items))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.first().map_or(0, depth),
        _ => 0,
    }
}

fn flatten(value: &Value, shape: &[u64], dtype: Dtype, out: &mut Vec<u8>) -> Result<(), String> {
    match (value, shape.split_first()) {
        (Value::Array(items), Some((&n, inner))) if items.len() as u64 == n => {
            items.iter().try_for_each(|item| flatten(item, inner, dtype, out))
        }
        (Value::Array(items), None) if is_complex(dtype) && items.len() == 2 => {
            let part = if dtype == Dtype::C64 { Dtype::F32 } else { Dtype::F64 };
            items.iter().try_for_each(|item| scalar(item, part, out))
        }
        (Value::Array(items), _) => Err(format!("a list of {}", items.len())),
        (scalar, Some(_)) => Err(scalar.to_string()),
        (Value::Object(fields), None) if python_float(value).is_none() => match dtype {
            Dtype::Compound(kind) => compound(fields, kind, out),
            _ => scalar(value, dtype, out),
        },
        (value, None) => scalar(value, dtype, out),
    }
}

/// Parses an object with all fields.
fn compound(fields: &Map<String, Value>, kind: &CompoundType, out: &mut Vec<u8>) -> Result<(), String> {
    let mut element = vec![0; to_usize(kind.size())];
    if let Some(unknown) = fields.keys().find(|name| kind.fields().iter().all(|field| field.name != **name)) {
        return Err(format!("a field '{unknown}'"));
    }
    for field in kind.fields() {
        let value = fields.get(&field.name).ok_or_else(|| format!("no field '{}'", field.name))?;
        let mut bytes = Vec::new();
        let in_field = |found| format!("field '{}': {found}", field.name);
        flatten(value, &field.shape, field.dtype, &mut bytes).map_err(in_field)?;
        let at = to_usize(field.offset);
        let place = element.get_mut(at..at + bytes.len()).ok_or_else(|| in_field("of another size".to_owned()))?;
        place.copy_from_slice(&bytes);
    }
    out.extend(element);
    Ok(())
}

fn scalar(value: &Value, dtype: Dtype, out: &mut Vec<u8>) -> Result<(), String> {
    let bytes = match value {
        Value::Null if dtype.is_float() || is_complex(dtype) => Some(dtype.default_fill()),
        Value::Number(_) | Value::Bool(_) if !dtype.is_text() => {
            let text = value.to_string();
            // 3.0 counts as a whole number, too.
            let float = || value.as_f64().filter(|x| x.abs() < EXACT && !dtype.is_float() && !is_complex(dtype));
            let whole = || cast(Dtype::F64, dtype, &float()?.to_le_bytes());
            dtype.parse_element(&text).or_else(whole)
        }
        Value::String(text) => match dtype {
            Dtype::C64 | Dtype::C128 => dtype.parse_element(text),
            _ => dtype.element_of(text),
        },
        Value::Object(_) if matches!(dtype, Dtype::Bytes(_)) && value.get("hex").is_some() => {
            dtype.parse_element(&value.to_string())
        }
        other => {
            let float = python_float(other);
            let bytes = float.filter(|_| dtype.is_float() || is_complex(dtype));
            let Some(bytes) = bytes else { return Err(float.map_or_else(|| other.to_string(), |x| x.to_string())) };
            cast(Dtype::F64, dtype, &bytes.to_le_bytes())
        }
    };
    out.extend(bytes.ok_or_else(|| value.to_string())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(dtype: Dtype, shape: &[u64]) -> Column {
        Column {
            name: "E".to_owned(),
            dtype: Ok(dtype),
            shape: shape.to_vec(),
            fill: dtype.default_fill(),
            chunk: None,
            layout: Err("not looked at".to_owned()),
            filters: None,
            big_endian: false,
            terminated: Vec::new(),
            frozen: None,
            stamp: None,
        }
    }

    /// The values of E for this many rows.
    fn inline(text: &str, dtype: Dtype, shape: &[u64], rows: u64) -> Result<Elements, ErrorKind> {
        let request = Request::parse(format!(r#"{{"rows": 0, "set": {{"E": {text}}}}}"#).as_bytes())?;
        let mut set = request.set();
        let column = column(dtype, shape);
        let Some(("E", ValueSource::Inline(value))) = set.next().map(|(name, source)| (name, source.of(&column)))
        else {
            panic!("{text} is not inline")
        };
        elements(value, &column, rows)
    }

    #[test]
    fn reads_rows_and_sources() {
        let request = Request::parse(br#"{"id": [1], "rows": [3, 4, 2], "set": {"E": "e.npy", "F": [1]}}"#);
        let request = request.expect("reads");
        assert_eq!(request.rows().expect("rows"), Selection::Rows(Rows::list(&[3, 4, 2])));
        let sources: Vec<_> = request
            .set()
            .map(|(name, source)| (name, source.of(&column(Dtype::F64, &[])) == ValueSource::Npy("e.npy")))
            .collect();
        assert_eq!((sources, &request.id), (vec![("E", true), ("F", false)], &Some(Value::from(vec![1]))));
        let request = Request::parse(br#"{"rows": "0:10", "set": {}}"#).expect("reads");
        assert_eq!((request.rows().expect("rows"), &request.id), (Selection::Spec("0:10"), &None));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for line in ["", "1", "{}", r#"{"rows": 1}"#, r#"{"rows": 1, "set": []}"#, r#"{"rows": 1, "set": {}, "x": 1}"#]
        {
            assert!(matches!(Request::parse(line.as_bytes()), Err(ErrorKind::BadRequest(_))), "{line}");
        }
        for rows in ["-1", "1.0", "[1, null]", "true", "{}"] {
            let request = Request::parse(format!(r#"{{"rows": {rows}, "set": {{}}}}"#).as_bytes()).expect("reads");
            assert!(matches!(request.rows(), Err(ErrorKind::BadRows(RowsFault::Unreadable { .. }))), "{rows}");
        }
    }

    #[test]
    fn values_have_the_shape_of_their_rows() {
        let scalars = inline("[1.5, null]", Dtype::F64, &[], 2).expect("fits");
        assert_eq!((scalars.shape, &scalars.bytes[..8]), (vec![2], &1.5f64.to_le_bytes()[..]));
        assert_eq!(inline("[[1, 2]]", Dtype::I8, &[2], 1).expect("fits").shape, [1, 2]);
        assert_eq!(inline("[1, 2]", Dtype::I8, &[2], 1).expect("fits").shape, [2]);
        assert_eq!(inline("[true, false, 1, 0.0]", Dtype::Bool, &[], 4).expect("fits").bytes, [1, 0, 1, 0]);
        for (text, dtype, shape, rows) in [
            ("1", Dtype::F64, &[][..], 2),
            ("[1, 2, 3]", Dtype::F64, &[], 2),
            ("[[1], [2, 3]]", Dtype::F64, &[1], 2),
            ("[1, [2]]", Dtype::F64, &[2], 1),
            ("[1, {}]", Dtype::F64, &[], 2),
            ("[1, null]", Dtype::I64, &[], 2),
            ("1.5", Dtype::I64, &[], 1),
            ("300", Dtype::U8, &[], 1),
            ("1e39", Dtype::F32, &[], 1),
        ] {
            assert!(
                matches!(inline(text, dtype, shape, rows), Err(ErrorKind::BadValues(Misfit::Shape { .. }))),
                "{text}"
            );
        }
    }

    #[test]
    fn floats_as_python_writes_them() {
        let values = inline("[NaN, Infinity, -Infinity, 1.5]", Dtype::F64, &[], 4).expect("fits").bytes;
        let want = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5].map(f64::to_le_bytes).concat();
        assert_eq!(values, want);
        assert_eq!(inline("-Infinity", Dtype::F32, &[], 1).expect("fits").bytes, f32::NEG_INFINITY.to_le_bytes());
        assert!(matches!(
            inline("NaN", Dtype::I64, &[], 1),
            Err(ErrorKind::BadValues(Misfit::Shape { found, .. })) if found == "NaN"
        ));
        // Within texts they stay text.
        let request = Request::parse(br#"{"rows": 0, "set": {"a \" NaN": "Infinity.npy", "E": NaN}}"#).expect("reads");
        let names: Vec<_> = request
            .set()
            .map(|(name, source)| {
                (name.to_owned(), source.of(&column(Dtype::F64, &[])) == ValueSource::Npy("Infinity.npy"))
            })
            .collect();
        assert_eq!(names, [("E".to_owned(), false), ("a \" NaN".to_owned(), true)]);
        assert!(
            matches!(Request::parse(br#"{"rows": 0, "set": {"E": nan}}"#), Err(ErrorKind::BadRequest(e)) if e.contains("null"))
        );
    }

    fn dtype(text: &str) -> Dtype {
        text.parse().expect("reads")
    }

    #[test]
    fn texts_enums_and_complex_numbers() {
        assert_eq!(inline(r#"["a", ""]"#, dtype("S3"), &[], 2).expect("fits").bytes, b"a\0\0\0\0\0");
        assert_eq!(inline(r#""a.npy""#, dtype("T6"), &[], 1).expect("fits").bytes, b"a.npy\0");
        assert_eq!(inline(r#"{"hex": "ff"}"#, dtype("S2"), &[], 1).expect("fits").bytes, b"\xff\0");
        let state = dtype("enum(u8){idle=3,busy=4}");
        assert_eq!(inline(r#"["idle", 4, 3.0]"#, state, &[], 3).expect("fits").bytes, [3, 4, 3]);
        let pair = |re: f64, im: f64| [re, im].map(f64::to_le_bytes).concat();
        for (text, shape, rows, want) in [
            ("[1.5, -2]", &[][..], 1, pair(1.5, -2.0)),
            ("[[1.5, -2]]", &[], 1, pair(1.5, -2.0)),
            ("[1, 2]", &[], 2, [pair(1.0, 0.0), pair(2.0, 0.0)].concat()),
            ("[[1, 2], [NaN, Infinity]]", &[], 2, [pair(1.0, 2.0), pair(f64::NAN, f64::INFINITY)].concat()),
            ("[[1, 2], [3, 4]]", &[2], 1, [pair(1.0, 2.0), pair(3.0, 4.0)].concat()),
            (r#"["1+2j", null]"#, &[], 2, [pair(1.0, 2.0), pair(f64::NAN, f64::NAN)].concat()),
        ] {
            assert_eq!(inline(text, Dtype::C128, shape, rows).expect(text).bytes, want, "{text}");
        }
        assert_eq!(inline("[0.5, NaN]", Dtype::F16, &[], 2).expect("fits").bytes[..2], [0, 0x38]);
        for (text, dtype) in [
            (r#""abcd""#, dtype("S3")),
            ("1", dtype("S3")),
            (r#"{"hex": "f"}"#, dtype("S3")),
            (r#"{"hex": "ff"}"#, dtype("T3")),
            (r#""bored""#, state),
            ("5", state),
            ("null", state),
            ("[1, 2, 3]", Dtype::C128),
            ("65536", Dtype::F16),
        ] {
            assert!(matches!(inline(text, dtype, &[], 1), Err(ErrorKind::BadValues(Misfit::Shape { .. }))), "{text}");
        }
    }

    #[test]
    fn compounds_are_objects_of_all_fields() {
        let record = dtype("{x:u8,y:u16:2,in:{s:S2}}");
        let found = inline(r#"[{"x": 1, "y": [2, 3], "in": {"s": "a"}}]"#, record, &[], 1).expect("fits");
        assert_eq!(found.bytes, [1, 2, 0, 3, 0, b'a', 0]);
        for text in [
            r#"{"x": 1, "y": [2, 3]}"#,
            r#"{"x": 1, "y": [2], "in": {"s": "a"}}"#,
            r#"{"x": 1, "y": [2, 3], "in": {"s": "a"}, "z": 1}"#,
            r#"{"x": 1, "y": [2, 3], "in": {"s": "abc"}}"#,
            "1",
        ] {
            assert!(matches!(inline(text, record, &[], 1), Err(ErrorKind::BadValues(Misfit::Shape { .. }))), "{text}");
        }
    }

    #[test]
    fn the_end_is_a_line_of_its_own() {
        assert!(Request::is_end(br#"{"end": true}"#) && Request::is_end(b" {\"end\":true}\r"));
        for line in [r#"{"end": false}"#, "", r#"{"end": true, "rows": 1}"#, r#"{"rows": 0, "set": {"end": true}}"#] {
            assert!(!Request::is_end(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn no_column_and_no_field_is_given_twice() {
        for line in [
            r#"{"rows": 0, "set": {"E": 1, "E": 2}}"#,
            r#"{"rows": 0, "set": {"E": 1, "\u0045": 2}}"#,
            r#"{"rows": 0, "rows": 1, "set": {"E": 1}}"#,
            r#"{"rows": 0, "set": {"E": 1}, "set": {"F": 1}}"#,
            r#"{"rows": 0, "set": {"E": 1}, "id": 1, "id": 1}"#,
        ] {
            assert!(matches!(Request::parse(line.as_bytes()), Err(ErrorKind::BadRequest(_))), "{line}");
        }
        let error = Request::parse(br#"{"rows": 0, "set": {"E": 1, "E": 2}}"#).expect_err("twice");
        assert!(error.to_string().contains("column 'E' is set twice"), "{error}");
    }

    /// A float represents whole numbers exactly up to 2^53. Beyond, it may be the neighbour of the number that was
    /// written.
    #[test]
    fn whole_numbers_arrive_exactly_or_not() {
        for text in ["-9223372036854775809", "9007199254740993.0", "9007199254740993e0", "18446744073709551616"] {
            for dtype in [Dtype::I64, Dtype::U64] {
                assert!(inline(text, dtype, &[], 1).is_err(), "{text} as {dtype}");
            }
        }
        for (text, value) in [("9007199254740991.0", (1 << 53) - 1), ("-9223372036854775808", i64::MIN), ("-3e2", -300)]
        {
            assert_eq!(inline(text, Dtype::I64, &[], 1).expect("fits").bytes, value.to_le_bytes(), "{text}");
        }
    }
}

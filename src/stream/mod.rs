//! Requests as JSON lines: what `h5part update --stream` reads, without any file.

mod values;

pub use values::from_json;

use crate::dataspace::Rows;
use crate::error::ErrorKind;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;

/// One line: values of some columns for some rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A number, a list of numbers, or a SPEC.
    rows: Value,
    /// By column: numbers, or the path of a `.npy` file.
    pub set: Set,
    /// Given back with the answer.
    #[serde(default)]
    pub id: Option<Value>,
}

/// Values by the name of their column, in the order of the line. No name comes twice.
#[derive(Debug, Default)]
pub struct Set(pub Vec<(String, Value)>);

impl Request {
    /// Reads a line.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`].
    pub fn parse(line: &[u8]) -> Result<Self, ErrorKind> {
        serde_json::from_slice(line).map_err(|e| ErrorKind::BadRequest(e.to_string()))
    }

    /// Its rows, in a table of so many. They may be out of range: see [`Rows::check`].
    ///
    /// # Errors
    /// [`ErrorKind::BadRows`], [`ErrorKind::RowOutOfRange`].
    pub fn rows(&self, table_rows: u64) -> Result<Rows, ErrorKind> {
        match &self.rows {
            Value::String(spec) => Rows::parse(spec, table_rows),
            Value::Array(list) => Ok(Rows::list(&list.iter().map(number).collect::<Result<Vec<_>, _>>()?)),
            row => Ok(Rows::one(number(row)?)),
        }
    }

    /// The file of row numbers that it names in place of rows, with an `@` before it.
    #[must_use]
    pub fn rows_file(&self) -> Option<&str> {
        self.rows.as_str()?.strip_prefix('@')
    }
}

fn number(value: &Value) -> Result<u64, ErrorKind> {
    let reason = "rows are a number from 0 on, a list of them, or a text such as 0:10";
    value.as_u64().ok_or(ErrorKind::BadRows { text: value.to_string(), reason })
}

impl<'de> Deserialize<'de> for Set {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SetVisitor)
    }
}

struct SetVisitor;

impl<'de> Visitor<'de> for SetVisitor {
    type Value = Set;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of values by column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Set, A::Error> {
        let mut set: Vec<(String, Value)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            // Which of the two was meant?
            if set.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("column '{name}' is set twice")));
            }
            set.push((name, value));
        }
        Ok(Set(set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused() {
        let request = Request::parse(br#"{"rows": [3, 1], "set": {"b": 1, "a": [2]}, "id": "x"}"#).expect("reads");
        assert_eq!(request.rows(10).expect("rows"), Rows::list(&[3, 1]));
        assert_eq!(request.set.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let rows = |text: &str| Request::parse(format!(r#"{{"rows": {text}, "set": {{}}}}"#).as_bytes())?.rows(10);
        assert_eq!(rows("7").expect("rows"), Rows::one(7));
        assert_eq!(rows("\"2:4\"").expect("rows"), Rows::range(2..4));
        for bad in ["-1", "1.5", "null", "[1, \"2\"]", "\"2:x\"", "{}"] {
            rows(bad).expect_err(bad);
        }
        for bad in
            ["", "[]", "{", r#"{"rows": 1}"#, r#"{"rows": 1, "set": {}, "other": 1}"#, r#"{"rows": 1, "set": []}"#]
        {
            Request::parse(bad.as_bytes()).expect_err(bad);
        }
        let twice = Request::parse(br#"{"rows": 1, "set": {"s": 1, "s": 2}}"#).expect_err("twice");
        assert!(twice.to_string().contains("'s' is set twice"), "{twice}");
    }
}

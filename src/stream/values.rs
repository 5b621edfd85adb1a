//! Values in JSON.

use crate::dataspace::Dtype;
use crate::npy::cast;
use serde_json::Value;

/// Little-endian bytes of a number, or of nested lists of numbers, of this shape: (rows, cell...). A single
/// row may come without its own axis. `null` stands for NaN.
///
/// # Errors
/// What was found instead, as text.
pub fn from_json(dtype: Dtype, shape: &[u64], value: &Value) -> Result<Vec<u8>, String> {
    let of_one_row = shape.first() == Some(&1) && depth(value) + 1 == shape.len();
    let mut bytes = Vec::new();
    flatten(value, &shape[usize::from(of_one_row)..], dtype, &mut bytes)?;
    Ok(bytes)
}

fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64)
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
        (Value::Array(items), _) => Err(format!("a list of {}", items.len())),
        (scalar, Some(_)) => Err(scalar.to_string()),
        (Value::Null, None) if is_float(dtype) => {
            out.extend(dtype.default_fill());
            Ok(())
        }
        (Value::Number(_) | Value::Bool(_), None) => {
            let text = value.to_string();
            // 3.0 is a whole number, too.
            let whole = || cast(Dtype::F64, dtype, &value.as_f64()?.to_le_bytes()).filter(|_| !is_float(dtype));
            out.extend(dtype.parse_element(&text).or_else(whole).ok_or(text)?);
            Ok(())
        }
        (other, None) => Err(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shapes_and_types_fit_or_are_told() {
        let f64s = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        assert_eq!(from_json(Dtype::F64, &[1], &json!(1.5)), Ok(f64s(&[1.5])));
        assert_eq!(from_json(Dtype::F64, &[1, 2], &json!([1, 2])), Ok(f64s(&[1.0, 2.0])));
        assert_eq!(from_json(Dtype::F64, &[1, 2], &json!([[1, 2]])), Ok(f64s(&[1.0, 2.0])));
        assert_eq!(from_json(Dtype::F64, &[2, 1], &json!([[1], [2]])), Ok(f64s(&[1.0, 2.0])));
        assert!(from_json(Dtype::F64, &[1], &json!(null)).expect("NaN").ends_with(&[0xF8, 0x7F]));
        assert_eq!(from_json(Dtype::I64, &[1], &json!(3.0)), Ok(3i64.to_le_bytes().to_vec()));
        for (dtype, shape, value) in [
            (Dtype::F64, &[2][..], json!(1)),
            (Dtype::F64, &[2], json!([1])),
            (Dtype::F64, &[1], json!([[1]])),
            (Dtype::F64, &[1], json!("1")),
            (Dtype::I64, &[1], json!(1.5)),
            (Dtype::I64, &[1], json!(null)),
            (Dtype::U8, &[1], json!(256)),
            (Dtype::F64, &[1, 2], json!([[1], [2]])),
        ] {
            from_json(dtype, shape, &value).expect_err(&value.to_string());
        }
    }
}

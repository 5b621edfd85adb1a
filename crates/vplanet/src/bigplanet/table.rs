//! Filtered data as a table for VR Ulysses: one column per key. The first line holds the keys after an empty field.

use crate::vplanet::Trial;
use h5part_engine::store::Content;

/// Formats the table. Shorter columns end with empty fields.
#[must_use]
pub fn format(filtered: &Trial) -> String {
    let columns: Vec<Vec<String>> = filtered.datasets().iter().map(|set| fields(&set.content)).collect();
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for set in filtered.datasets() {
        text.extend([",", quoted(&set.name).as_str()]);
    }
    text.push('\n');
    for row in 0..rows {
        let fields: Vec<&str> = columns.iter().map(|column| column.get(row).map_or("", String::as_str)).collect();
        text.extend([fields.join(",").as_str(), "\n"]);
    }
    text
}

fn fields(content: &Content) -> Vec<String> {
    match content {
        Content::Texts { values, .. } => values.iter().map(|value| quoted(value)).collect(),
        Content::Floats { values, .. } => values.iter().map(|value| number(*value)).collect(),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A number as Python prints it.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vplanet::Dataset;

    #[test]
    fn numbers_as_python_prints_them() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.936_669e33, "1.936669e+33"),
            (1e-300, "1e-300"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_of_different_length() {
        let mut filtered = Trial::new(String::new());
        let content = Content::Floats { shape: vec![1, 2], values: vec![1.5, 2.0] };
        filtered.push(Dataset { name: "e:T:forward".to_owned(), units: "K".to_owned(), content }).expect("fits");
        let content = Content::Texts { shape: vec![1], values: vec!["a, b".to_owned()] };
        filtered.push(Dataset { name: "e:x:option".to_owned(), units: "nd".to_owned(), content }).expect("fits");
        assert_eq!(format(&filtered), ",e:T:forward,e:x:option\n1.5,\"a, b\"\n2.0,\n");
    }
}

//! Lines of `update --stream`: values have the shape that they are said to have, and arrive exactly or not.
#![no_main]

use arbitrary::Arbitrary;
use h5part_base::dataspace::{Column, Dtype};
use h5part_input::stream::{Elements, Request, Selection, ValueSource, elements};
use h5part_fuzz::peak;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// A line for a table all of whose columns are alike.
    Line { dtype: u8, shape: Vec<u8>, spec_rows: u8, line: &'a [u8] },
    /// `"set": {"x": NUMBER}`
    Number { dtype: u8, negative: bool, whole: u128, fraction: Option<(u8, u32)>, exponent: Option<i8> },
    /// `"set": {A: 1, B: 1}`, characters escaped where bits are set.
    Names { a: &'a str, b: &'a str, escaped: u32 },
}

fn column(dtype: u8, shape: &[u64]) -> Column {
    let dtype = Dtype::ALL[usize::from(dtype) % Dtype::ALL.len()];
    Column {
        name: "x".to_owned(),
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

fn line(column: &Column, spec_rows: u64, line: &[u8]) {
    let Ok(request) = Request::parse(line) else { return };
    let rows = match request.rows() {
        Ok(Selection::Rows(rows)) => rows.len(),
        Ok(Selection::Spec(_)) => spec_rows,
        Err(_) => return,
    };
    let full: Vec<u64> = [rows].into_iter().chain(column.shape.iter().copied()).collect();
    for (_, source) in request.set() {
        let ValueSource::Inline(value) = source.of(column) else { continue };
        let (found, most) = peak(|| elements(value, column, rows));
        assert!(most < 4096 + 64 * line.len(), "{most} bytes of memory for a line of {}", line.len());
        if let Ok(Elements { dtype, shape, bytes }) = found {
            assert_eq!(Ok(dtype), column.dtype);
            assert!(shape == full || rows == 1 && shape == column.shape, "{shape:?} for {full:?}");
            assert_eq!(bytes.len() as u64, shape.iter().product::<u64>() * dtype.size());
        }
    }
}

/// The whole number that decimal digits and a power of ten stand for, if it is one of 128 bits.
fn exact(negative: bool, digits: &str, mut power: i32) -> Option<i128> {
    let mut digits = digits.trim_start_matches('0').to_owned();
    while power < 0 && digits.ends_with('0') {
        digits.pop();
        power += 1;
    }
    if digits.is_empty() {
        return Some(0);
    }
    let scale = 10i128.checked_pow(u32::try_from(power).ok()?)?;
    let value = digits.parse::<i128>().ok()?.checked_mul(scale)?;
    Some(if negative { -value } else { value })
}

/// Little-endian bytes of a whole number, if it is one of this type.
fn whole_bytes(value: i128, dtype: Dtype) -> Option<Vec<u8>> {
    dtype.parse_element(&value.to_string())
}

fn number(dtype: u8, negative: bool, whole: u128, fraction: Option<(u8, u32)>, exponent: Option<i8>) {
    let sign = if negative { "-" } else { "" };
    let fraction = fraction.map(|(zeros, rest)| format!("{}{rest}", "0".repeat(usize::from(zeros % 20))));
    let point = fraction.as_ref().map_or(String::new(), |digits| format!(".{digits}"));
    let power = exponent.map_or(String::new(), |power| format!("e{power}"));
    let text = format!("{sign}{whole}{point}{power}");
    let column = column(dtype, &[]);
    let dtype = column.dtype.clone().expect("known");
    let Ok(request) = Request::parse(format!(r#"{{"rows": 0, "set": {{"x": {text}}}}}"#).as_bytes()) else {
        // Beyond the largest float.
        assert!(text.parse::<f64>().is_ok_and(f64::is_infinite), "{text} was not read");
        return;
    };
    let Some((_, ValueSource::Inline(value))) = request.set().next() else { panic!("{text} is no value") };
    let found = elements(value, &column, 1).ok().map(|elements| elements.bytes);
    if dtype == Dtype::F64 {
        assert_eq!(found, text.parse::<f64>().ok().map(|x| x.to_le_bytes().to_vec()), "{text}");
    }
    if !dtype.is_whole() && dtype != Dtype::Bool {
        return;
    }
    let digits = format!("{whole}{}", fraction.clone().unwrap_or_default());
    let shift = fraction.as_ref().map_or(0, |digits| i32::try_from(digits.len()).expect("short"));
    let expected = exact(negative, &digits, i32::from(exponent.unwrap_or(0)) - shift);
    let plain = fraction.is_none() && exponent.is_none();
    // A fraction that no float tells from none is dropped, as every reader of JSON does.
    let nearest =
        || text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && x.abs() < 2f64.powi(53)).map(|x| x as i128);
    let expected = expected.or_else(|| nearest().filter(|_| !plain)).and_then(|value| whole_bytes(value, dtype));
    assert!(found == expected || found.is_none() && !plain, "{text} as {dtype} became {found:?}");
}

fn quoted(name: &str, escaped: u32) -> String {
    let mut out = String::from('"');
    for (k, unit) in name.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() && escaped >> (k % 32) & 1 == 0 => out.push(byte.into()),
            _ => out += &format!("\\u{unit:04x}"),
        }
    }
    out + "\""
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Line { dtype, shape, spec_rows, line: text } => {
            let shape: Vec<u64> = shape.iter().take(4).map(|&n| u64::from(n % 4) + 1).collect();
            line(&column(dtype, &shape), spec_rows.into(), text);
        }
        Input::Number { dtype, negative, whole, fraction, exponent } => {
            number(dtype, negative, whole, fraction, exponent);
        }
        Input::Names { a, b, escaped } => {
            let text = format!(r#"{{"rows": 0, "set": {{{}: 1, {}: 1}}}}"#, quoted(a, escaped), quoted(b, !escaped));
            assert_eq!(Request::parse(text.as_bytes()).is_ok(), a != b, "{text}");
        }
    }
});

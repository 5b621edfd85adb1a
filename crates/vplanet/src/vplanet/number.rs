//! Parses numbers as pandas does, which is how they get into an archive of `BigPlanet`. At most 17 digits count, and a
//! power of ten scales them, so the last bit may differ from that of the nearest number.

use std::sync::LazyLock;

const DIGITS: u32 = 17;
const LARGEST: i32 = 308;

static POWERS: LazyLock<Vec<f64>> =
    LazyLock::new(|| (0..=LARGEST).map(|k| format!("1e{k}").parse().unwrap_or(f64::INFINITY)).collect());

/// Parses a word. `None`: it is not a number.
pub fn parse(word: &[u8]) -> Option<f64> {
    finite(word).or_else(|| special(word))
}

fn special(word: &[u8]) -> Option<f64> {
    let (negative, rest) = signed(word);
    let is = |names: &[&str]| names.iter().any(|name| rest.eq_ignore_ascii_case(name.as_bytes()));
    if is(&["inf", "infinity"]) {
        Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
    } else {
        is(&["nan"]).then_some(f64::NAN)
    }
}

fn finite(word: &[u8]) -> Option<f64> {
    let (negative, word) = signed(word);
    let (mut number, mut digits, mut exponent, mut at) = (0.0, 0, 0i32, 0);
    let mut point = false;
    while let Some(&byte) = word.get(at) {
        match byte {
            b'0'..=b'9' if digits < DIGITS => {
                number = number * 10.0 + f64::from(byte - b'0');
                digits += 1;
                exponent -= i32::from(point);
            }
            b'0'..=b'9' => exponent = exponent.saturating_add(i32::from(!point)),
            b'.' if !point => point = true,
            _ => break,
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    let number = if negative { -number } else { number };
    match word.get(at..)? {
        [] => scaled(number, exponent),
        [b'e' | b'E', rest @ ..] => scaled(number, exponent.saturating_add(whole(rest)?)),
        _ => None,
    }
}

fn signed(word: &[u8]) -> (bool, &[u8]) {
    match word {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, word),
    }
}

fn whole(word: &[u8]) -> Option<i32> {
    let (negative, digits) = signed(word);
    if digits.is_empty() {
        return None;
    }
    let mut n = 0i32;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| i32::from(byte - b'0'))?;
        n = n.saturating_mul(10).saturating_add(digit);
    }
    Some(if negative { -n } else { n })
}

fn power(k: i32) -> f64 {
    usize::try_from(k).ok().and_then(|k| POWERS.get(k).copied()).unwrap_or(f64::INFINITY)
}

fn scaled(number: f64, exponent: i32) -> Option<f64> {
    let scaled = match exponent {
        0.. => number * power(exponent),
        _ if exponent >= -LARGEST => number / power(-exponent),
        // This takes two steps, since the power itself would be infinite.
        _ => number / power(exponent.saturating_neg() - LARGEST) / power(LARGEST),
    };
    scaled.is_finite().then_some(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_pandas_reads_them() {
        let bits = |word: &str| parse(word.as_bytes()).map(f64::to_bits);
        for (word, value) in [
            ("0.000000", 0.0),
            ("-1.5", -1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("+3E2", 300.0),
            ("1e-320", 1e-320),
            ("4.9e-324", 5e-324),
            ("1e-400", 0.0),
            ("-inf", f64::NEG_INFINITY),
            // Seventeen digits count, including a leading zero.
            ("0.1234567890123456789", 0.123_456_789_012_345_6),
            ("12345678901234567890", 1.234_567_890_123_456_7e19),
        ] {
            assert_eq!(bits(word), Some(value.to_bits()), "{word}");
        }
        assert!(parse(b"-nan").expect("a number").is_nan());
        for word in ["", "-", ".", "1e", "1.5e+", "1_0", "1d5", "1e400", "0e400", "x", "1.2.3", "e5"] {
            assert_eq!(bits(word), None, "{word}");
        }
    }
}

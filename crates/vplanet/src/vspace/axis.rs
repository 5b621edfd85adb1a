//! An option that varies, with its values.

use super::input::{bad_line, shown, words};
use h5part_base::error::ErrorKind;

/// Most values of an axis. More are likely to be a typo.
const MOST: f64 = 1e8;

/// An option that varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The option.
    pub option: Vec<u8>,
    /// Its abbreviation in the names of trials.
    pub prefix: Vec<u8>,
    /// Its values, in order.
    pub values: Vec<f64>,
}

/// How values are distributed between two ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spread {
    /// From the first value on, at this distance.
    Step(f64),
    /// This many values at equal distances.
    Linear(u64),
    /// This many values at equal ratios.
    Log(u64),
}

impl Axis {
    /// Parses `option [first, last, spread] prefix`. `None`: the line does not vary an option.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadText`], with the line's number.
    pub fn parse(number: usize, line: &[u8]) -> Result<Option<Self>, ErrorKind> {
        if !line.contains(&b'[') {
            return Ok(None);
        }
        let bad = |what: String| bad_line(number, what);
        let option = words(line).next().unwrap_or_default().to_vec();
        let parts: Vec<&[u8]> = line.split(|byte| matches!(byte, b'[' | b']')).collect();
        let [_, range, prefix] = parts.as_slice() else {
            return Err(bad(format!("'{}' is not of the form OPTION [FIRST, LAST, SPACING] PREFIX", shown(line))));
        };
        let mut prefix = words(prefix);
        let (first, more) = (prefix.next().unwrap_or_default(), prefix.next());
        if more.is_some() || first.contains(&b'/') {
            return Err(bad(format!(
                "the prefix of '{}' must be one word, and part of a folder's name",
                shown(&option)
            )));
        }
        let range = String::from_utf8_lossy(range);
        let parts: Vec<&str> = range.split(',').map(str::trim).collect();
        let &[start, end, spread] = parts.as_slice() else {
            return Err(bad(format!("'{}' has {} values in brackets, but needs three", shown(&option), parts.len())));
        };
        let numbers = (value(start), value(end));
        let spread = Spread::parse(spread).map_err(&bad)?;
        let (Some(start), Some(end)) = numbers else {
            return Err(bad(format!("'{start}' and '{end}' must be numbers")));
        };
        let values = spread.values(start, end).map_err(bad)?;
        Ok(Some(Self { option, prefix: first.to_vec(), values }))
    }

    /// The text for a value in names of trials.
    #[must_use]
    pub fn name_of(&self, value: f64) -> Vec<u8> {
        // Equal values have the same name, that of the first one.
        #[expect(clippy::float_cmp, reason = "the same value is looked for")]
        let index = self.values.iter().position(|&each| each == value).unwrap_or(0);
        let width = (self.values.len().max(1) - 1).to_string().len();
        let mut name = self.prefix.clone();
        name.extend(format!("{index:0width$}").into_bytes());
        name
    }
}

fn value(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

impl Spread {
    fn parse(text: &str) -> Result<Self, String> {
        let count = |text: &str| {
            let count = value(text).filter(|n| n.fract() == 0.0 && (1.0..=MOST).contains(n));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number within limits")]
            count.map(|n| n as u64).ok_or_else(|| format!("'{text}' is not a number of points"))
        };
        match text.chars().next() {
            Some('n') => count(&text[1..]).map(Self::Linear),
            Some('l') => count(&text[1..]).map(Self::Log),
            Some('u' | 't' | 's' | 'c' | 'g' | 'G' | 'p') => Err(format!(
                "'{text}' draws random values, which only vspace itself supports: use vspace for this file"
            )),
            _ => {
                let step = value(text).filter(|&step| step != 0.0);
                step.map(Self::Step).ok_or_else(|| format!("'{text}' is not a spacing: expected a number, nN or lN"))
            }
        }
    }

    fn values(self, start: f64, end: f64) -> Result<Vec<f64>, String> {
        match self {
            Self::Step(step) if start > end && step > 0.0 => {
                Err(format!("the step from {start} to {end} must be positive: {step}"))
            }
            Self::Step(step) => steps(start, end + step, step),
            Self::Linear(count) => Ok(linear(start, end, count)),
            Self::Log(count) => {
                let sign = if start < 0.0 { -1.0 } else { 1.0 };
                if start * sign <= 0.0 || end * sign <= 0.0 {
                    return Err(format!("{start} and {end} must have the same sign, and not be 0, for equal ratios"));
                }
                let exponents = linear((start * sign).log10(), (end * sign).log10(), count);
                Ok(exponents.into_iter().map(|exponent| sign * 10f64.powf(exponent)).collect())
            }
        }
    }
}

/// Values from `start` on, below `end`, with the rounding of `numpy.arange`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "checked")]
fn steps(start: f64, end: f64, step: f64) -> Result<Vec<f64>, String> {
    let count = ((end - start) / step).ceil();
    if !(1.0..=MOST).contains(&count) {
        return Err(format!("steps of {step} do not make a grid from {start} on"));
    }
    let step = (start + step) - start;
    Ok((0..count as u64).map(|k| start + k as f64 * step).collect())
}

/// This many values from `start` to `end`, with the rounding of `numpy.linspace`.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn linear(start: f64, end: f64, count: u64) -> Vec<f64> {
    let (delta, parts) = (end - start, count.saturating_sub(1) as f64);
    let step = delta / parts;
    let offset = |k: f64| match step {
        _ if parts == 0.0 => k * delta,
        0.0 => k / parts * delta,
        step => k * step,
    };
    let mut values: Vec<f64> = (0..count).map(|k| offset(k as f64) + start).collect();
    if let (Some(last), true) = (values.last_mut(), count > 1) {
        *last = end;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(line: &str) -> Axis {
        Axis::parse(7, line.as_bytes()).expect("parses").expect("varies")
    }

    fn refused(line: &str) -> String {
        Axis::parse(7, line.as_bytes()).expect_err("is refused").to_string()
    }

    #[test]
    fn values_are_those_of_numpy() {
        // numpy.arange(0, 0.3 + 0.1, 0.1), linspace(0, 1, 4), -logspace(0, 2, 3)
        assert_eq!(axis("d [0, 0.3, 0.1] a").values, [0.0, 0.1, 0.2, 0.300_000_000_000_000_04]);
        assert_eq!(axis("d [0,1,n4] a").values, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
        assert_eq!(axis("d [-1, -100, l3]\ta\n").values, [-1.0, -10.0, -100.0]);
        assert_eq!(axis("d [3, 1, -1] a").values, [3.0, 2.0, 1.0]);
        assert_eq!(axis("d [5, 6, n1] a").values, [5.0]);
        assert_eq!(axis("d [5, 5, n2] a").values, [5.0, 5.0]);
    }

    #[test]
    fn names_are_padded_and_equal_values_share_one() {
        let many = axis("d [0, 10, n11] a");
        assert_eq!((many.name_of(0.0), many.name_of(10.0)), (b"a00".to_vec(), b"a10".to_vec()));
        let few = axis("d [0, 9, n10]");
        assert_eq!(few.name_of(9.0), b"9");
        assert_eq!(axis("d [5, 5, n2] a").name_of(5.0), b"a0");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        assert_eq!(Axis::parse(1, b"d 3").expect("parses"), None);
        assert!(
            refused("d [1, 2, u] a").contains("line 7: 'u' draws random values, which only vspace itself supports")
        );
        assert!(refused("d [prior.npy, npy, p, 1] a").contains("has 4 values in brackets"));
        assert!(refused("d [1, 2] a").contains("has 2 values"));
        assert!(refused("d [1, 2, n3 a").contains("is not of the form"));
        assert!(refused("d [1, 2, n3] a b").contains("one word"));
        assert!(refused("d [1, 2, n0] a").contains("not a number of points"));
        assert!(refused("d [1, 2, nan] a").contains("'an' is not a number of points"));
        assert!(refused("d [1, 2, 0] a").contains("is not a spacing"));
        assert!(refused("d [1, 2, ] a").contains("is not a spacing"));
        assert!(refused("d [2, 1, 1] a").contains("must be positive"));
        assert!(refused("d [1, 2, -0.5] a").contains("do not make a grid"));
        assert!(refused("d [x, 2, n3] a").contains("must be numbers"));
        assert!(refused("d [-1, 2, l3] a").contains("same sign"));
    }
}

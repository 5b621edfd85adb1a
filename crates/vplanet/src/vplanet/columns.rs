//! Output with numbers in columns: `<system>.<body>.forward`, `.backward`, `.Climate`.

use super::number;
use h5part_base::error::ErrorKind;

/// The columns of an output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// From left to right, all of equal length.
    pub columns: Vec<Vec<f64>>,
}

impl Columns {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// Reads an output.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadText`]: it is empty, a line has more or fewer columns than the first, the last line has
    /// no end, or a word is not a number.
    pub fn parse(bytes: &[u8]) -> Result<Self, ErrorKind> {
        let mut columns: Vec<Vec<f64>> = Vec::new();
        let whole = bytes.is_empty() || bytes.ends_with(b"\n");
        let lines = bytes.split(|&byte| byte == b'\n');
        let count = lines.clone().count() - 1;
        let mut first = None;
        for (number, line) in (1..).zip(lines) {
            let bad = |what: String| ErrorKind::from(crate::ErrorKind::BadText { line: number, what });
            let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let mut here = 0;
            for word in words {
                let value = number::parse(word);
                let value = value.ok_or_else(|| bad(format!("'{}' is not a number", String::from_utf8_lossy(word))))?;
                if first.is_none() {
                    columns.push(Vec::with_capacity(count));
                }
                let most = columns.len();
                let column = columns.get_mut(here).ok_or_else(|| bad(format!("it has more than {most} columns")))?;
                column.push(value);
                here += 1;
            }
            if here > 0 && *first.get_or_insert(here) != here {
                let end = if whole { "" } else { ": the file was cut" };
                return Err(bad(format!("it has {here} columns, but the first line has {}{end}", columns.len())));
            }
            if here > 0 && number > count as u64 {
                return Err(bad("the line has no end: the file was cut".to_owned()));
            }
        }
        if columns.is_empty() {
            return Err(crate::ErrorKind::BadText { line: 0, what: "it is empty".to_owned() }.into());
        }
        Ok(Self { columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_from_the_left() {
        let read = Columns::parse(b"0.000000 1.5e+03 \n\n1.0\t-2\n").expect("two columns");
        assert_eq!((read.columns.as_slice(), read.rows()), ([vec![0.0, 1.0], vec![1500.0, -2.0]].as_slice(), 2));
    }

    #[test]
    fn what_was_cut_is_refused_wherever_that_was() {
        let whole = b"0.0 1.5e+33 7\n1.0 2.5e+33 8\n";
        for len in 0..whole.len() {
            let at_an_end = len == 14;
            assert_eq!(Columns::parse(&whole[..len]).is_ok(), at_an_end, "{len} bytes");
        }
        let said = |bytes: &[u8]| Columns::parse(bytes).expect_err("is bad").to_string();
        assert_eq!(said(b"1 2\n3 4 5\n"), "line 2: it has more than 2 columns");
        assert_eq!(said(b"1 2\n3\n4 5\n"), "line 2: it has 1 columns, but the first line has 2");
        assert_eq!(said(b"1 2\n3 x\n"), "line 2: 'x' is not a number");
        assert_eq!(said(b"1 2\n3 4"), "line 2: the line has no end: the file was cut");
    }
}

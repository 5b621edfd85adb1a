//! Conversions to [`Rows`] from a number, a range, or a list.
//!
//! Row numbers are only `u64`: with more integer types, Rust could not infer the type of `20..30`.

use super::Rows;
use std::ops::{Range, RangeInclusive};

impl From<u64> for Rows {
    /// One row.
    fn from(row: u64) -> Self {
        Self::one(row)
    }
}

impl From<Range<u64>> for Rows {
    /// The rows `start..end`. There are none if `end` is not larger.
    fn from(range: Range<u64>) -> Self {
        Self::range(range)
    }
}

impl From<RangeInclusive<u64>> for Rows {
    /// The rows `start..=end`. There are none if `end` is smaller.
    fn from(range: RangeInclusive<u64>) -> Self {
        let (start, end) = (*range.start(), *range.end());
        match end.checked_add(1) {
            _ if range.is_empty() => Self::range(0..0),
            Some(end) => Self::range(start..end),
            // The largest `u64` is out of range in every table. It is kept, so that the error is noticed.
            None => Self::list(&[start, end]),
        }
    }
}

impl From<&[u64]> for Rows {
    /// These rows, in this order.
    fn from(rows: &[u64]) -> Self {
        Self::list(rows)
    }
}

impl<const N: usize> From<[u64; N]> for Rows {
    /// These rows, in this order.
    fn from(rows: [u64; N]) -> Self {
        Self::list(&rows)
    }
}

impl<const N: usize> From<&[u64; N]> for Rows {
    /// These rows, in this order.
    fn from(rows: &[u64; N]) -> Self {
        Self::list(rows)
    }
}

impl From<Vec<u64>> for Rows {
    /// These rows, in this order.
    fn from(rows: Vec<u64>) -> Self {
        Self::list(&rows)
    }
}

impl From<&Vec<u64>> for Rows {
    /// These rows, in this order.
    fn from(rows: &Vec<u64>) -> Self {
        Self::list(rows)
    }
}

impl FromIterator<u64> for Rows {
    /// These rows, in this order.
    fn from_iter<I: IntoIterator<Item = u64>>(rows: I) -> Self {
        Self::list(&rows.into_iter().collect::<Vec<_>>())
    }
}

impl<const N: usize> From<[Range<u64>; N]> for Rows {
    /// Several ranges, one after the other.
    fn from(ranges: [Range<u64>; N]) -> Self {
        Self::ranges(ranges)
    }
}

impl From<&[Range<u64>]> for Rows {
    /// Several ranges, one after the other.
    fn from(ranges: &[Range<u64>]) -> Self {
        Self::ranges(ranges.iter().cloned())
    }
}

impl From<Vec<Range<u64>>> for Rows {
    /// Several ranges, one after the other.
    fn from(ranges: Vec<Range<u64>>) -> Self {
        Self::ranges(ranges)
    }
}

impl FromIterator<Range<u64>> for Rows {
    /// Several ranges, one after the other.
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        Self::ranges(ranges)
    }
}

impl From<&Self> for Rows {
    fn from(rows: &Self) -> Self {
        rows.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rows: impl Into<Rows>) -> String {
        rows.into().to_string()
    }

    #[test]
    fn every_form_names_the_same_rows() {
        let list = vec![7, 3, 4];
        assert_eq!(text(7), "7");
        assert_eq!((text(3..5), text(3..=4), text(3..3)), ("3:5".to_owned(), "3:5".to_owned(), String::new()));
        let array = &[7, 3, 4];
        assert_eq!((text(*array), text(array)), ("7,3:5".to_owned(), "7,3:5".to_owned()));
        assert_eq!(
            (text(&list[..]), text(&list), text(list.clone())),
            ("7,3:5".into(), "7,3:5".into(), "7,3:5".into())
        );
        assert_eq!(text(list.into_iter().collect::<Rows>()), "7,3:5");
        assert_eq!((text([7..8, 3..5]), text(vec![7..8, 3..5])), ("7,3:5".to_owned(), "7,3:5".to_owned()));
        let (ranges, row) = ([7..8, 3..5], Rows::one(2));
        assert_eq!((text(&ranges[..]), text(&row)), ("7,3:5".to_owned(), "2".to_owned()));
        assert_eq!([7..8, 3..5].into_iter().collect::<Rows>().to_string(), "7,3:5");
    }

    #[test]
    fn the_last_number_is_a_row_out_of_range_and_not_lost() {
        for rows in [Rows::from(u64::MAX..=u64::MAX), Rows::from(0..=u64::MAX)] {
            assert!(rows.check(100).is_err() && !rows.is_empty());
        }
        assert!(Rows::from(RangeInclusive::new(5, 3)).is_empty());
    }
}

//! Row selections: what the user gives, and the sorted runs that the engine works on.

use crate::error::{ErrorKind, RowsFault};
use std::fmt;

/// Some rows of a table in the order in which the user gave them: value `i` belongs to row `i` of this list, however
/// scattered or unsorted it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    spans: Vec<Span>,
    len: u64,
}

/// `count` rows from `start`, `step` apart (`step >= 1`, `count >= 1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) step: u64,
    pub(super) count: u64,
}

/// Neighbouring rows whose values are neighbours too: row `row + k` has value `index + k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First row.
    pub row: u64,
    /// Number of rows.
    pub count: u64,
    /// Position of the first row's value among the values given.
    pub index: u64,
}

impl Run {
    /// First row after the run.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.row + self.count
    }
}

/// A selection sorted by row, without duplicates. Neighbouring rows whose values are neighbours, too, are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    runs: Vec<Run>,
    len: u64,
}

impl Rows {
    /// One row.
    #[must_use]
    pub fn one(row: u64) -> Self {
        Self { spans: vec![Span { start: row, step: 1, count: 1 }], len: 1 }
    }

    /// The rows `start..end`.
    #[must_use]
    pub fn range(range: std::ops::Range<u64>) -> Self {
        let count = range.end.saturating_sub(range.start);
        let spans = if count == 0 { vec![] } else { vec![Span { start: range.start, step: 1, count }] };
        Self { spans, len: count }
    }

    /// Several ranges, one after the other. Empty ones are dropped.
    #[must_use]
    pub fn ranges(ranges: impl IntoIterator<Item = std::ops::Range<u64>>) -> Self {
        let span = |r: std::ops::Range<u64>| Span { start: r.start, step: 1, count: r.end - r.start };
        let spans: Vec<Span> = ranges.into_iter().filter(|r| r.start < r.end).map(span).collect();
        let len = spans.iter().map(|s| s.count).sum();
        Self { spans, len }
    }

    /// Any rows, in any order.
    #[must_use]
    pub fn list(rows: &[u64]) -> Self {
        let mut spans: Vec<Span> = Vec::new();
        for &row in rows {
            match spans.last_mut() {
                Some(last) if last.start.checked_add(last.count) == Some(row) => last.count += 1,
                _ => spans.push(Span { start: row, step: 1, count: 1 }),
            }
        }
        Self { spans, len: rows.len() as u64 }
    }

    /// Parses `7`, `0:100`, `0:100:2`, `:`, `90:`, and comma-separated lists of them. Open ends are those of a table of
    /// `rows` rows. Negative numbers count from its end, as in numpy: `-1`, `-10:`. Explicit rows beyond its end are an
    /// error. The selection may be empty.
    ///
    /// # Errors
    /// [`ErrorKind::BadRows`], [`ErrorKind::RowOutOfRange`].
    pub fn parse(text: &str, rows: u64) -> Result<Self, ErrorKind> {
        let mut spans = Vec::new();
        let mut len = 0u64;
        for part in text.split(',') {
            if let Some(span) = Span::parse(part.trim(), rows).map_err(|reason| bad(text, reason))? {
                len = len.checked_add(span.count).ok_or_else(|| bad(text, "too many rows"))?;
                spans.push(span);
            }
        }
        let selection = Self { spans, len };
        selection.check(rows)?;
        Ok(selection)
    }

    /// Number of rows selected.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `count` of the rows in the order given, from position `from`; fewer at the end.
    #[must_use]
    pub fn slice(&self, from: u64, count: u64) -> Self {
        let end = from.saturating_add(count).min(self.len);
        let (mut position, mut spans) = (0, Vec::new());
        for span in &self.spans {
            let (lo, hi) = (from.max(position), end.min(position + span.count));
            if lo < hi {
                spans.push(Span { start: span.start + (lo - position) * span.step, count: hi - lo, ..*span });
            }
            position += span.count;
        }
        Self { spans, len: end.saturating_sub(from) }
    }

    /// The rows in ascending order without repetition, and for each row in the order given its position among them.
    #[must_use]
    pub fn distinct(&self) -> (Self, Vec<usize>) {
        let mut sorted: Vec<u64> = self.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let position = |row: u64| sorted.partition_point(|&other| other < row);
        let positions = self.iter().map(position).collect();
        (Self::list(&sorted), positions)
    }

    /// The rows in the order given.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.spans.iter().flat_map(|s| (0..s.count).map(|k| s.start + k * s.step))
    }

    /// Checks that all of them are in a table of `rows` rows.
    ///
    /// # Errors
    /// [`ErrorKind::RowOutOfRange`].
    pub fn check(&self, rows: u64) -> Result<(), ErrorKind> {
        for span in &self.spans {
            let last = (span.count - 1).checked_mul(span.step).and_then(|d| span.start.checked_add(d));
            match last {
                Some(last) if last < rows => {}
                _ => {
                    let row = if span.start >= rows { span.start } else { last.unwrap_or(u64::MAX) };
                    return Err(ErrorKind::RowOutOfRange { row, rows });
                }
            }
        }
        Ok(())
    }

    /// The selection as sorted runs.
    ///
    /// # Errors
    /// [`ErrorKind::BadRows`] if a row is named twice.
    pub fn runs(&self) -> Result<Runs, ErrorKind> {
        let mut runs = Vec::with_capacity(self.spans.len());
        let mut index = 0;
        for span in &self.spans {
            if span.step == 1 {
                runs.push(Run { row: span.start, count: span.count, index });
            } else {
                let row = |k| span.start + k * span.step;
                runs.extend((0..span.count).map(|k| Run { row: row(k), count: 1, index: index + k }));
            }
            index += span.count;
        }
        if !runs.is_sorted_by_key(|r| r.row) {
            runs.sort_unstable_by_key(|r| r.row);
        }
        if let Some(pair) = runs.windows(2).find(|pair| pair[0].end() > pair[1].row) {
            return Err(ErrorKind::BadRows(RowsFault::Twice(pair[1].row)));
        }
        runs.dedup_by(|next, run| {
            let joined = run.end() == next.row && run.index + run.count == next.index;
            if joined {
                run.count += next.count;
            }
            joined
        });
        Ok(Runs { runs, len: self.len })
    }
}

impl fmt::Display for Rows {
    /// Formats the selection as [`Rows::parse`] reads it: `0:10,15,20:30:2`. Empty for no rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, Span { start, step, count }) in self.spans.iter().enumerate() {
            let comma = if k > 0 { "," } else { "" };
            let end = start + (count - 1) * step + 1;
            match (*count, *step) {
                (1, _) => write!(f, "{comma}{start}")?,
                (_, 1) => write!(f, "{comma}{start}:{end}")?,
                (_, step) => write!(f, "{comma}{start}:{end}:{step}")?,
            }
        }
        Ok(())
    }
}

impl Span {
    pub(super) fn parse(text: &str, rows: u64) -> Result<Option<Self>, &'static str> {
        let number = |t: &str| match t.trim().strip_prefix('-') {
            None => t.trim().parse::<u64>().map_err(|_| "not a whole number"),
            Some(from_end) => {
                let back = from_end.parse::<u64>().map_err(|_| "not a whole number")?;
                rows.checked_sub(back)
                    .ok_or("a negative number counts from the end, and this one goes beyond the first row")
            }
        };
        let mut parts = text.split(':');
        let first = parts.next().unwrap_or_default();
        let Some(second) = parts.next() else {
            return Ok(Some(Self { start: number(first)?, step: 1, count: 1 }));
        };
        let start = if first.trim().is_empty() { 0 } else { number(first)? };
        let end = if second.trim().is_empty() { rows } else { number(second)? };
        let step = match parts.next() {
            None => 1,
            Some(step) => step.trim().parse().map_err(|_| "a step must be a whole number of at least 1")?,
        };
        if parts.next().is_some() {
            return Err("expected START:END or START:END:STEP");
        }
        if step == 0 {
            return Err("the step of a range must be at least 1");
        }
        let count = end.saturating_sub(start).div_ceil(step);
        Ok((count > 0).then_some(Self { start, step: if count == 1 { 1 } else { step }, count }))
    }
}

impl Runs {
    /// The rows `start..end`, with values numbered from 0.
    #[must_use]
    pub fn range(rows: std::ops::Range<u64>) -> Self {
        let count = rows.end.saturating_sub(rows.start);
        let runs = if count == 0 { vec![] } else { vec![Run { row: rows.start, count, index: 0 }] };
        Self { runs, len: count }
    }

    /// The runs, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[Run] {
        &self.runs
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All rows with the positions of their values, ascending by row.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().flat_map(|r| (0..r.count).map(|k| (r.row + k, r.index + k)))
    }

    /// The same rows with values numbered in ascending order of rows, as in a buffer that was read in that order.
    #[must_use]
    pub fn in_row_order(&self) -> Self {
        let mut index = 0;
        let runs = self.runs.iter().map(|r| {
            let run = Run { index, ..*r };
            index += r.count;
            run
        });
        Self { runs: runs.collect(), len: self.len }
    }

    /// The rows that come before `end`.
    #[must_use]
    pub fn before(mut self, end: u64) -> Self {
        if self.runs.last().is_some_and(|run| run.end() > end) {
            self.runs.retain(|run| run.row < end);
            if let Some(last) = self.runs.last_mut() {
                last.count = last.count.min(end - last.row);
            }
            self.len = self.runs.iter().map(|run| run.count).sum();
        }
        self
    }

    /// Splits the rows into parts of at most `most` rows (at least one). In each part, values are numbered from 0 in
    /// ascending order of rows. With `band`, all rows of a part belong to the same band of that many rows.
    #[must_use]
    pub fn parts(&self, most: u64, band: Option<u64>) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for run in &self.runs {
            let mut row = run.row;
            while row < run.end() {
                let last = parts.last_mut().filter(|part| {
                    let same =
                        |part: &Self| band.is_none_or(|n| part.runs.first().is_some_and(|r| r.row / n == row / n));
                    part.len < most && same(part)
                });
                let part = match last {
                    Some(part) => part,
                    None => parts.push_mut(Self::default()),
                };
                let room = most.max(1) - part.len;
                let to_edge = band.map_or(u64::MAX, |n| n - row % n);
                let count = (run.end() - row).min(room).min(to_edge);
                part.runs.push(Run { row, count, index: part.len });
                part.len += count;
                row += count;
            }
        }
        parts
    }
}

fn bad(text: &str, reason: &'static str) -> ErrorKind {
    let short: String = text.chars().take(80).collect();
    ErrorKind::BadRows(RowsFault::Unreadable { text: short, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Result<Vec<u64>, String> {
        Rows::parse(text, 100).map(|r| r.iter().collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(rows("7"), Ok(vec![7]));
        assert_eq!(rows("0:3"), Ok(vec![0, 1, 2]));
        assert_eq!(rows("0:10:4"), Ok(vec![0, 4, 8]));
        assert_eq!(rows("9, 1:3 ,5"), Ok(vec![9, 1, 2, 5]));
        assert_eq!(rows("98:"), Ok(vec![98, 99]));
        assert_eq!(rows(":2"), Ok(vec![0, 1]));
        assert_eq!(rows(":").map(|r| r.len()), Ok(100));
        assert_eq!(rows("-1"), Ok(vec![99]));
        assert_eq!(rows("-2:, 1:-97"), Ok(vec![98, 99, 1, 2]));
        assert_eq!((rows("3:3"), rows("5:2")), (Ok(vec![]), Ok(vec![])));
        let (distinct, positions) = Rows::list(&[5, 2, 5, 9]).distinct();
        assert_eq!((distinct.iter().collect::<Vec<_>>(), positions), (vec![2, 5, 9], vec![1, 0, 1, 2]));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["", "x", "1:2:3:4", "1:2:0", "-", "-101", "1:2:-1", "--1", "1,,2"] {
            assert!(rows(text).is_err(), "{text:?} was read as {:?}", rows(text));
        }
        assert!(rows("100").is_err_and(|e| e.contains("row 100 is out of range")));
        assert!(rows("0:101").is_err_and(|e| e.contains("row 100 ")));
        assert!(rows("18446744073709551615").is_err());
        assert!(rows("0:18446744073709551615:9223372036854775807").is_err());
    }

    #[test]
    fn neighbours_are_one_span() {
        assert_eq!(Rows::list(&[4, 5, 6, 2, 3]).to_string(), "4:7,2:4");
        assert_eq!(Rows::list(&[u64::MAX, 0]).len(), 2);
        assert!(Rows::list(&[]).runs().is_ok_and(|runs| runs.is_empty()));
    }

    #[test]
    fn a_row_named_twice_is_an_error() {
        for text in ["1,1", "0:10,5", "5,0:10", "0:10:3,9"] {
            let rows = Rows::parse(text, 100).expect("reads");
            assert!(matches!(rows.runs(), Err(ErrorKind::BadRows(RowsFault::Twice(_)))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn runs_hold_the_same_pairs(mut list in prop::collection::hash_set(0u64..500, 1..60).prop_map(|s| s.into_iter().collect::<Vec<_>>()), seed in any::<u64>()) {
            let by = list.len();
            list.rotate_left((seed % by as u64) as usize);
            let runs = Rows::list(&list).runs().expect("no duplicates");
            let mut pairs: Vec<(u64, u64)> = list.iter().copied().zip(0..).collect();
            pairs.sort_unstable();
            prop_assert_eq!(runs.iter().collect::<Vec<_>>(), pairs.clone());
            prop_assert!(runs.as_slice().windows(2).all(|w| w[0].end() <= w[1].row));
            prop_assert_eq!((runs.len(), runs.is_empty()), (list.len() as u64, false));
            let in_order: Vec<(u64, u64)> = pairs.iter().zip(0..).map(|((row, _), index)| (*row, index)).collect();
            prop_assert_eq!(runs.in_row_order().iter().collect::<Vec<_>>(), in_order);
            prop_assert_eq!(runs.in_row_order().len(), runs.len());
        }

        /// Covers ranges that touch, overlap or are empty.
        #[test]
        fn ranges_are_the_list_of_their_rows(ranges in prop::collection::vec((0u64..40, 0u64..9), 0..6)) {
            let list: Vec<u64> = ranges.iter().flat_map(|&(start, n)| start..start + n).collect();
            let rows = Rows::ranges(ranges.iter().map(|&(start, n)| start..start + n));
            prop_assert_eq!(rows.iter().collect::<Vec<_>>(), list.clone());
            prop_assert_eq!(rows.len(), list.len() as u64);
            for &(start, n) in &ranges {
                prop_assert_eq!(Rows::range(start..start + n), Rows::ranges([start..start + n]));
            }
            let backwards = std::ops::Range { start: 9, end: 3 };
            prop_assert!(Rows::ranges([backwards.clone()]).is_empty() && Rows::range(backwards).is_empty());
        }

        #[test]
        fn parts_are_the_rows_in_order(list in prop::collection::hash_set(0u64..200, 0..60), most in 1u64..20, band in prop::option::of(1u64..30)) {
            let list: Vec<u64> = list.into_iter().collect();
            let runs = Rows::list(&list).runs().expect("no duplicates");
            let parts = runs.parts(most, band);
            let rows: Vec<u64> = parts.iter().flat_map(|part| part.iter().map(|(row, _)| row)).collect();
            prop_assert_eq!(rows, runs.iter().map(|(row, _)| row).collect::<Vec<_>>());
            for part in &parts {
                prop_assert!(part.len() <= most && !part.is_empty());
                prop_assert_eq!(part.iter().map(|(_, index)| index).collect::<Vec<_>>(), (0..part.len()).collect::<Vec<_>>());
                if let Some(n) = band {
                    prop_assert!(part.iter().all(|(row, _)| row / n == part.as_slice()[0].row / n));
                }
            }
        }

        #[test]
        fn a_slice_is_the_slice_of_the_list(list in prop::collection::vec(0u64..50, 0..40), from in 0u64..50, count in 0u64..50) {
            let slice: Vec<u64> = list.iter().copied().skip(from as usize).take(count as usize).collect();
            let got = Rows::list(&list).slice(from, count);
            prop_assert_eq!(got.len(), slice.len() as u64);
            prop_assert_eq!(got.iter().collect::<Vec<_>>(), slice);
        }

        /// Ranges with steps: what they select, their runs, their slices, and their text.
        #[test]
        fn steps_select_every_so_many(
            parts in prop::collection::vec((0u64..300, 1u64..5, 1u64..12), 1..6),
            from in 0u64..40,
            count in 0u64..40,
        ) {
            let list: Vec<u64> = parts.iter().flat_map(|&(start, step, n)| (0..n).map(move |k| start + k * step)).collect();
            let text = |&(start, step, n): &(u64, u64, u64)| match (n, step) {
                (1, _) => format!("{start}"),
                (_, 1) => format!("{start}:{}", start + n),
                _ => format!("{start}:{}:{step}", start + (n - 1) * step + 1),
            };
            let text = parts.iter().map(text).collect::<Vec<_>>().join(",");
            let rows = Rows::parse(&text, 400).expect("reads");
            prop_assert_eq!(rows.to_string(), text);
            prop_assert_eq!(rows.iter().collect::<Vec<_>>(), list.clone());
            let slice: Vec<u64> = list.iter().copied().skip(from as usize).take(count as usize).collect();
            let got = rows.slice(from, count);
            prop_assert_eq!(got.len(), slice.len() as u64);
            prop_assert_eq!(got.iter().collect::<Vec<_>>(), slice);
            let mut pairs: Vec<(u64, u64)> = list.iter().copied().zip(0..).collect();
            pairs.sort_unstable();
            match rows.runs() {
                Ok(runs) => {
                    prop_assert_eq!(runs.iter().collect::<Vec<_>>(), pairs);
                    let joined = |w: &[Run]| w[0].end() == w[1].row && w[0].index + w[0].count == w[1].index;
                    prop_assert!(!runs.as_slice().windows(2).any(joined), "runs are as long as they can be");
                }
                Err(_) => prop_assert!(pairs.windows(2).any(|w| w[0].0 == w[1].0)),
            }
        }

        #[test]
        fn never_panics_on_text(text in "[0-9:, ]{0,24}", n in 0u64..1000) {
            if let Ok(rows) = Rows::parse(&text, n) {
                prop_assert!(rows.iter().all(|r| r < n));
                prop_assert_eq!(rows.iter().count() as u64, rows.len());
                // A selection without rows has no text.
                if !rows.is_empty() {
                    prop_assert_eq!(Rows::parse(&rows.to_string(), n).expect("its own text"), rows);
                }
            }
        }
    }
}

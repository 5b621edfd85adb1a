//! Ascending ranges of rows.

use std::ops::Range;

/// Adds a range that must not start before the last one. Ranges that touch or overlap are merged.
pub fn push_range(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = Vec::new();
        for range in [0..1, 1..3, 2..3, 5..6] {
            push_range(&mut ranges, range);
        }
        assert_eq!(ranges, [0..3, 5..6]);
    }
}

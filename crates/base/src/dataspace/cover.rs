//! Covers scattered rows by few ranges. Row locks are ranges, and their cost grows with their number.

use super::rows::Run;
use std::ops::Range;

/// Returns at most `most` ascending ranges that contain every run. The widest gaps stay open, so that writers of other
/// rows are blocked as little as possible.
#[must_use]
pub fn cover(runs: &[Run], most: usize) -> Vec<Range<u64>> {
    let Some((first, last)) = runs.first().zip(runs.last()) else { return Vec::new() };
    let mut gaps: Vec<Range<u64>> =
        runs.windows(2).map(|w| w[0].end()..w[1].row).filter(|gap| !gap.is_empty()).collect();
    let keep = most.max(1) - 1;
    if gaps.len() > keep {
        gaps.select_nth_unstable_by_key(keep, |gap| std::cmp::Reverse(gap.end - gap.start));
        gaps.truncate(keep);
        gaps.sort_unstable_by_key(|gap| gap.start);
    }
    let mut ranges = Vec::with_capacity(gaps.len() + 1);
    let mut start = first.row;
    for gap in gaps {
        ranges.push(start..gap.start);
        start = gap.end;
    }
    ranges.push(start..last.end());
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataspace::Rows;
    use proptest::prelude::*;

    #[test]
    fn keeps_the_widest_gap() {
        let runs = Rows::list(&[1, 3, 5, 100, 102]).runs().expect("runs");
        assert_eq!(cover(runs.as_slice(), 2), vec![1..6, 100..103]);
        assert_eq!(cover(runs.as_slice(), 1), vec![1..103]);
        assert_eq!(cover(runs.as_slice(), 64).len(), 5);
        assert_eq!(cover(&[], 64), Vec::<Range<u64>>::new());
    }

    proptest! {
        #[test]
        fn covers_all_within_the_limit(list in prop::collection::hash_set(0u64..400, 1..80), most in 1usize..12) {
            let list: Vec<u64> = list.into_iter().collect();
            let runs = Rows::list(&list).runs().expect("runs");
            let ranges = cover(runs.as_slice(), most);
            prop_assert!(ranges.len() <= most);
            prop_assert!(ranges.windows(2).all(|w| w[0].end < w[1].start));
            prop_assert!(list.iter().all(|r| ranges.iter().any(|g| g.contains(r))));
        }
    }
}

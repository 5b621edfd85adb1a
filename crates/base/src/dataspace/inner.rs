//! Selections within the cells of a column: one slice for each axis except the rows.

use super::Segment;
use super::rows::Span;
use crate::error::{ErrorKind, RowsFault};
use crate::num::to_usize;

/// Which part of each cell is wanted: one slice per axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    axes: Vec<Span>,
    cell: Vec<u64>,
}

impl Inner {
    /// Selects whole cells of this shape.
    #[must_use]
    pub fn all(cell: &[u64]) -> Self {
        let axes = cell.iter().map(|&count| Span { start: 0, step: 1, count }).collect();
        Self { axes, cell: cell.to_vec() }
    }

    /// Parses comma-separated slices, one per axis of a cell from the first: `0:3`, `:,2`, `::2,0:10`. Axes without a
    /// slice are whole. A plain index keeps its axis, with one element.
    ///
    /// # Errors
    /// [`ErrorKind::BadRows`]; [`ErrorKind::BadRequest`] for an index beyond an axis, or more slices than axes.
    pub fn parse(text: &str, cell: &[u64]) -> Result<Self, ErrorKind> {
        let mut inner = Self::all(cell);
        let parts: Vec<&str> = text.split(',').collect();
        if parts.len() > cell.len() {
            let axes = match cell.len() {
                0 => "a single value".to_owned(),
                n => format!("{n} axes"),
            };
            return Err(ErrorKind::BadRequest(format!("'{text}' has {} slices, but a cell has {axes}", parts.len())));
        }
        for ((axis, &len), part) in inner.axes.iter_mut().zip(cell).zip(parts) {
            let bad = |reason| RowsFault::Unreadable { text: part.chars().take(80).collect(), reason };
            let span = Span::parse(part.trim(), len).map_err(bad).and_then(|span| span.ok_or(RowsFault::Empty));
            *axis = span.map_err(ErrorKind::BadRows)?;
            let last = (axis.count - 1).checked_mul(axis.step).and_then(|n| n.checked_add(axis.start));
            if last.is_none_or(|last| last >= len) {
                return Err(ErrorKind::BadRequest(format!("'{part}' is beyond an axis of {len} elements")));
            }
        }
        Ok(inner)
    }

    /// Shape of the selection within a cell.
    #[must_use]
    pub fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.count).collect()
    }

    /// Whether it selects the whole cell.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::all(&self.cell)
    }

    /// Shape of the cells that it was made for.
    #[must_use]
    pub fn cell(&self) -> &[u64] {
        &self.cell
    }

    /// Maps bytes of a cell, whose elements have `element` bytes, to bytes of the selection.
    #[must_use]
    pub fn segments(&self, element: usize) -> Vec<Segment> {
        let size = |n: u64| to_usize(n);
        let mut segments = vec![Segment { from: 0, to: 0, len: element }];
        let (mut from_stride, mut to_stride) = (element, element);
        // From the last axis to the first: repeats the segments so far for each index of the axis before.
        for (axis, &len) in self.axes.iter().zip(&self.cell).rev() {
            let mut turned: Vec<Segment> = Vec::with_capacity(segments.len() * size(axis.count));
            for k in 0..axis.count {
                let (from, to) = (size(axis.start + k * axis.step) * from_stride, size(k) * to_stride);
                for segment in &segments {
                    let next = Segment { from: from + segment.from, to: to + segment.to, len: segment.len };
                    match turned.last_mut() {
                        Some(last) if last.from + last.len == next.from && last.to + last.len == next.to => {
                            last.len += next.len;
                        }
                        _ => turned.push(next),
                    }
                }
            }
            segments = turned;
            (from_stride, to_stride) = (from_stride * size(len), to_stride * size(axis.count));
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_slices_of_axes() {
        let shape = |text: &str| Inner::parse(text, &[4, 3]).map(|inner| inner.shape()).map_err(|e| e.to_string());
        assert_eq!(shape("0:2"), Ok(vec![2, 3]));
        assert_eq!(shape(":,1"), Ok(vec![4, 1]));
        assert_eq!(shape("::2, 1:"), Ok(vec![2, 2]));
        assert!(Inner::parse(":", &[4, 3]).is_ok_and(|inner| inner.is_all()));
        for text in ["0:5", "4", "1:1", "0,0,0", "x", "", "0:2:0"] {
            assert!(shape(text).is_err(), "{text}: {:?}", shape(text));
        }
        assert!(Inner::parse("0", &[]).is_err_and(|e| e.to_string().contains("a single value")));
        assert_eq!(Inner::all(&[]).segments(8), [Segment { from: 0, to: 0, len: 8 }]);
        assert_eq!(Inner::all(&[4, 3]).segments(8), [Segment { from: 0, to: 0, len: 96 }]);
    }

    proptest! {
        #[test]
        fn takes_what_indexing_takes(axes in prop::collection::vec((0u64..4, 1u64..4, 1u64..5, 0u64..3), 0..4), element in 1usize..4) {
            let cell: Vec<u64> = axes.iter().map(|(start, step, count, more)| start + (count - 1) * step + 1 + more).collect();
            let text: Vec<String> =
                axes.iter().map(|(start, step, count, _)| format!("{start}:{}:{step}", start + (count - 1) * step + 1)).collect();
            let inner = if cell.is_empty() { Inner::all(&[]) } else { Inner::parse(&text.join(","), &cell).expect("reads") };
            let mut wanted = vec![0usize];
            for ((start, step, count, _), len) in axes.iter().zip(&cell) {
                wanted = wanted.iter().flat_map(|flat| (0..*count).map(move |k| flat * *len as usize + (start + k * step) as usize)).collect();
            }
            let mut found = vec![usize::MAX; wanted.len() * element];
            for Segment { from, to, len } in inner.segments(element) {
                for k in 0..len {
                    found[to + k] = from + k;
                }
            }
            let wanted: Vec<usize> = wanted.iter().flat_map(|flat| (0..element).map(move |k| flat * element + k)).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}

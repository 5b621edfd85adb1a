//! Which bytes of a file are replaced by a log, and where they are in the log.

use std::collections::BTreeMap;

/// The source of the bytes of an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentSource {
    /// In the log, at this position.
    Log(u64),
    /// They are zeros.
    Zeros,
}

/// A run of bytes of the file, from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Byte address in the file.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// `None`: the bytes of the file itself.
    pub source: Option<ExtentSource>,
}

/// Disjoint extents of a file whose bytes come from elsewhere.
#[derive(Debug, Default)]
pub struct Extents(BTreeMap<u64, (u64, ExtentSource)>);

impl ExtentSource {
    fn skip(self, bytes: u64) -> Self {
        match self {
            Self::Log(position) => Self::Log(position + bytes),
            Self::Zeros => Self::Zeros,
        }
    }
}

impl Extents {
    /// The bytes `start..end`, piece by piece, in order.
    pub fn pieces(&self, start: u64, end: u64) -> Vec<Extent> {
        let (mut out, mut at) = (Vec::new(), start);
        for (&from, &(to, source)) in self.0.range(self.first_that_touches(start)..end) {
            if from > at {
                out.push(Extent { start: at, end: from, source: None });
                at = from;
            }
            let stop = to.min(end);
            if stop > at {
                out.push(Extent { start: at, end: stop, source: Some(source.skip(at - from)) });
                at = stop;
            }
        }
        if at < end {
            out.push(Extent { start: at, end, source: None });
        }
        out
    }

    /// Sets the source of the bytes `start..end`.
    pub fn put(&mut self, start: u64, end: u64, source: ExtentSource) {
        self.cut(start, end);
        // Extents that are contiguous in both file and log are merged.
        if let (ExtentSource::Log(position), Some((&from, &(to, ExtentSource::Log(before))))) =
            (source, self.0.range(..start).next_back())
            && to == start
            && before + (to - from) == position
        {
            self.0.insert(from, (end, ExtentSource::Log(before)));
            return;
        }
        self.0.insert(start, (end, source));
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Extent> + '_ {
        self.0.iter().map(|(&start, &(end, source))| Extent { start, end, source: Some(source) })
    }

    fn cut(&mut self, start: u64, end: u64) {
        let touched: Vec<_> = self
            .0
            .range(self.first_that_touches(start)..end)
            .map(|(&from, &(to, source))| (from, to, source))
            .collect();
        for (from, to, source) in touched {
            self.0.remove(&from);
            if from < start {
                self.0.insert(from, (start, source));
            }
            if to > end {
                self.0.insert(end, (to, source.skip(end - from)));
            }
        }
    }

    /// Start of the extent that contains `start`, else `start`.
    fn first_that_touches(&self, start: u64) -> u64 {
        let before = self.0.range(..=start).next_back();
        before.filter(|(_, (to, _))| *to > start).map_or(start, |(&from, _)| from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a map from each byte to its source.
        #[test]
        fn says_of_every_byte_where_it_is(puts in prop::collection::vec((0u64..60, 1u64..20, any::<bool>()), 0..25), start in 0u64..60, len in 0u64..40) {
            let mut model = vec![None; 120];
            let (mut extents, mut position) = (Extents::default(), 1000u64);
            for (from, count, zeros) in puts {
                let source = if zeros { ExtentSource::Zeros } else { ExtentSource::Log(position) };
                extents.put(from, from + count, source);
                for k in 0..count {
                    model[(from + k) as usize] = Some(source.skip(k));
                }
                position += count;
            }
            let mut at = start;
            for piece in extents.pieces(start, start + len) {
                prop_assert_eq!(piece.start, at);
                for byte in piece.start..piece.end {
                    let source = piece.source.map(|s| s.skip(byte - piece.start));
                    prop_assert_eq!(source, model[byte as usize]);
                }
                at = piece.end;
            }
            prop_assert_eq!(at, start + len);
            let all: u64 = extents.iter().map(|e| e.end - e.start).sum();
            prop_assert_eq!(all, model.iter().filter(|s| s.is_some()).count() as u64);
        }
    }
}

//! Which bytes are valid elements of a type, and which types share their bytes.

use super::{Bool, Bytes, Compound, Dtype, Enum, Text, text};

impl Dtype {
    /// What is wrong with elements that are to be stored: booleans other than 0 and 1, text that is not UTF-8, numbers
    /// that are not members of an enum.
    #[must_use]
    pub fn flaw_of(self, elements: &[u8]) -> Option<&'static str> {
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX).max(1);
        match self {
            Bool => elements.iter().any(|&byte| byte > 1).then_some("bytes other than 0 and 1"),
            Text(_) => {
                let is_text = |element: &[u8]| std::str::from_utf8(element).is_ok();
                // Zeros are valid UTF-8, so all elements are valid if the whole is and each of them is.
                (!elements.chunks_exact(size).all(is_text)).then_some("text that is not UTF-8")
            }
            Enum(kind) => {
                let is_member =
                    |element: &[u8]| text::whole(kind.base, element).is_some_and(|v| kind.name_of(v).is_some());
                (!elements.chunks_exact(size).all(is_member)).then_some("a number that is not a member of the enum")
            }
            Compound(kind) => {
                let fields = kind.fields().iter().filter(|field| field.dtype.has_flaws());
                let place = |field: &super::Field| {
                    let at = usize::try_from(field.offset).ok()?;
                    Some(at..at.checked_add(usize::try_from(field.bytes()?).ok()?)?)
                };
                let mut places = fields.filter_map(|field| Some((field.dtype, place(field)?)));
                places.find_map(|(dtype, place)| {
                    elements.chunks_exact(size).find_map(|element| dtype.flaw_of(element.get(place.clone())?))
                })
            }
            _ => None,
        }
    }

    /// Whether the type has invalid bytes.
    fn has_flaws(self) -> bool {
        match self {
            Bool | Text(_) | Enum(_) => true,
            Compound(kind) => kind.fields().iter().any(|field| field.dtype.has_flaws()),
            _ => false,
        }
    }

    /// Whether elements of `other` have the same bytes with the same meaning: an enum and its underlying whole numbers,
    /// both kinds of text, compounds of such types.
    #[must_use]
    pub fn has_bytes_of(self, other: Self) -> bool {
        match (self, other) {
            (Enum(one), Enum(two)) => one.base == two.base,
            (Enum(kind), base) | (base, Enum(kind)) => kind.base == base,
            (Bytes(one) | Text(one), Bytes(two) | Text(two)) => one == two,
            (Compound(one), Compound(two)) => {
                let same = |(one, two): (&super::Field, &super::Field)| {
                    (&one.name, one.offset, &one.shape) == (&two.name, two.offset, &two.shape)
                        && one.dtype.has_bytes_of(two.dtype)
                };
                one.size == two.size
                    && one.fields.len() == two.fields.len()
                    && one.fields.iter().zip(&two.fields).all(same)
            }
            _ => self == other,
        }
    }

    /// Converts elements to type `to` if that loses nothing: texts of another length, and types with the same bytes.
    /// `None`: it would, or an element is not valid for `to`; a text is never cut.
    #[must_use]
    pub fn relabel(self, to: Self, elements: &[u8]) -> Option<Vec<u8>> {
        let out = match (self, to) {
            (Bytes(_) | Text(_), Bytes(n) | Text(n)) => {
                let (had, has) = (usize::try_from(self.size()).ok()?, usize::try_from(n).ok()?);
                let mut out = Vec::with_capacity(elements.len() / had.max(1) * has);
                for element in elements.chunks_exact(had.max(1)) {
                    let kept = element.len().min(has);
                    if element[kept..].iter().any(|&byte| byte != 0) {
                        return None;
                    }
                    out.extend_from_slice(&element[..kept]);
                    out.resize(out.len() + has - kept, 0);
                }
                out
            }
            _ if self.has_bytes_of(to) => elements.to_vec(),
            _ => return None,
        };
        // Bytes accept only ASCII from a text, since readers would misread anything else.
        let is_kept = !matches!((self, to), (Text(_), Bytes(_))) || out.is_ascii();
        (is_kept && to.flaw_of(&out).is_none()).then_some(out)
    }

    /// Whether [`Dtype::relabel`] may succeed.
    #[must_use]
    pub fn relabels(self, to: Self) -> bool {
        (self.is_text() && to.is_text()) || self.has_bytes_of(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dtype(text: &str) -> Dtype {
        text.parse().expect("reads")
    }

    #[test]
    fn flaws() {
        assert!(dtype("bool").flaw_of(&[0, 1]).is_none() && dtype("bool").flaw_of(&[0, 2]).is_some());
        assert!(dtype("T3").flaw_of("é\0abc".as_bytes()).is_none());
        // Each element is checked on its own: a character split over two elements is invalid in both.
        assert!(dtype("T1").flaw_of("é".as_bytes()).is_some() && dtype("S1").flaw_of("é".as_bytes()).is_none());
        let state = dtype("enum(u8){a=1,b=7}");
        assert!(state.flaw_of(&[1, 7, 7]).is_none() && state.flaw_of(&[1, 0]).is_some());
        let record = dtype("{x:u8,s:T2,e:enum(u8){a=1}:2}");
        assert!(record.flaw_of(&[9, b'a', 0, 1, 1]).is_none());
        assert!(record.flaw_of(&[9, 255, 0, 1, 1]).is_some() && record.flaw_of(&[9, b'a', 0, 1, 2]).is_some());
    }

    #[test]
    fn other_labels_for_the_same_values() {
        assert_eq!(dtype("S2").relabel(dtype("S4"), b"abc\0"), Some(b"ab\0\0c\0\0\0".to_vec()));
        assert_eq!(dtype("S4").relabel(dtype("T2"), b"ab\0\0c\0\0\0"), Some(b"abc\0".to_vec()));
        assert_eq!(dtype("S4").relabel(dtype("S2"), b"abc\0"), None);
        assert_eq!(dtype("S2").relabel(dtype("T2"), b"\xff\0"), None);
        assert_eq!(dtype("T2").relabel(dtype("S2"), "é".as_bytes()), None);
        assert_eq!(dtype("u8").relabel(dtype("enum(u8){a=1}"), &[1, 1]), Some(vec![1, 1]));
        assert_eq!(dtype("u8").relabel(dtype("enum(u8){a=1}"), &[1, 0]), None);
        assert_eq!(dtype("u8").relabel(dtype("i8"), &[1]), None);
        assert!(dtype("{x:u8,s:S4}").relabels(dtype("{x:enum(u8){a=1},s:T4}")));
        assert!(
            !dtype("{x:u8,s:S4}").relabels(dtype("{y:u8,s:S4}"))
                && !dtype("{x:u8,s:S4}").relabels(dtype("{x:u8,s:S5}"))
        );
    }
}

//! Types that need a description: named numbers, and fields of several types.
//!
//! Each distinct description is stored once and never freed, so that a [`Dtype`] is a small value that is copied and
//! compared like any other. In a file a description is shorter than 64 KiB.

use super::Dtype;
use crate::error::ErrorKind;
use crate::sync;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex};

/// Deepest nesting of compounds.
const DEEPEST: usize = 8;

/// Whole numbers with names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnumType {
    pub(super) base: Dtype,
    pub(super) members: Vec<(String, i128)>,
}

/// Fields of several types, one after the other. There may be gaps between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompoundType {
    pub(super) size: u64,
    pub(super) fields: Vec<Field>,
}

/// A field of a compound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Offset of its first byte in the compound.
    pub offset: u64,
    /// Type of an element.
    pub dtype: Dtype,
    /// Shape; empty for a single element.
    pub shape: Vec<u64>,
}

impl Field {
    /// Size in bytes. `None`: it overflows.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size(), |n, &k| n.checked_mul(k))
    }
}

impl EnumType {
    /// The type of the underlying whole numbers.
    #[must_use]
    pub fn base(&self) -> Dtype {
        self.base
    }

    /// Names and values, in the order of the file.
    #[must_use]
    pub fn members(&self) -> &[(String, i128)] {
        &self.members
    }

    /// The name of a value.
    #[must_use]
    pub fn name_of(&self, value: i128) -> Option<&str> {
        self.members.iter().find(|(_, v)| *v == value).map(|(name, _)| name.as_str())
    }

    /// The value of a name.
    #[must_use]
    pub fn value_of(&self, name: &str) -> Option<i128> {
        self.members.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }
}

impl CompoundType {
    /// Bytes of an element, gaps included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The fields, in the order of the file.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

impl Dtype {
    /// An enum over whole numbers of type `base`.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: no members, a name or a value twice, a value that `base` cannot hold.
    pub fn enumeration(base: Self, members: Vec<(String, i128)>) -> Result<Self, ErrorKind> {
        let bad = |text: String| Err(ErrorKind::BadRequest(text));
        if !base.is_whole() {
            return bad(format!("an enum must be over whole numbers, not over {base}"));
        }
        if members.is_empty() {
            return bad("an enum must have at least one member".to_owned());
        }
        let (mut names, mut values) = (HashSet::new(), HashSet::new());
        for (name, value) in &members {
            if name.is_empty() || name.contains('\0') {
                return bad("a member of an enum needs a name without NUL".to_owned());
            }
            if !names.insert(name) || !values.insert(value) {
                return bad(format!("the name or the value of member '{name}' of an enum occurs twice"));
            }
            if base.parse_element(&value.to_string()).is_none() {
                return bad(format!("member '{name}' of an enum is {value}, which {base} cannot hold"));
            }
        }
        Ok(Self::Enum(ENUMS.get(EnumType { base, members })))
    }

    /// A compound of `size` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: no fields, a name twice, fields that overlap or do not fit, compounds nested more
    /// than 8 deep.
    pub fn compound(size: u64, fields: Vec<Field>) -> Result<Self, ErrorKind> {
        let bad = |text: String| Err(ErrorKind::BadRequest(text));
        if fields.is_empty() {
            return bad("a compound must have at least one field".to_owned());
        }
        let mut names = HashSet::new();
        let mut places: Vec<(u64, u64)> = Vec::with_capacity(fields.len());
        for field in &fields {
            let name = &field.name;
            if name.is_empty() || name.contains('\0') {
                return bad("a field of a compound needs a name without NUL".to_owned());
            }
            if !names.insert(name) {
                return bad(format!("field '{name}' of a compound occurs twice"));
            }
            let end = field.bytes().filter(|&n| n > 0).and_then(|n| field.offset.checked_add(n));
            let Some(end) = end.filter(|&end| end <= size) else {
                return bad(format!("field '{name}' of a compound does not fit into its {size} bytes"));
            };
            places.push((field.offset, end));
        }
        places.sort_unstable();
        if places.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return bad("fields of a compound overlap".to_owned());
        }
        let kind = CompoundType { size, fields };
        if kind.depth() > DEEPEST {
            return bad(format!("compounds are nested more than {DEEPEST} deep"));
        }
        Ok(Self::Compound(COMPOUNDS.get(kind)))
    }

    /// A compound whose fields follow each other without gaps: name, type and shape of each.
    ///
    /// # Errors
    /// As [`Dtype::compound`].
    pub fn packed(fields: Vec<(String, Self, Vec<u64>)>) -> Result<Self, ErrorKind> {
        let mut size = 0u64;
        let place = |(name, dtype, shape)| {
            let field = Field { name, offset: size, dtype, shape };
            size = size.saturating_add(field.bytes().unwrap_or(u64::MAX));
            field
        };
        let fields = fields.into_iter().map(place).collect();
        Self::compound(size, fields)
    }
}

impl CompoundType {
    fn depth(&self) -> usize {
        let below = self.fields.iter().map(|field| match field.dtype {
            Dtype::Compound(inner) => inner.depth(),
            _ => 0,
        });
        1 + below.max().unwrap_or(0)
    }
}

static ENUMS: Known<EnumType> = Known::new();
static COMPOUNDS: Known<CompoundType> = Known::new();

/// Descriptions seen so far.
struct Known<T: 'static>(LazyLock<Mutex<HashSet<&'static T>>>);

impl<T: Eq + Hash> Known<T> {
    const fn new() -> Self {
        Self(LazyLock::new(|| Mutex::new(HashSet::new())))
    }

    fn get(&self, kind: T) -> &'static T {
        let mut known = sync::lock(&self.0);
        if let Some(&same) = known.get(&kind) {
            return same;
        }
        let kept: &'static T = Box::leak(Box::new(kind));
        known.insert(kept);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, offset: u64, dtype: Dtype) -> Field {
        Field { name: name.to_owned(), offset, dtype, shape: Vec::new() }
    }

    #[test]
    fn the_same_description_is_the_same_type() {
        let make = || Dtype::enumeration(Dtype::U8, vec![("a".to_owned(), 0), ("b".to_owned(), 255)]).expect("fits");
        let (Dtype::Enum(one), Dtype::Enum(two)) = (make(), make()) else { panic!("enums") };
        assert!(std::ptr::eq(one, two) && make() == make() && make().size() == 1);
        assert_eq!((one.name_of(255), one.value_of("a"), one.name_of(1)), (Some("b"), Some(0), None));
        let padded = Dtype::compound(16, vec![field("x", 0, Dtype::U8), field("y", 8, Dtype::F64)]).expect("fits");
        let packed = Dtype::packed(vec![("x".to_owned(), Dtype::U8, vec![]), ("y".to_owned(), Dtype::F64, vec![])])
            .expect("fits");
        assert_eq!((padded.size(), packed.size(), padded == packed), (16, 9, false));
    }

    #[test]
    fn refuses_what_is_not_one() {
        for (base, members) in [
            (Dtype::U8, vec![]),
            (Dtype::U8, vec![("a", 256)]),
            (Dtype::U8, vec![("a", 1), ("a", 2)]),
            (Dtype::U8, vec![("a", 1), ("b", 1)]),
            (Dtype::F64, vec![("a", 1)]),
            (Dtype::I8, vec![("", 1)]),
        ] {
            let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert!(matches!(Dtype::enumeration(base, members), Err(ErrorKind::BadRequest(_))), "{base}");
        }
        for fields in [
            vec![],
            vec![field("x", 0, Dtype::F64), field("x", 8, Dtype::F64)],
            vec![field("x", 0, Dtype::F64), field("y", 4, Dtype::F64)],
            vec![field("x", 12, Dtype::F64)],
            vec![field("x", u64::MAX, Dtype::F64)],
        ] {
            assert!(matches!(Dtype::compound(16, fields.clone()), Err(ErrorKind::BadRequest(_))), "{fields:?}");
        }
        let mut deep = Dtype::F64;
        let nest = |inner| Dtype::packed(vec![("x".to_owned(), inner, vec![])]);
        for _ in 0..DEEPEST {
            deep = nest(deep).expect("not too deep");
        }
        assert!(nest(deep).is_err());
    }
}

//! The header of a `.npy` file (NumPy format 1.0 to 3.0).

use h5part_base::dataspace::{Dtype, Field};
use h5part_base::error::ErrorKind;
use py_literal::Value;
use std::io::{self, Read};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy refuses longer ones too.
const LONGEST: usize = 10_000;
/// Most bytes of an element.
const MOST_TEXT_BYTES: u32 = 1 << 20;
/// Each level of nested compounds takes two levels of brackets. Anything deeper can only be meant to exhaust the stack.
const DEEPEST: usize = 10;
const TOO_DEEP: &str = "its type is nested too deeply";

/// The content of a `.npy` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// Element type.
    pub dtype: Dtype,
    /// Whether elements are big-endian.
    pub big_endian: bool,
    /// Whether elements are texts with four bytes per code point. They become UTF-8 of the same number of bytes.
    pub code_points: bool,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
    /// Shape.
    pub shape: Vec<u64>,
    /// Position of the first element in the file, in bytes.
    pub data_start: u64,
}

impl NpyHeader {
    /// Reads the header, up to the first element.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadNpy`], [`crate::ErrorKind::NpyType`], I/O errors.
    pub fn read(source: &mut impl Read) -> Result<Self, ErrorKind> {
        let mut head = [0; 8];
        read(source, &mut head)?;
        if head.starts_with(b"PK") {
            return Err(bad("it is an .npz archive: save each array separately with numpy.save"));
        }
        if matches!(head, [0x80, 2..=5, ..]) {
            return Err(bad("it is a pickled Python object: save an array of numbers with numpy.save"));
        }
        if head[..6] != *MAGIC {
            return Err(bad("it does not begin like one"));
        }
        if !(1..=3).contains(&head[6]) || head[7] != 0 {
            return Err(crate::ErrorKind::BadNpy(format!(
                "its version is {}.{}, but must be 1.0 to 3.0",
                head[6], head[7]
            ))
            .into());
        }
        let (len, before) = if head[6] == 1 {
            let mut len = [0; 2];
            read(source, &mut len)?;
            (usize::from(u16::from_le_bytes(len)), 10)
        } else {
            let mut len = [0; 4];
            read(source, &mut len)?;
            (usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX), 12)
        };
        if len > LONGEST {
            return Err(bad("its header is too long"));
        }
        let mut text = vec![0; len];
        read(source, &mut text)?;
        let text = if head[6] == 3 {
            String::from_utf8(text).map_err(|_| bad("its header is not text"))?
        } else {
            // Versions before are Latin-1, and Python 2 wrote its long integers as 5L.
            without_long(&text.iter().map(|&b| char::from(b)).collect::<String>())
        };
        Self::parse(&text, (before + len) as u64)
    }

    fn parse(text: &str, data_start: u64) -> Result<Self, ErrorKind> {
        if depth(text) > DEEPEST {
            return Err(bad(TOO_DEEP));
        }
        let value: Value = text.trim().parse().map_err(|_| bad("its header is not understood"))?;
        let Value::Dict(entries) = value else { return Err(bad("its header is not a dictionary")) };
        let get = |key: &str| entries.iter().find(|(k, _)| *k == Value::String(key.to_owned())).map(|(_, v)| v);
        let (Some(descr), Some(Value::Boolean(fortran_order)), Some(Value::Tuple(axes))) =
            (get("descr"), get("fortran_order"), get("shape"))
        else {
            return Err(bad("its header lacks descr, fortran_order or shape"));
        };
        let shape = shape_of(axes)?;
        let Found { dtype, big_endian, code_points } = parse_descr(descr)?;
        let header = Self { dtype, big_endian, code_points, fortran_order: *fortran_order, shape, data_start };
        header.data_bytes().ok_or_else(|| bad("it would be larger than a file can be"))?;
        Ok(header)
    }

    /// Number of elements. `None`: it overflows.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, &k| n.checked_mul(k))
    }

    /// Bytes of all elements. `None`: they overflow.
    #[must_use]
    pub fn data_bytes(&self) -> Option<u64> {
        let bytes = self.elements()?.checked_mul(self.dtype.size())?;
        i64::try_from(bytes).is_ok().then_some(bytes)
    }

    /// Encodes a header: little-endian, C order, in the oldest version that can express it. Texts in UTF-8 are written
    /// as numpy's texts, with four bytes per code point.
    #[must_use]
    pub fn to_bytes(dtype: Dtype, shape: &[u64]) -> Vec<u8> {
        let mut axes = shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        if shape.len() == 1 {
            axes.push(',');
        }
        let descr = if let Dtype::Text(n) = dtype { format!("'<U{n}'") } else { dtype.numpy() };
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ({axes}), }}");
        // It ends with a newline, at a multiple of 64 bytes.
        let filled = |before: usize| (before + text.len() + 1).next_multiple_of(64) - before;
        let mut bytes = MAGIC.to_vec();
        let len = match u16::try_from(filled(10)) {
            Ok(len) if text.is_ascii() => {
                bytes.extend([1, 0]);
                bytes.extend(len.to_le_bytes());
                filled(10)
            }
            _ => {
                bytes.extend([if text.is_ascii() { 2 } else { 3 }, 0]);
                bytes.extend(u32::try_from(filled(12)).unwrap_or(u32::MAX).to_le_bytes());
                filled(12)
            }
        };
        bytes.extend(text.bytes());
        bytes.resize(bytes.len() + len - 1 - text.len(), b' ');
        bytes.push(b'\n');
        bytes
    }
}

/// Replaces numbers such as `5L` by `5`. Quoted texts are kept.
fn without_long(text: &str) -> String {
    let (mut out, mut quote, mut before) = (String::with_capacity(text.len()), None, ' ');
    for c in text.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        if !(c == 'L' && quote.is_none() && before.is_ascii_digit()) {
            out.push(c);
        }
        before = c;
    }
    out
}

/// Nesting depth of brackets.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest) = (0usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => now += 1,
            ')' | ']' | '}' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

fn shape_of(axes: &[Value]) -> Result<Vec<u64>, ErrorKind> {
    let axis = |v: &Value| match v {
        Value::Integer(n) => u64::try_from(n.clone()).map_err(|_| bad("an axis is too long")),
        _ => Err(bad("its shape is not a tuple of numbers")),
    };
    axes.iter().map(axis).collect()
}

/// A type, with the layout of its elements.
struct Found {
    dtype: Dtype,
    big_endian: bool,
    code_points: bool,
}

fn parse_descr(descr: &Value) -> Result<Found, ErrorKind> {
    match descr {
        Value::String(code) => parse_code(code).ok_or_else(|| crate::ErrorKind::NpyType(code.clone()).into()),
        Value::List(fields) => Ok(Found { dtype: parse_fields(fields)?, big_endian: false, code_points: false }),
        _ => Err(bad("its type is not one that numpy.save writes for arrays")),
    }
}

fn parse_code(descr: &str) -> Option<Found> {
    let (order, kind) = descr.split_at_checked(1)?;
    let big = match order {
        "<" | "|" | "=" => false,
        ">" => true,
        _ => return None,
    };
    let length = || kind.get(1..)?.parse::<u32>().ok().filter(|&n| (1..=MOST_TEXT_BYTES / 4).contains(&n));
    if kind.starts_with('S') {
        return Some(Found { dtype: Dtype::Bytes(length()?), big_endian: false, code_points: false });
    }
    if kind.starts_with('U') {
        return Some(Found { dtype: Dtype::Text(length()? * 4), big_endian: big, code_points: true });
    }
    let dtype =
        Dtype::ALL.into_iter().find(|d| d.numpy().get(2..).and_then(|text| text.strip_suffix('\'')) == Some(kind))?;
    Some(Found { dtype, big_endian: big && dtype.word_bytes() > 1, code_points: false })
}

/// Parses tuples of name, type and optional shape. Gaps are byte fields without a name.
fn parse_fields(fields: &[Value]) -> Result<Dtype, ErrorKind> {
    let odd = || bad("its structured type is not understood");
    let (mut found, mut size) = (Vec::new(), 0u64);
    for field in fields {
        let Value::Tuple(parts) = field else { return Err(odd()) };
        let (name, descr, axes) = match &parts[..] {
            [Value::String(name), descr] => (name, descr, &[][..]),
            [Value::String(name), descr, Value::Tuple(axes)] => (name, descr, &axes[..]),
            _ => return Err(odd()),
        };
        if let (true, Value::String(code)) = (name.is_empty(), descr) {
            let gap = code.strip_prefix("|V").and_then(|n| n.parse::<u64>().ok()).ok_or_else(odd)?;
            size = size.checked_add(gap).ok_or_else(odd)?;
            continue;
        }
        let Found { dtype, big_endian, code_points } = parse_descr(descr)?;
        if big_endian || code_points {
            let Value::String(code) = descr else { return Err(odd()) };
            return Err(crate::ErrorKind::NpyType(format!("{code} in a structured type")).into());
        }
        let field = Field { name: name.clone(), offset: size, dtype, shape: shape_of(axes)? };
        size = field.bytes().and_then(|n| size.checked_add(n)).ok_or_else(odd)?;
        found.push(field);
    }
    if size > u64::from(MOST_TEXT_BYTES) {
        return Err(bad("its elements are too large"));
    }
    Dtype::compound(size, found).map_err(|e| crate::ErrorKind::BadNpy(e.to_string()).into())
}

fn bad(reason: &str) -> ErrorKind {
    crate::ErrorKind::BadNpy(reason.to_owned()).into()
}

fn read(source: &mut impl Read, buf: &mut [u8]) -> Result<(), ErrorKind> {
    source.read_exact(buf).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => bad("it is truncated"),
        _ => ErrorKind::Io(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn npy(text: &str) -> Result<NpyHeader, ErrorKind> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(text.len()).expect("short").to_le_bytes());
        bytes.extend(text.bytes());
        NpyHeader::read(&mut bytes.as_slice())
    }

    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn reads_what_it_writes() {
        for dtype in Dtype::ALL {
            for shape in [vec![], vec![5], vec![5, 3], vec![0, 100, 3]] {
                let bytes = NpyHeader::to_bytes(dtype, &shape);
                assert_eq!(bytes.len() % 64, 0);
                let header = NpyHeader::read(&mut bytes.as_slice()).expect("reads");
                assert_eq!((header.dtype, &header.shape, header.data_start), (dtype, &shape, bytes.len() as u64));
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn python_2_wrote_its_numbers_with_an_l() {
        let header = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (5L, 2L), }\n").expect("reads");
        assert_eq!(header.shape, [5, 2]);
        assert_eq!(without_long("{'5L': 15L, \"7L\": L8}"), "{'5L': 15, \"7L\": L8}");
    }

    #[test]
    fn versions_beyond_the_third_and_archives_are_refused() {
        for (head, reason) in [(&b"\x93NUMPY\x04\x00"[..], "version is 4.0"), (b"PK\x03\x04\x00\x00\x00\x00", ".npz")] {
            let error = NpyHeader::read(&mut [head, &[0; 100]].concat().as_slice()).expect_err("refused");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn reads_other_orders() {
        let header = npy("{'descr': '>f8', 'fortran_order': True, 'shape': (3, 4), }\n").expect("reads");
        assert!(header.big_endian && header.fortran_order);
    }

    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn refuses_what_it_cannot_read() {
        for text in [
            "",
            "{}",
            "[1]",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615, 2), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': [('a', '<f8'), ('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
            "{'descr': [], 'fortran_order': False, 'shape': (1,), }",
            "{'descr': [('a', '<f8', (-1,))], 'fortran_order': False, 'shape': (1,), }",
            "{'descr': ('<f8', (2,)), 'fortran_order': False, 'shape': (1,), }",
            &"(".repeat(9000),
            &format!(
                "{{'descr': {}'<f8'{}, 'fortran_order': False, 'shape': (1,)}}",
                "[('a', ".repeat(8),
                ")]".repeat(8)
            ),
        ] {
            assert!(matches!(npy(text), Err(e) if matches!(e.of(), Some(crate::ErrorKind::BadNpy(_)))), "{text:.60}");
        }
        for descr in ["<U0", "|S0", "|V8", "<M8[s]", "<f16", "|O"] {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}");
            assert!(
                matches!(npy(&text), Err(e) if matches!(e.of(), Some(crate::ErrorKind::NpyType(found)) if found == descr)),
                "{descr}"
            );
        }
        for descr in [">f8", "<U3"] {
            let text = format!("{{'descr': [('a', '{descr}')], 'fortran_order': False, 'shape': (1,), }}");
            assert!(npy(&text).expect_err("is refused").to_string().contains(&format!("{descr} in a structured")));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn texts_and_structured_types() {
        let dtype = |descr: &str| {
            let header = npy(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3,), }}")).expect("reads");
            (header.dtype, header.big_endian, header.code_points)
        };
        assert_eq!(dtype("'|S5'"), (Dtype::Bytes(5), false, false));
        assert_eq!(dtype("'>U5'"), (Dtype::Text(20), true, true));
        assert_eq!(dtype("'>c16'"), (Dtype::C128, true, false));
        for text in ["{x:f64,y:f32:3,z:{re:i8,s:S4:2x2}}", "{é:bool,'\\:c64}"] {
            let dtype: Dtype = text.parse().expect("reads");
            let header = NpyHeader::read(&mut NpyHeader::to_bytes(dtype, &[3]).as_slice()).expect("reads");
            assert_eq!(header.dtype, dtype, "{text}");
        }
        let gaps = dtype("[('a', '|u1'), ('', '|V7'), ('b', '<f8'), ('', '|V8')]").0;
        assert_eq!(gaps.to_string(), "{a:u8,b@8:f64} in 24 bytes");
        assert_eq!(NpyHeader::read(&mut NpyHeader::to_bytes(gaps, &[3]).as_slice()).expect("reads").dtype, gaps);
    }

    #[test]
    fn names_what_is_not_an_array_of_numbers() {
        let refused = |bytes: &[u8]| NpyHeader::read(&mut &bytes[..]).expect_err("is refused").to_string();
        assert!(refused(b"PK\x03\x04........").contains(".npz") && refused(b"\x80\x04........").contains("pickle"));
    }

    /// A header has no checksum, so a flipped digit gives another shape. Truncated headers are noticed.
    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn every_truncation_is_noticed_and_no_bit_flip_makes_a_file_without_a_size() {
        let bytes = NpyHeader::to_bytes(Dtype::F64, &[120, 100, 3]);
        for len in 0..bytes.len() {
            assert!(
                matches!(NpyHeader::read(&mut &bytes[..len]), Err(e) if matches!(e.of(), Some(crate::ErrorKind::BadNpy(_)))),
                "{len} bytes"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            match NpyHeader::read(&mut other.as_slice()) {
                Ok(header) => {
                    assert!(bit / 8 >= 6 && header.data_bytes().is_some(), "bit {bit}: {header:?}");
                    assert!(header.data_start <= other.len() as u64, "bit {bit}: {header:?}");
                }
                Err(e) => assert!(e.of::<crate::ErrorKind>().is_some(), "bit {bit}: {e}"),
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut whole = b"\x93NUMPY\x01\x00\x60\x00".to_vec();
            whole.extend(bytes);
            let _ = NpyHeader::read(&mut whole.as_slice());
        }
    }
}

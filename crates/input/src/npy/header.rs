//! The header of a `.npy` file (NumPy format 1.0 to 3.0).

use h5part_base::dataspace::Dtype;
use h5part_base::error::ErrorKind;
use py_literal::Value;
use std::io::{self, Read};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy refuses longer ones too.
const LONGEST: usize = 10_000;
const STRUCTURED: &str = "its type is structured: save each field as an array of its own";
/// Tuples in a dictionary nest twice; deeper nesting is only there to exhaust the stack.
const DEEPEST: usize = 4;

/// What a `.npy` file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Element type.
    pub dtype: Dtype,
    /// Whether elements are big-endian.
    pub big_endian: bool,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
    /// Shape.
    pub shape: Vec<u64>,
    /// Position of the first element in the file, in bytes.
    pub data_start: u64,
}

impl Header {
    /// Reads up to the first element.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadNpy`], [`crate::ErrorKind::NpyType`], I/O errors.
    pub fn read(source: &mut impl Read) -> Result<Self, ErrorKind> {
        let mut head = [0; 8];
        read(source, &mut head)?;
        if head.starts_with(b"PK") {
            return Err(bad("it is an .npz archive: save each array by itself with numpy.save"));
        }
        if matches!(head, [0x80, 2..=5, ..]) {
            return Err(bad("it is a pickled Python object: save an array of numbers with numpy.save"));
        }
        if head[..6] != *MAGIC {
            return Err(bad("it does not start like one"));
        }
        if !(1..=3).contains(&head[6]) || head[7] != 0 {
            return Err(crate::ErrorKind::BadNpy(format!(
                "its version is {}.{}; 1.0 to 3.0 are known",
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
        let open = |depth: usize, c| match c {
            '(' | '[' | '{' => depth + 1,
            _ => depth,
        };
        if text.chars().fold(0, open) > DEEPEST {
            return Err(bad(STRUCTURED));
        }
        let value: Value = text.trim().parse().map_err(|_| bad("its header is not understood"))?;
        let Value::Dict(entries) = value else { return Err(bad("its header is not a dictionary")) };
        let get = |key: &str| entries.iter().find(|(k, _)| *k == Value::String(key.to_owned())).map(|(_, v)| v);
        if matches!(get("descr"), Some(Value::List(_) | Value::Tuple(_))) {
            return Err(bad(STRUCTURED));
        }
        let (Some(Value::String(descr)), Some(Value::Boolean(fortran_order)), Some(Value::Tuple(axes))) =
            (get("descr"), get("fortran_order"), get("shape"))
        else {
            return Err(bad("its header lacks descr, fortran_order or shape"));
        };
        let axis = |v: &Value| match v {
            Value::Integer(n) => u64::try_from(n.clone()).map_err(|_| bad("an axis is too long")),
            _ => Err(bad("its shape is not a tuple of numbers")),
        };
        let shape = axes.iter().map(axis).collect::<Result<Vec<_>, _>>()?;
        let (dtype, big_endian) = parse_descr(descr).ok_or_else(|| crate::ErrorKind::NpyType(descr.clone()))?;
        let header = Self { dtype, big_endian, fortran_order: *fortran_order, shape, data_start };
        header.data_bytes().ok_or_else(|| bad("it would be larger than a file can be"))?;
        Ok(header)
    }

    /// Number of elements, unless it overflows.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, &k| n.checked_mul(k))
    }

    /// Bytes of all elements, unless they overflow.
    #[must_use]
    pub fn data_bytes(&self) -> Option<u64> {
        let bytes = self.elements()?.checked_mul(self.dtype.size())?;
        i64::try_from(bytes).is_ok().then_some(bytes)
    }

    /// The header's own bytes, for version 1.0, little-endian, C order.
    #[must_use]
    pub fn to_bytes(dtype: Dtype, shape: &[u64]) -> Vec<u8> {
        let mut axes = shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        if shape.len() == 1 {
            axes.push(',');
        }
        let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({axes}), }}", descr(dtype));
        // Ends with a newline, on a multiple of 64 bytes.
        let padded = (10 + text.len() + 1).next_multiple_of(64) - 11;
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend(u16::try_from(padded + 1).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend(format!("{text:padded$}\n").bytes());
        bytes
    }
}

/// The text with numbers such as `5L` as `5`; texts in quotes stay.
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

fn parse_descr(descr: &str) -> Option<(Dtype, bool)> {
    let (order, kind) = descr.split_at_checked(1)?;
    let big = match order {
        "<" | "|" | "=" => false,
        ">" => true,
        _ => return None,
    };
    let found = Dtype::ALL.into_iter().find(|&d| self::descr(d)[1..] == *kind)?;
    Some((found, big && found.size() > 1))
}

fn descr(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "<f4",
        Dtype::F64 => "<f8",
        Dtype::I8 => "|i1",
        Dtype::I16 => "<i2",
        Dtype::I32 => "<i4",
        Dtype::I64 => "<i8",
        Dtype::U8 => "|u1",
        Dtype::U16 => "<u2",
        Dtype::U32 => "<u4",
        Dtype::U64 => "<u8",
        Dtype::Bool => "|b1",
    }
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

    fn npy(text: &str) -> Result<Header, ErrorKind> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(text.len()).expect("short").to_le_bytes());
        bytes.extend(text.bytes());
        Header::read(&mut bytes.as_slice())
    }

    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn reads_what_it_writes() {
        for dtype in Dtype::ALL {
            for shape in [vec![], vec![5], vec![5, 3], vec![0, 100, 3]] {
                let bytes = Header::to_bytes(dtype, &shape);
                assert_eq!(bytes.len() % 64, 0);
                let header = Header::read(&mut bytes.as_slice()).expect("reads");
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
            let error = Header::read(&mut [head, &[0; 100]].concat().as_slice()).expect_err("refused");
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
            "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
            &"(".repeat(9000),
        ] {
            assert!(matches!(npy(text), Err(e) if matches!(e.of(), Some(crate::ErrorKind::BadNpy(_)))), "{text:.60}");
        }
        for descr in ["<U3", "<f2", "<c16", "|O"] {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}");
            assert!(
                matches!(npy(&text), Err(e) if matches!(e.of(), Some(crate::ErrorKind::NpyType(found)) if found == descr)),
                "{descr}"
            );
        }
    }

    #[test]
    fn names_what_is_not_an_array_of_numbers() {
        let refused = |bytes: &[u8]| Header::read(&mut &bytes[..]).expect_err("is refused").to_string();
        assert!(refused(b"PK\x03\x04........").contains(".npz") && refused(b"\x80\x04........").contains("pickle"));
        for descr in ["[('a', '<f8')]", "('<f8', (2,))"] {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}");
            assert!(npy(&text).expect_err("is refused").to_string().contains("structured"), "{descr}");
        }
    }

    /// A header has no checksum: a flipped digit is another shape. Cut ones are noticed.
    #[test]
    #[cfg_attr(miri, ignore = "the parser of Python literals takes minutes")]
    fn every_truncation_is_noticed_and_no_bit_flip_makes_a_file_without_a_size() {
        let bytes = Header::to_bytes(Dtype::F64, &[120, 100, 3]);
        for len in 0..bytes.len() {
            assert!(
                matches!(Header::read(&mut &bytes[..len]), Err(e) if matches!(e.of(), Some(crate::ErrorKind::BadNpy(_)))),
                "{len} bytes"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            match Header::read(&mut other.as_slice()) {
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
            let _ = Header::read(&mut whole.as_slice());
        }
    }
}

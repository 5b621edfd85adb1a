//! Descriptions of types for numpy.

use super::{Bool, Bytes, C64, C128, Compound, Dtype, Enum, F16, F32, F64, I8, I16, I32, I64, Text, U8, U16, U32, U64};
use std::fmt::Write;

impl Dtype {
    /// The layout of an element as a Python literal, which `numpy.lib.format.descr_to_dtype` takes and `.npy` files
    /// contain. A text becomes bytes, an enum its underlying whole number, a gap in a compound a field without a name.
    #[must_use]
    pub fn numpy(self) -> String {
        let code = match self {
            F16 => "<f2",
            F32 => "<f4",
            F64 => "<f8",
            I8 => "|i1",
            I16 => "<i2",
            I32 => "<i4",
            I64 => "<i8",
            U8 => "|u1",
            U16 => "<u2",
            U32 => "<u4",
            U64 => "<u8",
            Bool => "|b1",
            C64 => "<c8",
            C128 => "<c16",
            Bytes(n) | Text(n) => return format!("'|S{n}'"),
            Enum(kind) => return kind.base.numpy(),
            Compound(kind) => {
                let (mut parts, mut next) = (Vec::new(), 0);
                let gap = |bytes: u64| format!("('', '|V{bytes}')");
                for field in &in_order(kind.fields()) {
                    if field.offset > next {
                        parts.push(gap(field.offset - next));
                    }
                    next = field.offset + field.bytes().unwrap_or(0);
                    let shape = match &field.shape[..] {
                        [] => String::new(),
                        [one] => format!(", ({one},)"),
                        more => format!(", ({})", more.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
                    };
                    parts.push(format!("({}, {}{shape})", literal(&field.name), field.dtype.numpy()));
                }
                if kind.size() > next {
                    parts.push(gap(kind.size() - next));
                }
                return format!("[{}]", parts.join(", "));
            }
        };
        format!("'{code}'")
    }
}

fn in_order(fields: &[super::Field]) -> Vec<&super::Field> {
    let mut fields: Vec<&super::Field> = fields.iter().collect();
    fields.sort_by_key(|field| field.offset);
    fields
}

/// A quoted text.
fn literal(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions() {
        let numpy = |text: &str| text.parse::<Dtype>().expect("reads").numpy();
        assert_eq!(
            ["i8", "<i8", "S4", "<U4", "enum(u16){a=1}"].map(numpy),
            ["'|i1'", "'<i8'", "'|S4'", "'|S16'", "'<u2'"]
        );
        assert_eq!(numpy("{a'b:f8,y:c8:3,z:u1:2x2}"), r"[('a\'b', '<f8'), ('y', '<c8', (3,)), ('z', '|u1', (2, 2))]");
        let field =
            |name: &str, offset, dtype| super::super::Field { name: name.to_owned(), offset, dtype, shape: vec![] };
        let padded = Dtype::compound(24, vec![field("b", 8, F64), field("a", 0, U8)]).expect("fits");
        assert_eq!(padded.numpy(), "[('a', '|u1'), ('', '|V7'), ('b', '<f8'), ('', '|V8')]");
    }
}

//! Explicit conversion between element types.

use h5part_base::dataspace::Dtype;
use half::f16;

/// One element during the conversion from one type to another.
#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

/// Converts little-endian elements of `from` to elements of `to`. `None`: a value does not fit. It is out of range, a
/// fraction for a whole number, a whole number that a float cannot hold exactly, a text that is too long, or a complex
/// number for a real one. Only the last digits of floats are rounded, to f32 and f16.
#[must_use]
pub fn cast(from: Dtype, to: Dtype, bytes: &[u8]) -> Option<Vec<u8>> {
    match (from, to) {
        _ if from.relabels(to) => return from.relabel(to, bytes),
        (Dtype::Enum(kind), _) => return cast(kind.base(), to, bytes),
        (_, Dtype::Enum(kind)) => return kind_of(to, cast(from, kind.base(), bytes)?),
        (Dtype::C64 | Dtype::C128, Dtype::C64 | Dtype::C128) => return cast(part(from), part(to), bytes),
        (_, Dtype::C64 | Dtype::C128) => return Some(complex(part(to), &cast(from, part(to), bytes)?)),
        _ => {}
    }
    let size = usize::try_from(from.size()).ok()?;
    let mut out = Vec::with_capacity(bytes.len() / size * usize::try_from(to.size()).ok()?);
    for element in bytes.chunks_exact(size) {
        write(read(from, element)?, to, &mut out)?;
    }
    Some(out)
}

/// The bytes, if they are valid elements of this type.
fn kind_of(dtype: Dtype, bytes: Vec<u8>) -> Option<Vec<u8>> {
    dtype.flaw_of(&bytes).is_none().then_some(bytes)
}

/// The type of the two parts of a complex number.
fn part(dtype: Dtype) -> Dtype {
    if dtype == Dtype::C64 { Dtype::F32 } else { Dtype::F64 }
}

/// Complex numbers with these real parts.
fn complex(part: Dtype, real: &[u8]) -> Vec<u8> {
    let size = usize::try_from(part.size()).unwrap_or(8);
    let zero = vec![0; size];
    real.chunks_exact(size).flat_map(|real| [real, &zero]).flatten().copied().collect()
}

fn read(dtype: Dtype, b: &[u8]) -> Option<Number> {
    use Number::{Float, Int};
    Some(match dtype {
        Dtype::F32 => Float(f64::from(f32::from_le_bytes(b.try_into().ok()?))),
        Dtype::F64 => Float(f64::from_le_bytes(b.try_into().ok()?)),
        Dtype::I8 => Int(i128::from(i8::from_le_bytes(b.try_into().ok()?))),
        Dtype::I16 => Int(i128::from(i16::from_le_bytes(b.try_into().ok()?))),
        Dtype::I32 => Int(i128::from(i32::from_le_bytes(b.try_into().ok()?))),
        Dtype::I64 => Int(i128::from(i64::from_le_bytes(b.try_into().ok()?))),
        Dtype::U8 | Dtype::Bool => Int(i128::from(b[0])),
        Dtype::U16 => Int(i128::from(u16::from_le_bytes(b.try_into().ok()?))),
        Dtype::U32 => Int(i128::from(u32::from_le_bytes(b.try_into().ok()?))),
        Dtype::U64 => Int(i128::from(u64::from_le_bytes(b.try_into().ok()?))),
        Dtype::F16 => Float(f16::from_le_bytes(b.try_into().ok()?).to_f64()),
        Dtype::C64 | Dtype::C128 | Dtype::Bytes(_) | Dtype::Text(_) | Dtype::Enum(_) | Dtype::Compound(_) => {
            return None;
        }
    })
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "what would be lost is looked at")]
fn write(number: Number, to: Dtype, out: &mut Vec<u8>) -> Option<()> {
    let float = match number {
        Number::Int(n) => Some(n as f64).filter(|x| *x as i128 == n),
        Number::Float(x) => Some(x),
    };
    let short = || {
        let (x, short) = (float?, float? as f32);
        (x.is_infinite() || !short.is_infinite()).then_some(short)
    };
    let whole = match number {
        Number::Int(n) => Some(n),
        Number::Float(x) => (x.fract() == 0.0 && x.abs() < 1e30).then_some(x as i128),
    };
    match to {
        Dtype::F32 => out.extend(short()?.to_le_bytes()),
        Dtype::F64 => out.extend(float?.to_le_bytes()),
        Dtype::I8 => out.extend(i8::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::I16 => out.extend(i16::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::I32 => out.extend(i32::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::I64 => out.extend(i64::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::U8 => out.extend(u8::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::U16 => out.extend(u16::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::U32 => out.extend(u32::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::U64 => out.extend(u64::try_from(whole?).ok()?.to_le_bytes()),
        Dtype::Bool => out.push(u8::try_from(whole?).ok().filter(|&b| b <= 1)?),
        Dtype::F16 => {
            let (x, half) = (float?, f16::from_f64(float?));
            out.extend((x.is_infinite() || !half.is_infinite()).then_some(half)?.to_le_bytes());
        }
        Dtype::C64 | Dtype::C128 | Dtype::Bytes(_) | Dtype::Text(_) | Dtype::Enum(_) | Dtype::Compound(_) => {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_what_fits_and_refuses_the_rest() {
        let f32s = [1.5f32, f32::NAN].map(f32::to_le_bytes).concat();
        let f64s = cast(Dtype::F32, Dtype::F64, &f32s).expect("fits");
        assert_eq!(f64s[..8], 1.5f64.to_le_bytes());
        assert_eq!(cast(Dtype::I64, Dtype::U8, &300i64.to_le_bytes()), None);
        assert_eq!(cast(Dtype::I64, Dtype::U8, &255i64.to_le_bytes()), Some(vec![255]));
        assert_eq!(cast(Dtype::F64, Dtype::I32, &1.5f64.to_le_bytes()), None);
        assert_eq!(cast(Dtype::F64, Dtype::I32, &f64::NAN.to_le_bytes()), None);
        assert_eq!(cast(Dtype::F64, Dtype::I32, &(-3.0f64).to_le_bytes()), Some((-3i32).to_le_bytes().to_vec()));
        assert_eq!(cast(Dtype::U64, Dtype::I64, &u64::MAX.to_le_bytes()), None);
        assert_eq!(cast(Dtype::I8, Dtype::Bool, &[2]), None);
        assert_eq!(cast(Dtype::F64, Dtype::F32, &1e300f64.to_le_bytes()), None);
        assert_eq!(
            cast(Dtype::F64, Dtype::F32, &f64::INFINITY.to_le_bytes()),
            Some(f32::INFINITY.to_le_bytes().to_vec())
        );
        assert_eq!(cast(Dtype::I64, Dtype::F64, &((1i64 << 53) + 1).to_le_bytes()), None);
        assert_eq!(cast(Dtype::F64, Dtype::F16, &1e6f64.to_le_bytes()), None);
        let half = cast(Dtype::I8, Dtype::F16, &[3]).expect("fits");
        assert_eq!(cast(Dtype::F16, Dtype::C64, &half), Some([3f32, 0.0].map(f32::to_le_bytes).concat()));
        let pair = [1.5f64, -2.0].map(f64::to_le_bytes).concat();
        assert_eq!(cast(Dtype::C128, Dtype::C64, &pair), Some([1.5f32, -2.0].map(f32::to_le_bytes).concat()));
        assert_eq!(cast(Dtype::C128, Dtype::F64, &pair), None);
        let state: Dtype = "enum(u8){a=1}".parse().expect("reads");
        assert_eq!(cast(Dtype::F64, state, &1f64.to_le_bytes()), Some(vec![1]));
        assert_eq!(cast(Dtype::I64, state, &2i64.to_le_bytes()), None);
        assert_eq!(cast(state, Dtype::I16, &[1]), Some(vec![1, 0]));
        assert_eq!(cast(Dtype::Bytes(3), Dtype::I16, b"abc"), None);
    }
}

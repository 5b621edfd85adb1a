//! Filters that this crate implements and the HDF5 library lacks: LZF and Zstandard. They are registered with the
//! library. It needs them where it decodes or encodes values itself: for texts of variable length and datasets that it
//! copies.
#![expect(unsafe_code, reason = "callbacks of a C library; the design allows it here")]

use crate::h5::library::raw::call;
use hdf5_sys::h5::{H5allocate_memory, H5free_memory};
use hdf5_sys::h5z::{H5Z_FLAG_REVERSE, H5Z_class2_t, H5Zfilter_avail, H5Zregister};
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::io::Read;
use std::sync::Once;

/// Registered number of LZF.
const LZF: c_int = 32000;
/// Registered number of Zstandard.
const ZSTD: c_int = 32015;
/// Largest chunk, in bytes.
const MOST_CHUNK_BYTES: u64 = u32::MAX as u64;
/// Version of the structure that describes a filter.
const CLASS_VERSION: c_int = 1;
/// Level of Zstandard if a dataset gives none.
const DEFAULT_LEVEL: i32 = 3;

/// The callback's signature: flags, count and array of parameters, bytes, size of the buffer, the buffer.
type Callback = unsafe extern "C" fn(c_uint, usize, *const c_uint, usize, *mut usize, *mut *mut c_void) -> usize;

/// Registers the filters, once per process. A filter that the library already has is kept.
pub(in crate::h5) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let known: [(c_int, &CStr, Callback); 2] = [(LZF, c"lzf", run::<Lzf>), (ZSTD, c"zstd", run::<Zstd>)];
        for (id, name, filter) in known.into_iter().filter(|(id, ..)| !is_available(*id)) {
            let class = H5Z_class2_t {
                version: CLASS_VERSION,
                id,
                encoder_present: 1,
                decoder_present: 1,
                name: name.as_ptr(),
                can_apply: None,
                set_local: None,
                filter: Some(filter),
            };
            // If registration fails, datasets with this filter are reported as unreadable.
            let _ = call!(H5Zregister, (&raw const class).cast());
        }
    });
}

/// Whether the library can decode a filter.
pub(in crate::h5) fn is_available(id: c_int) -> bool {
    call!(H5Zfilter_avail, id).is_ok_and(|there| there > 0)
}

/// A filter's work on the bytes of a chunk. `None`: it failed.
trait ChunkCodec {
    fn pack(data: &[u8], parameters: &[c_uint]) -> Option<Vec<u8>>;

    /// `room`: capacity of the library's buffer in bytes.
    fn unpack(data: &[u8], parameters: &[c_uint], room: usize) -> Option<Vec<u8>>;
}

struct Lzf;

impl ChunkCodec for Lzf {
    fn pack(data: &[u8], _: &[c_uint]) -> Option<Vec<u8>> {
        lzf::compress(data).ok().filter(|packed| packed.len() < data.len())
    }

    fn unpack(data: &[u8], parameters: &[c_uint], room: usize) -> Option<Vec<u8>> {
        // The third parameter is the length of a chunk, which the packed data does not say.
        let chunk = parameters.get(2).map_or(0, |&bytes| bytes as usize);
        let mut len = if chunk > 0 { chunk } else { room.max(data.len()) };
        loop {
            match lzf::decompress(data, len) {
                Ok(whole) => return Some(whole),
                Err(lzf::LzfError::BufferTooSmall) if (len as u64) < MOST_CHUNK_BYTES => len *= 2,
                Err(_) => return None,
            }
        }
    }
}

struct Zstd;

impl ChunkCodec for Zstd {
    fn pack(data: &[u8], parameters: &[c_uint]) -> Option<Vec<u8>> {
        let level = parameters.first().and_then(|&level| i32::try_from(level).ok()).unwrap_or(DEFAULT_LEVEL);
        zstd::bulk::compress(data, level).ok()
    }

    fn unpack(data: &[u8], _: &[c_uint], _: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        zstd::Decoder::new(data).ok()?.take(MOST_CHUNK_BYTES).read_to_end(&mut whole).ok()?;
        Some(whole)
    }
}

/// The callback of a filter. Replaces the library's bytes by the filter's output. Returns the number of bytes of
/// output; 0 means that it failed and changed nothing.
///
/// # Safety
/// The library must call it: with `count` parameters and `bytes` bytes in the buffer. It owns `buffer` and `room`.
unsafe extern "C" fn run<C: ChunkCodec>(
    flags: c_uint,
    count: usize,
    parameters: *const c_uint,
    bytes: usize,
    room: *mut usize,
    buffer: *mut *mut c_void,
) -> usize {
    // SAFETY: the caller's promise. The old buffer is freed with the library's allocator, and the new one comes from
    // it.
    unsafe {
        let parameters = if count > 0 { std::slice::from_raw_parts(parameters, count) } else { &[] };
        let data = std::slice::from_raw_parts((*buffer).cast::<u8>(), bytes);
        let unpacks = flags & H5Z_FLAG_REVERSE != 0;
        let made = if unpacks { C::unpack(data, parameters, *room) } else { C::pack(data, parameters) };
        let Some(made) = made.filter(|made| !made.is_empty()) else { return 0 };
        let new = H5allocate_memory(made.len(), 0);
        if new.is_null() {
            return 0;
        }
        std::ptr::copy_nonoverlapping(made.as_ptr(), new.cast::<u8>(), made.len());
        H5free_memory(*buffer);
        (*buffer, *room) = (new, made.len());
        made.len()
    }
}

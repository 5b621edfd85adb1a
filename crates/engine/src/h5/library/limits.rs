//! Limits for files of unknown origin, since a malformed file may make the library do anything. They hold for the whole
//! process, so they are meant for one that does nothing else. `h5part` starts one for the purpose.
#![expect(unsafe_code, reason = "calls of a C library; the design allows it here")]

use crate::h5::Failed;
use h5part_base::sync;
use hdf5_sys::h5l::H5L_type_t;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Time limit for one look at a file. The length of the file adds to it.
const LOOK: Duration = Duration::from_secs(60);
const BYTES_A_SECOND: u64 = 10 << 20;
/// Interval between looks at the clock.
const TICK: Duration = Duration::from_millis(50);

static ALLOWED: OnceLock<Option<Duration>> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(0);
static LOOKS: Mutex<BTreeMap<u64, Instant>> = Mutex::new(BTreeMap::new());

/// Limits this process. It loads no filter plugin and follows no link into another file. It calls `overdue` when the
/// library is busy with one look at a file for longer than `allowed` (`None`: a minute, and more for a long file).
///
/// # Errors
/// Library errors.
pub fn limit(allowed: Option<Duration>, overdue: fn() -> !) -> Result<(), Failed> {
    hdf5::sync::sync(|| {
        // SAFETY: sets flags of the library. It takes a mask, which the bindings declare as a pointer.
        hdf5::h5check(unsafe { hdf5_sys::h5pl::H5PLset_loading_state(std::ptr::null_mut()) })?;
        // SAFETY: the library copies the class and replaces its own by it.
        let registered = unsafe { hdf5_sys::h5l::H5Lregister((&raw const LEADS_NOWHERE).cast()) };
        if registered >= 0 {
            return Ok(0);
        }
        // An older library. There such links cannot be copied, either.
        // SAFETY: removes a class of links from the library's table.
        hdf5::h5check(unsafe { hdf5_sys::h5l::H5Lunregister(H5L_type_t::H5L_TYPE_EXTERNAL) })
    })?;
    if ALLOWED.set(allowed).is_ok() {
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(TICK);
                if looks().values().any(|&deadline| Instant::now() > deadline) {
                    overdue();
                }
            }
        });
    }
    Ok(())
}

/// External links that can be copied, but not followed.
static LEADS_NOWHERE: LinkClass = LinkClass {
    version: 1,
    id: H5L_type_t::H5L_TYPE_EXTERNAL,
    comment: c"not followed".as_ptr(),
    create: None,
    rename: None,
    copy: None,
    traverse: refuse,
    delete: None,
    query: value,
};

/// `H5L_class_t` in its version 1. The bindings have the one before.
#[repr(C)]
struct LinkClass {
    version: c_int,
    id: H5L_type_t,
    comment: *const c_char,
    create: Option<extern "C" fn()>,
    rename: Option<extern "C" fn()>,
    copy: Option<extern "C" fn()>,
    traverse: extern "C" fn(*const c_char, i64, *const c_void, usize, i64, i64) -> i64,
    delete: Option<extern "C" fn()>,
    query: extern "C" fn(*const c_char, *const c_void, usize, *mut c_void, usize) -> isize,
}

// SAFETY: a constant table of functions, and a constant text.
unsafe impl Sync for LinkClass {}

extern "C" fn refuse(
    _name: *const c_char,
    _group: i64,
    _value: *const c_void,
    _size: usize,
    _access: i64,
    _transfer: i64,
) -> i64 {
    -1
}

/// Returns the size, and copies as much of the value as there is room for, as the library expects.
extern "C" fn value(_name: *const c_char, value: *const c_void, size: usize, room: *mut c_void, bytes: usize) -> isize {
    if !room.is_null() {
        // SAFETY: the value has `size` bytes, and `room` has space for `bytes` elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(value.cast::<u8>(), room.cast::<u8>(), size.min(bytes)) };
    }
    isize::try_from(size).unwrap_or(-1)
}

fn looks() -> MutexGuard<'static, BTreeMap<u64, Instant>> {
    sync::lock(&LOOKS)
}

/// While this lives, the library is busy with a file.
#[derive(Debug)]
pub(in crate::h5) struct Look {
    id: u64,
    allowed: Option<Duration>,
}

impl Look {
    /// Begins a look at a file of `len` bytes.
    pub(in crate::h5) fn begin(len: u64) -> Self {
        let allowed = ALLOWED.get().map(|fixed| fixed.unwrap_or(LOOK + Duration::from_secs(len / BYTES_A_SECOND)));
        let look = Self { id: NEXT.fetch_add(1, Ordering::Relaxed), allowed };
        look.touch();
        look
    }

    /// Reports progress: the time limit starts again.
    pub(in crate::h5) fn touch(&self) {
        if let Some(allowed) = self.allowed {
            looks().insert(self.id, Instant::now() + allowed);
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if self.allowed.is_some() {
            looks().remove(&self.id);
        }
    }
}

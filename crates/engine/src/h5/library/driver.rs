//! HDF5's virtual file driver over a [`StorageFile`]. The library's own reads and writes pass through the storage seam,
//! and the library opens no descriptor and takes no lock.
//!
//! The layout of `H5FD_class_t` is that of version 1 (HDF5 1.14 to 2.x, `H5FDdevelop.h`); `hdf5-metno-sys` has an older
//! one. While a file is read, the driver records which bytes the library looks at. This is how
//! [`super::MetadataFingerprint`] knows the metadata that a layout rests on. The caller chooses where writes go: to a
//! file that is built beside its final name, or to one under an overlay. Neither counts until it is sealed.
#![expect(unsafe_code, reason = "callbacks of a C library; the design allows it here")]

use crate::h5::library::limits::Look;
use h5part_base::num::to_usize;
use h5part_base::storage::{PIECE, StorageFile};
use h5part_base::sync;
use hdf5_sys::h5p::{H5Pget_driver_info, H5Pset_driver};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

type Hid = i64;
type Herr = c_int;
type Address = u64;
type MemoryType = c_int;

/// `H5FD_FEAT_DEFAULT_VFD_COMPATIBLE`: the file is an ordinary one. The flags for sieve and aggregation are not set.
const FEATURES: c_ulong = 0x8000;
/// `H5FD_CTL_FAIL_IF_UNKNOWN_FLAG`.
const FAIL_IF_UNKNOWN: u64 = 1;

/// Where the bytes of one open file come from, and what was read of them.
#[derive(Debug)]
pub(in crate::h5) struct FileSource {
    file: Arc<dyn StorageFile>,
    /// The only name that the library may open through it.
    name: CString,
    writable: bool,
    len: AtomicU64,
    /// How many files the library has open on it.
    opens: AtomicU64,
    /// Extents read so far, of metadata and attributes. `None`: not recording.
    extents: Mutex<Option<Vec<(u64, usize)>>>,
    /// The system's own error. HDF5 would only report "read failed".
    failure: Mutex<Option<io::Error>>,
    /// Set after a failed write: no later write is made.
    doomed: AtomicBool,
    /// The end of allocations never falls below this.
    least_end: u64,
    /// The watchdog while it is written to. There is no total limit, but progress must be made.
    look: Option<Look>,
}

impl FileSource {
    /// For reading, with recording.
    pub(in crate::h5) fn reading(file: Arc<dyn StorageFile>, path: &Path) -> io::Result<Self> {
        Self::new(file, path, Some(Vec::new()))
    }

    /// For writing, to a file without a name of its own yet or to one under an overlay.
    pub(in crate::h5) fn writing(file: Arc<dyn StorageFile>, path: &Path) -> io::Result<Self> {
        let len = file.identity()?.len;
        Ok(Self { writable: true, look: Some(Look::begin(len)), ..Self::new(file, path, None)? })
    }

    /// As [`FileSource::writing`], but all bytes of the file count as allocated, whatever the superblock says. A SWMR
    /// writer that died did not record where its file ends.
    pub(in crate::h5) fn keeping_all(file: Arc<dyn StorageFile>, path: &Path) -> io::Result<Self> {
        let least_end = file.identity()?.len;
        Ok(Self { least_end, ..Self::writing(file, path)? })
    }

    fn new(file: Arc<dyn StorageFile>, path: &Path, extents: Option<Vec<(u64, usize)>>) -> io::Result<Self> {
        let len = AtomicU64::new(file.identity()?.len);
        let (extents, failure) = (Mutex::new(extents), Mutex::new(None));
        let (opens, doomed) = (AtomicU64::new(0), AtomicBool::new(false));
        let name = c_path(path)?;
        Ok(Self { file, name, writable: false, len, opens, extents, failure, doomed, least_end: 0, look: None })
    }

    /// Whether the library still has it open because an object of the file is in use.
    pub(in crate::h5) fn is_open(&self) -> bool {
        self.opens.load(Ordering::Acquire) > 0
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Runs a write. A failure is hidden from the library: told of it, the library would keep objects that are neither
    /// open nor closed, and crash over them later. Nothing is written after a failure. The owner of the source asks it
    /// in the end whether a write failed.
    fn change(&self, body: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if !self.doomed.load(Ordering::Acquire)
            && let Err(e) = body()
        {
            self.doomed.store(true, Ordering::Release);
            *sync::lock(&self.failure) = Some(e);
        }
        Ok(())
    }

    /// Reports progress to the watchdog.
    pub(in crate::h5) fn touch(&self) {
        if let Some(look) = &self.look {
            look.touch();
        }
    }

    fn write(&self, address: u64, buf: &[u8]) -> io::Result<()> {
        self.touch();
        let mut at = address;
        for piece in buf.chunks(PIECE) {
            self.file.write_at(piece, at)?;
            at += piece.len() as u64;
        }
        self.len.fetch_max(at, Ordering::AcqRel);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len != self.len() {
            self.file.set_len(len)?;
            self.len.store(len, Ordering::Release);
        }
        Ok(())
    }

    /// Stops recording and returns what was recorded.
    pub(in crate::h5) fn take_extents(&self) -> Vec<(u64, usize)> {
        sync::lock(&self.extents).take().unwrap_or_default()
    }

    pub(in crate::h5) fn take_failure(&self) -> Option<io::Error> {
        sync::lock(&self.failure).take()
    }

    /// Reads bytes; those past the end of the file are zeros, as the library expects.
    fn read(&self, address: u64, buf: &mut [u8]) -> io::Result<()> {
        // All kinds of reads are recorded: the library reads variable-length attributes, the uuid among them, as raw
        // data.
        if let Some(extents) = sync::lock(&self.extents).as_mut() {
            extents.push((address, buf.len()));
        }
        let inside = to_usize(self.len().saturating_sub(address)).min(buf.len());
        let (file, beyond) = buf.split_at_mut(inside);
        beyond.fill(0);
        self.file.read_at(file, address)
    }
}

/// The public part of `H5FD_t`; the library fills it in.
#[repr(C)]
struct Public {
    driver_id: Hid,
    class: *const Class,
    file_number: c_ulong,
    access_flags: c_uint,
    feature_flags: c_ulong,
    max_address: Address,
    base_address: Address,
    threshold: u64,
    alignment: u64,
    paged_aggregation: bool,
}

#[repr(C)]
struct DriverFile {
    public: Public,
    end_of_allocation: Address,
    /// Each open counts as a separate file for the library, so that no stale cache is shared.
    number: u64,
    source: Arc<FileSource>,
}

/// The driver's property: which source to open. Owns one reference of the `Arc`.
#[repr(C)]
struct Info {
    source: *const FileSource,
}

#[repr(C)]
struct Class {
    version: c_uint,
    value: c_int,
    name: *const c_char,
    max_address: Address,
    close_degree: c_int,
    terminate: Option<extern "C" fn() -> Herr>,
    sb_size: Option<extern "C" fn(*mut DriverFile) -> u64>,
    sb_encode: Option<extern "C" fn(*mut DriverFile, *mut c_char, *mut u8) -> Herr>,
    sb_decode: Option<extern "C" fn(*mut DriverFile, *const c_char, *const u8) -> Herr>,
    fapl_size: usize,
    fapl_get: Option<extern "C" fn(*mut DriverFile) -> *mut c_void>,
    fapl_copy: Option<extern "C" fn(*const Info) -> *mut Info>,
    fapl_free: Option<extern "C" fn(*mut Info) -> Herr>,
    dxpl_size: usize,
    dxpl_copy: Option<extern "C" fn(*const c_void) -> *mut c_void>,
    dxpl_free: Option<extern "C" fn(*mut c_void) -> Herr>,
    open: Option<extern "C" fn(*const c_char, c_uint, Hid, Address) -> *mut DriverFile>,
    close: Option<extern "C" fn(*mut DriverFile) -> Herr>,
    cmp: Option<extern "C" fn(*const DriverFile, *const DriverFile) -> c_int>,
    query: Option<extern "C" fn(*const DriverFile, *mut c_ulong) -> Herr>,
    get_type_map: Option<extern "C" fn(*const DriverFile, *mut MemoryType) -> Herr>,
    alloc: Option<extern "C" fn(*mut DriverFile, MemoryType, Hid, u64) -> Address>,
    free: Option<extern "C" fn(*mut DriverFile, MemoryType, Hid, Address, u64) -> Herr>,
    get_eoa: Option<extern "C" fn(*const DriverFile, MemoryType) -> Address>,
    set_eoa: Option<extern "C" fn(*mut DriverFile, MemoryType, Address) -> Herr>,
    get_eof: Option<extern "C" fn(*const DriverFile, MemoryType) -> Address>,
    get_handle: Option<extern "C" fn(*mut DriverFile, Hid, *mut *mut c_void) -> Herr>,
    read: Option<extern "C" fn(*mut DriverFile, MemoryType, Hid, Address, usize, *mut u8) -> Herr>,
    write: Option<extern "C" fn(*mut DriverFile, MemoryType, Hid, Address, usize, *const u8) -> Herr>,
    read_vector: *const c_void,
    write_vector: *const c_void,
    read_selection: *const c_void,
    write_selection: *const c_void,
    flush: Option<extern "C" fn(*mut DriverFile, Hid, bool) -> Herr>,
    truncate: Option<extern "C" fn(*mut DriverFile, Hid, bool) -> Herr>,
    lock: Option<extern "C" fn(*mut DriverFile, bool) -> Herr>,
    unlock: Option<extern "C" fn(*mut DriverFile) -> Herr>,
    del: Option<extern "C" fn(*const c_char, Hid) -> Herr>,
    ctl: Option<extern "C" fn(*mut DriverFile, u64, u64, *const c_void, *mut *mut c_void) -> Herr>,
    free_list_map: [c_int; 7],
}

// SAFETY: the class is a constant table of function pointers and a constant name.
unsafe impl Sync for Class {}

unsafe extern "C" {
    fn H5FDregister(class: *const Class) -> Hid;
}

static CLASS: Class = Class {
    version: 1,
    value: 600,
    name: c"h5part_storage".as_ptr(),
    max_address: i64::MAX as u64,
    close_degree: 1, // H5F_CLOSE_WEAK; the default (0) makes every close fail
    terminate: None,
    sb_size: None,
    sb_encode: None,
    sb_decode: None,
    fapl_size: size_of::<Info>(),
    fapl_get: None,
    fapl_copy: Some(fapl_copy),
    fapl_free: Some(fapl_free),
    dxpl_size: 0,
    dxpl_copy: None,
    dxpl_free: None,
    open: Some(open),
    close: Some(close),
    cmp: Some(cmp),
    query: Some(query),
    get_type_map: None,
    alloc: None,
    free: None,
    get_eoa: Some(get_eoa),
    set_eoa: Some(set_eoa),
    get_eof: Some(get_eof),
    get_handle: None,
    read: Some(read),
    write: Some(write),
    read_vector: std::ptr::null(),
    write_vector: std::ptr::null(),
    read_selection: std::ptr::null(),
    write_selection: std::ptr::null(),
    flush: None,
    truncate: Some(truncate),
    lock: None,
    unlock: None,
    del: None,
    ctl: Some(ctl),
    free_list_map: [1, 1, 1, 3, 3, 1, 1], // H5FD_FLMAP_DICHOTOMY
};

/// Makes `fapl` open `source` instead of the named file.
pub(in crate::h5) fn set(fapl: Hid, source: &Arc<FileSource>) -> hdf5::Result<()> {
    static ID: OnceLock<Hid> = OnceLock::new();
    // SAFETY: CLASS is static and has the layout that this version of the library expects.
    let id = *ID.get_or_init(|| hdf5::sync::sync(|| unsafe { H5FDregister(&raw const CLASS) }));
    let info = Info { source: Arc::as_ptr(source) };
    hdf5::sync::sync(|| {
        // SAFETY: the library copies `info` with `fapl_copy`, which takes a reference of its own.
        hdf5::h5check(unsafe { H5Pset_driver(fapl, hdf5::h5check(id)?, (&raw const info).cast()) })
    })?;
    Ok(())
}

/// A path in the form that the library takes.
pub(in crate::h5) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

extern "C" fn fapl_copy(info: *const Info) -> *mut Info {
    // SAFETY: `info` was made by `set` or by this function; its source has at least one reference.
    unsafe {
        let source = (*info).source;
        Arc::increment_strong_count(source);
        Box::into_raw(Box::new(Info { source }))
    }
}

extern "C" fn fapl_free(info: *mut Info) -> Herr {
    // SAFETY: the library frees each copy once; each owns one reference.
    unsafe {
        let info = Box::from_raw(info);
        Arc::decrement_strong_count(info.source);
    }
    0
}

/// Opens the source. It has no side effects, since the library probes with opens of its own.
extern "C" fn open(name: *const c_char, _flags: c_uint, fapl: Hid, _max: Address) -> *mut DriverFile {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // SAFETY: the property of this driver is an `Info`; its reference keeps the source alive.
    let source = unsafe {
        let info = H5Pget_driver_info(fapl).cast::<Info>();
        if info.is_null() {
            return std::ptr::null_mut();
        }
        Arc::increment_strong_count((*info).source);
        Arc::from_raw((*info).source)
    };
    // An external link or a virtual dataset names another file, which this driver must not open.
    // SAFETY: the library passes the name that it was given, or one from a link.
    if unsafe { name.is_null() || CStr::from_ptr(name) != source.name.as_c_str() } {
        return std::ptr::null_mut();
    }
    let public = Public {
        driver_id: 0,
        class: std::ptr::null(),
        file_number: 0,
        access_flags: 0,
        feature_flags: 0,
        max_address: 0,
        base_address: 0,
        threshold: 0,
        alignment: 0,
        paged_aggregation: false,
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    source.opens.fetch_add(1, Ordering::AcqRel);
    Box::into_raw(Box::new(DriverFile { public, end_of_allocation: 0, number, source }))
}

extern "C" fn close(file: *mut DriverFile) -> Herr {
    // SAFETY: made by `open`, closed once.
    let file = unsafe { Box::from_raw(file) };
    file.source.opens.fetch_sub(1, Ordering::AcqRel);
    0
}

extern "C" fn cmp(a: *const DriverFile, b: *const DriverFile) -> c_int {
    // SAFETY: both are open files of this driver.
    unsafe { (*a).number.cmp(&(*b).number) as c_int }
}

extern "C" fn query(_file: *const DriverFile, flags: *mut c_ulong) -> Herr {
    if !flags.is_null() {
        // SAFETY: the library passes a pointer to the flags, or null.
        unsafe { *flags = FEATURES };
    }
    0
}

extern "C" fn get_eoa(file: *const DriverFile, _kind: MemoryType) -> Address {
    // SAFETY: an open file of this driver.
    unsafe { (*file).end_of_allocation }
}

extern "C" fn set_eoa(file: *mut DriverFile, _kind: MemoryType, end: Address) -> Herr {
    // SAFETY: an open file of this driver; the library holds its global lock.
    let file = unsafe { &mut *file };
    file.end_of_allocation = end.max(file.source.least_end);
    0
}

extern "C" fn get_eof(file: *const DriverFile, _kind: MemoryType) -> Address {
    // SAFETY: an open file of this driver.
    let file = unsafe { &*file };
    file.source.len()
}

extern "C" fn read(
    file: *mut DriverFile,
    _kind: MemoryType,
    _dxpl: Hid,
    address: Address,
    size: usize,
    buf: *mut u8,
) -> Herr {
    // SAFETY: an open file of this driver, and a buffer of `size` bytes that we may fill.
    let (file, buf) = unsafe { (&*file, std::slice::from_raw_parts_mut(buf, size)) };
    guarded(&file.source, || file.source.read(address, buf))
}

extern "C" fn write(
    file: *mut DriverFile,
    _kind: MemoryType,
    _dxpl: Hid,
    address: Address,
    size: usize,
    buf: *const u8,
) -> Herr {
    // SAFETY: an open file of this driver, and a buffer of `size` bytes.
    let (file, buf) = unsafe { (&*file, std::slice::from_raw_parts(buf, size)) };
    guarded(&file.source, || file.source.change(|| file.source.write(address, buf)))
}

/// Cuts the file off where the library's allocations end.
extern "C" fn truncate(file: *mut DriverFile, _dxpl: Hid, _closing: bool) -> Herr {
    // SAFETY: an open file of this driver.
    let file = unsafe { &*file };
    if !file.source.writable {
        return 0;
    }
    guarded(&file.source, || file.source.change(|| file.source.set_len(file.end_of_allocation)))
}

/// Keeps panics out of C, and keeps the system's error, for which HDF5 has no place.
fn guarded(source: &FileSource, body: impl FnOnce() -> io::Result<()>) -> Herr {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(e)) => {
            *sync::lock(&source.failure) = Some(e);
            -1
        }
        Err(_) => -1,
    }
}

extern "C" fn ctl(_file: *mut DriverFile, _op: u64, flags: u64, _in: *const c_void, _out: *mut *mut c_void) -> Herr {
    if flags & FAIL_IF_UNKNOWN != 0 { -1 } else { 0 }
}

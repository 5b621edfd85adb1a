//! Writes that the kernel finishes before a killed process releases its locks.
//!
//! A process that is killed in pwrite(2) on NFS dies at once, and its locks are released while the write is still on its
//! way. It could land on a row that another host has locked since. A write that was submitted with `io_submit(2)` is
//! waited for when the process's memory is freed, and the kernel does that before it closes files.
#![expect(unsafe_code, reason = "the C library has no functions for these system calls")]

use crate::sync;
use nix::libc::{SYS_io_destroy, SYS_io_getevents, SYS_io_setup, SYS_io_submit, c_long, c_ulong, syscall};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Mutex;

/// `IOCB_CMD_PWRITE` of `linux/aio_abi.h`.
const PWRITE: u16 = 1;
/// The kernel writes at most this many bytes per call.
const MOST: usize = 0x7fff_f000;

/// `struct iocb` of `linux/aio_abi.h`, little-endian.
#[repr(C)]
#[derive(Default)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    descriptor: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_descriptor: u32,
}

/// `struct io_event` of `linux/aio_abi.h`.
#[repr(C)]
#[derive(Default)]
struct Event {
    data: u64,
    request: u64,
    result: i64,
    result2: i64,
}

/// The kernel's context for writes, one at a time.
#[derive(Debug)]
pub(super) struct Writes(Mutex<c_ulong>);

impl Writes {
    /// # Errors
    /// As `io_setup(2)`.
    pub(super) fn new() -> io::Result<Self> {
        let mut context: c_ulong = 0;
        // SAFETY: the kernel writes one number to the place that is given.
        checked(unsafe { syscall(SYS_io_setup, 1 as c_long, ptr::from_mut(&mut context)) })?;
        Ok(Self(Mutex::new(context)))
    }

    /// Writes all of `bytes` at `address`.
    ///
    /// # Errors
    /// As pwrite(2) and `io_submit(2)`.
    pub(super) fn write_all(&self, file: &File, mut bytes: &[u8], mut address: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let part = &bytes[..bytes.len().min(MOST)];
            match self.write(file, part, address) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    address += written as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn write(&self, file: &File, bytes: &[u8], address: u64) -> io::Result<usize> {
        let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut request = Request {
            opcode: PWRITE,
            descriptor: u32::try_from(file.as_raw_fd()).map_err(out_of_range)?,
            buffer: bytes.as_ptr().addr() as u64,
            bytes: bytes.len() as u64,
            offset: i64::try_from(address).map_err(out_of_range)?,
            ..Request::default()
        };
        let context = sync::lock(&self.0);
        let mut requests = [ptr::from_mut(&mut request)];
        // SAFETY: the request and the bytes stay where they are until the kernel is done with them: nothing leaves this
        // function before it has said so, and if the process dies, the kernel waits.
        checked(unsafe { syscall(SYS_io_submit, *context, 1 as c_long, requests.as_mut_ptr()) })?;
        let mut event = Event::default();
        loop {
            let done = ptr::from_mut(&mut event);
            let no_limit = ptr::null_mut::<u8>();
            // SAFETY: the kernel writes one event to the place that is given.
            match checked(unsafe { syscall(SYS_io_getevents, *context, 1 as c_long, 1 as c_long, done, no_limit) }) {
                Ok(1) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The kernel may still read the bytes, so the caller must not get them back.
                Err(_) => std::process::abort(),
            }
        }
        usize::try_from(event.result).map_err(|_| {
            let errno = event.result.unsigned_abs();
            io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(nix::libc::EIO))
        })
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        let context = *sync::lock(&self.0);
        // SAFETY: the context is this object's own, and no write is under way.
        let _ = unsafe { syscall(SYS_io_destroy, context) };
    }
}

fn checked(outcome: c_long) -> io::Result<c_long> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    #[cfg_attr(miri, ignore = "calls the kernel")]
    fn writes_land_and_errors_are_told() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).expect("opens");
        let writes = Writes::new().expect("a context");
        writes.write_all(&file, b"", 5).expect("writes nothing");
        for k in 0..100u64 {
            writes.write_all(&file, &[k.to_le_bytes()[0]; 3], 3 * k).expect("writes");
        }
        let expected: Vec<u8> = (0..100).flat_map(|k| [k; 3]).collect();
        assert_eq!(std::fs::read(&path).expect("reads"), expected);
        let error = writes.write_all(&File::open(&path).expect("opens"), b"x", 0).expect_err("read-only");
        assert_eq!(error.raw_os_error(), Some(nix::libc::EBADF));
    }

    #[test]
    fn the_structures_are_those_of_the_kernel() {
        assert_eq!((size_of::<Request>(), size_of::<Event>()), (64, 32));
    }
}

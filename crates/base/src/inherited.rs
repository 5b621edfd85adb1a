//! Descriptors that carry locks, and their fate in a forked child.
//!
//! Both [`flock`](https://man7.org/linux/man-pages/man2/flock.2.html) locks and locks of open file descriptions belong
//! to the open file. A child that kept a descriptor would hold its parent's locks as long as it lives, and would
//! release them by unlocking. So a child replaces these descriptors by `/dev/null`.

use crate::sync;
use nix::libc;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard};

static OPEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

thread_local! {
    /// Held from before a fork until after it, in parent and child.
    static FORKING: RefCell<Option<MutexGuard<'static, BTreeSet<RawFd>>>> = const { RefCell::new(None) };
}

/// A file that is open for its locks.
#[derive(Debug)]
pub(crate) struct LockFile(File);

impl LockFile {
    pub(crate) fn new(file: File) -> Self {
        sync::lock(&OPEN).insert(file.as_raw_fd());
        Self(file)
    }
}

impl Deref for LockFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        sync::lock(&OPEN).remove(&self.0.as_raw_fd());
    }
}

/// Call this before fork(2), in the thread that forks, and one of the other two after it.
pub fn before_fork() {
    let open = sync::lock(&OPEN);
    FORKING.with(|forking| *forking.borrow_mut() = Some(open));
}

/// Call this after fork(2) in the parent.
pub fn after_fork_in_parent() {
    FORKING.with(|forking| forking.borrow_mut().take());
}

/// Call this after fork(2) in the child. Objects of the parent that hold these descriptors must not be used or dropped
/// in the child, since their threads do not exist there.
///
/// # Errors
/// As open(2) of `/dev/null` and dup2(2).
pub fn after_fork_in_child() -> io::Result<()> {
    let open = FORKING.with(|forking| forking.borrow_mut().take());
    let Some(mut open) = open else { return Ok(()) };
    let nothing = File::open("/dev/null")?;
    for fd in std::mem::take(&mut *open) {
        replace(fd, &nothing)?;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the descriptor belongs to objects of the parent, which nobody touches here")]
fn replace(fd: RawFd, by: &File) -> io::Result<()> {
    // SAFETY: both are open descriptors, and dup3 touches no memory.
    match unsafe { libc::dup3(by.as_raw_fd(), fd, libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

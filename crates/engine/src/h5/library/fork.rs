//! Keeps the library usable across fork(2). A fork while another thread is inside it would leave the child with a lock
//! that nobody releases.

use hdf5_sys::LOCK;
use std::any::Any;
use std::cell::RefCell;

thread_local! {
    static INSIDE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Takes the library's lock in the thread that is about to fork.
pub fn before_fork() {
    let inside: Box<dyn Any> = Box::new(LOCK.lock());
    INSIDE.with(|held| *held.borrow_mut() = Some(inside));
}

/// Releases the lock in the parent.
pub fn after_fork_in_parent() {
    INSIDE.with(|held| held.borrow_mut().take());
}

/// Frees the library for the threads of the child.
///
/// Threads of the parent may have been waiting for the lock. They do not exist in the child, yet the lock would be
/// handed to one of them. So the queue is emptied and the lock is reset.
#[expect(unsafe_code, reason = "nobody else runs in the child, and nobody holds a reference into the lock")]
pub fn after_fork_in_child() {
    std::mem::forget(INSIDE.with(|held| held.borrow_mut().take()));
    let lock = (&raw const LOCK).cast_mut();
    for byte in 0..size_of_val(&LOCK) {
        // SAFETY: a queue belongs to the address of a lock, and all of these addresses are of this lock. No callback of
        // these threads runs.
        unsafe { parking_lot_core::unpark_all(lock as usize + byte, parking_lot_core::DEFAULT_UNPARK_TOKEN) };
    }
    #[expect(clippy::default_trait_access, reason = "the type is that of hdf5-metno's own dependency")]
    let free = Default::default();
    // SAFETY: this is the only thread, and the guard that refers to the lock was forgotten. All mutable parts of a lock
    // are cells, which may be written to.
    unsafe { lock.write(free) };
}

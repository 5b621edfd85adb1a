//! Calls of the library's own functions, for what the safe wrapper leaves out or does slowly.

pub(in crate::h5) type Hid = i64;

/// Calls the library and checks what it says.
macro_rules! call {
    ($function:path, $($argument:expr),* $(,)?) => {
        hdf5::sync::sync(|| {
            // SAFETY: ids are those of objects that outlive the call, texts end in zero, and buffers are as large as
            // the types and spaces that go with them say: each caller sees to its own.
            hdf5::h5check(unsafe { $function($($argument),*) })
        })
    };
}
pub(in crate::h5) use call;

/// Calls the library and owns the object that it gives.
macro_rules! own {
    ($function:path, $($argument:expr),* $(,)?) => {
        $crate::h5::raw::call!($function, $($argument),*).and_then(|id| {
            hdf5::sync::sync(|| {
                // SAFETY: a fresh id that nobody else owns.
                unsafe { hdf5::from_id(id) }
            })
        })
    };
}
pub(in crate::h5) use own;

//! Calls library functions that the safe wrapper leaves out or does slowly.

pub(in crate::h5) type Hid = i64;

/// Calls the library and checks the result.
macro_rules! call {
    ($function:path, $($argument:expr),* $(,)?) => {
        hdf5::sync::sync(|| {
            // SAFETY: ids are those of objects that outlive the call, texts end in zero, and buffers are as large as
            // their types and spaces say. Each caller makes sure of this for its own arguments.
            hdf5::h5check(unsafe { $function($($argument),*) })
        })
    };
}
pub(in crate::h5) use call;

/// Calls the library and takes ownership of the object that it returns.
macro_rules! own {
    ($function:path, $($argument:expr),* $(,)?) => {
        $crate::h5::library::raw::call!($function, $($argument),*).and_then(|id| {
            hdf5::sync::sync(|| {
                // SAFETY: a fresh id that nobody else owns.
                unsafe { hdf5::from_id(id) }
            })
        })
    };
}
pub(in crate::h5) use own;

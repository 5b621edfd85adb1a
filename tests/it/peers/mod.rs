//! Files of other programs, and our files in other programs.

mod decoders;
mod h5py;
mod interop;
mod strange;
mod unknown_origin;

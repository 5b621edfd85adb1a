//! Files of other programs, and what they read of ours.

mod decoders;
mod h5py;
mod interop;
mod strange;
mod unknown_origin;

//! Many writers at once, faults of the system, loss of power.

mod every_fault;
mod faults;
mod interleavings;
pub mod power;
mod processes;
mod sealed;
mod system;

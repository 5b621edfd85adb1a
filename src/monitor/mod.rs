//! What work cost, and OpenQuake's table of it.

mod openquake;

pub use h5part_tasks::{ErrorKind, monitor::*};
pub use openquake::export;

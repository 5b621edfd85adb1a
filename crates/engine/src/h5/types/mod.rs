//! Element types: as they are in a file, and as they are made.

pub(in crate::h5) mod compound;
pub(in crate::h5) mod datatype;
pub(in crate::h5) mod found_type;
pub(in crate::h5) mod made_type;

//! What is in a file: tables, groups, and all objects at a glance.

pub(in crate::h5) mod evidence;
pub(in crate::h5) mod file;
pub(in crate::h5) mod fingerprint;
pub(in crate::h5) mod groups;
pub(in crate::h5) mod load;
pub(in crate::h5) mod superblock;
pub(in crate::h5) mod tree;
pub(in crate::h5) mod walk;

//! Changes through the library: tables, columns, attributes made or extended.

pub(in crate::h5) mod arrays;
pub(in crate::h5) mod attribute;
pub(in crate::h5) mod column;
pub(in crate::h5) mod create;
pub(in crate::h5) mod extend;
pub(in crate::h5) mod open;

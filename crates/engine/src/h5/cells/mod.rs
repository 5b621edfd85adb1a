//! Values of library columns, by cells, chunks and rows.

pub(in crate::h5) mod chunks;
pub(in crate::h5) mod filters;
pub(in crate::h5) mod library_cells;
pub(in crate::h5) mod select;

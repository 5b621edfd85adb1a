//! Pure index arithmetic: which rows, of which columns, lie at which bytes. No effects.

mod column;
mod cover;
mod dtype;
mod layout;
mod plan;
mod rows;
mod table;

pub use column::{ColumnSpec, shape_text};
pub use cover::cover;
pub use dtype::Dtype;
pub use layout::{ColumnLayout, Place};
pub use plan::{Piece, pieces};
pub use rows::{Rows, Run, Runs};
pub use table::{Column, Guard, Stamps, Table};

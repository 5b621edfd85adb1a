//! Pure index arithmetic: which bytes hold which rows of which columns. No side effects.

mod chunks;
mod column;
mod cover;
mod dtype;
mod filters;
mod inner;
mod layout;
mod names;
mod places;
mod plan;
mod ranges;
mod rows;
mod rows_from;
mod stamp_rows;
mod table;

pub use chunks::{Chunk, ChunkTable, Grid, Segment};
pub use column::{ColumnSpec, shape_text};
pub use cover::cover;
pub use dtype::{CompoundType, Dtype, EnumType, Field};
pub use filters::{Bitshuffle, BlockCodec, Filter, Szip};
pub use inner::Inner;
pub use layout::{ColumnLayout, Place};
pub use names::{STAMPS_GROUP, path_below, refuse_reserved};
pub use places::{Places, SECTOR_STAMPS, Window};
pub use plan::{Piece, pieces};
pub use ranges::push_range;
pub use rows::{Rows, Run, Runs};
pub use stamp_rows::StampRows;
pub use table::{Column, Finder, Guard, Loss, LostColumn, OUTSIDE, Stamps, Table};

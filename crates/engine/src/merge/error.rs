//! Why files cannot be merged.

use std::path::PathBuf;

/// Why files cannot be merged. A program finds it by [`Error::kind_of`](h5part_base::error::Error::kind_of).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Two files have different values for one cell.
    #[error("{0}")]
    Disagreement(Box<Disagreement>),
    /// Two files have tables of one name with different columns.
    #[error("table '{table}' has {how}, unlike in {}", .other.display())]
    OtherColumns {
        /// Path of the table.
        table: String,
        /// What is different.
        how: String,
        /// The other file.
        other: PathBuf,
    },
    /// Two files have different values for one attribute.
    #[error("{0}")]
    AttributesDiffer(Box<AttributesDiffer>),
    /// Rows of a column that h5part does not read cannot be merged.
    #[error("column '{column}' of table '{table}' cannot be merged by rows: {why}")]
    NotMergeable {
        /// Path of the table.
        table: String,
        /// The column.
        column: String,
        /// Why.
        why: String,
    },
    /// A writer died while it overwrote values, and nobody has put them back.
    #[error("{cells} values of table '{table}' were left half-written by a writer that died")]
    LeftByDead {
        /// Path of the table.
        table: String,
        /// How many.
        cells: u64,
    },
    /// A committed value does not match its stamp.
    #[error(
        "row {row} of column '{column}' of table '{table}' does not match its stamp: damaged, or changed by another program"
    )]
    Damaged {
        /// Path of the table.
        table: String,
        /// The column.
        column: String,
        /// The row (0-based).
        row: u64,
    },
}

impl h5part_base::error::Kind for ErrorKind {}

/// A cell that has different values in two files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of column '{column}' of table '{table}' is {value} here, and {other_value} in {}", .other.display())]
pub struct Disagreement {
    /// Path of the table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The row (0-based).
    pub row: u64,
    /// The first element that differs, as it is in the file that the error names.
    pub value: String,
    /// The other file.
    pub other: PathBuf,
    /// The element as it is there.
    pub other_value: String,
}

/// An attribute that has different values in two files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute '{attribute}' of {object} is {value} here, and {other_value} in {}", .other.display())]
pub struct AttributesDiffer {
    /// Path of the object.
    pub object: String,
    /// Name of the attribute.
    pub attribute: String,
    /// The value in the file that the error names.
    pub value: String,
    /// The other file.
    pub other: PathBuf,
    /// The value there.
    pub other_value: String,
}

//! Why a file system could not be examined.

/// Why a file system could not be examined. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// Somebody who was asked, or awaited, said nothing.
    #[error("no answer from {what} after {waited_s:.1} s")]
    NoAnswer {
        /// From whom.
        what: String,
        /// How long it was waited for, in seconds.
        waited_s: f64,
    },
}

impl h5part_base::error::Kind for ErrorKind {}

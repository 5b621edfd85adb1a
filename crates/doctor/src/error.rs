//! Why a file system could not be examined.

/// Why a file system could not be examined. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// A process or host sent no answer.
    #[error("no answer from {what} after {waited_s:.1} s")]
    NoAnswer {
        /// Who should have answered.
        what: String,
        /// How long the wait lasted, in seconds.
        waited_s: f64,
    },
}

impl h5part_base::error::Kind for ErrorKind {}

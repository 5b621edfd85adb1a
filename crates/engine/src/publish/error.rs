//! Why a file cannot be published.

/// Why a file cannot be published. A program finds it by [`Error::kind_of`](h5part_base::error::Error::kind_of).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The file exists, but was not published from this store.
    #[error("it exists but was not published from this store")]
    NotPublished,
}

impl h5part_base::error::Kind for ErrorKind {}

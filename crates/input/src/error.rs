//! Why `.npy` files are refused.

/// Why `.npy` files are refused. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// A `.npy` file with a type that tables cannot hold.
    #[error("its type '{0}' is not supported")]
    NpyType(String),
    /// A `.npy` file that cannot be read.
    #[error("not a usable .npy file: {0}")]
    BadNpy(String),
}

impl h5part_base::error::Kind for ErrorKind {}

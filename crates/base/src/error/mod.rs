//! One error type for all crates: what failed, on which path, and why.
//!
//! Pure modules return an [`ErrorKind`]; whoever knows the file attaches operation and path with
//! [`At::at`]. Other crates have enums of their own kinds: `impl Kind for ErrorKind {}` is all that it takes for `?` and
//! [`At::at`] to accept them ([`Kind`]). [`Error::kind_of`] gives them back.
//!
//! Messages state facts. What a user of the program can do about them is said by the program.

mod kind;
mod remedy;

pub use kind::{ErrorKind, Gone, Item, Misfit, RowsFault, Shortage, available, size_limit};
pub use remedy::Remedy;

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of the crate's fallible operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed (`operation`), on which `path`, and why ([`ErrorKind`]).
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    operation: &'static str,
    path: PathBuf,
    kind: ErrorKind,
}

impl Error {
    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Why it failed, if that is a kind of the type `K`: the `ErrorKind` of the engine, or that of another crate.
    #[must_use]
    pub fn kind_of<K: std::error::Error + 'static>(&self) -> Option<&K> {
        self.0.kind.of()
    }

    /// The path it failed on. Empty where no file was involved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The name of its kind, as the enums of kinds have it: `LockTimeout`. It is for programs that see names alone, such
    /// as those in Python. Where a kind stands for several cases, each case has a name of its own: `DuplicateRow`.
    /// `docs/exit-codes.md` lists the names.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.kind.name()
    }

    /// What was being done. Empty where no file was involved.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The same operation and path, for another reason.
    #[must_use]
    pub fn map_kind(mut self, map: impl FnOnce(ErrorKind) -> ErrorKind) -> Self {
        self.0.kind = map(self.0.kind);
        self
    }

    /// The kind alone, to be attached elsewhere.
    #[must_use]
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "cannot {} {}: ", self.0.operation, self.0.path.display())?;
        }
        write!(f, "{}", self.0.kind)
    }
}

impl std::error::Error for Error {
    /// What caused the kind. The kind itself is part of the message already.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0.kind)
    }
}

/// Attaches operation and path to anything that can become an [`ErrorKind`].
pub trait At<T> {
    /// `read(..).at("read", path)?`
    ///
    /// # Errors
    /// The same failure, with its context.
    fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<ErrorKind>> At<T> for Result<T, E> {
    fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| e.into().at(operation, path))
    }
}

impl ErrorKind {
    /// Attaches the operation and the path it was working on.
    #[must_use]
    pub fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Error {
        Error(Box::new(Inner { operation, path: path.as_ref().to_path_buf(), kind: self }))
    }
}

impl From<ErrorKind> for Error {
    /// For what fails without a file: a text that cannot be read, values of another type. Where there is a file,
    /// [`At::at`] says which one.
    fn from(kind: ErrorKind) -> Self {
        kind.at("", "")
    }
}

/// The kinds of errors of another crate. Each turns into [`ErrorKind::Other`] by `From`.
pub trait Kind: std::error::Error + Send + Sync + Sized + 'static {
    /// Attaches the operation and the path it was working on.
    #[must_use]
    fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Error {
        ErrorKind::from(self).at(operation, path)
    }
}

impl<K: Kind> From<K> for ErrorKind {
    fn from(kind: K) -> Self {
        Self::Other(Box::new(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;
    use std::io;

    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    #[error("the kettle is empty")]
    struct Kettle;

    impl Kind for Kettle {}

    #[test]
    fn kinds_of_other_crates_come_back_typed() {
        let fails = || -> Result<(), ErrorKind> { Err(Kettle)? };
        let error = fails().at("boil", "water").expect_err("fails");
        assert_eq!(error.to_string(), "cannot boil water: the kettle is empty");
        assert_eq!(error.kind_of::<Kettle>(), Some(&Kettle));
        assert_eq!(
            (error.name().as_str(), ErrorKind::Replaced(Gone::File).at("boil", "water").name().as_str()),
            ("Kettle", "Replaced")
        );
        assert!(error.kind_of::<ErrorKind>().is_none() && matches!(error.kind(), ErrorKind::Other(_)));
        let error = ErrorKind::Replaced(Gone::File).at("boil", "water");
        assert!(
            matches!(error.kind_of(), Some(ErrorKind::Replaced(Gone::File))) && error.kind_of::<Kettle>().is_none()
        );
    }

    #[test]
    fn a_kind_of_several_cases_has_a_name_for_each() {
        let name = |kind: ErrorKind| Error::from(kind).name();
        let column = || "E".to_owned();
        let marked = |by| ErrorKind::OpenForWriting { by, swmr: false };
        assert_eq!([marked(None), marked(Some(column()))].map(name), ["MarkedOpen", "OpenElsewhere"]);
        let rows = [RowsFault::Unreadable { text: column(), reason: "" }, RowsFault::Empty, RowsFault::Twice(1)];
        assert_eq!(rows.map(ErrorKind::BadRows).map(name), ["BadRows", "EmptySelection", "DuplicateRow"]);
        let shape = Misfit::Shape { column: column(), expected: column(), found: column() };
        let values = [ErrorKind::BadValues(shape), ErrorKind::bad_values("few")];
        assert_eq!(values.map(name), ["ShapeMismatch", "BadValues"]);
        let unsupported = |dtype| ErrorKind::UnsupportedColumn { column: column(), dtype };
        assert_eq!([Some(column()), None].map(unsupported).map(name), ["UnsupportedType", "ValuesOutside"]);
        let gone = [Gone::File, Gone::LockFiles, Gone::Column(column())];
        assert_eq!(gone.map(ErrorKind::Replaced).map(name), ["Replaced", "LockFileGone", "ColumnMoved"]);
    }

    #[test]
    fn a_source_says_what_the_message_does_not() {
        let plain = ErrorKind::Io(io::Error::from_raw_os_error(5)).at("read", "x");
        assert!(plain.to_string().contains("Input/output error") && plain.source().is_none());
        let nested = ErrorKind::Io(io::Error::other(Kettle)).at("read", "x");
        assert!(nested.to_string().ends_with("the kettle is empty") && nested.source().is_none(), "{nested}");
    }
}

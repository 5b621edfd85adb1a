//! What can be done about a finding, in words that hold for every way to use the store.

use serde::{Serialize, Serializer};
use std::fmt;

/// What can be done about a finding. Shown and serialized as a sentence; a program that knows its own commands can
/// name them instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// There is nothing to do.
    Nothing,
    /// The file comes back from a copy.
    RestoreFile,
    /// A copy that h5part or HDF5's tools make anew is free of it.
    CopyAnew,
    /// Objects come back from a copy.
    RestoreObjects,
    /// The rows come back from a copy, or are computed again.
    RestoreOrRecompute,
    /// A copy shows what is right; the store does not change it.
    Compare,
    /// A copy shows what is right; a repair can commit the values as they are.
    CompareOrAccept,
    /// A repair can commit the values as they are.
    Accept,
    /// A copy has what was lost; a repair can go on without it.
    RestoreOrAcceptLoss,
    /// Recovery, which a repair includes.
    Recover,
    /// Recovery puts old values back; a repair resets the other rows.
    RecoverOrReset,
    /// Recovery sets it aside.
    SetAside,
    /// A newer version reads it.
    UseNewer,
    /// The program that writes to the file closes it, or its mark is cleared.
    CloseOrClearMark,
    /// Adoption gives it stamps.
    Adopt,
    /// A copy shows what is right; adoption gives it new stamps.
    CompareOrAdopt,
    /// A file that can be removed later.
    RemoveLater,
    /// The process is continued or ended.
    ContinueOrEnd,
    /// The next writer, change or creation clears it.
    ClearsItself,
    /// Either the file or its sidecar is the wrong one.
    FileOrSidecar,
    /// All names stay.
    KeepNames,
    /// What is left of a table that was removed on purpose is not needed.
    NotNeeded,
    /// A copy shows what is right; its sources make it again.
    CompareOrAddAgain,
    /// The rows are computed again, or the guard is corrected.
    RecomputeOrCorrectGuard,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "",
            Self::RestoreFile => "restore the file from a copy",
            Self::CopyAnew => "do not make it longer; a published copy does not have it",
            Self::RestoreObjects => "restore them from a copy",
            Self::RestoreOrRecompute => "restore the file from a copy, or compute these rows again in a new one",
            Self::Compare => "compare with a copy; h5part does not touch it",
            Self::CompareOrAccept => "compare with a copy; a repair can accept them as they are",
            Self::Accept => "a repair can make them count as committed",
            Self::RestoreOrAcceptLoss => "restore it from a copy; a repair can accept the loss",
            Self::Recover => "recover the store",
            Self::RecoverOrReset => {
                "recovery puts old values back, a repair makes the rest not there; if it accepts foreign values, those \
                 that the guard calls complete are values"
            }
            Self::SetAside => "recovery keeps it aside",
            Self::UseNewer => "use a newer h5part",
            Self::CloseOrClearMark => "close it in the program that writes to it; if that is dead, clear the mark",
            Self::Adopt => "adoption gives it stamps",
            Self::CompareOrAdopt => "compare with a copy; adoption gives it new stamps",
            Self::RemoveLater => "remove it when it is no longer needed",
            Self::ContinueOrEnd => "continue it (SIGCONT), or end it",
            Self::ClearsItself => "the next one to write or create clears it",
            Self::FileOrSidecar => {
                "restore the file that belongs there; or, if this is the right one, remove the sidecar while nobody uses it"
            }
            Self::KeepNames => "remove none of the names: the object would be freed under the others",
            Self::NotNeeded => "they are no longer needed if it was removed on purpose",
            Self::CompareOrAddAgain => "compare with a copy, or add it again from its sources",
            Self::RecomputeOrCorrectGuard => "compute these rows again, or correct the guard",
        })
    }
}

impl Serialize for Remedy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

//! What h5part writes into a file beside the values: stamps, guards, marks, texts.

pub(in crate::h5) mod format;
pub(in crate::h5) mod guards;
pub(in crate::h5) mod published;
pub(in crate::h5) mod stamps;
pub(in crate::h5) mod texts;

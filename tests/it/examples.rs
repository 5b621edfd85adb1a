//! The examples run.

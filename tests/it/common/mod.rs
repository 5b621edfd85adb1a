//! What tests share: files to work in, the program, Python, kills.

pub mod browser;
pub mod content;
pub mod killing;
pub mod planets;
pub mod pty;
pub mod python;
pub mod stopping;
pub mod support;

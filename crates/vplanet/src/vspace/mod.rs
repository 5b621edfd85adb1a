//! vspace: makes an ensemble of trials from template files, on a grid of the options that vary.
//!
//! The output is the same as that of vspace itself, byte for byte.

mod axis;
mod grid;
mod input;
mod make;
mod number;
mod template;

pub use axis::Axis;
pub use grid::{Grid, TrialSpec};
pub use input::{Input, Section};
pub use make::{Built, Ensemble};
pub use template::Template;

//! Reading, beside writers and by stock programs.

mod courtesy;
mod readers_beside;
mod datasets;

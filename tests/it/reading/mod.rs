//! Reading beside writers and by stock programs.

mod courtesy;
mod datasets;
mod readers_beside;

//! Archives and filters as users of `BigPlanet` see them. Comparisons with the original need its programs, see
//! `planets`. The trials are made here in the manner of vplanet, and once by vplanet itself.

mod archive;
mod changed;
mod damage;
mod delete;
mod filter;
mod kills;
mod numbers;
mod peers;
mod refused;
mod toy;

use crate::common::support::{finished, h5part};
use std::path::Path;

/// Runs a subcommand in a folder; returns exit code, standard output, standard error.
fn run_in(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = h5part();
    command.args(args).current_dir(folder).env("XDG_CACHE_HOME", folder.join("cache"));
    finished(&command.output().expect("starts"))
}

/// The same, and expects success; returns standard output.
fn ok_in(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = run_in(folder, args);
    assert_eq!(code, 0, "{args:?} failed: {err}");
    out
}

//! The programs of the vplanet family as peers. They are looked up in the folder that `H5PART_PLANETS` names.

use std::path::PathBuf;
use std::process::Command;

/// One of these programs. `None` if it is missing; with `H5PART_REQUIRE_PLANETS` that fails the test.
pub fn planet(name: &str) -> Option<Command> {
    let why = match std::env::var_os("H5PART_PLANETS").map(PathBuf::from) {
        None => "H5PART_PLANETS does not name the folder with vspace, multiplanet, vplanet and bigplanet".to_owned(),
        Some(folder) if folder.join(name).is_file() => {
            let mut command = Command::new(folder.join(name));
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders).expect("a PATH"));
            return Some(command);
        }
        Some(folder) => format!("there is no {name} in {}", folder.display()),
    };
    assert!(std::env::var_os("H5PART_REQUIRE_PLANETS").is_none(), "{name} is required here: {why}");
    eprintln!("SKIPPED: {name} cannot be compared with: {why}");
    None
}

//! Layers point one way: a module uses only modules before it.

use std::fs;
use std::path::{Path, PathBuf};

/// In order; `docs/design.md` says what each is for.
const LAYERS: [&str; 18] = [
    "error",
    "dataspace",
    "filter",
    "storage",
    "npy",
    "stream",
    "lock",
    "h5",
    "record",
    "store",
    "doctor",
    "publish",
    "merge",
    "ledger",
    "verify",
    "monitor",
    "executor",
    "frontend",
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("folder") {
            sources(&entry.expect("entry").path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

fn layer_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix(root()).ok()?.components().next()?;
    Some(first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Modules named as `crate::x`, also within `use crate::{x, y::z}`.
fn used(text: &str) -> Vec<String> {
    let word = |t: &str| t.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    text.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default().split(',').map(word).collect(),
            None => vec![word(rest)],
        })
        .collect()
}

#[test]
fn a_module_uses_only_modules_before_it() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let (mut checked, mut wrong) = (0, Vec::new());
    for file in files {
        let Some(layer) = layer_of(&file) else { continue };
        let Some(own) = LAYERS.iter().position(|l| *l == layer) else {
            assert!(["lib", "main", "cli"].contains(&layer.as_str()), "{layer} is no layer: add it to the list");
            continue;
        };
        // Tests may look further: unit tests at a file's end are not part of the architecture.
        let text = fs::read_to_string(&file).expect("reads");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for name in used(text) {
            if let Some(other) = LAYERS.iter().position(|l| *l == name) {
                checked += 1;
                if other > own {
                    wrong.push(format!("{} uses {name}", file.display()));
                }
            }
        }
    }
    assert!(checked > 50, "only {checked} uses found: is the parser broken?");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_h5_calls_the_library_and_only_the_few_are_unsafe() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("reads");
        let layer = layer_of(&file).expect("under src");
        let calls = text.contains("hdf5::") || text.contains("hdf5_sys::");
        assert!(!calls || layer == "h5", "{} calls HDF5", file.display());
        let few = ["cli/stress/board.rs", "executor/program/spawn.rs", "publish/snapshot.rs", "store/read/memory.rs"]
            .iter()
            .any(|few| file.ends_with(few));
        assert!(!text.contains("unsafe {") || layer == "h5" || few, "{} is unsafe", file.display());
    }
}

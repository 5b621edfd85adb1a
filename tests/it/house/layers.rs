//! What the graph of crates cannot check: only `h5/` calls the HDF5 library, and few files contain unsafe code.

use std::fs;
use std::path::{Path, PathBuf};

/// Where code outside `h5/` may be unsafe; `docs/design/README.md` says why.
const UNSAFE: [&str; 9] = [
    "crates/base/src/inherited.rs",
    "crates/base/src/storage/aio.rs",
    "python/src/bytes.rs",
    "python/src/fork.rs",
    "python/src/values.rs",
    "src/cli/stress/board.rs",
    "crates/tasks/src/program/spawn.rs",
    "crates/engine/src/publish/snapshot.rs",
    "crates/engine/src/store/read/memory.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("folder") {
            sources(&entry.expect("entry").path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

/// The sources of all crates, with their paths relative to the root.
fn all_sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("python/src"), &mut files);
    for entry in fs::read_dir(root().join("crates")).expect("crates") {
        sources(&entry.expect("entry").path().join("src"), &mut files);
    }
    assert!(files.len() > 250, "only {} files were found", files.len());
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).expect("reads");
        (file.strip_prefix(root()).expect("under the root").to_owned(), text)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn only_h5_calls_the_library() {
    for (file, text) in all_sources() {
        let calls = text.contains("hdf5::") || text.contains("hdf5_sys::");
        assert!(!calls || file.starts_with("crates/engine/src/h5"), "{} calls HDF5", file.display());
    }
}

#[test]
fn only_the_few_are_unsafe() {
    for (file, text) in all_sources() {
        let may = file.starts_with("crates/engine/src/h5") || UNSAFE.iter().any(|few| file == Path::new(few));
        assert!(!text.contains("unsafe {") || may, "{} is unsafe", file.display());
    }
}

#[test]
fn links_between_pages_and_to_sources_lead_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("CHANGELOG.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                pages.push(path);
            }
        }
    }
    let mut links = 0;
    for page in pages {
        let text = fs::read_to_string(&page).expect("reads");
        let folder = page.parent().expect("a folder");
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap_or_default();
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            links += 1;
            let target = if path.is_empty() { page.clone() } else { folder.join(path) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() && target.extension().is_some_and(|e| e == "md") {
                let there = fs::read_to_string(&target).expect("reads");
                assert!(headings(&there).any(|name| name == anchor), "{}: no heading for {link}", page.display());
            }
        }
    }
    assert!(links > 100, "only {links} links were found");
}

/// The anchors of a page's headings: lower case, digits, hyphens for blanks.
fn headings(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    })
}

#[test]
fn no_file_of_the_tests_is_forgotten() {
    let tests = root().join("tests/it");
    let mut files = Vec::new();
    sources(&tests, &mut files);
    let mut checked = 0;
    for file in files.iter().filter(|file| **file != tests.join("main.rs")) {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let folder = file.parent().expect("a folder");
        // `a/mod.rs` is declared beside the folder `a`, `a/b.rs` in `a/mod.rs` or in `a.rs`.
        let (name, folder) = if stem == "mod" {
            (folder.file_name().and_then(|name| name.to_str()).expect("a name"), folder.parent().expect("a folder"))
        } else {
            (stem, folder)
        };
        let parents = [folder.join("mod.rs"), folder.join("main.rs"), folder.with_extension("rs")];
        let declares = |parent: &PathBuf| {
            let text = fs::read_to_string(parent).unwrap_or_default();
            text.lines().any(|line| line.trim_start_matches("pub ").trim() == format!("mod {name};"))
        };
        // This file is an example: a program of its own, which pools start.
        let is_program = file.ends_with("pools/tasks.rs");
        assert!(is_program || parents.iter().any(declares), "{} is in no module", file.display());
        checked += 1;
    }
    assert!(checked > 100, "only {checked} files were found");
}

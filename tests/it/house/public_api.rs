//! The public names of the crate, as a snapshot, so that they grow only on purpose. CONTRIBUTING.md says how to accept
//! a change.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Paths that a user of the library must not meet.
const INSIDE: [&str; 12] = [
    "ByteLock",
    "ColumnLayout",
    "Failed",
    "H5Change",
    "H5File",
    "Listing",
    "NewTable",
    "Patience",
    "Paths",
    "RowLocks",
    "Stamps",
    "StorageFile",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//") && !line.trim_start().starts_with("#["));
    code.map(|line| format!("{line}\n")).collect()
}

/// The sources of the front door, without those of the program.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() && !path.ends_with("src/cli") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("src/main.rs") {
            found.push(path);
        }
    }
    found.sort();
}

/// The file of a module of one of our crates: `h5part_tasks::pool` is `crates/tasks/src/pool/mod.rs`.
fn file_of(module: &[&str]) -> PathBuf {
    let (crate_name, inner) = module.split_first().expect("a crate");
    let folder = root().join("crates").join(crate_name.trim_start_matches("h5part_")).join("src");
    let folder = inner.iter().fold(folder, |folder, part| folder.join(part));
    let files = [folder.with_extension("rs"), folder.join("mod.rs"), folder.join("lib.rs")];
    files.iter().find(|file| file.is_file()).unwrap_or_else(|| panic!("no file of {module:?}")).clone()
}

/// The names that a `use` brings in: `a::{b, c::{d, e as f}}` gives b, d and f.
fn used(tree: &str, before: &[&str], names: &mut BTreeSet<String>) {
    let tree = tree.trim();
    if tree.is_empty() {
        return;
    }
    if let Some((path, inner)) = tree.split_once('{').filter(|(path, _)| !path.contains(',')) {
        let path: Vec<&str> = before.iter().copied().chain(path.split("::").filter(|part| !part.is_empty())).collect();
        let inner = inner.rsplit_once('}').expect("closed").0;
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    used(&inner[start..at], &path, names);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let path: Vec<&str> = before.iter().copied().chain(tree.split("::").filter(|part| !part.is_empty())).collect();
    match path.last() {
        Some(&"*") => names.extend(names_in(&read(&file_of(&path[..path.len() - 1])))),
        Some(last) => drop(names.insert(last.rsplit(" as ").next().unwrap_or(last).to_owned())),
        None => {}
    }
}

/// The public names of a module's text: those that it reexports and those that it defines.
fn names_in(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for statement in text.split("\npub ").skip(1) {
        let (word, rest) = statement.split_once(' ').unwrap_or((statement, ""));
        match word {
            "use" => used(rest.split(';').next().unwrap_or_default(), &[], &mut names),
            "mod" => drop(names.insert(format!("{}::", name_of(rest)))),
            _ => drop(names.insert(name_of(rest).to_owned())),
        }
    }
    names
}

fn name_of(text: &str) -> &str {
    let text = text.trim_start_matches("fn ");
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The modules that are written inline in `lib.rs`, each with its names.
fn inline_modules(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let modules = text.split("\npub mod ").skip(1).filter_map(|module| {
        let (name, body) = module.split_once(" {\n")?;
        let body = body.split("\n}").next()?.replace("    pub ", "pub ");
        (!name.contains(';')).then(|| (name.to_owned(), names_in(&format!("\n{body}"))))
    });
    modules.collect()
}

/// Public items of a file with their signatures: one per line, below the `impl` that contains them.
fn items(text: &str, names: &BTreeSet<String>) -> Vec<String> {
    let mut items = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let is_impl = line.starts_with("impl");
        if !is_impl && (!line.trim_start().starts_with("pub ") || indent > 4) {
            continue;
        }
        let mut item = line.trim().to_owned();
        let is_code = is_impl || item.contains("fn ");
        let ends = |item: &str| item.ends_with('{') || item.ends_with([';', '}']) || (!is_code && item.ends_with(','));
        while !ends(&item) {
            let Some(next) = lines.next() else { break };
            let space = if item.ends_with('(') || next.trim().starts_with(')') { "" } else { " " };
            item = format!("{item}{space}{}", next.trim());
        }
        let item = item.trim_end_matches(['{', ';', ',']).trim_end().replace(",)", ")");
        // The fields of a tuple struct are private.
        let item = if item.starts_with("pub struct") { item.split('(').next().unwrap_or_default() } else { &item };
        if !item.starts_with("pub use") && !item.starts_with("pub mod") {
            items.push(format!("{}{item}", if indent > 0 { "    " } else { "" }));
        }
    }
    // An impl without public items is left out, unless it implements a trait for a public type.
    let all = items.clone();
    let is_empty = |k: usize| all.get(k + 1).is_none_or(|next| !next.starts_with("    "));
    let is_public = |item: &str| item.split_once(" for ").is_some_and(|(_, of)| names.contains(name_of(of)));
    let mut k = 0;
    items.retain(|item| {
        k += 1;
        !item.starts_with("impl") || is_public(item) || !is_empty(k - 1)
    });
    items
}

fn public_api() -> String {
    let text = read(&root().join("src/lib.rs"));
    let all = names_in(&text);
    let (modules, names): (Vec<_>, Vec<_>) = all.iter().partition(|name| name.ends_with("::"));
    let mut api = format!("{} names at the root:\n{}\n\n{} modules:\n", names.len(), join(&names), modules.len());
    for module in modules.iter().map(|name| name.trim_end_matches("::")) {
        let inline = inline_modules(&text).into_iter().find(|(name, _)| name == module).map(|(_, names)| names);
        let names = inline.unwrap_or_else(|| {
            let folder = root().join("src").join(module);
            let file = if folder.is_dir() { folder.join("mod.rs") } else { folder.with_extension("rs") };
            names_in(&read(&file))
        });
        api.push_str(&format!("{module}: {}\n", join(&names)));
    }
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for file in files {
        let items = items(&read(&file), &all);
        if !items.is_empty() {
            let file = file.strip_prefix(root()).expect("under the root");
            api.push_str(&format!("\n{}\n{}\n", file.display(), items.join("\n")));
        }
    }
    api
}

fn join<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_public_names_are_those_of_the_snapshot() {
    let api = public_api();
    println!("{}", api.lines().next().unwrap_or_default());
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true},
        { insta::assert_snapshot!("public_api", api) });
}

#[test]
fn nothing_of_the_inside_is_reachable_from_the_root() {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for line in public_api().lines() {
        let words: BTreeSet<&str> = line.split(|c| !is_word(c)).collect();
        let found: Vec<_> = INSIDE.iter().filter(|inside| words.contains(*inside)).collect();
        assert!(found.is_empty(), "{found:?}: {line}");
    }
}

//! The pages run as printed: every shell block of every page, in order, in a folder of the page's own, and what it
//! prints is what the page says.
//!
//! A comment before a block, which readers of the page do not see, says what is special about it:
//!
//! | comment | meaning |
//! |---|---|
//! | `<!-- test: skip, REASON -->` | the block is not run |
//! | `<!-- test: without WORDS, REASON -->` | its lines that begin with these words are not run |
//! | `<!-- test: differs, REASON -->` | it is run, but what it prints is not compared |
//! | `<!-- test: file NAME -->` | it is the content of this file, which is executable |
//! | `<!-- test: exits with N -->` | its last command ends with this exit code |
//! | `<!-- test: numbers -->`, `<!-- test: numbers of WORDS -->` | what its commands print, or those with these words, has other numbers each time |
//! | `<!-- test: run`, lines, `-->` | not about a block: what the page leaves to its reader |

mod compare;
mod markdown;
mod runner;

use crate::common::planets::planet;
use crate::common::support::py;
use markdown::{Kind, steps};
use runner::Runner;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Pages of Markdown whose blocks are run.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).to_vec();
    let mut folders = ["docs", "examples"].map(PathBuf::from).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("folder") {
            let path = folder.join(entry.expect("entry").file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn text_of(page: &Path) -> String {
    std::fs::read_to_string(root().join(page)).expect("reads")
}

/// Runs a page to its end.
fn run_page(page: &str) {
    let steps = steps(page, &text_of(Path::new(page)));
    let runner = Runner::new(page);
    let (mut ran, mut skipped) = (0, 0);
    for step in steps {
        if let Kind::Skipped(reason) = &step.kind {
            skipped += 1;
            println!("{page}:{}: NOT RUN: {reason}", step.line);
        } else {
            ran += 1;
            runner.run(&step);
        }
    }
    println!("{page}: {ran} blocks were run, {skipped} were not");
}

/// Whether h5py and numpy are here.
fn has_h5py() -> bool {
    py("", &[]).is_some()
}

#[test]
fn readme() {
    if has_h5py() {
        run_page("README.md");
    }
}

#[test]
fn contributing() {
    run_page("CONTRIBUTING.md");
}

#[test]
fn guide() {
    if has_h5py() {
        run_page("docs/guide.md");
    }
}

#[test]
fn cli() {
    if has_h5py() {
        run_page("docs/cli.md");
    }
}

#[test]
fn ledger() {
    run_page("docs/ledger.md");
}

#[test]
fn slurm() {
    run_page("docs/slurm.md");
}

#[test]
fn nfs() {
    run_page("docs/nfs.md");
}

#[test]
fn doctor() {
    run_page("docs/doctor.md");
}

#[test]
fn monitor() {
    run_page("docs/monitor.md");
}

#[test]
fn mbe() {
    if has_h5py() {
        run_page("docs/mbe.md");
    }
}

#[test]
fn multiplanet() {
    if planet("vplanet").is_some() {
        run_page("docs/multiplanet.md");
    }
}

#[test]
fn bigplanet() {
    if planet("vplanet").is_some() {
        run_page("docs/bigplanet.md");
    }
}

#[test]
fn python() {
    run_page("docs/python.md");
}

#[test]
fn performance() {
    run_page("docs/performance.md");
}

/// No page with a block to run is forgotten, and none is left out without a word.
#[test]
fn every_page_has_its_test_and_blocks_that_do_not_run_are_known() {
    let tests = include_str!("mod.rs");
    let mut skipped = String::new();
    let mut ran = 0;
    for page in pages() {
        let page = page.to_str().expect("UTF-8");
        let steps = steps(page, &text_of(Path::new(page)));
        assert!(steps.is_empty() || tests.contains(&format!("run_page(\"{page}\")")), "{page} has no test");
        for step in steps {
            match step.kind {
                Kind::Skipped(reason) => skipped += &format!("{page}: {reason}\n"),
                _ => ran += 1,
            }
        }
    }
    println!("{ran} blocks are run, {} are not:\n{skipped}", skipped.lines().count());
    assert!(ran > 60, "only {ran} blocks are run");
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../../snapshots", omit_expression => true }, {
        insta::assert_snapshot!("pages_not_run", skipped);
    });
}

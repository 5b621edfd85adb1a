//! Copies the structure of a file: everything that h5py can put into a file is compared with what it finds in the copy.

use crate::common::support::{Scratch, py};
use h5part_base::storage::{Disk, Mode, Storage, StorageFile};
use h5part_engine::h5::{Allocation, Compression, Copied, Copying, H5Change, H5File, Shell, ShellLayout};
use std::path::Path;
use std::sync::Arc;

const EVERYTHING: &str = include_str!("everything.py");
const COMPARE: &str = include_str!("compare.py");

/// Old and new formats, with and without tracking of the creation order.
const KINDS: [[&str; 3]; 5] = [
    ["earliest", "v110", "0"],
    ["earliest", "v110", "1"],
    ["v108", "v108", "1"],
    ["v110", "v110", "0"],
    ["v110", "v110", "1"],
];

fn open(path: &Path, mode: Mode) -> Arc<dyn StorageFile> {
    Arc::from(Disk.open(path, mode).expect("open"))
}

fn copy(from: &Path, to: &Path, shells: Vec<Shell>) -> Copied {
    let from = H5File::open(&open(from, Mode::Read), from).expect("source");
    let into = open(to, Mode::CreateNew);
    let change = H5Change::create_like(&into, to, &from).expect("new file");
    change.run(|h5| h5.copy_structure(&from, &Copying { shells, stamps: true, ..Copying::default() })).expect("copy")
}

fn compare(a: &Path, b: &Path, shells: &[&str]) -> String {
    let mut args = vec![a.to_str().expect("UTF-8"), b.to_str().expect("UTF-8")];
    args.extend(shells);
    py(COMPARE, &args).expect("h5py")
}

fn shell(path: &str, layout: ShellLayout, compression: Compression, allocation: Allocation) -> Shell {
    Shell { path: path.to_owned(), layout, compression, allocation: Some(allocation), rows: None }
}

#[test]
fn everything_is_copied() {
    for [low, high, track] in KINDS {
        let scratch = Scratch::new();
        let (from, to) = (scratch.path("a.h5"), scratch.path("b.h5"));
        if py(EVERYTHING, &[from.to_str().expect("UTF-8"), low, high, track]).is_none() {
            return;
        }
        let before = std::fs::read(&from).expect("read");
        let copied = copy(&from, &to, vec![]);
        assert_eq!(copied.left_out, [], "{low} {high} {track}");
        assert_eq!(compare(&from, &to, &[]), "", "{low} {high} {track}");
        assert!(before == std::fs::read(&from).expect("read"), "the source was changed");
    }
}

#[test]
fn shells_have_everything_but_values() {
    let names = ["/t/E", "/t/F", "/t/flat", "/t/flag", "/t/label", "/t/typed column", "/time", "/kinds/late"];
    for [low, high, track] in KINDS {
        let scratch = Scratch::new();
        let (from, to) = (scratch.path("a.h5"), scratch.path("b.h5"));
        if py(EVERYTHING, &[from.to_str().expect("UTF-8"), low, high, track]).is_none() {
            return;
        }
        let same = |path: &str| shell(path, ShellLayout::Same, Compression::Same, Allocation::Early);
        let shells = vec![
            shell(
                "t/E",
                ShellLayout::Chunked(vec![32]),
                Compression::Gzip { level: 4, shuffle: true },
                Allocation::Incremental,
            ),
            shell("t/F", ShellLayout::Same, Compression::None, Allocation::Early),
            same("t/flat"),
            shell(
                "t/flag",
                ShellLayout::Chunked(vec![1000]),
                Compression::Zstd { level: 3, shuffle: true },
                Allocation::Incremental,
            ),
            same("t/label"),
            same("t/typed column"),
            same("time"),
            same("kinds/late"),
        ];
        let copied = copy(&from, &to, shells);
        assert_eq!(copied.left_out, [], "{low} {high} {track}");
        assert_eq!(compare(&from, &to, &names), "", "{low} {high} {track}");
        let script = "import sys, h5py, numpy as np\n\
            f = h5py.File(sys.argv[1])\n\
            t = f['t']\n\
            def how(d): p = d.id.get_create_plist(); return [p.get_filter(k) for k in range(p.get_nfilters())]\n\
            print(t['E'].chunks, t['E'].compression, t['E'].shuffle, t['E'].id.get_num_chunks(), np.isnan(t['E'][...]).all())\n\
            print(t['F'].chunks, t['F'].compression, t['F'].id.get_num_chunks(), (t['F'][...] == 7.5).all())\n\
            print(t['flat'].chunks, t['flat'].id.get_offset() is not None, t['flat'].dtype)\n\
            print(t['flag'].chunks, [(k[0], k[1], k[2]) for k in how(t['flag'])])";
        let found = py(script, &[to.to_str().expect("UTF-8")]).expect("h5py");
        let expected = "(32,) gzip True 0 True\n(16, 4, 3) None 7 True\nNone True >i4\n\
            (200,) [(2, 1, (1,)), (32015, 1, (3,))]\n";
        assert_eq!(found, expected, "{low} {high} {track}");
    }
}

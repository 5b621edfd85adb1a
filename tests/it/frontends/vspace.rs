//! Trials on a grid, as vspace makes them.

use crate::common::planets::planet;
use crate::common::support::{Scratch, finished, h5part, is_one_error, small_table};
use h5part_engine::store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

const EARTH: &str =
    "# Earth\nsName\t\tearth\t# name\ndMass  -1.0\n\ndSemi   -1\t# AU\n dEcc 0.0167\nsaOutputOrder -Time $\n   -TMan\n";
const VPL: &str = "sSystemName earth\nsaBodyFiles earth.in\ndStopTime 4.5e9  #1e10\niDigits 6";

/// A folder with template files and this vspace.in.
fn folder(vspace: &[u8]) -> Scratch {
    let dir = Scratch::in_memory();
    fs::create_dir(dir.path("templates")).expect("makes");
    fs::write(dir.path("templates/earth.in"), EARTH).expect("writes");
    fs::write(dir.path("templates/vpl.in"), VPL).expect("writes");
    fs::write(dir.path("vspace.in"), vspace).expect("writes");
    dir
}

fn ours(dir: &Scratch, args: &[&str], answer: &str) -> (i32, String, String) {
    let mut command = h5part();
    command.current_dir(dir.path("")).arg("vspace").args(args).write_stdin(answer);
    finished(&command.output().expect("starts"))
}

/// A folder is not replaced while someone writes to a store in it.
#[test]
fn a_folder_with_a_store_in_use_stays() {
    let dir = folder(
        b"sSrcFolder templates\nsDestFolder trials\nsBodyFile earth.in\ndSemi [1,2,n2] a\nsPrimaryFile vpl.in\n",
    );
    assert_eq!(ours(&dir, &["vspace.in"], "").0, 0);
    let store = Store::new(dir.path("trials/run.h5")).expect("path");
    store.create(&small_table(3), &|_, _| ()).expect("creates");
    let writer = store.writer("t").expect("writer");
    let (code, _, err) = ours(&dir, &["-f", "vspace.in"], "");
    assert!(code == 2 && err.contains("uses") && err.contains("run.h5"), "{code} {err}");
    assert!(store.path().exists());
    drop(writer);
    assert_eq!(ours(&dir, &["-f", "vspace.in"], "").0, 0);
    assert!(!store.path().exists());
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("name").to_str().expect("UTF-8").to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
            found.insert(name + "/", Vec::new());
        } else {
            found.insert(name, fs::read(path).expect("reads"));
        }
    }
    found
}

/// Makes the trials with both programs and compares them byte for byte. Returns the number of files.
fn compare(vspace: &[u8]) -> Option<usize> {
    let (here, there) = (folder(vspace), folder(vspace));
    let mut peer = planet("vspace")?;
    let peer = peer.current_dir(there.path("")).arg("vspace.in").stdin(Stdio::null()).output().expect("starts");
    let (code, out, err) = ours(&here, &["vspace.in"], "");
    let shown = String::from_utf8_lossy(vspace).into_owned();
    assert!(peer.status.success(), "vspace refuses\n{shown}\n{}", String::from_utf8_lossy(&peer.stderr));
    assert!(code == 0 && out.is_empty() && err.is_empty(), "{shown}\n{out}{err}");
    let (made, expected) = (files(&here.path("")), files(&there.path("")));
    assert_eq!(made.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{shown}");
    for (name, bytes) in &expected {
        let both = [&made[name], bytes].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(both[0], both[1], "{name} of\n{shown}");
        assert_eq!(&made[name], bytes, "{name} of\n{shown}");
    }
    Some(expected.len())
}

const HEAD: &str = "sSrcFolder templates\nsDestFolder MP\nsTrialName t_\n";

#[test]
fn trials_are_those_of_vspace_byte_for_byte() {
    let earth = |lines: &str| format!("{HEAD}\nsBodyFile earth.in\n{lines}\n\nsPrimaryFile vpl.in\n");
    let cases = [
        // Explicit, linear, logarithmic; several axes, in two files; numbers that are long, small and large.
        earth("dSemi [1, 2, n3] a"),
        earth("dSemi [0, 1, 0.1] a\ndEcc [0.1, 0.4, n4] e"),
        earth("dSemi [1e-7, 1e20, l10] a\ndNew [-1, -1000, l12] new"),
        earth("dSemi [3, 1, -1] a") + "dStopTime [1e15, 1e17, n3] s\niDigits [1,1,n2] d\n",
        earth("dEcc [0.1, 0.7, n1] e"),
        // Options that are set, added, taken out, given twice; comments; continued lines.
        earth(
            "dSemi 3\nrm dMass\ndAdded 7 # why\n# Earth!\ndEcc 0.5\ndEcc 0.6\ndRadius [1,2,n2] r\nsaOutputOrder -Time",
        ),
        earth("dSemi [1, 2, n2] a\nrm dSemi") + "iDigits 8\ndX [1, 2, n2] x",
        // Nothing varies.
        earth("dSemi 3\ndAdded 4"),
        "srcfolder ./templates\ndestfolder ./MP\niSeed 42\nsamplemode grid\nfile vpl.in\ndX [1,2,n2]\n".to_owned(),
        earth("dSemi [1, 2, n3] a").replace('\n', "\r\n"),
        // The text after a file's name belongs to the name, whatever it is.
        earth("dSemi [1, 2, n3] a") + "sTrialName late_\niSeed 3\n",
    ];
    let mut compared = 0;
    for case in cases {
        let Some(count) = compare(case.as_bytes()) else { return };
        compared += count;
    }
    println!("{compared} files and folders compared with those of vspace");
}

#[test]
fn random_grids_are_those_of_vspace() {
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let seed = std::env::var("H5PART_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    println!("H5PART_SEED={seed}");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |n: u32| random.next_u32() % n;
    for _ in 0..8 {
        let mut text = format!("{HEAD}sBodyFile earth.in\n");
        for option in ["dSemi", "dEcc", "dOther"] {
            let (start, width) = (f64::from(draw(2000)) / 7.0 + 0.001, f64::from(draw(1000)) / 13.0);
            let line = match draw(5) {
                0 => format!("{option} [{start}, {}, n{}] {option}", start + width, draw(5) + 1),
                1 => format!("{option} [{start},{}, l{}] {option}", start + width, draw(5) + 1),
                2 => format!("{option} [-{start}, {width}, {}] {option}", (start + width) / 3.7),
                3 => format!("{option} {start}"),
                _ => format!("# {option}"),
            };
            text += &(line + "\n");
        }
        text += "sPrimaryFile vpl.in\niDigits [1, 12, n2] digits\n";
        if compare(text.as_bytes()).is_none() {
            return;
        }
    }
}

#[test]
fn bytes_of_any_encoding_pass_through() {
    let dir = folder(format!("{HEAD}sBodyFile earth.in\nsName Ren\u{e9}e\ndSemi [1,2,n2] a\n").as_bytes());
    let latin = b"# caf\xe9\nsName x\ndSemi 1 # \xb5\n";
    fs::write(dir.path("templates/earth.in"), latin).expect("writes");
    assert_eq!(ours(&dir, &["vspace.in"], "").0, 0);
    let made = fs::read(dir.path("MP/t_a1/earth.in")).expect("reads");
    assert_eq!(made, [b"# caf\xe9\n".as_slice(), "sName Ren\u{e9}e\n".as_bytes(), b"dSemi 2.0"].concat());
}

#[test]
fn what_is_there_is_replaced_only_when_that_is_wanted() {
    let dir = folder(format!("{HEAD}sBodyFile earth.in\ndSemi [1,2,n2] a\n").as_bytes());
    assert_eq!(ours(&dir, &["vspace.in", "--json"], "").1.trim(), r#"{"folder":"MP","trials":2}"#);
    fs::write(dir.path("MP/kept"), "").expect("writes");
    for checkpoint in [".MP", ".MP_BPL", "MP.bpa"] {
        fs::write(dir.path(checkpoint), "old").expect("writes");
    }
    let (code, _, err) = ours(&dir, &["vspace.in"], "");
    assert!(code == 2 && err.contains("-f replaces it"), "{code} {err}");
    let (code, out, _) = ours(&dir, &["vspace.in"], "perhaps\nn\n");
    assert!(code == 0 && out.matches("(y/n)").count() == 2 && dir.path("MP/kept").exists(), "{out}");
    assert_eq!(ours(&dir, &["vspace.in"], "y\n").0, 0);
    assert!(!dir.path("MP/kept").exists() && dir.path("MP/t_a1/earth.in").exists());
    assert!(!dir.path(".MP").exists() && !dir.path(".MP_BPL").exists(), "old checkpoints speak of other trials");
    assert!(dir.path("MP.bpa").exists(), "an archive is never deleted");
    let (code, out, err) = ours(&dir, &["vspace.in", "--json"], "y\n");
    assert!(code == 0 && out == "{\"folder\":\"MP\",\"trials\":2}\n" && err.contains("(y/n)"), "{out}{err}");
    fs::write(dir.path("MP/kept"), "").expect("writes");
    assert_eq!(ours(&dir, &["-f", "vspace.in"], "").0, 0);
    assert!(!dir.path("MP/kept").exists());
    // A refused command deletes nothing.
    fs::write(dir.path("MP/kept"), "").expect("writes");
    fs::write(dir.path("vspace.in"), format!("{HEAD}file nowhere.in\ndSemi [1,2,n2] a\n")).expect("writes");
    let (code, _, err) = ours(&dir, &["-f", "vspace.in"], "");
    assert!(code == 3 && err.contains("nowhere.in") && dir.path("MP/kept").exists(), "{code} {err}");
    let left = fs::read_dir(dir.path(""))
        .expect("folder")
        .filter(|e| e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().contains("h5part-new")));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_destination_that_is_no_folder_or_has_templates_is_never_replaced() {
    let cases = [
        ("sSrcFolder .\nsDestFolder earth.in\nfile earth.in\ndSemi [1,2,n2] a\n", "is not a folder"),
        ("sSrcFolder .\nsDestFolder notes.txt\nfile earth.in\n", "is not a folder"),
        ("sSrcFolder .\nsDestFolder dangling\nfile earth.in\n", "is not a folder"),
        ("sSrcFolder .\nsDestFolder link\nfile templates/vpl.in\n", "contains the template files"),
        ("sSrcFolder .\nsDestFolder templates\nfile earth.in\nfile templates/vpl.in\n", "contains the template files"),
    ];
    for (text, said) in cases {
        let dir = folder(text.as_bytes());
        fs::write(dir.path("earth.in"), EARTH).expect("writes");
        fs::write(dir.path("notes.txt"), "mine").expect("writes");
        std::os::unix::fs::symlink("nowhere", dir.path("dangling")).expect("links");
        std::os::unix::fs::symlink("templates", dir.path("link")).expect("links");
        let before = files(&dir.path("templates"));
        for (args, answer) in [(&["-f", "vspace.in"][..], ""), (&["vspace.in"], "y\n")] {
            let (code, out, err) = ours(&dir, args, answer);
            assert!(code == 2 && err.contains(said) && is_one_error(&err) && out.is_empty(), "{text}{code} {err}");
        }
        assert_eq!(fs::read_to_string(dir.path("earth.in")).expect("reads"), EARTH, "{text}");
        assert_eq!(fs::read_to_string(dir.path("notes.txt")).expect("reads"), "mine");
        assert!(dir.path("dangling").is_symlink() && dir.path("link").is_symlink());
        assert_eq!(files(&dir.path("templates")), before, "{text}");
    }
}

#[test]
fn bad_input_is_refused_with_its_line_before_anything_is_made() {
    let cases = [
        ("sSrcFolder templates\nfile earth.in\n".to_owned(), 5, "sDestFolder NAME"),
        ("sDestFolder MP\nfile earth.in\n".to_owned(), 5, "sSrcFolder NAME"),
        (HEAD.to_owned(), 5, "it names no file"),
        (format!("{HEAD}file\n"), 5, "line 4: 'file' has no value"),
        (format!("{HEAD}sSampleMode random\nfile earth.in\n"), 5, "use vspace for this file"),
        (format!("{HEAD}file earth.in\ndSemi [1, 5, u] a\n"), 5, "line 5: 'u' draws random values"),
        (
            format!("{HEAD}file earth.in\nrm dNothing\n"),
            5,
            "line 5: 'dNothing' is to be removed, but is not in earth.in",
        ),
        ("sSrcFolder nowhere\nsDestFolder MP\nfile earth.in\n".to_owned(), 3, "nowhere/earth.in: no such file"),
        ("sSrcFolder templates\nsDestFolder a/b/MP\nfile earth.in\n".to_owned(), 3, "a/b/MP: no such file"),
        ("sSrcFolder templates\nsDestFolder templates\nfile earth.in\n".to_owned(), 2, "contains the template files"),
        ("sSrcFolder templates\nsDestFolder .\nfile earth.in\n".to_owned(), 5, "not a name of a folder"),
    ];
    for (text, expected, said) in cases {
        let dir = folder(text.as_bytes());
        let (code, out, err) = ours(&dir, &["-f", "vspace.in"], "");
        assert!(code == expected && err.contains(said) && is_one_error(&err), "{text}\n{code} {err}");
        assert!(out.is_empty() && !dir.path("MP").exists() && dir.path("templates/earth.in").exists(), "{text}");
    }
    let dir = folder(b"");
    let (code, _, err) = ours(&dir, &["nothing.in"], "");
    assert!(code == 3 && err.contains("nothing.in"), "{err}");
}

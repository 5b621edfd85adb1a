//! Bad input: truncated logs and outputs, trials that vanish, archives that a kill of the original damaged.

use super::toy::Toy;
use crate::common::support::{is_one_error, py};

/// The other trials are archived. This one is reported with file and reason.
fn refused(toy: &Toy, what: &[&str]) {
    let (code, out, err) = toy.run(&["-a", "bpl.in"]);
    assert_eq!((code, out.lines().last()), (1, Some("2 of 3 trials are in MP.bpa")), "{err}");
    let told: Vec<&str> = err.lines().filter(|line| line.contains("was not archived")).collect();
    assert_eq!(told.len(), 1, "{err}");
    for what in what {
        assert!(told[0].contains(what), "{what}: {err}");
    }
    // In the text it waits: the Python tool would do it, and so does our next run.
    assert_eq!(toy.read(".MP_BPL").matches(" -1\n").count(), 1);
}

#[test]
fn outputs_and_logs_that_are_not_whole() {
    type Hurt = fn(&Toy);
    let cases: [(&str, Hurt, &[&str]); 9] = [
        (
            "no order",
            |toy| toy.edit("MP/a1/toy.log", "Output Order: Time", "Other: Time"),
            &["toy.log", "no Output Order of 'planet'"],
        ),
        (
            "no end",
            |toy| {
                let log = toy.read("MP/a1/toy.log");
                toy.write("MP/a1/toy.log", log.split("---- FINAL").next().expect("a start"));
            },
            &["toy.log", "vplanet did not finish"],
        ),
        ("cut order", |toy| toy.edit("MP/a1/toy.log", "Flux[W/m^2] \n", "Flux[W/"), &["toy.log: line 25"]),
        (
            "no log",
            |toy| std::fs::remove_file(toy.path("MP/a1/toy.log")).expect("removes"),
            &["toy.log", "no such file"],
        ),
        (
            "cut line",
            |toy| {
                let text = toy.read("MP/a1/toy.planet.forward");
                toy.write("MP/a1/toy.planet.forward", &text[..text.len() - 9]);
            },
            &["toy.planet.forward: line 40", "the file was cut"],
        ),
        (
            "short line",
            |toy| {
                let text = toy.read("MP/a1/toy.planet.forward");
                toy.write("MP/a1/toy.planet.forward", format!("{text}1.5 2.5\n"));
            },
            &["toy.planet.forward: line 41: it has 2 columns"],
        ),
        ("other columns", |toy| toy.edit("MP/a1/toy.log", "Ecc[] ", ""), &["it has 4 columns", "Output Order has 3"]),
        (
            "no output",
            |toy| std::fs::remove_file(toy.path("MP/a1/toy.planet.forward")).expect("removes"),
            &["toy.planet.forward", "no such file"],
        ),
        (
            "vanished",
            |toy| {
                std::fs::remove_dir_all(toy.path("MP/a1")).expect("removes");
                std::fs::create_dir(toy.path("MP/a1")).expect("folder");
            },
            &["MP/a1/star.in", "no such file"],
        ),
    ];
    for (name, hurt, what) in cases {
        println!("{name}");
        let toy = Toy::new(3);
        hurt(&toy);
        refused(&toy, what);
        // Once it is repaired, the next run archives it.
        toy.trial("a1", 1);
        assert!(toy.ok(&["-a", "bpl.in"]).contains("3 of 3 trials"));
    }
}

#[test]
fn input_files_in_latin_1_and_windows_lines() {
    let toy = Toy::new(2);
    let mut bytes = b"# Herr M\xfcller\r\nsColor Gr\xfcn\r\n".to_vec();
    bytes.extend(toy.read("MP/a1/planet.in").replace('\n', "\r\n").into_bytes());
    toy.write("MP/a1/planet.in", bytes);
    toy.ok(&["-a", "bpl.in"]);
    toy.bpl("f.in", "sSimName a1\nsaKeyInclude planet:sColor:option\n");
    std::fs::remove_file(toy.path("MP.bpa")).expect("removes");
    toy.ok(&["f.in"]);
    let bundle = h5part_engine::store::Store::open(toy.path("MP_filtered.bpf"))
        .expect("opens")
        .read_bundle("", None)
        .expect("reads");
    let expected = h5part_engine::store::Content::Texts { shape: vec![1], values: vec!["Grün".to_owned()] };
    assert_eq!(bundle.members[0].content, expected);
}

#[test]
fn trials_that_vanish_are_told_and_stay_in_the_archive() {
    let toy = Toy::new(3);
    toy.ok(&["-a", "bpl.in"]);
    std::fs::remove_dir_all(toy.path("MP/a1")).expect("removes");
    let (code, out, err) = toy.run(&["-a", "bpl.in"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("'a1' is in the checkpoint, and not in MP any more") && out.contains("2 of 2"), "{out}{err}");
    let store = h5part_engine::store::Store::open(toy.path("MP.bpa")).expect("opens");
    assert_eq!(store.root_names().expect("reads").len(), 3);
    std::fs::remove_dir_all(toy.path("MP")).expect("removes");
    assert_eq!(toy.run(&["-a", "bpl.in"]).0, 3);
    std::fs::create_dir(toy.path("MP")).expect("folder");
    let (code, _, err) = toy.run(&["-a", "bpl.in"]);
    assert!(code == 2 && err.contains("it contains no folder"), "{err}");
}

#[test]
fn an_archive_that_a_kill_has_damaged_is_refused_and_made_anew() {
    let toy = Toy::new(4);
    toy.ok(&["-a", "bpl.in"]);
    // As kills of the original leave them: a second name for the same group, and a name that leads nowhere.
    let script = "import sys, h5py\n\
        f = h5py.File(sys.argv[1], 'r+')\n\
        del f['a2']; f['a2'] = f['a3']\n\
        address = h5py.h5o.get_info(f['a0'].id).addr\n\
        f.close()\n\
        with open(sys.argv[1], 'r+b') as raw:\n\
        \x20   raw.seek(address); raw.write(b'\\0' * 16)";
    if py(script, &[&toy.text("MP.bpa")]).is_none() {
        return;
    }
    let before = std::fs::read(toy.path("MP.bpa")).expect("reads");
    toy.bpl("f.in", "saKeyInclude planet:Ecc:forward\n");
    for args in [&["-a", "bpl.in"][..], &["f.in"], &["-deleterawdata", "-y", "bpl.in"]] {
        let (code, _, err) = toy.run(args);
        assert_eq!(code, 5, "{err}");
        for what in ["'a2' and 'a3' are names of the same data", "'a0' cannot be opened", "with -o"] {
            assert!(err.contains(what), "{args:?}: {err}");
        }
        assert!(is_one_error(&err), "{err}");
    }
    assert_eq!(std::fs::read(toy.path("MP.bpa")).expect("reads"), before);
    // If a trial cannot be read, the old file stays.
    toy.edit("MP/a1/toy.log", "---- FINAL", "---- OTHER");
    let (code, _, err) = toy.run(&["-a", "-o", "bpl.in"]);
    assert!(code == 5 && err.contains("MP/a1/toy.log"), "{err}");
    assert_eq!(std::fs::read(toy.path("MP.bpa")).expect("reads"), before);
    toy.trial("a1", 1);
    assert!(toy.ok(&["-a", "-o", "bpl.in"]).contains("4 of 4 trials"));
    let store = h5part_engine::store::Store::open(toy.path("MP.bpa")).expect("opens");
    let objects: std::collections::BTreeSet<_> =
        store.root_names().expect("reads").into_iter().map(|n| n.object).collect();
    assert!(objects.len() == 4 && objects.iter().all(Result::is_ok), "{objects:?}");
}

#[test]
fn no_archive_at_all() {
    let toy = Toy::new(1);
    toy.write("MP.bpa", "no archive");
    let (code, _, err) = toy.run(&["-a", "bpl.in"]);
    assert!(code == 5 && err.contains("MP.bpa"), "{err}");
    assert_eq!(toy.read("MP.bpa"), "no archive");
    toy.write("bpl.in", b"\xff\xfe\x00nothing");
    assert_eq!(toy.run(&["-a", "bpl.in"]).0, 2);
    assert_eq!(toy.run(&["-a", "none.in"]).0, 3);
    toy.bpl("bpl.in", "");
    std::fs::remove_file(toy.path("MP.bpa")).expect("removes");
    toy.edit("MP/a0/vpl.in", "sSystemName", "sOther");
    assert!(toy.run(&["-a", "-o", "bpl.in"]).2.contains("it has no sSystemName"));
}

//! Trials that were run again, trials that were replaced, and folders that are no trials.

use super::toy::Toy;
use h5part_engine::store::{Content, Store};
use std::fs;

/// The planet's distance in the archive.
fn semi(toy: &Toy, trial: &str) -> String {
    let bundle = Store::open(toy.path("MP.bpa")).expect("opens").read_bundle(trial, None).expect("reads");
    let member = bundle.members.into_iter().find(|member| member.name == "planet:dSemi:option").expect("there");
    let Content::Texts { values, .. } = member.content else { panic!("no text") };
    values.concat()
}

#[test]
fn trials_that_were_run_again_are_archived_again() {
    let toy = Toy::new(3);
    toy.ok(&["-a", "bpl.in"]);
    toy.edit("MP/a1/planet.in", "dSemi 1.5", "dSemi 7.5");
    let (code, out, err) = toy.run(&["-a", "-v", "bpl.in"]);
    assert!(code == 0 && out.ends_with("3 of 3 trials are in MP.bpa\n"), "{out}{err}");
    assert_eq!(err, "h5part: 'a1': archived again: it existed, but its files say something else\n");
    assert_eq!((semi(&toy, "a0"), semi(&toy, "a1"), semi(&toy, "a2")), ("1".into(), "7.5".into(), "2".into()));
    // Also if the list of trials changes with it, and if times were kept, as by a copy.
    let old = fs::metadata(toy.path("MP/a2/planet.in")).expect("there").modified().expect("a time");
    toy.edit("MP/a2/planet.in", "dSemi 2", "dSemi 8");
    fs::File::options()
        .write(true)
        .open(toy.path("MP/a2/planet.in"))
        .and_then(|file| file.set_modified(old))
        .expect("sets");
    toy.trial("a3", 3);
    let (_, _, err) = toy.run(&["-a", "bpl.in"]);
    assert!(err.contains("'a2': archived again") && err.lines().count() == 1, "{err}");
    assert_eq!(semi(&toy, "a2"), "8");
    // Changes without effect, e.g. a file that does not belong to the trial.
    toy.write("MP/a0/notes.txt", "mine");
    assert_eq!(toy.run(&["-a", "-v", "bpl.in"]).2, "h5part: 'a0': in the archive already\n");
    assert_eq!(toy.run(&["-a", "-v", "bpl.in"]).2, "");
    // A trial that was started again and has not ended is not reported as done. Its data in the archive stay.
    toy.edit("MP/a0/toy.log", "---- FINAL", "---- OTHER");
    let (code, out, err) = toy.run(&["-a", "bpl.in"]);
    assert!(code == 1 && out.ends_with("3 of 4 trials are in MP.bpa\n") && err.contains("'a0' was not"), "{out}{err}");
    assert_eq!(semi(&toy, "a0"), "1");
}

#[test]
fn trials_of_another_grid_in_the_archive_are_told() {
    let toy = Toy::new(6);
    toy.ok(&["-a", "bpl.in"]);
    fs::remove_dir_all(toy.path("MP")).expect("removes");
    for checkpoint in [".MP_BPL", ".MP_BPL.ledger"] {
        fs::remove_file(toy.path(checkpoint)).expect("removes");
    }
    (0..2).for_each(|k| toy.trial(&format!("a{k}"), k + 10));
    let (code, out, err) = toy.run(&["-a", "bpl.in"]);
    assert!(code == 0 && out.ends_with("2 of 2 trials are in MP.bpa\n"), "{out}{err}");
    let told = "MP.bpa also has 4 trials that are not in MP, e.g. 'a2', 'a3', 'a4'";
    assert!(err.contains(told) && err.contains("another name"), "{err}");
    assert_eq!(semi(&toy, "a0"), "6");
    fs::remove_file(toy.path("MP.bpa")).expect("removes");
    let (code, _, err) = toy.run(&["-a", "bpl.in"]);
    assert!(code == 0 && err.is_empty(), "{err}");
    assert_eq!(Store::open(toy.path("MP.bpa")).expect("opens").root_names().expect("reads").len(), 2);
}

#[test]
fn a_folder_that_comes_first_and_is_no_trial_stops_no_other() {
    let toy = Toy::new(3);
    fs::remove_file(toy.path("MP/a0/vpl.in")).expect("removes");
    fs::create_dir(toy.path("MP/Notes")).expect("makes");
    let (code, out, err) = toy.run(&["-a", "bpl.in"]);
    assert!(code == 1 && out.ends_with("2 of 4 trials are in MP.bpa\n"), "{code} {out}{err}");
    let one = ["'a0' was not archived: cannot read MP/a0/vpl.in", "'Notes' was not archived: cannot read MP/Notes/"];
    assert_eq!(one.iter().filter(|told| err.contains(*told)).count(), 1, "both for one reason: {err}");
    assert!(err.contains("2 tasks failed: no such file; first '"), "{err}");
    for name in ["a1", "a2"] {
        fs::remove_dir_all(toy.path(&format!("MP/{name}"))).expect("removes");
    }
    let (code, _, err) = toy.run(&["-a", "bpl.in"]);
    assert!(code == 3 && err.contains("MP/Notes/") && err.contains("no such file"), "none can be read: {err}");
}

#[test]
fn more_workers_than_there_are_trials_are_not_started() {
    let toy = Toy::new(3);
    toy.bpl("f.in", "saKeyInclude planet:dSemi:option\n");
    for args in [&["f.in"][..], &["-a", "bpl.in"], &["-a", "-o", "bpl.in"], &["-deleterawdata", "-y", "bpl.in"]] {
        let (code, _, err) = toy.run(&[args, &["-c", "1000000"]].concat());
        assert!(code == 0 && err.is_empty(), "{args:?}: {code} {err}");
    }
    assert_eq!(toy.run(&["-a", "-c", "0", "bpl.in"]).0, 2);
}

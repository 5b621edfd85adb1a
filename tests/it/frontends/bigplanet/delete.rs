//! Raw data are deleted only if the archive has them.

use super::toy::Toy;
use crate::common::support::{finished, h5part};
use std::process::Output;

fn answered(toy: &Toy, answer: &str) -> Output {
    let mut command = h5part();
    command.args(Toy::args(&["-deleterawdata", "bpl.in"])).current_dir(toy.folder());
    command.write_stdin(answer.to_owned()).output().expect("starts")
}

#[test]
fn it_is_asked_before_and_everything_goes_that_is_in_the_archive() {
    let toy = Toy::new(3);
    assert_eq!(toy.run(&["-deleterawdata", "-y", "bpl.in"]).0, 3, "there is no archive");
    toy.write("MP/grid_list.dat", "trial\n");
    toy.ok(&["-a", "bpl.in"]);
    let (code, out, _) = finished(&answered(&toy, "n\n"));
    assert!(code == 0 && out.contains("deletes 3 trials in MP") && out.contains("NOT deleted"), "{out}");
    for answer in ["", "perhaps\n"] {
        assert_eq!(finished(&answered(&toy, answer)).0, 2);
    }
    assert!(toy.path("MP/a2/toy.log").exists());
    toy.write(".MP", "multiplanet's\n");
    let (code, out, _) = finished(&answered(&toy, "Y\n"));
    assert!(code == 0 && out.ends_with("Files deleted: 3 trials.\n"), "{out}");
    assert!(!toy.path("MP/a0").exists() && !toy.path(".MP").exists());
    // This file is in no archive.
    assert!(toy.path("MP/grid_list.dat").exists());
    toy.bpl("f.in", "saKeyInclude planet:Ecc:forward\n");
    toy.ok(&["f.in"]);
}

#[test]
fn what_the_archive_does_not_have_as_it_is_stays() {
    let toy = Toy::new(3);
    toy.ok(&["-a", "bpl.in"]);
    toy.edit("MP/a0/planet.in", "dSemi 1", "dSemi 5");
    toy.trial("a3", 3);
    toy.edit("MP/a2/toy.log", "---- FINAL", "---- OTHER");
    let (code, out, err) = toy.run(&["-deleterawdata", "--yes", "bpl.in", "--json"]);
    assert_eq!((code, out.as_str()), (1, "{\"deleted\":[\"a1\"],\"kept\":[\"a0\",\"a2\",\"a3\"]}\n"), "{err}");
    assert!(
        err.contains("'a0' is kept: the archive does not have it") && err.contains("'a2' is kept: cannot"),
        "{err}"
    );
    assert!(toy.path("MP/a0").exists() && !toy.path("MP/a1").exists() && toy.path("MP/a3/toy.log").exists());
    // Archived and deleted in one run. A trial that cannot be read keeps all its files.
    let (code, _, err) = toy.run(&["-a", "-deleterawdata", "-y", "bpl.in"]);
    assert!(code == 1 && toy.path("MP/a0").exists(), "{err}");
    toy.trial("a2", 2);
    // Rebuilding the archive from what is left would lose what was deleted.
    let (code, _, err) = toy.run(&["-a", "-o", "bpl.in"]);
    assert!(code == 11 && err.contains("these of its trials are not in MP: a1"), "{err}");
    // A user asks to archive it again.
    toy.edit(".MP_BPL", "MP/a0 1", "MP/a0 -1");
    toy.ok(&["-a", "-deleterawdata", "-y", "bpl.in"]);
    assert!(!toy.path("MP").exists());
}

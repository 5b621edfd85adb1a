//! After a kill at any instant an archive is whole, and the next run continues it.

use super::toy::Toy;
use crate::common::killing::Killer;
use crate::common::support::remove_store;
use h5part_engine::store::Store;
use h5part_engine::verify::Verify;
use std::process::{Command, Stdio};
use std::time::Duration;

const TRIALS: usize = 24;
const KILLS: usize = 12;

#[test]
fn a_killed_run_leaves_whole_trials_and_goes_on() {
    let mut killer = Killer::new(Duration::from_millis(100));
    let toy = Toy::new(TRIALS);
    let (mut killed, mut kept, mut seen) = (0, 0, Vec::new());
    while killed < KILLS {
        if kept == TRIALS {
            remove_store(&toy.path("MP.bpa"));
            kept = 0;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_h5part"));
        command.args(Toy::args(&["-a", "-q", "-c", "3", "bpl.in"])).current_dir(toy.folder());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        killed += usize::from(killer.kill(&mut child));
        // Whatever is in the archive is whole, and nothing vanishes. An unfinished change is removed.
        let Ok(store) = Store::open(toy.path("MP.bpa")) else { continue };
        let report = store.verify(&Verify { repair: true, ..Verify::default() }, &|_, _| ()).expect("verifies");
        assert!(report.sound, "{report:?}");
        let there = store.root_names().expect("reads").len();
        assert!(there >= kept, "{there} trials after {kept}");
        kept = there;
        seen.push(kept);
    }
    println!("{killed} were killed, of {TRIALS} trials there were {seen:?} then");
    assert!(toy.ok(&["-a", "bpl.in"]).contains(&format!("{TRIALS} of {TRIALS} trials")));
    // A new archive of the same files equals it.
    let archived = |toy: &Toy, k: usize| {
        let store = Store::open(toy.path("MP.bpa")).expect("opens");
        store.read_bundle(&format!("a{k}"), None).expect("reads").sum()
    };
    let whole = Toy::new(TRIALS);
    whole.ok(&["-a", "bpl.in"]);
    (0..TRIALS).for_each(|k| assert_eq!(archived(&toy, k), archived(&whole, k), "a{k}"));
}

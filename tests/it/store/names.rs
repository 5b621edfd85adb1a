//! Names that h5part keeps for itself.

use crate::common::support::{Scratch, ok, run, small_store};

#[test]
fn reserved_names_are_refused_wherever_they_come_from() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let (text, other) = (scratch.text("a.h5"), scratch.text("b.h5"));
    small_store(&path, 5);
    let before = std::fs::read(&path).expect("reads");
    for args in [
        &["attr", &text, "t", "h5part_table=77"][..],
        &["attr", &text, "t", "unit=eV", "h5part_anything=1"],
        &["attr", &text, "__h5part__", "a=1"],
        &["create", &text, "u", "--rows", "5", "--column", "E:f64", "--attr", "h5part_table=77"],
        &["create", &text, "__h5part__/u", "--rows", "5", "--column", "E:f64"],
        &["create", &text, "a/h5part_u", "--rows", "5", "--column", "E:f64"],
        &["create", &text, "u", "--rows", "5", "--column", "h5part_E:f64"],
        &["create", &other, "u", "--rows", "5", "--column", "E:f64", "--attr", "h5part_uuid=x"],
        &["adopt", &text, "__h5part__"],
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(err.contains("is reserved"), "{args:?}: {err}");
    }
    assert!(std::fs::read(&path).expect("reads") == before);
    assert!(!scratch.path("b.h5").exists());
    ok(&["attr", &text, "t", "h5part=1", "my_h5part_x=2"]);
}

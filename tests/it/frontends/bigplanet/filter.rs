//! What is filtered from archives and from raw output.

use super::toy::{Toy, Ways};
use crate::common::support::is_one_error;
use h5part_engine::store::{Content, Store};

fn content(toy: &Toy, file: &str, name: &str) -> Content {
    let bundle = Store::open(toy.path(file)).expect("opens").read_bundle("", None).expect("reads");
    bundle.members.into_iter().find(|member| member.name == name).unwrap_or_else(|| panic!("no {name}")).content
}

#[test]
fn everything_that_can_be_asked_for_from_raw_output_and_from_the_archive() {
    let toy = Toy::with(3, Ways { climate: true, ..Ways::default() });
    toy.bpl(
        "f.in",
        "sOutputFile f.bpf\nsaKeyInclude planet:TCore:mean planet:Flux:mode vpl:sSystemName:option $\n\
         planet:saOutputOrder:option planet:DailyInsol planet:TempLat:climate planet:GridOutputOrder planet:Mass:final\n",
    );
    toy.ok(&["f.in"]);
    let shape = |name: &str| content(&toy, "f.bpf", name).shape().to_vec();
    assert_eq!((shape("planet:TCore:mean"), shape("planet:Flux:mode")), (vec![3], vec![3, 2]));
    assert_eq!((shape("planet:DailyInsol"), shape("planet:TempLat:climate")), (vec![3, 3, 5], vec![3, 12]));
    // Two lines of the log have the same name.
    assert_eq!((shape("planet:Mass:final"), shape("planet:GridOutputOrder")), (vec![6], vec![2, 2]));
    assert_eq!(shape("planet:saOutputOrder:option"), vec![4]);
    let raw: Vec<Content> =
        ["planet:TCore:mean", "planet:Flux:mode", "planet:DailyInsol"].map(|name| content(&toy, "f.bpf", name)).into();
    toy.ok(&["-a", "bpl.in"]);
    toy.ok(&["-o", "f.in"]);
    let archived: Vec<Content> =
        ["planet:TCore:mean", "planet:Flux:mode", "planet:DailyInsol"].map(|name| content(&toy, "f.bpf", name)).into();
    assert_eq!(raw, archived);
    // Texts that are no numbers stay texts.
    assert!(matches!(content(&toy, "f.bpf", "vpl:sSystemName:option"), Content::Texts { .. }));
    assert!(matches!(content(&toy, "f.bpf", "planet:Mass:final"), Content::Floats { .. }));
}

#[test]
fn an_output_that_is_there_stays_unless_it_is_to_be_made_anew() {
    let toy = Toy::new(1);
    toy.bpl("f.in", "saKeyInclude planet:Ecc:forward\n");
    assert!(toy.ok(&["f.in"]).contains("1 datasets of MP are in MP_filtered.bpf"));
    let (code, _, err) = toy.run(&["f.in"]);
    assert!(code == 11 && err.contains("MP_filtered.bpf"), "{err}");
    let json = toy.ok(&["-o", "--json", "f.in"]);
    assert_eq!(json, "{\"output\":\"MP_filtered.bpf\",\"datasets\":1,\"from_archive\":false}\n");
}

#[test]
fn tables_for_ulysses() {
    let toy = Toy::new(3);
    toy.bpl("v.in", "bUlysses 1\nsaKeyInclude planet:dSemi:option star:BodyType:final\n");
    toy.bpl("t.in", "bUlysses 1\nsSimName a1\nsaKeyInclude planet:TCore:forward planet:Time:forward\n");
    toy.ok(&["v.in"]);
    assert_eq!(
        toy.read("User.csv"),
        ",planet:dSemi:option,star:BodyType:final\n1,0.000000\n1.5,0.000000\n2,0.000000\n"
    );
    toy.ok(&["t.in"]);
    let raw = toy.read("User.csv");
    assert_eq!((raw.lines().count(), raw.lines().next()), (41, Some(",planet:TCore:forward,planet:Time:forward")));
    toy.ok(&["-a", "bpl.in"]);
    toy.ok(&["t.in"]);
    assert_eq!(toy.read("User.csv"), raw);
    toy.ok(&["v.in"]);
    assert_eq!(toy.read("User.csv"), ",planet:dSemi:option,star:BodyType:final\n1.0,0.0\n1.5,0.0\n2.0,0.0\n");
}

#[test]
fn tables_for_ulysses_replace_nothing_else() {
    let toy = Toy::new(2);
    toy.bpl("v.in", "bUlysses 1\nsaKeyInclude planet:dSemi:option\n");
    toy.write("User.csv", "results of a year");
    assert_eq!(toy.run(&["v.in"]).0, 11);
    assert_eq!(toy.read("User.csv"), "results of a year");
    toy.ok(&["-o", "v.in"]);
    assert!(toy.read("User.csv").starts_with(",planet:dSemi:option"));
    toy.ok(&["-a", "bpl.in"]);
    std::fs::copy(toy.path("MP.bpa"), toy.path("User.csv")).expect("copies");
    assert_ne!(toy.run(&["-o", "v.in"]).0, 0);
    assert!(Store::open(toy.path("User.csv")).is_ok());
}

#[test]
fn what_cannot_be_filtered_is_told() {
    let toy = Toy::new(2);
    toy.bpl("none.in", "");
    toy.bpl("bad.in", "saKeyInclude planet:TCore:median\n");
    toy.bpl("missing.in", "saKeyInclude planet:Nothing:final\n");
    toy.bpl("exclude.in", "saKeyExclude planet:TCore:final\n");
    toy.bpl("sim.in", "sSimName z\nsaKeyInclude planet:TCore:final\n");
    for archived in [false, true] {
        for (name, code, what) in [
            ("none.in", 2, "no saKeyInclude"),
            ("bad.in", 2, "bad key 'planet:TCore:median'"),
            ("missing.in", 3, "no such column 'planet:Nothing:final' of table 'a0'"),
            ("exclude.in", 2, "saKeyExclude"),
        ] {
            let told = toy.run(&[name]);
            assert!(told.0 == code && told.2.contains(what) && is_one_error(&told.2), "{told:?}");
            assert!(!toy.path("MP_filtered.bpf").exists());
        }
        if !archived {
            assert!(toy.run(&["sim.in"]).2.contains("no trial of MP has 'z'"));
            toy.ok(&["-a", "bpl.in"]);
        }
    }
    // Trials of different length have no common shape.
    let toy = Toy::new(2);
    let text = toy.read("MP/a1/toy.planet.forward");
    toy.write("MP/a1/toy.planet.forward", text.split_inclusive('\n').take(7).collect::<String>());
    toy.bpl("f.in", "saKeyInclude planet:TCore:forward\n");
    let (code, _, err) = toy.run(&["f.in"]);
    assert!(code == 4 && err.contains("shape 1x7 here but 1x40 before"), "{err}");
    toy.ok(&["-a", "bpl.in"]);
    let (code, _, err) = toy.run(&["f.in"]);
    assert!(code == 4 && err.contains("MP.bpa/a1: ") && err.contains("'planet:TCore:forward' has shape"), "{err}");
}

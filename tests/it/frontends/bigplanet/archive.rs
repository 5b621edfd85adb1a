//! Archives: their content, how a run continues, and what is reported.

use super::toy::{Toy, Ways};
use super::{ok_in, run_in};
use h5part_engine::store::{Bundle, Content, Store};

fn trial(toy: &Toy, name: &str) -> Bundle {
    Store::open(toy.path("MP.bpa")).expect("opens").read_bundle(name, None).expect("reads")
}

fn dataset(bundle: &Bundle, name: &str) -> (Content, String) {
    let member = bundle.members.iter().find(|member| member.name == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(member.attributes.len(), 1);
    (member.content.clone(), member.attributes[0].1.clone())
}

fn texts(shape: &[u64], values: &[&str]) -> Content {
    Content::Texts { shape: shape.to_vec(), values: values.iter().map(|&v| v.to_owned()).collect() }
}

#[test]
fn what_a_trial_becomes() {
    let toy = Toy::new(2);
    let out = toy.ok(&["-a", "bpl.in"]);
    let told: Vec<&str> = out.lines().filter(|line| !line.starts_with("  ")).collect();
    assert_eq!(told, ["Creating BPA file...", "2 of 2 trials are in MP.bpa"]);
    let a1 = trial(&toy, "a1");
    for (name, content, units) in [
        // Units as BigPlanet reports them: it does not know the units of negative values, and reads comments.
        ("planet:dMass:option", texts(&[1], &["-1.0"]), "kg"),
        ("planet:dSemi:option", texts(&[1], &["1.5"]), "aU"),
        ("planet:dEcc:option", texts(&[2], &["0.1", "0.2"]), "nd"),
        ("planet:dTidalRate:option", texts(&[1], &["3"]), "Radians/YEARS"),
        ("planet:dAtmPressure:option", texts(&[1], &["-2"]), "(kg*aU^-1*YEARS^-2)"),
        ("planet:dSpecificHeat:option", texts(&[1], &["1e3"]), "(kg*aU^2*YEARS^-2)/F/kg"),
        ("planet:dUnknown:option", texts(&[1], &["-7"]), "nd"),
        ("planet:saOutputOrder:option", texts(&[2], &["nd", "Time"]), ""),
        ("vpl:saBodyFiles:option", texts(&[1], &["star.in"]), "nd"),
        ("planet:TCore:initial", texts(&[1], &["nan"]), "K"),
        ("star:BodyType:final", texts(&[1], &["0.000000"]), "nd"),
        ("planet:OutputOrder", texts(&[4, 2], &["Time", "Gyr", "TCore", "K", "Ecc", "nd", "Flux", "W/m^2"]), ""),
    ] {
        assert_eq!(dataset(&a1, name), (content, units.to_owned()), "{name}");
    }
    let (Content::Floats { shape, values }, units) = dataset(&a1, "planet:Flux:forward") else { panic!("no numbers") };
    let last = toy.read("MP/a1/toy.planet.forward").lines().last().expect("lines").split(' ').nth(3).map(str::to_owned);
    let last: f64 = last.expect("words").parse().expect("a number");
    assert_eq!((shape.as_slice(), units.as_str()), ([1, 40].as_slice(), "W/m^2"));
    assert!((values[39] - last).abs() <= last.abs() * 1e-15, "{} {last}", values[39]);
    assert_eq!(run_in(&toy.folder(), &["verify", "MP.bpa"]).0, 0);
}

#[test]
fn units_as_vplanet_takes_values_are_there_for_the_asking() {
    let toy = Toy::new(1);
    toy.ok(&["-a", "--custom-units", "bpl.in"]);
    let a0 = trial(&toy, "a0");
    let units = |name: &str| dataset(&a0, name).1;
    assert_eq!(units("planet:dMass:option"), "Mearth");
    assert_eq!(units("star:dMass:option"), "solar");
    assert_eq!(units("planet:dSpecificHeat:option"), "(kg*aU^2*YEARS^-2)/Kelvin/kg");
}

#[test]
fn vplanet_is_asked_for_its_options_once() {
    let toy = Toy::new(1);
    toy.ok(&["-a", "bpl.in"]);
    toy.ok(&["-a", "-o", "bpl.in"]);
    assert_eq!(toy.read("bin/asked"), "asked\n");
    let (code, _, err) = run_in(&toy.folder(), &["bigplanet", "-a", "-o", "bpl.in", "--vplanet", "no-such-planet"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("no such program 'no-such-planet'"), "{err}");
}

#[test]
fn started_again_it_goes_on_and_what_was_taken_away_is_made_again() {
    let toy = Toy::new(3);
    toy.ok(&["-a", "bpl.in"]);
    let verbose = || toy.run(&["-a", "-v", "bpl.in"]);
    let (code, out, err) = verbose();
    assert!(code == 0 && out.contains("Continuing") && !err.contains("archived"), "{out}{err}");
    toy.trial("a3", 3);
    assert_eq!(verbose().2, "h5part: 'a3': archived\n");
    // A user resets one trial to waiting, and its files have changed.
    toy.edit(".MP_BPL", "MP/a1 1", "MP/a1 -1");
    assert_eq!(verbose().2, "h5part: 'a1': in the archive already\n");
    toy.edit(".MP_BPL", "MP/a1 1", "MP/a1 -1");
    toy.edit("MP/a1/planet.in", "dSemi 1.5", "dSemi 9.5");
    assert!(verbose().2.contains("'a1': archived again"));
    assert_eq!(dataset(&trial(&toy, "a1"), "planet:dSemi:option").0, texts(&[1], &["9.5"]));
    std::fs::remove_file(toy.path("MP.bpa")).expect("removes");
    assert_eq!(verbose().2.matches(": archived").count(), 4);
    assert_eq!(
        ok_in(&toy.folder(), &["bpstatus", "bpl.in"]).lines().nth(1),
        Some("Number of Simulations completed: 4")
    );
}

#[test]
fn status_as_bpstatus_prints_it() {
    let toy = Toy::new(3);
    toy.write("vspace.in", "sSrcFolder .\nsDestFolder MP\n");
    let (code, _, err) = run_in(&toy.folder(), &["bpstatus", "vspace.in"]);
    assert!(code == 3 && err.contains(".MP_BPL"), "{err}");
    toy.ok(&["-a", "bpl.in"]);
    let expected = "--BigPlanet Status--\nNumber of Simulations completed: 3\nNumber of Simulations in progress: 0\n\
        Number of Simulations remaining: 0\n";
    assert_eq!(ok_in(&toy.folder(), &["bpstatus", "vspace.in"]), expected);
    let json = ok_in(&toy.folder(), &["bpstatus", "vspace.in", "--json"]);
    assert_eq!(json, "{\"completed\":3,\"in_progress\":0,\"remaining\":0}\n");
    toy.write("vspace.in", "sSrcFolder .\n");
    assert_eq!(run_in(&toy.folder(), &["bpstatus", "vspace.in"]).0, 2);
}

#[test]
fn any_number_of_workers_and_of_programs_make_the_same() {
    let toy = Toy::with(12, Ways { climate: true, ..Ways::default() });
    let sums = |file: &str| {
        let store = Store::open(toy.path(file)).expect("opens");
        (0..12).map(|k| store.read_bundle(&format!("a{k}"), None).expect("reads").sum()).collect::<Vec<_>>()
    };
    toy.ok(&["-a", "-c", "1", "bpl.in"]);
    let serial = sums("MP.bpa");
    for (name, cores) in [("b.in", "4"), ("c.in", "7")] {
        toy.bpl(name, &format!("sArchiveFile {name}.bpa\n"));
        std::fs::remove_file(toy.path(".MP_BPL")).expect("removes");
        std::thread::scope(|scope| {
            // Two programs share the trials.
            let other = scope.spawn(|| toy.run(&["-a", "-c", cores, name]));
            let here = toy.run(&["-a", "-c", cores, name]);
            let other = other.join().expect("ran");
            assert!(here.0 == 0 && other.0 == 0, "{here:?} {other:?}");
        });
        assert_eq!(sums(&format!("{name}.bpa")), serial);
    }
}

#[test]
fn long_options_with_one_dash_and_json() {
    let toy = Toy::new(1);
    let out = toy.ok(&["bpl.in", "-a", "-ignorecorrupt", "--json", "-q"]);
    assert_eq!(out, "{\"archive\":\"MP.bpa\",\"trials\":1,\"archived\":1,\"failed\":[]}\n");
    assert_eq!(toy.run(&["bpl.in", "-q", "-v"]).0, 2);
    assert_eq!(toy.ok(&["bpl.in", "-a", "-q"]), "");
}

#[test]
fn what_the_original_does_not_find() {
    let toy = Toy::new(1);
    // A dash in a name, which the log does not have; log and output with names of the user's choice.
    for (file, from, to) in [
        ("MP/a0/planet.in", "sName\t planet", "sOutFile mine.txt\nsName my-planet"),
        ("MP/a0/vpl.in", "sSystemName toy", "sLogFile other.txt\nsSystemName toy"),
        ("MP/a0/toy.log", "BODY: planet", "BODY: my-planet"),
    ] {
        toy.edit(file, from, to);
    }
    for (from, to) in [("toy.log", "other.txt"), ("toy.planet.forward", "mine.txt")] {
        let from = format!("MP/a0/{from}");
        toy.write(&format!("MP/a0/{to}"), toy.read(&from));
        std::fs::remove_file(toy.path(&from)).expect("removes");
    }
    toy.ok(&["-a", "bpl.in"]);
    let a0 = trial(&toy, "a0");
    assert_eq!(dataset(&a0, "my-planet:Flux:forward").0.shape(), [1, 40]);
    assert_eq!(dataset(&a0, "my-planet:TCore:final").1, "K");
    assert_eq!(dataset(&a0, "planet:sOutFile:option").0, texts(&[1], &["mine.txt"]));

    // Backward only, although forward is named.
    let toy = Toy::with(1, Ways { backward: true, ..Ways::default() });
    toy.edit("MP/a0/vpl.in", "bDoBackward", "bDoForward 0\nbDoBackward");
    toy.ok(&["-a", "bpl.in"]);
    assert_eq!(dataset(&trial(&toy, "a0"), "planet:Flux:backward").0.shape(), [1, 40]);
    // Nothing was evolved: then there is no output and no final time.
    toy.edit("MP/a0/vpl.in", "bDoBackward 1", "bDoBackward 0");
    toy.edit("MP/a0/toy.log", "---- FINAL", "---- OTHER");
    std::fs::remove_file(toy.path("MP/a0/toy.planet.backward")).expect("removes");
    toy.ok(&["-a", "-o", "bpl.in"]);
    assert_eq!(dataset(&trial(&toy, "a0"), "planet:Flux:forward").0.shape(), [0]);
}

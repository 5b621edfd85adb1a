//! Comparison with the original: equal archives, equal filtered files, and its readers on our files.

use super::toy::{Toy, Ways};
use super::{ok_in, run_in};
use crate::common::planets::planet;
use crate::common::support::{Scratch, finished};
use std::path::Path;

/// Prints the differences between two files, dataset by dataset: names, shapes, types, attributes, and values with
/// their bits. `close`: datasets of these names need only be close.
const COMPARE: &str = r"
import sys, h5py, numpy as np
def datasets(path):
    found = {}
    h5py.File(path).visititems(lambda name, o: found.update({name: o}) if isinstance(o, h5py.Dataset) else None)
    return found
def type_of(dtype):
    return h5py.check_string_dtype(dtype) or dtype
ours, theirs = datasets(sys.argv[1]), datasets(sys.argv[2])
close = sys.argv[3:]
for name in sorted(set(ours) ^ set(theirs)):
    print('only', 'ours:' if name in ours else 'theirs:', name)
for name in sorted(set(ours) & set(theirs)):
    a, b = ours[name], theirs[name]
    about = lambda d: (d.shape, type_of(d.dtype), sorted(d.attrs), d.attrs['Units'], type_of(d.attrs.get_id('Units').dtype), d.attrs.get_id('Units').shape)
    if about(a) != about(b):
        print(name, about(a), about(b))
    x, y = a[()], b[()]
    if name in close:
        same = np.allclose(x, y, rtol=1e-13, atol=0, equal_nan=True)
    else:
        # One NaN is as good as another.
        same = np.array_equal(x, y) or (x.dtype.kind == 'f' and x.shape == y.shape and ((x == y) | (np.isnan(x) & np.isnan(y))).all())
    if not same:
        print(name, x.ravel()[:4], y.ravel()[:4])
print(len(ours), 'datasets')
";

fn python(script: &str, folder: &Path, args: &[&str]) -> Option<String> {
    let mut command = planet("python")?;
    let (code, out, err) =
        finished(&command.arg("-c").arg(script).args(args).current_dir(folder).output().expect("starts"));
    assert_eq!(code, 0, "{err}");
    Some(out)
}

/// The original, with the vplanet of the toy first on its PATH.
fn original(folder: &Path, args: &[&str]) -> Option<String> {
    let mut command = planet("bigplanet")?;
    let path = command.get_envs().find(|(key, _)| *key == "PATH").and_then(|(_, path)| path.map(ToOwned::to_owned));
    let folders = std::env::split_paths(&path.unwrap_or_default()).collect::<Vec<_>>();
    let path = std::env::join_paths([folder.join("bin")].into_iter().chain(folders)).expect("a PATH");
    let (code, out, err) =
        finished(&command.args(args).env("PATH", path).current_dir(folder).output().expect("starts"));
    // It exits with 0 even if a worker failed.
    assert!(code == 0 && !err.contains("Traceback"), "{out}{err}");
    Some(out)
}

fn same(toy: &Toy, ours: &str, theirs: &str, close: &[&str], datasets: usize) {
    let args: Vec<&str> = [ours, theirs].into_iter().chain(close.iter().copied()).collect();
    let told = python(COMPARE, &toy.folder(), &args).expect("it was there before");
    assert_eq!(told, format!("{datasets} datasets\n"));
}

#[test]
fn archives_are_equal_dataset_by_dataset() {
    let both = Ways { climate: true, out_file: true, ..Ways::default() };
    let backward = Ways { backward: true, ..Ways::default() };
    // Options, properties, columns, orders; the climate's columns and its order, and the seasons.
    for (ways, datasets) in [(Ways::default(), 38), (both, 38 + 1 + 3 + 8), (backward, 38 + 4)] {
        let toy = Toy::with(3, ways);
        toy.bpl("theirs.in", "sArchiveFile theirs.bpa\n");
        if original(&toy.folder(), &["-a", "-c", "2", "theirs.in"]).is_none() {
            return;
        }
        let checkpoint = toy.read(".MP_BPL");
        std::fs::remove_file(toy.path(".MP_BPL")).expect("removes");
        toy.ok(&["-a", "bpl.in"]);
        same(&toy, "MP.bpa", "theirs.bpa", &[], datasets * 3);
        assert_eq!(toy.read(".MP_BPL"), checkpoint.replace("theirs.in", "bpl.in"));
    }
}

#[test]
fn real_trials_of_real_vplanet() {
    let Some(mut vplanet) = planet("vplanet") else { return };
    let scratch = Scratch::new();
    let folder = scratch.path("");
    for name in ["MP/t0", "MP/t1"] {
        std::fs::create_dir_all(folder.join(name)).expect("folder");
        for (file, text) in REAL {
            std::fs::write(folder.join(name).join(file), text).expect("writes");
        }
        let (code, out, err) =
            finished(&vplanet.arg("vpl.in").current_dir(folder.join(name)).output().expect("starts"));
        assert_eq!(code, 0, "{out}{err}");
        vplanet = planet("vplanet").expect("it was there before");
    }
    let bpl = "sDestFolder MP\nsaBodyFiles star.in b.in\nsPrimaryFile vpl.in\n";
    std::fs::write(folder.join("bpl.in"), bpl).expect("writes");
    std::fs::write(folder.join("theirs.in"), format!("{bpl}sArchiveFile theirs.bpa\n")).expect("writes");
    original(&folder, &["-a", "-c", "1", "theirs.in"]).expect("it was there before");
    std::fs::remove_file(folder.join(".MP_BPL")).expect("removes");
    let programs = planet("vplanet").expect("it was there before").get_program().to_owned();
    ok_in(&folder, &["bigplanet", "-a", "bpl.in", "--vplanet", programs.to_str().expect("UTF-8")]);
    let told = python(COMPARE, &folder, &["MP.bpa", "theirs.bpa"]).expect("it was there before");
    let count: usize =
        told.strip_suffix(" datasets\n").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!(count > 150, "{told}");
}

/// Tides between a star and a planet.
const REAL: [(&str, &str); 3] = [
    (
        "vpl.in",
        "sSystemName tides\niVerbose 5\nbOverwrite 1\nsaBodyFiles star.in $\n  b.in\nsUnitMass solar\nsUnitLength aU\n\
         sUnitTime YEARS\nsUnitAngle d\nsUnitTemp K\nbDoLog 1\niDigits 6\ndMinValue 1e-10\nbDoForward 1\nbVarDt 1\ndEta 0.01\n\
         dStopTime 1e7\ndOutputTime 1e5\n",
    ),
    (
        "star.in",
        "sName star\nsaModules eqtide\nsaTidePerts b\ndMass 0.1\ndRadius 0.00067\ndRotPeriod -30\ndRadGyra 0.5\ndK2 0.5\n\
         dTidalQ 1e6\n",
    ),
    (
        "b.in",
        "sName b\nsaModules eqtide\nsaTidePerts star\ndMass -1.0\ndRadius -1.0\ndRotPeriod -1.0\ndObliquity 23.5\ndRadGyra 0.5\n\
         dEcc 0.2\ndSemi 0.05\ndK2 0.3\ndTidalQ 12\nsTideModel p2\n\
         saOutputOrder Time -SemiMajorAxis Eccentricity -RotPer $\n  -SurfEnFluxEqtide Obliquity\n",
    ),
];

const KEYS: &str = "saKeyInclude planet:TCore:forward planet:Time:forward planet:Mass:final star:Mass:initial $\n  \
    planet:dSemi:option planet:OutputOrder\n";

#[test]
fn filtered_files_are_equal_dataset_by_dataset() {
    let toy = Toy::new(3);
    toy.bpl("theirs.in", &format!("sOutputFile theirs.bpf\n{KEYS}"));
    toy.bpl("ours.in", &format!("sOutputFile ours.bpf\n{KEYS}"));
    // First from raw output: there is no archive yet.
    if original(&toy.folder(), &["theirs.in"]).is_none() {
        return;
    }
    toy.ok(&["ours.in"]);
    same(&toy, "ours.bpf", "theirs.bpf", &[], 6);
    toy.ok(&["-a", "bpl.in"]);
    toy.ok(&["-o", "ours.in"]);
    // The original filters our archive.
    original(&toy.folder(), &["-o", "theirs.in"]).expect("it was there before");
    same(&toy, "ours.bpf", "theirs.bpf", &[], 6);
}

#[test]
fn the_readers_of_the_original_read_our_archive_and_ours_have_the_same_statistics() {
    let toy = Toy::new(3);
    toy.ok(&["-a", "bpl.in"]);
    let words = ["mean", "stddev", "min", "max", "mode", "geomean"];
    let keys: Vec<String> =
        ["TCore", "Flux", "Time"].iter().flat_map(|name| words.map(|word| format!("planet:{name}:{word}"))).collect();
    toy.bpl("ours.in", &format!("sOutputFile ours.bpf\nsaKeyInclude {}\n", keys.join(" ")));
    toy.ok(&["ours.in"]);
    let script = r"
import sys, warnings, h5py, bigplanet as bp
warnings.simplefilter('ignore')
archive = bp.BPLFile('MP.bpa')
assert bp.ExtractUnits(archive, 'planet:TCore:forward') == 'K'
assert bp.ExtractUnits(archive, 'planet:dSemi:option') == 'aU'
assert bp.ExtractColumn(archive, 'planet:dSemi:option') == [1.0, 1.5, 2.0]
assert bp.ExtractColumn(archive, 'planet:OutputOrder')[:4] == ['Time', 'Gyr', 'TCore', 'K']
assert len(bp.ExtractColumn(archive, 'planet:TCore:forward')) == 3
assert bp.ExtractUniqueValues(archive, 'star:BodyType:initial') == [0.0]
with h5py.File('theirs.bpf', 'w') as f:
    for key in sys.argv[1:]:
        f[key] = bp.ExtractColumn(archive, key)
        f[key].attrs['Units'] = bp.ExtractUnits(archive, key.rpartition(':')[0] + ':forward')
";
    let args: Vec<&str> = keys.iter().map(String::as_str).collect();
    if python(script, &toy.folder(), &args).is_none() {
        return;
    }
    let close: Vec<&str> = args.iter().copied().filter(|key| key.ends_with("geomean")).collect();
    same(&toy, "ours.bpf", "theirs.bpf", &close, keys.len());
}

#[test]
fn each_goes_on_with_what_the_other_has_begun() {
    let toy = Toy::new(2);
    if original(&toy.folder(), &["-a", "-c", "1", "bpl.in"]).is_none() {
        return;
    }
    // Ours continues: only the new trial is archived.
    (2..4).for_each(|k| toy.trial(&format!("a{k}"), k));
    let (code, out, err) = toy.run(&["-a", "-v", "bpl.in"]);
    assert_eq!((code, out.contains("4 of 4 trials")), (0, true), "{out}{err}");
    assert!(err.contains("'a2': archived") && err.contains("'a3': archived") && !err.contains("'a0'"), "{err}");
    // The original's superblock stays, and the original continues again: it does what waits in the text.
    toy.trial("a4", 4);
    let text = toy.read(".MP_BPL");
    // Not the last line: the original overlooks a trial that waits there when it continues.
    let (first, line) = (toy.text("MP/a0"), toy.text("MP/a4"));
    toy.write(".MP_BPL", text.replace(&first, &format!("{line} -1\n{first}")));
    original(&toy.folder(), &["-a", "-c", "1", "bpl.in"]).expect("it was there before");
    let (code, _, err) = toy.run(&["-a", "-v", "bpl.in"]);
    assert!(code == 0 && !err.contains("archived"), "{err}");
    toy.bpl("whole.in", "sArchiveFile whole.bpa\n");
    std::fs::remove_file(toy.path(".MP_BPL")).expect("removes");
    toy.ok(&["-a", "whole.in"]);
    same(&toy, "MP.bpa", "whole.bpa", &[], 38 * 5);
    let told = run_in(&toy.folder(), &["verify", "MP.bpa"]);
    assert_eq!(told.0, 0, "{told:?}");
}
